//! IPv6 headers and extension headers: the walk ends within its bytes and its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::ipv6::{Extensions, HEADER_LEN, Header, MAX_EXTENSIONS, Repr};

fuzz_target!(|bytes: &[u8]| {
    let unchecked = Header::new_unchecked(bytes);
    let _ = (Repr::parse(&unchecked), unchecked.payload(), unchecked.chain());
    let Ok(header) = Header::new_checked(bytes) else { return };
    let repr = Repr::parse(&header);
    let mut written = Header::new_unchecked([0xff; HEADER_LEN]);
    repr.emit(&mut written);
    assert_eq!(written.into_inner(), bytes[..HEADER_LEN]);

    let mut len = 0;
    let mut steps = 0;
    let mut last = Ok(header.next_header());
    for extension in Extensions::new(header.next_header(), header.payload()) {
        steps += 1;
        last = extension.map(|extension| {
            len += extension.bytes.len();
            assert!(extension.options().count() <= extension.bytes.len());
            extension.next_header
        });
    }
    assert!(steps <= MAX_EXTENSIONS + 1);
    assert!(len <= header.payload().len());
    match header.chain() {
        Ok(chain) => assert_eq!((Ok(chain.protocol), chain.len), (last, len)),
        Err(error) => assert_eq!(last, Err(error)),
    }
});
