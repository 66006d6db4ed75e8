use std::collections::HashMap;

use super::*;
use crate::{
    config::{
        file,
        flags::{self, Flag},
        port,
    },
    vlan::{Mode, Native, Vid, VidSet},
};

fn flags(words: &'static str) -> Config {
    let words: Vec<_> = words.split_whitespace().collect();
    let flag = |pair: &[&'static str]| match pair {
        ["--bridge", text] => (Flag::Bridge, *text),
        ["--port", text] => (Flag::Port, *text),
        ["--mirror", text] => (Flag::Mirror, *text),
        other => panic!("{other:?}"),
    };
    flags::gather(words.chunks(2).map(flag)).unwrap()
}

#[test]
fn what_clashes_is_named() {
    for (words, said) in [
        (
            "--bridge a --port tap:x,number=3 --port tap:y,number=3",
            "ports.y.number: number 3 of bridge 'a' is that of port 'x' already",
        ),
        (
            "--bridge a --port vhost-user:x=/s --bridge b --port vhost-user-client:y=//s",
            "ports.y.path: the socket //s is that of port 'x' already",
        ),
        (
            "--bridge a --port tap:x@blue,interface=eth0 --port tap:y@/run/netns/blue,interface=eth0",
            "ports.y.interface: the interface eth0 is that of port 'x' already",
        ),
        ("--bridge a --port tap:x --port dev:y=x", "ports.y.interface: the interface x is that"),
        ("--bridge a --port tap:x,tag=1,trunks=2", "ports.x.trunks: there are both tag and trunks"),
        ("--bridge a --port tap:x,tag=1,native=2", "ports.x.native: there are both tag and native"),
        ("--bridge a --port tap:x,dot1q-tunnel=1,tag=2", "both tag and dot1q-tunnel"),
        (
            "--bridge a --port tap:x,dot1q-tunnel=1,native=2,trunks=3",
            "both dot1q-tunnel and trunks",
        ),
        ("--bridge a --port vhost-user:x", "ports.x.path: a vhost-user port needs the path"),
        ("--bridge a --port tap:x,path=/s", "ports.x.path: a tap port has no path"),
        (
            "--bridge a --port dev:x,netns=blue",
            "ports.x.netns: a dev port has no network namespace",
        ),
        (
            "--bridge a --port vhost-user:x=/s,interface=y",
            "ports.x.interface: a vhost-user port has",
        ),
        ("--bridge a --port tap:abcdefghijklmnop", "'abcdefghijklmnop' has 16"),
        ("--bridge a --port tap:x,bridge=b", "ports.x.bridge: there is no bridge 'b'"),
        ("--bridge a --port tap:x,ingress-burst=64p", "ports.x.ingress-burst: a burst is above"),
        (
            "--bridge a --port tap:x,egress-rate=1Gbit,egress-burst=64p",
            "ports.x.egress-burst: egress-rate is in bits",
        ),
        (
            "--bridge a --port tap:x,ingress-rate=1kpps,ingress-burst=64KiB",
            "ports.x.ingress-burst: ingress-rate is in frames",
        ),
        ("--bridge a --port tap:x --mirror m,to=x", "mirrors.m.ports: the mirror copies nothing"),
        ("--bridge a --port tap:x --mirror m,ports=x,to=y", "mirrors.m.to: there is no port 'y'"),
        (
            "--bridge a --port tap:span0 --mirror m,ports=span,to=span0",
            "mirrors.m.ports[0]: there is no port 'span'; did you mean 'span0'?",
        ),
        (
            "--bridge a --port tap:x --port tap:y --mirror m,ports=y+x,to=x",
            "mirrors.m.ports[1]: port 'x' is where the copies go",
        ),
        (
            "--bridge a --port tap:x --port tap:y --port tap:z --mirror m,ports=y,to=x --mirror n,ports=z+x,to=y",
            "mirrors.m.ports[0]: port 'y' is where mirror 'n' sends its copies",
        ),
        (
            "--bridge a --port tap:x --port tap:y --mirror m,ports=y+y,to=x",
            "mirrors.m.ports[1]: port 'y' is given twice",
        ),
        (
            "--bridge a --port tap:x --mirror m,vlans=1+2+1,to=x",
            "mirrors.m.vlans[2]: the VLAN is given twice",
        ),
        (
            "--bridge a --port tap:x --bridge b --port tap:y --mirror m,ports=y,to=x",
            "mirrors.m.to: port 'x' is on bridge 'a', the mirror on bridge 'b'",
        ),
    ] {
        let error = flags(words).check().unwrap_err().to_string();
        assert!(error.contains(said), "{words}: {error}");
    }
    for fine in [
        "--bridge a --port tap:x,number=3 --bridge b --port tap:y,number=3",
        "--bridge a --port tap:x@blue,interface=eth0 --port tap:y@red,interface=eth0 --port tap:eth0",
        "--bridge a --port tap:x,ingress-rate=1kpps,ingress-burst=64p,egress-rate=2Mbit",
        "--bridge a --port tap:x --port tap:y --mirror m,ports=y,to=x --mirror n,vlans=0+7,to=x",
    ] {
        flags(fine).check().unwrap();
    }
}

#[test]
fn a_socket_has_room_in_its_address() {
    let port = |length: usize| {
        let mut config = flags("--bridge a --port vhost-user:x=/s");
        config.ports["x"].path = Some(format!("/{}", "s".repeat(length - 1)).into());
        config.check()
    };
    port(MAX_SOCKET_PATH).unwrap();
    let error = port(MAX_SOCKET_PATH + 1).unwrap_err();
    assert!(error.message.contains("has 108 bytes"), "{error}");
}

#[test]
fn there_is_a_bound_for_everything() {
    let mut config = flags("--bridge a");
    for number in 0..=MAX_PORTS {
        config.ports.insert(format!("p{number}"), PortConfig::new("a", PortKind::Tap));
    }
    let said = config.check().unwrap_err();
    assert_eq!((said.key.as_str(), said.message.contains("at most")), ("ports", true));
    config.ports.pop();
    config.check().unwrap();

    config.switch.workers = (0..=MAX_WORKERS).collect();
    assert_eq!(config.check().unwrap_err().key, "switch.workers");
    config.switch.workers = vec![3, 1, 3];
    let said = config.check().unwrap_err().to_string();
    assert_eq!(said, "switch.workers[2]: core 3 is given to two workers");
    config.switch.workers = vec![usize::MAX];
    assert_eq!(config.check().unwrap_err().key, "switch.workers[0]");
    config.switch.workers.clear();
    config.switch.mac_limit = 0;
    let said = config.check().unwrap_err().to_string();
    assert!(said.starts_with("switch.mac-limit: expected a number of stations from 1"), "{said}");
}

#[test]
fn a_path_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let mut config = flags("--bridge a");
    config.switch.rundir = std::ffi::OsString::from_vec(vec![b'/', 0xff]).into();
    let error = config.check().unwrap_err();
    assert_eq!(error.key, "switch");
    assert!(error.message.contains("cannot be written"), "{error}");
}

#[test]
fn tls_is_whole_or_not_at_all() {
    let api = |keys: &str| file::read(&format!("[api]\n{keys}")).map_err(|error| error.to_string());
    let files = "certificate = \"/c\"\nkey = \"/k\"\nclient-ca = \"/a\"\n";
    api(&format!("listen = \"[::1]:6650\"\n{files}")).unwrap();
    let said = api("listen = \"127.0.0.1:6650\"\ncertificate = \"/c\"\n").unwrap_err();
    assert!(said.starts_with("line 1, api.key: it is missing"), "{said}");
    let said = api(files).unwrap_err();
    assert!(said.starts_with("line 2, api.certificate: it is of no use"), "{said}");
}

#[test]
fn all_problems_are_found() {
    let config = flags("--bridge a --port tap:x,path=/s --port tap:y,bridge=c --port tap:z");
    let keys: Vec<_> = config.problems(9).into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["ports.x.path", "ports.y.bridge"]);
    assert_eq!(config.problems(1).len(), 1);
}

#[test]
fn ports_are_numbered_in_order_around_the_numbers_that_are_given_or_were() {
    let config = flags(
        "--bridge a --port tap:x --port tap:y,number=1 --port tap:z --port tap:w,number=9 --bridge b --port tap:v",
    );
    let numbers = |before: &[(&str, u32)]| {
        let before: HashMap<_, _> =
            before.iter().map(|&(name, number)| (name.to_owned(), number)).collect();
        let numbers = config.numbers(&before);
        assert_eq!(numbers.len(), 5);
        ["x", "y", "z", "w", "v"].map(|name| numbers[name])
    };
    assert_eq!(numbers(&[]), [2, 1, 3, 9, 1]);
    // A number that was given away, a port that is gone, two that say the same.
    assert_eq!(numbers(&[("z", 2), ("v", 7)]), [3, 1, 2, 9, 7]);
    assert_eq!(numbers(&[("x", 9), ("y", 4), ("gone", 2)]), [2, 1, 3, 9, 1]);
    assert_eq!(numbers(&[("x", 5), ("z", 5)]), [5, 1, 2, 9, 1]);
}

#[test]
fn vlan_keys_make_a_mode() {
    let mode = |keys: &str| port::parse(&format!("tap:x{keys}")).unwrap().1.vlan_mode().unwrap();
    let vid = |number| Vid::new(number).unwrap();
    assert_eq!(mode(""), Mode::default());
    assert_eq!(mode(",tag=7"), Mode::Access(vid(7)));
    assert_eq!(mode(",dot1q-tunnel=7"), Mode::Tunnel(vid(7)));
    let allowed: VidSet = [10, 20, 21, 22].into_iter().map(vid).collect();
    let native = Some(Native { vid: vid(5), tagged: false });
    assert_eq!(mode(",trunks=10+20-22,native=5"), Mode::Trunk { allowed, native });
    let Mode::Trunk { allowed, .. } = mode(",native=5") else { panic!() };
    assert!(allowed.contains(vid(0)) && allowed.contains(vid(4094)));
}
