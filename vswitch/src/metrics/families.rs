//! Every metric, declared once.

use strowger_packet::DropReason;

use super::{Family, Kind, Values};
use crate::control::{Bridge, Port, Status, Worker};

use Kind::{Counter, Gauge};

/// Labels of what is a port's.
const PORT: &[&str] = &["bridge", "port"];
/// Labels of what is a worker's: the core that it is pinned to.
const WORKER: &[&str] = &["worker"];
/// Labels of what is a bridge's.
const BRIDGE: &[&str] = &["bridge"];

/// One line a metric: name, kind, labels, meaning, values.
macro_rules! families {
    ($($name:literal $kind:ident $labels:expr, $help:literal, $values:expr;)+) => {
        /// All metrics, in the order in which they are shown.
        pub const FAMILIES: &[Family] = &[
            $(Family { name: $name, kind: $kind, help: $help, labels: $labels, values: $values }),+
        ];
    };
}

families! {
    "strowger_build_info" Gauge &["version"],
        "Always 1; the label is the daemon's version.",
        |status, out| out.put([&status.version], 1);
    "strowger_uptime_seconds" Gauge &[],
        "Seconds since the daemon started.",
        |status, out| out.put([], status.uptime_seconds);
    "strowger_state_kept" Gauge &[],
        "Whether changes survive a restart: 0 if there is no state directory or it cannot be written to.",
        |status, out| out.put([], u64::from(status.state.directory.is_some() && status.state.error.is_none()));

    "strowger_port_info" Gauge &["bridge", "port", "kind", "number", "vlan"],
        "Always 1; the labels are what a port is.",
        |status, out| for port in &status.ports {
            let number = port.number.to_string();
            out.put([&port.bridge, &port.name, &port.kind, &number, &port.vlan], 1);
        };
    "strowger_port_up" Gauge PORT,
        "Whether frames can go both ways through the port.",
        |status, out| ports(status, out, |port| u64::from(port.up));
    "strowger_port_link_up" Gauge PORT,
        "Whether the port's interface has a link (dev).",
        |status, out| some_ports(status, out, |port| port.link.map(u64::from));
    "strowger_port_interface_present" Gauge PORT,
        "Whether the port's interface is there (tap and dev).",
        |status, out| some_ports(status, out, |port| port.present.map(u64::from));
    "strowger_port_mtu_bytes" Gauge PORT,
        "The longest packet that the port's interface or guest takes, where it is known.",
        |status, out| some_ports(status, out, |port| port.mtu.map(u64::from));
    "strowger_port_queue_pairs" Gauge PORT,
        "Queue pairs of the port in use.",
        |status, out| ports(status, out, |port| port.queue_pairs.into());
    "strowger_port_rx_frames_total" Counter PORT,
        "Frames that came into the switch.",
        |status, out| ports(status, out, |port| port.rx_frames);
    "strowger_port_rx_bytes_total" Counter PORT,
        "Bytes of the frames that came into the switch.",
        |status, out| ports(status, out, |port| port.rx_bytes);
    "strowger_port_tx_frames_total" Counter PORT,
        "Frames that left the switch.",
        |status, out| ports(status, out, |port| port.tx_frames);
    "strowger_port_tx_bytes_total" Counter PORT,
        "Bytes of the frames that left the switch.",
        |status, out| ports(status, out, |port| port.tx_bytes);
    "strowger_port_dropped_frames_total" Counter PORT,
        "Frames dropped, for whatever reason.",
        |status, out| ports(status, out, |port| port.drops.values().sum());
    "strowger_port_dropped_frames_by_reason_total" Counter &["bridge", "port", "reason"],
        "Frames dropped for a reason; only reasons that there were. What each means: `strowger drops`.",
        |status, out| for port in &status.ports {
            for reason in DropReason::ALL {
                if let Some(&frames) = port.drops.get(reason.name()) {
                    out.put([&port.bridge, &port.name, reason.name()], frames);
                }
            }
        };
    "strowger_port_shaper_frames" Gauge PORT,
        "Frames that wait in the port's shaper (ports with an egress rate).",
        |status, out| some_ports(status, out, |port| port.shaper_frames);

    "strowger_queue_frames_total" Counter &["port", "pair", "worker"],
        "Frames that an rx queue brought since this worker has it.",
        |status, out| for queue in &status.queues {
            let (pair, worker) = (queue.pair.to_string(), queue.worker.to_string());
            out.put([&queue.port, &pair, &worker], queue.frames);
        };
    "strowger_queue_batches_total" Counter &["port", "pair", "worker"],
        "Polls of an rx queue that brought frames.",
        |status, out| for queue in &status.queues {
            let (pair, worker) = (queue.pair.to_string(), queue.worker.to_string());
            out.put([&queue.port, &pair, &worker], queue.batches);
        };

    "strowger_worker_queues" Gauge WORKER,
        "Rx queues that the worker polls.",
        |status, out| workers(status, out, |worker| worker.queues as u64);
    "strowger_worker_frames_total" Counter WORKER,
        "Frames that the worker received.",
        |status, out| workers(status, out, |worker| worker.frames);
    "strowger_worker_batches_total" Counter WORKER,
        "Polls that brought frames.",
        |status, out| workers(status, out, |worker| worker.batches);
    "strowger_worker_empty_polls_total" Counter WORKER,
        "Polls that brought no frame.",
        |status, out| workers(status, out, |worker| worker.empty_polls);
    "strowger_worker_sleeps_total" Counter WORKER,
        "Times that the worker slept.",
        |status, out| workers(status, out, |worker| worker.sleeps);
    "strowger_worker_busy_seconds_total" Counter WORKER,
        "Seconds spent on polls that brought frames; its rate is the worker's load.",
        |status, out| for worker in &status.workers {
            out.put_seconds([&worker.core.to_string()], worker.busy_nanos);
        };
    "strowger_worker_alive_seconds_total" Counter WORKER,
        "Seconds since the worker started.",
        |status, out| for worker in &status.workers {
            out.put_seconds([&worker.core.to_string()], worker.alive_nanos);
        };
    "strowger_worker_busy_cycles_total" Counter WORKER,
        "Cycles of the time-stamp counter spent on polls that brought frames.",
        |status, out| workers(status, out, |worker| worker.busy_cycles);

    "strowger_cache_flows" Gauge WORKER,
        "Flows in the worker's cache.",
        |status, out| workers(status, out, |worker| worker.cache.flows as u64);
    "strowger_cache_masks" Gauge WORKER,
        "Different masks of the flows in the worker's cache.",
        |status, out| workers(status, out, |worker| worker.cache.masks as u64);
    "strowger_cache_hits_total" Counter &["worker", "cache"],
        "Frames whose flow the exact-match cache (`exact`) or the masked cache (`masked`) had.",
        |status, out| for worker in &status.workers {
            let core = worker.core.to_string();
            out.put([&core, "exact"], worker.cache.exact_hits);
            out.put([&core, "masked"], worker.cache.masked_hits);
        };
    "strowger_cache_misses_total" Counter WORKER,
        "Frames whose flow neither cache had.",
        |status, out| workers(status, out, |worker| worker.cache.misses);
    "strowger_cache_translations_total" Counter WORKER,
        "Flows that were translated: the slow path.",
        |status, out| workers(status, out, |worker| worker.cache.translations);

    "strowger_bridge_ports" Gauge BRIDGE,
        "Ports of the bridge.",
        |status, out| bridges(status, out, |bridge| bridge.ports.len() as u64);
    "strowger_bridge_stations" Gauge BRIDGE,
        "Stations that the bridge remembers.",
        |status, out| bridges(status, out, |bridge| bridge.stations as u64);
    "strowger_bridge_station_limit" Gauge BRIDGE,
        "The most stations that the bridge remembers.",
        |status, out| bridges(status, out, |bridge| bridge.station_limit as u64);
    "strowger_bridge_station_moves_total" Counter BRIDGE,
        "Stations that went to another port.",
        |status, out| bridges(status, out, |bridge| bridge.moves);
    "strowger_bridge_station_moves_held_total" Counter BRIDGE,
        "Moves that were held back: too many within a second, or by the loop guard.",
        |status, out| bridges(status, out, |bridge| bridge.held);
    "strowger_bridge_stations_replaced_total" Counter BRIDGE,
        "Stations that made room for others.",
        |status, out| bridges(status, out, |bridge| bridge.replaced);
    "strowger_bridge_stations_aged_total" Counter BRIDGE,
        "Stations that were not heard for the ageing time.",
        |status, out| bridges(status, out, |bridge| bridge.aged);
    "strowger_bridge_stations_held" Gauge BRIDGE,
        "Stations that the loop guard holds where they are.",
        |status, out| bridges(status, out, |bridge| bridge.held_stations as u64);
    "strowger_bridge_loops_total" Counter BRIDGE,
        "Times that the loop guard found a station that goes to and fro.",
        |status, out| bridges(status, out, |bridge| bridge.loops);

    "strowger_mirror_up" Gauge &["bridge", "mirror", "to"],
        "Whether the port that receives the mirror's copies is up.",
        |status, out| for mirror in &status.mirrors {
            out.put([&mirror.bridge, &mirror.name, &mirror.to], u64::from(mirror.up));
        };

    "strowger_captures" Gauge &[],
        "Captures that run.",
        |status, out| out.put([], status.captures.running as u64);
    "strowger_capture_frames_total" Counter &[],
        "Frames that a capture wanted, once for each.",
        |status, out| out.put([], status.captures.frames);
    "strowger_capture_lost_frames_total" Counter &[],
        "Frames that a capture wanted and lost, since whoever reads it was too slow.",
        |status, out| out.put([], status.captures.lost);
    "strowger_log_lost_lines_total" Counter &[],
        "Lines of the log that were lost, since whoever reads it was too slow.",
        |status, out| out.put([], status.log.lost_lines);

    "process_start_time_seconds" Gauge &[],
        "When the daemon started, in seconds since 1970.",
        |status, out| out.put([], status.process.start_time_seconds);
    "process_cpu_seconds_total" Counter &[],
        "Seconds of processor time, in user and kernel mode.",
        |status, out| out.put_seconds([], status.process.cpu_milliseconds * 1_000_000);
    "process_resident_memory_bytes" Gauge &[],
        "Bytes of memory that are resident; those of guests count as far as they were touched.",
        |status, out| out.put([], status.process.resident_bytes);
    "process_virtual_memory_bytes" Gauge &[],
        "Bytes of address space; the memory of all guests is in it.",
        |status, out| out.put([], status.process.virtual_bytes);
    "process_threads" Gauge &[],
        "Threads.",
        |status, out| out.put([], status.process.threads);
    "process_open_fds" Gauge &[],
        "File descriptors in use.",
        |status, out| out.put([], status.process.open_files);
    "process_max_fds" Gauge &[],
        "File descriptors that the daemon may use.",
        |status, out| out.put([], status.process.max_open_files);
}

fn ports(status: &Status, out: &mut Values<'_>, value: fn(&Port) -> u64) {
    for port in &status.ports {
        out.put([&port.bridge, &port.name], value(port));
    }
}

fn some_ports(status: &Status, out: &mut Values<'_>, value: fn(&Port) -> Option<u64>) {
    for port in &status.ports {
        if let Some(value) = value(port) {
            out.put([&port.bridge, &port.name], value);
        }
    }
}

fn workers(status: &Status, out: &mut Values<'_>, value: fn(&Worker) -> u64) {
    for worker in &status.workers {
        out.put([&worker.core.to_string()], value(worker));
    }
}

fn bridges(status: &Status, out: &mut Values<'_>, value: fn(&Bridge) -> u64) {
    for bridge in &status.bridges {
        out.put([&bridge.name], value(bridge));
    }
}
