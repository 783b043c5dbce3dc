//! The journal: an append-only, hash-chained sequence of events, and the outbox on it.
//!
//! [`Journal::append_batch`] seals events into the chain and writes them; it does not wait for
//! the disk. [`Journal::sync`] does, once for everything appended since. Only what was synced
//! is handed out by the outbox ([`Journal::pending`]), so that nobody ever holds an entry
//! which this device could forget. [`Journal::acknowledge`] moves the outbox's cursor.
//!
//! Sequence numbers are never used twice. What a dying disk destroys, or what had to make
//! room, leaves a hole; every hole is declared by a [`Event::Gap`] further on, and
//! [`Journal::verify`] accepts no other.

mod outbox;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use domain::Event;
use domain::event::{Chain, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::record::{self, Fault};
use crate::store::{Area, Batch, Store, StoreError};

pub use outbox::Shrunk;
pub use walk::{Broken, Verified};

/// Entries after which the checkpoint moves up; a start checks at most about twice as many.
const CHECKPOINT_EVERY: u64 = 256;

/// What an entry needs besides its event. The caller has the clock and the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// A fresh UUIDv7.
    pub id: Uuid,
    /// When the event happened, by the wall clock.
    pub time: Timestamp,
    /// Whether the wall clock is trusted.
    pub clock_trusted: bool,
}

/// Where further stamps come from, for the entries that the journal writes of itself.
pub type Stamps<'a> = &'a mut dyn FnMut() -> Stamp;

/// Why the journal could not do something.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event could not be written as JSON.
    #[error(
        "an event cannot be written as JSON: {0}; this is a mistake in the program, please report it"
    )]
    Unwritable(serde_json::Error),
    /// Somebody acknowledged what was never sent.
    #[error(
        "the server acknowledged entry {upto}, but only {sent} were ever handed out; it probably holds another device's journal: check the device names"
    )]
    NeverSent {
        /// The number acknowledged.
        upto: u64,
        /// The greatest that was handed out.
        sent: u64,
    },
}

/// The chain's end as the state record stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    seq: u64,
    head: Digest,
}

impl From<Chain> for Point {
    fn from(chain: Chain) -> Self {
        Self {
            seq: chain.seq,
            head: chain.head,
        }
    }
}

impl From<Point> for Chain {
    fn from(point: Point) -> Self {
        Self {
            seq: point.seq,
            head: point.head,
        }
    }
}

/// What is written beside the entries, in the same batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// What stands before the first entry that is kept.
    anchor: Point,
    /// A synced entry from which a start checks onward.
    checkpoint: Point,
    /// Everything up to here was acknowledged.
    acked: u64,
    /// Bytes of the records kept.
    bytes: u64,
}

impl State {
    const EMPTY: Self = Self::starting(Chain::EMPTY);

    const fn starting(chain: Chain) -> Self {
        let point = Point {
            seq: chain.seq,
            head: chain.head,
        };
        Self {
            anchor: point,
            checkpoint: point,
            acked: chain.seq,
            bytes: 0,
        }
    }
}

fn entry_key(seq: u64) -> Vec<u8> {
    Area::Journal.key(&seq.to_be_bytes())
}

fn entry_seq(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

fn state_key() -> Vec<u8> {
    Area::JournalState.key(b"")
}

fn record_bytes(record: &[u8]) -> u64 {
    record.len() as u64 + 9
}

/// Entries that are sealed into a batch and not yet part of the journal.
#[derive(Debug)]
#[must_use = "the entries count once `commit` was called after the write"]
pub struct Prepared {
    state: State,
    end: Chain,
    first: u64,
}

/// The journal of one device.
pub struct Journal {
    store: Arc<dyn Store>,
    state: State,
    end: Chain,
    synced: u64,
    /// Holes that were found and not yet declared.
    undeclared: Vec<(u64, u64)>,
}

impl Journal {
    /// Opens the journal in `store` and checks its newest part; `after` is where a journal
    /// begins that has no entries yet.
    ///
    /// Damage is not an error: it is kept for [`Self::declare`], which the caller should call
    /// next, and returned in words.
    ///
    /// # Errors
    /// If the store fails, or a record is of a newer layout.
    pub fn open(store: Arc<dyn Store>, after: Chain) -> Result<(Self, Vec<String>), JournalError> {
        let mut reports = Vec::new();
        let last = store.last(&entry_key(0), &entry_key(u64::MAX))?;
        let stored = store.get(&state_key())?;
        let state = match stored.as_deref().map(read_state).transpose()? {
            Some(Some(state)) => Some(state),
            None if last.is_none() => Some(State::starting(after)),
            _ => None,
        };
        let state = if let Some(state) = state {
            state
        } else {
            reports.push(
                "the journal's state record is damaged; its entries were read again from the first, and all of them are delivered again".into(),
            );
            walk::rebuild(&*store)?
        };
        let walked = walk::walk(&*store, state.checkpoint.into(), |_| {})?;
        let mut undeclared = walked.undeclared();
        undeclared.retain(|&(_, to)| to > state.anchor.seq);
        if let (Some(&(from, _)), Some(&(_, to))) = (undeclared.first(), undeclared.last()) {
            reports.push(format!(
                "journal entries between {from} and {to} are damaged and lost; the disk may be failing, replace it soon"
            ));
        }
        for seq in walked.broken {
            reports.push(format!(
                "journal entry {seq} does not continue the one before it: one of them was changed; keep the store for examination"
            ));
        }
        // Entries from before the anchor are gone for good; a torn batch may have left some.
        loop {
            let left = store.range(&entry_key(0), &entry_key(state.anchor.seq + 1), 1000)?;
            if left.is_empty() {
                break;
            }
            let mut batch = Batch::default();
            for (key, _) in left {
                batch.remove(key);
            }
            store.write(&batch)?;
        }
        // What is read back may still be in the operating system's cache alone.
        store.sync()?;
        let journal = Self {
            store,
            state,
            end: walked.end,
            synced: walked.end.seq,
            undeclared,
        };
        Ok((journal, reports))
    }

    /// Never uses the numbers up to `upto` that it has not used yet, because an earlier life of
    /// this journal may have; [`Self::declare`] then says so.
    pub fn skip_to(&mut self, upto: u64) {
        if upto > self.end.seq {
            self.undeclared.push((self.end.seq + 1, upto));
            self.end.seq = upto;
        }
    }

    /// Declares, by gap events, the holes that were found since the last call; says how many
    /// there were.
    ///
    /// # Errors
    /// If the store fails; the holes are kept for the next call.
    pub fn declare(&mut self, stamps: Stamps<'_>) -> Result<usize, JournalError> {
        if self.undeclared.is_empty() {
            return Ok(0);
        }
        let mut batch = Batch::default();
        let events = self
            .undeclared
            .iter()
            .map(|&(from, to)| {
                let event = Event::Gap {
                    from,
                    to,
                    why: "the stored entries were damaged".into(),
                };
                (stamps(), event)
            })
            .collect();
        // The gap stands before the removals: should even this batch be torn, the damaged
        // records still show which numbers were used.
        let prepared = self.prepare(&mut batch, events)?;
        for &(from, to) in &self.undeclared {
            let damaged = self
                .store
                .range(&entry_key(from), &entry_key(to + 1), usize::MAX)?;
            for (key, _) in damaged {
                batch.remove(key);
            }
        }
        self.store.write(&batch)?;
        self.commit(prepared);
        Ok(std::mem::take(&mut self.undeclared).len())
    }

    /// Appends events and returns their sequence numbers, without waiting for the disk: all of
    /// them or, with an error, none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn append_batch(
        &mut self,
        events: Vec<(Stamp, Event)>,
    ) -> Result<std::ops::RangeInclusive<u64>, JournalError> {
        let mut batch = Batch::default();
        let prepared = self.prepare(&mut batch, events)?;
        self.store.write(&batch)?;
        let first = prepared.first;
        self.commit(prepared);
        Ok(first..=self.end.seq)
    }

    /// Seals events into a batch that holds further writes; [`Self::commit`] must follow once
    /// the store took it, and nothing else of this journal in between.
    ///
    /// # Errors
    /// If an event cannot be written as JSON.
    pub fn prepare(
        &self,
        batch: &mut Batch,
        events: Vec<(Stamp, Event)>,
    ) -> Result<Prepared, JournalError> {
        self.prepare_with(self.state, batch, events)
    }

    fn prepare_with(
        &self,
        mut state: State,
        batch: &mut Batch,
        events: Vec<(Stamp, Event)>,
    ) -> Result<Prepared, JournalError> {
        let mut end = self.end;
        let first = end.seq + 1;
        for (stamp, event) in events {
            let (entry, bytes, next) = end
                .seal(stamp.id, stamp.time, stamp.clock_trusted, event)
                .map_err(JournalError::Unwritable)?;
            let key = entry_key(entry.seq);
            let record = record::seal(&key, &bytes);
            state.bytes = state.bytes.saturating_add(record_bytes(&record));
            batch.put(key, record);
            end = next;
        }
        // Only a synced end may be a checkpoint: a start trusts what stands before it.
        if self.synced == self.end.seq && self.end.seq >= state.checkpoint.seq + CHECKPOINT_EVERY {
            state.checkpoint = self.end.into();
        }
        put_state(batch, state)?;
        Ok(Prepared { state, end, first })
    }

    /// Takes prepared entries into the journal, after the store took their batch.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "what was taken in once must not be taken in again"
    )]
    pub fn commit(&mut self, prepared: Prepared) {
        self.state = prepared.state;
        self.end = prepared.end;
    }

    /// Waits until everything appended is durable, and returns the last number that now is.
    ///
    /// # Errors
    /// If the disk fails. Then nothing more is handed out until the program is started anew.
    pub fn sync(&mut self) -> Result<u64, JournalError> {
        if self.synced < self.end.seq {
            self.store.sync()?;
            self.synced = self.end.seq;
        }
        Ok(self.synced)
    }

    /// The chain's end, durable or not.
    pub fn end(&self) -> Chain {
        self.end
    }

    /// The last durable sequence number.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Bytes that the kept entries take.
    pub fn bytes(&self) -> u64 {
        self.state.bytes
    }

    /// Checks every kept entry: checksums, numbers, chain, and that every hole is declared.
    ///
    /// # Errors
    /// The store's error outside, [`Broken`] inside.
    pub fn verify(&self) -> Result<Result<Verified, Broken>, JournalError> {
        let walked = walk::walk(&*self.store, self.state.anchor.into(), |_| {})?;
        Ok(walked.verdict(self.state.anchor.into()))
    }

    /// At most `limit` kept entries from number `from` on, delivered or not: number and stored
    /// bytes. Damaged ones are left out.
    ///
    /// # Errors
    /// If the store fails.
    pub fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        let found = self
            .store
            .range(&entry_key(from), &entry_key(u64::MAX), limit)?;
        Ok(found
            .iter()
            .filter_map(|(key, stored)| {
                let payload = record::open(key, stored).ok()?;
                Some((entry_seq(key)?, payload.to_vec()))
            })
            .collect())
    }
}

fn put_state(batch: &mut Batch, state: State) -> Result<(), JournalError> {
    let key = state_key();
    let payload = serde_json::to_vec(&state).map_err(JournalError::Unwritable)?;
    let sealed = record::seal(&key, &payload);
    batch.put(key, sealed);
    Ok(())
}

/// The state in its record; `None` if it is damaged.
fn read_state(stored: &[u8]) -> Result<Option<State>, StoreError> {
    match record::open(&state_key(), stored) {
        Ok(payload) => Ok(serde_json::from_slice(payload).ok()),
        Err(Fault::Damaged) => Ok(None),
        Err(Fault::Newer(found)) => Err(StoreError::Newer {
            found,
            known: record::LAYOUT,
        }),
    }
}
