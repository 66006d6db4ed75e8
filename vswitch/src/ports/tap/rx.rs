//! What the interface sends: from the kernel into the switch.

#![allow(unsafe_code, reason = "the tails of a batch are segments of this queue's buffer")]

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rustix::io::Errno;
use strowger_guestmem::Buffer;
use strowger_packet::{
    Batch, DropReason, PortId,
    batch::{MAX_BYTES, MAX_FRAMES},
    counters::Shard,
    frame::HEAD,
};

use super::{MAX_FRAME, Queue};
use crate::ports::vnet;

/// Tails begin at multiples of this, so that two of them share no cache line.
const ALIGN: usize = 64;
/// Room for the tails of the longest batch: one frame more begins while it is short of [`MAX_BYTES`].
const BUFFER: usize = MAX_BYTES + MAX_FRAME + MAX_FRAMES * ALIGN;
/// Polls that are passed over after one that found nothing, so that a silent interface does not cost its
/// worker a system call each sweep while other ports are busy. Not tuned: a sweep takes a microsecond or a few, so that
/// a first frame waits little; one that comes while the worker sleeps waits not at all.
const PASSED_OVER: u32 = 16;

/// The receiving side of a queue pair. Has one user at a time.
#[derive(Debug)]
pub struct RxQueue {
    queue: Arc<Queue>,
    /// Where the tails of the last batch lie.
    buffer: Buffer,
    /// How many polls are still to be passed over.
    pass: u32,
}

impl RxQueue {
    pub(super) fn new(queue: Arc<Queue>) -> io::Result<Self> {
        Ok(Self { queue, buffer: Buffer::new(BUFFER)?, pass: 0 })
    }

    /// Which queue pair of its port this is.
    #[must_use]
    pub fn pair(&self) -> u16 {
        self.queue.pair
    }

    /// Whether the interface is gone for good.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.queue.is_gone()
    }

    /// Fills an empty batch with what the interface sent, until there is no more or the batch is full. The tails
    /// stay valid until the next call. Never waits.
    pub fn rx_burst(&mut self, port: PortId, batch: &mut Batch, counters: &Shard) -> usize {
        if self.pass > 0 || self.queue.is_gone() {
            self.pass = self.pass.saturating_sub(1);
            return 0;
        }
        let mut used = 0;
        while batch.has_room(1) {
            match self.receive(port, batch, used) {
                Ok(Some(tail)) => used += tail.next_multiple_of(ALIGN),
                Ok(None) => counters.drop(DropReason::TooLong, 1),
                Err(Errno::INTR) => {}
                Err(error) => {
                    if error == Errno::BADFD {
                        self.queue.gone.store(true, Relaxed);
                    }
                    self.pass = PASSED_OVER;
                    break;
                }
            }
        }
        if !batch.is_empty() {
            self.pass = 0;
            counters.rx(batch.len(), batch.bytes());
        }
        batch.len()
    }

    /// Receives one frame; says how many bytes of the buffer at `used` its tail took, or `None` if it was longer
    /// than any frame may be.
    fn receive(
        &mut self,
        port: PortId,
        batch: &mut Batch,
        used: usize,
    ) -> Result<Option<usize>, Errno> {
        let Some((frame, segments)) = batch.next(port) else { return Err(Errno::AGAIN) };
        let Some(room) = self.buffer.as_mut_slice().get_mut(used..used + MAX_FRAME) else {
            return Err(Errno::AGAIN);
        };
        let mut vnet = [0; vnet::HEADER];
        let parts = &mut [
            IoSliceMut::new(&mut vnet),
            IoSliceMut::new(frame.head_room()),
            IoSliceMut::new(room),
        ];
        let len = rustix::io::readv(&self.queue.file, parts)?.saturating_sub(vnet::HEADER);
        let tail = len.saturating_sub(HEAD);
        if tail >= MAX_FRAME {
            return Ok(None);
        }
        frame.set_head(len);
        if tail > 0 {
            let first = segments.len();
            // SAFETY: the worker that polls this queue owns the batch and releases it before it polls again or gives
            // the queue back, so that the buffer outlives the segment. Slices of the buffer live only for the call
            // of `readv` above, during which the batch's segments are not used.
            let Some(segment) = (unsafe { self.buffer.segment(used, tail) }) else {
                return Ok(None);
            };
            segments.push(segment);
            frame.set_tail(first as u16, 1, tail as u32);
        }
        frame.claims = Some(vnet::decode(vnet));
        batch.commit();
        Ok(Some(tail))
    }

    /// Forgets the last batch; its tails are dead from here.
    pub fn release(&mut self) {}

    /// The kernel wakes whom it has to by itself.
    pub fn notify(&mut self) {}

    /// Before sleeping on [`kick`](Self::kick), which is readable as long as there are frames: never `true`.
    pub fn arm(&mut self) -> bool {
        self.pass = 0;
        false
    }

    /// After waking.
    pub fn disarm(&mut self) {
        self.pass = 0;
    }

    /// What becomes readable when the interface sent something, level-triggered. It reports an error for ever
    /// once [`is_broken`](Self::is_broken): do not wait on it then.
    pub fn kick(&self) -> BorrowedFd<'_> {
        self.queue.file.as_fd()
    }

    /// Receiving is what acknowledges.
    pub fn acknowledge(&self) {}
}
