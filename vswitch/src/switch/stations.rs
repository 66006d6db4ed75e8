//! Stations, listed and forgotten.

use std::sync::Arc;

use super::handle::Inner;
use crate::{
    control::{Refusal, Station},
    engine::clock,
    snapshot::{BridgeEntry, Snapshot},
};

impl Inner {
    /// The stations of a bridge or of all, in order of bridge, VLAN and address.
    pub(super) fn stations(&self, bridge: Option<&str>) -> Result<Vec<Station>, Refusal> {
        let snapshot = self.engine.snapshot();
        let now = clock::now().seconds();
        let of_bridge = |bridge: &Arc<BridgeEntry>| {
            let shown = |station: crate::tables::mac::Station| Station {
                bridge: bridge.name.clone(),
                vlan: station.vid.get(),
                mac: station.mac.to_string(),
                port: snapshot
                    .port(station.port)
                    .map_or_else(String::new, |port| port.name.clone()),
                age_seconds: station.age.into(),
                held: station.held,
            };
            bridge.stations.stations(now).into_iter().map(shown).collect::<Vec<_>>()
        };
        Ok(bridges(&snapshot, bridge)?.iter().flat_map(of_bridge).collect())
    }

    /// Forgets the stations of a bridge or of all, behind a port or behind any. Says how many there were.
    pub(super) fn flush_stations(
        &self,
        bridge: Option<&str>,
        port: Option<&str>,
    ) -> Result<usize, Refusal> {
        let snapshot = self.engine.snapshot();
        let bridges = bridges(&snapshot, bridge)?;
        if let Some(name) = port
            && !bridges
                .iter()
                .flat_map(|bridge| &bridge.members)
                .any(|&id| snapshot.port(id).is_some_and(|port| port.name == name))
        {
            let on = bridge.map_or_else(String::new, |bridge| format!(" on bridge '{bridge}'"));
            return Err(Refusal::NotFound(format!("there is no port '{name}'{on}")));
        }
        let is_meant = |name: &str| port.is_none_or(|port| port == name);
        let mut forgotten = 0;
        for bridge in bridges {
            for port in bridge.members.iter().filter_map(|&id| snapshot.port(id)) {
                if is_meant(&port.name) {
                    forgotten += bridge.stations.forget(port.id);
                }
            }
        }
        Ok(forgotten)
    }
}

/// One bridge, or all in order of their names.
fn bridges(snapshot: &Snapshot, name: Option<&str>) -> Result<Vec<Arc<BridgeEntry>>, Refusal> {
    let is_meant = |bridge: &&Arc<BridgeEntry>| name.is_none_or(|name| bridge.name == name);
    let mut bridges: Vec<_> = snapshot.bridges().filter(is_meant).cloned().collect();
    match name {
        Some(name) if bridges.is_empty() => {
            Err(Refusal::NotFound(format!("there is no bridge '{name}'")))
        }
        _ => {
            bridges.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(bridges)
        }
    }
}
