//! Reaching a stored verdict again from its evidence.

use domain::reading::{Alphabet, Matrix, MatrixError, Quad};
use domain::verdict::{Circumstances, Evidence};
use domain::{Direction, Reason, Sighting, Verdict};

use super::rules::reason_shown;
use super::{Clock, Margins, PolicyInput, decide, judge};
use crate::registry::{RegistryView, Vehicle};

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
    let sighting = seen(evidence, input.alphabet)?;
    let input = PolicyInput {
        sighting: sighting.as_ref(),
        ..*input
    };
    let Some(then) = &evidence.circumstances else {
        return Ok(decide(&input));
    };
    let margins = Margins::from_names(&then.margins).ok_or(ReplayError::Margins)?;
    let clock = clock_of(then);
    let input = PolicyInput {
        direction: then.direction,
        final_look: then.final_look,
        margins: &margins,
        ..input
    };
    Ok(judge(&input, clock, then.as_ref()))
}

/// What was known of the time.
fn clock_of(then: &Circumstances) -> Clock {
    match (then.local_time, then.time) {
        (Some(local), Some(now)) => Clock::Trusted { local, now },
        _ => Clock::Untrusted {
            not_before: then.not_before,
        },
    }
}

/// Reaches a whole verdict again, whatever brought it about; `input` as in [`replay`].
///
/// What somebody or something else than the picture brought about (a person, their silence, a pass
/// that was held up) is taken as it is recorded, with the pass that it names; the evidence beneath it
/// is reached again. A closed or full compound before which a pass was held up is asked for again with
/// the time and the vehicles inside of the verdict before it, a few seconds earlier.
///
/// # Errors
/// As [`replay`].
pub fn replay_verdict(
    recorded: &Verdict,
    input: &PolicyInput<'_>,
) -> Result<Option<Verdict>, ReplayError> {
    let follows = recorded.reason.follows_another();
    let then = recorded.evidence.circumstances.as_ref();
    if follows && then.is_none() {
        // Nothing had been decided before.
        return Ok(Some(recorded.clone()));
    }
    let Some(again) = replay(&recorded.evidence, input)? else {
        return Ok(None);
    };
    if follows {
        let evidence = Evidence {
            pass: recorded.evidence.pass,
            ..again.evidence
        };
        return Ok(Some(Verdict {
            evidence,
            ..recorded.clone()
        }));
    }
    let shut = matches!(recorded.reason, Reason::Closed | Reason::CompoundFull);
    if let (true, Some(view), Some(then)) = (shut, input.registry, then)
        && reason_shown(&again, view, clock_of(then), then.as_ref()) == Some(recorded.reason)
    {
        let (plate, evidence) = (again.plate, again.evidence);
        return Ok(Some(Verdict::new(recorded.reason, plate, evidence)));
    }
    Ok(Some(again))
}

/// What was seen, as the evidence holds it; none if no plate was found.
///
/// # Errors
/// [`ReplayError`], if it is damaged or over another alphabet.
pub fn seen(evidence: &Evidence, alphabet: &Alphabet) -> Result<Option<Sighting>, ReplayError> {
    if evidence.matrix.is_empty() {
        return Ok(None);
    }
    let bytes = hex::decode(&evidence.matrix)?;
    Ok(Some(Sighting {
        matrix: Matrix::from_bytes(alphabet.classes(), &bytes)?,
        kind: evidence.kind,
        readings: evidence.readings,
        // Where the plate was plays no part in the decision.
        quad: Quad([(0.0, 0.0); 4]),
    }))
}

/// Decides again on the picture alone, where the register of then is not at hand: which plates
/// explain it how well. Known are the two registered plates of the evidence, and every number that
/// explains the picture better than its stranger does: the stranger was the best unknown one. The
/// register's rules are not asked.
///
/// # Errors
/// [`ReplayError`], if the evidence is damaged or over another alphabet.
pub fn replay_picture(evidence: &Evidence, alphabet: &Alphabet) -> Result<Evidence, ReplayError> {
    let Some(sighting) = seen(evidence, alphabet)? else {
        return Ok(evidence.clone());
    };
    let margins = match &evidence.circumstances {
        Some(then) => Margins::from_names(&then.margins).ok_or(ReplayError::Margins)?,
        None => Margins::default(),
    };
    let named = evidence.registered.iter().chain(&evidence.runner_up);
    let mut known: Vec<Vehicle> = named.map(|s| Vehicle::new(s.plate.clone())).collect();
    if let (false, Some(stranger)) = (known.is_empty(), &evidence.stranger) {
        let better = sighting.matrix.valid_numbers(alphabet);
        let better = better.take_while(|c| c.number != stranger.plate && c.score >= stranger.score);
        known.extend(better.map(|c| Vehicle::new(c.number)));
    }
    let registry = (!known.is_empty()).then(|| RegistryView::new(evidence.registry_version, known));
    let again = decide(&PolicyInput {
        sighting: Some(&sighting),
        registry: registry.as_ref(),
        alphabet,
        direction: Direction::Entry,
        today: None,
        final_look: true,
        margins: &margins,
    });
    let again = again.map(|verdict| verdict.evidence).unwrap_or_default();
    Ok(Evidence {
        registry_version: evidence.registry_version,
        pass: evidence.pass,
        circumstances: evidence.circumstances.clone(),
        ..again
    })
}
