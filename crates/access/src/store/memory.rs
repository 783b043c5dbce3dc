//! The store's peer for tests: it remembers what a disk would, and can fail like one.
//!
//! A [`MemoryStore`] handle is one process's view; [`MemoryStore::crash`] ends it and returns
//! what the next process finds: everything synced, a prefix of the unsynced batches, and
//! perhaps one batch torn in the middle.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Pair, Store, StoreError};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    synced: Map,
    unsynced: Vec<Batch>,
    now: Map,
    writes_left: Option<u64>,
    syncs_left: Option<u64>,
    distrusted: bool,
}

/// What a crash leaves of the batches that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crash {
    /// Whole batches that reached the disk all the same.
    pub kept: usize,
    /// Writes of the batch after them that reached it, the last one cut in half. Sled does not
    /// do this; a dying disk does.
    pub torn: usize,
}

/// A store in memory that can fail, lose and tear what was not synced.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

fn apply(map: &mut Map, batch: &Batch) {
    for (key, value) in &batch.writes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

fn full(what: &'static str) -> StoreError {
    StoreError::Io {
        what,
        path: PathBuf::from("memory"),
        source: io::Error::from(io::ErrorKind::StorageFull),
    }
}

impl MemoryStore {
    /// An empty store that works.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `left` more writes succeed and then none; `None` heals the store.
    pub fn fail_writes_after(&self, left: Option<u64>) {
        self.state().writes_left = left;
    }

    /// Lets `left` more syncs succeed; the next one fails, and with it all later ones.
    pub fn fail_syncs_after(&self, left: Option<u64>) {
        self.state().syncs_left = left;
    }

    /// Batches written and not synced.
    pub fn unsynced(&self) -> usize {
        self.state().unsynced.len()
    }

    /// Changes stored bytes behind everybody's back, as a failing disk does; says whether the
    /// key was there.
    pub fn damage(&self, key: &[u8]) -> bool {
        let state = &mut *self.state();
        let mut found = false;
        for map in [&mut state.now, &mut state.synced] {
            if let Some(last) = map.get_mut(key).and_then(|v| v.last_mut()) {
                *last ^= 0x40;
                found = true;
            }
        }
        found
    }

    /// What the next process finds after this one died.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        let state = self.state();
        let mut map = state.synced.clone();
        for batch in state.unsynced.iter().take(crash.kept) {
            apply(&mut map, batch);
        }
        if let Some(batch) = state.unsynced.get(crash.kept) {
            let mut torn = Batch {
                writes: batch.writes.iter().take(crash.torn).cloned().collect(),
            };
            if let Some((_, Some(value))) = torn.writes.last_mut() {
                value.truncate(value.len() / 2);
            }
            apply(&mut map, &torn);
        }
        Self {
            state: Mutex::new(State {
                synced: map.clone(),
                now: map,
                ..State::default()
            }),
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().now.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        Ok(self
            .state()
            .now
            .range(from.to_vec()..to.to_vec())
            .take(limit)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        if from >= to {
            return Ok(None);
        }
        Ok(self
            .state()
            .now
            .range(from.to_vec()..to.to_vec())
            .next_back()
            .map(|(k, v)| (k.clone(), v.clone())))
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let state = &mut *self.state();
        match &mut state.writes_left {
            Some(0) => return Err(full("writing to the store")),
            Some(left) => *left -= 1,
            None => {}
        }
        apply(&mut state.now, batch);
        state.unsynced.push(batch.clone());
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let state = &mut *self.state();
        if state.distrusted {
            return Err(StoreError::Distrusted);
        }
        match &mut state.syncs_left {
            Some(0) => {
                state.distrusted = true;
                return Err(full("syncing the store"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.synced = state.now.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn size(&self) -> Result<u64, StoreError> {
        let state = self.state();
        Ok(state
            .now
            .iter()
            .map(|(k, v)| (k.len() + v.len()) as u64)
            .sum())
    }
}
