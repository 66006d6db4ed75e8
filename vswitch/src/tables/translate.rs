//! From a flow's key to its program: the learning switch (IEEE 802.1Q, 8.6 to 8.8).
//!
//! Pure: nothing is learned or inserted here. The result says what it looked at (the mask), what it depends on, and
//! what it wants done (effects); the caller caches and applies it, and a trace throws it away.

use std::sync::Arc;

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
    /// The source station. Known only once it is learned: whoever applies the effects fills it in. Or that it is
    /// held behind another port.
    pub source: Dependency,
    /// The destination station, or that there is none.
    pub destination: Dependency,
}

/// What a flow does to the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The station that is behind the port that the flow comes from.
    pub learn: Option<Learn>,
    /// Whether it is to be made again in the next second: what was decided ends by itself.
    pub again: bool,
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
        program: Program::Drop(DropReason::MirrorPort),
        dependencies: Dependencies {
            bridge: bridge.version,
            source: Dependency::NONE,
            destination: Dependency::NONE,
        },
        effects: Effects::default(),
        credits: Credits,
    };
    if bridge.mirrors.is_target(port.id) {
        return translation;
    }
    let question = Question { key, port, bridge, snapshot, fdb };
    let outer = port.vlan.owns_tag().then(|| {
        translation.mask |= vlan_mask();
        tag(key)
    });
    let outer = outer.flatten();
    let vid = port.vlan.admit(outer);
    let receivers = match vid {
        Some(vid) => question.receivers(vid, &mut translation),
        None => Err(DropReason::VlanNotAllowed),
    };
    translation.program = match receivers {
        Ok(receivers) => question.program(receivers, vid.unwrap_or(Vid::UNTAGGED), outer),
        Err(reason) => {
            let mut ops = question.copies(vid, &[]).as_it_came;
            ops.push(Op::Drop(reason));
            Program::new(ops)
        }
    };
    translation
}

/// What is asked.
struct Question<'a> {
    key: &'a FlowKey,
    port: &'a PortEntry,
    bridge: &'a BridgeEntry,
    snapshot: &'a Snapshot,
    fdb: FdbView<'a>,
}

/// What mirrors copy.
#[derive(Default)]
struct Copies {
    as_it_came: Vec<Op>,
    as_it_leaves: Vec<(PortId, Form)>,
}

impl Question<'_> {
    /// Who is to have frames of a VLAN, and in which form; notes what that depends on.
    fn receivers(
        &self,
        vid: Vid,
        translation: &mut Translation,
    ) -> Result<Vec<(PortId, Form)>, DropReason> {
        let Self { key, port, bridge, fdb, .. } = *self;
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
        if let Some((home, dependency)) = fdb.stations.hold(vid, source, fdb.now)
            && home != port.id
        {
            translation.dependencies.source = dependency;
            translation.effects.again = true;
            return Err(DropReason::LoopHeld);
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
                receiver.and_then(|receiver| self.member(receiver, vid))
            }
        };
        let receivers: Vec<(PortId, Form)> = match receiver {
            Some((receiver, _)) if receiver == port.id => return Err(DropReason::Hairpin),
            Some(receiver) => vec![receiver],
            None => bridge
                .members
                .iter()
                .filter(|&&other| other != port.id)
                .filter_map(|&other| self.member(other, vid))
                .collect(),
        };
        if receivers.is_empty() { Err(DropReason::NoReceiver) } else { Ok(receivers) }
    }

    /// How frames of a VLAN leave by a port, if it is a port of the bridge that carries the VLAN, and no mirror's.
    fn member(&self, port: PortId, vid: Vid) -> Option<(PortId, Form)> {
        let port = self.port_of_bridge(port)?;
        let form = port.vlan.egress(vid)?;
        (!self.bridge.mirrors.is_target(port.id)).then_some((port.id, form))
    }

    fn port_of_bridge(&self, port: PortId) -> Option<&PortEntry> {
        self.snapshot.port(port).map(Arc::as_ref).filter(|port| port.bridge == self.bridge.id)
    }

    /// Sends to all receivers, and to the mirrors that copy it.
    fn program(&self, receivers: Vec<(PortId, Form)>, vid: Vid, outer: Option<Tag>) -> Program {
        let service = !self.port.vlan.owns_tag();
        if self.bridge.mirrors.is_empty() {
            return Program::new(outputs(&receivers, vid, outer, service));
        }
        let mut copies = self.copies(Some(vid), &receivers);
        let mut all = receivers;
        all.append(&mut copies.as_it_leaves);
        let mut ops = copies.as_it_came;
        ops.append(&mut outputs(&all, vid, outer, service));
        Program::new(ops)
    }

    /// What mirrors copy of a frame that came in this VLAN, or in none, and leaves to `receivers`.
    fn copies(&self, vid: Option<Vid>, receivers: &[(PortId, Form)]) -> Copies {
        let Copies { mut as_it_came, mut as_it_leaves } = Copies::default();
        let mirrors = || {
            let all = self.bridge.mirrors.iter();
            all.filter(|mirror| self.port_of_bridge(mirror.to).is_some())
        };
        for mirror in mirrors().filter(|mirror| mirror.copies_rx(self.port.id, vid)) {
            let copy = Op::Output(mirror.to);
            if !as_it_came.contains(&copy) {
                as_it_came.push(copy);
            }
        }
        let Some(vid) = vid else { return Copies { as_it_came, as_it_leaves } };
        for mirror in mirrors() {
            let mut receivers = receivers.iter();
            let copied = receivers.find(|&&(receiver, _)| mirror.copies_tx(receiver, vid));
            let has_one = as_it_came.contains(&Op::Output(mirror.to))
                || as_it_leaves.iter().any(|&(to, _)| to == mirror.to);
            if let Some(&(_, form)) = copied.filter(|_| !has_one) {
                as_it_leaves.push((mirror.to, form));
            }
        }
        Copies { as_it_came, as_it_leaves }
    }
}

/// Sends to all receivers, first those that take the frame as it came, so that few copies are made.
///
/// `outer` is the tag that the frame came with, if it is the bridge's own; `service` says that a tag to be added is
/// a service tag.
fn outputs(receivers: &[(PortId, Form)], vid: Vid, outer: Option<Tag>, service: bool) -> Vec<Op> {
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
    ops
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
