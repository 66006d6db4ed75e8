//! Benchmarks of the whole switch beside Open vSwitch with DPDK: DPDK's testpmd makes and takes the traffic on
//! one core, the switch under test forwards on another, and the switches take turns.
//!
//! It runs programs and reads what they print; it calls no crate of the switch, so that all are held to the same
//! (guests for the idle switch come from the end-to-end tests, which do not either).
//! It never leaves a process, a directory of sockets or a number of huge pages behind: each is a guard that
//! undoes itself when dropped, and a signal only asks the waits to end.

#![forbid(unsafe_code)]

pub mod capture;
pub mod compare;
pub mod huge_pages;
pub mod idle;
pub mod peer;
pub mod process;
pub mod report;
pub mod scale;
pub mod testpmd;
pub mod traffic;
pub mod veth;
pub mod wait;

use std::{io, path::PathBuf};

/// The core of the switch under test: its one worker, poll-mode thread, or forwarding core.
pub const SWITCH_CORE: usize = 1;
/// The core that makes and takes the traffic.
pub const TRAFFIC_CORE: usize = 0;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that is needed is not installed.
    #[error("{tool} is not installed: apt-get install {package} (or scripts/setup.sh bench)")]
    Missing {
        /// The program's name or path.
        tool: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The machine cannot run this.
    #[error("{0}")]
    Unsuitable(String),
    /// A call to the system failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {seconds} s; see {}", log.display())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// Where its output is.
        log: PathBuf,
    },
    /// A program ended, or said something else than what was expected.
    #[error("{what}; see {}", log.display())]
    Unexpected {
        /// What went wrong.
        what: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// A guest did not play its part.
    #[error("{0}")]
    Guest(#[from] strowger_qemu_tests::Error),
    /// The user asked for an end.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An error of the system with what was tried.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what: what.into(), source }
    }
}

/// What a benchmark gives.
pub type Result<T> = std::result::Result<T, Error>;
