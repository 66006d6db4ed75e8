//! Stations, listed and forgotten.

use strowger_fake_frontend::frame::{mac, numbered};
use strowger_vswitch::control::{Control, Refusal};

use crate::{
    netns::eventually,
    world::{World, next_number, passes, vhost},
};

#[test]
fn stations_are_listed_and_forgotten_by_bridge_and_by_port() {
    let text = [
        "[bridges.br0]\n[bridges.br1]\n".to_owned(),
        vhost("vm1", "br0", "tag = 7"),
        vhost("vm2", "br0", "tag = 7"),
        vhost("vm3", "br1", ""),
    ]
    .concat();
    let world = World::start(&text);
    let handle = world.handle();
    let (mut one, mut two, mut three) =
        (world.guest("vm1"), world.guest("vm2"), world.guest("vm3"));
    passes((&mut one, 1), (&mut two, 2), 1);
    passes((&mut two, 2), (&mut one, 1), 2);
    one.send(&numbered([0xff; 6], mac(9), 3, 64)).unwrap();
    assert_eq!(next_number(&mut two), 3);
    three.send(&numbered([0xff; 6], mac(3), 4, 64)).unwrap();
    let shown = |bridge| {
        let stations = handle.stations(bridge).unwrap();
        let line = |station: &strowger_vswitch::control::Station| {
            assert!(station.age_seconds < 300 && !station.held);
            format!("{} {} {} {}", station.bridge, station.vlan, station.mac, station.port)
        };
        stations.iter().map(line).collect::<Vec<_>>()
    };
    let all = [
        "br0 7 02:00:00:00:00:01 vm1",
        "br0 7 02:00:00:00:00:02 vm2",
        "br0 7 02:00:00:00:00:09 vm1",
        "br1 0 02:00:00:00:00:03 vm3",
    ];
    eventually("all are known", || (shown(None) == all).then_some(()));
    assert_eq!(shown(Some("br1")), all[3..]);
    assert_eq!(handle.flush_stations(None, Some("vm1")), Ok(2));
    assert_eq!(shown(None), [all[1], all[3]]);
    assert_eq!(handle.flush_stations(Some("br1"), None), Ok(1));
    assert_eq!(shown(None), [all[1]]);
    assert_eq!(handle.flush_stations(None, None), Ok(1));
    assert!(shown(None).is_empty());
    // They are learnt again.
    passes((&mut one, 1), (&mut two, 2), 5);
    assert_eq!(shown(None), [all[0]]);

    for refusal in [
        handle.stations(Some("br7")).unwrap_err(),
        handle.flush_stations(Some("br7"), None).unwrap_err(),
        handle.flush_stations(None, Some("vm7")).unwrap_err(),
        handle.flush_stations(Some("br1"), Some("vm1")).unwrap_err(),
    ] {
        assert!(matches!(refusal, Refusal::NotFound(_)), "{refusal}");
    }
    assert_eq!(shown(None), [all[0]]);
}

#[test]
fn a_port_that_moves_to_another_bridge_is_forgotten_where_it_was() {
    let text = [
        "[bridges.br0]\n[bridges.br1]\n".to_owned(),
        vhost("vm1", "br0", ""),
        vhost("vm2", "br0", ""),
        vhost("vm3", "br1", ""),
    ]
    .concat();
    let world = World::start(&text);
    let (mut one, mut two, mut three) =
        (world.guest("vm1"), world.guest("vm2"), world.guest("vm3"));
    passes((&mut one, 1), (&mut two, 2), 1);
    passes((&mut two, 2), (&mut one, 1), 2);
    world.edit(|config| config.ports["vm1"].bridge = "br1".into()).unwrap();
    let left: Vec<_> = world.handle().stations(None).unwrap();
    let left: Vec<_> = left.iter().map(|station| station.port.as_str()).collect();
    assert_eq!(left, ["vm2"]);
    // Its guest did not notice, and talks to others now.
    passes((&mut one, 1), (&mut three, 3), 3);
    passes((&mut three, 3), (&mut one, 1), 4);
    assert_eq!(world.port("vm1").number, 2, "the first of br1 is that of vm3");
}
