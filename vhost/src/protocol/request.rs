//! The requests of a front end, and what each may carry (vhost-user, "Front-end message types").

use std::ops::RangeInclusive;

/// The most regions that one `SET_MEM_TABLE` carries.
pub(crate) const MAX_TABLE: usize = 8;

macro_rules! requests {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal, $size:expr, $fds:expr;)+) => {
        /// A request that a port understands, if only to ignore it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Request {
            $($(#[doc = $doc])+ $variant = $code),+
        }

        impl Request {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The request of a number.
            #[must_use]
            pub(crate) fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// Its name in the specification, without the prefix.
            #[must_use]
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// How many bytes of payload it carries.
            #[must_use]
            pub(crate) fn sizes(self) -> RangeInclusive<usize> {
                match self { $(Self::$variant => $size),+ }
            }

            /// How many file descriptors may come with it.
            #[must_use]
            pub(crate) fn fds(self) -> RangeInclusive<usize> {
                match self { $(Self::$variant => $fds),+ }
            }
        }
    };
}

/// Bytes of one memory region in a payload.
pub(super) const REGION: usize = 32;

requests! {
    /// Asks for the device's features.
    GetFeatures = 1, "GET_FEATURES", 0..=0, 0..=0;
    /// Acknowledges features.
    SetFeatures = 2, "SET_FEATURES", 8..=8, 0..=0;
    /// Begins a session.
    SetOwner = 3, "SET_OWNER", 0..=0, 0..=0;
    /// Deprecated: disables all rings.
    ResetOwner = 4, "RESET_OWNER", 0..=0, 0..=0;
    /// Replaces all memory.
    SetMemTable = 5, "SET_MEM_TABLE", 8..=8 + MAX_TABLE * REGION, 0..=MAX_TABLE;
    /// The log of dirty pages, which is not offered: ignored.
    SetLogBase = 6, "SET_LOG_BASE", 8..=16, 0..=1;
    /// Also of the log: ignored.
    SetLogFd = 7, "SET_LOG_FD", 0..=8, 0..=1;
    /// The size of a ring.
    SetVringNum = 8, "SET_VRING_NUM", 8..=8, 0..=0;
    /// The addresses of a ring.
    SetVringAddr = 9, "SET_VRING_ADDR", 40..=40, 0..=0;
    /// Where a ring starts.
    SetVringBase = 10, "SET_VRING_BASE", 8..=8, 0..=0;
    /// Stops a ring and asks where it stands.
    GetVringBase = 11, "GET_VRING_BASE", 8..=8, 0..=0;
    /// What the guest kicks; starts a ring.
    SetVringKick = 12, "SET_VRING_KICK", 8..=8, 0..=1;
    /// What interrupts the guest.
    SetVringCall = 13, "SET_VRING_CALL", 8..=8, 0..=1;
    /// What a broken ring signals.
    SetVringErr = 14, "SET_VRING_ERR", 8..=8, 0..=1;
    /// Asks for the protocol's features.
    GetProtocolFeatures = 15, "GET_PROTOCOL_FEATURES", 0..=0, 0..=0;
    /// Acknowledges the protocol's features.
    SetProtocolFeatures = 16, "SET_PROTOCOL_FEATURES", 8..=8, 0..=0;
    /// Asks how many queue pairs there may be.
    GetQueueNum = 17, "GET_QUEUE_NUM", 0..=0, 0..=0;
    /// Enables or disables a ring.
    SetVringEnable = 18, "SET_VRING_ENABLE", 8..=8, 0..=0;
    /// Asks for an announcement after a migration.
    SendRarp = 19, "SEND_RARP", 8..=8, 0..=0;
    /// The guest's MTU.
    NetSetMtu = 20, "NET_SET_MTU", 8..=8, 0..=0;
    /// A socket for requests of ours, of which we have none: closed.
    SetBackendReqFd = 21, "SET_BACKEND_REQ_FD", 0..=8, 0..=1;
    /// Stops and forgets all rings.
    ResetDevice = 34, "RESET_DEVICE", 0..=0, 0..=0;
    /// Asks how many regions there may be.
    GetMaxMemSlots = 36, "GET_MAX_MEM_SLOTS", 0..=0, 0..=0;
    /// Adds a memory region.
    AddMemReg = 37, "ADD_MEM_REG", 40..=40, 1..=1;
    /// Removes a memory region. QEMU sends its descriptor along, which is closed.
    RemMemReg = 38, "REM_MEM_REG", 40..=40, 0..=1;
    /// The virtio device status.
    SetStatus = 39, "SET_STATUS", 8..=8, 0..=0;
    /// Asks for the virtio device status.
    GetStatus = 40, "GET_STATUS", 0..=0, 0..=0;
}

impl Request {
    /// Whether its descriptors are put to use; those of others are closed.
    #[must_use]
    pub(crate) fn uses_fds(self) -> bool {
        matches!(
            self,
            Self::SetMemTable
                | Self::AddMemReg
                | Self::SetVringKick
                | Self::SetVringCall
                | Self::SetVringErr
        )
    }

    /// Whether the specification gives it a reply of its own, so that it is never acknowledged.
    #[must_use]
    pub(crate) fn has_reply(self) -> bool {
        matches!(
            self,
            Self::GetFeatures
                | Self::GetVringBase
                | Self::GetProtocolFeatures
                | Self::GetQueueNum
                | Self::GetMaxMemSlots
                | Self::GetStatus
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::channel::{MAX_BODY, MAX_FDS};

    #[test]
    fn every_request_fits_what_the_channel_reads() {
        for &request in Request::ALL {
            assert_eq!(Request::from_code(request as u32), Some(request));
            assert!(*request.sizes().end() <= MAX_BODY, "{}", request.name());
            assert!(*request.fds().end() <= MAX_FDS, "{}", request.name());
        }
        assert_eq!(Request::from_code(0), None);
        assert_eq!(Request::from_code(22), None);
    }
}
