//! Everything in a `PostgreSQL` database that a site has already.
//!
//! The tables are those of [`crate::sqlite`], with `PostgreSQL`'s own types for times and bytes, in
//! whatever schema the role's search path names first. Several collectors may share one database:
//! within a transaction each gate is locked before its journal is looked at, so that two
//! collectors write down different gates at the same time, and one gate's entries one after the
//! other. Where two wait for each other the server ends one of the transactions, which is then
//! done again.
//!
//! A transaction that has returned survives a power cut: the session asks for that
//! (`synchronous_commit`), and a server that was told not to care (`fsync = off`) is refused. A
//! connection that breaks fails the transaction, whose entries are not acknowledged; the next one
//! connects again.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use domain::chain::Link;
use domain::command::DeviceName;
use domain::event::{Chain, Digest};
use jiff::Timestamp;
use postgres::error::SqlState;
use postgres::{Client, Config, IsolationLevel, NoTls, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::PostgresConfig;
use crate::message::Entry;
use crate::standing::Standing;
use crate::store::{
    Archive, Book, DeviceLine, Report, ReportLine, Store, StoreError, Stored, digest, number,
};

/// The layout that this program writes.
const LAYOUT: i64 = 1;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How often a transaction is done again that the server ended for another one's sake.
const TRIES: u32 = 8;

/// What others lock as well, so that two collectors do not make the tables at the same time: any
/// number that nobody else uses.
const MAKING: i64 = 0x4d45_4e53_4845_4e01;

/// The first second of the year 1.
const FIRST_YEAR: i64 = -62_135_596_800;

const SESSION: &str = "
SET synchronous_commit = on;
SET lock_timeout = '20s';
SET statement_timeout = '60s';
SET TIME ZONE 'UTC';
";

const TABLES: &str = "
CREATE TABLE layout (version BIGINT NOT NULL);
CREATE TABLE device (
    name TEXT PRIMARY KEY,
    end_seq BIGINT NOT NULL, end_head BYTEA NOT NULL,
    head_seq BIGINT NOT NULL, head_beat BIGINT NOT NULL,
    heard_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE entry (
    device TEXT NOT NULL, seq BIGINT NOT NULL,
    id TEXT NOT NULL, time TIMESTAMPTZ NOT NULL, kind TEXT NOT NULL, lane TEXT,
    hash BYTEA NOT NULL, prev BYTEA, gap_from BIGINT, gap_to BIGINT,
    late BOOLEAN NOT NULL, data BYTEA, stored_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (device, seq)
);
CREATE INDEX entry_time ON entry (time);
CREATE TABLE conceded (
    device TEXT NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL,
    why TEXT NOT NULL, at TIMESTAMPTZ NOT NULL
);
CREATE TABLE report (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL, device TEXT, kind TEXT NOT NULL, message TEXT NOT NULL
);
";

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        Self::Database(words(&error).into())
    }
}

/// Its own words name only the kind of trouble; the server's are below it.
fn words(error: &postgres::Error) -> String {
    std::error::Error::source(error)
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// The database.
pub struct PostgresStore {
    /// For people.
    place: String,
    config: Config,
    tls: Option<tls::Files>,
    /// None while there is no connection.
    client: Option<Client>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not its configuration, which holds the password.
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects, and makes the tables if they are not there.
    ///
    /// # Errors
    /// If there is no connection, the tables are of a newer layout, or the server is not careful.
    pub fn open(place: &PostgresConfig, password: Option<String>) -> Result<Self, StoreError> {
        let name = place.name.as_ref().unwrap_or(&place.user);
        let mut config = Config::new();
        if place.is_socket() {
            config.host_path(&place.host);
        } else {
            config.host(&place.host);
        }
        config
            .port(place.port)
            .user(&place.user)
            .dbname(name)
            .application_name("menshen-collector")
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(CONNECT_WITHIN);
        if let Some(password) = password {
            config.password(password);
        }
        let tls = place
            .ca_file
            .clone()
            .map(|ca| tls::Files { ca, client: None });
        config.ssl_mode(if tls.is_some() {
            postgres::config::SslMode::Require
        } else {
            postgres::config::SslMode::Disable
        });
        let mut store = Self {
            place: format!(
                "the database {name} at {}, port {}, as {}",
                place.host, place.port, place.user
            ),
            config,
            tls,
            client: None,
        };
        store.connected()?;
        Ok(store)
    }

    /// The connection; a new one if the last is gone.
    fn connected(&mut self) -> Result<&mut Client, StoreError> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect()?,
        };
        Ok(self.client.insert(client))
    }

    fn connect(&self) -> Result<Client, StoreError> {
        let mut client = match &self.tls {
            Some(files) => {
                let believing = files
                    .client()
                    .map_err(|error| StoreError::Tls(Box::new(error)))?
                    .as_ref()
                    .clone();
                self.config.connect(MakeRustlsConnect::new(believing))
            }
            None => self.config.connect(NoTls),
        }
        .map_err(|error| StoreError::Unreachable {
            place: self.place.clone(),
            why: words(&error),
        })?;
        client.batch_execute(SESSION)?;
        let careful: String = client.query_one("SHOW fsync", &[])?.try_get(0)?;
        if careful != "on" {
            return Err(StoreError::Careless);
        }
        let mut transaction = client.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
        // Asked first: making sure of an index waits for everybody who writes.
        let there: bool = transaction
            .query_one("SELECT to_regclass('layout') IS NOT NULL", &[])?
            .try_get(0)?;
        if there {
            let found: i64 = transaction
                .query_one("SELECT version FROM layout", &[])?
                .try_get(0)?;
            if found > LAYOUT {
                return Err(StoreError::Newer {
                    found,
                    known: LAYOUT,
                });
            }
        } else {
            transaction.batch_execute(TABLES)?;
            transaction.execute("INSERT INTO layout VALUES ($1)", &[&LAYOUT])?;
        }
        transaction.commit()?;
        Ok(client)
    }

    /// One try of a transaction; `None` if the server ended it for another one's sake.
    fn try_batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Book) -> Result<(), StoreError>,
    ) -> Result<Option<()>, StoreError> {
        let client = self.connected()?;
        let mut page = Page {
            transaction: client.transaction()?,
            locked: BTreeSet::new(),
            lost: false,
        };
        let worked = work(&mut page);
        if page.lost {
            return Ok(None);
        }
        worked?;
        match page.transaction.commit() {
            Ok(()) => Ok(Some(())),
            Err(error) if gave_way(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A time as the client takes it. What comes in an envelope may be any; the database begins in
/// 4713 BC, and a transaction that it refuses would be tried for ever.
fn at(time: Timestamp) -> Result<SystemTime, StoreError> {
    let earliest = Timestamp::from_second(FIRST_YEAR).unwrap_or(Timestamp::UNIX_EPOCH);
    SystemTime::try_from(time.max(earliest))
        .map_err(|error| StoreError::Content(format!("{time}: {error}")))
}

/// A text as the database takes it: without the one character that it refuses, for the same reason.
fn text(words: &str) -> String {
    words.replace('\0', "\u{fffd}")
}

/// A time as [`crate::sqlite`] keeps it; `PostgreSQL` knows no finer one than a microsecond.
fn in_words(time: SystemTime) -> Result<String, StoreError> {
    Timestamp::try_from(time)
        .map(|time| time.to_string())
        .map_err(|error| StoreError::Content(format!("a time: {error}")))
}

/// Whether the server ended a transaction so that another one may go on.
fn gave_way(error: &postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
        || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

impl Store for PostgresStore {
    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Book) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            if self.try_batch(work)?.is_some() {
                return Ok(());
            }
        }
        Err(StoreError::Database(
            format!("{TRIES} times another collector was in the way; are too many running?").into(),
        ))
    }
}

impl Archive for PostgresStore {
    fn devices(&mut self) -> Result<Vec<DeviceLine>, StoreError> {
        let mut transaction = self
            .connected()?
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()?;
        let mut lines = Vec::new();
        let names = transaction.query(
            "SELECT name, heard_at FROM device ORDER BY name COLLATE \"C\"",
            &[],
        )?;
        for row in names {
            let (name, heard_at): (String, SystemTime) = (row.try_get(0)?, row.try_get(1)?);
            let device: DeviceName = name
                .parse()
                .map_err(|_| StoreError::Content(format!("device {name:?}")))?;
            let standing = standing(&mut transaction, &device)?;
            let entries: i64 = transaction
                .query_one("SELECT count(*) FROM entry WHERE device = $1", &[&name])?
                .try_get(0)?;
            lines.push(DeviceLine {
                device,
                upto: standing.end().seq,
                last: standing.last(),
                entries: entries as u64,
                holes: standing.holes(),
                heard_at: in_words(heard_at)?,
            });
        }
        Ok(lines)
    }

    fn entries(
        &mut self,
        device: &DeviceName,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let (name, from) = (device.to_string(), number(from)?);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connected()?
            .query(
                "SELECT seq, data FROM entry WHERE device = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
                &[&name, &from, &limit],
            )?
            .iter()
            .map(|row| Ok((row.try_get::<_, i64>(0)? as u64, row.try_get(1)?)))
            .collect()
    }

    fn reports(&mut self, limit: usize) -> Result<Vec<ReportLine>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connected()?
            .query(
                "SELECT at, device, kind, message FROM report ORDER BY number DESC LIMIT $1",
                &[&limit],
            )?
            .iter()
            .map(|row| {
                Ok(ReportLine {
                    at: in_words(row.try_get(0)?)?,
                    device: row.try_get(1)?,
                    kind: row.try_get(2)?,
                    message: row.try_get(3)?,
                })
            })
            .collect()
    }
}

/// What is there of a gate's journal.
fn standing(
    transaction: &mut Transaction<'_>,
    device: &DeviceName,
) -> Result<Standing, StoreError> {
    let name = device.to_string();
    let stored = transaction.query_opt(
        "SELECT end_seq, end_head, head_seq, head_beat FROM device WHERE name = $1",
        &[&name],
    )?;
    let (end, head) = match stored {
        None => (Chain::EMPTY, (0, 0)),
        Some(row) => (
            Chain {
                seq: row.try_get::<_, i64>(0)? as u64,
                head: digest(row.try_get(1)?)?,
            },
            (
                row.try_get::<_, i64>(2)? as u64,
                row.try_get::<_, i64>(3)? as u64,
            ),
        ),
    };
    let links = transaction
        .query(
            "SELECT seq, hash, prev, gap_from, gap_to FROM entry
             WHERE device = $1 AND seq > $2 ORDER BY seq",
            &[&name, &number(end.seq)?],
        )?
        .iter()
        .map(|row| {
            let prev: Option<&[u8]> = row.try_get(2)?;
            let gap: (Option<i64>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
            Ok(Link {
                seq: row.try_get::<_, i64>(0)? as u64,
                hash: digest(row.try_get(1)?)?,
                prev: prev.map(digest).transpose()?,
                gap: gap.0.zip(gap.1).map(|(from, to)| (from as u64, to as u64)),
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let conceded = transaction
        .query(
            "SELECT from_seq, to_seq FROM conceded WHERE device = $1",
            &[&name],
        )?
        .iter()
        .map(|row| {
            Ok((
                row.try_get::<_, i64>(0)? as u64,
                row.try_get::<_, i64>(1)? as u64,
            ))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Standing::new(end, &links, &conceded, head))
}

struct Page<'c> {
    transaction: Transaction<'c>,
    /// Gates whose journals nobody else writes until this transaction ends.
    locked: BTreeSet<DeviceName>,
    /// Whether the server ended this transaction so that another may go on.
    lost: bool,
}

impl Page<'_> {
    /// Does `work` with the gate's journal, when nobody else writes it.
    fn with<T>(
        &mut self,
        device: &DeviceName,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !self.locked.contains(device) {
            let lock = self.transaction.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
                &[&device.to_string()],
            );
            if let Err(error) = lock {
                self.lost |= gave_way(&error);
                return Err(error.into());
            }
            self.locked.insert(device.clone());
        }
        work(&mut self.transaction)
    }
}

impl Book for Page<'_> {
    fn standing(&mut self, device: &DeviceName) -> Result<Standing, StoreError> {
        self.with(device, |transaction| standing(transaction, device))
    }

    fn hash(&mut self, device: &DeviceName, seq: u64) -> Result<Option<Digest>, StoreError> {
        self.with(device, |transaction| {
            transaction
                .query_opt(
                    "SELECT hash FROM entry WHERE device = $1 AND seq = $2",
                    &[&device.to_string(), &number(seq)?],
                )?
                .map(|row| digest(row.try_get(0)?))
                .transpose()
        })
    }

    fn put(&mut self, entry: &Entry, now: Timestamp) -> Result<(), StoreError> {
        let gap = entry.link.gap;
        let gap = (
            gap.map(|gap| number(gap.0)).transpose()?,
            gap.map(|gap| number(gap.1)).transpose()?,
        );
        self.with(&entry.device, |transaction| {
            transaction.execute(
                "INSERT INTO entry VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)",
                &[
                    &entry.device.to_string(),
                    &number(entry.link.seq)?,
                    &text(&entry.id),
                    &at(entry.time)?,
                    &text(&entry.kind),
                    &entry.lane.as_deref().map(text),
                    &entry.link.hash.0.as_slice(),
                    &entry.link.prev.as_ref().map(|prev| prev.0.as_slice()),
                    &gap.0,
                    &gap.1,
                    &entry.late,
                    &entry.data,
                    &at(now)?,
                ],
            )?;
            Ok(())
        })
    }

    fn note(
        &mut self,
        device: &DeviceName,
        end: Chain,
        head: (u64, u64),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.with(device, |transaction| {
            transaction.execute(
                "INSERT INTO device VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (name) DO UPDATE SET
                 (end_seq, end_head, head_seq, head_beat, heard_at) =
                 (excluded.end_seq, excluded.end_head, excluded.head_seq, excluded.head_beat,
                  excluded.heard_at)",
                &[
                    &device.to_string(),
                    &number(end.seq)?,
                    &end.head.0.as_slice(),
                    &number(head.0)?,
                    &number(head.1)?,
                    &at(now)?,
                ],
            )?;
            Ok(())
        })
    }

    fn concede(
        &mut self,
        device: &DeviceName,
        hole: (u64, u64),
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.with(device, |transaction| {
            transaction.execute(
                "INSERT INTO conceded VALUES ($1,$2,$3,$4,$5)",
                &[
                    &device.to_string(),
                    &number(hole.0)?,
                    &number(hole.1)?,
                    &text(why),
                    &at(now)?,
                ],
            )?;
            Ok(())
        })
    }

    fn report(&mut self, report: &Report, now: Timestamp) -> Result<(), StoreError> {
        self.transaction.execute(
            "INSERT INTO report (at, device, kind, message) VALUES ($1,$2,$3,$4)",
            &[
                &at(now)?,
                &report.device.as_ref().map(ToString::to_string),
                &report.kind.code(),
                &text(&report.message),
            ],
        )?;
        Ok(())
    }
}
