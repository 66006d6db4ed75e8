use super::*;
use crate::{DropReason, Frame};

/// Ethernet, IPv4, UDP 5000 → 53, 4 bytes.
const UDP4: &[u8] = &[
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0, //
    0x45, 0xb8, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
    0x13, 0x88, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4,
];

fn frame(bytes: &[u8]) -> Frame {
    let mut frame = Frame::default();
    frame.reset(PortId(7));
    frame.head_room()[..bytes.len()].copy_from_slice(bytes);
    frame.set_head(bytes.len());
    frame
}

fn key(bytes: &[u8]) -> FlowKey {
    extract(&mut frame(bytes)).unwrap()
}

#[test]
fn a_key_is_two_cache_lines() {
    assert_eq!(size_of::<FlowKey>(), 128);
    assert_eq!(size_of::<Mask>(), 128);
}

#[test]
fn a_datagram_over_ipv4_is_read() {
    let key = key(UDP4);
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
}

#[test]
fn only_a_frame_without_an_ethernet_header_is_an_error() {
    for len in 0..14 {
        assert_eq!(extract(&mut frame(&UDP4[..len])), Err(DropReason::Truncated));
    }
    for len in 14..34 {
        let key = key(&UDP4[..len]);
        assert_eq!((key.eth_type(), key.reached()), (EtherType::IPV4, Reached::Link));
        assert_eq!((key.ip_src(), key.l4_dst()), (0, 0));
    }
    for len in 34..42 {
        let key = key(&UDP4[..len]);
        assert_eq!((key.ip_proto(), key.reached()), (Protocol::UDP, Reached::Network));
        assert_eq!(key.l4_dst(), 0);
    }
}
