use proptest::prelude::*;

use super::*;
use crate::config::{arbitrary, file, plan::plan};

fn config(text: &str) -> Config {
    file::read(text).unwrap()
}

fn tap(bridge: &str, name: &str, more: &str) -> String {
    format!("[ports.{name}]\nbridge = \"{bridge}\"\nkind = \"tap\"\n{more}\n")
}

const BRIDGE: &str = "[bridges.br0]\n";

fn restored(before: &str, api: &str, declared: &str) -> Config {
    let kept = keep(&config(before), &config(api), &HashMap::new());
    let declared = config(declared);
    let restored = restore(&declared, &kept);
    restored.check().unwrap();
    restored
}

#[test]
fn the_newest_word_wins_port_by_port() {
    let bridge = |ports: &[String]| format!("{BRIDGE}{}", ports.concat());
    let port = |more: &str| bridge(&[tap("br0", "a", more)]);
    let none = bridge(&[]);
    for (before, api, now, wins) in [
        // Declared as it was: what the API made of it stays, its end too.
        (port("tag = 1"), port("tag = 2"), port("tag = 1"), port("tag = 2")),
        (port("tag = 1"), none.clone(), port("tag = 1"), none.clone()),
        // Declared otherwise: the file wins.
        (port("tag = 1"), port("tag = 2"), port("tag = 3"), port("tag = 3")),
        (port("tag = 1"), none.clone(), port("tag = 3"), port("tag = 3")),
        // Never declared: the API's stays.
        (none.clone(), port("tag = 2"), none.clone(), port("tag = 2")),
        // Declared now for the first time.
        (none.clone(), port("tag = 2"), port("tag = 3"), port("tag = 3")),
        (none.clone(), none.clone(), port("tag = 3"), port("tag = 3")),
        // Declared then and not now: gone.
        (port("tag = 1"), port("tag = 2"), none.clone(), none.clone()),
        (port("tag = 1"), none.clone(), none.clone(), none.clone()),
    ] {
        assert_eq!(restored(&before, &api, &now), config(&wins), "{before}\n{api}\n{now}");
    }
}

/// The same, while the API has added a port that has nothing to do with it: that must be there afterwards.
fn restored_beside(before: &str, api: &str, declared: &str) -> Config {
    let with = |text: &str, port: &str| format!("{text}\n[bridges.brx]\n{port}");
    let other = tap("brx", "other", "tag = 9");
    let mut restored = restored(&with(before, ""), &with(api, &other), &with(declared, ""));
    assert!(restored.ports.shift_remove("other").is_some());
    restored.bridges.shift_remove("brx");
    restored
}

#[test]
fn what_leads_nowhere_any_more_goes_and_what_is_leant_on_returns() {
    // A port added by the API on a bridge that is declared no more.
    let api = format!("{BRIDGE}{}", tap("br0", "a", ""));
    assert_eq!(restored_beside(BRIDGE, &api, "[bridges.br1]"), config("[bridges.br1]"));
    // A bridge deleted over the API on which a port is declared now.
    let declared = format!("{BRIDGE}{}", tap("br0", "a", ""));
    assert_eq!(restored_beside(BRIDGE, "", &declared), config(&declared));
    // A number that was given away.
    let api = format!("{BRIDGE}{}", tap("br0", "a", "number = 3"));
    let declared = format!("{BRIDGE}{}", tap("br0", "b", "number = 3"));
    assert_eq!(restored_beside(BRIDGE, &api, &declared), config(&declared));
    // A port that is declared as it was, and got the number over the API that another is declared with now.
    let before = format!("{BRIDGE}{}", tap("br0", "a", ""));
    let declared = format!("{before}{}", tap("br0", "b", "number = 3"));
    assert_eq!(restored_beside(&before, &api, &declared), config(&declared));
    // A port deleted over the API which a mirror that is declared now copies.
    let ports = format!("{BRIDGE}{}{}", tap("br0", "a", ""), tap("br0", "b", ""));
    let mirror = |name: &str, from: &str, to: &str| {
        format!("[mirrors.{name}]\nbridge = \"br0\"\nports = [\"{from}\"]\nto = \"{to}\"\n")
    };
    let declared = format!("{ports}{}", mirror("m", "a", "b"));
    assert_eq!(restored_beside(&ports, BRIDGE, &declared), config(&declared));
    // Its bridge was deleted, too.
    assert_eq!(restored_beside(&ports, "", &declared), config(&declared));
    // A mirror added over the API that sends its copies where the declared one takes its own.
    let api = format!("{ports}{}", mirror("n", "b", "a"));
    assert_eq!(restored_beside(&ports, &api, &declared), config(&declared));
    // It is declared the other way round and was turned over the API.
    let before = format!("{ports}{}", mirror("n", "a", "b"));
    let declared = format!("{before}{}", mirror("m", "a", "b"));
    assert_eq!(restored_beside(&before, &api, &declared), config(&declared));
}

#[test]
fn what_is_kept_of_another_version_and_not_understood_is_no_word() {
    let declared = config(&format!("{BRIDGE}{}", tap("br0", "a", "tag = 1")));
    let mut kept = keep(&declared, &declared, &HashMap::new());
    for kept in &mut kept {
        kept.now = Some(serde_json::json!({ "colour": "red" }));
    }
    kept.push(Kept {
        key: "plugin/x".into(),
        declared: None,
        now: Some(Value::Null),
        number: None,
    });
    kept.push(Kept { key: "port/y".into(), declared: None, now: Some(Value::Null), number: None });
    assert_eq!(restore(&declared, &kept), declared);
}

#[test]
fn numbers_are_kept() {
    let running = config(&format!("{BRIDGE}{}{}", tap("br0", "a", ""), tap("br0", "b", "")));
    let given = running.numbers(&HashMap::new());
    let kept = keep(&Config::default(), &running, &given);
    let text = serde_json::to_string(&kept).unwrap();
    let kept: Vec<Kept> = serde_json::from_str(&text).unwrap();
    assert_eq!(numbers(&kept), given);
    // The first port goes, a new one comes first: who stays keeps its number.
    let after = config(&format!("{BRIDGE}{}{}", tap("br0", "c", ""), tap("br0", "b", "")));
    let given = after.numbers(&numbers(&kept));
    assert_eq!((given["c"], given["b"]), (1, 2));
}

/// The rule as a table says it, for one object.
fn rule<T: Clone + PartialEq>(
    before: Option<&T>,
    api: Option<&T>,
    declared: Option<&T>,
) -> Option<T> {
    if before == declared { api.cloned() } else { declared.cloned() }
}

/// The rule for all of them, without looking whether they fit.
fn by_rule(before: &Config, api: &Config, declared: &Config) -> Config {
    fn all<T: Clone + PartialEq>(
        before: &IndexMap<String, T>,
        api: &IndexMap<String, T>,
        declared: &IndexMap<String, T>,
    ) -> IndexMap<String, T> {
        let names = before.keys().chain(api.keys()).chain(declared.keys());
        let newest = |name: &String| {
            Some((name.clone(), rule(before.get(name), api.get(name), declared.get(name))?))
        };
        names.filter_map(newest).collect()
    }
    Config {
        bridges: all(&before.bridges, &api.bridges, &declared.bridges),
        ports: all(&before.ports, &api.ports, &declared.ports),
        mirrors: all(&before.mirrors, &api.mirrors, &declared.mirrors),
        ..declared.clone()
    }
}

proptest! {
    #![proptest_config(crate::properties::config())]

    #[test]
    fn a_restart_without_a_word_changes_nothing((declared, api) in arbitrary::pair()) {
        prop_assert_eq!(&restore(&declared, &[]), &declared);
        let kept = keep(&declared, &api, &HashMap::new());
        let restored = restore(&declared, &kept);
        let wanted = Config { switch: declared.switch.clone(), api: declared.api.clone(), log: declared.log.clone(), ..api };
        prop_assert_eq!(&restored, &wanted);
        // And the next one neither.
        let again = keep(&declared, &restored, &HashMap::new());
        prop_assert_eq!(&restore(&declared, &again), &restored);
    }

    #[test]
    fn what_is_restored_passes_and_follows_the_rule_where_that_fits(
        (before, api) in arbitrary::pair(),
        other in arbitrary::config(),
        choices in proptest::collection::vec(0..4_u8, 16),
    ) {
        let declared = arbitrary::mixed(&before, &other, &choices);
        let restored = restore(&declared, &keep(&before, &api, &HashMap::new()));
        prop_assert_eq!(restored.check(), Ok(()));
        let wanted = by_rule(&before, &api, &declared);
        if wanted.check().is_ok() {
            prop_assert_eq!(&restored, &wanted);
        }
        // Whatever became of it, it is what is declared now or what the API made, and nothing else.
        for change in plan(&declared, &restored) {
            prop_assert!(change.object != ObjectKind::Switch, "{}", change);
            prop_assert_eq!(json(&restored, change.object, &change.name), json(&api, change.object, &change.name), "{}", change);
        }
        // Ports are in the order in which they are declared.
        let declared_of = |config: &Config| -> Vec<String> {
            config.ports.keys().filter(|name| declared.ports.contains_key(*name) && restored.ports.contains_key(*name)).cloned().collect()
        };
        prop_assert_eq!(declared_of(&restored), declared_of(&declared));
        // A file that says something else of everything is obeyed.
        let fresh = restore(&other, &keep(&Config::default(), &Config::default(), &HashMap::new()));
        prop_assert_eq!(&fresh, &other);
    }

    #[test]
    fn numbers_stay_and_nobody_shares_one((before, after) in arbitrary::pair()) {
        let first = before.numbers(&HashMap::new());
        let second = after.numbers(&first);
        let mut seen = HashSet::new();
        for (name, port) in &after.ports {
            let number = second[name];
            prop_assert!(number >= 1 && seen.insert((&port.bridge, number)));
            prop_assert!(port.number.is_none_or(|wanted| wanted == number));
        }
        prop_assert_eq!(second.len(), after.ports.len());
        prop_assert_eq!(&after.numbers(&second), &second);
    }
}
