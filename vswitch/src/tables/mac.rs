//! The MAC table of a bridge: which station (VLAN and address) is behind which port. Shared by all workers.
//!
//! A frame that hits a worker's cache touches two things of it without a lock: the counter of
//! [`changes`](MacTable::changes), once a batch, and when that has moved the version of the two buckets that the
//! flow depends on ([`is_current`](MacTable::is_current)). Once a second a flow stamps its source as
//! [seen](MacTable::refresh), a relaxed store. Everything else (looking up, learning, ageing) is the slow path and
//! takes a mutex: those who wait sleep, so that a holder who lost his core gets it back.
//!
//! The table is bounded, and shared fairly by the ports ([`Shares`]): a port that invents source addresses replaces
//! its own. A station that moves between ports does so at most [`MOVES_A_SECOND`] times a second; the rest is held
//! back and counted, so that two ports that claim one address do not make every worker translate without end. A
//! station that goes to and fro is found by the [loop guard](super::loops), reported, and held where it was first if so
//! configured: then frames from it by other ports teach nothing, and [`hold`](MacTable::hold) says so to `translate`.
//! When a hold begins or ends before its time its bucket's version moves; that it is over in time a flow sees that is
//! translated again once a second.
//!
//! Which error is safe: a flow that is translated again though nothing it depends on changed. Which is not: a flow
//! that goes on after its station left. So a version is read *before* what it guards, and moved before `changes`.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strowger_packet::{MacAddress, PortId};

use super::loops::{Guard, LOOPS_KEPT, Loop, Track};
use super::shares::{Place, Shares};
use crate::vlan::Vid;

/// How often a station may move to another port within one second.
pub const MOVES_A_SECOND: u8 = 4;

/// No station.
const NONE: u32 = u32::MAX;
/// Stations examined for each time that the lock is taken, when many are.
const SLICE: usize = 256;

/// A moment, in seconds since some start that all users of a table share.
pub type Seconds = u32;

/// What bounds a MAC table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacLimits {
    /// The most stations.
    pub stations: usize,
    /// After how long without a frame a station is forgotten (IEEE 802.1Q, 8.8.3); whole seconds.
    pub ageing: Duration,
}

impl Default for MacLimits {
    fn default() -> Self {
        Self { stations: 8192, ageing: Duration::from_secs(300) }
    }
}

/// A bucket of stations as it was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    bucket: u32,
    version: u32,
}

impl Dependency {
    /// On nothing: always current.
    pub const NONE: Self = Self { bucket: NONE, version: 0 };
}

/// A station's place in the table, as long as the [`Dependency`] that came with it is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StationId(u32);

/// What [`MacTable::learn`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The station is behind the port now, whether it was before or not.
    Here(StationId),
    /// It moved too often in this second and stays where it was.
    Held,
    /// The loop guard holds it behind another port: the frame is to be dropped.
    LoopHeld,
}

/// A station, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Station {
    /// Its VLAN.
    pub vid: Vid,
    /// Its address.
    pub mac: MacAddress,
    /// The port it is behind.
    pub port: PortId,
    /// Seconds since it was last heard.
    pub age: Seconds,
    /// Whether the loop guard holds it there.
    pub held: bool,
    /// The port to which it goes to and fro, if it did so of late.
    pub goes_to: Option<PortId>,
}

/// What a table counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacStatistics {
    /// Stations now.
    pub stations: usize,
    /// Stations that went to another port.
    pub moves: u64,
    /// Moves that were held back: too many within a second, or by the loop guard.
    pub held: u64,
    /// Times that the loop guard found a station that goes to and fro.
    pub loops: u64,
    /// Stations that the loop guard holds, or held until a second ago.
    pub held_stations: usize,
    /// Stations that made room for others.
    pub replaced: u64,
    /// Stations that were not heard of for the ageing time.
    pub aged: u64,
}

/// The MAC table of a bridge.
#[derive(Debug)]
pub struct MacTable {
    places: usize,
    /// Seconds.
    ageing: AtomicU64,
    hasher: RandomState,
    changes: AtomicU64,
    versions: Box<[AtomicU32]>,
    seen: Box<[AtomicU32]>,
    /// How many stations are held: while there are none nobody need ask.
    holds: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    shares: Shares,
    buckets: Box<[u32]>,
    entries: Vec<Entry>,
    cursor: u32,
    statistics: MacStatistics,
    guard: Guard,
    /// The places of stations that are held.
    held: Vec<u32>,
    loops: Vec<Loop>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    mac: MacAddress,
    vid: Vid,
    port: PortId,
    next: u32,
    moved: Seconds,
    moves: u8,
    taken: bool,
    track: Track,
}

impl MacTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: MacLimits) -> Self {
        let stations = limits.stations.clamp(1, 1 << 24);
        let buckets = stations.next_power_of_two();
        Self {
            places: stations,
            ageing: AtomicU64::new(limits.ageing.as_secs()),
            hasher: RandomState::new(),
            changes: AtomicU64::new(0),
            versions: (0..buckets).map(|_| AtomicU32::new(0)).collect(),
            seen: (0..stations).map(|_| AtomicU32::new(0)).collect(),
            holds: AtomicU32::new(0),
            inner: Mutex::new(Inner {
                shares: Shares::new(stations),
                buckets: vec![NONE; buckets].into_boxed_slice(),
                entries: Vec::new(),
                cursor: 0,
                statistics: MacStatistics::default(),
                guard: Guard::default(),
                held: Vec::new(),
                loops: Vec::new(),
            }),
        }
    }

    /// What bounds it.
    #[must_use]
    pub fn limits(&self) -> MacLimits {
        let ageing = Duration::from_secs(self.ageing.load(Ordering::Relaxed));
        MacLimits { stations: self.places, ageing }
    }

    /// Has stations age otherwise from now on.
    pub fn set_ageing(&self, ageing: Duration) {
        self.ageing.store(ageing.as_secs(), Ordering::Relaxed);
    }

    /// Has the loop guard do something else from now on. Unless it holds, it lets go of what it held.
    pub fn set_guard(&self, guard: Guard) {
        let mut inner = self.lock();
        inner.guard = guard;
        if !matches!(guard, Guard::Hold(_)) {
            self.release_holds(&mut inner, |_| true);
        }
    }

    /// What the loop guard does.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.lock().guard
    }

    /// The loops that were found since the last call, the oldest first, at most [`LOOPS_KEPT`].
    #[must_use]
    pub fn take_loops(&self) -> Vec<Loop> {
        std::mem::take(&mut self.lock().loops)
    }

    /// The port that the loop guard holds a station behind, if it does, and what that answer depends on.
    #[must_use]
    pub fn hold(&self, vid: Vid, mac: MacAddress, now: Seconds) -> Option<(PortId, Dependency)> {
        // Who is told of no hold and learns that station is told of it then.
        if self.holds.load(Ordering::Acquire) == 0 {
            return None;
        }
        let bucket = self.bucket(vid, mac);
        let inner = self.lock();
        let at = inner.find(bucket, vid, mac)?;
        let entry = inner.entry(at).filter(|entry| entry.track.is_held(now))?;
        Some((entry.port, self.dependency(bucket)))
    }

    /// A counter that moves after every change. While it stands still, every dependency that was current is.
    #[inline]
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether a bucket is as it was.
    #[inline]
    #[must_use]
    pub fn is_current(&self, dependency: Dependency) -> bool {
        self.versions
            .get(dependency.bucket as usize)
            .is_none_or(|version| version.load(Ordering::Acquire) == dependency.version)
    }

    /// Stamps a station as heard of now.
    #[inline]
    pub fn refresh(&self, station: StationId, now: Seconds) {
        if let Some(seen) = self.seen.get(station.0 as usize) {
            seen.store(now, Ordering::Relaxed);
        }
    }

    /// The port that a station is behind, and what that answer depends on.
    #[must_use]
    pub fn lookup(&self, vid: Vid, mac: MacAddress, now: Seconds) -> (Option<PortId>, Dependency) {
        let bucket = self.bucket(vid, mac);
        let inner = self.lock();
        let dependency = self.dependency(bucket);
        let station = inner.find(bucket, vid, mac).filter(|&at| !self.is_old(&inner, at, now));
        (station.and_then(|at| inner.entry(at)).map(|entry| entry.port), dependency)
    }

    /// Notes that a frame of a station came in by a port.
    pub fn learn(
        &self,
        vid: Vid,
        mac: MacAddress,
        port: PortId,
        now: Seconds,
    ) -> (Learned, Dependency) {
        let bucket = self.bucket(vid, mac);
        let mut inner = self.lock();
        let learned = match inner.find(bucket, vid, mac) {
            Some(at) => self.relearn(&mut inner, at, port, now, bucket),
            None => {
                Learned::Here(StationId(self.insert(&mut inner, bucket, (vid, mac, port), now)))
            }
        };
        (learned, self.dependency(bucket))
    }

    /// Forgets stations that were not heard of for the ageing time, among the next `at_most` places.
    /// To be called again and again; not by a worker.
    pub fn age(&self, now: Seconds, at_most: usize) {
        let mut left = at_most.min(self.places);
        self.release_holds(&mut self.lock(), |entry| !entry.track.is_held(now));
        while left > 0 {
            let slice = left.min(SLICE);
            self.age_slice(now, slice);
            left -= slice;
        }
    }

    /// Forgets all stations behind a port. Returns how many there were.
    pub fn forget(&self, port: PortId) -> usize {
        let mut forgotten = 0;
        loop {
            let mut inner = self.lock();
            for _ in 0..SLICE {
                let Some(at) = inner.shares.first(port.0) else { return forgotten };
                self.remove(&mut inner, at);
                inner.shares.release(at);
                forgotten += 1;
            }
        }
    }

    /// All stations, in order of VLAN and address.
    #[must_use]
    pub fn stations(&self, now: Seconds) -> Vec<Station> {
        let inner = self.lock();
        let mut stations: Vec<Station> = inner
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.taken)
            .map(|(at, entry)| {
                let seen = self.seen.get(at).map_or(now, |seen| seen.load(Ordering::Relaxed));
                Station {
                    vid: entry.vid,
                    mac: entry.mac,
                    port: entry.port,
                    age: now.saturating_sub(seen),
                    held: entry.track.is_held(now),
                    goes_to: entry.track.goes_to(now),
                }
            })
            .collect();
        drop(inner);
        stations.sort_unstable();
        stations
    }

    /// What it counted.
    #[must_use]
    pub fn statistics(&self) -> MacStatistics {
        let inner = self.lock();
        let (stations, held_stations) = (inner.shares.len(), inner.held.len());
        MacStatistics { stations, held_stations, ..inner.statistics }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics with the lock held; if it did, the table would still be whole enough to forward.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self, vid: Vid, mac: MacAddress) -> u32 {
        // SipHash with a key of its own: nobody outside can aim at a bucket.
        self.hasher.hash_one((vid, mac)) as u32 & (self.versions.len() - 1) as u32
    }

    fn dependency(&self, bucket: u32) -> Dependency {
        let version =
            self.versions.get(bucket as usize).map_or(0, |version| version.load(Ordering::Acquire));
        Dependency { bucket, version }
    }

    /// Tells those who depend on a bucket that it is another now. With the lock held.
    fn changed(&self, bucket: u32) {
        if let Some(version) = self.versions.get(bucket as usize) {
            version.fetch_add(1, Ordering::Release);
        }
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn is_old(&self, inner: &Inner, at: u32, now: Seconds) -> bool {
        let seen = self.seen.get(at as usize).map_or(0, |seen| seen.load(Ordering::Relaxed));
        u64::from(now.saturating_sub(seen)) > self.ageing.load(Ordering::Relaxed)
            && inner.entry(at).is_none_or(|entry| !entry.track.is_held(now))
    }

    /// A station that is known was heard of again.
    fn relearn(
        &self,
        inner: &mut Inner,
        at: u32,
        port: PortId,
        now: Seconds,
        bucket: u32,
    ) -> Learned {
        let was_old = self.is_old(inner, at, now);
        let Some(entry) = inner.entries.get_mut(at as usize) else { return Learned::Held };
        if was_old {
            entry.track.restart();
        } else if entry.port != port {
            if entry.track.is_held(now) {
                inner.statistics.held += 1;
                return Learned::LoopHeld;
            }
            if entry.moved == now && entry.moves >= MOVES_A_SECOND {
                inner.statistics.held += 1;
                return Learned::Held;
            }
            let before = std::mem::replace(&mut entry.moved, now);
            entry.moves = if before == now { entry.moves + 1 } else { 1 };
            inner.statistics.moves += 1;
            let ports = (entry.port, port);
            if inner.guard != Guard::Off && entry.track.moved(ports, before, now) {
                self.found(inner, at, ports, now);
            }
        }
        let Some(entry) = inner.entries.get_mut(at as usize) else { return Learned::Held };
        let moves = std::mem::replace(&mut entry.port, port) != port;
        if moves {
            inner.shares.pass(at, port.0);
        }
        self.refresh(StationId(at), now);
        if moves || was_old {
            self.changed(bucket);
        }
        Learned::Here(StationId(at))
    }

    /// A station was found that comes back to where it was before, and is to be held there if so configured.
    fn found(&self, inner: &mut Inner, at: u32, (other, home): (PortId, PortId), now: Seconds) {
        let Some(entry) = inner.entries.get_mut(at as usize) else { return };
        inner.statistics.loops += 1;
        let held = match inner.guard {
            Guard::Hold(seconds) => Some(seconds),
            Guard::Off | Guard::Report => None,
        };
        if let Some(seconds) = held {
            // It moves there: its bucket is another from now on.
            entry.track.hold(now.saturating_add(seconds));
            // A station that had this place before may have been held, too.
            if !inner.held.contains(&at) {
                inner.held.push(at);
            }
            self.holds.store(inner.held.len() as u32, Ordering::Release);
        }
        if entry.track.report(now) && inner.loops.len() < LOOPS_KEPT {
            inner.loops.push(Loop { vid: entry.vid, mac: entry.mac, home, other, held });
        }
    }

    /// Ends the holds that are over, and forgets those of stations that went.
    fn release_holds(&self, inner: &mut Inner, is_over: impl Fn(&Entry) -> bool) {
        let Inner { held, entries, .. } = inner;
        held.retain(|&at| {
            let Some(entry) = entries.get_mut(at as usize) else { return false };
            // Its place may be another station's by now.
            let is_held = entry.taken && entry.track.has_hold();
            if is_held && is_over(entry) {
                entry.track.release();
                self.changed(self.bucket(entry.vid, entry.mac));
                return false;
            }
            is_held
        });
        self.holds.store(held.len() as u32, Ordering::Release);
    }

    fn insert(
        &self,
        inner: &mut Inner,
        bucket: u32,
        (vid, mac, port): (Vid, MacAddress, PortId),
        now: Seconds,
    ) -> u32 {
        // A station heard of within the last quarter of the ageing time is in use.
        let fresh = (self.ageing.load(Ordering::Relaxed) / 4) as u32;
        let in_use = |at: u32| {
            self.seen
                .get(at as usize)
                .is_some_and(|seen| now.saturating_sub(seen.load(Ordering::Relaxed)) < fresh)
        };
        let place = inner.shares.take(port.0, in_use);
        let at = place.index();
        if let Place::Replaces(_) = place {
            self.remove(inner, at);
            inner.statistics.replaced += 1;
        }
        let head = inner.buckets.get_mut(bucket as usize);
        let next = head.map_or(NONE, |head| std::mem::replace(head, at));
        let track = Track::default();
        let entry = Entry { mac, vid, port, next, moved: 0, moves: 0, taken: true, track };
        match inner.entries.get_mut(at as usize) {
            Some(place) => *place = entry,
            None => inner.entries.push(entry),
        }
        self.refresh(StationId(at), now);
        self.changed(bucket);
        at
    }

    /// Takes a station out of its bucket; its place is still its owner's.
    fn remove(&self, inner: &mut Inner, at: u32) {
        let Some(&Entry { mac, vid, next, .. }) = inner.entry(at) else { return };
        let bucket = self.bucket(vid, mac);
        inner.unchain(bucket, at, next);
        if let Some(entry) = inner.entries.get_mut(at as usize) {
            entry.taken = false;
        }
        self.changed(bucket);
    }

    fn age_slice(&self, now: Seconds, places: usize) {
        let mut inner = self.lock();
        for _ in 0..places.min(inner.entries.len()) {
            let at = inner.cursor;
            inner.cursor = if at as usize + 1 < inner.entries.len() { at + 1 } else { 0 };
            if inner.entry(at).is_some() && self.is_old(&inner, at, now) {
                self.remove(&mut inner, at);
                inner.shares.release(at);
                inner.statistics.aged += 1;
            }
        }
    }
}

impl Inner {
    fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize).filter(|entry| entry.taken)
    }

    fn find(&self, bucket: u32, vid: Vid, mac: MacAddress) -> Option<u32> {
        let mut at = *self.buckets.get(bucket as usize)?;
        // Ends: a chain holds each entry at most once.
        while let Some(entry) = self.entries.get(at as usize) {
            if entry.mac == mac && entry.vid == vid {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    fn unchain(&mut self, bucket: u32, at: u32, next: u32) {
        let Some(head) = self.buckets.get_mut(bucket as usize) else { return };
        if *head == at {
            *head = next;
            return;
        }
        let mut previous = *head;
        while let Some(entry) = self.entries.get_mut(previous as usize) {
            if entry.next == at {
                entry.next = next;
                return;
            }
            previous = entry.next;
        }
    }
}

#[cfg(test)]
#[path = "mac/tests.rs"]
mod tests;
