//! A batch of messages: what is stored, then what is acknowledged and reported.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::command::{Acknowledgement, DeviceName};
use domain::repeats::Repeats;
use domain::signing::{Purpose, SecretKey, Signed};
use domain::time::Monotonic;
use jiff::Timestamp;

use crate::message::{self, Enrolment, Heard, Unusable};
use crate::standing::{Standing, Took};
use crate::store::{Book, Report, ReportKind, Store, StoreError};
use crate::watch::Watch;

/// The same complaint about messages is made once in this span.
const COMPLAIN_EVERY: Duration = Duration::from_mins(10);

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// What came of a batch, after it is durable.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Topics and payloads to publish, at `QoS` 1 and not retained.
    pub acknowledgements: Vec<(String, Vec<u8>)>,
    /// What people should know.
    pub reports: Vec<Report>,
    /// Entries stored.
    pub stored: u64,
    /// Entries that had been stored already.
    pub repeated: u64,
}

/// What was heard and seen within one transaction; thrown away if that fails.
#[derive(Default)]
struct Sheet {
    standings: BTreeMap<DeviceName, Standing>,
    /// Gates of which something new was heard.
    alive: Vec<DeviceName>,
    /// Gates that are owed an acknowledgement.
    owed: Vec<DeviceName>,
    delivered: Delivered,
}

impl Sheet {
    fn report(&mut self, device: Option<&DeviceName>, kind: ReportKind, message: String) {
        self.delivered.reports.push(Report {
            device: device.cloned(),
            kind,
            message,
        });
    }
}

/// Takes messages in. Time comes in as an argument; the store is the only thing it touches.
pub struct Clerk {
    enrolment: Enrolment,
    key: SecretKey,
    told: Told,
}

/// What people were told of, so that they are not told of it with every message.
#[derive(Debug, Clone)]
struct Told {
    watch: Watch,
    complaints: Repeats<(Option<DeviceName>, Unusable)>,
    /// Gates that are at odds with themselves send the same again and again.
    quarrels: Repeats<(Option<DeviceName>, ReportKind)>,
}

impl Clerk {
    /// A clerk for these gates, who signs with the server's key.
    pub fn new(enrolment: Enrolment, key: SecretKey, now: Monotonic) -> Self {
        let watch = Watch::new(enrolment.devices(), now);
        Self {
            enrolment,
            key,
            told: Told {
                watch,
                complaints: Repeats::new(COMPLAIN_EVERY),
                quarrels: Repeats::new(COMPLAIN_EVERY),
            },
        }
    }

    /// Takes a batch of messages. What it returns may be sent and shown: everything in it is
    /// durable.
    ///
    /// # Errors
    /// If the store fails. Then nothing of the batch is kept or acknowledged, and the gates
    /// send it again.
    pub fn take(
        &mut self,
        store: &mut dyn Store,
        letters: &[Letter],
        now: Monotonic,
        wall: Timestamp,
    ) -> Result<Delivered, StoreError> {
        let before = self.told.clone();
        let mut heard = Vec::new();
        let mut refused = Vec::new();
        for letter in letters {
            match message::read(
                &self.enrolment,
                &letter.topic,
                &letter.payload,
                letter.retained,
            ) {
                Ok(message) => heard.push(message),
                Err((device, why)) => {
                    if let Some(count) = self.told.complaints.note(now, (device.clone(), why)) {
                        refused.push(complaint(device, why, count));
                    }
                }
            }
        }
        for ((device, why), count) in self.told.complaints.due(now) {
            refused.push(complaint(device, why, count));
        }
        refused.extend(self.told.watch.tick(now));
        if heard.is_empty() && refused.is_empty() {
            return Ok(Delivered::default());
        }
        let mut sheet = Sheet::default();
        // In the order of the gates' names, so that no two collectors wait for each other's gates.
        heard.sort_by(|a, b| device_of(a).cmp(device_of(b)));
        let kept = store.batch(&mut |book| {
            // A store may do this more than once.
            sheet = Sheet::default();
            self.told.quarrels = before.quarrels.clone();
            for message in &heard {
                enter(book, &mut sheet, message, wall)?;
            }
            sheet.delivered.reports.retain(|report| {
                let quarrel = matches!(report.kind, ReportKind::Fork | ReportKind::Broken);
                let sort = (report.device.clone(), report.kind);
                !quarrel || self.told.quarrels.note(now, sort).is_some()
            });
            for (device, standing) in &sheet.standings {
                book.note(device, standing.end(), standing.head(), wall)?;
            }
            for report in sheet.delivered.reports.iter().chain(&refused) {
                book.report(report, wall)?;
            }
            Ok(())
        });
        if let Err(error) = kept {
            // What was to be told is not stored: it is told when the batch comes again.
            self.told = before;
            return Err(error);
        }
        let mut delivered = sheet.delivered;
        delivered.reports.append(&mut refused);
        for device in &sheet.alive {
            delivered.reports.extend(self.told.watch.heard(device, now));
        }
        for (device, standing) in &sheet.standings {
            let report = self.told.watch.stands(device, standing, now);
            delivered.reports.extend(report);
        }
        for device in &sheet.owed {
            if let Some(standing) = sheet.standings.get(device) {
                let word = standing.acknowledgement(device);
                delivered.acknowledgements.extend(self.sign(&word));
            }
        }
        Ok(delivered)
    }

    /// Topic and payload of an acknowledgement.
    fn sign(&self, word: &Acknowledgement) -> Option<(String, Vec<u8>)> {
        let signed = Signed::new(&self.key, Purpose::Acknowledgement, word).ok()?;
        let payload = serde_json::to_vec(&signed).ok()?;
        Some((format!("menshen/{}/ack", word.device), payload))
    }
}

fn complaint(device: Option<DeviceName>, why: Unusable, count: u64) -> Report {
    Report {
        device,
        kind: ReportKind::Refused,
        message: format!("{} ({count})", why.words()),
    }
}

fn device_of(message: &Heard) -> &DeviceName {
    match message {
        Heard::Entry(entry) => &entry.device,
        Heard::Head(head) => &head.device,
    }
}

/// Enters one message into the book.
fn enter(
    book: &mut dyn Book,
    sheet: &mut Sheet,
    message: &Heard,
    wall: Timestamp,
) -> Result<(), StoreError> {
    let device = device_of(message);
    let mut standing = match sheet.standings.remove(device) {
        Some(standing) => standing,
        None => book.standing(device)?,
    };
    let owe = |sheet: &mut Sheet| {
        if !sheet.owed.contains(device) {
            sheet.owed.push(device.clone());
        }
    };
    match message {
        Heard::Head(head) => {
            if let Some(conceded) = standing.take_head(head) {
                for (from, to) in conceded {
                    let why = if to <= head.acked {
                        "acknowledged to the gate by somebody else, before it was enrolled here"
                    } else {
                        "dropped by the gate to make room"
                    };
                    book.concede(device, (from, to), why, wall)?;
                    sheet.report(
                        Some(device),
                        ReportKind::Conceded,
                        format!("entries {from} to {to} will not come: they were {why}"),
                    );
                }
                sheet.alive.push(device.clone());
                if head.acked < standing.end().seq {
                    owe(sheet);
                }
            }
        }
        Heard::Entry(entry) => {
            let known = book.hash(device, entry.link.seq)?;
            let seq = entry.link.seq;
            match standing.take(&entry.link, known) {
                Took::New => {
                    book.put(entry, wall)?;
                    sheet.delivered.stored += 1;
                    sheet.alive.push(device.clone());
                    owe(sheet);
                    if let Some((from, to)) = entry.link.gap {
                        sheet.report(
                            Some(device),
                            ReportKind::Gap,
                            format!("the gate declares entries {from} to {to} lost; see entry {seq}"),
                        );
                    }
                }
                Took::Again => {
                    sheet.delivered.repeated += 1;
                    owe(sheet);
                }
                Took::Fork => sheet.report(
                    Some(device),
                    ReportKind::Fork,
                    format!(
                        "the gate has signed two different entries {seq}: its disk was copied or set back, or its key is in other hands; the first one is kept, go and look"
                    ),
                ),
                Took::Broken(why) => {
                    sheet.report(Some(device), ReportKind::Broken, why.to_string());
                }
                Took::TooFar => owe(sheet),
            }
        }
    }
    sheet.standings.insert(device.clone(), standing);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::memory::MemoryStore;

    #[test]
    fn what_could_not_be_stored_is_told_when_it_can() {
        let key = SecretKey::from_bytes([1; 32]);
        let mut clerk = Clerk::new(Enrolment::default(), key, Monotonic::default());
        let mut store = MemoryStore::default();
        store.fails = true;
        let letters = [Letter {
            topic: "menshen/garden/east/event".to_owned(),
            payload: b"{}".to_vec(),
            retained: false,
        }];
        let mut take = |store: &mut MemoryStore| {
            let (now, wall) = (Monotonic::default(), Timestamp::UNIX_EPOCH);
            clerk.take(store, &letters, now, wall)
        };
        take(&mut store).unwrap_err();
        assert_eq!(store.reports().len(), 0);
        store.fails = false;
        assert_eq!(take(&mut store).unwrap().reports.len(), 1);
        assert_eq!(store.reports().len(), 1);
        // And not again with every message.
        assert_eq!(take(&mut store).unwrap().reports.len(), 0);
    }
}
