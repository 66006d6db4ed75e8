//! A guest's memory and rings as the guest writes them: 64 KiB in two regions that only the guest sees as one.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use strowger_guestmem::{GuestAddr, Memory, Region, UserAddr};
use strowger_vhost::RingConfig;

/// The guest's first address.
pub const BASE: u64 = 0x4000_0000;
/// How much it has.
pub const SIZE: usize = 0x1_0000;
/// Where the second region begins.
pub const SEAM: usize = 0x9000;
/// Offsets from [`BASE`]: the ring's parts, room for indirect tables, buffers up to the end.
pub const DESCRIPTORS: usize = 0;
pub const AVAILABLE: usize = 0x400;
pub const USED: usize = 0x800;
pub const TABLES: usize = 0x1000;
pub const BUFFERS: usize = 0x2000;

const USER: [u64; 2] = [0x7f00_0000_0000, 0x7e00_0000_0000];

/// Feature bits by their names in virtio 1.2.
pub const GUEST_CSUM: u64 = 1 << 1;
pub const MRG_RXBUF: u64 = 1 << 15;
pub const INDIRECT_DESC: u64 = 1 << 28;
pub const EVENT_IDX: u64 = 1 << 29;
pub const VERSION_1: u64 = 1 << 32;

pub struct Guest {
    pub file: File,
    pub memory: Memory,
}

impl Guest {
    pub fn new() -> Self {
        let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(SIZE as u64).unwrap();
        // The second region is the front of the file.
        let second = SIZE - SEAM;
        let regions = [(0, SEAM, second, USER[0]), (SEAM, second, 0, USER[1])];
        let mut memory = Memory::default();
        for (at, size, offset, user) in regions {
            let region = Region {
                guest: GuestAddr(BASE + at as u64),
                user: UserAddr(user),
                size: size as u64,
                offset: offset as u64,
            };
            memory = memory.with(region, file.try_clone().unwrap().into()).unwrap();
        }
        Self { file, memory }
    }

    /// All memory in the guest's order.
    pub fn image(&self) -> Vec<u8> {
        let mut image = vec![0; SIZE];
        self.file.read_exact_at(&mut image[..SEAM], (SIZE - SEAM) as u64).unwrap();
        self.file.read_exact_at(&mut image[SEAM..], 0).unwrap();
        image
    }

    /// Writes at an offset from [`BASE`].
    pub fn write(&self, at: usize, bytes: &[u8]) {
        let (low, high) = bytes.split_at(SEAM.saturating_sub(at).min(bytes.len()));
        self.file.write_all_at(low, (SIZE - SEAM + at) as u64).unwrap();
        if !high.is_empty() {
            self.file.write_all_at(high, (at + low.len() - SEAM) as u64).unwrap();
        }
    }

    /// The rings at their places, with eventfds, enabled.
    pub fn ring(&self, size: u16, base: u16, features: u64) -> RingConfig {
        let event = || -> Option<Arc<OwnedFd>> {
            Some(Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap()))
        };
        RingConfig {
            pair: 0,
            size,
            base,
            descriptors: UserAddr(USER[0] + DESCRIPTORS as u64),
            available: UserAddr(USER[0] + AVAILABLE as u64),
            used: UserAddr(USER[0] + USED as u64),
            memory: self.memory.clone(),
            features,
            enabled: Arc::new(AtomicBool::new(true)),
            kick: event(),
            call: event(),
            error: event(),
        }
    }
}

/// A descriptor's sixteen bytes.
pub fn descriptor(addr: u64, len: u32, flags: u16, next: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&addr.to_le_bytes());
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..14].copy_from_slice(&flags.to_le_bytes());
    bytes[14..].copy_from_slice(&next.to_le_bytes());
    bytes
}

/// An available ring that holds `heads` from index `base` on.
pub fn available(size: u16, base: u16, heads: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0; 4 + 2 * usize::from(size) + 2];
    let idx = base.wrapping_add(heads.len() as u16);
    bytes[2..4].copy_from_slice(&idx.to_le_bytes());
    for (ahead, head) in heads.iter().enumerate() {
        let slot = usize::from(base.wrapping_add(ahead as u16) % size);
        bytes[4 + 2 * slot..][..2].copy_from_slice(&head.to_le_bytes());
    }
    bytes
}

/// An empty used ring at index `base`.
pub fn used(size: u16, base: u16) -> Vec<u8> {
    let mut bytes = vec![0; 4 + 8 * usize::from(size) + 2];
    bytes[2..4].copy_from_slice(&base.to_le_bytes());
    bytes
}

/// The used entries from index `base` on, as a guest would read them.
pub fn used_since(image: &[u8], size: u16, base: u16) -> Vec<(u32, u32)> {
    let u32_at = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let idx = u16::from_le_bytes(image[USED + 2..USED + 4].try_into().unwrap());
    (0..idx.wrapping_sub(base))
        .map(|ahead| {
            let slot = usize::from(base.wrapping_add(ahead) % size);
            let at = USED + 4 + 8 * slot;
            (u32_at(at), u32_at(at + 4))
        })
        .collect()
}
