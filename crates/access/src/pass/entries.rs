//! How often passes were used.
//!
//! An entry of a pass is used when the passage ends that it admitted, or when a person lets its
//! bearer in by hand. The counter is written in one batch with that journal entry, so that a crash
//! leaves both or neither. A passage that a crash or a restart interrupted counts too if it was
//! admitted: nobody saw whether the vehicle went in, and pulling the plug must not make a pass that
//! is good for one entry good for two.

use std::collections::BTreeMap;

use domain::{Decision, Direction, Event, Outcome, PassId, PassNumber};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::record;
use crate::store::{Area, Batch, Store, StoreError, read_area};

/// How often one edition of a pass was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The edition.
    pub edition: u16,
    /// Entries used.
    pub entries: u32,
    /// When the last of them was.
    pub last: Timestamp,
}

/// The counters of all passes that were ever used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries(BTreeMap<PassNumber, Count>);

/// One entry that an event used.
pub(crate) type Used = (PassId, Timestamp);

/// The pass of which an event uses an entry; `at` is when the event was written.
pub(crate) fn used(event: &Event, at: Timestamp) -> Option<Used> {
    match event {
        Event::Passage(record) => {
            let went_in = matches!(record.outcome, Outcome::Passed | Outcome::Interrupted)
                && record.direction == Direction::Entry
                && record.decision == Some(Decision::Admit)
                && !record.shadow;
            Some((record.pass.filter(|_| went_in)?, record.ended))
        }
        Event::PassUsed { pass, .. } => Some((*pass, at)),
        _ => None,
    }
}

fn key(number: PassNumber) -> Vec<u8> {
    Area::PassEntries.key(&number.get().to_be_bytes())
}

/// Puts counters into a batch.
///
/// # Errors
/// If a counter cannot be written as JSON, which none that can be built here is.
pub(crate) fn put(
    counts: &[(PassNumber, Count)],
    batch: &mut Batch,
) -> Result<(), serde_json::Error> {
    for (number, count) in counts {
        let key = key(*number);
        let stored = record::seal(&key, &serde_json::to_vec(count)?);
        batch.put(key, stored);
    }
    Ok(())
}

impl Entries {
    /// Reads the counters; how many were damaged and are left out.
    ///
    /// # Errors
    /// If the store fails.
    pub fn read(store: &dyn Store) -> Result<(Self, usize), StoreError> {
        let number = |key: &[u8]| {
            let bytes = key.try_into().ok()?;
            PassNumber::new(u32::from_be_bytes(bytes)).ok()
        };
        let (counts, damaged) = read_area(store, Area::PassEntries, number)?;
        Ok((Self(counts), damaged))
    }

    /// How often this edition was used.
    pub fn of(&self, pass: PassId) -> u32 {
        self.count(pass).map_or(0, |count| count.entries)
    }

    /// This edition's counter, if it was ever used.
    pub fn count(&self, pass: PassId) -> Option<&Count> {
        let count = self.0.get(&pass.number)?;
        (count.edition == pass.edition).then_some(count)
    }

    /// All counters, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (PassNumber, &Count)> {
        self.0.iter().map(|(number, count)| (*number, count))
    }

    /// The counters that change with these entries, as they are afterwards. An entry of an edition
    /// that is not the latest one used is a late word on an old paper, and counts for nothing.
    pub(crate) fn after(&self, used: &[Used]) -> Vec<(PassNumber, Count)> {
        let mut changed: BTreeMap<PassNumber, Count> = BTreeMap::new();
        for &(PassId { number, edition }, last) in used {
            let held = changed.get(&number).or_else(|| self.0.get(&number));
            let entries = match held {
                Some(count) if count.edition > edition => continue,
                Some(count) if count.edition == edition => count.entries.saturating_add(1),
                _ => 1,
            };
            let next = Count {
                edition,
                entries,
                last,
            };
            changed.insert(number, next);
        }
        changed.into_iter().collect()
    }

    pub(crate) fn apply(&mut self, counts: Vec<(PassNumber, Count)>) {
        self.0.extend(counts);
    }
}
