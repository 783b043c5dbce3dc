//! The characters a reader model tells apart.

use std::collections::HashSet;
use std::sync::Arc;

/// The characters of a reader's classes in their order, without the blank, whose class is last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alphabet {
    characters: Arc<[char]>,
}

/// Why a text is no alphabet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlphabetError {
    /// No characters.
    #[error("the alphabet is empty")]
    Empty,
    /// A character twice.
    #[error("the alphabet has {0:?} twice; each class needs a character of its own")]
    Twice(char),
    /// More classes than fit.
    #[error("the alphabet has {0} characters; at most 254 are supported")]
    TooLong(usize),
}

impl Alphabet {
    /// An alphabet from its characters in class order (the blank not among them).
    ///
    /// # Errors
    /// If it is empty, too long or has a character twice.
    pub fn new(characters: &str) -> Result<Self, AlphabetError> {
        let list: Vec<char> = characters.chars().collect();
        if list.is_empty() {
            return Err(AlphabetError::Empty);
        }
        if list.len() > 254 {
            return Err(AlphabetError::TooLong(list.len()));
        }
        let mut seen = HashSet::new();
        if let Some(&twice) = list.iter().find(|c| !seen.insert(**c)) {
            return Err(AlphabetError::Twice(twice));
        }
        Ok(Self {
            characters: list.into(),
        })
    }

    /// Number of classes, the blank included.
    pub fn classes(&self) -> usize {
        self.characters.len() + 1
    }

    /// The blank's class.
    pub fn blank(&self) -> usize {
        self.characters.len()
    }

    /// The class of a character, if the model knows it.
    pub fn class(&self, c: char) -> Option<usize> {
        self.characters.iter().position(|&known| known == c)
    }

    /// The character of a class; `None` for the blank and beyond.
    pub fn character(&self, class: usize) -> Option<char> {
        self.characters.get(class).copied()
    }

    /// The characters in class order.
    pub fn characters(&self) -> &[char] {
        &self.characters
    }
}
