//! IPv6 (RFC 8200) and its extension headers.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+---------------+---------------------------------------+
//! |version| traffic class |              flow label               |
//! +-------+---------------+-------+---------------+---------------+
//! |        payload length         |  next header  |   hop limit   |
//! +-------------------------------+---------------+---------------+
//! |                     source, 16 bytes                          |
//! |                   destination, 16 bytes                       |
//!
//! hop-by-hop, routing, destination options, AH:      fragment:
//! +-------------+-------------+---------- …         +------+------+-----------+--+-+----------------+
//! | next header |   length    | contents            | next | rsvd |  offset   |  |M| identification |
//! +-------------+-------------+---------- …         +------+------+-----------+--+-+----------------+
//! length: 8-byte units beyond the first (AH: 4-byte units, less two)
//! ```
//!
//! A view covers a frame's head, and a packet may go on in its tail: only the header must lie in the bytes.
//!
//! - RFC 8200, 4: extension headers MUST be processed strictly in the order in which they appear.
//! - RFC 8200, 4.1: hop-by-hop options stand immediately behind the IPv6 header only; elsewhere their number
//!   is not recognised (4), and what follows stays unread.
//! - RFC 8200, 4.2: options are taken in order; two high bits of a type say what becomes of a packet whose
//!   option is not recognised.
//! - RFC 8200, 4.5: only the fragment at offset 0 holds the headers behind the fragment header. RFC 6946, 4: a
//!   fragment header with offset 0 and no more fragments MUST be taken as a packet by itself.
//! - RFC 8200, 4.7: what follows "no next header" MUST be ignored.
//! - RFC 7112, 5: a first fragment MUST hold all headers; one that does not is [`Malformed::Truncated`].
//! - RFC 8504, 5.3: a node may limit the number of extension headers; here [`MAX_EXTENSIONS`].

use std::net::Ipv6Addr;

use crate::{
    checksum::{self, Sum},
    ip::{Ecn, Protocol},
    wire::{Field, Malformed, array, at_least, range, rest, view},
};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;
/// How many extension headers are walked over. RFC 8200, 4.1 names six in its order, one of them twice; one
/// more for AH and a spare one.
pub const MAX_EXTENSIONS: usize = 8;
/// Bytes of a fragment header, and the unit of extension headers.
const UNIT: usize = 8;

const VERSION: u8 = 6;

/// Where the fields lie.
pub mod field {
    /// Version, traffic class, flow label, 4 bytes.
    pub const VERSION_CLASS_FLOW: usize = 0;
    /// Payload length, 2 bytes.
    pub const PAYLOAD_LEN: usize = 4;
    /// Next header, 1 byte.
    pub const NEXT_HEADER: usize = 6;
    /// Hop limit, 1 byte.
    pub const HOP_LIMIT: usize = 7;
    /// Source address, 16 bytes.
    pub const SOURCE: usize = 8;
    /// Destination address, 16 bytes.
    pub const DESTINATION: usize = 24;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, HEADER_LEN)?;
    if u8::read(bytes, 0) >> 4 != VERSION {
        return Err(Malformed::Version);
    }
    Ok(())
}

view! {
    /// An IPv6 header and what follows it.
    Header, checked by check;
    /// Bytes behind the header, extension headers included; 0 for a jumbogram (RFC 2675).
    payload_len, set_payload_len: u16 = field::PAYLOAD_LEN;
    /// What follows the header.
    next_header, set_next_header: Protocol = field::NEXT_HEADER;
    /// Routers that it may still pass.
    hop_limit, set_hop_limit: u8 = field::HOP_LIMIT;
    /// Who sent it.
    source, set_source: Ipv6Addr = field::SOURCE;
    /// Whom it is for.
    destination, set_destination: Ipv6Addr = field::DESTINATION;
}

impl<T: AsRef<[u8]>> Header<T> {
    fn first_word(&self) -> u32 {
        u32::read(self.bytes(), field::VERSION_CLASS_FLOW)
    }

    /// Traffic class: DSCP in the upper 6 bits (RFC 2474), ECN in the lower 2 (RFC 3168).
    #[inline]
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        (self.first_word() >> 20) as u8
    }

    /// Congestion notification.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::of(self.traffic_class())
    }

    /// The flow label, 20 bits.
    #[inline]
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        self.first_word() & 0xf_ffff
    }

    /// What follows the fixed header, as far as the bytes hold it, without padding of the link.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let end = HEADER_LEN.saturating_add(usize::from(self.payload_len()));
        range(self.bytes(), HEADER_LEN, end)
    }

    /// Walks over the extension headers.
    ///
    /// # Errors
    /// As for [`Chain::walk`].
    #[inline]
    pub fn chain(&self) -> Result<Chain, Malformed> {
        Chain::walk(self.next_header(), self.payload())
    }

    /// The sum of the pseudo-header for an upper layer of `len` bytes (RFC 8200, 8.1).
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self, protocol: Protocol, len: u32) -> Sum {
        checksum::pseudo_v6(self.source(), self.destination(), protocol, len)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Header<T> {
    /// Sets version, traffic class and flow label (its lowest 20 bits).
    #[inline]
    pub fn set_class_and_flow(&mut self, traffic_class: u8, flow_label: u32) {
        let word =
            u32::from(VERSION) << 28 | u32::from(traffic_class) << 20 | flow_label & 0xf_ffff;
        word.write(self.bytes_mut(), field::VERSION_CLASS_FLOW);
    }

    /// What follows the fixed header, to be changed.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = HEADER_LEN.saturating_add(usize::from(self.payload_len()));
        crate::wire::range_mut(self.bytes_mut(), HEADER_LEN, end)
    }
}

/// An IPv6 header, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Who sends it.
    pub source: Ipv6Addr,
    /// Whom it is for.
    pub destination: Ipv6Addr,
    /// What follows the header.
    pub next_header: Protocol,
    /// Routers that it may pass.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The flow, 20 bits.
    pub flow_label: u32,
    /// Bytes behind the header.
    pub payload_len: u16,
}

impl Repr {
    /// What a view shows.
    #[must_use]
    pub fn parse<T: AsRef<[u8]>>(header: &Header<T>) -> Self {
        Self {
            source: header.source(),
            destination: header.destination(),
            next_header: header.next_header(),
            hop_limit: header.hop_limit(),
            traffic_class: header.traffic_class(),
            flow_label: header.flow_label(),
            payload_len: header.payload_len(),
        }
    }

    /// Writes the header into a view of at least [`HEADER_LEN`] bytes.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, header: &mut Header<T>) {
        header.set_class_and_flow(self.traffic_class, self.flow_label);
        header.set_payload_len(self.payload_len);
        header.set_next_header(self.next_header);
        header.set_hop_limit(self.hop_limit);
        header.set_source(self.source);
        header.set_destination(self.destination);
    }
}

/// Which part of a packet a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where it lies in the fragmented part, in bytes.
    pub offset: u16,
    /// Whether further fragments follow.
    pub more: bool,
    /// Which packet it is of.
    pub identification: u32,
}

impl Fragment {
    #[inline]
    fn read(header: &[u8]) -> Self {
        let word = u16::read(header, 2);
        Self { offset: word & 0xfff8, more: word & 1 == 1, identification: u32::read(header, 4) }
    }

    /// Whether it is a whole packet all the same (RFC 6946).
    #[inline]
    #[must_use]
    pub const fn is_atomic(self) -> bool {
        self.offset == 0 && !self.more
    }

    /// Whether headers of upper layers are elsewhere.
    #[inline]
    #[must_use]
    pub const fn is_later(self) -> bool {
        self.offset != 0
    }
}

/// What one step over the extension headers found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Which extension header it is.
    pub kind: Protocol,
    /// What follows it.
    pub next_header: Protocol,
    /// The whole header, from its *next header* field.
    pub bytes: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The options in a hop-by-hop or destination options header; none in another.
    #[inline]
    #[must_use]
    pub fn options(&self) -> Options<'a> {
        let holds = matches!(self.kind, Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS);
        Options { left: if holds { rest(self.bytes, 2) } else { &[] } }
    }

    /// What a fragment header says; `None` for another header.
    #[inline]
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        (self.kind == Protocol::FRAGMENT).then(|| Fragment::read(self.bytes))
    }
}

/// Goes over extension headers in their order; at most [`MAX_EXTENSIONS`]. It ends before the upper layer,
/// behind the header of a later fragment, or behind the first error.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    next: Protocol,
    left: &'a [u8],
    taken: usize,
    done: bool,
}

impl<'a> Extensions<'a> {
    /// The extension headers in what follows a fixed header.
    #[inline]
    #[must_use]
    pub const fn new(next_header: Protocol, payload: &'a [u8]) -> Self {
        Self { next: next_header, left: payload, taken: 0, done: false }
    }

    /// Bytes of the extension header at the front, or `None` if there is none.
    #[inline]
    fn front(&self) -> Option<Result<usize, Malformed>> {
        let scale = match self.next {
            Protocol::HOP_BY_HOP if self.taken == 0 => UNIT,
            Protocol::ROUTING | Protocol::DESTINATION_OPTIONS => UNIT,
            // Its second byte is reserved, and its length fixed.
            Protocol::FRAGMENT => 0,
            Protocol::AH => 4,
            _ => return None,
        };
        if self.taken == MAX_EXTENSIONS {
            return Some(Err(Malformed::TooDeep));
        }
        Some(at_least(self.left, UNIT).and_then(|()| {
            let units = usize::from(u8::read(self.left, 1));
            let len = UNIT.saturating_add(units.saturating_mul(scale));
            // AH's fixed part alone is 12 bytes (RFC 4302, 2.2).
            if self.next == Protocol::AH && len < 12 {
                return Err(Malformed::Length);
            }
            at_least(self.left, len).map(|()| len)
        }))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let len = match self.front()? {
            Ok(len) => len,
            Err(error) => {
                self.done = true;
                return Some(Err(error));
            }
        };
        let bytes = range(self.left, 0, len);
        let [next] = array(bytes, 0);
        let extension = Extension { kind: self.next, next_header: Protocol(next), bytes };
        self.next = extension.next_header;
        self.left = rest(self.left, len);
        self.taken = self.taken.saturating_add(1);
        self.done = extension.fragment().is_some_and(Fragment::is_later);
        Some(Ok(extension))
    }
}

/// What a walk over all extension headers found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What follows the last extension header; for a later fragment, what its fragment header names. An
    /// extension header's number again where it may not stand.
    pub protocol: Protocol,
    /// Bytes from the end of the fixed header to the upper layer.
    pub len: usize,
    /// The fragment header, if there is one; the first one counts.
    pub fragment: Option<Fragment>,
}

impl Chain {
    /// Walks over the extension headers behind a fixed header.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if the bytes end within a header, [`Malformed::Length`] if a length is
    /// impossible, [`Malformed::TooDeep`] behind [`MAX_EXTENSIONS`].
    #[inline]
    pub fn walk(next_header: Protocol, payload: &[u8]) -> Result<Self, Malformed> {
        let mut chain = Self { protocol: next_header, len: 0, fragment: None };
        for extension in Extensions::new(next_header, payload) {
            let extension = extension?;
            chain.protocol = extension.next_header;
            chain.len = chain.len.saturating_add(extension.bytes.len());
            chain.fragment = chain.fragment.or_else(|| extension.fragment());
        }
        Ok(chain)
    }
}

/// What becomes of a packet with an option that is not recognised (RFC 8200, 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecognised {
    /// The option is skipped.
    Skip,
    /// The packet is discarded.
    Discard,
    /// It is discarded, and its source told.
    DiscardAndReport,
    /// It is discarded, and its source told unless the destination was a multicast address.
    DiscardAndReportUnicast,
}

/// An option of a hop-by-hop or destination options header. Padding is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Option<'a> {
    /// What kind it is of.
    pub kind: u8,
    /// Its data, without type and length.
    pub data: &'a [u8],
}

impl Ipv6Option<'_> {
    /// What becomes of the packet where the option is not recognised.
    #[inline]
    #[must_use]
    pub const fn unrecognised(&self) -> Unrecognised {
        match self.kind >> 6 {
            0 => Unrecognised::Skip,
            1 => Unrecognised::Discard,
            2 => Unrecognised::DiscardAndReport,
            _ => Unrecognised::DiscardAndReportUnicast,
        }
    }
}

/// Goes over options in their order. Each step takes at least one byte, so the header's length bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    left: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Ipv6Option<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        const PAD1: u8 = 0;
        const PADN: u8 = 1;
        loop {
            let (kind, data, left) = match self.left {
                [] => return None,
                [PAD1, left @ ..] => {
                    self.left = left;
                    continue;
                }
                [kind, len, left @ ..] if usize::from(*len) <= left.len() => {
                    let len = usize::from(*len);
                    (*kind, range(left, 0, len), rest(left, len))
                }
                _ => {
                    self.left = &[];
                    return Some(Err(Malformed::Truncated));
                }
            };
            self.left = left;
            if kind != PADN {
                return Some(Ok(Ipv6Option { kind, data }));
            }
        }
    }
}

#[cfg(test)]
mod tests;
