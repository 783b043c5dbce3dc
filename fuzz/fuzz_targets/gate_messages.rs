//! Whatever a broker may bring to a gate: any bytes on any topic, and any body behind the sound
//! signature of an enrolled key, over challenges that this gate gave out.
#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use bridge::reception::{Action, LARGEST, Message, Reception};
use domain::command::{Answer, DeviceName, Enrolled, KeyRing, Role};
use domain::signing::{Purpose, SecretKey, Signed};
use domain::time::Monotonic;
use libfuzzer_sys::fuzz_target;
use menshen_fuzz::messages;
use serde_json::value::RawValue;

const TOPICS: [&str; 10] = [
    "ack",
    "request/challenge",
    "registry/page",
    "request/open",
    "request/hold",
    "request/release",
    "request/refuse",
    "request/registry-change",
    "request/registry-sync",
    "request/",
];

/// A body in which this stands is signed over the last challenge that was given out.
const CHALLENGE: &str = "CHALLENGE";

fn device() -> DeviceName {
    "garden/east".parse().expect("a name")
}

fn reception(key: &SecretKey) -> Reception {
    let ring = KeyRing::new(vec![Enrolled {
        name: "all".parse().expect("a name"),
        public: key.public(),
        roles: vec![Role::Guard, Role::Technician, Role::Registrar, Role::Server],
        lanes: Vec::new(),
        revoked: false,
    }])
    .expect("one key");
    let lanes = vec!["in".parse().expect("a name"), "out".parse().expect("a name")];
    Reception::new(device(), lanes, ring, [9; 32])
}

/// A body behind a sound signature, if it is JSON at all.
fn signed(key: &SecretKey, purpose: Purpose, body: &[u8], challenge: &str) -> Option<Vec<u8>> {
    let body = std::str::from_utf8(body).ok()?.replace(CHALLENGE, challenge);
    let body = RawValue::from_string(body).ok()?;
    let signed = Signed::new(key, purpose, &body).ok()?;
    serde_json::to_vec(&signed).ok()
}

fuzz_target!(|data: &[u8]| {
    let key = SecretKey::from_bytes([3; 32]);
    let mut reception = reception(&key);
    let mut now = Monotonic::default();
    let mut challenge = String::new();
    let (mut acted, mut given) = (HashSet::new(), 0_usize);
    for (head, payload) in messages(data) {
        now = now + Duration::from_millis(u64::from(head[2]) * 40);
        let topic = TOPICS[usize::from(head[0]) % TOPICS.len()];
        let purpose = if topic == "ack" {
            Purpose::Acknowledgement
        } else {
            Purpose::Command
        };
        let wrapped = (head[1] & 1 == 1)
            .then(|| signed(&key, purpose, payload, &challenge))
            .flatten();
        let sound = wrapped.is_some();
        let payload = wrapped.as_deref().unwrap_or(payload);
        let message = Message {
            topic,
            payload,
            retained: head[1] & 2 == 2,
        };
        // The same again: whatever acted must not act a second time.
        for _ in 0..=(head[1] >> 2) % 3 {
            for action in reception.take(now, message) {
                match action {
                    Action::CarryOut(accepted) => {
                        assert!(sound && !message.retained && payload.len() <= LARGEST);
                        assert!(topic.ends_with(accepted.command.kind().word()));
                        assert!(acted.insert(accepted.cause), "an order acted twice");
                        assert!(acted.len() <= given, "more orders than challenges");
                    }
                    Action::Confirm { .. } => assert!(sound && topic == "ack"),
                    Action::Respond { response, .. } => {
                        assert_eq!(response.device, device());
                        if let Answer::Challenge { challenge: new, .. } = response.answer {
                            given += 1;
                            challenge = new.to_string();
                        }
                        serde_json::to_vec(&response).expect("an answer is JSON");
                    }
                    Action::Page(_) | Action::Record(_) => {}
                }
            }
        }
        reception.tick(now);
    }
});
