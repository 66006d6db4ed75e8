//! What a sender's virtio-net header asks for, held against the frame's own headers.

/// A virtio-net header as a sender wrote it (virtio 1.2, 5.1.6), in host order. Nothing in it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes of all headers; a hint that nobody has to give right.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksum's coverage begins, from the first byte of the frame.
    pub csum_start: u16,
    /// Where the checksum lies, from `csum_start`.
    pub csum_offset: u16,
}
