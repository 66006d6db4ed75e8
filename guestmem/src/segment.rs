//! Opaque runs of borrowed bytes.

#![allow(
    unsafe_code,
    reason = "a segment is a raw address that `Memory` and `Buffer` have checked"
)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::copy;

/// A run of borrowed bytes that may be read, and that its owner may write at any moment.
///
/// Whoever made it has promised that its memory stays mapped as long as it is used
/// ([`Memory::segment`](crate::Memory::segment), [`Buffer::segment`](crate::Buffer::segment)).
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    at: NonNull<u8>,
    len: u32,
}

/// A run of borrowed bytes that may be written; otherwise as [`Segment`].
#[derive(Clone, Copy, Debug)]
pub struct SegmentMut {
    at: NonNull<u8>,
    len: u32,
}

// SAFETY: a segment is an address; the bytes behind it belong to no thread and are never referenced, and the
// promise that they stay mapped is not bound to a thread either.
unsafe impl Send for Segment {}
// SAFETY: as for `Send`: every access through a shared segment is one that tolerates any other.
unsafe impl Sync for Segment {}
// SAFETY: as for `Segment`.
unsafe impl Send for SegmentMut {}
// SAFETY: as for `Segment`.
unsafe impl Sync for SegmentMut {}

impl Segment {
    /// A segment of `len` bytes at `at`.
    ///
    /// # Safety
    /// The bytes are mapped for reading as long as the segment or a copy or part of it is used, and no Rust
    /// reference to them is used meanwhile.
    #[inline]
    pub(crate) unsafe fn new(at: NonNull<u8>, len: u32) -> Self {
        Self { at, len }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.at.as_ptr()
    }

    /// How many bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `len` bytes from `offset`. `None` if they are not all within.
    #[inline]
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Option<Self> {
        let end = offset.checked_add(len)?;
        if end > self.len() {
            return None;
        }
        // SAFETY: `offset` is at most the segment's length, so this stays within or at the end of its mapping.
        Some(Self { at: unsafe { self.at.add(offset) }, len: len as u32 })
    }

    /// The first `len` bytes and the rest; all and nothing if there are fewer.
    #[inline]
    #[must_use]
    pub fn split(&self, len: usize) -> (Self, Self) {
        let first = self.len.min(len.min(u32::MAX as usize) as u32);
        // SAFETY: `first` is at most the segment's length.
        let rest = unsafe { self.at.add(first as usize) };
        (Self { at: self.at, len: first }, Self { at: rest, len: self.len - first })
    }

    /// One segment of both, if `next` begins where this one ends.
    #[inline]
    #[must_use]
    pub fn join(&self, next: &Self) -> Option<Self> {
        // The address only: a wrapped sum is no address of a mapping.
        let end = self.at.as_ptr().wrapping_add(self.len());
        if end != next.at.as_ptr() {
            return None;
        }
        Some(Self { at: self.at, len: self.len.checked_add(next.len)? })
    }

    /// Copies to the front of `to` as much as there is and fits. Returns how many bytes.
    #[inline]
    pub fn copy_to(&self, to: &mut [u8]) -> usize {
        let len = self.len().min(to.len());
        // SAFETY: `len` is within both; the segment's bytes are mapped by the promise of its maker.
        unsafe { copy::copy(to.as_mut_ptr(), self.as_ptr(), len) };
        len
    }

    /// The eight bytes at `offset`, little-endian. `None` if they are not all within.
    #[inline]
    #[must_use]
    pub fn load_u64(&self, offset: usize) -> Option<u64> {
        if self.len() < 8 || offset > self.len() - 8 {
            return None;
        }
        // SAFETY: eight bytes from `offset` are within the segment, as checked above.
        Some(u64::from_le(unsafe { copy::load_u64(self.as_ptr().add(offset)) }))
    }

    /// Asks for the cache line `offset` bytes on. Only a hint; beyond the end it does nothing useful.
    #[inline]
    pub fn prefetch(&self, offset: usize) {
        copy::prefetch_read(self.as_ptr().wrapping_add(offset));
    }

    /// The ones-complement sum (RFC 1071) of the bytes as 16-bit big-endian words, folded to 16 bits and not
    /// complemented. `odd` says that the first byte is the second of its word; a missing last byte is zero.
    #[must_use]
    pub fn sum(&self, odd: bool) -> u16 {
        let (at, len) = (self.at.as_ptr(), self.len());
        let to_word = at.align_offset(8).min(len);
        let words = (len - to_word) / 8;
        // Summed as the machine reads them, with the carries added back, then swapped once: RFC 1071, 2 (B).
        let mut sum = 0u64;
        let mut add = |value: u64| {
            let (wrapped, carry) = sum.overflowing_add(value);
            sum = wrapped + u64::from(carry);
        };
        // A byte's weight within its 16-bit word follows from its distance to the first byte.
        let byte = |index: usize| {
            // SAFETY: `index` is below `len`; an atomic load tolerates the owner's writes.
            let value = u64::from(unsafe { AtomicU8::from_ptr(at.add(index)).load(Relaxed) });
            if (index & 1 == 0) == cfg!(target_endian = "little") { value } else { value << 8 }
        };
        for index in 0..to_word {
            add(byte(index));
        }
        for word in 0..words {
            // SAFETY: the word ends within `len`, and is aligned since `to_word` was chosen for it.
            let value =
                unsafe { AtomicU64::from_ptr(at.add(to_word + word * 8).cast()).load(Relaxed) };
            // After an odd number of bytes the word's bytes have swapped weights.
            add(if to_word & 1 == 0 { value } else { value.rotate_left(8) });
        }
        for index in to_word + words * 8..len {
            add(byte(index));
        }
        let folded = fold(sum);
        let big_endian = if cfg!(target_endian = "little") { folded.swap_bytes() } else { folded };
        if odd { big_endian.swap_bytes() } else { big_endian }
    }
}

/// Adds the four 16-bit words of `sum` with their carries.
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

impl SegmentMut {
    /// A segment of `len` bytes at `at`.
    ///
    /// # Safety
    /// As for [`Segment::new`], and the bytes may be written.
    #[inline]
    pub(crate) unsafe fn new(at: NonNull<u8>, len: u32) -> Self {
        Self { at, len }
    }

    /// How many bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `len` bytes from `offset`. `None` if they are not all within.
    #[inline]
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Option<Self> {
        let part = self.as_segment().slice(offset, len)?;
        Some(Self { at: part.at, len: part.len })
    }

    /// The first `len` bytes and the rest; all and nothing if there are fewer.
    #[inline]
    #[must_use]
    pub fn split(&self, len: usize) -> (Self, Self) {
        let (first, rest) = self.as_segment().split(len);
        (Self { at: first.at, len: first.len }, Self { at: rest.at, len: rest.len })
    }

    /// One segment of both, if `next` begins where this one ends.
    #[inline]
    #[must_use]
    pub fn join(&self, next: &Self) -> Option<Self> {
        let whole = self.as_segment().join(&next.as_segment())?;
        Some(Self { at: whole.at, len: whole.len })
    }

    /// The same bytes, to be read.
    #[inline]
    #[must_use]
    pub fn as_segment(&self) -> Segment {
        Segment { at: self.at, len: self.len }
    }

    /// Copies the front of `from`, as much as there is and fits. Returns how many bytes.
    #[inline]
    pub fn copy_from(&self, from: &[u8]) -> usize {
        let len = self.len().min(from.len());
        // SAFETY: `len` is within both; the segment's bytes are mapped by the promise of its maker.
        unsafe { copy::copy(self.at.as_ptr(), from.as_ptr(), len) };
        len
    }

    /// Copies the front of `from`, as much as there is and fits. Returns how many bytes. If both overlap, what
    /// arrives is unspecified.
    #[inline]
    pub fn copy_from_segment(&self, from: Segment) -> usize {
        let len = self.len().min(from.len());
        // SAFETY: `len` is within both, and both are mapped by the promises of their makers.
        unsafe { copy::copy(self.at.as_ptr(), from.as_ptr(), len) };
        len
    }

    /// Stores eight bytes at `offset`, little-endian. `None`, and nothing stored, if they are not all within.
    #[inline]
    pub fn store_u64(&self, offset: usize, value: u64) -> Option<()> {
        if self.len() < 8 || offset > self.len() - 8 {
            return None;
        }
        // SAFETY: eight bytes from `offset` are within the segment, as checked above.
        unsafe { copy::store_u64(self.at.as_ptr().add(offset), value.to_le()) };
        Some(())
    }

    /// Asks for the cache line `offset` bytes on, to be written. Only a hint.
    #[inline]
    pub fn prefetch(&self, offset: usize) {
        copy::prefetch_write(self.at.as_ptr().wrapping_add(offset));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Buffer;

    fn buffer(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::new(bytes.len().max(1)).unwrap();
        buffer.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
        buffer
    }

    /// RFC 1071, 4.1, word for word.
    fn naive_sum(bytes: &[u8], odd: bool) -> u16 {
        let mut padded = if odd { vec![0] } else { vec![] };
        padded.extend_from_slice(bytes);
        let mut sum = 0u32;
        for pair in padded.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn sums_are_those_of_rfc_1071(bytes in prop::collection::vec(any::<u8>(), 0..200), skip in 0usize..9, odd: bool) {
            let skip = skip.min(bytes.len());
            let memory = buffer(&bytes);
            // SAFETY: `memory` lives to the end of this test.
            let segment = unsafe { memory.segment(skip, bytes.len() - skip) }.unwrap();
            prop_assert_eq!(segment.sum(odd), naive_sum(&bytes[skip..], odd));
        }
    }

    #[test]
    fn parts_never_reach_beyond_the_whole() {
        let memory = buffer(b"0123456789");
        // SAFETY: `memory` lives to the end of this test.
        let segment = unsafe { memory.segment(0, 10) }.unwrap();
        assert!(segment.slice(4, 7).is_none());
        assert!(segment.slice(usize::MAX, 2).is_none());
        assert!(segment.load_u64(3).is_none());
        assert!(segment.load_u64(usize::MAX).is_none());
        assert_eq!(segment.load_u64(2), Some(u64::from_le_bytes(*b"23456789")));
        let (first, rest) = segment.split(4);
        assert_eq!((first.len(), rest.len()), (4, 6));
        assert_eq!(first.join(&rest).unwrap().len(), 10);
        assert!(rest.join(&first).is_none());
        let (all, nothing) = segment.split(usize::MAX);
        assert_eq!((all.len(), nothing.len()), (10, 0));
        let mut bytes = [0; 4];
        assert_eq!(rest.copy_to(&mut bytes), 4);
        assert_eq!(&bytes, b"4567");
    }
}
