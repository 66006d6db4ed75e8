//! Memory that the kernel writes while this process reads it: the ring of a packet socket.

#![allow(unsafe_code, reason = "segments and words of shared memory are raw addresses")]

use std::{io, os::fd::BorrowedFd, ptr::NonNull, sync::atomic::AtomicU32};

use crate::{Segment, mapping::Mapping};

/// Memory that a descriptor of the kernel's offers, and that both sides write.
#[derive(Debug)]
pub struct KernelMemory {
    mapping: Mapping,
    len: usize,
}

impl KernelMemory {
    /// Maps its first `len` bytes.
    ///
    /// # Errors
    /// If there are not so many, or the descriptor has none.
    pub fn map(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::of_kernel(fd, len)?, len })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always `false`: nothing is not mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The word at `offset`, in the machine's byte order. `None` if it is not within or not aligned.
    #[inline]
    #[must_use]
    pub fn word(&self, offset: usize) -> Option<&AtomicU32> {
        let at = self.within(offset, 4)?.cast::<AtomicU32>();
        if !at.is_aligned() {
            return None;
        }
        // SAFETY: four bytes that stay mapped as long as `self` is borrowed, aligned as was just asked, and that
        // both sides access atomically.
        Some(unsafe { at.as_ref() })
    }

    /// `len` bytes from `offset`. `None` if they are not all within.
    ///
    /// # Safety
    /// This outlives every use of the segment, its copies and its parts.
    #[inline]
    #[must_use]
    pub unsafe fn segment(&self, offset: usize, len: usize) -> Option<Segment> {
        // SAFETY: `within` has checked the bounds; the rest is the caller's promise.
        Some(unsafe { Segment::new(self.within(offset, len)?, len as u32) })
    }

    #[inline]
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
    use std::{io::Write, os::fd::AsFd, sync::atomic::Ordering::Relaxed};

    use super::*;

    #[test]
    fn words_and_segments_are_what_the_other_side_wrote_and_bounded() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1, 0, 0, 0, 2, 3]).unwrap();
        file.set_len(4096).unwrap();
        let memory = KernelMemory::map(file.as_fd(), 4096).unwrap();
        assert_eq!(u32::from_le(memory.word(0).unwrap().load(Relaxed)), 1);
        assert!(memory.word(2).is_none() && memory.word(4094).is_none());
        let mut bytes = [0; 2];
        // SAFETY: `memory` lives to the end of this test.
        let segment = unsafe { memory.segment(4, 2) }.unwrap();
        assert_eq!((segment.copy_to(&mut bytes), bytes), (2, [2, 3]));
        // SAFETY: as above.
        assert!(unsafe { memory.segment(4095, 2) }.is_none());
        assert!(KernelMemory::map(io::pipe().unwrap().0.as_fd(), 4096).is_err());
    }
}
