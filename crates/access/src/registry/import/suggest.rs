//! What a person probably meant by a plate that cannot exist.
//!
//! Candidates come from the slips that people make: a letter for a digit that looks like it, a
//! province that was left out or written with another character that sounds or looks alike,
//! a doubled character. Each must be a number of the grammar; those that begin as most of the
//! list does come first.

use std::collections::HashMap;

use domain::{PlateKind, PlateNumber};

/// Suggestions for one plate.
const MOST: usize = 3;

/// Usual beginnings that are tried although nothing speaks for them.
const HEADS: usize = 8;

/// Characters that are taken for one another, by eye.
const LOOK_ALIKE: &[&str] = &[
    "0OQDC", "1ILT7", "2Z7", "5S", "6G", "8B3", "4A", "UV", "VY", "MN", "EF", "CG", "KX", "PR",
];

/// Characters written for a province or a last character, with what was meant.
const MISWRITTEN: &[(char, char)] = &[
    ('蘇', '苏'),
    ('办', '苏'),
    ('沭', '苏'),
    ('滬', '沪'),
    ('户', '沪'),
    ('护', '沪'),
    ('湖', '沪'),
    ('淅', '浙'),
    ('折', '浙'),
    ('皕', '皖'),
    ('晥', '皖'),
    ('院', '皖'),
    ('奥', '粤'),
    ('粵', '粤'),
    ('越', '粤'),
    ('翼', '冀'),
    ('異', '冀'),
    ('贛', '赣'),
    ('灨', '赣'),
    ('閩', '闽'),
    ('闵', '闽'),
    ('魯', '鲁'),
    ('雲', '云'),
    ('遼', '辽'),
    ('了', '辽'),
    ('陝', '陕'),
    ('貴', '贵'),
    ('寧', '宁'),
    ('瓊', '琼'),
    ('凉', '京'),
    ('律', '津'),
    ('黒', '黑'),
    ('遇', '渝'),
    ('愉', '渝'),
    ('逾', '渝'),
    ('象', '豫'),
    ('预', '豫'),
    ('相', '湘'),
    ('噩', '鄂'),
    ('鳄', '鄂'),
    ('挂', '桂'),
    ('圭', '桂'),
    ('普', '晋'),
    ('晉', '晋'),
    ('濛', '蒙'),
    ('洁', '吉'),
    ('臧', '藏'),
    ('穿', '川'),
    ('靑', '青'),
    ('清', '青'),
    ('學', '学'),
    ('掛', '挂'),
    ('領', '领'),
];

/// Letters of other alphabets that look like Latin ones.
const FOREIGN: &[(char, char)] = &[
    ('А', 'A'),
    ('В', 'B'),
    ('С', 'C'),
    ('Е', 'E'),
    ('Н', 'H'),
    ('К', 'K'),
    ('М', 'M'),
    ('О', '0'),
    ('Р', 'P'),
    ('Т', 'T'),
    ('Х', 'X'),
    ('У', 'Y'),
    ('Α', 'A'),
    ('Β', 'B'),
    ('Ε', 'E'),
    ('Η', 'H'),
    ('Κ', 'K'),
    ('Μ', 'M'),
    ('Ν', 'N'),
    ('Ο', '0'),
    ('Ρ', 'P'),
    ('Τ', 'T'),
    ('Χ', 'X'),
    ('Ζ', 'Z'),
    ('〇', '0'),
    ('零', '0'),
];

/// Provinces as they are typed in Latin letters.
const PINYIN: &[(&str, char)] = &[
    ("JING", '京'),
    ("JIN", '津'),
    ("HU", '沪'),
    ("YU", '渝'),
    ("JI", '冀'),
    ("YUN", '云'),
    ("LIAO", '辽'),
    ("HEI", '黑'),
    ("XIANG", '湘'),
    ("WAN", '皖'),
    ("LU", '鲁'),
    ("XIN", '新'),
    ("SU", '苏'),
    ("ZHE", '浙'),
    ("GAN", '赣'),
    ("E", '鄂'),
    ("GUI", '桂'),
    ("MENG", '蒙'),
    ("SHAN", '陕'),
    ("MIN", '闽'),
    ("YUE", '粤'),
    ("QING", '青'),
    ("ZANG", '藏'),
    ("CHUAN", '川'),
    ("NING", '宁'),
    ("QIONG", '琼'),
];

/// How the plates of one list begin: what is usual there.
#[derive(Debug, Default)]
pub(super) struct Usual {
    heads: HashMap<(char, char), u32>,
    /// The heads again, the most frequent first.
    ranked: Vec<(char, char)>,
}

impl Usual {
    /// Counts the plates of a list.
    pub(super) fn of<'a>(plates: impl Iterator<Item = &'a PlateNumber>) -> Self {
        let mut heads: HashMap<(char, char), u32> = HashMap::new();
        for plate in plates {
            let mut chars = plate.as_str().chars();
            if let (Some(first), Some(second)) = (chars.next(), chars.next()) {
                *heads.entry((first, second)).or_default() += 1;
            }
        }
        let mut ranked: Vec<_> = heads.keys().copied().collect();
        ranked.sort_by_key(|head| (std::cmp::Reverse(heads[head]), *head));
        Self { heads, ranked }
    }

    /// The number that a military one would be with the province that its first letter goes
    /// with in this list, if it goes with one.
    pub(super) fn with_province(&self, plate: &PlateNumber) -> Option<PlateNumber> {
        if plate.kinds() != [PlateKind::Military] {
            return None;
        }
        let letter = plate.as_str().chars().next()?;
        let (province, _) = self
            .ranked
            .iter()
            .find(|(p, l)| !p.is_ascii() && *l == letter)?;
        PlateNumber::parse(&format!("{province}{plate}")).ok()
    }

    fn weight(&self, plate: &PlateNumber) -> u32 {
        let mut chars = plate.as_str().chars();
        match (chars.next(), chars.next()) {
            (Some(first), Some(second)) => self.heads.get(&(first, second)).copied().unwrap_or(0),
            _ => 0,
        }
    }
}

/// What was probably meant by `text`, which is no plate number; likeliest first.
pub(super) fn likely_plates(text: &str, usual: &Usual) -> Vec<String> {
    let typed = clean(text);
    // More is no slip of the pen, and would only cost time.
    if typed.len() < 4 || typed.len() > 14 {
        return Vec::new();
    }
    let mut found: Vec<(u32, PlateNumber)> = Vec::new();
    let mut offer = |cost: u32, chars: &[char]| {
        let text: String = chars.iter().collect();
        let Ok(plate) = PlateNumber::parse(&text) else {
            return;
        };
        match found.iter_mut().find(|(_, known)| *known == plate) {
            Some((least, _)) => *least = cost.min(*least),
            None => found.push((cost, plate)),
        }
    };
    let exchange = |base: u32, chars: &[char], offer: &mut dyn FnMut(u32, &[char])| {
        offer(base, chars);
        // O and I stand on no civil plate: all of them at once, and then one or two others.
        let plain: Vec<char> = chars
            .iter()
            .enumerate()
            .map(|(at, &c)| match c {
                'O' if at > 1 => '0',
                'I' => '1',
                other => other,
            })
            .collect();
        offer(base + 1, &plain);
        for start in [chars, &plain] {
            for at in 0..start.len() {
                for (rank, other) in alike(start[at]).enumerate() {
                    let mut next = start.to_vec();
                    next[at] = other;
                    offer(base + 2 + rank as u32, &next);
                }
            }
        }
    };
    exchange(0, &typed, &mut offer);
    for (cost, mended) in other_heads(&typed, usual) {
        exchange(cost, &mended, &mut offer);
    }
    for at in 1..typed.len() {
        // A key that was pressed twice.
        if typed[at] == typed[at - 1] {
            let mut next = typed.clone();
            next.remove(at);
            exchange(3, &next, &mut offer);
        }
    }
    found.sort_by_key(|(cost, plate)| (*cost, std::cmp::Reverse(usual.weight(plate))));
    found
        .into_iter()
        .take(MOST)
        .map(|(_, plate)| plate.as_str().to_owned())
        .collect()
}

/// The text without what stands between characters, with foreign letters made Latin.
fn clean(text: &str) -> Vec<char> {
    text.chars()
        .map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            other => other,
        })
        .filter(|c| c.is_alphanumeric() || *c == '〇')
        .map(|c| {
            let c = c.to_uppercase().next().unwrap_or(c);
            FOREIGN.iter().find(|(f, _)| *f == c).map_or(c, |&(_, l)| l)
        })
        .collect()
}

/// The same with another head: the province left out, miswritten, in Latin letters, or put
/// after its letter.
fn other_heads(typed: &[char], usual: &Usual) -> Vec<(u32, Vec<char>)> {
    let mut all = Vec::new();
    for (at, &c) in typed.iter().enumerate() {
        for (_, meant) in MISWRITTEN.iter().filter(|(wrong, _)| *wrong == c) {
            let mut next = typed.to_vec();
            next[at] = *meant;
            all.push((1, next));
        }
    }
    for (letters, province) in PINYIN {
        let length = letters.len();
        if typed.len() > length + 4 && letters.chars().eq(typed[..length].iter().copied()) {
            let mut next = vec![*province];
            next.extend_from_slice(&typed[length..]);
            all.push((1, next));
        }
    }
    if let [first, second, rest @ ..] = typed
        && !second.is_ascii()
        && first.is_ascii_alphabetic()
    {
        let mut next = vec![*second, *first];
        next.extend_from_slice(rest);
        all.push((1, next));
    }
    for (rank, &(province, letter)) in usual.ranked.iter().enumerate() {
        let known = typed.first() == Some(&letter) || typed.get(1) == Some(&letter);
        if province.is_ascii() || (rank >= HEADS && !known) {
            continue;
        }
        let rank = rank.min(HEADS) as u32;
        let mut with_province = vec![province];
        with_province.extend_from_slice(typed);
        // The province that goes with the letter that is there is the likeliest.
        let fits = typed.first() == Some(&letter);
        all.push((if fits { 1 } else { 4 + rank }, with_province));
        let mut with_both = vec![province, letter];
        with_both.extend_from_slice(typed);
        all.push((5 + rank, with_both));
        if typed.first().is_some_and(|c| !c.is_ascii()) {
            let mut other = typed.to_vec();
            other[0] = province;
            let fits = typed.get(1) == Some(&letter);
            all.push((if fits { 2 } else { 6 + rank }, other));
        }
    }
    all
}

fn alike(c: char) -> impl Iterator<Item = char> {
    LOOK_ALIKE
        .iter()
        .filter(move |group| group.contains(c))
        .flat_map(|group| group.chars())
        .filter(move |&other| other != c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn first(text: &str) -> String {
        let list = ["苏E12345", "苏E22345", "苏EK1234", "苏B12345", "沪A12345"];
        let plates: Vec<PlateNumber> = list.iter().map(|t| t.parse().unwrap()).collect();
        let usual = Usual::of(plates.iter());
        likely_plates(text, &usual)
            .first()
            .cloned()
            .unwrap_or_default()
    }

    #[test]
    fn slips_lead_to_what_was_meant() {
        for (slip, meant) in [
            ("苏EI2345", "苏E12345"),
            ("苏EO2345", "苏E02345"),
            ("苏E·IO345", "苏E10345"),
            ("E12345", "苏E12345"),
            ("B12345", "苏B12345"),
            ("A12345", "沪A12345"),
            ("蘇E12345", "苏E12345"),
            ("淅A12345", "浙A12345"),
            ("su e12345", "苏E12345"),
            ("苏812345", "苏B12345"),
            ("苏ED1234S", "苏ED12345"),
            ("苏E112345", "苏E12345"),
            ("E苏12345", "苏E12345"),
            ("苏Е12345", "苏E12345"),
            ("苏E1234掛", "苏E1234挂"),
        ] {
            assert_eq!(first(slip), meant, "{slip}");
        }
    }

    #[test]
    fn nonsense_suggests_nothing() {
        for text in ["", "没有车", "13812345678", "王小明", "====", "苏E"] {
            assert_eq!(first(text), "", "{text}");
        }
    }
}
