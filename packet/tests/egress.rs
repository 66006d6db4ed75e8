//! What leaves in pieces, against a naive implementation over whole frames: the frame is built in a vector,
//! cut with simple code, and summed word by word.

#![allow(clippy::unwrap_used, reason = "test code: helpers of tests are tests too")]

use std::ops::ControlFlow;

use proptest::prelude::*;
use strowger_guestmem::Buffer;
use strowger_packet::egress::{Piece, Scratch, for_each_piece};
use strowger_packet::frame::HEAD;
use strowger_packet::key::extract;
use strowger_packet::offload::Accepts;
use strowger_packet::{
    Batch, Claims, DropReason, FrameRef, Gso, GsoKind, Offload, PartialChecksum, PortId,
};

const NOTHING: Accepts =
    Accepts { checksum: false, tso4: false, tso6: false, ecn: false, uso: false };
const CHECKSUMS: Accepts = Accepts { checksum: true, ..NOTHING };

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// A frame before it is in a batch, with all its bytes in one place.
#[derive(Clone, Debug)]
struct Whole {
    bytes: Vec<u8>,
    l3: usize,
    l4: usize,
    headers: usize,
    v6: bool,
    udp: bool,
}

/// What may differ between frames.
#[derive(Clone, Debug)]
struct Shape {
    v6: bool,
    tags: usize,
    ip_words: usize,
    tcp_words: usize,
    flags: u8,
    identification: u16,
    sequence: u32,
    payload: Vec<u8>,
}

/// RFC 1071, word by word.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

impl Whole {
    fn tcp(shape: &Shape) -> Self {
        let mut tcp = vec![0x9c, 0x40, 0, 80];
        tcp.extend(shape.sequence.to_be_bytes());
        tcp.extend([1, 2, 3, 4, ((5 + shape.tcp_words) << 4) as u8, shape.flags, 0xfa, 0xf0]);
        tcp.extend([0, 0, 0, 0]);
        tcp.extend(vec![1; shape.tcp_words * 4]);
        Self::new(shape, 6, &tcp)
    }

    fn udp(shape: &Shape) -> Self {
        let len = (8 + shape.payload.len()) as u16;
        let mut udp = vec![0x13, 0x88, 0, 53];
        udp.extend(len.to_be_bytes());
        udp.extend([0, 0]);
        Self::new(shape, 17, &udp)
    }

    fn new(shape: &Shape, protocol: u8, upper: &[u8]) -> Self {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        for _ in 0..shape.tags {
            bytes.extend([0x81, 0, 0x20, 7]);
        }
        bytes.extend(if shape.v6 { [0x86, 0xdd] } else { [8, 0] });
        let l3 = bytes.len();
        if shape.v6 {
            let next = if shape.ip_words > 0 { 60 } else { protocol };
            bytes.extend([0x6b, 0x81, 2, 3, 0, 0, next, 64]);
            bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 2]);
            if shape.ip_words > 0 {
                // Destination options: padding.
                bytes.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
            }
        } else {
            bytes.extend([(0x45 + shape.ip_words) as u8, 0xb8, 0, 0]);
            bytes.extend(shape.identification.to_be_bytes());
            bytes.extend([0x40, 0, 64, protocol, 0, 0, 10, 1, 2, 3, 10, 1, 2, 4]);
            bytes.extend(vec![1; shape.ip_words * 4]);
        }
        let l4 = bytes.len();
        bytes.extend(upper);
        let headers = bytes.len();
        bytes.extend(&shape.payload);
        let mut whole = Self { bytes, l3, l4, headers, v6: shape.v6, udp: protocol == 17 };
        whole.lengths();
        whole.put(whole.field(), whole.pseudo());
        whole
    }

    fn put(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }

    /// Where the layer 4 checksum lies.
    fn field(&self) -> usize {
        self.l4 + if self.udp { 6 } else { 16 }
    }

    /// Sets the lengths, and IPv4's checksum.
    fn lengths(&mut self) {
        if self.v6 {
            self.put(self.l3 + 4, (self.bytes.len() - self.l3 - 40) as u16);
        } else {
            self.put(self.l3 + 2, (self.bytes.len() - self.l3) as u16);
            self.put(self.l3 + 10, 0);
            self.put(self.l3 + 10, !sum(&self.bytes[self.l3..self.l4]));
        }
    }

    /// The sum of the pseudo-header.
    fn pseudo(&self) -> u16 {
        let addresses = if self.v6 { 8..40 } else { 12..20 };
        let mut pseudo = self.bytes[self.l3..][addresses].to_vec();
        pseudo.extend(((self.bytes.len() - self.l4) as u32).to_be_bytes());
        pseudo.extend([0, if self.udp { 17 } else { 6 }]);
        sum(&pseudo)
    }

    /// Finishes the layer 4 checksum.
    fn finished(mut self) -> Self {
        self.put(self.field(), self.pseudo());
        let checksum = !sum(&self.bytes[self.l4..]);
        self.put(self.field(), if self.udp && checksum == 0 { 0xffff } else { checksum });
        self
    }

    /// All datagrams, with unfinished checksums.
    fn cut_udp(&self, size: usize) -> Vec<Self> {
        let mut id = u16::from_be_bytes(self.bytes[self.l3 + 4..][..2].try_into().unwrap());
        let mut pieces = Vec::new();
        for chunk in self.bytes[self.headers..].chunks(size) {
            let mut piece = self.clone();
            piece.bytes.truncate(self.headers);
            piece.bytes.extend(chunk);
            piece.put(self.l4 + 4, (8 + chunk.len()) as u16);
            if !self.v6 {
                piece.put(self.l3 + 4, id);
                id = id.wrapping_add(1);
            }
            piece.lengths();
            piece.put(piece.field(), piece.pseudo());
            pieces.push(piece);
        }
        pieces
    }

    /// All segments, with unfinished checksums.
    fn cut(&self, size: usize) -> Vec<Self> {
        let payload = &self.bytes[self.headers..];
        let count = payload.chunks(size).count();
        let mut sequence = u32::from_be_bytes(self.bytes[self.l4 + 4..][..4].try_into().unwrap());
        let mut id = u16::from_be_bytes(self.bytes[self.l3 + 4..][..2].try_into().unwrap());
        let mut pieces = Vec::new();
        for (index, chunk) in payload.chunks(size).enumerate() {
            let mut piece = self.clone();
            piece.bytes.truncate(self.headers);
            piece.bytes.extend(chunk);
            piece.bytes[self.l4 + 4..][..4].copy_from_slice(&sequence.to_be_bytes());
            sequence = sequence.wrapping_add(chunk.len() as u32);
            if !self.v6 {
                piece.put(self.l3 + 4, id);
                id = id.wrapping_add(1);
            }
            let flags = &mut piece.bytes[self.l4 + 13];
            if index > 0 {
                *flags &= !CWR;
            }
            if index + 1 < count {
                *flags &= !(FIN | PSH);
            }
            piece.lengths();
            piece.put(piece.field(), piece.pseudo());
            pieces.push(piece);
        }
        pieces
    }

    fn claims(&self, gso_size: u16) -> Claims {
        Claims {
            flags: Claims::NEEDS_CSUM,
            gso_type: match (gso_size, self.udp, self.v6) {
                (0, _, _) => Claims::GSO_NONE,
                (_, true, _) => Claims::GSO_UDP_L4,
                (_, _, false) => Claims::GSO_TCPV4,
                (_, _, true) => Claims::GSO_TCPV6,
            },
            hdr_len: 0,
            gso_size,
            csum_start: self.l4 as u16,
            csum_offset: (self.field() - self.l4) as u16,
        }
    }
}

/// A batch of one frame, and the memory that its tail is in.
struct Received {
    batch: Batch,
    at: FrameRef,
    _memory: Buffer,
}

/// Takes a frame in: the head as far as it goes, the rest in segments of these lengths, again and again, with
/// a gap of one byte between them so that they lie at all alignments.
fn receive(bytes: &[u8], lengths: &[usize]) -> Received {
    let head = bytes.len().min(HEAD);
    let mut memory = Buffer::new(bytes.len() * 2 + 1).unwrap();
    let mut places = Vec::new();
    let (mut from, mut at) = (head, 0);
    for &len in lengths.iter().cycle() {
        if from == bytes.len() {
            break;
        }
        let len = len.min(bytes.len() - from);
        memory.as_mut_slice()[at..at + len].copy_from_slice(&bytes[from..from + len]);
        places.push((at, len));
        at += len + 1;
        from += len;
    }
    let mut batch = Batch::default();
    let (frame, segments) = batch.next(PortId(1)).unwrap();
    frame.head_room()[..head].copy_from_slice(&bytes[..head]);
    frame.set_head(head);
    for &(at, len) in &places {
        // SAFETY: the buffer is kept beside the batch, and nobody takes a slice of it any more.
        segments.push(unsafe { memory.segment(at, len) }.unwrap());
    }
    frame.set_tail(0, places.len() as u16, (bytes.len() - head) as u32);
    batch.commit();
    let at = batch.received().next().unwrap();
    Received { batch, at, _memory: memory }
}

impl Received {
    fn claim(mut self, claims: Claims) -> Self {
        let frame = self.batch.frame_mut(self.at);
        frame.claims = Some(claims);
        extract(frame).unwrap();
        self
    }

    fn pieces(&self, accepts: Accepts, scratch: &mut Scratch) -> Vec<(Vec<u8>, Offload)> {
        let mut pieces = Vec::new();
        for_each_piece(&self.batch, self.at, accepts, scratch, |piece| {
            pieces.push((collect(&piece), piece.offload));
            ControlFlow::Continue(())
        })
        .unwrap();
        pieces
    }
}

fn collect(piece: &Piece<'_>) -> Vec<u8> {
    let mut bytes = piece.head.to_vec();
    for segment in piece.tail {
        let mut part = vec![0; segment.len()];
        assert_eq!(segment.copy_to(&mut part), segment.len());
        bytes.extend(part);
    }
    assert_eq!(bytes.len(), piece.head.len() + piece.tail_len);
    bytes
}

prop_compose! {
    fn shape()(
        v6: bool,
        tags in 0_usize..3,
        ip_words in 0_usize..11,
        tcp_words in 0_usize..11,
        flags: u8,
        identification: u16,
        sequence: u32,
        payload in prop::collection::vec(any::<u8>(), 1..6_000),
    ) -> Shape {
        Shape { v6, tags, ip_words, tcp_words, flags, identification, sequence, payload }
    }
}

fn small(payload: &[u8]) -> Shape {
    Shape {
        v6: false,
        tags: 0,
        ip_words: 0,
        tcp_words: 3,
        flags: FIN | PSH | CWR,
        identification: 0xffff,
        sequence: 0xffff_fff0,
        payload: payload.to_vec(),
    }
}

proptest! {
    #[test]
    fn datagrams_are_those_of_the_naive_cut(
        shape in shape(),
        size in 47_u16..2_000,
        lengths in prop::collection::vec(1_usize..1_500, 1..5),
    ) {
        let whole = Whole::udp(&shape);
        let received = receive(&whole.bytes, &lengths).claim(whole.claims(size));
        let expected = whole.cut_udp(usize::from(size));
        let mut scratch = Scratch::default();
        let pieces = received.pieces(Accepts { uso: false, ..Accepts::ALL }, &mut scratch);
        prop_assert_eq!(pieces.len(), expected.len());
        for ((bytes, _), expected) in pieces.iter().zip(&expected) {
            prop_assert_eq!(bytes, &expected.bytes);
        }
        let pieces = received.pieces(NOTHING, &mut scratch);
        for ((bytes, offload), expected) in pieces.iter().zip(&expected) {
            prop_assert_eq!(bytes, &expected.clone().finished().bytes);
            prop_assert_eq!(*offload, Offload::default());
        }
        prop_assert_eq!(received.pieces(Accepts::ALL, &mut scratch).len(), 1);
    }

    #[test]
    fn segments_are_those_of_the_naive_cut(
        shape in shape(),
        size in 48_u16..2_000,
        lengths in prop::collection::vec(1_usize..1_500, 1..5),
    ) {
        let whole = Whole::tcp(&shape);
        let received = receive(&whole.bytes, &lengths).claim(whole.claims(size));
        let expected = whole.cut(usize::from(size));
        let mut scratch = Scratch::default();

        let pieces = received.pieces(NOTHING, &mut scratch);
        prop_assert_eq!(pieces.len(), expected.len());
        for ((bytes, offload), expected) in pieces.iter().zip(&expected) {
            prop_assert_eq!(bytes, &expected.clone().finished().bytes);
            prop_assert_eq!(*offload, Offload::default());
        }

        let checksum = Some(PartialChecksum { start: whole.l4 as u16, offset: 16 });
        let pieces = received.pieces(CHECKSUMS, &mut scratch);
        prop_assert_eq!(pieces.len(), expected.len());
        for ((bytes, offload), expected) in pieces.iter().zip(&expected) {
            // What fits one piece is not cut: it leaves as it came, which is the same.
            prop_assert_eq!(bytes, &expected.bytes);
            prop_assert_eq!(*offload, Offload { checksum, gso: None });
        }

        let pieces = received.pieces(Accepts::ALL, &mut scratch);
        prop_assert_eq!(pieces.len(), 1);
        prop_assert_eq!(&pieces[0].0, &whole.bytes);
        prop_assert_eq!(pieces[0].1, received.batch.frame(received.at).offload);
    }

    #[test]
    fn a_finished_checksum_is_the_naive_one(
        shape in shape(),
        udp: bool,
        lengths in prop::collection::vec(1_usize..1_500, 1..5),
    ) {
        let whole = if udp { Whole::udp(&shape) } else { Whole::tcp(&shape) };
        let received = receive(&whole.bytes, &lengths).claim(whole.claims(0));
        let mut scratch = Scratch::default();
        let expected = (whole.clone().finished().bytes, Offload::default());
        prop_assert_eq!(received.pieces(NOTHING, &mut scratch), vec![expected]);
        let offload = received.batch.frame(received.at).offload;
        prop_assert_eq!(received.pieces(CHECKSUMS, &mut scratch), vec![(whole.bytes, offload)]);
    }
}

#[test]
fn flags_identification_and_sequence_go_on_from_piece_to_piece() {
    let whole = Whole::tcp(&small(&[7; 300]));
    let received = receive(&whole.bytes, &[100]).claim(whole.claims(100));
    let pieces = received.pieces(NOTHING, &mut Scratch::default());
    let flags: Vec<_> = pieces.iter().map(|(bytes, _)| bytes[whole.l4 + 13]).collect();
    assert_eq!(flags, [CWR, 0, FIN | PSH]);
    let ids: Vec<_> = pieces.iter().map(|(bytes, _)| &bytes[whole.l3 + 4..whole.l3 + 6]).collect();
    assert_eq!(ids, [[0xff, 0xff], [0, 0], [0, 1]]);
    let sequences: Vec<_> =
        pieces.iter().map(|(bytes, _)| &bytes[whole.l4 + 4..whole.l4 + 8]).collect();
    assert_eq!(sequences, [[0xff, 0xff, 0xff, 0xf0], [0, 0, 0, 0x54], [0, 0, 0, 0xb8]]);
}

#[test]
fn rfc768_a_udp_checksum_of_zero_leaves_as_all_ones() {
    // The last word of the payload is chosen so that the sum of everything is all ones.
    let mut whole = Whole::udp(&small(&[1, 2, 3, 4, 0, 0]));
    let word = !sum(&whole.bytes[whole.l4..]);
    let last = whole.bytes.len() - 2;
    whole.put(last, word);
    assert_eq!(sum(&whole.bytes[whole.l4..]), 0xffff);
    let received = receive(&whole.bytes, &[1]).claim(whole.claims(0));
    let pieces = received.pieces(NOTHING, &mut Scratch::default());
    assert_eq!(pieces[0].0[whole.field()..][..2], [0xff, 0xff]);
}

#[test]
fn a_receiver_without_ecn_gets_segments_and_one_with_it_the_whole() {
    let whole = Whole::tcp(&small(&[7; 3_000]));
    let claims = Claims { gso_type: Claims::GSO_TCPV4 | Claims::GSO_ECN, ..whole.claims(1_000) };
    let received = receive(&whole.bytes, &[4_096]).claim(claims);
    let mut scratch = Scratch::default();
    let without = Accepts { ecn: false, ..Accepts::ALL };
    assert_eq!(received.pieces(without, &mut scratch).len(), 3);
    assert_eq!(received.pieces(Accepts::ALL, &mut scratch).len(), 1);
}

#[test]
fn a_tag_that_was_pushed_is_on_each_piece() {
    let whole = Whole::tcp(&small(&[7; 1_000]));
    let mut received = receive(&whole.bytes, &[4_096]).claim(whole.claims(400));
    let frame = received.batch.frame_mut(received.at);
    frame.open(12, 4).unwrap().copy_from_slice(&[0x81, 0, 0, 9]);
    let pieces = received.pieces(NOTHING, &mut Scratch::default());
    assert_eq!(pieces.len(), 3);
    for ((bytes, _), expected) in pieces.iter().zip(whole.cut(400)) {
        let mut expected = expected.finished().bytes;
        expected.splice(12..12, [0x81, 0, 0, 9]);
        assert_eq!(bytes, &expected);
    }
}

#[test]
fn it_ends_when_the_receiver_has_enough() {
    let whole = Whole::tcp(&small(&[7; 1_000]));
    let received = receive(&whole.bytes, &[4_096]).claim(whole.claims(100));
    let mut calls = 0;
    for_each_piece(&received.batch, received.at, NOTHING, &mut Scratch::default(), |_| {
        calls += 1;
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(calls, 3);
}

#[test]
fn an_offload_that_does_not_fit_the_frame_makes_no_piece() {
    let whole = Whole::tcp(&small(&[7; 8_000]));
    let gso = Gso { kind: GsoKind::TcpV4, ecn: false, size: 1_000, headers: whole.headers as u16 };
    let checksum = PartialChecksum { start: whole.l4 as u16, offset: 16 };
    let refused = |checksum, gso| {
        let mut received = receive(&whole.bytes, &[4_096]).claim(whole.claims(1_000));
        received.batch.frame_mut(received.at).offload = Offload { checksum, gso };
        let mut scratch = Scratch::default();
        for_each_piece(&received.batch, received.at, NOTHING, &mut scratch, |_| panic!("a piece"))
    };
    let bad = Err(DropReason::BadOffload);
    assert_eq!(refused(None, Some(gso)), bad);
    assert_eq!(refused(Some(checksum), Some(Gso { size: 0, ..gso })), bad);
    assert_eq!(refused(Some(checksum), Some(Gso { headers: 50, ..gso })), bad);
    assert_eq!(refused(Some(checksum), Some(Gso { headers: 193, ..gso })), bad);
    assert_eq!(refused(Some(checksum), Some(Gso { kind: GsoKind::TcpV6, ..gso })), bad);
    assert_eq!(refused(Some(PartialChecksum { start: 33, ..checksum }), Some(gso)), bad);
    assert_eq!(refused(Some(PartialChecksum { start: 176, ..checksum }), None), bad);
    assert_eq!(refused(Some(PartialChecksum { offset: u16::MAX, ..checksum }), None), bad);
    let many = Err(DropReason::TooManySegments);
    assert_eq!(refused(Some(checksum), Some(Gso { size: 62, ..gso })), many);
}
