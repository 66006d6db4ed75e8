//! ICMPv6 messages: what an error quotes lies in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::checksum::Sum;
use strowger_packet::icmpv6::{Header, field};
use strowger_packet::ipv6;

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::new_unchecked(bytes).quoted();
    let Ok(header) = Header::new_checked(bytes) else { return };
    if let Ok(quoted) = header.quoted() {
        assert!(header.kind().is_error());
        assert!(field::QUOTED + ipv6::HEADER_LEN + quoted.payload().len() <= bytes.len());
    }
    let mut changed = Header::new_unchecked(bytes.to_vec());
    changed.fill_checksum(Sum::new());
    assert!(changed.is_intact(Sum::new()));
});
