//! Where a capture goes: a pipe, one file, or a ring of files.
//!
//! A file is only ever cut between two blocks: one that the disk had no room for is taken back out of it.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::capture::pcapng::Block;

/// A capture's target.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    /// For who reads an error.
    name: PathBuf,
    /// Bytes in the file.
    size: u64,
    ring: Option<Ring>,
}

/// Files one after the other.
#[derive(Debug)]
pub(super) struct Ring {
    template: PathBuf,
    limit: u64,
    keep: usize,
    number: u64,
    files: VecDeque<PathBuf>,
}

/// Why a target does not take what is written.
#[derive(Debug, Error)]
pub(super) enum Unwritten {
    /// Whoever read a pipe has gone.
    #[error("nobody reads it any more")]
    NotWanted,
    /// The system refused.
    #[error("cannot write {name}: {error}; what it has is whole", name = name.display())]
    Failed {
        /// The file.
        name: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It could not be made.
    #[error("cannot make {name}: {error}", name = name.display())]
    NotMade {
        /// The file.
        name: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl Ring {
    /// Files of about `limit` bytes that are named after `template`, of which the last `keep` stay.
    pub(super) fn new(template: &Path, limit: u64, keep: usize) -> Self {
        Self { template: template.to_owned(), limit, keep, number: 0, files: VecDeque::new() }
    }

    /// `x.pcapng` is `x-00001.pcapng`, then `x-00002.pcapng`.
    fn next_name(&mut self) -> PathBuf {
        self.number += 1;
        let mut name = self.template.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{:05}", self.number));
        if let Some(extension) = self.template.extension() {
            name.push(".");
            name.push(extension);
        }
        self.template.with_file_name(name)
    }

    /// Makes the next file, and only then removes the oldest if there are too many.
    fn next_file(&mut self) -> Result<(File, PathBuf), Unwritten> {
        let name = self.next_name();
        let file = make(&name)?;
        self.files.push_back(name.clone());
        if self.files.len() > self.keep
            && let Some(oldest) = self.files.pop_front()
        {
            // Somebody else may have removed it.
            let _gone = fs::remove_file(oldest);
        }
        Ok((file, name))
    }
}

impl Target {
    /// Standard output.
    pub(super) fn stdout() -> Result<Self, Unwritten> {
        let name = PathBuf::from("standard output");
        // Not by way of `io::stdout`, which waits for ends of lines.
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(fd) => Ok(Self { file: fd.into(), name, size: 0, ring: None }),
            Err(error) => Err(Unwritten::NotMade { name, error }),
        }
    }

    /// One file, made anew.
    pub(super) fn file(name: &Path) -> Result<Self, Unwritten> {
        Ok(Self { file: make(name)?, name: name.to_owned(), size: 0, ring: None })
    }

    /// A ring, with its first file.
    pub(super) fn ring(mut ring: Ring) -> Result<Self, Unwritten> {
        let (file, name) = ring.next_file()?;
        Ok(Self { file, name, size: 0, ring: Some(ring) })
    }

    /// Whether a block of so many bytes belongs into the next file.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.ring.as_ref().is_some_and(|ring| self.size + more as u64 > ring.limit)
    }

    /// Goes on to the next file of a ring.
    pub(super) fn next_file(&mut self) -> Result<(), Unwritten> {
        if let Some(ring) = &mut self.ring {
            (self.file, self.name) = ring.next_file()?;
            self.size = 0;
        }
        Ok(())
    }

    /// Writes whole blocks: all of them, or those that there is room for.
    pub(super) fn write(&mut self, blocks: &[u8]) -> Result<(), Unwritten> {
        let mut done = 0;
        while let Some(rest) = blocks.get(done..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(written @ 1..) => done += written,
                Ok(_) => return Err(self.failed(io::ErrorKind::WriteZero.into(), blocks, done)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error, blocks, done)),
            }
        }
        self.size += blocks.len() as u64;
        Ok(())
    }

    /// What an error means; takes back what was written of a block.
    fn failed(&self, error: io::Error, blocks: &[u8], done: usize) -> Unwritten {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Unwritten::NotWanted;
        }
        let mut rest = blocks.get(..done).unwrap_or_default();
        while let Ok(Some((_, after))) = Block::first(rest) {
            rest = after;
        }
        // A pipe cannot be cut; a file that cannot has a last block that is not whole, which readers are used to.
        let _cut = self.file.set_len(self.size + (done - rest.len()) as u64);
        Unwritten::Failed { name: self.name.clone(), error }
    }
}

/// What goes through a switch is not for everybody to read.
fn make(name: &Path) -> Result<File, Unwritten> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(name).map_err(|error| Unwritten::NotMade { name: name.to_owned(), error })
}
