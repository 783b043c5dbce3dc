//! Everything durable of one gate in one folder: register, journal, outbox.
//!
//! ```text
//! <folder>/sled/                    the store
//! <folder>/sled.broken-<time>/      one that did not open, set aside
//! <folder>/registry-export.csv      the register's vehicles after its last change
//! <folder>/registry-records.json    its other records
//! <folder>/journal-reserve.json     numbers that may have been used, for after a loss
//! ```
//!
//! A [`Ledger`] belongs to one thread. Appending does not wait for the disk;
//! [`Ledger::sync`] does, and only then the outbox hands entries out. A change of the register
//! is written in one batch with its journal entry, and is durable when the call returns.
//! [`transfer`] is the server's register on its way here.

pub mod transfer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::event::{Chain, Digest, RegistryChange};
use domain::sync::Receiver;
use domain::{Event, PassId, PassNumber, PlateNumber};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::journal::{Journal, JournalError, Shrunk, Stamp, Stamps};
use crate::occupancy::{self, Shared, Stays};
use crate::pass::Pass;
use crate::pass::entries::{self, Entries};
use crate::pictures::{PictureError, Pictures};
use crate::registry::book::{Edit, EditError, Record, RecordKey};
use crate::registry::export::{Header, to_csv, write_in_place};
use crate::registry::import::{self, ImportOptions, Imported};
use crate::registry::rows::{Change, Rows, RowsError};
use crate::registry::{RegistryView, Vehicle};
use crate::store::{Batch, SledStore, Store, StoreError};
pub use transfer::{Arrival, Standing, TransferError};

/// The register's copy in the folder.
pub const EXPORT: &str = "registry-export.csv";
/// The copy of the records that are no vehicles.
pub const RECORDS: &str = "registry-records.json";
const RESERVE: &str = "journal-reserve.json";
/// Sequence numbers reserved at once; each time costs one more sync.
const RESERVED: u64 = 1024;
/// Characters of a reason that the journal keeps.
const WHY: usize = 200;

/// How much of the journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Days that delivered events are kept.
    pub event_days: u16,
    /// Bytes that events and pictures together may take.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_days: 365,
            bytes: 8 * 1024 * 1024 * 1024,
        }
    }
}

/// Why the ledger could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The register failed.
    #[error(transparent)]
    Register(#[from] RowsError),
    /// The register could not be read, so single rows cannot be changed.
    #[error(
        "the register in the store cannot be read, so one row cannot be changed; import the whole list with `menshen registry import FILE` first"
    )]
    NoRegister,
    /// The vehicle is not inside.
    #[error(
        "{plate} is not inside, as far as the gate saw; `menshen registry inside` shows who is / 不在场内"
    )]
    NotInside {
        /// The plate.
        plate: PlateNumber,
    },
    /// A pass has no entry left.
    #[error("pass {number} has no entry left / 通行证 {number} 次数已用完")]
    UsedUp {
        /// Its number.
        number: PassNumber,
    },
    /// There is no such plate.
    #[error("{plate} is not in the register; `menshen registry list` shows what is")]
    NotRegistered {
        /// The plate.
        plate: PlateNumber,
    },
    /// The server's register is not taken in.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

/// Numbers that may have been used. Written, durably, before any of them is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Reserve {
    upto: u64,
    /// Numbers up to here were durable when this was written. Beyond it a killed process may
    /// have reserved numbers for entries that never reached the disk and were never sent.
    durable: u64,
    acked: u64,
    head: Digest,
    registry_version: u64,
}

impl Reserve {
    const NONE: Self = Self {
        upto: 0,
        durable: 0,
        acked: 0,
        head: Digest::START,
        registry_version: 0,
    };
}

/// A ledger that opened.
pub struct Opened {
    /// It.
    pub ledger: Ledger,
    /// What was found or had to be done, for the log; each is in the journal as an alarm too.
    pub reports: Vec<String>,
}

/// A change of the register that is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// What was done.
    pub change: RegistryChange,
    /// The register from now on: give it to the lanes.
    pub view: RegistryView,
    /// Why the copy in the folder could not be written, if it could not.
    pub export_failed: Option<String>,
}

/// What [`Ledger::maintain`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Pictures.
    pub pictures: usize,
    /// Delivered events.
    pub delivered: u64,
    /// Events that were never acknowledged; a gap event names them.
    pub undelivered: u64,
}

/// Register, journal and outbox of one gate.
pub struct Ledger {
    store: Arc<dyn Store>,
    journal: Journal,
    /// None while the stored register cannot be read.
    rows: Option<Rows>,
    folder: Option<PathBuf>,
    reserve: Reserve,
    inside: Shared,
    /// The server's register that is on its way.
    receiver: Receiver,
    /// What the copy of the records holds, if this process wrote it.
    copied: Option<Digest>,
}

fn alarm(code: &str, message: String) -> Event {
    Event::Alarm {
        code: code.into(),
        message,
    }
}

impl Ledger {
    /// Opens the ledger in `folder`, which is made if it is not there. A store that does not
    /// open is set aside, its register restored from the copy in the folder, and its numbers
    /// never used again.
    ///
    /// # Errors
    /// If another process has it, or the operating system or the disk refuses.
    pub fn open(folder: &Path, stamps: Stamps<'_>) -> Result<Opened, LedgerError> {
        let opened = SledStore::open(folder, stamps().time)?;
        let mut alarms = Vec::new();
        if let Some((aside, why)) = &opened.set_aside {
            alarms.push(alarm(
                "store-set-aside",
                format!(
                    "the store did not open ({why}) and was set aside as {}; the journal goes on with new numbers, check the disk",
                    aside.display()
                ),
            ));
        }
        Self::assemble(Arc::new(opened.store), Some(folder), alarms, stamps)
    }

    /// A ledger on any store, without a folder for copies: for tests and simulations.
    ///
    /// # Errors
    /// If the store fails.
    pub fn on_store(store: Arc<dyn Store>, stamps: Stamps<'_>) -> Result<Opened, LedgerError> {
        Self::assemble(store, None, Vec::new(), stamps)
    }

    fn assemble(
        store: Arc<dyn Store>,
        folder: Option<&Path>,
        mut alarms: Vec<Event>,
        stamps: Stamps<'_>,
    ) -> Result<Opened, LedgerError> {
        let reserve = folder.map_or(Reserve::NONE, read_reserve);
        let after = Chain {
            seq: reserve.upto,
            head: reserve.head,
        };
        let (mut journal, found) = Journal::open(Arc::clone(&store), after)?;
        alarms.extend(found.into_iter().map(|r| alarm("journal-damaged", r)));
        let fresh = journal.end() == after && reserve.upto > 0;
        let fell_back = !fresh && journal.end().seq < reserve.durable;
        if fell_back {
            alarms.push(alarm(
                "journal-fell-back",
                format!(
                    "the journal ends at {}, but numbers up to {} were in use before: the disk lost what it had acknowledged, or an old copy of the store was put back; check the disk",
                    journal.end().seq,
                    reserve.durable
                ),
            ));
            journal.skip_to(reserve.upto);
        }

        let rows = match Rows::open(Arc::clone(&store), reserve.registry_version) {
            Ok(rows) => Some(rows),
            Err(RowsError::Store(error)) => return Err(error.into()),
            Err(error @ RowsError::Newer { .. }) => return Err(error.into()),
            Err(error) => {
                alarms.push(alarm("registry-damaged", error.to_string()));
                None
            }
        };
        let lost = match &rows {
            Some(rows) => !rows.is_stored() && reserve.registry_version > 0,
            None => true,
        };
        let (stays, lost_stays) = Stays::read(store.as_ref())?;
        if lost_stays > 0 {
            alarms.push(alarm(
                "occupancy-damaged",
                format!("{lost_stays} records of vehicles inside are damaged and left out; check the disk"),
            ));
        }
        let (entries, lost_entries) = Entries::read(store.as_ref())?;
        if lost_entries > 0 {
            alarms.push(alarm(
                "pass-entries-damaged",
                format!("the counters of {lost_entries} passes are damaged and begin anew; look at passes that are good for few entries (`menshen pass list --counted`), and check the disk"),
            ));
        }
        let receiver = transfer::reopen(store.as_ref(), rows.as_ref().and_then(Rows::synced))?;
        let mut ledger = Self {
            store,
            journal,
            rows,
            folder: folder.map(Path::to_owned),
            reserve,
            inside: Shared::new(stays, entries),
            receiver,
            copied: None,
        };
        if fresh {
            if alarms.is_empty() {
                alarms.push(alarm(
                    "store-emptied",
                    "the store is empty although it was used before; the journal goes on with new numbers, find out who removed it or check the disk".into(),
                ));
            }
            let gap = Event::Gap {
                from: reserve.acked + 1,
                to: reserve.upto,
                why: "the store was lost with the entries that were not delivered; some of these numbers were never used".into(),
            };
            ledger.journal.append_batch(vec![(stamps(), gap)])?;
        }
        ledger.journal.declare(stamps)?;
        if lost && let Some(folder) = folder {
            alarms.push(ledger.restore(folder, stamps));
        }
        let reports = alarms
            .iter()
            .filter_map(|event| match event {
                Event::Alarm { message, .. } => Some(message.clone()),
                _ => None,
            })
            .collect();
        if !alarms.is_empty() {
            let stamped = alarms.into_iter().map(|event| (stamps(), event)).collect();
            ledger.journal.append_batch(stamped)?;
        }
        ledger.sync()?;
        Ok(Opened { ledger, reports })
    }

    /// Fills the register from its copies; the alarm says how that went.
    fn restore(&mut self, folder: &Path, stamps: Stamps<'_>) -> Event {
        let export = folder.join(EXPORT);
        let restored = fs::read(&export)
            .map_err(|e| e.to_string())
            .and_then(|bytes| {
                import::parse(&bytes, ImportOptions::default()).map_err(|e| e.to_string())
            })
            .and_then(|imported| {
                let records = read_records(&folder.join(RECORDS))?;
                let rows = self.rows.take().unwrap_or_else(|| {
                    Rows::empty(Arc::clone(&self.store), self.reserve.registry_version)
                });
                let result =
                    self.replace(rows, imported.vehicles, Some(records), "restored", stamps());
                result.map_err(|e| e.to_string())
            });
        match restored {
            Ok(changed) => alarm(
                "registry-restored",
                format!(
                    "the register was restored from {}: {} vehicles; check that its last changes are in it, and look at passes that are good for few entries, whose counters may be lost (`menshen pass list --counted`)",
                    export.display(),
                    changed.view.len()
                ),
            ),
            Err(why) => {
                self.rows = None;
                alarm(
                    "registry-unavailable",
                    format!(
                        "the register is lost and could not be restored from {} ({why}); every vehicle goes to the guard until you import the list with `menshen registry import FILE`",
                        export.display()
                    ),
                )
            }
        }
    }

    /// The register as it stands; none if it cannot be read.
    pub fn registry(&self) -> Option<&RegistryView> {
        self.rows.as_ref().map(Rows::view)
    }

    /// Registers one vehicle, or replaces its row. Durable when this returns.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn add(
        &mut self,
        vehicle: Vehicle,
        by: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        self.transact(
            &[Edit::Put(Record::Vehicle(Box::new(vehicle)))],
            by,
            "",
            stamp,
        )
    }

    /// Takes one vehicle out of the register. Durable when this returns.
    ///
    /// # Errors
    /// [`LedgerError::NotRegistered`] if it is not in it; else as [`Self::transact`].
    pub fn remove(
        &mut self,
        plate: &PlateNumber,
        by: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        self.transact(
            &[Edit::Remove(RecordKey::Vehicle(plate.clone()))],
            by,
            "",
            stamp,
        )
    }

    /// Makes changes, all of them or none. Durable when this returns.
    ///
    /// # Errors
    /// If a change is not allowed, or the register or the disk fails. If it was the sync that
    /// failed, the changes may stand after the next start; journal and register still agree.
    pub fn transact(
        &mut self,
        edits: &[Edit],
        by: &str,
        why: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let rows = self.rows.as_ref().ok_or(LedgerError::NoRegister)?;
        let mut batch = Batch::default();
        let (mut notes, prepared) =
            rows.transact(edits, &mut batch)
                .map_err(|error| match error {
                    RowsError::Edit(EditError::Absent {
                        key: RecordKey::Vehicle(plate),
                    }) => LedgerError::NotRegistered { plate },
                    other => other.into(),
                })?;
        let change = match (edits, notes.as_mut_slice()) {
            ([Edit::Put(Record::Vehicle(vehicle))], [note]) => RegistryChange::Added {
                plate: vehicle.plate.clone(),
                replaced: note.before.is_some(),
                before: note.before.take(),
                after: note.after.take(),
            },
            ([Edit::Remove(RecordKey::Vehicle(plate))], [note]) => RegistryChange::Removed {
                plate: plate.clone(),
                before: note.before.take(),
            },
            _ => RegistryChange::Changed { records: notes },
        };
        self.apply(batch, prepared, change, (by, why), stamp)
    }

    /// Issues many passes, all of them or none. Durable when this returns.
    ///
    /// # Errors
    /// If a pass is not allowed or its number is taken, or the register or the disk fails.
    pub fn issue(
        &mut self,
        passes: &[Pass],
        by: &str,
        why: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let rows = self.rows.as_ref().ok_or(LedgerError::NoRegister)?;
        let mut batch = Batch::default();
        let (change, prepared) = rows.issue(passes, &mut batch)?;
        self.apply(batch, prepared, change, (by, why), stamp)
    }

    /// A person let the bearer of a pass in: an entry of it is used. Whether the pass holds is for
    /// the caller to ask first ([`crate::pass::check()`]); this only keeps the count. Durable when
    /// this returns.
    ///
    /// # Errors
    /// [`LedgerError::UsedUp`] if no entry is left, or if the disk fails.
    pub fn use_pass(
        &mut self,
        pass: PassId,
        plate: Option<PlateNumber>,
        by: &str,
        stamp: Stamp,
    ) -> Result<(), LedgerError> {
        let view = self.registry().ok_or(LedgerError::NoRegister)?;
        let held = view.book().pass(pass.number).filter(|p| p.id() == pass);
        let limit = held.and_then(|p| p.entries);
        if held.is_none() || limit.is_some_and(|n| self.inside.entries_of(pass) >= u32::from(n)) {
            return Err(LedgerError::UsedUp {
                number: pass.number,
            });
        }
        let event = Event::PassUsed {
            pass,
            plate,
            by: by.to_owned(),
        };
        self.append_batch(vec![(stamp, event)])?;
        self.sync()?;
        Ok(())
    }

    /// Puts a whole list in the register's place. Durable when this returns.
    ///
    /// # Errors
    /// If the disk fails; then the old register or the new one holds, never a mixture.
    pub fn import(
        &mut self,
        imported: Imported,
        by: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let unreadable = self.rows.is_none();
        let rows = self
            .rows
            .take()
            .unwrap_or_else(|| Rows::empty(Arc::clone(&self.store), self.reserve.registry_version));
        let result = self.replace(rows, imported.vehicles, None, by, stamp);
        if unreadable && result.is_err() {
            self.rows = None;
        }
        result
    }

    fn replace(
        &mut self,
        rows: Rows,
        vehicles: Vec<Vehicle>,
        records: Option<Vec<Record>>,
        by: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let before = rows.view().len() as u64;
        let rows = self.rows.insert(rows);
        let mut batch = Batch::default();
        let (difference, prepared) = match records {
            None => rows.import(vehicles, &mut batch)?,
            Some(records) => rows.restore(vehicles, records, &mut batch)?,
        };
        let change = RegistryChange::Imported {
            vehicles: prepared.vehicles(),
            before,
            rows: Some(difference.rows),
            records: difference.records,
        };
        let changed = self.apply(batch, prepared, change, (by, ""), stamp)?;
        self.sweep();
        Ok(changed)
    }

    fn sweep(&self) {
        if let Some(rows) = &self.rows
            && let Err(error) = rows.sweep()
        {
            // The rows of the old generation count no more; the next start sweeps again.
            tracing::warn!(%error, "the old register's rows could not be removed yet");
        }
    }

    fn apply(
        &mut self,
        mut batch: Batch,
        prepared: Change,
        change: RegistryChange,
        (by, why): (&str, &str),
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let event = Event::Registry {
            change: change.clone(),
            by: by.to_owned(),
            version: prepared.version(),
            why: why.chars().take(WHY).collect(),
        };
        let entry = self.journal.prepare(&mut batch, vec![(stamp, event)])?;
        self.store.write(&batch)?;
        self.journal.commit(entry);
        let rows = self.rows.as_mut().ok_or(LedgerError::NoRegister)?;
        rows.commit(prepared);
        let view = rows.view().clone();
        if self.receiver.in_force() != rows.synced() {
            self.receiver = transfer::reopen(self.store.as_ref(), rows.synced())?;
        }
        self.sync()?;
        let export_failed = self.write_copies(&view).err().map(|e| {
            let text = format!("the register's copy could not be written: {e}");
            tracing::warn!("{text}");
            text
        });
        Ok(Changed {
            change,
            view,
            export_failed,
        })
    }

    fn write_copies(&mut self, view: &RegistryView) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        write_in_place(
            &folder.join(EXPORT),
            &to_csv(view.vehicles(), Header::English),
        )?;
        let records: Vec<&Record> = view.book().records().collect();
        let records = serde_json::to_vec(&records).map_err(io::Error::other)?;
        // Most changes are of vehicles; each file costs the disk two waits.
        let digest = Digest::of(&records);
        if self.copied != Some(digest) {
            write_in_place(&folder.join(RECORDS), &records)?;
            self.copied = Some(digest);
        }
        let reserve = Reserve {
            registry_version: view.version(),
            ..self.reserve
        };
        write_reserve(&folder, reserve)?;
        self.reserve = reserve;
        Ok(())
    }

    /// Who is inside, and whose place is held; lanes decide with it.
    pub fn inside(&self) -> &Shared {
        &self.inside
    }

    /// Reads register and journal anew and compares: what is wrong, nothing if all is well.
    ///
    /// # Errors
    /// If the store fails, or the register could not be read.
    pub fn verify_registry(&self) -> Result<Vec<String>, LedgerError> {
        let rows = self.rows.as_ref().ok_or(LedgerError::NoRegister)?;
        let mut wrong = rows.verify()?;
        let (stays, damaged) = Stays::read(self.store.as_ref())?;
        if damaged > 0 {
            wrong.push(format!("{damaged} records of vehicles inside are damaged"));
        }
        if stays != self.inside.stays() {
            wrong.push("who is inside in memory is not who is inside in the store".to_owned());
        }
        let (entries, damaged) = Entries::read(self.store.as_ref())?;
        if damaged > 0 {
            wrong.push(format!("the counters of {damaged} passes are damaged"));
        }
        if entries != self.inside.entries() {
            wrong.push("the counters of passes in memory are not those in the store".to_owned());
        }
        Ok(wrong)
    }

    /// Appends events, all or none, without waiting for the disk; returns their numbers.
    ///
    /// # Errors
    /// If the store fails.
    pub fn append_batch(
        &mut self,
        events: Vec<(Stamp, Event)>,
    ) -> Result<std::ops::RangeInclusive<u64>, LedgerError> {
        let moves: Vec<_> = events
            .iter()
            .filter_map(|(_, e)| occupancy::moved(e))
            .collect();
        let ended = occupancy::ended(events.iter().map(|(_, e)| e));
        let used: Vec<entries::Used> = events
            .iter()
            .filter_map(|(stamp, e)| entries::used(e, stamp.time))
            .collect();
        if ended.is_empty() && moves.is_empty() && used.is_empty() {
            return Ok(self.journal.append_batch(events)?);
        }
        // Who is inside changes with the passage's own entry, or neither does; and so do the
        // counters of passes.
        let mut batch = Batch::default();
        occupancy::put(&moves, &mut batch).map_err(RowsError::from)?;
        let counts = self.inside.entries_after(&used);
        entries::put(&counts, &mut batch).map_err(RowsError::from)?;
        let first = self.journal.end().seq + 1;
        let prepared = self.journal.prepare(&mut batch, events)?;
        self.store.write(&batch)?;
        self.journal.commit(prepared);
        self.inside.commit(moves, &ended, counts);
        Ok(first..=self.journal.end().seq)
    }

    /// Takes a vehicle out of those inside: somebody looked, and it is not there. Durable when
    /// this returns.
    ///
    /// # Errors
    /// [`LedgerError::NotInside`] if it is not among them, or if the disk fails.
    pub fn mark_outside(
        &mut self,
        plate: &PlateNumber,
        by: &str,
        why: &str,
        stamp: Stamp,
    ) -> Result<(), LedgerError> {
        let plate = plate.clone();
        let Some(stay) = self.inside.stays().get(&plate).copied() else {
            return Err(LedgerError::NotInside { plate });
        };
        let event = Event::MarkedOutside {
            plate: plate.clone(),
            entered_by: stay.passage,
            by: by.to_owned(),
            why: why.chars().take(WHY).collect(),
        };
        let moves = vec![occupancy::Move::Out(plate)];
        let mut batch = Batch::default();
        occupancy::put(&moves, &mut batch).map_err(RowsError::from)?;
        let prepared = self.journal.prepare(&mut batch, vec![(stamp, event)])?;
        self.store.write(&batch)?;
        self.journal.commit(prepared);
        self.inside.commit(moves, &[], Vec::new());
        self.sync()?;
        Ok(())
    }

    /// Makes everything appended durable, and returns the last number that is. One call for
    /// all events of a passage's step is enough.
    ///
    /// # Errors
    /// If the disk fails; then nothing is handed out any more until a restart.
    pub fn sync(&mut self) -> Result<u64, LedgerError> {
        self.reserve_numbers()?;
        Ok(self.journal.sync()?)
    }

    /// Notes durably, ahead of their use, which numbers may be used.
    fn reserve_numbers(&mut self) -> Result<(), LedgerError> {
        let end = self.journal.end();
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        if end.seq <= self.reserve.upto {
            return Ok(());
        }
        let reserve = Reserve {
            upto: end.seq + RESERVED,
            durable: self.journal.synced(),
            acked: self.journal.acknowledged(),
            head: end.head,
            registry_version: self.reserve.registry_version,
        };
        write_reserve(folder, reserve).map_err(|source| StoreError::Io {
            what: "writing to",
            path: folder.join(RESERVE),
            source,
        })?;
        self.reserve = reserve;
        Ok(())
    }

    /// At most `limit` durable, unacknowledged entries from number `from` on, each with the
    /// bytes to deliver.
    ///
    /// # Errors
    /// If the store fails.
    pub fn pending(&mut self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
        Ok(self.journal.pending(from, limit)?)
    }

    /// Takes note that everything up to `upto` arrived.
    ///
    /// # Errors
    /// If that was never handed out, or the store fails.
    pub fn acknowledge(&mut self, upto: u64) -> Result<(), LedgerError> {
        Ok(self.journal.acknowledge(upto)?)
    }

    /// The journal, for looking at.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The latest time in the last `entries` of the journal that was written while the clock was
    /// trusted: earlier than this it is not.
    ///
    /// # Errors
    /// If the store fails.
    pub fn last_trusted_time(&self, entries: usize) -> Result<Option<Timestamp>, LedgerError> {
        let from = (self.journal.end().seq + 1).saturating_sub(entries as u64);
        let entries = self.journal.entries(from, entries)?;
        let times = entries.iter().filter_map(|(_, bytes)| {
            let entry: domain::Entry = serde_json::from_slice(bytes).ok()?;
            entry.clock_trusted.then_some(entry.time)
        });
        Ok(times.max())
    }

    /// Bytes that the store takes on its disk.
    ///
    /// # Errors
    /// If the store fails.
    pub fn store_size(&self) -> Result<u64, LedgerError> {
        Ok(self.store.size()?)
    }

    /// What should be done every minute or so: declares damaged entries, drops delivered
    /// events that are too old, and keeps events and pictures within the budget: pictures go
    /// first, then delivered events, then others, with a gap event.
    ///
    /// Does a bounded piece of work a call; call it again soon if something was removed.
    ///
    /// # Errors
    /// If the store fails. A picture that cannot be removed is logged and does not stop the
    /// rest.
    pub fn maintain(
        &mut self,
        limits: Limits,
        pictures: Option<&mut Pictures>,
        stamps: Stamps<'_>,
    ) -> Result<Removed, LedgerError> {
        self.journal.declare(stamps)?;
        let mut removed = Removed::default();
        let now = stamps();
        if now.clock_trusted {
            removed.delivered += self
                .journal
                .expire(days_before(now.time, limits.event_days), stamps)?;
        }
        let mut picture_bytes = 0;
        if let Some(pictures) = pictures {
            let room = limits.bytes.saturating_sub(self.journal.bytes());
            match pictures.shrink(room) {
                Ok(gone) => removed.pictures = gone,
                Err(error) => log_picture(&error),
            }
            picture_bytes = pictures.total();
        }
        let room = limits.bytes.saturating_sub(picture_bytes);
        let Shrunk {
            delivered,
            undelivered,
        } = self.journal.shrink(room, stamps)?;
        removed.delivered += delivered;
        removed.undelivered += undelivered;
        if removed != Removed::default() {
            self.sync()?;
        }
        Ok(removed)
    }
}

fn log_picture(error: &PictureError) {
    tracing::warn!(%error, "a picture could not be removed");
}

fn days_before(time: Timestamp, days: u16) -> Timestamp {
    time.checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
        .unwrap_or(Timestamp::MIN)
}

fn read_reserve(folder: &Path) -> Reserve {
    let path = folder.join(RESERVE);
    match fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(reserve)) => reserve,
        Ok(Err(error)) => {
            tracing::warn!(path = %path.display(), %error, "the reserve of journal numbers cannot be read; it is written anew");
            Reserve::NONE
        }
        Err(_) => Reserve::NONE,
    }
}

/// The copy of the other records; a folder of an older program has none.
fn read_records(path: &Path) -> Result<Vec<Record>, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn write_reserve(folder: &Path, reserve: Reserve) -> io::Result<()> {
    let bytes = serde_json::to_vec(&reserve).map_err(io::Error::other)?;
    write_in_place(&folder.join(RESERVE), &bytes)
}

#[cfg(test)]
mod tests;
