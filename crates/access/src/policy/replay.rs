//! Reaching a stored verdict again from its evidence.

use domain::reading::{Matrix, MatrixError, Quad};
use domain::verdict::Evidence;
use domain::{Sighting, Verdict};

use super::{Clock, Margins, PolicyInput, decide, judge};
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
    /// The stored margins are not those that this program knows.
    #[error(
        "the verdict was reached with margins that this program does not know; use the version it was reached with"
    )]
    Margins,
}

/// Decides again on a verdict's evidence. Of `input` only register and alphabet are used, which
/// must be those of then, if the evidence carries its circumstances; verdicts from before there
/// were rules do not, and for them everything but the sighting must be as it was.
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
    let input = PolicyInput {
        sighting: sighting.as_ref(),
        ..*input
    };
    let Some(then) = &evidence.circumstances else {
        return Ok(decide(&input));
    };
    let margins = Margins::from_names(&then.margins).ok_or(ReplayError::Margins)?;
    let clock = match (then.local_time, then.time) {
        (Some(local), Some(now)) => Clock::Trusted { local, now },
        _ => Clock::Untrusted {
            not_before: then.not_before,
        },
    };
    let input = PolicyInput {
        direction: then.direction,
        final_look: then.final_look,
        margins: &margins,
        ..input
    };
    Ok(judge(&input, clock, then.as_ref()))
}
