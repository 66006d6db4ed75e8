//! Why a request was refused, and why a session ended.

use strowger_guestmem::MapError;

use crate::protocol::ChannelError;
use crate::ring::RingError;

/// Why a request was refused. The front end is told if it asked; else its connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the switch does not know request {0}, or did not offer what it belongs to")]
    Unknown(u32),
    #[error("{request} came with {got} bytes of payload, which no such message has")]
    Size { request: &'static str, got: usize },
    #[error(
        "{request} came with {got} file descriptors; it must be accompanied by what its payload announces"
    )]
    Fds { request: &'static str, got: usize },
    #[error(
        "{0} came with a file descriptor of neither memory nor an event; give the guest memory from memfd, tmpfs or \
         hugetlbfs, and rings eventfds"
    )]
    Foreign(&'static str),
    #[error("features {0:#x} were acknowledged without having been offered")]
    Features(u64),
    #[error(
        "ring {index} does not exist: the port has {rings}; give it more queue pairs or the guest fewer"
    )]
    NoRing { index: u32, rings: usize },
    #[error(
        "a ring of {0} descriptors is not possible: the size must be a power of two of at most 32768"
    )]
    RingSize(u32),
    #[error("{value} is out of range for {what}")]
    Range { what: &'static str, value: u64 },
    #[error("{request} for ring {index} was refused: {source}")]
    Descriptor { request: &'static str, index: u32, source: RingError },
    #[error("memory cannot be shared: {0}")]
    Memory(#[from] MapError),
    #[error("ring {index} cannot start: {source}")]
    NotStarted { index: u32, source: RingError },
}

impl RequestError {
    /// Whether a front end that did not ask for an acknowledgement loses its connection. A ring whose parts are
    /// wrong only stays stopped: they are the guest's, which its front end may be unable to check.
    pub(crate) fn ends_session(&self) -> bool {
        !matches!(self, Self::NotStarted { .. })
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionEnd {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("{0}; the connection was closed since the front end asks for no acknowledgement")]
    Refused(RequestError),
    #[error(
        "the front end made a write to a call or error descriptor wait, and a worker with it; the port stays closed \
         until it is opened anew"
    )]
    Stalled,
}
