//! `docs/asyncapi.yaml` and the code say the same: every message that the bridge can make fits
//! its schema, and the examples in the document are what the code makes.
//! `MENSHEN_WRITE_EXAMPLES=1` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bridge::envelope::{MAX_ENTRY, Publication, Signer, envelope};
use bridge::home_assistant::discovery;
use bridge::reception::{Action, Message, Reception};
use bridge::topics::Topics;
use bridge::{HealthReport, Identity, Latencies, Stage};
use domain::command::{
    Acknowledgement, Command, CommandKind, DeviceName, Enrolled, Head, KeyRing, Order, Refusal,
    Role, Row, RowChange,
};
use domain::event::{Chain, Digest, Event, RegistryChange};
use domain::passage::{Direction, Outcome, PassageId, PassageRecord};
use domain::signing::{Purpose, SecretKey, Signed};
use domain::sync::{Base, Manifest, Page, RegisterVersion, Report, Scope, pack, root_of};
use domain::time::Monotonic;
use domain::verdict::{Evidence, Reason, Verdict};
use domain::{Name, PassId, PlateNumber};
use jiff::Timestamp;
use serde_json::Value;

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/asyncapi.yaml")
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn device() -> DeviceName {
    "east-garden/gate".parse().unwrap()
}

fn time() -> Timestamp {
    "2026-10-01T08:00:00.25Z".parse().unwrap()
}

fn passage() -> PassageId {
    PassageId("01a20d9f-9e2a-71a3-9c26-ec172b4045db".parse().unwrap())
}

fn plate() -> PlateNumber {
    PlateNumber::parse("苏E12345").unwrap()
}

/// One event of every kind.
fn pass() -> PassId {
    PassId {
        number: "637".parse().unwrap(),
        edition: 1,
    }
}

#[allow(clippy::too_many_lines)] // a list: one example a kind
fn events() -> Vec<Event> {
    let (lane, barrier) = (name("entry"), name("main"));
    let evidence = Evidence {
        readings: 4,
        registry_version: 7,
        ..Evidence::default()
    };
    let all = vec![
        Event::Started {
            version: "0.1.0".to_owned(),
        },
        Event::Stopped,
        Event::Verdict {
            passage: passage(),
            lane: lane.clone(),
            verdict: Box::new(Verdict::new(Reason::Registered, Some(plate()), evidence)),
            shadow: false,
        },
        Event::Passage(Box::new(PassageRecord {
            passage: passage(),
            lane: lane.clone(),
            direction: Direction::Entry,
            began: time(),
            ended: time(),
            decision: Some(Reason::Registered.decision()),
            reason: Some(Reason::Registered),
            pass: Some(pass()),
            plate: Some(plate()),
            kind: None,
            outcome: Outcome::Passed,
            readings: 4,
            shadow: false,
            pictures: vec!["2026-10-01/frame.jpg".to_owned()],
        })),
        Event::GuardAnswered {
            passage: passage(),
            lane: lane.clone(),
            admit: true,
            by: "button".to_owned(),
        },
        Event::Opened {
            barrier: barrier.clone(),
            cause: passage().to_string(),
        },
        Event::OpeningRefused {
            barrier: barrier.clone(),
            cause: passage().to_string(),
            why: "STOP is pressed; release it first".to_owned(),
        },
        Event::HoldStarted {
            barrier: barrier.clone(),
            cause: "command-0101".to_owned(),
        },
        Event::HoldEnded {
            barrier: barrier.clone(),
            capped: false,
        },
        Event::Barrier {
            barrier,
            state: "open".to_owned(),
        },
        Event::Camera {
            lane: lane.clone(),
            state: "offline".to_owned(),
            detail: "no picture for 5 s".to_owned(),
        },
        Event::Registry {
            change: RegistryChange::Added {
                plate: plate(),
                replaced: false,
                before: None,
                after: Some(serde_json::json!({ "owner": "王", "building": "3", "unit": "2" })),
            },
            by: "key committee".to_owned(),
            version: 8,
            why: "moved in".to_owned(),
        },
        Event::MarkedOutside {
            plate: plate(),
            entered_by: passage(),
            by: "committee".to_owned(),
            why: "the space is empty".to_owned(),
        },
        Event::PassUsed {
            pass: pass(),
            plate: None,
            by: "guard".to_owned(),
        },
        Event::PassShown {
            lane: lane.clone(),
            pass: Some(pass()),
            reason: Reason::Pass,
        },
        Event::Alarm {
            code: "server-silent".to_owned(),
            message: "the committee's server has acknowledged nothing for 10 minutes".to_owned(),
        },
        Event::Command {
            transaction: "t-1".parse().unwrap(),
            command: CommandKind::Open,
            lane: Some(lane),
            by: name("guard-tablet"),
            done: true,
            message: "lane entry: admitted / 已放行".to_owned(),
        },
        Event::MessageRefused {
            topic: "request/open".to_owned(),
            reason: Refusal::Replayed,
            count: 1,
            by: None,
        },
        Event::Gap {
            from: 1,
            to: 3,
            why: "the disk budget was used up before they could be delivered".to_owned(),
        },
    ];
    // A new kind must get its example: this match is here to stop compiling.
    for event in &all {
        match event {
            Event::Started { .. }
            | Event::Stopped
            | Event::Verdict { .. }
            | Event::Passage(_)
            | Event::GuardAnswered { .. }
            | Event::Opened { .. }
            | Event::OpeningRefused { .. }
            | Event::HoldStarted { .. }
            | Event::HoldEnded { .. }
            | Event::Barrier { .. }
            | Event::Camera { .. }
            | Event::Registry { .. }
            | Event::MarkedOutside { .. }
            | Event::PassUsed { .. }
            | Event::PassShown { .. }
            | Event::Alarm { .. }
            | Event::Command { .. }
            | Event::MessageRefused { .. }
            | Event::Gap { .. } => {}
        }
    }
    all
}

fn commands() -> Vec<Command> {
    let lane = || name("entry");
    vec![
        Command::Open { lane: lane() },
        Command::Hold { lane: lane() },
        Command::Release { lane: lane() },
        Command::Refuse {
            lane: lane(),
            passage: Some(passage()),
        },
        Command::Reload,
        Command::RegistryChange {
            change: RowChange::Add {
                row: Box::new(Row {
                    plate: plate(),
                    owner: "王".to_owned(),
                    building: "3".to_owned(),
                    unit: "2".to_owned(),
                    phone: String::new(),
                    valid_until: Some(jiff::civil::date(2027, 12, 31)),
                }),
            },
        },
        Command::RegistrySync {
            manifest: Box::new(manifest()),
        },
    ]
}

fn pages() -> Vec<Page> {
    let edits = ["苏E12345", "苏E12346"].map(|plate| {
        let row = serde_json::json!({ "record": "vehicle", "plate": plate });
        serde_json::json!({ "edit": "put", "what": row }).to_string()
    });
    pack(&edits).unwrap()
}

fn manifest() -> Manifest {
    let pages = pages();
    Manifest {
        version: RegisterVersion(12),
        scope: Scope::Vehicles,
        base: Some(Base {
            version: RegisterVersion(11),
            digest: Digest::of(b"what was there"),
        }),
        pages: pages.len() as u32,
        root: root_of(&pages),
        digest: Digest::of(b"what will be there"),
        why: "October".to_owned(),
    }
}

fn signed<T: serde::Serialize>(seed: u8, purpose: Purpose, body: &T) -> String {
    serde_json::to_string(&Signed::new(&key(seed), purpose, body).unwrap()).unwrap()
}

/// Schema, example's name, and the message as it stands on the wire: signatures are over text.
type Example = (&'static str, String, String);

/// What a gate says of itself when it connects.
fn introductions(topics: &Topics) -> [Example; 2] {
    let identity = Identity {
        site: device().site,
        device: device().device,
        version: "0.1.0".to_owned(),
        lanes: vec![name("entry"), name("exit")],
        barriers: vec![name("main")],
    };
    let info = serde_json::to_string(&identity).unwrap();
    let (_, discovery) = discovery("homeassistant", &identity, topics);
    let discovery = String::from_utf8(discovery).unwrap();
    [
        ("BridgeInfo", "info".to_owned(), info),
        ("Discovery", "discovery".to_owned(), discovery),
    ]
}

/// Everything that the code makes.
fn messages() -> Vec<Example> {
    let mut all = Vec::new();
    let topics = Topics::new(&device().site, &device().device);
    let signer = Signer {
        device: device(),
        key: key(1),
    };
    let mut chain = Chain {
        seq: 41,
        head: Digest::of(b"the entry before"),
    };
    let send = |stored: &[u8], seq| {
        let publication = Publication {
            seq,
            attempt: 1,
            late: Some(false),
            now: time(),
            late_after: Duration::from_secs(10),
        };
        let (_, payload) = envelope(&topics, &signer, stored, publication).unwrap();
        String::from_utf8(payload).unwrap()
    };
    for event in events() {
        let kind = event.kind().to_owned();
        let (entry, stored, next) = chain.seal(passage().0, time(), true, event).unwrap();
        chain = next;
        all.push(("Entry", kind, send(&stored, entry.seq)));
    }
    let monster = vec![b' '; MAX_ENTRY + 1];
    all.push(("Withheld", "withheld".to_owned(), send(&monster, 60)));
    let head = Head {
        device: device(),
        seq: 60,
        acked: 58,
        gone: 58,
        beat: 3,
    };
    all.push(("Head", "head".to_owned(), signed(1, Purpose::Head, &head)));
    all.extend(introductions(&topics));
    let mut latencies = Latencies::new();
    latencies.record(Stage::Relay, Duration::from_millis(40));
    let health = HealthReport {
        version: "0.1.0".to_owned(),
        uptime_s: 3_600,
        clock_trusted: true,
        cpu_temperature_c: Some(50.5),
        memory_bytes: 130_000_000,
        store_bytes: 1_000_000,
        outbox_depth: 2,
        pictures_dropped: 0,
        frames_per_second: BTreeMap::from([(name("entry"), 9.5)]),
        latency: latencies.take(),
    };
    all.push((
        "Health",
        "health".to_owned(),
        health.to_json().unwrap().to_string(),
    ));
    let whole = Acknowledgement {
        device: device(),
        upto: 42,
        chain: Digest::of(b"entry 42"),
        received: 42,
        resumes: None,
    };
    let hole = Acknowledgement {
        received: 50,
        resumes: Some(45),
        ..whole.clone()
    };
    for (example, word) in [
        ("acknowledgement", whole),
        ("acknowledgement with a hole", hole),
    ] {
        let message = signed(2, Purpose::Acknowledgement, &word);
        all.push(("Acknowledgement", example.to_owned(), message));
    }
    let page = serde_json::to_string(&pages()[0]).unwrap();
    all.push(("Page", "page".to_owned(), page));
    let report = Report {
        device: device(),
        version: 31,
        vehicles: Digest::of(b"the vehicles"),
        register: Digest::of(b"everything"),
        server: Some(manifest().edition()),
        differing: 2,
        contested: 1,
    };
    let report = signed(1, Purpose::Register, &report);
    all.push(("Register", "register".to_owned(), report));
    conversation(&mut all);
    all
}

/// A challenge is asked for, then commands are sent; what the gate answers is its own.
fn conversation(all: &mut Vec<Example>) {
    let guard = Enrolled {
        name: name("guard-tablet"),
        public: key(3).public(),
        roles: vec![Role::Guard],
        lanes: Vec::new(),
        revoked: false,
    };
    let ring = KeyRing::new(vec![guard]).unwrap();
    let mut reception = Reception::new(device(), vec![name("entry")], ring, [8; 32]);
    let payload = serde_json::json!({ "transaction": "t-0", "lane": "entry" }).to_string();
    all.push((
        "ChallengeRequest",
        "challenge request".to_owned(),
        payload.clone(),
    ));
    let take = |reception: &mut Reception, topic: &str, payload: &[u8]| {
        let message = Message {
            topic,
            payload,
            retained: false,
        };
        reception.take(Monotonic::from_millis(5_000), message)
    };
    let actions = take(&mut reception, "request/challenge", payload.as_bytes());
    let [Action::Respond { response, .. }] = &actions[..] else {
        panic!("{actions:?}");
    };
    let domain::command::Answer::Challenge { challenge, .. } = response.answer else {
        panic!("{response:?}");
    };
    let answer = signed(1, Purpose::Response, response);
    all.push(("Response", "challenge".to_owned(), answer));
    let taking = domain::command::Response {
        device: device(),
        transaction: "t-1".parse().unwrap(),
        answer: domain::command::Answer::Taking {
            missing: vec![(0, 2), (7, 7)],
        },
    };
    let taking = signed(1, Purpose::Response, &taking);
    all.push(("Response", "taking".to_owned(), taking));
    for command in commands() {
        let kind = command.kind();
        let order = Order {
            device: device(),
            challenge,
            transaction: "t-1".parse().unwrap(),
            command,
        };
        let message = signed(3, Purpose::Command, &order);
        let payload = message.clone();
        all.push(("Order", kind.word().to_owned(), message));
        let topic = format!("request/{kind}");
        for action in take(&mut reception, &topic, payload.as_bytes()) {
            match action {
                Action::CarryOut(accepted) => {
                    let done =
                        reception.done(accepted.transaction, "lane entry: admitted / 已放行");
                    let answer = signed(1, Purpose::Response, &done);
                    all.push(("Response", "done".to_owned(), answer));
                }
                Action::Respond { response, .. } if kind == CommandKind::Hold => {
                    let answer = signed(1, Purpose::Response, &response);
                    all.push(("Response", "refused".to_owned(), answer));
                }
                _ => {}
            }
        }
    }
}

fn read_document() -> Value {
    let text = std::fs::read_to_string(document()).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

#[test]
fn every_message_fits_its_schema_and_a_changed_one_does_not() {
    let document = read_document();
    let mut seen = BTreeMap::new();
    for (schema, example, text) in messages() {
        let message: Value = serde_json::from_str(&text).unwrap();
        let rules = serde_json::json!({
            "$ref": format!("#/components/schemas/{schema}"),
            "components": document["components"],
        });
        let validator = jsonschema::validator_for(&rules).unwrap();
        let faults: Vec<_> = validator
            .iter_errors(&message)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(
            faults.is_empty(),
            "{schema}, {example}: {faults:?}\n{message}"
        );
        let mut changed = message.clone();
        changed["force"] = Value::Bool(true);
        assert!(!validator.is_valid(&changed), "{schema} takes anything");
        for field in message.as_object().unwrap().keys() {
            let mut changed = message.clone();
            changed[field] = serde_json::json!([[]]);
            assert!(
                !validator.is_valid(&changed),
                "{schema}.{field} takes anything"
            );
        }
        *seen.entry(schema).or_insert(0) += 1;
    }
    assert_eq!((seen["Entry"], seen["Order"], seen["Response"]), (19, 7, 4));
}

#[test]
fn the_examples_are_what_the_code_makes() {
    let path = document();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    for (_, example, message) in messages() {
        made.insert(example, message);
    }
    let mut written = String::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(example) = line.strip_prefix("        - name: ") {
            current = Some(example.to_owned());
        }
        match (&current, line.starts_with("          payload: ")) {
            (Some(example), true) => {
                let message = made
                    .remove(example)
                    .unwrap_or_else(|| panic!("no {example}"));
                written.extend(["          payload: ", &message, "\n"]);
                current = None;
            }
            _ => written.extend([line, "\n"]),
        }
    }
    assert!(made.is_empty(), "without an example: {:?}", made.keys());
    if std::env::var_os("MENSHEN_WRITE_EXAMPLES").is_some() {
        std::fs::write(&path, written).unwrap();
    } else {
        assert!(
            written == text,
            "the examples are not what the code makes; run with MENSHEN_WRITE_EXAMPLES=1 and look at the difference"
        );
    }
}

#[test]
fn every_topic_of_the_code_has_a_channel() {
    let document = read_document();
    let channels = document["channels"].as_object().unwrap();
    let addresses: Vec<String> = channels
        .values()
        .map(|channel| channel["address"].as_str().unwrap().to_owned())
        .collect();
    let topics = Topics::new(&name("site"), &name("device"));
    let lane = name("lane");
    for (topic, is) in [
        (topics.event(), "event"),
        (topics.head(), "head"),
        (topics.ack(), "ack"),
        (topics.bridge_state(), "bridge/state"),
        (topics.bridge_info(), "bridge/info"),
        (topics.health(), "health"),
        (topics.alarm(), "alarm"),
        (topics.picture(&lane), "lane/{lane}/picture"),
        (topics.response("open"), "response/{name}"),
        (topics.requests(), "request/{command}"),
    ] {
        let address = format!("menshen/{{site}}/{{device}}/{is}");
        assert!(addresses.contains(&address), "{address}");
        assert!(topic.starts_with("menshen/site/device/"), "{topic}");
    }
}
