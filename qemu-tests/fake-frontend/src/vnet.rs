//! The virtio-net header before each frame (virtio 1.2, 5.1.6).

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
pub const NEEDS_CSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV4`.
pub const GSO_TCPV4: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV6`.
pub const GSO_TCPV6: u8 = 4;

/// The header's fields, as they are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// `VIRTIO_NET_HDR_F_…`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_…`.
    pub gso_type: u8,
    /// Bytes of all headers.
    pub hdr_len: u16,
    /// Payload bytes of a segment.
    pub gso_size: u16,
    /// Where the checksum begins to cover.
    pub csum_start: u16,
    /// Where it belongs, from there.
    pub csum_offset: u16,
    /// How many buffers hold the frame; there only with 12 bytes.
    pub num_buffers: u16,
}

impl VnetHeader {
    /// A header that asks for a checksum.
    #[must_use]
    pub fn checksum(start: u16, offset: u16) -> Self {
        Self { flags: NEEDS_CSUM, csum_start: start, csum_offset: offset, ..Self::default() }
    }

    /// The same with a large frame of TCP to be cut.
    #[must_use]
    pub fn gso(self, gso_type: u8, hdr_len: u16, gso_size: u16) -> Self {
        Self { gso_type, hdr_len, gso_size, ..self }
    }

    /// The twelve bytes; a legacy header is the first ten.
    #[must_use]
    pub fn emit(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        let words =
            [self.hdr_len, self.gso_size, self.csum_start, self.csum_offset, self.num_buffers];
        for (to, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads ten or twelve bytes; what is not there is 0.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let word = |at: usize| u16::from_le_bytes([byte(at), byte(at + 1)]);
        Self {
            flags: byte(0),
            gso_type: byte(1),
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
            num_buffers: word(10),
        }
    }
}
