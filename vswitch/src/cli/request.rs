//! What a command asks of the switch: a method, a path and a body. Pure.

use hyper::Method;
use serde_json::{Map, Value};

use super::arguments::{
    BridgeVerb, DropsFlags, LogVerb, MacVerb, Making, MirrorVerb, Named, PortVerb, Setting,
    Stations,
};
use crate::{
    config::{
        BridgeConfig, ConfigError, MirrorConfig, PortConfig, flags,
        keys::{self, Section},
        port,
    },
    control::object::{New, Object},
};

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) body: Body,
}

/// What goes with a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// A JSON document.
    Json(Value),
    /// A configuration file.
    Toml(String),
}

impl Request {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Body::None }
    }

    fn new(method: Method, path: String, body: Body) -> Self {
        Self { method, path, body }
    }

    /// The same if the switch has just one bridge, for what was not given one.
    ///
    /// # Errors
    /// If there is more than one, or none.
    pub(super) fn with_bridge(mut self, bridges: &[String]) -> Result<Self, String> {
        let Some(bridge) = self.bridge() else { return Ok(self) };
        match bridges {
            [] => {
                return Err(
                    "the switch has no bridge: add one with `strowger bridge add NAME`".to_owned()
                );
            }
            [only] => *bridge = Value::from(only.as_str()),
            several => {
                return Err(format!(
                    "the switch has the bridges {}: say which with bridge=NAME",
                    several.join(", ")
                ));
            }
        }
        Ok(self)
    }

    /// Whether a bridge is missing.
    pub(super) fn needs_bridge(&mut self) -> bool {
        self.bridge().is_some()
    }

    /// The place of a bridge that is missing.
    fn bridge(&mut self) -> Option<&mut Value> {
        let Body::Json(Value::Object(object)) = &mut self.body else { return None };
        object.get_mut("bridge").filter(|bridge| bridge.as_str() == Some(""))
    }
}

/// `strowger apply`.
pub(super) fn apply(text: String, dry_run: bool) -> Request {
    Request::new(Method::PUT, dry("/v1/config".to_owned(), dry_run), Body::Toml(text))
}

/// `strowger bridge …`.
///
/// # Errors
/// A key that there is not, or a value that it may not have.
pub(super) fn bridge(verb: &BridgeVerb) -> Result<Request, ConfigError> {
    match verb {
        BridgeVerb::Add { name, keys, making } => {
            let (name, config) = flags::bridge(&joined(name, keys))?;
            Ok(add(name, config, making))
        }
        BridgeVerb::Set(setting) => set::<BridgeConfig>(setting),
        BridgeVerb::Del(named) => Ok(del::<BridgeConfig>(named)),
        BridgeVerb::List(_) => Ok(list::<BridgeConfig>()),
    }
}

/// `strowger port …`.
///
/// # Errors
/// A port that is not understood, a key that there is not, or a value that it may not have.
pub(super) fn port(verb: &PortVerb) -> Result<Request, ConfigError> {
    match verb {
        PortVerb::Add { port, keys, making } => {
            let (name, config) = port::parse(&joined(port, keys))?;
            Ok(add(name, config, making))
        }
        PortVerb::Set(setting) => set::<PortConfig>(setting),
        PortVerb::Del(named) => Ok(del::<PortConfig>(named)),
        PortVerb::List(_) => Ok(list::<PortConfig>()),
        PortVerb::Show { name, .. } => Ok(Request::get(place::<PortConfig>(name))),
    }
}

/// `strowger mirror …`.
///
/// # Errors
/// A key that there is not, or a value that it may not have.
pub(super) fn mirror(verb: &MirrorVerb) -> Result<Request, ConfigError> {
    match verb {
        MirrorVerb::Add { name, keys, making } => {
            let (name, config) = flags::mirror(&joined(name, keys))?;
            Ok(add(name, config, making))
        }
        MirrorVerb::Set(setting) => set::<MirrorConfig>(setting),
        MirrorVerb::Del(named) => Ok(del::<MirrorConfig>(named)),
        MirrorVerb::List(_) => Ok(list::<MirrorConfig>()),
    }
}

/// `strowger mac …`.
pub(super) fn mac(verb: &MacVerb) -> Request {
    let path = |stations: &Stations| {
        query("/v1/stations", &[("bridge", &stations.bridge), ("port", &stations.port)])
    };
    match verb {
        MacVerb::List(stations) => Request::get(path(stations)),
        MacVerb::Flush(stations) => Request::new(Method::DELETE, path(stations), Body::None),
    }
}

/// `strowger drops`.
pub(super) fn drops(flags: &DropsFlags) -> Request {
    Request::get(query("/v1/drops", &[("port", &flags.port)]))
}

/// `strowger log …`.
pub(super) fn log(verb: &LogVerb) -> Request {
    let LogVerb::Level { directives, .. } = verb;
    let path = "/v1/log".to_owned();
    match directives {
        None => Request::get(path),
        Some(level) => {
            let level = Map::from_iter([("level".to_owned(), level.as_str().into())]);
            Request::new(Method::PUT, path, Body::Json(level.into()))
        }
    }
}

fn add<T: Object>(name: String, config: T, making: &Making) -> Request {
    // What was read from text can be written as JSON.
    let body = serde_json::to_value(New { name, config }).unwrap_or_default();
    Request::new(Method::POST, dry(format!("/v1/{}", T::WORDS), making.dry_run), Body::Json(body))
}

fn set<T: Object>(setting: &Setting) -> Result<Request, ConfigError> {
    let mut change = Map::new();
    for part in setting.keys.iter().flat_map(|keys| keys.split(',')) {
        let (key, value) = key::<T>(part)?;
        if change.insert(key.to_owned(), value).is_some() {
            return Err(ConfigError::new(key, "the key is given twice".to_owned()));
        }
    }
    let path = dry(place::<T>(&setting.name), setting.making.dry_run);
    Ok(Request::new(Method::PATCH, path, Body::Json(change.into())))
}

/// Reads `key=value`: a value that the key may have, or null for none.
fn key<T: Section>(part: &str) -> Result<(&str, Value), ConfigError> {
    let Some((name, text)) = part.split_once('=') else {
        let names: Vec<_> = T::KEYS.iter().map(|key| key.name).collect();
        let message = format!("'{part}' is not key=value; the keys are {}", names.join(", "));
        return Err(ConfigError::new("", message));
    };
    let key = keys::key::<T>("", name)?;
    if text.is_empty() {
        return Ok((name, Value::Null));
    }
    let value = key.form.value(text);
    key.form.check(name, &value)?;
    Ok((name, value))
}

fn del<T: Object>(named: &Named) -> Request {
    Request::new(Method::DELETE, dry(place::<T>(&named.name), named.making.dry_run), Body::None)
}

fn list<T: Object>() -> Request {
    Request::get(format!("/v1/{}", T::WORDS))
}

/// Where something is. Names need no escape.
fn place<T: Object>(name: &str) -> String {
    format!("/v1/{}/{name}", T::WORDS)
}

fn dry(path: String, dry_run: bool) -> String {
    if dry_run { path + "?dry-run=true" } else { path }
}

/// Words as one flag writes them.
fn joined(first: &str, keys: &[String]) -> String {
    std::iter::once(first).chain(keys.iter().map(String::as_str)).collect::<Vec<_>>().join(",")
}

/// A path with those words that are given. Names need no escape.
fn query(path: &str, words: &[(&str, &Option<String>)]) -> String {
    let given =
        words.iter().filter_map(|(word, value)| Some(format!("{word}={}", (*value).as_ref()?)));
    let given = given.collect::<Vec<_>>().join("&");
    if given.is_empty() { path.to_owned() } else { format!("{path}?{given}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::{CommandLine, Verb};
    use clap::Parser;
    use serde_json::json;

    /// What a command line asks for.
    fn asked(words: &str) -> Result<Request, ConfigError> {
        let words = std::iter::once("strowger").chain(words.split_whitespace());
        match CommandLine::try_parse_from(words).unwrap().verb {
            Verb::Bridge { verb } => bridge(&verb),
            Verb::Port { verb } => port(&verb),
            Verb::Mirror { verb } => mirror(&verb),
            Verb::Mac { verb } => Ok(mac(&verb)),
            Verb::Drops(flags) => Ok(drops(&flags)),
            Verb::Log { verb } => Ok(log(&verb)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_command_s_words_are_a_request() {
        for (words, method, path, body) in [
            ("bridge add br1", "POST", "/v1/bridges", json!({"name": "br1"})),
            (
                "bridge add br1 mac-ageing=60 loop-guard=hold",
                "POST",
                "/v1/bridges",
                json!({"name": "br1", "mac-ageing": 60, "loop-guard": "hold"}),
            ),
            (
                "bridge set br1 loop-guard=report mac-limit=",
                "PATCH",
                "/v1/bridges/br1",
                json!({"loop-guard": "report", "mac-limit": null}),
            ),
            ("bridge del br1", "DELETE", "/v1/bridges/br1", json!(null)),
            ("bridge del br1 --dry-run", "DELETE", "/v1/bridges/br1?dry-run=true", json!(null)),
            ("bridge list", "GET", "/v1/bridges", json!(null)),
            (
                "port add vhost-user:vm1=/run/vm1.sock bridge=br0 tag=10",
                "POST",
                "/v1/ports",
                json!({"name": "vm1", "bridge": "br0", "kind": "vhost-user", "path": "/run/vm1.sock", "tag": 10}),
            ),
            (
                "port add tap:eth0@blue,bridge=br0 trunks=10+20-30,native=10 --dry-run",
                "POST",
                "/v1/ports?dry-run=true",
                json!({"name": "eth0", "bridge": "br0", "kind": "tap", "netns": "blue", "trunks": [10, "20-30"], "native": 10}),
            ),
            (
                "port add dev:uplink=eth1 ingress-rate=1Gbit",
                "POST",
                "/v1/ports",
                json!({"name": "uplink", "bridge": "", "kind": "dev", "interface": "eth1", "ingress-rate": "1Gbit"}),
            ),
            (
                "port set vm1 tag=20 queues=",
                "PATCH",
                "/v1/ports/vm1",
                json!({"tag": 20, "queues": null}),
            ),
            (
                "port set vm1 trunks=1+2-3,tag= --dry-run",
                "PATCH",
                "/v1/ports/vm1?dry-run=true",
                json!({"trunks": [1, "2-3"], "tag": null}),
            ),
            ("port del vm1", "DELETE", "/v1/ports/vm1", json!(null)),
            ("port list", "GET", "/v1/ports", json!(null)),
            ("port show vm1", "GET", "/v1/ports/vm1", json!(null)),
            (
                "mirror add watch bridge=br0 ports=vm1+vm2 to=span0",
                "POST",
                "/v1/mirrors",
                json!({"name": "watch", "bridge": "br0", "ports": ["vm1", "vm2"], "to": "span0"}),
            ),
            (
                "mirror set watch direction=rx vlans=1+2",
                "PATCH",
                "/v1/mirrors/watch",
                json!({"direction": "rx", "vlans": [1, 2]}),
            ),
            ("mirror del watch", "DELETE", "/v1/mirrors/watch", json!(null)),
            ("mirror list", "GET", "/v1/mirrors", json!(null)),
            ("mac list", "GET", "/v1/stations", json!(null)),
            (
                "mac list --port vm1 --bridge br0",
                "GET",
                "/v1/stations?bridge=br0&port=vm1",
                json!(null),
            ),
            ("mac flush --port vm1", "DELETE", "/v1/stations?port=vm1", json!(null)),
            ("drops", "GET", "/v1/drops", json!(null)),
            ("drops vm1", "GET", "/v1/drops?port=vm1", json!(null)),
            ("log level", "GET", "/v1/log", json!(null)),
            ("log level debug", "PUT", "/v1/log", json!({"level": "debug"})),
        ] {
            let request = asked(words).unwrap();
            let found = match request.body {
                Body::None => Value::Null,
                Body::Json(body) => body,
                Body::Toml(text) => panic!("{text}"),
            };
            assert_eq!(
                (request.method.as_str(), request.path.as_str(), found),
                (method, path, body),
                "{words}"
            );
        }
        assert_eq!(
            apply("x = 1\n".into(), true),
            Request {
                method: Method::PUT,
                path: "/v1/config?dry-run=true".into(),
                body: Body::Toml("x = 1\n".into())
            }
        );
        assert_eq!(apply(String::new(), false).path, "/v1/config");
    }

    #[test]
    fn keys_that_are_wrong_are_named_before_anyone_is_asked() {
        for (words, part) in [
            ("port set vm1 tga=10", "did you mean 'tag'?"),
            ("port set vm1 tag=5000", "a VLAN from 1 to 4094"),
            ("port set vm1 tag", "'tag' is not key=value"),
            ("port set vm1 tag=1 tag=2", "given twice"),
            ("port add vm1", "a port is KIND:NAME"),
            ("port add tap:t0 tag=0", "a VLAN from 1 to 4094"),
            ("bridge set br0 loop-guard=maybe", "off, report or hold"),
            ("mirror add m to=span0 direction=up", "both, rx or tx"),
            ("bridge add br0 colour=red", "colour"),
        ] {
            let error = asked(words).unwrap_err().to_string();
            assert!(error.contains(part), "{words}: {error}");
        }
    }

    #[test]
    fn the_only_bridge_needs_no_name() {
        let mut request = asked("port add tap:t0").unwrap();
        assert!(request.needs_bridge());
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut filled = request.clone().with_bridge(&names(&["br7"])).unwrap();
        assert!(!filled.needs_bridge());
        assert_eq!(filled.body, Body::Json(json!({"name": "t0", "bridge": "br7", "kind": "tap"})));
        let error = request.clone().with_bridge(&names(&["a", "b"])).unwrap_err();
        assert!(error.contains("bridges a, b: say which with bridge=NAME"), "{error}");
        assert!(request.with_bridge(&[]).unwrap_err().contains("bridge add"));
        assert!(!asked("port add tap:t0 bridge=x").unwrap().needs_bridge());
        assert!(!asked("port set t0 tag=1").unwrap().needs_bridge());
    }
}
