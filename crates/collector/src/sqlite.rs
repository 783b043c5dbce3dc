//! Everything in one `SQLite` file.
//!
//! The file is in WAL mode with full synchronisation: a transaction that has returned survives a
//! power cut, and others may read (or be a second collector) at the same time.
//!
//! | table | what |
//! |---|---|
//! | `device` | how far each gate's journal is whole, its last head |
//! | `entry` | the entries; `data` is the bytes that were hashed |
//! | `conceded` | numbers that were given up, and why |
//! | `report` | what people should know |

use std::path::Path;
use std::time::Duration;

use domain::chain::Link;
use domain::command::DeviceName;
use domain::event::{Chain, Digest};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::message::Entry;
use crate::standing::Standing;
use crate::store::{Archive, Book, DeviceLine, Report, ReportLine, Store, StoreError, Stored};
use crate::store::{digest, number};

/// The layout that this program writes.
const LAYOUT: i64 = 1;

/// How long another collector's transaction is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS device (
    name TEXT PRIMARY KEY,
    end_seq INTEGER NOT NULL, end_head BLOB NOT NULL,
    head_seq INTEGER NOT NULL, head_beat INTEGER NOT NULL,
    heard_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    device TEXT NOT NULL, seq INTEGER NOT NULL,
    id TEXT NOT NULL, time TEXT NOT NULL, kind TEXT NOT NULL, lane TEXT,
    hash BLOB NOT NULL, prev BLOB, gap_from INTEGER, gap_to INTEGER,
    late INTEGER NOT NULL, data BLOB, stored_at TEXT NOT NULL,
    PRIMARY KEY (device, seq)
);
CREATE INDEX IF NOT EXISTS entry_time ON entry (time);
CREATE TABLE IF NOT EXISTS conceded (
    device TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
    why TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS report (
    at TEXT NOT NULL, device TEXT, kind TEXT NOT NULL, message TEXT NOT NULL
);
";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

/// The file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// If it cannot be opened, or is of a newer layout.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > LAYOUT {
            return Err(StoreError::Newer {
                found,
                known: LAYOUT,
            });
        }
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "user_version", LAYOUT)?;
        Ok(Self { connection })
    }
}

/// What is there of a gate's journal.
fn standing(transaction: &Transaction<'_>, device: &DeviceName) -> Result<Standing, StoreError> {
    let name = device.to_string();
    let row = transaction
        .prepare_cached(
            "SELECT end_seq, end_head, head_seq, head_beat FROM device WHERE name = ?1",
        )?
        .query_row(params![name], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })
        .optional()?;
    let (end, head) = match row {
        None => (Chain::EMPTY, (0, 0)),
        Some((seq, head, head_seq, beat)) => (
            Chain {
                seq: seq as u64,
                head: digest(&head)?,
            },
            (head_seq as u64, beat as u64),
        ),
    };
    let mut rows = transaction.prepare_cached(
        "SELECT seq, hash, prev, gap_from, gap_to FROM entry
         WHERE device = ?1 AND seq > ?2 ORDER BY seq",
    )?;
    let mut links = Vec::new();
    let mut found = rows.query(params![name, number(end.seq)?])?;
    while let Some(row) = found.next()? {
        let prev: Option<Vec<u8>> = row.get(2)?;
        let gap: (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        links.push(Link {
            seq: row.get::<_, i64>(0)? as u64,
            hash: digest(&row.get::<_, Vec<u8>>(1)?)?,
            prev: prev.as_deref().map(digest).transpose()?,
            gap: gap.0.zip(gap.1).map(|(from, to)| (from as u64, to as u64)),
        });
    }
    let mut rows =
        transaction.prepare_cached("SELECT from_seq, to_seq FROM conceded WHERE device = ?1")?;
    let conceded: Vec<(u64, u64)> = rows
        .query_map(params![name], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Standing::new(end, &links, &conceded, head))
}

impl Store for SqliteStore {
    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Book) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // Immediate: what is read below must still be so when it is written.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut page = Page { transaction };
        work(&mut page)?;
        page.transaction.commit()?;
        Ok(())
    }
}

impl Archive for SqliteStore {
    fn devices(&mut self) -> Result<Vec<DeviceLine>, StoreError> {
        let transaction = self.connection.transaction()?;
        let mut lines = Vec::new();
        {
            let mut rows =
                transaction.prepare("SELECT name, heard_at FROM device ORDER BY name")?;
            let names: Vec<(String, String)> = rows
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (name, heard_at) in names {
                let device: DeviceName = name
                    .parse()
                    .map_err(|_| StoreError::Content(format!("device {name:?}")))?;
                let standing = standing(&transaction, &device)?;
                let entries = transaction.query_row(
                    "SELECT count(*) FROM entry WHERE device = ?1",
                    params![name],
                    |row| row.get::<_, i64>(0),
                )?;
                lines.push(DeviceLine {
                    device,
                    upto: standing.end().seq,
                    last: standing.last(),
                    entries: entries as u64,
                    holes: standing.holes(),
                    heard_at,
                });
            }
        }
        Ok(lines)
    }

    fn entries(
        &mut self,
        device: &DeviceName,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut rows = self.connection.prepare_cached(
            "SELECT seq, data FROM entry WHERE device = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
        )?;
        let found = rows
            .query_map(
                params![device.to_string(), number(from)?, limit as i64],
                |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)),
            )?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    fn reports(&mut self, limit: usize) -> Result<Vec<ReportLine>, StoreError> {
        let mut rows = self.connection.prepare_cached(
            "SELECT at, device, kind, message FROM report ORDER BY rowid DESC LIMIT ?1",
        )?;
        let found = rows
            .query_map(params![limit as i64], |row| {
                Ok(ReportLine {
                    at: row.get(0)?,
                    device: row.get(1)?,
                    kind: row.get(2)?,
                    message: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }
}

struct Page<'c> {
    transaction: Transaction<'c>,
}

impl Book for Page<'_> {
    fn standing(&mut self, device: &DeviceName) -> Result<Standing, StoreError> {
        standing(&self.transaction, device)
    }

    fn hash(&mut self, device: &DeviceName, seq: u64) -> Result<Option<Digest>, StoreError> {
        self.transaction
            .prepare_cached("SELECT hash FROM entry WHERE device = ?1 AND seq = ?2")?
            .query_row(params![device.to_string(), number(seq)?], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional()?
            .as_deref()
            .map(digest)
            .transpose()
    }

    fn put(&mut self, entry: &Entry, now: Timestamp) -> Result<(), StoreError> {
        let gap = entry.link.gap;
        self.transaction
            .prepare_cached(
                "INSERT INTO entry VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
            )?
            .execute(params![
                entry.device.to_string(),
                number(entry.link.seq)?,
                entry.id,
                entry.time.to_string(),
                entry.kind,
                entry.lane,
                entry.link.hash.0.as_slice(),
                entry.link.prev.as_ref().map(|prev| prev.0.as_slice()),
                gap.map(|gap| number(gap.0)).transpose()?,
                gap.map(|gap| number(gap.1)).transpose()?,
                entry.late,
                entry.data,
                now.to_string(),
            ])?;
        Ok(())
    }

    fn note(
        &mut self,
        device: &DeviceName,
        end: Chain,
        head: (u64, u64),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO device VALUES (?1,?2,?3,?4,?5,?6)")?
            .execute(params![
                device.to_string(),
                number(end.seq)?,
                end.head.0.as_slice(),
                number(head.0)?,
                number(head.1)?,
                now.to_string(),
            ])?;
        Ok(())
    }

    fn concede(
        &mut self,
        device: &DeviceName,
        hole: (u64, u64),
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT INTO conceded VALUES (?1,?2,?3,?4,?5)")?
            .execute(params![
                device.to_string(),
                number(hole.0)?,
                number(hole.1)?,
                why,
                now.to_string(),
            ])?;
        Ok(())
    }

    fn report(&mut self, report: &Report, now: Timestamp) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT INTO report VALUES (?1,?2,?3,?4)")?
            .execute(params![
                now.to_string(),
                report.device.as_ref().map(ToString::to_string),
                report.kind.code(),
                report.message,
            ])?;
        Ok(())
    }
}
