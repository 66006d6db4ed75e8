//! A thousand ports that come and go leave nothing behind: no descriptor, no thread, no memory. The only test of its
//! process, which it measures.

#![allow(clippy::unwrap_used, reason = "what the tests are helped by fails as they do")]

use std::{fs, path::Path};

use strowger_fake_frontend::{FrontEnd, Settings, wait};
use strowger_vswitch::{
    config::{BridgeConfig, Config, MirrorConfig, PortConfig, PortKind},
    control::Control,
    switch::{Handle, Switch},
};

const PORTS: usize = 1000;
/// What an allocator may keep of what was given back.
const SLACK: u64 = 16 << 20;

/// Descriptors, threads and bytes of memory of this process.
fn means() -> (usize, usize, u64) {
    let count = |directory| fs::read_dir(directory).unwrap().count();
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let resident: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (count("/proc/self/fd"), count("/proc/self/task"), resident * 4096)
}

fn port(directory: &Path, number: usize) -> PortConfig {
    PortConfig {
        path: Some(directory.join(format!("p{number}.sock"))),
        tag: Some(number as u16 % 100 + 1),
        ..PortConfig::new("br0", PortKind::VhostUser)
    }
}

fn change(handle: &Handle, mut edit: impl FnMut(&mut Config)) -> usize {
    let changes = handle.change(false, &mut |config| {
        edit(config);
        Ok(())
    });
    changes.unwrap().len()
}

/// All at once with a mirror and a few guests, and gone; then some one by one.
fn round(handle: &Handle, directory: &Path) {
    let added = change(handle, |config| {
        for number in 0..PORTS {
            config.ports.insert(format!("p{number}"), port(directory, number));
        }
        let mut mirror = MirrorConfig::new("br0", "p7");
        mirror.ports.push("p8".into());
        config.mirrors.insert("m".into(), mirror);
    });
    assert_eq!(added, PORTS + 1);
    let connect = |number: usize| {
        let path = directory.join(format!("p{number}.sock"));
        FrontEnd::connect(path, Settings::default()).unwrap()
    };
    let guests: Vec<_> = [0, 500, 999].map(connect).into_iter().collect();
    wait::until("all guests are up", || {
        let up = handle.status().ports.iter().filter(|port| port.up).count();
        (up == guests.len()).then_some(())
    })
    .unwrap();
    let removed = change(handle, |config| {
        config.ports.clear();
        config.mirrors.clear();
    });
    assert_eq!(removed, PORTS + 1);
    for number in 0..20 {
        change(handle, |config| {
            config.ports.insert("one".into(), port(directory, number));
        });
        change(handle, |config| drop(config.ports.shift_remove("one")));
    }
    assert!(handle.status().ports.is_empty());
}

#[test]
fn a_thousand_ports_added_and_deleted_in_a_loop_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.switch.rundir = directory.path().join("run");
    config.switch.state = Some(directory.path().join("state"));
    config.bridges.insert("br0".into(), BridgeConfig::default());
    let switch = Switch::start(&config).unwrap();
    let handle = switch.handle();
    for _ in 0..2 {
        round(&handle, directory.path());
    }
    let (descriptors, threads, memory) = means();
    for _ in 0..8 {
        round(&handle, directory.path());
    }
    // Snapshots of before are freed once a second; threads that ended are gone when they were joined.
    wait::until("what was there before", || {
        let (now_descriptors, now_threads, now_memory) = means();
        let back = now_descriptors == descriptors
            && now_threads == threads
            && now_memory <= memory + SLACK;
        back.then_some(())
    })
    .unwrap_or_else(|_| panic!("{:?} after {:?}", means(), (descriptors, threads, memory)));
}
