//! Every operation of the document, called: the status is one that it names, the body fits its schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use strowger_vswitch::control::{Control, Refusal, api};

use crate::{
    fake::{SOME, Scene},
    http::Answer,
    schema,
};

/// A request and what it must come to.
struct Case {
    operation: &'static str,
    path: &'static str,
    headers: &'static [&'static str],
    body: Value,
    status: u16,
}

fn case(operation: &'static str, path: &'static str, body: Value, status: u16) -> Case {
    Case { operation, path, headers: &[], body, status }
}

fn cases() -> Vec<Case> {
    let none = Value::Null;
    let port = json!({"name": "vm2", "bridge": "br0", "kind": "vhost-user", "path": "/run/vm2"});
    let mirror = json!({"name": "m2", "bridge": "br0", "vlans": [10], "to": "span"});
    let mut cases = vec![
        case("get_status", "/v1/status", none.clone(), 200),
        case("get_status", "/v1/status?colour=red", none.clone(), 400),
        case("get_config", "/v1/config", none.clone(), 200),
        case("put_config", "/v1/config?dry-run=true", json!({}), 200),
        case("put_config", "/v1/config?dry-run=perhaps", json!({}), 400),
        case("put_config", "/v1/config", json!({"ports": {"vm1": {"kind": "tap"}}}), 400),
        case("put_config", "/v1/config", json!([]), 400),
        case("list_bridges", "/v1/bridges", none.clone(), 200),
        case("list_ports", "/v1/ports", none.clone(), 200),
        case("list_mirrors", "/v1/mirrors", none.clone(), 200),
        case("get_bridge", "/v1/bridges/br0", none.clone(), 200),
        case("get_port", "/v1/ports/vm1", none.clone(), 200),
        case("get_mirror", "/v1/mirrors/watch", none.clone(), 200),
        case("get_bridge", "/v1/bridges/br9", none.clone(), 404),
        case("get_port", "/v1/ports/%00%22x", none.clone(), 404),
        case("get_port", "/v1/ports/%ff", none.clone(), 400),
        case("get_mirror", "/v1/mirrors/vm1", none.clone(), 404),
        case("add_bridge", "/v1/bridges?dry-run=true", json!({"name": "br2"}), 200),
        case("add_bridge", "/v1/bridges", json!({"name": "br2", "loop-hold": 5}), 201),
        case("add_bridge", "/v1/bridges", json!({"name": "br2"}), 409),
        case("add_bridge", "/v1/bridges", json!({"name": "br 2"}), 400),
        case("add_bridge", "/v1/bridges", json!({}), 400),
        case("add_bridge", "/v1/bridges", json!({"name": 3}), 400),
        case("add_port", "/v1/ports", port.clone(), 201),
        case("add_port", "/v1/ports", port, 409),
        case("add_port", "/v1/ports", json!({"name": "x", "bridge": "br9", "kind": "tap"}), 400),
        case("add_mirror", "/v1/mirrors", mirror.clone(), 201),
        case("add_mirror", "/v1/mirrors", mirror, 409),
        case(
            "change_bridge",
            "/v1/bridges/br2",
            json!({"loop-guard": "off", "loop-hold": null}),
            200,
        ),
        case("change_bridge", "/v1/bridges/br2", json!({"loop-guard": "of"}), 400),
        case("change_port", "/v1/ports/vm2", json!({"tag": 20, "name": "vm2"}), 200),
        case("change_port", "/v1/ports/vm2", json!({"tag": 20, "name": "vm3"}), 400),
        case("change_port", "/v1/ports/vm2", json!({"tag": 5000}), 400),
        case("change_port", "/v1/ports/vm2", json!({"bridge": null}), 400),
        case("change_port", "/v1/ports/vm2", json!(7), 400),
        case("change_port", "/v1/ports/vm9", json!({"tag": 20}), 404),
        case("change_mirror", "/v1/mirrors/m2", json!({"direction": "rx"}), 200),
        case("change_mirror", "/v1/mirrors/m2", json!({"to": "vm9"}), 400),
        case("remove_mirror", "/v1/mirrors/m2?dry-run", none.clone(), 200),
        case("remove_mirror", "/v1/mirrors/m2", none.clone(), 200),
        case("remove_mirror", "/v1/mirrors/m2", none.clone(), 404),
        case("remove_port", "/v1/ports/span", none.clone(), 409),
        case("remove_port", "/v1/ports/vm2", none.clone(), 200),
        case("remove_bridge", "/v1/bridges/br0", none.clone(), 409),
        case("remove_bridge", "/v1/bridges/br2", none.clone(), 200),
        case("list_stations", "/v1/stations", none.clone(), 200),
        case("list_stations", "/v1/stations?bridge=br0&port=vm1", none.clone(), 200),
        case("list_stations", "/v1/stations?bridge=br9", none.clone(), 404),
        case("list_stations", "/v1/stations?port=vm9", none.clone(), 404),
        case("list_stations", "/v1/stations?port=vm1&port=c1", none.clone(), 400),
        case("flush_stations", "/v1/stations?port=vm1", none.clone(), 200),
        case("flush_stations", "/v1/stations?bridge=br9", none.clone(), 404),
        case("list_drops", "/v1/drops", none.clone(), 200),
        case("list_drops", "/v1/drops?port=vm1", none.clone(), 200),
        case("list_drops", "/v1/drops?port=vm9", none.clone(), 404),
        case("list_workers", "/v1/workers", none.clone(), 200),
        case("get_log", "/v1/log", none.clone(), 200),
        case("put_log", "/v1/log", json!({"level": "debug"}), 200),
        case("put_log", "/v1/log", json!({"level": "loud"}), 400),
        case("put_log", "/v1/log", json!({"level": 3}), 400),
        case("put_log", "/v1/log", json!({"level": "info", "colour": "red"}), 400),
        case("capture", "/v1/capture", none.clone(), 400),
        case("capture", "/v1/capture?port=vm1&snaplen=many", none.clone(), 400),
        case("capture", "/v1/capture?port=vm9", none.clone(), 404),
        case("capture", "/v1/capture?port=vm1&count=1&count=2", none.clone(), 400),
        case("get_metrics", "/metrics", none.clone(), 200),
        case("get_health", "/healthz", none.clone(), 200),
        case("get_readiness", "/readyz", none.clone(), 200),
        case("get_openapi", "/openapi.json", none.clone(), 200),
    ];
    cases.push(Case {
        headers: &["if-match: \"0\""],
        ..case("change_port", "/v1/ports/vm1", json!({"tag": 20}), 412)
    });
    cases.push(Case {
        headers: &["if-match: 0"],
        ..case("change_port", "/v1/ports/vm1", json!({"tag": 20}), 400)
    });
    cases.push(Case {
        headers: &["if-match: *"],
        ..case("change_port", "/v1/ports/vm1", json!({"tag": 20}), 200)
    });
    cases.push(Case {
        headers: &["if-match: \"0\""],
        ..case("remove_port", "/v1/ports/vm1", none.clone(), 412)
    });
    cases.push(Case {
        headers: &["if-match: \"0\""],
        ..case("put_config", "/v1/config", json!({}), 412)
    });
    cases.push(Case {
        headers: &["accept: application/toml"],
        ..case("get_config", "/v1/config", none.clone(), 200)
    });
    // At last, since nothing is left then.
    cases.push(case("put_config", "/v1/config", json!({}), 200));
    cases
}

/// Where an operation is in the document: its path, its method, itself.
pub(crate) fn operation<'a>(document: &'a Value, id: &str) -> (&'a str, &'a str, &'a Value) {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    let mut found = all.filter(|(.., operation)| operation["operationId"] == id);
    let one = found.next().unwrap_or_else(|| panic!("there is no operation {id}"));
    assert!(found.next().is_none(), "there are two operations {id}");
    one
}

pub(crate) fn assert_fits(document: &Value, operation: &Value, answer: &Answer, what: &str) {
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{what}: {} is not described", answer.status);
    let kind = answer.header("content-type").unwrap().split(';').next().unwrap();
    let content = response["content"].as_object().unwrap();
    let schema =
        &content.get(kind).unwrap_or_else(|| panic!("{what}: {kind} is not described"))["schema"];
    let value = if kind == "application/json" {
        answer.json()
    } else {
        String::from_utf8(answer.body.clone()).unwrap().into()
    };
    if let Err(wrong) = schema::check(document, schema, &value, "") {
        panic!("{what}: {wrong}");
    }
    assert!(answer.header("server").unwrap().starts_with("strowger/"), "{what}");
}

#[test]
fn every_operation_answers_as_it_says() {
    let scene = Scene::new();
    let document: Value = serde_json::from_str(&api::document_text()).unwrap();
    let mut called = BTreeSet::new();
    for case in cases() {
        let (path, method, operation) = operation(&document, case.operation);
        let own = case.path.split('?').next().unwrap();
        let fits = path
            .split('/')
            .zip(own.split('/'))
            .all(|(wanted, own)| wanted == own || wanted == "{name}");
        assert!(fits, "{} is not at {own}", case.operation);
        let what = format!("{method} {}", case.path);
        let before = scene.fake.config();
        let answer = if case.body.is_null() {
            scene.ask(&method.to_uppercase(), case.path, case.headers, b"")
        } else {
            let headers = [case.headers, &["content-type: application/json"]].concat();
            let body = case.body.to_string();
            scene.ask(&method.to_uppercase(), case.path, &headers, body.as_bytes())
        };
        assert_eq!(answer.status, case.status, "{what}: {}", answer.body.escape_ascii());
        assert_fits(&document, operation, &answer, &what);
        let after = scene.fake.config();
        if answer.status >= 400 {
            answer.problem();
            assert_eq!(after, before, "{what}");
        } else {
            called.insert(case.operation);
            // A body that works is one that the document allows.
            if !case.body.is_null() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let fits = schema::check(&document, schema, &case.body, "");
                assert!(fits.is_ok() || case.body["name"] == "vm2", "{what}: {fits:?}");
            }
        }
        let dry = case.path.contains("dry-run");
        let changes = answer.status < 300
            && method != "get"
            && !dry
            && !["put_log", "flush_stations"].contains(&case.operation);
        assert_eq!(after != before, changes, "{what}");
    }
    let all: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .filter(|id| *id != "capture")
        .collect();
    assert_eq!(
        called, all,
        "an operation was never called with success; captures have their own tests"
    );
}

#[test]
fn each_refusal_is_one_status_and_nothing_has_changed() {
    let scene = Scene::new();
    let document: Value = serde_json::from_str(&api::document_text()).unwrap();
    let before = scene.fake.config();
    let sentence = || "what the switch says of it".to_owned();
    for (refusal, status) in [
        (Refusal::invalid("ports.vm1.tag", sentence()), 400),
        (Refusal::NotFound(sentence()), 404),
        (Refusal::Conflict(sentence()), 409),
        (Refusal::Failed(sentence()), 500),
        (Refusal::NotKept(sentence()), 507),
        // The thread that asked panicked: others are answered all the same.
        (Refusal::Failed("panic".into()), 500),
    ] {
        let key = refusal.key().map(ToOwned::to_owned);
        scene.fake.refuse(Some(refusal));
        for (id, method, path, body) in [
            ("put_config", "PUT", "/v1/config", json!({})),
            ("add_bridge", "POST", "/v1/bridges", json!({"name": "x"})),
            ("change_port", "PATCH", "/v1/ports/vm1", json!({"tag": 3})),
        ] {
            let answer = scene.json(method, path, &body);
            assert_eq!(answer.status, status);
            assert_eq!(answer.problem().1, key);
            assert_fits(&document, operation(&document, id).2, &answer, path);
        }
        assert_eq!(scene.fake.config(), before);
    }
    scene.fake.refuse(None);
    scene.assert_answers();
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let scene = Scene::new();
    for path in
        ["/", "/v1", "/v2/status", "/v1/ports/", "/v1/ports/vm1/tag", "/../etc/passwd", "//"]
    {
        let answer = scene.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.problem().0.contains("/openapi.json"));
    }
    for (method, path) in [
        ("DELETE", "/v1/config"),
        ("POST", "/v1/ports/vm1"),
        ("BREW", "/v1/status"),
        ("TRACE", "/v1/log"),
    ] {
        let answer = scene.ask(method, path, &[], b"");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.problem().0.contains(method));
        assert!(answer.header("allow").is_some(), "{answer:?}");
    }
}

#[test]
fn only_bodies_of_a_known_type_are_read() {
    let scene = Scene::new();
    let before = scene.fake.config();
    for kind in [
        "",
        "content-type: text/plain",
        "content-type: application/x-www-form-urlencoded",
        "content-type: application/json; charset=latin1",
        "content-type: application/merge-patch+json",
    ] {
        let headers: &[&str] = if kind.is_empty() { &[] } else { &[kind] };
        let answer = scene.ask("PUT", "/v1/config", headers, b"{}");
        assert_eq!(
            (answer.status, answer.problem().1.as_deref()),
            (415, Some("content-type")),
            "{kind}"
        );
    }
    let zipped = scene.ask(
        "PUT",
        "/v1/config",
        &["content-type: application/json", "content-encoding: gzip"],
        b"{}",
    );
    assert_eq!(zipped.status, 415);
    let toml = scene.ask("POST", "/v1/ports", &["content-type: application/toml"], b"name = \"x\"");
    assert_eq!(toml.status, 415);
    assert_eq!(scene.fake.config(), before);
    let patch = scene.ask(
        "PATCH",
        "/v1/ports/vm1",
        &["content-type: application/merge-patch+json"],
        b"{\"tag\":9}",
    );
    assert_eq!(patch.status, 200);
    let file = scene.ask(
        "PUT",
        "/v1/config",
        &["content-type: application/toml; charset=UTF-8"],
        SOME.as_bytes(),
    );
    assert_eq!(file.status, 200);
    assert_eq!(scene.fake.config(), before);
}
