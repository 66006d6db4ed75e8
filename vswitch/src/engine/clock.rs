//! One clock for all workers and for control.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::pipeline::Moment;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The moment of an instant.
#[inline]
pub(super) fn moment(now: Instant) -> Moment {
    Moment { nanos: now.saturating_duration_since(*START).as_nanos() as u64 }
}

/// How long it is until a moment; nothing if it has passed.
pub(super) fn until(moment: Moment) -> Duration {
    Duration::from_nanos(moment.nanos.saturating_sub(now().nanos))
}

/// The moment now, for ages that are shown.
#[must_use]
pub fn now() -> Moment {
    moment(Instant::now())
}

/// How many cycles of a core pass in a span, as far as the system says at which clock it runs; else nanoseconds.
pub(super) fn cycles(span: Duration) -> u64 {
    static MEGAHERTZ: LazyLock<f64> = LazyLock::new(|| megahertz().unwrap_or(1000.0));
    (span.as_nanos() as f64 * *MEGAHERTZ / 1000.0) as u64
}

fn megahertz() -> Option<f64> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("cpu MHz"))?;
    line.split(':').nth(1)?.trim().parse().ok()
}
