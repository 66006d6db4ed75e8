//! A TAP port: an Ethernet interface of the kernel whose other side is the switch.
//!
//! It has a queue pair or more, passes offloads through by a virtio-net header before each frame (virtio 1.2,
//! 5.1.6), and lives in the daemon's network namespace or is made inside a container's, so that nothing of it
//! is ever on the host. It is not persistent: when its last queue is closed, the kernel removes the interface.
//!
//! [`device`] is the only file that calls the kernel by `ioctl`. Nothing here waits for a frame.

mod device;
mod netns;
mod rx;
mod tx;

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use thiserror::Error;

pub use rx::RxQueue;
pub use tx::TxQueue;

/// The most bytes of a frame that the kernel hands over: an uncut TCP segment with its headers and tags.
pub const MAX_FRAME: usize = 65536 + 64;

/// Where a TAP interface is made and how.
#[derive(Clone, Debug)]
pub struct TapConfig {
    /// The interface's name, at most 15 bytes.
    pub name: String,
    /// The file of the network namespace; the daemon's own if there is none.
    pub netns: Option<PathBuf>,
    /// Queue pairs, at least one.
    pub queues: u16,
}

/// Why a TAP interface was not made. Nothing of it is left then.
#[derive(Debug, Error)]
pub enum TapError {
    /// The name is no interface name.
    #[error(
        "'{0}' cannot be the name of an interface, which has 1 to 15 bytes and no slash, colon, percent sign or space"
    )]
    BadName(String),
    /// There is such an interface already.
    #[error("there is an interface named '{0}' already")]
    Exists(String),
    /// The namespace's file cannot be opened.
    #[error("cannot open the network namespace {path}: {error}", path = path.display())]
    NetnsMissing {
        /// Its file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a network namespace", path = .0.display())]
    NotNetns(PathBuf),
    /// The kernel refused a step.
    #[error("cannot {step}: {error}{advice}", advice = advice(error))]
    Kernel {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// What to do about a refusal of the kernel's.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            " (a tap port needs the capability CAP_NET_ADMIN, and CAP_SYS_ADMIN inside another network namespace)"
        }
        _ => "",
    }
}

/// A TAP interface, up. Its queues keep it alive; when they and this are dropped the interface is gone.
#[derive(Debug)]
pub struct Tap {
    config: TapConfig,
    queues: Vec<Arc<Queue>>,
    mac: [u8; 6],
    /// Of the interface's namespace.
    socket: Arc<OwnedFd>,
}

/// What the two directions of a queue pair share.
#[derive(Debug)]
struct Queue {
    file: OwnedFd,
    pair: u16,
    /// Set once the kernel said that the interface is gone; it does not come back under this file.
    gone: AtomicBool,
}

impl Queue {
    fn new((file, pair): (OwnedFd, u16)) -> Arc<Self> {
        Arc::new(Self { file, pair, gone: AtomicBool::new(false) })
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

impl Tap {
    /// Makes the interface and sets it up.
    ///
    /// # Errors
    /// A bad name, an interface of that name, a namespace that is not there or is none, or the kernel's refusal.
    pub fn open(config: &TapConfig) -> Result<Self, TapError> {
        let made =
            netns::within(config.netns.as_deref(), || device::create(&config.name, config.queues))?;
        let device::Device { files, mac, socket } = made;
        let queues = files.into_iter().zip(0..).map(Queue::new).collect();
        Ok(Self { config: config.clone(), queues, mac, socket: Arc::new(socket) })
    }

    /// The same interface with another number of queues: those that there are, and more. It stays as it is, with all
    /// that its namespace made of it. `before` is to be dropped when its queues are no longer used.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open_again(config: &TapConfig, before: &Self) -> Result<Self, TapError> {
        let pairs = config.queues.max(1);
        // Descriptors of their own: a worker waits on those of before until it gives them back.
        let own = |queue: &Arc<Queue>| Ok(Queue::new((queue.file.try_clone()?, queue.pair)));
        let shared: io::Result<Vec<_>> =
            before.queues.iter().take(usize::from(pairs)).map(own).collect();
        let no_more = |error| TapError::Kernel { step: "share the queues of the interface", error };
        let mut queues = shared.map_err(no_more)?;
        let missing = pairs.saturating_sub(queues.len() as u16);
        if missing > 0 {
            let files =
                netns::within(config.netns.as_deref(), || device::join(&config.name, missing))?;
            queues.extend(files.into_iter().zip(queues.len() as u16..).map(Queue::new));
        }
        let socket = Arc::clone(&before.socket);
        Ok(Self { config: config.clone(), queues, mac: before.mac, socket })
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &TapConfig {
        &self.config
    }

    /// The longest packet that the interface takes, in bytes, if it is there under its name.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        // Who owns the namespace may have given it another name, which is no error.
        device::mtu(&self.socket, &self.config.name).ok()
    }

    /// The queues, both directions of each pair. Each direction has one user at a time; ask once.
    ///
    /// # Errors
    /// If there is no memory for their frames.
    pub fn queues(&self) -> io::Result<Vec<(RxQueue, TxQueue)>> {
        let both =
            |queue: &Arc<Queue>| Ok((RxQueue::new(queue.clone())?, TxQueue::new(queue.clone())));
        self.queues.iter().map(both).collect()
    }

    /// Whether the interface is still there: whoever owns its namespace may delete it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.queues
            .first()
            .is_some_and(|queue| !queue.is_gone() && device::is_attached(&queue.file))
    }

    /// The interface's own address, which the container uses.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }
}
