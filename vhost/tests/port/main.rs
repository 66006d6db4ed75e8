//! A port over real sockets: front ends that behave, and front ends that do not.
//!
//! In the hostile tests ports 0 and 1 belong to the guest that misbehaves and its victim; ports 2 and 3 are a
//! witness that must go on forwarding.

mod connection;
mod forwarder;
mod fuse;
mod hostile_memory;
mod hostile_protocol;
mod hostile_rings;
mod memory;
mod multiqueue;
mod protocol;
mod rings;
mod traffic;
