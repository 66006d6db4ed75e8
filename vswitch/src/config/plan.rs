//! What must be done to a switch of one configuration to make it one of another.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Config,
    keys::{self, Section},
};

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// To what kind of thing.
    pub object: ObjectKind,
    /// Its name; `switch`, `api` or `log` for the switch itself.
    pub name: String,
    /// What it will be, or what becomes of its keys: `tag 10 → 20`.
    pub what: String,
}

/// What is done to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is made.
    Add,
    /// It is there and becomes another.
    Change,
    /// It goes.
    Remove,
}

/// What kind of thing a configuration names.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// The switch itself, its API or its log.
    Switch,
    /// A bridge.
    Bridge,
    /// A port.
    Port,
    /// A mirror.
    Mirror,
}

impl ObjectKind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Bridge => "bridge",
            Self::Port => "port",
            Self::Mirror => "mirror",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, name, what) = (self.object, &self.name, &self.what);
        let sign = match self.action {
            Action::Add => '+',
            Action::Change => '~',
            Action::Remove => '-',
        };
        write!(f, "{sign} ")?;
        match object {
            ObjectKind::Switch => write!(f, "{name}")?,
            _ => write!(f, "{object} {name}")?,
        }
        match self.action {
            _ if what.is_empty() => Ok(()),
            Action::Add => write!(f, " ({what})"),
            Action::Change | Action::Remove => write!(f, ": {what}"),
        }
    }
}

/// What must be done, in an order in which it can be: what others lean on goes last and comes first. Nothing if and
/// only if the two are the same; the order of bridges and ports says nothing.
#[must_use]
pub fn plan(from: &Config, to: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    gone(&mut changes, ObjectKind::Mirror, &from.mirrors, &to.mirrors);
    gone(&mut changes, ObjectKind::Port, &from.ports, &to.ports);
    gone(&mut changes, ObjectKind::Bridge, &from.bridges, &to.bridges);
    changed(&mut changes, (ObjectKind::Switch, "switch"), &from.switch, &to.switch);
    changed(&mut changes, (ObjectKind::Switch, "api"), &from.api, &to.api);
    changed(&mut changes, (ObjectKind::Switch, "log"), &from.log, &to.log);
    come(&mut changes, ObjectKind::Bridge, &from.bridges, &to.bridges);
    come(&mut changes, ObjectKind::Port, &from.ports, &to.ports);
    come(&mut changes, ObjectKind::Mirror, &from.mirrors, &to.mirrors);
    changes
}

fn gone<T>(
    changes: &mut Vec<Change>,
    object: ObjectKind,
    from: &IndexMap<String, T>,
    to: &IndexMap<String, T>,
) {
    changes.extend(from.keys().filter(|name| !to.contains_key(*name)).map(|name| Change {
        action: Action::Remove,
        object,
        name: name.clone(),
        what: String::new(),
    }));
}

fn come<T: Section + PartialEq>(
    changes: &mut Vec<Change>,
    object: ObjectKind,
    from: &IndexMap<String, T>,
    to: &IndexMap<String, T>,
) {
    for (name, wanted) in to {
        match from.get(name) {
            Some(there) => changed(changes, (object, name), there, wanted),
            None => changes.push(Change {
                action: Action::Add,
                object,
                name: name.clone(),
                what: described(wanted),
            }),
        }
    }
}

fn changed<T: Section + PartialEq>(
    changes: &mut Vec<Change>,
    (object, name): (ObjectKind, &str),
    from: &T,
    to: &T,
) {
    if from != to {
        let what = difference(from, to);
        changes.push(Change { action: Action::Change, object, name: name.to_owned(), what });
    }
}

/// `vhost-user, bridge br0, path /run/vm1.sock, tag 10`: a kind needs no word before it.
fn described<T: Section>(section: &T) -> String {
    let mut given = keys::given(section);
    given.sort_by_key(|(key, _)| *key != "kind");
    let words = given.into_iter().map(|(key, value)| match key {
        "kind" => value,
        key => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// `tag 10 → 20, native unset → 5`.
fn difference<T: Section>(from: &T, to: &T) -> String {
    let (from, to) = (values(from), values(to));
    let shown = |key: &keys::Key, value: Option<&Value>| match (value, key.default) {
        (Some(value), _) => keys::shown(value),
        (None, Some(default)) => default.to_owned(),
        (None, None) => "unset".to_owned(),
    };
    let words = T::KEYS.iter().filter_map(|key| {
        let (from, to) = (from.get(key.name), to.get(key.name));
        (from != to).then(|| format!("{} {} → {}", key.name, shown(key, from), shown(key, to)))
    });
    words.collect::<Vec<_>>().join(", ")
}

fn values<T: Section>(section: &T) -> Map<String, Value> {
    // A path that is no text cannot be shown; `Config::check` refuses it.
    keys::object("", section).unwrap_or_default()
}

#[cfg(test)]
mod tests;
