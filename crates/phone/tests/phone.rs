//! The phone says what the gate would say, and its program in the tree is that of the source.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use access::pass::{Bearer, Pass, check};
use access::policy::Clock;
use access::registry::RegistryView;
use access::registry::book::{Book, Record};
use domain::event::Digest;
use domain::signing::SecretKey;
use domain::{PassNumber, Reason};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan as _};
use phone::{List, Listed, Request, Unanswerable, judge, respond};
use proptest::prelude::*;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn listed(pass: &Pass, used: u32) -> Listed {
    Listed {
        number: pass.number,
        edition: pass.edition,
        from: pass.from,
        until: pass.until,
        bearer: pass.bearer.clone(),
        entries: pass.entries,
        used,
        revoked: pass.revoked.is_some(),
    }
}

fn day(offset: i32) -> Date {
    date(2026, 11, 27) + offset.days()
}

fn some_pass() -> impl Strategy<Value = Pass> {
    let bearer = prop_oneof![
        Just(Bearer::Blank),
        Just(Bearer::Foot),
        Just(Bearer::Supplier),
        Just(Bearer::Vehicle("苏E12345".parse().unwrap())),
    ];
    let days = (-3..3_i32, 0..3_i32);
    let entries = proptest::option::of(1..4_u16);
    (1..4_u32, 1..3_u16, bearer, days, entries, any::<bool>()).prop_map(
        |(number, edition, bearer, (from, long), entries, revoked)| Pass {
            edition,
            bearer,
            entries,
            revoked: revoked.then(|| "lost".to_owned()),
            ..Pass::blank(
                PassNumber::new(number).unwrap(),
                day(from),
                day(from + long),
            )
        },
    )
}

proptest! {
    #[test]
    fn the_phone_says_what_the_gate_says(
        paper in some_pass(),
        known in some_pass(),
        used in 0..4_u32,
        signed_by in 1..3_u8,
        torn in proptest::option::weighted(0.1, 0..100_usize),
    ) {
        let mut text = paper.token().unwrap().sign(&key(signed_by));
        if let Some(at) = torn {
            text.remove(at);
        }
        let keys = vec![key(1).public()];
        let book = Book::of([Record::Pass(Box::new(known.clone()))]);
        let view = RegistryView::with_book(1, Vec::new(), book);
        let clock = Clock::Trusted {
            local: day(0).at(12, 0, 0, 0),
            now: Timestamp::UNIX_EPOCH,
        };
        let at_the_gate = check(&text, &keys, Some(&view), clock, None, &|_| used);
        let list = List { keys, passes: vec![listed(&known, used)] };
        let on_the_phone = judge(&text, &list, day(0));
        prop_assert_eq!(on_the_phone.reason, at_the_gate.reason.code());
        prop_assert_eq!(on_the_phone.decision, at_the_gate.reason.decision());
    }
}

fn request(text: Option<String>, picture: Option<(u32, u32)>) -> Vec<u8> {
    let pass = Pass {
        bearer: Bearer::Foot,
        entries: Some(5),
        ..Pass::blank(PassNumber::new(637).unwrap(), day(-1), day(1))
    };
    let request = Request {
        list: List {
            keys: vec![key(1).public()],
            passes: vec![listed(&pass, 2)],
        },
        today: day(0),
        text: text.map(|t| {
            if t.is_empty() {
                pass.token().unwrap().sign(&key(1))
            } else {
                t
            }
        }),
        picture,
    };
    let mut line = serde_json::to_vec(&request).unwrap();
    line.push(b'\n');
    line
}

#[test]
fn a_text_is_judged_as_people_type_it() {
    let answers = respond(&request(Some(String::new()), None)).unwrap();
    let [answer] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(answer.reason, Reason::Pass.code());
    assert_eq!(answer.number.as_deref(), Some("0637"));
    assert_eq!((answer.left, answer.kind), (Some(3), Some("人员通行证")));
    let line = String::from_utf8(request(Some(String::new()), None)).unwrap();
    let small = line.replace("MS1:", " ms1: ");
    let answers = respond(small.as_bytes()).unwrap();
    assert_eq!(answers[0].reason, Reason::Pass.code());
    let foreign = respond(&request(Some("https://example.org".to_owned()), None)).unwrap();
    assert_eq!(foreign[0].reason, Reason::PassForged.code());
}

#[test]
fn a_code_in_a_picture_is_found_and_a_wrong_picture_is_said() {
    let pass = Pass {
        bearer: Bearer::Foot,
        ..Pass::blank(PassNumber::new(637).unwrap(), day(-1), day(1))
    };
    let text = pass.token().unwrap().sign(&key(1));
    let code = qrcodegen::QrCode::encode_text(&text, qrcodegen::QrCodeEcc::Medium).unwrap();
    let side = (code.size() + 8) * 4;
    let mut input = request(None, Some((side as u32, side as u32)));
    input.extend((0..side * side).map(|at| {
        let (x, y) = (at % side / 4 - 4, at / side / 4 - 4);
        if code.get_module(x, y) { 30 } else { 220 }
    }));
    let answers = respond(&input).unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].reason, Reason::Pass.code());
    input.pop();
    let wrong = respond(&input).unwrap_err();
    assert!(matches!(wrong, Unanswerable::Picture { .. }), "{wrong}");
    let huge = respond(&request(None, Some((u32::MAX, u32::MAX)))).unwrap_err();
    assert!(matches!(huge, Unanswerable::Picture { .. }), "{huge}");
    assert!(matches!(respond(b"{}\n"), Err(Unanswerable::Request(_))));
}

#[test]
fn the_program_in_the_tree_is_made_from_the_source_in_the_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "../domain/src/pass", "../domain/src/plate"].map(|folder| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "rs"))
            .collect();
        files.sort();
        files
    });
    let mut all = Vec::new();
    for file in sources.concat() {
        all.extend(std::fs::read(file).unwrap());
    }
    all.extend(std::fs::read(root.join("../domain/src/signing.rs")).unwrap());
    let noted = include_str!("../phone.sources").trim();
    assert_eq!(
        Digest::of(&all).to_string(),
        noted,
        "run crates/phone/build and commit what it makes"
    );
}
