//! How an entry of the journal looks on the wire: a CloudEvents 1.0 JSON object.
//!
//! The entry's stored bytes stand in `data` exactly as they were hashed, so a receiver can
//! check `hash` over the text of `data` and verify the chain. What delivery adds stands beside
//! it, in extension attributes: also the device's signature over its name, the number and the
//! hash, without which a server takes nothing.

use std::time::Duration;

use domain::command::{DeviceName, EntryMark};
use domain::event::{Digest, Entry};
use domain::signing::{PublicKey, Purpose, SecretKey, Signature};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::topics::Topics;

/// The largest entry that is sent whole. The journal's entries stay far below it (a verdict
/// with its evidence takes about 5 KiB); the limit keeps one monster from blocking all that
/// follow it.
pub const MAX_ENTRY: usize = 192 * 1024;

/// What delivery knows of one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The entry's sequence number.
    pub seq: u64,
    /// How often it has been published, from 1.
    pub attempt: u32,
    /// Whether it is late; `None` lets the wall clock tell.
    pub late: Option<bool>,
    /// The wall clock now.
    pub now: Timestamp,
    /// How much later than it happened makes an entry late, if the wall clock tells.
    pub late_after: Duration,
}

/// The attributes, in the order in which they are written.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    datacontenttype: &'static str,
    seq: u64,
    hash: Digest,
    late: bool,
    attempt: u32,
    key: PublicKey,
    sig: Signature,
    data: &'a RawValue,
}

/// Who signs what is sent.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The device.
    pub device: DeviceName,
    /// Its key.
    pub key: SecretKey,
}

impl Signer {
    /// The signature over an entry's number and hash, and over whether its bytes are withheld.
    pub fn mark(&self, seq: u64, hash: Digest, withheld: bool) -> Signature {
        let mark = EntryMark {
            device: &self.device,
            seq,
            hash,
            withheld,
        };
        self.key.sign(Purpose::Entry, mark.text().as_bytes())
    }
}

/// What stands in `data` where an entry cannot be sent as it is.
#[derive(Serialize)]
struct Withheld<'a> {
    /// Bytes in the journal.
    size: usize,
    why: &'a str,
}

/// Topic and payload of an entry.
///
/// Stored bytes that are no entry, or too large a one, must not stop those behind them: in
/// their place goes an event of type `menshen.withheld` with their hash, so that the chain can
/// still be followed, and the reason.
///
/// # Errors
/// If the envelope cannot be written as JSON, which nothing that is built here cannot.
pub fn envelope(
    topics: &Topics,
    signer: &Signer,
    stored: &[u8],
    publication: Publication,
) -> Result<(String, Vec<u8>), serde_json::Error> {
    match open(stored) {
        Ok((entry, data)) => {
            let hash = Digest::of(stored);
            let envelope = Envelope {
                specversion: "1.0",
                id: entry.id.to_string(),
                source: topics.root(),
                kind: format!("menshen.{}", entry.event.kind()),
                time: entry.time,
                subject: entry.event.lane().map(domain::Name::as_str),
                datacontenttype: "application/json",
                seq: publication.seq,
                hash,
                late: publication.late.unwrap_or_else(|| {
                    entry.time.duration_until(publication.now).unsigned_abs()
                        > publication.late_after
                }),
                attempt: publication.attempt,
                key: signer.key.public(),
                sig: signer.mark(publication.seq, hash, false),
                data,
            };
            Ok((topics.entry(&entry.event), serde_json::to_vec(&envelope)?))
        }
        Err(why) => withheld(topics, signer, stored, publication, &why),
    }
}

/// The entry and its text, if it is one that can be sent.
fn open(stored: &[u8]) -> Result<(Entry, &RawValue), String> {
    if stored.len() > MAX_ENTRY {
        return Err(format!(
            "the entry is larger than {MAX_ENTRY} bytes; read it on the device"
        ));
    }
    let entry = serde_json::from_slice(stored)
        .map_err(|error| format!("the journal holds no entry here: {error}"))?;
    let data: &RawValue = serde_json::from_slice(stored)
        .map_err(|error| format!("the journal holds no JSON here: {error}"))?;
    if data.get().len() == stored.len() {
        Ok((entry, data))
    } else {
        Err("the journal's bytes carry white space around the entry".to_owned())
    }
}

fn withheld(
    topics: &Topics,
    signer: &Signer,
    stored: &[u8],
    publication: Publication,
    why: &str,
) -> Result<(String, Vec<u8>), serde_json::Error> {
    let hash = Digest::of(stored);
    let data = serde_json::value::to_raw_value(&Withheld {
        size: stored.len(),
        why,
    })?;
    let envelope = Envelope {
        specversion: "1.0",
        id: format!("{}-{hash}", publication.seq),
        source: topics.root(),
        kind: "menshen.withheld".to_owned(),
        time: publication.now,
        subject: None,
        datacontenttype: "application/json",
        seq: publication.seq,
        hash,
        late: publication.late.unwrap_or(true),
        attempt: publication.attempt,
        key: signer.key.public(),
        sig: signer.mark(publication.seq, hash, true),
        data: &data,
    };
    Ok((topics.event(), serde_json::to_vec(&envelope)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::event::{Chain, Event};
    use proptest::prelude::*;
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[derive(Deserialize)]
    struct Received<'a> {
        specversion: String,
        id: String,
        source: String,
        #[serde(rename = "type")]
        kind: String,
        time: Timestamp,
        subject: Option<String>,
        seq: u64,
        hash: Digest,
        late: bool,
        attempt: u32,
        key: PublicKey,
        sig: Signature,
        #[serde(borrow)]
        data: &'a RawValue,
    }

    fn topics() -> Topics {
        Topics::new(&"garden".parse().unwrap(), &"east".parse().unwrap())
    }

    fn signer() -> Signer {
        Signer {
            device: "garden/east".parse().unwrap(),
            key: SecretKey::from_bytes([5; 32]),
        }
    }

    fn publication(late: Option<bool>, now: i64) -> Publication {
        Publication {
            seq: 1,
            attempt: 2,
            late,
            now: Timestamp::from_second(now).unwrap(),
            late_after: Duration::from_secs(10),
        }
    }

    fn sealed(event: Event) -> Vec<u8> {
        let time = Timestamp::from_second(1_000).unwrap();
        Chain::EMPTY
            .seal(Uuid::from_u128(7), time, true, event)
            .unwrap()
            .1
    }

    fn alarm(message: String) -> Event {
        Event::Alarm {
            code: "test".to_owned(),
            message,
        }
    }

    proptest! {
        /// Whatever text an entry holds, a receiver gets the bytes that were hashed.
        #[test]
        fn stored_bytes_arrive_verbatim(message in "\\PC{0,9000}|[\\x00-\\x7f]{0,50}") {
            let stored = sealed(alarm(message));
            let (topic, payload) = envelope(&topics(), &signer(), &stored, publication(None, 1_001)).unwrap();
            prop_assert_eq!(topic, "menshen/garden/east/event");
            let received: Received<'_> = serde_json::from_slice(&payload).unwrap();
            prop_assert_eq!(received.data.get().as_bytes(), &stored[..]);
            prop_assert_eq!(received.hash, Digest::of(&stored));
            let mut chain = Chain::EMPTY;
            chain.check(received.data.get().as_bytes()).unwrap();
            prop_assert_eq!(received.key, signer().key.public());
            let mark = format!("garden/east 1 {}", received.hash);
            let genuine = received.key.verifies(Purpose::Entry, mark.as_bytes(), &received.sig);
            prop_assert!(genuine);
        }
    }

    #[test]
    fn the_attributes_follow_cloudevents() {
        let lane = "in".parse().unwrap();
        let stored = sealed(Event::Camera {
            lane,
            state: "offline".to_owned(),
            detail: String::new(),
        });
        let (_, payload) =
            envelope(&topics(), &signer(), &stored, publication(Some(false), 0)).unwrap();
        let received: Received<'_> = serde_json::from_slice(&payload).unwrap();
        assert_eq!(received.specversion, "1.0");
        assert_eq!(received.id, Uuid::from_u128(7).to_string());
        assert_eq!(received.source, "menshen/garden/east");
        assert_eq!(received.kind, "menshen.camera");
        assert_eq!(received.time, Timestamp::from_second(1_000).unwrap());
        assert_eq!(received.subject.as_deref(), Some("in"));
        assert_eq!((received.seq, received.attempt), (1, 2));
        assert!(!received.late);
    }

    #[test]
    fn the_wall_clock_tells_lateness_only_where_delivery_does_not_know() {
        let stored = sealed(alarm(String::new()));
        for (late, now, expected) in [
            (None, 1_010, false),
            (None, 1_011, true),
            // The clock was set back: nobody can say that it is in time.
            (None, 100, true),
            (Some(false), 9_000, false),
            (Some(true), 1_000, true),
        ] {
            let (_, payload) =
                envelope(&topics(), &signer(), &stored, publication(late, now)).unwrap();
            let received: Received<'_> = serde_json::from_slice(&payload).unwrap();
            assert_eq!(received.late, expected, "{late:?} at {now}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_withheld_by_name_and_not_dropped() {
        let monster = sealed(alarm("x".repeat(MAX_ENTRY)));
        let mut padded = sealed(alarm(String::new()));
        padded.push(b'\n');
        for stored in [&monster[..], b"\xff\xfe", b"", b"{\"v\":1}", &padded[..]] {
            let (topic, payload) =
                envelope(&topics(), &signer(), stored, publication(None, 0)).unwrap();
            assert_eq!(topic, "menshen/garden/east/event");
            let received: Received<'_> = serde_json::from_slice(&payload).unwrap();
            assert_eq!(received.kind, "menshen.withheld");
            assert_eq!(received.hash, Digest::of(stored));
            assert!(received.data.get().contains("\"why\""));
            let genuine = |text: String| {
                let key = signer().key.public();
                key.verifies(Purpose::Entry, text.as_bytes(), &received.sig)
            };
            assert!(genuine(format!("garden/east 1 {} withheld", received.hash)));
            assert!(!genuine(format!("garden/east 1 {}", received.hash)));
            assert!(payload.len() < 1_000);
        }
    }
}
