//! What the containers send each other: as many small datagrams as one core makes, or one TCP connection.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::ground::Ground;
use crate::{
    Error, Result,
    process::{Process, run},
    wait,
};

/// How long the switch may take to forward its first frame.
const PATIENCE: u64 = 60;
/// The time before the measurement, for caches and clocks.
const WARM_UP: Duration = Duration::from_secs(1);
/// Sends 64 datagrams of 18 bytes with each call (`UDP_SEGMENT`), which the kernel cuts before the interface: no other
/// way makes as many on one core.
const SENDER: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 18)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
s.connect((sys.argv[1], 7000))
datagrams = bytes(18 * 64)
print('sending', flush=True)
while True:
    try:
        while True:
            s.send(datagrams)
    except ConnectionRefusedError:
        pass
";
/// Keeps the port open and reads nothing: what is counted is what arrives at the interface.
const SINK: &str = "
import socket, signal
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 7000))
print('there', flush=True)
signal.pause()
";

fn start(ground: &Ground, container: usize, words: &[&str], log: &Path) -> Result<Process> {
    let before = ground.inside(container);
    let all = before.iter().map(String::as_str).chain(words.iter().copied());
    Process::start(ground.runner(), all, &[], log.to_owned())
}

/// Gives thousands of frames a second: sent, and received.
pub(super) fn small(ground: &Ground, logs: &Path, time: Duration) -> Result<(f64, f64)> {
    let mut sink = start(ground, 1, &["python3", "-c", SINK], &logs.join("sink.log"))?;
    sink.until_printed(0, PATIENCE, "the sink", |text| text.contains("there"))?;
    let words = ["python3", "-c", SENDER, ground.receiver()];
    let mut sender = start(ground, 0, &words, &logs.join("sender.log"))?;
    sender.until_printed(0, PATIENCE, "the sender", |text| text.contains("sending"))?;
    wait::pass(WARM_UP)?;
    let (before, began) = (ground.counters()?, Instant::now());
    wait::pass(time)?;
    let (after, took) = (ground.counters()?, began.elapsed().as_secs_f64());
    sender.alive()?;
    sink.alive()?;
    let rate = |which: usize| after[which].saturating_sub(before[which]) as f64 / took / 1e3;
    Ok((rate(0), rate(1)))
}

/// Gives the bits of one TCP connection that arrived, in thousand millions a second.
pub(super) fn bulk(ground: &Ground, logs: &Path, time: Duration) -> Result<f64> {
    let log = logs.join("iperf3-server.log");
    let mut server = start(ground, 1, &["iperf3", "-s", "-p", "7001"], &log)?;
    server.until_printed(0, PATIENCE, "the server", |text| text.contains("listening"))?;
    let seconds = time.as_secs().max(1).to_string();
    let words = ["iperf3", "-c", ground.receiver(), "-p", "7001", "-J", "-t", &seconds];
    let all: Vec<String> = ground
        .inside(0)
        .into_iter()
        .chain(words.map(str::to_owned))
        .chain(["-O".into(), "1".into()])
        .collect();
    // Refused as long as the switch does not forward.
    let text = server.until("a TCP connection through the switch", PATIENCE, || {
        match run(ground.runner(), &all, &[]) {
            Ok(text) => Ok(Some(text)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(_) => Ok(None),
        }
    })?;
    received(&text).ok_or_else(|| Error::Unsuitable(format!("iperf3 printed no result: {text}")))
}

fn received(text: &str) -> Option<f64> {
    let all: Value = serde_json::from_str(text).ok()?;
    Some(all.get("end")?.get("sum_received")?.get("bits_per_second")?.as_f64()? / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iperf3_prints_is_read() {
        let text = r#"{"end": {"sum_received": {"bits_per_second": 1.25e10}}}"#;
        assert_eq!(received(text), Some(12.5));
        assert_eq!(received(r#"{"error": "unable to connect"}"#), None);
    }
}
