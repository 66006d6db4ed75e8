//! Sleeping without missing a frame.
//!
//! Before a worker sleeps it asks each of its queues for a kick; a queue that says it has frames already keeps it
//! awake. Then it waits on the kick descriptors and on its mailbox's. What comes between the question and the wait
//! makes a descriptor readable, so that the wait ends at once. If frames wait for their turn to leave, a timer ends the
//! wait: the wait's own bound counts in milliseconds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use std::{io, mem::MaybeUninit};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Descriptors that end one wait. More are found by the next.
const EVENTS: usize = 32;
/// How often a queue without a usable kick descriptor is polled.
const NAP: Duration = Duration::from_millis(1);

/// The name of a descriptor in the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(pub(super) u64);

impl Token {
    /// The mailbox.
    pub(super) const MAILBOX: Self = Self(0);
    /// The timer; no queue has so many predecessors.
    const TIMER: Self = Self(u64::MAX);
}

/// The descriptors that end a sleep.
#[derive(Debug)]
pub(super) struct Sleeper {
    epoll: OwnedFd,
    /// Not armed between sleeps.
    timer: OwnedFd,
}

impl Sleeper {
    pub(super) fn new(mailbox: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let sleeper = Self { epoll, timer };
        sleeper.add(mailbox, Token::MAILBOX)?;
        sleeper.add(sleeper.timer.as_fd(), Token::TIMER)?;
        Ok(sleeper)
    }

    /// Ends sleeps when `fd` is readable.
    ///
    /// # Errors
    /// If the system cannot wait on it: a front end may hand over any descriptor.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.0);
        Ok(epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)?)
    }

    /// No longer.
    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        // Fails only if it was not added, or is closed: then there is nothing to remove.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Sleeps until a descriptor is readable, or for so long, or for a nap. Calls `readable` with each that is.
    pub(super) fn sleep(
        &self,
        at_most: Option<Duration>,
        only_a_nap: bool,
        mut readable: impl FnMut(Token),
    ) {
        if let Some(span) = at_most {
            if span.is_zero() {
                return;
            }
            self.set_timer(span);
        }
        let nap = Timespec { tv_sec: 0, tv_nsec: i64::from(NAP.subsec_nanos()) };
        let mut events = [MaybeUninit::uninit(); EVENTS];
        match epoll::wait(&self.epoll, &mut events, only_a_nap.then_some(&nap)) {
            Ok((events, _)) => {
                let tokens = events.iter().map(|event| Token(event.data.u64()));
                tokens.filter(|&token| token != Token::TIMER).for_each(&mut readable);
            }
            Err(Errno::INTR) => {}
            Err(error) => {
                // Cannot happen with descriptors of our own. If it does, go on polling, but not as fast as one can.
                tracing::error!(%error, "a worker could not wait for its queues");
                std::thread::sleep(NAP);
            }
        }
        if at_most.is_some() {
            self.set_timer(Duration::ZERO);
        }
    }

    /// Makes the timer's descriptor readable after `span`, and not before; never if that is nothing.
    fn set_timer(&self, span: Duration) {
        let it_value = Timespec {
            tv_sec: span.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: i64::from(span.subsec_nanos()),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval, it_value };
        // Fails for a span that is no span, which a duration always is.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value);
    }
}
