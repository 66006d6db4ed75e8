//! Bridges, ports, mirrors and stations, and all of a status.

use super::{link, names};
use crate::{
    cli::{
        rates::{WorkerRate, dropped},
        screen::Look,
        table::{Cell, Column, Sheet, Tone, lost, printable},
        units::duration,
    },
    config::keys,
    control::{Bridge, Mirror, Port, Station, Status, object::MirrorItem},
};

/// All that a switch says of itself, but the queues.
pub(in crate::cli) fn status(status: &Status, look: &Look) -> String {
    let mut text = format!(
        "strowger {}, process {}, up for {}\n",
        printable(&status.version),
        status.pid,
        duration(status.uptime_seconds)
    );
    if let Some(error) = &status.state.error {
        text += &look.paint(&printable(error), Tone::Bad);
        text.push('\n');
    }
    text.push('\n');
    let mut workers = Sheet::new(&[
        Column::number("CORE"),
        Column::number("QUEUES"),
        Column::number("LOAD %"),
        Column::number("FRAMES"),
        Column::number("BATCHES").rank(1),
        Column::number("EMPTY POLLS").rank(3),
        Column::number("SLEEPS").rank(2),
    ]);
    for worker in &status.workers {
        let load = WorkerRate::since_start(worker).load * 100.0;
        workers.row(vec![
            worker.core.into(),
            worker.queues.into(),
            format!("{load:.1}").into(),
            worker.frames.into(),
            worker.batches.into(),
            worker.empty_polls.into(),
            worker.sleeps.into(),
        ]);
    }
    text += &workers.render(look);
    text.push('\n');
    text += &bridges(&status.bridges, look);
    text.push('\n');
    text += &ports(&status.ports, look);
    if !status.mirrors.is_empty() {
        text.push('\n');
        text += &mirrors_in_short(&status.mirrors, look);
    }
    text
}

/// One line a bridge.
pub(in crate::cli) fn bridges(bridges: &[Bridge], look: &Look) -> String {
    let mut sheet = Sheet::new(&[
        Column::word("BRIDGE"),
        Column::number("STATIONS"),
        Column::number("LIMIT").rank(3),
        Column::number("AGEING S").rank(4),
        Column::number("MOVES").rank(2),
        Column::number("LOOPS"),
        Column::number("HELD").rank(1),
        Column::text("PORTS"),
    ]);
    for bridge in bridges {
        sheet.row(vec![
            (&bridge.name).into(),
            bridge.stations.into(),
            bridge.station_limit.into(),
            bridge.ageing_seconds.into(),
            bridge.moves.into(),
            lost(bridge.loops),
            lost(bridge.held_stations as u64),
            names(&bridge.ports).into(),
        ]);
    }
    sheet.render(look)
}

/// One line a port.
pub(in crate::cli) fn ports(ports: &[Port], look: &Look) -> String {
    let mut sheet = Sheet::new(&[
        Column::word("PORT"),
        Column::word("BRIDGE").rank(3),
        Column::number("NUMBER").rank(5),
        Column::word("KIND").rank(2),
        Column::word("LINK"),
        Column::number("QUEUES").rank(6),
        Column::word("VLAN").rank(1),
        Column::number("RX FRAMES"),
        Column::number("RX BYTES").rank(4),
        Column::number("TX FRAMES"),
        Column::number("TX BYTES").rank(4),
        Column::number("DROPS"),
    ]);
    for port in ports {
        sheet.row(vec![
            (&port.name).into(),
            (&port.bridge).into(),
            port.number.into(),
            (&port.kind).into(),
            match port.last_error {
                Some(_) if !port.up => Cell::new("down", Tone::Bad),
                _ => link(port.up),
            },
            port.queue_pairs.into(),
            (&port.vlan).into(),
            port.rx_frames.into(),
            port.rx_bytes.into(),
            port.tx_frames.into(),
            port.tx_bytes.into(),
            lost(dropped(port)),
        ]);
    }
    sheet.render(look)
}

/// One line a mirror, with what it copies.
pub(in crate::cli) fn mirrors(mirrors: &[MirrorItem], look: &Look) -> String {
    let mut sheet = Sheet::new(&[
        Column::word("MIRROR"),
        Column::word("BRIDGE").rank(3),
        Column::word("TO"),
        Column::word("LINK"),
        Column::word("DIRECTION").rank(2),
        Column::text("PORTS"),
        Column::text("VLANS").rank(1),
    ]);
    for MirrorItem { name, config, status } in mirrors {
        let all =
            |list: Vec<String>| if list.is_empty() { "all".to_owned() } else { list.join(" ") };
        sheet.row(vec![
            name.into(),
            (&config.bridge).into(),
            (&config.to).into(),
            link(status.as_ref().is_some_and(|status| status.up)),
            keys::get(config, "direction").unwrap_or_default().into(),
            all(config.ports.clone()).into(),
            all(config.vlans.iter().map(ToString::to_string).collect()).into(),
        ]);
    }
    sheet.render(look)
}

fn mirrors_in_short(mirrors: &[Mirror], look: &Look) -> String {
    let mut sheet = Sheet::new(&[
        Column::word("MIRROR"),
        Column::word("BRIDGE"),
        Column::word("TO"),
        Column::word("LINK"),
    ]);
    for mirror in mirrors {
        sheet.row(vec![
            (&mirror.name).into(),
            (&mirror.bridge).into(),
            (&mirror.to).into(),
            link(mirror.up),
        ]);
    }
    sheet.render(look)
}

/// One line a station.
pub(in crate::cli) fn stations(stations: &[Station], look: &Look) -> String {
    let mut sheet = Sheet::new(&[
        Column::word("BRIDGE"),
        Column::number("VLAN"),
        Column::word("MAC"),
        Column::word("PORT"),
        Column::number("AGE S"),
        Column::word("HELD"),
    ]);
    for station in stations {
        sheet.row(vec![
            (&station.bridge).into(),
            if station.vlan == 0 { "-".into() } else { station.vlan.into() },
            (&station.mac).into(),
            (&station.port).into(),
            station.age_seconds.into(),
            if station.held { Cell::new("held", Tone::Odd) } else { "-".into() },
        ]);
    }
    sheet.render(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{State, Worker};

    fn words(text: &str) -> Vec<Vec<&str>> {
        text.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    fn example() -> Status {
        let port = Port {
            name: "vm1".into(),
            bridge: "br0".into(),
            number: 3,
            kind: "vhost-user".into(),
            up: true,
            vlan: "access 7".into(),
            rx_frames: 12_345_678_901,
            rx_bytes: 9_876_543_210_987,
            tx_frames: 22_345_678_901,
            tx_bytes: 8_876_543_210_987,
            drops: [("truncated".to_owned(), 2), ("queue_full".to_owned(), 3)].into(),
            ..Port::default()
        };
        Status {
            version: "1.2".into(),
            uptime_seconds: 7260,
            workers: vec![Worker {
                core: 5,
                busy_nanos: 1,
                alive_nanos: 4,
                frames: 77,
                ..Worker::default()
            }],
            bridges: vec![Bridge {
                name: "br0".into(),
                stations: 9,
                station_limit: 8192,
                ageing_seconds: 300,
                loops: 2,
                ports: vec!["vm1".into()],
                ..Bridge::default()
            }],
            ports: vec![port],
            ..Status::default()
        }
    }

    #[test]
    fn a_status_shows_each_thing_once() {
        let text = status(&example(), &Look::plain());
        assert!(text.starts_with("strowger 1.2, process 0, up for 2 h 1 min\n\n"), "{text}");
        let words = words(&text);
        assert!(words.contains(&vec!["5", "0", "25.0", "77", "0", "0", "0"]), "{text}");
        assert!(words.contains(&vec!["br0", "9", "8192", "300", "0", "2", "0", "vm1"]), "{text}");
        let row = "vm1 br0 3 vhost-user up 0 access 7 12345678901 9876543210987 22345678901 8876543210987 5";
        assert!(words.contains(&row.split(' ').collect()), "{text}");
        assert!(!text.contains("MIRROR"));
    }

    #[test]
    fn a_status_fits_an_old_terminal_and_keeps_what_matters() {
        let text = status(&example(), &Look { width: Some(80), ..Look::plain() });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = text.lines().find(|line| line.starts_with("vm1")).unwrap();
        assert!(row.contains("up") && row.contains("12345678901") && row.ends_with('5'), "{text}");
        assert!(text.contains("(no room for "), "{text}");
    }

    #[test]
    fn what_cannot_be_kept_is_said_first() {
        let state = State { directory: Some("/x".into()), error: Some("/x is read-only".into()) };
        let mirror = Mirror { name: "watch".into(), to: "span0".into(), ..Mirror::default() };
        let all = Status { state, mirrors: vec![mirror], ..example() };
        let text = status(&all, &Look::plain());
        assert_eq!(text.lines().nth(1), Some("/x is read-only"));
        assert!(words(&text).contains(&vec!["watch", "span0", "down"]), "{text}");
    }

    #[test]
    fn a_mirror_is_shown_with_what_it_copies() {
        let mut config = crate::config::MirrorConfig::new("br0", "span0");
        config.ports = vec!["vm1".into(), "vm2".into()];
        let up = Mirror { up: true, ..Mirror::default() };
        let item = MirrorItem { name: "watch".into(), config, status: Some(up) };
        let text = mirrors(&[item], &Look::plain());
        assert_eq!(
            words(&text)[1],
            ["watch", "br0", "span0", "up", "both", "vm1", "vm2", "all"],
            "{text}"
        );
    }

    #[test]
    fn stations_are_shown_with_their_vlan_if_they_have_one() {
        let one = Station {
            bridge: "br0".into(),
            vlan: 0,
            mac: "52:54:00:00:00:01".into(),
            port: "vm1".into(),
            age_seconds: 12,
            held: false,
        };
        let other = Station { vlan: 7, held: true, ..one.clone() };
        let text = stations(&[one, other], &Look::plain());
        assert_eq!(
            words(&text)[1..],
            [
                vec!["br0", "-", "52:54:00:00:00:01", "vm1", "12", "-"],
                vec!["br0", "7", "52:54:00:00:00:01", "vm1", "12", "held"],
            ]
        );
    }
}
