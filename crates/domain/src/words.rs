//! What people on site are told, in Chinese and in English.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The language in which people on site are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// In Chinese.
    pub chinese: String,
    /// In English.
    pub english: String,
}

impl Words {
    /// The same thing said in Chinese and in English.
    pub fn new(chinese: impl Into<String>, english: impl Into<String>) -> Self {
        Self {
            chinese: chinese.into(),
            english: english.into(),
        }
    }

    /// What has no words of ours: a system's own message, a format's own term.
    pub fn as_it_is(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }

    /// The sentence in `language`.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.chinese,
            Language::En => &self.english,
        }
    }
}

/// English first: a log holds both.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.english == self.chinese {
            return f.write_str(&self.english);
        }
        write!(f, "{} / {}", self.english, self.chinese)
    }
}
