//! Which bits of a key matter.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use super::fields::debug_fields;
use super::{FlowKey, WORDS};

/// Which bits of a [`FlowKey`] matter; the same layout. Each field has a constant, and they join by `|`:
/// `mask |= Mask::ETH_DST | Mask::OUTER_TCI`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Mask {
    words: [u64; WORDS],
}

impl Mask {
    /// Nothing matters.
    pub const NONE: Self = Self { words: [0; WORDS] };
    /// Every bit matters.
    pub const EXACT: Self = Self { words: [u64::MAX; WORDS] };
    /// Both VLAN tags: kinds and control information.
    pub const VLANS: Self =
        Self::OUTER_KIND.or(Self::OUTER_TCI).or(Self::INNER_KIND).or(Self::INNER_TCI);

    /// A mask of the bits that are set in `key`, for the parts of fields that the constants do not name.
    #[inline]
    #[must_use]
    pub const fn of(key: &FlowKey) -> Self {
        Self { words: key.words }
    }

    /// All of it, as words without padding.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// A mask of these words.
    #[inline]
    #[must_use]
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        Self { words }
    }

    /// The bits that matter to either. `|` where a constant is needed.
    #[inline]
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a constant function has no iterators; the index is below the length"
    )]
    pub const fn or(mut self, other: Self) -> Self {
        let mut word = 0;
        while word < WORDS {
            self.words[word] |= other.words[word];
            word += 1;
        }
        self
    }

    /// Whether every bit that matters to `other` matters to this one.
    #[inline]
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).fold(0, |all, (own, other)| all | other & !own) == 0
    }

    /// Bits of one word, for the fields' constants.
    #[expect(clippy::indexing_slicing, reason = "only constants call it: compiling is the check")]
    pub(super) const fn bits(word: usize, bits: u64) -> Self {
        let mut mask = Self::NONE;
        mask.words[word] = bits;
        mask
    }
}

impl BitOr for Mask {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl BitOrAssign for Mask {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = self.or(other);
    }
}

impl fmt::Debug for Mask {
    /// The fields that matter in part or whole, in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields(&FlowKey::from_words(self.words), f, "Mask")
    }
}
