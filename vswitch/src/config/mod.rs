//! What the switch is told to be: itself, its API, its log, bridges, ports and mirrors.
//!
//! Plain data, and one set of types for all who say it: a file ([`file`]), flags ([`flags`]), the API (JSON) and the
//! store. What a key is called, what it may hold and what it means is said once, in the types' docs and in the table
//! of [`keys`]; reading, showing, comparing and the reference are made from it.
//!
//! * [`check`]: a configuration held against itself before anything is opened.
//! * [`plan`]: what must be done to a running switch to make it another one.
//! * [`restore`]: what a switch is after a restart, from what is declared and what the API made of it.
//!
//! Opens nothing; that is `switch`'s. Asks the kernel one thing: which cores the process may use.

#[cfg(test)]
pub(crate) mod arbitrary;
mod bridge;
pub mod check;
pub mod command;
pub mod file;
pub mod flags;
pub mod keys;
mod mirror;
mod nearest;
pub mod path;
pub mod plan;
pub mod port;
#[cfg(test)]
mod reference;
pub mod restore;
mod switch;
mod units;
mod words;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::{engine::Poll, log::Format as LogFormat};
pub use bridge::{BridgeConfig, LoopGuard};
pub use check::ConfigError;
pub use mirror::{Direction, MirrorConfig};
pub use port::{PortConfig, PortKind};
pub use switch::{ApiConfig, LogConfig, SwitchConfig};
pub use units::{
    MAX_BURST_BYTES, MAX_BURST_FRAMES, MAX_RATE_BITS, MAX_RATE_FRAMES, MIN_BURST_BYTES,
    MIN_RATE_BITS, Rate, Size, UnitError,
};
pub use words::{Netns, SocketMode, VidRange};

use crate::{ports::slots::MAX_PAIRS, snapshot};

/// The run directory if none is given.
pub const DEFAULT_RUNDIR: &str = "/run/strowger";
/// The most queue pairs of a port.
pub const MAX_QUEUES: u16 = MAX_PAIRS as u16;
/// Queue pairs that a vhost-user port offers if it is not told; a guest takes as many as it wants of them.
pub const DEFAULT_VHOST_QUEUES: u16 = strowger_vhost::port::DEFAULT_QUEUE_PAIRS;
/// The highest OpenFlow port number: version 1.0 has 16 bits for it and keeps those above `OFPP_MAX`.
pub const MAX_NUMBER: u32 = 0xff00;
/// The most ports of a daemon.
pub const MAX_PORTS: usize = snapshot::MAX_PORTS as usize;
/// The most bridges of a daemon.
pub const MAX_BRIDGES: usize = 1024;
/// The most mirrors of a daemon.
pub const MAX_MIRRORS: usize = 1024;
/// The most workers of a daemon.
pub const MAX_WORKERS: usize = 256;
/// The most stations that a bridge may be told to remember.
pub const MAX_STATIONS: usize = 1_000_000;
/// Seconds after which a silent station is forgotten (IEEE 802.1Q, table 8-6).
pub const DEFAULT_MAC_AGEING: u64 = 300;
/// Stations that a bridge remembers.
pub const DEFAULT_MAC_LIMIT: usize = 8192;
/// Seconds that a station that moves to and fro is held.
pub const DEFAULT_LOOP_HOLD: u64 = 60;
/// The most seconds of anything that is given in seconds.
pub const MAX_SECONDS: u64 = 1_000_000;
/// The most bytes of a bridge's, a port's or a mirror's name.
pub const MAX_NAME: usize = 63;
/// The most bytes of an interface's name: `IFNAMSIZ` without its final zero.
pub const MAX_INTERFACE_NAME: usize = 15;
/// The most bytes of a UNIX socket's path: `sun_path` without its final zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// All that a switch is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The daemon itself.
    #[serde(skip_serializing_if = "is_default")]
    pub switch: SwitchConfig,
    /// How the switch is asked and changed while it runs.
    #[serde(skip_serializing_if = "is_default")]
    pub api: ApiConfig,
    /// What is logged.
    #[serde(skip_serializing_if = "is_default")]
    pub log: LogConfig,
    /// The bridges by their names, in the order given.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub bridges: IndexMap<String, BridgeConfig>,
    /// The ports of all bridges by their names, in the order given, which numbers them.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub ports: IndexMap<String, PortConfig>,
    /// The mirrors of all bridges by their names.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub mirrors: IndexMap<String, MirrorConfig>,
}

impl Config {
    /// The forwarding cores, one worker each: those that were given, or one that suits.
    #[must_use]
    pub fn cores(&self) -> Vec<usize> {
        if self.switch.workers.is_empty() {
            vec![switch::default_core()]
        } else {
            self.switch.workers.clone()
        }
    }

    /// The ports of a bridge with their names, in the order given.
    pub fn ports_of<'a>(
        &'a self,
        bridge: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a PortConfig)> {
        self.ports
            .iter()
            .filter(move |(_, port)| port.bridge == bridge)
            .map(|(name, port)| (name.as_str(), port))
    }

    /// How a bridge's stations are bounded: its own word, or the switch's.
    #[must_use]
    pub fn mac_limits(&self, bridge: &str) -> crate::tables::mac::MacLimits {
        let own = self.bridges.get(bridge);
        let ageing = own.and_then(|own| own.mac_ageing).unwrap_or(self.switch.mac_ageing);
        let stations = own.and_then(|own| own.mac_limit).unwrap_or(self.switch.mac_limit);
        crate::tables::mac::MacLimits { stations, ageing: std::time::Duration::from_secs(ageing) }
    }
}

/// Whether a key holds what it holds when nothing is said, and need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
