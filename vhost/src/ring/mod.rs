//! A guest's rings as the device sees them: what was taken, what is returned, who wants to be woken.
//!
//! * [`split`]: the split ring's layout in guest memory (virtio 1.2, 2.7). Another format is another such file.
//! * [`chain`]: a descriptor chain, walked once into private memory, with a bound.
//! * [`header`]: the virtio-net header before each frame.
//! * [`notifier`]: the kick and call descriptors. [`watch`]: writes to them that a front end makes wait.
//!
//! All bounds of a ring are established when it starts; after that indices are masked. Nothing here believes a
//! guest: an index that jumps breaks the ring, a bad chain is returned unused.

pub(crate) mod chain;
pub(crate) mod header;
pub(crate) mod notifier;
pub(crate) mod split;
pub(crate) mod watch;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use strowger_guestmem::{Memory, UserAddr};

/// The most descriptors that a ring may have (virtio 1.2, 2.7: 32768, a power of two).
pub const MAX_RING_SIZE: u16 = 32_768;
/// The longest frame: 65,535 bytes of IP packet, an Ethernet header and two VLAN tags.
pub const MAX_FRAME: usize = 65_535 + 14 + 8;
/// The shortest frame: an Ethernet header.
pub const MIN_FRAME: usize = 14;

/// Feature bits that change how rings work (virtio 1.2, 5.1.3 and 6).
pub(crate) mod feature {
    pub(crate) const GUEST_CSUM: u64 = 1 << 1;
    pub(crate) const GUEST_TSO4: u64 = 1 << 7;
    pub(crate) const GUEST_TSO6: u64 = 1 << 8;
    pub(crate) const GUEST_ECN: u64 = 1 << 9;
    pub(crate) const MRG_RXBUF: u64 = 1 << 15;
    pub(crate) const INDIRECT_DESC: u64 = 1 << 28;
    pub(crate) const EVENT_IDX: u64 = 1 << 29;
    pub(crate) const VERSION_1: u64 = 1 << 32;
}

/// What a queue is made from when its ring starts.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// Which queue pair it belongs to, from 0.
    pub pair: u16,
    /// How many descriptors it has (`SET_VRING_NUM`).
    pub size: u16,
    /// The next available index to take (`SET_VRING_BASE`).
    pub base: u16,
    /// Where the descriptor table is (`SET_VRING_ADDR`), as are the other two.
    pub descriptors: UserAddr,
    /// The available ring, which the guest writes.
    pub available: UserAddr,
    /// The used ring, which the switch writes.
    pub used: UserAddr,
    /// The guest's memory.
    pub memory: Memory,
    /// The virtio features that the guest and the switch agreed on.
    pub features: u64,
    /// Whether the ring is enabled (`SET_VRING_ENABLE`); may change while it runs.
    pub enabled: Arc<AtomicBool>,
    /// The eventfd by which the guest tells of new descriptors. Without one the ring is polled.
    pub kick: Option<Arc<OwnedFd>>,
    /// The eventfd that interrupts the guest. Without one the guest polls.
    pub call: Option<Arc<OwnedFd>>,
    /// The eventfd that tells the front end that the ring broke (`SET_VRING_ERR`).
    pub error: Option<Arc<OwnedFd>>,
}

/// Why a ring did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// Virtio 1.2, 2.7: the size is a power of two.
    #[error("a ring of {0} descriptors: the number must be a power of two up to 32768")]
    Size(u16),
    /// A part of it is not in the guest's memory as a whole, or not aligned (virtio 1.2, 2.7).
    #[error(
        "the {part} of a ring, at user address {at:#x}, is not in the guest's memory or not aligned"
    )]
    Address {
        /// Which part.
        part: &'static str,
        /// Where it should be.
        at: u64,
    },
    /// A descriptor for wake-ups that is no eventfd could block the switch.
    #[error("the {0} descriptor of a ring is not an eventfd")]
    NotAnEventfd(&'static str),
    /// The system said no.
    #[error("starting a ring failed: {0}")]
    System(#[from] io::Error),
}

/// The ring's available index is ahead by more than the ring's size, or its memory is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl RingConfig {
    /// Bytes of the virtio-net header before each frame (virtio 1.2, 5.1.6.1: `num_buffers` is there with
    /// `VERSION_1` or `MRG_RXBUF`).
    pub(crate) fn header_len(&self) -> usize {
        if self.features & (feature::VERSION_1 | feature::MRG_RXBUF) == 0 { 10 } else { 12 }
    }

    pub(crate) fn has(&self, bits: u64) -> bool {
        self.features & bits == bits
    }
}
