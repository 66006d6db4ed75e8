//! Ports that come, go and become others, and what stays as it is meanwhile.

use std::{
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use strowger_fake_frontend::{
    FrontEnd, Listener, Settings,
    frame::{mac, numbered},
};
use strowger_vswitch::{
    config::{BridgeConfig, MirrorConfig, PortConfig, PortKind, plan::plan},
    control::{Control, Refusal},
};

use crate::{
    netns::eventually,
    world::{TO_ALL, World, next_number, passes, vhost},
};

fn two_guests() -> String {
    ["[bridges.br0]\n".to_owned(), vhost("vm1", "br0", ""), vhost("vm2", "br0", "")].concat()
}

#[test]
fn others_talk_on_without_a_lost_frame() {
    let world = World::start(&two_guests());
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    let (stop, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    let talked = std::thread::scope(|scope| {
        // One frame at a time: if one is lost, nobody sends another, and the wait for it fails.
        let talk = scope.spawn(|| {
            let mut round = 0;
            while !stop.load(SeqCst) {
                passes((&mut one, 1), (&mut two, 2), round);
                passes((&mut two, 2), (&mut one, 1), round + 1);
                round += 2;
                sent.store(round, SeqCst);
            }
            round
        });
        let goes_on = || {
            let before = sent.load(SeqCst);
            eventually("the others talk", || (sent.load(SeqCst) > before + 4).then_some(()));
        };
        for round in 0..20u16 {
            world
                .edit(|config| {
                    config.bridges.insert("br1".into(), BridgeConfig::default());
                    let port = PortConfig {
                        path: Some(world.path("vm3.sock")),
                        ..PortConfig::new("br0", PortKind::VhostUser)
                    };
                    config.ports.insert("vm3".into(), port);
                })
                .unwrap();
            let mut three = world.guest("vm3");
            three.send(&numbered([0xff; 6], mac(3), TO_ALL, 64)).unwrap();
            goes_on();
            world.edit(|config| config.ports["vm3"].tag = Some(round + 1)).unwrap();
            goes_on();
            world.edit(|config| config.ports["vm3"].bridge = "br1".into()).unwrap();
            world.edit(|config| config.ports["vm3"].queues = Some(round % 4 + 1)).unwrap();
            three.channel().wait_closed().unwrap();
            let _again = world.guest("vm3");
            world
                .edit(|config| {
                    config.ports["vm3"].bridge = "br0".into();
                    let mut mirror = MirrorConfig::new("br0", "vm3");
                    mirror.ports.push("vm1".into());
                    config.mirrors.insert("watch".into(), mirror);
                })
                .unwrap();
            goes_on();
            world
                .edit(|config| {
                    config.mirrors.clear();
                    config.ports.shift_remove("vm3");
                    config.bridges.shift_remove("br1");
                })
                .unwrap();
            assert!(!world.path("vm3.sock").exists());
            goes_on();
        }
        stop.store(true, SeqCst);
        talk.join().unwrap()
    });
    let drops: u64 =
        ["vm1", "vm2"].iter().flat_map(|port| world.port(port).drops.into_values()).sum();
    assert_eq!(drops, 0);
    assert!(world.port("vm2").rx_frames >= u64::from(talked / 2));
}

#[test]
fn what_is_only_set_keeps_the_port_open_with_its_guest_and_its_counters() {
    let text = [two_guests(), vhost("vm3", "br0", "tag = 5")].concat();
    let world = World::start(&text);
    let (mut one, mut two, mut three) =
        (world.guest("vm1"), world.guest("vm2"), world.guest("vm3"));
    passes((&mut one, 1), (&mut two, 2), 1);
    passes((&mut two, 2), (&mut one, 1), 2);
    let socket = || std::fs::metadata(world.path("vm1.sock")).unwrap().ino();
    let features = world.port("vm1").features.expect("its driver took some");
    assert_ne!(u64::from_str_radix(features.trim_start_matches("0x"), 16).unwrap() & 1 << 32, 0);
    let (before, inode, id) =
        (world.port("vm1"), socket(), world.snapshot().ports().next().unwrap().id);
    for (key, value, line) in [
        ("tag", "5", "~ port vm1: tag unset → 5"),
        ("ingress-rate", "1Gbit", "~ port vm1: ingress-rate unset → 1Gbit"),
        ("egress-rate", "100kpps", "~ port vm1: egress-rate unset → 100kpps"),
        ("number", "77", "~ port vm1: number unset → 77"),
    ] {
        let done = world
            .edit(|config| {
                strowger_vswitch::config::port::set(&mut config.ports["vm1"], key, value).unwrap();
            })
            .unwrap();
        assert_eq!(done, [line]);
        passes((&mut one, 1), (&mut three, 3), 10);
    }
    // It is where 3 is now, and no longer where 2 is: of these two frames 2 sees only the second.
    one.send(&numbered(mac(2), mac(1), 20, 64)).unwrap();
    passes((&mut three, 3), (&mut one, 1), 21);
    world.edit(|config| config.ports["vm1"].tag = None).unwrap();
    passes((&mut one, 1), (&mut two, 2), 22);
    let after = world.port("vm1");
    assert_eq!((socket(), world.snapshot().ports().next().unwrap().id), (inode, id));
    assert!(after.rx_frames >= before.rx_frames + 6, "{before:?} {after:?}");
    assert_eq!((after.number, after.ingress_rate.as_deref()), (77, Some("1Gbit")));
    assert_eq!((after.egress_rate.as_deref(), after.shaper_frames), (Some("100kpps"), Some(0)));
}

#[test]
fn what_must_be_opened_anew_is_and_nothing_else() {
    let world = World::start(&two_guests());
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    passes((&mut one, 1), (&mut two, 2), 1);
    let before = world.port("vm1");
    let inode = || std::fs::metadata(world.path("vm1.sock")).unwrap().ino();
    let first = inode();
    world.edit(|config| config.ports["vm1"].queues = Some(2)).unwrap();
    one.channel().wait_closed().unwrap();
    assert_eq!(inode(), first, "the socket is the same");
    let settings = Settings { pairs: 2, ..Settings::default() };
    let mut one = world.guest_with("vm1", settings);
    assert_eq!(one.most_pairs(), 2);
    passes((&mut one, 1), (&mut two, 2), 2);
    let after = world.port("vm1");
    assert_eq!(after.number, before.number);
    assert!(after.rx_frames > before.rx_frames, "its counters go on");

    // Another path: the old one goes.
    world.edit(|config| config.ports["vm1"].path = Some(world.path("other.sock"))).unwrap();
    one.channel().wait_closed().unwrap();
    assert!(!world.path("vm1.sock").exists() && world.path("other.sock").exists());
    let mut one = FrontEnd::connect(world.path("other.sock"), Settings::default()).unwrap();
    eventually("the guest of vm1", || world.port("vm1").up.then_some(()));
    passes((&mut one, 1), (&mut two, 2), 3);

    // Two that change places, with sockets and all.
    world
        .edit(|config| {
            config.ports["vm1"].path = Some(world.path("vm2.sock"));
            config.ports["vm2"].path = Some(world.path("other.sock"));
        })
        .unwrap();
    one.channel().wait_closed().unwrap();
    two.channel().wait_closed().unwrap();
    let mut two = FrontEnd::connect(world.path("other.sock"), Settings::default()).unwrap();
    eventually("the guest of vm2", || world.port("vm2").up.then_some(()));
    let mut one = FrontEnd::connect(world.path("vm2.sock"), Settings::default()).unwrap();
    eventually("the guest of vm1", || world.port("vm1").up.then_some(()));
    passes((&mut one, 1), (&mut two, 2), 4);

    // The other role at another path, and back.
    let path = world.path("client.sock");
    world
        .edit(|config| {
            config.ports["vm1"].kind = PortKind::VhostUserClient;
            config.ports["vm1"].path = Some(path.clone());
        })
        .unwrap();
    one.channel().wait_closed().unwrap();
    let listener = Listener::bind(&path).unwrap();
    let mut one = FrontEnd::start(listener.accept().unwrap(), Settings::default()).unwrap();
    eventually("the guest of vm1", || world.port("vm1").up.then_some(()));
    passes((&mut two, 2), (&mut one, 1), 5);
    assert_eq!(world.port("vm1").kind, "vhost-user-client");
}

#[test]
fn a_bridge_goes_with_its_ports_or_not_at_all() {
    let world = World::start(&[two_guests(), "[bridges.br1]\n".into()].concat());
    let refusal =
        world.edit(|config| assert!(config.bridges.shift_remove("br0").is_some())).unwrap_err();
    assert!(matches!(refusal, Refusal::Conflict(_)), "{refusal:?}");
    assert_eq!(
        refusal.to_string(),
        "bridge br0 still has port vm1, port vm2: take these away first, or in the same change"
    );
    assert_eq!(world.handle().status().ports.len(), 2);
    let done = world
        .edit(|config| {
            config.ports.shift_remove("vm1");
            config.ports["vm2"].bridge = "br1".into();
            config.bridges.shift_remove("br0");
        })
        .unwrap();
    assert_eq!(done, ["- port vm1", "- bridge br0", "~ port vm2: bridge br0 → br1"]);
    let status = world.handle().status();
    assert_eq!(status.bridges.len(), 1);
    assert_eq!((status.ports.len(), status.ports[0].bridge.as_str()), (1, "br1"));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = World::start(&two_guests());
    let before = world.handle().config();
    let edit = &mut |config: &mut strowger_vswitch::config::Config| {
        config.ports["vm1"].tag = Some(9);
        config.ports.shift_remove("vm2");
        Ok(())
    };
    let changes = world.handle().change(true, edit).unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(world.handle().config(), before);
    assert!(world.path("vm2.sock").exists());
    assert_eq!(world.handle().change(false, edit).unwrap(), changes);
    assert!(!world.path("vm2.sock").exists());
    assert_eq!(plan(&before, &world.handle().config()), changes);
    let again = world.edit(|config| config.ports["vm1"].tag = Some(9)).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_bridges_stations_stay_when_it_is_told_to_keep_more_of_them() {
    let world = World::start(&two_guests());
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    passes((&mut one, 1), (&mut two, 2), 1);
    passes((&mut two, 2), (&mut one, 1), 2);
    let known = |world: &World| {
        let stations = world.handle().stations(Some("br0")).unwrap();
        stations.into_iter().map(|station| (station.mac, station.port)).collect::<Vec<_>>()
    };
    let before = known(&world);
    assert_eq!(before.len(), 2);
    world.edit(|config| config.bridges["br0"].mac_limit = Some(100)).unwrap();
    world.edit(|config| config.bridges["br0"].mac_ageing = Some(1000)).unwrap();
    assert_eq!(known(&world), before);
    let bridge = world.handle().status().bridges.remove(0);
    assert_eq!((bridge.station_limit, bridge.ageing_seconds), (100, 1000));
    for number in 3..30 {
        passes((&mut one, 1), (&mut two, 2), number);
        passes((&mut two, 2), (&mut one, 1), number);
    }
}

#[test]
fn what_only_a_start_can_change_is_refused_and_need_not_be_repeated() {
    let world = World::start(&two_guests());
    let done = world.apply("[bridges.br0]\n").unwrap();
    assert_eq!(done, ["- port vm1", "- port vm2"]);
    let refusal = world.apply("[switch]\nworkers = [900]\n[bridges.br0]\n");
    let refusal = match refusal {
        Err(refusal) => refusal.to_string(),
        Ok(done) => panic!("{done:?}"),
    };
    assert!(refusal.contains("switch.workers"), "{refusal}");
}

#[test]
fn after_the_end_nothing_is_changed_any_more() {
    let world = World::start(&two_guests());
    let handle = world.handle();
    let sockets = [world.path("vm1.sock"), world.path("vm2.sock")];
    drop(world);
    assert!(sockets.iter().all(|path| !path.exists()));
    let refusal = handle.change(false, &mut |_| Ok(())).unwrap_err();
    assert_eq!(refusal, Refusal::Failed("the switch ends".into()));
    assert!(handle.status().ports.is_empty() && !handle.is_ready());
}

#[test]
fn a_frame_for_a_port_that_went_goes_to_nobody() {
    let world = World::start(&[two_guests(), vhost("vm3", "br0", "")].concat());
    let (mut one, mut two, mut three) =
        (world.guest("vm1"), world.guest("vm2"), world.guest("vm3"));
    passes((&mut two, 2), (&mut one, 1), 1);
    assert_eq!(next_number(&mut three), 1);
    world.edit(|config| drop(config.ports.shift_remove("vm2"))).unwrap();
    assert!(world.handle().stations(None).unwrap().iter().all(|station| station.port != "vm2"));
    // A port that comes in the same change has nothing of the one before it.
    world
        .edit(|config| {
            let three = config.ports.shift_remove("vm3").unwrap();
            config.ports.insert("vm4".into(), three);
        })
        .unwrap();
    three.channel().wait_closed().unwrap();
    assert_eq!(world.port("vm4").rx_frames, 0);
    let mut four = FrontEnd::connect(world.path("vm3.sock"), Settings::default()).unwrap();
    eventually("the guest of vm4", || world.port("vm4").up.then_some(()));
    passes((&mut one, 1), (&mut four, 2), 2);
}
