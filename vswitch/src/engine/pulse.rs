//! Whether the workers move: for who restarts a switch that hangs.

use super::{Engine, quiescence::Mark};

/// How far a worker was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Its core.
    pub core: usize,
    mark: Mark,
    has_ended: bool,
}

impl Engine {
    /// How far each worker is now.
    #[must_use]
    pub fn pulse(&self) -> Vec<Pulse> {
        let of = |worker: &super::Handle| Pulse {
            core: worker.shared.core,
            mark: worker.shared.generation.mark(),
            has_ended: worker.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished),
        };
        self.workers.iter().map(of).collect()
    }
}

impl Pulse {
    /// Whether the worker has passed a point where it holds nothing since it was at `before`, or sleeps. One that
    /// ended does neither, ever.
    #[must_use]
    pub fn beats(&self, before: &Self) -> bool {
        !self.has_ended && self.mark.has_passed(before.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::super::quiescence::Generation;
    use super::*;

    fn pulse(generation: &Generation) -> Pulse {
        Pulse { core: 1, mark: generation.mark(), has_ended: false }
    }

    #[test]
    fn a_worker_beats_while_it_moves_or_sleeps() {
        let worker = Generation::default();
        worker.pass();
        let before = pulse(&worker);
        assert!(!pulse(&worker).beats(&before), "it is in its first sweep");
        worker.pass();
        assert!(pulse(&worker).beats(&before));
        worker.go_offline();
        let asleep = pulse(&worker);
        assert!(pulse(&worker).beats(&asleep), "it sleeps on");
        let ended = Pulse { has_ended: true, ..asleep };
        assert!(!ended.beats(&asleep));
    }
}
