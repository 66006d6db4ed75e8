//! Two containers and a host between them: network namespaces, joined by veth pairs.

use std::{ffi::OsStr, path::PathBuf};

use serde_json::Value;

use crate::{
    Error, Result,
    process::{find, run},
};

/// The host's interfaces, one to each container.
pub(super) const PORTS: [&str; 2] = ["p0", "p1"];
/// The interface in each container.
const INSIDE: &str = "eth0";
/// The containers' addresses.
const ADDRESSES: [&str; 2] = ["10.9.0.1", "10.9.0.2"];
const MACS: [&str; 2] = ["02:00:00:00:09:01", "02:00:00:00:09:02"];

/// Whether a container leaves checksums and cutting to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offloads {
    On,
    Off,
}

/// The namespaces, removed when dropped.
#[derive(Debug)]
pub(super) struct Ground {
    ip: PathBuf,
    switch: String,
    containers: [String; 2],
}

impl Ground {
    pub(super) fn new() -> Result<Self> {
        let name = |what: &str| format!("strowger-bench-{what}-{}", std::process::id());
        let ground = Self {
            ip: find("ip", "iproute2")?,
            switch: name("switch"),
            containers: [name("a"), name("b")],
        };
        ground.ip(["netns", "add", &ground.switch])?;
        for number in [0, 1] {
            let (container, port) = (&ground.containers[number], PORTS[number]);
            ground.ip(["netns", "add", container])?;
            let at = ["-n", &ground.switch, "link", "add", port, "type", "veth", "peer", "name"];
            ground.ip(at.into_iter().chain([
                INSIDE,
                "address",
                MACS[number],
                "netns",
                container,
            ]))?;
            ground.ip(["-n", &ground.switch, "link", "set", port, "up"])?;
            ground.ip(["-n", container, "link", "set", INSIDE, "up"])?;
            let address = format!("{}/24", ADDRESSES[number]);
            ground.ip(["-n", container, "addr", "add", &address, "dev", INSIDE])?;
            let other = 1 - number;
            let neighbour = ["neigh", "add", ADDRESSES[other], "lladdr", MACS[other]];
            let at = ["-n", container].into_iter().chain(neighbour).chain(["dev", INSIDE]);
            ground.ip(at)?;
        }
        Ok(ground)
    }

    /// The namespace of the switch.
    pub(super) fn switch(&self) -> &str {
        &self.switch
    }

    /// The second container's address.
    pub(super) fn receiver(&self) -> &'static str {
        ADDRESSES[1]
    }

    /// The words before a program's own that run it in a container, on the core that makes the traffic.
    pub(super) fn inside(&self, container: usize) -> [String; 6] {
        let core = crate::TRAFFIC_CORE.to_string();
        let words = ["netns", "exec", &self.containers[container], "taskset", "-c", &core];
        words.map(str::to_owned)
    }

    /// `ip`, whose arguments [`inside`](Self::inside) gives.
    pub(super) fn runner(&self) -> &PathBuf {
        &self.ip
    }

    pub(super) fn set(&self, offloads: Offloads) -> Result<()> {
        let (checksums, segments) = match offloads {
            Offloads::On => ("on", "on"),
            Offloads::Off => ("off", "off"),
        };
        for container in &self.containers {
            let tool = ["netns", "exec", container, "ethtool", "-K", INSIDE];
            let words = ["tx", checksums, "tso", segments, "tx-udp-segmentation", segments];
            self.ip(tool.into_iter().chain(words))?;
        }
        Ok(())
    }

    /// Frames that the first container has sent, and that the second has received.
    pub(super) fn counters(&self) -> Result<[u64; 2]> {
        Ok([self.counter(0, "tx")?, self.counter(1, "rx")?])
    }

    fn counter(&self, container: usize, direction: &str) -> Result<u64> {
        let name = &self.containers[container];
        let text = self.ip(["-j", "-s", "-n", name, "link", "show", "dev", INSIDE])?;
        packets(&text, direction)
            .ok_or_else(|| Error::Unsuitable(format!("`ip -s link` printed no counters: {text}")))
    }

    fn ip(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        run(&self.ip, words, &[])
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for name in self.containers.iter().chain([&self.switch]) {
            // It may not have been made; and a run that was interrupted starts no programs by `run`.
            let _ = std::process::Command::new(&self.ip)
                .args(["netns", "del", name])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

fn packets(text: &str, direction: &str) -> Option<u64> {
    let all: Value = serde_json::from_str(text).ok()?;
    all.get(0)?.get("stats64")?.get(direction)?.get("packets")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let text = r#"[{"ifname":"eth0","stats64":{"rx":{"packets":7},"tx":{"packets":9}}}]"#;
        assert_eq!((packets(text, "rx"), packets(text, "tx")), (Some(7), Some(9)));
        assert_eq!(packets("[]", "rx"), None);
    }
}
