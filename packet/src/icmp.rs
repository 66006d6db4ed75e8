//! ICMP (RFC 792).
//!
//! ```text
//!  0                1                2                                 4
//! +----------------+----------------+---------------------------------+
//! |      type      |      code      |            checksum             |
//! +----------------+----------------+---------------------------------+
//! |  by type: identifier and sequence number, next-hop MTU, gateway …  |
//! +-------------------------------------------------------------------+
//! |  data; in an error the header of the datagram that caused it …     |
//! ```
//!
//! - RFC 792: the checksum covers the message from its type on.
//! - RFC 1122, 3.2.2: an error MUST hold the header of the datagram that caused it and at least 8 bytes of its
//!   data; an error MUST NOT be sent because of an error. A message of unknown type MUST be discarded: a type
//!   that [`Kind`] does not know is neither error nor query.

use std::net::Ipv4Addr;

use crate::{
    checksum, ipv4,
    wire::{Malformed, at_least, rest, view, wrapped_fields},
};

/// Bytes before a message's data.
pub const HEADER_LEN: usize = 8;
/// The data of the datagram that caused an error, of which an error holds at least so many bytes.
const QUOTED_DATA: usize = 8;

/// A message's type (IANA, ICMP Type Numbers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Kind(pub u8);

impl Kind {
    /// The answer to an echo request.
    pub const ECHO_REPLY: Self = Self(0);
    /// A datagram could not be delivered.
    pub const DESTINATION_UNREACHABLE: Self = Self(3);
    /// Obsolete (RFC 6633).
    pub const SOURCE_QUENCH: Self = Self(4);
    /// There is a better first hop.
    pub const REDIRECT: Self = Self(5);
    /// A request for an answer.
    pub const ECHO_REQUEST: Self = Self(8);
    /// A router says that it is there (RFC 1256).
    pub const ROUTER_ADVERTISEMENT: Self = Self(9);
    /// Who is a router? (RFC 1256)
    pub const ROUTER_SOLICITATION: Self = Self(10);
    /// A datagram's time to live or time of reassembly ran out.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// A datagram's header was wrong.
    pub const PARAMETER_PROBLEM: Self = Self(12);
    /// What time is it?
    pub const TIMESTAMP_REQUEST: Self = Self(13);
    /// The answer to that.
    pub const TIMESTAMP_REPLY: Self = Self(14);

    /// Whether it is about another datagram that it quotes (RFC 1122, 3.2.2).
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DESTINATION_UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }

    /// Whether it is a question or an answer (RFC 1122, 3.2.2).
    #[inline]
    #[must_use]
    pub const fn is_query(self) -> bool {
        matches!(
            self,
            Self::ECHO_REPLY
                | Self::ECHO_REQUEST
                | Self::ROUTER_ADVERTISEMENT
                | Self::ROUTER_SOLICITATION
                | Self::TIMESTAMP_REQUEST
                | Self::TIMESTAMP_REPLY
        )
    }
}

wrapped_fields!(Kind: u8);

/// Where the fields lie.
pub mod field {
    /// Type, 1 byte.
    pub const KIND: usize = 0;
    /// Code, 1 byte.
    pub const CODE: usize = 1;
    /// Checksum, 2 bytes.
    pub const CHECKSUM: usize = 2;
    /// Identifier, 2 bytes, in echo and timestamp messages.
    pub const IDENTIFIER: usize = 4;
    /// Sequence number in echo and timestamp messages, next-hop MTU in *fragmentation needed*; 2 bytes.
    pub const SEQUENCE: usize = 6;
    /// The better gateway, 4 bytes, in a redirect.
    pub const GATEWAY: usize = 4;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, HEADER_LEN)
}

view! {
    /// An ICMP message.
    Header, checked by check;
    /// What kind it is of.
    kind, set_kind: Kind = field::KIND;
    /// What kind within the kind.
    code, set_code: u8 = field::CODE;
    /// The checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
    /// Whose question it is, in echo and timestamp messages.
    identifier, set_identifier: u16 = field::IDENTIFIER;
    /// Which question it is, in echo and timestamp messages.
    sequence, set_sequence: u16 = field::SEQUENCE;
    /// What the next link carries, in destination unreachable with code 4; 0 from old routers (RFC 1191, 4).
    next_hop_mtu, set_next_hop_mtu: u16 = field::SEQUENCE;
    /// The better gateway, in a redirect.
    gateway, set_gateway: Ipv4Addr = field::GATEWAY;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// What follows the first 8 bytes.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        rest(self.bytes(), HEADER_LEN)
    }

    /// The header, and at least 8 bytes of data, of the datagram that caused an error.
    ///
    /// # Errors
    /// [`Malformed::Kind`] if the message is no error, [`Malformed::Truncated`] if it holds less than it must,
    /// else what is wrong with the header.
    pub fn quoted(&self) -> Result<ipv4::Header<&[u8]>, Malformed> {
        if !self.kind().is_error() {
            return Err(Malformed::Kind);
        }
        let quoted = ipv4::Header::new_checked(self.data())?;
        at_least(quoted.payload(), QUOTED_DATA.min(quoted.payload_len()))?;
        Ok(quoted)
    }

    /// Whether the checksum is right, for bytes that are exactly the message.
    #[inline]
    #[must_use]
    pub fn is_intact(&self) -> bool {
        checksum::sum(self.bytes()) == 0xffff
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Computes the checksum of bytes that are exactly the message.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let sum = checksum::sum(self.bytes());
        self.set_checksum(!sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::Protocol;

    const ECHO: [u8; 12] = [8, 0, 0, 0, 0x12, 0x34, 0, 7, b'p', b'i', b'n', b'g'];

    /// Port unreachable with the header of a UDP datagram and `data` bytes of its 20.
    fn unreachable(data: usize) -> Vec<u8> {
        let mut bytes = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &[0; 20], &[0x11; 20][..data]].concat();
        let repr = ipv4::Repr {
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(192, 0, 2, 2),
            protocol: Protocol::UDP,
            ttl: 1,
            tos: 0,
            dont_fragment: false,
            payload_len: 20,
        };
        repr.emit(&mut ipv4::Header::new_unchecked(&mut bytes[8..]));
        bytes
    }

    #[test]
    fn an_echo_is_read_and_written() {
        let mut header = Header::new_checked(ECHO).unwrap();
        assert_eq!((header.kind(), header.code()), (Kind::ECHO_REQUEST, 0));
        assert_eq!((header.identifier(), header.sequence()), (0x1234, 7));
        assert_eq!(header.data(), b"ping");
        header.set_kind(Kind::ECHO_REPLY);
        header.set_identifier(1);
        assert_eq!(header.into_inner()[..8], [0, 0, 0, 0, 0, 1, 0, 7]);
        for len in 0..HEADER_LEN {
            assert_eq!(Header::new_checked(&ECHO[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn rfc792_the_checksum_covers_the_message() {
        let mut header = Header::new_unchecked(ECHO);
        assert!(!header.is_intact());
        header.fill_checksum();
        assert!(header.is_intact());
        header.set_sequence(8);
        assert!(!header.is_intact());
    }

    #[test]
    fn rfc1122_section_3_2_2_an_error_holds_what_caused_it() {
        let bytes = unreachable(8);
        let header = Header::new_checked(&bytes).unwrap();
        let quoted = header.quoted().unwrap();
        assert_eq!(quoted.destination(), Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(quoted.payload(), [0x11; 8]);
        let short = |data| Header::new_unchecked(unreachable(data)).quoted().map(|_| ());
        assert_eq!(short(7), Err(Malformed::Truncated));
        assert_eq!(short(20), Ok(()));
        assert_eq!(Header::new_unchecked(ECHO).quoted(), Err(Malformed::Kind));
    }

    #[test]
    fn rfc1122_section_3_2_2_errors_and_queries_are_told_apart_and_unknown_types_are_neither() {
        let errors: Vec<u8> = (0..=255).filter(|kind| Kind(*kind).is_error()).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
        let queries: Vec<u8> = (0..=255).filter(|kind| Kind(*kind).is_query()).collect();
        assert_eq!(queries, [0, 8, 9, 10, 13, 14]);
    }
}
