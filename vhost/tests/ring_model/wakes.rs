//! Kicks and interrupts: none is lost, none comes unasked.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::fence;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strowger_packet::{Batch, PortCounters, PortId};
use strowger_vhost::{RingConfig, RxQueue};

use crate::guest::{
    AVAILABLE, BASE, BUFFERS, DESCRIPTORS, EVENT_IDX, Guest, USED, VERSION_1, available,
    descriptor, used,
};

const RING: u16 = 16;
const PATIENCE: i64 = 60;

fn wait(fd: BorrowedFd<'_>, seconds: i64) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap() == 1
}

/// Whether somebody has signalled.
pub fn readable(fd: BorrowedFd<'_>) -> bool {
    wait(fd, 0)
}

/// Whether it was signalled since this was last asked.
fn taken(fd: &Arc<OwnedFd>) -> bool {
    let mut count = [0; 8];
    rustix::io::read(fd, &mut count).is_ok()
}

fn sender(features: u64) -> (Guest, RingConfig) {
    let guest = Guest::new();
    let buffer = |n: u16| descriptor(BASE + BUFFERS as u64 + 64 * u64::from(n), 64, 0, 0);
    guest.write(DESCRIPTORS, &(0..RING).flat_map(buffer).collect::<Vec<_>>());
    guest.write(AVAILABLE, &available(RING, 0, &[]));
    guest.write(USED, &used(RING, 0));
    let config = guest.ring(RING, 0, features | VERSION_1);
    (guest, config)
}

/// Takes and returns everything, and says whether the guest was interrupted.
fn round(queue: &mut RxQueue, config: &RingConfig) -> (usize, bool) {
    let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
    let count = queue.rx_burst(PortId(1), &mut batch, counters.shard(0));
    batch.clear();
    queue.release();
    queue.notify();
    (count, taken(config.call.as_ref().unwrap()))
}

#[test]
fn a_guest_is_interrupted_once_at_the_start_and_then_as_its_flags_say() {
    let (guest, config) = sender(0);
    let mut queue = RxQueue::new(config.clone()).unwrap();
    assert!(taken(config.call.as_ref().unwrap()));
    assert_eq!(round(&mut queue, &config), (0, false));
    guest.write(AVAILABLE, &available(RING, 0, &[0, 1]));
    assert_eq!(round(&mut queue, &config), (2, true));
    assert_eq!(round(&mut queue, &config), (0, false));
    guest.write(AVAILABLE, &available(RING, 2, &[2]));
    guest.write(AVAILABLE, &1u16.to_le_bytes()); // VIRTQ_AVAIL_F_NO_INTERRUPT
    assert_eq!(round(&mut queue, &config), (1, false));
}

/// Virtio 1.2, 2.7.7.2: the interrupt is due when the index that the guest named is passed.
#[test]
fn with_event_indices_the_interrupt_comes_when_the_named_entry_is_used() {
    let (guest, config) = sender(EVENT_IDX);
    let mut queue = RxQueue::new(config.clone()).unwrap();
    assert!(taken(config.call.as_ref().unwrap()));
    let used_event = AVAILABLE + 4 + 2 * usize::from(RING);
    let mut base = 0;
    for (count, event, due) in
        [(3u16, 3u16, false), (1, 3, true), (2, 5, true), (2, 5, false), (3, 8, true)]
    {
        let heads: Vec<u16> = (base..base + count).collect();
        guest.write(AVAILABLE, &available(RING, base, &heads)[..used_event - AVAILABLE]);
        guest.write(used_event, &event.to_le_bytes());
        assert_eq!(round(&mut queue, &config), (usize::from(count), due), "from {base}");
        base += count;
    }
}

#[test]
fn a_queue_that_arms_says_what_is_there_already() {
    for features in [0, EVENT_IDX] {
        let (guest, config) = sender(features);
        let mut queue = RxQueue::new(config.clone()).unwrap();
        let flags = || u16::from_le_bytes(guest.image()[USED..USED + 2].try_into().unwrap());
        let event = USED + 4 + 8 * usize::from(RING);
        let avail_event =
            || u16::from_le_bytes(guest.image()[event..event + 2].try_into().unwrap());
        if features == 0 {
            assert_eq!(flags(), 1, "VIRTQ_USED_F_NO_NOTIFY from the start");
        }
        assert!(!queue.arm());
        assert_eq!(flags(), 0);
        guest.write(AVAILABLE, &available(RING, 0, &[0, 1, 2]));
        assert!(queue.arm());
        queue.disarm();
        assert_eq!(round(&mut queue, &config).0, 3);
        assert!(!queue.arm());
        if features == EVENT_IDX {
            assert_eq!(avail_event(), 3);
        }
    }
}

#[test]
fn a_ring_without_a_kick_is_never_slept_on() {
    let (_guest, config) = sender(0);
    let mut queue = RxQueue::new(RingConfig { kick: None, ..config }).unwrap();
    assert!(queue.arm());
    assert!(!readable(queue.kick()));
    queue.acknowledge();
}

/// A guest that kicks only when asked, and a switch that sleeps whenever it may: each frame arrives.
#[test]
fn no_kick_is_lost_however_both_sides_meet() {
    const FRAMES: u32 = 20_000;
    for features in [0, EVENT_IDX] {
        let (guest, config) = sender(features);
        let call = config.call.clone().unwrap();
        let kick = config.kick.clone().unwrap();
        let area = |at, len| guest.memory.area(at, len, 4).unwrap();
        let ring = area(config.available, 4 + 2 * u64::from(RING) + 2);
        let returned = area(config.used, 4 + 8 * u64::from(RING) + 2);
        let (entries, index) = (ring.table::<u16>(4, RING).unwrap(), ring.word(2).unwrap());
        let (used_index, used_flags) = (returned.word(2).unwrap(), returned.word(0).unwrap());
        let used_event = ring.word(4 + 2 * usize::from(RING)).unwrap();
        let avail_event = returned.word(4 + 8 * usize::from(RING)).unwrap();
        let mut queue = RxQueue::new(config.clone()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut next = 0u16;
                for _ in 0..FRAMES {
                    // A full ring waits for an interrupt, asked for as 2.7.7 and 2.7.10 say.
                    while next.wrapping_sub(used_index.load(Acquire)) == RING {
                        used_event.store(used_index.load(Acquire), SeqCst);
                        fence(SeqCst);
                        if next.wrapping_sub(used_index.load(Acquire)) == RING {
                            assert!(wait(call.as_fd(), PATIENCE), "an interrupt was lost");
                        }
                        taken(&call);
                    }
                    entries.set(next, next % RING);
                    let old = next;
                    next = next.wrapping_add(1);
                    index.store(next, Release);
                    fence(SeqCst);
                    let wanted = if features == 0 {
                        used_flags.load(SeqCst) == 0
                    } else {
                        avail_event.load(SeqCst) == old
                    };
                    if wanted {
                        rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
                    }
                }
            });
            let (mut batch, counters) = (Batch::default(), PortCounters::new(1));
            let mut received = 0;
            while received < FRAMES {
                let count = queue.rx_burst(PortId(1), &mut batch, counters.shard(0));
                batch.clear();
                queue.release();
                queue.notify();
                received += count as u32;
                if count == 0 && received < FRAMES && !queue.arm() {
                    assert!(wait(queue.kick(), PATIENCE), "a kick was lost after {received}");
                    queue.acknowledge();
                    queue.disarm();
                }
            }
            assert_eq!(counters.totals().rx_frames, u64::from(FRAMES));
        });
    }
}
