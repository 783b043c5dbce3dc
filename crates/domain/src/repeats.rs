//! Writing down what happens again and again, without being flooded by it.
//!
//! The first of its sort is told at once; the same sort again at most once in a span, with its
//! number. Whoever can send messages can so make a line a minute and sort, and not fill a disk.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Monotonic;

/// Sorts that are told apart at most; what is more counts as told.
const SORTS: usize = 256;

/// Counts what repeats, by its sort.
#[derive(Debug, Clone)]
pub struct Repeats<K> {
    every: Duration,
    sorts: BTreeMap<K, (Monotonic, u64)>,
}

impl<K: Ord + Clone> Repeats<K> {
    /// Tells each sort once in `every` at most.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            sorts: BTreeMap::new(),
        }
    }

    /// It happened. How often since it was last told, if it is to be told now.
    pub fn note(&mut self, now: Monotonic, sort: K) -> Option<u64> {
        if let Some((told, count)) = self.sorts.get_mut(&sort) {
            *count += 1;
            if now - *told < self.every {
                return None;
            }
            *told = now;
            return Some(std::mem::take(count));
        }
        if self.sorts.len() >= SORTS {
            let every = self.every;
            self.sorts
                .retain(|_, (told, count)| *count > 0 || now - *told < every);
            if self.sorts.len() >= SORTS {
                return None;
            }
        }
        self.sorts.insert(sort, (now, 0));
        Some(1)
    }

    /// What has repeated since it was told, and is to be told now; sorts that have been silent
    /// are forgotten.
    pub fn due(&mut self, now: Monotonic) -> Vec<(K, u64)> {
        let every = self.every;
        let mut due = Vec::new();
        self.sorts.retain(|sort, (told, count)| {
            if now - *told < every {
                return true;
            }
            if *count == 0 {
                return false;
            }
            due.push((sort.clone(), std::mem::take(count)));
            *told = now;
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_are_counted() {
        let second = Monotonic::from_millis;
        let mut repeats = Repeats::new(Duration::from_mins(1));
        assert_eq!(repeats.note(second(0), "forged"), Some(1));
        for _ in 0..1000 {
            assert_eq!(repeats.note(second(1000), "forged"), None);
        }
        assert_eq!(repeats.note(second(1000), "late"), Some(1));
        assert_eq!(repeats.due(second(59_000)), []);
        assert_eq!(repeats.due(second(60_000)), [("forged", 1000)]);
        assert_eq!(repeats.due(second(130_000)), []);
        assert_eq!(repeats.note(second(130_000), "forged"), Some(1));
    }

    #[test]
    fn no_number_of_sorts_takes_more_room() {
        let mut repeats = Repeats::new(Duration::from_mins(1));
        let told = (0..10_000)
            .filter(|sort| repeats.note(Monotonic::from_millis(1), *sort).is_some())
            .count();
        assert_eq!((told, repeats.sorts.len()), (SORTS, SORTS));
        assert_eq!(
            repeats.note(Monotonic::from_millis(61_000), 10_001),
            Some(1)
        );
    }
}
