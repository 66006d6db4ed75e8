//! Rates from two samples of a switch's counters.
//!
//! Counters only go up, but what they belong to comes and goes: a switch that was started again, and a port that was
//! taken away and given again, begin at 0 and have no rate until they are seen twice.

use std::{collections::HashMap, time::Instant};

use crate::control::{Port, Status, Worker};

/// A switch's counters at a moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// When the answer was here, by this process's clock.
    pub(super) at: Instant,
    /// All that it says.
    pub(super) status: Status,
}

/// What went through a port in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct PortRate {
    /// Frames into the switch.
    pub(super) rx_frames_per_second: f64,
    /// Their bits.
    pub(super) rx_bits_per_second: f64,
    /// Frames out of the switch.
    pub(super) tx_frames_per_second: f64,
    /// Their bits.
    pub(super) tx_bits_per_second: f64,
    /// Frames dropped, for whatever reason.
    pub(super) drops_per_second: f64,
}

/// How a worker did between two samples. What a frame took is not known where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct WorkerRate {
    /// The part of its time that it spent on frames, from 0 to 1.
    pub(super) load: f64,
    /// Frames in a second.
    pub(super) frames_per_second: f64,
    /// Nanoseconds that each took.
    pub(super) nanos_a_frame: Option<f64>,
    /// Cycles that each took.
    pub(super) cycles_a_frame: Option<f64>,
    /// Frames that came at a time.
    pub(super) batch: Option<f64>,
}

/// What lies between two samples.
#[derive(Debug)]
pub(super) struct Between<'a> {
    seconds: f64,
    same: bool,
    ports: HashMap<&'a str, &'a Port>,
    workers: HashMap<usize, &'a Worker>,
}

impl<'a> Between<'a> {
    /// The time from one sample to a later one.
    pub(super) fn new(before: &'a Sample, now: &Sample) -> Self {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        let same = before.status.pid == now.status.pid
            && before.status.uptime_seconds <= now.status.uptime_seconds;
        Self {
            seconds,
            same: same && seconds > 0.0,
            ports: before.status.ports.iter().map(|port| (port.name.as_str(), port)).collect(),
            workers: before.status.workers.iter().map(|worker| (worker.core, worker)).collect(),
        }
    }

    /// How long it was.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The rate of a port of the later sample. `None` if it is not the port that it was.
    pub(super) fn port(&self, now: &Port) -> Option<PortRate> {
        let before = self.ports.get(now.name.as_str()).filter(|_| self.same)?;
        let rate = |count: fn(&Port) -> u64| {
            let more = count(now).checked_sub(count(before))?;
            Some(more as f64 / self.seconds)
        };
        Some(PortRate {
            rx_frames_per_second: rate(|port| port.rx_frames)?,
            rx_bits_per_second: rate(|port| port.rx_bytes)? * 8.0,
            tx_frames_per_second: rate(|port| port.tx_frames)?,
            tx_bits_per_second: rate(|port| port.tx_bytes)? * 8.0,
            drops_per_second: rate(dropped)?,
        })
    }

    /// Frames of a port dropped in a second for one reason.
    pub(super) fn drops(&self, now: &Port, reason: &str) -> Option<f64> {
        let before = self.ports.get(now.name.as_str()).filter(|_| self.same)?;
        let of = |port: &Port| port.drops.get(reason).copied().unwrap_or(0);
        Some(of(now).checked_sub(of(before))? as f64 / self.seconds)
    }

    /// The rate of a worker of the later sample.
    pub(super) fn worker(&self, now: &Worker) -> Option<WorkerRate> {
        let before = self.workers.get(&now.core).filter(|_| self.same)?;
        Some(WorkerRate::of(now, before))
    }
}

impl WorkerRate {
    /// What a worker did from one report of it to another.
    fn of(now: &Worker, before: &Worker) -> Self {
        let more = |count: fn(&Worker) -> u64| count(now).saturating_sub(count(before)) as f64;
        let (frames, busy, alive) = (
            more(|worker| worker.frames),
            more(|worker| worker.busy_nanos),
            more(|worker| worker.alive_nanos),
        );
        let a_frame = |sum: f64| (frames > 0.0).then(|| sum / frames);
        let batches = more(|worker| worker.batches);
        Self {
            load: if alive > 0.0 { (busy / alive).min(1.0) } else { 0.0 },
            frames_per_second: if alive > 0.0 { frames * 1e9 / alive } else { 0.0 },
            nanos_a_frame: a_frame(busy),
            cycles_a_frame: a_frame(more(|worker| worker.busy_cycles)),
            batch: (batches > 0.0).then(|| frames / batches),
        }
    }

    /// What a worker has done since it was started.
    pub(super) fn since_start(now: &Worker) -> Self {
        Self::of(now, &Worker::default())
    }
}

/// All frames that were dropped on a port.
pub(super) fn dropped(port: &Port) -> u64 {
    port.drops.values().fold(0, |sum, &frames| sum.saturating_add(frames))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn port(name: &str, counted: u64) -> Port {
        Port {
            name: name.into(),
            rx_frames: counted,
            rx_bytes: counted * 100,
            tx_frames: counted / 2,
            tx_bytes: counted * 50,
            drops: [("queue_full".to_owned(), counted / 10)].into(),
            ..Port::default()
        }
    }

    fn samples(before: Vec<Port>, now: Vec<Port>, seconds: u64) -> (Sample, Sample) {
        let at = Instant::now();
        let status =
            |ports, uptime_seconds| Status { pid: 7, uptime_seconds, ports, ..Status::default() };
        (
            Sample { at, status: status(before, 10) },
            Sample { at: at + Duration::from_secs(seconds), status: status(now, 10 + seconds) },
        )
    }

    #[test]
    fn a_rate_is_the_difference_by_the_time() {
        let (before, now) = samples(vec![port("a", 1000)], vec![port("a", 3000)], 2);
        let between = Between::new(&before, &now);
        let rate = between.port(&now.status.ports[0]).unwrap();
        assert_eq!(
            rate,
            PortRate {
                rx_frames_per_second: 1000.0,
                rx_bits_per_second: 800_000.0,
                tx_frames_per_second: 500.0,
                tx_bits_per_second: 400_000.0,
                drops_per_second: 100.0,
            }
        );
        assert_eq!(between.drops(&now.status.ports[0], "queue_full"), Some(100.0));
        assert_eq!(between.drops(&now.status.ports[0], "hairpin"), Some(0.0));
        assert_eq!(between.seconds(), 2.0);
    }

    #[test]
    fn what_began_again_has_no_rate_yet() {
        let (before, now) = samples(vec![port("a", 1000)], vec![port("a", 10), port("b", 5)], 1);
        let between = Between::new(&before, &now);
        assert!(now.status.ports.iter().all(|port| between.port(port).is_none()));
        let (before, mut now) = samples(vec![port("a", 1)], vec![port("a", 2)], 1);
        now.status.pid = 8;
        assert_eq!(Between::new(&before, &now).port(&now.status.ports[0]), None);
        let (before, now) = samples(vec![port("a", 1)], vec![port("a", 2)], 0);
        assert_eq!(Between::new(&before, &now).port(&now.status.ports[0]), None);
    }

    #[test]
    fn a_worker_s_time_is_split_among_its_frames() {
        let before = Worker {
            core: 1,
            frames: 100,
            batches: 10,
            busy_nanos: 1_000,
            alive_nanos: 10_000,
            busy_cycles: 3_000,
            ..Worker::default()
        };
        let now = Worker {
            frames: 300,
            batches: 20,
            busy_nanos: 6_000,
            alive_nanos: 30_000,
            busy_cycles: 18_000,
            ..before.clone()
        };
        let rate = WorkerRate::of(&now, &before);
        assert_eq!(rate.load, 0.25);
        assert_eq!(rate.nanos_a_frame, Some(25.0));
        assert_eq!(rate.cycles_a_frame, Some(75.0));
        assert_eq!(rate.batch, Some(20.0));
        assert_eq!(rate.frames_per_second, 10_000_000.0);
        let idle = WorkerRate::of(&now, &now);
        assert_eq!((idle.load, idle.nanos_a_frame, idle.batch), (0.0, None, None));
        assert_eq!(WorkerRate::since_start(&before).batch, Some(10.0));
    }
}
