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
    key.set_in_port(frame.ingress);
    let layers = link(frame.head(), &mut key).ok_or(DropReason::Truncated)?;
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
    Ok(key)
}

/// Ethernet, tags, and what they carry. `None` without a whole Ethernet header.
#[inline]
fn link(head: &[u8], key: &mut FlowKey) -> Option<Layers> {
    let ethernet = ethernet::Header::new_checked(head).ok()?;
    key.set_eth_dst(ethernet.destination());
    key.set_eth_src(ethernet.source());
    let mut layers = Layers::default();
    let mut ethertype = ethernet.ethertype();
    let mut bytes = rest(head, ethernet::HEADER_LEN);
    if ethertype.is_vlan() {
        (ethertype, bytes) = tags(ethertype, bytes, key, &mut layers);
    }
    if ethertype.is_length() {
        (ethertype, bytes) = ethernet::snap(bytes).unwrap_or((NOT_ETH_TYPE, bytes));
    }
    key.set_eth_type(ethertype);
    let at = head.len().saturating_sub(bytes.len());
    layers.l3 = at as u16;
    match ethertype {
        EtherType::IPV4 => ipv4(bytes, at, key, &mut layers),
        EtherType::IPV6 => ipv6(bytes, at, key, &mut layers),
        EtherType::ARP => arp(bytes, key, &mut layers),
        EtherType::MPLS | EtherType::MPLS_UPSTREAM => key.set_mpls(u32::read(bytes, 0)),
        _ => {}
    }
    Some(layers)
}

/// Up to two VLAN tags. A third one, or one that is cut off, stays as the type.
#[inline]
fn tags<'a>(
    mut ethertype: EtherType,
    mut bytes: &'a [u8],
    key: &mut FlowKey,
    layers: &mut Layers,
) -> (EtherType, &'a [u8]) {
    for tag in 0..vlan::MAX_TAGS as u8 {
        let kind = TagKind::of(ethertype);
        let Ok(header) = vlan::Header::new_checked(bytes) else { break };
        match tag {
            _ if kind == TagKind::None => break,
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
        layers.vlan_tags = tag.saturating_add(1);
    }
    (ethertype, bytes)
}

#[inline]
fn ipv4(bytes: &[u8], at: usize, key: &mut FlowKey, layers: &mut Layers) {
    let Ok(header) = ipv4::Header::new_checked(bytes) else { return };
    layers.network = Network::Ipv4;
    key.set_reached(Reached::Network);
    key.set_ip_src(u128::from(header.source().to_bits()));
    key.set_ip_dst(u128::from(header.destination().to_bits()));
    key.set_ip_proto(header.protocol());
    key.set_ip_tos(header.tos());
    key.set_ip_ttl(header.ttl());
    if header.is_fragment() {
        if header.fragment_offset() != 0 {
            key.set_fragment(Fragment::Later);
            return;
        }
        key.set_fragment(Fragment::First);
    }
    let at = at.saturating_add(header.header_len());
    transport(header.protocol(), header.payload(), at, key, layers);
}

#[inline]
fn ipv6(bytes: &[u8], at: usize, key: &mut FlowKey, layers: &mut Layers) {
    let Ok(header) = ipv6::Header::new_checked(bytes) else { return };
    layers.network = Network::Ipv6;
    key.set_reached(Reached::Network);
    key.set_ip_src(header.source().to_bits());
    key.set_ip_dst(header.destination().to_bits());
    key.set_ip_proto(header.next_header());
    key.set_ip_tos(header.traffic_class());
    key.set_ip_ttl(header.hop_limit());
    key.set_ipv6_label(header.flow_label());
    let at = at.saturating_add(ipv6::HEADER_LEN);
    let payload = header.payload();
    let protocol = header.next_header();
    if matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::ICMPV6) {
        transport(protocol, payload, at, key, layers);
        return;
    }
    let Ok(chain) = header.chain() else { return };
    key.set_ip_proto(chain.protocol);
    match chain.fragment {
        Some(fragment) if fragment.is_later() => {
            key.set_fragment(Fragment::Later);
            return;
        }
        Some(fragment) if !fragment.is_atomic() => key.set_fragment(Fragment::First),
        _ => {}
    }
    transport(chain.protocol, rest(payload, chain.len), at.saturating_add(chain.len), key, layers);
}

/// ARP for IPv4 over Ethernet (RFC 826); another one is left alone.
#[inline]
fn arp(bytes: &[u8], key: &mut FlowKey, layers: &mut Layers) {
    const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if bytes.len() < 28 || array(bytes, 0) != ETHERNET_IPV4 {
        return;
    }
    layers.network = Network::Arp;
    key.set_reached(Reached::Network);
    key.set_arp_op(u16::read(bytes, 6));
    key.set_arp_sha(MacAddress::read(bytes, 8));
    key.set_ip_src(u128::from(u32::read(bytes, 14)));
    key.set_arp_tha(MacAddress::read(bytes, 18));
    key.set_ip_dst(u128::from(u32::read(bytes, 24)));
}

/// Layer 4, in the bytes that IP gives it, which begin at `at`.
#[inline]
fn transport(protocol: Protocol, bytes: &[u8], at: usize, key: &mut FlowKey, layers: &mut Layers) {
    let (transport, len) = match protocol {
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
            (Transport::Icmpv6, 8)
        }
        _ => return,
    };
    layers.transport = transport;
    layers.l4 = at as u16;
    layers.payload = at.saturating_add(len) as u16;
    key.set_reached(Reached::Transport);
    match transport {
        Transport::Icmp | Transport::Icmpv6 => {
            key.set_icmp_type(u8::read(bytes, 0));
            key.set_icmp_code(u8::read(bytes, 1));
        }
        _ => {
            key.set_l4_src(u16::read(bytes, 0));
            key.set_l4_dst(u16::read(bytes, 2));
        }
    }
    if transport == Transport::Icmpv6 {
        neighbour(bytes, key);
    }
}

/// The target of neighbour discovery (RFC 4861, 4.3 and 4.4), and the link-layer address beside it.
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
