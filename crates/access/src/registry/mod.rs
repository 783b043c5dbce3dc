//! The register of vehicles: who may pass, and until when.
//!
//! [`import`] reads a register from CSV or XLSX and says what is wrong with it, [`report`] writes
//! that down for people, [`export`] writes a register, [`rows`] keeps it in the store as
//! generations of rows with one pointer to the generation that holds. [`sync`] takes a server's
//! register over and keeps what was changed here beside it. Decisions never read the
//! store: they are given a [`RegistryView`], an immutable snapshot in memory, and the next
//! snapshot takes its place after a change.

pub mod book;
mod change;
pub mod export;
pub mod import;
pub mod name;
pub mod past;
pub mod proposals;
pub mod report;
pub mod rows;
pub mod schedule;
pub mod sync;
#[cfg(test)]
mod tests;
mod view;

use domain::{PlateKind, PlateNumber};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use change::Difference;
pub use name::{Label, LabelError};
pub use view::{Ranked, RegistryView};

/// Characters that one field of a row may have.
pub const FIELD_CHARACTERS: usize = 200;

/// One registered vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vehicle {
    /// Its plate number.
    pub plate: PlateNumber,
    /// Whose it is; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Building (楼栋); may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub building: String,
    /// Unit (单元); may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Telephone; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// The last day on which it is valid, in the site's time zone; without one it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
    /// The household (户号) it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household: Option<Label>,
    /// Its plate's kind, where somebody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PlateKind>,
    /// Its colour; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub colour: String,
    /// Make and model; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub make: String,
    /// A tenant's vehicle: the lease's last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Date>,
    /// The weekly schedule in whose windows alone it may enter: a supplier's, for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Label>,
    /// Who compared it with the vehicle's licence; empty if nobody has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub verified_by: String,
}

impl Vehicle {
    /// A vehicle of which only the plate is known, valid without end.
    pub fn new(plate: PlateNumber) -> Self {
        Self {
            plate,
            owner: String::new(),
            building: String::new(),
            unit: String::new(),
            phone: String::new(),
            valid_until: None,
            household: None,
            kind: None,
            colour: String::new(),
            make: String::new(),
            lease_until: None,
            schedule: None,
            verified_by: String::new(),
        }
    }
}
