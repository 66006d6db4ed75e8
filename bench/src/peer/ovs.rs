//! Open vSwitch with DPDK as the switch under test, with a database, sockets and logs of its own, so that one
//! that the machine runs is not touched.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Figures, Mode, Place, Switch};
use crate::{
    Error, Result, SWITCH_CORE, TRAFFIC_CORE,
    process::{Process, find, run},
    wait,
};

const PACKAGE: &str = "openvswitch-switch-dpdk";
const DAEMON: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// How long each step of setting it up may take.
const STEP_SECONDS: u64 = 60;

/// A running Open vSwitch. The daemon goes before its database.
#[derive(Debug)]
pub(crate) struct Ovs {
    daemon: Process,
    _database: Process,
    directory: PathBuf,
}

/// What it says of its version.
pub(super) fn version() -> Result<String> {
    for tool in ["ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-appctl", "ovs-ofctl", SCHEMA] {
        find(tool, PACKAGE)?;
    }
    let text = run(&find(DAEMON, PACKAGE)?, ["--version"], &[])?;
    Ok(text.lines().map(str::trim).collect::<Vec<_>>().join(", "))
}

impl Ovs {
    /// Starts a user-space bridge with two vhost-user ports that connect to the place's sockets.
    pub(super) fn start(mode: Mode, place: &Place) -> Result<Self> {
        let settings = [
            "other_config:dpdk-init=true".to_owned(),
            "other_config:dpdk-socket-mem=512".to_owned(),
            format!("other_config:pmd-cpu-mask={:#x}", 1 << SWITCH_CORE),
            format!("other_config:dpdk-lcore-mask={:#x}", 1 << TRAFFIC_CORE),
            "other_config:dpdk-extra=--no-pci --in-memory".to_owned(),
        ];
        let ovs = Self::launch(place, &settings, &[])?;
        for (number, socket) in ["1", "2"].iter().zip(&place.sockets) {
            let port = format!("p{number}");
            ovs.vsctl(&[
                "add-port",
                "br0",
                &port,
                "--",
                "set",
                "Interface",
                &port,
                "type=dpdkvhostuserclient",
                &format!("options:vhost-server-path={}", socket.display()),
                &format!("ofport_request={number}"),
            ])?;
        }
        if mode == Mode::Cross {
            ovs.ofctl(&["del-flows"])?;
            ovs.ofctl(&["add-flow", "in_port=1,actions=output:2"])?;
            ovs.ofctl(&["add-flow", "in_port=2,actions=output:1"])?;
        }
        Ok(ovs)
    }

    /// Starts a user-space bridge that learns, with two interfaces of the place's namespace as ports. Its main thread
    /// forwards them, on the switch's core, with uncut segments or without.
    pub(crate) fn start_on_interfaces(
        place: &Place,
        tso: bool,
        interfaces: [&str; 2],
    ) -> Result<Self> {
        let settings = [format!("other_config:userspace-tso-enable={tso}")];
        let core = SWITCH_CORE.to_string();
        let ovs = Self::launch(place, &settings, &["taskset", "-c", &core])?;
        for interface in interfaces {
            ovs.vsctl(&["add-port", "br0", interface])?;
        }
        Ok(ovs)
    }

    /// Starts it with a user-space bridge without ports, with these settings; `before` are words before the daemon's.
    fn launch(place: &Place, settings: &[String], before: &[&str]) -> Result<Self> {
        let directory = place.run.join("ovs");
        std::fs::create_dir(&directory).map_err(Error::system("make a directory for ovs"))?;
        let at = |file: &str| directory.join(file).display().to_string();
        let ours = environment(&directory);
        let database_file = at("conf.db");
        run(&find("ovsdb-tool", PACKAGE)?, ["create", &database_file, SCHEMA], &ours)?;
        let mut database = Process::start(
            &find("ovsdb-server", PACKAGE)?,
            [
                database_file,
                format!("--remote=punix:{}", at("db.sock")),
                format!("--unixctl={}", at("database.ctl")),
                format!("--pidfile={}", at("database.pid")),
            ],
            &ours,
            place.logs.join("ovsdb-server.log"),
        )?;
        let socket = directory.join("db.sock");
        database
            .until("the database's socket", STEP_SECONDS, || Ok(socket.exists().then_some(())))?;
        vsctl(&directory, &["--no-wait", "init"])?;
        let set = ["--no-wait", "set", "Open_vSwitch", "."];
        let all: Vec<&str> = set.into_iter().chain(settings.iter().map(String::as_str)).collect();
        vsctl(&directory, &all)?;
        let daemon = find(DAEMON, PACKAGE)?.display().to_string();
        let words = [
            daemon,
            format!("unix:{}", socket.display()),
            format!("--unixctl={}", at("daemon.ctl")),
            format!("--pidfile={}", at("daemon.pid")),
        ];
        let words: Vec<String> = before.iter().map(ToString::to_string).chain(words).collect();
        let (first, rest) = words.split_first().expect("the daemon is among them");
        let (program, mut all) = place.run_in_namespace(&find(first, "util-linux")?)?;
        all.extend_from_slice(rest);
        let daemon = Process::start(&program, all, &ours, place.logs.join("ovs-vswitchd.log"))?;
        let ovs = Self { daemon, _database: database, directory: directory.clone() };
        ovs.vsctl(&["add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=netdev"])?;
        Ok(ovs)
    }

    fn vsctl(&self, arguments: &[&str]) -> Result<String> {
        vsctl(&self.directory, arguments)
    }

    /// Runs `ovs-ofctl COMMAND BRIDGE ARGUMENTS`.
    fn ofctl(&self, arguments: &[&str]) -> Result<String> {
        let bridge = format!("unix:{}", self.directory.join("br0.mgmt").display());
        let mut all = arguments.to_vec();
        all.insert(1, &bridge);
        run(&find("ovs-ofctl", PACKAGE)?, all, &environment(&self.directory))
    }

    fn appctl(&self, arguments: &[&str]) -> Result<String> {
        let target = self.directory.join("daemon.ctl").display().to_string();
        let all = ["-t", &target].into_iter().chain(arguments.iter().copied());
        run(&find("ovs-appctl", PACKAGE)?, all, &environment(&self.directory))
    }

    fn dropped(&self) -> Result<u64> {
        Ok(drops(&self.ofctl(&["dump-ports"])?))
    }
}

impl Switch for Ovs {
    fn before(&mut self) -> Result<Value> {
        wait::check()?;
        self.daemon.alive()?;
        let dropped = self.dropped()?;
        self.appctl(&["dpif-netdev/pmd-stats-clear"])?;
        Ok(json!(dropped))
    }

    fn after(&mut self, before: &Value) -> Result<Figures> {
        self.daemon.alive()?;
        let stats = self.appctl(&["dpif-netdev/pmd-stats-show"])?;
        let dropped = self.dropped()?;
        Ok(Figures {
            dropped: dropped.saturating_sub(before.as_u64().unwrap_or_default()),
            batch: statistic(&stats, "avg. packets per output batch"),
            cycles: statistic(&stats, "avg processing cycles per packet"),
        })
    }
}

/// Runs `ovs-vsctl` on the database in a directory.
fn vsctl(directory: &Path, arguments: &[&str]) -> Result<String> {
    let database = format!("--db=unix:{}", directory.join("db.sock").display());
    let timeout = format!("--timeout={STEP_SECONDS}");
    let common = [database.as_str(), timeout.as_str()];
    let all = common.iter().chain(arguments);
    run(&find("ovs-vsctl", PACKAGE)?, all, &environment(directory))
}

/// Where it and DPDK beneath it keep their files.
fn environment(directory: &Path) -> [(&'static str, &Path); 5] {
    ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "RUNTIME_DIRECTORY"]
        .map(|name| (name, directory))
}

/// The value of a line of the first thread in `pmd-stats-show`, which is the only poll-mode thread.
fn statistic(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
}

/// All `drop=` of `dump-ports`; a port that does not count them says `?`.
fn drops(text: &str) -> u64 {
    text.split("drop=")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read() {
        let text = "\
pmd thread numa_id 0 core_id 1:
  packets received: 19002048
  avg. datapath passes per packet: 1.00
  avg. packets per output batch: 31.98
  idle cycles: 183150784 (3.61%)
  processing cycles: 4888190720 (96.39%)
  avg cycles per packet: 266.89 (5071341504/19002048)
  avg processing cycles per packet: 257.25 (4888190720/19002048)
main thread:
  packets received: 0
  packet recirculations: 0
";
        assert_eq!(statistic(text, "avg. packets per output batch"), Some(31.98));
        assert_eq!(statistic(text, "avg processing cycles per packet"), Some(257.25));
        assert_eq!(statistic(text, "no such thing"), None);
    }

    #[test]
    fn drops_of_all_ports_are_added() {
        let text = "\
OFPST_PORT reply (xid=0x2): 3 ports
  port  1: rx pkts=19, bytes=1216, drop=2, errs=0, frame=?, over=?, crc=?
           tx pkts=19, bytes=1216, drop=30, errs=?, coll=?
  port LOCAL: rx pkts=0, bytes=0, drop=?, errs=0, frame=0, over=0, crc=0
           tx pkts=0, bytes=0, drop=1, errs=0, coll=0
";
        assert_eq!(drops(text), 33);
    }
}
