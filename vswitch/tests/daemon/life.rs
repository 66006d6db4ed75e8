//! How a daemon starts, is asked, and ends.

use std::os::unix::{fs::PermissionsExt, process::ExitStatusExt};

use rustix::process::Signal;
use strowger_fake_frontend::{FrontEnd, Settings};

use crate::{
    netns::Namespace,
    running::{Daemon, strowger},
};

#[test]
fn an_end_in_order_leaves_nothing_and_a_killed_switch_starts_again() {
    for ending in [Signal::TERM, Signal::INT, Signal::KILL] {
        let container = Namespace::named();
        let ports =
            [format!("tap:eth0@{}", container.argument()), "vhost-user:vm1={}/vm1.sock".to_owned()];
        let daemon = Daemon::start(&ports);
        let _guest = FrontEnd::connect(daemon.path("vm1.sock"), Settings::default()).unwrap();
        daemon.wait_for_link("vm1", true);
        assert!(container.interfaces().contains(&"eth0".to_owned()));
        let control = daemon.path("run/control.sock");
        assert_eq!(std::fs::metadata(&control).unwrap().permissions().mode() & 0o777, 0o600);

        daemon.signal(ending);
        let (status, directory) = daemon.wait();
        assert_eq!(container.interfaces(), ["lo"]);
        if ending == Signal::KILL {
            assert_eq!(status.signal(), Some(9));
        } else {
            assert_eq!(
                status.code(),
                Some(0),
                "{}",
                std::fs::read_to_string(directory.path().join("log")).unwrap()
            );
            assert!(!directory.path().join("vm1.sock").exists() && !control.exists());
        }

        let again = Daemon::start_in(directory, &ports);
        assert!(again.port("eth0").up);
        again.stop();
    }
}

#[test]
fn status_and_drops_are_shown_as_tables_too() {
    let daemon = Daemon::start(&["vhost-user:vm1={}/vm1.sock,tag=5"]);
    let rundir = daemon.path("run");
    let show = |words: &[&str]| {
        let output = strowger(&[words, &["--rundir", rundir.to_str().unwrap()]].concat());
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
        String::from_utf8(output.stdout).unwrap()
    };
    let status = show(&["status"]);
    assert!(
        status.starts_with(concat!("strowger ", env!("CARGO_PKG_VERSION"), ", process ")),
        "{status}"
    );
    let port = status.lines().find(|line| line.starts_with("vm1")).expect("a line for the port");
    let words: Vec<_> = port.split_whitespace().collect();
    assert_eq!(
        words,
        ["vm1", "br0", "1", "vhost-user", "down", "0", "access", "5", "0", "0", "0", "0", "0"]
    );
    assert_eq!(show(&["drops"]), "nothing was dropped\n");
    assert_eq!(show(&["drops", "-o", "json"]), "[]\n");
    daemon.stop();
}

#[test]
fn asking_where_no_switch_runs_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for question in ["status", "drops"] {
        let output = strowger(&[question, "--rundir", directory.path().to_str().unwrap()]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("error: no switch runs at ") && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn help_and_version_are_no_errors_and_wrong_usage_is() {
    let help = strowger(&["run", "--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--bridge",
        "--port",
        "--workers",
        "--poll",
        "--rundir",
        "--mac-ageing",
        "--mac-limit",
        "--log",
    ] {
        assert!(text.contains(flag), "{flag} is not in the help:\n{text}");
    }
    assert_eq!(help.status.code(), Some(0));
    assert_eq!(
        strowger(&["--version"]).stdout,
        concat!("strowger ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()
    );
    for words in [
        &["run"][..],
        &["run", "--bridge", "a", "--port", "x"],
        &["run", "--bridge", "a", "--log", "="],
        &[],
    ] {
        let output = strowger(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
}
