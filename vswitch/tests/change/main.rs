//! A switch that is changed while it runs: real sockets with guests played by the fake front end, real interfaces in
//! namespaces, a real store.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

mod atomic;
mod kept;
mod loops;
mod mirrors;
#[path = "../netns/mod.rs"]
mod netns;
mod ports;
mod rates;
mod stations;
mod taps;
mod world;
