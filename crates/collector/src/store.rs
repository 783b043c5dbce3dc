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
