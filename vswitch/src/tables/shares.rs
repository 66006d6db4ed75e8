//! A bounded number of places, shared fairly by owners: who fills them up loses his own, not those of others.
//!
//! While there are free places anyone takes them. When all are taken, an owner who has his share (the places
//! divided by the number of owners) or more replaces one of his own; an owner who has less takes one from the
//! owner who has most. So an owner with no more than his share never loses a place to another. Within an owner's
//! places the longest taken goes first, with a second chance for those in use.
//!
//! Used by the MAC table (owner: the port that a station is behind) and by the workers' caches (owner: the port
//! that a flow comes from).

/// No place.
const NONE: u32 = u32::MAX;

/// How many places in use are passed over in search of one that is not.
const SECOND_CHANCES: usize = 8;

/// Places and who has them. What is in a place is the caller's, at the same index.
#[derive(Debug)]
pub struct Shares {
    limit: u32,
    nodes: Vec<Node>,
    free: u32,
    taken: u32,
    owners: Vec<Owner>,
    active: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    owner: u32,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    first: u32,
    last: u32,
    count: u32,
}

/// A place for something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing is in it.
    Free(u32),
    /// What is in it must go first.
    Replaces(u32),
}

impl Place {
    /// Which place.
    #[must_use]
    pub fn index(self) -> u32 {
        match self {
            Self::Free(index) | Self::Replaces(index) => index,
        }
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "indices come from the lists kept here, never from outside"
)]
impl Shares {
    /// `limit` places, at least 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = u32::try_from(limit).unwrap_or(NONE - 1).clamp(1, NONE - 1);
        Self { limit, nodes: Vec::new(), free: NONE, taken: 0, owners: Vec::new(), active: 0 }
    }

    /// Places taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken as usize
    }

    /// Whether no place is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Places that an owner has.
    #[must_use]
    pub fn count(&self, owner: u32) -> usize {
        self.owners.get(owner as usize).map_or(0, |owner| owner.count as usize)
    }

    /// The owner's place that was taken first.
    #[must_use]
    pub fn first(&self, owner: u32) -> Option<u32> {
        self.owners.get(owner as usize).map(|owner| owner.first).filter(|&first| first != NONE)
    }

    /// Gives an owner a place. `in_use` says whether what is in a place was used of late.
    pub fn take(&mut self, owner: u32, in_use: impl FnMut(u32) -> bool) -> Place {
        if self.owners.len() <= owner as usize {
            self.owners.resize(owner as usize + 1, Owner { first: NONE, last: NONE, count: 0 });
        }
        let place = if self.taken < self.limit {
            Place::Free(self.free_place())
        } else {
            let victim = self.victim(owner);
            Place::Replaces(self.oldest(victim, in_use))
        };
        if let Place::Replaces(index) = place {
            self.unlink(index);
        } else {
            self.taken += 1;
        }
        self.link(place.index(), owner);
        place
    }

    /// Takes a place back.
    pub fn release(&mut self, index: u32) {
        self.unlink(index);
        self.nodes[index as usize] = Node { owner: NONE, previous: NONE, next: self.free };
        self.free = index;
        self.taken -= 1;
    }

    /// Makes a taken place another owner's, as the last that he took.
    pub fn pass(&mut self, index: u32, owner: u32) {
        if self.owners.len() <= owner as usize {
            self.owners.resize(owner as usize + 1, Owner { first: NONE, last: NONE, count: 0 });
        }
        self.unlink(index);
        self.link(index, owner);
    }

    fn free_place(&mut self) -> u32 {
        if self.free != NONE {
            let index = self.free;
            self.free = self.nodes[index as usize].next;
            return index;
        }
        self.nodes.push(Node { owner: NONE, previous: NONE, next: NONE });
        (self.nodes.len() - 1) as u32
    }

    /// Who loses a place when `owner` wants one and there is none.
    fn victim(&self, owner: u32) -> u32 {
        let own = self.owners[owner as usize].count;
        let owners = self.active + u32::from(own == 0);
        if own >= (self.limit / owners).max(1) {
            return owner;
        }
        // Rare: only until the shares are even. As many steps as there are ports.
        (0..self.owners.len() as u32)
            .max_by_key(|&other| self.owners[other as usize].count)
            .unwrap_or(owner)
    }

    fn oldest(&mut self, owner: u32, mut in_use: impl FnMut(u32) -> bool) -> u32 {
        for _ in 0..SECOND_CHANCES {
            let first = self.owners[owner as usize].first;
            if !in_use(first) {
                return first;
            }
            self.unlink(first);
            self.link(first, owner);
        }
        self.owners[owner as usize].first
    }

    fn link(&mut self, index: u32, owner: u32) {
        let list = &mut self.owners[owner as usize];
        let last = std::mem::replace(&mut list.last, index);
        match last {
            NONE => list.first = index,
            last => self.nodes[last as usize].next = index,
        }
        self.active += u32::from(list.count == 0);
        list.count += 1;
        self.nodes[index as usize] = Node { owner, previous: last, next: NONE };
    }

    fn unlink(&mut self, index: u32) {
        let Node { owner, previous, next } = self.nodes[index as usize];
        match previous {
            NONE => self.owners[owner as usize].first = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.owners[owner as usize].last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        let list = &mut self.owners[owner as usize];
        list.count -= 1;
        self.active -= u32::from(list.count == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn who_fills_up_replaces_his_own_oldest() {
        let mut shares = Shares::new(4);
        let others = shares.take(1, |_| false).index();
        let own: Vec<u32> = (0..3).map(|_| shares.take(2, |_| false).index()).collect();
        for expected in own.iter().chain(&own) {
            assert_eq!(shares.take(2, |_| false), Place::Replaces(*expected));
        }
        assert_eq!(shares.first(1), Some(others));
    }

    #[test]
    fn a_newcomer_takes_from_who_has_most() {
        let mut shares = Shares::new(4);
        shares.take(1, |_| false);
        let oldest = shares.take(2, |_| false);
        shares.take(2, |_| false);
        shares.take(2, |_| false);
        assert_eq!(shares.take(3, |_| false), Place::Replaces(oldest.index()));
        assert_eq!((shares.count(1), shares.count(2), shares.count(3)), (1, 2, 1));
    }

    #[test]
    fn a_place_in_use_has_a_second_chance() {
        let mut shares = Shares::new(2);
        let busy = shares.take(1, |_| false).index();
        let idle = shares.take(1, |_| false).index();
        assert_eq!(shares.take(1, |index| index == busy), Place::Replaces(idle));
        assert!(
            matches!(shares.take(1, |_| true), Place::Replaces(_)),
            "all in use: one goes all the same"
        );
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(u32),
        Release(usize),
        Pass(usize, u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u32..5).prop_map(Step::Take),
            1 => (0usize..16).prop_map(Step::Release),
            1 => ((0usize..16), (0u32..5)).prop_map(|(at, owner)| Step::Pass(at, owner)),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #![proptest_config(crate::properties::config())]

        /// Against a map of place to owner: the bound holds, no place is given twice, and nobody loses
        /// a place to another while he has no more than his share.
        #[test]
        fn shares_are_kept(steps in steps(), limit in 1usize..12) {
            let mut shares = Shares::new(limit);
            let mut model: HashMap<u32, u32> = HashMap::new();
            for step in steps {
                match step {
                    Step::Take(owner) => {
                        let place = shares.take(owner, |_| false);
                        match place {
                            Place::Free(index) => prop_assert!(!model.contains_key(&index)),
                            Place::Replaces(index) => {
                                prop_assert_eq!(model.len(), limit);
                                let loser = model[&index];
                                let owners: HashSet<u32> = model.values().copied().chain([owner]).collect();
                                let had = model.values().filter(|&&other| other == loser).count();
                                prop_assert!(loser == owner || had > limit / owners.len());
                            }
                        }
                        model.insert(place.index(), owner);
                    }
                    Step::Release(at) => {
                        if let Some(&index) = model.keys().nth(at) {
                            shares.release(index);
                            model.remove(&index);
                        }
                    }
                    Step::Pass(at, owner) => {
                        if let Some(&index) = model.keys().nth(at) {
                            shares.pass(index, owner);
                            model.insert(index, owner);
                        }
                    }
                }
                prop_assert_eq!(shares.len(), model.len());
                prop_assert!(shares.len() <= limit);
                for owner in 0..5 {
                    prop_assert_eq!(shares.count(owner), model.values().filter(|&&other| other == owner).count());
                }
            }
        }
    }
}
