//! What each vehicle should get, by rule from the registry file alone.

use access::registry::Vehicle;
use access::registry::import::{ImportError, ImportOptions, parse};
use domain::{Decision, PlateNumber};
use jiff::civil::Date;

/// The rule of a registry file on one day.
pub(crate) struct Rule {
    rows: Vec<Vehicle>,
    today: Date,
}

impl Rule {
    /// Reads the file.
    pub(crate) fn new(csv: &str, today: Date) -> Result<Self, ImportError> {
        let rows = parse(csv.as_bytes(), ImportOptions { skip_bad: false })?.vehicles;
        Ok(Self { rows, today })
    }

    /// A vehicle may enter if its plate has a row whose last day is not past.
    pub(crate) fn decision(&self, plate: &PlateNumber) -> Decision {
        let row = self.rows.iter().find(|row| row.plate == *plate);
        match row {
            Some(row) if row.valid_until.is_none_or(|last| last >= self.today) => Decision::Admit,
            _ => Decision::Refuse,
        }
    }
}
