//! A vhost-user network port: the protocol session with a front end (QEMU), and the rings of its guest.
//!
//! * [`port`]: the socket, as server or as client, and the thread that serves it.
//! * [`host`]: what a port asks of the switch: take a started queue, give it back.
//! * [`ring`]: the guest's rings; [`RxQueue`] takes frames from them, [`TxQueue`] delivers into them.
//!
//! May call `guestmem` and `packet`. Knows nothing of bridges, workers or configuration.

pub mod host;
pub mod port;
pub mod ring;
mod rx;
mod tx;

pub use host::Host;
pub use port::{Port, PortConfig, PortError, PortStatus, Role};
pub use ring::{RingConfig, RingError};
pub use rx::RxQueue;
pub use tx::TxQueue;
