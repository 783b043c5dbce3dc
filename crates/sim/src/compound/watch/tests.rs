#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const TIMES: Times = Times {
    managed: true,
    clearance: 1500,
    freshness: 500,
    run_max: 10_000,
    hold_cap: 60_000,
    test_within: 300,
    not_released: 1100,
};

/// A managed gate at whose contacts nothing is wrong.
struct Gate {
    watch: Watch,
    sensors: Vec<Sensor>,
    report: Report,
    now: u64,
    in_touch: bool,
}

impl Gate {
    fn new() -> Self {
        let lines = [
            Line::SafetyLoop,
            Line::LightBeam,
            Line::OpenedLimit,
            Line::ClosedLimit,
        ];
        Self {
            watch: Watch::new("north", TIMES),
            sensors: lines
                .into_iter()
                .map(|line| Sensor::new(line, None, None))
                .collect(),
            report: Report::default(),
            now: 0,
            in_touch: true,
        }
    }

    fn show(&mut self, line: &Line, active: bool) {
        let now = self.now;
        let sensor = self.sensors.iter_mut().find(|s| s.line == *line).unwrap();
        sensor.follow(now, active, true);
    }

    fn write(&mut self, output: Output, on: bool) {
        let (now, sensors) = (self.now, &self.sensors);
        self.watch.write(now, output, on, sensors, &mut self.report);
    }

    fn event(&mut self, event: &BarrierEvent) {
        self.watch.event(self.now, event, &[], &mut self.report);
    }

    fn asked_and_opened(&mut self, cause: &str) {
        let cause = CauseId::new(cause).unwrap();
        self.watch.asked(self.now, &cause);
        let origin = Origin::Automatic;
        self.event(&BarrierEvent::OpeningStarted { cause, origin });
    }

    /// Lets steps of 10 ms pass.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now += 10;
            for sensor in &mut self.sensors {
                sensor.follow(self.now, sensor.active, true);
            }
            let facts = Facts {
                sensors: &self.sensors,
                faults: &[],
                well_since: self.in_touch.then_some(0),
                in_touch_since: self.in_touch.then_some(0),
                unbidden: None,
            };
            self.watch.step(self.now, facts, &mut self.report);
        }
    }

    fn broken(&self) -> Option<u8> {
        self.watch.violation.as_ref().map(|v| v.invariant)
    }
}

/// Seed 1 with a mistake built in: the daemon hung just before the motor's bound.
#[test]
fn a_daemon_that_hangs_leaves_the_motor_to_its_relay_guard() {
    let mut gate = Gate::new();
    gate.pass(1000);
    gate.write(Output::Open, true);
    gate.pass(9950);
    gate.in_touch = false;
    gate.pass(500);
    assert_eq!(gate.broken(), None);
    gate.write(Output::Open, false);
    gate.pass(1000);
    assert_eq!(gate.broken(), None);
}

#[test]
fn a_motor_that_runs_on_is_noticed_hung_or_not() {
    for hangs in [false, true] {
        let mut gate = Gate::new();
        gate.pass(1000);
        gate.write(Output::Open, true);
        gate.pass(9990);
        gate.in_touch = !hangs;
        gate.pass(70);
        assert_eq!(gate.broken(), (!hangs).then_some(6));
        gate.pass(500);
        assert!(gate.broken().is_some());
    }
}

#[test]
fn a_relay_outlives_the_last_word_by_half_a_second_only() {
    let mut gate = Gate::new();
    gate.pass(1000);
    gate.write(Output::Open, true);
    gate.in_touch = false;
    gate.pass(560);
    assert_eq!(gate.broken(), None);
    gate.pass(20);
    assert_eq!(gate.broken(), Some(7));
}

/// A cycle after which the count of vehicles is certain, and one opening with its vehicle.
fn opened_and_used() -> Gate {
    let mut gate = Gate::new();
    gate.watch.uncertain = false;
    gate.pass(2000);
    gate.asked_and_opened("first");
    gate.pass(1000);
    gate.show(&Line::SafetyLoop, true);
    gate.pass(2000);
    gate.show(&Line::SafetyLoop, false);
    gate.pass(200);
    gate.show(&Line::SafetyLoop, true);
    gate
}

/// Seed 84 of the compound: the next opening began between the vehicle's edge and the end
/// of its debounce.
#[test]
fn an_opening_before_the_contact_is_believed_is_that_vehicles_own() {
    let mut gate = opened_and_used();
    gate.pass(20);
    gate.asked_and_opened("second");
    gate.pass(1000);
    assert_eq!(gate.broken(), None);
    assert_eq!(gate.watch.credit, 0, "one opening is for one vehicle");
}

#[test]
fn a_tailgater_must_be_reported() {
    let mut gate = opened_and_used();
    gate.pass(100);
    gate.asked_and_opened("second");
    gate.pass(100);
    assert_eq!(gate.broken(), Some(11));
    let mut gate = opened_and_used();
    gate.pass(50);
    let at = gate::Monotonic::from_millis(gate.now);
    gate.event(&BarrierEvent::Tailgated { at });
    gate.pass(1000);
    assert_eq!(gate.broken(), None);
}
