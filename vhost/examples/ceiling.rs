//! The ceiling: ring → copy → ring between two vhost-user ports, with no look at any frame.
//!
//! What the switch does for a frame comes on top of this. Run it under a load (bench/ has testpmd's command
//! lines), one core for it and one for the load:
//!
//! ```text
//! ceiling A.sock B.sock [CORE] [client]
//! ```
//!
//! Each second it prints millions of frames a second, time stamp cycles a frame while there were frames, the mean
//! batch, and what was dropped. With `client` the load listens on the sockets, otherwise this does.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use spin::Mutex;
use strowger_guestmem::install_fault_handler;
use strowger_packet::counters::Totals;
use strowger_packet::{Batch, FrameRef, PortCounters, PortId};
use strowger_vhost::{Host, Port, PortConfig, Role, RxQueue, TxQueue};

/// How many rounds pass between looks at the clock.
const ROUNDS: u32 = 4096;

/// One port's queues, the first pair of them.
#[derive(Default)]
struct Side {
    rx: Mutex<Option<RxQueue>>,
    tx: Mutex<Option<TxQueue>>,
}

impl Host for Side {
    fn start_rx(&self, queue: RxQueue) {
        *self.rx.lock() = Some(queue);
    }

    fn stop_rx(&self, pair: u16) -> Option<RxQueue> {
        let mut slot = self.rx.lock();
        slot.take_if(|queue| queue.pair() == pair)
    }

    fn start_tx(&self, queue: TxQueue) {
        *self.tx.lock() = Some(queue);
    }

    fn stop_tx(&self, pair: u16) -> Option<TxQueue> {
        let mut slot = self.tx.lock();
        slot.take_if(|queue| queue.pair() == pair)
    }

    fn announce(&self, _mac: [u8; 6]) {}
}

/// Room for one batch.
#[derive(Default)]
struct Work {
    batch: Batch,
    frames: Vec<FrameRef>,
}

/// What was done since the last report.
#[derive(Default)]
struct Tally {
    frames: u64,
    batches: u64,
    cycles: u64,
}

/// Moves what `from` has sent to `to`. Returns how many frames.
fn forward(from: &Side, to: &Side, work: &mut Work, counters: [&PortCounters; 2]) -> usize {
    let Work { batch, frames } = work;
    let mut slot = from.rx.lock();
    let Some(rx) = slot.as_mut() else { return 0 };
    batch.clear();
    let count = rx.rx_burst(PortId(0), batch, counters[0].shard(0));
    if count == 0 {
        return 0;
    }
    if let Some(tx) = to.tx.lock().as_mut() {
        frames.clear();
        frames.extend(batch.received());
        tx.tx_burst(batch, frames, counters[1].shard(0), None);
        tx.notify();
    }
    batch.clear();
    rx.release();
    rx.notify();
    count
}

#[cfg(target_arch = "x86_64")]
fn cycles() -> u64 {
    // SAFETY: every x86-64 has the instruction, and it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn cycles() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, options @ ..] = arguments.as_slice() else {
        return Err("usage: ceiling A.sock B.sock [CORE] [client]".into());
    };
    let client = options.iter().any(|option| option == "client");
    let role = if client { Role::Client } else { Role::Server };
    install_fault_handler();
    let sides = [Arc::new(Side::default()), Arc::new(Side::default())];
    let counters = [PortCounters::new(1), PortCounters::new(1)];
    let _ports = [
        Port::open(PortConfig::new("a", a, role), Arc::clone(&sides[0]) as Arc<dyn Host>)?,
        Port::open(PortConfig::new("b", b, role), Arc::clone(&sides[1]) as Arc<dyn Host>)?,
    ];
    // Ports' threads were started before, so that only this one is pinned.
    if let Some(core) = options.iter().find_map(|option| option.parse().ok()) {
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores)?;
    }
    let mut work = Work::default();
    let (mut tally, mut since) = (Tally::default(), Instant::now());
    loop {
        for _ in 0..ROUNDS {
            for (from, to) in [(0, 1), (1, 0)] {
                let start = cycles();
                let pair = [&counters[from], &counters[to]];
                let count = forward(&sides[from], &sides[to], &mut work, pair);
                if count > 0 {
                    tally.frames += count as u64;
                    tally.batches += 1;
                    tally.cycles += cycles() - start;
                }
            }
        }
        if since.elapsed() >= Duration::from_secs(1) {
            report(&tally, since.elapsed(), &[counters[0].totals(), counters[1].totals()]);
            (tally, since) = (Tally::default(), Instant::now());
        }
    }
}

fn report(tally: &Tally, time: Duration, totals: &[Totals]) {
    let frames = tally.frames.max(1) as f64;
    let drops: u64 = totals.iter().flat_map(|totals| totals.drops).sum();
    println!(
        "{:7.3} Mpps {:6.1} cycles/frame {:5.1} frames/batch {drops} dropped",
        tally.frames as f64 / time.as_secs_f64() / 1e6,
        tally.cycles as f64 / frames,
        frames / tally.batches.max(1) as f64,
    );
}
