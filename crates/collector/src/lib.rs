//! The committee server's reference end: every entry of every gate, once, in order, checked.
//!
//! ```text
//! broker ─► mailbox ─► message ─► standing ─► store (one transaction a batch)
//!             ▲         signed      chain        │ durable
//!             └──── ack, signed with the server's key
//! ```
//!
//! - [`message`]: pure: a topic and bytes to an entry or a head, whose signature fits an
//!   enrolled gate's key; or why not.
//! - [`standing`]: pure: what is there of one gate's journal, what a further entry means to it,
//!   and what can be acknowledged.
//! - [`watch`]: pure: which gate has fallen silent, which hole stays open, who speaks of entries
//!   that do not come.
//! - [`store`]: what is kept, behind a trait; [`sqlite`] keeps it in one file, [`postgres`]
//!   in a database that a site has, [`memory`] for tests.
//! - [`clerk`]: a batch of messages through all of these: what is stored, then what is
//!   acknowledged and reported.
//! - [`sending`]: pure: a register's way to one gate, from the challenge to the answer.
//!   [`publish`]: its shell.
//! - [`mailbox`]: the shell: the MQTT client, a persistent session. [`config`]: one file.
//!
//! Invariant: an entry is acknowledged only after the transaction that holds it and all before
//! it is durable. Until then the gate keeps it.
//!
//! Invariant: only what an enrolled gate's key has signed is stored. Whoever can write to the
//! broker can neither add an entry nor replace one.
//!
//! Invariant: nothing that is missing stays unnoticed: a hole that the gate has not declared
//! stops the acknowledgement and is reported, and a gate that falls silent is reported.

pub mod clerk;
pub mod config;
pub mod mailbox;
pub mod memory;
pub mod message;
pub mod postgres;
pub mod publish;
pub mod sending;
pub mod sqlite;
pub mod standing;
pub mod store;
pub mod watch;

pub use clerk::{Clerk, Delivered, Letter};
pub use config::CollectorConfig;
pub use store::{Archive, DeviceLine, Report, ReportKind, ReportLine, Store, StoreError, Stored};
