//! Tables for people.

use std::fmt::Write;

use super::{Drop, Status};

/// A column's side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}
use Side::{Left, Right};

/// All of a status.
#[must_use]
pub fn status_tables(status: &Status) -> String {
    let workers = status.workers.iter().map(|worker| {
        let numbers =
            [worker.frames, worker.batches, worker.empty_polls, worker.sleeps, worker.busy_cycles];
        let mut row = vec![worker.core.to_string(), worker.queues.to_string()];
        row.extend(numbers.map(|number| number.to_string()));
        row
    });
    let bridges = status.bridges.iter().map(|bridge| {
        let ports = if bridge.ports.is_empty() { "-".to_owned() } else { bridge.ports.join(" ") };
        vec![bridge.name.clone(), bridge.stations.to_string(), ports]
    });
    let ports = status.ports.iter().map(|port| {
        let dropped = port.drops.values().fold(0_u64, |sum, frames| sum.saturating_add(*frames));
        let mut row = vec![
            port.name.clone(),
            port.bridge.clone(),
            port.number.to_string(),
            port.kind.clone(),
        ];
        row.push(if port.up { "up" } else { "down" }.to_owned());
        row.extend([port.queue_pairs.to_string(), port.vlan.clone()]);
        row.extend(
            [port.rx_frames, port.rx_bytes, port.tx_frames, port.tx_bytes, dropped]
                .map(|n| n.to_string()),
        );
        row
    });
    let mut text = format!(
        "strowger {}, process {}, up for {} s\n\n",
        status.version, status.pid, status.uptime_seconds
    );
    text += &table(
        &[
            ("CORE", Right),
            ("QUEUES", Right),
            ("FRAMES", Right),
            ("BATCHES", Right),
            ("EMPTY POLLS", Right),
            ("SLEEPS", Right),
            ("BUSY CYCLES", Right),
        ],
        workers,
    );
    text.push('\n');
    text += &table(&[("BRIDGE", Left), ("STATIONS", Right), ("PORTS", Left)], bridges);
    text.push('\n');
    text += &table(
        &[
            ("PORT", Left),
            ("BRIDGE", Left),
            ("NUMBER", Right),
            ("KIND", Left),
            ("LINK", Left),
            ("QUEUES", Right),
            ("VLAN", Left),
            ("RX FRAMES", Right),
            ("RX BYTES", Right),
            ("TX FRAMES", Right),
            ("TX BYTES", Right),
            ("DROPS", Right),
        ],
        ports,
    );
    text
}

/// What was dropped, or that nothing was.
#[must_use]
pub fn drops_table(drops: &[Drop]) -> String {
    if drops.is_empty() {
        return "nothing was dropped\n".to_owned();
    }
    let rows = drops.iter().map(|drop| {
        vec![
            drop.port.clone(),
            drop.reason.clone(),
            drop.frames.to_string(),
            drop.explanation.clone(),
        ]
    });
    table(&[("PORT", Left), ("REASON", Left), ("FRAMES", Right), ("EXPLANATION", Left)], rows)
}

/// Lines of cells, as wide as each column's widest, two spaces apart.
fn table(columns: &[(&str, Side)], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut lines = vec![columns.iter().map(|&(title, _)| title.to_owned()).collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for ((cell, &width), &(_, side)) in line.iter().zip(&widths).zip(columns) {
            // Writing to a String cannot fail.
            let _always_ok = match side {
                Left => write!(row, "{cell:<width$}  "),
                Right => write!(row, "{cell:>width$}  "),
            };
        }
        text += row.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Bridge, Port, Worker};
    use super::*;

    #[test]
    fn columns_align() {
        let text = table(
            &[("A", Left), ("NUMBER", Right), ("B", Left)],
            [["x", "1", "y"], ["longer", "1234567", "z"]]
                .into_iter()
                .map(|row| row.map(str::to_owned).to_vec()),
        );
        assert_eq!(text, "A        NUMBER  B\nx             1  y\nlonger  1234567  z\n");
    }

    #[test]
    fn a_status_shows_each_thing_once() {
        let port = Port {
            name: "vm1".into(),
            bridge: "br0".into(),
            number: 3,
            kind: "vhost-user".into(),
            up: true,
            vlan: "access 7".into(),
            drops: [("truncated".to_owned(), 2), ("queue_full".to_owned(), 3)].into(),
            ..Port::default()
        };
        let status = Status {
            version: "1.2".into(),
            workers: vec![Worker { core: 5, ..Worker::default() }],
            bridges: vec![Bridge {
                name: "br0".into(),
                stations: 9,
                ports: vec!["vm1".into()],
                ..Bridge::default()
            }],
            ports: vec![port],
            ..Status::default()
        };
        let text = status_tables(&status);
        let words: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(text.starts_with("strowger 1.2,"));
        assert!(words.contains(&vec!["5", "0", "0", "0", "0", "0", "0"]));
        assert!(words.contains(&vec!["br0", "9", "vm1"]));
        let row = "vm1 br0 3 vhost-user up 0 access 7 0 0 0 0 5";
        assert!(words.contains(&row.split(' ').collect()), "{text}");
    }

    #[test]
    fn no_drops_is_said() {
        assert_eq!(drops_table(&[]), "nothing was dropped\n");
        let drop = Drop {
            port: "a".into(),
            reason: "truncated".into(),
            frames: 7,
            explanation: "It ends.".into(),
            remedy: String::new(),
        };
        assert_eq!(
            drops_table(&[drop]),
            "PORT  REASON     FRAMES  EXPLANATION\na     truncated       7  It ends.\n"
        );
    }
}
