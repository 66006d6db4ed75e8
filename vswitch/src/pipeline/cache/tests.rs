use super::*;
use proptest::prelude::*;
use strowger_packet::{DropReason, MacAddress, PortId};

use crate::tables::mac::Dependency;

const DEPENDENCIES: Dependencies =
    Dependencies { bridge: 1, source: Dependency::NONE, destination: Dependency::NONE };

fn cached(program: Program) -> Cached {
    Cached { program, dependencies: DEPENDENCIES, source: Source::None, refreshed: 0, checked: 0 }
}

fn limits(flows: usize, masks: usize) -> CacheLimits {
    CacheLimits { flows, masks, exact: 64 }
}

fn key(port: u32, dst: u8, src: u8, l4: u16) -> FlowKey {
    let mut key = FlowKey::default();
    key.set_in_port(PortId(port));
    key.set_eth_dst(MacAddress([2, 0, 0, 0, 0, dst]));
    key.set_eth_src(MacAddress([2, 0, 0, 0, 1, src]));
    key.set_l4_src(l4);
    key
}

/// What a naive table of rules would look at for a key.
fn needed(key: &FlowKey) -> Mask {
    match key.in_port().0 % 3 {
        0 => Mask::IN_PORT | Mask::ETH_DST,
        1 => Mask::IN_PORT | Mask::ETH_DST | Mask::ETH_SRC,
        _ => Mask::IN_PORT | Mask::ETH_SRC | Mask::L4_SRC,
    }
}

/// And what it would do: something that only those bits decide.
fn decided(key: &FlowKey) -> Program {
    let sum =
        key.masked(&needed(key)).words().iter().fold(0u64, |sum, word| sum.wrapping_mul(31) ^ word);
    Program::Output(PortId(sum as u32))
}

#[derive(Clone, Debug)]
enum Step {
    Lookup(FlowKey),
    Insert(FlowKey),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key =
        (0u32..4, 0u8..4, 0u8..4, 0u16..3).prop_map(|(port, dst, src, l4)| key(port, dst, src, l4));
    let step =
        prop_oneof![3 => key.clone().prop_map(Step::Lookup), 1 => key.prop_map(Step::Insert)];
    proptest::collection::vec(step, 0..300)
}

proptest! {
#![proptest_config(crate::properties::config())]

    /// Whatever is found does what the naive table says, and the bounds hold, however small they are.
    #[test]
    fn a_hit_does_what_the_rules_say(steps in steps(), flows in 1usize..20, masks in 1usize..4) {
        let mut cache = Cache::new(limits(flows, masks));
        for step in steps {
            match step {
                Step::Lookup(key) => {
                    if let Some(flow) = cache.lookup(&key, key.hash()) {
                        prop_assert_eq!(cache.program(flow), &decided(&key));
                        cache.count(flow, 1, 64);
                    }
                }
                Step::Insert(key) => {
                    let flow = cache.insert(&key, &needed(&key), cached(decided(&key)));
                    prop_assert_eq!(cache.find(&key), Some(flow));
                }
            }
            prop_assert!(cache.len() <= flows);
            prop_assert!(cache.masks() <= masks + 1);
        }
    }
}

#[test]
fn a_flow_holds_for_all_keys_with_its_bits_in_common() {
    let mut cache = Cache::new(limits(16, 4));
    let flow = cache.insert(
        &key(0, 1, 1, 1),
        &needed(&key(0, 1, 1, 1)),
        cached(Program::Output(PortId(9))),
    );
    let other = key(0, 1, 77, 7);
    for _ in 0..20 {
        assert_eq!(
            cache.lookup(&other, other.hash()),
            Some(flow),
            "by mask first, by its hash later"
        );
    }
    assert_eq!(cache.lookup(&key(0, 2, 1, 1), key(0, 2, 1, 1).hash()), None);
    cache.count(flow, 2, 128);
    cache.count(flow, 1, 64);
    assert_eq!(cache.counters()[flow.0 as usize].totals(), (3, 192));
}

#[test]
fn a_flow_that_is_translated_again_keeps_its_place_unless_it_needs_more_bits() {
    let mut cache = Cache::new(limits(16, 4));
    let key = key(0, 1, 1, 1);
    let (few, many) =
        (Mask::IN_PORT | Mask::ETH_DST, Mask::IN_PORT | Mask::ETH_DST | Mask::ETH_SRC);
    let first = cache.insert(&key, &few, cached(Program::Drop(DropReason::Hairpin)));
    assert_eq!(cache.insert(&key, &few, cached(Program::Output(PortId(2)))), first);
    cache.insert(&key, &many, cached(Program::Output(PortId(3))));
    assert_eq!((cache.len(), cache.masks()), (1, 1));
    let found = cache.find(&key).unwrap();
    assert_eq!(cache.program(found), &Program::Output(PortId(3)));
    cache.insert(&key, &few, cached(Program::Output(PortId(4))));
    assert_eq!((cache.len(), cache.masks()), (1, 1), "more bits than needed do no harm");
}

#[test]
fn a_port_of_many_flows_replaces_its_own() {
    let mut cache = Cache::new(limits(32, 4));
    for src in 0..8 {
        let key = key(1, 1, src, 0);
        cache.insert(&key, &Mask::EXACT, cached(decided(&key)));
    }
    for number in 0..2000u16 {
        let key = key(2, 1, number as u8, number);
        cache.insert(&key, &Mask::EXACT, cached(decided(&key)));
    }
    assert_eq!(cache.len(), 32);
    for src in 0..8 {
        assert!(cache.find(&key(1, 1, src, 0)).is_some());
    }
}

#[test]
fn flows_that_do_the_same_share_the_list() {
    let ops = || {
        use crate::tables::program::Op::Output;
        Program::new(vec![Output(PortId(1)), Output(PortId(2))])
    };
    let mut cache = Cache::new(limits(16, 4));
    let one = cache.insert(&key(0, 1, 1, 1), &Mask::EXACT, cached(ops()));
    let two = cache.insert(&key(0, 1, 2, 1), &Mask::EXACT, cached(ops()));
    let (Program::Ops(one), Program::Ops(two)) = (cache.program(one), cache.program(two)) else {
        panic!()
    };
    assert!(Arc::ptr_eq(one, two));
}
