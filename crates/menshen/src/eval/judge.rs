//! What was said of one picture against what is known of it. Pure.
//!
//! ```text
//! row of labels ─┐
//!                ├─ pairs: same text, else same place ─► judged plates, finds, whole picture
//! answers ───────┘
//! ```

use domain::plate::grammar::PROVINCES;
use domain::{PlateKind, PlateNumber, Quad};
use vision::recognise::LEAST_CONFIDENCE;

use super::labels::{LabelledPlate, Row, Says};
use super::overlap::overlap;

/// A find with this overlap or more is at the labelled plate.
pub(super) const SAME_PLACE: f64 = 0.5;

/// A text and how sure it is, 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) confidence: f32,
}

/// What was read in one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// Where.
    pub(super) quad: Quad,
    /// The likeliest number that the grammar allows.
    pub(super) number: Text,
    /// The likeliest character of each place, whatever the grammar says.
    pub(super) plain: Text,
}

/// What was said of one picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Finder and reader together, if they ran.
    pub(super) whole: Option<Vec<Answer>>,
    /// The reader alone, for each labelled plate that it was asked about.
    pub(super) alone: Vec<Option<Answer>>,
}

/// How a plate was given to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    /// The whole picture: finder and reader.
    Whole,
    /// With its labelled corners: the reader.
    Corners,
    /// Cut out: the reader.
    Cut,
}

impl Road {
    /// The name for machines.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Corners => "corners",
            Self::Cut => "cut",
        }
    }

    /// The certainty below which a reading counts as none. The reader alone is asked about
    /// plates, so its every answer counts.
    fn least(self) -> f32 {
        match self {
            Self::Whole => LEAST_CONFIDENCE,
            Self::Corners | Self::Cut => 0.0,
        }
    }
}

/// A labelled number, or a reading where no plate is labelled, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JudgedPlate {
    /// How it was given.
    pub(super) road: Road,
    /// What it says; nothing where no plate is labelled.
    pub(super) number: Option<PlateNumber>,
    /// Its kind, if known.
    pub(super) kind: Option<PlateKind>,
    /// Pixels between its left and right edge, if known.
    pub(super) width: Option<f32>,
    /// What was read, however unsure.
    pub(super) answer: Option<Answer>,
    /// Where it is: by the label, else by the find.
    pub(super) quad: Option<Quad>,
}

impl JudgedPlate {
    /// What was read, if it was sure enough to count.
    pub(super) fn read(&self) -> Option<&Text> {
        let text = self.answer.as_ref().map(|a| &a.number)?;
        (text.confidence >= self.road.least()).then_some(text)
    }

    /// The same without the grammar.
    pub(super) fn plain(&self) -> Option<&Text> {
        let text = self.answer.as_ref().map(|a| &a.plain)?;
        (text.confidence >= self.road.least()).then_some(text)
    }

    /// Whether a text is the labelled number, to the last character.
    pub(super) fn is_exact(&self, text: Option<&Text>) -> bool {
        let number = self.number.as_ref().map(PlateNumber::as_str);
        number.is_some() && text.map(|t| t.text.as_str()) == number
    }

    /// Whether every character but the province is right.
    pub(super) fn is_exact_but_for_province(&self, text: Option<&Text>) -> bool {
        let (Some(number), Some(text)) = (&self.number, text) else {
            return false;
        };
        let (number, text) = (number.as_str(), text.text.as_str());
        number.chars().count() == text.chars().count()
            && number
                .chars()
                .zip(text.chars())
                .all(|(n, t)| n == t || PROVINCES.contains(n))
    }

    /// The province that issued the number; 使, military and some police numbers have none.
    pub(super) fn province(&self) -> Option<char> {
        let number = self.number.as_ref()?;
        number.as_str().chars().find(|&c| PROVINCES.contains(c))
    }
}

/// What the finder did on one picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Finds {
    /// For each labelled number with corners the overlap of the find at its place, if there is one.
    pub(super) plates: Vec<Option<f64>>,
    /// For each find on a picture whose plates are all known with their corners: whether it is
    /// at a plate. What is at an unreadable or foreign plate is left out.
    pub(super) at_plates: Vec<bool>,
    /// For each text read: whether it is at a labelled number. What is at an unreadable plate is
    /// left out.
    pub(super) texts: Vec<bool>,
}

/// What a picture holds, for questions about all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Numbers.
    Numbers,
    /// No plate.
    Nothing,
    /// Foreign plates only.
    Foreign,
    /// Plates nobody can read, and no other.
    Unreadable,
}

/// One whole picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JudgedPicture {
    /// What it holds.
    pub(super) holds: Holds,
    /// Whether every labelled number is among the texts read, or nothing is read where there is
    /// nothing to read.
    pub(super) right: bool,
    /// The same without the grammar.
    pub(super) right_plain: bool,
    /// What was found.
    pub(super) finds: Finds,
}

/// One row, judged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    /// The whole picture, if it was looked at.
    pub(super) whole: Option<JudgedPicture>,
    /// Its plates, and what was read where there is none.
    pub(super) plates: Vec<JudgedPlate>,
}

/// Judges one picture of `width` pixels.
pub(super) fn judge(row: &Row, seen: &Seen, width: u32) -> Judged {
    let mut plates = Vec::new();
    let whole = seen.whole.as_ref().map(|answers| {
        let pairs = pairs(&row.plates, answers);
        for (label, pair) in row.plates.iter().zip(&pairs) {
            if let Some(number) = label.number() {
                let answer = pair.map(|i| answers[i].clone());
                let quad = label.quad.or(answer.as_ref().map(|a| a.quad));
                plates.push(JudgedPlate {
                    road: Road::Whole,
                    number: Some(number.clone()),
                    kind: label.kind,
                    width: quad.as_ref().map(mean_width),
                    answer,
                    quad,
                });
            }
        }
        let picture = picture(row, answers, &pairs);
        if !row.plates.iter().any(is_somewhere) {
            plates.extend(
                answers
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| !is_taken(&pairs, *i, &row.plates))
                    .map(|(_, answer)| invented(answer))
                    .filter(|plate| plate.read().is_some()),
            );
        }
        picture
    });
    for (label, answer) in row.plates.iter().zip(&seen.alone) {
        if let (Some(number), Some(answer)) = (label.number(), answer) {
            let (road, wide) = match label.quad {
                Some(quad) => (Road::Corners, mean_width(&quad)),
                None => (Road::Cut, width as f32),
            };
            plates.push(JudgedPlate {
                road,
                number: Some(number.clone()),
                kind: label.kind,
                width: Some(wide),
                answer: Some(answer.clone()),
                quad: Some(answer.quad),
            });
        }
    }
    Judged { whole, plates }
}

/// A reading where no plate is labelled.
fn invented(answer: &Answer) -> JudgedPlate {
    JudgedPlate {
        road: Road::Whole,
        number: None,
        kind: None,
        width: Some(mean_width(&answer.quad)),
        answer: Some(answer.clone()),
        quad: Some(answer.quad),
    }
}

/// An unreadable plate that is somewhere in the picture: any text may be its.
fn is_somewhere(label: &LabelledPlate) -> bool {
    label.says == Says::Unreadable && label.quad.is_none()
}

/// Whether an answer is at a labelled number, or at an unreadable plate.
fn is_taken(pairs: &[Option<usize>], answer: usize, labels: &[LabelledPlate]) -> bool {
    let by = |label: &LabelledPlate| label.says != Says::Foreign;
    pairs
        .iter()
        .zip(labels)
        .any(|(pair, label)| *pair == Some(answer) && by(label))
}

/// Mean length of the upper and the lower edge.
fn mean_width(quad: &Quad) -> f32 {
    let [tl, tr, br, bl] = quad.0;
    let length = |a: (f32, f32), b: (f32, f32)| (a.0 - b.0).hypot(a.1 - b.1);
    f32::midpoint(length(tl, tr), length(bl, br))
}

/// For each label the answer that is about it: the one with its number, else the one at its
/// place. Where no place is known, one label and one answer that remain belong together.
pub(super) fn pairs(labels: &[LabelledPlate], answers: &[Answer]) -> Vec<Option<usize>> {
    let near = |label: &LabelledPlate, answer: &Answer| {
        label.quad.map_or(0.0, |quad| overlap(&quad, &answer.quad))
    };
    let says = |label: &LabelledPlate, answer: &Answer| {
        label.number().is_some_and(|number| {
            let number = number.as_str();
            answer.number.text == number || answer.plain.text == number
        })
    };
    let mut candidates: Vec<(bool, f64, usize, usize)> = Vec::new();
    for (l, label) in labels.iter().enumerate() {
        for (a, answer) in answers.iter().enumerate() {
            let (same, near) = (says(label, answer), near(label, answer));
            if same || near >= SAME_PLACE {
                candidates.push((same, near, l, a));
            }
        }
    }
    let mut pairs = greedy(labels.len(), candidates);
    let unpaired: Vec<usize> = (0..labels.len()).filter(|&l| pairs[l].is_none()).collect();
    let left: Vec<usize> = (0..answers.len())
        .filter(|a| !pairs.contains(&Some(*a)))
        .collect();
    if let ([label], [answer]) = (&unpaired[..], &left[..])
        && labels.iter().all(|l| l.quad.is_none())
        && labels[*label].number().is_some()
    {
        pairs[*label] = Some(*answer);
    }
    pairs
}

/// Takes candidates (same text, overlap, label, answer) best first, each label and answer once.
fn greedy(labels: usize, mut candidates: Vec<(bool, f64, usize, usize)>) -> Vec<Option<usize>> {
    candidates.sort_by(|x, y| y.0.cmp(&x.0).then(y.1.total_cmp(&x.1)));
    let mut pairs = vec![None; labels];
    for (_, _, label, answer) in candidates {
        if pairs[label].is_none() && !pairs.contains(&Some(answer)) {
            pairs[label] = Some(answer);
        }
    }
    pairs
}

fn picture(row: &Row, answers: &[Answer], pairs: &[Option<usize>]) -> JudgedPicture {
    let labels = &row.plates;
    let wanted: Vec<&str> = labels
        .iter()
        .filter_map(|l| l.number().map(PlateNumber::as_str))
        .collect();
    let holds = if !wanted.is_empty() {
        Holds::Numbers
    } else if labels.is_empty() {
        Holds::Nothing
    } else if labels.iter().all(|l| l.says == Says::Foreign) {
        Holds::Foreign
    } else {
        Holds::Unreadable
    };
    let right = |text: fn(&Answer) -> &Text| {
        let read: Vec<&str> = answers
            .iter()
            .map(text)
            .filter(|t| t.confidence >= LEAST_CONFIDENCE && !t.text.is_empty())
            .map(|t| t.text.as_str())
            .collect();
        match holds {
            Holds::Numbers => wanted.iter().all(|w| read.contains(w)),
            Holds::Nothing | Holds::Foreign => read.is_empty(),
            Holds::Unreadable => true,
        }
    };
    JudgedPicture {
        holds,
        right: right(|a| &a.number),
        right_plain: right(|a| &a.plain),
        finds: finds(labels, answers, pairs),
    }
}

fn finds(labels: &[LabelledPlate], answers: &[Answer], pairs: &[Option<usize>]) -> Finds {
    // By place alone, whatever was read there.
    let mut candidates = Vec::new();
    for (l, label) in labels.iter().enumerate() {
        for (a, answer) in answers.iter().enumerate() {
            let near = label.quad.map_or(0.0, |quad| overlap(&quad, &answer.quad));
            if near >= SAME_PLACE {
                candidates.push((false, near, l, a));
            }
        }
    }
    let overlaps: Vec<(usize, usize, f64)> = candidates.iter().map(|c| (c.2, c.3, c.1)).collect();
    let found = greedy(labels.len(), candidates);
    let at = |answer: usize| {
        let label = found.iter().position(|p| *p == Some(answer));
        label.map(|l| &labels[l].says)
    };
    let plates = labels
        .iter()
        .zip(&found)
        .enumerate()
        .filter(|(_, (label, _))| label.number().is_some() && label.quad.is_some())
        .map(|(l, (_, answer))| {
            let answer = (*answer)?;
            let pair = overlaps.iter().find(|o| (o.0, o.1) == (l, answer));
            pair.map(|o| o.2)
        })
        .collect();
    let all_known = labels.iter().all(|l| l.quad.is_some());
    let counts = |a: usize| match at(a) {
        Some(Says::Number(_)) => Some(true),
        Some(Says::Unreadable | Says::Foreign) => None,
        None => Some(false),
    };
    let text = |a: usize| {
        let label = pairs.iter().position(|p| *p == Some(a));
        match label.map(|l| &labels[l].says) {
            Some(Says::Number(_)) => Some(true),
            Some(Says::Unreadable) => None,
            Some(Says::Foreign) => Some(false),
            None => (!labels.iter().any(is_somewhere)).then_some(false),
        }
    };
    let is_text = |a: &usize| answers[*a].number.confidence >= LEAST_CONFIDENCE;
    Finds {
        plates,
        at_plates: if all_known {
            (0..answers.len()).filter_map(counts).collect()
        } else {
            Vec::new()
        },
        texts: (0..answers.len())
            .filter(is_text)
            .filter_map(text)
            .collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;

    use super::*;

    /// A plate of 100 x 30 pixels with its left edge at `x`.
    pub(in crate::eval) fn quad(x: f32) -> Quad {
        Quad([(x, 0.0), (x + 100.0, 0.0), (x + 100.0, 30.0), (x, 30.0)])
    }

    pub(in crate::eval) fn label(text: &str, at: Option<f32>) -> LabelledPlate {
        let says = match text {
            "" => Says::Unreadable,
            "foreign" => Says::Foreign,
            text => Says::Number(text.parse().unwrap()),
        };
        LabelledPlate {
            says,
            kind: None,
            quad: at.map(quad),
        }
    }

    pub(in crate::eval) fn row(plates: Vec<LabelledPlate>) -> Row {
        Row {
            line: 2,
            path: "a.jpg".into(),
            plates,
            cut: false,
            light: String::new(),
            fields: BTreeMap::new(),
        }
    }

    pub(in crate::eval) fn answer(text: &str, confidence: f32, x: f32) -> Answer {
        let text = Text {
            text: text.into(),
            confidence,
        };
        Answer {
            quad: quad(x),
            number: text.clone(),
            plain: text,
        }
    }

    pub(in crate::eval) fn whole(plates: Vec<LabelledPlate>, answers: Vec<Answer>) -> Judged {
        let seen = Seen {
            whole: Some(answers),
            alone: Vec::new(),
        };
        judge(&row(plates), &seen, 640)
    }

    #[test]
    fn a_plate_is_paired_by_its_text_and_else_by_its_place() {
        let judged = whole(
            vec![
                label("苏E12345", Some(0.0)),
                label("苏E54321", Some(300.0)),
                label("沪A00001", Some(600.0)),
            ],
            vec![
                answer("苏E54821", 0.9, 310.0),
                answer("苏E12345", 0.8, 90.0),
                answer("粤B11111", 0.9, 0.0),
            ],
        );
        let read: Vec<Option<&str>> = judged
            .plates
            .iter()
            .map(|p| p.read().map(|t| t.text.as_str()))
            .collect();
        let three = [Some("苏E12345"), Some("苏E54821"), None];
        assert_eq!(read[..3], three);
        let plate = &judged.plates[1];
        assert!(
            !plate.is_exact(plate.read()) && judged.plates[0].is_exact(judged.plates[0].read())
        );
        assert_eq!(
            (judged.plates[3].number.as_ref(), read[3]),
            (None, Some("粤B11111"))
        );
        let finds = judged.whole.unwrap().finds;
        // By place the first plate was found, although another text stands there.
        assert_eq!(
            finds.plates.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, false]
        );
        assert_eq!(finds.at_plates, [true, false, true]);
        assert_eq!(finds.texts, [true, true, false]);
    }

    #[test]
    fn the_province_may_be_left_out_wherever_it_stands() {
        let plate = |number: &str, read: &str| {
            let judged = whole(vec![label(number, Some(0.0))], vec![answer(read, 0.9, 0.0)]);
            let plate = judged.plates[0].clone();
            (
                plate.is_exact(plate.read()),
                plate.is_exact_but_for_province(plate.read()),
                plate.province(),
            )
        };
        assert_eq!(plate("苏E12345", "苏E12345"), (true, true, Some('苏')));
        assert_eq!(plate("苏E12345", "沪E12345"), (false, true, Some('苏')));
        assert_eq!(plate("苏E12345", "沪E12346"), (false, false, Some('苏')));
        assert_eq!(plate("苏E12345", "苏E1234"), (false, false, Some('苏')));
        assert_eq!(plate("WJ苏12345", "WJ浙12345"), (false, true, Some('苏')));
        assert_eq!(plate("VA12345", "VB12345"), (false, false, None));
    }

    #[test]
    fn what_is_too_unsure_is_no_text_but_for_the_reader_alone() {
        let judged = whole(
            vec![label("苏E12345", Some(0.0))],
            vec![answer("苏E12345", 0.2, 0.0)],
        );
        let plate = &judged.plates[0];
        assert!(plate.answer.is_some() && plate.read().is_none());
        let picture = judged.whole.as_ref().unwrap();
        assert!(!picture.right && picture.finds.texts.is_empty());
        assert_eq!(picture.finds.at_plates, [true]);
        let seen = Seen {
            whole: None,
            alone: vec![Some(answer("苏E12345", 0.2, 0.0))],
        };
        let alone = judge(&row(vec![label("苏E12345", None)]), &seen, 94);
        let plate = &alone.plates[0];
        assert!(plate.is_exact(plate.read()) && alone.whole.is_none());
        assert_eq!((plate.road, plate.width), (Road::Cut, Some(94.0)));
    }

    #[test]
    fn nothing_may_be_read_where_no_number_stands() {
        for (plates, holds) in [
            (vec![], Holds::Nothing),
            (vec![label("foreign", None)], Holds::Foreign),
        ] {
            let none = whole(plates.clone(), vec![answer("苏E12345", 0.1, 0.0)]);
            let picture = none.whole.unwrap();
            assert_eq!((picture.holds, picture.right), (holds, true));
            assert!(none.plates.is_empty() && picture.finds.texts.is_empty());
            let one = whole(plates, vec![answer("苏E12345", 0.9, 0.0)]);
            let picture = one.whole.unwrap();
            assert!(!picture.right);
            assert_eq!(picture.finds.texts, [false]);
            assert_eq!(one.plates.len(), 1);
            assert_eq!(one.plates[0].number, None);
        }
        // A foreign plate may be found.
        let found = whole(
            vec![label("foreign", Some(0.0))],
            vec![answer("苏E12345", 0.1, 0.0)],
        );
        assert_eq!(found.whole.unwrap().finds.at_plates, [] as [bool; 0]);
    }

    #[test]
    fn an_unreadable_plate_takes_what_is_read_at_its_place() {
        let labels = vec![label("苏E12345", Some(0.0)), label("", Some(300.0))];
        let answers = vec![answer("苏E12345", 0.9, 0.0), answer("沪B22222", 0.9, 300.0)];
        let judged = whole(labels, answers.clone());
        assert_eq!(judged.plates.len(), 1);
        let picture = judged.whole.unwrap();
        assert!(picture.right);
        assert_eq!(
            (picture.finds.at_plates, picture.finds.texts),
            (vec![true], vec![true])
        );
        // Anywhere, if nobody says where it is.
        let judged = whole(vec![label("苏E12345", Some(0.0)), label("", None)], answers);
        assert_eq!(judged.plates.len(), 1);
        let picture = judged.whole.unwrap();
        assert_eq!(picture.finds.texts, [true]);
        assert!(
            picture.finds.at_plates.is_empty(),
            "not every place is known"
        );
    }

    #[test]
    fn without_corners_what_remains_alone_belongs_together() {
        let judged = whole(
            vec![label("苏E12345", None), label("沪A00001", None)],
            vec![answer("沪A0000I", 0.9, 0.0), answer("苏E12345", 0.9, 200.0)],
        );
        assert_eq!(judged.plates.len(), 2);
        assert_eq!(judged.plates[1].read().unwrap().text, "沪A0000I");
        let two = whole(
            vec![label("苏E12345", None), label("沪A00001", None)],
            vec![answer("沪A0000I", 0.9, 0.0), answer("苏E1234S", 0.9, 200.0)],
        );
        assert!(two.plates[0].answer.is_none() && two.plates[1].answer.is_none());
        assert_eq!(
            two.plates.len(),
            4,
            "two missed, two where nobody knows of a plate"
        );
    }
}
