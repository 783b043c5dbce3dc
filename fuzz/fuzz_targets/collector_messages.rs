//! Whatever a broker may bring to the collector: any bytes on any topic, and any entry or head
//! behind the sound signature of an enrolled gate.
#![no_main]

use collector::memory::MemoryStore;
use collector::message::Enrolment;
use collector::{Clerk, Letter};
use domain::command::{Acknowledgement, DeviceName, EntryMark};
use domain::event::Digest;
use domain::signing::{Purpose, SecretKey, Signed};
use domain::time::Monotonic;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use menshen_fuzz::messages;
use serde_json::value::RawValue;

const TOPICS: [&str; 6] = [
    "menshen/garden/east/event",
    "menshen/garden/east/lane/in/passage",
    "menshen/garden/east/head",
    "menshen/garden/west/event",
    "menshen/garden/east/",
    "menshen//event",
];

/// A genuine envelope around any data.
fn envelope(key: &SecretKey, device: &DeviceName, seq: u64, data: &str, withheld: bool) -> Vec<u8> {
    let hash = Digest::of(data.as_bytes());
    let mark = EntryMark {
        device,
        seq,
        hash,
        withheld,
    };
    let sig = key.sign(Purpose::Entry, mark.text().as_bytes());
    let kind = if withheld { "withheld" } else { "started" };
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":\"menshen/{device}\",\"type\":\"menshen.{kind}\",\"time\":\"2026-11-27T08:00:00Z\",\"seq\":{seq},\"hash\":\"{hash}\",\"late\":false,\"key\":\"{}\",\"sig\":{},\"data\":{data}}}",
        key.public(),
        serde_json::to_string(&sig).expect("a signature is JSON")
    )
    .into_bytes()
}

fuzz_target!(|data: &[u8]| {
    let (gate, server) = (SecretKey::from_bytes([4; 32]), SecretKey::from_bytes([5; 32]));
    let device: DeviceName = "garden/east".parse().expect("a name");
    let mut enrolment = Enrolment::default();
    enrolment.enrol(device.clone(), gate.public());
    let mut clerk = Clerk::new(enrolment, server, Monotonic::default());
    let mut store = MemoryStore::default();
    let (mut sound, mut letters) = (0, Vec::new());
    for (head, payload) in messages(data) {
        let topic = TOPICS[usize::from(head[0]) % TOPICS.len()];
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let body = RawValue::from_string(text.to_owned()).ok();
        let payload = match (head[1] % 4, body) {
            (1, Some(body)) => {
                sound += 1;
                envelope(&gate, &device, u64::from(head[2] % 8), body.get(), head[1] & 64 != 0)
            }
            (2, Some(body)) => Signed::new(&gate, Purpose::Head, &body)
                .and_then(|signed| serde_json::to_vec(&signed))
                .unwrap_or_default(),
            _ => payload.to_vec(),
        };
        letters.push(Letter {
            topic: topic.to_owned(),
            payload,
            retained: head[1] & 128 != 0,
        });
    }
    for (turn, batch) in letters.chunks(3).enumerate() {
        let now = Monotonic::default() + std::time::Duration::from_secs(turn as u64);
        let wall = Timestamp::UNIX_EPOCH;
        let done = clerk.take(&mut store, batch, now, wall).expect("memory does not fail");
        for (topic, payload) in done.acknowledgements {
            assert_eq!(topic, "menshen/garden/east/ack");
            let signed: Signed = serde_json::from_slice(&payload).expect("signed");
            assert!(signed.is_genuine(Purpose::Acknowledgement));
            let word: Acknowledgement =
                serde_json::from_str(signed.body.get()).expect("an acknowledgement");
            let stored = store.entries(&device);
            let last = stored.last().map_or(0, |entry| entry.link.seq);
            assert!(word.upto <= last, "what is not there was acknowledged");
        }
    }
    assert!(store.entries(&device).len() <= sound, "an entry that the gate has not signed");
});
