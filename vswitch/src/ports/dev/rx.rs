//! What the interface sends: from the kernel's ring into the switch.
//!
//! A frame that fits its slot is read where it lies: its head is copied, its tail borrowed until the slots are released.
//! A longer one, an uncut segment, waits in the socket, and is fetched into this queue's own buffer when its slot has
//! its turn.

#![allow(unsafe_code, reason = "the tails of a batch are segments of this queue's buffer")]

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::io::Errno;
use strowger_guestmem::{Buffer, KernelMemory, Segment};
use strowger_packet::{
    Batch, Claims, DropReason, Frame, PortId,
    batch::{MAX_BYTES, MAX_FRAMES},
    counters::Shard,
    ethernet,
    frame::HEAD,
};

use super::{
    MAX_FRAME,
    ring::{Ring, Slot},
    socket::{self, Shape},
};
use crate::ports::vnet;

/// Tails begin at multiples of this, so that two of them share no cache line.
const ALIGN: usize = 64;
/// Room for the tails of the longest batch: one frame more begins while it is short of [`MAX_BYTES`].
const BUFFER: usize = MAX_BYTES + MAX_FRAME + MAX_FRAMES * ALIGN;
/// Bytes of a ring.
const RING: usize = 2 << 20;
/// The smallest slot: a frame of 1,500 bytes behind its Ethernet header, two tags and the kernel's own fields.
const LEAST_SLOT: usize = 2048;
/// The largest one; longer frames come through the socket.
const MOST_SLOT: usize = 16 * 1024;
/// What of a slot is not the frame's payload, with some to spare.
const SLOT_EXTRA: usize = 128;
/// After so many polls without a frame the kernel is asked for losses that no later frame has told of.
const QUIET: u32 = 64;
/// Where a tag belongs: behind the addresses.
const TAG_AT: usize = 12;
const TAG: usize = 4;

/// How a ring is cut for frames of this MTU.
pub(super) fn shape(mtu: usize) -> Shape {
    let slot = (mtu + SLOT_EXTRA).next_power_of_two().clamp(LEAST_SLOT, MOST_SLOT);
    Shape { slot, slots: RING / slot }
}

/// The receiving side of a queue pair. Has one user at a time.
#[derive(Debug)]
pub struct RxQueue {
    pair: u16,
    socket: OwnedFd,
    ring: Ring,
    /// Where the tails of the last batch lie that came through the socket.
    buffer: Buffer,
    /// Polls without a frame since the last one.
    quiet: u32,
}

impl RxQueue {
    pub(super) fn new(
        pair: u16,
        socket: OwnedFd,
        ring: KernelMemory,
        shape: Shape,
    ) -> io::Result<Self> {
        let ring = Ring::new(ring, shape);
        Ok(Self { pair, socket, ring, buffer: Buffer::new(BUFFER)?, quiet: 0 })
    }

    /// Which queue pair of its port this is.
    #[must_use]
    pub fn pair(&self) -> u16 {
        self.pair
    }

    /// Never: an interface that is gone may come back, and gets other queues then.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        false
    }

    /// Fills an empty batch with what the interface sent, until there is no more or the batch is full. The tails
    /// stay valid until [`release`](Self::release). Never waits.
    ///
    /// Counts what came in, and what was dropped: by the kernel for want of room ([`DropReason::SocketFull`]), because
    /// it is longer than any frame may be or no frame at all.
    pub fn rx_burst(&mut self, port: PortId, batch: &mut Batch, counters: &Shard) -> usize {
        let (mut used, mut lost) = (0, false);
        while batch.has_room(1)
            && let Some(slot) = self.ring.take()
        {
            lost |= slot.tells_of_losses();
            if slot.is_outgoing() && !slot.is_in_socket() {
                continue;
            }
            let done = if slot.is_in_socket() {
                self.fetch(&slot, port, batch, &mut used)
            } else {
                accept(&slot, port, batch)
            };
            if let Err(reason) = done {
                counters.drop(reason, 1);
            }
        }
        if batch.is_empty() {
            self.quiet = self.quiet.saturating_add(1);
            lost |= self.quiet == QUIET;
        } else {
            self.quiet = 0;
            counters.rx(batch.len(), batch.bytes());
        }
        if lost {
            self.count_losses(counters);
        }
        batch.len()
    }

    #[cold]
    fn count_losses(&self, counters: &Shard) {
        // Fails only for a socket that is none. The kernel starts again from 0 with each answer.
        if let Ok(frames) = socket::dropped(&self.socket) {
            counters.drop(DropReason::SocketFull, frames as usize);
        }
    }

    /// Receives a frame that waits in the socket; its tail lies behind the `used` bytes of the buffer.
    fn fetch(
        &mut self,
        slot: &Slot,
        port: PortId,
        batch: &mut Batch,
        used: &mut usize,
    ) -> Result<(), DropReason> {
        let Some((frame, segments)) = batch.next(port) else { return Err(DropReason::SocketFull) };
        let room = self.buffer.as_mut_slice().get_mut(*used..*used + MAX_FRAME);
        let Some(room) = room else { return Err(DropReason::SocketFull) };
        let mut vnet = [0; vnet::SHORT];
        let (addresses, behind) = frame.head_room().split_at_mut(TAG_AT);
        let tag_len = if slot.tag.is_some() { TAG } else { 0 };
        let (tag, behind) = behind.split_at_mut(tag_len);
        if let Some(bytes) = slot.tag {
            tag.copy_from_slice(&bytes);
        }
        let parts = &mut [
            IoSliceMut::new(&mut vnet),
            IoSliceMut::new(addresses),
            IoSliceMut::new(behind),
            IoSliceMut::new(room),
        ];
        let len = receive(&self.socket, parts)
            .map_err(|_| DropReason::SocketFull)?
            .saturating_sub(vnet::SHORT);
        if slot.is_outgoing() {
            return Ok(());
        }
        if len < slot.len || len > MAX_FRAME {
            return Err(DropReason::TooLong);
        }
        if len < ethernet::HEADER_LEN {
            return Err(DropReason::Truncated);
        }
        let whole = len + tag_len;
        let tail = whole.saturating_sub(HEAD);
        frame.set_head(whole);
        if tail > 0 {
            let first = segments.len();
            // SAFETY: the worker that polls this queue owns the batch and releases it before it polls again or gives
            // the queue back, so that the buffer outlives the segment. Slices of the buffer live only for the call
            // of `receive` above, during which the batch's segments are not used.
            let segment = unsafe { self.buffer.segment(*used, tail) };
            segments.push(segment.ok_or(DropReason::TooLong)?);
            frame.set_tail(first as u16, 1, tail as u32);
            *used += tail.next_multiple_of(ALIGN);
        }
        frame.claims =
            claims(first_eight(&vnet), || u16::from_le_bytes([vnet[8], vnet[9]]), tag_len);
        batch.commit();
        Ok(())
    }

    /// Gives the last burst's slots back to the kernel; the tails in them are dead from here.
    pub fn release(&mut self) {
        self.ring.release();
    }

    /// The kernel wakes whom it has to by itself.
    pub fn notify(&mut self) {}

    /// Before sleeping on [`kick`](Self::kick), which is readable as long as there are frames. `true`: there are some.
    pub fn arm(&mut self) -> bool {
        self.ring.is_ready()
    }

    /// After waking.
    pub fn disarm(&mut self) {}

    /// What becomes readable when the interface sent something, level-triggered.
    #[must_use]
    pub fn kick(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes the error that a link which is down leaves in the socket: it would make [`kick`](Self::kick) readable for
    /// ever. Frames are acknowledged by taking them.
    pub fn acknowledge(&self) {
        // Whatever it was: what becomes of the interface is heard by netlink.
        let _link_is_down = rustix::net::sockopt::socket_error(&self.socket);
    }
}

/// Reads the frame that waits first. An error that the socket has from before comes first, and once.
fn receive(socket: &OwnedFd, parts: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    match rustix::io::readv(socket, parts) {
        Err(Errno::NETDOWN | Errno::INTR) => rustix::io::readv(socket, parts),
        done => done,
    }
}

/// Takes a frame that lies whole in its slot.
#[inline]
fn accept(slot: &Slot, port: PortId, batch: &mut Batch) -> Result<(), DropReason> {
    if slot.bytes.len() < slot.len {
        // It did not fit the slot, and the socket had no room for it.
        return Err(DropReason::SocketFull);
    }
    if slot.len < ethernet::HEADER_LEN {
        return Err(DropReason::Truncated);
    }
    let Some((frame, segments)) = batch.next(port) else { return Err(DropReason::SocketFull) };
    let (head, tag_len) = match slot.tag {
        None => (slot.bytes.copy_to(frame.head_room()), 0),
        Some(tag) => (copy_tagged(slot.bytes, tag, frame), TAG),
    };
    frame.set_head(head);
    let (_, tail) = slot.bytes.split(head - tag_len);
    if !tail.is_empty() {
        frame.set_tail(segments.len() as u16, 1, tail.len() as u32);
        segments.push(tail);
    }
    let first = slot.vnet.load_u64(0).unwrap_or_default();
    let last = || (slot.vnet.load_u64(2).unwrap_or_default() >> 48) as u16;
    frame.claims = claims(first, last, tag_len);
    batch.commit();
    Ok(())
}

/// Copies a frame's first bytes with the tag in its place; says how many they are then.
fn copy_tagged(bytes: Segment, tag: [u8; TAG], frame: &mut Frame) -> usize {
    let (first, rest) = bytes.split(TAG_AT);
    let (addresses, behind) = frame.head_room().split_at_mut(TAG_AT);
    first.copy_to(addresses);
    let (place, behind) = behind.split_at_mut(TAG);
    place.copy_from_slice(&tag);
    TAG_AT + TAG + rest.copy_to(behind)
}

/// What the sender left to do, from the virtio-net header's first eight bytes and the two that follow. The kernel counts
/// from a frame without the tag that was put back.
#[inline]
fn claims(first: u64, csum_offset: impl FnOnce() -> u16, tag_len: usize) -> Option<Claims> {
    if first & 0xffff == 0 {
        return None;
    }
    let [f0, f1, f2, f3, f4, f5, f6, f7] = first.to_le_bytes();
    let [o0, o1] = csum_offset().to_le_bytes();
    let mut claims = vnet::decode([f0, f1, f2, f3, f4, f5, f6, f7, o0, o1, 0, 0]);
    if claims.flags & Claims::NEEDS_CSUM != 0 {
        claims.csum_start = claims.csum_start.saturating_add(tag_len as u16);
    }
    Some(claims)
}

fn first_eight(vnet: &[u8; vnet::SHORT]) -> u64 {
    let [f0, f1, f2, f3, f4, f5, f6, f7, _, _] = *vnet;
    u64::from_le_bytes([f0, f1, f2, f3, f4, f5, f6, f7])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_its_size_and_its_slots_hold_the_mtu() {
        for (mtu, slot) in [(68, 2048), (1500, 2048), (1920, 2048), (1921, 4096), (9000, 16384)] {
            assert_eq!(shape(mtu), Shape { slot, slots: RING / slot });
        }
        assert_eq!(shape(65_535).slot, MOST_SLOT);
    }

    #[test]
    fn a_checksum_begins_behind_the_tag_that_was_put_back() {
        let mut offset = [0; 8];
        offset[0] = Claims::NEEDS_CSUM;
        offset[6] = 34;
        let first = u64::from_le_bytes(offset);
        let tagged = claims(first, || 16, TAG).unwrap();
        assert_eq!((tagged.csum_start, tagged.csum_offset), (38, 16));
        assert_eq!(claims(first, || 16, 0).unwrap().csum_start, 34);
        assert_eq!(claims(0xffff_0000, || 9, TAG), None);
    }
}
