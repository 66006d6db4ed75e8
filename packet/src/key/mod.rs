//! What the switch matches on: the fields of a frame, in 128 bytes that compare and hash as 16 words.
//!
//! [`extract`] reads a frame's head once and writes a [`FlowKey`]; a [`Mask`] of the same layout says which
//! bits of it matter; [`FlowKey::hash`] is keyed, so that a guest cannot aim at one bucket. Fields that few
//! frames have (registers, tunnel options, a connection's original tuple) are in the [`ColdKey`], which
//! exists only where one of them is in use: a batch of keys stays small, and nothing here allocates.
//!
//! Fields share bits where a frame can only have one of them, and a match on such a field must also match
//! on what says which one it is: `arp_op` lies over `l4_src`, ICMP type and code over the ports, ARP's
//! protocol addresses over `ip_src` and `ip_dst`, its hardware addresses over `nd_target`.
//!
//! May call nothing but the frame and the bytes of its head. Knows no rules and no ports' settings.

mod bits;
mod cold;
mod extract;
mod fields;
mod hash;
mod mask;

pub use cold::{ColdKey, ConnectionTuple, TunnelKey};
pub use extract::{extract, extract_into};
pub use mask::Mask;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ethernet::EtherType;
use crate::vlan::Tci;

/// 64-bit words in a key.
pub const WORDS: usize = 16;

/// `eth_type` of a frame with a length instead of a type and no SNAP header
/// (OpenFlow 1.3.5, 7.2.3.8: `OFP_DL_TYPE_NOT_ETH_TYPE`).
pub const NOT_ETH_TYPE: EtherType = EtherType(0x05ff);

/// The fields of a frame that the switch matches on. Plain words without padding: it compares, masks and
/// hashes as [`words`](Self::words). Integers are in host order; what a frame does not have is 0.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowKey {
    words: [u64; WORDS],
}

/// Whether a frame is a piece of a larger IP packet. Bit 0: any piece; bit 1: one without the layer 4 header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Fragment {
    /// A whole packet.
    #[default]
    None = 0,
    /// The first piece, with the layer 4 header.
    First = 1,
    /// A later piece, without ports.
    Later = 3,
}

/// The kind of a VLAN tag, by its tag protocol identifier. 0 where there is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TagKind {
    /// No tag.
    #[default]
    None = 0,
    /// A customer tag, TPID 0x8100 (IEEE 802.1Q, 9.5).
    Customer = 1,
    /// A service tag, TPID 0x88a8 (IEEE 802.1Q, 9.5; once 802.1ad).
    Service = 2,
}

impl TagKind {
    /// The kind of a tag that this type announces.
    #[inline]
    #[must_use]
    pub const fn of(ethertype: EtherType) -> Self {
        match ethertype {
            EtherType::VLAN => Self::Customer,
            EtherType::SERVICE_VLAN => Self::Service,
            _ => Self::None,
        }
    }

    /// The type that announces a tag of this kind.
    #[inline]
    #[must_use]
    pub const fn ethertype(self) -> Option<EtherType> {
        match self {
            Self::None => None,
            Self::Customer => Some(EtherType::VLAN),
            Self::Service => Some(EtherType::SERVICE_VLAN),
        }
    }
}

/// The innermost layer whose header was whole and well-formed. A frame that ends earlier, or whose next
/// header is broken, has 0 in the fields beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reached {
    /// Ethernet, with its tags and labels.
    #[default]
    Link = 0,
    /// IPv4, IPv6 or ARP.
    Network = 1,
    /// TCP, UDP, SCTP, ICMP or ICMPv6.
    Transport = 2,
}

impl FlowKey {
    /// All of it, as words without padding.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// A key of these words.
    #[inline]
    #[must_use]
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        Self { words }
    }

    /// The low 32 bits of [`ip_src`](Self::ip_src) as an address.
    #[inline]
    #[must_use]
    pub fn ipv4_src(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.ip_src() as u32)
    }

    /// The low 32 bits of [`ip_dst`](Self::ip_dst) as an address.
    #[inline]
    #[must_use]
    pub fn ipv4_dst(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.ip_dst() as u32)
    }

    /// [`ip_src`](Self::ip_src) as an address.
    #[inline]
    #[must_use]
    pub fn ipv6_src(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.ip_src())
    }

    /// [`ip_dst`](Self::ip_dst) as an address.
    #[inline]
    #[must_use]
    pub fn ipv6_dst(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.ip_dst())
    }

    /// The outer VLAN tag's control information; `None` if there is no such tag.
    #[inline]
    #[must_use]
    pub fn outer_tag(&self) -> Option<Tci> {
        (self.outer_kind() != TagKind::None).then(|| self.outer_tci())
    }

    /// The inner VLAN tag's control information; `None` if there is no such tag.
    #[inline]
    #[must_use]
    pub fn inner_tag(&self) -> Option<Tci> {
        (self.inner_kind() != TagKind::None).then(|| self.inner_tci())
    }

    /// The key with only the bits of `mask`.
    #[inline]
    #[must_use]
    pub fn masked(&self, mask: &Mask) -> Self {
        let mut words = self.words;
        for (word, mask) in words.iter_mut().zip(mask.words()) {
            *word &= mask;
        }
        Self { words }
    }

    /// Whether this key under `mask` is `masked`, which has no other bits.
    #[inline]
    #[must_use]
    pub fn matches(&self, masked: &Self, mask: &Mask) -> bool {
        let differing = self.words.iter().zip(&masked.words).zip(mask.words());
        differing.fold(0, |all, ((word, masked), mask)| all | word & mask ^ masked) == 0
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
