use std::sync::Arc;

use strowger_packet::{MacAddress, PortCounters};

use super::*;
use crate::ports::recorder::Recorder;
use crate::ports::{RxQueue, TxSlots};
use crate::rates::{Limit, Shaper, TokenBucket};
use crate::snapshot::Extras;
use crate::tables::loops::Guard;
use crate::tables::mac::{MOVES_A_SECOND, MacLimits, MacTable};
use crate::tables::mirror::{Direction, Mirror};
use crate::vlan::{Mode, Vid};

/// A bridge of recorders and one worker's pipeline.
struct Bench {
    recorders: Vec<Recorder>,
    queues: Vec<RxQueue>,
    snapshot: Snapshot,
    stations: Arc<MacTable>,
    pipeline: Pipeline,
    batch: Batch,
}

impl Bench {
    fn new(ports: u32, limits: CacheLimits) -> Self {
        let stations = Arc::new(MacTable::new(MacLimits::default()));
        let mut snapshot = Snapshot::default();
        let bridge = snapshot.add_bridge("br0", Arc::clone(&stations));
        let recorders: Vec<_> = (0..ports).map(|_| Recorder::new(2)).collect();
        for (number, recorder) in recorders.iter().enumerate() {
            let tx = TxSlots::new(2);
            assert!(tx.start(recorder.tx(0)).is_none());
            assert!(snapshot.put_port(PortEntry {
                id: PortId(number as u32),
                name: format!("p{number}"),
                number: number as u32 + 1,
                bridge,
                vlan: Mode::default(),
                counters: Arc::new(PortCounters::new(1)),
                tx: Arc::new(tx),
                extras: Extras::default(),
            }));
        }
        let queues = recorders.iter().map(|recorder| recorder.rx(0)).collect();
        let (pipeline, batch) = (Pipeline::new(0, limits), Batch::default());
        Self { recorders, queues, snapshot, stations, pipeline, batch }
    }

    fn send(&mut self, port: u32, frames: impl IntoIterator<Item = Vec<u8>>, millis: u64) {
        self.recorders[port as usize].send(frames);
        let queue = &mut self.queues[port as usize];
        loop {
            self.batch.clear();
            let entry = self.snapshot.port(PortId(port)).unwrap();
            if queue.rx_burst(PortId(port), &mut self.batch, entry.counters.shard(0)) == 0 {
                break;
            }
            let now = Moment::from_millis(millis);
            self.pipeline.process(&mut self.batch, PortId(port), &self.snapshot, now);
            queue.release();
        }
    }

    fn sent(&self, port: usize) -> usize {
        self.recorders[port].take().len()
    }

    fn drops(&self, port: u32, reason: DropReason) -> u64 {
        self.snapshot.port(PortId(port)).unwrap().counters.totals().drops[reason as usize]
    }
}

fn frame(dst: u8, src: u16) -> Vec<u8> {
    let [high, low] = src.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 1, high, low, 0x88, 0xb5];
    frame.resize(64, 0);
    frame
}

#[test]
fn a_storm_of_new_flows_is_held_to_its_budget_and_others_are_not() {
    let mut bench = Bench::new(3, CacheLimits::default());
    let storm = u32::from(u16::MAX).min(TRANSLATIONS_A_MILLISECOND * 3);
    bench.send(0, (0..storm).map(|src| frame(1, src as u16)), 7);
    let over = u64::from(storm - TRANSLATIONS_A_MILLISECOND);
    assert_eq!(bench.drops(0, DropReason::TranslationBudget), over);
    assert_eq!(bench.sent(2), TRANSLATIONS_A_MILLISECOND as usize);
    bench.send(1, [frame(9, 1000)], 7);
    assert_eq!(bench.sent(2), 1);
    bench.send(0, [frame(1, 0), frame(1, 60_000)], 8);
    assert_eq!(bench.sent(2), 2, "a flow that is known, and one of the next millisecond");
}

#[test]
fn a_flow_follows_a_station_that_moves() {
    let mut bench = Bench::new(3, CacheLimits::default());
    bench.send(1, [frame(9, 5)], 0);
    let to_five = || {
        let mut frame = frame(0, 77);
        frame[..6].copy_from_slice(&[2, 0, 0, 1, 0, 5]);
        frame
    };
    bench.send(0, [to_five(), to_five()], 0);
    assert_eq!((bench.sent(1), bench.sent(2)), (2, 1));
    bench.send(2, [frame(9, 5)], 1000);
    assert_eq!(bench.recorders[1].take().len(), 1, "flooded");
    bench.send(0, [to_five()], 1000);
    assert_eq!((bench.sent(1), bench.sent(2)), (0, 1));
}

#[test]
fn a_station_that_was_held_back_is_learned_in_the_next_second() {
    let mut bench = Bench::new(3, CacheLimits::default());
    for move_ in 0..u32::from(MOVES_A_SECOND) + 2 {
        bench.send(move_ % 2, [frame(9, 5)], 5000);
    }
    let station = MacAddress([2, 0, 0, 1, 0, 5]);
    let port = |bench: &Bench| bench.stations.lookup(Vid::UNTAGGED, station, 6).0.unwrap();
    let (stays, other) = (port(&bench), PortId(1 - port(&bench).0));
    bench.send(other.0, [frame(9, 5)], 5999);
    assert_eq!(port(&bench), stays);
    bench.send(other.0, [frame(9, 5)], 6000);
    assert_eq!(port(&bench), other, "the cached flow was made again");
}

#[test]
fn a_port_without_a_queue_is_down_and_counts_what_it_misses() {
    let mut bench = Bench::new(3, CacheLimits::default());
    bench.snapshot.port(PortId(2)).unwrap().tx.stop(0);
    bench.send(0, [frame(1, 1), frame(1, 2)], 0);
    assert_eq!(bench.sent(1), 2);
    assert_eq!(bench.drops(2, DropReason::PortDown), 2);
    assert_eq!(bench.drops(0, DropReason::PortDown), 0);
}

#[test]
fn a_conversation_stays_on_one_queue_and_all_queues_are_used() {
    let mut bench = Bench::new(2, CacheLimits::default());
    assert!(bench.snapshot.port(PortId(1)).unwrap().tx.start(bench.recorders[1].tx(1)).is_none());
    for _ in 0..2 {
        bench.send(0, (0..64).map(|src| frame(1, src)), 0);
    }
    let sent = bench.recorders[1].take();
    assert_eq!(sent.len(), 128);
    let pair = |src: u16| -> Vec<u16> {
        sent.iter().filter(|sent| sent.bytes == frame(1, src)).map(|sent| sent.pair).collect()
    };
    let pairs: Vec<Vec<u16>> = (0..64).map(pair).collect();
    assert!(pairs.iter().all(|pairs| pairs.len() == 2 && pairs[0] == pairs[1]));
    assert!(pairs.iter().any(|pairs| pairs[0] == 0) && pairs.iter().any(|pairs| pairs[0] == 1));
}

#[test]
fn one_interrupt_a_batch() {
    let mut bench = Bench::new(3, CacheLimits::default());
    bench.send(0, (0..64).map(|_| frame(1, 3)), 0);
    assert_eq!((bench.recorders[1].interrupts(), bench.recorders[2].interrupts()), (1, 1));
}

#[test]
fn a_frame_that_is_too_short_is_counted_where_it_came_in() {
    let mut bench = Bench::new(2, CacheLimits::default());
    bench.send(0, [vec![0; 13], frame(1, 1)], 0);
    assert_eq!(bench.drops(0, DropReason::Truncated), 1);
    assert_eq!(bench.sent(1), 1);
}

#[test]
fn a_cache_of_one_flow_still_forwards_everything() {
    let mut bench = Bench::new(2, CacheLimits { flows: 1, masks: 1, exact: 1 });
    bench.send(0, (0..64).map(|src| frame(1, src % 7)), 0);
    assert_eq!(bench.sent(1), 64);
    assert_eq!(bench.pipeline.cache().len(), 1);
}

impl Bench {
    /// Gives a port limits; on a live port the queue stays.
    fn limit(&mut self, port: u32, ingress: Option<Limit>, egress: Option<Limit>) {
        let mut entry = PortEntry::clone(self.snapshot.port(PortId(port)).unwrap());
        let shaper = entry.extras.shaper.take();
        entry.extras.policer = ingress.map(|limit| Arc::new(TokenBucket::new(limit)));
        entry.extras.shaper = egress.map(|limit| {
            Arc::new(match &shaper {
                Some(shaper) => shaper.with_limit(limit),
                None => Shaper::new(limit).unwrap(),
            })
        });
        assert!(self.snapshot.put_port(entry));
    }

    fn drain(&mut self, millis: u64) -> usize {
        self.pipeline.drain(&self.snapshot, Moment::from_millis(millis))
    }

    fn backlog(&self, port: u32) -> u64 {
        let entry = self.snapshot.port(PortId(port)).unwrap();
        entry.extras.shaper.as_ref().map_or(0, |shaper| shaper.backlog().frames)
    }

    fn sources(&self, port: usize) -> Vec<u16> {
        let sources = self.recorders[port].take();
        sources.iter().map(|sent| u16::from_be_bytes([sent.bytes[10], sent.bytes[11]])).collect()
    }
}

#[test]
fn what_exceeds_the_ingress_rate_is_dropped_where_it_came_in_before_anything_else() {
    let mut bench = Bench::new(2, CacheLimits::default());
    bench.limit(0, Some(Limit::frames(1000, 3)), None);
    // Frames that are too short, or would be translated, take tokens too.
    bench.send(0, [vec![0; 13], frame(1, 1), frame(1, 2), frame(1, 3), vec![0; 13]], 0);
    assert_eq!(bench.sources(1), [1, 2]);
    assert_eq!(bench.drops(0, DropReason::Policed), 2);
    assert_eq!(bench.drops(0, DropReason::Truncated), 1);
    bench.send(0, [frame(1, 4), frame(1, 5)], 1);
    assert_eq!(bench.sources(1), [4]);
    bench.send(1, (0..10).map(|src| frame(1, 100 + src)), 1);
    assert_eq!(bench.sent(0), 10, "the other direction has no limit");
    assert_eq!(bench.drops(0, DropReason::Policed), 3);
    let totals = bench.snapshot.port(PortId(0)).unwrap().counters.totals();
    assert_eq!(totals.rx_frames, 7, "what is dropped was received");
}

#[test]
fn frames_that_wait_leave_in_order_as_tokens_come_and_nothing_overtakes() {
    let mut bench = Bench::new(3, CacheLimits::default());
    bench.limit(2, None, Some(Limit::frames(1000, 2)));
    bench.send(0, (0..5).map(|src| frame(9, src)), 0);
    assert_eq!(bench.sources(2), [0, 1]);
    assert_eq!(bench.sent(1), 5, "other receivers do not wait");
    assert_eq!((bench.backlog(2), bench.pipeline.due()), (3, Some(Moment::from_millis(1))));
    // There is a token by now, but others are first.
    bench.send(1, [frame(9, 5)], 1);
    assert!(bench.sources(2).is_empty());
    assert_eq!(bench.drain(1), 1);
    assert_eq!(bench.sources(2), [2]);
    assert_eq!(bench.drain(1), 0);
    assert_eq!(bench.drain(3), 2);
    assert_eq!(bench.drain(9), 1);
    assert_eq!(bench.sources(2), [3, 4, 5]);
    assert!(!bench.pipeline.has_backlog() && bench.backlog(2) == 0);
    bench.send(0, [frame(9, 6)], 9);
    assert_eq!(bench.sources(2), [6], "at once again");
    assert_eq!(bench.snapshot.port(PortId(2)).unwrap().counters.totals().tx_frames, 7);
}

#[test]
fn what_would_wait_too_long_is_dropped_at_the_receiver() {
    let mut bench = Bench::new(2, CacheLimits::default());
    bench.limit(1, None, Some(Limit::frames(1000, 1)));
    bench.send(0, (0..64).map(|src| frame(9, src)), 0);
    // One at once, and 50 within 50 ms.
    assert_eq!((bench.sent(1), bench.backlog(1)), (1, 50));
    assert_eq!(bench.drops(1, DropReason::ShaperFull), 13);
    assert_eq!(bench.drops(0, DropReason::ShaperFull), 0);
    // A frame may wait alone however slow the rate is.
    let mut bench = Bench::new(2, CacheLimits::default());
    bench.limit(1, None, Some(Limit::frames(1, 1)));
    bench.send(0, (0..3).map(|src| frame(9, src)), 0);
    assert_eq!((bench.sent(1), bench.backlog(1)), (1, 1));
    assert_eq!(bench.pipeline.due(), Some(Moment::from_millis(1000)));
}

#[test]
fn a_port_that_goes_down_or_leaves_loses_what_waits_there_and_says_so() {
    for leaves in [false, true] {
        let mut bench = Bench::new(2, CacheLimits::default());
        bench.limit(1, None, Some(Limit::frames(1000, 1)));
        bench.send(0, (0..4).map(|src| frame(9, src)), 0);
        let counters = Arc::clone(&bench.snapshot.port(PortId(1)).unwrap().counters);
        let shaper = bench.snapshot.port(PortId(1)).unwrap().extras.shaper.clone().unwrap();
        let queue = bench.snapshot.port(PortId(1)).unwrap().tx.stop(0);
        if leaves {
            bench.snapshot.remove_port(PortId(1));
        }
        assert_eq!(bench.drain(1), 0);
        assert_eq!(counters.totals().drops[DropReason::PortDown as usize], 3);
        assert!(!bench.pipeline.has_backlog());
        assert_eq!(shaper.backlog().frames, 0);
        assert_eq!(Arc::strong_count(&shaper), if leaves { 1 } else { 2 }, "the worker let it go");
        assert_eq!((bench.drain(2), bench.sent(1)), (0, 1));
        drop(queue);
    }
}

#[test]
fn another_rate_on_a_live_port_keeps_what_waits_and_none_sends_it_at_once() {
    let mut bench = Bench::new(2, CacheLimits::default());
    bench.limit(1, None, Some(Limit::frames(1000, 1)));
    bench.send(0, (0..30).map(|src| frame(9, src)), 0);
    assert_eq!(bench.sources(1), [0]);
    bench.limit(1, None, Some(Limit::frames(10_000, 1)));
    assert_eq!((bench.backlog(1), bench.drain(1)), (29, 1), "one at a time is the burst");
    assert_eq!(bench.pipeline.due(), Some(Moment { nanos: 1_100_000 }));
    bench.limit(1, None, None);
    assert_eq!(bench.drain(1), 28);
    assert_eq!(bench.sources(1), (1..30).collect::<Vec<_>>());
    assert!(!bench.pipeline.has_backlog());
}

#[test]
fn frames_that_wait_for_a_queue_that_stopped_leave_by_another() {
    let mut bench = Bench::new(2, CacheLimits::default());
    bench.limit(1, None, Some(Limit::frames(1000, 1)));
    bench.send(0, (0..3).map(|src| frame(9, src)), 0);
    let entry = bench.snapshot.port(PortId(1)).unwrap();
    assert!(entry.tx.start(bench.recorders[1].tx(1)).is_none());
    drop(entry.tx.stop(0));
    assert_eq!(bench.drain(1) + bench.drain(2), 2);
    assert_eq!(
        bench.recorders[1].take().iter().map(|sent| sent.pair).collect::<Vec<_>>(),
        [0, 1, 1]
    );
}

impl Bench {
    fn mirror(&mut self, ports: &[u32], direction: Direction, to: u32) {
        let ports = Some(ports.iter().copied().map(PortId).collect());
        let (name, to) = ("m".into(), PortId(to));
        let bridge = self.snapshot.bridges().next().unwrap().id;
        let mirror = Mirror { name, ports, direction, vlans: None, to };
        self.snapshot.set_mirrors(bridge, vec![mirror]);
    }
}

#[test]
fn a_mirror_that_takes_nothing_costs_nobody_else_a_frame() {
    for is_down in [false, true] {
        let mut bench = Bench::new(4, CacheLimits::default());
        bench.mirror(&[0], Direction::Both, 3);
        if is_down {
            bench.snapshot.port(PortId(3)).unwrap().tx.stop(0);
        }
        bench.recorders[3].limit(10);
        bench.send(0, (0..64).map(|src| frame(1, src)), 0);
        assert_eq!((bench.sent(1), bench.sent(2)), (64, 64));
        assert_eq!(bench.sent(3), if is_down { 0 } else { 10 });
        let reason = if is_down { DropReason::PortDown } else { DropReason::QueueFull };
        assert_eq!(bench.drops(3, reason), if is_down { 64 } else { 54 });
        let others =
            (0..3).map(|port| bench.snapshot.port(PortId(port)).unwrap().counters.totals());
        assert!(others.flat_map(|totals| totals.drops).all(|drops| drops == 0));
    }
}

#[test]
fn mirrors_take_effect_on_flows_that_are_cached() {
    let mut bench = Bench::new(3, CacheLimits::default());
    bench.send(0, [frame(1, 1)], 0);
    bench.send(2, [frame(1, 2)], 0);
    (0..3).for_each(|port| drop(bench.recorders[port].take()));
    bench.mirror(&[0], Direction::Rx, 2);
    bench.send(0, [frame(1, 1)], 0);
    assert_eq!((bench.sent(1), bench.sent(2)), (1, 1));
    bench.send(2, [frame(1, 2)], 0);
    assert_eq!((bench.sent(0), bench.sent(1)), (0, 0));
    assert_eq!(bench.drops(2, DropReason::MirrorPort), 1);
    bench.mirror(&[1], Direction::Rx, 2);
    bench.send(0, [frame(1, 1)], 0);
    assert_eq!((bench.sent(1), bench.sent(2)), (1, 0));
}

#[test]
fn what_the_policer_drops_is_not_mirrored_and_what_a_shaper_holds_is() {
    let mut bench = Bench::new(3, CacheLimits::default());
    bench.mirror(&[0, 1], Direction::Both, 2);
    bench.limit(0, Some(Limit::frames(1, 3)), None);
    bench.limit(1, None, Some(Limit::frames(1, 1)));
    bench.send(0, (0..5).map(|src| frame(9, src)), 0);
    assert_eq!((bench.sources(1), bench.sources(2)), (vec![0], vec![0, 1, 2]));
    assert_eq!(bench.drops(1, DropReason::ShaperFull), 1);
}

#[test]
fn frames_of_a_station_that_is_held_are_dropped_elsewhere_until_its_time_is_over() {
    let mut bench = Bench::new(4, CacheLimits::default());
    bench.stations.set_guard(Guard::Hold(20));
    let (loops, to_five) = (
        || [frame(9, 5)],
        || {
            let mut frame = frame(0, 77);
            frame[..6].copy_from_slice(&[2, 0, 0, 1, 0, 5]);
            frame
        },
    );
    // Behind port 0, and then by port 1, and so on; a mirror sees the frames that are dropped, too.
    bench.mirror(&[1], Direction::Rx, 3);
    for (step, millis) in [0, 1000, 1000, 1000, 1000, 2000, 2000].into_iter().enumerate() {
        bench.send(step as u32 % 2, loops(), millis);
    }
    (0..4).for_each(|port| drop(bench.recorders[port].take()));
    assert_eq!(bench.drops(1, DropReason::LoopHeld), 0);

    bench.send(1, [frame(9, 5), frame(8, 5), frame(9, 5)], 2000);
    assert_eq!(bench.drops(1, DropReason::LoopHeld), 3);
    assert_eq!((bench.sent(0), bench.sent(2), bench.sent(3)), (0, 0, 3));
    bench.send(2, [to_five()], 3000);
    assert_eq!((bench.sent(0), bench.sent(1)), (1, 0), "it is where it was first");
    bench.send(0, loops(), 21_999);
    bench.send(1, loops(), 21_999);
    assert_eq!(bench.drops(1, DropReason::LoopHeld), 4);
    assert_eq!((bench.sent(1), bench.sent(2)), (1, 1));

    // The same flow, cached as one that is dropped.
    bench.send(1, loops(), 22_000);
    assert_eq!(bench.drops(1, DropReason::LoopHeld), 4);
    assert_eq!((bench.sent(0), bench.sent(2)), (1, 1));
    bench.send(2, [to_five()], 22_000);
    assert_eq!((bench.sent(0), bench.sent(1)), (0, 1), "it moved");
}
