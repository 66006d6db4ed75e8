//! A vhost-user network port: the protocol session with a front end (QEMU), and the rings of its guest.
//!
//! * [`port`]: the socket, as server or as client, and the thread that serves it.
//! * [`host`]: what a port asks of the switch: take a started queue, give it back.
//!
//! May call `guestmem` and `packet`. Knows nothing of bridges, workers or configuration.

pub mod host;
pub mod port;

pub use host::Host;
pub use port::{Port, PortConfig, PortError, PortStatus, Role};

// Part `rings` replaces these two by rx.rs and tx.rs.
/// A guest's transmit ring, started.
#[derive(Debug)]
pub struct RxQueue {}
/// A guest's receive ring, started.
#[derive(Debug)]
pub struct TxQueue {}
