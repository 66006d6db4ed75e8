//! A split ring from the driver's side (virtio 1.2, 2.7): every field can be read and written, sensibly or not.
//!
//! ```text
//! descriptors: addr u64 | len u32 | flags u16 | next u16          16 bytes each
//! available:   flags u16 | idx u16 | ring [u16; size] | used_event u16
//! used:        flags u16 | idx u16 | ring [id u32, len u32; size] | avail_event u16
//! ```

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{Ordering, fence},
    time::Duration,
};

use rustix::event::{EventfdFlags, PollFlags, eventfd};

use crate::{Error, Memory, wait};

/// Flags of descriptors and rings.
pub mod flags {
    /// The chain goes on (`VIRTQ_DESC_F_NEXT`).
    pub const NEXT: u16 = 1;
    /// The device writes it (`VIRTQ_DESC_F_WRITE`).
    pub const WRITE: u16 = 2;
    /// It is a table (`VIRTQ_DESC_F_INDIRECT`).
    pub const INDIRECT: u16 = 4;
    /// In the available ring: no interrupts, please (`VIRTQ_AVAIL_F_NO_INTERRUPT`).
    pub const NO_INTERRUPT: u16 = 1;
    /// In the used ring: no kicks, please (`VIRTQ_USED_F_NO_NOTIFY`).
    pub const NO_NOTIFY: u16 = 1;
}

/// A descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// A guest address.
    pub address: u64,
    /// Bytes.
    pub len: u32,
    /// [`flags`].
    pub flags: u16,
    /// The next of the chain.
    pub next: u16,
}

impl Descriptor {
    /// The sixteen bytes.
    #[must_use]
    pub fn emit(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }
}

/// Where the parts of a ring are, as guest addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    /// The descriptor table.
    pub descriptors: u64,
    /// The available ring.
    pub available: u64,
    /// The used ring.
    pub used: u64,
}

/// A ring in a guest's memory, with its eventfds. Raw: nothing here keeps a guest from being hostile.
#[derive(Debug)]
pub struct Ring {
    memory: Memory,
    size: u16,
    layout: RingLayout,
    event_idx: bool,
    kick: OwnedFd,
    call: OwnedFd,
    /// The next available index to be written, and the one that the device was last told of.
    available: u16,
    announced: u16,
    /// The next used index to be read.
    used: u16,
}

impl Ring {
    pub(crate) fn new(memory: &Memory, size: u16, event_idx: bool) -> Result<Self, Error> {
        let entries = usize::from(size);
        let event = || {
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(Error::io("eventfd"))
        };
        let layout = RingLayout {
            descriptors: memory.allocate(entries * 16, 16)?,
            available: memory.allocate(entries * 2 + 6, 2)?,
            used: memory.allocate(entries * 8 + 6, 4)?,
        };
        Ok(Self {
            memory: memory.clone(),
            size,
            layout,
            event_idx,
            kick: event()?,
            call: event()?,
            available: 0,
            announced: 0,
            used: 0,
        })
    }

    /// How many descriptors it has.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Where its parts are.
    #[must_use]
    pub fn layout(&self) -> RingLayout {
        self.layout
    }

    /// The memory it lies in.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The eventfd that it kicks.
    #[must_use]
    pub fn kick_fd(&self) -> BorrowedFd<'_> {
        self.kick.as_fd()
    }

    /// The eventfd that the device calls.
    #[must_use]
    pub fn call_fd(&self) -> BorrowedFd<'_> {
        self.call.as_fd()
    }

    /// Writes a descriptor.
    pub fn set_descriptor(&self, index: u16, descriptor: Descriptor) {
        let at = self.layout.descriptors + u64::from(index % self.size) * 16;
        self.memory.write(at, &descriptor.emit());
    }

    /// Writes an entry of the available ring, at an index that counts without wrapping.
    pub fn set_available(&self, index: u16, head: u16) {
        self.memory.store(self.layout.available + 4 + u64::from(index % self.size) * 2, head);
    }

    /// Writes the available index, and thus shows all entries before it.
    pub fn set_available_index(&self, index: u16) {
        self.memory.store(self.layout.available + 2, index);
    }

    /// The available index as it is in memory.
    #[must_use]
    pub fn available_index(&self) -> u16 {
        self.memory.load(self.layout.available + 2)
    }

    /// Writes the flags of the available ring.
    pub fn set_available_flags(&self, flags: u16) {
        self.memory.store(self.layout.available, flags);
    }

    /// Writes the used index at which the device is to interrupt (EVENT_IDX).
    pub fn set_used_event(&self, index: u16) {
        self.memory.store(self.layout.available + 4 + u64::from(self.size) * 2, index);
    }

    /// The used index as it is in memory.
    #[must_use]
    pub fn used_index(&self) -> u16 {
        self.memory.load(self.layout.used + 2)
    }

    /// An entry of the used ring: the head of a chain and the bytes written to it.
    #[must_use]
    pub fn used_entry(&self, index: u16) -> (u32, u32) {
        let mut bytes = [0; 8];
        self.memory.read(self.layout.used + 4 + u64::from(index % self.size) * 8, &mut bytes);
        let [a, b, c, d, e, f, g, h] = bytes;
        (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
    }

    /// The available index at which the device wants a kick (EVENT_IDX).
    #[must_use]
    pub fn available_event(&self) -> u16 {
        self.memory.load(self.layout.used + 4 + u64::from(self.size) * 8)
    }

    /// The flags of the used ring.
    #[must_use]
    pub fn used_flags(&self) -> u16 {
        self.memory.load(self.layout.used)
    }

    /// The next used entry to be read is the `index`-th, and so is the next available one to be written.
    pub fn rewind(&mut self, index: u16) {
        self.available = index;
        self.announced = index;
        self.used = index;
    }

    /// Puts a chain into the available ring. The device does not see it before [`publish`](Self::publish).
    #[inline]
    pub fn push(&mut self, head: u16) {
        self.set_available(self.available, head);
        self.available = self.available.wrapping_add(1);
    }

    /// Shows the device what was pushed, and kicks it if it wants to be.
    ///
    /// # Errors
    /// If the kick fails.
    pub fn publish(&mut self) -> Result<(), Error> {
        if self.show() { self.kick() } else { Ok(()) }
    }

    /// Shows the device what was pushed. Returns whether it wants a kick.
    #[inline]
    pub fn show(&mut self) -> bool {
        self.set_available_index(self.available);
        fence(Ordering::SeqCst);
        let (old, new) = (self.announced, self.available);
        self.announced = new;
        if self.event_idx {
            let event = self.available_event();
            new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
        } else {
            old != new && self.used_flags() & flags::NO_NOTIFY == 0
        }
    }

    /// Kicks the device, wanted or not.
    ///
    /// # Errors
    /// If the eventfd refuses.
    pub fn kick(&self) -> Result<(), Error> {
        rustix::io::write(&self.kick, &1u64.to_ne_bytes()).map_err(Error::io("kick"))?;
        Ok(())
    }

    /// The next used entry, if the device has returned one.
    #[inline]
    pub fn pop(&mut self) -> Option<(u32, u32)> {
        if self.used_index() == self.used {
            return None;
        }
        let entry = self.used_entry(self.used);
        self.used = self.used.wrapping_add(1);
        Some(entry)
    }

    /// How many entries the device has returned that were not popped.
    #[inline]
    #[must_use]
    pub fn returned(&self) -> u16 {
        self.used_index().wrapping_sub(self.used)
    }

    /// Asks for no interrupts.
    pub fn quiet(&self) {
        if self.event_idx {
            self.set_used_event(self.used.wrapping_sub(1));
        } else {
            self.set_available_flags(flags::NO_INTERRUPT);
        }
    }

    /// Asks for an interrupt with the next returned entry. Returns whether one has been returned already.
    pub fn arm(&self) -> bool {
        if self.event_idx {
            self.set_used_event(self.used);
        } else {
            self.set_available_flags(0);
        }
        fence(Ordering::SeqCst);
        self.returned() != 0
    }

    /// Takes the interrupts that came; whether there were any.
    #[must_use]
    pub fn take_calls(&self) -> bool {
        rustix::io::read(&self.call, &mut [0; 8]).is_ok()
    }

    /// Waits, as a driver does: asks for an interrupt, and sleeps until it comes. Without `calls` it looks again
    /// and again.
    ///
    /// # Errors
    /// If nothing is returned before the deadline, or it is and no interrupt comes.
    pub fn wait(&self, calls: bool) -> Result<(), Error> {
        if !calls {
            return wait::until("a returned descriptor", || (self.returned() != 0).then_some(()));
        }
        // Interrupts may be spurious, as after a restart; each is worth a look.
        while !self.arm() {
            if !self.called(wait::DEADLINE)? {
                return Err(Error::Deadline("an interrupt".into()));
            }
        }
        Ok(())
    }

    /// Waits for an interrupt and takes it; `false` if none came for `time`.
    ///
    /// # Errors
    /// If the kernel refuses to wait.
    pub fn called(&self, time: Duration) -> Result<bool, Error> {
        Ok(wait::ready(self.call.as_fd(), PollFlags::IN, time)? && self.take_calls())
    }
}
