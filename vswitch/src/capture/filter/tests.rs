use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn read(text: &str) -> Filter {
    Filter::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What a test frame is made of. Everything comes from few values, so that filters of the same few values hit.
#[derive(Clone, Debug)]
struct Made {
    source: u8,
    destination: u8,
    tags: Vec<(u16, u16)>,
    content: Content,
    padding: usize,
}

#[derive(Clone, Debug)]
enum Content {
    Ip4 { source: u8, destination: u8, protocol: u8, options: bool, offset: u16, ports: (u16, u16) },
    Ip6 { source: u8, destination: u8, next: u8, fragment: Option<u8>, ports: (u16, u16) },
    Arp { rarp: bool, source: u8, destination: u8 },
    Other(u16),
}

fn mac(value: u8) -> [u8; 6] {
    match value {
        0 => [0xff; 6],
        1 => [1, 0, 0x5e, 0, 0, 1],
        value => [2, 0, 0, 0, 0, value],
    }
}

fn ip4(value: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, value & 1, 0, value)
}

fn ip6(value: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, u16::from(value & 1), 0, 0, 0, 0, value.into())
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [mac(self.destination), mac(self.source)].concat();
        for (tpid, tci) in &self.tags {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(tci.to_be_bytes());
        }
        match &self.content {
            Content::Ip4 { source, destination, protocol, options, offset, ports } => {
                bytes.extend(0x0800u16.to_be_bytes());
                let words = if *options { 7 } else { 5 };
                let mut header = [0; 28];
                header[0] = 0x40 | words;
                header[6..8].copy_from_slice(&offset.to_be_bytes());
                header[9] = *protocol;
                header[12..16].copy_from_slice(&ip4(*source).octets());
                header[16..20].copy_from_slice(&ip4(*destination).octets());
                bytes.extend(&header[..usize::from(words) * 4]);
                bytes.extend(ports.0.to_be_bytes());
                bytes.extend(ports.1.to_be_bytes());
            }
            Content::Ip6 { source, destination, next, fragment, ports } => {
                bytes.extend(0x86ddu16.to_be_bytes());
                bytes.extend([0x60, 0, 0, 0, 0, 60, fragment.map_or(*next, |_| 44), 64]);
                bytes.extend(ip6(*source).octets());
                bytes.extend(ip6(*destination).octets());
                bytes.extend(fragment.iter().flat_map(|_| [*next, 0, 0, 1, 0, 0, 0, 7]));
                bytes.extend(ports.0.to_be_bytes());
                bytes.extend(ports.1.to_be_bytes());
            }
            Content::Arp { rarp, source, destination } => {
                bytes.extend(if *rarp { 0x8035u16 } else { 0x0806 }.to_be_bytes());
                bytes.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2]);
                bytes.extend(ip4(*source).octets());
                bytes.extend([0; 6]);
                bytes.extend(ip4(*destination).octets());
            }
            Content::Other(ether_type) => bytes.extend(ether_type.to_be_bytes()),
        }
        // Long enough for every place that a filter may look at: what it finds beyond the end is another question.
        bytes.resize(bytes.len().max(90) + self.padding, 0);
        bytes
    }
}

fn content() -> impl Strategy<Value = Content> {
    let ports =
        || (select(vec![0u16, 53, 80, 443, 8000, 8080, 65535]), select(vec![53u16, 80, 8040]));
    let address = || 0u8..6;
    prop_oneof![
        4 => (address(), address(), select(vec![1u8, 2, 6, 17, 132]), any::<bool>(), select(vec![0u16, 0x2000, 0x4000, 3, 0x2003]), ports())
            .prop_map(|(source, destination, protocol, options, offset, ports)|
                Content::Ip4 { source, destination, protocol, options, offset, ports }),
        3 => (address(), address(), select(vec![0u8, 6, 17, 58, 132]), any::<bool>(), ports())
            .prop_map(|(source, destination, next, fragment, ports)|
                Content::Ip6 { source, destination, next, fragment: fragment.then_some(44), ports }),
        2 => (any::<bool>(), address(), address())
            .prop_map(|(rarp, source, destination)| Content::Arp { rarp, source, destination }),
        1 => select(vec![0x88ccu16, 0x0600, 0x0027]).prop_map(Content::Other),
    ]
}

fn tags(most: usize) -> impl Strategy<Value = Vec<(u16, u16)>> {
    vec(
        (select(vec![0x8100u16, 0x88a8, 0x9100]), select(vec![0u16, 10, 20, 0xe00a, 4095])),
        0..=most,
    )
}

fn made(most_tags: usize) -> impl Strategy<Value = Made> {
    (0u8..5, 0u8..5, tags(most_tags), content(), 0usize..900).prop_map(
        |(source, destination, tags, content, padding)| Made {
            source,
            destination,
            tags,
            content,
            padding,
        },
    )
}

fn side() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "src ", "dst ", "src or dst ", "src and dst ", "dst and src "])
}

/// A primitive without `vlan`.
fn primitive() -> impl Strategy<Value = String> {
    let alone = vec![
        "ip",
        "ip6",
        "arp",
        "rarp",
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "icmp6",
        "broadcast",
        "multicast",
        "ether broadcast",
        "ether multicast",
        "ether proto 0x88cc",
        "ether proto \\ip6",
        "ip proto 17",
        "ip6 proto 6",
        "ip proto \\icmp",
        "ip proto 2",
        "proto 132",
    ];
    let mac = |value: u8| mac(value).map(|byte| format!("{byte:02x}")).join(":");
    let net4 = vec![
        "10",
        "10.1",
        "10.0.0.0/16",
        "10.0.0.2/31",
        "10.0.0.4 mask 255.255.255.252",
        "0.0.0.0/0",
        "10.1.0.3",
    ];
    let net6 = vec!["2001:db8::/32", "2001:db8:0:1::/64", "::/0", "2001:db8::2"];
    let carrier = || select(vec!["", "", "ip ", "arp ", "rarp "]);
    let six = || select(vec!["", "ip6 "]);
    let transport = || select(vec!["", "", "tcp ", "udp ", "sctp "]);
    prop_oneof![
        select(alone).prop_map(str::to_owned),
        (side(), 0u8..5).prop_map(move |(side, value)| {
            let kind = if side.is_empty() { "host " } else { "" };
            format!("ether {side}{kind}{}", mac(value))
        }),
        (carrier(), side(), 0u8..6)
            .prop_map(|(carrier, side, value)| format!("{carrier}{side}host {}", ip4(value))),
        (select(vec!["src ", "dst ", "src or dst "]), 0u8..6)
            .prop_map(|(side, value)| format!("{side}{}", ip4(value))),
        (six(), side(), 0u8..6)
            .prop_map(|(six, side, value)| format!("{six}{side}host {}", ip6(value))),
        (carrier(), side(), select(net4))
            .prop_map(|(carrier, side, net)| format!("{carrier}{side}net {net}")),
        (six(), side(), select(net6)).prop_map(|(six, side, net)| format!("{six}{side}net {net}")),
        (transport(), side(), select(vec![0u16, 53, 80, 443, 8000, 65535]))
            .prop_map(|(transport, side, port)| format!("{transport}{side}port {port}")),
        (transport(), side(), select(vec!["53-80", "8000-8080", "0-65535", "443-443"]))
            .prop_map(|(transport, side, range)| format!("{transport}{side}portrange {range}")),
        (select(vec!["less", "greater"]), 80u32..1000)
            .prop_map(|(word, len)| format!("{word} {len}")),
        (0u8..6, 0u8..6).prop_map(|(one, other)| format!("host {} or {}", ip4(one), ip4(other))),
        (side(), select(vec!["80 or 443", "53 and 80", "80 or not 443"]))
            .prop_map(|(side, ports)| format!("{side}port {ports}")),
        (side(), 0u8..6, 0u8..6).prop_map(|(side, one, other)| {
            format!("{side}host ({} or {})", ip4(one), ip4(other))
        }),
        select(vec!["port (80 or 443)", "tcp port (53 or 8000 or 443)"]).prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    primitive().prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), select(vec!["and", "or", "&&", "||"]), inner.clone())
                .prop_map(|(one, word, other)| format!("{one} {word} {other}")),
            (inner.clone(), select(vec!["and", "or"]), inner.clone())
                .prop_map(|(one, word, other)| format!("({one}) {word} ({other})")),
            inner.clone().prop_map(|one| format!("not ({one})")),
            inner.prop_map(|one| format!("!({one})")),
        ]
    })
}

/// Which of these frames tcpdump lets pass.
fn tcpdump(filter: &str, frames: &[Vec<u8>]) -> Vec<bool> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        bytes.extend(word.to_ne_bytes());
    }
    for (number, frame) in frames.iter().enumerate() {
        // Its number as its time says afterwards which ones are there.
        for word in [number as u32, 0, frame.len() as u32, frame.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(frame);
    }
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    let output = Command::new("tcpdump")
        .args(["-r", "-", "-w", "-", "-Z", "root", filter])
        .stdin(file.reopen().unwrap())
        .stderr(Stdio::piped())
        .output()
        .expect("tcpdump is there: scripts/setup.sh test installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("expression rejects all packets") {
        return vec![false; frames.len()];
    }
    assert!(output.status.success(), "{filter}: {said}");
    let mut passed = vec![false; frames.len()];
    let mut rest = &output.stdout[24..];
    while !rest.is_empty() {
        let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        passed[word(0)] = true;
        rest = &rest[16 + word(8)..];
    }
    passed
}

fn ours(filter: &str, frames: &[Vec<u8>]) -> Vec<bool> {
    let filter = read(filter);
    frames.iter().map(|frame| filter.matches(&frame[..frame.len().min(192)], frame.len())).collect()
}

fn config() -> ProptestConfig {
    // Each case is a process.
    let config = crate::properties::config();
    ProptestConfig { cases: config.cases.min(200), ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn untagged_frames_pass_as_tcpdump_lets_them(filter in expression(), frames in vec(made(0), 1..60)) {
        let frames: Vec<_> = frames.iter().map(Made::bytes).collect();
        prop_assert_eq!(ours(&filter, &frames), tcpdump(&filter, &frames), "{}", filter);
    }

    #[test]
    fn tagged_frames_pass_as_tcpdump_lets_them_without_their_tags(filter in expression(), made in vec(made(3), 1..60)) {
        let tagged: Vec<_> = made.iter().map(Made::bytes).collect();
        // As long as with them: the length is the frame's own.
        let plain = |made: &Made| Made { tags: Vec::new(), padding: made.padding + 4 * made.tags.len(), ..made.clone() };
        let plain: Vec<_> = made.iter().map(|made| {
            let mut bytes = plain(made).bytes();
            bytes.resize(made.bytes().len(), 0);
            bytes
        }).collect();
        prop_assert_eq!(ours(&filter, &tagged), tcpdump(&filter, &plain), "{}", filter);
    }

    #[test]
    fn a_vlan_in_front_is_as_tcpdump_has_it(vid in select(vec!["", " 0", " 10", " 20", " 4095"]), filter in expression(), frames in vec(made(1), 1..60)) {
        let frames: Vec<_> = frames.iter().map(Made::bytes).collect();
        let filter = format!("vlan{vid} and ({filter})");
        prop_assert_eq!(ours(&filter, &frames), tcpdump(&filter, &frames), "{}", filter);
    }
}

proptest! {
    #![proptest_config(crate::properties::config())]

    #[test]
    fn no_text_harms_and_what_is_wrong_is_named(text in "[ -~\u{e4}\n]{0,80}") {
        if let Err(error) = Filter::read(&text) {
            named(&text, &error)?;
        }
    }

    #[test]
    fn words_in_any_order_are_read_or_named(words in vec(select(vec![
        "and", "or", "not", "(", ")", "host", "net", "port", "portrange", "src", "dst", "ether", "ip", "ip6", "tcp",
        "icmp", "vlan", "less", "broadcast", "mask", "proto", "10.0.0.1", "::1", "10", "1-2", "x", "!", "&&", "|",
        "02:00:00:00:00:01", "10.0.0.0/8", "70000", "-", "/", ":",
    ]), 0..12), frame in made(3)) {
        let text = words.join(" ");
        match Filter::read(&text) {
            Err(error) => named(&text, &error)?,
            // It says something of every frame, whole or cut anywhere.
            Ok(filter) => {
                let bytes = frame.bytes();
                for len in 0..bytes.len().min(192) {
                    let _any = filter.matches(&bytes[..len], bytes.len());
                }
            }
        }
    }
}

fn named(text: &str, error: &FilterError) -> Result<(), TestCaseError> {
    match &error.place {
        Place::Word(word, at) => {
            let there: String = text.chars().skip(at - 1).take(word.chars().count()).collect();
            prop_assert_eq!(&there, word, "{}", text);
        }
        Place::End => {}
    }
    prop_assert!(!error.message.is_empty());
    Ok(())
}

#[test]
fn errors_name_the_word_its_place_and_what_could_stand_there() {
    for (text, error) in [
        ("", "its end: there is no word in it; leave it out to capture everything"),
        ("hots 10.0.0.1", "'hots' (character 1): this is no word of a filter; it has host,"),
        ("host 10.0.0.1 and", "its end: a condition is expected"),
        ("host 10.0.0.1 port 80", "'port' (character 15): 'and' or 'or' is expected"),
        ("tcp port http", "'http' (character 10): a port is a number from 0 to 65535"),
        ("port 65536", "'65536' (character 6): a port is a number"),
        ("port", "its end: a port's number is expected"),
        (
            "portrange 80-70",
            "'80-70' (character 11): the first port of a range is not above the last",
        ),
        ("(tcp or udp", "its end: the '(' at character 1 is not closed"),
        ("tcp)", "')' (character 4): this parenthesis was not opened"),
        (
            "host example",
            "'example' (character 6): an IPv4 or IPv6 address is expected; names are not looked up",
        ),
        ("host 02:00:00:00:00:01", "an Ethernet address needs 'ether host' before it"),
        ("ether host 02:00", "'02:00' (character 12): an Ethernet address like"),
        ("net 10.0.0.1/8", "'10.0.0.1/8' (character 5): there are bits behind the prefix"),
        ("net 10.0.0.0/33", "a prefix has at most 32 bits"),
        (
            "net 10.0.0.0 mask 255.0.255.0",
            "'255.0.255.0' (character 19): a mask has all its ones in front",
        ),
        ("tcp host 10.0.0.1", "'tcp' (character 1): 'tcp' does not go with an IPv4 address"),
        ("ip host ::1", "'::1' (character 9): 'ip' does not go with an IPv6 address"),
        ("ip port 80", "'ip' (character 1): 'ip' has no ports; tcp, udp and sctp have"),
        ("vlan 4096", "'4096' (character 6): a VLAN is a number from 0 to 4095"),
        ("less many", "'many' (character 6): a number of bytes is expected"),
        ("ether", "'ether' (character 1): what of Ethernet?"),
        ("ether proto 5", "'5' (character 13): an Ethernet type from 0x600"),
        ("tcp syn", "'syn' (character 5): 'and', 'or', or what of the protocol is meant"),
        ("\u{e4} and tcp", "'\u{e4}' (character 1)"),
    ] {
        let said = Filter::read(text).unwrap_err().to_string();
        assert!(
            said.starts_with("the filter is not understood at ") && said.contains(error),
            "{text}: {said}"
        );
    }
}

#[test]
fn a_filter_is_bounded() {
    let many = |count: usize| vec!["tcp"; count].join(" or ");
    assert!(Filter::read(&many(MAX_PRIMITIVES)).is_ok());
    assert!(Filter::read(&many(MAX_PRIMITIVES + 1)).unwrap_err().message.contains("256"));
    let deep = |depth: usize| format!("{}tcp{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::read(&deep(MAX_DEPTH)).is_ok());
    assert!(Filter::read(&deep(MAX_DEPTH + 1)).unwrap_err().message.contains("deeper than 32"));
    assert!(Filter::read(&"not ".repeat(MAX_DEPTH + 1)).unwrap_err().message.contains("deeper"));
    assert!(Filter::read(&" ".repeat(MAX_TEXT + 1)).unwrap_err().message.contains("4096 bytes"));
}

#[test]
fn and_and_or_bind_alike_from_the_left() {
    // "tcp or udp and port 53" is (tcp or udp) and port 53, not tcp or (udp and port 53).
    let web = Made {
        source: 2,
        destination: 3,
        tags: vec![],
        content: Content::Ip4 {
            source: 2,
            destination: 3,
            protocol: 6,
            options: false,
            offset: 0,
            ports: (80, 80),
        },
        padding: 0,
    };
    let bytes = web.bytes();
    assert!(!read("tcp or udp and port 53").matches(&bytes, bytes.len()));
    assert!(read("udp and port 53 or tcp").matches(&bytes, bytes.len()));
}

#[test]
fn any_tag_counts_and_none_moves_what_stands_beside_it() {
    let mut frame = Made {
        source: 2,
        destination: 3,
        tags: vec![(0x88a8, 20), (0x8100, 10)],
        content: Content::Arp { rarp: false, source: 2, destination: 3 },
        padding: 0,
    };
    let passes = |frame: &Made, text: &str| read(text).matches(&frame.bytes(), frame.bytes().len());
    for text in [
        "vlan",
        "vlan 10",
        "vlan 20",
        "vlan 20 and vlan 10 and arp",
        "arp",
        "host 10.0.0.2 and not vlan 30",
    ] {
        assert!(passes(&frame, text), "{text}");
    }
    frame.tags.clear();
    for (text, passed) in [("vlan", false), ("not vlan", true), ("vlan 10 or arp", true)] {
        assert_eq!(passes(&frame, text), passed, "{text}");
    }
}
