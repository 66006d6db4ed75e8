//! The switch: the real binary, driven by its command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;

use crate::process::{Process, call};
use crate::scene::profile_dir;
use crate::wait::until;
use crate::{Error, Result, Scene};

/// Describes a switch: bridges and ports in the order given.
#[derive(Clone)]
pub struct SwitchBuilder<'a> {
    scene: &'a Scene,
    name: String,
    arguments: Vec<String>,
    workers: String,
    poll: String,
}

impl SwitchBuilder<'_> {
    /// Another name for its log and run directory, where a scene has several switches.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The ports that follow belong to this bridge (default `br0`).
    pub fn bridge(mut self, name: &str) -> Self {
        self.arguments.extend(["--bridge".to_owned(), name.to_owned()]);
        self
    }

    /// A port: `KIND:NAME…` with its keys.
    pub fn port(mut self, port: &str) -> Self {
        if self.arguments.is_empty() {
            self = self.bridge("br0");
        }
        self.arguments.extend(["--port".to_owned(), port.to_owned()]);
        self
    }

    /// The forwarding cores (default: the switch's own).
    pub fn workers(mut self, cores: &str) -> Self {
        cores.clone_into(&mut self.workers);
        self
    }

    /// `adaptive` (default) or `busy`.
    pub fn poll(mut self, poll: &str) -> Self {
        poll.clone_into(&mut self.poll);
        self
    }

    /// A configuration file instead of bridges and ports as flags.
    pub fn config(self, file: &Path) -> Self {
        self.flag("--config", &file.display().to_string())
    }

    /// Any other flag.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(&self) -> Result<Switch> {
        let rundir = self.scene.path(&format!("{}-run", self.name));
        let binary = binary()?;
        let mut arguments =
            vec!["run".to_owned(), "--rundir".to_owned(), rundir.display().to_string()];
        arguments.extend(self.arguments.iter().cloned());
        for (flag, value) in [("--workers", &self.workers), ("--poll", &self.poll)] {
            if !value.is_empty() {
                arguments.extend([flag.to_owned(), value.clone()]);
            }
        }
        let log = self.scene.log(&self.name);
        let before = count_ready(&std::fs::read_to_string(&log).unwrap_or_default());
        let process = Process::start(self.scene, &self.name, binary.as_os_str(), &arguments)?;
        until("the switch says `ready`", || {
            process.check()?;
            Ok(count_ready(&process.output()) > before)
        })?;
        Ok(Switch { binary, rundir, process })
    }
}

/// A running switch. It is killed when this value goes; [`Switch::stop`] ends it in order.
pub struct Switch {
    binary: PathBuf,
    rundir: PathBuf,
    process: Process,
}

impl Switch {
    /// Describes a switch.
    pub fn builder(scene: &Scene) -> SwitchBuilder<'_> {
        SwitchBuilder {
            scene,
            name: "switch".to_owned(),
            arguments: Vec::new(),
            workers: String::new(),
            poll: String::new(),
        }
    }

    /// `strowger status`.
    pub fn status(&self) -> Result<Status> {
        Ok(Status(self.json("status")?))
    }

    /// `strowger drops`: what was dropped, and why.
    pub fn drops(&self) -> Result<Vec<DropRow>> {
        let answer = self.json("drops")?;
        let rows = answer.as_array().ok_or_else(|| Error::Wrong(format!("drops said {answer}")))?;
        rows.iter()
            .map(|row| {
                let word = |key: &str| text(row, key);
                Ok(DropRow {
                    port: word("port")?,
                    reason: word("reason")?,
                    frames: number(row, "frames")?,
                })
            })
            .collect()
    }

    /// Runs `strowger WORDS…` against this switch; what it wrote.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        self.process.check()?;
        call(&self.binary.to_string_lossy(), &self.words(words))
    }

    /// Starts `strowger WORDS…` against this switch, which goes on until it is ended.
    pub fn start(&self, scene: &Scene, who: &str, words: &[&str]) -> Result<Client> {
        let process = Process::start(scene, who, self.binary.as_os_str(), &self.words(words))?;
        Ok(Client(process))
    }

    /// The socket of its API.
    pub fn api(&self) -> PathBuf {
        self.rundir.join("control.sock")
    }

    /// An error with the end of its log, if the switch no longer runs.
    pub fn check(&self) -> Result {
        self.process.check()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Asks it to end (SIGTERM) and waits for its exit code.
    pub fn stop(self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// Kills it, as a crash would.
    pub fn kill(self) {
        self.process.kill();
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let rundir = self.rundir.display().to_string();
        words.iter().map(ToString::to_string).chain(["--rundir".to_owned(), rundir]).collect()
    }

    fn json(&self, what: &str) -> Result<Value> {
        let answer = self.ask(&[what, "-o", "json"])?;
        serde_json::from_str(&answer).map_err(|error| {
            Error::Wrong(format!("`strowger {what}` said {answer:?}, which is no JSON: {error}"))
        })
    }
}

/// A command that goes on beside the switch, such as a capture. It is killed when this value goes.
pub struct Client(Process);

impl Client {
    /// What it wrote to its standard output and error so far.
    pub fn output(&self) -> String {
        self.0.output()
    }

    /// An error if it has ended.
    pub fn check(&self) -> Result {
        self.0.check()
    }

    /// Asks it to end (SIGTERM) and waits for its exit code.
    pub fn stop(self) -> Result<ExitStatus> {
        self.0.terminate()
    }
}

/// A row of `strowger drops`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropRow {
    /// The port on whose account it is.
    pub port: String,
    /// The reason's name.
    pub reason: String,
    /// How many frames.
    pub frames: u64,
}

/// What `strowger status` says.
pub struct Status(Value);

/// A port in [`Status`].
#[derive(Debug, Clone)]
pub struct PortStatus {
    /// Its peer is connected and its rings run (or: the interface is there).
    pub up: bool,
    /// Queue pairs that run.
    pub queue_pairs: u64,
    /// Frames into the switch.
    pub rx_frames: u64,
    /// Frames out of it.
    pub tx_frames: u64,
    /// Frames dropped on the port's account, by reason.
    pub drops: Vec<(String, u64)>,
}

impl PortStatus {
    /// All its dropped frames.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().map(|(_, frames)| frames).sum()
    }
}

/// A worker in [`Status`].
#[derive(Debug, Clone)]
pub struct WorkerStatus {
    /// The core it is pinned to.
    pub core: u64,
    /// Rx queues placed on it.
    pub queues: u64,
    /// Frames it moved.
    pub frames: u64,
    /// How often it went to sleep.
    pub sleeps: u64,
}

impl Status {
    /// The whole document.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// A port by its name.
    pub fn port(&self, name: &str) -> Result<PortStatus> {
        let row = self.row("ports", name)?;
        let drops = row.get("drops").and_then(Value::as_object);
        Ok(PortStatus {
            up: row.get("up").and_then(Value::as_bool).unwrap_or(false),
            queue_pairs: number(row, "queue_pairs")?,
            rx_frames: number(row, "rx_frames")?,
            tx_frames: number(row, "tx_frames")?,
            drops: drops
                .into_iter()
                .flatten()
                .filter_map(|(reason, frames)| Some((reason.clone(), frames.as_u64()?)))
                .collect(),
        })
    }

    /// The stations that a bridge has learned.
    pub fn stations(&self, bridge: &str) -> Result<u64> {
        number(self.row("bridges", bridge)?, "stations")
    }

    /// The workers.
    pub fn workers(&self) -> Result<Vec<WorkerStatus>> {
        let rows = self.0.get("workers").and_then(Value::as_array);
        let rows =
            rows.ok_or_else(|| Error::Wrong(format!("status has no workers: {}", self.0)))?;
        rows.iter()
            .map(|row| {
                Ok(WorkerStatus {
                    core: number(row, "core")?,
                    queues: number(row, "queues")?,
                    frames: number(row, "frames")?,
                    sleeps: number(row, "sleeps")?,
                })
            })
            .collect()
    }

    fn row(&self, kind: &str, name: &str) -> Result<&Value> {
        let rows = self.0.get(kind).and_then(Value::as_array);
        rows.into_iter()
            .flatten()
            .find(|row| row.get("name").and_then(Value::as_str) == Some(name))
            .ok_or_else(|| {
                Error::Wrong(format!("status has no {name} among its {kind}: {}", self.0))
            })
    }
}

fn number(row: &Value, key: &str) -> Result<u64> {
    let value = row.get(key).and_then(Value::as_u64);
    value.ok_or_else(|| Error::Wrong(format!("there is no number `{key}` in {row}")))
}

fn text(row: &Value, key: &str) -> Result<String> {
    let value = row.get(key).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .ok_or_else(|| Error::Wrong(format!("there is no text `{key}` in {row}")))
}

fn count_ready(log: &str) -> usize {
    log.lines().filter(|line| *line == "ready").count()
}

/// The binary: built beside this program, or named by `STROWGER_BIN`.
fn binary() -> Result<PathBuf> {
    let path = match std::env::var_os("STROWGER_BIN") {
        Some(path) => PathBuf::from(path),
        None => profile_dir()?.join(OsStr::new("strowger")),
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Wrong(format!(
        "there is no switch at {}: build it (`cargo build -p strowger-vswitch --bins`), or name it by STROWGER_BIN",
        path.display()
    )))
}
