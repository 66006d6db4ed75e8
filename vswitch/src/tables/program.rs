//! What is done to the frames of a flow: operations in order, cached with the flow.

use std::sync::Arc;

use strowger_packet::{DropReason, PortId};

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Sends the frame as it is now.
    Output(PortId),
    /// Puts a tag in front of all others.
    PushVlan {
        /// Its protocol identifier.
        tpid: u16,
        /// Its control information.
        tci: u16,
    },
    /// Takes the outermost tag away.
    PopVlan,
    /// Writes the VLAN ID of the outermost tag; priority and drop eligibility stay.
    SetVid(u16),
    /// Ends the frame here.
    Drop(DropReason),
}

/// Operations in order. The common ones have no list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Sends the frame as it came.
    Output(PortId),
    /// Drops it.
    Drop(DropReason),
    /// Anything else. Flows with the same operations share them.
    Ops(Arc<Ops>),
}

/// A list of operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ops {
    list: Box<[Op]>,
    only_outputs: bool,
}

impl Program {
    /// The shortest form of these operations.
    #[must_use]
    pub fn new(ops: Vec<Op>) -> Self {
        match *ops {
            [Op::Output(port)] => Self::Output(port),
            [Op::Drop(reason)] => Self::Drop(reason),
            _ => {
                let only_outputs = ops.iter().all(|op| matches!(op, Op::Output(_)));
                Self::Ops(Arc::new(Ops { list: ops.into_boxed_slice(), only_outputs }))
            }
        }
    }

    /// All operations.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        match self {
            Self::Output(port) => vec![Op::Output(*port)],
            Self::Drop(reason) => vec![Op::Drop(*reason)],
            Self::Ops(ops) => ops.list.to_vec(),
        }
    }
}

impl Ops {
    /// The operations in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Op] {
        &self.list
    }

    /// Whether every receiver gets the frame as it came, so that a run of frames can go to one after the other.
    #[must_use]
    pub fn has_only_outputs(&self) -> bool {
        self.only_outputs
    }
}
