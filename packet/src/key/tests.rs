use super::fields::FIELDS;
use super::*;
use crate::PortId;
use crate::arp::Operation;
use crate::ethernet::MacAddress;
use crate::ip::Protocol;
use crate::layers::{Layers, Network, Transport};
use crate::tcp::Flags;
use crate::{Claims, DropReason, Frame};
use proptest::prelude::*;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const IPV4: [u8; 2] = [0x08, 0];
const IPV6: [u8; 2] = [0x86, 0xdd];
/// 5000 → 53, 4 bytes.
const UDP: &[u8] = &[0x13, 0x88, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
/// 40000 → 80, SYN and AE, a window scale.
const TCP: &[u8] =
    &[0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x61, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, 1, 3, 3, 7];

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u8;
    let header = [0x45, 0xb8, 0, len, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&header[..], payload].concat()
}

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x6b, 0x8a, 0xbc, 0xde, 0, payload.len() as u8, next_header, 63];
    header.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    header.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    [&header[..], payload].concat()
}

/// Addresses, and then everything else.
fn ethernet(parts: &[&[u8]]) -> Vec<u8> {
    [&MACS[..], &parts.concat()].concat()
}

/// One frame of each kind that is read.
fn examples() -> Vec<Vec<u8>> {
    let solicitation = [
        &[135, 0, 0, 0, 0, 0, 0, 0][..],
        &[0xfe; 16],
        &[14, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9],
    ]
    .concat();
    let advertisement =
        [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &[0xfe; 16], &[2, 1, 2, 0, 0, 0, 0, 9]].concat();
    let options = [
        &[0x46, 0, 0, 36, 0, 1, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8][..],
        &[0x94, 4, 0, 0],
        UDP,
    ]
    .concat();
    let extensions = [
        &[43, 0, 5, 2, 0, 0, 1, 0][..],
        &[44, 0, 0, 0, 0, 0, 0, 0],
        &[60, 99, 0, 1, 0, 0, 0, 7],
        &[51, 0, 1, 4, 0, 0, 0, 0],
        &[17, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        UDP,
    ]
    .concat();
    vec![
        ethernet(&[&IPV4, &ipv4(17, UDP)]),
        ethernet(&[&IPV4, &ipv4(6, TCP), &[0; 6]]),
        ethernet(&[&IPV4, &options]),
        ethernet(&[&IPV4, &ipv4(1, &[8, 0, 0, 0, 0, 1, 0, 1, 7, 7])]),
        ethernet(&[&IPV4, &ipv4(132, &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0])]),
        ethernet(&[&IPV6, &ipv6(6, TCP)]),
        ethernet(&[&IPV6, &ipv6(0, &extensions)]),
        ethernet(&[&IPV6, &ipv6(44, &[&[17, 0, 0, 8, 0, 0, 0, 7][..], UDP].concat())]),
        ethernet(&[&IPV6, &ipv6(58, &solicitation)]),
        ethernet(&[&IPV6, &ipv6(58, &advertisement)]),
        ethernet(&[&[0x81, 0, 0x60, 100], &IPV4, &ipv4(17, UDP)]),
        ethernet(&[&[0x88, 0xa8, 0, 200, 0x81, 0, 0x30, 100], &IPV6, &ipv6(17, UDP)]),
        ethernet(&[&[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3], &IPV4, &ipv4(17, UDP)]),
        ethernet(&[&[0x88, 0x47, 0, 0, 0x11, 0x40], &ipv4(17, UDP)]),
        ethernet(&[
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &MACS[6..],
            &[10, 0, 0, 1],
            &[0; 6],
            &[10, 0, 0, 2],
        ]),
        ethernet(&[&[0, 40, 0xaa, 0xaa, 3, 0, 0, 0], &IPV4, &ipv4(17, UDP)]),
        ethernet(&[&[0, 40, 0x42, 0x42, 3, 0, 0, 0]]),
    ]
}

fn frame(bytes: &[u8]) -> Frame {
    let mut frame = Frame::default();
    frame.reset(PortId(7));
    frame.head_room()[..bytes.len()].copy_from_slice(bytes);
    frame.set_head(bytes.len());
    frame
}

fn read(bytes: &[u8]) -> (FlowKey, Layers) {
    let mut frame = frame(bytes);
    (extract(&mut frame).unwrap(), frame.layers)
}

#[test]
fn a_key_is_two_cache_lines() {
    assert_eq!((size_of::<FlowKey>(), size_of::<Mask>()), (128, 128));
}

#[test]
fn a_datagram_over_ipv4_is_read() {
    let (key, layers) = read(&ethernet(&[&IPV4, &ipv4(17, UDP)]));
    assert_eq!(key.in_port(), PortId(7));
    assert_eq!(key.eth_dst(), MacAddress([2, 0, 0, 0, 0, 2]));
    assert_eq!(key.eth_src(), MacAddress([2, 0, 0, 0, 0, 1]));
    assert_eq!(key.eth_type(), EtherType::IPV4);
    assert_eq!(key.ipv4_src(), Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(key.ipv4_dst(), Ipv4Addr::new(10, 0, 0, 2));
    assert_eq!((key.ip_proto(), key.ip_tos(), key.ip_ttl()), (Protocol::UDP, 0xb8, 64));
    assert_eq!((key.l4_src(), key.l4_dst()), (5000, 53));
    assert_eq!((key.reached(), key.fragment()), (Reached::Transport, Fragment::None));
    assert_eq!((key.outer_tag(), key.inner_tag()), (None, None));
    assert_eq!((layers.l3, layers.l4, layers.payload), (14, 34, 42));
    assert_eq!((layers.network, layers.transport), (Network::Ipv4, Transport::Udp));
}

#[test]
fn a_segment_over_ipv6_is_read() {
    let (key, layers) = read(&ethernet(&[&IPV6, &ipv6(6, TCP)]));
    assert_eq!(key.ipv6_src(), "2001:db8::1".parse::<Ipv6Addr>().unwrap());
    assert_eq!(key.ipv6_dst(), "2001:db8::2".parse::<Ipv6Addr>().unwrap());
    assert_eq!((key.ip_tos(), key.ipv6_label(), key.ip_ttl()), (0xb8, 0xabcde, 63));
    assert_eq!(key.tcp_flags(), Flags::SYN.with(Flags::AE));
    assert_eq!((key.ip_proto(), key.l4_src(), key.l4_dst()), (Protocol::TCP, 40_000, 80));
    assert_eq!((layers.l3, layers.l4, layers.payload), (14, 54, 78));
}

#[test]
fn two_tags_are_read_and_a_third_is_a_type() {
    let (key, layers) =
        read(&ethernet(&[&[0x88, 0xa8, 0, 200, 0x81, 0, 0x30, 100], &IPV4, &ipv4(17, UDP)]));
    assert_eq!((key.outer_kind(), key.inner_kind()), (TagKind::Service, TagKind::Customer));
    assert_eq!((key.outer_tag(), key.inner_tag()), (Some(Tci(200)), Some(Tci(0x3064))));
    assert_eq!((key.eth_type(), key.l4_dst()), (EtherType::IPV4, 53));
    assert_eq!((layers.vlan_tags, layers.l3, layers.l4), (2, 22, 42));
    let tags = [0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3];
    let (key, layers) = read(&ethernet(&[&tags, &IPV4, &ipv4(17, UDP)]));
    assert_eq!((key.eth_type(), key.reached()), (EtherType::VLAN, Reached::Link));
    assert_eq!((layers.vlan_tags, layers.l3), (2, 22));
}

#[test]
fn a_tag_of_vlan_0_is_not_the_same_as_none() {
    let (tagged, _) = read(&ethernet(&[&[0x81, 0, 0, 0], &IPV4, &ipv4(17, UDP)]));
    let (plain, _) = read(&ethernet(&[&IPV4, &ipv4(17, UDP)]));
    assert_eq!((tagged.outer_tag(), plain.outer_tag()), (Some(Tci(0)), None));
    assert_ne!(tagged, plain);
}

#[test]
fn arp_lies_in_the_address_fields() {
    let request =
        [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 3, 0, 0, 0, 0, 5, 10, 0, 0, 2];
    let (key, layers) = read(&ethernet(&[&[8, 6], &request]));
    assert_eq!(key.arp_op(), Operation::REQUEST);
    assert_eq!(
        (key.arp_sha(), key.arp_tha()),
        (MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([3, 0, 0, 0, 0, 5]))
    );
    assert_eq!(key.ipv4_src(), Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(key.ipv4_dst(), Ipv4Addr::new(10, 0, 0, 2));
    assert_eq!((key.reached(), layers.network), (Reached::Network, Network::Arp));
    let token_ring = [&[0, 6][..], &request[2..]].concat();
    assert_eq!(read(&ethernet(&[&[8, 6], &token_ring])).0.reached(), Reached::Link);
}

#[test]
fn neighbour_discovery_is_read_behind_other_options() {
    let examples = examples();
    let target = u128::from_be_bytes([0xfe; 16]);
    for (bytes, kind) in [(&examples[8], 135), (&examples[9], 136)] {
        let (key, layers) = read(bytes);
        assert_eq!((key.icmp_type(), key.icmp_code(), key.nd_target()), (kind, 0, target));
        assert_eq!(key.nd_link(), MacAddress([2, 0, 0, 0, 0, 9]));
        assert_eq!(layers.transport, Transport::Icmpv6);
    }
}

#[test]
fn ports_of_a_fragment_are_on_the_first_only() {
    let mut packet = ipv4(17, UDP);
    packet[6..8].copy_from_slice(&[0x20, 0]);
    let (key, layers) = read(&ethernet(&[&IPV4, &packet]));
    assert_eq!((key.fragment(), key.l4_dst()), (Fragment::First, 53));
    assert_eq!(layers.transport, Transport::Udp);
    for word in [[0x20, 1], [0, 1]] {
        packet[6..8].copy_from_slice(&word);
        let (key, layers) = read(&ethernet(&[&IPV4, &packet]));
        assert_eq!((key.fragment(), key.l4_dst()), (Fragment::Later, 0));
        assert_eq!((key.reached(), layers.transport), (Reached::Network, Transport::None));
        assert_eq!(key.ip_proto(), Protocol::UDP);
    }
}

#[test]
fn padding_of_the_link_is_no_header() {
    let mut packet = ipv4(17, UDP);
    packet[3] = 20;
    let (key, _) = read(&ethernet(&[&IPV4, &packet]));
    assert_eq!((key.reached(), key.l4_dst()), (Reached::Network, 0));
}

#[test]
fn only_a_frame_without_an_ethernet_header_is_an_error() {
    for example in examples() {
        for len in 0..14 {
            assert_eq!(extract(&mut frame(&example[..len])), Err(DropReason::Truncated));
        }
        let mut reached = Reached::Link;
        for len in 14..=example.len() {
            let (key, _) = read(&example[..len]);
            assert!(key.reached() >= reached, "{key:?} of {len} bytes");
            reached = key.reached();
        }
    }
}

#[test]
fn claims_are_taken_once_and_become_an_offload_of_our_own_parse() {
    let bytes = ethernet(&[&[0x81, 0, 0, 9], &IPV4, &ipv4(17, UDP)]);
    let claims =
        Claims { flags: Claims::NEEDS_CSUM, csum_start: 38, csum_offset: 6, ..Claims::default() };
    let mut honest = frame(&bytes);
    honest.claims = Some(claims);
    extract(&mut honest).unwrap();
    let checksum = honest.offload.checksum.unwrap();
    assert_eq!((checksum.start, checksum.offset, honest.claims), (38, 6, None));
    // A second parse, after a push or pop, does not take them again.
    assert!(honest.close(12, 4));
    extract(&mut honest).unwrap();
    assert_eq!(honest.offload.checksum.unwrap().start, 34);
    let mut forged = frame(&bytes);
    forged.claims = Some(Claims { csum_start: 34, ..claims });
    assert_eq!(extract(&mut forged), Err(DropReason::BadOffload));
    assert_eq!((forged.offload.checksum, forged.claims), (None, None));
}

#[test]
fn a_fragment_has_nothing_to_offload() {
    let mut packet = ipv4(17, UDP);
    packet[6] = 0x20;
    let mut first = frame(&ethernet(&[&IPV4, &packet]));
    first.claims = Some(Claims {
        flags: Claims::NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 6,
        ..Claims::default()
    });
    assert_eq!(extract(&mut first), Err(DropReason::BadOffload));
}

#[test]
fn fields_overlap_only_where_they_say_so() {
    let aliases = ["arp_op", "icmp_type", "icmp_code", "arp_sha", "arp_tha"];
    let mut taken = [0_u64; WORDS];
    for (name, word, bits, shift) in FIELDS.iter().filter(|field| !aliases.contains(&field.0)) {
        assert_eq!(taken[*word] & bits << shift, 0, "{name}");
        taken[*word] |= bits << shift;
    }
    for wide in [Mask::IP_SRC, Mask::IP_DST, Mask::ND_TARGET] {
        assert!(taken.iter().zip(wide.words()).all(|(taken, wide)| taken & wide == 0));
    }
}

#[test]
fn what_is_set_is_read_and_touches_nothing_else() {
    let full = FlowKey::from_words([u64::MAX; WORDS]);
    let mut key = full;
    key.set_ipv6_label(0);
    key.set_outer_kind(TagKind::None);
    key.set_eth_src(MacAddress([1, 2, 3, 4, 5, 6]));
    key.set_fragment(Fragment::First);
    key.set_ip_dst(1 << 64 | 2);
    assert_eq!((key.ipv6_label(), key.outer_kind(), key.ip_dst()), (0, TagKind::None, 1 << 64 | 2));
    assert_eq!(key.eth_src(), MacAddress([1, 2, 3, 4, 5, 6]));
    assert_eq!(key.fragment(), Fragment::First);
    let changed =
        Mask::IPV6_LABEL | Mask::OUTER_KIND | Mask::ETH_SRC | Mask::FRAGMENT | Mask::IP_DST;
    let others = Mask::from_words(changed.words().map(|word| !word));
    assert_eq!(key.masked(&others), full.masked(&others));
}

#[test]
fn debug_output_shows_what_is_there() {
    let mut key = FlowKey::default();
    key.set_l4_dst(53);
    key.set_ip_src(10);
    assert_eq!(format!("{key:?}"), "FlowKey { l4_dst: 0x35, icmp_code: 0x35, ip_src: 0xa }");
    assert_eq!(format!("{:?}", Mask::METADATA), "Mask { metadata: 0xffffffffffffffff }");
}

#[test]
fn conversations_hash_the_same_both_ways() {
    for example in examples() {
        let (key, _) = read(&example);
        let mut back = key;
        back.set_eth_src(key.eth_dst());
        back.set_eth_dst(key.eth_src());
        back.set_ip_src(key.ip_dst());
        back.set_ip_dst(key.ip_src());
        if matches!(key.ip_proto(), Protocol::ICMP | Protocol::ICMPV6) {
            back.set_icmp_type(key.icmp_type() ^ 8);
        } else {
            back.set_l4_src(key.l4_dst());
            back.set_l4_dst(key.l4_src());
        }
        assert_eq!(key.symmetric_hash(), back.symmetric_hash(), "{key:?}");
    }
}

#[test]
fn all_packets_of_a_conversation_hash_the_same_whatever_else_they_say() {
    let (key, _) = read(&ethernet(&[&IPV4, &ipv4(6, TCP)]));
    let mut other = key;
    other.set_tcp_flags(Flags::ACK);
    other.set_ip_ttl(1);
    other.set_in_port(PortId(8));
    assert_eq!(key.symmetric_hash(), other.symmetric_hash());
    // Ports that change sides make another conversation. (A chance of 2^-32 over the secrets each.)
    other.set_l4_src(key.l4_dst());
    other.set_l4_dst(key.l4_src());
    assert_ne!(key.symmetric_hash(), other.symmetric_hash());
    other.set_l4_src(1);
    assert_ne!(key.symmetric_hash(), other.symmetric_hash());
    // Both fragments of a datagram go the same way, with ports or without.
    let mut packet = ipv4(17, UDP);
    packet[6] = 0x20;
    let (first, _) = read(&ethernet(&[&IPV4, &packet]));
    packet[6..8].copy_from_slice(&[0, 1]);
    let (later, _) = read(&ethernet(&[&IPV4, &packet]));
    assert_eq!(first.symmetric_hash(), later.symmetric_hash());
}

#[test]
fn keys_that_count_up_spread_over_all_buckets() {
    // 4,096 balls in 4,096 bins: 24 in one bin have a chance below 1e-20.
    for set in [FlowKey::set_l4_src, FlowKey::set_l4_dst, FlowKey::set_eth_type_number] {
        let mut low = vec![0; 4_096];
        let mut high = vec![0; 4_096];
        for value in 0..4_096 {
            let mut key = FlowKey::default();
            set(&mut key, value);
            low[key.hash() as usize & 4_095] += 1;
            high[(key.hash() >> 52) as usize] += 1;
        }
        assert!(low.iter().chain(&high).all(|&count| count < 24));
    }
}

impl FlowKey {
    fn set_eth_type_number(&mut self, value: u16) {
        self.set_eth_type(EtherType(value));
    }
}

/// A frame of some kind, cut off and spoilt in a few places.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::sample::select(examples()),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
    )
        .prop_map(|(mut bytes, changes, end)| {
            for (at, value) in changes {
                // Most of them where it matters.
                let at = at.index(bytes.len().min(60));
                bytes[at] = value;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len() + 1));
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_agrees_with_a_simple_one(
        bytes in prop_oneof![9 => spoilt(), 1 => prop::collection::vec(any::<u8>(), 0..192)],
    ) {
        let mut frame = frame(&bytes);
        let found = extract(&mut frame).ok();
        let expected = oracle::parse(&bytes).map(|(mut key, layers)| {
            key.set_in_port(PortId(7));
            (key, layers)
        });
        prop_assert_eq!(found, expected.map(|(key, _)| key));
        prop_assert_eq!(frame.layers, expected.map_or(Layers::default(), |(_, layers)| layers));
    }
}

fn any_key() -> impl Strategy<Value = FlowKey> {
    any::<[u64; WORDS]>().prop_map(FlowKey::from_words)
}

fn any_mask() -> impl Strategy<Value = Mask> {
    prop_oneof![
        any::<[u64; WORDS]>().prop_map(Mask::from_words),
        Just(Mask::NONE),
        Just(Mask::EXACT),
        Just(Mask::IN_PORT | Mask::ETH_DST | Mask::VLANS),
    ]
}

proptest! {
    #[test]
    fn masks_are_sets_of_bits(key in any_key(), other in any_key(), a in any_mask(), b in any_mask()) {
        let both = a | b;
        prop_assert!(both.contains(&a) && both.contains(&b) && Mask::EXACT.contains(&both));
        prop_assert!(a.contains(&Mask::NONE));
        prop_assert_eq!(a.contains(&b), both == a);
        prop_assert_eq!(key.masked(&both).masked(&a), key.masked(&a));
        prop_assert_eq!(key.matches(&other.masked(&a), &a), key.masked(&a) == other.masked(&a));
        prop_assert!(key.matches(&key.masked(&a), &a));
        prop_assert_eq!(Mask::of(&FlowKey::from_words(*a.words())), a);
    }

    #[test]
    fn a_hash_is_of_the_bits_that_matter(key in any_key(), mask in any_mask(), bit in 0_usize..1_024) {
        prop_assert_eq!(key.masked_hash(&mask), key.masked(&mask).hash());
        let mut words = *key.words();
        words[bit / 64] ^= 1 << (bit % 64);
        // A chance of 2^-64 over the secrets.
        prop_assert_ne!(FlowKey::from_words(words).hash(), key.hash());
    }
}
