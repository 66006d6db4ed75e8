//! The virtio-net header before each frame (`struct virtio_net_hdr_mrg_rxbuf`, virtio 1.2, 5.1.6), little-endian.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0 | `flags` | 1: the checksum is unfinished |
//! | 1 | `gso_type` | 1: TCP over IPv4, 4: TCP over IPv6, 5: UDP, with 0x80: CWR on the first segment only |
//! | 2..4 | `hdr_len` | bytes of all headers |
//! | 4..6 | `gso_size` | payload bytes of a segment |
//! | 6..8 | `csum_start` | |
//! | 8..10 | `csum_offset` | |
//! | 10..12 | `num_buffers` | the kernel neither reads nor fills it |
//!
//! A TAP interface has all of it, a packet socket has it without the last field, in the machine's byte order, which is
//! taken to be little-endian.

use strowger_packet::{GsoKind, Offload, claims::Claims};

/// Bytes of the header.
pub(super) const HEADER: usize = 12;
/// Without `num_buffers`.
pub(super) const SHORT: usize = 10;

const _: () =
    assert!(cfg!(target_endian = "little"), "packet sockets speak the machine's byte order");

const NEEDS_CSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// Reads what the kernel wrote.
pub(super) fn decode(bytes: [u8; HEADER]) -> Claims {
    let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1, _, _] = bytes;
    Claims {
        flags,
        gso_type,
        hdr_len: u16::from_le_bytes([h0, h1]),
        gso_size: u16::from_le_bytes([g0, g1]),
        csum_start: u16::from_le_bytes([s0, s1]),
        csum_offset: u16::from_le_bytes([o0, o1]),
    }
}

/// Writes what the kernel still has to do with a frame.
pub(super) fn encode(offload: Offload) -> [u8; HEADER] {
    let (mut flags, mut start, mut offset) = (0, 0, 0);
    if let Some(checksum) = offload.checksum {
        (flags, start, offset) = (NEEDS_CSUM, checksum.start, checksum.offset);
    }
    let (mut gso_type, mut headers, mut size) = (0, 0, 0);
    if let Some(gso) = offload.gso {
        gso_type = match gso.kind {
            GsoKind::TcpV4 => GSO_TCPV4,
            GsoKind::TcpV6 => GSO_TCPV6,
            GsoKind::Udp => GSO_UDP_L4,
        };
        gso_type |= if gso.ecn { GSO_ECN } else { 0 };
        (headers, size) = (gso.headers, gso.size);
    }
    let [h0, h1] = u16::to_le_bytes(headers);
    let [g0, g1] = u16::to_le_bytes(size);
    let [s0, s1] = u16::to_le_bytes(start);
    let [o0, o1] = u16::to_le_bytes(offset);
    [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use strowger_packet::{Gso, PartialChecksum};

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let offload = Offload {
            checksum: Some(PartialChecksum { start: 34, offset: 16 }),
            gso: Some(Gso { kind: GsoKind::TcpV6, ecn: true, size: 1440, headers: 66 }),
        };
        assert_eq!(
            decode(encode(offload)),
            Claims {
                flags: 1,
                gso_type: 0x84,
                hdr_len: 66,
                gso_size: 1440,
                csum_start: 34,
                csum_offset: 16
            }
        );
        assert_eq!(decode(encode(Offload::default())), Claims::default());
    }
}
