use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::config::{
    ApiConfig, BridgeConfig, LogConfig, MirrorConfig, PortConfig, PortKind, SwitchConfig,
};

/// A section's description for the API.
fn schema<T: Section>() -> Value {
    serde_json::to_value(T::schema()).unwrap()
}

/// The table says what the types say: the same keys, the same bounds, words and defaults.
fn held<T: Section + PartialEq + std::fmt::Debug>(plain: &T) {
    let schema = schema::<T>();
    let properties = schema["properties"].as_object().unwrap();
    let names: BTreeSet<_> = T::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(
        properties.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        names,
        "{}",
        T::WHAT
    );
    let required: Vec<_> = T::KEYS.iter().filter(|key| key.required).map(|key| key.name).collect();
    assert_eq!(schema.get("required").unwrap_or(&json!([])), &json!(required), "{}", T::WHAT);
    let mut others = Vec::new();
    T::schemas(&mut others);
    for key in T::KEYS {
        let property = &properties[key.name];
        match key.form {
            Form::Number { low, high, .. } => {
                assert_eq!(property["minimum"], low, "{}: {property}", key.name);
                assert_eq!(property["maximum"], high, "{}: {property}", key.name);
            }
            Form::Choice(words) => {
                let name = property["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                let (_, schema) =
                    others.iter().find(|(other, _)| Some(other.as_str()) == name).unwrap();
                let schema = serde_json::to_value(schema).unwrap();
                assert_eq!(schema["enum"], json!(words), "{}: {schema}", key.name);
            }
            _ => {}
        }
        if let Some(default) = key.default {
            let mut said = object("", plain).unwrap();
            said.insert(key.name.to_owned(), key.form.value(default));
            assert_eq!(&read::<T>("", &Value::Object(said)).unwrap(), plain, "{}", key.name);
            assert_eq!(get(plain, key.name).as_deref(), Some(default));
        } else if !key.required {
            assert!(!object("", plain).unwrap().contains_key(key.name), "{}", key.name);
        }
    }
}

#[test]
fn the_table_is_that_of_the_types() {
    held(&SwitchConfig::default());
    held(&ApiConfig::default());
    held(&LogConfig::default());
    held(&BridgeConfig::default());
    held(&PortConfig::new("br0", PortKind::Tap));
    held(&MirrorConfig::new("br0", "span0"));
    let kinds = PortKind::ALL.map(PortKind::word);
    let Form::Choice(words) = key::<PortConfig>("", "kind").unwrap().form else { panic!() };
    assert_eq!(words, kinds);
}

#[test]
fn a_patch_changes_what_it_names_or_nothing() {
    let mut port = PortConfig::new("br0", PortKind::Tap);
    port.tag = Some(5);
    patch(&mut port, "ports.x", &json!({ "tag": null, "trunks": [1, "5-9"], "queues": 2 }))
        .unwrap();
    assert_eq!((port.tag, port.trunks.len(), port.queues), (None, 2, Some(2)));
    let before = port.clone();
    for (change, said) in [
        (json!([]), "ports.x: expected a table with the keys of a port, found a list"),
        (json!({ "queues": 3, "tga": 1 }), "ports.x.tga: a port has no key 'tga'"),
        (
            json!({ "queues": 3, "tag": true }),
            "ports.x.tag: expected a VLAN from 1 to 4094, found true",
        ),
        (json!({ "queues": 3, "kind": null }), "ports.x.kind: a port needs the key 'kind'"),
        (
            json!({ "trunks": [1, {}] }),
            "ports.x.trunks[1]: expected a VLAN from 0 to 4094 or a range such as \"20-30\", found a table of keys",
        ),
        (json!({ "path": "a\0b" }), "ports.x.path: expected a path, found \"a\\0b\""),
        (json!({ "path": "x".repeat(5000) }), "ports.x.path: expected a path, found \"xxxxx"),
        (
            json!({ "trunks": vec![1; MAX_PORTS + 1] }),
            "ports.x.trunks: the list has 16385 elements",
        ),
    ] {
        let error = patch(&mut port, "ports.x", &change).unwrap_err().to_string();
        assert!(error.starts_with(said) && error.len() < 300, "{error}");
        assert_eq!(port, before);
    }
}

#[test]
fn what_is_read_needs_what_must_be_there() {
    let error = read::<MirrorConfig>("mirrors.m", &json!({ "bridge": "br0" })).unwrap_err();
    assert_eq!(error.to_string(), "mirrors.m.to: a mirror needs the key 'to': the name of a port");
    let error =
        read::<MirrorConfig>("mirrors.m", &json!({ "bridge": null, "to": "x" })).unwrap_err();
    assert_eq!(error.to_string(), "mirrors.m.bridge: expected the name of a bridge, found nothing");
}

#[test]
fn words_are_joined() {
    assert_eq!(one_of(&[]), "");
    assert_eq!(one_of(&["a"]), "a");
    assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
}
