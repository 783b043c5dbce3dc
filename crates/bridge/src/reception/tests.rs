//! The rules of judging, one by one; then a million envelopes at random.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use domain::command::{Enrolled, RowChange, Transaction};
use domain::signing::SecretKey;
use domain::sync::{Manifest, RegisterVersion, Scope, digest_of};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::*;

const GUARD: u8 = 1;
const REGISTRAR: u8 = 2;
const SERVER: u8 = 3;
const REVOKED: u8 = 4;
const LANE_GUARD: u8 = 5;
const TECHNICIAN: u8 = 6;
const STRANGER: u8 = 9;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn device() -> DeviceName {
    "garden/east".parse().unwrap()
}

fn ring() -> KeyRing {
    let enrol = |who: &str, seed, roles: &[Role], lanes: &[&str], revoked| Enrolled {
        name: name(who),
        public: key(seed).public(),
        roles: roles.to_vec(),
        lanes: lanes.iter().map(|lane| name(lane)).collect(),
        revoked,
    };
    KeyRing::new(vec![
        enrol("guard", GUARD, &[Role::Guard], &[], false),
        enrol("registrar", REGISTRAR, &[Role::Registrar], &[], false),
        enrol("server", SERVER, &[Role::Server], &[], false),
        enrol("old-guard", REVOKED, &[Role::Guard], &[], true),
        enrol("lane-guard", LANE_GUARD, &[Role::Guard], &["out"], false),
        enrol("technician", TECHNICIAN, &[Role::Technician], &[], false),
    ])
    .unwrap()
}

fn reception() -> Reception {
    Reception::new(device(), vec![name("in"), name("out")], ring(), [42; 32])
}

fn at(millis: u64) -> Monotonic {
    Monotonic::from_millis(millis)
}

fn ask(reception: &mut Reception, now: Monotonic, lane: Option<&str>) -> Challenge {
    let request = ChallengeRequest {
        transaction: "t".parse().unwrap(),
        lane: lane.map(name),
    };
    let payload = serde_json::to_vec(&request).unwrap();
    let actions = reception.take(now, message("request/challenge", &payload));
    match &actions[..] {
        [Action::Respond { response, .. }] => match response.answer {
            Answer::Challenge { challenge, .. } => challenge,
            _ => panic!("{response:?}"),
        },
        _ => panic!("{actions:?}"),
    }
}

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Message<'a> {
    Message {
        topic,
        payload,
        retained: false,
    }
}

fn order(challenge: Challenge, command: Command) -> Order {
    Order {
        device: device(),
        challenge,
        transaction: "t-1".parse().unwrap(),
        command,
    }
}

fn signed(seed: u8, order: &Order) -> Vec<u8> {
    serde_json::to_vec(&Signed::new(&key(seed), Purpose::Command, order).unwrap()).unwrap()
}

fn open(lane: &str) -> Command {
    Command::Open { lane: name(lane) }
}

/// Why a message is refused; `None` if it is carried out.
fn verdict(actions: &[Action]) -> Option<Refusal> {
    let acts = actions
        .iter()
        .any(|action| matches!(action, Action::CarryOut(_) | Action::Confirm { .. }));
    let answered = actions.iter().find_map(|action| match action {
        Action::Respond { response, .. } => match response.answer {
            Answer::Refused { reason, .. } => Some(reason),
            _ => None,
        },
        _ => None,
    });
    let recorded = actions.iter().find_map(|action| match action {
        Action::Record(Event::MessageRefused { reason, .. }) => Some(*reason),
        _ => None,
    });
    assert_eq!(acts, answered.or(recorded).is_none(), "{actions:?}");
    answered.or(recorded)
}

#[test]
fn a_sound_command_acts_once() {
    let mut reception = reception();
    let challenge = ask(&mut reception, at(1_000), Some("in"));
    let payload = signed(GUARD, &order(challenge, open("in")));
    let actions = reception.take(at(30_900), message("request/open", &payload));
    let [Action::CarryOut(accepted)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(accepted.command, open("in"));
    assert_eq!(accepted.by, name("guard"));
    assert!(accepted.cause.len() <= 128);
    let again = reception.take(at(30_950), message("request/open", &payload));
    assert_eq!(verdict(&again), Some(Refusal::Replayed));
    // When the used challenge is forgotten, it is too old by its own word.
    let later = reception.take(at(31_001), message("request/open", &payload));
    assert_eq!(verdict(&later), Some(Refusal::Late));
    assert!(reception.used.is_empty());
}

#[test]
fn every_flaw_is_refused_with_its_reason() {
    let mut reception = reception();
    let mut check = |why: Refusal, seed: u8, topic: &str, change: &dyn Fn(&mut Order), retained| {
        let challenge = ask(&mut reception, at(1_000), Some("in"));
        let mut order = order(challenge, open("in"));
        change(&mut order);
        let payload = signed(seed, &order);
        let message = Message {
            topic,
            payload: &payload,
            retained,
        };
        let actions = reception.take(at(2_000), message);
        assert_eq!(verdict(&actions), Some(why), "{actions:?}");
    };
    let same: &dyn Fn(&mut Order) = &|_| {};
    check(Refusal::Retained, GUARD, "request/open", same, true);
    check(Refusal::WrongTopic, GUARD, "request/hold", same, false);
    check(Refusal::WrongTopic, GUARD, "request/close", same, false);
    check(Refusal::UnknownKey, STRANGER, "request/open", same, false);
    check(Refusal::Revoked, REVOKED, "request/open", same, false);
    check(Refusal::WrongRole, REGISTRAR, "request/open", same, false);
    check(Refusal::WrongRole, SERVER, "request/open", same, false);
    check(Refusal::WrongLane, LANE_GUARD, "request/open", same, false);
    check(
        Refusal::WrongDevice,
        GUARD,
        "request/open",
        &|order| order.device = "garden/west".parse().unwrap(),
        false,
    );
    check(
        Refusal::WrongLane,
        GUARD,
        "request/open",
        &|order| order.command = open("out"),
        false,
    );
    check(
        Refusal::WrongLane,
        GUARD,
        "request/open",
        &|order| order.command = open("nowhere"),
        false,
    );
    check(
        Refusal::WrongLane,
        TECHNICIAN,
        "request/reload",
        &|order| order.command = Command::Reload,
        false,
    );
    check(
        Refusal::UnknownChallenge,
        GUARD,
        "request/open",
        &|order| order.challenge.0.0[31] ^= 1,
        false,
    );
    check(
        Refusal::UnknownChallenge,
        GUARD,
        "request/open",
        &|order| order.challenge.0.0[3] ^= 1,
        false,
    );
    let payload = vec![b' '; LARGEST + 1];
    let actions = reception.take(at(3_000), message("request/open", &payload));
    assert_eq!(verdict(&actions), Some(Refusal::TooLarge));
    for payload in [&b"OPEN"[..], b"{}", b"", b"\xff"] {
        let mut fresh = super::tests::reception();
        let actions = fresh.take(at(3_000), message("request/open", payload));
        assert_eq!(verdict(&actions), Some(Refusal::Unreadable));
    }
    // An honest signature under another command.
    let challenge = ask(&mut reception, at(3_000), Some("in"));
    let good = Signed::new(&key(GUARD), Purpose::Command, &order(challenge, open("in"))).unwrap();
    let other = order(challenge, Command::Hold { lane: name("in") });
    let forged = Signed {
        body: serde_json::value::to_raw_value(&other).unwrap(),
        ..good.clone()
    };
    let payload = serde_json::to_vec(&forged).unwrap();
    let actions = reception.take(at(3_000), message("request/hold", &payload));
    assert_eq!(verdict(&actions), Some(Refusal::Forged));
    // A signature for another purpose.
    let answer = Signed::new(
        &key(GUARD),
        Purpose::Response,
        &order(challenge, open("in")),
    )
    .unwrap();
    let payload = serde_json::to_vec(&answer).unwrap();
    let actions = reception.take(at(3_000), message("request/open", &payload));
    assert_eq!(verdict(&actions), Some(Refusal::Forged));
    // None of it has used the challenge up.
    let payload = serde_json::to_vec(&good).unwrap();
    let actions = reception.take(at(3_000), message("request/open", &payload));
    assert_eq!(verdict(&actions), None);
}

#[test]
fn a_new_start_knows_no_old_challenge() {
    let mut before = reception();
    let challenge = ask(&mut before, at(1_000), Some("in"));
    let mut after = Reception::new(device(), vec![name("in")], ring(), [43; 32]);
    let payload = signed(GUARD, &order(challenge, open("in")));
    let actions = after.take(at(1_500), message("request/open", &payload));
    assert_eq!(verdict(&actions), Some(Refusal::UnknownChallenge));
}

#[test]
fn keys_are_changed_and_revoked_while_it_runs() {
    let mut reception = reception();
    let challenge = ask(&mut reception, at(1_000), Some("in"));
    let mut keys = ring().keys().to_vec();
    keys[0].revoked = true;
    reception.enrol(KeyRing::new(keys).unwrap());
    let payload = signed(GUARD, &order(challenge, open("in")));
    let actions = reception.take(at(1_500), message("request/open", &payload));
    assert_eq!(verdict(&actions), Some(Refusal::Revoked));
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::Record(Event::MessageRefused { by: Some(by), .. }) if *by == name("guard")
    )));
}

#[test]
fn a_flood_is_written_down_in_one_line_and_pushes_nothing_out() {
    let mut reception = reception();
    let challenge = ask(&mut reception, at(1_000), Some("in"));
    let mut forged =
        Signed::new(&key(GUARD), Purpose::Command, &order(challenge, open("in"))).unwrap();
    forged.sig = key(STRANGER).sign(Purpose::Command, b"");
    let payload = serde_json::to_vec(&forged).unwrap();
    let mut recorded = 0;
    for i in 0..10_000_u64 {
        let request = br#"{"transaction":"t","lane":"out"}"#;
        let asked = reception.take(at(1_000 + i / 10), message("request/challenge", request));
        recorded += asked
            .iter()
            .filter(|action| matches!(action, Action::Record(_)))
            .count();
        let actions = reception.take(at(1_000 + i / 10), message("request/open", &payload));
        recorded += actions
            .iter()
            .filter(|action| matches!(action, Action::Record(_)))
            .count();
        assert!(verdict_of_flood(&actions));
    }
    assert_eq!(
        recorded, 3,
        "forged, and a flood of commands and of challenges"
    );
    let due = reception.tick(at(70_000));
    let counted: u64 = due
        .iter()
        .map(|action| match action {
            Action::Record(Event::MessageRefused { count, .. }) => *count,
            _ => 0,
        })
        .sum();
    assert_eq!(counted, 10_000 - 2 + 10_000 - 99 - 1);
    assert!(reception.used.is_empty());
    // The honest challenge from before the flood would still have been good.
    let challenge = ask(&mut reception, at(80_000), Some("in"));
    let payload = signed(GUARD, &order(challenge, open("in")));
    let actions = reception.take(at(81_000), message("request/open", &payload));
    assert_eq!(verdict(&actions), None);
}

fn verdict_of_flood(actions: &[Action]) -> bool {
    actions.iter().any(|action| {
        matches!(action, Action::Respond { response, .. }
            if matches!(response.answer, Answer::Refused { reason: Refusal::Forged | Refusal::Flood, .. }))
    })
}

fn word(upto: u64, chain: Digest, received: u64, resumes: Option<u64>) -> Acknowledgement {
    Acknowledgement {
        device: device(),
        upto,
        chain,
        received,
        resumes,
    }
}

#[test]
fn an_acknowledgement_is_signed_by_the_server_and_about_these_bytes() {
    let mut reception = reception();
    let good = word(5, Digest::of(b"5"), 5, None);
    let mut take = |seed, purpose, word: &Acknowledgement, retained| {
        let signed = Signed::new(&key(seed), purpose, word).unwrap();
        let payload = serde_json::to_vec(&signed).unwrap();
        let message = Message {
            topic: "ack",
            payload: &payload,
            retained,
        };
        // Each in a minute of its own, so that each is written down.
        let actions = reception.take(at(1_000), message);
        let later = reception.tick(at(200_000));
        let all = if actions.is_empty() { later } else { actions };
        verdict(&all)
    };
    let ack = Purpose::Acknowledgement;
    assert_eq!(take(SERVER, ack, &good, false), None);
    assert_eq!(take(SERVER, ack, &good, true), Some(Refusal::Retained));
    assert_eq!(take(GUARD, ack, &good, false), Some(Refusal::WrongRole));
    assert_eq!(take(STRANGER, ack, &good, false), Some(Refusal::UnknownKey));
    assert_eq!(
        take(SERVER, Purpose::Command, &good, false),
        Some(Refusal::Forged)
    );
    let mut other = good.clone();
    other.device = "garden/west".parse().unwrap();
    assert_eq!(take(SERVER, ack, &other, false), Some(Refusal::WrongDevice));

    let sent = Sent {
        acked: 3,
        greatest: 9,
        gone: 3,
    };
    let here = Some(Digest::of(b"5"));
    assert_eq!(judge(&good, sent, here), Ok(()));
    assert_eq!(
        judge(&good, sent, Some(Digest::of(b"x"))),
        Err(Refusal::WrongChain)
    );
    assert_eq!(judge(&good, sent, None), Err(Refusal::Stale));
    let chain = Digest::of(b"5");
    for (word, why) in [
        (word(2, chain, 2, None), Refusal::Stale),
        (word(10, chain, 10, None), Refusal::OutOfRange),
        (word(5, chain, 10, Some(7)), Refusal::OutOfRange),
        (word(5, chain, 8, None), Refusal::OutOfRange),
        (word(5, chain, 8, Some(6)), Refusal::OutOfRange),
        (word(5, chain, 4, None), Refusal::OutOfRange),
    ] {
        assert_eq!(judge(&word, sent, here), Err(why), "{word:?}");
    }
    assert_eq!(judge(&word(5, chain, 8, Some(7)), sent, here), Ok(()));
    assert_eq!(judge(&word(3, chain, 8, Some(7)), sent, None), Ok(()));
    let dropped = Sent { gone: 5, ..sent };
    assert_eq!(judge(&good, dropped, None), Ok(()));
}

/// What is done to an envelope before it arrives, and whether it may act then.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Sound,
    Bit,
    Again,
    Late,
    Retained,
    Stranger,
    OldSecret,
    OtherLane,
    OtherTopic,
    OtherRole,
    Revoked,
    OtherDevice,
    Ack,
}

const FATES: [Fate; 12] = [
    Fate::Bit,
    Fate::Again,
    Fate::Late,
    Fate::Retained,
    Fate::Stranger,
    Fate::OldSecret,
    Fate::OtherLane,
    Fate::OtherTopic,
    Fate::OtherRole,
    Fate::Revoked,
    Fate::OtherDevice,
    Fate::Ack,
];

/// The bar: a tenth of the envelopes are sound, the others were tampered with or come at the
/// wrong time or place. They arrive in a random order. Each sound one acts exactly once, no
/// other acts, and every refusal is written down.
fn bombard(envelopes: u32, seed: u64) -> (u32, u32) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut reception = reception();
    let mut elsewhere = Reception::new(device(), vec![name("in"), name("out")], ring(), [7; 32]);
    let mut now = 1_000_u64;
    let (mut acted, mut refused) = (0, 0_u64);
    let mut written = 0_u64;
    let mut seen_causes = BTreeSet::new();
    let mut made = 0;
    let mut sound = 0;
    let mut past: Vec<(String, Vec<u8>)> = Vec::new();
    let count = |actions: &[Action]| -> u64 {
        actions
            .iter()
            .map(|action| match action {
                Action::Record(Event::MessageRefused { count, .. }) => *count,
                _ => 0,
            })
            .sum()
    };
    while made < envelopes {
        // Few enough a second that none is refused for their number.
        now += 1_000;
        let mut salvo = Vec::new();
        for _ in 0..40.min(envelopes - made) {
            made += 1;
            let fate = if made % 10 == 0 {
                Fate::Sound
            } else {
                FATES[rng.random_range(0..FATES.len())]
            };
            sound += u32::from(matches!(fate, Fate::Sound));
            salvo.push(envelope(
                fate,
                now,
                &mut rng,
                &mut reception,
                &mut elsewhere,
                &past,
                made,
            ));
        }
        for i in (1..salvo.len()).rev() {
            salvo.swap(i, rng.random_range(0..=i));
        }
        for (topic, payload, retained, expected) in salvo {
            let message = Message {
                topic: &topic,
                payload: &payload,
                retained,
            };
            let actions = reception.take(at(now), message);
            written += count(&actions);
            let orders: Vec<_> = actions
                .iter()
                .filter_map(|action| match action {
                    Action::CarryOut(accepted) => Some(accepted),
                    Action::Confirm { .. } => panic!("an order became an acknowledgement"),
                    _ => None,
                })
                .collect();
            if let Some(transaction) = expected {
                assert_eq!(orders.len(), 1, "a sound envelope did not act: {actions:?}");
                assert_eq!(orders[0].transaction, transaction);
                assert!(seen_causes.insert(orders[0].cause.clone()), "acted twice");
                acted += 1;
                if past.len() < 1_000 {
                    past.push((topic, payload));
                } else {
                    let at = rng.random_range(0..past.len());
                    past[at] = (topic, payload);
                }
            } else {
                assert_eq!(orders.len(), 0, "a flawed envelope acted: {actions:?}");
                refused += 1;
            }
        }
        written += count(&reception.tick(at(now)));
    }
    written += count(&reception.tick(at(now + 120_000)));
    assert_eq!(acted, sound);
    assert_eq!(written, refused, "a refusal was not written down");
    (acted, envelopes)
}

/// Topic, payload, retained, and the transaction if it must act.
type Salvo = (String, Vec<u8>, bool, Option<Transaction>);

/// A command, and a key that may sign it.
fn some_command(rng: &mut SmallRng, lane: &str) -> (u8, Command) {
    match rng.random_range(0..7) {
        0 => (GUARD, Command::Hold { lane: name(lane) }),
        1 => (GUARD, Command::Release { lane: name(lane) }),
        2 => (
            GUARD,
            Command::Refuse {
                lane: name(lane),
                passage: None,
            },
        ),
        3 => (TECHNICIAN, Command::Reload),
        4 => (
            REGISTRAR,
            Command::RegistryChange {
                change: RowChange::Remove {
                    plate: domain::PlateNumber::parse("苏E12345").unwrap(),
                },
            },
        ),
        5 => {
            let manifest = Manifest {
                version: RegisterVersion(3),
                scope: Scope::Vehicles,
                base: None,
                pages: 0,
                root: Digest::START,
                digest: digest_of([]),
                why: String::new(),
            };
            let manifest = Box::new(manifest);
            (REGISTRAR, Command::RegistrySync { manifest })
        }
        _ => (GUARD, open(lane)),
    }
}

fn envelope(
    fate: Fate,
    now: u64,
    rng: &mut SmallRng,
    reception: &mut Reception,
    elsewhere: &mut Reception,
    past: &[(String, Vec<u8>)],
    number: u32,
) -> Salvo {
    let lane = if rng.random_bool(0.5) { "in" } else { "out" };
    let (seed, command) = some_command(rng, lane);
    let topic = format!("request/{}", command.kind());
    let bound = command.lane().map(Name::as_str).map(str::to_owned);
    let age = match fate {
        Fate::Late => rng.random_range(30_001..100_000),
        _ => rng.random_range(0..=30_000),
    };
    let given = at((now).saturating_sub(age));
    // The gate's own time does not run backwards; it is asked as of then.
    let given = if matches!(fate, Fate::Late) && now <= age {
        return (topic, b"late before the beginning".to_vec(), false, None);
    } else {
        given
    };
    let asked = |from: &mut Reception, lane: Option<&str>| {
        from.given += 1;
        from.seal(given, from.given, lane.map(name).as_ref())
    };
    let challenge = match fate {
        Fate::OldSecret => asked(elsewhere, bound.as_deref()),
        Fate::OtherLane => asked(
            reception,
            if bound.as_deref() == Some("in") {
                Some("out")
            } else {
                Some("in")
            },
        ),
        _ => asked(reception, bound.as_deref()),
    };
    let transaction: Transaction = format!("t-{number}").parse().unwrap();
    let mut order = Order {
        device: device(),
        challenge,
        transaction: transaction.clone(),
        command,
    };
    let seed = match fate {
        Fate::Stranger => STRANGER,
        Fate::Revoked => REVOKED,
        Fate::OtherRole => SERVER,
        _ => seed,
    };
    if matches!(fate, Fate::OtherDevice) {
        order.device = "garden/west".parse().unwrap();
    }
    let purpose = match fate {
        Fate::Ack => Purpose::Acknowledgement,
        _ => Purpose::Command,
    };
    let mut payload =
        serde_json::to_vec(&Signed::new(&key(seed), purpose, &order).unwrap()).unwrap();
    match fate {
        Fate::Sound => (topic, payload, false, Some(transaction)),
        Fate::Bit => {
            for _ in 0..rng.random_range(1..4) {
                let place = rng.random_range(0..payload.len());
                payload[place] ^= 1 << rng.random_range(0..8);
            }
            let untouched = Signed::new(&key(seed), purpose, &order).unwrap();
            if payload == serde_json::to_vec(&untouched).unwrap() {
                payload.clear();
            }
            (topic, payload, false, None)
        }
        Fate::Again => match past.len() {
            0 => (topic, b"nothing to replay yet".to_vec(), false, None),
            n => {
                let (topic, payload) = past[rng.random_range(0..n)].clone();
                (topic, payload, false, None)
            }
        },
        Fate::Retained => (topic, payload, true, None),
        Fate::OtherTopic => {
            let other = if topic == "request/open" {
                "request/hold"
            } else {
                "request/open"
            };
            (other.to_owned(), payload, false, None)
        }
        _ => (topic, payload, false, None),
    }
}

/// `MENSHEN_ENVELOPES=1000000 cargo test --release -p bridge envelopes -- --nocapture` is the
/// long form.
#[test]
fn sound_envelopes_act_once_and_no_other_acts() {
    let envelopes = std::env::var("MENSHEN_ENVELOPES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let (acted, all) = bombard(envelopes, 7);
    println!("BAR commands: {all} envelopes, {acted} sound, each acted once, no other did");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No bytes on any topic bring it down or make it act.
    #[test]
    fn no_bytes_act(
        topic in "ack|request/[a-z-]{1,12}|[a-z/]{0,20}",
        payload in prop::collection::vec(any::<u8>(), 0..300),
        retained: bool,
    ) {
        let mut reception = reception();
        let message = Message { topic: &topic, payload: &payload, retained };
        let actions = reception.take(at(5), message);
        prop_assert!(verdict(&actions).is_some());
    }
}
