//! A token bucket that several workers share without a lock.
//!
//! The state is one word: all that was ever taken, in parts of a token, beside which all that was ever made is
//! `rate · now`. The difference is what the bucket holds, cut off at the burst. Both wrap around; so a second word
//! says when something was taken last: after a time that fills the bucket from empty it is full, and the difference is
//! not asked. Before that the difference is at most twice the burst and cannot be mistaken.
//!
//! The second word moves before the first. Who reads the first and then the second either sees both of a taker, or
//! the first of before, and then his own exchange fails; or he sees a time that is too young for the first word, takes
//! a wrapped difference for small, and drops a frame that might have passed: the safe error, and only when a bucket
//! that was idle for long is asked by two workers within the same few nanoseconds.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use strowger_packet::{Batch, batch::MAX_FRAMES};

use super::Limit;
use crate::pipeline::Moment;

/// The policer of a port: frames that find no tokens are to be dropped.
#[derive(Debug)]
pub struct TokenBucket {
    limit: Limit,
    /// Nanoseconds in which an empty bucket is filled.
    fill: u64,
    spent: AtomicU64,
    /// The nanosecond at which something was taken last.
    last: AtomicU64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            fill: limit.nanos_for(limit.full()),
            spent: AtomicU64::new(0u64.wrapping_sub(limit.full())),
            last: AtomicU64::new(0),
        }
    }

    /// Its rate and burst.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Which frames of a batch conform, a bit each: all, mostly, by one exchange; else each is asked in order.
    #[inline]
    #[must_use]
    pub fn conforming(&self, batch: &Batch, now: Moment) -> u64 {
        const { assert!(MAX_FRAMES <= 64) };
        if self.take(batch.len(), batch.bytes(), now) {
            return u64::MAX.checked_shr(64 - batch.len() as u32).unwrap_or(0);
        }
        self.one_by_one(batch, now)
    }

    #[cold]
    fn one_by_one(&self, batch: &Batch, now: Moment) -> u64 {
        let mut conforming = 0;
        for (number, at) in batch.received().enumerate() {
            let conforms = self.take(1, batch.frame(at).len(), now);
            conforming |= u64::from(conforms) << number;
        }
        conforming
    }

    /// Takes the tokens of some frames, if all are there.
    #[must_use]
    pub fn take(&self, frames: usize, bytes: usize, now: Moment) -> bool {
        let (cost, full) = (self.limit.cost(frames, bytes), self.limit.full());
        let mut spent = self.spent.load(Acquire);
        loop {
            let last = self.last.load(Acquire);
            // Workers read the clock once a sweep, and one may be a little behind another.
            let now = now.nanos.max(last);
            let made = self.limit.rate.wrapping_mul(now);
            let held = if now - last >= self.fill {
                full
            } else {
                // Above half of all words it is less than nothing, or was mistaken: see above.
                let held = made.wrapping_sub(spent);
                if held > u64::MAX / 2 { 0 } else { held.min(full) }
            };
            let Some(rest) = held.checked_sub(cost) else { return false };
            self.last.fetch_max(now, AcqRel);
            let after = made.wrapping_sub(rest);
            match self.spent.compare_exchange_weak(spent, after, AcqRel, Relaxed) {
                Ok(_) => return true,
                Err(other) => {
                    spent = other;
                    // The failed exchange ordered nothing: what the other stored before is to be seen.
                    std::sync::atomic::fence(Acquire);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "bucket/tests.rs"]
mod tests;
