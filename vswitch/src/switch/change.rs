//! A running switch becomes another one: all of it, or nothing.
//!
//! [`Step::prepare`] does everything that can fail and that nobody sees: it opens what is new and makes the snapshot
//! that workers will read. Dropping a step closes what it opened. [`Step::publish`] cannot fail: the snapshot, then
//! the end of what left, then the start of what came. Between the two the store is written.
//!
//! A port stays open as long as the same thing is behind it; what else is set of it is in the snapshot only. One that
//! must be opened anew takes over the socket or the interface of the one before, so that it need not be closed before
//! it is known that the change goes through.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use strowger_packet::{PortCounters, PortId};
use tracing::{info, warn};

use super::{
    build, limits,
    numbers::Assigned,
    port::{OpenError, OpenPort, Place, Wanted},
};
use crate::{
    config::{Config, PortConfig},
    engine::Engine,
    snapshot::{BridgeId, MAX_PORTS, PortEntry, Snapshot},
};

/// What runs, at one moment.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) config: Config,
    pub(super) numbers: Assigned,
    pub(super) bridges: HashMap<String, BridgeId>,
    /// In the order of the configuration.
    pub(super) ports: IndexMap<String, Arc<OpenPort>>,
}

/// What is about to run.
#[derive(Debug)]
pub(super) struct Step {
    snapshot: Snapshot,
    running: Running,
    opened: Vec<Arc<OpenPort>>,
    closing: Vec<Arc<OpenPort>>,
}

/// Whether a port may stay shut if it does not open.
pub(super) type MayStayShut<'a> = &'a dyn Fn(&str) -> bool;

impl Step {
    /// Opens what `wanted` has and `now` has not. `wanted` has passed [`Config::check`].
    ///
    /// # Errors
    /// What did not open, and why. Nothing has changed then.
    pub(super) fn prepare(
        (now, engine): (&Running, &Arc<Engine>),
        wanted: Config,
        numbers: Assigned,
        may_stay_shut: MayStayShut<'_>,
    ) -> Result<Self, OpenError> {
        let base = engine.snapshot();
        let mut making = Making {
            now,
            engine,
            // Ids that are free in the snapshot of now, too: stations behind a port that leaves must not be behind
            // the one that comes.
            free: (0..MAX_PORTS).map(PortId).filter(|&id| base.port(id).is_none()).collect(),
            snapshot: (*base).clone(),
            closing: now
                .ports
                .iter()
                .filter(|&(name, port)| {
                    wanted.ports.get(name).is_none_or(|config| !serves(now, name, port, config))
                })
                .map(|(_, port)| (port.place(), Arc::clone(port)))
                .collect(),
            bridges: HashMap::new(),
            opened: Vec::new(),
        };
        making.free.reverse();
        making.add_bridges(&wanted);
        let mut ports = IndexMap::with_capacity(wanted.ports.len());
        for (name, config) in &wanted.ports {
            let number = numbers.get(name).map_or(0, |&(_, number)| number);
            let port = making.port(name, config, number, may_stay_shut)?;
            ports.insert(name.clone(), port);
        }
        if !making.opened.is_empty() && !limits::has_spare() {
            return Err(OpenError::Descriptors);
        }
        making.take_away(&wanted);
        for (name, &id) in &making.bridges {
            let port = |name: &String| ports.get(name).map(|port| port.id);
            making.snapshot.set_mirrors(id, build::mirrors(&wanted, name, port));
        }
        let Making { snapshot, closing, bridges, opened, .. } = making;
        let running = Running { config: wanted, numbers, bridges, ports };
        Ok(Self { snapshot, running, opened, closing: closing.into_values().collect() })
    }

    /// What will run.
    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// The snapshot that is about to be published.
    pub(super) fn snapshot_mut(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    /// Makes it so. `show` is given what runs from now on, when workers have it.
    pub(super) fn publish(self, engine: &Engine, show: impl FnOnce(Running)) {
        let Self { snapshot, running, opened, closing } = self;
        engine.publish(snapshot);
        let now = engine.snapshot();
        for (name, &id) in &running.bridges {
            if let Some((bridge, config)) = now.bridge(id).zip(running.config.bridges.get(name)) {
                bridge.stations.set_guard(build::guard(config));
            }
        }
        show(running);
        for port in closing {
            port.close();
            info!(port = port.name, "closed");
        }
        for port in opened {
            port.start();
            info!(port = port.name, "open");
        }
    }
}

/// Whether a port stays open as it is.
fn serves(now: &Running, name: &str, port: &OpenPort, wanted: &PortConfig) -> bool {
    now.config.ports.get(name) == Some(wanted) || port.serves(name, wanted)
}

/// A step in the making.
struct Making<'a> {
    now: &'a Running,
    engine: &'a Arc<Engine>,
    /// The lowest last.
    free: Vec<PortId>,
    snapshot: Snapshot,
    closing: HashMap<Place, Arc<OpenPort>>,
    bridges: HashMap<String, BridgeId>,
    opened: Vec<Arc<OpenPort>>,
}

impl Making<'_> {
    fn add_bridges(&mut self, wanted: &Config) {
        for name in wanted.bridges.keys() {
            let limits = wanted.mac_limits(name);
            let id = match self.now.bridges.get(name) {
                None => self.snapshot.add_bridge(name, build::stations(limits)),
                Some(&id) => {
                    if limits != self.now.config.mac_limits(name)
                        && let Some(bridge) = self.snapshot.bridge(id).cloned()
                    {
                        let stations = build::stations_again(limits, &bridge.stations);
                        self.snapshot.set_stations(id, stations);
                    }
                    id
                }
            };
            self.bridges.insert(name.clone(), id);
        }
    }

    /// Opens a port or takes the one that is open, and puts it into the snapshot as it is wanted.
    fn port(
        &mut self,
        name: &str,
        config: &PortConfig,
        number: u32,
        may_stay_shut: MayStayShut<'_>,
    ) -> Result<Arc<OpenPort>, OpenError> {
        let before = self.now.ports.get(name);
        if let Some(port) = before
            && serves(self.now, name, port, config)
        {
            let same_number = self.now.numbers.get(name).map(|&(_, number)| number) == Some(number);
            if !same_number || self.now.config.ports.get(name) != Some(config) {
                self.put((name, config), number, port)?;
            }
            return Ok(Arc::clone(port));
        }
        let no_room = || OpenError::NoRoom(name.to_owned());
        let id = self.free.pop().ok_or_else(no_room)?;
        let counters = match before {
            Some(before) => Arc::clone(&before.counters),
            None => Arc::new(PortCounters::new(self.engine.len())),
        };
        let wanted = || Wanted { name, config, id, counters: Arc::clone(&counters) };
        let taken_over = self.closing.get(&Place::of(name, config));
        let port = match OpenPort::prepare(wanted(), taken_over.map(|port| &**port), self.engine) {
            Ok(port) => port,
            Err(error) if may_stay_shut(name) => {
                warn!(port = name, "is not open: {error}");
                OpenPort::refused(wanted(), error.to_string())
            }
            Err(error) => return Err(error),
        };
        let port = Arc::new(port);
        self.opened.push(Arc::clone(&port));
        self.put((name, config), number, &port)?;
        Ok(port)
    }

    fn put(
        &mut self,
        (name, config): (&str, &PortConfig),
        number: u32,
        port: &Arc<OpenPort>,
    ) -> Result<(), OpenError> {
        let no_room = || OpenError::NoRoom(name.to_owned());
        let before = self.snapshot.port(port.id).map(|entry| entry.extras.clone());
        let refused = |error| OpenError::Shaper { port: name.to_owned(), error };
        let entry = PortEntry {
            id: port.id,
            name: name.to_owned(),
            number,
            bridge: self.bridges.get(&config.bridge).copied().ok_or_else(no_room)?,
            // Keys that contradict each other do not pass `Config::check`.
            vlan: config.vlan_mode().unwrap_or_default(),
            counters: Arc::clone(&port.counters),
            tx: Arc::clone(&port.tx),
            extras: build::extras(config, before.as_ref()).map_err(refused)?,
        };
        if self.snapshot.put_port(entry) { Ok(()) } else { Err(no_room()) }
    }

    /// Takes ports and bridges out of the snapshot that are not wanted any more.
    fn take_away(&mut self, wanted: &Config) {
        for port in self.closing.values() {
            self.snapshot.remove_port(port.id);
        }
        for (name, &id) in &self.now.bridges {
            if !wanted.bridges.contains_key(name) {
                self.snapshot.remove_bridge(id);
            }
        }
    }
}
