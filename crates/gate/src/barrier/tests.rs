//! The rules, on scripted and on random traces, against a small model of the relay.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{
    Action, Barrier, BarrierEvent, CLEAR_HOLD, Fault, HOLD_CAP_MIN, Input, Origin, PULSE_MAX,
    PULSE_MIN, Position, PulseProfile, Refusal, RelayReport, WAITING_MAX,
};
use crate::cause::CauseId;
use crate::line::{Line, LineFault};
use crate::time::Monotonic;

/// How the modelled relay takes the next pulses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relay {
    Good,
    Welded,
    Refuses,
    Silent,
    Fails,
}

/// A barrier with a modelled relay guard. Checks the invariants at every action.
struct World {
    barrier: Barrier,
    now: u64,
    mode: Relay,
    alive: bool,
    /// The cause that holds the modelled relay, and when it lets go (never when welded).
    energised: Option<(CauseId, Option<u64>)>,
    last_off: Option<u64>,
    levels: HashMap<Line, bool>,
    pressed: Option<u64>,
    /// When each cause was asked for.
    asked: HashMap<CauseId, u64>,
    started: Vec<CauseId>,
    pulses: Vec<(u64, CauseId)>,
    refused: Vec<(CauseId, Refusal)>,
    /// Since when the boom is held.
    held: Option<u64>,
    /// Something fresh happened since STOP was last pressed that a fire may act on.
    fire_may_act: bool,
    last_stop: Option<u64>,
    latched: bool,
    next: u64,
    events: Vec<BarrierEvent>,
}

/// The defaults, and a boom that can be held.
const PROFILE: PulseProfile = PulseProfile {
    hold_cap: Some(HOLD_CAP_MIN),
    ..PulseProfile::DEFAULT
};

fn ms(span: Duration) -> u64 {
    span.as_millis() as u64
}

fn cause(n: u64) -> CauseId {
    CauseId::new(format!("passage-{n}")).unwrap()
}

impl World {
    fn new(lines: &[Line]) -> Self {
        Self {
            barrier: Barrier::new(PROFILE, lines.iter().cloned(), Monotonic::default()),
            now: 0,
            mode: Relay::Good,
            alive: false,
            energised: None,
            last_off: None,
            levels: HashMap::new(),
            pressed: None,
            asked: HashMap::new(),
            started: Vec::new(),
            pulses: Vec::new(),
            refused: Vec::new(),
            held: None,
            fire_may_act: true,
            last_stop: None,
            latched: false,
            next: 0,
            events: Vec::new(),
        }
    }

    /// A world whose relay guard is ready and whose lines are all known to be at rest.
    fn ready(lines: &[Line]) -> Self {
        let mut world = Self::new(lines);
        world.revive();
        for line in lines {
            world.line(line, false);
        }
        world
    }

    fn step(&mut self, input: Input) {
        let stop_rises = matches!(
            &input,
            Input::LineChanged {
                line: Line::Stop,
                active: true,
                ..
            }
        );
        let actions = self.barrier.step(Monotonic::from_millis(self.now), input);
        if stop_rises {
            assert_eq!(actions.first(), Some(&Action::ReleaseAll));
        }
        for action in actions {
            match action {
                Action::Pulse { cause, duration } => self.pulse(cause, duration),
                Action::ReleaseAll => self.release_all(),
                Action::Report(event) => self.report(event),
            }
        }
        let open = self.asked.len() - self.started_of_asked() - self.refused.len();
        assert!(open <= WAITING_MAX, "{open} openings wait");
    }

    fn started_of_asked(&self) -> usize {
        self.started
            .iter()
            .filter(|cause| self.asked.contains_key(cause))
            .count()
    }

    fn pulse(&mut self, cause: CauseId, duration: Duration) {
        let profile = PROFILE;
        let is_fire = cause.as_str().starts_with("fire");
        assert!(self.alive, "a pulse without a relay guard");
        assert_ne!(
            self.levels.get(&Line::Stop),
            Some(&true),
            "a pulse under STOP"
        );
        assert!((PULSE_MIN..=PULSE_MAX).contains(&duration));
        assert!(!self.started.contains(&cause), "{cause} pulses twice");
        assert!(is_fire || !self.latched, "a pulse under a latched fault");
        assert!(
            self.energised.is_none() || self.latched,
            "two pulses at once"
        );
        if let Some(off) = self.last_off {
            assert!(self.now - off >= ms(profile.dead_time), "no dead time");
        }
        if is_fire {
            assert_eq!(self.levels.get(&Line::Fire), Some(&true), "no fire");
            assert!(self.fire_may_act, "fire restarted by itself after STOP");
        } else if cause.as_str().starts_with("hold") {
            let since = self.held.expect("a pulse for a hold that has ended");
            assert!(self.now - since < ms(HOLD_CAP_MIN), "held beyond the cap");
            assert!(self.last_stop.is_none_or(|stop| stop <= since));
        } else if let Some(asked) = self.asked.get(&cause) {
            assert!(self.now - asked <= 13_000, "an old request moved the boom");
            assert!(self.last_stop.is_none_or(|stop| stop <= *asked));
        } else {
            assert!(cause.as_str().starts_with("guard-button"), "no cause");
        }
        self.fire_may_act = true;
        self.started.push(cause.clone());
        self.pulses.push((self.now, cause.clone()));
        match self.mode {
            Relay::Refuses => self.step(Input::Relay(RelayReport::Refused {
                cause,
                reason: "busy".into(),
            })),
            Relay::Silent => self.energised = Some((cause, None)),
            Relay::Fails => {
                let reason = "no such device".to_owned();
                self.last_off = Some(self.now);
                self.step(Input::Relay(RelayReport::Failed {
                    cause: cause.clone(),
                    reason,
                }));
                self.release_report(Some(cause));
            }
            Relay::Good | Relay::Welded => {
                let good = self.mode == Relay::Good;
                let off = good.then(|| self.now + ms(duration));
                self.energised = Some((cause.clone(), off));
                let at = Monotonic::from_millis(self.now);
                self.step(Input::Relay(RelayReport::Energised { cause, at }));
            }
        }
    }

    fn release_report(&mut self, cause: Option<CauseId>) {
        let at = Monotonic::from_millis(self.now);
        self.step(Input::Relay(RelayReport::Released { cause, at }));
    }

    fn release_all(&mut self) {
        if self.alive
            && let Some((cause, Some(_))) = self.energised.take_if(|(_, off)| off.is_some())
        {
            self.last_off = Some(self.now);
            self.release_report(Some(cause));
        }
    }

    fn report(&mut self, event: BarrierEvent) {
        match &event {
            BarrierEvent::OpeningStarted { cause, .. } => {
                assert!(self.started.contains(cause), "a start without its pulse");
            }
            BarrierEvent::OpeningRefused { cause, reason, .. }
                if self.asked.contains_key(cause) && *reason != Refusal::Duplicate =>
            {
                self.refused.push((cause.clone(), *reason));
            }
            BarrierEvent::HoldStarted { cause, .. } => {
                assert!(cause.as_str().starts_with("hold"));
                self.held = Some(self.now);
            }
            BarrierEvent::HoldEnded { capped } => {
                let since = self.held.take().expect("a hold that was none has ended");
                let full = self.now - since >= ms(HOLD_CAP_MIN);
                assert_eq!(*capped, full);
            }
            BarrierEvent::FaultLatched {
                fault: Fault::RelayNotReleased,
            } => self.latched = true,
            BarrierEvent::FaultCleared {
                fault: Fault::RelayNotReleased,
            } => {
                let held = self.pressed.map(|at| self.now - at);
                assert!(held >= Some(ms(CLEAR_HOLD)), "cleared without the button");
                self.latched = false;
                self.energised = None;
                self.last_off = None;
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now = end.min(self.now + 10);
            if let Some((cause, Some(off))) = self.energised.clone()
                && self.now >= off
                && self.alive
            {
                self.energised = None;
                self.last_off = Some(self.now);
                self.release_report(Some(cause));
            }
            self.step(Input::Tick);
        }
    }

    fn line(&mut self, line: &Line, active: bool) {
        if !self.alive || self.levels.get(line) == Some(&active) {
            return;
        }
        let before = self.levels.insert(line.clone(), active);
        let stop = self.levels.get(&Line::Stop) == Some(&true);
        match line {
            Line::Stop if active => {
                self.fire_may_act = false;
                self.last_stop = Some(self.now);
            }
            Line::Stop if self.levels.get(&Line::Fire) == Some(&false) => self.fire_may_act = true,
            Line::Fire if !active => self.fire_may_act = !stop,
            Line::GuardButton => {
                self.pressed = (active && before == Some(false)).then_some(self.now);
            }
            _ => {}
        }
        self.step(Input::LineChanged {
            line: line.clone(),
            active,
            at: Monotonic::from_millis(self.now),
        });
    }

    fn ask(&mut self, origin: Origin) -> CauseId {
        self.next += 1;
        let cause = cause(self.next);
        self.asked.insert(cause.clone(), self.now);
        let asked = Monotonic::from_millis(self.now);
        self.step(Input::OpenRequest {
            cause: cause.clone(),
            origin,
            asked,
        });
        if self.levels.get(&Line::Stop) == Some(&true) {
            assert!(self.reason_of(&cause).is_some(), "kept for STOP's end");
        }
        cause
    }

    fn hold(&mut self, origin: Origin) -> CauseId {
        self.next += 1;
        let cause = CauseId::new(format!("hold-asked-{}", self.next)).unwrap();
        let asked = Monotonic::from_millis(self.now);
        self.step(Input::Hold {
            cause: cause.clone(),
            origin,
            asked,
        });
        cause
    }

    fn hold_refused(&self, cause: &CauseId) -> Option<Refusal> {
        self.events.iter().find_map(|event| match event {
            BarrierEvent::OpeningRefused {
                cause: refused,
                reason,
                ..
            } if refused == cause => Some(*reason),
            _ => None,
        })
    }

    fn ask_again(&mut self) {
        let asked = Monotonic::from_millis(self.now);
        if let Some(cause) = self.started.last().cloned() {
            self.step(Input::OpenRequest {
                cause,
                origin: Origin::Automatic,
                asked,
            });
        }
    }

    fn kill(&mut self) {
        self.alive = false;
        // A fire that is found when the relay guard is back has begun since.
        self.fire_may_act |= self.levels.get(&Line::Fire) == Some(&false);
        self.levels.clear();
        self.pressed = None;
        self.step(Input::RelayGuardLost {
            reason: "killed".into(),
        });
    }

    fn revive(&mut self) {
        if !self.alive {
            self.alive = true;
            if self.energised.take().is_some() {
                self.last_off = Some(self.now);
            }
            self.step(Input::RelayGuardReady);
        }
    }

    fn reason_of(&self, cause: &CauseId) -> Option<Refusal> {
        self.refused
            .iter()
            .find(|(refused, _)| refused == cause)
            .map(|(_, reason)| *reason)
    }
}

#[test]
fn one_request_is_one_pulse_at_once() {
    let mut world = World::ready(&[]);
    let first = world.ask(Origin::Automatic);
    assert_eq!(world.pulses, [(0, first.clone())]);
    world.wait(10_000);
    world.ask_again();
    world.wait(10_000);
    assert_eq!(world.pulses.len(), 1);
    assert!(world.events.iter().any(|event| matches!(
        event,
        BarrierEvent::Released { cause, .. } if *cause == first
    )));
}

#[test]
fn three_more_wait_in_line_and_the_fifth_is_refused() {
    let mut world = World::ready(&[]);
    for _ in 0..4 {
        world.ask(Origin::Automatic);
    }
    let fifth = world.ask(Origin::Automatic);
    assert_eq!(world.reason_of(&fifth), Some(Refusal::QueueFull));
    world.wait(20_000);
    let times: Vec<u64> = world.pulses.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 2500, 5000, 7500]);
}

#[test]
fn the_guard_goes_first_and_takes_a_place() {
    let mut world = World::ready(&[]);
    let cars: Vec<CauseId> = (0..4).map(|_| world.ask(Origin::Automatic)).collect();
    let guard = world.ask(Origin::Guard);
    assert_eq!(world.reason_of(&cars[3]), Some(Refusal::QueueFull));
    world.wait(1000);
    assert_eq!(world.pulses.last(), Some(&(800, guard)));
}

#[test]
fn without_a_relay_guard_a_request_dies_after_the_freshness() {
    let mut world = World::new(&[]);
    world.wait(300);
    let early = world.ask(Origin::Automatic);
    world.wait(490);
    assert_eq!(world.reason_of(&early), None);
    world.wait(10);
    assert_eq!(world.reason_of(&early), Some(Refusal::RelayGuardLost));
    let late = world.ask(Origin::Command);
    world.wait(100);
    world.revive();
    assert_eq!(world.pulses.len(), 1);
    assert_eq!(world.pulses[0].1, late);
    world.wait(5000);
    assert_eq!(world.pulses.len(), 1);
}

#[test]
fn a_request_that_was_long_on_its_way_is_stale() {
    let mut world = World::ready(&[]);
    world.now = 10_000;
    let cause = cause(77);
    world.asked.insert(cause.clone(), 9000);
    world.step(Input::OpenRequest {
        cause: cause.clone(),
        origin: Origin::Automatic,
        asked: Monotonic::from_millis(9000),
    });
    assert_eq!(world.reason_of(&cause), Some(Refusal::Stale));
}

#[test]
fn a_wired_stop_must_be_known_before_anything_moves() {
    let mut world = World::new(&[Line::Stop]);
    world.revive();
    world.ask(Origin::Automatic);
    world.wait(100);
    assert!(world.pulses.is_empty());
    world.line(&Line::Stop, false);
    assert_eq!(world.pulses.len(), 1);
}

#[test]
fn stop_releases_refuses_and_never_restarts_by_itself() {
    let mut world = World::ready(&[Line::Stop, Line::Fire, Line::GuardButton]);
    world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    world.wait(100);
    world.line(&Line::Fire, true);
    world.line(&Line::Stop, true);
    assert_eq!(world.energised, None);
    assert_eq!(world.last_off, Some(100));
    assert_eq!(world.barrier.position(), Position::Stopped);
    assert_eq!(world.reason_of(&waits), Some(Refusal::FireHoldsOpen));
    world.wait(5000);
    world.line(&Line::Stop, false);
    world.wait(30_000);
    assert_eq!(world.pulses.len(), 1, "STOP released, fire still there");
    world.line(&Line::GuardButton, true);
    assert_eq!(world.pulses.len(), 2);
    world.wait(5500);
    assert_eq!(world.pulses.len(), 3, "fire holds again");
}

#[test]
fn fire_opens_within_the_step_and_repeats() {
    let mut world = World::ready(&[Line::Fire]);
    world.wait(1000);
    world.line(&Line::Fire, true);
    assert_eq!(world.pulses.len(), 1);
    world.wait(20_000);
    assert_eq!(world.pulses.len(), 5);
    let car = world.ask(Origin::Automatic);
    assert_eq!(world.reason_of(&car), Some(Refusal::FireHoldsOpen));
    world.line(&Line::Fire, false);
    world.wait(20_000);
    assert_eq!(world.pulses.len(), 5);
}

#[test]
fn an_alarm_that_is_there_at_the_start_opens() {
    let mut world = World::new(&[Line::Fire, Line::Stop]);
    world.revive();
    world.line(&Line::Fire, true);
    assert!(world.pulses.is_empty());
    world.line(&Line::Stop, false);
    assert_eq!(world.pulses.len(), 1);
}

#[test]
fn a_fire_that_began_while_nothing_was_seen_opens_unless_stop_is_found() {
    for (fire_before, stop_after, pulses) in [(false, false, 1), (true, false, 0), (false, true, 0)]
    {
        let mut world = World::ready(&[Line::Fire, Line::Stop]);
        world.line(&Line::Stop, true);
        world.line(&Line::Fire, fire_before);
        world.wait(1000);
        world.kill();
        world.wait(3000);
        world.revive();
        world.line(&Line::Fire, true);
        world.line(&Line::Stop, stop_after);
        world.line(&Line::Stop, false);
        world.wait(1000);
        assert_eq!(world.pulses.len(), pulses, "{fire_before} {stop_after}");
    }
}

#[test]
fn a_press_that_is_heard_of_too_late_opens_nothing() {
    for (late, pulses) in [(500, 1), (501, 0)] {
        let mut world = World::ready(&[Line::GuardButton]);
        world.wait(10_000);
        let (line, at) = (Line::GuardButton, Monotonic::from_millis(world.now - late));
        world.step(Input::LineChanged {
            line,
            active: true,
            at,
        });
        world.wait(1000);
        assert_eq!(world.pulses.len(), pulses, "{late} ms late");
    }
}

#[test]
fn a_button_found_pressed_is_no_press() {
    let mut world = World::new(&[Line::GuardButton]);
    world.revive();
    world.line(&Line::GuardButton, true);
    world.wait(1000);
    assert!(world.pulses.is_empty());
    world.line(&Line::GuardButton, false);
    world.line(&Line::GuardButton, true);
    assert_eq!(world.pulses.len(), 1);
    assert_ne!(world.pulses[0].1, cause(1));
}

#[test]
fn a_welded_relay_is_latched_and_cleared_by_holding_the_button() {
    let mut world = World::ready(&[Line::GuardButton]);
    world.mode = Relay::Welded;
    world.ask(Origin::Automatic);
    world.wait(1090);
    assert!(world.barrier.faults().is_empty());
    world.wait(10);
    assert_eq!(world.barrier.faults(), [Fault::RelayNotReleased]);
    assert_eq!(world.barrier.position(), Position::Fault);
    assert!(Fault::RelayNotReleased.cure().contains("5 s"));
    let car = world.ask(Origin::Automatic);
    assert_eq!(world.reason_of(&car), Some(Refusal::FaultLatched));
    world.mode = Relay::Good;
    world.line(&Line::GuardButton, true);
    world.wait(4990);
    assert!(!world.barrier.faults().is_empty());
    world.wait(10);
    assert!(world.barrier.faults().is_empty());
    assert_eq!(
        world.pulses.len(),
        1,
        "the held button itself opens nothing"
    );
    world.ask(Origin::Automatic);
    assert_eq!(world.pulses.len(), 2);
}

/// Regression: a pulse that nobody confirmed was given up, and the dead time was counted from
/// then, not from the moment in which a new relay guard released the line.
#[test]
fn a_new_relay_guards_first_write_begins_the_dead_time() {
    let mut world = World::ready(&[Line::Fire]);
    world.mode = Relay::Silent;
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.kill();
    world.revive();
    world.mode = Relay::Good;
    world.line(&Line::Fire, true);
    assert_eq!(world.pulses.len(), 1);
    world.wait(300);
    assert_eq!(world.pulses.len(), 2);
}

#[test]
fn limits_tell_the_position() {
    let mut world = World::ready(&[Line::OpenedLimit, Line::ClosedLimit]);
    assert_eq!(world.barrier.position(), Position::Unknown);
    for (line, active, position) in [
        (Line::ClosedLimit, true, Position::Closed),
        (Line::ClosedLimit, false, Position::Opening),
        (Line::OpenedLimit, true, Position::Open),
        (Line::OpenedLimit, false, Position::Closing),
        (Line::ClosedLimit, true, Position::Closed),
        (Line::OpenedLimit, true, Position::Fault),
        (Line::OpenedLimit, false, Position::Closed),
    ] {
        world.line(&line, active);
        assert_eq!(world.barrier.position(), position, "{line} {active}");
    }
    assert!(
        world.barrier.faults().is_empty(),
        "no button: cleared itself"
    );
    world.kill();
    assert_eq!(world.barrier.position(), Position::Unknown);
}

/// The program does not run for a while, and hears of the release only when it runs again.
#[test]
fn a_hold_counts_only_while_somebody_looks() {
    for tick_first in [false, true] {
        let mut world = World::ready(&[Line::GuardButton, Line::SafetyLoop]);
        world.step(Input::LineHealth {
            line: Line::SafetyLoop,
            fault: LineFault::Stuck,
            faulty: true,
        });
        world.line(&Line::GuardButton, true);
        world.wait(2000);
        world.now += 4000;
        let input = if tick_first {
            Input::Tick
        } else {
            Input::LineChanged {
                line: Line::SafetyLoop,
                active: true,
                at: Monotonic::from_millis(world.now - 3000),
            }
        };
        world.step(input);
        assert_eq!(world.barrier.faults().len(), 1);
        world.line(&Line::GuardButton, false);
        world.wait(10_000);
        assert_eq!(world.barrier.faults().len(), 1);
        world.line(&Line::GuardButton, true);
        world.wait(5100);
        assert!(world.barrier.faults().is_empty());
    }
}

#[test]
fn a_faulty_input_is_latched_but_stops_nobody() {
    let mut world = World::ready(&[Line::GuardButton, Line::SafetyLoop]);
    let health = |faulty| Input::LineHealth {
        line: Line::SafetyLoop,
        fault: LineFault::Stuck,
        faulty,
    };
    world.step(health(true));
    world.step(health(false));
    assert_eq!(world.barrier.faults().len(), 1);
    world.ask(Origin::Automatic);
    assert_eq!(world.pulses.len(), 1);
    world.wait(3000);
    world.line(&Line::GuardButton, true);
    world.wait(5000);
    assert!(world.barrier.faults().is_empty());
}

#[test]
fn shutdown_releases_and_starts_nothing_more() {
    let mut world = World::ready(&[Line::Fire]);
    world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    world.wait(100);
    world.step(Input::Shutdown);
    assert_eq!(world.energised, None);
    assert_eq!(world.reason_of(&waits), Some(Refusal::ShuttingDown));
    world.line(&Line::Fire, true);
    world.wait(10_000);
    assert_eq!(world.pulses.len(), 1);
}

impl World {
    fn press(&mut self, millis: u64) {
        self.line(&Line::GuardButton, true);
        self.wait(millis);
        self.line(&Line::GuardButton, false);
    }

    /// Tells of a level whether or not it is news.
    fn tell(&mut self, line: Line, active: bool) {
        let at = Monotonic::from_millis(self.now);
        self.step(Input::LineChanged { line, active, at });
    }

    fn health(&mut self, line: Line, fault: LineFault, faulty: bool) {
        self.step(Input::LineHealth {
            line,
            fault,
            faulty,
        });
    }

    fn said(&self, wanted: impl Fn(&BarrierEvent) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

#[test]
fn a_cause_that_waits_for_its_turn_is_not_taken_a_second_time() {
    let mut world = World::ready(&[]);
    world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    let asked = Monotonic::from_millis(world.now);
    world.step(Input::OpenRequest {
        cause: waits.clone(),
        origin: Origin::Command,
        asked,
    });
    let refused = BarrierEvent::OpeningRefused {
        cause: waits,
        origin: Origin::Command,
        reason: Refusal::Duplicate,
    };
    assert_eq!(world.events.last(), Some(&refused));
    world.wait(20_000);
    assert_eq!(world.pulses.len(), 2);
}

#[test]
fn who_waits_is_told_so_and_who_starts_or_is_refused_is_not() {
    let mut world = World::ready(&[]);
    for _ in 0..5 {
        world.ask(Origin::Automatic);
    }
    let waiting: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| match event {
            BarrierEvent::OpeningWaits { cause, waiting } => Some((cause.clone(), *waiting)),
            _ => None,
        })
        .collect();
    assert_eq!(waiting, [(cause(2), 1), (cause(3), 2), (cause(4), 3)]);
}

#[test]
fn an_input_that_is_told_twice_is_no_news() {
    let mut world = World::ready(&[Line::Fire, Line::GuardButton]);
    world.line(&Line::Fire, true);
    world.wait(1000);
    world.tell(Line::Fire, true);
    world.wait(1000);
    assert_eq!(
        world.pulses.len(),
        1,
        "the alarm goes on, it does not begin"
    );
    world.line(&Line::Fire, false);
    world.wait(3000);
    world.health(Line::Fire, LineFault::Chatter, true);
    world.line(&Line::GuardButton, true);
    world.wait(3000);
    world.tell(Line::GuardButton, true);
    world.wait(2000);
    assert_eq!(world.pulses.len(), 2, "pressed once");
    assert!(world.barrier.faults().is_empty(), "and held all the time");
}

#[test]
fn a_fire_that_stop_silenced_counts_again_when_it_has_ended_and_begins_anew() {
    for ends_under_stop in [false, true] {
        let mut world = World::ready(&[Line::Fire, Line::Stop]);
        world.line(&Line::Fire, true);
        world.line(&Line::Stop, true);
        world.wait(1000);
        if ends_under_stop {
            world.line(&Line::Fire, false);
            world.line(&Line::Stop, false);
        } else {
            world.line(&Line::Stop, false);
            world.tell(Line::Fire, true);
            world.wait(6000);
            assert_eq!(world.pulses.len(), 1, "told again, it is the same fire");
            world.line(&Line::Fire, false);
        }
        world.wait(1000);
        assert_eq!(world.pulses.len(), 1);
        world.line(&Line::Fire, true);
        assert_eq!(world.pulses.len(), 2);
    }
}

#[test]
fn a_hold_counts_as_long_as_somebody_looks_within_the_freshness() {
    for (pause, cleared) in [(500, true), (501, false)] {
        let mut world = World::ready(&[Line::GuardButton]);
        world.step(Input::Tick);
        world.health(Line::SafetyLoop, LineFault::Stuck, true);
        world.line(&Line::GuardButton, true);
        // The press is a request too: its pulse is over before the pauses begin.
        world.wait(2000);
        for _ in 0..12 {
            world.now += pause;
            world.step(Input::Tick);
        }
        assert_eq!(world.barrier.faults().is_empty(), cleared, "{pause} ms");
    }
}

#[test]
fn a_second_alarm_does_not_wait_for_the_repetition_of_the_first() {
    let mut world = World::ready(&[Line::Fire]);
    world.line(&Line::Fire, true);
    world.wait(1000);
    world.line(&Line::Fire, false);
    world.wait(100);
    world.line(&Line::Fire, true);
    assert_eq!(world.pulses.len(), 2);
}

#[test]
fn a_fire_is_pulsed_again_soon_when_the_relay_does_not_take_it() {
    for (mode, soon) in [
        (Relay::Refuses, true),
        (Relay::Fails, true),
        (Relay::Good, false),
    ] {
        let mut world = World::ready(&[Line::Fire]);
        world.mode = mode;
        world.line(&Line::Fire, true);
        world.mode = Relay::Good;
        world.wait(490);
        assert_eq!(world.pulses.len(), 1, "{mode:?}: not before the freshness");
        world.wait(20);
        assert_eq!(world.pulses.len() == 2, soon, "{mode:?}");
    }
}

#[test]
fn a_fire_pulse_whose_relay_guard_dies_is_repeated_by_its_successor() {
    let mut world = World::ready(&[Line::Fire]);
    world.line(&Line::Fire, true);
    world.wait(100);
    world.kill();
    world.wait(100);
    world.revive();
    world.tell(Line::Fire, true);
    world.levels.insert(Line::Fire, true);
    world.wait(600);
    assert_eq!(world.pulses.len(), 2);
}

#[test]
fn what_is_reported_of_another_opening_changes_nothing_in_the_one_in_progress() {
    for energised in [false, true] {
        let mut world = World::ready(&[]);
        world.mode = Relay::Silent;
        let first = world.ask(Origin::Automatic);
        let other = cause(99);
        let at = Monotonic::from_millis(0);
        if energised {
            let cause = first.clone();
            world.step(Input::Relay(RelayReport::Energised { cause, at }));
        }
        for report in [
            RelayReport::Energised {
                cause: other.clone(),
                at,
            },
            RelayReport::Refused {
                cause: other.clone(),
                reason: "busy".into(),
            },
            RelayReport::Released {
                cause: Some(other.clone()),
                at,
            },
            RelayReport::Released { cause: None, at },
        ] {
            world.step(Input::Relay(report));
        }
        assert_eq!(
            world.said(|event| matches!(event, BarrierEvent::Released { .. })),
            1,
            "a release with no opening is no news"
        );
        let second = world.ask(Origin::Automatic);
        world.wait(1000);
        assert!(!world.started.contains(&second), "the first is not over");
        world.energised = None;
        world.kill();
        world.revive();
        let ended = world
            .said(|event| matches!(event, BarrierEvent::Released { cause, .. } if *cause == first));
        let failed = world.said(
            |event| matches!(event, BarrierEvent::OpeningFailed { cause, .. } if *cause == first),
        );
        assert_eq!((ended, failed), if energised { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn a_release_that_comes_late_begins_the_dead_time_and_the_gap() {
    let mut world = World::ready(&[]);
    world.mode = Relay::Silent;
    let first = world.ask(Origin::Automatic);
    world.ask(Origin::Automatic);
    world.wait(1000);
    world.mode = Relay::Good;
    world.energised = None;
    world.release_report(Some(first));
    world.wait(1990);
    assert_eq!(world.pulses.len(), 1);
    world.wait(10);
    assert_eq!(world.pulses.len(), 2);
}

#[test]
fn an_overdue_release_is_ordered_once_more_and_whoever_waits_is_refused() {
    let mut world = World::ready(&[]);
    world.mode = Relay::Welded;
    world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    world.wait(1090);
    world.now += 10;
    let actions = world
        .barrier
        .step(Monotonic::from_millis(world.now), Input::Tick);
    assert_eq!(actions.first(), Some(&Action::ReleaseAll));
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::Report(BarrierEvent::OpeningRefused { cause, reason: Refusal::FaultLatched, .. })
            if *cause == waits
    )));
    let position = BarrierEvent::PositionChanged {
        from: Position::Unknown,
        to: Position::Fault,
    };
    assert_eq!(actions.last(), Some(&Action::Report(position)));
}

/// While no relay guard is there nobody can report a release; its successor's start is one.
#[test]
fn a_pulse_without_its_relay_guard_is_not_overdue() {
    let mut world = World::ready(&[]);
    world.ask(Origin::Automatic);
    world.wait(100);
    world.kill();
    world.wait(5000);
    assert!(world.barrier.faults().is_empty());
    world.revive();
    world.wait(5000);
    assert!(world.barrier.faults().is_empty());
}

#[test]
fn a_relay_guard_that_comes_when_nothing_was_in_progress_lets_open_at_once() {
    let mut world = World::ready(&[]);
    world.wait(1000);
    world.kill();
    world.revive();
    world.ask(Origin::Automatic);
    assert_eq!(world.pulses.len(), 1);
}

#[test]
fn two_limits_at_once_are_latched_until_they_agree_and_the_button_is_held() {
    let lines = [Line::OpenedLimit, Line::ClosedLimit, Line::GuardButton];
    let mut world = World::ready(&lines);
    world.line(&Line::OpenedLimit, true);
    world.line(&Line::ClosedLimit, true);
    world.health(Line::SafetyLoop, LineFault::Stuck, true);
    assert_eq!(world.barrier.position(), Position::Fault);
    world.press(5100);
    assert_eq!(world.barrier.faults(), [Fault::LimitsContradict]);
    world.line(&Line::OpenedLimit, false);
    world.wait(1000);
    assert_eq!(world.barrier.position(), Position::Closed);
    assert_eq!(world.barrier.faults(), [Fault::LimitsContradict]);
    world.ask(Origin::Automatic);
    assert!(world.pulses.len() > 1, "openings go on");
    world.press(5100);
    assert!(world.barrier.faults().is_empty());
}

#[test]
fn one_limit_alone_tells_only_what_it_sees() {
    for (wired, there) in [
        (Line::OpenedLimit, Position::Open),
        (Line::ClosedLimit, Position::Closed),
    ] {
        let mut world = World::ready(std::slice::from_ref(&wired));
        world.line(&wired, true);
        assert_eq!(world.barrier.position(), there);
        world.line(&wired, false);
        assert_eq!(world.barrier.position(), Position::Unknown);
    }
}

#[test]
fn after_stop_the_boom_is_stopped_until_something_moves_it() {
    let mut world = World::ready(&[Line::Stop]);
    world.line(&Line::Stop, true);
    world.line(&Line::Stop, false);
    assert_eq!(world.barrier.position(), Position::Stopped);
    world.ask(Origin::Automatic);
    assert_eq!(world.pulses.len(), 1);
    assert_eq!(world.barrier.position(), Position::Unknown);
}

#[test]
fn a_fault_of_an_input_clears_by_itself_only_where_nobody_could_clear_it() {
    for (lines, faulty, by_itself) in [
        (
            &[Line::GuardButton, Line::SafetyLoop][..],
            Line::SafetyLoop,
            false,
        ),
        (
            &[Line::GuardButton, Line::SafetyLoop][..],
            Line::GuardButton,
            true,
        ),
        (&[Line::SafetyLoop][..], Line::SafetyLoop, true),
    ] {
        let mut world = World::ready(lines);
        for fault in [LineFault::Chatter, LineFault::Stuck] {
            world.health(faulty.clone(), fault, true);
            world.health(faulty.clone(), fault, true);
        }
        assert_eq!(world.barrier.faults().len(), 2, "each is latched once");
        world.health(faulty.clone(), LineFault::Stuck, false);
        let left = world.barrier.faults().len();
        assert_eq!(left, if by_itself { 1 } else { 2 }, "{faulty} of {lines:?}");
        let cleared = world.said(|event| matches!(event, BarrierEvent::FaultCleared { .. }));
        assert_eq!(cleared, usize::from(by_itself));
    }
}

#[test]
fn a_car_that_the_guard_keeps_waiting_too_long_is_refused() {
    let mut world = World::ready(&[]);
    world.ask(Origin::Automatic);
    let car = world.ask(Origin::Automatic);
    // Four turns of pulse, margin and gap, and the freshness.
    let patience = 4 * (500 + 600 + 2000) + 500;
    while world.now < patience {
        assert_eq!(world.reason_of(&car), None, "at {} ms", world.now);
        if world.now.is_multiple_of(800) {
            world.ask(Origin::Guard);
        }
        world.wait(10);
    }
    assert_eq!(world.reason_of(&car), Some(Refusal::Stale));
    assert!(!world.started.contains(&car));
}

#[test]
fn after_the_shutdown_every_request_is_refused() {
    let mut world = World::ready(&[]);
    world.step(Input::Shutdown);
    let late = world.ask(Origin::Guard);
    assert_eq!(world.reason_of(&late), Some(Refusal::ShuttingDown));
}

/// A key, its least and its most in milliseconds, and its place.
type Bounds = (
    &'static str,
    u64,
    u64,
    fn(&mut PulseProfile) -> &mut Duration,
);

#[test]
fn times_out_of_their_bounds_are_refused_by_their_key() {
    let profile = PulseProfile::default();
    let ms = Duration::from_millis;
    assert!(profile.check().is_ok());
    let set: [Bounds; 6] = [
        ("pulse", 200, 1000, |p| &mut p.pulse),
        ("repeat_gap", 300, 60_000, |p| &mut p.repeat_gap),
        ("fire_repeat", 1000, 60_000, |p| &mut p.fire_repeat),
        ("freshness", 100, 2000, |p| &mut p.freshness),
        ("dead_time", 100, 5000, |p| &mut p.dead_time),
        ("release_margin", 200, 5000, |p| &mut p.release_margin),
    ];
    for (key, least, most, field) in set {
        for (value, allowed) in [
            (least - 1, false),
            (least, true),
            (most, true),
            (most + 1, false),
        ] {
            let mut profile = profile;
            *field(&mut profile) = ms(value);
            let checked = profile.check();
            assert_eq!(checked.is_ok(), allowed, "{key} = {value} ms");
            assert!(checked.is_ok() || checked.is_err_and(|why| why.key == key));
        }
    }
}

#[test]
fn every_refusal_says_why_in_its_own_words() {
    let all = [
        Refusal::Duplicate,
        Refusal::QueueFull,
        Refusal::StopActive,
        Refusal::FaultLatched,
        Refusal::RelayGuardLost,
        Refusal::Stale,
        Refusal::FireHoldsOpen,
        Refusal::ShuttingDown,
        Refusal::NotForHolding,
    ];
    let words: HashSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), all.len());
    assert!(words.iter().all(|words| words.len() > 10));
}

#[test]
fn every_fault_names_its_cure_and_those_of_the_relays_stop_openings() {
    let input = |line, fault| Fault::Input { line, fault };
    for (fault, blocks, cure) in [
        (Fault::RelayNotReleased, true, "welded"),
        (Fault::LimitsContradict, false, "opened and closed limits"),
        (Fault::MotorOverrun { closing: true }, true, "from closing"),
        (Fault::MotorOverrun { closing: false }, true, "from opening"),
        (Fault::MovedUnbidden, true, "balance spring"),
        (
            Fault::SelfTestFailed {
                line: Line::LightBeam,
            },
            false,
            "wiring of light_beam",
        ),
        (
            input(Line::GuardButton, LineFault::Chatter),
            false,
            "clears by itself",
        ),
        (
            input(Line::Fire, LineFault::Stuck),
            false,
            "keeps fire active",
        ),
        (
            input(Line::Fire, LineFault::Chatter),
            false,
            "loose contact",
        ),
        (
            input(Line::Fire, LineFault::Missing),
            false,
            "board which reads fire",
        ),
    ] {
        assert_eq!(fault.blocks(), blocks, "{fault:?}");
        assert!(fault.cure().contains(cure), "{}", fault.cure());
    }
}

#[test]
fn a_hold_pulses_at_once_and_again_until_it_is_ended() {
    let mut world = World::ready(&[]);
    let hold = world.hold(Origin::Command);
    assert_eq!(world.pulses, [(0, hold.clone())]);
    world.wait(12_000);
    let times: Vec<u64> = world.pulses.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 5000, 10_000]);
    world.step(Input::EndHold);
    assert!(
        world
            .events
            .contains(&BarrierEvent::HoldEnded { capped: false })
    );
    world.wait(60_000);
    assert_eq!(world.pulses.len(), 3);
    world.step(Input::EndHold);
    // The same cause has had its hold.
    let asked = Monotonic::from_millis(world.now);
    world.step(Input::Hold {
        cause: hold.clone(),
        origin: Origin::Command,
        asked,
    });
    assert_eq!(world.hold_refused(&hold), Some(Refusal::Duplicate));
    assert_eq!(world.pulses.len(), 3);
}

#[test]
fn a_hold_ends_at_its_cap_and_a_second_one_begins_the_time_anew() {
    let mut world = World::ready(&[]);
    world.hold(Origin::Schedule);
    world.wait(ms(HOLD_CAP_MIN) - 1000);
    world.hold(Origin::Guard);
    world.wait(ms(HOLD_CAP_MIN) - 10);
    assert!(world.held.is_some());
    world.wait(10);
    assert!(
        world
            .events
            .contains(&BarrierEvent::HoldEnded { capped: true })
    );
    let pulses = world.pulses.len();
    world.wait(20_000);
    assert_eq!(world.pulses.len(), pulses);
}

#[test]
fn nobody_holds_a_boom_that_is_not_set_up_for_it_and_no_car_holds_one() {
    let mut world = World::ready(&[Line::Fire, Line::Stop]);
    let car = world.hold(Origin::Automatic);
    assert_eq!(world.hold_refused(&car), Some(Refusal::NotForHolding));
    world.line(&Line::Stop, true);
    let stopped = world.hold(Origin::Command);
    assert_eq!(world.hold_refused(&stopped), Some(Refusal::StopActive));
    world.line(&Line::Stop, false);
    world.now = 10_000;
    let late = CauseId::new("hold-late").unwrap();
    world.step(Input::Hold {
        cause: late.clone(),
        origin: Origin::Command,
        asked: Monotonic::from_millis(9000),
    });
    assert_eq!(world.hold_refused(&late), Some(Refusal::Stale));
    world.kill();
    let nobody = world.hold(Origin::Command);
    assert_eq!(world.hold_refused(&nobody), Some(Refusal::RelayGuardLost));
    world.barrier = Barrier::new(PulseProfile::DEFAULT, [], Monotonic::from_millis(world.now));
    world.revive();
    let unfit = world.hold(Origin::Guard);
    assert_eq!(world.hold_refused(&unfit), Some(Refusal::CannotHold));
    assert!(Refusal::CannotHold.to_string().contains("hold_cap"));
    world.wait(10_000);
    assert!(world.pulses.is_empty());
}

#[test]
fn what_ends_a_hold_does_not_let_it_come_back() {
    for what in ["stop", "guard", "fault", "shutdown"] {
        let mut world = World::ready(&[Line::Stop]);
        if what == "fault" {
            world.mode = Relay::Welded;
        }
        world.hold(Origin::Guard);
        world.wait(if what == "fault" { 2000 } else { 700 });
        match what {
            "stop" => world.line(&Line::Stop, true),
            "guard" => world.kill(),
            "shutdown" => world.step(Input::Shutdown),
            _ => {}
        }
        assert_eq!(world.held, None, "{what}");
        world.mode = Relay::Good;
        world.line(&Line::Stop, false);
        world.kill();
        world.revive();
        world.line(&Line::Stop, false);
        world.wait(20_000);
        assert_eq!(world.pulses.len(), 1, "{what}");
    }
}

#[test]
fn a_fire_goes_before_a_hold_and_a_car_waits_only_the_dead_time_under_one() {
    let mut world = World::ready(&[Line::Fire]);
    world.hold(Origin::Command);
    let car = world.ask(Origin::Automatic);
    world.wait(810);
    assert_eq!(world.pulses.last(), Some(&(800, car)));
    world.line(&Line::Fire, true);
    world.wait(10_000);
    assert!(
        world.pulses[2..]
            .iter()
            .all(|(_, cause)| cause.as_str().starts_with("fire"))
    );
    world.line(&Line::Fire, false);
    world.wait(6000);
    assert!(world.pulses.last().unwrap().1.as_str().starts_with("hold"));
}

#[derive(Debug, Clone)]
enum Happening {
    Wait(u64),
    Ask(Origin),
    AskAgain,
    Hold(Origin),
    EndHold,
    Line(Line, bool),
    Mode(Relay),
    Kill,
    Revive,
}

fn happening() -> impl Strategy<Value = Happening> {
    let origin = prop_oneof![
        Just(Origin::Automatic),
        Just(Origin::Guard),
        Just(Origin::Command)
    ];
    let holder = prop_oneof![
        Just(Origin::Automatic),
        Just(Origin::Guard),
        Just(Origin::Schedule)
    ];
    let line = prop_oneof![
        Just(Line::Stop),
        Just(Line::Fire),
        Just(Line::GuardButton),
        Just(Line::SafetyLoop)
    ];
    let mode = prop_oneof![
        4 => Just(Relay::Good),
        1 => Just(Relay::Welded),
        1 => Just(Relay::Refuses),
        1 => Just(Relay::Silent),
        1 => Just(Relay::Fails),
    ];
    prop_oneof![
        6 => (1u64..700).prop_map(Happening::Wait),
        1 => (2000u64..7000).prop_map(Happening::Wait),
        6 => origin.prop_map(Happening::Ask),
        1 => Just(Happening::AskAgain),
        2 => holder.prop_map(Happening::Hold),
        1 => Just(Happening::EndHold),
        1 => (55_000u64..65_000).prop_map(Happening::Wait),
        4 => (line, any::<bool>()).prop_map(|(line, active)| Happening::Line(line, active)),
        1 => mode.prop_map(Happening::Mode),
        1 => Just(Happening::Kill),
        3 => Just(Happening::Revive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The invariants asserted in [`World`] hold on every trace, and afterwards every request
    /// has had exactly one answer.
    #[test]
    fn the_rules_hold_whatever_happens(
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let lines = [Line::Stop, Line::Fire, Line::GuardButton, Line::SafetyLoop];
        let mut world = World::ready(&lines);
        for happening in happenings {
            match happening {
                Happening::Wait(millis) => world.wait(millis),
                Happening::Ask(origin) => { world.ask(origin); }
                Happening::AskAgain => world.ask_again(),
                Happening::Hold(origin) => { world.hold(origin); }
                Happening::EndHold => world.step(Input::EndHold),
                Happening::Line(line, active) => world.line(&line, active),
                Happening::Mode(mode) => world.mode = mode,
                Happening::Kill => world.kill(),
                Happening::Revive => world.revive(),
            }
        }
        world.mode = Relay::Good;
        world.revive();
        world.step(Input::EndHold);
        for line in &lines {
            world.line(line, false);
        }
        world.wait(30_000);
        let started: HashSet<_> = world.started.iter().collect();
        for cause in world.asked.keys() {
            let answers = usize::from(started.contains(cause))
                + world.refused.iter().filter(|(refused, _)| refused == cause).count();
            prop_assert_eq!(answers, 1, "{} has {} answers", cause, answers);
        }
        // Everything is at rest again and can be cleared on site: the next car gets in.
        world.line(&Line::GuardButton, true);
        world.wait(6000);
        world.line(&Line::GuardButton, false);
        world.wait(6000);
        let car = world.ask(Origin::Automatic);
        prop_assert!(world.started.contains(&car));
    }

    /// Without a request, a press or an alarm nothing moves.
    #[test]
    fn nothing_moves_without_a_cause(
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let lines = [Line::Stop, Line::Fire, Line::GuardButton, Line::SafetyLoop];
        let mut world = World::ready(&lines);
        for happening in happenings {
            match happening {
                Happening::Wait(millis) => world.wait(millis),
                Happening::Line(line @ (Line::Stop | Line::SafetyLoop), active) => {
                    world.line(&line, active);
                }
                Happening::Kill => world.kill(),
                Happening::Revive => world.revive(),
                _ => {}
            }
        }
        prop_assert!(world.pulses.is_empty());
    }

    /// While the alarm lasts and nothing forbids it, the boom is opened at least once in
    /// every `fire_repeat` (and the pulse in progress and the dead time before it).
    #[test]
    fn fire_keeps_opening(
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::ready(&[Line::Fire, Line::GuardButton]);
        world.line(&Line::Fire, true);
        for happening in happenings {
            match happening {
                Happening::Wait(millis) => world.wait(millis),
                Happening::Ask(origin) => { world.ask(origin); }
                Happening::Line(line @ Line::GuardButton, active) => world.line(&line, active),
                _ => {}
            }
            let last = world.pulses.last().unwrap().0;
            prop_assert!(world.now - last <= 5050);
        }
    }
}
