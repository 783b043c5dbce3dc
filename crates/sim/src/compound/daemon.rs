//! What the daemon does for one gate: the real barrier, debouncers and lane, and between them
//! the little that `menshen run` does in its threads.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use access::passage::{self, Lane, Now};
use access::policy::{self, Margins, PolicyInput};
use access::registry::RegistryView;
use domain::{Direction, Event, Name, PassageId, Sighting, Verdict};
use gate::barrier::managed::{self, ManagedBarrier};
use gate::barrier::{self, Barrier, BarrierEvent, Fault, Origin, RelayReport};
use gate::line::{Debouncer, Line, LineFault, LineNotice};
use gate::{CauseId, Monotonic};
use jiff::Timestamp;
use uuid::Uuid;

use super::books::Sabotage;
use super::traffic::Town;

/// The barrier in one of its profiles.
#[derive(Debug)]
pub(super) enum Machine {
    Pulse(Barrier),
    Managed(ManagedBarrier),
}

/// What happens to a barrier of either profile.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Tick {
        /// The inputs were read, but for these.
        read: Option<Vec<Line>>,
    },
    Request {
        cause: CauseId,
        origin: Origin,
        asked: u64,
    },
    Hold {
        cause: CauseId,
        asked: u64,
    },
    EndHold,
    Level(Line, bool, u64),
    Health(Line, LineFault, bool),
    Relay(RelayReport),
    PortFailed,
    GuardLost,
    GuardReady,
    Shutdown,
}

/// What a barrier of either profile wants done.
#[derive(Debug)]
pub(super) enum Action {
    Pulse(barrier::Action),
    Set {
        output: managed::Output,
        energised: bool,
    },
    Report(BarrierEvent),
}

/// Monotonic time of `gate`.
pub(super) fn at(now: u64) -> Monotonic {
    Monotonic::from_millis(now)
}

impl Machine {
    pub(super) fn faults(&self) -> &[Fault] {
        match self {
            Self::Pulse(barrier) => barrier.faults(),
            Self::Managed(barrier) => barrier.faults(),
        }
    }

    pub(super) fn step(&mut self, now: u64, input: Input) -> Vec<Action> {
        match self {
            Self::Pulse(barrier) => {
                let Some(input) = pulse_input(input) else {
                    return Vec::new();
                };
                let actions = barrier.step(at(now), input).into_iter();
                actions
                    .map(|action| match action {
                        barrier::Action::Report(event) => Action::Report(event),
                        order => Action::Pulse(order),
                    })
                    .collect()
            }
            Self::Managed(barrier) => {
                let Some(input) = managed_input(input) else {
                    return Vec::new();
                };
                let actions = barrier.step(at(now), input).into_iter();
                actions
                    .map(|action| match action {
                        managed::Action::Report(event) => Action::Report(event),
                        managed::Action::Set { output, energised } => {
                            Action::Set { output, energised }
                        }
                    })
                    .collect()
            }
        }
    }
}

fn lost() -> String {
    "killed".to_owned()
}

fn pulse_input(input: Input) -> Option<barrier::Input> {
    Some(match input {
        Input::Tick { .. } => barrier::Input::Tick,
        Input::Request {
            cause,
            origin,
            asked,
        } => barrier::Input::OpenRequest {
            cause,
            origin,
            asked: at(asked),
        },
        Input::Level(line, active, seen) => barrier::Input::LineChanged {
            line,
            active,
            at: at(seen),
        },
        Input::Health(line, fault, faulty) => barrier::Input::LineHealth {
            line,
            fault,
            faulty,
        },
        Input::Relay(report) => barrier::Input::Relay(report),
        Input::GuardLost => barrier::Input::RelayGuardLost { reason: lost() },
        Input::GuardReady => barrier::Input::RelayGuardReady,
        Input::Shutdown => barrier::Input::Shutdown,
        Input::Hold { .. } | Input::EndHold | Input::PortFailed => return None,
    })
}

fn managed_input(input: Input) -> Option<managed::Input> {
    Some(match input {
        Input::Tick { read: Some(silent) } => managed::Input::InputsRead { silent },
        Input::Tick { read: None } => managed::Input::Tick,
        Input::Request {
            cause,
            origin,
            asked,
        } => managed::Input::OpenRequest {
            cause,
            origin,
            asked: at(asked),
        },
        Input::Hold { cause, asked } => managed::Input::Hold {
            cause,
            origin: Origin::Schedule,
            asked: at(asked),
        },
        Input::EndHold => managed::Input::EndHold,
        Input::Level(line, active, seen) => managed::Input::LineChanged {
            line,
            active,
            at: at(seen),
        },
        Input::Health(line, fault, faulty) => managed::Input::LineHealth {
            line,
            fault,
            faulty,
        },
        Input::PortFailed => managed::Input::PortFailed { reason: lost() },
        Input::GuardLost => managed::Input::RelayGuardLost { reason: lost() },
        Input::GuardReady => managed::Input::RelayGuardReady,
        Input::Shutdown => managed::Input::Shutdown,
        Input::Relay(_) => return None,
    })
}

/// What a debouncer says, as the barrier's input.
pub(super) fn of_notice(line: &Line, notice: LineNotice, seen: u64) -> Input {
    match notice {
        LineNotice::Level(active) => Input::Level(line.clone(), active, seen),
        LineNotice::Faulty(fault) => Input::Health(line.clone(), fault, true),
        LineNotice::Healthy(fault) => Input::Health(line.clone(), fault, false),
    }
}

/// A decision that was made, to be found again: [`policy::decide`] is pure.
type Decided = (Sighting, bool, Option<Verdict>);

/// A lane's thread.
pub(super) struct LanePart {
    pub(super) lane: Lane,
    pub(super) name: Name,
    direction: Direction,
    margins: Margins,
    decided: RefCell<VecDeque<Decided>>,
    decided_with: u64,
    /// Passages by the cause of their opening.
    causes: HashMap<CauseId, PassageId>,
    answers: u32,
}

/// What a lane's step needs from around it.
pub(super) struct Around<'a> {
    pub(super) now: u64,
    pub(super) wall: Timestamp,
    pub(super) town: &'a Town,
    pub(super) registry: Option<&'a RegistryView>,
    pub(super) ids: &'a mut u128,
    /// When each passage began.
    pub(super) began: &'a mut HashMap<PassageId, u64>,
    pub(super) sabotage: Sabotage,
}

impl LanePart {
    pub(super) fn new(name: Name, direction: Direction) -> Self {
        let settings = passage::Settings {
            direction,
            trigger: passage::Trigger::Both,
            ask_for: std::time::Duration::from_secs(12),
            ..passage::Settings::new(name.clone())
        };
        Self {
            lane: Lane::new(settings),
            name,
            direction,
            margins: Margins::default(),
            decided: RefCell::new(VecDeque::new()),
            decided_with: 0,
            causes: HashMap::new(),
            answers: 0,
        }
    }

    pub(super) fn step(
        &mut self,
        around: &mut Around<'_>,
        input: passage::Input<'_>,
    ) -> Vec<passage::Action> {
        let version = around.registry.map_or(0, RegistryView::version);
        if self.decided_with != version {
            self.decided_with = version;
            self.decided.borrow_mut().clear();
        }
        let decide = |sighting: Option<&Sighting>, last_look: bool| -> Option<Verdict> {
            let known = sighting.and_then(|seen| {
                let decided = self.decided.borrow();
                let same = decided
                    .iter()
                    .find(|(s, last, _)| *last == last_look && s == seen);
                same.map(|(_, _, verdict)| verdict.clone())
            });
            if let Some(verdict) = known {
                return verdict;
            }
            let verdict = policy::decide(&PolicyInput {
                sighting,
                registry: around.registry,
                alphabet: &around.town.alphabet,
                direction: self.direction,
                today: Some(
                    around
                        .wall
                        .to_zoned_datetime(jiff::tz::TimeZone::UTC)
                        .date(),
                ),
                final_look: last_look,
                margins: &self.margins,
            });
            if let Some(seen) = sighting {
                let mut decided = self.decided.borrow_mut();
                decided.push_front((seen.clone(), last_look, verdict.clone()));
                decided.truncate(6);
            }
            match verdict {
                Some(mut verdict)
                    if around.sabotage == Sabotage::AdmitsUnjudged
                        && verdict.decision == domain::Decision::AskGuard =>
                {
                    verdict.decision = domain::Decision::Admit;
                    verdict.reason = domain::Reason::Registered;
                    Some(verdict)
                }
                verdict => verdict,
            }
        };
        let (ids, began, time) = (&mut *around.ids, &mut *around.began, around.now);
        let now = Now {
            monotonic: domain::Monotonic::from_millis(around.now),
            wall: around.wall,
        };
        self.lane.step(now, input, &decide, &mut || {
            *ids += 1;
            let id = PassageId(Uuid::from_u128(*ids));
            began.insert(id, time);
            id
        })
    }

    /// The cause of an opening that this lane wants, as `menshen run` names it.
    pub(super) fn cause(
        &mut self,
        id: PassageId,
        origin: passage::Origin,
    ) -> Option<(CauseId, Origin)> {
        let (text, origin) = match origin {
            passage::Origin::Verdict => (id.to_string(), Origin::Automatic),
            passage::Origin::Guard => {
                self.answers += 1;
                (format!("answer-{id}-{}", self.answers), Origin::Guard)
            }
        };
        let cause = CauseId::new(text).ok()?;
        self.causes.insert(cause.clone(), id);
        Some((cause, origin))
    }

    pub(super) fn passage_of(&self, cause: &CauseId) -> Option<PassageId> {
        self.causes.get(cause).copied()
    }

    pub(super) fn done_with(&mut self, cause: &CauseId) -> Option<PassageId> {
        self.causes.remove(cause)
    }
}

/// All that dies with the daemon, of one gate.
pub(super) struct Daemon {
    pub(super) machine: Machine,
    pub(super) debouncers: Vec<Debouncer>,
    pub(super) part: LanePart,
    /// What was recorded and not handed to the ledger yet.
    pub(super) records: Vec<Event>,
}
