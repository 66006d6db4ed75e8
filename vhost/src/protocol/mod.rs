//! The codec of the vhost-user protocol, front end to back end (QEMU's specification, `docs/interop/vhost-user.rst`).
//!
//! * [`header`]: the twelve bytes before each message.
//! * [`request`]: which messages there are, how long each may be, how many descriptors it may carry.
//! * [`payload`]: what is in them.
//! * [`features`]: the bits that are negotiated.
//! * [`channel`]: messages over a socket.
//!
//! Decides nothing: what a message does is the session's. Never panics on what a front end sent, never reads more
//! than a message may have, and closes every descriptor that nobody takes.

pub(crate) mod channel;
pub mod features;
pub(crate) mod header;
pub(crate) mod payload;
pub(crate) mod request;

pub(crate) use channel::{Channel, ChannelError, Message};
pub use features::{Features, ProtocolFeatures};
pub(crate) use request::Request;
