//! Numbered UDP datagrams, sent and counted: what busybox has no command for.
//!
//! `datagrams send ADDRESS:PORT COUNT SIZE` sends them to a unicast, broadcast or multicast address,
//! at once, or with `PAUSE` milliseconds of rest after each [`ROUND`], so that a guest that sends
//! for ever leaves the others their processor.
//! `datagrams receive PORT [GROUP]` prints `listening`, receives until one says that it is the last,
//! and prints `whole N broken N repeated N`.
//!
//! Needs only the standard library: the guest image builds it alone, linked statically.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command's answer")]

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

/// Magic word, number, count, size: each 8 bytes, big-endian.
const HEADER: usize = 32;
const MAGIC: u64 = 0x5354_524f_5747_4552;
/// The last datagram is sent this often, so that a receiver that lost one learns of the end.
const LAST_SENT: u64 = 20;
/// Datagrams between two rests.
const ROUND: u64 = 32;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match *words.as_slice() {
        ["send", to, count, size] => send(to, count, size, "0"),
        ["send", to, count, size, pause] => send(to, count, size, pause),
        ["receive", port] => receive(port, None),
        ["receive", port, group] => receive(port, Some(group)),
        _ => {
            Err("usage: datagrams send ADDRESS:PORT COUNT SIZE [PAUSE] | datagrams receive PORT [GROUP]"
                .into())
        }
    };
    if let Err(error) = done {
        println!("error: {error}");
        std::process::exit(1);
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn send(to: &str, count: &str, size: &str, pause: &str) -> Done {
    let pause = Duration::from_millis(pause.parse()?);
    let (count, size) = (count.parse::<u64>()?, size.parse::<usize>()?.max(HEADER));
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_broadcast(true)?;
    socket.connect(to)?;
    for number in (0..count).chain(std::iter::repeat_n(count, LAST_SENT as usize)) {
        // A full queue of our own is no loss on the way: try again.
        while socket.send(&datagram(number, count, size)).is_err() {
            std::thread::yield_now();
        }
        if number % ROUND == 0 {
            std::thread::sleep(pause);
        }
    }
    println!("sent {}", count + LAST_SENT);
    Ok(())
}

fn receive(port: &str, group: Option<&str>) -> Done {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port.parse()?))?;
    if let Some(group) = group {
        match group.parse()? {
            IpAddr::V4(group) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?,
            IpAddr::V6(group) => socket.join_multicast_v6(&group, 0)?,
        }
    }
    println!("listening");
    let (mut whole, mut broken, mut repeated) = (0, 0, 0);
    let mut seen = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let length = socket.recv(&mut buffer)?;
        let received = buffer.get(..length).unwrap_or_default();
        let Some((number, count)) = check(received) else {
            broken += 1;
            continue;
        };
        if number == count {
            break;
        }
        let index = usize::try_from(number)?;
        if seen.len() <= index {
            seen.resize(index + 1, false);
        }
        match seen.get_mut(index) {
            Some(before) if !*before => {
                *before = true;
                whole += 1;
            }
            _ => repeated += 1,
        }
    }
    println!("whole {whole} broken {broken} repeated {repeated}");
    Ok(())
}

fn datagram(number: u64, count: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    for word in [MAGIC, number, count, size as u64] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend((HEADER..size).map(|at| pattern(number, at)));
    bytes
}

/// The datagram's number and how many there are; none if it is not exactly as it was sent.
fn check(bytes: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (number, count) = (word(8)?, word(16)?);
    (bytes == datagram(number, count, bytes.len())).then_some((number, count))
}

fn pattern(number: u64, at: usize) -> u8 {
    (number.wrapping_mul(31).wrapping_add(at as u64 * 7) & 0xff) as u8
}
