//! ICMP messages: what an error quotes lies in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::icmp::{HEADER_LEN, Header};

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::new_unchecked(bytes).quoted();
    let Ok(header) = Header::new_checked(bytes) else { return };
    assert!(!(header.kind().is_error() && header.kind().is_query()));
    if let Ok(quoted) = header.quoted() {
        assert!(header.kind().is_error());
        assert!(HEADER_LEN + quoted.header_len() + quoted.payload().len() <= bytes.len());
    }
    let mut changed = Header::new_unchecked(bytes.to_vec());
    changed.fill_checksum();
    assert!(changed.is_intact());
});
