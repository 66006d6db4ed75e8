//! A vhost-user port: the socket, the thread that serves it, and what can be seen of it from outside.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use rustix::net::SocketAddrUnix;
use strowger_guestmem::install_fault_handler;
use tracing::{error, info, warn};

use crate::{
    Host,
    connector::Connector,
    disposal::Disposal,
    event::Event,
    listener::Listener,
    protocol::ChannelError,
    session::{Session, SessionEnd},
};

/// Queue pairs that a port offers unless it is told otherwise.
pub const DEFAULT_QUEUE_PAIRS: u16 = 8;
/// The most queue pairs that a port can offer: a ring's index is one byte in `SET_VRING_KICK`.
pub const MAX_QUEUE_PAIRS: u16 = 128;

/// Which end of the socket the switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The switch listens and the front end connects.
    Server,
    /// The front end listens; the switch connects, and again whenever the connection ends.
    Client,
}

/// What a port is made from.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// The port's name, for log lines, the thread's name and errors.
    pub name: String,
    /// The UNIX socket.
    pub path: PathBuf,
    /// Who listens on it.
    pub role: Role,
    /// The most queue pairs that a front end may use, 1 to [`MAX_QUEUE_PAIRS`].
    pub queue_pairs: u16,
}

impl PortConfig {
    /// A port with [`DEFAULT_QUEUE_PAIRS`].
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, role: Role) -> Self {
        Self { name: name.into(), path: path.into(), role, queue_pairs: DEFAULT_QUEUE_PAIRS }
    }

    fn check(&self) -> Result<(), PortError> {
        if (1..=MAX_QUEUE_PAIRS).contains(&self.queue_pairs) {
            return Ok(());
        }
        Err(PortError::QueuePairs { name: self.name.clone(), pairs: self.queue_pairs })
    }
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// More or fewer queue pairs than a port can have.
    #[error(
        "port {name} cannot offer {pairs} queue pairs; give it between 1 and {MAX_QUEUE_PAIRS}"
    )]
    QueuePairs {
        /// The port.
        name: String,
        /// What was asked for.
        pairs: u16,
    },
    /// The path does not fit a socket address.
    #[error(
        "the socket path {path} of port {name} is too long for a UNIX socket; choose one of at most 107 bytes"
    )]
    PathTooLong {
        /// The port.
        name: String,
        /// The socket.
        path: PathBuf,
    },
    /// Another process listens there.
    #[error(
        "port {name} cannot listen on {path}: another process is listening there; stop it or choose another path"
    )]
    InUse {
        /// The port.
        name: String,
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is there.
    #[error(
        "port {name} cannot listen on {path}: a file that is not a socket is there; remove it or choose another path"
    )]
    NotASocket {
        /// The port.
        name: String,
        /// The socket.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("port {name} could not {action} {path}: {source}")]
    Io {
        /// The port.
        name: String,
        /// What was attempted.
        action: &'static str,
        /// The socket.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl PortError {
    /// What was attempted with a port's socket, for `map_err`.
    pub(crate) fn io(
        config: &PortConfig,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let (name, path) = (config.name.clone(), config.path.clone());
        move |source| Self::Io { name, action, path, source }
    }
}

/// A port as it is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortStatus {
    /// Whether a front end is connected.
    pub connected: bool,
    /// Whether frames can go both ways: a queue pair has both rings started.
    pub up: bool,
    /// Queue pairs with both rings started.
    pub queue_pairs: u16,
    /// The virtio features that the front end acknowledged.
    pub features: u64,
    /// The MTU that the front end announced (`NET_SET_MTU`), in bytes.
    pub mtu: Option<u16>,
    /// Connections made since the port was opened.
    pub connections: u64,
    /// Why the last connection ended, or why none could be made.
    pub last_error: Option<String>,
}

/// What the port's thread and its owner share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: PortConfig,
    host: HostRef,
    stop: Event,
    status: Mutex<PortStatus>,
    disposal: Disposal,
}

/// A host, which need not be printable for a port to be.
struct HostRef(Arc<dyn Host>);

impl fmt::Debug for HostRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl Shared {
    pub(crate) fn new(config: PortConfig, host: Arc<dyn Host>) -> io::Result<Self> {
        Ok(Self {
            config,
            host: HostRef(host),
            stop: Event::new()?,
            status: Mutex::default(),
            disposal: Disposal::default(),
        })
    }

    pub(crate) fn config(&self) -> &PortConfig {
        &self.config
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host.0
    }

    pub(crate) fn stop(&self) -> &Event {
        &self.stop
    }

    pub(crate) fn disposal(&self) -> &Disposal {
        &self.disposal
    }

    pub(crate) fn status(&self) -> PortStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut PortStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Serves one connection to its end. Returns whether the port goes on.
    pub(crate) fn serve(&self, socket: OwnedFd) -> bool {
        self.update(|status| {
            status.connected = true;
            status.connections += 1;
        });
        info!(port = self.config.name, "a front end is connected");
        let end = Session::new(self, socket).run();
        let stopped = matches!(end, SessionEnd::Channel(ChannelError::Stopped));
        let goes_on = !stopped && !matches!(end, SessionEnd::Stalled);
        self.update(|status| {
            *status = PortStatus {
                connections: status.connections,
                last_error: Some(end.to_string()),
                ..PortStatus::default()
            };
        });
        if !stopped {
            warn!(port = self.config.name, "the connection ended: {end}");
        }
        goes_on
    }
}

/// An open port. Dropping it closes it.
#[derive(Debug)]
pub struct Port {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    /// Opens a port and starts its thread. A server's socket listens when this returns; a client connects in the
    /// background, and keeps trying.
    ///
    /// # Errors
    /// If the socket cannot be bound or the thread not be started; then nothing is left behind.
    pub fn open(config: PortConfig, host: Arc<dyn Host>) -> Result<Self, PortError> {
        install_fault_handler();
        config.check()?;
        let Ok(address) = SocketAddrUnix::new(&config.path) else {
            return Err(PortError::PathTooLong { name: config.name, path: config.path });
        };
        let failed = PortError::io(&config, "start the thread that serves");
        let way = match config.role {
            Role::Server => Way::Listen(Listener::bind(&config, &address)?),
            Role::Client => Way::Connect(Connector::new(address)),
        };
        // The kernel shows 15 bytes of a thread's name.
        let thread = thread::Builder::new().name(format!("vu-{}", config.name));
        let shared = match Shared::new(config, host) {
            Ok(shared) => Arc::new(shared),
            Err(error) => return Err(failed(error)),
        };
        let serving = Arc::clone(&shared);
        let thread = thread.spawn(move || match way {
            Way::Listen(listener) => listener.run(&serving),
            Way::Connect(connector) => connector.run(&serving),
        });
        let thread = thread.map_err(failed)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Serves one connection that somebody else made, on the calling thread and to its end. No ring runs then, and
    /// the status tells how it ended.
    ///
    /// # Errors
    /// If there are too many queue pairs, or the process has no descriptor left.
    pub fn serve(
        config: PortConfig,
        host: Arc<dyn Host>,
        connection: OwnedFd,
    ) -> Result<PortStatus, PortError> {
        install_fault_handler();
        config.check()?;
        let failed = PortError::io(&config, "serve a connection for");
        let shared = Shared::new(config, host).map_err(failed)?;
        shared.serve(connection);
        Ok(shared.status())
    }

    /// What can be seen of the port now.
    #[must_use]
    pub fn status(&self) -> PortStatus {
        self.shared.status()
    }

    /// Stops the rings, joins the thread and removes the socket. Not to be called from a [`Host`]'s method.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shared.stop.signal();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!(port = self.shared.config.name, "the port's thread panicked");
        }
    }
}

/// How the port's thread comes to connections.
enum Way {
    Listen(Listener),
    Connect(Connector),
}
