//! Readings of one vehicle, fused.
//!
//! Frames of one vehicle are not independent looks: what makes one frame hard (dirt, angle,
//! night) makes the next one hard too. So the fused matrix is the weighted **mean** of the
//! readings' log-probabilities times a number of effective looks that grows slowly and is
//! capped, renormalised place by place.

use super::matrix::{LogProb, Matrix, Reading, SLOTS};
use super::quad::Quad;
use crate::Monotonic;
use crate::plate::PlateKind;

/// A reading's weight in 1/256: its size and sharpness compared with a good plate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u16);

impl Weight {
    /// The weight of a plate `width` pixels wide with the given sharpness (see
    /// [`Reading::sharpness`]). A plate of 120 pixels and sharpness 12 or more weighs 1; none
    /// weighs less than 1/16, so that a distant plate alone still counts.
    pub fn of(width: f32, sharpness: f32) -> Self {
        let size = (width / 120.0).clamp(0.0, 1.0);
        let sharp = (sharpness / 12.0).clamp(0.0, 1.0);
        let weight = (size * size * sharp * 256.0).clamp(16.0, 256.0);
        Self(if weight.is_nan() { 16 } else { weight as u16 })
    }

    /// The weight as a part of a good plate's.
    pub fn as_f32(self) -> f32 {
        f32::from(self.0) / 256.0
    }
}

/// What a vehicle's plate looked like over all frames so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The fused log-probabilities of the characters.
    pub matrix: Matrix,
    /// The likeliest kind by the plate's look, if any reading told.
    pub kind: Option<PlateKind>,
    /// Readings that went into it.
    pub readings: u32,
    /// The plate's place in the last frame it was read in.
    pub quad: Quad,
}

/// A vehicle as a lane's tracker knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Vehicle {
    /// Counts the vehicles of a lane since the program started.
    pub id: u64,
    /// What its plate looked like so far.
    pub sighting: Sighting,
    /// When its plate was first read.
    pub first_seen: Monotonic,
    /// When its plate was last read.
    pub last_seen: Monotonic,
    /// Since when it has not moved.
    pub still_since: Monotonic,
}

/// Collects readings of one vehicle into a [`Sighting`].
#[derive(Debug, Clone)]
pub struct Fusion {
    classes: usize,
    /// Weighted sums of log-probabilities in 1/1024 nat.
    sums: Vec<f32>,
    weight: f32,
    kinds: Vec<(PlateKind, f32)>,
    readings: u32,
    quad: Quad,
}

/// Looks that count at the most, however long a car stands there.
const MOST_LOOKS: f32 = 2.5;

impl Fusion {
    /// A fusion that holds one reading.
    pub fn new(reading: &Reading) -> Self {
        let classes = reading.matrix.classes();
        let mut fusion = Self {
            classes,
            sums: vec![0.0; SLOTS * classes],
            weight: 0.0,
            kinds: Vec::new(),
            readings: 0,
            quad: reading.quad,
        };
        fusion.add(reading);
        fusion
    }

    /// Adds a reading; one over another alphabet is ignored, since nothing compares.
    pub fn add(&mut self, reading: &Reading) {
        if reading.matrix.classes() != self.classes {
            return;
        }
        let w = Weight::of(reading.quad.width(), reading.sharpness).as_f32();
        for slot in 0..SLOTS {
            let sums = &mut self.sums[slot * self.classes..(slot + 1) * self.classes];
            for (sum, value) in sums.iter_mut().zip(reading.matrix.slot(slot)) {
                *sum += w * f32::from(value.steps());
            }
        }
        for &(kind, p) in &reading.kinds {
            let value = w * f32::from(p.steps());
            match self.kinds.iter_mut().find(|(k, _)| *k == kind) {
                Some((_, sum)) => *sum += value,
                None => self.kinds.push((kind, value)),
            }
        }
        self.weight += w;
        self.readings += 1;
        self.quad = reading.quad;
    }

    /// Readings so far.
    pub fn readings(&self) -> u32 {
        self.readings
    }

    /// The sighting as it stands.
    pub fn sighting(&self) -> Sighting {
        // A single reading counts as itself; more add up ever more slowly.
        let looks = (1.0 + (self.readings.max(1) as f32).ln()).min(MOST_LOOKS);
        let scale = looks / (self.weight.max(1e-6) * LogProb::PER_NAT as f32);
        let kind = self
            .kinds
            .iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|&(kind, _)| kind);
        Sighting {
            matrix: Matrix::normalised(self.classes, &self.sums, scale),
            kind,
            readings: self.readings,
            quad: self.quad,
        }
    }
}
