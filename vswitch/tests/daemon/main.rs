//! The built binary from outside: real interfaces in namespaces, guests played by the fake front end, its command
//! line, its signals, and what it leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

mod captures;
mod commands;
mod containers;
mod devs;
mod guests;
mod life;
mod means;
#[path = "../netns/mod.rs"]
mod netns;
mod refusals;
mod running;
mod service;
