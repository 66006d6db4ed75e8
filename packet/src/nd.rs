//! IPv6 neighbour discovery (RFC 4861): five ICMPv6 messages and their options.
//!
//! ```text
//!  0      1      2           4                         8
//! +------+------+-----------+-------------------------+
//! | type | code | checksum  | reserved; flags         |  router solicitation: options at 8
//! +------+------+-----------+----+--------------------+
//! | 134  |  0   | checksum  |hops| flags | lifetime   |  router advertisement: reachable time at 8,
//! +------+------+-----------+----+--------------------+  retransmission timer at 12, options at 16
//! | target address, 16 bytes                          |  neighbour solicitation and advertisement:
//! +---------------------------------------------------+  target at 8, options at 24
//! | destination address, 16 bytes                     |  redirect: destination at 24, options at 40
//! +------+------+-------------------------------------+
//! | type |length| value, length in units of 8 bytes   |  option
//! ```
//!
//! The check holds a message to what RFC 4861 says of its bytes, [`Message::validate`] to what it says of the
//! packet around it. A node MUST discard a message that fails one of these (6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1):
//!
//! - all: the hop limit is 255; the checksum is valid; the code is 0; the length is at least 8, 16, 24, 24, 40
//!   bytes (in the order of types); every option has a length greater than 0 (also 4.6).
//! - 6.1.1: a router solicitation from the unspecified address has no source link-layer address.
//! - 6.1.2: a router advertisement comes from a link-local address.
//! - 7.1.1: a neighbour solicitation's target is no multicast address; one from the unspecified address goes to a
//!   solicited-node multicast address and has no source link-layer address.
//! - 7.1.2: a neighbour advertisement's target is no multicast address; one to a multicast address does not
//!   have the solicited flag.
//! - 8.1: a redirect comes from a link-local address; its destination is no multicast address; its target is
//!   link-local or the same as the destination.
//!
//! - 4.6, 6.1.1 and others: options and reserved fields that are not known MUST be ignored.

use std::net::Ipv6Addr;

use crate::{
    MacAddress, Protocol,
    checksum::{Sum, pseudo_v6},
    icmpv6::{self, Kind},
    wire::{Field, Malformed, array, at_least, range, rest, view},
};

/// The hop limit that no router has passed on.
pub const HOP_LIMIT: u8 = 255;
/// The unit of an option's length.
const OPTION_UNIT: usize = 8;
/// Bytes of an option's type and length.
const OPTION_OVERHEAD: usize = 2;

/// Where the fields lie, behind those of [`icmpv6::field`].
pub mod field {
    /// Hop limit of a router advertisement, 1 byte.
    pub const CURRENT_HOP_LIMIT: usize = 4;
    /// Flags of a router advertisement, 1 byte.
    pub const ROUTER_FLAGS: usize = 5;
    /// Lifetime of a router advertisement, 2 bytes.
    pub const LIFETIME: usize = 6;
    /// Reachable time of a router advertisement, 4 bytes.
    pub const REACHABLE_TIME: usize = 8;
    /// Retransmission timer of a router advertisement, 4 bytes.
    pub const RETRANSMISSION_TIMER: usize = 12;
    /// Flags of a neighbour advertisement, 1 byte.
    pub const NEIGHBOUR_FLAGS: usize = 4;
    /// Target of solicitation, advertisement and redirect, 16 bytes.
    pub const TARGET: usize = 8;
    /// Destination of a redirect, 16 bytes.
    pub const DESTINATION: usize = 24;
}

/// Where the options of a message begin; `None` if it is not of neighbour discovery.
#[inline]
const fn options_at(kind: Kind) -> Option<usize> {
    match kind {
        Kind::ROUTER_SOLICITATION => Some(8),
        Kind::ROUTER_ADVERTISEMENT => Some(16),
        Kind::NEIGHBOUR_SOLICITATION | Kind::NEIGHBOUR_ADVERTISEMENT => Some(24),
        Kind::REDIRECT => Some(40),
        _ => None,
    }
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, icmpv6::HEADER_LEN)?;
    let start = options_at(Kind(u8::read(bytes, icmpv6::field::KIND))).ok_or(Malformed::Kind)?;
    if u8::read(bytes, icmpv6::field::CODE) != 0 {
        return Err(Malformed::Kind);
    }
    at_least(bytes, start)?;
    Options::new(rest(bytes, start)).try_for_each(|option| option.map(|_| ()))
}

view! {
    /// A message of neighbour discovery, whole: its options too were checked.
    Message, checked by check;
    /// Which of the five it is.
    kind, set_kind: Kind = icmpv6::field::KIND;
    /// The checksum.
    checksum, set_checksum: u16 = icmpv6::field::CHECKSUM;
    /// The hop limit that hosts are to use, or 0; in a router advertisement.
    current_hop_limit, set_current_hop_limit: u8 = field::CURRENT_HOP_LIMIT;
    /// M, O and others, from the highest bit on (RFC 4861, 4.2; RFC 5175); in a router advertisement.
    router_flags, set_router_flags: u8 = field::ROUTER_FLAGS;
    /// How long the router is one by default, in seconds; in a router advertisement.
    lifetime, set_lifetime: u16 = field::LIFETIME;
    /// How long a neighbour counts as reachable, in milliseconds; in a router advertisement.
    reachable_time, set_reachable_time: u32 = field::REACHABLE_TIME;
    /// Between solicitations, in milliseconds; in a router advertisement.
    retransmission_timer, set_retransmission_timer: u32 = field::RETRANSMISSION_TIMER;
    /// R, S and O; in a neighbour advertisement.
    neighbour_flags, set_neighbour_flags: NeighbourFlags = field::NEIGHBOUR_FLAGS;
}

/// The flags of a neighbour advertisement (RFC 4861, 4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct NeighbourFlags(pub u8);

crate::wire::wrapped_fields!(NeighbourFlags: u8);

impl NeighbourFlags {
    /// The sender is a router.
    pub const ROUTER: Self = Self(0x80);
    /// It answers a solicitation.
    pub const SOLICITED: Self = Self(0x40);
    /// It overrides what was known of the target.
    pub const OVERRIDE: Self = Self(0x20);

    /// Whether all of `flags` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and `flags`.
    #[inline]
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

/// What a message's validity depends on in the packet around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent the packet.
    pub source: Ipv6Addr,
    /// Whom it was for.
    pub destination: Ipv6Addr,
    /// Its hop limit.
    pub hop_limit: u8,
}

/// Why a message must be discarded although its bytes are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It passed a router: the hop limit is not 255.
    HopLimit,
    /// The checksum is wrong.
    Checksum,
    /// A message that only routers send does not come from a link-local address.
    Source,
    /// It asks from no address and not for a group of the target's.
    Destination,
    /// The target, or what is redirected, is an address that cannot be.
    Target,
    /// It comes from no address and yet tells a link-layer address of the sender.
    SourceLinkLayer,
    /// It answers a group's question as if it had been one station's.
    Solicited,
}

impl<T: AsRef<[u8]>> Message<T> {
    /// Whom a solicitation asks for, an advertisement tells of, or a redirect leads to.
    #[inline]
    #[must_use]
    pub fn target(&self) -> Option<Ipv6Addr> {
        let has = matches!(
            self.kind(),
            Kind::NEIGHBOUR_SOLICITATION | Kind::NEIGHBOUR_ADVERTISEMENT | Kind::REDIRECT
        );
        has.then(|| Ipv6Addr::read(self.bytes(), field::TARGET))
    }

    /// For which destination a redirect is.
    #[inline]
    #[must_use]
    pub fn redirected(&self) -> Option<Ipv6Addr> {
        (self.kind() == Kind::REDIRECT).then(|| Ipv6Addr::read(self.bytes(), field::DESTINATION))
    }

    /// The options.
    #[inline]
    #[must_use]
    pub fn options(&self) -> Options<'_> {
        let start = options_at(self.kind()).unwrap_or(usize::MAX);
        Options::new(rest(self.bytes(), start))
    }

    /// The first source link-layer address among the options.
    #[must_use]
    pub fn source_mac(&self) -> Option<MacAddress> {
        self.options().flatten().find_map(|option| match option {
            NdOption::SourceLinkLayer(mac) => Some(mac),
            _ => None,
        })
    }

    /// The first target link-layer address among the options.
    #[must_use]
    pub fn target_mac(&self) -> Option<MacAddress> {
        self.options().flatten().find_map(|option| match option {
            NdOption::TargetLinkLayer(mac) => Some(mac),
            _ => None,
        })
    }

    /// Holds a message, whose bytes are exactly the ICMPv6 message, against the packet around it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self, envelope: &Envelope) -> Result<(), Invalid> {
        let Envelope { source, destination, hop_limit } = *envelope;
        require(hop_limit == HOP_LIMIT, Invalid::HopLimit)?;
        require(self.sum(source, destination).is_intact(), Invalid::Checksum)?;
        let anonymous = source.is_unspecified();
        let target = self.target().unwrap_or(Ipv6Addr::UNSPECIFIED);
        match self.kind() {
            Kind::ROUTER_SOLICITATION => {
                require(!anonymous || !self.names_source(), Invalid::SourceLinkLayer)
            }
            Kind::ROUTER_ADVERTISEMENT => require(source.is_unicast_link_local(), Invalid::Source),
            Kind::NEIGHBOUR_SOLICITATION => {
                require(!target.is_multicast(), Invalid::Target)?;
                require(!anonymous || is_solicited_node(destination), Invalid::Destination)?;
                require(!anonymous || !self.names_source(), Invalid::SourceLinkLayer)
            }
            Kind::NEIGHBOUR_ADVERTISEMENT => {
                require(!target.is_multicast(), Invalid::Target)?;
                let solicited = self.neighbour_flags().contains(NeighbourFlags::SOLICITED);
                require(!destination.is_multicast() || !solicited, Invalid::Solicited)
            }
            _ => {
                let redirected = self.redirected().unwrap_or(Ipv6Addr::UNSPECIFIED);
                require(source.is_unicast_link_local(), Invalid::Source)?;
                require(!redirected.is_multicast(), Invalid::Target)?;
                require(target.is_unicast_link_local() || target == redirected, Invalid::Target)
            }
        }
    }

    /// Whether there is a source link-layer address option, of whatever length.
    fn names_source(&self) -> bool {
        self.options().flatten().any(|option| match option {
            NdOption::SourceLinkLayer(_) => true,
            NdOption::Other { kind, .. } => kind == SOURCE_LINK_LAYER,
            _ => false,
        })
    }

    /// The sum of pseudo-header and message.
    fn sum(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Sum {
        // A message lies in a packet, whose length is a u16.
        let len = self.bytes().len() as u32;
        pseudo_v6(source, destination, Protocol::ICMPV6, len).over(self.bytes())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Message<T> {
    /// Sets [`target`](Self::target).
    #[inline]
    pub fn set_target(&mut self, target: Ipv6Addr) {
        target.write(self.bytes_mut(), field::TARGET);
    }

    /// Computes the checksum of bytes that are exactly the message.
    pub fn fill_checksum(&mut self, source: Ipv6Addr, destination: Ipv6Addr) {
        self.set_checksum(0);
        self.set_checksum(self.sum(source, destination).finish());
    }
}

#[inline]
fn require(holds: bool, or: Invalid) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(or) }
}

/// Whether an address is a solicited-node multicast address, ff02::1:ff00:0/104 (RFC 4291, 2.7.1).
#[inline]
#[must_use]
pub const fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address).to_bits() == address.to_bits()
}

/// The solicited-node multicast address of an address (RFC 4291, 2.7.1).
#[inline]
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let low = address.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const PREFIX: u8 = 3;
const REDIRECTED: u8 = 4;
const MTU: u8 = 5;

/// An option (RFC 4861, 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdOption<'a> {
    /// The sender's MAC address.
    SourceLinkLayer(MacAddress),
    /// The target's MAC address.
    TargetLinkLayer(MacAddress),
    /// A prefix of the link.
    Prefix(Prefix),
    /// The packet that was redirected, as far as it fits.
    Redirected(&'a [u8]),
    /// What every station of the link takes, in bytes.
    Mtu(u32),
    /// Any other, or one of the above with a length that it cannot have on Ethernet.
    Other {
        /// What kind it is of.
        kind: u8,
        /// What it holds, without type and length.
        value: &'a [u8],
    },
}

/// A prefix that a router tells of (RFC 4861, 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The prefix; bits beyond `len` have no meaning.
    pub prefix: Ipv6Addr,
    /// How many bits of it count.
    pub len: u8,
    /// L and A, from the highest bit on.
    pub flags: u8,
    /// For how many seconds it is the link's; all ones for ever.
    pub valid: u32,
    /// For how many seconds addresses made from it are preferred.
    pub preferred: u32,
}

/// Goes over options in their order. It ends behind the first error. Each step takes at least 8 bytes, so the
/// message's length bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    left: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options in these bytes.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<NdOption<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.left;
        self.left = &[];
        let [kind, units] = match *bytes {
            [] => return None,
            [kind, units, ..] => [kind, units],
            [_] => return Some(Err(Malformed::Truncated)),
        };
        let len = usize::from(units).saturating_mul(OPTION_UNIT);
        if len == 0 {
            return Some(Err(Malformed::Length));
        }
        if let Err(error) = at_least(bytes, len) {
            return Some(Err(error));
        }
        self.left = rest(bytes, len);
        let value = range(bytes, OPTION_OVERHEAD, len);
        Some(Ok(match (kind, units) {
            (SOURCE_LINK_LAYER, 1) => NdOption::SourceLinkLayer(MacAddress(array(value, 0))),
            (TARGET_LINK_LAYER, 1) => NdOption::TargetLinkLayer(MacAddress(array(value, 0))),
            (PREFIX, 4) => NdOption::Prefix(Prefix {
                prefix: Ipv6Addr::read(value, 14),
                len: u8::read(value, 0),
                flags: u8::read(value, 1),
                valid: u32::read(value, 2),
                preferred: u32::read(value, 6),
            }),
            (REDIRECTED, _) => NdOption::Redirected(rest(value, 6)),
            (MTU, 1) => NdOption::Mtu(u32::read(value, 2)),
            _ => NdOption::Other { kind, value },
        }))
    }
}

/// A neighbour solicitation or advertisement with one link-layer address, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repr {
    /// Who has the target?
    Solicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The sender's MAC address, unless it has no address yet.
        source_mac: Option<MacAddress>,
    },
    /// The target is there.
    Advertisement {
        /// The address told of.
        target: Ipv6Addr,
        /// Router, solicited, override.
        flags: NeighbourFlags,
        /// The target's MAC address.
        target_mac: Option<MacAddress>,
    },
}

impl Repr {
    /// What a view shows.
    ///
    /// # Errors
    /// [`Malformed::Kind`] for another message.
    pub fn parse<T: AsRef<[u8]>>(message: &Message<T>) -> Result<Self, Malformed> {
        match (message.kind(), message.target()) {
            (Kind::NEIGHBOUR_SOLICITATION, Some(target)) => {
                Ok(Self::Solicitation { target, source_mac: message.source_mac() })
            }
            (Kind::NEIGHBOUR_ADVERTISEMENT, Some(target)) => Ok(Self::Advertisement {
                target,
                flags: message.neighbour_flags(),
                target_mac: message.target_mac(),
            }),
            _ => Err(Malformed::Kind),
        }
    }

    /// Bytes of the message.
    #[must_use]
    pub const fn message_len(&self) -> usize {
        match self {
            Self::Solicitation { source_mac: None, .. }
            | Self::Advertisement { target_mac: None, .. } => 24,
            _ => 32,
        }
    }

    /// Writes the message, without its checksum, into a view of [`message_len`](Self::message_len) bytes.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, message: &mut Message<T>) {
        let (kind, target, flags, option) = match *self {
            Self::Solicitation { target, source_mac } => (
                Kind::NEIGHBOUR_SOLICITATION,
                target,
                NeighbourFlags::default(),
                source_mac.map(|mac| (SOURCE_LINK_LAYER, mac)),
            ),
            Self::Advertisement { target, flags, target_mac } => (
                Kind::NEIGHBOUR_ADVERTISEMENT,
                target,
                flags,
                target_mac.map(|mac| (TARGET_LINK_LAYER, mac)),
            ),
        };
        message.bytes_mut().fill(0);
        message.set_kind(kind);
        message.set_neighbour_flags(flags);
        message.set_target(target);
        if let Some((option, mac)) = option {
            let bytes = message.bytes_mut();
            [option, 1].write(bytes, 24);
            mac.write(bytes, 26);
        }
    }
}

#[cfg(test)]
mod tests;
