//! The header before each message (vhost-user, "Header"), in the host's byte order:
//!
//! ```text
//! | request u32 | flags u32: version (0-1), reply (2), need reply (3) | size u32 of the payload |
//! ```

/// Bytes of a header.
pub(crate) const HEADER: usize = 12;
/// The version of the protocol, in the two lowest bits of the flags.
const VERSION: u32 = 1;
const VERSION_MASK: u32 = 0b11;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The number of the request, known or not.
    pub(crate) request: u32,
    /// Version and flags as they came.
    flags: u32,
    /// Bytes of the payload.
    pub(crate) size: u32,
}

impl Header {
    /// The header of a reply with `size` bytes of payload.
    #[must_use]
    pub(crate) fn reply(request: u32, size: u32) -> Self {
        Self { request, flags: VERSION | REPLY, size }
    }

    /// Reads the twelve bytes; any are a header.
    #[must_use]
    pub(crate) fn parse(bytes: [u8; HEADER]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            request: u32::from_ne_bytes([a, b, c, d]),
            flags: u32::from_ne_bytes([e, f, g, h]),
            size: u32::from_ne_bytes([i, j, k, l]),
        }
    }

    /// The twelve bytes.
    #[must_use]
    pub(crate) fn emit(self) -> [u8; HEADER] {
        let [a, b, c, d] = self.request.to_ne_bytes();
        let [e, f, g, h] = self.flags.to_ne_bytes();
        let [i, j, k, l] = self.size.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Whether it is of the version that we speak.
    #[must_use]
    pub(crate) fn is_version_1(self) -> bool {
        self.flags & VERSION_MASK == VERSION
    }

    /// Whether it is a reply, which no front end sends on this socket.
    #[must_use]
    pub(crate) fn is_reply(self) -> bool {
        self.flags & REPLY != 0
    }

    /// Whether an acknowledgement is asked for (to be believed only with REPLY_ACK).
    #[must_use]
    pub(crate) fn needs_reply(self) -> bool {
        self.flags & NEED_REPLY != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_is_parsed_again() {
        let header = Header::reply(11, 8);
        assert_eq!(Header::parse(header.emit()), header);
        assert!(header.is_version_1() && header.is_reply() && !header.needs_reply());
    }

    #[test]
    fn version_and_flags_are_told_apart() {
        let parse = |flags: u32| {
            let mut bytes = [0; HEADER];
            bytes[4..8].copy_from_slice(&flags.to_ne_bytes());
            Header::parse(bytes)
        };
        assert!(!parse(2).is_version_1() && !parse(0).is_version_1() && !parse(3).is_version_1());
        assert!(parse(0b1001).is_version_1() && parse(0b1001).needs_reply());
        assert!(parse(0b0101).is_reply());
    }
}
