//! Numbers of passes, the word for one edition of one pass, whose it is, and what its paper says.

pub mod token;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::plate::PlateNumber;

pub use token::{Token, TokenError};

/// The largest number that a pass can have.
pub const LARGEST_NUMBER: u32 = 9_999_999;

/// The number of a pass (通行证号), from 1 to [`LARGEST_NUMBER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PassNumber(u32);

/// The text or number is none that a pass can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pass has a number from 1 to {LARGEST_NUMBER}, for example 637 / 通行证号为 1 到 {LARGEST_NUMBER}"
)]
pub struct PassNumberError;

impl PassNumber {
    /// The number, if a pass can have it.
    ///
    /// # Errors
    /// [`PassNumberError`] if it is 0 or larger than [`LARGEST_NUMBER`].
    pub const fn new(number: u32) -> Result<Self, PassNumberError> {
        if number == 0 || number > LARGEST_NUMBER {
            return Err(PassNumberError);
        }
        Ok(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PassNumber {
    /// With at least four digits, as it is printed: `0637`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}", self.0))
    }
}

impl FromStr for PassNumber {
    type Err = PassNumberError;

    fn from_str(text: &str) -> Result<Self, PassNumberError> {
        let digits =
            !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        Self::new(number.ok_or(PassNumberError)?)
    }
}

impl<'de> Deserialize<'de> for PassNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// One edition of a pass. A paper of an earlier edition does not count any more, and entries
/// are counted for each edition anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassId {
    /// Its number.
    pub number: PassNumber,
    /// Its edition, from 1.
    pub edition: u16,
}

/// Whose a pass is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "plate", rename_all = "kebab-case")]
pub enum Bearer {
    /// Nobody's yet: printed with a number, bound later.
    Blank,
    /// The vehicle with this plate.
    Vehicle(PlateNumber),
    /// A person on foot.
    Foot,
    /// A supplier, with whatever vehicle he comes.
    Supplier,
}

impl Bearer {
    /// The plate that it binds.
    pub const fn plate(&self) -> Option<&PlateNumber> {
        match self {
            Self::Vehicle(plate) => Some(plate),
            Self::Blank | Self::Foot | Self::Supplier => None,
        }
    }

    /// The kind in Chinese, as it is printed.
    pub const fn chinese(&self) -> &'static str {
        match self {
            Self::Blank => "通行证",
            Self::Vehicle(_) => "车辆通行证",
            Self::Foot => "人员通行证",
            Self::Supplier => "供应商通行证",
        }
    }

    /// The kind in English.
    pub const fn english(&self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Vehicle(_) => "vehicle",
            Self::Foot => "on foot",
            Self::Supplier => "supplier",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_printed() {
        let number: PassNumber = "637".parse().unwrap();
        assert_eq!(number.to_string(), "0637");
        assert_eq!(number.to_string().parse(), Ok(number));
        for wrong in ["", "0", "-1", "+1", "10000000", "99999999999", "1.0", "１"] {
            assert_eq!(wrong.parse::<PassNumber>(), Err(PassNumberError), "{wrong}");
        }
        assert_eq!(serde_json::from_str::<PassNumber>("637").unwrap(), number);
        assert!(serde_json::from_str::<PassNumber>("0").is_err());
    }
}
