//! A store in memory that fails when it is told to: the peer of [`crate::sqlite`] for tests.

use std::collections::BTreeMap;

use domain::command::DeviceName;
use domain::event::{Chain, Digest};
use jiff::Timestamp;

use crate::message::Entry;
use crate::standing::Standing;
use crate::store::{Book, Report, Store, StoreError};

#[derive(Debug, Clone)]
struct Journal {
    entries: BTreeMap<u64, Entry>,
    end: Chain,
    head: (u64, u64),
    conceded: Vec<(u64, u64)>,
}

/// Everything, in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    journals: BTreeMap<DeviceName, Journal>,
    reports: Vec<Report>,
    /// Whether the next transactions fail at their end.
    pub fails: bool,
}

impl MemoryStore {
    /// The entries of a gate.
    pub fn entries(&self, device: &DeviceName) -> Vec<&Entry> {
        self.journals
            .get(device)
            .map(|journal| journal.entries.values().collect())
            .unwrap_or_default()
    }

    /// The reports.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    fn journal(&mut self, device: &DeviceName) -> &mut Journal {
        self.journals
            .entry(device.clone())
            .or_insert_with(|| Journal {
                entries: BTreeMap::new(),
                end: Chain::EMPTY,
                head: (0, 0),
                conceded: Vec::new(),
            })
    }
}

impl Store for MemoryStore {
    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Book) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let before = self.clone();
        let mut done = work(self);
        if self.fails {
            done = Err(StoreError::Database("it was told to fail".into()));
        }
        if done.is_err() {
            *self = before;
        }
        done
    }
}

impl Book for MemoryStore {
    fn standing(&mut self, device: &DeviceName) -> Result<Standing, StoreError> {
        let journal = self.journal(device);
        let links: Vec<_> = journal
            .entries
            .range(journal.end.seq + 1..)
            .map(|(_, entry)| entry.link)
            .collect();
        Ok(Standing::new(
            journal.end,
            &links,
            &journal.conceded,
            journal.head,
        ))
    }

    fn hash(&mut self, device: &DeviceName, seq: u64) -> Result<Option<Digest>, StoreError> {
        let journal = self.journal(device);
        Ok(journal.entries.get(&seq).map(|entry| entry.link.hash))
    }

    fn put(&mut self, entry: &Entry, _now: Timestamp) -> Result<(), StoreError> {
        let journal = self.journal(&entry.device);
        journal.entries.insert(entry.link.seq, entry.clone());
        Ok(())
    }

    fn note(
        &mut self,
        device: &DeviceName,
        end: Chain,
        head: (u64, u64),
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let journal = self.journal(device);
        journal.end = end;
        journal.head = head;
        Ok(())
    }

    fn concede(
        &mut self,
        device: &DeviceName,
        hole: (u64, u64),
        _why: &str,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        self.journal(device).conceded.push(hole);
        Ok(())
    }

    fn report(&mut self, report: &Report, _now: Timestamp) -> Result<(), StoreError> {
        self.reports.push(report.clone());
        Ok(())
    }
}
