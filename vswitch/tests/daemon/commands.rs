//! A day with a switch: started from a file, asked, changed and written out again by the program's own commands, with
//! real traffic between two containers.

use std::{fs, path::Path};

use crate::{
    containers::Container,
    netns::eventually,
    running::{Daemon, strowger},
};

/// A switch and the words that it is asked with.
struct Scene {
    daemon: Daemon,
}

impl Scene {
    fn run(&self, words: &str) -> std::process::Output {
        let rundir = self.daemon.path("run");
        let own = self.daemon.path("");
        let words = words.replace("{}", own.to_str().unwrap().trim_end_matches('/'));
        let words: Vec<_> = words.split_whitespace().collect();
        strowger(&[&words[..], &["--rundir", rundir.to_str().unwrap()]].concat())
    }

    /// What a command says when it works.
    #[track_caller]
    fn said(&self, words: &str) -> String {
        let output = self.run(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(0) && error.is_empty(), "{words}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The sentence of a command that does not.
    #[track_caller]
    fn refused(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The words of the line that begins with one.
    #[track_caller]
    fn row(&self, words: &str, first: &str) -> Vec<String> {
        let text = self.said(words);
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(first));
        let line = line.unwrap_or_else(|| panic!("no line of {first}:\n{text}"));
        line.split_whitespace().map(str::to_owned).collect()
    }
}

fn file(path: &Path, left: &Container) -> String {
    let text = format!(
        "[switch]\nworkers = [0]\nrundir = \"{}\"\n\n[bridges.br0]\n\n[ports.left]\nbridge = \"br0\"\nkind = \"tap\"\nnetns = \"{}\"\n",
        path.with_file_name("run").display(),
        left.namespace.argument()
    );
    fs::write(path, &text).unwrap();
    text
}

#[test]
fn a_day_with_a_switch() {
    let (mut left, mut right) = (Container::new(), Container::new());
    let directory = tempfile::tempdir().unwrap();
    let written = file(&directory.path().join("strowger.toml"), &left);
    let scene = Scene { daemon: Daemon::start_with(directory, &["--config", "{}/strowger.toml"]) };

    // A second container comes.
    let port = format!("tap:right@{}", right.namespace.argument());
    let dry = scene.said(&format!("port add {port} number=7 --dry-run"));
    assert!(dry.starts_with("+ port right (tap, bridge br0"), "{dry}");
    assert!(!right.namespace.interfaces().contains(&"right".to_owned()));
    let added = scene.said(&format!("port add {port} number=7"));
    assert!(dry.starts_with(&added), "{added}");
    assert!(right.namespace.interfaces().contains(&"right".to_owned()));
    left.set_address("left", 1);
    right.set_address("right", 2);
    left.ping(&right);

    // What it looks like.
    assert_eq!(scene.row("port list", "right")[..5], ["right", "br0", "7", "tap", "up"]);
    let shown = scene.said("port show right");
    assert!(shown.contains("bridge       br0, number 7\n") && shown.contains("mtu "), "{shown}");
    let stations = scene.said("mac list");
    let mac = scene.daemon.port("right").mac.unwrap();
    assert!(stations.contains(&mac) && stations.contains(" left "), "{stations}");
    let stats = scene.row("stats left", "left");
    assert_ne!(stats[7], "0", "frames came in: {stats:?}");
    let workers = scene.said("worker list");
    assert!(workers.contains("left") && workers.contains("right"), "{workers}");
    assert_eq!(scene.row("bridge list", "br0").last().unwrap(), "right");
    scene.said("drops");
    scene.said("status");

    // It is changed while it runs.
    assert_eq!(scene.said("port set right tag=20"), "~ port right: tag unset → 20\n");
    assert_eq!(scene.row("port list", "right")[6..8], ["access", "20"]);
    assert_eq!(scene.said("port set right tag="), "~ port right: tag 20 → unset\n");
    left.ping(&right);
    let flushed = scene.said("mac flush --port right");
    assert!(flushed.starts_with("forgot ") && flushed != "forgot 0 stations\n", "{flushed}");
    left.ping(&right);
    assert_eq!(scene.said("log level warn"), "warn\n");
    assert_eq!(scene.said("log level"), "warn\n");

    // What runs can be written out, and is then what is wanted.
    scene.said("config show -w {}/now.toml");
    assert_eq!(scene.said("apply -f {}/now.toml"), "no changes\n");
    let now = fs::read_to_string(scene.daemon.path("now.toml")).unwrap();
    assert_eq!(now, scene.said("config show"));

    // A file with one wrong line changes nothing.
    let wrong = written.replace("[bridges.br0]", "[bridges.br1]\n\n[bridges.br0]\nmac-limit = 0");
    fs::write(scene.daemon.path("wrong.toml"), wrong).unwrap();
    let said = scene.refused("apply -f {}/wrong.toml");
    assert!(said.contains("wrong.toml:8:1: bridges.br0.mac-limit: expected"), "{said}");
    assert_eq!(scene.said("config show"), now);
    left.ping(&right);

    // Nor does one that is right and cannot be: somebody has such an interface.
    let taken = format!(
        "{now}\n[ports.more]\nbridge = \"br0\"\nkind = \"tap\"\n\n[ports.lo]\nbridge = \"br0\"\nkind = \"tap\"\n"
    );
    fs::write(scene.daemon.path("taken.toml"), taken).unwrap();
    let said = scene.refused("apply -f {}/taken.toml");
    assert!(said.contains("lo"), "{said}");
    assert_eq!(scene.said("config show"), now);

    // The first file again: the port that it does not know goes.
    assert!(scene.said("apply -f {}/strowger.toml --dry-run").starts_with("- port right\n"));
    assert!(right.namespace.interfaces().contains(&"right".to_owned()));
    assert_eq!(scene.said("apply -f {}/strowger.toml"), "- port right\n");
    eventually("the interface is gone", || {
        (!right.namespace.interfaces().contains(&"right".to_owned())).then_some(())
    });
    assert_eq!(scene.said("apply -f {}/strowger.toml"), "no changes\n");
    assert_eq!(scene.said("port del left"), "- port left\n");
    assert!(scene.refused("port show left").contains("there is no port left"));
    scene.daemon.stop();
}

#[test]
fn flags_and_the_file_that_they_make_give_the_same_switch() {
    let flags = [
        "--bridge",
        "br0,loop-guard=hold,mac-limit=100",
        "--port",
        "vhost-user:vm1={}/vm1.sock,tag=10,ingress-rate=100Mbit",
        "--port",
        "vhost-user-client:vm2={}/vm2.sock,trunks=1+5-9,native=1,number=77",
        "--bridge",
        "br1",
        "--port",
        "vhost-user:span={}/span.sock,bridge=br0",
        "--mirror",
        "watch,bridge=br0,ports=vm1+vm2,to=span",
        "--mac-ageing",
        "33",
        "--workers",
        "0",
    ];
    let scene = Scene { daemon: Daemon::start_with(tempfile::tempdir().unwrap(), &flags) };
    let shape = |scene: &Scene| {
        let mut status = scene.daemon.status();
        (status.pid, status.uptime_seconds) = (0, 0);
        (
            status.bridges,
            status.mirrors,
            status
                .ports
                .into_iter()
                .map(|port| {
                    (port.name, port.number, port.bridge, port.kind, port.vlan, port.ingress_rate)
                })
                .collect::<Vec<_>>(),
        )
    };
    let (by_flags, config) = (shape(&scene), scene.said("config show"));
    scene.said("config show -w {}/all.toml");
    let directory = scene.daemon.stop();
    let scene = Scene { daemon: Daemon::start_with(directory, &["--config", "{}/all.toml"]) };
    assert_eq!(scene.said("config show"), config);
    assert_eq!(shape(&scene), by_flags);
    scene.daemon.stop();
}

#[test]
fn a_file_that_is_wrong_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("strowger.toml");
    fs::write(&path, "[bridges.br0]\n\n[ports.a]\nbridge = \"br7\"\nkind = \"tap\"\n").unwrap();
    let rundir = directory.path().join("run");
    let output = strowger(&[
        "run",
        "--config",
        path.to_str().unwrap(),
        "--rundir",
        rundir.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{}:4:", path.display())) && said.contains("br7"), "{said}");
    assert!(!rundir.join("control.sock").exists());
}
