//! A vhost-user port: the socket, the thread that serves it, and what can be seen of it from outside.
//!
//! A port opens in two steps, so that many can be opened together or not at all: what can fail is
//! [prepared](Port::prepare), and only then [started](Prepared::start), which does not fail.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
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
    reception::{Desk, Reception},
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
    serving: Serving,
}

/// A port that only has to be started. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Prepared {
    shared: Arc<Shared>,
    way: Way,
}

/// How a port comes to connections.
#[derive(Debug)]
enum Way {
    /// Its socket listens; nobody is served yet.
    Listen(Arc<Listener>),
    /// Its thread waits for the word to go, and ends if none comes.
    Connect { go: mpsc::SyncSender<()>, thread: JoinHandle<()> },
}

/// Who serves it.
#[derive(Debug)]
enum Serving {
    /// The reception, and a thread as long as there is a front end.
    Desk(Arc<Desk>),
    /// A thread of its own.
    Thread(Option<JoinHandle<()>>),
}

impl PortError {
    /// Whether the process has no file descriptor left.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        let code = match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        };
        code == Some(rustix::io::Errno::MFILE.raw_os_error())
            || code == Some(rustix::io::Errno::NFILE.raw_os_error())
    }
}

impl Port {
    /// Opens a port. A server's socket listens when this returns; a client connects in the background, and keeps
    /// trying.
    ///
    /// # Errors
    /// If the socket cannot be bound or a thread not be started; then nothing is left behind.
    pub fn open(config: PortConfig, host: Arc<dyn Host>) -> Result<Self, PortError> {
        Self::prepare(config, host, None).map(Prepared::start)
    }

    /// Does everything of opening a port that can fail. If it is to take the place of an open port that listens at the
    /// same path, it takes over that one's socket with who waits there: that one is to be closed before it is started.
    ///
    /// # Errors
    /// If the socket cannot be bound or a thread not be started; then nothing is left behind.
    pub fn prepare(
        config: PortConfig,
        host: Arc<dyn Host>,
        before: Option<&Self>,
    ) -> Result<Prepared, PortError> {
        install_fault_handler();
        config.check()?;
        let Ok(address) = SocketAddrUnix::new(&config.path) else {
            return Err(PortError::PathTooLong { name: config.name, path: config.path });
        };
        let failed = PortError::io(&config, "start the thread that serves");
        let taken_over = before.and_then(|port| port.listener(&config));
        let listener = match (config.role, taken_over) {
            (Role::Server, Some(listener)) => Some(listener),
            (Role::Server, None) => Some(Arc::new(Listener::bind(&config, &address)?)),
            (Role::Client, _) => None,
        };
        let shared = match Shared::new(config, host) {
            Ok(shared) => Arc::new(shared),
            Err(error) => return Err(failed(error)),
        };
        let way = match listener {
            Some(listener) => Way::Listen(listener),
            None => connecting(Connector::new(address), &shared).map_err(failed)?,
        };
        Ok(Prepared { shared, way })
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

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &PortConfig {
        self.shared.config()
    }

    /// Stops the rings, joins the thread and removes the socket. Not to be called from a [`Host`]'s method.
    pub fn close(self) {
        drop(self);
    }

    /// The socket, if it is one that `config` would listen on.
    fn listener(&self, config: &PortConfig) -> Option<Arc<Listener>> {
        match &self.serving {
            Serving::Desk(desk) if self.config().path == config.path => desk.listener(),
            _ => None,
        }
    }
}

impl Prepared {
    /// Starts serving.
    #[must_use]
    pub fn start(self) -> Port {
        let Self { shared, way } = self;
        let serving = match way {
            Way::Connect { go, thread } => {
                if go.send(()).is_err() {
                    error!(port = shared.config.name, "the port's thread ended before its time");
                }
                Serving::Thread(Some(thread))
            }
            Way::Listen(listener) => match Reception::get() {
                Ok(reception) => Serving::Desk(reception.open(&listener, Arc::clone(&shared))),
                Err(error) => {
                    // The listener was bound with its help, so that it is there.
                    error!(port = shared.config.name, "no front end will be served: {error}");
                    Serving::Thread(None)
                }
            },
        };
        Port { shared, serving }
    }
}

/// A thread that will connect once it is told to.
fn connecting(connector: Connector, shared: &Arc<Shared>) -> io::Result<Way> {
    // The kernel shows 15 bytes of a thread's name.
    let thread = thread::Builder::new().name(format!("vu-{}", shared.config.name));
    let (go, told) = mpsc::sync_channel(1);
    let serving = Arc::clone(shared);
    let thread = thread.spawn(move || {
        if told.recv().is_ok() {
            connector.run(&serving);
        }
    })?;
    Ok(Way::Connect { go, thread })
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shared.stop.signal();
        match &mut self.serving {
            Serving::Desk(desk) => desk.close(),
            Serving::Thread(thread) => {
                if thread.take().is_some_and(|thread| thread.join().is_err()) {
                    error!(port = self.shared.config.name, "the port's thread panicked");
                }
            }
        }
    }
}
