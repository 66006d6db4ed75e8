//! Which frames of a batch go to which tx queue; one `tx_burst` for each queue at the end.

use strowger_packet::counters::Shard;
use strowger_packet::{Batch, DropReason, FlowKey, FrameRef, Lost, PortId};

use super::Moment;
use super::shaping::Backlogs;
use crate::capture::tap::{self, Fates};
use crate::snapshot::{PortEntry, Snapshot};

/// The outputs of one batch, port by port. The lists keep their room from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    ports: Vec<PortOutputs>,
    touched: Vec<PortId>,
    /// Room for what a captured port loses.
    lost: Lost,
}

#[derive(Debug, Default)]
struct PortOutputs {
    /// The pairs that were started when the batch first came here, a bit each.
    started: u64,
    /// The pairs that have frames, a bit each.
    filled: u64,
    /// Frames for each pair.
    lists: Vec<Vec<FrameRef>>,
}

/// Takes the outputs and drops of one batch.
pub(super) struct Sink<'a> {
    outputs: &'a mut Outputs,
    snapshot: &'a Snapshot,
    ingress: Ingress<'a>,
}

/// Where the drops of a batch are counted: the port that it came in by.
#[derive(Clone, Copy)]
pub(super) struct Ingress<'a> {
    counters: &'a Shard,
    /// If that port is captured.
    fates: Option<&'a Fates>,
}

impl<'a> Ingress<'a> {
    #[inline]
    pub(super) fn new(counters: &'a Shard, fates: Option<&'a Fates>) -> Self {
        Self { counters, fates }
    }

    /// Drops frames for a reason.
    #[inline]
    pub(super) fn drop(self, reason: DropReason, frames: &[FrameRef]) {
        self.counters.drop(reason, frames.len());
        if let Some(fates) = self.fates {
            fates.drop(reason, frames);
        }
    }

    /// The same for frames that are not beside each other.
    pub(super) fn drop_each(self, reason: DropReason, frames: impl Iterator<Item = FrameRef>) {
        let mut count = 0;
        for at in frames {
            count += 1;
            if let Some(fates) = self.fates {
                fates.drop(reason, &[at]);
            }
        }
        self.counters.drop(reason, count);
    }
}

impl Outputs {
    #[inline]
    pub(super) fn for_batch<'a>(
        &'a mut self,
        snapshot: &'a Snapshot,
        ingress: Ingress<'a>,
    ) -> Sink<'a> {
        Sink { outputs: self, snapshot, ingress }
    }

    /// Sends everything, and forgets it.
    pub(super) fn flush(
        &mut self,
        batch: &Batch,
        snapshot: &Snapshot,
        backlogs: &mut Backlogs,
        (worker, now): (usize, Moment),
    ) {
        for id in self.touched.drain(..) {
            let Some(outputs) = self.ports.get_mut(id.0 as usize) else { continue };
            let mut filled = std::mem::take(&mut outputs.filled);
            while filled != 0 {
                let pair = filled.trailing_zeros() as usize;
                filled &= filled - 1;
                let Some(frames) = outputs.lists.get_mut(pair) else { continue };
                if let Some(port) = snapshot.port(id) {
                    if let Some(shaper) = &port.extras.shaper {
                        backlogs.send((port, shaper), (pair, frames), batch, (worker, now));
                        frames.clear();
                        continue;
                    }
                    transmit(port, pair, (batch, frames), &mut self.lost, worker);
                }
                frames.clear();
            }
        }
    }

    /// The outputs to a port, made ready for this batch.
    #[inline]
    fn port(&mut self, id: PortId, snapshot: &Snapshot) -> Option<&mut PortOutputs> {
        let at = id.0 as usize;
        if self.ports.get(at).is_none_or(|port| port.filled == 0) {
            self.touch(id, snapshot)?;
        }
        self.ports.get_mut(at)
    }

    fn touch(&mut self, id: PortId, snapshot: &Snapshot) -> Option<()> {
        let tx = &snapshot.port(id)?.tx;
        let at = id.0 as usize;
        if self.ports.len() <= at {
            self.ports.resize_with(at + 1, PortOutputs::default);
        }
        let outputs = self.ports.get_mut(at)?;
        if outputs.lists.len() < tx.pairs() {
            outputs.lists.resize_with(tx.pairs(), Vec::new);
        }
        outputs.started = tx.started();
        self.touched.push(id);
        Some(())
    }
}

/// Gives frames to a queue of a port, and to who captures the port. `lost` is room that is used again and again.
#[inline]
pub(super) fn transmit(
    port: &PortEntry,
    pair: usize,
    (batch, frames): (&Batch, &[FrameRef]),
    lost: &mut Lost,
    worker: usize,
) {
    let counters = port.counters.shard(worker);
    let taps = port.extras.taps.as_deref();
    lost.clear();
    let sent = port.tx.with(pair, |queue| {
        queue.tx_burst(batch, frames, counters, taps.is_some().then_some(&mut *lost));
        queue.notify();
    });
    match (sent, taps) {
        (None, _) => lose(port, DropReason::PortDown, (batch, frames), lost, worker),
        (Some(()), Some(taps)) => tap::sent(taps, batch, frames, lost, worker),
        (Some(()), None) => {}
    }
}

/// Drops frames that were meant for a port, and tells who captures it.
#[cold]
pub(super) fn lose(
    port: &PortEntry,
    reason: DropReason,
    (batch, frames): (&Batch, &[FrameRef]),
    lost: &mut Lost,
    worker: usize,
) {
    port.counters.shard(worker).drop(reason, frames.len());
    if let Some(taps) = port.extras.taps.as_deref() {
        lost.clear();
        lost.extend(frames.iter().map(|&at| (at, reason)));
        tap::sent(taps, batch, frames, lost, worker);
    }
}

impl Sink<'_> {
    /// Drops frames for a reason, counted on the port that they came in by.
    #[inline]
    pub(super) fn drop(&mut self, reason: DropReason, frames: &[FrameRef]) {
        self.ingress.drop(reason, frames);
    }

    /// Sends frames by a port, each by the queue that its conversation is on.
    #[inline]
    pub(super) fn output(&mut self, port: PortId, frames: &[FrameRef], keys: &[FlowKey]) {
        let Some(outputs) = self.outputs.port(port, self.snapshot) else {
            // Programs name ports of the snapshot that they were translated with, and are current.
            self.ingress.drop(DropReason::NoReceiver, frames);
            return;
        };
        if outputs.started.count_ones() <= 1 {
            // None is started: list 0, and the flush finds its queue stopped.
            outputs.append(outputs.started.trailing_zeros() % 64, frames);
        } else {
            for (frame, key) in frames.iter().zip(keys) {
                outputs.append(
                    choose(outputs.started, key.symmetric_hash()),
                    std::slice::from_ref(frame),
                );
            }
        }
    }
}

impl PortOutputs {
    #[inline]
    fn append(&mut self, pair: u32, frames: &[FrameRef]) {
        if let Some(list) = self.lists.get_mut(pair as usize) {
            list.extend_from_slice(frames);
            self.filled |= 1 << pair;
        }
    }
}

/// One of the started pairs, the same for the same hash as long as the same are started.
#[inline]
fn choose(started: u64, hash: u32) -> u32 {
    let nth = (u64::from(hash) * u64::from(started.count_ones())) >> 32;
    let rest = (0..nth).fold(started, |rest, _| rest & (rest - 1));
    rest.trailing_zeros() % 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_started_pair_is_chosen_and_no_other() {
        let started = 0b1011_0100;
        let mut chosen = 0;
        for hash in (0..=u32::MAX).step_by(1 << 20) {
            chosen |= 1u64 << choose(started, hash);
        }
        chosen |= 1 << choose(started, u32::MAX);
        assert_eq!(chosen, started);
    }
}
