//! The file as a tree of values, each with its place, and paths through that tree.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Place;

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a table.
    Key(String),
    /// Into an array, counted from 0.
    Index(usize),
}

/// A way from the root of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// The path of a table at the top of the file.
    pub(super) fn section(name: &str) -> Self {
        Self::default().key(name)
    }

    /// The path of `key` within this table.
    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    /// The path of the value at the end of the dotted `keys` within this table.
    pub(super) fn dotted(&self, keys: &str) -> Self {
        keys.split('.')
            .fold(self.clone(), |path, key| path.key(key))
    }

    /// The path of the element at `index` within this array.
    pub(super) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// Whether this path is `other` or leads through it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The part of the path below `other`.
    pub(super) fn below(&self, other: &Self) -> &[Step] {
        self.0.strip_prefix(&other.0[..]).unwrap_or_default()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{}]", index + 1)?,
            }
        }
        Ok(())
    }
}

/// The file's text and its tree.
pub(super) struct Document<'t> {
    pub(super) text: &'t str,
    pub(super) root: Spanned<DeTable<'t>>,
}

impl Document<'_> {
    /// Where the value at `path` is named, or else the innermost table around it that is there.
    pub(super) fn place(&self, path: &Path) -> Option<Place> {
        let mut table = Some(self.root.get_ref());
        let mut array = None;
        let mut found: Option<Range<usize>> = None;
        for step in &path.0 {
            let value = match step {
                Step::Key(key) => {
                    let Some((name, value)) = table.and_then(|t| t.get_key_value(key.as_str()))
                    else {
                        break;
                    };
                    found = Some(name.span());
                    value
                }
                Step::Index(index) => {
                    let Some(value) = array.and_then(|a: &toml::de::DeArray<'_>| a.get(*index))
                    else {
                        break;
                    };
                    found = Some(value.span());
                    value
                }
            };
            table = value.get_ref().as_table();
            array = value.get_ref().as_array();
        }
        found.map(|span| Place::of(self.text, span.start))
    }
}

/// The path, below `at`, of the key or value that stands at `span`.
pub(super) fn seek(value: &Spanned<DeValue<'_>>, span: &Range<usize>, at: &Path) -> Option<Path> {
    if value.span() == *span {
        return Some(at.clone());
    }
    match value.get_ref() {
        DeValue::Table(table) => table.iter().find_map(|(key, value)| {
            let path = at.key(key.get_ref());
            if key.span() == *span {
                return Some(path);
            }
            seek(value, span, &path)
        }),
        DeValue::Array(array) => array
            .iter()
            .enumerate()
            .find_map(|(i, value)| seek(value, span, &at.index(i))),
        _ => None,
    }
}

/// Takes the value at the end of `steps` out of `value`. An element of an array takes the
/// array with it, so that the places of its other elements stay true.
pub(super) fn remove(value: &mut Spanned<DeValue<'_>>, steps: &[Step]) -> bool {
    let (DeValue::Table(table), [Step::Key(key), rest @ ..]) = (value.get_mut(), steps) else {
        return false;
    };
    if matches!(rest, [] | [Step::Index(_), ..]) {
        return table.remove(key.as_str()).is_some();
    }
    table
        .get_mut(key.as_str())
        .is_some_and(|inner| remove(inner, rest))
}

/// The value at the end of `steps`.
pub(super) fn value_at<'v, 't>(
    value: &'v Spanned<DeValue<'t>>,
    steps: &[Step],
) -> Option<&'v DeValue<'t>> {
    let mut value = value.get_ref();
    for step in steps {
        value = match step {
            Step::Key(key) => value.as_table()?.get(key.as_str())?.get_ref(),
            Step::Index(index) => value.as_array()?.get(*index)?.get_ref(),
        };
    }
    Some(value)
}
