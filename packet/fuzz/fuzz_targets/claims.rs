//! A sender's claims of offloads: those that are believed lie in the frame and make a bounded number of pieces.
//! The input is ten bytes of claims, two for the tail's length, and the frame's head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::Frame;
use strowger_packet::claims::{Claims, MAX_PIECES, MIN_GSO_SIZE};
use strowger_packet::frame::HEAD;
use strowger_packet::key::extract;
use strowger_packet::layers::Transport;

fuzz_target!(|bytes: &[u8]| {
    let Some((claimed, head)) = bytes.split_first_chunk::<12>() else { return };
    let word = |at: usize| u16::from_le_bytes([claimed[at], claimed[at + 1]]);
    let claims = Claims {
        flags: claimed[0],
        gso_type: claimed[1],
        hdr_len: word(2),
        gso_size: word(4),
        csum_start: word(6),
        csum_offset: word(8),
    };
    let head = &head[..head.len().min(HEAD)];
    let mut frame = Frame::default();
    frame.head_room()[..head.len()].copy_from_slice(head);
    frame.set_head(head.len());
    frame.set_tail(0, 0, u32::from(word(10)));
    frame.claims = Some(claims);
    if extract(&mut frame).is_err() {
        return;
    }
    assert_eq!(frame.claims, None);
    let (offload, layers) = (frame.offload, frame.layers);
    assert_eq!(offload.checksum.is_some(), !claims.is_empty());
    if let Some(checksum) = offload.checksum {
        assert!(matches!(layers.transport, Transport::Tcp | Transport::Udp));
        assert_eq!(checksum.start, layers.l4);
        assert!(usize::from(checksum.start + checksum.offset) + 2 <= head.len());
    }
    if let Some(gso) = offload.gso {
        assert!(offload.checksum.is_some() && layers.transport == Transport::Tcp);
        assert!(gso.size >= MIN_GSO_SIZE && gso.headers == layers.payload);
        let payload = frame.len() - usize::from(gso.headers);
        assert!((2..=MAX_PIECES).contains(&payload.div_ceil(usize::from(gso.size))));
    }
});
