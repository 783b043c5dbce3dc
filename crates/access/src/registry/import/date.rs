//! Dates as people and table programs write them.

use jiff::ToSpan as _;
use jiff::civil::{Date, date};

/// A date in one of the forms that people write.
pub fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim();
    let parts: Vec<&str> = if let Some((year, rest)) = text.split_once('年') {
        let (month, rest) = rest.split_once('月')?;
        vec![year, month, rest.strip_suffix(['日', '号']).unwrap_or(rest)]
    } else if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        vec![&text[..4], &text[4..6], &text[6..]]
    } else {
        let mark = text.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
        text.split(mark).collect()
    };
    let [year, month, day] = parts.as_slice() else {
        return None;
    };
    let number = |t: &str, most: usize| {
        let t = t.trim();
        let fits = !t.is_empty() && t.len() <= most && t.bytes().all(|b| b.is_ascii_digit());
        if fits { t.parse::<i16>().ok() } else { None }
    };
    if year.trim().len() != 4 {
        return None;
    }
    let month = i8::try_from(number(month, 2)?).ok()?;
    let day = i8::try_from(number(day, 2)?).ok()?;
    let date = Date::new(number(year, 4)?, month, day).ok()?;
    (2000..=2100).contains(&date.year()).then_some(date)
}

/// What a text that is no date probably means: a serial number of a table program, day before
/// month before year, or a year of two digits.
pub(super) fn likely_date(text: &str) -> Option<Date> {
    let text = text.trim();
    if let Ok(serial) = text.parse::<i64>() {
        // Days since 1899-12-30, between 2000 and 2100.
        return (36_526..=73_415)
            .contains(&serial)
            .then(|| date(1899, 12, 30).checked_add(serial.days()).ok())
            .flatten();
    }
    let parts: Vec<&str> = text
        .split(['-', '/', '.', '年', '月', '日'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    let [first, middle, last] = parts.as_slice() else {
        return None;
    };
    if last.len() == 4 {
        return parse_date(&format!("{last}-{middle}-{first}"))
            .or_else(|| parse_date(&format!("{last}-{first}-{middle}")));
    }
    if first.len() == 2 && last.len() <= 2 {
        return parse_date(&format!("20{first}-{middle}-{last}"));
    }
    None
}
