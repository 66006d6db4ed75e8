//! A port over real sockets: front ends that behave, and front ends that do not.
//!
//! In the hostile tests ports 0 and 1 belong to the guest that misbehaves and its victim; ports 2 and 3 are a
//! witness that must go on forwarding.

#![allow(clippy::unwrap_used, reason = "support code of tests fails as tests do")]

mod connection;
mod forwarder;
mod fuse;
mod hostile_memory;
mod hostile_offload;
mod hostile_protocol;
mod hostile_rings;
mod memory;
mod multiqueue;
mod offload;
mod protocol;
mod rings;
mod traffic;
