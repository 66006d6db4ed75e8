//! Sending by a port with a shaper: at once as far as it has tokens, the rest when they come.
//!
//! A worker that made a frame wait where none did is the one that sends what waits there: it looks before each sweep
//! over its rx queues, and does not sleep beyond the moment at which the first frame may go.

use std::sync::Arc;

use strowger_packet::{Batch, DropReason, FrameRef, Lost};

use super::Moment;
use super::outputs::{lose, transmit};
use crate::rates::Shaper;
use crate::snapshot::{PortEntry, Snapshot};

/// The ports whose waiting frames a worker has to send.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    ports: Vec<Waiting>,
    /// Where waiting frames are lent to. Made when first needed.
    batch: Option<Box<Batch>>,
    frames: Vec<FrameRef>,
    /// Room for what a captured port loses.
    lost: Lost,
}

#[derive(Debug)]
struct Waiting {
    /// The port as it was when its frames were looked at last.
    entry: Arc<PortEntry>,
    shaper: Arc<Shaper>,
    due: Moment,
}

/// What became of a port whose frames wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Shaped,
    /// Its limit was taken away: what waits goes at once.
    Unlimited,
    Gone,
}

impl Backlogs {
    /// Sends frames by one queue pair of a port, or has them wait, or drops them.
    pub(super) fn send(
        &mut self,
        (port, shaper): (&Arc<PortEntry>, &Arc<Shaper>),
        (pair, frames): (usize, &[FrameRef]),
        batch: &Batch,
        (worker, now): (usize, Moment),
    ) {
        let lost = &mut self.lost;
        if port.tx.started() == 0 {
            lose(port, DropReason::PortDown, (batch, frames), lost, worker);
            return;
        }
        let mut turn = shaper.turn(now);
        let (pass, rest) = frames.split_at(turn.pass(batch, frames));
        if !pass.is_empty() {
            transmit(port, pair, (batch, pass), lost, worker);
        }
        self.frames.clear();
        self.frames.extend(rest.iter().filter(|&&at| !turn.hold(batch, at, pair)));
        if !self.frames.is_empty() {
            lose(port, DropReason::ShaperFull, (batch, &self.frames), lost, worker);
        }
        if turn.become_drainer(worker) {
            let due = turn.due().unwrap_or(now);
            let (entry, shaper) = (Arc::clone(port), Arc::clone(shaper));
            self.ports.push(Waiting { entry, shaper, due });
        }
    }

    /// When the first frame that waits may go, if any does.
    pub(super) fn due(&self) -> Option<Moment> {
        self.ports.iter().map(|waiting| waiting.due).min()
    }

    /// Whether there is nothing to be sent, now or later.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Sends what waits and may go, at most a batch a port. Returns how many frames that were.
    pub(super) fn drain(&mut self, snapshot: &Snapshot, worker: usize, now: Moment) -> usize {
        let Self { ports, batch, frames, lost } = self;
        let batch = batch.get_or_insert_default();
        let mut sent = 0;
        ports.retain_mut(|waiting| {
            let fate = waiting.look(snapshot);
            if fate == Fate::Shaped && waiting.due > now {
                return true;
            }
            let Waiting { entry, shaper, due } = waiting;
            let mut turn = shaper.turn(now);
            // Who captures the port wants to see them: they go the way of what is sent, to a queue that is not there.
            let unseen = entry.extras.taps.is_none() && entry.tx.started() == 0;
            if fate == Fate::Gone || unseen {
                entry.counters.shard(worker).drop(DropReason::PortDown, turn.forget_all());
            } else {
                sent += turn.drain(batch, fate == Fate::Shaped, |batch, pair| {
                    frames.clear();
                    frames.extend(batch.received());
                    let started = entry.tx.started();
                    // The guest may use fewer queues than it did.
                    let pair = match started >> pair & 1 {
                        1 => pair,
                        _ => started.trailing_zeros() as usize % 64,
                    };
                    transmit(entry, pair, (batch, frames), lost, worker);
                });
            }
            match turn.due() {
                Some(next) => *due = next,
                None => turn.end_draining(),
            }
            !turn.is_empty()
        });
        sent
    }
}

impl Waiting {
    /// Brings it up to date with a snapshot.
    fn look(&mut self, snapshot: &Snapshot) -> Fate {
        let Some(entry) = snapshot.port(self.entry.id) else { return Fate::Gone };
        let is_new = !Arc::ptr_eq(entry, &self.entry);
        if is_new && !Arc::ptr_eq(&entry.tx, &self.entry.tx) {
            return Fate::Gone;
        }
        if is_new {
            self.entry = Arc::clone(entry);
            // Its limit may be another.
            self.due = Moment::default();
        }
        match &entry.extras.shaper {
            Some(shaper) if shaper.has_queue_of(&self.shaper) => {
                if is_new {
                    self.shaper = Arc::clone(shaper);
                }
                Fate::Shaped
            }
            _ => Fate::Unlimited,
        }
    }
}
