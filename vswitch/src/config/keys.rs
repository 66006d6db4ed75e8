//! The table of keys: what each is called, what it may hold, and how that is read, shown and changed.
//!
//! A part of a configuration (a bridge, a port, …) is a [`Section`]: a type for serde and the table of its keys.
//! Files, flags and the API all come here with a key and a value; nobody else knows which keys there are.

use std::net::SocketAddr;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{ConfigError, MAX_PORTS, Rate, Size, SocketMode, VidRange, nearest, path, words};
use crate::log;

/// A part of a configuration that is a table of keys.
pub trait Section: Serialize + DeserializeOwned + ToSchema {
    /// What it is, for sentences: `a port`.
    const WHAT: &'static str;
    /// Its keys, in the order of the type's fields.
    const KEYS: &'static [Key];
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in files, flags and JSON.
    pub name: &'static str,
    /// What it may hold.
    pub form: Form,
    /// Whether it must be there.
    pub required: bool,
    /// What holds without it, for the reference.
    pub shown_default: &'static str,
    /// What holds without it, as a flag would write it, if that is a value of the key.
    pub default: Option<&'static str>,
}

/// What a key may hold.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A whole number.
    Number {
        /// What is counted or named by it.
        what: &'static str,
        /// The lowest.
        low: u64,
        /// The highest.
        high: u64,
    },
    /// One of some words.
    Choice(&'static [&'static str]),
    /// The name of something of the configuration.
    Name(&'static str),
    /// The name of an interface of the kernel.
    Interface,
    /// A text that is not empty.
    Text(&'static str),
    /// A path.
    Path,
    /// A network namespace.
    Netns,
    /// A rate.
    Rate,
    /// An amount.
    Size,
    /// A VLAN or a range of them.
    Vlans,
    /// A file mode.
    SocketMode,
    /// An address with a port.
    Address,
    /// What is logged.
    Directives,
    /// Several, in flags joined by `+`.
    List(&'static Form),
}

/// The longest text that any key may hold, in bytes: `PATH_MAX` of Linux.
const MAX_TEXT: usize = 4096;
/// What is shown of a value that is wrong, in characters.
const SHOWN: usize = 40;

impl Key {
    pub(super) const fn new(name: &'static str, form: Form) -> Self {
        Self { name, form, required: false, shown_default: "", default: None }
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self.shown_default = text;
        self
    }

    pub(super) const fn shown_default(mut self, text: &'static str) -> Self {
        self.shown_default = text;
        self
    }
}

impl Form {
    /// What is wanted, for a sentence that begins with `expected`.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Number { what, low, high } => format!("{what} from {low} to {high}"),
            Self::Choice(words) => one_of(words),
            Self::Name(what) => format!("the name of {what}"),
            Self::Interface => {
                "the name of an interface (1 to 15 bytes, no slash, colon or space)".to_owned()
            }
            Self::Text(what) => (*what).to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Netns => "a network namespace (its name, or the path of its file)".to_owned(),
            Self::Rate => {
                "a rate from 1kbit to 1Tbit or from 1pps to 1Gpps, such as \"100Mbit\" or \"10kpps\""
                    .to_owned()
            }
            Self::Size => {
                "an amount from 1514B to 512MiB or from 1p to 1000000p, such as \"64KiB\" or \"64p\""
                    .to_owned()
            }
            Self::Vlans => "a VLAN from 0 to 4094 or a range such as \"20-30\"".to_owned(),
            Self::SocketMode => "a file mode in octal such as \"0660\"".to_owned(),
            Self::Address => "an address and a port such as \"192.0.2.1:6650\" or \"[::1]:6650\"".to_owned(),
            Self::Directives => {
                "off, error, warn, info, debug or trace, also by module as in \"info,strowger_vhost=debug\""
                    .to_owned()
            }
            Self::List(each) => format!("a list, each {}", each.expected()),
        }
    }

    /// Holds a value against the form.
    ///
    /// # Errors
    /// What was expected and what was found, at the path of the key or of the list's element.
    pub fn check(&self, path: &str, value: &Value) -> Result<(), ConfigError> {
        let wrong = || {
            let message = format!("expected {}, found {}", self.expected(), found(value));
            ConfigError::new(path, message)
        };
        let text = value.as_str().filter(|text| text.len() <= MAX_TEXT && !text.contains('\0'));
        let fits = match self {
            Self::Number { low, high, .. } => {
                value.as_u64().is_some_and(|number| (*low..=*high).contains(&number))
            }
            Self::List(each) => {
                let list = value.as_array().ok_or_else(wrong)?;
                if list.len() > MAX_PORTS {
                    let message =
                        format!("the list has {} elements; at most {MAX_PORTS} fit", list.len());
                    return Err(ConfigError::new(path, message));
                }
                for (index, element) in list.iter().enumerate() {
                    each.check(&path::element(path, index), element)?;
                }
                true
            }
            Self::Vlans if value.is_number() => value.as_u64().is_some_and(|number| number <= 4094),
            Self::Choice(words) => text.is_some_and(|text| words.contains(&text)),
            Self::Name(_) | Self::Text(_) | Self::Path => text.is_some_and(|text| !text.is_empty()),
            Self::Interface => text.is_some_and(words::is_interface),
            Self::Netns => text.is_some_and(|text| text.parse::<super::Netns>().is_ok()),
            Self::Rate => text.is_some_and(|text| text.parse::<Rate>().is_ok()),
            Self::Size => text.is_some_and(|text| text.parse::<Size>().is_ok()),
            Self::Vlans => text.is_some_and(|text| text.parse::<VidRange>().is_ok()),
            Self::SocketMode => text.is_some_and(|text| text.parse::<SocketMode>().is_ok()),
            Self::Address => text.is_some_and(|text| text.parse::<SocketAddr>().is_ok()),
            Self::Directives => text.is_some_and(|text| log::check(text).is_ok()),
        };
        if fits { Ok(()) } else { Err(wrong()) }
    }

    /// The value that a flag's text stands for, right or wrong: what is no number stays a text, which
    /// [`Form::check`] refuses.
    #[must_use]
    pub fn value(&self, text: &str) -> Value {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| digits)
        };
        match self {
            Self::Number { .. } | Self::Vlans => {
                number(text).map_or_else(|| Value::from(text), Value::from)
            }
            Self::List(each) => text.split('+').map(|part| each.value(part)).collect(),
            _ => Value::from(text),
        }
    }
}

/// What a flag would write for a value.
#[must_use]
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    }
}

/// What was found where something else was expected.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table of keys".to_owned(),
        Value::String(text) => {
            let short: String = text.chars().take(SHOWN).collect();
            let rest = if short.len() < text.len() { "…" } else { "" };
            format!("\"{}{rest}\"", short.escape_debug())
        }
    }
}

/// `a, b or c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
    }
}

/// The key of that name.
///
/// # Errors
/// There is none; the nearest is named, or all.
pub fn key<T: Section>(path: &str, name: &str) -> Result<&'static Key, ConfigError> {
    T::KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
        let names: Vec<_> = T::KEYS.iter().map(|key| key.name).collect();
        unknown(path, name, T::WHAT, &names)
    })
}

/// The sentence for a key that there is not.
pub(super) fn unknown(path: &str, name: &str, what: &str, names: &[&str]) -> ConfigError {
    let hint = match nearest::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("its keys are {}", one_of(names).replace(" or ", " and ")),
    };
    let short: String = name.chars().take(SHOWN).collect();
    let message = format!("{what} has no key '{}'; {hint}", short.escape_debug());
    ConfigError::new(&path::below(path, name), message)
}

/// A section's keys that are given, as JSON.
///
/// # Errors
/// If a path in it is no text.
pub fn object<T: Section>(path: &str, section: &T) -> Result<Map<String, Value>, ConfigError> {
    match serde_json::to_value(section) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ConfigError::new(path, format!("{} is no table of keys", T::WHAT))),
        Err(error) => Err(ConfigError::new(path, format!("cannot be written: {error}"))),
    }
}

/// Reads a section from JSON: every key is known and holds what it may, and none is missing.
///
/// # Errors
/// The first key that is wrong.
pub fn read<T: Section>(path: &str, value: &Value) -> Result<T, ConfigError> {
    let Value::Object(object) = value else {
        let message =
            format!("expected a table with the keys of {}, found {}", T::WHAT, found(value));
        return Err(ConfigError::new(path, message));
    };
    for (name, value) in object {
        key::<T>(path, name)?.form.check(&path::below(path, name), value)?;
    }
    made(path, object.clone())
}

/// Holds all keys of a section against their forms.
///
/// # Errors
/// The first key that is wrong.
pub fn check<T: Section>(path: &str, section: &T) -> Result<(), ConfigError> {
    for (name, value) in &object(path, section)? {
        key::<T>(path, name)?.form.check(&path::below(path, name), value)?;
    }
    Ok(())
}

/// Changes those keys of a section that are in a JSON table; `null` takes one away.
///
/// # Errors
/// The first key that is wrong; nothing is changed then.
pub fn patch<T: Section>(section: &mut T, path: &str, change: &Value) -> Result<(), ConfigError> {
    let Value::Object(change) = change else {
        let message =
            format!("expected a table with the keys of {}, found {}", T::WHAT, found(change));
        return Err(ConfigError::new(path, message));
    };
    let mut object = object(path, section)?;
    for (name, value) in change {
        let key = key::<T>(path, name)?;
        if value.is_null() {
            object.shift_remove(name);
        } else {
            key.form.check(&path::below(path, name), value)?;
            object.insert(name.clone(), value.clone());
        }
    }
    *section = made(path, object)?;
    Ok(())
}

/// Sets one key of a section as a flag writes it; an empty text takes it away.
///
/// # Errors
/// If there is no such key, it may not hold that, or it must be there; nothing is changed then.
pub fn set<T: Section>(
    section: &mut T,
    path: &str,
    name: &str,
    text: &str,
) -> Result<(), ConfigError> {
    let value = if text.is_empty() { Value::Null } else { key::<T>(path, name)?.form.value(text) };
    let change = Map::from_iter([(name.to_owned(), value)]);
    patch(section, path, &Value::Object(change))
}

/// What a section's key holds, as a flag writes it: its default if that is a value, nothing if there is none.
#[must_use]
pub fn get<T: Section>(section: &T, name: &str) -> Option<String> {
    let key = T::KEYS.iter().find(|key| key.name == name)?;
    // A path that is no text cannot be shown in a flag either.
    let object = object("", section).ok()?;
    object.get(name).map(shown).or_else(|| key.default.map(str::to_owned))
}

/// The keys of a section that are given, as flags write them.
#[must_use]
pub fn given<T: Section>(section: &T) -> Vec<(&'static str, String)> {
    // A path that is no text cannot be shown in a flag either.
    let object = object("", section).unwrap_or_default();
    T::KEYS.iter().filter_map(|key| Some((key.name, shown(object.get(key.name)?)))).collect()
}

/// A section of keys that were checked.
pub(super) fn made<T: Section>(path: &str, object: Map<String, Value>) -> Result<T, ConfigError> {
    if let Some(missing) = T::KEYS.iter().find(|key| key.required && !object.contains_key(key.name))
    {
        let expected = missing.form.expected();
        let message = format!("{} needs the key '{}': {expected}", T::WHAT, missing.name);
        return Err(ConfigError::new(&path::below(path, missing.name), message));
    }
    serde_json::from_value(Value::Object(object))
        .map_err(|error| ConfigError::new(path, error.to_string()))
}

#[cfg(test)]
mod tests;
