//! The state of a switch at one moment, as it is sent and shown.
//!
//! Plain data: every number is counted elsewhere and copied here. Counters only grow while the daemon lives; a
//! client that wants rates asks twice. What may be absent is left out of the JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strowger_packet::{DropReason, counters::Totals};
use utoipa::ToSchema;

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whole seconds since it started.
    pub uptime_seconds: u64,
    /// One for each forwarding core.
    pub workers: Vec<Worker>,
    /// Rx queues that are polled now, each with its worker.
    #[serde(default)]
    pub queues: Vec<Queue>,
    /// In the order of the configuration.
    pub bridges: Vec<Bridge>,
    /// Of all bridges, in the order of the configuration.
    pub ports: Vec<Port>,
    /// In the order of the configuration.
    #[serde(default)]
    pub mirrors: Vec<Mirror>,
    /// Captures of frames.
    #[serde(default)]
    pub captures: Captures,
    /// What the daemon says of itself.
    #[serde(default)]
    pub log: Log,
    /// Where changes are kept.
    #[serde(default)]
    pub state: State,
    /// What the daemon takes of the machine.
    #[serde(default)]
    pub process: Process,
}

/// What a worker has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Nanoseconds spent on polls that brought frames.
    #[serde(default)]
    pub busy_nanos: u64,
    /// Nanoseconds since it started: its load is what `busy_nanos` gained by what this gained.
    #[serde(default)]
    pub alive_nanos: u64,
    /// What it remembers of flows.
    #[serde(default)]
    pub cache: Cache,
}

/// A worker's cache of flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cache {
    /// Flows in it now.
    pub flows: usize,
    /// Different masks of these flows.
    pub masks: usize,
    /// Frames whose flow the exact-match cache had.
    pub exact_hits: u64,
    /// Frames whose flow the masked cache had.
    pub masked_hits: u64,
    /// Frames whose flow neither had.
    pub misses: u64,
    /// Flows translated.
    pub translations: u64,
}

/// An rx queue and the worker that polls it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Its port's name.
    pub port: String,
    /// Its queue pair.
    pub pair: u16,
    /// The core of its worker.
    pub worker: usize,
    /// Frames that it brought since this worker has it.
    pub frames: u64,
    /// Polls of it that brought frames.
    pub batches: u64,
}

/// A bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Stations that it remembers.
    pub stations: usize,
    /// The most that it remembers.
    #[serde(default)]
    pub station_limit: usize,
    /// Seconds without a frame after which it forgets a station.
    #[serde(default)]
    pub ageing_seconds: u64,
    /// The names of its ports.
    pub ports: Vec<String>,
    /// Stations that went to another port.
    #[serde(default)]
    pub moves: u64,
    /// Moves that were held back: too many within a second, or by the loop guard.
    #[serde(default)]
    pub held: u64,
    /// Stations that made room for others.
    #[serde(default)]
    pub replaced: u64,
    /// Stations that were not heard for the ageing time.
    #[serde(default)]
    pub aged: u64,
    /// Times that the loop guard found a station that goes to and fro.
    #[serde(default)]
    pub loops: u64,
    /// Stations that the loop guard holds where they are now.
    #[serde(default)]
    pub held_stations: usize,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its number on its bridge.
    pub number: u32,
    /// Its bridge's name.
    pub bridge: String,
    /// The word for its kind in the configuration.
    pub kind: String,
    /// Whether frames can go both ways: a guest has started a queue pair, or the interface is there and has a link.
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
    /// Its interface's own address (tap and dev).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac: Option<String>,
    /// Its interface's name (tap and dev).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interface: Option<String>,
    /// Whether its interface is there (tap and dev).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub present: Option<bool>,
    /// Whether its interface has a link (dev).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<bool>,
    /// The longest packet, without Ethernet header, that its interface or guest takes, in bytes, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mtu: Option<u32>,
    /// The virtio features that its guest's driver took, in hexadecimal (vhost-user and vhost-user-client).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub features: Option<String>,
    /// The path of its socket (vhost-user and vhost-user-client).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// What went wrong last behind it, in a sentence, until it is up again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<String>,
    /// What it may send into the switch, as in the configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ingress_rate: Option<String>,
    /// What the switch may send to it, as in the configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub egress_rate: Option<String>,
    /// Frames that wait in its shaper now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shaper_frames: Option<u64>,
}

/// A mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// Its bridge.
    pub bridge: String,
    /// The port that receives the copies. Its own counters say how many there were.
    pub to: String,
    /// Whether that port is up, so that copies can be sent.
    pub up: bool,
}

/// All captures since the daemon began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Captures {
    /// How many run now.
    pub running: usize,
    /// Frames that one wanted; once for each capture.
    pub frames: u64,
    /// Those of them that were lost, since whoever reads the capture was too slow.
    pub lost: u64,
}

/// What the daemon says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// Lines that were lost, since whoever reads the log was too slow.
    pub lost_lines: u64,
}

/// Where changes are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct State {
    /// The state directory; absent if changes do not survive a restart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub directory: Option<String>,
    /// Why changes cannot be kept, and are refused; absent if they can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// What the daemon takes of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// When it started, in seconds since 1970.
    pub start_time_seconds: u64,
    /// Bytes of memory that are resident; those of guests count as far as they were touched.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Milliseconds of processor time, in user and kernel mode.
    pub cpu_milliseconds: u64,
    /// Threads.
    pub threads: u64,
    /// File descriptors in use.
    pub open_files: u64,
    /// File descriptors that it may use.
    pub max_open_files: u64,
}

/// Frames of one port dropped for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drop {
    /// The port's name.
    pub port: String,
    /// The name of a [`DropReason`].
    pub reason: String,
    /// How many; never 0.
    pub frames: u64,
    /// What the reason means.
    pub explanation: String,
    /// What to do about it.
    #[serde(default)]
    pub remedy: String,
}

/// A station that a bridge remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Station {
    /// The bridge's name.
    pub bridge: String,
    /// Its VLAN; 0 for none.
    pub vlan: u16,
    /// Its address.
    pub mac: String,
    /// The name of the port that it is behind.
    pub port: String,
    /// Seconds since it was last heard.
    pub age_seconds: u64,
    /// Whether the loop guard holds it where it is.
    pub held: bool,
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
                    remedy: reason.remedy().to_owned(),
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
        assert_eq!(drops[1].remedy, DropReason::QueueFull.remedy());
    }
}
