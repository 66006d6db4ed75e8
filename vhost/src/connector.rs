//! A port that connects: again and again, with back-off, for as long as the port is open.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    event::Timespec,
    net::{SocketAddrUnix, connect},
};
use tracing::warn;

use crate::{event::Woken, listener::stream_socket, port::Shared};

/// The wait after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait, so that a guest waits at most this long after its front end listens again.
const LONGEST: Duration = Duration::from_secs(5);

/// Connects to a front end that listens.
#[derive(Debug)]
pub(crate) struct Connector {
    address: SocketAddrUnix,
    backoff: Backoff,
}

impl Connector {
    pub(crate) fn new(address: SocketAddrUnix) -> Self {
        Self { address, backoff: Backoff::default() }
    }

    /// Serves one connection after another until the port is closed.
    pub(crate) fn run(mut self, shared: &Shared) {
        loop {
            match self.connect() {
                Ok(socket) => {
                    self.backoff = Backoff::default();
                    if !shared.serve(socket) {
                        return;
                    }
                }
                Err(error) => self.report(shared, &error),
            }
            if matches!(shared.stop().wait(None, Some(self.backoff.next())), Ok(Woken::Stopped)) {
                return;
            }
        }
    }

    /// Never waits: a full queue is a failure like any other.
    fn connect(&self) -> io::Result<OwnedFd> {
        let socket = stream_socket()?;
        connect(&socket, &self.address)?;
        Ok(socket)
    }

    /// One line for each spell without a front end, not one for each attempt.
    fn report(&self, shared: &Shared, error: &io::Error) {
        let path = shared.config().path.display();
        let text = format!(
            "cannot connect to {path}: {error}; trying again until a front end listens there"
        );
        if self.backoff == Backoff::default() {
            warn!(port = shared.config().name, "{text}");
        }
        shared.update(|status| status.last_error = Some(text));
    }
}

/// Waits that double up to a bound.
#[derive(Debug, PartialEq, Eq)]
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    fn next(&mut self) -> Timespec {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8)
            .map(|_| backoff.next())
            .map(|wait| wait.tv_sec * 1000 + wait.tv_nsec / 1_000_000)
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }
}
