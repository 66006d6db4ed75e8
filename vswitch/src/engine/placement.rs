//! Which worker serves which rx queue, and what the queue brought it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use strowger_packet::PortId;

/// The queues of all workers.
#[derive(Debug)]
pub(super) struct Placement {
    /// How many queues each worker has.
    workers: Vec<usize>,
    queues: HashMap<(PortId, u16), Place>,
}

/// Where a queue is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) worker: usize,
    pub(super) counters: Arc<QueueCounters>,
}

/// What a queue brought since its worker has it. Written by the worker alone.
#[derive(Debug, Default)]
pub(super) struct QueueCounters {
    frames: AtomicU64,
    batches: AtomicU64,
}

impl QueueCounters {
    /// Counts a batch.
    pub(super) fn count(&self, frames: usize) {
        let add = |counter: &AtomicU64, value: u64| {
            counter.store(counter.load(Relaxed).wrapping_add(value), Relaxed);
        };
        add(&self.frames, frames as u64);
        add(&self.batches, 1);
    }

    /// Frames and batches.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.frames.load(Relaxed), self.batches.load(Relaxed))
    }
}

impl Placement {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: vec![0; workers], queues: HashMap::new() }
    }

    /// Gives a queue to the worker with the fewest, the first of them if there are several. `None` if there is no
    /// worker, or one has a queue of that name.
    pub(super) fn place(&mut self, port: PortId, pair: u16) -> Option<Place> {
        if self.queues.contains_key(&(port, pair)) {
            return None;
        }
        let (worker, queues) =
            self.workers.iter_mut().enumerate().min_by_key(|(_, queues)| **queues)?;
        *queues += 1;
        let place = Place { worker, counters: Arc::default() };
        self.queues.insert((port, pair), place.clone());
        Some(place)
    }

    /// Takes a queue from its worker, and says which one that was.
    pub(super) fn take(&mut self, port: PortId, pair: u16) -> Option<usize> {
        let Place { worker, .. } = self.queues.remove(&(port, pair))?;
        if let Some(queues) = self.workers.get_mut(worker) {
            *queues -= 1;
        }
        Some(worker)
    }

    /// All queues, in order of their ports and pairs.
    pub(super) fn queues(&self) -> Vec<(PortId, u16, Place)> {
        let mut queues: Vec<_> =
            self.queues.iter().map(|(&(port, pair), place)| (port, pair, place.clone())).collect();
        queues.sort_unstable_by_key(|&(port, pair, _)| (port, pair));
        queues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_go_to_the_worker_with_fewest() {
        let mut placement = Placement::new(2);
        let mut place = |port, pair| placement.place(PortId(port), pair).map(|place| place.worker);
        assert_eq!(place(1, 0), Some(0));
        assert_eq!(place(1, 1), Some(1));
        assert_eq!(place(2, 0), Some(0));
        assert_eq!(place(2, 0), None, "it has one already");
        assert_eq!(placement.take(PortId(1), 0), Some(0));
        assert_eq!(placement.take(PortId(2), 0), Some(0));
        let place = placement.place(PortId(3), 0).unwrap();
        assert_eq!(place.worker, 0);
        assert_eq!(placement.take(PortId(1), 0), None);
        place.counters.count(7);
        let queues: Vec<_> = placement
            .queues()
            .into_iter()
            .map(|(port, pair, place)| (port.0, pair, place.worker, place.counters.totals()))
            .collect();
        assert_eq!(queues, [(1, 1, 1, (0, 0)), (3, 0, 0, (7, 1))]);
    }
}
