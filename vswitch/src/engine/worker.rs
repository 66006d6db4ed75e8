//! One worker: a thread on one core that serves the rx queues it owns, a batch from each in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use strowger_packet::{Batch, PortId};

use super::mailbox::{Command, Mailbox};
use super::placement::QueueCounters;
use super::publication::{Publication, Reader};
use super::quiescence::Generation;
use super::sleep::{Sleeper, Token};
use super::{Poll, WorkerStatus, clock};
use crate::pipeline::cache::{CacheLimits, CacheStatistics};
use crate::pipeline::{Moment, Pipeline};
use crate::ports::RxQueue;

/// How long a worker spins without traffic before it sleeps. Waking takes about 5 µs of the sender's time and 5 of
/// the worker's; ten times that is spun at most for each. (Not tuned yet.)
const SPIN: Duration = Duration::from_micros(50);

/// What others see of a worker, and say to it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) core: usize,
    pub(super) generation: Generation,
    pub(super) mailbox: Mailbox,
    statistics: Statistics,
    started: Instant,
}

/// Written by the worker alone.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Statistics {
    queues: AtomicUsize,
    frames: AtomicU64,
    batches: AtomicU64,
    empty_polls: AtomicU64,
    sleeps: AtomicU64,
    busy_nanos: AtomicU64,
    cache: CacheCounters,
}

/// The pipeline's [`CacheStatistics`], as they were after the last sweep that brought frames.
#[derive(Debug, Default)]
struct CacheCounters {
    flows: AtomicUsize,
    masks: AtomicUsize,
    exact_hits: AtomicU64,
    masked_hits: AtomicU64,
    misses: AtomicU64,
    translations: AtomicU64,
}

/// A worker, in its own thread.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    publication: Arc<Publication>,
    poll: Poll,
    reader: Reader,
    queues: Vec<Owned>,
    tokens: u64,
    batch: Batch,
    pipeline: Pipeline,
    sleeper: Sleeper,
}

/// A queue that the worker owns.
#[derive(Debug)]
struct Owned {
    port: PortId,
    queue: RxQueue,
    counters: Arc<QueueCounters>,
    watch: Watch,
}

/// Whether a queue's kick ends a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    No,
    Yes(Token),
    /// The system cannot wait on its descriptor, or it has none: it is polled.
    Impossible,
}

/// Whether the worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    GoOn,
    End,
}

/// Says that the worker holds nothing any more, however its thread ends.
struct OfflineAtEnd(Arc<Shared>);

impl Drop for OfflineAtEnd {
    fn drop(&mut self) {
        self.0.generation.go_offline();
    }
}

fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(value), Relaxed);
}

impl Shared {
    pub(super) fn new(core: usize, mailbox: Mailbox) -> Self {
        let (generation, statistics) = (Generation::default(), Statistics::default());
        Self { core, generation, mailbox, statistics, started: Instant::now() }
    }

    pub(super) fn status(&self) -> WorkerStatus {
        let own = &self.statistics;
        let busy_nanos = own.busy_nanos.load(Relaxed);
        WorkerStatus {
            core: self.core,
            queues: own.queues.load(Relaxed),
            frames: own.frames.load(Relaxed),
            batches: own.batches.load(Relaxed),
            empty_polls: own.empty_polls.load(Relaxed),
            sleeps: own.sleeps.load(Relaxed),
            busy_cycles: clock::cycles(Duration::from_nanos(busy_nanos)),
            busy_nanos,
            alive_nanos: self.started.elapsed().as_nanos() as u64,
            cache: own.cache.load(),
        }
    }
}

impl CacheCounters {
    fn store(&self, statistics: CacheStatistics) {
        let CacheStatistics { flows, masks, exact_hits, masked_hits, misses, translations } =
            statistics;
        self.flows.store(flows, Relaxed);
        self.masks.store(masks, Relaxed);
        self.exact_hits.store(exact_hits, Relaxed);
        self.masked_hits.store(masked_hits, Relaxed);
        self.misses.store(misses, Relaxed);
        self.translations.store(translations, Relaxed);
    }

    fn load(&self) -> CacheStatistics {
        CacheStatistics {
            flows: self.flows.load(Relaxed),
            masks: self.masks.load(Relaxed),
            exact_hits: self.exact_hits.load(Relaxed),
            masked_hits: self.masked_hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            translations: self.translations.load(Relaxed),
        }
    }
}

impl Worker {
    /// The worker of this number.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        publication: Arc<Publication>,
        poll: Poll,
    ) -> std::io::Result<Self> {
        let sleeper = Sleeper::new(shared.mailbox.fd())?;
        Ok(Self {
            shared,
            publication,
            poll,
            reader: Reader::default(),
            queues: Vec::new(),
            tokens: Token::MAILBOX.0,
            batch: Batch::default(),
            pipeline: Pipeline::new(number, CacheLimits::default()),
            sleeper,
        })
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let _offline = OfflineAtEnd(Arc::clone(&self.shared));
        let mut now = Instant::now();
        let mut last_traffic = now;
        loop {
            self.shared.generation.pass();
            if self.shared.mailbox.has_commands() && self.obey() == Order::End {
                return;
            }
            let frames = self.poll_once(clock::moment(now));
            let then = Instant::now();
            if frames > 0 {
                add(&self.shared.statistics.busy_nanos, (then - now).as_nanos() as u64);
                last_traffic = then;
            } else {
                add(&self.shared.statistics.empty_polls, 1);
                std::hint::spin_loop();
            }
            now = then;
            if self.poll == Poll::Adaptive && now - last_traffic >= SPIN {
                self.sleep();
                now = Instant::now();
                last_traffic = now;
            }
        }
    }

    /// Sends what waited for its turn, then takes at most one batch from each queue all the way. Returns how many
    /// frames there were.
    fn poll_once(&mut self, now: Moment) -> usize {
        let mut frames = 0;
        if self.pipeline.has_backlog() {
            frames += self.pipeline.drain(self.reader.read(&self.publication), now);
        }
        let waited = frames;
        for owned in &mut self.queues {
            let snapshot = self.reader.read(&self.publication);
            let Some(port) = snapshot.port(owned.port) else { continue };
            if owned.queue.is_broken() {
                continue;
            }
            let counters = port.counters.shard(self.pipeline.worker());
            let received = owned.queue.rx_burst(owned.port, &mut self.batch, counters);
            if received > 0 {
                self.pipeline.process(&mut self.batch, owned.port, snapshot, now);
                add(&self.shared.statistics.batches, 1);
                owned.counters.count(received);
                frames += received;
            }
            // What was borrowed goes back; even without frames, for what the queue dropped itself goes too.
            self.batch.clear();
            owned.queue.release();
            owned.queue.notify();
        }
        if frames > waited {
            add(&self.shared.statistics.frames, (frames - waited) as u64);
            self.shared.statistics.cache.store(self.pipeline.statistics());
        }
        frames
    }

    /// Sleeps until there may be something to do.
    fn sleep(&mut self) {
        let (mut has_frames, mut only_a_nap) = (false, false);
        let snapshot = self.reader.read(&self.publication);
        for owned in &mut self.queues {
            let serves = snapshot.port(owned.port).is_some() && !owned.queue.is_broken();
            owned.watch(serves, &self.sleeper, &mut self.tokens);
            if serves {
                has_frames |= owned.queue.arm();
                only_a_nap |= owned.watch == Watch::Impossible;
            }
        }
        if !has_frames {
            self.reader.let_go();
            let Shared { generation, mailbox, statistics, .. } = &*self.shared;
            generation.go_offline();
            // Control leaves its message first and then looks whether the worker sleeps.
            if !mailbox.has_commands() && !self.reader.is_behind(&self.publication) {
                add(&statistics.sleeps, 1);
                let queues = &self.queues;
                let at_most = self.pipeline.due().map(clock::until);
                self.sleeper.sleep(at_most, only_a_nap, |token| match token {
                    Token::MAILBOX => mailbox.acknowledge(),
                    token => queues
                        .iter()
                        .filter(|owned| owned.watch == Watch::Yes(token))
                        .for_each(|owned| owned.queue.acknowledge()),
                });
            }
            generation.pass();
        }
        for owned in &mut self.queues {
            owned.queue.disarm();
        }
    }

    /// Does what control asks. Between sweeps every queue is released.
    fn obey(&mut self) -> Order {
        while let Some(command) = self.shared.mailbox.pop() {
            match command {
                Command::Stop => return Order::End,
                Command::Add(port, queue, counters) => {
                    self.queues.push(Owned { port, queue: *queue, counters, watch: Watch::No });
                }
                Command::Remove(port, pair, reply) => {
                    let is_it = |owned: &Owned| owned.port == port && owned.queue.pair() == pair;
                    let queue = self.queues.iter().position(is_it).map(|at| {
                        let mut owned = self.queues.swap_remove(at);
                        owned.watch(false, &self.sleeper, &mut self.tokens);
                        owned.queue
                    });
                    // Fails only if control gave up waiting: the queue is dropped then.
                    let _ = reply.send(queue);
                }
            }
        }
        self.shared.statistics.queues.store(self.queues.len(), Relaxed);
        Order::GoOn
    }
}

impl Owned {
    /// Has the queue's kick end sleeps, or not.
    fn watch(&mut self, wanted: bool, sleeper: &Sleeper, tokens: &mut u64) {
        match (self.watch, wanted) {
            (Watch::No, true) => {
                *tokens += 1;
                let token = Token(*tokens);
                self.watch = match self.queue.kick().map(|fd| sleeper.add(fd, token)) {
                    Some(Ok(())) => Watch::Yes(token),
                    None => Watch::Impossible,
                    Some(Err(error)) => {
                        tracing::warn!(port = self.port.0, pair = self.queue.pair(), %error,
                            "cannot wait for the kicks of a queue: it is polled");
                        Watch::Impossible
                    }
                };
            }
            (Watch::Yes(_), false) => {
                if let Some(fd) = self.queue.kick() {
                    sleeper.remove(fd);
                }
                self.watch = Watch::No;
            }
            _ => {}
        }
    }
}
