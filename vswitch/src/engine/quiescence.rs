//! When has every worker let go of what it had?
//!
//! Each worker has one generation word. It moves after every sweep over the worker's queues, when all that was
//! received is sent and all buffers are returned; the lowest bit says that the worker sleeps, and holds nothing. Who
//! made a change that workers read (a snapshot, a slot) and then waits here knows that no worker works with what was
//! there before.
//!
//! Why that is so: control stores the change, then loads the words; a worker stores its word, then loads the change
//! before its next batch; all four are sequentially consistent. So if control saw a word from before the store, the
//! load that follows that store sees the change.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// The bit of a generation word that says that its worker sleeps.
const OFFLINE: u64 = 1;
/// What a sweep adds.
const SWEEP: u64 = 2;

/// After so long a wait is worth a line in the log.
pub(super) const LONG: Duration = Duration::from_secs(1);
/// After so long a wait ends, whatever it waited for. A worker's sweep takes microseconds.
pub(super) const BOUND: Duration = Duration::from_secs(60);

/// Who waits, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) &'static str);

/// How far a worker is. The worker writes, anyone reads.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Generation(AtomicU64);

/// A generation word at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    /// Whether a worker that is here now has let go of what it held `before`: it sleeps, or has moved.
    pub(super) fn has_passed(self, before: Self) -> bool {
        self.0 & OFFLINE != 0 || self != before
    }
}

impl Default for Generation {
    /// Of a worker that has not begun.
    fn default() -> Self {
        Self(AtomicU64::new(OFFLINE))
    }
}

impl Generation {
    /// The worker holds nothing at this moment.
    #[inline]
    pub(super) fn pass(&self) {
        self.0.store((self.0.load(SeqCst) + SWEEP) & !OFFLINE, SeqCst);
    }

    /// The worker holds nothing until it calls [`pass`](Self::pass).
    pub(super) fn go_offline(&self) {
        self.0.store((self.0.load(SeqCst) + SWEEP) | OFFLINE, SeqCst);
    }

    /// Where the worker is now.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.0.load(SeqCst))
    }

    /// Whether the worker sleeps.
    #[must_use]
    pub(super) fn is_offline(&self) -> bool {
        self.0.load(SeqCst) & OFFLINE != 0
    }
}

/// Waits until each of these workers has passed a point where it held nothing. `false` if one did not within a
/// minute, which no sweep takes.
pub(super) fn wait<'a>(workers: impl IntoIterator<Item = &'a Generation>, owner: Owner) -> bool {
    wait_until(workers, owner, Instant::now() + BOUND)
}

fn wait_until<'a>(
    workers: impl IntoIterator<Item = &'a Generation>,
    owner: Owner,
    deadline: Instant,
) -> bool {
    let before: Vec<(&Generation, u64)> =
        workers.into_iter().map(|worker| (worker, worker.0.load(SeqCst))).collect();
    let mut long = Some(Instant::now() + LONG);
    for (number, (worker, before)) in before.into_iter().enumerate() {
        let mut spins = 0u32;
        while before & OFFLINE == 0 && worker.0.load(SeqCst) == before {
            let now = Instant::now();
            if now >= deadline {
                tracing::error!(
                    owner = owner.0,
                    worker = number,
                    "a worker does not move: gave up waiting for it"
                );
                return false;
            }
            if long.is_some_and(|long| now >= long) {
                tracing::warn!(
                    owner = owner.0,
                    worker = number,
                    "waiting for a worker for more than a second"
                );
                long = None;
            }
            // A sweep is over in microseconds, unless the worker lost its core: to this thread, perhaps.
            spins += 1;
            match spins {
                0..100 => thread::yield_now(),
                _ => thread::sleep(Duration::from_micros(50)),
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    const TEST: Owner = Owner("a test");

    #[test]
    fn a_sleeping_worker_has_passed() {
        let (new, asleep) = (Generation::default(), Generation::default());
        asleep.pass();
        asleep.go_offline();
        assert!(wait([&new, &asleep], TEST));
    }

    #[test]
    fn a_worker_that_stands_still_is_waited_for_in_vain() {
        let worker = Generation::default();
        worker.pass();
        assert!(!wait_until([&worker], TEST, Instant::now()));
    }

    #[test]
    fn after_the_wait_no_worker_works_with_what_was_before() {
        struct Shared {
            generation: Generation,
            value: AtomicU64,
            in_use: AtomicU64,
            stop: AtomicBool,
        }
        let shared = Arc::new(Shared {
            generation: Generation::default(),
            value: AtomicU64::new(0),
            in_use: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                while !shared.stop.load(SeqCst) {
                    shared.generation.pass();
                    let value = shared.value.load(SeqCst);
                    shared.in_use.store(value, SeqCst);
                    std::hint::spin_loop();
                    shared.in_use.store(0, SeqCst);
                }
                shared.generation.go_offline();
            })
        };
        for value in 1..1000 {
            shared.value.store(value, SeqCst);
            assert!(wait([&shared.generation], TEST));
            let in_use = shared.in_use.load(SeqCst);
            assert!(in_use == 0 || in_use == value, "{in_use} is still in use after {value} came");
        }
        shared.stop.store(true, SeqCst);
        worker.join().unwrap();
        assert!(wait([&shared.generation], TEST), "it left");
    }
}
