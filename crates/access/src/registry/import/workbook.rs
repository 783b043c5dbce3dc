//! Lists as Excel workbooks (XLSX).
//!
//! A workbook is a ZIP archive of XML. Before anything of it is interpreted, every part is
//! unpacked once into nothing and counted, whatever sizes its headers claim; then the cells of
//! one sheet are read one by one, so that a lone cell at the far corner costs nothing. A count
//! of strings that the file could not hold is refused too, because the reader would reserve
//! memory for it.

use std::fmt::Display;
use std::io::{Cursor, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx};

use super::error::{FILE_COLUMNS, FILE_ROWS, ImportError, UNPACKED_BYTES};
use super::table::{Builder, Format, Table};
use super::{Progress, Stage};

/// Parts that a workbook may have; a list has about a dozen.
const PARTS: usize = 10_000;
/// What announces how many strings follow.
const COUNT: &[u8] = b"uniqueCount";
/// Rows between two reports of progress.
const REPORT_EVERY: u32 = 1000;

pub(super) fn read(bytes: &[u8], progress: &mut dyn FnMut(Progress)) -> Result<Table, ImportError> {
    weigh(bytes)?;
    // The reader meets bytes that anybody may have written. Whatever it trips over, the
    // import says so and nothing else happens.
    let read = catch_unwind(AssertUnwindSafe(|| read_sheet(bytes, progress)));
    read.unwrap_or_else(|_| Err(damaged("the reader gave up on it")))
}

fn damaged(why: impl Into<Why>) -> ImportError {
    ImportError::Workbook { why: why.into().0 }
}

/// What a reader said of a workbook.
struct Why(String);

impl<E: Display> From<E> for Why {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Unpacks everything into nothing, and refuses what is too much.
fn weigh(bytes: &[u8]) -> Result<(), ImportError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if archive.len() > PARTS {
        return Err(ImportError::Bomb);
    }
    let mut total = 0_u64;
    let mut chunk = vec![0_u8; 64 * 1024];
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(damaged)?;
        let left = UNPACKED_BYTES - total;
        let mut part = part.take(left + 1);
        let mut announced = Announced::default();
        let mut size = 0_u64;
        loop {
            let n = part.read(&mut chunk).map_err(damaged)?;
            if n == 0 {
                break;
            }
            size += n as u64;
            announced.look(&chunk[..n]);
        }
        if size > left {
            return Err(ImportError::Bomb);
        }
        // The shortest string takes five bytes.
        if announced.most > size / 4 {
            return Err(damaged("it announces more strings than it holds"));
        }
        total += size;
    }
    Ok(())
}

/// The greatest count that a part announces, looked for without keeping the part.
#[derive(Default)]
struct Announced {
    /// Bytes of [`COUNT`] that have just been seen; all of them while its number is read.
    matched: usize,
    number: Option<u64>,
    most: u64,
}

/// For each prefix of [`COUNT`] its longest end that is a beginning again.
const BORDERS: [usize; COUNT.len()] = [0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0];

impl Announced {
    fn look(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if self.matched == COUNT.len() {
                match (byte, self.number) {
                    (b'0'..=b'9', number) => {
                        let number = number.unwrap_or(0).saturating_mul(10);
                        let number = number.saturating_add(u64::from(byte - b'0'));
                        self.most = self.most.max(number);
                        self.number = Some(number);
                        continue;
                    }
                    (b' ' | b'\t' | b'\r' | b'\n' | b'=' | b'"' | b'\'' | b'+', None) => continue,
                    _ => self.matched = 0,
                }
            }
            while self.matched > 0 && byte != COUNT[self.matched] {
                self.matched = BORDERS[self.matched - 1];
            }
            if byte == COUNT[self.matched] {
                self.matched += 1;
                self.number = None;
            }
        }
    }
}

fn read_sheet(bytes: &[u8], progress: &mut dyn FnMut(Progress)) -> Result<Table, ImportError> {
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).map_err(
        |error: calamine::XlsxError| match error {
            calamine::XlsxError::FileNotFound(_) | calamine::XlsxError::Password => {
                ImportError::NoList {
                    what: "an archive or an encrypted workbook",
                }
            }
            other => damaged(other),
        },
    )?;
    let sheets: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|s| s.typ == SheetType::WorkSheet && s.visible == SheetVisible::Visible)
        .map(|s| s.name.clone())
        .collect();
    let mut last = Err(ImportError::Empty);
    for sheet in sheets {
        last = read_cells(&mut book, &sheet, progress);
        // The first sheet with rows counts; what comes before it is a title page at most.
        if last != Err(ImportError::Empty) {
            return last;
        }
    }
    last
}

fn read_cells(
    book: &mut Xlsx<Cursor<&[u8]>>,
    sheet: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<Table, ImportError> {
    let mut builder = Builder::new(Format::Xlsx);
    let mut cells = book.worksheet_cells_reader(sheet).map_err(damaged)?;
    let mut row: Vec<String> = Vec::new();
    let mut at = 0_u32;
    let mut rows = 0;
    while let Some(cell) = cells.next_cell().map_err(damaged)? {
        let (line, column) = cell.get_position();
        if line < at {
            return Err(damaged("its rows are not in order"));
        }
        if line > at {
            push(&mut builder, at, &mut row)?;
            at = line;
            rows += 1;
            if rows % REPORT_EVERY == 0 {
                progress(Progress {
                    stage: Stage::Reading,
                    done: u64::from(rows),
                    of: None,
                });
            }
        }
        if at as usize > FILE_ROWS {
            // A note far below the list is not the list; a list that long is refused.
            if row.is_empty() && rows < FILE_ROWS as u32 / 2 {
                break;
            }
            return Err(ImportError::TooManyRows);
        }
        let text = text_of(cell.get_value());
        let column = column as usize;
        if text.is_empty() || column >= FILE_COLUMNS {
            continue;
        }
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        row[column] = text;
    }
    push(&mut builder, at, &mut row)?;
    builder.finish()
}

fn push(builder: &mut Builder, at: u32, row: &mut Vec<String>) -> Result<(), ImportError> {
    if !row.is_empty() {
        builder.push(u64::from(at) + 1, row.iter().map(String::as_str))?;
        row.clear();
    }
    Ok(())
}

/// A cell as a person would have typed it.
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty | DataRef::Error(_) => String::new(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Bool(yes) => yes.to_string(),
        // Excel knows no whole numbers. Fifteen digits are what it keeps exactly.
        DataRef::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            format!("{number:.0}")
        }
        DataRef::Float(number) if number.abs() >= 1e15 => format!("{number:E}"),
        DataRef::Float(number) => number.to_string(),
        DataRef::DateTime(moment) => {
            let (year, month, day, ..) = moment.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.chars().take(10).collect(),
    }
}
