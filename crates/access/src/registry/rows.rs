//! The register's rows in the store: generations, and the one pointer to the one that holds.
//!
//! A single change writes one row of the generation that holds. An import writes a whole new
//! generation beside it, and only the batch that moves the pointer makes it count; a crash
//! before leaves the old register, a crash after the new one, never a mixture.

use std::sync::Arc;

use domain::PlateNumber;
use serde::{Deserialize, Serialize};

use super::{RegistryView, Vehicle};
use crate::store::record::{self, Fault};
use crate::store::{Area, Batch, Store, StoreError};

/// Rows written or read at once.
const CHUNK: usize = 1000;

/// Why the register could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The register's pointer or rows are damaged.
    #[error(
        "the register in the store is damaged ({what}); import it again with `menshen registry import`"
    )]
    Damaged {
        /// What was found.
        what: String,
    },
    /// A row could not be written as JSON.
    #[error(
        "a row cannot be written as JSON: {0}; this is a mistake in the program, please report it"
    )]
    Unwritable(#[from] serde_json::Error),
}

/// Which generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    generation: u32,
    version: u64,
    vehicles: u64,
}

/// A change that stands in a batch and does not count yet.
#[derive(Debug)]
#[must_use = "the change counts once `commit` was called after the write"]
pub struct Change {
    pointer: Pointer,
    view: RegistryView,
}

impl Change {
    /// The register's version with this change.
    pub fn version(&self) -> u64 {
        self.pointer.version
    }

    /// Vehicles with this change.
    pub fn vehicles(&self) -> u64 {
        self.pointer.vehicles
    }
}

/// The register in the store.
pub struct Rows {
    store: Arc<dyn Store>,
    pointer: Pointer,
    view: RegistryView,
    stored: bool,
}

fn pointer_key() -> Vec<u8> {
    Area::RegistryPointer.key(b"")
}

fn row_key(generation: u32, plate: &str) -> Vec<u8> {
    let mut key = Area::Vehicles.key(&generation.to_be_bytes());
    key.extend_from_slice(plate.as_bytes());
    key
}

fn row_record(key: &[u8], vehicle: &Vehicle) -> Result<Vec<u8>, RowsError> {
    Ok(record::seal(key, &serde_json::to_vec(vehicle)?))
}

fn opened<'a>(key: &[u8], stored: &'a [u8]) -> Result<Option<&'a [u8]>, StoreError> {
    match record::open(key, stored) {
        Ok(payload) => Ok(Some(payload)),
        Err(Fault::Damaged) => Ok(None),
        Err(Fault::Newer(found)) => Err(StoreError::Newer {
            found,
            known: record::LAYOUT,
        }),
    }
}

impl Rows {
    /// Reads the register. An empty store holds an empty one, of version `fresh`.
    ///
    /// # Errors
    /// [`RowsError::Damaged`] if rows are missing or damaged; [`Self::empty`] then gives a
    /// register that an import can fill.
    pub fn open(store: Arc<dyn Store>, fresh: u64) -> Result<Self, RowsError> {
        let Some(stored) = store.get(&pointer_key())? else {
            return Ok(Self::empty(store, fresh));
        };
        let damaged = |what: String| RowsError::Damaged { what };
        let pointer: Pointer = opened(&pointer_key(), &stored)?
            .and_then(|payload| serde_json::from_slice(payload).ok())
            .ok_or_else(|| damaged("its pointer has a wrong checksum".into()))?;
        let mut vehicles = Vec::new();
        let mut bad = 0_u64;
        let end = row_key(pointer.generation + 1, "");
        let mut from = row_key(pointer.generation, "");
        loop {
            let pairs = store.range(&from, &end, CHUNK)?;
            for (key, stored) in &pairs {
                match opened(key, stored)?.map(serde_json::from_slice) {
                    Some(Ok(vehicle)) => vehicles.push(vehicle),
                    _ => bad += 1,
                }
            }
            match pairs.last() {
                Some((key, _)) if pairs.len() == CHUNK => {
                    from.clone_from(key);
                    from.push(0);
                }
                _ => break,
            }
        }
        if bad > 0 || vehicles.len() as u64 != pointer.vehicles {
            return Err(damaged(format!(
                "{} of {} rows can be read",
                vehicles.len(),
                pointer.vehicles
            )));
        }
        let rows = Self {
            store,
            pointer,
            view: RegistryView::new(pointer.version, vehicles),
            stored: true,
        };
        rows.sweep()?;
        Ok(rows)
    }

    /// A register without rows, whatever the store holds; the first import replaces that.
    pub fn empty(store: Arc<dyn Store>, version: u64) -> Self {
        // A generation that no earlier import can have used, if the pointer is lost.
        let generation = store
            .last(&row_key(0, ""), &row_key(u32::MAX, ""))
            .ok()
            .flatten()
            .and_then(|(key, _)| key.get(1..5)?.try_into().ok().map(u32::from_be_bytes))
            .map_or(0, |last| last + 1);
        Self {
            store,
            pointer: Pointer {
                generation,
                version,
                vehicles: 0,
            },
            view: RegistryView::new(version, Vec::new()),
            stored: false,
        }
    }

    /// The register as it stands.
    pub fn view(&self) -> &RegistryView {
        &self.view
    }

    /// Whether the store has ever held this register; a new, empty one it has not.
    pub fn is_stored(&self) -> bool {
        self.stored
    }

    /// Puts one vehicle's row into a batch.
    ///
    /// # Errors
    /// If the row cannot be written as JSON.
    pub fn add(&self, vehicle: Vehicle, batch: &mut Batch) -> Result<Change, RowsError> {
        let mut vehicles = self.view.vehicles().to_vec();
        let key = row_key(self.pointer.generation, vehicle.plate.as_str());
        let stored = row_record(&key, &vehicle)?;
        batch.put(key, stored);
        vehicles.push(vehicle);
        self.change(self.pointer.generation, vehicles, batch)
    }

    /// Takes one vehicle's row away; `None` if there is no such row.
    ///
    /// # Errors
    /// If the pointer cannot be written as JSON.
    pub fn remove(
        &self,
        plate: &PlateNumber,
        batch: &mut Batch,
    ) -> Result<Option<Change>, RowsError> {
        if !self.view.contains(plate) {
            return Ok(None);
        }
        let mut vehicles = self.view.vehicles().to_vec();
        vehicles.retain(|v| v.plate != *plate);
        batch.remove(row_key(self.pointer.generation, plate.as_str()));
        self.change(self.pointer.generation, vehicles, batch)
            .map(Some)
    }

    /// Writes a new generation of rows, and puts the move of the pointer into a batch. The
    /// rows are synced first, so that the pointer never leads to rows that are not there.
    ///
    /// # Errors
    /// If the store fails; then the old generation still holds.
    pub fn import(&self, vehicles: Vec<Vehicle>, batch: &mut Batch) -> Result<Change, RowsError> {
        let generation = self.pointer.generation + 1;
        // What an import that failed half-way left there must not mix with this one.
        self.clear(&row_key(generation, ""), &row_key(u32::MAX, ""))?;
        let view = RegistryView::new(0, vehicles);
        for chunk in view.vehicles().chunks(CHUNK) {
            let mut rows = Batch::default();
            for vehicle in chunk {
                let key = row_key(generation, vehicle.plate.as_str());
                let stored = row_record(&key, vehicle)?;
                rows.put(key, stored);
            }
            self.store.write(&rows)?;
        }
        self.store.sync()?;
        self.change(generation, view.vehicles().to_vec(), batch)
    }

    fn change(
        &self,
        generation: u32,
        vehicles: Vec<Vehicle>,
        batch: &mut Batch,
    ) -> Result<Change, RowsError> {
        let version = self.pointer.version + 1;
        let view = RegistryView::new(version, vehicles);
        let pointer = Pointer {
            generation,
            version,
            vehicles: view.len() as u64,
        };
        let key = pointer_key();
        let stored = record::seal(&key, &serde_json::to_vec(&pointer)?);
        batch.put(key, stored);
        Ok(Change { pointer, view })
    }

    /// Takes the change into the register, after the store took its batch.
    pub fn commit(&mut self, change: Change) {
        self.pointer = change.pointer;
        self.view = change.view;
        self.stored = true;
    }

    /// Removes rows of generations that do not hold.
    ///
    /// # Errors
    /// If the store fails; the next start sweeps again.
    pub fn sweep(&self) -> Result<(), RowsError> {
        let held = self.pointer.generation;
        self.clear(&row_key(0, ""), &row_key(held, ""))?;
        self.clear(&row_key(held + 1, ""), &row_key(u32::MAX, ""))
    }

    fn clear(&self, from: &[u8], to: &[u8]) -> Result<(), RowsError> {
        loop {
            let pairs = self.store.range(from, to, CHUNK)?;
            if pairs.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for (key, _) in pairs {
                batch.remove(key);
            }
            self.store.write(&batch)?;
        }
    }
}
