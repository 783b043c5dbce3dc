//! Why a file is not taken.

use super::column::Column;
use super::finding::Finding;

/// Bytes that a file may have.
pub const FILE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that a workbook may have when it is unpacked.
pub const UNPACKED_BYTES: u64 = 256 * 1024 * 1024;
/// Rows that a file may have.
pub const FILE_ROWS: usize = 200_000;
/// Columns that are looked at.
pub const FILE_COLUMNS: usize = 256;
/// Faults after which reading ends: so many are no slips, but a wrong file.
pub const FAULTS_NAMED: usize = 1000;

/// Why a file was not taken. Nothing of it counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Too many bytes.
    #[error(
        "the file has {found} bytes, at most {FILE_BYTES} are read; is it a register? / 文件太大，不像车辆登记表"
    )]
    TooLarge {
        /// How many it has.
        found: u64,
    },
    /// Too many rows.
    #[error(
        "the file has more than {FILE_ROWS} rows; is it a register? / 行数太多，不像车辆登记表"
    )]
    TooManyRows,
    /// A workbook that unpacks to more than a register can be.
    #[error(
        "the workbook unpacks to more than {UNPACKED_BYTES} bytes; a register never does, so it is not opened / 工作簿解压后异常巨大，未打开"
    )]
    Bomb,
    /// Something else than a list.
    #[error(
        "the file is {what}, not a list; save the register in the table program as .xlsx or as \"CSV UTF-8\" and try again / 文件不是登记表，请在表格软件中另存为 .xlsx 或“CSV UTF-8”"
    )]
    NoList {
        /// What it looks like.
        what: &'static str,
    },
    /// A workbook that cannot be read.
    #[error(
        "the workbook is damaged ({why}); open it in the table program, save it again as .xlsx and try again / 工作簿已损坏，请重新另存为 .xlsx"
    )]
    Workbook {
        /// What the reader says.
        why: String,
    },
    /// Neither UTF-8 nor GB18030.
    #[error(
        "line {line} of the file is neither UTF-8 nor GB18030 text; save it in the table program as \"CSV UTF-8\" and try again / 编码无法识别，请另存为“CSV UTF-8”"
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
    #[error("the first line names the column {column} twice; remove one / 表头重复")]
    ColumnTwice {
        /// The column.
        column: Column,
    },
    /// Rows are bad.
    #[error(
        "the file has {} faults, nothing was stored; the first: {} / 共 {} 处错误，未导入", .0.len(), .0[0], .0.len()
    )]
    BadRows(
        /// The faults in the order of the file, never none; after [`FAULTS_NAMED`] reading
        /// ends, also when bad rows may be left out.
        Vec<Finding>,
    ),
    /// The CSV parser gave up.
    #[error("the file cannot be read as CSV: {0}")]
    Csv(String),
}
