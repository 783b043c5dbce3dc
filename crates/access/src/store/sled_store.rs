//! The sled adapter, and what is done about a database that does not open.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Batch, Pair, Store, StoreError};

/// How long the threads of a database that was closed may take to let go of it.
const CLOSING: Duration = Duration::from_secs(5);

/// Sled's page cache, in bytes.
pub const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// The database inside the store's folder.
const DATABASE: &str = "sled";
const LOCK: &str = "lock";

/// One sled database in one folder, held by one process.
///
/// Opened again in a process that has just closed it, it waits for the threads of the database
/// before: they hold its lock until they have written their last.
pub struct SledStore {
    db: sled::Db,
    log: File,
    path: PathBuf,
    distrusted: AtomicBool,
    /// Held for as long as the store is.
    _lock: File,
}

/// A store that opened, and what had to be done for it.
pub struct Opened {
    /// The store.
    pub store: SledStore,
    /// Where the database went that did not open, and why it did not; then this one is empty.
    pub set_aside: Option<(PathBuf, String)>,
}

/// Keeps every other process out of a store for as long as it lives, without opening it.
#[derive(Debug)]
pub struct KeepOut {
    _lock: File,
}

impl KeepOut {
    /// Takes the store's lock; `None` where there has never been a store. Nothing is made, so
    /// that no file in the folder comes to belong to whoever asks.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has the store; [`StoreError::Io`] if the lock
    /// cannot be opened.
    pub fn of(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(LOCK);
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(StoreError::Io {
                    what: "opening the lock",
                    path,
                    source,
                });
            }
        };
        take_lock(&lock, folder)?;
        Ok(Some(Self { _lock: lock }))
    }
}

fn take_lock(lock: &File, folder: &Path) -> Result<(), StoreError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io {
            what: "locking the store with",
            path: folder.join(LOCK),
            source,
        }),
    }
}

enum Failure {
    Damaged(String),
    Refused(StoreError),
}

impl SledStore {
    /// Opens the store in `folder`, which is made if it is not there.
    ///
    /// A database that is damaged is renamed `sled.broken-<time>` and an empty one begun.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it; [`StoreError::Io`] if the operating
    /// system refuses, in which case nothing is set aside.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Opened, StoreError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { what, path, source }
        };
        fs::create_dir_all(folder).map_err(io("creating the folder", folder))?;
        let lock_path = folder.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io("opening the lock", &lock_path))?;
        take_lock(&lock, folder)?;
        let path = folder.join(DATABASE);
        let (db, set_aside) = match open_database(&path) {
            Ok(db) => (db, None),
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Damaged(why)) => {
                let aside = free_name(folder, now);
                fs::rename(&path, &aside).map_err(io("setting aside the store", &path))?;
                match open_database(&path) {
                    Ok(db) => (db, Some((aside, why))),
                    Err(Failure::Refused(error)) => return Err(error),
                    Err(Failure::Damaged(what)) => return Err(StoreError::Damaged { path, what }),
                }
            }
        };
        let log_path = path.join("db");
        let log = File::open(&log_path).map_err(io("opening the store's log", &log_path))?;
        // The names of new files must survive too, or fdatasync saves a nameless log.
        for dir in [path.as_path(), folder] {
            File::open(dir)
                .and_then(|d| d.sync_all())
                .map_err(io("syncing the folder", dir))?;
        }
        Ok(Opened {
            store: Self {
                db,
                log,
                path,
                distrusted: AtomicBool::new(false),
                _lock: lock,
            },
            set_aside,
        })
    }

    fn error(&self, what: &'static str, error: sled::Error) -> StoreError {
        match error {
            sled::Error::Io(source) => StoreError::Io {
                what,
                path: self.path.clone(),
                source,
            },
            other => StoreError::Damaged {
                path: self.path.clone(),
                what: other.to_string(),
            },
        }
    }
}

/// A name for the broken database that nothing has yet.
fn free_name(folder: &Path, now: Timestamp) -> PathBuf {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut path = folder.join(format!("{DATABASE}.broken-{time}"));
    let mut n = 1;
    while path.exists() {
        n += 1;
        path = folder.join(format!("{DATABASE}.broken-{time}-{n}"));
    }
    path
}

fn open_database(path: &Path) -> Result<sled::Db, Failure> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        // Sync is asked for where it matters; sled's own timer would only wear the card.
        .flush_every_ms(None);
    // Sled 0.34 panics on some damaged files where it should return an error.
    let open = || catch_unwind(AssertUnwindSafe(|| config.open()));
    let mut opened = open();
    // Our own lock is held, so no other process has the database: the threads of one that this
    // process closed just now still do.
    let waited = Instant::now();
    while matches!(&opened, Ok(Err(error)) if is_locked(error)) && waited.elapsed() < CLOSING {
        std::thread::sleep(Duration::from_millis(20));
        opened = open();
    }
    match opened {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(source)))
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Err(Failure::Refused(StoreError::Io {
                what: "opening the store",
                path: path.to_owned(),
                source,
            }))
        }
        Ok(Err(error)) => Err(Failure::Damaged(error.to_string())),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("sled gave up without a word");
            Err(Failure::Damaged(text.to_owned()))
        }
    }
}

/// Sled says in words alone that another has the database.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(source) if source.to_string().contains("could not acquire lock"))
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db
            .get(key)
            .map(|value| value.map(|v| v.to_vec()))
            .map_err(|e| self.error("reading the store", e))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.db
            .range(from..to)
            .take(limit)
            .map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec())))
            .collect::<Result<_, _>>()
            .map_err(|e| self.error("reading the store", e))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        if from >= to {
            return Ok(None);
        }
        self.db
            .range(from..to)
            .next_back()
            .transpose()
            .map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec())))
            .map_err(|e| self.error("reading the store", e))
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writes = sled::Batch::default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.insert(key.as_slice(), value.as_slice()),
                None => writes.remove(key.as_slice()),
            }
        }
        self.db
            .apply_batch(writes)
            .map_err(|e| self.error("writing to the store", e))
    }

    /// The one place where sled's data becomes durable: `flush()` hands its buffers to the
    /// operating system and starts their way to the disk (`sync_file_range`, which neither
    /// waits for the disk's own cache nor for the file's length), `fdatasync` on the log ends
    /// it.
    fn sync(&self) -> Result<(), StoreError> {
        if self.distrusted.load(Ordering::Acquire) {
            return Err(StoreError::Distrusted);
        }
        let result = self
            .db
            .flush()
            .map_err(|e| self.error("flushing the store", e))
            .and_then(|_| {
                self.log.sync_data().map_err(|source| StoreError::Io {
                    what: "syncing the store",
                    path: self.path.clone(),
                    source,
                })
            });
        if result.is_err() {
            self.distrusted.store(true, Ordering::Release);
        }
        result
    }

    fn size(&self) -> Result<u64, StoreError> {
        self.db
            .size_on_disk()
            .map_err(|e| self.error("measuring the store", e))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Area;

    fn key(n: u8) -> Vec<u8> {
        Area::Journal.key(&[n])
    }

    #[test]
    fn what_was_closed_opens_again_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..40 {
            let opened = SledStore::open(folder.path(), Timestamp::UNIX_EPOCH).unwrap();
            assert!(opened.set_aside.is_none());
            let mut batch = Batch::default();
            batch.put(key(n), vec![n; 3]);
            opened.store.write(&batch).unwrap();
            assert_eq!(opened.store.last(b"j", b"k").unwrap().unwrap().0, key(n));
        }
    }

    #[test]
    fn reads_what_it_wrote_and_lets_no_second_process_in() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let opened = SledStore::open(folder.path(), now).unwrap();
        assert!(opened.set_aside.is_none());
        let store = opened.store;
        let mut batch = Batch::default();
        for n in 0..10 {
            batch.put(key(n), vec![n; 3]);
        }
        batch.remove(key(4));
        store.write(&batch).unwrap();
        store.sync().unwrap();
        assert_eq!(store.get(&key(3)).unwrap(), Some(vec![3; 3]));
        assert_eq!(store.get(&key(4)).unwrap(), None);
        let found = store.range(&key(2), &key(7), 3).unwrap();
        assert_eq!(
            found.iter().map(|(k, _)| k[1]).collect::<Vec<_>>(),
            [2, 3, 5]
        );
        assert_eq!(store.last(b"j", b"k").unwrap().unwrap().0, key(9));
        assert_eq!(store.last(b"k", b"l").unwrap(), None);
        assert!(store.size().unwrap() > 0);
        assert!(matches!(
            SledStore::open(folder.path(), now),
            Err(StoreError::InUse { .. })
        ));
    }

    #[test]
    fn who_keeps_a_store_closed_makes_nothing_and_is_let_in_only_when_nobody_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert!(KeepOut::of(folder.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let opened = SledStore::open(folder.path(), now).unwrap();
        assert!(matches!(
            KeepOut::of(folder.path()),
            Err(StoreError::InUse { .. })
        ));
        drop(opened);
        let kept = KeepOut::of(folder.path()).unwrap();
        assert!(kept.is_some());
        assert!(matches!(
            SledStore::open(folder.path(), now),
            Err(StoreError::InUse { .. })
        ));
        drop(kept);
        assert!(SledStore::open(folder.path(), now).is_ok());
    }

    #[test]
    fn a_damaged_database_is_set_aside_and_an_empty_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join(DATABASE);
        fs::create_dir_all(&database).unwrap();
        fs::write(database.join("conf"), b"this was never written by sled").unwrap();
        fs::write(database.join("db"), vec![0xa5; 4096]).unwrap();
        let opened = SledStore::open(folder.path(), Timestamp::UNIX_EPOCH).unwrap();
        let (aside, why) = opened.set_aside.unwrap();
        assert!(!why.is_empty());
        assert!(
            aside
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("sled.broken-19700101T000000Z")
        );
        assert_eq!(fs::read(aside.join("db")).unwrap(), vec![0xa5; 4096]);
        opened.store.write(&Batch::default()).unwrap();
        opened.store.sync().unwrap();
    }
}
