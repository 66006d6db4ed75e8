//! Containers by TAP ports.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, ipproto};
use strowger_vswitch::control::Port;

use crate::{
    netns::{DEADLINE, Namespace, eventually, unique},
    running::Daemon,
};

/// A container with one interface, `eth0`, on a switch.
pub(crate) struct Container {
    pub(crate) namespace: Namespace,
    address: String,
}

impl Container {
    pub(crate) fn new() -> Self {
        Self { namespace: Namespace::new(), address: String::new() }
    }

    pub(crate) fn port(&self, interface: &str) -> String {
        format!("tap:{interface}@{}", self.namespace.argument())
    }

    pub(crate) fn set_address(&mut self, interface: &str, host: u8) {
        self.address = format!("10.0.0.{host}");
        self.namespace.ip(&[
            "addr",
            "add",
            &format!("10.0.0.{host}/24"),
            "brd",
            "10.0.0.255",
            "dev",
            interface,
        ]);
    }

    fn udp(&self, port: u16) -> UdpSocket {
        let address = format!("0.0.0.0:{port}");
        let socket = self.namespace.within(move || UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_broadcast(true).unwrap();
        socket
    }

    /// Sends ICMP echo requests until the other answers one.
    #[track_caller]
    pub(crate) fn ping(&self, other: &Self) {
        let socket: UdpSocket = self.namespace.within(|| {
            let raw: OwnedFd =
                rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))
                    .unwrap();
            raw.into()
        });
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let id = (std::process::id() as u16).to_be_bytes();
        eventually("an answer to a ping", || {
            let mut request = [8, 0, 0, 0, id[0], id[1], 0, 1];
            let sum: u32 = request
                .chunks(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            request[2..4].copy_from_slice(&(!((sum + (sum >> 16)) as u16)).to_be_bytes());
            socket.send_to(&request, (other.address.as_str(), 0)).unwrap();
            let mut answer = [0; 128];
            let (len, from) = socket.recv_from(&mut answer).ok()?;
            let header = usize::from(answer[0] & 15) * 4;
            let icmp = answer.get(header..len)?;
            (from.ip().to_string() == other.address && icmp[0] == 0 && icmp[4..6] == id)
                .then_some(())
        });
    }
}

#[test]
fn two_containers_ping_and_move_data_over_tcp() {
    const BYTES: usize = 16 << 20;
    let (mut left, mut right) = (Container::new(), Container::new());
    let daemon =
        Daemon::start(&[left.port("left"), format!("{},queues=2,number=9", right.port("right"))]);
    left.set_address("left", 1);
    right.set_address("right", 2);
    left.ping(&right);
    right.ping(&left);

    let listener = right.namespace.within(|| TcpListener::bind("10.0.0.2:7000").unwrap());
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        all.len()
    });
    let mut stream = left.namespace.within(|| TcpStream::connect("10.0.0.2:7000").unwrap());
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let sent: Vec<u8> = (0..BYTES).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
    stream.write_all(&sent).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(echo.join().unwrap(), BYTES);
    assert!(back == sent, "{} of {BYTES} bytes came back, or others", back.len());

    // What came in by one left by the other: data and acknowledgements, an uncut segment counted as one frame.
    // Counters move just after the frames.
    let status = eventually("counters of what went both ways", || {
        let status = daemon.status();
        let all = |port: &Port| port.rx_bytes > BYTES as u64 && port.tx_bytes > BYTES as u64;
        status.ports.iter().all(all).then_some(status)
    });
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(status.bridges.len(), 1);
    assert_eq!(status.bridges[0].ports, ["left", "right"]);
    assert!(status.bridges[0].stations >= 2);
    assert_eq!(status.workers.iter().map(|worker| worker.queues).sum::<usize>(), 3);
    let [one, other] = &status.ports[..] else { panic!("{status:?}") };
    assert_eq!((one.number, other.number, other.queue_pairs), (1, 9, 2));
    assert!(one.up && other.up && one.kind == "tap" && one.bridge == "br0");
    let address = left.namespace.ip(&["-o", "link", "show", "left"]);
    assert!(address.contains(one.mac.as_deref().unwrap()), "{address}");
    daemon.stop();
}

#[test]
fn a_vlan_keeps_two_apart() {
    let mut containers: Vec<_> = (0..4).map(|_| Container::new()).collect();
    let tags = ["tag=10", "tag=10", "tag=20", "trunks=20,native=20"];
    let ports: Vec<_> = containers
        .iter()
        .zip(tags)
        .map(|(container, tag)| format!("{},{tag}", container.port(&unique("v"))))
        .collect();
    // The interface is named like the port, between the colon and the at.
    let names: Vec<_> =
        ports.iter().map(|port| port[4..port.find('@').unwrap()].to_owned()).collect();
    let daemon = Daemon::start(&ports);
    for ((container, name), host) in containers.iter_mut().zip(&names).zip(1..) {
        container.set_address(name, host);
    }
    let [a, b, c, d] = &containers[..] else { unreachable!() };
    a.ping(b);
    c.ping(d);

    // To all in the network, which floods: b hears it and d does not. What d hears next came from c, and the one
    // worker takes frames in turn, so that the first one would have come before.
    let (at_b, at_d) = (b.udp(7000), d.udp(7000));
    a.udp(7001).send_to(b"from a", "10.0.0.255:7000").unwrap();
    let mut heard = [0; 64];
    let (len, _) = at_b.recv_from(&mut heard).unwrap();
    assert_eq!(&heard[..len], b"from a");
    c.udp(7001).send_to(b"from c", "10.0.0.255:7000").unwrap();
    let (len, _) = at_d.recv_from(&mut heard).unwrap();
    assert_eq!(&heard[..len], b"from c");

    let vlans: Vec<_> = daemon.status().ports.into_iter().map(|port| port.vlan).collect();
    assert_eq!(vlans[..2], ["access 10", "access 10"]);
    assert!(vlans[3].contains("20"), "{vlans:?}");
    daemon.stop();
}

#[test]
fn two_bridges_know_nothing_of_each_other() {
    let (mut a, mut b, mut c, mut d) =
        (Container::new(), Container::new(), Container::new(), Container::new());
    let ports = [a.port("a"), b.port("b"), c.port("c"), d.port("d")];
    let [pa, pb, pc, pd] = ports.each_ref().map(String::as_str);
    let words = [
        "--bridge", "br0", "--port", pa, "--port", pb, "--bridge", "br1", "--port", pc, "--port",
        pd,
    ];
    let daemon = Daemon::start_with(tempfile::tempdir().unwrap(), &words);
    for (container, (name, host)) in
        [&mut a, &mut b, &mut c, &mut d].into_iter().zip([("a", 1), ("b", 2), ("c", 3), ("d", 4)])
    {
        container.set_address(name, host);
    }
    a.ping(&b);
    c.ping(&d);
    let (at_b, at_d) = (b.udp(7000), d.udp(7000));
    a.udp(7001).send_to(b"from a", "10.0.0.255:7000").unwrap();
    at_b.recv_from(&mut [0; 64]).unwrap();
    c.udp(7001).send_to(b"from c", "10.0.0.255:7000").unwrap();
    let mut heard = [0; 64];
    let (len, _) = at_d.recv_from(&mut heard).unwrap();
    assert_eq!(&heard[..len], b"from c");
    let status = daemon.status();
    let numbers: Vec<_> =
        status.ports.iter().map(|port| (port.bridge.as_str(), port.number)).collect();
    assert_eq!(numbers, [("br0", 1), ("br0", 2), ("br1", 1), ("br1", 2)]);
    daemon.stop();
}

#[test]
fn an_interface_that_is_deleted_is_a_port_that_is_down_and_nobody_spins() {
    let (mut left, mut right, third) = (Container::new(), Container::new(), Container::new());
    let daemon = Daemon::start(&[left.port("left"), right.port("right"), third.port("third")]);
    left.set_address("left", 1);
    right.set_address("right", 2);
    left.ping(&right);
    third.namespace.ip(&["link", "del", "third"]);
    daemon.wait_for_link("third", false);
    left.ping(&right);
    assert!(daemon.port("left").up && daemon.port("right").up);
    eventually("a moment in which the worker does nothing", || {
        let work = || {
            let status = daemon.status();
            status
                .workers
                .iter()
                .map(|worker| worker.sleeps + worker.empty_polls + worker.batches)
                .sum::<u64>()
        };
        let before = work();
        std::thread::sleep(Duration::from_millis(20));
        (work() == before).then_some(())
    });
    daemon.stop();
}
