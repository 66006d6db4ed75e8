//! IPv4 (RFC 791).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+-----------+---+-------------------------------+
//! |version|  IHL  |   DSCP    |ECN|         total length          |
//! +-------+-------+-----------+---+-----+-------------------------+
//! |        identification         |0|D|M|     fragment offset     |
//! +---------------+---------------+-----+-------------------------+
//! |      TTL      |   protocol    |        header checksum        |
//! +---------------+---------------+-------------------------------+
//! |                            source                             |
//! |                          destination                          |
//! |                     options, to 60 bytes …                    |
//! ```
//!
//! A view covers a frame's head, and a datagram may go on in its tail: only the header must lie in the bytes.
//!
//! - RFC 1122, 3.2.1.1: a datagram whose version is not 4 MUST be discarded.
//! - RFC 1812, 5.2.2: the header length MUST be at least 20 bytes, the total length MUST hold the header, and
//!   what does not hold 20 bytes is no datagram.
//! - RFC 1812, 5.2.2 and RFC 1122, 3.2.1.2: a datagram with a bad header checksum MUST be discarded.
//! - RFC 1122, 3.2.1.8: options that are not understood MUST be ignored.
//! - RFC 6864, 4.1: the identification of an atomic datagram MUST be ignored.
//! - RFC 1812, 5.3.1: what changes the TTL MUST keep the checksum true.

use std::net::Ipv4Addr;

use crate::{
    checksum::{self, Sum},
    ip::{Ecn, Protocol},
    options::Options,
    wire::{Field, Malformed, array, at_least, range, view},
};

/// Bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;

const VERSION: u8 = 4;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Where the fields lie.
pub mod field {
    /// Version and header length in words, 1 byte.
    pub const VERSION_IHL: usize = 0;
    /// Type of service: DSCP and ECN, 1 byte.
    pub const TOS: usize = 1;
    /// Total length, 2 bytes.
    pub const TOTAL_LEN: usize = 2;
    /// Identification, 2 bytes.
    pub const IDENTIFICATION: usize = 4;
    /// Flags and fragment offset, 2 bytes.
    pub const FRAGMENT: usize = 6;
    /// Time to live, 1 byte.
    pub const TTL: usize = 8;
    /// Protocol, 1 byte.
    pub const PROTOCOL: usize = 9;
    /// Header checksum, 2 bytes.
    pub const CHECKSUM: usize = 10;
    /// Source address, 4 bytes.
    pub const SOURCE: usize = 12;
    /// Destination address, 4 bytes.
    pub const DESTINATION: usize = 16;
    /// Options.
    pub const OPTIONS: usize = 20;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, MIN_HEADER_LEN)?;
    let [version_ihl] = array(bytes, field::VERSION_IHL);
    if version_ihl >> 4 != VERSION {
        return Err(Malformed::Version);
    }
    let len = header_len(version_ihl);
    if len < MIN_HEADER_LEN || usize::from(u16::read(bytes, field::TOTAL_LEN)) < len {
        return Err(Malformed::Length);
    }
    at_least(bytes, len)
}

/// The header's length in bytes, from its first one.
#[inline]
const fn header_len(version_ihl: u8) -> usize {
    ((version_ihl & 0xf) as usize).wrapping_mul(4)
}

view! {
    /// An IPv4 header and what follows it.
    Header, checked by check;
    /// Type of service: DSCP in the upper 6 bits (RFC 2474), ECN in the lower 2 (RFC 3168).
    tos, set_tos: u8 = field::TOS;
    /// Bytes of the datagram, header included.
    total_len, set_total_len: u16 = field::TOTAL_LEN;
    /// Which datagram a fragment is of; means nothing if [`is_atomic`](Self::is_atomic).
    identification, set_identification: u16 = field::IDENTIFICATION;
    /// Routers that it may still pass.
    ttl, set_ttl: u8 = field::TTL;
    /// What it carries.
    protocol, set_protocol: Protocol = field::PROTOCOL;
    /// The checksum of the header.
    checksum, set_checksum: u16 = field::CHECKSUM;
    /// Who sent it.
    source, set_source: Ipv4Addr = field::SOURCE;
    /// Whom it is for.
    destination, set_destination: Ipv4Addr = field::DESTINATION;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// Bytes of the header, options included.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(u8::read(self.bytes(), field::VERSION_IHL))
    }

    /// Congestion notification.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::of(self.tos())
    }

    fn fragment(&self) -> u16 {
        u16::read(self.bytes(), field::FRAGMENT)
    }

    /// Whether routers must not fragment it.
    #[inline]
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.fragment() & DONT_FRAGMENT != 0
    }

    /// Whether further fragments follow.
    #[inline]
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.fragment() & MORE_FRAGMENTS != 0
    }

    /// Where in its datagram's payload a fragment lies, in bytes.
    #[inline]
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        (self.fragment() & OFFSET) << 3
    }

    /// Whether it is a fragment, the first or a later one.
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment() & (MORE_FRAGMENTS | OFFSET) != 0
    }

    /// Whether it neither is a fragment nor may become one (RFC 6864, 4).
    #[inline]
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.dont_fragment() && !self.is_fragment()
    }

    /// The options.
    #[inline]
    #[must_use]
    pub fn options(&self) -> Options<'_> {
        Options::new(range(self.bytes(), field::OPTIONS, self.header_len()))
    }

    /// Bytes of the payload, as the total length says.
    #[inline]
    #[must_use]
    pub fn payload_len(&self) -> usize {
        usize::from(self.total_len()).saturating_sub(self.header_len())
    }

    /// The payload as far as the bytes hold it, without padding of the link.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        range(self.bytes(), self.header_len(), usize::from(self.total_len()))
    }

    /// Whether the header's checksum is right.
    #[inline]
    #[must_use]
    pub fn is_intact(&self) -> bool {
        checksum::sum(range(self.bytes(), 0, self.header_len())) == 0xffff
    }

    /// The sum of the pseudo-header that TCP and UDP put before theirs.
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self) -> Sum {
        // A total length is a u16, and so is what is left of it.
        let len = self.payload_len() as u16;
        checksum::pseudo_v4(self.source(), self.destination(), self.protocol(), len)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Sets version and header length: `len` bytes, a multiple of 4 up to 60.
    #[inline]
    pub fn set_header_len(&mut self, len: usize) {
        let words = (len.min(MAX_HEADER_LEN) / 4) as u8;
        (VERSION << 4 | words).write(self.bytes_mut(), field::VERSION_IHL);
    }

    /// Sets flags and offset of a fragment; of `offset`, in bytes, the lowest 3 bits do not count.
    #[inline]
    pub fn set_fragment(&mut self, dont_fragment: bool, more_fragments: bool, offset: u16) {
        let flags = u16::from(dont_fragment) << 14 | u16::from(more_fragments) << 13;
        (flags | offset >> 3).write(self.bytes_mut(), field::FRAGMENT);
    }

    /// Computes the header's checksum.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let sum = checksum::sum(range(self.bytes(), 0, self.header_len()));
        self.set_checksum(!sum);
    }

    /// Takes one from the TTL and keeps the checksum true. `false`, and nothing changed, if it was 0.
    #[inline]
    pub fn decrement_ttl(&mut self) -> bool {
        let Some(ttl) = self.ttl().checked_sub(1) else { return false };
        let protocol = self.protocol().0;
        checksum::rewrite(self.bytes_mut(), field::CHECKSUM, field::TTL, [ttl, protocol]);
        true
    }

    /// The payload as far as the bytes hold it, to be changed.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (from, to) = (self.header_len(), usize::from(self.total_len()));
        crate::wire::range_mut(self.bytes_mut(), from, to)
    }
}

/// An IPv4 header without options, of a datagram that is no fragment, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub protocol: Protocol,
    /// Routers that it may pass.
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Bytes of the payload; the header adds [`MIN_HEADER_LEN`].
    pub payload_len: u16,
}

impl Repr {
    /// What a view shows; options are left out.
    ///
    /// # Errors
    /// [`Malformed::Kind`] for a fragment.
    pub fn parse<T: AsRef<[u8]>>(header: &Header<T>) -> Result<Self, Malformed> {
        if header.is_fragment() {
            return Err(Malformed::Kind);
        }
        Ok(Self {
            source: header.source(),
            destination: header.destination(),
            protocol: header.protocol(),
            ttl: header.ttl(),
            tos: header.tos(),
            dont_fragment: header.dont_fragment(),
            payload_len: header.payload_len() as u16,
        })
    }

    /// Writes the header with its checksum into a view of at least [`MIN_HEADER_LEN`] bytes.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, header: &mut Header<T>) {
        header.set_header_len(MIN_HEADER_LEN);
        header.set_tos(self.tos);
        header.set_total_len(self.payload_len.saturating_add(MIN_HEADER_LEN as u16));
        header.set_identification(0);
        header.set_fragment(self.dont_fragment, false, 0);
        header.set_ttl(self.ttl);
        header.set_protocol(self.protocol);
        header.set_source(self.source);
        header.set_destination(self.destination);
        header.fill_checksum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RawOption;

    /// 192.0.2.1 → 198.51.100.2, UDP, router alert, 4 bytes of payload, 2 of padding.
    const DATAGRAM: [u8; 30] = [
        0x46, 0xb9, 0, 28, 0x12, 0x34, 0x40, 0, 64, 17, 0x44, 0x5b, 192, 0, 2, 1, 198, 51, 100, 2,
        0x94, 4, 0, 0, 1, 2, 3, 4, 0, 0,
    ];

    fn changed(at: usize, value: u8) -> [u8; 30] {
        let mut bytes = DATAGRAM;
        bytes[at] = value;
        bytes
    }

    #[test]
    fn a_header_with_options_is_read() {
        let header = Header::new_checked(DATAGRAM).unwrap();
        assert_eq!((header.header_len(), header.total_len(), header.payload_len()), (24, 28, 4));
        assert_eq!((header.tos() >> 2, header.ecn()), (46, Ecn::Capable1));
        assert_eq!((header.ttl(), header.protocol()), (64, Protocol::UDP));
        assert_eq!(header.source(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(header.destination(), Ipv4Addr::new(198, 51, 100, 2));
        assert_eq!(header.payload(), [1, 2, 3, 4]);
    }

    #[test]
    fn rfc1122_section_3_2_1_1_another_version_is_refused() {
        assert_eq!(Header::new_checked(changed(0, 0x66)), Err(Malformed::Version));
    }

    #[test]
    fn rfc1812_section_5_2_2_lengths() {
        assert_eq!(Header::new_checked(changed(0, 0x44)), Err(Malformed::Length));
        assert_eq!(Header::new_checked(changed(3, 23)), Err(Malformed::Length));
        assert!(Header::new_checked(changed(3, 24)).is_ok());
        for len in 0..24 {
            assert_eq!(Header::new_checked(&DATAGRAM[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn rfc1812_section_5_2_2_and_rfc1122_section_3_2_1_2_the_header_checksum() {
        let mut header = Header::new_unchecked(DATAGRAM);
        header.fill_checksum();
        assert!(header.is_intact());
        for at in 0..24 {
            let mut bytes = header.into_inner();
            bytes[at] ^= 0x10;
            if let Ok(broken) = Header::new_checked(bytes) {
                assert!(!broken.is_intact(), "byte {at}");
            }
        }
    }

    #[test]
    fn rfc1122_section_3_2_1_8_unknown_options_are_skipped_over() {
        let mut bytes = [0; 28];
        bytes[..20].copy_from_slice(&DATAGRAM[..20]);
        bytes[0] = 0x47;
        bytes[20..].copy_from_slice(&[0xfe, 3, 9, 1, 0x94, 4, 0, 0]);
        let header = Header::new_checked(bytes).unwrap();
        let kinds: Vec<_> = header.options().map(|option| option.unwrap().kind).collect();
        assert_eq!(kinds, [0xfe, 0x94]);
        let header = Header::new_checked(DATAGRAM).unwrap();
        let alert = RawOption { kind: 0x94, value: &[0, 0] };
        assert_eq!(header.options().collect::<Vec<_>>(), [Ok(alert)]);
    }

    #[test]
    fn rfc6864_section_4_1_an_atomic_datagram_has_no_identification() {
        let mut header = Header::new_unchecked(DATAGRAM);
        assert!(header.is_atomic());
        header.set_fragment(false, false, 0);
        assert!(!header.is_atomic() && !header.is_fragment());
        header.set_fragment(true, true, 0);
        assert!(!header.is_atomic());
        // The owned header has none, so that nothing can depend on it.
        let (mut one, mut other) = (DATAGRAM, DATAGRAM);
        (one[4], other[4]) = (1, 2);
        let parse = |bytes| Repr::parse(&Header::new_unchecked(bytes));
        assert_eq!(parse(one), parse(other));
    }

    #[test]
    fn rfc1812_section_5_3_1_a_lower_ttl_has_a_true_checksum() {
        let mut header = Header::new_unchecked(DATAGRAM);
        header.fill_checksum();
        for ttl in (0..64).rev() {
            assert!(header.decrement_ttl());
            assert!(
                header.is_intact() && header.ttl() == ttl && header.protocol() == Protocol::UDP
            );
        }
        assert!(!header.decrement_ttl());
        assert!(header.is_intact() && header.ttl() == 0);
    }

    #[test]
    fn fragments_are_told_apart() {
        let mut header = Header::new_unchecked(DATAGRAM);
        header.set_fragment(false, true, 0);
        assert!(header.is_fragment() && header.more_fragments() && header.fragment_offset() == 0);
        header.set_fragment(false, false, 65_528);
        assert!(header.is_fragment() && !header.more_fragments());
        assert_eq!(header.fragment_offset(), 65_528);
        assert_eq!(Repr::parse(&header), Err(Malformed::Kind));
    }

    #[test]
    fn what_is_emitted_is_parsed() {
        let repr = Repr::parse(&Header::new_unchecked(DATAGRAM)).unwrap();
        let mut header = Header::new_unchecked([0xff; 24]);
        repr.emit(&mut header);
        let header = Header::new_checked(header.into_inner()).unwrap();
        assert!(header.is_intact());
        assert_eq!(Repr::parse(&header), Ok(repr));
        assert_eq!(header.header_len(), MIN_HEADER_LEN);
    }
}
