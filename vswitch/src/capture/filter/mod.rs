//! Which frames a capture wants: the useful part of pcap-filter(7), in its words.
//!
//! ```text
//! filter    = term { ("and" | "or") term }        both bind alike, from the left, as in pcap-filter(7)
//! term      = "not" term | "(" filter ")" | primitive
//! primitive = [protocol] [side] [kind] value | protocol | "vlan" [VID] | "less" N | "greater" N
//!           | ["ether"] ("broadcast" | "multicast") | ("ether" | "ip" | "ip6") "proto" value
//! protocol  = "ether" | "ip" | "ip6" | "arp" | "rarp" | "tcp" | "udp" | "sctp" | "icmp" | "icmp6"
//! side      = "src" | "dst" | "src or dst" | "src and dst"
//! kind      = "host" | "net" | "port" | "portrange"
//! ```
//!
//! `&&`, `||` and `!` are `and`, `or` and `not`. A value behind `and` or `or` takes the words of the primitive before
//! it: `port 80 or 443`, `port (80 or 443)`. Names of hosts and services are not looked up.
//!
//! One thing differs. To pcap-filter(7) `host 10.0.0.1` means an untagged frame, and `vlan` moves the place where all
//! that follows looks. Here every primitive looks behind the VLAN tags of a frame, however many; `vlan` says that there
//! is a tag, `vlan 10` that there is one of VLAN 10, and neither changes what stands beside it.
//!
//! A frame too short for what a primitive asks does not match the primitive.

mod parse;
mod view;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use strowger_packet::MacAddress;

use view::View;

/// The most bytes of a filter's text.
pub const MAX_TEXT: usize = 4096;
/// The most primitives of a filter.
pub const MAX_PRIMITIVES: usize = 256;
/// How deep `not` and parentheses may nest.
pub const MAX_DEPTH: usize = 32;

/// Which frames are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    expression: Expression,
    text: String,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter is not understood at {place}: {message}")]
pub struct FilterError {
    /// Where.
    pub place: Place,
    /// What was expected there.
    pub message: String,
}

/// A place in a filter's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A word, and its first character counted from 1.
    Word(String, usize),
    /// Behind the last word.
    End,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word, at) => write!(f, "'{word}' (character {at})"),
            Self::End => f.write_str("its end"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Is(Primitive),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Primitive {
    /// The type behind all VLAN tags.
    EtherType(u16),
    /// The protocol above IP of one version, or of any.
    Protocol(Option<Version>, u8),
    Station(Side, MacAddress),
    Broadcast,
    Multicast,
    Vlan(Option<u16>),
    /// At most so many bytes.
    Less(usize),
    /// At least so many bytes.
    Greater(usize),
    Network4(Side, Network4, Carriers),
    Network6(Side, Network6),
    Ports(Side, Transports, RangeInclusive<u16>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
    Either,
    Both,
}

/// Which headers an IPv4 address is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Carriers {
    ip: bool,
    arp: bool,
    rarp: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network4 {
    address: Ipv4Addr,
    mask: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network6 {
    address: Ipv6Addr,
    mask: u128,
}

/// Protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transports {
    tcp: bool,
    udp: bool,
    sctp: bool,
}

impl Side {
    fn matches<T: Copy>(self, (source, destination): (T, T), is: impl Fn(T) -> bool) -> bool {
        match self {
            Self::Source => is(source),
            Self::Destination => is(destination),
            Self::Either => is(source) || is(destination),
            Self::Both => is(source) && is(destination),
        }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The word that is not understood, its place, and what could stand there.
    pub fn read(text: &str) -> Result<Self, FilterError> {
        Ok(Self { expression: parse::parse(text)?, text: text.trim().to_owned() })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it wants a frame of `len` bytes, whose headers are in `head`.
    #[must_use]
    pub fn matches(&self, head: &[u8], len: usize) -> bool {
        self.expression.matches(&View::new(head, len))
    }
}

impl Expression {
    fn matches(&self, frame: &View<'_>) -> bool {
        match self {
            Self::Is(primitive) => primitive.matches(frame).unwrap_or(false),
            Self::Not(one) => !one.matches(frame),
            Self::And(one, other) => one.matches(frame) && other.matches(frame),
            Self::Or(one, other) => one.matches(frame) || other.matches(frame),
        }
    }
}

impl Primitive {
    /// `None` if the frame ends too soon, or is of another kind.
    fn matches(&self, frame: &View<'_>) -> Option<bool> {
        Some(match self {
            Self::EtherType(wanted) => frame.ether_type()? == *wanted,
            Self::Protocol(None, number) => {
                frame.protocol4() == Some(*number) || frame.is_protocol6(*number)
            }
            Self::Protocol(Some(Version::V4), number) => frame.protocol4()? == *number,
            Self::Protocol(Some(Version::V6), number) => frame.is_protocol6(*number),
            Self::Station(side, mac) => side.matches(frame.stations()?, |station| station == *mac),
            Self::Broadcast => frame.stations()?.1 == MacAddress([0xff; 6]),
            Self::Multicast => frame.stations()?.1.0[0] & 1 == 1,
            Self::Vlan(vid) => frame.is_in_vlan(*vid),
            Self::Less(most) => frame.len() <= *most,
            Self::Greater(least) => frame.len() >= *least,
            Self::Network4(side, network, carriers) => {
                let is = |address| address & network.mask == network.address.to_bits();
                side.matches(frame.addresses4(*carriers)?, is)
            }
            Self::Network6(side, network) => {
                let is = |address| address & network.mask == network.address.to_bits();
                side.matches(frame.addresses6()?, is)
            }
            Self::Ports(side, transports, ports) => {
                side.matches(frame.ports(*transports)?, |port| ports.contains(&port))
            }
        })
    }
}

#[cfg(test)]
mod tests;
