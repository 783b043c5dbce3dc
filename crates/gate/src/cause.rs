//! Why a boom opens: every opening has exactly one cause id, and no cause opens twice.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

/// How many causes are remembered against a second pulse. At one car every ten seconds
/// this is almost three hours, far beyond the time any request is kept.
pub const REMEMBERED_CAUSES: usize = 1024;

/// The longest cause id, in bytes.
pub const CAUSE_MAX_BYTES: usize = 128;

/// The opaque id of what made the boom open: a passage, an answer, a press of the guard's
/// button, a fire. One to [`CAUSE_MAX_BYTES`] bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CauseId(String);

/// The text cannot be a cause id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cause id has 1 to {CAUSE_MAX_BYTES} bytes and no control characters, this one has \
     {bytes} bytes: use the id of the passage or command that opens the barrier"
)]
pub struct CauseError {
    bytes: usize,
}

impl CauseId {
    /// Takes `text` as a cause id.
    ///
    /// # Errors
    /// [`CauseError`] when it is empty, too long, or holds control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, CauseError> {
        let text = text.into();
        if text.is_empty() || text.len() > CAUSE_MAX_BYTES || text.chars().any(char::is_control) {
            return Err(CauseError { bytes: text.len() });
        }
        Ok(Self(text))
    }

    /// The id of the `count`-th opening that the barrier itself began, for example `fire`.
    pub(crate) fn of_barrier(what: &'static str, start_ns: u64, count: u64) -> Self {
        Self(format!("{what}-{start_ns:x}-{count}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CauseId {
    type Error = CauseError;

    fn try_from(text: String) -> Result<Self, CauseError> {
        Self::new(text)
    }
}

impl From<CauseId> for String {
    fn from(cause: CauseId) -> Self {
        cause.0
    }
}

impl fmt::Display for CauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last [`REMEMBERED_CAUSES`] causes; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct RecentCauses {
    order: VecDeque<CauseId>,
    known: HashSet<CauseId>,
}

impl RecentCauses {
    /// Whether `cause` is remembered.
    pub(crate) fn knows(&self, cause: &CauseId) -> bool {
        self.known.contains(cause)
    }

    /// Remembers `cause`; false when it was remembered already.
    pub(crate) fn remember(&mut self, cause: &CauseId) -> bool {
        if !self.known.insert(cause.clone()) {
            return false;
        }
        self.order.push_back(cause.clone());
        if self.order.len() > REMEMBERED_CAUSES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_cause_is_short_printable_text() {
        assert!(CauseId::new("01890a5d-ac96-774b-bcce-b302099a8057").is_ok());
        assert!(CauseId::new("").is_err());
        assert!(CauseId::new("a\nb").is_err());
        assert!(CauseId::new("x".repeat(CAUSE_MAX_BYTES)).is_ok());
        assert!(CauseId::new("x".repeat(CAUSE_MAX_BYTES + 1)).is_err());
        assert!(serde_json::from_str::<CauseId>("\"\"").is_err());
    }

    #[test]
    fn the_oldest_cause_is_forgotten_first() {
        let mut recent = RecentCauses::default();
        for n in 0..=REMEMBERED_CAUSES {
            assert!(recent.remember(&CauseId::new(n.to_string()).unwrap()));
        }
        assert!(!recent.remember(&CauseId::new("1").unwrap()));
        assert!(recent.remember(&CauseId::new("0").unwrap()));
        assert_eq!(recent.known.len(), recent.order.len());
    }
}
