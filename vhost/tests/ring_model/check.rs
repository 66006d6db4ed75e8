//! Queues held against the model: the same ring for both, and everything that can be seen compared.

#![allow(unsafe_code, reason = "frames borrow from a buffer")]

use strowger_guestmem::Buffer;
use strowger_packet::{Batch, DropReason, PortCounters, PortId};
use strowger_vhost::{RxQueue, TxQueue};

use crate::guest::{AVAILABLE, DESCRIPTORS, Guest, TABLES, USED, available, used, used_since};
use crate::model::{Model, Received};

/// What a guest has prepared.
#[derive(Clone, Debug)]
pub struct Ring {
    pub size: u16,
    pub base: u16,
    pub features: u64,
    pub descriptors: Vec<[u8; 16]>,
    pub table: Vec<[u8; 16]>,
    pub heads: Vec<u16>,
}

impl Ring {
    /// Writes it to where the guest has its ring.
    pub fn write_to(&self, guest: &Guest) {
        guest.write(DESCRIPTORS, &self.descriptors.concat());
        guest.write(TABLES, &self.table.concat());
        guest.write(AVAILABLE, &available(self.size, self.base, &self.heads));
        guest.write(USED, &used(self.size, self.base));
    }

    fn model(&self, guest: &Guest) -> Model {
        Model {
            image: guest.image(),
            size: self.size,
            features: self.features,
            next: self.base,
            used: vec![],
            drops: vec![],
        }
    }
}

fn counts(drops: &[DropReason]) -> Vec<u64> {
    DropReason::ALL
        .iter()
        .map(|reason| drops.iter().filter(|drop| *drop == reason).count() as u64)
        .collect()
}

/// Receives all frames of a ring and holds them, and what was returned, against the model.
pub fn check_rx(guest: &Guest, ring: &Ring) {
    let mut model = ring.model(guest);
    let expected = model.receive();
    let mut queue = RxQueue::new(guest.ring(ring.size, ring.base, ring.features)).unwrap();
    let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
    let mut frames = vec![];
    let end = ring.base.wrapping_add(ring.heads.len() as u16);
    while queue.base() != end {
        let before = queue.base();
        batch.clear();
        let count = queue.rx_burst(PortId(1), &mut batch, counters.shard(0));
        assert_eq!(count, batch.len());
        assert_ne!(queue.base(), before, "a burst without progress");
        for at in batch.received() {
            let frame = batch.frame(at);
            let mut bytes = frame.head().to_vec();
            for segment in batch.tail(at) {
                let start = bytes.len();
                bytes.resize(start + segment.len(), 0);
                segment.copy_to(&mut bytes[start..]);
            }
            assert_eq!(bytes.len(), frame.len());
            frames.push(Received { bytes, claims: frame.claims });
        }
        batch.clear();
        queue.release();
    }
    assert!(!queue.is_broken());
    assert_eq!(frames, expected);
    assert_eq!(used_since(&guest.image(), ring.size, ring.base), model.used);
    let totals = counters.totals();
    assert_eq!(totals.drops.to_vec(), counts(&model.drops));
    assert_eq!(totals.rx_frames, expected.len() as u64);
    assert_eq!(totals.rx_bytes, expected.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>());
}

/// Sends frames into a ring and holds the guest's whole memory against the model.
pub fn check_tx(guest: &Guest, ring: &Ring, frames: &[Vec<u8>]) {
    let mut model = ring.model(guest);
    for frame in frames {
        model.send(frame);
    }
    let mut queue = TxQueue::new(guest.ring(ring.size, ring.base, ring.features)).unwrap();
    let counters = PortCounters::new(1);
    let mut buffer = Buffer::new(1 << 20).unwrap();
    let mut batch = Batch::default();
    fill(&mut batch, &mut buffer, frames);
    let refs: Vec<_> = batch.received().collect();
    let mut told = Vec::new();
    queue.tx_burst(&batch, &refs, counters.shard(0), Some(&mut told));

    assert!(!queue.is_broken());
    assert_eq!(queue.base(), model.next);
    let image = guest.image();
    assert_eq!(used_since(&image, ring.size, ring.base), model.used);
    assert!(image[TABLES..] == model.image[TABLES..], "other bytes were written");
    let totals = counters.totals();
    assert_eq!(totals.drops.to_vec(), counts(&model.drops));
    // A bad chain is no frame.
    let lost: Vec<_> =
        model.drops.iter().copied().filter(|&drop| drop != DropReason::BadDescriptor).collect();
    assert_eq!(totals.tx_frames, (frames.len() - lost.len()) as u64);
    assert_eq!(told.iter().map(|&(_, reason)| reason).collect::<Vec<_>>(), lost);
    assert!(told.iter().all(|(at, _)| refs.contains(at)));
}

/// Frames with heads of 20 to 192 bytes and tails of several segments in `buffer`.
pub fn fill(batch: &mut Batch, buffer: &mut Buffer, frames: &[Vec<u8>]) {
    let mut at = 0;
    for (index, bytes) in frames.iter().enumerate() {
        let head = bytes.len().min(20 + 86 * (index % 3));
        let (frame, segments) = batch.next(PortId(2)).unwrap();
        frame.head_room()[..head].copy_from_slice(&bytes[..head]);
        frame.set_head(head);
        let first = segments.len();
        for part in bytes[head..].chunks(1 + bytes.len() / 3) {
            buffer.as_mut_slice()[at..at + part.len()].copy_from_slice(part);
            // SAFETY: the buffer outlives the batch's use, and no slice of it is in use when segments are.
            segments.push(unsafe { buffer.segment(at, part.len()) }.unwrap());
            at += part.len();
        }
        let count = segments.len() - first;
        frame.set_tail(first as u16, count as u16, (bytes.len() - head) as u32);
        batch.commit();
    }
}
