//! Dev ports against the kernel: real veth pairs between namespaces of their own, through a real engine.
//!
//! The switch is in one namespace, the host's; containers are others, each joined to it by a veth pair.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../netns/mod.rs"]
mod netns;
mod scene;

mod containers;
mod interfaces;
mod isolation;
mod tags;
