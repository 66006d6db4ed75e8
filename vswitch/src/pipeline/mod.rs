//! A batch's way through one worker: extract, cache, execute, outputs.
//!
//! Stages over the whole batch. Frames that hit the cache take no lock but that of the tx queue (once a batch),
//! make no system call but the queue's own notification, and allocate nothing; frames that miss are translated, within
//! a budget a port and millisecond. Consecutive frames of one flow go as a run: one check, one count, one append.
//!
//! Every frame received ends in one of two ways. It is dropped with a reason, counted once on the port that it came
//! in by; or it is handed to each of its receivers, each of which counts it as sent or as dropped with a reason (a
//! flooded frame is counted by every receiver). When only part of its outputs could be made (no headroom for a tag,
//! too many copies) it is counted on both sides.
//!
//! A port with a policer loses what exceeds its rate before anything else is done with it; what leaves by a port with
//! a shaper may wait there, and is sent by [`drain`](Pipeline::drain).
//!
//! A port that is captured has taps, which see what came in before anything is done with it, what was dropped and why,
//! and what was handed to it.
//!
//! May call `tables`, `rates`, `ports`, `capture::tap` and `snapshot`. Knows nothing of threads.

mod budget;
pub mod cache;
mod exact;
mod execute;
mod masks;
mod outputs;
mod shaping;

use strowger_packet::batch::MAX_FRAMES;
use strowger_packet::key::extract_into;
use strowger_packet::{Batch, DropReason, FlowKey, FrameRef, Mask, PortId};

use crate::capture::tap;
use crate::snapshot::{BridgeEntry, PortEntry, Snapshot};
use crate::tables::mac::{Learned, Seconds};
use crate::tables::translate::{FdbView, Translation, translate};
use budget::Budgets;
use cache::{Cache, CacheLimits, CacheStatistics, Cached, FlowId, Source};
use execute::Run;
use outputs::{Ingress, Outputs};
use shaping::Backlogs;

pub use budget::TRANSLATIONS_A_MILLISECOND;

/// A moment, since some start that all workers and control share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Nanoseconds; enough for centuries.
    pub nanos: u64,
}

impl Moment {
    /// The moment so many milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// Whole milliseconds.
    #[inline]
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.nanos / 1_000_000
    }

    /// Whole seconds.
    #[inline]
    #[must_use]
    pub const fn seconds(self) -> Seconds {
        (self.nanos / 1_000_000_000) as Seconds
    }
}

/// How often a flow is translated whose source comes to be held by the loop guard meanwhile. Once more is enough,
/// unless control lets all stations go between two tries.
const TRIES: usize = 3;

/// One worker's cache, and room for one batch at work.
#[derive(Debug)]
pub struct Pipeline {
    worker: usize,
    cache: Cache,
    budgets: Budgets,
    outputs: Outputs,
    backlogs: Backlogs,
    keys: Box<[FlowKey; MAX_FRAMES]>,
    frames: Vec<FrameRef>,
    flows: [Option<FlowId>; MAX_FRAMES],
    counted: Counted,
}

/// What is counted beside the cache: once a batch, and where the slow path is taken.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    frames: u64,
    misses: u64,
    translations: u64,
}

/// What is the same for all frames of a batch.
#[derive(Clone, Copy)]
struct Context<'a> {
    port: &'a PortEntry,
    bridge: &'a BridgeEntry,
    snapshot: &'a Snapshot,
    ingress: Ingress<'a>,
    /// The MAC table's changes, read before what is looked up.
    changes: u64,
    now: Moment,
}

impl Pipeline {
    /// The pipeline of a worker, which is also the number of its counter shards.
    #[must_use]
    pub fn new(worker: usize, limits: CacheLimits) -> Self {
        Self {
            worker,
            cache: Cache::new(limits),
            budgets: Budgets::default(),
            outputs: Outputs::default(),
            backlogs: Backlogs::default(),
            keys: Box::new([FlowKey::default(); MAX_FRAMES]),
            frames: Vec::with_capacity(MAX_FRAMES),
            flows: [None; MAX_FRAMES],
            counted: Counted::default(),
        }
    }

    /// Whose it is.
    #[inline]
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Its cache, to look at.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How its frames found their flows so far.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        let Counted { frames, misses, translations } = self.counted;
        let masked_hits = self.cache.masked_hits();
        CacheStatistics {
            flows: self.cache.len(),
            masks: self.cache.masks(),
            exact_hits: frames.saturating_sub(masked_hits).saturating_sub(misses),
            masked_hits,
            misses,
            translations,
        }
    }

    /// Takes a batch that came in by a port all the way to the tx queues of its receivers.
    pub fn process(
        &mut self,
        batch: &mut Batch,
        ingress: PortId,
        snapshot: &Snapshot,
        now: Moment,
    ) {
        let Some(port) = snapshot.port(ingress) else { return };
        let Some(bridge) = snapshot.bridge(port.bridge) else { return };
        let taps = port.extras.taps.as_deref();
        let fates = taps.map(|taps| tap::received(taps, batch, self.worker));
        let ingress = Ingress::new(port.counters.shard(self.worker), fates.as_ref());
        let context =
            Context { port, bridge, snapshot, ingress, changes: bridge.stations.changes(), now };
        let all = batch.received();
        let frames = match &port.extras.policer {
            None => self.extract(batch, all, ingress),
            Some(policer) => {
                let conforming = policer.conforming(batch, now);
                let which = |conforms| {
                    let all = all.clone().enumerate();
                    let some = all.filter(move |&(number, _)| conforming >> number & 1 == conforms);
                    some.map(|(_, at)| at)
                };
                ingress.drop_each(DropReason::Policed, which(0));
                self.extract(batch, which(1), ingress)
            }
        };
        self.counted.frames += frames as u64;
        self.lookup(frames);
        self.execute(batch, frames, context);
        if let Some((taps, fates)) = taps.zip(fates.as_ref()) {
            tap::settled(taps, fates, self.worker);
        }
        self.outputs.flush(batch, snapshot, &mut self.backlogs, (self.worker, now));
    }

    /// Whether frames wait in shapers that this worker has to send.
    #[inline]
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlogs.is_empty()
    }

    /// When the first of the frames that wait may go.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        self.backlogs.due()
    }

    /// Sends frames that waited, at most a batch a port. Returns how many.
    pub fn drain(&mut self, snapshot: &Snapshot, now: Moment) -> usize {
        self.backlogs.drain(snapshot, self.worker, now)
    }

    /// Parses some frames of a batch. Returns how many have a key.
    #[inline(always)]
    fn extract(
        &mut self,
        batch: &mut Batch,
        which: impl Iterator<Item = FrameRef>,
        ingress: Ingress<'_>,
    ) -> usize {
        self.frames.clear();
        for at in which {
            // There are as many keys as a batch has frames.
            let Some(place) = self.keys.get_mut(self.frames.len()) else { break };
            match extract_into(batch.frame_mut(at), place) {
                Ok(()) => self.frames.push(at),
                Err(reason) => ingress.drop(reason, &[at]),
            }
        }
        self.frames.len()
    }

    /// Looks all keys up, without translating any. Frames of one conversation often come together: a key that is the
    /// one before it is not hashed. (`guest_to_guest` of bench/benches/stages.rs: 54 to 46 ns a frame when all are
    /// of one flow; where no two are, the comparison is not seen.)
    fn lookup(&mut self, frames: usize) {
        const { assert!(MAX_FRAMES <= 64) };
        let keys = &self.keys[..frames];
        let mut repeated = 0u64;
        let mut hashes = [0; MAX_FRAMES];
        for (at, pair) in keys.windows(2).enumerate() {
            repeated |= u64::from(same(&pair[0], &pair[1])) << (at + 1);
        }
        for (at, (hash, key)) in hashes.iter_mut().zip(keys).enumerate() {
            if repeated >> at & 1 == 0 {
                *hash = key.hash();
            }
        }
        let mut found = None;
        for (at, ((flow, key), hash)) in self.flows.iter_mut().zip(keys).zip(hashes).enumerate() {
            if repeated >> at & 1 == 0 {
                found = self.cache.lookup(key, hash);
            }
            *flow = found;
        }
    }

    /// Runs the programs of all frames, a run of one flow at a time.
    fn execute(&mut self, batch: &mut Batch, frames: usize, mut context: Context<'_>) {
        let mut at = 0;
        // A translation can put another flow into the place that a later frame's lookup found.
        let mut disturbed = false;
        while at < frames {
            let found = match disturbed {
                true => self.cache.find(&self.keys[at]),
                false => self.flows[at],
            };
            let flow = found.filter(|&flow| self.is_current(flow, context));
            let flow = match flow {
                Some(flow) => flow,
                None => {
                    disturbed = true;
                    let flow = self.miss(at, context);
                    // What it taught holds for the frames behind it.
                    context.changes = context.bridge.stations.changes();
                    match flow {
                        Some(flow) => flow,
                        None => {
                            at += 1;
                            continue;
                        }
                    }
                }
            };
            let same = match disturbed {
                true => 1,
                false => {
                    1 + self.flows[at + 1..frames].iter().take_while(|&&next| next == found).count()
                }
            };
            self.run(batch, flow, at..at + same, context);
            at += same;
        }
    }

    fn run(
        &mut self,
        batch: &mut Batch,
        flow: FlowId,
        range: std::ops::Range<usize>,
        context: Context<'_>,
    ) {
        let frames = &self.frames[range.clone()];
        let bytes = frames.iter().map(|&at| batch.frame(at).len()).sum();
        self.cache.count(flow, frames.len(), bytes);
        let run = Run { frames, keys: &self.keys[range] };
        execute::execute(
            self.cache.program(flow),
            batch,
            &run,
            &mut self.outputs.for_batch(context.snapshot, context.ingress),
        );
    }

    /// Whether a flow that was found still holds. Now and then it tells the MAC table that its source lives.
    #[inline]
    fn is_current(&mut self, flow: FlowId, context: Context<'_>) -> bool {
        let stations = &context.bridge.stations;
        let cached = self.cache.cached_mut(flow);
        let dependencies = cached.dependencies;
        if dependencies.bridge != context.bridge.version {
            return false;
        }
        if cached.checked != context.changes {
            if !stations.is_current(dependencies.source)
                || !stations.is_current(dependencies.destination)
            {
                return false;
            }
            cached.checked = context.changes;
        }
        if cached.refreshed != context.now.seconds() {
            match cached.source {
                Source::Station(station) => stations.refresh(station, context.now.seconds()),
                // To be translated again, so that it is tried again to learn it.
                Source::Held => return false,
                Source::None => {}
            }
            cached.refreshed = context.now.seconds();
        }
        true
    }

    /// Translates the flow of a frame and caches it. `None` if the frame was dropped for want of budget.
    #[cold]
    fn miss(&mut self, at: usize, context: Context<'_>) -> Option<FlowId> {
        self.counted.misses += 1;
        let key = &self.keys[at];
        // An earlier frame of this batch may have brought it.
        if let Some(flow) = self.cache.find(key)
            && self.is_current(flow, context)
        {
            return Some(flow);
        }
        if !self.budgets.take(context.port.id, context.now) {
            let frame = self.frames.get(at..=at).unwrap_or_default();
            context.ingress.drop(DropReason::TranslationBudget, frame);
            return None;
        }
        self.counted.translations += 1;
        let key = &self.keys[at];
        let fdb = FdbView { stations: &context.bridge.stations, now: context.now.seconds() };
        for _ in 0..TRIES {
            let translation = translate(key, (context.port, context.bridge), context.snapshot, fdb);
            if let Some((mask, cached)) = apply(translation, context) {
                return Some(self.cache.insert(key, &mask, cached));
            }
        }
        let frame = self.frames.get(at..=at).unwrap_or_default();
        context.ingress.drop(DropReason::LoopHeld, frame);
        None
    }
}

/// Whether two keys are the same, without a branch a word.
#[inline]
fn same(one: &FlowKey, other: &FlowKey) -> bool {
    one.words().iter().zip(other.words()).fold(0, |all, (one, other)| all | one ^ other) == 0
}

/// Applies the effects of a translation, and makes of it what is cached. `None` if its source came to be held behind
/// another port since it was made.
fn apply(translation: Translation, context: Context<'_>) -> Option<(Mask, Cached)> {
    let seconds = context.now.seconds();
    let mut dependencies = translation.dependencies;
    let source = match translation.effects.learn {
        None if translation.effects.again => Source::Held,
        None => Source::None,
        Some(learn) => {
            let (learned, dependency) =
                context.bridge.stations.learn(learn.vid, learn.mac, learn.port, seconds);
            dependencies.source = dependency;
            match learned {
                Learned::Here(station) => Source::Station(station),
                Learned::Held => Source::Held,
                Learned::LoopHeld => return None,
            }
        }
    };
    let cached = Cached {
        program: translation.program,
        dependencies,
        source,
        refreshed: seconds,
        checked: context.changes,
    };
    Some((translation.mask, cached))
}

#[cfg(test)]
mod tests;
