//! Every plate shown to every register, by every method, and counted. Pure.
//!
//! ```text
//! samples ─┬─ what explains each picture, which numbers are like its text ─┐
//! registers┘                                                               ├─ outcomes ─► counts
//! methods ─────────────────────────────────────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use access::policy::Scores;
use access::registry::{RegistryView, Vehicle};
use domain::reading::{Candidate, Matrix, Quad, Score};
use domain::{Alphabet, PlateNumber, Sighting};
use serde::{Deserialize, Serialize};

use super::matrices::Sample;
use super::method::{Alike, Evidence, Method, Outcome};
use super::register::{Dice, Register, neighbour};

/// Valid numbers of each picture that are kept, best first. The best stranger is nearly always
/// among them.
const KEPT: usize = 16;

/// Who stands at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Somebody registered.
    Resident,
    /// Somebody who is not.
    Stranger,
    /// The same, with a number in the register that differs in one random character.
    Neighbour,
    /// The same, with the number in the register that the reader takes most easily for theirs.
    RunnerUp,
}

impl Role {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [
        Self::Resident,
        Self::Stranger,
        Self::Neighbour,
        Self::RunnerUp,
    ];

    /// The name for machines.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Resident => "residents",
            Self::Stranger => "strangers",
            Self::Neighbour => "neighbours",
            Self::RunnerUp => "runner-ups",
        }
    }
}

/// How often which outcome was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcomes {
    /// Admitted under the vehicle's own number.
    pub(super) own: u64,
    /// Admitted under another.
    pub(super) another: u64,
    /// The guard was asked.
    pub(super) asked: u64,
    /// Refused.
    pub(super) refused: u64,
}

impl Outcomes {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Own => self.own += 1,
            Outcome::Another => self.another += 1,
            Outcome::Asked => self.asked += 1,
            Outcome::Refused => self.refused += 1,
        }
    }

    /// Counts what was counted elsewhere.
    #[cfg(feature = "demo")]
    pub(super) fn take_in(&mut self, other: Self) {
        self.own += other.own;
        self.another += other.another;
        self.asked += other.asked;
        self.refused += other.refused;
    }

    /// How often it was tried.
    pub(super) fn tries(&self) -> u64 {
        self.own + self.another + self.asked + self.refused
    }
}

/// The plates of one group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Counts {
    /// For each method, for each role.
    pub(super) outcomes: Vec<[Outcomes; Role::ALL.len()]>,
    /// For each role the distinct plates that were tried.
    pub(super) plates: [BTreeSet<PlateNumber>; Role::ALL.len()],
}

/// A stranger who was let in by the first method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Admission {
    /// As whom he was tried.
    pub(super) role: Role,
    /// Which sample.
    pub(super) sample: usize,
    /// The number he was let in under.
    pub(super) taken_for: PlateNumber,
}

/// Everything that was counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tried {
    /// For each group.
    pub(super) counts: Vec<Counts>,
    /// Who was let in by the first method, and how often.
    pub(super) admissions: BTreeMap<Admission, u64>,
}

/// One plate as every method needs it.
struct Shown<'a> {
    sample: &'a Sample,
    sighting: Option<Sighting>,
    /// The best valid numbers.
    best: Vec<Candidate>,
    /// Numbers of any register that are like the likeliest text, the nearest first.
    alike: Vec<Alike>,
}

impl<'a> Shown<'a> {
    fn new(sample: &'a Sample, alphabet: &Alphabet, numbers: &BTreeSet<&PlateNumber>) -> Self {
        let matrix = sample.matrix(alphabet);
        let best: Vec<Candidate> = matrix
            .as_ref()
            .map(|m| m.valid_numbers(alphabet).take(KEPT).collect())
            .unwrap_or_default();
        let mut alike: Vec<Alike> = match best.first() {
            Some(first) => numbers
                .iter()
                .filter_map(|number| Alike::of(first.number.as_str(), number))
                .collect(),
            None => Vec::new(),
        };
        alike.sort_by(|a, b| a.order().cmp(&b.order()));
        Self {
            sample,
            sighting: matrix.map(sighting),
            best,
            alike,
        }
    }

    /// The number that the reader takes most easily for this one.
    fn runner_up(&self) -> Option<&PlateNumber> {
        let other = self.best.iter().find(|c| c.number != self.sample.number);
        other.map(|c| &c.number)
    }

    /// What the methods have to go by, with the register and one number more.
    fn evidence(
        &self,
        register: &Register,
        view: &RegistryView,
        alphabet: &Alphabet,
        more: Option<&PlateNumber>,
    ) -> Evidence {
        let Some(sighting) = &self.sighting else {
            return Evidence::default();
        };
        let more = more.filter(|n| !register.numbers.contains(*n));
        let is_registered = |n: &PlateNumber| register.numbers.contains(n) || more == Some(n);
        let two = view.best_two(sighting, alphabet);
        let mut best: Vec<(Score, &PlateNumber)> = two
            .iter()
            .flatten()
            .map(|ranked| (ranked.score, &ranked.vehicle.plate))
            .collect();
        if let Some(number) = more
            && let Some(score) = sighting.matrix.score(number, alphabet)
        {
            best.push((score, number));
            // As the register ranks them: of equal ones the first by plate.
            best.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        }
        let kept = self.best.iter().find(|c| !is_registered(&c.number));
        let stranger = kept.map(|candidate| candidate.score).or_else(|| {
            let found = sighting.matrix.best_stranger(alphabet, is_registered);
            found.map(|c| c.score)
        });
        let mut alike: Vec<Alike> = self
            .alike
            .iter()
            .filter(|a| register.numbers.contains(&a.number))
            .cloned()
            .collect();
        let text = self.best.first().map(|c| c.number.as_str());
        alike.extend(text.and_then(|text| Alike::of(text, more?)));
        alike.sort_by(|a, b| a.order().cmp(&b.order()));
        Evidence {
            scores: Some(Scores {
                registered: best.first().map(|b| b.0),
                runner_up: best.get(1).map(|b| b.0),
                stranger,
            }),
            best: best.first().map(|b| b.1.clone()),
            alike,
        }
    }
}

/// A sighting of one reading.
fn sighting(matrix: Matrix) -> Sighting {
    Sighting {
        matrix,
        kind: None,
        readings: 1,
        quad: Quad([(0.0, 0.0); 4]),
    }
}

/// What is tried.
pub(super) struct Trial<'a> {
    /// The plates.
    pub(super) samples: &'a [Sample],
    /// For each plate the groups it belongs to.
    pub(super) groups: &'a [Vec<usize>],
    /// How many groups there are.
    pub(super) group_count: usize,
    /// The characters of the matrices' classes.
    pub(super) alphabet: &'a Alphabet,
    /// The registers.
    pub(super) registers: &'a [Register],
    /// The ways to decide.
    pub(super) methods: &'a [Method],
    /// For the random neighbours.
    pub(super) seed: u64,
}

impl Trial<'_> {
    /// Shows every plate to every register and counts; `step` is called after each register.
    pub(super) fn run(&self, mut step: impl FnMut()) -> Tried {
        let numbers: BTreeSet<&PlateNumber> = self
            .registers
            .iter()
            .flat_map(|r| r.numbers.iter())
            .collect();
        let shown: Vec<Shown<'_>> = self
            .samples
            .iter()
            .map(|sample| Shown::new(sample, self.alphabet, &numbers))
            .collect();
        let none = Counts {
            outcomes: vec![Default::default(); self.methods.len()],
            ..Counts::default()
        };
        let mut tried = Tried {
            counts: vec![none; self.group_count],
            admissions: BTreeMap::new(),
        };
        for (register, throw) in self.registers.iter().zip(0..) {
            // Not the throws that drew the registers.
            let mut dice = Dice::new(!self.seed, throw);
            let vehicles = register.numbers.iter().cloned().map(Vehicle::new);
            let view = RegistryView::new(1, vehicles.collect());
            for (at, plate) in shown.iter().enumerate() {
                let number = &plate.sample.number;
                let evidence = |more: Option<&PlateNumber>| {
                    plate.evidence(register, &view, self.alphabet, more)
                };
                if register.numbers.contains(number) {
                    self.count(&mut tried, at, Role::Resident, &evidence(None));
                    continue;
                }
                self.count(&mut tried, at, Role::Stranger, &evidence(None));
                if let Some(near) = neighbour(number, &mut dice) {
                    self.count(&mut tried, at, Role::Neighbour, &evidence(Some(&near)));
                }
                // A plate that was not found has no runner-up; it is refused all the same.
                let near = plate.runner_up();
                self.count(&mut tried, at, Role::RunnerUp, &evidence(near));
            }
            step();
        }
        tried
    }

    fn count(&self, tried: &mut Tried, at: usize, role: Role, evidence: &Evidence) {
        let number = &self.samples[at].number;
        for (place, method) in self.methods.iter().enumerate() {
            let outcome = evidence.outcome(*method, number);
            for &group in &self.groups[at] {
                tried.counts[group].outcomes[place][role as usize].add(outcome);
            }
            if place == 0
                && role != Role::Resident
                && outcome == Outcome::Another
                && let Some(taken_for) = evidence.best.clone()
            {
                let admission = Admission {
                    role,
                    sample: at,
                    taken_for,
                };
                *tried.admissions.entry(admission).or_default() += 1;
            }
        }
        for &group in &self.groups[at] {
            let plates = &mut tried.counts[group].plates[role as usize];
            if !plates.contains(number) {
                plates.insert(number.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use access::Margins;
    use access::policy::{PolicyInput, decide};
    use domain::reading::{LogProb, SLOTS};
    use domain::{Decision, Direction};
    use proptest::prelude::*;

    use super::super::register::draw;
    use super::super::register::tests::plates;
    use super::*;

    fn alphabet() -> Alphabet {
        Alphabet::new("苏浙EAB0123456789").unwrap()
    }

    /// A picture of `number`, with another character in one place at this part of certainty.
    fn sample(number: &PlateNumber, place: usize, other: usize, doubt: f32) -> Sample {
        let alphabet = alphabet();
        let mut bytes = Vec::new();
        for slot in 0..SLOTS {
            let shown = number.as_str().chars().nth(slot);
            let shown = shown.map_or(alphabet.blank(), |c| alphabet.class(c).unwrap());
            for class in 0..alphabet.classes() {
                let mut p = if class == shown { 1.0 } else { 1e-5 };
                if slot == place {
                    p = if class == other {
                        doubt.max(1e-5)
                    } else {
                        p * (1.0 - doubt)
                    };
                }
                bytes.extend(LogProb::from_nats(f32::ln(p)).steps().to_le_bytes());
            }
        }
        Sample {
            line: 1,
            path: String::new(),
            number: number.clone(),
            kind: None,
            luminance: 100.0,
            fields: BTreeMap::new(),
            matrix: Some(bytes),
        }
    }

    fn methods() -> Vec<Method> {
        let mut methods = vec![Method::Margins(Margins::default())];
        methods.extend(Method::OTHERS);
        methods
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_counts_add_up_and_wider_methods_admit_more(
            doubts in prop::collection::vec((0_usize..7, 0_usize..16, 0.0_f32..1.0), 2..24),
            size in 1_usize..20,
            seed: u64,
        ) {
            let numbers = plates(doubts.len());
            let mut samples: Vec<Sample> = numbers
                .iter()
                .zip(&doubts)
                .map(|(n, &(place, other, doubt))| sample(n, place, other, doubt))
                .collect();
            samples[0].matrix = None;
            let registers: Vec<Register> = (0..3)
                .map(|throw| draw(&numbers, size, &mut Dice::new(seed, throw)))
                .collect();
            // Everybody is in the first group and in one of the two others.
            let groups: Vec<Vec<usize>> = (0..samples.len()).map(|i| vec![0, 1 + i % 2]).collect();
            let methods = methods();
            let mut steps = 0;
            let tried = Trial {
                samples: &samples,
                groups: &groups,
                group_count: 3,
                alphabet: &alphabet(),
                registers: &registers,
                methods: &methods,
                seed,
            }
            .run(|| steps += 1);
            prop_assert_eq!(steps, 3);
            let [all, odd, even] = &tried.counts[..] else { panic!() };
            for (place, roles) in all.outcomes.iter().enumerate() {
                let tries: Vec<u64> = roles.iter().map(Outcomes::tries).collect();
                prop_assert_eq!(tries[0] + tries[1], 3 * samples.len() as u64);
                prop_assert_eq!(tries[1], tries[2]);
                prop_assert_eq!(tries[1], tries[3]);
                prop_assert!(roles[1..].iter().all(|r| r.own == 0));
                for (role, tries) in tries.iter().enumerate() {
                    let parts = odd.outcomes[place][role].tries() + even.outcomes[place][role].tries();
                    prop_assert_eq!(*tries, parts);
                }
            }
            for role in 0..4 {
                let admitted = |place: usize| {
                    let o = all.outcomes[place][role];
                    (o.own, o.own + o.another)
                };
                let (exact, one, two, folded) = (admitted(1), admitted(2), admitted(3), admitted(4));
                prop_assert!(exact.0 <= one.0 && one.0 <= two.0 && exact.0 <= folded.0);
                prop_assert!(exact.1 <= one.1 && one.1 <= two.1 && exact.1 <= folded.1);
                let parts: BTreeSet<_> = odd.plates[role].union(&even.plates[role]).collect();
                prop_assert_eq!(parts.len(), all.plates[role].len());
            }
            let let_in: u64 = tried.admissions.values().sum();
            let counted: u64 = all.outcomes[0][1..].iter().map(|o| o.another).sum();
            prop_assert_eq!(let_in, counted);
        }

        #[test]
        fn a_number_more_is_weighed_as_the_gate_would_weigh_the_whole_register(
            (place, other, doubt) in (0_usize..7, 0_usize..16, 0.0_f32..1.0),
            at in 0_usize..20,
            seed: u64,
        ) {
            let alphabet = alphabet();
            let numbers = plates(20);
            let shown_sample = sample(&numbers[at], place, other, doubt);
            let mut dice = Dice::new(seed, 0);
            let mut register = draw(&numbers, 10, &mut dice);
            let near = neighbour(&numbers[at], &mut dice).unwrap();
            let known: BTreeSet<&PlateNumber> = register.numbers.iter().collect();
            let shown = Shown::new(&shown_sample, &alphabet, &known);
            let view = |register: &Register| {
                RegistryView::new(1, register.numbers.iter().cloned().map(Vehicle::new).collect())
            };
            let margins = Margins::default();
            for more in [None, Some(&near), shown.runner_up()] {
                let evidence = shown.evidence(&register, &view(&register), &alphabet, more);
                let outcome = evidence.outcome(Method::Margins(margins), &numbers[at]);
                let mut whole = register.clone();
                whole.numbers.extend(more.cloned());
                let whole = view(&whole);
                let verdict = decide(&PolicyInput {
                    sighting: shown.sighting.as_ref(),
                    registry: Some(&whole),
                    alphabet: &alphabet,
                    direction: Direction::Entry,
                    today: None,
                    final_look: true,
                    margins: &margins,
                })
                .unwrap();
                let expected = match verdict.decision {
                    Decision::Admit if verdict.plate.as_ref() == Some(&numbers[at]) => Outcome::Own,
                    Decision::Admit => Outcome::Another,
                    Decision::AskGuard => Outcome::Asked,
                    Decision::Refuse => Outcome::Refused,
                };
                prop_assert_eq!(outcome, expected);
            }
            register.numbers.clear();
            let none = shown.evidence(&register, &view(&register), &alphabet, None);
            prop_assert_eq!(none.best, None);
        }
    }
}
