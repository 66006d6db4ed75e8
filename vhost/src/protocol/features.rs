//! Feature bits: of the device (virtio 1.2, 5.1.3 and 6), of vhost-user, and of its protocol.

use std::fmt;

/// Device features as they travel in `GET_FEATURES` and `SET_FEATURES`: one bit each, virtio's numbering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Features(pub u64);

impl Features {
    /// The switch takes frames with unfinished checksums from the guest.
    pub const CSUM: Self = Self::bit(0);
    /// The guest takes frames with unfinished checksums.
    pub const GUEST_CSUM: Self = Self::bit(1);
    /// The front end may tell the guest an MTU.
    pub const MTU: Self = Self::bit(3);
    /// The guest takes uncut TCP over IPv4.
    pub const GUEST_TSO4: Self = Self::bit(7);
    /// The guest takes uncut TCP over IPv6.
    pub const GUEST_TSO6: Self = Self::bit(8);
    /// The guest takes uncut TCP with ECN.
    pub const GUEST_ECN: Self = Self::bit(9);
    /// The switch takes uncut TCP over IPv4 from the guest.
    pub const HOST_TSO4: Self = Self::bit(11);
    /// The switch takes uncut TCP over IPv6 from the guest.
    pub const HOST_TSO6: Self = Self::bit(12);
    /// The switch takes uncut TCP with ECN from the guest.
    pub const HOST_ECN: Self = Self::bit(13);
    /// One frame may lie in several receive buffers.
    pub const MRG_RXBUF: Self = Self::bit(15);
    /// A control queue, which the front end serves itself.
    pub const CTRL_VQ: Self = Self::bit(17);
    /// Receive modes by the control queue.
    pub const CTRL_RX: Self = Self::bit(18);
    /// The guest announces itself after a migration; the front end asks it to.
    pub const GUEST_ANNOUNCE: Self = Self::bit(21);
    /// Several queue pairs.
    pub const MQ: Self = Self::bit(22);
    /// Legacy: an interrupt whenever the ring is empty.
    pub const NOTIFY_ON_EMPTY: Self = Self::bit(24);
    /// Legacy: the header may share a buffer with the frame.
    pub const ANY_LAYOUT: Self = Self::bit(27);
    /// Tables of descriptors.
    pub const RING_INDIRECT_DESC: Self = Self::bit(28);
    /// Kicks and interrupts only when an index passes an event index.
    pub const RING_EVENT_IDX: Self = Self::bit(29);
    /// vhost-user's own: protocol features may be negotiated, and rings start disabled.
    pub const PROTOCOL_FEATURES: Self = Self::bit(30);
    /// A modern device.
    pub const VERSION_1: Self = Self::bit(32);
    /// Buffers are used in the order in which they were made available, which both kinds of queue do; a driver
    /// that knows it does less.
    pub const IN_ORDER: Self = Self::bit(35);

    const fn bit(number: u32) -> Self {
        Self(1 << number)
    }

    /// What a port with this many queue pairs offers. NOTIFY_ON_EMPTY is not offered: with it an interrupt would
    /// be due even when the guest asked for none, and no driver of this century needs it.
    #[must_use]
    pub fn offered(queue_pairs: u16) -> Self {
        let always = Self::CSUM
            | Self::GUEST_CSUM
            | Self::MTU
            | Self::GUEST_TSO4
            | Self::GUEST_TSO6
            | Self::GUEST_ECN
            | Self::HOST_TSO4
            | Self::HOST_TSO6
            | Self::HOST_ECN
            | Self::MRG_RXBUF
            | Self::CTRL_VQ
            | Self::CTRL_RX
            | Self::GUEST_ANNOUNCE
            | Self::ANY_LAYOUT
            | Self::RING_INDIRECT_DESC
            | Self::RING_EVENT_IDX
            | Self::PROTOCOL_FEATURES
            | Self::VERSION_1
            | Self::IN_ORDER;
        if queue_pairs > 1 { always | Self::MQ } else { always }
    }

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What of this is not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is no bit.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::LowerHex for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Features of the protocol (`GET_PROTOCOL_FEATURES`), one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct ProtocolFeatures(pub u64);

impl ProtocolFeatures {
    /// `GET_QUEUE_NUM` tells how many queue pairs there may be.
    pub const MQ: Self = Self(1 << 0);
    /// `SEND_RARP`.
    pub const RARP: Self = Self(1 << 2);
    /// A message may ask for an acknowledgement.
    pub const REPLY_ACK: Self = Self(1 << 3);
    /// `NET_SET_MTU`.
    pub const NET_MTU: Self = Self(1 << 4);
    /// `RESET_DEVICE`.
    pub const RESET_DEVICE: Self = Self(1 << 13);
    /// `GET_MAX_MEM_SLOTS`, `ADD_MEM_REG`, `REM_MEM_REG`.
    pub const CONFIGURE_MEM_SLOTS: Self = Self(1 << 15);
    /// `SET_STATUS`, `GET_STATUS`.
    pub const STATUS: Self = Self(1 << 16);

    /// All that a port offers.
    pub const OFFERED: Self = Self(
        Self::MQ.0
            | Self::RARP.0
            | Self::REPLY_ACK.0
            | Self::NET_MTU.0
            | Self::RESET_DEVICE.0
            | Self::CONFIGURE_MEM_SLOTS.0
            | Self::STATUS.0,
    );

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_queues_are_offered_only_when_there_are_several() {
        assert!(!Features::offered(1).has(Features::MQ));
        assert!(Features::offered(2).has(Features::MQ | Features::VERSION_1));
    }

    #[test]
    fn without_leaves_what_is_not_in_the_other() {
        let set = Features::CSUM | Features::MTU;
        assert_eq!(set.without(Features::CSUM), Features::MTU);
        assert!(set.without(set).is_empty());
    }
}
