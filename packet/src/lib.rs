//! Frames and their headers: what the switch knows about a packet, without how it came or where it goes.
//!
//! A [`Frame`] has a *head* in private memory and a *tail* that is borrowed from a guest for the length of
//! a [`Batch`]. Header views read the head, [`key`] extracts what the switch matches on, [`checksum`],
//! [`offload`] and [`gso`] finish in software what a receiver cannot, and [`drop`] names every reason for
//! which a frame ends here.
//!
//! May call `guestmem`. Never does I/O, never allocates per frame, never panics on what a guest sent.

#![forbid(unsafe_code)]

pub mod batch;
pub mod counters;
pub mod drop;
pub mod frame;
pub mod offload;
pub mod port;

pub use batch::{Batch, FrameRef};
pub use counters::PortCounters;
pub use drop::DropReason;
pub use frame::Frame;
pub use offload::{Gso, GsoKind, Offload, PartialChecksum};
pub use port::PortId;
