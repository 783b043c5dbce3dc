//! A list as rows of cells, whatever kind of file it came from.

use domain::Words;

use super::column::{COLUMNS, Column};
use super::error::{FILE_ROWS, ImportError};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CSV in UTF-8, with or without a byte order mark.
    Utf8,
    /// CSV in GB18030 (or its older parts GBK and GB 2312).
    Gb18030,
    /// An Excel workbook; its first sheet that has rows.
    Xlsx,
}

impl Format {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Gb18030 => "GB18030",
            Self::Xlsx => "XLSX",
        }
    }
}

/// One row: the cells of the columns that a register has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    cells: [Box<str>; COLUMNS],
}

impl Row {
    /// What stands in a column; nothing if the file lacks it.
    pub fn cell(&self, column: Column) -> &str {
        &self.cells[column.place()]
    }
}

/// A list that was read and not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What the file is.
    pub format: Format,
    /// The columns that the file has, in its order.
    pub columns: Vec<Column>,
    /// Its rows without the empty ones.
    pub rows: Vec<Row>,
    /// What a person may want to know of the header.
    pub notes: Vec<Words>,
}

impl Table {
    /// Whether the file has a column.
    pub fn has(&self, column: Column) -> bool {
        self.columns.contains(&column)
    }
}

/// Builds a [`Table`] from rows of fields, the first of which is the header.
pub(super) struct Builder {
    format: Format,
    header: Option<Header>,
    rows: Vec<Row>,
    notes: Vec<Words>,
    seen: usize,
}

/// Which field of a row is which column.
struct Header {
    places: [Option<usize>; COLUMNS],
    columns: Vec<Column>,
}

impl Builder {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            header: None,
            rows: Vec::new(),
            notes: Vec::new(),
            seen: 0,
        }
    }

    /// Takes the next row of the file.
    pub(super) fn push<'a>(
        &mut self,
        line: u64,
        fields: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ImportError> {
        if fields.clone().all(|field| field.trim().is_empty()) {
            // Counted all the same, or a file of nothing but commas would never end.
            return self.count();
        }
        let Some(header) = &self.header else {
            self.header = Some(Header::read(fields, &mut self.notes)?);
            return Ok(());
        };
        let mut cells: [Box<str>; COLUMNS] = std::array::from_fn(|_| Box::from(""));
        for (at, field) in fields.enumerate() {
            if let Some(column) = header.places.iter().position(|&place| place == Some(at)) {
                cells[column] = field.trim().into();
            }
        }
        self.rows.push(Row { line, cells });
        self.count()
    }

    fn count(&mut self) -> Result<(), ImportError> {
        self.seen += 1;
        if self.seen > FILE_ROWS {
            return Err(ImportError::TooManyRows);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Table, ImportError> {
        let header = self.header.ok_or(ImportError::Empty)?;
        Ok(Table {
            format: self.format,
            columns: header.columns,
            rows: self.rows,
            notes: self.notes,
        })
    }
}

impl Header {
    fn read<'a>(
        fields: impl Iterator<Item = &'a str> + Clone,
        notes: &mut Vec<Words>,
    ) -> Result<Self, ImportError> {
        let mut places = [None; COLUMNS];
        let mut columns = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        for (at, name) in fields.clone().enumerate() {
            match Column::named(name) {
                Some(column) if places[column.place()].is_some() => {
                    return Err(ImportError::ColumnTwice { column });
                }
                Some(column) => {
                    places[column.place()] = Some(at);
                    columns.push(column);
                }
                None if name.trim().is_empty() => {}
                None => unknown.push(name.trim().chars().take(40).collect()),
            }
        }
        if places[Column::Plate.place()].is_none() {
            let found: String = fields.collect::<Vec<_>>().join(",");
            return Err(ImportError::NoPlateColumn {
                found: found.chars().take(200).collect(),
            });
        }
        if !unknown.is_empty() {
            let list = unknown.join(", ");
            notes.push(Words::new(
                format!("登记表没有这些列，未读取：{list}"),
                format!("columns kept out, since a register has none of this name: {list}"),
            ));
        }
        let missing: Vec<Column> = Column::ALL[..super::ORDINARY]
            .iter()
            .copied()
            .filter(|c| places[c.place()].is_none())
            .collect();
        if !missing.is_empty() {
            let list = |name: fn(Column) -> &'static str| {
                let names: Vec<_> = missing.iter().map(|&c| name(c)).collect();
                names.join(", ")
            };
            notes.push(Words::new(
                format!(
                    "文件没有这些列（已登记的车辆保留原值）：{}",
                    list(Column::chinese)
                ),
                format!(
                    "columns the file has not (vehicles that are registered keep theirs): {}",
                    list(Column::english)
                ),
            ));
        }
        Ok(Self { places, columns })
    }
}
