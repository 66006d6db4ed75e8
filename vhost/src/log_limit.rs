//! A bound on log lines that a front end can cause.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lines in a window; what a connection that fails again and again at the shortest back-off would reach in 1 s.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// At most [`LINES`] lines in each [`WINDOW`]; what is suppressed is counted and told with the next line.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line may be written now, and how many were suppressed before it.
    pub(crate) fn allow(&self) -> Option<u64> {
        self.allow_at(Instant::now())
    }

    fn allow_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            state.since = Some(now);
            state.lines = 0;
        }
        if state.lines >= LINES {
            state.suppressed += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_suppressed_and_told_later() {
        let limit = LogLimit::default();
        let start = Instant::now();
        for _ in 0..LINES {
            assert_eq!(limit.allow_at(start), Some(0));
        }
        assert_eq!(limit.allow_at(start), None);
        assert_eq!(limit.allow_at(start), None);
        assert_eq!(limit.allow_at(start + WINDOW), Some(2));
        assert_eq!(limit.allow_at(start + WINDOW), Some(0));
    }
}
