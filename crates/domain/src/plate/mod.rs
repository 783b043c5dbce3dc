//! Number plates as text: kinds, grammar, numbers.
//!
//! Text that a person typed goes through [`PlateNumber::parse`], which forgives spelling and
//! refuses what cannot exist; from then on a [`PlateNumber`] is valid by its type. The grammar
//! ([`grammar`]) is one table that parsing, decoding and documentation share.
//! Source: GA 36-2018 (中华人民共和国机动车号牌) and, for the codes, GA/T 16.7.

pub mod grammar;
mod kind;
mod number;
#[cfg(test)]
pub(crate) mod tests;

pub use kind::PlateKind;
pub use number::{PlateError, PlateNumber};
