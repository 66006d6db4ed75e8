//! What a sender's virtio-net header asks for, held against the frame's own headers.
//!
//! A guest writes that header, so nothing in it is believed: it may say *that* a checksum is to be finished
//! and that a frame is to be cut, and of what size the pieces are. *Where* the headers lie comes from our
//! own parse, and a header that says otherwise costs the frame. `VIRTIO_NET_HDR_F_DATA_VALID` is a
//! sender's opinion of its own checksum and is ignored.
//!
//! Refused: UDP fragmentation, checksums of protocols other than TCP and UDP, and checksums or segments behind a
//! sender's own encapsulation. UDP segmentation is not offered to guests, but interfaces of the kernel hand such frames
//! over, and who is no guest is believed no more.

use crate::layers::{Layers, Network, Transport};
use crate::{DropReason, Gso, GsoKind, Offload, PartialChecksum, tcp, udp};

/// The least payload of a segment, in bytes: the smallest maximum segment size that Linux uses
/// (`TCP_MIN_SND_MSS`). Less only makes work for the switch.
pub const MIN_GSO_SIZE: u16 = 48;
/// The most pieces of one frame: 64 KiB in segments of 536 bytes (RFC 9293, 3.7.1) are 123.
pub const MAX_PIECES: usize = 128;

/// A virtio-net header as a sender wrote it (virtio 1.2, 5.1.6), in host order. Nothing in it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes of all headers; a hint that nobody has to give right, and that nothing here reads.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksum's coverage begins, from the first byte of the frame.
    pub csum_start: u16,
    /// Where the checksum lies, from `csum_start`.
    pub csum_offset: u16,
}

impl Claims {
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
    pub const NEEDS_CSUM: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_NONE`.
    pub const GSO_NONE: u8 = 0;
    /// `VIRTIO_NET_HDR_GSO_TCPV4`.
    pub const GSO_TCPV4: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV6`.
    pub const GSO_TCPV6: u8 = 4;
    /// `VIRTIO_NET_HDR_GSO_UDP_L4`.
    pub const GSO_UDP_L4: u8 = 5;
    /// `VIRTIO_NET_HDR_GSO_ECN`, a bit beside the type.
    pub const GSO_ECN: u8 = 0x80;

    /// Whether nothing is asked for.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags & Self::NEEDS_CSUM == 0 && self.gso_type == Self::GSO_NONE
    }

    /// What is left to do for a frame of `len` bytes with these headers, no fragment.
    ///
    /// # Errors
    /// [`DropReason::BadOffload`] if the headers are not those that the sender claims;
    /// [`DropReason::TooManySegments`] if there would be more than [`MAX_PIECES`].
    pub fn check(&self, layers: &Layers, len: usize) -> Result<Offload, DropReason> {
        if self.is_empty() {
            return Ok(Offload::default());
        }
        let checksum = self.checksum(layers)?;
        let gso = match self.gso_type {
            Self::GSO_NONE => None,
            _ => self.gso(layers, len)?,
        };
        Ok(Offload { checksum: Some(checksum), gso })
    }

    /// A checksum where our own parse finds that of TCP or UDP. Segments need one too (virtio 1.2, 5.1.6.2).
    fn checksum(&self, layers: &Layers) -> Result<PartialChecksum, DropReason> {
        let offset = match layers.transport {
            Transport::Tcp => tcp::field::CHECKSUM,
            Transport::Udp => udp::field::CHECKSUM,
            _ => return Err(DropReason::BadOffload),
        };
        let fits = self.flags & Self::NEEDS_CSUM != 0
            && self.csum_start == layers.l4
            && usize::from(self.csum_offset) == offset;
        if !fits {
            return Err(DropReason::BadOffload);
        }
        Ok(PartialChecksum { start: layers.l4, offset: offset as u16 })
    }

    /// How it is cut; `None` if one piece holds all of it.
    fn gso(&self, layers: &Layers, len: usize) -> Result<Option<Gso>, DropReason> {
        let ecn = self.gso_type & Self::GSO_ECN != 0;
        let (kind, least) = match (self.gso_type & !Self::GSO_ECN, layers.network, layers.transport)
        {
            (Self::GSO_TCPV4, Network::Ipv4, Transport::Tcp) => (GsoKind::TcpV4, MIN_GSO_SIZE),
            (Self::GSO_TCPV6, Network::Ipv6, Transport::Tcp) => (GsoKind::TcpV6, MIN_GSO_SIZE),
            // Datagrams are as small as their sender likes.
            (Self::GSO_UDP_L4, Network::Ipv4 | Network::Ipv6, Transport::Udp) if !ecn => {
                (GsoKind::Udp, 1)
            }
            _ => return Err(DropReason::BadOffload),
        };
        if self.gso_size < least {
            return Err(DropReason::BadOffload);
        }
        let payload = len.saturating_sub(usize::from(layers.payload));
        let pieces = payload.div_ceil(usize::from(self.gso_size));
        if pieces > MAX_PIECES {
            return Err(DropReason::TooManySegments);
        }
        Ok((pieces > 1).then_some(Gso { kind, ecn, size: self.gso_size, headers: layers.payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP4: Layers = Layers {
        l3: 14,
        l4: 34,
        payload: 54,
        network: Network::Ipv4,
        transport: Transport::Tcp,
        vlan_tags: 0,
    };
    const LARGE: Claims = Claims {
        flags: Claims::NEEDS_CSUM,
        gso_type: Claims::GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    const BAD: Result<Offload, DropReason> = Err(DropReason::BadOffload);

    #[test]
    fn an_honest_header_is_what_we_parsed() {
        let checksum = Some(PartialChecksum { start: 34, offset: 16 });
        let gso = Some(Gso { kind: GsoKind::TcpV4, ecn: false, size: 1448, headers: 54 });
        assert_eq!(LARGE.check(&TCP4, 65_000), Ok(Offload { checksum, gso }));
        let ecn = Claims { gso_type: Claims::GSO_TCPV4 | Claims::GSO_ECN, ..LARGE };
        assert!(ecn.check(&TCP4, 65_000).unwrap().gso.unwrap().ecn);
        let tcp6 = Layers { network: Network::Ipv6, ..TCP4 };
        let six = Claims { gso_type: Claims::GSO_TCPV6, ..LARGE };
        assert_eq!(six.check(&tcp6, 65_000).unwrap().gso.unwrap().kind, GsoKind::TcpV6);
        let udp = Layers { transport: Transport::Udp, payload: 42, ..TCP4 };
        let small = Claims { gso_type: 0, csum_offset: 6, ..LARGE };
        let checksum = Some(PartialChecksum { start: 34, offset: 6 });
        assert_eq!(small.check(&udp, 1000), Ok(Offload { checksum, gso: None }));
    }

    #[test]
    fn nothing_asked_for_and_data_valid_leave_nothing_to_do() {
        let valid = Claims { flags: 2, csum_start: 9999, ..Claims::default() };
        assert_eq!(valid.check(&Layers::default(), 60), Ok(Offload::default()));
    }

    #[test]
    fn a_frame_that_fits_one_piece_is_not_cut() {
        assert_eq!(LARGE.check(&TCP4, 54 + 1448).unwrap().gso, None);
        assert!(LARGE.check(&TCP4, 54 + 1449).unwrap().gso.is_some());
    }

    #[test]
    fn a_checksum_elsewhere_than_ours_is_refused() {
        let plain = Claims { gso_type: 0, ..LARGE };
        for start in (0..=u16::MAX).filter(|start| *start != 34) {
            assert_eq!(Claims { csum_start: start, ..plain }.check(&TCP4, 1000), BAD);
        }
        for offset in (0..=u16::MAX).filter(|offset| *offset != 16) {
            assert_eq!(Claims { csum_offset: offset, ..plain }.check(&TCP4, 1000), BAD);
        }
        for transport in [Transport::None, Transport::Sctp, Transport::Icmp, Transport::Icmpv6] {
            assert_eq!(plain.check(&Layers { transport, ..TCP4 }, 1000), BAD);
        }
    }

    #[test]
    fn segments_need_a_checksum_and_the_right_protocol() {
        assert_eq!(Claims { flags: 0, ..LARGE }.check(&TCP4, 9000), BAD);
        assert_eq!(LARGE.check(&Layers { network: Network::Ipv6, ..TCP4 }, 9000), BAD);
        assert_eq!(LARGE.check(&Layers { transport: Transport::Udp, ..TCP4 }, 9000), BAD);
        // All that is no TCP segmentation: UDP fragmentation (3), UDP segmentation (5), ECN alone, unknown.
        for gso_type in (0..=u8::MAX).filter(|kind| !matches!(kind, 0 | 1 | 0x81)) {
            assert_eq!(Claims { gso_type, ..LARGE }.check(&TCP4, 9000), BAD, "{gso_type}");
        }
    }

    #[test]
    fn datagrams_are_cut_at_any_size_and_have_no_ecn() {
        let udp = Layers { transport: Transport::Udp, payload: 42, ..TCP4 };
        let large = Claims { gso_type: Claims::GSO_UDP_L4, gso_size: 1, csum_offset: 6, ..LARGE };
        for network in [Network::Ipv4, Network::Ipv6] {
            let gso = large.check(&Layers { network, ..udp }, 42 + MAX_PIECES).unwrap().gso;
            assert_eq!(gso, Some(Gso { kind: GsoKind::Udp, ecn: false, size: 1, headers: 42 }));
        }
        let too_many = Err(DropReason::TooManySegments);
        assert_eq!(large.check(&udp, 42 + MAX_PIECES + 1), too_many);
        assert_eq!(Claims { gso_size: 0, ..large }.check(&udp, 100), BAD);
        let ecn = Claims { gso_type: Claims::GSO_UDP_L4 | Claims::GSO_ECN, ..large };
        assert_eq!(ecn.check(&udp, 100), BAD);
        assert_eq!(Claims { csum_offset: 16, ..large }.check(&TCP4, 100), BAD);
    }

    #[test]
    fn pieces_have_a_least_size_and_a_largest_number() {
        for gso_size in 0..MIN_GSO_SIZE {
            assert_eq!(Claims { gso_size, ..LARGE }.check(&TCP4, 9000), BAD);
        }
        let least = Claims { gso_size: MIN_GSO_SIZE, ..LARGE };
        let most = 54 + MAX_PIECES * usize::from(MIN_GSO_SIZE);
        assert!(least.check(&TCP4, most).is_ok());
        assert_eq!(least.check(&TCP4, most + 1), Err(DropReason::TooManySegments));
    }
}
