//! The split ring (virtio 1.2, 2.7): three areas in guest memory.
//!
//! ```text
//! descriptors  size × { addr: u64, len: u32, flags: u16, next: u16 }                     aligned to 16
//! available    flags: u16, idx: u16, size × { head: u16 }, used_event: u16               aligned to 2
//! used         flags: u16, idx: u16, size × { id: u32, len: u32 }, avail_event: u16      aligned to 4
//! ```
//!
//! The guest's index is read once a batch and ours is written once a batch, since each of them moves a cache
//! line between two processors. Entries are published by the index alone: `Release` when ours is stored,
//! `Acquire` when the guest's is loaded. Asking for wake-ups needs a full barrier between our store and the load
//! of the other side's word (2.7.7.1 and 2.7.10).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use strowger_guestmem::{Area, Table, UserAddr, Word, full_barrier};

use super::{Broken, MAX_RING_SIZE, RingConfig, RingError, feature};

/// `VIRTQ_USED_F_NO_NOTIFY`.
const NO_NOTIFY: u16 = 1;
/// `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const NO_INTERRUPT: u16 = 1;
/// Where the entries of the available and the used ring begin.
const ENTRIES: usize = 4;

/// One descriptor, read once (virtio 1.2, 2.7.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

impl Descriptor {
    /// `next` is the next one of the chain.
    pub(crate) const NEXT: u16 = 1;
    /// The device writes the buffer; otherwise it reads.
    pub(crate) const WRITE: u16 = 2;
    /// The buffer is a table of descriptors.
    pub(crate) const INDIRECT: u16 = 4;

    /// From the two little-endian words that it is in memory.
    #[inline]
    pub(crate) fn from_words([addr, rest]: [u64; 2]) -> Self {
        Self { addr, len: rest as u32, flags: (rest >> 32) as u16, next: (rest >> 48) as u16 }
    }
}

/// A split ring that has started.
#[derive(Debug)]
pub(crate) struct Split {
    descriptors: Table<[u64; 2]>,
    available: Table<u16>,
    used: Table<[u32; 2]>,
    available_index: Word,
    used_index: Word,
    /// Next available entry to take.
    next: u16,
    /// The guest's index as last read: entries up to here are there.
    seen: u16,
    /// Next used entry to write.
    put: u16,
    /// Used entries up to here were announced to the guest, or it did not want to know.
    announced: u16,
    size: u16,
    wakes: Wakes,
}

/// The words by which both sides say when they want to be woken.
#[derive(Debug)]
struct Wakes {
    /// `VIRTIO_F_EVENT_IDX`: where the guest wants its interrupt, and where the switch wants its kick.
    events: Option<(Word, Word)>,
    available_flags: Word,
    used_flags: Word,
}

impl Split {
    pub(crate) fn new(config: &RingConfig) -> Result<Self, RingError> {
        let size = config.size;
        if !size.is_power_of_two() || size > MAX_RING_SIZE {
            return Err(RingError::Size(size));
        }
        let entries = u64::from(size);
        let event = config.has(feature::EVENT_IDX);
        let more = if event { 2 } else { 0 };
        let part = |part, at: UserAddr, len, align| -> Result<Area, RingError> {
            config.memory.area(at, len, align).ok_or(RingError::Address { part, at: at.0 })
        };
        let descriptors = part("descriptor table", config.descriptors, 16 * entries, 16)?;
        let available = part("available ring", config.available, 4 + 2 * entries + more, 2)?;
        let used = part("used ring", config.used, 4 + 8 * entries + more, 4)?;
        // The areas were just made large enough for all that follows.
        Self::lay_out(config, &descriptors, &available, &used, event)
            .ok_or(RingError::Address { part: "layout", at: config.descriptors.0 })
    }

    fn lay_out(
        config: &RingConfig,
        descriptors: &Area,
        available: &Area,
        used: &Area,
        event: bool,
    ) -> Option<Self> {
        let size = config.size;
        let events = if event {
            let used_event = available.word(ENTRIES + 2 * usize::from(size))?;
            Some((used_event, used.word(ENTRIES + 8 * usize::from(size))?))
        } else {
            None
        };
        let used_index = used.word(2)?;
        // Everything taken was returned when the ring last stopped, so that this is `base` too, unless the
        // driver has its own ideas; it goes by what is in memory.
        let put = used_index.load(Relaxed);
        let ring = Self {
            descriptors: descriptors.table(0, size)?,
            available: available.table(ENTRIES, size)?,
            used: used.table(ENTRIES, size)?,
            available_index: available.word(2)?,
            used_index,
            next: config.base,
            seen: config.base,
            put,
            announced: put,
            size,
            wakes: Wakes { events, available_flags: available.word(0)?, used_flags: used.word(0)? },
        };
        ring.disarm();
        Some(ring)
    }

    /// The next available index to take.
    pub(crate) fn base(&self) -> u16 {
        self.next
    }

    /// How many chains are there to take. Looks at the guest's index only if fewer than `wanted` are known.
    #[inline]
    pub(crate) fn available(&mut self, wanted: u16) -> Result<u16, Broken> {
        let known = self.seen.wrapping_sub(self.next);
        if known >= wanted {
            return Ok(known);
        }
        // Acquire: entries and descriptors that the index covers were written before it.
        let seen = self.available_index.load(Acquire);
        let known = seen.wrapping_sub(self.next);
        if known > self.size {
            return Err(Broken);
        }
        self.seen = seen;
        Ok(known)
    }

    /// The head of the chain that comes `ahead` after the next one. Only of those that are available.
    #[inline]
    pub(crate) fn head(&self, ahead: u16) -> u16 {
        self.available.get(self.next.wrapping_add(ahead))
    }

    /// Whether a descriptor's number is one of this ring's.
    #[inline]
    pub(crate) fn has(&self, id: u16) -> bool {
        id < self.size
    }

    /// A descriptor of this ring; the number is taken modulo the size.
    #[inline]
    pub(crate) fn descriptor(&self, id: u16) -> Descriptor {
        Descriptor::from_words(self.descriptors.get(id))
    }

    /// Asks for the cache line of a descriptor.
    #[inline]
    pub(crate) fn prefetch_descriptor(&self, id: u16) {
        self.descriptors.prefetch(id);
    }

    /// Moves on by `chains`, which were available.
    #[inline]
    pub(crate) fn take(&mut self, chains: u16) {
        self.next = self.next.wrapping_add(chains);
    }

    /// Moves back by `chains` that were taken and not put.
    #[inline]
    pub(crate) fn untake(&mut self, chains: u16) {
        self.next = self.next.wrapping_sub(chains);
    }

    /// Returns a chain of which the switch wrote `written` bytes. The guest sees it after [`publish`](Self::publish).
    #[inline]
    pub(crate) fn put(&mut self, head: u16, written: u32) {
        self.used.set(self.put, [u32::from(head), written]);
        self.put = self.put.wrapping_add(1);
    }

    /// Shows the guest everything that was put.
    #[inline]
    pub(crate) fn publish(&mut self) {
        // Release: entries, and the frames in their buffers, are there before the index is.
        self.used_index.store(self.put, Release);
    }

    /// Whether the guest is to be interrupted for what was published since this last said so.
    pub(crate) fn must_interrupt(&mut self) -> bool {
        let (old, new) = (self.announced, self.put);
        if old == new {
            return false;
        }
        self.announced = new;
        // The guest stores its wish and then looks at our index; we stored the index and now look at its wish.
        // Without a full barrier on both sides each could miss the other (virtio 1.2, 2.7.7.2).
        full_barrier();
        match &self.wakes.events {
            // 2.7.7.2: the index that the guest named was passed by the last publication.
            Some((used_event, _)) => {
                let passed = new.wrapping_sub(used_event.load(Relaxed)).wrapping_sub(1);
                passed < new.wrapping_sub(old)
            }
            None => self.wakes.available_flags.load(Relaxed) & NO_INTERRUPT == 0,
        }
    }

    /// Asks the guest for a kick at its next chain. `true` if there is one already, so that no kick may come.
    pub(crate) fn arm(&mut self) -> Result<bool, Broken> {
        match &self.wakes.events {
            Some((_, avail_event)) => avail_event.store(self.next, Relaxed),
            None => self.wakes.used_flags.store(0, Relaxed),
        }
        // As in `must_interrupt`, from the other side (2.7.10).
        full_barrier();
        Ok(self.available(self.size)? > 0)
    }

    /// Tells the guest that no kick is needed. With event indices there is nothing to say: the index that was
    /// asked for has passed, and comes again only after 65,536 chains.
    pub(crate) fn disarm(&self) {
        if self.wakes.events.is_none() {
            self.wakes.used_flags.store(NO_NOTIFY, Relaxed);
        }
    }
}
