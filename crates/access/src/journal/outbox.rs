//! The outbox: the journal's entries that nobody has acknowledged yet, and what makes room.

use domain::event::{Chain, Digest};
use domain::{Entry, Event};
use jiff::Timestamp;

use super::{Journal, JournalError, Point, Stamps, entry_key, entry_seq, put_state, record_bytes};
use crate::store::Batch;
use crate::store::record;

/// Entries dropped in one batch; bounds how long an append may have to wait.
const CHUNK: usize = 256;

/// What was dropped to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shrunk {
    /// Delivered entries.
    pub delivered: u64,
    /// Entries that were never acknowledged; a gap event says which.
    pub undelivered: u64,
}

impl Journal {
    /// Everything up to this number was acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.state.acked
    }

    /// Entries that still wait for an acknowledgement, durable or not.
    pub fn depth(&self) -> u64 {
        self.end.seq
            - self
                .state
                .acked
                .max(self.state.anchor.seq)
                .min(self.end.seq)
    }

    /// The next entries to deliver: at most `limit` durable, unacknowledged ones from number
    /// `from` on, each with its stored bytes. A damaged entry is left out and declared lost
    /// by the next [`Journal::declare`].
    ///
    /// # Errors
    /// If the store fails.
    pub fn pending(
        &mut self,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        let from = from.max(self.state.acked.max(self.state.anchor.seq) + 1);
        let found = self
            .store
            .range(&entry_key(from), &entry_key(self.synced + 1), limit)?;
        let mut entries = Vec::with_capacity(found.len());
        for (key, stored) in &found {
            let Some(seq) = entry_seq(key) else { continue };
            match record::open(key, stored) {
                Ok(payload) => entries.push((seq, payload.to_vec())),
                Err(_) if self.undeclared.iter().any(|&(a, b)| (a..=b).contains(&seq)) => {}
                Err(_) => self.undeclared.push((seq, seq)),
            }
        }
        Ok(entries)
    }

    /// Takes note that everything up to `upto` arrived; a number that is acknowledged already
    /// changes nothing. Not synced: a forgotten acknowledgement costs one delivery more.
    ///
    /// # Errors
    /// [`JournalError::NeverSent`] if `upto` was never handed out; else if the store fails.
    pub fn acknowledge(&mut self, upto: u64) -> Result<(), JournalError> {
        if upto > self.synced {
            return Err(JournalError::NeverSent {
                upto,
                sent: self.synced,
            });
        }
        if upto > self.state.acked {
            let mut state = self.state;
            state.acked = upto;
            let mut batch = Batch::default();
            put_state(&mut batch, state)?;
            self.store.write(&batch)?;
            self.state = state;
        }
        Ok(())
    }

    /// Drops the oldest entries until the kept ones take at most `budget` bytes: delivered
    /// ones, and if that is not enough, others, which a gap event then names. The newest
    /// entry always stays.
    ///
    /// # Errors
    /// If the store fails; what was dropped before it failed stays dropped.
    pub fn shrink(&mut self, budget: u64, stamps: Stamps<'_>) -> Result<Shrunk, JournalError> {
        let mut shrunk = Shrunk::default();
        if self.state.bytes <= budget {
            return Ok(shrunk);
        }
        // Somewhat more than asked, so that a full disk does not cost a gap event an entry.
        let target = budget - budget / 10;
        while self.state.bytes > target {
            let excess = self.state.bytes - target;
            let mut freed = 0;
            let dropped = self.drop_front(
                |_, size, _| {
                    let wanted = freed < excess;
                    freed += size;
                    wanted
                },
                stamps,
            )?;
            if dropped == Shrunk::default() {
                break;
            }
            shrunk.delivered += dropped.delivered;
            shrunk.undelivered += dropped.undelivered;
        }
        Ok(shrunk)
    }

    /// Drops delivered entries from before `time`, a few hundred a call; says how many.
    ///
    /// # Errors
    /// If the store fails.
    pub fn expire(&mut self, time: Timestamp, stamps: Stamps<'_>) -> Result<u64, JournalError> {
        let acked = self.state.acked;
        let old = |seq: u64, _: u64, payload: Option<&[u8]>| {
            let entry = payload.and_then(|bytes| serde_json::from_slice::<Entry>(bytes).ok());
            seq <= acked && entry.is_none_or(|entry| entry.time < time)
        };
        let dropped = self.drop_front(old, stamps)?;
        Ok(dropped.delivered)
    }

    /// Drops the first entries for as long as `wanted` says so (number, bytes, payload), at
    /// most one chunk, never what is not yet durable and never the last.
    fn drop_front(
        &mut self,
        mut wanted: impl FnMut(u64, u64, Option<&[u8]>) -> bool,
        stamps: Stamps<'_>,
    ) -> Result<Shrunk, JournalError> {
        let before = self.synced.min(self.end.seq.saturating_sub(1)) + 1;
        let first = entry_key(self.state.anchor.seq + 1);
        let found = self.store.range(&first, &entry_key(before), CHUNK)?;
        let mut state = self.state;
        let mut shrunk = Shrunk::default();
        let mut removals = Batch::default();
        let mut damaged = Vec::new();
        // An undelivered gap event that goes takes its declaration with it.
        let mut undeclared_from = state.acked.max(self.state.anchor.seq) + 1;
        for (key, stored) in found {
            let Some(seq) = entry_seq(&key) else { continue };
            let payload = record::open(&key, &stored).ok();
            let size = record_bytes(&stored);
            if !wanted(seq, size, payload) {
                break;
            }
            match payload {
                Some(payload) => {
                    state.anchor = Point::from(Chain {
                        seq,
                        head: Digest::of(payload),
                    });
                }
                // Nothing can be chained to a damaged entry, so the anchor stays before it.
                None => damaged.push((seq, seq)),
            }
            state.bytes = state.bytes.saturating_sub(size);
            if seq <= state.acked {
                shrunk.delivered += 1;
            } else {
                shrunk.undelivered += 1;
                undeclared_from = undeclared_from.min(declared_by(payload).unwrap_or(u64::MAX));
            }
            removals.remove(key);
        }
        if removals.is_empty() {
            return Ok(shrunk);
        }
        if state.checkpoint.seq < state.anchor.seq {
            state.checkpoint = state.anchor;
        }
        let mut events = Vec::new();
        if shrunk.undelivered > 0 {
            let gap = Event::Gap {
                from: undeclared_from,
                to: state.anchor.seq,
                why: "the disk budget was used up before they could be delivered".into(),
            };
            events.push((stamps(), gap));
        }
        // The gap stands before the removals, should even this batch be torn.
        let mut batch = Batch::default();
        let prepared = self.prepare_with(state, &mut batch, events)?;
        batch.writes.append(&mut removals.writes);
        self.store.write(&batch)?;
        self.commit(prepared);
        self.undeclared.append(&mut damaged);
        self.undeclared.sort_unstable();
        self.undeclared.dedup();
        self.undeclared.retain(|&(_, to)| to > state.anchor.seq);
        Ok(shrunk)
    }
}

/// The first number that an entry declares as gone, if it is a gap event.
fn declared_by(payload: Option<&[u8]>) -> Option<u64> {
    match serde_json::from_slice::<Entry>(payload?).ok()?.event {
        Event::Gap { from, .. } => Some(from),
        _ => None,
    }
}
