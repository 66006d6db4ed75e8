//! A guest's memory: memfds, mapped once here and once in the switch.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
};

use crate::Error;

/// Where the guest sees its memory.
const GUEST: u64 = 0x4000_0000;
/// Where the front end claims to see it: not where it is, so that nobody confuses the two.
const USER: u64 = 0x7a00_0000_0000;

/// One region, as the front end describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where the guest sees it.
    pub guest: u64,
    /// Bytes.
    pub size: u64,
    /// Where the front end sees it.
    pub user: u64,
    /// Where it begins in its file.
    pub offset: u64,
}

impl Region {
    /// The 32 bytes of a region in a payload.
    #[must_use]
    pub fn emit(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = [self.guest, self.size, self.user, self.offset];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// A guest's memory in one or more adjacent regions. Cheap to clone; unmapped with the last clone.
///
/// Access is by guest address and checked. The switch reads and writes the same bytes at any time: what is read
/// here is whatever was there.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: NonNull<u8>,
    len: usize,
    regions: Vec<(Region, OwnedFd)>,
    allocated: AtomicUsize,
}

// SAFETY: the mapping lives as long as `Inner` and is only accessed by copies and atomics.
unsafe impl Send for Inner {}
// SAFETY: as for `Send`.
unsafe impl Sync for Inner {}

impl Memory {
    /// Memory of `len` bytes in `count` regions of the same size, which the page size must divide.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn new(len: usize, count: usize, huge_pages: bool) -> Result<Self, Error> {
        let size = len / count;
        // SAFETY: a new mapping, of nothing that exists.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE)
        }
        .map_err(Error::io("reserve memory"))?;
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| Error::Protocol("memory at address 0".into()))?;
        let mut inner =
            Inner { base, len, regions: Vec::with_capacity(count), allocated: AtomicUsize::new(0) };
        for index in 0..count {
            let flags = MemfdFlags::CLOEXEC
                | if huge_pages {
                    MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB
                } else {
                    MemfdFlags::empty()
                };
            let file = memfd_create("guest", flags).map_err(Error::io("memfd_create"))?;
            ftruncate(&file, size as u64).map_err(Error::io("ftruncate"))?;
            let at = index * size;
            // SAFETY: replaces a part of the reservation above, which nobody has seen yet.
            unsafe {
                mmap(
                    base.as_ptr().add(at).cast(),
                    size,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED | MapFlags::FIXED,
                    &file,
                    0,
                )
            }
            .map_err(Error::io("map memory"))?;
            let at = at as u64;
            let region =
                Region { guest: GUEST + at, size: size as u64, user: USER + at, offset: 0 };
            inner.regions.push((region, file));
        }
        Ok(Self(Arc::new(inner)))
    }

    /// The regions with their files, in order.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = (Region, BorrowedFd<'_>)> {
        self.0.regions.iter().map(|(region, file)| (*region, file.as_fd()))
    }

    /// The guest address behind all memory.
    #[must_use]
    pub fn end(&self) -> u64 {
        GUEST + self.0.len as u64
    }

    /// Takes `len` bytes that nothing else uses, aligned to `align`, a power of two. Returns their guest address.
    ///
    /// # Errors
    /// If the memory is used up.
    pub fn allocate(&self, len: usize, align: usize) -> Result<u64, Error> {
        let taken = self.0.allocated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let end = used.next_multiple_of(align).checked_add(len)?;
            (end <= self.0.len).then_some(end)
        });
        let before = taken.map_err(|_| Error::Protocol("the guest's memory is used up".into()))?;
        Ok(GUEST + before.next_multiple_of(align) as u64)
    }

    /// The user address of a guest address.
    #[must_use]
    pub fn user(&self, guest: u64) -> u64 {
        guest.wrapping_sub(GUEST).wrapping_add(USER)
    }

    /// Copies out of memory.
    ///
    /// # Panics
    /// If the bytes are not all in memory: a test's mistake.
    pub fn read(&self, at: u64, to: &mut [u8]) {
        let from = self.pointer(at, to.len());
        // SAFETY: `pointer` checked that so many bytes are mapped; `to` is private.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    /// Copies into memory.
    ///
    /// # Panics
    /// As for [`read`](Self::read).
    pub fn write(&self, at: u64, from: &[u8]) {
        let to = self.pointer(at, from.len());
        // SAFETY: as for `read`.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }

    /// Loads 16 bits, and all that was written before them.
    ///
    /// # Panics
    /// As for [`read`](Self::read).
    #[must_use]
    pub fn load(&self, at: u64) -> u16 {
        u16::from_le(self.word(at).load(Ordering::Acquire))
    }

    /// Stores 16 bits after all that was written before.
    ///
    /// # Panics
    /// As for [`read`](Self::read).
    pub fn store(&self, at: u64, value: u16) {
        self.word(at).store(value.to_le(), Ordering::Release);
    }

    fn word(&self, at: u64) -> &AtomicU16 {
        let word = self.pointer(at, 2).cast::<AtomicU16>();
        assert!(word.is_aligned(), "{at:#x} is not aligned to two bytes");
        // SAFETY: two mapped, aligned bytes, for as long as `self`; any bytes are an integer.
        unsafe { &*word }
    }

    fn pointer(&self, at: u64, len: usize) -> *mut u8 {
        let offset = at.wrapping_sub(GUEST);
        assert!(
            offset.checked_add(len as u64).is_some_and(|end| end <= self.0.len as u64),
            "{len} bytes at {at:#x} are not in the guest's memory"
        );
        // SAFETY: `offset` is within the mapping.
        unsafe { self.0.base.as_ptr().add(offset as usize) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no clone of the `Memory` is left.
        // A failure would only leave it mapped.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
