//! A configuration held against itself: what clashes, what contradicts, what leads nowhere; what numbers ports get.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    path::PathBuf,
};

use thiserror::Error;

use super::{
    Config, MAX_BRIDGES, MAX_INTERFACE_NAME, MAX_MIRRORS, MAX_NAME, MAX_PORTS, MAX_SOCKET_PATH,
    MAX_WORKERS, MirrorConfig, PortConfig, PortKind, Rate, Size, keys,
    nearest::did_you_mean,
    path::{element, join},
    words,
};

/// Why a configuration cannot be what is wanted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}{}{message}", .key, if .key.is_empty() { "" } else { ": " })]
pub struct ConfigError {
    /// Where: `ports.vm1.tag`, as a file would write it; `mirrors.watch.ports[1]` for an element of a list. Empty
    /// if it is not known.
    pub key: String,
    /// What was expected and what was found, or what contradicts what, and what to do.
    pub message: String,
}

impl ConfigError {
    /// An error at a key.
    #[must_use]
    pub fn new(key: &str, message: String) -> Self {
        Self { key: key.to_owned(), message }
    }

    /// The same error of something that is at a path.
    #[must_use]
    pub fn within(self, path: &str) -> Self {
        let key = match (path, self.key.as_str()) {
            (path, "") => path.to_owned(),
            ("", key) => key.to_owned(),
            (path, key) => format!("{path}.{key}"),
        };
        Self { key, ..self }
    }
}

/// Whether a name is fit for tables, JSON, flags and files; what is wrong if not.
///
/// # Errors
/// The sentence.
pub fn name(name: &str) -> Result<(), String> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        return Ok(());
    }
    let short: String = name.chars().take(MAX_NAME + 1).collect();
    Err(format!(
        "'{}' is no name: it needs 1 to {MAX_NAME} letters, digits, dots, dashes or underscores, not a dot first",
        short.escape_debug()
    ))
}

/// What was found to be wrong.
struct Problems {
    found: Vec<ConfigError>,
    most: usize,
}

impl Problems {
    /// Takes a result's error, and breaks off when there are enough.
    fn add(&mut self, result: Result<(), ConfigError>) -> ControlFlow<()> {
        self.found.extend(result.err());
        if self.found.len() < self.most {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// What only one port can have, and which has it.
#[derive(Default)]
struct Taken<'a> {
    sockets: HashMap<&'a PathBuf, &'a str>,
    interfaces: HashMap<(Option<PathBuf>, &'a str), &'a str>,
    numbers: HashMap<(&'a str, u32), &'a str>,
}

impl Config {
    /// Holds the configuration against itself.
    ///
    /// # Errors
    /// The first thing that is wrong, with its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.problems(1).into_iter().next().map_or(Ok(()), Err)
    }

    /// All that is wrong, `most` things at most: one for each bridge, port and mirror.
    #[must_use]
    pub fn problems(&self, most: usize) -> Vec<ConfigError> {
        let mut problems = Problems { found: Vec::new(), most };
        // Breaking off says no more than that there are enough.
        let _enough = self.find(&mut problems);
        problems.found
    }

    fn find(&self, problems: &mut Problems) -> ControlFlow<()> {
        problems.add(self.check_switch())?;
        problems.add(self.check_api())?;
        problems.add(keys::check("log", &self.log))?;
        for (key, count, most) in [
            ("bridges", self.bridges.len(), MAX_BRIDGES),
            ("ports", self.ports.len(), MAX_PORTS),
            ("mirrors", self.mirrors.len(), MAX_MIRRORS),
        ] {
            if count > most {
                let message = format!("there are {count} {key}; a switch has at most {most}");
                problems.add(Err(ConfigError::new(key, message)))?;
            }
        }
        for (name, bridge) in &self.bridges {
            problems
                .add(checked_name("bridges", name).and_then(|path| keys::check(&path, bridge)))?;
        }
        let mut taken = Taken::default();
        for (name, port) in &self.ports {
            problems.add(self.check_port(name, port, &mut taken))?;
        }
        let targets =
            self.mirrors.iter().map(|(name, mirror)| (mirror.to.as_str(), name.as_str())).collect();
        for (name, mirror) in &self.mirrors {
            problems.add(self.check_mirror(name, mirror, &targets))?;
        }
        ControlFlow::Continue(())
    }

    fn check_switch(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, message: String| Err(ConfigError::new(key, message));
        keys::check("switch", &self.switch)?;
        let workers = &self.switch.workers;
        if workers.len() > MAX_WORKERS {
            let message =
                format!("there are {} workers; a switch has at most {MAX_WORKERS}", workers.len());
            return wrong("switch.workers", message);
        }
        let mut cores = HashSet::new();
        for (index, core) in workers.iter().enumerate() {
            if !cores.insert(core) {
                let message = format!("core {core} is given to two workers");
                return wrong(&element("switch.workers", index), message);
            }
        }
        Ok(())
    }

    fn check_api(&self) -> Result<(), ConfigError> {
        keys::check("api", &self.api)?;
        let api = &self.api;
        let files =
            [("certificate", &api.certificate), ("key", &api.key), ("client-ca", &api.client_ca)];
        for (key, file) in files {
            let path = join(&["api", key]);
            match (api.listen, file) {
                (Some(listen), None) => {
                    let message = format!(
                        "it is missing: the API listens at {listen} with TLS and client certificates only, which needs certificate, key and client-ca"
                    );
                    return Err(ConfigError::new(&path, message));
                }
                (None, Some(_)) => {
                    let message = "it is of no use without api.listen: say where, or take it away";
                    return Err(ConfigError::new(&path, message.to_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_port<'a>(
        &'a self,
        name: &'a str,
        port: &'a PortConfig,
        taken: &mut Taken<'a>,
    ) -> Result<(), ConfigError> {
        let path = checked_name("ports", name)?;
        keys::check(&path, port)?;
        port.check(name).map_err(|error| error.within(&path))?;
        let wrong = |key: &str, message: String| Err(ConfigError::new(key, message).within(&path));
        if !self.bridges.contains_key(&port.bridge) {
            let known = self.bridges.keys().map(String::as_str);
            return wrong("bridge", no_such("bridge", &port.bridge, known));
        }
        let clash = |key, what: String, first| {
            wrong(key, format!("{what} is that of port '{first}' already"))
        };
        if let Some(socket) = port.socket()
            && let Some(first) = taken.sockets.insert(socket, name)
        {
            return clash("path", format!("the socket {}", socket.display()), first);
        }
        if let Some(interface) = port.interface(name) {
            let place = (port.netns.as_ref().map(super::Netns::path), interface);
            if let Some(first) = taken.interfaces.insert(place, name) {
                return clash("interface", format!("the interface {interface}"), first);
            }
        }
        if let Some(number) = port.number
            && let Some(first) = taken.numbers.insert((port.bridge.as_str(), number), name)
        {
            return clash("number", format!("number {number} of bridge '{}'", port.bridge), first);
        }
        Ok(())
    }

    fn check_mirror(
        &self,
        name: &str,
        mirror: &MirrorConfig,
        targets: &HashMap<&str, &str>,
    ) -> Result<(), ConfigError> {
        let path = checked_name("mirrors", name)?;
        keys::check(&path, mirror)?;
        let wrong = |key: &str, message: String| Err(ConfigError::new(key, message).within(&path));
        if !self.bridges.contains_key(&mirror.bridge) {
            let known = self.bridges.keys().map(String::as_str);
            return wrong("bridge", no_such("bridge", &mirror.bridge, known));
        }
        if mirror.ports.is_empty() && mirror.vlans.is_empty() {
            let message = "the mirror copies nothing: give it ports, vlans, or both";
            return wrong("ports", message.to_owned());
        }
        self.check_member(mirror, "to", &mirror.to).map_err(|error| error.within(&path))?;
        let mut seen = HashSet::new();
        for (index, port) in mirror.ports.iter().enumerate() {
            let key = element("ports", index);
            self.check_member(mirror, &key, port).map_err(|error| error.within(&path))?;
            if !seen.insert(port) {
                return wrong(&key, format!("port '{port}' is given twice"));
            }
            match targets.get(port.as_str()) {
                Some(&other) if other == name => {
                    let message = format!(
                        "port '{port}' is where the copies go: it cannot be mirrored to itself"
                    );
                    return wrong(&key, message);
                }
                Some(other) => {
                    let message = format!(
                        "port '{port}' is where mirror '{other}' sends its copies: it cannot be mirrored"
                    );
                    return wrong(&key, message);
                }
                None => {}
            }
        }
        let mut seen = HashSet::new();
        match mirror.vlans.iter().position(|vlan| !seen.insert(vlan)) {
            Some(index) => wrong(&element("vlans", index), "the VLAN is given twice".to_owned()),
            None => Ok(()),
        }
    }

    /// Whether a mirror's port is one of its bridge.
    fn check_member(
        &self,
        mirror: &MirrorConfig,
        key: &str,
        port: &str,
    ) -> Result<(), ConfigError> {
        let message = match self.ports.get(port) {
            Some(found) if found.bridge == mirror.bridge => return Ok(()),
            Some(found) => format!(
                "port '{port}' is on bridge '{}', the mirror on bridge '{}': it copies within one bridge only",
                found.bridge, mirror.bridge
            ),
            None => no_such("port", port, self.ports.keys().map(String::as_str)),
        };
        Err(ConfigError::new(key, message))
    }

    /// The number of each port on its bridge: its own; else the one that it had, if nobody was given that; else the
    /// lowest that no port of the bridge has or had, in the order given.
    #[must_use]
    pub fn numbers(&self, before: &HashMap<String, u32>) -> HashMap<String, u32> {
        let mut numbers = HashMap::new();
        let mut taken: HashMap<&str, HashSet<u32>> = HashMap::new();
        for (name, port) in &self.ports {
            if let Some(number) = port.number {
                taken.entry(&port.bridge).or_default().insert(number);
                numbers.insert(name.clone(), number);
            }
        }
        for (name, port) in self.ports.iter().filter(|(_, port)| port.number.is_none()) {
            if let Some(&number) = before.get(name)
                && taken.entry(&port.bridge).or_default().insert(number)
            {
                numbers.insert(name.clone(), number);
            }
        }
        let mut lowest: HashMap<&str, u32> = HashMap::new();
        for (name, port) in &self.ports {
            if numbers.contains_key(name) {
                continue;
            }
            let next = lowest.entry(&port.bridge).or_insert(1);
            let taken = taken.entry(&port.bridge).or_default();
            while !taken.insert(*next) {
                *next += 1;
            }
            numbers.insert(name.clone(), *next);
        }
        numbers
    }
}

impl PortConfig {
    /// What its keys say to each other. Keys of errors are the port's own.
    fn check(&self, name: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, message: String| Err(ConfigError::new(key, message));
        let word = self.kind.word();
        match (&self.path, self.kind.has_socket()) {
            (None, true) => {
                return wrong("path", format!("a {word} port needs the path of its socket"));
            }
            (Some(_), false) => return wrong("path", format!("a {word} port has no path")),
            (Some(path), true) if path.as_os_str().len() > MAX_SOCKET_PATH => {
                let message = format!(
                    "{} has {} bytes; a socket's path has at most {MAX_SOCKET_PATH}",
                    path.display(),
                    path.as_os_str().len()
                );
                return wrong("path", message);
            }
            _ => {}
        }
        if self.netns.is_some() && self.kind != PortKind::Tap {
            let message = format!("a {word} port has no network namespace; a tap port may");
            return wrong("netns", message);
        }
        if self.interface.is_some() && self.kind.has_socket() {
            let message = format!("a {word} port has no interface; a tap or dev port has");
            return wrong("interface", message);
        }
        if let Some(interface) = self.interface(name)
            && !words::is_interface(interface)
        {
            let message = format!(
                "the port's name cannot be an interface's, which has at most {MAX_INTERFACE_NAME} bytes: '{interface}' has {}; say what the interface is called",
                interface.len()
            );
            return wrong("interface", message);
        }
        self.vlan_mode()?;
        for (key, rate, burst) in [
            ("ingress", self.ingress_rate, self.ingress_burst),
            ("egress", self.egress_rate, self.egress_burst),
        ] {
            let message = match (rate, burst) {
                (None, Some(_)) => format!("a burst is above a rate: give {key}-rate too"),
                (Some(Rate::Bits(_)), Some(Size::Frames(_))) => {
                    format!("{key}-rate is in bits: give the burst in bytes, as in \"64KiB\"")
                }
                (Some(Rate::Frames(_)), Some(Size::Bytes(_))) => {
                    format!("{key}-rate is in frames: give the burst in frames, as in \"64p\"")
                }
                _ => continue,
            };
            return wrong(&format!("{key}-burst"), message);
        }
        Ok(())
    }
}

fn checked_name(what: &str, name: &str) -> Result<String, ConfigError> {
    let path = join(&[what, name]);
    self::name(name).map_err(|message| ConfigError::new(&path, message))?;
    Ok(path)
}

/// The sentence for a name that leads nowhere.
fn no_such<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    format!("there is no {what} '{name}'{}", did_you_mean(name, known))
}

#[cfg(test)]
mod tests;
