//! What decides where a frame goes: the stations of a bridge, and the translation of a flow's key to a program.
//!
//! [`translate`] is pure: it reads a snapshot and the MAC table and says what is to be done; whoever calls it
//! applies the effects. May call `packet`, [`snapshot`](crate::snapshot) and [`vlan`](crate::vlan). Nothing here
//! runs for a frame that hits a worker's cache, except [`mac::MacTable`]'s lock-free checks.

pub mod loops;
pub mod mac;
pub mod mirror;
pub mod program;
pub mod shares;
pub mod translate;
