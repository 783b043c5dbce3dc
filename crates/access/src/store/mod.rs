//! Where everything durable lies: one ordered map of small records.
//!
//! Registry, journal and outbox write [`Batch`]es of records through the [`Store`] trait and
//! ask for [`Store::sync`] before anything is acknowledged. [`SledStore`] keeps the records in
//! one sled database; [`MemoryStore`] is its peer for tests, which fails, loses and tears what
//! was not synced. Both hold opaque bytes: [`record`] adds a schema version and a checksum to
//! each, so that a damaged record is noticed where it is read.
//!
//! Keys begin with one letter for their area ([`Area`]); a batch is atomic over all areas, so
//! that a change of the register and its journal entry stand or fall together.

mod memory;
pub mod record;
mod sled_store;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

pub use memory::{Crash, MemoryStore};
pub use sled_store::{CACHE_BYTES, KeepOut, Opened, SledStore};

/// The areas of the one key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Journal entries, by sequence number.
    Journal,
    /// The journal's own state: its anchor, its checkpoint, what was acknowledged.
    JournalState,
    /// Rows of the register, by generation and plate.
    Vehicles,
    /// Which generation of the register holds.
    RegistryPointer,
    /// The register's records that are no vehicles, by kind and key.
    Records,
    /// Vehicles inside the compound, by plate.
    Inside,
    /// How often passes were used, by their numbers.
    PassEntries,
    /// Records that are otherwise here than on the server, by kind and key.
    Departures,
    /// A register that is on its way: its manifest, and its pages by their places.
    Transfer,
}

impl Area {
    /// The letter that keys of this area begin with.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Journal => b'j',
            Self::JournalState => b's',
            Self::Vehicles => b'v',
            Self::RegistryPointer => b'r',
            Self::Records => b'e',
            Self::Inside => b'i',
            Self::PassEntries => b'p',
            Self::Departures => b'd',
            Self::Transfer => b't',
        }
    }

    /// A key of this area.
    pub fn key(self, rest: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + rest.len());
        key.push(self.letter());
        key.extend_from_slice(rest);
        key
    }
}

/// Writes that happen together or not at all, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Key, and the record that takes its place; `None` removes it.
    pub writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Puts a record in the place of whatever the key held.
    pub fn put(&mut self, key: Vec<u8>, record: Vec<u8>) {
        self.writes.push((key, Some(record)));
    }

    /// Removes the key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// A record with its key.
pub type Pair = (Vec<u8>, Vec<u8>);

/// An ordered map from keys to records.
///
/// What [`Store::write`] accepted can be read at once, and survives a crash only after the
/// next [`Store::sync`] succeeded. Until then a crash may lose a suffix of the batches.
pub trait Store: Send + Sync {
    /// The record under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` records with `from <= key < to`, in order of their keys.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// The record with the greatest key below `to` that is not below `from`.
    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError>;

    /// Writes a batch: all of it or, with an error, nothing.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes everything written so far survive a power cut. After one failure every later
    /// call fails too: what an operating system could not write, it may have thrown away.
    fn sync(&self) -> Result<(), StoreError>;

    /// Bytes the store takes on its disk.
    fn size(&self) -> Result<u64, StoreError>;
}

/// Records read at once.
const CHUNK: usize = 1000;

/// Calls `each` with every record with `from <= key < to`, in order of their keys, holding few of
/// them at a time.
///
/// # Errors
/// If the store fails, or what `each` returns.
pub(crate) fn each_record<E: From<StoreError>>(
    store: &dyn Store,
    mut from: Vec<u8>,
    to: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let pairs = store.range(&from, to, CHUNK)?;
        for (key, stored) in &pairs {
            each(key, stored)?;
        }
        match pairs.last() {
            Some((key, _)) if pairs.len() == CHUNK => {
                from.clone_from(key);
                from.push(0);
            }
            _ => return Ok(()),
        }
    }
}

/// Reads a whole area whose records are JSON under keys that `name` understands; how many were
/// damaged and are left out.
///
/// # Errors
/// If the store fails.
pub(crate) fn read_area<K: Ord, T: DeserializeOwned>(
    store: &dyn Store,
    area: Area,
    name: impl Fn(&[u8]) -> Option<K>,
) -> Result<(BTreeMap<K, T>, usize), StoreError> {
    let (mut found, mut damaged) = (BTreeMap::new(), 0);
    each_record(store, area.key(b""), &[area.letter() + 1], |key, stored| {
        let payload = record::open(key, stored).ok();
        let value = payload.and_then(|payload| serde_json::from_slice(payload).ok());
        match (key.get(1..).and_then(&name), value) {
            (Some(key), Some(value)) => {
                found.insert(key, value);
            }
            _ => damaged += 1,
        }
        Ok::<(), StoreError>(())
    })?;
    Ok((found, damaged))
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the store.
    #[error(
        "the store {path} is in use by another process; if `menshen run` is running, its verbs go through its socket, otherwise end the other program first"
    )]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error(
        "{what} {path} failed: {source}; check that the disk is mounted, writable and not full, and that the folder belongs to the user menshen runs as"
    )]
    Io {
        /// What was tried, for example "writing to the store".
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The database found itself damaged.
    #[error(
        "the store {path} is damaged ({what}); at its next start menshen sets it aside and restores the register from its export"
    )]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A record was written by a newer program.
    #[error(
        "a record of the store has layout {found}, this program knows up to {known}; install the newer version again, or restore a backup made by this one"
    )]
    Newer {
        /// The record's layout.
        found: u8,
        /// The newest layout known here.
        known: u8,
    },
    /// A sync failed before, so nothing written since can be trusted to be on the disk.
    #[error(
        "the disk failed to keep earlier writes, so nothing more is acknowledged; check the disk (dmesg, smartctl), then restart menshen"
    )]
    Distrusted,
}
