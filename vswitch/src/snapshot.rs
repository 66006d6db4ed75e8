//! The immutable whole that workers read: ports and bridges at one moment.
//!
//! Control keeps a working copy, changes it, and [publishes](crate::engine::Engine::publish) a clone. Entries are
//! shared between snapshots; what changes often (counters, tx queues, stations) lies behind them and is not part of
//! the snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strowger_packet::{PortCounters, PortId};

use crate::capture::tap::Taps;
use crate::ports::TxSlots;
use crate::rates::{Shaper, TokenBucket};
use crate::tables::mac::MacTable;
use crate::tables::mirror::{Mirror, Mirrors};
use crate::vlan;

/// The most ports. Ids are below it, so that tables by port are arrays.
pub const MAX_PORTS: u32 = 16384;

/// A bridge of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct BridgeId(pub u32);

/// A port as workers see it.
#[derive(Clone, Debug)]
pub struct PortEntry {
    /// Its identity, below [`MAX_PORTS`]; may be used again once the port is gone.
    pub id: PortId,
    /// Its name.
    pub name: String,
    /// Its OpenFlow number.
    pub number: u32,
    /// The bridge that it is a port of.
    pub bridge: BridgeId,
    /// What it does with VLAN tags.
    pub vlan: vlan::Mode,
    /// What it counts, a shard a worker.
    pub counters: Arc<PortCounters>,
    /// Its tx queues.
    pub tx: Arc<TxSlots>,
    /// What else is done to its frames.
    pub extras: Extras,
}

/// What is done to a port's frames beside forwarding them. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Drops what comes in by the port above its rate.
    pub policer: Option<Arc<TokenBucket>>,
    /// Holds what leaves by the port back to its rate. Of two entries of one port, one after the other, both should
    /// have the same queue ([`Shaper::with_limit`]).
    pub shaper: Option<Arc<Shaper>>,
    /// Who captures the port, if anyone does.
    pub taps: Option<Taps>,
}

/// A bridge as workers see it.
#[derive(Clone, Debug)]
pub struct BridgeEntry {
    /// Its identity.
    pub id: BridgeId,
    /// Its name.
    pub name: String,
    /// Its ports, in the order in which they were added.
    pub members: Vec<PortId>,
    /// Its stations.
    pub stations: Arc<MacTable>,
    /// Its mirrors.
    pub mirrors: Arc<Mirrors>,
    /// Moves with every change of its members, of its mirrors and of their VLAN settings; never the same for two that differ.
    pub version: u64,
}

/// All ports and bridges at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    ports: Vec<Option<Arc<PortEntry>>>,
    bridges: Vec<Option<Arc<BridgeEntry>>>,
}

/// Unique over all snapshots of the process, so that two forks of one snapshot never claim to be the same.
fn next_version() -> u64 {
    static VERSION: AtomicU64 = AtomicU64::new(1);
    VERSION.fetch_add(1, Ordering::Relaxed)
}

impl Snapshot {
    /// The port of this id.
    #[inline]
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&Arc<PortEntry>> {
        self.ports.get(id.0 as usize)?.as_ref()
    }

    /// The bridge of this id.
    #[inline]
    #[must_use]
    pub fn bridge(&self, id: BridgeId) -> Option<&Arc<BridgeEntry>> {
        self.bridges.get(id.0 as usize)?.as_ref()
    }

    /// All ports, in order of their ids.
    pub fn ports(&self) -> impl Iterator<Item = &Arc<PortEntry>> {
        self.ports.iter().flatten()
    }

    /// All bridges, in order of their ids.
    pub fn bridges(&self) -> impl Iterator<Item = &Arc<BridgeEntry>> {
        self.bridges.iter().flatten()
    }

    /// Adds a bridge without ports, and returns its id.
    pub fn add_bridge(&mut self, name: impl Into<String>, stations: Arc<MacTable>) -> BridgeId {
        let free = self.bridges.iter().position(Option::is_none).unwrap_or(self.bridges.len());
        let id = BridgeId(free as u32);
        let (name, members) = (name.into(), Vec::new());
        let (mirrors, version) = (Arc::default(), next_version());
        let entry = BridgeEntry { id, name, members, stations, mirrors, version };
        put(&mut self.bridges, free, entry);
        id
    }

    /// Takes a bridge and its ports out.
    pub fn remove_bridge(&mut self, id: BridgeId) -> Option<Arc<BridgeEntry>> {
        let entry = self.bridges.get_mut(id.0 as usize)?.take()?;
        for &port in &entry.members {
            if let Some(slot) = self.ports.get_mut(port.0 as usize) {
                *slot = None;
            }
        }
        Some(entry)
    }

    /// The lowest id that no port has. `None` if there are [`MAX_PORTS`].
    #[must_use]
    pub fn free_port_id(&self) -> Option<PortId> {
        let free = self.ports.iter().position(Option::is_none).unwrap_or(self.ports.len());
        u32::try_from(free).ok().filter(|&free| free < MAX_PORTS).map(PortId)
    }

    /// Adds a port to its bridge, or puts other settings in the place of those of the port with its id.
    /// `false`, and nothing changed, if there is no such bridge or the id is [`MAX_PORTS`] or more.
    pub fn put_port(&mut self, entry: PortEntry) -> bool {
        let (id, bridge) = (entry.id, entry.bridge);
        if id.0 >= MAX_PORTS || self.bridge(bridge).is_none() {
            return false;
        }
        if self.port(id).is_some_and(|before| before.bridge != bridge) {
            self.remove_port(id);
        }
        put(&mut self.ports, id.0 as usize, entry);
        self.change_members(bridge, |members| {
            if !members.contains(&id) {
                members.push(id);
            }
        });
        true
    }

    /// Has a port captured by these, or by nobody. Flows that are known stay known. `false` if there is no such port.
    pub fn set_taps(&mut self, id: PortId, taps: Option<Taps>) -> bool {
        match self.ports.get_mut(id.0 as usize) {
            Some(Some(port)) => Arc::make_mut(port).extras.taps = taps,
            _ => return false,
        }
        true
    }

    /// Takes a port out.
    pub fn remove_port(&mut self, id: PortId) -> Option<Arc<PortEntry>> {
        let entry = self.ports.get_mut(id.0 as usize)?.take()?;
        self.change_members(entry.bridge, |members| members.retain(|&member| member != id));
        Some(entry)
    }

    /// Gives a bridge another table of stations.
    pub fn set_stations(&mut self, id: BridgeId, stations: Arc<MacTable>) {
        if let Some(Some(bridge)) = self.bridges.get_mut(id.0 as usize) {
            let bridge = Arc::make_mut(bridge);
            bridge.stations = stations;
            // What was translated leans on places and versions of the table of before.
            bridge.version = next_version();
        }
    }

    /// Gives a bridge these mirrors in the place of those that it has. Those whose target is no port of the bridge
    /// copy nothing.
    pub fn set_mirrors(&mut self, id: BridgeId, mirrors: Vec<Mirror>) {
        if let Some(Some(bridge)) = self.bridges.get_mut(id.0 as usize) {
            let mirrors = Mirrors::new(mirrors);
            if *bridge.mirrors != mirrors {
                let bridge = Arc::make_mut(bridge);
                bridge.mirrors = Arc::new(mirrors);
                bridge.version = next_version();
            }
        }
    }

    fn change_members(&mut self, id: BridgeId, change: impl FnOnce(&mut Vec<PortId>)) {
        if let Some(Some(bridge)) = self.bridges.get_mut(id.0 as usize) {
            let bridge = Arc::make_mut(bridge);
            change(&mut bridge.members);
            bridge.version = next_version();
        }
    }
}

fn put<T>(list: &mut Vec<Option<Arc<T>>>, at: usize, entry: T) {
    if list.len() <= at {
        list.resize_with(at + 1, || None);
    }
    if let Some(slot) = list.get_mut(at) {
        *slot = Some(Arc::new(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::mac::MacLimits;

    fn stations() -> Arc<MacTable> {
        Arc::new(MacTable::new(MacLimits::default()))
    }

    fn port(id: u32, bridge: BridgeId) -> PortEntry {
        PortEntry {
            id: PortId(id),
            name: format!("p{id}"),
            number: id,
            bridge,
            vlan: vlan::Mode::default(),
            counters: Arc::new(PortCounters::new(1)),
            tx: Arc::new(TxSlots::new(1)),
            extras: Extras::default(),
        }
    }

    #[test]
    fn a_change_of_members_is_a_new_version_of_that_bridge_only() {
        let mut first = Snapshot::default();
        let (one, two) = (first.add_bridge("one", stations()), first.add_bridge("two", stations()));
        assert!(first.put_port(port(0, one)));
        let mut second = first.clone();
        assert!(second.put_port(port(1, one)));
        let version = |snapshot: &Snapshot, id| snapshot.bridge(id).unwrap().version;
        assert_ne!(version(&first, one), version(&second, one));
        assert_eq!(version(&first, two), version(&second, two));
        assert_eq!(first.bridge(one).unwrap().members, [PortId(0)]);
        assert_eq!(second.bridge(one).unwrap().members, [PortId(0), PortId(1)]);
    }

    #[test]
    fn other_mirrors_are_a_new_version_of_their_bridge_and_the_same_are_none() {
        let mut snapshot = Snapshot::default();
        let bridge = snapshot.add_bridge("br0", stations());
        let version = |snapshot: &Snapshot| snapshot.bridge(bridge).unwrap().version;
        let (before, mirror) = (version(&snapshot), || Mirror {
            name: "m".into(),
            ports: Some(vec![PortId(2), PortId(1)]),
            direction: crate::tables::mirror::Direction::Both,
            vlans: None,
            to: PortId(3),
        });
        snapshot.set_mirrors(bridge, vec![]);
        assert_eq!(version(&snapshot), before);
        snapshot.set_mirrors(bridge, vec![mirror()]);
        let with = version(&snapshot);
        assert_ne!(with, before);
        snapshot.set_mirrors(bridge, vec![mirror()]);
        assert_eq!(version(&snapshot), with);
    }

    #[test]
    fn a_port_moves_between_bridges_and_goes_with_its_bridge() {
        let mut snapshot = Snapshot::default();
        let (one, two) =
            (snapshot.add_bridge("one", stations()), snapshot.add_bridge("two", stations()));
        assert!(snapshot.put_port(port(0, one)));
        assert!(snapshot.put_port(port(0, two)));
        assert!(snapshot.bridge(one).unwrap().members.is_empty());
        snapshot.remove_bridge(two);
        assert!(snapshot.port(PortId(0)).is_none());
        assert_eq!(snapshot.free_port_id(), Some(PortId(0)));
    }

    #[test]
    fn a_port_without_a_bridge_is_refused() {
        assert!(!Snapshot::default().put_port(port(0, BridgeId(3))));
    }
}
