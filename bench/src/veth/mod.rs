//! From veth to veth: two containers' interfaces as ports of Strowger and of Open vSwitch, whose ports of the type
//! `system` are packet sockets too when its datapath is in user space. Each switch forwards on one core, traffic is made
//! and taken on the other.

mod ground;
mod traffic;

use std::{fmt, fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{
    Error, Result,
    peer::{Place, Switch, ovs::Ovs, strowger::Strowger},
    process::find,
    report::Spread,
};
use ground::{Ground, Offloads};

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// This project.
    Strowger,
    /// Open vSwitch as it is by default: it takes no unfinished checksums and no uncut segments, so the containers'
    /// interfaces have their offloads switched off, as its documentation says.
    Ovs,
    /// Open vSwitch with `userspace-tso-enable`.
    OvsTso,
}

impl Contender {
    const ALL: [Self; 3] = [Self::Strowger, Self::Ovs, Self::OvsTso];
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strowger => "strowger",
            Self::Ovs => "ovs",
            Self::OvsTso => "ovs with TSO",
        })
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// UDP in frames of 60 bytes, more than any of them forwards.
    Small,
    /// One TCP connection.
    Bulk,
}

impl Kind {
    /// What it is counted in.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Small => "kpps",
            Self::Bulk => "Gbit/s",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "UDP, 60 bytes",
            Self::Bulk => "TCP, one connection",
        })
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which round, from 0.
    pub round: usize,
    /// Who forwarded.
    pub contender: Contender,
    /// What was sent.
    pub kind: Kind,
    /// What arrived, in the kind's unit.
    pub arrived: f64,
    /// What was sent, in the same, where that is known.
    pub offered: Option<f64>,
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often everybody takes a turn.
    pub rounds: usize,
    /// How long a measurement takes.
    pub time: Duration,
    /// Strowger's binary.
    pub strowger: PathBuf,
    /// Where logs stay.
    pub logs: PathBuf,
}

/// Checks that what is needed is installed.
///
/// # Errors
/// [`Error::Missing`].
pub fn check() -> Result<()> {
    for (tool, package) in
        [("ip", "iproute2"), ("ethtool", "ethtool"), ("iperf3", "iperf3"), ("python3", "python3")]
    {
        find(tool, package)?;
    }
    find("taskset", "util-linux").map(drop)
}

/// Runs all rounds, and tells of each measurement.
///
/// # Errors
/// If a switch or its traffic does not start.
pub fn run(plan: &Plan, mut tell: impl FnMut(&Sample)) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        for contender in Contender::ALL {
            for sample in turn(plan, round, contender)? {
                tell(&sample);
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

fn turn(plan: &Plan, round: usize, contender: Contender) -> Result<[Sample; 2]> {
    let run = tempfile::Builder::new()
        .prefix("strowger-bench-")
        .tempdir()
        .map_err(Error::system("make a directory for sockets"))?;
    let name = contender.to_string().replace(' ', "-");
    let logs = plan.logs.join(format!("veth-{}-{name}", round + 1));
    fs::create_dir_all(&logs).map_err(Error::system(format!("make {}", logs.display())))?;
    let ground = Ground::new()?;
    let place = Place {
        strowger: plan.strowger.clone(),
        ceiling: PathBuf::new(),
        run: run.path().to_owned(),
        logs,
        sockets: Default::default(),
        namespace: Some(ground.switch().to_owned()),
    };
    let _switch = start(contender, &place)?;
    // Open vSwitch without TSO would forward TCP that nobody takes.
    let offloads = if contender == Contender::Ovs { Offloads::Off } else { Offloads::On };
    ground.set(offloads)?;
    let bulk = traffic::bulk(&ground, &place.logs, plan.time)?;
    // The same frames for all, and the sender cuts its datagrams itself.
    ground.set(Offloads::Off)?;
    let (offered, small) = traffic::small(&ground, &place.logs, plan.time)?;
    let sample = |kind, arrived, offered| Sample { round, contender, kind, arrived, offered };
    Ok([sample(Kind::Small, small, Some(offered)), sample(Kind::Bulk, bulk, None)])
}

/// Starts a switch with the two interfaces as ports.
fn start(contender: Contender, place: &Place) -> Result<Box<dyn Switch>> {
    let [a, b] = ground::PORTS;
    Ok(match contender {
        Contender::Strowger => {
            let ports = [format!("dev:{a}"), format!("dev:{b}")];
            Box::new(Strowger::start_with(place, &ports)?)
        }
        Contender::Ovs => Box::new(Ovs::start_on_interfaces(place, false, [a, b])?),
        Contender::OvsTso => Box::new(Ovs::start_on_interfaces(place, true, [a, b])?),
    })
}

/// The rows of a table: kind, contender, spread of what arrived.
fn rows(samples: &[Sample]) -> Vec<(Kind, Contender, Spread)> {
    let mut rows = Vec::new();
    for kind in [Kind::Small, Kind::Bulk] {
        for contender in Contender::ALL {
            let values = samples
                .iter()
                .filter(|sample| (sample.kind, sample.contender) == (kind, contender))
                .map(|sample| sample.arrived);
            rows.extend(Spread::of(values).map(|spread| (kind, contender, spread)));
        }
    }
    rows
}

/// Strowger's figure over another's, within each round.
fn ratios(samples: &[Sample]) -> Vec<(Kind, Contender, Spread)> {
    let mut ratios = Vec::new();
    for kind in [Kind::Small, Kind::Bulk] {
        for other in [Contender::Ovs, Contender::OvsTso] {
            let figure = |round, contender| {
                let key = (round, kind, contender);
                samples.iter().find(|s| (s.round, s.kind, s.contender) == key).map(|s| s.arrived)
            };
            let rounds = samples.iter().map(|sample| sample.round).max().map_or(0, |last| last + 1);
            let values = (0..rounds).filter_map(|round| {
                Some(figure(round, Contender::Strowger)? / figure(round, other)?)
            });
            ratios.extend(Spread::of(values).map(|spread| (kind, other, spread)));
        }
    }
    ratios
}

/// A section of a page.
#[must_use]
pub fn markdown(samples: &[Sample]) -> String {
    let mut lines = vec![HEAD.to_owned()];
    for (kind, contender, Spread { minimum, median, maximum }) in rows(samples) {
        let unit = kind.unit();
        lines.push(format!(
            "| {kind} | {contender} | {unit} | {minimum:.1} | {median:.1} | {maximum:.1} |"
        ));
    }
    lines.push("\n| traffic | of | min | median | max |\n|---|---|---|---|---|".to_owned());
    for (kind, other, Spread { minimum, median, maximum }) in ratios(samples) {
        lines.push(format!(
            "| {kind} | strowger / {other} | {minimum:.2} | {median:.2} | {maximum:.2} |"
        ));
    }
    lines.join("\n") + "\n"
}

/// As data.
#[must_use]
pub fn json(samples: &[Sample]) -> Value {
    let one = |sample: &Sample| {
        json!({
            "round": sample.round + 1, "switch": sample.contender.to_string(),
            "traffic": sample.kind.to_string(), "unit": sample.kind.unit(),
            "arrived": sample.arrived, "offered": sample.offered,
        })
    };
    let ratio = |(kind, other, spread): &(Kind, Contender, Spread)| json!({"traffic": kind.to_string(), "to": other.to_string(), "ratio": spread.json()});
    json!({
        "samples": samples.iter().map(one).collect::<Vec<_>>(),
        "ratios": ratios(samples).iter().map(ratio).collect::<Vec<_>>(),
    })
}

const HEAD: &str = "
## From veth to veth

Two containers whose interfaces are ports of the switch (`dev` ports of Strowger, ports of a user-space bridge of Open
vSwitch), what arrived at the second one's interface. Open vSwitch forwards such ports in its main thread, which has the
core that Strowger's worker has. Without TSO it needs the containers' offloads off; Strowger and the other have them on
for TCP.

| traffic | switch | unit | min | median | max |
|---|---|---|---|---|---|";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_one_round_each() {
        let sample = |round, contender, arrived| Sample {
            round,
            contender,
            kind: Kind::Small,
            arrived,
            offered: None,
        };
        let samples = [
            sample(0, Contender::Strowger, 600.0),
            sample(0, Contender::Ovs, 300.0),
            sample(1, Contender::Strowger, 900.0),
            sample(1, Contender::Ovs, 300.0),
            sample(2, Contender::Ovs, 1.0),
        ];
        let spread = Spread { minimum: 2.0, median: 2.5, maximum: 3.0 };
        assert_eq!(ratios(&samples), [(Kind::Small, Contender::Ovs, spread)]);
        let page = markdown(&samples);
        assert!(page.contains("| UDP, 60 bytes | strowger / ovs | 2.00 | 2.50 | 3.00 |"), "{page}");
        assert!(page.contains("| UDP, 60 bytes | ovs | kpps | 1.0 | 300.0 | 300.0 |"), "{page}");
        assert_eq!(json(&samples)["ratios"][0]["ratio"]["median"], 2.5);
    }
}
