//! A reading as text, for people and reports. Decisions use the whole matrix instead.

use domain::{Alphabet, PlateKind, PlateNumber, Reading};

/// Readings less sure than this are no plate: a grille, an advertisement, a foreign plate.
pub const LEAST_CONFIDENCE: f32 = 0.3;

/// The valid number that explains a reading best.
#[derive(Debug, Clone, PartialEq)]
pub struct PlateText {
    /// The number.
    pub number: PlateNumber,
    /// Its probability after the reader, 0 to 1.
    pub confidence: f32,
    /// The kind: by look where the number may have it, else by the number alone.
    pub kind: Option<PlateKind>,
}

impl PlateText {
    /// Whether the reading is sure enough to be a plate at all.
    pub fn is_plate(&self) -> bool {
        self.confidence >= LEAST_CONFIDENCE
    }
}

/// The best valid number of a reading, whatever its confidence.
pub fn best_text(reading: &Reading, alphabet: &Alphabet) -> Option<PlateText> {
    let best = reading.matrix.valid_numbers(alphabet).next()?;
    let kinds = best.number.kinds();
    let kind = reading
        .kind()
        .filter(|look| kinds.contains(look))
        .or_else(|| kinds.first().copied());
    Some(PlateText {
        confidence: best.score.probability(),
        kind,
        number: best.number,
    })
}

/// The likeliest character of each place, whatever the grammar says, and the product of their
/// probabilities; to compare with.
pub fn unconstrained_text(reading: &Reading, alphabet: &Alphabet) -> (String, f32) {
    let classes = reading.matrix.best_classes();
    let text = classes
        .iter()
        .filter_map(|&c| alphabet.character(c))
        .collect();
    (text, reading.matrix.score_classes(&classes).probability())
}
