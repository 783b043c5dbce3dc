//! The server's register on its way into the ledger, and what of it a person decides.
//!
//! The manifest of an open transfer and the pages that have come lie in the store, so that a
//! restart costs none of them. Nothing of them counts before all are there; then the register is
//! taken over in one batch with its journal entry, which also ends the transfer: a crash leaves
//! the old register with the transfer still open, or the new one.

use domain::Name;
use domain::command::Refusal;
use domain::event::RegistryChange;
use domain::sync::{Begun, Edition, Fault, Manifest, Page, Receiver, Scope, Took, Transfer};
use serde::{Deserialize, Serialize};

use super::{Changed, Ledger, LedgerError};
use crate::journal::Stamp;
use crate::registry::book::RecordKey;
use crate::registry::rows::{Rows, RowsError, Takeover};
use crate::registry::sync::{Departures, Roll};
use crate::store::record;
use crate::store::{Area, Batch, Store, StoreError, each_record};

/// So many vehicles may always go without a person's word: of a short list one is a large share.
const ALWAYS_ALLOWED: u64 = 3;

/// Why a transfer does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The manifest or the page is not taken.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It would take out too many vehicles.
    #[error(
        "it would take {removed} of {of} vehicles out, more than {percent} % (registry_shrink); it waits for a person at the gate: `menshen registry transfer accept` or `discard` / 将删除 {removed} 辆（共 {of} 辆），须在门禁上确认"
    )]
    Shrinks {
        /// Vehicles that it would take out.
        removed: u64,
        /// Vehicles that are registered.
        of: u64,
        /// The share that may go without asking.
        percent: u8,
    },
    /// Pages are missing.
    #[error("pages are missing; send the manifest again and then those that it asks for / 缺页")]
    Incomplete,
}

impl LedgerError {
    /// How this is answered to whoever sent a manifest or a page.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Transfer(TransferError::Fault(fault)) => fault.refusal(),
            _ => Refusal::NotPossible,
        }
    }
}

/// What became of a manifest or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// This register is in force already.
    InForce,
    /// Pages are missing.
    Going,
    /// Everything is there: [`Ledger::take_over`] may come now.
    Whole,
}

/// How an open transfer stands in the store.
#[derive(Serialize, Deserialize)]
struct Opened {
    manifest: Manifest,
    by: Name,
}

fn opened_key() -> Vec<u8> {
    Area::Transfer.key(b"")
}

fn page_key(index: u32) -> Vec<u8> {
    Area::Transfer.key(&index.to_be_bytes())
}

fn stored<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, LedgerError> {
    let text = serde_json::to_vec(value).map_err(RowsError::from)?;
    Ok(record::seal(key, &text))
}

fn read<T: for<'de> Deserialize<'de>>(key: &[u8], stored: &[u8]) -> Option<T> {
    let payload = record::open(key, stored).ok()?;
    serde_json::from_slice(payload).ok()
}

/// The pages that lie in the store and can be read, in the order of their places.
fn pages(store: &dyn Store) -> Result<Vec<Page>, StoreError> {
    let mut pages = Vec::new();
    let to = [Area::Transfer.letter() + 1];
    each_record(store, page_key(0), &to, |key, stored| {
        pages.extend(read::<Page>(key, stored));
        Ok::<(), StoreError>(())
    })?;
    Ok(pages)
}

/// Removes every page, and the manifest if it is still there.
fn forget(store: &dyn Store) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    let to = [Area::Transfer.letter() + 1];
    each_record(store, opened_key(), &to, |key, _| {
        batch.remove(key.to_vec());
        Ok::<(), StoreError>(())
    })?;
    if batch.is_empty() {
        Ok(())
    } else {
        store.write(&batch)
    }
}

/// The receiver as an earlier run left it.
pub(super) fn reopen(store: &dyn Store, in_force: Option<Edition>) -> Result<Receiver, StoreError> {
    let mut receiver = Receiver::new(in_force);
    let key = opened_key();
    let opened = store.get(&key)?;
    match opened.and_then(|stored| read::<Opened>(&key, &stored)) {
        Some(Opened { manifest, by }) => {
            let mut batch = Batch::default();
            for useless in receiver.resume(manifest, by, &pages(store)?) {
                batch.remove(page_key(useless));
            }
            store.write(&batch)?;
        }
        None => forget(store)?,
    }
    Ok(receiver)
}

/// What a register says of itself: digests that are equal where the registers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// This gate's count of changes.
    pub version: u64,
    /// The digest of the vehicles in force.
    pub vehicles: domain::event::Digest,
    /// The digest of everything in force but numbered passes.
    pub register: domain::event::Digest,
    /// What was last taken over from a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Edition>,
    /// Records that are otherwise here than in that.
    pub differing: u64,
    /// Those of them that wait for a person.
    pub contested: u64,
}

impl Ledger {
    fn readable(&self) -> Result<&Rows, LedgerError> {
        self.rows.as_ref().ok_or(LedgerError::NoRegister)
    }

    /// What the register says of itself.
    ///
    /// # Errors
    /// If the register cannot be read.
    pub fn standing(&self) -> Result<Standing, LedgerError> {
        let rows = self.readable()?;
        let digest = |scope| {
            let roll = Roll::in_force(rows.view(), scope);
            roll.digest().map_err(RowsError::from)
        };
        Ok(Standing {
            version: rows.view().version(),
            vehicles: digest(Scope::Vehicles)?,
            register: digest(Scope::Register)?,
            server: rows.synced(),
            differing: rows.departures().len() as u64,
            contested: rows.contested(),
        })
    }

    /// Records that are otherwise here than in the register that was last taken over.
    ///
    /// # Errors
    /// If the register cannot be read.
    pub fn departures(&self) -> Result<&Departures, LedgerError> {
        Ok(self.readable()?.departures())
    }

    /// The transfer that is not finished.
    pub fn transfer(&self) -> Option<&Transfer> {
        self.receiver.open()
    }

    fn arrival(&self) -> Arrival {
        match self.receiver.open() {
            None => Arrival::InForce,
            Some(open) if open.is_whole() => Arrival::Whole,
            Some(_) => Arrival::Going,
        }
    }

    /// Takes a manifest that `by` has signed.
    ///
    /// # Errors
    /// [`TransferError::Fault`] if it is not taken; or if the register or the store fails.
    pub fn begin_transfer(
        &mut self,
        manifest: &Manifest,
        by: &Name,
    ) -> Result<Arrival, LedgerError> {
        self.readable()?;
        let mut receiver = self.receiver.clone();
        let begun = receiver.begin(manifest, by).map_err(TransferError::Fault)?;
        match begun {
            Begun::InForce => return Ok(Arrival::InForce),
            Begun::Resumed => {}
            Begun::Anew => forget(self.store.as_ref())?,
        }
        let key = opened_key();
        let opened = Opened {
            manifest: manifest.clone(),
            by: by.clone(),
        };
        let mut batch = Batch::default();
        let opened = stored(&key, &opened)?;
        batch.put(key, opened);
        self.store.write(&batch)?;
        self.receiver = receiver;
        Ok(self.arrival())
    }

    /// Takes a page, from whomever. It need not be durable: a page that is lost is asked for again.
    ///
    /// # Errors
    /// [`TransferError::Fault`] if it is not taken; or if the store fails.
    pub fn take_page(&mut self, page: &Page) -> Result<Arrival, LedgerError> {
        let took = self.receiver.page(page).map_err(TransferError::Fault)?;
        if took == Took::New {
            let key = page_key(page.index);
            let mut batch = Batch::default();
            let stored = stored(&key, page)?;
            batch.put(key, stored);
            if let Err(error) = self.store.write(&batch) {
                self.receiver.lost(page.index);
                return Err(error.into());
            }
        }
        Ok(self.arrival())
    }

    /// What taking the open transfer over would do.
    ///
    /// # Errors
    /// [`TransferError::Incomplete`] if pages are missing; or why it cannot be taken over.
    fn plan(&mut self) -> Result<(Transfer, Takeover), LedgerError> {
        let open = self.receiver.open().cloned();
        let open = open.ok_or(TransferError::Fault(Fault::NoTransfer))?;
        let pages = pages(self.store.as_ref())?;
        if !open.is_whole() || pages.len() != open.manifest.pages as usize {
            // A page that the disk lost is missing again.
            let in_force = self.receiver.in_force();
            self.receiver = reopen(self.store.as_ref(), in_force)?;
            return Err(TransferError::Incomplete.into());
        }
        let planned = self.readable()?.plan(&open.manifest, &pages);
        match planned {
            Ok(takeover) => Ok((open, takeover)),
            Err(error) => {
                // It will never be better: the same pages lead to the same.
                if matches!(error, RowsError::Roll(_)) {
                    self.discard_transfer()?;
                }
                Err(error.into())
            }
        }
    }

    /// Takes the open transfer over, whose pages are all there. `shrink` is how many vehicles in
    /// a hundred may go without a person's word; a person who `accepted` it is asked no further.
    /// Durable when this returns.
    ///
    /// # Errors
    /// [`TransferError::Shrinks`] if it waits for a person; [`RowsError::Roll`] if what comes out
    /// is not sound or not what was announced, then the transfer is given up; or if the disk
    /// fails, then the old register holds and the transfer stays open.
    pub fn take_over(
        &mut self,
        shrink: u8,
        accepted: Option<&str>,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let (open, takeover) = self.plan()?;
        let rows = self.readable()?;
        let before = rows.view().len() as u64;
        let removed = takeover.removed;
        if accepted.is_none()
            && removed > ALWAYS_ALLOWED
            && removed * 100 > before * u64::from(shrink)
        {
            return Err(TransferError::Shrinks {
                removed,
                of: before,
                percent: shrink,
            }
            .into());
        }
        let contested = takeover.contested();
        let mut batch = Batch::default();
        let (difference, prepared) = rows.take_over(takeover, &mut batch)?;
        batch.remove(opened_key());
        let change = RegistryChange::Synced {
            server: open.manifest.edition(),
            base: open.manifest.base.map(|base| base.version),
            vehicles: prepared.vehicles(),
            before,
            rows: difference.rows,
            records: difference.records,
            contested,
        };
        let by = match accepted {
            None => format!("key {}", open.by),
            Some(person) => format!("key {}, accepted by {person}", open.by),
        };
        let changed = self.apply(batch, prepared, change, (&by, &open.manifest.why), stamp)?;
        self.sweep();
        Ok(changed)
    }

    /// Gives the open transfer up; what is in force stays.
    ///
    /// # Errors
    /// If the store fails.
    pub fn discard_transfer(&mut self) -> Result<(), LedgerError> {
        forget(self.store.as_ref())?;
        self.receiver.abandon();
        Ok(())
    }

    /// A person decided about records that are otherwise here than on the server: what is here
    /// stays, or the server's value comes into force. Durable when this returns.
    ///
    /// # Errors
    /// If a record is none of those, or would then point at one that is not there, or the
    /// register or the disk fails.
    pub fn settle(
        &mut self,
        keys: &[RecordKey],
        keep: bool,
        by: &str,
        why: &str,
        stamp: Stamp,
    ) -> Result<Changed, LedgerError> {
        let rows = self.readable()?;
        let mut batch = Batch::default();
        let (mut records, prepared) = rows.settle(keys, keep, &mut batch)?;
        let count = records.len() as u64;
        records.truncate(crate::registry::book::MOST_EDITS);
        let change = RegistryChange::Settled {
            kept: keep,
            count,
            records,
        };
        self.apply(batch, prepared, change, (by, why), stamp)
    }
}
