//! What is kept of the running switch in the store: what was declared of each bridge, port and mirror, what it is, and
//! the ports' numbers. What these mean at the next start is decided by [`restore`](crate::config::restore).

use std::collections::{BTreeMap, HashSet};

use super::{change::Running, numbers::Assigned};
use crate::{
    config::{
        Config,
        plan::{Change, ObjectKind},
        restore::{self, Kept},
    },
    store::{Store, StoreError},
};

/// What a store has of the switch that ran before.
///
/// # Errors
/// If a value is none of ours.
pub(super) fn read(store: &Store) -> Result<Vec<Kept>, StoreError> {
    let kept = |(key, value): (&str, &str)| {
        serde_json::from_str(value).map_err(|error| store.damaged(&format!("{key}: {error}")))
    };
    store.values().map(kept).collect()
}

/// What makes the store that of a switch that starts.
pub(super) fn whole(
    store: &Store,
    declared: &Config,
    running: &Running,
) -> Vec<(String, Option<String>)> {
    let numbers =
        running.numbers.iter().map(|(name, (_, number))| (name.clone(), *number)).collect();
    let mut values: BTreeMap<String, Option<String>> =
        store.values().map(|(key, _)| (key.to_owned(), None)).collect();
    for kept in restore::keep(declared, &running.config, &numbers) {
        values.insert(kept.key.clone(), written(&kept));
    }
    values.into_iter().collect()
}

/// What keeps a change.
pub(super) fn changed(
    declared: &Config,
    (before, running): (&Assigned, &Running),
    changes: &[Change],
) -> Vec<(String, Option<String>)> {
    let mut objects: HashSet<(ObjectKind, &str)> =
        changes.iter().map(|change| (change.object, change.name.as_str())).collect();
    let renumbered = running.numbers.iter().filter(|&(name, now)| before.get(name) != Some(now));
    objects.extend(renumbered.map(|(name, _)| (ObjectKind::Port, name.as_str())));
    let value = |(object, name): (ObjectKind, &str)| {
        let number = running.numbers.get(name).map(|&(_, number)| number);
        let number = number.filter(|_| object == ObjectKind::Port);
        let kept = Kept::of((object, name), declared, &running.config, number);
        (Kept::key(object, name), kept.as_ref().and_then(written))
    };
    objects.into_iter().filter(|(object, _)| *object != ObjectKind::Switch).map(value).collect()
}

fn written(kept: &Kept) -> Option<String> {
    // Values of JSON are always written as JSON.
    serde_json::to_string(kept).ok()
}
