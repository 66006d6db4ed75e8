//! The switches under test, each with one forwarding core and the same two vhost-user ports.

mod ceiling;
pub(crate) mod ovs;
pub(crate) mod strowger;
mod testpmd;

use std::{fmt, path::Path, path::PathBuf};

use serde_json::Value;

use crate::{Result, process::find};

/// A switch that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    /// This project.
    Strowger,
    /// Open vSwitch with DPDK.
    Ovs,
    /// testpmd's own vhost ports in io mode: no switching at all.
    Testpmd,
    /// Strowger's own rings without any switching.
    Ceiling,
}

/// How a switch decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Two ports, each to the other: one rule a port in Open vSwitch; in Strowger, which has no rules yet, two
    /// ports in a bridge of their own, so the same as learning.
    Cross,
    /// A learning switch: `NORMAL` in Open vSwitch.
    Learning,
}

/// What a switch tells of one measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Frames that it dropped.
    pub dropped: u64,
    /// Frames a batch, on average.
    pub batch: Option<f64>,
    /// Cycles that its core was busy, a frame.
    pub cycles: Option<f64>,
}

/// Where a switch has its files, and what is the same for all.
#[derive(Clone, Debug)]
pub struct Place {
    /// Strowger's binary.
    pub strowger: PathBuf,
    /// The binary of the example `ceiling`.
    pub ceiling: PathBuf,
    /// A short directory for sockets, removed at the end.
    pub run: PathBuf,
    /// Where logs stay.
    pub logs: PathBuf,
    /// The sockets on which the traffic listens.
    pub sockets: [PathBuf; 2],
    /// The network namespace in which the switch runs, as `ip netns` knows it; the benchmark's own if there is none.
    pub namespace: Option<String>,
}

impl Place {
    /// The program to start so that `program` runs in the place's namespace, and the words before its own.
    fn run_in_namespace(&self, program: &Path) -> Result<(PathBuf, Vec<String>)> {
        let Some(namespace) = &self.namespace else { return Ok((program.to_owned(), Vec::new())) };
        let program = program.display().to_string();
        let words = ["netns", "exec", namespace.as_str(), program.as_str()].map(str::to_owned);
        Ok((find("ip", "iproute2")?, words.to_vec()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strowger => "strowger",
            Self::Ovs => "ovs",
            Self::Testpmd => "testpmd",
            Self::Ceiling => "ceiling",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cross => "cross",
            Self::Learning => "learning",
        })
    }
}

impl Peer {
    /// Whether it can be measured in this mode.
    #[must_use]
    pub fn does(self, mode: Mode) -> bool {
        !matches!(self, Self::Testpmd | Self::Ceiling) || mode == Mode::Cross
    }

    /// Checks that everything it needs is installed; gives its version.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), or if the program does not say its version.
    pub fn version(self, strowger: &Path, ceiling: &Path) -> Result<String> {
        match self {
            Self::Strowger => strowger::version(strowger),
            Self::Ovs => ovs::version(),
            Self::Testpmd => crate::testpmd::version(),
            Self::Ceiling => ceiling::version(ceiling),
        }
    }

    /// Starts it; its ports connect as soon as the traffic listens, and again whenever it does.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(self, mode: Mode, place: &Place) -> Result<Box<dyn Switch>> {
        Ok(match self {
            Self::Strowger => Box::new(strowger::Strowger::start(place)?),
            Self::Ovs => Box::new(ovs::Ovs::start(mode, place)?),
            Self::Testpmd => Box::new(testpmd::Forwarder::start(place)?),
            Self::Ceiling => Box::new(ceiling::Ceiling::start(place)?),
        })
    }
}

/// A switch that runs; dropping it ends it.
pub trait Switch {
    /// Reads the counters before a measurement.
    ///
    /// # Errors
    /// If the switch has ended or does not answer.
    fn before(&mut self) -> Result<Value>;

    /// Reads them after it, and gives what happened between.
    ///
    /// # Errors
    /// If the switch has ended or does not answer.
    fn after(&mut self, before: &Value) -> Result<Figures>;
}
