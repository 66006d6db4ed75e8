//! Waiting with a deadline.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::Error;

/// How long anything may take. Far more than it needs: only a machine that hangs reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
///
/// # Errors
/// If there is none before the deadline; `what` names it.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > end {
            return Err(Error::Deadline(what.to_owned()));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Waits until a descriptor is ready; `false` if it was not for `time`.
///
/// # Errors
/// If the kernel refuses to wait.
pub fn ready(fd: BorrowedFd<'_>, flags: PollFlags, time: Duration) -> Result<bool, Error> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&timeout)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::io("poll")(error)),
        }
    }
}
