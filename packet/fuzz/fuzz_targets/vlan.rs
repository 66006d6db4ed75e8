//! Tags: a stack ends within its bytes, and a tag that is pushed and popped leaves the frame as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::Frame;
use strowger_packet::ethernet::{EtherType, Header};
use strowger_packet::frame::HEAD;
use strowger_packet::vlan::{self, MAX_TAGS, Stack, TAG_LEN, Tag, Tci, Vid};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::new_checked(bytes) {
        if let Ok(stack) = Stack::parse(header.ethertype(), header.payload()) {
            assert!(stack.tags().len() <= MAX_TAGS);
            let tags = stack.tags().len() * TAG_LEN;
            assert_eq!(stack.payload.len() + tags, header.payload().len());
        }
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    let mut frame = Frame::default();
    frame.head_room()[..head.len()].copy_from_slice(head);
    frame.set_head(head.len());
    let popped = vlan::pop(&mut frame);
    if let Some(tag) = popped {
        assert!(vlan::push(&mut frame, tag));
    }
    assert_eq!(frame.head(), head);
    let tag = Tag { tpid: EtherType::SERVICE_VLAN, tci: Tci(0x2fff) };
    if vlan::push(&mut frame, tag) {
        assert!(vlan::set_vid(&mut frame, Vid::UNTAGGED));
        assert_eq!(vlan::pop(&mut frame), Some(Tag { tci: Tci(0x2000), ..tag }));
    }
    assert_eq!(frame.head(), head);
});
