//! ARP packets: what is parsed is emitted byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::arp::{PACKET_LEN, Packet, Repr};

fuzz_target!(|bytes: &[u8]| {
    let _ = Repr::parse(&Packet::new_unchecked(bytes));
    let Ok(packet) = Packet::new_checked(bytes) else { return };
    let repr = Repr::parse(&packet);
    assert!(!(repr.is_probe() && repr.is_announcement()));
    let mut written = Packet::new_unchecked([0xff; PACKET_LEN]);
    repr.emit(&mut written);
    assert_eq!(written.into_inner(), bytes[..PACKET_LEN]);
});
