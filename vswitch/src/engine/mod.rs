//! Workers: pinned threads that carry frames from the rx queues that they own to the tx queues of all ports.
//!
//! Control talks to them in three ways, none of which makes a worker wait: it [publishes](Engine::publish) a
//! snapshot, it hands rx queues [over](Engine::add_rx) and takes them [back](Engine::remove_rx), and it waits until
//! every worker has [passed](Engine::quiesce) a point where it holds nothing of before.

pub mod clock;
mod keeper;
mod mailbox;
mod placement;
mod publication;
mod pulse;
mod quiescence;
mod sleep;
mod worker;

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::thread::{CpuSet, sched_setaffinity};
use strowger_packet::PortId;

use crate::pipeline::cache::CacheStatistics;
use crate::ports::RxQueue;
use crate::snapshot::{PortEntry, Snapshot};
use keeper::Keeper;
use mailbox::{Command, Mailbox};
use placement::Placement;
use publication::Publication;
pub use pulse::Pulse;
use quiescence::Owner;
use worker::Worker;

/// Whether a worker without traffic sleeps.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
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
    /// Nanoseconds of sweeps that brought something.
    pub busy_nanos: u64,
    /// Nanoseconds since it started.
    pub alive_nanos: u64,
    /// How its frames found their flows.
    pub cache: CacheStatistics,
}

/// An rx queue that a worker serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatus {
    /// Its port.
    pub port: PortId,
    /// Its queue pair.
    pub pair: u16,
    /// The core of its worker.
    pub worker: usize,
    /// Frames that it brought since the worker has it.
    pub frames: u64,
    /// Bursts of it that brought frames.
    pub batches: u64,
}

/// The workers of a switch. Dropping it ends them; their queues are dropped with them.
#[derive(Debug)]
pub struct Engine {
    workers: Vec<Handle>,
    publication: Arc<Publication>,
    placement: Mutex<Placement>,
    keeper: Option<Keeper>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<worker::Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts a worker on each core.
    ///
    /// # Errors
    /// If there is no core, or one is not there, or the system refuses a thread or descriptor. Nothing runs then.
    pub fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { cores, poll } = config;
        let Some(&first) = cores.first() else { return Err(EngineError::NoCores) };
        let publication = Arc::new(Publication::default());
        let mut engine = Self {
            workers: Vec::new(),
            placement: Mutex::new(Placement::new(cores.len())),
            keeper: None,
            publication: Arc::clone(&publication),
        };
        for (number, core) in cores.into_iter().enumerate() {
            engine.workers.push(start_worker(number, core, poll, Arc::clone(&publication))?);
        }
        let refused = |source| EngineError::Start { core: first, source };
        engine.keeper = Some(Keeper::start(publication).map_err(refused)?);
        Ok(engine)
    }

    /// How many workers there are: the number of shards that port counters need.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Never: an engine has at least one worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Makes workers read another snapshot before their next batch. Stations behind ports that left their bridge are
    /// forgotten; only then does this wait, until no worker learns more of them.
    pub fn publish(&self, snapshot: Snapshot) {
        let before = self.publication.publish(snapshot);
        for worker in &self.workers {
            if worker.shared.generation.is_offline() {
                worker.shared.mailbox.wake();
            }
        }
        self.forget_stations(&before);
        drop(before);
        self.publication.collect();
    }

    /// The snapshot that was published last.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.publication.current()
    }

    /// Gives an rx queue to the worker that serves the fewest. It is polled once its port is in the snapshot.
    pub fn add_rx(&self, port: PortId, queue: RxQueue) {
        let Some(place) = self.placement().place(port, queue.pair()) else {
            tracing::error!(port = port.0, pair = queue.pair(), "a queue was handed over twice");
            return;
        };
        if let Some(worker) = self.workers.get(place.worker) {
            let command = Command::Add(port, Box::new(queue), place.counters);
            worker.shared.mailbox.push(command);
        }
    }

    /// Takes an rx queue back, released: no worker touches it or anything it lent. `None` if there is no such queue.
    pub fn remove_rx(&self, port: PortId, pair: u16) -> Option<RxQueue> {
        let place = self.placement().take(port, pair);
        let worker = self.workers.get(place?)?;
        let (reply, answer) = mpsc::sync_channel(1);
        worker.shared.mailbox.push(Command::Remove(port, pair, reply));
        match answer.recv_timeout(quiescence::LONG) {
            Ok(queue) => return queue,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(
                    port = port.0,
                    pair,
                    "waiting for a queue to be released for more than a second"
                );
            }
        }
        answer.recv_timeout(quiescence::BOUND).unwrap_or_else(|_| {
            tracing::error!(
                port = port.0,
                pair,
                "a worker does not answer: gave up waiting for a queue"
            );
            None
        })
    }

    /// Waits until every worker has finished what it was doing.
    pub fn quiesce(&self) {
        self.quiesce_for(Owner("control"));
    }

    /// Whether all workers sleep.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.workers.iter().all(|worker| worker.shared.generation.is_offline())
    }

    /// What each worker did.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.workers.iter().map(|worker| worker.shared.status()).collect()
    }

    /// The rx queues of all workers, in order of their ports and pairs.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueStatus> {
        let queues = self.placement().queues();
        let core = |worker: usize| self.workers.get(worker).map_or(0, |worker| worker.shared.core);
        let shown = |(port, pair, place): (PortId, u16, placement::Place)| {
            let (frames, batches) = place.counters.totals();
            QueueStatus { port, pair, worker: core(place.worker), frames, batches }
        };
        queues.into_iter().map(shown).collect()
    }

    /// Ends the workers.
    pub fn stop(self) {}

    fn quiesce_for(&self, owner: Owner) {
        // If a worker does not move within the bound, the log says so, and there is nothing better to do than go on.
        quiescence::wait(self.workers.iter().map(|worker| &worker.shared.generation), owner);
    }

    /// Forgets the stations behind ports that were in a bridge `before` and are not now.
    fn forget_stations(&self, before: &Snapshot) {
        let now = self.publication.current();
        let left = |port: &&Arc<PortEntry>| {
            now.port(port.id).is_none_or(|same| same.bridge != port.bridge)
        };
        let left: Vec<_> = before.ports().filter(left).collect();
        if left.is_empty() {
            return;
        }
        self.quiesce_for(Owner("a port that left its bridge"));
        for port in left {
            if let Some(bridge) = before.bridge(port.bridge) {
                bridge.stations.forget(port.id);
            }
        }
    }

    fn placement(&self) -> MutexGuard<'_, Placement> {
        self.placement.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.shared.mailbox.push(Command::Stop);
        }
        for worker in &mut self.workers {
            if worker.thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(core = worker.shared.core, "a worker ended by a panic");
            }
        }
    }
}

/// Starts a worker's thread, and waits until it runs on its core.
fn start_worker(
    number: usize,
    core: usize,
    poll: Poll,
    publication: Arc<Publication>,
) -> Result<Handle, EngineError> {
    let refused = move |source| EngineError::Start { core, source };
    let mailbox = Mailbox::new().map_err(refused)?;
    let shared = Arc::new(worker::Shared::new(core, mailbox));
    let (started, answer) = mpsc::sync_channel(1);
    let own = Arc::clone(&shared);
    let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let worker = pin(core)
            .map_err(|source| EngineError::Core { core, source })
            .and_then(|()| Worker::new(number, own, publication, poll).map_err(refused));
        // Fails only if whoever starts the engine is gone.
        match worker {
            Ok(worker) => {
                let _ = started.send(Ok(()));
                worker.run();
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
    let thread = thread.map_err(refused)?;
    match answer.recv() {
        Ok(Ok(())) => Ok(Handle { shared, thread: Some(thread) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(refused(io::Error::other("its thread ended at once"))),
    }
}

/// Keeps this thread on one core.
fn pin(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_cores_or_on_a_core_that_is_not_there_does_not_start() {
        let start = |cores| Engine::start(EngineConfig { cores, poll: Poll::Adaptive });
        assert!(matches!(start(vec![]), Err(EngineError::NoCores)));
        assert!(matches!(start(vec![CpuSet::MAX_CPU - 1]), Err(EngineError::Core { .. })));
        assert!(matches!(start(vec![usize::MAX]), Err(EngineError::Core { .. })));
    }
}
