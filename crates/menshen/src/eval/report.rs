//! What a run found, as one document: for machines as it is, for people as tables.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use vision::models::Models;

use super::judge::JudgedPlate;
use super::labels::{Row, RowFault};
use super::measure::{Exactness, Measured, Readings};
use super::statistics::{Reliability, Share};
use crate::read::{columns, padded};

/// Pairs of characters that are listed for people.
const CONFUSIONS: usize = 20;

/// Everything one run has to tell; as JSON it is the answer for machines.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// This program's version.
    pub(super) version: &'static str,
    /// The networks that were measured.
    pub(super) models: Vec<Model>,
    /// The label file.
    pub(super) labels: String,
    /// The folder of pictures.
    pub(super) folder: String,
    /// Which of its rows were wanted; all if empty.
    pub(super) filters: Vec<String>,
    /// Rows that were measured.
    pub(super) rows: usize,
    /// Rows of cut-out plates without a number, in which there is nothing to measure.
    pub(super) without_number: usize,
    /// Bad rows of the label file.
    pub(super) faults: Vec<RowFault>,
    /// Pictures that could not be used.
    pub(super) unusable: Vec<Unusable>,
    /// The figures.
    #[serde(flatten)]
    pub(super) measured: Measured,
    /// Every plate that was not read exactly, and what was read where none is labelled; the
    /// surest first.
    pub(super) misread: Vec<Misread>,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Model {
    /// Its name.
    pub(super) name: String,
    /// The SHA-256 of its file, in hexadecimal.
    pub(super) sha256: String,
}

impl Model {
    /// The networks of a set of models.
    pub(super) fn all(models: &Models) -> Vec<Self> {
        let (finder, corners, reader) = (models.finder(), models.corners(), models.reader());
        let files = [
            (&finder.name, &finder.sha256),
            (&corners.name, &corners.sha256),
            (&reader.name, &reader.sha256),
        ];
        let model = |(name, sha256): (&String, &String)| Self {
            name: name.clone(),
            sha256: sha256.clone(),
        };
        files.map(model).into()
    }
}

/// A picture that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unusable {
    /// The line of the label file.
    pub(super) line: u64,
    /// The picture.
    pub(super) path: String,
    /// Why, and what to do about it.
    pub(super) error: String,
}

impl Unusable {
    /// The picture of a row, and a sentence about it.
    pub(super) fn new(row: &Row, error: String) -> Self {
        Self {
            line: row.line,
            path: row.path.clone(),
            error,
        }
    }
}

/// What went wrong with a plate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fault {
    /// Another text was read.
    Wrong,
    /// Something was read, not surely enough to count.
    Unsure,
    /// Nothing was found there.
    NotFound,
    /// A number was read where no plate is labelled.
    NoPlate,
}

impl Fault {
    /// All of them, as they are reported.
    pub(super) const ALL: [Self; 4] = [Self::Wrong, Self::NoPlate, Self::Unsure, Self::NotFound];

    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Wrong => "Read wrongly 读错",
            Self::Unsure => "Too unsure to count 把握不足",
            Self::NotFound => "Not found 未找到",
            Self::NoPlate => "Read where no plate is labelled 无标注处读出号码",
        }
    }
}

/// One plate that was not read as it should.
#[derive(Debug, Serialize)]
pub(super) struct Misread {
    /// The line of the label file.
    pub(super) line: u64,
    /// The picture.
    pub(super) path: String,
    /// How the plate was given: `whole`, `corners` or `cut`.
    pub(super) road: &'static str,
    /// What went wrong.
    pub(super) fault: Fault,
    /// What stands on the plate.
    pub(super) label: Option<String>,
    /// What was read with the grammar, however unsure.
    pub(super) read: Option<String>,
    /// How sure that is, 0 to 1.
    pub(super) confidence: Option<f32>,
    /// What was read without the grammar.
    pub(super) no_grammar: Option<String>,
    /// The kind, if known.
    pub(super) kind: Option<domain::PlateKind>,
    /// The light, as labelled.
    pub(super) light: String,
    /// Pixels between the plate's left and right edge, if known.
    pub(super) width: Option<f32>,
    /// The plate as a small JPEG.
    #[serde(skip)]
    pub(super) picture: Option<Vec<u8>>,
}

impl Misread {
    /// The plate, if it is not as it should be.
    pub(super) fn new(row: &Row, plate: &JudgedPlate, picture: Option<Vec<u8>>) -> Option<Self> {
        let read = plate.read();
        if plate.is_exact(read) {
            return None;
        }
        let fault = match (&plate.number, &plate.answer) {
            (None, _) => Fault::NoPlate,
            (_, None) => Fault::NotFound,
            (_, Some(_)) if read.is_none() => Fault::Unsure,
            (_, Some(_)) => Fault::Wrong,
        };
        let answer = plate.answer.as_ref();
        Some(Self {
            line: row.line,
            path: row.path.clone(),
            road: plate.road.name(),
            fault,
            label: plate.number.as_ref().map(ToString::to_string),
            read: answer.map(|a| a.number.text.clone()),
            confidence: answer.map(|a| a.number.confidence),
            no_grammar: answer.map(|a| a.plain.text.clone()),
            kind: plate.kind,
            light: row.light.clone(),
            width: plate.width,
            picture,
        })
    }
}

/// A table for people.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// What it is about.
    pub(super) title: String,
    /// Headings of its columns.
    pub(super) headings: Vec<&'static str>,
    /// Its rows. One with a single cell is the heading of those below it.
    pub(super) rows: Vec<Vec<String>>,
    /// What has to be said about it.
    pub(super) notes: Vec<String>,
}

/// The report's figures as tables; empty ones are left out.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let measured = &report.measured;
    let mut tables = vec![overview(measured)];
    for (readings, title) in [
        (
            &measured.whole.readings,
            "Plates in whole pictures, finder and reader 整图车牌（检测加识别）",
        ),
        (
            &measured.reader,
            "Plates given to the reader alone 单独识别给出的车牌",
        ),
    ] {
        tables.push(plates(readings, title));
        tables.push(confusions(readings));
        tables.push(promises(&readings.reliability));
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn overview(measured: &Measured) -> Table {
    let whole = &measured.whole;
    let none = Share::default();
    let rows = [
        (
            "pictures with plates: every number read 有车牌：全部读对",
            whole.with_plates.grammar,
            whole.with_plates.no_grammar,
        ),
        (
            "pictures without a plate: nothing read 无车牌：未读出号码",
            whole.without_plate.grammar,
            whole.without_plate.no_grammar,
        ),
        (
            "foreign plates: no Chinese number read 外国车牌：未读出号码",
            whole.foreign.grammar,
            whole.foreign.no_grammar,
        ),
        (
            "numbers read that are at a labelled plate * 读出的号码属于标注车牌",
            whole.texts,
            none,
        ),
        (
            "finder: labelled plates found 检测召回率",
            measured.finder.recall,
            none,
        ),
        (
            "finder: finds at a labelled plate, before reading * 检测精确率（识别前）",
            measured.finder.precision,
            none,
        ),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .filter(|(_, grammar, _)| grammar.of > 0)
        .map(|(what, grammar, plain)| vec![what.to_owned(), said(grammar), said(plain)])
        .collect();
    let mut notes = Vec::new();
    if !rows.is_empty() {
        notes.push(
            "* Plates that nobody labelled count against these two. 未标注的车牌会拉低这两项。"
                .to_owned(),
        );
    }
    if let Some(overlap) = measured.finder.median_overlap {
        notes.push(format!(
            "Half of the found plates overlap their label by {overlap:.3} or more. 检出框与标注重叠度的中位数。"
        ));
    }
    Table {
        title: "Whole pictures 整图".to_owned(),
        headings: vec!["", "Right 正确", "Without grammar 不用语法"],
        rows,
        notes,
    }
}

fn plates(readings: &Readings, title: &str) -> Table {
    let row = |name: &str, e: &Exactness| {
        vec![
            name.to_owned(),
            said(e.grammar),
            brief(e.grammar_without_province),
            brief(e.no_grammar),
            brief(e.no_grammar_without_province),
        ]
    };
    let mut rows = Vec::new();
    if readings.plates.grammar.of > 0 {
        rows.push(row("all 全部", &readings.plates));
    }
    for split in &readings.splits {
        // One group that is not stated says nothing that "all" does not say.
        if split.groups.iter().any(|g| !g.name.is_empty()) {
            rows.push(vec![split.title.clone()]);
            let groups = split.groups.iter();
            rows.extend(groups.map(|g| row(&format!("  {}", g.title), &g.exactness)));
        }
    }
    Table {
        title: title.to_owned(),
        headings: vec![
            "",
            "Exact 全对",
            "But for the province 不计省份",
            "Without grammar 不用语法",
            "Without both 两者都不计",
        ],
        rows,
        notes: Vec::new(),
    }
}

fn confusions(readings: &Readings) -> Table {
    let list = &readings.confusions;
    let mut notes = Vec::new();
    if list.len() > CONFUSIONS {
        notes.push(format!(
            "{} more pairs stand in the JSON. 其余 {} 对见 JSON。",
            list.len() - CONFUSIONS,
            list.len() - CONFUSIONS
        ));
    }
    if readings.other_length > 0 && !list.is_empty() {
        notes.push(format!(
            "{} texts have another number of characters than the plate. 另有 {} 个号码位数不同。",
            readings.other_length, readings.other_length
        ));
    }
    Table {
        title: "Characters taken for others 易混字符".to_owned(),
        headings: vec!["Plate 车牌", "Read as 读成", "Times 次数"],
        rows: list
            .iter()
            .take(CONFUSIONS)
            .map(|c| vec![c.label.into(), c.read.into(), c.count.to_string()])
            .collect(),
        notes,
    }
}

fn promises(reliability: &Reliability) -> Table {
    let rows = reliability.bins.iter().map(|bin| {
        vec![
            format!("{:.2} to {:.2} %", bin.from * 100.0, bin.to * 100.0),
            format!("{:.2} %", bin.confidence * 100.0),
            said(bin.exact),
        ]
    });
    let mut notes = Vec::new();
    if let Some(error) = reliability.calibration_error {
        notes.push(format!(
            "Expected calibration error 期望校准误差: {:.2} %",
            error * 100.0
        ));
        notes.extend(reliability.set_aside.iter().map(|aside| {
            format!(
                "Without the least sure {:.0} % 去掉最没把握的部分: {}",
                aside.part * 100.0,
                said(aside.exact)
            )
        }));
    }
    Table {
        title: "Does the certainty keep what it promises? 把握是否可信".to_owned(),
        headings: vec!["Certainty 把握", "Promised 平均把握", "Exact 全对"],
        rows: rows.collect(),
        notes,
    }
}

/// A share with its interval; empty if nothing was tried.
fn brief(share: Share) -> String {
    let (Some(value), Some((low, high))) = (share.value(), share.interval()) else {
        return String::new();
    };
    let [value, low, high] = [value, low, high].map(|part| part * 100.0);
    format!("{value:.1} % ({low:.1} to {high:.1})")
}

/// The same with what it was counted from.
fn said(share: Share) -> String {
    let brief = brief(share);
    if brief.is_empty() {
        return brief;
    }
    format!("{brief} {}/{}", share.right, share.of)
}

/// Writes a table for a terminal.
pub(super) fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    let wide = |column: usize| {
        let cells = table.rows.iter().filter(|row| row.len() > 1);
        let cells = cells
            .filter_map(|row| row.get(column))
            .map(|cell| columns(cell));
        let heading = table.headings.get(column).map_or(0, |h| columns(h));
        cells.max().unwrap_or(0).max(heading)
    };
    let widths: Vec<usize> = (0..table.headings.len()).map(wide).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(c, w)| padded(c, *w)).collect();
        padded.join("  ").trim_end().to_owned()
    };
    writeln!(out, "\n{}", table.title)?;
    writeln!(out, "{}", line(&mut table.headings.iter().copied()))?;
    for row in &table.rows {
        match &row[..] {
            [heading] => writeln!(out, "{heading}")?,
            row => writeln!(out, "{}", line(&mut row.iter().map(String::as_str)))?,
        }
    }
    for note in &table.notes {
        writeln!(out, "{note}")?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::judge::tests::{answer, label, row, whole};
    use super::super::measure::measure;
    use super::*;

    /// A street with a plate read wrongly, one not found and one read where none is.
    pub(in crate::eval) fn report(path: &str) -> Report {
        let mut street = row(vec![
            label("苏E12345", Some(0.0)),
            label("沪A00001", Some(300.0)),
        ]);
        street.path = path.to_owned();
        street.light = "night".into();
        let judged = whole(
            street.plates.clone(),
            vec![
                answer("苏E12845", 0.95, 0.0),
                answer("粤B11111", 0.5, 600.0),
            ],
        );
        let misread = judged
            .plates
            .iter()
            .filter_map(|plate| Misread::new(&street, plate, Some(vec![1, 2, 3])))
            .collect();
        Report {
            version: "0",
            models: Vec::new(),
            labels: "labels.csv".into(),
            folder: "pictures".into(),
            filters: Vec::new(),
            rows: 1,
            without_number: 0,
            faults: Vec::new(),
            unusable: Vec::new(),
            measured: measure(&[(&street, &judged)], &[]),
            misread,
        }
    }

    #[test]
    fn what_went_wrong_is_told_apart() {
        let report = report("a.jpg");
        let faults: Vec<Fault> = report.misread.iter().map(|m| m.fault).collect();
        assert_eq!(faults, [Fault::Wrong, Fault::NotFound, Fault::NoPlate]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["misread"][0]["fault"], "wrong");
        assert_eq!(json["misread"][0].get("picture"), None);
        assert_eq!(json["whole"]["plates"]["grammar"]["of"], 2);
        assert_eq!(json["whole"]["confusions"][0]["read"], "8");
        assert_eq!(json["finder"]["recall"]["right"], 1);
        assert_eq!(
            json["reader"]["plates"]["grammar"]["share"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn tables_line_up_and_leave_out_what_was_not_measured() {
        let tables = tables(&report("a.jpg"));
        let titles: Vec<&str> = tables.iter().map(|t| t.title.as_str()).collect();
        assert!(titles.iter().all(|t| !t.contains("alone")), "{titles:?}");
        let mut out = Vec::new();
        print(&mut out, &tables[1]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let share = "0.0 % (0.0 to 65.8) 0/2";
        let places: Vec<usize> = text
            .lines()
            .filter_map(|l| l.find(share).map(|at| columns(&l[..at])))
            .collect();
        assert!(places.len() > 3, "{text}");
        assert!(places.iter().all(|p| *p == places[0]), "{text}");
        assert!(
            text.contains("night 夜间") && text.contains("100 to 139"),
            "{text}"
        );
    }
}
