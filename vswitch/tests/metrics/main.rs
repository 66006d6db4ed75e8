//! The metrics, read by a strict reader of the format and of the conventions; the reference and the dashboard that
//! name them.

#![allow(clippy::unwrap_used, reason = "what the tests are helped by fails as they do")]

mod exposition;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use exposition::{Exposition, lint, read};
use serde_json::Value;
use strowger_packet::DropReason;
use strowger_vswitch::{
    control::{
        Bridge, Cache, Captures, Log, Mirror, Port, Process, Queue, State, Status, Worker,
        client::Client,
    },
    metrics::{FAMILIES, reference, render},
};

/// A switch that has something of everything, each number another one.
fn full() -> Status {
    let port = |name: &str, from: u64| Port {
        name: name.into(),
        number: 3,
        bridge: "br0".into(),
        kind: "dev".into(),
        up: true,
        queue_pairs: 4,
        vlan: "tag 10".into(),
        rx_frames: from + 1,
        rx_bytes: from + 2,
        tx_frames: from + 3,
        tx_bytes: from + 4,
        drops: [("queue_full".to_owned(), from + 5), ("hairpin".to_owned(), from + 6)].into(),
        present: Some(true),
        link: Some(false),
        mtu: Some(9000),
        shaper_frames: Some(from + 7),
        ..Port::default()
    };
    Status {
        version: "1.2.3".into(),
        uptime_seconds: 77,
        workers: vec![Worker {
            core: 2,
            queues: 5,
            frames: 201,
            batches: 202,
            empty_polls: 203,
            sleeps: 204,
            busy_cycles: 205,
            busy_nanos: 1_000_000_206,
            alive_nanos: 207_000_000_000,
            cache: Cache {
                flows: 208,
                masks: 209,
                exact_hits: 210,
                masked_hits: 211,
                misses: 212,
                translations: 213,
            },
        }],
        queues: vec![Queue { port: "vm1".into(), pair: 1, worker: 2, frames: 301, batches: 302 }],
        bridges: vec![Bridge {
            name: "br0".into(),
            stations: 401,
            station_limit: 402,
            ageing_seconds: 300,
            ports: vec!["vm1".into(), "vm2".into()],
            moves: 403,
            held: 404,
            replaced: 405,
            aged: 406,
            loops: 407,
            held_stations: 408,
        }],
        ports: vec![port("vm1", 100), port("vm2", 500)],
        mirrors: vec![Mirror {
            name: "watch".into(),
            bridge: "br0".into(),
            to: "span0".into(),
            up: true,
        }],
        state: State { directory: Some("/var/lib/strowger".into()), error: None },
        captures: Captures { running: 701, frames: 702, lost: 703 },
        log: Log { lost_lines: 704 },
        process: Process {
            start_time_seconds: 601,
            resident_bytes: 602,
            virtual_bytes: 603,
            cpu_milliseconds: 60_400,
            threads: 605,
            open_files: 606,
            max_open_files: 607,
        },
        ..Status::default()
    }
}

fn full_exposition() -> Exposition {
    read(&render(&full())).unwrap_or_else(|error| panic!("{error}"))
}

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap()
}

#[test]
fn the_names_are_by_the_conventions() {
    let exposition = full_exposition();
    assert_eq!(lint(&exposition), Vec::<String>::new());
    let shown: Vec<_> = exposition.families.iter().map(|family| family.name.as_str()).collect();
    let declared: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(shown, declared);
    for (family, declared) in exposition.families.iter().zip(FAMILIES) {
        assert_eq!(family.kind, declared.kind.word(), "{}", family.name);
        assert!(!family.samples.is_empty(), "{} has a value here", family.name);
        for sample in &family.samples {
            let names: Vec<_> = sample.labels.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, declared.labels, "{}", family.name);
        }
    }
}

#[test]
fn every_figure_is_where_it_belongs() {
    let exposition = full_exposition();
    let value = |name: &str, labels: &[(&str, &str)]| exposition.value(name, labels);
    let vm1 = [("bridge", "br0"), ("port", "vm1")];
    let vm2 = [("bridge", "br0"), ("port", "vm2")];
    let worker = [("worker", "2")];
    let bridge = [("bridge", "br0")];
    for (name, labels, expected) in [
        ("strowger_build_info", &[("version", "1.2.3")][..], 1.0),
        ("strowger_uptime_seconds", &[], 77.0),
        ("strowger_state_kept", &[], 1.0),
        ("strowger_port_up", &vm1, 1.0),
        ("strowger_port_link_up", &vm1, 0.0),
        ("strowger_port_interface_present", &vm1, 1.0),
        ("strowger_port_mtu_bytes", &vm1, 9000.0),
        ("strowger_port_queue_pairs", &vm1, 4.0),
        ("strowger_port_rx_frames_total", &vm1, 101.0),
        ("strowger_port_rx_frames_total", &vm2, 501.0),
        ("strowger_port_rx_bytes_total", &vm1, 102.0),
        ("strowger_port_tx_frames_total", &vm1, 103.0),
        ("strowger_port_tx_bytes_total", &vm1, 104.0),
        ("strowger_port_dropped_frames_total", &vm1, 211.0),
        ("strowger_port_shaper_frames", &vm1, 107.0),
        ("strowger_worker_queues", &worker, 5.0),
        ("strowger_worker_frames_total", &worker, 201.0),
        ("strowger_worker_batches_total", &worker, 202.0),
        ("strowger_worker_empty_polls_total", &worker, 203.0),
        ("strowger_worker_sleeps_total", &worker, 204.0),
        ("strowger_worker_busy_cycles_total", &worker, 205.0),
        ("strowger_worker_busy_seconds_total", &worker, 1.000_000_206),
        ("strowger_worker_alive_seconds_total", &worker, 207.0),
        ("strowger_cache_flows", &worker, 208.0),
        ("strowger_cache_masks", &worker, 209.0),
        ("strowger_cache_hits_total", &[("worker", "2"), ("cache", "exact")], 210.0),
        ("strowger_cache_hits_total", &[("worker", "2"), ("cache", "masked")], 211.0),
        ("strowger_cache_misses_total", &worker, 212.0),
        ("strowger_cache_translations_total", &worker, 213.0),
        ("strowger_queue_frames_total", &[("port", "vm1"), ("pair", "1"), ("worker", "2")], 301.0),
        ("strowger_queue_batches_total", &[("port", "vm1"), ("pair", "1"), ("worker", "2")], 302.0),
        ("strowger_bridge_ports", &bridge, 2.0),
        ("strowger_bridge_stations", &bridge, 401.0),
        ("strowger_bridge_station_limit", &bridge, 402.0),
        ("strowger_bridge_station_moves_total", &bridge, 403.0),
        ("strowger_bridge_station_moves_held_total", &bridge, 404.0),
        ("strowger_bridge_stations_replaced_total", &bridge, 405.0),
        ("strowger_bridge_stations_aged_total", &bridge, 406.0),
        ("strowger_bridge_loops_total", &bridge, 407.0),
        ("strowger_bridge_stations_held", &bridge, 408.0),
        ("strowger_mirror_up", &[("bridge", "br0"), ("mirror", "watch"), ("to", "span0")], 1.0),
        ("strowger_captures", &[], 701.0),
        ("strowger_capture_frames_total", &[], 702.0),
        ("strowger_capture_lost_frames_total", &[], 703.0),
        ("strowger_log_lost_lines_total", &[], 704.0),
        ("process_start_time_seconds", &[], 601.0),
        ("process_resident_memory_bytes", &[], 602.0),
        ("process_virtual_memory_bytes", &[], 603.0),
        ("process_cpu_seconds_total", &[], 60.4),
        ("process_threads", &[], 605.0),
        ("process_open_fds", &[], 606.0),
        ("process_max_fds", &[], 607.0),
    ] {
        assert_eq!(value(name, labels), Some(expected), "{name} {labels:?}");
    }
    let by_reason = exposition.family("strowger_port_dropped_frames_by_reason_total");
    let of_vm1: Vec<_> = by_reason
        .samples
        .iter()
        .filter(|sample| sample.label("port") == Some("vm1"))
        .map(|sample| (sample.label("reason").unwrap(), sample.value))
        .collect();
    // In the order of the reasons' own table.
    assert_eq!(of_vm1, [("hairpin", 106.0), ("queue_full", 105.0)]);
    let info = &exposition.family("strowger_port_info").samples[0];
    assert_eq!(
        ["bridge", "port", "kind", "number", "vlan"].map(|name| info.label(name).unwrap()),
        ["br0", "vm1", "dev", "3", "tag 10"]
    );
}

#[test]
fn a_running_switch_exposes_them() {
    let directory = tempfile::tempdir().unwrap();
    let rundir = directory.path().join("run");
    let socket = directory.path().join("vm1.sock");
    let mut switch = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(["run", "--rundir"])
        .arg(&rundir)
        .args(["--bridge", "br0", "--port"])
        .arg(format!("vhost-user:vm1={}", socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(switch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let text = Client::unix(rundir.join("control.sock")).text("/metrics");
    switch.kill().unwrap();
    switch.wait().unwrap();
    assert_eq!(line, "ready\n");

    let exposition = read(&text.unwrap()).unwrap();
    assert_eq!(lint(&exposition), Vec::<String>::new());
    let value = |name: &str, labels: &[(&str, &str)]| exposition.value(name, labels);
    let vm1 = [("bridge", "br0"), ("port", "vm1")];
    assert_eq!(value("strowger_port_up", &vm1), Some(0.0), "it has no guest");
    assert_eq!(value("strowger_bridge_ports", &[("bridge", "br0")]), Some(1.0));
    assert_eq!(value("strowger_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(exposition.family("strowger_worker_frames_total").samples.len(), 1);
    // What the kernel says of the process: nothing of it is 0 in one that runs.
    for name in [
        "strowger_worker_alive_seconds_total",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_threads",
        "process_open_fds",
        "process_max_fds",
    ] {
        assert!(exposition.family(name).samples[0].value > 0.0, "{name}");
    }
}

#[test]
fn what_a_port_does_not_have_is_left_out() {
    let status = Status { ports: vec![Port::default()], ..Status::default() };
    let exposition = read(&render(&status)).unwrap();
    for name in [
        "strowger_port_link_up",
        "strowger_port_interface_present",
        "strowger_port_mtu_bytes",
        "strowger_port_shaper_frames",
        "strowger_port_dropped_frames_by_reason_total",
    ] {
        assert!(exposition.family(name).samples.is_empty(), "{name}");
    }
    assert_eq!(exposition.value("strowger_state_kept", &[]), Some(0.0));
}

#[test]
fn every_reason_to_drop_has_its_series() {
    let drops = DropReason::ALL.iter().map(|reason| (reason.name().to_owned(), 1)).collect();
    let port = Port { name: "vm1".into(), drops, ..Port::default() };
    let exposition = read(&render(&Status { ports: vec![port], ..Status::default() })).unwrap();
    let by_reason = exposition.family("strowger_port_dropped_frames_by_reason_total");
    assert_eq!(by_reason.samples.len(), DropReason::COUNT);
}

#[test]
fn labels_are_escaped() {
    let name = "a\"b\\c\nd}e{f=,é";
    let port = Port { name: name.into(), bridge: "br\\".into(), up: true, ..Port::default() };
    let text = render(&Status { ports: vec![port], ..Status::default() });
    assert!(text.contains(r#"{bridge="br\\",port="a\"b\\c\nd}e{f=,é"} 1"#), "{text}");
    let exposition = read(&text).unwrap();
    assert_eq!(
        exposition.value("strowger_port_up", &[("bridge", "br\\"), ("port", name)]),
        Some(1.0)
    );
}

#[test]
fn a_thousand_ports_have_their_series_each() {
    let status = Status {
        ports: (0..1000)
            .map(|number| Port {
                name: format!("vm{number}"),
                rx_frames: number,
                ..Port::default()
            })
            .collect(),
        ..Status::default()
    };
    let exposition = read(&render(&status)).unwrap();
    let frames = exposition.family("strowger_port_rx_frames_total");
    let values: Vec<_> = frames.samples.iter().map(|sample| sample.value as usize).collect();
    assert_eq!(values, (0..1000).collect::<Vec<_>>());
}

#[test]
fn the_reference_is_that_of_the_code() {
    let path = root().join("docs/reference/metrics.md");
    let real = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, real).unwrap();
    } else {
        assert!(
            fs::read_to_string(path).unwrap_or_default() == real,
            "UPDATE_DOCS=1 writes docs/reference/metrics.md anew"
        );
    }
}

/// All panels, those in rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let of = |value: &'_ Value| value["panels"].as_array().cloned().unwrap_or_default().len();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("a dashboard has panels") {
        found.push(panel);
        if of(panel) > 0 {
            found.extend(panel["panels"].as_array().unwrap());
        }
    }
    found
}

/// The words of a query that are metrics: they begin as ours do.
fn metrics_in(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("strowger_") || word.starts_with("process_"))
}

#[test]
fn the_dashboard_is_one_and_asks_for_what_there_is() {
    let text = fs::read_to_string(root().join("docs/grafana/strowger.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dashboard["title"], "Strowger");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    assert!(dashboard["uid"].as_str().is_some_and(|uid| (1..=40).contains(&uid.len())));
    assert!(dashboard["id"].is_null(), "Grafana gives it one");
    assert!(dashboard["time"]["from"].is_string() && dashboard["time"]["to"].is_string());

    let declared: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    let (mut ids, mut asked, mut taken) =
        (BTreeSet::new(), BTreeSet::new(), Vec::<(&str, [u64; 4])>::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a panel has a title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w >= 1 && h >= 1 && x + w <= 24, "{title} is out of the page");
        for (other, [left, top, width, height]) in &taken {
            let apart = x + w <= *left || left + width <= x || y + h <= *top || top + height <= y;
            assert!(apart, "{title} covers {other}");
        }
        taken.push((title, [x, y, w, h]));
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["type"], "prometheus", "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title}");
        let targets = panel["targets"].as_array().expect("a panel has queries");
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            assert_eq!(query.matches('(').count(), query.matches(')').count(), "{title}: {query}");
            let mut any = false;
            for metric in metrics_in(query) {
                assert!(declared.contains(metric), "{title}: there is no metric {metric}");
                // A counter is looked at by its rate.
                let grows = metric.ends_with("_total");
                assert!(
                    !grows || query.contains("rate(") || query.contains("increase("),
                    "{query}"
                );
                asked.insert(metric);
                any = true;
            }
            assert!(any, "{title}: {query} asks for nothing of ours");
        }
    }
    for (wanted, why) in [
        ("strowger_port_rx_bytes_total", "ports and top talkers"),
        ("strowger_port_dropped_frames_by_reason_total", "drops by reason"),
        ("strowger_worker_busy_seconds_total", "load of workers"),
        ("strowger_cache_hits_total", "hit rate"),
        ("strowger_bridge_loops_total", "loops"),
        ("strowger_port_up", "ports"),
        ("process_resident_memory_bytes", "memory"),
    ] {
        assert!(asked.contains(wanted), "the dashboard does not show {wanted}: {why}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for name in ["datasource", "instance", "bridge"] {
        assert!(variables.iter().any(|variable| variable["name"] == name), "no variable {name}");
    }
    for variable in variables {
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        for metric in metrics_in(query) {
            assert!(declared.contains(metric), "there is no metric {metric}");
        }
    }
}
