//! The tx queues of a port, where several workers reach them.

use std::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;

use super::TxQueue;

/// The most queue pairs of a port.
pub const MAX_PAIRS: usize = 64;

/// The tx queues of a port, one slot a pair. A worker locks a slot once a batch; whoever stops a queue takes it out
/// under the same lock, so that no worker touches it afterwards.
#[derive(Debug)]
pub struct TxSlots {
    started: AtomicU64,
    slots: Box<[Slot]>,
}

/// A queue and its lock, away from its neighbours' cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot(Mutex<Option<TxQueue>>);

impl TxSlots {
    /// Slots for `pairs` queue pairs, at least one and at most [`MAX_PAIRS`].
    #[must_use]
    pub fn new(pairs: usize) -> Self {
        Self {
            started: AtomicU64::new(0),
            slots: (0..pairs.clamp(1, MAX_PAIRS)).map(|_| Slot::default()).collect(),
        }
    }

    /// How many pairs there may be.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.slots.len()
    }

    /// The started pairs, a bit each.
    #[inline]
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Puts a started queue into its slot. Returns what must not stay: the queue that was there before,
    /// or this one if there is no slot for its pair.
    pub fn start(&self, queue: TxQueue) -> Option<TxQueue> {
        let pair = queue.pair();
        let Some(slot) = self.slots.get(usize::from(pair)) else { return Some(queue) };
        let before = lock(slot).replace(queue);
        self.started.fetch_or(1 << pair, Ordering::Relaxed);
        before
    }

    /// Takes a queue out. When this returns no worker touches it any more.
    pub fn stop(&self, pair: u16) -> Option<TxQueue> {
        let slot = self.slots.get(usize::from(pair))?;
        self.started.fetch_and(!(1 << pair), Ordering::Relaxed);
        lock(slot).take()
    }

    /// Runs a worker's turn with a queue. `None` if the queue is not started.
    #[inline]
    pub fn with<R>(&self, pair: usize, turn: impl FnOnce(&mut TxQueue) -> R) -> Option<R> {
        self.slots.get(pair)?.0.lock().as_mut().map(turn)
    }
}

/// Control's way to the lock: it gives its core away while a worker has it, for they may share one.
fn lock(slot: &Slot) -> spin::MutexGuard<'_, Option<TxQueue>> {
    loop {
        if let Some(guard) = slot.0.try_lock() {
            return guard;
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::recorder::Recorder;

    #[test]
    fn a_queue_is_reached_from_start_to_stop() {
        let recorder = Recorder::new(2);
        let slots = TxSlots::new(2);
        assert!(slots.with(1, |_| ()).is_none());
        assert!(slots.start(recorder.tx(1)).is_none());
        assert_eq!(slots.started(), 0b10);
        assert_eq!(slots.with(1, |queue| queue.pair()), Some(1));
        assert!(slots.stop(1).is_some());
        assert_eq!(slots.started(), 0);
        assert!(slots.with(1, |_| ()).is_none() && slots.stop(1).is_none());
    }

    #[test]
    fn a_queue_without_a_slot_comes_back() {
        let slots = TxSlots::new(1);
        assert!(slots.start(Recorder::new(2).tx(1)).is_some());
        assert_eq!(slots.started(), 0);
    }
}
