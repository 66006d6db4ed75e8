//! The guest's receive ring: frames out of the switch.
//!
//! All buffers of a frame are reserved before its first byte is written, so that a frame arrives whole or not at
//! all. The guest's index is read once a burst, and again, a few times, only when its buffers have run out.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Acquire;

use strowger_guestmem::{Lookup, Segment, SegmentMut};
use strowger_packet::batch::MAX_FRAMES;
use strowger_packet::counters::Shard;
use strowger_packet::egress::{self, Piece, Scratch};
use strowger_packet::offload::Accepts;
use strowger_packet::{Batch, DropReason, FrameRef, Lost};

use crate::ring::chain::{Direction, MAX_PIECES, Walker};
use crate::ring::header::Header;
use crate::ring::notifier::Notifier;
use crate::ring::split::{Descriptor, Split};
use crate::ring::{Broken, RingConfig, RingError, feature};

/// The most chains that one frame is spread over.
const MAX_BUFFERS: usize = 256;
/// The most pieces of memory that one burst reserves for frames that do not fit a single buffer: 64 frames of
/// 64 KiB in buffers of 1.5 KiB are 2,752.
const MAX_RESERVED: usize = 8192;
/// How often a burst looks again for buffers when there are none.
const FULL_RETRIES: usize = 16;

/// How many chains are looked at before their turn, so that their memory comes meanwhile.
const AHEAD: usize = 8;

/// The guest's receive ring, started.
#[derive(Debug)]
pub struct TxQueue {
    ring: Split,
    walker: Walker,
    /// Bytes of the virtio-net header.
    header: usize,
    /// Whether a frame may be spread over several chains (`VIRTIO_NET_F_MRG_RXBUF`).
    mergeable: bool,
    accepts: Accepts,
    ahead: Box<[Ahead; MAX_FRAMES]>,
    /// The next of `ahead` to use, how many of them were looked at, and how many heads are known.
    at: usize,
    looked: usize,
    known: usize,
    reserved: Vec<Reserved>,
    pieces: Vec<SegmentMut>,
    /// Not there while it is in use.
    scratch: Option<Box<Scratch>>,
    burst: Burst,
    broken: bool,
    call: Option<Notifier>,
    error: Option<Notifier>,
    config: RingConfig,
}

/// What is known of a chain before its turn comes.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    head: u16,
    first: Descriptor,
    /// Its only buffer, if it is such a chain.
    single: Option<SegmentMut>,
}

/// A chain that is part of the frame at hand.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    head: u16,
    bytes: u64,
}

/// What one call has done so far.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    frames: usize,
    bytes: usize,
    bad_chains: usize,
    reserved: usize,
    /// Looked again for buffers in vain: the rest of the burst does not.
    full: bool,
}

/// Why a frame was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Dropped(DropReason),
    Broken,
}

impl From<Broken> for Failure {
    fn from(Broken: Broken) -> Self {
        Self::Broken
    }
}

impl TxQueue {
    /// Starts on a ring. The guest is interrupted once, in case that it waits for what a predecessor returned.
    ///
    /// # Errors
    /// If the ring's size or addresses are not those of a ring in the guest's memory, or a descriptor for
    /// wake-ups is no eventfd.
    pub fn new(config: RingConfig) -> Result<Self, RingError> {
        let ring = Split::new(&config)?;
        let call = config.call.as_ref().map(|fd| Notifier::new(fd, "call")).transpose()?;
        let error = config.error.as_ref().map(|fd| Notifier::new(fd, "error")).transpose()?;
        if let Some(call) = &call {
            call.signal();
        }
        let lookup = Lookup::new(config.memory.clone());
        Ok(Self {
            ring,
            walker: Walker::new(lookup, Direction::Write, config.has(feature::INDIRECT_DESC)),
            header: config.header_len(),
            mergeable: config.has(feature::MRG_RXBUF),
            accepts: Accepts {
                checksum: config.has(feature::GUEST_CSUM),
                tso4: config.has(feature::GUEST_TSO4),
                tso6: config.has(feature::GUEST_TSO6),
                ecn: config.has(feature::GUEST_ECN),
                // Not offered.
                uso: false,
            },
            ahead: Box::new([Ahead::default(); MAX_FRAMES]),
            at: 0,
            looked: 0,
            known: 0,
            reserved: Vec::with_capacity(MAX_BUFFERS),
            pieces: Vec::with_capacity(MAX_BUFFERS + MAX_PIECES),
            scratch: Some(Box::default()),
            burst: Burst::default(),
            broken: false,
            call,
            error,
            config,
        })
    }

    /// Which queue pair it belongs to.
    #[must_use]
    pub fn pair(&self) -> u16 {
        self.config.pair
    }

    /// The next available index, for `GET_VRING_BASE`.
    #[must_use]
    pub fn base(&self) -> u16 {
        self.ring.base()
    }

    /// What it was made from, with the base at which another can go on.
    #[must_use]
    pub fn into_config(self) -> RingConfig {
        let base = self.ring.base();
        RingConfig { base, ..self.config }
    }

    /// What the guest takes unfinished.
    #[must_use]
    pub fn accepts(&self) -> Accepts {
        self.accepts
    }

    /// Whether the ring broke, by an index that jumped or memory that was truncated. It stays so, and takes no
    /// more frames, until it is started anew.
    #[inline]
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Delivers frames in order; what the guest does not take unfinished is finished here. Never waits.
    ///
    /// Counts what was delivered (of a frame that is cut here, each segment) and each frame that was not:
    /// [`DropReason::PortDown`] while the ring is disabled, [`DropReason::QueueFull`] without buffers,
    /// [`DropReason::BufferTooSmall`] if no chain of a guest without mergeable buffers holds it, and
    /// [`DropReason::ReceiverBroken`]. A bad chain is returned unused and counted as
    /// [`DropReason::BadDescriptor`]. `lost` is filled with the frames that were not delivered; of one that is cut
    /// here, if any of its segments was not.
    pub fn tx_burst(
        &mut self,
        batch: &Batch,
        frames: &[FrameRef],
        counters: &Shard,
        mut lost: Option<&mut Lost>,
    ) {
        if self.broken {
            lose_all(frames, DropReason::ReceiverBroken, counters, lost);
            return;
        }
        if !self.config.enabled.load(Acquire) {
            lose_all(frames, DropReason::PortDown, counters, lost);
            return;
        }
        self.burst = Burst::default();
        let done = self.deliver_all(batch, frames, counters, lost.as_deref_mut());
        if done.is_err() || self.walker.lookup.memory().is_broken() {
            self.give_up();
            lose_all(frames, DropReason::ReceiverBroken, counters, lost);
            return;
        }
        self.ring.publish();
        counters.tx(self.burst.frames, self.burst.bytes);
        if self.burst.bad_chains > 0 {
            counters.drop(DropReason::BadDescriptor, self.burst.bad_chains);
        }
    }

    fn deliver_all(
        &mut self,
        batch: &Batch,
        frames: &[FrameRef],
        counters: &Shard,
        mut lost: Option<&mut Lost>,
    ) -> Result<(), Broken> {
        for &at in frames {
            if self.at == self.known {
                self.look_ahead()?;
            }
            let frame = batch.frame(at);
            let done = if self.accepts.takes(frame.offload) {
                self.deliver(Piece {
                    head: frame.head(),
                    tail: batch.tail(at),
                    tail_len: frame.tail_len(),
                    offload: frame.offload,
                })
            } else {
                self.deliver_in_pieces(batch, at)
            };
            match done {
                Ok(()) => {}
                Err(Failure::Dropped(reason)) => {
                    counters.drop(reason, 1);
                    if let Some(lost) = lost.as_deref_mut() {
                        lost.push((at, reason));
                    }
                }
                Err(Failure::Broken) => return Err(Broken),
            }
        }
        Ok(())
    }

    /// Does in software what the guest does not.
    #[cold]
    fn deliver_in_pieces(&mut self, batch: &Batch, at: FrameRef) -> Result<(), Failure> {
        let mut scratch = self.scratch.take().unwrap_or_default();
        let mut done = Ok(());
        let cut = egress::for_each_piece(batch, at, self.accepts, &mut scratch, |piece| {
            done = self.deliver(piece);
            if done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.scratch = Some(scratch);
        cut.map_err(Failure::Dropped)?;
        done
    }

    #[inline(always)]
    fn deliver(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        let len = piece.head.len() + piece.tail_len;
        let need = self.header + len;
        // Nearly every frame: the next chain is one buffer, and large enough.
        if self.at < self.known
            && let Ahead { head, single: Some(buffer), .. } = self.ahead[self.at]
            && buffer.len() >= need
        {
            let header = Header::new(piece.offload, 1);
            // A header has ten bytes at least: two words cover it, and overlap.
            let _ = buffer.store_u64(0, header.word(0)); // Within: `need` is more than a header.
            let _ = buffer.store_u64(self.header - 8, header.word(self.header - 8));
            let (_, body) = buffer.split(self.header);
            let mut done = body.copy_from(piece.head);
            for &segment in piece.tail {
                let (_, rest) = body.split(done);
                done += rest.copy_from_segment(segment);
            }
            self.next_chain();
            self.ring.put(head, need as u32);
        } else {
            self.deliver_spread(piece, need)?;
        }
        self.burst.frames += 1;
        self.burst.bytes += len;
        Ok(())
    }

    /// Delivers a frame that the next chain does not hold, or not in one buffer.
    #[inline(never)]
    fn deliver_spread(&mut self, piece: Piece<'_>, need: usize) -> Result<(), Failure> {
        self.reserve(need)?;
        self.fill(piece, need);
        Ok(())
    }

    /// Reserves chains for `need` bytes, or none.
    fn reserve(&mut self, need: usize) -> Result<(), Failure> {
        self.reserved.clear();
        self.pieces.clear();
        let mut room = 0u64;
        while room < need as u64 {
            if self.at == self.known && self.look_ahead()? == 0 {
                return Err(self.cancel(DropReason::QueueFull));
            }
            if self.reserved.len() == if self.mergeable { MAX_BUFFERS } else { 1 } {
                return Err(self.cancel(DropReason::BufferTooSmall));
            }
            if self.burst.reserved >= MAX_RESERVED {
                return Err(self.cancel(DropReason::QueueFull));
            }
            let Ahead { head, first, .. } = self.next_chain();
            let (known, before) = (self.ring.has(head), self.pieces.len());
            let walked = self.walker.walk(&self.ring, first, &mut self.pieces);
            self.burst.reserved += 1 + self.pieces.len() - before;
            // The header lies in the first chain (5.1.6.4), and a chain without room is none.
            let least = if self.reserved.is_empty() { self.header as u64 } else { 1 };
            match walked {
                Ok(bytes) if known && bytes >= least => {
                    room += bytes;
                    self.reserved.push(Reserved { head, bytes });
                }
                _ => {
                    self.reject(head);
                    room = 0;
                }
            }
        }
        Ok(())
    }

    /// Returns a bad chain and what was reserved before it, all of them empty, in ring order.
    #[cold]
    fn reject(&mut self, head: u16) {
        for chain in self.reserved.drain(..) {
            self.ring.put(chain.head, 0);
        }
        self.ring.put(head, 0);
        self.pieces.clear();
        self.burst.bad_chains += 1;
    }

    /// Gives reserved chains back to the ring as if they had not been taken.
    fn cancel(&mut self, reason: DropReason) -> Failure {
        self.ring.untake(self.reserved.len() as u16);
        // What was known ahead is no longer what comes next.
        self.at = 0;
        self.looked = 0;
        self.known = 0;
        self.reserved.clear();
        Failure::Dropped(reason)
    }

    /// Writes a frame into the chains reserved for it, and returns them.
    fn fill(&mut self, piece: Piece<'_>, need: usize) {
        let header = Header::new(piece.offload, self.reserved.len() as u16).bytes();
        let mut sink = Sink { pieces: self.pieces.iter(), rest: None };
        sink.write(&header[..self.header]);
        sink.write(piece.head);
        for &segment in piece.tail {
            sink.write_segment(segment);
        }
        let mut left = need as u64;
        for chain in self.reserved.drain(..) {
            let written = chain.bytes.min(left);
            self.ring.put(chain.head, written as u32);
            left -= written;
        }
    }

    /// Reads the heads of the next chains, as many as a batch may need, and looks at the first of them. What this
    /// burst leaves over the next one finds fetched. Returns how many there are.
    fn look_ahead(&mut self) -> Result<usize, Broken> {
        let mut known = self.ring.available(MAX_FRAMES as u16)?;
        if known == 0 && !self.burst.full {
            known = self.look_again()?;
        }
        let count = usize::from(known).min(MAX_FRAMES);
        for (index, ahead) in self.ahead.iter_mut().take(count).enumerate() {
            ahead.head = self.ring.head(index as u16);
        }
        self.at = 0;
        self.known = count;
        self.looked = 0;
        for _ in 0..count.min(AHEAD) {
            self.look();
        }
        Ok(count)
    }

    /// Reads the first descriptor of the next chain that was not looked at, and has its buffer fetched.
    #[inline(always)]
    fn look(&mut self) {
        let later = self.ahead[(self.looked + AHEAD) % MAX_FRAMES].head;
        self.ring.prefetch_descriptor(later);
        let ahead = &mut self.ahead[self.looked];
        ahead.first = self.ring.descriptor(ahead.head);
        let single = self.walker.single(ahead.first);
        ahead.single = single.filter(|_| self.ring.has(ahead.head));
        if let Some(buffer) = ahead.single {
            buffer.prefetch(0);
            buffer.prefetch(self.header);
        }
        self.looked += 1;
    }

    /// Takes the next chain, of which there must be one.
    #[inline(always)]
    fn next_chain(&mut self) -> Ahead {
        let chain = self.ahead[self.at];
        self.at += 1;
        self.ring.take(1);
        if self.looked < self.known {
            self.look();
        }
        chain
    }

    /// The bounded retry of a full queue.
    #[cold]
    fn look_again(&mut self) -> Result<u16, Broken> {
        // What the guest has not seen it cannot take and replace.
        self.ring.publish();
        for _ in 0..FULL_RETRIES {
            std::hint::spin_loop();
            let known = self.ring.available(1)?;
            if known > 0 {
                return Ok(known);
            }
        }
        self.burst.full = true;
        Ok(0)
    }

    /// Interrupts the guest, once, if it asked to be.
    pub fn notify(&mut self) {
        if !self.broken
            && let Some(call) = &self.call
            && self.ring.must_interrupt()
        {
            call.signal();
        }
    }

    #[cold]
    fn give_up(&mut self) {
        self.broken = true;
        if let Some(error) = &self.error {
            error.signal();
        }
    }
}

/// Counts a whole burst as dropped for one reason.
#[cold]
fn lose_all(frames: &[FrameRef], reason: DropReason, counters: &Shard, lost: Option<&mut Lost>) {
    counters.drop(reason, frames.len());
    if let Some(lost) = lost {
        lost.clear();
        lost.extend(frames.iter().map(|&at| (at, reason)));
    }
}

/// What is left to be written of the reserved chains.
struct Sink<'a> {
    pieces: std::slice::Iter<'a, SegmentMut>,
    rest: Option<SegmentMut>,
}

impl Sink<'_> {
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some(piece) = self.next() else { return };
            let copied = piece.copy_from(bytes);
            self.keep(piece, copied);
            bytes = &bytes[copied..];
        }
    }

    fn write_segment(&mut self, mut segment: Segment) {
        while !segment.is_empty() {
            let Some(piece) = self.next() else { return };
            let copied = piece.copy_from_segment(segment);
            self.keep(piece, copied);
            (_, segment) = segment.split(copied);
        }
    }

    fn keep(&mut self, piece: SegmentMut, used: usize) {
        let (_, rest) = piece.split(used);
        self.rest = (!rest.is_empty()).then_some(rest);
    }

    fn next(&mut self) -> Option<SegmentMut> {
        self.rest.take().or_else(|| self.pieces.next().copied())
    }
}
