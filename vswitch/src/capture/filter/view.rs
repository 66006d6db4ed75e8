//! A frame as a filter sees it: what its private first bytes say, each time asked anew.

use strowger_packet::MacAddress;

use super::{Carriers, Transports};

/// Ethernet types of a VLAN tag: IEEE 802.1Q, 9.6, and the one that came before it.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const RARP: u16 = 0x8035;
pub(super) const IPV6: u16 = 0x86dd;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const SCTP: u8 = 132;
/// The header of a fragment (RFC 8200, 4.5), whose first byte says what follows.
const FRAGMENT: u8 = 44;
const IPV6_HEADER: usize = 40;

/// A frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    head: &'a [u8],
    len: usize,
    /// Where its type lies, behind all tags.
    ether_type: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(head: &'a [u8], len: usize) -> Self {
        let mut view = View { head, len, ether_type: 12 };
        while view.ether_type().is_some_and(|tpid| TAGS.contains(&tpid)) {
            view.ether_type += 4;
        }
        view
    }

    fn get<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.head.get(at..)?.first_chunk().copied()
    }

    fn number(&self, at: usize) -> Option<u16> {
        self.get(at).map(u16::from_be_bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn ether_type(&self) -> Option<u16> {
        self.number(self.ether_type)
    }

    /// Source and destination.
    pub(super) fn stations(&self) -> Option<(MacAddress, MacAddress)> {
        Some((MacAddress(self.get(6)?), MacAddress(self.get(0)?)))
    }

    /// Whether it has a tag, of this VLAN if one is asked for.
    pub(super) fn is_in_vlan(&self, vid: Option<u16>) -> bool {
        (12..self.ether_type).step_by(4).any(|tag| {
            let its = self.number(tag + 2).map(|tci| tci & 0xfff);
            its.is_some() && (vid.is_none() || vid == its)
        })
    }

    /// Where the header of this Ethernet type begins.
    fn l3(&self, ether_type: u16) -> Option<usize> {
        (self.ether_type()? == ether_type).then_some(self.ether_type + 2)
    }

    pub(super) fn protocol4(&self) -> Option<u8> {
        self.get::<1>(self.l3(IPV4)? + 9).map(|[protocol]| protocol)
    }

    /// Whether this is the next header, or that of what was cut into fragments.
    pub(super) fn is_protocol6(&self, number: u8) -> bool {
        let Some(l3) = self.l3(IPV6) else { return false };
        match self.get(l3 + 6) {
            Some([next]) if next == number => true,
            Some([FRAGMENT]) => self.get(l3 + IPV6_HEADER) == Some([number]),
            _ => false,
        }
    }

    /// IPv4 addresses, source and destination, of IP or of what asks for them.
    pub(super) fn addresses4(&self, carriers: Carriers) -> Option<(u32, u32)> {
        let (source, destination) = match self.ether_type()? {
            IPV4 if carriers.ip => (12, 16),
            // Ethernet addresses and IPv4 addresses are the only ones in use (RFC 826).
            ARP if carriers.arp => (14, 24),
            RARP if carriers.rarp => (14, 24),
            _ => return None,
        };
        let l3 = self.ether_type + 2;
        let address = |at| self.get(l3 + at).map(u32::from_be_bytes);
        Some((address(source)?, address(destination)?))
    }

    /// IPv6 addresses, source and destination.
    pub(super) fn addresses6(&self) -> Option<(u128, u128)> {
        let l3 = self.l3(IPV6)?;
        let address = |at| self.get(l3 + at).map(u128::from_be_bytes);
        Some((address(8)?, address(24)?))
    }

    /// Ports, source and destination. Not of a fragment, but for the first over IPv4.
    pub(super) fn ports(&self, transports: Transports) -> Option<(u16, u16)> {
        let (protocol, l4) = match self.l3(IPV4) {
            Some(l3) => {
                let [version, ..] = self.get::<1>(l3)?;
                if self.number(l3 + 6)? & 0x1fff != 0 {
                    return None;
                }
                (self.protocol4()?, l3 + usize::from(version & 0xf) * 4)
            }
            None => {
                let l3 = self.l3(IPV6)?;
                let [next] = self.get(l3 + 6)?;
                (next, l3 + IPV6_HEADER)
            }
        };
        let has_ports = match protocol {
            TCP => transports.tcp,
            UDP => transports.udp,
            SCTP => transports.sctp,
            _ => false,
        };
        has_ports.then_some(())?;
        Some((self.number(l4)?, self.number(l4 + 2)?))
    }
}
