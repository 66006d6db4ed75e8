//! Workers: pinned threads that carry frames from the rx queues that they own to the tx queues of all ports.
//!
//! Control talks to them in three ways, none of which makes a worker wait: it [publishes](Engine::publish) a
//! snapshot, it hands rx queues [over](Engine::add_rx) and takes them [back](Engine::remove_rx), and it waits until
//! every worker has [passed](Engine::quiesce) a point where it holds nothing of before.

use std::io;

use strowger_packet::PortId;

use crate::ports::RxQueue;
use crate::snapshot::Snapshot;

/// Whether a worker without traffic sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poll {
    /// Spins while there is traffic, sleeps on its kick descriptors when there is none.
    #[default]
    Adaptive,
    /// Never sleeps.
    Busy,
}

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The cores of the workers, one worker each.
    pub cores: Vec<usize>,
    /// Whether they sleep.
    pub poll: Poll,
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No core was given.
    #[error("a switch needs at least one worker core")]
    NoCores,
    /// The machine does not let the worker run there.
    #[error("a worker cannot run on core {core}: {source}")]
    Core {
        /// Which one.
        core: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a thread or a descriptor.
    #[error("the worker of core {core} did not start: {source}")]
    Start {
        /// Whose.
        core: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// What a worker did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its core.
    pub core: usize,
    /// Rx queues that it serves.
    pub queues: usize,
    /// Frames received.
    pub frames: u64,
    /// Batches that had frames.
    pub batches: u64,
    /// Sweeps over all its queues that brought nothing.
    pub empty_polls: u64,
    /// Times that it went to sleep.
    pub sleeps: u64,
    /// Cycles of sweeps that brought something.
    pub busy_cycles: u64,
}

/// The workers of a switch. Dropping it ends them.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Starts a worker on each core.
    ///
    /// # Errors
    /// If there is no core, or one is not there, or the system refuses a thread or descriptor.
    pub fn start(config: EngineConfig) -> Result<Self, EngineError> {
        if config.cores.is_empty() {
            return Err(EngineError::NoCores);
        }
        Ok(Self {})
    }

    /// How many workers there are: the number of shards that port counters need.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Never: an engine has at least one worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Makes workers read another snapshot before their next batch. Stations behind ports that are gone are
    /// forgotten.
    pub fn publish(&self, _snapshot: Snapshot) {}

    /// Gives an rx queue to the worker that serves the fewest. It is polled once its port is in the snapshot.
    pub fn add_rx(&self, _port: PortId, _queue: RxQueue) {}

    /// Takes an rx queue back, released. `None` if there is no such queue.
    pub fn remove_rx(&self, _port: PortId, _pair: u16) -> Option<RxQueue> {
        None
    }

    /// Waits until every worker has finished what it was doing.
    pub fn quiesce(&self) {}

    /// What each worker did.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        Vec::new()
    }

    /// Ends the workers.
    pub fn stop(self) {}
}
