//! Label files: which picture shows which plates.
//!
//! CSV in UTF-8 with commas or tabs between the columns; the first line names them, in any order.
//! [`parse`] is pure: bytes in, rows and findings out. A bad row is reported with its line, its
//! cause and its cure, and the other rows are measured.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use domain::{PlateKind, PlateNumber, Quad};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use super::overlap::is_convex;

/// Bytes that a label file may have.
const MOST_BYTES: usize = 256 << 20;
/// The picture of a row, relative to the folder of pictures.
const PATH: Column = Column(&["path", "图片", "文件"]);
/// Plate numbers.
const PLATE: Column = Column(&["plate", "label", "车牌"]);
/// Corners of the plates.
const CORNERS: Column = Column(&["corners", "角点"]);
/// Kinds of the plates, or of the picture.
const KIND: Column = Column(&["kind", "种类"]);
/// Light.
const LIGHT: Column = Column(&["light", "光线"]);
/// Whether the picture is one plate, cut out.
const CUT: Column = Column(&["cut", "裁切"]);
/// Colours of the plates' ground.
const COLOUR: Column = Column(&["colour", "color", "颜色"]);

/// A column that means something here, by the headings it may have, the first its own.
struct Column(&'static [&'static str]);

impl Column {
    fn find(&self, headings: &[String]) -> Option<usize> {
        let known = |h: &String| self.0.iter().any(|name| h.eq_ignore_ascii_case(name));
        headings.iter().position(known)
    }
}

/// What is known of one picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The line of the label file, from 1.
    pub(super) line: u64,
    /// The picture, relative to the folder of pictures.
    pub(super) path: String,
    /// The plates in it; none if there is none.
    pub(super) plates: Vec<LabelledPlate>,
    /// The picture is one plate, cut out of a larger picture: the finder has nothing to find.
    pub(super) cut: bool,
    /// The light, as it stands in the file.
    pub(super) light: String,
    /// Every field of the row by its heading.
    pub(super) fields: BTreeMap<String, String>,
}

/// What is known of one plate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabelledPlate {
    /// What it says.
    pub(super) says: Says,
    /// Its kind, where row or number tell it.
    pub(super) kind: Option<PlateKind>,
    /// Its corners in the picture.
    pub(super) quad: Option<Quad>,
}

/// What a labelled plate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// A number.
    Number(PlateNumber),
    /// A person cannot read it: nothing is asked of the program, and nothing it says is wrong.
    Unreadable,
    /// It is no Chinese plate: it may be found, and no number may be read.
    Foreign,
}

impl LabelledPlate {
    /// The number, if it has one.
    pub(super) fn number(&self) -> Option<&PlateNumber> {
        match &self.says {
            Says::Number(number) => Some(number),
            Says::Unreadable | Says::Foreign => None,
        }
    }
}

/// Which rows are wanted: `column=value` or `column!=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    /// The column's heading.
    pub(super) column: String,
    /// Whether the field must be the value, or anything else.
    pub(super) equal: bool,
    /// The value.
    pub(super) value: String,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, value) = text.split_once('=').ok_or_else(|| {
            format!("{text:?} has no \"=\"; write COLUMN=VALUE or COLUMN!=VALUE, for example light=night")
        })?;
        let (column, equal) = match column.strip_suffix('!') {
            Some(column) => (column, false),
            None => (column, true),
        };
        if column.trim().is_empty() {
            return Err(format!("{text:?} names no column before \"=\""));
        }
        Ok(Self {
            column: column.trim().to_owned(),
            equal,
            value: value.trim().to_owned(),
        })
    }
}

/// Something wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("line {line}, column {column}: {text:?}: {cause}; {cure}")]
pub(super) struct RowFault {
    /// The line on which the row begins, from 1.
    pub(super) line: u64,
    /// The column's heading.
    pub(super) column: &'static str,
    /// What stands there.
    pub(super) text: String,
    /// What is wrong with it.
    pub(super) cause: String,
    /// What to do about it.
    pub(super) cure: String,
}

/// A label file that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labels {
    /// The rows wanted, in the order of the file.
    pub(super) rows: Vec<Row>,
    /// Rows that were wanted and are bad.
    pub(super) faults: Vec<RowFault>,
    /// Rows of cut-out plates without a number: there is nothing to measure in them.
    pub(super) without_number: usize,
}

/// Why a label file cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LabelError {
    #[error("it has {found} bytes, at most {MOST_BYTES} are read; is it a label file?")]
    TooLarge { found: usize },
    #[error("line {line} is not UTF-8 text; save the file in the table program as \"CSV UTF-8\"")]
    Encoding { line: usize },
    #[error(
        "it is empty; its first line must name the columns, such as path,plate,corners,kind,light,cut"
    )]
    Empty,
    #[error(
        "its first line ({found:?}) names no column {missing:?}; it must name path and plate (or 图片 and 车牌), with commas or tabs between"
    )]
    Missing {
        missing: &'static str,
        found: String,
    },
    #[error("its first line names the column {0:?} twice; rename or remove one")]
    Twice(String),
    #[error("it has no column {name:?}; it has {}", .headings.join(", "))]
    NoSuchColumn { name: String, headings: Vec<String> },
    #[error("it cannot be read as CSV: {0}; are quotation marks in pairs?")]
    Csv(String),
}

/// Reads a label file: the rows that pass every filter. Several filters for the same value of one
/// column (`light=night`, `light=dusk`) are met by any of them. `by` names further columns that
/// must be there.
///
/// # Errors
/// [`LabelError`], if the file cannot be used at all.
pub(super) fn parse(bytes: &[u8], filters: &[Filter], by: &[String]) -> Result<Labels, LabelError> {
    if bytes.len() > MOST_BYTES {
        return Err(LabelError::TooLarge { found: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| LabelError::Encoding {
        line: bytes[..e.valid_up_to()].split(|b| *b == b'\n').count(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tabs = text.lines().next().is_some_and(|line| line.contains('\t'));
    let mut records = csv::ReaderBuilder::new()
        .delimiter(if tabs { b'\t' } else { b',' })
        // Between tabs nobody quotes: a quotation mark is part of a name.
        .quoting(!tabs)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = records
        .headers()
        .map_err(|e| LabelError::Csv(e.to_string()))?;
    let headings: Vec<String> = header.iter().map(str::to_owned).collect();
    let columns = Columns::find(headings)?;
    let wanted = filters
        .iter()
        .map(|filter| Ok((columns.named(&filter.column)?, filter)))
        .collect::<Result<Vec<_>, LabelError>>()?;
    for name in by {
        columns.named(name)?;
    }
    let mut labels = Labels {
        rows: Vec::new(),
        faults: Vec::new(),
        without_number: 0,
    };
    let (mut line, mut counted) = (1, 0);
    for record in records.records() {
        let record = record.map_err(|e| LabelError::Csv(e.to_string()))?;
        // The parser counts empty lines before a row as part of it, a person does not.
        let mut start = record.position().map_or(counted, |p| p.byte() as usize);
        while matches!(text.as_bytes().get(start), Some(b'\r' | b'\n')) {
            start += 1;
        }
        let passed = text.get(counted..start).unwrap_or_default();
        line += passed.matches('\n').count() as u64;
        counted = start.max(counted);
        if record.iter().all(str::is_empty) || !is_wanted(&record, &wanted) {
            continue;
        }
        match columns.row(&record, line) {
            Ok(row) if row.cut && !row.plates.iter().any(|p| p.number().is_some()) => {
                labels.without_number += 1;
            }
            Ok(row) => labels.rows.push(row),
            Err(fault) => labels.faults.push(fault),
        }
    }
    Ok(labels)
}

fn is_wanted(record: &csv::StringRecord, filters: &[(usize, &Filter)]) -> bool {
    filters.iter().all(|(place, filter)| {
        let field = record.get(*place).unwrap_or_default();
        if filter.equal {
            let same = filters.iter().filter(|(p, f)| p == place && f.equal);
            same.into_iter().any(|(_, f)| f.value == field)
        } else {
            filter.value != field
        }
    })
}

/// Which field of a record is what.
struct Columns {
    headings: Vec<String>,
    path: usize,
    plate: usize,
    corners: Option<usize>,
    kind: Option<usize>,
    light: Option<usize>,
    cut: Option<usize>,
    colour: Option<usize>,
}

/// What a row says about its picture as a whole, in the column of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Scene,
    Crop,
    Background,
    Foreign,
}

impl Sort {
    fn named(word: &str) -> Option<Self> {
        match word {
            "scene" => Some(Self::Scene),
            "crop" => Some(Self::Crop),
            "background" => Some(Self::Background),
            "foreign" => Some(Self::Foreign),
            _ => None,
        }
    }
}

impl Columns {
    fn find(headings: Vec<String>) -> Result<Self, LabelError> {
        if headings.iter().all(String::is_empty) {
            return Err(LabelError::Empty);
        }
        for (i, heading) in headings.iter().enumerate() {
            if !heading.is_empty() && headings[..i].contains(heading) {
                return Err(LabelError::Twice(heading.clone()));
            }
        }
        let must = |column: &Column| {
            column.find(&headings).ok_or_else(|| LabelError::Missing {
                missing: column.0[0],
                found: headings.join(","),
            })
        };
        Ok(Self {
            path: must(&PATH)?,
            plate: must(&PLATE)?,
            corners: CORNERS.find(&headings),
            kind: KIND.find(&headings),
            light: LIGHT.find(&headings),
            cut: CUT.find(&headings),
            colour: COLOUR.find(&headings),
            headings,
        })
    }

    fn named(&self, name: &str) -> Result<usize, LabelError> {
        let place = self.headings.iter().position(|h| h == name);
        place.ok_or_else(|| LabelError::NoSuchColumn {
            name: name.to_owned(),
            headings: self.headings.clone(),
        })
    }

    fn row(&self, record: &csv::StringRecord, line: u64) -> Result<Row, RowFault> {
        let field = |at: Option<usize>| at.and_then(|p| record.get(p)).unwrap_or_default();
        let at = Line(line);
        let path = field(Some(self.path));
        if !stays_inside(path) {
            let cause = "this is no picture below the folder of pictures";
            return Err(at.fault(&PATH, path, cause, "write its path from that folder on"));
        }
        let kind = field(self.kind);
        let (sort, kinds) = kinds(kind).map_err(|word| {
            let cure = "write a kind such as small, large or new-energy-small, or foreign, scene, crop or background, or leave it empty";
            at.fault(&KIND, &word, "there is no such kind", cure)
        })?;
        let cut = at.cut(field(self.cut), sort)?;
        let lists = Lists {
            plate: field(Some(self.plate)),
            corners: field(self.corners),
            kind,
            kinds,
            colours: list(field(self.colour)),
        };
        let named = self.headings.iter().zip(record.iter());
        Ok(Row {
            line,
            path: path.to_owned(),
            plates: lists.plates(at, sort, cut)?,
            cut,
            light: field(self.light).to_lowercase(),
            fields: named.map(|(h, f)| (h.clone(), f.to_owned())).collect(),
        })
    }
}

/// A line of the file, from 1.
#[derive(Debug, Clone, Copy)]
struct Line(u64);

impl Line {
    fn fault(self, column: &Column, text: &str, cause: impl Into<String>, cure: &str) -> RowFault {
        RowFault {
            line: self.0,
            column: column.0[0],
            text: text.to_owned(),
            cause: cause.into(),
            cure: cure.to_owned(),
        }
    }

    /// Whether the picture is a cut-out; a crop is one if nothing else is said.
    fn cut(self, text: &str, sort: Option<Sort>) -> Result<bool, RowFault> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "true" | "1" | "是" => Ok(true),
            "no" | "n" | "false" | "0" | "否" => Ok(false),
            "" => Ok(sort == Some(Sort::Crop)),
            other => {
                let cure = "write yes or no, or leave it empty";
                Err(self.fault(&CUT, other, "this is neither yes nor no", cure))
            }
        }
    }
}

/// The fields of a row that hold something for each plate.
struct Lists<'a> {
    plate: &'a str,
    corners: &'a str,
    kind: &'a str,
    kinds: Vec<PlateSort>,
    colours: Vec<&'a str>,
}

impl Lists<'_> {
    fn plates(
        &self,
        at: Line,
        sort: Option<Sort>,
        cut: bool,
    ) -> Result<Vec<LabelledPlate>, RowFault> {
        let quads = list(self.corners);
        let mut texts = list(self.plate);
        if texts.is_empty() {
            texts = match sort {
                Some(Sort::Foreign) => vec![""; quads.len().max(1)],
                Some(Sort::Scene | Sort::Crop) => vec![""],
                Some(Sort::Background) => Vec::new(),
                None => vec![""; self.kinds.len().max(quads.len())],
            };
        } else if sort == Some(Sort::Background) {
            let cure = "leave the plate empty, or the kind";
            return Err(at.fault(&PLATE, self.plate, "a background has no plate", cure));
        }
        if cut && texts.len() > 1 {
            let cause = format!("a cut-out shows one plate and not {}", texts.len());
            return Err(at.fault(&PLATE, self.plate, cause, "leave one, or write cut=no"));
        }
        if !quads.is_empty() && quads.len() != texts.len() {
            let cause = format!(
                "corners of {} plates, but {} plates",
                quads.len(),
                texts.len()
            );
            let cure = "separate plates by \";\" in both columns; leave an element empty where nothing is known";
            return Err(at.fault(&CORNERS, self.corners, cause, cure));
        }
        if self.kinds.len() > 1 && self.kinds.len() != texts.len() {
            let cause = format!("{} kinds, but {} plates", self.kinds.len(), texts.len());
            let cure = "write one for all, or one for each";
            return Err(at.fault(&KIND, self.kind, cause, cure));
        }
        let foreign = sort == Some(Sort::Foreign);
        texts
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let (says, kind) = self.says(at, i, text, foreign)?;
                let quad = match quads.get(i).copied().unwrap_or_default() {
                    "" => None,
                    corners => Some(quad(corners).map_err(|cause| {
                        let cure = "write x,y x,y x,y x,y in pixels: top left, top right, bottom right, bottom left of the plate";
                        at.fault(&CORNERS, corners, cause, cure)
                    })?),
                };
                Ok(LabelledPlate { says, kind, quad })
            })
            .collect()
    }

    /// What one plate says, and its kind.
    fn says(
        &self,
        at: Line,
        plate: usize,
        text: &str,
        foreign: bool,
    ) -> Result<(Says, Option<PlateKind>), RowFault> {
        // One element stands for all plates.
        let kind = self.kinds.get(plate).or(self.kinds.first());
        let kind = match kind.copied().unwrap_or_default() {
            PlateSort::Foreign => return Ok((Says::Foreign, None)),
            _ if foreign => return Ok((Says::Foreign, None)),
            PlateSort::Kind(kind) => Some(kind),
            PlateSort::NotStated => None,
        };
        if text.is_empty() {
            return Ok((Says::Unreadable, kind));
        }
        let number = PlateNumber::parse(text).map_err(|e| {
            let cure = "correct it; leave it empty if nobody can read it, write foreign as its kind if it is no Chinese plate";
            at.fault(&PLATE, text, e.to_string(), cure)
        })?;
        let colour = match &self.colours[..] {
            [one] => Some(one),
            each => each.get(plate),
        };
        let colour = colour.copied().unwrap_or_default().to_lowercase();
        match kind {
            Some(kind) if !number.kinds().contains(&kind) => {
                let cause = format!("{number} cannot be a {kind} plate");
                let cure = "correct the kind or the plate, or leave the kind empty";
                Err(at.fault(&KIND, self.kind, cause, cure))
            }
            Some(kind) => Ok((Says::Number(number), Some(kind))),
            None => {
                let kind = kind_of(&number, &colour);
                Ok((Says::Number(number), kind))
            }
        }
    }
}

/// A path that names something below the folder it is joined to.
fn stays_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|p| matches!(p, Component::Normal(_) | Component::CurDir))
}

/// The elements of a list in one field; none if it is empty.
fn list(text: &str) -> Vec<&str> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split([';', '；']).map(str::trim).collect()
}

/// What stands for one plate in the column of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum PlateSort {
    #[default]
    NotStated,
    Foreign,
    Kind(PlateKind),
}

/// The column of kinds: what the whole picture is, and what each plate is. The error is the word
/// that is not understood.
fn kinds(text: &str) -> Result<(Option<Sort>, Vec<PlateSort>), String> {
    let words: Vec<String> = list(text).iter().map(|w| w.to_lowercase()).collect();
    if let [word] = words.as_slice()
        && let Some(sort) = Sort::named(word)
    {
        return Ok((Some(sort), Vec::new()));
    }
    let plate = |word: String| match word.as_str() {
        "" => Ok(PlateSort::NotStated),
        "foreign" | "外国" => Ok(PlateSort::Foreign),
        _ => kind(&word).map(PlateSort::Kind).ok_or(word),
    };
    Ok((
        None,
        words.into_iter().map(plate).collect::<Result<_, _>>()?,
    ))
}

/// A kind by its name in the files of this program, in English or Chinese, or by its code.
fn kind(word: &str) -> Option<PlateKind> {
    let mut all = PlateKind::ALL.into_iter();
    let found = all.find(|k| {
        k.english().eq_ignore_ascii_case(word) || k.chinese() == word || k.code() == Some(word)
    });
    found.or_else(|| {
        let name = IntoDeserializer::<serde::de::value::Error>::into_deserializer(word);
        PlateKind::deserialize(name).ok()
    })
}

/// The kind that number and colour tell together.
fn kind_of(number: &PlateNumber, colour: &str) -> Option<PlateKind> {
    match (number.kinds(), colour) {
        ([only], _) => Some(*only),
        ([PlateKind::Small, ..], "blue" | "蓝" | "蓝色") => Some(PlateKind::Small),
        ([PlateKind::Small, ..], "yellow" | "黄" | "黄色") => Some(PlateKind::Large),
        _ => None,
    }
}

/// Four corners from eight numbers; the error is what is wrong with them.
fn quad(text: &str) -> Result<Quad, String> {
    let numbers: Result<Vec<f32>, _> = text
        .split([',', ' ', '，'])
        .filter(|number| !number.is_empty())
        .map(|number| {
            number
                .parse()
                .map_err(|_| format!("{number:?} is no number"))
        })
        .collect();
    let numbers = numbers?;
    let [x0, y0, x1, y1, x2, y2, x3, y3] = numbers[..] else {
        return Err(format!("{} numbers where 8 must stand", numbers.len()));
    };
    let quad = Quad([(x0, y0), (x1, y1), (x2, y2), (x3, y3)]);
    if is_convex(&quad) {
        Ok(quad)
    } else {
        Err("these corners do not go clockwise around a plate".to_owned())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.equal { "=" } else { "!=" };
        write!(f, "{}{sign}{}", self.column, self.value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Labels {
        parse(text.as_bytes(), &[], &[]).unwrap()
    }

    fn number(text: &str) -> Says {
        Says::Number(text.parse().unwrap())
    }

    #[test]
    fn a_table_of_our_own_says_what_is_in_each_picture() {
        let labels = read(
            "path,plate,corners,kind,light,cut\n\
             a.jpg,苏E12345;京AD12345,\"1,2 101,2 101,32 1,32;1,52 101,52 101,82 1,82\",small;new-energy-small,night,\n\
             b/c.png,沪A·1234学,,,Day,yes\n\
             d.jpg,,,,day,no\n\
             e.jpg,,,foreign,,\n\
             f.jpg,苏e12345;,,;,,\n",
        );
        assert_eq!(labels.faults, []);
        let [street, coach, empty, foreign, some] = &labels.rows[..] else {
            panic!("{labels:?}")
        };
        assert_eq!(
            (street.line, street.path.as_str(), street.light.as_str()),
            (2, "a.jpg", "night")
        );
        assert_eq!(street.plates[1].says, number("京AD12345"));
        assert_eq!(street.plates[1].kind, Some(PlateKind::NewEnergySmall));
        assert_eq!(street.plates[1].quad.unwrap().0[2], (101.0, 82.0));
        assert!(!street.cut && coach.cut && !empty.cut);
        assert_eq!(
            (coach.light.as_str(), coach.plates[0].kind),
            ("day", Some(PlateKind::Coach))
        );
        assert!(empty.plates.is_empty());
        assert_eq!(foreign.plates[0].says, Says::Foreign);
        assert_eq!(some.plates[0].kind, None, "small or large, nobody says");
        assert_eq!(some.plates[1].says, Says::Unreadable);
        assert_eq!(some.fields["path"], "f.jpg");
    }

    #[test]
    fn the_table_of_a_data_folder_is_understood_too() {
        let text = "path\tkind\tlabel\tcorners\tcorners_from\tcolour\tsplit\torig_path\n\
            a.jpg\tcrop\t苏E12345\t\t\tyellow\ttest\tx \"y\n\
            b.jpg\tscene\t苏E12345;\t1,2 9,2 9,6 1,6;11,2 19,2 19,6 11,6\td\tblue;blue\ttest\t\n\
            c.jpg\tbackground\t\t\t\t\ttest\t\n\
            d.jpg\tforeign\t\t\t\t\ttrain\t\n\
            e.jpg\tcrop\t\t\t\t\tunlabelled\t\n";
        let labels = read(text);
        assert_eq!((labels.faults.len(), labels.rows.len()), (0, 4));
        assert_eq!(labels.without_number, 1);
        let [a, b, c, d] = &labels.rows[..] else {
            panic!("{labels:?}")
        };
        assert!(a.cut && !b.cut);
        assert_eq!(a.plates[0].kind, Some(PlateKind::Large));
        assert_eq!(b.plates[0].kind, Some(PlateKind::Small));
        assert_eq!(b.plates[1].says, Says::Unreadable);
        assert!(c.plates.is_empty());
        assert_eq!(d.plates[0].says, Says::Foreign);
        let only = |filters: &[&str]| {
            let filters: Vec<Filter> = filters.iter().map(|f| f.parse().unwrap()).collect();
            let labels = parse(text.as_bytes(), &filters, &["colour".into()]).unwrap();
            labels
                .rows
                .iter()
                .map(|r| r.path.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            only(&["split=test", "kind!=background"]),
            ["a.jpg", "b.jpg"]
        );
        assert_eq!(only(&["kind=scene", "kind=foreign"]), ["b.jpg", "d.jpg"]);
    }

    #[test]
    fn each_bad_row_is_named_with_its_line_and_cure_and_the_others_stay() {
        let labels = read(
            "path,plate,corners,kind,cut\n\
             good.jpg,苏E12345,,,\n\
             a.jpg,苏EI2345,,,\n\
             ../b.jpg,苏E12345,,,\n\
             /c.jpg,苏E12345,,,\n\
             ,苏E12345,,,\n\
             d.jpg,苏E12345,\"1,2 3,4\",,\n\
             e.jpg,苏E12345,1 2 9 2 9 x 1 6,,\n\
             f.jpg,苏E12345,1 2 1 6 9 6 9 2,,\n\
             g.jpg,苏E12345,1 2 9 2 9 6 1 6;,,\n\
             h.jpg,苏E12345,,police,\n\
             i.jpg,苏E12345,,lorry,\n\
             j.jpg,苏E12345,,,perhaps\n\
             k.jpg,苏E12345;苏E12346,,,yes\n\
             l.jpg,苏E12345,,background,\n\
             m.jpg,苏E12345,,small;small,\n\
             last.jpg,苏E12345,1 2 9 2 9 6 1 6,小型汽车,no\n",
        );
        let lines: Vec<u64> = labels.faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, (3..=16).collect::<Vec<u64>>());
        assert_eq!(labels.rows.len(), 2);
        for fault in &labels.faults {
            assert!(!fault.cure.is_empty() && !fault.cause.is_empty());
        }
        let gap = read("path,plate\n\n\r\na.jpg,苏E1\n");
        assert_eq!(gap.faults[0].line, 4, "empty lines count");
        let said = labels.faults[0].to_string();
        assert!(
            said.contains("line 3") && said.contains("\"苏EI2345\""),
            "{said}"
        );
    }

    #[test]
    fn a_file_that_is_no_label_file_says_what_must_stand_there() {
        let refused = |bytes: &[u8]| parse(bytes, &[], &[]).unwrap_err().to_string();
        assert!(refused(b"").contains("path,plate"));
        assert!(refused(b"path,number\na,b\n").contains("\"plate\""));
        assert!(refused(b"path,plate,path\n").contains("twice"));
        assert!(refused(b"path,plate\na.jpg,\xcb\xd5E12345\n").contains("line 2"));
        let filter: Filter = "split=test".parse().unwrap();
        let missing = parse(b"path,plate\n", &[filter], &[])
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("\"split\"") && missing.contains("path, plate"),
            "{missing}"
        );
        assert!(parse(b"path,plate\n", &[], &["repo".into()]).is_err());
        assert!("split".parse::<Filter>().is_err() && "=a".parse::<Filter>().is_err());
        assert_eq!("a!=b=c".parse::<Filter>().unwrap().to_string(), "a!=b=c");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, &[], &[]);
        }

        #[test]
        fn no_fields_make_it_fail_and_every_row_is_accounted_for(
            rows in prop::collection::vec(
                prop::collection::vec("[a-z0-9;.,/ 苏学EO\"]{0,12}|small|foreign|crop|yes|1 2 9 2 9 6 1 6", 6),
                0..20,
            )
        ) {
            let mut text = "path\tplate\tcorners\tkind\tlight\tcut\n".to_owned();
            let mut filled = 0;
            for row in &rows {
                filled += usize::from(row.iter().any(|f| !f.trim().is_empty()));
                text += &(row.join("\t") + "\n");
            }
            let labels = parse(text.as_bytes(), &[], &[]).unwrap();
            prop_assert_eq!(labels.rows.len() + labels.faults.len() + labels.without_number, filled);
        }
    }
}
