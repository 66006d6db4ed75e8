//! What bridges, ports and mirrors have in common: they are listed, shown, made, changed and removed alike.

use std::collections::HashMap;

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Failure, json},
    body::Document,
    call::{Call, Name, etag},
};
use crate::{
    config::{ConfigError, check, keys, path},
    control::object::{Changes, Item, New, Object},
};

/// All of a kind, in the order of the configuration.
pub(super) async fn list<T: Object>(call: Call) -> Answer {
    call.words(&[])?;
    let items = call.read(|control| {
        let config = control.config();
        let mut running: HashMap<_, _> = T::running(control.status()).collect();
        let item = |(name, config): (&String, &T)| Item {
            name: name.clone(),
            config: config.clone(),
            status: running.remove(name),
        };
        json(StatusCode::OK, &T::all(&config).iter().map(item).collect::<Vec<_>>())
    });
    items.await
}

/// One of a kind.
pub(super) async fn show<T: Object>(call: Call, Name(name): Name) -> Answer {
    call.words(&[])?;
    let shown = call.read(move |control| {
        let config = control.config();
        let Some(config) = T::all(&config).get(&name) else { return Err(missing::<T>(&name)) };
        let status = T::running(control.status()).find(|(found, _)| *found == name);
        let status = status.map(|(_, status)| status);
        let tag = etag(config);
        let mut answer = json(StatusCode::OK, &Item { name, config: config.clone(), status })?;
        answer.headers_mut().extend(tag.map(|(name, value)| (Some(name), value)));
        Ok(answer)
    });
    shown.await
}

/// Makes one.
pub(super) async fn create<T: Object>(call: Call, body: Document) -> Answer {
    let dry_run = call.words(&["dry-run"])?.is_set("dry-run")?;
    let New { name, config } = new::<T>(body.json().await?)?;
    let place = format!("/v1/{}/{name}", T::WORDS);
    let changes = call.change(dry_run, move |running| {
        if T::all(running).contains_key(&name) {
            let sentence = format!(
                "there is a {} {name} already: change it with `strowger {} set` (PATCH), or choose another name",
                T::WORD,
                T::WORD
            );
            return Err(Failure::new(StatusCode::CONFLICT, sentence).key("name"));
        }
        T::all_mut(running).insert(name.clone(), config.clone());
        Ok(())
    });
    let changes = Changes { dry_run, changes: changes.await? };
    let mut answer = json(if dry_run { StatusCode::OK } else { StatusCode::CREATED }, &changes)?;
    if let Ok(place) = HeaderValue::from_str(&place) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

/// Changes some keys of one.
pub(super) async fn change<T: Object>(call: Call, Name(name): Name, body: Document) -> Answer {
    let dry_run = call.words(&["dry-run"])?.is_set("dry-run")?;
    let condition = call.condition()?;
    let mut patch = object::<T>(body.json().await?)?;
    // Who sends back what was shown need not take the name out.
    if patch.shift_remove("name").is_some_and(|said| said != *name) {
        let sentence =
            format!("a {} keeps its name: remove it and add it by the other one", T::WORD);
        return Err(Failure::bad(sentence).key("name"));
    }
    let patch = Value::Object(patch);
    let changes = call.change(dry_run, move |running| {
        let one = T::all_mut(running).get_mut(&name).ok_or_else(|| missing::<T>(&name))?;
        condition.check(&format!("{} {name}", T::WORD), one)?;
        Ok(keys::patch(one, &path::join(&[T::WORDS, &name]), &patch)?)
    });
    json(StatusCode::OK, &Changes { dry_run, changes: changes.await? })
}

/// Removes one that nothing leans on.
pub(super) async fn remove<T: Object>(call: Call, Name(name): Name) -> Answer {
    let dry_run = call.words(&["dry-run"])?.is_set("dry-run")?;
    let condition = call.condition()?;
    let changes = call.change(dry_run, move |running| {
        let one = T::all(running).get(&name).ok_or_else(|| missing::<T>(&name))?;
        condition.check(&format!("{} {name}", T::WORD), one)?;
        let users = T::users(running, &name);
        if let Some((first, others)) = users.split_first() {
            let rest = match others.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let sentence = format!(
                "{} {name} is needed by {first}{rest}: remove what needs it first",
                T::WORD
            );
            return Err(Failure::new(StatusCode::CONFLICT, sentence));
        }
        T::all_mut(running).shift_remove(&name);
        Ok(())
    });
    json(StatusCode::OK, &Changes { dry_run, changes: changes.await? })
}

fn missing<T: Object>(name: &str) -> Failure {
    let (word, words) = (T::WORD, T::WORDS);
    let sentence = format!(
        "there is no {word} {}; `strowger {word} list` (GET /v1/{words}) shows those that there are",
        name.escape_debug()
    );
    Failure::new(StatusCode::NOT_FOUND, sentence)
}

fn object<T: Object>(value: Value) -> Result<Map<String, Value>, Failure> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::bad(format!(
            "the body has to be an object with the keys of a {}",
            T::WORD
        ))),
    }
}

/// Reads `{"name": …}` with the keys of what has it.
fn new<T: Object>(value: Value) -> Result<New<T>, Failure> {
    let mut object = object::<T>(value)?;
    let wrong = |message: String| Failure::from(ConfigError::new("name", message));
    let name = match object.shift_remove("name") {
        Some(Value::String(name)) => name,
        Some(_) => return Err(wrong("expected the name as a text".to_owned())),
        None => return Err(wrong(format!("the body has no name; every {} has one", T::WORD))),
    };
    check::name(&name).map_err(wrong)?;
    let config = keys::read(&path::join(&[T::WORDS, &name]), &Value::Object(object))?;
    Ok(New { name, config })
}
