//! The Strowger switch: workers, bridges, ports and its one binary.
//!
//! * [`engine`]: pinned workers that carry frames from rx queues to tx queues, and what keeps them in order.
//! * [`pipeline`]: a batch's way through one worker: cache, execute, outputs.
//! * [`tables`]: what decides where frames go; the slow path.
//! * [`snapshot`]: the immutable whole that workers read.
//! * [`ports`]: every kind of port behind one pair of types.
//! * [`vlan`]: which VLAN a frame is in, and how it leaves.
//!
//! Calls run one way: engine, pipeline, tables, leaf crates. Nothing below calls up.

#![deny(unsafe_code)]

pub mod engine;
pub mod pipeline;
pub mod ports;
pub mod snapshot;
pub mod tables;
pub mod vlan;
