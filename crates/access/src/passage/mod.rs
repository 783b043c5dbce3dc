//! The passages of one lane: from first sight to the record.
//!
//! ```text
//! vehicles (tracker) ─┐
//! arrival loop ───────┤           ┌─► Open        to the barrier
//! guard's answers ────┼─► Lane ───┼─► Record      to the journal
//! the barrier's news ─┤           ├─► Picture     to the archive
//! time ───────────────┘           └─► Ask         to the guard
//! ```
//!
//! [`Lane`] is a pure state machine: time, ids and the decision come in as arguments. It holds
//! the rules of a visit:
//!
//! - Every vehicle gets one passage, one verdict entry at the decision (and one more for each
//!   time that verdict changes), and one passage entry when it has left.
//! - Only the vehicle in front is let in: the one on the arrival loop, or without a loop the one
//!   whose plate is largest. A resident behind a stranger does not open the boom for the
//!   stranger.
//! - A vehicle that was refused can still be admitted when a better look shows that it is
//!   registered; one that was admitted is never refused afterwards.
//! - One passage causes at most one opening of its own. A vehicle that was admitted and still
//!   waits is the guard's to look at.
//! - A vehicle that stays (a parked car in view) has its passage closed, and gets a new one when
//!   it moves.
//!
//! Invariant: nothing here knows pixels, pins or MQTT.

mod open;
#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::reading::Sighting;
use domain::verdict::{Reason, Verdict};
use domain::{Direction, Event, Monotonic, Name, Outcome, PassageId, PlateNumber, Quad, Vehicle};
use jiff::Timestamp;

use open::{Asking, Opening, Passage};

/// What tells that a vehicle is there, and must be true for the boom to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A plate in the picture. A printed plate can fool it.
    Picture,
    /// The arrival loop; plates in view without it are not looked at.
    Loop,
    /// A passage begins with either; the boom opens only with a vehicle on the loop.
    Both,
}

/// How a lane works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The lane's name.
    pub lane: Name,
    /// Which way it leads.
    pub direction: Direction,
    /// What begins a passage and allows an opening.
    pub trigger: Trigger,
    /// Decide and record, and never open.
    pub shadow: bool,
    /// After this long a verdict is given on what there is.
    pub decide_within: Duration,
    /// A vehicle unseen (and not on the loop) for this long has left.
    pub leave_after: Duration,
    /// How long the guard has to answer.
    pub ask_for: Duration,
    /// A vehicle that has its verdict and stands still for this long is parked.
    pub stay_limit: Duration,
    /// An admitted vehicle that has not reached the arrival loop is waited for this long after
    /// it was last seen.
    pub hold_for: Duration,
    /// An admitted vehicle that still stands there this long after its opening is the guard's.
    pub wait_limit: Duration,
}

impl Settings {
    /// The defaults for an entry lane that is triggered by the picture.
    pub fn new(lane: Name) -> Self {
        Self {
            lane,
            direction: Direction::Entry,
            trigger: Trigger::Picture,
            shadow: false,
            decide_within: Duration::from_secs(2),
            leave_after: Duration::from_secs(3),
            ask_for: Duration::from_secs(30),
            stay_limit: Duration::from_mins(10),
            hold_for: Duration::from_mins(1),
            wait_limit: Duration::from_secs(20),
        }
    }
}

/// One instant on both clocks: the monotonic one decides, the wall clock is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Decides.
    pub monotonic: Monotonic,
    /// Is written down.
    pub wall: Timestamp,
}

/// What a lane is told.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The vehicles that the tracker knows, after each frame.
    Vehicles(&'a [Vehicle]),
    /// The arrival loop was occupied or cleared.
    Loop(bool),
    /// A person answered, for the passage named or the one that waits for an answer.
    Answer {
        /// The passage; the one that has waited longest if none is named.
        passage: Option<PassageId>,
        /// Whether the vehicle may pass.
        admit: bool,
        /// Who answered.
        by: &'a str,
    },
    /// A pass was held up for this passage, the one in doubt ([`Lane::in_doubt`]), and this is its
    /// verdict now.
    PassShown(PassageId, &'a Verdict),
    /// The barrier began to open for `passage`.
    Opened(PassageId),
    /// The barrier did not open for `passage`.
    NotOpened(PassageId),
    /// The barrier began to open by the guard's button.
    OpenedByButton,
    /// A vehicle with this plate passed the other lane of the same boom: its rear plate may
    /// come into this lane's view.
    PassedOtherLane(&'a PlateNumber),
    /// Time went by.
    Tick,
    /// The program ends.
    Interrupt,
}

/// Who wants an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The verdict.
    Verdict,
    /// A person's answer.
    Guard,
}

/// What a lane wants done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Open the barrier for this passage.
    Open(PassageId, Origin),
    /// Write this down.
    Record(Event),
    /// Keep the current frame as the passage's picture; the plate's place if there is one.
    Picture(PassageId, Option<Quad>),
    /// Tell the guard that an answer is wanted, or that it no longer is.
    Ask(PassageId, bool),
}

/// Gives the verdict on a sighting, or `None` to look on; the second argument says that this is
/// the last look.
pub type Decide<'a> = dyn Fn(Option<&Sighting>, bool) -> Option<Verdict> + 'a;

/// A vehicle in sight that has its verdict behind it and has not moved since.
struct Parked {
    vehicle: u64,
    still_since: Monotonic,
}

/// The passages of one lane.
pub struct Lane {
    settings: Settings,
    open: Vec<Passage>,
    /// Vehicles of the last frame that has some; for a loop that is occupied later.
    in_sight: Vec<Vehicle>,
    parked: Vec<Parked>,
    loop_occupied: bool,
    /// Plates that passed the boom's other lane, and when.
    next_door: Vec<(PlateNumber, Monotonic)>,
}

/// How long a plate that passed the other lane may come into view with its rear plate.
const REAR_PLATE_FOR: Duration = Duration::from_secs(30);
/// Readings without which a refusal waits for the last look.
const READINGS_TO_REFUSE: u32 = 3;

impl Lane {
    /// A lane that nothing has happened in yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            open: Vec::new(),
            in_sight: Vec::new(),
            parked: Vec::new(),
            loop_occupied: false,
            next_door: Vec::new(),
        }
    }

    /// The lane's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether no passage is going on.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// The passage that waits for the guard's answer, longest first.
    pub fn asking(&self) -> Option<PassageId> {
        self.open.iter().find(|p| p.asking.is_some()).map(|p| p.id)
    }

    /// The vehicle in front, if it wants in, has its verdict and may not pass: whom a pass that is
    /// held up now is for.
    pub fn in_doubt(&self, now: Now) -> Option<(PassageId, &Verdict)> {
        if self.settings.direction != Direction::Entry {
            return None;
        }
        let p = &self.open[self.front(now)?];
        let (verdict, _) = p.verdict.as_ref()?;
        let admitted = verdict.decision == domain::Decision::Admit;
        (!admitted && !p.has_passed(now.monotonic)).then_some((p.id, verdict))
    }

    /// Takes one input and says what to do about it.
    pub fn step(
        &mut self,
        now: Now,
        input: Input<'_>,
        decide: &Decide<'_>,
        new_id: &mut dyn FnMut() -> PassageId,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Vehicles(vehicles) => self.see(now, vehicles, new_id),
            Input::Loop(occupied) => self.feel(now, occupied, new_id),
            Input::Answer { passage, admit, by } => {
                self.answer(now, passage, admit, by, &mut actions);
            }
            Input::PassShown(id, verdict) => {
                if self.in_doubt(now).is_some_and(|(doubted, _)| doubted == id) {
                    self.give(now, id, verdict.clone(), &mut actions);
                }
            }
            Input::Opened(id) => {
                if let Some(p) = self.find(id) {
                    p.opening = Opening::Done(now.monotonic);
                }
            }
            Input::NotOpened(id) => {
                if let Some(p) = self.find(id) {
                    p.opening = Opening::Failed(now.monotonic, p.failures() + 1);
                }
            }
            Input::OpenedByButton => self.opened_by_button(now, &mut actions),
            Input::PassedOtherLane(plate) => {
                self.next_door.push((plate.clone(), now.monotonic));
            }
            Input::Tick => {}
            Input::Interrupt => {
                self.interrupt(now, &mut actions);
                return actions;
            }
        }
        self.next_door
            .retain(|(_, at)| now.monotonic.since(*at) < REAR_PLATE_FOR);
        self.judge(now, decide, &mut actions);
        self.let_in(now, &mut actions);
        self.close(now, decide, &mut actions);
        actions
    }

    fn find(&mut self, id: PassageId) -> Option<&mut Passage> {
        self.open.iter_mut().find(|p| p.id == id)
    }

    fn see(&mut self, now: Now, vehicles: &[Vehicle], new_id: &mut dyn FnMut() -> PassageId) {
        self.parked.retain(|parked| {
            vehicles
                .iter()
                .any(|v| v.id == parked.vehicle && v.still_since == parked.still_since)
        });
        self.in_sight = vehicles.to_vec();
        for vehicle in vehicles {
            if let Some(p) = self.open.iter_mut().find(|p| p.is_of(vehicle.id)) {
                p.see(vehicle);
                continue;
            }
            let fresh = now.monotonic.since(vehicle.last_seen) < self.settings.leave_after;
            if !fresh || self.parked.iter().any(|p| p.vehicle == vehicle.id) {
                continue;
            }
            if let Some(p) = self
                .open
                .iter_mut()
                .find(|p| p.on_loop && p.vehicle.is_none())
            {
                p.see(vehicle);
            } else if self.settings.trigger != Trigger::Loop {
                let mut p = Passage::new(new_id(), now);
                p.see(vehicle);
                self.open.push(p);
            }
        }
    }

    fn feel(&mut self, now: Now, occupied: bool, new_id: &mut dyn FnMut() -> PassageId) {
        if occupied == self.loop_occupied {
            return;
        }
        self.loop_occupied = occupied;
        if !occupied {
            for p in self.open.iter_mut().filter(|p| p.on_loop) {
                p.on_loop = false;
                p.left_loop = Some(now.monotonic);
                p.last_present = now.monotonic;
            }
            return;
        }
        if let Some(at) = self.nearest_to_loop(now) {
            let p = &mut self.open[at];
            p.on_loop = true;
            p.last_present = now.monotonic;
            return;
        }
        let mut p = Passage::new(new_id(), now);
        p.on_loop = true;
        let parked = &self.parked;
        let largest = self
            .in_sight
            .iter()
            .filter(|v| now.monotonic.since(v.last_seen) < self.settings.leave_after)
            .filter(|v| !parked.iter().any(|p| p.vehicle == v.id))
            .max_by(|a, b| a.sighting.quad.width().total_cmp(&b.sighting.quad.width()));
        if let Some(vehicle) = largest {
            p.see(vehicle);
        }
        self.open.push(p);
    }

    /// Which passage's vehicle drove onto the arrival loop: the one whose plate was largest when
    /// last seen, among those in sight and those that were admitted and wait out of sight
    /// between the camera's view and the loop.
    fn nearest_to_loop(&self, now: Now) -> Option<usize> {
        (0..self.open.len())
            .filter(|&i| {
                let p = &self.open[i];
                let seen = now.monotonic.since(p.last_present) < self.settings.leave_after;
                (seen || p.is_admitted()) && !p.has_passed(now.monotonic)
            })
            .max_by(|&a, &b| self.open[a].width().total_cmp(&self.open[b].width()))
    }

    fn answer(
        &mut self,
        now: Now,
        passage: Option<PassageId>,
        admit: bool,
        by: &str,
        actions: &mut Vec<Action>,
    ) {
        let lane = self.settings.lane.clone();
        let Some(id) = passage.or_else(|| self.asking()) else {
            return;
        };
        let Some(p) = self.find(id) else { return };
        actions.push(Action::Record(Event::GuardAnswered {
            passage: id,
            lane,
            admit,
            by: by.to_owned(),
        }));
        let reason = if admit {
            Reason::GuardAdmitted
        } else {
            Reason::GuardRefused
        };
        // An answer is a new cause: the vehicle may be let in again after it failed once.
        if admit {
            p.opening = Opening::None;
        }
        self.settle(now, id, reason, actions);
    }

    fn opened_by_button(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(id) = self
            .asking()
            .or_else(|| self.front(now).map(|i| self.open[i].id))
        else {
            return;
        };
        let Some(p) = self.find(id) else { return };
        p.opening = Opening::Done(now.monotonic);
        if !p.is_admitted() || p.asking.is_some() {
            let lane = self.settings.lane.clone();
            let by = "button".to_owned();
            let answered = Event::GuardAnswered {
                passage: id,
                lane,
                admit: true,
                by,
            };
            actions.push(Action::Record(answered));
            self.settle(now, id, Reason::GuardAdmitted, actions);
        }
    }

    /// Replaces the verdict of a passage by a person's word or silence; the evidence stays.
    fn settle(&mut self, now: Now, id: PassageId, reason: Reason, actions: &mut Vec<Action>) {
        let Some(p) = self.find(id) else { return };
        let (plate, evidence) = match &p.verdict {
            Some((verdict, _)) => (verdict.plate.clone(), verdict.evidence.clone()),
            None => (None, domain::verdict::Evidence::default()),
        };
        self.give(now, id, Verdict::new(reason, plate, evidence), actions);
    }

    /// Gives a passage its (next) verdict.
    fn give(&mut self, now: Now, id: PassageId, verdict: Verdict, actions: &mut Vec<Action>) {
        let (lane, shadow, ask_for) = (
            self.settings.lane.clone(),
            self.settings.shadow,
            self.settings.ask_for,
        );
        let Some(p) = self.find(id) else { return };
        let asks = verdict.decision == domain::Decision::AskGuard;
        if p.asking.is_some() != asks {
            actions.push(Action::Ask(id, asks));
        }
        p.asking = asks.then(|| Asking {
            until: now.monotonic + ask_for,
        });
        if p.verdict.is_none() || verdict.decision == domain::Decision::Admit {
            actions.push(Action::Picture(id, p.quad()));
        }
        p.verdict = Some((verdict.clone(), now.monotonic));
        let verdict = Box::new(verdict);
        actions.push(Action::Record(Event::Verdict {
            passage: id,
            lane,
            verdict,
            shadow,
        }));
    }

    fn judge(&mut self, now: Now, decide: &Decide<'_>, actions: &mut Vec<Action>) {
        let ids: Vec<PassageId> = self.open.iter().map(|p| p.id).collect();
        for id in ids {
            let final_after = self.settings.decide_within;
            let wait_limit = self.settings.wait_limit;
            let Some(p) = self.find(id) else { continue };
            let last_look = now.monotonic.since(p.began.monotonic) >= final_after;
            let next = match &p.verdict {
                None => {
                    let sighting = p.vehicle.as_ref().map(|v| &v.sighting);
                    let sure_vehicle = p.is_vehicle();
                    decide(sighting, last_look && sure_vehicle).filter(|v| {
                        v.reason.is_of_right()
                            || (sure_vehicle && (last_look || p.readings() >= READINGS_TO_REFUSE))
                    })
                }
                Some((verdict, _)) if verdict.decision != domain::Decision::Admit => {
                    let silent = p.asking.as_ref().is_some_and(|a| now.monotonic >= a.until);
                    if silent {
                        self.settle(now, id, Reason::GuardSilent, actions);
                        continue;
                    }
                    // A person's word stands; a better look may show a resident.
                    let by_person = verdict.reason == Reason::GuardRefused
                        || verdict.reason == Reason::StillWaiting;
                    let better = p
                        .vehicle
                        .as_ref()
                        .filter(|v| !by_person && v.sighting.readings > verdict.evidence.readings);
                    better
                        .and_then(|v| decide(Some(&v.sighting), false))
                        .filter(|v| v.reason.is_of_right())
                }
                Some((verdict, _)) => {
                    let waits = verdict.reason != Reason::StillWaiting
                        && matches!(p.opening, Opening::Done(at)
                            if now.monotonic.since(at) >= wait_limit
                                && now.monotonic.since(p.still_since()) >= wait_limit
                                && now.monotonic.since(p.last_present) < final_after);
                    if waits && !p.asked_again {
                        p.asked_again = true;
                        self.settle(now, id, Reason::StillWaiting, actions);
                    }
                    continue;
                }
            };
            let Some(verdict) = next else { continue };
            if self.is_rear_plate(&verdict) {
                self.open.retain(|p| p.id != id);
                continue;
            }
            self.give(now, id, verdict, actions);
        }
    }

    fn is_rear_plate(&self, verdict: &Verdict) -> bool {
        let plate = verdict.plate.as_ref();
        plate.is_some_and(|plate| self.next_door.iter().any(|(passed, _)| passed == plate))
    }

    /// The passage whose vehicle is in front: on the loop, or with the largest plate in sight.
    fn front(&self, now: Now) -> Option<usize> {
        if let Some(on_loop) = self.open.iter().position(|p| p.on_loop) {
            return Some(on_loop);
        }
        (0..self.open.len())
            .filter(|&i| now.monotonic.since(self.open[i].last_present) < self.settings.leave_after)
            .max_by(|&a, &b| self.open[a].width().total_cmp(&self.open[b].width()))
    }

    fn let_in(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.settings.shadow {
            return;
        }
        let Some(front) = self.front(now) else { return };
        let needs_loop = self.settings.trigger != Trigger::Picture;
        let p = &mut self.open[front];
        let there = p.on_loop || !needs_loop;
        let Some((verdict, _)) = &p.verdict else {
            return;
        };
        if verdict.decision == domain::Decision::Admit && there && p.wants_opening(now.monotonic) {
            let by_guard = verdict.reason == Reason::GuardAdmitted;
            let origin = if by_guard {
                Origin::Guard
            } else {
                Origin::Verdict
            };
            p.opening = Opening::Asked(p.failures());
            actions.push(Action::Open(p.id, origin));
        }
    }

    fn close(&mut self, now: Now, decide: &Decide<'_>, actions: &mut Vec<Action>) {
        let mut at = 0;
        while at < self.open.len() {
            let p = &self.open[at];
            let unseen = now.monotonic.since(p.last_present);
            let held = p.is_admitted()
                && !matches!(p.opening, Opening::Done(_))
                && self.settings.trigger == Trigger::Both
                && !self.settings.shadow;
            let patience = if held {
                self.settings.hold_for
            } else {
                self.settings.leave_after
            };
            let left = !p.on_loop && unseen >= patience;
            let stays = p.verdict.is_some()
                && p.asking.is_none()
                && !p.on_loop
                && now.monotonic.since(p.still_since()) >= self.settings.stay_limit;
            if !left && !stays {
                at += 1;
                continue;
            }
            if p.verdict.is_none() && !p.is_vehicle() {
                // One unsure reading that nothing followed: noise, not a vehicle.
                self.open.remove(at);
                continue;
            }
            if p.verdict.is_none() {
                let id = p.id;
                let sighting = p.vehicle.as_ref().map(|v| v.sighting.clone());
                match decide(sighting.as_ref(), true) {
                    Some(verdict) if self.is_rear_plate(&verdict) => {
                        self.open.remove(at);
                        continue;
                    }
                    // It is gone: nobody is asked and nothing opens any more.
                    Some(verdict) => {
                        self.give(now, id, verdict, actions);
                        if self.open[at].asking.take().is_some() {
                            actions.push(Action::Ask(id, false));
                        }
                    }
                    None => {}
                }
            }
            let mut p = self.open.remove(at);
            if p.asking.take().is_some() {
                actions.push(Action::Ask(p.id, false));
            }
            let outcome = match (stays, p.opening) {
                (true, _) => Outcome::Stayed,
                (false, Opening::Done(_)) => Outcome::Passed,
                (false, _) => Outcome::TurnedAway,
            };
            if let (true, Some(vehicle)) = (stays, &p.vehicle) {
                self.parked.push(Parked {
                    vehicle: vehicle.id,
                    still_since: vehicle.still_since,
                });
            }
            actions.push(Action::Record(p.record(&self.settings, outcome, now.wall)));
        }
    }

    fn interrupt(&mut self, now: Now, actions: &mut Vec<Action>) {
        for p in std::mem::take(&mut self.open) {
            if p.verdict.is_some() || p.is_vehicle() {
                actions.push(Action::Record(p.record(
                    &self.settings,
                    Outcome::Interrupted,
                    now.wall,
                )));
            }
        }
    }
}
