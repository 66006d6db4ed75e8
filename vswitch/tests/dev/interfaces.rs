//! Interfaces that change, vanish and return.

use strowger_packet::DropReason;
use strowger_vswitch::ports::dev::DevError;

use crate::{
    harness::{BROADCAST, frame, mac},
    netns::{Namespace, eventually, raw::Raw},
    scene::{Container, Switch},
};

#[test]
fn a_link_goes_down_and_up_again() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open("v2");
    left.ping(&right);
    for (namespace, interface) in [(&switch.host, "v2"), (&right.namespace, "eth0")] {
        namespace.ip(&["link", "set", interface, "down"]);
        switch.wait_for("v2", "the link to be down", |status| status.present && !status.up);
        assert!(switch.status("v1").up);
        let before = switch.drops("v2", DropReason::PortDown);
        eventually("a frame for it to be dropped", || {
            assert!(!left.is_answered_by(right.address));
            (switch.drops("v2", DropReason::PortDown) > before).then_some(())
        });
        // A socket with an error that nobody takes would keep the worker awake.
        eventually("the worker to sleep", || switch.engine().is_asleep().then_some(()));
        namespace.ip(&["link", "set", interface, "up"]);
        switch.wait_for("v2", "the link to be up", |status| status.up);
        left.ping(&right);
    }
}

#[test]
fn frames_longer_than_the_mtu_are_dropped_and_a_new_mtu_is_followed() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open("v2");
    let (here, there) = (Raw::open(&left.namespace, "eth0"), Raw::open(&right.namespace, "eth0"));
    let long = |number: u32, len: usize| {
        let mut frame = frame(BROADCAST, mac(7), &[], number);
        frame.resize(len, 1);
        frame
    };
    let arrives = |frame: &[u8]| {
        here.send(frame);
        eventually("the frame", || there.receive().filter(|received| received == frame));
    };
    assert_eq!(switch.status("v2").mtu, 1500);
    arrives(&long(1, 1514));
    switch.host.ip(&["link", "set", "v2", "mtu", "1400"]);
    switch.wait_for("v2", "the new MTU", |status| status.mtu == 1400);
    here.send(&long(2, 1415));
    arrives(&long(3, 1414));
    assert_eq!(switch.drops("v2", DropReason::TooLong), 1);
    // Frames that are longer than the ring's slots come by another way.
    for (namespace, interface) in [
        (&left.namespace, "eth0"),
        (&switch.host, "v1"),
        (&switch.host, "v2"),
        (&right.namespace, "eth0"),
    ] {
        namespace.ip(&["link", "set", interface, "mtu", "9000"]);
    }
    for port in ["v1", "v2"] {
        switch.wait_for(port, "the new MTU", |status| status.mtu == 9000);
    }
    arrives(&long(4, 9014));
    arrives(&long(5, 60));
    assert_eq!(switch.drops("v2", DropReason::TooLong), 1);
}

#[test]
fn an_interface_that_vanishes_and_returns_is_taken_again() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open_with("v2", strowger_vswitch::vlan::Mode::default(), 2);
    left.ping(&right);

    // Deleted and made again: another interface by the same name.
    switch.host.ip(&["link", "del", "v2"]);
    switch.wait_for("v2", "the interface to be gone", |status| {
        let error = status.error.as_deref().unwrap_or_default();
        !status.present && !status.up && error.contains("there is no interface named 'v2'")
    });
    eventually("a frame for it to be dropped", || {
        assert!(!left.is_answered_by(right.address));
        (switch.drops("v2", DropReason::PortDown) > 0).then_some(())
    });
    eventually("the worker to sleep", || switch.engine().is_asleep().then_some(()));
    let again = Container::new(&switch.host, "v2", 3);
    switch.wait_for("v2", "the interface to be back", |status| status.up && status.error.is_none());
    left.ping(&again);
    again.echo(&left, 7000, 1 << 20);

    // Moved away and back.
    let elsewhere = Namespace::new();
    switch.host.ip(&["link", "set", "v2", "netns", &elsewhere.thread_number()]);
    switch.wait_for("v2", "the interface to be gone", |status| !status.present);
    let host = switch.host.thread_number();
    elsewhere.ip(&["link", "set", "v2", "netns", &host]);
    switch.wait_for("v2", "the interface to be back", |status| status.up);
    left.ping(&again);

    // Renamed, and another one in its place.
    switch.host.ip(&["link", "set", "v2", "down"]);
    switch.host.ip(&["link", "set", "v2", "name", "old"]);
    switch.wait_for("v2", "the interface to be gone", |status| !status.present);
    let third = Container::new(&switch.host, "v2", 4);
    switch.wait_for("v2", "the interface to be back", |status| status.up);
    left.ping(&third);
}

#[test]
fn a_port_may_be_opened_before_its_interface_is_there() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    switch.open("v1");
    switch.open("v2");
    let status = switch.status("v2");
    assert!(!status.present && !status.up && status.mtu == 0, "{status:?}");
    assert_eq!(
        status.error.as_deref(),
        Some("there is no interface named 'v2'; the port comes up as soon as there is one")
    );
    let right = Container::new(&switch.host, "v2", 2);
    switch.wait_for("v2", "the interface to be there", |status| status.up);
    left.ping(&right);
}

#[test]
fn what_is_no_ethernet_interface_is_refused_with_a_reason() {
    let mut switch = Switch::new(1);
    let mut refused =
        |name: &str| switch.try_open(name, strowger_vswitch::vlan::Mode::default(), 1).unwrap_err();
    let error = refused("lo");
    assert!(matches!(error, DevError::NotEthernet(_)), "{error}");
    for name in ["", ".", "all", "default", "a/b", "a b", "v%d", "abcdefghijklmnop"] {
        let error = refused(name);
        assert!(matches!(error, DevError::BadName(_)), "{name}: {error}");
    }
}
