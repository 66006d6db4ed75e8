//! TAP ports against the kernel: real interfaces in namespaces of their own, driven by hand instead of by workers.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

mod netns;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use netns::{DEADLINE, Namespace, eventually};
use strowger_packet::{Batch, DropReason, PortCounters, PortId, key::extract};
use strowger_vswitch::ports::tap::{RxQueue, Tap, TapConfig, TapError, TxQueue};

const PORT: PortId = PortId(3);

fn config(name: &str, namespace: &Namespace, queues: u16) -> TapConfig {
    TapConfig { name: name.into(), netns: Some(namespace.path().into()), queues }
}

fn open(name: &str, namespace: &Namespace) -> (Tap, RxQueue, TxQueue) {
    let tap = Tap::open(&config(name, namespace, 1)).unwrap();
    let (rx, tx) = tap.queues().unwrap().pop().unwrap();
    (tap, rx, tx)
}

/// Polls until the batch has a frame that fits, alone in it or not.
fn receive(
    rx: &mut RxQueue,
    batch: &mut Batch,
    fits: impl Fn(&[u8]) -> bool,
) -> strowger_packet::FrameRef {
    let counters = PortCounters::new(1);
    eventually("a frame from the interface", || {
        batch.clear();
        rx.rx_burst(PORT, batch, counters.shard(0));
        batch.received().find(|&at| fits(batch.frame(at).head()))
    })
}

/// Whether it is UDP over IPv4 to this port.
fn is_udp_to(port: u16) -> impl Fn(&[u8]) -> bool {
    move |head| {
        head.get(12..14) == Some(&[8, 0])
            && head.get(23) == Some(&17)
            && head.get(36..38) == Some(&port.to_be_bytes())
    }
}

#[test]
fn an_unfinished_checksum_comes_in_as_a_claim_and_leaves_as_an_offload() {
    let namespace = Namespace::new();
    let (tap, mut rx, mut tx) = open("t0", &namespace);
    namespace.ip(&["addr", "add", "10.0.0.1/24", "dev", "t0"]);
    namespace.ip(&["neigh", "add", "10.0.0.2", "lladdr", "02:00:00:00:00:02", "dev", "t0"]);
    let socket = namespace.within(|| UdpSocket::bind("10.0.0.1:7000").unwrap());
    socket.send_to(b"are you there?", "10.0.0.2:7001").unwrap();

    let mut batch = Batch::default();
    let at = receive(&mut rx, &mut batch, is_udp_to(7001));
    let claims = batch.frame(at).claims.expect("each frame of a TAP has them");
    assert_eq!(
        (claims.flags, claims.csum_start, claims.csum_offset, claims.gso_type),
        (1, 34, 6, 0)
    );
    assert_eq!(batch.frame(at).head()[6..12], tap.mac());
    extract(batch.frame_mut(at)).unwrap();
    assert!(batch.frame(at).offload.checksum.is_some());

    // The answer is the question turned round, which leaves the pseudo-header's sum as it is.
    let head = batch.frame_mut(at).head_mut();
    for (one, other, len) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        for offset in 0..len {
            head.swap(one + offset, other + offset);
        }
    }
    let counters = PortCounters::new(1);
    tx.tx_burst(&batch, &[at], counters.shard(0), None);
    let totals = counters.totals();
    assert_eq!(
        (totals.tx_frames, totals.tx_bytes),
        (1, batch.frame(at).len() as u64),
        "{totals:?}"
    );
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = [0; 64];
    let (len, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(
        (&answer[..len], from.to_string().as_str()),
        (&b"are you there?"[..], "10.0.0.2:7001")
    );
}

#[test]
fn uncut_tcp_segments_pass_from_one_interface_to_another() {
    const BYTES: usize = 8 << 20;
    let (left, right) = (Namespace::new(), Namespace::new());
    let (_left_tap, mut left_rx, mut left_tx) = open("left", &left);
    let (_right_tap, mut right_rx, mut right_tx) = open("right", &right);
    left.ip(&["addr", "add", "10.0.0.1/24", "dev", "left"]);
    right.ip(&["addr", "add", "10.0.0.2/24", "dev", "right"]);

    let (done, longest) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused = Mutex::new(None);
    let counters = PortCounters::new(1);
    std::thread::scope(|scope| {
        let pump = scope.spawn(|| {
            let mut batch = Batch::default();
            while !done.load(SeqCst) {
                for (rx, tx) in [(&mut left_rx, &mut right_tx), (&mut right_rx, &mut left_tx)] {
                    batch.clear();
                    rx.rx_burst(PORT, &mut batch, counters.shard(0));
                    let mut frames: Vec<_> = batch.received().collect();
                    frames.retain(|&at| {
                        longest.fetch_max(batch.frame(at).len(), SeqCst);
                        // A panic here would leave the others waiting: what is wrong is counted and told at the end.
                        extract(batch.frame_mut(at))
                            .inspect_err(|why| *refused.lock().unwrap() = Some(*why))
                            .is_ok()
                    });
                    tx.tx_burst(&batch, &frames, counters.shard(0), None);
                    rx.release();
                }
            }
        });
        let listener = right.within(|| TcpListener::bind("10.0.0.2:7000").unwrap());
        let receiver = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all
        });
        let mut stream = left.within(|| TcpStream::connect("10.0.0.2:7000").unwrap());
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let sent: Vec<u8> = (0..BYTES).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
        stream.write_all(&sent).unwrap();
        drop(stream);
        let received = receiver.join().unwrap();
        done.store(true, SeqCst);
        pump.join().unwrap();
        assert!(received == sent, "{} of {} bytes came, or others", received.len(), sent.len());
    });
    assert_eq!(refused.into_inner().unwrap(), None, "the kernel sends nothing wrong");
    assert!(longest.load(SeqCst) > 4096, "no frame was longer than {} bytes", longest.load(SeqCst));
}

#[test]
fn each_queue_pair_carries_frames_both_ways() {
    let namespace = Namespace::new();
    let tap = Tap::open(&config("t0", &namespace, 4)).unwrap();
    namespace.ip(&["addr", "add", "10.0.0.1/24", "dev", "t0"]);
    namespace.ip(&["neigh", "add", "10.0.0.2", "lladdr", "02:00:00:00:00:02", "dev", "t0"]);
    let mut queues = tap.queues().unwrap();
    assert_eq!(
        queues.iter().map(|(rx, tx)| (rx.pair(), tx.pair())).collect::<Vec<_>>(),
        [(0, 0), (1, 1), (2, 2), (3, 3)]
    );
    let socket = namespace.within(|| UdpSocket::bind("10.0.0.1:7000").unwrap());
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    // Sending by a pair makes the kernel answer that flow by the same pair.
    let template = {
        socket.send_to(b"0", "10.0.0.2:7001").unwrap();
        let mut batch = Batch::default();
        let counters = PortCounters::new(1);
        eventually("the first datagram", || {
            queues.iter_mut().find_map(|(rx, _)| {
                batch.clear();
                rx.rx_burst(PORT, &mut batch, counters.shard(0));
                let at = batch.received().find(|&at| is_udp_to(7001)(batch.frame(at).head()))?;
                Some(batch.frame(at).head().to_vec())
            })
        })
    };
    for (rx, tx) in &mut queues {
        let mut batch = Batch::default();
        let (frame, _) = batch.next(PORT).unwrap();
        let room = &mut frame.head_room()[..template.len()];
        room.copy_from_slice(&template);
        for (one, other, len) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
            for offset in 0..len {
                room.swap(one + offset, other + offset);
            }
        }
        // UDP without a checksum, from a port for each queue pair.
        let far = 8000 + tx.pair();
        room[34..36].copy_from_slice(&far.to_be_bytes());
        room[40..42].fill(0);
        frame.set_head(template.len());
        batch.commit();
        let frames: Vec<_> = batch.received().collect();
        let counters = PortCounters::new(1);
        tx.tx_burst(&batch, &frames, counters.shard(0), None);
        let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from.port(), far);
        socket.send_to(b"1", from).unwrap();
        receive(rx, &mut batch, is_udp_to(far));
    }
}

#[test]
fn a_link_that_is_down_and_one_that_is_gone_are_a_port_that_is_down() {
    let namespace = Namespace::new();
    let (tap, mut rx, mut tx) = open("t0", &namespace);
    let mut batch = Batch::default();
    let (frame, _) = batch.next(PORT).unwrap();
    frame.head_room()[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame.set_head(60);
    batch.commit();
    let frames: Vec<_> = batch.received().collect();
    let counters = PortCounters::new(1);
    let mut send = || {
        let before = counters.totals();
        tx.tx_burst(&batch, &frames, counters.shard(0), None);
        let after = counters.totals();
        let down = DropReason::PortDown as usize;
        (after.tx_frames - before.tx_frames, after.drops[down] - before.drops[down])
    };
    assert_eq!(send(), (1, 0));

    namespace.ip(&["link", "set", "t0", "down"]);
    assert_eq!(send(), (0, 1));
    assert!(tap.is_present() && !rx.is_broken());
    namespace.ip(&["link", "set", "t0", "up"]);
    assert_eq!(send(), (1, 0));

    namespace.ip(&["link", "del", "t0"]);
    assert!(!tap.is_present());
    assert_eq!(send(), (0, 1));
    let mut empty = Batch::default();
    assert_eq!(rx.rx_burst(PORT, &mut empty, counters.shard(0)), 0);
    assert!(rx.is_broken());
}

#[test]
fn a_refused_interface_says_why_and_leaves_nothing() {
    let namespace = Namespace::new();
    let tap = Tap::open(&config("t0", &namespace, 2)).unwrap();
    assert!(namespace.interfaces().contains(&"t0".to_owned()));
    let refused = |config: TapConfig| Tap::open(&config).unwrap_err();

    let error = refused(config("t0", &namespace, 1));
    assert!(matches!(error, TapError::Exists(_)), "{error}");
    assert_eq!(error.to_string(), "there is an interface named 't0' already");
    let error = refused(config("lo", &namespace, 1));
    assert!(matches!(error, TapError::Exists(_)), "{error}");
    for name in ["", ".", "a/b", "a b", "tap%d", "abcdefghijklmnop"] {
        let error = refused(config(name, &namespace, 1));
        assert!(matches!(error, TapError::BadName(_)), "{name}: {error}");
    }
    let missing =
        TapConfig { name: "t1".into(), netns: Some("/run/netns/not-there".into()), queues: 1 };
    let error = refused(missing);
    assert!(
        error.to_string().starts_with("cannot open the network namespace /run/netns/not-there: "),
        "{error}"
    );
    for path in ["/etc/passwd", "/proc/self/ns/mnt"] {
        let error = refused(TapConfig { name: "t1".into(), netns: Some(path.into()), queues: 1 });
        assert_eq!(error.to_string(), format!("{path} is not a network namespace"));
    }

    assert_eq!(namespace.interfaces(), ["lo", "t0"]);
    drop(tap);
    // At once, but for the moment in which a process that another test starts has a copy of every file of ours.
    eventually("the interface is gone", || (namespace.interfaces() == ["lo"]).then_some(()));
}

#[test]
fn a_named_namespace_is_found_and_nothing_is_on_the_host() {
    let namespace = Namespace::named();
    let name = netns::unique("t").chars().take(15).collect::<String>();
    let netns = Arc::new(strowger_vswitch::config::Netns::new(namespace.argument()));
    let tap =
        Tap::open(&TapConfig { name: name.clone(), netns: Some(netns.path()), queues: 1 }).unwrap();
    assert!(namespace.interfaces().contains(&name));
    assert!(!netns::ip(&["-o", "link"]).contains(&format!(" {name}:")));
    assert!(namespace.ip(&["-o", "link", "show", "up"]).contains(&name));
    drop(tap);
}
