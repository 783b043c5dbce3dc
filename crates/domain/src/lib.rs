//! The words of the house as types, and its pure rules.
//!
//! Everything else depends on this crate and this crate depends on no other:
//!
//! - [`plate`]: number plates as text after GA 36-2018: what can exist, and what it is called.
//! - [`reading`]: what the reader saw (a matrix of log-probabilities), how readings of one
//!   vehicle become a sighting, and how well a given plate number explains it.
//! - [`verdict`]: admit, refuse or ask the guard, with a reason code and the evidence.
//! - [`pass`]: the numbers of numbered passes.
//! - [`passage`]: one vehicle's visit to one lane, from first sight to its record.
//! - [`event`]: what the journal holds: hash-chained entries that are the record of truth.
//! - [`chain`]: following a journal that may have holes.
//! - [`signing`] and [`command`]: Ed25519 keys and signatures; what a gate can be told from
//!   afar, who may, and the words of servers and devices about a journal.
//! - [`sync`]: a register on its way from a server: manifest, pages, digests, the gate's end.
//! - [`repeats`]: writing down what happens again and again, without being flooded by it.
//! - [`names`] and [`time`]: names of lanes and barriers, monotonic time.
//! - [`words`]: sentences for people, in Chinese and in English.
//!
//! Invariant: nothing here reads a clock, a file, a socket or a random source. Time, ids and
//! bytes come in as arguments, so the same input gives the same answer on every machine.

pub mod chain;
pub mod command;
pub mod event;
pub mod names;
pub mod pass;
pub mod passage;
pub mod plate;
pub mod reading;
pub mod repeats;
pub mod signing;
pub mod sync;
pub mod time;
pub mod verdict;
pub mod words;

pub use event::{Entry, Event};
pub use names::Name;
pub use pass::{PassId, PassNumber};
pub use passage::{Direction, Outcome, PassageId, PassageRecord};
pub use plate::{PlateKind, PlateNumber};
pub use reading::{Alphabet, LogProb, Quad, Reading, Sighting, Vehicle};
pub use time::Monotonic;
pub use verdict::{Decision, Reason, Verdict};
pub use words::{Language, Words};
