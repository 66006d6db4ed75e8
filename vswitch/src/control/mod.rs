//! How a running switch is asked and changed: an HTTP API, its server and its client.
//!
//! * [`Control`]: what the API asks of the switch; [`Refusal`]: why it does not do it.
//! * [`report`]: the state of a switch as it is sent and shown; [`object`]: bridges, ports and mirrors one by one;
//!   [`capture`]: a stream of frames.
//! * [`api`]: the routes, and the OpenAPI document that describes them.
//! * [`server`]: sockets, TLS, and the bounds of clients.
//! * [`client`]: the asking side.
//!
//! Knows nothing of the running switch but the [`Control`] that it is given.

pub mod api;
pub mod capture;
pub mod client;
pub mod object;
mod refusal;
pub mod report;
pub mod server;

pub use capture::{CaptureRequest, CaptureSink, CaptureStream, SinkError, capture_stream};
pub use client::{Client, ClientError};
pub use object::Changes;
pub use refusal::Refusal;
pub use report::{
    Bridge, Cache, Captures, Drop, Log, Mirror, Port, Process, Queue, State, Station, Status,
    Worker,
};
pub use server::{Server, ServerError};

use crate::config::{Config, plan::Change};

/// A change of a configuration.
pub type Edit<'a> = &'a mut dyn FnMut(&mut Config) -> Result<(), Refusal>;

/// The running switch as the API sees it. Methods may wait for each other's changes, never for a guest or a client.
pub trait Control: Send + Sync + 'static {
    /// The whole state at this moment.
    fn status(&self) -> Status;

    /// What it is told to be now.
    fn config(&self) -> Config;

    /// Makes it what `edit` makes of its configuration, and says what was done for it; with `dry_run` only what would
    /// be. Changes are made one after the other, each as a whole: `edit` sees what the one before left.
    ///
    /// # Errors
    /// What `edit` refuses, what is wrong with the configuration that comes of it, or why it cannot be. Nothing has
    /// changed then.
    fn change(&self, dry_run: bool, edit: Edit<'_>) -> Result<Vec<Change>, Refusal>;

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

    /// Begins a capture, which ends when its stream is dropped. May wait for a change under way.
    ///
    /// # Errors
    /// If a port is not there, the filter is not understood, or there are too many captures.
    fn capture(&self, request: CaptureRequest) -> Result<CaptureStream, Refusal>;

    /// Whether it forwards: all ports of its start were opened. Waits for nothing.
    fn is_ready(&self) -> bool;

    /// What is logged: a level or directives, as in `info,strowger_vhost=debug`.
    fn log_level(&self) -> String;

    /// Logs something else from now on.
    ///
    /// # Errors
    /// If the directives are not understood.
    fn set_log_level(&self, directives: &str) -> Result<(), Refusal>;
}
