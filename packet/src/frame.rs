//! One Ethernet frame in flight: a head in private memory, a tail borrowed from guest memory.

use crate::claims::Claims;
use crate::layers::Layers;
use crate::{Offload, PortId};

/// Free bytes before the head, for tags and tunnel headers that are pushed.
pub const HEADROOM: usize = 64;
/// The most bytes of a frame that are copied into the head when it comes in.
pub const HEAD: usize = 192;

/// One Ethernet frame in flight. Its tail lies in the segments of the [`Batch`](crate::Batch) it is in.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Frame {
    /// Which port it came from.
    pub ingress: PortId,
    /// What its receiver still has to do.
    pub offload: Offload,
    /// What its sender asked for and nobody has checked yet; [`extract`](crate::key::extract) takes it.
    pub claims: Option<Claims>,
    /// Where its headers begin; [`extract`](crate::key::extract) fills it.
    pub layers: Layers,
    start: u16,
    end: u16,
    tail_first: u16,
    tail_count: u16,
    tail_len: u32,
    bytes: [u8; HEADROOM + HEAD],
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            ingress: PortId::default(),
            offload: Offload::default(),
            claims: None,
            layers: Layers::default(),
            start: HEADROOM as u16,
            end: HEADROOM as u16,
            tail_first: 0,
            tail_count: 0,
            tail_len: 0,
            bytes: [0; HEADROOM + HEAD],
        }
    }
}

impl Frame {
    /// Makes an empty frame of this one, whatever it held. Stale head bytes stay, out of reach.
    #[inline]
    pub fn reset(&mut self, ingress: PortId) {
        self.ingress = ingress;
        self.offload = Offload::default();
        self.claims = None;
        self.layers = Layers::default();
        self.start = HEADROOM as u16;
        self.end = HEADROOM as u16;
        self.tail_first = 0;
        self.tail_count = 0;
        self.tail_len = 0;
    }

    /// The room for a head, [`HEAD`] bytes, to be filled and then measured by [`set_head`](Self::set_head).
    #[inline]
    pub fn head_room(&mut self) -> &mut [u8] {
        &mut self.bytes[HEADROOM..]
    }

    /// Says that the first `len` bytes of [`head_room`](Self::head_room) are the head; at most [`HEAD`].
    #[inline]
    pub fn set_head(&mut self, len: usize) {
        self.start = HEADROOM as u16;
        self.end = HEADROOM.saturating_add(len.min(HEAD)) as u16;
    }

    /// Makes a head of `len` bytes, to be filled: that of a frame that was here before and had things pushed, so that
    /// it may be longer than [`HEAD`]. `None`, and nothing changed, if there is no such room.
    pub fn restore_head(&mut self, len: usize) -> Option<&mut [u8]> {
        let last_start = self.bytes.len().checked_sub(len)?;
        let start = last_start.min(HEADROOM);
        self.start = start as u16;
        self.end = start.saturating_add(len) as u16;
        Some(self.head_mut())
    }

    /// Says where in the batch's segments the tail lies: `count` segments from `first`, `len` bytes in all.
    #[inline]
    pub fn set_tail(&mut self, first: u16, count: u16, len: u32) {
        self.tail_first = first;
        self.tail_count = count;
        self.tail_len = len;
    }

    /// The private first bytes.
    #[inline]
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }

    /// The private first bytes, to be changed.
    #[inline]
    pub fn head_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }

    /// The tail's place in the batch's segments.
    #[inline]
    #[must_use]
    pub fn tail_range(&self) -> std::ops::Range<usize> {
        let first = usize::from(self.tail_first);
        first..first.saturating_add(usize::from(self.tail_count))
    }

    /// Bytes in the tail.
    #[inline]
    #[must_use]
    pub fn tail_len(&self) -> usize {
        self.tail_len as usize
    }

    /// Bytes of the whole frame.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.end.saturating_sub(self.start)).saturating_add(self.tail_len as usize)
    }

    /// Whether there is no byte in it.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens `len` bytes at `at` of the head, moving what is before it to the front.
    /// `None`, and nothing changed, if the headroom does not hold them or `at` is beyond the head.
    pub fn open(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        let start = usize::from(self.start);
        let new = start.checked_sub(len)?;
        let until = start.checked_add(at).filter(|&end| end <= usize::from(self.end))?;
        self.bytes.copy_within(start..until, new);
        self.start = new as u16;
        self.shift_offsets(at, len as isize);
        self.bytes.get_mut(new.checked_add(at)?..until)
    }

    /// Cuts `len` bytes at `at` out of the head. `false`, and nothing changed, if the head does not hold them.
    pub fn close(&mut self, at: usize, len: usize) -> bool {
        let start = usize::from(self.start);
        let Some(from) = start.checked_add(at) else { return false };
        if from.checked_add(len).is_none_or(|end| end > usize::from(self.end)) {
            return false;
        }
        self.bytes.copy_within(start..from, start.saturating_add(len));
        self.start = start.saturating_add(len) as u16;
        self.shift_offsets(at, (len as isize).saturating_neg());
        true
    }

    /// Offsets that lie at or beyond `at` move with the bytes that they point at.
    fn shift_offsets(&mut self, at: usize, by: isize) {
        let moved = |value: u16| {
            if usize::from(value) < at {
                value
            } else {
                (value as isize).saturating_add(by).max(0) as u16
            }
        };
        if let Some(checksum) = &mut self.offload.checksum {
            checksum.start = moved(checksum.start);
        }
        if let Some(gso) = &mut self.offload.gso {
            gso.headers = moved(gso.headers);
        }
        self.layers.l3 = moved(self.layers.l3);
        self.layers.l4 = moved(self.layers.l4);
        self.layers.payload = moved(self.layers.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gso, GsoKind, PartialChecksum};

    fn frame(bytes: &[u8]) -> Frame {
        let mut frame = Frame::default();
        frame.head_room()[..bytes.len()].copy_from_slice(bytes);
        frame.set_head(bytes.len());
        frame
    }

    #[test]
    fn what_is_opened_and_closed_leaves_the_frame_as_it_was() {
        let mut f = frame(b"abcdefgh");
        f.offload.checksum = Some(PartialChecksum { start: 6, offset: 1 });
        f.offload.gso = Some(Gso { kind: GsoKind::TcpV4, ecn: false, size: 9, headers: 7 });
        f.layers = Layers { l3: 2, l4: 6, payload: 7, ..Layers::default() };
        let before = f.clone();
        f.open(2, 3).unwrap().copy_from_slice(b"XYZ");
        assert_eq!(f.head(), b"abXYZcdefgh");
        assert_eq!(f.offload.checksum.unwrap().start, 9);
        assert_eq!(f.offload.gso.unwrap().headers, 10);
        assert_eq!((f.layers.l3, f.layers.l4, f.layers.payload), (5, 9, 10));
        assert!(f.close(2, 3));
        assert_eq!(f.head(), before.head());
        assert_eq!(f.offload, before.offload);
        assert_eq!(f.layers, before.layers);
    }

    #[test]
    fn a_frame_that_is_reset_remembers_nothing() {
        let mut f = frame(b"abcdefgh");
        f.offload.checksum = Some(PartialChecksum { start: 6, offset: 1 });
        f.claims = Some(Claims::default());
        f.layers.vlan_tags = 2;
        f.set_tail(3, 2, 1000);
        f.reset(PortId(4));
        assert_eq!((f.ingress, f.len(), f.tail_range()), (PortId(4), 0, 0..0));
        assert_eq!((f.offload, f.claims, f.layers), Default::default());
    }

    #[test]
    fn a_head_that_grew_is_restored_in_the_headroom() {
        let mut f = frame(b"abcd");
        f.restore_head(HEAD + 4).unwrap().fill(7);
        assert_eq!(f.head(), [7; HEAD + 4]);
        assert!(f.open(0, HEADROOM - 4).is_some() && f.open(0, 1).is_none());
        f.restore_head(3).unwrap().copy_from_slice(b"xyz");
        assert_eq!(f.head(), b"xyz");
        assert!(f.restore_head(HEADROOM + HEAD + 1).is_none());
        assert_eq!(f.head(), b"xyz");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut f = frame(b"abcd");
        assert!(f.open(5, 1).is_none());
        assert!(f.open(0, HEADROOM + 1).is_none());
        assert!(!f.close(3, 2));
        assert!(!f.close(usize::MAX, 2));
        assert_eq!(f.head(), b"abcd");
    }
}
