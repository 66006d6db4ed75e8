//! A fuzzer's bytes as what a guest prepares.

use crate::check::Ring;
use crate::guest::{
    BASE, EVENT_IDX, INDIRECT_DESC, MRG_RXBUF, SIZE, TABLES, VERSION_1, descriptor,
};

/// Descriptors in the indirect table.
const ENTRIES: usize = 12;

/// Takes bytes from the front; zeroes when there are no more.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (now, later) = self.0.split_at(N.min(self.0.len()));
        bytes[..now.len()].copy_from_slice(now);
        self.0 = later;
        bytes
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    /// Ten bytes: mostly a place behind the ring's own, where the model knows what a write does; sometimes any.
    fn descriptor(&mut self, size: u16) -> [u8; 16] {
        let [place, len, more] = [self.u16(), self.u16(), self.u16()].map(u32::from);
        let [flags, next, wild, _] = self.bytes();
        let mut addr = BASE + TABLES as u64 + u64::from(place) % (SIZE - TABLES + 64) as u64;
        let mut len = len % 2048;
        match wild {
            0xff => addr = u64::from(more) << 48 | u64::from(place),
            0xfe => len |= more << 16,
            0xfd => addr = BASE + TABLES as u64 + 16 * (u64::from(place) % ENTRIES as u64),
            0xfc => len = 16 * (len % (ENTRIES as u32 + 2)),
            _ => {}
        }
        descriptor(addr, len, u16::from(flags), u16::from(next) % (size + 2))
    }

    /// A ring of up to 8 descriptors: loops in more of them reach the bound on a burst, which the model has not.
    pub fn ring(&mut self) -> Ring {
        let [bits, log, count, _] = self.bytes();
        let all = [VERSION_1, MRG_RXBUF, INDIRECT_DESC, EVENT_IDX];
        let chosen = all.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
        let features = chosen.map(|(_, feature)| feature).sum();
        let size = 1 << (log % 4);
        let base = self.u16();
        let heads = (0..u16::from(count) % (size + 1)).map(|_| self.u16() % (size + 1)).collect();
        let descriptors = (0..size).map(|_| self.descriptor(size)).collect();
        let table = (0..ENTRIES).map(|_| self.descriptor(ENTRIES as u16)).collect();
        Ring { size, base, features, descriptors, table, heads }
    }
}
