//! The rules on scripted traces and on random ones, with a small boom and sensors.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Action, Input, ManagedBarrier, ManagedProfile, Output, Withheld};
use crate::barrier::{BarrierEvent, Fault, Origin, Position, Refusal};
use crate::cause::CauseId;
use crate::line::{Line, LineFault};
use crate::time::Monotonic;

const TICK: u64 = 50;
/// From closed to open.
const TRAVEL: i64 = 1500;

/// A barrier with a boom and two presence inputs that react to the test. Checks the outputs at
/// every action.
struct World {
    barrier: ManagedBarrier,
    now: u64,
    on: BTreeSet<Output>,
    released: Option<u64>,
    energised: u64,
    /// 0 closed, [`TRAVEL`] open.
    boom: i64,
    moves: bool,
    /// What each line shows.
    levels: BTreeMap<Line, bool>,
    /// Lines that no longer follow the world.
    stuck: BTreeSet<Line>,
    vehicle: bool,
    last_active: u64,
    reads: bool,
    next: u64,
    events: Vec<BarrierEvent>,
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

impl World {
    fn unproven() -> Self {
        Self::wired(&[
            Line::SafetyLoop,
            Line::LightBeam,
            Line::GuardButton,
            Line::Fire,
            Line::Stop,
            Line::OpenedLimit,
            Line::ClosedLimit,
        ])
    }

    /// A closed boom with these inputs, its relay guard ready.
    fn wired(lines: &[Line]) -> Self {
        let barrier =
            ManagedBarrier::experimental(ManagedProfile::default(), lines, at(0)).unwrap();
        let mut world = Self {
            barrier,
            now: 0,
            on: BTreeSet::new(),
            released: None,
            energised: 0,
            boom: 0,
            moves: true,
            levels: BTreeMap::new(),
            stuck: BTreeSet::new(),
            vehicle: false,
            last_active: 0,
            reads: true,
            next: 0,
            events: Vec::new(),
        };
        world.step(Input::RelayGuardReady);
        for line in lines {
            world.line(line, *line == Line::ClosedLimit);
        }
        world.wait(1000);
        world
    }

    /// A closed boom whose presence inputs have seen a vehicle.
    fn ready() -> Self {
        let mut world = Self::unproven();
        world.vehicle(true);
        world.wait(200);
        world.vehicle(false);
        world.wait(2000);
        world.events.clear();
        world
    }

    fn step(&mut self, input: Input) {
        for action in self.barrier.step(at(self.now), input) {
            match action {
                Action::Set { output, energised } => self.set(output, energised),
                Action::Report(event) => self.events.push(event),
            }
        }
    }

    fn shows(&self, line: &Line, active: bool) -> bool {
        self.levels.get(line) == Some(&active)
    }

    fn set(&mut self, output: Output, energised: bool) {
        if !energised {
            if self.on.remove(&output) && matches!(output, Output::Open | Output::Close) {
                self.released = Some(self.now);
            }
            return;
        }
        self.on.insert(output);
        let moving = self.on.iter().filter(|o| **o != Output::Test).count();
        assert_eq!(moving, usize::from(output != Output::Test || moving == 1));
        let stop = self.shows(&Line::Stop, true);
        if matches!(output, Output::Open | Output::Close) {
            assert!(!stop, "{output:?} under STOP");
            assert!(
                self.released.is_none_or(|at| self.now - at >= 300),
                "no dead time"
            );
            self.energised = self.now;
        }
        if output == Output::Close {
            assert!(self.shows(&Line::Fire, false), "closes in a fire");
            assert!(self.shows(&Line::SafetyLoop, false) && self.shows(&Line::LightBeam, false));
            assert!(self.now - self.last_active >= 1500, "no clearance");
        }
    }

    fn line(&mut self, line: &Line, active: bool) {
        if self.levels.get(line) == Some(&active) {
            return;
        }
        self.levels.insert(line.clone(), active);
        if matches!(line, Line::SafetyLoop | Line::LightBeam) {
            self.last_active = self.now;
        }
        let line = line.clone();
        let at = Monotonic::from_millis(self.now);
        self.step(Input::LineChanged { line, active, at });
    }

    fn follow(&mut self) {
        let tested = self.on.contains(&Output::Test);
        let present = self.vehicle || tested;
        for (line, active) in [
            (Line::SafetyLoop, present),
            (Line::LightBeam, present),
            (Line::OpenedLimit, self.boom >= TRAVEL),
            (Line::ClosedLimit, self.boom <= 0),
        ] {
            if !self.stuck.contains(&line) {
                self.line(&line, active);
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            let step = TICK.min(end - self.now);
            self.now += step;
            let way = if self.moves { step as i64 } else { 0 };
            if self.on.contains(&Output::Open) {
                self.boom = (self.boom + way).min(TRAVEL);
            }
            if self.on.contains(&Output::Close) {
                self.boom = (self.boom - way).max(0);
            }
            self.follow();
            if self.reads {
                self.step(Input::InputsRead { silent: Vec::new() });
            }
            self.step(Input::Tick);
            if self.on.contains(&Output::Open) || self.on.contains(&Output::Close) {
                assert!(self.now - self.energised <= 10_050, "the motor overran");
            }
        }
    }

    fn vehicle(&mut self, there: bool) {
        self.vehicle = there;
        self.follow();
    }

    fn passes(&mut self) {
        self.vehicle(true);
        self.wait(800);
        self.vehicle(false);
    }

    fn cause(&mut self) -> CauseId {
        self.next += 1;
        CauseId::new(format!("passage-{}", self.next)).unwrap()
    }

    fn ask(&mut self, origin: Origin) -> CauseId {
        let cause = self.cause();
        self.ask_for(&cause, origin, self.now);
        cause
    }

    fn ask_for(&mut self, cause: &CauseId, origin: Origin, asked: u64) {
        self.step(Input::OpenRequest {
            cause: cause.clone(),
            origin,
            asked: at(asked),
        });
    }

    fn hold(&mut self, origin: Origin) -> CauseId {
        let cause = self.cause();
        self.step(Input::Hold {
            cause: cause.clone(),
            origin,
            asked: at(self.now),
        });
        cause
    }

    fn refusal(&self, cause: &CauseId) -> Option<Refusal> {
        self.events.iter().find_map(|event| match event {
            BarrierEvent::OpeningRefused {
                cause: c, reason, ..
            } if c == cause => Some(*reason),
            _ => None,
        })
    }

    fn began(&self, cause: &CauseId) -> bool {
        self.events.iter().any(
            |event| matches!(event, BarrierEvent::OpeningStarted { cause: c, .. } if c == cause),
        )
    }

    fn count(&self, wanted: impl Fn(&BarrierEvent) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    fn opened_by(&self, origin: Origin) -> usize {
        self.count(
            |event| matches!(event, BarrierEvent::OpeningStarted { origin: o, .. } if *o == origin),
        )
    }

    fn withheld(&self) -> Option<Withheld> {
        self.barrier.withheld(at(self.now))
    }

    fn press(&mut self, millis: u64) {
        self.line(&Line::GuardButton, true);
        self.wait(millis);
        self.line(&Line::GuardButton, false);
    }

    fn latched(&self, fault: &Fault) -> bool {
        self.barrier.faults().contains(fault)
    }

    fn closed(&self) -> bool {
        self.boom == 0
    }
}

#[test]
fn one_vehicle_opens_passes_and_the_boom_comes_down() {
    let mut world = World::ready();
    let cause = world.ask(Origin::Automatic);
    assert!(world.on.contains(&Output::Open), "in the very step");
    assert!(world.began(&cause));
    world.wait(2000);
    assert_eq!(world.barrier.position(), Position::Open);
    assert_eq!(world.withheld(), Some(Withheld::ForTheVehicle));
    world.passes();
    world.wait(100);
    assert_eq!(world.withheld(), Some(Withheld::Clearance));
    world.wait(3200);
    assert!(world.closed());
    assert_eq!(world.barrier.position(), Position::Closed);
    assert!(world.on.is_empty());
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::Tailgated { .. })),
        0
    );
}

#[test]
fn a_vehicle_that_does_not_come_is_not_waited_for_longer_than_the_hold() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(9000);
    assert!(!world.on.contains(&Output::Close));
    world.wait(3000);
    assert!(world.closed());
}

#[test]
fn presence_while_closing_breaks_off_in_the_step_and_opens_after_the_dead_time() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    while !world.on.contains(&Output::Close) {
        world.wait(50);
    }
    world.wait(500);
    world.vehicle(true);
    assert!(!world.on.contains(&Output::Close), "not in the very step");
    world.wait(250);
    assert!(!world.on.contains(&Output::Open));
    world.wait(50);
    assert!(world.on.contains(&Output::Open));
    assert_eq!(world.opened_by(Origin::Presence), 1);
    world.wait(2000);
    assert_eq!(world.withheld(), Some(Withheld::Occupied));
    world.vehicle(false);
    world.wait(4000);
    assert!(world.closed());
}

#[test]
fn after_the_start_a_vehicle_must_have_been_seen_before_it_closes() {
    let mut world = World::unproven();
    world.ask(Origin::Guard);
    world.wait(60_000);
    assert_eq!(world.withheld(), Some(Withheld::Unproven));
    world.passes();
    world.wait(4000);
    assert!(world.closed());
    world.step(Input::RelayGuardLost {
        reason: "killed".into(),
    });
    world.levels.clear();
    world.step(Input::RelayGuardReady);
    for line in [Line::Stop, Line::Fire, Line::GuardButton] {
        world.line(&line, false);
    }
    world.wait(1000);
    world.ask(Origin::Guard);
    world.wait(60_000);
    assert_eq!(world.withheld(), Some(Withheld::Unproven));
}

#[test]
fn inputs_that_are_not_read_break_the_closing_off() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(1600);
    world.passes();
    while !world.on.contains(&Output::Close) {
        world.wait(50);
    }
    world.reads = false;
    world.wait(600);
    assert!(!world.on.contains(&Output::Close));
    world.wait(3000);
    assert_eq!(world.withheld(), Some(Withheld::Stale));
    world.reads = true;
    world.wait(9000);
    assert!(world.closed());
}

#[test]
fn the_clearance_begins_anew_after_a_time_in_which_nothing_was_read() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    world.wait(200);
    world.reads = false;
    world.wait(600);
    world.reads = true;
    world.wait(1400);
    assert_eq!(world.withheld(), Some(Withheld::Clearance));
    world.wait(300);
    assert!(world.on.contains(&Output::Close));
}

#[test]
fn a_sensor_that_does_not_react_to_its_test_keeps_the_boom_up_until_cleared() {
    let mut world = World::ready();
    world.stuck.insert(Line::LightBeam);
    world.ask(Origin::Automatic);
    world.wait(2000);
    let line = Line::LightBeam;
    assert!(world.latched(&Fault::SelfTestFailed { line: line.clone() }));
    world.passes();
    world.wait(30_000);
    assert_eq!(world.withheld(), Some(Withheld::FaultLatched));
    assert!(!world.barrier.faults()[0].cure().is_empty());
    world.stuck.clear();
    world.press(4900);
    assert!(world.latched(&Fault::SelfTestFailed { line: line.clone() }));
    world.wait(100);
    // Nobody looks for a while, and the release is heard of late.
    world.line(&Line::GuardButton, true);
    world.wait(2000);
    world.now += 4000;
    world.step(Input::InputsRead { silent: Vec::new() });
    world.line(&Line::GuardButton, false);
    assert!(world.latched(&Fault::SelfTestFailed { line }));
    world.wait(100);
    world.press(5100);
    assert!(world.barrier.faults().is_empty());
    world.wait(20_000);
    assert!(world.closed());
}

#[test]
fn what_was_there_before_the_test_is_no_answer_to_it() {
    let mut world = World::ready();
    let line = Line::LightBeam;
    world.stuck.insert(line.clone());
    world.ask(Origin::Automatic);
    while !world.on.contains(&Output::Test) {
        world.wait(10);
    }
    for (active, before) in [(true, 1000), (false, 900)] {
        world.step(Input::LineChanged {
            line: line.clone(),
            active,
            at: at(world.now - before),
        });
    }
    world.wait(2000);
    assert!(world.latched(&Fault::SelfTestFailed { line }));
}

#[test]
fn a_faulty_presence_input_is_a_latched_fault_and_nothing_closes() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    while !world.on.contains(&Output::Close) {
        world.wait(50);
    }
    let (line, fault) = (Line::SafetyLoop, LineFault::Chatter);
    world.step(Input::LineHealth {
        line: line.clone(),
        fault,
        faulty: true,
    });
    assert!(!world.on.contains(&Output::Close));
    world.step(Input::LineHealth {
        line: line.clone(),
        fault,
        faulty: false,
    });
    world.wait(20_000);
    assert!(
        world.latched(&Fault::Input { line, fault }),
        "cleared on site only"
    );
    assert_eq!(world.withheld(), Some(Withheld::FaultLatched));
    world.press(5100);
    world.wait(20_000);
    assert!(world.closed());
}

#[test]
fn stop_ends_all_motion_and_nothing_restarts_by_itself() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    world.wait(500);
    world.line(&Line::Stop, true);
    assert_eq!(world.on, BTreeSet::from([Output::Stop]));
    assert_eq!(world.refusal(&waits), Some(Refusal::StopActive));
    let late = world.ask(Origin::Guard);
    assert_eq!(world.refusal(&late), Some(Refusal::StopActive));
    world.wait(1000);
    world.line(&Line::Fire, true);
    world.line(&Line::Stop, false);
    world.wait(30_000);
    assert!(
        world.on.is_empty(),
        "a fire from before STOP's end restarts nothing"
    );
    assert_eq!(world.barrier.position(), Position::Stopped);
    world.ask(Origin::Guard);
    assert!(world.on.contains(&Output::Open));
    world.wait(20_000);
    assert_eq!(world.withheld(), Some(Withheld::FireHolds));
}

#[test]
fn a_fire_that_began_while_nothing_was_seen_opens_unless_stop_is_found() {
    for (fire_before, stop_after, opens) in [
        (false, false, true),
        (true, false, false),
        (false, true, false),
    ] {
        let mut world = World::ready();
        world.line(&Line::Stop, true);
        world.line(&Line::Fire, fire_before);
        world.wait(1000);
        world.step(Input::RelayGuardLost {
            reason: "killed".into(),
        });
        world.levels.clear();
        world.wait(3000);
        world.step(Input::RelayGuardReady);
        world.line(&Line::Fire, true);
        world.line(&Line::Stop, stop_after);
        world.line(&Line::Stop, false);
        world.wait(500);
        let up = world.on.contains(&Output::Open);
        assert_eq!(up, opens, "{fire_before} {stop_after}");
    }
}

#[test]
fn fire_opens_and_holds_and_after_it_the_usual_rules_hold() {
    let mut world = World::ready();
    world.line(&Line::Fire, true);
    assert!(world.on.contains(&Output::Open));
    let car = world.ask(Origin::Automatic);
    assert_eq!(world.refusal(&car), Some(Refusal::FireHoldsOpen));
    world.wait(60_000);
    assert_eq!(world.withheld(), Some(Withheld::FireHolds));
    assert_eq!(world.opened_by(Origin::Fire), 1);
    world.line(&Line::Fire, false);
    world.wait(5000);
    assert!(world.closed());
}

#[test]
fn fire_reverses_a_closing_boom_and_moves_under_latched_faults() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    while !world.on.contains(&Output::Close) {
        world.wait(50);
    }
    world.wait(300);
    world.line(&Line::Fire, true);
    assert!(!world.on.contains(&Output::Close));
    world.wait(300);
    assert!(world.on.contains(&Output::Open));
    world.step(Input::PortFailed {
        reason: "busy".into(),
    });
    assert!(world.latched(&Fault::RelayNotReleased));
    world.wait(2000);
    assert_eq!(world.boom, TRAVEL);
}

#[test]
fn a_motor_that_does_not_arrive_is_a_fault_and_fire_tries_again_after_a_rest() {
    let mut world = World::ready();
    world.moves = false;
    let cause = world.ask(Origin::Automatic);
    world.wait(10_100);
    let overrun = Fault::MotorOverrun { closing: false };
    assert!(world.latched(&overrun));
    assert_eq!(world.on, BTreeSet::from([Output::Stop]));
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::OpeningFailed { cause: c, .. } if *c == cause)),
        1
    );
    let next = world.ask(Origin::Guard);
    assert_eq!(world.refusal(&next), Some(Refusal::FaultLatched));
    world.line(&Line::Fire, true);
    world.wait(40_000);
    world.moves = true;
    world.wait(8000);
    assert_eq!(world.boom, TRAVEL);
}

#[test]
fn a_button_held_since_before_the_fault_does_not_clear_it() {
    let mut world = World::ready();
    world.moves = false;
    world.ask(Origin::Automatic);
    world.wait(8000);
    world.line(&Line::GuardButton, true);
    world.wait(6000);
    let overrun = Fault::MotorOverrun { closing: false };
    assert!(world.latched(&overrun));
    world.line(&Line::GuardButton, false);
    world.press(5100);
    assert!(!world.latched(&overrun));
}

#[test]
fn a_hold_that_comes_as_the_motor_reaches_its_bound_is_refused() {
    let mut world = World::ready();
    world.moves = false;
    world.ask(Origin::Automatic);
    while !world.on.contains(&Output::Open) {
        world.wait(50);
    }
    world.now = world.energised + 10_000;
    let hold = world.hold(Origin::Guard);
    assert!(world.latched(&Fault::MotorOverrun { closing: false }));
    assert_eq!(world.refusal(&hold), Some(Refusal::FaultLatched));
    assert!(!world.began(&hold));
}

#[test]
fn both_limits_at_once_are_a_fault() {
    let mut world = World::ready();
    world.stuck.insert(Line::ClosedLimit);
    world.ask(Origin::Automatic);
    world.wait(2000);
    assert!(world.latched(&Fault::LimitsContradict));
    assert_eq!(world.barrier.position(), Position::Fault);
    world.press(5100);
    assert!(
        world.latched(&Fault::LimitsContradict),
        "not while it lasts"
    );
    world.stuck.clear();
    world.wait(100);
    world.barrier.step(at(world.now), Input::Tick);
    world.press(5100);
    assert!(!world.latched(&Fault::LimitsContradict));
}

#[test]
fn a_boom_that_moves_by_itself_is_a_fault() {
    let mut world = World::ready();
    world.wait(5000);
    world.boom = 300;
    world.wait(100);
    assert!(world.latched(&Fault::MovedUnbidden));
    assert_eq!(world.on, BTreeSet::from([Output::Stop]));
}

#[test]
fn openings_wait_for_their_turn_and_the_guard_does_not() {
    let mut world = World::ready();
    let cars: Vec<CauseId> = (0..5).map(|_| world.ask(Origin::Automatic)).collect();
    assert_eq!(world.refusal(&cars[4]), Some(Refusal::QueueFull));
    assert!(!world.began(&cars[1]));
    let guard = world.ask(Origin::Guard);
    assert!(world.began(&guard));
    assert_eq!(world.refusal(&cars[3]), Some(Refusal::QueueFull));
    world.wait(2000);
    world.passes();
    world.wait(100);
    assert!(world.began(&cars[1]), "its turn");
    assert!(!world.began(&cars[2]));
    world.wait(8100);
    assert!(world.began(&cars[2]), "the one before did not come in time");
    world.ask_for(&cars[0], Origin::Automatic, world.now);
    assert_eq!(world.refusal(&cars[0]), Some(Refusal::Duplicate));
}

#[test]
fn what_is_old_moves_nothing() {
    let mut world = World::ready();
    let old = world.cause();
    let asked = world.now - 501;
    world.ask_for(&old, Origin::Command, asked);
    assert_eq!(world.refusal(&old), Some(Refusal::Stale));
    world.step(Input::RelayGuardLost {
        reason: "killed".into(),
    });
    let waits = world.ask(Origin::Automatic);
    world.wait(550);
    assert_eq!(world.refusal(&waits), Some(Refusal::RelayGuardLost));
}

#[test]
fn a_press_that_is_heard_of_too_late_opens_nothing() {
    for (late, opens) in [(500, true), (501, false)] {
        let mut world = World::ready();
        world.wait(10_000);
        world.step(Input::LineChanged {
            line: Line::GuardButton,
            active: true,
            at: Monotonic::from_millis(world.now - late),
        });
        let up = world.on.contains(&Output::Open);
        assert_eq!(up, opens, "{late} ms late");
    }
}

#[test]
fn a_tailgater_is_reported_and_passes() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    world.wait(300);
    world.passes();
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::Tailgated { .. })),
        1
    );
    assert!(!world.on.contains(&Output::Close));
}

#[test]
fn a_hold_is_for_persons_and_ends_at_its_cap() {
    let mut world = World::ready();
    let car = world.hold(Origin::Automatic);
    assert_eq!(world.refusal(&car), Some(Refusal::NotForHolding));
    world.hold(Origin::Schedule);
    world.wait(60_000);
    assert_eq!(world.withheld(), Some(Withheld::Held));
    world.wait(29 * 60_000 + 1000);
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::HoldEnded { capped: true })),
        1
    );
    world.wait(15_000);
    assert!(world.closed());
    world.hold(Origin::Guard);
    world.wait(20_000);
    world.step(Input::EndHold);
    world.wait(15_000);
    assert!(world.closed());
}

#[test]
fn shutdown_releases_everything() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.step(Input::Shutdown);
    assert!(world.on.is_empty());
    let late = world.ask(Origin::Guard);
    assert_eq!(world.refusal(&late), Some(Refusal::ShuttingDown));
    world.wait(5000);
    assert!(world.on.is_empty());
}

#[test]
fn it_needs_limits_a_button_and_a_presence_input() {
    let all = [
        Line::OpenedLimit,
        Line::ClosedLimit,
        Line::GuardButton,
        Line::LightBeam,
    ];
    let barrier = |lines: &[Line], profile| ManagedBarrier::experimental(profile, lines, at(0));
    assert!(barrier(&all, ManagedProfile::default()).is_ok());
    for missing in 0..all.len() {
        let mut lines = all.to_vec();
        lines.remove(missing);
        assert!(barrier(&lines, ManagedProfile::default()).is_err());
    }
    let profile = ManagedProfile {
        dead_time: std::time::Duration::from_millis(299),
        ..ManagedProfile::default()
    };
    assert_eq!(barrier(&all, profile).unwrap_err().key, "dead_time");
}

impl World {
    /// Tells of a level whether or not it is news.
    fn tell(&mut self, line: Line, active: bool) {
        let at = at(self.now);
        self.step(Input::LineChanged { line, active, at });
    }

    fn health(&mut self, line: Line, fault: LineFault, faulty: bool) {
        self.step(Input::LineHealth {
            line,
            fault,
            faulty,
        });
    }

    /// The input is not read any more.
    fn lose(&mut self, line: Line) {
        self.stuck.insert(line.clone());
        self.health(line, LineFault::Missing, true);
    }

    /// A vehicle was let in, has passed, and the boom has just begun to come down.
    fn closing() -> Self {
        let mut world = Self::ready();
        world.ask(Origin::Automatic);
        world.wait(2000);
        world.passes();
        while !world.on.contains(&Output::Close) {
            world.wait(50);
        }
        world
    }

    fn failed(&self, cause: &CauseId) -> bool {
        self.count(|e| matches!(e, BarrierEvent::OpeningFailed { cause: c, .. } if c == cause)) > 0
    }
}

#[test]
fn without_stop_and_fire_wired_nothing_is_waited_for() {
    let lines = [
        Line::SafetyLoop,
        Line::LightBeam,
        Line::GuardButton,
        Line::OpenedLimit,
        Line::ClosedLimit,
    ];
    let mut world = World::wired(&lines);
    world.ask(Origin::Automatic);
    assert!(world.on.contains(&Output::Open));
}

#[test]
fn an_input_that_is_told_twice_is_no_news() {
    let mut world = World::ready();
    world.line(&Line::GuardButton, true);
    world.wait(3000);
    world.tell(Line::GuardButton, true);
    assert_eq!(world.opened_by(Origin::Guard), 1, "pressed once");
    world.tell(Line::OpenedLimit, true);
    assert!(world.barrier.faults().is_empty(), "nothing moved");
}

#[test]
fn a_button_found_pressed_is_no_press() {
    let mut world = World::ready();
    world.lose(Line::GuardButton);
    world.health(Line::GuardButton, LineFault::Missing, false);
    world.tell(Line::GuardButton, true);
    world.wait(1000);
    assert_eq!(world.opened_by(Origin::Guard), 0);
}

#[test]
fn a_fault_of_the_button_clears_by_itself_and_others_do_not() {
    let mut world = World::ready();
    for line in [Line::GuardButton, Line::Fire] {
        world.health(line.clone(), LineFault::Chatter, true);
        world.health(line.clone(), LineFault::Chatter, true);
        world.health(line, LineFault::Chatter, false);
    }
    assert_eq!(world.barrier.faults(), [fault_of(Line::Fire)]);
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::FaultLatched { .. })),
        2
    );
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    world.wait(5000);
    assert!(
        world.closed(),
        "a fire input that chatters forbids no closing"
    );
}

fn fault_of(line: Line) -> Fault {
    Fault::Input {
        line,
        fault: LineFault::Chatter,
    }
}

#[test]
fn a_fault_that_lasts_is_not_cleared_by_the_button() {
    let mut world = World::ready();
    world.health(Line::Fire, LineFault::Chatter, true);
    world.press(5100);
    assert!(world.latched(&fault_of(Line::Fire)));
    world.press(5100);
    assert!(world.latched(&fault_of(Line::Fire)), "nor by a second try");
    world.health(Line::Fire, LineFault::Chatter, false);
    world.press(5100);
    assert!(world.barrier.faults().is_empty());
}

#[test]
fn a_stop_that_is_not_read_rests_the_motor_and_nothing_goes_on_by_itself() {
    let mut world = World::ready();
    let cause = world.ask(Origin::Automatic);
    world.lose(Line::Stop);
    assert!(world.on.is_empty(), "in the very step");
    world.wait(400);
    assert!(world.on.is_empty(), "no test either");
    assert!(!world.failed(&cause));
    world.wait(100);
    assert!(world.failed(&cause), "too old by now");
    world.tell(Line::Stop, false);
    world.wait(5000);
    assert!(world.on.is_empty());
    world.ask(Origin::Automatic);
    assert!(
        world.on.contains(&Output::Open),
        "a fresh one is carried out"
    );
}

#[test]
fn a_stop_that_is_read_again_in_time_lets_the_opening_go_on() {
    let mut world = World::ready();
    let cause = world.ask(Origin::Automatic);
    world.lose(Line::Stop);
    world.wait(450);
    world.tell(Line::Stop, false);
    assert!(world.on.contains(&Output::Open));
    assert!(!world.failed(&cause));
}

#[test]
fn a_stop_that_is_not_read_ends_a_closing_and_keeps_an_open_boom_up() {
    let mut world = World::closing();
    world.lose(Line::Stop);
    assert!(world.on.is_empty());
    world.tell(Line::Stop, false);
    world.wait(20_000);
    assert!(!world.on.contains(&Output::Close), "not without a cause");

    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(2000);
    world.passes();
    world.wait(1450);
    assert_eq!(world.withheld(), Some(Withheld::Clearance));
    world.lose(Line::Stop);
    world.wait(100);
    assert_eq!(world.withheld(), None);
    assert!(world.on.is_empty());
}

#[test]
fn a_lost_relay_guard_ends_a_closing_for_good() {
    let mut world = World::closing();
    let reason = "killed".to_owned();
    world.step(Input::RelayGuardLost {
        reason: reason.clone(),
    });
    assert!(world.on.is_empty());
    assert_eq!(
        world.count(|e| *e
            == BarrierEvent::RelayGuardLost {
                reason: reason.clone()
            }),
        1
    );
    world.levels.clear();
    world.step(Input::RelayGuardReady);
    for line in [Line::Stop, Line::Fire, Line::GuardButton] {
        world.line(&line, false);
    }
    world.wait(20_000);
    assert!(!world.on.contains(&Output::Close));
}

#[test]
fn the_dead_time_begins_with_a_new_relay_guard() {
    let mut world = World::closing();
    world.wait(500);
    world.step(Input::RelayGuardLost {
        reason: "killed".into(),
    });
    world.wait(5000);
    world.levels.clear();
    world.step(Input::RelayGuardReady);
    for line in [Line::Stop, Line::Fire, Line::GuardButton] {
        world.line(&line, false);
    }
    world.ask(Origin::Guard);
    world.wait(250);
    assert!(!world.on.contains(&Output::Open));
    world.wait(50);
    assert!(world.on.contains(&Output::Open));
}

#[test]
fn a_fire_that_stop_silenced_counts_again_when_it_has_ended_and_begins_anew() {
    for ends_under_stop in [false, true] {
        let mut world = World::ready();
        world.line(&Line::Fire, true);
        world.wait(500);
        world.line(&Line::Stop, true);
        world.wait(1000);
        if ends_under_stop {
            world.line(&Line::Fire, false);
            world.line(&Line::Stop, false);
        } else {
            world.line(&Line::Stop, false);
            world.tell(Line::Fire, true);
            world.wait(1000);
            assert!(world.on.is_empty(), "told again, it is the same fire");
            world.line(&Line::Fire, false);
        }
        world.wait(1000);
        assert!(world.on.is_empty());
        world.line(&Line::Fire, true);
        assert!(world.on.contains(&Output::Open));
    }
}

#[test]
fn a_hold_of_the_button_counts_as_long_as_somebody_looks_within_the_freshness() {
    for (pause, cleared) in [(500, true), (501, false)] {
        let mut world = World::ready();
        world.health(Line::Fire, LineFault::Stuck, true);
        world.health(Line::Fire, LineFault::Stuck, false);
        world.line(&Line::GuardButton, true);
        for _ in 0..12 {
            world.now += pause;
            world.step(Input::Tick);
        }
        let fault = Fault::Input {
            line: Line::Fire,
            fault: LineFault::Stuck,
        };
        assert_eq!(!world.latched(&fault), cleared, "{pause} ms");
    }
}

#[test]
fn a_fire_input_that_is_not_read_holds_nothing() {
    let mut world = World::ready();
    world.line(&Line::Fire, true);
    world.wait(5000);
    assert_eq!(world.withheld(), Some(Withheld::FireHolds));
    world.lose(Line::Fire);
    assert_ne!(world.withheld(), Some(Withheld::FireHolds));
}

#[test]
fn a_limit_that_is_not_read_tells_nothing_and_keeps_the_boom_up() {
    let mut world = World::ready();
    assert_eq!(world.barrier.position(), Position::Closed);
    world.lose(Line::ClosedLimit);
    assert_eq!(world.barrier.position(), Position::Unknown);
    for limit in [Line::OpenedLimit, Line::ClosedLimit] {
        let mut world = World::ready();
        world.ask(Origin::Automatic);
        world.wait(2000);
        assert_eq!(world.barrier.position(), Position::Open);
        let opened = limit == Line::OpenedLimit;
        world.lose(limit);
        assert_eq!(world.barrier.position() == Position::Open, !opened);
        world.passes();
        world.wait(5000);
        assert!(!world.on.contains(&Output::Close));
        assert_eq!(world.withheld(), Some(Withheld::FaultLatched));
    }
}

#[test]
fn a_presence_input_that_is_not_read_counts_as_occupied() {
    let mut world = World::closing();
    world.lose(Line::LightBeam);
    assert!(!world.on.contains(&Output::Close));
    assert_eq!(world.withheld(), Some(Withheld::Occupied));
    world.wait(2000);
    assert_eq!(world.withheld(), Some(Withheld::Occupied));
}

#[test]
fn a_car_that_the_guard_keeps_waiting_too_long_is_refused() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    let car = world.ask(Origin::Automatic);
    // Four turns of hold and clearance, and the freshness.
    let patience = world.now + 4 * (8000 + 1500) + 500;
    while world.now < patience {
        assert_eq!(world.refusal(&car), None, "at {} ms", world.now);
        if world.now.is_multiple_of(5000) {
            world.ask(Origin::Guard);
        }
        world.wait(50);
    }
    assert_eq!(world.refusal(&car), Some(Refusal::Stale));
    assert!(!world.began(&car));
}

#[test]
fn a_command_need_not_wait_for_its_turn_and_a_schedule_must() {
    for (origin, at_once) in [
        (Origin::Command, true),
        (Origin::Guard, true),
        (Origin::Schedule, false),
    ] {
        let mut world = World::ready();
        world.ask(Origin::Automatic);
        let cause = world.ask(origin);
        assert_eq!(world.began(&cause), at_once, "{origin:?}");
    }
}

/// Both limits at once are not believed: a fire drives up until the motor's bound.
#[test]
fn a_fire_drives_on_where_the_limits_contradict() {
    let mut world = World::ready();
    world.stuck.insert(Line::ClosedLimit);
    world.line(&Line::Fire, true);
    world.wait(5000);
    assert!(world.latched(&Fault::LimitsContradict));
    assert_eq!(world.boom, TRAVEL);
    assert!(world.on.contains(&Output::Open));
    world.wait(6000);
    assert!(world.latched(&Fault::MotorOverrun { closing: false }));
}

#[test]
fn after_an_overrun_a_fire_waits_for_the_motor_to_rest() {
    let mut world = World::ready();
    world.moves = false;
    world.line(&Line::Fire, true);
    while world.on.contains(&Output::Open) {
        world.wait(50);
    }
    let rests = world.now;
    while !world.on.contains(&Output::Open) {
        assert!(world.on.is_empty(), "nor is it braked");
        world.wait(50);
    }
    assert_eq!(world.now - rests, 5000);
}

#[test]
fn a_closing_motor_that_does_not_arrive_says_so() {
    let mut world = World::closing();
    world.moves = false;
    world.wait(11_000);
    assert!(world.latched(&Fault::MotorOverrun { closing: true }));
    assert_eq!(world.barrier.position(), Position::Fault);
}

#[test]
fn while_it_moves_the_position_says_where_to() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(500);
    assert_eq!(world.barrier.position(), Position::Opening);
    let mut world = World::closing();
    world.wait(500);
    assert_eq!(world.barrier.position(), Position::Closing);
    world.events.clear();
    world.wait(2000);
    let told: Vec<_> = world
        .events
        .iter()
        .filter(|event| matches!(event, BarrierEvent::PositionChanged { .. }))
        .collect();
    let closed = BarrierEvent::PositionChanged {
        from: Position::Closing,
        to: Position::Closed,
    };
    assert_eq!(told, [&closed]);
}

#[test]
fn after_stop_the_boom_is_stopped_until_something_moves_it() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    world.wait(500);
    world.line(&Line::Stop, true);
    world.line(&Line::Stop, false);
    assert_eq!(world.barrier.position(), Position::Stopped);
    world.wait(1000);
    world.ask(Origin::Automatic);
    assert_eq!(world.barrier.position(), Position::Opening);
    world.wait(700);
    assert_eq!(world.barrier.position(), Position::Opening);
}

/// It is no answer to the test that lasts longer than the test, but a vehicle, and it has passed
/// when it leaves.
#[test]
fn a_vehicle_that_comes_during_the_test_is_seen() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    while !world.on.contains(&Output::Test) {
        world.wait(10);
    }
    world.vehicle(true);
    world.wait(2000);
    assert!(!world.on.contains(&Output::Test));
    assert_eq!(world.withheld(), Some(Withheld::Occupied));
    world.vehicle(false);
    world.wait(1600);
    assert!(world.on.contains(&Output::Close), "{:?}", world.withheld());
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::Tailgated { .. })),
        0
    );
}

/// A vehicle that comes during the very first test is the change that the inputs have to show.
#[test]
fn a_vehicle_that_comes_during_the_first_test_proves_the_inputs() {
    let mut world = World::unproven();
    world.ask(Origin::Automatic);
    while !world.on.contains(&Output::Test) {
        world.wait(10);
    }
    world.vehicle(true);
    world.wait(2000);
    world.vehicle(false);
    world.wait(4000);
    assert!(world.closed(), "{:?}", world.withheld());
}

#[test]
fn a_test_alone_proves_nothing() {
    let mut world = World::unproven();
    world.ask(Origin::Automatic);
    world.wait(9000);
    assert_eq!(world.withheld(), Some(Withheld::Unproven));
}

#[test]
fn each_opening_of_a_closed_boom_tests_anew() {
    let mut world = World::ready();
    for tests in 1..4 {
        world.ask(Origin::Automatic);
        world.wait(2000);
        world.passes();
        world.wait(5000);
        assert!(world.closed(), "{tests}");
    }
    world.stuck.insert(Line::SafetyLoop);
    world.ask(Origin::Automatic);
    world.wait(2000);
    let line = Line::SafetyLoop;
    assert!(world.latched(&Fault::SelfTestFailed { line }));
}

#[test]
fn who_waits_is_told_so_and_who_starts_is_not() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    let second = world.ask(Origin::Automatic);
    let third = world.ask(Origin::Automatic);
    let waiting: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| match event {
            BarrierEvent::OpeningWaits { cause, waiting } => Some((cause.clone(), *waiting)),
            _ => None,
        })
        .collect();
    assert_eq!(waiting, [(second, 1), (third, 2)]);
}

#[test]
fn as_many_vehicles_may_pass_as_were_let_in_and_no_more() {
    for let_in in 1..=5 {
        let mut world = World::ready();
        for _ in 0..let_in {
            world.ask(Origin::Guard);
        }
        world.wait(2000);
        for passed in 1..=6 {
            world.passes();
            world.wait(300);
            let tailgated = world.count(|e| matches!(e, BarrierEvent::Tailgated { .. }));
            assert_eq!(
                tailgated,
                usize::saturating_sub(passed, let_in.min(4)),
                "{passed} of {let_in}"
            );
        }
    }
}

#[test]
fn nobody_tailgates_while_the_boom_is_held_or_a_fire_opens_it() {
    for fire in [false, true] {
        let mut world = World::ready();
        if fire {
            world.line(&Line::Fire, true);
        } else {
            world.hold(Origin::Guard);
        }
        world.wait(2000);
        for _ in 0..3 {
            world.passes();
            world.wait(300);
        }
        assert_eq!(
            world.count(|e| matches!(e, BarrierEvent::Tailgated { .. })),
            0
        );
    }
}

#[test]
fn a_hold_needs_a_relay_guard_and_a_known_stop() {
    let mut world = World::ready();
    world.lose(Line::Stop);
    let hold = world.hold(Origin::Guard);
    assert_eq!(world.refusal(&hold), Some(Refusal::RelayGuardLost));
    assert!(!world.began(&hold));
}

#[test]
fn a_hold_is_told_and_after_its_end_the_vehicle_is_waited_for_anew() {
    let mut world = World::ready();
    let hold = world.hold(Origin::Command);
    assert_eq!(
        world.count(|e| matches!(e, BarrierEvent::HoldStarted { cause, .. } if *cause == hold)),
        1
    );
    world.wait(60_000);
    world.step(Input::EndHold);
    world.step(Input::EndHold);
    assert_eq!(
        world.count(|e| *e == BarrierEvent::HoldEnded { capped: false }),
        1
    );
    world.wait(7900);
    assert_eq!(world.withheld(), Some(Withheld::ForTheVehicle));
    world.wait(2000);
    assert!(world.closed());
}

#[test]
fn a_port_that_takes_no_write_fails_the_opening_and_brakes() {
    let mut world = World::ready();
    let first = world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    world.step(Input::PortFailed {
        reason: "no such device".into(),
    });
    assert_eq!(
        world.count(|e| matches!(
            e,
            BarrierEvent::OpeningFailed { cause, reason }
                if *cause == first && reason == "no such device"
        )),
        1
    );
    assert_eq!(world.refusal(&waits), Some(Refusal::FaultLatched));
    assert_eq!(world.on, BTreeSet::from([Output::Stop]));
    assert_eq!(world.barrier.position(), Position::Fault);
}

#[test]
fn an_opening_that_is_up_does_not_fail_any_more() {
    let mut world = World::ready();
    let cause = world.ask(Origin::Automatic);
    world.wait(2000);
    world.step(Input::PortFailed {
        reason: "no such device".into(),
    });
    assert!(!world.failed(&cause));
}

#[test]
fn a_boom_that_still_swings_has_not_moved_by_itself() {
    for (after, unbidden) in [(900, false), (1000, true)] {
        let mut world = World::ready();
        world.ask(Origin::Automatic);
        world.wait(500);
        world.line(&Line::Stop, true);
        world.now += after;
        world.tell(Line::ClosedLimit, true);
        assert_eq!(world.latched(&Fault::MovedUnbidden), unbidden, "{after} ms");
    }
}

#[test]
fn a_shutdown_releases_every_output_and_refuses_whoever_waits() {
    let mut world = World::ready();
    world.ask(Origin::Automatic);
    let waits = world.ask(Origin::Automatic);
    let actions = world.barrier.step(at(world.now), Input::Shutdown);
    for output in [Output::Open, Output::Close, Output::Stop, Output::Test] {
        let released = Action::Set {
            output,
            energised: false,
        };
        assert!(actions.contains(&released), "{output:?}");
    }
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::Report(BarrierEvent::OpeningRefused { cause, reason: Refusal::ShuttingDown, .. })
            if *cause == waits
    )));
}

/// A key, its least and its most in milliseconds, and its place.
type Bounds = (
    &'static str,
    u64,
    u64,
    fn(&mut ManagedProfile) -> &mut std::time::Duration,
);

#[test]
fn times_out_of_their_bounds_are_refused_by_their_key() {
    let ms = std::time::Duration::from_millis;
    let set: [Bounds; 7] = [
        ("dead_time", 300, 5000, |p| &mut p.dead_time),
        ("clearance", 1000, 60_000, |p| &mut p.clearance),
        ("freshness", 100, 2000, |p| &mut p.freshness),
        ("run_max", 2000, 30_000, |p| &mut p.run_max),
        ("hold", 2000, 60_000, |p| &mut p.hold),
        ("hold_cap", 60_000, 12 * 3_600_000, |p| &mut p.hold_cap),
        ("test_within", 100, 2000, |p| &mut p.test_within),
    ];
    for (key, least, most, field) in set {
        for (value, allowed) in [
            (least - 1, false),
            (least, true),
            (most, true),
            (most + 1, false),
        ] {
            let mut profile = ManagedProfile::default();
            *field(&mut profile) = ms(value);
            let checked = profile.check();
            assert_eq!(checked.is_ok(), allowed, "{key} = {value} ms");
            assert!(checked.is_ok() || checked.is_err_and(|why| why.key == key));
        }
    }
}

/// The guards that are no conditions, taken away one at a time: what they hold is lost.
#[cfg(feature = "mutations")]
#[test]
fn without_its_guard_each_of_these_rules_is_broken() {
    use crate::mutation::{Guard, without};
    let silent_beam = || {
        let mut world = World::ready();
        world.stuck.insert(Line::LightBeam);
        world.ask(Origin::Automatic);
        world.wait(2000);
        world.barrier.faults().len()
    };
    assert_eq!(silent_beam(), 1);
    assert_eq!(without(Some(Guard::TestFails), silent_beam), 0);
    let under = || {
        let mut world = World::closing();
        world.vehicle(true);
        world.wait(3000);
        world.opened_by(Origin::Presence)
    };
    assert_eq!(under(), 1);
    assert_eq!(without(Some(Guard::PresenceReopens), under), 0);
    let stopped = || {
        let mut world = World::ready();
        world.ask(Origin::Automatic);
        world.line(&Line::Stop, true);
        world.wait(1000);
        world.line(&Line::Stop, false);
        world.on.contains(&Output::Open)
    };
    assert!(!stopped());
    assert!(without(Some(Guard::StopStays), stopped));
}

#[derive(Debug, Clone)]
enum Blow {
    Wait(u64),
    Ask(Origin),
    Again,
    Line(Line, bool),
    Vehicle(bool),
    Stuck(Line, bool),
    Moves(bool),
    Reads(bool),
    Health(Line, bool),
    Hold,
    EndHold,
    Guard(bool),
    Lift(i64),
}

fn blow() -> impl Strategy<Value = Blow> {
    let following = prop_oneof![
        Just(Line::SafetyLoop),
        Just(Line::LightBeam),
        Just(Line::OpenedLimit),
        Just(Line::ClosedLimit)
    ];
    let pressed = prop_oneof![Just(Line::GuardButton), Just(Line::Fire), Just(Line::Stop)];
    let origin = prop_oneof![
        Just(Origin::Automatic),
        Just(Origin::Guard),
        Just(Origin::Command)
    ];
    prop_oneof![
        10 => (1_u64..6000).prop_map(Blow::Wait),
        6 => origin.prop_map(Blow::Ask),
        1 => Just(Blow::Again),
        4 => (pressed, any::<bool>()).prop_map(|(l, a)| Blow::Line(l, a)),
        8 => any::<bool>().prop_map(Blow::Vehicle),
        1 => (following.clone(), any::<bool>()).prop_map(|(l, a)| Blow::Stuck(l, a)),
        1 => any::<bool>().prop_map(Blow::Moves),
        1 => any::<bool>().prop_map(Blow::Reads),
        1 => (following, any::<bool>()).prop_map(|(l, a)| Blow::Health(l, a)),
        1 => Just(Blow::Hold),
        1 => Just(Blow::EndHold),
        1 => any::<bool>().prop_map(Blow::Guard),
        1 => (0..TRAVEL).prop_map(Blow::Lift),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// On any trace the outputs keep their rules (checked at every action), STOP and presence
    /// release in their step, and once all is well and the guard has cleared what is latched,
    /// a car is let through and the boom comes down.
    #[test]
    fn any_trace_is_safe_and_heals(blows in prop::collection::vec(blow(), 1..60)) {
        let mut world = World::ready();
        let mut guard = true;
        for blow in blows {
            match blow {
                Blow::Wait(ms) => world.wait(ms),
                Blow::Ask(origin) => { world.ask(origin); }
                Blow::Again if world.next > 0 => {
                    let cause = CauseId::new(format!("passage-{}", world.next)).unwrap();
                    world.ask_for(&cause, Origin::Automatic, world.now);
                }
                Blow::Line(line, active) if guard => {
                    world.line(&line, active);
                    if line == Line::Stop && active {
                        prop_assert!(world.on.iter().all(|o| *o == Output::Stop || *o == Output::Test));
                    }
                }
                Blow::Vehicle(there) if guard => {
                    world.vehicle(there);
                    if there && world.shows(&Line::LightBeam, true) {
                        prop_assert!(!world.on.contains(&Output::Close));
                    }
                }
                Blow::Stuck(line, stuck) => {
                    if stuck { world.stuck.insert(line); } else { world.stuck.remove(&line); }
                }
                Blow::Moves(moves) => world.moves = moves,
                Blow::Reads(reads) => world.reads = reads,
                Blow::Health(line, faulty) if guard => world.step(Input::LineHealth {
                    line,
                    fault: LineFault::Chatter,
                    faulty,
                }),
                Blow::Hold => { world.hold(Origin::Guard); }
                Blow::EndHold => world.step(Input::EndHold),
                Blow::Guard(ready) if ready != guard => {
                    guard = ready;
                    world.on.clear();
                    world.released = Some(world.now);
                    if ready {
                        world.levels.clear();
                        world.step(Input::RelayGuardReady);
                        for line in [Line::Stop, Line::Fire, Line::GuardButton] {
                            world.line(&line, false);
                        }
                        world.follow();
                    } else {
                        world.step(Input::RelayGuardLost { reason: "killed".into() });
                    }
                }
                Blow::Lift(boom) => world.boom = boom,
                Blow::Again | Blow::Line(..) | Blow::Vehicle(_) | Blow::Health(..) | Blow::Guard(_) => {}
            }
        }
        // All is well again.
        if !guard {
            world.levels.clear();
            world.step(Input::RelayGuardReady);
        }
        world.stuck.clear();
        world.moves = true;
        world.reads = true;
        world.vehicle = false;
        for line in [Line::Stop, Line::Fire, Line::GuardButton] {
            world.line(&line, false);
        }
        for line in [Line::SafetyLoop, Line::LightBeam, Line::OpenedLimit, Line::ClosedLimit] {
            world.step(Input::LineHealth { line, fault: LineFault::Chatter, faulty: false });
        }
        world.step(Input::EndHold);
        world.wait(3000);
        world.press(5100);
        prop_assert!(world.barrier.faults().is_empty(), "{:?}", world.barrier.faults());
        world.wait(60_000);
        let car = world.ask(Origin::Automatic);
        prop_assert!(world.began(&car), "{:?}", world.refusal(&car));
        world.wait(3000);
        prop_assert_eq!(world.boom, TRAVEL);
        world.passes();
        world.wait(20_000);
        prop_assert!(world.closed(), "{:?}", world.withheld());
    }
}
