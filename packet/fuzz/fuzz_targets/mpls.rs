//! Label stacks: the walk ends within its bytes and its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::mpls::{ENTRY_LEN, Entries, Entry, MAX_LABELS, Stack};

fuzz_target!(|bytes: &[u8]| {
    assert!(Entries::new(bytes).count() <= MAX_LABELS + 1);
    for entry in Entries::new(bytes).flatten() {
        let parts = (entry.label(), entry.class(), entry.is_bottom(), entry.ttl());
        assert_eq!(Entry::new(parts.0, parts.1, parts.2, parts.3), entry);
        if let Some(next) = entry.forwarded() {
            assert_eq!((next.label(), next.ttl() + 1), (entry.label(), entry.ttl()));
        }
    }
    if let Ok(stack) = Stack::parse(bytes) {
        assert!((1..=MAX_LABELS).contains(&stack.count));
        assert_eq!(stack.payload.len() + stack.count * ENTRY_LEN, bytes.len());
    }
});
