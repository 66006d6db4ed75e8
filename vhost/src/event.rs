//! A level-triggered event: once signalled, it stays readable.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

/// What a port's thread sleeps on beside its socket, so that it ends promptly wherever it waits.
#[derive(Debug)]
pub(crate) struct Event(OwnedFd);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The descriptor is ready, or has an error or a hang-up that the next call on it will tell.
    Ready,
    /// The event was signalled.
    Stopped,
    /// The time is over.
    TimedOut,
}

impl Event {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes whoever waits, now and from now on.
    pub(crate) fn signal(&self) {
        // Only a counter that is already full refuses, and then it is readable.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits until `fd` is ready for `flags`, the event is signalled, or `timeout` is over.
    pub(crate) fn wait(
        &self,
        fd: Option<(BorrowedFd<'_>, PollFlags)>,
        timeout: Option<Timespec>,
    ) -> io::Result<Woken> {
        let own = (self.0.as_fd(), PollFlags::IN);
        let (other, flags) = fd.unwrap_or(own);
        let mut fds =
            [PollFd::from_borrowed_fd(own.0, own.1), PollFd::from_borrowed_fd(other, flags)];
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(0) => return Ok(Woken::TimedOut),
                Ok(_) if !fds[0].revents().is_empty() => return Ok(Woken::Stopped),
                Ok(_) => return Ok(Woken::Ready),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_every_wait_from_now_on() {
        let event = Event::new().unwrap();
        let soon = Some(Timespec { tv_sec: 0, tv_nsec: 1 });
        assert_eq!(event.wait(None, soon).unwrap(), Woken::TimedOut);
        event.signal();
        assert_eq!(event.wait(None, None).unwrap(), Woken::Stopped);
        assert_eq!(event.wait(None, None).unwrap(), Woken::Stopped);
    }
}
