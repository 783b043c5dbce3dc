//! What is said about a configuration: where, which key, what is wrong, what to do.

use std::fmt::{self, Write as _};

use domain::{Language, Words};
use serde::Serialize;

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The program refuses to run with this file.
    Error,
    /// It runs, but probably not as meant, or less safely than it could.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word in `language`.
    pub(crate) fn word(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Error, Language::Zh) => "错误",
            (Self::Warning, Language::Zh) => "警告",
            (Self::Note, Language::Zh) => "提示",
            (Self::Error, Language::En) => "error",
            (Self::Warning, Language::En) => "warning",
            (Self::Note, Language::En) => "note",
        }
    }
}

/// A place in the file, counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    /// The line.
    pub(crate) line: usize,
    /// The column.
    pub(crate) column: usize,
}

impl Place {
    /// The place of the byte at `offset` in `text`.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// One thing to say about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// How much it matters.
    pub(crate) severity: Severity,
    /// Where; `None` if it is about something that is not in the file.
    pub(crate) place: Option<Place>,
    /// The key with its tables, for example `lane[2].camera.url` (lanes and barriers are
    /// counted from 1); empty for mistakes that belong to no key.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) wrong: Words,
    /// What to do about it.
    pub(crate) cure: Words,
}

/// Everything that is to be said about one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems {
    /// The file's name as given.
    pub(crate) file: String,
    /// The language the file asks for, as far as it can be read.
    pub(crate) language: Language,
    /// What was found.
    pub(crate) list: Vec<Problem>,
}

impl Problems {
    /// Whether any of them is an error.
    pub(crate) fn any_error(&self) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// One paragraph for each problem, in `language`.
    pub(crate) fn in_language(&self, language: Language) -> String {
        let mut text = String::new();
        for problem in &self.list {
            text += &self.file;
            if let Some(place) = problem.place {
                let _ = write!(text, ":{}:{}", place.line, place.column);
            }
            let _ = write!(text, ": {}: ", problem.severity.word(language));
            if !problem.key.is_empty() {
                let _ = write!(text, "{}: ", problem.key);
            }
            let cure = match language {
                Language::Zh => "处理",
                Language::En => "cure",
            };
            let _ = write!(
                text,
                "{}\n    {cure}: {}\n",
                problem.wrong.in_language(language),
                problem.cure.in_language(language)
            );
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_language(self.language).trim_end())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = "甲乙\n丙 = 1\n";
        assert_eq!(Place::of(text, 0), Place { line: 1, column: 1 });
        assert_eq!(Place::of(text, 3), Place { line: 1, column: 2 });
        assert_eq!(Place::of(text, 7), Place { line: 2, column: 1 });
        assert_eq!(Place::of(text, 999), Place { line: 3, column: 1 });
    }
}
