//! A port that is open, of whatever kind.

use std::{io, sync::Arc};

use strowger_vhost as vhost;
use tracing::warn;

use super::{StartError, host::PortHost};
use crate::{
    config::{PortConfig, PortKind},
    engine::Engine,
    ports::{
        RxQueue, TxQueue,
        dev::{Dev, DevConfig},
        tap::{Tap, TapConfig, TapError},
    },
    snapshot::PortEntry,
};

/// A port and what is behind it. Dropping it takes its queues back and closes it.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub(super) entry: Arc<PortEntry>,
    /// The word for its kind.
    pub(super) kind: &'static str,
    pub(super) backing: Backing,
}

/// What is behind a port.
#[derive(Debug)]
pub(super) enum Backing {
    /// A socket for a guest.
    Vhost(vhost::Port),
    /// An interface of the kernel, whose queues the workers have.
    Tap(TapPort),
    /// An interface that the kernel had before; it gives its queues to the workers by itself.
    Dev(Dev),
}

impl OpenPort {
    /// Opens a port that the snapshot has already.
    pub(super) fn open(
        name: &str,
        config: &PortConfig,
        entry: Arc<PortEntry>,
        engine: &Arc<Engine>,
    ) -> Result<Self, StartError> {
        let kind = config.kind.word();
        let backing = match config.kind {
            PortKind::VhostUser => {
                Backing::Vhost(open_vhost(config, vhost::Role::Server, &entry, engine)?)
            }
            PortKind::VhostUserClient => {
                Backing::Vhost(open_vhost(config, vhost::Role::Client, &entry, engine)?)
            }
            PortKind::Tap => {
                let tap = TapConfig {
                    name: config.interface(name).unwrap_or(name).to_owned(),
                    netns: config.netns.as_ref().map(crate::config::Netns::path),
                    queues: config.queue_pairs(),
                };
                Backing::Tap(
                    TapPort::open(&tap, &entry, engine)
                        .map_err(|error| StartError::Tap { port: name.to_owned(), error })?,
                )
            }
            PortKind::Dev => {
                let dev = DevConfig {
                    port: name.to_owned(),
                    interface: config.interface(name).unwrap_or(name).to_owned(),
                    queues: config.queue_pairs(),
                };
                let host = PortHost::new(entry.clone(), engine.clone());
                Backing::Dev(
                    Dev::open(&dev, Arc::new(host))
                        .map_err(|error| StartError::Dev { port: name.to_owned(), error })?,
                )
            }
        };
        Ok(Self { entry, kind, backing })
    }
}

fn open_vhost(
    config: &PortConfig,
    role: vhost::Role,
    entry: &Arc<PortEntry>,
    engine: &Arc<Engine>,
) -> Result<vhost::Port, StartError> {
    // A vhost-user port without a path does not pass `Config::check`.
    let path = config.path.clone().unwrap_or_default();
    let mut port = vhost::PortConfig::new(&entry.name, path, role);
    port.queue_pairs = config.queue_pairs();
    let host = PortHost::new(entry.clone(), engine.clone());
    Ok(vhost::Port::open(port, Arc::new(host))?)
}

/// A TAP interface whose queues the engine has.
#[derive(Debug)]
pub(super) struct TapPort {
    /// Goes last: the queues are taken back while the interface is still there.
    pub(super) tap: Tap,
    pub(super) pairs: u16,
    entry: Arc<PortEntry>,
    engine: Arc<Engine>,
}

impl TapPort {
    fn open(
        config: &TapConfig,
        entry: &Arc<PortEntry>,
        engine: &Arc<Engine>,
    ) -> Result<Self, TapError> {
        let tap = Tap::open(config)?;
        let no_memory =
            |error: io::Error| TapError::Kernel { step: "get memory for its frames", error };
        let queues = tap.queues().map_err(no_memory)?;
        for (rx, tx) in queues {
            if let Some(refused) = entry.tx.start(TxQueue::Tap(tx)) {
                warn!("port {} has no place for its queue pair {}", entry.name, refused.pair());
            }
            engine.add_rx(entry.id, RxQueue::Tap(rx));
        }
        Ok(Self { tap, pairs: config.queues, entry: entry.clone(), engine: engine.clone() })
    }
}

impl Drop for TapPort {
    fn drop(&mut self) {
        for pair in 0..self.pairs {
            drop(self.engine.remove_rx(self.entry.id, pair));
            drop(self.entry.tx.stop(pair));
        }
    }
}
