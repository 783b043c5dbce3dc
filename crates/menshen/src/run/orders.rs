//! What signed commands may do here: the same as a person at the gate, by the same ways.
//!
//! The bridge has judged a command before it comes here: its signature, its lane, its single
//! use. Opening and refusing are the guard's answers where a vehicle waits for one; an opening
//! without a vehicle that waits, and a hold, is asked of the barrier, which ranks it behind STOP,
//! fire and guard. What cannot be done yet is declined in words, never passed over.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use access::registry::Vehicle;
use bridge::keys::{KeysError, read_ring};
use bridge::{BridgeHandle, Declined, Orders, PageTaken, SyncStep};
use domain::command::{Command, KeyRing, Refusal, Row, RowChange};
use domain::sync::{Manifest, Page};
use domain::{Event, Name};
use tracing::warn;

use super::guardroom::{Door, Guardroom};
use super::records::{Books, Records};
use crate::registry::Change;

/// The house, as far as commands reach it.
pub(crate) struct House {
    pub(crate) guardroom: Guardroom,
    pub(crate) books: Books,
    pub(crate) records: Records,
    pub(crate) bridge: BridgeHandle,
    pub(crate) keys: Option<KeysFile>,
    /// Vehicles in a hundred that a server's register may take out without a person's word.
    pub(crate) shrink: u8,
}

/// Where commands arrive. The bridge is there before the lanes are; until they are, nothing is
/// carried out.
#[derive(Default)]
pub(crate) struct OrderDesk {
    house: OnceLock<House>,
}

impl OrderDesk {
    /// From now on commands are carried out.
    pub(crate) fn open(&self, house: House) {
        if self.house.set(house).is_err() {
            warn!("commands were given a house twice; the first one stays");
        }
    }
}

impl Orders for OrderDesk {
    fn carry_out(&self, command: &Command, by: &Name, cause: &str) -> Result<String, Declined> {
        match self.house.get() {
            Some(house) => house.carry_out(command, by, cause),
            None => Err(starting()),
        }
    }

    fn begin_sync(&self, manifest: &Manifest, by: &Name) -> Result<SyncStep, Declined> {
        let house = self.house.get().ok_or_else(starting)?;
        let begun = house
            .books
            .begin_sync(manifest, by, house.shrink, &house.bridge)?;
        house.ask_about_conflicts();
        Ok(begun)
    }

    fn take_page(&self, page: &Page) -> Result<PageTaken, Refusal> {
        let house = self.house.get().ok_or(Refusal::NotPossible)?;
        let taken = house.books.take_page(page, house.shrink, &house.bridge)?;
        if taken != PageTaken::Going {
            house.ask_about_conflicts();
        }
        Ok(taken)
    }

    fn record(&self, event: Event) {
        if let Some(house) = self.house.get() {
            house.records.record(event);
        } else {
            warn!(?event, "too early to be written down");
        }
    }
}

fn starting() -> Declined {
    Declined::not_possible("the gate is still starting; try again / 正在启动")
}

impl House {
    /// Tells people if records wait for their word.
    fn ask_about_conflicts(&self) {
        let contested = self.books.newly_contested();
        if contested > 0 {
            let message = format!(
                "{contested} records were changed here and by the server, otherwise; the value that lets fewer in is in force until somebody decides: menshen registry conflicts / {contested} 条记录与服务器冲突，请处理"
            );
            warn!("{message}");
            self.records.record(Event::Alarm {
                code: "registry-conflicts".to_owned(),
                message,
            });
        }
    }

    fn carry_out(&self, command: &Command, by: &Name, cause: &str) -> Result<String, Declined> {
        match command {
            Command::Open { lane } => self.open(lane, by, cause),
            Command::Refuse { lane, passage } => self
                .guardroom
                .answer(Some(lane), *passage, false, signer(by))
                .map_err(Declined::not_possible),
            Command::Hold { lane } => self.hold(lane, cause),
            Command::Release { lane } => self.release(lane),
            Command::Reload => self.reload(),
            Command::RegistryChange { change } => self.change(change, by),
            // The bridge brings it by `begin_sync`.
            Command::RegistrySync { .. } => Err(Declined::not_possible(
                "a register comes with its manifest first",
            )),
        }
    }

    fn door(&self, lane: &Name) -> Result<&Door, Declined> {
        self.guardroom.door(lane).ok_or_else(|| {
            Declined::not_possible(format!("there is no lane {lane} / 没有这条车道"))
        })
    }

    /// The lane, if it opens its boom at all.
    fn open_door(&self, lane: &Name) -> Result<&Door, Declined> {
        let door = self.door(lane)?;
        if door.shadow {
            return Err(Declined::not_possible(format!(
                "lane {lane} is in shadow mode and opens nothing / 影子模式不开闸"
            )));
        }
        Ok(door)
    }

    fn hold(&self, lane: &Name, cause: &str) -> Result<String, Declined> {
        let door = self.open_door(lane)?;
        let Some(cap) = door.barrier.hold_cap() else {
            return Err(Declined::not_supported(
                "this barrier cannot be held open: it has no hold_cap in its configuration; hold it at its own controller / 此道闸未设 hold_cap，不能常开",
            ));
        };
        door.barrier.hold(cause).map_err(Declined::not_possible)?;
        Ok(format!(
            "lane {lane}: the barrier was asked to hold its boom open for {} s at the most / 常开，最长 {0} 秒; what became of it is told by the event with this cause: {cause}",
            cap.as_secs()
        ))
    }

    fn release(&self, lane: &Name) -> Result<String, Declined> {
        self.door(lane)?
            .barrier
            .end_hold()
            .map_err(Declined::not_possible)?;
        Ok(format!(
            "lane {lane}: the barrier was asked to end the hold, if there is one / 已取消常开; the event hold-ended tells of it"
        ))
    }

    fn open(&self, lane: &Name, by: &Name, cause: &str) -> Result<String, Declined> {
        let door = self.open_door(lane)?;
        if door.pulse.asking().is_some() {
            return self
                .guardroom
                .answer(Some(lane), None, true, signer(by))
                .map_err(Declined::not_possible);
        }
        door.barrier
            .command(cause)
            .map(|()| {
                format!(
                    "lane {lane}: the barrier was asked to open; what became of it is told by the event with this cause: {cause}"
                )
            })
            .map_err(Declined::not_possible)
    }

    fn reload(&self) -> Result<String, Declined> {
        let Some(keys) = &self.keys else {
            return Err(Declined::not_possible(
                "no keys_file is configured, and nothing else is read again while the gate runs",
            ));
        };
        let ring = keys
            .read()
            .map_err(|error| Declined::not_possible(error.to_string()))?;
        let count = ring.keys().len();
        self.bridge.enrol(ring);
        Ok(format!(
            "the enrolled keys were read again ({count}); the rest of the configuration is read at the next start"
        ))
    }

    fn change(&self, change: &RowChange, by: &Name) -> Result<String, Declined> {
        let change = match change {
            RowChange::Add { row } => Change::Add {
                vehicle: Box::new(vehicle(row)),
            },
            RowChange::Remove { plate } => Change::Remove {
                plate: plate.clone(),
            },
        };
        self.books
            .change(change, &signer(by), Some(&self.bridge))
            .map(|outcome| {
                format!(
                    "register version {}: {} vehicles (before: {})",
                    outcome.version, outcome.count, outcome.before
                )
            })
            .map_err(Declined::not_possible)
    }
}

/// Who it is in the journal.
fn signer(by: &Name) -> String {
    format!("key {by}")
}

fn vehicle(row: &Row) -> Vehicle {
    Vehicle {
        owner: row.owner.clone(),
        building: row.building.clone(),
        unit: row.unit.clone(),
        phone: row.phone.clone(),
        valid_until: row.valid_until,
        ..Vehicle::new(row.plate.clone())
    }
}

/// The file of enrolled keys, looked at now and then: a revoked key must not need a restart.
pub(crate) struct KeysFile {
    path: PathBuf,
    seen: Mutex<Option<(SystemTime, u64)>>,
}

impl KeysFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        let keys = Self {
            path,
            seen: Mutex::new(None),
        };
        let _ = keys.has_changed();
        keys
    }

    pub(crate) fn read(&self) -> Result<KeyRing, KeysError> {
        read_ring(&self.path)
    }

    /// Whether it was written since this was last asked.
    fn has_changed(&self) -> bool {
        let now = std::fs::metadata(&self.path)
            .and_then(|data| Ok((data.modified()?, data.len())))
            .ok();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = now.is_some() && *seen != now;
        if changed {
            *seen = now;
        }
        changed
    }

    /// Enrols what stands in the file, if it was written since this was last asked; what cannot
    /// be read changes nothing and is reported.
    pub(crate) fn follow(&self, bridge: &BridgeHandle, records: &Records) {
        if !self.has_changed() {
            return;
        }
        let (code, message) = match self.read() {
            Ok(ring) => {
                let count = ring.keys().len();
                bridge.enrol(ring);
                (
                    "keys-changed",
                    format!("the file of enrolled keys was changed; {count} keys are in it now"),
                )
            }
            Err(error) => (
                "keys-unreadable",
                format!(
                    "the file of enrolled keys was changed and cannot be used; the keys from before stay enrolled: {error}"
                ),
            ),
        };
        warn!("{message}");
        records.record(Event::Alarm {
            code: code.to_owned(),
            message,
        });
    }
}
