//! What a receiver cannot take is done for it in software: a checksum finished, a frame cut into segments.
//!
//! Pieces are made one at a time in a [`Scratch`]: the headers are copied and changed there, the payload
//! stays where it is, borrowed. Nothing is allocated, and the frame itself does not change, so that the next
//! receiver may take it whole.

use std::ops::ControlFlow;

use strowger_guestmem::Segment;

use crate::batch::MAX_SEGMENTS;
use crate::checksum::Sum;
use crate::frame::{HEAD, HEADROOM};
use crate::gso::Cut;
use crate::offload::Accepts;
use crate::wire::{Field, rest};
use crate::{Batch, DropReason, FrameRef, Offload, PartialChecksum, udp};

/// Room for one piece, used again and again. One for each tx queue or worker.
#[derive(Debug)]
pub struct Scratch {
    head: [u8; HEADROOM + HEAD],
    tail: Vec<Segment>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { head: [0; HEADROOM + HEAD], tail: Vec::with_capacity(MAX_SEGMENTS) }
    }
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

/// Calls `f` with each piece of a frame, in order, until it breaks: the frame as it is, if the receiver takes
/// it; or with its checksum finished; or cut into segments, with finished checksums if the receiver takes no
/// unfinished ones.
///
/// # Errors
/// [`DropReason::BadOffload`] if the frame's headers do not fit its offload, [`DropReason::TooManySegments`]
/// above [`MAX_PIECES`](crate::claims::MAX_PIECES); `f` was not called.
pub fn for_each_piece(
    batch: &Batch,
    at: FrameRef,
    accepts: Accepts,
    scratch: &mut Scratch,
    mut f: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), DropReason> {
    let frame = batch.frame(at);
    let tail = batch.tail(at);
    if frame.offload.gso.is_some() && !accepts.takes(frame.offload) {
        return cut(batch, at, accepts, scratch, f);
    }
    let mut piece =
        Piece { head: frame.head(), tail, tail_len: frame.tail_len(), offload: frame.offload };
    if let Some(checksum) = frame.offload.checksum.filter(|_| !accepts.checksum) {
        let head = scratch.head.get_mut(..piece.head.len()).ok_or(DropReason::BadOffload)?;
        head.copy_from_slice(piece.head);
        finish(head, tail, checksum).ok_or(DropReason::BadOffload)?;
        piece.head = head;
        piece.offload.checksum = None;
    }
    // It was the only piece: whether `f` wants more makes no difference.
    let _ = f(piece);
    Ok(())
}

fn cut(
    batch: &Batch,
    at: FrameRef,
    accepts: Accepts,
    scratch: &mut Scratch,
    mut f: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), DropReason> {
    let frame = batch.frame(at);
    // What the segments hold, not what anybody said of it.
    let tail_len = batch.tail(at).iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
    let cut = Cut::new(frame, frame.head().len().saturating_add(tail_len))?;
    let payload = rest(frame.head(), cut.headers_len());
    let mut tail = Tail { segments: batch.tail(at), offset: 0 };
    for piece in 0..cut.count() {
        let range = cut.range(piece);
        cut.emit(piece, &mut scratch.head);
        // The first part of the payload lies in the head, behind the headers.
        let private = payload
            .get(range.start.min(payload.len())..range.end.min(payload.len()))
            .unwrap_or_default();
        let head_len = cut.headers_len().saturating_add(private.len());
        let head = scratch.head.get_mut(..head_len).ok_or(DropReason::BadOffload)?;
        if let Some(place) = head.get_mut(cut.headers_len()..) {
            place.copy_from_slice(private);
        }
        let tail_len = range.len().saturating_sub(private.len());
        scratch.tail.clear();
        tail.take(tail_len, &mut scratch.tail);
        let mut offload = Offload::default();
        if accepts.checksum {
            offload.checksum = Some(cut.checksum());
        } else {
            finish(head, &scratch.tail, cut.checksum()).ok_or(DropReason::BadOffload)?;
        }
        if f(Piece { head, tail: &scratch.tail, tail_len, offload }).is_break() {
            break;
        }
    }
    Ok(())
}

/// What is left of a tail.
struct Tail<'a> {
    segments: &'a [Segment],
    /// Bytes of the first segment that were taken already.
    offset: usize,
}

impl Tail<'_> {
    /// Moves `len` bytes to `to`, as far as there are so many.
    fn take(&mut self, mut len: usize, to: &mut Vec<Segment>) {
        while len > 0
            && let Some((first, others)) = self.segments.split_first()
        {
            let part = first.len().saturating_sub(self.offset).min(len);
            to.extend(first.slice(self.offset, part).filter(|part| !part.is_empty()));
            self.offset = self.offset.saturating_add(part);
            len = len.saturating_sub(part);
            if self.offset >= first.len() {
                (self.segments, self.offset) = (others, 0);
            }
        }
    }
}

/// Finishes a checksum in `head`, whose field holds the pseudo-header's sum. `None` if the field is not there.
fn finish(head: &mut [u8], tail: &[Segment], checksum: PartialChecksum) -> Option<()> {
    let start = usize::from(checksum.start);
    let field = start.checked_add(usize::from(checksum.offset))?;
    if field.checked_add(2)? > head.len() {
        return None;
    }
    let mut sum = Sum::new();
    sum.add(rest(head, start));
    for segment in tail {
        sum.add_partial(segment.sum(false), segment.len());
    }
    // Where the field lies says which protocol it is: `Claims::check` lets no other pass.
    let value = if usize::from(checksum.offset) == udp::field::CHECKSUM {
        udp::transmitted(sum)
    } else {
        sum.finish()
    };
    value.write(head, field);
    Some(())
}
