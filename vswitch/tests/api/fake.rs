//! A switch that only has a configuration, and a server that answers for it.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use strowger_vswitch::{
    config::{
        ApiConfig, Config, file,
        plan::{Change, plan},
    },
    control::{
        Bridge, CaptureRequest, CaptureSink, CaptureStream, Client, Control, Edit, Mirror, Port,
        Queue, Refusal, Server, Station, Status, Worker, capture_stream, server::limits::Limits,
    },
};
use tempfile::TempDir;

/// Far longer than anything takes on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Two bridges, three ports, a mirror.
pub(crate) const SOME: &str = r#"
[switch]
workers = [1, 2]
mac-ageing = 60

[bridges.br0]
loop-guard = "hold"

[bridges.br1]

[ports.vm1]
bridge = "br0"
kind = "vhost-user"
path = "/run/strowger/vm1.sock"
tag = 10
ingress-rate = "100Mbit"

[ports.c1]
bridge = "br0"
kind = "tap"
netns = "blue"
trunks = [10, "20-30"]
native = 5

[ports.span]
bridge = "br0"
kind = "tap"

[mirrors.watch]
bridge = "br0"
ports = ["vm1"]
to = "span"
"#;

/// What is behind the API.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    config: Mutex<Config>,
    level: Mutex<String>,
    refusal: Mutex<Option<Refusal>>,
    held: Mutex<bool>,
    waiting: std::sync::atomic::AtomicUsize,
    released: Condvar,
    sinks: Mutex<Vec<(CaptureRequest, CaptureSink)>>,
}

impl Fake {
    pub(crate) fn new(config: Config) -> Self {
        Self { config: Mutex::new(config), level: Mutex::new("info".into()), ..Self::default() }
    }

    /// Makes it another switch.
    pub(crate) fn reset(&self, config: Config) {
        *self.config.lock().unwrap() = config;
    }

    /// Whether a change waits to be made.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(std::sync::atomic::Ordering::SeqCst) > 0
    }

    /// What every change comes to from now on, though it is right.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// Makes changes wait, until they are no longer held.
    pub(crate) fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }

    /// The running captures' other ends.
    pub(crate) fn sinks(&self) -> std::sync::MutexGuard<'_, Vec<(CaptureRequest, CaptureSink)>> {
        self.sinks.lock().unwrap()
    }
}

impl Control for Fake {
    fn status(&self) -> Status {
        let config = self.config();
        let port =
            |(number, (name, port)): (usize, (&String, &strowger_vswitch::config::PortConfig))| {
                Port {
                    name: name.clone(),
                    number: number as u32 + 1,
                    bridge: port.bridge.clone(),
                    kind: port.kind.word().into(),
                    up: true,
                    mtu: Some(1500),
                    rx_frames: 7,
                    drops: [("queue_full".to_owned(), 3), ("truncated".to_owned(), 1)].into(),
                    ..Port::default()
                }
            };
        let bridge =
            |name: &String| Bridge { name: name.clone(), stations: 2, ..Bridge::default() };
        let mirror = |(name, mirror): (&String, &strowger_vswitch::config::MirrorConfig)| Mirror {
            name: name.clone(),
            bridge: mirror.bridge.clone(),
            to: mirror.to.clone(),
            up: true,
        };
        Status {
            version: "7".into(),
            pid: 42,
            workers: vec![Worker { core: 1, ..Worker::default() }],
            queues: vec![Queue { port: "vm1".into(), worker: 1, ..Queue::default() }],
            bridges: config.bridges.keys().map(bridge).collect(),
            ports: config.ports.iter().enumerate().map(port).collect(),
            mirrors: config.mirrors.iter().map(mirror).collect(),
            ..Status::default()
        }
    }

    fn config(&self) -> Config {
        self.config.lock().unwrap().clone()
    }

    fn change(&self, dry_run: bool, edit: Edit<'_>) -> Result<Vec<Change>, Refusal> {
        let mut held = self.held.lock().unwrap();
        while *held {
            self.waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            held = self.released.wait(held).unwrap();
            self.waiting.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        }
        drop(held);
        let refusal = self.refusal.lock().unwrap().clone();
        assert!(refusal != Some(Refusal::Failed("panic".into())), "as the test wants it");
        let mut running = self.config.lock().unwrap();
        let mut wanted = running.clone();
        edit(&mut wanted)?;
        wanted.check()?;
        let changes = plan(&running, &wanted);
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if !dry_run {
            *running = wanted;
        }
        Ok(changes)
    }

    fn stations(&self, bridge: Option<&str>) -> Result<Vec<Station>, Refusal> {
        let config = self.config();
        if let Some(bridge) = bridge
            && !config.bridges.contains_key(bridge)
        {
            return Err(Refusal::NotFound(format!("there is no bridge {bridge}")));
        }
        let ports = config
            .ports
            .iter()
            .filter(|(_, port)| bridge.is_none_or(|bridge| port.bridge == bridge));
        let station = |(name, port): (&String, &strowger_vswitch::config::PortConfig)| Station {
            bridge: port.bridge.clone(),
            vlan: port.tag.unwrap_or(0),
            mac: "02:00:00:00:00:01".into(),
            port: name.clone(),
            age_seconds: 3,
            held: false,
        };
        Ok(ports.map(station).collect())
    }

    fn flush_stations(&self, bridge: Option<&str>, port: Option<&str>) -> Result<usize, Refusal> {
        let stations = self.stations(bridge)?;
        Ok(stations.iter().filter(|station| port.is_none_or(|port| station.port == port)).count())
    }

    fn capture(&self, request: CaptureRequest) -> Result<CaptureStream, Refusal> {
        if let Some(port) =
            request.ports.iter().find(|port| !self.config().ports.contains_key(*port))
        {
            return Err(Refusal::NotFound(format!("there is no port {port}")));
        }
        let (sink, stream) = capture_stream(4);
        self.sinks().push((request, sink));
        Ok(stream)
    }

    fn is_ready(&self) -> bool {
        !*self.held.lock().unwrap()
    }

    fn log_level(&self) -> String {
        self.level.lock().unwrap().clone()
    }

    fn set_log_level(&self, directives: &str) -> Result<(), Refusal> {
        if directives == "loud" {
            return Err(Refusal::invalid("level", "'loud' is no level"));
        }
        directives.clone_into(&mut self.level.lock().unwrap());
        Ok(())
    }
}

/// A served switch. Its socket is in a directory that everybody may enter.
pub(crate) struct Scene {
    pub(crate) fake: Arc<Fake>,
    pub(crate) socket: PathBuf,
    pub(crate) server: Option<Server>,
    pub(crate) dir: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(some(), &ApiConfig::default(), Limits::default())
    }

    pub(crate) fn limited(limits: Limits) -> Self {
        Self::with(some(), &ApiConfig::default(), limits)
    }

    pub(crate) fn with(config: Config, api: &ApiConfig, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).unwrap();
        let socket = dir.path().join("control.sock");
        let fake = Arc::new(Fake::new(config));
        let server = Server::start_with(&socket, api, fake.clone(), limits).unwrap();
        Self { fake, socket, server: Some(server), dir }
    }

    pub(crate) fn client(&self) -> Client {
        Client::unix(&self.socket)
    }

    /// Shows that others are answered.
    pub(crate) fn assert_answers(&self) {
        assert_eq!(self.client().get::<Status>("/v1/status").unwrap().pid, 42);
    }
}

pub(crate) fn some() -> Config {
    file::read(SOME).unwrap()
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "still not after {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
