//! A station that two ports claim.

use strowger_fake_frontend::{
    FrontEnd,
    frame::{mac, numbered},
};
use strowger_vswitch::{config::LoopGuard, control::Control};

use crate::{
    netns::eventually,
    world::{World, next_number, vhost},
};

/// Has both guests say by turns that station 9 is behind them, to itself so that nobody else is told, until `is_so`.
fn to_and_fro(world: &World, guests: [&mut FrontEnd; 2], is_so: impl Fn() -> bool) {
    let [one, two] = guests;
    eventually("the loop guard does something", || {
        for (guest, port) in [(&mut *one, "vm1"), (&mut *two, "vm2")] {
            let before = world.port(port).rx_frames;
            guest.send(&numbered(mac(9), mac(9), 1, 64)).unwrap();
            eventually("it is received", || (world.port(port).rx_frames > before).then_some(()));
        }
        is_so().then_some(())
    });
}

#[test]
fn a_station_in_a_loop_is_held_and_let_go_by_a_change() {
    let text = [
        "[bridges.br0]\nloop-guard = \"hold\"\nloop-hold = 1000\n".to_owned(),
        vhost("vm1", "br0", ""),
        vhost("vm2", "br0", ""),
        vhost("vm3", "br0", ""),
    ]
    .concat();
    let world = World::start(&text);
    let handle = world.handle();
    let (mut one, mut two, mut three) =
        (world.guest("vm1"), world.guest("vm2"), world.guest("vm3"));
    let bridge = || handle.status().bridges[0].clone();
    let held = || {
        let stations = handle.stations(Some("br0")).unwrap();
        stations.into_iter().find(|station| station.held).map(|station| station.port)
    };
    let dropped = || world.port("vm2").drops.get("loop_held").copied().unwrap_or_default();
    to_and_fro(&world, [&mut one, &mut two], || held().is_some());
    assert_eq!((held().as_deref(), bridge().loops, bridge().held_stations), (Some("vm1"), 1, 1));

    // By the other port nothing of it goes through any more, and it is found where it is held.
    let before = dropped();
    two.send(&numbered([0xff; 6], mac(9), 70, 64)).unwrap();
    eventually("it is dropped", || (dropped() > before).then_some(()));
    three.send(&numbered(mac(9), mac(3), 71, 64)).unwrap();
    assert_eq!(next_number(&mut one), 71);

    // Told to report only, the switch lets it go.
    world.edit(|config| config.bridges["br0"].loop_guard = LoopGuard::Report).unwrap();
    assert_eq!((held(), bridge().held_stations), (None, 0));
    two.send(&numbered([0xff; 6], mac(9), 72, 64)).unwrap();
    assert_eq!((next_number(&mut one), next_number(&mut three)), (72, 72));
    let before = bridge().loops;
    to_and_fro(&world, [&mut one, &mut two], || bridge().loops > before);
    assert_eq!(held(), None, "it is reported only");
}
