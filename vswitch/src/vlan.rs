//! Which VLAN a frame is in when it comes in by a port, and how it looks when it leaves by one (IEEE 802.1Q).
//!
//! Inside a bridge a frame is a VLAN ID and an *inner* frame: what is left when the tag that named the VLAN is
//! taken away. An access port carries inner frames of one VLAN; a trunk port carries many VLANs, each named by the
//! outermost tag; a tunnel port (QinQ, IEEE 802.1ad) takes whatever its customer sends, tags included, as an
//! inner frame. VLAN 0 is that of untagged frames on a trunk without a native VLAN, as in Open vSwitch.

use std::fmt;
use std::sync::Arc;

pub use strowger_packet::vlan::Vid;

/// The tag protocol identifier of a customer tag (IEEE 802.1Q).
pub const TPID_CUSTOMER: u16 = 0x8100;
/// The tag protocol identifier of a service tag (IEEE 802.1ad).
pub const TPID_SERVICE: u16 = 0x88a8;

/// A set of VLAN IDs.
#[derive(Clone, PartialEq, Eq)]
pub struct VidSet(Arc<[u64; 64]>);

/// The VLAN of untagged frames on a trunk port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    /// Which VLAN they are in. The port carries it, whether `allowed` has it or not.
    pub vid: Vid,
    /// Whether frames of this VLAN leave with a tag.
    pub tagged: bool,
}

/// What a port does with VLAN tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Untagged frames of one VLAN. Frames with a tag are refused, but priority tags (VLAN ID 0).
    Access(Vid),
    /// Frames of many VLANs, named by their outermost tag.
    Trunk {
        /// The VLANs that the port carries.
        allowed: VidSet,
        /// The VLAN of untagged frames; without it they are in VLAN 0.
        native: Option<Native>,
    },
    /// A QinQ customer: all frames, tagged or not, are inner frames of this service VLAN.
    Tunnel(Vid),
}

/// What the tag says that a frame came in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag protocol identifier.
    pub tpid: u16,
    /// The VLAN ID, 0 to 4095; 0 is a priority tag.
    pub vid: u16,
}

/// How a frame leaves by a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The inner frame alone.
    Inner,
    /// With a tag that names the VLAN.
    Tagged,
}

impl VidSet {
    /// No VLAN.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new([0; 64]))
    }

    /// All VLANs, 0 to 4094.
    #[must_use]
    pub fn all() -> Self {
        let mut words = [u64::MAX; 64];
        words[63] >>= 1;
        Self(Arc::new(words))
    }

    /// Adds a VLAN.
    pub fn insert(&mut self, vid: Vid) {
        if let Some(word) = Arc::make_mut(&mut self.0).get_mut(usize::from(vid.get() / 64)) {
            *word |= 1 << (vid.get() % 64);
        }
    }

    /// Whether a VLAN is in it.
    #[must_use]
    pub fn contains(&self, vid: Vid) -> bool {
        self.0
            .get(usize::from(vid.get() / 64))
            .is_some_and(|word| word >> (vid.get() % 64) & 1 == 1)
    }

    /// Its VLANs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Vid> + '_ {
        (0..4095).filter_map(Vid::new).filter(|&vid| self.contains(vid))
    }
}

impl FromIterator<Vid> for VidSet {
    fn from_iter<I: IntoIterator<Item = Vid>>(vids: I) -> Self {
        let mut set = Self::none();
        vids.into_iter().for_each(|vid| set.insert(vid));
        set
    }
}

/// Ranges with a hyphen, joined by a plus sign: `10+20-30`.
impl fmt::Display for VidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut vids = self.iter().map(Vid::get).peekable();
        let mut separator = "";
        while let Some(first) = vids.next() {
            let mut last = first;
            while let Some(next) = vids.next_if(|&next| next == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last != first {
                write!(f, "-{last}")?;
            }
            separator = "+";
        }
        Ok(())
    }
}

impl fmt::Debug for VidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VidSet({self})")
    }
}

impl Default for Mode {
    /// A trunk of all VLANs; untagged frames are in VLAN 0.
    fn default() -> Self {
        Self::Trunk { allowed: VidSet::all(), native: None }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(vid) => write!(f, "access {vid}"),
            Self::Tunnel(vid) => write!(f, "dot1q-tunnel {vid}"),
            Self::Trunk { allowed, native } => {
                write!(f, "trunk ")?;
                match *allowed == VidSet::all() {
                    true => write!(f, "all")?,
                    false => write!(f, "{allowed}")?,
                }
                match native {
                    Some(Native { vid, tagged: true }) => write!(f, " native {vid} tagged"),
                    Some(Native { vid, tagged: false }) => write!(f, " native {vid}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Mode {
    /// The VLAN that a frame is in that came with this outermost tag. `None` if the port does not carry it.
    #[must_use]
    pub fn admit(&self, outer: Option<Tag>) -> Option<Vid> {
        let vid = outer.map_or(0, |tag| tag.vid);
        match self {
            Self::Access(own) => (vid == 0).then_some(*own),
            Self::Tunnel(own) => Some(*own),
            Self::Trunk { native, .. } => {
                let vid = match native {
                    Some(native) if vid == 0 => native.vid,
                    _ => Vid::new(vid)?,
                };
                self.carries(vid).then_some(vid)
            }
        }
    }

    /// Whether the outermost tag of a frame that comes in is this bridge's, and not part of the inner frame.
    #[must_use]
    pub fn owns_tag(&self) -> bool {
        !matches!(self, Self::Tunnel(_))
    }

    /// How a frame of a VLAN leaves. `None` if the port does not carry the VLAN.
    #[must_use]
    pub fn egress(&self, vid: Vid) -> Option<Form> {
        self.carries(vid).then_some(match self {
            Self::Access(_) | Self::Tunnel(_) => Form::Inner,
            Self::Trunk { native, .. } => match native {
                _ if vid == Vid::UNTAGGED => Form::Inner,
                Some(native) if native.vid == vid && !native.tagged => Form::Inner,
                _ => Form::Tagged,
            },
        })
    }

    fn carries(&self, vid: Vid) -> bool {
        match self {
            Self::Access(own) | Self::Tunnel(own) => *own == vid,
            Self::Trunk { allowed, native } => {
                allowed.contains(vid) || native.is_some_and(|native| native.vid == vid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vid(vid: u16) -> Vid {
        Vid::new(vid).unwrap()
    }

    fn tag(vid: u16) -> Option<Tag> {
        Some(Tag { tpid: TPID_CUSTOMER, vid })
    }

    fn trunk(allowed: &[u16], native: Option<(u16, bool)>) -> Mode {
        Mode::Trunk {
            allowed: allowed.iter().copied().map(vid).collect(),
            native: native.map(|(number, tagged)| Native { vid: vid(number), tagged }),
        }
    }

    #[test]
    fn an_access_port_takes_untagged_and_priority_tagged_frames_only() {
        let mode = Mode::Access(vid(7));
        assert_eq!(mode.admit(None), Some(vid(7)));
        assert_eq!(mode.admit(tag(0)), Some(vid(7)));
        assert_eq!(mode.admit(tag(7)), None);
        assert_eq!(mode.egress(vid(7)), Some(Form::Inner));
        assert_eq!(mode.egress(vid(8)), None);
    }

    #[test]
    fn a_trunk_carries_what_it_allows_and_its_native_vlan() {
        let mode = trunk(&[10, 20], Some((5, false)));
        assert_eq!(mode.admit(None), Some(vid(5)));
        assert_eq!(mode.admit(tag(0)), Some(vid(5)));
        assert_eq!(mode.admit(tag(5)), Some(vid(5)));
        assert_eq!(mode.admit(tag(20)), Some(vid(20)));
        assert_eq!(mode.admit(tag(30)), None);
        assert_eq!(mode.egress(vid(5)), Some(Form::Inner));
        assert_eq!(mode.egress(vid(20)), Some(Form::Tagged));
        assert_eq!(trunk(&[], Some((5, true))).egress(vid(5)), Some(Form::Tagged));
    }

    #[test]
    fn untagged_frames_of_the_default_trunk_are_in_vlan_0_and_stay_untagged() {
        let mode = Mode::default();
        assert_eq!(mode.admit(None), Some(Vid::UNTAGGED));
        assert_eq!(mode.egress(Vid::UNTAGGED), Some(Form::Inner));
        assert_eq!(mode.admit(tag(4094)), Some(vid(4094)));
        assert_eq!(trunk(&[1], None).admit(None), None);
    }

    #[test]
    fn vid_4095_is_no_vlan() {
        assert_eq!(Vid::new(4095), None);
        assert_eq!(Mode::default().admit(tag(4095)), None);
        assert_eq!(VidSet::all().iter().count(), 4095);
    }

    #[test]
    fn a_tunnel_takes_everything_into_its_service_vlan() {
        let mode = Mode::Tunnel(vid(100));
        for outer in [None, tag(0), tag(100), tag(4095)] {
            assert_eq!(mode.admit(outer), Some(vid(100)));
        }
        assert!(!mode.owns_tag());
    }

    #[test]
    fn sets_and_modes_are_written_as_on_the_command_line() {
        assert_eq!(trunk(&[10, 20, 21, 22], None).to_string(), "trunk 10+20-22");
        assert_eq!(Mode::default().to_string(), "trunk all");
        assert_eq!(Mode::Access(vid(3)).to_string(), "access 3");
    }
}
