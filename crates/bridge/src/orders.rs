//! What the bridge needs of the house to carry commands out.

use domain::command::{Command, Refusal};
use domain::event::Event;
use domain::names::Name;
use domain::sync::{Manifest, Page};

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

    /// A manifest of the server's register, from a command that was judged sound. It may come
    /// again: then the transfer goes on.
    ///
    /// # Errors
    /// Why it is not taken.
    fn begin_sync(&self, manifest: &Manifest, by: &Name) -> Result<SyncStep, Declined>;

    /// A page, from whomever.
    ///
    /// # Errors
    /// Why it does not belong to the open transfer.
    fn take_page(&self, page: &Page) -> Result<PageTaken, Refusal>;

    /// Writes an event into the journal, without waiting for the disk.
    fn record(&self, event: Event);
}

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncStep {
    /// These pages are missing, first and last.
    Taking(Vec<(u32, u32)>),
    /// The register is in force, in words.
    Done(String),
}

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageTaken {
    /// The transfer goes on.
    Going,
    /// It was the last one: what became of the register.
    Ended(Result<String, Declined>),
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
