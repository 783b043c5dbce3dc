//! From judged pictures to figures. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domain::PlateKind;
use serde::Serialize;

use super::judge::{Holds, Judged, JudgedPlate, Road};
use super::labels::Row;
use super::statistics::{Reliability, Share, reliability};

/// All figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Measured {
    /// Finder and reader together, on whole pictures.
    pub(super) whole: Whole,
    /// The finder.
    pub(super) finder: Finder,
    /// The reader alone, on cut-out plates and labelled corners.
    pub(super) reader: Readings,
}

/// Whole pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Whole {
    /// Pictures on which every labelled number was read.
    pub(super) with_plates: Pictures,
    /// Pictures without a plate on which nothing was read.
    pub(super) without_plate: Pictures,
    /// Pictures of foreign plates on which no Chinese number was read.
    pub(super) foreign: Pictures,
    /// Texts read that are at a labelled number. Plates that nobody labelled count against it.
    pub(super) texts: Share,
    /// Plate by plate.
    #[serde(flatten)]
    pub(super) readings: Readings,
}

/// Pictures that came out right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Pictures {
    /// With the likeliest number that the grammar allows.
    pub(super) grammar: Share,
    /// With the likeliest characters.
    pub(super) no_grammar: Share,
}

/// How well plates are found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finder {
    /// Labelled plates that were found.
    pub(super) recall: Share,
    /// Finds that are at a labelled plate, before the reader has judged them. Plates that nobody
    /// labelled count against it.
    pub(super) precision: Share,
    /// The overlap with the label that half of the found plates reach, 0 to 1.
    pub(super) median_overlap: Option<f64>,
}

/// How well plates are read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Readings {
    /// All plates.
    pub(super) plates: Exactness,
    /// Labelled numbers of which no text, or none sure enough, was read.
    pub(super) not_read: u64,
    /// Texts with another number of characters than the label, which no pair of characters
    /// explains.
    pub(super) other_length: u64,
    /// The plates in groups.
    pub(super) splits: Vec<Split>,
    /// Which character was taken for which, most frequent first.
    pub(super) confusions: Vec<Confusion>,
    /// Whether the certainties keep what they promise.
    pub(super) reliability: Reliability,
}

/// How often the text was exactly right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Exactness {
    /// With the likeliest number that the grammar allows.
    pub(super) grammar: Share,
    /// The same without the province character.
    pub(super) grammar_without_province: Share,
    /// With the likeliest characters.
    pub(super) no_grammar: Share,
    /// The same without the province character.
    pub(super) no_grammar_without_province: Share,
}

impl Exactness {
    fn add(&mut self, plate: &JudgedPlate) {
        let (read, plain) = (plate.read(), plate.plain());
        self.grammar.add(plate.is_exact(read));
        self.grammar_without_province
            .add(plate.is_exact_but_for_province(read));
        self.no_grammar.add(plate.is_exact(plain));
        self.no_grammar_without_province
            .add(plate.is_exact_but_for_province(plain));
    }
}

/// The plates in groups by one quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Split {
    /// The quality's name for machines: `kind`, `province`, `width`, `light`, `road`, or a column.
    pub(super) by: String,
    /// For people.
    pub(super) title: String,
    /// The groups in the quality's own order, else the largest first.
    pub(super) groups: Vec<Group>,
}

/// The plates of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Group {
    /// The group's name for machines; empty where the quality is not stated.
    pub(super) name: String,
    /// For people.
    pub(super) title: String,
    /// Its figures.
    #[serde(flatten)]
    pub(super) exactness: Exactness,
}

/// One character taken for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Confusion {
    /// What stands on the plate.
    pub(super) label: char,
    /// What was read.
    pub(super) read: char,
    /// How often.
    pub(super) count: u64,
}

/// Measures judged rows; `by` names further columns to group plates by.
pub(super) fn measure(judged: &[(&Row, &Judged)], by: &[String]) -> Measured {
    let of = |alone: bool| -> Vec<(&Row, &Judged, &JudgedPlate)> {
        let plates = judged
            .iter()
            .flat_map(|(row, j)| j.plates.iter().map(move |plate| (*row, *j, plate)));
        plates
            .filter(|(_, _, plate)| (plate.road != Road::Whole) == alone)
            .collect()
    };
    let pictures = |holds: Holds| Pictures {
        grammar: of_pictures(judged, holds).map(|(right, _)| right).collect(),
        no_grammar: of_pictures(judged, holds).map(|(_, plain)| plain).collect(),
    };
    let finds = || {
        let whole = judged.iter().filter_map(|(_, j)| j.whole.as_ref());
        whole.map(|picture| &picture.finds)
    };
    let mut overlaps: Vec<f64> = finds()
        .flat_map(|f| f.plates.iter().flatten().copied())
        .collect();
    overlaps.sort_by(f64::total_cmp);
    Measured {
        whole: Whole {
            with_plates: pictures(Holds::Numbers),
            without_plate: pictures(Holds::Nothing),
            foreign: pictures(Holds::Foreign),
            texts: finds().flat_map(|f| f.texts.iter().copied()).collect(),
            readings: readings(&of(false), by),
        },
        finder: Finder {
            recall: finds()
                .flat_map(|f| f.plates.iter().map(Option::is_some))
                .collect(),
            precision: finds().flat_map(|f| f.at_plates.iter().copied()).collect(),
            median_overlap: overlaps.get(overlaps.len() / 2).copied(),
        },
        reader: readings(&of(true), by),
    }
}

/// Whether the pictures that hold something came out right, with the grammar and without.
fn of_pictures<'a>(
    judged: &'a [(&Row, &Judged)],
    holds: Holds,
) -> impl Iterator<Item = (bool, bool)> + 'a {
    let whole = judged.iter().filter_map(|(_, j)| j.whole.as_ref());
    whole
        .filter(move |picture| picture.holds == holds)
        .map(|picture| (picture.right, picture.right_plain))
}

fn readings(plates: &[(&Row, &Judged, &JudgedPlate)], by: &[String]) -> Readings {
    let labelled: Vec<(&Row, &JudgedPlate)> = plates
        .iter()
        .filter(|(_, _, plate)| plate.number.is_some())
        .map(|(row, _, plate)| (*row, *plate))
        .collect();
    let mut all = Exactness::default();
    let (mut not_read, mut other_length) = (0, 0);
    let mut confused: BTreeMap<(char, char), u64> = BTreeMap::new();
    for (_, plate) in &labelled {
        all.add(plate);
        match (&plate.number, plate.read()) {
            (Some(number), Some(read)) => match differences(number.as_str(), &read.text) {
                Some(pairs) => {
                    for pair in pairs {
                        *confused.entry(pair).or_default() += 1;
                    }
                }
                None => other_length += 1,
            },
            _ => not_read += 1,
        }
    }
    let mut confusions: Vec<Confusion> = confused
        .into_iter()
        .map(|((label, read), count)| Confusion { label, read, count })
        .collect();
    confusions.sort_by_key(|c| Reverse(c.count));
    let answers = plates.iter().filter_map(|(_, judged, plate)| {
        // In a picture with plates, what was read elsewhere may be a plate that nobody labelled.
        let holds = judged.whole.as_ref().map(|picture| picture.holds);
        let known =
            plate.number.is_some() || matches!(holds, Some(Holds::Nothing | Holds::Foreign));
        let read = plate.read().filter(|_| known)?;
        Some((read.confidence, plate.is_exact(Some(read))))
    });
    Readings {
        plates: all,
        not_read,
        other_length,
        splits: splits(&labelled, by),
        confusions,
        reliability: reliability(answers.collect()),
    }
}

/// The characters that differ, place by place as the reader sees them; nothing if the texts have
/// different numbers of places.
fn differences(label: &str, read: &str) -> Option<Vec<(char, char)>> {
    (label.chars().count() == read.chars().count()).then(|| {
        let pairs = label.chars().zip(read.chars());
        pairs.filter(|(l, r)| l != r).collect()
    })
}

/// A group's rank among the others, its name, and its title.
type Name = (usize, String, String);

fn splits(plates: &[(&Row, &JudgedPlate)], by: &[String]) -> Vec<Split> {
    let mut splits = vec![
        split("kind", "Kind 种类", plates, |_, p| kind(p)),
        split("province", "Province 省份", plates, |_, p| province(p)),
        split(
            "width",
            "Width in pixels 宽度（像素）",
            plates,
            |_, p| width(p),
        ),
        split("light", "Light 光线", plates, |row, _| light(&row.light)),
        split("road", "Given as 给出方式", plates, |_, p| road(p.road)),
    ];
    splits.extend(by.iter().map(|column| {
        split(column, column, plates, |row, _| {
            let field = row.fields.get(column).map_or("", String::as_str);
            stated(field, field.to_owned())
        })
    }));
    splits
}

fn split(
    by: &str,
    title: &str,
    plates: &[(&Row, &JudgedPlate)],
    name: impl Fn(&Row, &JudgedPlate) -> Name,
) -> Split {
    let mut groups: BTreeMap<Name, Exactness> = BTreeMap::new();
    for (row, plate) in plates {
        groups.entry(name(row, plate)).or_default().add(plate);
    }
    let mut groups: Vec<(Name, Exactness)> = groups.into_iter().collect();
    groups.sort_by_key(|((rank, _, _), exactness)| (*rank, Reverse(exactness.grammar.of)));
    Split {
        by: by.to_owned(),
        title: title.to_owned(),
        groups: groups
            .into_iter()
            .map(|((_, name, title), exactness)| Group {
                name,
                title,
                exactness,
            })
            .collect(),
    }
}

/// A group that stands before that of the plates of which it is not stated.
fn stated(group: &str, title: String) -> Name {
    if group.is_empty() {
        (1, String::new(), "not stated 未注明".to_owned())
    } else {
        (0, group.to_owned(), title)
    }
}

fn kind(plate: &JudgedPlate) -> Name {
    let Some(kind) = plate.kind else {
        let title = "small or large, not stated 小型或大型，未注明";
        return (PlateKind::ALL.len(), String::new(), title.to_owned());
    };
    let rank = PlateKind::ALL.iter().position(|k| *k == kind);
    // The name that the kind has in all files of this program.
    let name = serde_json::to_value(kind).ok();
    let name = name.as_ref().and_then(serde_json::Value::as_str);
    (
        rank.unwrap_or_default(),
        name.unwrap_or_default().to_owned(),
        format!("{kind} {}", kind.chinese()),
    )
}

fn province(plate: &JudgedPlate) -> Name {
    match plate.province() {
        Some(province) => (0, province.to_string(), province.to_string()),
        None => (1, String::new(), "none 无省份".to_owned()),
    }
}

/// Least widths of the groups by width.
const WIDTHS: [u32; 8] = [0, 60, 80, 100, 140, 200, 300, 450];

fn width(plate: &JudgedPlate) -> Name {
    let Some(width) = plate.width else {
        return (WIDTHS.len(), String::new(), "not known 未知".to_owned());
    };
    let rank = WIDTHS.iter().rposition(|least| width >= *least as f32);
    let rank = rank.unwrap_or_default();
    let least = WIDTHS[rank];
    let name = match (least, WIDTHS.get(rank + 1)) {
        (0, Some(next)) => format!("under {next}"),
        (least, Some(next)) => format!("{least} to {}", next - 1),
        (least, None) => format!("{least} and more"),
    };
    (rank, name.clone(), name)
}

fn light(light: &str) -> Name {
    let chinese = match light {
        "day" => "白天",
        "dusk" => "黄昏",
        "night" => "夜间",
        "rain" => "雨天",
        "night-rain" => "雨夜",
        "infrared" => "红外",
        "glare" => "强光",
        "snow" => "雪天",
        "fog" => "雾天",
        _ => "",
    };
    stated(light, format!("{light} {chinese}").trim_end().to_owned())
}

fn road(road: Road) -> Name {
    let (rank, title) = match road {
        Road::Whole => (0, "whole picture 整图"),
        Road::Corners => (1, "labelled corners 标注角点"),
        Road::Cut => (2, "cut out 裁好的车牌"),
    };
    (rank, road.name().to_owned(), title.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::super::judge::tests::{answer, label, row, whole};
    use super::super::judge::{Seen, judge};
    use super::*;

    /// Cut-out plates, each with its label and what was read how surely.
    fn cuts(plates: &[(&str, &str, f32)]) -> Measured {
        let judged: Vec<(Row, Judged)> = plates
            .iter()
            .map(|(number, read, confidence)| {
                let row = row(vec![label(number, None)]);
                let seen = Seen {
                    whole: None,
                    alone: vec![Some(answer(read, *confidence, 0.0))],
                };
                let judged = judge(&row, &seen, 94);
                (row, judged)
            })
            .collect();
        let pairs: Vec<(&Row, &Judged)> = judged.iter().map(|(r, j)| (r, j)).collect();
        measure(&pairs, &[])
    }

    #[test]
    fn plates_are_counted_in_every_group_with_and_without_the_province() {
        let told = cuts(&[
            ("苏E12345", "苏E12345", 0.99),
            ("苏E12345", "浙E12345", 0.6),
            ("浙A1234学", "浙A1284学", 0.7),
            ("VA12345", "VA12345", 0.9),
        ]);
        let reader = &told.reader;
        assert_eq!(reader.plates.grammar, Share { right: 2, of: 4 });
        assert_eq!(
            reader.plates.grammar_without_province,
            Share { right: 3, of: 4 }
        );
        assert_eq!(told.whole.readings.plates.grammar.of, 0);
        for split in &reader.splits {
            let sum: u64 = split.groups.iter().map(|g| g.exactness.grammar.of).sum();
            assert_eq!(sum, 4, "{}", split.by);
        }
        let groups = |by: &str| -> Vec<(String, u64, u64)> {
            let split = reader.splits.iter().find(|s| s.by == by).unwrap();
            let share = |g: &Group| (g.exactness.grammar.right, g.exactness.grammar.of);
            let row = |g: &Group| (g.name.clone(), share(g).0, share(g).1);
            split.groups.iter().map(row).collect()
        };
        let named = |list: &[(&str, u64, u64)]| -> Vec<(String, u64, u64)> {
            list.iter()
                .map(|(n, r, o)| ((*n).to_owned(), *r, *o))
                .collect()
        };
        assert_eq!(
            groups("province"),
            named(&[("苏", 1, 2), ("浙", 0, 1), ("", 1, 1)])
        );
        assert_eq!(groups("width"), named(&[("80 to 99", 2, 4)]));
        assert_eq!(groups("light"), named(&[("", 2, 4)]));
        assert_eq!(groups("road"), named(&[("cut", 2, 4)]));
    }

    #[test]
    fn confusions_are_counted_place_by_place_most_frequent_first() {
        let told = cuts(&[
            ("苏E12345", "苏E12845", 0.9),
            ("苏E33333", "苏E83383", 0.9),
            ("苏E12345", "浙E12345", 0.9),
            ("苏AD12345", "苏A12345", 0.9),
        ]);
        let list: Vec<(char, char, u64)> = told
            .reader
            .confusions
            .iter()
            .map(|c| (c.label, c.read, c.count))
            .collect();
        assert_eq!(list, [('3', '8', 3), ('苏', '浙', 1)]);
        assert_eq!(told.reader.other_length, 1);
    }

    #[test]
    fn a_text_read_where_no_plate_is_counts_against_certainty_and_precision() {
        let street = row(vec![label("苏E12345", Some(0.0))]);
        let missed = whole(street.plates.clone(), vec![answer("粤B11111", 0.8, 300.0)]);
        let empty = row(Vec::new());
        let invented = whole(Vec::new(), vec![answer("粤B11111", 0.8, 300.0)]);
        let told = measure(&[(&street, &missed), (&empty, &invented)], &[]);
        assert_eq!(told.whole.with_plates.grammar, Share { right: 0, of: 1 });
        assert_eq!(told.whole.without_plate.grammar, Share { right: 0, of: 1 });
        assert_eq!(told.whole.texts, Share { right: 0, of: 2 });
        assert_eq!(told.finder.recall, Share { right: 0, of: 1 });
        assert_eq!(told.finder.precision, Share { right: 0, of: 2 });
        assert_eq!(told.whole.readings.not_read, 1);
        // Only the one in the picture that is known to hold no plate.
        assert_eq!(told.whole.readings.reliability.answers, 1);
        assert_eq!(told.whole.readings.plates.grammar.of, 1);
        assert_eq!(told.finder.median_overlap, None);
    }

    #[test]
    fn widths_have_no_gaps() {
        let group = |wide: f32| {
            let mut plate = whole(vec![label("苏E12345", Some(0.0))], Vec::new()).plates[0].clone();
            plate.width = Some(wide);
            width(&plate).1
        };
        for (wide, name) in [
            (0.0, "under 60"),
            (59.9, "under 60"),
            (60.0, "60 to 79"),
            (299.5, "200 to 299"),
            (450.0, "450 and more"),
            (f32::NAN, "under 60"),
        ] {
            assert_eq!(group(wide), name);
        }
    }

    proptest! {
        #[test]
        fn differences_are_none_only_for_the_same_text(a in "[苏浙A-C0-3]{7}", b in "[苏浙A-C0-3]{7}") {
            let pairs = differences(&a, &b).unwrap();
            prop_assert_eq!(pairs.is_empty(), a == b);
            prop_assert!(pairs.iter().all(|(l, r)| l != r && a.contains(*l) && b.contains(*r)));
            let shorter: String = b.chars().skip(1).collect();
            prop_assert!(differences(&a, &shorter).is_none());
        }
    }
}
