//! How a running switch is asked for its state: a UNIX socket in the run directory.
//!
//! A client sends one line, `{"command":"status"}` or `{"command":"drops"}`, and receives one JSON document:
//! a [`Status`], a list of [`Drop`]s, or [`Refused`]. Then the connection ends. Only who may write to the socket
//! (mode 0600) is answered; requests are bounded in bytes and in time.
//!
//! Knows nothing of the running switch but the [`Source`] that it is given.

mod capture;
mod client;
mod refusal;
mod report;
mod server;
mod text;

use serde::{Deserialize, Serialize};

pub use capture::{CaptureRequest, CaptureSink, CaptureStream, SinkError, capture_stream};
pub use client::{AskError, ask};
pub use refusal::Refusal;
pub use report::{
    Bridge, Cache, Drop, Mirror, Port, Process, Queue, State, Station, Status, Worker,
};
pub use server::{Server, ServerError};
pub use text::{drops_table, status_tables};

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// Answered by a [`Status`].
    Status,
    /// Answered by a list of [`Drop`]s.
    Drops,
}

/// The answer to a request that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub error: String,
}

/// Where the server has its answers from.
pub trait Source: Send + 'static {
    /// The whole state at this moment.
    fn status(&self) -> Status;

    /// What was dropped so far.
    fn drops(&self) -> Vec<Drop> {
        self.status().drops()
    }
}

/// The running switch as the API sees it. Methods may wait for each other's changes, never for a guest or a client.
pub trait Control: Send + Sync + 'static {
    /// The whole state at this moment.
    fn status(&self) -> Status;

    /// The stations that a bridge, or each, remembers.
    ///
    /// # Errors
    /// If there is no such bridge.
    fn stations(&self, bridge: Option<&str>) -> Result<Vec<Station>, Refusal>;

    /// Forgets the stations of a bridge or all, behind a port or any. Says how many there were.
    ///
    /// # Errors
    /// If there is no such bridge or port.
    fn flush_stations(&self, bridge: Option<&str>, port: Option<&str>) -> Result<usize, Refusal>;

    /// Begins a capture, which ends when its stream is dropped.
    ///
    /// # Errors
    /// If a port is not there, the filter is not understood, or there are too many captures.
    fn capture(&self, request: CaptureRequest) -> Result<CaptureStream, Refusal>;

    /// Whether it forwards: all ports of its start were opened.
    fn is_ready(&self) -> bool;

    /// What is logged: a level or directives, as in `info,strowger_vhost=debug`.
    fn log_level(&self) -> String;

    /// Logs something else from now on.
    ///
    /// # Errors
    /// If the directives are not understood.
    fn set_log_level(&self, directives: &str) -> Result<(), Refusal>;
}
