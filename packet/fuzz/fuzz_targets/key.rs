//! The flow key: extracting it twice gives the same, and a tag that comes and goes leaves everything else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::ethernet::EtherType;
use strowger_packet::frame::HEAD;
use strowger_packet::key::extract;
use strowger_packet::vlan::{self, Tag, Tci};
use strowger_packet::{Frame, Mask};

fuzz_target!(|bytes: &[u8]| {
    let head = &bytes[..bytes.len().min(HEAD)];
    let mut frame = Frame::default();
    frame.head_room()[..head.len()].copy_from_slice(head);
    frame.set_head(head.len());
    let key = extract(&mut frame);
    let layers = frame.layers;
    assert_eq!(extract(&mut frame), key);
    assert_eq!((frame.layers, frame.head()), (layers, head));
    let Ok(key) = key else { return };
    assert_eq!(key.masked_hash(&Mask::EXACT), key.hash());
    for offset in [layers.l3, layers.l4, layers.payload] {
        assert!(usize::from(offset) <= head.len());
    }
    if !vlan::push(&mut frame, Tag { tpid: EtherType::VLAN, tci: Tci(0x6064) }) {
        return;
    }
    let tagged = extract(&mut frame).unwrap();
    assert_ne!(tagged, key);
    if layers.vlan_tags < 2 {
        let others = Mask::from_words(Mask::VLANS.words().map(|word| !word));
        assert_eq!(tagged.masked(&others), key.masked(&others));
        assert_eq!(tagged.symmetric_hash(), key.symmetric_hash());
    }
    assert!(vlan::pop(&mut frame).is_some());
    assert_eq!(extract(&mut frame), Ok(key));
    assert_eq!((frame.layers, frame.head()), (layers, head));
});
