//! Mirrors that come and go.

use strowger_fake_frontend::frame::{mac, numbered};
use strowger_vswitch::config::{Direction, MirrorConfig};

use crate::{
    netns::eventually,
    world::{World, next_number, passes, vhost},
};

#[test]
fn a_guest_watches_two_others_for_as_long_as_there_is_a_mirror() {
    let text = [
        "[bridges.br0]\n".to_owned(),
        vhost("vm1", "br0", ""),
        vhost("vm2", "br0", ""),
        vhost("span0", "br0", ""),
        "[mirrors.watch]\nbridge = \"br0\"\nports = [\"vm1\"]\nto = \"span0\"\n".to_owned(),
    ]
    .concat();
    let world = World::start(&text);
    let (mut one, mut two, mut span) =
        (world.guest("vm1"), world.guest("vm2"), world.guest("span0"));
    // Both ways, each once, a flood among them.
    passes((&mut one, 1), (&mut two, 2), 1);
    passes((&mut two, 2), (&mut one, 1), 2);
    passes((&mut one, 1), (&mut two, 2), 3);
    assert_eq!([1, 2, 3].map(|_| next_number(&mut span)), [1, 2, 3]);
    // What it says itself nobody hears.
    span.send(&numbered([0xff; 6], mac(9), 4, 64)).unwrap();
    eventually("it is dropped", || {
        (world.port("span0").drops.get("mirror_port") == Some(&1)).then_some(())
    });

    world.edit(|config| config.mirrors["watch"].direction = Direction::Tx).unwrap();
    passes((&mut one, 1), (&mut two, 2), 5);
    passes((&mut two, 2), (&mut one, 1), 6);
    assert_eq!(next_number(&mut span), 6);

    // A mirror of VLANs: of frames without one, then of those in another.
    world
        .edit(|config| {
            let mirror = MirrorConfig { vlans: vec![0], ..MirrorConfig::new("br0", "span0") };
            config.mirrors.insert("watch".into(), mirror);
        })
        .unwrap();
    passes((&mut one, 1), (&mut two, 2), 7);
    assert_eq!(next_number(&mut span), 7);
    world.edit(|config| config.mirrors["watch"].vlans = vec![10]).unwrap();
    passes((&mut one, 1), (&mut two, 2), 8);

    // Without a mirror its target is a port as others.
    world.edit(|config| config.mirrors.clear()).unwrap();
    passes((&mut one, 1), (&mut two, 2), 10);
    passes((&mut span, 9), (&mut two, 2), 11);
    passes((&mut two, 2), (&mut span, 9), 12);
    let drops: u64 = ["vm1", "vm2", "span0"]
        .iter()
        .flat_map(|port| world.port(port).drops)
        .filter(|(reason, _)| reason != "mirror_port")
        .map(|(_, frames)| frames)
        .sum();
    assert_eq!(drops, 0);
}
