//! MPLS label stacks (RFC 3032, RFC 5462).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------+-----+-+---------------+
//! |                label                  | TC  |S|      TTL      |   one entry; S marks the last
//! +---------------------------------------+-----+-+---------------+
//! ```
//!
//! What lies behind the last entry has no type: the first label's meaning says it, or its first nibble lets one
//! guess (RFC 4928, 3).
//!
//! - RFC 3032, 2.1: the bottom of the stack has S set, all others not.
//! - RFC 3032, 2.4.2: a packet whose outgoing TTL is 0 MUST NOT be forwarded.

use crate::wire::{Malformed, array, at_least, rest, view, wrapped_fields};

/// Bytes of an entry.
pub const ENTRY_LEN: usize = 4;
/// How many entries are walked over. The RFC has no bound; segment routing's deepest stacks are near 12.
pub const MAX_LABELS: usize = 16;

/// One entry of a label stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Entry(pub u32);

impl Entry {
    /// From its parts: of `label` the lowest 20 bits, of `class` the lowest 3.
    #[inline]
    #[must_use]
    pub const fn new(label: u32, class: u8, bottom: bool, ttl: u8) -> Self {
        let label = (label & 0xf_ffff) << 12;
        Self(label | ((class & 7) as u32) << 9 | (bottom as u32) << 8 | ttl as u32)
    }

    /// The label, 20 bits. 0 to 15 are reserved (RFC 3032, 2.1).
    #[inline]
    #[must_use]
    pub const fn label(self) -> u32 {
        self.0 >> 12
    }

    /// Traffic class, 0 to 7 (RFC 5462; once "EXP").
    #[inline]
    #[must_use]
    pub const fn class(self) -> u8 {
        (self.0 >> 9) as u8 & 7
    }

    /// Whether it is the last one.
    #[inline]
    #[must_use]
    pub const fn is_bottom(self) -> bool {
        self.0 & 0x100 != 0
    }

    /// Time to live.
    #[inline]
    #[must_use]
    pub const fn ttl(self) -> u8 {
        self.0 as u8
    }

    /// The entry as the next router sees it; `None` if its TTL would be 0 and nobody may.
    #[inline]
    #[must_use]
    pub const fn forwarded(self) -> Option<Self> {
        if self.ttl() <= 1 { None } else { Some(Self(self.0.wrapping_sub(1))) }
    }
}

wrapped_fields!(Entry: u32);

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, ENTRY_LEN)
}

view! {
    /// The top entry of a label stack and what follows it.
    Header, checked by check;
    /// The entry.
    entry, set_entry: Entry = 0;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// The bytes behind the entry: the next one, or the payload.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        rest(self.bytes(), ENTRY_LEN)
    }
}

/// Goes over a label stack from its top; at most [`MAX_LABELS`] entries. It ends behind the bottom, or behind
/// the first error.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    left: &'a [u8],
    taken: usize,
    done: bool,
}

impl<'a> Entries<'a> {
    /// The entries at the front of these bytes.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes, taken: 0, done: false }
    }

    /// What follows the entries that were taken.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.left
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let found = if self.taken == MAX_LABELS {
            Err(Malformed::TooDeep)
        } else {
            at_least(self.left, ENTRY_LEN).map(|()| Entry(u32::from_be_bytes(array(self.left, 0))))
        };
        if found.is_ok() {
            self.left = rest(self.left, ENTRY_LEN);
            self.taken = self.taken.saturating_add(1);
        }
        self.done = found.is_err() || found.is_ok_and(Entry::is_bottom);
        Some(found)
    }
}

/// A whole label stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack<'a> {
    /// The top entry.
    pub top: Entry,
    /// How many entries there are, at least one.
    pub count: usize,
    /// What lies behind the bottom.
    pub payload: &'a [u8],
}

impl<'a> Stack<'a> {
    /// Walks over the stack at the front of these bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if they end before its bottom, [`Malformed::TooDeep`] behind [`MAX_LABELS`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut entries = Entries::new(bytes);
        let mut top = None;
        for entry in entries.by_ref() {
            let entry = entry?;
            top = top.or(Some(entry));
        }
        let top = top.ok_or(Malformed::Truncated)?;
        Ok(Self { top, count: entries.taken, payload: entries.payload() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: [u8; 10] = [0x00, 0x06, 0x4a, 0x40, 0xff, 0xff, 0xf1, 0x01, 0x45, 0x00];

    #[test]
    fn an_entry_is_taken_apart_and_put_together() {
        let entry = Header::new_checked(STACK).unwrap().entry();
        assert_eq!((entry.label(), entry.class(), entry.ttl()), (100, 5, 64));
        assert!(!entry.is_bottom());
        assert_eq!(Entry::new(100, 5, false, 64), entry);
        let mut header = Header::new_unchecked([0; 4]);
        header.set_entry(Entry::new(0xf_ffff, 0, true, 1));
        assert_eq!(header.into_inner(), STACK[4..8]);
    }

    #[test]
    fn rfc3032_section_2_1_the_bottom_ends_the_stack() {
        let stack = Stack::parse(&STACK).unwrap();
        assert_eq!((stack.top.label(), stack.count), (100, 2));
        assert_eq!(stack.payload, [0x45, 0]);
        let labels: Vec<_> = Entries::new(&STACK).map(|entry| entry.unwrap().label()).collect();
        assert_eq!(labels, [100, 0xf_ffff]);
    }

    #[test]
    fn a_stack_without_bottom_is_an_error_and_bounded() {
        for len in 0..8 {
            assert_eq!(Stack::parse(&STACK[..len]), Err(Malformed::Truncated));
        }
        let mut deep = [0; (MAX_LABELS + 1) * ENTRY_LEN];
        assert_eq!(Stack::parse(&deep), Err(Malformed::TooDeep));
        assert_eq!(Entries::new(&deep).count(), MAX_LABELS + 1);
        deep[MAX_LABELS * ENTRY_LEN - 2] = 1;
        assert_eq!(Stack::parse(&deep).unwrap().count, MAX_LABELS);
    }

    #[test]
    fn rfc3032_section_2_4_2_nothing_goes_on_with_a_ttl_of_0() {
        let entry = |ttl| Entry::new(9, 1, true, ttl);
        assert_eq!(entry(2).forwarded(), Some(entry(1)));
        assert_eq!(entry(1).forwarded(), None);
        assert_eq!(entry(0).forwarded(), None);
    }
}
