//! A day with the switch, as its operator has it: a file, two guests, a change, a mirror, a capture, a metric.
//! What README.md tells a new user is done here, against real guests.

#![forbid(unsafe_code)]

use std::process::Command;

use strowger_qemu_tests::{Container, Error, Guest, Machine, Result, Scene, Switch, until};

/// The file of the day: two guests on a bridge.
fn file(scene: &Scene) -> Result<std::path::PathBuf> {
    let path = scene.path("strowger.toml");
    let text = format!(
        "[switch]\nstate = \"{state}\"\n\n[bridges.br0]\n\n\
         [ports.g1]\nbridge = \"br0\"\nkind = \"vhost-user\"\npath = \"{g1}\"\n\n\
         [ports.g2]\nbridge = \"br0\"\nkind = \"vhost-user\"\npath = \"{g2}\"\n",
        state = scene.path("state").display(),
        g1 = scene.socket("g1").display(),
        g2 = scene.socket("g2").display(),
    );
    std::fs::create_dir_all(scene.path("state"))
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| Error::Wrong(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}

/// A program of the host that must succeed; what it wrote.
fn host(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(words)
        .output()
        .map_err(|error| Error::Wrong(format!("cannot start {program}: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Wrong(format!("{program} {words:?}: {}", text(&output.stderr))))
}

fn ensure(held: bool, why: impl FnOnce() -> String) -> Result {
    if held { Ok(()) } else { Err(Error::Wrong(why())) }
}

/// The value of a metric's sample whose labels hold all of these.
fn metric(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| {
        let own = line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        own && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_day_with_two_guests() {
    Scene::play("operate", |scene| {
        let file = file(scene)?;
        let path = file.display().to_string();
        let switch = Switch::builder(scene).config(&file).start()?;
        let g1 = Guest::builder(scene, "g1").address("10.0.0.1/24").start()?;
        let g2 = Guest::builder(scene, "g2").address("10.0.0.2/24").start()?;
        g1.ready()?;
        g2.ready()?;
        g1.reach("10.0.0.2")?;

        // The file says what is there already.
        let said = switch.ask(&["apply", "-f", &path])?;
        ensure(said.contains("no changes"), || format!("apply of the same file said {said:?}"))?;

        // A probe in a namespace sees what g1 sees, and nothing after the mirror is gone.
        let probe = Container::new(scene, "probe")?;
        switch.ask(&["port", "add", &probe.port("span0"), "bridge=br0"])?;
        switch.ask(&["mirror", "add", "watch", "bridge=br0", "ports=g1", "to=span0"])?;
        until("the probe's interface is there", || {
            Ok(probe.try_run("ip link set span0 up")?.code == 0)
        })?;
        let before = probe.statistic("span0", "rx_packets")?;
        g1.ping_all("10.0.0.2", 5, 1000)?;
        until("the probe has both ways of five pings", || {
            Ok(probe.statistic("span0", "rx_packets")? >= before + 10)
        })?;
        switch.ask(&["mirror", "del", "watch"])?;
        switch.ask(&["port", "del", "span0"])?;

        // A capture has requests and answers, and the guests do not notice.
        let captured = scene.path("g1.pcapng").display().to_string();
        let words = ["capture", "g1", "-w", &captured, "--filter", "icmp"];
        let capture = switch.start(scene, "capture", &words)?;
        until("the capture has begun", || {
            capture.check()?;
            Ok(std::fs::metadata(&captured).is_ok_and(|file| file.len() > 0))
        })?;
        g1.ping_all("10.0.0.2", 5, 56)?;
        let counted = |filter: &str| {
            let words =
                ["-r", &captured, "-Y", filter, "-T", "fields", "-e", "frame.interface_name"];
            host("tshark", &words).map(|text| text.lines().filter(|line| *line == "g1").count())
        };
        let ended = capture.stop()?;
        ensure(ended.success(), || format!("the capture ended with {ended}"))?;
        let (requests, answers) = (counted("icmp.type == 8")?, counted("icmp.type == 0")?);
        ensure(requests >= 5 && answers >= 5, || {
            format!("captured {requests} requests and {answers} answers")
        })?;

        // The metric is the port's counter.
        let socket = switch.api().display().to_string();
        until("the metric says what the status says, once all is quiet", || {
            let text =
                host("curl", &["-sf", "--unix-socket", &socket, "http://localhost/metrics"])?;
            let metric = metric(&text, "strowger_port_rx_frames_total", &["port=\"g1\""]);
            Ok(metric == Some(switch.status()?.port("g1")?.rx_frames as f64))
        })?;

        // A VLAN set while they talk keeps the guests apart; taken away, they meet again.
        switch.ask(&["port", "set", "g2", "tag=20"])?;
        until("g1 no longer reaches g2", || Ok(!g1.reaches("10.0.0.2")?))?;
        let said = switch.ask(&["apply", "-f", &path, "--dry-run"])?;
        ensure(said.contains("~ port g2"), || format!("the dry run said {said:?}"))?;
        ensure(!g1.reaches("10.0.0.2")?, || "a dry run changed something".to_owned())?;
        switch.ask(&["apply", "-f", &path])?;
        g1.reach("10.0.0.2")?;

        // What was changed by hand survives a restart.
        switch.ask(&["port", "set", "g2", "tag=20"])?;
        let ended = switch.stop()?;
        ensure(ended.success(), || format!("the switch ended with {ended}"))?;
        let switch = Switch::builder(scene).config(&file).start()?;
        until("both guests are back", || {
            let status = switch.status()?;
            Ok(status.port("g1")?.up && status.port("g2")?.up)
        })?;
        ensure(!g1.reaches("10.0.0.2")?, || "the VLAN was forgotten".to_owned())?;
        switch.ask(&["port", "set", "g2", "tag="])?;
        g1.reach("10.0.0.2")
    });
}
