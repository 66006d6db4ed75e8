//! The switch of these tests: ports in a ring, and one thread that forwards from each to the next.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use strowger_packet::{
    Batch, DropReason, FrameRef, PortCounters, PortId, counters::Totals, key::extract,
};
use strowger_vhost::{Host, Port, PortConfig, PortStatus, Role, RxQueue, TxQueue};

use strowger_fake_frontend::{
    FrontEnd, Settings,
    frame::{mac, number, numbered},
    wait,
};

/// A port pair beside the hostile one: whatever happens there, these two guests still reach each other.
pub(crate) struct Witness {
    one: FrontEnd,
    two: FrontEnd,
    number: u32,
}

impl Witness {
    /// Guests on ports 2 and 3.
    pub(crate) fn new(forwarder: &Forwarder) -> Self {
        let one = forwarder.attach(2, Settings::default());
        let two = forwarder.attach(3, Settings::default());
        let mut this = Self { one, two, number: 0 };
        this.check();
        this
    }

    /// Frames go both ways, small and large.
    pub(crate) fn check(&mut self) {
        for len in [64, 1514] {
            self.number += 1;
            self.one.send(&numbered(mac(4), mac(3), self.number, len)).unwrap();
            assert_eq!(number(&self.two.receive().unwrap().bytes), Some(self.number));
            self.two.send(&numbered(mac(3), mac(4), self.number, len)).unwrap();
            assert_eq!(number(&self.one.receive().unwrap().bytes), Some(self.number));
        }
    }
}

/// Sends frames of all these lengths in turns, `count` in all, and checks that exactly they arrive, in order and
/// complete.
pub(crate) fn exchange(
    from: &mut FrontEnd,
    to: &mut FrontEnd,
    first: u32,
    count: u32,
    lengths: &[usize],
) {
    // Few at a time: a receiver that is full would rightly lose frames.
    for start in (first..first + count).step_by(8) {
        let numbers = start..(start + 8).min(first + count);
        let frame = |n: u32| numbered(mac(2), mac(1), n, lengths[n as usize % lengths.len()]);
        for n in numbers.clone() {
            from.send(&frame(n)).unwrap();
        }
        for n in numbers {
            let received = to.receive().unwrap();
            assert_eq!(number(&received.bytes), Some(n), "instead of frame {n}");
            assert_eq!((received.header.flags, received.header.gso_type), (0, 0));
        }
    }
    from.pair(0).transmit.drain().unwrap();
}

/// What the worker and one port share.
#[derive(Debug)]
struct Slot {
    queues: Mutex<Queues>,
    counters: PortCounters,
    announced: Mutex<Vec<[u8; 6]>>,
}

#[derive(Debug, Default)]
struct Queues {
    rx: Vec<RxQueue>,
    tx: Vec<TxQueue>,
}

impl Slot {
    /// The worker holds this while it forwards a batch, so that whoever takes a queue waits for its end.
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Slot {
    fn start_rx(&self, queue: RxQueue) {
        self.queues().rx.push(queue);
    }

    fn stop_rx(&self, pair: u16) -> Option<RxQueue> {
        let rx = &mut self.queues().rx;
        let at = rx.iter().position(|queue| queue.pair() == pair)?;
        Some(rx.swap_remove(at))
    }

    fn start_tx(&self, queue: TxQueue) {
        self.queues().tx.push(queue);
    }

    fn stop_tx(&self, pair: u16) -> Option<TxQueue> {
        let tx = &mut self.queues().tx;
        let at = tx.iter().position(|queue| queue.pair() == pair)?;
        Some(tx.swap_remove(at))
    }

    fn announce(&self, mac: [u8; 6]) {
        self.announced.lock().unwrap().push(mac);
    }
}

/// Ports, each of which sends to its partner: 0 to 1, 1 to 0, 2 to 3, 3 to 2.
pub(crate) struct Forwarder {
    dir: tempfile::TempDir,
    slots: Vec<Arc<Slot>>,
    ports: Vec<Option<Port>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
    between: Hook,
}

/// What is done between matching a batch of port 0 and sending it.
type Hook = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

impl Forwarder {
    /// So many ports, an even number, that listen.
    pub(crate) fn new(ports: usize) -> Self {
        Self::with(ports, |_| {})
    }

    /// The same, otherwise configured.
    pub(crate) fn with(ports: usize, configure: impl Fn(&mut PortConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let slots: Vec<Arc<Slot>> = (0..ports)
            .map(|_| {
                Arc::new(Slot {
                    queues: Mutex::default(),
                    counters: PortCounters::new(1),
                    announced: Mutex::default(),
                })
            })
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let between = Hook::default();
        let worker = thread::spawn({
            let (slots, stop, between) = (slots.clone(), Arc::clone(&stop), Arc::clone(&between));
            move || work(&slots, &stop, &between)
        });
        let mut this = Self { dir, slots, ports: Vec::new(), stop, worker: Some(worker), between };
        for index in 0..ports {
            let mut config = PortConfig::new(format!("p{index}"), this.path(index), Role::Server);
            configure(&mut config);
            let port = Port::open(config, Arc::clone(&this.slots[index]) as Arc<dyn Host>).unwrap();
            this.ports.push(Some(port));
        }
        this
    }

    /// Does this whenever a batch of port 0 was matched and is not sent yet.
    pub(crate) fn between(&self, hook: impl FnMut() + Send + 'static) {
        *self.between.lock().unwrap() = Some(Box::new(hook));
    }

    /// A port's socket.
    pub(crate) fn path(&self, port: usize) -> PathBuf {
        self.dir.path().join(format!("port{port}"))
    }

    /// A front end on a port.
    pub(crate) fn attach(&self, port: usize, settings: Settings) -> FrontEnd {
        let front_end = FrontEnd::connect(self.path(port), settings).unwrap();
        self.wait_status(port, |status| status.up);
        front_end
    }

    pub(crate) fn status(&self, port: usize) -> PortStatus {
        self.ports[port].as_ref().unwrap().status()
    }

    /// Waits until a port's status is as it should be.
    pub(crate) fn wait_status(&self, port: usize, is: impl Fn(&PortStatus) -> bool) -> PortStatus {
        wait::until("a port's status", || Some(self.status(port)).filter(&is))
            .unwrap_or_else(|error| panic!("{error}; port {port} is {:?}", self.status(port)))
    }

    pub(crate) fn totals(&self, port: usize) -> Totals {
        self.slots[port].counters.totals()
    }

    pub(crate) fn drops(&self, port: usize, reason: DropReason) -> u64 {
        self.totals(port).drops[reason as usize]
    }

    /// Waits until a port has dropped so many frames for a reason.
    pub(crate) fn wait_drops(&self, port: usize, reason: DropReason, least: u64) {
        wait::until("a counted drop", || (self.drops(port, reason) >= least).then_some(()))
            .unwrap_or_else(|error| panic!("{error}; port {port} counted {:?}", self.totals(port)));
    }

    /// Whose moves were announced on a port.
    pub(crate) fn announced(&self, port: usize) -> Vec<[u8; 6]> {
        self.slots[port].announced.lock().unwrap().clone()
    }

    /// The queues that a port has handed over: receive and transmit rings of its guest.
    pub(crate) fn started(&self, port: usize) -> (usize, usize) {
        let queues = self.slots[port].queues();
        (queues.tx.len(), queues.rx.len())
    }

    /// Closes a port.
    pub(crate) fn close(&mut self, port: usize) {
        self.ports[port].take().unwrap().close();
        assert_eq!(self.started(port), (0, 0), "a closed port has queues");
    }

    /// Opens a port again, in whatever role.
    pub(crate) fn open(&mut self, port: usize, role: Role) {
        let config = PortConfig::new(format!("p{port}"), self.path(port), role);
        let host = Arc::clone(&self.slots[port]) as Arc<dyn Host>;
        self.ports[port] = Some(Port::open(config, host).unwrap());
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.ports.clear();
        self.stop.store(true, Ordering::Relaxed);
        if self.worker.take().unwrap().join().is_err() && !thread::panicking() {
            panic!("the worker panicked");
        }
    }
}

/// Forwards until it is told to stop.
fn work(slots: &[Arc<Slot>], stop: &AtomicBool, between: &Hook) {
    let mut batch = Batch::default();
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for at in 0..slots.len() {
            idle &= !forward(slots, at, &mut batch, between);
        }
        if idle {
            // Two cores are shared by many tests.
            thread::sleep(std::time::Duration::from_micros(50));
        }
    }
}

/// One batch from each rx queue of a port to its partner, queue pair n to n. Whether there was any.
fn forward(slots: &[Arc<Slot>], at: usize, batch: &mut Batch, between: &Hook) -> bool {
    let (from, to) = (&slots[at], &slots[at ^ 1]);
    // Always in the same order, whoever sends.
    let (mut low, mut high) = (slots[at & !1].queues(), slots[at | 1].queues());
    let (sender, receiver) =
        if at.is_multiple_of(2) { (&mut *low, &mut *high) } else { (&mut *high, &mut *low) };
    let mut any = false;
    for rx in &mut sender.rx {
        batch.clear();
        if rx.rx_burst(PortId(at as u32), batch, from.counters.shard(0)) == 0 {
            continue;
        }
        any = true;
        let frames: Vec<FrameRef> = batch
            .received()
            .filter(|&frame| match extract(batch.frame_mut(frame)) {
                Ok(_) => true,
                Err(reason) => {
                    from.counters.shard(0).drop(reason, 1);
                    false
                }
            })
            .collect();
        if at == 0
            && let Some(hook) = &mut *between.lock().unwrap()
        {
            hook();
        }
        let pair = receiver.tx.iter().position(|tx| tx.pair() == rx.pair());
        match pair.or(if receiver.tx.is_empty() { None } else { Some(0) }) {
            Some(tx) => {
                receiver.tx[tx].tx_burst(batch, &frames, to.counters.shard(0), None);
                receiver.tx[tx].notify();
            }
            None => to.counters.shard(0).drop(DropReason::PortDown, frames.len()),
        }
        batch.clear();
        rx.release();
        rx.notify();
    }
    any
}
