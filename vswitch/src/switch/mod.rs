//! The running switch: opens what the configuration says, glues ports to the engine, changes, closes in order.
//!
//! The one room that knows all others. It carries no frame: it hands queues to the engine and takes them back.
//!
//! * [`handle`]: the switch as others see it: asked, changed.
//! * [`change`]: one configuration becomes another, all of it or nothing.
//! * [`build`]: what the configuration says, as workers read it.
//! * [`port`], [`host`]: what is behind a port, and what it asks of the switch.
//! * [`numbers`]: OpenFlow port numbers. [`settings`]: what only a start can change.
//! * [`keep`]: what is written to the [store](crate::store).
//! * [`status`], [`stations`]: what is shown.
//!
//! Everything that is opened here closes when it is dropped, in the order of [`Switch`]'s fields, whether the
//! switch ends or does not get to start: nothing is ever left half-done.

mod build;
mod change;
mod handle;
mod host;
mod keep;
pub mod limits;
mod numbers;
mod port;
pub mod rundir;
mod settings;
mod stations;
mod status;

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
};

use thiserror::Error;
use tracing::warn;

use crate::{
    config::{Config, ConfigError, restore},
    control,
    engine::{Engine, EngineConfig, EngineError},
    log,
    store::{Store, StoreError},
};
pub use handle::Handle;
pub use port::OpenError;
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
    /// What was kept cannot be understood.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A namespace is not there.
    #[error("port {port}: there is no network namespace {path}", path = path.display())]
    NetnsMissing {
        /// The port.
        port: String,
        /// The namespace's file.
        path: PathBuf,
    },
    /// The workers did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A port did not open.
    #[error(transparent)]
    Port(#[from] OpenError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::ServerError),
}

/// A switch that runs until it is dropped: first nobody is answered any more, then its rings are stopped and its
/// ports closed, then the workers end, then the run directory is given back.
#[derive(Debug)]
pub struct Switch {
    _server: control::Server,
    running: Running,
    _rundir: Rundir,
}

/// What runs. Dropping it closes all ports, whoever else has a handle.
#[derive(Debug)]
struct Running(Handle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Switch {
    /// Starts a switch: what is declared here, and what became of it by changes that were kept. It forwards when this
    /// returns.
    ///
    /// # Errors
    /// What is wrong with the configuration, or which port did not open and why.
    pub fn start(declared: &Config) -> Result<Self, StartError> {
        Self::start_with_log(declared, None)
    }

    /// The same with a log whose level can be changed by the API.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_with_log(declared: &Config, log: Option<log::Handle>) -> Result<Self, StartError> {
        declared.check()?;
        check_namespaces(declared)?;
        limits::raise();
        let rundir = Rundir::take(&declared.switch.rundir)?;
        let store = declared.switch.state.as_deref().map(Store::open).transpose()?;
        let kept = store.as_ref().map(keep::read).transpose()?.unwrap_or_default();
        if let Some(trouble) = store.as_ref().and_then(Store::trouble) {
            warn!("the state directory cannot be written to ({trouble}): changes are refused");
        }
        let wanted = restore::restore(declared, &kept);
        wanted.check()?;
        strowger_guestmem::install_fault_handler();
        let config = EngineConfig { cores: wanted.cores(), poll: wanted.switch.poll };
        let engine = Arc::new(Engine::start(config)?);
        let handle = Handle::new(engine, declared.clone(), store, log);
        let running = Running(handle.clone());
        handle.begin(&wanted, &restore::numbers(&kept))?;
        let server =
            control::Server::start(&rundir.control_socket(), &declared.api, Arc::new(handle))?;
        Ok(Self { _server: server, running, _rundir: rundir })
    }

    /// The running switch, to be asked and changed.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.running.0.clone()
    }

    /// Its workers, for who watches them. Does not keep them alive.
    #[must_use]
    pub fn engine(&self) -> Weak<Engine> {
        Arc::downgrade(&self.running.0.0.engine)
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
