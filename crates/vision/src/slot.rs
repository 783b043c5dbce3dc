//! A slot that holds one value: the latest.
//!
//! What is put in replaces what nobody took, so a slow reader never builds a queue and always
//! gets the newest picture.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A slot of depth one between two threads.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    held: Mutex<Held<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Held<T> {
    latest: Option<T>,
    replaced: u64,
    closed: bool,
}

impl<T> Slot<T> {
    /// An empty, open slot.
    pub(crate) fn new() -> Self {
        Self {
            held: Mutex::new(Held {
                latest: None,
                replaced: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `value` in, throwing away what was not taken.
    pub(crate) fn put(&self, value: T) {
        let mut held = self.lock();
        if held.latest.replace(value).is_some() {
            held.replaced += 1;
        }
        drop(held);
        self.changed.notify_one();
    }

    /// Waits at most `timeout` for a value. A closed slot still gives its last value, then
    /// answers `None` at once.
    pub(crate) fn take(&self, timeout: Duration) -> Option<T> {
        let until = Instant::now().checked_add(timeout);
        let mut held = self.lock();
        loop {
            if let Some(value) = held.latest.take() {
                return Some(value);
            }
            let left = until.map_or(timeout, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if held.closed || left.is_zero() {
                return None;
            }
            held = self
                .changed
                .wait_timeout(held, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Nothing more will be put in.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether the slot is closed and empty.
    pub(crate) fn is_over(&self) -> bool {
        let held = self.lock();
        held.closed && held.latest.is_none()
    }

    /// How many values were thrown away because nobody took them in time.
    pub(crate) fn replaced(&self) -> u64 {
        self.lock().replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_wins_and_the_rest_is_counted() {
        let slot = Slot::new();
        for number in 0..5 {
            slot.put(number);
        }
        assert_eq!(slot.take(Duration::ZERO), Some(4));
        assert_eq!(slot.take(Duration::ZERO), None);
        assert_eq!(slot.replaced(), 4);
    }

    #[test]
    fn a_closed_slot_gives_its_last_value_and_does_not_block() {
        let slot = Slot::new();
        slot.put('a');
        slot.close();
        assert!(!slot.is_over());
        assert_eq!(slot.take(Duration::from_hours(1)), Some('a'));
        assert_eq!(slot.take(Duration::from_hours(1)), None);
        assert!(slot.is_over());
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let slot = Slot::new();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| slot.take(Duration::from_mins(1)));
            slot.put(7);
            assert_eq!(reader.join().ok().flatten(), Some(7));
        });
    }
}
