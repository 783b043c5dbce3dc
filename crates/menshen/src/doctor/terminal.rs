//! The person's screen and keyboard.

use std::io::{BufRead, Write as _};
use std::sync::Mutex;
use std::sync::PoisonError;

use domain::{Language, Words};

use super::session::Question;

/// A line that is longer than this is cut into several: no answer is.
const LINE_MAX: u64 = 4096;

/// Where sentences go, in one language.
pub(super) struct Terminal {
    language: Language,
    /// A screen on which a line can be written over; a file or pipe gets each line once.
    screen: bool,
    /// The question that stands there, and what was last shown of the input.
    shown: Mutex<(String, String)>,
}

impl Terminal {
    pub(super) fn new(language: Language, screen: bool) -> Self {
        Self {
            language,
            screen,
            shown: Mutex::default(),
        }
    }

    /// Says a sentence on lines of its own.
    pub(super) fn say(&self, words: &Words) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if self.screen && !shown.1.is_empty() {
            print("\r\x1b[K");
            shown.1.clear();
        }
        print(words.in_language(self.language));
        print("\n");
    }

    /// Asks; the answer is typed behind it.
    pub(super) fn ask(&self, question: Question, words: &Words) {
        let hint = match question {
            Question::Name => "",
            Question::NobodyBelow
            | Question::AtRest
            | Question::StandsStill
            | Question::MayMove { .. }
            | Question::Moved
            | Question::Picture => " [y/n]",
            Question::Activate | Question::LetGo => " …",
            Question::Further => " [r/Enter]",
        };
        self.say(words);
        let prompt = format!("{hint} > ");
        print(&prompt);
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).0 = prompt;
    }

    /// Shows how the input that is tried is now, if that has changed.
    pub(super) fn live(&self, words: Option<Words>) {
        let Some(words) = words else { return };
        let text = words.in_language(self.language).to_owned();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.1 == text {
            return;
        }
        if self.screen {
            print(&format!("\r\x1b[K   {text}{}", shown.0));
        } else {
            print(&format!("   {text}\n"));
        }
        shown.1 = text;
    }
}

/// Nobody who reads what is said is no reason to stop: the keyboard ends it.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Gives every line that comes to `take` until there are no more or it wants none.
pub(super) fn lines(mut from: impl BufRead, mut take: impl FnMut(String) -> bool) {
    loop {
        let mut line = Vec::new();
        let mut part = std::io::Read::take(&mut from, LINE_MAX);
        match part.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => {
                if !take(String::from_utf8_lossy(&line).into_owned()) {
                    return;
                }
            }
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
