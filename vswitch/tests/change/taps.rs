//! TAP ports that come, go and become others, in real namespaces.

use strowger_vswitch::control::Refusal;

use crate::{
    netns::{Namespace, eventually},
    world::{World, passes, vhost},
};

fn tap(name: &str, container: &Namespace, keys: &str) -> String {
    let netns = container.path().display();
    format!("[ports.{name}]\nbridge = \"br0\"\nkind = \"tap\"\nnetns = \"{netns}\"\n{keys}\n")
}

fn index(container: &Namespace, interface: &str) -> String {
    let line = container.ip(&["-o", "link", "show", "dev", interface]);
    line.split(':').next().unwrap().to_owned()
}

#[test]
fn an_interface_stays_when_only_its_port_becomes_another() {
    let container = Namespace::new();
    let world = World::start("[bridges.br0]\n");
    let apply = |keys: &str| {
        world.apply(&["[bridges.br0]\n", &tap("eth0", &container, keys)].concat()).unwrap()
    };
    apply("");
    container.ip(&["addr", "add", "10.0.0.2/24", "dev", "eth0"]);
    let first = index(&container, "eth0");
    for keys in ["tag = 5", "queues = 4", "queues = 2\ntag = 7", "queues = 1", "number = 9", ""] {
        apply(keys);
        assert_eq!(index(&container, "eth0"), first, "{keys}");
        assert!(container.ip(&["addr", "show", "dev", "eth0"]).contains("10.0.0.2/24"));
        let port = world.port("eth0");
        assert!(port.up && port.present == Some(true) && port.last_error.is_none());
    }
    // The same interface as another port.
    let renamed = ["[bridges.br0]\n", &tap("nic", &container, "interface = \"eth0\"")].concat();
    world.apply(&renamed).unwrap();
    assert_eq!(index(&container, "eth0"), first);
    // Another interface: the old one goes.
    world.apply(&["[bridges.br0]\n", &tap("nic", &container, "")].concat()).unwrap();
    let mut interfaces = container.interfaces();
    interfaces.sort();
    assert_eq!(interfaces, ["lo", "nic"]);
}

#[test]
fn frames_pass_by_every_number_of_queues() {
    let container = Namespace::new();
    let text = |keys: &str| {
        ["[bridges.br0]\n", &vhost("vm1", "br0", ""), &tap("eth0", &container, keys)].concat()
    };
    let world = World::start(&text(""));
    let mut guest = world.guest("vm1");
    for queues in [3, 1, 2, 4, 1] {
        world.apply(&text(&format!("queues = {queues}"))).unwrap();
        assert_eq!(world.port("eth0").queue_pairs, queues);
        let shown = world.port("eth0");
        let (tx, rx) = (shown.tx_frames, shown.rx_frames);
        guest
            .send(&strowger_fake_frontend::frame::numbered([0xff; 6], [2, 0, 0, 0, 0, 1], 1, 64))
            .unwrap();
        eventually("it left by the interface", || {
            (world.port("eth0").tx_frames > tx).then_some(())
        });
        container.ip(&["link", "set", "eth0", "down"]);
        container.ip(&["link", "set", "eth0", "up"]);
        eventually("the kernel greets its neighbours", || {
            (world.port("eth0").rx_frames > rx).then_some(())
        });
    }
}

#[test]
fn the_mtu_of_an_interface_is_shown() {
    let container = Namespace::new();
    let world = World::start(&["[bridges.br0]\n", &tap("eth0", &container, "")].concat());
    assert_eq!(world.port("eth0").mtu, Some(1500));
    container.ip(&["link", "set", "eth0", "mtu", "9000"]);
    assert_eq!(world.port("eth0").mtu, Some(9000));
    container.ip(&["link", "del", "eth0"]);
    let port = world.port("eth0");
    assert_eq!((port.up, port.present, port.mtu), (false, Some(false), None));
    assert!(port.last_error.unwrap().contains("was deleted"));
    // What it says to do helps.
    world.apply("[bridges.br0]\n").unwrap();
    world.apply(&["[bridges.br0]\n", &tap("eth0", &container, "")].concat()).unwrap();
    assert!(world.port("eth0").up);
}

#[test]
fn what_does_not_open_is_refused_and_leaves_nothing() {
    let container = Namespace::new();
    container.ip(&["tuntap", "add", "dev", "busy", "mode", "tap"]);
    let text = ["[bridges.br0]\n", &vhost("vm1", "br0", ""), &vhost("vm2", "br0", "")].concat();
    let world = World::start(&text);
    let (mut one, mut two) = (world.guest("vm1"), world.guest("vm2"));
    let missing = "[ports.x]\nbridge = \"br0\"\nkind = \"tap\"\nnetns = \"not-there\"\n";
    for (wrong, said) in [
        (tap("busy", &container, ""), "there is an interface named 'busy' already"),
        (missing.to_owned(), "there is no network namespace /run/netns/not-there"),
        (vhost("x", "br0", "").replace("x.sock", "no/x.sock"), "No such file or directory"),
    ] {
        let new = [text.replace("vm1]", "vm1]\ntag = 3"), tap("fresh", &container, ""), wrong];
        let refusal = world.apply(&new.concat()).unwrap_err();
        assert!(matches!(refusal, Refusal::Conflict(_)), "{refusal:?}");
        assert!(refusal.to_string().contains(said), "{refusal}");
        let mut interfaces = container.interfaces();
        interfaces.sort();
        assert_eq!(interfaces, ["busy", "lo"]);
        passes((&mut one, 1), (&mut two, 2), 1);
    }
}
