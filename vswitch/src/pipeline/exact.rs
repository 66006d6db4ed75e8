//! The exact-match cache: from the hash of a whole key to the flow that it was found in last time.
//!
//! An entry is a tag of the hash and the place of a flow, eight bytes; whether the flow really holds for the key is
//! asked of the flow's own masked key, which the caller has to compare anyway. (Whole keys here, as in Open vSwitch's
//! exact-match cache, would be 128 bytes an entry: more than a megabyte that has to come from beyond the L2 cache.)
//!
//! Four ways a set. Within a set ports share as in [`Shares`](crate::tables::shares::Shares): who has most gives way,
//! and a port without an entry takes one only now and then from ports with one each. So a port that sends a new key
//! with every frame holds about one entry a set.

/// No flow.
const NONE: u32 = u32::MAX;
/// Entries a set.
const WAYS: usize = 4;
/// One out of so many newcomers takes an entry from a port that has no more than one.
const CHANCE: u32 = 8;

#[derive(Debug)]
pub(super) struct Exact {
    sets: Box<[Set]>,
    random: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Set([Entry; WAYS]);

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    flow: u32,
}

impl Exact {
    /// Room for about `entries`, rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Self {
        let empty = Set([Entry { tag: 0, flow: NONE }; WAYS]);
        let sets = entries.div_ceil(WAYS).clamp(1, 1 << 24).next_power_of_two();
        Self { sets: vec![empty; sets].into_boxed_slice(), random: 0x9e37_79b9 }
    }

    /// The flow of this hash for which `holds`.
    #[inline]
    pub(super) fn find(&self, hash: u64, holds: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = (hash >> 32) as u32;
        let set = self.sets.get(hash as usize & (self.sets.len() - 1))?;
        set.0
            .iter()
            .find(|entry| entry.tag == tag && entry.flow != NONE && holds(entry.flow))
            .map(|entry| entry.flow)
    }

    /// Notes a flow of `owner` under this hash. `owner_of` says whose a flow is, if it is still there.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        flow: u32,
        owner: u32,
        owner_of: impl Fn(u32) -> Option<u32>,
    ) {
        let chance = self.chance();
        let tag = (hash >> 32) as u32;
        let at = hash as usize & (self.sets.len() - 1);
        let Some(Set(set)) = self.sets.get_mut(at) else { return };
        let owners = set.map(|entry| match entry.tag == tag {
            true => None,
            false => owner_of(entry.flow),
        });
        if let Some(way) = place(owners, owner, chance)
            && let Some(entry) = set.get_mut(way)
        {
            *entry = Entry { tag, flow };
        }
    }

    /// A number that is different each time (xorshift; Marsaglia, 2003).
    fn chance(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

/// Which way of a set a newcomer of `owner` takes.
fn place(owners: [Option<u32>; WAYS], owner: u32, chance: u32) -> Option<usize> {
    if let Some(free) = owners.iter().position(Option::is_none) {
        return Some(free);
    }
    let count = |who: u32| owners.iter().filter(|&&other| other == Some(who)).count();
    let own = count(owner);
    let most = owners.iter().flatten().map(|&other| count(other)).max().unwrap_or(0);
    let victim = |who: u32| owners.iter().position(|&other| other == Some(who));
    // Begin somewhere else each time, so that no way is always the one that goes.
    let some = chance as usize % WAYS;
    let largest = || {
        (0..WAYS)
            .map(|way| (way + some) % WAYS)
            .find(|&way| owners[way].is_some_and(|other| count(other) == most))
    };
    match own {
        0 if most > 1 => largest(),
        0 => chance.is_multiple_of(CHANCE).then_some((chance / CHANCE) as usize % WAYS),
        own if own >= most => (0..WAYS)
            .map(|way| (way + some) % WAYS)
            .find(|&way| owners[way] == Some(owner))
            .or(victim(owner)),
        _ => largest(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_found_under_its_hash_if_it_holds() {
        let mut exact = Exact::new(64);
        exact.insert(0xabcd_0000_0001, 7, 1, |_| None);
        assert_eq!(exact.find(0xabcd_0000_0001, |flow| flow == 7), Some(7));
        assert_eq!(exact.find(0xabcd_0000_0001, |_| false), None);
        assert_eq!(exact.find(0xabce_0000_0001, |_| true), None);
    }

    #[test]
    fn the_same_hash_has_one_entry() {
        let mut exact = Exact::new(4);
        for flow in 0..10 {
            exact.insert(1 << 32, flow, 1, |flow| (flow != NONE).then_some(1));
        }
        assert_eq!(exact.find(1 << 32, |_| true), Some(9));
        let entries: Vec<u32> =
            exact.sets[0].0.iter().map(|entry| entry.flow).filter(|&flow| flow != NONE).collect();
        assert_eq!(entries, [9]);
    }

    #[test]
    fn a_port_of_many_keys_leaves_others_their_entry() {
        // Flows below 100 are port 1's, one entry in each of 16 sets; port 2 then comes with 10,000 keys.
        let owner_of = |flow: u32| (flow != NONE).then_some(if flow < 100 { 1 } else { 2 });
        let mut exact = Exact::new(64);
        for set in 0..16u64 {
            exact.insert(1 << 32 | set, set as u32, 1, owner_of);
        }
        for key in 0..10_000u64 {
            exact.insert(((key + 2) << 32) | (key % 16), 100 + key as u32, 2, owner_of);
        }
        for set in 0..16u64 {
            assert_eq!(exact.find(1 << 32 | set, |flow| flow < 100), Some(set as u32));
        }
    }

    #[test]
    fn ports_even_out_within_a_set() {
        assert_eq!(
            place([Some(1), Some(1), Some(1), Some(2)], 2, 0).map(|way| way < 3),
            Some(true)
        );
        assert_eq!(
            place([Some(1), Some(1), Some(2), Some(2)], 2, 5).map(|way| way >= 2),
            Some(true)
        );
        assert_eq!(place([Some(1), Some(2), Some(3), Some(4)], 5, 1), None, "only by chance");
        assert!(place([Some(1), Some(2), Some(3), Some(4)], 5, 8).is_some());
    }
}
