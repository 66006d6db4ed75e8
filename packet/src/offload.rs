//! What of a frame is left for its receiver to do: finish a checksum, cut it into segments.
//!
//! The fields are the switch's own, taken from a guest's virtio-net header (virtio 1.2, 5.1.6) only after
//! they have been held against the frame's own headers.

/// A checksum that covers `start` to the end of the frame and belongs at `start + offset`
/// (`VIRTIO_NET_HDR_F_NEEDS_CSUM`). The field holds the pseudo-header's sum. Both in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialChecksum {
    /// Where the covered bytes begin, from the first byte of the frame.
    pub start: u16,
    /// Where the field lies, from `start`.
    pub offset: u16,
}

/// How a large frame is cut (`VIRTIO_NET_HDR_GSO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over either (`VIRTIO_NET_HDR_GSO_UDP_L4`): each piece is a datagram of its own.
    Udp,
}

/// A frame that is to be cut into segments of `size` bytes of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Which protocol the segments are of.
    pub kind: GsoKind,
    /// Whether TCP's ECN bit CWR is set on the first segment only (`VIRTIO_NET_HDR_GSO_ECN`).
    pub ecn: bool,
    /// Payload bytes in each segment but the last; never 0.
    pub size: u16,
    /// Bytes of all headers up to the payload.
    pub headers: u16,
}

/// What the receiver of a frame still has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// A checksum to finish.
    pub checksum: Option<PartialChecksum>,
    /// Segments to cut; only together with a checksum.
    pub gso: Option<Gso>,
}

/// What a receiver takes; the rest is done for it in software.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    /// Unfinished checksums.
    pub checksum: bool,
    /// Uncut TCP over IPv4.
    pub tso4: bool,
    /// Uncut TCP over IPv6.
    pub tso6: bool,
    /// Uncut TCP with CWR set.
    pub ecn: bool,
    /// Uncut UDP.
    pub uso: bool,
}

impl Accepts {
    /// A receiver that does everything itself.
    pub const ALL: Self = Self { checksum: true, tso4: true, tso6: true, ecn: true, uso: true };

    /// Whether a frame can go to this receiver as it is.
    #[inline]
    #[must_use]
    pub fn takes(self, offload: Offload) -> bool {
        let cut = match offload.gso {
            None => true,
            Some(gso) => {
                (match gso.kind {
                    GsoKind::TcpV4 => self.tso4,
                    GsoKind::TcpV6 => self.tso6,
                    GsoKind::Udp => self.uso,
                }) && (self.ecn || !gso.ecn)
            }
        };
        cut && (self.checksum || offload.checksum.is_none())
    }
}
