//! A change is made as a whole or not at all: random configurations one after the other, of which many cannot be had.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::UnixListener,
    },
};

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use strowger_vswitch::{
    config::{BridgeConfig, Config, MirrorConfig, Netns, PortConfig, PortKind, restore},
    control::Control,
    store::Store,
};

use crate::{netns::Namespace, world::World};

/// What can be seen of a switch.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    config: Config,
    /// Id, number, bridge and VLANs of each port that workers have.
    entries: BTreeMap<String, (u32, u32, String, String)>,
    /// The members of each bridge, and its mirrors.
    bridges: BTreeMap<String, (BTreeSet<u32>, String)>,
    /// Sockets in the directory, with their inodes.
    sockets: BTreeMap<String, u64>,
    /// Interfaces in the container, with their indices.
    interfaces: BTreeSet<String>,
    kept: Vec<(String, String)>,
}

fn seen(world: &World, container: &Namespace) -> Seen {
    let snapshot = world.snapshot();
    let name = |id| snapshot.bridge(id).unwrap().name.clone();
    let entries = snapshot.ports().map(|port| {
        (port.name.clone(), (port.id.0, port.number, name(port.bridge), port.vlan.to_string()))
    });
    let bridges = snapshot.bridges().map(|bridge| {
        let members = bridge.members.iter().map(|id| id.0).collect();
        let mirrors: Vec<_> = bridge.mirrors.iter().collect();
        (bridge.name.clone(), (members, format!("{mirrors:?}")))
    });
    let mut sockets = BTreeMap::new();
    for entry in std::fs::read_dir(world.path("")).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.file_type().is_socket() {
            sockets.insert(entry.file_name().into_string().unwrap(), metadata.ino());
        }
    }
    // What a process that is killed now would leave.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(world.path("state/state.redb"), copy.path().join("state.redb")).unwrap();
    let store = Store::open(copy.path()).unwrap();
    Seen {
        config: world.handle().config(),
        entries: entries.collect(),
        bridges: bridges.collect(),
        sockets,
        interfaces: container
            .ip(&["-o", "link"])
            .lines()
            .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
            .collect(),
        kept: store.values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

/// One port: its kind and place, its bridge, what is set of it.
type Drawn = (u8, u8, bool, Option<u16>, Option<u32>, Option<u16>);

fn drawn_port(drawn: Drawn, name: usize, world: &World, container: &Namespace) -> PortConfig {
    let (kind, place, second, tag, number, queues) = drawn;
    let bridge = if second { "b" } else { "a" };
    let path = |name: &str| Some(world.path(name));
    let port = match kind {
        0..5 => PortConfig {
            path: match place {
                0..6 => path(&format!("s{place}")),
                6 => path("missing/s"),
                7 => path("taken"),
                _ => path("file"),
            },
            ..PortConfig::new(bridge, PortKind::VhostUser)
        },
        5 => PortConfig {
            path: path(&format!("s{}", place % 6)),
            ..PortConfig::new(bridge, PortKind::VhostUserClient)
        },
        _ => PortConfig {
            netns: Some(match place {
                0..6 => Netns::new(container.argument()),
                _ => Netns::new("not-there"),
            }),
            interface: Some(match place {
                0..4 => format!("t{place}"),
                4 => "busy".to_owned(),
                _ => format!("p{name}"),
            }),
            ..PortConfig::new(bridge, PortKind::Tap)
        },
    };
    PortConfig { tag, number, queues, ..port }
}

fn ports() -> impl Strategy<Value = Vec<Option<Drawn>>> {
    let drawn = (
        0..7u8,
        prop_oneof![12 => 0..6u8, 1 => 6..9u8],
        any::<bool>(),
        prop::option::of(1..4u16),
        prop::option::weighted(0.2, 1..6u32),
        prop::option::weighted(0.3, 1..4u16),
    );
    prop::collection::vec(prop::option::weighted(0.7, drawn), 5)
}

fn config() -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1891),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig { rng_seed, cases: (config.cases / 8).max(1), ..config }
}

/// Makes a switch one thing after the other. How many were done, and how many refused.
fn changes(steps: Vec<(Vec<Option<Drawn>>, bool, bool)>) -> Result<(usize, usize), TestCaseError> {
    let container = Namespace::new();
    container.ip(&["tuntap", "add", "dev", "busy", "mode", "tap"]);
    let world = World::start("[bridges.a]\n");
    let _taken = UnixListener::bind(world.path("taken")).unwrap();
    std::fs::write(world.path("file"), "mine").unwrap();
    let (mut done_so_far, mut refused) = (0, 0);
    for (ports, second, mirror) in steps {
        let before = seen(&world, &container);
        let mut wanted = before.config.clone();
        wanted.bridges.insert("b".into(), BridgeConfig::default());
        wanted.ports.clear();
        wanted.mirrors.clear();
        for (name, drawn) in ports.into_iter().enumerate() {
            let drawn = drawn.map(|drawn| drawn_port(drawn, name, &world, &container));
            wanted.ports.extend(drawn.map(|port| (format!("p{name}"), port)));
        }
        if mirror
            && let (Some(from), Some(to)) = (wanted.ports.get_index(0), wanted.ports.get_index(1))
        {
            let mut mirror = MirrorConfig::new(&from.1.bridge, to.0);
            mirror.ports.push(from.0.clone());
            wanted.mirrors.insert("m".into(), mirror);
        }
        if !second {
            wanted.bridges.shift_remove("b");
            wanted.ports.values_mut().for_each(|port| port.bridge = "a".to_owned());
            wanted.mirrors.values_mut().for_each(|mirror| mirror.bridge = "a".to_owned());
        }
        let mut edit = |config: &mut Config| {
            config.clone_from(&wanted);
            Ok(())
        };
        let done = world.handle().change(false, &mut edit);
        let after = seen(&world, &container);
        match done {
            Err(refusal) => {
                prop_assert_eq!(&after, &before, "{}", refusal);
                refused += 1;
                continue;
            }
            Ok(changes) if changes.is_empty() => {
                prop_assert_eq!(&after, &before);
                continue;
            }
            Ok(_) => done_so_far += 1,
        }
        prop_assert_eq!(&after.config, &wanted);
        // Everything that is wanted is there, and nothing else.
        prop_assert!(
            after.entries.keys().eq(wanted.ports.keys().collect::<BTreeSet<_>>().into_iter())
        );
        let mut numbers = BTreeSet::new();
        for (name, (id, number, bridge, vlan)) in &after.entries {
            let port = &wanted.ports[name];
            prop_assert_eq!(bridge, &port.bridge);
            prop_assert!(port.number.is_none_or(|own| own == *number));
            prop_assert!(numbers.insert((bridge, *number)), "two ports have one number");
            prop_assert_eq!(vlan, &port.vlan_mode().unwrap().to_string());
            prop_assert!(after.bridges[bridge].0.contains(id));
            // What is not opened anew is the same port.
            if let Some(was) = before.config.ports.get(name) {
                let place = |port: &PortConfig| {
                    (
                        port.kind,
                        port.path.clone(),
                        port.netns.clone(),
                        port.interface.clone(),
                        port.queue_pairs(),
                    )
                };
                let (before_id, before_number, before_bridge, _) = &before.entries[name];
                prop_assert_eq!(
                    before_id == id,
                    place(was) == place(port),
                    "{}: {:?} {:?}",
                    name,
                    was,
                    port
                );
                let stays =
                    was.number.is_none() && port.number.is_none() && before_bridge == bridge;
                prop_assert!(!stays || before_number == number);
            }
        }
        let members: usize = after.bridges.values().map(|(members, _)| members.len()).sum();
        prop_assert_eq!(members, wanted.ports.len());
        prop_assert!(after.bridges.keys().eq(["a", "b"].iter().take(1 + usize::from(second))));
        let paths = wanted.ports.values().filter(|port| port.kind == PortKind::VhostUser);
        let mut sockets: BTreeSet<String> = paths
            .map(|port| {
                port.path.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
            })
            .collect();
        sockets.insert("taken".to_owned());
        prop_assert!(after.sockets.keys().eq(sockets.iter()), "{:?} {:?}", after.sockets, sockets);
        for (name, inode) in &after.sockets {
            prop_assert!(before.sockets.get(name).is_none_or(|before| before == inode));
        }
        let taps = wanted.ports.values().filter_map(|port| port.interface.clone());
        let interfaces: BTreeSet<String> = taps.chain(["lo".into(), "busy".into()]).collect();
        let shown = after.interfaces.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned());
        prop_assert_eq!(shown.collect::<BTreeSet<_>>(), interfaces);
        // A start would have the same.
        let kept: Vec<restore::Kept> =
            after.kept.iter().map(|(_, value)| serde_json::from_str(value).unwrap()).collect();
        let mut declared = Config { switch: wanted.switch.clone(), ..Config::default() };
        declared.bridges.insert("a".into(), BridgeConfig::default());
        let again = restore::restore(&declared, &kept);
        prop_assert_eq!(&again.bridges, &wanted.bridges);
        prop_assert!(again.ports.iter().all(|(name, port)| wanted.ports[name] == *port));
        prop_assert_eq!((again.ports.len(), &again.mirrors), (wanted.ports.len(), &wanted.mirrors));
        let kept = restore::numbers(&kept);
        prop_assert!(after.entries.iter().all(|(name, entry)| kept[name] == entry.1));
    }
    prop_assert_eq!(std::fs::read(world.path("file")).unwrap(), b"mine");
    Ok((done_so_far, refused))
}

#[test]
fn a_change_is_whole_or_none_and_what_is_refused_left_no_trace() {
    let steps = prop::collection::vec((ports(), any::<bool>(), any::<bool>()), 1..7);
    let (done, refused) = (Cell::new(0), Cell::new(0));
    let run = TestRunner::new(config()).run(&steps, |steps| {
        let (more, less) = changes(steps)?;
        done.set(done.get() + more);
        refused.set(refused.get() + less);
        Ok(())
    });
    run.unwrap();
    assert!(done.get() > 0 && refused.get() > 0, "{done:?} done, {refused:?} refused");
    println!("{done:?} done, {refused:?} refused");
}
