//! A topic and bytes to an entry or a head of an enrolled gate; or why not.

use std::collections::BTreeMap;

use domain::chain::{Frame, Link};
use domain::command::{DeviceName, EntryMark, Head};
use domain::event::Digest;
use domain::signing::{PublicKey, Purpose, Signature, Signed};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest message that is looked at: the largest entry that a gate sends whole is 192 KiB.
pub const LARGEST: usize = 256 * 1024;

/// The greatest number that is taken: a journal never comes near it, and databases count with
/// signed integers.
const GREATEST: u64 = i64::MAX as u64;

/// The gates that are enrolled, each with its keys: more than one while a key is changed.
#[derive(Debug, Clone, Default)]
pub struct Enrolment {
    devices: BTreeMap<DeviceName, Vec<PublicKey>>,
}

impl Enrolment {
    /// Enrols a key of a gate.
    pub fn enrol(&mut self, device: DeviceName, key: PublicKey) {
        self.devices.entry(device).or_default().push(key);
    }

    /// The gates.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceName> {
        self.devices.keys()
    }

    /// Whether this is a key of this gate.
    pub fn knows(&self, device: &DeviceName, key: &PublicKey) -> bool {
        self.devices
            .get(device)
            .is_some_and(|keys| keys.contains(key))
    }
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub device: DeviceName,
    /// Its place in the chain.
    pub link: Link,
    /// Its id: a UUIDv7, but for entries whose bytes were withheld.
    pub id: String,
    /// When, by the gate's clock.
    pub time: Timestamp,
    /// The event's type.
    pub kind: String,
    /// The lane, if it is about one.
    pub lane: Option<String>,
    /// Whether it came late, by what the envelope says: a stranger may have changed this.
    pub late: bool,
    /// The bytes that were hashed; none if the gate could not send them whole.
    pub data: Option<Vec<u8>>,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An entry.
    Entry(Box<Entry>),
    /// How far a gate's journal goes.
    Head(Head),
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    /// The broker kept it: entries are never retained.
    Retained,
    /// It is too large.
    TooLarge,
    /// It is not what belongs on its topic.
    Unreadable,
    /// The gate is not enrolled here.
    UnknownDevice,
    /// It carries no signature, or one of a key that is not this gate's.
    Unsigned,
    /// Its signature does not fit.
    Forged,
}

impl Unusable {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Retained => "an entry was retained by the broker; entries never are",
            Self::TooLarge => "a message is too large to be an entry",
            Self::Unreadable => {
                "a message is not what belongs on its topic; see docs/asyncapi.yaml"
            }
            Self::UnknownDevice => {
                "the gate is not enrolled here: add a [[device]] with the key that `menshen keys show` prints on it"
            }
            Self::Unsigned => {
                "a message is not signed with a key that is enrolled for this gate; enrol the key that `menshen keys show` prints on it"
            }
            Self::Forged => {
                "the signature of a message does not fit: somebody forges messages on the broker"
            }
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    time: Timestamp,
    seq: u64,
    hash: Digest,
    late: bool,
    #[serde(default)]
    key: Option<PublicKey>,
    #[serde(default)]
    sig: Option<Signature>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The gate and the rest of a topic below `menshen/`.
pub fn address(topic: &str) -> Option<(DeviceName, &str)> {
    let mut parts = topic.strip_prefix("menshen/")?.splitn(3, '/');
    let device = DeviceName {
        site: parts.next()?.parse().ok()?,
        device: parts.next()?.parse().ok()?,
    };
    Some((device, parts.next()?))
}

/// Reads a message. With the reason goes the gate that its topic names, if it names one; a
/// stranger can put any name there.
///
/// # Errors
/// [`Unusable`] says why it is not taken.
pub fn read(
    enrolment: &Enrolment,
    topic: &str,
    payload: &[u8],
    retained: bool,
) -> Result<Heard, (Option<DeviceName>, Unusable)> {
    let Some((device, rest)) = address(topic) else {
        return Err((None, Unusable::Unreadable));
    };
    let no = |why| (Some(device.clone()), why);
    if retained {
        return Err(no(Unusable::Retained));
    }
    if payload.len() > LARGEST {
        return Err(no(Unusable::TooLarge));
    }
    if !enrolment.devices.contains_key(&device) {
        return Err((None, Unusable::UnknownDevice));
    }
    if rest == "head" {
        return read_head(enrolment, &device, payload).map_err(no);
    }
    read_entry(enrolment, &device, payload).map_err(no)
}

fn read_head(
    enrolment: &Enrolment,
    device: &DeviceName,
    payload: &[u8],
) -> Result<Heard, Unusable> {
    let signed: Signed = serde_json::from_slice(payload).map_err(|_| Unusable::Unreadable)?;
    if !enrolment.knows(device, &signed.key) {
        return Err(Unusable::Unsigned);
    }
    if !signed.is_genuine(Purpose::Head) {
        return Err(Unusable::Forged);
    }
    let head: Head = serde_json::from_str(signed.body.get()).map_err(|_| Unusable::Unreadable)?;
    if head.device != *device || head.seq > GREATEST || head.beat > GREATEST {
        return Err(Unusable::Unreadable);
    }
    Ok(Heard::Head(head))
}

fn read_entry(
    enrolment: &Enrolment,
    device: &DeviceName,
    payload: &[u8],
) -> Result<Heard, Unusable> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(payload).map_err(|_| Unusable::Unreadable)?;
    let source = envelope.source.strip_prefix("menshen/");
    if envelope.seq > GREATEST
        || envelope.specversion != "1.0"
        || source != Some(&device.to_string())
    {
        return Err(Unusable::Unreadable);
    }
    let (Some(key), Some(sig)) = (envelope.key, envelope.sig) else {
        return Err(Unusable::Unsigned);
    };
    if !enrolment.knows(device, &key) {
        return Err(Unusable::Unsigned);
    }
    let withheld = envelope.kind == "menshen.withheld";
    let mark = EntryMark {
        device,
        seq: envelope.seq,
        hash: envelope.hash,
        withheld,
    };
    if !key.verifies(Purpose::Entry, mark.text().as_bytes(), &sig) {
        return Err(Unusable::Forged);
    }
    if withheld {
        return Ok(Heard::Entry(Box::new(Entry {
            device: device.clone(),
            link: Link {
                seq: envelope.seq,
                hash: envelope.hash,
                prev: None,
                gap: None,
            },
            id: envelope.id,
            time: envelope.time,
            kind: "withheld".to_owned(),
            lane: None,
            late: envelope.late,
            data: None,
        })));
    }
    // The signature is over number, hash and withholding; everything else is taken from the bytes that have
    // this hash, not from the envelope, which a stranger may have changed.
    let data = envelope.data.get().as_bytes();
    if Digest::of(data) != envelope.hash {
        return Err(Unusable::Forged);
    }
    let frame = Frame::read(data).map_err(|_| Unusable::Unreadable)?;
    if frame.link.seq != envelope.seq {
        return Err(Unusable::Forged);
    }
    Ok(Heard::Entry(Box::new(Entry {
        device: device.clone(),
        link: frame.link,
        id: frame.id.to_string(),
        time: frame.time,
        kind: frame.kind,
        lane: frame.lane,
        late: envelope.late,
        data: Some(data.to_vec()),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_a_gate() {
        let found = address("menshen/garden/east/lane/in/passage");
        assert!(
            matches!(found, Some((device, "lane/in/passage")) if device.to_string() == "garden/east")
        );
        for bad in [
            "",
            "menshen",
            "menshen/a/b",
            "menshen/a//event",
            "x/a/b/event",
            "menshen/A/b/event",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
