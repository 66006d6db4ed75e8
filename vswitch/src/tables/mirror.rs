//! Mirrors of a bridge (SPAN): which frames are copied to which port.
//!
//! Asked by [`translate`](super::translate) alone: a copy is an output of the flow's program, so that a frame which
//! hits the cache pays for a copy, and not for the question.
//!
//! A frame is copied to a target at most once: as it came in, if it came in by a mirrored port; else as the first
//! mirrored port receives it, of those that do, in the order in which the bridge has them. A mirror's target takes no
//! part in forwarding: what comes in by it is dropped, and it is sent nothing but copies.

use strowger_packet::PortId;

use crate::vlan::{Vid, VidSet};

/// Which frames of a port are meant, seen from the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Those that come in and those that leave.
    #[default]
    Both,
    /// Those that come in.
    Rx,
    /// Those that leave.
    Tx,
}

/// A mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// The mirrored ports; `None` for all of the bridge.
    pub ports: Option<Vec<PortId>>,
    /// Which of their frames.
    pub direction: Direction,
    /// Only frames in these VLANs; `None` for all, and for those that are in none because their port refuses them.
    pub vlans: Option<VidSet>,
    /// Where the copies go.
    pub to: PortId,
}

/// All mirrors of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    list: Vec<Mirror>,
    /// Sorted.
    targets: Vec<PortId>,
}

impl Mirrors {
    /// These mirrors, in this order.
    #[must_use]
    pub fn new(mut list: Vec<Mirror>) -> Self {
        for ports in list.iter_mut().filter_map(|mirror| mirror.ports.as_mut()) {
            ports.sort_unstable();
        }
        let mut targets: Vec<PortId> = list.iter().map(|mirror| mirror.to).collect();
        targets.sort_unstable();
        targets.dedup();
        Self { list, targets }
    }

    /// The mirrors.
    pub fn iter(&self) -> impl Iterator<Item = &Mirror> {
        self.list.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a mirror sends to this port.
    #[must_use]
    pub fn is_target(&self, port: PortId) -> bool {
        self.targets.binary_search(&port).is_ok()
    }
}

impl Mirror {
    /// Whether it copies frames that come in by a port, in this VLAN if the port carries it.
    #[must_use]
    pub fn copies_rx(&self, port: PortId, vid: Option<Vid>) -> bool {
        self.direction != Direction::Tx && self.has_port(port) && self.has_vlan(vid)
    }

    /// Whether it copies frames of a VLAN that leave by a port.
    #[must_use]
    pub fn copies_tx(&self, port: PortId, vid: Vid) -> bool {
        self.direction != Direction::Rx && self.has_port(port) && self.has_vlan(Some(vid))
    }

    fn has_port(&self, port: PortId) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.binary_search(&port).is_ok())
    }

    fn has_vlan(&self, vid: Option<Vid>) -> bool {
        self.vlans.as_ref().is_none_or(|vlans| vid.is_some_and(|vid| vlans.contains(vid)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vid(vid: u16) -> Vid {
        Vid::new(vid).unwrap()
    }

    #[test]
    fn ports_vlans_and_direction_hold_together() {
        let mirror = |ports: Option<&[u32]>, direction, vlans: Option<&[u16]>| {
            let ports = ports.map(|ports| ports.iter().copied().map(PortId).collect());
            let vlans = vlans.map(|vlans| vlans.iter().copied().map(vid).collect());
            let mirror = Mirror { name: "m".into(), ports, direction, vlans, to: PortId(9) };
            Mirrors::new(vec![mirror])
        };
        let rx = |mirrors: &Mirrors, port, vlan: Option<u16>| {
            mirrors.list[0].copies_rx(PortId(port), vlan.map(vid))
        };
        let tx = |mirrors: &Mirrors, port, vlan| mirrors.list[0].copies_tx(PortId(port), vid(vlan));

        let ports = mirror(Some(&[5, 1]), Direction::Both, None);
        assert!(rx(&ports, 1, Some(3)) && rx(&ports, 5, None) && tx(&ports, 5, 3));
        assert!(!rx(&ports, 2, Some(3)) && !tx(&ports, 2, 3));
        assert!(ports.is_target(PortId(9)) && !ports.is_target(PortId(5)));

        let vlans = mirror(None, Direction::Rx, Some(&[3]));
        assert!(rx(&vlans, 7, Some(3)) && !rx(&vlans, 7, Some(4)) && !rx(&vlans, 7, None));
        assert!(!tx(&vlans, 7, 3));

        let both = mirror(Some(&[1]), Direction::Tx, Some(&[3]));
        assert!(tx(&both, 1, 3) && !tx(&both, 1, 4) && !tx(&both, 2, 3) && !rx(&both, 1, Some(3)));
    }
}
