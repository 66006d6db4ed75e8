//! Random documents: what is taken is what the configuration's own rules take, and is there then as it was sent; what
//! is refused has changed nothing; nothing is ever the switch's fault.

use std::cell::Cell;

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};
use strowger_vswitch::{
    config::{Config, file},
    control::Control,
};

use crate::fake::{Scene, some};

/// What a part of a document is replaced by.
fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "br0",
        "br1",
        "br9",
        "vm1",
        "c1",
        "span",
        "tap",
        "dev",
        "vhost-user",
        "off",
        "hold",
        "rx",
        "both",
        "10-20",
        "100Mbit",
        "64KiB",
        "",
        "../x",
        "/run/x",
        "ü\u{0}\n\"",
        "name",
        "0660",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..5000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z-]{1,10}|tag|bridge|kind|path|to|ports|vm1", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// One thing to be done to a document.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Replace(Value),
    Remove,
    Insert(String, Value),
    Rename(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let keys = [
        "tag",
        "trunks",
        "native",
        "bridge",
        "kind",
        "path",
        "netns",
        "number",
        "queues",
        "ingress-rate",
        "to",
        "vlans",
        "ports",
        "loop-guard",
        "mac-limit",
        "name",
        "new",
        "vm1",
    ];
    let key = || prop_oneof![4 => prop::sample::select(keys.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"];
    prop_oneof![
        anything().prop_map(Edit::Replace),
        Just(Edit::Remove),
        (key(), anything()).prop_map(|(key, value)| Edit::Insert(key, value)),
        key().prop_map(Edit::Rename),
    ]
}

/// Edits a place that a number chooses, among all places of the document.
fn apply(value: &mut Value, place: usize, edit: &Edit) {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Object(object) => object.values().map(count).sum::<usize>(),
            Value::Array(list) => list.iter().map(count).sum(),
            _ => 0,
        }
    }
    fn go(value: &mut Value, place: usize, edit: &Edit) {
        if place == 0 {
            match (edit, value) {
                (Edit::Insert(key, new), Value::Object(object)) => {
                    object.insert(key.clone(), new.clone());
                }
                (Edit::Insert(_, new) | Edit::Replace(new), value) => *value = new.clone(),
                (Edit::Remove | Edit::Rename(_), value) => *value = Value::Null,
            }
            return;
        }
        let mut before = 1;
        match value {
            Value::Object(object) => {
                let Some(key) = object.iter().find_map(|(key, value)| {
                    let here = count(value);
                    let found = place < before + here;
                    if !found {
                        before += here;
                    }
                    found.then(|| key.clone())
                }) else {
                    return;
                };
                match edit {
                    Edit::Remove if place == before => drop(object.shift_remove(&key)),
                    Edit::Rename(new) if place == before => {
                        let value = object.shift_remove(&key).unwrap();
                        object.insert(new.clone(), value);
                    }
                    edit => go(object.get_mut(&key).unwrap(), place - before, edit),
                }
            }
            Value::Array(list) => {
                for element in list {
                    let here = count(element);
                    if place < before + here {
                        return go(element, place - before, edit);
                    }
                    before += here;
                }
            }
            _ => {}
        }
    }
    let places = count(value);
    go(value, place % places, edit);
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<(usize, Edit)>> {
    prop::collection::vec((any::<usize>(), edit()), 0..4)
}

/// A request: method, path, type of the body, body.
pub(crate) type Request = (&'static str, String, &'static str, Vec<u8>);

/// Runs requests that a strategy makes, each on a switch as it is at the start, and holds what comes of them against
/// the configuration that is expected; `None` if it has to be refused.
fn hold<T: std::fmt::Debug>(
    strategy: &impl Strategy<Value = T>,
    request: impl Fn(&T) -> Request,
    expected: impl Fn(&T) -> Option<Config>,
) {
    let scene = Scene::new();
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    let run = |case: T| {
        let before = some();
        scene.fake.reset(before.clone());
        let (method, path, kind, body) = request(&case);
        let answer = scene.ask(method, &path, &[kind], &body);
        let after = scene.fake.config();
        let expected = expected(&case).filter(|config| config.check().is_ok());
        match (answer.status, expected) {
            (200 | 201, Some(expected)) => {
                taken.set(taken.get() + 1);
                prop_assert_eq!(after, expected);
            }
            (400..=499, None) => {
                refused.set(refused.get() + 1);
                answer.problem();
                prop_assert_eq!(after, before);
            }
            (status, expected) => {
                let said = answer.body.escape_ascii();
                let wrong = format!("status {status} ({said}) where {expected:?} was expected");
                return Err(TestCaseError::fail(wrong));
            }
        }
        Ok(())
    };
    TestRunner::new(crate::properties()).run(strategy, run).unwrap();
    assert_balanced(taken.get(), refused.get());
    scene.assert_answers();
}

/// Cases that all go one way would say nothing.
pub(crate) fn assert_balanced(taken: u32, refused: u32) {
    println!("{taken} were taken and {refused} refused");
    assert!(taken * 20 > refused && refused * 20 > taken, "{taken} taken, {refused} refused");
}

pub(crate) const JSON: &str = "content-type: application/json";
const TOML: &str = "content-type: application/toml";

pub(crate) fn edited(mut value: Value, edits: &[(usize, Edit)]) -> Value {
    for (place, edit) in edits {
        apply(&mut value, *place, edit);
    }
    value
}

#[test]
fn a_random_configuration_is_taken_whole_or_not_at_all() {
    let document =
        |edits: &Vec<(usize, Edit)>| edited(serde_json::to_value(some()).unwrap(), edits);
    hold(
        &edits(),
        |edits| ("PUT", "/v1/config".into(), JSON, document(edits).to_string().into_bytes()),
        |edits| Config::from_json(&document(edits)).ok(),
    );
}

#[test]
fn a_random_file_is_taken_whole_or_not_at_all() {
    let text = |damage: &Vec<(usize, Vec<u8>, usize)>| {
        let mut text = file::write(&some()).into_bytes();
        for (place, new, gone) in damage {
            let start = place % (text.len() + 1);
            let end = (start + gone).min(text.len());
            text.splice(start..end, new.iter().copied());
        }
        text
    };
    let bytes = prop_oneof![
        Just(Vec::new()),
        "[0-9]{1,2}".prop_map(String::into_bytes),
        "\\PC{0,4}".prop_map(String::into_bytes),
        Just(b"\n[ports.vm1]\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..3),
    ];
    hold(
        &prop::collection::vec((any::<usize>(), bytes, 0_usize..3), 0..3),
        |damage| ("PUT", "/v1/config".into(), TOML, text(damage)),
        |damage| file::read(std::str::from_utf8(&text(damage)).ok()?).ok(),
    );
}

#[test]
fn a_random_object_is_added_whole_or_not_at_all() {
    let document = |(kind, edits): &(&'static str, Vec<(usize, Edit)>)| {
        let one = match *kind {
            "bridges" => json!({"name": "new", "loop-guard": "hold", "mac-limit": 5}),
            "ports" => {
                json!({"name": "new", "bridge": "br0", "kind": "tap", "trunks": [10, "20-30"]})
            }
            _ => {
                json!({"name": "new", "bridge": "br0", "ports": ["vm1", "c1"], "to": "span", "vlans": [10]})
            }
        };
        edited(one, edits)
    };
    hold(
        &(prop::sample::select(vec!["bridges", "ports", "mirrors"]), edits()),
        |case| ("POST", format!("/v1/{}", case.0), JSON, document(case).to_string().into_bytes()),
        |case| {
            let Value::Object(mut one) = document(case) else { return None };
            let name = one.shift_remove("name")?.as_str()?.to_owned();
            let mut all = serde_json::to_value(some()).unwrap();
            let section = all[case.0].as_object_mut().unwrap();
            if section.contains_key(&name) {
                return None;
            }
            section.insert(name, Value::Object(one));
            Config::from_json(&all).ok()
        },
    );
}

#[test]
fn random_keys_are_changed_whole_or_not_at_all() {
    let paths = vec![
        ("bridges", "br0"),
        ("ports", "vm1"),
        ("ports", "c1"),
        ("mirrors", "watch"),
        ("ports", "nobody"),
    ];
    let patch = |(_, edits): &((&'static str, &'static str), Vec<(usize, Edit)>)| {
        edited(json!({"tag": 20, "loop-hold": 7}), edits)
    };
    let narrow = |(path, edits): &((&'static str, &'static str), Vec<(usize, Edit)>)| {
        // Half of the keys that every patch begins with do not belong to what it is for.
        let mut patch = patch(&(*path, edits.clone()));
        if let Value::Object(object) = &mut patch {
            match path.0 {
                "bridges" => drop(object.shift_remove("tag")),
                "ports" => drop(object.shift_remove("loop-hold")),
                _ => {
                    *object = object
                        .iter()
                        .filter(|(key, _)| *key != "tag" && *key != "loop-hold")
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect::<Map<_, _>>();
                }
            }
        }
        patch
    };
    hold(
        &(prop::sample::select(paths), edits()),
        |case| {
            (
                "PATCH",
                format!("/v1/{}/{}", case.0.0, case.0.1),
                JSON,
                narrow(case).to_string().into_bytes(),
            )
        },
        |case| {
            let Value::Object(mut patch) = narrow(case) else { return None };
            let (kind, name) = case.0;
            if patch.shift_remove("name").is_some_and(|said| said != *name) {
                return None;
            }
            let mut all = serde_json::to_value(some()).unwrap();
            let one = all[kind].as_object_mut().unwrap().get_mut(name)?.as_object_mut().unwrap();
            let known = |key: &str| {
                let probe = json!({kind: {"x": {key: null}}});
                // A key that is taken away has to be one that there is.
                !Config::from_json(&probe).unwrap_err().message.contains(&format!("no key '{key}'"))
            };
            for (key, value) in patch {
                if !value.is_null() {
                    one.insert(key, value);
                } else if known(&key) {
                    one.shift_remove(&key);
                } else {
                    return None;
                }
            }
            Config::from_json(&all).ok()
        },
    );
}
