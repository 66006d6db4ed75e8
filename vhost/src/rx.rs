//! The guest's transmit ring: frames into the switch.
//!
//! A burst takes what is there, at most a batch: first the heads of all chains, then their first descriptors,
//! then, with their cache lines on the way, the frames. Heads of frames are copied, tails borrowed until
//! [`release`](RxQueue::release) returns the chains in ring order.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Acquire;

use strowger_guestmem::{Lookup, Segment, SegmentMut};
use strowger_packet::batch::MAX_FRAMES;
use strowger_packet::counters::Shard;
use strowger_packet::{Batch, DropReason, PortId};

use crate::ring::chain::{Direction, MAX_PIECES, Walker};
use crate::ring::header::{Header, LONG};
use crate::ring::notifier::Notifier;
use crate::ring::split::{Descriptor, Split};
use crate::ring::{Broken, MAX_FRAME, MIN_FRAME, RingConfig, RingError, feature};

/// How many chains are looked at before their turn, so that their memory comes meanwhile.
const AHEAD: usize = 8;

/// The guest's transmit ring, started.
#[derive(Debug)]
pub struct RxQueue {
    ring: Split,
    walker: Walker,
    /// Bytes of the virtio-net header.
    header: usize,
    /// Chains taken by the last burst and not yet returned.
    taken: usize,
    heads: [u16; MAX_FRAMES],
    ahead: Box<[Ahead; MAX_FRAMES]>,
    pieces: Vec<SegmentMut>,
    broken: bool,
    kick: Notifier,
    polled: bool,
    call: Option<Notifier>,
    error: Option<Notifier>,
    config: RingConfig,
}

/// What is known of a chain before its turn comes.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    first: Descriptor,
    /// Its only buffer, if it is such a chain.
    single: Option<SegmentMut>,
}

impl RxQueue {
    /// Starts on a ring. The guest is interrupted once, in case that it waits for what a predecessor returned.
    ///
    /// # Errors
    /// If the ring's size or addresses are not those of a ring in the guest's memory, or a descriptor for
    /// wake-ups is no eventfd.
    pub fn new(config: RingConfig) -> Result<Self, RingError> {
        let ring = Split::new(&config)?;
        let kick = match &config.kick {
            Some(fd) => Notifier::new(fd, "kick")?,
            None => Notifier::silent()?,
        };
        let call = config.call.as_ref().map(|fd| Notifier::new(fd, "call")).transpose()?;
        let error = config.error.as_ref().map(|fd| Notifier::new(fd, "error")).transpose()?;
        if let Some(call) = &call {
            call.signal();
        }
        let lookup = Lookup::new(config.memory.clone());
        Ok(Self {
            ring,
            walker: Walker::new(lookup, Direction::Read, config.has(feature::INDIRECT_DESC)),
            header: config.header_len(),
            taken: 0,
            heads: [0; MAX_FRAMES],
            ahead: Box::new([Ahead::default(); MAX_FRAMES]),
            pieces: Vec::with_capacity(MAX_PIECES),
            broken: false,
            polled: config.kick.is_none(),
            kick,
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

    /// The next available index, for `GET_VRING_BASE`. Release the last burst first.
    #[must_use]
    pub fn base(&self) -> u16 {
        self.ring.base()
    }

    /// What it was made from, with the base at which another can go on.
    #[must_use]
    pub fn into_config(mut self) -> RingConfig {
        self.release();
        let base = self.ring.base();
        RingConfig { base, ..self.config }
    }

    /// Whether the ring broke, by an index that jumped or memory that was truncated. It stays so, and gives no
    /// more frames, until it is started anew.
    #[inline]
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Fills an empty batch with what the guest has sent. Returns how many frames it took.
    ///
    /// Counts what came in, and what it had to drop: chains that are no frame ([`DropReason::BadDescriptor`]),
    /// frames that are too short or too long, and everything while the ring is disabled
    /// ([`DropReason::RingDisabled`]). Dropped frames are not counted as received.
    /// Clear the batch before [`release`](Self::release): until then tails are borrowed from the guest.
    pub fn rx_burst(&mut self, port: PortId, batch: &mut Batch, counters: &Shard) -> usize {
        if self.taken > 0 {
            self.release();
        }
        if self.broken {
            return 0;
        }
        match self.receive(port, batch, counters) {
            // Nobody may come back for a burst that brought nothing.
            Ok(0) if self.taken > 0 => {
                self.release();
                self.notify();
                0
            }
            Ok(frames) => frames,
            Err(Broken) => {
                batch.clear();
                self.taken = 0;
                self.give_up(counters);
                0
            }
        }
    }

    fn receive(
        &mut self,
        port: PortId,
        batch: &mut Batch,
        counters: &Shard,
    ) -> Result<usize, Broken> {
        let known = self.ring.available(MAX_FRAMES as u16)?;
        if known == 0 {
            return Ok(0);
        }
        let count = usize::from(known).min(MAX_FRAMES);
        for (ahead, head) in self.heads.iter_mut().take(count).enumerate() {
            *head = self.ring.head(ahead as u16);
        }
        if !self.config.enabled.load(Acquire) {
            self.taken = count;
            self.ring.take(count as u16);
            counters.drop(DropReason::RingDisabled, count);
            return Ok(0);
        }
        for index in 0..count.min(AHEAD) {
            self.look(index);
        }
        for index in 0..count {
            if !batch.has_room(MAX_PIECES) {
                break;
            }
            if index + AHEAD < count {
                self.look(index + AHEAD);
            }
            self.taken = index + 1;
            let done = match self.ahead[index].single {
                Some(buffer) => receive_single(buffer.as_segment(), self.header, port, batch),
                None => self.receive_chain(index, port, batch),
            };
            if let Err(reason) = done {
                counters.drop(reason, 1);
            }
        }
        self.ring.take(self.taken as u16);
        // Last: zeroes may have been read in place of what was truncated meanwhile.
        if self.walker.lookup.memory().is_broken() {
            return Err(Broken);
        }
        counters.rx(batch.len(), batch.bytes());
        Ok(batch.len())
    }

    /// Reads the first descriptor of a chain whose turn comes soon, and has its buffer fetched.
    #[inline(always)]
    fn look(&mut self, index: usize) {
        let head = self.heads[index];
        self.ring.prefetch_descriptor(self.heads[(index + AHEAD) % MAX_FRAMES]);
        let first = self.ring.descriptor(head);
        let single = self.walker.single(first).filter(|_| self.ring.has(head));
        if let Some(buffer) = single {
            buffer.as_segment().prefetch(0);
            buffer.as_segment().prefetch(self.header);
        }
        self.ahead[index] = Ahead { first, single };
    }

    /// Takes a frame in several buffers.
    fn receive_chain(
        &mut self,
        index: usize,
        port: PortId,
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        let bad = |_| DropReason::BadDescriptor;
        if !self.ring.has(self.heads[index]) {
            return Err(DropReason::BadDescriptor);
        }
        self.pieces.clear();
        let first = self.ahead[index].first;
        let bytes = self.walker.walk(&self.ring, first, &mut self.pieces).map_err(bad)?;
        let len = frame_len(bytes, self.header)?;

        let mut source = Source { pieces: self.pieces.iter(), rest: None };
        let mut header = [0; LONG];
        source.fill(&mut header[..self.header]);
        let (frame, segments) = batch.next(port).ok_or(DropReason::BadDescriptor)?;
        let first = u64::from_le_bytes([
            header[0], header[1], header[2], header[3], header[4], header[5], header[6], header[7],
        ]);
        frame.claims = Header::claims(first, || u16::from_le_bytes([header[8], header[9]]));
        let head = source.fill(frame.head_room());
        frame.set_head(head);
        if head < len {
            let start = segments.len();
            segments.extend(source);
            frame.set_tail(start as u16, (segments.len() - start) as u16, (len - head) as u32);
        }
        batch.commit();
        Ok(())
    }

    /// Returns the last burst's chains, in ring order. Their tails are dead from here.
    pub fn release(&mut self) {
        if self.taken == 0 || self.broken {
            return;
        }
        for &head in self.heads.iter().take(self.taken) {
            self.ring.put(head, 0);
        }
        self.taken = 0;
        self.ring.publish();
    }

    /// Interrupts the guest if it asked to be, after [`release`](Self::release).
    pub fn notify(&mut self) {
        if !self.broken
            && let Some(call) = &self.call
            && self.ring.must_interrupt()
        {
            call.signal();
        }
    }

    /// Asks for a kick. `true` if frames are there already, or if the ring has no kick: do not sleep.
    pub fn arm(&mut self) -> bool {
        if self.broken {
            return false;
        }
        // A ring that breaks here is found broken by the next burst.
        self.ring.arm().unwrap_or(true) || self.polled
    }

    /// Asks for no more kicks.
    pub fn disarm(&mut self) {
        if !self.broken {
            self.ring.disarm();
        }
    }

    /// What becomes readable when the guest kicks, after [`arm`](Self::arm).
    #[must_use]
    pub fn kick(&self) -> BorrowedFd<'_> {
        self.kick.fd()
    }

    /// Takes the kicks that have come. Never waits.
    pub fn acknowledge(&self) {
        self.kick.acknowledge();
    }

    #[cold]
    fn give_up(&mut self, counters: &Shard) {
        self.broken = true;
        counters.drop(DropReason::BadDescriptor, 1);
        if let Some(error) = &self.error {
            error.signal();
        }
    }
}

/// The frame's length in a chain of so many bytes.
#[inline]
fn frame_len(bytes: u64, header: usize) -> Result<usize, DropReason> {
    let len = usize::try_from(bytes).unwrap_or(usize::MAX);
    if len < header + MIN_FRAME {
        return Err(DropReason::Truncated);
    }
    if len > header + MAX_FRAME {
        return Err(DropReason::TooLong);
    }
    Ok(len - header)
}

/// Takes a frame in one buffer: nearly every frame.
#[inline]
fn receive_single(
    buffer: Segment,
    header: usize,
    port: PortId,
    batch: &mut Batch,
) -> Result<(), DropReason> {
    let len = frame_len(buffer.len() as u64, header)?;
    let first = buffer.load_u64(0).ok_or(DropReason::Truncated)?;
    let (frame, segments) = batch.next(port).ok_or(DropReason::BadDescriptor)?;
    // The header has ten bytes at least: its eight from the third on end with `csum_offset`.
    frame.claims = Header::claims(first, || (buffer.load_u64(2).unwrap_or(0) >> 48) as u16);
    let (_, data) = buffer.split(header);
    let head = data.copy_to(frame.head_room());
    frame.set_head(head);
    if head < len {
        let (_, tail) = data.split(head);
        frame.set_tail(segments.len() as u16, 1, tail.len() as u32);
        segments.push(tail);
    }
    batch.commit();
    Ok(())
}

/// What is left of a chain's bytes.
struct Source<'a> {
    pieces: std::slice::Iter<'a, SegmentMut>,
    rest: Option<Segment>,
}

impl Source<'_> {
    /// Copies as much as there is and fits. Returns how many bytes.
    fn fill(&mut self, to: &mut [u8]) -> usize {
        let mut done = 0;
        while done < to.len() {
            let Some(piece) = self.next() else { break };
            let copied = piece.copy_to(&mut to[done..]);
            done += copied;
            let (_, rest) = piece.split(copied);
            self.rest = (!rest.is_empty()).then_some(rest);
        }
        done
    }
}

impl Iterator for Source<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        self.rest.take().or_else(|| self.pieces.next().map(SegmentMut::as_segment))
    }
}
