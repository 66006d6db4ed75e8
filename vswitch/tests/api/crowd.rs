//! Many at once: changes are made one after the other, each as a whole.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::{Value, json};
use strowger_vswitch::{
    config::Config,
    control::{Changes, Control},
};

use crate::fake::{Scene, some};

const CLIENTS: u32 = 10;
const ROUNDS: u32 = 20;

#[test]
fn ten_clients_at_once_lose_nothing_and_see_nothing_half_done() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let scene = &scene;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let name = format!("p{client}-{round}");
                    let port = json!({"name": name, "bridge": "br0", "kind": "tap", "netns": "blue", "interface": format!("t{client}x{round}")});
                    let path = format!("/v1/ports/{name}");
                    let api = scene.client();
                    let done: Changes = api.send(Method::POST, "/v1/ports", &port).unwrap();
                    assert_eq!(done.changes.len(), 1, "{done:?}");
                    // Each counts on one number, by what it saw and nobody changed since.
                    count_up(scene);
                    let seen: Config = api.get("/v1/config").unwrap();
                    seen.check().unwrap();
                    assert!(seen.ports.contains_key(&name));
                    if round % 2 == 0 {
                        let done: Changes = api.delete(&path).unwrap();
                        assert_eq!(done.changes.len(), 1, "{done:?}");
                        assert_eq!(scene.get(&path).status, 404);
                    }
                }
            });
        }
    });
    let config = scene.fake.config();
    let before = some();
    let added: BTreeSet<_> =
        config.ports.keys().filter(|name| !before.ports.contains_key(*name)).cloned().collect();
    let expected = (0..CLIENTS).flat_map(|client| {
        (0..ROUNDS).filter(|round| round % 2 == 1).map(move |round| format!("p{client}-{round}"))
    });
    assert_eq!(added, expected.collect());
    assert_eq!(config.bridges["br1"].mac_limit, Some((CLIENTS * ROUNDS) as usize));
}

/// Adds one to a number, and again until nobody was in between.
fn count_up(scene: &Scene) {
    loop {
        let seen = scene.get("/v1/bridges/br1");
        let tag = format!("if-match: {}", seen.header("etag").unwrap());
        let count = seen.json()["mac-limit"].as_u64().unwrap_or(0);
        let patch: Value = json!({"mac-limit": count + 1});
        let answer = scene.ask(
            "PATCH",
            "/v1/bridges/br1",
            &["content-type: application/json", &tag],
            patch.to_string().as_bytes(),
        );
        match answer.status {
            200 => return,
            412 => {}
            other => panic!("{other}: {answer:?}"),
        }
    }
}

#[test]
fn a_configuration_of_ten_thousand_ports_goes_in_and_out() {
    let mut big = some();
    for number in 0..10_000 {
        let mut port = big.ports["vm1"].clone();
        port.path = Some(
            format!("/run/strowger/a-rather-long-name-of-a-directory/vm{number:05}.sock").into(),
        );
        big.ports.insert(format!("vm-{number:05}"), port);
    }
    let scene = Scene::new();
    let put = Method::PUT;
    let done: Changes = scene.client().send(put.clone(), "/v1/config", &big).unwrap();
    assert_eq!(done.changes.len(), 10_000);
    assert_eq!(scene.fake.config(), big);
    assert_eq!(scene.client().get::<Config>("/v1/config").unwrap(), big);
    let file = strowger_vswitch::config::file::write(&big);
    let done: Changes = scene.client().send_toml(put, "/v1/config", &file).unwrap();
    assert_eq!(done.changes, []);
}
