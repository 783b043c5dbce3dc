//! The rules of the pulse profile.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use super::waiting::{Waiting, WaitingLine};
use super::{
    Action, Actions, BarrierEvent, CLEAR_HOLD, Fault, Input, Origin, PULSE_MAX, PULSE_MIN,
    Position, PulseProfile, Refusal, RelayReport, WAITING_MAX,
};
use crate::cause::{CauseId, RecentCauses};
use crate::line::{Line, LineFault};
use crate::mutation::guard;
use crate::time::Monotonic;

/// A pulse that was ordered and has not been reported ended.
#[derive(Debug)]
struct InFlight {
    cause: CauseId,
    energised: bool,
    deadline: Monotonic,
}

/// A boom that is held open.
#[derive(Debug)]
struct Held {
    /// Why; taken by the first pulse.
    cause: Option<CauseId>,
    origin: Origin,
    until: Monotonic,
    /// When it is pulsed next.
    next: Monotonic,
}

/// Whether a process holds the relay's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RelayGuard {
    Lost,
    Ready,
}

/// One boom. See the [module](super).
#[derive(Debug)]
pub struct Barrier {
    profile: PulseProfile,
    started: Monotonic,
    /// Every wired line; `None` until its level is known.
    lines: BTreeMap<Line, Option<bool>>,
    waiting: WaitingLine,
    /// The request taken into the line in this step.
    newest: Option<CauseId>,
    in_flight: Option<InFlight>,
    held: Option<Held>,
    /// What was pulsed for, or is held for.
    pulsed: RecentCauses,
    own_causes: u64,
    /// When the relay was last known to be released after a pulse.
    released: Option<Monotonic>,
    relay_guard: RelayGuard,
    /// Since when openings cannot be carried out for lack of a relay guard or a known STOP.
    blocked_since: Option<Monotonic>,
    stopped: bool,
    fire_disarmed: bool,
    next_fire: Monotonic,
    pressed: Option<Monotonic>,
    /// When the button was last looked at.
    looked: Monotonic,
    faults: Vec<Fault>,
    last_limit: Option<Line>,
    position: Position,
    ending: bool,
}

impl Barrier {
    /// A barrier that has done nothing, knows no level and waits for its relay guard.
    ///
    /// `wired` lists the inputs that exist: a wired STOP must be known before anything moves.
    /// The pulse is held within [`PULSE_MIN`] and [`PULSE_MAX`] whatever `profile` says.
    pub fn new(
        mut profile: PulseProfile,
        wired: impl IntoIterator<Item = Line>,
        now: Monotonic,
    ) -> Self {
        profile.pulse = profile.pulse.clamp(PULSE_MIN, PULSE_MAX);
        Self {
            profile,
            started: now,
            lines: wired.into_iter().map(|line| (line, None)).collect(),
            waiting: WaitingLine::default(),
            newest: None,
            in_flight: None,
            held: None,
            pulsed: RecentCauses::default(),
            own_causes: 0,
            released: None,
            relay_guard: RelayGuard::Lost,
            blocked_since: Some(now),
            stopped: false,
            fire_disarmed: false,
            next_fire: now,
            pressed: None,
            looked: now,
            faults: Vec::new(),
            last_limit: None,
            position: Position::Unknown,
            ending: false,
        }
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
        match input {
            Input::Tick => self.watch_button(now, &mut out),
            Input::OpenRequest {
                cause,
                origin,
                asked,
            } => self.request(now, cause, origin, asked, &mut out),
            Input::Hold {
                cause,
                origin,
                asked,
            } => self.hold(now, cause, origin, asked, &mut out),
            Input::EndHold => self.end_hold(false, &mut out),
            Input::LineChanged { line, active, at } => {
                self.line_changed(now, line, active, at, &mut out);
            }
            Input::LineHealth {
                line,
                fault,
                faulty,
            } => self.line_health(line, fault, faulty, &mut out),
            Input::Relay(report) => self.relay_reported(now, report, &mut out),
            Input::RelayGuardLost { reason } => {
                self.relay_guard = RelayGuard::Lost;
                self.pressed = None;
                // There was no fire when it was last seen: one that is found later is fresh,
                // unless STOP is found too.
                self.fire_disarmed &= self.level(&Line::Fire) != Some(false);
                for level in self.lines.values_mut() {
                    *level = None;
                }
                self.end_hold(false, &mut out);
                out.push(Action::Report(BarrierEvent::RelayGuardLost { reason }));
            }
            Input::RelayGuardReady => self.relay_guard_ready(now, &mut out),
            Input::Shutdown => {
                self.ending = true;
                out.push(Action::ReleaseAll);
                self.end_hold(false, &mut out);
                self.refuse_waiting(Refusal::ShuttingDown, &mut out);
            }
        }
        self.watch_block(now);
        self.watch_release(now, &mut out);
        self.watch_limits(&mut out);
        self.watch_hold(now, &mut out);
        self.expire(now, &mut out);
        self.dispatch(now, &mut out);
        self.report_waiting(&mut out);
        self.report_position(&mut out);
        out
    }

    fn level(&self, line: &Line) -> Option<bool> {
        self.lines.get(line).copied().flatten()
    }

    fn stop_active(&self) -> bool {
        self.level(&Line::Stop) == Some(true)
    }

    fn stop_unknown(&self) -> bool {
        matches!(self.lines.get(&Line::Stop), Some(None))
    }

    fn fire_holds(&self) -> bool {
        self.level(&Line::Fire) == Some(true) && guard!(StopStays => !self.fire_disarmed)
    }

    fn blocked_by_fault(&self) -> bool {
        !guard!(FaultBlocks => !self.faults.iter().any(Fault::blocks))
    }

    fn own_cause(&mut self, what: &'static str) -> CauseId {
        self.own_causes += 1;
        CauseId::of_barrier(what, self.started.nanos(), self.own_causes)
    }

    fn refusal(&self, now: Monotonic, cause: &CauseId, asked: Monotonic) -> Option<Refusal> {
        let taken = self.pulsed.knows(cause) || self.waiting.holds(cause);
        if !guard!(CauseOnce => !taken) {
            Some(Refusal::Duplicate)
        } else if self.ending {
            Some(Refusal::ShuttingDown)
        } else if self.stop_active() {
            Some(Refusal::StopActive)
        } else if self.blocked_by_fault() {
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
        if let Some(reason) = self.refusal(now, &cause, asked) {
            out.push(refused(cause, origin, reason));
            return;
        }
        self.newest = Some(cause.clone());
        let since = now;
        let opening = Waiting {
            cause,
            origin,
            since,
        };
        out.extend(self.waiting.take_in(opening).map(Action::Report));
    }

    fn hold(
        &mut self,
        now: Monotonic,
        cause: CauseId,
        origin: Origin,
        asked: Monotonic,
        out: &mut Actions,
    ) {
        let person = matches!(origin, Origin::Guard | Origin::Command | Origin::Schedule);
        let verdict = match self.profile.hold_cap {
            _ if !person => Err(Refusal::NotForHolding),
            None => Err(Refusal::CannotHold),
            Some(_) if self.blocked_since.is_some() => Err(Refusal::RelayGuardLost),
            Some(cap) => self.refusal(now, &cause, asked).map_or(Ok(cap), Err),
        };
        let cap = match verdict {
            Ok(cap) => cap,
            Err(reason) => {
                out.push(refused(cause, origin, reason));
                return;
            }
        };
        // Also if it ends before its first pulse: this cause has had its hold.
        self.pulsed.remember(&cause);
        self.held = Some(Held {
            cause: Some(cause.clone()),
            origin,
            until: now + cap,
            next: now,
        });
        out.push(Action::Report(BarrierEvent::HoldStarted { cause, origin }));
    }

    fn end_hold(&mut self, capped: bool, out: &mut Actions) {
        if self.held.take().is_some() {
            out.push(Action::Report(BarrierEvent::HoldEnded { capped }));
        }
    }

    fn watch_hold(&mut self, now: Monotonic, out: &mut Actions) {
        if self.blocked_by_fault() {
            self.end_hold(false, out);
        }
        let over = |held: &Held| !guard!(HoldCap => now < held.until);
        if self.held.as_ref().is_some_and(over) {
            self.end_hold(true, out);
        }
    }

    fn line_changed(
        &mut self,
        now: Monotonic,
        line: Line,
        active: bool,
        at: Monotonic,
        out: &mut Actions,
    ) {
        if !guard!(StopReleases => line != Line::Stop || !active) {
            out.push(Action::ReleaseAll);
        }
        let before = self.lines.insert(line.clone(), Some(active)).flatten();
        out.push(Action::Report(BarrierEvent::LineChanged {
            line: line.clone(),
            active,
            at,
        }));
        match line {
            Line::Stop if active => {
                self.stopped = true;
                self.fire_disarmed = true;
                self.end_hold(false, out);
                self.refuse_waiting(Refusal::StopActive, out);
            }
            Line::Stop => {
                // A fire that begins after STOP ended is fresh; one that was there is not.
                self.fire_disarmed &= self.level(&Line::Fire) != Some(false);
            }
            Line::Fire if active && before != Some(true) => self.next_fire = now,
            Line::Fire if !active => self.fire_disarmed = self.stop_active(),
            // Only a change that was seen is a press: a button found pressed is not.
            Line::GuardButton if active && before == Some(false) => {
                self.pressed = Some(at);
                let cause = self.own_cause("guard-button");
                self.request(now, cause, Origin::Guard, at, out);
            }
            Line::GuardButton if !active => self.pressed = None,
            Line::OpenedLimit | Line::ClosedLimit if active => self.last_limit = Some(line),
            _ => {}
        }
    }

    fn line_health(&mut self, line: Line, fault: LineFault, faulty: bool, out: &mut Actions) {
        // Without a working button nobody could clear it on site.
        let by_itself = line == Line::GuardButton || !self.lines.contains_key(&Line::GuardButton);
        let fault = Fault::Input { line, fault };
        if faulty {
            self.latch(fault, out);
        } else if by_itself {
            self.clear(|latched| *latched == fault, out);
        }
    }

    fn relay_reported(&mut self, now: Monotonic, report: RelayReport, out: &mut Actions) {
        let current = |flight: &Option<InFlight>, cause: &CauseId| {
            flight.as_ref().is_some_and(|f| f.cause == *cause)
        };
        match report {
            RelayReport::Energised { cause, at } => {
                if let Some(flight) = self.in_flight.as_mut().filter(|f| f.cause == cause) {
                    flight.energised = true;
                }
                out.push(Action::Report(BarrierEvent::Energised { cause, at }));
            }
            RelayReport::Released { cause, at } => {
                self.released = Some(now);
                if let Some(cause) = cause {
                    if current(&self.in_flight, &cause) {
                        self.in_flight = None;
                    }
                    out.push(Action::Report(BarrierEvent::Released { cause, at }));
                }
            }
            RelayReport::Refused { cause, reason } => {
                if current(&self.in_flight, &cause) {
                    self.in_flight = None;
                    self.retry_fire(now);
                }
                out.push(Action::Report(BarrierEvent::OpeningFailed {
                    cause,
                    reason,
                }));
            }
            RelayReport::Failed { cause, reason } => {
                // The relay may be energised: only a release report, a new relay guard or
                // the deadline ends this flight.
                self.retry_fire(now);
                out.push(Action::Report(BarrierEvent::OpeningFailed {
                    cause,
                    reason,
                }));
            }
        }
    }

    fn retry_fire(&mut self, now: Monotonic) {
        self.next_fire = self.next_fire.min(now + self.profile.freshness);
    }

    fn relay_guard_ready(&mut self, now: Monotonic, out: &mut Actions) {
        self.relay_guard = RelayGuard::Ready;
        out.push(Action::Report(BarrierEvent::RelayGuardReady));
        if self.in_flight.is_some() || self.blocked_by_fault() {
            // The relay may have been energised until this guard opened the port.
            self.released = Some(now);
        }
        if let Some(flight) = self.in_flight.take() {
            self.retry_fire(now);
            let cause = flight.cause;
            out.push(Action::Report(if flight.energised {
                BarrierEvent::Released { cause, at: now }
            } else {
                BarrierEvent::OpeningFailed {
                    cause,
                    reason: "the relay guard was lost before it confirmed the pulse".to_owned(),
                }
            }));
        }
    }

    fn refuse_waiting(&mut self, reason: Refusal, out: &mut Actions) {
        let refused = self.waiting.refuse_all(reason);
        out.extend(refused.into_iter().map(Action::Report));
    }

    fn latch(&mut self, fault: Fault, out: &mut Actions) {
        if !self.faults.contains(&fault) {
            // Whoever holds the button now did not know of it.
            self.pressed = None;
            self.faults.push(fault.clone());
            out.push(Action::Report(BarrierEvent::FaultLatched { fault }));
        }
    }

    fn clear(&mut self, which: impl Fn(&Fault) -> bool, out: &mut Actions) {
        self.faults.retain(|fault| {
            let cleared = which(fault);
            if cleared {
                let fault = fault.clone();
                out.push(Action::Report(BarrierEvent::FaultCleared { fault }));
            }
            !cleared
        });
    }

    fn watch_block(&mut self, now: Monotonic) {
        let blocked = self.relay_guard == RelayGuard::Lost || self.stop_unknown();
        self.blocked_since = blocked.then(|| self.blocked_since.unwrap_or(now));
    }

    /// A pulse whose end nobody confirmed. While the relay guard is lost its successor, which
    /// opens the port inactive, is waited for instead.
    fn watch_release(&mut self, now: Monotonic, out: &mut Actions) {
        let overdue = self.relay_guard == RelayGuard::Ready
            && self
                .in_flight
                .as_ref()
                .is_some_and(|flight| !guard!(NotReleased => now < flight.deadline));
        if overdue {
            self.in_flight = None;
            self.released = Some(now);
            out.push(Action::ReleaseAll);
            self.latch(Fault::RelayNotReleased, out);
            self.refuse_waiting(Refusal::FaultLatched, out);
        }
    }

    fn limits_contradict(&self) -> bool {
        self.level(&Line::OpenedLimit) == Some(true) && self.level(&Line::ClosedLimit) == Some(true)
    }

    fn watch_limits(&mut self, out: &mut Actions) {
        if !guard!(LimitsContradict => !self.limits_contradict()) {
            self.latch(Fault::LimitsContradict, out);
        } else if !self.lines.contains_key(&Line::GuardButton) {
            self.clear(|fault| *fault == Fault::LimitsContradict, out);
        }
    }

    /// Only when all that was seen until now has been heard, and while somebody looks: the release
    /// may come late.
    fn watch_button(&mut self, now: Monotonic, out: &mut Actions) {
        let before = mem::replace(&mut self.looked, now);
        if now.since(before) > self.profile.freshness {
            self.pressed = None;
        }
        let held = self.pressed.is_some_and(|at| now.since(at) >= CLEAR_HOLD);
        if guard!(ClearedOnSite => held) {
            self.pressed = None;
            let contradict = self.limits_contradict();
            self.clear(
                |fault| !contradict || *fault != Fault::LimitsContradict,
                out,
            );
        }
    }

    /// Nothing that has become too old moves the boom.
    fn expire(&mut self, now: Monotonic, out: &mut Actions) {
        let patience = (self.profile.pulse + self.profile.release_margin + self.profile.repeat_gap)
            * (WAITING_MAX as u32 + 1)
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

    fn dispatch(&mut self, now: Monotonic, out: &mut Actions) {
        if self.fire_holds() {
            self.refuse_waiting(Refusal::FireHoldsOpen, out);
        }
        let rested = |pause: Duration| self.released.is_none_or(|at| now.since(at) >= pause);
        let free = !self.ending
            && !self.stop_active()
            && self.blocked_since.is_none()
            && self.in_flight.is_none();
        if free && !guard!(FireOpens => !self.fire_holds()) {
            if now >= self.next_fire && rested(self.profile.dead_time) {
                let cause = self.own_cause("fire");
                self.pulse(now, cause, Origin::Fire, out);
            }
            return;
        }
        let gap = match self.waiting.next() {
            Some(waiting) if waiting.origin == Origin::Guard => self.profile.dead_time,
            // The gap lets one vehicle through at a time; a boom that is held does not.
            _ if self.held.is_some() => self.profile.dead_time,
            _ => self.profile.repeat_gap.max(self.profile.dead_time),
        };
        if !free || !rested(gap) || self.blocked_by_fault() {
            return;
        }
        if let Some(waiting) = self.waiting.take_next() {
            self.pulse(now, waiting.cause, waiting.origin, out);
        } else if let Some(held) = self.held.as_mut().filter(|held| now >= held.next) {
            let (cause, origin) = (held.cause.take(), held.origin);
            let cause = cause.unwrap_or_else(|| self.own_cause("hold"));
            self.pulse(now, cause, origin, out);
        }
    }

    /// Says of a request that did not start in the step that took it in that it waits.
    fn report_waiting(&mut self, out: &mut Actions) {
        if let Some(cause) = self.newest.take()
            && self.waiting.holds(&cause)
        {
            let waiting = self.waiting.len();
            out.push(Action::Report(BarrierEvent::OpeningWaits {
                cause,
                waiting,
            }));
        }
    }

    fn pulse(&mut self, now: Monotonic, cause: CauseId, origin: Origin, out: &mut Actions) {
        let duration = self.profile.pulse;
        self.pulsed.remember(&cause);
        self.stopped = false;
        self.fire_disarmed = false;
        self.next_fire = now + self.profile.fire_repeat;
        if let Some(held) = &mut self.held {
            held.next = now + self.profile.fire_repeat;
        }
        self.in_flight = Some(InFlight {
            cause: cause.clone(),
            energised: false,
            deadline: now + duration + self.profile.release_margin,
        });
        let event = BarrierEvent::OpeningStarted {
            cause: cause.clone(),
            origin,
        };
        out.push(Action::Pulse { cause, duration });
        out.push(Action::Report(event));
    }

    fn seen_position(&self) -> Position {
        let wired = |line: &Line| self.lines.contains_key(line);
        let opened = self.level(&Line::OpenedLimit) == Some(true);
        let closed = self.level(&Line::ClosedLimit) == Some(true);
        if self.stop_active() {
            Position::Stopped
        } else if self.blocked_by_fault() || (opened && closed) {
            Position::Fault
        } else if opened {
            Position::Open
        } else if closed {
            Position::Closed
        } else if self.stopped {
            Position::Stopped
        } else if self.relay_guard == RelayGuard::Ready
            && wired(&Line::OpenedLimit)
            && wired(&Line::ClosedLimit)
        {
            match self.last_limit {
                Some(Line::ClosedLimit) => Position::Opening,
                Some(Line::OpenedLimit) => Position::Closing,
                _ => Position::Unknown,
            }
        } else {
            Position::Unknown
        }
    }

    fn report_position(&mut self, out: &mut Actions) {
        let to = self.seen_position();
        if to != self.position {
            let from = mem::replace(&mut self.position, to);
            out.push(Action::Report(BarrierEvent::PositionChanged { from, to }));
        }
    }
}

fn refused(cause: CauseId, origin: Origin, reason: Refusal) -> Action {
    Action::Report(BarrierEvent::OpeningRefused {
        cause,
        origin,
        reason,
    })
}
