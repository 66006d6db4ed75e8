//! What workers and one capture share: for each worker a lane, with a ring that only this worker fills.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rtrb::{Consumer, Producer, RingBuffer};
use strowger_guestmem::Segment;
use strowger_packet::{Batch, FrameRef, Lost};

use super::record::{HEADER, Header};
use super::tap::Fates;
use super::{Direction, Wants};

/// Bytes of captured frames, headers and all, that a capture keeps of each worker until its own thread takes them.
/// At a million frames of 64 bytes a second 190 ms.
pub const RING_BYTES: usize = 16 << 20;
/// Bytes of frames that a worker collects before it hands them over: a whole batch as it was received, however
/// large its last frame.
const STAGE_BYTES: usize = 512 << 10;

/// What workers see of a capture.
#[derive(Debug)]
pub(super) struct Session {
    wants: Wants,
    is_over: AtomicBool,
    lanes: Box<[Lane]>,
}

/// One worker's part. Away from its neighbours' cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Lane {
    /// Only this worker ever takes it: it is there because it is reached by a shared reference.
    room: spin::Mutex<Room>,
    /// By interface.
    counts: Box<[Counts]>,
}

#[derive(Debug)]
struct Room {
    ring: Producer<u8>,
    staged: Box<[u8]>,
    used: usize,
}

/// Written by one worker.
#[derive(Debug, Default)]
struct Counts {
    seen: AtomicU64,
    matched: AtomicU64,
    lost: AtomicU64,
}

/// What happened to the frames of one port that a capture could have had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames that passed the tap in the wanted direction.
    pub seen: u64,
    /// Those that the capture wants.
    pub matched: u64,
    /// Those of them that were not captured, since the ring was full.
    pub lost: u64,
}

fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(value), Relaxed);
}

impl Session {
    /// A session of so many ports and workers, and for each worker the end of its ring where frames come out.
    pub(super) fn new(
        wants: Wants,
        (interfaces, workers): (usize, usize),
        ring: usize,
    ) -> (Self, Vec<Consumer<u8>>) {
        let (lanes, rings): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| {
                let (producer, consumer) = RingBuffer::new(ring);
                // Zeroes that nobody reads: the system gives the memory when a worker first comes.
                let staged = vec![0; STAGE_BYTES].into_boxed_slice();
                let room = spin::Mutex::new(Room { ring: producer, staged, used: 0 });
                let counts = (0..interfaces).map(|_| Counts::default()).collect();
                (Lane { room, counts }, consumer)
            })
            .unzip();
        (Self { wants, is_over: AtomicBool::new(false), lanes: lanes.into() }, rings)
    }

    /// Wants no more, whatever snapshot workers still read.
    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// What all workers counted of a port.
    pub(super) fn seen(&self, interface: u16) -> Seen {
        let mut all = Seen::default();
        for counts in self.lanes.iter().filter_map(|lane| lane.counts.get(usize::from(interface))) {
            all.seen += counts.seen.load(Relaxed);
            all.matched += counts.matched.load(Relaxed);
            all.lost += counts.lost.load(Relaxed);
        }
        all
    }

    fn lane(
        &self,
        interface: u16,
        worker: usize,
        direction: Direction,
    ) -> Option<(&Counts, spin::MutexGuard<'_, Room>)> {
        if self.is_over.load(Relaxed) || self.wants.only.is_some_and(|only| only != direction) {
            return None;
        }
        let lane = self.lanes.get(worker)?;
        Some((lane.counts.get(usize::from(interface))?, lane.room.lock()))
    }

    /// Copies the frames of a batch as they came in. [`settle`](Self::settle) hands them over.
    pub(super) fn receive(&self, interface: u16, batch: &Batch, (worker, time): (usize, u64)) {
        let Some((counts, mut room)) = self.lane(interface, worker, Direction::Rx) else { return };
        room.used = 0;
        // What the ring does not hold is not copied for nothing; but of drops it is not known yet which they are.
        let limit = if self.wants.drops_only { usize::MAX } else { room.ring.slots() };
        let (mut matched, mut lost) = (0, 0);
        for (number, at) in batch.received().enumerate() {
            let frame = batch.frame(at);
            if !self.wants.frame(frame) {
                continue;
            }
            matched += 1;
            let header = Header {
                time,
                original: frame.len() as u32,
                captured: self.wants.captured(frame) as u32,
                interface,
                frame: number as u8,
                direction: Direction::Rx,
                reason: None,
            };
            lost += u64::from(!room.stage(header, (frame.head(), batch.tail(at)), limit));
        }
        add(&counts.seen, batch.len() as u64);
        if !self.wants.drops_only {
            add(&counts.matched, matched);
        }
        add(&counts.lost, lost);
    }

    /// Hands over what was received, with what became of it.
    pub(super) fn settle(&self, interface: u16, fates: &Fates, worker: usize) {
        let Some((counts, mut room)) = self.lane(interface, worker, Direction::Rx) else { return };
        if self.wants.drops_only {
            let (drops, lost) = room.hand_over_drops(fates);
            add(&counts.matched, drops);
            add(&counts.lost, lost);
        } else {
            room.put_reasons(fates);
            // There was room when they were staged, and only this worker fills the ring.
            add(&counts.lost, room.hand_over());
        }
    }

    /// Copies what a port was given, and says what of it was lost there.
    pub(super) fn send(
        &self,
        interface: u16,
        batch: &Batch,
        (frames, lost): (&[FrameRef], &Lost),
        (worker, time): (usize, u64),
    ) {
        let Some((counts, mut room)) = self.lane(interface, worker, Direction::Tx) else { return };
        let mut drops = lost.iter().peekable();
        let (mut matched, mut lost) = (0, 0);
        room.used = 0;
        for &at in frames {
            let reason = drops.next_if(|drop| drop.0 == at).map(|drop| drop.1);
            let frame = batch.frame(at);
            if self.wants.drops_only && reason.is_none() || !self.wants.frame(frame) {
                continue;
            }
            matched += 1;
            let header = Header {
                time,
                original: frame.len() as u32,
                captured: self.wants.captured(frame) as u32,
                interface,
                frame: u8::MAX,
                direction: Direction::Tx,
                reason,
            };
            let bytes = (frame.head(), batch.tail(at));
            if room.used + HEADER + header.captured as usize > room.staged.len() {
                lost += room.hand_over();
            }
            let limit = room.ring.slots();
            lost += u64::from(!room.stage(header, bytes, limit));
        }
        lost += room.hand_over();
        add(&counts.seen, frames.len() as u64);
        add(&counts.matched, matched);
        add(&counts.lost, lost);
    }
}

impl Room {
    /// Copies a frame behind those that are staged. `false` if that would make more than `limit` bytes.
    fn stage(&mut self, header: Header, (head, tail): (&[u8], &[Segment]), limit: usize) -> bool {
        let captured = header.captured as usize;
        let end = self.used + HEADER + captured;
        if end > limit {
            return false;
        }
        let Some(place) = self.staged.get_mut(self.used..end) else { return false };
        let (first, mut bytes) = place.split_at_mut(HEADER);
        first.copy_from_slice(&header.bytes());
        let head = head.get(..captured).unwrap_or(head);
        let (own, rest) = bytes.split_at_mut(head.len());
        own.copy_from_slice(head);
        bytes = rest;
        for segment in tail {
            if bytes.is_empty() {
                break;
            }
            let copied = segment.copy_to(bytes);
            bytes = &mut std::mem::take(&mut bytes)[copied..];
        }
        // A tail is as long as its frame says. If not, what was here before is not another frame's business.
        bytes.fill(0);
        self.used = end;
        true
    }

    /// Writes into the headers of all staged frames why they were dropped.
    fn put_reasons(&mut self, fates: &Fates) {
        let mut at = 0;
        while let Some(header) = self.header_at(at) {
            let read = Header::read(header);
            if let Some(reason) = fates.of(read.frame) {
                Header::put_reason(header, reason);
            }
            at += HEADER + read.captured as usize;
        }
    }

    /// Hands over those staged frames that were dropped. Returns how many they were, and how many did not fit.
    fn hand_over_drops(&mut self, fates: &Fates) -> (u64, u64) {
        let (mut at, mut drops, mut lost) = (0, 0, 0);
        while let Some(header) = self.header_at(at) {
            let read = Header::read(header);
            let end = at + HEADER + read.captured as usize;
            if let Some(reason) = fates.of(read.frame) {
                Header::put_reason(header, reason);
                drops += 1;
                let whole = self.staged.get(at..end).unwrap_or_default();
                lost += u64::from(self.ring.push_entire_slice(whole).is_err());
            }
            at = end;
        }
        self.used = 0;
        (drops, lost)
    }

    fn header_at(&mut self, at: usize) -> Option<&mut [u8; HEADER]> {
        self.staged.get_mut(at..self.used)?.first_chunk_mut()
    }

    /// Hands over all staged frames. Returns how many did not fit.
    fn hand_over(&mut self) -> u64 {
        let whole = self.staged.get(..self.used).unwrap_or_default();
        let mut lost = 0;
        if self.ring.push_entire_slice(whole).is_err() {
            let mut at = 0;
            while let Some(header) = self.header_at(at) {
                at += HEADER + Header::read(header).captured as usize;
                lost += 1;
            }
        }
        self.used = 0;
        lost
    }
}
