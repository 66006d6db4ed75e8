//! VLAN tags: customer tags (IEEE 802.1Q) and service tags (802.1ad), stacked.
//!
//! A tag lies between an Ethernet header's addresses and its type. The view begins behind the tag's own type
//! (TPID), where the header before it ended:
//!
//! ```text
//!  TPID 0x8100 | PCP DEI    VID     |  type   |
//!  or 0x88a8   | 3b  1b    12 bits  | 2 bytes | payload …
//!              ^ offset 0           ^ 2       ^ 4
//! ```
//!
//! - 802.1Q, 9.6: VID 0 says that the tag carries priority only; VID 4095 is reserved and MUST NOT be
//!   configured or transmitted.
//! - 802.1Q, 9.5 and 9.7: a service tag has TPID 0x88a8, a customer tag 0x8100; the service tag is the outer one.

use std::fmt;

use crate::{
    Frame,
    ethernet::{self, EtherType},
    wire::{Field, Malformed, at_least, rest, view},
};

/// Bytes that a tag adds to a frame.
pub const TAG_LEN: usize = 4;
/// How many stacked tags are read; what follows more of them is left alone.
pub const MAX_TAGS: usize = 2;

/// A VLAN's identifier, 0 to 4094. 4095 is reserved and names none (802.1Q, 9.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Vid(u16);

impl Vid {
    /// That of untagged frames, and of tags that carry priority only.
    pub const UNTAGGED: Self = Self(0);

    /// The VLAN of this number, if it is one.
    #[inline]
    #[must_use]
    pub const fn new(vid: u16) -> Option<Self> {
        if vid < 0xfff { Some(Self(vid)) } else { None }
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tag's control information: priority, drop eligibility, VLAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Tci(pub u16);

impl Tci {
    /// From its parts; of `priority` the lowest 3 bits.
    #[inline]
    #[must_use]
    pub const fn new(priority: u8, drop_eligible: bool, vid: Vid) -> Self {
        Self(((priority & 7) as u16) << 13 | (drop_eligible as u16) << 12 | vid.get())
    }

    /// With another VLAN, all else as it is.
    #[inline]
    #[must_use]
    pub const fn with_vid(self, vid: Vid) -> Self {
        Self(self.0 & 0xf000 | vid.get())
    }

    /// Priority code point, 0 to 7 (802.1Q, 9.6).
    #[inline]
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.0 >> 13) as u8
    }

    /// Drop eligible indicator; in old customer tags the canonical format indicator.
    #[inline]
    #[must_use]
    pub const fn drop_eligible(self) -> bool {
        self.0 & 0x1000 != 0
    }

    /// The VLAN; `None` if the tag has the reserved number 4095.
    #[inline]
    #[must_use]
    pub const fn vid(self) -> Option<Vid> {
        Vid::new(self.0 & 0xfff)
    }
}

crate::wire::wrapped_fields!(Tci: u16);

/// Where the fields lie, behind the tag's own type.
pub mod field {
    /// Control information, 2 bytes.
    pub const TCI: usize = 0;
    /// The type of what follows, 2 bytes.
    pub const ETHERTYPE: usize = 2;
}

#[inline]
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    at_least(bytes, TAG_LEN)
}

view! {
    /// A tag, from its control information on, and what follows it.
    Header, checked by check;
    /// Priority, drop eligibility and VLAN.
    tci, set_tci: Tci = field::TCI;
    /// What follows the tag.
    ethertype, set_ethertype: EtherType = field::ETHERTYPE;
}

impl<T: AsRef<[u8]>> Header<T> {
    /// The bytes behind the tag.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        rest(self.bytes(), TAG_LEN)
    }
}

/// A tag, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag's own type: [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    pub tpid: EtherType,
    /// What it says.
    pub tci: Tci,
}

/// The tags of a frame, outermost first, and what lies behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack<'a> {
    tags: [Tag; MAX_TAGS],
    count: usize,
    /// The type of what lies behind the tags; a tag's again if there are more than [`MAX_TAGS`].
    pub ethertype: EtherType,
    /// What lies behind the tags.
    pub payload: &'a [u8],
}

impl<'a> Stack<'a> {
    /// Reads the tags behind an Ethernet header with this type and payload.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if the bytes end within a tag.
    #[inline]
    pub fn parse(mut ethertype: EtherType, mut payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut tags = [Tag { tpid: EtherType(0), tci: Tci(0) }; MAX_TAGS];
        let mut count = 0_usize;
        for tag in &mut tags {
            if !ethertype.is_vlan() {
                break;
            }
            let header = Header::new_checked(payload)?;
            *tag = Tag { tpid: ethertype, tci: header.tci() };
            ethertype = header.ethertype();
            payload = rest(payload, TAG_LEN);
            count = count.saturating_add(1);
        }
        Ok(Self { tags, count, ethertype, payload })
    }

    /// The tags, outermost first.
    #[inline]
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        self.tags.get(..self.count).unwrap_or_default()
    }
}

/// Adds a tag to a frame, as the outermost one. `false`, and nothing changed, if the frame has no room for it or
/// no Ethernet header.
pub fn push(frame: &mut Frame, tag: Tag) -> bool {
    if frame.head().len() < ethernet::HEADER_LEN {
        return false;
    }
    let Some(room) = frame.open(ethernet::field::ETHERTYPE, TAG_LEN) else { return false };
    tag.tpid.write(room, 0);
    tag.tci.write(room, 2);
    frame.layers.vlan_tags = frame.layers.vlan_tags.saturating_add(1);
    true
}

/// Takes a frame's outermost tag away. `None`, and nothing changed, if it has none.
pub fn pop(frame: &mut Frame) -> Option<Tag> {
    let tag = outermost(frame.head())?;
    if !frame.close(ethernet::field::ETHERTYPE, TAG_LEN) {
        return None;
    }
    frame.layers.vlan_tags = frame.layers.vlan_tags.saturating_sub(1);
    Some(tag)
}

/// Moves a frame's outermost tag to another VLAN; its priority stays. `false`, and nothing changed, if it has none.
pub fn set_vid(frame: &mut Frame, vid: Vid) -> bool {
    let head = frame.head_mut();
    let Some(tag) = outermost(head) else { return false };
    tag.tci.with_vid(vid).write(head, ethernet::HEADER_LEN);
    true
}

/// The first tag of a frame, if it has one.
fn outermost(head: &[u8]) -> Option<Tag> {
    let tpid = ethernet::Header::new_checked(head).ok()?.ethertype();
    let header = Header::new_checked(rest(head, ethernet::HEADER_LEN)).ok()?;
    tpid.is_vlan().then(|| Tag { tpid, tci: header.tci() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Tag = Tag { tpid: EtherType::SERVICE_VLAN, tci: Tci(0x7064) };
    const CUSTOMER: Tag = Tag { tpid: EtherType::VLAN, tci: Tci(0x0005) };

    fn frame(bytes: &[u8]) -> Frame {
        let mut frame = Frame::default();
        frame.head_room()[..bytes.len()].copy_from_slice(bytes);
        frame.set_head(bytes.len());
        frame
    }

    #[test]
    fn control_information_is_taken_apart_and_put_together() {
        let tci = Tci(0xb123);
        let vid = Vid::new(0x123).unwrap();
        assert_eq!((tci.priority(), tci.drop_eligible(), tci.vid()), (5, true, Some(vid)));
        assert_eq!(Tci::new(5, true, vid), tci);
    }

    #[test]
    fn ieee_802_1q_section_9_6_vid_0_is_no_vlan_of_a_tag_and_4095_is_none_at_all() {
        assert_eq!(Tci(0xe000).vid(), Some(Vid::UNTAGGED));
        assert_eq!(Tci(0x0fff).vid(), None);
        assert_eq!(Vid::new(4095), None);
        assert_eq!(Vid::new(4094).map(Vid::get), Some(4094));
    }

    #[test]
    fn ieee_802_1q_section_9_5_the_service_tag_is_the_outer_one() {
        let bytes = [0x70, 0x64, 0x81, 0x00, 0x00, 0x05, 0x08, 0x00, 0x45];
        let stack = Stack::parse(EtherType::SERVICE_VLAN, &bytes).unwrap();
        assert_eq!(stack.tags(), [SERVICE, CUSTOMER]);
        assert_eq!((stack.ethertype, stack.payload), (EtherType::IPV4, &[0x45][..]));
    }

    #[test]
    fn a_stack_is_read_to_its_bound() {
        let bytes = [0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0];
        let stack = Stack::parse(EtherType::VLAN, &bytes).unwrap();
        assert_eq!(stack.tags().len(), MAX_TAGS);
        assert_eq!(stack.ethertype, EtherType::VLAN);
        let untagged = Stack::parse(EtherType::IPV4, &bytes).unwrap();
        assert!(untagged.tags().is_empty());
        assert_eq!(untagged.payload, bytes);
    }

    #[test]
    fn a_tag_needs_all_its_bytes() {
        for len in [0, 1, 3, 5, 7] {
            let bytes = [0, 1, 0x81, 0, 0, 2, 8, 0];
            assert_eq!(Stack::parse(EtherType::VLAN, &bytes[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn tags_are_pushed_outside_and_popped_in_reverse() {
        let bytes = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45];
        let mut f = frame(&bytes);
        assert_eq!(pop(&mut f), None);
        assert!(!set_vid(&mut f, Vid::UNTAGGED));
        assert!(push(&mut f, CUSTOMER) && push(&mut f, SERVICE));
        assert_eq!(f.head()[12..], [0x88, 0xa8, 0x70, 0x64, 0x81, 0, 0, 5, 8, 0, 0x45]);
        assert_eq!(f.layers.vlan_tags, 2);
        assert!(set_vid(&mut f, Vid::new(0xfed).unwrap()));
        assert_eq!(pop(&mut f), Some(Tag { tci: Tci(0x7fed), ..SERVICE }));
        assert_eq!(pop(&mut f), Some(CUSTOMER));
        assert_eq!((f.head(), f.layers.vlan_tags), (&bytes[..], 0));
    }

    #[test]
    fn a_frame_without_room_or_header_stays_as_it_was() {
        let mut short = frame(&[0; 13]);
        assert!(!push(&mut short, CUSTOMER));
        let mut f = frame(&[0; 60]);
        while push(&mut f, CUSTOMER) {}
        let len = f.len();
        assert!(!push(&mut f, SERVICE));
        assert_eq!((f.len(), pop(&mut f)), (len, Some(CUSTOMER)));
        let mut cut = frame(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 1, 8]);
        assert_eq!(pop(&mut cut), None);
        assert!(!set_vid(&mut cut, Vid::UNTAGGED));
    }
}
