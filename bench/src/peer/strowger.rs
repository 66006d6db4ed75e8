//! Strowger as the switch under test: two ports in a bridge of their own.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Figures, Place, Switch};
use crate::{
    Error, Result, SWITCH_CORE,
    process::{Process, run},
};

/// How long it may take to say that it is ready.
const READY_SECONDS: u64 = 30;

/// A running Strowger.
#[derive(Debug)]
pub(crate) struct Strowger {
    process: Process,
    binary: PathBuf,
    rundir: PathBuf,
}

/// What it says of its version.
pub(super) fn version(binary: &Path) -> Result<String> {
    if !binary.is_file() {
        return Err(Error::Unsuitable(format!(
            "{} is not there: cargo build --release, or name it by --strowger",
            binary.display()
        )));
    }
    Ok(run(binary, ["--version"], &[])?.trim().to_owned())
}

impl Strowger {
    /// Starts a bridge with two ports that connect to the place's sockets.
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let ports = [0, 1]
            .map(|index| format!("vhost-user-client:p{index}={}", place.sockets[index].display()));
        Self::start_with(place, &ports)
    }

    /// Starts a bridge with these ports; ready when it gives a `Strowger`.
    pub(crate) fn start_with(place: &Place, ports: &[String]) -> Result<Self> {
        let mut words = vec!["--bridge", "br0"];
        words.extend(ports.iter().flat_map(|port| ["--port", port]));
        Self::start_as(place, &words)
    }

    fn start_as(place: &Place, words: &[&str]) -> Result<Self> {
        let rundir = place.run.join("strowger");
        let (core, directory) = (SWITCH_CORE.to_string(), rundir.display().to_string());
        let mut arguments = vec!["run", "--workers", &core, "--rundir", &directory];
        arguments.extend(words);
        let log = place.logs.join("strowger.log");
        let (program, before) = place.run_in_namespace(&place.strowger)?;
        let all = before.iter().map(String::as_str).chain(arguments);
        let mut process = Process::start(&program, all, &[], log)?;
        process.until_printed(0, READY_SECONDS, "\"ready\" from strowger", |text| {
            text.lines().any(|line| line == "ready")
        })?;
        Ok(Self { process, binary: place.strowger.clone(), rundir })
    }

    /// Captures one of its ports as fast as it can; what it captures goes nowhere. Begun when this returns.
    pub(crate) fn capture(&self, port: &str, log: PathBuf) -> Result<Process> {
        let rundir = self.rundir.display().to_string();
        let words = ["capture", port, "-w", "/dev/null", "--rundir", &rundir];
        let mut process = Process::start(&self.binary, words, &[], log)?;
        process.until_printed(0, READY_SECONDS, "the capture's beginning", |text| {
            text.contains("capturing ")
        })?;
        Ok(process)
    }

    /// Starts a bridge without ports whose changes are kept; ready when it gives a `Strowger`.
    pub(crate) fn start_kept(place: &Place) -> Result<Self> {
        let state = place.run.join("state").display().to_string();
        Self::start_as(place, &["--bridge", "br0", "--state", &state, "--log", "warn"])
    }

    /// Where its control socket is.
    pub(crate) fn rundir(&self) -> &Path {
        &self.rundir
    }

    /// What runs.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What `strowger status -o json` prints.
    pub(crate) fn status(&mut self) -> Result<Value> {
        self.process.alive()?;
        let rundir = self.rundir.display().to_string();
        let text = run(&self.binary, ["status", "--rundir", &rundir, "-o", "json"], &[])?;
        serde_json::from_str(&text).map_err(|error| Error::Unexpected {
            what: format!("`strowger status` printed no JSON ({error})"),
            log: self.process.log().to_owned(),
        })
    }
}

impl Switch for Strowger {
    fn before(&mut self) -> Result<Value> {
        self.status()
    }

    fn after(&mut self, before: &Value) -> Result<Figures> {
        let after = self.status()?;
        difference(before, &after).ok_or_else(|| Error::Unexpected {
            what: format!("`strowger status` lacks what a measurement needs: {after}"),
            log: self.process.log().to_owned(),
        })
    }
}

/// What happened between two states; `None` if a field is missing.
fn difference(before: &Value, after: &Value) -> Option<Figures> {
    let workers = |status: &Value, field: &str| {
        status
            .get("workers")?
            .as_array()?
            .iter()
            .try_fold(0, |sum, worker| Some(sum + worker.get(field)?.as_u64()?))
    };
    let moved = |field| Some(workers(after, field)?.saturating_sub(workers(before, field)?) as f64);
    let dropped = |status: &Value| {
        status.get("ports")?.as_array()?.iter().try_fold(0, |sum, port| {
            let drops = port.get("drops")?.as_object()?;
            Some(sum + drops.values().filter_map(Value::as_u64).sum::<u64>())
        })
    };
    let (frames, batches, cycles) = (moved("frames")?, moved("batches")?, moved("busy_cycles")?);
    let per = |value: f64, each: f64| (each > 0.0).then(|| value / each);
    Some(Figures {
        dropped: dropped(after)?.saturating_sub(dropped(before)?),
        batch: per(frames, batches),
        cycles: per(cycles, frames),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_differences_over_all_workers_and_ports() {
        let status = |frames: u64, drops: Value| {
            json!({
                "workers": [
                    {"frames": frames, "batches": frames / 32, "busy_cycles": frames * 90},
                    {"frames": 0, "batches": 0, "busy_cycles": 0},
                ],
                "ports": [{"drops": drops}, {"drops": {}}],
            })
        };
        let before = status(320, json!({"queue_full": 5}));
        let after = status(3520, json!({"queue_full": 6, "port_down": 2}));
        let figures = Figures { dropped: 3, batch: Some(32.0), cycles: Some(90.0) };
        assert_eq!(difference(&before, &after), Some(figures));
        assert_eq!(difference(&before, &json!({"workers": []})), None);
    }
}
