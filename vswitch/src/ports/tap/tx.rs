//! What the interface receives: from the switch into the kernel.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use strowger_packet::{Batch, DropReason, FrameRef, Lost, counters::Shard};

use super::Queue;
use crate::ports::vnet;

/// How often a frame is offered again to a full socket before it is dropped.
const RETRIES: usize = 4;

/// The sending side of a queue pair. Has one user at a time.
#[derive(Debug)]
pub struct TxQueue {
    queue: Arc<Queue>,
}

impl TxQueue {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
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

    /// Delivers frames in order, offloads and all, since the kernel takes every offload. Counts what it delivered
    /// and what it dropped, which is appended to `lost`. Never waits.
    pub fn tx_burst(
        &mut self,
        batch: &Batch,
        frames: &[FrameRef],
        counters: &Shard,
        mut lost: Option<&mut Lost>,
    ) {
        let (mut sent, mut bytes) = (0, 0);
        for (index, &at) in frames.iter().enumerate() {
            match self.deliver(batch, at) {
                Ok(()) => {
                    sent += 1;
                    bytes += batch.frame(at).len();
                }
                Err(DropReason::PortDown) => {
                    // The others would fare no better.
                    let rest = frames.get(index..).unwrap_or_default();
                    counters.drop(DropReason::PortDown, rest.len());
                    if let Some(lost) = lost {
                        lost.extend(rest.iter().map(|&at| (at, DropReason::PortDown)));
                    }
                    break;
                }
                Err(reason) => {
                    counters.drop(reason, 1);
                    if let Some(lost) = lost.as_deref_mut() {
                        lost.push((at, reason));
                    }
                }
            }
        }
        counters.tx(sent, bytes);
    }

    fn deliver(&self, batch: &Batch, at: FrameRef) -> Result<(), DropReason> {
        if self.queue.is_gone() {
            return Err(DropReason::PortDown);
        }
        let frame = batch.frame(at);
        let vnet = vnet::encode(frame.offload);
        let head = [IoSlice::new(&vnet), IoSlice::new(frame.head())];
        let mut tries = 0;
        loop {
            let Err(error) =
                strowger_guestmem::writev(self.queue.file.as_fd(), &head, batch.tail(at))
            else {
                return Ok(());
            };
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
                && tries < RETRIES
            {
                tries += 1;
                std::hint::spin_loop();
                continue;
            }
            return Err(self.reason(&error));
        }
    }

    /// What the kernel's refusal means; notes when the interface is gone.
    fn reason(&self, error: &io::Error) -> DropReason {
        match error.raw_os_error() {
            // The link is down.
            Some(libc::EIO) => DropReason::PortDown,
            Some(libc::EBADFD) => {
                self.queue.gone.store(true, Relaxed);
                DropReason::PortDown
            }
            Some(libc::EINVAL) => DropReason::BadOffload,
            Some(libc::EMSGSIZE) => DropReason::TooLong,
            // A tail whose memory went away while the kernel read it.
            Some(libc::EFAULT) => DropReason::BadDescriptor,
            _ => DropReason::QueueFull,
        }
    }

    /// The kernel wakes whom it has to by itself.
    pub fn notify(&mut self) {}
}
