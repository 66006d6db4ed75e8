//! A capture's own thread: from the rings of the workers to the client.
//!
//! It polls, so that no worker ever has to wake it. When the client reads slowly, only it waits: the rings run full and
//! the workers count what is lost. Frames of one worker come in order; those of several in the order of their times,
//! as far as they had come when the rings were looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rtrb::Consumer;

use super::pcapng::{Interface, Statistics, Writer};
use super::record::{HEADER, Header};
use super::session::{Seen, Session};
use super::tap::now;
use crate::control::{CaptureSink, SinkError};

/// Bytes after which a piece of the stream is handed on.
pub(super) const PIECE: usize = 64 << 10;
/// How often the rings are looked at when they were empty the last time, and when not.
const IDLE: Duration = Duration::from_millis(10);
const BUSY: Duration = Duration::from_millis(1);
/// How long the client may take for what it was not given yet when the switch ends.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often statistics are written.
const STATISTICS: Duration = Duration::from_secs(1);

/// When a capture ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// After so many frames.
    pub(super) count: Option<u64>,
    /// After so much time.
    pub(super) duration: Option<Duration>,
}

/// A capture, in its own thread.
#[derive(Debug)]
pub(super) struct Stream {
    session: Arc<Session>,
    rings: Vec<Ring>,
    interfaces: Vec<Interface>,
    /// By interface: frames in the stream, and what the last statistics said.
    delivered: Vec<u64>,
    told: Vec<Option<(Seen, u64)>>,
    /// Frames until the end.
    left: u64,
    until: Option<Instant>,
    started: u64,
    writer: Writer,
    sink: CaptureSink,
    stop: Arc<AtomicBool>,
}

/// One worker's ring and its first frame, whose bytes are still in the ring.
#[derive(Debug)]
struct Ring {
    ring: Consumer<u8>,
    first: Option<Header>,
}

/// Why nothing more can be said to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gone;

impl Stream {
    pub(super) fn new(
        (session, rings): (Arc<Session>, Vec<Consumer<u8>>),
        interfaces: Vec<Interface>,
        limits: Limits,
        (sink, stop): (CaptureSink, Arc<AtomicBool>),
    ) -> Self {
        Self {
            session,
            rings: rings.into_iter().map(|ring| Ring { ring, first: None }).collect(),
            delivered: vec![0; interfaces.len()],
            told: vec![None; interfaces.len()],
            interfaces,
            left: limits.count.unwrap_or(u64::MAX),
            until: limits.duration.and_then(|duration| Instant::now().checked_add(duration)),
            started: now(),
            writer: Writer::default(),
            sink,
            stop,
        }
    }

    /// Runs until the client goes, a limit is reached or the switch ends. `leave` takes the taps away and returns when
    /// no worker comes any more.
    pub(super) fn run(mut self, leave: impl FnOnce()) {
        let ended = self.stream();
        leave();
        // What workers had still begun is part of the capture; if nobody reads it, it is not told either.
        if ended.is_ok() {
            let _gone = self.finish();
        }
        self.session.end();
    }

    fn stream(&mut self) -> Result<(), Gone> {
        self.writer.section(concat!("strowger ", env!("CARGO_PKG_VERSION")));
        for interface in &self.interfaces {
            self.writer.interface(interface);
        }
        self.flush()?;
        let mut told = Instant::now();
        loop {
            let frames = self.drain()?;
            let now = Instant::now();
            if now - told >= STATISTICS {
                told = now;
                self.tell(false);
            }
            self.flush()?;
            let is_over = self.until.is_some_and(|until| now >= until);
            if self.left == 0 || is_over || self.stop.load(Relaxed) {
                return Ok(());
            }
            if self.sink.is_closed() {
                return Err(Gone);
            }
            thread::sleep(if frames == 0 { IDLE } else { BUSY });
        }
    }

    fn finish(&mut self) -> Result<(), Gone> {
        self.drain()?;
        self.tell(true);
        self.flush()
    }

    /// Takes everything out of the rings that is wanted. Returns how many frames.
    fn drain(&mut self) -> Result<usize, Gone> {
        let mut frames = 0;
        while self.left > 0
            && let Some(ring) = earliest(&mut self.rings)
            && let Some(header) = ring.first.take()
        {
            let place = usize::from(header.interface);
            // The bytes were pushed together with their header.
            let data = |to: &mut [u8]| ring.ring.pop_entire_slice(to).unwrap_or_default();
            self.writer.packet(&header, data);
            if let Some(delivered) = self.delivered.get_mut(place) {
                *delivered += 1;
            }
            self.left -= 1;
            frames += 1;
            if self.writer.len() >= PIECE {
                self.flush()?;
            }
        }
        Ok(frames)
    }

    /// Writes the statistics of those interfaces for which they changed. That of the first comes always, and last: who
    /// sees it knows that the client is still there, or has all of them.
    fn tell(&mut self, all: bool) {
        let time = (self.started, now());
        for interface in (0..self.interfaces.len() as u16).rev() {
            let place = usize::from(interface);
            let seen = self.session.seen(interface);
            let delivered = self.delivered.get(place).copied().unwrap_or_default();
            let Some(told) = self.told.get_mut(place) else { continue };
            if all || interface == 0 || *told != Some((seen, delivered)) {
                *told = Some((seen, delivered));
                self.writer.statistics(time, &Statistics::new(interface, seen, delivered));
            }
        }
    }

    /// Hands on what was written. Waits as long as the client has not read what it got before.
    fn flush(&mut self) -> Result<(), Gone> {
        if self.writer.is_empty() {
            return Ok(());
        }
        let bytes = axum::body::Bytes::from(self.writer.take());
        let mut stopped = None;
        loop {
            match self.sink.try_send(bytes.clone()) {
                Ok(()) => return Ok(()),
                Err(SinkError::Closed) => return Err(Gone),
                Err(SinkError::Full) if self.stop.load(Relaxed) => {
                    if stopped.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(Gone);
                    }
                }
                Err(SinkError::Full) => {}
            }
            thread::sleep(BUSY);
        }
    }
}

/// The ring with the frame that came first.
fn earliest(rings: &mut [Ring]) -> Option<&mut Ring> {
    rings.iter_mut().for_each(Ring::look);
    let time = |ring: &&mut Ring| ring.first.map_or(u64::MAX, |header| header.time);
    rings.iter_mut().filter(|ring| ring.first.is_some()).min_by_key(time)
}

impl Ring {
    fn look(&mut self) {
        if self.first.is_none() {
            let mut header = [0; HEADER];
            if self.ring.pop_entire_slice(&mut header).is_ok() {
                self.first = Some(Header::read(&header));
            }
        }
    }
}
