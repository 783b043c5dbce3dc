#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use domain::reading::{Alphabet, Fusion, LogProb, Matrix, Reading};
use domain::verdict::Evidence;
use domain::{Decision, PlateKind};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const CHARACTERS: &str = "苏沪京ABCDEFGHJKLMNPQRSTUVWXYZ0123456789";

fn sighting(text: &str, width: f32, readings: u32) -> Sighting {
    let alphabet = Alphabet::new(CHARACTERS).unwrap();
    let classes = alphabet.classes();
    let mut nats = vec![-6.0; 8 * classes];
    for slot in 0..8 {
        let class = text
            .chars()
            .nth(slot)
            .map_or(alphabet.blank(), |c| alphabet.class(c).unwrap());
        nats[slot * classes + class] = -0.02;
    }
    let quad = Quad([
        (0.0, 0.0),
        (width, 0.0),
        (width, width * 0.3),
        (0.0, width * 0.3),
    ]);
    let reading = Reading {
        matrix: Matrix::from_nats(classes, &nats).unwrap(),
        kinds: vec![(PlateKind::Small, LogProb::CERTAIN)],
        quad,
        detected: 0.9,
        sharpness: 15.0,
    };
    Sighting {
        readings,
        ..Fusion::new(&reading).sighting()
    }
}

/// A lane in a small world: 苏E plates are registered, 京 plates cannot be told for sure.
struct World {
    lane: Lane,
    now: u64,
    ids: u128,
    vehicles: Vec<Vehicle>,
    records: Vec<domain::PassageRecord>,
    verdicts: Vec<(PassageId, Reason)>,
    /// Asked of the barrier, and done by it.
    openings: Vec<PassageId>,
    done: Vec<PassageId>,
    asking: Vec<PassageId>,
    barrier_works: bool,
}

fn rule(sighting: Option<&Sighting>, last_look: bool) -> Option<Verdict> {
    let Some(s) = sighting else {
        return last_look.then(|| Verdict::new(Reason::Unread, None, Evidence::default()));
    };
    let alphabet = Alphabet::new(CHARACTERS).unwrap();
    let plate = s.matrix.valid_numbers(&alphabet).next().unwrap().number;
    let evidence = Evidence {
        readings: s.readings,
        ..Evidence::default()
    };
    let reason = match plate.as_str().chars().next() {
        Some('苏') => Reason::Registered,
        Some('京') if !last_look => return None,
        Some('京') => Reason::Ambiguous,
        _ => Reason::NotRegistered,
    };
    Some(Verdict::new(reason, Some(plate), evidence))
}

impl World {
    fn new(trigger: Trigger) -> Self {
        let settings = Settings {
            trigger,
            ..Settings::new("entry".parse().unwrap())
        };
        Self::with(settings)
    }

    fn with(settings: Settings) -> Self {
        Self {
            lane: Lane::new(settings),
            now: 10_000,
            ids: 0,
            vehicles: Vec::new(),
            records: Vec::new(),
            verdicts: Vec::new(),
            openings: Vec::new(),
            done: Vec::new(),
            asking: Vec::new(),
            barrier_works: true,
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: Monotonic::from_millis(self.now),
            wall: Timestamp::from_millisecond(self.now as i64).unwrap(),
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        let now = self.now();
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            PassageId(Uuid::from_u128(*ids))
        };
        let actions = self.lane.step(now, input, &rule, &mut new_id);
        let mut opened = Vec::new();
        for action in actions {
            match action {
                Action::Open(id, _) => opened.push(id),
                Action::Record(Event::Passage(record)) => self.records.push(*record),
                Action::Record(Event::Verdict {
                    passage, verdict, ..
                }) => {
                    self.verdicts.push((passage, verdict.reason));
                }
                Action::Record(_) | Action::Picture(..) => {}
                Action::Ask(id, true) => self.asking.push(id),
                Action::Ask(id, false) => self.asking.retain(|a| *a != id),
            }
        }
        for id in opened {
            self.openings.push(id);
            if self.barrier_works {
                self.done.push(id);
            }
            let news = if self.barrier_works {
                Input::Opened(id)
            } else {
                Input::NotOpened(id)
            };
            self.tell(news);
        }
    }

    /// Lets `tenths` of a second pass with the present vehicles in view, 10 frames a second.
    fn frames(&mut self, tenths: u64) {
        for _ in 0..tenths {
            self.now += 100;
            let at = Monotonic::from_millis(self.now);
            let mut shown = self.vehicles.clone();
            for v in &mut shown {
                v.last_seen = at;
                v.sighting.readings += 1;
            }
            self.vehicles.clone_from(&shown);
            self.tell(Input::Vehicles(&shown));
        }
    }

    fn enter(&mut self, id: u64, text: &str, width: f32) {
        let at = Monotonic::from_millis(self.now);
        self.vehicles.push(Vehicle {
            id,
            sighting: sighting(text, width, 0),
            first_seen: at,
            last_seen: at,
            still_since: at,
        });
    }

    fn leave(&mut self, id: u64) {
        self.vehicles.retain(|v| v.id != id);
    }

    fn reasons(&self) -> Vec<Reason> {
        self.verdicts.iter().map(|(_, r)| *r).collect()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.records.iter().map(|r| r.outcome).collect()
    }
}

#[test]
fn a_resident_is_let_in_once_and_written_down_once() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "苏E12345", 120.0);
    w.frames(40);
    w.leave(1);
    w.frames(40);
    assert_eq!(w.reasons(), [Reason::Registered]);
    assert_eq!(w.openings.len(), 1);
    assert_eq!(w.outcomes(), [Outcome::Passed]);
    assert_eq!(w.records[0].plate.as_ref().unwrap().as_str(), "苏E12345");
    assert_eq!(w.records[0].passage, w.verdicts[0].0);
    assert!(w.lane.is_idle());
}

#[test]
fn a_stranger_is_refused_and_turned_away() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "沪AK7788", 120.0);
    w.frames(30);
    w.leave(1);
    w.frames(40);
    assert_eq!(
        (w.reasons(), w.openings.len()),
        (vec![Reason::NotRegistered], 0)
    );
    assert_eq!(w.outcomes(), [Outcome::TurnedAway]);
}

#[test]
fn a_resident_behind_a_stranger_waits_its_turn() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "沪AK7788", 160.0);
    w.enter(2, "苏E12345", 80.0);
    w.frames(40);
    assert!(w.openings.is_empty());
    w.leave(1);
    w.frames(60);
    assert_eq!(w.openings.len(), 1);
}

#[test]
fn the_guard_is_asked_and_answers_or_stays_silent() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "京B00001", 120.0);
    w.frames(30);
    assert_eq!((w.reasons(), w.asking.len()), (vec![Reason::Ambiguous], 1));
    w.tell(Input::Answer {
        passage: None,
        admit: true,
        by: "wang",
    });
    assert_eq!(w.openings.len(), 1);
    assert!(w.asking.is_empty());
    w.leave(1);
    w.frames(60);
    w.enter(2, "京B00002", 120.0);
    w.frames(400);
    assert_eq!(
        w.reasons(),
        [
            Reason::Ambiguous,
            Reason::GuardAdmitted,
            Reason::Ambiguous,
            Reason::GuardSilent
        ]
    );
    assert_eq!(w.openings.len(), 1);
}

fn shown(plate: Option<PlateNumber>) -> Verdict {
    Verdict::new(Reason::PassShown, plate, Evidence::default())
}

#[test]
fn a_pass_held_up_opens_for_the_vehicle_in_doubt_and_ends_the_question() {
    let mut w = World::new(Trigger::Picture);
    assert_eq!(w.lane.in_doubt(w.now()), None);
    w.enter(1, "京B00001", 120.0);
    w.frames(30);
    let (id, so_far) = w.lane.in_doubt(w.now()).unwrap();
    assert_eq!(
        (so_far.reason, w.asking.as_slice()),
        (Reason::Ambiguous, [id].as_slice())
    );
    let verdict = shown(so_far.plate.clone());
    // Another visit's verdict is nothing to this one.
    w.tell(Input::PassShown(PassageId(Uuid::from_u128(99)), &verdict));
    assert!(w.openings.is_empty());
    w.tell(Input::PassShown(id, &verdict));
    assert_eq!((w.openings.len(), w.asking.len()), (1, 0));
    assert_eq!(w.lane.in_doubt(w.now()), None);
    w.tell(Input::PassShown(id, &verdict));
    w.leave(1);
    w.frames(60);
    assert_eq!(w.openings.len(), 1);
    assert_eq!(w.reasons(), [Reason::Ambiguous, Reason::PassShown]);
    assert_eq!(w.outcomes(), [Outcome::Passed]);
}

#[test]
fn a_refused_vehicle_is_in_doubt_and_on_an_exit_nobody_is() {
    for (direction, doubted) in [(Direction::Entry, true), (Direction::Exit, false)] {
        let settings = Settings {
            direction,
            ..Settings::new("entry".parse().unwrap())
        };
        let mut w = World::with(settings);
        w.enter(1, "沪AK7788", 120.0);
        w.frames(30);
        assert_eq!(w.lane.in_doubt(w.now()).is_some(), doubted);
    }
}

#[test]
fn the_guards_button_answers_the_question_without_a_second_opening() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "京B00001", 120.0);
    w.frames(30);
    w.tell(Input::OpenedByButton);
    w.frames(10);
    w.leave(1);
    w.frames(60);
    assert_eq!(w.reasons(), [Reason::Ambiguous, Reason::GuardAdmitted]);
    assert!(w.openings.is_empty());
    assert_eq!(w.outcomes(), [Outcome::Passed]);
}

#[test]
fn a_loop_without_a_plate_is_a_passage_too() {
    let mut w = World::new(Trigger::Both);
    w.tell(Input::Loop(true));
    w.frames(30);
    assert_eq!((w.reasons(), w.asking.len()), (vec![Reason::Unread], 1));
    w.tell(Input::Loop(false));
    w.frames(40);
    assert_eq!(w.outcomes(), [Outcome::TurnedAway]);
    assert!(w.asking.is_empty());
}

#[test]
fn with_both_triggers_a_printed_plate_opens_nothing() {
    let mut w = World::new(Trigger::Both);
    w.enter(1, "苏E12345", 120.0);
    w.frames(100);
    assert!(w.openings.is_empty());
}

#[test]
fn a_car_that_stops_between_view_and_loop_is_not_starved() {
    let mut w = World::new(Trigger::Both);
    w.enter(1, "苏E12345", 120.0);
    w.frames(20);
    w.leave(1);
    w.frames(300);
    assert!(w.openings.is_empty());
    w.tell(Input::Loop(true));
    assert_eq!(w.openings.len(), 1);
    w.frames(20);
    w.tell(Input::Loop(false));
    w.frames(50);
    assert_eq!(w.outcomes(), [Outcome::Passed]);
}

#[test]
fn a_stranger_on_the_loop_does_not_inherit_a_waiting_residents_verdict() {
    let mut w = World::new(Trigger::Both);
    w.enter(1, "苏E12345", 90.0);
    w.frames(20);
    w.leave(1);
    w.frames(100);
    w.enter(2, "沪AK7788", 150.0);
    w.frames(30);
    w.tell(Input::Loop(true));
    w.frames(30);
    assert!(w.openings.is_empty());
}

#[test]
fn nose_to_tail_over_the_loop_each_has_its_own_opening() {
    let mut w = World::new(Trigger::Both);
    w.enter(1, "苏E12345", 120.0);
    w.frames(20);
    w.tell(Input::Loop(true));
    w.frames(20);
    w.leave(1);
    w.tell(Input::Loop(false));
    w.enter(2, "苏EZZ999", 100.0);
    w.frames(15);
    w.tell(Input::Loop(true));
    w.frames(20);
    w.leave(2);
    w.tell(Input::Loop(false));
    w.frames(60);
    assert_eq!(w.openings.len(), 2);
    assert_eq!(w.outcomes(), [Outcome::Passed, Outcome::Passed]);
}

#[test]
fn a_parked_car_has_one_passage_until_it_moves() {
    let mut w = World::with(Settings {
        stay_limit: Duration::from_mins(1),
        wait_limit: Duration::from_secs(1000),
        ..Settings::new("entry".parse().unwrap())
    });
    w.enter(1, "苏E12345", 120.0);
    w.frames(3000);
    assert_eq!((w.outcomes(), w.openings.len()), (vec![Outcome::Stayed], 1));
    w.vehicles[0].still_since = Monotonic::from_millis(w.now);
    w.frames(10);
    assert_eq!(w.openings.len(), 2);
}

#[test]
fn a_car_that_comes_back_to_its_place_has_not_been_parked_there() {
    let mut w = World::with(Settings {
        stay_limit: Duration::from_mins(1),
        ..Settings::new("entry".parse().unwrap())
    });
    w.enter(1, "苏E12345", 120.0);
    w.frames(300);
    // Out of sight for longer than the lane waits, in the same place again.
    let same = w.vehicles.clone();
    w.vehicles.clear();
    w.frames(100);
    w.vehicles = same;
    w.frames(300);
    w.leave(1);
    w.frames(100);
    assert_eq!(w.openings.len(), 2);
    assert_eq!(w.outcomes(), [Outcome::Passed, Outcome::Passed]);
}

#[test]
fn an_admitted_car_that_keeps_waiting_is_shown_to_the_guard() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "苏E12345", 120.0);
    w.frames(250);
    assert_eq!(w.reasons(), [Reason::Registered, Reason::StillWaiting]);
    assert_eq!((w.openings.len(), w.asking.len()), (1, 1));
    w.tell(Input::Answer {
        passage: None,
        admit: true,
        by: "wang",
    });
    assert_eq!(w.openings.len(), 2);
}

#[test]
fn a_barrier_that_could_not_open_is_asked_again_but_not_at_once() {
    let mut w = World::new(Trigger::Picture);
    w.barrier_works = false;
    w.enter(1, "苏E12345", 120.0);
    w.frames(60);
    assert_eq!(w.openings.len(), 3);
    w.barrier_works = true;
    w.frames(60);
    assert_eq!(w.openings.len(), 4);
}

#[test]
fn one_stray_reading_is_no_vehicle() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "沪AK7788", 60.0);
    w.frames(1);
    w.leave(1);
    w.frames(60);
    assert!(w.records.is_empty() && w.verdicts.is_empty() && w.lane.is_idle());
}

#[test]
fn a_shadow_lane_decides_and_never_opens() {
    let mut w = World::with(Settings {
        shadow: true,
        ..Settings::new("entry".parse().unwrap())
    });
    w.enter(1, "苏E12345", 120.0);
    w.frames(20);
    w.leave(1);
    w.frames(40);
    assert_eq!(
        (w.reasons(), w.openings.len()),
        (vec![Reason::Registered], 0)
    );
    assert!(w.records[0].shadow);
}

#[test]
fn the_rear_plate_of_a_car_that_came_in_is_not_a_car_that_goes_out() {
    let mut w = World::new(Trigger::Picture);
    w.tell(Input::PassedOtherLane(&"苏E12345".parse().unwrap()));
    w.enter(1, "苏E12345", 120.0);
    w.frames(30);
    w.leave(1);
    w.frames(60);
    assert!(w.openings.is_empty() && w.records.is_empty());
}

#[test]
fn stopping_closes_what_is_open() {
    let mut w = World::new(Trigger::Picture);
    w.enter(1, "沪AK7788", 120.0);
    w.frames(20);
    w.tell(Input::Interrupt);
    assert_eq!(w.outcomes(), [Outcome::Interrupted]);
}

/// Steps of a random day at the lane.
#[derive(Debug, Clone)]
enum Happening {
    Enter(usize, f32),
    Leave(usize),
    Loop(bool),
    Answer(bool),
    Button,
    Wait(u64),
    Barrier(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0_usize..4, 60.0_f32..200.0).prop_map(|(p, w)| Happening::Enter(p, w)),
        (0_usize..4).prop_map(Happening::Leave),
        any::<bool>().prop_map(Happening::Loop),
        any::<bool>().prop_map(Happening::Answer),
        Just(Happening::Button),
        (1_u64..80).prop_map(Happening::Wait),
        any::<bool>().prop_map(Happening::Barrier),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_the_rules_hold(
        trigger in prop::sample::select(vec![Trigger::Picture, Trigger::Loop, Trigger::Both]),
        day in prop::collection::vec(happening(), 1..40),
    ) {
        let plates = ["苏E12345", "沪AK7788", "京B00001", "苏EZZ999"];
        let mut w = World::new(trigger);
        let mut next = 10;
        let mut present: HashMap<usize, u64> = HashMap::new();
        let mut answers = 0_usize;
        let mut on_loop = false;
        for step in day {
            match step {
                Happening::Enter(p, width) if !present.contains_key(&p) => {
                    next += 1;
                    present.insert(p, next);
                    w.enter(next, plates[p], width);
                }
                Happening::Leave(p) => {
                    if let Some(id) = present.remove(&p) { w.leave(id); }
                }
                Happening::Enter(..) => {}
                Happening::Loop(o) => { on_loop = o; w.tell(Input::Loop(o)); }
                Happening::Answer(admit) => {
                    if admit && w.lane.asking().is_some() { answers += 1; }
                    w.tell(Input::Answer { passage: None, admit, by: "wang" });
                }
                Happening::Button => w.tell(Input::OpenedByButton),
                Happening::Wait(n) => w.frames(n),
                Happening::Barrier(works) => w.barrier_works = works,
            }
            // Nothing opens without a loop where one is asked for.
            if trigger != Trigger::Picture && !on_loop {
                let before = w.openings.len();
                w.frames(1);
                prop_assert_eq!(w.openings.len(), before);
            }
        }
        w.vehicles.clear();
        w.tell(Input::Loop(false));
        w.frames(800);
        // Every passage ends, once, and each had a verdict.
        prop_assert!(w.lane.is_idle() && w.asking.is_empty());
        let mut ended: Vec<_> = w.records.iter().map(|r| r.passage).collect();
        ended.sort();
        let count = ended.len();
        ended.dedup();
        prop_assert_eq!(ended.len(), count);
        for record in &w.records {
            prop_assert!(record.decision.is_some());
        }
        for (id, _) in &w.verdicts {
            prop_assert!(ended.contains(id));
        }
        // An opening has a verdict that admits, and a stranger opens only by a person.
        let admits = w.verdicts.iter().filter(|(_, r)| r.decision() == Decision::Admit);
        prop_assert!(w.done.len() <= admits.count());
        for id in &w.openings {
            let record = w.records.iter().find(|r| r.passage == *id).unwrap();
            let stranger = record.plate.as_ref().is_some_and(|p| p.as_str().starts_with('沪'));
            prop_assert!(!stranger || answers > 0);
        }
    }
}
