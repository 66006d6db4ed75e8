//! What the switch is told to be: bridges, their ports, the forwarding cores, the run directory.
//!
//! Plain data. [`command`] reads it from the command line, [`port`] reads one `--port`, [`check`] holds it
//! against itself before anything is opened. Opens nothing and asks the kernel nothing; that is `switch`'s.

pub mod check;
pub mod command;
pub mod port;

use std::{fmt, ops::RangeInclusive, path::PathBuf, time::Duration};

pub use check::ConfigError;

use crate::{engine::Poll, ports::slots::MAX_PAIRS, snapshot};

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
/// The most bytes of a bridge's or a port's name.
pub const MAX_NAME: usize = 63;
/// The most bytes of an interface's name: `IFNAMSIZ` without its final zero.
pub const MAX_INTERFACE_NAME: usize = 15;
/// The most bytes of a UNIX socket's path: `sun_path` without its final zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// All that a daemon is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The bridges, in the order given.
    pub bridges: Vec<BridgeConfig>,
    /// Forwarding cores, one worker each.
    pub cores: Vec<usize>,
    /// What a worker does when there is nothing to forward.
    pub poll: Poll,
    /// Where sockets and state are kept.
    pub rundir: PathBuf,
    /// How long a station is remembered after its last frame.
    pub mac_ageing: Duration,
    /// The most stations that a bridge remembers.
    pub mac_limit: usize,
}

/// A bridge and its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Unique in the daemon.
    pub name: String,
    /// In the order given, which numbers them.
    pub ports: Vec<PortConfig>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Unique in the daemon. A TAP port's is also its interface's.
    pub name: String,
    /// What is behind it.
    pub kind: PortKind,
    /// Its number on its bridge; the lowest that is free if none is given.
    pub number: Option<u32>,
    /// The VLANs that it carries.
    pub vlan: VlanKeys,
    /// Queue pairs: what a vhost-user port offers, what a TAP port opens.
    pub queues: Option<u16>,
}

impl PortConfig {
    /// Queue pairs, given or by default.
    #[must_use]
    pub fn queue_pairs(&self) -> u16 {
        self.queues.unwrap_or(match self.kind {
            PortKind::Tap { .. } => 1,
            PortKind::VhostServer { .. } | PortKind::VhostClient { .. } => DEFAULT_VHOST_QUEUES,
        })
    }
}

/// What is behind a port, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A vhost-user port that listens at a path.
    VhostServer {
        /// The socket that the switch makes and removes.
        path: PathBuf,
    },
    /// A vhost-user port that connects to a path, again and again.
    VhostClient {
        /// The socket that the guest's side makes.
        path: PathBuf,
    },
    /// A TAP interface.
    Tap {
        /// Where it is made; the daemon's own network namespace if none is given.
        netns: Option<Netns>,
    },
}

impl PortKind {
    /// The word for it on the command line and in `strowger status`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::VhostServer { .. } => "vhost-user",
            Self::VhostClient { .. } => "vhost-user-client",
            Self::Tap { .. } => "tap",
        }
    }

    /// The path of its socket, if it has one.
    #[must_use]
    pub fn socket(&self) -> Option<&PathBuf> {
        match self {
            Self::VhostServer { path } | Self::VhostClient { path } => Some(path),
            Self::Tap { .. } => None,
        }
    }
}

/// A network namespace: a name that `ip netns` knows, or the path of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns(String);

impl Netns {
    /// A namespace by what the user wrote: with a slash in it, it is a path.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The file to open.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.0.contains('/') {
            PathBuf::from(&self.0)
        } else {
            PathBuf::from("/run/netns").join(&self.0)
        }
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A port's VLAN keys as written; [`PortConfig::vlan_mode`] says what they mean together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VlanKeys {
    /// `tag=VID`: an access port.
    pub tag: Option<u16>,
    /// `trunks=10+20-30`: the VLANs that a trunk carries, 0 for untagged frames.
    pub trunks: Vec<RangeInclusive<u16>>,
    /// `native=VID`: the VLAN of a trunk's untagged frames.
    pub native: Option<u16>,
    /// `dot1q-tunnel=VID`: all that the port carries is customer traffic within this S-VLAN.
    pub tunnel: Option<u16>,
}
