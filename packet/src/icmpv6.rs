//! ICMPv6 (RFC 4443).
//!
//! ```text
//!  0                1                2                                 4
//! +----------------+----------------+---------------------------------+
//! |      type      |      code      |            checksum             |
//! +----------------+----------------+---------------------------------+
//! |  body; in an error 4 bytes and the packet that caused it …         |
//! ```
//!
//! - RFC 4443, 2.1: types with the highest bit clear are errors, all others information.
//! - RFC 4443, 2.3: the checksum covers pseudo-header and message.
//! - RFC 4443, 2.4 (c): an error holds as much of the packet that caused it as fits. (d): what that packet was is
//!   read from it. (e.1): an error MUST NOT be sent because of an error.

use crate::{
    checksum::Sum,
    ipv6,
    wire::{Malformed, at_least, rest, view, wrapped_fields},
};

/// Bytes before a message's body.
pub const HEADER_LEN: usize = 4;

/// A message's type (IANA, ICMPv6 "type" Numbers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Kind(pub u8);

impl Kind {
    /// A packet could not be delivered.
    pub const DESTINATION_UNREACHABLE: Self = Self(1);
    /// A packet is larger than the next link carries.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// A packet's hop limit or time of reassembly ran out.
    pub const TIME_EXCEEDED: Self = Self(3);
    /// A packet's header was wrong.
    pub const PARAMETER_PROBLEM: Self = Self(4);
    /// A request for an answer.
    pub const ECHO_REQUEST: Self = Self(128);
    /// The answer.
    pub const ECHO_REPLY: Self = Self(129);
    /// Who listens to which groups? (RFC 3810)
    pub const LISTENER_QUERY: Self = Self(130);
    /// Router solicitation (RFC 4861, 4.1).
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// Router advertisement (RFC 4861, 4.2).
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// Neighbour solicitation (RFC 4861, 4.3).
    pub const NEIGHBOUR_SOLICITATION: Self = Self(135);
    /// Neighbour advertisement (RFC 4861, 4.4).
    pub const NEIGHBOUR_ADVERTISEMENT: Self = Self(136);
    /// Redirect (RFC 4861, 4.5).
    pub const REDIRECT: Self = Self(137);
    /// Who listens to these groups (RFC 3810).
    pub const LISTENER_REPORT_V2: Self = Self(143);

    /// Whether it is about another packet that it quotes.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & 0x80 == 0
    }

    /// Whether it is of neighbour discovery, for [`crate::nd`].
    #[inline]
    #[must_use]
    pub const fn is_neighbour_discovery(self) -> bool {
        matches!(self.0, 133..=137)
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
    /// Identifier of an echo, 2 bytes.
    pub const IDENTIFIER: usize = 4;
    /// Sequence number of an echo, 2 bytes.
    pub const SEQUENCE: usize = 6;
    /// MTU, 4 bytes, in packet too big; pointer in parameter problem.
    pub const MTU: usize = 4;
    /// In an error, the packet that caused it.
    pub const QUOTED: usize = 8;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, HEADER_LEN)
}

view! {
    /// An ICMPv6 message.
    Header, checked by check;
    /// What kind it is of.
    kind, set_kind: Kind = field::KIND;
    /// What kind within the kind.
    code, set_code: u8 = field::CODE;
    /// The checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
    /// Whose question it is, in an echo.
    identifier, set_identifier: u16 = field::IDENTIFIER;
    /// Which question it is, in an echo.
    sequence, set_sequence: u16 = field::SEQUENCE;
    /// What the next link carries, in packet too big (RFC 4443, 3.2).
    mtu, set_mtu: u32 = field::MTU;
    /// Which byte of the packet was wrong, in parameter problem (RFC 4443, 3.4).
    pointer, set_pointer: u32 = field::MTU;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// What follows type, code and checksum.
    #[inline]
    #[must_use]
    pub fn body(&self) -> &[u8] {
        rest(self.bytes(), HEADER_LEN)
    }

    /// The packet that caused an error, as far as it was quoted.
    ///
    /// # Errors
    /// [`Malformed::Kind`] if the message is no error, else what is wrong with the packet's header.
    pub fn quoted(&self) -> Result<ipv6::Header<&[u8]>, Malformed> {
        if !self.kind().is_error() {
            return Err(Malformed::Kind);
        }
        ipv6::Header::new_checked(rest(self.bytes(), field::QUOTED))
    }

    /// Whether the checksum is right, for bytes that are exactly the message.
    #[inline]
    #[must_use]
    pub fn is_intact(&self, pseudo_header: Sum) -> bool {
        pseudo_header.over(self.bytes()).is_intact()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Computes the checksum of bytes that are exactly the message.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo_header: Sum) {
        self.set_checksum(0);
        self.set_checksum(pseudo_header.over(self.bytes()).finish());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checksum, ip::Protocol};
    use std::net::Ipv6Addr;

    const TOO_BIG: [u8; 52] = {
        let mut bytes = [0; 52];
        bytes[0] = 2;
        bytes[7] = 0x80;
        bytes[6] = 0x05;
        bytes[8] = 0x60; // an IPv6 header with next header UDP
        bytes[13] = 200;
        bytes[14] = 17;
        bytes
    };

    #[test]
    fn a_message_is_read_and_written() {
        let mut header = Header::new_checked([129, 0, 0, 0, 1, 2, 3, 4, b'x']).unwrap();
        assert_eq!((header.kind(), header.code()), (Kind::ECHO_REPLY, 0));
        assert_eq!((header.identifier(), header.sequence()), (0x0102, 0x0304));
        assert_eq!(header.body(), [1, 2, 3, 4, b'x']);
        header.set_kind(Kind::ECHO_REQUEST);
        header.set_sequence(5);
        assert_eq!(header.into_inner(), [128, 0, 0, 0, 1, 2, 0, 5, b'x']);
        for len in 0..HEADER_LEN {
            assert_eq!(Header::new_checked(&TOO_BIG[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn rfc4443_section_2_1_the_highest_bit_tells_errors_from_information() {
        assert!((0..128).all(|kind| Kind(kind).is_error()));
        assert!((128..=255).all(|kind| !Kind(kind).is_error()));
        let nd: Vec<u8> = (0..=255).filter(|kind| Kind(*kind).is_neighbour_discovery()).collect();
        assert_eq!(nd, [133, 134, 135, 136, 137]);
    }

    #[test]
    fn rfc4443_section_2_3_the_checksum_covers_the_pseudo_header() {
        let one =
            checksum::pseudo_v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, Protocol::ICMPV6, 52);
        let mut header = Header::new_unchecked(TOO_BIG);
        header.fill_checksum(one);
        assert!(header.is_intact(one));
        assert!(!header.is_intact(Sum::new()));
        header.set_mtu(9);
        assert!(!header.is_intact(one));
    }

    #[test]
    fn rfc4443_section_2_4_an_error_quotes_what_caused_it() {
        let header = Header::new_checked(TOO_BIG).unwrap();
        assert_eq!(header.mtu(), 1408);
        let quoted = header.quoted().unwrap();
        assert_eq!((quoted.next_header(), quoted.payload().len()), (Protocol::UDP, 4));
        assert_eq!(Header::new_unchecked(&TOO_BIG[..40]).quoted(), Err(Malformed::Truncated));
        assert_eq!(Header::new_unchecked([128; 60]).quoted(), Err(Malformed::Kind));
    }
}
