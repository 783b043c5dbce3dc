//! Tables for a terminal, in which Chinese takes two columns a character.

use serde::Serialize;

use crate::outcome::{FOUND_WRONG, fail};

/// Prints rows below their heads, each column as wide as its widest cell.
pub(crate) fn print(heads: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = heads.iter().map(|head| width(head)).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            if let Some(widest) = widths.get_mut(at) {
                *widest = (*widest).max(width(cell));
            }
        }
    }
    let line = |cells: &[&str]| {
        let mut text = String::new();
        for (cell, widest) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', widest - width(cell) + 2));
        }
        println!("{}", text.trim_end());
    };
    line(heads);
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells);
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), u8> {
    let text = serde_json::to_string(value).map_err(|e| fail(FOUND_WRONG, e))?;
    println!("{text}");
    Ok(())
}

fn width(text: &str) -> usize {
    // From the CJK radicals on characters are wide; what is narrow above them no register has.
    text.chars().map(|c| 1 + usize::from(c >= '\u{2e80}')).sum()
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn chinese_is_twice_as_wide() {
        assert_eq!(width("苏E·12345"), 9);
    }
}
