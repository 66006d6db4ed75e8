//! A dev port: an Ethernet interface that the kernel has already, a veth end, a NIC, a bond.
//!
//! Frames come and go by packet sockets (packet(7)) with a virtio-net header before each, so that unfinished checksums
//! and uncut segments pass as they are. A queue pair has two sockets: one that receives into a ring which the kernel
//! shares with the worker ([`ring`], [`rx`]), one that sends ([`tx`]). Several pairs share the interface's frames by
//! the hash of their flow.
//!
//! The switch owns the interface: the host's own stack sees nothing of it ([`closing`]). One thread for all dev ports
//! of a network namespace hears from the kernel what becomes of them ([`follower`]): an interface may be set down and
//! up, get another MTU, vanish and come back under its name, and the port follows.
//!
//! [`socket`] is the only file that calls the kernel by raw pointers. Nothing on a frame's way waits.

mod closing;
mod follower;
mod netlink;
mod ring;
mod rx;
mod socket;
mod tx;

use std::{
    fmt, io,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use thiserror::Error;

pub use follower::Dev;
pub use rx::RxQueue;
pub use tx::TxQueue;

use netlink::route;

/// The most bytes of a frame that the kernel hands over: an uncut TCP segment with its headers and tags.
pub const MAX_FRAME: usize = 65536 + 64;

/// Which interface, and how.
#[derive(Clone, Debug)]
pub struct DevConfig {
    /// The port's name, for the log.
    pub port: String,
    /// The interface's name, in the network namespace of whoever opens the port.
    pub interface: String,
    /// Queue pairs, at least one.
    pub queues: u16,
}

/// Why the switch could not take an interface. It is as it was then.
#[derive(Debug, Error)]
pub enum DevError {
    /// The name is no interface name.
    #[error(
        "'{0}' cannot be the name of an interface, which has 1 to 15 bytes and no slash, colon, percent sign or space, and is neither 'all' nor 'default'"
    )]
    BadName(String),
    /// Not there: the port is down until it comes.
    #[error("there is no interface named '{0}'; the port comes up as soon as there is one")]
    Missing(String),
    /// Its frames are no Ethernet frames.
    #[error(
        "the interface '{0}' is no Ethernet interface (a veth end, a NIC or a bond is one, a loopback or point-to-point interface is not)"
    )]
    NotEthernet(String),
    /// Somebody else holds its filter.
    #[error(
        "the interface '{0}' belongs to another switch that runs in this network namespace; take it away from that one first"
    )]
    Taken(String),
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
            " (a dev port needs the capabilities CAP_NET_ADMIN and CAP_NET_RAW)"
        }
        Some(libc::EROFS) => {
            " (a dev port needs to write /proc/sys/net: a service must not have ProtectKernelTunables=yes)"
        }
        _ => "",
    }
}

impl DevError {
    fn kernel(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Kernel { step, error }
    }
}

/// What a dev port asks of the switch. Called by its follower's thread and by whoever opens or drops the port.
pub trait Host: fmt::Debug + Send + Sync {
    /// Takes a queue pair into use.
    fn start(&self, rx: RxQueue, tx: TxQueue);
    /// Gives it up: nobody uses its queues when this returns, and they are gone. There may be no such pair.
    fn stop(&self, pair: u16);
}

/// The interface at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevStatus {
    /// Whether it is there and the switch has it.
    pub present: bool,
    /// Whether frames can go both ways: it is set up and has a carrier.
    pub up: bool,
    /// The most bytes behind the Ethernet header; 0 if it is not there.
    pub mtu: u32,
    /// Its own address.
    pub mac: [u8; 6],
    /// Why the switch does not have it.
    pub error: Option<String>,
}

/// What is known of the interface, written by the follower and read by queues and control.
#[derive(Debug, Default)]
struct Link {
    present: AtomicBool,
    up: AtomicBool,
    mtu: AtomicU32,
    mac: AtomicU64,
}

impl Link {
    fn set(&self, found: &route::Interface) {
        let [a, b, c, d, e, f] = found.mac;
        self.mac.store(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), Relaxed);
        self.mtu.store(found.mtu, Relaxed);
        self.present.store(true, Relaxed);
        self.up.store(found.is_up(), Relaxed);
    }

    fn clear(&self) {
        self.up.store(false, Relaxed);
        self.present.store(false, Relaxed);
        self.mtu.store(0, Relaxed);
    }

    fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    fn mtu(&self) -> usize {
        self.mtu.load(Relaxed) as usize
    }

    fn status(&self, error: Option<String>) -> DevStatus {
        let [_, _, mac @ ..] = self.mac.load(Relaxed).to_be_bytes();
        DevStatus {
            present: self.present.load(Relaxed),
            up: self.is_up(),
            mtu: self.mtu.load(Relaxed),
            mac,
            error,
        }
    }
}
