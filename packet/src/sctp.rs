//! SCTP (RFC 9260): the common header, its chunks, and CRC-32C.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          source port          |       destination port        |
//! +-------------------------------+-------------------------------+
//! |                       verification tag                        |
//! |                           checksum                            |
//! +---------------+---------------+-------------------------------+
//! |  chunk type   |  chunk flags  |         chunk length          |  repeated, each padded to 4 bytes
//! ```
//!
//! - RFC 9260, 6.8 and appendix A: the checksum is CRC-32C over the whole packet, its own field zero; a packet
//!   with a wrong one MUST be discarded. There is no pseudo-header.
//! - RFC 9260, 3.2: a chunk's length counts its header and not its padding, so it is at least 4. Padding MUST
//!   be ignored by the receiver and is at most 3 bytes. A chunk that ends behind the packet is no chunk.

use crate::wire::{Field, Malformed, at_least, range, rest, view};

/// Bytes of the common header.
pub const HEADER_LEN: usize = 12;
/// Bytes of a chunk's header.
const CHUNK_HEADER_LEN: usize = 4;

/// Where the fields lie.
pub mod field {
    /// Source port, 2 bytes.
    pub const SOURCE_PORT: usize = 0;
    /// Destination port, 2 bytes.
    pub const DESTINATION_PORT: usize = 2;
    /// Verification tag, 4 bytes.
    pub const TAG: usize = 4;
    /// Checksum, 4 bytes.
    pub const CHECKSUM: usize = 8;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, HEADER_LEN)
}

view! {
    /// An SCTP common header and what follows it.
    Header, checked by check;
    /// The sender's port.
    source_port, set_source_port: u16 = field::SOURCE_PORT;
    /// The receiver's port.
    destination_port, set_destination_port: u16 = field::DESTINATION_PORT;
    /// Which association it is of; 0 in a packet that opens one.
    verification_tag, set_verification_tag: u32 = field::TAG;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// The checksum. It goes over the wire with its lowest byte first (RFC 9260, appendix A).
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u32 {
        u32::read(self.bytes(), field::CHECKSUM).swap_bytes()
    }

    /// The chunks, as far as the bytes hold them.
    #[inline]
    #[must_use]
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks { left: rest(self.bytes(), HEADER_LEN) }
    }

    /// Whether the checksum is right, for bytes that are exactly the packet.
    #[inline]
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.checksum() == self.compute()
    }

    fn compute(&self) -> u32 {
        let mut crc = Crc32c::new();
        crc.add(range(self.bytes(), 0, field::CHECKSUM));
        crc.add(&[0; 4]);
        crc.add(rest(self.bytes(), HEADER_LEN));
        crc.finish()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Sets [`checksum`](Self::checksum).
    #[inline]
    pub fn set_checksum(&mut self, checksum: u32) {
        checksum.swap_bytes().write(self.bytes_mut(), field::CHECKSUM);
    }

    /// Computes the checksum of bytes that are exactly the packet.
    #[inline]
    pub fn fill_checksum(&mut self) {
        let checksum = self.compute();
        self.set_checksum(checksum);
    }
}

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// What kind it is of (IANA, SCTP Chunk Types).
    pub kind: u8,
    /// Flags, by kind.
    pub flags: u8,
    /// What it holds, without its header and padding.
    pub value: &'a [u8],
}

/// Goes over chunks in their order. It ends behind the first error. Each step takes at least 4 bytes, so the
/// packet's length bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'a> {
    left: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.left;
        self.left = &[];
        if bytes.is_empty() {
            return None;
        }
        let [kind, flags, ..] = *bytes else { return Some(Err(Malformed::Truncated)) };
        let len = usize::from(u16::read(bytes, 2));
        Some(match at_least(bytes, CHUNK_HEADER_LEN) {
            Ok(()) if len < CHUNK_HEADER_LEN => Err(Malformed::Length),
            Ok(()) if len > bytes.len() => Err(Malformed::Truncated),
            Ok(()) => {
                // The last chunk's padding may be missing.
                self.left = rest(bytes, len.next_multiple_of(4));
                Ok(Chunk { kind, flags, value: range(bytes, CHUNK_HEADER_LEN, len) })
            }
            Err(error) => Err(error),
        })
    }
}

/// CRC-32C (Castagnoli) in progress, over bytes in any number of pieces (RFC 9260, appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c {
    /// The register, reflected.
    state: u32,
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// `TABLES[n][byte]`: what a byte does to the register, `n` bytes after it went in.
static TABLES: [[u32; 256]; 8] = tables();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler only, which has no iterators here"
)]
const fn tables() -> [[u32; 256]; 8] {
    /// The polynomial 0x1edc6f41, reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is an index of 256 entries")]
fn after(table: &[u32; 256], byte: u8) -> u32 {
    table[usize::from(byte)]
}

impl Crc32c {
    /// The checksum of nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { state: !0 }
    }

    /// Takes the bytes that follow those taken before; eight at a time ("slicing by 8": Kounavis, Berry, 2005).
    pub fn add(&mut self, bytes: &[u8]) {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let (blocks, last) = bytes.as_chunks::<8>();
        for [a, b, c, d, e, f, g, h] in blocks {
            let [s, t, u, v] = self.state.to_le_bytes();
            self.state = after(t7, a ^ s) ^ after(t6, b ^ t) ^ after(t5, c ^ u) ^ after(t4, d ^ v);
            self.state ^= after(t3, *e) ^ after(t2, *f) ^ after(t1, *g) ^ after(t0, *h);
        }
        for byte in last {
            self.state = self.state >> 8 ^ after(t0, self.state as u8 ^ byte);
        }
    }

    /// The checksum.
    #[inline]
    #[must_use]
    pub const fn finish(self) -> u32 {
        !self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two chunks: DATA-like of 5 bytes with padding, COOKIE ACK.
    const PACKET: [u8; 28] = [
        0x0b, 0x59, 0x0b, 0x80, 0, 0, 0, 9, 0, 0, 0, 0, //
        0, 3, 0, 9, b'h', b'e', b'l', b'l', b'o', 0, 0, 0, 11, 0, 0, 4,
    ];

    fn chunks(packet: &[u8]) -> Vec<Result<Chunk<'_>, Malformed>> {
        Chunks { left: &packet[HEADER_LEN..] }.collect()
    }

    fn crc32c(bytes: &[u8]) -> u32 {
        let mut crc = Crc32c::new();
        crc.add(bytes);
        crc.finish()
    }

    #[test]
    fn a_header_and_its_chunks_are_read() {
        let header = Header::new_checked(PACKET).unwrap();
        assert_eq!((header.source_port(), header.destination_port()), (2905, 2944));
        assert_eq!(header.verification_tag(), 9);
        for len in 0..HEADER_LEN {
            assert_eq!(Header::new_checked(&PACKET[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn rfc9260_section_3_2_padding_is_ignored() {
        let hello = Ok(Chunk { kind: 0, flags: 3, value: b"hello" });
        let ack = Ok(Chunk { kind: 11, flags: 0, value: b"" });
        assert_eq!(chunks(&PACKET), [hello, ack]);
        let mut padded = PACKET;
        padded[21..24].fill(0xff);
        assert_eq!(chunks(&padded), [hello, ack]);
        assert_eq!(chunks(&PACKET[..21]), [hello]);
    }

    #[test]
    fn rfc9260_section_3_2_a_chunk_holds_its_header_and_lies_in_the_packet() {
        let mut bytes = PACKET;
        bytes[15] = 3;
        assert_eq!(chunks(&bytes), [Err(Malformed::Length)]);
        bytes[15] = 17;
        assert_eq!(chunks(&bytes), [Err(Malformed::Truncated)]);
        assert_eq!(chunks(&PACKET[..15]), [Err(Malformed::Truncated)]);
        assert_eq!(chunks(&PACKET[..13]), [Err(Malformed::Truncated)]);
    }

    #[test]
    fn rfc9260_section_6_8_a_wrong_checksum_is_seen() {
        let mut header = Header::new_unchecked(PACKET);
        assert!(!header.is_intact());
        header.fill_checksum();
        assert!(header.is_intact());
        for at in 0..PACKET.len() {
            let mut bytes = header.into_inner();
            bytes[at] ^= 0x40;
            assert!(!Header::new_unchecked(bytes).is_intact(), "byte {at}");
        }
    }

    /// The check value of the CRC catalogue, and the vectors of RFC 3720, B.4, which uses the same CRC.
    #[test]
    fn rfc9260_appendix_a_the_polynomial() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let counted: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&counted), 0x46dd_794e);
        let mut header = Header::new_unchecked([0; HEADER_LEN]);
        header.set_checksum(0xe306_9283);
        assert_eq!(header.checksum(), 0xe306_9283);
        assert_eq!(header.into_inner()[8..], [0x83, 0x92, 0x06, 0xe3]);
    }

    /// A bit at a time, as the polynomial's definition says.
    fn by_bits(bytes: &[u8]) -> u32 {
        let mut register = !0_u32;
        for byte in bytes {
            register ^= u32::from(*byte);
            for _ in 0..8 {
                register = register >> 1 ^ if register & 1 == 1 { 0x82f6_3b78 } else { 0 };
            }
        }
        !register
    }

    proptest! {
        #[test]
        fn eight_bytes_at_a_time_are_the_same_as_a_bit_at_a_time(
            bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0_usize..100,
        ) {
            let (one, other) = bytes.split_at(cut.min(bytes.len()));
            let mut crc = Crc32c::new();
            crc.add(one);
            crc.add(other);
            prop_assert_eq!(crc.finish(), by_bits(&bytes));
        }
    }
}
