use std::collections::VecDeque;

use proptest::prelude::*;
use strowger_packet::PartialChecksum;
use strowger_packet::frame::HEAD;
use strowger_packet::vlan::{self, Tag, Tci};

use super::*;

const PORT: PortId = PortId(7);

/// A frame of `len` bytes in a batch, its tail in two segments of `memory`; with a tag pushed, perhaps.
fn receive<'a>(
    batch: &'a mut Batch,
    memory: &'a Buffer,
    len: usize,
    tagged: bool,
) -> (FrameRef, Vec<u8>) {
    batch.clear();
    let (frame, segments) = batch.next(PORT).unwrap();
    let head = len.min(HEAD);
    for (number, byte) in frame.head_room()[..head].iter_mut().enumerate() {
        *byte = (number * 3 + len) as u8;
    }
    frame.set_head(head);
    let cut = (len - head) / 3;
    for (at, part) in [(0, cut), (cut, len - head - cut)] {
        // SAFETY: the buffer outlives the batch's use of it in this test, and no slice of it is made meanwhile.
        segments.push(unsafe { memory.segment(at, part) }.unwrap());
    }
    frame.set_tail(0, 2, (len - head) as u32);
    frame.offload.checksum = Some(PartialChecksum { start: len as u16, offset: 16 });
    frame.layers.l3 = 14;
    batch.commit();
    let at = batch.received().next().unwrap();
    if tagged {
        let tag = Tag { tpid: strowger_packet::EtherType(0x8100), tci: Tci(5) };
        assert!(vlan::push(batch.frame_mut(at), tag));
    }
    (at, whole(batch, at))
}

fn whole(batch: &Batch, at: FrameRef) -> Vec<u8> {
    let mut bytes = batch.frame(at).head().to_vec();
    for segment in batch.tail(at) {
        let from = bytes.len();
        bytes.resize(from + segment.len(), 0);
        segment.copy_to(&mut bytes[from..]);
    }
    bytes
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, bool),
    Lend(usize),
}

proptest! {
    #![proptest_config(crate::properties::config())]

    /// Against a plain list: it holds whatever its bound allows, and gives it back byte for byte, in order.
    #[test]
    fn it_gives_back_what_it_was_given(
        steps in proptest::collection::vec(prop_oneof![
            5 => (prop_oneof![14usize..1515, 14usize..1515, 1515usize..65_557], any::<bool>()).prop_map(|(len, tagged)| Step::Push(len, tagged)),
            2 => (1usize..40).prop_map(Step::Lend),
        ], 1..150),
        most in 70_000usize..200_000,
    ) {
        let mut memory = Buffer::new(70_000).unwrap();
        for (number, byte) in memory.as_mut_slice().iter_mut().enumerate() {
            *byte = (number * 7 / 3) as u8;
        }
        let mut held = Held::new(most).unwrap();
        let (mut source, mut lent) = (Batch::default(), Batch::default());
        let mut model: VecDeque<(Vec<u8>, Offload, u32)> = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(len, tagged) => {
                    let (at, bytes) = receive(&mut source, &memory, len, tagged);
                    let total: usize = model.iter().map(|(bytes, ..)| bytes.len()).sum();
                    let fits = total + bytes.len() <= most;
                    prop_assert_eq!(held.push(&source, at, number as u32), fits);
                    if fits {
                        model.push_back((bytes, source.frame(at).offload, number as u32));
                    }
                }
                Step::Lend(count) => {
                    let count = held.lend(count, &mut lent);
                    prop_assert!(count > 0 || model.is_empty());
                    for at in lent.received() {
                        let (len, pair) = held.get(0).unwrap();
                        let (bytes, offload, number) = model.pop_front().unwrap();
                        prop_assert_eq!(lent.frame(at).ingress, PORT);
                        prop_assert_eq!((len, pair), (bytes.len(), number));
                        prop_assert_eq!((lent.frame(at).offload, lent.frame(at).len()), (offload, bytes.len()));
                        prop_assert_eq!(lent.frame(at).layers.l3 as usize, if bytes[12] == 0x81 && bytes[13] == 0 { 18 } else { 14 });
                        prop_assert!(whole(&lent, at) == bytes, "frame {} differs", number);
                        held.forget(1);
                    }
                    lent.clear();
                }
            }
            prop_assert_eq!(held.len(), model.len());
            prop_assert_eq!(held.bytes(), model.iter().map(|(bytes, ..)| bytes.len()).sum::<usize>());
        }
    }
}
