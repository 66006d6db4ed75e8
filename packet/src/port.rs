//! The identity of a port inside the switch.

/// A port of the daemon, unique over all bridges while it lives. Not the OpenFlow port number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PortId(pub u32);
