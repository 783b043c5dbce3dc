//! Short names that people give to households, spaces, schedules and closures.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Characters that a name may have.
pub const NAME_CHARACTERS: usize = 40;

/// A short name such as `3-2-501` or `B1-027`: 1 to [`NAME_CHARACTERS`] characters, no control
/// characters, no space at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing but spaces.
    #[error("the name is empty; write one, for example 3-2-501")]
    Empty,
    /// Too long.
    #[error("the name has {found} characters, at most {NAME_CHARACTERS} are kept; shorten it")]
    TooLong {
        /// How many it has.
        found: usize,
    },
    /// A line break or the like.
    #[error(
        "the name {text:?} has a line break or another control character; write it on one line"
    )]
    Control {
        /// The text as typed.
        text: String,
    },
}

impl Label {
    /// Reads a name; space at its ends is dropped.
    ///
    /// # Errors
    /// [`LabelError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let trimmed = text.trim();
        let found = trimmed.chars().count();
        if found == 0 {
            Err(LabelError::Empty)
        } else if found > NAME_CHARACTERS {
            Err(LabelError::TooLong { found })
        } else if trimmed.chars().any(char::is_control) {
            Err(LabelError::Control {
                text: text.to_owned(),
            })
        } else {
            Ok(Self(trimmed.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
