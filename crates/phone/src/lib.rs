//! Checks numbered passes on a guard's phone, with no network and nothing installed.
//!
//! ```text
//! menshen pass page ─► one HTML file: keys, list of passes, this crate as WebAssembly
//!                        │  photo of a paper (grey), or the text of its code
//!                        ▼
//!            stdin: one line of JSON [`Request`], then the grey pixels
//!                        │ codes ─► tokens ─► genuine? ─► the list's pass ─► does it hold today?
//!            stdout: JSON, an [`Answer`] for each code
//! ```
//!
//! It is a program for WASI that reads and writes, so that nothing unsafe is needed to call it from a
//! page. Decoding (rqrr) and signatures are those of the gate. The rules are those of
//! `access::pass::check` for a clock that is right, which does not fit into a page because of the
//! register that it is asked with; a property test holds the two together.
//!
//! A page knows what the register said when it was made: what was revoked, extended or used since, it
//! cannot know.
#![forbid(unsafe_code)]

use domain::pass::{Bearer, Token};
use domain::signing::PublicKey;
use domain::{Decision, PassNumber, PlateNumber, Reason};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The largest side of a picture, in pixels; a page makes larger ones smaller.
pub const LARGEST: u32 = 4096;

/// What a page knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The keys whose passes count.
    pub keys: Vec<PublicKey>,
    /// The register's passes, by number.
    pub passes: Vec<Listed>,
}

/// A pass as the register had it. No names: the page may get into any hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its number.
    pub number: PassNumber,
    /// Its newest edition.
    pub edition: u16,
    /// The first day.
    pub from: Date,
    /// The last day.
    pub until: Date,
    /// Whose it is.
    pub bearer: Bearer,
    /// Entries it is good for; none if they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u16>,
    /// Entries that were used when the page was made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used: u32,
    /// Whether it was revoked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revoked: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What the page knows.
    pub list: List,
    /// The phone's day.
    pub today: Date,
    /// The text of a code, as a scanner gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Width and height of the grey picture that follows, a byte a pixel, row by row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<(u32, u32)>,
}

/// What one code is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The reason code of `docs/reasons.md`.
    pub reason: &'static str,
    /// "admit", "refuse" or "ask-guard".
    pub decision: Decision,
    /// The reason in Chinese.
    pub chinese: &'static str,
    /// The reason in English.
    pub english: String,
    /// The number, as it is printed; none if the paper is not genuine.
    pub number: Option<String>,
    /// The kind of pass in Chinese.
    pub kind: Option<&'static str>,
    /// The plate that the vehicle must have.
    pub plate: Option<PlateNumber>,
    /// The last day.
    pub until: Option<Date>,
    /// Entries that were left when the page was made.
    pub left: Option<u32>,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// The first line is no request.
    #[error("the request is not understood: {0}")]
    Request(#[from] serde_json::Error),
    /// The pixels are not as many as was said.
    #[error("a picture of {width} x {height} was announced, and {bytes} bytes came")]
    Picture {
        /// As announced.
        width: u32,
        /// As announced.
        height: u32,
        /// What came.
        bytes: usize,
    },
}

/// Answers what was written to the program: a line of JSON, and a picture if it announces one.
///
/// # Errors
/// [`Unanswerable`], in words for whoever repairs the page.
pub fn respond(input: &[u8]) -> Result<Vec<Answer>, Unanswerable> {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (line, pixels) = input.split_at(end.unwrap_or(input.len()));
    let request: Request = serde_json::from_slice(line)?;
    let mut texts: Vec<String> = request.text.into_iter().collect();
    if let Some((width, height)) = request.picture {
        let pixels = pixels.get(1..).unwrap_or_default();
        let sound = width.max(height) <= LARGEST && pixels.len() == (width * height) as usize;
        if !sound {
            let bytes = pixels.len();
            return Err(Unanswerable::Picture {
                width,
                height,
                bytes,
            });
        }
        texts.extend(read(pixels, width as usize, height as usize));
    }
    let answers = texts.iter().map(|text| {
        // Scanners and people write small letters and spaces.
        let text: String = text.split_whitespace().collect();
        judge(&text.to_ascii_uppercase(), &request.list, request.today)
    });
    Ok(answers.collect())
}

fn read(pixels: &[u8], width: usize, height: usize) -> Vec<String> {
    let at = |x: usize, y: usize| pixels[y * width + x];
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, at);
    let grids = picture.detect_grids();
    let texts = grids.iter().filter_map(|grid| grid.decode().ok());
    texts.map(|(_, text)| text).collect()
}

/// What the text of a code is worth on a day.
pub fn judge(text: &str, list: &List, today: Date) -> Answer {
    match Token::verify(text, &list.keys) {
        Err(why) => Answer::of(why.reason(), None, None),
        Ok(token) => {
            let pass = list.passes.iter().find(|p| p.number == token.pass.number);
            Answer::of(standing(&token, pass, today), Some(&token), pass)
        }
    }
}

fn standing(token: &Token, pass: Option<&Listed>, today: Date) -> Reason {
    let Some(pass) = pass else {
        return Reason::PassUnknown;
    };
    if pass.edition != token.pass.edition {
        Reason::PassReplaced
    } else if pass.revoked {
        Reason::PassRevoked
    } else if pass.until < today {
        Reason::PassExpired
    } else if today < pass.from {
        Reason::PassNotYetValid
    } else if pass.entries.is_some_and(|n| pass.used >= u32::from(n)) {
        Reason::PassUsedUp
    } else if pass.bearer == Bearer::Blank {
        Reason::PassBlank
    } else {
        Reason::Pass
    }
}

impl Answer {
    fn of(reason: Reason, token: Option<&Token>, pass: Option<&Listed>) -> Self {
        let left = |pass: &Listed| Some(u32::from(pass.entries?).saturating_sub(pass.used));
        Self {
            reason: reason.code(),
            decision: reason.decision(),
            chinese: reason.chinese(),
            english: reason.english().to_owned(),
            number: token.map(|token| token.pass.number.to_string()),
            kind: pass.map(|pass| pass.bearer.chinese()),
            plate: pass.and_then(|pass| pass.bearer.plate().cloned()),
            until: pass.map(|pass| pass.until),
            left: pass.and_then(left),
        }
    }
}
