//! Rates of ports, given and changed while frames wait.

use strowger_fake_frontend::frame::{mac, numbered};
use strowger_vswitch::{config::port, control::Port};

use crate::{
    netns::eventually,
    world::{World, next_number, passes, vhost},
};

fn two_guests(keys: &str) -> String {
    ["[bridges.br0]\n".to_owned(), vhost("vm1", "br0", keys), vhost("vm2", "br0", "")].concat()
}

fn drops(port: &Port, reason: &str) -> u64 {
    port.drops.get(reason).copied().unwrap_or_default()
}

#[test]
fn what_a_guest_sends_above_its_rate_is_dropped_and_counted() {
    let world = World::start(&two_guests("ingress-rate = \"1pps\"\ningress-burst = \"5p\""));
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    for number in 0..40 {
        one.send(&numbered(mac(2), mac(1), number, 64)).unwrap();
    }
    for number in 0..5 {
        assert_eq!(next_number(&mut two), number);
    }
    eventually("all are received", || (world.port("vm1").rx_frames == 40).then_some(()));
    let policed = drops(&world.port("vm1"), "policed");
    assert!((1..=35).contains(&policed), "{policed}");
    // The other direction has no limit; and then this one has none either.
    for number in 100..140 {
        passes((&mut two, 2), (&mut one, 1), number);
    }
    world
        .edit(|config| {
            let port = &mut config.ports["vm1"];
            (port.ingress_rate, port.ingress_burst) = (None, None);
        })
        .unwrap();
    for number in 200..240 {
        one.send(&numbered(mac(2), mac(1), number, 64)).unwrap();
    }
    eventually("it has no limit", || (next_number(&mut two) == 200).then_some(()));
    for number in 201..240 {
        assert_eq!(next_number(&mut two), number);
    }
}

#[test]
fn what_waits_for_a_guest_leaves_at_the_new_rate_when_its_rate_is_changed() {
    // The least burst holds 43 frames of 1,500 bytes; the next has to wait for some seconds.
    let world = World::start(&two_guests("egress-rate = \"1kbit\""));
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    for number in 0..45 {
        two.send(&numbered(mac(1), mac(2), number, 1500)).unwrap();
    }
    eventually("one waits", || (world.port("vm1").shaper_frames == Some(1)).then_some(()));
    eventually("one is too many", || (drops(&world.port("vm1"), "shaper_full") >= 1).then_some(()));
    world
        .edit(|config| port::set(&mut config.ports["vm1"], "egress-rate", "100Mbit").unwrap())
        .unwrap();
    for number in 0..44 {
        assert_eq!(next_number(&mut one), number);
    }
    eventually("none waits", || (world.port("vm1").shaper_frames == Some(0)).then_some(()));
    world.edit(|config| config.ports["vm1"].egress_rate = None).unwrap();
    assert_eq!(world.port("vm1").shaper_frames, None);
    passes((&mut two, 2), (&mut one, 1), 100);
}
