//! A guest's memory: an immutable set of mapped regions, and how its addresses are found in them.

#![allow(unsafe_code, reason = "turns a guest's addresses into the process's")]

use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::mapping::{MapError, Mapping};
use crate::{Area, Segment, SegmentMut, fault};

/// The most regions that one port has: as many memory slots as QEMU has (vhost-user's own bound is lower
/// without `CONFIGURE_MEM_SLOTS`).
pub const MAX_REGIONS: usize = 512;

/// An address in a guest's physical memory, as descriptors hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u64);

/// An address in the front end's own virtual memory, as vhost-user's ring addresses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserAddr(pub u64);

/// One region as a front end describes it (vhost-user, "Memory region description").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where the guest sees it.
    pub guest: GuestAddr,
    /// Where the front end sees it.
    pub user: UserAddr,
    /// Its size in bytes.
    pub size: u64,
    /// Where it begins in its file, in bytes.
    pub offset: u64,
}

/// A mapped region.
#[derive(Clone, Debug)]
struct Mapped {
    region: Region,
    mapping: Arc<Mapping>,
}

/// What a lookup needs of a region.
#[derive(Clone, Copy, Debug)]
struct Span {
    guest: u64,
    size: u64,
    host: NonNull<u8>,
}

// SAFETY: an address and two numbers; whose bytes those are is the business of `Memory`, which lives as long.
unsafe impl Send for Span {}
// SAFETY: as for `Send`.
unsafe impl Sync for Span {}

impl Span {
    const NONE: Self = Self { guest: 0, size: 0, host: NonNull::dangling() };

    /// The process's address of a guest's address within, and how many bytes follow.
    #[inline]
    fn find(&self, at: u64) -> Option<(NonNull<u8>, u64)> {
        let offset = at.wrapping_sub(self.guest);
        if offset >= self.size {
            return None;
        }
        // SAFETY: `offset` is below the size of what is mapped at `host`.
        Some((unsafe { self.host.add(offset as usize) }, self.size - offset))
    }
}

#[derive(Debug, Default)]
struct Regions {
    /// Sorted by guest address.
    mapped: Vec<Mapped>,
    /// The same, in the same order.
    spans: Vec<Span>,
}

/// An immutable set of mapped regions. Cheap to clone; a region is unmapped when the last set, ring or
/// [`Area`] that has it is dropped.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    regions: Arc<Regions>,
}

impl Memory {
    /// This memory and one more region, mapped from `file`.
    ///
    /// # Errors
    /// If the region is empty, overlaps another, reaches beyond its file or the address space, if the file is
    /// not in memory (memfd, tmpfs, hugetlbfs), or the system cannot map it.
    pub fn with(&self, region: Region, file: OwnedFd) -> Result<Self, MapError> {
        let Region { guest: GuestAddr(guest), user: UserAddr(user), size, offset } = region;
        if size == 0 {
            return Err(MapError::Empty(guest));
        }
        if [guest, user, offset].iter().any(|start| start.checked_add(size).is_none()) {
            return Err(MapError::Overflow(guest));
        }
        let overlaps = |a: u64, b: u64, b_size: u64| a < b + b_size && b < a + size;
        let regions = self.regions.mapped.iter().map(|mapped| &mapped.region);
        if regions.clone().any(|other| {
            overlaps(guest, other.guest.0, other.size) || overlaps(user, other.user.0, other.size)
        }) {
            return Err(MapError::Overlap(guest));
        }
        if regions.len() >= MAX_REGIONS {
            return Err(MapError::TooManyRegions);
        }
        let mapping = Arc::new(Mapping::shared(&file, offset, size)?);
        drop(file); // A mapping needs its file no more.
        let mut mapped = self.regions.mapped.clone();
        mapped.push(Mapped { region, mapping });
        Ok(Self::from_mapped(mapped))
    }

    /// This memory without one region, found by its addresses and size.
    ///
    /// # Errors
    /// If there is no such region.
    pub fn without(&self, region: &Region) -> Result<Self, MapError> {
        let mut mapped = self.regions.mapped.clone();
        let key = |of: &Region| (of.guest, of.user, of.size);
        let index = mapped.iter().position(|mapped| key(&mapped.region) == key(region));
        mapped.remove(index.ok_or(MapError::NoSuchRegion(region.guest.0))?);
        Ok(Self::from_mapped(mapped))
    }

    fn from_mapped(mut mapped: Vec<Mapped>) -> Self {
        mapped.sort_by_key(|mapped| mapped.region.guest);
        let span = |of: &Mapped| Span {
            guest: of.region.guest.0,
            size: of.region.size,
            host: of.mapping.base(),
        };
        let spans = mapped.iter().map(span).collect();
        Self { regions: Arc::new(Regions { mapped, spans }) }
    }

    /// The regions, by guest address.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = &Region> {
        self.regions.mapped.iter().map(|mapped| &mapped.region)
    }

    /// Whether a mapping was truncated under us, and zeroes are where the guest's bytes were.
    #[inline]
    #[must_use]
    pub fn is_broken(&self) -> bool {
        fault::any() && self.regions.mapped.iter().any(|mapped| mapped.mapping.is_broken())
    }

    /// `len` bytes at a guest's address, to be read. `None` if they are not all within one region.
    ///
    /// # Safety
    /// This memory, or a clone of it, outlives every use of the segment, its copies and its parts.
    #[inline]
    #[must_use]
    pub unsafe fn segment(&self, at: GuestAddr, len: u32) -> Option<Segment> {
        let (host, left) = self.span(at)?.find(at.0)?;
        // SAFETY: `left` bytes are mapped from `host` on; how long is the caller's promise.
        (u64::from(len) <= left).then(|| unsafe { Segment::new(host, len) })
    }

    /// `len` bytes at a guest's address, to be written. `None` if they are not all within one region.
    ///
    /// # Safety
    /// As for [`segment`](Self::segment).
    #[inline]
    #[must_use]
    pub unsafe fn segment_mut(&self, at: GuestAddr, len: u32) -> Option<SegmentMut> {
        let (host, left) = self.span(at)?.find(at.0)?;
        // SAFETY: `left` bytes are mapped from `host` on, writable; how long is the caller's promise.
        (u64::from(len) <= left).then(|| unsafe { SegmentMut::new(host, len) })
    }

    /// Part of a ring: `len` bytes at the front end's address. `None` if they are not all within one region,
    /// or the address is not a multiple of `align` here and there.
    #[must_use]
    pub fn area(&self, at: UserAddr, len: u64, align: u64) -> Option<Area> {
        let mapped = self
            .regions
            .mapped
            .iter()
            .find(|mapped| at.0.wrapping_sub(mapped.region.user.0) < mapped.region.size)?;
        let offset = at.0 - mapped.region.user.0;
        if len > mapped.region.size - offset || len == 0 || align == 0 {
            return None;
        }
        // SAFETY: `offset` is below the region's size, which is what is mapped.
        let base = unsafe { mapped.mapping.base().add(offset as usize) };
        let aligned = at.0.is_multiple_of(align) && (base.as_ptr() as u64).is_multiple_of(align);
        // SAFETY: `len` bytes from `offset` are within the region, as checked above.
        aligned.then(|| unsafe { Area::new(Arc::clone(&mapped.mapping), base, len as usize) })
    }

    /// The region that an address would be in.
    #[inline]
    fn span(&self, at: GuestAddr) -> Option<&Span> {
        let after = self.regions.spans.partition_point(|span| span.guest <= at.0);
        self.regions.spans.get(after.checked_sub(1)?)
    }
}

/// [`Memory`] for one user who looks addresses up again and again: remembers the region of the last one.
#[derive(Clone, Debug)]
pub struct Lookup {
    last: Span,
    memory: Memory,
}

impl Lookup {
    /// Looks up in `memory`.
    #[must_use]
    pub fn new(memory: Memory) -> Self {
        // Mostly the largest region is the one.
        let last = memory.regions.spans.iter().copied().max_by_key(|span| span.size);
        Self { last: last.unwrap_or(Span::NONE), memory }
    }

    /// What it looks up in.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// As many of `len` bytes at a guest's address as its region has, at least one unless `len` is 0.
    /// `None` if the address is in no region. A buffer in two adjacent regions is found by asking again.
    ///
    /// # Safety
    /// The memory that this looks up in outlives every use of the segment, its copies and its parts.
    #[inline]
    #[must_use]
    pub unsafe fn segment(&mut self, at: GuestAddr, len: u32) -> Option<Segment> {
        let (host, left) = self.find(at)?;
        // SAFETY: `left` bytes are mapped from `host` on; how long is the caller's promise.
        Some(unsafe { Segment::new(host, u64::from(len).min(left) as u32) })
    }

    /// As [`segment`](Self::segment), to be written.
    ///
    /// # Safety
    /// As for [`segment`](Self::segment).
    #[inline]
    #[must_use]
    pub unsafe fn segment_mut(&mut self, at: GuestAddr, len: u32) -> Option<SegmentMut> {
        let (host, left) = self.find(at)?;
        // SAFETY: `left` bytes are mapped from `host` on, writable; how long is the caller's promise.
        Some(unsafe { SegmentMut::new(host, u64::from(len).min(left) as u32) })
    }

    #[inline]
    fn find(&mut self, at: GuestAddr) -> Option<(NonNull<u8>, u64)> {
        match self.last.find(at.0) {
            Some(found) => Some(found),
            None => self.find_elsewhere(at),
        }
    }

    #[cold]
    fn find_elsewhere(&mut self, at: GuestAddr) -> Option<(NonNull<u8>, u64)> {
        let span = *self.memory.span(at)?;
        let found = span.find(at.0)?;
        self.last = span;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn file(size: u64) -> File {
        let file = File::from(memfd_create("memory", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(size).unwrap();
        file
    }

    fn region(guest: u64, user: u64, size: u64, offset: u64) -> Region {
        Region { guest: GuestAddr(guest), user: UserAddr(user), size, offset }
    }

    fn with(memory: &Memory, region: Region) -> Result<Memory, MapError> {
        memory.with(region, file(1 << 20).into())
    }

    #[test]
    fn bytes_of_the_file_are_found_at_the_guests_addresses() {
        let file = file(0x3000);
        file.write_all_at(b"strowger", 0x1ffc).unwrap();
        let fd = OwnedFd::from(file);
        // Neither the offset nor the size need be whole pages.
        let memory = Memory::default().with(region(0x9000, 0x7000, 0x1900, 0x1234), fd).unwrap();
        let at = GuestAddr(0x9000 + 0x1ffc - 0x1234);
        let mut bytes = [0; 8];
        // SAFETY: `memory` lives to the end of this test.
        unsafe {
            assert_eq!(memory.segment(at, 8).unwrap().copy_to(&mut bytes), 8);
            assert!(memory.segment(GuestAddr(0x9000), 0x1900).is_some());
            assert!(memory.segment(GuestAddr(0x9000), 0x1901).is_none());
            assert!(memory.segment(GuestAddr(0x8fff), 1).is_none());
            assert!(memory.segment(GuestAddr(0x9000 + 0x1900), 0).is_none());
            assert!(memory.segment(GuestAddr(u64::MAX), 1).is_none());
        }
        assert_eq!(&bytes, b"strowger");
    }

    #[test]
    fn regions_that_cannot_be_are_refused() {
        let one = with(&Memory::default(), region(0x10000, 0x50000, 0x10000, 0)).unwrap();
        let refused = |r| with(&one, r).unwrap_err();
        assert!(matches!(refused(region(0, 0, 0, 0)), MapError::Empty(0)));
        assert!(matches!(refused(region(u64::MAX, 0, 0x1000, 0)), MapError::Overflow(_)));
        assert!(matches!(refused(region(0, u64::MAX, 0x1000, 0)), MapError::Overflow(_)));
        assert!(matches!(refused(region(0, 0, 0x1000, u64::MAX)), MapError::Overflow(_)));
        assert!(matches!(refused(region(0x1f000, 0, 0x1000, 0)), MapError::Overlap(_)));
        assert!(matches!(refused(region(0, 0, 0x10001, 0)), MapError::Overlap(_)));
        assert!(matches!(refused(region(0, 0x5f000, 0x8000, 0)), MapError::Overlap(_)));
        let beyond = refused(region(0x100_0000, 0x100_0000, 0x1000, 1 << 20));
        assert!(matches!(beyond, MapError::FileTooShort { .. }), "{beyond}");
        assert_eq!(one.regions().len(), 1);
    }

    #[test]
    fn only_files_in_memory_are_mapped() {
        let elsewhere = File::open("/proc/self/status").unwrap();
        let refused = Memory::default().with(region(0, 0, 0x1000, 0), elsewhere.into());
        assert!(matches!(refused, Err(MapError::FileSystem(_))), "{refused:?}");
        let device = File::options().read(true).write(true).open("/dev/zero").unwrap();
        let refused = Memory::default().with(region(0, 0, 0x1000, 0), device.into()).unwrap_err();
        assert!(matches!(refused, MapError::NotAFile | MapError::FileSystem(_)), "{refused}");
    }

    #[test]
    fn a_region_is_removed_by_its_addresses_and_size() {
        let (a, b) = (region(0, 0x10000, 0x1000, 0), region(0x1000, 0x20000, 0x1000, 0));
        let memory = with(&with(&Memory::default(), b).unwrap(), a).unwrap();
        assert_eq!(memory.regions().copied().collect::<Vec<_>>(), [a, b]);
        let other = Region { size: 0x2000, ..a };
        assert!(matches!(memory.without(&other), Err(MapError::NoSuchRegion(0))));
        let less = memory.without(&Region { offset: 99, ..a }).unwrap();
        assert_eq!(less.regions().copied().collect::<Vec<_>>(), [b]);
        assert_eq!(memory.regions().len(), 2);
    }

    #[test]
    fn a_lookup_gives_what_each_region_has() {
        let memory = with(&Memory::default(), region(0x1000, 0x10000, 0x1000, 0)).unwrap();
        let memory = with(&memory, region(0x2000, 0x40000, 0x3000, 0)).unwrap();
        let mut lookup = Lookup::new(memory);
        // SAFETY: `lookup` keeps its memory to the end of this test.
        unsafe {
            assert_eq!(lookup.segment(GuestAddr(0x1ff0), 0x100).unwrap().len(), 0x10);
            assert_eq!(lookup.segment(GuestAddr(0x2000), 0xf0).unwrap().len(), 0xf0);
            assert_eq!(lookup.segment_mut(GuestAddr(0x4fff), u32::MAX).unwrap().len(), 1);
            assert!(lookup.segment(GuestAddr(0x5000), 1).is_none());
            assert!(lookup.segment(GuestAddr(0xfff), 1).is_none());
            assert!(Lookup::new(Memory::default()).segment(GuestAddr(0), 1).is_none());
        }
    }

    #[test]
    fn an_area_is_within_one_region_and_aligned() {
        let memory = with(&Memory::default(), region(0x1000, 0x10000, 0x1000, 0)).unwrap();
        assert!(memory.area(UserAddr(0x10ff0), 0x10, 16).is_some());
        assert!(memory.area(UserAddr(0x10ff0), 0x11, 16).is_none());
        assert!(memory.area(UserAddr(0x10ff8), 8, 16).is_none());
        assert!(memory.area(UserAddr(0x0fff0), 0x20, 16).is_none());
        assert!(memory.area(UserAddr(0x11000), 1, 1).is_none());
        assert!(memory.area(UserAddr(0x10000), u64::MAX, 1).is_none());
        assert!(memory.area(UserAddr(0x10000), 0, 1).is_none());
    }

    #[test]
    fn tables_and_words_stay_within_their_area() {
        use std::sync::atomic::Ordering::Relaxed;
        let memory = with(&Memory::default(), region(0x1000, 0x10000, 0x1000, 0)).unwrap();
        let area = memory.area(UserAddr(0x10000), 0x40, 16).unwrap();
        assert!(area.table::<[u64; 2]>(0, 8).is_none());
        assert!(area.table::<[u64; 2]>(0, 3).is_none());
        assert!(area.table::<[u64; 2]>(4, 2).is_none());
        assert!(area.word(0x3f).is_none() && area.word(0x40).is_none());
        let table = area.table::<[u64; 2]>(0, 4).unwrap();
        table.set(5, [7, 8]);
        assert_eq!(table.get(1), [7, 8]);
        let word = area.word(16).unwrap();
        assert_eq!(word.load(Relaxed), 7);
        drop((memory, area, table));
        word.store(9, Relaxed); // Still mapped: the word keeps it.
        assert_eq!(word.load(Relaxed), 9);
    }
}
