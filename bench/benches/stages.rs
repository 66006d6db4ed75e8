//! What each stage of the packet path costs. An iteration is a thousand frames, so that a time in µs is the same
//! number of ns a frame, and an item is a frame. A stage that allocates shows lines of `alloc`.
//!
//! The guest is a memfd: its rings are filled once, and all that its driver does afterwards is to move the index.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Release},
};

use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use strowger_guestmem::{Area, GuestAddr, Memory, Region, UserAddr};
use strowger_packet::{
    Batch, FlowKey, FrameRef, MacAddress, Mask, PortCounters, PortId, batch::MAX_FRAMES,
    key::extract,
};
use strowger_vhost::{RingConfig, RxQueue, TxQueue};
use strowger_vswitch::{
    capture::{self, registry::Registry},
    control::CaptureRequest,
    pipeline::{
        Moment, Pipeline,
        cache::{Cache, CacheLimits, Cached, Source},
    },
    ports::{self, TxSlots},
    rates::{Limit, TokenBucket},
    snapshot::{BridgeId, Extras, PortEntry, Snapshot},
    tables::{
        mac::{Dependency, MacLimits, MacTable},
        mirror::{Direction, Mirror},
        program::Program,
        translate::Dependencies,
    },
    vlan::{self, Vid},
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Frames an iteration.
const FRAMES: usize = 1000;
/// Bytes a frame.
const SIZES: [usize; 3] = [64, 256, 1500];
/// Where frames come in, and where they go.
const PORT: PortId = PortId(1);
const OTHER: PortId = PortId(2);
/// Where the copies of a mirror go.
const WATCHER: PortId = PortId(3);

fn main() {
    divan::main();
}

/// Heads of UDP frames in private memory, parsed to keys.
#[divan::bench]
fn extract_udp(bencher: Bencher<'_, '_>) {
    let (mut batch, frames) = private_frames();
    for &frame in &frames {
        extract(batch.frame_mut(frame)).unwrap();
    }
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for &frame in frames.iter().cycle().take(FRAMES) {
            divan::black_box(extract(batch.frame_mut(frame)).ok());
        }
    });
}

/// A key's hash, and the flow that it is found to belong to: so many flows in turn.
#[divan::bench(args = [1, 64, 4096])]
fn cache_hit(bencher: Bencher<'_, '_>, flows: u16) {
    let mut cache = Cache::new(CacheLimits::default());
    let mut batch = Batch::default();
    let keys: Vec<FlowKey> = (0..flows)
        .map(|flow| {
            batch.clear();
            let frame = receive(&mut batch, &udp(64, flow));
            extract(batch.frame_mut(frame)).unwrap()
        })
        .collect();
    for key in &keys {
        let dependencies =
            Dependencies { bridge: 0, source: Dependency::NONE, destination: Dependency::NONE };
        let cached = Cached {
            program: Program::Output(OTHER),
            dependencies,
            source: Source::None,
            refreshed: 0,
            checked: 0,
        };
        cache.insert(key, &Mask::EXACT, cached);
    }
    // A flow enters the exact cache by chance: until all have.
    for key in keys.iter().cycle().take(keys.len() * 64) {
        cache.lookup(key, key.hash()).unwrap();
    }
    let mut next = keys.iter().cycle();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for key in next.by_ref().take(FRAMES) {
            divan::black_box(cache.lookup(key, key.hash()));
        }
    });
}

/// From guest to guest through a bridge that has learnt both, in this thread: rx, parse, cache hit, execute, tx.
#[divan::bench(args = SIZES)]
fn guest_to_guest(bencher: Bencher<'_, '_>, size: usize) {
    forward(bencher, size, |_, _| {});
}

/// The same with a policer on the sender's port that lets all pass: one question a batch.
#[divan::bench(args = SIZES)]
fn guest_to_guest_policed(bencher: Bencher<'_, '_>, size: usize) {
    forward(bencher, size, |snapshot, _| {
        let mut entry = PortEntry::clone(snapshot.port(PORT).unwrap());
        let limit = Limit::bits(1_000_000_000_000, 1 << 29);
        entry.extras.policer = Some(Arc::new(TokenBucket::new(limit)));
        assert!(snapshot.put_port(entry));
    });
}

/// The same with a mirror of the sender's port to a third guest: one copy more.
#[divan::bench(args = SIZES)]
fn guest_to_guest_mirrored(bencher: Bencher<'_, '_>, size: usize) {
    let watcher = Guest::new(BUFFER, WRITE);
    let queue = TxQueue::new(watcher.ring()).unwrap();
    let watcher = std::cell::RefCell::new(watcher);
    let tx = Arc::new(TxSlots::new(1));
    assert!(tx.start(ports::TxQueue::Vhost(queue)).is_none());
    let counters = Arc::new(PortCounters::new(1));
    forward_beside(
        bencher,
        size,
        |burst| watcher.borrow_mut().offer(burst),
        |snapshot, bridge| {
            let entry = PortEntry { tx, counters: Arc::clone(&counters), ..port(WATCHER, bridge) };
            assert!(snapshot.put_port(entry));
            let (name, ports, direction) = ("m".into(), Some(vec![PORT]), Direction::Rx);
            let mirror = Mirror { name, ports, direction, vlans: None, to: WATCHER };
            snapshot.set_mirrors(bridge, vec![mirror]);
        },
    );
    let totals = counters.totals();
    assert!(totals.tx_frames > 0 && totals.drops.iter().sum::<u64>() == 0);
}

/// The same with a capture of the sender's port whose client reads everything.
#[divan::bench(args = SIZES)]
fn guest_to_guest_captured(bencher: Bencher<'_, '_>, size: usize) {
    captured(bencher, size, None, true);
}

/// The same with a capture that nobody reads: what is lost is counted, and not copied.
#[divan::bench(args = SIZES)]
fn guest_to_guest_captured_and_lost(bencher: Bencher<'_, '_>, size: usize) {
    captured(bencher, size, None, false);
}

/// The same with a capture whose filter wants none of it.
#[divan::bench(args = SIZES)]
fn guest_to_guest_filtered(bencher: Bencher<'_, '_>, size: usize) {
    captured(bencher, size, Some("host 10.9.9.9 and tcp port 80"), true);
}

fn captured(bencher: Bencher<'_, '_>, size: usize, filter: Option<&str>, is_read: bool) {
    let registry = Registry::default();
    let request = CaptureRequest { filter: filter.map(str::to_owned), ..CaptureRequest::default() };
    let port = capture::registry::Port { name: "p1".into(), description: String::new() };
    let mut stream = registry.start(&request, vec![port], 1, || {}).unwrap();
    std::thread::scope(|scope| {
        if is_read {
            scope.spawn(move || while stream.blocking_next().is_some() {});
        }
        forward(bencher, size, |snapshot, _| registry.tap(snapshot));
        registry.stop();
    });
}

fn forward(bencher: Bencher<'_, '_>, size: usize, prepare: impl FnOnce(&mut Snapshot, BridgeId)) {
    forward_beside(bencher, size, |_| {}, prepare);
}

/// Frames from one guest to another. `offer` is called with the length of each burst before it is sent.
fn forward_beside(
    bencher: Bencher<'_, '_>,
    size: usize,
    offer: impl Fn(usize),
    prepare: impl FnOnce(&mut Snapshot, BridgeId),
) {
    let stations = MacTable::new(MacLimits::default());
    let vid = Vid::new(0).unwrap();
    stations.learn(vid, MacAddress([2, 0, 0, 0, 0, 2]), OTHER, 0);
    let mut snapshot = Snapshot::default();
    let bridge = snapshot.add_bridge("br0", Arc::new(stations));
    for id in [PORT, OTHER] {
        assert!(snapshot.put_port(port(id, bridge)));
    }
    prepare(&mut snapshot, bridge);
    let mut receiver = Guest::new(BUFFER, WRITE);
    let queue = TxQueue::new(receiver.ring()).unwrap();
    let other = snapshot.port(OTHER).unwrap();
    assert!(other.tx.start(ports::TxQueue::Vhost(queue)).is_none());

    let mut sender = Guest::new(size, 0);
    let mut queue = RxQueue::new(sender.ring()).unwrap();
    let mut pipeline = Pipeline::new(0, CacheLimits::default());
    let mut batch = Batch::default();
    let counters = &snapshot.port(PORT).unwrap().counters;
    let mut now = Moment::default();
    let mut a_thousand = || {
        for burst in bursts() {
            now.nanos += 1000;
            sender.offer(burst);
            receiver.offer(burst);
            offer(burst);
            assert_eq!(queue.rx_burst(PORT, &mut batch, counters.shard(0)), burst);
            pipeline.process(&mut batch, PORT, &snapshot, now);
            batch.clear();
            queue.release();
            queue.notify();
        }
    };
    // Until all flows are in the exact cache.
    (0..64).for_each(|_| a_thousand());
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(a_thousand);
    let (came, went) = (counters.totals(), other.counters.totals());
    assert!(came.rx_frames > 0);
    assert_eq!(came.rx_frames, went.tx_frames);
}

/// A policer's answer for full batches: all conform, and it is asked once a batch; or none does, and it is asked for
/// each frame.
#[divan::bench(args = [true, false])]
fn policer(bencher: Bencher<'_, '_>, conforms: bool) {
    let (batch, _) = private_frames();
    let bucket = TokenBucket::new(Limit::frames(1_000_000_000, 1_000_000));
    let mut nanos = 1 << 40;
    while !conforms && bucket.conforming(&batch, Moment { nanos }) != 0 {}
    let batches = FRAMES / MAX_FRAMES;
    bencher.counter(ItemsCount::new(batches * MAX_FRAMES)).bench_local(|| {
        for _ in 0..batches {
            // As many tokens as the batch takes.
            nanos += if conforms { MAX_FRAMES as u64 } else { 0 };
            divan::black_box(bucket.conforming(&batch, Moment { nanos }));
        }
    });
}

/// From a guest's ring into batches, and its descriptors back.
#[divan::bench(args = SIZES)]
fn ring_rx(bencher: Bencher<'_, '_>, size: usize) {
    let mut guest = Guest::new(size, 0);
    let mut queue = RxQueue::new(guest.ring()).unwrap();
    let mut batch = Batch::default();
    let counters = PortCounters::new(1);
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for burst in bursts() {
            guest.offer(burst);
            assert_eq!(queue.rx_burst(PORT, &mut batch, counters.shard(0)), burst);
            divan::black_box(&batch);
            batch.clear();
            queue.release();
        }
    });
    assert_eq!(counters.totals().drops.iter().sum::<u64>(), 0);
}

/// From a batch into a guest's ring: head and tail copied into its buffers.
#[divan::bench(args = SIZES)]
fn ring_tx(bencher: Bencher<'_, '_>, size: usize) {
    let mut sender = Guest::new(size, 0);
    let mut from = RxQueue::new(sender.ring()).unwrap();
    let mut batch = Batch::default();
    let counters = PortCounters::new(1);
    sender.offer(MAX_FRAMES);
    assert_eq!(from.rx_burst(PORT, &mut batch, counters.shard(0)), MAX_FRAMES);
    let frames: Vec<FrameRef> = batch.received().collect();

    let mut receiver = Guest::new(BUFFER, WRITE);
    let mut queue = TxQueue::new(receiver.ring()).unwrap();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for burst in bursts() {
            receiver.offer(burst);
            queue.tx_burst(&batch, &frames[..burst], counters.shard(0), None);
        }
    });
    assert_eq!(counters.totals().drops.iter().sum::<u64>(), 0);
}

/// Puts a frame into a batch, all of it in the head.
fn receive(batch: &mut Batch, bytes: &[u8]) -> FrameRef {
    let (frame, _) = batch.next(PORT).unwrap();
    frame.head_room()[..bytes.len()].copy_from_slice(bytes);
    frame.set_head(bytes.len());
    batch.commit();
    batch.received().last().unwrap()
}

/// A full batch of flows.
fn private_frames() -> (Batch, Vec<FrameRef>) {
    let mut batch = Batch::default();
    for flow in 0..MAX_FRAMES {
        receive(&mut batch, &udp(64, flow as u16));
    }
    let frames = batch.received().collect();
    (batch, frames)
}

fn port(id: PortId, bridge: BridgeId) -> PortEntry {
    PortEntry {
        id,
        name: format!("p{}", id.0),
        number: id.0,
        bridge,
        vlan: vlan::Mode::default(),
        counters: Arc::new(PortCounters::new(1)),
        tx: Arc::new(TxSlots::new(1)),
        extras: Extras::default(),
    }
}

/// Full bursts, and a last one that makes [`FRAMES`].
fn bursts() -> impl Iterator<Item = usize> {
    (0..FRAMES).step_by(MAX_FRAMES).map(|at| MAX_FRAMES.min(FRAMES - at))
}

const RING: u16 = 256;
/// Bytes of a buffer, header included.
const BUFFER: usize = 2048;
/// Bytes of a virtio-net header with `VERSION_1`.
const HEADER: usize = 12;
const VERSION_1: u64 = 1 << 32;
/// The descriptor flag of a buffer that the switch writes (virtio 1.2, 2.7.5).
const WRITE: u16 = 2;

const GUEST: u64 = 0x4000_0000;
const USER: u64 = 0x7a00_0000_0000;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
const BUFFERS: u64 = 0x10_0000;
const MEMORY: u64 = 0x20_0000;

/// A guest with one ring, each descriptor a buffer of its own that is used in turn.
struct Guest {
    memory: Memory,
    available: Area,
    index: u16,
}

impl Guest {
    /// A ring of buffers of `len` bytes: frames to be sent, or, with [`WRITE`], room for such.
    fn new(len: usize, flags: u16) -> Self {
        let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, MEMORY).unwrap();
        let put = |at: u64, bytes: &[u8]| {
            assert_eq!(rustix::io::pwrite(&file, bytes, at).unwrap(), bytes.len());
        };
        for slot in 0..RING {
            let at = BUFFERS + u64::from(slot) * BUFFER as u64;
            let used = if flags & WRITE == 0 { HEADER + len } else { BUFFER };
            let mut descriptor = [0; 16];
            descriptor[..8].copy_from_slice(&(GUEST + at).to_le_bytes());
            descriptor[8..12].copy_from_slice(&(used as u32).to_le_bytes());
            descriptor[12..14].copy_from_slice(&flags.to_le_bytes());
            put(u64::from(slot) * 16, &descriptor);
            put(AVAILABLE + 4 + u64::from(slot) * 2, &slot.to_le_bytes());
            if flags & WRITE == 0 {
                put(at + HEADER as u64, &udp(len, slot));
            }
        }
        let region =
            Region { guest: GuestAddr(GUEST), user: UserAddr(USER), size: MEMORY, offset: 0 };
        let memory = Memory::default().with(region, file).unwrap();
        let available = memory.area(UserAddr(USER + AVAILABLE), 4, 2).unwrap();
        Self { memory, available, index: 0 }
    }

    fn ring(&self) -> RingConfig {
        RingConfig {
            pair: 0,
            size: RING,
            base: 0,
            descriptors: UserAddr(USER),
            available: UserAddr(USER + AVAILABLE),
            used: UserAddr(USER + USED),
            memory: self.memory.clone(),
            features: VERSION_1,
            enabled: Arc::new(AtomicBool::new(true)),
            kick: None,
            call: None,
            error: None,
        }
    }

    /// Makes the next buffers available; the switch must have returned them.
    fn offer(&mut self, count: usize) {
        self.index = self.index.wrapping_add(count as u16);
        self.available.word(2).unwrap().store(self.index, Release);
    }
}

/// A UDP frame of `len` bytes, one of many flows between two stations.
fn udp(len: usize, flow: u16) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&(1024 + flow).to_be_bytes());
    frame[36..38].copy_from_slice(&[0, 9]);
    frame[38..40].copy_from_slice(&((len - 34) as u16).to_be_bytes());
    frame
}
