//! Virtio 1.2, 2.7, read literally over a copy of the guest's memory: slow, simple, and independent of the
//! code under test.

use strowger_packet::DropReason;
use strowger_packet::claims::Claims;

use crate::guest::{AVAILABLE, BASE, DESCRIPTORS, INDIRECT_DESC, MRG_RXBUF, SIZE, VERSION_1};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// The switch's own bounds.
const MAX_CHAIN: usize = 256;
const MAX_BUFFERS: usize = 256;
const FRAME: std::ops::RangeInclusive<usize> = 14..=65_557;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub bytes: Vec<u8>,
    pub claims: Option<Claims>,
}

pub struct Model {
    pub image: Vec<u8>,
    pub size: u16,
    pub features: u64,
    pub next: u16,
    pub used: Vec<(u32, u32)>,
    pub drops: Vec<DropReason>,
}

impl Model {
    pub fn header(&self) -> usize {
        if self.features & (VERSION_1 | MRG_RXBUF) == 0 { 10 } else { 12 }
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.image[at..at + 2].try_into().unwrap())
    }

    fn offset(&self, addr: u64, len: usize) -> Option<usize> {
        let offset = usize::try_from(addr.checked_sub(BASE)?).ok()?;
        (offset < SIZE && offset + len <= SIZE).then_some(offset)
    }

    fn pending(&self) -> bool {
        self.u16_at(AVAILABLE + 2) != self.next
    }

    fn head(&self) -> u16 {
        self.u16_at(AVAILABLE + 4 + 2 * usize::from(self.next % self.size))
    }

    /// The offsets of all bytes of a chain, in order. `None` for a chain that 2.7 forbids.
    fn chain(&self, head: u16, write: bool) -> Option<Vec<usize>> {
        let (mut table, mut entries) = (DESCRIPTORS, u64::from(self.size));
        let (mut index, mut indirect, mut bytes) = (u64::from(head), false, vec![]);
        let mut left = MAX_CHAIN;
        loop {
            if index >= entries || left == 0 {
                return None;
            }
            left -= 1;
            let at = table + 16 * usize::try_from(index).unwrap();
            let raw = self.image.get(at..at + 16)?;
            let addr = u64::from_le_bytes(raw[..8].try_into().unwrap());
            let len = u32::from_le_bytes(raw[8..12].try_into().unwrap());
            let flags = u16::from_le_bytes(raw[12..14].try_into().unwrap());
            let next = u16::from_le_bytes(raw[14..].try_into().unwrap());
            if flags & INDIRECT != 0 {
                let allowed = self.features & INDIRECT_DESC != 0 && !indirect;
                if !allowed || flags & NEXT != 0 || len % 16 != 0 {
                    return None;
                }
                table = usize::try_from(addr.checked_sub(BASE)?).ok()?;
                (entries, index, indirect, left) = (u64::from(len / 16), 0, true, MAX_CHAIN);
                continue;
            }
            if (flags & WRITE != 0) != write {
                return None;
            }
            if len > 0 {
                let offset = self.offset(addr, len as usize)?;
                bytes.extend(offset..offset + len as usize);
            }
            if flags & NEXT == 0 {
                return Some(bytes);
            }
            index = u64::from(next);
        }
    }

    /// Takes all that the guest has sent.
    pub fn receive(&mut self) -> Vec<Received> {
        let mut frames = vec![];
        while self.pending() {
            let head = self.head();
            self.next = self.next.wrapping_add(1);
            self.used.push((u32::from(head), 0));
            let Some(chain) = self.chain(head, false) else {
                self.drops.push(DropReason::BadDescriptor);
                continue;
            };
            let all: Vec<u8> = chain.iter().map(|&at| self.image[at]).collect();
            let len = all.len().checked_sub(self.header());
            match len {
                Some(len) if FRAME.contains(&len) => {}
                Some(len) if len > *FRAME.end() => {
                    self.drops.push(DropReason::TooLong);
                    continue;
                }
                _ => {
                    self.drops.push(DropReason::Truncated);
                    continue;
                }
            }
            let word = |at: usize| u16::from_le_bytes([all[at], all[at + 1]]);
            let claims = (all[0] != 0 || all[1] != 0).then(|| Claims {
                flags: all[0],
                gso_type: all[1],
                hdr_len: word(2),
                gso_size: word(4),
                csum_start: word(6),
                csum_offset: word(8),
            });
            frames.push(Received { bytes: all[self.header()..].to_vec(), claims });
        }
        frames
    }

    /// Delivers one frame that needs nothing done to it.
    pub fn send(&mut self, frame: &[u8]) {
        let need = self.header() + frame.len();
        let limit = if self.features & MRG_RXBUF == 0 { 1 } else { MAX_BUFFERS };
        let start = self.next;
        let (mut start, mut chains): (u16, Vec<(u16, Vec<usize>)>) = (start, vec![]);
        while chains.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < need {
            let failed = if !self.pending() {
                Some(DropReason::QueueFull)
            } else if chains.len() == limit {
                Some(DropReason::BufferTooSmall)
            } else {
                None
            };
            if let Some(reason) = failed {
                self.next = start;
                self.drops.push(reason);
                return;
            }
            let head = self.head();
            self.next = self.next.wrapping_add(1);
            let least = if chains.is_empty() { self.header() } else { 1 };
            match self.chain(head, true).filter(|bytes| bytes.len() >= least) {
                Some(bytes) => chains.push((head, bytes)),
                None => {
                    self.used.extend(chains.drain(..).map(|(head, _)| (u32::from(head), 0)));
                    self.used.push((u32::from(head), 0));
                    self.drops.push(DropReason::BadDescriptor);
                    start = self.next;
                }
            }
        }
        let mut bytes = vec![0; self.header()];
        if bytes.len() == 12 {
            bytes[10] = chains.len() as u8;
        }
        bytes.extend_from_slice(frame);
        let mut bytes = bytes.into_iter();
        for (head, chain) in chains {
            let mut written = 0;
            for (at, byte) in chain.into_iter().zip(&mut bytes) {
                self.image[at] = byte;
                written += 1;
            }
            self.used.push((u32::from(head), written));
        }
    }
}
