//! Everything of one port.

use std::fmt::Write;

use crate::{
    cli::{
        rates::dropped,
        screen::Look,
        table::{Tone, printable},
    },
    config::keys,
    control::{Port, Queue, Status, object::PortItem},
};

/// What `port show` says of a port: what it is, what it is told to be, what went through it.
pub(in crate::cli) fn port(item: &PortItem, status: &Status, look: &Look) -> String {
    let Some(port) = &item.status else {
        return format!("port {} goes at this moment\n", printable(&item.name));
    };
    let mut lines: Vec<(&str, String, Tone)> = Vec::new();
    let mut line = |name, value: String, tone| lines.push((name, printable(&value), tone));
    line("port", port.name.clone(), Tone::Plain);
    line("bridge", format!("{}, number {}", port.bridge, port.number), Tone::Plain);
    line("kind", port.kind.clone(), Tone::Plain);
    if port.up {
        line("link", "up".to_owned(), Tone::Good);
    } else {
        line("link", why_down(port), Tone::Odd);
    }
    if let Some(error) = &port.last_error {
        line("last error", error.clone(), Tone::Bad);
    }
    if let Some(path) = &port.path {
        line("socket", path.clone(), Tone::Plain);
    }
    if let Some(interface) = &port.interface {
        line("interface", interface.clone(), Tone::Plain);
    }
    if let Some(mac) = &port.mac {
        line("mac", mac.clone(), Tone::Plain);
    }
    if let Some(mtu) = port.mtu {
        line("mtu", format!("{mtu} bytes"), Tone::Plain);
    }
    if let Some(mtu) = guest_mtu(port, status) {
        line("mtu for guest", mtu, Tone::Plain);
    }
    line("vlan", port.vlan.clone(), Tone::Plain);
    // What it is told, but what is said above already.
    for (key, value) in keys::given(&item.config) {
        match key {
            "bridge" | "kind" | "path" | "interface" | "number" => {}
            "tag" | "trunks" | "native" | "dot1q-tunnel" => {}
            "egress-rate" => {
                let waiting = port.shaper_frames.map(|frames| format!(", {frames} frames wait"));
                line(key, format!("{value}{}", waiting.unwrap_or_default()), Tone::Plain);
            }
            key => line(key, value, Tone::Plain),
        }
    }
    let mirrored: Vec<_> = status
        .mirrors
        .iter()
        .filter(|mirror| mirror.to == port.name)
        .map(|mirror| mirror.name.as_str())
        .collect();
    if !mirrored.is_empty() {
        line("receives mirrors", mirrored.join(" "), Tone::Plain);
    }
    line("queue pairs", queues(port, &status.queues), Tone::Plain);
    line("received", format!("{} frames, {} bytes", port.rx_frames, port.rx_bytes), Tone::Plain);
    line("sent", format!("{} frames, {} bytes", port.tx_frames, port.tx_bytes), Tone::Plain);
    match dropped(port) {
        0 => line("dropped", "nothing".to_owned(), Tone::Plain),
        frames => line("dropped", format!("{frames} frames"), Tone::Odd),
    }
    for drop in status.drops().into_iter().filter(|drop| drop.port == port.name) {
        line("", format!("{} {}: {}", drop.reason, drop.frames, drop.explanation), Tone::Plain);
        if !drop.remedy.is_empty() {
            line("", format!("  what to do: {}", drop.remedy), Tone::Plain);
        }
    }
    let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value, tone) in lines {
        // Writing to a String cannot fail.
        let _always_ok = writeln!(text, "{name:<width$}  {}", look.paint(&value, tone));
    }
    text
}

/// The MTU that a guest should have: the least of what its bridge's interfaces take, where one tells.
fn guest_mtu(port: &Port, status: &Status) -> Option<String> {
    if !port.kind.starts_with("vhost-user") {
        return None;
    }
    let others = status.ports.iter().filter(|other| other.bridge == port.bridge);
    let interfaces = others.filter(|other| other.interface.is_some());
    let least = interfaces.filter_map(|other| Some((other.mtu?, &other.name))).min()?;
    Some(format!("at most {} bytes, as port {} takes", least.0, least.1))
}

/// What a port that is down waits for.
fn why_down(port: &Port) -> String {
    let why = match port {
        Port { present: Some(false), .. } => "its interface is not there",
        Port { link: Some(false), .. } => "its interface has no link",
        Port { kind, .. } if kind == "vhost-user-client" => {
            "no guest's side listens at its socket, or its driver has not started yet"
        }
        Port { kind, .. } if kind == "vhost-user" => {
            "no guest has connected to its socket, or its driver has not started yet"
        }
        _ => return "down".to_owned(),
    };
    format!("down: {why}")
}

/// How many there are, and who serves them.
fn queues(port: &Port, queues: &[Queue]) -> String {
    let served: Vec<_> = queues
        .iter()
        .filter(|queue| queue.port == port.name)
        .map(|queue| format!("{} by core {}", queue.pair, queue.worker))
        .collect();
    if served.is_empty() {
        return port.queue_pairs.to_string();
    }
    format!("{} (queue {})", port.queue_pairs, served.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{PortConfig, PortKind},
        control::Mirror,
    };

    #[test]
    fn everything_of_a_port_is_shown() {
        let shown = Port {
            name: "vm1".into(),
            number: 3,
            bridge: "br0".into(),
            kind: "vhost-user".into(),
            queue_pairs: 2,
            vlan: "access 10".into(),
            rx_frames: 5,
            rx_bytes: 500,
            drops: [("queue_full".to_owned(), 7)].into(),
            mtu: Some(1500),
            path: Some("/run/strowger/vm1.sock".into()),
            last_error: Some("the guest\x1b went away".into()),
            shaper_frames: Some(4),
            ..Port::default()
        };
        let mut config = PortConfig::new("br0", PortKind::VhostUser);
        config.tag = Some(10);
        config.queues = Some(4);
        config.egress_rate = Some("100Mbit".parse().unwrap());
        let item = |status| PortItem { name: "vm1".into(), config: config.clone(), status };
        let uplink = Port {
            name: "uplink".into(),
            bridge: "br0".into(),
            interface: Some("eth1".into()),
            mtu: Some(1400),
            ..Port::default()
        };
        let status = Status {
            ports: vec![shown.clone(), uplink],
            queues: vec![Queue { port: "vm1".into(), worker: 6, ..Queue::default() }],
            mirrors: vec![Mirror { name: "watch".into(), to: "vm1".into(), ..Mirror::default() }],
            ..Status::default()
        };
        let text = port(&item(Some(shown.clone())), &status, &Look::plain());
        for part in [
            "bridge            br0, number 3\n",
            "link              down: no guest has connected",
            "last error        the guest\\u{1b} went away\n",
            "socket            /run/strowger/vm1.sock\n",
            "mtu               1500 bytes\n",
            "vlan              access 10\n",
            "mtu for guest     at most 1400 bytes, as port uplink takes\n",
            "queues            4\n",
            "egress-rate       100Mbit, 4 frames wait\n",
            "receives mirrors  watch\n",
            "queue pairs       2 (queue 0 by core 6)\n",
            "received          5 frames, 500 bytes\n",
            "dropped           7 frames\n",
            "queue_full 7: ",
            "what to do: ",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let up = Port { up: true, drops: [].into(), last_error: None, ..shown };
        let text = port(&item(Some(up)), &Status::default(), &Look::plain());
        assert!(
            text.contains("link         up\n") && text.contains("dropped      nothing\n"),
            "{text}"
        );
        assert!(!text.contains("error") && !text.contains("guest"), "{text}");
        assert!(port(&item(None), &status, &Look::plain()).contains("port vm1 goes"));
    }
}
