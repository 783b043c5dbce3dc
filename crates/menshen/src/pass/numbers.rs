//! Numbers of passes as people type them: `638`, `1..2062`, `1..`, `1,5,9..12`.

use std::str::FromStr;

use domain::PassNumber;
use domain::pass::LARGEST_NUMBER;

/// Ranges of numbers, each with both ends; the last may be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers(Vec<(u32, Option<u32>)>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "write numbers as 638, 1..2062 or 1,5,9..12, or 1.. for as many as are needed / 号码写作 638、1..2062 或 1,5,9..12".to_owned()
        };
        let one = |text: &str| -> Result<u32, String> {
            let number: PassNumber = text.trim().parse().map_err(|_| wrong())?;
            Ok(number.get())
        };
        let mut ranges = Vec::new();
        for part in text.split([',', '，']) {
            let range = match part.split_once("..") {
                None => (one(part)?, Some(one(part)?)),
                Some((from, to)) if to.trim().is_empty() => (one(from)?, None),
                Some((from, to)) => (one(from)?, Some(one(to.trim_start_matches('='))?)),
            };
            if range.1.is_some_and(|to| to < range.0) {
                return Err(wrong());
            }
            ranges.push(range);
        }
        Ok(Self(ranges))
    }
}

impl Numbers {
    /// The numbers in their order; without an end where the last range is open.
    pub(super) fn iter(&self) -> impl Iterator<Item = PassNumber> {
        self.0
            .iter()
            .flat_map(|&(from, to)| from..=to.unwrap_or(LARGEST_NUMBER))
            .filter_map(|n| PassNumber::new(n).ok())
    }

    /// Whether it goes on for as many as are needed.
    pub(super) fn is_open(&self) -> bool {
        self.0.iter().any(|(_, to)| to.is_none())
    }

    /// Whether a number is among them.
    pub(super) fn has(&self, number: PassNumber) -> bool {
        let n = number.get();
        self.0
            .iter()
            .any(|&(from, to)| from <= n && to.is_none_or(|to| n <= to))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges_are_read_as_people_write_them() {
        let list = |text: &str| -> Vec<u32> {
            let numbers: Numbers = text.parse().unwrap();
            numbers.iter().take(5).map(PassNumber::get).collect()
        };
        assert_eq!(list("638"), [638]);
        assert_eq!(list("1,5,9..=11"), [1, 5, 9, 10, 11]);
        assert_eq!(list("0007.."), [7, 8, 9, 10, 11]);
        for wrong in ["", "0", "5..1", "a", "1..b", "1...3", "..3", "-1"] {
            assert!(wrong.parse::<Numbers>().is_err(), "{wrong}");
        }
        let numbers: Numbers = "1..3,9..".parse().unwrap();
        assert!(numbers.is_open() && numbers.has("3".parse().unwrap()));
        assert!(!numbers.has("4".parse().unwrap()) && numbers.has("99".parse().unwrap()));
    }
}
