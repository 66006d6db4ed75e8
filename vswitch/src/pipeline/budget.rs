//! How much translating a port may ask for, so that a storm of new flows from one leaves the others their rate.

use strowger_packet::PortId;

use super::Moment;

/// Translations that a worker makes for one port within one millisecond. A translation takes 0.5 to 1 µs, so that
/// a port can keep a worker busy for about a tenth of its time. (Not tuned yet.)
pub const TRANSLATIONS_A_MILLISECOND: u32 = 128;

/// What each port has used of its budget.
#[derive(Debug, Default)]
pub(super) struct Budgets(Vec<Budget>);

#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    millis: u64,
    used: u32,
}

impl Budgets {
    /// Takes one translation out of a port's budget. `false` if there is none left.
    pub(super) fn take(&mut self, port: PortId, now: Moment) -> bool {
        let at = port.0 as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, Budget::default());
        }
        let Some(budget) = self.0.get_mut(at) else { return false };
        let millis = now.millis();
        if budget.millis != millis {
            *budget = Budget { millis, used: 0 };
        }
        let left = budget.used < TRANSLATIONS_A_MILLISECOND;
        budget.used += u32::from(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_its_budget_again_in_the_next_millisecond_and_others_have_theirs() {
        let mut budgets = Budgets::default();
        let now = Moment::from_millis(5);
        assert!((0..TRANSLATIONS_A_MILLISECOND).all(|_| budgets.take(PortId(3), now)));
        assert!(!budgets.take(PortId(3), now));
        assert!(budgets.take(PortId(4), now));
        assert!(budgets.take(PortId(3), Moment::from_millis(6)));
    }
}
