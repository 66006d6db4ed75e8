//! ARP for IPv4 over Ethernet (RFC 826), and RARP, which has the same form (RFC 903).
//!
//! ```text
//!  0        2        4    5    6         8              14         18             24         28
//! +--------+--------+----+----+---------+--------------+----------+--------------+----------+
//! | hw = 1 | 0x0800 | 6  | 4  |operation| sender MAC   | sender IP| target MAC   | target IP|
//! +--------+--------+----+----+---------+--------------+----------+--------------+----------+
//! ```
//!
//! - RFC 826, "Packet Reception": the kinds of addresses are looked at before anything else; packets of other
//!   kinds are [`Malformed::Kind`].
//! - RFC 5227, 1.1 and 2.1.1: a probe is a request whose sender IP MUST be zero.
//! - RFC 5227, 2.3: an announcement is a request whose sender and target IP are both the sender's own.

use std::net::Ipv4Addr;

use crate::{
    MacAddress,
    ethernet::EtherType,
    wire::{Field, Malformed, array, at_least, view, wrapped_fields},
};

/// Bytes of a packet.
pub const PACKET_LEN: usize = 28;
/// Ethernet and IPv4: hardware type, protocol type, both address lengths.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const _: () = assert!(EtherType::IPV4.0 == 0x0800);

/// What a packet asks or says (IANA, ARP Operation Codes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Operation(pub u16);

impl Operation {
    /// Who has the target IP?
    pub const REQUEST: Self = Self(1);
    /// The sender has the sender IP.
    pub const REPLY: Self = Self(2);
    /// Which IP has the target MAC? (RARP)
    pub const REVERSE_REQUEST: Self = Self(3);
    /// The target has the target IP. (RARP)
    pub const REVERSE_REPLY: Self = Self(4);
}

wrapped_fields!(Operation: u16);

/// Where the fields lie.
pub mod field {
    /// Kinds and lengths of addresses, 6 bytes.
    pub const KINDS: usize = 0;
    /// Operation, 2 bytes.
    pub const OPERATION: usize = 6;
    /// Sender's MAC address, 6 bytes.
    pub const SENDER_MAC: usize = 8;
    /// Sender's IP address, 4 bytes.
    pub const SENDER_IP: usize = 14;
    /// Target's MAC address, 6 bytes.
    pub const TARGET_MAC: usize = 18;
    /// Target's IP address, 4 bytes.
    pub const TARGET_IP: usize = 24;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, PACKET_LEN)?;
    if array::<6>(bytes, field::KINDS) != ETHERNET_IPV4 {
        return Err(Malformed::Kind);
    }
    Ok(())
}

view! {
    /// An ARP packet for IPv4 over Ethernet.
    Packet, checked by check;
    /// What it asks or says.
    operation, set_operation: Operation = field::OPERATION;
    /// The sender's MAC address.
    sender_mac, set_sender_mac: MacAddress = field::SENDER_MAC;
    /// The sender's IP address.
    sender_ip, set_sender_ip: Ipv4Addr = field::SENDER_IP;
    /// The target's MAC address; in a request without meaning.
    target_mac, set_target_mac: MacAddress = field::TARGET_MAC;
    /// The target's IP address.
    target_ip, set_target_ip: Ipv4Addr = field::TARGET_IP;
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Says that the addresses are of Ethernet and IPv4.
    #[inline]
    pub fn set_kinds(&mut self) {
        ETHERNET_IPV4.write(self.bytes_mut(), field::KINDS);
    }
}

/// An ARP packet, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What it asks or says.
    pub operation: Operation,
    /// The sender's MAC address.
    pub sender_mac: MacAddress,
    /// The sender's IP address.
    pub sender_ip: Ipv4Addr,
    /// The target's MAC address.
    pub target_mac: MacAddress,
    /// The target's IP address.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// What a view shows.
    #[must_use]
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self {
            operation: packet.operation(),
            sender_mac: packet.sender_mac(),
            sender_ip: packet.sender_ip(),
            target_mac: packet.target_mac(),
            target_ip: packet.target_ip(),
        }
    }

    /// Writes the packet into a view of at least [`PACKET_LEN`] bytes.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_kinds();
        packet.set_operation(self.operation);
        packet.set_sender_mac(self.sender_mac);
        packet.set_sender_ip(self.sender_ip);
        packet.set_target_mac(self.target_mac);
        packet.set_target_ip(self.target_ip);
    }

    /// Whether the sender asks if an address is free (RFC 5227, 1.1).
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::REQUEST && self.sender_ip.is_unspecified()
    }

    /// Whether the sender says that it has an address (RFC 5227, 2.3).
    #[must_use]
    pub fn is_announcement(&self) -> bool {
        self.operation == Operation::REQUEST && !self.is_probe() && self.sender_ip == self.target_ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: [u8; 28] =
        [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2];

    #[test]
    fn a_packet_is_read_and_written() {
        let packet = Packet::new_checked(REQUEST).unwrap();
        let repr = Repr::parse(&packet);
        assert_eq!(repr.operation, Operation::REQUEST);
        assert_eq!(repr.sender_mac, MacAddress([2, 0, 0, 0, 0, 1]));
        assert_eq!(repr.sender_ip, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(
            (repr.target_mac, repr.target_ip),
            (MacAddress::ZERO, Ipv4Addr::new(192, 0, 2, 2))
        );
        let mut written = Packet::new_unchecked([0xff; 28]);
        repr.emit(&mut written);
        assert_eq!(written.into_inner(), REQUEST);
    }

    #[test]
    fn rfc826_packet_reception_other_kinds_of_addresses_are_refused() {
        for at in 0..6 {
            let mut bytes = REQUEST;
            bytes[at] ^= 1;
            assert_eq!(Packet::new_checked(bytes), Err(Malformed::Kind));
        }
        for len in 0..PACKET_LEN {
            assert_eq!(Packet::new_checked(&REQUEST[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn rfc5227_section_2_1_1_a_probe_has_no_sender_ip() {
        let repr = Repr::parse(&Packet::new_unchecked(REQUEST));
        assert!(!repr.is_probe());
        let probe = Repr { sender_ip: Ipv4Addr::UNSPECIFIED, ..repr };
        assert!(probe.is_probe() && !probe.is_announcement());
        assert!(!Repr { operation: Operation::REPLY, ..probe }.is_probe());
    }

    #[test]
    fn rfc5227_section_2_3_an_announcement_names_its_sender_twice() {
        let repr = Repr::parse(&Packet::new_unchecked(REQUEST));
        assert!(!repr.is_announcement());
        assert!(Repr { target_ip: repr.sender_ip, ..repr }.is_announcement());
        let zero = Ipv4Addr::UNSPECIFIED;
        assert!(!Repr { sender_ip: zero, target_ip: zero, ..repr }.is_announcement());
    }
}
