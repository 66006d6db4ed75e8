//! Every kind of port, as the two things that a worker needs of it: rx queues to poll and tx queues to fill.
//!
//! An rx queue is owned by one worker at a time. Tx queues live in their port's [`TxSlots`], where several workers
//! reach them. The kind is a `match` once a batch, never once a frame.

pub mod dev;
pub mod recorder;
pub mod slots;
pub mod tap;
mod vnet;

use std::os::fd::BorrowedFd;

use strowger_packet::counters::Shard;
use strowger_packet::{Batch, FrameRef, Lost, PortId};

pub use slots::TxSlots;

/// Where frames come into the switch from.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the small one is for tests; no need to follow a pointer"
)]
pub enum RxQueue {
    /// A guest's transmit ring.
    Vhost(strowger_vhost::RxQueue),
    /// A TAP interface.
    Tap(tap::RxQueue),
    /// An interface of the kernel.
    Dev(dev::RxQueue),
    /// A port of the tests.
    Recorder(recorder::RxQueue),
}

/// Where frames leave the switch to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the small one is for tests; no need to follow a pointer"
)]
pub enum TxQueue {
    /// A guest's receive ring.
    Vhost(strowger_vhost::TxQueue),
    /// A TAP interface.
    Tap(tap::TxQueue),
    /// An interface of the kernel.
    Dev(dev::TxQueue),
    /// A port of the tests.
    Recorder(recorder::TxQueue),
}

impl RxQueue {
    /// Which queue pair of its port it belongs to.
    #[must_use]
    pub fn pair(&self) -> u16 {
        match self {
            Self::Vhost(queue) => queue.pair(),
            Self::Tap(queue) => queue.pair(),
            Self::Dev(queue) => queue.pair(),
            Self::Recorder(queue) => queue.pair(),
        }
    }

    /// Fills an empty batch, and counts what it received and what it dropped itself. Returns the frames.
    #[inline]
    pub fn rx_burst(&mut self, port: PortId, batch: &mut Batch, counters: &Shard) -> usize {
        match self {
            Self::Vhost(queue) => queue.rx_burst(port, batch, counters),
            Self::Tap(queue) => queue.rx_burst(port, batch, counters),
            Self::Dev(queue) => queue.rx_burst(port, batch, counters),
            Self::Recorder(queue) => queue.rx_burst(port, batch, counters),
        }
    }

    /// Gives the last burst's buffers back to the sender. The tails of its frames are dead from here.
    #[inline]
    pub fn release(&mut self) {
        match self {
            Self::Vhost(queue) => queue.release(),
            Self::Tap(queue) => queue.release(),
            Self::Dev(queue) => queue.release(),
            Self::Recorder(queue) => queue.release(),
        }
    }

    /// Tells the sender that buffers came back, if it asked to be told.
    #[inline]
    pub fn notify(&mut self) {
        match self {
            Self::Vhost(queue) => queue.notify(),
            Self::Tap(queue) => queue.notify(),
            Self::Dev(queue) => queue.notify(),
            Self::Recorder(queue) => queue.notify(),
        }
    }

    /// Asks for a kick when frames come. `true`: there are some already, do not sleep.
    pub fn arm(&mut self) -> bool {
        match self {
            Self::Vhost(queue) => queue.arm(),
            Self::Tap(queue) => queue.arm(),
            Self::Dev(queue) => queue.arm(),
            Self::Recorder(queue) => queue.arm(),
        }
    }

    /// Asks for no further kicks.
    pub fn disarm(&mut self) {
        match self {
            Self::Vhost(queue) => queue.disarm(),
            Self::Tap(queue) => queue.disarm(),
            Self::Dev(queue) => queue.disarm(),
            Self::Recorder(queue) => queue.disarm(),
        }
    }

    /// The descriptor that becomes readable when frames come to an armed queue. Without one it has to be polled.
    #[must_use]
    pub fn kick(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Vhost(queue) => Some(queue.kick()),
            Self::Tap(queue) => Some(queue.kick()),
            Self::Dev(queue) => Some(queue.kick()),
            Self::Recorder(queue) => Some(queue.kick()),
        }
    }

    /// Makes [`kick`](Self::kick) unreadable again; the frames are still there.
    pub fn acknowledge(&self) {
        match self {
            Self::Vhost(queue) => queue.acknowledge(),
            Self::Tap(queue) => queue.acknowledge(),
            Self::Dev(queue) => queue.acknowledge(),
            Self::Recorder(queue) => queue.acknowledge(),
        }
    }

    /// Whether nothing will ever come from it again. It is not polled then.
    #[inline]
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Vhost(queue) => queue.is_broken(),
            Self::Tap(queue) => queue.is_broken(),
            Self::Dev(queue) => queue.is_broken(),
            Self::Recorder(queue) => queue.is_broken(),
        }
    }
}

impl TxQueue {
    /// Which queue pair of its port it belongs to.
    #[must_use]
    pub fn pair(&self) -> u16 {
        match self {
            Self::Vhost(queue) => queue.pair(),
            Self::Tap(queue) => queue.pair(),
            Self::Dev(queue) => queue.pair(),
            Self::Recorder(queue) => queue.pair(),
        }
    }

    /// Delivers frames in order, doing in software what the receiver cannot, and counts each as sent or dropped.
    /// Never waits. A capture gives an empty `lost` to be told which frames were dropped; without one it costs nothing.
    #[inline]
    pub fn tx_burst(
        &mut self,
        batch: &Batch,
        frames: &[FrameRef],
        counters: &Shard,
        lost: Option<&mut Lost>,
    ) {
        match self {
            Self::Vhost(queue) => queue.tx_burst(batch, frames, counters, lost),
            Self::Tap(queue) => queue.tx_burst(batch, frames, counters, lost),
            Self::Dev(queue) => queue.tx_burst(batch, frames, counters, lost),
            Self::Recorder(queue) => queue.tx_burst(batch, frames, counters, lost),
        }
    }

    /// Tells the receiver that frames came, if it asked to be told.
    #[inline]
    pub fn notify(&mut self) {
        match self {
            Self::Vhost(queue) => queue.notify(),
            Self::Tap(queue) => queue.notify(),
            Self::Dev(queue) => queue.notify(),
            Self::Recorder(queue) => queue.notify(),
        }
    }
}
