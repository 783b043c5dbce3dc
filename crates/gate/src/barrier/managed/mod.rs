//! The `managed` profile: Menshen drives the boom itself. Experimental; must be asked for.
//!
//! Open, close and stop relays go to the motor's contactors, which carry an interlock of their
//! own in hardware, with the light beam in series with the close coil. A fourth output tests
//! the presence inputs: while it is energised, every healthy one reads as active. Menshen is no
//! safety device in this profile either (EN 12978): it is one more layer.
//!
//! [`ManagedBarrier::step`] takes the time and one [`Input`] and returns [`Action`]s in the
//! order in which they must happen. There is no input that closes: the boom comes down by the
//! barrier's own judgement alone, when
//!
//! * it is up, nothing holds it (fire, a hold, a waiting opening, a latched fault), and
//! * every presence input is clear for the clearance time, healthy, read lately, has reacted to
//!   a test in this cycle, and has been seen to change since the barrier began (a loop
//!   detector forgets a parked car at power-up), and
//! * the vehicle has passed, or did not come within the hold time.
//!
//! [`ManagedBarrier::withheld`] says which of these is missing. Anything that is not clear
//! while the boom closes breaks the closing off in the same step; the boom opens after the dead
//! time.
//!
//! ```text
//! requests ─► waiting line ─► phase ─► goal ─► motor ─► open, close, stop relay
//!              limits, STOP, fire ──┘    │
//!              presence inputs ──────────┘──► test output
//! ```

mod machine;
mod motor;
mod presence;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use machine::ManagedBarrier;

use super::{BarrierEvent, Origin};
use crate::cause::CauseId;
use crate::line::{Line, LineFault};
use crate::time::Monotonic;
use crate::wiring::{WiringError, within_bounds};

/// Times of a barrier that Menshen drives itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManagedProfile {
    /// Between releasing a direction and energising one again, 300 ms to 5 s. Default 300 ms.
    #[serde(with = "humantime_serde")]
    pub dead_time: Duration,
    /// How long every presence input must have been clear before closing, 1 s to 60 s.
    /// Default 1.5 s.
    #[serde(with = "humantime_serde")]
    pub clearance: Duration,
    /// How old a request may become, and how long ago the inputs may have been read, 100 ms to
    /// 2 s. Default 500 ms.
    #[serde(with = "humantime_serde")]
    pub freshness: Duration,
    /// The longest run of the motor in one direction, 2 s to 30 s. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub run_max: Duration,
    /// How long the open boom waits for a vehicle that does not come, 2 s to 60 s. Default 8 s.
    #[serde(with = "humantime_serde")]
    pub hold: Duration,
    /// How long the boom may be held open at the most, 1 min to 12 h. Default 30 min.
    #[serde(with = "humantime_serde")]
    pub hold_cap: Duration,
    /// How soon a presence input must react to its test, and be clear after it, 100 ms to 2 s.
    /// Default 300 ms.
    #[serde(with = "humantime_serde")]
    pub test_within: Duration,
}

impl Default for ManagedProfile {
    fn default() -> Self {
        Self {
            dead_time: Duration::from_millis(300),
            clearance: Duration::from_millis(1500),
            freshness: Duration::from_millis(500),
            run_max: Duration::from_secs(10),
            hold: Duration::from_secs(8),
            hold_cap: Duration::from_mins(30),
            test_within: Duration::from_millis(300),
        }
    }
}

impl ManagedProfile {
    /// Checks that every time lies within its documented bounds.
    ///
    /// # Errors
    /// [`WiringError`] naming the first key that does not.
    pub fn check(&self) -> Result<(), WiringError> {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        within_bounds([
            ("dead_time", self.dead_time, ms(300), s(5)),
            ("clearance", self.clearance, s(1), s(60)),
            ("freshness", self.freshness, ms(100), s(2)),
            ("run_max", self.run_max, s(2), s(30)),
            ("hold", self.hold, s(2), s(60)),
            ("hold_cap", self.hold_cap, s(60), s(12 * 3600)),
            ("test_within", self.test_within, ms(100), s(2)),
        ])
    }
}

/// What the barrier switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Drives the boom up while energised.
    Open,
    /// Drives the boom down while energised. Only the barrier's own judgement energises it.
    Close,
    /// Brakes: energised while STOP is pressed or a fault forbids movement.
    Stop,
    /// Tests the presence inputs: a healthy one reads as active while it is energised.
    Test,
}

/// What happens to the barrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// Somebody wants the boom open.
    OpenRequest {
        /// Why.
        cause: CauseId,
        /// Who.
        origin: Origin,
        /// When it was asked for; one older than the freshness is refused.
        asked: Monotonic,
    },
    /// Somebody wants the boom held open, for the hold's cap at the longest.
    Hold {
        /// Why.
        cause: CauseId,
        /// Who: the guard, a command or a schedule.
        origin: Origin,
        /// When it was asked for.
        asked: Monotonic,
    },
    /// The hold is over; the boom closes by its own rules, if and when it does.
    EndHold,
    /// All inputs were read just now, changed or not, but these.
    InputsRead {
        /// Inputs that could not be read.
        silent: Vec<Line>,
    },
    /// A debounced input became known or changed.
    LineChanged {
        /// Which.
        line: Line,
        /// Its level.
        active: bool,
        /// When that was seen: earlier than now if the program could not listen meanwhile. A
        /// press of the button that is older than the freshness opens nothing.
        at: Monotonic,
    },
    /// An input became faulty, or behaves again.
    LineHealth {
        /// Which.
        line: Line,
        /// What is or was wrong.
        fault: LineFault,
        /// True when it began, false when it ended.
        faulty: bool,
    },
    /// The port did not take a write; the relays are in no known state.
    PortFailed {
        /// Its words.
        reason: String,
    },
    /// The relay guard died, fell silent, or could not open its port.
    RelayGuardLost {
        /// What is known about it.
        reason: String,
    },
    /// A relay guard holds the port with everything inactive.
    RelayGuardReady,
    /// The daemon ends: release and start nothing more.
    Shutdown,
}

/// What must be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Energise or release one output, now.
    Set {
        /// Which.
        output: Output,
        /// True to energise.
        energised: bool,
    },
    /// Tell the outside.
    Report(BarrierEvent),
}

/// The actions of one step.
pub type Actions = Vec<Action>;

/// Why the boom does not come down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// It is not up by an opening of this barrier.
    NotUp,
    /// The fire alarm holds it.
    FireHolds,
    /// A person or a schedule holds it.
    Held,
    /// Another opening waits for its turn.
    OpeningWaits,
    /// A latched fault forbids closing.
    FaultLatched,
    /// Somebody is under the boom, or nobody knows.
    Occupied,
    /// A presence input is faulty.
    Unhealthy,
    /// The inputs were not read lately.
    Stale,
    /// It has not been clear for long enough.
    Clearance,
    /// A presence input has not been seen to change since the barrier began.
    Unproven,
    /// A presence input has not reacted to a test in this cycle.
    Untested,
    /// The vehicle has not come yet.
    ForTheVehicle,
}
