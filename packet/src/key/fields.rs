//! Where each field of a key lies, declared once for the getter, the setter, the mask and the debug output.

use std::fmt;

use super::bits::Bits;
use super::{FlowKey, Fragment, Mask, Reached, TagKind};
use crate::PortId;
use crate::arp::Operation;
use crate::ethernet::{EtherType, MacAddress};
use crate::ip::Protocol;
use crate::tcp::Flags;
use crate::vlan::Tci;

/// Declares each field once: getter and setter of the key, constant of the mask, line of the debug output.
macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $get:ident $set:ident $mask:ident: $type:ty = [$word:literal] $width:literal << $shift:literal;)+) => {
        impl FlowKey {
            $(
                $(#[doc = $doc])+
                #[inline]
                #[must_use]
                pub fn $get(&self) -> $type {
                    Bits::from_bits(self.words[$word] >> $shift & (u64::MAX >> (64 - $width)))
                }

                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                #[inline]
                pub fn $set(&mut self, value: $type) {
                    let field = (u64::MAX >> (64 - $width)) << $shift;
                    self.words[$word] = self.words[$word] & !field | Bits::to_bits(value) << $shift & field;
                }
            )+
        }

        impl Mask {
            $(
                #[doc = concat!("All bits of [`FlowKey::", stringify!($get), "`].")]
                pub const $mask: Self = Self::bits($word, (u64::MAX >> (64 - $width)) << $shift);
            )+
        }

        /// Name and bits of each field that lies in one word.
        pub(super) const FIELDS: &[(&str, usize, u64, u32)] = &[
            $((stringify!($get), $word, u64::MAX >> (64 - $width), $shift)),+
        ];
    };
}

// Kept together: what one rule of a kind looks at (Ethernet in words 4 to 6, IP in 7 to 12). The low bits
// of word 11 and of word 15 are free.
fields! {
    /// The port that the frame came in by.
    in_port set_in_port IN_PORT: PortId = [0] 32 << 32;
    /// Which frozen context the frame goes on with; 0 for a frame that just came in.
    recirculation set_recirculation RECIRCULATION: u32 = [0] 32 << 0;
    /// The connection's state as bits; 0 before connection tracking.
    ct_state set_ct_state CT_STATE: u16 = [1] 16 << 48;
    /// The connection tracking zone.
    ct_zone set_ct_zone CT_ZONE: u16 = [1] 16 << 32;
    /// The connection's mark.
    ct_mark set_ct_mark CT_MARK: u32 = [1] 32 << 0;
    /// OpenFlow's metadata, passed between tables.
    metadata set_metadata METADATA: u64 = [2] 64 << 0;
    /// The tunnel's network identifier (VNI).
    tunnel_id set_tunnel_id TUNNEL_ID: u32 = [3] 32 << 32;
    /// The remote end of the tunnel that the frame came through, as its number in the peer table; 0 for none.
    tunnel_peer set_tunnel_peer TUNNEL_PEER: u32 = [3] 32 << 0;
    /// The Ethernet destination.
    eth_dst set_eth_dst ETH_DST: MacAddress = [4] 48 << 16;
    /// The type behind all VLAN tags that were parsed (at most two); [`NOT_ETH_TYPE`](super::NOT_ETH_TYPE) for an LLC frame.
    eth_type set_eth_type ETH_TYPE: EtherType = [4] 16 << 0;
    /// The Ethernet source.
    eth_src set_eth_src ETH_SRC: MacAddress = [5] 48 << 16;
    /// The kind of the outer VLAN tag, and with it whether there is one.
    outer_kind set_outer_kind OUTER_KIND: TagKind = [5] 8 << 8;
    /// The kind of the inner VLAN tag, and with it whether there is one.
    inner_kind set_inner_kind INNER_KIND: TagKind = [5] 8 << 0;
    /// The outer tag's control information: priority in 3 bits, drop eligible in 1, VLAN in 12.
    outer_tci set_outer_tci OUTER_TCI: Tci = [6] 16 << 48;
    /// The inner tag's control information.
    inner_tci set_inner_tci INNER_TCI: Tci = [6] 16 << 32;
    /// The top MPLS label stack entry: label in 20 bits, traffic class in 3, bottom of stack in 1, TTL in 8.
    mpls set_mpls MPLS: u32 = [6] 32 << 0;
    /// The protocol that the IP packet carries (behind all extension headers).
    ip_proto set_ip_proto IP_PROTO: Protocol = [11] 8 << 56;
    /// IPv4's type of service, IPv6's traffic class: DSCP in 6 bits, ECN in 2.
    ip_tos set_ip_tos IP_TOS: u8 = [11] 8 << 48;
    /// IPv4's time to live, IPv6's hop limit.
    ip_ttl set_ip_ttl IP_TTL: u8 = [11] 8 << 40;
    /// Whether this is a fragment, and whether a later one.
    fragment set_fragment FRAGMENT: Fragment = [11] 8 << 32;
    /// TCP's twelve flag bits, from reserved ones to FIN (RFC 9293, 3.1).
    tcp_flags set_tcp_flags TCP_FLAGS: Flags = [11] 16 << 16;
    /// The innermost layer that the frame holds.
    reached set_reached REACHED: Reached = [11] 8 << 8;
    /// The source port of TCP, UDP or SCTP.
    l4_src set_l4_src L4_SRC: u16 = [12] 16 << 48;
    /// The destination port of TCP, UDP or SCTP.
    l4_dst set_l4_dst L4_DST: u16 = [12] 16 << 32;
    /// The type of an ICMP or ICMPv6 message; lies over `l4_src`.
    icmp_type set_icmp_type ICMP_TYPE: u8 = [12] 8 << 48;
    /// The code of an ICMP or ICMPv6 message; lies over `l4_dst`.
    icmp_code set_icmp_code ICMP_CODE: u8 = [12] 8 << 32;
    /// ARP's operation; lies over `l4_src`.
    arp_op set_arp_op ARP_OP: Operation = [12] 16 << 48;
    /// IPv6's flow label, 20 bits.
    ipv6_label set_ipv6_label IPV6_LABEL: u32 = [12] 20 << 0;
    /// ARP's sender hardware address; lies over `nd_target`.
    arp_sha set_arp_sha ARP_SHA: MacAddress = [13] 48 << 0;
    /// ARP's target hardware address; lies over `nd_target`.
    arp_tha set_arp_tha ARP_THA: MacAddress = [14] 48 << 0;
    /// The link-layer address option of a neighbour solicitation (source) or advertisement (target).
    nd_link set_nd_link ND_LINK: MacAddress = [15] 48 << 16;
}

/// Declares each field of two words.
macro_rules! wide_fields {
    ($($(#[doc = $doc:literal])+ $get:ident $set:ident $mask:ident = [$high:literal, $low:literal];)+) => {
        impl FlowKey {
            $(
                $(#[doc = $doc])+
                #[inline]
                #[must_use]
                pub fn $get(&self) -> u128 {
                    u128::from(self.words[$high]) << 64 | u128::from(self.words[$low])
                }

                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                #[inline]
                pub fn $set(&mut self, value: u128) {
                    self.words[$high] = (value >> 64) as u64;
                    self.words[$low] = value as u64;
                }
            )+
        }

        impl Mask {
            $(
                #[doc = concat!("All bits of [`FlowKey::", stringify!($get), "`].")]
                pub const $mask: Self = Self::bits($high, u64::MAX).or(Self::bits($low, u64::MAX));
            )+
        }

        /// Name and reader of each field of two words.
        const WIDE_FIELDS: &[(&str, fn(&FlowKey) -> u128)] = &[$((stringify!($get), FlowKey::$get)),+];
    };
}

wide_fields! {
    /// The IP source: IPv6 in 128 bits, IPv4 (and ARP's sender protocol address) in the low 32.
    ip_src set_ip_src IP_SRC = [7, 8];
    /// The IP destination: IPv6 in 128 bits, IPv4 (and ARP's target protocol address) in the low 32.
    ip_dst set_ip_dst IP_DST = [9, 10];
    /// The target of a neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4).
    nd_target set_nd_target ND_TARGET = [13, 14];
}

impl fmt::Debug for FlowKey {
    /// The fields that are not 0, in hexadecimal, in the order of the words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields(self, f, "FlowKey")
    }
}

/// Writes the fields that are not 0. Fields that lie over one another are all shown.
pub(super) fn debug_fields(key: &FlowKey, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let mut out = f.debug_struct(name);
    for (name, word, bits, shift) in FIELDS {
        let value = key.words.get(*word).map_or(0, |word| word >> shift & bits);
        if value != 0 {
            out.field(name, &format_args!("{value:#x}"));
        }
    }
    for (name, get) in WIDE_FIELDS {
        let value = get(key);
        if value != 0 {
            out.field(name, &format_args!("{value:#x}"));
        }
    }
    out.finish()
}
