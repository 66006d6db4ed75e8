//! What survives a restart, and what cannot be kept and so is not done.

use std::{path::Path, process::Command};

use strowger_vswitch::{
    config::{Config, PortConfig, PortKind},
    control::{Control, Refusal},
};

use crate::{
    netns::Namespace,
    world::{World, passes, vhost},
};

fn declared() -> String {
    ["[bridges.br0]\n".to_owned(), vhost("vm1", "br0", ""), vhost("vm2", "br0", "tag = 5")].concat()
}

fn added(world: &World, name: &str) -> PortConfig {
    PortConfig {
        path: Some(world.path(&format!("{name}.sock"))),
        ..PortConfig::new("br0", PortKind::VhostUser)
    }
}

/// The ports in order of their names, with their numbers and tags.
fn ports(world: &World) -> Vec<(String, u32, Option<u16>)> {
    let (status, config) = (world.handle().status(), world.handle().config());
    let shown = |port: &strowger_vswitch::control::Port| {
        (port.name.clone(), port.number, config.ports[&port.name].tag)
    };
    let mut ports: Vec<_> = status.ports.iter().map(shown).collect();
    ports.sort();
    ports
}

fn port(name: &str, number: u32, tag: Option<u16>) -> (String, u32, Option<u16>) {
    (name.to_owned(), number, tag)
}

#[test]
fn changes_survive_a_restart_with_the_numbers_of_ports() {
    let mut world = World::start(&declared());
    let first = added(&world, "x");
    world.edit(|config| drop(config.ports.insert("x".into(), first.clone()))).unwrap();
    world.edit(|config| drop(config.ports.shift_remove("x"))).unwrap();
    let (four, five) = (added(&world, "vm4"), added(&world, "vm5"));
    world
        .edit(|config| {
            config.ports.insert("vm4".into(), four.clone());
            config.ports.insert("vm5".into(), five.clone());
            config.ports["vm2"].tag = Some(6);
            config.ports.shift_remove("vm1");
        })
        .unwrap();
    // 3 was that of x.
    let now = [port("vm2", 2, Some(6)), port("vm4", 4, None), port("vm5", 5, None)];
    assert_eq!(ports(&world), now);
    for _ in 0..2 {
        world.restart(&declared()).unwrap();
        assert_eq!(ports(&world), now);
        assert!(world.path("vm4.sock").exists() && !world.path("vm1.sock").exists());
    }

    // The file has a new word on vm2 and none on vm1 any more: it wins where it changed.
    let other = ["[bridges.br0]\n".to_owned(), vhost("vm2", "br0", "tag = 9")].concat();
    world.restart(&other).unwrap();
    assert_eq!(
        ports(&world),
        [port("vm2", 2, Some(9)), port("vm4", 4, None), port("vm5", 5, None)]
    );
}

#[test]
fn without_a_state_directory_changes_are_made_and_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.switch.rundir = directory.path().join("run");
    let start = || strowger_vswitch::switch::Switch::start(&config).unwrap();
    let switch = start();
    let add = &mut |config: &mut Config| {
        config.bridges.insert("br9".into(), Default::default());
        Ok(())
    };
    assert_eq!(switch.handle().change(false, add).unwrap().len(), 1);
    assert_eq!(switch.handle().status().state, Default::default());
    drop(switch);
    assert!(start().handle().config().bridges.is_empty());
}

#[test]
fn what_the_api_made_and_a_start_cannot_have_again_is_shown_and_the_rest_runs() {
    let mut world = World::start(&declared());
    let container = Namespace::new();
    let netns = container.path().display().to_string();
    world
        .edit(|config| {
            let tap = PortConfig {
                netns: Some(strowger_vswitch::config::Netns::new(&netns)),
                ..PortConfig::new("br0", PortKind::Tap)
            };
            config.ports.insert("eth0".into(), tap);
        })
        .unwrap();
    drop(container);
    world.restart(&declared()).unwrap();
    let port = world.port("eth0");
    assert!(!port.up && port.last_error.unwrap().contains("there is no network namespace"));
    assert_eq!(port.number, 3);
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    world.edit(|config| config.ports["vm2"].tag = None).unwrap();
    passes((&mut one, 1), (&mut two, 2), 1);
    // It can be told where to be now, or taken away.
    let container = Namespace::new();
    let netns = container.path().display().to_string();
    world
        .edit(|config| {
            config.ports["eth0"].netns = Some(strowger_vswitch::config::Netns::new(&netns));
        })
        .unwrap();
    assert!(world.port("eth0").up && world.port("eth0").last_error.is_none());
    // What the file itself says must be there.
    let refused = World::start("").restart(
        "[bridges.br0]\n[ports.t]\nbridge = \"br0\"\nkind = \"tap\"\nnetns = \"not-there\"\n",
    );
    assert!(refused.unwrap_err().contains("there is no network namespace"));
}

#[test]
fn a_damaged_store_is_refused_and_left_alone() {
    let mut world = World::start(&declared());
    world.edit(|config| config.ports["vm1"].tag = Some(3)).unwrap();
    world.restart("").unwrap();
    let file = world.path("state/state.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(5000);
    // Writing under a running switch would be another matter.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("state.redb"), &bytes).unwrap();
    let text = format!("[switch]\nstate = \"{}\"\n{}", elsewhere.path().display(), declared());
    let said = world.restart(&text).unwrap_err();
    assert!(said.contains("is damaged") && said.contains("state.redb"), "{said}");
    assert_eq!(std::fs::read(elsewhere.path().join("state.redb")).unwrap(), bytes);
    assert!(!world.path("vm1.sock").exists() && !world.path("run/control.sock").exists());
}

fn mount(words: &[&str], at: &Path) {
    let status = Command::new("mount").args(words).arg(at).status().unwrap();
    assert!(status.success(), "mount {words:?}");
}

/// Something mounted for a test.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn mount(words: &[&str], at: &Path) -> Self {
        mount(words, at);
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Not `unwrap`: this may run while a test fails.
        let _left = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    let disk = tempfile::tempdir().unwrap();
    let _mounted = Mounted::mount(&["-t", "tmpfs", "-o", "size=8m", "none"], disk.path());
    let text = format!("[switch]\nstate = \"{}\"\n{}", disk.path().display(), declared());
    let text = text.replace("tag = 5", "");
    let world = World::start(&text);
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    passes((&mut one, 1), (&mut two, 2), 1);
    // Until nothing more goes.
    let fill = disk.path().join("fill");
    let mut file = std::fs::File::create(&fill).unwrap();
    let full = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let before = world.handle().config();
    // So many that what is kept of them has no room in the file as it is.
    let many = |config: &mut Config| {
        for number in 0..2000 {
            let name = format!("n{number}");
            config.ports.insert(name.clone(), added(&world, &name));
        }
    };
    for number in 2..5 {
        let refusal = world.edit(many).unwrap_err();
        assert!(matches!(refusal, Refusal::NotKept(_)), "{refusal:?}");
        assert!(refusal.to_string().contains("cannot be written to"), "{refusal}");
        assert_eq!(world.handle().config(), before);
        assert_eq!(world.snapshot().ports().count(), 2);
        assert!(world.handle().status().state.error.is_some());
        assert!(!world.path("n0.sock").exists());
        passes((&mut one, 1), (&mut two, 2), number);
    }
    drop(file);
    std::fs::remove_file(&fill).unwrap();
    world.edit(|config| config.ports["vm1"].number = Some(9)).unwrap();
    assert_eq!(world.handle().status().state.error, None);
    passes((&mut one, 1), (&mut two, 2), 9);
}

#[test]
fn a_read_only_state_directory_refuses_changes_and_nothing_else() {
    let (source, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = World::start(&{
        let text = format!("[switch]\nstate = \"{}\"\n{}", source.path().display(), declared());
        text.replace("tag = 5", "")
    });
    world.edit(|config| config.ports["vm1"].number = Some(9)).unwrap();
    let bind = source.path().to_str().unwrap().to_owned();
    let mounted = Mounted::mount(&["--bind", &bind], state.path());
    let remount = |how: &str| mount(&["-o", how], state.path());
    remount("remount,bind,ro");
    let text = format!("[switch]\nstate = \"{}\"\n{}", state.path().display(), declared());
    let text = text.replace("tag = 5", "");
    world.restart(&text).unwrap();
    // What it has is read.
    assert_eq!(world.port("vm1").number, 9);
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    passes((&mut one, 1), (&mut two, 2), 1);
    assert!(world.handle().status().state.error.is_some());
    let before = world.handle().config();
    let refusal = world.edit(|config| config.ports["vm1"].number = Some(8)).unwrap_err();
    assert!(matches!(refusal, Refusal::NotKept(_)), "{refusal:?}");
    assert_eq!(world.handle().config(), before);
    passes((&mut one, 1), (&mut two, 2), 2);
    remount("remount,bind,rw");
    world.edit(|config| config.ports["vm1"].number = Some(8)).unwrap();
    assert_eq!((world.port("vm1").number, world.handle().status().state.error), (8, None));
    passes((&mut one, 1), (&mut two, 2), 3);
    drop(world);
    drop(mounted);
}
