//! Whether a movement of the boom that nobody ordered can be known as one.

/// No boom coasts for longer than this after it was driven, in milliseconds.
const COASTS: u64 = 1000;

/// Takes what happens to the boom in the world, not what the barrier makes of it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Unbidden {
    driven_at: u64,
    moved_at: Option<u64>,
}

impl Unbidden {
    /// A direction is energised.
    ///
    /// A contact counts only once it has lasted for its `debounce`, and is looked at after every
    /// `tick`. Until then nobody can know that the boom left its limit by itself; and once it is
    /// driven, it leaves its limit because it is driven. So a movement that an opening overtakes
    /// within that time is not to be told from the opening's own.
    pub(super) fn driven(&mut self, now: u64, debounce: u64, tick: u64) {
        self.driven_at = now;
        self.moved_at = self.moved_at.filter(|at| now > at + debounce + tick);
    }

    /// The boom passed a limit.
    pub(super) fn moved(&mut self, now: u64, tick: u64) {
        if now > self.driven_at + COASTS + 3 * tick {
            self.moved_at = Some(now);
        }
    }

    /// It is known, or cannot be.
    pub(super) fn settled(&mut self) {
        self.moved_at = None;
    }

    /// When the boom moved by itself, if that must become known.
    pub(super) fn moved_at(&self) -> Option<u64> {
        self.moved_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boom_that_moves_long_after_it_was_driven_moved_by_itself() {
        let mut unbidden = Unbidden::default();
        unbidden.driven(1000, 30, 50);
        unbidden.moved(2000, 50);
        assert_eq!(unbidden.moved_at(), None, "it coasts");
        unbidden.moved(5000, 50);
        assert_eq!(unbidden.moved_at(), Some(5000));
        unbidden.settled();
        assert_eq!(unbidden.moved_at(), None);
    }

    /// Seed 7 of the compound: a hand lifts the boom in the very step in which the guard's
    /// button opens it. The limit's contact is believed 35 ms later, while the motor runs.
    #[test]
    fn an_opening_before_the_contact_is_believed_hides_the_movement() {
        let mut unbidden = Unbidden::default();
        unbidden.moved(5000, 50);
        unbidden.driven(5000, 30, 50);
        assert_eq!(unbidden.moved_at(), None);
        unbidden.moved(9000, 50);
        unbidden.driven(9081, 30, 50);
        assert_eq!(unbidden.moved_at(), Some(9000), "it was known by then");
    }
}
