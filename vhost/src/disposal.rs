//! Descriptors that a front end sends and the switch has no use for.
//!
//! To close one can stall: on a FUSE file the kernel asks the file's server (`FUSE_FLUSH`) and waits, not to be
//! interrupted. So each message's unwanted descriptors are closed by a thread of their own. A front end whose
//! descriptors do not close is bounded by [`MOST`] such threads: then its port answers no more until one is done,
//! and can still be closed.

use std::{
    io,
    mem::ManuallyDrop,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use rustix::{
    event::Timespec,
    fs::{fcntl_get_seals, readlink},
};
use tracing::warn;

use crate::{
    event::{Event, Woken},
    protocol::ChannelError,
};

/// Threads of one port that may be stuck in closing what it was sent.
const MOST: usize = 4;
/// How often to look whether one is done.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// The threads that close one port's unwanted descriptors.
#[derive(Debug, Default)]
pub(crate) struct Disposal(Mutex<Vec<JoinHandle<()>>>);

/// What a descriptor can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file in memory: memfd, tmpfs, hugetlbfs.
    Memory,
    Event,
    Other,
}

/// Finds out without asking the file: the file system may be the guest's own, and never answer.
fn kind(fd: &OwnedFd) -> Kind {
    // The kernel knows seals of files in memory only, whether they have any or not.
    if fcntl_get_seals(fd).is_ok() {
        return Kind::Memory;
    }
    match readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new()) {
        Ok(link) if link.as_bytes() == b"anon_inode:[eventfd]" => Kind::Event,
        _ => Kind::Other,
    }
}

impl Disposal {
    /// Closes what is neither memory nor an eventfd. Returns the rest, and how many were closed.
    ///
    /// # Errors
    /// If the system has no thread left, or the port is closed while it waits.
    pub(crate) fn sort(
        &self,
        fds: Vec<OwnedFd>,
        stop: &Event,
    ) -> Result<(Vec<OwnedFd>, usize), ChannelError> {
        let (wanted, others): (Vec<_>, Vec<_>) =
            fds.into_iter().partition(|fd| kind(fd) != Kind::Other);
        let count = others.len();
        if count > 0 {
            self.threads().push(close(others)?);
            while self.is_stuck() {
                if stop.wait(None, Some(PAUSE))? == Woken::Stopped {
                    return Err(ChannelError::Stopped);
                }
            }
        }
        Ok((wanted, count))
    }

    /// Closes descriptors of a message that did not come whole, of whatever kind, and does not wait.
    pub(crate) fn close(&self, fds: Vec<OwnedFd>) {
        match close(fds) {
            Ok(thread) => self.threads().push(thread),
            Err(error) => warn!("cannot start a thread that closes descriptors: {error}"),
        }
    }

    /// Whether as many threads are stuck as may be.
    fn is_stuck(&self) -> bool {
        let mut threads = self.threads();
        threads.retain(|thread| !thread.is_finished());
        threads.len() >= MOST
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes descriptors in a thread of its own.
fn close(fds: Vec<OwnedFd>) -> io::Result<JoinHandle<()>> {
    // So that they stay open, and nobody stalls, if the system has no thread left.
    let mut fds = ManuallyDrop::new(fds);
    let closing = move || drop(std::mem::take(&mut *fds));
    thread::Builder::new().name("vu-close".into()).spawn(closing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        event::{EventfdFlags, eventfd},
        fs::{MemfdFlags, memfd_create},
    };

    #[test]
    fn only_memory_and_eventfds_are_kept() {
        let memory = memfd_create("memory", MemfdFlags::CLOEXEC).unwrap();
        let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let pipe = std::io::pipe().unwrap();
        let file = std::fs::File::open("/proc/self/maps").unwrap();
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let all = vec![memory, pipe.0.into(), event, file.into(), pipe.1.into(), zero.into()];
        let (kept, closed) = Disposal::default().sort(all, &Event::new().unwrap()).unwrap();
        assert_eq!(kept.iter().map(kind).collect::<Vec<_>>(), [Kind::Memory, Kind::Event]);
        assert_eq!(closed, 4);
    }
}
