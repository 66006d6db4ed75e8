//! From a flow's key to its program: the learning switch (IEEE 802.1Q, 8.6 to 8.8).
//!
//! Pure: nothing is learned or inserted here. The result says what it looked at (the mask), what it depends on, and
//! what it wants done (effects); the caller caches and applies it, and a trace throws it away.

use strowger_packet::key::TagKind;
use strowger_packet::vlan::Tci;
use strowger_packet::{DropReason, FlowKey, MacAddress, Mask, PortId};

use super::mac::{Dependency, MacTable, Seconds};
use super::program::{Op, Program};
use crate::snapshot::{BridgeEntry, PortEntry, Snapshot};
use crate::vlan::{Form, TPID_CUSTOMER, TPID_SERVICE, Tag, Vid};

/// The stations of a bridge at one moment.
#[derive(Clone, Copy, Debug)]
pub struct FdbView<'a> {
    /// The stations.
    pub stations: &'a MacTable,
    /// The moment.
    pub now: Seconds,
}

/// What is to be done with the frames of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The bits of the key that decided it: all frames that have them in common go the same way.
    pub mask: Mask,
    /// What is done to each frame.
    pub program: Program,
    /// What it depends on.
    pub dependencies: Dependencies,
    /// What the first frame, and now and then a later one, does to the switch.
    pub effects: Effects,
    /// The rules to be credited with the flow's frames. A learning switch has none.
    pub credits: Credits,
}

/// What a translation depends on: when one of these is another, it is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependencies {
    /// The version of the bridge's members and of their settings.
    pub bridge: u64,
    /// The source station. Known only once it is learned: whoever applies the effects fills it in.
    pub source: Dependency,
    /// The destination station, or that there is none.
    pub destination: Dependency,
}

/// What a flow does to the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The station that is behind the port that the flow comes from.
    pub learn: Option<Learn>,
}

/// A station to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learn {
    /// Its VLAN.
    pub vid: Vid,
    /// Its address.
    pub mac: MacAddress,
    /// The port it is behind.
    pub port: PortId,
}

/// The rules that a flow's frames count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credits;

/// Says what is to be done with frames of this key that came in by `port` of `bridge`.
#[must_use]
pub fn translate(
    key: &FlowKey,
    (port, bridge): (&PortEntry, &BridgeEntry),
    snapshot: &Snapshot,
    fdb: FdbView<'_>,
) -> Translation {
    let mut translation = Translation {
        mask: Mask::IN_PORT | Mask::RECIRCULATION,
        program: Program::Drop(DropReason::NoReceiver),
        dependencies: Dependencies {
            bridge: bridge.version,
            source: Dependency::NONE,
            destination: Dependency::NONE,
        },
        effects: Effects::default(),
        credits: Credits,
    };
    if let Err(reason) = forward(key, (port, bridge), snapshot, fdb, &mut translation) {
        translation.program = Program::Drop(reason);
    }
    translation
}

fn forward(
    key: &FlowKey,
    (port, bridge): (&PortEntry, &BridgeEntry),
    snapshot: &Snapshot,
    fdb: FdbView<'_>,
    translation: &mut Translation,
) -> Result<(), DropReason> {
    let outer = port.vlan.owns_tag().then(|| {
        translation.mask |= vlan_mask();
        tag(key)
    });
    let outer = outer.flatten();
    let vid = port.vlan.admit(outer).ok_or(DropReason::VlanNotAllowed)?;

    translation.mask |= Mask::ETH_DST;
    let destination = key.eth_dst();
    if destination.is_reserved() {
        return Err(DropReason::ReservedAddress);
    }

    translation.mask |= Mask::ETH_SRC;
    let source = key.eth_src();
    if !source.is_station() {
        return Err(DropReason::BadSource);
    }
    translation.effects.learn = Some(Learn { vid, mac: source, port: port.id });

    if destination == source {
        return Err(DropReason::Hairpin);
    }

    let receiver = match destination.is_group() {
        true => None,
        false => {
            let (receiver, dependency) = fdb.stations.lookup(vid, destination, fdb.now);
            translation.dependencies.destination = dependency;
            // A station behind a port that left the bridge or the VLAN is unknown until it is heard of again.
            receiver.and_then(|receiver| member(snapshot, bridge, receiver, vid))
        }
    };
    let receivers: Vec<(PortId, Form)> = match receiver {
        Some((receiver, _)) if receiver == port.id => return Err(DropReason::Hairpin),
        Some(receiver) => vec![receiver],
        None => bridge
            .members
            .iter()
            .filter(|&&other| other != port.id)
            .filter_map(|&other| member(snapshot, bridge, other, vid))
            .collect(),
    };
    if receivers.is_empty() {
        return Err(DropReason::NoReceiver);
    }
    let service = !port.vlan.owns_tag();
    translation.program = outputs(&receivers, vid, outer, service);
    Ok(())
}

/// How frames of a VLAN leave by a port, if it is a port of the bridge and carries the VLAN.
fn member(
    snapshot: &Snapshot,
    bridge: &BridgeEntry,
    port: PortId,
    vid: Vid,
) -> Option<(PortId, Form)> {
    let port = snapshot.port(port).filter(|port| port.bridge == bridge.id)?;
    Some((port.id, port.vlan.egress(vid)?))
}

/// Sends to all receivers, first those that take the frame as it came, so that few copies are made.
///
/// `outer` is the tag that the frame came with, if it is the bridge's own; `service` says that a tag to be added is
/// a service tag.
fn outputs(receivers: &[(PortId, Form)], vid: Vid, outer: Option<Tag>, service: bool) -> Program {
    let group = |form: Form| {
        receivers
            .iter()
            .filter(move |receiver| receiver.1 == form)
            .map(|receiver| Op::Output(receiver.0))
    };
    let has = |form: Form| receivers.iter().any(|receiver| receiver.1 == form);
    let mut ops = Vec::with_capacity(receivers.len() + 2);
    match outer {
        Some(tag) => {
            if has(Form::Tagged) {
                if tag.vid != vid.get() {
                    ops.push(Op::SetVid(vid.get()));
                }
                ops.extend(group(Form::Tagged));
            }
            if has(Form::Inner) {
                ops.push(Op::PopVlan);
                ops.extend(group(Form::Inner));
            }
        }
        None => {
            ops.extend(group(Form::Inner));
            if has(Form::Tagged) {
                let tpid = if service { TPID_SERVICE } else { TPID_CUSTOMER };
                ops.push(Op::PushVlan { tpid, tci: vid.get() });
                ops.extend(group(Form::Tagged));
            }
        }
    }
    Program::new(ops)
}

/// The bits of the outer tag that a bridge looks at: its kind and its VLAN, not its priority.
fn vlan_mask() -> Mask {
    let mut vlan = FlowKey::default();
    vlan.set_outer_tci(Tci(0x0fff));
    Mask::of(&vlan) | Mask::OUTER_KIND
}

fn tag(key: &FlowKey) -> Option<Tag> {
    let tpid = match key.outer_kind() {
        TagKind::None => return None,
        TagKind::Customer => TPID_CUSTOMER,
        TagKind::Service => TPID_SERVICE,
    };
    Some(Tag { tpid, vid: key.outer_tci().0 & 0xfff })
}

#[cfg(test)]
#[path = "translate/tests.rs"]
mod tests;
