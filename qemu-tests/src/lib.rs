//! End-to-end tests with real guests: what a test (and the demo) needs to put a switch, QEMU guests
//! and containers on a stage, and to ask them what they saw.
//!
//! A [`Scene`] owns directories and logs; a [`Switch`] is the real binary, started with flags; a
//! [`Guest`] is a QEMU virtual machine on a vhost-user port, a [`Container`] a network namespace
//! around a TAP port. Guests and containers are [`Machine`]s: they run shell commands and answer.
//!
//! Every wait has the same generous bound ([`DEADLINE`]), nothing is proved by the passing of time,
//! and everything that was started is ended by its process id when its value goes, also in a panic.
//! This crate never looks inside the switch: it uses the command line, sockets and guests alone.

#![forbid(unsafe_code)]

mod channel;
mod container;
mod error;
mod guest;
mod machine;
mod pages;
mod process;
mod qmp;
mod scene;
mod switch;
mod wait;

pub use container::Container;
pub use error::{Error, Result};
pub use guest::{Guest, GuestBuilder, Role};
pub use machine::{Machine, Output};
pub use pages::HugePages;
pub use scene::Scene;
pub use switch::{Client, DropRow, PortStatus, Status, Switch, SwitchBuilder, WorkerStatus};
pub use wait::{DEADLINE, until, until_some};
