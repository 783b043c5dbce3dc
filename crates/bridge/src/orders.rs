//! What the bridge needs of the house to carry commands out.

use domain::command::{Command, Refusal};
use domain::event::Event;
use domain::names::Name;

/// The house, as far as commands reach it.
///
/// The bridge calls both methods on its own thread. Neither may wait for a boom.
pub trait Orders: Send + Sync {
    /// Does what was ordered. The command was judged sound and its challenge is used up: this
    /// is called once at most for each.
    ///
    /// `by` is whose key signed it; `cause` is the cause id of an opening that it leads to.
    ///
    /// # Errors
    /// Why it was not done: [`Refusal::NotSupported`] or [`Refusal::NotPossible`], in words.
    fn carry_out(&self, command: &Command, by: &Name, cause: &str) -> Result<String, Declined>;

    /// Writes an event into the journal, without waiting for the disk.
    fn record(&self, event: Event);
}

/// Why a sound command was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The reason's code.
    pub reason: Refusal,
    /// What is in the way and what to do.
    pub message: String,
}

impl Declined {
    /// The gate cannot do that yet.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self {
            reason: Refusal::NotSupported,
            message: message.into(),
        }
    }

    /// The gate could not do it now.
    pub fn not_possible(message: impl Into<String>) -> Self {
        Self {
            reason: Refusal::NotPossible,
            message: message.into(),
        }
    }
}
