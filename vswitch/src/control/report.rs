//! The state of a switch at one moment, as it is sent and shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strowger_packet::{DropReason, counters::Totals};

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whole seconds since it started.
    pub uptime_seconds: u64,
    /// One for each forwarding core.
    pub workers: Vec<Worker>,
    /// In the order of the command line.
    pub bridges: Vec<Bridge>,
    /// Of all bridges, in the order of the command line.
    pub ports: Vec<Port>,
}

/// What a worker has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The core that it is pinned to.
    pub core: usize,
    /// Rx queues that it polls now.
    pub queues: usize,
    /// Frames that it received.
    pub frames: u64,
    /// Polls that brought frames.
    pub batches: u64,
    /// Polls that brought none.
    pub empty_polls: u64,
    /// Times that it slept.
    pub sleeps: u64,
    /// Cycles of the time-stamp counter spent on polls that brought frames.
    pub busy_cycles: u64,
}

/// A bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Stations that it remembers.
    pub stations: usize,
    /// The names of its ports.
    pub ports: Vec<String>,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its number on its bridge.
    pub number: u32,
    /// Its bridge's name.
    pub bridge: String,
    /// The word for its kind on the command line.
    pub kind: String,
    /// Whether frames can go both ways: a guest has started a queue pair, or the interface exists.
    pub up: bool,
    /// Queue pairs in use now.
    pub queue_pairs: u16,
    /// The VLANs that it carries.
    pub vlan: String,
    /// Frames that came into the switch.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that left the switch.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames dropped, by the names of [`DropReason`]s; those that there were.
    pub drops: BTreeMap<String, u64>,
    /// A TAP interface's own address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac: Option<String>,
}

/// Frames of one port dropped for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// The port's name.
    pub port: String,
    /// The name of a [`DropReason`].
    pub reason: String,
    /// How many; never 0.
    pub frames: u64,
    /// What the reason means.
    pub explanation: String,
}

impl Port {
    /// Takes over what was counted.
    pub fn count(&mut self, totals: &Totals) {
        self.rx_frames = totals.rx_frames;
        self.rx_bytes = totals.rx_bytes;
        self.tx_frames = totals.tx_frames;
        self.tx_bytes = totals.tx_bytes;
        self.drops = DropReason::ALL
            .iter()
            .zip(totals.drops)
            .filter(|&(_, frames)| frames > 0)
            .map(|(reason, frames)| (reason.name().to_owned(), frames))
            .collect();
    }
}

impl Status {
    /// What was dropped: ports in order, each with its reasons in the order of [`DropReason::ALL`].
    #[must_use]
    pub fn drops(&self) -> Vec<Drop> {
        let of_port = |port: &Port| {
            let found = |reason: &DropReason| {
                let &frames = port.drops.get(reason.name())?;
                Some(Drop {
                    port: port.name.clone(),
                    reason: reason.name().to_owned(),
                    frames,
                    explanation: reason.explanation().to_owned(),
                })
            };
            DropReason::ALL.iter().filter_map(found).collect::<Vec<_>>()
        };
        self.ports.iter().flat_map(of_port).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strowger_packet::PortCounters;

    #[test]
    fn drops_are_those_that_there_were() {
        let counters = PortCounters::new(2);
        counters.shard(1).drop(DropReason::QueueFull, 2);
        counters.shard(0).drop(DropReason::Truncated, 1);
        let mut port = Port { name: "a".into(), ..Port::default() };
        port.count(&counters.totals());
        let drops = Status { ports: vec![port], ..Status::default() }.drops();
        let short: Vec<_> = drops
            .iter()
            .map(|drop| (drop.port.as_str(), drop.reason.as_str(), drop.frames))
            .collect();
        assert_eq!(short, [("a", "truncated", 1), ("a", "queue_full", 2)]);
        assert_eq!(drops[1].explanation, DropReason::QueueFull.explanation());
    }
}
