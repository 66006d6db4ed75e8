//! Guests that die, reset, pause; a switch that starts again; ports that are idle.

#![forbid(unsafe_code)]

use strowger_qemu_tests::{Guest, GuestBuilder, Machine, Result, Role, Scene, Switch, until};

/// A switch with the ports `g1`, `g2`, `g3`, and a guest for each.
fn three(scene: &Scene) -> Result<(Switch, [Guest; 3])> {
    let mut switch = Switch::builder(scene);
    for name in ["g1", "g2", "g3"] {
        switch = switch.port(&scene.server_port(name));
    }
    let switch = switch.start()?;
    let guests = [guest(scene, 1).start()?, guest(scene, 2).start()?, guest(scene, 3).start()?];
    for guest in &guests {
        guest.ready()?;
    }
    Ok((switch, guests))
}

fn guest(scene: &Scene, number: u32) -> GuestBuilder<'_> {
    Guest::builder(scene, &format!("g{number}")).address(&format!("10.0.0.{number}/24"))
}

/// Has a guest send without end to an address, and waits until the switch moves those frames.
fn send_for_ever(switch: &Switch, guest: &Guest, to: &str) -> Result {
    guest.reach(to)?;
    guest.run(&format!("datagrams send {to}:9 1000000000 1000 10 >/dev/null 2>&1 &"))?;
    moving(switch, guest.name())
}

/// Waits until more frames of a port come into the switch.
fn moving(switch: &Switch, port: &str) -> Result {
    let before = switch.status()?.port(port)?.rx_frames;
    until(&format!("frames of {port} come in"), || {
        Ok(switch.status()?.port(port)?.rx_frames > before + 100)
    })
}

#[test]
fn a_sender_killed_in_the_middle_of_traffic_harms_nobody() {
    Scene::play("lifecycle-kill-sender", |scene| {
        let (switch, [g1, g2, g3]) = three(scene)?;
        send_for_ever(&switch, &g1, "10.0.0.2")?;
        g1.kill();
        until("the port of the dead guest is down", || Ok(!switch.status()?.port("g1")?.up))?;
        g2.reach("10.0.0.3")?;
        g3.ping_all("10.0.0.2", 20, 1000)?;

        // Its place can be taken again.
        drop(g1);
        let again = guest(scene, 1).start()?;
        again.ready()?;
        again.reach("10.0.0.2")?;
        g3.reach("10.0.0.1")?;
        switch.check()
    });
}

#[test]
fn a_receiver_killed_in_the_middle_of_traffic_harms_nobody() {
    Scene::play("lifecycle-kill-receiver", |scene| {
        let (switch, [g1, g2, g3]) = three(scene)?;
        send_for_ever(&switch, &g1, "10.0.0.2")?;
        g2.kill();
        until("the port of the dead guest is down", || Ok(!switch.status()?.port("g2")?.up))?;
        moving(&switch, "g1")?;
        g3.reach("10.0.0.1")?;
        g1.reach("10.0.0.3")?;

        drop(g2);
        let again = guest(scene, 2).start()?;
        again.ready()?;
        again.reach("10.0.0.3")?;
        g1.reach("10.0.0.2")?;
        switch.check()
    });
}

#[test]
fn a_guest_talks_again_after_reset_and_reboot() {
    Scene::play("lifecycle-reset", |scene| {
        let (switch, [g1, g2, g3]) = three(scene)?;
        send_for_ever(&switch, &g1, "10.0.0.2")?;
        g1.reset()?;
        g1.reach("10.0.0.2")?;
        g2.reach("10.0.0.1")?;
        g3.ping_all("10.0.0.2", 20, 1000)?;

        send_for_ever(&switch, &g3, "10.0.0.1")?;
        g1.reboot()?;
        g1.reach("10.0.0.2")?;
        g3.run("killall datagrams")?;
        g3.reach("10.0.0.1")?;
        let sum = g2.serve("file", 4)?;
        assert_eq!(g1.fetch("10.0.0.2", "file")?, sum);
        switch.check()
    });
}

#[test]
fn a_paused_guest_holds_up_nobody_and_goes_on() {
    Scene::play("lifecycle-pause", |scene| {
        let (switch, [g1, g2, g3]) = three(scene)?;
        send_for_ever(&switch, &g1, "10.0.0.2")?;
        g2.pause()?;
        // More than g2's ring holds goes to it while it stands still.
        moving(&switch, "g1")?;
        moving(&switch, "g1")?;
        g3.reach("10.0.0.1")?;
        g2.resume()?;
        g2.reach("10.0.0.3")?;
        g1.run("killall datagrams")?;
        g1.reach("10.0.0.2")?;
        g2.ping_all("10.0.0.3", 20, 1000)?;
        switch.check()
    });
}

#[test]
fn guests_find_a_switch_again_that_listens() {
    Scene::play("lifecycle-restart-server", |scene| {
        let builder =
            Switch::builder(scene).port(&scene.server_port("g1")).port(&scene.server_port("g2"));
        let switch = builder.start()?;
        let (g1, g2) = (guest(scene, 1).start()?, guest(scene, 2).start()?);
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;

        assert!(switch.stop()?.success(), "the switch ends in order, with guests attached");
        for port in ["g1", "g2"] {
            assert!(!scene.socket(port).exists(), "the socket of {port} is gone");
        }
        let switch = builder.start()?;
        g1.reach("10.0.0.2")?;
        g2.ping_all("10.0.0.1", 20, 1000)?;
        assert_eq!(switch.status()?.stations("br0")?, 2);
        Ok(())
    });
}

#[test]
fn a_switch_that_connects_finds_guests_again_also_after_a_crash() {
    Scene::play("lifecycle-restart-client", |scene| {
        let builder =
            Switch::builder(scene).port(&scene.client_port("g1")).port(&scene.client_port("g2"));
        let switch = builder.start()?;
        let listening = |number| guest(scene, number).role(Role::Listens).start();
        let (g1, g2) = (listening(1)?, listening(2)?);
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;

        assert!(switch.stop()?.success(), "the switch ends in order, with guests attached");
        let switch = builder.start()?;
        g1.reach("10.0.0.2")?;
        g2.ping_all("10.0.0.1", 20, 1000)?;

        switch.kill();
        let switch = builder.start()?;
        g1.reach("10.0.0.2")?;
        g2.ping_all("10.0.0.1", 20, 1000)?;

        // And the other way round: QEMU goes and comes.
        g2.kill();
        until("the port of the dead guest is down", || Ok(!switch.status()?.port("g2")?.up))?;
        drop(g2);
        let g2 = listening(2)?;
        g2.ready()?;
        g2.reach("10.0.0.1")?;
        switch.check()
    });
}

#[test]
fn an_idle_switch_sleeps_and_wakes() {
    Scene::play("lifecycle-idle", |scene| {
        let (switch, [g1, g2, _g3]) = three(scene)?;
        g1.reach("10.0.0.2")?;
        let sleeps = |switch: &Switch| -> Result<u64> {
            Ok(switch.status()?.workers()?.iter().map(|worker| worker.sleeps).sum())
        };
        for _ in 0..3 {
            let before = sleeps(&switch)?;
            g2.ping_all("10.0.0.1", 3, 56)?;
            until("the worker goes to sleep after traffic", || Ok(sleeps(&switch)? > before))?;
        }
        Ok(())
    });
}

#[test]
fn a_busy_switch_never_sleeps_and_forwards() {
    Scene::play("lifecycle-busy", |scene| {
        let switch = Switch::builder(scene)
            .port(&scene.server_port("g1"))
            .port(&scene.server_port("g2"))
            .poll("busy")
            .start()?;
        let (g1, g2) = (guest(scene, 1).start()?, guest(scene, 2).start()?);
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;
        g2.ping_all("10.0.0.1", 20, 1000)?;
        let workers = switch.status()?.workers()?;
        assert!(workers.iter().all(|worker| worker.sleeps == 0), "{workers:?}");
        assert!(workers.iter().any(|worker| worker.frames > 40), "{workers:?}");
        Ok(())
    });
}
