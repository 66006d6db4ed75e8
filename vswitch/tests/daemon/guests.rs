//! Virtual machines by vhost-user ports, played by the fake front end, beside a container.

use std::net::UdpSocket;

use strowger_fake_frontend::{
    FrontEnd, Listener, Settings,
    frame::{self, mac},
};

use crate::{
    netns::{DEADLINE, Namespace, eventually},
    running::Daemon,
};

/// The number of the next frame that is ours; the kernel beside us sends others.
fn next_number(guest: &mut FrontEnd) -> u32 {
    loop {
        let received = guest.receive().unwrap();
        if let Some(number) = frame::number(&received.bytes) {
            return number;
        }
    }
}

#[test]
fn guests_and_a_container_reach_each_other_and_the_counters_add_up() {
    const FRAMES: u32 = 300;
    let container = Namespace::new();
    let tap = format!("tap:eth0@{}", container.argument());
    let daemon =
        Daemon::start(&["vhost-user:vm1={}/vm1.sock", "vhost-user:vm2={}/vm2.sock,number=7", &tap]);
    assert!(!daemon.port("vm1").up && !daemon.port("vm2").up && daemon.port("eth0").up);
    let mut one = FrontEnd::connect(daemon.path("vm1.sock"), Settings::default()).unwrap();
    let mut two = FrontEnd::connect(daemon.path("vm2.sock"), Settings::default()).unwrap();
    daemon.wait_for_link("vm1", true);
    daemon.wait_for_link("vm2", true);

    // Nobody knows where 2 is: flooded. Then it answers, and is known.
    one.send(&frame::numbered(mac(2), mac(1), 1000, 64)).unwrap();
    assert_eq!(next_number(&mut two), 1000);
    for number in 0..FRAMES {
        let len = 64 + (number as usize * 37) % 1451;
        one.send(&frame::numbered(mac(2), mac(1), number, len)).unwrap();
        two.send(&frame::numbered(mac(1), mac(2), number, len)).unwrap();
        assert_eq!((next_number(&mut one), next_number(&mut two)), (number, number));
    }

    // The container is 10.0.0.2 with a socket on the port that numbered frames go to, and answers through its own.
    container.ip(&["addr", "add", "10.0.0.2/24", "dev", "eth0"]);
    container.ip(&["neigh", "add", "10.0.0.1", "lladdr", "02:00:00:00:00:01", "dev", "eth0"]);
    let socket = container.within(|| UdpSocket::bind("10.0.0.2:4789").unwrap());
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = daemon.port("eth0").mac.unwrap();
    let bytes: Vec<u8> =
        address.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    one.send(&frame::numbered(bytes.try_into().unwrap(), mac(1), 5, 600)).unwrap();
    let mut heard = [0; 2048];
    let (len, from) = socket.recv_from(&mut heard).unwrap();
    assert_eq!((len, from.to_string().as_str()), (600 - 42, "10.0.0.1:1024"));
    assert_eq!(heard[..4], 5_u32.to_be_bytes());
    socket.send_to(b"to the guest", from).unwrap();
    loop {
        let received = one.receive().unwrap();
        if received.bytes.get(42..) == Some(b"to the guest") {
            break;
        }
    }

    // Counters move just after the frames; the kernel beside us sends some of its own.
    let count = u64::from(FRAMES);
    let status = eventually("counters that add up", || {
        let status = daemon.status();
        let [vm1, vm2, _] = &status.ports[..] else { panic!("{status:?}") };
        let received: u64 = status.ports.iter().map(|port| port.rx_frames).sum();
        let sum = status.workers.iter().map(|worker| worker.frames).sum::<u64>() == received;
        (sum && vm1.tx_frames > count && vm2.tx_frames > count).then_some(status)
    });
    let [vm1, vm2, eth0] = &status.ports[..] else { panic!("{status:?}") };
    assert_eq!((vm1.number, vm2.number, eth0.number), (1, 7, 2));
    assert_eq!((vm1.rx_frames, vm2.rx_frames), (count + 2, count));
    daemon.stop();
}

#[test]
fn a_guest_that_enables_one_pair_of_four_gets_all_its_frames() {
    const STATIONS: u8 = 40;
    let daemon = Daemon::start(&["vhost-user:vm1={}/vm1.sock", "vhost-user:vm2={}/vm2.sock"]);
    let mut one = FrontEnd::connect(daemon.path("vm1.sock"), Settings::default()).unwrap();
    // QEMU starts all rings; the guest's driver uses as many pairs as it has processors.
    let four = Settings { pairs: 4, ..Settings::default() };
    let mut two = FrontEnd::connect(daemon.path("vm2.sock"), four).unwrap();
    for ring in 2..8 {
        two.enable(ring, false).unwrap();
    }
    daemon.wait_for_link("vm1", true);
    eventually("one pair", || (daemon.port("vm2").queue_pairs == 1).then_some(()));
    // Each station is a conversation of its own, which would go to any pair that is there.
    for station in 0..STATIONS {
        one.send(&frame::numbered(mac(2), mac(100 + station), u32::from(station), 64)).unwrap();
        assert_eq!(next_number(&mut two), u32::from(station));
    }
    assert!(daemon.drops().iter().all(|drop| drop.reason != "port_down"));
    daemon.stop();
}

#[test]
fn a_guest_goes_and_another_comes() {
    let daemon = Daemon::start(&["vhost-user:vm1={}/vm1.sock", "vhost-user:vm2={}/vm2.sock"]);
    let mut one = FrontEnd::connect(daemon.path("vm1.sock"), Settings::default()).unwrap();
    for number in 0..3 {
        let mut two = FrontEnd::connect(daemon.path("vm2.sock"), Settings::default()).unwrap();
        daemon.wait_for_link("vm2", true);
        one.send(&frame::numbered(mac(2), mac(1), number, 100)).unwrap();
        assert_eq!(next_number(&mut two), number);
        drop(two);
        daemon.wait_for_link("vm2", false);
    }
    // Now nobody is there: the frame ends with a reason.
    one.send(&frame::numbered(mac(2), mac(1), 9, 100)).unwrap();
    let drop =
        eventually("a counted drop", || daemon.drops().into_iter().find(|drop| drop.port == "vm2"));
    assert_eq!((drop.reason.as_str(), drop.frames), ("port_down", 1));
    assert!(drop.explanation.ends_with('.'));
    daemon.stop();
}

#[test]
fn a_client_port_connects_to_a_front_end_that_listens_and_again_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("front.sock");
    let port = format!("vhost-user-client:vm1={}", path.display());
    let daemon = Daemon::start(&[&port]);
    assert!(!daemon.port("vm1").up);
    for _ in 0..2 {
        let listener = Listener::bind(&path).unwrap();
        let guest = FrontEnd::start(listener.accept().unwrap(), Settings::default()).unwrap();
        daemon.wait_for_link("vm1", true);
        drop((guest, listener));
        // Whoever listens next has to find the path free.
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        daemon.wait_for_link("vm1", false);
    }
    daemon.stop();
}
