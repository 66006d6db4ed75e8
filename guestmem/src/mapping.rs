//! One mapping of a file or of private memory, from mmap(2) to munmap(2).

#![allow(unsafe_code, reason = "maps memory")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

use crate::fault::Watch;

/// Why a region was not mapped, or not unmapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// No byte in it.
    #[error("memory region at guest address {0:#x} is empty")]
    Empty(u64),
    /// An address or offset plus the size is no number.
    #[error("memory region at guest address {0:#x} reaches beyond the address space")]
    Overflow(u64),
    /// It shares addresses with a region that is there.
    #[error("memory region at guest address {0:#x} overlaps another one")]
    Overlap(u64),
    /// More than [`MAX_REGIONS`](crate::MAX_REGIONS).
    #[error("more memory regions than the switch maps for one port")]
    TooManyRegions,
    /// More than all ports together may have.
    #[error("more memory regions than the switch maps for all ports together")]
    TooManyMappings,
    /// Its faults could stall the switch for ever.
    #[error(
        "memory region is a file on a file system of type {0:#x}; only memfd, tmpfs and hugetlbfs serve"
    )]
    FileSystem(u64),
    /// A device could do anything when it is touched.
    #[error("memory region is not a regular file")]
    NotAFile,
    /// It would fault at once.
    #[error("memory region ends at byte {end} of a file of {size} bytes")]
    FileTooShort {
        /// Where the region ends in the file.
        end: u64,
        /// The file's size in bytes.
        size: u64,
    },
    /// There is no such region.
    #[error("no memory region at guest address {0:#x} with this user address and size")]
    NoSuchRegion(u64),
    /// The system said no.
    #[error("mapping a memory region failed: {0}")]
    System(#[from] io::Error),
}

/// A mapping, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// What was mapped: from here, whole pages.
    start: NonNull<u8>,
    mapped: usize,
    /// How far from `start` the wanted bytes begin.
    skip: usize,
    watch: Option<Watch>,
}

// SAFETY: a mapping belongs to the process, not to a thread; it hands out addresses only.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`; nothing in it changes after it was made.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `size` bytes of `file` from `offset`, shared, and watches them for faults.
    pub(crate) fn shared(file: &OwnedFd, offset: u64, size: u64) -> Result<Self, MapError> {
        let page = page_size(file.as_fd())?;
        let stat = rustix::fs::fstat(file).map_err(io::Error::from)?;
        // A device's node may well lie in a tmpfs.
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(MapError::NotAFile);
        }
        let end = offset.checked_add(size).ok_or(MapError::Overflow(offset))?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        if end > len {
            return Err(MapError::FileTooShort { end, size: len });
        }
        // QEMU cuts its RAM at 640 KiB: an offset need not be at a page of its file.
        let skip = offset % page;
        let mapped = (size + skip)
            .checked_next_multiple_of(page)
            .and_then(|mapped| usize::try_from(mapped).ok())
            .ok_or(MapError::Overflow(offset))?;
        let start = offset - skip;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let start = map(mapped, flags, file.as_raw_fd(), start)?;
        // Made before the watch: if there is none left, dropping it unmaps.
        let mut mapping = Self { start, mapped, skip: skip as usize, watch: None };
        // SAFETY: exactly what was mapped above, and only advice: a core dump does without guests' memory.
        unsafe { libc::madvise(start.as_ptr().cast(), mapped, libc::MADV_DONTDUMP) };
        let watch = Watch::new(start.as_ptr() as usize, mapped, page as usize);
        mapping.watch = Some(watch.ok_or(MapError::TooManyMappings)?);
        Ok(mapping)
    }

    /// Maps the first `len` bytes of what the kernel offers behind a descriptor, shared with it.
    pub(crate) fn of_kernel(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let start = map(len, libc::MAP_SHARED, fd.as_raw_fd(), 0)?;
        Ok(Self { start, mapped: len, skip: 0, watch: None })
    }

    /// Maps `len` bytes of private, zeroed memory.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        let start = map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)?;
        Ok(Self { start, mapped: len, skip: 0, watch: None })
    }

    /// The first of the wanted bytes.
    #[inline]
    pub(crate) fn base(&self) -> NonNull<u8> {
        // SAFETY: `skip` is below a page, and at least a page is mapped.
        unsafe { self.start.add(self.skip) }
    }

    /// Whether its file was truncated under it.
    pub(crate) fn is_broken(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_broken)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // No longer watched before it is gone: the addresses may be mapped anew at once.
        self.watch = None;
        // SAFETY: exactly what was mapped, and nobody uses it: segments by the promise of their maker, rings
        // because they own the mapping.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

fn map(len: usize, flags: libc::c_int, fd: libc::c_int, offset: u64) -> io::Result<NonNull<u8>> {
    let offset =
        libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: without MAP_FIXED a new mapping replaces nothing that exists.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, offset) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// The page size of a file's mapping; refuses every file system but those that live in memory.
fn page_size(file: BorrowedFd<'_>) -> Result<u64, MapError> {
    const TMPFS: u64 = 0x0102_1994;
    const HUGETLBFS: u64 = 0x9584_58f6;
    let system = rustix::fs::fstatfs(file).map_err(io::Error::from)?;
    match system.f_type as u64 {
        TMPFS => Ok(rustix::param::page_size() as u64),
        HUGETLBFS => u64::try_from(system.f_bsize)
            .ok()
            .filter(|size| size.is_power_of_two())
            .ok_or(MapError::FileSystem(HUGETLBFS)),
        other => Err(MapError::FileSystem(other)),
    }
}
