//! A descriptor chain (virtio 1.2, 2.7.5), walked once into private memory.
//!
//! Each descriptor is read exactly once and judged by what was read, so that a guest which rewrites its ring
//! meanwhile gains nothing.

#![allow(unsafe_code, reason = "looks up guest addresses; the queue keeps the memory")]

use strowger_guestmem::{GuestAddr, Lookup, SegmentMut};

use super::split::{Descriptor, Split};

/// The most descriptors of one chain. Linux sends at most 19 and DPDK 255.
pub(crate) const MAX_CHAIN: usize = 256;
/// The most pieces of memory of one chain: a buffer that crosses from one region to the next has two.
pub(crate) const MAX_PIECES: usize = 2 * MAX_CHAIN;

/// A chain that is empty, loops, is too long, lies outside memory, or has buffers of the wrong direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChain;

/// Which way a ring's buffers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The switch reads them: the guest's transmit ring.
    Read,
    /// The switch writes them: the guest's receive ring.
    Write,
}

/// Where chains are walked.
#[derive(Debug)]
pub(crate) struct Walker {
    pub(crate) lookup: Lookup,
    direction: Direction,
    /// Whether `VIRTIO_F_INDIRECT_DESC` was negotiated.
    indirect: bool,
}

impl Walker {
    pub(crate) fn new(lookup: Lookup, direction: Direction, indirect: bool) -> Self {
        Self { lookup, direction, indirect }
    }

    /// The one buffer of a chain that is a single descriptor of the right direction within one region: nearly
    /// every chain. `None`: walk it.
    #[inline]
    pub(crate) fn single(&mut self, descriptor: Descriptor) -> Option<SegmentMut> {
        let relevant = Descriptor::NEXT | Descriptor::INDIRECT | Descriptor::WRITE;
        let wanted = match self.direction {
            Direction::Read => 0,
            Direction::Write => Descriptor::WRITE,
        };
        if descriptor.flags & relevant != wanted {
            return None;
        }
        let segment = self.segment(descriptor.addr, descriptor.len)?;
        (segment.len() == descriptor.len as usize).then_some(segment)
    }

    /// Appends the pieces of the chain that begins with `first` to `pieces`; adjacent ones become one. Returns
    /// how many bytes they have. Pieces of a bad chain may have been appended.
    pub(crate) fn walk(
        &mut self,
        ring: &Split,
        first: Descriptor,
        pieces: &mut Vec<SegmentMut>,
    ) -> Result<u64, BadChain> {
        let start = pieces.len();
        let mut bytes = 0;
        let mut descriptor = first;
        for _ in 0..MAX_CHAIN {
            if descriptor.flags & Descriptor::INDIRECT != 0 {
                // 2.7.5.3.1: a driver never sets both, and a table is the last of its chain.
                if descriptor.flags & Descriptor::NEXT != 0 || !self.indirect {
                    return Err(BadChain);
                }
                return Ok(bytes + self.walk_table(descriptor, start, pieces)?);
            }
            bytes += self.append(descriptor, start, pieces)?;
            if descriptor.flags & Descriptor::NEXT == 0 {
                return Ok(bytes);
            }
            if !ring.has(descriptor.next) {
                return Err(BadChain);
            }
            descriptor = ring.descriptor(descriptor.next);
        }
        Err(BadChain)
    }

    /// The chain in an indirect table (2.7.5.3).
    fn walk_table(
        &mut self,
        table: Descriptor,
        start: usize,
        pieces: &mut Vec<SegmentMut>,
    ) -> Result<u64, BadChain> {
        if !table.len.is_multiple_of(16) {
            return Err(BadChain);
        }
        let (mut bytes, mut index) = (0, 0u16);
        for _ in 0..MAX_CHAIN {
            let offset = u64::from(index) * 16;
            if offset >= u64::from(table.len) {
                return Err(BadChain);
            }
            let at = table.addr.checked_add(offset).ok_or(BadChain)?;
            let descriptor = self.entry(at).ok_or(BadChain)?;
            // 2.7.5.3.1: no table within a table.
            if descriptor.flags & Descriptor::INDIRECT != 0 {
                return Err(BadChain);
            }
            bytes += self.append(descriptor, start, pieces)?;
            if descriptor.flags & Descriptor::NEXT == 0 {
                return Ok(bytes);
            }
            index = descriptor.next;
        }
        Err(BadChain)
    }

    /// An entry of an indirect table, which may lie across the end of a region.
    fn entry(&mut self, at: u64) -> Option<Descriptor> {
        let entry = self.segment(at, 16)?.as_segment();
        if let (Some(low), Some(high)) = (entry.load_u64(0), entry.load_u64(8)) {
            return Some(Descriptor::from_words([low, high]));
        }
        let mut bytes = [0; 16];
        let (low, high) = bytes.split_at_mut(entry.len());
        let rest = self.segment(at.checked_add(low.len() as u64)?, high.len() as u32)?;
        if entry.copy_to(low) + rest.as_segment().copy_to(high) < 16 {
            return None;
        }
        let value = u128::from_le_bytes(bytes);
        Some(Descriptor::from_words([value as u64, (value >> 64) as u64]))
    }

    /// Appends one buffer: a piece for each region that it lies in. `start` is where its chain's pieces begin.
    fn append(
        &mut self,
        descriptor: Descriptor,
        start: usize,
        pieces: &mut Vec<SegmentMut>,
    ) -> Result<u64, BadChain> {
        let writable = descriptor.flags & Descriptor::WRITE != 0;
        if writable != (self.direction == Direction::Write) {
            return Err(BadChain);
        }
        let (mut at, mut left) = (descriptor.addr, descriptor.len);
        while left > 0 {
            let piece = self.segment(at, left).ok_or(BadChain)?;
            let count = pieces.len() - start;
            let last = pieces.last_mut().filter(|_| count > 0);
            match last.and_then(|last| Some((last.join(&piece)?, last))) {
                Some((whole, last)) => *last = whole,
                None if count < MAX_PIECES => pieces.push(piece),
                None => return Err(BadChain),
            }
            at = at.checked_add(piece.len() as u64).ok_or(BadChain)?;
            left -= piece.len() as u32;
        }
        Ok(u64::from(descriptor.len))
    }

    /// The first bytes, at least one, of `len` at a guest's address.
    #[inline]
    fn segment(&mut self, at: u64, len: u32) -> Option<SegmentMut> {
        // SAFETY: the queue that walks keeps the memory in `lookup` as long as it lives. Segments leave it in
        // batches only, and whoever drives the queue gives it back to the port, which is what unmaps memory,
        // after `release`, when batches have been cleared.
        unsafe { self.lookup.segment_mut(GuestAddr(at), len) }
    }
}
