//! Frames through a real engine, between recorder ports. Every wait is for something that must happen, with a minute's
//! bound; nothing depends on how fast it does.

#![allow(clippy::unwrap_used, reason = "what the tests are helped by fails as they do")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use strowger_packet::{DropReason, PortId};
use strowger_vswitch::engine::{Engine, EngineConfig, Poll};
use strowger_vswitch::ports::recorder::Sent;
use strowger_vswitch::rates::{Limit, Shaper};
use strowger_vswitch::snapshot::Snapshot;
use strowger_vswitch::vlan::Mode;

use harness::{BROADCAST, TestPort, bridge_of, frame, mac, trunk, two_cores, vid, wait_until};

fn start(workers: usize, poll: Poll) -> Engine {
    let cores = two_cores().into_iter().take(workers).collect();
    Engine::start(EngineConfig { cores, poll }).unwrap()
}

/// An engine with a bridge of plain ports, all queues started: port 0 on worker 0, port 1 on worker 1, and so on.
fn running(ports: &[TestPort], workers: usize, poll: Poll) -> (Engine, Snapshot) {
    let engine = start(workers, poll);
    let (snapshot, _) = bridge_of(ports, &vec![Mode::default(); ports.len()]);
    engine.publish(snapshot.clone());
    for (id, port) in ports.iter().enumerate() {
        engine.add_rx(PortId(id as u32), port.recorder.rx(0));
    }
    (engine, snapshot)
}

fn ports(count: usize, workers: usize) -> Vec<TestPort> {
    (0..count).map(|_| TestPort::new(1, workers)).collect()
}

/// The numbers of the frames that came from a station.
fn numbers(sent: &[Sent], src: [u8; 6]) -> Vec<u32> {
    sent.iter()
        .filter(|sent| sent.bytes[6..12] == src)
        .map(|sent| u32::from_be_bytes(sent.bytes[14..18].try_into().unwrap()))
        .collect()
}

/// Has each port's station heard of, so that unicast is not flooded.
fn introduce(ports: &[TestPort]) {
    for (id, port) in ports.iter().enumerate() {
        port.recorder.send([frame(BROADCAST, mac(id as u16), &[], 0)]);
        for (other, receiver) in ports.iter().enumerate() {
            if other != id {
                assert_eq!(receiver.recorder.wait_for(1).len(), 1);
            }
        }
    }
}

fn sleeps(engine: &Engine) -> u64 {
    engine.workers().iter().map(|worker| worker.sleeps).sum()
}

#[test]
fn two_workers_carry_both_directions_in_order() {
    const FRAMES: u32 = 5000;
    let ports = ports(2, 2);
    let (engine, _) = running(&ports, 2, Poll::Adaptive);
    introduce(&ports);
    for from in 0..2u16 {
        let frames = (1..=FRAMES).map(|number| frame(mac(1 - from), mac(from), &[], number));
        ports[usize::from(from)].recorder.send(frames);
    }
    for to in 0..2u16 {
        let sent = ports[usize::from(to)].recorder.wait_for(FRAMES as usize);
        assert_eq!(numbers(&sent, mac(1 - to)), (1..=FRAMES).collect::<Vec<_>>());
    }
    // A sweep is counted when it ends, which is after its frames arrive.
    engine.quiesce();
    let workers = engine.workers();
    assert_eq!(workers.iter().map(|worker| worker.queues).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(workers.iter().map(|worker| worker.frames).sum::<u64>(), u64::from(2 * FRAMES + 2));
    assert!(
        workers
            .iter()
            .all(|worker| worker.batches >= u64::from(FRAMES / 64) && worker.busy_cycles > 0)
    );
}

#[test]
fn workers_say_what_their_queues_brought_and_how_flows_were_found() {
    const FRAMES: u64 = 500;
    let ports = ports(2, 1);
    let (engine, _) = running(&ports, 1, Poll::Adaptive);
    introduce(&ports);
    let frames = (1..=FRAMES).map(|number| frame(mac(1), mac(0), &[], number as u32));
    ports[0].recorder.send(frames);
    assert_eq!(ports[1].recorder.wait_for(FRAMES as usize).len(), FRAMES as usize);
    // A sweep is counted when it ends, which is after its frames arrive.
    engine.quiesce();
    let worker = engine.workers()[0];
    let queues = engine.queues();
    let shown: Vec<_> = queues.iter().map(|q| (q.port.0, q.pair, q.worker, q.frames)).collect();
    assert_eq!(shown, [(0, 0, worker.core, FRAMES + 1), (1, 0, worker.core, 1)]);
    assert_eq!(queues.iter().map(|queue| queue.batches).sum::<u64>(), worker.batches);
    let cache = worker.cache;
    assert_eq!(cache.exact_hits + cache.masked_hits + cache.misses, FRAMES + 2);
    // Two broadcasts and one conversation; the second broadcast taught nothing that the first one's flow needs.
    assert_eq!((cache.flows, cache.translations), (3, 3));
    assert!(cache.masks > 0 && cache.misses >= 3 && cache.exact_hits > 0);
    assert!(0 < worker.busy_nanos && worker.busy_nanos < worker.alive_nanos);
    drop(engine.remove_rx(PortId(0), 0).unwrap());
    assert_eq!(engine.queues().len(), 1);
}

#[test]
fn one_tx_queue_takes_the_frames_of_two_workers() {
    const FRAMES: u32 = 5000;
    let ports = ports(3, 2);
    let (_engine, _) = running(&ports, 2, Poll::Busy);
    introduce(&ports);
    thread::scope(|scope| {
        for from in 0..2u16 {
            let recorder = &ports[usize::from(from)].recorder;
            scope.spawn(move || {
                for number in 1..=FRAMES {
                    recorder.send([frame(mac(2), mac(from), &[], number)]);
                }
            });
        }
    });
    let sent = ports[2].recorder.wait_for(2 * FRAMES as usize);
    for from in 0..2 {
        assert_eq!(numbers(&sent, mac(from)), (1..=FRAMES).collect::<Vec<_>>());
    }
    assert_eq!(ports[2].totals().tx_frames, u64::from(2 * FRAMES) + 2);
}

#[test]
fn ports_come_and_go_while_others_forward() {
    let ports = ports(4, 2);
    let (engine, all) = running(&ports[..3], 2, Poll::Adaptive);
    introduce(&ports[..3]);
    let bridge = all.bridges().next().unwrap().id;
    let stop = AtomicBool::new(false);
    let sent_frames = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                ports[0]
                    .recorder
                    .send((1..=32).map(|more| frame(mac(1), mac(0), &[], number + more)));
                number += 32;
                wait_until("the switch keeps up", || ports[0].recorder.waiting() < 256);
            }
            number
        });
        for round in 0..100 {
            // Port 2 loses its queues and leaves, another port comes in its place, and goes again.
            let queue = engine.remove_rx(PortId(2), 0).expect("it was there");
            let tx = ports[2].tx.stop(0).expect("it was started");
            let mut without = all.clone();
            without.remove_port(PortId(2));
            engine.publish(without.clone());
            assert!(without.put_port(ports[3].entry(3, bridge, Mode::default())));
            engine.publish(without);
            engine.add_rx(PortId(3), ports[3].recorder.rx(0));
            ports[3].recorder.send([frame(BROADCAST, mac(3), &[], round)]);
            wait_until("the other port's frame went", || ports[3].recorder.waiting() == 0);
            engine.remove_rx(PortId(3), 0).expect("it was there");
            ports[2].tx.start(tx);
            engine.publish(all.clone());
            engine.add_rx(PortId(2), queue);
        }
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    // Two frames of the introduction were taken; the broadcasts of port 3 came between.
    let from_others = 100;
    let sent = ports[1].recorder.wait_for(sent_frames as usize + from_others);
    assert_eq!(
        numbers(&sent, mac(0)),
        (1..=sent_frames).collect::<Vec<_>>(),
        "none lost, none twice, in order"
    );
    assert_eq!(ports[0].totals().drops.iter().sum::<u64>(), 0);
}

#[test]
fn a_queue_that_is_taken_back_has_released_everything_and_goes_on_later() {
    const FRAMES: u32 = 3000;
    let ports = ports(2, 2);
    let (engine, _) = running(&ports, 2, Poll::Adaptive);
    introduce(&ports);
    ports[0].recorder.send((1..=FRAMES).map(|number| frame(mac(1), mac(0), &[], number)));
    while ports[0].recorder.waiting() > 0 {
        let queue = engine.remove_rx(PortId(0), 0).expect("it was there");
        let (in_flight, waiting) = (ports[0].recorder.in_flight(), ports[0].recorder.waiting());
        assert_eq!(in_flight, 0, "nothing of it is borrowed");
        engine.quiesce();
        assert_eq!(ports[0].recorder.waiting(), waiting, "nobody polls it");
        engine.add_rx(PortId(0), queue);
    }
    let sent = ports[1].recorder.wait_for(FRAMES as usize);
    assert_eq!(numbers(&sent, mac(0)), (1..=FRAMES).collect::<Vec<_>>());
    assert!(engine.remove_rx(PortId(0), 1).is_none() && engine.remove_rx(PortId(7), 0).is_none());
}

#[test]
fn after_quiescence_no_frame_goes_the_old_way() {
    let ports = ports(3, 2);
    let (engine, all) = running(&ports, 2, Poll::Adaptive);
    introduce(&ports);
    let stop = AtomicBool::new(false);
    let mut without = all.clone();
    without.remove_port(PortId(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ports[0].recorder.send((0..32).map(|number| frame(BROADCAST, mac(0), &[], number)));
                wait_until("the switch keeps up", || ports[0].recorder.waiting() < 256);
            }
        });
        for _ in 0..100 {
            engine.publish(all.clone());
            drop(ports[2].recorder.wait_for(1));
            engine.publish(without.clone());
            engine.quiesce();
            drop(ports[2].recorder.take());
            let before = ports[1].totals().tx_frames;
            wait_until("more frames went", || ports[1].totals().tx_frames > before + 64);
            assert_eq!(ports[2].recorder.take(), []);
            drop(ports[1].recorder.take());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_sleeping_worker_wakes_for_every_frame() {
    let ports = ports(2, 1);
    let (engine, _) = running(&ports, 1, Poll::Adaptive);
    introduce(&ports);
    for number in 0..300 {
        // Every third time at once, so that the frame comes while the worker goes to sleep.
        if number % 3 != 0 {
            wait_until("the worker sleeps", || engine.is_asleep());
        }
        ports[0].recorder.send([frame(mac(1), mac(0), &[], number)]);
        assert_eq!(numbers(&ports[1].recorder.wait_for(1), mac(0)), [number]);
    }
}

#[test]
fn a_frame_never_waits_for_the_next_one() {
    let ports = ports(2, 1);
    let (_engine, _) = running(&ports, 1, Poll::Adaptive);
    introduce(&ports);
    // As fast as they go, one at a time: some meet the worker between its last look and its sleep.
    for number in 0..5_000 {
        ports[0].recorder.send([frame(mac(1), mac(0), &[], number)]);
        assert_eq!(numbers(&ports[1].recorder.wait_for(1), mac(0)), [number]);
        if number % 16 == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn kicks_for_nothing_do_no_harm() {
    let ports = ports(2, 1);
    let (engine, _) = running(&ports, 1, Poll::Adaptive);
    introduce(&ports);
    for number in 0..50 {
        wait_until("the worker sleeps", || engine.is_asleep());
        let before = sleeps(&engine);
        ports[0].recorder.kick(0);
        wait_until("the worker sleeps again", || sleeps(&engine) > before);
        ports[0].recorder.send([frame(mac(1), mac(0), &[], number)]);
        assert_eq!(ports[1].recorder.wait_for(1).len(), 1);
        if number % 2 == 0 {
            ports[0].recorder.kick(0);
        }
    }
}

#[test]
fn a_busy_worker_never_sleeps() {
    let ports = ports(2, 1);
    let (engine, _) = running(&ports, 1, Poll::Busy);
    introduce(&ports);
    let before = engine.workers()[0].empty_polls;
    wait_until("it polls in vain", || engine.workers()[0].empty_polls > before + 10_000);
    assert_eq!(sleeps(&engine), 0);
}

#[test]
fn a_broken_queue_is_left_alone() {
    let ports = ports(3, 1);
    let (engine, _) = running(&ports, 1, Poll::Adaptive);
    introduce(&ports);
    ports[0].recorder.break_queues();
    ports[0].recorder.send([frame(mac(1), mac(0), &[], 1)]);
    ports[0].recorder.kick(0);
    ports[2].recorder.send([frame(mac(1), mac(2), &[], 2)]);
    assert_eq!(numbers(&ports[1].recorder.wait_for(1), mac(2)), [2], "others are served");
    wait_until("the worker sleeps", || engine.is_asleep());
    assert_eq!(ports[0].recorder.waiting(), 1);
    assert!(engine.remove_rx(PortId(0), 0).is_some(), "and it can be taken back");
}

#[test]
fn a_long_queue_does_not_hold_up_a_short_one() {
    const BACKLOG: usize = 10_000;
    let ports = ports(3, 1);
    let engine = start(1, Poll::Adaptive);
    // Queues whose port is not in the snapshot wait; then they are served in turn from the same moment.
    for id in 0..2 {
        engine.add_rx(PortId(id), ports[id as usize].recorder.rx(0));
    }
    ports[0].recorder.send((0..BACKLOG).map(|number| frame(BROADCAST, mac(0), &[], number as u32)));
    ports[1].recorder.send([frame(BROADCAST, mac(1), &[], 7)]);
    wait_until("the worker sleeps", || engine.is_asleep());
    assert_eq!(ports[0].recorder.waiting(), BACKLOG);
    let (snapshot, _) = bridge_of(&ports, &vec![Mode::default(); 3]);
    engine.publish(snapshot);
    let sent = ports[2].recorder.wait_for(BACKLOG + 1);
    let at = sent.iter().position(|sent| sent.bytes[6..12] == mac(1)).unwrap();
    assert!(at <= 2 * 64, "it came as number {at}");
}

#[test]
fn a_flood_reaches_ports_of_different_vlan_modes() {
    let ports = ports(5, 2);
    let engine = start(2, Poll::Adaptive);
    let modes = [
        Mode::Access(vid(10)),
        trunk(&[10, 20], None),
        Mode::Access(vid(20)),
        Mode::Tunnel(vid(10)),
        trunk(&[20], Some((10, false))),
    ];
    let (snapshot, _) = bridge_of(&ports, &modes);
    engine.publish(snapshot);
    for (id, port) in ports.iter().enumerate() {
        engine.add_rx(PortId(id as u32), port.recorder.rx(0));
    }
    let plain = frame(BROADCAST, mac(0), &[], 1);
    let tagged = frame(BROADCAST, mac(0), &[(0x8100, 10)], 1);
    let bytes = |port: usize| ports[port].recorder.wait_for(1).remove(0).bytes;
    // Padding is not made longer by a tag, so compare what is in front of it.
    let begins = |bytes: &[u8], with: &[u8]| bytes[..22] == with[..22];
    ports[0].recorder.send([plain.clone()]);
    assert!(begins(&bytes(1), &tagged));
    assert!(begins(&bytes(3), &plain));
    assert!(begins(&bytes(4), &plain));
    ports[1].recorder.send([tagged.clone()]);
    for port in [0, 3, 4] {
        assert!(begins(&bytes(port), &plain));
    }
    let customer = frame(BROADCAST, mac(3), &[(0x8100, 77)], 2);
    ports[3].recorder.send([customer.clone()]);
    assert!(begins(&bytes(1), &frame(BROADCAST, mac(3), &[(0x88a8, 10), (0x8100, 77)], 2)));
    assert!(begins(&bytes(0), &customer));
    assert!(begins(&bytes(4), &customer));
    assert_eq!(ports[2].recorder.take(), [], "another VLAN");
}

#[test]
fn every_frame_is_counted_as_sent_or_dropped() {
    const FRAMES: usize = 2000;
    let ports = ports(5, 2);
    let (engine, _) = running(&ports, 2, Poll::Adaptive);
    introduce(&ports);
    ports[2].recorder.limit(FRAMES / 4);
    assert!(ports[3].tx.stop(0).is_some());
    // From 0: broadcast to all others, unicast to 1, to itself, with a bad source, to a reserved address, too short.
    let reserved = [0x01, 0x80, 0xc2, 0, 0, 0];
    let frames = (0..FRAMES).map(|number| match number % 6 {
        0 => frame(BROADCAST, mac(0), &[], 0),
        1 => frame(mac(1), mac(0), &[], 0),
        2 => frame(mac(0), mac(0), &[], 0),
        3 => frame(mac(1), BROADCAST, &[], 0),
        4 => frame(reserved, mac(0), &[], 0),
        _ => vec![0; 13],
    });
    ports[0].recorder.send(frames);
    // And from 1, on the other worker, to 2.
    ports[1].recorder.send((0..FRAMES).map(|_| frame(mac(2), mac(1), &[], 0)));
    wait_until("all is taken", || ports[0].recorder.waiting() + ports[1].recorder.waiting() == 0);
    engine.quiesce();

    let each = |kind: usize| (0..FRAMES).filter(|number| number % 6 == kind).count() as u64;
    let introduced = 1;
    assert_eq!(ports[0].totals().rx_frames, FRAMES as u64 + introduced);
    assert_eq!(ports[0].drops(DropReason::Hairpin), each(2));
    assert_eq!(ports[0].drops(DropReason::BadSource), each(3));
    assert_eq!(ports[0].drops(DropReason::ReservedAddress), each(4));
    assert_eq!(ports[0].drops(DropReason::Truncated), each(5));
    assert_eq!(ports[0].totals().drops.iter().sum::<u64>(), each(2) + each(3) + each(4) + each(5));
    let flooded = 4 * introduced;
    assert_eq!(ports[1].totals().tx_frames, flooded + each(0) + each(1));
    assert_eq!(ports[4].totals().tx_frames, flooded + each(0));
    assert_eq!(ports[3].totals().tx_frames, flooded);
    assert_eq!(ports[3].drops(DropReason::PortDown), each(0));
    assert_eq!(ports[2].totals().tx_frames, flooded + FRAMES as u64 / 4);
    assert_eq!(ports[2].drops(DropReason::QueueFull), each(0) + FRAMES as u64 - FRAMES as u64 / 4);
}

#[test]
fn what_left_the_snapshot_is_freed_though_the_workers_sleep() {
    let ports = ports(2, 2);
    let (engine, all) = running(&ports, 2, Poll::Adaptive);
    introduce(&ports);
    let weak = Arc::downgrade(all.port(PortId(1)).unwrap());
    let mut without = all.clone();
    engine.remove_rx(PortId(1), 0);
    without.remove_port(PortId(1));
    drop(all);
    engine.publish(without);
    wait_until("the old snapshot is freed", || weak.strong_count() == 0);
}

#[test]
fn stations_of_a_port_that_left_are_forgotten() {
    let ports = ports(2, 1);
    let engine = start(1, Poll::Adaptive);
    let (mut snapshot, stations) = bridge_of(&ports, &[Mode::default(), Mode::default()]);
    engine.publish(snapshot.clone());
    engine.add_rx(PortId(0), ports[0].recorder.rx(0));
    ports[0].recorder.send([frame(BROADCAST, mac(0), &[], 0)]);
    drop(ports[1].recorder.wait_for(1));
    assert_eq!(stations.statistics().stations, 1);
    snapshot.remove_port(PortId(0));
    engine.publish(snapshot);
    assert_eq!(stations.statistics().stations, 0);
}

#[test]
fn an_engine_ends_while_its_workers_sleep_or_work() {
    for poll in [Poll::Adaptive, Poll::Busy] {
        let ports = ports(2, 2);
        let (engine, _) = running(&ports, 2, poll);
        introduce(&ports);
        ports[0].recorder.send((0..1000).map(|number| frame(mac(1), mac(0), &[], number)));
        let ended = thread::spawn(move || engine.stop());
        wait_until("the engine ended", || ended.is_finished());
        ended.join().unwrap();
        assert_eq!(ports[0].recorder.in_flight(), 0);
    }
}

/// The bridge's ports as before, but port 1 with a limit on what it is sent.
fn shape(engine: &Engine, snapshot: &Snapshot, ports: &[TestPort], limit: Limit) -> Arc<Shaper> {
    let shaper = Arc::new(Shaper::new(limit).unwrap());
    let mut shaped = snapshot.clone();
    let bridge = shaped.bridges().next().unwrap().id;
    let mut entry = ports[1].entry(1, bridge, Mode::default());
    entry.extras.shaper = Some(Arc::clone(&shaper));
    assert!(shaped.put_port(entry));
    engine.publish(shaped);
    shaper
}

#[test]
fn what_waits_for_tokens_is_sent_by_a_worker_that_slept_meanwhile() {
    for poll in [Poll::Adaptive, Poll::Busy] {
        let ports = ports(3, 2);
        let (engine, snapshot) = running(&ports, 2, poll);
        introduce(&ports);
        let shaper = shape(&engine, &snapshot, &ports, Limit::frames(400, 1));
        let frames = |from: u16| (1..=8).map(move |number| frame(mac(1), mac(from), &[], number));
        for from in [0, 2] {
            ports[usize::from(from)].recorder.send(frames(from));
        }
        // One goes at once, the others 2.5 ms apart: nothing but the worker's own timer wakes it for them.
        let sent = ports[1].recorder.wait_for(16);
        for from in [0, 2] {
            assert_eq!(numbers(&sent, mac(from)), (1..=8).collect::<Vec<_>>());
        }
        wait_until("nothing waits", || shaper.backlog().frames == 0);
        assert_eq!(ports[1].drops(DropReason::ShaperFull), 0);
        if poll == Poll::Adaptive {
            // A quarter of a second lies between two frames, and a worker spins for 50 µs.
            let _slow = shape(&engine, &snapshot, &ports, Limit::frames(4, 1));
            wait_until("all sleep, with nothing to send", || engine.is_asleep());
            let before = sleeps(&engine);
            ports[0].recorder.send((9..=10).map(|number| frame(mac(1), mac(0), &[], number)));
            assert_eq!(numbers(&ports[1].recorder.wait_for(2), mac(0)), [9, 10]);
            assert!(sleeps(&engine) > before, "it sleeps between the frames");
        }
    }
}

#[test]
fn a_port_that_is_taken_out_with_a_backlog_wakes_the_worker_that_has_it() {
    let ports = ports(2, 1);
    let (engine, snapshot) = running(&ports, 1, Poll::Adaptive);
    introduce(&ports);
    let shaper = shape(&engine, &snapshot, &ports, Limit::frames(1, 1));
    ports[0].recorder.send((1..=2).map(|number| frame(mac(1), mac(0), &[], number)));
    wait_until("one waits", || shaper.backlog().frames == 1);
    let mut without = snapshot.clone();
    without.remove_port(PortId(1));
    engine.publish(without);
    wait_until("it is dropped", || ports[1].drops(DropReason::PortDown) == 1);
    assert_eq!(shaper.backlog().frames, 0);
    wait_until("nobody else has the shaper", || Arc::strong_count(&shaper) == 1);
}
