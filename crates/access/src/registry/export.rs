//! A register as CSV or XLSX: the way back from [`super::import`], and the store's last resort.
//!
//! The first six columns are always written, the others if any vehicle has something in them.
//! No cell is a formula: in CSV a field that a table program would take for one gets an
//! apostrophe before it, which the import takes away again; in a workbook every cell is typed
//! as text.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use jiff::civil::Date;
use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::import::{Column, ORDINARY, kind_word, needs_escape};
use super::{Label, Vehicle};

/// Header language of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// `plate,owner,…`
    #[default]
    English,
    /// `车牌,车主,…`
    Chinese,
}

impl Header {
    const fn name(self, column: Column) -> &'static str {
        match self {
            Self::English => column.english(),
            Self::Chinese => column.chinese(),
        }
    }
}

/// What an export writes of a vehicle in a column.
fn field(vehicle: &Vehicle, column: Column, header: Header) -> Cow<'_, str> {
    let date = |date: Option<Date>| date.map_or(Cow::Borrowed(""), |d| d.to_string().into());
    match column {
        Column::Plate => vehicle.plate.as_str().into(),
        Column::Owner => (&vehicle.owner).into(),
        Column::Building => (&vehicle.building).into(),
        Column::Unit => (&vehicle.unit).into(),
        Column::Phone => (&vehicle.phone).into(),
        Column::ValidUntil => date(vehicle.valid_until),
        Column::Household => label(vehicle.household.as_ref()),
        Column::Kind => match (vehicle.kind, header) {
            (None, _) => "".into(),
            (Some(kind), Header::English) => kind_word(kind).into(),
            (Some(kind), Header::Chinese) => kind.chinese().into(),
        },
        Column::Colour => (&vehicle.colour).into(),
        Column::Make => (&vehicle.make).into(),
        Column::LeaseUntil => date(vehicle.lease_until),
        Column::Schedule => label(vehicle.schedule.as_ref()),
        Column::VerifiedBy => (&vehicle.verified_by).into(),
    }
}

fn label(label: Option<&Label>) -> Cow<'_, str> {
    label.map_or("", Label::as_str).into()
}

/// The columns that an export of these vehicles has.
fn columns(vehicles: &[Vehicle]) -> Vec<Column> {
    let used = |column: Column| {
        vehicles
            .iter()
            .any(|v| !field(v, column, Header::English).is_empty())
    };
    Column::ALL
        .into_iter()
        .enumerate()
        .filter(|&(at, column)| at < ORDINARY || used(column))
        .map(|(_, column)| column)
        .collect()
}

/// A register as CSV in UTF-8 with a byte order mark, so that table programs show Chinese.
pub fn to_csv(vehicles: &[Vehicle], header: Header) -> Vec<u8> {
    let columns = columns(vehicles);
    let mut out = "\u{feff}".to_owned();
    let names: Vec<_> = columns.iter().map(|&c| header.name(c)).collect();
    out.push_str(&names.join(","));
    out.push_str("\r\n");
    for vehicle in vehicles {
        for (i, &column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_field(&mut out, &field(vehicle, column, header));
        }
        out.push_str("\r\n");
    }
    out.into_bytes()
}

/// A register as an Excel workbook, with every cell as text.
///
/// # Errors
/// If there are more vehicles than a sheet has rows.
pub fn to_xlsx(vehicles: &[Vehicle], header: Header) -> Result<Vec<u8>, XlsxError> {
    let columns = columns(vehicles);
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let text = Format::new().set_num_format("@");
    let sheet = book.add_worksheet();
    sheet.set_name(match header {
        Header::English => "register",
        Header::Chinese => "车辆登记",
    })?;
    for (place, &column) in (0_u16..).zip(&columns) {
        sheet.set_column_format(place, &text)?;
        sheet.set_column_width(place, 14)?;
        sheet.write_string_with_format(0, place, header.name(column), &bold)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    for (row, vehicle) in (1_u32..).zip(vehicles) {
        for (place, &column) in (0_u16..).zip(&columns) {
            let content = field(vehicle, column, header);
            if !content.is_empty() {
                sheet.write_string_with_format(row, place, content, &text)?;
            }
        }
    }
    book.save_to_buffer()
}

fn push_field(out: &mut String, field: &str) {
    let escape = field.starts_with(needs_escape);
    let quote = escape || field.contains([',', '"', '\r', '\n']);
    if quote {
        out.push('"');
    }
    if escape {
        out.push('\'');
    }
    for c in field.chars() {
        if c == '"' {
            out.push('"');
        }
        out.push(c);
    }
    if quote {
        out.push('"');
    }
}

/// Puts a file in its place so that a power cut leaves the old one or the new one, whole.
///
/// # Errors
/// What the operating system says.
pub fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The parent of a bare file name is "", which cannot be opened.
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = (|| {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // What is left of it would only take room; the first error is the one that counts.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use domain::PlateNumber;

    #[test]
    fn formulas_are_defused() {
        let mut vehicle = Vehicle::new(PlateNumber::parse("苏E12345").unwrap());
        vehicle.owner = "=HYPERLINK(\"http://x\",\"y\")".into();
        vehicle.phone = "+86 512".into();
        let text = String::from_utf8(to_csv(&[vehicle], Header::English)).unwrap();
        let row = text.lines().nth(1).unwrap();
        assert_eq!(
            row,
            "苏E12345,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",,,\"'+86 512\","
        );
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.csv");
        write_in_place(&path, b"one").unwrap();
        write_in_place(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::create_dir(folder.path().join("export.csv.part")).unwrap();
        write_in_place(&path, b"three").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
