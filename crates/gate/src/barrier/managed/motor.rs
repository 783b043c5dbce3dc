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
}

impl Motor {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            energised: None,
            since: now,
            released: now,
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
        guard!(Interlock else {
            if let (Some(old), Some(next)) = (self.energised, wanted) {
                out.extend([set(next, true), set(old, false)]);
                self.energised = Some(next);
                self.since = now;
                return;
            }
        });
        if let Some(old) = self.energised.take() {
            out.push(set(old, false));
            if old != Output::Stop {
                self.released = now;
            }
        }
        let Some(next) = wanted else { return };
        let rested = now.since(self.released) >= dead_time;
        if next == Output::Stop || guard!(DeadTime => rested) {
            out.push(set(next, true));
            self.energised = Some(next);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD_TIME: Duration = Duration::from_millis(300);

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    fn pursue(motor: &mut Motor, now: u64, goal: Goal) -> Vec<(Output, bool)> {
        let mut out = Actions::new();
        motor.pursue(at(now), goal, DEAD_TIME, &mut out);
        out.into_iter()
            .filter_map(|action| match action {
                Action::Set { output, energised } => Some((output, energised)),
                Action::Report(_) => None,
            })
            .collect()
    }

    #[test]
    fn a_direction_is_released_at_once_and_the_other_waits_for_the_dead_time() {
        let mut motor = Motor::new(at(0));
        assert_eq!(pursue(&mut motor, 299, Goal::Open), []);
        assert_eq!(pursue(&mut motor, 300, Goal::Open), [(Output::Open, true)]);
        assert_eq!(pursue(&mut motor, 400, Goal::Open), []);
        assert_eq!(
            pursue(&mut motor, 500, Goal::Close),
            [(Output::Open, false)]
        );
        assert_eq!(pursue(&mut motor, 799, Goal::Close), []);
        assert_eq!(
            pursue(&mut motor, 800, Goal::Close),
            [(Output::Close, true)]
        );
        assert_eq!(
            pursue(&mut motor, 900, Goal::Rest),
            [(Output::Close, false)]
        );
    }

    #[test]
    fn the_brake_waits_for_nothing_and_nothing_waits_for_it() {
        let mut motor = Motor::new(at(0));
        pursue(&mut motor, 300, Goal::Open);
        assert_eq!(
            pursue(&mut motor, 400, Goal::Brake),
            [(Output::Open, false), (Output::Stop, true)]
        );
        assert_eq!(
            pursue(&mut motor, 700, Goal::Close),
            [(Output::Stop, false), (Output::Close, true)]
        );
    }

    #[test]
    fn it_knows_for_how_long_it_runs_and_stands() {
        let ms = Duration::from_millis;
        let mut motor = Motor::new(at(0));
        assert_eq!(motor.runs_for(at(100)), None);
        assert_eq!(motor.still_for(at(100)), ms(100));
        pursue(&mut motor, 300, Goal::Close);
        assert!(motor.drives(Output::Close) && !motor.drives(Output::Open));
        assert_eq!(motor.runs_for(at(1000)), Some(ms(700)));
        assert_eq!(motor.still_for(at(1000)), Duration::ZERO);
        pursue(&mut motor, 2000, Goal::Brake);
        assert_eq!(motor.runs_for(at(2500)), None);
        assert_eq!(motor.still_for(at(2500)), ms(500));
        pursue(&mut motor, 3000, Goal::Rest);
        assert_eq!(motor.still_for(at(3500)), ms(1500));
    }

    #[test]
    fn a_new_relay_guard_has_released_everything_and_begins_the_dead_time() {
        let mut motor = Motor::new(at(0));
        pursue(&mut motor, 300, Goal::Open);
        motor.all_released(at(5000));
        assert!(!motor.drives(Output::Open));
        assert_eq!(pursue(&mut motor, 5299, Goal::Open), []);
        assert_eq!(pursue(&mut motor, 5300, Goal::Open), [(Output::Open, true)]);
    }

    #[cfg(feature = "mutations")]
    #[test]
    fn without_the_interlock_both_directions_are_energised() {
        use crate::mutation::{Guard, without};
        without(Some(Guard::Interlock), || {
            let mut motor = Motor::new(at(0));
            pursue(&mut motor, 300, Goal::Open);
            assert_eq!(
                pursue(&mut motor, 400, Goal::Close),
                [(Output::Close, true), (Output::Open, false)]
            );
        });
    }
}
