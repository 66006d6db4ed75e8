use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use strowger_packet::DropReason;

use super::*;

/// Something that is written.
#[derive(Clone, Debug)]
enum Written {
    Frame(Vec<u8>, Option<DropReason>),
    Statistics(Statistics),
}

fn written() -> impl Strategy<Value = Written> {
    let statistics = (0u32..4, any::<[u64; 4]>()).prop_map(|(interface, numbers)| {
        let [seen, matched, lost, delivered] = numbers;
        Written::Statistics(Statistics { interface, seen, matched, lost, delivered })
    });
    let reason = proptest::option::of(select(DropReason::ALL));
    prop_oneof![
        3 => (vec(any::<u8>(), 0..300), reason).prop_map(|(bytes, reason)| Written::Frame(bytes, reason)),
        1 => statistics,
    ]
}

fn stream(all: &[Written], name: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.section("a test");
    writer.interface(&Interface {
        name: name.into(),
        description: String::new(),
        snaplen: 7,
        filter: Some(name.into()),
    });
    for one in all {
        match one {
            Written::Frame(bytes, reason) => writer.frame(0, bytes, *reason),
            Written::Statistics(of) => writer.statistics((1, u64::MAX), of),
        }
    }
    writer.take()
}

proptest! {
    #![proptest_config(crate::properties::config())]

    #[test]
    fn what_is_written_comes_apart_into_the_same(all in vec(written(), 0..20), name in "[ -~]{0,40}") {
        let bytes = stream(&all, &name);
        let mut rest = &bytes[..];
        let mut kinds = Vec::new();
        let mut expected = all.iter();
        while let Some((block, after)) = Block::first(rest).unwrap() {
            prop_assert_eq!(block.bytes.len() + after.len(), rest.len());
            kinds.push(block.kind);
            rest = after;
            match (kinds.len() > 2).then(|| expected.next()).flatten() {
                None => prop_assert!(kinds.len() <= 2),
                Some(Written::Frame(frame, reason)) => {
                    prop_assert_eq!(block.is_drop(), reason.is_some());
                    prop_assert_eq!(&block.bytes[28..28 + frame.len()], &frame[..]);
                    prop_assert_eq!(block.statistics(), None);
                }
                Some(Written::Statistics(of)) => {
                    prop_assert_eq!(block.statistics(), Some(*of));
                    prop_assert!(!block.is_drop());
                }
            }
        }
        prop_assert!(rest.is_empty() && expected.next().is_none());
        prop_assert_eq!(&kinds[..2], &[block::SECTION_HEADER, block::INTERFACE]);
    }

    /// Bytes from anywhere are a block, the beginning of one, or damaged.
    #[test]
    fn no_bytes_harm(all in vec(written(), 0..4), at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = stream(&all, "p0");
        let place = at.index(bytes.len());
        bytes[place] = value;
        bytes.truncate(cut.index(bytes.len() + 1));
        let mut rest = &bytes[..];
        while let Ok(Some((block, after))) = Block::first(rest) {
            prop_assert!(after.len() < rest.len());
            let _any = (block.is_drop(), block.statistics());
            rest = after;
        }
    }
}

#[test]
fn a_long_text_is_cut_and_the_block_stays_whole() {
    let bytes = stream(&[], &"x".repeat(70_000));
    let mut rest = &bytes[..];
    let mut blocks = 0;
    while let Some((_, after)) = Block::first(rest).unwrap() {
        rest = after;
        blocks += 1;
    }
    assert_eq!(blocks, 2);
}

#[test]
fn a_length_that_cannot_be_is_damage() {
    let whole = stream(&[], "p0");
    for (at, value) in [(4, 0u32), (4, 11), (4, 13), (4, u32::MAX), (4, (1 << 20) + 4)] {
        let mut wrong = whole.clone();
        wrong[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        assert_eq!(Block::first(&wrong).unwrap_err(), Damaged);
    }
}
