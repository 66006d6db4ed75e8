//! Where a frame's headers begin, as [`extract`](crate::key::extract) found them.

/// Offsets of headers from the first byte of the head, kept in the frame. They move with
/// [`Frame::open`](crate::Frame::open) and [`Frame::close`](crate::Frame::close).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Where the network header begins; the end of the link layer even if there is none.
    pub l3: u16,
    /// Where the layer 4 header begins; meaningless without a `transport`.
    pub l4: u16,
    /// Where the payload of layer 4 begins; meaningless without a `transport`.
    pub payload: u16,
    /// Which network header is whole and well-formed.
    pub network: Network,
    /// Which layer 4 header is whole and well-formed.
    pub transport: Transport,
    /// VLAN tags that were parsed, at most two.
    pub vlan_tags: u8,
}

/// The kind of a network header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// None that the switch reads, or a broken one.
    #[default]
    None,
    /// ARP for IPv4 over Ethernet.
    Arp,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// The kind of a layer 4 header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// None that the switch reads, a broken one, or a later fragment.
    #[default]
    None,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
}
