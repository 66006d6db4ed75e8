//! What bounds a client of the API, in bytes, in time, and in number.

use std::time::Duration;

/// The most bytes of a request's body: a configuration of 10,000 ports fits several times.
pub const MAX_BODY: usize = 16 << 20;
/// A body above this is large.
pub const LARGE_BODY: usize = 64 << 10;
/// Large bodies that are received at a time; others wait for their turn.
pub const MAX_LARGE_BODIES: usize = 4;
/// The most bytes of a request's line and headers.
pub const MAX_HEAD: usize = 64 << 10;
/// Connections to a socket that are served at a time. Another one takes the place of the one that was silent longest.
pub const MAX_CONNECTIONS: usize = 64;
/// Connections that wait in the kernel for a place.
pub const BACKLOG: i32 = 128;
/// Threads that ask the switch, beside the one that answers clients: one for changes, the others to read.
pub const MAX_CALLS: usize = 4;
/// How long a client may take for a TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a client may take for the head of a request, from the connection or the answer before on.
pub const HEAD_TIME: Duration = Duration::from_secs(15);
/// How long a client may take for a request's body.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// How long a client may read nothing of an answer that waits for it.
pub const STALL_TIME: Duration = Duration::from_secs(10);
/// How long answers under way may take when the switch ends.
pub const ENDING_TIME: Duration = Duration::from_secs(2);

/// The bounds that a server works by. Tests have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`MAX_BODY`].
    pub body: usize,
    /// See [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// See [`HANDSHAKE_TIME`].
    pub handshake_time: Duration,
    /// See [`HEAD_TIME`].
    pub head_time: Duration,
    /// See [`BODY_TIME`].
    pub body_time: Duration,
    /// See [`STALL_TIME`].
    pub stall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: MAX_BODY,
            connections: MAX_CONNECTIONS,
            handshake_time: HANDSHAKE_TIME,
            head_time: HEAD_TIME,
            body_time: BODY_TIME,
            stall_time: STALL_TIME,
        }
    }
}
