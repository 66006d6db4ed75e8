//! Two guests on one bridge: what each saw of the other.

#![forbid(unsafe_code)]

use strowger_qemu_tests::{Guest, HugePages, Machine, Result, Role, Scene, Switch, until};

/// What each guest pair's test begins with: two guests that are ready, and a switch between.
fn pair(scene: &Scene) -> Result<(Switch, Guest, Guest)> {
    let switch = Switch::builder(scene)
        .port(&scene.server_port("g1"))
        .port(&scene.server_port("g2"))
        .start()?;
    let g1 = Guest::builder(scene, "g1").address("10.0.0.1/24").address("fd00::1/64").start()?;
    let g2 = Guest::builder(scene, "g2").address("10.0.0.2/24").address("fd00::2/64").start()?;
    g1.ready()?;
    g2.ready()?;
    Ok((switch, g1, g2))
}

#[test]
fn guests_ping_each_other_and_are_learned() {
    Scene::play("guests-ping", |scene| {
        let (switch, g1, g2) = pair(scene)?;
        g1.reach("10.0.0.2")?;
        g2.reach("10.0.0.1")?;
        for size in [0, 1, 56, 1000, 1472] {
            g1.ping_all("10.0.0.2", 5, size)?;
        }
        // More than a frame holds: fragments.
        g1.ping_all("10.0.0.2", 5, 4000)?;

        let neighbour = g1.run("ip neigh show 10.0.0.2")?;
        let mac = g2.run("cat /sys/class/net/eth0/address")?;
        assert!(neighbour.contains(mac.trim()), "ARP of g1 says {neighbour}, g2 has {mac}");

        let status = switch.status()?;
        assert_eq!(status.stations("br0")?, 2, "the bridge has learned the two guests");
        for name in ["g1", "g2"] {
            let port = status.port(name)?;
            assert!(port.up && port.queue_pairs == 1, "{name}: {port:?}");
            assert!(port.rx_frames > 30 && port.tx_frames > 30, "{name} has frames: {port:?}");
        }
        Ok(())
    });
}

#[test]
fn guests_ping_each_other_over_ipv6() {
    Scene::play("guests-ipv6", |scene| {
        let (_switch, g1, g2) = pair(scene)?;
        g1.reach("fd00::2")?;
        g2.reach("fd00::1")?;
        g1.ping_all("fd00::2", 5, 56)?;
        g2.ping_all("fd00::1", 5, 1452)?;
        Ok(())
    });
}

#[test]
fn files_arrive_whole_both_ways() {
    Scene::play("guests-files", |scene| {
        let (switch, g1, g2) = pair(scene)?;
        g1.reach("10.0.0.2")?;
        let (one, two) = (g1.serve("one", 16)?, g2.serve("two", 16)?);
        assert_eq!(g2.fetch("10.0.0.1", "one")?, one, "from g1 to g2");
        assert_eq!(g1.fetch("10.0.0.2", "two")?, two, "from g2 to g1");
        assert_eq!(g1.fetch("fd00::2", "two")?, two, "from g2 to g1 over IPv6");

        // What the guests' drivers count is what the switch counts, once all is quiet.
        until("the counters of switch and guests agree", || {
            let status = switch.status()?;
            for (guest, name) in [(&g1, "g1"), (&g2, "g2")] {
                let port = status.port(name)?;
                if guest.statistic("eth0", "rx_packets")? != port.tx_frames
                    || guest.statistic("eth0", "tx_packets")? != port.rx_frames
                {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    });
}

#[test]
fn guests_talk_where_qemu_listens_and_the_switch_connects() {
    Scene::play("guests-client-ports", |scene| {
        let switch = Switch::builder(scene)
            .port(&scene.client_port("g1"))
            .port(&scene.client_port("g2"))
            .start()?;
        let listening = |name, address| {
            Guest::builder(scene, name).role(Role::Listens).address(address).start()
        };
        let (g1, g2) = (listening("g1", "10.0.0.1/24")?, listening("g2", "10.0.0.2/24")?);
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;
        g2.ping_all("10.0.0.1", 5, 1000)?;
        assert_eq!(switch.status()?.stations("br0")?, 2);
        Ok(())
    });
}

/// Where the machine has no huge pages to give, the guest is an ordinary one.
#[test]
fn a_guest_on_huge_pages_talks_to_one_without() {
    Scene::play("guests-huge-pages", |scene| {
        // 128 MiB; before the guest, so that it is dropped after it.
        let pages = HugePages::reserve(64)?;
        let switch = Switch::builder(scene)
            .port(&scene.server_port("g1"))
            .port(&scene.server_port("g2"))
            .start()?;
        let g1 = Guest::builder(scene, "g1").address("10.0.0.1/24").memory(128);
        let g1 = if pages.is_some() { g1.huge_pages() } else { g1 }.start()?;
        let g2 = Guest::builder(scene, "g2").address("10.0.0.2/24").start()?;
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;
        let (one, two) = (g1.serve("one", 8)?, g2.serve("two", 8)?);
        assert_eq!(g2.fetch("10.0.0.1", "one")?, one, "from huge pages");
        assert_eq!(g1.fetch("10.0.0.2", "two")?, two, "to huge pages");
        // The switch lets go of the pages before they are given back.
        drop(g1);
        until("the port of the guest that went is down", || Ok(!switch.status()?.port("g1")?.up))?;
        assert!(switch.stop()?.success());
        drop(pages);
        Ok(())
    });
}

#[test]
fn three_guests_hear_a_broadcast_and_only_one_hears_what_is_its_own() {
    Scene::play("guests-flood", |scene| {
        let mut builder = Switch::builder(scene);
        for name in ["g1", "g2", "g3"] {
            builder = builder.port(&scene.server_port(name));
        }
        let _switch = builder.start()?;
        let mut guests = Vec::new();
        for number in 1..=3 {
            let guest = Guest::builder(scene, &format!("g{number}"))
                .address(&format!("10.0.0.{number}/24"))
                // Silence: nothing of the guests' own accord.
                .setup("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1")
                .start()?;
            guests.push(guest);
        }
        for guest in &guests {
            guest.ready()?;
        }
        let [g1, g2, g3] = guests.as_slice() else { unreachable!("three were made") };
        // ARP requests are broadcasts: each asks, so each is learned.
        g1.reach("10.0.0.2")?;
        g1.reach("10.0.0.3")?;
        g2.reach("10.0.0.3")?;
        let before = g3.statistic("eth0", "rx_packets")?;
        assert!(before >= 2, "g3 heard the requests for others and for itself: {before}");

        // From here on g1 and g2 know each other: their frames are not for g3.
        for (guest, other, address) in [(g1, g2, "10.0.0.2"), (g2, g1, "10.0.0.1")] {
            let mac = other.run("cat /sys/class/net/eth0/address")?;
            guest.run(&format!("arp -i eth0 -s {address} {mac}"))?;
        }
        let before = g3.statistic("eth0", "rx_packets")?;
        g1.ping_all("10.0.0.2", 50, 56)?;
        let after = g3.statistic("eth0", "rx_packets")?;
        assert!(after - before < 50, "g3 heard {} frames of a talk of 100 others", after - before);
        Ok(())
    });
}
