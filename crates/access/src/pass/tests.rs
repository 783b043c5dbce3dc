#![allow(clippy::unwrap_used)]

use data_encoding::BASE32_NOPAD;
use domain::signing::{PublicKey, SecretKey};
use domain::{PassId, PassNumber, PlateNumber, Reason};
use jiff::Timestamp;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::policy::Clock;
use crate::registry::RegistryView;
use crate::registry::book::{Book, Record};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn number(n: u32) -> PassNumber {
    PassNumber::new(n).unwrap()
}

fn plate(text: &str) -> PlateNumber {
    text.parse().unwrap()
}

fn on(day: Date) -> Clock {
    Clock::Trusted {
        local: day.at(12, 0, 0, 0),
        now: Timestamp::UNIX_EPOCH,
    }
}

/// A pass of the year 2026 for 苏E12345.
fn pass() -> Pass {
    Pass {
        bearer: Bearer::Vehicle(plate("苏E12345")),
        ..Pass::blank(number(637), date(2026, 1, 1), date(2026, 12, 31))
    }
}

fn view(passes: &[Pass]) -> RegistryView {
    let records = passes.iter().map(|p| Record::Pass(Box::new(p.clone())));
    RegistryView::with_book(3, Vec::new(), Book::of(records))
}

fn printed(pass: &Pass) -> String {
    pass.token().unwrap().sign(&key(1))
}

/// The answer about a paper, with the pass as the register has it, on a day, for a plate.
fn answer(paper: &str, held: &Pass, day: Date, read: Option<&str>) -> Reason {
    let keys = [key(1).public()];
    let read = read.map(plate);
    let view = view(std::slice::from_ref(held));
    check(paper, &keys, Some(&view), on(day), read.as_ref(), &|_| 0).reason
}

#[test]
fn each_refusal_has_its_own_reason() {
    let paper = printed(&pass());
    let today = date(2026, 6, 1);
    let with = |change: fn(&mut Pass)| {
        let mut held = pass();
        change(&mut held);
        answer(&paper, &held, today, Some("苏E12345"))
    };
    assert_eq!(with(|_| {}), Reason::Pass);
    assert_eq!(answer(&paper, &pass(), today, None), Reason::Pass);
    let wrong = answer(&paper, &pass(), today, Some("苏E12346"));
    assert_eq!(wrong, Reason::PassWrongPlate);
    assert_eq!(
        with(|p| p.revoked = Some("lost".into())),
        Reason::PassRevoked
    );
    assert_eq!(with(|p| p.until = date(2026, 5, 31)), Reason::PassExpired);
    assert_eq!(with(|p| p.from = date(2026, 6, 2)), Reason::PassNotYetValid);
    assert_eq!(with(|p| p.edition = 2), Reason::PassReplaced);
    assert_eq!(with(|p| p.number = number(638)), Reason::PassUnknown);
    assert_eq!(with(|p| p.bearer = Bearer::Blank), Reason::PassBlank);
    // Extended in the register, the old paper is good for as long.
    assert_eq!(
        answer(
            &paper,
            &Pass {
                until: date(2027, 6, 1),
                ..pass()
            },
            date(2027, 6, 1),
            None
        ),
        Reason::Pass
    );

    let forged = pass().token().unwrap().sign(&key(2));
    assert_eq!(answer(&forged, &pass(), today, None), Reason::PassForged);
    assert_eq!(
        answer("https://example.org", &pass(), today, None),
        Reason::PassForged
    );
    let mut altered = paper.clone();
    let last = if altered.ends_with('A') { "Q" } else { "A" };
    altered.replace_range(40..41, last);
    assert_eq!(answer(&altered, &pass(), today, None), Reason::PassAltered);

    let keys = [key(1).public()];
    let counted = Pass {
        entries: Some(2),
        ..pass()
    };
    let look = |used| {
        let view = view(std::slice::from_ref(&counted));
        check(&paper, &keys, Some(&view), on(today), None, &|_| used).reason
    };
    assert_eq!(
        [look(0), look(1), look(2)],
        [Reason::Pass, Reason::Pass, Reason::PassUsedUp]
    );
    let shown = check(&paper, &keys, None, on(today), None, &|_| 0);
    assert_eq!(shown.reason, Reason::RegistryUnavailable);
    assert_eq!(shown.token.unwrap().pass, pass().id());
}

#[test]
fn a_pass_near_its_limits_is_not_believed_while_the_clock_is_not() {
    let known = |day| Clock::Untrusted {
        not_before: Some(day),
    };
    let at = |clock| pass().standing(clock, 30, 0);
    assert_eq!(at(known(date(2026, 6, 1))), Ok(()));
    assert_eq!(at(known(date(2026, 12, 15))), Err(Reason::ClockUntrusted));
    assert_eq!(at(known(date(2027, 1, 1))), Err(Reason::PassExpired));
    assert_eq!(at(known(date(2025, 12, 15))), Err(Reason::ClockUntrusted));
    assert_eq!(at(known(date(2025, 6, 1))), Err(Reason::PassNotYetValid));
    assert_eq!(
        at(Clock::Untrusted { not_before: None }),
        Err(Reason::ClockUntrusted)
    );
}

#[test]
fn the_code_of_a_vehicle_is_short() {
    let paper = printed(&pass());
    assert!(
        paper.len() <= 154,
        "{} characters are more than version 6-M holds",
        paper.len()
    );
    let qr = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ':';
    assert!(paper.chars().all(qr), "{paper}");
}

fn any_pass() -> impl Strategy<Value = Pass> {
    let bearer = prop_oneof![
        Just(Bearer::Blank),
        Just(Bearer::Foot),
        Just(Bearer::Supplier),
        "苏E[A-HJ-NP-Z0-9]{5}".prop_filter_map("no plate", |t| t.parse().ok().map(Bearer::Vehicle)),
        "沪AD[0-9]{5}".prop_filter_map("no plate", |t| t.parse().ok().map(Bearer::Vehicle)),
    ];
    let day = || (0_i32..60_000).prop_map(|n| date(2020, 1, 1) + jiff::Span::new().days(n));
    (
        1_u32..=9_999_999,
        1_u16..,
        bearer,
        day(),
        day(),
        any::<Option<u16>>(),
    )
        .prop_map(|(n, edition, bearer, a, b, entries)| Pass {
            edition,
            bearer,
            entries: entries.filter(|&n| n > 0),
            ..Pass::blank(number(n), a.min(b), a.max(b))
        })
}

/// One way to spoil a text.
#[derive(Debug, Clone)]
enum Slip {
    Put(Index, char),
    Insert(Index, char),
    Drop(Index),
    Swap(Index, Index),
    Cut(Index),
    Double,
}

fn slip() -> impl Strategy<Value = Slip> {
    let digit = prop_oneof![
        4 => prop::sample::select("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".chars().collect::<Vec<_>>()),
        1 => any::<char>(),
    ];
    let digit = || digit.clone();
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), digit()).prop_map(|(at, c)| Slip::Put(at, c)),
        1 => (at(), digit()).prop_map(|(at, c)| Slip::Insert(at, c)),
        1 => at().prop_map(Slip::Drop),
        1 => (at(), at()).prop_map(|(a, b)| Slip::Swap(a, b)),
        1 => at().prop_map(Slip::Cut),
        1 => Just(Slip::Double),
    ]
}

fn spoilt(text: &str, slips: &[Slip]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for slip in slips {
        if text.is_empty() {
            break;
        }
        match slip {
            Slip::Put(at, c) => {
                let at = at.index(text.len());
                text[at] = *c;
            }
            Slip::Insert(at, c) => text.insert(at.index(text.len() + 1), *c),
            Slip::Drop(at) => {
                text.remove(at.index(text.len()));
            }
            Slip::Swap(a, b) => {
                let (a, b) = (a.index(text.len()), b.index(text.len()));
                text.swap(a, b);
            }
            Slip::Cut(at) => text.truncate(at.index(text.len())),
            Slip::Double => text.extend_from_within(..),
        }
    }
    text.into_iter().collect()
}

proptest! {
    #[test]
    fn what_was_printed_is_what_is_read(pass in any_pass(), seed: u8) {
        let token = pass.token().unwrap();
        let paper = token.sign(&key(seed));
        let others: Vec<PublicKey> = [1, 2, seed].map(|s| key(s).public()).to_vec();
        prop_assert_eq!(Token::verify(&paper, &others), Ok(token.clone()));
        prop_assert_eq!(token.pass, PassId { number: pass.number, edition: pass.edition });
        prop_assert_eq!(&token.sign(&key(seed)), &paper);
        let stranger = [key(seed.wrapping_add(1)).public()];
        prop_assert!(Token::verify(&paper, &stranger).is_err());
    }

    #[test]
    fn no_altered_token_verifies(
        pass in any_pass(),
        slips in prop::collection::vec(slip(), 1..4),
    ) {
        let paper = pass.token().unwrap().sign(&key(1));
        let altered = spoilt(&paper, &slips);
        if altered != paper {
            prop_assert!(Token::verify(&altered, &[key(1).public()]).is_err(), "{}", altered);
        }
    }

    /// The bits behind the text, so that every alteration is one that base32 allows.
    #[test]
    fn no_flipped_bit_verifies(pass in any_pass(), flips in prop::collection::vec(any::<Index>(), 1..4)) {
        let paper = pass.token().unwrap().sign(&key(1));
        let mut bytes = BASE32_NOPAD.decode(&paper.as_bytes()[token::PREFIX.len()..]).unwrap();
        let honest = bytes.clone();
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assume!(bytes != honest);
        let altered = format!("{}{}", token::PREFIX, BASE32_NOPAD.encode(&bytes));
        prop_assert!(Token::verify(&altered, &[key(1).public()]).is_err());
    }

    #[test]
    fn base32_has_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[A-Z2-7]{0,60}") {
        prop_assert_eq!(BASE32_NOPAD.decode(BASE32_NOPAD.encode(&bytes).as_bytes()), Ok(bytes));
        if let Ok(read) = BASE32_NOPAD.decode(text.as_bytes()) {
            prop_assert_eq!(BASE32_NOPAD.encode(&read), text);
        }
    }
}
