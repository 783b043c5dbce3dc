//! A valid plate number, and what is wrong with an invalid one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::PlateKind;
use super::grammar::{Pattern, TABLE};

/// A plate number that can exist after GA 36-2018: seven or eight characters, upper case,
/// without separators.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlateNumber(String);

/// Why a text is no plate number. Positions count the characters as they were typed, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlateError {
    /// Nothing but separators was given.
    #[error("the plate number is empty")]
    Empty,
    /// Too few characters.
    #[error("the plate number {text:?} ends after {found} characters; plates have 7 or 8")]
    TooShort {
        /// The text as typed.
        text: String,
        /// How many characters it has without separators.
        found: usize,
    },
    /// Too many characters.
    #[error(
        "the plate number {text:?} goes on at position {position}; plates have 7 or 8 characters"
    )]
    TooLong {
        /// The text as typed.
        text: String,
        /// Where the first character too many stands.
        position: usize,
    },
    /// A character that no plate has there.
    #[error(
        "the plate number {text:?} has {found:?} at position {position}, where {expected} must stand{hint}"
    )]
    Character {
        /// The text as typed.
        text: String,
        /// The offending character.
        found: char,
        /// Its place in the text as typed.
        position: usize,
        /// What may stand there.
        expected: String,
        /// A likely cure, beginning with "; ", or nothing.
        hint: &'static str,
    },
}

/// Upper-cases, folds full width to half width, and drops what people put between characters.
fn normalise(c: char) -> Option<char> {
    let c = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        other => other,
    };
    let separator = c.is_whitespace()
        || matches!(
            c,
            '·' | '•'
                | '・'
                | '･'
                | '‧'
                | '∙'
                | '⋅'
                | '●'
                | '.'
                | '。'
                | '-'
                | '_'
                | '—'
                | '–'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{feff}'
        );
    if separator {
        None
    } else {
        Some(c.to_ascii_uppercase())
    }
}

impl PlateNumber {
    /// Reads a plate number that somebody typed or a program wrote.
    ///
    /// Spaces, middle dots, hyphens, lower case and full-width forms are forgiven;
    /// a number that no pattern of the grammar allows is not.
    ///
    /// # Errors
    /// [`PlateError`] names the position in the text as typed, what stands there and what
    /// should.
    pub fn parse(text: &str) -> Result<Self, PlateError> {
        let typed: Vec<(usize, char)> = text
            .chars()
            .enumerate()
            .filter_map(|(i, c)| normalise(c).map(|c| (i + 1, c)))
            .collect();
        if typed.is_empty() {
            return Err(PlateError::Empty);
        }
        // The pattern that gets furthest tells best what the writer meant.
        let mut furthest: (usize, Option<Pattern>) = (0, None);
        for (pattern, _) in TABLE {
            let fits = pattern
                .iter()
                .zip(&typed)
                .take_while(|(p, (_, c))| p.allows(*c))
                .count();
            if fits == pattern.len() && fits == typed.len() {
                return Ok(Self(typed.iter().map(|&(_, c)| c).collect()));
            }
            if furthest.1.is_none() || fits > furthest.0 {
                furthest = (fits, Some(pattern));
            }
        }
        let (fits, pattern) = furthest;
        let pattern = pattern.unwrap_or(TABLE[0].0);
        Err(match (typed.get(fits), pattern.get(fits)) {
            (Some(&(position, found)), Some(place)) => PlateError::Character {
                text: text.to_owned(),
                found,
                position,
                expected: place.expected(),
                hint: match found {
                    'I' => "; I never stands on a plate, 1 was probably meant",
                    'O' => "; O does not stand here, 0 was probably meant",
                    _ => "",
                },
            },
            (Some(&(position, _)), None) => PlateError::TooLong {
                text: text.to_owned(),
                position,
            },
            (None, _) => PlateError::TooShort {
                text: text.to_owned(),
                found: typed.len(),
            },
        })
    }

    /// The number as text, for example `苏E12345`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kinds this text may belong to, likeliest first; never empty.
    pub fn kinds(&self) -> &'static [PlateKind] {
        TABLE
            .iter()
            .find(|(pattern, _)| {
                pattern.len() == self.0.chars().count()
                    && pattern.iter().zip(self.0.chars()).all(|(p, c)| p.allows(c))
            })
            .map_or(&[], |(_, kinds)| kinds)
    }

    /// The number as people write it, with a middle dot after the office: `苏E·12345`.
    pub fn dotted(&self) -> String {
        let mut chars = self.0.chars();
        let head: String = chars.by_ref().take(2).collect();
        if self.0.starts_with('使') || self.0.starts_with(|c: char| c.is_ascii_digit()) {
            return self.0.clone();
        }
        format!("{head}·{}", chars.as_str())
    }
}

impl FromStr for PlateNumber {
    type Err = PlateError;

    fn from_str(text: &str) -> Result<Self, PlateError> {
        Self::parse(text)
    }
}

impl fmt::Display for PlateNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for PlateNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
