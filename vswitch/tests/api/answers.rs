//! What changes come to: dry runs, versions, files, and the sentences of what is wrong.

use hyper::Method;
use serde_json::{Value, json};
use strowger_vswitch::{
    config::{Config, file},
    control::{Changes, Client, Control, Drop, Status, object::PortItem},
};

use crate::fake::{SOME, Scene, some};

#[test]
fn a_client_sees_and_changes_what_there_is() {
    let scene = Scene::new();
    let client = scene.client();
    assert_eq!(client.get::<Config>("/v1/config").unwrap(), some());
    let status: Status = client.get("/v1/status").unwrap();
    assert_eq!(status, scene.fake.status());
    let drops: Vec<Drop> = client.get("/v1/drops?port=c1").unwrap();
    assert_eq!(
        drops,
        status.drops().into_iter().filter(|drop| drop.port == "c1").collect::<Vec<_>>()
    );
    assert!(drops.iter().all(|drop| !drop.remedy.is_empty() && !drop.explanation.is_empty()));
    let ports: Vec<PortItem> = client.get("/v1/ports").unwrap();
    for (item, (name, port)) in ports.iter().zip(&some().ports) {
        assert_eq!((&item.name, &item.config), (name, port));
        assert_eq!(item.status.as_ref().unwrap().name, *name);
    }
    let one: PortItem = client.get("/v1/ports/vm1").unwrap();
    assert_eq!(one, ports[0]);

    let patch = json!({"tag": 20, "ingress-rate": null});
    let done: Changes = client.send(Method::PATCH, "/v1/ports/vm1", &patch).unwrap();
    assert!(!done.dry_run);
    assert_eq!(done.changes.len(), 1);
    assert!(done.changes[0].what.contains("tag 10 → 20"), "{done:?}");
    assert_eq!(scene.fake.config().ports["vm1"].tag, Some(20));
    assert_eq!(scene.fake.config().ports["vm1"].ingress_rate, None);
    let again: Changes = client.send(Method::PATCH, "/v1/ports/vm1", &patch).unwrap();
    assert_eq!(again.changes, []);
    let gone: Changes = client.delete("/v1/mirrors/watch").unwrap();
    assert_eq!(gone.changes.len(), 1);
    assert!(scene.fake.config().mirrors.is_empty());
    assert!(client.text("/metrics").unwrap().contains("strowger_"));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let scene = Scene::new();
    let patch = json!({"tag": 20});
    for (method, path, body) in [
        ("PUT", "/v1/config", json!({})),
        ("POST", "/v1/bridges", json!({"name": "br7"})),
        ("PATCH", "/v1/ports/vm1", patch),
        ("DELETE", "/v1/mirrors/watch", Value::Null),
    ] {
        let path = format!("{path}?dry-run=true");
        let answer = scene.json(method, &path, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let changes: Changes = serde_json::from_slice(&answer.body).unwrap();
        assert!(changes.dry_run && !changes.changes.is_empty(), "{changes:?}");
        assert_eq!(scene.fake.config(), some());
    }
}

#[test]
fn a_configuration_goes_out_as_a_file_and_comes_in_as_one() {
    let scene = Scene::new();
    let answer = scene.ask("GET", "/v1/config", &["accept: application/toml"], b"");
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(file::read(&text).unwrap(), some());
    let wanted = text.replace("tag = 10", "tag = 11");
    let changes: Changes = scene.client().send_toml(Method::PUT, "/v1/config", &wanted).unwrap();
    assert_eq!(changes.changes.len(), 1, "{changes:?}");
    assert_eq!(scene.fake.config().ports["vm1"].tag, Some(11));
    let changes: Changes = scene.client().send_toml(Method::PUT, "/v1/config", &wanted).unwrap();
    assert_eq!(changes.changes, [], "a second apply changes nothing");
}

#[test]
fn what_is_wrong_is_named_by_line_or_key_and_nothing_changes() {
    let scene = Scene::new();
    let put = |kind: &str, body: &str| {
        let kind = format!("content-type: application/{kind}");
        scene.ask("PUT", "/v1/config", &[&kind], body.as_bytes())
    };
    let wrong_tag = SOME.replace("tag = 10", "tag = 5000");
    for (kind, body, words, key) in [
        ("json", "{\n \"ports\": [}", "line 2, column 12", None),
        ("json", "{\"ports\":{\"a\":1,\"a\":2}}", "'a' is given twice", None),
        ("json", "{\"prots\":{}}", "ports", Some("prots")),
        (
            "json",
            "{\"ports\":{\"a\":{\"bridge\":\"b\",\"kind\":\"tap\",\"tog\":3}}}",
            "tag",
            Some("ports.a.tog"),
        ),
        (
            "json",
            "{\"ports\":{\"a\":{\"bridge\":\"b\",\"kind\":\"tap\"}}}",
            "b",
            Some("ports.a.bridge"),
        ),
        ("json", "", "line 1", None),
        ("toml", "[ports\n", "line 1", Some("ports")),
        (
            "toml",
            &wrong_tag,
            "line 15, ports.vm1.tag: expected a VLAN from 1 to 4094, found 5000",
            Some("ports.vm1.tag"),
        ),
        ("toml", "\u{0}", "line 1", None),
    ] {
        let answer = if body.is_empty() {
            scene.ask(
                "PUT",
                "/v1/config",
                &["content-type: application/json", "content-length: 0"],
                b"",
            )
        } else {
            put(kind, body)
        };
        assert_eq!(answer.status, 400, "{body}");
        let (sentence, its_key) = answer.problem();
        assert!(sentence.contains(words), "{body}: {sentence}");
        assert_eq!(its_key.as_deref(), key, "{body}: {sentence}");
        assert_eq!(scene.fake.config(), some());
    }
    let answer =
        scene.ask("PUT", "/v1/config", &["content-type: application/toml"], b"a = \"\xff\"");
    assert_eq!(answer.status, 400);
    let answer = scene.json("PATCH", "/v1/ports/vm1", &json!({"tag": 5000}));
    assert_eq!(answer.problem().1.as_deref(), Some("ports.vm1.tag"));
    let answer =
        scene.json("PATCH", "/v1/ports/vm1", &json!({"tag": null, "native": 1, "dot1q-tunnel": 2}));
    assert!(answer.problem().1.unwrap().starts_with("ports.vm1."));
    assert_eq!(scene.fake.config(), some());
}

#[test]
fn what_somebody_else_changed_is_not_overwritten() {
    let scene = Scene::new();
    let seen = |path: &str| scene.get(path).header("etag").expect("a version").to_owned();
    let change = |path: &str, tag: &str, body: Value| {
        let headers = ["content-type: application/json", &format!("if-match: {tag}")];
        scene.ask("PATCH", path, &headers, body.to_string().as_bytes()).status
    };
    let (port, other, all) = (seen("/v1/ports/vm1"), seen("/v1/ports/span"), seen("/v1/config"));
    assert_eq!(seen("/v1/ports/vm1"), port, "the same state is the same version");
    assert_eq!(change("/v1/ports/vm1", &port, json!({"tag": 20})), 200);
    assert_eq!(change("/v1/ports/vm1", &port, json!({"tag": 30})), 412);
    assert_eq!(scene.fake.config().ports["vm1"].tag, Some(20));
    // Another port is another matter; the whole is not as it was.
    assert_eq!(change("/v1/ports/span", &other, json!({"tag": 30})), 200);
    let headers = ["content-type: application/json", &format!("if-match: {all}")];
    assert_eq!(scene.ask("PUT", "/v1/config", &headers, b"{}").status, 412);
    assert!(!scene.fake.config().ports.is_empty());
    let either = format!("\"x\", {}", seen("/v1/ports/vm1"));
    assert_eq!(change("/v1/ports/vm1", &either, json!({"tag": 40})), 200);
    let headers = [format!("if-match: {}", seen("/v1/mirrors/watch"))];
    assert_eq!(scene.ask("DELETE", "/v1/mirrors/watch", &[&headers[0]], b"").status, 200);
}

#[test]
fn those_who_look_are_answered_while_a_change_takes_its_time() {
    let scene = Scene::new();
    scene.fake.hold(true);
    std::thread::scope(|scope| {
        let change = |client: Client, name: String| {
            move || client.send::<Changes>(Method::POST, "/v1/bridges", &json!({"name": name}))
        };
        // More than there are threads: those for looking are not taken.
        let changes: Vec<_> = (0..10)
            .map(|number| scope.spawn(change(scene.client(), format!("new{number}"))))
            .collect();
        for _ in 0..20 {
            scene.assert_answers();
        }
        assert_eq!(scene.get("/healthz").body, b"ok\n");
        assert_eq!(scene.get("/readyz").status, 503);
        assert_eq!(scene.fake.config(), some());
        scene.fake.hold(false);
        for change in changes {
            assert_eq!(change.join().unwrap().unwrap().changes.len(), 1);
        }
    });
    assert_eq!(scene.fake.config().bridges.len(), 12);
    assert_eq!(scene.get("/readyz").body, b"ready\n");
}
