//! The decision: which hypothesis explains the picture?
//!
//! Every registered plate and the best plate that is not registered (the stranger) are scored
//! by the sighting's log-probabilities. A registered plate is admitted when it wins against
//! the stranger and against every other registered plate by [`Margins`], and explains the
//! picture well enough by itself. Nearness of texts plays no part.
//!
//! [`decide`] is pure: the same input gives the same verdict, byte for byte, on every machine,
//! and [`replay()`] does so from a verdict's stored evidence. [`judge`] puts the compound's rules
//! on top: who may pass now, and whether there is room. It can only refuse, ask or explain what
//! `decide` admits, and admits by itself nothing but kinds that always pass.
//!
//! Invariant: nothing that is missing, unreadable or unfit leads to an admission on entry.

mod explain;
mod replay;
mod rules;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::reading::{Alphabet, Score};
use domain::verdict::{Evidence, Scored};
use domain::{Direction, PlateNumber, Reason, Sighting, Verdict};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::registry::{Ranked, RegistryView};

pub use explain::explain;
pub use replay::{ReplayError, replay, replay_picture, replay_verdict, seen};
pub(crate) use rules::Standing;
pub use rules::{Clock, Empty, Occupancy, judge, judge_shown};

/// By how much a hypothesis must win, in 1/1024 nat (see [`Score`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Margins {
    /// The best registered plate over the best stranger.
    pub over_stranger: Score,
    /// The best registered plate over the second.
    pub over_runner_up: Score,
    /// The best stranger over the best registered plate, to be called one.
    pub over_registered: Score,
    /// What the winner itself must reach; below it the picture is too poor.
    pub least_score: Score,
    /// Readings that a stranger's sighting needs before the final look. An admission may be
    /// quick; a refusal has time for another frame that may tell otherwise.
    pub refuse_after: u32,
}

impl Default for Margins {
    /// Chosen on 3,515 cuts of the training pictures, one reading a plate, with the reader calibrated (`models/plate_reader.md`): 99 % of the readable
    /// residents are admitted, no stranger is in 4,434 tries, and none would be if the register
    /// held the very number that the reader confuses theirs with (with 2 nats that happens
    /// twice). The reader has seen most of these pictures while it learnt, so other pictures will
    /// do worse (`menshen eval decision` measures it; `docs/bars.md`): calibrate on a site's own. They are the margins of the uncalibrated reader (2.5,
    /// 2.5, 3) divided by its temperature, 0.689: the same decisions in other units.
    fn default() -> Self {
        Self {
            over_stranger: Score(3717),
            over_runner_up: Score(3717),
            over_registered: Score(4454),
            least_score: Score(-3 * 1024),
            refuse_after: 3,
        }
    }
}

impl Margins {
    /// The margins by their names, as verdicts carry them.
    pub(crate) fn by_name(&self) -> BTreeMap<String, i64> {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else {
            return BTreeMap::new();
        };
        let numbers = fields
            .into_iter()
            .filter_map(|(name, v)| Some((name, v.as_i64()?)));
        numbers.collect()
    }

    /// The margins that a verdict carries; `None` if they are those of another program.
    pub fn from_names(names: &BTreeMap<String, i64>) -> Option<Self> {
        let fields = names
            .iter()
            .map(|(name, &n)| (name.clone(), Value::from(n)));
        let margins: Self = serde_json::from_value(Value::Object(fields.collect())).ok()?;
        (margins.by_name() == *names).then_some(margins)
    }
}

/// How well a sighting is explained: by the best registered plate, by the second, and by the best
/// plate that is not registered. None where there is no such plate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scores {
    /// The best registered plate's.
    pub registered: Option<Score>,
    /// The second registered plate's.
    pub runner_up: Option<Score>,
    /// The best stranger's.
    pub stranger: Option<Score>,
}

/// Which hypothesis wins by the margins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explained {
    /// The best registered plate.
    Registered,
    /// The best stranger.
    Stranger,
    /// None clearly.
    Unclear,
}

impl Margins {
    /// Which hypothesis wins. This is all of a decision that the margins have a part in, so that
    /// many margins can be tried on one sighting.
    pub fn explain(&self, scores: Scores) -> Explained {
        let wins = |a: Score, b: Option<Score>, margin: Score| {
            a >= self.least_score && b.is_none_or(|b| a.0.saturating_sub(b.0) >= margin.0)
        };
        let Some(stranger) = scores.stranger else {
            // Without a stranger to compare with nothing was shown, so nothing is won.
            return Explained::Unclear;
        };
        let registered = scores.registered.is_some_and(|r| {
            wins(r, Some(stranger), self.over_stranger)
                && wins(r, scores.runner_up, self.over_runner_up)
        });
        if registered {
            Explained::Registered
        } else if wins(stranger, scores.registered, self.over_registered) {
            Explained::Stranger
        } else {
            Explained::Unclear
        }
    }
}

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct PolicyInput<'a> {
    /// What was seen of the vehicle's plate; none if no plate was found.
    pub sighting: Option<&'a Sighting>,
    /// The register; none if it could not be read.
    pub registry: Option<&'a RegistryView>,
    /// The alphabet of the sighting's reader.
    pub alphabet: &'a Alphabet,
    /// Which way the lane leads.
    pub direction: Direction,
    /// The date at the site; none while the clock is not trusted.
    pub today: Option<Date>,
    /// Whether a verdict is due now, however unclear.
    pub final_look: bool,
    /// By how much a hypothesis must win.
    pub margins: &'a Margins,
}

/// Decides, or says with `None` that it is not clear yet and another look may help. On the
/// final look there always is a verdict.
pub fn decide(input: &PolicyInput<'_>) -> Option<Verdict> {
    let fits = |s: &&Sighting| s.matrix.classes() == input.alphabet.classes();
    match input.sighting.filter(fits) {
        Some(sighting) => decide_sighting(input, sighting),
        // A sighting over another alphabet says as little as none.
        None => input.final_look.then(|| {
            let evidence = Evidence {
                registry_version: input.registry.map_or(0, RegistryView::version),
                ..Evidence::default()
            };
            Verdict::new(or_exit(input, Reason::Unread), None, evidence)
        }),
    }
}

/// Nobody is locked in: what does not admit by itself opens the exit.
fn or_exit(input: &PolicyInput<'_>, reason: Reason) -> Reason {
    match input.direction {
        Direction::Entry => reason,
        Direction::Exit => Reason::ExitOpen,
    }
}

fn decide_sighting(input: &PolicyInput<'_>, sighting: &Sighting) -> Option<Verdict> {
    let margins = input.margins;
    let matrix = &sighting.matrix;
    let [registered, runner_up] = input
        .registry
        .map_or([None, None], |r| r.best_two(sighting, input.alphabet));
    let stranger = matrix.best_stranger(input.alphabet, |number| {
        input.registry.is_some_and(|r| r.contains(number))
    });

    let stranger = stranger.map(|s| Scored {
        plate: s.number,
        score: s.score,
    });
    let scored = |ranked: Ranked<'_>| Scored {
        plate: ranked.vehicle.plate.clone(),
        score: ranked.score,
    };
    let explained = margins.explain(Scores {
        registered: registered.map(|r| r.score),
        runner_up: runner_up.map(|r| r.score),
        stranger: stranger.as_ref().map(|s| s.score),
    });

    let verdict = |reason: Reason, plate: Option<&PlateNumber>| {
        let evidence = Evidence {
            registered: registered.map(scored),
            runner_up: runner_up.map(scored),
            stranger: stranger.clone(),
            kind: sighting.kind,
            readings: sighting.readings,
            matrix: hex::encode(matrix.to_bytes()),
            registry_version: input.registry.map_or(0, RegistryView::version),
            pass: None,
            circumstances: None,
        };
        Verdict::new(reason, plate.cloned(), evidence)
    };

    if let (Explained::Registered, Some(winner)) = (explained, registered) {
        let reason = match (winner.vehicle.valid_until, input.today) {
            (Some(_), None) => or_exit(input, Reason::ClockUntrusted),
            (Some(last), Some(today)) if today > last => or_exit(input, Reason::Expired),
            (None, _) | (Some(_), Some(_)) => Reason::Registered,
        };
        return Some(verdict(reason, Some(&winner.vehicle.plate)));
    }
    if let (Explained::Stranger, Some(stranger)) = (explained, &stranger) {
        let unknown = match input.registry {
            Some(_) => Reason::NotRegistered,
            None => Reason::RegistryUnavailable,
        };
        let settled = sighting.readings >= margins.refuse_after;
        return (settled || input.final_look)
            .then(|| verdict(or_exit(input, unknown), Some(&stranger.plate)));
    }
    if !input.final_look {
        return None;
    }
    let best = registered
        .map(scored)
        .into_iter()
        .chain(stranger.clone())
        .max_by_key(|s| s.score)
        .filter(|s| s.score >= margins.least_score);
    let reason = match (&best, input.registry) {
        (_, None) => Reason::RegistryUnavailable,
        (Some(_), Some(_)) => Reason::Ambiguous,
        (None, Some(_)) => Reason::UnclearPicture,
    };
    Some(verdict(
        or_exit(input, reason),
        best.as_ref().map(|s| &s.plate),
    ))
}
