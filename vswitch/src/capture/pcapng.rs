//! The blocks of a capture file: written by the switch, taken apart by the client that cuts files.
//!
//! `draft-ietf-opsawg-pcapng`, sections 3.1 (general block structure), 3.5 (options), 4.1 (section header), 4.2
//! (interface description), 4.3 (enhanced packet), 4.6 (interface statistics). All blocks are in the machine's own
//! byte order, which a section header states by its magic number.
//!
//! ```text
//! block:  type (4) | total length (4) | body, padded to 32 bits | total length (4)
//! option: code (2) | length (2) | value, padded to 32 bits;     code 0, length 0 ends a list of options
//! ```

use super::record::Header;
use super::{Direction, Seen};

/// The types of blocks that are written.
pub mod block {
    /// Section 4.1.
    pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    /// Section 4.2.
    pub const INTERFACE: u32 = 1;
    /// Section 4.6.
    pub const STATISTICS: u32 = 5;
    /// Section 4.3.
    pub const PACKET: u32 = 6;
}

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Section 4.1: the length of a section that is not known yet.
const UNKNOWN: i64 = -1;
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;
/// What the comment of a dropped frame begins with.
pub const DROPPED: &str = "dropped: ";

mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_OS: u16 = 3;
    pub(super) const SHB_APPLICATION: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_FILTER: u16 = 11;
    pub(super) const EPB_FLAGS: u16 = 2;
    pub(super) const ISB_STARTTIME: u16 = 2;
    pub(super) const ISB_IFRECV: u16 = 4;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_FILTERACCEPT: u16 = 6;
    pub(super) const ISB_USRDELIV: u16 = 8;
}

/// Bytes of a block's type and both its lengths.
const FRAME: usize = 12;
/// Bytes of an enhanced packet's fields before its data.
const PACKET_FIELDS: usize = 20;

/// A port as a capture file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The most bytes of a frame; 0 if there is no bound (section 4.2).
    pub snaplen: u32,
    /// The filter's text.
    pub filter: Option<String>,
}

/// What a statistics block says of an interface since the capture's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Which interface.
    pub interface: u32,
    /// `isb_ifrecv`: frames that passed the port in the wanted direction.
    pub seen: u64,
    /// `isb_filteraccept`: those of them that were wanted.
    pub matched: u64,
    /// `isb_ifdrop`: those of them that the capture lost.
    pub lost: u64,
    /// `isb_usrdeliv`: those of them that are in the file.
    pub delivered: u64,
}

/// Writes blocks behind one another.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Bytes that were written and not taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what was written.
    pub fn take(&mut self) -> Vec<u8> {
        let capacity = self.bytes.capacity();
        std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity))
    }

    /// Section 4.1.
    pub fn section(&mut self, application: &str) {
        let start = self.begin(block::SECTION_HEADER);
        self.put(&BYTE_ORDER.to_ne_bytes());
        // Version 1.0.
        self.put(&1u16.to_ne_bytes());
        self.put(&0u16.to_ne_bytes());
        self.put(&UNKNOWN.to_ne_bytes());
        self.option(option::SHB_OS, &[b"Linux"]);
        self.option(option::SHB_APPLICATION, &[application.as_bytes()]);
        self.end_of_options();
        self.end(start);
    }

    /// Section 4.2. Interfaces are numbered from 0 in the order of their blocks. Times are in nanoseconds.
    pub fn interface(&mut self, interface: &Interface) {
        let start = self.begin(block::INTERFACE);
        self.put(&ETHERNET.to_ne_bytes());
        self.put(&0u16.to_ne_bytes());
        self.put(&interface.snaplen.to_ne_bytes());
        self.option(option::IF_NAME, &[interface.name.as_bytes()]);
        self.option(option::IF_DESCRIPTION, &[interface.description.as_bytes()]);
        self.option(option::IF_TSRESOL, &[&[9]]);
        if let Some(filter) = &interface.filter {
            // 0: the filter is a text.
            self.option(option::IF_FILTER, &[&[0], filter.as_bytes()]);
        }
        self.end_of_options();
        self.end(start);
    }

    /// Section 4.3. `data` fills the place of the captured bytes.
    pub(super) fn packet(&mut self, header: &Header, data: impl FnOnce(&mut [u8])) {
        let start = self.begin(block::PACKET);
        self.put(&u32::from(header.interface).to_ne_bytes());
        self.time(header.time);
        self.put(&header.captured.to_ne_bytes());
        self.put(&header.original.to_ne_bytes());
        let at = self.bytes.len();
        self.bytes.resize(at + header.captured as usize, 0);
        if let Some(place) = self.bytes.get_mut(at..) {
            data(place);
        }
        self.pad();
        // Bits 0 and 1: inbound or outbound.
        let flags: u32 = match header.direction {
            Direction::Rx => 1,
            Direction::Tx => 2,
        };
        self.option(option::EPB_FLAGS, &[&flags.to_ne_bytes()]);
        if let Some(reason) = header.reason {
            let (name, text) = (reason.name().as_bytes(), reason.explanation().as_bytes());
            self.option(option::COMMENT, &[DROPPED.as_bytes(), name, b": ", text]);
        }
        self.end_of_options();
        self.end(start);
    }

    /// A frame that went into the switch by an interface.
    #[cfg(test)]
    pub(crate) fn frame(
        &mut self,
        interface: u16,
        bytes: &[u8],
        reason: Option<strowger_packet::DropReason>,
    ) {
        let len = bytes.len() as u32;
        let header = Header {
            time: 0,
            original: len,
            captured: len,
            interface,
            frame: 0,
            direction: Direction::Rx,
            reason,
        };
        self.packet(&header, |place| place.copy_from_slice(bytes));
    }

    /// Section 4.6.
    pub fn statistics(&mut self, (started, now): (u64, u64), of: &Statistics) {
        let start = self.begin(block::STATISTICS);
        self.put(&of.interface.to_ne_bytes());
        self.time(now);
        let [high, low] = halves(started);
        self.option(option::ISB_STARTTIME, &[&high, &low]);
        for (code, value) in [
            (option::ISB_IFRECV, of.seen),
            (option::ISB_IFDROP, of.lost),
            (option::ISB_FILTERACCEPT, of.matched),
            (option::ISB_USRDELIV, of.delivered),
        ] {
            self.option(code, &[&value.to_ne_bytes()]);
        }
        self.end_of_options();
        self.end(start);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn begin(&mut self, kind: u32) -> usize {
        let start = self.bytes.len();
        self.put(&kind.to_ne_bytes());
        self.put(&[0; 4]);
        start
    }

    fn end(&mut self, start: usize) {
        let total = (self.bytes.len() + 4 - start) as u32;
        if let Some(place) = self.bytes.get_mut(start + 4..start + 8) {
            place.copy_from_slice(&total.to_ne_bytes());
        }
        self.put(&total.to_ne_bytes());
    }

    /// A time is two numbers of 32 bits, the upper one first.
    fn time(&mut self, nanos: u64) {
        for half in halves(nanos) {
            self.put(&half);
        }
    }

    /// An option, cut at the longest value there is.
    fn option(&mut self, code: u16, value: &[&[u8]]) {
        let mut len = value.iter().map(|part| part.len()).sum::<usize>().min(u16::MAX.into());
        self.put(&code.to_ne_bytes());
        self.put(&(len as u16).to_ne_bytes());
        for part in value {
            let part = part.get(..len).unwrap_or(part);
            self.put(part);
            len -= part.len();
        }
        self.pad();
    }

    fn end_of_options(&mut self) {
        self.option(option::END, &[]);
    }
}

fn halves(nanos: u64) -> [[u8; 4]; 2] {
    [((nanos >> 32) as u32).to_ne_bytes(), (nanos as u32).to_ne_bytes()]
}

/// A block of a stream, whole.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Its type.
    pub kind: u32,
    /// All of it, with type and lengths.
    pub bytes: &'a [u8],
}

/// A stream that is no capture of this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the capture is damaged: a block's length cannot be right")]
pub struct Damaged;

/// The most bytes of a block.
const MAX_BLOCK: usize = 1 << 20;

impl<'a> Block<'a> {
    /// The first block of a stream and what comes behind it. `None` if it has not come whole.
    ///
    /// # Errors
    /// If no block has this length.
    pub fn first(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, Damaged> {
        let (Some(kind), Some(total)) = (number(bytes, 0), number(bytes, 4)) else {
            return Ok(None);
        };
        let total = total as usize;
        if !(FRAME..=MAX_BLOCK).contains(&total) || !total.is_multiple_of(4) {
            return Err(Damaged);
        }
        let Some((block, rest)) = bytes.split_at_checked(total) else { return Ok(None) };
        if number(block, total - 4) != Some(total as u32) {
            return Err(Damaged);
        }
        Ok(Some((Self { kind, bytes: block }, rest)))
    }

    /// Whether it is a frame that the switch dropped.
    #[must_use]
    pub fn is_drop(&self) -> bool {
        self.kind == block::PACKET
            && number(self.bytes, 20).is_some_and(|captured| {
                let options = 8 + PACKET_FIELDS + (captured as usize).next_multiple_of(4);
                let is_drop = |value: &[u8]| value.starts_with(DROPPED.as_bytes());
                self.options(options).any(|(code, value)| code == option::COMMENT && is_drop(value))
            })
    }

    /// What a statistics block says.
    #[must_use]
    pub fn statistics(&self) -> Option<Statistics> {
        let mut all = Statistics { interface: number(self.bytes, 8)?, ..Statistics::default() };
        for (code, value) in self.options(20) {
            let Some(value) = value.first_chunk().copied().map(u64::from_ne_bytes) else {
                continue;
            };
            match code {
                option::ISB_IFRECV => all.seen = value,
                option::ISB_IFDROP => all.lost = value,
                option::ISB_FILTERACCEPT => all.matched = value,
                option::ISB_USRDELIV => all.delivered = value,
                _ => {}
            }
        }
        (self.kind == block::STATISTICS).then_some(all)
    }

    /// The options from an offset on.
    fn options(&self, at: usize) -> impl Iterator<Item = (u16, &'a [u8])> {
        let end = self.bytes.len().saturating_sub(4);
        let mut rest = self.bytes.get(at..end).unwrap_or_default();
        std::iter::from_fn(move || {
            let [c0, c1, l0, l1] = *rest.first_chunk()?;
            let (code, len) = (u16::from_ne_bytes([c0, c1]), u16::from_ne_bytes([l0, l1]));
            let value = rest.get(4..4 + usize::from(len))?;
            rest = rest.get(4 + usize::from(len).next_multiple_of(4)..)?;
            (code != option::END).then_some((code, value))
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

impl Statistics {
    /// Of an interface, as workers counted it.
    pub(super) fn new(interface: u16, seen: Seen, delivered: u64) -> Self {
        let Seen { seen, matched, lost } = seen;
        Self { interface: interface.into(), seen, matched, lost, delivered }
    }
}

#[cfg(test)]
mod tests;
