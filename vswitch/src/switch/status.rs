//! The state of the running switch, for control.

use std::sync::{Arc, Mutex, Weak};

use strowger_packet::MacAddress;

use super::{OpenPort, Running, lock, port::Backing};
use crate::{
    config::{Config, plan::Change},
    control::{
        Bridge, CaptureRequest, CaptureStream, Control, Edit, Port, Refusal, Station, Status,
        Worker,
    },
    snapshot::Snapshot,
};

/// What the API has its answers from. Does not keep the switch alive.
#[derive(Debug)]
pub(super) struct Reporter {
    running: Weak<Mutex<Running>>,
    config: Config,
}

impl Reporter {
    pub(super) fn new(running: &Arc<Mutex<Running>>, config: &Config) -> Self {
        Self { running: Arc::downgrade(running), config: config.clone() }
    }
}

/// Why this switch does not do what only one that can be changed does.
fn fixed() -> Refusal {
    Refusal::Conflict("this switch cannot be changed while it runs".to_owned())
}

impl Control for Reporter {
    fn status(&self) -> Status {
        match self.running.upgrade() {
            Some(running) => lock(&running).status(),
            None => Status::default(),
        }
    }

    fn config(&self) -> Config {
        self.config.clone()
    }

    fn change(&self, _: bool, _: Edit<'_>) -> Result<Vec<Change>, Refusal> {
        Err(fixed())
    }

    fn stations(&self, _: Option<&str>) -> Result<Vec<Station>, Refusal> {
        Err(fixed())
    }

    fn flush_stations(&self, _: Option<&str>, _: Option<&str>) -> Result<usize, Refusal> {
        Err(fixed())
    }

    fn capture(&self, _: CaptureRequest) -> Result<CaptureStream, Refusal> {
        Err(fixed())
    }

    fn is_ready(&self) -> bool {
        self.running.strong_count() > 0
    }

    fn log_level(&self) -> String {
        self.config.log.level.clone()
    }

    fn set_log_level(&self, _: &str) -> Result<(), Refusal> {
        Err(fixed())
    }
}

impl Running {
    fn status(&self) -> Status {
        let snapshot = self.engine.snapshot();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            workers: self.workers(),
            bridges: bridges(&snapshot),
            ports: self.ports.iter().map(|port| shown(port, &snapshot)).collect(),
            ..Status::default()
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
            ..Worker::default()
        };
        self.engine.workers().into_iter().map(shown).collect()
    }
}

fn bridges(snapshot: &Snapshot) -> Vec<Bridge> {
    let names = |members: &[strowger_packet::PortId]| {
        members.iter().filter_map(|&id| Some(snapshot.port(id)?.name.clone())).collect()
    };
    let shown = |bridge: &Arc<crate::snapshot::BridgeEntry>| Bridge {
        name: bridge.name.clone(),
        stations: bridge.stations.statistics().stations,
        ports: names(&bridge.members),
        ..Bridge::default()
    };
    snapshot.bridges().map(shown).collect()
}

fn shown(port: &OpenPort, snapshot: &Snapshot) -> Port {
    let entry = &port.entry;
    let (up, queue_pairs, mac) = match &port.backing {
        Backing::Vhost(port) => {
            let status = port.status();
            (status.up, status.queue_pairs, None)
        }
        Backing::Tap(port) => {
            (port.tap.is_present(), port.pairs, Some(MacAddress(port.tap.mac()).to_string()))
        }
        Backing::Dev(port) => {
            let status = port.status();
            (status.up, port.queue_pairs(), None)
        }
    };
    let bridge = snapshot.bridge(entry.bridge).map(|bridge| bridge.name.clone());
    let mut shown = Port {
        name: entry.name.clone(),
        number: entry.number,
        bridge: bridge.unwrap_or_default(),
        kind: port.kind.to_owned(),
        up,
        queue_pairs,
        vlan: entry.vlan.to_string(),
        mac,
        ..Port::default()
    };
    if let Backing::Dev(port) = &port.backing {
        let status = port.status();
        shown.interface = Some(port.interface().to_owned());
        shown.present = Some(status.present);
        shown.link = Some(status.up);
        shown.mtu = status.present.then_some(status.mtu);
        shown.mac = status.present.then(|| MacAddress(status.mac).to_string());
        shown.last_error = status.error;
    }
    shown.count(&entry.counters.totals());
    shown
}
