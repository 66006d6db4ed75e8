//! Frames and their headers: what the switch knows about a packet, without how it came or where it goes.
//!
//! A [`Frame`] has a *head* in private memory and a *tail* that is borrowed from a guest for the length of
//! a [`Batch`]. Header views read the head, [`key`] extracts what the switch matches on, [`claims`] holds
//! what a sender asks for against the frame's own headers, [`egress`] finishes in software what a receiver
//! cannot, and [`mod@drop`] names every reason for which a frame ends here.
//!
//! May call `guestmem`. Never does I/O, never allocates per frame, never panics on what a guest sent.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod arp;
pub mod batch;
pub mod checksum;
pub mod claims;
pub mod counters;
pub mod drop;
pub mod egress;
pub mod ethernet;
pub mod frame;
mod gso;
pub mod icmp;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod key;
pub mod layers;
pub mod mpls;
pub mod nd;
pub mod offload;
pub mod options;
pub mod port;
pub mod sctp;
pub mod tcp;
pub mod udp;
pub mod vlan;
mod wire;

pub use batch::{Batch, FrameRef, Lost};
pub use claims::Claims;
pub use counters::PortCounters;
pub use drop::DropReason;
pub use ethernet::{EtherType, MacAddress};
pub use frame::Frame;
pub use ip::Protocol;
pub use key::{FlowKey, Mask};
pub use layers::Layers;
pub use offload::{Gso, GsoKind, Offload, PartialChecksum};
pub use port::PortId;
pub use wire::Malformed;
