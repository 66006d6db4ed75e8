//! Configurations by chance, for property tests: all that [`Config::check`] lets pass, few names, so that two of
//! them have much in common.

use proptest::{
    collection::{hash_set, vec},
    option,
    prelude::*,
    sample::select,
};
use serde_json::{Map, Value};

use super::{
    ApiConfig, BridgeConfig, Config, Direction, LogConfig, LogFormat, LoopGuard, MirrorConfig,
    Netns, Poll, PortConfig, PortKind, Rate, Size, SwitchConfig, VidRange,
    keys::{Form, Key, Section},
    path,
};

const BRIDGES: [&str; 4] = ["br0", "br.1", "lan", "0"];
const PORTS: [&str; 9] = ["vm1", "vm.2", "eth-0", "_x", "span0", "7", "c3", "c4", "true"];
const MIRRORS: [&str; 3] = ["watch", "m.2", "ids"];

/// A configuration that passes.
pub(crate) fn config() -> impl Strategy<Value = Config> {
    let objects = |names: &'static [&'static str]| {
        Just(names.to_vec()).prop_shuffle().prop_flat_map(move |names| {
            (0..=names.len()).prop_map(move |count| names[..count].to_vec())
        })
    };
    (
        (switch(), api(), log()),
        (objects(&BRIDGES), vec(bridge(), BRIDGES.len())),
        (objects(&PORTS), vec((any::<usize>(), port()), PORTS.len())),
        (objects(&MIRRORS), vec(mirror(), MIRRORS.len())),
    )
        .prop_map(|((switch, api, log), bridges, ports, mirrors)| {
            let mut config = Config { switch, api, log, ..Config::default() };
            for (name, bridge) in bridges.0.into_iter().zip(bridges.1) {
                config.bridges.insert(name.to_owned(), bridge);
            }
            for (name, (bridge, mut port)) in ports.0.into_iter().zip(ports.1) {
                let Some((bridge, _)) =
                    config.bridges.get_index(bridge % config.bridges.len().max(1))
                else {
                    continue;
                };
                bridge.clone_into(&mut port.bridge);
                config.ports.insert(name.to_owned(), port);
            }
            for (name, (mut mirror, to, sources)) in mirrors.0.into_iter().zip(mirrors.1) {
                let Some((to, port)) = config.ports.get_index(to % config.ports.len().max(1))
                else {
                    continue;
                };
                to.clone_into(&mut mirror.to);
                port.bridge.clone_into(&mut mirror.bridge);
                let others = config.ports_of(&port.bridge).filter(|(name, _)| name != to);
                mirror.ports =
                    others.zip(sources).filter(|x| x.1).map(|x| x.0.0.to_owned()).collect();
                config.mirrors.insert(name.to_owned(), mirror);
            }
            repaired(config)
        })
}

/// Takes away what is at fault until nothing is.
pub(crate) fn repaired(mut config: Config) -> Config {
    loop {
        let problems = config.problems(usize::MAX);
        if problems.is_empty() {
            return config;
        }
        for problem in problems {
            let (what, name) = path::object(&problem.key).unwrap_or_else(|| panic!("{problem}"));
            let gone = match what {
                "bridges" => config.bridges.shift_remove(&name).is_some(),
                "ports" => config.ports.shift_remove(&name).is_some(),
                "mirrors" => config.mirrors.shift_remove(&name).is_some(),
                _ => false,
            };
            assert!(gone, "{problem}");
        }
    }
}

/// Two configurations that pass, and of which the second has each object of the first, of another one, or of
/// neither.
pub(crate) fn pair() -> impl Strategy<Value = (Config, Config)> {
    (config(), config(), vec(0..4_u8, 16)).prop_map(|(one, other, choices)| {
        let other = mixed(&one, &other, &choices);
        (one, other)
    })
}

/// Objects of the one (0, 1), the other (2), or neither (3).
pub(crate) fn mixed(one: &Config, other: &Config, choices: &[u8]) -> Config {
    fn mix<T: Clone>(
        one: &indexmap::IndexMap<String, T>,
        other: &indexmap::IndexMap<String, T>,
        choices: &mut impl Iterator<Item = u8>,
    ) -> indexmap::IndexMap<String, T> {
        let mut all = indexmap::IndexMap::new();
        for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
            let chosen = match choices.next() {
                Some(2) => other.get(name),
                Some(3) => None,
                _ => one.get(name),
            };
            all.extend(chosen.map(|chosen| (name.clone(), chosen.clone())));
        }
        all
    }
    let mut choices = choices.iter().copied().cycle();
    let sections = if choices.next() == Some(2) { other } else { one };
    repaired(Config {
        bridges: mix(&one.bridges, &other.bridges, &mut choices),
        ports: mix(&one.ports, &other.ports, &mut choices),
        mirrors: mix(&one.mirrors, &other.mirrors, &mut choices),
        ..sections.clone()
    })
}

fn switch() -> impl Strategy<Value = SwitchConfig> {
    (
        hash_set(0..64_usize, 0..4),
        any::<bool>(),
        text_path(),
        option::of(text_path()),
        seconds(),
        1..=1_000_000_usize,
    )
        .prop_map(|(workers, busy, rundir, state, mac_ageing, mac_limit)| SwitchConfig {
            workers: workers.into_iter().collect(),
            poll: if busy { Poll::Busy } else { Poll::Adaptive },
            rundir: rundir.into(),
            state: state.map(Into::into),
            mac_ageing,
            mac_limit,
        })
}

fn api() -> impl Strategy<Value = ApiConfig> {
    let listen = option::of((any::<u16>(), text_path(), text_path()));
    (select(&["0600", "0660", "0777"][..]), option::of("[a-z]{1,8}"), listen).prop_map(
        |(mode, socket_group, listen)| {
            let socket_mode = mode.parse().unwrap();
            let Some((port, certificate, key)) = listen else {
                return ApiConfig { socket_mode, socket_group, ..ApiConfig::default() };
            };
            ApiConfig {
                socket_mode,
                socket_group,
                listen: Some(([127, 0, 0, 1], port).into()),
                certificate: Some(certificate.into()),
                key: Some(key.into()),
                client_ca: Some("/ca".into()),
            }
        },
    )
}

fn log() -> impl Strategy<Value = LogConfig> {
    let level = select(&["info", "off", "warn,strowger_vhost=debug"][..]);
    (level, select(&[LogFormat::Text, LogFormat::Json][..]))
        .prop_map(|(level, format)| LogConfig { level: level.to_owned(), format })
}

fn bridge() -> impl Strategy<Value = BridgeConfig> {
    let guard = select(&[LoopGuard::Off, LoopGuard::Report, LoopGuard::Hold][..]);
    let hold = prop_oneof![Just(60), seconds()];
    (option::of(seconds()), option::of(1..=1_000_000_usize), guard, hold).prop_map(
        |(mac_ageing, mac_limit, loop_guard, loop_hold)| BridgeConfig {
            mac_ageing,
            mac_limit,
            loop_guard,
            loop_hold,
        },
    )
}

fn port() -> impl Strategy<Value = PortConfig> {
    let rate = || {
        let bits = (1_000..=1_000_000_000_000_u64, option::of(1514..=536_870_912_u64))
            .prop_map(|(rate, burst)| (Rate::Bits(rate), burst.map(Size::Bytes)));
        let frames = (1..=1_000_000_000_u64, option::of(1..=1_000_000_u64))
            .prop_map(|(rate, burst)| (Rate::Frames(rate), burst.map(Size::Frames)));
        option::of(prop_oneof![bits, frames])
    };
    let place = (
        select(&PortKind::ALL[..]),
        text_path(),
        option::of("[a-z/]{1,8}"),
        option::of("[a-z]{1,5}"),
    );
    let numbers = (option::of(1..=65280_u32), option::of(1..=64_u16));
    (place, numbers, vlans(), rate(), rate()).prop_map(
        |((kind, path, netns, interface), (number, queues), vlans, ingress, egress)| PortConfig {
            path: kind.has_socket().then(|| path.into()),
            netns: netns.filter(|_| kind == PortKind::Tap).map(|netns| Netns::new(&netns)),
            interface: interface.filter(|_| !kind.has_socket()),
            number,
            queues,
            ingress_rate: ingress.map(|ingress| ingress.0),
            ingress_burst: ingress.and_then(|ingress| ingress.1),
            egress_rate: egress.map(|egress| egress.0),
            egress_burst: egress.and_then(|egress| egress.1),
            kind,
            ..vlans
        },
    )
}

/// A port of which only the VLAN keys count.
fn vlans() -> impl Strategy<Value = PortConfig> {
    let range = (0..=4094_u16, 0..=4094_u16)
        .prop_map(|(one, other)| VidRange { low: one.min(other), high: one.max(other) });
    let vid = || 1..=4094_u16;
    let plain = || PortConfig::new("", PortKind::Tap);
    prop_oneof![
        Just(plain()),
        vid().prop_map(move |tag| PortConfig { tag: Some(tag), ..plain() }),
        vid().prop_map(move |vid| PortConfig { dot1q_tunnel: Some(vid), ..plain() }),
        (vec(range, 0..4), option::of(vid())).prop_map(move |(trunks, native)| PortConfig {
            trunks,
            native,
            ..plain()
        }),
    ]
}

/// A mirror, which of the ports it goes to, and which of the bridge's others are its sources.
fn mirror() -> impl Strategy<Value = (MirrorConfig, usize, Vec<bool>)> {
    let direction = select(&[Direction::Both, Direction::Rx, Direction::Tx][..]);
    (direction, hash_set(0..=4094_u16, 0..3), any::<usize>(), vec(any::<bool>(), 9)).prop_map(
        |(direction, vlans, to, sources)| {
            let vlans = vlans.into_iter().collect();
            (MirrorConfig { direction, vlans, ..MirrorConfig::new("", "") }, to, sources)
        },
    )
}

fn seconds() -> impl Strategy<Value = u64> {
    1..=1_000_000_u64
}

/// A path without a comma.
fn text_path() -> impl Strategy<Value = String> {
    "/[a-zA-Z0-9 ._='\"\\\\äß+-]{1,12}"
}

/// A document that may be anything, but of keys and values that look like ours more often than not.
pub(crate) fn document() -> impl Strategy<Value = Value> {
    let section = |keys: &'static [Key]| {
        let key = prop_oneof![9 => (0..keys.len()).prop_map(move |key| keys[key].name.to_owned()), 1 => "[a-z-]{0,9}"];
        let entry = (key, any::<bool>()).prop_flat_map(move |(name, right)| {
            let form = keys.iter().find(|key| key.name == name).map(|key| key.form);
            (Just(name), form.filter(|_| right).map_or_else(|| anything().boxed(), of_form))
        });
        vec(entry, 0..7).prop_map(|entries| Value::Object(entries.into_iter().collect()))
    };
    let objects = |names: &'static [&'static str], keys| {
        let name = prop_oneof![19 => select(names).prop_map(str::to_owned), 1 => ".{0,4}"];
        vec((name, section(keys)), 0..4)
            .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
    };
    let whole = (
        (section(SwitchConfig::KEYS), section(ApiConfig::KEYS), section(LogConfig::KEYS)),
        objects(&BRIDGES, BridgeConfig::KEYS),
        objects(&PORTS, PortConfig::KEYS),
        objects(&MIRRORS, MirrorConfig::KEYS),
        (any::<[bool; 6]>(), option::weighted(0.05, ("[a-z]{0,8}", anything()))),
    );
    let whole = whole.prop_map(|((switch, api, log), bridges, ports, mirrors, (there, more))| {
        let all = [switch, api, log, bridges, ports, mirrors];
        let names = ["switch", "api", "log", "bridges", "ports", "mirrors"];
        let there = names
            .into_iter()
            .zip(all)
            .zip(there)
            .filter(|x| x.1)
            .map(|x| (x.0.0.to_owned(), x.0.1));
        Value::Object(there.chain(more).collect())
    });
    prop_oneof![30 => whole, 1 => anything()]
}

/// What a key of that form may hold, most of the time.
fn of_form(form: Form) -> BoxedStrategy<Value> {
    match form {
        Form::Number { low, high, .. } => (low..=high).prop_map(Value::from).boxed(),
        Form::Choice(words) => select(words).prop_map(Value::from).boxed(),
        Form::Name("a bridge") => select(&BRIDGES[..]).prop_map(Value::from).boxed(),
        Form::Name(_) => select(&PORTS[..]).prop_map(Value::from).boxed(),
        Form::List(each) => vec(of_form(*each), 0..3).prop_map(Value::Array).boxed(),
        Form::Rate => select(&["1Mbit", "7kpps"][..]).prop_map(Value::from).boxed(),
        Form::Size => select(&["64KiB", "64p"][..]).prop_map(Value::from).boxed(),
        Form::Vlans => {
            prop_oneof![(0..4095).prop_map(Value::from), Just(Value::from("5-9"))].boxed()
        }
        Form::SocketMode => Just(Value::from("0660")).boxed(),
        Form::Address => Just(Value::from("[::1]:6650")).boxed(),
        Form::Directives => Just(Value::from("debug")).boxed(),
        Form::Interface | Form::Text(_) | Form::Path | Form::Netns => {
            "[a-z/]{1,6}".prop_map(Value::from).boxed()
        }
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((".{0,4}", inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}
