//! The relay guard's judgement for a barrier in the managed profile: pure, like
//! [`crate::pulse_timer`].
//!
//! It owes nothing to the daemon's good behaviour. Of the open, close and stop relays it
//! energises one at a time; between two directions it keeps the dead time; no direction runs
//! for longer than [`RUN_LIMIT`]; everything is released when the daemon says nothing for
//! [`SILENCE_MAX`](crate::pulse_timer::SILENCE_MAX), and when its pipe closes. An order that
//! would break this is refused, and the daemon is told: it should never have given it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::barrier::managed::Output;
use crate::mutation::guard;
use crate::pulse_timer::SILENCE_MAX;
use crate::time::Monotonic;

/// The shortest pause between releasing a direction and energising one again.
pub const DEAD_TIME: Duration = Duration::from_millis(300);
/// The longest run in one direction, whatever the daemon's profile says.
pub const RUN_LIMIT: Duration = Duration::from_secs(30);

/// Why an order was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRefusal {
    /// Another of open, close and stop is energised.
    Interlocked,
    /// A direction was released less than the dead time ago.
    DeadTime,
    /// The guard is ending.
    Ending,
}

/// What the shell must do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Write this to the port.
    Write {
        /// Which output.
        output: Output,
        /// True to energise.
        energised: bool,
    },
    /// Tell the daemon that its order was refused.
    Refuse {
        /// Which output it was for.
        output: Output,
        /// Why.
        why: OrderRefusal,
    },
    /// Tell the daemon that the guard released by itself: the silence or the run was too long.
    ReleasedByItself,
}

/// Judges what the daemon orders. See the [module](self).
#[derive(Debug)]
pub struct MotorTimer {
    energised: BTreeSet<Output>,
    /// Since when a direction runs.
    runs_since: Option<Monotonic>,
    released: Option<Monotonic>,
    heard: Monotonic,
    ending: bool,
}

fn is_direction(output: Output) -> bool {
    matches!(output, Output::Open | Output::Close)
}

impl MotorTimer {
    /// A timer whose port was just opened with everything inactive. A predecessor may have
    /// released a direction only then, so the dead time begins now.
    pub fn new(now: Monotonic) -> Self {
        Self {
            energised: BTreeSet::new(),
            runs_since: None,
            released: Some(now),
            heard: now,
            ending: false,
        }
    }

    /// The daemon is there.
    pub fn beat(&mut self, now: Monotonic) {
        self.heard = now;
    }

    /// The daemon orders an output.
    pub fn set(&mut self, now: Monotonic, output: Output, energised: bool) -> Vec<Order> {
        self.heard = now;
        if !energised {
            return self.release(now, output).into_iter().collect();
        }
        if self.energised.contains(&output) {
            return Vec::new();
        }
        let others = |other: &Output| *other != Output::Test;
        let free = output == Output::Test || !self.energised.iter().any(others);
        let rested =
            !is_direction(output) || self.released.is_none_or(|at| now.since(at) >= DEAD_TIME);
        let why = if self.ending {
            OrderRefusal::Ending
        } else if !guard!(Interlock => free) {
            OrderRefusal::Interlocked
        } else if !guard!(DeadTime => rested) {
            OrderRefusal::DeadTime
        } else {
            self.energised.insert(output);
            if is_direction(output) {
                self.runs_since = Some(now);
            }
            return vec![Order::Write { output, energised }];
        };
        vec![Order::Refuse { output, why }]
    }

    fn release(&mut self, now: Monotonic, output: Output) -> Option<Order> {
        if !self.energised.remove(&output) {
            return None;
        }
        if is_direction(output) {
            self.released = Some(now);
            self.runs_since = None;
        }
        Some(Order::Write {
            output,
            energised: false,
        })
    }

    fn release_all(&mut self, now: Monotonic) -> Vec<Order> {
        let on: Vec<Output> = self.energised.iter().copied().collect();
        on.into_iter()
            .filter_map(|output| self.release(now, output))
            .collect()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Order> {
        let in_touch = guard!(Silence => now.since(self.heard) < SILENCE_MAX);
        let bounded =
            guard!(RunBound => self.runs_since.is_none_or(|at| now.since(at) < RUN_LIMIT));
        if in_touch && bounded {
            return Vec::new();
        }
        let mut orders = self.release_all(now);
        if !orders.is_empty() {
            orders.push(Order::ReleasedByItself);
        }
        orders
    }

    /// The daemon's pipe closed, or somebody told the guard to end: release everything.
    pub fn end(&mut self, now: Monotonic) -> Vec<Order> {
        self.ending = true;
        guard!(PipeEnd else { return Vec::new(); });
        self.release_all(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    #[test]
    fn one_direction_at_a_time_with_the_dead_time_between() {
        let mut timer = MotorTimer::new(at(0));
        let refused = |output, why| vec![Order::Refuse { output, why }];
        let write = |output, energised| vec![Order::Write { output, energised }];
        assert_eq!(
            timer.set(at(100), Output::Open, true),
            refused(Output::Open, OrderRefusal::DeadTime)
        );
        assert_eq!(
            timer.set(at(300), Output::Open, true),
            write(Output::Open, true)
        );
        assert_eq!(timer.set(at(310), Output::Open, true), []);
        assert_eq!(
            timer.set(at(400), Output::Close, true),
            refused(Output::Close, OrderRefusal::Interlocked)
        );
        assert_eq!(
            timer.set(at(450), Output::Test, true),
            write(Output::Test, true)
        );
        assert_eq!(
            timer.set(at(500), Output::Open, false),
            write(Output::Open, false)
        );
        assert_eq!(
            timer.set(at(500), Output::Stop, true),
            write(Output::Stop, true)
        );
        assert_eq!(
            timer.set(at(600), Output::Stop, false),
            write(Output::Stop, false)
        );
        assert_eq!(
            timer.set(at(799), Output::Close, true),
            refused(Output::Close, OrderRefusal::DeadTime)
        );
        assert_eq!(
            timer.set(at(800), Output::Close, true),
            write(Output::Close, true)
        );
    }

    #[test]
    fn silence_a_long_run_and_the_end_release_everything() {
        let mut timer = MotorTimer::new(at(0));
        timer.set(at(300), Output::Open, true);
        assert_eq!(timer.tick(at(799)), []);
        assert_eq!(
            timer.tick(at(800)),
            [
                Order::Write {
                    output: Output::Open,
                    energised: false
                },
                Order::ReleasedByItself
            ]
        );
        timer.set(at(2000), Output::Close, true);
        for ms in (2100..31_900).step_by(100) {
            timer.beat(at(ms));
            assert_eq!(timer.tick(at(ms)), []);
        }
        timer.beat(at(32_000));
        assert_eq!(timer.tick(at(32_000)).len(), 2);
        timer.set(at(40_000), Output::Stop, true);
        assert_eq!(timer.end(at(40_010)).len(), 1);
        assert_eq!(
            timer.set(at(41_000), Output::Open, true),
            [Order::Refuse {
                output: Output::Open,
                why: OrderRefusal::Ending
            }]
        );
    }

    #[test]
    fn the_bounds_are_kept_to_the_millisecond() {
        let mut timer = MotorTimer::new(at(0));
        assert_eq!(timer.set(at(299), Output::Close, true).len(), 1);
        assert!(timer.energised.is_empty(), "refused");
        timer.set(at(300), Output::Close, true);
        for ms in (400..30_300).step_by(100) {
            timer.beat(at(ms));
        }
        assert_eq!(timer.tick(at(30_299)), []);
        assert_eq!(timer.tick(at(30_300)).len(), 2);
        assert_eq!(timer.tick(at(30_301)), [], "told once");
        assert_eq!(
            timer.set(at(30_599), Output::Open, true),
            [Order::Refuse {
                output: Output::Open,
                why: OrderRefusal::DeadTime
            }]
        );
        assert_eq!(timer.set(at(30_600), Output::Open, true).len(), 1);
        timer.set(at(30_700), Output::Open, false);
        timer.beat(at(70_000));
        assert_eq!(
            timer.tick(at(70_000)),
            [],
            "a run that is over has no bound"
        );
    }

    #[test]
    fn stop_and_test_need_no_dead_time_and_begin_none() {
        let mut timer = MotorTimer::new(at(0));
        for output in [Output::Stop, Output::Test] {
            let write = |energised| Order::Write { output, energised };
            assert_eq!(timer.set(at(10), output, true), [write(true)]);
            assert_eq!(timer.set(at(290), output, false), [write(false)]);
            assert_eq!(timer.set(at(290), output, false), [], "released already");
        }
        assert_eq!(
            timer.set(at(300), Output::Open, true),
            [Order::Write {
                output: Output::Open,
                energised: true
            }]
        );
        timer.set(at(310), Output::Test, true);
        timer.beat(at(20_000));
        assert_eq!(timer.tick(at(20_000)), []);
        assert_eq!(timer.end(at(20_000)).len(), 2);
    }

    #[test]
    fn stop_has_no_bound_but_the_silence() {
        let mut timer = MotorTimer::new(at(0));
        timer.set(at(0), Output::Stop, true);
        timer.beat(at(60_000));
        assert_eq!(timer.tick(at(60_499)), []);
        assert_eq!(timer.tick(at(60_500)).len(), 2);
    }

    #[cfg(feature = "mutations")]
    #[test]
    fn without_its_guard_a_closed_pipe_releases_nothing() {
        use crate::mutation::{Guard, without};
        let end = || {
            let mut timer = MotorTimer::new(at(0));
            timer.set(at(0), Output::Stop, true);
            timer.end(at(0)).len()
        };
        assert_eq!(end(), 1);
        assert_eq!(without(Some(Guard::PipeEnd), end), 0);
    }

    proptest! {
        /// Whatever is ordered when: in every prefix of the writes at most one of open, close
        /// and stop is on, the dead time holds, and no run and no silence is too long.
        #[test]
        fn the_writes_are_safe(orders in prop::collection::vec((0_u8..6, 0_u64..900), 1..200)) {
            let outputs = [Output::Open, Output::Close, Output::Stop, Output::Test];
            let mut timer = MotorTimer::new(at(0));
            let mut on: BTreeSet<Output> = BTreeSet::new();
            let (mut now, mut released, mut heard) = (0, 0, 0);
            for (what, pause) in orders {
                let end = now + pause;
                while now < end {
                    now = end.min(now + 50);
                    for order in timer.tick(at(now)) {
                        if let Order::Write { output, energised } = order {
                            prop_assert!(!energised);
                            on.remove(&output);
                            if is_direction(output) {
                                released = now;
                            }
                        }
                    }
                    prop_assert!(on.is_empty() || now - heard < 500);
                }
                heard = now;
                let orders = match what {
                    4 => { timer.beat(at(now)); Vec::new() }
                    5 => outputs.iter().flat_map(|o| timer.set(at(now), *o, false)).collect(),
                    n => timer.set(at(now), outputs[usize::from(n)], true),
                };
                for order in orders {
                    let Order::Write { output, energised } = order else { continue };
                    if energised {
                        if is_direction(output) {
                            prop_assert!(now - released >= 300);
                        }
                        on.insert(output);
                    } else {
                        on.remove(&output);
                        if is_direction(output) {
                            released = now;
                        }
                    }
                    prop_assert!(on.iter().filter(|o| **o != Output::Test).count() <= 1);
                }
            }
        }
    }
}
