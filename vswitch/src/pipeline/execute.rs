//! Runs a program over the frames of one flow.
//!
//! An output sends the frame as it is at that moment. A change of the head after an output is made on a copy
//! ([`Batch::fork`]), so that what was sent before stays what it was; programs send in an order that needs few.

use strowger_packet::vlan::{self, Tag, Tci, Vid};
use strowger_packet::{Batch, DropReason, EtherType, FlowKey, Frame, FrameRef};

use super::outputs::Sink;
use crate::tables::program::{Op, Ops, Program};

/// Consecutive frames of one flow, and their keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) frames: &'a [FrameRef],
    pub(super) keys: &'a [FlowKey],
}

#[inline]
pub(super) fn execute(program: &Program, batch: &mut Batch, run: &Run<'_>, sink: &mut Sink<'_>) {
    match program {
        Program::Output(port) => sink.output(*port, run.frames, run.keys),
        Program::Drop(reason) => sink.drop(*reason, run.frames),
        Program::Ops(ops) if ops.has_only_outputs() => {
            for op in ops.as_slice() {
                if let Op::Output(port) = *op {
                    sink.output(port, run.frames, run.keys);
                }
            }
        }
        Program::Ops(ops) => {
            for (frame, key) in run.frames.iter().zip(run.keys) {
                if let Err(reason) = execute_one(ops, batch, (*frame, key), sink) {
                    sink.drop(reason, std::slice::from_ref(frame));
                }
            }
        }
    }
}

fn execute_one(
    ops: &Ops,
    batch: &mut Batch,
    (mut at, key): (FrameRef, &FlowKey),
    sink: &mut Sink<'_>,
) -> Result<(), DropReason> {
    let mut is_sent = false;
    for op in ops.as_slice() {
        match *op {
            Op::Output(port) => {
                sink.output(port, &[at], std::slice::from_ref(key));
                is_sent = true;
            }
            Op::Drop(reason) => return Err(reason),
            change => {
                if std::mem::take(&mut is_sent) {
                    at = batch.fork(at).ok_or(DropReason::TooManyCopies)?;
                }
                apply(change, batch.frame_mut(at))?;
            }
        }
    }
    Ok(())
}

/// Changes a head.
fn apply(change: Op, frame: &mut Frame) -> Result<(), DropReason> {
    match change {
        Op::PushVlan { tpid, tci } => {
            let tag = Tag { tpid: EtherType(tpid), tci: Tci(tci) };
            if !vlan::push(frame, tag) {
                return Err(DropReason::NoHeadroom);
            }
        }
        Op::PopVlan => {
            vlan::pop(frame).ok_or(DropReason::Truncated)?;
        }
        Op::SetVid(vid) => {
            let vid = Vid::new(vid).ok_or(DropReason::VlanNotAllowed)?;
            if !vlan::set_vid(frame, vid) {
                return Err(DropReason::Truncated);
            }
        }
        Op::Output(_) | Op::Drop(_) => {}
    }
    Ok(())
}
