//! Limits of a port by token buckets: policing of what comes in, shaping of what goes out.
//!
//! A bucket holds at most a burst of tokens and gains `rate` of them a second; a frame takes as many as it has bits,
//! or one if frames are counted, and goes only if they are there. So within any span `t` at most
//! `burst + rate · t` pass, and whoever keeps to the rate never finds the bucket empty.
//!
//! * [`bucket`]: policing. One atomic word for all workers; what finds no tokens is dropped.
//! * [`shaper`]: shaping. What finds no tokens waits, copied whole, in a queue of bounded length, and leaves in order.
//!
//! All arithmetic is exact, in billionths of a token: no rate is rounded, whatever its digits. A frame has the bytes
//! that counters show: from the Ethernet header to the end of the payload, tags included, checksum and preamble not.
//! A frame that is still to be cut into segments counts with all its bytes, once.
//!
//! May call `packet`. Knows nothing of threads and clocks: the moment comes with every call.

pub mod bucket;
mod held;
pub mod shaper;
mod tokens;

pub use bucket::TokenBucket;
pub use shaper::{Backlog, Shaper};

/// The longest frame that a bucket has to let through, in bytes: 64 KiB and all tags. A smaller burst is taken as
/// this one: else such a frame would never pass.
pub const MAX_FRAME: usize = 65_536 + 64;
/// The largest burst, in bytes. More is taken as this.
pub const MAX_BURST: u64 = 512 * 1024 * 1024;
/// The highest rate, in bits or frames a second. More is taken as this.
pub const MAX_RATE: u64 = 1_000_000_000_000;

/// Parts of a token: with a billion of them and a clock in nanoseconds, `rate` parts come each nanosecond.
const PARTS: u64 = 1_000_000_000;

/// What a bucket counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bits of frames.
    Bits,
    /// Frames.
    Frames,
}

/// A rate and how much may come at once above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    unit: Unit,
    rate: u64,
    burst: u64,
}

impl Limit {
    /// So many bits a second, and a burst in bytes.
    #[must_use]
    pub fn bits(rate: u64, burst: u64) -> Self {
        let burst = burst.clamp(MAX_FRAME as u64, MAX_BURST) * 8;
        Self { unit: Unit::Bits, rate: rate.clamp(1, MAX_RATE), burst }
    }

    /// So many frames a second, and a burst in frames.
    #[must_use]
    pub fn frames(rate: u64, burst: u64) -> Self {
        let burst = burst.clamp(1, MAX_BURST * 8);
        Self { unit: Unit::Frames, rate: rate.clamp(1, MAX_RATE), burst }
    }

    /// What is counted.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Bits or frames a second.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The most that passes at once: bytes or frames.
    #[must_use]
    pub fn burst(&self) -> u64 {
        match self.unit {
            Unit::Bits => self.burst / 8,
            Unit::Frames => self.burst,
        }
    }

    /// The parts of tokens that `frames` frames with so many bytes in all take.
    #[inline]
    pub(crate) fn cost(&self, frames: usize, bytes: usize) -> u64 {
        PARTS.saturating_mul(match self.unit {
            Unit::Bits => (bytes as u64).saturating_mul(8),
            Unit::Frames => frames as u64,
        })
    }

    /// The parts that a full bucket holds; at most a quarter of what a word holds.
    #[inline]
    fn full(&self) -> u64 {
        const { assert!(MAX_BURST * 8 <= u64::MAX / 4 / PARTS) };
        self.burst * PARTS
    }

    /// The nanoseconds in which so many parts come.
    fn nanos_for(&self, parts: u64) -> u64 {
        parts.div_ceil(self.rate)
    }
}
