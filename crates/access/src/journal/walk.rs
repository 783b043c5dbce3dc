//! Reading the journal from one point on, checking every entry.

use domain::chain::{Link, Trail};
use domain::event::{Chain, Digest};
use domain::{Entry, Event};

use super::{JournalError, State, entry_key, entry_seq, record_bytes};
use crate::store::record::{self, Fault};
use crate::store::{Store, StoreError};

/// Entries read at once.
const CHUNK: usize = 256;

/// What a check of the whole journal found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries that are there and verify.
    pub entries: u64,
    /// The number after which the kept entries begin.
    pub after: u64,
    /// The last number.
    pub last: u64,
    /// Ranges of numbers that are gone, each declared by a gap event.
    pub gaps: Vec<(u64, u64)>,
}

/// What a check of the whole journal found wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal does not verify: missing or damaged without a gap event: {holes:?}; changed (or the entry before them was): {changed:?}; keep a copy of the store and find out who wrote to it, or replace the disk"
)]
pub struct Broken {
    /// Ranges of numbers that are missing or damaged and not declared.
    pub holes: Vec<(u64, u64)>,
    /// Entries whose link to the one before does not fit.
    pub changed: Vec<u64>,
}

/// One pass over the entries after a point.
pub(super) struct Walk {
    pub(super) end: Chain,
    pub(super) broken: Vec<u64>,
    entries: u64,
    /// Every hole, declared or not.
    holes: Vec<(u64, u64)>,
    trail: Trail,
}

impl Walk {
    /// The holes that no gap event declares.
    pub(super) fn undeclared(&self) -> Vec<(u64, u64)> {
        let mut holes = self.trail.holes();
        if self.end.seq > self.trail.last() {
            holes.extend(self.trail.undeclared((self.trail.last() + 1, self.end.seq)));
        }
        holes
    }

    pub(super) fn verdict(self, from: Chain) -> Result<Verified, Broken> {
        let holes = self.undeclared();
        if holes.is_empty() && self.broken.is_empty() {
            Ok(Verified {
                entries: self.entries,
                after: from.seq,
                last: self.end.seq,
                gaps: self.holes,
            })
        } else {
            Err(Broken {
                holes,
                changed: self.broken,
            })
        }
    }
}

/// Calls `visit` with every stored pair after `from`, in order.
fn visit(
    store: &dyn Store,
    from: u64,
    mut visit: impl FnMut(u64, &[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut next = from.saturating_add(1);
    loop {
        let pairs = store.range(&entry_key(next), &entry_key(u64::MAX), CHUNK)?;
        for (key, stored) in &pairs {
            if let Some(seq) = entry_seq(key) {
                visit(seq, key, stored)?;
                next = seq + 1;
            }
        }
        if pairs.len() < CHUNK {
            return Ok(());
        }
    }
}

/// The entry in a stored record, if both are sound.
fn sound(seq: u64, key: &[u8], stored: &[u8]) -> Result<Option<(Entry, Digest)>, StoreError> {
    match record::open(key, stored) {
        Ok(payload) => Ok(serde_json::from_slice::<Entry>(payload)
            .ok()
            .filter(|entry| entry.seq == seq)
            .map(|entry| (entry, Digest::of(payload)))),
        Err(Fault::Damaged) => Ok(None),
        Err(Fault::Newer(found)) => Err(StoreError::Newer {
            found,
            known: record::LAYOUT,
        }),
    }
}

/// Reads the entries after `from`, calling `each` with the bytes every record takes.
pub(super) fn walk(
    store: &dyn Store,
    from: Chain,
    mut each: impl FnMut(u64),
) -> Result<Walk, JournalError> {
    let mut walk = Walk {
        end: from,
        broken: Vec::new(),
        entries: 0,
        holes: Vec::new(),
        trail: Trail::new(from),
    };
    let mut seen = from.seq;
    visit(store, from.seq, |seq, key, stored| {
        seen = seq;
        each(record_bytes(stored));
        let Some((entry, head)) = sound(seq, key, stored)? else {
            return Ok(());
        };
        if seq > walk.end.seq + 1 {
            walk.holes.push((walk.end.seq + 1, seq - 1));
        }
        let gap = match entry.event {
            Event::Gap { from, to, .. } => Some((from, to)),
            _ => None,
        };
        let link = Link {
            seq,
            hash: head,
            prev: Some(entry.prev),
            gap,
        };
        if walk.trail.take(&link).is_err() {
            walk.broken.push(seq);
            walk.trail.take_broken(&link);
        }
        walk.end = Chain { seq, head };
        walk.entries += 1;
        Ok(())
    })?;
    if seen > walk.end.seq {
        walk.holes.push((walk.end.seq + 1, seen));
        // The damaged numbers stay used: somebody may hold their entries.
        walk.end.seq = seen;
    }
    Ok(walk)
}

/// The state of a journal whose state record is lost: everything kept counts as not yet
/// acknowledged, so that it is sent once too often rather than once too little.
pub(super) fn rebuild(store: &dyn Store) -> Result<State, JournalError> {
    let mut first: Option<Chain> = None;
    visit(store, 0, |seq, key, stored| {
        if first.is_none()
            && let Some((entry, _)) = sound(seq, key, stored)?
        {
            first = Some(Chain {
                seq: seq - 1,
                head: entry.prev,
            });
        }
        Ok(())
    })?;
    let mut state = first.map_or(State::EMPTY, State::starting);
    let mut bytes = 0;
    walk(store, state.anchor.into(), |size| bytes += size)?;
    state.bytes = bytes;
    Ok(state)
}
