//! A register from CSV, as offices write it.
//!
//! The bytes may be UTF-8 (with or without byte order mark) or GB18030, the header English or
//! Chinese, the columns in any order. [`parse`] is pure: bytes in, vehicles and findings out.
//! One bad row spoils the whole file, unless the caller asks to leave bad rows out; each is
//! reported with its line, column, text, cause and cure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use domain::PlateNumber;
use jiff::civil::Date;

use super::{FIELD_CHARACTERS, Vehicle};

/// Bytes that a file may have.
pub const FILE_BYTES: usize = 64 * 1024 * 1024;
/// Rows that a file may have.
pub const FILE_ROWS: usize = 1_000_000;
/// Faults after which reading ends: so many are no slips, but a wrong file.
pub const FAULTS_NAMED: usize = 1000;
/// Neighbours that are listed one by one.
const NEIGHBOURS_NAMED: usize = 100;

/// The columns of a register, with their Chinese names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `plate`, 车牌.
    Plate,
    /// `owner`, 车主.
    Owner,
    /// `building`, 楼栋.
    Building,
    /// `unit`, 单元.
    Unit,
    /// `phone`, 电话.
    Phone,
    /// `valid_until`, 有效期至.
    ValidUntil,
}

impl Column {
    /// Every column in the order in which an export writes them.
    pub const ALL: [Self; 6] = [
        Self::Plate,
        Self::Owner,
        Self::Building,
        Self::Unit,
        Self::Phone,
        Self::ValidUntil,
    ];

    /// The name in an English header.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Plate => "plate",
            Self::Owner => "owner",
            Self::Building => "building",
            Self::Unit => "unit",
            Self::Phone => "phone",
            Self::ValidUntil => "valid_until",
        }
    }

    /// The name in a Chinese header.
    pub const fn chinese(self) -> &'static str {
        match self {
            Self::Plate => "车牌",
            Self::Owner => "车主",
            Self::Building => "楼栋",
            Self::Unit => "单元",
            Self::Phone => "电话",
            Self::ValidUntil => "有效期至",
        }
    }

    fn named(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL
            .into_iter()
            .find(|c| text.eq_ignore_ascii_case(c.english()) || text == c.chinese())
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.english(), self.chinese())
    }
}

/// How a file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Take the good rows although others are bad.
    pub skip_bad: bool,
}

/// One thing wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {text:?}: {cause}; {cure}")]
pub struct RowFault {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The column.
    pub column: Column,
    /// What stands there.
    pub text: String,
    /// What is wrong with it.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The vehicles, in the order of the file; no plate twice.
    pub vehicles: Vec<Vehicle>,
    /// Bad rows that were left out; only with [`ImportOptions::skip_bad`].
    pub skipped: Vec<RowFault>,
    /// What a person may want to know: columns kept out, plates that look alike.
    pub notes: Vec<String>,
    /// "UTF-8" or "GB18030".
    pub encoding: &'static str,
}

/// Why a file was not taken. Nothing of it counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Too many bytes.
    #[error("the file has {found} bytes, at most {FILE_BYTES} are read; is it a register?")]
    TooLarge {
        /// How many it has.
        found: usize,
    },
    /// Too many rows.
    #[error("the file has more than {FILE_ROWS} rows; is it a register?")]
    TooManyRows,
    /// Neither UTF-8 nor GB18030.
    #[error(
        "line {line} of the file is neither UTF-8 nor GB18030 text; save it in the table program as \"CSV UTF-8\" and try again"
    )]
    Encoding {
        /// The first line that cannot be read, as far as can be told.
        line: u64,
    },
    /// No line with text.
    #[error(
        "the file is empty; its first line must name the columns: plate,owner,building,unit,phone,valid_until or 车牌,车主,楼栋,单元,电话,有效期至"
    )]
    Empty,
    /// The header has no plate column.
    #[error(
        "the first line ({found:?}) names no plate column; it must be like plate,owner,building,unit,phone,valid_until or 车牌,车主,楼栋,单元,电话,有效期至, with commas between"
    )]
    NoPlateColumn {
        /// The first line.
        found: String,
    },
    /// A column stands twice in the header.
    #[error("the first line names the column {column} twice; remove one")]
    ColumnTwice {
        /// The column.
        column: Column,
    },
    /// Rows are bad.
    #[error("the file has {} faults, nothing was stored; the first: {}", .0.len(), .0[0])]
    BadRows(
        /// The faults in the order of the file, never none; after [`FAULTS_NAMED`] reading
        /// ends, also when bad rows may be left out.
        Vec<RowFault>,
    ),
    /// The CSV parser gave up.
    #[error("the file cannot be read as CSV: {0}")]
    Csv(String),
}

/// Reads a register.
///
/// # Errors
/// [`ImportError`] says why the file cannot be taken.
pub fn parse(bytes: &[u8], options: ImportOptions) -> Result<Imported, ImportError> {
    if bytes.len() > FILE_BYTES {
        return Err(ImportError::TooLarge { found: bytes.len() });
    }
    let (text, encoding) = decode(bytes)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut lines = Lines::new(&text);
    let mut record = csv::StringRecord::new();
    let mut next = |record: &mut csv::StringRecord| -> Result<Option<u64>, ImportError> {
        match reader.read_record(record) {
            Ok(true) => Ok(Some(
                lines.line_at(record.position().map_or(0, csv::Position::byte) as usize),
            )),
            Ok(false) => Ok(None),
            Err(error) => Err(ImportError::Csv(error.to_string())),
        }
    };
    if next(&mut record)?.is_none() {
        return Err(ImportError::Empty);
    }
    let mut notes = Vec::new();
    let header = Header::read(&record, &mut notes)?;

    let mut vehicles = Vec::new();
    let mut faults = Vec::new();
    let mut lines_of: HashMap<PlateNumber, u64> = HashMap::new();
    let mut rows = 0;
    while let Some(line) = next(&mut record)? {
        rows += 1;
        if rows > FILE_ROWS {
            return Err(ImportError::TooManyRows);
        }
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        match header.vehicle(&record, line) {
            Err(mut bad) => faults.append(&mut bad),
            Ok(vehicle) => {
                if let Some(first) = lines_of.get(&vehicle.plate) {
                    faults.push(RowFault {
                        line,
                        column: Column::Plate,
                        text: vehicle.plate.as_str().to_owned(),
                        cause: format!("the plate stands on line {first} too"),
                        cure: format!("keep line {first} or line {line} and remove the other"),
                    });
                } else {
                    lines_of.insert(vehicle.plate.clone(), line);
                    vehicles.push(vehicle);
                }
            }
        }
        if faults.len() >= FAULTS_NAMED {
            return Err(ImportError::BadRows(faults));
        }
    }
    if !faults.is_empty() && !options.skip_bad {
        return Err(ImportError::BadRows(faults));
    }
    note_neighbours(&vehicles, &mut notes);
    Ok(Imported {
        vehicles,
        skipped: faults,
        notes,
        encoding,
    })
}

fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, &'static str), ImportError> {
    let line_of = |at: usize| 1 + line_breaks(&bytes[..at]);
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        let at = bytes.iter().position(|&b| b == 0).unwrap_or(0);
        return Err(ImportError::Encoding { line: line_of(at) });
    }
    let (marked, body) = match bytes.strip_prefix(&[0xef, 0xbb, 0xbf]) {
        Some(body) => (true, body),
        None => (false, bytes),
    };
    let error = match std::str::from_utf8(body) {
        Ok(text) => return Ok((Cow::Borrowed(text), "UTF-8")),
        Err(error) => error,
    };
    let bad = ImportError::Encoding {
        line: line_of(bytes.len() - body.len() + error.valid_up_to()),
    };
    if marked {
        return Err(bad);
    }
    match encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok((Cow::Owned(text.into_owned()), "GB18030")),
        None => Err(bad),
    }
}

fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.split(|&b| b == b'\n').count() as u64 - 1
}

/// Turns byte offsets that only grow into line numbers.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    /// The line of the first row at or after a byte: the parser counts empty lines before a
    /// row as part of it, a person does not.
    fn line_at(&mut self, byte: usize) -> u64 {
        let mut end = byte.min(self.text.len());
        while matches!(self.text.get(end), Some(b'\r' | b'\n')) {
            end += 1;
        }
        if end > self.at {
            self.line += line_breaks(&self.text[self.at..end]);
            self.at = end;
        }
        self.line
    }
}

/// Which field of a row is which column.
struct Header {
    places: [Option<usize>; 6],
}

impl Header {
    fn read(record: &csv::StringRecord, notes: &mut Vec<String>) -> Result<Self, ImportError> {
        let mut places = [None; 6];
        let mut unknown = Vec::new();
        for (place, name) in record.iter().enumerate() {
            match Column::named(&unescape(name.trim())) {
                Some(column) if places[column as usize].is_some() => {
                    return Err(ImportError::ColumnTwice { column });
                }
                Some(column) => places[column as usize] = Some(place),
                None if name.trim().is_empty() => {}
                None => unknown.push(name.trim().to_owned()),
            }
        }
        if places[Column::Plate as usize].is_none() {
            return Err(ImportError::NoPlateColumn {
                found: record.iter().collect::<Vec<_>>().join(","),
            });
        }
        if !unknown.is_empty() {
            notes.push(format!(
                "columns kept out, since a register has none of this name: {}",
                unknown.join(", ")
            ));
        }
        let missing: Vec<String> = Column::ALL
            .into_iter()
            .filter(|&c| places[c as usize].is_none())
            .map(|c| c.to_string())
            .collect();
        if !missing.is_empty() {
            notes.push(format!(
                "columns the file has not, left empty: {}",
                missing.join(", ")
            ));
        }
        Ok(Self { places })
    }

    fn vehicle(&self, record: &csv::StringRecord, line: u64) -> Result<Vehicle, Vec<RowFault>> {
        let mut faults = Vec::new();
        let mut field = |column: Column| -> String {
            let raw = self.places[column as usize]
                .and_then(|place| record.get(place))
                .unwrap_or("");
            let text = unescape(raw.trim()).trim().to_owned();
            if let Some((cause, cure)) = field_fault(column, &text) {
                faults.push(RowFault {
                    line,
                    column,
                    text: text.chars().take(60).collect(),
                    cause,
                    cure,
                });
            }
            text
        };
        let [plate, owner, building, unit, phone, valid_until] = Column::ALL.map(&mut field);
        let parsed = PlateNumber::parse(&plate);
        if !faults.is_empty() {
            return Err(faults);
        }
        match parsed {
            Ok(plate) => Ok(Vehicle {
                plate,
                owner,
                building,
                unit,
                phone,
                valid_until: parse_date(&valid_until),
            }),
            // Unreachable while `field_fault` parses plates, and an error all the same.
            Err(error) => Err(vec![RowFault {
                line,
                column: Column::Plate,
                text: plate,
                cause: error.to_string(),
                cure: "correct the plate".into(),
            }]),
        }
    }
}

/// What is wrong with a field, and the cure.
fn field_fault(column: Column, text: &str) -> Option<(String, String)> {
    let fault = |cause: &str, cure: &str| Some((cause.to_owned(), cure.to_owned()));
    if text.chars().count() > FIELD_CHARACTERS {
        return fault(
            "it has more than 200 characters",
            "shorten it; a quotation mark that is not closed also looks like this",
        );
    }
    if text.chars().any(char::is_control) {
        return fault(
            "it has a line break or another control character",
            "write it on one line",
        );
    }
    match column {
        Column::Plate if text.is_empty() => {
            fault("the plate is missing", "fill it in, or remove the row")
        }
        Column::Plate => match PlateNumber::parse(text) {
            Ok(_) => None,
            Err(error) => fault(
                &error.to_string(),
                "compare with the vehicle's licence and correct it",
            ),
        },
        Column::Phone if rounded(text) => fault(
            "the table program has rounded the number",
            "format the column as text there and type the number again",
        ),
        Column::ValidUntil if !text.is_empty() && parse_date(text).is_none() => fault(
            "this is no date",
            "write it like 2026-12-31, 2026/12/31, 2026.12.31 or 2026年12月31日, or leave it empty for no end",
        ),
        _ => None,
    }
}

/// Whether a number was turned into one like `1.38E+10`.
fn rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits(mantissa) && exponent.strip_prefix('+').is_some_and(digits)
}

/// A date in one of the forms that people write.
pub fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim();
    let parts: Vec<&str> = if let Some((year, rest)) = text.split_once('年') {
        let (month, rest) = rest.split_once('月')?;
        vec![year, month, rest.strip_suffix('日').unwrap_or(rest)]
    } else {
        let mark = text.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
        text.split(mark).collect()
    };
    let [year, month, day] = parts.as_slice() else {
        return None;
    };
    let number = |t: &str, most: usize| {
        let t = t.trim();
        let fits = !t.is_empty() && t.len() <= most && t.bytes().all(|b| b.is_ascii_digit());
        if fits { t.parse::<i16>().ok() } else { None }
    };
    if year.trim().len() != 4 {
        return None;
    }
    let month = i8::try_from(number(month, 2)?).ok()?;
    let day = i8::try_from(number(day, 2)?).ok()?;
    Date::new(number(year, 4)?, month, day).ok()
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
        Some(rest) if rest.starts_with(needs_escape) => Cow::Borrowed(rest),
        _ => Cow::Borrowed(field),
    }
}

/// Names pairs of plates that differ in one character: easily confused by eye, and the place
/// where a typing mistake hides.
fn note_neighbours(vehicles: &[Vehicle], notes: &mut Vec<String>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (i, vehicle) in vehicles.iter().enumerate() {
        let chars: Vec<char> = vehicle.plate.as_str().chars().collect();
        for at in 0..chars.len() {
            let masked: String = chars
                .iter()
                .enumerate()
                .map(|(k, &c)| if k == at { '*' } else { c })
                .collect();
            if let Some(&other) = seen.get(&masked) {
                pairs.push((other, i));
            }
            seen.insert(masked, i);
        }
    }
    for &(a, b) in pairs.iter().take(NEIGHBOURS_NAMED) {
        notes.push(format!(
            "{} and {} differ in one character: make sure that both are right",
            vehicles[a].plate, vehicles[b].plate
        ));
    }
    if pairs.len() > NEIGHBOURS_NAMED {
        notes.push(format!(
            "and {} further pairs of plates that differ in one character",
            pairs.len() - NEIGHBOURS_NAMED
        ));
    }
}
