//! What a receiver cannot take is done for it in software: a checksum finished, a frame cut into segments.

use std::ops::ControlFlow;

use strowger_guestmem::Segment;

use crate::offload::Accepts;
use crate::{Batch, DropReason, FrameRef, Offload};

/// Room for one piece, used again and again. One for each tx queue or worker.
#[derive(Debug, Default)]
pub struct Scratch {
    tail: Vec<Segment>,
}

/// A frame as it leaves: whole, or one segment of a larger one.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The first bytes: all headers, and whatever payload the switch has in private memory.
    pub head: &'a [u8],
    /// The rest, borrowed from the sender.
    pub tail: &'a [Segment],
    /// Bytes in `tail`.
    pub tail_len: usize,
    /// What the receiver still has to do.
    pub offload: Offload,
}

/// Calls `f` with each piece of a frame, in order, until it breaks.
///
/// # Errors
/// [`DropReason::BadOffload`] if the frame's headers do not fit its offload; `f` was not called.
pub fn for_each_piece(
    batch: &Batch,
    at: FrameRef,
    accepts: Accepts,
    scratch: &mut Scratch,
    mut f: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), DropReason> {
    let _ = (accepts, &scratch.tail);
    let frame = batch.frame(at);
    let piece = Piece {
        head: frame.head(),
        tail: batch.tail(at),
        tail_len: frame.tail_len(),
        offload: frame.offload,
    };
    let _ = f(piece);
    Ok(())
}
