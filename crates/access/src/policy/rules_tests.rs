#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use domain::{Decision, Direction, PassId, PassNumber, PlateKind, PlateNumber, Reason, Verdict};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, date};
use proptest::prelude::*;

use super::replay::replay_verdict;
use super::rules::{Clock, Occupancy, judge, judge_shown};
use super::tests::{alphabet, plate, sighting};
use super::{Margins, PolicyInput, decide, explain, replay};
use crate::pass::{Bearer, Pass};
use crate::registry::book::{
    Block, Book, Closure, Household, Record, Restriction, Rules, Schedule, Space, Visit,
};
use crate::registry::{Label, RegistryView, Vehicle};

/// A Wednesday, ten in the morning.
const NOW: DateTime = date(2026, 11, 25).at(10, 0, 0, 0);

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

#[derive(Default)]
struct Yard(BTreeMap<PlateNumber, Timestamp>, u32);

impl Yard {
    fn with(plates: &[(&str, i64)]) -> Self {
        let stays = plates.iter().map(|&(text, hours_ago)| {
            let since = instant().as_second() - hours_ago * 3600;
            (plate(text), Timestamp::from_second(since).unwrap())
        });
        Self(stays.collect(), 0)
    }
}

impl Occupancy for Yard {
    fn inside(&self, plate: &PlateNumber) -> Option<Timestamp> {
        self.0.get(plate).copied()
    }

    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn entries(&self, _: PassId) -> u32 {
        self.1
    }
}

fn instant() -> Timestamp {
    Timestamp::from_second(1_795_658_400).unwrap()
}

fn at(local: DateTime) -> Clock {
    Clock::Trusted {
        local,
        now: instant(),
    }
}

fn household(id: &str) -> Household {
    Household {
        id: label(id),
        contact: String::new(),
        phone: String::new(),
        fee_paid_until: None,
        restriction: None,
    }
}

fn space(id: &str, of: &str, shared: &[&str]) -> Record {
    Record::Space(Space {
        id: label(id),
        household: label(of),
        shared_by: shared.iter().map(|t| plate(t)).collect(),
    })
}

fn car(text: &str, of: &str) -> Vehicle {
    Vehicle {
        household: Some(label(of)),
        ..Vehicle::new(plate(text))
    }
}

fn view(vehicles: Vec<Vehicle>, records: Vec<Record>) -> RegistryView {
    RegistryView::with_book(5, vehicles, Book::of(records))
}

struct Gate<'a> {
    view: &'a RegistryView,
    yard: &'a Yard,
    clock: Clock,
    direction: Direction,
}

impl<'a> Gate<'a> {
    fn entry(view: &'a RegistryView, yard: &'a Yard) -> Self {
        Self {
            view,
            yard,
            clock: at(NOW),
            direction: Direction::Entry,
        }
    }

    fn verdict(&self, text: &str) -> Verdict {
        let seen = sighting(text, &[]);
        self.judge(&seen)
    }

    fn judge(&self, seen: &domain::Sighting) -> Verdict {
        let alphabet = alphabet();
        let margins = Margins::default();
        let input = PolicyInput {
            sighting: Some(seen),
            registry: Some(self.view),
            alphabet: &alphabet,
            direction: self.direction,
            today: None,
            final_look: true,
            margins: &margins,
        };
        let verdict = judge(&input, self.clock, self.yard).unwrap();
        // Whatever it was, it is reached again from what is stored, with nobody inside and the
        // input of another day.
        let stored = serde_json::to_vec(&verdict).unwrap();
        let read: Verdict = serde_json::from_slice(&stored).unwrap();
        let other = Margins {
            refuse_after: 99,
            ..margins
        };
        let later = PolicyInput {
            sighting: None,
            direction: Direction::Exit,
            final_look: false,
            margins: &other,
            ..input
        };
        let again = replay(&read.evidence, &later).unwrap().unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), stored);
        assert!(!explain(&verdict).chinese.is_empty());
        verdict
    }

    fn reason(&self, text: &str) -> Reason {
        self.verdict(text).reason
    }
}

#[test]
fn last_days_leases_and_hours() {
    let vehicles = vec![
        Vehicle {
            valid_until: Some(date(2026, 11, 25)),
            ..Vehicle::new(plate("苏E00001"))
        },
        Vehicle {
            valid_until: Some(date(2026, 11, 24)),
            ..Vehicle::new(plate("苏E00002"))
        },
        Vehicle {
            lease_until: Some(date(2026, 11, 24)),
            ..Vehicle::new(plate("苏E00003"))
        },
        Vehicle {
            schedule: Some(label("菜车")),
            ..Vehicle::new(plate("苏E00004"))
        },
    ];
    let truck = Record::Schedule(Schedule {
        id: label("菜车"),
        windows: vec!["mon-sat 05:00-07:30".parse().unwrap()],
    });
    let view = view(vehicles, vec![truck]);
    let yard = Yard::default();
    let mut gate = Gate::entry(&view, &yard);
    assert_eq!(gate.reason("苏E00001"), Reason::Registered);
    assert_eq!(gate.reason("苏E00002"), Reason::Expired);
    assert_eq!(gate.reason("苏E00003"), Reason::LeaseEnded);
    assert_eq!(gate.reason("苏E00004"), Reason::OutsideHours);
    gate.clock = at(date(2026, 11, 26).at(6, 0, 0, 0));
    assert_eq!(gate.reason("苏E00004"), Reason::Registered);
    assert_eq!(gate.reason("苏E00001"), Reason::Expired);
    gate.direction = Direction::Exit;
    for text in ["苏E00001", "苏E00002", "苏E00003", "沪A99999"] {
        assert_eq!(gate.reason(text), Reason::ExitOpen, "{text}");
    }
}

#[test]
fn visitors_come_when_they_were_booked_for() {
    let visit = |text: &str, from: DateTime, until: DateTime| {
        Record::Visit(Visit {
            plate: plate(text),
            household: label("3-2"),
            from,
            until,
            note: String::new(),
        })
    };
    let day = |d: i8| date(2026, 11, d).at(0, 0, 0, 0);
    let records = vec![
        Record::Household(household("3-2")),
        visit("沪A00001", day(25), day(26)),
        visit("沪A00002", day(26), day(27)),
        visit("沪A00003", day(1), day(2)),
        visit("沪A00003", day(25), day(27)),
        visit("苏E00002", day(25), day(26)),
    ];
    let expired = Vehicle {
        valid_until: Some(date(2026, 1, 1)),
        ..Vehicle::new(plate("苏E00002"))
    };
    let view = view(vec![expired], records);
    let yard = Yard::default();
    let gate = Gate::entry(&view, &yard);
    assert_eq!(gate.reason("沪A00001"), Reason::Visitor);
    assert_eq!(gate.reason("沪A00002"), Reason::VisitNotNow);
    assert_eq!(gate.reason("沪A00003"), Reason::Visitor);
    assert_eq!(gate.reason("苏E00002"), Reason::Visitor);
    assert_eq!(gate.reason("沪A00004"), Reason::NotRegistered);
    // A neighbour in between of two booked plates is still a matter of the picture.
    let doubtful = sighting("沪A00001", &[(6, '2', 0.4)]);
    assert_eq!(gate.judge(&doubtful).reason, Reason::Ambiguous);
}

#[test]
fn blocked_plates_are_refused_registered_or_not() {
    let block = |text: &str, until: Option<Date>| {
        Record::Block(Block {
            plate: plate(text),
            reason: "砸门岗".to_owned(),
            until,
        })
    };
    let view = view(
        vec![
            Vehicle::new(plate("苏E00001")),
            Vehicle::new(plate("苏E00003")),
        ],
        vec![
            block("苏E00001", None),
            block("苏E00002", Some(date(2026, 11, 25))),
            block("苏E00003", Some(date(2026, 11, 24))),
        ],
    );
    let yard = Yard::default();
    let mut gate = Gate::entry(&view, &yard);
    assert_eq!(gate.reason("苏E00001"), Reason::Blocked);
    assert_eq!(gate.reason("苏E00002"), Reason::Blocked);
    assert_eq!(gate.reason("苏E00003"), Reason::Registered);
    gate.direction = Direction::Exit;
    assert_eq!(gate.verdict("苏E00002").decision, Decision::Admit);
}

#[test]
fn restrictions_fees_and_closures_go_to_the_guard() {
    let mut isolated = household("isolated");
    isolated.restriction = Some(Restriction {
        from: date(2026, 11, 12),
        until: date(2026, 11, 25),
        reason: "居家隔离".to_owned(),
    });
    let mut owing = household("owing");
    owing.fee_paid_until = Some(date(2026, 10, 31));
    let records = vec![
        Record::Household(isolated),
        Record::Household(owing),
        Record::Household(household("other")),
        Record::Closure(Closure {
            id: label("路面施工"),
            from: date(2026, 11, 26).at(8, 0, 0, 0),
            until: date(2026, 11, 26).at(12, 0, 0, 0),
            reason: "沥青".to_owned(),
        }),
    ];
    let view = view(
        vec![
            car("苏E00001", "isolated"),
            car("苏E00002", "owing"),
            car("苏E00003", "other"),
        ],
        records,
    );
    let yard = Yard::default();
    let mut gate = Gate::entry(&view, &yard);
    assert_eq!(gate.reason("苏E00001"), Reason::HouseholdRestricted);
    assert_eq!(gate.reason("苏E00002"), Reason::FeeUnpaid);
    assert_eq!(gate.reason("苏E00003"), Reason::Registered);
    // Nobody is locked in, and the passage is noted.
    gate.direction = Direction::Exit;
    let leaving = gate.verdict("苏E00001");
    assert_eq!(
        (leaving.decision, leaving.reason),
        (Decision::Admit, Reason::RestrictedExit)
    );
    gate.direction = Direction::Entry;
    gate.clock = at(date(2026, 11, 26).at(8, 0, 0, 0));
    assert_eq!(gate.reason("苏E00003"), Reason::Closed);
    gate.clock = at(date(2026, 11, 26).at(12, 0, 0, 0));
    assert_eq!(gate.reason("苏E00003"), Reason::Registered);
    assert_eq!(gate.reason("苏E00001"), Reason::Registered);
}

#[test]
fn the_same_plate_inside_asks_and_a_missed_exit_is_forgiven() {
    let rules = Record::Rules(Rules {
        anti_passback_hours: Some(12),
        ..Rules::default()
    });
    let view_with = view(vec![Vehicle::new(plate("苏E00001"))], vec![rules]);
    let view_without = view(vec![Vehicle::new(plate("苏E00001"))], Vec::new());
    for (hours, expected) in [
        (0, Reason::AlreadyInside),
        (11, Reason::AlreadyInside),
        (12, Reason::MissedExit),
    ] {
        let yard = Yard::with(&[("苏E00001", hours)]);
        assert_eq!(
            Gate::entry(&view_with, &yard).reason("苏E00001"),
            expected,
            "{hours}"
        );
        assert_eq!(
            Gate::entry(&view_without, &yard).reason("苏E00001"),
            Reason::Registered
        );
        let mut gate = Gate::entry(&view_with, &yard);
        gate.clock = Clock::Untrusted { not_before: None };
        assert_eq!(gate.reason("苏E00001"), Reason::AlreadyInside);
    }
}

#[test]
fn a_household_has_as_many_cars_inside_as_spaces() {
    let records = vec![
        Record::Household(household("h")),
        Record::Household(household("k")),
        Record::Household(household("none")),
        space("A1", "h", &[]),
        space("A2", "h", &["苏E00001", "沪A00009"]),
        space("B1", "k", &[]),
    ];
    let vehicles = vec![
        car("苏E00001", "h"),
        car("苏E00002", "h"),
        car("苏E00003", "h"),
        car("沪A00009", "none"),
        car("苏E00005", "k"),
        car("苏E00006", "none"),
    ];
    let view = view(vehicles, records);
    let ask = |inside: &[(&str, i64)], text: &str| {
        let yard = Yard::with(inside);
        Gate::entry(&view, &yard).reason(text)
    };
    assert_eq!(ask(&[], "苏E00002"), Reason::Registered);
    // Two cars on A1 and A2, whichever came first: the first moves over to A2.
    assert_eq!(ask(&[("苏E00001", 1)], "苏E00002"), Reason::Registered);
    assert_eq!(ask(&[("苏E00002", 1)], "苏E00001"), Reason::Registered);
    assert_eq!(ask(&[("苏E00002", 1)], "苏E00003"), Reason::SpacesFull);
    assert_eq!(
        ask(&[("苏E00001", 1), ("苏E00002", 1)], "苏E00003"),
        Reason::SpacesFull
    );
    // A neighbour's car shares A2.
    assert_eq!(ask(&[("苏E00002", 1)], "沪A00009"), Reason::Registered);
    assert_eq!(
        ask(&[("苏E00002", 1), ("沪A00009", 1)], "苏E00001"),
        Reason::SpacesFull
    );
    // Others are not concerned, and who has no space is not counted.
    assert_eq!(
        ask(&[("苏E00001", 1), ("苏E00002", 1)], "苏E00005"),
        Reason::Registered
    );
    assert_eq!(ask(&[("苏E00005", 1)], "苏E00006"), Reason::Registered);
}

#[test]
fn a_full_compound_asks_those_without_a_space() {
    let records = vec![
        Record::Household(household("h")),
        space("A1", "h", &[]),
        Record::Rules(Rules {
            capacity: Some(2),
            ..Rules::default()
        }),
    ];
    let vehicles = vec![car("苏E00001", "h"), Vehicle::new(plate("苏E00002"))];
    let view = view(vehicles, records);
    let full = Yard::with(&[("沪A00001", 1), ("沪A00002", 1)]);
    let gate = Gate::entry(&view, &full);
    assert_eq!(gate.reason("苏E00001"), Reason::Registered);
    assert_eq!(gate.reason("苏E00002"), Reason::CompoundFull);
    let own = Yard::with(&[("沪A00001", 1), ("苏E00002", 50)]);
    assert_eq!(
        Gate::entry(&view, &own).reason("苏E00002"),
        Reason::Registered
    );
}

#[test]
fn kinds_that_always_pass_must_be_clear_and_look_like_it() {
    let rules = Record::Rules(Rules {
        always_pass: [PlateKind::Police].into(),
        ..Rules::default()
    });
    let with = view(vec![Vehicle::new(plate("苏E00001"))], vec![rules]);
    let without = view(vec![Vehicle::new(plate("苏E00001"))], Vec::new());
    let yard = Yard::default();
    let mut seen = sighting("苏E1234警", &[]);
    seen.kind = Some(PlateKind::Police);
    assert_eq!(
        Gate::entry(&with, &yard).judge(&seen).reason,
        Reason::AlwaysPasses
    );
    assert_eq!(
        Gate::entry(&without, &yard).judge(&seen).reason,
        Reason::NotRegistered
    );
    seen.kind = Some(PlateKind::Small);
    assert_eq!(
        Gate::entry(&with, &yard).judge(&seen).reason,
        Reason::KindContradicts
    );
    // Perhaps it is no police plate at all.
    let mut doubtful = sighting("苏E1234警", &[(6, '5', 0.3)]);
    doubtful.kind = Some(PlateKind::Police);
    assert_eq!(
        Gate::entry(&with, &yard).judge(&doubtful).reason,
        Reason::Ambiguous
    );
    // Which police plate it is does not matter.
    let mut either = sighting("苏E1234警", &[(5, '8', 0.3)]);
    either.kind = Some(PlateKind::Police);
    assert_eq!(
        Gate::entry(&with, &yard).judge(&either).reason,
        Reason::AlwaysPasses
    );
}

#[test]
fn without_a_trusted_clock_only_what_is_near_its_limit_goes_to_the_guard() {
    let until = |text: &str, last: Date| Vehicle {
        valid_until: Some(last),
        ..Vehicle::new(plate(text))
    };
    let view = view(
        vec![
            until("苏E00001", date(2026, 11, 19)),
            until("苏E00002", date(2026, 11, 20)),
            until("苏E00003", date(2026, 12, 20)),
            until("苏E00004", date(2026, 12, 21)),
            Vehicle::new(plate("苏E00005")),
        ],
        Vec::new(),
    );
    let yard = Yard::default();
    let mut gate = Gate::entry(&view, &yard);
    gate.clock = Clock::Untrusted {
        not_before: Some(date(2026, 11, 20)),
    };
    assert_eq!(gate.reason("苏E00001"), Reason::Expired);
    assert_eq!(gate.reason("苏E00002"), Reason::ClockUntrusted);
    assert_eq!(gate.reason("苏E00003"), Reason::ClockUntrusted);
    assert_eq!(gate.reason("苏E00004"), Reason::Registered);
    assert_eq!(gate.reason("苏E00005"), Reason::Registered);
    gate.clock = Clock::Untrusted { not_before: None };
    assert_eq!(gate.reason("苏E00004"), Reason::ClockUntrusted);
    assert_eq!(gate.reason("苏E00005"), Reason::Registered);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The rules admit on entry only what the picture alone admits, but for kinds that always
    /// pass; and a register without rules of its own says what the picture says.
    #[test]
    fn the_rules_never_weaken_the_picture(
        shown in prop::sample::select(vec!["苏E12345", "苏E12346", "浙A8B8B8", "苏E1234警"]),
        doubts in prop::collection::vec((2_usize..7, prop::sample::select(vec!['5', '6', '8', 'B']), 0.0_f32..0.9), 0..3),
        registered in prop::sample::subsequence(vec!["苏E12345", "苏E12346", "浙A8B8B8"], 0..=3),
        booked in any::<bool>(),
        day in prop::option::of(20_i8..28),
        last in prop::option::of(20_i8..28),
        exit in any::<bool>(),
        final_look in any::<bool>(),
    ) {
        let doubts: Vec<_> = doubts
            .into_iter()
            .filter(|d| shown.chars().nth(d.0) != Some(d.1))
            .take(1)
            .collect();
        let seen = sighting(shown, &doubts);
        let vehicles = registered
            .iter()
            .map(|t| Vehicle {
                valid_until: last.map(|d| date(2026, 11, d)),
                ..Vehicle::new(plate(t))
            })
            .collect();
        let mut records = vec![Record::Household(household("h"))];
        if booked {
            records.push(Record::Visit(Visit {
                plate: plate("苏E12346"),
                household: label("h"),
                from: date(2026, 11, 1).at(0, 0, 0, 0),
                until: date(2026, 12, 1).at(0, 0, 0, 0),
                note: String::new(),
            }));
        }
        let view = view(vehicles, records);
        let alphabet = alphabet();
        let margins = Margins::default();
        let input = PolicyInput {
            sighting: Some(&seen),
            registry: Some(&view),
            alphabet: &alphabet,
            direction: if exit { Direction::Exit } else { Direction::Entry },
            today: day.map(|d| date(2026, 11, d)),
            final_look,
            margins: &margins,
        };
        let clock = day.map_or(Clock::Untrusted { not_before: None }, |d| {
            at(date(2026, 11, d).at(10, 0, 0, 0))
        });
        let plain = decide(&input);
        let judged = judge(&input, clock, &Yard::default());
        prop_assert_eq!(plain.is_some(), judged.is_some());
        let (Some(plain), Some(judged)) = (plain, judged) else {
            return Ok(());
        };
        prop_assert_eq!(judged.decision, judged.reason.decision());
        if exit {
            prop_assert_eq!(judged.decision, Decision::Admit);
        } else if !booked {
            prop_assert_eq!(plain.reason, judged.reason);
        } else if judged.decision == Decision::Admit {
            let evidence = &judged.evidence;
            let won = evidence.registered.as_ref().unwrap().score;
            prop_assert!(won.0 - evidence.stranger.as_ref().unwrap().score.0 >= margins.over_stranger.0);
            prop_assert_eq!(&evidence.registered.as_ref().unwrap().plate, judged.plate.as_ref().unwrap());
        }
    }
}

fn pass(number: u32, plate_text: &str) -> Pass {
    let number = PassNumber::new(number).unwrap();
    Pass {
        bearer: Bearer::Vehicle(plate(plate_text)),
        ..Pass::blank(number, date(2026, 11, 1), date(2026, 11, 30))
    }
}

fn record(pass: Pass) -> Record {
    Record::Pass(Box::new(pass))
}

#[test]
fn a_pass_lets_the_plate_in_that_it_binds_and_each_refusal_has_its_reason() {
    let yard = Yard::default();
    let reason = |pass: Pass| {
        let view = view(Vec::new(), vec![record(pass)]);
        Gate::entry(&view, &yard).verdict("苏E12345")
    };
    let good = || pass(637, "苏E12345");
    let admitted = reason(good());
    assert_eq!(
        (admitted.decision, admitted.reason),
        (Decision::Admit, Reason::Pass)
    );
    assert_eq!(admitted.evidence.pass, Some(good().id()));
    for (pass, expected) in [
        (
            Pass {
                revoked: Some("lost".into()),
                ..good()
            },
            Reason::PassRevoked,
        ),
        (
            Pass {
                until: date(2026, 11, 24),
                ..good()
            },
            Reason::PassExpired,
        ),
        (
            Pass {
                from: date(2026, 11, 26),
                ..good()
            },
            Reason::PassNotYetValid,
        ),
        (pass(637, "苏E12346"), Reason::NotRegistered),
        (
            Pass {
                bearer: Bearer::Supplier,
                ..good()
            },
            Reason::NotRegistered,
        ),
    ] {
        let verdict = reason(pass);
        assert_eq!(
            (verdict.reason, verdict.decision),
            (expected, Decision::Refuse)
        );
        assert_eq!(verdict.evidence.pass, None);
    }
}

#[test]
fn entries_of_a_pass_are_counted_and_the_next_pass_takes_over() {
    let counted = |n| Pass {
        entries: Some(n),
        ..pass(637, "苏E12345")
    };
    let one = view(Vec::new(), vec![record(counted(3))]);
    for (used, expected) in [
        (2, Reason::Pass),
        (3, Reason::PassUsedUp),
        (4, Reason::PassUsedUp),
    ] {
        let yard = Yard(BTreeMap::new(), used);
        assert_eq!(
            Gate::entry(&one, &yard).verdict("苏E12345").reason,
            expected
        );
        // Nobody is locked in, and leaving uses nothing.
        let exit = Gate {
            direction: Direction::Exit,
            ..Gate::entry(&one, &yard)
        };
        let verdict = exit.verdict("苏E12345");
        assert_eq!(
            (verdict.decision, verdict.evidence.pass),
            (Decision::Admit, None)
        );
    }
    let two = view(
        Vec::new(),
        vec![record(counted(3)), record(pass(638, "苏E12345"))],
    );
    let yard = Yard(BTreeMap::new(), 3);
    let verdict = Gate::entry(&two, &yard).verdict("苏E12345");
    assert_eq!(verdict.evidence.pass, Some(pass(638, "苏E12345").id()));
}

/// A resident's own row needs no pass, and the compound's other rules hold for passes too.
#[test]
fn a_pass_is_used_only_where_nothing_else_admits_and_never_against_a_rule() {
    let yard = Yard::default();
    let resident = view(
        vec![car("苏E12345", "3-2")],
        vec![
            Record::Household(household("3-2")),
            record(pass(637, "苏E12345")),
        ],
    );
    let verdict = Gate::entry(&resident, &yard).verdict("苏E12345");
    assert_eq!(
        (verdict.reason, verdict.evidence.pass),
        (Reason::Registered, None)
    );

    let expired = Vehicle {
        valid_until: Some(date(2026, 11, 1)),
        ..Vehicle::new(plate("苏E12345"))
    };
    let renewed = view(vec![expired], vec![record(pass(637, "苏E12345"))]);
    assert_eq!(
        Gate::entry(&renewed, &yard).verdict("苏E12345").reason,
        Reason::Pass
    );

    let block = Record::Block(Block {
        plate: plate("苏E12345"),
        reason: "砸门岗".into(),
        until: None,
    });
    let blocked = view(Vec::new(), vec![block, record(pass(637, "苏E12345"))]);
    assert_eq!(
        Gate::entry(&blocked, &yard).verdict("苏E12345").reason,
        Reason::Blocked
    );

    let mut restricted = household("3-2");
    restricted.restriction = Some(Restriction {
        from: date(2026, 11, 20),
        until: date(2026, 12, 4),
        reason: "居家隔离".into(),
    });
    let of = Pass {
        household: Some(label("3-2")),
        ..pass(637, "苏E12345")
    };
    let view = view(Vec::new(), vec![Record::Household(restricted), record(of)]);
    let verdict = Gate::entry(&view, &yard).verdict("苏E12345");
    assert_eq!(
        (verdict.reason, verdict.evidence.pass),
        (Reason::HouseholdRestricted, None)
    );
}

fn supplier() -> Pass {
    Pass {
        bearer: Bearer::Supplier,
        ..pass(700, "苏E12345")
    }
}

#[test]
fn a_suppliers_paper_speaks_for_a_vehicle_that_the_picture_left_open_and_for_no_other() {
    let yard = Yard::default();
    let blocked = Record::Block(Block {
        plate: plate("苏E66666"),
        reason: "owes for three years".into(),
        until: None,
    });
    let full = view(vec![car("苏E12345", "3-2")], vec![blocked]);
    let shown = |so_far: &Verdict, pass: &Pass| judge_shown(so_far, pass, &full, at(NOW), &yard);
    let unknown = Gate::entry(&full, &yard).verdict("沪A99999");
    assert_eq!(unknown.reason, Reason::NotRegistered);
    let admitted = shown(&unknown, &supplier()).unwrap();
    assert_eq!(
        (admitted.decision, admitted.reason),
        (Decision::Admit, Reason::PassShown)
    );
    assert_eq!(admitted.plate, unknown.plate);
    assert_eq!(admitted.evidence.pass, Some(supplier().id()));
    // What the picture said stays in the evidence, so that both can be looked at later.
    assert_eq!(admitted.evidence.stranger, unknown.evidence.stranger);

    // Papers that are not a supplier's say nothing about the vehicle.
    for bearer in [
        Bearer::Blank,
        Bearer::Foot,
        Bearer::Vehicle(plate("沪A99999")),
    ] {
        let other = Pass {
            bearer,
            ..supplier()
        };
        assert_eq!(shown(&unknown, &other), None);
    }
    // A plate that is barred stays out, also where the picture is not sure that it is that plate.
    let barred = Gate::entry(&full, &yard).verdict("苏E66666");
    assert_eq!(barred.reason, Reason::Blocked);
    assert_eq!(shown(&barred, &supplier()), None);
    let perhaps = Verdict::new(
        Reason::UnclearPicture,
        None,
        domain::verdict::Evidence {
            stranger: barred.evidence.stranger.clone(),
            ..domain::verdict::Evidence::default()
        },
    );
    assert!(perhaps.evidence.stranger.is_some());
    assert_eq!(shown(&perhaps, &supplier()), None);
    // Verdicts of rules and of people stand.
    for reason in Reason::ALL {
        let open = [
            Reason::NotRegistered,
            Reason::Ambiguous,
            Reason::UnclearPicture,
            Reason::Unread,
        ];
        let so_far = Verdict::new(*reason, None, domain::verdict::Evidence::default());
        let changed = shown(&so_far, &supplier()).map(|v| v.reason);
        let expected = open.contains(reason).then_some(Reason::PassShown);
        assert_eq!(changed, expected, "{reason:?}");
    }
}

/// What a held-up pass led to is reached again over the picture's evidence, and what did not happen
/// is not.
#[test]
fn a_verdict_after_a_held_up_pass_is_reached_again() {
    let full = Record::Rules(Rules {
        capacity: Some(2),
        ..Rules::default()
    });
    let cars = || vec![car("苏E12345", "3-2")];
    let household = || Record::Household(household("3-2"));
    let (open, full) = (
        view(cars(), vec![household()]),
        view(cars(), vec![household(), full]),
    );
    let yard = Yard::with(&[("苏E00001", 1), ("苏E00002", 2)]);
    let alphabet = alphabet();
    for (view, expected) in [(&open, Reason::PassShown), (&full, Reason::CompoundFull)] {
        let stranger = Gate::entry(view, &yard).verdict("浙A98765");
        assert_eq!(stranger.reason, Reason::NotRegistered);
        let shown = judge_shown(&stranger, &supplier(), view, at(NOW), &yard).unwrap();
        assert_eq!(shown.reason, expected);
        let input = PolicyInput {
            sighting: None,
            registry: Some(view),
            alphabet: &alphabet,
            direction: Direction::Entry,
            today: None,
            final_look: true,
            margins: &Margins::default(),
        };
        let stored = serde_json::to_vec(&shown).unwrap();
        let read: Verdict = serde_json::from_slice(&stored).unwrap();
        let again = replay_verdict(&read, &input).unwrap().unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), stored);
        // Its own evidence cannot be another's.
        let mut altered = read.clone();
        altered.evidence.stranger.as_mut().unwrap().score.0 += 1;
        assert_ne!(replay_verdict(&altered, &input).unwrap().unwrap(), altered);
        let invented = Verdict::new(Reason::Closed, read.plate, read.evidence);
        let again = replay_verdict(&invented, &input).unwrap().unwrap();
        assert_eq!(again.reason, Reason::NotRegistered);
    }
}

#[test]
fn a_closure_and_a_full_compound_stop_a_supplier_too() {
    let unread = Verdict::new(Reason::Unread, None, domain::verdict::Evidence::default());
    let reason = |records: Vec<Record>, yard: &Yard| {
        let view = view(Vec::new(), records);
        judge_shown(&unread, &supplier(), &view, at(NOW), yard).map(|v| v.reason)
    };
    let closure = Record::Closure(Closure {
        id: label("paving"),
        from: NOW - jiff::Span::new().hours(1),
        until: NOW + jiff::Span::new().hours(1),
        reason: "new paving".into(),
    });
    assert_eq!(
        reason(vec![closure], &Yard::default()),
        Some(Reason::Closed)
    );
    let rules = |capacity| {
        vec![Record::Rules(Rules {
            capacity: Some(capacity),
            ..Rules::default()
        })]
    };
    let yard = Yard::with(&[("苏E12345", 2), ("苏E12346", 2)]);
    assert_eq!(reason(rules(2), &yard), Some(Reason::CompoundFull));
    assert_eq!(reason(rules(3), &yard), Some(Reason::PassShown));
}
