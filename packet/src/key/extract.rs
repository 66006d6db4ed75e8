//! From a frame's head to its key: one pass over the headers, each read once.
//!
//! A header that is cut off or malformed ends the pass: what was read stays, [`FlowKey::reached`] says how
//! far it went, and all fields beyond are 0. Only a frame without a whole Ethernet header is an error. The
//! views of each protocol decide what is malformed; IP's own length ends the headers before the padding of
//! the link does.

use super::{FlowKey, Fragment, NOT_ETH_TYPE, Reached, TagKind};
use crate::ethernet::{self, EtherType, MacAddress};
use crate::ip::Protocol;
use crate::layers::{Layers, Network, Transport};
use crate::wire::{Field, array, range, rest};
use crate::{DropReason, Frame, ipv4, ipv6, tcp, udp, vlan};

/// Reads the headers in `frame`'s head, notes where they lie in `frame.layers`, and turns `frame.claims`
/// into `frame.offload`. The tail is not looked at.
///
/// # Errors
/// [`DropReason::Truncated`] if the frame is shorter than an Ethernet header; [`DropReason::BadOffload`] or
/// [`DropReason::TooManySegments`] if the claims do not fit the frame.
#[inline]
pub fn extract(frame: &mut Frame) -> Result<FlowKey, DropReason> {
    let mut key = FlowKey::default();
    extract_into(frame, &mut key)?;
    Ok(key)
}

/// As [`extract`], into a key's own place in a batch of keys, whatever was there: a key that is returned is
/// written twice, which costs as much as half of the parse. After an error the place holds no key.
///
/// # Errors
/// As for [`extract`].
#[inline]
pub fn extract_into(frame: &mut Frame, key: &mut FlowKey) -> Result<(), DropReason> {
    *key = FlowKey::default();
    key.set_in_port(frame.ingress);
    let layers = link(frame.head(), key).ok_or(DropReason::Truncated)?;
    frame.layers = layers;
    if let Some(claims) = frame.claims.take()
        && !claims.is_empty()
    {
        // A part of a packet has no checksum of its own to finish, and is not cut again.
        if key.fragment() != Fragment::None {
            return Err(DropReason::BadOffload);
        }
        frame.offload = claims.check(&layers, frame.len())?;
    }
    Ok(())
}

/// What IP carries: its protocol, the bytes that belong to it, and where in the head they begin.
struct Upper<'a> {
    protocol: Protocol,
    bytes: &'a [u8],
    at: usize,
}

/// Ethernet, tags, and what they carry. `None` without a whole Ethernet header.
#[inline(always)]
fn link(head: &[u8], key: &mut FlowKey) -> Option<Layers> {
    let ethernet = ethernet::Header::new_checked(head).ok()?;
    // Both addresses as words, each with two bytes of what follows it: two loads instead of twelve.
    key.words[4] = u64::from_be_bytes(array(head, ethernet::field::DESTINATION)) & !0xffff;
    key.words[5] = u64::from_be_bytes(array(head, ethernet::field::SOURCE)) & !0xffff;
    let mut ethertype = ethernet.ethertype();
    let mut bytes = rest(head, ethernet::HEADER_LEN);
    let mut vlan_tags = 0;
    if ethertype.is_vlan() {
        (ethertype, bytes, vlan_tags) = tags(ethertype, bytes, key);
    }
    if ethertype.is_length() {
        (ethertype, bytes) = ethernet::snap(bytes).unwrap_or((NOT_ETH_TYPE, bytes));
    }
    key.set_eth_type(ethertype);
    let l3 = head.len().saturating_sub(bytes.len());
    let mut layers = Layers { l3: l3 as u16, vlan_tags, ..Layers::default() };
    let upper = match ethertype {
        EtherType::IPV4 => {
            let header = ipv4::Header::new_checked(bytes).ok();
            layers.network = header.map_or(Network::None, |_| Network::Ipv4);
            header.and_then(|header| ipv4(header, l3, key))
        }
        EtherType::IPV6 => {
            let header = ipv6::Header::new_checked(bytes).ok();
            layers.network = header.map_or(Network::None, |_| Network::Ipv6);
            header.and_then(|header| ipv6(header, l3, key))
        }
        EtherType::ARP => {
            layers.network = arp(bytes, key);
            None
        }
        EtherType::MPLS | EtherType::MPLS_UPSTREAM => {
            key.set_mpls(u32::read(bytes, 0));
            None
        }
        _ => None,
    };
    if let Some(upper) = upper {
        transport(&upper, key, &mut layers);
    }
    Some(layers)
}

/// Up to two VLAN tags: the type behind them, what follows it, and their number. A third one, or one that is
/// cut off, stays as the type.
#[inline(never)]
fn tags<'a>(
    mut ethertype: EtherType,
    mut bytes: &'a [u8],
    key: &mut FlowKey,
) -> (EtherType, &'a [u8], u8) {
    for tags in 0..vlan::MAX_TAGS as u8 {
        let kind = TagKind::of(ethertype);
        let Ok(header) = vlan::Header::new_checked(bytes) else {
            return (ethertype, bytes, tags);
        };
        match tags {
            _ if kind == TagKind::None => return (ethertype, bytes, tags),
            0 => {
                key.set_outer_kind(kind);
                key.set_outer_tci(header.tci());
            }
            _ => {
                key.set_inner_kind(kind);
                key.set_inner_tci(header.tci());
            }
        }
        ethertype = header.ethertype();
        bytes = rest(bytes, vlan::TAG_LEN);
    }
    (ethertype, bytes, vlan::MAX_TAGS as u8)
}

/// IPv4. `None` if this packet does not hold the layer 4 header.
#[inline(always)]
fn ipv4<'a>(header: ipv4::Header<&'a [u8]>, at: usize, key: &mut FlowKey) -> Option<Upper<'a>> {
    key.set_reached(Reached::Network);
    key.set_ip_src(u128::from(header.source().to_bits()));
    key.set_ip_dst(u128::from(header.destination().to_bits()));
    key.set_ip_proto(header.protocol());
    key.set_ip_tos(header.tos());
    key.set_ip_ttl(header.ttl());
    if header.is_fragment() {
        if header.fragment_offset() != 0 {
            key.set_fragment(Fragment::Later);
            return None;
        }
        key.set_fragment(Fragment::First);
    }
    let (from, to) = (header.header_len(), usize::from(header.total_len()));
    Some(Upper {
        protocol: header.protocol(),
        bytes: range(header.into_inner(), from, to),
        at: at.saturating_add(from),
    })
}

/// IPv6. `None` if this packet does not hold the layer 4 header, or something before it is malformed.
#[inline(always)]
fn ipv6<'a>(header: ipv6::Header<&'a [u8]>, at: usize, key: &mut FlowKey) -> Option<Upper<'a>> {
    key.set_reached(Reached::Network);
    key.set_ip_src(header.source().to_bits());
    key.set_ip_dst(header.destination().to_bits());
    key.set_ip_tos(header.traffic_class());
    key.set_ip_ttl(header.hop_limit());
    key.set_ipv6_label(header.flow_label());
    let to = ipv6::HEADER_LEN.saturating_add(usize::from(header.payload_len()));
    let mut upper = Upper {
        protocol: header.next_header(),
        bytes: range(header.into_inner(), ipv6::HEADER_LEN, to),
        at: at.saturating_add(ipv6::HEADER_LEN),
    };
    if !matches!(upper.protocol, Protocol::TCP | Protocol::UDP | Protocol::ICMPV6) {
        upper = extensions(&upper, key)?;
    }
    key.set_ip_proto(upper.protocol);
    Some(upper)
}

/// Walks over IPv6 extension headers. `None` for a later fragment or a malformed chain; the protocol is set
/// in the key as far as it is known.
#[inline(never)]
fn extensions<'a>(upper: &Upper<'a>, key: &mut FlowKey) -> Option<Upper<'a>> {
    key.set_ip_proto(upper.protocol);
    let chain = ipv6::Chain::walk(upper.protocol, upper.bytes).ok()?;
    key.set_ip_proto(chain.protocol);
    if let Some(fragment) = chain.fragment.filter(|fragment| !fragment.is_atomic()) {
        if fragment.is_later() {
            key.set_fragment(Fragment::Later);
            return None;
        }
        key.set_fragment(Fragment::First);
    }
    Some(Upper {
        protocol: chain.protocol,
        bytes: rest(upper.bytes, chain.len),
        at: upper.at.saturating_add(chain.len),
    })
}

/// ARP for IPv4 over Ethernet (RFC 826); another one is left alone.
#[inline(never)]
fn arp(bytes: &[u8], key: &mut FlowKey) -> Network {
    const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if bytes.len() < 28 || array(bytes, 0) != ETHERNET_IPV4 {
        return Network::None;
    }
    key.set_reached(Reached::Network);
    key.set_arp_op(u16::read(bytes, 6));
    key.set_arp_sha(MacAddress::read(bytes, 8));
    key.set_ip_src(u128::from(u32::read(bytes, 14)));
    key.set_arp_tha(MacAddress::read(bytes, 18));
    key.set_ip_dst(u128::from(u32::read(bytes, 24)));
    Network::Arp
}

/// Layer 4: ports or type and code, flags, and where it ends.
#[inline(always)]
fn transport(upper: &Upper<'_>, key: &mut FlowKey, layers: &mut Layers) {
    let bytes = upper.bytes;
    let (transport, len) = match upper.protocol {
        Protocol::TCP => {
            let Ok(header) = tcp::Header::new_checked(bytes) else { return };
            key.set_tcp_flags(header.flags());
            (Transport::Tcp, header.header_len())
        }
        Protocol::UDP if udp::Header::new_checked(bytes).is_ok() => {
            (Transport::Udp, udp::HEADER_LEN)
        }
        Protocol::SCTP if bytes.len() >= 12 => (Transport::Sctp, 12),
        Protocol::ICMP if bytes.len() >= 8 && layers.network == Network::Ipv4 => {
            (Transport::Icmp, 8)
        }
        Protocol::ICMPV6 if bytes.len() >= 8 && layers.network == Network::Ipv6 => {
            neighbour(bytes, key);
            (Transport::Icmpv6, 8)
        }
        _ => return,
    };
    layers.transport = transport;
    layers.l4 = upper.at as u16;
    layers.payload = upper.at.saturating_add(len) as u16;
    key.set_reached(Reached::Transport);
    if matches!(transport, Transport::Icmp | Transport::Icmpv6) {
        key.set_icmp_type(u8::read(bytes, 0));
        key.set_icmp_code(u8::read(bytes, 1));
    } else {
        key.set_l4_src(u16::read(bytes, 0));
        key.set_l4_dst(u16::read(bytes, 2));
    }
}

/// The target of neighbour discovery (RFC 4861, 4.3 and 4.4), and the link-layer address beside it.
#[inline(never)]
fn neighbour(bytes: &[u8], key: &mut FlowKey) {
    const OPTIONS: usize = 24;
    // Source link-layer address in a solicitation, target link-layer address in an advertisement.
    let wanted = match array(bytes, 0) {
        [135, 0] => 1,
        [136, 0] => 2,
        _ => return,
    };
    if bytes.len() < OPTIONS {
        return;
    }
    key.set_nd_target(u128::from_be_bytes(array(bytes, 8)));
    let mut options = rest(bytes, OPTIONS);
    // Each step takes at least 8 bytes of the head.
    while let [kind, units, ..] = options {
        let len = usize::from(*units).saturating_mul(8);
        if len == 0 || len > options.len() {
            return;
        }
        if *kind == wanted {
            key.set_nd_link(MacAddress::read(range(options, 2, len), 0));
            return;
        }
        options = rest(options, len);
    }
}
