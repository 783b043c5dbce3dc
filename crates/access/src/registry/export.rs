//! A register as CSV: the way back from [`super::import`], and the store's last resort.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::Vehicle;
use super::import::{Column, needs_escape};

/// Header language of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// `plate,owner,…`
    #[default]
    English,
    /// `车牌,车主,…`
    Chinese,
}

/// A register as CSV in UTF-8 with a byte order mark, so that table programs show Chinese.
///
/// A field that such a program would take for a formula gets an apostrophe before it, which
/// the import takes away again.
pub fn to_csv(vehicles: &[Vehicle], header: Header) -> Vec<u8> {
    let mut out = "\u{feff}".to_owned();
    let names = Column::ALL.map(|c| match header {
        Header::English => c.english(),
        Header::Chinese => c.chinese(),
    });
    out.push_str(&names.join(","));
    out.push_str("\r\n");
    for vehicle in vehicles {
        let date = vehicle
            .valid_until
            .map_or_else(String::new, |d| d.to_string());
        let fields = [
            vehicle.plate.as_str(),
            &vehicle.owner,
            &vehicle.building,
            &vehicle.unit,
            &vehicle.phone,
            &date,
        ];
        for (i, field) in fields.into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_field(&mut out, field);
        }
        out.push_str("\r\n");
    }
    out.into_bytes()
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
    let folder = path.parent().unwrap_or(Path::new("."));
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
