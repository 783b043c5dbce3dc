//! The world that plays a script: cars come, wait at the boom, go in or turn away.
//!
//! Virtual time goes in with the boom's position, events come out. Inside, time moves in ticks
//! of 20 ms, so the outcome does not depend on how a caller cuts it up (but for the moments at
//! which it tells the boom's position).

use std::time::Duration;

use super::script::{Body, Light, Script};

const TICK: Duration = Duration::from_millis(20);
/// From where on a driver counts the boom as open.
const OPEN_ENOUGH: f32 = 0.85;
/// Metres before the boom at which a car waits: its front stands on the arrival loop.
const STOP: f32 = 0.9;
/// Metres before the boom at which a car comes into being, out of the picture.
const APPEAR: f32 = 15.0;
/// How long a driver waits at a closed boom.
const PATIENCE: Duration = Duration::from_millis(2500);
/// How long the next car holds back when the boom does not come down at all.
const STUCK: Duration = Duration::from_secs(15);
const APPROACH_SPEED: f32 = 7.0;
const ENTER_SPEED: f32 = 4.5;
const LEAVE_SPEED: f32 = 6.5;
/// Metres a second squared, both ways.
const PULL: f32 = 3.6;

/// What happens on the street. Vehicles are named by their place in the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A vehicle has come into being, just out of the picture.
    Appeared(usize),
    /// It has stopped before the boom.
    Waiting(usize),
    /// The loop before the boom has become occupied (true) or clear.
    ArrivalLoop(bool),
    /// The loop under the boom has become occupied (true) or clear.
    SafetyLoop(bool),
    /// The vehicle has driven through, its rear is past the boom.
    Passed(usize),
    /// The driver has lost patience and backs away.
    TurnedAway(usize),
    /// The vehicle has left the picture.
    Left(usize),
}

/// The car that can be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisibleCar {
    /// Its place in the script.
    pub vehicle: usize,
    /// Metres from the boom back to its front bumper; negative once it is through.
    pub distance: f32,
    /// Metres a second towards the gate; negative when it backs away.
    pub speed: f32,
    /// Whether its driver brakes or waits.
    pub braking: bool,
}

/// What there is to see at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Time since the beginning.
    pub now: Duration,
    /// How far the boom is open, 0 to 1.
    pub boom_open: f32,
    /// The car, if one is there.
    pub car: Option<VisibleCar>,
    /// The light.
    pub light: Light,
    /// The light before, and how much of it is left, 1 to 0.
    pub fading: Option<(Light, f32)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Coming,
    Waiting(Duration),
    Entering { passed: bool },
    BackingAway,
}

#[derive(Debug, Clone, Copy)]
struct Car {
    vehicle: usize,
    distance: f32,
    speed: f32,
    phase: Phase,
}

/// The street: a pure state machine.
#[derive(Debug, Clone)]
pub struct Street {
    script: Script,
    now: Duration,
    /// Time given but not yet played: less than a tick.
    rest: Duration,
    next: usize,
    car: Option<Car>,
    /// Since when no car is there.
    empty_since: Duration,
    boom_open: f32,
    arrival: bool,
    safety: bool,
    light: Light,
    before: Option<(Light, Duration)>,
}

impl Street {
    /// An empty street with the script still to come.
    pub fn new(script: Script) -> Self {
        let light = script.vehicles.first().map_or(Light::Day, |v| v.light);
        Self {
            script,
            now: Duration::ZERO,
            rest: Duration::ZERO,
            next: 0,
            car: None,
            empty_since: Duration::ZERO,
            boom_open: 0.0,
            arrival: false,
            safety: false,
            light,
            before: None,
        }
    }

    /// The script that is played.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Time played so far.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Whether every vehicle has come and gone.
    pub fn finished(&self) -> bool {
        self.car.is_none() && self.next >= self.script.vehicles.len()
    }

    /// Whether the loop before the boom is occupied.
    pub fn arrival_loop(&self) -> bool {
        self.arrival
    }

    /// Whether the loop under the boom is occupied.
    pub fn safety_loop(&self) -> bool {
        self.safety
    }

    /// Lets `dt` pass with the boom open by `boom_open` (0 to 1); gives what happened, in
    /// order.
    pub fn step(&mut self, dt: Duration, boom_open: f32) -> Vec<Event> {
        self.boom_open = boom_open.clamp(0.0, 1.0);
        self.rest += dt;
        let mut events = Vec::new();
        while self.rest >= TICK {
            self.rest -= TICK;
            self.now += TICK;
            self.tick(&mut events);
        }
        events
    }

    /// What there is to see now.
    pub fn view(&self) -> View {
        const FADE: f32 = 0.8;
        let fading = self.before.and_then(|(light, since)| {
            let left = 1.0 - self.now.saturating_sub(since).as_secs_f32() / FADE;
            (left > 0.0).then_some((light, left))
        });
        View {
            now: self.now,
            boom_open: self.boom_open,
            car: self.car.map(|car| VisibleCar {
                vehicle: car.vehicle,
                distance: car.distance,
                speed: car.speed,
                braking: matches!(car.phase, Phase::Waiting(_)),
            }),
            light: self.light,
            fading,
        }
    }

    fn length(&self, vehicle: usize) -> f32 {
        self.script
            .vehicles
            .get(vehicle)
            .map_or(4.5, |v| length(v.body))
    }

    fn tick(&mut self, events: &mut Vec<Event>) {
        match self.car {
            None => self.wait_for_next(events),
            Some(car) => self.car = self.drive(car, events),
        }
        // Spans of road in metres before the boom: the loops' own length.
        let over = |from: f32, to: f32| {
            self.car.is_some_and(|car| {
                car.distance < to && car.distance + self.length(car.vehicle) > from
            })
        };
        let (arrival, safety) = (over(0.6, 2.0), over(-0.6, 0.6));
        if arrival != self.arrival {
            self.arrival = arrival;
            events.push(Event::ArrivalLoop(arrival));
        }
        if safety != self.safety {
            self.safety = safety;
            events.push(Event::SafetyLoop(safety));
        }
    }

    fn wait_for_next(&mut self, events: &mut Vec<Event>) {
        let Some(vehicle) = self.script.vehicles.get(self.next) else {
            return;
        };
        let empty = self.now.saturating_sub(self.empty_since);
        if vehicle.light != self.light && empty >= Duration::from_millis(300) {
            self.before = Some((self.light, self.now));
            self.light = vehicle.light;
        }
        // A driver who saw the boom up for the car before would follow it through.
        let boom_down = self.boom_open < 0.5 || empty > STUCK;
        if empty.as_secs_f32() >= vehicle.gap && boom_down {
            self.car = Some(Car {
                vehicle: self.next,
                distance: APPEAR,
                speed: APPROACH_SPEED,
                phase: Phase::Coming,
            });
            events.push(Event::Appeared(self.next));
            self.next += 1;
        }
    }

    fn drive(&mut self, mut car: Car, events: &mut Vec<Event>) -> Option<Car> {
        let dt = TICK.as_secs_f32();
        let open = self.boom_open >= OPEN_ENOUGH;
        let towards =
            |speed: f32, wanted: f32| speed + (wanted - speed).clamp(-2.0 * PULL * dt, PULL * dt);
        match car.phase {
            Phase::Coming => {
                let room = (car.distance - STOP).max(0.0);
                let safe = (2.0 * PULL * room).sqrt().min(APPROACH_SPEED);
                car.speed = if open && car.distance < 4.0 {
                    towards(car.speed, ENTER_SPEED)
                } else {
                    safe
                };
                if open && car.distance < STOP + 0.3 {
                    car.phase = Phase::Entering { passed: false };
                } else if room < 0.03 {
                    car.speed = 0.0;
                    car.phase = Phase::Waiting(self.now);
                    events.push(Event::Waiting(car.vehicle));
                }
            }
            Phase::Waiting(since) => {
                car.speed = 0.0;
                if open {
                    car.phase = Phase::Entering { passed: false };
                } else if self.now.saturating_sub(since) >= PATIENCE && self.boom_open <= 0.0 {
                    car.phase = Phase::BackingAway;
                    events.push(Event::TurnedAway(car.vehicle));
                }
            }
            Phase::Entering { .. } => car.speed = towards(car.speed, ENTER_SPEED + 1.5),
            Phase::BackingAway => car.speed = towards(car.speed, -LEAVE_SPEED),
        }
        let ahead = car.distance - car.speed * dt;
        // Nobody drives into a closed boom, whatever the driver had in mind.
        if ahead <= 0.0 && car.distance > 0.0 && !open {
            car.speed = 0.0;
            car.phase = Phase::Waiting(self.now);
        } else {
            car.distance = ahead;
        }
        let rear = car.distance + self.length(car.vehicle);
        if let Phase::Entering { passed } = &mut car.phase
            && !*passed
            && rear < -0.6
        {
            *passed = true;
            events.push(Event::Passed(car.vehicle));
        }
        let gone = match car.phase {
            Phase::Entering { .. } => rear < -3.6,
            Phase::BackingAway => car.distance > APPEAR,
            Phase::Coming | Phase::Waiting(_) => false,
        };
        if gone {
            events.push(Event::Left(car.vehicle));
            self.empty_since = self.now;
            return None;
        }
        Some(car)
    }
}

/// Length of a vehicle in metres.
pub(super) fn length(body: Body) -> f32 {
    match body {
        Body::Saloon => 4.5,
        Body::Suv => 4.4,
        Body::Truck => 6.5,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::boom::{Boom, Timing};
    use proptest::prelude::*;

    fn street(seed: u64) -> Street {
        Street::new(Script::generate(seed, jiff::civil::date(2026, 3, 1)))
    }

    /// Plays the whole script; `admit` says which vehicles the gate lets in, half a second
    /// after they have stopped.
    fn play(seed: u64, admit: impl Fn(usize) -> bool) -> (Vec<(f32, Event)>, f32) {
        const STEP: Duration = Duration::from_millis(50);
        let mut street = street(seed);
        let mut boom = Boom::new(Timing::default());
        let mut log = Vec::new();
        let mut stopped: Option<(usize, Duration)> = None;
        while !street.finished() {
            let before = street.view().car;
            for event in street.step(STEP, boom.open_fraction()) {
                match event {
                    Event::Waiting(v) => stopped = Some((v, street.now())),
                    Event::Left(_) => stopped = None,
                    _ => {}
                }
                log.push((street.now().as_secs_f32(), event));
            }
            let after = street.view().car;
            if let (Some(a), Some(b)) = (before, after)
                && a.vehicle == b.vehicle
                && a.distance > 0.0
                && b.distance <= 0.0
            {
                assert!(
                    boom.open_fraction() >= OPEN_ENOUGH,
                    "{b:?} drove into the boom"
                );
            }
            let open = stopped
                .is_some_and(|(v, at)| admit(v) && street.now() >= at + Duration::from_millis(500));
            boom.input(open);
            boom.step(STEP, street.safety_loop());
            assert!(
                street.now() < Duration::from_mins(5),
                "the street never empties"
            );
        }
        (log, street.now().as_secs_f32())
    }

    fn fates(log: &[(f32, Event)]) -> (Vec<usize>, Vec<usize>) {
        let passed = log.iter().filter_map(|(_, e)| match e {
            Event::Passed(v) => Some(*v),
            _ => None,
        });
        let away = log.iter().filter_map(|(_, e)| match e {
            Event::TurnedAway(v) => Some(*v),
            _ => None,
        });
        (passed.collect(), away.collect())
    }

    #[test]
    fn who_is_let_in_passes_and_who_is_not_turns_away() {
        for seed in 1..=20 {
            let (log, seconds) = play(seed, |v| v % 3 != 1);
            let (passed, away) = fates(&log);
            let all: Vec<usize> = (0..9).collect();
            assert_eq!(
                passed,
                all.iter()
                    .copied()
                    .filter(|v| v % 3 != 1)
                    .collect::<Vec<_>>()
            );
            assert_eq!(
                away,
                all.iter()
                    .copied()
                    .filter(|v| v % 3 == 1)
                    .collect::<Vec<_>>()
            );
            assert!((45.0..130.0).contains(&seconds), "{seed}: {seconds} s");
        }
    }

    #[test]
    fn each_vehicle_is_alone_and_the_street_empties_between() {
        let (log, _) = play(4, |v| v % 2 == 0);
        let mut last_left = -10.0;
        let mut there = None;
        for (at, event) in log {
            match event {
                Event::Appeared(v) => {
                    assert_eq!(there, None);
                    assert!(
                        at - last_left >= 1.5,
                        "{v} came {:.2} s after",
                        at - last_left
                    );
                    there = Some(v);
                }
                Event::Left(v) => {
                    assert_eq!(there, Some(v));
                    there = None;
                    last_left = at;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn loops_feel_each_vehicle_once_and_end_clear() {
        let (log, _) = play(2, |_| true);
        let mut state = (false, false);
        let mut arrivals = 0;
        for (_, event) in log {
            match event {
                Event::ArrivalLoop(on) => {
                    assert_ne!(state.0, on);
                    state.0 = on;
                    arrivals += usize::from(on);
                }
                Event::SafetyLoop(on) => {
                    assert_ne!(state.1, on);
                    state.1 = on;
                }
                _ => {}
            }
        }
        assert_eq!((state, arrivals), ((false, false), 9));
    }

    #[test]
    fn a_boom_that_never_moves_turns_all_away() {
        let (passed, away) = fates(&play(1, |_| false).0);
        assert_eq!((passed.len(), away.len()), (0, 9));
    }

    #[test]
    fn how_time_is_cut_does_not_matter() {
        let (mut coarse, mut fine) = (street(9), street(9));
        for _ in 0..300 {
            coarse.step(Duration::from_millis(100), 0.0);
            for _ in 0..10 {
                fine.step(Duration::from_millis(10), 0.0);
            }
            assert_eq!(coarse.view(), fine.view());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_the_boom_does_nobody_drives_into_it_and_all_leave_in_the_end(
            seed in 0_u64..50,
            moves in prop::collection::vec((0.0_f32..=1.0, 20_u64..900), 1..250)
        ) {
            let mut street = street(seed);
            for (open, ms) in moves {
                let mut left = ms;
                while left >= 20 {
                    left -= 20;
                    let before = street.view().car;
                    street.step(Duration::from_millis(20), open);
                    let after = street.view().car;
                    if let (Some(a), Some(b)) = (before, after)
                        && a.vehicle == b.vehicle && a.distance > 0.0 && b.distance <= 0.0
                    {
                        prop_assert!(open >= OPEN_ENOUGH, "{a:?} {b:?} at {open}");
                    }
                }
            }
            // Then the boom stays down: whoever is there leaves, and so do all the others.
            for _ in 0..4000 {
                street.step(Duration::from_millis(100), 0.0);
            }
            prop_assert!(street.finished(), "{:?}", street.view());
        }
    }
}
