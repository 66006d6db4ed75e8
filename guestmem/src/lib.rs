//! The one place that touches memory which a guest can write.
//!
//! A guest's memory is mapped here ([`Memory`]), pieces of it are handed out as opaque [`Segment`]s and
//! [`SegmentMut`]s, and the parts of a ring as [`Area`]s with masked tables and words. Nothing here ever makes
//! a reference to such memory: the guest may write it at any moment, so a `&[u8]` to it would be undefined
//! behaviour. Bytes move by inline assembly or by atomic accesses only.
//!
//! Only memfd, tmpfs and hugetlbfs files are mapped, since a FUSE or device file could stall a page fault for
//! ever. A file that is truncated under its mapping makes the kernel send SIGBUS:
//! [`install_fault_handler`] has a handler put zeroes there and marks the mapping, so that
//! [`Memory::is_broken`] tells its owner and everybody else works on.
//!
//! Calls nothing of the switch, and knows nothing of virtio.

#![deny(unsafe_code)]

mod area;
mod buffer;
mod copy;
mod fault;
mod iovec;
mod kernel;
mod mapping;
mod memory;
mod segment;

pub use area::{Area, Plain, Table, Word};
pub use buffer::Buffer;
pub use copy::full_barrier;
pub use fault::install_fault_handler;
pub use iovec::{MAX_IOVECS, MAX_MESSAGES, MAX_PREFIX, Messages, Sending, writev};
pub use kernel::KernelMemory;
pub use mapping::MapError;
pub use memory::{GuestAddr, Lookup, MAX_REGIONS, Memory, Region, UserAddr};
pub use segment::{Segment, SegmentMut};
