//! The masks of the masked cache: bounded, looked up in the order of use.

use strowger_packet::Mask;

/// Which mask.
pub(super) type MaskId = u8;

/// The mask of all bits, always there.
const EXACT: MaskId = 0;

#[derive(Debug)]
pub(super) struct Masks {
    limit: usize,
    entries: Vec<Entry>,
    /// Those in use, the most used first, as far as known.
    order: Vec<MaskId>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    mask: Mask,
    flows: u32,
    hits: u32,
}

impl Masks {
    /// At most `limit` masks at a time, at least 1 and at most 255, and [`Mask::EXACT`].
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, 255),
            entries: vec![Entry { mask: Mask::EXACT, flows: 0, hits: 0 }],
            order: Vec::new(),
        }
    }

    /// Masks in use.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "ids are given here and never taken back")]
    pub(super) fn get(&self, id: MaskId) -> &Mask {
        &self.entries[usize::from(id)].mask
    }

    /// The mask to look up at this place of the order.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<(MaskId, &Mask)> {
        let id = *self.order.get(place)?;
        Some((id, self.get(id)))
    }

    /// Notes that a flow was found by the mask at this place of the order.
    #[inline]
    pub(super) fn hit(&mut self, place: usize) {
        let hits = |masks: &Self, place: usize| {
            masks
                .order
                .get(place)
                .and_then(|&id| masks.entries.get(usize::from(id)))
                .map_or(0, |entry| entry.hits)
        };
        if let Some(entry) =
            self.order.get(place).and_then(|&id| self.entries.get_mut(usize::from(id)))
        {
            entry.hits = entry.hits.saturating_add(1);
        }
        if place > 0 && hits(self, place) > hits(self, place - 1) {
            self.order.swap(place, place - 1);
        }
    }

    /// A mask for a flow that needs at least the bits of `needed`: that mask; at the bound, the smallest one in use
    /// that contains it; else that of all bits. The flow counts as using it.
    pub(super) fn take(&mut self, needed: &Mask) -> MaskId {
        let id = self.choose(needed);
        if let Some(entry) = self.entries.get_mut(usize::from(id)) {
            if entry.flows == 0 {
                entry.hits = 0;
                self.order.push(id);
            }
            entry.flows += 1;
        }
        id
    }

    /// A flow no longer uses a mask.
    pub(super) fn release(&mut self, id: MaskId) {
        if let Some(entry) = self.entries.get_mut(usize::from(id)) {
            entry.flows -= 1;
            if entry.flows == 0 {
                self.order.retain(|&other| other != id);
            }
        }
    }

    fn choose(&mut self, needed: &Mask) -> MaskId {
        let in_use = |entry: &Entry| entry.flows > 0;
        if let Some(same) =
            self.entries.iter().position(|entry| in_use(entry) && entry.mask == *needed)
        {
            return same as MaskId;
        }
        if *needed != Mask::EXACT && self.masks_but_exact() < self.limit {
            let entry = Entry { mask: *needed, flows: 0, hits: 0 };
            let free = self.entries.iter().skip(1).position(|entry| entry.flows == 0);
            return match free {
                Some(free) => {
                    if let Some(place) = self.entries.get_mut(free + 1) {
                        *place = entry;
                    }
                    (free + 1) as MaskId
                }
                None => {
                    self.entries.push(entry);
                    (self.entries.len() - 1) as MaskId
                }
            };
        }
        let containing =
            |(_, entry): &(usize, &Entry)| in_use(entry) && entry.mask.contains(needed);
        self.entries
            .iter()
            .enumerate()
            .filter(containing)
            .min_by_key(|(_, entry)| bits(&entry.mask))
            .map_or(EXACT, |(id, _)| id as MaskId)
    }

    fn masks_but_exact(&self) -> usize {
        self.order.iter().filter(|&&id| id != EXACT).count()
    }
}

fn bits(mask: &Mask) -> u32 {
    mask.words().iter().map(|word| word.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_the_smallest_that_contains_it_is_used_else_all_bits() {
        let mut masks = Masks::new(2);
        let wide = masks.take(&(Mask::IN_PORT | Mask::ETH_DST | Mask::ETH_SRC));
        let small = masks.take(&(Mask::IN_PORT | Mask::ETH_DST));
        assert_eq!(masks.take(&Mask::ETH_DST), small);
        assert_eq!(masks.take(&Mask::ETH_SRC), wide);
        let exact = masks.take(&Mask::L4_SRC);
        assert_eq!(*masks.get(exact), Mask::EXACT);
        assert_eq!(masks.len(), 3);
        masks.release(small);
        masks.release(small);
        let new = masks.take(&Mask::L4_SRC);
        assert_eq!(*masks.get(new), Mask::L4_SRC, "a place is free again");
    }

    #[test]
    fn the_mask_that_finds_most_comes_first() {
        let mut masks = Masks::new(4);
        masks.take(&Mask::ETH_SRC);
        let used = masks.take(&Mask::ETH_DST);
        masks.hit(1);
        assert_eq!(masks.at(0).map(|(id, _)| id), Some(used));
    }
}
