use super::*;

const TARGET: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const SOURCE_MAC: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];
const KINDS: [(Kind, usize); 5] = [
    (Kind::ROUTER_SOLICITATION, 8),
    (Kind::ROUTER_ADVERTISEMENT, 16),
    (Kind::NEIGHBOUR_SOLICITATION, 24),
    (Kind::NEIGHBOUR_ADVERTISEMENT, 24),
    (Kind::REDIRECT, 40),
];

/// A valid message of this kind with these options.
fn message(kind: Kind, options: &[u8]) -> Vec<u8> {
    let mut bytes = [&vec![0; options_at(kind).unwrap()][..], options].concat();
    let mut message = Message::new_unchecked(&mut bytes);
    message.set_kind(kind);
    if !matches!(kind, Kind::ROUTER_SOLICITATION | Kind::ROUTER_ADVERTISEMENT) {
        message.set_target(TARGET);
    }
    if kind == Kind::REDIRECT {
        TARGET.write(&mut bytes, field::DESTINATION);
    }
    bytes
}

fn validate(bytes: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<(), Invalid> {
    let mut message = Message::new_checked(bytes.to_vec()).unwrap();
    message.fill_checksum(source, destination);
    message.validate(&Envelope { source, destination, hop_limit: HOP_LIMIT })
}

#[test]
fn every_kind_is_valid_from_a_router_to_its_link() {
    for (kind, _) in KINDS {
        assert_eq!(validate(&message(kind, &SOURCE_MAC), ROUTER, GROUP), Ok(()), "{kind:?}");
    }
}

#[test]
fn rfc4861_all_validation_sections_length_and_code() {
    for (kind, len) in KINDS {
        let bytes = message(kind, &[]);
        assert_eq!(bytes.len(), len);
        for short in 0..len {
            assert_eq!(Message::new_checked(&bytes[..short]), Err(Malformed::Truncated));
        }
        let mut bytes = bytes;
        bytes[1] = 1;
        assert_eq!(Message::new_checked(&bytes), Err(Malformed::Kind));
    }
    assert_eq!(Message::new_checked([128; 64]), Err(Malformed::Kind));
}

#[test]
fn rfc4861_all_validation_sections_hop_limit_and_checksum() {
    for (kind, _) in KINDS {
        let mut message = Message::new_checked(message(kind, &[])).unwrap();
        message.fill_checksum(ROUTER, GROUP);
        let envelope = Envelope { source: ROUTER, destination: GROUP, hop_limit: HOP_LIMIT };
        assert_eq!(message.validate(&envelope), Ok(()));
        assert_eq!(
            message.validate(&Envelope { hop_limit: 254, ..envelope }),
            Err(Invalid::HopLimit)
        );
        message.set_checksum(!message.checksum());
        assert_eq!(message.validate(&envelope), Err(Invalid::Checksum));
    }
}

#[test]
fn rfc4861_section_4_6_an_option_without_length_spoils_the_message() {
    for (kind, _) in KINDS {
        let bytes = message(kind, &[1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Message::new_checked(bytes), Err(Malformed::Length));
        for cut in [&[1, 2, 0, 0, 0, 0, 0, 0][..], &[1]] {
            assert_eq!(Message::new_checked(message(kind, cut)), Err(Malformed::Truncated));
        }
    }
}

#[test]
fn rfc4861_section_6_1_1_a_router_solicitation_from_nobody_names_no_sender() {
    let nobody = Ipv6Addr::UNSPECIFIED;
    let plain = message(Kind::ROUTER_SOLICITATION, &[]);
    assert_eq!(validate(&plain, nobody, GROUP), Ok(()));
    let named = message(Kind::ROUTER_SOLICITATION, &SOURCE_MAC);
    assert_eq!(validate(&named, nobody, GROUP), Err(Invalid::SourceLinkLayer));
    let long =
        message(Kind::ROUTER_SOLICITATION, &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(validate(&long, nobody, GROUP), Err(Invalid::SourceLinkLayer));
}

#[test]
fn rfc4861_section_6_1_2_a_router_advertisement_is_link_local() {
    let bytes = message(Kind::ROUTER_ADVERTISEMENT, &[]);
    assert_eq!(validate(&bytes, TARGET, GROUP), Err(Invalid::Source));
}

#[test]
fn rfc4861_section_7_1_1_neighbour_solicitations() {
    let nobody = Ipv6Addr::UNSPECIFIED;
    let plain = message(Kind::NEIGHBOUR_SOLICITATION, &[]);
    assert_eq!(validate(&plain, nobody, solicited_node(TARGET)), Ok(()));
    assert_eq!(validate(&plain, nobody, GROUP), Err(Invalid::Destination));
    let named = message(Kind::NEIGHBOUR_SOLICITATION, &SOURCE_MAC);
    assert_eq!(validate(&named, nobody, solicited_node(TARGET)), Err(Invalid::SourceLinkLayer));
    let mut group = plain;
    GROUP.write(&mut group, field::TARGET);
    assert_eq!(validate(&group, ROUTER, TARGET), Err(Invalid::Target));
}

#[test]
fn rfc4861_section_7_1_2_neighbour_advertisements() {
    let mut bytes = message(Kind::NEIGHBOUR_ADVERTISEMENT, &[]);
    bytes[field::NEIGHBOUR_FLAGS] = NeighbourFlags::SOLICITED.0;
    assert_eq!(validate(&bytes, TARGET, ROUTER), Ok(()));
    assert_eq!(validate(&bytes, TARGET, GROUP), Err(Invalid::Solicited));
    GROUP.write(&mut bytes, field::TARGET);
    assert_eq!(validate(&bytes, TARGET, ROUTER), Err(Invalid::Target));
}

#[test]
fn rfc4861_section_8_1_redirects() {
    let bytes = message(Kind::REDIRECT, &[]);
    assert_eq!(validate(&bytes, TARGET, ROUTER), Err(Invalid::Source));
    let with = |target: Ipv6Addr, redirected: Ipv6Addr| {
        let mut bytes = bytes.clone();
        target.write(&mut bytes, field::TARGET);
        redirected.write(&mut bytes, field::DESTINATION);
        validate(&bytes, ROUTER, TARGET)
    };
    assert_eq!(with(ROUTER, TARGET), Ok(()));
    assert_eq!(with(TARGET, TARGET), Ok(()));
    assert_eq!(with(solicited_node(TARGET), TARGET), Err(Invalid::Target));
    assert_eq!(with(Ipv6Addr::LOCALHOST, TARGET), Err(Invalid::Target));
    assert_eq!(with(GROUP, GROUP), Err(Invalid::Target));
}

#[test]
fn rfc4861_section_4_6_options_are_read_and_unknown_ones_ignored() {
    let mut prefix = [0; 32];
    prefix[..4].copy_from_slice(&[3, 4, 64, 0xc0]);
    prefix[7] = 60;
    prefix[11] = 30;
    TARGET.write(&mut prefix, 16);
    let options =
        [&SOURCE_MAC[..], &[200, 1, 9, 9, 9, 9, 9, 9], &[5, 1, 0, 0, 0, 0, 5, 220], &prefix]
            .concat();
    let bytes = message(Kind::ROUTER_ADVERTISEMENT, &options);
    let message = Message::new_checked(&bytes[..]).unwrap();
    let prefix = Prefix { prefix: TARGET, len: 64, flags: 0xc0, valid: 60, preferred: 30 };
    let expected = [
        NdOption::SourceLinkLayer(MAC),
        NdOption::Other { kind: 200, value: &[9; 6] },
        NdOption::Mtu(1500),
        NdOption::Prefix(prefix),
    ];
    assert_eq!(message.options().collect::<Result<Vec<_>, _>>().unwrap(), expected);
    assert_eq!((message.source_mac(), message.target_mac()), (Some(MAC), None));
    assert_eq!(validate(&bytes, ROUTER, GROUP), Ok(()));
}

#[test]
fn fields_of_a_router_advertisement_and_a_redirect() {
    let mut bytes = message(Kind::ROUTER_ADVERTISEMENT, &[]);
    bytes[4..].copy_from_slice(&[64, 0xc0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2]);
    let router = Message::new_checked(bytes).unwrap();
    assert_eq!(
        (router.current_hop_limit(), router.router_flags(), router.lifetime()),
        (64, 0xc0, 0x708)
    );
    assert_eq!((router.reachable_time(), router.retransmission_timer()), (1, 2));
    assert_eq!((router.target(), router.redirected()), (None, None));
    let options = [4, 2, 0, 0, 0, 0, 0, 0, 0x60, 1, 2, 3, 4, 5, 6, 7];
    let bytes = message(Kind::REDIRECT, &options);
    let redirect = Message::new_checked(&bytes[..]).unwrap();
    assert_eq!((redirect.target(), redirect.redirected()), (Some(TARGET), Some(TARGET)));
    let options: Vec<_> = redirect.options().collect();
    assert_eq!(options, [Ok(NdOption::Redirected(&[0x60, 1, 2, 3, 4, 5, 6, 7]))]);
}

#[test]
fn what_is_emitted_is_parsed_and_valid() {
    let flags = NeighbourFlags::ROUTER.with(NeighbourFlags::OVERRIDE);
    for repr in [
        Repr::Solicitation { target: TARGET, source_mac: Some(MAC) },
        Repr::Solicitation { target: TARGET, source_mac: None },
        Repr::Advertisement { target: TARGET, flags, target_mac: Some(MAC) },
        Repr::Advertisement { target: TARGET, flags, target_mac: None },
    ] {
        let mut message = Message::new_unchecked(vec![0xff; repr.message_len()]);
        repr.emit(&mut message);
        let bytes = message.into_inner();
        assert_eq!(validate(&bytes, ROUTER, GROUP), Ok(()));
        assert_eq!(Repr::parse(&Message::new_checked(bytes).unwrap()), Ok(repr));
    }
    let other = message(Kind::ROUTER_SOLICITATION, &[]);
    assert_eq!(Repr::parse(&Message::new_checked(other).unwrap()), Err(Malformed::Kind));
}

#[test]
fn rfc4291_section_2_7_1_solicited_node_addresses() {
    let group = solicited_node(TARGET);
    assert_eq!(group, "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
    assert!(is_solicited_node(group));
    assert!(!is_solicited_node(GROUP) && !is_solicited_node(TARGET));
}
