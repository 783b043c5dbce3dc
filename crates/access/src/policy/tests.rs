#![allow(clippy::unwrap_used, clippy::expect_used)]

use domain::reading::{Alphabet, LogProb, Matrix, Quad, SLOTS};
use domain::{Decision, PlateKind, PlateNumber};
use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::registry::Vehicle;

const CHARACTERS: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼ABCDEFGHJKLMNPQRSTUVWXYZ0123456789O使领警学港澳挂";

pub(super) fn alphabet() -> Alphabet {
    Alphabet::new(CHARACTERS).unwrap()
}

pub(super) fn plate(text: &str) -> PlateNumber {
    PlateNumber::parse(text).unwrap()
}

/// A sighting that shows `text`; `doubts` put probability on another character in a place.
pub(super) fn sighting(text: &str, doubts: &[(usize, char, f32)]) -> Sighting {
    let alphabet = alphabet();
    let classes = alphabet.classes();
    let mut values = Vec::new();
    for slot in 0..SLOTS {
        let mut row = vec![1e-6_f32; classes];
        let shown = text
            .chars()
            .nth(slot)
            .map_or(alphabet.blank(), |c| alphabet.class(c).unwrap());
        row[shown] = 1.0;
        for &(_, c, p) in doubts.iter().filter(|d| d.0 == slot) {
            row[shown] -= p;
            row[alphabet.class(c).unwrap()] = p;
        }
        values.extend(row.iter().map(|p| LogProb::from_nats(p.ln())));
    }
    Sighting {
        matrix: Matrix::new(classes, values).unwrap(),
        kind: Some(PlateKind::Small),
        readings: 3,
        quad: Quad([(1.0, 2.0); 4]),
    }
}

fn register(plates: &[&str]) -> RegistryView {
    RegistryView::new(4, plates.iter().map(|t| Vehicle::new(plate(t))).collect())
}

struct Case {
    direction: Direction,
    today: Option<Date>,
    final_look: bool,
}

const ENTRY: Case = Case {
    direction: Direction::Entry,
    today: Some(date(2026, 11, 23)),
    final_look: true,
};

fn ask(case: &Case, view: Option<&RegistryView>, seen: Option<&Sighting>) -> Option<Verdict> {
    decide(&PolicyInput {
        sighting: seen,
        registry: view,
        alphabet: &alphabet(),
        direction: case.direction,
        today: case.today,
        final_look: case.final_look,
        margins: &Margins::default(),
    })
}

fn reason(case: &Case, view: &RegistryView, seen: &Sighting) -> Option<Reason> {
    ask(case, Some(view), Some(seen)).map(|v| v.reason)
}

#[test]
fn a_clear_resident_is_admitted_at_once() {
    let view = register(&["苏E12345", "苏E99999"]);
    let case = Case {
        final_look: false,
        ..ENTRY
    };
    let verdict = ask(&case, Some(&view), Some(&sighting("苏E12345", &[]))).unwrap();
    assert_eq!(
        (verdict.decision, verdict.reason),
        (Decision::Admit, Reason::Registered)
    );
    assert_eq!(verdict.plate, Some(plate("苏E12345")));
    assert_eq!(verdict.evidence.registry_version, 4);
    let line = explain(&verdict);
    assert!(
        line.chinese.contains("苏E·12345 放行：已登记车辆"),
        "{line:?}"
    );
    assert!(line.english.contains("admit: Registered"), "{line:?}");
}

#[test]
fn a_neighbour_of_a_resident_is_a_stranger() {
    let view = register(&["苏E12345"]);
    let seen = sighting("苏E12346", &[]);
    assert_eq!(reason(&ENTRY, &view, &seen), Some(Reason::NotRegistered));
    // And in doubt between the two, nobody is admitted, whichever leads a little.
    for p in [0.2, 0.45, 0.55, 0.8] {
        let seen = sighting("苏E12346", &[(6, '5', p)]);
        let verdict = ask(&ENTRY, Some(&view), Some(&seen)).unwrap();
        assert_eq!(verdict.reason, Reason::Ambiguous, "{p}");
        let look_on = Case {
            final_look: false,
            ..ENTRY
        };
        assert_eq!(reason(&look_on, &view, &seen), None);
    }
}

#[test]
fn between_two_residents_the_guard_decides() {
    let view = register(&["苏E12345", "苏E12346"]);
    let seen = sighting("苏E12346", &[(6, '5', 0.4)]);
    assert_eq!(reason(&ENTRY, &view, &seen), Some(Reason::Ambiguous));
}

#[test]
fn an_early_refusal_waits_for_further_readings() {
    let view = register(&["苏E12345"]);
    let mut seen = sighting("浙A11111", &[]);
    let early = Case {
        final_look: false,
        ..ENTRY
    };
    seen.readings = 1;
    assert_eq!(reason(&early, &view, &seen), None);
    assert_eq!(reason(&ENTRY, &view, &seen), Some(Reason::NotRegistered));
    seen.readings = 3;
    assert_eq!(reason(&early, &view, &seen), Some(Reason::NotRegistered));
}

#[test]
fn the_last_day_counts_and_a_distrusted_clock_asks() {
    let mut row = Vehicle::new(plate("苏E12345"));
    row.valid_until = Some(date(2026, 11, 23));
    let view = RegistryView::new(1, vec![row]);
    let seen = sighting("苏E12345", &[]);
    let on = |today, direction| {
        let case = Case {
            direction,
            today,
            final_look: false,
        };
        reason(&case, &view, &seen).unwrap()
    };
    let (entry, exit) = (Direction::Entry, Direction::Exit);
    assert_eq!(on(Some(date(2026, 11, 23)), entry), Reason::Registered);
    assert_eq!(on(Some(date(2026, 11, 24)), entry), Reason::Expired);
    assert_eq!(on(None, entry), Reason::ClockUntrusted);
    assert_eq!(on(Some(date(2026, 11, 24)), exit), Reason::ExitOpen);
    assert_eq!(on(None, exit), Reason::ExitOpen);
}

#[test]
fn a_poor_picture_no_plate_and_no_register_ask_the_guard() {
    let view = register(&["苏E12345"]);
    let doubts: Vec<(usize, char, f32)> = (2..7).map(|slot| (slot, '8', 0.5)).collect();
    let poor = sighting("苏E12345", &doubts);
    assert_eq!(reason(&ENTRY, &view, &poor), Some(Reason::UnclearPicture));
    let verdict = |view, seen| ask(&ENTRY, view, seen).unwrap();
    assert_eq!(verdict(Some(&view), None).reason, Reason::Unread);
    let clear = sighting("苏E12345", &[]);
    let blind = verdict(None, Some(&clear));
    assert_eq!(blind.reason, Reason::RegistryUnavailable);
    assert_eq!(blind.plate, Some(plate("苏E12345")));
    let empty = RegistryView::new(1, Vec::new());
    assert_eq!(
        verdict(Some(&empty), Some(&clear)).reason,
        Reason::NotRegistered
    );
}

#[test]
fn plates_that_the_alphabet_lacks_never_win() {
    let view = register(&["民航A1234", "苏X1234应急"]);
    let verdict = ask(&ENTRY, Some(&view), Some(&sighting("苏X1234领", &[]))).unwrap();
    assert_eq!(verdict.evidence.registered, None);
    assert_eq!(verdict.reason, Reason::NotRegistered);
}

#[test]
fn a_sighting_over_another_alphabet_is_none() {
    let view = register(&["苏E12345"]);
    let mut seen = sighting("苏E12345", &[]);
    seen.matrix = Matrix::new(3, vec![LogProb::CERTAIN; 24]).unwrap();
    assert_eq!(reason(&ENTRY, &view, &seen), Some(Reason::Unread));
}

/// Any matrix, from sharp to flat, that leans to one of a few plates.
fn any_sighting() -> impl Strategy<Value = Sighting> {
    let text = prop::sample::select(vec!["苏E12345", "苏E12346", "浙A8B8B8", "京AD12345"]);
    let doubt = (
        0_usize..8,
        prop::sample::select(vec!['5', '6', '8', 'B', 'D', '京']),
        0.0_f32..0.9,
    );
    let doubts = prop::collection::vec(doubt, 0..4).prop_map(|mut list| {
        list.sort_by_key(|d| d.0);
        list.dedup_by_key(|d| d.0);
        list
    });
    (text, doubts, 1_u32..6).prop_map(|(text, doubts, readings)| {
        let shown: Vec<char> = text.chars().collect();
        let doubts: Vec<_> = doubts
            .into_iter()
            .filter(|d| shown.get(d.0) != Some(&d.1))
            .collect();
        let mut seen = sighting(text, &doubts);
        seen.readings = readings;
        seen
    })
}

fn any_view() -> impl Strategy<Value = RegistryView> {
    let pool = vec![
        "苏E12345",
        "苏E12346",
        "浙A8B8B8",
        "京AD12345",
        "沪C00001",
        "民航A1234",
    ];
    (
        prop::sample::subsequence(pool, 0..=6),
        prop::option::of(20_i8..28),
    )
        .prop_map(|(plates, day)| {
            let rows = plates
                .into_iter()
                .map(|t| Vehicle {
                    valid_until: day.map(|d| date(2026, 11, d)),
                    ..Vehicle::new(plate(t))
                })
                .collect();
            RegistryView::new(9, rows)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_final_look_ends_and_admits_only_by_rule(
        seen in prop::option::of(any_sighting()),
        view in prop::option::of(any_view()),
        exit in any::<bool>(),
        day in prop::option::of(20_i8..28),
        final_look in any::<bool>(),
    ) {
        let alphabet = alphabet();
        let margins = Margins::default();
        let input = PolicyInput {
            sighting: seen.as_ref(),
            registry: view.as_ref(),
            alphabet: &alphabet,
            direction: if exit { Direction::Exit } else { Direction::Entry },
            today: day.map(|d| date(2026, 11, d)),
            final_look,
            margins: &margins,
        };
        let Some(verdict) = decide(&input) else {
            prop_assert!(!final_look);
            return Ok(());
        };
        prop_assert_eq!(verdict.decision, verdict.reason.decision());
        if exit {
            prop_assert_eq!(verdict.decision, Decision::Admit);
        } else if verdict.decision == Decision::Admit {
            prop_assert_eq!(verdict.reason, Reason::Registered);
            let row = view.as_ref().unwrap().get(verdict.plate.as_ref().unwrap()).unwrap();
            if let Some(last) = row.valid_until {
                prop_assert!(input.today.unwrap() <= last);
            }
            let evidence = &verdict.evidence;
            let won = evidence.registered.as_ref().unwrap().score;
            prop_assert!(won >= margins.least_score);
            prop_assert!(won.0 - evidence.stranger.as_ref().unwrap().score.0 >= margins.over_stranger.0);
            if let Some(second) = &evidence.runner_up {
                prop_assert!(won.0 - second.score.0 >= margins.over_runner_up.0);
            }
        }
        // Through the journal's JSON and back, the evidence gives the same bytes again.
        let stored = serde_json::to_vec(&verdict).unwrap();
        let read: Verdict = serde_json::from_slice(&stored).unwrap();
        let again = replay(&read.evidence, &input).unwrap().unwrap();
        prop_assert_eq!(serde_json::to_vec(&again).unwrap(), stored);
        // And without the register, what the picture showed.
        let picture = replay_picture(&read.evidence, &alphabet).unwrap();
        prop_assert_eq!(&picture, &read.evidence);
        prop_assert!(!explain(&verdict).chinese.is_empty());
    }
}

#[test]
fn a_changed_score_does_not_pass_for_what_the_picture_shows() {
    let view = register(&["苏E12345", "苏E12346", "苏E99999"]);
    let seen = sighting("苏E12345", &[(6, '6', 0.2)]);
    let verdict = ask(&ENTRY, Some(&view), Some(&seen)).unwrap();
    let again = |evidence: &Evidence| replay_picture(evidence, &alphabet()).unwrap();
    assert_eq!(again(&verdict.evidence), verdict.evidence);
    let mut changed = verdict.evidence.clone();
    changed.registered.as_mut().unwrap().score.0 += 1;
    assert_ne!(again(&changed), changed);
    let mut changed = verdict.evidence.clone();
    // Two characters away; without the register, one as likely could have been the stranger.
    changed.stranger.as_mut().unwrap().plate = plate("苏E12399");
    assert_ne!(again(&changed), changed);
    let mut changed = verdict.evidence;
    // Another first character as likely as the one that was seen.
    changed.matrix.replace_range(0..4, "0000");
    assert_ne!(again(&changed), changed);
}

#[test]
fn evidence_of_another_register_or_model_is_not_replayed() {
    let view = register(&["苏E12345"]);
    let verdict = ask(&ENTRY, Some(&view), Some(&sighting("苏E12345", &[]))).unwrap();
    let other = RegistryView::new(5, Vec::new());
    let alphabet = alphabet();
    let margins = Margins::default();
    let input = PolicyInput {
        sighting: None,
        registry: Some(&other),
        alphabet: &alphabet,
        direction: Direction::Entry,
        today: None,
        final_look: true,
        margins: &margins,
    };
    assert!(matches!(
        replay(&verdict.evidence, &input),
        Err(ReplayError::OtherRegistry {
            decided: 4,
            given: 5
        })
    ));
    let small = Alphabet::new("AB").unwrap();
    let input = PolicyInput {
        registry: Some(&view),
        alphabet: &small,
        ..input
    };
    assert!(matches!(
        replay(&verdict.evidence, &input),
        Err(ReplayError::Matrix(_))
    ));
}
