//! How workers come to read another snapshot, and when the old one goes.
//!
//! A worker compares a version before each batch; only when that has moved does it take a lock, and the new snapshot.
//! Control keeps every snapshot that it replaced until nobody else has it: so a worker never drops the last
//! reference, which can take as long as the tables are large.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::Snapshot;

/// The snapshot of the moment, and those before it that a worker may still have.
#[derive(Debug, Default)]
pub(super) struct Publication {
    version: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Arc<Snapshot>,
    retired: Vec<Arc<Snapshot>>,
}

/// What a worker reads: a snapshot and its version.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    version: u64,
    snapshot: Option<Arc<Snapshot>>,
}

impl Publication {
    /// Replaces the snapshot. Returns the one before.
    pub(super) fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.current, Arc::new(snapshot));
        state.retired.push(Arc::clone(&before));
        self.version.fetch_add(1, SeqCst);
        before
    }

    /// The snapshot of the moment.
    #[must_use]
    pub(super) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().current)
    }

    /// Frees the snapshots that nobody reads any more. For control, now and then.
    pub(super) fn collect(&self) {
        let mut state = self.lock();
        let retired = std::mem::take(&mut state.retired);
        // Nobody can take a retired one again: a count of one stays one.
        let (kept, free): (Vec<_>, Vec<_>) =
            retired.into_iter().partition(|snapshot| Arc::strong_count(snapshot) > 1);
        state.retired = kept;
        drop(state);
        drop(free);
    }

    /// Snapshots that were replaced and are not freed.
    #[cfg(test)]
    #[must_use]
    pub(super) fn retired(&self) -> usize {
        self.lock().retired.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The snapshot of the moment.
    #[inline]
    pub(super) fn read(&mut self, publication: &Publication) -> &Snapshot {
        if self.snapshot.is_none() || publication.version.load(SeqCst) != self.version {
            self.update(publication);
        }
        self.snapshot.get_or_insert_default()
    }

    #[cold]
    fn update(&mut self, publication: &Publication) {
        let state = publication.lock();
        self.version = publication.version.load(SeqCst);
        self.snapshot = Some(Arc::clone(&state.current));
    }

    /// Lets the snapshot go until the next read. Control has it too.
    pub(super) fn let_go(&mut self) {
        self.snapshot = None;
    }

    /// Whether another snapshot than the last one read has been published.
    #[must_use]
    pub(super) fn is_behind(&self, publication: &Publication) -> bool {
        publication.version.load(SeqCst) != self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::mac::{MacLimits, MacTable};

    fn snapshot(bridges: usize) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for number in 0..bridges {
            let stations = Arc::new(MacTable::new(MacLimits::default()));
            snapshot.add_bridge(format!("br{number}"), stations);
        }
        snapshot
    }

    #[test]
    fn a_reader_sees_what_was_published_last() {
        let publication = Publication::default();
        let mut reader = Reader::default();
        assert_eq!(reader.read(&publication).bridges().count(), 0);
        publication.publish(snapshot(1));
        publication.publish(snapshot(2));
        assert!(reader.is_behind(&publication));
        assert_eq!(reader.read(&publication).bridges().count(), 2);
        assert!(!reader.is_behind(&publication));
    }

    #[test]
    fn a_snapshot_lives_as_long_as_a_worker_has_it_and_control_frees_it() {
        let publication = Publication::default();
        let mut reader = Reader::default();
        publication.publish(snapshot(1));
        let weak = Arc::downgrade(&publication.current());
        reader.read(&publication);
        publication.publish(snapshot(2));
        publication.collect();
        assert_eq!((publication.retired(), weak.strong_count()), (1, 2), "the worker has it");
        reader.read(&publication);
        assert_eq!(weak.strong_count(), 1, "the worker did not drop the last");
        publication.collect();
        assert_eq!((publication.retired(), weak.strong_count()), (0, 0));
    }

    #[test]
    fn a_sleeping_reader_holds_nothing() {
        let publication = Publication::default();
        let mut reader = Reader::default();
        publication.publish(snapshot(1));
        reader.read(&publication);
        reader.let_go();
        publication.publish(snapshot(2));
        publication.collect();
        assert_eq!(publication.retired(), 0);
        assert_eq!(reader.read(&publication).bridges().count(), 2);
    }
}
