//! Sockets: who listens, who connects, who comes back, and who is turned away.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    sync::Arc,
};

use strowger_fake_frontend::{Channel, FrontEnd, Listener, Request, Settings, wait};
use strowger_vhost::{Host, Port, PortConfig, PortError, Role, RxQueue, TxQueue};

use crate::forwarder::{Forwarder, exchange};

/// A host that no queue comes to.
struct Nobody;

impl Host for Nobody {
    fn start_rx(&self, queue: RxQueue) {
        panic!("{queue:?}");
    }
    fn stop_rx(&self, _pair: u16) -> Option<RxQueue> {
        None
    }
    fn start_tx(&self, queue: TxQueue) {
        panic!("{queue:?}");
    }
    fn stop_tx(&self, _pair: u16) -> Option<TxQueue> {
        None
    }
    fn announce(&self, mac: [u8; 6]) {
        panic!("{mac:?}");
    }
}

fn open(path: &std::path::Path, role: Role) -> Result<Port, PortError> {
    Port::open(PortConfig::new("n1", path, role), Arc::new(Nobody))
}

#[test]
fn a_guest_that_restarts_finds_its_port_again() {
    let forwarder = Forwarder::new(2);
    let mut two = forwarder.attach(1, Settings::default());
    for round in 0..10 {
        let mut one = forwarder.attach(0, Settings::default());
        exchange(&mut one, &mut two, round * 10, 5, &[64, 1514]);
        exchange(&mut two, &mut one, round * 10 + 5, 5, &[64, 1514]);
        drop(one);
        forwarder.wait_status(0, |status| !status.connected);
        assert_eq!(forwarder.started(0), (0, 0));
    }
    assert_eq!(forwarder.status(0).connections, 10);
}

#[test]
fn a_switch_that_restarts_finds_its_guests_again() {
    let mut forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    for round in 0..10 {
        exchange(&mut one, &mut two, round * 10, 10, &[64, 1514]);
        forwarder.close(0);
        assert!(!forwarder.path(0).exists());
        one.channel().wait_closed().unwrap();
        forwarder.open(0, Role::Server);
        one.restart(Channel::connect(forwarder.path(0)).unwrap()).unwrap();
        forwarder.wait_status(0, |status| status.up);
    }
}

#[test]
fn a_client_connects_whenever_a_front_end_listens() {
    let mut forwarder = Forwarder::new(2);
    let mut two = forwarder.attach(1, Settings::default());
    forwarder.close(0);
    forwarder.open(0, Role::Client);
    forwarder.wait_status(0, |status| status.last_error.is_some());
    for round in 0..3 {
        let listener = Listener::bind(forwarder.path(0)).unwrap();
        let mut one = FrontEnd::start(listener.accept().unwrap(), Settings::default()).unwrap();
        forwarder.wait_status(0, |status| status.up);
        exchange(&mut one, &mut two, round * 20, 10, &[64]);
        // The front end closes, and takes the next connection on the same socket.
        drop(one);
        let mut one = FrontEnd::start(listener.accept().unwrap(), Settings::default()).unwrap();
        forwarder.wait_status(0, |status| status.up);
        exchange(&mut two, &mut one, round * 20 + 10, 10, &[64]);
    }
    forwarder.wait_status(0, |status| status.connections == 6 && !status.connected);
    forwarder.close(0);
}

#[test]
fn a_client_that_restarts_is_taken_back() {
    let mut forwarder = Forwarder::new(2);
    let mut two = forwarder.attach(1, Settings::default());
    forwarder.close(0);
    let listener = Listener::bind(forwarder.path(0)).unwrap();
    forwarder.open(0, Role::Client);
    let mut one = FrontEnd::start(listener.accept().unwrap(), Settings::default()).unwrap();
    for round in 0..3 {
        forwarder.wait_status(0, |status| status.up);
        exchange(&mut one, &mut two, round * 10, 10, &[64]);
        forwarder.close(0);
        one.channel().wait_closed().unwrap();
        forwarder.open(0, Role::Client);
        one.restart(listener.accept().unwrap()).unwrap();
    }
    assert!(forwarder.path(0).exists(), "a client removed its front end's socket");
}

#[test]
fn a_second_front_end_waits_until_the_first_is_gone() {
    let forwarder = Forwarder::new(2);
    let one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let mut second = Channel::connect(forwarder.path(0)).unwrap();
    second.send(Request::GetFeatures as u32, 0, &[], &[]).unwrap();
    // The first is still served, and goes through everything that a thread does for it.
    let mut one = one;
    exchange(&mut one, &mut two, 0, 20, &[64]);
    one.request(Request::SetOwner, &[], &[]).unwrap();
    assert!(second.is_silent().unwrap());
    drop(one);
    assert_eq!(second.receive().unwrap().request, Request::GetFeatures as u32);
    let mut one = FrontEnd::start(second, Settings::default()).unwrap();
    forwarder.wait_status(0, |status| status.up);
    exchange(&mut one, &mut two, 20, 20, &[64]);
}

#[test]
fn a_port_closes_whatever_its_front_end_does() {
    let mut forwarder = Forwarder::new(2);
    for behaviour in 0..4 {
        let mut channel = Channel::connect(forwarder.path(0)).unwrap();
        match behaviour {
            0 => {}
            // A header without its payload.
            1 => channel.send_bytes(&[2, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0], &[]).unwrap(),
            2 => channel.send_bytes(&[2], &[]).unwrap(),
            // Questions without end whose answers are not read, until nothing goes any more.
            _ => {
                let questions = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(100_000);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        // It ends by the port's end.
                        channel.send_bytes(&questions, &[]).unwrap_err();
                    });
                    forwarder.wait_status(0, |status| status.connected);
                    forwarder.close(0);
                });
                forwarder.open(0, Role::Server);
                continue;
            }
        }
        forwarder.wait_status(0, |status| status.connected);
        forwarder.close(0);
        assert!(!forwarder.path(0).exists());
        channel.wait_closed().unwrap();
        forwarder.open(0, Role::Server);
    }
}

#[test]
fn a_client_closes_while_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let port = open(&dir.path().join("n1"), Role::Client).unwrap();
    wait::until("an attempt", || port.status().last_error).unwrap();
    port.close();
}

#[test]
fn a_stale_socket_is_replaced_and_a_used_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n1");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that nobody listens on");
    let port = open(&path, Role::Server).unwrap();
    let error = open(&path, Role::Server).unwrap_err();
    assert!(matches!(error, PortError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    // Nothing half-done: the first still listens.
    assert!(Channel::connect(&path).unwrap().ask_number(Request::GetFeatures).is_ok());
    port.close();
    assert!(!path.exists());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n1");
    fs::write(&path, "precious").unwrap();
    let error = open(&path, Role::Server).unwrap_err();
    assert!(matches!(error, PortError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(open(&link, Role::Server), Err(PortError::NotASocket { .. })));
}

#[test]
fn a_socket_of_somebody_else_is_not_removed_at_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n1");
    let port = open(&path, Role::Server).unwrap();
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    port.close();
    assert!(path.exists());
    drop(other);
}

#[test]
fn owner_and_group_may_connect_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n1");
    let port = open(&path, Role::Server).unwrap();
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    port.close();
}

#[test]
fn a_path_or_number_that_cannot_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(200));
    assert!(matches!(open(&long, Role::Server), Err(PortError::PathTooLong { .. })));
    let nowhere = dir.path().join("nowhere/n1");
    let error = open(&nowhere, Role::Server).unwrap_err();
    assert!(matches!(error, PortError::Io { .. }), "{error}");
    for queue_pairs in [0, 129] {
        let path = dir.path().join("n1");
        let config = PortConfig { queue_pairs, ..PortConfig::new("n1", &path, Role::Server) };
        let error = Port::open(config, Arc::new(Nobody)).unwrap_err();
        assert!(matches!(error, PortError::QueuePairs { .. }), "{error}");
        assert!(!path.exists());
    }
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        // A thread may end while it is looked at.
        fs::read_to_string(entry.unwrap().path().join("comm")).unwrap_or_default()
    };
    fs::read_dir("/proc/self/task").unwrap().map(name).map(|name| name.trim().to_owned()).collect()
}

#[test]
fn a_port_has_a_thread_only_while_a_front_end_is_connected() {
    let dir = tempfile::tempdir().unwrap();
    let open = |number: usize| {
        let name = format!("idle-{number}");
        let config = PortConfig::new(&name, dir.path().join(&name), Role::Server);
        Port::open(config, Arc::new(Nobody)).unwrap()
    };
    let ports: Vec<Port> = (0..100).map(open).collect();
    let of_ports = || threads().into_iter().filter(|name| name.starts_with("vu-idle")).count();
    assert_eq!(of_ports(), 0);
    for round in 1..=3 {
        let guests: Vec<_> = [7, 50]
            .map(|number| Channel::connect(dir.path().join(format!("idle-{number}"))).unwrap())
            .into_iter()
            .collect();
        wait::until("both are served", || {
            [7, 50].iter().all(|&at: &usize| ports[at].status().connected).then_some(())
        })
        .unwrap();
        assert_eq!(of_ports(), 2);
        drop(guests);
        wait::until("the end of both threads", || (of_ports() == 0).then_some(())).unwrap();
        assert_eq!(ports[7].status().connections, round);
    }
}

#[test]
fn what_is_only_prepared_serves_nobody_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n1");
    for role in [Role::Server, Role::Client] {
        let config = PortConfig::new("n1", &path, role);
        let prepared = Port::prepare(config, Arc::new(Nobody), None).unwrap();
        assert_eq!(path.exists(), role == Role::Server);
        if role == Role::Server {
            let mut early = Channel::connect(&path).unwrap();
            early.send(Request::GetFeatures as u32, 0, &[], &[]).unwrap();
            assert!(early.is_silent().unwrap());
            drop(prepared);
            early.wait_closed().unwrap();
        } else {
            drop(prepared);
        }
        assert!(!path.exists());
    }
}

#[test]
fn a_port_takes_the_place_of_another_with_its_socket_and_who_waits_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n1");
    let before = open(&path, Role::Server).unwrap();
    let mut first = Channel::connect(&path).unwrap();
    assert!(first.ask_number(Request::GetQueueNum).is_ok_and(|pairs| pairs == 8));
    let mut waiting = Channel::connect(&path).unwrap();
    waiting.send(Request::GetQueueNum as u32, 0, &[], &[]).unwrap();
    let config = PortConfig { queue_pairs: 3, ..PortConfig::new("n2", &path, Role::Server) };
    let after = Port::prepare(config.clone(), Arc::new(Nobody), Some(&before)).unwrap();
    // It may come to nothing: the first goes on.
    drop(after);
    assert!(path.exists() && first.ask_number(Request::GetQueueNum).is_ok_and(|pairs| pairs == 8));
    let after = Port::prepare(config, Arc::new(Nobody), Some(&before)).unwrap();
    before.close();
    first.wait_closed().unwrap();
    assert!(path.exists());
    let after = after.start();
    let answer = waiting.receive().unwrap();
    assert_eq!(answer.request, Request::GetQueueNum as u32);
    assert_eq!(waiting.ask_number(Request::GetQueueNum).unwrap(), 3);
    after.close();
    assert!(!path.exists());
}
