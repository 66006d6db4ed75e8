//! What the configuration says, as workers read it: tables of stations, what is done to a port's frames, mirrors.

use std::{io, sync::Arc};

use strowger_packet::PortId;

use crate::{
    config::{BridgeConfig, Config, Direction, LoopGuard, PortConfig},
    engine::clock,
    rates::{Shaper, TokenBucket},
    snapshot::Extras,
    tables::{
        loops::Guard,
        mac::{MacLimits, MacTable},
        mirror::{self, Mirror},
    },
    vlan::Vid,
};

/// The table of a new bridge's stations.
pub(super) fn stations(limits: MacLimits) -> Arc<MacTable> {
    Arc::new(MacTable::new(limits))
}

/// A table with other limits and the same stations, as far as they fit; those heard of last.
pub(super) fn stations_again(limits: MacLimits, before: &MacTable) -> Arc<MacTable> {
    let now = clock::now().seconds();
    let table = MacTable::new(limits);
    let mut known = before.stations(now);
    known.sort_by_key(|station| std::cmp::Reverse(station.age));
    for station in known {
        table.learn(station.vid, station.mac, station.port, now.saturating_sub(station.age));
    }
    Arc::new(table)
}

/// What a bridge does with stations that go to and fro.
pub(super) fn guard(bridge: &BridgeConfig) -> Guard {
    match bridge.loop_guard {
        LoopGuard::Off => Guard::Off,
        LoopGuard::Report => Guard::Report,
        LoopGuard::Hold => Guard::Hold(bridge.loop_hold.try_into().unwrap_or(u32::MAX)),
    }
}

/// What is done to a port's frames beside forwarding them. What stays the same of `before` goes on: a bucket is as full
/// as it was, what waits in a shaper waits on.
///
/// # Errors
/// If there is no memory for a shaper's queue.
pub(super) fn extras(port: &PortConfig, before: Option<&Extras>) -> io::Result<Extras> {
    let mut extras = before.cloned().unwrap_or_default();
    let limit = port.policing();
    if extras.policer.as_ref().map(|policer| policer.limit()) != limit {
        extras.policer = limit.map(|limit| Arc::new(TokenBucket::new(limit)));
    }
    let limit = port.shaping();
    if extras.shaper.as_ref().map(|shaper| shaper.limit()) != limit {
        extras.shaper = match (limit, extras.shaper) {
            (None, _) => None,
            (Some(limit), Some(shaper)) => Some(Arc::new(shaper.with_limit(limit))),
            (Some(limit), None) => Some(Arc::new(Shaper::new(limit)?)),
        };
    }
    Ok(extras)
}

/// The mirrors of a bridge, in the order of the configuration.
pub(super) fn mirrors(
    config: &Config,
    bridge: &str,
    id: impl Fn(&String) -> Option<PortId>,
) -> Vec<Mirror> {
    let mirror = |(name, mirror): (&String, &crate::config::MirrorConfig)| {
        let some = |list: bool| list.then_some(());
        Some(Mirror {
            name: name.clone(),
            ports: some(!mirror.ports.is_empty())
                .map(|()| mirror.ports.iter().filter_map(&id).collect()),
            direction: match mirror.direction {
                Direction::Both => mirror::Direction::Both,
                Direction::Rx => mirror::Direction::Rx,
                Direction::Tx => mirror::Direction::Tx,
            },
            vlans: some(!mirror.vlans.is_empty())
                .map(|()| mirror.vlans.iter().copied().filter_map(Vid::new).collect()),
            to: id(&mirror.to)?,
        })
    };
    config.mirrors.iter().filter(|(_, mirror)| mirror.bridge == bridge).filter_map(mirror).collect()
}
