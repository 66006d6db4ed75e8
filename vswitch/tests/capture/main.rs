//! Captures through the pipeline, on recorder ports: what is captured of what goes in, comes out and is dropped, how
//! it is bounded, and what other programs read of it.

#![allow(clippy::unwrap_used, reason = "what the tests are helped by fails as they do")]
#![allow(unreachable_pub, reason = "the rooms of one test")]

#[path = "../harness/mod.rs"]
mod harness;

mod bounds;
mod drops;
mod frames;
mod reader;
mod scene;
mod tools;
