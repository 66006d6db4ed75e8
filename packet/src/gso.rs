//! The headers of the segments that a large TCP frame is cut into, or of the datagrams that a large UDP frame is.
//!
//! What changes from piece to piece (as Linux does it, so that a receiver cannot tell who cut):
//! - IPv4: total length, identification (one more each), header checksum. IPv6: payload length.
//! - TCP: sequence number; FIN and PSH stay on the last piece only, CWR on the first only (RFC 3168, 6.1.2:
//!   it answers one ECE once); the pseudo-header's sum for the piece's own length.
//! - UDP: length, and the pseudo-header's sum for it.

use std::ops::Range;

use crate::checksum::{self, combine};
use crate::claims::MAX_PIECES;
use crate::layers::{Network, Transport};
use crate::tcp::Flags;
use crate::wire::{Field, range_mut};
use crate::{DropReason, Frame, GsoKind, Offload, PartialChecksum, ipv4, ipv6, tcp, udp};

/// How one frame is cut.
#[derive(Debug)]
pub(crate) struct Cut<'a> {
    headers: &'a [u8],
    network: Network,
    kind: GsoKind,
    l3: usize,
    l4: usize,
    size: usize,
    payload: usize,
    checksum: PartialChecksum,
    /// The sum of the pseudo-header but for the length.
    seed: u16,
}

impl<'a> Cut<'a> {
    /// Holds what is to be done against the frame's headers. `len` is that of the whole frame.
    ///
    /// # Errors
    /// [`DropReason::BadOffload`] if there are no such headers, [`DropReason::TooManySegments`] above
    /// [`MAX_PIECES`].
    pub(crate) fn new(frame: &'a Frame, len: usize) -> Result<Self, DropReason> {
        Self::checked(frame, len).ok_or(DropReason::BadOffload).and_then(|cut| {
            if cut.count() > MAX_PIECES { Err(DropReason::TooManySegments) } else { Ok(cut) }
        })
    }

    fn checked(frame: &'a Frame, len: usize) -> Option<Self> {
        let Offload { checksum: Some(checksum), gso: Some(gso) } = frame.offload else {
            return None;
        };
        let layers = frame.layers;
        let network = match gso.kind {
            GsoKind::TcpV4 => Network::Ipv4,
            GsoKind::TcpV6 => Network::Ipv6,
            GsoKind::Udp => layers.network,
        };
        let least = match network {
            Network::Ipv4 => ipv4::MIN_HEADER_LEN,
            Network::Ipv6 => ipv6::HEADER_LEN,
            Network::None | Network::Arp => return None,
        };
        let (transport, upper, field) = match gso.kind {
            GsoKind::TcpV4 | GsoKind::TcpV6 => {
                (Transport::Tcp, tcp::MIN_HEADER_LEN, tcp::field::CHECKSUM)
            }
            GsoKind::Udp => (Transport::Udp, udp::HEADER_LEN, udp::field::CHECKSUM),
        };
        let (l3, l4) = (usize::from(layers.l3), usize::from(layers.l4));
        let headers = frame.head().get(..usize::from(gso.headers))?;
        let whole = layers.network == network
            && layers.transport == transport
            && l4.checked_sub(l3)? >= least
            && headers.len().checked_sub(l4)? >= upper
            && checksum.start == layers.l4
            && usize::from(checksum.offset) == field;
        let payload = len.checked_sub(headers.len())?;
        let size = usize::from(gso.size);
        // The longest piece must have a length that IP can say.
        let longest = headers.len().checked_sub(l3)?.checked_add(size.min(payload))?;
        if !whole || size == 0 || payload == 0 || longest > usize::from(u16::MAX) {
            return None;
        }
        let sum = u16::read(headers.get(l4..)?, field);
        // The sender summed its pseudo-header with the length of the whole: take that out again.
        let whole_len = length_sum(len.checked_sub(l4)?);
        let seed = combine(sum, !whole_len, false);
        Some(Self { headers, network, kind: gso.kind, l3, l4, size, payload, checksum, seed })
    }

    /// How many pieces there are, at least one.
    pub(crate) fn count(&self) -> usize {
        self.payload.div_ceil(self.size)
    }

    /// Bytes of the headers of each piece.
    pub(crate) fn headers_len(&self) -> usize {
        self.headers.len()
    }

    /// The checksum that each piece still needs.
    pub(crate) fn checksum(&self) -> PartialChecksum {
        self.checksum
    }

    /// Which bytes of the payload a piece has.
    pub(crate) fn range(&self, piece: usize) -> Range<usize> {
        let from = piece.saturating_mul(self.size).min(self.payload);
        from..from.saturating_add(self.size).min(self.payload)
    }

    /// Writes the headers of a piece to the front of `room`, which has room for them. The checksum field
    /// holds the sum of the piece's pseudo-header.
    pub(crate) fn emit(&self, piece: usize, room: &mut [u8]) {
        let range = self.range(piece);
        let Some(out) = room.get_mut(..self.headers.len()) else { return };
        out.copy_from_slice(self.headers);
        let network = range_mut(out, self.l3, self.l4);
        let behind_l3 = self.headers.len().saturating_sub(self.l3).saturating_add(range.len());
        match self.network {
            Network::None | Network::Arp => {}
            Network::Ipv4 => {
                let mut ip = ipv4::Header::new_unchecked(network);
                ip.set_total_len(behind_l3 as u16);
                ip.set_identification(ip.identification().wrapping_add(piece as u16));
                ip.fill_checksum();
            }
            Network::Ipv6 => {
                let mut ip = ipv6::Header::new_unchecked(network);
                ip.set_payload_len(behind_l3.saturating_sub(ipv6::HEADER_LEN) as u16);
            }
        }
        let segment_len = self.headers.len().saturating_sub(self.l4).saturating_add(range.len());
        let transport = range_mut(out, self.l4, self.headers.len());
        let sum = combine(self.seed, length_sum(segment_len), false);
        if self.kind == GsoKind::Udp {
            let mut udp = udp::Header::new_unchecked(transport);
            udp.set_datagram_len(segment_len as u16);
            udp.set_checksum(sum);
            return;
        }
        let mut tcp = tcp::Header::new_unchecked(transport);
        tcp.set_sequence(tcp.sequence().wrapping_add(range.start as u32));
        let mut flags = tcp.flags();
        if piece != 0 {
            flags = flags.without(Flags::CWR);
        }
        if range.end != self.payload {
            flags = flags.without(Flags::FIN).without(Flags::PSH);
        }
        tcp.set_flags(flags);
        tcp.set_checksum(sum);
    }
}

/// A length as it counts in a pseudo-header's sum.
fn length_sum(len: usize) -> u16 {
    checksum::fold(len as u64)
}
