//! Offloads and ring features: whatever each guest's device can or cannot, TCP arrives right.

#![forbid(unsafe_code)]

use strowger_qemu_tests::{Container, Guest, GuestBuilder, Machine, Result, Scene, Switch, until};

/// A guest with every feature and one that `change` describes move files both ways.
fn exchange(name: &str, change: impl FnOnce(GuestBuilder) -> GuestBuilder) {
    Scene::play(name, |scene| {
        let _switch = Switch::builder(scene)
            .port(&scene.server_port("g1"))
            .port(&scene.server_port("g2"))
            .start()?;
        let g1 =
            Guest::builder(scene, "g1").address("10.0.0.1/24").address("fd00::1/64").start()?;
        let g2 = change(Guest::builder(scene, "g2").address("10.0.0.2/24").address("fd00::2/64"))
            .start()?;
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;
        g2.reach("fd00::1")?;
        let (one, two) = (g1.serve("one", 8)?, g2.serve("two", 8)?);
        assert_eq!(g2.fetch("10.0.0.1", "one")?, one, "from all to {name}");
        assert_eq!(g1.fetch("10.0.0.2", "two")?, two, "from {name} to all");
        assert_eq!(g2.fetch("fd00::1", "one")?, one, "from all to {name}, IPv6");
        assert_eq!(g1.fetch("fd00::2", "two")?, two, "from {name} to all, IPv6");
        g1.ping_all("10.0.0.2", 5, 4000)
    });
}

#[test]
#[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one lifetime only")]
fn a_guest_without_any_offload() {
    exchange("offloads-none", |guest| guest.without_offloads());
}

#[test]
fn a_guest_with_checksums_but_without_segmentation() {
    exchange("offloads-checksum", |guest| {
        ["host_tso4=off", "host_tso6=off", "guest_tso4=off", "guest_tso6=off"]
            .iter()
            .fold(guest, |guest, property| guest.property(property))
    });
}

#[test]
fn a_guest_without_mergeable_buffers() {
    exchange("offloads-mrg-rxbuf", |guest| guest.property("mrg_rxbuf=off"));
}

#[test]
fn a_guest_without_event_idx() {
    exchange("offloads-event-idx", |guest| guest.property("event_idx=off"));
}

#[test]
fn a_guest_without_indirect_descriptors() {
    exchange("offloads-indirect", |guest| guest.property("indirect_desc=off"));
}

#[test]
fn a_container_and_a_guest_without_offloads() {
    Scene::play("offloads-container", |scene| {
        let c1 = Container::new(scene, "c1")?;
        let _switch =
            Switch::builder(scene).port(&scene.server_port("g1")).port(&c1.port("tap1")).start()?;
        let g1 = Guest::builder(scene, "g1").address("10.0.0.1/24").without_offloads().start()?;
        c1.address("tap1", "10.0.0.2/24")?;
        g1.ready()?;
        g1.reach("10.0.0.2")?;
        let (one, two) = (g1.serve("one", 8)?, c1.serve("two", 8)?);
        assert_eq!(c1.fetch("10.0.0.1", "one")?, one, "from the guest to the container");
        assert_eq!(g1.fetch("10.0.0.2", "two")?, two, "from the container to the guest");
        Ok(())
    });
}

#[test]
fn several_queues_on_two_workers_are_all_used() {
    Scene::play("offloads-queues", |scene| {
        let switch = Switch::builder(scene)
            .port(&scene.server_port("g1"))
            .port(&scene.server_port("g2"))
            .workers("0,1")
            .start()?;
        let g1 = Guest::builder(scene, "g1").queues(2).address("10.0.0.1/24").start()?;
        let g2 = Guest::builder(scene, "g2").queues(2).address("10.0.0.2/24").start()?;
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;
        until("both queue pairs of both guests run", || {
            let status = switch.status()?;
            Ok(status.port("g1")?.queue_pairs == 2 && status.port("g2")?.queue_pairs == 2)
        })?;
        let workers = switch.status()?.workers()?;
        assert_eq!(workers.iter().map(|worker| worker.queues).collect::<Vec<_>>(), [2, 2]);

        // A guest's driver sends on the queue of the processor that sends: use each.
        for processor in ["1", "2"] {
            until(&format!("processor mask {processor} reaches the other guest"), || {
                let command = format!("taskset {processor} ping -c 20 -A -W 5 10.0.0.2");
                Ok(g1.try_run(&command)?.code == 0)
            })?;
        }
        until("both workers have moved frames", || {
            Ok(switch.status()?.workers()?.iter().all(|worker| worker.frames > 0))
        })?;

        let sum = g1.serve("file", 4)?;
        let sums = g2.run(
            "for i in 1 2 3 4; do
               (taskset $((i % 2 + 1)) wget -q -O - http://10.0.0.1/file | sha256sum | cut -d' ' -f1 >/tmp/sum$i) &
             done; wait; cat /tmp/sum?",
        )?;
        assert_eq!(sums.lines().collect::<Vec<_>>(), [sum.as_str(); 4]);
        Ok(())
    });
}

/// One flood to receivers of different abilities. UDP may be lost where a receiver is too slow,
/// also inside of it; but what arrives is whole and came once, and each got some.
#[test]
fn a_flood_reaches_receivers_with_and_without_offloads_unharmed() {
    Scene::play("offloads-flood", |scene| {
        let c1 = Container::new(scene, "c1")?;
        let switch = Switch::builder(scene)
            .port(&scene.server_port("g1"))
            .port(&scene.server_port("g2"))
            .port(&scene.server_port("g3"))
            .port(&c1.port("tap1"))
            .start()?;
        let multicast = "ip route replace 224.0.0.0/4 dev eth0";
        let g1 = Guest::builder(scene, "g1").address("10.0.0.1/24").setup(multicast).start()?;
        let g2 = Guest::builder(scene, "g2").address("10.0.0.2/24").setup(multicast).start()?;
        let g3 = Guest::builder(scene, "g3")
            .address("10.0.0.3/24")
            .setup(multicast)
            .without_offloads()
            .start()?;
        c1.address("tap1", "10.0.0.4/24")?;
        c1.run("ip route replace 224.0.0.0/4 dev tap1")?;
        for guest in [&g1, &g2, &g3] {
            guest.ready()?;
        }
        for address in ["10.0.0.2", "10.0.0.3", "10.0.0.4"] {
            g1.reach(address)?;
        }
        let receivers: [&dyn Machine; 3] = [&g2, &g3, &c1];
        // 3000 bytes are three fragments.
        for (port, address, size) in
            [(5001, "10.0.0.255", 200), (5002, "239.1.2.3", 1400), (5003, "10.0.0.255", 3000)]
        {
            let group = if address.starts_with("239.") { address } else { "" };
            for receiver in receivers {
                let log = format!("$HOME/received-{port}");
                receiver.run(&format!("datagrams receive {port} {group} >{log} 2>&1 &"))?;
                until(&format!("{} listens", receiver.name()), || {
                    Ok(receiver.try_run(&format!("grep listening {log}"))?.code == 0)
                })?;
            }
            g1.run(&format!("datagrams send {address}:{port} 500 {size}"))?;
            for receiver in receivers {
                let report = until_report(&g1, receiver, address, port, size)?;
                let [whole, broken, repeated] = report;
                assert_eq!(
                    (broken, repeated),
                    (0, 0),
                    "{}, {address}: {report:?}",
                    receiver.name()
                );
                assert!((1..=500).contains(&whole), "{}, {address}: {report:?}", receiver.name());
            }
        }
        switch.check()
    });
}

/// What a receiver counted: whole, broken, repeated. It may have lost all the datagrams that said
/// it was the end: then they are said again, after more that it can count.
fn until_report(
    sender: &Guest,
    receiver: &dyn Machine,
    address: &str,
    port: u16,
    size: u32,
) -> Result<[u64; 3]> {
    let mut report = Vec::new();
    until(&format!("{} has received", receiver.name()), || {
        let text = receiver.run(&format!("cat $HOME/received-{port}"))?;
        report = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let done = report.len() == 3;
        if !done {
            sender.run(&format!("datagrams send {address}:{port} 0 {size}"))?;
        }
        Ok(done)
    })?;
    let counts: [u64; 3] = report.try_into().unwrap_or_default();
    Ok(counts)
}
