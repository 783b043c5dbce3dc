//! What the reader saw, and which plate number explains it.
//!
//! One plate in one frame gives a [`Reading`]: for each of eight places a log-probability for
//! every character of the model's [`Alphabet`] (the last one, blank, stands in the eighth place
//! of seven-character plates). Readings of one vehicle are fused into a [`Sighting`]. A sighting
//! is never turned into "the" text first: [`Matrix::score`] says how well any number explains
//! it, and [`Matrix::valid_numbers`] lists the numbers that explain it best.
//!
//! Log-probabilities are fixed point ([`LogProb`], 1/1024 nat in 16 bits) and scores are sums of
//! integers, so that a decision replays to the same bits on every processor.

mod alphabet;
mod decode;
mod matrix;
mod quad;
mod sighting;
#[cfg(test)]
mod tests;

pub use alphabet::{Alphabet, AlphabetError};
pub use decode::{Candidate, ValidNumbers};
pub use matrix::{LogProb, Matrix, MatrixError, Reading, SLOTS, Score};
pub use quad::{Point, Quad};
pub use sighting::{Fusion, Sighting, Vehicle, Weight};
