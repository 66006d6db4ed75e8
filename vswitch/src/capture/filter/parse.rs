//! From the text of a filter to its expression.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use strowger_packet::MacAddress;

use super::view::{ARP, IPV4, IPV6, RARP, SCTP, TCP, UDP};
use super::{
    Carriers, Expression, FilterError, MAX_DEPTH, MAX_PRIMITIVES, MAX_TEXT, Network4, Network6,
    Place, Primitive, Side, Transports, Version,
};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Ethernet types begin here (IEEE 802.3, 3.2.6); what is less is a length.
const LEAST_TYPE: u16 = 0x600;

/// A word and where it begins, in characters from 1.
type Word<'a> = (&'a str, usize);
type Result<T> = std::result::Result<T, FilterError>;

/// The words before a value. Those of one primitive serve the next if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Qualifiers<'a> {
    protocol: Option<&'a str>,
    side: Option<Side>,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

struct Parser<'a> {
    words: Vec<Word<'a>>,
    at: usize,
    primitives: usize,
    depth: usize,
    last: Option<Qualifiers<'a>>,
}

pub(super) fn parse(text: &str) -> Result<Expression> {
    let words = words(text)?;
    if words.is_empty() {
        return Err(at_end("there is no word in it; leave it out to capture everything"));
    }
    let mut parser = Parser { words, at: 0, primitives: 0, depth: 0, last: None };
    let expression = parser.expression()?;
    match parser.next() {
        None => Ok(expression),
        Some(word @ (")", _)) => Err(wrong(word, "this parenthesis was not opened")),
        Some(word) => Err(wrong(word, "'and' or 'or' is expected between two conditions")),
    }
}

/// Cuts a text at blanks, around parentheses and `!`, `&&`, `||`.
fn words(text: &str) -> Result<Vec<Word<'_>>> {
    if text.len() > MAX_TEXT {
        return Err(at_end(format!("it has more than {MAX_TEXT} bytes")));
    }
    let mut words = Vec::new();
    let (mut rest, mut place) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '!' | '&' | '|');
        let len = match first {
            _ if rest.starts_with("&&") || rest.starts_with("||") => 2,
            first if is_end(first) => first.len_utf8(),
            _ => rest.find(is_end).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(len);
        if !first.is_whitespace() {
            words.push((word, place));
        }
        place += word.chars().count();
        rest = after;
    }
    Ok(words)
}

fn wrong((word, place): Word<'_>, message: impl Into<String>) -> FilterError {
    FilterError { place: Place::Word(word.to_owned(), place), message: message.into() }
}

fn at_end(message: impl Into<String>) -> FilterError {
    FilterError { place: Place::End, message: message.into() }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// The next word if it is one of these.
    fn take(&mut self, wanted: &[&str]) -> Option<Word<'a>> {
        self.peek().filter(|(word, _)| wanted.contains(word)).inspect(|_| self.at += 1)
    }

    fn expression(&mut self) -> Result<Expression> {
        let mut all = self.term()?;
        while let Some((word, _)) = self.take(&["and", "&&", "or", "||"]) {
            let next = Box::new(self.term()?);
            all = match word {
                "and" | "&&" => Expression::And(Box::new(all), next),
                _ => Expression::Or(Box::new(all), next),
            };
        }
        Ok(all)
    }

    fn term(&mut self) -> Result<Expression> {
        let Some(word) = self.take(&["not", "!", "("]) else { return self.primitive() };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(wrong(word, format!("nesting is deeper than {MAX_DEPTH}")));
        }
        let term = if word.0 == "(" {
            let inner = self.expression()?;
            match self.next() {
                Some((")", _)) => inner,
                Some(other) => return Err(wrong(other, "'and', 'or' or ')' is expected")),
                None => {
                    return Err(at_end(format!("the '(' at character {} is not closed", word.1)));
                }
            }
        } else {
            Expression::Not(Box::new(self.term()?))
        };
        self.depth -= 1;
        Ok(term)
    }

    fn primitive(&mut self) -> Result<Expression> {
        let Some(first) = self.peek() else {
            return Err(at_end("a condition is expected, as in 'host 10.0.0.1' or 'tcp port 80'"));
        };
        self.primitives += 1;
        if self.primitives > MAX_PRIMITIVES {
            return Err(wrong(first, format!("there are more than {MAX_PRIMITIVES} conditions")));
        }
        let single = match first.0 {
            "less" | "greater" => {
                self.at += 1;
                let value: u32 = self.number("a number of bytes")?;
                let bytes = value as usize;
                Some(if first.0 == "less" {
                    Primitive::Less(bytes)
                } else {
                    Primitive::Greater(bytes)
                })
            }
            "vlan" => {
                self.at += 1;
                Some(Primitive::Vlan(self.vid()?))
            }
            "broadcast" => {
                self.at += 1;
                Some(Primitive::Broadcast)
            }
            "multicast" => {
                self.at += 1;
                Some(Primitive::Multicast)
            }
            _ => None,
        };
        match single {
            Some(single) => Ok(Expression::Is(single)),
            None => self.qualified(),
        }
    }

    fn vid(&mut self) -> Result<Option<u16>> {
        let Some(word) = self.peek().filter(|(word, _)| starts_number(word)) else {
            return Ok(None);
        };
        self.at += 1;
        match number::<u16>(word.0) {
            Some(vid @ 0..=4095) => Ok(Some(vid)),
            _ => Err(wrong(word, "a VLAN is a number from 0 to 4095")),
        }
    }

    /// A primitive of qualifiers and a value, or of a protocol alone.
    fn qualified(&mut self) -> Result<Expression> {
        let start = self.at;
        let protocol = self
            .take(&["ether", "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6"]);
        if matches!(protocol, Some(("ether", _)))
            && let Some((word, _)) = self.take(&["broadcast", "multicast"])
        {
            let is_all = word == "broadcast";
            return Ok(Expression::Is(if is_all {
                Primitive::Broadcast
            } else {
                Primitive::Multicast
            }));
        }
        let side = self.side();
        let kind = self.take(&["host", "net", "port", "portrange", "proto"]);
        let said = Qualifiers {
            protocol: protocol.map(|(word, _)| word),
            side,
            kind: kind.map(|(word, _)| match word {
                "host" => Kind::Host,
                "net" => Kind::Net,
                "port" => Kind::Port,
                "portrange" => Kind::PortRange,
                _ => Kind::Proto,
            }),
        };
        if (side.is_some() || kind.is_some()) && matches!(self.peek(), Some(("(", _))) {
            self.last = Some(said);
            return self.term();
        }
        let is_bare = self.at == start;
        let value = match self.peek() {
            Some(word) if !is_connective(word.0) => word,
            other => {
                if let (Some(protocol), None, None) = (protocol, side, kind) {
                    return alone(protocol).map(Expression::Is);
                }
                let what = format!("{} is expected", said.value());
                return Err(match other {
                    Some(word) => wrong(word, what),
                    None => at_end(what),
                });
            }
        };
        if let (Some(protocol), None, None) = (protocol, side, kind)
            && protocol.0 != "ether"
            && !starts_number(value.0)
        {
            return Err(wrong(
                value,
                "'and', 'or', or what of the protocol is meant, as in 'tcp port 80', is expected",
            ));
        }
        if is_bare && !starts_number(value.0) {
            return Err(wrong(
                value,
                "this is no word of a filter; it has host, net, port, portrange with src or dst, ether, ip, ip6, arp, \
                 rarp, tcp, udp, sctp, icmp, icmp6, proto, vlan, less, greater, broadcast, multicast, and, or, not",
            ));
        }
        let qualifiers = match (is_bare, self.last) {
            (true, Some(last)) => last,
            _ => said,
        };
        self.at += 1;
        let primitive = self.valued(qualifiers, value, protocol.unwrap_or(value))?;
        self.last = Some(qualifiers);
        Ok(Expression::Is(primitive))
    }

    /// `src`, `dst`, or both with a word between.
    fn side(&mut self) -> Option<Side> {
        let (first, _) = self.take(&["src", "dst"])?;
        let between = self.peek().map(|(word, _)| word);
        let other = self.words.get(self.at + 1).map(|&(word, _)| word);
        let both = match (between, other) {
            (Some("or" | "||"), Some("src" | "dst")) if other != Some(first) => Some(Side::Either),
            (Some("and" | "&&"), Some("src" | "dst")) if other != Some(first) => Some(Side::Both),
            _ => None,
        };
        if both.is_some() {
            self.at += 2;
        }
        Some(both.unwrap_or(if first == "src" { Side::Source } else { Side::Destination }))
    }

    fn valued(
        &mut self,
        said: Qualifiers<'_>,
        value: Word<'_>,
        protocol: Word<'_>,
    ) -> Result<Primitive> {
        let side = said.side.unwrap_or(Side::Either);
        match (said.kind.unwrap_or(Kind::Host), said.protocol) {
            (Kind::Host, Some("ether")) => station(value).map(|mac| Primitive::Station(side, mac)),
            (Kind::Host, _) => {
                let (address, prefix) = (value.0, None);
                network(value, address, prefix, said, protocol, side)
            }
            (Kind::Net, _) => self.net(said, value, protocol, side),
            (Kind::Port | Kind::PortRange, name) => {
                let transports = transports(name, protocol)?;
                let range = match said.kind {
                    Some(Kind::Port) => port(value, value.0).map(|port| port..=port)?,
                    _ => port_range(value)?,
                };
                Ok(Primitive::Ports(side, transports, range))
            }
            (Kind::Proto, _) if said.side.is_some() => {
                Err(wrong(value, "a protocol has no src and no dst"))
            }
            (Kind::Proto, Some("ether")) => ether_type(value).map(Primitive::EtherType),
            (Kind::Proto, None) => Ok(Primitive::Protocol(None, ip_protocol(value)?)),
            (Kind::Proto, Some("ip")) => {
                Ok(Primitive::Protocol(Some(Version::V4), ip_protocol(value)?))
            }
            (Kind::Proto, Some("ip6")) => {
                Ok(Primitive::Protocol(Some(Version::V6), ip_protocol(value)?))
            }
            (Kind::Proto, Some(_)) => {
                Err(wrong(protocol, "only ether, ip and ip6 carry a protocol by number"))
            }
        }
    }

    /// `net 10.0.0.0/8`, `net 10`, `net 10.0.0.0 mask 255.0.0.0`.
    fn net(
        &mut self,
        said: Qualifiers<'_>,
        value: Word<'_>,
        protocol: Word<'_>,
        side: Side,
    ) -> Result<Primitive> {
        if said.protocol == Some("ether") {
            return Err(wrong(value, "Ethernet has no networks: 'ether host' takes an address"));
        }
        if let Some((address, prefix)) = value.0.split_once('/') {
            let Some(prefix) = number::<u8>(prefix) else {
                return Err(wrong(value, "behind the / the length of the prefix is expected"));
            };
            return network(value, address, Some(prefix), said, protocol, side);
        }
        if self.take(&["mask"]).is_some() {
            let Some(word) = self.next() else { return Err(at_end("a mask is expected")) };
            let Some(mask) = Ipv4Addr::from_str(word.0).ok().map(Ipv4Addr::to_bits) else {
                return Err(wrong(word, "a mask like 255.255.0.0 is expected"));
            };
            let prefix = mask.leading_ones();
            if mask.count_ones() != prefix {
                return Err(wrong(word, "a mask has all its ones in front, like 255.255.0.0"));
            }
            return network(value, value.0, Some(prefix as u8), said, protocol, side);
        }
        if value.0.contains(':') {
            return network(value, value.0, None, said, protocol, side);
        }
        // 10 is 10.0.0.0/8, 10.1 is 10.1.0.0/16, 10.1.2 is 10.1.2.0/24.
        let parts: Option<Vec<u8>> = value.0.split('.').map(number).collect();
        let Some(parts) = parts.filter(|parts| parts.len() <= 4) else {
            return Err(wrong(value, "a network like 10.0.0.0/8 or 2001:db8::/32 is expected"));
        };
        let mut bytes = [0; 4];
        for (byte, part) in bytes.iter_mut().zip(&parts) {
            *byte = *part;
        }
        let (address, prefix) = (Ipv4Addr::from(bytes).to_string(), 8 * parts.len() as u8);
        network(value, &address, Some(prefix), said, protocol, side)
    }

    fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T> {
        let Some(word) = self.next() else { return Err(at_end(format!("{what} is expected"))) };
        number(word.0).ok_or_else(|| wrong(word, format!("{what} is expected")))
    }
}

impl Qualifiers<'_> {
    /// What kind of value belongs to them.
    fn value(&self) -> &'static str {
        match (self.kind, self.protocol) {
            (Some(Kind::Port), _) => "a port's number",
            (Some(Kind::PortRange), _) => "a range of ports like 8000-8080",
            (Some(Kind::Proto), _) => "a protocol's number or name",
            (Some(Kind::Net), _) => "a network like 10.0.0.0/8",
            (_, Some("ether")) => "an Ethernet address",
            (Some(Kind::Host), _) => "an IPv4 or IPv6 address",
            (None, _) => "host, net, port, portrange or an address",
        }
    }
}

fn is_connective(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "&&" | "||" | "!" | "(" | ")" | "&" | "|")
}

fn starts_number(word: &str) -> bool {
    let hex = |c: char| c.is_ascii_hexdigit();
    word.starts_with(|c: char| c.is_ascii_digit())
        || word.contains(':') && word.starts_with(|c| hex(c) || c == ':')
}

/// A number, decimal or hexadecimal with 0x before it.
fn number<T: TryFrom<u64>>(word: &str) -> Option<T> {
    let value = match word.strip_prefix("0x") {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()?
        }
        Some(_) => return None,
        None if word.starts_with(|c: char| c.is_ascii_digit()) => word.parse().ok()?,
        None => return None,
    };
    value.try_into().ok()
}

/// A protocol without more is a condition of its own.
fn alone(protocol: Word<'_>) -> Result<Primitive> {
    Ok(match protocol.0 {
        "ip" => Primitive::EtherType(IPV4),
        "ip6" => Primitive::EtherType(IPV6),
        "arp" => Primitive::EtherType(ARP),
        "rarp" => Primitive::EtherType(RARP),
        "tcp" => Primitive::Protocol(None, TCP),
        "udp" => Primitive::Protocol(None, UDP),
        "sctp" => Primitive::Protocol(None, SCTP),
        "icmp" => Primitive::Protocol(Some(Version::V4), ICMP),
        "icmp6" => Primitive::Protocol(Some(Version::V6), ICMPV6),
        _ => {
            return Err(wrong(
                protocol,
                "what of Ethernet? host, src, dst, proto, broadcast or multicast is expected behind it",
            ));
        }
    })
}

fn station(value: Word<'_>) -> Result<MacAddress> {
    let mut bytes = [0; 6];
    let mut parts = value.0.split([':', '-']);
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() <= 2 && !part.starts_with('+'));
        let read = part.and_then(|part| u8::from_str_radix(part, 16).ok());
        *byte = read.ok_or_else(|| no_station(value))?;
    }
    if parts.next().is_some() {
        return Err(no_station(value));
    }
    Ok(MacAddress(bytes))
}

fn no_station(value: Word<'_>) -> FilterError {
    wrong(value, "an Ethernet address like 02:00:00:00:00:01 is expected")
}

/// Addresses of one prefix, or one address.
fn network(
    value: Word<'_>,
    address: &str,
    prefix: Option<u8>,
    said: Qualifiers<'_>,
    protocol: Word<'_>,
    side: Side,
) -> Result<Primitive> {
    let outside = |prefix| wrong(value, format!("a prefix has at most {prefix} bits"));
    let stray = || wrong(value, "there are bits behind the prefix; they must be zero");
    if let Ok(address) = Ipv4Addr::from_str(address) {
        let carriers = carriers(said.protocol, protocol)?;
        let prefix = prefix.unwrap_or(32);
        let host_bits = 32u8.checked_sub(prefix).ok_or_else(|| outside(32))?;
        let mask = u32::MAX.checked_shl(host_bits.into()).unwrap_or(0);
        if address.to_bits() & !mask != 0 {
            return Err(stray());
        }
        return Ok(Primitive::Network4(side, Network4 { address, mask }, carriers));
    }
    if let Ok(address) = Ipv6Addr::from_str(address) {
        if !matches!(said.protocol, None | Some("ip6")) {
            return Err(wrong(
                value,
                format!("'{}' does not go with an IPv6 address", said.protocol.unwrap_or_default()),
            ));
        }
        let prefix = prefix.unwrap_or(128);
        let host_bits = 128u8.checked_sub(prefix).ok_or_else(|| outside(128))?;
        let mask = u128::MAX.checked_shl(host_bits.into()).unwrap_or(0);
        if address.to_bits() & !mask != 0 {
            return Err(stray());
        }
        return Ok(Primitive::Network6(side, Network6 { address, mask }));
    }
    Err(wrong(
        value,
        "an IPv4 or IPv6 address is expected; names are not looked up, and an Ethernet address needs 'ether host' before it",
    ))
}

fn carriers(protocol: Option<&str>, word: Word<'_>) -> Result<Carriers> {
    let none = Carriers { ip: false, arp: false, rarp: false };
    Ok(match protocol {
        None => Carriers { ip: true, arp: true, rarp: true },
        Some("ip") => Carriers { ip: true, ..none },
        Some("arp") => Carriers { arp: true, ..none },
        Some("rarp") => Carriers { rarp: true, ..none },
        Some(other) => {
            return Err(wrong(word, format!("'{other}' does not go with an IPv4 address")));
        }
    })
}

fn transports(protocol: Option<&str>, word: Word<'_>) -> Result<Transports> {
    let none = Transports { tcp: false, udp: false, sctp: false };
    Ok(match protocol {
        None => Transports { tcp: true, udp: true, sctp: true },
        Some("tcp") => Transports { tcp: true, ..none },
        Some("udp") => Transports { udp: true, ..none },
        Some("sctp") => Transports { sctp: true, ..none },
        Some(other) => {
            return Err(wrong(word, format!("'{other}' has no ports; tcp, udp and sctp have")));
        }
    })
}

fn port(value: Word<'_>, digits: &str) -> Result<u16> {
    number(digits).ok_or_else(|| wrong(value, "a port is a number from 0 to 65535"))
}

fn port_range(value: Word<'_>) -> Result<std::ops::RangeInclusive<u16>> {
    let Some((first, last)) = value.0.split_once('-') else {
        return Err(wrong(value, "a range of ports like 8000-8080 is expected"));
    };
    let (first, last) = (port(value, first)?, port(value, last)?);
    if first > last {
        return Err(wrong(value, "the first port of a range is not above the last"));
    }
    Ok(first..=last)
}

fn ether_type(value: Word<'_>) -> Result<u16> {
    match name(value) {
        "ip" => Ok(IPV4),
        "ip6" => Ok(IPV6),
        "arp" => Ok(ARP),
        "rarp" => Ok(RARP),
        word => number(word).filter(|&value| value >= LEAST_TYPE).ok_or_else(|| {
            wrong(
                value,
                "an Ethernet type from 0x600 to 0xffff, or ip, ip6, arp or rarp, is expected",
            )
        }),
    }
}

fn ip_protocol(value: Word<'_>) -> Result<u8> {
    match name(value) {
        "tcp" => Ok(TCP),
        "udp" => Ok(UDP),
        "sctp" => Ok(SCTP),
        "icmp" => Ok(ICMP),
        "icmp6" => Ok(ICMPV6),
        word => number(word).ok_or_else(|| {
            wrong(value, "a protocol is a number from 0 to 255, or tcp, udp, sctp, icmp or icmp6")
        }),
    }
}

/// The name of a protocol, which pcap-filter(7) wants a backslash before.
fn name<'a>((word, _): Word<'a>) -> &'a str {
    word.strip_prefix('\\').unwrap_or(word)
}
