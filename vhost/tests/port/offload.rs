//! Offloads: passed on to a guest that takes them, done in software for one that does not.

use strowger_fake_frontend::{
    FrontEnd, Received, Settings, features,
    frame::{TCP_HEADERS, checksums_are_right, mac, tcp4, tcp4_payload},
    vnet,
};

use crate::forwarder::Forwarder;

const SEGMENT: u16 = 1448;

fn receiver_without(features: u64) -> Settings {
    let modern = Settings::default();
    Settings { features: modern.features & !features, ring_size: 1024, ..modern }
}

fn guests(receiver: Settings) -> (Forwarder, FrontEnd, FrontEnd) {
    let forwarder = Forwarder::new(2);
    let one = forwarder.attach(0, Settings::default());
    let two = forwarder.attach(1, receiver);
    (forwarder, one, two)
}

fn send(front_end: &mut FrontEnd, payload: usize) -> Vec<u8> {
    let (header, frame) = tcp4(mac(2), mac(1), payload, SEGMENT);
    front_end.pair(0).transmit.send(header, &frame).unwrap();
    frame
}

/// Lengths of payload: one segment, two, and as much as there can be.
const PAYLOADS: [usize; 6] = [1, 1448, 1449, 2896, 9000, 65_535 - 40];

#[test]
fn a_guest_that_takes_all_gets_frames_as_they_were_sent() {
    let (_forwarder, mut one, mut two) = guests(Settings::default());
    for payload in PAYLOADS {
        let frame = send(&mut one, payload);
        let received = two.receive().unwrap();
        assert_eq!(received.bytes, frame);
        let header = received.header;
        assert_eq!(header.flags, vnet::NEEDS_CSUM);
        assert_eq!((header.csum_start, header.csum_offset), (34, 16));
        if payload > usize::from(SEGMENT) {
            assert_eq!((header.gso_type, header.gso_size), (vnet::GSO_TCPV4, SEGMENT));
            assert_eq!(usize::from(header.hdr_len), TCP_HEADERS);
        } else {
            assert_eq!((header.gso_type, header.gso_size), (0, 0));
        }
    }
}

/// Receives the segments of a frame with so many bytes of payload, and holds each against what a sender would have
/// made itself.
fn receive_segments(front_end: &mut FrontEnd, payload: usize, finished: bool) {
    let mut done = 0;
    while done < payload {
        let Received { header, bytes } = front_end.receive().unwrap();
        let len = (payload - done).min(SEGMENT.into());
        assert_eq!(bytes.len(), TCP_HEADERS + len);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[16], bytes[17]])), bytes.len() - 14);
        let sequence = u32::from_be_bytes([bytes[38], bytes[39], bytes[40], bytes[41]]);
        assert_eq!(sequence, 1_000_000 + done as u32);
        // PSH belongs to the last.
        let last = done + len == payload;
        assert_eq!(bytes[47] & 0x08 != 0, last, "at {done} of {payload}");
        assert_eq!(bytes[TCP_HEADERS..], tcp4_payload(done, len));
        assert_eq!(header.gso_type, 0);
        if finished {
            assert_eq!(header.flags & vnet::NEEDS_CSUM, 0);
            assert!(checksums_are_right(&bytes), "at {done} of {payload}");
        }
        done += len;
    }
}

#[test]
fn a_guest_without_offloads_gets_finished_segments() {
    let (forwarder, mut one, mut two) = guests(receiver_without(features::GUEST_OFFLOADS));
    for payload in PAYLOADS {
        send(&mut one, payload);
        receive_segments(&mut two, payload, true);
    }
    assert_eq!(forwarder.totals(1).drops.iter().sum::<u64>(), 0);
}

#[test]
fn a_guest_that_takes_checksums_only_gets_segments() {
    let tso = features::GUEST_TSO4 | features::GUEST_TSO6 | features::GUEST_ECN;
    let (_forwarder, mut one, mut two) = guests(receiver_without(tso));
    for payload in PAYLOADS {
        send(&mut one, payload);
        receive_segments(&mut two, payload, false);
    }
}

#[test]
fn a_legacy_guest_with_small_buffers_gets_finished_segments() {
    let legacy = features::GUEST_OFFLOADS | features::VERSION_1 | features::MRG_RXBUF;
    let (_forwarder, mut one, mut two) = guests(receiver_without(legacy));
    for payload in PAYLOADS {
        send(&mut one, payload);
        receive_segments(&mut two, payload, true);
    }
}
