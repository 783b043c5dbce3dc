//! The margins that labelled plates ask for. Pure.
//!
//! ```text
//! samples, registers ─► trial of many leads ─► least lead that keeps the terms ─┐
//! margins ◄─ trial of many refusals with it, if too many residents are refused ◄┘
//! ```
//!
//! There is no temperature beside them: it would scale every lead of one plate over another alike,
//! and so do the margins.

use access::Margins;
use domain::Alphabet;
use domain::reading::Score;

use super::matrices::Sample;
use super::method::Method;
use super::register::Register;
use super::trial::{Outcomes, Role, Trial};

/// Margins that are tried, in quarters of a nat.
const QUARTERS: std::ops::RangeInclusive<u8> = 1..=48;

/// What the margins must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Terms {
    /// The share of strangers that may be let in although the very number that the reader takes
    /// most easily for theirs is registered. Others may not be let in at all.
    pub(super) runner_ups: f64,
    /// The share of residents that may be called strangers instead of asked about; as long as it is
    /// kept, the margin for that stays as it was.
    pub(super) refused: f64,
}

/// Margins that were fitted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fitted {
    /// The least that keep the terms.
    pub(super) margins: Margins,
    /// Whether they keep them; if not, they are the widest that were tried.
    pub(super) kept: bool,
    /// What became of everybody with them.
    pub(super) outcomes: ByRole,
    /// What became of everybody with the margins of before.
    pub(super) before: ByRole,
}

/// What became of everybody, by their roles.
pub(super) type ByRole = [Outcomes; Role::ALL.len()];

/// The least margins that keep the terms; `before` is what else of them stays as it is.
pub(super) fn margins(
    samples: &[Sample],
    alphabet: &Alphabet,
    registers: &[Register],
    terms: Terms,
    before: Margins,
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
            ..before
        })
        .collect();
    let with_leads = tried(&leads);
    let (lead, first) = least(&with_leads, |by_role| {
        let let_in = |role: Role| by_role[role as usize].another;
        let runner_ups = by_role[Role::RunnerUp as usize];
        let most = terms.runner_ups * runner_ups.tries() as f64;
        let_in(Role::Stranger) + let_in(Role::Neighbour) == 0 && (runner_ups.another as f64) <= most
    });
    let are_asked_about = |by_role: &ByRole| {
        let residents = by_role[Role::Resident as usize];
        residents.refused as f64 <= terms.refused * residents.tries() as f64
    };
    let fitted = |margins, second, outcomes: Option<&ByRole>| Fitted {
        margins,
        kept: first && second,
        outcomes: outcomes.copied().unwrap_or_default(),
        before: tried(&[before]).first().copied().unwrap_or_default(),
    };
    // To ask the guard too often harms nobody: pictures may widen this one, never narrow it.
    let with_least = with_leads.get(lead);
    if with_least.is_some_and(are_asked_about) {
        return fitted(leads[lead], true, with_least);
    }
    let refusing: Vec<Margins> = nats
        .iter()
        .map(|&over_registered| Margins {
            over_registered,
            ..leads[lead]
        })
        .collect();
    let outcomes = tried(&refusing);
    let (at, second) = least(&outcomes, are_asked_about);
    fitted(refusing[at], second, outcomes.get(at))
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
    use domain::reading::{LogProb, SLOTS};

    use super::super::register::tests::plates;
    use super::super::register::{Dice, draw};
    use super::*;

    fn alphabet() -> Alphabet {
        Alphabet::new("苏浙EAB0123456789").unwrap()
    }

    /// A reader that is right about a place with probability `right` and says so.
    fn samples(count: usize, right: f32) -> Vec<Sample> {
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
                let rest = ((1.0 - right) / 16.0).ln();
                let logits: Vec<f32> = (0..alphabet.classes())
                    .map(|c| if c == read { right.ln() } else { rest })
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
    fn margins_are_the_least_that_keep_the_terms() {
        let alphabet = alphabet();
        let samples = samples(200, 0.9);
        let numbers = plates(200);
        let registers = [draw(&numbers, 100, &mut Dice::new(1, 0))];
        let terms = |runner_ups| Terms {
            runner_ups,
            refused: 0.01,
        };
        let fit = |t| margins(&samples, &alphabet, &registers, t, Margins::default(), 1);
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
