//! What a switch refuses to start with: a sentence that says what and why, exit code 1, and nothing left behind.

use std::os::unix::net::UnixListener;

use crate::{
    netns::Namespace,
    running::{Daemon, strowger},
};

/// Starts a switch that must not start; what it says.
#[track_caller]
fn refusal(rundir: &std::path::Path, words: &[&str]) -> String {
    let output =
        strowger(&[&["run", "--log", "off", "--rundir", rundir.to_str().unwrap()], words].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    said
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let rundir = directory.path().join("run");
    for (words, part) in [
        (
            "--bridge a --port tap:x,number=2 --port tap:y,number=2",
            "ports.y.number: number 2 of bridge 'a' is that of port 'x' already",
        ),
        ("--bridge a --port tap:x,tag=2,trunks=3", "ports.x.trunks: there are both tag and trunks"),
        (
            "--bridge a --port vhost-user:x=/s --port vhost-user:y=/s",
            "ports.y.path: the socket /s is that of port 'x' already",
        ),
        (
            "--bridge a --port tap:x@not-there",
            "port x: there is no network namespace /run/netns/not-there",
        ),
        ("--bridge a --workers 0,0", "core 0 is given to two workers"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let said = refusal(&rundir, &words);
        assert!(said.contains(part), "{words:?}: {said}");
        assert!(!rundir.exists(), "{words:?}");
    }
}

#[test]
fn a_port_that_does_not_open_takes_back_those_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let rundir = directory.path().join("run");
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let container = Namespace::named();
    container.ip(&["tuntap", "add", "dev", "busy", "mode", "tap"]);
    std::fs::write(path("file"), "mine").unwrap();
    let taken = UnixListener::bind(path("taken")).unwrap();

    let tap = format!("tap:fresh@{}", container.argument());
    let server = format!("vhost-user:vm1={}", path("vm1.sock"));
    for (last, part) in [
        (
            format!("tap:busy@{}", container.argument()),
            "port busy: there is an interface named 'busy' already".to_owned(),
        ),
        (
            "tap:x@/etc/passwd".to_owned(),
            "port x: /etc/passwd is not a network namespace".to_owned(),
        ),
        (format!("vhost-user:vm2={}", path("taken")), path("taken")),
        (format!("vhost-user:vm2={}", path("file")), path("file")),
        (format!("vhost-user:vm2={}", path("no/such/directory")), path("no/such/directory")),
    ] {
        let said = refusal(
            &rundir,
            &["--bridge", "br0", "--port", &tap, "--port", &server, "--port", &last],
        );
        assert!(said.contains(&part), "{last}: {said}");
        let mut interfaces = container.interfaces();
        interfaces.sort();
        assert_eq!(interfaces, ["busy", "lo"]);
        assert!(
            !directory.path().join("vm1.sock").exists() && !rundir.join("control.sock").exists()
        );
    }
    assert_eq!(std::fs::read(path("file")).unwrap(), b"mine");
    drop(taken);
}

#[test]
fn a_core_that_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let said = refusal(&directory.path().join("run"), &["--bridge", "br0", "--workers", "100000"]);
    assert!(said.contains("100000"), "{said}");
}

#[test]
fn a_run_directory_has_one_switch() {
    let daemon = Daemon::start(&["vhost-user:vm1={}/vm1.sock"]);
    let said = refusal(&daemon.path("run"), &["--bridge", "br0"]);
    assert!(said.contains("belongs to a switch that is running"), "{said}");
    // The first one is none the worse for it, nor is its socket.
    assert_eq!(daemon.status().ports.len(), 1);
    let server = format!("vhost-user:other={}", daemon.path("vm1.sock").display());
    let said = refusal(&daemon.path("run2"), &["--bridge", "br0", "--port", &server]);
    assert!(said.contains("port other") && said.contains("vm1.sock"), "{said}");
    assert!(daemon.path("vm1.sock").exists());
    daemon.stop();
}
