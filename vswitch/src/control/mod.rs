//! How a running switch is asked for its state: a UNIX socket in the run directory.
//!
//! A client sends one line, `{"command":"status"}` or `{"command":"drops"}`, and receives one JSON document:
//! a [`Status`], a list of [`Drop`]s, or [`Refused`]. Then the connection ends. Only who may write to the socket
//! (mode 0600) is answered; requests are bounded in bytes and in time.
//!
//! Knows nothing of the running switch but the [`Source`] that it is given.

mod client;
mod report;
mod server;
mod text;

use serde::{Deserialize, Serialize};

pub use client::{AskError, ask};
pub use report::{Bridge, Drop, Port, Status, Worker};
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
