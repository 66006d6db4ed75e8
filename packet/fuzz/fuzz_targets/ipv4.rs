//! IPv4 headers: options and payload lie in the bytes, and what changes keeps the checksum true.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::ipv4::{Header, MAX_HEADER_LEN, MIN_HEADER_LEN, Repr};

fuzz_target!(|bytes: &[u8]| {
    let unchecked = Header::new_unchecked(bytes);
    let _ = (Repr::parse(&unchecked), unchecked.payload(), unchecked.is_intact());
    let _ = (unchecked.options().count(), unchecked.pseudo_header());
    let Ok(header) = Header::new_checked(bytes) else { return };
    assert!((MIN_HEADER_LEN..=MAX_HEADER_LEN).contains(&header.header_len()));
    assert!(header.header_len() + header.payload().len() <= bytes.len());
    assert!(header.payload().len() <= header.payload_len());
    let options: usize = header.options().flatten().map(|option| option.value.len() + 2).sum();
    assert!(options <= header.header_len() - MIN_HEADER_LEN);

    let mut changed = Header::new_unchecked(bytes.to_vec());
    changed.fill_checksum();
    assert!(changed.is_intact());
    assert_eq!(changed.decrement_ttl(), header.ttl() > 0);
    assert!(changed.is_intact());
    assert_eq!(changed.ttl(), header.ttl().saturating_sub(1));

    let Ok(repr) = Repr::parse(&header) else { return assert!(header.is_fragment()) };
    let mut written = Header::new_unchecked([0xff; MIN_HEADER_LEN]);
    repr.emit(&mut written);
    let written = Header::new_checked(written.into_inner()).unwrap();
    assert!(written.is_intact());
    assert_eq!(Repr::parse(&written), Ok(repr));
});
