//! A configuration as a TOML file: read with errors that name line and key, and written again.
//!
//! A file is parsed to JSON and a map of where each key stands; from there on it is what the API gets. An error of
//! reading or of [`Config::check`] is shown at its key's place.

use std::{collections::HashMap, ops::Range};

use serde_json::{Map, Value};
use thiserror::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError,
    keys::{self, Section},
    path,
};

/// What is wrong with a file. Who opened it puts its name before.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}, {}{message}", place(.column, .key))]
pub struct FileError {
    /// From 1 on.
    pub line: usize,
    /// In characters, from 1 on.
    pub column: usize,
    /// The key's path, as in `ports.vm1.tag`; empty if it is not known.
    pub key: String,
    /// What was expected and what was found.
    pub message: String,
}

fn place(column: &usize, key: &str) -> String {
    if key.is_empty() { format!("column {column}: ") } else { format!("{key}: ") }
}

/// Reads a file and holds it against itself.
///
/// # Errors
/// The first thing that is wrong: with the syntax, a key, a value, or what they say to each other.
pub fn read(text: &str) -> Result<Config, FileError> {
    let mut places = Places::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    let value = table(document.get_ref(), "", &mut places);
    if let Some(error) = errors.first() {
        let span = error.span().unwrap_or_default();
        let (line, column) = position(text, span.start);
        let key = places.on_line_of(text, span.start);
        return Err(FileError { line, column, key, message: syntax(error.message()) });
    }
    let checked = value.and_then(|value| Config::from_json(&Value::Object(value)));
    let checked = checked.and_then(|config| config.check().map(|()| config));
    checked.map_err(|error| {
        let (line, column) = position(text, places.of(&error.key));
        FileError { line, column, key: error.key, message: error.message }
    })
}

/// Writes a configuration that [`read`] reads to the same one.
#[must_use]
pub fn write(config: &Config) -> String {
    let mut text = String::new();
    section(&mut text, "switch", &config.switch, false);
    section(&mut text, "api", &config.api, false);
    section(&mut text, "log", &config.log, false);
    sections(&mut text, "bridges", &config.bridges);
    sections(&mut text, "ports", &config.ports);
    sections(&mut text, "mirrors", &config.mirrors);
    text
}

impl Config {
    /// Reads a configuration from JSON: the API's, the store's, or a file's. It is not held against itself yet.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn from_json(value: &Value) -> Result<Self, ConfigError> {
        const SECTIONS: [&str; 6] = ["switch", "api", "log", "bridges", "ports", "mirrors"];
        let mut config = Self::default();
        for (name, value) in tables("", value)? {
            match name.as_str() {
                "switch" => config.switch = keys::read(name, value)?,
                "api" => config.api = keys::read(name, value)?,
                "log" => config.log = keys::read(name, value)?,
                "bridges" => config.bridges = objects(name, value)?,
                "ports" => config.ports = objects(name, value)?,
                "mirrors" => config.mirrors = objects(name, value)?,
                _ => return Err(keys::unknown("", name, "a configuration", &SECTIONS)),
            }
        }
        Ok(config)
    }
}

fn objects<T: Section>(
    what: &str,
    value: &Value,
) -> Result<indexmap::IndexMap<String, T>, ConfigError> {
    let read = |(name, value): (&String, &Value)| {
        Ok((name.clone(), keys::read(&path::join(&[what, name]), value)?))
    };
    tables(what, value)?.iter().map(read).collect()
}

fn tables<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, ConfigError> {
    value.as_object().ok_or_else(|| {
        let names = match path {
            "" => "[switch], [bridges.NAME] and [ports.NAME]".to_owned(),
            path => format!("[{path}.NAME]"),
        };
        ConfigError::new(path, format!("expected tables as in {names}"))
    })
}

/// Where each key of a document stands.
#[derive(Debug, Default)]
struct Places(HashMap<String, Range<usize>>);

impl Places {
    /// Where a key is, or the nearest that holds it, in bytes from the start.
    fn of(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            if let Some(span) = self.0.get(key) {
                return span.start;
            }
            // A dot within quotes only makes for one more look.
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return 0,
            }
        }
    }

    /// The last key on the line of a place and before it.
    fn on_line_of(&self, text: &str, place: usize) -> String {
        let before = text.get(..place).unwrap_or(text);
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let on_line = self.0.iter().filter(|(_, span)| (line..=place).contains(&span.start));
        let last = on_line.max_by_key(|(key, span)| (span.start, key.len()));
        last.map_or_else(String::new, |(key, _)| key.clone())
    }
}

/// A table as JSON; where its keys stand goes to `places`, even of those after an error.
fn table(
    table: &DeTable<'_>,
    path: &str,
    places: &mut Places,
) -> Result<Map<String, Value>, ConfigError> {
    let mut object = Map::new();
    let mut wrong = None;
    for (key, held) in table {
        let path = path::below(path, key.get_ref());
        places.0.insert(path.clone(), key.span());
        match value(held, &path, places) {
            Ok(held) => drop(object.insert(key.get_ref().to_string(), held)),
            Err(error) => wrong = wrong.or(Some(error)),
        }
    }
    wrong.map_or(Ok(object), Err)
}

fn value(
    held: &Spanned<DeValue<'_>>,
    path: &str,
    places: &mut Places,
) -> Result<Value, ConfigError> {
    let none = |what: &str| {
        let message = format!("no key takes {what}; write a text in quotes");
        Err(ConfigError::new(path, message))
    };
    Ok(match held.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            match (u64::from_str_radix(digits, radix), i64::from_str_radix(digits, radix)) {
                (Ok(number), _) => Value::from(number),
                (_, Ok(number)) => Value::from(number),
                _ => return none("a number as large as this"),
            }
        }
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::from(number),
            _ => return none("a number like this"),
        },
        DeValue::Datetime(_) => return none("a date or a time"),
        DeValue::Array(list) => {
            let mut elements = Vec::new();
            for (index, element) in list.iter().enumerate() {
                let path = path::element(path, index);
                places.0.insert(path.clone(), element.span());
                elements.push(value(element, &path, places)?);
            }
            Value::Array(elements)
        }
        DeValue::Table(inner) => Value::Object(table(inner, path, places)?),
    })
}

/// Line and column of a place in bytes, both from 1 on.
fn position(text: &str, place: usize) -> (usize, usize) {
    let mut place = place.min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    let before = &text[..place];
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}

/// The parser's words on one line.
fn syntax(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn sections<T: Section>(text: &mut String, what: &str, all: &indexmap::IndexMap<String, T>) {
    for (name, one) in all {
        section(text, &path::join(&[what, name]), one, true);
    }
}

/// One table; one that says nothing only where being there says something.
fn section<T: Section>(text: &mut String, path: &str, section: &T, always: bool) {
    // A path that is no text cannot stand in a file; `Config::check` refuses it.
    let object = keys::object(path, section).unwrap_or_default();
    if object.is_empty() && !always {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("[{path}]\n"));
    for (key, value) in &object {
        text.push_str(&format!("{key} = {}\n", written(value)));
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(written).collect();
            format!("[{}]", list.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
