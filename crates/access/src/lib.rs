//! Who may pass and why: register, decision, journal, outbox, pictures.
//!
//! Data flows through it like this:
//!
//! - [`registry`]: vehicles from CSV into the store, and from there into an immutable
//!   [`registry::RegistryView`] that all lanes share.
//! - [`policy`]: a sighting and a view in, a verdict with its evidence out. Pure.
//! - [`occupancy`]: who is inside, as the passages say.
//! - [`pass`]: numbered passes, their signed tokens and their counters.
//! - [`passage`]: the life cycle of one vehicle's visit to a lane. Pure.
//! - [`journal`]: events are chained and written; the outbox hands the durable ones to
//!   whoever delivers them, until they are acknowledged.
//! - [`pictures`]: JPEGs of passages under an age and a budget.
//! - [`store`]: the one map of checksummed records beneath registry and journal, in sled.
//! - [`ledger`]: all durable things of a gate together; what the program calls.
//!
//! Invariant: this crate alone links sled, and it reads no clock: times and ids come in as
//! arguments. Invariant: no pixels, pins or MQTT here.

pub mod journal;
pub mod ledger;
pub mod occupancy;
pub mod pass;
pub mod passage;
pub mod pictures;
pub mod policy;
pub mod registry;
pub mod store;

pub use ledger::{Ledger, LedgerError};
pub use policy::{Margins, PolicyInput, decide, judge};
pub use registry::RegistryView;
