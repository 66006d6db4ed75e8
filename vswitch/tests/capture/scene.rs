//! A bridge of recorders, one worker's pipeline, and captures of it.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use strowger_packet::{Batch, DropReason, PortId};
use strowger_vswitch::capture::registry::{Port, Registry};
use strowger_vswitch::control::{CaptureRequest, CaptureStream, Refusal};
use strowger_vswitch::pipeline::cache::CacheLimits;
use strowger_vswitch::pipeline::{Moment, Pipeline};
use strowger_vswitch::ports::RxQueue;
use strowger_vswitch::snapshot::{Extras, PortEntry, Snapshot};
use strowger_vswitch::vlan::Mode;

use super::harness::{TestPort, bridge_of};
use super::reader::{self, File, Packet};

pub struct Scene {
    pub ports: Vec<TestPort>,
    pub snapshot: Arc<Mutex<Snapshot>>,
    pub registry: Registry,
    pub pipeline: Pipeline,
    queues: Vec<RxQueue>,
    batch: Batch,
}

/// A capture that somebody reads.
pub struct Capture(JoinHandle<Vec<u8>>);

/// Everything of these ports, or what the options say.
pub fn request(ports: &[&str], options: &[(&str, &str)]) -> CaptureRequest {
    CaptureRequest {
        ports: ports.iter().map(ToString::to_string).collect(),
        options: options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        ..CaptureRequest::default()
    }
}

impl Scene {
    pub fn new(modes: &[Mode]) -> Self {
        let ports: Vec<TestPort> = modes.iter().map(|_| TestPort::new(1, 1)).collect();
        let (snapshot, _) = bridge_of(&ports, modes);
        Self {
            queues: ports.iter().map(|port| port.recorder.rx(0)).collect(),
            ports,
            snapshot: Arc::new(Mutex::new(snapshot)),
            registry: Registry::default(),
            pipeline: Pipeline::new(0, CacheLimits::default()),
            batch: Batch::default(),
        }
    }

    /// Begins a capture that nobody reads yet.
    pub fn start(&self, request: &CaptureRequest) -> Result<CaptureStream, Refusal> {
        let ports = request
            .ports
            .iter()
            .map(|name| Port { name: name.clone(), description: format!("the port {name}") });
        let (registry, snapshot) = (self.registry.clone(), Arc::clone(&self.snapshot));
        self.registry.start(request, ports.collect(), 1, move || {
            registry.tap(&mut snapshot.lock().unwrap());
        })
    }

    pub fn capture(&self, request: &CaptureRequest) -> Capture {
        Capture::of(self.start(request).unwrap())
    }

    /// Ends all captures, and reads one.
    pub fn end(&self, capture: Capture) -> File {
        self.registry.stop();
        capture.read()
    }

    pub fn change(&self, port: u32, change: impl FnOnce(&mut Extras)) {
        let mut snapshot = self.snapshot.lock().unwrap();
        let mut entry = PortEntry::clone(snapshot.port(PortId(port)).unwrap());
        change(&mut entry.extras);
        assert!(snapshot.put_port(entry));
    }

    pub fn is_tapped(&self, port: u32) -> bool {
        self.snapshot.lock().unwrap().port(PortId(port)).unwrap().extras.taps.is_some()
    }

    /// Frames come in by a port, and go all the way.
    pub fn send(&mut self, port: u32, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.send_at(port, frames, Moment::from_millis(1000));
    }

    pub fn send_at(&mut self, port: u32, frames: impl IntoIterator<Item = Vec<u8>>, now: Moment) {
        let snapshot = self.snapshot.lock().unwrap().clone();
        let at = port as usize;
        let counters = self.ports[at].counters.shard(0);
        self.ports[at].recorder.send(frames);
        loop {
            self.batch.clear();
            if self.queues[at].rx_burst(PortId(port), &mut self.batch, counters) == 0 {
                break;
            }
            self.pipeline.process(&mut self.batch, PortId(port), &snapshot, now);
            self.queues[at].release();
        }
    }

    pub fn drops(&self, port: usize, reason: DropReason) -> u64 {
        self.ports[port].drops(reason)
    }
}

impl Capture {
    pub fn of(mut stream: CaptureStream) -> Self {
        Self(std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while let Some(piece) = stream.blocking_next() {
                bytes.extend_from_slice(&piece);
            }
            bytes
        }))
    }

    /// All of it, once it has ended.
    pub fn bytes(self) -> Vec<u8> {
        self.0.join().unwrap()
    }

    pub fn read(self) -> File {
        reader::read(&self.bytes())
    }
}

impl Packet {
    pub fn is_rx(&self) -> bool {
        self.direction == 1
    }

    /// The name of the reason for which it was dropped.
    pub fn reason(&self) -> Option<&str> {
        let comment = self.comment.as_deref()?.strip_prefix("dropped: ").unwrap();
        let (name, text) = comment.split_once(": ").unwrap();
        let reason = DropReason::ALL.iter().find(|reason| reason.name() == name).unwrap();
        assert_eq!(reason.explanation(), text);
        Some(name)
    }
}
