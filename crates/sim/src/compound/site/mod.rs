//! One gate of the compound: a boom with its relays and contacts, a lane with its vehicles, the
//! daemon's part of it, the relay guard, and the person in the guard's hut.

mod lane;
mod port;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use access::passage;
use access::registry::RegistryView;
use domain::{Direction, Event, Name, PassageId, PlateNumber};
use gate::CauseId;
use gate::barrier::managed::{ManagedBarrier, ManagedProfile, Output, Withheld};
use gate::barrier::{Barrier, Fault, PulseProfile};
use gate::line::{Debouncer, Line, LineNotice};
use gate::motor_timer::{self, MotorTimer};
use gate::protocol::Report as GuardReport;
use gate::pulse_timer::{self, PulseTimer};
use jiff::Timestamp;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::books::Sabotage;
use super::daemon::{Action, Around, Daemon, Input, LanePart, Machine, at, of_notice};
use super::motor_boom::MotorBoom;
use super::report::{Guard, Report};
use super::sensor::{Ailment, DEBOUNCE, Sensor};
use super::traffic::{Camera, Departed, Town, Traffic};
use super::unbidden::Unbidden;
use super::watch::{Facts, TICK, Times, Violation, Watch};
use crate::boom::{Boom, Motion, Timing};

/// The boom and what drives it.
#[derive(Debug)]
enum Drive {
    Controller(Boom),
    Motor(MotorBoom),
}

/// The process that holds the port.
#[derive(Debug)]
enum RelayGuard {
    Pulse(PulseTimer),
    Motor(MotorTimer),
}

/// What the person in the hut is doing with the button.
#[derive(Debug, Default)]
struct Person {
    presses_until: Option<u64>,
    next_press: u64,
    answers: Vec<(PassageId, u64, Option<bool>)>,
}

/// What a lane's thread is told by its barrier.
#[derive(Debug, Clone, Copy)]
enum LaneNews {
    Loop(bool),
    Opened(PassageId),
    NotOpened(PassageId),
    OpenedByButton,
}

/// What a step needs from the rest of the compound.
pub(super) struct Surroundings<'a> {
    pub(super) now: u64,
    pub(super) dt: u64,
    pub(super) wall: Timestamp,
    pub(super) town: &'a Town,
    pub(super) registry: Option<RegistryView>,
    pub(super) hung: bool,
    pub(super) arrivals: bool,
    /// Camera, broker or disk fail.
    pub(super) troubled: bool,
    pub(super) sabotage: Sabotage,
    pub(super) ids: &'a mut u128,
    pub(super) began: &'a mut HashMap<PassageId, u64>,
    pub(super) rng: &'a mut ChaCha8Rng,
    pub(super) report: &'a mut Report,
}

/// One gate.
#[allow(clippy::struct_excessive_bools)] // independent facts of a simulated world, not a state
pub(super) struct Site {
    pub(super) name: &'static str,
    lane: Name,
    direction: Direction,
    pub(super) managed: bool,
    pub(super) sensors: Vec<Sensor>,
    pub(super) traffic: Traffic,
    pub(super) camera: Camera,
    drive: Drive,
    pub(super) daemon: Option<Daemon>,
    guard: Option<RelayGuard>,
    /// When a successor of a dead relay guard opens the port.
    guard_back: u64,
    pub(super) watch: Watch,
    /// The board takes no release (pulse), or this contact is welded (managed).
    pub(super) port_sticks: bool,
    pub(super) welded: Option<Output>,
    pub(super) inputs_silent: bool,
    pub(super) fire: bool,
    pub(super) stop: bool,
    person: Person,
    well_since: Option<u64>,
    limits: (bool, bool),
    unbidden: Unbidden,
    withheld: Option<Withheld>,
    /// Openings that a lane wants, and that nobody must hear of.
    pub(super) departed: Vec<Departed>,
    /// Plates that were here lately, to judge admissions by.
    lately: VecDeque<(PlateNumber, u64)>,
    pub(super) used: VecDeque<CauseId>,
    /// What the lane's thread has not heard yet.
    heard: VecDeque<LaneNews>,
    /// Reports of the relay guard that a hung daemon has not read.
    unread: Vec<GuardReport>,
    /// And the contacts in them: when, which, closed.
    unread_contacts: Vec<(u64, usize, bool)>,
    /// The relay guard has ended by itself.
    port_lost: bool,
    loss_untold: bool,
    in_touch_since: Option<u64>,
    made_up: u64,
}

/// Times of the simulated profiles, in milliseconds; those of stuck inputs are shorter than in
/// the field, so that they are met.
const STUCK_PRESENCE: u64 = 30_000;
const STUCK_ARRIVAL: u64 = 240_000;
const MISSING: u64 = 900;
const HOLD_CAP: u64 = 60_000;
/// How long a passage may go on after its vehicle has left: while the next one stands on the
/// arrival loop that the first never seemed to leave.
pub(super) const LATELY: u64 = 300_000;

fn managed_profile() -> ManagedProfile {
    ManagedProfile {
        hold_cap: Duration::from_millis(HOLD_CAP),
        ..ManagedProfile::default()
    }
}

impl Site {
    pub(super) fn new(
        name: &'static str,
        lane: Name,
        direction: Direction,
        managed: bool,
        number: u64,
    ) -> Self {
        let missing = managed.then_some(MISSING);
        let presence = managed.then_some(STUCK_PRESENCE);
        let mut sensors = vec![
            Sensor::new(
                Line::ArrivalLoop(lane.as_str().to_owned()),
                Some(STUCK_ARRIVAL),
                missing,
            ),
            Sensor::new(Line::SafetyLoop, presence, missing),
            Sensor::new(Line::GuardButton, None, missing),
            Sensor::new(Line::Fire, None, missing),
            Sensor::new(Line::Stop, None, missing),
            Sensor::new(Line::OpenedLimit, None, missing),
            Sensor::new(Line::ClosedLimit, None, missing),
        ];
        if managed {
            sensors.push(Sensor::new(Line::LightBeam, presence, missing));
        }
        let profile = managed_profile();
        let ms = |time: Duration| time.as_millis() as u64;
        let pulse = PulseProfile::default();
        let times = Times {
            managed,
            clearance: ms(profile.clearance),
            freshness: ms(profile.freshness),
            run_max: ms(profile.run_max),
            hold_cap: ms(profile.hold_cap),
            test_within: ms(profile.test_within),
            not_released: ms(pulse.pulse + pulse.release_margin),
        };
        Self {
            name,
            lane,
            direction,
            managed,
            sensors,
            traffic: Traffic::new(number * 1_000_000 + number * 7),
            camera: Camera::default(),
            drive: if managed {
                Drive::Motor(MotorBoom::new())
            } else {
                Drive::Controller(Boom::new(Timing::default()))
            },
            daemon: None,
            guard: None,
            guard_back: 0,
            watch: Watch::new(name, times),
            port_sticks: false,
            welded: None,
            inputs_silent: false,
            fire: false,
            stop: false,
            person: Person::default(),
            well_since: None,
            limits: (false, true),
            unbidden: Unbidden::default(),
            withheld: None,
            departed: Vec::new(),
            lately: VecDeque::new(),
            used: VecDeque::new(),
            heard: VecDeque::new(),
            unread: Vec::new(),
            unread_contacts: Vec::new(),
            port_lost: false,
            loss_untold: false,
            in_touch_since: None,
            made_up: 0,
        }
    }

    fn lines(&self) -> Vec<Line> {
        self.sensors.iter().map(|s| s.line.clone()).collect()
    }

    /// The daemon begins, knowing nothing.
    pub(super) fn start(&mut self, now: u64) -> Result<(), Violation> {
        let machine = if self.managed {
            let lines = self.lines();
            ManagedBarrier::experimental(managed_profile(), &lines, at(now)).map(Machine::Managed)
        } else {
            let profile = PulseProfile::default();
            Ok(Machine::Pulse(Barrier::new(profile, self.lines(), at(now))))
        };
        let machine = machine.map_err(|e| Violation {
            invariant: 13,
            what: format!("the barrier does not start: {e}"),
            trail: Vec::new(),
        })?;
        self.daemon = Some(Daemon {
            machine,
            debouncers: self
                .sensors
                .iter()
                .map(|s| Debouncer::new(s.rule))
                .collect(),
            part: LanePart::new(self.lane.clone(), self.direction),
            records: Vec::new(),
        });
        self.watch.began_anew(true);
        self.traffic.forget();
        self.person.answers.clear();
        self.guard_back = now + 20;
        self.well_since = None;
        self.used.clear();
        self.heard.clear();
        self.unread.clear();
        self.unread_contacts.clear();
        self.loss_untold = false;
        self.guard = None;
        self.unbidden.settled();
        Ok(())
    }

    /// The daemon is gone; its pipe to the relay guard closes.
    pub(super) fn stop_daemon(
        &mut self,
        now: u64,
        in_order: bool,
        around: &mut Surroundings<'_>,
    ) -> Vec<Event> {
        let mut records = Vec::new();
        if in_order {
            self.feed(now, Input::Shutdown, around);
            self.lane_input(around, passage::Input::Interrupt);
        }
        if let Some(daemon) = self.daemon.take()
            && in_order
        {
            records = daemon.records;
        }
        let orders = match &mut self.guard {
            Some(RelayGuard::Pulse(timer)) => {
                let orders = timer.end(at(now));
                if around.sabotage != Sabotage::LeavesRelay {
                    self.obey_pulse(now, orders, around.report);
                }
                Vec::new()
            }
            Some(RelayGuard::Motor(timer)) => timer.end(at(now)),
            None => Vec::new(),
        };
        let moving = self.watch.moving();
        if around.sabotage != Sabotage::LeavesRelay {
            if moving && !orders.is_empty() {
                around.report.guard(Guard::PipeEnd);
            }
            self.obey_motor(now, orders, around.report);
        }
        if self.guard.take().is_some() && !self.port_sticks {
            self.watch
                .must_be_off(now, "the daemon's end left a relay energised");
        }
        self.well_since = None;
        records
    }

    /// SIGKILL of the relay guard: the lines stay as they are.
    pub(super) fn kill_guard(&mut self, now: u64, around: &mut Surroundings<'_>) {
        if self.guard.take().is_some() {
            self.watch.orphan(now, self.port_sticks);
            self.lose_guard(now, around);
        }
    }

    fn lose_guard(&mut self, now: u64, around: &mut Surroundings<'_>) {
        self.guard = None;
        // What is seen before its successor is there counts for nothing.
        self.unbidden.settled();
        self.guard_back = now + around.rng.random_range(60..250);
        self.well_since = None;
        self.loss_untold = around.hung;
        if around.hung {
            return;
        }
        if let Some(daemon) = &mut self.daemon {
            for debouncer in &mut daemon.debouncers {
                debouncer.forget();
            }
            self.feed(now, Input::GuardLost, around);
        }
    }

    /// Daemon and relay guard are killed together: the lines stay as they are.
    pub(super) fn abandon(&mut self, now: u64) {
        if self.guard.take().is_some() {
            self.watch.orphan(now, self.port_sticks);
        }
        self.daemon = None;
        self.well_since = None;
    }

    pub(super) fn has_relay_guard(&self) -> bool {
        self.guard.is_some()
    }

    pub(super) fn lane_name(&self) -> &Name {
        &self.lane
    }

    /// What keeps it from resting, for people.
    pub(super) fn state(&self, now: u64) -> String {
        let Some(daemon) = &self.daemon else {
            return "no daemon".to_owned();
        };
        let withheld = match &daemon.machine {
            Machine::Pulse(_) => None,
            Machine::Managed(barrier) => barrier.withheld(at(now)),
        };
        let idle = daemon.part.lane.is_idle();
        let faults = daemon.machine.faults();
        format!("{withheld:?}, lane idle {idle}, faults {faults:?}")
    }

    /// Everything that holds a relay is gone: the service's safe-off releases from outside.
    pub(super) fn safe_off(&mut self, now: u64, report: &mut Report) {
        self.all_off(now, report);
    }

    /// The power is gone: relays drop, detectors forget what stands on their loops.
    pub(super) fn power_cut(&mut self, now: u64, report: &mut Report) {
        self.guard = None;
        self.daemon = None;
        self.well_since = None;
        self.all_off(now, report);
        let (arrival, safety) = (
            self.traffic.on_arrival_loop(),
            self.traffic.on_safety_loop(),
        );
        for sensor in &mut self.sensors {
            sensor.forgot |= match sensor.line {
                Line::ArrivalLoop(_) => arrival,
                Line::SafetyLoop => safety,
                _ => false,
            };
        }
    }

    fn all_off(&mut self, now: u64, report: &mut Report) {
        for output in [Output::Open, Output::Close, Output::Stop, Output::Test] {
            self.pin(now, output, false, report);
        }
    }

    /// A write to a pin.
    fn pin(&mut self, now: u64, output: Output, on: bool, report: &mut Report) {
        if is_direction(output) && (on || self.watch.on(output)) {
            self.unbidden.driven(now, DEBOUNCE, TICK);
        }
        self.watch.write(now, output, on, &self.sensors, report);
        if let Drive::Controller(boom) = &mut self.drive
            && output == Output::Open
            && (on || !self.port_sticks)
        {
            boom.input(on);
        }
    }

    /// One step of the gate.
    pub(super) fn step(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        self.guard_timers(now, around);
        self.move_boom(now, around.dt);
        self.drive_traffic(around);
        self.person(now, around);
        let before: Vec<bool> = self.sensors.iter().map(|s| s.active).collect();
        self.follow(now);
        self.tend_guard(now, around);
        let awake = self.daemon.is_some() && !around.hung;
        if awake {
            if std::mem::take(&mut self.loss_untold) {
                self.lose_guard(now, around);
            }
            let unread = std::mem::take(&mut self.unread);
            self.take_reports(now, unread, around);
            self.catch_up(now, around);
            self.read_inputs(now, &before, around);
            self.beat(now);
            let missing = |s: &&Sensor| s.ailment == Some(Ailment::Missing);
            let silent = self.sensors.iter().filter(missing);
            let read = (self.guard.is_some() && !self.inputs_silent)
                .then(|| silent.map(|s| s.line.clone()).collect());
            self.feed(now, Input::Tick { read }, around);
            self.work_lane(around);
        }
        if self.daemon.is_some() && around.hung {
            self.miss_contacts(now, &before);
        }
        self.note_withheld(now, around);
        let well = awake && self.guard.is_some() && !self.port_sticks;
        self.well_since = well.then(|| self.well_since.unwrap_or(now));
        let in_touch = awake && self.guard.is_some();
        self.in_touch_since = in_touch.then(|| self.in_touch_since.unwrap_or(now));
        let faults = match &self.daemon {
            Some(daemon) => daemon.machine.faults().to_vec(),
            None => Vec::new(),
        };
        let unread = |s: &Sensor| now > s.read + 2 * TICK;
        if faults.contains(&Fault::MovedUnbidden) || self.sensors.iter().any(unread) {
            self.unbidden.settled();
        }
        let facts = Facts {
            sensors: &self.sensors,
            faults: &faults,
            well_since: self.well_since,
            in_touch_since: self.in_touch_since,
            unbidden: self.unbidden.moved_at(),
        };
        self.watch.step(now, facts, around.report);
    }

    fn move_boom(&mut self, now: u64, dt: u64) {
        let occupied = self.traffic.on_safety_loop();
        let (up, down) = (
            self.watch.on(Output::Open) || self.welded == Some(Output::Open),
            self.watch.on(Output::Close) || self.welded == Some(Output::Close),
        );
        let limits = match &mut self.drive {
            Drive::Controller(boom) => {
                boom.step(Duration::from_millis(dt), occupied);
                (
                    boom.motion() == Motion::Open,
                    boom.motion() == Motion::Closed,
                )
            }
            Drive::Motor(boom) => {
                boom.step(dt, up, down, self.watch.on(Output::Stop));
                (boom.opened(), boom.closed())
            }
        };
        if self.watch.moving() {
            self.unbidden.driven(now, DEBOUNCE, TICK);
        }
        if self.managed && limits != self.limits {
            let ails = |line: &Line| {
                let sensor = self.sensors.iter().find(|s| s.line == *line);
                sensor.is_none_or(|s| {
                    s.ailment.is_some() || now < s.read_since + 1500 || now > s.read + 2 * TICK
                })
            };
            let told = !ails(&Line::OpenedLimit) && !ails(&Line::ClosedLimit);
            let well = self.well_since.is_some_and(|at| now > at + 1000 + 3 * TICK);
            if told && well {
                self.unbidden.moved(now, TICK);
            }
            self.limits = limits;
        }
    }

    fn open_part(&self) -> f64 {
        match &self.drive {
            Drive::Controller(boom) => f64::from(boom.open_fraction()),
            Drive::Motor(boom) => boom.place,
        }
    }

    pub(super) fn jam(&mut self, jammed: bool) {
        if let Drive::Motor(boom) = &mut self.drive {
            boom.jammed = jammed;
        }
    }

    pub(super) fn lift(&mut self, lifted: bool) {
        if let Drive::Motor(boom) = &mut self.drive {
            boom.lifted = lifted;
        }
    }

    fn drive_traffic(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        if around.arrivals {
            self.traffic
                .arrive(now, around.town, around.rng, around.report);
        }
        let free = self.fire || self.withheld == Some(Withheld::Held);
        let open = self.open_part();
        let gone = self.traffic.drive(now, around.dt, open, free, around.rng);
        for departed in gone {
            self.lately.push_back((departed.plate.clone(), now));
            self.departed.push(departed);
        }
        while self.lately.front().is_some_and(|(_, at)| now > at + LATELY) {
            self.lately.pop_front();
        }
    }

    /// The contacts follow the world.
    fn follow(&mut self, now: u64) {
        let tested = self.watch.on(Output::Test);
        let pressed = self.person.presses_until.is_some();
        let (opened, closed) = match &self.drive {
            Drive::Controller(boom) => (
                boom.motion() == Motion::Open,
                boom.motion() == Motion::Closed,
            ),
            Drive::Motor(boom) => (boom.opened(), boom.closed()),
        };
        for sensor in &mut self.sensors {
            let truth = match sensor.line {
                Line::ArrivalLoop(_) => self.traffic.on_arrival_loop(),
                Line::SafetyLoop => self.traffic.on_safety_loop() || tested,
                Line::LightBeam => self.traffic.in_beam() || tested,
                Line::GuardButton => pressed,
                Line::Fire => self.fire,
                Line::Stop => self.stop,
                Line::OpenedLimit => opened,
                Line::ClosedLimit => closed,
            };
            let forgets = sensor.forgot && tested;
            sensor.follow(now, truth, !self.inputs_silent);
            sensor.forgot |= forgets;
        }
    }

    fn read_inputs(&mut self, now: u64, before: &[bool], around: &mut Surroundings<'_>) {
        let reads = self.guard.is_some() && !self.inputs_silent;
        for which in 0..self.sensors.len() {
            let sensor = &self.sensors[which];
            let missing = sensor.ailment == Some(Ailment::Missing);
            let chatters = sensor.ailment == Some(Ailment::Chatters);
            let closed = (reads && !missing).then(|| sensor.closed());
            let line = sensor.line.clone();
            let flickers = chatters && before.get(which).is_some();
            let Some(debouncer) = self
                .daemon
                .as_mut()
                .and_then(|daemon| daemon.debouncers.get_mut(which))
            else {
                return;
            };
            let mut notices = Vec::new();
            if let (true, Some(closed)) = (flickers, closed) {
                // Down and up again since the last look: three changes with the one below.
                for (before, flicker) in [(8, !closed), (6, closed), (4, !closed)] {
                    let time = at(now.saturating_sub(before));
                    notices.extend(debouncer.step(time, Some(flicker)));
                }
            }
            notices.extend(debouncer.step(at(now), closed));
            self.notice((now, now), &line, notices, around);
        }
    }

    fn notice(
        &mut self,
        (now, seen): (u64, u64),
        line: &Line,
        notices: Vec<LineNotice>,
        around: &mut Surroundings<'_>,
    ) {
        for notice in notices {
            let input = of_notice(line, notice, seen);
            if let Input::Health(line, fault, faulty) = &input {
                self.watch.health(line, *fault, *faulty);
            }
            if let Input::Level(Line::ArrivalLoop(_), active, _) = input {
                self.heard.push_back(LaneNews::Loop(active));
            }
            self.feed(now, input, around);
        }
    }

    /// The relay guard goes on reporting contacts with their times while the daemon hangs.
    fn miss_contacts(&mut self, now: u64, before: &[bool]) {
        if self.guard.is_none() || self.inputs_silent {
            return;
        }
        for (which, sensor) in self.sensors.iter().enumerate() {
            let missing = sensor.ailment == Some(Ailment::Missing);
            if !missing && before.get(which) != Some(&sensor.active) {
                self.unread_contacts.push((now, which, sensor.closed()));
            }
        }
    }

    fn catch_up(&mut self, now: u64, around: &mut Surroundings<'_>) {
        for (time, which, closed) in std::mem::take(&mut self.unread_contacts) {
            let line = self.sensors.get(which).map(|s| s.line.clone());
            let debouncer = self
                .daemon
                .as_mut()
                .and_then(|d| d.debouncers.get_mut(which));
            if let (Some(line), Some(debouncer)) = (line, debouncer) {
                let notices = debouncer.step(at(time), Some(closed));
                self.notice((now, time), &line, notices, around);
            }
        }
    }

    /// Starts a relay guard where there is none; its first write is a release.
    fn tend_guard(&mut self, now: u64, around: &mut Surroundings<'_>) {
        if self.daemon.is_none() || around.hung || self.guard.is_some() || now < self.guard_back {
            return;
        }
        if self.port_sticks {
            // The board took no release before its relay guard's successor came.
            self.watch.release_refused();
            self.guard_back = now + 2000;
            return;
        }
        if self.watch.moving() {
            around.report.guard(Guard::FirstRelease);
        }
        self.all_off(now, around.report);
        self.guard = Some(if self.managed {
            RelayGuard::Motor(MotorTimer::new(at(now)))
        } else {
            RelayGuard::Pulse(PulseTimer::new(at(now)))
        });
        self.watch.began_anew(false);
        if let Some(daemon) = &mut self.daemon {
            for debouncer in &mut daemon.debouncers {
                debouncer.forget();
            }
        }
        for sensor in &mut self.sensors {
            sensor.was_forgotten(now);
        }
        self.feed(now, Input::GuardReady, around);
    }
}

fn is_direction(output: Output) -> bool {
    matches!(output, Output::Open | Output::Close)
}
