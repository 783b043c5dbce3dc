//! Names that installers give to sites, devices, lanes and barriers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A name that is safe in file names, MQTT topics and metric labels:
/// 1 to 32 of `a-z`, `0-9` and `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name is empty; use 1 to 32 of a-z, 0-9 and '-', for example \"east-gate\"")]
    Empty,
    /// Longer than 32 characters.
    #[error("the name {0:?} has more than 32 characters; shorten it")]
    TooLong(String),
    /// A character that does not belong in a name.
    #[error(
        "the name {name:?} has {found:?} at position {position}; only a-z, 0-9 and '-' (not first) may stand there, because names become MQTT topics and file names"
    )]
    Character {
        /// The whole text.
        name: String,
        /// The offending character.
        found: char,
        /// Its place, counted from 1.
        position: usize,
    },
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.chars().count() > 32 {
            return Err(NameError::TooLong(text.to_owned()));
        }
        let bad = text
            .chars()
            .enumerate()
            .find(|&(i, c)| !(c.is_ascii_lowercase() || c.is_ascii_digit() || (c == '-' && i > 0)));
        match bad {
            Some((i, found)) => Err(NameError::Character {
                name: text.to_owned(),
                found,
                position: i + 1,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_topic_safe() {
        assert!("east-gate".parse::<Name>().is_ok());
        for bad in ["", "-x", "East", "a/b", "a+b", "a b", "门", &"x".repeat(33)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?} was taken");
        }
    }
}
