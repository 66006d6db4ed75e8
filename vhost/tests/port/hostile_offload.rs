//! Forged virtio-net headers.

use strowger_fake_frontend::{
    Settings, VnetHeader,
    frame::{mac, numbered, tcp4},
    vnet,
};
use strowger_packet::DropReason;

use crate::forwarder::{Forwarder, Witness, exchange};

/// Headers that do not fit a TCP frame over IPv4 with 60,000 bytes of payload.
fn forged() -> Vec<(&'static str, VnetHeader)> {
    let (right, _) = tcp4(mac(2), mac(1), 60_000, 1448);
    vec![
        ("segments of nothing", VnetHeader { gso_size: 0, ..right }),
        ("segments of one byte", VnetHeader { gso_size: 1, ..right }),
        ("more segments than are made of one frame", VnetHeader { gso_size: 100, ..right }),
        ("segments without a checksum", VnetHeader { flags: 0, ..right }),
        ("a checksum behind the frame", VnetHeader { csum_start: u16::MAX, ..right }),
        ("a checksum that lies outside", VnetHeader { csum_offset: u16::MAX, ..right }),
        ("a checksum that lies elsewhere", VnetHeader { csum_offset: 14, ..right }),
        ("a checksum of something else", VnetHeader { csum_start: 14, ..right }),
        ("IPv6", VnetHeader { gso_type: vnet::GSO_TCPV6, ..right }),
        ("UDP fragments", VnetHeader { gso_type: 3, ..right }),
        ("UDP segments", VnetHeader { gso_type: 5, ..right }),
        ("an unknown kind", VnetHeader { gso_type: 0x7f, ..right }),
        ("ECN of nothing", VnetHeader { gso_type: 0x80, ..right }),
    ]
}

#[test]
fn a_forged_header_costs_its_frame_and_nothing_else() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let (_, frame) = tcp4(mac(2), mac(1), 60_000, 1448);
    let dropped = || {
        forwarder.drops(0, DropReason::BadOffload) + forwarder.drops(0, DropReason::TooManySegments)
    };
    for (round, (what, header)) in forged().into_iter().enumerate() {
        let before = dropped();
        one.pair(0).transmit.send(header, &frame).unwrap();
        one.pair(0).transmit.drain().unwrap();
        assert_eq!(dropped(), before + 1, "{what}");
        // Nothing of it came out: the next frame is the next.
        exchange(&mut one, &mut two, round as u32 * 10, 3, &[64]);
        witness.check();
    }
}

#[test]
fn a_header_for_tcp_on_a_udp_frame_costs_that_frame() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let (header, _) = tcp4(mac(2), mac(1), 9000, 1448);
    for (round, len) in [46, 64, 1514, 9000].into_iter().enumerate() {
        let frame = numbered(mac(2), mac(1), 0, len);
        one.pair(0).transmit.send(header, &frame).unwrap();
        one.pair(0).transmit.drain().unwrap();
        assert_eq!(forwarder.drops(0, DropReason::BadOffload), round as u64 + 1, "{len}");
        exchange(&mut one, &mut two, round as u32 * 10, 3, &[64]);
        witness.check();
    }
}

#[test]
fn a_sender_that_vouches_for_its_checksum_is_not_believed() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let data_valid =
        VnetHeader { flags: 2, hdr_len: u16::MAX, num_buffers: 77, ..Default::default() };
    let frame = numbered(mac(2), mac(1), 1, 64);
    one.pair(0).transmit.send(data_valid, &frame).unwrap();
    let received = two.receive().unwrap();
    assert_eq!(received.bytes, frame);
    assert_eq!(received.header, VnetHeader { num_buffers: 1, ..VnetHeader::default() });
}
