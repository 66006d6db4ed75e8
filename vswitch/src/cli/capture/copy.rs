//! A capture's stream, block by block, into its target.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use thiserror::Error;

use super::target::{Target, Unwritten};
use crate::capture::pcapng::{Block, Damaged, Statistics, block};

/// Bytes that are asked for at a time.
const PIECE: usize = 128 << 10;

/// Copies a stream.
#[derive(Debug)]
pub(super) struct Copier {
    target: Target,
    /// What each file begins with: the section's header and its interfaces.
    beginning: Vec<u8>,
    /// What was said last of each interface, for the end of a file.
    statistics: BTreeMap<u32, (Statistics, Vec<u8>)>,
    /// Whole blocks that are not written yet.
    ready: Vec<u8>,
    copied: Copied,
}

/// What was copied so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    /// Frames in the files.
    pub(super) frames: u64,
    /// Those of them that the switch dropped.
    pub(super) drops: u64,
    /// Frames that passed the ports.
    pub(super) seen: u64,
    /// Those that were wanted.
    pub(super) matched: u64,
    /// Those that the capture lost.
    pub(super) lost: u64,
    /// How many files were begun.
    pub(super) files: u64,
}

/// Why copying ended, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The switch had no more.
    Stream,
    /// Somebody here said so.
    Told,
}

/// Why it ended otherwise.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// Whoever read a pipe has what it wanted.
    #[error("nobody reads the capture any more")]
    NotWanted,
    /// It could not be written.
    #[error(transparent)]
    Unwritten(Unwritten),
    /// It could not be read.
    #[error("the capture broke off: {0}")]
    Unread(io::Error),
    /// It is no capture.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

impl From<Unwritten> for Error {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::NotWanted => Self::NotWanted,
            why => Self::Unwritten(why),
        }
    }
}

impl Copier {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            beginning: Vec::new(),
            statistics: BTreeMap::new(),
            ready: Vec::new(),
            copied: Copied { files: 1, ..Copied::default() },
        }
    }

    /// What was copied.
    pub(super) fn copied(&self) -> &Copied {
        &self.copied
    }

    /// Copies until the stream ends or `is_over`. The switch speaks at least every second, of the first interface last
    /// of all: with that word the figures are complete, and only then it is over.
    pub(super) fn copy(
        &mut self,
        stream: &mut impl Read,
        is_over: impl Fn() -> bool,
    ) -> Result<End, Error> {
        let mut bytes = Vec::new();
        loop {
            let mut rest = &bytes[..];
            let mut end = None;
            while let Some((block, after)) = Block::first(rest)? {
                rest = after;
                self.block(&block)?;
                if block.statistics().is_some_and(|of| of.interface == 0) && is_over() {
                    end = Some(End::Told);
                    break;
                }
            }
            let taken = bytes.len() - rest.len();
            bytes.drain(..taken);
            self.flush()?;
            if let Some(end) = end {
                return Ok(end);
            }
            let before = bytes.len();
            bytes.resize(before + PIECE, 0);
            let place = bytes.get_mut(before..).unwrap_or_default();
            let read = match stream.read(place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                read => Some(read.map_err(Error::Unread)?),
            };
            bytes.truncate(before + read.unwrap_or(0));
            if read == Some(0) {
                return if before == 0 { Ok(End::Stream) } else { Err(Damaged.into()) };
            }
        }
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        match block.kind {
            block::SECTION_HEADER | block::INTERFACE => {
                self.beginning.extend_from_slice(block.bytes);
            }
            block::PACKET => {
                if self.target.is_full(self.ready.len() + block.bytes.len()) {
                    self.next_file()?;
                }
                self.copied.frames += 1;
                self.copied.drops += u64::from(block.is_drop());
            }
            block::STATISTICS => self.count(block),
            _ => {}
        }
        self.ready.extend_from_slice(block.bytes);
        Ok(())
    }

    fn count(&mut self, block: &Block<'_>) {
        let Some(now) = block.statistics() else { return };
        let said = (now, block.bytes.to_vec());
        let before = self.statistics.insert(now.interface, said).map(|(before, _)| before);
        let before = before.unwrap_or_default();
        self.copied.seen += now.seen.saturating_sub(before.seen);
        self.copied.matched += now.matched.saturating_sub(before.matched);
        self.copied.lost += now.lost.saturating_sub(before.lost);
    }

    /// Ends a file of a ring, with what was said last of each interface, and begins the next.
    fn next_file(&mut self) -> Result<(), Error> {
        for (_, said) in self.statistics.values() {
            self.ready.extend_from_slice(said);
        }
        self.flush()?;
        self.target.next_file()?;
        self.copied.files += 1;
        self.ready.extend_from_slice(&self.beginning);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.target.write(&self.ready);
        self.ready.clear();
        Ok(written?)
    }
}

#[cfg(test)]
mod tests;
