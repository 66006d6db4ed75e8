//! What a worker leaves of a frame in its ring: a header of fixed size, then the captured bytes.
//!
//! Both sides are threads of one process: numbers are in the machine's own order, and what is read was written here.

use strowger_packet::DropReason;

use super::Direction;

/// Bytes of a header.
pub(super) const HEADER: usize = 24;
/// Where in a header the reason lies.
const REASON: usize = 20;
/// Stands for no reason.
const NOT_DROPPED: u8 = u8::MAX;
const _: () = assert!(DropReason::COUNT < NOT_DROPPED as usize);

/// What is known of a captured frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Nanoseconds since 1970 began.
    pub(super) time: u64,
    /// Bytes of the whole frame.
    pub(super) original: u32,
    /// Bytes behind this header.
    pub(super) captured: u32,
    /// The port's place in the capture.
    pub(super) interface: u16,
    /// A received frame's place in its batch.
    pub(super) frame: u8,
    /// Which way it went.
    pub(super) direction: Direction,
    /// Why it ended here.
    pub(super) reason: Option<DropReason>,
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut fields = bytes.as_mut_slice();
        for field in [
            self.time.to_ne_bytes().as_slice(),
            &self.original.to_ne_bytes(),
            &self.captured.to_ne_bytes(),
            &self.interface.to_ne_bytes(),
            &[self.frame, u8::from(self.direction == Direction::Tx), code(self.reason)],
        ] {
            let (here, rest) = fields.split_at_mut(field.len());
            here.copy_from_slice(field);
            fields = rest;
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8; HEADER]) -> Self {
        let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3, c0, c1, c2, c3, i0, i1, rest @ ..] =
            *bytes;
        let [frame, direction, reason, ..] = rest;
        Self {
            time: u64::from_ne_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            original: u32::from_ne_bytes([o0, o1, o2, o3]),
            captured: u32::from_ne_bytes([c0, c1, c2, c3]),
            interface: u16::from_ne_bytes([i0, i1]),
            frame,
            direction: if direction == 0 { Direction::Rx } else { Direction::Tx },
            reason: DropReason::ALL.get(usize::from(reason)).copied(),
        }
    }

    /// Says in a header that is written already why its frame was dropped.
    pub(super) fn put_reason(bytes: &mut [u8; HEADER], reason: DropReason) {
        bytes[REASON] = code(Some(reason));
    }
}

fn code(reason: Option<DropReason>) -> u8 {
    reason.map_or(NOT_DROPPED, |reason| reason as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header {
            time: 0x0102_0304_0506_0708,
            original: 70_000,
            captured: 96,
            interface: 513,
            frame: 63,
            direction: Direction::Tx,
            reason: None,
        };
        let mut bytes = header.bytes();
        assert_eq!(Header::read(&bytes), header);
        for &reason in DropReason::ALL {
            Header::put_reason(&mut bytes, reason);
            assert_eq!(Header::read(&bytes), Header { reason: Some(reason), ..header });
        }
    }
}
