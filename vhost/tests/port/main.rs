//! A port over real sockets: front ends that behave, and front ends that do not.

mod forwarder;
mod smoke;
