//! What the traffic tests share: a bridge of recorder ports, and frames.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngSeed};
use strowger_packet::counters::Totals;
use strowger_packet::{DropReason, PortCounters, PortId};
use strowger_vswitch::ports::TxSlots;
use strowger_vswitch::ports::recorder::Recorder;
use strowger_vswitch::snapshot::{BridgeId, Extras, PortEntry, Snapshot};
use strowger_vswitch::tables::mac::{MacLimits, MacTable};
use strowger_vswitch::vlan::{Mode, Native, Vid, VidSet};

/// A port of a test: the recorder behind it and what the switch has of it.
pub struct TestPort {
    pub recorder: Recorder,
    pub counters: Arc<PortCounters>,
    pub tx: Arc<TxSlots>,
}

impl TestPort {
    /// With `pairs` queue pairs, of which the tx queues are started, and counters for `workers`.
    pub fn new(pairs: u16, workers: usize) -> Self {
        let recorder = Recorder::new(pairs);
        let tx = Arc::new(TxSlots::new(usize::from(pairs)));
        for pair in 0..pairs {
            assert!(tx.start(recorder.tx(pair)).is_none());
        }
        Self { recorder, counters: Arc::new(PortCounters::new(workers)), tx }
    }

    pub fn entry(&self, id: u32, bridge: BridgeId, vlan: Mode) -> PortEntry {
        PortEntry {
            id: PortId(id),
            name: format!("p{id}"),
            number: id + 1,
            bridge,
            vlan,
            counters: Arc::clone(&self.counters),
            tx: Arc::clone(&self.tx),
            extras: Extras::default(),
        }
    }

    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    pub fn drops(&self, reason: DropReason) -> u64 {
        self.totals().drops[reason as usize]
    }
}

/// A snapshot of one bridge with these ports, numbered from 0.
pub fn bridge_of(ports: &[TestPort], modes: &[Mode]) -> (Snapshot, Arc<MacTable>) {
    let stations = Arc::new(MacTable::new(MacLimits::default()));
    let mut snapshot = Snapshot::default();
    let bridge = snapshot.add_bridge("br0", Arc::clone(&stations));
    for (id, (port, mode)) in ports.iter().zip(modes).enumerate() {
        assert!(snapshot.put_port(port.entry(id as u32, bridge, mode.clone())));
    }
    (snapshot, stations)
}

pub fn vid(number: u16) -> Vid {
    Vid::new(number).unwrap()
}

pub fn trunk(allowed: &[u16], native: Option<(u16, bool)>) -> Mode {
    let allowed: VidSet = allowed.iter().copied().map(vid).collect();
    Mode::Trunk {
        allowed,
        native: native.map(|(number, tagged)| Native { vid: vid(number), tagged }),
    }
}

pub fn mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [2, 0, 0, 0, high, low]
}

pub const BROADCAST: [u8; 6] = [0xff; 6];

/// A frame of an experimental type with tags (TPID and TCI) and a number that tells it from others.
pub fn frame(dst: [u8; 6], src: [u8; 6], tags: &[(u16, u16)], number: u32) -> Vec<u8> {
    let mut bytes = [dst, src].concat();
    for (tpid, tci) in tags {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend(tci.to_be_bytes());
    }
    bytes.extend([0x88, 0xb5]);
    bytes.extend(number.to_be_bytes());
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

/// Waits until `is_so`, for a minute at most.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "a minute went by without: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Two cores that this process may use; the same one twice if there is only one.
pub fn two_cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cores: Vec<usize> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    vec![cores[0], *cores.get(1).unwrap_or(&cores[0])]
}

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise. `PROPTEST_CASES` says how many.
pub fn properties() -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    match config.rng_seed {
        RngSeed::Random => Config { rng_seed: RngSeed::Fixed(1891), ..config },
        RngSeed::Fixed(_) => config,
    }
}
