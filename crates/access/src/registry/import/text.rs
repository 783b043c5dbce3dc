//! Lists as text: CSV in UTF-8 or GB18030.

use std::borrow::Cow;

use super::error::ImportError;
use super::table::{Builder, Format, Table};
use super::{Progress, Stage, unescape};

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 1000;

pub(super) fn read(bytes: &[u8], progress: &mut dyn FnMut(Progress)) -> Result<Table, ImportError> {
    let (text, format) = decode(bytes)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut lines = Lines::new(&text);
    let mut record = csv::StringRecord::new();
    let mut builder = Builder::new(format);
    let mut rows = 0_u64;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(ImportError::Csv(error.to_string())),
        }
        let byte = record.position().map_or(0, csv::Position::byte);
        let line = lines.line_at(byte as usize);
        let fields: Vec<Cow<'_, str>> = record.iter().map(|f| unescape(f.trim())).collect();
        builder.push(line, fields.iter().map(Cow::as_ref))?;
        rows += 1;
        if rows.is_multiple_of(REPORT_EVERY) {
            progress(Progress {
                stage: Stage::Reading,
                done: byte,
                of: Some(text.len() as u64),
            });
        }
    }
    builder.finish()
}

fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, Format), ImportError> {
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
        Ok(text) => return Ok((Cow::Borrowed(text), Format::Utf8)),
        Err(error) => error,
    };
    let bad = ImportError::Encoding {
        line: line_of(bytes.len() - body.len() + error.valid_up_to()),
    };
    if marked {
        return Err(bad);
    }
    match encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok((Cow::Owned(text.into_owned()), Format::Gb18030)),
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
