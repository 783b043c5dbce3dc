//! The outputs that move and brake the boom: one at a time, with the dead time between them.

use std::time::Duration;

use super::{Action, Actions, Output};
use crate::mutation::guard;
use crate::time::Monotonic;

/// What the barrier wants of its motor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Everything released.
    Rest,
    /// Held by the stop relay.
    Brake,
    /// Upwards.
    Open,
    /// Downwards.
    Close,
}

/// At most one of the open, close and stop relays is energised: there is one place for it.
#[derive(Debug)]
pub(super) struct Motor {
    energised: Option<Output>,
    since: Monotonic,
    /// When a direction was last released.
    released: Monotonic,
    moved: bool,
}

impl Motor {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            energised: None,
            since: now,
            released: now,
            moved: false,
        }
    }

    pub(super) fn drives(&self, output: Output) -> bool {
        self.energised == Some(output)
    }

    /// For how long the direction that is energised has been.
    pub(super) fn runs_for(&self, now: Monotonic) -> Option<Duration> {
        self.energised
            .filter(|output| *output != Output::Stop)
            .map(|_| now.since(self.since))
    }

    /// For how long no direction has been energised.
    pub(super) fn still_for(&self, now: Monotonic) -> Duration {
        match self.energised {
            Some(Output::Open | Output::Close) => Duration::ZERO,
            _ => now.since(self.released),
        }
    }

    /// A new relay guard has released everything just now.
    pub(super) fn all_released(&mut self, now: Monotonic) {
        self.energised = None;
        self.released = now;
        self.moved = true;
    }

    pub(super) fn pursue(
        &mut self,
        now: Monotonic,
        goal: Goal,
        dead_time: Duration,
        out: &mut Actions,
    ) {
        let wanted = match goal {
            Goal::Rest => None,
            Goal::Brake => Some(Output::Stop),
            Goal::Open => Some(Output::Open),
            Goal::Close => Some(Output::Close),
        };
        if self.energised == wanted {
            return;
        }
        let set = |output, energised| Action::Set { output, energised };
        if let (Some(old), Some(next)) = (self.energised, wanted)
            && !guard!(Interlock)
        {
            out.extend([set(next, true), set(old, false)]);
            self.energised = Some(next);
            self.since = now;
            return;
        }
        if let Some(old) = self.energised.take() {
            out.push(set(old, false));
            if old != Output::Stop {
                self.released = now;
                self.moved = true;
            }
        }
        let Some(next) = wanted else { return };
        let rested = !self.moved || now.since(self.released) >= dead_time;
        if next == Output::Stop || guard!(DeadTime => rested) {
            out.push(set(next, true));
            self.energised = Some(next);
            self.since = now;
        }
    }
}
