//! Which worker serves which rx queue.

use strowger_packet::PortId;

/// The queues of all workers.
#[derive(Debug)]
pub(super) struct Placement {
    workers: Vec<Vec<(PortId, u16)>>,
}

impl Placement {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: vec![Vec::new(); workers] }
    }

    /// Gives a queue to the worker with the fewest, the first of them if there are several.
    pub(super) fn place(&mut self, port: PortId, pair: u16) -> Option<usize> {
        let (worker, queues) =
            self.workers.iter_mut().enumerate().min_by_key(|(_, queues)| queues.len())?;
        queues.push((port, pair));
        Some(worker)
    }

    /// Takes a queue from its worker, and says which one that was.
    pub(super) fn take(&mut self, port: PortId, pair: u16) -> Option<usize> {
        self.workers.iter_mut().enumerate().find_map(|(worker, queues)| {
            let at = queues.iter().position(|queue| *queue == (port, pair))?;
            queues.remove(at);
            Some(worker)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_go_to_the_worker_with_fewest() {
        let mut placement = Placement::new(2);
        assert_eq!(placement.place(PortId(1), 0), Some(0));
        assert_eq!(placement.place(PortId(1), 1), Some(1));
        assert_eq!(placement.place(PortId(2), 0), Some(0));
        assert_eq!(placement.take(PortId(1), 0), Some(0));
        assert_eq!(placement.take(PortId(2), 0), Some(0));
        assert_eq!(placement.place(PortId(3), 0), Some(0));
        assert_eq!(placement.take(PortId(1), 0), None);
    }
}
