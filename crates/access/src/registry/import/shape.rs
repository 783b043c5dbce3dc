//! The shapes that telephone numbers, buildings and units have.

use super::date::parse_date;

/// Whether a text is one Chinese telephone number, or several with a mark between.
pub(super) fn is_phone(text: &str) -> bool {
    let mut any = false;
    for part in text.split(['/', '、', ',', '，', ';', '；', '|', '或']) {
        any = true;
        if !is_one_phone(part) {
            return false;
        }
    }
    any
}

fn is_one_phone(text: &str) -> bool {
    // A word beside the number, such as a name in brackets, is common and harmless.
    let number: String = text
        .chars()
        .map(fold)
        .filter(|c| {
            !matches!(
                c,
                ' ' | '-' | '—' | '–' | '(' | ')' | '.' | '\u{a0}' | '\u{3000}'
            )
        })
        .collect();
    let (number, extension) = number.split_once(['转', '#']).unwrap_or((&number, "1"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(extension) || extension.len() > 6 {
        return false;
    }
    let national = number
        .strip_prefix("+86")
        .or_else(|| number.strip_prefix("0086"))
        .or_else(|| number.strip_prefix("86").filter(|rest| rest.len() == 11));
    if national.is_none()
        && let Some(abroad) = number
            .strip_prefix('+')
            .or_else(|| number.strip_prefix("00"))
    {
        return digits(abroad) && !abroad.starts_with('0') && (7..=15).contains(&abroad.len());
    }
    let number = national.unwrap_or(number);
    if !digits(number) {
        return false;
    }
    let bytes = number.as_bytes();
    match bytes {
        // Mobile: 1, then 3 to 9.
        [b'1', b'3'..=b'9', ..] => bytes.len() == 11,
        // 400 and 800 numbers.
        [b'4' | b'8', b'0', b'0', ..] if bytes.len() == 10 => true,
        // Area code, then seven or eight digits.
        [b'0', b'1' | b'2', ..] => bytes.len() == 11 || bytes.len() == 10,
        [b'0', b'3'..=b'9', ..] => bytes.len() == 11 || bytes.len() == 12,
        // The short numbers of company networks, and within the city.
        [b'6', ..] if bytes.len() == 6 => true,
        [b'2'..=b'8', ..] => matches!(bytes.len(), 7 | 8),
        _ => false,
    }
}

/// Whether a number was turned into one like `1.38E+10`.
pub(super) fn is_rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits(mantissa) && digits(exponent.strip_prefix('+').unwrap_or(exponent))
}

/// What is odd about a building or a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Odd {
    /// The table program made a date of it; this was probably meant.
    Date(String),
    /// It says nothing: `?`, `不详`, `无`.
    Unknown,
    /// It is a telephone number.
    Phone,
    /// It has characters that no building or unit has, or far too many.
    Characters,
}

/// Words that say that nobody knew.
const UNKNOWN: &[&str] = &[
    "不详",
    "未知",
    "待定",
    "不知道",
    "无",
    "没有",
    "n/a",
    "na",
    "null",
    "none",
    "unknown",
    "xx",
    "xxx",
    "待补",
];
/// Words that buildings and units are made of, besides digits and letters.
const WORDS: &str = "东西南北中甲乙丙丁戊一二三四五六七八九十百零〇号栋幢座楼单元室层户区期门排院巷弄村里组苑园庭阁轩墅商铺车库地下负前后上左右外内附正副新老大小";
const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// What is odd about a building or unit; nothing if it looks like one.
pub(super) fn odd_unit(text: &str) -> Option<Odd> {
    let text: String = text.chars().map(fold).collect();
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if let Some(meant) = made_a_date(text) {
        return Some(Odd::Date(meant));
    }
    let lower = text.to_lowercase();
    if UNKNOWN.contains(&lower.as_str())
        || text
            .chars()
            .all(|c| matches!(c, '?' | '-' | '/' | '*' | '.'))
    {
        return Some(Odd::Unknown);
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if digits >= 7 && is_phone(text) {
        return Some(Odd::Phone);
    }
    let fits = |c: char| {
        c.is_ascii_alphanumeric()
            || WORDS.contains(c)
            || matches!(
                c,
                '-' | '–'
                    | '—'
                    | '#'
                    | '.'
                    | '('
                    | ')'
                    | ' '
                    | '/'
                    | '、'
                    | ','
                    | '~'
                    | '_'
                    | '\''
                    | '·'
            )
    };
    // A building may have a name of its own, but then it has no odd marks in it.
    let named = text.chars().all(|c| fits(c) || c.is_alphabetic());
    let any = text.chars().any(char::is_alphanumeric);
    if !named || !any || text.chars().count() > 20 || digits > 9 {
        return Some(Odd::Characters);
    }
    None
}

/// `3-2` becomes 3月2日 or 2026-03-02 or Mar-02 in a table program: what it was before.
fn made_a_date(text: &str) -> Option<String> {
    if let Some((month, day)) = text.split_once('月') {
        let day = day.strip_suffix(['日', '号']).unwrap_or(day);
        let fits = |t: &str, most: u32| t.parse::<u32>().is_ok_and(|n| (1..=most).contains(&n));
        return (fits(month, 12) && fits(day, 31)).then(|| format!("{month}-{day}"));
    }
    let bare = text.split([' ', 'T']).next().unwrap_or(text);
    if let Some(date) = parse_date(bare)
        && bare.len() >= 8
        && bare.chars().any(|c| !c.is_ascii_digit())
    {
        return Some(format!("{}-{}", date.month(), date.day()));
    }
    let lower = text.to_lowercase();
    let (a, b) = lower.split_once('-')?;
    let month_of = |t: &str| MONTHS.iter().position(|m| *m == t).map(|at| at + 1);
    let day_of = |t: &str| t.parse::<u32>().ok().filter(|n| (1..=31).contains(n));
    match (month_of(a), day_of(b), day_of(a), month_of(b)) {
        (Some(month), Some(day), ..) | (.., Some(day), Some(month)) => {
            Some(format!("{month}-{day}"))
        }
        _ => None,
    }
}

/// Full width to half width.
fn fold(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers_as_people_write_them() {
        for good in [
            "13812345678",
            "138-1234-5678",
            "+86 138 1234 5678",
            "0512-65001234",
            "010-62345678",
            "021 5888 1234",
            "65001234",
            "4008001234",
            "0512-65001234转802",
            "13812345678/13987654321",
            "１３８１２３４５６７８",
            "+852 2345 6789",
            "0086 13812345678",
        ] {
            assert!(is_phone(good), "{good}");
        }
        for bad in [
            "1381234567",
            "138123456789",
            "12012345678",
            "138l2345678",
            "王小明",
            "1",
            "00000000000",
            "138****5678",
            "",
            "1.38E+10",
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
        assert!(is_rounded("1.38E+10") && is_rounded("1.38123456E10") && !is_rounded("138"));
    }

    #[test]
    fn buildings_and_units_as_people_write_them() {
        for good in [
            "3",
            "3栋",
            "12幢",
            "A座",
            "东区3号楼",
            "2单元",
            "二单元",
            "2-501",
            "2-0501",
            "501室",
            "3#",
            "B1",
            "1-2-301",
            "商铺12",
            "",
            "梧桐苑5",
            "３栋",
        ] {
            assert_eq!(odd_unit(good), None, "{good}");
        }
        assert_eq!(odd_unit("3月2日"), Some(Odd::Date("3-2".to_owned())));
        assert_eq!(odd_unit("2026-03-02"), Some(Odd::Date("3-2".to_owned())));
        assert_eq!(odd_unit("Mar-02"), Some(Odd::Date("3-2".to_owned())));
        assert_eq!(odd_unit("2-May"), Some(Odd::Date("5-2".to_owned())));
        assert_eq!(odd_unit("不详"), Some(Odd::Unknown));
        assert_eq!(odd_unit("??"), Some(Odd::Unknown));
        assert_eq!(odd_unit("13812345678"), Some(Odd::Phone));
        assert_eq!(odd_unit("2@501"), Some(Odd::Characters));
    }
}
