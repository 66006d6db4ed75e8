//! Containers that talk through the switch.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, PoisonError},
};

use strowger_packet::{
    Batch, DropReason, Offload, PortCounters, PortId,
    egress::{Scratch, for_each_piece},
    key::extract,
    offload::Accepts,
};
use strowger_vswitch::{
    ports::dev::{self, Dev, DevConfig, Host},
    vlan::Mode,
};

use crate::{
    harness::mac,
    netns::{
        Namespace, eventually, kernel,
        raw::{Raw, ones, send_uncut, uncut},
    },
    scene::{Container, Switch},
};

#[test]
fn two_containers_ping_and_move_data_over_tcp_uncut() {
    const BYTES: usize = 16 << 20;
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open("v2");
    left.ping(&right);
    right.ping(&left);
    left.echo(&right, 7000, BYTES);
    let one = eventually("counters of what went both ways", || {
        let totals = [switch.totals("v1"), switch.totals("v2")];
        let all = totals.iter().all(|t| t.rx_bytes.min(t.tx_bytes) > BYTES as u64);
        all.then(|| totals[0].clone())
    });
    // Segments of 1,448 bytes would be more frames, and frames of that size could not be as long on average.
    assert!(one.rx_frames < (BYTES / 1448) as u64, "{one:?}");
    assert!(one.rx_bytes / one.rx_frames > 2000, "{one:?}");
    for reason in [DropReason::BadOffload, DropReason::TooLong] {
        assert_eq!(switch.drops("v1", reason) + switch.drops("v2", reason), 0, "{reason:?}");
    }
}

#[test]
fn uncut_datagrams_pass_uncut_and_arrive_one_by_one() {
    const DATAGRAMS: usize = 40;
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open("v2");
    left.ping(&right);
    let (sender, receiver) = (left.udp(7000), right.udp(7000));
    send_uncut(&sender, 1000);
    let before = switch.totals("v1").rx_frames;
    let sent: Vec<u8> = (0..DATAGRAMS * 1000).map(|at| (at ^ (at >> 8)) as u8).collect();
    sender.send_to(&sent, (right.address, 7000)).unwrap();
    if kernel() < (6, 2) {
        // It cannot say of a frame that it is such datagrams, and drops it: not silently.
        eventually("the drop to be counted", || {
            (switch.drops("v1", DropReason::SocketFull) > 0).then_some(())
        });
        return;
    }
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let mut datagram = [0; 2000];
        assert_eq!(receiver.recv(&mut datagram).unwrap(), 1000);
        got.extend_from_slice(&datagram[..1000]);
    }
    assert!(got == sent);
    let frames = switch.totals("v1").rx_frames - before;
    assert!(frames < DATAGRAMS as u64, "{frames}");
}

#[test]
fn several_queues_share_the_flows_of_an_interface_among_workers() {
    let mut switch = Switch::new(2);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open_with("v1", Mode::default(), 4);
    switch.open_with("v2", Mode::default(), 4);
    eventually("the workers to have the queues", || {
        let workers = switch.engine().workers();
        (workers.iter().map(|worker| worker.queues).sum::<usize>() == 8).then_some(())
    });
    left.ping(&right);
    std::thread::scope(|scope| {
        for port in 7000..7006 {
            let (left, right) = (&left, &right);
            scope.spawn(move || left.echo(right, port, 2 << 20));
        }
    });
    // In order within each flow: a flow is told from others by the number that its frames begin with.
    const FRAMES: u32 = 400;
    let receiver = right.udp(8000);
    let to = SocketAddr::from((right.address, 8000));
    let senders: Vec<_> = (0..8).map(|flow| left.udp(9000 + flow)).collect();
    let mut next = [0; 8];
    for number in 0..FRAMES {
        for (flow, sender) in senders.iter().enumerate() {
            sender
                .send_to(&[(flow as u32).to_be_bytes(), number.to_be_bytes()].concat(), to)
                .unwrap();
        }
        for _ in 0..senders.len() {
            let mut bytes = [0; 8];
            receiver.recv_from(&mut bytes).unwrap();
            let [a, b, c, flow, n @ ..] = bytes;
            assert_eq!([a, b, c], [0; 3]);
            let number = u32::from_be_bytes(n);
            assert_eq!(number, next[usize::from(flow)]);
            next[usize::from(flow)] += 1;
        }
    }
    let busy = switch.engine().workers().iter().filter(|worker| worker.frames > 100).count();
    assert_eq!(busy, 2, "{:?}", switch.engine().workers());
}

#[test]
fn frames_of_every_length_arrive_as_they_were_sent() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open("v2");
    let (here, there) = (Raw::open(&left.namespace, "eth0"), Raw::open(&right.namespace, "eth0"));
    for len in (60..1515).step_by(13).chain([1513, 1514]) {
        let mut frame: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        frame[..6].fill(0xff);
        frame[6..12].copy_from_slice(&mac(9));
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        here.send(&frame);
        let received = eventually("the frame", || {
            there.receive().filter(|received| received[12..14] == [0x88, 0xb5])
        });
        assert!(received == frame, "{len} bytes: {} came", received.len());
    }
}

/// Keeps its queues for the test to poll.
#[derive(Debug, Default)]
struct Shelf(std::sync::Mutex<Vec<(dev::RxQueue, dev::TxQueue)>>);

impl Host for Shelf {
    fn start(&self, rx: dev::RxQueue, tx: dev::TxQueue) {
        self.0.lock().unwrap().push((rx, tx));
    }

    fn stop(&self, pair: u16) {
        // While a test fails its own lock is poisoned.
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|(rx, _)| rx.pair() != pair);
    }
}

fn shelved(host: &Namespace, interface: &str) -> (Dev, Arc<Shelf>) {
    let shelf = Arc::new(Shelf::default());
    let own = shelf.clone();
    let config = DevConfig { port: "p".into(), interface: interface.into(), queues: 1 };
    (host.within(move || Dev::open(&config, own).unwrap()), shelf)
}

#[test]
fn what_the_kernel_drops_for_want_of_room_is_counted() {
    const FRAMES: u64 = 5000;
    let host = Namespace::new();
    let left = Container::new(&host, "v1", 1);
    let (_dev, shelf) = shelved(&host, "v1");
    let raw = Raw::open(&left.namespace, "eth0");
    let mut frame = [0; 60];
    frame[..6].fill(0xff);
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    for _ in 0..FRAMES {
        raw.send(&frame);
    }
    let counters = PortCounters::new(1);
    let mut shelf = shelf.0.lock().unwrap();
    let (rx, _) = &mut shelf[0];
    let mut batch = Batch::default();
    let totals = eventually("every frame to be received or counted as dropped", || {
        batch.clear();
        rx.rx_burst(PortId(1), &mut batch, counters.shard(0));
        rx.release();
        let totals = counters.totals();
        let lost = totals.drops[DropReason::SocketFull as usize];
        (totals.rx_frames + lost >= FRAMES).then_some(totals)
    });
    let lost = totals.drops[DropReason::SocketFull as usize];
    assert!(lost > 0 && totals.rx_frames >= 1000, "{totals:?}");
    // What the host's own stack says by itself while the interface comes up may be among them.
    assert!(totals.rx_frames + lost < FRAMES + 20, "{totals:?}");
}

#[test]
fn uncut_segments_come_in_whole_and_are_cut_for_who_takes_none() {
    let host = Namespace::new();
    let left = Container::new(&host, "v1", 1);
    let (_dev, shelf) = shelved(&host, "v1");
    let raw = Raw::open_with_header(&left.namespace, "eth0");
    let counters = PortCounters::new(1);
    let mut shelf = shelf.0.lock().unwrap();
    let (rx, _) = &mut shelf[0];
    let (mut batch, mut scratch) = (Batch::default(), Scratch::default());
    // Some that fit a slot of the ring, and some that come through the socket; many, so that a batch has several.
    let sizes = [1500, 4000, 1700, 65_000, 30_000, 2896, 65_400];
    for round in 0..4 {
        for payload in sizes {
            raw.send(&uncut(payload, 1448));
        }
        let mut expected = sizes.iter();
        while expected.len() > 0 {
            eventually("the frames", || {
                rx.release();
                batch.clear();
                (rx.rx_burst(PortId(1), &mut batch, counters.shard(0)) > 0).then_some(())
            });
            for at in batch.received() {
                let is_ours = batch.frame(at).head()[..6] == [2, 0, 0, 0, 0, 2];
                if !is_ours {
                    continue;
                }
                let payload = *expected.next().unwrap();
                assert_eq!(batch.frame(at).len(), 54 + payload, "round {round}");
                extract(batch.frame_mut(at)).unwrap();
                let mut got = Vec::new();
                for_each_piece(&batch, at, Accepts::default(), &mut scratch, |piece| {
                    let mut bytes = piece.head.to_vec();
                    for segment in piece.tail {
                        let from = bytes.len();
                        bytes.resize(from + segment.len(), 0);
                        segment.copy_to(&mut bytes[from..]);
                    }
                    assert!(bytes.len() <= 54 + 1448 && piece.offload == Offload::default());
                    assert_eq!(ones(&bytes[14..34]), 0xffff);
                    let [n0, n1] = ((bytes.len() - 34) as u16).to_be_bytes();
                    let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 6, n0, n1];
                    assert_eq!(ones(&[&pseudo, &bytes[34..]].concat()), 0xffff);
                    let sequence = u32::from_be_bytes(bytes[38..42].try_into().unwrap());
                    assert_eq!(sequence as usize, got.len());
                    got.extend_from_slice(&bytes[54..]);
                    ControlFlow::Continue(())
                })
                .unwrap();
                assert!(got == uncut(payload, 1448)[64..], "{payload}");
            }
        }
    }
    assert_eq!(counters.totals().drops.iter().sum::<u64>(), 0);
}
