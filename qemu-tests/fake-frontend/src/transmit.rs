//! The guest's transmit ring: frames into the switch.

use crate::{Descriptor, Error, Layout, Memory, Ring, Settings, VnetHeader, ring::flags};

/// Entries of an indirect table; the most pieces of a frame.
pub(crate) const TABLE: usize = 64;

/// A transmit ring with a buffer and an indirect table for each descriptor.
#[derive(Debug)]
pub struct Transmit {
    ring: Ring,
    header: usize,
    layout: Layout,
    indirect: bool,
    calls: bool,
    buffer: usize,
    buffers: u64,
    tables: u64,
    /// Descriptors that are in no chain.
    free: Vec<u16>,
    /// The next descriptor of a chain in flight.
    next: Vec<Option<u16>>,
    in_flight: Vec<bool>,
    pieces: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Transmit {
    pub(crate) fn new(
        memory: &Memory,
        settings: &Settings,
        header: usize,
        ring: Ring,
    ) -> Result<Self, Error> {
        let size = usize::from(ring.size());
        Ok(Self {
            header,
            layout: settings.layout,
            indirect: settings.indirect,
            calls: settings.calls,
            buffer: settings.buffer,
            buffers: memory.allocate(size * settings.buffer, 64)?,
            tables: memory.allocate(size * TABLE * 16, 16)?,
            free: (0..ring.size()).rev().collect(),
            next: vec![None; size],
            in_flight: vec![false; size],
            pieces: Vec::with_capacity(TABLE),
            bytes: Vec::new(),
            ring,
        })
    }

    /// The ring beneath.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The ring beneath, to be misused.
    pub fn ring_mut(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// Bytes of a virtio-net header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header
    }

    /// The guest address of the buffer of a descriptor.
    #[must_use]
    pub fn buffer_at(&self, descriptor: u16) -> u64 {
        self.buffers + u64::from(descriptor) * self.buffer as u64
    }

    /// The guest address of the indirect table of a descriptor; it has 64 entries.
    #[must_use]
    pub fn table_at(&self, descriptor: u16) -> u64 {
        self.tables + (usize::from(descriptor) * TABLE * 16) as u64
    }

    /// Descriptors that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Puts a frame into the ring; the switch sees it after [`publish`](Self::publish). Returns the head of its
    /// chain, or `None` if there are not enough free descriptors.
    ///
    /// # Panics
    /// If the frame has more than 64 pieces: a test's mistake.
    pub fn push(&mut self, header: VnetHeader, frame: &[u8]) -> Option<u16> {
        self.bytes.clear();
        self.bytes.extend_from_slice(&header.emit()[..self.header]);
        self.bytes.extend_from_slice(frame);
        self.cut();
        assert!(self.pieces.len() <= TABLE, "a frame of {} pieces", self.pieces.len());
        if self.free.len() < self.pieces.len() {
            return None;
        }
        let slots = self.free.split_off(self.free.len() - self.pieces.len());
        let head = *slots.last()?;
        let last = slots.len() - 1;
        // Taken from the end, so that they come in the order in which they were freed.
        for (index, (&slot, &(offset, len))) in slots.iter().rev().zip(&self.pieces).enumerate() {
            let address = self.buffer_at(slot);
            self.ring.memory().write(address, &self.bytes[offset..offset + len]);
            let following = (index < last).then(|| slots[last - index - 1]);
            self.next[usize::from(slot)] = following;
            let flags = if following.is_some() { flags::NEXT } else { 0 };
            let len = len as u32;
            if self.indirect {
                let next = if following.is_some() { index as u16 + 1 } else { 0 };
                let entry = Descriptor { address, len, flags, next };
                self.ring.memory().write(self.table_at(head) + index as u64 * 16, &entry.emit());
            } else {
                let next = following.unwrap_or(0);
                self.ring.set_descriptor(slot, Descriptor { address, len, flags, next });
            }
        }
        if self.indirect {
            let table = Descriptor {
                address: self.table_at(head),
                len: (slots.len() * 16) as u32,
                flags: flags::INDIRECT,
                next: 0,
            };
            self.ring.set_descriptor(head, table);
        }
        self.in_flight[usize::from(head)] = true;
        self.ring.push(head);
        Some(head)
    }

    /// Cuts the header and frame in `bytes` into pieces, none longer than a buffer.
    fn cut(&mut self) {
        self.pieces.clear();
        let (first, then) = match self.layout {
            Layout::Together => (self.buffer, self.buffer),
            Layout::HeaderApart => (self.header, self.buffer),
            Layout::Pieces(len) => (self.header, len.clamp(1, self.buffer)),
        };
        let mut at = 0;
        while at < self.bytes.len() {
            let len = if at == 0 { first } else { then }.min(self.bytes.len() - at);
            self.pieces.push((at, len));
            at += len;
        }
    }

    /// Shows the switch what was pushed, and kicks it if it wants to be.
    ///
    /// # Errors
    /// If the kick fails.
    pub fn publish(&mut self) -> Result<(), Error> {
        self.ring.publish()
    }

    /// Takes back the buffers of frames that the switch has returned; how many frames.
    ///
    /// # Errors
    /// If it returned what it does not have.
    pub fn reclaim(&mut self) -> Result<usize, Error> {
        let mut frames = 0;
        while let Some((id, len)) = self.ring.pop() {
            let head = u16::try_from(id).ok().filter(|&head| {
                self.in_flight.get_mut(usize::from(head)).is_some_and(std::mem::take)
            });
            let Some(head) = head else {
                return Err(Error::Ring(format!("chain {id} came back, which was not in flight")));
            };
            if len != 0 {
                return Err(Error::Ring(format!(
                    "{len} bytes were written to a transmitted frame"
                )));
            }
            let mut slot = Some(head);
            while let Some(index) = slot {
                self.free.push(index);
                slot = self.next[usize::from(index)].take();
            }
            frames += 1;
        }
        Ok(frames)
    }

    /// Sends a frame, waiting for free descriptors as long as it must.
    ///
    /// # Errors
    /// If none become free before the deadline.
    pub fn send(&mut self, header: VnetHeader, frame: &[u8]) -> Result<(), Error> {
        while self.push(header, frame).is_none() {
            self.publish()?;
            self.ring.wait(self.calls)?;
            self.reclaim()?;
        }
        self.publish()
    }

    /// Waits until the switch has returned everything.
    ///
    /// # Errors
    /// If it does not before the deadline.
    pub fn drain(&mut self) -> Result<(), Error> {
        self.reclaim()?;
        while self.free.len() < usize::from(self.ring.size()) {
            self.ring.wait(self.calls)?;
            self.reclaim()?;
        }
        Ok(())
    }

    /// Writes frames into the buffers of all descriptors, in turns, to be sent again and again by
    /// [`offer`](Self::offer) without being written again. Only while nothing is in flight; each frame with its
    /// header must fit one buffer.
    ///
    /// # Panics
    /// If one does not.
    pub fn preload(&mut self, frames: &[(VnetHeader, &[u8])]) {
        for (slot, (header, frame)) in (0..self.ring.size()).zip(frames.iter().cycle()) {
            let len = self.header + frame.len();
            assert!(
                len <= self.buffer,
                "a frame of {} bytes in a buffer of {}",
                frame.len(),
                self.buffer
            );
            let address = self.buffer_at(slot);
            self.ring.memory().write(address, &header.emit()[..self.header]);
            self.ring.memory().write(address + self.header as u64, frame);
            self.next[usize::from(slot)] = None;
            let descriptor = Descriptor { address, len: len as u32, flags: 0, next: 0 };
            self.ring.set_descriptor(slot, descriptor);
        }
    }

    /// Puts up to `most` preloaded frames into the ring; how many. Show them by [`publish`](Self::publish), or by
    /// [`Ring::show`] to a switch that polls.
    #[inline]
    pub fn offer(&mut self, most: usize) -> usize {
        let count = most.min(self.free.len());
        for slot in self.free.drain(self.free.len() - count..) {
            self.in_flight[usize::from(slot)] = true;
            self.ring.push(slot);
        }
        count
    }

    /// After a reconnection to a switch that has lost its place: what was in flight is offered again, from the used
    /// index on.
    pub(crate) fn base(&self) -> u16 {
        self.ring.used_index()
    }
}
