//! The virtio-net header before each frame (virtio 1.2, 5.1.6).
//!
//! ```text
//! 0 flags: u8   1 gso_type: u8   2 hdr_len: u16   4 gso_size: u16
//! 6 csum_start: u16   8 csum_offset: u16   10 num_buffers: u16 (with VERSION_1 or MRG_RXBUF only)
//! ```
//!
//! All little-endian: legacy guests of big-endian machines are not served. What a guest writes is kept as its
//! claims, which `packet` holds against the frame; what it is sent is built from the switch's own parse.

use strowger_packet::claims::Claims;
use strowger_packet::{GsoKind, Offload};

/// Its length with `num_buffers`.
pub(crate) const LONG: usize = 12;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const NEEDS_CSUM: u128 = 1;
const GSO_TCPV4: u128 = 1;
const GSO_TCPV6: u128 = 4;
const GSO_UDP_L4: u128 = 5;
const GSO_ECN: u128 = 0x80;

/// A header in the order of its bytes: the first is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u128);

impl Header {
    /// What a receiver still has to do, and in how many buffers the frame lies.
    #[inline]
    pub(crate) fn new(offload: Offload, buffers: u16) -> Self {
        let mut bits = u128::from(buffers) << 80;
        if let Some(checksum) = offload.checksum {
            bits |= NEEDS_CSUM;
            bits |= u128::from(checksum.start) << 48 | u128::from(checksum.offset) << 64;
        }
        if let Some(gso) = offload.gso {
            let kind = match gso.kind {
                GsoKind::TcpV4 => GSO_TCPV4,
                GsoKind::TcpV6 => GSO_TCPV6,
                GsoKind::Udp => GSO_UDP_L4,
            };
            bits |= (kind | if gso.ecn { GSO_ECN } else { 0 }) << 8;
            bits |= u128::from(gso.headers) << 16 | u128::from(gso.size) << 32;
        }
        Self(bits)
    }

    /// What a sender claims, from the first eight bytes and the two that follow. `None` for a frame that is
    /// complete.
    #[inline]
    pub(crate) fn claims(first: u64, csum_offset: impl FnOnce() -> u16) -> Option<Claims> {
        if first & 0xffff == 0 {
            return None;
        }
        Some(Claims {
            flags: first as u8,
            gso_type: (first >> 8) as u8,
            hdr_len: (first >> 16) as u16,
            gso_size: (first >> 32) as u16,
            csum_start: (first >> 48) as u16,
            csum_offset: csum_offset(),
        })
    }

    /// Eight of its bytes from `at`, little-endian.
    #[inline]
    pub(crate) fn word(self, at: usize) -> u64 {
        (self.0 >> (8 * at)) as u64
    }

    /// All of its bytes.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strowger_packet::{Gso, PartialChecksum};

    #[test]
    fn fields_are_where_5_1_6_has_them() {
        let offload = Offload {
            checksum: Some(PartialChecksum { start: 0x0102, offset: 0x0304 }),
            gso: Some(Gso { kind: GsoKind::TcpV6, ecn: true, size: 0x0506, headers: 0x0708 }),
        };
        let header = Header::new(offload, 0x090a);
        let expected = [1, 0x84, 8, 7, 6, 5, 2, 1, 4, 3, 0x0a, 9];
        assert_eq!(header.bytes()[..LONG], expected);
        let claims = Header::claims(header.word(0), || header.word(8) as u16).unwrap();
        assert_eq!((claims.flags, claims.gso_type, claims.hdr_len), (1, 0x84, 0x0708));
        assert_eq!((claims.gso_size, claims.csum_start), (0x0506, 0x0102));
        assert_eq!(claims.csum_offset, 0x0304);
    }

    #[test]
    fn a_complete_frame_claims_nothing() {
        let header = Header::new(Offload::default(), 1);
        assert_eq!(header.bytes()[..LONG], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(Header::claims(header.word(0), || 7), None);
    }
}
