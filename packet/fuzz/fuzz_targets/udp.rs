//! UDP headers: the payload lies in the bytes, and a checksum that is made is there and right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::checksum::Sum;
use strowger_packet::udp::{HEADER_LEN, Header, Repr};

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::new_unchecked(bytes).payload();
    let Ok(header) = Header::new_checked(bytes) else { return };
    let repr = Repr::parse(&header);
    assert!(header.payload().len() <= usize::from(repr.payload_len));
    assert!(header.payload().len() + HEADER_LEN <= bytes.len());
    let mut written = Header::new_unchecked([0xff; HEADER_LEN]);
    repr.emit(&mut written);
    assert_eq!(written.into_inner()[..6], bytes[..6]);
    let mut changed = Header::new_unchecked(bytes.to_vec());
    changed.fill_checksum(Sum::new());
    assert!(changed.has_checksum() && changed.is_intact(Sum::new()));
});
