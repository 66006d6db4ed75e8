//! TCP headers: options and payload lie in the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::checksum::Sum;
use strowger_packet::tcp::{Header, MAX_HEADER_LEN, MAX_SACK_BLOCKS, MIN_HEADER_LEN, TcpOption};

fuzz_target!(|bytes: &[u8]| {
    let unchecked = Header::new_unchecked(bytes);
    let _ = (unchecked.options().count(), unchecked.payload(), unchecked.flags());
    let Ok(header) = Header::new_checked(bytes) else { return };
    assert!((MIN_HEADER_LEN..=MAX_HEADER_LEN).contains(&header.header_len()));
    assert_eq!(header.header_len() + header.payload().len(), bytes.len());
    for option in header.options().flatten() {
        if let TcpOption::Sack(blocks) = option {
            assert!((1..=MAX_SACK_BLOCKS).contains(&blocks.count()));
        }
    }
    let mut changed = Header::new_unchecked(bytes.to_vec());
    changed.set_flags(header.flags());
    changed.set_header_len(header.header_len());
    assert_eq!(changed.clone().into_inner(), bytes);
    changed.fill_checksum(Sum::new());
    assert!(changed.is_intact(Sum::new()));
});
