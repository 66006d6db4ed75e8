//! A token bucket with one user at a time.

use std::time::Duration;

use super::Limit;
use crate::pipeline::Moment;

/// What a bucket holds at some moment, in parts of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    held: u64,
    at: Moment,
}

impl Tokens {
    /// As many as there can be.
    pub(super) fn full(limit: &Limit) -> Self {
        Self { held: limit.full(), at: Moment::default() }
    }

    /// Adds what was made since. A moment before the last one is taken as that.
    pub(super) fn refill(&mut self, limit: &Limit, now: Moment) {
        let nanos = now.nanos.saturating_sub(self.at.nanos);
        let made = limit.rate.saturating_mul(nanos);
        self.held = self.held.saturating_add(made).min(limit.full());
        self.at = self.at.max(now);
    }

    /// Takes so many parts, if they are there.
    pub(super) fn take(&mut self, parts: u64) -> bool {
        let rest = self.held.checked_sub(parts);
        self.held = rest.unwrap_or(self.held);
        rest.is_some()
    }

    /// How long it takes until there are so many parts, if nobody takes any.
    pub(super) fn wait(&self, limit: &Limit, parts: u64) -> Duration {
        Duration::from_nanos(limit.nanos_for(parts.saturating_sub(self.held)))
    }

    /// When there are so many parts.
    pub(super) fn when(&self, limit: &Limit, parts: u64) -> Moment {
        let wait = limit.nanos_for(parts.saturating_sub(self.held));
        Moment { nanos: self.at.nanos.saturating_add(wait) }
    }
}
