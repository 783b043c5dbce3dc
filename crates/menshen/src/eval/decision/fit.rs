//! Temperature and margins that labelled plates ask for. Pure.
//!
//! ```text
//! samples ─► temperature, by likelihood ─► tempered samples ─► trial of many margins ─► margins
//! ```

use access::Margins;
use domain::Alphabet;
use domain::reading::{SLOTS, Score};

use super::matrices::Sample;
use super::method::Method;
use super::register::Register;
use super::trial::{Counts, Outcomes, Role, Trial};
use crate::eval::statistics::{Reliability, reliability};

/// Temperatures that are looked at: their ends and how often the best is closed in on.
const TEMPERATURES: (f32, f32) = (0.25, 4.0);
const STEPS: usize = 40;
/// Margins that are tried, in quarters of a nat.
const QUARTERS: std::ops::RangeInclusive<u8> = 1..=48;

/// What the margins must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Terms {
    /// The share of strangers that may be let in although the very number that the reader takes
    /// most easily for theirs is registered. Others may not be let in at all.
    pub(super) runner_ups: f64,
    /// The share of residents that may be called strangers instead of asked about.
    pub(super) refused: f64,
}

/// Margins that were fitted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fitted {
    /// The least that keep the terms.
    pub(super) margins: Margins,
    /// Whether they keep them; if not, they are the widest that were tried.
    pub(super) kept: bool,
    /// What became of everybody with them, by their roles.
    pub(super) outcomes: [Outcomes; Role::ALL.len()],
}

/// The temperature at which the labels are likeliest; 1 if no sample has both label and matrix.
pub(super) fn temperature(samples: &[Sample], alphabet: &Alphabet) -> f32 {
    let rows = rows(samples, alphabet);
    if rows.is_empty() {
        return 1.0;
    }
    // In its inverse the cost has one valley.
    let cost = |inverse: f32| -> f64 { rows.iter().map(|row| row.cost(inverse)).sum() };
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    for _ in 0..STEPS {
        let third = (high - low) / 3.0;
        let (a, b) = (low + third, high - third);
        if cost(a) <= cost(b) {
            high = b;
        } else {
            low = a;
        }
    }
    2.0 / (low + high)
}

/// One place of one plate: what the reader says of each character, and which it is.
struct PlaceSeen {
    nats: Vec<f32>,
    is: usize,
}

impl PlaceSeen {
    /// How unlikely the label is once the log-probabilities are multiplied.
    fn cost(&self, inverse: f32) -> f64 {
        let top = self.nats.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = self
            .nats
            .iter()
            .map(|n| ((n - top) * inverse).exp())
            .sum();
        f64::from(sum.ln() - (self.nats[self.is] - top) * inverse)
    }
}

fn rows(samples: &[Sample], alphabet: &Alphabet) -> Vec<PlaceSeen> {
    let mut rows = Vec::new();
    for sample in samples {
        let Some(matrix) = sample.matrix(alphabet) else {
            continue;
        };
        let characters: Vec<char> = sample.number.as_str().chars().collect();
        for slot in 0..SLOTS {
            let is = match characters.get(slot) {
                Some(c) => alphabet.class(*c),
                None => Some(alphabet.blank()),
            };
            let nats = matrix.slot(slot).iter().map(|p| Score(i32::from(p.steps())).nats());
            rows.extend(is.map(|is| PlaceSeen {
                nats: nats.collect(),
                is,
            }));
        }
    }
    rows
}

/// The samples as they are at a temperature.
pub(super) fn tempered(samples: &[Sample], alphabet: &Alphabet, temperature: f32) -> Vec<Sample> {
    let one = |sample: &Sample| Sample {
        matrix: sample
            .matrix(alphabet)
            .map(|m| m.tempered(temperature).to_bytes()),
        ..sample.clone()
    };
    samples.iter().map(one).collect()
}

/// Whether the likeliest valid numbers are as often right as they promise.
pub(super) fn kept_promises(samples: &[Sample], alphabet: &Alphabet) -> Reliability {
    let answers = samples.iter().filter_map(|sample| {
        let best = sample.matrix(alphabet)?.valid_numbers(alphabet).next()?;
        Some((best.score.probability(), best.number == sample.number))
    });
    reliability(answers.collect())
}

/// The least margins that keep the terms, on samples at their temperature.
pub(super) fn margins(
    samples: &[Sample],
    alphabet: &Alphabet,
    registers: &[Register],
    terms: Terms,
    seed: u64,
) -> Fitted {
    let groups = vec![vec![0]; samples.len()];
    let tried = |list: &[Margins]| {
        let methods: Vec<Method> = list.iter().map(|m| Method::Margins(*m)).collect();
        let tried = Trial {
            samples,
            groups: &groups,
            group_count: 1,
            alphabet,
            registers,
            methods: &methods,
            seed,
        }
        .run(|| {});
        let all = tried.counts.into_iter().next();
        all.map_or_else(Vec::new, |counts| counts.outcomes)
    };
    let nats: Vec<Score> = QUARTERS
        .map(|q| Score::from_nats(f32::from(q) / 4.0))
        .collect();
    let leads: Vec<Margins> = nats
        .iter()
        .map(|&lead| Margins {
            over_stranger: lead,
            over_runner_up: lead,
            ..Margins::default()
        })
        .collect();
    let (lead, first) = least(&tried(&leads), |by_role| {
        let let_in = |role: Role| by_role[role as usize].another;
        let runner_ups = by_role[Role::RunnerUp as usize];
        let most = terms.runner_ups * runner_ups.tries() as f64;
        let_in(Role::Stranger) + let_in(Role::Neighbour) == 0
            && (runner_ups.another as f64) <= most
    });
    let refusing: Vec<Margins> = nats
        .iter()
        .map(|&over_registered| Margins {
            over_registered,
            ..leads[lead]
        })
        .collect();
    let outcomes = tried(&refusing);
    let (at, second) = least(&outcomes, |by_role| {
        let residents = by_role[Role::Resident as usize];
        residents.refused as f64 <= terms.refused * residents.tries() as f64
    });
    Fitted {
        margins: refusing[at],
        kept: first && second,
        outcomes: outcomes.get(at).copied().unwrap_or_default(),
    }
}

/// The first place from which on something holds to the end, or the last one if it does not there:
/// a margin that holds by luck between two that do not is none.
fn least<T>(list: &[T], holds: impl Fn(&T) -> bool) -> (usize, bool) {
    let holding = list.iter().rev().take_while(|one| holds(one)).count();
    (list.len() - holding.max(1), holding > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use domain::PlateNumber;
    use domain::reading::LogProb;

    use super::super::register::tests::plates;
    use super::super::register::{Dice, draw};
    use super::*;

    fn alphabet() -> Alphabet {
        Alphabet::new("苏浙EAB0123456789").unwrap()
    }

    /// A reader that is right about a place with probability `right` and says so, its nats then
    /// multiplied.
    fn samples(count: usize, right: f32, sharpened: f32) -> Vec<Sample> {
        let alphabet = alphabet();
        let mut dice = Dice::new(7, 0);
        let sample = |number: PlateNumber| {
            let mut nats = Vec::new();
            for slot in 0..SLOTS {
                let shown = number.as_str().chars().nth(slot);
                let shown = shown.map_or(alphabet.blank(), |c| alphabet.class(c).unwrap());
                let digit = |n: usize| alphabet.class(char::from(b'0' + n as u8)).unwrap();
                let wrong = (2..7).contains(&slot) && dice.below(1000) as f32 >= right * 1000.0;
                let read = if wrong { digit(dice.below(10)) } else { shown };
                let rest = ((1.0 - right) / 16.0).ln() * sharpened;
                let logits: Vec<f32> = (0..alphabet.classes())
                    .map(|c| if c == read { right.ln() * sharpened } else { rest })
                    .collect();
                let norm = logits.iter().map(|l| l.exp()).sum::<f32>().ln();
                nats.extend(logits.iter().map(|l| LogProb::from_nats(l - norm)));
            }
            Sample {
                line: 1,
                path: String::new(),
                number,
                kind: None,
                luminance: 100.0,
                fields: BTreeMap::new(),
                matrix: Some(nats.iter().flat_map(|p| p.steps().to_le_bytes()).collect()),
            }
        };
        plates(count).into_iter().map(sample).collect()
    }

    #[test]
    fn a_reader_that_is_too_sure_is_made_less_sure() {
        let alphabet = alphabet();
        let (honest, boasts) = (samples(400, 0.95, 1.0), samples(400, 0.95, 2.0));
        let fitted = temperature(&honest, &alphabet);
        let cooled = temperature(&boasts, &alphabet);
        assert!(cooled > 1.6 * fitted, "{fitted} {cooled}");
        let error = |samples: &[Sample]| {
            kept_promises(samples, &alphabet)
                .calibration_error
                .unwrap()
        };
        let after = tempered(&boasts, &alphabet, cooled);
        assert!(error(&after) < error(&boasts), "{} {}", error(&after), error(&boasts));
        assert!((temperature(&after, &alphabet) - 1.0).abs() < 0.05);
        assert!((temperature(&[], &alphabet) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn margins_are_the_least_that_keep_the_terms() {
        let alphabet = alphabet();
        let samples = samples(200, 0.9, 1.0);
        let numbers = plates(200);
        let registers = [draw(&numbers, 100, &mut Dice::new(1, 0))];
        let terms = |runner_ups| Terms {
            runner_ups,
            refused: 0.01,
        };
        let fit = |t| margins(&samples, &alphabet, &registers, t, 1);
        let (strict, loose) = (fit(terms(0.0)), fit(terms(0.5)));
        assert!(strict.margins.over_stranger >= loose.margins.over_stranger);
        assert_eq!(loose.margins.over_stranger, loose.margins.over_runner_up);
        for (fitted, most) in [(&strict, 0.0), (&loose, 0.5)] {
            let [residents, strangers, neighbours, runner_ups] = fitted.outcomes;
            if fitted.kept {
                assert_eq!(strangers.another + neighbours.another, 0);
                assert!(runner_ups.another as f64 <= most * runner_ups.tries() as f64);
                assert!(residents.refused as f64 <= 0.01 * residents.tries() as f64);
            }
        }
        assert_eq!(least(&[1, 3, 1, 2, 3], |n| *n > 1), (3, true));
        assert_eq!(least(&[3, 1], |n| *n > 1), (1, false));
        assert_eq!(least(&[3, 3], |n| *n > 1), (0, true));
    }
}
