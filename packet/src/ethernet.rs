//! Ethernet (IEEE 802.3) and MAC addresses (IEEE 802).
//!
//! ```text
//!  0                   6                   12        14
//! +-------------------+-------------------+---------+----------
//! |    destination    |      source       |  type   | payload …
//! +-------------------+-------------------+---------+----------
//! ```
//!
//! - 802.3, 3.2.6: a type/length of at most 1500 is the length of an LLC frame, one of at least 1536 is the
//!   protocol's type. RFC 1042: an LLC frame with SNAP and OUI 0 carries a type behind it.
//! - 802, 8.4: the lowest bit of the first octet makes a group address; the next one a locally administered.
//! - 802.1Q, 8.6.3 (table 8-1): frames to 01-80-C2-00-00-00 to 0F MUST NOT be forwarded by a bridge.

use std::{fmt, str::FromStr};

use crate::wire::{Malformed, array, at_least, rest, view, wrapped_fields};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 14;
/// The least type that is a type and not a length.
const MIN_TYPE: u16 = 0x600;
/// LLC with SNAP and OUI 0: DSAP, SSAP, control, organisation (RFC 1042).
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

/// A MAC address (EUI-48), its octets in the order of transmission.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No station.
    pub const ZERO: Self = Self([0; 6]);

    /// The octets in the order of transmission.
    #[inline]
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The address as a number, the first octet highest.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// Whether it addresses a group, all stations included.
    #[inline]
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether it addresses all stations.
    #[inline]
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        self.to_bits() == Self::BROADCAST.to_bits()
    }

    /// Whether one station may have it: neither a group nor zero.
    #[inline]
    #[must_use]
    pub const fn is_station(self) -> bool {
        !self.is_group() && self.to_bits() != 0
    }

    /// Whether it was given by hand or software rather than by its maker.
    #[inline]
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }

    /// Whether it is reserved for the link itself, so that no bridge forwards it (802.1Q, 8.6.3).
    #[inline]
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.to_bits() & !0xf == 0x0180_c200_0000
    }
}

impl From<[u8; 6]> for MacAddress {
    #[inline]
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six octets of two hexadecimal digits, with colons or hyphens between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMacAddress;

impl fmt::Display for NotAMacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a MAC address is six octets of two hexadecimal digits, such as 02:00:00:00:00:01",
        )
    }
}

impl std::error::Error for NotAMacAddress {}

impl FromStr for MacAddress {
    type Err = NotAMacAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(NotAMacAddress)?;
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(NotAMacAddress);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAMacAddress)?;
        }
        if parts.next().is_some() { Err(NotAMacAddress) } else { Ok(Self(octets)) }
    }
}

/// What follows an Ethernet header or a tag (IANA, IEEE 802 numbers).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// Reverse ARP (RFC 903).
    pub const RARP: Self = Self(0x8035);
    /// A customer VLAN tag (802.1Q C-tag).
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// MPLS (RFC 3032).
    pub const MPLS: Self = Self(0x8847);
    /// MPLS with an upstream-assigned label (RFC 5332).
    pub const MPLS_UPSTREAM: Self = Self(0x8848);
    /// A service VLAN tag (802.1ad S-tag).
    pub const SERVICE_VLAN: Self = Self(0x88a8);
    /// Link layer discovery (802.1AB).
    pub const LLDP: Self = Self(0x88cc);

    /// Whether a VLAN tag follows.
    #[inline]
    #[must_use]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN)
    }

    /// Whether an MPLS label stack follows.
    #[inline]
    #[must_use]
    pub const fn is_mpls(self) -> bool {
        matches!(self, Self::MPLS | Self::MPLS_UPSTREAM)
    }

    /// Whether it is no type but the length of an LLC frame (802.3, 3.2.6).
    #[inline]
    #[must_use]
    pub const fn is_length(self) -> bool {
        self.0 < MIN_TYPE
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

wrapped_fields!(MacAddress: [u8; 6], EtherType: u16);

/// Where the fields lie, for those that read a frame without a view.
pub mod field {
    /// Destination address, 6 bytes.
    pub const DESTINATION: usize = 0;
    /// Source address, 6 bytes.
    pub const SOURCE: usize = 6;
    /// Type or length, 2 bytes.
    pub const ETHERTYPE: usize = 12;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, HEADER_LEN)
}

view! {
    /// An Ethernet header and what follows it.
    Header, checked by check;
    /// Whom the frame is for.
    destination, set_destination: MacAddress = field::DESTINATION;
    /// Who sent it.
    source, set_source: MacAddress = field::SOURCE;
    /// What follows: a type, or the length of an LLC frame.
    ethertype, set_ethertype: EtherType = field::ETHERTYPE;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// The bytes behind the header, padding included.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        rest(self.bytes(), HEADER_LEN)
    }
}

/// The type and payload in an LLC frame with SNAP and OUI 0 (RFC 1042). `None` for any other LLC frame.
#[inline]
#[must_use]
pub fn snap(llc: &[u8]) -> Option<(EtherType, &[u8])> {
    let payload = llc.get(8..)?;
    if array::<6>(llc, 0) != SNAP {
        return None;
    }
    let ethertype = EtherType(u16::from_be_bytes(array(llc, SNAP.len())));
    (!ethertype.is_length()).then_some((ethertype, payload))
}

/// An Ethernet header, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Whom the frame is for.
    pub destination: MacAddress,
    /// Who sent it.
    pub source: MacAddress,
    /// What follows.
    pub ethertype: EtherType,
}

impl Repr {
    /// What a view shows.
    #[inline]
    #[must_use]
    pub fn parse<T: AsRef<[u8]>>(header: &Header<T>) -> Self {
        Self {
            destination: header.destination(),
            source: header.source(),
            ethertype: header.ethertype(),
        }
    }

    /// Writes the header into a view of at least [`HEADER_LEN`] bytes.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, header: &mut Header<T>) {
        header.set_destination(self.destination);
        header.set_source(self.source);
        header.set_ethertype(self.ethertype);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 16] = [1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x06, 0xaa, 0xbb];

    #[test]
    fn a_header_is_read_and_written() {
        let header = Header::new_checked(FRAME).unwrap();
        let repr = Repr::parse(&header);
        assert_eq!(repr.destination.to_string(), "01:00:5e:00:00:01");
        assert_eq!(repr.source, "02-00-00-00-00-09".parse().unwrap());
        assert_eq!(repr.ethertype, EtherType::ARP);
        assert_eq!(header.payload(), [0xaa, 0xbb]);
        let mut written = Header::new_unchecked([0; 16]);
        repr.emit(&mut written);
        assert_eq!(written.into_inner()[..HEADER_LEN], FRAME[..HEADER_LEN]);
    }

    #[test]
    fn a_header_needs_all_its_bytes() {
        for len in 0..HEADER_LEN {
            assert_eq!(Header::new_checked(&FRAME[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn ieee_802_section_8_4_group_and_local_bits() {
        let group: MacAddress = "01:00:5e:00:00:01".parse().unwrap();
        let local: MacAddress = "02:00:00:00:00:01".parse().unwrap();
        assert!(group.is_group() && !group.is_local() && !group.is_station());
        assert!(!local.is_group() && local.is_local() && local.is_station());
        assert!(MacAddress::BROADCAST.is_broadcast() && MacAddress::BROADCAST.is_group());
        assert!(!MacAddress::ZERO.is_station());
    }

    #[test]
    fn ieee_802_1q_section_8_6_3_reserved_addresses() {
        let reserved = |last| MacAddress([0x01, 0x80, 0xc2, 0, 0, last]).is_reserved();
        assert!((0..=0x0f).all(reserved));
        assert!(!reserved(0x10));
        assert!(!MacAddress([0x01, 0x80, 0xc2, 0, 1, 0]).is_reserved());
    }

    #[test]
    fn ieee_802_3_section_3_2_6_length_or_type() {
        assert!(EtherType(1500).is_length());
        assert!(!EtherType(1536).is_length());
        assert!(!EtherType::IPV4.is_length());
    }

    #[test]
    fn rfc1042_snap_with_oui_0_carries_a_type() {
        let mut llc = [0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd, 0x60];
        assert_eq!(snap(&llc), Some((EtherType::IPV6, &[0x60][..])));
        llc[5] = 1;
        assert_eq!(snap(&llc), None);
        assert_eq!(snap(&[0xaa, 0xaa, 3, 0, 0, 0, 8]), None);
        assert_eq!(snap(&[0xaa, 0xaa, 3, 0, 0, 0, 0, 40]), None);
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        for text in
            ["", "1:2:3:4:5:6", "02:00:00:00:00", "02:00:00:00:00:00:00", "+2:00:00:00:00:00"]
        {
            assert_eq!(text.parse::<MacAddress>(), Err(NotAMacAddress), "{text}");
        }
    }
}
