//! TCP (RFC 9293).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          source port          |       destination port        |
//! +-------------------------------+-------------------------------+
//! |                        sequence number                        |
//! |                     acknowledgment number                     |
//! +-------+-----+-+-+-+-+-+-+-+-+-+-------------------------------+
//! | data  |rsvd |A|C|E|U|A|P|R|S|F|                               |
//! | offset|     |E|W|C|R|C|S|S|Y|I|            window             |
//! |       |     | |R|E|G|K|H|T|N|N|                               |
//! +-------+-----+-+-+-+-+-+-+-+-+-+-------------------------------+
//! |           checksum            |        urgent pointer         |
//! +-------------------------------+-------------------------------+
//! |                     options, to 60 bytes …                    |
//! ```
//!
//! - RFC 9293, 3.1: the data offset is at least 5 words and lies within the segment. MUST-2, MUST-3: the
//!   checksum is made and checked, over pseudo-header, header and payload.
//! - MUST-4: an option may come in any segment. MUST-5: end of list, no operation and maximum segment size are
//!   supported. MUST-6: options that are not implemented are ignored. MUST-7: an illegal option length is
//!   handled. MUST-68: every other option has a length.
//! - MUST-64: options are read even if they do not begin on a word boundary.

use crate::{
    checksum::Sum,
    options::{Options, RawOption},
    wire::{Field, Malformed, array, at_least, range, rest, view},
};

/// Bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// The most blocks that a selective acknowledgment names (RFC 2018, 3).
pub const MAX_SACK_BLOCKS: usize = 4;

/// Where the fields lie.
pub mod field {
    /// Source port, 2 bytes.
    pub const SOURCE_PORT: usize = 0;
    /// Destination port, 2 bytes.
    pub const DESTINATION_PORT: usize = 2;
    /// Sequence number, 4 bytes.
    pub const SEQUENCE: usize = 4;
    /// Acknowledgment number, 4 bytes.
    pub const ACKNOWLEDGMENT: usize = 8;
    /// Data offset and flags, 2 bytes.
    pub const OFFSET_FLAGS: usize = 12;
    /// Window, 2 bytes.
    pub const WINDOW: usize = 14;
    /// Checksum, 2 bytes.
    pub const CHECKSUM: usize = 16;
    /// Urgent pointer, 2 bytes.
    pub const URGENT: usize = 18;
    /// Options.
    pub const OPTIONS: usize = 20;
}

/// The control bits: the lower 12 of the word at [`field::OFFSET_FLAGS`], reserved ones included.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Flags(u16);

impl Flags {
    /// The sender has no more to send.
    pub const FIN: Self = Self(0x001);
    /// Sequence numbers begin.
    pub const SYN: Self = Self(0x002);
    /// The connection is reset.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x020);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN (RFC 9768), before that the nonce sum.
    pub const AE: Self = Self(0x100);

    /// The lower 12 bits.
    #[inline]
    #[must_use]
    pub const fn new(bits: u16) -> Self {
        Self(bits & 0xfff)
    }

    /// The bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `flags` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and `flags`.
    #[inline]
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These without `flags`.
    #[inline]
    #[must_use]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#05x}", self.0)
    }
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, MIN_HEADER_LEN)?;
    let len = header_len(u16::read(bytes, field::OFFSET_FLAGS));
    if len < MIN_HEADER_LEN {
        return Err(Malformed::Length);
    }
    at_least(bytes, len)
}

/// The header's length in bytes, from the word that holds the data offset.
#[inline]
const fn header_len(offset_flags: u16) -> usize {
    (offset_flags as usize >> 12).wrapping_mul(4)
}

view! {
    /// A TCP header and what follows it.
    Header, checked by check;
    /// The sender's port.
    source_port, set_source_port: u16 = field::SOURCE_PORT;
    /// The receiver's port.
    destination_port, set_destination_port: u16 = field::DESTINATION_PORT;
    /// The number of the first payload byte, or of SYN.
    sequence, set_sequence: u32 = field::SEQUENCE;
    /// The number that the sender expects next, if [`Flags::ACK`].
    acknowledgment, set_acknowledgment: u32 = field::ACKNOWLEDGMENT;
    /// How much the sender takes, not scaled.
    window, set_window: u16 = field::WINDOW;
    /// The checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
    /// Where urgent data ends, from the sequence number, if [`Flags::URG`].
    urgent, set_urgent: u16 = field::URGENT;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// Bytes of the header, options included.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(u16::read(self.bytes(), field::OFFSET_FLAGS))
    }

    /// The control bits.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::new(u16::read(self.bytes(), field::OFFSET_FLAGS))
    }

    /// The options.
    #[inline]
    pub fn options(&self) -> impl Iterator<Item = Result<TcpOption<'_>, Malformed>> + use<'_, T> {
        Options::new(range(self.bytes(), field::OPTIONS, self.header_len()))
            .map(|option| option.map(TcpOption::from))
    }

    /// What follows the header, as far as the bytes go.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        rest(self.bytes(), self.header_len())
    }

    /// Whether the checksum is right, for bytes that are exactly the segment.
    #[inline]
    #[must_use]
    pub fn is_intact(&self, pseudo_header: Sum) -> bool {
        pseudo_header.over(self.bytes()).is_intact()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Sets the data offset: `len` bytes, a multiple of 4 up to 60.
    #[inline]
    pub fn set_header_len(&mut self, len: usize) {
        let words = (len.min(MAX_HEADER_LEN) / 4) as u16;
        (words << 12 | self.flags().bits()).write(self.bytes_mut(), field::OFFSET_FLAGS);
    }

    /// Sets the control bits.
    #[inline]
    pub fn set_flags(&mut self, flags: Flags) {
        let offset = u16::read(self.bytes(), field::OFFSET_FLAGS) & 0xf000;
        (offset | flags.bits()).write(self.bytes_mut(), field::OFFSET_FLAGS);
    }

    /// Computes the checksum of bytes that are exactly the segment.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo_header: Sum) {
        self.set_checksum(0);
        self.set_checksum(pseudo_header.over(self.bytes()).finish());
    }
}

/// An option (IANA, TCP Option Kind Numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// The largest segment that the sender takes, in bytes of payload (RFC 9293, 3.7.1).
    MaximumSegmentSize(u16),
    /// How far the sender's window is to be shifted, 0 to 14 (RFC 7323, 2.2).
    WindowScale(u8),
    /// The sender understands selective acknowledgments (RFC 2018, 2).
    SackPermitted,
    /// What the sender has received beyond the acknowledgment number (RFC 2018, 3).
    Sack(SackBlocks<'a>),
    /// Times for round trips and old segments (RFC 7323, 3.2).
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The receiver's clock, echoed.
        echo: u32,
    },
    /// Any other, or one of the above with a length that it cannot have.
    Other(RawOption<'a>),
}

impl<'a> From<RawOption<'a>> for TcpOption<'a> {
    #[inline]
    fn from(option: RawOption<'a>) -> Self {
        let value = option.value;
        match (option.kind, value.len()) {
            (2, 2) => Self::MaximumSegmentSize(u16::read(value, 0)),
            (3, 1) => Self::WindowScale(u8::read(value, 0)),
            (4, 0) => Self::SackPermitted,
            (5, 8 | 16 | 24 | 32) => Self::Sack(SackBlocks { left: value }),
            (8, 8) => Self::Timestamps { value: u32::read(value, 0), echo: u32::read(value, 4) },
            _ => Self::Other(option),
        }
    }
}

/// The blocks of a selective acknowledgment: first sequence number, and the one behind the last. At most
/// [`MAX_SACK_BLOCKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackBlocks<'a> {
    left: &'a [u8],
}

impl Iterator for SackBlocks<'_> {
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (block, left) = self.left.split_first_chunk::<8>()?;
        self.left = left;
        Some((u32::from_be_bytes(array(block, 0)), u32::from_be_bytes(array(block, 4))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checksum, ip::Protocol};
    use std::net::Ipv4Addr;

    /// A SYN with the options of a Linux host, and a SACK that does not belong there.
    const SEGMENT: [u8; 54] = [
        0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0xd1, 0x02, 0xfa, 0xf0, 0, 0, 0, 7, //
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4, 1, 3, 3, 7, //
        5, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 0, b'h', b'i',
    ];

    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut bytes = [&SEGMENT[..MIN_HEADER_LEN], options].concat();
        let len = bytes.len();
        Header::new_unchecked(&mut bytes).set_header_len(len);
        bytes
    }

    fn options(bytes: &[u8]) -> Vec<Result<TcpOption<'_>, Malformed>> {
        let header = Header::new_checked(bytes).unwrap();
        Options::new(&bytes[field::OPTIONS..header.header_len()])
            .map(|option| option.map(TcpOption::from))
            .collect()
    }

    #[test]
    fn a_header_is_read_and_written() {
        let header = Header::new_checked(SEGMENT).unwrap();
        assert_eq!((header.source_port(), header.destination_port()), (40_000, 80));
        assert_eq!((header.sequence(), header.acknowledgment()), (1, 2));
        assert_eq!(header.flags(), Flags::SYN.with(Flags::AE));
        assert_eq!((header.window(), header.urgent()), (64_240, 7));
        assert_eq!((header.header_len(), header.payload()), (52, &b"hi"[..]));
        let mut header = header;
        header.set_flags(header.flags().without(Flags::AE).with(Flags::ACK));
        assert!(header.flags().contains(Flags::ACK) && !header.flags().contains(Flags::AE));
        assert_eq!(header.header_len(), 52);
        header.set_header_len(20);
        assert_eq!((header.header_len(), header.flags().bits()), (20, 0x012));
    }

    #[test]
    fn rfc9293_section_3_1_the_data_offset_lies_within_the_segment() {
        for len in 0..52 {
            assert_eq!(Header::new_checked(&SEGMENT[..len]), Err(Malformed::Truncated));
        }
        let mut bytes = SEGMENT;
        bytes[12] = 0x40;
        assert_eq!(Header::new_checked(bytes), Err(Malformed::Length));
    }

    #[test]
    fn rfc9293_must_2_and_must_3_the_checksum() {
        let (a, b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let pseudo = checksum::pseudo_v4(a, b, Protocol::TCP, SEGMENT.len() as u16);
        let mut header = Header::new_unchecked(SEGMENT);
        assert!(!header.is_intact(pseudo));
        header.fill_checksum(pseudo);
        assert!(header.is_intact(pseudo));
        header.set_window(1);
        assert!(!header.is_intact(pseudo));
    }

    #[test]
    fn rfc9293_must_4_and_must_5_options_are_read_in_any_segment() {
        let expected = [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 3, echo: 4 },
            TcpOption::WindowScale(7),
            TcpOption::Sack(SackBlocks { left: &SEGMENT[42..50] }),
        ];
        for flags in [Flags::SYN, Flags::ACK, Flags::FIN] {
            let mut header = Header::new_unchecked(SEGMENT);
            header.set_flags(flags);
            assert_eq!(header.options().collect::<Result<Vec<_>, _>>().unwrap(), expected);
        }
        let TcpOption::Sack(mut blocks) = expected[4] else { unreachable!() };
        assert_eq!((blocks.next(), blocks.next()), (Some((5, 6)), None));
    }

    #[test]
    fn rfc9293_must_6_unknown_options_are_passed_over() {
        let bytes = with_options(&[0xfd, 4, 1, 2, 2, 4, 5, 0xb4]);
        let other = TcpOption::Other(RawOption { kind: 0xfd, value: &[1, 2] });
        assert_eq!(options(&bytes), [Ok(other), Ok(TcpOption::MaximumSegmentSize(1460))]);
        // A known kind of impossible length is no better known.
        let bytes = with_options(&[2, 3, 5, 1]);
        assert_eq!(options(&bytes), [Ok(TcpOption::Other(RawOption { kind: 2, value: &[5] }))]);
    }

    #[test]
    fn rfc9293_must_7_and_must_68_an_illegal_length_ends_the_options() {
        assert_eq!(options(&with_options(&[3, 0, 7, 0])), [Err(Malformed::Length)]);
        assert_eq!(options(&with_options(&[1, 1, 3, 9])), [Err(Malformed::Truncated)]);
    }

    #[test]
    fn rfc9293_must_64_options_begin_on_any_byte() {
        let bytes = with_options(&[1, 2, 4, 5, 0xb4, 1, 1, 1]);
        assert_eq!(options(&bytes), [Ok(TcpOption::MaximumSegmentSize(1460))]);
    }
}
