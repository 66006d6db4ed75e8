//! Where a worker and captures meet: the taps of a port, in its snapshot entry only while it is captured.
//!
//! A worker copies what a capture wants into its own lane of the capture and goes on. It never waits and makes no
//! system call but to read the clock, once a batch; what its lane has no room for is counted as lost.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use strowger_packet::batch::MAX_FRAMES;
use strowger_packet::{Batch, DropReason, FrameRef, Lost};

use super::session::Session;

/// All captures of a port.
pub type Taps = Arc<[Tap]>;

/// A port's place in a capture.
#[derive(Clone, Debug)]
pub struct Tap {
    pub(super) session: Arc<Session>,
    pub(super) interface: u16,
}

/// What became of the frames of a batch that came in by a captured port.
#[derive(Debug)]
pub struct Fates([Cell<Option<DropReason>>; MAX_FRAMES]);

impl Fates {
    /// Notes that received frames end here.
    pub fn drop(&self, reason: DropReason, frames: &[FrameRef]) {
        for at in frames {
            if let Some(fate) = self.0.get(at.index()) {
                fate.set(Some(reason));
            }
        }
    }

    pub(super) fn of(&self, frame: u8) -> Option<DropReason> {
        self.0.get(usize::from(frame))?.get()
    }
}

/// Copies what has come in, before anything is done with it.
#[cold]
pub fn received(taps: &[Tap], batch: &Batch, worker: usize) -> Fates {
    let time = now();
    for tap in taps {
        tap.session.receive(tap.interface, batch, (worker, time));
    }
    Fates([const { Cell::new(None) }; MAX_FRAMES])
}

/// Hands over what [`received`] copied, now that it is known what was dropped.
#[cold]
pub fn settled(taps: &[Tap], fates: &Fates, worker: usize) {
    for tap in taps {
        tap.session.settle(tap.interface, fates, worker);
    }
}

/// Copies what was handed to a port and what of it was lost there; `lost` is in the order of `frames`.
#[cold]
pub fn sent(taps: &[Tap], batch: &Batch, frames: &[FrameRef], lost: &Lost, worker: usize) {
    let time = now();
    for tap in taps {
        tap.session.send(tap.interface, batch, (frames, lost), (worker, time));
    }
}

/// Nanoseconds since 1970 began.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // Before 1970 is a clock that was never set; after 2554 there is no telling either.
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
