//! From a frame's head to its key.

use super::FlowKey;
use crate::{DropReason, Frame};

/// Reads the headers in `frame`'s head, notes where they lie in `frame.layers`, and turns `frame.claims`
/// into `frame.offload`.
///
/// # Errors
/// [`DropReason::Truncated`] if the frame is shorter than an Ethernet header; [`DropReason::BadOffload`] or
/// [`DropReason::TooManySegments`] if the claims do not fit the frame.
#[inline]
pub fn extract(frame: &mut Frame) -> Result<FlowKey, DropReason> {
    let mut key = FlowKey::default();
    key.set_in_port(frame.ingress);
    Ok(key)
}
