//! A port of the tests: frames go in by a call, and what comes out is kept.
//!
//! It keeps to the same contract as real ports (a kick only when armed, buffers held from burst to release), so that
//! what is tested with it is the engine's side of that contract.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use strowger_packet::counters::Shard;
use strowger_packet::frame::HEAD;
use strowger_packet::{Batch, DropReason, FrameRef, Lost, Offload, PortId};

/// The test's side of the port. Clones are the same port.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Port>);

/// The switch's side: where the test's frames come in.
#[derive(Debug)]
pub struct RxQueue {
    port: Arc<Port>,
    pair: u16,
    in_flight: usize,
}

/// The switch's side: what leaves here is kept.
#[derive(Debug)]
pub struct TxQueue {
    port: Arc<Port>,
    pair: u16,
}

/// A frame that the switch sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By which queue pair.
    pub pair: u16,
    /// All of it.
    pub bytes: Vec<u8>,
    /// What was left to do.
    pub offload: Offload,
}

#[derive(Debug)]
struct Port {
    pairs: Box<[Pair]>,
    sent: Mutex<Vec<Sent>>,
    arrived: Condvar,
    keeps: AtomicBool,
    broken: AtomicBool,
    room: AtomicUsize,
    interrupts: AtomicUsize,
}

#[derive(Debug)]
struct Pair {
    waiting: Mutex<Waiting>,
    kick: OwnedFd,
    in_flight: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    armed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// A port with `pairs` queue pairs.
    ///
    /// # Panics
    /// If the process has no descriptors left.
    #[must_use]
    pub fn new(pairs: u16) -> Self {
        let pair = |_| Pair {
            waiting: Mutex::default(),
            kick: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
                .expect("a test has a descriptor left"),
            in_flight: AtomicUsize::new(0),
        };
        Self(Arc::new(Port {
            pairs: (0..pairs).map(pair).collect(),
            sent: Mutex::default(),
            arrived: Condvar::new(),
            keeps: AtomicBool::new(true),
            broken: AtomicBool::new(false),
            room: AtomicUsize::new(usize::MAX),
            interrupts: AtomicUsize::new(0),
        }))
    }

    /// The rx queue of a pair.
    #[must_use]
    pub fn rx(&self, pair: u16) -> super::RxQueue {
        super::RxQueue::Recorder(RxQueue { port: Arc::clone(&self.0), pair, in_flight: 0 })
    }

    /// The tx queue of a pair.
    #[must_use]
    pub fn tx(&self, pair: u16) -> super::TxQueue {
        super::TxQueue::Recorder(TxQueue { port: Arc::clone(&self.0), pair })
    }

    /// Gives the switch frames by pair 0.
    pub fn send<B: Into<Vec<u8>>>(&self, frames: impl IntoIterator<Item = B>) {
        self.send_by(0, frames);
    }

    /// Gives the switch frames by some pair, and kicks if it asked for it.
    ///
    /// # Panics
    /// If there is no such pair, or a frame is longer than [`HEAD`]: this port's frames have no tail.
    pub fn send_by<B: Into<Vec<u8>>>(&self, pair: u16, frames: impl IntoIterator<Item = B>) {
        let pair = self.0.pairs.get(usize::from(pair)).expect("the port has this pair");
        let frames = frames.into_iter().map(Into::<Vec<u8>>::into);
        let frames = frames.inspect(|frame| assert!(frame.len() <= HEAD, "{} bytes", frame.len()));
        let mut waiting = lock(&pair.waiting);
        waiting.frames.extend(frames);
        if std::mem::take(&mut waiting.armed) {
            kick(&pair.kick);
        }
    }

    /// Kicks though nothing asked for it.
    pub fn kick(&self, pair: u16) {
        if let Some(pair) = self.0.pairs.get(usize::from(pair)) {
            kick(&pair.kick);
        }
    }

    /// Frames that the switch has not taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.pairs.iter().map(|pair| lock(&pair.waiting).frames.len()).sum()
    }

    /// Frames that the switch took and did not release.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.pairs.iter().map(|pair| pair.in_flight.load(Ordering::SeqCst)).sum()
    }

    /// What the switch sent since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *lock(&self.0.sent))
    }

    /// Waits until the switch has sent `frames` since the last [`take`](Self::take), and takes them.
    ///
    /// # Panics
    /// If it did not within a minute.
    #[must_use]
    pub fn wait_for(&self, frames: usize) -> Vec<Sent> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut sent = lock(&self.0.sent);
        while sent.len() < frames {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {frames} frames after a minute", sent.len());
            sent =
                self.0.arrived.wait_timeout(sent, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut sent)
    }

    /// Counts what is sent from now on but does not keep it: the switch's side allocates nothing then.
    pub fn discard(&self) {
        self.0.keeps.store(false, Ordering::Relaxed);
    }

    /// Takes only so many more frames; the rest finds the queue full.
    pub fn limit(&self, frames: usize) {
        self.0.room.store(frames, Ordering::Relaxed);
    }

    /// Breaks all rx queues, as a guest does that truncates its memory.
    pub fn break_queues(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// How often the switch told the receiver that frames came.
    #[must_use]
    pub fn interrupts(&self) -> usize {
        self.0.interrupts.load(Ordering::Relaxed)
    }
}

fn kick(fd: &OwnedFd) {
    // Fails only when the counter is at its end: it is readable then, which is all that is wanted.
    let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
}

impl RxQueue {
    fn own(&self) -> Option<&Pair> {
        self.port.pairs.get(usize::from(self.pair))
    }

    pub(super) fn pair(&self) -> u16 {
        self.pair
    }

    pub(super) fn rx_burst(&mut self, port: PortId, batch: &mut Batch, counters: &Shard) -> usize {
        let Some(pair) = self.port.pairs.get(usize::from(self.pair)) else { return 0 };
        let mut waiting = lock(&pair.waiting);
        while batch.has_room(0) && !waiting.frames.is_empty() {
            let Some(bytes) = waiting.frames.pop_front() else { break };
            let Some((frame, _)) = batch.next(port) else { break };
            let head = bytes.len().min(HEAD);
            if let (Some(room), Some(bytes)) =
                (frame.head_room().get_mut(..head), bytes.get(..head))
            {
                room.copy_from_slice(bytes);
            }
            frame.set_head(head);
            batch.commit();
        }
        self.in_flight = batch.len();
        pair.in_flight.fetch_add(batch.len(), Ordering::SeqCst);
        counters.rx(batch.len(), batch.bytes());
        batch.len()
    }

    pub(super) fn release(&mut self) {
        let frames = std::mem::take(&mut self.in_flight);
        if let Some(pair) = self.own() {
            pair.in_flight.fetch_sub(frames, Ordering::SeqCst);
        }
    }

    pub(super) fn notify(&mut self) {}

    pub(super) fn arm(&mut self) -> bool {
        self.own().is_some_and(|pair| {
            let mut waiting = lock(&pair.waiting);
            waiting.armed = true;
            !waiting.frames.is_empty()
        })
    }

    pub(super) fn disarm(&mut self) {
        if let Some(pair) = self.own() {
            lock(&pair.waiting).armed = false;
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a test that asks for a pair that is not there shall fail"
    )]
    pub(super) fn kick(&self) -> BorrowedFd<'_> {
        self.port.pairs[usize::from(self.pair)].kick.as_fd()
    }

    pub(super) fn acknowledge(&self) {
        // Fails only when there was no kick.
        let _ = rustix::io::read(self.kick(), &mut [0; 8]);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.port.broken.load(Ordering::SeqCst)
    }
}

impl Drop for RxQueue {
    fn drop(&mut self) {
        self.release();
    }
}

impl TxQueue {
    pub(super) fn pair(&self) -> u16 {
        self.pair
    }

    pub(super) fn tx_burst(
        &mut self,
        batch: &Batch,
        frames: &[FrameRef],
        counters: &Shard,
        lost: Option<&mut Lost>,
    ) {
        let room = self.port.room.load(Ordering::Relaxed);
        let (taken, rest) = frames.split_at(room.min(frames.len()));
        if room != usize::MAX {
            self.port.room.store(room - taken.len(), Ordering::Relaxed);
        }
        counters.drop(DropReason::QueueFull, rest.len());
        if let Some(lost) = lost {
            lost.extend(rest.iter().map(|&at| (at, DropReason::QueueFull)));
        }
        counters.tx(taken.len(), taken.iter().map(|&at| batch.frame(at).len()).sum());
        if self.port.keeps.load(Ordering::Relaxed) {
            let mut sent = lock(&self.port.sent);
            sent.extend(taken.iter().map(|&at| self.copy(batch, at)));
            self.port.arrived.notify_all();
        }
    }

    pub(super) fn notify(&mut self) {
        self.port.interrupts.fetch_add(1, Ordering::Relaxed);
    }

    fn copy(&self, batch: &Batch, at: FrameRef) -> Sent {
        let frame = batch.frame(at);
        let mut bytes = frame.head().to_vec();
        for segment in batch.tail(at) {
            let from = bytes.len();
            bytes.resize(from + segment.len(), 0);
            if let Some(room) = bytes.get_mut(from..) {
                segment.copy_to(room);
            }
        }
        Sent { pair: self.pair, bytes, offload: frame.offload }
    }
}
