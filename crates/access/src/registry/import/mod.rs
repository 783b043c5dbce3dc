//! A register from the lists that offices keep.
//!
//! ```text
//! bytes ─► CSV (text) or workbook ─► table ─► lint ─► Draft ─► accept ─► rows for the store
//!                                                     └─► report (HTML, XLSX)
//! ```
//!
//! The bytes may be CSV in UTF-8 (with or without byte order mark) or GB18030, or an Excel
//! workbook; the header English or Chinese, the columns in any order. [`examine`] is pure:
//! bytes in, a [`Draft`] out, with everything that is wrong or worth a look in any row. One row
//! that cannot be stored spoils the whole file, unless the caller asks to leave such rows out.
//! Limits hold before anything is allocated for what a file claims to be.

mod column;
mod date;
mod error;
mod finding;
mod lint;
mod shape;
mod suggest;
mod table;
mod text;
mod workbook;

use std::borrow::Cow;
use std::collections::HashMap;

use domain::{PlateNumber, Words};
use jiff::civil::Date;

use super::Vehicle;

pub use column::{COLUMNS, Column, ORDINARY};
pub use date::parse_date;
pub use error::{FAULTS_NAMED, FILE_BYTES, FILE_COLUMNS, FILE_ROWS, ImportError, UNPACKED_BYTES};
pub use finding::{Finding, Severity, Topic};
pub(super) use lint::is_one_edit;
pub use lint::{kind_named, kind_word};
pub use table::{Format, Row, Table};

/// How a file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Take the good rows although others are bad.
    pub skip_bad: bool,
}

/// What the import is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the file.
    Reading,
    /// Looking at every row.
    Checking,
}

/// How far the import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Busy with what.
    pub stage: Stage,
    /// Bytes of a text, rows otherwise.
    pub done: u64,
    /// Of how many, if that is known.
    pub of: Option<u64>,
}

/// A list that was read and looked at. Nothing of it counts yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The rows as they stand in the file.
    pub table: Table,
    /// Everything found, in the order of the file.
    pub findings: Vec<Finding>,
    /// What a person may want to know of the whole.
    pub notes: Vec<Words>,
    vehicles: Vec<(u64, Vehicle)>,
    cut_short: bool,
}

/// A list that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The vehicles, in the order of the file; no plate twice.
    pub vehicles: Vec<Vehicle>,
    /// Errors in rows that were left out; only with [`ImportOptions::skip_bad`].
    pub skipped: Vec<Finding>,
    /// What a person should look at, and need not.
    pub warnings: Vec<Finding>,
    /// What a person may want to know of the whole.
    pub notes: Vec<Words>,
    /// The columns that the file has.
    pub columns: Vec<Column>,
    /// "UTF-8", "GB18030" or "XLSX".
    pub encoding: &'static str,
}

impl Imported {
    /// Gives vehicles that are registered already what the file has no columns for: a list of
    /// plates and owners does not take households and leases away.
    pub fn keep(&mut self, registered: &[Vehicle]) {
        let held: HashMap<&PlateNumber, &Vehicle> =
            registered.iter().map(|v| (&v.plate, v)).collect();
        for vehicle in &mut self.vehicles {
            let Some(&before) = held.get(&vehicle.plate) else {
                continue;
            };
            for column in Column::ALL {
                if !self.columns.contains(&column) {
                    copy(column, before, vehicle);
                }
            }
        }
    }
}

fn copy(column: Column, from: &Vehicle, to: &mut Vehicle) {
    match column {
        Column::Plate => {}
        Column::Owner => to.owner.clone_from(&from.owner),
        Column::Building => to.building.clone_from(&from.building),
        Column::Unit => to.unit.clone_from(&from.unit),
        Column::Phone => to.phone.clone_from(&from.phone),
        Column::ValidUntil => to.valid_until = from.valid_until,
        Column::Household => to.household.clone_from(&from.household),
        Column::Kind => to.kind = from.kind,
        Column::Colour => to.colour.clone_from(&from.colour),
        Column::Make => to.make.clone_from(&from.make),
        Column::LeaseUntil => to.lease_until = from.lease_until,
        Column::Schedule => to.schedule.clone_from(&from.schedule),
        Column::VerifiedBy => to.verified_by.clone_from(&from.verified_by),
    }
}

impl Draft {
    /// Findings for which their rows cannot be stored.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.of(Severity::Error)
    }

    /// Findings that a person should look at.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |f| f.severity() == severity)
    }

    /// Whether there were so many errors that reading ended before the file did.
    pub const fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// How many rows could be stored.
    pub const fn good_rows(&self) -> usize {
        self.vehicles.len()
    }

    /// Takes the list, all of it or, if the options say so, its good rows.
    ///
    /// # Errors
    /// [`ImportError::BadRows`], if rows are bad.
    pub fn accept(self, options: ImportOptions) -> Result<Imported, ImportError> {
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .findings
            .into_iter()
            .partition(|f| f.severity() == Severity::Error);
        if self.cut_short || (!errors.is_empty() && !options.skip_bad) {
            return Err(ImportError::BadRows(errors));
        }
        Ok(Imported {
            vehicles: self.vehicles.into_iter().map(|(_, v)| v).collect(),
            skipped: errors,
            warnings,
            notes: self.notes,
            columns: self.table.columns,
            encoding: self.table.format.name(),
        })
    }
}

/// Reads a list and looks at every row of it. `today` is for last days that are past.
///
/// # Errors
/// [`ImportError`] says why the file cannot be read at all.
pub fn examine(
    bytes: &[u8],
    today: Option<Date>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Draft, ImportError> {
    let mut table = read(bytes, progress)?;
    let looked = lint::look(&table, today, progress);
    let mut notes = std::mem::take(&mut table.notes);
    notes.extend(looked.notes);
    Ok(Draft {
        table,
        findings: looked.findings,
        notes,
        vehicles: looked.vehicles,
        cut_short: looked.cut_short,
    })
}

/// Reads a register and takes it.
///
/// # Errors
/// [`ImportError`] says why the file cannot be taken.
pub fn parse(bytes: &[u8], options: ImportOptions) -> Result<Imported, ImportError> {
    examine(bytes, None, &mut |_| {})?.accept(options)
}

/// What other files begin with, and what they are called.
const OTHERS: &[(&[u8], &str)] = &[
    (
        &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
        "an old .xls file or an encrypted workbook",
    ),
    (b"%PDF-", "a PDF document"),
    (&[0x89, b'P', b'N', b'G'], "a picture"),
    (&[0xff, 0xd8, 0xff], "a picture"),
    (b"GIF8", "a picture"),
    (b"PK\x05\x06", "an archive"),
    (b"Rar!", "an archive"),
    (&[0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], "an archive"),
    (&[0x1f, 0x8b], "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"{\\rtf", "a text document"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
];

fn read(bytes: &[u8], progress: &mut dyn FnMut(Progress)) -> Result<Table, ImportError> {
    if bytes.len() > FILE_BYTES {
        return Err(ImportError::TooLarge {
            found: bytes.len() as u64,
        });
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return workbook::read(bytes, progress);
    }
    for (beginning, what) in OTHERS {
        if bytes.starts_with(beginning) {
            return Err(ImportError::NoList { what });
        }
    }
    text::read(bytes, progress)
}

/// Characters that make a table program take a field for a formula, and the apostrophe that
/// an export puts before them.
pub(super) fn needs_escape(first: char) -> bool {
    matches!(
        first,
        '=' | '+' | '-' | '@' | '\t' | '\r' | '\'' | '＝' | '＋' | '－' | '＠'
    )
}

/// Takes away the apostrophe that an export put before a field.
fn unescape(field: &str) -> Cow<'_, str> {
    match field.strip_prefix('\'') {
        Some(rest) if rest.starts_with(needs_escape) => Cow::Owned(rest.trim().to_owned()),
        _ => Cow::Borrowed(field),
    }
}
