//! Frames that hit the cache allocate nothing: not when they are policed, extracted, looked up, tagged, flooded,
//! mirrored, captured or sent.

#![allow(clippy::unwrap_used, reason = "what the tests are helped by fails as they do")]

mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use strowger_packet::{Batch, DropReason, PortId};
use strowger_vswitch::capture::registry::{Port, Registry};
use strowger_vswitch::control::CaptureRequest;
use strowger_vswitch::pipeline::cache::CacheLimits;
use strowger_vswitch::pipeline::{Moment, Pipeline};
use strowger_vswitch::rates::{Limit, TokenBucket};
use strowger_vswitch::snapshot::{PortEntry, Snapshot};
use strowger_vswitch::tables::mirror::{Direction, Mirror};
use strowger_vswitch::vlan::Mode;

use harness::{BROADCAST, TestPort, bridge_of, frame, mac, trunk, vid};

/// The system's allocator, counting what this thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: everything is the system allocator's; counting touches no memory that is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends 200 batches of 64 frames by port 0: how many allocations that took once caches and lists were filled.
fn allocations_of(ports: &[TestPort], snapshot: &Snapshot) -> usize {
    let mut pipeline = Pipeline::new(0, CacheLimits::default());
    let mut batch = Batch::default();
    let mut queue = ports[0].recorder.rx(0);
    let counters = ports[0].counters.shard(0);
    // Unicast to a known station, an unknown one (a flood with two kinds of tags), broadcast; many conversations.
    let frames: Vec<Vec<u8>> = (0..64u16)
        .map(|number| {
            let dst = [mac(1), mac(2), BROADCAST][usize::from(number % 3)];
            frame(dst, mac(100 + number % 8), &[], u32::from(number))
        })
        .collect();
    let mut first = ports[1].recorder.rx(0);
    ports[1].recorder.send([frame(mac(9), mac(1), &[(0x8100, 10)], 0)]);
    first.rx_burst(PortId(1), &mut batch, ports[1].counters.shard(0));
    pipeline.process(&mut batch, PortId(1), snapshot, Moment::default());
    for port in ports {
        port.recorder.discard();
    }

    let mut allocations = 0;
    for round in 0..200 {
        ports[0].recorder.send(frames.clone());
        batch.clear();
        assert_eq!(queue.rx_burst(PortId(0), &mut batch, counters), frames.len());
        let before = ALLOCATIONS.with(Cell::get);
        pipeline.process(&mut batch, PortId(0), snapshot, Moment::from_millis(round * 100));
        // The first rounds fill the cache and make room for the outputs.
        if round >= 100 {
            allocations += ALLOCATIONS.with(Cell::get) - before;
        }
        queue.release();
    }
    allocations
}

fn bridge() -> (Vec<TestPort>, Snapshot) {
    let ports: Vec<TestPort> = (0..5).map(|_| TestPort::new(2, 1)).collect();
    let modes = [
        Mode::Access(vid(10)),
        trunk(&[10], None),
        Mode::Access(vid(10)),
        Mode::Tunnel(vid(10)),
        Mode::Access(vid(99)),
    ];
    let (snapshot, _) = bridge_of(&ports, &modes);
    (ports, snapshot)
}

#[test]
fn a_frame_that_hits_the_cache_allocates_nothing() {
    let (ports, snapshot) = bridge();
    assert_eq!(allocations_of(&ports, &snapshot), 0);
    assert_eq!(ports[2].totals().tx_frames, 1 + 200 * 42, "they really went all the way");
}

#[test]
fn a_frame_that_is_policed_and_mirrored_allocates_nothing() {
    let (ports, mut snapshot) = bridge();
    let mut entry = PortEntry::clone(snapshot.port(PortId(0)).unwrap());
    // Half of each batch, which comes every 100 ms.
    entry.extras.policer = Some(Arc::new(TokenBucket::new(Limit::frames(320, 64))));
    let bridge = entry.bridge;
    assert!(snapshot.put_port(entry));
    let (name, ports_of, to) = ("m".into(), vec![PortId(0), PortId(1)], PortId(4));
    let mirror =
        Mirror { name, ports: Some(ports_of), direction: Direction::Both, vlans: None, to };
    snapshot.set_mirrors(bridge, vec![mirror]);
    assert_eq!(allocations_of(&ports, &snapshot), 0);
    assert_eq!(ports[0].drops(DropReason::Policed), 199 * 32);
    assert_eq!(ports[4].totals().tx_frames, 1 + 64 + 199 * 32, "each frame once");
}

#[test]
fn a_frame_that_is_captured_allocates_nothing_in_the_worker() {
    let (ports, mut snapshot) = bridge();
    let registry = Registry::default();
    let names = ["p0", "p1", "p3"];
    let tapped = names.map(|name| Port { name: name.into(), description: String::new() });
    let stream = registry.start(&CaptureRequest::default(), tapped.into(), 1, || {}).unwrap();
    registry.tap(&mut snapshot);
    // Nobody reads: at the end the ring is full.
    assert_eq!(allocations_of(&ports, &snapshot), 0);
    assert_eq!(ports[2].totals().tx_frames, 1 + 200 * 42);
    drop(stream);
}
