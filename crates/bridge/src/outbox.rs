//! What the bridge needs of the journal.

use std::sync::Arc;

/// Sequence numbers with stored bytes.
pub type Pending = Vec<(u64, Arc<[u8]>)>;

/// The journal's entries that are not yet acknowledged, in order of their sequence numbers.
///
/// The bridge calls both methods on its own thread, so they may block on the disk.
pub trait Outbox: Send + Sync {
    /// Up to `limit` unacknowledged entries from sequence number `from` on, rising, each with
    /// its stored bytes exactly as they were hashed. Only what is durable may be returned:
    /// an entry that was seen outside must not be lost in a power cut.
    ///
    /// # Errors
    /// If the store cannot be read; the bridge asks again a second later.
    fn pending(&self, from: u64, limit: usize) -> Result<Pending, OutboxError>;

    /// Everything up to here was acknowledged, also by earlier runs.
    fn acknowledged(&self) -> u64;

    /// Everything up to and including `upto` has arrived. It need not be durable at once:
    /// losing it in a power cut only sends some entries twice.
    ///
    /// # Errors
    /// If it cannot be recorded; the bridge tries again.
    fn acknowledge(&self, upto: u64) -> Result<(), OutboxError>;
}

/// Why the outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the outbox failed: {0}")]
pub struct OutboxError(
    /// The store's own error.
    #[source]
    pub Box<dyn std::error::Error + Send + Sync>,
);

impl OutboxError {
    /// Wraps the store's error, or a text.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
