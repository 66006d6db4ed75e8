//! From a frame's head to its key: one pass over the headers, each read once.
//!
//! A header that is cut off or malformed ends the pass: what was read stays, [`FlowKey::reached`] says how
//! far it went, and all fields beyond are 0. Only a frame without a whole Ethernet header is an error. The
//! views of each protocol decide what is malformed; IP's own length ends the headers before the padding of
//! the link does.

use std::net::Ipv6Addr;

use super::{FlowKey, Fragment, NOT_ETH_TYPE, Reached, TagKind};
use crate::ethernet::{self, EtherType, MacAddress};
use crate::ip::Protocol;
use crate::layers::{Layers, Network, Transport};
use crate::vlan::{self, Tci};
use crate::wire::{Field, array, range, rest};
use crate::{DropReason, Frame, arp, icmp, icmpv6, ipv4, ipv6, mpls, nd, sctp, tcp, udp};

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
#[derive(Clone, Copy)]
struct Upper<'a> {
    protocol: Protocol,
    bytes: &'a [u8],
    at: usize,
}

/// What VLAN tags there are, and what follows them.
struct Tags<'a> {
    tags: [(TagKind, Tci); vlan::MAX_TAGS],
    count: u8,
    ethertype: EtherType,
    bytes: &'a [u8],
}

/// Ethernet, tags, and what they carry. `None` without a whole Ethernet header.
#[inline(always)]
fn link(head: &[u8], key: &mut FlowKey) -> Option<Layers> {
    let ethernet = ethernet::Header::new_checked(head).ok()?;
    // Both addresses as words, each with two bytes of what follows it: two loads instead of twelve.
    key.words[4] = u64::from_be_bytes(array(head, ethernet::field::DESTINATION)) & !0xffff;
    key.words[5] = u64::from_be_bytes(array(head, ethernet::field::SOURCE)) & !0xffff;
    let mut layers = Layers::default();
    let mut ethertype = ethernet.ethertype();
    let mut bytes = rest(head, ethernet::HEADER_LEN);
    if ethertype.is_vlan() {
        let found = tags(ethertype, bytes);
        let [outer, inner] = found.tags;
        key.set_outer_kind(outer.0);
        key.set_outer_tci(outer.1);
        key.set_inner_kind(inner.0);
        key.set_inner_tci(inner.1);
        (ethertype, bytes, layers.vlan_tags) = (found.ethertype, found.bytes, found.count);
    }
    if ethertype.is_length() {
        (ethertype, bytes) = ethernet::snap(bytes).unwrap_or((NOT_ETH_TYPE, bytes));
    }
    key.set_eth_type(ethertype);
    let l3 = head.len().saturating_sub(bytes.len());
    layers.l3 = l3 as u16;
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
        EtherType::ARP | EtherType::RARP => {
            let packet = arp::Packet::new_checked(bytes).ok();
            layers.network = packet.map_or(Network::None, |_| Network::Arp);
            packet.and_then(|packet| arp(packet, key))
        }
        EtherType::MPLS | EtherType::MPLS_UPSTREAM => {
            key.set_mpls(mpls::Header::new_unchecked(bytes).entry().0);
            None
        }
        _ => None,
    };
    if let Some(upper) = upper {
        transport(upper, key, &mut layers);
    }
    Some(layers)
}

/// Up to two VLAN tags. A third one, or one that is cut off, stays as the type.
#[inline(never)]
fn tags(ethertype: EtherType, bytes: &[u8]) -> Tags<'_> {
    let mut found = Tags { tags: Default::default(), count: 0, ethertype, bytes };
    for tag in &mut found.tags {
        let kind = TagKind::of(found.ethertype);
        let Ok(header) = vlan::Header::new_checked(found.bytes) else { break };
        if kind == TagKind::None {
            break;
        }
        *tag = (kind, header.tci());
        found.ethertype = header.ethertype();
        found.bytes = rest(found.bytes, vlan::TAG_LEN);
        found.count = found.count.saturating_add(1);
    }
    found
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
    let bytes = range(header.into_inner(), from, to);
    Some(Upper { protocol: header.protocol(), bytes, at: at.saturating_add(from) })
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
    let bytes = range(header.into_inner(), ipv6::HEADER_LEN, to);
    let at = at.saturating_add(ipv6::HEADER_LEN);
    let protocol = header.next_header();
    key.set_ip_proto(protocol);
    if matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::ICMPV6) {
        return Some(Upper { protocol, bytes, at });
    }
    // A malformed chain leaves the number of its first header in the key.
    let chain = chain(protocol, bytes)?;
    key.set_ip_proto(chain.protocol);
    if let Some(fragment) = chain.fragment.filter(|fragment| !fragment.is_atomic()) {
        if fragment.is_later() {
            key.set_fragment(Fragment::Later);
            return None;
        }
        key.set_fragment(Fragment::First);
    }
    let bytes = rest(bytes, chain.len);
    Some(Upper { protocol: chain.protocol, bytes, at: at.saturating_add(chain.len) })
}

/// Walks over IPv6 extension headers; out of line, since few packets have them.
#[inline(never)]
fn chain(protocol: Protocol, bytes: &[u8]) -> Option<ipv6::Chain> {
    ipv6::Chain::walk(protocol, bytes).ok()
}

/// ARP for IPv4 over Ethernet. Nothing follows it.
#[inline(always)]
fn arp<'a>(packet: arp::Packet<&'a [u8]>, key: &mut FlowKey) -> Option<Upper<'a>> {
    key.set_reached(Reached::Network);
    key.set_arp_op(packet.operation());
    key.set_arp_sha(packet.sender_mac());
    key.set_ip_src(u128::from(packet.sender_ip().to_bits()));
    key.set_arp_tha(packet.target_mac());
    key.set_ip_dst(u128::from(packet.target_ip().to_bits()));
    None
}

/// Layer 4: ports or type and code, flags, and where it ends.
#[inline(always)]
fn transport(upper: Upper<'_>, key: &mut FlowKey, layers: &mut Layers) {
    let bytes = upper.bytes;
    let (transport, len) = match (upper.protocol, layers.network) {
        (Protocol::TCP, _) => {
            let Ok(header) = tcp::Header::new_checked(bytes) else { return };
            key.set_tcp_flags(header.flags());
            (Transport::Tcp, header.header_len())
        }
        (Protocol::UDP, _) if udp::Header::new_checked(bytes).is_ok() => {
            (Transport::Udp, udp::HEADER_LEN)
        }
        (Protocol::SCTP, _) if sctp::Header::new_checked(bytes).is_ok() => {
            (Transport::Sctp, sctp::HEADER_LEN)
        }
        (Protocol::ICMP, Network::Ipv4) if icmp::Header::new_checked(bytes).is_ok() => {
            (Transport::Icmp, icmp::HEADER_LEN)
        }
        (Protocol::ICMPV6, Network::Ipv6) if icmpv6::Header::new_checked(bytes).is_ok() => {
            if let Some((target, link)) = neighbour(bytes) {
                key.set_nd_target(target.to_bits());
                key.set_nd_link(link);
            }
            (Transport::Icmpv6, icmpv6::HEADER_LEN)
        }
        _ => return,
    };
    layers.transport = transport;
    layers.l4 = upper.at as u16;
    layers.payload = upper.at.saturating_add(len) as u16;
    key.set_reached(Reached::Transport);
    if matches!(transport, Transport::Icmp | Transport::Icmpv6) {
        key.set_icmp_type(u8::read(bytes, icmp::field::KIND));
        key.set_icmp_code(u8::read(bytes, icmp::field::CODE));
    } else {
        key.set_l4_src(u16::read(bytes, udp::field::SOURCE_PORT));
        key.set_l4_dst(u16::read(bytes, udp::field::DESTINATION_PORT));
    }
}

/// The target of a neighbour solicitation or advertisement, and the link-layer address beside it: the
/// sender's in the one, the target's in the other, as far as the head holds it.
#[inline(never)]
fn neighbour(bytes: &[u8]) -> Option<(Ipv6Addr, MacAddress)> {
    const NEIGHBOUR_LEN: usize = nd::field::TARGET + size_of::<Ipv6Addr>();
    let header = icmpv6::Header::new_checked(bytes).ok()?;
    // Not checked as a whole: whatever its options are, the target counts.
    let message = nd::Message::new_unchecked(bytes.get(..NEIGHBOUR_LEN).map(|_| bytes)?);
    let link = match (header.kind(), header.code()) {
        (icmpv6::Kind::NEIGHBOUR_SOLICITATION, 0) => message.source_mac(),
        (icmpv6::Kind::NEIGHBOUR_ADVERTISEMENT, 0) => message.target_mac(),
        _ => return None,
    };
    Some((message.target()?, link.unwrap_or_default()))
}
