//! What is kept, behind a trait: so that a site may keep it where it likes.
//!
//! One [`Store::batch`] is one transaction: everything in it is durable when it returns, or
//! nothing is. Several collectors may share one store (shared subscriptions deliver each entry
//! to one of them), so every batch reads what it builds on within its own transaction.

use domain::command::DeviceName;
use domain::event::{Chain, Digest};
use jiff::Timestamp;

use crate::message::Entry;
use crate::standing::Standing;

/// Something that a person should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The gate, if it is about one.
    pub device: Option<DeviceName>,
    /// What sort.
    pub kind: ReportKind,
    /// What happened and what to do.
    pub message: String,
}

/// Sorts of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportKind {
    /// A message was not taken.
    Refused,
    /// Two different entries have one number.
    Fork,
    /// An entry does not fit the ones beside it.
    Broken,
    /// Entries are missing, and the gate has not declared them.
    Hole,
    /// They have come after all, or were declared.
    HoleClosed,
    /// The gate has declared entries lost.
    Gap,
    /// Numbers were given up: from before the enrolment, or on a person's word.
    Conceded,
    /// Nothing new is heard of a gate.
    Silent,
    /// It is heard of again.
    Back,
    /// A gate speaks of entries that do not come.
    Behind,
}

impl ReportKind {
    /// As it is stored.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Fork => "fork",
            Self::Broken => "broken",
            Self::Hole => "hole",
            Self::HoleClosed => "hole-closed",
            Self::Gap => "gap",
            Self::Conceded => "conceded",
            Self::Silent => "silent",
            Self::Back => "back",
            Self::Behind => "behind",
        }
    }
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's own words.
    #[error("the database failed: {0}; entries are not acknowledged until it works again")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its server does not let us in, or is not there.
    #[error(
        "{place} cannot be used: {why}; see that the server runs there and lets this role in, and look at host, port, user, name and password_file in [postgres]; entries are not acknowledged until it works again"
    )]
    Unreachable {
        /// Which database, where.
        place: String,
        /// What the server or the system says.
        why: String,
    },
    /// What is in it cannot be read.
    #[error("the database holds what this program did not write: {0}")]
    Content(String),
    /// It is of another program's version.
    #[error("the database has layout {found}, this program knows {known}; use a newer program")]
    Newer {
        /// The layout found.
        found: i64,
        /// The greatest known.
        known: i64,
    },
    /// The server would forget in a power cut what it had called stored.
    #[error(
        "the PostgreSQL server runs with fsync = off: it could lose entries that were acknowledged to the gate; set fsync = on in its configuration"
    )]
    Careless,
    /// A certificate or its key cannot be used.
    #[error("postgres.{0}")]
    Tls(#[source] Box<tls::FileError>),
}

/// One transaction.
pub trait Book {
    /// What is there of a gate's journal.
    ///
    /// # Errors
    /// If the store fails.
    fn standing(&mut self, device: &DeviceName) -> Result<Standing, StoreError>;

    /// The hash of a stored entry.
    ///
    /// # Errors
    /// If the store fails.
    fn hash(&mut self, device: &DeviceName, seq: u64) -> Result<Option<Digest>, StoreError>;

    /// Stores an entry.
    ///
    /// # Errors
    /// If the store fails.
    fn put(&mut self, entry: &Entry, now: Timestamp) -> Result<(), StoreError>;

    /// Notes how far a gate's journal is whole now, and its last head.
    ///
    /// # Errors
    /// If the store fails.
    fn note(
        &mut self,
        device: &DeviceName,
        end: Chain,
        head: (u64, u64),
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Gives numbers up.
    ///
    /// # Errors
    /// If the store fails.
    fn concede(
        &mut self,
        device: &DeviceName,
        hole: (u64, u64),
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Stores a report.
    ///
    /// # Errors
    /// If the store fails.
    fn report(&mut self, report: &Report, now: Timestamp) -> Result<(), StoreError>;
}

/// Where everything is kept.
pub trait Store {
    /// Does `work` in one transaction, which is durable when this returns without an error.
    ///
    /// # Errors
    /// If the store or `work` fails; nothing is kept then.
    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Book) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

/// What is known of a gate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLine {
    /// The gate.
    pub device: DeviceName,
    /// Everything up to here is there or declared lost.
    pub upto: u64,
    /// The greatest number that is stored.
    pub last: u64,
    /// Entries that are stored.
    pub entries: u64,
    /// Missing and not declared.
    pub holes: Vec<(u64, u64)>,
    /// When it was last heard of.
    pub heard_at: String,
}

/// A number and the stored bytes, if the gate could send them.
pub type Stored = (u64, Option<Vec<u8>>);

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLine {
    /// When, by this machine's clock.
    pub at: String,
    /// The gate, if it is about one.
    pub device: Option<String>,
    /// What sort: [`crate::ReportKind::code`].
    pub kind: String,
    /// What happened and what to do.
    pub message: String,
}

/// A store that people can look into.
pub trait Archive: Store {
    /// What is known of every gate.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn devices(&mut self) -> Result<Vec<DeviceLine>, StoreError>;

    /// The stored bytes of a gate's entries from a number on, for whoever checks the chain
    /// again or reads the archive.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn entries(
        &mut self,
        device: &DeviceName,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError>;

    /// The last reports, the latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn reports(&mut self, limit: usize) -> Result<Vec<ReportLine>, StoreError>;
}

/// The database's integers are signed; a journal never comes near that.
pub(crate) fn number(seq: u64) -> Result<i64, StoreError> {
    i64::try_from(seq).map_err(|_| StoreError::Content(format!("number {seq}")))
}

/// A digest as it is stored.
pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    bytes
        .try_into()
        .map(Digest)
        .map_err(|_| StoreError::Content("a digest of another length".to_owned()))
}
