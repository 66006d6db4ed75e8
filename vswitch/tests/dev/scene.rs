//! A host with a switch, and containers.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, ipproto};
use strowger_packet::{DropReason, PortCounters, counters::Totals};
use strowger_vswitch::{
    engine::{Engine, EngineConfig, Poll},
    ports::{
        RxQueue, TxQueue, TxSlots,
        dev::{self, Dev, DevConfig, DevError, DevStatus, Host},
    },
    snapshot::{BridgeId, Extras, PortEntry, Snapshot},
    tables::mac::{MacLimits, MacTable},
    vlan::Mode,
};

use crate::{
    harness::two_cores,
    netns::{DEADLINE, Namespace, eventually},
};

/// A switch with one bridge, in the namespace of the host.
pub(crate) struct Switch {
    pub(crate) host: Namespace,
    // Go before the engine.
    devs: Vec<(String, Dev)>,
    snapshot: Snapshot,
    bridge: BridgeId,
    engine: Arc<Engine>,
}

/// What a dev port asks of the engine.
#[derive(Debug)]
struct Glue {
    entry: PortEntry,
    engine: Arc<Engine>,
}

impl Host for Glue {
    fn start(&self, rx: dev::RxQueue, tx: dev::TxQueue) {
        assert!(self.entry.tx.start(TxQueue::Dev(tx)).is_none());
        self.engine.add_rx(self.entry.id, RxQueue::Dev(rx));
    }

    fn stop(&self, pair: u16) {
        drop(self.engine.remove_rx(self.entry.id, pair));
        drop(self.entry.tx.stop(pair));
    }
}

impl Switch {
    pub(crate) fn new(workers: usize) -> Self {
        let cores = two_cores().into_iter().take(workers).collect();
        let engine = Engine::start(EngineConfig { cores, poll: Poll::Adaptive }).unwrap();
        let mut snapshot = Snapshot::default();
        let bridge = snapshot.add_bridge("br0", Arc::new(MacTable::new(MacLimits::default())));
        Self {
            host: Namespace::new(),
            devs: Vec::new(),
            snapshot,
            bridge,
            engine: Arc::new(engine),
        }
    }

    fn entry(&mut self, name: &str, mode: Mode, pairs: u16) -> PortEntry {
        let entry = PortEntry {
            id: self.snapshot.free_port_id().unwrap(),
            name: name.into(),
            number: self.snapshot.ports().count() as u32 + 1,
            bridge: self.bridge,
            vlan: mode,
            counters: Arc::new(PortCounters::new(self.engine.len())),
            tx: Arc::new(TxSlots::new(usize::from(pairs))),
            extras: Extras::default(),
        };
        assert!(self.snapshot.put_port(entry.clone()));
        self.engine.publish(self.snapshot.clone());
        entry
    }

    /// Opens a port on an interface of the host, whose name it has.
    pub(crate) fn try_open(&mut self, name: &str, mode: Mode, pairs: u16) -> Result<(), DevError> {
        let entry = self.entry(name, mode, pairs);
        let config = DevConfig { port: name.into(), interface: name.into(), queues: pairs };
        let glue = Arc::new(Glue { entry, engine: self.engine.clone() });
        let dev = self.host.within(move || Dev::open(&config, glue))?;
        self.devs.push((name.to_owned(), dev));
        Ok(())
    }

    #[track_caller]
    pub(crate) fn open(&mut self, name: &str) {
        self.try_open(name, Mode::default(), 1).unwrap();
    }

    #[track_caller]
    pub(crate) fn open_with(&mut self, name: &str, mode: Mode, pairs: u16) {
        self.try_open(name, mode, pairs).unwrap();
    }

    /// Closes a port. It stays in the snapshot.
    pub(crate) fn close(&mut self, name: &str) {
        self.devs.retain(|(other, _)| other != name);
    }

    fn port(&self, name: &str) -> &PortEntry {
        self.snapshot.ports().find(|port| port.name == name).unwrap()
    }

    pub(crate) fn totals(&self, name: &str) -> Totals {
        self.port(name).counters.totals()
    }

    pub(crate) fn drops(&self, name: &str, reason: DropReason) -> u64 {
        self.totals(name).drops[reason as usize]
    }

    pub(crate) fn status(&self, name: &str) -> DevStatus {
        self.devs.iter().find(|(other, _)| other == name).unwrap().1.status()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, name: &str, what: &str, fits: impl Fn(&DevStatus) -> bool) {
        eventually(what, || fits(&self.status(name)).then_some(()));
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// A namespace with an interface `eth0` to the host.
pub(crate) struct Container {
    pub(crate) namespace: Namespace,
    pub(crate) address: Ipv4Addr,
}

impl Container {
    /// Joined to the host's interface `near`, which is made; at 10.0.0.`number`.
    pub(crate) fn new(host: &Namespace, near: &str, number: u8) -> Self {
        let namespace = Namespace::new();
        host.join(near, &namespace, "eth0");
        let address = Ipv4Addr::new(10, 0, 0, number);
        namespace.ip(&["addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        Self { namespace, address }
    }

    pub(crate) fn udp(&self, port: u16) -> UdpSocket {
        let address = SocketAddr::from((self.address, port));
        let socket = self.namespace.within(move || UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Sends an ICMP echo request; says whether it is answered within a second.
    pub(crate) fn is_answered_by(&self, other: Ipv4Addr) -> bool {
        static ID: AtomicU16 = AtomicU16::new(1);
        let socket: UdpSocket = self.namespace.within(|| {
            let raw: OwnedFd =
                rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))
                    .unwrap();
            raw.into()
        });
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let id = ID.fetch_add(1, Relaxed).to_be_bytes();
        let mut request = [8, 0, 0, 0, id[0], id[1], 0, 1];
        let sum: u32 =
            request.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        request[2..4].copy_from_slice(&(!((sum + (sum >> 16)) as u16)).to_be_bytes());
        // Refused as long as there is no way to it.
        if socket.send_to(&request, (other, 0)).is_err() {
            return false;
        }
        let mut answer = [0; 128];
        while let Ok((len, from)) = socket.recv_from(&mut answer) {
            let header = usize::from(answer[0] & 15) * 4;
            let icmp = answer.get(header..len).unwrap_or_default();
            if from.ip() == other && icmp.first() == Some(&0) && icmp.get(4..6) == Some(&id) {
                return true;
            }
        }
        false
    }

    #[track_caller]
    pub(crate) fn ping(&self, other: &Self) {
        eventually("an answer to a ping", || self.is_answered_by(other.address).then_some(()));
    }

    /// Sends so many bytes by TCP to the other one, who sends them back.
    #[track_caller]
    pub(crate) fn echo(&self, other: &Self, port: u16, bytes: usize) {
        let at = SocketAddr::from((other.address, port));
        let listener = other.namespace.within(move || TcpListener::bind(at).unwrap());
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let mut stream = self.namespace.within(move || TcpStream::connect(at).unwrap());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let sent: Vec<u8> = (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        echo.join().unwrap();
        assert!(back == sent, "{} of {bytes} bytes came back, or others", back.len());
    }
}
