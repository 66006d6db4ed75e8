//! What queues promise beyond single rings: disabled, broken, full, truncated, started again.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use strowger_guestmem::{Buffer, UserAddr, install_fault_handler};
use strowger_packet::counters::Totals;
use strowger_packet::{
    Batch, DropReason, Gso, GsoKind, Offload, PartialChecksum, PortCounters, PortId,
};
use strowger_vhost::{RingConfig, RingError, RxQueue, TxQueue};

use crate::check::fill;
use crate::guest::{
    AVAILABLE, BASE, BUFFERS, DESCRIPTORS, GUEST_CSUM, Guest, MRG_RXBUF, USED, VERSION_1,
    available, descriptor, used, used_since,
};
use crate::wakes::readable;

const FEATURES: u64 = VERSION_1 | MRG_RXBUF;
const RING: u16 = 8;

/// A guest with a ring of [`RING`] buffers of 256 bytes, of which `heads` are available.
fn guest(flags: u16, heads: &[u16]) -> Guest {
    let guest = Guest::new();
    let buffer = |n: usize| descriptor(BASE + (BUFFERS + 256 * n) as u64, 256, flags, 0);
    guest.write(DESCRIPTORS, &(0..usize::from(RING)).flat_map(buffer).collect::<Vec<_>>());
    guest.write(AVAILABLE, &available(RING, 0, heads));
    guest.write(USED, &used(RING, 0));
    guest
}

fn rx(queue: &mut RxQueue) -> (usize, Totals) {
    let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
    let count = queue.rx_burst(PortId(1), &mut batch, counters.shard(0));
    assert_eq!(count, batch.len());
    batch.clear();
    queue.release();
    (count, counters.totals())
}

fn tx(queue: &mut TxQueue, frames: &[Vec<u8>]) -> Totals {
    let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
    let mut buffer = Buffer::new(1 << 20).unwrap();
    fill(&mut batch, &mut buffer, frames);
    let refs: Vec<_> = batch.received().collect();
    queue.tx_burst(&batch, &refs, counters.shard(0), None);
    counters.totals()
}

fn dropped(totals: &Totals, reason: DropReason) -> u64 {
    totals.drops[reason as usize]
}

#[test]
fn a_disabled_ring_discards_what_it_sends_and_takes_nothing() {
    let sender = guest(0, &[0, 1, 2]);
    let config = sender.ring(RING, 0, FEATURES);
    config.enabled.store(false, SeqCst);
    let mut queue = RxQueue::new(config.clone()).unwrap();
    let (count, totals) = rx(&mut queue);
    assert_eq!((count, dropped(&totals, DropReason::RingDisabled)), (0, 3));
    assert_eq!(used_since(&sender.image(), RING, 0), [(0, 0), (1, 0), (2, 0)]);
    config.enabled.store(true, SeqCst);
    sender.write(AVAILABLE, &available(RING, 3, &[3]));
    assert_eq!(rx(&mut queue).0, 1);

    let receiver = guest(2, &[0, 1, 2]);
    let config = receiver.ring(RING, 0, FEATURES);
    config.enabled.store(false, SeqCst);
    let mut queue = TxQueue::new(config.clone()).unwrap();
    let frames = [vec![1; 60], vec![2; 60]];
    assert_eq!(dropped(&tx(&mut queue, &frames), DropReason::PortDown), 2);
    assert_eq!(queue.base(), 0);
    config.enabled.store(true, SeqCst);
    assert_eq!(tx(&mut queue, &frames).tx_frames, 2);
}

#[test]
fn an_index_that_jumps_breaks_the_ring_for_good() {
    let sender = guest(0, &[0]);
    sender.write(AVAILABLE + 2, &9u16.to_le_bytes());
    let config = sender.ring(RING, 0, FEATURES);
    let mut queue = RxQueue::new(config.clone()).unwrap();
    let (count, totals) = rx(&mut queue);
    assert_eq!((count, dropped(&totals, DropReason::BadDescriptor)), (0, 1));
    assert!(queue.is_broken());
    assert!(readable(config.error.as_ref().unwrap().as_fd()));
    sender.write(AVAILABLE, &available(RING, 0, &[0]));
    assert_eq!(rx(&mut queue).0, 0);
    assert!(!queue.arm());
    assert_eq!(used_since(&sender.image(), RING, 0), []);
    // Started anew, it works.
    assert_eq!(rx(&mut RxQueue::new(queue.into_config()).unwrap()).0, 1);

    let receiver = guest(2, &[0]);
    receiver.write(AVAILABLE + 2, &0x8000u16.to_le_bytes());
    let mut queue = TxQueue::new(receiver.ring(RING, 0, FEATURES)).unwrap();
    assert_eq!(dropped(&tx(&mut queue, &[vec![1; 60]]), DropReason::ReceiverBroken), 1);
    assert!(queue.is_broken());
    assert_eq!(dropped(&tx(&mut queue, &[vec![1; 60]]), DropReason::ReceiverBroken), 1);
    assert_eq!(used_since(&receiver.image(), RING, 0), []);
}

#[test]
fn a_full_receiver_loses_what_does_not_fit_and_goes_on() {
    let receiver = guest(2, &[0, 1]);
    let mut queue = TxQueue::new(receiver.ring(RING, 0, FEATURES)).unwrap();
    // The second needs two buffers and gets none of them; the third fits what is left.
    let totals = tx(&mut queue, &[vec![1; 100], vec![2; 400], vec![3; 100], vec![4; 60]]);
    assert_eq!((totals.tx_frames, totals.tx_bytes), (2, 200));
    assert_eq!(dropped(&totals, DropReason::QueueFull), 2);
    assert_eq!(used_since(&receiver.image(), RING, 0), [(0, 112), (1, 112)]);
    receiver.write(AVAILABLE, &available(RING, 2, &[2, 3]));
    assert_eq!(tx(&mut queue, &[vec![5; 400]]).tx_frames, 1);
    let image = receiver.image();
    assert_eq!(used_since(&image, RING, 2), [(2, 256), (3, 156)]);
    assert_eq!(image[BUFFERS + 512 + 10..][..2], [2, 0], "num_buffers");
}

#[test]
fn a_guest_without_mergeable_buffers_gets_what_fits_one() {
    let receiver = guest(2, &[0, 1]);
    let mut queue = TxQueue::new(receiver.ring(RING, 0, 0)).unwrap();
    let totals = tx(&mut queue, &[vec![1; 247], vec![2; 246]]);
    assert_eq!(dropped(&totals, DropReason::BufferTooSmall), 1);
    assert_eq!(used_since(&receiver.image(), RING, 0), [(0, 256)]);
    // A legacy header has ten bytes.
    assert_eq!(receiver.image()[BUFFERS + 9..][..3], [0, 2, 2]);
}

/// Buffers of one byte: none of them holds a header.
#[test]
fn tiny_buffers_are_bad_once() {
    let receiver = Guest::new();
    let size = 32u16;
    let tiny: Vec<u8> = (0..size).flat_map(|_| descriptor(BASE + 0x3000, 1, 2, 0)).collect();
    receiver.write(DESCRIPTORS, &tiny);
    receiver.write(AVAILABLE, &available(size, 0, &(0..size).collect::<Vec<_>>()));
    receiver.write(USED, &used(size, 0));
    let mut queue = TxQueue::new(receiver.ring(size, 0, FEATURES)).unwrap();
    let totals = tx(&mut queue, &vec![vec![9; 60]; 64]);
    assert_eq!(dropped(&totals, DropReason::BadDescriptor), u64::from(size));
    assert_eq!(dropped(&totals, DropReason::QueueFull), 64);
    assert_eq!(used_since(&receiver.image(), size, 0).len(), usize::from(size));
}

/// A ring full of loops is not walked in one burst, so that other ports get their turn.
#[test]
fn a_burst_walks_a_bounded_number_of_descriptors() {
    let receiver = Guest::new();
    let size = 64u16;
    let there = BASE + BUFFERS as u64;
    let loops: Vec<u8> = (0..size).flat_map(|n| descriptor(there, 60, 3, n)).collect();
    receiver.write(DESCRIPTORS, &loops);
    receiver.write(AVAILABLE, &available(size, 0, &(0..size).collect::<Vec<_>>()));
    receiver.write(USED, &used(size, 0));
    let mut queue = TxQueue::new(receiver.ring(size, 0, FEATURES)).unwrap();
    // 8192 pieces at 257 a chain of 256 are 32 chains.
    for (round, bad) in [(1, 32), (2, 32), (3, 0)] {
        let totals = tx(&mut queue, &vec![vec![9; 60]; 64]);
        assert_eq!(dropped(&totals, DropReason::BadDescriptor), bad, "round {round}");
        assert_eq!(dropped(&totals, DropReason::QueueFull), 64);
    }
    assert_eq!(used_since(&receiver.image(), size, 0).len(), usize::from(size));
}

#[test]
fn a_ring_stops_and_goes_on_at_its_base() {
    let sender = guest(0, &[0, 1, 2]);
    let mut queue = RxQueue::new(sender.ring(RING, 0, FEATURES)).unwrap();
    let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
    assert_eq!(queue.rx_burst(PortId(1), &mut batch, counters.shard(0)), 3);
    batch.clear();
    // What was not yet released is, when the ring stops.
    let config = queue.into_config();
    assert_eq!(config.base, 3);
    assert_eq!(used_since(&sender.image(), RING, 0).len(), 3);
    sender.write(AVAILABLE, &available(RING, 3, &[3, 4]));
    let mut queue = RxQueue::new(config).unwrap();
    assert_eq!(rx(&mut queue).0, 2);
    assert_eq!(used_since(&sender.image(), RING, 3), [(3, 0), (4, 0)]);
}

#[test]
fn a_loop_of_descriptors_ends_and_the_next_frame_comes() {
    let sender = guest(0, &[0, 2]);
    sender.write(DESCRIPTORS, &descriptor(BASE + BUFFERS as u64, 100, 1, 1));
    sender.write(DESCRIPTORS + 16, &descriptor(BASE + BUFFERS as u64, 100, 1, 0));
    let mut queue = RxQueue::new(sender.ring(RING, 0, FEATURES)).unwrap();
    let (count, totals) = rx(&mut queue);
    assert_eq!((count, dropped(&totals, DropReason::BadDescriptor)), (1, 1));
    assert_eq!(used_since(&sender.image(), RING, 0), [(0, 0), (2, 0)]);
}

#[test]
fn truncated_memory_breaks_the_queue() {
    install_fault_handler();
    let sender = guest(0, &[0, 1]);
    let mut queue = RxQueue::new(sender.ring(RING, 0, FEATURES)).unwrap();
    assert_eq!(rx(&mut queue).0, 2);
    sender.write(AVAILABLE, &available(RING, 2, &[2]));
    let mut other = RxQueue::new(guest(0, &[0]).ring(RING, 0, FEATURES)).unwrap();
    // The first region begins at 0x7000 of the file: its ring stays, its buffers go.
    sender.file.set_len(0x8000).unwrap();
    assert_eq!(rx(&mut queue).0, 0, "zeroes are not delivered");
    assert!(queue.is_broken());
    assert_eq!(rx(&mut other).0, 1);

    let receiver = guest(2, &[0]);
    let mut queue = TxQueue::new(receiver.ring(RING, 0, FEATURES)).unwrap();
    receiver.file.set_len(0).unwrap();
    assert_eq!(dropped(&tx(&mut queue, &[vec![1; 60]]), DropReason::ReceiverBroken), 1);
    assert!(queue.is_broken());
}

#[test]
fn what_a_guest_takes_unfinished_is_in_its_header() {
    let receiver = guest(2, &[0]);
    let mut queue = TxQueue::new(receiver.ring(RING, 0, FEATURES | GUEST_CSUM | 1 << 7)).unwrap();
    assert!(queue.accepts().checksum && queue.accepts().tso4);
    assert!(!queue.accepts().tso6 && !queue.accepts().ecn);
    let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
    let (frame, _) = batch.next(PortId(1)).unwrap();
    frame.set_head(100);
    frame.offload = Offload {
        checksum: Some(PartialChecksum { start: 34, offset: 16 }),
        gso: Some(Gso { kind: GsoKind::TcpV4, ecn: false, size: 1000, headers: 54 }),
    };
    batch.commit();
    let refs: Vec<_> = batch.received().collect();
    queue.tx_burst(&batch, &refs, counters.shard(0), None);
    let header = receiver.image()[BUFFERS..][..12].to_vec();
    assert_eq!(header, [1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0, 1, 0]);
}

/// The guest writes its ring while it is read: any frames may come, nothing else may happen.
#[test]
fn a_ring_rewritten_while_it_is_read_harms_nobody() {
    let sender = guest(0, &[]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u16;
            while !stop.load(SeqCst) {
                n = n.wrapping_mul(25_173).wrapping_add(13_849);
                let at = DESCRIPTORS + 16 * usize::from(n >> 4 & 7);
                let place = BASE + u64::from(n) * 2;
                sender.write(at, &descriptor(place, u32::from(n) * 3, n & 3, n >> 8 & 15));
            }
        });
        let mut queue = RxQueue::new(sender.ring(RING, 0, FEATURES)).unwrap();
        let (mut taken, mut lost) = (0, 0);
        for round in 0..2000u16 {
            let base = round.wrapping_mul(RING);
            sender.write(AVAILABLE, &available(RING, base, &[0, 1, 2, 3, 4, 5, 6, 7]));
            let (count, totals) = rx(&mut queue);
            taken += count as u64;
            lost += totals.drops.iter().sum::<u64>();
        }
        stop.store(true, SeqCst);
        assert!(!queue.is_broken());
        assert_eq!(taken + lost, 2000 * u64::from(RING));
    });
}

#[test]
fn rings_that_are_not_in_memory_do_not_start() {
    let guest = guest(0, &[]);
    let good = guest.ring(RING, 0, FEATURES);
    let refused = |config: RingConfig| RxQueue::new(config).unwrap_err();
    let part = |config: RingConfig| match refused(config) {
        RingError::Address { part, .. } => part,
        other => panic!("{other}"),
    };
    for size in [0, 3, 7] {
        assert!(matches!(refused(RingConfig { size, ..good.clone() }), RingError::Size(_)));
    }
    let moved = |at: UserAddr, by: u64| UserAddr(at.0.wrapping_add(by));
    let descriptors = moved(good.descriptors, 8);
    assert_eq!(part(RingConfig { descriptors, ..good.clone() }), "descriptor table");
    let available = moved(good.available, 1);
    assert_eq!(part(RingConfig { available, ..good.clone() }), "available ring");
    let used = moved(good.used, 2);
    assert_eq!(part(RingConfig { used, ..good.clone() }), "used ring");
    let used = UserAddr(u64::MAX - 3);
    assert_eq!(part(RingConfig { used, ..good.clone() }), "used ring");
    assert_eq!(part(RingConfig { size: 32_768, ..good.clone() }), "descriptor table");
    let (reader, _writer) = std::io::pipe().unwrap();
    let kick = Some(std::sync::Arc::new(reader.into()));
    assert!(matches!(refused(RingConfig { kick, ..good }), RingError::NotAnEventfd("kick")));
}
