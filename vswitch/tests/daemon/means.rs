//! What the daemon needs of the machine: no root where no interface is asked for, and no more files than it may open.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use strowger_fake_frontend::{FrontEnd, Settings, frame::mac, frame::numbered};
use strowger_vswitch::control::{Changes, Client, ClientError, Status};

use crate::netns::eventually;

/// A switch that is started by another program.
struct Started(Child);

impl Started {
    /// Starts it and waits until it is ready.
    fn by(program: &str, words: &[&str], binary: &Path, switch: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(words).arg(binary).arg("run").args(switch);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut started = Self(child);
        let mut line = String::new();
        BufReader::new(started.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        started
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn end(mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let status = eventually("the switch ends", || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn apply(client: &Client, text: &str) -> Result<Changes, ClientError> {
    client.send_toml(hyper::Method::PUT, "/v1/config", text)
}

fn vhost(directory: &str, name: &str) -> String {
    format!(
        "[ports.{name}]\nbridge = \"br0\"\nkind = \"vhost-user\"\npath = \"{directory}/{name}.sock\"\n"
    )
}

#[test]
fn without_root_it_serves_guests_and_changes() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    // Where it was built, nobody may look.
    let binary = directory.path().join("strowger");
    std::fs::copy(env!("CARGO_BIN_EXE_strowger"), &binary).unwrap();
    let own = directory.path().to_str().unwrap();
    let (rundir, state) = (format!("{own}/run"), format!("{own}/state"));
    let file = directory.path().join("switch.toml");
    let text = ["[bridges.br0]\n".to_owned(), vhost(own, "vm1")].concat();
    std::fs::write(&file, format!("[switch]\nstate = \"{state}\"\n{text}")).unwrap();
    let started = Started::by(
        "setpriv",
        &["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all"],
        &binary,
        &["--rundir", &rundir, "--config", file.to_str().unwrap()],
    );
    let client = Client::unix(format!("{rundir}/control.sock"));
    let more = [text, vhost(own, "vm2")].concat();
    let done = apply(&client, &more).unwrap();
    assert_eq!(done.changes.len(), 1);
    let connect = |name: &str| {
        let path = directory.path().join(format!("{name}.sock"));
        FrontEnd::connect(path, Settings::default()).unwrap()
    };
    let (mut one, mut two) = (connect("vm1"), connect("vm2"));
    eventually("both guests are up", || {
        let status: Status = client.get("/v1/status").unwrap();
        status.ports.iter().all(|port| port.up).then_some(())
    });
    let frame = numbered(mac(2), mac(1), 1, 64);
    one.send(&frame).unwrap();
    assert_eq!(two.receive().unwrap().bytes, frame);
    let tap = "[ports.t0]\nbridge = \"br0\"\nkind = \"tap\"\n";
    let refused = apply(&client, &[&more, tap].concat()).unwrap_err();
    assert!(refused.to_string().contains("port t0: cannot "), "{refused}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", started.pid())).unwrap();
    let effective = status.lines().find(|line| line.starts_with("CapEff:")).unwrap();
    assert_eq!(effective.split_whitespace().nth(1), Some("0000000000000000"));
    started.end();
}

#[test]
fn when_descriptors_run_out_a_change_is_refused_and_those_it_had_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().to_str().unwrap();
    let rundir = format!("{own}/run");
    let file = directory.path().join("switch.toml");
    let few = ["[bridges.br0]\n".to_owned(), vhost(own, "vm1"), vhost(own, "vm2")].concat();
    std::fs::write(&file, &few).unwrap();
    let started = Started::by(
        "prlimit",
        &["--nofile=64:400"],
        Path::new(env!("CARGO_BIN_EXE_strowger")),
        &["--rundir", &rundir, "--config", file.to_str().unwrap()],
    );
    let client = Client::unix(format!("{rundir}/control.sock"));
    let status = || client.get::<Status>("/v1/status").unwrap();
    // It took all that the system gives.
    assert_eq!(status().process.max_open_files, 400);
    let with = |ports: usize| {
        let ports = (0..ports).map(|number| vhost(own, &format!("n{number}")));
        [few.clone()].into_iter().chain(ports).collect::<String>()
    };
    apply(&client, &with(60)).unwrap();
    apply(&client, &few).unwrap();
    let before = status().process.open_files;
    // Too many to be opened, and so many that nothing were left for guests and clients.
    for ports in [1000, 170] {
        let refused = apply(&client, &with(ports)).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("limit of open files") && said.contains("LimitNOFILE"), "{said}");
        let now = status();
        assert_eq!(now.ports.len(), 2);
        assert_eq!(now.process.open_files, before);
        assert_eq!(
            std::fs::read_dir(own)
                .unwrap()
                .filter(|entry| {
                    entry.as_ref().unwrap().path().extension().is_some_and(|is| is == "sock")
                })
                .count(),
            2
        );
    }
    let connect = |name: &str| {
        let path = directory.path().join(format!("{name}.sock"));
        FrontEnd::connect(path, Settings::default()).unwrap()
    };
    let (mut one, mut two) = (connect("vm1"), connect("vm2"));
    eventually("both guests are up", || status().ports.iter().all(|port| port.up).then_some(()));
    let frame = numbered(mac(2), mac(1), 1, 64);
    one.send(&frame).unwrap();
    assert_eq!(two.receive().unwrap().bytes, frame);
    started.end();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let rundir = directory.path().join("run");
    let mut started = Started::by(
        "env",
        &[],
        Path::new(env!("CARGO_BIN_EXE_strowger")),
        &["--rundir", rundir.to_str().unwrap(), "--bridge", "br0"],
    );
    // Both are there before it can do anything about the first.
    kill_process(started.pid(), Signal::STOP).unwrap();
    kill_process(started.pid(), Signal::TERM).unwrap();
    kill_process(started.pid(), Signal::INT).unwrap();
    kill_process(started.pid(), Signal::CONT).unwrap();
    let status = eventually("the switch ends", || started.0.try_wait().unwrap());
    let code = status.code().expect("it ended by itself");
    // By the signal: had it ended in order, it would be 0.
    assert!(code == 128 + 15 || code == 128 + 2, "{status}");
}
