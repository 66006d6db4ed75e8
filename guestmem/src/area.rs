//! The parts of a ring: words and tables in a guest's memory, with bounds that are checked once.

#![allow(unsafe_code, reason = "atomic accesses to checked raw addresses")]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, Ordering::Relaxed};

use crate::copy;
use crate::mapping::Mapping;

/// A part of a ring: a run of bytes that stays mapped as long as this, or a [`Word`] or [`Table`] of it, lives.
#[derive(Clone, Debug)]
pub struct Area {
    base: NonNull<u8>,
    len: usize,
    #[expect(dead_code, reason = "keeps the memory mapped")]
    mapping: Arc<Mapping>,
}

// SAFETY: an address in a mapping that it keeps; every access to it is atomic.
unsafe impl Send for Area {}
// SAFETY: as for `Send`.
unsafe impl Sync for Area {}

impl Area {
    /// # Safety
    /// `len` bytes from `base` are within `mapping`.
    pub(crate) unsafe fn new(mapping: Arc<Mapping>, base: NonNull<u8>, len: usize) -> Self {
        Self { base, len, mapping }
    }

    /// The 16-bit word at `offset`. `None` if it is not within or not aligned.
    #[must_use]
    pub fn word(&self, offset: usize) -> Option<Word> {
        Some(Word { at: self.checked(offset, 2, 2)?.cast(), area: self.clone() })
    }

    /// `entries` entries from `offset` on, a power of two. `None` if they are not within or not aligned.
    #[must_use]
    pub fn table<T: Plain>(&self, offset: usize, entries: u16) -> Option<Table<T>> {
        if !entries.is_power_of_two() {
            return None;
        }
        let bytes = usize::from(entries).checked_mul(size_of::<T>())?;
        let first = self.checked(offset, bytes, T::ALIGN)?.cast();
        Some(Table { first, mask: entries - 1, area: self.clone() })
    }

    fn checked(&self, offset: usize, len: usize, align: usize) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `offset` is at most the area's length.
        let at = unsafe { self.base.add(offset) };
        at.as_ptr().addr().is_multiple_of(align).then_some(at)
    }
}

/// A 16-bit little-endian word that the guest reads or writes too.
#[derive(Clone, Debug)]
pub struct Word {
    at: NonNull<u16>,
    area: Area,
}

// SAFETY: as for `Area`, which it keeps.
unsafe impl Send for Word {}
// SAFETY: as for `Area`.
unsafe impl Sync for Word {}

impl Word {
    #[inline]
    fn atomic(&self) -> &AtomicU16 {
        // SAFETY: within `area`, which is mapped as long as it lives, and aligned; both were checked when
        // this was made. Everybody in this process accesses it atomically.
        unsafe { AtomicU16::from_ptr(self.at.as_ptr()) }
    }

    /// Its value.
    #[inline]
    #[must_use]
    pub fn load(&self, order: Ordering) -> u16 {
        u16::from_le(self.atomic().load(order))
    }

    /// Sets it.
    #[inline]
    pub fn store(&self, value: u16, order: Ordering) {
        self.atomic().store(value.to_le(), order);
    }

    /// The area that it is in.
    #[must_use]
    pub fn area(&self) -> &Area {
        &self.area
    }
}

/// What a [`Table`] holds: plain words. An entry is read and written word by word; one that is written
/// meanwhile may arrive mixed.
pub trait Plain: Copy + sealed::Sealed {
    /// How an entry must be aligned, in bytes.
    const ALIGN: usize;

    /// # Safety
    /// `at` is mapped, aligned to [`Self::ALIGN`], and accessed atomically only.
    #[doc(hidden)]
    unsafe fn load(at: NonNull<Self>) -> Self;

    /// # Safety
    /// As for [`load`](Self::load).
    #[doc(hidden)]
    unsafe fn store(self, at: NonNull<Self>);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u16 {}
    impl Sealed for [u32; 2] {}
    impl Sealed for [u64; 2] {}
}

macro_rules! plain_words {
    ($word:ty, $atomic:ty) => {
        impl Plain for [$word; 2] {
            const ALIGN: usize = align_of::<$word>();

            #[inline]
            unsafe fn load(at: NonNull<Self>) -> Self {
                // SAFETY: the caller vouches for both words.
                let word = |i| unsafe {
                    <$word>::from_le(
                        <$atomic>::from_ptr(at.as_ptr().cast::<$word>().add(i)).load(Relaxed),
                    )
                };
                [word(0), word(1)]
            }

            #[inline]
            unsafe fn store(self, at: NonNull<Self>) {
                for (i, value) in self.into_iter().enumerate() {
                    // SAFETY: the caller vouches for both words.
                    unsafe {
                        <$atomic>::from_ptr(at.as_ptr().cast::<$word>().add(i))
                            .store(value.to_le(), Relaxed);
                    }
                }
            }
        }
    };
}
plain_words!(u32, AtomicU32);
plain_words!(u64, AtomicU64);

impl Plain for u16 {
    const ALIGN: usize = 2;

    #[inline]
    unsafe fn load(at: NonNull<Self>) -> Self {
        // SAFETY: the caller vouches for it.
        Self::from_le(unsafe { AtomicU16::from_ptr(at.as_ptr()) }.load(Relaxed))
    }

    #[inline]
    unsafe fn store(self, at: NonNull<Self>) {
        // SAFETY: the caller vouches for it.
        unsafe { AtomicU16::from_ptr(at.as_ptr()) }.store(self.to_le(), Relaxed);
    }
}

/// A table of a power of two of little-endian entries. An index beyond its end is taken modulo its length,
/// so no access needs a check.
#[derive(Clone, Debug)]
pub struct Table<T> {
    first: NonNull<T>,
    mask: u16,
    #[expect(dead_code, reason = "keeps the memory mapped")]
    area: Area,
}

// SAFETY: as for `Area`, which it keeps; entries are plain words.
unsafe impl<T: Plain> Send for Table<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Plain> Sync for Table<T> {}

impl<T: Plain> Table<T> {
    #[inline]
    fn at(&self, index: u16) -> NonNull<T> {
        // SAFETY: a masked index is below the number of entries, all of which were checked to be within.
        unsafe { self.first.add(usize::from(index & self.mask)) }
    }

    /// The entry at `index`, taken modulo the length. Relaxed: order comes from the ring's index.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u16) -> T {
        // SAFETY: `at` is within the area, which is mapped as long as it lives, aligned for `T` as checked
        // when the table was made, and everybody in this process accesses it atomically.
        unsafe { T::load(self.at(index)) }
    }

    /// Sets the entry at `index`, taken modulo the length. Relaxed: order comes from the ring's index.
    #[inline]
    pub fn set(&self, index: u16, value: T) {
        // SAFETY: as for `get`.
        unsafe { value.store(self.at(index)) };
    }

    /// Asks for the cache line of an entry.
    #[inline]
    pub fn prefetch(&self, index: u16) {
        copy::prefetch_read(self.at(index).as_ptr().cast());
    }

    /// The number of entries less one.
    #[inline]
    #[must_use]
    pub fn mask(&self) -> u16 {
        self.mask
    }
}
