//! The register as it stood before changes that the journal tells of.
//!
//! The journal keeps of each change what was there before, so changes can be taken back one by one,
//! the latest first, until the register is the one that a verdict was reached against. Two things
//! cannot be taken back: changes of which an older program wrote down too little, and lists and
//! batches of passes so long that the journal names only their beginning. Texts beyond the length
//! that the journal keeps come back shortened; no rule looks at them.

use std::collections::BTreeMap;

use domain::event::{RecordChange, RegistryChange};
use serde_json::{Map, Value};

use super::book::{Book, Record, RecordKey};
use super::change::{NAMED, fields, word};
use super::{RegistryView, Vehicle};

/// Why a change cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PastError {
    /// The journal does not hold what was there before.
    #[error(
        "version {version} of the register came about by {what}, of which the journal does not keep everything that was there before"
    )]
    NotKept {
        /// The version that the change led to.
        version: u64,
        /// What kind of change.
        what: &'static str,
    },
    /// The change does not lead to the register that is there.
    #[error(
        "the register is at version {here}, which the journal's change to version {version} does not lead to; is the journal that of this register?"
    )]
    OtherVersion {
        /// The version at hand.
        here: u64,
        /// The version that the change led to.
        version: u64,
    },
}

/// A register on its way back.
#[derive(Debug, Clone)]
pub struct Past {
    version: u64,
    /// By their kind's word and their key's text, as the journal names them.
    records: BTreeMap<(String, String), Record>,
}

impl Past {
    /// Begins at the register as it stands.
    pub fn new(view: &RegistryView) -> Self {
        let vehicles = view.vehicles().iter().cloned();
        let vehicles = vehicles.map(|v| Record::Vehicle(Box::new(v)));
        let mut past = Self {
            version: view.version(),
            records: BTreeMap::new(),
        };
        for record in vehicles.chain(view.book().records().cloned()) {
            past.put(record);
        }
        past
    }

    /// The version that it is at.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn put(&mut self, record: Record) {
        self.records.insert(name(&record.key()), record);
    }

    /// Takes back the change that led to `version`, which must be the version that it is at.
    ///
    /// # Errors
    /// [`PastError`]; then it is not to be used any more.
    pub fn undo(&mut self, change: &RegistryChange, version: u64) -> Result<(), PastError> {
        if version != self.version {
            let here = self.version;
            return Err(PastError::OtherVersion { here, version });
        }
        let not_kept = |what| PastError::NotKept { version, what };
        let row = |plate: &domain::PlateNumber, before: &Option<Value>, after: &Option<Value>| {
            RecordChange {
                record: word(&RecordKey::Vehicle(plate.clone())).to_owned(),
                key: plate.as_str().to_owned(),
                before: before.clone(),
                after: after.clone(),
            }
        };
        match change {
            RegistryChange::Added {
                plate,
                replaced,
                before,
                after,
            } => {
                let known = before.is_some() == *replaced && (after.is_some() || !replaced);
                let change = row(plate, before, after);
                known.then(|| self.take_back(&change)).flatten()
            }
            RegistryChange::Removed { plate, before } => before
                .is_some()
                .then(|| self.take_back(&row(plate, before, &None)))
                .flatten(),
            RegistryChange::Changed { records } => self.take_all_back(records),
            RegistryChange::Issued {
                passes, records, ..
            } => {
                if *passes != records.len() as u64 {
                    return Err(not_kept("a long batch of passes"));
                }
                self.take_all_back(records)
            }
            RegistryChange::Imported { rows, records, .. } => {
                if rows.is_none() || records.len() >= NAMED {
                    return Err(not_kept("the import of a list with many differing rows"));
                }
                self.take_all_back(records)
            }
            RegistryChange::Synced { rows, records, .. } => {
                if rows.added + rows.changed + rows.removed != records.len() as u64 {
                    return Err(not_kept(
                        "the server's register with many differing records",
                    ));
                }
                self.take_all_back(records)
            }
            RegistryChange::Settled { count, records, .. } => {
                if *count != records.len() as u64 {
                    return Err(not_kept("a person's word on many records"));
                }
                self.take_all_back(records)
            }
        }
        .ok_or_else(|| not_kept("a change that this program cannot take back"))?;
        self.version -= 1;
        Ok(())
    }

    /// The latest first: one record may have been changed twice.
    fn take_all_back(&mut self, changes: &[RecordChange]) -> Option<()> {
        changes.iter().rev().try_for_each(|c| self.take_back(c))
    }

    fn take_back(&mut self, change: &RecordChange) -> Option<()> {
        let name = (change.record.clone(), change.key.clone());
        let there = self.records.remove(&name);
        let mut restored: Map<String, Value> = match (&there, &change.before, &change.after) {
            // It was new.
            (_, None, _) => return Some(()),
            (None, Some(_), Some(_)) => return None,
            (Some(record), Some(_), Some(_)) => fields(record),
            (_, Some(_), None) => Map::new(),
        };
        for (field, _) in change.after.iter().filter_map(Value::as_object).flatten() {
            restored.remove(field);
        }
        for (field, value) in change.before.iter().filter_map(Value::as_object).flatten() {
            restored.insert(field.clone(), value.clone());
        }
        restored.insert("record".to_owned(), Value::String(change.record.clone()));
        let record: Record = serde_json::from_value(Value::Object(restored)).ok()?;
        self.put(record);
        Some(())
    }

    /// The register as it stood.
    pub fn view(self) -> RegistryView {
        let mut vehicles: Vec<Vehicle> = Vec::new();
        let mut others = Vec::new();
        for record in self.records.into_values() {
            match record {
                Record::Vehicle(vehicle) => vehicles.push(*vehicle),
                other => others.push(other),
            }
        }
        RegistryView::with_book(self.version, vehicles, Book::of(others))
    }
}

fn name(key: &RecordKey) -> (String, String) {
    (word(key).to_owned(), key.text())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::Arc;

    use domain::PlateNumber;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::super::Label;
    use super::super::book::{Block, Edit, Household, Rules};
    use super::super::import::{ImportOptions, parse};
    use super::*;
    use crate::Ledger;
    use crate::journal::Stamp;
    use crate::store::MemoryStore;

    fn plate(n: u32) -> PlateNumber {
        PlateNumber::parse(&format!("苏E1234{}", n % 6)).unwrap()
    }

    fn stamp() -> Stamp {
        Stamp {
            id: uuid::Uuid::nil(),
            time: jiff::Timestamp::UNIX_EPOCH,
            clock_trusted: true,
        }
    }

    fn vehicle(n: u32, owner: &str, day: Option<i8>) -> Record {
        let mut vehicle = Vehicle::new(plate(n));
        vehicle.owner = owner.to_owned();
        vehicle.valid_until = day.map(|d| date(2026, 12, d));
        Record::Vehicle(Box::new(vehicle))
    }

    fn any_edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            4 => (0_u32..6, "[a-c]{0,2}", proptest::option::of(1_i8..28))
                .prop_map(|(n, owner, day)| Edit::Put(vehicle(n, &owner, day))),
            2 => (0_u32..6).prop_map(|n| Edit::Remove(RecordKey::Vehicle(plate(n)))),
            1 => (0_u32..6, "[a-c]{1,2}").prop_map(|(n, reason)| Edit::Put(Record::Block(Block {
                plate: plate(n), reason, until: None,
            }))),
            1 => (0_u32..6).prop_map(|n| Edit::Remove(RecordKey::Block(plate(n)))),
            1 => (0_u32..3, "[a-c]{0,2}").prop_map(|(n, contact)| {
                Edit::Put(Record::Household(Household {
                    id: Label::parse(&format!("3-{n}")).unwrap(),
                    contact,
                    phone: String::new(),
                    fee_paid_until: None,
                    restriction: None,
                }))
            }),
            1 => proptest::option::of(0_u32..9).prop_map(|capacity| Edit::Put(Record::Rules(Rules {
                capacity, ..Rules::default()
            }))),
        ]
    }

    fn same(a: &RegistryView, b: &RegistryView) -> bool {
        a.version() == b.version() && a.vehicles() == b.vehicles() && a.book() == b.book()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_version_comes_back(
            edits in prop::collection::vec(prop::collection::vec(any_edit(), 1..4), 1..24)
        ) {
            let store = Arc::new(MemoryStore::new());
            let mut ledger = Ledger::on_store(store, &mut stamp).unwrap().ledger;
            let mut views = vec![ledger.registry().unwrap().clone()];
            let mut changes = Vec::new();
            for edits in edits {
                // What is not allowed changes nothing.
                if let Ok(done) = ledger.transact(&edits, "test", "", stamp()) {
                    views.push(done.view);
                    changes.push(done.change);
                }
            }
            let list = format!("plate,owner\n{},d\n沪A00001,e\n", plate(0));
            let imported = parse(list.as_bytes(), ImportOptions::default()).unwrap();
            let done = ledger.import(imported, "test", stamp()).unwrap();
            views.push(done.view);
            changes.push(done.change);
            let mut past = Past::new(views.last().unwrap());
            for (change, pair) in changes.iter().zip(views.windows(2)).rev() {
                let [before, after] = pair else { unreachable!() };
                prop_assert!(same(&past.clone().view(), after));
                past.undo(change, after.version()).unwrap();
                prop_assert_eq!(past.version(), before.version());
                prop_assert!(same(&past.clone().view(), before), "{:?}", change);
            }
        }
    }

    #[test]
    fn what_the_journal_does_not_keep_is_not_made_up() {
        let view = RegistryView::new(7, vec![Vehicle::new(plate(1))]);
        let undo = |change| Past::new(&view).undo(&change, 7).unwrap_err();
        let old = RegistryChange::Added {
            plate: plate(1),
            replaced: true,
            before: None,
            after: None,
        };
        assert!(matches!(undo(old), PastError::NotKept { version: 7, .. }));
        let removed = RegistryChange::Removed {
            plate: plate(2),
            before: None,
        };
        assert!(undo(removed).to_string().contains("version 7"));
        let long = RegistryChange::Imported {
            vehicles: 1,
            before: 1,
            rows: None,
            records: Vec::new(),
        };
        assert!(undo(long).to_string().contains("import"));
        let fine = RegistryChange::Removed {
            plate: plate(2),
            before: Some(serde_json::json!({"plate": plate(2)})),
        };
        let other = Past::new(&view).undo(&fine, 8).unwrap_err();
        assert_eq!(
            other,
            PastError::OtherVersion {
                here: 7,
                version: 8
            }
        );
        let mut past = Past::new(&view);
        past.undo(&fine, 7).unwrap();
        assert!(past.view().contains(&plate(2)));
    }
}
