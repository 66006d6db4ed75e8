//! What a switch is after a restart: what is declared (by its file or its flags), and what the API made of it before.
//!
//! Each bridge, port and mirror is decided for itself, by whose word is newest:
//!
//! | declared last time and now | the switch will have |
//! |---|---|
//! | the same, or neither time | what the API made of it, also that it is gone |
//! | differently, or only now | what is declared now |
//! | last time, not now | nothing |
//!
//! The switch's own settings, its API's and its log's are always those declared. Where the API's word no longer fits
//! what is declared now (its bridge is gone, its number was given away), what is declared wins: the API's object
//! goes, or is as declared. What is left then always passes [`Config::check`] if what is declared does.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Config, MirrorConfig,
    keys::{self, Section},
    path,
    plan::ObjectKind,
};

/// What is kept of one bridge, port or mirror over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which: `port/vm1`.
    pub key: String,
    /// What was declared of it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Value>,
    /// What it was at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
    /// A port's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
}

impl Kept {
    /// The key of something: `port/vm1`.
    #[must_use]
    pub fn key(object: ObjectKind, name: &str) -> String {
        format!("{object}/{name}")
    }

    /// What is to be kept of one thing: what was declared of it, what it is now. Nothing if it is neither.
    #[must_use]
    pub fn of(
        (object, name): (ObjectKind, &str),
        declared: &Config,
        now: &Config,
        number: Option<u32>,
    ) -> Option<Self> {
        let (declared, now) = (json(declared, object, name), json(now, object, name));
        (declared.is_some() || now.is_some()).then(|| Self {
            key: Self::key(object, name),
            declared,
            now,
            number,
        })
    }
}

/// All that is to be kept of a switch with these numbers of its ports.
#[must_use]
pub fn keep(declared: &Config, now: &Config, numbers: &HashMap<String, u32>) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut add = |object, names: [Vec<&String>; 2]| {
        let mut seen = HashSet::new();
        for name in names.into_iter().flatten().filter(|name| seen.insert(*name)) {
            let number = numbers.get(name).copied().filter(|_| object == ObjectKind::Port);
            kept.extend(Kept::of((object, name), declared, now, number));
        }
    };
    add(ObjectKind::Bridge, [now, declared].map(|config| config.bridges.keys().collect()));
    add(ObjectKind::Port, [now, declared].map(|config| config.ports.keys().collect()));
    add(ObjectKind::Mirror, [now, declared].map(|config| config.mirrors.keys().collect()));
    kept
}

/// The numbers that ports had, for [`Config::numbers`].
#[must_use]
pub fn numbers(kept: &[Kept]) -> HashMap<String, u32> {
    let number = |kept: &Kept| Some((kept.key.strip_prefix("port/")?.to_owned(), kept.number?));
    kept.iter().filter_map(number).collect()
}

/// What the switch will be.
#[must_use]
pub fn restore(declared: &Config, kept: &[Kept]) -> Config {
    let mut config = Config {
        switch: declared.switch.clone(),
        api: declared.api.clone(),
        log: declared.log.clone(),
        bridges: merged(ObjectKind::Bridge, &declared.bridges, kept),
        ports: merged(ObjectKind::Port, &declared.ports, kept),
        mirrors: merged(ObjectKind::Mirror, &declared.mirrors, kept),
    };
    loop {
        // Of two that clash the later one is at fault: that must not be the one that is declared.
        config.ports.sort_by_key(|name, port| declared.ports.get(name) != Some(port));
        let problems = config.problems(usize::MAX);
        if problems.is_empty() {
            break;
        }
        let steps = problems.iter().filter(|problem| step_back(&mut config, declared, problem));
        if steps.count() == 0 {
            // Only what is declared wrongly in itself comes here.
            return declared.clone();
        }
    }
    let place = |name: &String| declared.ports.get_index_of(name).unwrap_or(usize::MAX);
    config.ports.sort_by(|one, _, other, _| place(one).cmp(&place(other)));
    config
}

/// The objects of one kind by whose word is newest, those declared first.
fn merged<T: Section + Clone>(
    object: ObjectKind,
    declared: &IndexMap<String, T>,
    kept: &[Kept],
) -> IndexMap<String, T> {
    let prefix = Kept::key(object, "");
    let kept: IndexMap<&str, &Kept> =
        kept.iter().filter_map(|kept| Some((kept.key.strip_prefix(&prefix)?, kept))).collect();
    // What another version wrote and this one does not understand is no word.
    let read = |value: &Value| keys::read::<T>("", value).ok();
    let mut all = IndexMap::new();
    for (name, wanted) in declared {
        let same = kept.get(name.as_str()).filter(|kept| kept.declared == as_json(wanted));
        let newest = match same.map(|kept| &kept.now) {
            Some(None) => None,
            Some(Some(now)) => Some(read(now).unwrap_or_else(|| wanted.clone())),
            None => Some(wanted.clone()),
        };
        all.extend(newest.map(|newest| (name.clone(), newest)));
    }
    for (&name, kept) in kept.iter().filter(|(name, _)| !declared.contains_key(**name)) {
        let added = kept.now.as_ref().filter(|_| kept.declared.is_none()).and_then(read);
        all.extend(added.map(|added| (name.to_owned(), added)));
    }
    all
}

/// Makes what is at fault, or what that leans on, as it is declared. Whether there was anything to do.
fn step_back(config: &mut Config, declared: &Config, problem: &super::ConfigError) -> bool {
    let Some((what, name)) = path::object(&problem.key) else { return false };
    match what {
        "bridges" => as_declared(&mut config.bridges, &declared.bridges, &name),
        "ports" => {
            let Some(port) = config.ports.get(&name).cloned() else { return false };
            as_declared(&mut config.ports, &declared.ports, &name)
                || as_declared(&mut config.bridges, &declared.bridges, &port.bridge)
        }
        "mirrors" => {
            let Some(mirror) = config.mirrors.get(&name).cloned() else { return false };
            if as_declared(&mut config.mirrors, &declared.mirrors, &name) {
                return true;
            }
            let mut stepped = as_declared(&mut config.bridges, &declared.bridges, &mirror.bridge);
            for port in mirror.ports.iter().chain([&mirror.to]) {
                stepped |= as_declared(&mut config.ports, &declared.ports, port);
            }
            let to_its_ports = |(name, other): (&String, &MirrorConfig)| {
                mirror.ports.contains(&other.to).then(|| name.clone())
            };
            let others: Vec<_> = config.mirrors.iter().filter_map(to_its_ports).collect();
            for other in others {
                stepped |= as_declared(&mut config.mirrors, &declared.mirrors, &other);
            }
            stepped
        }
        _ => false,
    }
}

/// Makes one object as it is declared, and says whether it was not.
fn as_declared<T: Clone + PartialEq>(
    all: &mut IndexMap<String, T>,
    declared: &IndexMap<String, T>,
    name: &str,
) -> bool {
    if all.get(name) == declared.get(name) {
        return false;
    }
    match declared.get(name) {
        Some(wanted) => drop(all.insert(name.to_owned(), wanted.clone())),
        None => drop(all.shift_remove(name)),
    }
    true
}

/// What is said of one thing, as JSON.
fn json(config: &Config, object: ObjectKind, name: &str) -> Option<Value> {
    match object {
        ObjectKind::Switch => None,
        ObjectKind::Bridge => as_json(config.bridges.get(name)?),
        ObjectKind::Port => as_json(config.ports.get(name)?),
        ObjectKind::Mirror => as_json(config.mirrors.get(name)?),
    }
}

/// A path that is no text cannot be kept; `Config::check` refuses it.
fn as_json<T: Section>(section: &T) -> Option<Value> {
    keys::object("", section).ok().map(Value::Object)
}

#[cfg(test)]
mod tests;
