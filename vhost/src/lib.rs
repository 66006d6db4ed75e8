//! A vhost-user network port: the protocol session with a front end (QEMU), and the rings of its guest.
//!
//! * [`port`]: the socket, as server ([`listener`]) or as client ([`connector`]), and the thread that serves it.
//!   [`reception`]: the one thread that watches all listening sockets.
//! * [`host`]: what a port asks of the switch: take a started queue, give it back.
//! * [`protocol`]: the codec. [`session`]: what messages do.
//! * [`ring`]: the guest's rings; [`RxQueue`] takes frames from them, [`TxQueue`] delivers into them.
//!
//! May call `guestmem` and `packet`. Knows nothing of bridges, workers or configuration.

#![deny(unsafe_code)]

mod connector;
mod disposal;
mod event;
pub mod host;
mod listener;
pub mod port;
pub mod protocol;
mod reception;
pub mod ring;
mod rx;
mod session;
mod tx;

pub use host::Host;
pub use port::{Port, PortConfig, PortError, PortStatus, Prepared, Role};
pub use protocol::{Features, ProtocolFeatures};
pub use ring::{RingConfig, RingError};
pub use rx::RxQueue;
pub use tx::TxQueue;
