//! What the reader made of every labelled plate, and the file that keeps it. Pure.
//!
//! JSON, a value a line: first a [`Header`], which says what the matrices were made from, then a
//! [`Sample`] for every labelled number.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::Matrix;
use domain::{Alphabet, PlateKind, PlateNumber};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::eval::report::{Model, Unusable};

/// The form of the file that this program writes and reads.
const FORM: u32 = 1;

/// What a file of matrices was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// [`FORM`].
    form: u32,
    /// The networks.
    models: Vec<Model>,
    /// The characters of the matrices' classes, without the blank.
    alphabet: String,
    /// The SHA-256 of the label file, in hexadecimal.
    labels: String,
    /// Which of its rows were wanted.
    filters: Vec<String>,
    /// The columns whose fields were kept.
    by: Vec<String>,
}

impl Header {
    /// The header of matrices made now.
    pub(super) fn new(
        models: Vec<Model>,
        alphabet: &Alphabet,
        labels: String,
        filters: Vec<String>,
        by: Vec<String>,
    ) -> Self {
        Self {
            form: FORM,
            models,
            alphabet: alphabet.characters().iter().collect(),
            labels,
            filters,
            by,
        }
    }

    /// What differs from `wanted`, in words; nothing if the matrices are those.
    fn differs(&self, wanted: &Self) -> Option<&'static str> {
        if self.form != wanted.form {
            Some("it was written by another version of Menshen")
        } else if self.models != wanted.models || self.alphabet != wanted.alphabet {
            Some("it was made with other networks")
        } else if self.labels != wanted.labels {
            Some("it was made from another label file, or the label file has changed")
        } else if self.filters != wanted.filters || self.by != wanted.by {
            Some("it was made with other --split, --where or --by")
        } else {
            None
        }
    }
}

/// One labelled number in one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// The line of the label file.
    pub(super) line: u64,
    /// The picture.
    pub(super) path: String,
    /// What stands on the plate.
    pub(super) number: PlateNumber,
    /// Its kind: by the label, else by its look.
    pub(super) kind: Option<PlateKind>,
    /// Mean brightness of the picture, 0 to 255.
    pub(super) luminance: f32,
    /// The fields of the columns of `--by`.
    pub(super) fields: BTreeMap<String, String>,
    /// What the reader saw; none if no plate was found there.
    #[serde(serialize_with = "to_text", deserialize_with = "to_bytes")]
    pub(super) matrix: Option<Vec<u8>>,
}

impl Sample {
    /// The matrix, if a plate was found and it is one over `alphabet`.
    pub(super) fn matrix(&self, alphabet: &Alphabet) -> Option<Matrix> {
        Matrix::from_bytes(alphabet.classes(), self.matrix.as_deref()?).ok()
    }
}

// serde gives the field as a reference.
#[allow(clippy::ref_option)]
fn to_text<S: Serializer>(bytes: &Option<Vec<u8>>, out: S) -> Result<S::Ok, S::Error> {
    bytes.as_ref().map(|b| STANDARD.encode(b)).serialize(out)
}

fn to_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let decoded = text.map(|t| STANDARD.decode(t)).transpose();
    decoded.map_err(serde::de::Error::custom)
}

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// The plates, in the order of the label file.
    pub(super) samples: Vec<Sample>,
    /// Pictures that could not be used.
    pub(super) unusable: Vec<Unusable>,
}

/// A line of the file behind its header.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line<'a> {
    Sample(std::borrow::Cow<'a, Sample>),
    Unusable(std::borrow::Cow<'a, Unusable>),
}

/// The file that keeps what was seen.
///
/// # Errors
/// As serde does, which nothing here brings about.
pub(super) fn write(header: &Header, seen: &Seen) -> Result<String, serde_json::Error> {
    use std::borrow::Cow::Borrowed;
    let mut text = serde_json::to_string(header)? + "\n";
    let samples = seen.samples.iter().map(|s| Line::Sample(Borrowed(s)));
    let unusable = seen.unusable.iter().map(|u| Line::Unusable(Borrowed(u)));
    for line in samples.chain(unusable) {
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

/// Reads such a file, if it is what `wanted` would give.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub(super) fn read(text: &str, wanted: &Header) -> Result<Seen, String> {
    const CURE: &str = "remove it or name another file, and the pictures are read again";
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let header: Header = serde_json::from_str(header)
        .map_err(|_| format!("it does not begin like a file of matrices; {CURE}"))?;
    if let Some(differs) = header.differs(wanted) {
        return Err(format!("{differs}; {CURE}"));
    }
    let bytes = 2 * domain::reading::SLOTS * (header.alphabet.chars().count() + 1);
    let mut seen = Seen {
        samples: Vec::new(),
        unusable: Vec::new(),
    };
    for (line, at) in lines.zip(2..) {
        match serde_json::from_str(line) {
            Ok(Line::Unusable(picture)) => seen.unusable.push(picture.into_owned()),
            Ok(Line::Sample(sample)) if sample.matrix.as_ref().is_none_or(|m| m.len() == bytes) => {
                seen.samples.push(sample.into_owned());
            }
            Ok(Line::Sample(_)) => {
                return Err(format!("line {at}: the matrix has another size; {CURE}"));
            }
            Err(error) => return Err(format!("line {at}: {error}; {CURE}")),
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        let alphabet = Alphabet::new("苏E12345").unwrap();
        Header::new(
            Vec::new(),
            &alphabet,
            "00".into(),
            vec!["split=test".into()],
            Vec::new(),
        )
    }

    fn seen() -> Seen {
        let sample = Sample {
            line: 2,
            path: "a.jpg".into(),
            number: PlateNumber::parse("苏E12345").unwrap(),
            kind: Some(PlateKind::Small),
            luminance: 101.5,
            fields: BTreeMap::new(),
            matrix: Some((0..2 * 8 * 8).collect()),
        };
        let lost = Sample {
            matrix: None,
            kind: None,
            ..sample.clone()
        };
        Seen {
            samples: vec![sample, lost],
            unusable: vec![Unusable {
                line: 9,
                path: "b.jpg".into(),
                error: "gone".into(),
            }],
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let text = write(&header(), &seen()).unwrap();
        assert_eq!(read(&text, &header()), Ok(seen()));
    }

    #[test]
    fn matrices_of_something_else_are_refused_in_words() {
        let text = write(&header(), &seen()).unwrap();
        let other = |change: fn(&mut Header)| {
            let mut wanted = header();
            change(&mut wanted);
            read(&text, &wanted).unwrap_err()
        };
        assert!(other(|h| h.form = 2).contains("another version"));
        assert!(other(|h| h.alphabet = "苏".into()).contains("other networks"));
        assert!(other(|h| h.labels = "01".into()).contains("label file"));
        assert!(other(|h| h.filters.clear()).contains("--split"));
        let short = text.replacen("AAECAwQ", "", 1);
        assert!(read(&short, &header()).unwrap_err().starts_with("line 2"));
        assert!(read("", &header()).unwrap_err().contains("remove it"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}", cut in 0_usize..2000) {
            let whole = write(&header(), &seen()).unwrap();
            let cut = whole.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(whole.len());
            let _ = read(&format!("{}{text}", &whole[..cut]), &header());
        }
    }
}
