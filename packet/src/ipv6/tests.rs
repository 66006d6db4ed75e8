use super::*;

/// Hop-by-hop (router alert, padding), routing, fragment, destination options, AH, UDP.
const CHAIN: [u8; 52] = [
    43, 0, 5, 2, 0, 0, 1, 0, // hop-by-hop
    44, 0, 0, 0, 0, 0, 0, 0, // routing
    60, 99, 0, 1, 0, 0, 0, 7, // fragment: offset 0, more
    51, 0, 0xc3, 1, 9, 1, 1, 0, // destination options
    17, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, // AH of 16 bytes
    0xaa, 0xbb, 0xcc, 0xdd,
];

fn packet(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&[0; HEADER_LEN], payload].concat();
    let repr = Repr {
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
        next_header,
        hop_limit: 64,
        traffic_class: 0xb9,
        flow_label: 0xabcde,
        payload_len: payload.len() as u16,
    };
    repr.emit(&mut Header::new_unchecked(&mut bytes));
    bytes
}

fn walk(next_header: Protocol, payload: &[u8]) -> Result<Chain, Malformed> {
    Header::new_checked(packet(next_header, payload)).unwrap().chain()
}

#[test]
fn a_header_is_read_and_written() {
    let mut bytes = packet(Protocol::UDP, b"abc");
    bytes.extend([0; 9]); // padding of the link
    let header = Header::new_checked(&bytes).unwrap();
    assert_eq!((header.traffic_class(), header.ecn()), (0xb9, Ecn::Capable1));
    assert_eq!(header.flow_label(), 0xabcde);
    assert_eq!((header.payload_len(), header.payload()), (3, &b"abc"[..]));
    assert_eq!((header.next_header(), header.hop_limit()), (Protocol::UDP, 64));
    let repr = Repr::parse(&header);
    let mut written = Header::new_unchecked([0xff; HEADER_LEN]);
    repr.emit(&mut written);
    assert_eq!(written.into_inner(), bytes[..HEADER_LEN]);
}

#[test]
fn rfc8200_section_3_version_and_length() {
    let bytes = packet(Protocol::UDP, b"");
    for len in 0..HEADER_LEN {
        assert_eq!(Header::new_checked(&bytes[..len]), Err(Malformed::Truncated));
    }
    let mut bytes = bytes;
    bytes[0] = 0x45;
    assert_eq!(Header::new_checked(bytes), Err(Malformed::Version));
}

#[test]
fn rfc8200_section_4_extension_headers_are_taken_in_their_order() {
    let kinds: Vec<_> = Extensions::new(Protocol::HOP_BY_HOP, &CHAIN)
        .map(|extension| extension.unwrap().kind)
        .collect();
    assert_eq!(
        kinds,
        [
            Protocol::HOP_BY_HOP,
            Protocol::ROUTING,
            Protocol::FRAGMENT,
            Protocol::DESTINATION_OPTIONS,
            Protocol::AH
        ]
    );
    let fragment = Fragment { offset: 0, more: true, identification: 7 };
    let expected = Chain { protocol: Protocol::UDP, len: 48, fragment: Some(fragment) };
    assert_eq!(walk(Protocol::HOP_BY_HOP, &CHAIN), Ok(expected));
}

#[test]
fn rfc8200_section_4_1_hop_by_hop_options_stand_first_only() {
    let expected = Chain { protocol: Protocol::HOP_BY_HOP, len: 8, fragment: None };
    assert_eq!(walk(Protocol::ROUTING, &[0; 24]), Ok(expected));
}

#[test]
fn rfc8200_section_4_2_options_are_taken_in_order_and_say_what_becomes_of_them() {
    let options: Vec<_> = Extensions::new(Protocol::HOP_BY_HOP, &CHAIN)
        .flat_map(|extension| extension.unwrap().options())
        .map(Result::unwrap)
        .collect();
    let [alert, unknown] = options[..] else { panic!("{options:?}") };
    assert_eq!(alert, Ipv6Option { kind: 5, data: &[0, 0] });
    assert_eq!(alert.unrecognised(), Unrecognised::Skip);
    assert_eq!(unknown, Ipv6Option { kind: 0xc3, data: &[9] });
    assert_eq!(unknown.unrecognised(), Unrecognised::DiscardAndReportUnicast);
    let kind = |kind| Ipv6Option { kind, data: &[] }.unrecognised();
    assert_eq!(kind(0x40), Unrecognised::Discard);
    assert_eq!(kind(0x80), Unrecognised::DiscardAndReport);
}

#[test]
fn an_option_that_leads_out_of_its_header_is_the_last() {
    for bytes in [&[5, 9, 0, 0][..], &[5]] {
        let options: Vec<_> = Options { left: bytes }.collect();
        assert_eq!(options, [Err(Malformed::Truncated)]);
    }
}

#[test]
fn rfc8200_section_4_5_a_later_fragment_has_no_headers_behind_its_own() {
    let bytes = [60, 0, 0, 8, 0, 0, 0, 7, 17, 0xff];
    let chain = walk(Protocol::FRAGMENT, &bytes).unwrap();
    let fragment = chain.fragment.unwrap();
    assert!(fragment.is_later() && !fragment.is_atomic());
    assert_eq!((chain.protocol, chain.len), (Protocol::DESTINATION_OPTIONS, 8));
}

#[test]
fn rfc6946_section_4_an_atomic_fragment_is_a_packet_by_itself() {
    let chain = walk(Protocol::FRAGMENT, &[17, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4]).unwrap();
    let fragment = chain.fragment.unwrap();
    assert!(fragment.is_atomic() && !fragment.is_later());
    assert_eq!((chain.protocol, chain.len), (Protocol::UDP, 8));
}

#[test]
fn rfc8200_section_4_7_what_follows_no_next_header_is_ignored() {
    let chain = walk(Protocol::DESTINATION_OPTIONS, &[59, 0, 1, 4, 0, 0, 0, 0, 9, 9]).unwrap();
    assert_eq!((chain.protocol, chain.len), (Protocol::NO_NEXT, 8));
    let expected = Chain { protocol: Protocol::NO_NEXT, len: 0, fragment: None };
    assert_eq!(walk(Protocol::NO_NEXT, &CHAIN), Ok(expected));
}

#[test]
fn rfc7112_section_5_a_chain_that_is_cut_is_truncated() {
    let whole = 48;
    for len in 0..whole {
        assert_eq!(walk(Protocol::HOP_BY_HOP, &CHAIN[..len]), Err(Malformed::Truncated), "{len}");
    }
    // The payload length bounds the chain, whatever the link padded.
    let mut bytes = packet(Protocol::HOP_BY_HOP, &CHAIN);
    Header::new_unchecked(&mut bytes).set_payload_len(20);
    assert_eq!(Header::new_unchecked(&bytes).chain(), Err(Malformed::Truncated));
}

#[test]
fn rfc8504_section_5_3_the_walk_has_a_bound() {
    let mut bytes = Vec::new();
    for _ in 0..MAX_EXTENSIONS {
        bytes.extend([60, 0, 1, 4, 0, 0, 0, 0]);
    }
    assert_eq!(walk(Protocol::DESTINATION_OPTIONS, &bytes), Err(Malformed::TooDeep));
    let last = bytes.len() - 8;
    bytes[last] = 6;
    let chain = walk(Protocol::DESTINATION_OPTIONS, &bytes).unwrap();
    assert_eq!((chain.protocol, chain.len), (Protocol::TCP, 8 * MAX_EXTENSIONS));
}

#[test]
fn rfc4302_section_2_2_the_length_of_an_authentication_header() {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&[6, 4]);
    assert_eq!(walk(Protocol::AH, &bytes).unwrap().len, 24);
    bytes[1] = 0;
    assert_eq!(walk(Protocol::AH, &bytes), Err(Malformed::Length));
}
