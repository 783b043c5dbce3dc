//! Sizes on disk as people write them: "512MB", "2GB", "1.5GiB".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ByteSize(u64);

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size; write for example \"512MB\" or \"2GB\"")]
pub(crate) struct SizeError(String);

/// Decimal units as on the labels of disks and cards, binary ones with an i.
const UNITS: [(&str, u64); 9] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
];

/// More than any disk has; keeps all sums far from the end of the number range.
const MOST: u64 = 1 << 50;

impl ByteSize {
    /// This many bytes.
    pub(crate) const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let no_size = || SizeError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|&(word, unit)| Some((lower.strip_suffix(word)?.trim_end(), unit)))
            .ok_or_else(no_size)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        // Few enough digits that nothing below can overflow.
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 16) || !digits(part, 9) {
            return Err(no_size());
        }
        let whole: u128 = whole.parse().map_err(|_| no_size())?;
        let tenths = 10_u128.pow(part.len() as u32);
        let part: u128 = part.parse().map_err(|_| no_size())?;
        let bytes = u128::from(unit) * (whole * tenths + part) / tenths;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes <= MOST => Ok(Self(bytes)),
            _ => Err(no_size()),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = [
            ("TB", 1_000_000_000_000),
            ("GB", 1_000_000_000),
            ("MB", 1_000_000),
            ("KB", 1_000),
        ]
        .into_iter()
        .find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match exact {
            Some((word, unit)) => write!(f, "{}{word}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("2GB", 2_000_000_000),
            ("512 mb", 512_000_000),
            ("1.5GiB", 3 << 29),
            ("0.5KB", 500),
            ("7B", 7),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
        }
        for text in [
            "",
            "2",
            "GB",
            "-1GB",
            "1e3GB",
            "2 G B",
            "99999TB",
            "1..2GB",
            "9999999999999999.999999999TiB",
            ".5GB",
            "1.GB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in 0..MOST) {
            let size = ByteSize::new(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
