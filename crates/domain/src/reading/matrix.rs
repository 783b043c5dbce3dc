//! The reader's answer for one plate, in fixed point.

use serde::{Deserialize, Serialize};

use super::{Alphabet, Quad};
use crate::plate::{PlateKind, PlateNumber};

/// Places of a reading: the longest plates have eight characters.
pub const SLOTS: usize = 8;

/// A log-probability in 1/1024 nat, never positive; the least is about -32 nats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogProb(i16);

impl LogProb {
    /// Steps in one nat.
    pub const PER_NAT: i32 = 1024;
    /// Certainty.
    pub const CERTAIN: Self = Self(0);
    /// As good as impossible.
    pub const LEAST: Self = Self(i16::MIN);

    /// The nearest fixed-point value to `nats`; NaN becomes [`Self::LEAST`].
    pub fn from_nats(nats: f32) -> Self {
        if nats.is_nan() {
            return Self::LEAST;
        }
        // `as` saturates at the ends of i16.
        Self(((nats.min(0.0) * Self::PER_NAT as f32).round()) as i16)
    }

    /// The value from its stored steps; positive steps become certainty.
    pub fn from_steps(steps: i16) -> Self {
        Self(steps.min(0))
    }

    /// Steps of 1/1024 nat.
    pub const fn steps(self) -> i16 {
        self.0
    }

    /// The probability, 0 to 1; for people and reports, never for decisions.
    pub fn probability(self) -> f32 {
        (f32::from(self.0) / Self::PER_NAT as f32).exp()
    }
}

/// A sum of log-probabilities, in 1/1024 nat: how well a number explains what was seen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Score(pub i32);

impl Score {
    /// A score of `nats`.
    pub fn from_nats(nats: f32) -> Self {
        Self((nats * LogProb::PER_NAT as f32).round() as i32)
    }

    /// The score in nats, for people.
    pub fn nats(self) -> f32 {
        self.0 as f32 / LogProb::PER_NAT as f32
    }

    /// The probability it stands for, 0 to 1; for people and reports.
    pub fn probability(self) -> f32 {
        self.nats().exp().min(1.0)
    }
}

/// Eight rows of log-probabilities over an alphabet's classes.
///
/// Stored as bytes (two a value, little endian) in events, so that a decision can be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    pub(super) classes: usize,
    pub(super) values: Vec<LogProb>,
}

/// Why numbers are no matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// The count of values does not fit.
    #[error("a reading over {classes} classes needs {expected} values, {found} were given")]
    Size {
        /// Classes of the alphabet.
        classes: usize,
        /// Values needed.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

impl Matrix {
    /// A matrix from values in row order: slot by slot, class by class.
    ///
    /// # Errors
    /// If there are not `8 * classes` values.
    pub fn new(classes: usize, values: Vec<LogProb>) -> Result<Self, MatrixError> {
        let expected = SLOTS * classes;
        if values.len() != expected || classes < 2 {
            return Err(MatrixError::Size {
                classes,
                expected,
                found: values.len(),
            });
        }
        Ok(Self { classes, values })
    }

    /// A matrix from natural log-probabilities in row order.
    ///
    /// # Errors
    /// If there are not `8 * classes` values.
    pub fn from_nats(classes: usize, nats: &[f32]) -> Result<Self, MatrixError> {
        Self::new(
            classes,
            nats.iter().map(|&n| LogProb::from_nats(n)).collect(),
        )
    }

    /// Several looks at one plate in one frame as one: the mean of their log-probabilities,
    /// which is what they agree on. Looks over another alphabet than the first's are left out.
    pub fn agreed(looks: &[Self]) -> Option<Self> {
        let first = looks.first()?;
        let mut sums = vec![0.0; first.values.len()];
        let mut count = 0.0_f32;
        for look in looks.iter().filter(|look| look.classes == first.classes) {
            for (sum, value) in sums.iter_mut().zip(&look.values) {
                *sum += f32::from(value.steps());
            }
            count += 1.0;
        }
        let scale = 1.0 / (count * LogProb::PER_NAT as f32);
        Some(Self::normalised(first.classes, &sums, scale))
    }

    /// Rows of `sums` times `scale`, in nats, each so that its probabilities add up to one.
    pub(super) fn normalised(classes: usize, sums: &[f32], scale: f32) -> Self {
        let mut values = Vec::with_capacity(sums.len());
        for row in sums.chunks_exact(classes) {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) * scale;
            let total: f32 = row.iter().map(|s| (s * scale - top).exp()).sum();
            let norm = top + total.ln();
            values.extend(row.iter().map(|s| LogProb::from_nats(s * scale - norm)));
        }
        Self { classes, values }
    }

    /// Classes a row has, the blank included.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// One place's log-probabilities.
    ///
    /// # Panics
    /// If `slot` is not below [`SLOTS`].
    pub fn slot(&self, slot: usize) -> &[LogProb] {
        &self.values[slot * self.classes..(slot + 1) * self.classes]
    }

    /// How well `number` explains this: the sum over all places. `None` if the alphabet lacks
    /// one of its characters, in which case nothing can be said about it.
    pub fn score(&self, number: &PlateNumber, alphabet: &Alphabet) -> Option<Score> {
        let mut classes = [alphabet.blank(); SLOTS];
        for (slot, c) in number.as_str().chars().enumerate() {
            *classes.get_mut(slot)? = alphabet.class(c)?;
        }
        Some(self.score_classes(&classes))
    }

    /// The sum of the given classes' log-probabilities, one a place. A registry that is scored
    /// often keeps its numbers in this form.
    ///
    /// # Panics
    /// If a class is beyond [`Self::classes`].
    pub fn score_classes(&self, classes: &[usize; SLOTS]) -> Score {
        let sum = classes
            .iter()
            .enumerate()
            .map(|(slot, &class)| i32::from(self.values[slot * self.classes + class].steps()))
            .sum();
        Score(sum)
    }

    /// The most likely class of each place, whatever the grammar says.
    pub fn best_classes(&self) -> [usize; SLOTS] {
        std::array::from_fn(|slot| {
            let row = self.slot(slot);
            (0..row.len())
                .max_by_key(|&c| (row[c], std::cmp::Reverse(c)))
                .unwrap_or(0)
        })
    }

    /// How well this and `other` agree on what was read, in nats: the log of the probability
    /// that both saw the same characters. Zero is certain agreement; a place in which two sure
    /// readings differ costs [`Self::PLACE_DIFFERS`], so this counts places, whatever a reader's
    /// sureness is worth.
    pub fn agreement(&self, other: &Self) -> f32 {
        if self.classes != other.classes {
            return f32::NEG_INFINITY;
        }
        (0..SLOTS)
            .map(|slot| {
                let rows = self.slot(slot).iter().zip(other.slot(slot));
                let same: f32 = rows.map(|(a, b)| a.probability() * b.probability()).sum();
                // Two unsure rows that agree as well as they can count as agreeing.
                let own = |m: &Self| -> f32 {
                    m.slot(slot)
                        .iter()
                        .map(|p| p.probability() * p.probability())
                        .sum()
                };
                let most = (own(self) * own(other)).sqrt().max(1e-9);
                (same / most).max(1e-9).ln().clamp(Self::PLACE_DIFFERS, 0.0)
            })
            .sum()
    }

    /// Nats of agreement that one place costs in which two sure readings differ. However sure
    /// readers are, they are now and then wrong about a place.
    pub const PLACE_DIFFERS: f32 = -8.0;

    /// The bytes that events store: two a value, little endian, row order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values
            .iter()
            .flat_map(|v| v.steps().to_le_bytes())
            .collect()
    }

    /// The matrix from its stored bytes.
    ///
    /// # Errors
    /// If the bytes are no `8 * classes` values.
    pub fn from_bytes(classes: usize, bytes: &[u8]) -> Result<Self, MatrixError> {
        let values: Vec<LogProb> = bytes
            .chunks_exact(2)
            .map(|b| LogProb::from_steps(i16::from_le_bytes([b[0], b[1]])))
            .collect();
        Self::new(classes, values)
    }
}

/// The reader's answer for one plate in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Log-probabilities of the characters.
    pub matrix: Matrix,
    /// Log-probabilities of the plate kinds the model tells apart.
    pub kinds: Vec<(PlateKind, LogProb)>,
    /// Where the plate was.
    pub quad: Quad,
    /// The detector's confidence that this is a plate, 0 to 1.
    pub detected: f32,
    /// Sharpness of the rectified plate: mean absolute horizontal gradient of its brightness,
    /// 0 to 255.
    pub sharpness: f32,
}

impl Reading {
    /// The likeliest kind by the plate's look.
    pub fn kind(&self) -> Option<PlateKind> {
        self.kinds
            .iter()
            .max_by_key(|(_, p)| *p)
            .map(|&(kind, _)| kind)
    }
}
