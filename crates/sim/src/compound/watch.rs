//! The invariants of one barrier's outputs, checked on the raw trace of writes and after every
//! step. It trusts nothing that the barrier says of itself: it knows the writes, the contacts
//! as they are, and what was asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use gate::CauseId;
use gate::barrier::managed::Output;
use gate::barrier::{BarrierEvent, Fault, Origin, Refusal};
use gate::line::{Line, LineFault};
use gate::motor_timer::OrderRefusal;

use super::report::{Guard, Report};
use super::sensor::{DEBOUNCE, Sensor};

#[cfg(test)]
mod tests;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the list of invariants, 1 to 14.
    pub invariant: u8,
    /// What happened, where and when.
    pub what: String,
    /// The last writes and events of that barrier, the newest last.
    pub trail: Vec<String>,
}

/// One line of a barrier's trail.
#[derive(Debug)]
enum Mark {
    Write(Output, bool),
    Event(BarrierEvent),
    BeganAnew,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(output, true) => write!(f, "{output:?} energised"),
            Self::Write(output, false) => write!(f, "{output:?} released"),
            Self::Event(event) => write!(f, "{event:?}"),
            Self::BeganAnew => f.write_str("relay guard or daemon began anew"),
        }
    }
}

/// How many marks are kept.
const TRAIL: usize = 40;

/// The least dead time, in milliseconds.
const DEAD: u64 = 300;
/// One tick, and the longest step of the simulation.
pub(super) const TICK: u64 = 50;
/// What an input needs to be known, and one tick: nothing may take longer.
const NOTICED: u64 = DEBOUNCE + 2 * TICK;
/// How long a relay may stay energised after its relay guard died.
const ORPHANED: u64 = 1000 + TICK;
/// How long a relay may stay energised after the daemon's last word: its relay guard waits so long
/// for the next one.
const SILENT: u64 = 500 + TICK;
/// The longest pulse.
const PULSE: u64 = 1000;

/// What the watch must know of the profile's times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) managed: bool,
    pub(super) clearance: u64,
    pub(super) freshness: u64,
    pub(super) run_max: u64,
    pub(super) hold_cap: u64,
    pub(super) test_within: u64,
    /// When a pulse that is not released is a fault.
    pub(super) not_released: u64,
}

/// What is the case in the world after a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) sensors: &'a [Sensor],
    pub(super) faults: &'a [Fault],
    /// Daemon and relay guard are there, talk to each other, and have for a while.
    pub(super) well_since: Option<u64>,
    /// Since when the daemon hears its relay guard, whatever else is wrong.
    pub(super) in_touch_since: Option<u64>,
    /// The boom moved past a limit by itself at this time.
    pub(super) unbidden: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Pin {
    on: bool,
    since: u64,
    /// The port did not take its release.
    refused: bool,
}

#[derive(Debug, Default)]
struct PresenceSeen {
    /// When it was last seen active outside a test, since the barrier began.
    alone: bool,
    proven: bool,
    /// When it last reacted to a test.
    reacted: bool,
    faults: Vec<LineFault>,
}

/// Watches one barrier.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts of a simulated world, not a state
pub(super) struct Watch {
    name: &'static str,
    times: Times,
    pins: [Pin; 4],
    /// The relay guard died at this time.
    orphaned: Option<u64>,
    /// The daemon has not been heard since this time.
    silent_since: Option<u64>,
    /// When a direction was last released.
    released: Option<u64>,
    last_direction: Option<Output>,
    presences: HashMap<Line, PresenceSeen>,
    /// All presence inputs have reacted since the boom last began to close.
    tested: bool,
    test_ended: Option<u64>,
    /// Causes that were asked for and have neither begun nor been refused.
    open: HashMap<CauseId, u64>,
    waiting: HashSet<CauseId>,
    begun: HashSet<CauseId>,
    forbidden: HashSet<CauseId>,
    /// When the last opening began, and when STOP was last over.
    began_at: u64,
    stop_seen: Option<u64>,
    stop_over: Option<u64>,
    /// A direction was energised in this step.
    moved: bool,
    cleared_at: u64,
    moved_before_stop: bool,
    fire_at: Option<u64>,
    fire_before_stop: bool,
    /// Closing was broken off: by when the boom must go up.
    reopen_by: Option<u64>,
    /// Openings given since the boom last began to close, less the vehicles seen under it.
    credit: usize,
    under: bool,
    up: bool,
    uncertain: bool,
    clear_since: Option<u64>,
    /// By when a tailgater must be reported.
    tailgate_by: Option<u64>,
    hold_until: Option<u64>,
    /// Since when an expected fault is missing.
    missing_fault: Option<(u64, &'static str)>,
    button_since: Option<u64>,
    /// How long the button was held last, and when that ended.
    last_hold: (u64, u64),
    /// When a person last cleared that the relay was not released.
    release_cleared: Option<u64>,
    pub(super) violation: Option<Violation>,
    trail: VecDeque<(u64, Mark)>,
    now: u64,
}

fn index(output: Output) -> usize {
    match output {
        Output::Open => 0,
        Output::Close => 1,
        Output::Stop => 2,
        Output::Test => 3,
    }
}

fn is_direction(output: Output) -> bool {
    matches!(output, Output::Open | Output::Close)
}

impl Watch {
    pub(super) fn new(name: &'static str, times: Times) -> Self {
        Self {
            name,
            times,
            pins: [Pin::default(); 4],
            orphaned: None,
            silent_since: None,
            released: None,
            last_direction: None,
            presences: HashMap::new(),
            tested: false,
            test_ended: None,
            open: HashMap::new(),
            waiting: HashSet::new(),
            begun: HashSet::new(),
            forbidden: HashSet::new(),
            began_at: 0,
            stop_seen: None,
            stop_over: None,
            moved: false,
            cleared_at: 0,
            moved_before_stop: false,
            fire_at: None,
            fire_before_stop: false,
            reopen_by: None,
            credit: 0,
            under: false,
            up: false,
            uncertain: true,
            clear_since: None,
            tailgate_by: None,
            hold_until: None,
            missing_fault: None,
            button_since: None,
            last_hold: (0, 0),
            release_cleared: None,
            violation: None,
            trail: VecDeque::with_capacity(TRAIL),
            now: 0,
        }
    }

    fn mark(&mut self, mark: Mark) {
        if self.trail.len() == TRAIL {
            self.trail.pop_front();
        }
        self.trail.push_back((self.now, mark));
    }

    fn broken(&mut self, invariant: u8, what: &str) {
        if self.violation.is_none() {
            let (name, now) = (self.name, self.now);
            let trail = self.trail.iter();
            self.violation = Some(Violation {
                invariant,
                what: format!("barrier {name} at {now} ms: {what}"),
                trail: trail.map(|(at, mark)| format!("{at} ms {mark}")).collect(),
            });
        }
    }

    pub(super) fn on(&self, output: Output) -> bool {
        self.pins[index(output)].on
    }

    /// Whether anything but the test output is energised.
    pub(super) fn moving(&self) -> bool {
        self.on(Output::Open) || self.on(Output::Close)
    }

    /// A write to a pin, in the order of the trace.
    pub(super) fn write(
        &mut self,
        now: u64,
        output: Output,
        on: bool,
        sensors: &[Sensor],
        report: &mut Report,
    ) {
        self.now = now;
        let before = self.pins[index(output)];
        if before.on == on {
            return;
        }
        report.edges += 1;
        self.mark(Mark::Write(output, on));
        self.pins[index(output)] = Pin {
            on,
            since: now,
            refused: false,
        };
        if !on {
            self.release(now, output, before, sensors);
            return;
        }
        let together = [Output::Open, Output::Close, Output::Stop]
            .iter()
            .filter(|output| self.on(**output))
            .count();
        if together > 1 {
            self.broken(1, "two of open, close and stop are energised together");
        }
        if output == Output::Test {
            for seen in self.presences.values_mut() {
                seen.reacted = false;
            }
        }
        if is_direction(output) {
            let pause = self.released.map(|at| now - at);
            if pause.is_some_and(|pause| pause < DEAD) {
                self.broken(2, "a direction was energised within the dead time");
            }
            if pause.is_some_and(|pause| pause < DEAD + 2 * TICK) {
                report.guard(Guard::DeadTime);
            }
            let reverses = self.last_direction.is_some_and(|last| last != output);
            if reverses && pause.is_some_and(|pause| pause < DEAD + 2 * TICK) {
                report.guard(Guard::Interlock);
            }
            self.last_direction = Some(output);
            if self.stop_seen.is_some_and(|at| now > at + NOTICED) {
                self.broken(5, "something was energised under STOP");
            }
            self.moved = true;
        }
        if output == Output::Close {
            self.closes(now, sensors);
        }
        if output == Output::Open {
            self.reopen_by = None;
        }
    }

    fn release(&mut self, now: u64, output: Output, before: Pin, sensors: &[Sensor]) {
        let ran = now - before.since;
        if output == Output::Close && !Self::fact(sensors, &Line::ClosedLimit).0 {
            self.reopen_by = Some(now + DEAD + NOTICED);
        }
        if is_direction(output) {
            self.released = Some(now);
        }
        let orphaned = self.orphaned.is_some();
        if !self.times.managed && ran > PULSE && !before.refused && !orphaned {
            self.broken(6, "a pulse was longer than its bound");
        }
        if self.times.managed && is_direction(output) && ran > self.run_bound() {
            self.broken(6, "the motor ran for longer than its bound");
        }
        if output == Output::Test {
            let presences = self.presences.values();
            self.tested = self.presences.len() == 2 && presences.clone().all(|seen| seen.reacted);
            // One that was not read to the end of the test failed nothing.
            let within = before.since + self.times.test_within;
            let told = |line: &Line| sensors.iter().any(|s| s.line == *line && s.read >= within);
            let silent = |(line, seen): (&Line, &PresenceSeen)| !seen.reacted && told(line);
            if self.presences.iter().any(silent) {
                self.test_ended = Some(now);
            }
        }
    }

    /// The longest run of the motor. A daemon that hangs counts no time: then its relay guard
    /// releases half a second after the last word, and if that one is dead too, its successor or
    /// the service's safe-off.
    fn run_bound(&self) -> u64 {
        let late = match (self.orphaned, self.silent_since) {
            (Some(_), _) => ORPHANED,
            (None, Some(_)) => SILENT,
            (None, None) => TICK,
        };
        self.times.run_max + late
    }

    /// Closing begins: every presence input must vouch for it.
    fn closes(&mut self, now: u64, sensors: &[Sensor]) {
        for sensor in sensors.iter().filter(|sensor| sensor.is_presence()) {
            if now < sensor.believed_active + self.times.clearance - TICK {
                self.broken(3, "closing began without the clearance time");
            }
            if now - sensor.read > self.times.freshness + TICK {
                self.broken(3, "closing began on inputs that are not read");
            }
            let seen = self.presences.entry(sensor.line.clone()).or_default();
            let (proven, faulty) = (seen.proven, !seen.faults.is_empty());
            if !proven {
                self.broken(3, "closing began on an input never seen to change");
            }
            if faulty {
                self.broken(3, "closing began on a faulty input");
            }
        }
        if !self.tested {
            self.broken(3, "closing began without a test in this cycle");
        }
        self.tested = false;
        self.up = false;
        self.credit = 0;
        self.uncertain = false;
        if self.fire_at.is_some_and(|at| now > at + NOTICED) {
            self.broken(5, "closing began in a fire");
        }
    }

    /// An opening is asked for.
    pub(super) fn asked(&mut self, now: u64, cause: &CauseId) {
        self.open.insert(cause.clone(), now);
    }

    /// A request that must not move anything: old or used before.
    pub(super) fn asked_in_vain(&mut self, cause: &CauseId) {
        self.forbidden.insert(cause.clone());
    }

    /// What the barrier tells.
    pub(super) fn event(
        &mut self,
        now: u64,
        event: &BarrierEvent,
        faults: &[Fault],
        report: &mut Report,
    ) {
        self.now = now;
        self.mark(Mark::Event(event.clone()));
        match event {
            BarrierEvent::OpeningStarted { cause, origin } => {
                self.opening_started(now, cause, *origin, faults, report);
            }
            BarrierEvent::OpeningRefused { cause, reason, .. } => {
                self.open.remove(cause);
                self.waiting.remove(cause);
                self.forbidden.remove(cause);
                match reason {
                    Refusal::Duplicate => report.guard(Guard::CauseOnce),
                    Refusal::QueueFull => report.guard(Guard::QueueBound),
                    Refusal::FaultLatched => report.guard(Guard::FaultBlocks),
                    Refusal::Stale | Refusal::RelayGuardLost => report.guard(Guard::Freshness),
                    Refusal::StopActive
                    | Refusal::FireHoldsOpen
                    | Refusal::ShuttingDown
                    | Refusal::NotForHolding
                    | Refusal::CannotHold => {}
                }
            }
            BarrierEvent::OpeningWaits { cause, .. } => {
                self.waiting.insert(cause.clone());
                if self.waiting.len() > gate::barrier::WAITING_MAX {
                    self.broken(9, "more than three openings wait");
                }
            }
            BarrierEvent::HoldStarted { .. } => self.hold_until = Some(now + self.times.hold_cap),
            BarrierEvent::HoldEnded { capped } => {
                self.hold_until = None;
                if *capped {
                    report.guard(Guard::HoldCap);
                }
            }
            BarrierEvent::Tailgated { .. } => {
                self.tailgate_by = None;
                report.guard(Guard::Tailgating);
            }
            BarrierEvent::FaultLatched { fault } => {
                match fault {
                    Fault::RelayNotReleased => report.guard(Guard::NotReleased),
                    Fault::LimitsContradict => report.guard(Guard::LimitsContradict),
                    Fault::MotorOverrun { .. } => report.guard(Guard::RunBound),
                    Fault::MovedUnbidden => report.guard(Guard::Unbidden),
                    Fault::SelfTestFailed { .. } => report.guard(Guard::TestFails),
                    Fault::Input { fault, .. } => report.guard(match fault {
                        LineFault::Stuck => Guard::Stuck,
                        LineFault::Chatter => Guard::Chatter,
                        LineFault::Missing => Guard::Missing,
                    }),
                }
                self.hold_until = self.hold_until.filter(|_| !fault.blocks());
            }
            BarrierEvent::FaultCleared { fault } => {
                if *fault == Fault::RelayNotReleased {
                    self.release_cleared = Some(now);
                }
                // A daemon that hung hears late of a press that is over.
                let (length, ended) = self.last_hold;
                let late = if now < ended + 3000 { length } else { 0 };
                let held = self.button_since.map_or(late, |at| now - at);
                let by_itself = matches!(
                    fault,
                    Fault::Input {
                        line: Line::GuardButton,
                        ..
                    }
                );
                if held + 10 < 5000 && !by_itself {
                    self.broken(12, "a fault was cleared without the button on site");
                }
                self.cleared_at = now;
                report.guard(Guard::ClearedOnSite);
            }
            _ => {}
        }
    }

    fn opening_started(
        &mut self,
        now: u64,
        cause: &CauseId,
        origin: Origin,
        faults: &[Fault],
        report: &mut Report,
    ) {
        self.began_at = now;
        self.waiting.remove(cause);
        let asked = self.open.remove(cause);
        if self.forbidden.contains(cause) {
            self.broken(8, "an old or used request opened the boom");
        }
        if !self.begun.insert(cause.clone()) {
            self.broken(9, "one cause opened twice");
        }
        let own = ["guard-button", "fire", "presence"];
        let of_barrier = own.iter().any(|word| cause.as_str().starts_with(word));
        if asked.is_none() && !of_barrier {
            self.broken(9, "an opening has no cause that anybody asked for");
        }
        match origin {
            Origin::Fire => report.guard(Guard::FireOpens),
            Origin::Presence => report.guard(Guard::PresenceReopens),
            _ => {
                // The barrier believes a contact once it has lasted: a vehicle that came under
                // the boom within that time before this opening comes after it for the barrier.
                let believed_by = |by: u64| by - NOTICED + DEBOUNCE + TICK;
                if self.tailgate_by.is_some_and(|by| now <= believed_by(by)) {
                    self.tailgate_by = None;
                } else {
                    self.credit = (self.credit + 1).min(4);
                }
                self.up = true;
                if faults.iter().any(Fault::blocks) {
                    self.broken(12, "the boom opened under a latched fault");
                }
            }
        }
        if self.begun.len() > 4000 {
            self.begun.clear();
        }
    }

    /// A notice of an input's health, as the daemon's debouncer gave it.
    pub(super) fn health(&mut self, line: &Line, fault: LineFault, faulty: bool) {
        if let Some(seen) = self.presences.get_mut(line) {
            seen.faults.retain(|known| *known != fault);
            if faulty {
                seen.faults.push(fault);
            }
        }
    }

    /// A barrier or relay guard began anew: nothing is proven, nothing waits.
    pub(super) fn began_anew(&mut self, barrier_too: bool) {
        self.mark(Mark::BeganAnew);
        // A daemon releases nothing before its relay guard is there.
        self.orphaned = self.orphaned.filter(|_| barrier_too);
        if !self.times.managed {
            // One direction only: what a predecessor released in another life reverses nothing.
            self.released = None;
        }
        for seen in self.presences.values_mut() {
            *seen = PresenceSeen::default();
        }
        self.tested = false;
        self.test_ended = None;
        self.reopen_by = None;
        self.hold_until = None;
        self.missing_fault = None;
        self.under = false;
        self.up = false;
        self.uncertain = true;
        self.tailgate_by = None;
        if barrier_too {
            self.open.clear();
            self.waiting.clear();
            self.begun.clear();
            self.forbidden.clear();
            self.began_at = 0;
            self.credit = 0;
            self.stop_over = None;
            self.stop_seen = None;
        }
    }

    fn fact(sensors: &[Sensor], line: &Line) -> (bool, u64) {
        let sensor = sensors.iter().find(|sensor| sensor.line == *line);
        sensor.map_or((false, 0), |sensor| (sensor.active, sensor.since))
    }

    /// Whether STOP is pressed, and since when the daemon could know. A contact that is not read
    /// tells nothing; it is unknown, which stops as well, once it has been missing for its time.
    fn stop_told(now: u64, sensors: &[Sensor]) -> (bool, u64) {
        let sensor = sensors.iter().find(|sensor| sensor.line == Line::Stop);
        sensor.map_or((false, 0), |sensor| {
            let unread = now > sensor.read;
            let missing = sensor.rule.missing_after.filter(|_| unread);
            let known = missing.map_or(sensor.read_since, |after| {
                sensor.read + after.as_millis() as u64
            });
            (sensor.active, sensor.since.max(known))
        })
    }

    /// After every step.
    pub(super) fn step(&mut self, now: u64, facts: Facts<'_>, report: &mut Report) {
        self.now = now;
        let sensors = facts.sensors;
        let (stop, stop_since) = Self::stop_told(now, sensors);
        let (fire, fire_since) = Self::fact(sensors, &Line::Fire);
        let (button, button_since) = Self::fact(sensors, &Line::GuardButton);
        if let Some(since) = self.button_since.filter(|_| !button) {
            self.last_hold = (now - since, now);
        }
        self.button_since = button.then_some(button_since);
        self.see_presences(sensors);
        if !self.times.managed && self.on(Output::Open) {
            let ran = now - self.pins[0].since;
            if ran > PULSE && !self.pins[0].refused && self.orphaned.is_none() {
                self.broken(6, "a pulse is longer than its bound");
            }
        }
        self.watch_bounds(now, facts);
        self.watch_release(now, facts);
        let fresh = self.stop_over.is_none_or(|at| self.began_at >= at);
        if std::mem::take(&mut self.moved) && !fresh {
            self.broken(5, "the boom moved after STOP without a fresh cause");
        }
        let Some(well) = facts.well_since else {
            self.stop_seen = None;
            self.fire_at = None;
            self.uncertain = true;
            self.reopen_by = None;
            self.missing_fault = None;
            return;
        };
        let known = |since: u64| now > since.max(well) + NOTICED;
        self.watch_stop(now, stop, stop_since.max(well), fire, report);
        // Nothing may move while STOP is not known, not even for a fire.
        let unread = |s: &Sensor| s.line == Line::Stop && now > s.read + 2 * TICK;
        let stop_unread = sensors.iter().any(unread);
        let stop_read = sensors.iter().find(|s| s.line == Line::Stop);
        let stop_known = stop_read.map_or(well, |s| s.read_since.max(well));
        self.fire_at =
            (fire && !stop_unread && self.stop_seen.is_none()).then(|| fire_since.max(stop_known));
        if self.on(Output::Close) {
            for sensor in sensors.iter().filter(|sensor| sensor.is_presence()) {
                let seen = sensor.read == now && sensor.active && known(sensor.since);
                if seen {
                    self.broken(4, "the boom closes although somebody is under it");
                }
                if now - sensor.read > self.times.freshness + 2 * TICK {
                    self.broken(3, "the boom closes on inputs that are not read");
                }
            }
        }
        self.watch_fire(now, fire && known(fire_since), facts);
        self.watch_faults(now, well, facts);
        let forbids = |fault: &Fault| fault.blocks() || *fault == Fault::LimitsContradict;
        if facts.faults.iter().any(forbids) {
            self.reopen_by = None;
            self.hold_until = None;
            self.up = false;
            self.uncertain = true;
        }
        self.watch_passing(now, facts);
        if Self::fact(sensors, &Line::OpenedLimit).0 || stop_unread {
            self.reopen_by = None;
        }
        if self.reopen_by.is_some_and(|by| now > by) {
            self.broken(4, "the boom did not open after it broke off closing");
        }
        if self.hold_until.is_some_and(|until| now > until + 2 * TICK) {
            self.broken(13, "the boom is held for longer than its cap");
        }
        if self.open.values().any(|at| now > *at + 150) {
            let waits = |cause: &CauseId| self.waiting.contains(cause);
            let late = |(cause, at): (&CauseId, &u64)| now > *at + 150 && !waits(cause);
            if self.open.iter().any(late) {
                self.broken(
                    13,
                    "an opening was neither begun, refused nor told to wait in 150 ms",
                );
            }
            if self.open.values().any(|at| now > *at + 60_000) {
                self.broken(13, "an opening waited for a minute");
            }
        }
    }

    /// That nothing stays energised longer than it may, whoever has died or gone silent.
    fn watch_bounds(&mut self, now: u64, facts: Facts<'_>) {
        self.silent_since = match facts.in_touch_since {
            Some(_) => None,
            None => self.silent_since.or(Some(now)),
        };
        let alone =
            self.orphaned.is_none() && self.silent_since.is_some_and(|at| now > at + SILENT);
        if alone && self.pins.iter().any(|pin| pin.on && !pin.refused) {
            self.broken(
                7,
                "a relay is still energised long after the daemon's last word",
            );
        }
        let orphaned = self.orphaned.is_some_and(|at| now > at + ORPHANED);
        if orphaned && self.pins.iter().any(|pin| pin.on && !pin.refused) {
            self.broken(
                7,
                "a relay is still energised long after its relay guard died",
            );
        }
        for output in [Output::Open, Output::Close] {
            let pin = self.pins[index(output)];
            if self.times.managed && pin.on && now - pin.since > self.run_bound() {
                self.broken(6, "the motor runs for longer than its bound");
            }
        }
    }

    fn watch_stop(&mut self, now: u64, stop: bool, since: u64, fire: bool, report: &mut Report) {
        if stop {
            if self.stop_seen.is_none() {
                self.moved_before_stop = self.moving();
                self.fire_before_stop = fire;
            }
            let seen = self.stop_seen.map_or(since, |seen| seen.min(since));
            self.stop_seen = Some(seen);
            if now > seen + NOTICED && self.moving() {
                self.broken(5, "STOP did not release within a tick");
            }
            self.stop_over = None;
            self.hold_until = None;
            self.reopen_by = None;
            self.up = false;
            self.uncertain = true;
        } else if let Some(seen) = self.stop_seen.take()
            && now > seen + NOTICED
        {
            self.stop_over = Some(now);
            if self.moved_before_stop {
                report.guard(Guard::StopReleases);
            }
            if self.moved_before_stop || self.fire_before_stop {
                report.guard(Guard::StopStays);
            }
        }
    }

    fn watch_fire(&mut self, now: u64, fire: bool, facts: Facts<'_>) {
        let fresh = self.stop_seen.is_none() && self.stop_over.is_none_or(|at| self.began_at >= at);
        let since = self.fire_at.unwrap_or(now);
        // The rest after an overrun, and a pulse that is going on with its dead time.
        let patience = if self.times.managed {
            DEAD
        } else {
            PULSE + DEAD
        };
        if !fire || !fresh || now < since + patience + NOTICED {
            return;
        }
        let limit = facts.sensors.iter().find(|s| s.line == Line::OpenedLimit);
        let opened = limit.is_none_or(|s| {
            s.active || now > s.read + 2 * TICK || now < s.since.max(s.read_since) + DEAD + NOTICED
        });
        let overran = |fault: &Fault| matches!(fault, Fault::MotorOverrun { .. });
        let rests = facts.faults.iter().any(overran);
        let answered = if self.times.managed {
            self.on(Output::Open) || opened || rests
        } else {
            self.began_at >= since || now < self.pins[0].since + 6000
        };
        if !answered {
            self.broken(5, "the boom did not open in a fire");
        }
    }

    fn see_presences(&mut self, sensors: &[Sensor]) {
        let testing = self.on(Output::Test);
        let after_test = self.pins[3].since + self.times.test_within + 2 * TICK;
        let quiet = !testing && self.now > after_test;
        for sensor in sensors.iter().filter(|sensor| sensor.is_presence()) {
            let seen = self.presences.entry(sensor.line.clone()).or_default();
            if testing {
                seen.reacted |= sensor.active;
            } else if sensor.active {
                // A vehicle that came during a test still counts, later.
                seen.alone |= quiet;
            } else if seen.alone {
                seen.proven = true;
            }
        }
    }

    /// A pulse whose release the port does not take is latched.
    fn watch_release(&mut self, now: u64, facts: Facts<'_>) {
        let pin = self.pins[0];
        let in_touch = facts.in_touch_since.is_some_and(|at| at <= pin.since);
        let late = now > pin.since + self.times.not_released + NOTICED;
        let latched = facts.faults.contains(&Fault::RelayNotReleased);
        let cleared = self.release_cleared.is_some_and(|at| at > pin.since);
        if !self.times.managed && pin.on && in_touch && late && !latched && !cleared {
            self.broken(12, "a pulse was not released, and no fault is latched");
        }
    }

    /// The port did not take the release of a pulse that was ordered.
    pub(super) fn release_refused(&mut self) {
        self.pins[0].refused = true;
    }

    /// The relay guard died and left the lines as they are.
    pub(super) fn orphan(&mut self, now: u64, port_sticks: bool) {
        self.orphaned = Some(now);
        for pin in &mut self.pins {
            pin.refused |= port_sticks;
        }
    }

    /// A fault that the world has must be latched soon.
    fn watch_faults(&mut self, now: u64, well: u64, facts: Facts<'_>) {
        let has = |wanted: &dyn Fn(&Fault) -> bool| facts.faults.iter().any(wanted);
        let latched = |line: &Line, fault: LineFault| {
            has(&|f| matches!(f, Fault::Input { line: l, fault: g } if l == line && *g == fault))
        };
        let mut expected: Option<&'static str> = None;
        let (opened, opened_since) = Self::fact(facts.sensors, &Line::OpenedLimit);
        let (closed, closed_since) = Self::fact(facts.sensors, &Line::ClosedLimit);
        let limit = |s: &&Sensor| matches!(s.line, Line::OpenedLimit | Line::ClosedLimit);
        let told = |s: &Sensor| now <= s.read + 2 * TICK && now > s.read_since + NOTICED;
        let told = facts.sensors.iter().filter(limit).all(told);
        let both =
            told && opened && closed && now > opened_since.max(closed_since).max(well) + NOTICED;
        if both && !has(&|f| *f == Fault::LimitsContradict) {
            expected = Some("both limits are active at once");
        }
        for sensor in facts.sensors {
            let stuck = sensor
                .rule
                .stuck_after
                .map(|after| after.as_millis() as u64);
            // In the pulse profile a person may clear what still lasts.
            let acknowledged = !self.times.managed && self.cleared_at >= sensor.since;
            let since = sensor.since.max(well).max(sensor.read_since);
            let long = stuck.is_some_and(|after| now > since + after + 500);
            if sensor.active && long && !acknowledged && !latched(&sensor.line, LineFault::Stuck) {
                expected = Some("an input is stuck");
            }
            // So too of a chatter that begins again before the input was ever quiet.
            let cleared = !self.times.managed && self.cleared_at >= sensor.chatter_began;
            let begun = well.max(sensor.read_since);
            let read = now > begun + 3000 && now <= sensor.read + 2 * TICK;
            let chatters = sensor.changes_before > 45 && read && !cleared;
            if chatters && !latched(&sensor.line, LineFault::Chatter) {
                expected = Some("an input chatters");
            }
            let limit = sensor
                .rule
                .missing_after
                .map(|after| after.as_millis() as u64);
            let unread = limit.is_some_and(|l| now > sensor.read.max(well) + l + NOTICED);
            if unread && !latched(&sensor.line, LineFault::Missing) {
                expected = Some("an input is not read");
            }
        }
        if let Some(ended) = self.test_ended {
            if has(&|f| matches!(f, Fault::SelfTestFailed { .. })) {
                self.test_ended = None;
            } else if now > ended + NOTICED {
                expected = Some("a presence input did not react to its test");
            }
        }
        if facts
            .unbidden
            .is_some_and(|at| now > at.max(well) + NOTICED)
            && !has(&|f| *f == Fault::MovedUnbidden)
        {
            expected = Some("the boom moved by itself");
        }
        match (expected, self.missing_fault) {
            (None, _) => self.missing_fault = None,
            (Some(what), None) => self.missing_fault = Some((now, what)),
            (Some(_), Some((since, what))) if now > since + 4 * TICK => {
                self.broken(12, &format!("{what}, and no fault is latched"));
            }
            (Some(_), Some(_)) => {}
        }
    }

    /// Counts who comes under the boom that is up, on the contacts as they are. What cannot be
    /// told apart (a test, a fault, a gap too short to be noticed) makes the count uncertain.
    fn watch_passing(&mut self, now: u64, facts: Facts<'_>) {
        let presences = || facts.sensors.iter().filter(|sensor| sensor.is_presence());
        let unseen = |s: &Sensor| s.ailment.is_some() || s.forgot || now > s.read + TICK;
        let ails = presences().any(unseen);
        let after_test = self.pins[3].since + self.times.test_within + 2 * TICK;
        let testing = self.on(Output::Test) || (self.pins[3].since > 0 && now <= after_test);
        let odd = self.fire_at.is_some() || self.hold_until.is_some() || self.stop_seen.is_some();
        self.uncertain |= ails || odd || !facts.faults.is_empty();
        let active = presences().any(|sensor| sensor.active);
        if active && !self.under && !testing {
            let gap = now.saturating_sub(self.clear_since.unwrap_or(now));
            self.under = true;
            self.uncertain |= gap < 150;
            if self.up && !self.uncertain {
                if self.credit == 0 {
                    self.tailgate_by = Some(now + NOTICED);
                }
                self.credit = self.credit.saturating_sub(1);
            }
        } else if active && testing {
            self.uncertain |= !self.under && now > self.pins[3].since + self.times.test_within;
        }
        self.under &= active;
        self.clear_since = (!active).then(|| self.clear_since.unwrap_or(now));
        if self.tailgate_by.is_some_and(|by| now > by) {
            self.tailgate_by = None;
            if !self.uncertain {
                self.broken(11, "a tailgater was not reported");
            }
        }
    }

    /// The relay guard refused what the barrier ordered: the barrier should never have.
    pub(super) fn refused(&mut self, now: u64, output: Output, why: OrderRefusal) {
        self.now = now;
        let invariant = if why == OrderRefusal::DeadTime { 2 } else { 1 };
        let what = format!("the relay guard refused {output:?} that the barrier ordered: {why:?}");
        self.broken(invariant, &what);
    }

    /// A vehicle was admitted that is not here, or that nobody registered.
    pub(super) fn admitted_nobody(&mut self, now: u64) {
        self.now = now;
        self.broken(
            10,
            "a vehicle was admitted as registered that is not, or not here",
        );
    }

    /// The relay guard's end or successor: is everything off that must be?
    pub(super) fn must_be_off(&mut self, now: u64, why: &str) {
        self.now = now;
        if self.pins.iter().any(|pin| pin.on) {
            self.broken(7, why);
        }
    }
}
