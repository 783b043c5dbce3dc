//! Openings that were asked for and wait for their turn; both profiles keep theirs here.

use std::collections::VecDeque;

use super::{BarrierEvent, Origin, Refusal, WAITING_MAX};
use crate::cause::CauseId;
use crate::mutation::guard;
use crate::time::Monotonic;

/// An opening that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) cause: CauseId,
    pub(super) origin: Origin,
    pub(super) since: Monotonic,
}

/// At most [`WAITING_MAX`] openings, the oldest first.
#[derive(Debug, Default)]
pub(super) struct WaitingLine(VecDeque<Waiting>);

impl WaitingLine {
    pub(super) fn holds(&self, cause: &CauseId) -> bool {
        self.0.iter().any(|waiting| waiting.cause == *cause)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an opening in, and says who had to give up its place: the opening itself, or with
    /// an opening of the guard's the newest waiting car, because the guard goes before them.
    pub(super) fn take_in(&mut self, opening: Waiting) -> Option<BarrierEvent> {
        let mut displaced = None;
        if guard!(QueueBound => self.0.len() < WAITING_MAX) {
            self.0.push_back(opening);
            return None;
        }
        if opening.origin == Origin::Guard {
            let newest = self.0.iter().rposition(|w| w.origin != Origin::Guard);
            displaced = newest.and_then(|at| self.0.remove(at));
        }
        if displaced.is_some() {
            self.0.push_back(opening);
            return displaced.map(|waiting| waiting.refused(Refusal::QueueFull));
        }
        Some(opening.refused(Refusal::QueueFull))
    }

    /// The opening whose turn it is: the guard's first, else the oldest.
    pub(super) fn next(&self) -> Option<&Waiting> {
        self.0.get(self.next_place())
    }

    pub(super) fn take_next(&mut self) -> Option<Waiting> {
        self.0.remove(self.next_place())
    }

    fn next_place(&self) -> usize {
        let guards = |waiting: &Waiting| waiting.origin == Origin::Guard;
        self.0.iter().position(guards).unwrap_or(0)
    }

    /// Refuses everything that waits.
    pub(super) fn refuse_all(&mut self, reason: Refusal) -> Vec<BarrierEvent> {
        self.0.drain(..).map(|w| w.refused(reason)).collect()
    }

    /// Refuses what `why` gives a reason for.
    pub(super) fn expire(
        &mut self,
        why: impl Fn(&Waiting) -> Option<Refusal>,
    ) -> Vec<BarrierEvent> {
        let mut refused = Vec::new();
        self.0.retain(|waiting| match why(waiting) {
            Some(reason) => {
                refused.push(waiting.refused(reason));
                false
            }
            None => true,
        });
        refused
    }
}

impl Waiting {
    pub(super) fn refused(&self, reason: Refusal) -> BarrierEvent {
        BarrierEvent::OpeningRefused {
            cause: self.cause.clone(),
            origin: self.origin,
            reason,
        }
    }
}
