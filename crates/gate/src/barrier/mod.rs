//! The boom's state machines, without a clock and without I/O: the `pulse` profile here, the
//! experimental [`managed`] profile beside it. They share the words of this module.
//!
//! [`Barrier::step`] takes the time and one [`Input`] and returns [`Action`]s in the order in
//! which they must happen. The profile has one output, an OPEN pulse into the barrier's own
//! controller; there is no CLOSE, so no input can produce one. Inputs rank STOP, fire, guard,
//! everything else:
//!
//! * STOP releases the relay in the step that reports it and empties the line of waiting
//!   openings. Its release alone moves nothing: it takes a fresh request, a fresh fire alarm
//!   or the guard. A fire alarm that was already there when STOP ended holds again from the
//!   next opening on.
//! * Fire pulses at once and again every `fire_repeat` while it lasts, also while a fault is
//!   latched.
//! * The guard goes before waiting cars and need not wait out the gap between two cars.
//! * A hold, where the profile has a cap for it, pulses at once and again every `fire_repeat`, as a
//!   fire does, until it is ended or capped. Whoever comes meanwhile is pulsed for without the gap.
//!   STOP, a fault that stops openings, and the loss of the relay guard end it; it does not come
//!   back by itself.
//!
//! An opening is *asked for*, perhaps *waits* (three at most), *starts* (one pulse is ordered
//! from the relay guard), and ends *released* or *failed*; or it is *refused*, with a reason.

mod machine;
pub mod managed;
#[cfg(test)]
mod tests;
mod waiting;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use machine::Barrier;

use crate::cause::CauseId;
use crate::line::{Line, LineFault};
use crate::time::Monotonic;
use crate::wiring::{WiringError, within_bounds};

/// The shortest pulse that every controller notices.
pub const PULSE_MIN: Duration = Duration::from_millis(200);
/// The longest pulse that is given, whatever is asked.
pub const PULSE_MAX: Duration = Duration::from_secs(1);
/// Further openings that may wait behind the one in progress.
pub const WAITING_MAX: usize = 3;
/// How long the guard holds the button to clear latched faults.
pub const CLEAR_HOLD: Duration = Duration::from_secs(5);
/// The least cap of a hold in the pulse profile.
pub const HOLD_CAP_MIN: Duration = Duration::from_mins(1);
/// The greatest cap of a hold in the pulse profile.
pub const HOLD_CAP_MAX: Duration = Duration::from_hours(4);
/// The machine is stepped at least this often.
pub const TICK: Duration = Duration::from_millis(50);

/// Times of a barrier wired for pulses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PulseProfile {
    /// Length of the OPEN pulse, 200 ms to 1 s. Default 500 ms.
    #[serde(with = "humantime_serde")]
    pub pulse: Duration,
    /// From the end of one opening to the next one waiting in line, 300 ms to 60 s.
    /// Default 2 s.
    #[serde(with = "humantime_serde")]
    pub repeat_gap: Duration,
    /// How often the pulse is repeated while the fire alarm is active, 1 s to 60 s.
    /// Default 5 s.
    #[serde(with = "humantime_serde")]
    pub fire_repeat: Duration,
    /// How old a request may become that cannot be carried out, 100 ms to 2 s.
    /// Default 500 ms.
    #[serde(with = "humantime_serde")]
    pub freshness: Duration,
    /// The relay must be off at least this long between two pulses, 100 ms to 5 s.
    /// Default 300 ms.
    #[serde(with = "humantime_serde")]
    pub dead_time: Duration,
    /// A pulse that is not reported released this long after its end is a fault,
    /// 200 ms to 5 s. Default 600 ms.
    #[serde(with = "humantime_serde")]
    pub release_margin: Duration,
    /// How long the boom may be held open at the most, 1 min to 4 h. `None`, the default, for a
    /// boom that cannot be held: repeated pulses hold one only where its controller stays open,
    /// or begins its time anew, on every pulse.
    #[serde(with = "humantime_serde")]
    pub hold_cap: Option<Duration>,
}

impl Default for PulseProfile {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl PulseProfile {
    /// Every time as it is when nothing is written.
    pub const DEFAULT: Self = Self {
        pulse: Duration::from_millis(500),
        repeat_gap: Duration::from_secs(2),
        fire_repeat: Duration::from_secs(5),
        freshness: Duration::from_millis(500),
        dead_time: Duration::from_millis(300),
        release_margin: Duration::from_millis(600),
        hold_cap: None,
    };

    /// Checks that every time lies within its documented bounds.
    ///
    /// # Errors
    /// [`WiringError`] naming the first key that does not.
    pub fn check(&self) -> Result<(), WiringError> {
        let ms = Duration::from_millis;
        let cap = self
            .hold_cap
            .map(|cap| ("hold_cap", cap, HOLD_CAP_MIN, HOLD_CAP_MAX));
        let times = [
            ("pulse", self.pulse, PULSE_MIN, PULSE_MAX),
            ("repeat_gap", self.repeat_gap, ms(300), ms(60_000)),
            ("fire_repeat", self.fire_repeat, ms(1000), ms(60_000)),
            ("freshness", self.freshness, ms(100), ms(2000)),
            ("dead_time", self.dead_time, ms(100), ms(5000)),
            ("release_margin", self.release_margin, ms(200), ms(5000)),
        ];
        within_bounds(times.into_iter().chain(cap))
    }
}

/// Who asks for an opening; decides its rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An admitting verdict.
    Automatic,
    /// The guard, by button or by answering a question.
    Guard,
    /// A signed command from the committee.
    Command,
    /// A schedule of the site that holds the boom open.
    Schedule,
    /// The fire alarm. Only the barrier itself uses it.
    Fire,
    /// Somebody was under the closing boom. Only the managed barrier itself uses it.
    Presence,
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
    /// Somebody wants the boom held open.
    Hold {
        /// Why.
        cause: CauseId,
        /// Who: a person or a schedule.
        origin: Origin,
        /// When it was asked for.
        asked: Monotonic,
    },
    /// The hold ends, if there is one; the barrier's controller then does what it does after any
    /// opening.
    EndHold,
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
    /// The relay guard said something about the relay.
    Relay(RelayReport),
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

/// What the relay guard says about the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayReport {
    /// The relay was energised.
    Energised {
        /// For which opening.
        cause: CauseId,
        /// When the port had taken the write.
        at: Monotonic,
    },
    /// The relay was released.
    Released {
        /// The opening this ends, if one was in progress.
        cause: Option<CauseId>,
        /// When the port had taken the write.
        at: Monotonic,
    },
    /// The relay guard did not take the pulse.
    Refused {
        /// Which opening.
        cause: CauseId,
        /// Its words.
        reason: String,
    },
    /// The port did not take a write; the relay is in no known state.
    Failed {
        /// During which opening.
        cause: CauseId,
        /// Its words.
        reason: String,
    },
}

/// What must be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Order one pulse from the relay guard.
    Pulse {
        /// For this opening.
        cause: CauseId,
        /// Of this length.
        duration: Duration,
    },
    /// Order the release of every relay, now.
    ReleaseAll,
    /// Tell the outside.
    Report(BarrierEvent),
}

/// The actions of one step.
pub type Actions = Vec<Action>;

/// Where the boom is, as far as anything reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Fully down.
    Closed,
    /// Left the closed limit.
    Opening,
    /// Fully up.
    Open,
    /// Left the opened limit.
    Closing,
    /// STOP is or was pressed and nothing has moved since.
    Stopped,
    /// A fault makes the position or the relay untrustworthy.
    Fault,
    /// No limit input tells.
    Unknown,
}

/// Why an opening was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// This cause has already opened the boom, or waits to.
    Duplicate,
    /// Three openings are waiting already.
    QueueFull,
    /// STOP is pressed.
    StopActive,
    /// A fault is latched.
    FaultLatched,
    /// No relay guard holds the port, and the request has become too old.
    RelayGuardLost,
    /// The request was too old when it came, or waited too long.
    Stale,
    /// The fire alarm already holds the boom open.
    FireHoldsOpen,
    /// The daemon is ending.
    ShuttingDown,
    /// Only a person or a schedule may hold the boom open.
    NotForHolding,
    /// The profile has no cap for a hold: this boom cannot be held.
    CannotHold,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "this cause has already opened the boom or waits to",
            Self::QueueFull => "three openings are waiting already",
            Self::StopActive => "STOP is pressed; release it first",
            Self::FaultLatched => "a fault is latched; clear it on site first",
            Self::RelayGuardLost => "no relay guard holds the relay's port",
            Self::Stale => "the request is too old to be carried out",
            Self::FireHoldsOpen => "the fire alarm already holds the boom open",
            Self::ShuttingDown => "the daemon is ending",
            Self::NotForHolding => "only a person or a schedule may hold the boom open",
            Self::CannotHold => "this barrier is not set up to be held open: it has no hold_cap",
        })
    }
}

/// Something that a person on site must put right. All but those of inputs stop openings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The release of a pulse was never confirmed: a welded relay or a dead port.
    RelayNotReleased,
    /// Both limits are active at once. The position is not trusted; openings go on.
    LimitsContradict,
    /// The motor ran for its bound without reaching the limit. Managed profile only.
    MotorOverrun {
        /// Whether it was closing.
        closing: bool,
    },
    /// The boom moved while nothing was energised. Managed profile only.
    MovedUnbidden,
    /// A presence input did not react to its self-test. It does not close until cleared.
    /// Managed profile only.
    SelfTestFailed {
        /// Which.
        line: Line,
    },
    /// An input misbehaves. Openings go on.
    Input {
        /// Which.
        line: Line,
        /// How.
        fault: LineFault,
    },
}

impl Fault {
    /// Whether openings are refused while it is latched.
    pub fn blocks(&self) -> bool {
        matches!(
            self,
            Self::RelayNotReleased | Self::MotorOverrun { .. } | Self::MovedUnbidden
        )
    }

    /// What a person on site does about it.
    pub fn cure(&self) -> String {
        let then = "then hold the guard's button for 5 s, or restart menshen";
        match self {
            Self::RelayNotReleased => format!(
                "check that the OPEN relay drops out (a welded contact keeps it closed) and \
                 that its board is connected, replace it if not, {then}"
            ),
            Self::LimitsContradict => {
                format!("check the wiring of the opened and closed limits, {then}")
            }
            Self::MotorOverrun { closing } => format!(
                "check what keeps the boom from {} (an obstacle, a coupling, the motor's \
                 supply) and that its limit switch works, {then}",
                if *closing { "closing" } else { "opening" }
            ),
            Self::MovedUnbidden => format!(
                "check that the OPEN and CLOSE relays drop out (a welded contact drives the \
                 boom by itself), that the balance spring is whole and nobody lifts the boom, \
                 {then}"
            ),
            Self::SelfTestFailed { line } => format!(
                "check the wiring of {line}, its detector and its test input: it did not react \
                 when tested and would not see a car, {then}"
            ),
            Self::Input {
                line: Line::GuardButton,
                ..
            } => "check the guard's button and its wiring; this clears by itself".to_owned(),
            Self::Input {
                line,
                fault: LineFault::Stuck,
            } => format!("check what keeps {line} active (a parked car, the detector), {then}"),
            Self::Input {
                line,
                fault: LineFault::Chatter,
            } => format!("check the wiring of {line} for a loose contact or noise, {then}"),
            Self::Input {
                line,
                fault: LineFault::Missing,
            } => format!("check that the board which reads {line} is connected, {then}"),
        }
    }
}

/// What the barrier tells the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BarrierEvent {
    /// The boom's reported position changed.
    PositionChanged {
        /// Before.
        from: Position,
        /// Now.
        to: Position,
    },
    /// An opening waits in line.
    OpeningWaits {
        /// Which.
        cause: CauseId,
        /// How many wait, this one included.
        waiting: usize,
    },
    /// A pulse was ordered.
    OpeningStarted {
        /// Why.
        cause: CauseId,
        /// Who.
        origin: Origin,
    },
    /// A requested opening was not and will not be started.
    OpeningRefused {
        /// Which.
        cause: CauseId,
        /// Who asked.
        origin: Origin,
        /// Why not.
        reason: Refusal,
    },
    /// A started opening did not energise the relay, or the port failed during it.
    OpeningFailed {
        /// Which.
        cause: CauseId,
        /// The relay guard's words.
        reason: String,
    },
    /// The relay is energised.
    Energised {
        /// For which opening.
        cause: CauseId,
        /// The relay guard's stamp.
        at: Monotonic,
    },
    /// The relay is released; the opening has ended.
    Released {
        /// Which opening.
        cause: CauseId,
        /// The relay guard's stamp, or when a new relay guard took over.
        at: Monotonic,
    },
    /// A debounced input became known or changed.
    LineChanged {
        /// Which.
        line: Line,
        /// Its level.
        active: bool,
        /// When.
        at: Monotonic,
    },
    /// The boom is held open until the hold is ended or reaches its cap.
    HoldStarted {
        /// Why.
        cause: CauseId,
        /// Who.
        origin: Origin,
    },
    /// The boom is no longer held open.
    HoldEnded {
        /// Whether it reached its cap.
        capped: bool,
    },
    /// More vehicles went under the open boom than openings were given.
    Tailgated {
        /// When the one too many came.
        at: Monotonic,
    },
    /// A fault was latched; see [`Fault::cure`].
    FaultLatched {
        /// Which.
        fault: Fault,
    },
    /// A fault was cleared on site.
    FaultCleared {
        /// Which.
        fault: Fault,
    },
    /// Nothing holds the relay's port; openings are refused until it is back.
    RelayGuardLost {
        /// What is known about it.
        reason: String,
    },
    /// The relay's port is held, with everything inactive.
    RelayGuardReady,
    /// The barrier's thread panicked and began anew, remembering nothing.
    ThreadRestarted {
        /// The panic's words.
        reason: String,
    },
}
