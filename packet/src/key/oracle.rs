//! A second parser for the tests: plain slices and numbers, none of the views, no care for speed.

use super::*;
use crate::arp::Operation;
use crate::ethernet::MacAddress;
use crate::ip::Protocol;
use crate::layers::{Layers, Network, Transport};
use crate::tcp::Flags;

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn mac(bytes: &[u8]) -> MacAddress {
    MacAddress(bytes.try_into().unwrap())
}

/// Key and layers of a head; `None` if there is no Ethernet header.
pub(super) fn parse(head: &[u8]) -> Option<(FlowKey, Layers)> {
    let mut key = FlowKey::default();
    let mut layers = Layers::default();
    if head.len() < 14 {
        return None;
    }
    key.set_eth_dst(mac(&head[..6]));
    key.set_eth_src(mac(&head[6..12]));
    let mut at = 14;
    let mut ethertype = number(&head[12..14]) as u16;
    let kind = |ethertype| match ethertype {
        0x8100 => TagKind::Customer,
        0x88a8 => TagKind::Service,
        _ => TagKind::None,
    };
    while kind(ethertype) != TagKind::None && layers.vlan_tags < 2 && head.len() >= at + 4 {
        let tci = Tci(number(&head[at..at + 2]) as u16);
        if layers.vlan_tags == 0 {
            key.set_outer_kind(kind(ethertype));
            key.set_outer_tci(tci);
        } else {
            key.set_inner_kind(kind(ethertype));
            key.set_inner_tci(tci);
        }
        ethertype = number(&head[at + 2..at + 4]) as u16;
        at += 4;
        layers.vlan_tags += 1;
    }
    if ethertype < 0x600 {
        let llc = &head[at..];
        let snap = llc.len() >= 8 && llc[..6] == [0xaa, 0xaa, 3, 0, 0, 0] && llc[6] >= 6;
        ethertype = if snap { number(&llc[6..8]) as u16 } else { 0x05ff };
        at += if snap { 8 } else { 0 };
    }
    key.set_eth_type(EtherType(ethertype));
    layers.l3 = at as u16;
    let bytes = &head[at..];
    match ethertype {
        0x0800 => ipv4(bytes, at, &mut key, &mut layers),
        0x86dd => ipv6(bytes, at, &mut key, &mut layers),
        0x0806 | 0x8035 if bytes.len() >= 28 && bytes[..6] == [0, 1, 8, 0, 6, 4] => {
            layers.network = Network::Arp;
            key.set_reached(Reached::Network);
            key.set_arp_op(Operation(number(&bytes[6..8]) as u16));
            key.set_arp_sha(mac(&bytes[8..14]));
            key.set_ip_src(number(&bytes[14..18]));
            key.set_arp_tha(mac(&bytes[18..24]));
            key.set_ip_dst(number(&bytes[24..28]));
        }
        0x8847 | 0x8848 if bytes.len() >= 4 => key.set_mpls(number(&bytes[..4]) as u32),
        _ => {}
    }
    Some((key, layers))
}

fn ipv4(bytes: &[u8], at: usize, key: &mut FlowKey, layers: &mut Layers) {
    if bytes.len() < 20 || bytes[0] >> 4 != 4 {
        return;
    }
    let len = usize::from(bytes[0] & 0xf) * 4;
    let total = number(&bytes[2..4]) as usize;
    if len < 20 || bytes.len() < len || total < len {
        return;
    }
    layers.network = Network::Ipv4;
    key.set_reached(Reached::Network);
    key.set_ip_tos(bytes[1]);
    key.set_ip_ttl(bytes[8]);
    key.set_ip_proto(Protocol(bytes[9]));
    key.set_ip_src(number(&bytes[12..16]));
    key.set_ip_dst(number(&bytes[16..20]));
    let fragment = number(&bytes[6..8]) as u16;
    if fragment & 0x1fff != 0 {
        key.set_fragment(Fragment::Later);
        return;
    }
    if fragment & 0x2000 != 0 {
        key.set_fragment(Fragment::First);
    }
    transport(bytes[9], &bytes[len..total.min(bytes.len())], at + len, key, layers);
}

fn ipv6(bytes: &[u8], at: usize, key: &mut FlowKey, layers: &mut Layers) {
    if bytes.len() < 40 || bytes[0] >> 4 != 6 {
        return;
    }
    layers.network = Network::Ipv6;
    key.set_reached(Reached::Network);
    key.set_ip_tos((number(&bytes[..2]) >> 4) as u8);
    key.set_ipv6_label(number(&bytes[1..4]) as u32 & 0xf_ffff);
    key.set_ip_ttl(bytes[7]);
    key.set_ip_src(number(&bytes[8..24]));
    key.set_ip_dst(number(&bytes[24..40]));
    key.set_ip_proto(Protocol(bytes[6]));
    let end = bytes.len().min(40 + number(&bytes[4..6]) as usize);
    let (mut next, mut from, mut first) = (bytes[6], 40, true);
    let mut fragment = None;
    for count in 0.. {
        let rest = &bytes[from..end];
        let unit = match next {
            0 if first => 8,
            43 | 60 => 8,
            44 => 0,
            51 => 4,
            _ => break,
        };
        if rest.len() < 8 || count == 8 {
            return;
        }
        let len = 8 + usize::from(rest[1]) * unit;
        if rest.len() < len || next == 51 && len < 12 {
            return;
        }
        let was_fragment = next == 44;
        next = rest[0];
        from += len;
        first = false;
        if was_fragment {
            let word = number(&rest[2..4]) as u16;
            fragment = fragment.or(Some(word));
            if word & 0xfff8 != 0 {
                break;
            }
        }
    }
    key.set_ip_proto(Protocol(next));
    match fragment {
        Some(word) if word & 0xfff8 != 0 => {
            key.set_fragment(Fragment::Later);
            return;
        }
        Some(word) if word & 1 != 0 => key.set_fragment(Fragment::First),
        _ => {}
    }
    transport(next, &bytes[from..end], at + from, key, layers);
}

fn transport(protocol: u8, bytes: &[u8], at: usize, key: &mut FlowKey, layers: &mut Layers) {
    let v6 = layers.network == Network::Ipv6;
    let (transport, len) = match protocol {
        6 if bytes.len() >= 20 => {
            let len = usize::from(bytes[12] >> 4) * 4;
            if len < 20 || bytes.len() < len {
                return;
            }
            key.set_tcp_flags(Flags::new(number(&bytes[12..14]) as u16));
            (Transport::Tcp, len)
        }
        17 if bytes.len() >= 8 && number(&bytes[4..6]) >= 8 => (Transport::Udp, 8),
        132 if bytes.len() >= 12 => (Transport::Sctp, 12),
        1 if !v6 && bytes.len() >= 8 => (Transport::Icmp, 8),
        58 if v6 && bytes.len() >= 4 => (Transport::Icmpv6, 4),
        _ => return,
    };
    layers.transport = transport;
    layers.l4 = at as u16;
    layers.payload = (at + len) as u16;
    key.set_reached(Reached::Transport);
    if matches!(transport, Transport::Icmp | Transport::Icmpv6) {
        key.set_icmp_type(bytes[0]);
        key.set_icmp_code(bytes[1]);
    } else {
        key.set_l4_src(number(&bytes[..2]) as u16);
        key.set_l4_dst(number(&bytes[2..4]) as u16);
    }
    if transport == Transport::Icmpv6 && matches!(bytes[..2], [135 | 136, 0]) && bytes.len() >= 24 {
        key.set_nd_target(number(&bytes[8..24]));
        let mut options = &bytes[24..];
        while options.len() >= 2 {
            let len = usize::from(options[1]) * 8;
            if len == 0 || len > options.len() {
                break;
            }
            if options[0] == bytes[0] - 134 && len == 8 {
                key.set_nd_link(mac(&options[2..8]));
                break;
            }
            options = &options[len..];
        }
    }
}
