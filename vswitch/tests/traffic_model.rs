//! The learning switch, held against a naive one: which frames leave by which port, with which bytes, and what is
//! dropped for which reason, with mirrors. The naive one works on bytes, a frame at a time, without caches.

#![allow(clippy::unwrap_used, reason = "what the tests are helped by fails as they do")]

mod harness;

use std::collections::HashMap;
use std::fmt;

use proptest::prelude::*;
use strowger_packet::{Batch, DropReason, PortId};
use strowger_vswitch::capture::registry::{Port, Registry};
use strowger_vswitch::control::CaptureRequest;
use strowger_vswitch::pipeline::cache::CacheLimits;
use strowger_vswitch::pipeline::{Moment, Pipeline};
use strowger_vswitch::ports::RxQueue;
use strowger_vswitch::tables::loops::Guard;
use strowger_vswitch::tables::mirror::{Direction, Mirror};
use strowger_vswitch::vlan::Mode;

use harness::{BROADCAST, TestPort, bridge_of, frame, mac, trunk, vid};

const PORTS: usize = 5;
const AGEING: u64 = 300;

/// A switch as one would write it on a blackboard.
struct Naive {
    modes: Vec<Option<Mode>>,
    /// The ports that there are, in the order in which they came.
    members: Vec<usize>,
    mirrors: Vec<Mirrored>,
    stations: HashMap<(u16, [u8; 6]), (usize, u64)>,
}

/// A mirror: ports or all, whether rx and tx, VLANs or all, and where to.
#[derive(Clone, Debug)]
struct Mirrored {
    ports: Option<Vec<usize>>,
    rx: bool,
    tx: bool,
    vlans: Option<Vec<u16>>,
    to: usize,
}

/// What a switch does with a frame: what leaves by which port, and why it was dropped, if it was.
type Outcome = (Vec<(usize, Vec<u8>)>, Option<DropReason>);

impl Naive {
    /// What is forwarded, and then what the mirrors make of it.
    fn receive(&mut self, port: usize, bytes: &[u8], second: u64) -> Outcome {
        if bytes.len() < 14 {
            return (vec![], Some(DropReason::Truncated));
        }
        if self.is_target(port) {
            return (vec![], Some(DropReason::MirrorPort));
        }
        let (vlan, (mut sent, dropped)) = self.forward(port, bytes, second);
        let copied = |mirror: &Mirrored, port: usize| {
            mirror.ports.as_ref().is_none_or(|ports| ports.contains(&port))
                && mirror
                    .vlans
                    .as_ref()
                    .is_none_or(|vlans| vlan.is_some_and(|vlan| vlans.contains(&vlan)))
        };
        let forwarded = sent.clone();
        for target in 0..PORTS {
            let mirrors = || {
                self.mirrors
                    .iter()
                    .filter(|mirror| mirror.to == target && self.modes[target].is_some())
            };
            if mirrors().any(|mirror| mirror.rx && copied(mirror, port)) {
                sent.push((target, bytes.to_vec()));
                continue;
            }
            let mut leaving = mirrors().filter(|mirror| mirror.tx).filter_map(|mirror| {
                let mut members = self.members.iter().filter(|&&member| copied(mirror, member));
                members.find_map(|member| forwarded.iter().find(|(receiver, _)| receiver == member))
            });
            if let Some((_, bytes)) = leaving.next() {
                sent.push((target, bytes.clone()));
            }
        }
        (sent, dropped)
    }

    fn is_target(&self, port: usize) -> bool {
        self.mirrors.iter().any(|mirror| mirror.to == port)
    }

    /// The frame's VLAN, if it gets into one, and what is done with it but for mirrors.
    fn forward(&mut self, port: usize, bytes: &[u8], second: u64) -> (Option<u16>, Outcome) {
        let dropped = |vlan, reason| (vlan, (vec![], Some(reason)));
        self.stations.retain(|_, (_, seen)| second - *seen <= AGEING);
        let Some(mode) = self.modes[port].clone() else { panic!("no such port") };
        let has_tag = matches!(bytes[12..14], [0x81, 0x00] | [0x88, 0xa8]);
        let tag_vid = if has_tag { u16::from_be_bytes([bytes[14] & 0x0f, bytes[15]]) } else { 0 };
        // VLAN of the frame, the frame without the bridge's tag, and that tag's first three bytes and a half.
        let vlan = match &mode {
            Mode::Tunnel(own) => Some(own.get()),
            Mode::Access(own) => (tag_vid == 0).then_some(own.get()),
            Mode::Trunk { allowed, native } => {
                let native = native.map(|native| native.vid.get());
                let vlan = if tag_vid == 0 { native.unwrap_or(0) } else { tag_vid };
                (native == Some(vlan) || vlan < 4095 && allowed.contains(vid(vlan))).then_some(vlan)
            }
        };
        let Some(vlan) = vlan else { return dropped(None, DropReason::VlanNotAllowed) };
        let is_tunnel = matches!(mode, Mode::Tunnel(_));
        let (inner, tpid, priority) = match has_tag && !is_tunnel {
            true => {
                ([&bytes[..12], &bytes[16..]].concat(), [bytes[12], bytes[13]], bytes[14] & 0xf0)
            }
            false => (bytes.to_vec(), if is_tunnel { [0x88, 0xa8] } else { [0x81, 0x00] }, 0),
        };

        let (dst, src): ([u8; 6], [u8; 6]) =
            (bytes[..6].try_into().unwrap(), bytes[6..12].try_into().unwrap());
        if dst[..5] == [0x01, 0x80, 0xc2, 0, 0] && dst[5] <= 0x0f {
            return dropped(Some(vlan), DropReason::ReservedAddress);
        }
        if src[0] & 1 == 1 || src == [0; 6] {
            return dropped(Some(vlan), DropReason::BadSource);
        }
        self.stations.insert((vlan, src), (port, second));

        let form = |other: usize| {
            let mode = self.modes[other].as_ref().filter(|_| !self.is_target(other))?;
            Self::tagged(mode, vlan)
        };
        let known = self.stations.get(&(vlan, dst)).map(|&(other, _)| other);
        let known = known.filter(|&other| dst[0] & 1 == 0 && form(other).is_some());
        let receivers: Vec<usize> = match known {
            Some(other) if other == port => return dropped(Some(vlan), DropReason::Hairpin),
            Some(other) => vec![other],
            None => (0..PORTS).filter(|&other| other != port && form(other).is_some()).collect(),
        };
        if receivers.is_empty() {
            return dropped(Some(vlan), DropReason::NoReceiver);
        }
        let send = |other: usize| match form(other) {
            Some(true) => {
                let [high, low] = vlan.to_be_bytes();
                let tag = [tpid[0], tpid[1], priority | high, low];
                (other, [&inner[..12], &tag, &inner[12..]].concat())
            }
            _ => (other, inner.clone()),
        };
        (Some(vlan), (receivers.into_iter().map(send).collect(), None))
    }

    /// Whether a frame of a VLAN leaves with a tag; `None` if it does not leave at all.
    fn tagged(mode: &Mode, vlan: u16) -> Option<bool> {
        match mode {
            Mode::Access(own) | Mode::Tunnel(own) => (own.get() == vlan).then_some(false),
            Mode::Trunk { allowed, native } => match native {
                Some(native) if native.vid.get() == vlan => Some(native.tagged && vlan != 0),
                _ => allowed.contains(vid(vlan)).then_some(vlan != 0),
            },
        }
    }
}

/// A frame, shown without its padding.
#[derive(Clone, PartialEq)]
struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(30).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, " ({} bytes)", self.0.len())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Frames that come in by one port as one batch, or several if they are many.
    Frames(usize, Vec<Bytes>),
    Wait(u64),
    /// Other VLAN settings for a port, or none: it leaves.
    Change(usize, Option<Mode>),
    Mirrors(Vec<Mirrored>),
}

fn modes() -> impl Strategy<Value = Mode> {
    let number = prop_oneof![Just(10u16), Just(20u16)];
    let native = (prop_oneof![Just(0u16), Just(10u16), Just(30u16)], any::<bool>());
    prop_oneof![
        2 => Just(Mode::default()),
        3 => number.clone().prop_map(|number| Mode::Access(vid(number))),
        1 => number.prop_map(|number| Mode::Tunnel(vid(number))),
        3 => (proptest::sample::subsequence(vec![0u16, 10, 20, 30], 0..=4), proptest::option::of(native))
            .prop_map(|(allowed, native)| trunk(&allowed, native)),
    ]
}

fn mirrors() -> impl Strategy<Value = Vec<Mirrored>> {
    let ports = proptest::sample::subsequence((0..PORTS).collect::<Vec<_>>(), 1..=3);
    let vlans = proptest::sample::subsequence(vec![0u16, 10, 20, 30], 1..=2);
    let direction = prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))];
    let mirror = (
        proptest::option::weighted(0.7, ports),
        direction,
        proptest::option::weighted(0.4, vlans),
        0..PORTS,
    );
    let mirror =
        mirror.prop_map(|(ports, (rx, tx), vlans, to)| Mirrored { ports, rx, tx, vlans, to });
    prop_oneof![2 => Just(vec![]), 3 => proptest::collection::vec(mirror, 1..=3)]
}

fn frames() -> impl Strategy<Value = Bytes> {
    let station = prop_oneof![
        12 => (0u16..6).prop_map(mac),
        1 => Just([0xff; 6]),
        1 => Just([0x01, 0, 0x5e, 0, 0, 1]),
        1 => (0u8..0x20).prop_map(|last| [0x01, 0x80, 0xc2, 0, 0, last]),
        1 => Just([0; 6]),
    ];
    let tpid = prop_oneof![4 => Just(0x8100u16), 2 => Just(0x88a8), 1 => Just(0x9100)];
    let vid =
        prop_oneof![2 => Just(0u16), 4 => Just(10), 3 => Just(20), 1 => Just(30), 1 => Just(4095)];
    let tci = (vid, 0u16..16).prop_map(|(vid, priority)| priority << 12 | vid);
    let tags = proptest::collection::vec((tpid, tci), 0..3);
    let whole = (station.clone(), station, tags, any::<u32>())
        .prop_map(|(dst, src, tags, number)| frame(dst, src, &tags, number));
    prop_oneof![40 => whole, 1 => proptest::collection::vec(any::<u8>(), 1..14)].prop_map(Bytes)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..PORTS, proptest::collection::vec(frames(), 1..12)).prop_map(|(port, frames)| Step::Frames(port, frames)),
        1 => (1u64..400).prop_map(Step::Wait),
        1 => (0..PORTS, proptest::option::weighted(0.8, modes())).prop_map(|(port, mode)| Step::Change(port, mode)),
        2 => mirrors().prop_map(Step::Mirrors),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(harness::properties())]

    #[test]
    fn it_sends_what_a_naive_switch_sends(
        first in proptest::collection::vec(modes(), PORTS),
        steps in steps(),
        small in any::<bool>(),
        captured in proptest::sample::subsequence((0..PORTS).collect::<Vec<_>>(), 0..=PORTS),
    ) {
        let ports: Vec<TestPort> = (0..PORTS).map(|_| TestPort::new(1, 1)).collect();
        let (mut snapshot, stations) = bridge_of(&ports, &first);
        let bridge = snapshot.bridges().next().unwrap().id;
        let mut queues: Vec<RxQueue> = ports.iter().map(|port| port.recorder.rx(0)).collect();
        let limits = if small { CacheLimits { flows: 4, masks: 1, exact: 8 } } else { CacheLimits::default() };
        let (mut pipeline, mut batch) = (Pipeline::new(0, limits), Batch::default());
        let mut naive = Naive {
            modes: first.into_iter().map(Some).collect(),
            members: (0..PORTS).collect(),
            mirrors: vec![],
            stations: HashMap::new(),
        };
        // A capture changes nothing of what is forwarded.
        let registry = Registry::default();
        let names: Vec<_> = captured.iter().map(|port| format!("p{port}")).collect();
        let request = CaptureRequest { ports: names.clone(), ..CaptureRequest::default() };
        let tapped = names.into_iter().map(|name| Port { name, description: String::new() }).collect();
        let _capture = (!captured.is_empty()).then(|| registry.start(&request, tapped, 1, || {}).unwrap());
        let mut second = 0;
        for step in steps {
            // A second each, so that every flow stamps its source, and no station moves too often.
            second += 1;
            match step {
                Step::Wait(seconds) => second += seconds,
                Step::Mirrors(mirrors) => {
                    let id = |&port: &usize| PortId(port as u32);
                    let list = mirrors.iter().map(|mirror| Mirror {
                        name: "m".into(),
                        ports: mirror.ports.as_ref().map(|ports| ports.iter().rev().map(id).collect()),
                        direction: match (mirror.rx, mirror.tx) {
                            (true, true) => Direction::Both,
                            (true, false) => Direction::Rx,
                            _ => Direction::Tx,
                        },
                        vlans: mirror.vlans.as_ref().map(|vlans| vlans.iter().copied().map(vid).collect()),
                        to: id(&mirror.to),
                    });
                    snapshot.set_mirrors(bridge, list.collect());
                    naive.mirrors = mirrors;
                }
                Step::Change(at, mode) => {
                    match (&mode, naive.modes[at].is_some()) {
                        (Some(_), false) => naive.members.push(at),
                        (None, true) => naive.members.retain(|&member| member != at),
                        _ => {}
                    }
                    match &mode {
                        Some(mode) => assert!(snapshot.put_port(ports[at].entry(at as u32, bridge, mode.clone()))),
                        None => {
                            snapshot.remove_port(PortId(at as u32));
                            stations.forget(PortId(at as u32));
                            naive.stations.retain(|_, (port, _)| *port != at);
                        }
                    }
                    naive.modes[at] = mode;
                }
                Step::Frames(at, frames) => {
                    if naive.modes[at].is_none() {
                        continue;
                    }
                    let mut expected: Vec<Vec<Bytes>> = vec![Vec::new(); PORTS];
                    let mut drops = ports[at].totals().drops;
                    for bytes in &frames {
                        let (copies, dropped) = naive.receive(at, &bytes.0, second);
                        copies.into_iter().for_each(|(port, bytes)| expected[port].push(Bytes(bytes)));
                        if let Some(reason) = dropped {
                            drops[reason as usize] += 1;
                        }
                    }
                    stations.age(second as u32, usize::MAX);
                    registry.tap(&mut snapshot);
                    ports[at].recorder.send(frames.into_iter().map(|frame| frame.0));
                    while queues[at].rx_burst(PortId(at as u32), &mut batch, ports[at].counters.shard(0)) > 0 {
                        pipeline.process(&mut batch, PortId(at as u32), &snapshot, Moment::from_millis(second * 1000));
                        batch.clear();
                        queues[at].release();
                    }
                    for (port, expected) in ports.iter().zip(expected) {
                        let sent: Vec<Bytes> = port.recorder.take().into_iter().map(|sent| Bytes(sent.bytes)).collect();
                        prop_assert_eq!(sent, expected);
                    }
                    prop_assert_eq!(ports[at].totals().drops, drops);
                }
            }
        }
    }
}

/// The loop guard, over the list of a station's moves.
#[derive(Default)]
struct Guarded {
    port: usize,
    moves: Vec<(u64, usize, usize)>,
    held_until: u64,
}

impl Guarded {
    /// Whether a frame of the station may go on that came in by a port.
    fn hear(&mut self, port: usize, second: u64, hold: u64, all: &mut Vec<u64>) -> bool {
        if port == self.port {
            return true;
        }
        if second < self.held_until {
            return false;
        }
        if all.iter().filter(|&&other| other == second).count() < 4 {
            all.push(second);
            self.moves.push((second, self.port, port));
            self.port = port;
            let last = self.moves.len().saturating_sub(6);
            let last = &self.moves[last..];
            let to_and_fro =
                last.windows(2).all(|two| (two[0].1, two[0].2) == (two[1].2, two[1].1));
            if last.len() == 6 && to_and_fro && second - last[0].0 <= 10 {
                self.moves.clear();
                self.held_until = second + hold;
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(harness::properties())]

    /// Three stations that go from port to port, some for long to and fro, through a cache that has seen them elsewhere.
    #[test]
    fn it_holds_a_loop_as_a_naive_guard_does(
        hold in 1u64..30,
        steps in proptest::collection::vec(
            (0usize..3, 0usize..3, 0u16..4, prop_oneof![5 => Just(0u64), 4 => Just(1), 1 => 1u64..12], any::<bool>()),
            1..250,
        ),
    ) {
        let ports: Vec<TestPort> = (0..3).map(|_| TestPort::new(1, 1)).collect();
        let (snapshot, stations) = bridge_of(&ports, &[Mode::default(), Mode::default(), Mode::default()]);
        stations.set_guard(Guard::Hold(hold as u32));
        let mut queues: Vec<RxQueue> = ports.iter().map(|port| port.recorder.rx(0)).collect();
        let (mut pipeline, mut batch) = (Pipeline::new(0, CacheLimits::default()), Batch::default());
        let mut naive: Vec<Option<(Guarded, Vec<u64>)>> = (0..3).map(|_| None).collect();
        let mut second = 100;
        let mut held = [0; 3];
        for (at, station, dst, wait, keeper) in steps {
            second += wait;
            let (src, dst) = (mac(station as u16), if dst == 3 { BROADCAST } else { mac(dst) });
            let (guarded, moves) = naive[station].get_or_insert_with(|| (Guarded { port: at, ..Guarded::default() }, vec![]));
            let goes = guarded.hear(at, second, hold, moves);
            held[at] += u64::from(!goes);
            let known = (0..3).find(|&number| mac(number as u16) == dst).and_then(|number| naive[number].as_ref());
            let receives = |port: usize| goes && src != dst && port != at && known.is_none_or(|(guarded, _)| guarded.port == port);
            ports[at].recorder.send([frame(dst, src, &[], 0)]);
            batch.clear();
            assert_eq!(queues[at].rx_burst(PortId(at as u32), &mut batch, ports[at].counters.shard(0)), 1);
            pipeline.process(&mut batch, PortId(at as u32), &snapshot, Moment::from_millis(second * 1000));
            queues[at].release();
            for (number, port) in ports.iter().enumerate() {
                prop_assert_eq!(port.recorder.take().len(), usize::from(receives(number)), "at port {}", number);
                prop_assert_eq!(port.drops(DropReason::LoopHeld), held[number]);
            }
            if keeper {
                stations.age(second as u32, usize::MAX);
            }
        }
    }
}
