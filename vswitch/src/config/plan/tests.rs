use proptest::prelude::*;

use super::*;
use crate::config::{arbitrary, file};

fn lines(from: &str, to: &str) -> Vec<String> {
    let [from, to] = [from, to].map(|text| file::read(text).unwrap());
    plan(&from, &to).iter().map(Change::to_string).collect()
}

#[test]
fn a_change_is_a_line() {
    let from = r#"
        [bridges.br0]
        [bridges.br1]
        [ports.vm1]
        bridge = "br0"
        kind = "vhost-user"
        path = "/run/vm1.sock"
        tag = 10
        [ports.span0]
        bridge = "br0"
        kind = "tap"
        [ports.old]
        bridge = "br1"
        kind = "tap"
        [mirrors.watch]
        bridge = "br0"
        ports = ["vm1"]
        to = "span0"
    "#;
    let to = r#"
        [switch]
        poll = "busy"
        [log]
        level = "debug"
        [bridges.br0]
        loop-guard = "hold"
        [bridges.br2]
        mac-ageing = 10
        [bridges.br3]
        [ports.span0]
        bridge = "br0"
        kind = "tap"
        [ports.vm1]
        bridge = "br0"
        kind = "vhost-user"
        path = "/run/vm1.sock"
        trunks = [10, "20-30"]
        [ports.new]
        bridge = "br2"
        kind = "vhost-user"
        path = "/run/new.sock"
        tag = 20
        [mirrors.other]
        bridge = "br0"
        ports = ["vm1"]
        to = "span0"
    "#;
    assert_eq!(
        lines(from, to),
        [
            "- mirror watch",
            "- port old",
            "- bridge br1",
            "~ switch: poll adaptive → busy",
            "~ log: level info → debug",
            "~ bridge br0: loop-guard report → hold",
            "+ bridge br2 (mac-ageing 10)",
            "+ bridge br3",
            "~ port vm1: tag 10 → unset, trunks unset → 10+20-30",
            "+ port new (vhost-user, bridge br2, path /run/new.sock, tag 20)",
            "+ mirror other (bridge br0, ports vm1, to span0)",
        ]
    );
    assert!(lines(from, from).is_empty());
}

/// Does what the changes say, each with what it needs of the other configuration and nothing else.
fn applied(from: &Config, to: &Config, changes: &[Change]) -> Config {
    fn apply<T: Clone>(
        all: &mut IndexMap<String, T>,
        wanted: &IndexMap<String, T>,
        change: &Change,
    ) {
        match change.action {
            Action::Remove => assert!(all.shift_remove(&change.name).is_some(), "{change}"),
            Action::Add => {
                let before = all.insert(change.name.clone(), wanted[&change.name].clone());
                assert!(before.is_none(), "{change}");
            }
            Action::Change => all[&change.name] = wanted[&change.name].clone(),
        }
    }
    let mut config = from.clone();
    for change in changes {
        match (change.object, change.name.as_str()) {
            (ObjectKind::Switch, "switch") => config.switch = to.switch.clone(),
            (ObjectKind::Switch, "api") => config.api = to.api.clone(),
            (ObjectKind::Switch, "log") => config.log = to.log.clone(),
            (ObjectKind::Switch, _) => panic!("{change}"),
            (ObjectKind::Bridge, _) => apply(&mut config.bridges, &to.bridges, change),
            (ObjectKind::Port, _) => apply(&mut config.ports, &to.ports, change),
            (ObjectKind::Mirror, _) => apply(&mut config.mirrors, &to.mirrors, change),
        }
    }
    config
}

/// The keys that a change's words name.
fn named<T: Section>(change: &Change) -> Vec<&'static str> {
    let words: Vec<_> = change.what.split(", ").filter_map(|part| part.split(' ').next()).collect();
    T::KEYS.iter().map(|key| key.name).filter(|name| words.contains(name)).collect()
}

fn differing<T: Section>(from: &T, to: &T) -> Vec<&'static str> {
    let (from, to) = (values(from), values(to));
    T::KEYS.iter().map(|key| key.name).filter(|name| from.get(*name) != to.get(*name)).collect()
}

proptest! {
    #![proptest_config(crate::properties::config())]

    #[test]
    fn what_was_planned_gives_what_was_wanted((from, to) in arbitrary::pair()) {
        let changes = plan(&from, &to);
        prop_assert_eq!(&applied(&from, &to, &changes), &to);
        prop_assert_eq!(changes.is_empty(), from == to);
        prop_assert!(plan(&to, &to).is_empty());
        // A second apply changes nothing.
        prop_assert!(plan(&applied(&from, &to, &changes), &to).is_empty());
        // Nothing is named twice.
        let mut names: Vec<_> = changes.iter().map(|change| (change.object, &change.name)).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), changes.len());
    }

    #[test]
    fn a_change_names_the_keys_that_differ((from, to) in arbitrary::pair()) {
        for change in plan(&from, &to).iter().filter(|change| change.action == Action::Change) {
            let name = change.name.as_str();
            match (change.object, name) {
                (ObjectKind::Switch, "switch") => prop_assert_eq!(named::<crate::config::SwitchConfig>(change), differing(&from.switch, &to.switch)),
                (ObjectKind::Bridge, _) => prop_assert_eq!(named::<crate::config::BridgeConfig>(change), differing(&from.bridges[name], &to.bridges[name])),
                (ObjectKind::Mirror, _) => prop_assert_eq!(named::<crate::config::MirrorConfig>(change), differing(&from.mirrors[name], &to.mirrors[name])),
                (ObjectKind::Port, _) => {
                    let named = named::<crate::config::PortConfig>(change);
                    for key in differing(&from.ports[name], &to.ports[name]) {
                        prop_assert!(named.contains(&key), "{}: {}", change, key);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(change.to_string().lines().count(), 1);
        }
    }
}
