//! Feature bits as numbers (virtio 1.2, 5.1.3 and 6; vhost-user).

/// Unfinished checksums from the guest.
pub const CSUM: u64 = 1 << 0;
/// Unfinished checksums to the guest.
pub const GUEST_CSUM: u64 = 1 << 1;
/// Uncut TCP over IPv4 to the guest.
pub const GUEST_TSO4: u64 = 1 << 7;
/// Uncut TCP over IPv6 to the guest.
pub const GUEST_TSO6: u64 = 1 << 8;
/// Uncut TCP with ECN to the guest.
pub const GUEST_ECN: u64 = 1 << 9;
/// Uncut TCP over IPv4 from the guest.
pub const HOST_TSO4: u64 = 1 << 11;
/// Uncut TCP over IPv6 from the guest.
pub const HOST_TSO6: u64 = 1 << 12;
/// Uncut TCP with ECN from the guest.
pub const HOST_ECN: u64 = 1 << 13;
/// Mergeable receive buffers.
pub const MRG_RXBUF: u64 = 1 << 15;
/// Several queue pairs.
pub const MQ: u64 = 1 << 22;
/// Tables of descriptors.
pub const INDIRECT_DESC: u64 = 1 << 28;
/// Event indices.
pub const EVENT_IDX: u64 = 1 << 29;
/// Protocol features may be negotiated, and rings start disabled.
pub const PROTOCOL_FEATURES: u64 = 1 << 30;
/// A modern device.
pub const VERSION_1: u64 = 1 << 32;

/// All offloads from the guest.
pub const HOST_OFFLOADS: u64 = CSUM | HOST_TSO4 | HOST_TSO6 | HOST_ECN;
/// All offloads to the guest.
pub const GUEST_OFFLOADS: u64 = GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN;

/// What a modern guest takes of everything.
pub const MODERN: u64 = HOST_OFFLOADS
    | GUEST_OFFLOADS
    | MRG_RXBUF
    | INDIRECT_DESC
    | EVENT_IDX
    | PROTOCOL_FEATURES
    | VERSION_1;

/// Protocol features (`GET_PROTOCOL_FEATURES`).
pub mod protocol {
    /// Several queues.
    pub const MQ: u64 = 1 << 0;
    /// `SEND_RARP`.
    pub const RARP: u64 = 1 << 2;
    /// Acknowledgements.
    pub const REPLY_ACK: u64 = 1 << 3;
    /// `NET_SET_MTU`.
    pub const NET_MTU: u64 = 1 << 4;
    /// `RESET_DEVICE`.
    pub const RESET_DEVICE: u64 = 1 << 13;
    /// `ADD_MEM_REG` and its like.
    pub const CONFIGURE_MEM_SLOTS: u64 = 1 << 15;
    /// `SET_STATUS`, `GET_STATUS`.
    pub const STATUS: u64 = 1 << 16;
    /// All of these.
    pub const ALL: u64 =
        MQ | RARP | REPLY_ACK | NET_MTU | RESET_DEVICE | CONFIGURE_MEM_SLOTS | STATUS;
}
