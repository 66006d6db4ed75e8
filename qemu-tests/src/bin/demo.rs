//! `make demo`: two virtual machines and a container talk through the switch, before your eyes.
//!
//! Each step says what it shows and asserts it on what the guests saw. Exit code 0 and everything
//! cleaned up, or 1 with what failed and where the logs are.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it is a show")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use strowger_qemu_tests::{Container, Error, Guest, Machine, Result, Scene, Switch, until};

/// The file that goes from guest to guest, in MiB.
const FILE_MIB: u32 = 64;

fn main() -> ExitCode {
    let began = Instant::now();
    let played = Scene::new("demo").and_then(|scene| {
        play(&scene)?;
        scene.pass();
        Ok(())
    });
    match played {
        Ok(()) => {
            println!("\nAll of it worked, in {:.0} s.", began.elapsed().as_secs_f32());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(scene: &Scene) -> Result {
    println!("Strowger: two virtual machines and a container on one switch\n");
    let container = Container::new(scene, "container")?;
    let switch =
        step("the switch starts: two vhost-user ports, two TAP ports in a namespace", || {
            Switch::builder(scene)
                .port(&scene.server_port("guest1"))
                .port(&scene.server_port("guest2"))
                .port(&container.port("tap0"))
                .port(&format!("{},tag=20", container.port("tap20")))
                .start()
        })?;
    let (guest1, guest2) = step("two QEMU guests boot: Debian's kernel, busybox", || {
        let guest = |name| Guest::builder(scene, name).memory(256);
        let guest1 = guest("guest1").address("10.0.0.1/24").address("10.0.20.1/24").start()?;
        let guest2 = guest("guest2").address("10.0.0.2/24").start()?;
        container.address("tap0", "10.0.0.3/24")?;
        container.address("tap20", "10.0.20.3/24")?;
        guest1.ready()?;
        guest2.ready()?;
        Ok((guest1, guest2))
    })?;

    step("the guests ping each other", || {
        guest1.reach("10.0.0.2")?;
        guest2.reach("10.0.0.1")?;
        guest1.ping_all("10.0.0.2", 10, 1400)
    })?;
    let sum = step(&format!("guest1 makes a file of {FILE_MIB} MiB of random bytes"), || {
        guest1.serve("file", FILE_MIB)
    })?;
    step("the file goes to guest2 over TCP, and its SHA-256 is the same", || {
        let arrived = guest2.fetch("10.0.0.1", "file")?;
        ensure(arrived == sum, || format!("guest1 has SHA-256 {sum}, guest2 got {arrived}"))
    })?;
    println!("      {sum}");
    step("guest1 and the container reach each other", || {
        guest1.reach("10.0.0.3")?;
        container.reach("10.0.0.1")?;
        container.ping_all("10.0.0.1", 10, 1400)
    })?;
    step("VLAN 20 keeps guest1, which is outside, and the container's second port apart", || {
        // The requests of guest1 went out before this answer came: had they been let through,
        // they would have been counted.
        let reached = guest1.reaches("10.0.20.3")?;
        guest1.ping_all("10.0.0.3", 3, 56)?;
        let heard = container.statistic("tap20", "rx_packets")?;
        ensure(!reached && heard == 0, || format!("reached: {reached}; frames heard: {heard}"))
    })?;
    step("and guest2, which tags its frames with VLAN 20, reaches it", || {
        guest2.run(
            "ip link add link eth0 name vlan20 type vlan id 20
             ip link set vlan20 up
             ip addr add 10.0.20.2/24 dev vlan20",
        )?;
        guest2.reach("10.0.20.3")?;
        container.reach("10.0.20.2")
    })?;
    step("what guests and container counted is what the switch counted", || {
        until("the counters agree once all is quiet", || {
            Ok(counted(&switch, &guest1, "eth0", "guest1")?
                && counted(&switch, &guest2, "eth0", "guest2")?
                && counted(&switch, &container, "tap0", "tap0")?)
        })
    })?;
    counters(&switch)?;
    step("the switch ends in order and leaves nothing behind", || {
        let status = switch.stop()?;
        let left = ["guest1", "guest2"].iter().any(|port| scene.socket(port).exists());
        ensure(status.success() && !left, || format!("{status}; sockets left: {left}"))
    })
}

/// Shows what is going on, then how it went.
fn step<T>(title: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let terminal = std::io::stdout().is_terminal();
    if terminal {
        print!(" ...  {title}");
        // It is only for the eye.
        let _ = std::io::stdout().flush();
    }
    let began = Instant::now();
    let result = act();
    let start = if terminal { "\r" } else { "" };
    let verdict = if result.is_ok() { "  ok " } else { "FAIL " };
    println!("{start}{verdict} {title} ({:.1} s)", began.elapsed().as_secs_f32());
    result
}

fn ensure(held: bool, why: impl FnOnce() -> String) -> Result {
    if held { Ok(()) } else { Err(Error::Wrong(why())) }
}

/// Do a machine's interface and the switch agree about the frames between them?
fn counted(switch: &Switch, machine: &dyn Machine, interface: &str, port: &str) -> Result<bool> {
    let status = switch.status()?.port(port)?;
    Ok(machine.statistic(interface, "rx_packets")? == status.tx_frames
        && machine.statistic(interface, "tx_packets")? == status.rx_frames)
}

fn counters(switch: &Switch) -> Result {
    let status = switch.status()?;
    println!("      {:<8} {:>12} {:>12} {:>8}", "port", "frames in", "frames out", "dropped");
    for name in ["guest1", "guest2", "tap0", "tap20"] {
        let port = status.port(name)?;
        println!(
            "      {name:<8} {:>12} {:>12} {:>8}",
            port.rx_frames,
            port.tx_frames,
            port.dropped()
        );
    }
    Ok(())
}
