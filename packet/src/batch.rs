//! What one rx call brought: frames, and the guest memory that their tails borrow.

use strowger_guestmem::Segment;

use crate::{DropReason, Frame, PortId};

/// The most frames that one rx call brings.
pub const MAX_FRAMES: usize = 64;
/// The bytes after which an rx call takes no further frame.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most copies with other headers that the outputs of one batch may make.
pub const MAX_FORKS: usize = 256;
/// The most segments that the tails of one batch borrow.
pub const MAX_SEGMENTS: usize = 4096;

/// A frame's place in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct FrameRef(u16);

impl FrameRef {
    /// Which frame of its batch: those received come first, in order, then forks.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Frames that a tx queue dropped, and why: for who wants to know more than the counters say.
pub type Lost = Vec<(FrameRef, DropReason)>;

/// Frames that came in together and leave together. Made once, filled again and again.
#[derive(Debug)]
pub struct Batch {
    frames: Box<[Frame]>,
    segments: Vec<Segment>,
    received: usize,
    used: usize,
    bytes: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            frames: vec![Frame::default(); MAX_FRAMES + MAX_FORKS].into_boxed_slice(),
            segments: Vec::with_capacity(MAX_SEGMENTS),
            received: 0,
            used: 0,
            bytes: 0,
        }
    }
}

impl Batch {
    /// Forgets all frames and everything that they borrowed.
    #[inline]
    pub fn clear(&mut self) {
        self.segments.clear();
        self.received = 0;
        self.used = 0;
        self.bytes = 0;
    }

    /// Frames received, without forks.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.received
    }

    /// Whether nothing was received.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.received == 0
    }

    /// Bytes of all frames received.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether another frame may be received: a bound on frames, on bytes, and on segments.
    #[inline]
    #[must_use]
    pub fn has_room(&self, segments: usize) -> bool {
        self.received < MAX_FRAMES
            && self.bytes < MAX_BYTES
            && self.segments.len().saturating_add(segments) <= MAX_SEGMENTS
    }

    /// The next frame to be received, empty, beside the segments to which its tail is appended.
    /// It is not part of the batch before [`commit`](Self::commit). Ask [`has_room`](Self::has_room) first, and
    /// fork only when all are received: `None` otherwise.
    #[inline]
    pub fn next(&mut self, ingress: PortId) -> Option<(&mut Frame, &mut Vec<Segment>)> {
        if self.received >= MAX_FRAMES || self.used != self.received {
            return None;
        }
        let frame = self.frames.get_mut(self.received)?;
        frame.reset(ingress);
        Some((frame, &mut self.segments))
    }

    /// Takes the frame that [`next`](Self::next) gave into the batch.
    #[inline]
    pub fn commit(&mut self) {
        if let Some(frame) = self.frames.get(self.received).filter(|_| self.received < MAX_FRAMES) {
            self.bytes = self.bytes.saturating_add(frame.len());
            self.received = self.received.saturating_add(1);
            self.used = self.received;
        }
    }

    /// The references of all frames received, in order.
    #[inline]
    pub fn received(&self) -> impl ExactSizeIterator<Item = FrameRef> + Clone + use<> {
        (0..self.received).map(|index| FrameRef(index as u16))
    }

    /// The frame of a reference that this batch gave since it was last cleared.
    #[inline]
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "a reference is below `used` when it is made, which is at most the length"
    )]
    pub fn frame(&self, at: FrameRef) -> &Frame {
        &self.frames[usize::from(at.0)]
    }

    /// The same, to be changed.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "as for `frame`")]
    pub fn frame_mut(&mut self, at: FrameRef) -> &mut Frame {
        &mut self.frames[usize::from(at.0)]
    }

    /// The borrowed segments of a frame's tail.
    #[inline]
    #[must_use]
    pub fn tail(&self, at: FrameRef) -> &[Segment] {
        self.segments.get(self.frame(at).tail_range()).unwrap_or_default()
    }

    /// A second frame with a head of its own and the same tail. `None` after [`MAX_FORKS`].
    pub fn fork(&mut self, at: FrameRef) -> Option<FrameRef> {
        let index = self.used;
        if index >= self.frames.len() {
            return None;
        }
        let frame = self.frame(at).clone();
        *self.frames.get_mut(index)? = frame;
        self.used = index.saturating_add(1);
        Some(FrameRef(index as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(batch: &mut Batch, bytes: &[u8]) {
        let (frame, _) = batch.next(PortId(1)).unwrap();
        frame.head_room()[..bytes.len()].copy_from_slice(bytes);
        frame.set_head(bytes.len());
        batch.commit();
    }

    #[test]
    fn a_fork_has_a_head_of_its_own() {
        let mut batch = Batch::default();
        receive(&mut batch, b"one");
        let first = batch.received().next().unwrap();
        let fork = batch.fork(first).unwrap();
        batch.frame_mut(fork).head_mut()[0] = b'O';
        assert_eq!(batch.frame(first).head(), b"one");
        assert_eq!(batch.frame(fork).head(), b"One");
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn frames_and_forks_are_bounded() {
        let mut batch = Batch::default();
        while batch.has_room(0) {
            receive(&mut batch, b"x");
        }
        assert_eq!(batch.len(), MAX_FRAMES);
        assert!(batch.next(PortId(1)).is_none());
        let first = batch.received().next().unwrap();
        assert_eq!(std::iter::from_fn(|| batch.fork(first)).count(), MAX_FORKS);
        batch.clear();
        assert!(batch.is_empty() && batch.has_room(1));
    }
}
