//! What few frames have: kept beside the key, and only where it is in use.

use std::net::IpAddr;

/// Fields beyond the [`FlowKey`](super::FlowKey). A frame that has none of them has no `ColdKey`, so a batch
/// keeps an index or a box for the few that do, and a cache compares it only for a flow that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ColdKey {
    /// The registers `reg0` to `reg15` of the Nicira extensions.
    pub registers: [u32; 16],
    /// The connection's label.
    pub ct_label: u128,
    /// The connection's original direction.
    pub ct_tuple: Option<ConnectionTuple>,
    /// The outer headers of the tunnel that the frame came through.
    pub tunnel: Option<TunnelKey>,
}

/// Addresses and ports of a connection, as its first packet had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionTuple {
    /// The address that opened it.
    pub src: IpAddr,
    /// The address that it was opened to.
    pub dst: IpAddr,
    /// The IP protocol.
    pub proto: u8,
    /// Source port, or ICMP type.
    pub l4_src: u16,
    /// Destination port, or ICMP code.
    pub l4_dst: u16,
}

/// Outer headers of a tunnelled frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelKey {
    /// The outer source.
    pub src: IpAddr,
    /// The outer destination.
    pub dst: IpAddr,
    /// The outer type of service or traffic class.
    pub tos: u8,
    /// The outer time to live or hop limit.
    pub ttl: u8,
    /// Flags of the tunnel's header.
    pub flags: u16,
    /// Geneve's options as they were on the wire (RFC 8926, 3.5): at most 252 bytes.
    pub options: Box<[u8]>,
}
