//! The host's own stack sees nothing of an interface that the switch has.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use strowger_vswitch::vlan::Mode;

use crate::{
    netns::{Namespace, eventually},
    scene::{Container, Switch},
};

/// A host that two containers reach by its own stack: by IPv4, by IPv6 link-local, and each other by its routing.
struct World {
    switch: Switch,
    containers: [Container; 2],
    link_local: [Ipv6Addr; 2],
}

fn conf(interface: &str, key: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{interface}/{key}")
}

impl World {
    fn new() -> Self {
        let switch = Switch::new(1);
        let host = &switch.host;
        host.within(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        host.ip(&["link", "set", "lo", "up"]);
        let containers = [Container::new(host, "v1", 1), Container::new(host, "v2", 2)];
        for (container, number) in containers.iter().zip(1..) {
            // A network for each container and the host's end.
            let Container { namespace, .. } = container;
            let own = format!("192.168.{number}.2/24");
            let gateway = format!("192.168.{number}.1");
            namespace.ip(&["addr", "add", &own, "dev", "eth0"]);
            namespace.ip(&["route", "add", "192.168.0.0/16", "via", &gateway]);
            host.ip(&["addr", "add", &format!("{gateway}/24"), "dev", &format!("v{number}")]);
            namespace.within(|| std::fs::write(conf("eth0", "disable_ipv6"), "0").unwrap());
        }
        let link_local =
            ["v1", "v2"].map(|interface| eventually("an address", || link_local(host, interface)));
        for container in &containers {
            eventually("an address", || link_local_ready(&container.namespace, "eth0"));
        }
        Self { switch, containers, link_local }
    }

    /// Whether a container reaches the host's service by its link-local address.
    fn by_ipv6(&self, service: u16) -> bool {
        let address = self.link_local[0];
        self.containers[0].namespace.within(move || {
            let any = UdpSocket::bind("0.0.0.0:0").unwrap();
            let scope = rustix::net::netdevice::name_to_index(&any, "eth0").unwrap();
            let at = SocketAddr::V6(SocketAddrV6::new(address, service, 0, scope));
            TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok()
        })
    }

    /// Whether it reaches the service by the host's IPv4 address.
    fn by_ipv4(&self, service: u16) -> bool {
        self.containers[0].namespace.within(move || {
            let at = SocketAddr::from((Ipv4Addr::new(192, 168, 1, 1), service));
            TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok()
        })
    }

    /// Whether the host routes between the containers.
    fn by_routing(&self) -> bool {
        self.containers[0].is_answered_by(Ipv4Addr::new(192, 168, 2, 2))
    }
}

fn link_local(namespace: &Namespace, interface: &str) -> Option<Ipv6Addr> {
    link_local_ready(namespace, interface)?;
    let text = namespace.ip(&["-6", "-o", "addr", "show", "dev", interface, "scope", "link"]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "inet6")?;
    words.get(at + 1)?.split('/').next()?.parse().ok()
}

/// The address is there, and nobody else has it.
fn link_local_ready(namespace: &Namespace, interface: &str) -> Option<()> {
    let text = namespace.ip(&["-6", "-o", "addr", "show", "dev", interface, "scope", "link"]);
    (text.contains("inet6") && !text.contains("tentative")).then_some(())
}

#[test]
fn the_hosts_services_and_routing_are_out_of_reach_and_back_when_the_port_closes() {
    const SERVICE: u16 = 7070;
    let mut world = World::new();
    let _service = world.switch.host.within(|| TcpListener::bind(("::", SERVICE)).unwrap());
    // It all works without the switch, so that the test can fail.
    assert!(world.by_ipv4(SERVICE) && world.by_ipv6(SERVICE));
    eventually("the host to route between the containers", || world.by_routing().then_some(()));

    world.switch.open("v1");
    world.switch.open("v2");
    let [left, right] = &world.containers;
    left.ping(right);
    assert!(!world.by_ipv4(SERVICE));
    assert!(!world.by_ipv6(SERVICE));
    assert!(!world.by_routing());
    left.echo(right, 7000, 1 << 20);
    // Nothing of the host's own, by itself or by its addresses.
    let host = &world.switch.host;
    assert_eq!(host.read(&conf("v1", "disable_ipv6")), "1");
    let shown = host.ip(&["-o", "link", "show", "v1"]);
    assert!(shown.contains("NOARP") && shown.contains("UP"), "{shown}");

    world.switch.close("v1");
    world.switch.close("v2");
    let host = &world.switch.host;
    assert_eq!(host.read(&conf("v1", "disable_ipv6")), "0");
    let shown = host.ip(&["-o", "link", "show", "v1"]);
    assert!(!shown.contains("NOARP") && shown.contains("UP"), "{shown}");
    eventually("the host to be back", || {
        (world.by_ipv4(SERVICE) && world.by_routing()).then_some(())
    });
    eventually("its link-local address to be back", || {
        link_local(&world.switch.host, "v1")?;
        world.by_ipv6(SERVICE).then_some(())
    });
}

#[test]
fn an_interface_that_returns_is_closed_again() {
    const SERVICE: u16 = 7071;
    let mut switch = Switch::new(1);
    let _service = switch.host.within(|| TcpListener::bind(("0.0.0.0", SERVICE)).unwrap());
    let reaches = |container: &Container| {
        container.namespace.within(move || {
            let at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 254), SERVICE));
            TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok()
        })
    };
    let address = |host: &Namespace| host.ip(&["addr", "add", "10.0.0.254/24", "dev", "v1"]);
    let first = Container::new(&switch.host, "v1", 1);
    address(&switch.host);
    assert!(reaches(&first));
    switch.open("v1");
    assert!(!reaches(&first));
    for _ in 0..2 {
        switch.host.ip(&["link", "del", "v1"]);
        switch.wait_for("v1", "the interface to be gone", |status| !status.present);
        let next = Container::new(&switch.host, "v1", 1);
        switch.wait_for("v1", "the interface to be back", |status| status.up);
        address(&switch.host);
        assert!(!reaches(&next));
    }
    switch.close("v1");
    let last = Container::new(&switch.host, "v9", 1);
    switch.host.ip(&["addr", "add", "10.0.0.254/24", "dev", "v9"]);
    assert!(reaches(&last));
}

#[test]
fn an_interface_that_was_down_without_arp_is_left_so() {
    let mut switch = Switch::new(1);
    let _container = Container::new(&switch.host, "v1", 1);
    switch.host.ip(&["link", "set", "v1", "down"]);
    switch.host.ip(&["link", "set", "v1", "arp", "off"]);
    switch.host.within(|| std::fs::write(conf("v1", "disable_ipv6"), "1").unwrap());
    switch.open_with("v1", Mode::default(), 2);
    switch.wait_for("v1", "the link to be up", |status| status.up);
    switch.close("v1");
    let shown = switch.host.ip(&["-o", "link", "show", "v1"]);
    assert!(shown.contains("NOARP") && !shown.contains(",UP"), "{shown}");
    assert_eq!(switch.host.read(&conf("v1", "disable_ipv6")), "1");
}
