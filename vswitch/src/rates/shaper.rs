//! The shaper of a port: what finds no tokens waits, and leaves in order.
//!
//! Workers that send by the port take its lock once a batch and queue. While nothing waits and tokens are there,
//! frames go as they came, borrowed. Everything else is copied whole to the end of the queue, so that nothing
//! overtakes. The queue is bounded in bytes, frames, and the time that its last frame waits; what exceeds a bound is
//! dropped. Whoever made the queue's first frame wait is its *drainer*: that worker sends what waits as tokens come,
//! until the queue is empty, and does not sleep beyond the next token.
//!
//! The queue outlives a change of the limit: a shaper [`with_limit`](Shaper::with_limit) is another view of the same.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use spin::{Mutex, MutexGuard};
use strowger_packet::batch::{MAX_BYTES, MAX_FRAMES};
use strowger_packet::{Batch, FrameRef};

use super::held::Held;
use super::tokens::Tokens;
use super::{Limit, Unit};
use crate::pipeline::Moment;

/// The most bytes that wait at a port: 8 ms at 1 Gbit/s, and some 16 of the largest frames.
pub const QUEUE_BYTES: usize = 1024 * 1024;
/// The most frames that wait at a port.
pub const QUEUE_FRAMES: usize = 4096;
/// The longest that the last of several frames may have to wait. A frame that finds the queue empty waits as long
/// as its tokens take, however slow the rate is.
pub const QUEUE_TIME: Duration = Duration::from_millis(50);

/// The shaper of a port. Clones, and those with another limit, have the same queue.
#[derive(Clone, Debug)]
pub struct Shaper {
    limit: Limit,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// What waits, for who looks.
    frames: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    tokens: Tokens,
    unit: Unit,
    held: Held,
    drainer: Option<usize>,
}

/// What waits at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A worker's turn with a shaper, at some moment. Nobody else sends by the port meanwhile.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    limit: Limit,
    shared: &'a Shared,
    queue: MutexGuard<'a, Queue>,
}

impl Shaper {
    /// A shaper with a full bucket and nothing that waits.
    ///
    /// # Errors
    /// If the system has no memory for the queue.
    pub fn new(limit: Limit) -> io::Result<Self> {
        let held = Held::new(QUEUE_BYTES)?;
        let queue = Queue { tokens: Tokens::full(&limit), unit: limit.unit, held, drainer: None };
        let (frames, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { limit, shared: Arc::new(Shared { queue: Mutex::new(queue), frames, bytes }) })
    }

    /// The same queue under another limit. What waits there stays, and goes at the new rate.
    #[must_use]
    pub fn with_limit(&self, limit: Limit) -> Self {
        Self { limit, shared: Arc::clone(&self.shared) }
    }

    /// Whether another has the same queue.
    #[must_use]
    pub fn has_queue_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Its rate and burst.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// What waits now.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let Shared { frames, bytes, .. } = &*self.shared;
        Backlog { frames: frames.load(Relaxed), bytes: bytes.load(Relaxed) }
    }

    /// Waits for those who are at it, and adds the tokens that came until now.
    pub(crate) fn turn(&self, now: Moment) -> Turn<'_> {
        let mut queue = self.shared.queue.lock();
        if queue.unit != self.limit.unit {
            (queue.unit, queue.tokens) = (self.limit.unit, Tokens::full(&self.limit));
        }
        queue.tokens.refill(&self.limit, now);
        Turn { limit: self.limit, shared: &self.shared, queue }
    }
}

impl Turn<'_> {
    /// How many of these frames may go at once: those at the front that find tokens, if nothing waits. Their tokens
    /// are taken.
    pub(crate) fn pass(&mut self, batch: &Batch, frames: &[FrameRef]) -> usize {
        if self.queue.held.len() > 0 {
            return 0;
        }
        let (limit, tokens) = (self.limit, &mut self.queue.tokens);
        let goes = |&&at: &&FrameRef| tokens.take(limit.cost(1, batch.frame(at).len()));
        frames.iter().take_while(goes).count()
    }

    /// Has a frame wait, to leave by a queue pair. `false` if it may not.
    pub(crate) fn hold(&mut self, batch: &Batch, at: FrameRef, pair: usize) -> bool {
        let Queue { tokens, held, .. } = &mut *self.queue;
        let (frames, bytes) = (held.len() + 1, held.bytes() + batch.frame(at).len());
        let wait = tokens.wait(&self.limit, self.limit.cost(frames, bytes));
        let may = frames == 1 || (frames <= QUEUE_FRAMES && wait <= QUEUE_TIME);
        may && held.push(batch, at, pair as u32)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.held.len() == 0
    }

    /// Makes a worker the one that sends what waits, if something does and nobody is that already.
    pub(crate) fn become_drainer(&mut self, worker: usize) -> bool {
        let becomes = self.queue.drainer.is_none() && !self.is_empty();
        if becomes {
            self.queue.drainer = Some(worker);
        }
        becomes
    }

    /// Nobody sends what waits any more: nothing does.
    pub(crate) fn end_draining(&mut self) {
        self.queue.drainer = None;
    }

    /// When the first frame that waits may go.
    pub(crate) fn due(&self) -> Option<Moment> {
        let (len, _) = self.queue.held.get(0)?;
        Some(self.queue.tokens.when(&self.limit, self.limit.cost(1, len)))
    }

    /// Has `send` deliver the first frames that wait and find tokens (or need none), at most one batch of one queue
    /// pair: lends them to `batch`, which is empty before and after. Returns how many there were.
    pub(crate) fn drain(
        &mut self,
        batch: &mut Batch,
        is_limited: bool,
        send: impl FnOnce(&Batch, usize),
    ) -> usize {
        let Queue { tokens, held, .. } = &mut *self.queue;
        let Some((_, pair)) = held.get(0) else { return 0 };
        let (mut frames, mut bytes) = (0, 0);
        while frames < MAX_FRAMES
            && bytes < MAX_BYTES
            && let Some((len, other)) = held.get(frames)
            && other == pair
            && (!is_limited || tokens.take(self.limit.cost(1, len)))
        {
            frames += 1;
            bytes += len;
        }
        if frames == 0 {
            return 0;
        }
        let lent = held.lend(frames, batch);
        debug_assert_eq!(lent, frames, "an empty batch has room for a batch");
        send(batch, pair as usize);
        batch.clear();
        held.forget(frames);
        frames
    }

    /// Forgets all that waits. Returns how many frames that were.
    pub(crate) fn forget_all(&mut self) -> usize {
        let frames = self.queue.held.len();
        self.queue.held.forget(frames);
        frames
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.shared.frames.store(self.queue.held.len() as u64, Relaxed);
        self.shared.bytes.store(self.queue.held.bytes() as u64, Relaxed);
    }
}

#[cfg(test)]
#[path = "shaper/tests.rs"]
mod tests;
