//! The guest's receive ring: frames out of the switch.

use crate::{Descriptor, Error, Memory, Ring, Settings, VnetHeader, ring::flags};

/// A frame that came out of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its virtio-net header.
    pub header: VnetHeader,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// A receive ring with a buffer for each descriptor.
#[derive(Debug)]
pub struct Receive {
    ring: Ring,
    header: usize,
    mergeable: bool,
    calls: bool,
    buffer: usize,
    buffers: u64,
    /// Descriptors in a chain.
    chain: u16,
    posted: Vec<bool>,
    repost: bool,
}

impl Receive {
    pub(crate) fn new(
        memory: &Memory,
        settings: &Settings,
        header: usize,
        mergeable: bool,
        ring: Ring,
    ) -> Result<Self, Error> {
        let size = usize::from(ring.size());
        let buffers = memory.allocate(size * settings.buffer, 64)?;
        let chain = settings.receive_chain.clamp(1, ring.size());
        let mut this = Self {
            header,
            mergeable,
            calls: settings.calls,
            buffer: settings.buffer,
            buffers,
            chain,
            posted: vec![false; size],
            repost: true,
            ring,
        };
        this.write_descriptors();
        this.post(settings.posted);
        Ok(this)
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

    /// The guest address of the buffer of a descriptor.
    #[must_use]
    pub fn buffer_at(&self, descriptor: u16) -> u64 {
        self.buffers + u64::from(descriptor) * self.buffer as u64
    }

    /// Whether buffers go back to the switch once they are read; at first they do.
    pub fn set_repost(&mut self, repost: bool) {
        self.repost = repost;
    }

    /// Makes up to `most` chains available that are not; how many. The switch sees them after
    /// [`Ring::publish`].
    pub fn post(&mut self, most: u16) -> u16 {
        let mut count = 0;
        for head in (0..self.ring.size()).step_by(usize::from(self.chain)) {
            let whole = u32::from(head) + u32::from(self.chain) <= u32::from(self.ring.size());
            if count < most && whole && !self.posted[usize::from(head)] {
                self.posted[usize::from(head)] = true;
                self.ring.push(head);
                count += 1;
            }
        }
        count
    }

    /// Writes all descriptors as they were at first.
    pub fn write_descriptors(&self) {
        for index in 0..self.ring.size() {
            let more = index % self.chain != self.chain - 1;
            let flags = flags::WRITE | if more { flags::NEXT } else { 0 };
            let next = if more { index + 1 } else { 0 };
            let address = self.buffer_at(index);
            let len = self.buffer as u32;
            self.ring.set_descriptor(index, Descriptor { address, len, flags, next });
        }
    }

    /// The next frame, if there is one.
    ///
    /// # Errors
    /// If the switch returned what it does not have, or broke a frame.
    pub fn poll(&mut self) -> Result<Option<Received>, Error> {
        let Some((id, len)) = self.ring.pop() else { return Ok(None) };
        let mut bytes = Vec::new();
        let first = self.read(id, len, &mut bytes)?;
        if bytes.len() < self.header {
            return Err(Error::Ring(format!("{} bytes do not hold a header", bytes.len())));
        }
        let mut heads = vec![first];
        let header = VnetHeader::parse(&bytes[..self.header]);
        if self.mergeable && header.num_buffers == 0 {
            return Err(Error::Ring("a frame in 0 buffers".into()));
        }
        if !self.mergeable && self.header == 12 && header.num_buffers != 1 {
            return Err(Error::Ring(format!("num_buffers is {}, must be 1", header.num_buffers)));
        }
        for _ in 1..if self.mergeable { header.num_buffers } else { 1 } {
            let (id, len) = self
                .ring
                .pop()
                .ok_or_else(|| Error::Ring("a frame was shown before all its buffers".into()))?;
            heads.push(self.read(id, len, &mut bytes)?);
        }
        bytes.drain(..self.header);
        if self.repost {
            self.give_back(&heads)?;
        }
        Ok(Some(Received { header, bytes }))
    }

    /// Appends what was written to a chain, which is no longer posted.
    fn read(&mut self, id: u32, len: u32, bytes: &mut Vec<u8>) -> Result<u16, Error> {
        let head = self.take(id)?;
        let room = self.buffer * usize::from(self.chain);
        let mut left = len as usize;
        if left > room {
            return Err(Error::Ring(format!("{left} bytes in a chain of {room}")));
        }
        for index in head..head + self.chain {
            let part = left.min(self.buffer);
            let at = bytes.len();
            bytes.resize(at + part, 0);
            self.ring.memory().read(self.buffer_at(index), &mut bytes[at..]);
            left -= part;
        }
        Ok(head)
    }

    fn take(&mut self, id: u32) -> Result<u16, Error> {
        u16::try_from(id)
            .ok()
            .filter(|&head| self.posted.get_mut(usize::from(head)).is_some_and(std::mem::take))
            .ok_or_else(|| Error::Ring(format!("chain {id} came back, which was not posted")))
    }

    fn give_back(&mut self, heads: &[u16]) -> Result<(), Error> {
        for &head in heads {
            self.posted[usize::from(head)] = true;
            self.ring.push(head);
        }
        self.ring.publish()
    }

    /// The next frame, however long it takes.
    ///
    /// # Errors
    /// If none comes before the deadline, or as for [`poll`](Self::poll).
    pub fn receive(&mut self) -> Result<Received, Error> {
        loop {
            if let Some(received) = self.poll()? {
                return Ok(received);
            }
            self.ring.wait(self.calls)?;
        }
    }

    /// Takes up to `most` used entries without reading them and makes them available again; how many, and how many
    /// bytes with headers. For benchmarks: one entry is one frame unless it was merged. Show them by
    /// [`Ring::show`] or [`Ring::publish`].
    ///
    /// # Errors
    /// If the switch returned what it does not have.
    #[inline]
    pub fn discard(&mut self, most: usize) -> Result<(usize, u64), Error> {
        let mut total = 0;
        for count in 0..most {
            let Some((id, len)) = self.ring.pop() else { return Ok((count, total)) };
            let head = self.take(id)?;
            self.posted[usize::from(head)] = true;
            self.ring.push(head);
            total += u64::from(len);
        }
        Ok((most, total))
    }

    pub(crate) fn base(&self) -> u16 {
        self.ring.used_index()
    }
}
