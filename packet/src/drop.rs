//! Why a frame ended here. Each reason is declared once: its explanation, its name, what to do about it, and on which
//! port it is counted. Output, metrics and documents take their texts from here.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $remedy:literal, $port:literal;)+) => {
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

            /// What to do about it, in a sentence to whoever runs the switch.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy),+ }
            }

            /// On which port it is counted: the one that the frame came in by (`sender`), or the one that it would
            /// have left by (`receiver`).
            #[must_use]
            pub fn counted_on(self) -> &'static str {
                match self { $(Self::$variant => $port),+ }
            }
        }
    };
}

reasons! {
    /// The frame is shorter than an Ethernet header or ends within a header that it announces.
    Truncated = "truncated",
        "Look at the sender's driver, or at who is scanning.",
        "sender";
    /// The frame is longer than a port may carry.
    TooLong = "too_long",
        "Lower the sender's MTU.",
        "sender; receiver if an interface of the kernel refused it";
    /// A descriptor chain is empty, loops, is too long, lies outside memory, or has buffers of the wrong direction.
    BadDescriptor = "bad_descriptor",
        "The guest's driver is broken or hostile: update it, or stop that guest.",
        "the guest whose ring it is";
    /// The sender's virtio-net header asks for an offload that the frame's own headers do not fit.
    BadOffload = "bad_offload",
        "The guest's driver is broken or hostile: update it, or switch its offloads off (`ethtool -K`).",
        "sender; receiver if an interface of the kernel refused it";
    /// The frame would be cut into more segments than the switch makes of one.
    TooManySegments = "too_many_segments",
        "Raise the sender's MSS.",
        "sender or receiver";
    /// The sender's ring is started but not enabled.
    RingDisabled = "ring_disabled",
        "Nothing: it is normal while a guest boots or changes its number of queues.",
        "sender";
    /// The VLAN is not allowed on the port that the frame came in by.
    VlanNotAllowed = "vlan_not_allowed",
        "Compare the port's `tag`, `trunks` and `native` with the tags that the sender uses.",
        "sender";
    /// The destination is reserved for the link itself (01-80-C2-00-00-00 to 0F), which a bridge never forwards.
    ReservedAddress = "reserved_address",
        "Nothing; or switch LACP, LLDP and pause frames off in the sender.",
        "sender";
    /// The source address is a group address or zero, which no station has.
    BadSource = "bad_source",
        "The sender is broken or hostile: look what it sends with `strowger capture`.",
        "sender";
    /// The destination is behind the port that the frame came from.
    Hairpin = "hairpin",
        "Nothing where several stations behind one port hear each other; else look for a loop behind that port.",
        "sender";
    /// No other port may receive the frame.
    NoReceiver = "no_receiver",
        "Put another port into this VLAN and on this bridge, or stop the sender from using the VLAN.",
        "sender";
    /// The receiving port has no guest, or its ring is stopped or disabled.
    PortDown = "port_down",
        "Nothing while the receiver is meant to be down; else start its guest, or set its interface up.",
        "receiver";
    /// The receiver had no free buffers, or its socket was full.
    QueueFull = "queue_full",
        "The receiver is slower than its senders: give it more queues, larger rings (`rx_queue_size=1024`) or more processors.",
        "receiver";
    /// The kernel received the frame from the interface and had no room for it in the port's ring, or could not say
    /// how it is to be cut.
    SocketFull = "socket_full",
        "The worker is too slow for this interface, or its core is taken by others: give the port more queues (`queues=`) and the switch more workers.",
        "sender";
    /// The receiver's buffers are too small for the frame.
    BufferTooSmall = "buffer_too_small",
        "Let the guest negotiate mergeable buffers, or lower the MTU.",
        "receiver";
    /// The receiver's memory or ring is broken.
    ReceiverBroken = "receiver_broken",
        "Its guest truncated its memory or wrote nonsense into its ring: restart it.",
        "receiver";
    /// More flows had to be translated than the port's budget allows.
    TranslationBudget = "translation_budget",
        "Look for a scan or a storm behind that port.",
        "sender";
    /// The outputs of one batch needed more copies with other headers than it may have.
    TooManyCopies = "too_many_copies",
        "Put fewer access and trunk ports into one flooded VLAN, mirror less, or flood less.",
        "sender";
    /// A tag had to be added and the frame has no room for it.
    NoHeadroom = "no_headroom",
        "The frame was pushed too many headers: report it.",
        "sender";
    /// The port's `ingress-rate` and `ingress-burst` allow no more.
    Policed = "policed",
        "Nothing if the limit is meant; else raise the port's `ingress-rate`, or its `ingress-burst` if the sender only sends in bursts.",
        "sender";
    /// The port's `egress-rate` was exceeded for so long that no further frame may wait for its turn.
    ShaperFull = "shaper_full",
        "Nothing if the limit is meant; else raise the port's `egress-rate`.",
        "receiver";
    /// The frame came in by a port that a mirror sends to, which takes no frames.
    MirrorPort = "mirror_port",
        "Nothing if only an analyser is attached there; else make another port the target of the mirror.",
        "sender";
    /// The frame's source address went to and fro between two ports, and is held at the other one for some time.
    LoopHeld = "loop_held",
        "Look for a loop between the two ports that the log names, or for two stations with one address.",
        "sender";
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
            assert!(reason.remedy().ends_with('.'));
            assert!(!reason.counted_on().is_empty());
        }
    }
}
