//! Captures: frames and drops of ports as a stream of pcapng, beside the traffic and never in its way.
//!
//! * [`tap`]: where a worker meets captures; in a port's snapshot entry only while the port is captured.
//! * [`filter`]: which frames a capture wants.
//! * `session`: what workers and one capture share: a bounded ring a worker, and counts.
//! * `record`: a frame in such a ring.
//! * `stream`: a capture's own thread: from the rings to the client.
//! * [`pcapng`]: the bytes of the stream, written and taken apart.
//! * [`registry`]: all captures of a switch, and which ports they tap.
//!
//! A worker copies what is wanted into its own ring and goes on; what does not fit is counted and told to whoever
//! reads the capture, as statistics of the port. Only the capture's thread waits for a client that reads slowly.
//!
//! May call `control::capture` for the stream's two ends. Knows nothing of engine and switch.

pub mod filter;
pub mod pcapng;
mod record;
pub mod registry;
mod session;
mod stream;
pub mod tap;

use strowger_packet::Frame;

use filter::Filter;
pub use session::{RING_BYTES, Seen};

/// The most captures at a time.
pub const MAX_CAPTURES: usize = 8;
/// The most bytes that are captured of a frame, if the capture does not say: all of any frame.
pub const MAX_SNAPLEN: u32 = 262_144;

/// Which way a frame went, as the switch sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the switch.
    Rx,
    /// Out of the switch.
    Tx,
}

/// What a capture wants of the frames of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Only those that match.
    pub filter: Option<Filter>,
    /// At most so many bytes of each.
    pub snaplen: usize,
    /// Only those that go this way.
    pub only: Option<Direction>,
    /// Only those that the switch drops.
    pub drops_only: bool,
}

impl Default for Wants {
    /// Everything.
    fn default() -> Self {
        Self { filter: None, snaplen: MAX_SNAPLEN as usize, only: None, drops_only: false }
    }
}

impl Wants {
    /// Whether the filter lets a frame pass.
    fn frame(&self, frame: &Frame) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(frame.head(), frame.len()))
    }

    /// How many bytes of it are wanted.
    fn captured(&self, frame: &Frame) -> usize {
        frame.len().min(self.snaplen)
    }
}
