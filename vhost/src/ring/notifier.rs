//! The kick and call descriptors: eventfds that come from the front end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ReadWriteFlags;

use super::{RingError, watch};

/// An eventfd of the front end's, never waited for.
#[derive(Clone, Debug)]
pub(crate) struct Notifier(Arc<OwnedFd>);

impl Notifier {
    /// Takes a front end's descriptor. It must be an eventfd: anything else could block a worker.
    pub(crate) fn new(fd: &Arc<OwnedFd>, what: &'static str) -> Result<Self, RingError> {
        let link = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())
            .map_err(io::Error::from)?;
        if link.to_bytes() != b"anon_inode:[eventfd]" {
            return Err(RingError::NotAnEventfd(what));
        }
        let flags = fcntl_getfl(fd).map_err(io::Error::from)?;
        fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(io::Error::from)?;
        watch::register(fd)?;
        Ok(Self(Arc::clone(fd)))
    }

    /// An eventfd that nobody signals, for a ring that is polled.
    pub(crate) fn silent() -> Result<Self, RingError> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Self(Arc::new(fd.map_err(io::Error::from)?)))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Wakes the other side. Never waits longer than [`watch`] allows, whatever the front end does to the file.
    pub(crate) fn signal(&self) {
        watch::signal(&self.0);
    }

    /// Takes the wake-ups that have come.
    pub(crate) fn acknowledge(&self) {
        let mut count = [0; 8];
        let buffers = &mut [io::IoSliceMut::new(&mut count)];
        // Never waits, whatever the front end has done to the file's flags; nothing to read is no error here.
        let _ = rustix::io::preadv2(&self.0, buffers, u64::MAX, ReadWriteFlags::NOWAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(fd: BorrowedFd<'_>) -> bool {
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).unwrap() == 1
    }

    #[test]
    fn signals_are_seen_until_they_are_acknowledged() {
        let fd = Arc::new(eventfd(0, EventfdFlags::empty()).unwrap());
        let notifier = Notifier::new(&fd, "kick").unwrap();
        notifier.acknowledge(); // Would wait if it could.
        notifier.signal();
        notifier.signal();
        assert!(readable(fd.as_fd()));
        notifier.acknowledge();
        assert!(!readable(fd.as_fd()));
    }

    #[test]
    fn a_full_or_blocking_eventfd_never_blocks_the_switch() {
        let fd = Arc::new(eventfd(0, EventfdFlags::empty()).unwrap());
        let notifier = Notifier::new(&fd, "call").unwrap();
        rustix::io::write(&fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        notifier.signal();
        notifier.acknowledge();
        let flags = fcntl_getfl(&fd).unwrap();
        fcntl_setfl(&fd, flags - OFlags::NONBLOCK).unwrap();
        notifier.acknowledge();
        assert!(!readable(fd.as_fd()));
    }

    #[test]
    fn what_is_no_eventfd_is_refused() {
        let (reader, _writer) = io::pipe().unwrap();
        let refused = Notifier::new(&Arc::new(reader.into()), "kick");
        assert!(matches!(refused, Err(RingError::NotAnEventfd("kick"))));
    }
}
