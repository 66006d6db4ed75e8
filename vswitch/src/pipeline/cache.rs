//! The flow cache of one worker: what was translated, and how to find it again.
//!
//! A key is looked up by its whole hash first ([`exact`](super::exact), eight bytes an entry), then under each mask
//! in use ([`masks`](super::masks)). A flow found the second way enters the first by chance, since most flows of a
//! scan never come again.
//!
//! Bounded in flows and in masks. Flows are shared fairly by the ports that they come from
//! ([`Shares`]): a port that makes a flow of every frame replaces its own.
//!
//! Flows never contradict each other: two that hold for one key were translated alike, or one of them is stale, and
//! the caller asks that of every flow found before it is used. So it does not matter which one is found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use strowger_packet::key::WORDS;
use strowger_packet::{FlowKey, Mask};

use super::exact::Exact;
use super::masks::{MaskId, Masks};
use crate::tables::mac::{Seconds, StationId};
use crate::tables::program::{Ops, Program};
use crate::tables::shares::{Place, Shares};
use crate::tables::translate::Dependencies;

/// No flow.
const NONE: u32 = u32::MAX;
/// One out of so many flows found by mask enters the exact cache.
const PROMOTION: u64 = 4;
/// Lists of operations that are kept to be shared.
const RECENT: usize = 16;

/// Words of a key in its first cache line: ports, metadata, Ethernet, VLAN tags.
const SHORT: usize = 8;

/// What bounds a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The most flows.
    pub flows: usize,
    /// The most masks, at most 255, beside that of all bits.
    pub masks: usize,
    /// Entries of the exact cache.
    pub exact: usize,
}

impl Default for CacheLimits {
    /// 65,536 flows, 32 masks, 8,192 exact entries (64 KiB).
    fn default() -> Self {
        Self { flows: 65_536, masks: 32, exact: 8_192 }
    }
}

/// A flow's place in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowId(u32);

/// What is cached for a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// What is done to its frames.
    pub program: Program,
    /// What that depends on.
    pub dependencies: Dependencies,
    /// The station that its frames come from.
    pub source: Source,
    /// When the MAC table last heard of the source by this flow.
    pub refreshed: Seconds,
    /// The MAC table's changes when the dependencies were last found current.
    pub checked: u64,
}

/// Where a flow's source stands in the MAC table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The flow learns nothing.
    None,
    /// It moves too often and stays behind another port; to be tried again in the next second.
    Held,
    /// Here.
    Station(StationId),
}

/// Frames and bytes of a flow. One writer, the worker; anyone reads.
#[derive(Debug, Default)]
pub struct FlowCounters {
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// How the frames of a worker found their flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Flows in the cache now.
    pub flows: usize,
    /// Their different masks.
    pub masks: usize,
    /// Frames whose flow the exact cache had, or that followed a frame with the same key.
    pub exact_hits: u64,
    /// Frames whose flow was found under a mask.
    pub masked_hits: u64,
    /// Frames for whose flow there was nothing that still held.
    pub misses: u64,
    /// Flows translated.
    pub translations: u64,
}

/// The flow cache of one worker.
#[derive(Debug)]
pub struct Cache {
    flows: Vec<Flow>,
    /// The next flow of the same bucket.
    next: Vec<u32>,
    buckets: Box<[u32]>,
    masks: Masks,
    exact: Exact,
    shares: Shares,
    counters: Arc<[FlowCounters]>,
    found: u64,
    /// The lists of operations that were cached last. A flood's list is as long as there are ports, and the same for
    /// all stations behind a port.
    recent: [Option<Arc<Ops>>; RECENT],
    oldest: usize,
}

/// Two cache lines of key, of which most masks need the first, and one of the rest.
#[derive(Debug)]
struct Flow {
    key: FlowKey,
    cached: Cached,
    mask: MaskId,
    /// Whether its mask has bits in the first cache line only.
    is_short: bool,
    used: bool,
}

impl FlowCounters {
    /// Frames and bytes.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.frames.load(Relaxed), self.bytes.load(Relaxed))
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "flow ids are given here, and places are kept when flows go"
)]
impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        let flows = limits.flows.clamp(1, 1 << 24);
        Self {
            flows: Vec::new(),
            next: Vec::new(),
            buckets: vec![NONE; flows.next_power_of_two()].into_boxed_slice(),
            masks: Masks::new(limits.masks),
            exact: Exact::new(limits.exact),
            shares: Shares::new(flows),
            counters: (0..flows).map(|_| FlowCounters::default()).collect(),
            found: 0,
            recent: [const { None }; RECENT],
            oldest: 0,
        }
    }

    /// Flows in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Masks in use.
    #[must_use]
    pub fn masks(&self) -> usize {
        self.masks.len()
    }

    /// Lookups that found their flow under a mask.
    #[must_use]
    pub fn masked_hits(&self) -> u64 {
        self.found
    }

    /// The counters of all places.
    #[must_use]
    pub fn counters(&self) -> &Arc<[FlowCounters]> {
        &self.counters
    }

    /// A flow that holds for this key, whose hash is `hash`; stale or not.
    #[inline]
    pub fn lookup(&mut self, key: &FlowKey, hash: u64) -> Option<FlowId> {
        if let Some(flow) = self.exact.find(hash, |flow| self.holds(flow, key)) {
            return Some(FlowId(flow));
        }
        let flow = self.find(key)?;
        self.found = self.found.wrapping_add(1);
        if self.found.is_multiple_of(PROMOTION) {
            let flows = &self.flows;
            let owner_of = |flow: u32| flows.get(flow as usize).and_then(Flow::owner);
            self.exact.insert(hash, flow.0, key.in_port().0, owner_of);
        }
        Some(flow)
    }

    /// The same, by masks alone.
    pub fn find(&mut self, key: &FlowKey) -> Option<FlowId> {
        for place in 0..self.masks.len() {
            let (id, mask) = self.masks.at(place)?;
            let masked = key.masked(mask);
            if let Some(flow) = self.find_masked(&masked, id) {
                self.masks.hit(place);
                return Some(flow);
            }
        }
        None
    }

    /// What is cached for a flow, to be brought up to date.
    #[inline]
    pub fn cached_mut(&mut self, flow: FlowId) -> &mut Cached {
        &mut self.flows[flow.0 as usize].cached
    }

    /// What is done to a flow's frames.
    #[inline]
    #[must_use]
    pub fn program(&self, flow: FlowId) -> &Program {
        &self.flows[flow.0 as usize].cached.program
    }

    /// Counts frames of a flow, and notes that it is in use.
    #[inline]
    pub fn count(&mut self, flow: FlowId, frames: usize, bytes: usize) {
        self.flows[flow.0 as usize].used = true;
        let add = |counter: &AtomicU64, value: usize| {
            counter.store(counter.load(Relaxed).wrapping_add(value as u64), Relaxed);
        };
        let counters = &self.counters[flow.0 as usize];
        add(&counters.frames, frames);
        add(&counters.bytes, bytes);
    }

    /// Caches what was translated for a key and holds for all keys that have the bits of `needed` in common with it.
    pub fn insert(&mut self, key: &FlowKey, needed: &Mask, mut cached: Cached) -> FlowId {
        if let Program::Ops(ops) = &mut cached.program {
            self.share(ops);
        }
        // A stale flow of the same key: its place is kept, if its mask is wide enough.
        while let Some(FlowId(stale)) = self.find(key) {
            if self.masks.get(self.flows[stale as usize].mask).contains(needed) {
                self.flows[stale as usize].cached = cached;
                return FlowId(stale);
            }
            self.remove(stale);
            self.shares.release(stale);
        }
        let flows = &mut self.flows;
        let place = self.shares.take(key.in_port().0, |flow| {
            flows.get_mut(flow as usize).is_some_and(|flow| std::mem::take(&mut flow.used))
        });
        let at = place.index();
        if let Place::Replaces(_) = place {
            self.remove(at);
        }
        let mask = self.masks.take(needed);
        let masked = key.masked(self.masks.get(mask));
        let bucket = self.bucket(&masked, mask);
        let is_short = self.masks.get(mask).words()[SHORT..].iter().all(|&word| word == 0);
        let flow = Flow { key: masked, cached, mask, is_short, used: false };
        let next = std::mem::replace(&mut self.buckets[bucket], at);
        match self.flows.get_mut(at as usize) {
            Some(place) => {
                *place = flow;
                self.next[at as usize] = next;
            }
            None => {
                self.flows.push(flow);
                self.next.push(next);
            }
        }
        self.counters[at as usize].frames.store(0, Relaxed);
        self.counters[at as usize].bytes.store(0, Relaxed);
        FlowId(at)
    }

    #[inline]
    fn holds(&self, flow: u32, key: &FlowKey) -> bool {
        self.flows.get(flow as usize).is_some_and(|flow| {
            let mask = self.masks.get(flow.mask);
            match flow.is_short {
                true => differing(key, &flow.key, mask, SHORT) == 0,
                false => differing(key, &flow.key, mask, WORDS) == 0,
            }
        })
    }

    fn find_masked(&self, masked: &FlowKey, mask: MaskId) -> Option<FlowId> {
        let mut at = self.buckets[self.bucket(masked, mask)];
        // Ends: a bucket's list holds each flow at most once.
        while let Some(flow) = self.flows.get(at as usize) {
            if flow.mask == mask && flow.key == *masked {
                return Some(FlowId(at));
            }
            at = self.next[at as usize];
        }
        None
    }

    fn bucket(&self, masked: &FlowKey, mask: MaskId) -> usize {
        (masked.hash() as usize).wrapping_add(usize::from(mask)) & (self.buckets.len() - 1)
    }

    /// Replaces a list of operations by the same one that another flow has, if one of late has it.
    fn share(&mut self, ops: &mut Arc<Ops>) {
        if let Some(same) = self.recent.iter().flatten().find(|same| **same == *ops) {
            *ops = Arc::clone(same);
        } else {
            self.recent[self.oldest] = Some(Arc::clone(ops));
            self.oldest = (self.oldest + 1) % RECENT;
        }
    }

    /// Takes a flow out of its bucket; its place is still its owner's.
    fn remove(&mut self, at: u32) {
        let flow = &mut self.flows[at as usize];
        // No frame has this key: the exact cache's entries for the flow find nothing.
        let key = std::mem::replace(&mut flow.key, FlowKey::from_words([u64::MAX; 16]));
        flow.cached.program = Program::Drop(strowger_packet::DropReason::NoReceiver);
        let mask = flow.mask;
        let bucket = self.bucket(&key, mask);
        let next = self.next[at as usize];
        if self.buckets[bucket] == at {
            self.buckets[bucket] = next;
        } else {
            let mut before = self.buckets[bucket];
            while self.next[before as usize] != at {
                before = self.next[before as usize];
            }
            self.next[before as usize] = next;
        }
        self.masks.release(mask);
    }
}

impl Flow {
    /// The port that it comes from; `None` once it is gone.
    fn owner(&self) -> Option<u32> {
        let port = self.key.in_port().0;
        (port != u32::MAX).then_some(port)
    }
}

/// The bits under `mask` in which a key differs from `masked`, in its first `words` words, all joined.
#[inline(always)]
fn differing(key: &FlowKey, masked: &FlowKey, mask: &Mask, words: usize) -> u64 {
    let words = key.words().iter().zip(masked.words()).zip(mask.words()).take(words);
    words.fold(0, |all, ((word, masked), mask)| all | word & mask ^ masked)
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
