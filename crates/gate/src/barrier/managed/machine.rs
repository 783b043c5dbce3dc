//! The rules of the managed profile.

use std::mem;
use std::time::Duration;

use domain::Words;

use super::motor::{Goal, Motor};
use super::presence::{Presences, TestStep};
use super::{Action, Actions, Input, ManagedProfile, Output, Withheld};
use crate::barrier::waiting::{Waiting, WaitingLine};
use crate::barrier::{BarrierEvent, CLEAR_HOLD, Fault, Origin, Position, Refusal, WAITING_MAX};
use crate::cause::{CauseId, RecentCauses};
use crate::line::{Line, LineFault};
use crate::mutation::guard;
use crate::time::Monotonic;
use crate::wiring::WiringError;

/// After this long without an energised direction the boom stands still.
const COAST: Duration = Duration::from_secs(1);
/// How long the motor rests after an overrun before a fire drives it again.
const FIRE_REST: Duration = Duration::from_secs(5);

/// An input that may be wired, and its level once known.
#[derive(Debug, Clone, Copy)]
struct Wired {
    wired: bool,
    level: Option<bool>,
}

impl Wired {
    fn is(self, active: bool) -> bool {
        self.level == Some(active)
    }

    fn unknown(self) -> bool {
        self.wired && self.level.is_none()
    }
}

/// What the boom is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Stay where it is. Only a fresh cause ends this.
    Resting,
    /// Go up and stay up; since when it has waited there for its vehicle.
    Up { waits: Option<Monotonic> },
    /// Come down.
    Down,
}

/// The boom is held open.
#[derive(Debug, Clone, Copy)]
struct Held {
    until: Monotonic,
}

/// One boom that Menshen drives. See the [module](super).
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ManagedBarrier {
    profile: ManagedProfile,
    started: Monotonic,
    stop: Wired,
    fire: Wired,
    button: Wired,
    opened: Wired,
    closed: Wired,
    presences: Presences,
    waiting: WaitingLine,
    newest: Option<CauseId>,
    known: RecentCauses,
    own_causes: u64,
    motor: Motor,
    phase: Phase,
    /// The opening whose boom is not up yet.
    current: Option<CauseId>,
    /// Vehicles that may still pass by the openings given.
    credit: usize,
    /// Somebody is under the boom.
    under: bool,
    /// The vehicle of the last opening has passed.
    served: bool,
    held: Option<Held>,
    fire_disarmed: bool,
    fire_rests_until: Monotonic,
    guard_ready: bool,
    blocked_since: Option<Monotonic>,
    pressed: Option<Monotonic>,
    /// When the inputs were last looked at.
    looked: Monotonic,
    /// In this step they are, and were all the time before: what lasts has lasted.
    looks: bool,
    stopped: bool,
    faults: Vec<Fault>,
    /// Faults of inputs that last, and so cannot be cleared.
    lasting: Vec<Fault>,
    position: Position,
    ending: bool,
}

impl ManagedBarrier {
    /// A barrier that Menshen drives itself: experimental, so the name says it. It has done
    /// nothing, knows no level, and waits for its relay guard.
    ///
    /// # Errors
    /// [`WiringError`] for a time out of bounds, and unless both limits, a guard's button (the
    /// place where faults are cleared) and a presence input are among the `wired` lines.
    pub fn experimental(
        profile: ManagedProfile,
        wired: &[Line],
        now: Monotonic,
    ) -> Result<Self, WiringError> {
        profile.check()?;
        for needed in [Line::OpenedLimit, Line::ClosedLimit, Line::GuardButton] {
            if !wired.contains(&needed) {
                return Err(WiringError::new(
                    &format!("inputs.{needed}"),
                    Words::new(
                        "没有接；profile = \"managed\" 必须有它",
                        "is missing; profile \"managed\" needs it",
                    ),
                    Words::new(
                        "接上它，或改用 profile = \"pulse\"",
                        "wire it, or use profile \"pulse\"",
                    ),
                ));
            }
        }
        let presence = |line: &&Line| matches!(line, Line::SafetyLoop | Line::LightBeam);
        if !wired.iter().any(|line| presence(&line)) {
            return Err(WiringError::new(
                "inputs.safety_loop",
                Words::new(
                    "没有接，inputs.light_beam 也没有；profile = \"managed\" 只听它们的才落杆",
                    "is missing, and so is inputs.light_beam; profile \"managed\" closes on \
                     nobody's word but theirs",
                ),
                Words::new(
                    "至少接上其中一个，最好两个都接，或改用 profile = \"pulse\"",
                    "wire one of them, better both, or use profile \"pulse\"",
                ),
            ));
        }
        let line = |line: &Line| Wired {
            wired: wired.contains(line),
            level: None,
        };
        Ok(Self {
            profile,
            started: now,
            stop: line(&Line::Stop),
            fire: line(&Line::Fire),
            button: line(&Line::GuardButton),
            opened: line(&Line::OpenedLimit),
            closed: line(&Line::ClosedLimit),
            presences: Presences::new(wired.iter().filter(presence).cloned()),
            waiting: WaitingLine::default(),
            newest: None,
            known: RecentCauses::default(),
            own_causes: 0,
            motor: Motor::new(now),
            phase: Phase::Resting,
            current: None,
            credit: 0,
            under: false,
            served: false,
            held: None,
            fire_disarmed: false,
            fire_rests_until: now,
            guard_ready: false,
            blocked_since: Some(now),
            pressed: None,
            looked: now,
            looks: false,
            stopped: false,
            faults: Vec::new(),
            lasting: Vec::new(),
            position: Position::Unknown,
            ending: false,
        })
    }

    /// The boom's position as last reported.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The faults that are latched now.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Takes one input and says what to do.
    pub fn step(&mut self, now: Monotonic, input: Input) -> Actions {
        let mut out = Actions::new();
        // The time passed before the input came: a hold that comes as the motor reaches its
        // bound finds the fault latched.
        self.watch_run(now, &mut out);
        self.looks = false;
        self.take(now, input, &mut out);
        let blocked = !self.guard_ready || self.stop.unknown();
        self.blocked_since = blocked.then(|| self.blocked_since.unwrap_or(now));
        self.watch_block(now, &mut out);
        self.watch_limits(now, &mut out);
        self.watch_hold(now, &mut out);
        self.watch_fire(now, &mut out);
        self.expire(now, &mut out);
        self.dispatch(now, &mut out);
        self.run_test(now, &mut out);
        self.come_down(now, &mut out);
        let goal = self.goal(now);
        let dead_time = self.profile.dead_time;
        self.motor.pursue(now, goal, dead_time, &mut out);
        self.report_waiting(&mut out);
        self.report_position(&mut out);
        out
    }

    /// Why the boom does not come down now; `None` if it may.
    pub fn withheld(&self, now: Monotonic) -> Option<Withheld> {
        let Phase::Up { waits: Some(waits) } = self.phase else {
            return Some(Withheld::NotUp);
        };
        let hold_over = now.since(waits) >= self.profile.hold;
        let found = [
            (
                !guard!(FireHolds => !self.fire_holds()),
                Withheld::FireHolds,
            ),
            (self.held.is_some(), Withheld::Held),
            (!self.waiting.is_empty(), Withheld::OpeningWaits),
            (self.presences.occupied(), Withheld::Occupied),
            (!self.presences.healthy(), Withheld::Unhealthy),
            (
                !self.presences.fresh(now, self.profile.freshness),
                Withheld::Stale,
            ),
            (self.closing_forbidden(), Withheld::FaultLatched),
            (
                !self.presences.clear_for(now, self.profile.clearance),
                Withheld::Clearance,
            ),
            (!self.presences.proven(), Withheld::Unproven),
            (!self.presences.tested(), Withheld::Untested),
            (!self.served && !hold_over, Withheld::ForTheVehicle),
        ];
        found.iter().find(|(holds, _)| *holds).map(|(_, why)| *why)
    }

    fn take(&mut self, now: Monotonic, input: Input, out: &mut Actions) {
        match input {
            Input::Tick => self.look(now, out),
            Input::OpenRequest {
                cause,
                origin,
                asked,
            } => self.request(now, cause, origin, asked, out),
            Input::Hold {
                cause,
                origin,
                asked,
            } => self.hold(now, cause, origin, asked, out),
            Input::EndHold => self.end_hold(now, false, out),
            Input::InputsRead { silent } => {
                let within = self.profile.freshness;
                self.presences.were_read(now, within, &silent);
                self.look(now, out);
            }
            Input::LineChanged { line, active, at } => {
                self.line_changed(now, &line, active, at, out);
            }
            Input::LineHealth {
                line,
                fault,
                faulty,
            } => self.line_health(line, fault, faulty, out),
            Input::PortFailed { reason } => {
                self.fail_current(&reason, out);
                self.latch(now, Fault::RelayNotReleased, out);
            }
            Input::RelayGuardLost { reason } => {
                self.guard_ready = false;
                self.forget();
                self.rest(now, out);
                self.fail_current("the relay guard was lost before the boom was up", out);
                report(out, BarrierEvent::RelayGuardLost { reason });
            }
            Input::RelayGuardReady => {
                self.guard_ready = true;
                self.forget();
                self.motor.all_released(now);
                report(out, BarrierEvent::RelayGuardReady);
            }
            Input::Shutdown => {
                self.ending = true;
                self.rest(now, out);
                self.refuse_waiting(Refusal::ShuttingDown, out);
                for output in [Output::Open, Output::Close, Output::Stop, Output::Test] {
                    out.push(Action::Set {
                        output,
                        energised: false,
                    });
                }
            }
        }
    }

    /// Nothing that was seen before counts any more.
    fn forget(&mut self) {
        // There was no fire when it was last seen: one that is found later is fresh, unless STOP
        // is found too.
        self.fire_disarmed &= !self.fire.is(false);
        for wired in [
            &mut self.stop,
            &mut self.fire,
            &mut self.button,
            &mut self.opened,
            &mut self.closed,
        ] {
            wired.level = None;
        }
        self.pressed = None;
        self.under = false;
        self.presences.distrust();
    }

    fn stop_active(&self) -> bool {
        !guard!(StopReleases => !self.stop.is(true))
    }

    fn fire_holds(&self) -> bool {
        self.fire.is(true) && guard!(StopStays => !self.fire_disarmed)
    }

    fn limits_contradict(&self) -> bool {
        self.opened.is(true) && self.closed.is(true)
    }

    /// Whether a latched fault forbids every movement but fire's.
    fn moving_forbidden(&self) -> bool {
        let forbids = |fault: &Fault| fault.blocks() || *fault == Fault::LimitsContradict;
        !guard!(FaultBlocks => !self.faults.iter().any(forbids))
    }

    /// Whether a latched fault forbids coming down.
    fn closing_forbidden(&self) -> bool {
        self.faults.iter().any(|fault| match fault {
            Fault::Input { line, .. } => {
                (self.presences.has(line) && guard!(Healthy))
                    || matches!(line, Line::OpenedLimit | Line::ClosedLimit)
            }
            _ => true,
        })
    }

    fn own_cause(&mut self, what: &'static str) -> CauseId {
        self.own_causes += 1;
        CauseId::of_barrier(what, self.started.nanos(), self.own_causes)
    }

    fn refusal(&self, now: Monotonic, cause: &CauseId, asked: Monotonic) -> Option<Refusal> {
        let taken = self.known.knows(cause) || self.waiting.holds(cause);
        if !guard!(CauseOnce => !taken) {
            Some(Refusal::Duplicate)
        } else if self.ending {
            Some(Refusal::ShuttingDown)
        } else if self.stop_active() {
            Some(Refusal::StopActive)
        } else if self.moving_forbidden() {
            Some(Refusal::FaultLatched)
        } else if self.fire_holds() {
            Some(Refusal::FireHoldsOpen)
        } else if !guard!(Freshness => now.since(asked) <= self.profile.freshness) {
            Some(Refusal::Stale)
        } else {
            None
        }
    }

    fn request(
        &mut self,
        now: Monotonic,
        cause: CauseId,
        origin: Origin,
        asked: Monotonic,
        out: &mut Actions,
    ) {
        let since = now;
        let opening = Waiting {
            cause,
            origin,
            since,
        };
        if let Some(reason) = self.refusal(now, &opening.cause, asked) {
            report(out, opening.refused(reason));
            return;
        }
        self.newest = Some(opening.cause.clone());
        if let Some(refused) = self.waiting.take_in(opening) {
            report(out, refused);
        }
    }

    fn hold(
        &mut self,
        now: Monotonic,
        cause: CauseId,
        origin: Origin,
        asked: Monotonic,
        out: &mut Actions,
    ) {
        let since = now;
        let opening = Waiting {
            cause,
            origin,
            since,
        };
        let person = matches!(origin, Origin::Guard | Origin::Command | Origin::Schedule);
        let refusal = if !person {
            Some(Refusal::NotForHolding)
        } else if self.blocked_since.is_some() {
            Some(Refusal::RelayGuardLost)
        } else {
            self.refusal(now, &opening.cause, asked)
        };
        if let Some(reason) = refusal {
            report(out, opening.refused(reason));
            return;
        }
        let cause = opening.cause.clone();
        self.grant(now, opening, out);
        self.held = Some(Held {
            until: now + self.profile.hold_cap,
        });
        report(out, BarrierEvent::HoldStarted { cause, origin });
    }

    fn end_hold(&mut self, now: Monotonic, capped: bool, out: &mut Actions) {
        if self.held.take().is_some() {
            if let Phase::Up { waits } = &mut self.phase {
                *waits = waits.map(|_| now);
            }
            report(out, BarrierEvent::HoldEnded { capped });
        }
    }

    fn line_changed(
        &mut self,
        now: Monotonic,
        line: &Line,
        active: bool,
        at: Monotonic,
        out: &mut Actions,
    ) {
        let wired = match line {
            Line::Stop => Some(&mut self.stop),
            Line::Fire => Some(&mut self.fire),
            Line::GuardButton => Some(&mut self.button),
            Line::OpenedLimit => Some(&mut self.opened),
            Line::ClosedLimit => Some(&mut self.closed),
            Line::ArrivalLoop(_) | Line::SafetyLoop | Line::LightBeam => None,
        };
        let before = wired.and_then(|wired| wired.level.replace(active));
        let line = line.clone();
        report(
            out,
            BarrierEvent::LineChanged {
                line: line.clone(),
                active,
                at,
            },
        );
        match line {
            Line::Stop if self.stop_active() => {
                self.fire_disarmed = true;
                self.stopped = true;
                self.refuse_waiting(Refusal::StopActive, out);
                guard!(StopStays else { return; });
                self.rest(now, out);
            }
            // A fire that begins after STOP ended is fresh; one that was there is not.
            Line::Stop => self.fire_disarmed &= !self.fire.is(false),
            Line::Fire if !active => self.fire_disarmed = self.stop.is(true),
            // Only a change that was seen is a press: a button found pressed is not.
            Line::GuardButton if active && before == Some(false) => {
                self.pressed = Some(at);
                let cause = self.own_cause("guard-button");
                self.request(now, cause, Origin::Guard, at, out);
            }
            Line::GuardButton if !active => self.pressed = None,
            Line::OpenedLimit | Line::ClosedLimit
                if before == Some(!active)
                    && !guard!(Unbidden => self.motor.still_for(now) < COAST) =>
            {
                self.latch(now, Fault::MovedUnbidden, out);
            }
            Line::SafetyLoop | Line::LightBeam => {
                self.presences.changed(now, &line, active, at);
                self.watch_passing(now, out);
            }
            _ => {}
        }
    }

    /// Counts who goes under the open boom.
    fn watch_passing(&mut self, now: Monotonic, out: &mut Actions) {
        if self.presences.active() {
            let enters = !mem::replace(&mut self.under, true);
            let up = matches!(self.phase, Phase::Up { .. });
            if !enters || !up || self.fire_holds() || self.held.is_some() {
                return;
            }
            if guard!(Tailgating => self.credit > 0) {
                self.credit = self.credit.saturating_sub(1);
            } else {
                report(out, BarrierEvent::Tailgated { at: now });
            }
        } else if !self.presences.occupied() && mem::take(&mut self.under) {
            self.served = true;
        }
    }

    fn line_health(&mut self, line: Line, fault: LineFault, faulty: bool, out: &mut Actions) {
        self.presences.health(&line, fault, faulty);
        if faulty && fault == LineFault::Missing {
            match line {
                Line::Stop => self.stop.level = None,
                Line::Fire => self.fire.level = None,
                Line::GuardButton => self.button.level = None,
                Line::OpenedLimit => self.opened.level = None,
                Line::ClosedLimit => self.closed.level = None,
                Line::ArrivalLoop(_) | Line::SafetyLoop | Line::LightBeam => {}
            }
        }
        // Without a working button nobody could clear it on site.
        let by_itself = line == Line::GuardButton;
        let fault = Fault::Input { line, fault };
        self.lasting.retain(|known| *known != fault);
        if faulty {
            self.lasting.push(fault.clone());
            self.note(fault, out);
        } else if by_itself {
            self.clear(|latched| *latched == fault, out);
        }
    }

    /// The boom stays where it is until a fresh cause moves it.
    fn rest(&mut self, now: Monotonic, out: &mut Actions) {
        self.phase = Phase::Resting;
        self.credit = 0;
        self.served = false;
        self.end_hold(now, false, out);
    }

    fn note(&mut self, fault: Fault, out: &mut Actions) {
        if !self.faults.contains(&fault) {
            // Whoever holds the button now did not know of it.
            self.pressed = None;
            self.faults.push(fault.clone());
            report(out, BarrierEvent::FaultLatched { fault });
        }
    }

    /// Latches a fault that forbids moving.
    fn latch(&mut self, now: Monotonic, fault: Fault, out: &mut Actions) {
        let known = self.faults.contains(&fault);
        self.note(fault, out);
        if !known {
            self.refuse_waiting(Refusal::FaultLatched, out);
            self.fail_current("a fault was latched before the boom was up", out);
            self.rest(now, out);
        }
    }

    fn clear(&mut self, which: impl Fn(&Fault) -> bool, out: &mut Actions) {
        self.faults.retain(|fault| {
            let cleared = which(fault);
            if cleared {
                let fault = fault.clone();
                report(out, BarrierEvent::FaultCleared { fault });
            }
            !cleared
        });
    }

    fn refuse_waiting(&mut self, reason: Refusal, out: &mut Actions) {
        let refused = self.waiting.refuse_all(reason);
        out.extend(refused.into_iter().map(Action::Report));
    }

    fn fail_current(&mut self, reason: &str, out: &mut Actions) {
        if let Some(cause) = self.current.take() {
            let reason = reason.to_owned();
            report(out, BarrierEvent::OpeningFailed { cause, reason });
        }
    }

    /// What was going on does not go on by itself when the relay guard or a known STOP comes
    /// back: no closing at all, and no opening after the freshness.
    fn watch_block(&mut self, now: Monotonic, out: &mut Actions) {
        let Some(since) = self.blocked_since else {
            return;
        };
        let old = now.since(since) >= self.profile.freshness;
        if self.phase == Phase::Down || (old && self.phase != Phase::Resting) {
            self.fail_current("the relay guard or STOP was not known for too long", out);
            self.rest(now, out);
        }
    }

    fn watch_limits(&mut self, now: Monotonic, out: &mut Actions) {
        if !guard!(LimitsContradict => !self.limits_contradict()) {
            self.latch(now, Fault::LimitsContradict, out);
        }
        match &mut self.phase {
            Phase::Up { waits } if self.opened.is(true) => {
                waits.get_or_insert(now);
                self.current = None;
            }
            Phase::Down if self.closed.is(true) => self.rest(now, out),
            Phase::Up { .. } | Phase::Down | Phase::Resting => {}
        }
    }

    fn watch_run(&mut self, now: Monotonic, out: &mut Actions) {
        let Some(ran) = self.motor.runs_for(now) else {
            return;
        };
        if !guard!(RunBound => ran < self.profile.run_max) {
            let closing = self.motor.drives(Output::Close);
            self.fire_rests_until = now + FIRE_REST;
            self.latch(now, Fault::MotorOverrun { closing }, out);
        }
    }

    /// All that was seen until now has been heard, unless nobody listened since the last look.
    fn look(&mut self, now: Monotonic, out: &mut Actions) {
        let before = mem::replace(&mut self.looked, now);
        self.looks = now.since(before) <= self.profile.freshness;
        if !self.looks {
            self.pressed = None;
        }
        let held = self.pressed.is_some_and(|at| now.since(at) >= CLEAR_HOLD);
        if guard!(ClearedOnSite => held) {
            self.pressed = None;
            let contradict = self.limits_contradict();
            let lasting = mem::take(&mut self.lasting);
            let stays = |fault: &Fault| {
                lasting.contains(fault) || (contradict && *fault == Fault::LimitsContradict)
            };
            self.clear(|fault| !stays(fault), out);
            self.lasting = lasting;
        }
    }

    fn watch_hold(&mut self, now: Monotonic, out: &mut Actions) {
        let over = |held: Held| !guard!(HoldCap => now < held.until);
        if self.held.is_some_and(over) {
            self.end_hold(now, true, out);
        }
    }

    fn may_move(&self) -> bool {
        !self.ending && self.blocked_since.is_none() && !self.stop_active()
    }

    fn watch_fire(&mut self, now: Monotonic, out: &mut Actions) {
        if !self.may_move() || guard!(FireOpens => !self.fire_holds()) {
            return;
        }
        self.refuse_waiting(Refusal::FireHoldsOpen, out);
        if !matches!(self.phase, Phase::Up { .. }) {
            let cause = self.own_cause("fire");
            let opening = Waiting {
                cause,
                origin: Origin::Fire,
                since: now,
            };
            self.grant(now, opening, out);
        }
    }

    /// Nothing that has become too old moves the boom.
    fn expire(&mut self, now: Monotonic, out: &mut Actions) {
        let patience = (self.profile.hold + self.profile.clearance) * (WAITING_MAX as u32 + 1)
            + self.profile.freshness;
        let (blocked, freshness) = (self.blocked_since, self.profile.freshness);
        let refused = self.waiting.expire(|waiting| {
            if blocked.is_some_and(|at| now.since(at.max(waiting.since)) >= freshness) {
                Some(Refusal::RelayGuardLost)
            } else if now.since(waiting.since) >= patience {
                Some(Refusal::Stale)
            } else {
                None
            }
        });
        out.extend(refused.into_iter().map(Action::Report));
    }

    /// A waiting opening has its turn when the one before has been used, or was not in time.
    /// The guard's need not wait for that.
    fn dispatch(&mut self, now: Monotonic, out: &mut Actions) {
        while self.may_move() && !self.moving_forbidden() {
            let used = match self.phase {
                Phase::Up { waits } => {
                    let timed_out = waits.is_some_and(|at| now.since(at) >= self.profile.hold);
                    (self.served || timed_out) && !self.presences.active()
                }
                Phase::Down | Phase::Resting => true,
            };
            let person = |w: &Waiting| matches!(w.origin, Origin::Guard | Origin::Command);
            let turn = self.waiting.next().is_some_and(|w| used || person(w));
            let Some(opening) = turn.then(|| self.waiting.take_next()).flatten() else {
                return;
            };
            self.grant(now, opening, out);
        }
    }

    fn grant(&mut self, now: Monotonic, opening: Waiting, out: &mut Actions) {
        let Waiting { cause, origin, .. } = opening;
        self.known.remember(&cause);
        if !matches!(self.phase, Phase::Up { .. }) {
            self.presences.begin_cycle();
            self.credit = 0;
        }
        let up = self.opened.is(true);
        self.phase = Phase::Up {
            waits: up.then_some(now),
        };
        self.current = (!up).then(|| cause.clone());
        self.served = false;
        self.stopped = false;
        self.fire_disarmed = false;
        if !matches!(origin, Origin::Presence | Origin::Fire) {
            self.credit = (self.credit + 1).min(WAITING_MAX + 1);
        }
        report(out, BarrierEvent::OpeningStarted { cause, origin });
    }

    fn run_test(&mut self, now: Monotonic, out: &mut Actions) {
        let up = matches!(self.phase, Phase::Up { .. });
        let due = up && self.may_move() && !self.closing_forbidden();
        let set = |energised| Action::Set {
            output: Output::Test,
            energised,
        };
        let within = self.profile.test_within;
        match self.presences.test(now, within, due, self.looks) {
            TestStep::Nothing => {}
            TestStep::Apply => out.push(set(true)),
            TestStep::Release(silent) => {
                out.push(set(false));
                for line in silent {
                    guard!(TestFails else { continue; });
                    self.note(Fault::SelfTestFailed { line }, out);
                }
            }
        }
        // A vehicle may have come during the test.
        self.watch_passing(now, out);
    }

    /// Begins to close where nothing withholds it, and breaks off where it is not clear.
    fn come_down(&mut self, now: Monotonic, out: &mut Actions) {
        match self.phase {
            Phase::Up { .. } if self.may_move() && self.withheld(now).is_none() => {
                self.phase = Phase::Down;
            }
            Phase::Down => {
                let clear = !self.presences.occupied()
                    && self.presences.healthy()
                    && self.presences.fresh(now, self.profile.freshness);
                if guard!(PresenceStops => clear) {
                    return;
                }
                self.phase = Phase::Resting;
                guard!(PresenceReopens else { return; });
                let cause = self.own_cause("presence");
                let opening = Waiting {
                    cause,
                    origin: Origin::Presence,
                    since: now,
                };
                self.grant(now, opening, out);
            }
            Phase::Up { .. } | Phase::Resting => {}
        }
    }

    fn goal(&self, now: Monotonic) -> Goal {
        if self.ending || self.blocked_since.is_some() {
            return Goal::Rest;
        }
        if self.stop_active() {
            return Goal::Brake;
        }
        let fire = self.fire_holds();
        if self.moving_forbidden() && !fire {
            return Goal::Brake;
        }
        match self.phase {
            Phase::Up { .. } if fire && now < self.fire_rests_until => Goal::Rest,
            Phase::Up { .. } if self.opened.is(true) && !self.limits_contradict() => Goal::Rest,
            Phase::Up { .. } => Goal::Open,
            Phase::Down => Goal::Close,
            Phase::Resting => Goal::Rest,
        }
    }

    /// Says of a request that did not start in the step that took it in that it waits.
    fn report_waiting(&mut self, out: &mut Actions) {
        if let Some(cause) = self.newest.take()
            && self.waiting.holds(&cause)
        {
            let waiting = self.waiting.len();
            report(out, BarrierEvent::OpeningWaits { cause, waiting });
        }
    }

    fn seen_position(&self) -> Position {
        if self.stop.is(true) {
            Position::Stopped
        } else if self.moving_forbidden() {
            Position::Fault
        } else if self.opened.is(true) {
            Position::Open
        } else if self.closed.is(true) {
            Position::Closed
        } else if self.motor.drives(Output::Open) {
            Position::Opening
        } else if self.motor.drives(Output::Close) {
            Position::Closing
        } else if self.stopped {
            Position::Stopped
        } else {
            Position::Unknown
        }
    }

    fn report_position(&mut self, out: &mut Actions) {
        let to = self.seen_position();
        if to != self.position {
            let from = mem::replace(&mut self.position, to);
            report(out, BarrierEvent::PositionChanged { from, to });
        }
    }
}

fn report(out: &mut Actions, event: BarrierEvent) {
    out.push(Action::Report(event));
}
