//! A configuration held against itself: what clashes, what contradicts, what numbers ports get.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::{BridgeConfig, Config, MAX_PORTS, PortConfig, VlanKeys};
use crate::vlan::{Mode, Native, Vid, VidSet};

/// Why a configuration cannot be what is wanted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Two bridges of one name.
    #[error("there are two bridges named '{0}'")]
    BridgeTwice(String),
    /// Two ports of one name.
    #[error("there are two ports named '{0}'")]
    PortTwice(String),
    /// Two ports of one number.
    #[error("ports '{first}' and '{second}' both have number {number} on bridge '{bridge}'")]
    NumberTwice {
        /// The bridge of both.
        bridge: String,
        /// The number.
        number: u32,
        /// The port given first.
        first: String,
        /// The port given later.
        second: String,
    },
    /// Two ports with one socket.
    #[error("ports '{first}' and '{second}' have the same socket {path}")]
    SocketTwice {
        /// The socket's path.
        path: String,
        /// The port given first.
        first: String,
        /// The port given later.
        second: String,
    },
    /// More ports than a daemon has.
    #[error("there are {0} ports; a switch has at most {MAX_PORTS}")]
    TooManyPorts(usize),
    /// VLAN keys that exclude each other.
    #[error(
        "port '{port}' has both {one} and {other}: a port is an access port (tag), a trunk (trunks, native) or a tunnel (dot1q-tunnel)"
    )]
    VlanKeys {
        /// The port.
        port: String,
        /// A key.
        one: &'static str,
        /// One that contradicts it.
        other: &'static str,
    },
    /// A core twice.
    #[error("core {0} is given to two workers")]
    CoreTwice(usize),
    /// No worker.
    #[error("there is no core for a worker")]
    NoCore,
    /// A bridge that may remember nobody.
    #[error("a bridge must be allowed to remember at least one station")]
    NoStations,
}

impl Config {
    /// Holds the configuration against itself.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.cores.is_empty() {
            return Err(ConfigError::NoCore);
        }
        let mut cores = HashSet::new();
        if let Some(&core) = self.cores.iter().find(|&&core| !cores.insert(core)) {
            return Err(ConfigError::CoreTwice(core));
        }
        if self.mac_limit == 0 {
            return Err(ConfigError::NoStations);
        }
        let ports = self.bridges.iter().map(|bridge| bridge.ports.len()).sum();
        if ports > MAX_PORTS {
            return Err(ConfigError::TooManyPorts(ports));
        }
        let (mut bridges, mut names, mut sockets) =
            (HashSet::new(), HashSet::new(), HashMap::new());
        for bridge in &self.bridges {
            if !bridges.insert(&bridge.name) {
                return Err(ConfigError::BridgeTwice(bridge.name.clone()));
            }
            bridge.check_numbers()?;
            for port in &bridge.ports {
                if !names.insert(&port.name) {
                    return Err(ConfigError::PortTwice(port.name.clone()));
                }
                port.vlan_mode()?;
                let Some(path) = port.kind.socket() else { continue };
                if let Some(first) = sockets.insert(path, &port.name) {
                    let (first, second) = (first.clone(), port.name.clone());
                    return Err(ConfigError::SocketTwice {
                        path: path.display().to_string(),
                        first,
                        second,
                    });
                }
            }
        }
        Ok(())
    }
}

impl BridgeConfig {
    fn check_numbers(&self) -> Result<(), ConfigError> {
        let mut numbers = HashMap::new();
        for port in &self.ports {
            let Some(number) = port.number else { continue };
            if let Some(first) = numbers.insert(number, &port.name) {
                let (first, second) = (first.clone(), port.name.clone());
                return Err(ConfigError::NumberTwice {
                    bridge: self.name.clone(),
                    number,
                    first,
                    second,
                });
            }
        }
        Ok(())
    }

    /// The number of each port: its own, or in the order given the lowest that no port has.
    #[must_use]
    pub fn numbers(&self) -> Vec<u32> {
        let taken: HashSet<u32> = self.ports.iter().filter_map(|port| port.number).collect();
        let mut free = (1..).filter(|number| !taken.contains(number));
        self.ports
            .iter()
            .map(|port| port.number.or_else(|| free.next()).unwrap_or_default())
            .collect()
    }
}

impl PortConfig {
    /// What the port's VLAN keys mean together.
    ///
    /// # Errors
    /// If they contradict each other.
    pub fn vlan_mode(&self) -> Result<Mode, ConfigError> {
        let VlanKeys { tag, trunks, native, tunnel } = &self.vlan;
        let given = [
            ("tag", tag.is_some()),
            ("dot1q-tunnel", tunnel.is_some()),
            ("trunks", !trunks.is_empty()),
            ("native", native.is_some()),
        ];
        let mut given = given.into_iter().filter(|&(_, given)| given).map(|(key, _)| key);
        let contradiction = match (given.next(), given.next()) {
            (Some("trunks"), Some("native")) => None,
            (Some(one), Some(other)) => Some((one, other)),
            _ => None,
        };
        if let Some((one, other)) = contradiction {
            return Err(ConfigError::VlanKeys { port: self.name.clone(), one, other });
        }
        if let Some(vid) = tag.and_then(Vid::new) {
            return Ok(Mode::Access(vid));
        }
        if let Some(vid) = tunnel.and_then(Vid::new) {
            return Ok(Mode::Tunnel(vid));
        }
        let allowed = if trunks.is_empty() {
            VidSet::all()
        } else {
            trunks.iter().cloned().flatten().filter_map(Vid::new).collect()
        };
        let native = native.and_then(Vid::new).map(|vid| Native { vid, tagged: false });
        Ok(Mode::Trunk { allowed, native })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::command::Command;

    fn config(words: &str) -> Config {
        let words = ["strowger", "run"].into_iter().chain(words.split_whitespace());
        match Command::from_words(words).unwrap() {
            Command::Run { config, .. } => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_clashes_is_named() {
        for (words, said) in [
            ("--bridge a --bridge a", "two bridges named 'a'"),
            ("--bridge a --port tap:x --bridge b --port tap:x@n", "two ports named 'x'"),
            (
                "--bridge a --port tap:x,number=3 --port tap:y,number=3",
                "'x' and 'y' both have number 3 on bridge 'a'",
            ),
            (
                "--bridge a --port vhost-user:x=/s --bridge b --port vhost-user-client:y=/s",
                "the same socket /s",
            ),
            ("--bridge a --workers 1,1", "core 1 is given to two workers"),
            ("--bridge a --mac-limit 0", "at least one station"),
            ("--bridge a --port tap:x,tag=1,trunks=2", "'x' has both tag and trunks"),
            ("--bridge a --port tap:x,tag=1,native=2", "both tag and native"),
            ("--bridge a --port tap:x,dot1q-tunnel=1,tag=2", "both tag and dot1q-tunnel"),
            (
                "--bridge a --port tap:x,dot1q-tunnel=1,native=2,trunks=3",
                "both dot1q-tunnel and trunks",
            ),
        ] {
            let error = config(words).check().unwrap_err().to_string();
            assert!(error.contains(said), "{words}: {error}");
        }
        config("--bridge a --port tap:x,number=3 --bridge b --port tap:y,number=3")
            .check()
            .unwrap();
    }

    #[test]
    fn ports_are_numbered_in_order_around_the_numbers_that_are_given() {
        let config = config(
            "--bridge a --port tap:x --port tap:y,number=1 --port tap:z --port tap:w,number=9",
        );
        assert_eq!(config.bridges[0].numbers(), [2, 1, 3, 9]);
    }

    #[test]
    fn vlan_keys_make_a_mode() {
        let mode = |keys: &str| {
            config(&format!("--bridge a --port tap:x{keys}")).bridges[0].ports[0]
                .vlan_mode()
                .unwrap()
        };
        let vid = |number| Vid::new(number).unwrap();
        assert_eq!(mode(""), Mode::default());
        assert_eq!(mode(",tag=7"), Mode::Access(vid(7)));
        assert_eq!(mode(",dot1q-tunnel=7"), Mode::Tunnel(vid(7)));
        let allowed: VidSet = [10, 20, 21, 22].into_iter().map(vid).collect();
        let native = Some(Native { vid: vid(5), tagged: false });
        assert_eq!(mode(",trunks=10+20-22,native=5"), Mode::Trunk { allowed, native });
        let Mode::Trunk { allowed, .. } = mode(",native=5") else { panic!() };
        assert!(allowed.contains(vid(0)) && allowed.contains(vid(4094)));
    }
}
