//! A boom with a controller of its own, as most gates in the field have it.
//!
//! Fed with edges of the OPEN input, the loop under the boom and time, it answers how far it
//! is open. It opens on the leading edge of a pulse, stays open while the loop is occupied,
//! closes by itself when the loop has been clear for a while, and opens again if the loop is
//! occupied while it closes (防砸). There is no CLOSE input.

use std::time::Duration;

/// How a boom moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From closed to open, and back.
    pub travel: Duration,
    /// How long the loop must be clear before the open boom closes by itself.
    pub hold: Duration,
}

impl Default for Timing {
    /// 1.2 s of travel, 3 s of hold.
    fn default() -> Self {
        Self {
            travel: Duration::from_millis(1200),
            hold: Duration::from_secs(3),
        }
    }
}

/// What the boom is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Motion {
    /// Down.
    Closed,
    /// Moving up.
    Opening,
    /// Up.
    Open,
    /// Moving down.
    Closing,
}

/// A simulated boom.
#[derive(Debug, Clone)]
pub struct Boom {
    timing: Timing,
    motion: Motion,
    /// Share of the travel done: 0 closed, 1 open.
    travelled: f32,
    /// How long the boom has been open with a clear loop.
    clear: Duration,
    input: bool,
    openings: u32,
}

impl Boom {
    /// A closed boom.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            motion: Motion::Closed,
            travelled: 0.0,
            clear: Duration::ZERO,
            input: false,
            openings: 0,
        }
    }

    /// The level of the OPEN input, as a relay gives it. Only a rising edge counts.
    pub fn input(&mut self, energised: bool) {
        if energised && !self.input {
            self.clear = Duration::ZERO;
            if matches!(self.motion, Motion::Closed | Motion::Closing) {
                self.motion = Motion::Opening;
                self.openings += 1;
            }
        }
        self.input = energised;
    }

    /// Lets `dt` pass; `occupied` is the loop under the boom during it.
    pub fn step(&mut self, dt: Duration, occupied: bool) {
        let share = dt.as_secs_f32() / self.timing.travel.as_secs_f32().max(1e-3);
        match self.motion {
            Motion::Closed => {}
            Motion::Opening => {
                self.travelled += share;
                if self.travelled >= 1.0 {
                    self.travelled = 1.0;
                    self.motion = Motion::Open;
                    self.clear = Duration::ZERO;
                }
            }
            Motion::Open => {
                self.clear = if occupied {
                    Duration::ZERO
                } else {
                    self.clear + dt
                };
                if self.clear >= self.timing.hold {
                    self.motion = Motion::Closing;
                }
            }
            Motion::Closing if occupied => self.motion = Motion::Opening,
            Motion::Closing => {
                self.travelled -= share;
                if self.travelled <= 0.0 {
                    self.travelled = 0.0;
                    self.motion = Motion::Closed;
                }
            }
        }
    }

    /// What the boom is doing.
    pub fn motion(&self) -> Motion {
        self.motion
    }

    /// How far the boom is open: 0 level, 1 upright. Starts and stops softly, as a mass does.
    pub fn open_fraction(&self) -> f32 {
        let t = self.travelled;
        t * t * (3.0 - 2.0 * t)
    }

    /// How often an input edge set it opening from closed or closing.
    pub fn openings(&self) -> u32 {
        self.openings
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    const TICK: Duration = Duration::from_millis(50);

    fn pulse(boom: &mut Boom) {
        boom.input(true);
        boom.input(false);
    }

    #[test]
    fn one_pulse_opens_holds_and_closes() {
        let mut boom = Boom::new(Timing::default());
        pulse(&mut boom);
        for _ in 0..24 {
            boom.step(TICK, false);
        }
        assert_eq!(boom.motion(), Motion::Open);
        for _ in 0..200 {
            boom.step(TICK, true);
        }
        assert_eq!(boom.motion(), Motion::Open, "closed over a car");
        for _ in 0..59 {
            boom.step(TICK, false);
        }
        assert_eq!(
            boom.motion(),
            Motion::Open,
            "closed before its hold was over"
        );
        for _ in 0..26 {
            boom.step(TICK, false);
        }
        assert_eq!(boom.motion(), Motion::Closed);
        assert_eq!(boom.openings(), 1);
    }

    #[test]
    fn a_held_input_opens_once() {
        let mut boom = Boom::new(Timing::default());
        boom.input(true);
        for _ in 0..200 {
            boom.input(true);
            boom.step(TICK, false);
        }
        assert_eq!((boom.motion(), boom.openings()), (Motion::Closed, 1));
    }

    proptest! {
        #[test]
        fn it_never_moves_down_onto_a_car_and_never_jumps(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 1_u64..200), 1..400)
        ) {
            let mut boom = Boom::new(Timing::default());
            let mut edges = 0;
            let mut last = false;
            for (level, occupied, ms) in steps {
                edges += u32::from(level && !last);
                last = level;
                boom.input(level);
                let before = boom.travelled;
                boom.step(Duration::from_millis(ms), occupied);
                let most = ms as f32 / 1200.0 + 1e-4;
                prop_assert!((boom.travelled - before).abs() <= most);
                prop_assert!((0.0..=1.0).contains(&boom.open_fraction()));
                if occupied {
                    prop_assert!(boom.travelled >= before);
                }
                prop_assert!(boom.openings() <= edges);
            }
        }
    }
}
