//! The running switch: opens what the configuration says in order, glues ports to the engine, closes in order.
//!
//! The one room that knows all others. It carries no frame: it hands queues to the engine and takes them back.
//!
//! Everything that is opened here closes when it is dropped, in the order of [`Switch`]'s fields, whether the
//! switch ends or does not get to start: nothing is ever left half-done.

mod host;
mod port;
pub mod rundir;
mod status;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use strowger_packet::{PortCounters, PortId};
use thiserror::Error;
use tracing::info;

use crate::{
    config::{Config, ConfigError},
    control,
    engine::{Engine, EngineConfig, EngineError},
    ports::{TxSlots, dev::DevError, tap::TapError},
    snapshot::{Extras, PortEntry, Snapshot},
    tables::mac::MacTable,
};
use port::OpenPort;
use rundir::{Rundir, RundirError};

/// Why a switch did not start. Nothing of it is left then.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The run directory is not to be had.
    #[error(transparent)]
    Rundir(#[from] RundirError),
    /// A namespace is not there.
    #[error("port {port}: there is no network namespace {path}", path = path.display())]
    NetnsMissing {
        /// The port.
        port: String,
        /// The namespace's file.
        path: PathBuf,
    },
    /// A dev port did not open.
    #[error("port {port}: {error}")]
    Dev {
        /// The port.
        port: String,
        /// Why.
        error: DevError,
    },
    /// The workers did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// More ports than the switch has room for.
    #[error("there is no room for port {0}")]
    NoRoom(String),
    /// A vhost-user port did not open. The error names it.
    #[error(transparent)]
    Vhost(#[from] strowger_vhost::PortError),
    /// A TAP port did not open.
    #[error("port {port}: {error}")]
    Tap {
        /// The port.
        port: String,
        /// Why.
        error: TapError,
    },
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::ServerError),
}

/// A switch that runs until it is dropped: first nobody is answered any more, then its rings are stopped and its
/// ports closed, then the workers end, then the run directory is given back.
#[derive(Debug)]
pub struct Switch {
    _server: control::Server,
    running: Arc<Mutex<Running>>,
    _rundir: Rundir,
}

/// What runs. The ports close before the engine ends.
#[derive(Debug)]
struct Running {
    started: Instant,
    ports: Vec<OpenPort>,
    engine: Arc<Engine>,
}

impl Switch {
    /// Starts a switch. It forwards when this returns.
    ///
    /// # Errors
    /// What is wrong with the configuration, or which port did not open and why.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        check_namespaces(config)?;
        let rundir = Rundir::take(&config.switch.rundir)?;
        strowger_guestmem::install_fault_handler();
        let engine =
            Engine::start(EngineConfig { cores: config.cores(), poll: config.switch.poll })?;
        let (snapshot, entries) = entries(config, &engine)?;
        engine.publish(snapshot);
        let mut running =
            Running { started: Instant::now(), ports: Vec::new(), engine: Arc::new(engine) };
        for ((name, port), entry) in config.ports.iter().zip(entries) {
            running.ports.push(OpenPort::open(name, port, entry, &running.engine)?);
            info!("port {name} is open");
        }
        let running = Arc::new(Mutex::new(running));
        let reporter = Arc::new(status::Reporter::new(&running, config));
        let server = control::Server::start(&rundir.control_socket(), &config.api, reporter)?;
        Ok(Self { _server: server, running, _rundir: rundir })
    }

    /// Its workers, for who watches them. Does not keep them alive.
    #[must_use]
    pub fn engine(&self) -> Weak<Engine> {
        Arc::downgrade(&lock(&self.running).engine)
    }

    /// Ends in order. Dropping does the same.
    pub fn stop(self) {}
}

/// A port's namespace can be looked for before anything is opened.
fn check_namespaces(config: &Config) -> Result<(), StartError> {
    for (name, port) in &config.ports {
        let Some(netns) = &port.netns else { continue };
        let path = netns.path();
        if !path.exists() {
            return Err(StartError::NetnsMissing { port: name.clone(), path });
        }
    }
    Ok(())
}

/// All bridges and ports as workers see them, and the ports' entries in the order of the configuration.
fn entries(
    config: &Config,
    engine: &Engine,
) -> Result<(Snapshot, Vec<Arc<PortEntry>>), StartError> {
    let mut snapshot = Snapshot::default();
    let mut entries = Vec::new();
    let mut bridges = HashMap::new();
    for name in config.bridges.keys() {
        let table = Arc::new(MacTable::new(config.mac_limits(name)));
        bridges.insert(name.as_str(), snapshot.add_bridge(name, table));
    }
    let numbers = config.numbers(&HashMap::new());
    for (name, port) in &config.ports {
        let no_room = || StartError::NoRoom(name.clone());
        let entry = PortEntry {
            id: snapshot.free_port_id().ok_or_else(no_room)?,
            name: name.clone(),
            number: numbers.get(name).copied().ok_or_else(no_room)?,
            bridge: bridges.get(port.bridge.as_str()).copied().ok_or_else(no_room)?,
            vlan: port.vlan_mode()?,
            counters: Arc::new(PortCounters::new(engine.len())),
            tx: Arc::new(TxSlots::new(port.queue_pairs().into())),
            extras: Extras::default(),
        };
        let port_id: PortId = entry.id;
        if !snapshot.put_port(entry) {
            return Err(no_room());
        }
        entries.push(snapshot.port(port_id).cloned().ok_or_else(no_room)?);
    }
    Ok((snapshot, entries))
}

/// Nothing panics with the lock held; if it did, the state would still be whole enough to be shown and closed.
fn lock(running: &Mutex<Running>) -> std::sync::MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
