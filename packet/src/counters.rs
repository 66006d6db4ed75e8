//! What a port counts. Each worker writes a shard of its own, so that counting is a plain load and store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::DropReason;

/// The counters of one port as one worker sees it. Only that worker writes; anyone reads.
#[derive(Debug)]
#[repr(align(128))]
pub struct Shard {
    rx_frames: AtomicU64,
    rx_bytes: AtomicU64,
    tx_frames: AtomicU64,
    tx_bytes: AtomicU64,
    drops: [AtomicU64; DropReason::COUNT],
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            rx_frames: AtomicU64::new(0),
            rx_bytes: AtomicU64::new(0),
            tx_frames: AtomicU64::new(0),
            tx_bytes: AtomicU64::new(0),
            drops: [const { AtomicU64::new(0) }; DropReason::COUNT],
        }
    }
}

/// Adds to a counter that has one writer: no locked instruction.
#[inline]
fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(value), Relaxed);
}

impl Shard {
    /// Counts frames that came into the switch.
    #[inline]
    pub fn rx(&self, frames: usize, bytes: usize) {
        add(&self.rx_frames, frames as u64);
        add(&self.rx_bytes, bytes as u64);
    }

    /// Counts frames that left the switch.
    #[inline]
    pub fn tx(&self, frames: usize, bytes: usize) {
        add(&self.tx_frames, frames as u64);
        add(&self.tx_bytes, bytes as u64);
    }

    /// Counts frames that were dropped.
    #[inline]
    pub fn drop(&self, reason: DropReason, frames: usize) {
        if let Some(counter) = self.drops.get(reason as usize) {
            add(counter, frames as u64);
        }
    }
}

/// The counters of one port: a shard for each worker.
#[derive(Debug)]
pub struct PortCounters {
    shards: Box<[Shard]>,
}

/// All counters of a port at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames that came into the switch by this port.
    pub rx_frames: u64,
    /// Their bytes, from Ethernet destination to the end of the payload.
    pub rx_bytes: u64,
    /// Frames that left the switch by this port.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames dropped, by reason, in the order of [`DropReason::ALL`].
    pub drops: [u64; DropReason::COUNT],
}

impl PortCounters {
    /// Counters with a shard for each of `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { shards: (0..workers.max(1)).map(|_| Shard::default()).collect() }
    }

    /// The shard of one worker, counted from 0.
    ///
    /// # Panics
    /// If there is no such worker.
    #[inline]
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "documented: the switch knows how many workers it has"
    )]
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    /// The sum over all workers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals.rx_frames = totals.rx_frames.wrapping_add(shard.rx_frames.load(Relaxed));
            totals.rx_bytes = totals.rx_bytes.wrapping_add(shard.rx_bytes.load(Relaxed));
            totals.tx_frames = totals.tx_frames.wrapping_add(shard.tx_frames.load(Relaxed));
            totals.tx_bytes = totals.tx_bytes.wrapping_add(shard.tx_bytes.load(Relaxed));
            for (total, counter) in totals.drops.iter_mut().zip(&shard.drops) {
                *total = total.wrapping_add(counter.load(Relaxed));
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_of_what_all_workers_counted() {
        let counters = PortCounters::new(2);
        counters.shard(0).rx(2, 128);
        counters.shard(1).rx(1, 64);
        counters.shard(1).tx(3, 30);
        counters.shard(0).drop(DropReason::QueueFull, 4);
        let totals = counters.totals();
        assert_eq!((totals.rx_frames, totals.rx_bytes), (3, 192));
        assert_eq!((totals.tx_frames, totals.tx_bytes), (3, 30));
        assert_eq!(totals.drops[DropReason::QueueFull as usize], 4);
        assert_eq!(totals.drops.iter().sum::<u64>(), 4);
    }
}
