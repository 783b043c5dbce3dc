//! The register in the store: generations of vehicles' rows, the one pointer to the generation
//! that holds, and the records of other kinds.
//!
//! A transaction writes the rows and records that it changes, with the pointer, in one batch. An
//! import writes a whole new generation of rows beside the old one, and only the batch that moves
//! the pointer makes it count; a crash before leaves the old register, a crash after the new one,
//! never a mixture.
//!
//! The pointer carries the schema. Schema 1 had vehicles alone; it is read as it is, and becomes
//! schema 4 with the next change, as do schema 2, which had no passes, and schema 3, which was
//! taken over from no server.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::PassNumber;
use domain::event::{Digest, RecordChange, RegistryChange};
use domain::sync::{Edition, Manifest, Page};
use serde::{Deserialize, Serialize};

use super::book::{Book, Edit, EditError, Household, MOST_EDITS, Record, RecordKey};
use super::change::{Difference, note};
use super::sync::{self, Departure, Departures, Merged, RollError, Side, Standing};
use super::{RegistryView, Vehicle};
use crate::pass::Pass;
use crate::store::record::{self, Fault};
use crate::store::{Area, Batch, Store, StoreError, each_record, read_area};

/// Rows written or read at once.
const CHUNK: usize = 1000;

/// The layout of the register that this program writes and the newest it reads.
pub const SCHEMA: u32 = 4;

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
    /// A newer program wrote the register.
    #[error(
        "the register has schema {found}, this program knows up to {SCHEMA}; install the newer version again, or restore a backup made by this one"
    )]
    Newer {
        /// Its schema.
        found: u32,
    },
    /// The change is not allowed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The server's register cannot be taken over.
    #[error(transparent)]
    Roll(#[from] RollError),
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
    /// Records of other kinds.
    #[serde(default)]
    records: u64,
    #[serde(default = "first_schema")]
    schema: u32,
    /// What was last taken over from a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    synced: Option<Edition>,
    /// Records that are otherwise here than in that.
    #[serde(default)]
    departures: u64,
}

const fn first_schema() -> u32 {
    1
}

/// A change that stands in a batch and does not count yet.
#[derive(Debug)]
#[must_use = "the change counts once `commit` was called after the write"]
pub struct Change {
    pointer: Pointer,
    view: RegistryView,
    departures: Departures,
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
    /// Records that are otherwise here than in the register that was taken over.
    departures: Departures,
    stored: bool,
}

/// A server's register as it will stand here, before it is written.
#[derive(Debug)]
pub struct Takeover {
    merged: Merged,
    edition: Edition,
    /// How the register in force will differ from the one that is.
    pub difference: Difference,
    /// Vehicles that it takes out.
    pub removed: u64,
}

impl Takeover {
    /// Records that will wait for a person.
    pub fn contested(&self) -> u64 {
        contested(&self.merged.departures)
    }
}

fn contested(departures: &Departures) -> u64 {
    let contested = departures.values().filter(|d| d.standing.is_contested());
    contested.count() as u64
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

fn record_key(key: &RecordKey) -> Vec<u8> {
    let mut rest = vec![key.letter()];
    rest.extend_from_slice(key.text().as_bytes());
    Area::Records.key(&rest)
}

fn departure_key(key: &RecordKey) -> Vec<u8> {
    let mut rest = vec![key.letter()];
    rest.extend_from_slice(key.text().as_bytes());
    Area::Departures.key(&rest)
}

fn records_from() -> Vec<u8> {
    Area::Records.key(b"")
}

fn records_to() -> Vec<u8> {
    vec![Area::Records.letter() + 1]
}

/// Puts a record in its place; says what was there. Vehicles are in order of their plates.
fn put(vehicles: &mut Vec<Vehicle>, book: &mut Book, record: &Record) -> Option<Record> {
    let Record::Vehicle(vehicle) = record else {
        return book.apply(&Edit::Put(record.clone()));
    };
    match vehicles.binary_search_by(|v| v.plate.cmp(&vehicle.plate)) {
        Ok(at) => {
            let before = std::mem::replace(&mut vehicles[at], vehicle.as_ref().clone());
            Some(Record::Vehicle(Box::new(before)))
        }
        Err(at) => {
            vehicles.insert(at, vehicle.as_ref().clone());
            None
        }
    }
}

/// Whether a pass would become an earlier edition of itself, whose papers count again.
fn goes_back(before: Option<&Record>, after: &Record) -> bool {
    match (before, after) {
        (Some(Record::Pass(before)), Record::Pass(after)) => after.edition < before.edition,
        _ => false,
    }
}

fn remove(vehicles: &mut Vec<Vehicle>, book: &mut Book, key: &RecordKey) -> Option<Record> {
    let RecordKey::Vehicle(plate) = key else {
        return book.apply(&Edit::Remove(key.clone()));
    };
    let at = vehicles.binary_search_by(|v| v.plate.cmp(plate)).ok()?;
    Some(Record::Vehicle(Box::new(vehicles.remove(at))))
}

/// All vehicles of the generation that holds, and all other records.
fn read_all(store: &dyn Store, pointer: Pointer) -> Result<(Vec<Vehicle>, Vec<Record>), RowsError> {
    let (vehicles, bad_rows) = read_range::<Vehicle>(
        store,
        row_key(pointer.generation, ""),
        &row_key(pointer.generation + 1, ""),
    )?;
    let (records, bad_records) = read_range::<Record>(store, records_from(), &records_to())?;
    if bad_rows > 0 || vehicles.len() as u64 != pointer.vehicles {
        return Err(RowsError::Damaged {
            what: format!(
                "{} of {} rows can be read",
                vehicles.len(),
                pointer.vehicles
            ),
        });
    }
    if bad_records > 0 || records.len() as u64 != pointer.records {
        return Err(RowsError::Damaged {
            what: format!(
                "{} of {} records of households, spaces and the like can be read",
                records.len(),
                pointer.records
            ),
        });
    }
    Ok((vehicles, records))
}

/// The records of a range, and how many of them are damaged.
fn read_range<T: for<'de> Deserialize<'de>>(
    store: &dyn Store,
    from: Vec<u8>,
    to: &[u8],
) -> Result<(Vec<T>, u64), RowsError> {
    let (mut list, mut bad) = (Vec::new(), 0);
    each_record(store, from, to, |key, stored| {
        match opened(key, stored)?.map(serde_json::from_slice) {
            Some(Ok(one)) => list.push(one),
            _ => bad += 1,
        }
        Ok::<(), RowsError>(())
    })?;
    Ok((list, bad))
}

fn put_pointer(pointer: &Pointer, batch: &mut Batch) -> Result<(), RowsError> {
    let key = pointer_key();
    let stored = record::seal(&key, &serde_json::to_vec(pointer)?);
    batch.put(key, stored);
    Ok(())
}

/// All departures by their keys, and how many are damaged.
fn read_departures(store: &dyn Store) -> Result<(Departures, usize), StoreError> {
    let (found, damaged) =
        read_area::<Vec<u8>, Departure>(store, Area::Departures, |key| Some(key.to_vec()))?;
    let departures = found.into_values().map(|d| (d.key.clone(), d));
    Ok((departures.collect(), damaged))
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
        if pointer.schema > SCHEMA {
            return Err(RowsError::Newer {
                found: pointer.schema,
            });
        }
        let (vehicles, records) = read_all(store.as_ref(), pointer)?;
        let (departures, damaged) = read_departures(store.as_ref())?;
        let mut rows = Self {
            store,
            pointer,
            view: RegistryView::with_book(pointer.version, vehicles, Book::of(records)),
            departures,
            stored: true,
        };
        if rows.departures.len() as u64 != pointer.departures {
            // Without them nobody knows any more what the server's register was: the next one
            // must come whole. Where the pointer knows of none, they are an older register's.
            if pointer.departures > 0 {
                tracing::warn!(
                    damaged,
                    "what was changed here since the last synchronisation cannot be read; the register in force is sound, the server must send all of its own"
                );
                rows.pointer.synced = None;
            }
            rows.departures.clear();
            rows.clear(&Area::Departures.key(b""), &[Area::Departures.letter() + 1])?;
        }
        rows.sweep()?;
        Ok(rows)
    }

    /// A register without vehicles, whatever the store holds; the first import replaces that.
    /// Records of other kinds stay, as far as they can be read.
    pub fn empty(store: Arc<dyn Store>, version: u64) -> Self {
        // A generation that no earlier import can have used, if the pointer is lost.
        let generation = store
            .last(&row_key(0, ""), &row_key(u32::MAX, ""))
            .ok()
            .flatten()
            .and_then(|(key, _)| key.get(1..5)?.try_into().ok().map(u32::from_be_bytes))
            .map_or(0, |last| last + 1);
        let records = read_range::<Record>(store.as_ref(), records_from(), &records_to());
        let book = records.map_or_else(
            |_| Book::default(),
            |(records, _)| Book::of(records).without_dangling(),
        );
        Self {
            store,
            pointer: Pointer {
                generation,
                version,
                vehicles: 0,
                records: book.len() as u64,
                schema: SCHEMA,
                synced: None,
                departures: 0,
            },
            view: RegistryView::with_book(version, Vec::new(), book),
            departures: Departures::new(),
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

    /// Puts changes into a batch, all of them or none; says what becomes of each record.
    ///
    /// # Errors
    /// [`RowsError::Edit`] if a change is not allowed.
    pub fn transact(
        &self,
        edits: &[Edit],
        batch: &mut Batch,
    ) -> Result<(Vec<RecordChange>, Change), RowsError> {
        if edits.len() > MOST_EDITS {
            let found = edits.len();
            return Err(EditError::TooMany { found }.into());
        }
        let mut vehicles = self.view.vehicles().to_vec();
        let mut book = self.view.book().clone();
        let mut departures = self.departures.clone();
        let mut notes = Vec::new();
        for edit in edits {
            let (key, before, after) = match edit {
                Edit::Put(record) => {
                    record.check()?;
                    let key = record.key();
                    let before = put(&mut vehicles, &mut book, record);
                    if goes_back(before.as_ref(), record) {
                        return Err(EditError::Printed { key }.into());
                    }
                    (key, before, Some(record))
                }
                Edit::Remove(key @ RecordKey::Pass(_)) => {
                    let key = key.clone();
                    return Err(EditError::Printed { key }.into());
                }
                Edit::Remove(key) => {
                    let before = remove(&mut vehicles, &mut book, key)
                        .ok_or_else(|| EditError::Absent { key: key.clone() })?;
                    (key.clone(), Some(before), None)
                }
            };
            self.write(&key, after, batch)?;
            self.note_here(&mut departures, &key, before.as_ref(), after);
            notes.push(note(&key, before.as_ref(), after));
        }
        book.check_pointers(vehicles.iter())?;
        let generation = self.pointer.generation;
        let change = self.change(generation, vehicles, book, departures, batch)?;
        Ok((notes, change))
    }

    /// Puts many new passes into a batch, all of them or none. A pass whose number is taken must
    /// be a later edition of it.
    ///
    /// # Errors
    /// [`RowsError::Edit`] with the first pass that is not allowed.
    pub fn issue(
        &self,
        passes: &[Pass],
        batch: &mut Batch,
    ) -> Result<(RegistryChange, Change), RowsError> {
        let mut book = self.view.book().clone();
        let mut issued: BTreeMap<PassNumber, &Pass> = BTreeMap::new();
        for pass in passes {
            let held = book.pass(pass.number).map(|p| p.edition);
            if held.is_some_and(|edition| edition >= pass.edition)
                || issued.insert(pass.number, pass).is_some()
            {
                let key = RecordKey::Pass(pass.number);
                return Err(EditError::Taken { key }.into());
            }
        }
        let mut text = Vec::new();
        let mut difference = Difference::default();
        for pass in issued.into_values() {
            let record = Record::Pass(Box::new(pass.clone()));
            record.check()?;
            let key = record.key();
            self.write(&key, Some(&record), batch)?;
            serde_json::to_writer(&mut text, pass)?;
            text.push(b'\n');
            let before = book.apply(&Edit::Put(record.clone()));
            difference.name(&key, before.as_ref(), Some(&record));
        }
        book.check_pointers(self.view.vehicles().iter())?;
        let vehicles = self.view.vehicles().to_vec();
        let generation = self.pointer.generation;
        let departures = self.departures.clone();
        let change = self.change(generation, vehicles, book, departures, batch)?;
        let issued = RegistryChange::Issued {
            passes: passes.len() as u64,
            digest: Digest::of(&text),
            records: difference.records,
        };
        Ok((issued, change))
    }

    /// Puts one record's row into a batch.
    fn write(
        &self,
        key: &RecordKey,
        record: Option<&Record>,
        batch: &mut Batch,
    ) -> Result<(), RowsError> {
        let stored_key = match key {
            RecordKey::Vehicle(plate) => row_key(self.pointer.generation, plate.as_str()),
            other => record_key(other),
        };
        match record {
            None => batch.remove(stored_key),
            Some(Record::Vehicle(vehicle)) => {
                let stored = row_record(&stored_key, vehicle)?;
                batch.put(stored_key, stored);
            }
            Some(other) => {
                let stored = record::seal(&stored_key, &serde_json::to_vec(other)?);
                batch.put(stored_key, stored);
            }
        }
        Ok(())
    }

    /// Writes a new generation of rows, and puts the move of the pointer into a batch. The
    /// rows are synced first, so that the pointer never leads to rows that are not there.
    ///
    /// # Errors
    /// If the store fails; then the old generation still holds.
    pub fn import(
        &self,
        vehicles: Vec<Vehicle>,
        batch: &mut Batch,
    ) -> Result<(Difference, Change), RowsError> {
        let generation = self.pointer.generation + 1;
        let mut book = self.view.book().clone();
        if !self.stored {
            // What could not be read, or points at what could not, goes.
            for (key, _) in self
                .store
                .range(&records_from(), &records_to(), usize::MAX)?
            {
                if !book.records().any(|r| record_key(&r.key()) == key) {
                    batch.remove(key);
                }
            }
        }
        let mut difference = Difference::default();
        let mut departures = self.departures.clone();
        for household in vehicles.iter().filter_map(Household::named_by) {
            if book.household(&household.id).is_none() {
                // A list that names a household is how most of them become known.
                let household = Record::Household(household);
                let key = household.key();
                self.write(&key, Some(&household), batch)?;
                self.note_here(&mut departures, &key, None, Some(&household));
                difference.name(&key, None, Some(&household));
                book.apply(&Edit::Put(household));
            }
        }
        book.check_pointers(vehicles.iter())?;
        let view = RegistryView::new(0, vehicles);
        difference.compare(self.view.vehicles(), view.vehicles());
        self.note_vehicles(&mut departures, view.vehicles());
        self.write_generation(generation, view.vehicles())?;
        let vehicles = view.vehicles().to_vec();
        let change = self.change(generation, vehicles, book, departures, batch)?;
        Ok((difference, change))
    }

    /// A record was changed here.
    fn note_here(
        &self,
        departures: &mut Departures,
        key: &RecordKey,
        before: Option<&Record>,
        after: Option<&Record>,
    ) {
        let scope = self.pointer.synced.map(|edition| edition.scope);
        sync::note_here(departures, scope, key, before, after);
    }

    /// All vehicles were replaced here.
    fn note_vehicles(&self, departures: &mut Departures, vehicles: &[Vehicle]) {
        if self.pointer.synced.is_none() {
            return;
        }
        let record = |v: &Vehicle| Record::Vehicle(Box::new(v.clone()));
        let listed = |list: &[Vehicle]| -> BTreeMap<RecordKey, Record> {
            list.iter().map(record).map(|r| (r.key(), r)).collect()
        };
        let (before, after) = (listed(self.view.vehicles()), listed(vehicles));
        for key in before.keys().chain(after.keys()) {
            let (before, after) = (before.get(key), after.get(key));
            if before != after {
                self.note_here(departures, key, before, after);
            }
        }
    }

    /// Writes a generation of rows that does not hold yet, durably.
    fn write_generation(&self, generation: u32, vehicles: &[Vehicle]) -> Result<(), RowsError> {
        // What a change that failed half-way left there must not mix with this one.
        self.clear(&row_key(generation, ""), &row_key(u32::MAX, ""))?;
        for chunk in vehicles.chunks(CHUNK) {
            let mut rows = Batch::default();
            for vehicle in chunk {
                let key = row_key(generation, vehicle.plate.as_str());
                let stored = row_record(&key, vehicle)?;
                rows.put(key, stored);
            }
            self.store.write(&rows)?;
        }
        self.store.sync()?;
        Ok(())
    }

    /// What was last taken over from a server.
    pub fn synced(&self) -> Option<Edition> {
        self.pointer.synced
    }

    /// Records that are otherwise here than in that.
    pub fn departures(&self) -> &Departures {
        &self.departures
    }

    /// Records that wait for a person.
    pub fn contested(&self) -> u64 {
        contested(&self.departures)
    }

    /// What taking a server's register over would do; writes nothing.
    ///
    /// # Errors
    /// [`RowsError::Roll`] if the pages are not sound, or lead to another register than the
    /// manifest announces, or to one in which a record points at nothing.
    pub fn plan(&self, manifest: &Manifest, pages: &[Page]) -> Result<Takeover, RowsError> {
        let roll = sync::arrive(&self.view, &self.departures, manifest, pages)?;
        let merged = sync::merge(&self.view, &self.departures, self.pointer.synced, &roll)?;
        let mut difference = Difference::default();
        difference.compare(self.view.vehicles(), &merged.vehicles);
        let removed = difference.rows.removed;
        difference.compare_books(self.view.book(), &merged.book);
        Ok(Takeover {
            merged,
            edition: manifest.edition(),
            difference,
            removed,
        })
    }

    /// Takes a server's register over: writes a new generation of rows, and puts the rest with
    /// the move of the pointer into a batch.
    ///
    /// # Errors
    /// If the store fails; then the old register still holds.
    pub fn take_over(
        &self,
        takeover: Takeover,
        batch: &mut Batch,
    ) -> Result<(Difference, Change), RowsError> {
        let Takeover {
            merged,
            edition,
            difference,
            ..
        } = takeover;
        let held = self.view.book();
        for record in held.records() {
            let key = record.key();
            if merged.book.get(&key).is_none() {
                self.write(&key, None, batch)?;
            }
        }
        for record in merged.book.records() {
            let key = record.key();
            if held.get(&key) != Some(record) {
                self.write(&key, Some(record), batch)?;
            }
        }
        let generation = self.pointer.generation + 1;
        self.write_generation(generation, &merged.vehicles)?;
        let Merged {
            vehicles,
            book,
            departures,
        } = merged;
        let mut change = self.change(generation, vehicles, book, departures, batch)?;
        change.pointer.synced = Some(edition);
        put_pointer(&change.pointer, batch)?;
        Ok((difference, change))
    }

    /// A person decided about departures: what is here stays, or the server's value comes into
    /// force. Says what became of each.
    ///
    /// # Errors
    /// [`RowsError::Edit`] if there is no such departure, or a record would point at one that is
    /// not there.
    pub fn settle(
        &self,
        keys: &[RecordKey],
        keep: bool,
        batch: &mut Batch,
    ) -> Result<(Vec<RecordChange>, Change), RowsError> {
        let mut vehicles = self.view.vehicles().to_vec();
        let mut book = self.view.book().clone();
        let mut departures = self.departures.clone();
        let mut notes = Vec::new();
        for key in keys {
            let known = departures.remove(key);
            let known = known.ok_or_else(|| EditError::Agreed { key: key.clone() })?;
            let side = if keep { Side::Here } else { Side::Server };
            let wanted = match side {
                Side::Here => known.here.as_ref(),
                Side::Server => known.server.as_ref(),
            };
            let before = match wanted {
                Some(record) => put(&mut vehicles, &mut book, record),
                None => remove(&mut vehicles, &mut book, key),
            };
            self.write(key, wanted, batch)?;
            notes.push(note(key, before.as_ref(), wanted));
            if keep {
                let kept = Departure {
                    standing: Standing::Kept,
                    ..known
                };
                departures.insert(key.clone(), kept);
            }
        }
        book.check_pointers(vehicles.iter())?;
        let generation = self.pointer.generation;
        let change = self.change(generation, vehicles, book, departures, batch)?;
        Ok((notes, change))
    }

    /// Puts a register that was saved elsewhere in the place of everything.
    ///
    /// # Errors
    /// As [`Self::import`].
    pub fn restore(
        &self,
        vehicles: Vec<Vehicle>,
        records: Vec<Record>,
        batch: &mut Batch,
    ) -> Result<(Difference, Change), RowsError> {
        let mut empty = Self::empty(Arc::clone(&self.store), self.pointer.version);
        empty.pointer.generation = self.pointer.generation;
        for (key, _) in self.store.range(
            &Area::Departures.key(b""),
            &[Area::Departures.letter() + 1],
            usize::MAX,
        )? {
            batch.remove(key);
        }
        for (key, _) in self
            .store
            .range(&records_from(), &records_to(), usize::MAX)?
        {
            batch.remove(key);
        }
        for record in &records {
            self.write(&record.key(), Some(record), batch)?;
        }
        empty.view = RegistryView::with_book(self.pointer.version, Vec::new(), Book::of(records));
        empty.import(vehicles, batch)
    }

    /// Reads everything anew and compares: what is wrong, nothing if all is well.
    ///
    /// # Errors
    /// If the store fails.
    pub fn verify(&self) -> Result<Vec<String>, RowsError> {
        let mut wrong = Vec::new();
        match read_all(self.store.as_ref(), self.pointer) {
            Err(RowsError::Damaged { what }) => wrong.push(what),
            Err(other) => return Err(other),
            Ok((vehicles, records)) => {
                let version = self.pointer.version;
                let stored = RegistryView::with_book(version, vehicles, Book::of(records));
                if self.stored && stored != self.view {
                    wrong.push("the register in memory is not the one in the store".to_owned());
                }
                if let Err(error) = stored.book().check_pointers(stored.vehicles().iter()) {
                    wrong.push(error.to_string());
                }
                for record in stored.book().records() {
                    wrong.extend(record.check().err().map(|e| e.to_string()));
                }
            }
        }
        let (departures, damaged) = read_departures(self.store.as_ref())?;
        if self.stored && (damaged > 0 || departures != self.departures) {
            wrong.push(
                "what was changed here since the last synchronisation is not what the store holds"
                    .to_owned(),
            );
        }
        if !self.view.indexes_agree() {
            wrong.push("an index does not agree with the records".to_owned());
        }
        Ok(wrong)
    }

    fn change(
        &self,
        generation: u32,
        vehicles: Vec<Vehicle>,
        book: Book,
        departures: Departures,
        batch: &mut Batch,
    ) -> Result<Change, RowsError> {
        let version = self.pointer.version + 1;
        let view = RegistryView::with_book(version, vehicles, book);
        let pointer = Pointer {
            generation,
            version,
            vehicles: view.len() as u64,
            records: view.book().len() as u64,
            schema: SCHEMA,
            synced: self.pointer.synced,
            departures: departures.len() as u64,
        };
        for key in self.departures.keys() {
            if !departures.contains_key(key) {
                batch.remove(departure_key(key));
            }
        }
        for (key, departure) in &departures {
            if self.departures.get(key) != Some(departure) {
                let key = departure_key(key);
                let stored = record::seal(&key, &serde_json::to_vec(departure)?);
                batch.put(key, stored);
            }
        }
        put_pointer(&pointer, batch)?;
        Ok(Change {
            pointer,
            view,
            departures,
        })
    }

    /// Takes the change into the register, after the store took its batch.
    pub fn commit(&mut self, change: Change) {
        self.pointer = change.pointer;
        self.view = change.view;
        self.departures = change.departures;
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
