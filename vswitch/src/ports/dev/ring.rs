//! The ring into which the kernel receives frames (`TPACKET_V2`, Documentation/networking/packet_mmap.rst): slots of one
//! size, each the kernel's or ours by its first word.
//!
//! ```text
//!  0 tp_status: u32   4 tp_len: u32   8 tp_snaplen: u32   12 tp_mac: u16   14 tp_net: u16
//! 16 tp_sec: u32     20 tp_nsec: u32 24 tp_vlan_tci: u16  26 tp_vlan_tpid: u16
//! 32 struct sockaddr_ll: family u16, protocol u16, index i32, hatype u16, pkttype u8 at 42
//! tp_mac - 10: the virtio-net header; tp_mac: the frame
//! ```

#![allow(unsafe_code, reason = "a slot's bytes are segments of the ring's memory")]

use std::sync::atomic::Ordering::{Acquire, Release};

use strowger_guestmem::{KernelMemory, Segment};

use super::socket::Shape;
use crate::{ports::vnet, vlan::TPID_CUSTOMER};

/// `TP_STATUS_KERNEL`.
const KERNEL: u32 = 0;
/// `TP_STATUS_USER`.
const USER: u32 = 1;
/// `TP_STATUS_COPY`.
const COPY: u32 = 2;
/// `TP_STATUS_LOSING`.
const LOSING: u32 = 4;
/// `TP_STATUS_VLAN_VALID`.
const VLAN_VALID: u32 = 16;
/// `TP_STATUS_VLAN_TPID_VALID`.
const VLAN_TPID_VALID: u32 = 64;
/// `PACKET_OUTGOING`.
const OUTGOING: u8 = 4;
/// How many slots before their turn their first cache lines are asked for: the kernel wrote them on another core.
const AHEAD: usize = 2;

/// A ring, shared with the kernel.
#[derive(Debug)]
pub(super) struct Ring {
    memory: KernelMemory,
    shape: Shape,
    /// The slot whose turn it is, and how many before it were taken and not released.
    at: usize,
    taken: usize,
}

/// A slot that the kernel filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    status: u32,
    /// Bytes of the frame as it was received, without the tag in `tag`.
    pub(super) len: usize,
    /// As many of them as are here.
    pub(super) bytes: Segment,
    /// The virtio-net header.
    pub(super) vnet: Segment,
    /// The outermost VLAN tag, which the kernel took out.
    pub(super) tag: Option<[u8; 4]>,
    kind: u8,
}

impl Slot {
    /// Whether all of the frame waits in the socket.
    pub(super) fn is_in_socket(&self) -> bool {
        self.status & COPY != 0
    }

    /// Whether the kernel dropped frames since it was last asked how many.
    pub(super) fn tells_of_losses(&self) -> bool {
        self.status & LOSING != 0
    }

    /// Whether it is a frame that the host sent by the interface.
    pub(super) fn is_outgoing(&self) -> bool {
        self.kind == OUTGOING
    }
}

impl Ring {
    pub(super) fn new(memory: KernelMemory, shape: Shape) -> Self {
        Self { memory, shape, at: 0, taken: 0 }
    }

    /// Whether the kernel has filled the next slot.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.status(self.at).is_some_and(|status| status & USER != 0)
    }

    /// The next slot, if the kernel has filled it. It is ours until [`release`](Self::release); a slot that holds what
    /// no kernel writes is passed over.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Slot> {
        while self.taken < self.shape.slots {
            let status = self.status(self.at).filter(|status| status & USER != 0)?;
            let slot = self.slot(self.at, status);
            self.at = self.after(self.at, 1);
            self.taken += 1;
            if let Some(ahead) = self.segment(self.after(self.at, AHEAD - 1)) {
                ahead.prefetch(0);
                ahead.prefetch(64);
            }
            if slot.is_some() {
                return slot;
            }
        }
        None
    }

    /// Gives all slots that were taken back to the kernel.
    #[inline]
    pub(super) fn release(&mut self) {
        let first = self.at.wrapping_sub(self.taken) & (self.shape.slots - 1);
        for index in 0..std::mem::take(&mut self.taken) {
            let slot = self.after(first, index);
            if let Some(status) = self.memory.word(slot * self.shape.slot) {
                status.store(KERNEL, Release);
            }
        }
    }

    fn after(&self, slot: usize, by: usize) -> usize {
        (slot + by) & (self.shape.slots - 1)
    }

    fn status(&self, slot: usize) -> Option<u32> {
        Some(self.memory.word(slot * self.shape.slot)?.load(Acquire))
    }

    fn segment(&self, slot: usize) -> Option<Segment> {
        // SAFETY: the queue that owns this ring gives segments to its batch only, which its worker clears before the
        // slots are released or the queue goes; what is kept of a slot beyond that is never read.
        unsafe { self.memory.segment(slot * self.shape.slot, self.shape.slot) }
    }

    #[inline]
    fn slot(&self, slot: usize, status: u32) -> Option<Slot> {
        let all = self.segment(slot)?;
        let (lens, places) = (all.load_u64(4)?, all.load_u64(8)?);
        let (tags, address) = (all.load_u64(24)?, all.load_u64(40)?);
        let (len, snapped) = (lens as u32 as usize, places as u32 as usize);
        let mac = (places >> 32) as u16 as usize;
        let vnet = all.slice(mac.checked_sub(vnet::SHORT)?, vnet::SHORT)?;
        let bytes = all.slice(mac, snapped)?;
        let tag = (status & VLAN_VALID != 0).then(|| {
            let tpid = match (tags >> 16) as u16 {
                tpid if status & VLAN_TPID_VALID != 0 => tpid,
                _ => TPID_CUSTOMER,
            };
            let [t0, t1] = tpid.to_be_bytes();
            let [c0, c1] = (tags as u16).to_be_bytes();
            [t0, t1, c0, c1]
        });
        Some(Slot { status, len, bytes, vnet, tag, kind: (address >> 16) as u8 })
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd, sync::atomic::Ordering::Relaxed};

    use super::*;
    use crate::vlan::TPID_SERVICE;

    const SHAPE: Shape = Shape { slot: 256, slots: 4 };

    fn filled(len: u32, snapped: u32, status: u32, tci: u16, tpid: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [status, len, snapped] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(90u16.to_le_bytes());
        bytes.resize(24, 0);
        bytes.extend(tci.to_le_bytes());
        bytes.extend(tpid.to_le_bytes());
        bytes.resize(42, 0);
        bytes.push(OUTGOING);
        bytes.resize(80, 0);
        bytes.extend([1; vnet::SHORT]);
        bytes.resize(SHAPE.slot, 7);
        bytes
    }

    fn ring(slots: &[Vec<u8>]) -> Ring {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&slots.concat()).unwrap();
        let len = SHAPE.slot * SHAPE.slots;
        file.set_len(len as u64).unwrap();
        Ring::new(KernelMemory::map(file.as_fd(), len).unwrap(), SHAPE)
    }

    #[test]
    fn slots_are_taken_in_order_and_given_back_at_once() {
        let full = filled(60, 60, USER | COPY, 0, 0);
        let mut ring = ring(&[full.clone(), full.clone(), full.clone(), full]);
        assert!(ring.is_ready());
        let slot = ring.take().unwrap();
        assert_eq!((slot.len, slot.bytes.len(), slot.tag), (60, 60, None));
        assert!(slot.is_in_socket() && slot.is_outgoing() && !slot.tells_of_losses());
        let mut vnet = [0; vnet::SHORT];
        slot.vnet.copy_to(&mut vnet);
        assert_eq!(vnet, [1; vnet::SHORT]);
        // The kernel has not got them back: a ring that was taken all round has nothing more.
        assert_eq!(std::iter::from_fn(|| ring.take()).count(), 3);
        ring.release();
        for slot in 0..4 {
            assert_eq!(ring.memory.word(slot * SHAPE.slot).unwrap().load(Relaxed), KERNEL);
        }
        assert!(ring.take().is_none() && !ring.is_ready());
        ring.release();
    }

    #[test]
    fn tags_have_their_identifier_or_the_customers() {
        let both = USER | VLAN_VALID | VLAN_TPID_VALID;
        let mut ring = ring(&[
            filled(60, 60, both, 0x200a, TPID_SERVICE),
            filled(60, 60, both, 5, TPID_CUSTOMER),
            filled(60, 60, USER | VLAN_VALID, 5, 0),
        ]);
        let tags: Vec<_> = std::iter::from_fn(|| ring.take()).map(|slot| slot.tag).collect();
        assert_eq!(tags, [[0x88, 0xa8, 0x20, 0x0a], [0x81, 0, 0, 5], [0x81, 0, 0, 5]].map(Some));
    }

    #[test]
    fn a_slot_that_reaches_beyond_itself_is_passed_over() {
        let mut ring = ring(&[filled(60, 200, USER, 0, 0), filled(3000, 100, USER, 0, 0)]);
        assert_eq!(ring.take().map(|slot| slot.len), Some(3000));
        assert_eq!(ring.taken, 2);
    }
}
