//! Reaching a stored verdict again from its evidence.

use domain::reading::{Matrix, MatrixError, Quad};
use domain::verdict::Evidence;
use domain::{Sighting, Verdict};

use super::{PolicyInput, decide};
use crate::registry::RegistryView;

/// Why evidence cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The registry given is not the one it was decided against.
    #[error(
        "the verdict was reached with version {decided} of the register, version {given} was given; restore that version first"
    )]
    OtherRegistry {
        /// The version decided with.
        decided: u64,
        /// The version given.
        given: u64,
    },
    /// The stored matrix is no hexadecimal.
    #[error("the stored matrix is damaged: {0}")]
    Hexadecimal(#[from] hex::FromHexError),
    /// The stored matrix does not fit the alphabet.
    #[error("the stored matrix is not over this alphabet: {0}; use the model it was read with")]
    Matrix(#[from] MatrixError),
}

/// Decides again on a verdict's evidence; the sighting in `input` is not used, everything else
/// must be as it was then.
///
/// # Errors
/// [`ReplayError`], if register or alphabet are others, or the evidence is damaged.
pub fn replay(
    evidence: &Evidence,
    input: &PolicyInput<'_>,
) -> Result<Option<Verdict>, ReplayError> {
    let given = input.registry.map_or(0, RegistryView::version);
    if given != evidence.registry_version {
        return Err(ReplayError::OtherRegistry {
            decided: evidence.registry_version,
            given,
        });
    }
    let sighting = if evidence.matrix.is_empty() {
        None
    } else {
        let bytes = hex::decode(&evidence.matrix)?;
        Some(Sighting {
            matrix: Matrix::from_bytes(input.alphabet.classes(), &bytes)?,
            kind: evidence.kind,
            readings: evidence.readings,
            // Where the plate was plays no part in the decision.
            quad: Quad([(0.0, 0.0); 4]),
        })
    };
    Ok(decide(&PolicyInput {
        sighting: sighting.as_ref(),
        ..*input
    }))
}
