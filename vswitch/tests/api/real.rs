//! The same promises, of the real switch: the built binary in a network namespace of its own.

use std::{
    cell::Cell,
    fs::{self, File},
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use hyper::Method;
use proptest::{prelude::*, test_runner::TestRunner};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use strowger_vswitch::{
    config::{Config, file},
    control::{Changes, Client, Status, api},
};
use tempfile::TempDir;

use crate::{
    fake::eventually,
    http::{self, Answer},
    random::{JSON, assert_balanced, edited, edits},
    routes::{assert_fits, operation},
};

/// Sockets are named from the directory that the switch runs in.
const SOME: &str = r#"
[bridges.br0]
loop-guard = "hold"

[bridges.br1]

[ports.vm1]
bridge = "br0"
kind = "vhost-user"
path = "vm1.sock"
tag = 10

[ports.c1]
bridge = "br0"
kind = "tap"
trunks = [10, "20-30"]

[ports.span]
bridge = "br0"
kind = "vhost-user"
path = "span.sock"

[mirrors.watch]
bridge = "br0"
ports = ["vm1"]
to = "span"
"#;

/// A switch that runs. Killed when dropped.
struct Real {
    child: Child,
    socket: PathBuf,
    dir: TempDir,
}

impl Real {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Deep enough for random paths that lead up.
        let within = dir.path().join("a/b/c");
        fs::create_dir_all(&within).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new("unshare")
            .args(["--net", env!("CARGO_BIN_EXE_strowger"), "run", "--bridge", "br0", "--rundir"])
            .arg(dir.path().join("run"))
            .current_dir(within)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let socket = dir.path().join("run/control.sock");
        let mut real = Self { child, socket, dir };
        eventually("the switch is ready", || {
            if let Some(ended) = real.child.try_wait().unwrap() {
                panic!("the switch ended with {ended}: {}", real.log());
            }
            real.client().text("/readyz").ok()
        });
        let all: Changes = real.client().send_toml(Method::PUT, "/v1/config", SOME).unwrap();
        assert_eq!(all.changes.len(), 6, "{all:?}");
        real
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn client(&self) -> Client {
        Client::unix(&self.socket)
    }

    fn config(&self) -> Config {
        self.client().get("/v1/config").unwrap()
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        http::ask(&self.socket, method, path, headers, body)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn every_operation_of_the_real_switch_answers_as_it_says() {
    let real = Real::start();
    let document: Value = serde_json::from_str(&api::document_text()).unwrap();
    assert_eq!(real.client().get::<Value>("/openapi.json").unwrap(), document);
    let none = Value::Null;
    let port = json!({"name": "vm7", "bridge": "br0", "kind": "vhost-user", "path": "vm7.sock", "ingress-rate": "10Mbit"});
    for (id, path, body, status) in [
        ("get_status", "/v1/status", &none, 200),
        ("get_config", "/v1/config", &none, 200),
        ("list_bridges", "/v1/bridges", &none, 200),
        ("list_ports", "/v1/ports", &none, 200),
        ("list_mirrors", "/v1/mirrors", &none, 200),
        ("get_bridge", "/v1/bridges/br0", &none, 200),
        ("get_port", "/v1/ports/c1", &none, 200),
        ("get_mirror", "/v1/mirrors/watch", &none, 200),
        ("get_port", "/v1/ports/nobody", &none, 404),
        ("add_bridge", "/v1/bridges", &json!({"name": "br7", "mac-limit": 99}), 201),
        ("add_bridge", "/v1/bridges", &json!({"name": "br7"}), 409),
        ("add_port", "/v1/ports?dry-run=true", &port, 200),
        ("add_port", "/v1/ports", &port, 201),
        (
            "add_port",
            "/v1/ports",
            &json!({"name": "x", "bridge": "br0", "kind": "tap", "netns": "there-is-none"}),
            409,
        ),
        (
            "add_port",
            "/v1/ports",
            &json!({"name": "x", "bridge": "br0", "kind": "vhost-user", "path": "no/such/directory/x"}),
            409,
        ),
        ("change_port", "/v1/ports/vm7", &json!({"tag": 20, "ingress-rate": null}), 200),
        ("change_port", "/v1/ports/c1", &json!({"native": 5}), 200),
        ("change_bridge", "/v1/bridges/br7", &json!({"loop-guard": "off"}), 200),
        (
            "add_mirror",
            "/v1/mirrors",
            &json!({"name": "m7", "bridge": "br0", "ports": ["vm7"], "to": "nobody"}),
            400,
        ),
        ("change_mirror", "/v1/mirrors/watch", &json!({"ports": ["vm1", "vm7"]}), 200),
        ("remove_port", "/v1/ports/vm7", &none, 409),
        ("list_stations", "/v1/stations?bridge=br0", &none, 200),
        ("flush_stations", "/v1/stations?port=vm1", &none, 200),
        ("flush_stations", "/v1/stations?port=nobody", &none, 404),
        ("list_stations", "/v1/stations?bridge=nobody", &none, 404),
        ("list_drops", "/v1/drops", &none, 200),
        ("list_workers", "/v1/workers", &none, 200),
        ("put_log", "/v1/log", &json!({"level": "debug"}), 200),
        ("get_log", "/v1/log", &none, 200),
        ("put_log", "/v1/log", &json!({"level": "not a level"}), 400),
        ("get_metrics", "/metrics", &none, 200),
        ("get_health", "/healthz", &none, 200),
        ("get_readiness", "/readyz", &none, 200),
        ("capture", "/v1/capture?port=nobody", &none, 404),
        ("capture", "/v1/capture?port=vm1&filter=this%20is%20none", &none, 400),
        ("capture", "/v1/capture?port=vm1&colour=red", &none, 400),
        ("put_config", "/v1/config", &json!({"switch": {"poll": "busy"}}), 409),
        ("remove_mirror", "/v1/mirrors/watch", &none, 200),
        ("remove_port", "/v1/ports/vm7", &none, 200),
        ("remove_bridge", "/v1/bridges/br7", &none, 200),
        ("put_config", "/v1/config", &json!({}), 200),
    ] {
        let (_, method, operation) = operation(&document, id);
        let what = format!("{method} {path}");
        let before = real.config();
        let (headers, bytes): (&[&str], _) = if body.is_null() {
            (&[], Vec::new())
        } else {
            (&[JSON], body.to_string().into_bytes())
        };
        let answer = real.ask(&method.to_uppercase(), path, headers, &bytes);
        assert_eq!(answer.status, status, "{what}: {}", answer.body.escape_ascii());
        assert_fits(&document, operation, &answer, &what);
        if status >= 400 {
            answer.problem();
            assert_eq!(real.config(), before, "{what}");
        }
    }
    let status: Status = real.client().get("/v1/status").unwrap();
    assert!(status.bridges.is_empty() && status.ports.is_empty());
    let within = real.dir.path().join("a/b/c");
    assert_eq!(fs::read_dir(within).unwrap().count(), 0, "no socket is left");
}

#[test]
fn a_random_configuration_makes_the_real_switch_what_it_says_or_changes_nothing() {
    let real = Real::start();
    let base = file::read(SOME).unwrap();
    let document = serde_json::to_value(&base).unwrap();
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    let run = |edits: Vec<_>| {
        let mut document = edited(document.clone(), &edits);
        below_here(&mut document);
        let before = real.config();
        let answer = real.ask("PUT", "/v1/config", &[JSON], document.to_string().as_bytes());
        let after = real.config();
        match answer.status {
            200 => {
                taken.set(taken.get() + 1);
                let sent = Config::from_json(&document).unwrap();
                prop_assert_eq!(&after.bridges, &sent.bridges);
                prop_assert_eq!(&after.ports, &sent.ports);
                prop_assert_eq!(&after.mirrors, &sent.mirrors);
                let changes: Changes = serde_json::from_slice(&answer.body).unwrap();
                prop_assert_eq!(changes.changes.is_empty(), before == after);
            }
            400..=499 => {
                refused.set(refused.get() + 1);
                answer.problem();
                prop_assert_eq!(&after, &before);
            }
            status => {
                let said = answer.body.escape_ascii();
                return Err(TestCaseError::fail(format!("status {status}: {said}")));
            }
        }
        // What runs is what is said to be configured.
        let status: Status = real.client().get("/v1/status").unwrap();
        let ports: Vec<_> = status.ports.iter().map(|port| (&port.name, &port.bridge)).collect();
        let wanted: Vec<_> = after.ports.iter().map(|(name, port)| (name, &port.bridge)).collect();
        prop_assert_eq!(ports, wanted);
        Ok(())
    };
    TestRunner::new(crate::properties()).run(&edits(), run).unwrap();
    assert_balanced(taken.get(), refused.get());
    let changes: Changes = real.client().send(Method::PUT, "/v1/config", &base).unwrap();
    assert!(!changes.dry_run);
    assert_eq!(real.config().ports, base.ports);
}

/// Keeps random paths out of the machine's own directories.
fn below_here(value: &mut Value) {
    match value {
        Value::String(text) => {
            while text.starts_with('/') {
                text.remove(0);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(below_here),
        Value::Object(object) => object.values_mut().for_each(below_here),
        _ => {}
    }
}

#[test]
fn a_capture_of_the_real_switch_is_pcapng_and_ends_with_the_switch_in_order() {
    let mut real = Real::start();
    let mut stream = real.client().stream("/v1/capture?port=vm1&port=c1").unwrap();
    let mut magic = [0; 4];
    stream.read_exact(&mut magic).unwrap();
    assert_eq!(magic, [0x0a, 0x0d, 0x0d, 0x0a]);
    kill_process(Pid::from_child(&real.child), Signal::TERM).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let ended = real.child.wait().unwrap();
    assert!(ended.success(), "{ended}: {}", real.log());
    assert!(!real.socket.exists());
}
