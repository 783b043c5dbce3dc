//! What Home Assistant is told reads what the gate really says. Its templates are Jinja's, and are
//! rendered here by another implementation of that language, with the messages that the code makes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use bridge::envelope::{Publication, Signer, envelope};
use bridge::home_assistant::discovery;
use bridge::topics::{State, Topics};
use bridge::{HealthReport, Identity, Latencies, Stage};
use domain::command::DeviceName;
use domain::event::{Chain, Event};
use domain::signing::SecretKey;
use domain::{Decision, Direction, Name, Outcome, PassageId, PassageRecord, PlateNumber, Reason};
use jiff::Timestamp;
use minijinja::Environment;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

fn identity(site: &str, device: &str, lanes: &[&str], barriers: &[&str]) -> Identity {
    let names = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect();
    Identity {
        site: site.parse().unwrap(),
        device: device.parse().unwrap(),
        version: "0.1.0".to_owned(),
        lanes: names(lanes),
        barriers: names(barriers),
    }
}

fn told(identity: &Identity) -> (String, Value) {
    let topics = Topics::new(&identity.site, &identity.device);
    let (topic, payload) = discovery("homeassistant", identity, &topics);
    (topic, serde_json::from_slice(&payload).unwrap())
}

/// What an entity of the gate `garden/east` makes of a message on a topic that it listens to.
fn shown(entity: &str, topic: &str, message: &Value) -> String {
    let (_, told) = told(&identity("garden", "east", &["in"], &["boom"]));
    let entity = &told["components"][entity];
    assert_eq!(entity["state_topic"], topic);
    let template = entity["value_template"].as_str().unwrap();
    Environment::new()
        .render_str(template, json!({ "value_json": message }))
        .unwrap()
}

/// The envelope of the entry that ends a passage, with its topic.
fn passage(decision: Option<Decision>, plate: Option<&str>, late: bool) -> (String, Value) {
    let now: Timestamp = "2026-11-27T08:00:00Z".parse().unwrap();
    let record = PassageRecord {
        passage: PassageId(Uuid::now_v7()),
        lane: "in".parse().unwrap(),
        direction: Direction::Entry,
        began: now,
        ended: now,
        decision,
        reason: decision.map(|_| Reason::Registered),
        plate: plate.map(|plate| PlateNumber::parse(plate).unwrap()),
        pass: None,
        kind: None,
        outcome: Outcome::Passed,
        readings: 3,
        shadow: false,
        pictures: Vec::new(),
    };
    let event = Event::Passage(Box::new(record));
    let (entry, stored, _) = Chain::EMPTY.seal(Uuid::now_v7(), now, true, event).unwrap();
    let topics = Topics::new(&"garden".parse().unwrap(), &"east".parse().unwrap());
    let signer = Signer {
        device: DeviceName {
            site: "garden".parse().unwrap(),
            device: "east".parse().unwrap(),
        },
        key: SecretKey::from_bytes([1; 32]),
    };
    let publication = Publication {
        seq: entry.seq,
        attempt: 1,
        late: Some(late),
        now,
        late_after: Duration::from_secs(10),
    };
    let (topic, payload) = envelope(&topics, &signer, &stored, publication).unwrap();
    (topic, serde_json::from_slice(&payload).unwrap())
}

#[test]
fn a_passage_is_an_event_of_a_type_that_was_told() {
    let (_, told) = told(&identity("garden", "east", &["in"], &["boom"]));
    let types = told["components"]["lane_in_passage"]["event_types"].clone();
    let cases = [
        (Some(Decision::Admit), Some("苏E12345"), "admit"),
        (Some(Decision::Refuse), Some("苏E12345"), "refuse"),
        (Some(Decision::AskGuard), None, "ask-guard"),
        (None, None, "undecided"),
    ];
    for (decision, plate, kind) in cases {
        let (topic, message) = passage(decision, plate, false);
        let shown = shown("lane_in_passage", &topic, &message);
        let event: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(event["event_type"], kind);
        assert!(types.as_array().unwrap().contains(&kind.into()));
        assert_eq!(event["plate"], plate.unwrap_or_default());
        assert_eq!(event["outcome"], "passed");
    }
    let (topic, message) = passage(Some(Decision::Admit), Some("苏E12345"), true);
    assert_eq!(shown("lane_in_passage", &topic, &message), "", "a late one");
}

#[test]
fn states_and_alarms_are_read() {
    let boom = |state: &str| {
        let message = json!({ "barrier": "boom", "state": state });
        shown("barrier_boom", "menshen/garden/east/barrier/boom", &message)
    };
    for known in ["open", "opening", "closed", "closing"] {
        assert_eq!(boom(known), known);
    }
    for unknown in ["ready", "unknown", "fault", "stopped"] {
        assert_eq!(boom(unknown), "None");
    }
    let problem = |state: &str| {
        let message = json!({ "barrier": "boom", "state": state });
        shown(
            "barrier_boom_problem",
            "menshen/garden/east/barrier/boom",
            &message,
        )
    };
    let states = ["fault", "unavailable", "ready", "open"].map(problem);
    assert_eq!(states, ["ON", "ON", "OFF", "OFF"]);
    let camera = |state: &str| {
        let message = json!({ "lane": "in", "state": state, "detail": "" });
        shown(
            "lane_in_camera",
            "menshen/garden/east/lane/in/camera",
            &message,
        )
    };
    let states = ["online", "offline", "frozen"].map(camera);
    assert_eq!(states, ["ON", "OFF", "OFF"]);
    let alarm = json!({ "code": "fault", "message": "it says \"stop\"" });
    let alarm = shown("alarm", "menshen/garden/east/alarm", &alarm);
    let alarm: Value = serde_json::from_str(&alarm).unwrap();
    assert_eq!(alarm["event_type"], "alarm");
    assert_eq!(alarm["message"], "it says \"stop\"");
}

#[test]
fn every_figure_is_in_the_health_report() {
    let mut latencies = Latencies::new();
    latencies.record(Stage::Relay, Duration::from_millis(40));
    let lane: Name = "in".parse().unwrap();
    let mut report = HealthReport {
        version: "0.1.0".to_owned(),
        clock_trusted: true,
        cpu_temperature_c: Some(50.5),
        memory_bytes: 130,
        store_bytes: 17,
        outbox_depth: 2,
        pictures_dropped: 3,
        frames_per_second: BTreeMap::from([(lane, 9.5)]),
        latency: latencies.take(),
        ..HealthReport::default()
    };
    let topic = "menshen/garden/east/health";
    let figure = |report: &HealthReport, part: &str| shown(part, topic, &report.to_json().unwrap());
    let expected = [
        ("temperature", "50.5"),
        ("memory", "130"),
        ("store", "17"),
        ("outbox", "2"),
        ("pictures_dropped", "3"),
        ("lane_in_frames", "9.5"),
        ("clock", "OFF"),
    ];
    for (part, value) in expected {
        assert_eq!(figure(&report, part), value, "{part}");
    }
    let relay: f64 = figure(&report, "frame_to_relay").parse().unwrap();
    assert!((39.0..42.0).contains(&relay), "{relay}");

    report.latency.clear();
    report.frames_per_second.clear();
    report.cpu_temperature_c = None;
    report.clock_trusted = false;
    for part in ["frame_to_relay", "lane_in_frames", "temperature"] {
        assert_eq!(figure(&report, part), "None", "{part} is unknown");
    }
    assert_eq!(figure(&report, "clock"), "ON");
}

/// All values of an object, however deep, with their keys.
fn walk<'a>(value: &'a Value, seen: &mut dyn FnMut(&'a str, &'a Value)) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            seen(key, value);
            walk(value, seen);
        }),
        Value::Array(items) => items.iter().for_each(|item| walk(item, seen)),
        _ => {}
    }
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-z0-9][a-z0-9-]{0,31}", 1..4)
        .prop_map(|names| names.into_iter().collect())
}

proptest! {
    #[test]
    fn nothing_can_be_pressed_and_every_entity_is_its_own(
        own in names(), lanes in names(), barriers in names(),
    ) {
        let (site, device) = (&own[0], own.last().unwrap());
        let refer = |names: &[String]| names.iter().map(String::clone).collect::<Vec<_>>();
        let (lanes, barriers) = (refer(&lanes), refer(&barriers));
        let identity = identity(
            site,
            device,
            &lanes.iter().map(String::as_str).collect::<Vec<_>>(),
            &barriers.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let (topic, told) = told(&identity);
        let fits = |id: &str| {
            !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        prop_assert!(topic.split('/').all(fits), "{}", topic);
        let root = format!("menshen/{site}/{device}/");
        let mut ids = Vec::new();
        let mut wrong = Vec::new();
        walk(&told, &mut |key, value| {
            if key.contains("command") || key.contains("payload_open") {
                wrong.push(format!("{key} can be pressed"));
            }
            let text = value.as_str().unwrap_or_default();
            if key.ends_with("_topic") && !text.starts_with(&root) {
                wrong.push(format!("{key} leads to {text}"));
            }
            if key == "unique_id" {
                ids.push(text);
                if !fits(text) {
                    wrong.push(format!("{text} is no id"));
                }
            }
        });
        prop_assert!(wrong.is_empty(), "{:?}", wrong);
        let entities = told["components"].as_object().unwrap().len();
        prop_assert_eq!(ids.len(), entities);
        prop_assert_eq!(entities, 3 * barriers.len() + 4 * lanes.len() + 8);
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), entities);
    }

    #[test]
    fn topics_are_where_the_gate_speaks(lane in "[a-z][a-z0-9-]{0,31}") {
        let identity = identity("garden", "east", &[&lane], &["boom"]);
        let topics = Topics::new(&identity.site, &identity.device);
        let name: Name = lane.parse().unwrap();
        let (_, told) = told(&identity);
        let part = |part: &str| told["components"][format!("lane_{lane}_{part}")].clone();
        prop_assert_eq!(&part("picture")["image_topic"], &Value::from(topics.picture(&name)));
        let camera = topics.state(&State::Camera { lane: name });
        prop_assert_eq!(&part("camera")["state_topic"], &Value::from(camera));
    }
}
