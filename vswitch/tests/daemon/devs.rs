//! Interfaces of the host as ports.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use hyper::Method;
use rustix::process::Signal;
use strowger_fake_frontend::{FrontEnd, Settings, features};
use strowger_vswitch::control::{Changes, Client};
use tempfile::TempDir;

use crate::{
    netns::{
        Namespace, eventually, kernel,
        raw::{Raw, uncut},
    },
    running::{Daemon, strowger},
};

/// A container behind the host's interface `near`, at 10.0.0.`number`.
fn container(host: &Namespace, near: &str, number: u8) -> Namespace {
    let container = Namespace::new();
    host.join(near, &container, "eth0");
    container.ip(&["addr", "add", &format!("10.0.0.{number}/24"), "dev", "eth0"]);
    container
}

fn start(host: &Namespace, directory: TempDir, ports: &[&str]) -> Daemon {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    host.within(move || Daemon::start_in(directory, &ports))
}

/// Whether who is in a namespace reaches a service at 10.0.0.254 by TCP.
fn reaches(from: &Namespace, service: u16) -> bool {
    from.within(move || {
        let at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 254), service));
        TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok()
    })
}

/// Sends datagrams from the first to the second until one arrives.
#[track_caller]
fn talk(one: &Namespace, two: &Namespace) {
    let receiver = two.within(|| UdpSocket::bind("0.0.0.0:7000").unwrap());
    receiver.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let sender = one.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    eventually("a datagram", || {
        sender.send_to(b"hello", "10.0.0.2:7000").ok()?;
        receiver.recv_from(&mut [0; 16]).ok()
    });
}

#[test]
fn a_killed_switch_leaves_its_interfaces_closed_and_the_next_one_takes_them_over() {
    const SERVICE: u16 = 7072;
    let host = Namespace::new();
    let _service = host.within(|| TcpListener::bind(("0.0.0.0", SERVICE)).unwrap());
    let (one, two) = (container(&host, "v1", 1), container(&host, "v2", 2));
    host.ip(&["addr", "add", "10.0.0.254/24", "dev", "v1"]);
    assert!(reaches(&one, SERVICE));
    let ports = ["dev:one=v1,queues=2", "dev:v2"];
    let daemon = start(&host, tempfile::tempdir().unwrap(), &ports);
    daemon.wait_for_link("one", true);
    talk(&one, &two);
    assert!(!reaches(&one, SERVICE));

    daemon.signal(Signal::KILL);
    let (_, directory) = daemon.wait();
    assert!(!reaches(&one, SERVICE));

    let daemon = start(&host, directory, &ports);
    talk(&one, &two);
    assert!(!reaches(&one, SERVICE));
    let port = daemon.port("one");
    assert_eq!((port.kind.as_str(), port.interface.as_deref()), ("dev", Some("v1")));
    assert_eq!((port.present, port.link, port.mtu), (Some(true), Some(true), Some(1500)));
    host.ip(&["link", "set", "v1", "mtu", "1400"]);
    eventually("the new MTU", || (daemon.port("one").mtu == Some(1400)).then_some(()));
    host.ip(&["link", "del", "v2"]);
    daemon.wait_for_link("v2", false);
    let port = daemon.port("v2");
    assert_eq!((port.present, port.mtu), (Some(false), None));
    assert!(port.last_error.unwrap().contains("no interface named 'v2'"));

    // As it was before the first one.
    daemon.stop();
    assert!(reaches(&one, SERVICE));
    assert_eq!(host.read("/proc/sys/net/ipv6/conf/v1/disable_ipv6"), "0");
    let shown = host.ip(&["-o", "link", "show", "v1"]);
    assert!(!shown.contains("NOARP") && shown.contains("UP"), "{shown}");
}

#[test]
fn an_interface_has_one_switch() {
    let host = Namespace::new();
    let _one = container(&host, "v1", 1);
    let daemon = start(&host, tempfile::tempdir().unwrap(), &["dev:v1"]);
    let directory = tempfile::tempdir().unwrap();
    let rundir = directory.path().to_str().unwrap().to_owned();
    // Before, a filter belongs to nobody.
    if kernel() >= (6, 9) {
        let other = host.within(move || {
            strowger(&["run", "--rundir", &rundir, "--bridge", "br0", "--port", "dev:x=v1"])
        });
        let said = String::from_utf8_lossy(&other.stderr).into_owned();
        assert!(!other.status.success());
        assert!(said.contains("port x: the interface 'v1' belongs to another switch"), "{said}");
    }
    daemon.wait_for_link("v1", true);
    daemon.stop();
}

#[test]
fn a_guest_that_takes_no_uncut_segments_gets_a_containers_in_pieces() {
    let host = Namespace::new();
    let one = container(&host, "v1", 1);
    let daemon =
        start(&host, tempfile::tempdir().unwrap(), &["dev:v1", "vhost-user:vm1={}/vm1.sock"]);
    let plain = Settings::default();
    let plain = Settings { features: plain.features & !features::GUEST_OFFLOADS, ..plain };
    let mut guest = FrontEnd::connect(daemon.path("vm1.sock"), plain).unwrap();
    daemon.wait_for_link("vm1", true);
    let raw = Raw::open_with_header(&one, "eth0");
    for payload in [1000_usize, 3000, 60_000] {
        raw.send(&uncut(payload, 1448));
        let mut got = Vec::new();
        while got.len() < payload {
            let received = guest.receive().unwrap();
            if received.bytes.get(..6) != Some(&[2, 0, 0, 0, 0, 2]) {
                continue;
            }
            assert!(received.bytes.len() <= 54 + 1448, "{}", received.bytes.len());
            let sequence = u32::from_be_bytes(received.bytes[38..42].try_into().unwrap());
            assert_eq!(sequence as usize, got.len());
            got.extend_from_slice(&received.bytes[54..]);
        }
        assert!(got == uncut(payload, 1448)[64..]);
    }
    daemon.stop();
}

#[test]
fn a_dev_port_that_is_opened_anew_keeps_its_interface_closed_to_the_host() {
    const SERVICE: u16 = 7073;
    let host = Namespace::new();
    let _service = host.within(|| TcpListener::bind(("0.0.0.0", SERVICE)).unwrap());
    let (one, two) = (container(&host, "v1", 1), container(&host, "v2", 2));
    host.ip(&["addr", "add", "10.0.0.254/24", "dev", "v1"]);
    let daemon = start(&host, tempfile::tempdir().unwrap(), &["dev:one=v1", "dev:v2"]);
    daemon.wait_for_link("one", true);
    let client = Client::unix(daemon.path("run/control.sock"));
    let set = |keys: serde_json::Value| {
        client.send::<Changes>(Method::PATCH, "/v1/ports/one", &keys).unwrap()
    };
    for queues in [2, 1, 3] {
        assert_eq!(set(serde_json::json!({ "queues": queues })).changes.len(), 1);
        talk(&one, &two);
        assert_eq!(daemon.port("one").queue_pairs, queues);
        assert!(!reaches(&one, SERVICE));
    }
    // Set only: the same sockets.
    assert_eq!(set(serde_json::json!({ "tag": 7 })).changes.len(), 1);
    assert_eq!(set(serde_json::json!({ "tag": null })).changes.len(), 1);
    talk(&one, &two);
    // Taken away: the host's again.
    client.delete::<Changes>("/v1/ports/one").unwrap();
    eventually("the host's service", || reaches(&one, SERVICE).then_some(()));
    daemon.stop();
}
