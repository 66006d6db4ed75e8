//! A port and what is behind it, of whatever kind: prepared, started, closed.
//!
//! Everything that can fail happens in [`OpenPort::prepare`]. What is prepared is not seen by workers before a snapshot
//! has the port; dropping it takes it back.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::io::Errno;
use strowger_packet::{PortCounters, PortId};
use strowger_vhost as vhost;
use thiserror::Error;

use super::{host::PortHost, limits};
use crate::{
    config::{Netns, PortConfig, PortKind},
    engine::Engine,
    ports::{
        RxQueue, TxQueue, TxSlots,
        dev::{Dev, DevConfig, DevError},
        tap::{Tap, TapConfig, TapError},
    },
};

/// Why a port did not open. Nothing of it is left then.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A vhost-user port. The error names it.
    #[error(transparent)]
    Vhost(#[from] vhost::PortError),
    /// A TAP port.
    #[error("port {port}: {error}")]
    Tap {
        /// The port.
        port: String,
        /// Why.
        error: TapError,
    },
    /// A dev port.
    #[error("port {port}: {error}")]
    Dev {
        /// The port.
        port: String,
        /// Why.
        error: DevError,
    },
    /// A namespace is not there.
    #[error("port {port}: there is no network namespace {path}", path = path.display())]
    NetnsMissing {
        /// The port.
        port: String,
        /// The namespace's file.
        path: PathBuf,
    },
    /// More ports than the switch has room for.
    #[error("there is no room for port {0}: a switch has at most {max} ports, those that a change takes away included", max = crate::snapshot::MAX_PORTS)]
    NoRoom(String),
    /// A shaper needs memory.
    #[error("port {port}: cannot get memory for the queue of its shaper: {error}")]
    Shaper {
        /// The port.
        port: String,
        /// What the system said.
        error: io::Error,
    },
    /// The process would have too few file descriptors left.
    #[error("{}", limits::sentence())]
    Descriptors,
}

impl OpenError {
    /// Whether the process has no file descriptor left.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        let error = match self {
            Self::Vhost(error) => return error.is_out_of_descriptors(),
            Self::Tap { error: TapError::Kernel { error, .. }, .. }
            | Self::Dev { error: DevError::Kernel { error, .. }, .. } => error,
            _ => return false,
        };
        let code = error.raw_os_error();
        [Errno::MFILE, Errno::NFILE].iter().any(|errno| code == Some(errno.raw_os_error()))
    }
}

/// A port and what is behind it. Dropping it takes its queues back and closes it.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub(super) name: String,
    pub(super) id: PortId,
    /// What it was opened with. What is only set may have changed since.
    pub(super) config: PortConfig,
    pub(super) tx: Arc<TxSlots>,
    pub(super) counters: Arc<PortCounters>,
    /// Locked to look, to start and to close.
    backing: Mutex<Backing>,
}

/// What is behind a port.
#[derive(Debug)]
pub(super) enum Backing {
    /// A socket for a guest, whom nobody serves yet.
    Prepared(vhost::Prepared),
    /// A socket for a guest.
    Vhost(vhost::Port),
    /// An interface of the kernel, whose queues the workers have.
    Tap(TapPort),
    /// An interface that the kernel had before; it gives its queues to the workers by itself.
    Dev(Dev),
    /// Nothing: it did not open when the switch started, for this reason.
    Refused(String),
    /// Nothing any more.
    Closed,
}

/// What a port is to be made from.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) config: &'a PortConfig,
    pub(super) id: PortId,
    pub(super) counters: Arc<PortCounters>,
}

impl OpenPort {
    /// Opens a port, but for serving anybody. It takes over the socket or the interface of the one `before`, which has
    /// the same [`place`](Self::place) and is to be closed before this one is started.
    pub(super) fn prepare(
        wanted: Wanted<'_>,
        before: Option<&Self>,
        engine: &Arc<Engine>,
    ) -> Result<Self, OpenError> {
        let Wanted { name, config, id, counters } = wanted;
        let tx = Arc::new(TxSlots::new(config.queue_pairs().into()));
        let engine = Arc::clone(engine);
        let host = PortHost { id, name: name.to_owned(), tx: Arc::clone(&tx), engine };
        let before = before.map(Self::lock);
        let before = before.as_deref();
        let backing = match config.kind {
            PortKind::VhostUser => vhost_port(config, vhost::Role::Server, host, before)?,
            PortKind::VhostUserClient => vhost_port(config, vhost::Role::Client, host, before)?,
            PortKind::Tap => Backing::Tap(TapPort::open(name, config, host, before)?),
            PortKind::Dev => {
                let dev = DevConfig {
                    port: name.to_owned(),
                    interface: config.interface(name).unwrap_or(name).to_owned(),
                    queues: config.queue_pairs(),
                };
                let refused = |error| OpenError::Dev { port: name.to_owned(), error };
                Backing::Dev(Dev::open(&dev, Arc::new(host)).map_err(refused)?)
            }
        };
        let (name, config) = (name.to_owned(), config.clone());
        Ok(Self { name, id, config, tx, counters, backing: Mutex::new(backing) })
    }

    /// A port that did not open.
    pub(super) fn refused(wanted: Wanted<'_>, why: String) -> Self {
        let Wanted { name, config, id, counters } = wanted;
        let tx = Arc::new(TxSlots::new(config.queue_pairs().into()));
        let backing = Mutex::new(Backing::Refused(why));
        let (name, config) = (name.to_owned(), config.clone());
        Self { name, id, config, tx, counters, backing }
    }

    /// What only this port can have.
    pub(super) fn place(&self) -> Place {
        Place::of(&self.name, &self.config)
    }

    /// Starts serving.
    pub(super) fn start(&self) {
        let mut backing = self.lock();
        *backing = match std::mem::replace(&mut *backing, Backing::Closed) {
            Backing::Prepared(prepared) => Backing::Vhost(prepared.start()),
            other => other,
        };
    }

    /// Takes its queues back and closes it, whoever still looks at it.
    pub(super) fn close(&self) {
        let backing = std::mem::replace(&mut *self.lock(), Backing::Closed);
        drop(backing);
    }

    /// Whether a configuration can be had without opening the port anew.
    pub(super) fn serves(&self, name: &str, wanted: &PortConfig) -> bool {
        let is_open = !matches!(&*self.lock(), Backing::Refused(_) | Backing::Closed);
        is_open
            && self.place() == Place::of(name, wanted)
            && self.config.kind == wanted.kind
            && self.config.queue_pairs() == wanted.queue_pairs()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Backing> {
        // Nothing panics with the lock held; if it did, what is behind it would still be whole enough to be closed.
        self.backing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What only one port can have: a socket, or an interface in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Socket(PathBuf),
    Interface(Option<PathBuf>, String),
}

impl Place {
    pub(super) fn of(name: &str, config: &PortConfig) -> Self {
        match config.interface(name) {
            Some(interface) => {
                Self::Interface(config.netns.as_ref().map(Netns::path), interface.to_owned())
            }
            // A vhost-user port without a path does not pass `Config::check`.
            None => Self::Socket(config.path.clone().unwrap_or_default()),
        }
    }
}

fn vhost_port(
    config: &PortConfig,
    role: vhost::Role,
    host: PortHost,
    before: Option<&Backing>,
) -> Result<Backing, OpenError> {
    let path = config.path.clone().unwrap_or_default();
    let mut port = vhost::PortConfig::new(&host.name, path, role);
    port.queue_pairs = config.queue_pairs();
    let before = match before {
        Some(Backing::Vhost(before)) => Some(before),
        _ => None,
    };
    Ok(Backing::Prepared(vhost::Port::prepare(port, Arc::new(host), before)?))
}

/// A TAP interface whose queues the engine has.
#[derive(Debug)]
pub(super) struct TapPort {
    /// Goes last: the queues are taken back while the interface is still there.
    pub(super) tap: Tap,
    pub(super) pairs: u16,
    host: PortHost,
}

impl TapPort {
    fn open(
        name: &str,
        config: &PortConfig,
        host: PortHost,
        before: Option<&Backing>,
    ) -> Result<Self, OpenError> {
        let netns = config.netns.as_ref().map(Netns::path);
        if let Some(path) = netns.as_ref().filter(|path| !path.exists()) {
            let (port, path) = (name.to_owned(), path.clone());
            return Err(OpenError::NetnsMissing { port, path });
        }
        let refused = |error| OpenError::Tap { port: name.to_owned(), error };
        let interface = config.interface(name).unwrap_or(name).to_owned();
        let wanted = TapConfig { name: interface, netns, queues: config.queue_pairs() };
        let tap = match before {
            Some(Backing::Tap(before)) if before.tap.is_present() => {
                Tap::open_again(&wanted, &before.tap)
            }
            _ => Tap::open(&wanted),
        };
        let tap = tap.map_err(refused)?;
        let no_memory =
            |error| refused(TapError::Kernel { step: "get memory for its frames", error });
        let queues = tap.queues().map_err(no_memory)?;
        for (rx, tx) in queues {
            host.start_pair(RxQueue::Tap(rx), TxQueue::Tap(tx));
        }
        Ok(Self { tap, pairs: wanted.queues, host })
    }
}

impl Drop for TapPort {
    fn drop(&mut self) {
        for pair in 0..self.pairs {
            self.host.stop_pair(pair);
        }
    }
}
