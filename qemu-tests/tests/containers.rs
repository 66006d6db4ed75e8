//! Containers on TAP ports: what they, and a guest beside them, saw.

#![forbid(unsafe_code)]

use std::process::Command;

use strowger_qemu_tests::{Container, Guest, Machine, Scene, Switch};

/// The interfaces of the host's own namespace.
fn host_interfaces() -> String {
    let output = Command::new("ip").args(["-o", "link", "show"]).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn guest_and_container_talk() {
    Scene::play("container-guest", |scene| {
        let c1 = Container::new(scene, "c1")?;
        let switch =
            Switch::builder(scene).port(&scene.server_port("g1")).port(&c1.port("tapa")).start()?;
        let g1 =
            Guest::builder(scene, "g1").address("10.0.0.1/24").address("fd00::1/64").start()?;
        c1.address("tapa", "10.0.0.2/24")?;
        c1.address("tapa", "fd00::2/64")?;
        g1.ready()?;

        g1.reach("10.0.0.2")?;
        c1.reach("10.0.0.1")?;
        for size in [0, 56, 1472, 4000] {
            c1.ping_all("10.0.0.1", 5, size)?;
        }
        c1.reach("fd00::1")?;
        g1.reach("fd00::2")?;

        let (one, two) = (g1.serve("one", 16)?, c1.serve("two", 16)?);
        assert_eq!(c1.fetch("10.0.0.1", "one")?, one, "from the guest to the container");
        assert_eq!(g1.fetch("10.0.0.2", "two")?, two, "from the container to the guest");
        assert_eq!(switch.status()?.stations("br0")?, 2);
        Ok(())
    });
}

#[test]
fn two_containers_talk_and_the_host_sees_no_interface() {
    Scene::play("container-pair", |scene| {
        let (c1, c2) = (Container::new(scene, "c1")?, Container::new(scene, "c2")?);
        // Names that nobody else on this machine has.
        let (tap1, tap2) = (format!("a{}", std::process::id()), format!("b{}", std::process::id()));
        let switch = Switch::builder(scene).port(&c1.port(&tap1)).port(&c2.port(&tap2)).start()?;
        c1.address(&tap1, "10.0.0.1/24")?;
        c2.address(&tap2, "10.0.0.2/24")?;
        c1.reach("10.0.0.2")?;
        c2.ping_all("10.0.0.1", 20, 1472)?;

        let host = host_interfaces();
        assert!(!host.contains(&tap1) && !host.contains(&tap2), "the host sees a TAP: {host}");
        assert!(c1.run("ip link")?.contains(&tap1));

        let (one, two) = (c1.serve("one", 32)?, c2.serve("two", 32)?);
        assert_eq!(c2.fetch("10.0.0.1", "one")?, one, "from c1 to c2");
        assert_eq!(c1.fetch("10.0.0.2", "two")?, two, "from c2 to c1");

        assert!(switch.stop()?.success(), "the switch ends in order");
        assert!(!c1.run("ip link")?.contains(&tap1), "the TAP is gone with the switch");
        assert!(!host_interfaces().contains(&tap1), "and has not come back to the host");
        Ok(())
    });
}

#[test]
fn a_tap_with_several_queues_carries_several_connections() {
    Scene::play("container-queues", |scene| {
        let (c1, c2) = (Container::new(scene, "c1")?, Container::new(scene, "c2")?);
        let switch = Switch::builder(scene)
            .port(&format!("{},queues=2", c1.port("tapa")))
            .port(&format!("{},queues=2", c2.port("tapb")))
            .workers("0,1")
            .start()?;
        c1.address("tapa", "10.0.0.1/24")?;
        c2.address("tapb", "10.0.0.2/24")?;
        c1.reach("10.0.0.2")?;
        assert_eq!(switch.status()?.port("tapa")?.queue_pairs, 2);
        assert_eq!(c1.run("ls -d /sys/class/net/tapa/queues/tx-* | wc -l")?.trim(), "2");

        let sum = c1.serve("file", 8)?;
        // Eight connections at once, so that both queues have some.
        let sums = c2.run(
            "for i in 1 2 3 4 5 6 7 8; do
               (wget -q -O - http://10.0.0.1/file | sha256sum | cut -d' ' -f1 >$HOME/sum$i) &
             done; wait; cat $HOME/sum?",
        )?;
        let sums: Vec<&str> = sums.lines().collect();
        assert_eq!(sums, [sum.as_str(); 8], "each connection brought the file whole");
        c2.ping_all("10.0.0.1", 20, 1000)?;
        Ok(())
    });
}
