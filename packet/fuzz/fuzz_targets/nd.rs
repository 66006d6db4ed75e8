//! Neighbour discovery: a checked message has sound options, and what is parsed is emitted.
#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use strowger_packet::nd::{Envelope, HOP_LIMIT, Invalid, Message, Repr};

fuzz_target!(|bytes: &[u8]| {
    let unchecked = Message::new_unchecked(bytes);
    let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
    let envelope = Envelope { source, destination, hop_limit: HOP_LIMIT };
    let _ = (Repr::parse(&unchecked), unchecked.options().count(), unchecked.validate(&envelope));
    let Ok(message) = Message::new_checked(bytes) else { return };
    assert!(message.kind().is_neighbour_discovery());
    assert!(message.options().all(|option| option.is_ok()));
    assert!(message.options().count() * 8 < bytes.len());
    let mut changed = Message::new_unchecked(bytes.to_vec());
    changed.fill_checksum(source, destination);
    assert_ne!(changed.validate(&envelope), Err(Invalid::Checksum));
    let Ok(repr) = Repr::parse(&message) else { return };
    let mut written = Message::new_unchecked(vec![0xff; repr.message_len()]);
    repr.emit(&mut written);
    assert_eq!(Repr::parse(&Message::new_checked(written.into_inner()).unwrap()), Ok(repr));
});
