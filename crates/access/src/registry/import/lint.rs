//! Every row of a list looked at: what cannot be stored, and what a person should look at.

use std::collections::HashMap;

use domain::{PlateKind, PlateNumber, Words};
use jiff::civil::Date;

use super::column::Column;
use super::date::{likely_date, parse_date};
use super::error::FAULTS_NAMED;
use super::finding::{Finding, Severity, Topic};
use super::shape::{Odd, is_phone, is_rounded, odd_unit};
use super::suggest::{Usual, likely_plates};
use super::table::{Row, Table};
use super::{Progress, Stage};
use crate::registry::name::Label;
use crate::registry::{FIELD_CHARACTERS, Vehicle};

/// Pairs of neighbours that are named one by one.
const NEIGHBOURS_NAMED: usize = 200;
/// Rows between two reports of progress.
const REPORT_EVERY: usize = 2000;

/// What looking at every row gave.
pub(super) struct Looked {
    /// Rows that can be stored, each with its line, in the order of the file; no plate twice.
    pub(super) vehicles: Vec<(u64, Vehicle)>,
    /// In the order of the file.
    pub(super) findings: Vec<Finding>,
    /// Whether there were so many errors that reading ended.
    pub(super) cut_short: bool,
    pub(super) notes: Vec<Words>,
}

pub(super) fn look(
    table: &Table,
    today: Option<Date>,
    progress: &mut dyn FnMut(Progress),
) -> Looked {
    let plates: Vec<Result<PlateNumber, domain::plate::PlateError>> = table
        .rows
        .iter()
        .map(|row| PlateNumber::parse(row.cell(Column::Plate)))
        .collect();
    let usual = Usual::of(plates.iter().flatten());
    let mut looked = Looked {
        vehicles: Vec::new(),
        findings: Vec::new(),
        cut_short: false,
        notes: Vec::new(),
    };
    let mut first: HashMap<&PlateNumber, &Row> = HashMap::new();
    let mut errors = 0;
    for (at, (row, plate)) in table.rows.iter().zip(&plates).enumerate() {
        if at % REPORT_EVERY == 0 {
            progress(Progress {
                stage: Stage::Checking,
                done: at as u64,
                of: Some(table.rows.len() as u64),
            });
        }
        let mut found = Vec::new();
        match plate {
            Ok(plate) => match first.get(plate) {
                Some(earlier) => found.push(twice(row, earlier, plate)),
                None => {
                    first.insert(plate, row);
                }
            },
            Err(error) => found.push(wrong_plate(row, error, &usual)),
        }
        if let Ok(plate) = plate
            && let Some(whole) = usual.with_province(plate)
        {
            found.push(Finding {
                suggestions: vec![whole.as_str().to_owned()],
                ..finding(
                    row,
                    Column::Plate,
                    Topic::NoProvince,
                    Words::new(
                        "是军车号牌的样子，可能漏了省份",
                        "it has the form of a military number; was the province left out?",
                    ),
                    Words::new("请核对行驶证", "compare with the vehicle's licence"),
                )
            });
        }
        cells(table, row, today, &mut found);
        let bad = found
            .iter()
            .filter(|f| f.severity() == Severity::Error)
            .count();
        errors += bad;
        if let (0, Ok(plate)) = (bad, plate) {
            looked.vehicles.push((row.line, vehicle(row, plate)));
        }
        looked.findings.append(&mut found);
        if errors >= FAULTS_NAMED {
            looked.cut_short = true;
            return looked;
        }
    }
    neighbours(&mut looked);
    looked.findings.sort_by_key(|f| (f.line, f.column, f.topic));
    looked
}

fn finding(row: &Row, column: Column, topic: Topic, cause: Words, cure: Words) -> Finding {
    Finding {
        line: row.line,
        other_line: None,
        column,
        topic,
        text: row.cell(column).chars().take(60).collect(),
        cause,
        cure,
        suggestions: Vec::new(),
    }
}

fn wrong_plate(row: &Row, error: &domain::plate::PlateError, usual: &Usual) -> Finding {
    let text = row.cell(Column::Plate);
    if text.is_empty() {
        return finding(
            row,
            Column::Plate,
            Topic::MissingPlate,
            Words::new("没有填车牌", "the plate is missing"),
            Words::new("补上车牌，或删除这一行", "fill it in, or remove the row"),
        );
    }
    let suggestions = likely_plates(text, usual);
    let cure = match suggestions.first() {
        Some(likely) => Words::new(
            format!("可能是 {likely}，请核对行驶证后改正"),
            format!("{likely} was probably meant; compare with the vehicle's licence"),
        ),
        None => Words::new(
            "请核对行驶证后改正",
            "compare with the vehicle's licence and correct it",
        ),
    };
    Finding {
        suggestions,
        ..finding(
            row,
            Column::Plate,
            Topic::ImpossiblePlate,
            Words::new(plate_error_in_chinese(error), error.to_string()),
            cure,
        )
    }
}

fn plate_error_in_chinese(error: &domain::plate::PlateError) -> String {
    use domain::plate::PlateError;
    match error {
        PlateError::Empty => "没有填车牌".to_owned(),
        PlateError::TooShort { found, .. } => format!("只有 {found} 个字符，车牌应为 7 或 8 个"),
        PlateError::TooLong { .. } => "字符太多，车牌应为 7 或 8 个".to_owned(),
        PlateError::Character {
            found, position, ..
        } => match found {
            'I' => format!("第 {position} 个字符是字母 I，车牌没有 I，多半是数字 1"),
            'O' => format!("第 {position} 个字符是字母 O，此处没有 O，多半是数字 0"),
            other => format!("第 {position} 个字符 {other} 不能出现在此处"),
        },
    }
}

fn twice(row: &Row, earlier: &Row, plate: &PlateNumber) -> Finding {
    let (here, there) = (row.cell(Column::Owner), earlier.cell(Column::Owner));
    let (line, first) = (row.line, earlier.line);
    let cure = Words::new(
        format!("第 {first} 行和第 {line} 行只保留一行"),
        format!("keep line {first} or line {line} and remove the other"),
    );
    let found = if here != there && !here.is_empty() && !there.is_empty() {
        finding(
            row,
            Column::Plate,
            Topic::TwoOwners,
            Words::new(
                format!("{plate} 在第 {first} 行的车主是 {there}，这里是 {here}"),
                format!("the plate stands on line {first} too, with the owner {there}"),
            ),
            cure,
        )
    } else {
        finding(
            row,
            Column::Plate,
            Topic::Duplicate,
            Words::new(
                format!("{plate} 已在第 {first} 行"),
                format!("the plate stands on line {first} too"),
            ),
            cure,
        )
    };
    Finding {
        other_line: Some(first),
        ..found
    }
}

/// Looks at every cell but the plate.
fn cells(table: &Table, row: &Row, today: Option<Date>, found: &mut Vec<Finding>) {
    for &column in &table.columns {
        let text = row.cell(column);
        if let Some(bad) = bad_text(row, column, text) {
            found.push(bad);
            continue;
        }
        match column {
            Column::Owner if text.is_empty() => found.push(finding(
                row,
                column,
                Topic::MissingOwner,
                Words::new("没有填车主", "the owner is missing"),
                Words::new("问清后补上", "ask and fill it in"),
            )),
            Column::Phone if !text.is_empty() => found.extend(phone(row, text)),
            Column::Building | Column::Unit => found.extend(unit(row, column, text)),
            Column::ValidUntil | Column::LeaseUntil if !text.is_empty() => {
                found.extend(date(row, column, text, today));
            }
            Column::Kind if !text.is_empty() && kind_named(text).is_none() => found.push(finding(
                row,
                column,
                Topic::UnknownKind,
                Words::new("没有这种号牌", "this is no plate kind"),
                Words::new(
                    "填写如 小型汽车、小型新能源汽车，或留空",
                    "write it like 小型汽车 or small, or leave it empty",
                ),
            )),
            Column::Household | Column::Schedule
                if !text.is_empty() && Label::parse(text).is_err() =>
            {
                found.push(finding(
                    row,
                    column,
                    Topic::BadText,
                    Words::new("名称超过 40 个字符", "the name has more than 40 characters"),
                    Words::new("改短", "shorten it"),
                ));
            }
            _ => {}
        }
    }
}

fn bad_text(row: &Row, column: Column, text: &str) -> Option<Finding> {
    let (cause, cure) = if text.chars().count() > FIELD_CHARACTERS {
        (
            Words::new("超过 200 个字符", "it has more than 200 characters"),
            Words::new(
                "改短；引号没有成对也会这样",
                "shorten it; a quotation mark that is not closed also looks like this",
            ),
        )
    } else if text.chars().any(char::is_control) {
        (
            Words::new(
                "有换行或其他控制字符",
                "it has a line break or another control character",
            ),
            Words::new("写成一行", "write it on one line"),
        )
    } else {
        return None;
    };
    Some(finding(row, column, Topic::BadText, cause, cure))
}

fn phone(row: &Row, text: &str) -> Option<Finding> {
    if is_rounded(text) {
        return Some(finding(
            row,
            Column::Phone,
            Topic::Rounded,
            Words::new(
                "号码被表格软件四舍五入，末尾数字已丢失",
                "the table program has rounded the number",
            ),
            Words::new(
                "把该列设为文本格式，重新输入号码",
                "format the column as text there and type the number again",
            ),
        ));
    }
    (!is_phone(text)).then(|| {
        let digits = text.chars().filter(char::is_ascii_digit).count();
        finding(
            row,
            Column::Phone,
            Topic::PhoneShape,
            Words::new(
                format!("不像电话号码（{digits} 个数字）"),
                format!("this has not the shape of a telephone number ({digits} digits)"),
            ),
            Words::new(
                "手机为 11 位，座机带区号；请核对",
                "a mobile number has 11 digits, a landline an area code; check it",
            ),
        )
    })
}

fn unit(row: &Row, column: Column, text: &str) -> Option<Finding> {
    let odd = odd_unit(text)?;
    let (cause, suggestions) = match odd {
        Odd::Date(meant) => (
            Words::new(
                "像是被表格软件改成了日期",
                "the table program seems to have made a date of it",
            ),
            vec![meant],
        ),
        Odd::Unknown => (
            Words::new("没有说明是哪里", "it does not say where"),
            Vec::new(),
        ),
        Odd::Phone => (
            Words::new(
                "这是电话号码，可能填错了列",
                "this is a telephone number; the wrong column?",
            ),
            Vec::new(),
        ),
        Odd::Characters => (
            Words::new(
                "不像楼栋或单元",
                "this has not the shape of a building or unit",
            ),
            Vec::new(),
        ),
    };
    Some(Finding {
        suggestions,
        ..finding(
            row,
            column,
            Topic::UnitShape,
            cause,
            Words::new("请核对后改正", "check and correct it"),
        )
    })
}

fn date(row: &Row, column: Column, text: &str, today: Option<Date>) -> Option<Finding> {
    let Some(date) = parse_date(text) else {
        let likely = likely_date(text).map(|d| d.to_string());
        return Some(Finding {
            suggestions: likely.into_iter().collect(),
            ..finding(
                row,
                column,
                Topic::BadDate,
                Words::new("不是有效日期", "this is no date"),
                Words::new(
                    "写成 2026-12-31、2026/12/31、2026.12.31 或 2026年12月31日；长期有效请留空",
                    "write it like 2026-12-31, 2026/12/31, 2026.12.31 or 2026年12月31日, or leave it empty for no end",
                ),
            )
        });
    };
    let past = today.is_some_and(|today| date < today);
    past.then(|| {
        finding(
            row,
            column,
            Topic::PastDate,
            Words::new(
                "这一天已过，导入后不会放行",
                "this day is past; the vehicle would not be let in",
            ),
            Words::new(
                "若仍有效，请改日期",
                "if it is still valid, correct the date",
            ),
        )
    })
}

/// The plate kind that a word names: its Chinese or English name, its code in events, or its
/// GA/T 16.7 code.
pub fn kind_named(text: &str) -> Option<PlateKind> {
    let text = text.trim();
    PlateKind::ALL.into_iter().find(|kind| {
        text == kind.chinese()
            || text.eq_ignore_ascii_case(kind.english())
            || kind.code().is_some_and(|code| code == text)
            || text.eq_ignore_ascii_case(&kind_word(*kind))
    })
}

/// A plate kind's word in files and events, for example `new-energy-small`.
pub fn kind_word(kind: PlateKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(word)) => word,
        _ => kind.english().to_owned(),
    }
}

fn vehicle(row: &Row, plate: &PlateNumber) -> Vehicle {
    let text = |column: Column| row.cell(column).to_owned();
    Vehicle {
        plate: plate.clone(),
        owner: text(Column::Owner),
        building: text(Column::Building),
        unit: text(Column::Unit),
        phone: text(Column::Phone),
        valid_until: parse_date(row.cell(Column::ValidUntil)),
        household: Label::parse(row.cell(Column::Household)).ok(),
        kind: kind_named(row.cell(Column::Kind)),
        colour: text(Column::Colour),
        make: text(Column::Make),
        lease_until: parse_date(row.cell(Column::LeaseUntil)),
        schedule: Label::parse(row.cell(Column::Schedule)).ok(),
        verified_by: text(Column::VerifiedBy),
    }
}

/// Pairs of plates that are one edit apart (a character exchanged, or left out): easily
/// confused by eye, and the place where a typing mistake hides.
fn neighbours(looked: &mut Looked) {
    let pairs = one_edit_pairs(looked.vehicles.iter().map(|(_, v)| v.plate.as_str()));
    for &(a, b) in pairs.iter().take(NEIGHBOURS_NAMED) {
        let ((first, one), (line, other)) = (&looked.vehicles[a], &looked.vehicles[b]);
        looked.findings.push(Finding {
            line: *line,
            other_line: Some(*first),
            column: Column::Plate,
            topic: Topic::Neighbour,
            text: other.plate.as_str().to_owned(),
            cause: Words::new(
                format!("与第 {first} 行的 {} 只差一个字符", one.plate),
                format!(
                    "{} on line {first} and {} differ in one character",
                    one.plate, other.plate
                ),
            ),
            cure: Words::new(
                "请确认两辆车都存在，没有输错",
                "make sure that both vehicles exist and none is a slip",
            ),
            suggestions: Vec::new(),
        });
    }
    if pairs.len() > NEIGHBOURS_NAMED {
        let more = pairs.len() - NEIGHBOURS_NAMED;
        looked.notes.push(Words::new(
            format!("另有 {more} 对车牌只差一个字符，未逐一列出"),
            format!("and {more} further pairs of plates that differ in one character"),
        ));
    }
}

/// Places of plates that are one edit apart, each pair once, the earlier first.
///
/// Plates that agree but for one place have the same text once that place is left out; so all
/// such texts, as hashes, are sorted, and those that meet are compared.
fn one_edit_pairs<'a>(plates: impl Iterator<Item = &'a str>) -> Vec<(usize, usize)> {
    let plates: Vec<Vec<char>> = plates.map(|p| p.chars().collect()).collect();
    let mut hashes: Vec<(u64, u32)> = Vec::with_capacity(plates.len() * 16);
    for (plate, place) in plates.iter().zip(0..) {
        for at in 0..plate.len() {
            // With the length, a character exchanged; without it, one left out.
            let rest = plate[..at].iter().chain(&plate[at + 1..]);
            hashes.push((
                hash(rest.clone().chain(&[char::from(at as u8), '*'])),
                place,
            ));
            if plate.len() > SHORTEST {
                hashes.push((hash(rest), place));
            }
        }
        hashes.push((hash(plate.iter()), place));
    }
    hashes.sort_unstable();
    let mut pairs = Vec::new();
    for group in hashes.chunk_by(|a, b| a.0 == b.0) {
        for (n, &(_, one)) in group.iter().enumerate() {
            for &(_, other) in &group[n + 1..] {
                let (one, other) = (one as usize, other as usize);
                if one_edit(&plates[one], &plates[other]) {
                    pairs.push((one.min(other), one.max(other)));
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Characters of the shorter plates.
const SHORTEST: usize = 7;

fn hash<'a>(chars: impl Iterator<Item = &'a char>) -> u64 {
    // FNV-1a over the characters: quick, and the same everywhere.
    chars.fold(0xcbf2_9ce4_8422_2325, |sum, &c| {
        (sum ^ u64::from(u32::from(c))).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whether two plates are one edit apart: a character exchanged, or left out.
pub(crate) fn is_one_edit(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<char>>());
    one_edit(&a, &b)
}

fn one_edit(a: &[char], b: &[char]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let same = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    match long.len() - short.len() {
        0 => same < long.len() && short[same + 1..] == long[same + 1..],
        1 => short[same..] == long[same + 1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::one_edit_pairs;

    proptest! {
        #[test]
        fn pairs_are_those_of_edit_distance_one(
            plates in prop::collection::hash_set("[苏沪][AE][12]{4,6}D?", 0..60),
        ) {
            let plates: Vec<String> = plates
                .into_iter()
                .filter(|p| matches!(p.chars().count(), 7 | 8))
                .collect();
            let mut expected = Vec::new();
            for b in 0..plates.len() {
                for a in 0..b {
                    if strsim::levenshtein(&plates[a], &plates[b]) == 1 {
                        expected.push((a, b));
                    }
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(one_edit_pairs(plates.iter().map(String::as_str)), expected);
        }
    }
}
