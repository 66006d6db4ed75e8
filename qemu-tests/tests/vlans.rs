//! VLANs: who is together, who is apart, and what tags the guests saw.
//!
//! That somebody hears nothing is never shown by waiting: frames of one port stay in order, so once
//! an answer to a later frame has come, an earlier frame would have been counted where it must not.

#![forbid(unsafe_code)]

use strowger_qemu_tests::{Container, Guest, Machine, Result, Scene, Switch};

/// A container that says nothing of its own accord.
fn quiet(scene: &Scene, name: &str) -> Result<Container> {
    let container = Container::new(scene, name)?;
    container.run(
        "for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$file; done 2>/dev/null; true",
    )?;
    Ok(container)
}

/// Shell that makes a tagged interface `NAME` over `eth0` with an address.
fn tagged(name: &str, lower: &str, kind: &str, address: &str) -> String {
    format!(
        "ip link show {name} >/dev/null 2>&1 || ip link add link {lower} name {name} type vlan {kind}
         ip link set {name} up
         ip addr replace {address} dev {name}"
    )
}

#[test]
fn access_ports_are_together_in_one_vlan_and_apart_in_two() {
    Scene::play("vlan-access", |scene| {
        let (c1, c2, c3) = (quiet(scene, "c1")?, quiet(scene, "c2")?, quiet(scene, "c3")?);
        let _switch = Switch::builder(scene)
            .port(&format!("{},tag=10", scene.server_port("g1")))
            .port(&format!("{},tag=10", c1.port("tap1")))
            .port(&format!("{},tag=20", c2.port("tap2")))
            .port(&format!("{},tag=20", c3.port("tap3")))
            .start()?;
        let g1 = Guest::builder(scene, "g1").address("10.0.0.1/24").start()?;
        c1.address("tap1", "10.0.0.11/24")?;
        c2.address("tap2", "10.0.0.12/24")?;
        c3.address("tap3", "10.0.0.13/24")?;
        g1.ready()?;
        g1.reach("10.0.0.11")?;

        // Requests for 10.0.0.12 are broadcast, in VLAN 10; nobody there answers.
        assert!(!g1.reaches("10.0.0.12")?, "VLAN 10 reaches VLAN 20");
        g1.ping_all("10.0.0.11", 5, 56)?;
        for (name, container, tap) in [("c2", &c2, "tap2"), ("c3", &c3, "tap3")] {
            assert_eq!(
                container.statistic(tap, "rx_packets")?,
                0,
                "{name} heard frames of VLAN 10"
            );
        }
        // It is the VLAN that kept them silent: among themselves they talk.
        c2.reach("10.0.0.13")?;
        assert!(!c2.reaches("10.0.0.11")?, "VLAN 20 reaches VLAN 10");
        assert!(!c2.reaches("10.0.0.1")?, "VLAN 20 reaches VLAN 10");
        Ok(())
    });
}

#[test]
fn a_trunk_carries_its_vlans_tagged_and_no_other() {
    Scene::play("vlan-trunk", |scene| {
        let (c1, c2, c3) = (quiet(scene, "c1")?, quiet(scene, "c2")?, quiet(scene, "c3")?);
        let _switch = Switch::builder(scene)
            .port(&format!("{},trunks=10+20", scene.server_port("g1")))
            .port(&format!("{},tag=10", c1.port("tap1")))
            .port(&format!("{},tag=20", c2.port("tap2")))
            .port(&format!("{},tag=30", c3.port("tap3")))
            .start()?;
        let g1 = Guest::builder(scene, "g1")
            .setup(&tagged("v10", "eth0", "id 10", "10.0.10.1/24"))
            .setup(&tagged("v20", "eth0", "id 20", "10.0.20.1/24"))
            .setup(&tagged("v30", "eth0", "id 30", "10.0.30.1/24"))
            .start()?;
        c1.address("tap1", "10.0.10.2/24")?;
        c2.address("tap2", "10.0.20.2/24")?;
        c3.address("tap3", "10.0.30.2/24")?;
        g1.ready()?;
        g1.reach("10.0.10.2")?;
        g1.reach("10.0.20.2")?;
        c1.ping_all("10.0.10.1", 5, 1472)?;
        c2.ping_all("10.0.20.1", 5, 1472)?;

        assert!(!g1.reaches("10.0.30.2")?, "the trunk carries a VLAN that it does not allow");
        g1.ping_all("10.0.10.2", 5, 56)?;
        assert_eq!(
            c3.statistic("tap3", "rx_packets")?,
            0,
            "c3 heard frames of a VLAN that is not allowed"
        );

        // Segments of TCP with a tag, sent with the offloads of guest and TAP.
        let (one, two) = (g1.serve("one", 8)?, c1.serve("two", 8)?);
        assert_eq!(c1.fetch("10.0.10.1", "one")?, one, "from tagged to untagged");
        assert_eq!(g1.fetch("10.0.10.2", "two")?, two, "from untagged to tagged");
        Ok(())
    });
}

#[test]
fn untagged_frames_of_a_trunk_are_in_its_native_vlan() {
    Scene::play("vlan-native", |scene| {
        let (c1, c2) = (quiet(scene, "c1")?, quiet(scene, "c2")?);
        let _switch = Switch::builder(scene)
            .port(&format!("{},trunks=10+20,native=10", scene.server_port("g1")))
            .port(&format!("{},tag=10", c1.port("tap1")))
            .port(&format!("{},tag=20", c2.port("tap2")))
            .start()?;
        let g1 = Guest::builder(scene, "g1")
            .address("10.0.10.1/24")
            .setup(&tagged("v20", "eth0", "id 20", "10.0.20.1/24"))
            .start()?;
        c1.address("tap1", "10.0.10.2/24")?;
        c2.address("tap2", "10.0.20.2/24")?;
        g1.ready()?;
        g1.reach("10.0.10.2")?;
        c1.ping_all("10.0.10.1", 5, 1000)?;
        g1.reach("10.0.20.2")?;
        c2.ping_all("10.0.20.1", 5, 1000)?;
        Ok(())
    });
}

#[test]
fn qinq_carries_guests_own_vlans_through_a_service_vlan() {
    Scene::play("vlan-qinq", |scene| {
        let outsider = quiet(scene, "c1")?;
        let _switch = Switch::builder(scene)
            .port(&format!("{},dot1q-tunnel=100", scene.server_port("g1")))
            .port(&format!("{},dot1q-tunnel=100", scene.server_port("g2")))
            // A trunk sees both tags.
            .port(&format!("{},trunks=100", scene.server_port("g3")))
            // The guests' inner VLAN is not the switch's VLAN 5.
            .port(&format!("{},tag=5", outsider.port("tap1")))
            .start()?;
        let customer = |name: &str, number: u32| {
            Guest::builder(scene, name)
                .address(&format!("10.0.0.{number}/24"))
                .setup(&tagged("v5", "eth0", "id 5", &format!("10.0.5.{number}/24")))
                .start()
        };
        let (g1, g2) = (customer("g1", 1)?, customer("g2", 2)?);
        let g3 = Guest::builder(scene, "g3")
            .setup(&tagged("s100", "eth0", "protocol 802.1ad id 100", "10.0.0.3/24"))
            .setup(&tagged("v5", "s100", "protocol 802.1q id 5", "10.0.5.3/24"))
            .start()?;
        outsider.address("tap1", "10.0.5.9/24")?;
        for guest in [&g1, &g2, &g3] {
            guest.ready()?;
        }
        g1.reach("10.0.0.2")?;
        g1.reach("10.0.5.2")?;
        g2.ping_all("10.0.5.1", 5, 1400)?;
        // With the service tag seen, and taken off, by a guest on the trunk.
        g3.reach("10.0.0.1")?;
        g3.reach("10.0.5.1")?;
        g3.ping_all("10.0.5.2", 5, 1400)?;

        assert!(!g1.reaches("10.0.5.9")?, "a customer's VLAN 5 reaches the switch's VLAN 5");
        g1.ping_all("10.0.5.2", 5, 56)?;
        assert_eq!(
            outsider.statistic("tap1", "rx_packets")?,
            0,
            "VLAN 5 heard a customer's frames"
        );

        let sum = g1.serve("file", 8)?;
        assert_eq!(g2.fetch("10.0.5.1", "file")?, sum, "TCP inside both tags");
        Ok(())
    });
}
