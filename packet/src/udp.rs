//! UDP (RFC 768).
//!
//! ```text
//!  0                2                4                6
//! +----------------+----------------+----------------+----------------+
//! |  source port   |  dest. port    |     length     |    checksum    |
//! +----------------+----------------+----------------+----------------+
//! ```
//!
//! - RFC 768: the length counts header and payload, and is at least 8. A checksum that is computed as zero is
//!   transmitted as all ones; a transmitted zero means that there is none.
//! - RFC 8200, 8.1: over IPv6 a zero checksum MUST be refused (but by tunnels that allow it, RFC 6935).

use crate::{
    checksum::Sum,
    wire::{Field, Malformed, at_least, range, view},
};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// Where the fields lie.
pub mod field {
    /// Source port, 2 bytes.
    pub const SOURCE_PORT: usize = 0;
    /// Destination port, 2 bytes.
    pub const DESTINATION_PORT: usize = 2;
    /// Length, 2 bytes.
    pub const LEN: usize = 4;
    /// Checksum, 2 bytes.
    pub const CHECKSUM: usize = 6;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, HEADER_LEN)?;
    if usize::from(u16::read(bytes, field::LEN)) < HEADER_LEN {
        return Err(Malformed::Length);
    }
    Ok(())
}

view! {
    /// A UDP header and what follows it.
    Header, checked by check;
    /// The sender's port, or 0.
    source_port, set_source_port: u16 = field::SOURCE_PORT;
    /// The receiver's port.
    destination_port, set_destination_port: u16 = field::DESTINATION_PORT;
    /// Bytes of header and payload. Named so because `len` would be the view's.
    datagram_len, set_datagram_len: u16 = field::LEN;
    /// The checksum; 0 if there is none.
    checksum, set_checksum: u16 = field::CHECKSUM;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// The payload as far as the bytes hold it.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        range(self.bytes(), HEADER_LEN, usize::from(self.datagram_len()))
    }

    /// Header and payload, as far as the bytes hold them.
    fn datagram(&self) -> &[u8] {
        range(self.bytes(), 0, usize::from(self.datagram_len()))
    }

    /// Whether the sender made a checksum.
    #[inline]
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.checksum() != 0
    }

    /// Whether the checksum is right, for a datagram that lies whole in the bytes.
    #[inline]
    #[must_use]
    pub fn is_intact(&self, pseudo_header: Sum) -> bool {
        pseudo_header.over(self.datagram()).is_intact()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Computes the checksum of a datagram that lies whole in the bytes.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo_header: Sum) {
        self.set_checksum(0);
        self.set_checksum(transmitted(pseudo_header.over(self.datagram())));
    }
}

/// The checksum as it is transmitted: never 0, which would mean that there is none (RFC 768).
#[inline]
#[must_use]
pub const fn transmitted(sum: Sum) -> u16 {
    match sum.finish() {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// A UDP header, owned. The checksum is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The sender's port, or 0.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Bytes of the payload.
    pub payload_len: u16,
}

impl Repr {
    /// What a view shows.
    #[inline]
    #[must_use]
    pub fn parse<T: AsRef<[u8]>>(header: &Header<T>) -> Self {
        Self {
            source_port: header.source_port(),
            destination_port: header.destination_port(),
            payload_len: header.datagram_len().saturating_sub(HEADER_LEN as u16),
        }
    }

    /// Writes the header, without a checksum, into a view of at least [`HEADER_LEN`] bytes.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, header: &mut Header<T>) {
        header.set_source_port(self.source_port);
        header.set_destination_port(self.destination_port);
        header.set_datagram_len(self.payload_len.saturating_add(HEADER_LEN as u16));
        header.set_checksum(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checksum, ip::Protocol};
    use std::net::Ipv6Addr;

    const DATAGRAM: [u8; 13] = [0x30, 0x39, 0, 53, 0, 11, 0, 0, b'a', b'b', b'c', 0, 0];

    fn pseudo() -> Sum {
        checksum::pseudo_v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, Protocol::UDP, 11)
    }

    #[test]
    fn a_header_is_read_and_written() {
        let header = Header::new_checked(DATAGRAM).unwrap();
        let repr = Repr::parse(&header);
        assert_eq!(repr, Repr { source_port: 12345, destination_port: 53, payload_len: 3 });
        assert_eq!(header.payload(), b"abc");
        let mut written = Header::new_unchecked([0xff; 8]);
        repr.emit(&mut written);
        assert_eq!(written.into_inner(), DATAGRAM[..8]);
    }

    #[test]
    fn rfc768_the_length_holds_the_header() {
        let mut bytes = DATAGRAM;
        bytes[5] = 7;
        assert_eq!(Header::new_checked(bytes), Err(Malformed::Length));
        bytes[5] = 8;
        assert!(Header::new_checked(bytes).unwrap().payload().is_empty());
        for len in 0..HEADER_LEN {
            assert_eq!(Header::new_checked(&DATAGRAM[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn rfc768_a_checksum_of_zero_is_transmitted_as_all_ones() {
        let mut header = Header::new_unchecked(DATAGRAM);
        header.fill_checksum(pseudo());
        // Take the checksum into the payload: now the sum is all ones and its complement zero.
        let checksum = header.checksum();
        let mut bytes = header.into_inner();
        let word = u16::from_be_bytes([bytes[8], bytes[9]]);
        let word = checksum::combine(word, checksum, false);
        bytes[8..10].copy_from_slice(&word.to_be_bytes());
        let mut header = Header::new_unchecked(bytes);
        header.fill_checksum(pseudo());
        assert_eq!(header.checksum(), 0xffff);
        assert!(header.is_intact(pseudo()));
    }

    #[test]
    fn rfc8200_section_8_1_a_missing_checksum_is_seen_and_is_not_intact() {
        let header = Header::new_checked(DATAGRAM).unwrap();
        assert!(!header.has_checksum() && !header.is_intact(pseudo()));
        let mut header = header;
        header.fill_checksum(pseudo());
        assert!(header.has_checksum() && header.is_intact(pseudo()));
    }
}
