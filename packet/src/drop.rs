//! Why a frame ended here. Each reason is declared once, with its name and its explanation.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// Why a frame was dropped. Counted per port, shown by `strowger drops`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant),+
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in counters and output.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

reasons! {
    /// The frame is shorter than an Ethernet header or ends within a header that it announces.
    Truncated = "truncated",
    /// The frame is longer than a port may carry.
    TooLong = "too_long",
    /// A descriptor chain is empty, loops, is too long, lies outside memory, or has buffers of the wrong direction.
    BadDescriptor = "bad_descriptor",
    /// The sender's virtio-net header asks for an offload that the frame's own headers do not fit.
    BadOffload = "bad_offload",
    /// The frame would be cut into more segments than the switch makes of one.
    TooManySegments = "too_many_segments",
    /// The sender's ring is started but not enabled.
    RingDisabled = "ring_disabled",
    /// The VLAN is not allowed on the port that the frame came in by.
    VlanNotAllowed = "vlan_not_allowed",
    /// The destination is reserved for the link itself (01-80-C2-00-00-00 to 0F), which a bridge never forwards.
    ReservedAddress = "reserved_address",
    /// The source address is a group address or zero, which no station has.
    BadSource = "bad_source",
    /// The destination is behind the port that the frame came from.
    Hairpin = "hairpin",
    /// No other port may receive the frame.
    NoReceiver = "no_receiver",
    /// The receiving port has no guest, or its ring is stopped or disabled.
    PortDown = "port_down",
    /// The receiver had no free buffers, or its socket was full.
    QueueFull = "queue_full",
    /// The receiver's buffers are too small for the frame.
    BufferTooSmall = "buffer_too_small",
    /// The receiver's memory or ring is broken.
    ReceiverBroken = "receiver_broken",
    /// More flows had to be translated than the port's budget allows.
    TranslationBudget = "translation_budget",
    /// The outputs of one batch needed more copies with other headers than it may have.
    TooManyCopies = "too_many_copies",
    /// A tag had to be added and the frame has no room for it.
    NoHeadroom = "no_headroom",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_every_reason_is_explained() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(reason.explanation().ends_with('.'));
        }
    }
}
