//! Private memory that yields segments, for frames that come from elsewhere than a guest.

#![allow(unsafe_code, reason = "segments of private memory are raw addresses too")]

use std::io;
use std::ptr::NonNull;

use crate::mapping::Mapping;
use crate::{Segment, SegmentMut};

/// Private, zeroed memory at an address that never changes. A TAP port receives large frames into it.
#[derive(Debug)]
pub struct Buffer {
    mapping: Mapping,
    len: usize,
}

impl Buffer {
    /// `len` zero bytes.
    ///
    /// # Errors
    /// If `len` is 0 or the system has no memory for it.
    pub fn new(len: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::anonymous(len)?, len })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always `false`: there is no empty buffer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is private, zeroed at first, `len` bytes long, and borrowed exclusively here;
        // segments are not used meanwhile by the promise that `segment` asks for.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.base().as_ptr(), self.len) }
    }

    /// `len` bytes from `offset`. `None` if they are not all within.
    ///
    /// # Safety
    /// The buffer outlives every use of the segment, its copies and its parts, and none of them is used while
    /// a slice from [`as_mut_slice`](Self::as_mut_slice) is.
    #[inline]
    #[must_use]
    pub unsafe fn segment(&self, offset: usize, len: usize) -> Option<Segment> {
        // SAFETY: `within` has checked the bounds; the rest is the caller's promise.
        Some(unsafe { Segment::new(self.within(offset, len)?, len as u32) })
    }

    /// As [`segment`](Self::segment), to be written.
    ///
    /// # Safety
    /// As for [`segment`](Self::segment).
    #[inline]
    #[must_use]
    pub unsafe fn segment_mut(&self, offset: usize, len: usize) -> Option<SegmentMut> {
        // SAFETY: `within` has checked the bounds; the rest is the caller's promise.
        Some(unsafe { SegmentMut::new(self.within(offset, len)?, len as u32) })
    }

    fn within(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        if len > u32::MAX as usize || offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `offset` is at most the length of the mapping.
        Some(unsafe { self.mapping.base().add(offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zeroed_and_bounded() {
        let mut buffer = Buffer::new(100).unwrap();
        assert_eq!(buffer.as_mut_slice(), [0; 100]);
        buffer.as_mut_slice()[99] = 7;
        // SAFETY: `buffer` lives to the end of this test, and no slice of it is in use.
        unsafe {
            assert_eq!(buffer.segment(99, 1).unwrap().sum(true), 7);
            assert!(buffer.segment(99, 2).is_none());
            assert!(buffer.segment(usize::MAX, 2).is_none());
            assert!(buffer.segment_mut(100, 0).unwrap().is_empty());
        }
        assert!(Buffer::new(0).is_err());
    }
}
