//! The lane's thread, the news of its barrier, and the person in the hut.

use access::passage::{self, Origin as Wanted};
use domain::{Decision, Event, PassageId, Reason};
use gate::CauseId;
use gate::barrier::managed::Withheld;
use gate::barrier::{BarrierEvent, Origin};
use rand::RngExt as _;

use super::{Around, Guard, Input, LaneNews, Machine, Site, Surroundings, at};
use crate::compound::books::Sabotage;

/// How long somebody waits at the boom before the guard opens by hand, in milliseconds.
const GUARD_HELPS: u64 = 12_000;

impl Site {
    /// What the barrier tells: to the watch, the lane, the journal and the drivers.
    pub(super) fn news(&mut self, now: u64, event: &BarrierEvent, around: &mut Surroundings<'_>) {
        let Some(daemon) = &mut self.daemon else {
            return;
        };
        let faults = daemon.machine.faults();
        self.watch.event(now, event, faults, around.report);
        let barrier = daemon.part.name.clone();
        match event {
            BarrierEvent::OpeningStarted { cause, origin } => {
                if matches!(origin, Origin::Guard | Origin::Fire) && around.troubled {
                    around.report.guard(Guard::WorksWithout);
                }
                self.used.push_back(cause.clone());
                self.used.truncate(50);
                let by_lane = daemon.part.passage_of(cause);
                if by_lane.is_none() && *origin == Origin::Guard {
                    self.heard.push_back(LaneNews::OpenedByButton);
                }
                if self.managed {
                    self.opened(cause);
                }
            }
            BarrierEvent::Energised { cause, .. } => self.opened(cause),
            BarrierEvent::Released { cause, .. } => {
                daemon.part.done_with(cause);
            }
            BarrierEvent::OpeningRefused { cause, .. }
            | BarrierEvent::OpeningFailed { cause, .. } => {
                if let Some(id) = daemon.part.done_with(cause) {
                    self.heard.push_back(LaneNews::NotOpened(id));
                }
                daemon.records.push(Event::OpeningRefused {
                    barrier,
                    cause: cause.to_string(),
                    why: "as its event says".to_owned(),
                });
            }
            BarrierEvent::FaultLatched { fault } => daemon.records.push(Event::Alarm {
                code: "fault".to_owned(),
                message: fault.cure(),
            }),
            _ => {}
        }
    }

    fn opened(&mut self, cause: &CauseId) {
        let Some(daemon) = &mut self.daemon else {
            return;
        };
        daemon.records.push(Event::Opened {
            barrier: daemon.part.name.clone(),
            cause: cause.to_string(),
        });
        if let Some(id) = daemon.part.passage_of(cause) {
            self.heard.push_back(LaneNews::Opened(id));
        }
        if let Some(car) = self.traffic.front() {
            car.permitted = true;
        }
    }

    /// The lane hears what there is to hear, and sees what the camera shows.
    pub(super) fn work_lane(&mut self, around: &mut Surroundings<'_>) {
        while let Some(news) = self.heard.pop_front() {
            let input = match news {
                LaneNews::Loop(occupied) => passage::Input::Loop(occupied),
                LaneNews::Opened(id) => passage::Input::Opened(id),
                LaneNews::NotOpened(id) => passage::Input::NotOpened(id),
                LaneNews::OpenedByButton => passage::Input::OpenedByButton,
            };
            self.lane_input(around, input);
        }
        let now = around.now;
        let due = self.person.answers.iter().position(|(_, at, _)| now >= *at);
        if let Some((id, _, Some(admit))) = due.map(|place| self.person.answers.remove(place)) {
            let input = passage::Input::Answer {
                passage: Some(id),
                admit,
                by: "guard",
            };
            self.lane_input(around, input);
        }
        let frame = self.traffic.look(now, self.camera, around.town, around.rng);
        match frame {
            Some(vehicles) => self.lane_input(around, passage::Input::Vehicles(&vehicles)),
            None => self.lane_input(around, passage::Input::Tick),
        }
    }

    pub(super) fn lane_input(&mut self, around: &mut Surroundings<'_>, input: passage::Input<'_>) {
        let now = around.now;
        let Some(daemon) = &mut self.daemon else {
            return;
        };
        let actions = daemon.part.step(
            &mut Around {
                now,
                wall: around.wall,
                town: around.town,
                registry: around.registry.as_ref(),
                ids: around.ids,
                began: around.began,
                sabotage: around.sabotage,
            },
            input,
        );
        for action in actions {
            match action {
                passage::Action::Open(id, origin) => self.want_opening(now, id, origin, around),
                passage::Action::Record(event) => {
                    self.judge(&event, around);
                    if let Some(daemon) = &mut self.daemon {
                        daemon.records.push(event);
                    }
                }
                passage::Action::Ask(id, true) => {
                    let after = around.rng.random_range(800..5000);
                    let answer = match around.rng.random_range(0..10) {
                        0..6 => Some(true),
                        6..8 => Some(false),
                        _ => None,
                    };
                    self.person.answers.push((id, now + after, answer));
                }
                passage::Action::Ask(id, false) => self.person.answers.retain(|(a, ..)| *a != id),
                passage::Action::Picture(..) => {}
            }
        }
    }

    fn want_opening(
        &mut self,
        now: u64,
        id: PassageId,
        origin: Wanted,
        around: &mut Surroundings<'_>,
    ) {
        let cause = self.daemon.as_mut().and_then(|d| d.part.cause(id, origin));
        let Some((cause, origin)) = cause else { return };
        self.watch.asked(now, &cause);
        if around.sabotage == Sabotage::Starves {
            return;
        }
        let input = Input::Request {
            cause,
            origin,
            asked: now,
        };
        self.feed(now, input, around);
    }

    /// An admission must be of a vehicle that is here.
    fn judge(&mut self, event: &Event, around: &mut Surroundings<'_>) {
        let Event::Verdict { verdict, .. } = event else {
            return;
        };
        if verdict.decision != Decision::Admit {
            around.report.guard(Guard::NotAdmitted);
        } else if verdict.reason == Reason::Registered {
            let here = verdict.plate.as_ref().is_some_and(|plate| {
                let cars = self.traffic.cars.iter();
                cars.filter(|car| car.resident)
                    .any(|car| car.plate == *plate)
                    || self.lately.iter().any(|(gone, _)| gone == plate)
            });
            if !here {
                self.watch.admitted_nobody(around.now);
            }
        }
    }

    /// The guard answers, helps who waits too long, and clears what is latched.
    pub(super) fn person(&mut self, now: u64, around: &mut Surroundings<'_>) {
        if let Some(until) = self.person.presses_until {
            if now >= until {
                self.person.presses_until = None;
                self.person.next_press = now + around.rng.random_range(4000..9000);
            }
            return;
        }
        let Some(daemon) = &self.daemon else { return };
        if now < self.person.next_press || self.stop {
            return;
        }
        if !daemon.machine.faults().is_empty() {
            let patient = around.rng.random_bool(0.8);
            let length = if patient { 5400 } else { 3000 };
            self.person.presses_until = Some(now + length);
        } else if self.traffic.longest_wait(now) > GUARD_HELPS || around.rng.random_bool(0.0005) {
            self.person.presses_until = Some(now + 300);
        }
    }

    /// Openings that somebody asks for beside the lane: too many, old ones, used ones.
    pub(in crate::compound) fn flood(&mut self, now: u64, around: &mut Surroundings<'_>) {
        for _ in 0..6 {
            if let Some(cause) = self.make_up("flood") {
                self.watch.asked(now, &cause);
                let input = Input::Request {
                    cause,
                    origin: Origin::Automatic,
                    asked: now,
                };
                self.feed(now, input, around);
            }
        }
    }

    pub(in crate::compound) fn replay(&mut self, now: u64, around: &mut Surroundings<'_>) {
        let old = self.make_up("old");
        let used = self.used.back().cloned();
        for (cause, asked) in [(old, now.saturating_sub(5000)), (used, now)] {
            let Some(cause) = cause else { continue };
            self.watch.asked_in_vain(&cause);
            let input = Input::Request {
                cause,
                origin: Origin::Command,
                asked,
            };
            self.feed(now, input, around);
        }
    }

    pub(in crate::compound) fn hold(&mut self, now: u64, around: &mut Surroundings<'_>) {
        if let Some(cause) = self.make_up("hold") {
            self.watch.asked(now, &cause);
            self.feed(now, Input::Hold { cause, asked: now }, around);
        }
    }

    fn make_up(&mut self, what: &str) -> Option<CauseId> {
        self.made_up += 1;
        CauseId::new(format!("{what}-{}-{}", self.name, self.made_up)).ok()
    }

    /// Notes why the boom stays up: each reason is a guard that intervenes.
    pub(super) fn note_withheld(&mut self, now: u64, around: &mut Surroundings<'_>) {
        let Some(daemon) = &self.daemon else { return };
        let Machine::Managed(barrier) = &daemon.machine else {
            return;
        };
        let withheld = barrier.withheld(at(now));
        if withheld == self.withheld {
            return;
        }
        self.withheld = withheld;
        let guard = match withheld {
            Some(Withheld::FireHolds) => Guard::FireHolds,
            Some(Withheld::Occupied) => Guard::Occupied,
            Some(Withheld::Unhealthy) => Guard::Healthy,
            Some(Withheld::Stale) => Guard::Fresh,
            Some(Withheld::Clearance) => Guard::Clearance,
            Some(Withheld::Unproven) => Guard::Proven,
            Some(Withheld::Untested) => Guard::SelfTest,
            _ => return,
        };
        around.report.guard(guard);
    }

    /// Whether nothing is going on any more.
    pub(in crate::compound) fn is_idle(&self, now: u64) -> bool {
        let Some(daemon) = &self.daemon else {
            return false;
        };
        let down = match &daemon.machine {
            Machine::Pulse(_) => true,
            Machine::Managed(barrier) => {
                let waits = barrier.withheld(at(now)) == Some(Withheld::Unproven);
                waits
                    || barrier.position() == gate::barrier::Position::Closed
                    || barrier.withheld(at(now)) == Some(Withheld::NotUp)
            }
        };
        let lane = daemon.part.lane.is_idle();
        lane && down && daemon.machine.faults().is_empty() && !self.watch.moving()
    }
}
