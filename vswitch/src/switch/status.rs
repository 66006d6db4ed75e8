//! The state of the running switch, for control.

use std::{
    fs,
    sync::{Arc, PoisonError},
    time::UNIX_EPOCH,
};

use strowger_packet::MacAddress;

use super::{
    change::Running,
    handle::Inner,
    limits,
    port::{Backing, OpenPort},
};
use crate::{
    config::MirrorConfig,
    control::{Bridge, Cache, Log, Mirror, Port, Process, Queue, State, Status, Worker},
    snapshot::{PortEntry, Snapshot},
};

impl Inner {
    /// The whole of it. Waits for no change.
    pub(super) fn status(&self) -> Status {
        let snapshot = self.engine.snapshot();
        let running = self.running();
        let ports: Vec<Port> = running
            .ports
            .iter()
            .map(|(name, port)| shown(name, port, &running, &snapshot))
            .collect();
        let mirror = |(name, mirror): (&String, &MirrorConfig)| Mirror {
            name: name.clone(),
            bridge: mirror.bridge.clone(),
            to: mirror.to.clone(),
            up: running
                .ports
                .get_index_of(&mirror.to)
                .and_then(|at| ports.get(at))
                .is_some_and(|port| port.up),
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            workers: self.workers(),
            queues: self.queues(&snapshot),
            bridges: bridges(&running, &snapshot),
            mirrors: running.config.mirrors.iter().map(mirror).collect(),
            ports,
            captures: self.captures.totals(),
            log: Log { lost_lines: self.log.as_ref().map_or(0, crate::log::Handle::lost) },
            state: self.state(),
            process: self.process(),
        }
    }

    fn workers(&self) -> Vec<Worker> {
        let shown = |worker: crate::engine::WorkerStatus| Worker {
            core: worker.core,
            queues: worker.queues,
            frames: worker.frames,
            batches: worker.batches,
            empty_polls: worker.empty_polls,
            sleeps: worker.sleeps,
            busy_cycles: worker.busy_cycles,
            busy_nanos: worker.busy_nanos,
            alive_nanos: worker.alive_nanos,
            cache: Cache {
                flows: worker.cache.flows,
                masks: worker.cache.masks,
                exact_hits: worker.cache.exact_hits,
                masked_hits: worker.cache.masked_hits,
                misses: worker.cache.misses,
                translations: worker.cache.translations,
            },
        };
        self.engine.workers().into_iter().map(shown).collect()
    }

    fn queues(&self, snapshot: &Snapshot) -> Vec<Queue> {
        let shown = |queue: crate::engine::QueueStatus| {
            Some(Queue {
                port: snapshot.port(queue.port)?.name.clone(),
                pair: queue.pair,
                worker: queue.worker,
                frames: queue.frames,
                batches: queue.batches,
            })
        };
        self.engine.queues().into_iter().filter_map(shown).collect()
    }

    fn state(&self) -> State {
        let directory = self.declared.switch.state.as_ref();
        State {
            directory: directory.map(|directory| directory.display().to_string()),
            error: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn process(&self) -> Process {
        let since = self.started_at.duration_since(UNIX_EPOCH);
        Process {
            start_time_seconds: since.map_or(0, |since| since.as_secs()),
            max_open_files: limits::open_files().unwrap_or(u64::MAX),
            ..process().unwrap_or_default()
        }
    }
}

fn bridges(running: &Running, snapshot: &Snapshot) -> Vec<Bridge> {
    let names = |members: &[strowger_packet::PortId]| {
        members.iter().filter_map(|&id| Some(snapshot.port(id)?.name.clone())).collect()
    };
    let shown = |name: &String| {
        let bridge = snapshot.bridge(*running.bridges.get(name)?)?;
        let (statistics, limits) = (bridge.stations.statistics(), bridge.stations.limits());
        Some(Bridge {
            name: name.clone(),
            stations: statistics.stations,
            station_limit: limits.stations,
            ageing_seconds: limits.ageing.as_secs(),
            ports: names(&bridge.members),
            moves: statistics.moves,
            held: statistics.held,
            replaced: statistics.replaced,
            aged: statistics.aged,
            loops: statistics.loops,
            held_stations: statistics.held_stations,
        })
    };
    running.config.bridges.keys().filter_map(shown).collect()
}

/// A port. One that came or went between the two that are shown has no entry.
fn shown(name: &str, port: &OpenPort, running: &Running, snapshot: &Snapshot) -> Port {
    let config = running.config.ports.get(name).unwrap_or(&port.config);
    let rate = |rate: Option<crate::config::Rate>| rate.map(|rate| rate.to_string());
    let entry = snapshot.port(port.id).filter(|entry| entry.name == name);
    let mut shown = Port {
        name: name.to_owned(),
        number: running.numbers.get(name).map_or(0, |&(_, number)| number),
        bridge: config.bridge.clone(),
        kind: config.kind.word().to_owned(),
        vlan: entry.map_or_else(String::new, |entry| entry.vlan.to_string()),
        path: config.socket().map(|path| path.display().to_string()),
        interface: config.interface(name).map(str::to_owned),
        ingress_rate: rate(config.ingress_rate),
        egress_rate: rate(config.egress_rate),
        shaper_frames: entry.and_then(shaped),
        ..Port::default()
    };
    behind(&mut shown, &port.lock());
    shown.count(&port.counters.totals());
    shown
}

fn shaped(entry: &Arc<PortEntry>) -> Option<u64> {
    entry.extras.shaper.as_ref().map(|shaper| shaper.backlog().frames)
}

/// What is known of what is behind a port.
fn behind(shown: &mut Port, backing: &Backing) {
    match backing {
        Backing::Vhost(port) => {
            let status = port.status();
            shown.up = status.up;
            shown.queue_pairs = status.queue_pairs;
            shown.mtu = status.mtu.map(u32::from);
            shown.features = (status.features != 0).then(|| format!("{:#x}", status.features));
            shown.last_error = status.last_error.filter(|_| !status.up);
        }
        Backing::Tap(port) => {
            let present = port.tap.is_present();
            shown.up = present;
            shown.queue_pairs = port.pairs;
            shown.mac = Some(MacAddress(port.tap.mac()).to_string());
            shown.present = Some(present);
            shown.mtu = if present { port.tap.mtu() } else { None };
            shown.last_error = (!present).then(|| {
                "its interface was deleted; take the port away and add it again".to_owned()
            });
        }
        Backing::Dev(port) => {
            let status = port.status();
            shown.up = status.up;
            shown.queue_pairs = port.queue_pairs();
            shown.present = Some(status.present);
            shown.link = Some(status.up);
            shown.mtu = status.present.then_some(status.mtu);
            shown.mac = status.present.then(|| MacAddress(status.mac).to_string());
            shown.last_error = status.error;
        }
        Backing::Refused(why) => shown.last_error = Some(why.clone()),
        Backing::Prepared(_) | Backing::Closed => {}
    }
}

/// What the kernel says of this process (proc(5)). `None` if it says it in a way that is not known.
fn process() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The fields behind the command, which may have spaces in it; the first of them is the third of the line.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let page = rustix::param::page_size() as u64;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let files = match fs::metadata("/proc/self/fd").ok()?.len() {
        // Kernels before 6.2 do not count.
        0 => fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        files => files,
    };
    Some(Process {
        resident_bytes: field(24)? * page,
        virtual_bytes: field(23)?,
        cpu_milliseconds: (field(14)? + field(15)?) * 1000 / ticks,
        threads: field(20)?,
        open_files: files,
        ..Process::default()
    })
}
