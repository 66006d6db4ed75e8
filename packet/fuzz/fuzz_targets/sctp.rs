//! SCTP headers and chunks: chunks lie in the bytes, and a checksum does not depend on the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_packet::sctp::{Crc32c, HEADER_LEN, Header};

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::new_unchecked(bytes).chunks().count();
    let Ok(header) = Header::new_checked(bytes) else { return };
    let held: usize = header.chunks().flatten().map(|chunk| chunk.value.len() + 4).sum();
    assert!(held + HEADER_LEN <= bytes.len());
    let mut changed = Header::new_unchecked(bytes.to_vec());
    changed.fill_checksum();
    assert!(changed.is_intact());
    let crc = |pieces: [&[u8]; 2]| {
        let mut crc = Crc32c::new();
        pieces.iter().for_each(|piece| crc.add(piece));
        crc.finish()
    };
    let (one, other) = bytes.split_at(usize::from(bytes[0]) % bytes.len());
    assert_eq!(crc([one, other]), crc([bytes, &[]]));
});
