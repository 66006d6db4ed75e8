//! DPDK's testpmd, told what to do on its standard input.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    process::{Process, find, run},
};

/// The Debian package of testpmd.
pub const PACKAGE: &str = "dpdk";
/// The program.
pub const PROGRAM: &str = "dpdk-testpmd";

/// The version of the package; testpmd itself does not say it without setting everything up.
///
/// # Errors
/// If testpmd is not installed.
pub fn version() -> Result<String> {
    find(PROGRAM, PACKAGE)?;
    let version = find("dpkg-query", "dpkg")
        .and_then(|query| run(&query, ["-W", "-f", "${Version}", PACKAGE], &[]))
        .unwrap_or_else(|_| "of unknown version".into());
    Ok(format!("testpmd (DPDK) {version}"))
}

/// A running testpmd.
#[derive(Debug)]
pub struct Testpmd {
    process: Process,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// Sets its files apart.
    pub name: &'a str,
    /// The core that forwards.
    pub core: usize,
    /// Its two ports, as DPDK's `--vdev` options.
    pub devices: [String; 2],
    /// Further options of testpmd.
    pub options: &'a [&'a str],
    /// Where DPDK keeps its run-time files, instead of `/var/run`.
    pub run: &'a Path,
    /// Where its output goes.
    pub log: PathBuf,
}

/// The totals that `show fwd stats all` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forwarded {
    /// Frames received on all ports since the start.
    pub received: u64,
    /// Frames dropped because the other side had not emptied its ring.
    pub dropped: u64,
    /// Cycles a frame; only when cores' cycles are recorded and something was forwarded.
    pub cycles: Option<f64>,
}

impl Testpmd {
    /// Starts one with two ports and one forwarding core.
    ///
    /// # Errors
    /// If it is not installed or cannot be started.
    pub fn start(setup: Setup<'_>) -> Result<Self> {
        let program = find(PROGRAM, PACKAGE)?;
        let cores = format!("0@{},1@{}", crate::TRAFFIC_CORE, setup.core);
        let prefix = format!("--file-prefix=strowger-{}-{}", setup.name, std::process::id());
        let memory = ["--in-memory", "--single-file-segments", "--no-pci", "-m", "512"];
        let forwarding = [
            "--",
            "-i",
            "--nb-cores=1",
            "--forward-mode=io",
            "--total-num-mbufs=32768",
            "--no-mlockall",
        ];
        let arguments = ["--lcores", &cores, &prefix]
            .into_iter()
            .chain(memory)
            .chain(setup.devices.iter().map(String::as_str))
            .chain(forwarding)
            .chain(setup.options.iter().copied());
        let environment = [("RUNTIME_DIRECTORY", setup.run)];
        let process = Process::start(&program, arguments, &environment, setup.log)?;
        Ok(Self { process })
    }

    /// Waits until it has set its ports up and takes commands. A port that listens blocks until the other side
    /// has connected.
    ///
    /// # Errors
    /// If it ends, or `seconds` pass.
    pub fn until_ready(&mut self, seconds: u64) -> Result<()> {
        self.process.until_printed(0, seconds, "testpmd's prompt", |text| text.contains("testpmd>"))
    }

    /// Gives a command that prints nothing that we need.
    ///
    /// # Errors
    /// If it has ended.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        let input = self.process.input()?;
        writeln!(input, "{command}")
            .and_then(|()| input.flush())
            .map_err(Error::system("write to testpmd"))
    }

    /// Frames a second that both ports received since the last time that this was asked, by testpmd's own clock.
    ///
    /// # Errors
    /// If it ends or prints something else.
    pub fn rate(&mut self) -> Result<f64> {
        self.ask("show port stats all", rate)
    }

    /// What was forwarded since the start.
    ///
    /// # Errors
    /// If it ends or prints something else.
    pub fn forwarded(&mut self) -> Result<Forwarded> {
        self.ask("show fwd stats all", forwarded)
    }

    /// An error with the place of its log.
    #[must_use]
    pub fn unexpected(&self, what: &str) -> Error {
        Error::Unexpected { what: format!("testpmd: {what}"), log: self.process.log().to_owned() }
    }

    /// Gives a command and waits until its answer can be read.
    fn ask<T>(&mut self, command: &str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        let from = self.process.printed()?.len();
        self.tell(command)?;
        let what = format!("testpmd's answer to {command:?}");
        let mut answer = None;
        self.process.until_printed(from, 30, &what, |text| {
            answer = read(text);
            answer.is_some()
        })?;
        answer.ok_or_else(|| self.unexpected("no answer"))
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        // Ends it in order and at once; the process's own guard does the rest if it does not listen.
        if self.tell("quit").is_ok() {
            let _ = self.process.until_printed(0, 3, "the end", |text| text.contains("Bye..."));
        }
    }
}

/// Reads `show port stats all`, once the ruler after the second port is there.
fn rate(text: &str) -> Option<f64> {
    let second = text.split("NIC statistics for port 1").nth(1)?;
    second.contains(&"#".repeat(60)).then_some(())?;
    Some(number(text, "Rx-pps:")? + number(second, "Rx-pps:")?)
}

/// Reads `show fwd stats all`, once the ruler after the totals is there.
fn forwarded(text: &str) -> Option<Forwarded> {
    let (totals, rest) = text
        .split("Accumulated forward statistics for all ports+++++++++++++++\n")
        .nth(1)?
        .split_once(&"+".repeat(60))?;
    Some(Forwarded {
        received: number(totals, "RX-packets:")? as u64,
        dropped: number(totals, "TX-dropped:")? as u64,
        cycles: number(rest, "CPU cycles/packet="),
    })
}

/// The number after the first `label`.
fn number(text: &str, label: &str) -> Option<f64> {
    text.split(label).nth(1)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: &str = "\
  ######################## NIC statistics for port 0  ########################
  RX-packets: 8935808    RX-missed: 0          RX-bytes:  571891712
  Throughput (since last show)
  Rx-pps:      4420140          Rx-bps:   2263111912
  Tx-pps:      4420140          Tx-bps:   2263111912
  ############################################################################

  ######################## NIC statistics for port 1  ########################
  Rx-pps:      4420138          Rx-bps:   2263111160
  Tx-pps:      4420170          Tx-bps:   2263127480
  ############################################################################
";
    const FORWARDED: &str = "\
  ---------------------- Forward statistics for port 0  ----------------------
  RX-packets: 1              RX-dropped: 0             RX-total: 1
  TX-packets: 1              TX-dropped: 0             TX-total: 1
  ----------------------------------------------------------------------------

  +++++++++++++++ Accumulated forward statistics for all ports+++++++++++++++
  RX-packets: 17871552       RX-dropped: 0             RX-total: 17871552
  TX-packets: 17872064       TX-dropped: 7             TX-total: 17872071
  ++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++

  CPU cycles/packet=250.98 (total cycles=5609094474 / total io packets=22349024) at 2300 MHz Clock
";

    #[test]
    fn rates_of_both_ports_are_added() {
        assert_eq!(rate(PORTS), Some(8_840_278.0));
    }

    #[test]
    fn totals_and_cycles_are_read() {
        let seen = forwarded(FORWARDED).unwrap();
        assert_eq!((seen.received, seen.dropped), (17_871_552, 7));
        assert_eq!(seen.cycles, Some(250.98));
    }

    #[test]
    fn an_answer_that_is_not_complete_yet_is_none() {
        for length in 0..PORTS.len() - 20 {
            assert_eq!(rate(&PORTS[..length]), None);
        }
        let end = FORWARDED.find("CPU").unwrap() - 20;
        for length in 0..end {
            assert_eq!(forwarded(&FORWARDED[..length]), None);
        }
    }
}
