//! Bridges, ports and mirrors as flags write them: a name and `key=value` after commas.
//!
//! A value has no comma here; a path that has one is for a file.

use serde_json::{Map, Value};

use super::{
    BridgeConfig, Config, ConfigError, MirrorConfig, check,
    keys::{self, Section},
    path, port,
};

/// Which flag a text came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--bridge`
    Bridge,
    /// `--port`
    Port,
    /// `--mirror`
    Mirror,
}

/// Makes a configuration of flags in their order: a port or mirror without `bridge=` belongs to the last bridge
/// before it.
///
/// # Errors
/// The first flag that is not understood, comes before any bridge, or gives a name again.
pub fn gather<'a>(flags: impl IntoIterator<Item = (Flag, &'a str)>) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut last = None;
    let belongs = |bridge: &mut String, key: String, last: &Option<String>| {
        if bridge.is_empty() {
            last.as_ref()
                .ok_or_else(|| {
                    ConfigError::new(
                        &key,
                        "it comes before any --bridge: say which is its own, or put it after that"
                            .to_owned(),
                    )
                })?
                .clone_into(bridge);
        }
        Ok(())
    };
    for (flag, text) in flags {
        let again = match flag {
            Flag::Bridge => {
                let (name, bridge) = bridge(text)?;
                last = Some(name.clone());
                config.bridges.insert(name.clone(), bridge).is_some().then_some(("bridges", name))
            }
            Flag::Port => {
                let (name, mut port) = port::parse(text)?;
                belongs(&mut port.bridge, path::join(&["ports", &name]), &last)?;
                config.ports.insert(name.clone(), port).is_some().then_some(("ports", name))
            }
            Flag::Mirror => {
                let (name, mut mirror) = mirror(text)?;
                belongs(&mut mirror.bridge, path::join(&["mirrors", &name]), &last)?;
                config.mirrors.insert(name.clone(), mirror).is_some().then_some(("mirrors", name))
            }
        };
        if let Some((what, name)) = again {
            let message = format!("there are two {what} named '{name}'");
            return Err(ConfigError::new(&path::join(&[what, &name]), message));
        }
    }
    Ok(config)
}

/// Reads a bridge: `NAME[,key=value]…`.
///
/// # Errors
/// What was not understood.
pub fn bridge(text: &str) -> Result<(String, BridgeConfig), ConfigError> {
    named("bridges", text, Map::new())
}

/// Reads a mirror: `NAME,ports=A+B,to=C[,key=value]…`. Its bridge is empty if no `bridge=` is among the keys.
///
/// # Errors
/// What was not understood.
pub fn mirror(text: &str) -> Result<(String, MirrorConfig), ConfigError> {
    named("mirrors", text, Map::from_iter([("bridge".to_owned(), Value::from(""))]))
}

fn named<T: Section>(
    what: &str,
    text: &str,
    base: Map<String, Value>,
) -> Result<(String, T), ConfigError> {
    let (name, keys) = text.split_once(',').map_or((text, None), |(name, keys)| (name, Some(keys)));
    check::name(name).map_err(|message| ConfigError::new("", message))?;
    Ok((name.to_owned(), assign(&path::join(&[what, name]), base, keys)?))
}

/// Makes a section of `key=value,key=value` and of what is known before. A key that is empty before may be given.
pub(super) fn assign<T: Section>(
    path: &str,
    mut object: Map<String, Value>,
    keys: Option<&str>,
) -> Result<T, ConfigError> {
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in &object {
        if value.as_str() != Some("") || name != "bridge" {
            keys::key::<T>(path, name)?.form.check(&path::below(path, name), value)?;
            seen.push(name.clone());
        }
    }
    for part in keys.into_iter().flat_map(|keys| keys.split(',')) {
        let Some((name, text)) = part.split_once('=') else {
            let names: Vec<_> = T::KEYS.iter().map(|key| key.name).collect();
            let message = format!("'{part}' is not key=value; the keys are {}", names.join(", "));
            return Err(ConfigError::new(path, message));
        };
        let key = keys::key::<T>(path, name)?;
        let below = path::below(path, name);
        if seen.iter().any(|seen| seen == name) {
            return Err(ConfigError::new(&below, "the key is given twice".to_owned()));
        }
        seen.push(name.to_owned());
        if !text.is_empty() {
            let value = key.form.value(text);
            key.form.check(&below, &value)?;
            object.insert(name.to_owned(), value);
        }
    }
    keys::made(path, object)
}
