//! Ethernet headers: what is parsed is emitted byte for byte, and addresses survive their text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::MacAddress;
use strowger_packet::ethernet::{HEADER_LEN, Header, Repr, snap};

fuzz_target!(|bytes: &[u8]| {
    let _ = Repr::parse(&Header::new_unchecked(bytes));
    let _ = std::str::from_utf8(bytes).map(str::parse::<MacAddress>);
    let Ok(header) = Header::new_checked(bytes) else { return };
    let repr = Repr::parse(&header);
    let mut written = Header::new_unchecked([0xff; HEADER_LEN]);
    repr.emit(&mut written);
    assert_eq!(written.into_inner(), bytes[..HEADER_LEN]);
    assert_eq!(repr.source.to_string().parse(), Ok(repr.source));
    if let Some((ethertype, payload)) = snap(header.payload()) {
        assert!(!ethertype.is_length());
        assert_eq!(payload.len() + HEADER_LEN + 8, bytes.len());
    }
});
