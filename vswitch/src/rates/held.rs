//! Frames that outlive their batch: copied whole, head, tail and what is left to do, into a ring of private memory.
//!
//! A frame's bytes lie together: it wraps around to the front of the memory whole, and what is left over at the end
//! stays empty. With room for the longest frame beside what may be held there is always a place.

#![allow(unsafe_code, reason = "the tails of a lent batch are segments of this ring's memory")]

use std::collections::VecDeque;
use std::io;

use strowger_guestmem::Buffer;
use strowger_packet::layers::Layers;
use strowger_packet::{Batch, FrameRef, Offload, PortId};

use super::MAX_FRAME;

/// Frames in the order in which they came.
#[derive(Debug)]
pub(super) struct Held {
    memory: Buffer,
    frames: VecDeque<Entry>,
    /// The most bytes of all frames.
    most: usize,
    bytes: usize,
    /// Where the next frame is written, if it fits there.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    head: u32,
    tail: u32,
    ingress: PortId,
    pair: u32,
    offload: Offload,
    layers: Layers,
}

impl Held {
    /// Room for frames of so many bytes in all.
    ///
    /// # Errors
    /// If the system has no memory.
    pub(super) fn new(most: usize) -> io::Result<Self> {
        // The kernel gives a page when it is first written: a port that never holds anything costs none.
        let memory = Buffer::new(most + MAX_FRAME)?;
        Ok(Self { memory, frames: VecDeque::new(), most, bytes: 0, next: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes and queue pair of the frame that came `number` frames after the first.
    pub(super) fn get(&self, number: usize) -> Option<(usize, u32)> {
        self.frames.get(number).map(|entry| (entry.len(), entry.pair))
    }

    /// Copies a frame that is to leave by a queue pair behind all others. `false` if it has no room.
    pub(super) fn push(&mut self, batch: &Batch, at: FrameRef, pair: u32) -> bool {
        let frame = batch.frame(at);
        let head = frame.head();
        // What the segments hold, not what anybody said of it.
        let tail: usize = batch.tail(at).iter().map(strowger_guestmem::Segment::len).sum();
        let len = head.len() + tail;
        if len == 0 || len > MAX_FRAME || self.bytes + len > self.most {
            return false;
        }
        let place = self.place(len);
        let Some(room) = self.memory.as_mut_slice().get_mut(place..place + len) else {
            return false;
        };
        let (head_room, mut room) = room.split_at_mut(head.len());
        head_room.copy_from_slice(head);
        for segment in batch.tail(at) {
            let copied = segment.copy_to(room);
            room = room.get_mut(copied..).unwrap_or_default();
        }
        self.frames.push_back(Entry {
            at: place as u32,
            head: head.len() as u32,
            tail: tail as u32,
            ingress: frame.ingress,
            pair,
            offload: frame.offload,
            layers: frame.layers,
        });
        self.bytes += len;
        self.next = place + len;
        true
    }

    /// Where the next frame of `len` bytes goes; there is room for it.
    fn place(&self, len: usize) -> usize {
        let Some(first) = self.frames.front().map(|entry| entry.at as usize) else { return 0 };
        let is_wrapped = self.next <= first;
        if !is_wrapped && self.next + len > self.memory.len() { 0 } else { self.next }
    }

    /// Puts the first `count` frames into an empty batch, as far as it has room, to be sent and cleared before
    /// anything else is done here. Returns how many.
    pub(super) fn lend(&mut self, count: usize, batch: &mut Batch) -> usize {
        for entry in self.frames.iter().take(count) {
            if !batch.has_room(1) {
                break;
            }
            let Some((frame, segments)) = batch.next(entry.ingress) else { break };
            let (at, head, tail) = (entry.at as usize, entry.head as usize, entry.tail as usize);
            // SAFETY: the memory is mapped as long as this ring, which the caller has for itself until the batch is
            // cleared; slices of it are made in `push` alone, which nobody calls meanwhile.
            let parts =
                unsafe { (self.memory.segment(at, head), self.memory.segment(at + head, tail)) };
            let (Some(first), Some(rest)) = parts else { break };
            let Some(room) = frame.restore_head(head) else { break };
            first.copy_to(room);
            (frame.offload, frame.layers) = (entry.offload, entry.layers);
            if tail > 0 {
                let number = segments.len();
                segments.push(rest);
                frame.set_tail(number as u16, 1, tail as u32);
            }
            batch.commit();
        }
        batch.len()
    }

    /// Forgets the first `count` frames.
    pub(super) fn forget(&mut self, count: usize) {
        for entry in self.frames.drain(..count.min(self.frames.len())) {
            self.bytes -= entry.len();
        }
    }
}

impl Entry {
    fn len(&self) -> usize {
        (self.head + self.tail) as usize
    }
}

#[cfg(test)]
#[path = "held/tests.rs"]
mod tests;
