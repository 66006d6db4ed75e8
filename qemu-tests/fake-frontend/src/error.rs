//! What can go wrong on the guest's side.

use std::io;

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The deadline passed.
    #[error("{0} did not happen before the deadline")]
    Deadline(String),
    /// The back end closed the connection, or this side was told to.
    #[error("the connection is closed")]
    Closed,
    /// A request was answered by an error.
    #[error("request {request} was answered by {code}")]
    Refused {
        /// Its number.
        request: u32,
        /// The answer, not 0.
        code: u64,
    },
    /// The back end broke the protocol.
    #[error("the back end broke the protocol: {0}")]
    Protocol(String),
    /// The back end returned what it was not given.
    #[error("the ring is wrong: {0}")]
    Ring(String),
    /// The kernel refused.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
}

impl Error {
    /// Names what was attempted, for `map_err`.
    pub fn io<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Io(what, error.into())
    }
}
