//! What is looked at, depended on and wanted. What comes out of the ports is held against a naive switch in
//! `tests/traffic_model.rs`.

use std::sync::Arc;

use strowger_packet::PortCounters;

use super::*;
use crate::ports::TxSlots;
use crate::snapshot::Extras;
use crate::tables::mac::MacLimits;
use crate::tables::mirror::{Direction, Mirror};
use crate::vlan::{Mode, Native, VidSet};

struct Bridge {
    snapshot: Snapshot,
    stations: Arc<MacTable>,
}

const A: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xa]);
const B: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xb]);

fn vid(number: u16) -> Vid {
    Vid::new(number).unwrap()
}

fn bridge(modes: &[Mode]) -> Bridge {
    let stations = Arc::new(MacTable::new(MacLimits::default()));
    let mut snapshot = Snapshot::default();
    let bridge = snapshot.add_bridge("br0", Arc::clone(&stations));
    for (number, mode) in modes.iter().enumerate() {
        let entry = PortEntry {
            id: PortId(number as u32),
            name: format!("p{number}"),
            number: number as u32 + 1,
            bridge,
            vlan: mode.clone(),
            counters: Arc::new(PortCounters::new(1)),
            tx: Arc::new(TxSlots::new(1)),
            extras: Extras::default(),
        };
        assert!(snapshot.put_port(entry));
    }
    Bridge { snapshot, stations }
}

impl Bridge {
    fn translate(&self, key: &FlowKey) -> Translation {
        let port = self.snapshot.port(key.in_port()).unwrap();
        let bridge = self.snapshot.bridge(port.bridge).unwrap();
        let fdb = FdbView { stations: &self.stations, now: 0 };
        translate(key, (port, bridge), &self.snapshot, fdb)
    }

    fn ops(&self, key: &FlowKey) -> Vec<Op> {
        self.translate(key).program.ops()
    }
}

fn key(port: u32, dst: MacAddress, src: MacAddress, tag: Option<(TagKind, u16)>) -> FlowKey {
    let mut key = FlowKey::default();
    key.set_in_port(PortId(port));
    key.set_eth_dst(dst);
    key.set_eth_src(src);
    if let Some((kind, tci)) = tag {
        key.set_outer_kind(kind);
        key.set_outer_tci(Tci(tci));
    }
    key
}

#[test]
fn an_unknown_station_is_looked_for_everywhere_but_where_the_frame_came_from() {
    let bridge = bridge(&[Mode::default(), Mode::default(), Mode::default()]);
    let translation = bridge.translate(&key(1, B, A, None));
    assert_eq!(translation.program.ops(), [Op::Output(PortId(0)), Op::Output(PortId(2))]);
    assert_eq!(
        translation.effects.learn,
        Some(Learn { vid: Vid::UNTAGGED, mac: A, port: PortId(1) })
    );
    bridge.stations.learn(Vid::UNTAGGED, B, PortId(2), 0);
    assert!(!bridge.stations.is_current(translation.dependencies.destination));
    assert_eq!(bridge.ops(&key(1, B, A, None)), [Op::Output(PortId(2))]);
}

#[test]
fn it_changes_nothing() {
    let bridge = bridge(&[Mode::default(), Mode::default()]);
    let first = bridge.translate(&key(0, B, A, None));
    assert_eq!(bridge.translate(&key(0, B, A, None)), first);
    assert_eq!(bridge.stations.statistics().stations, 0);
}

#[test]
fn a_frame_to_where_it_came_from_is_dropped() {
    let bridge = bridge(&[Mode::default(), Mode::default()]);
    bridge.stations.learn(Vid::UNTAGGED, B, PortId(0), 0);
    assert_eq!(bridge.ops(&key(0, B, A, None)), [Op::Drop(DropReason::Hairpin)]);
    assert_eq!(bridge.ops(&key(1, A, A, None)), [Op::Drop(DropReason::Hairpin)], "to itself");
}

#[test]
fn refused_frames_teach_nothing_and_their_mask_has_only_what_was_looked_at() {
    let access = Mode::Access(vid(5));
    let bridge = bridge(&[access.clone(), access]);
    let tagged = bridge.translate(&key(0, B, A, Some((TagKind::Customer, 5))));
    assert_eq!(tagged.program, Program::Drop(DropReason::VlanNotAllowed));
    assert_eq!(tagged.mask, Mask::IN_PORT | Mask::RECIRCULATION | vlan_mask());

    let reserved = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x0e]);
    let reserved = bridge.translate(&key(0, reserved, A, None));
    assert_eq!(reserved.program, Program::Drop(DropReason::ReservedAddress));
    assert!(!reserved.mask.contains(&Mask::ETH_SRC));

    for source in [MacAddress::ZERO, MacAddress::BROADCAST, MacAddress([1, 0, 0, 0, 0, 1])] {
        let translation = bridge.translate(&key(0, B, source, None));
        assert_eq!(translation.program, Program::Drop(DropReason::BadSource));
        assert_eq!(translation.effects.learn, None);
    }
    assert_eq!(tagged.effects.learn, None);
}

#[test]
fn priority_is_not_looked_at() {
    let bridge = bridge(&[Mode::default(), Mode::default()]);
    let mask = bridge.translate(&key(0, B, A, Some((TagKind::Customer, 0xe00a)))).mask;
    let (low, high) = (
        key(0, B, A, Some((TagKind::Customer, 10))),
        key(0, B, A, Some((TagKind::Customer, 0xf00a))),
    );
    assert_eq!(low.masked(&mask), high.masked(&mask));
    let other = key(0, B, A, Some((TagKind::Customer, 11)));
    assert_ne!(low.masked(&mask), other.masked(&mask));
}

#[test]
fn a_tunnel_does_not_look_at_its_customers_tags() {
    let bridge = bridge(&[Mode::Tunnel(vid(100)), Mode::default()]);
    let translation = bridge.translate(&key(0, B, A, Some((TagKind::Customer, 10))));
    assert_eq!(
        translation.program.ops(),
        [Op::PushVlan { tpid: TPID_SERVICE, tci: 100 }, Op::Output(PortId(1))]
    );
    assert!(!translation.mask.contains(&Mask::OUTER_KIND));
    assert_eq!(translation.effects.learn.unwrap().vid, vid(100));
}

#[test]
fn a_flood_changes_its_frame_once() {
    let allowed: VidSet = [vid(10), vid(20)].into_iter().collect();
    let trunk = Mode::Trunk { allowed: allowed.clone(), native: None };
    let native = Mode::Trunk { allowed, native: Some(Native { vid: vid(10), tagged: false }) };
    let bridge =
        bridge(&[Mode::Access(vid(10)), trunk.clone(), Mode::Access(vid(10)), native, trunk]);
    let out = |port| Op::Output(PortId(port));
    assert_eq!(
        bridge.ops(&key(0, B, A, None)),
        [out(2), out(3), Op::PushVlan { tpid: TPID_CUSTOMER, tci: 10 }, out(1), out(4)]
    );
    assert_eq!(
        bridge.ops(&key(1, B, A, Some((TagKind::Service, 10)))),
        [out(4), Op::PopVlan, out(0), out(2), out(3)]
    );
    assert_eq!(
        bridge.ops(&key(3, B, A, Some((TagKind::Customer, 0)))),
        [Op::SetVid(10), out(1), out(4), Op::PopVlan, out(0), out(2)]
    );
}

#[test]
fn a_station_behind_a_port_that_left_the_vlan_is_unknown() {
    let mut bridge = bridge(&[Mode::Access(vid(5)), Mode::Access(vid(5)), Mode::Access(vid(5))]);
    bridge.stations.learn(vid(5), B, PortId(1), 0);
    assert_eq!(bridge.ops(&key(0, B, A, None)), [Op::Output(PortId(1))]);
    let mut other = PortEntry::clone(bridge.snapshot.port(PortId(1)).unwrap());
    other.vlan = Mode::Access(vid(6));
    assert!(bridge.snapshot.put_port(other));
    assert_eq!(bridge.ops(&key(0, B, A, None)), [Op::Output(PortId(2))]);
}

#[test]
fn a_frame_for_nobody_is_dropped_with_that_reason() {
    let bridge = bridge(&[Mode::Access(vid(5)), Mode::Access(vid(6))]);
    assert_eq!(bridge.ops(&key(0, B, A, None)), [Op::Drop(DropReason::NoReceiver)]);
}

#[test]
fn a_mirror_looks_at_nothing_more_and_its_port_at_nothing_else() {
    let mut bridge =
        bridge(&[Mode::default(), Mode::default(), Mode::Access(vid(7)), Mode::default()]);
    let tagged = key(0, B, A, Some((TagKind::Customer, 7)));
    let keys = [tagged, key(0, B, A, None), key(0, MacAddress([1, 0x80, 0xc2, 0, 0, 1]), A, None)];
    let before = keys.each_ref().map(|key| bridge.translate(key).mask);
    let id = bridge.snapshot.bridges().next().unwrap().id;
    let mirror =
        |ports, direction, to| Mirror { name: "m".into(), ports, direction, vlans: None, to };
    let all = mirror(None, Direction::Both, PortId(3));
    bridge.snapshot.set_mirrors(id, vec![all]);
    let after = keys.each_ref().map(|key| bridge.translate(key));
    assert_eq!(after.each_ref().map(|translation| translation.mask), before);
    let [tagged, _, reserved] = after.map(|translation| translation.program.ops());
    let out = |port| Op::Output(PortId(port));
    assert_eq!(tagged, [out(3), out(1), Op::PopVlan, out(2)]);
    assert_eq!(reserved, [out(3), Op::Drop(DropReason::ReservedAddress)]);

    let target = bridge.translate(&key(3, B, A, None));
    assert_eq!(target.program, Program::Drop(DropReason::MirrorPort));
    assert_eq!(target.mask, Mask::IN_PORT | Mask::RECIRCULATION);
    assert_eq!(target.effects.learn, None);

    // As the first of the mirrored ports receives it, and once.
    let leaving = mirror(Some(vec![PortId(2), PortId(1)]), Direction::Tx, PortId(3));
    bridge.snapshot.set_mirrors(id, vec![leaving.clone(), leaving]);
    assert_eq!(bridge.ops(&keys[0]), [out(1), out(3), Op::PopVlan, out(2)]);

    // Copies to a port that is not there are not made.
    bridge.snapshot.remove_port(PortId(3));
    assert_eq!(bridge.ops(&keys[0]), [out(1), Op::PopVlan, out(2)]);
}
