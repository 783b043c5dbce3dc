//! Ways to tell from a picture who may pass: Menshen's, and what others do with a text. Pure.
//!
//! The texts are compared here to show what comes of it. Nothing that decides at a gate uses this.

use std::cmp::Reverse;

use access::Margins;
use access::policy::{Explained, Scores};
use domain::PlateNumber;
use serde::Serialize;

/// Characters that folding takes for the same one.
pub(super) const FOLDED: [&str; 7] = ["0DOQ", "1IL", "2Z", "5S", "6G", "8B", "UV"];
/// The most edits that any method forgives.
const MOST_EDITS: usize = 2;

/// A way to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// By the picture's probabilities and these margins.
    Margins(Margins),
    /// The text that was read is registered.
    Exact,
    /// A registered number is at most so many edits away from the text.
    Edits(usize),
    /// A registered number is the text once characters that look alike are taken for one.
    Folded,
}

impl Method {
    /// What margins are compared with.
    pub(super) const OTHERS: [Self; 4] =
        [Self::Exact, Self::Edits(1), Self::Edits(2), Self::Folded];

    /// The name for machines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Margins(_) => "menshen",
            Self::Exact => "exact",
            Self::Edits(0 | 1) => "edit-1",
            Self::Edits(_) => "edit-2",
            Self::Folded => "folded",
        }
    }

    /// For people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Margins(_) => "Menshen 门神",
            Self::Exact => "exact text 文字相同",
            Self::Edits(0 | 1) => "edit distance 1 编辑距离 1",
            Self::Edits(_) => "edit distance 2 编辑距离 2",
            Self::Folded => "look-alikes folded 易混字符合并",
        }
    }
}

/// What the gate does, as far as the picture goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It opens for the vehicle's own number.
    Own,
    /// It opens for another's.
    Another,
    /// It asks the guard.
    Asked,
    /// It stays closed.
    Refused,
}

impl Outcome {
    /// What becomes of a vehicle with the number `own` when it is taken for `taken`.
    fn admitted(own: &PlateNumber, taken: &PlateNumber) -> Self {
        if own == taken {
            Self::Own
        } else {
            Self::Another
        }
    }
}

/// What a method has to go by: a register against one picture.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// How well it is explained; none if no plate was found.
    pub(super) scores: Option<Scores>,
    /// The registered plate that explains it best.
    pub(super) best: Option<PlateNumber>,
    /// Registered numbers that are like the text, the nearest first.
    pub(super) alike: Vec<Alike>,
}

impl Evidence {
    /// What becomes of the vehicle, whose number is `own`.
    pub(super) fn outcome(&self, method: Method, own: &PlateNumber) -> Outcome {
        let text = |takes: &dyn Fn(&Alike) -> bool| {
            let taken = self.alike.iter().find(|a| takes(a));
            taken.map_or(Outcome::Refused, |a| Outcome::admitted(own, &a.number))
        };
        match method {
            Method::Margins(margins) => {
                let explained = self.scores.map(|scores| margins.explain(scores));
                match (explained, &self.best) {
                    (Some(Explained::Registered), Some(best)) => Outcome::admitted(own, best),
                    (Some(Explained::Stranger), _) => Outcome::Refused,
                    _ => Outcome::Asked,
                }
            }
            Method::Exact => text(&|a| a.edits == 0),
            Method::Edits(most) => text(&|a| a.edits <= most),
            Method::Folded => text(&|a| a.folded),
        }
    }
}

/// A registered number that is like a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alike {
    /// The number.
    pub(super) number: PlateNumber,
    /// Characters to exchange, put in or take out.
    pub(super) edits: usize,
    /// Whether they are the same when look-alikes are.
    pub(super) folded: bool,
}

impl Alike {
    /// How a number is like a text; nothing if no method would take one for the other.
    pub(super) fn of(text: &str, number: &PlateNumber) -> Option<Self> {
        let edits = strsim::levenshtein(text, number.as_str());
        let folded = text.chars().map(fold).eq(number.as_str().chars().map(fold));
        (edits <= MOST_EDITS || folded).then(|| Self {
            number: number.clone(),
            edits,
            folded,
        })
    }

    /// The order in which numbers are taken: fewest edits, of those that look the same, then by
    /// number, as a gate does that walks its list.
    pub(super) fn order(&self) -> (usize, Reverse<bool>, &PlateNumber) {
        (self.edits, Reverse(self.folded), &self.number)
    }
}

/// The first of the characters that look like this one.
fn fold(c: char) -> char {
    let group = FOLDED.iter().find(|group| group.contains(c));
    group.and_then(|g| g.chars().next()).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use domain::reading::Score;
    use proptest::prelude::*;

    use super::*;

    fn plate(text: &str) -> PlateNumber {
        PlateNumber::parse(text).unwrap()
    }

    fn alike(text: &str, number: &str) -> Option<(usize, bool)> {
        Alike::of(text, &plate(number)).map(|a| (a.edits, a.folded))
    }

    #[test]
    fn likeness_counts_edits_and_folds_look_alikes() {
        assert_eq!(alike("苏E12345", "苏E12345"), Some((0, true)));
        assert_eq!(alike("苏E12845", "苏E12B45"), Some((1, true)));
        assert_eq!(alike("苏E12345", "苏E12346"), Some((1, false)));
        assert_eq!(alike("苏E80500", "苏EBDSQU"), None);
        assert_eq!(alike("苏E80521", "苏EBDSZL"), Some((5, true)));
        assert_eq!(
            alike("苏ED12345", "苏E12345"),
            Some((1, false)),
            "one taken out"
        );
    }

    #[test]
    fn no_character_folds_into_two_groups() {
        let mut all: Vec<char> = FOLDED.concat().chars().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn what_was_not_found_is_asked_about_or_refused() {
        let nothing = Evidence::default();
        let own = plate("苏E12345");
        let menshen = Method::Margins(Margins::default());
        assert_eq!(nothing.outcome(menshen, &own), Outcome::Asked);
        for other in Method::OTHERS {
            assert_eq!(nothing.outcome(other, &own), Outcome::Refused);
        }
    }

    fn is_admitted(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Own | Outcome::Another)
    }

    proptest! {
        #[test]
        fn a_wider_method_admits_all_that_a_narrower_one_does(
            text in "苏E[0128BDZ]{4,6}",
            numbers in prop::collection::btree_set("苏E[0128BDZ]{5}", 1..8),
        ) {
            let mut list: Vec<Alike> = numbers
                .iter()
                .filter_map(|n| Alike::of(&text, &plate(n)))
                .collect();
            list.sort_by(|a, b| a.order().cmp(&b.order()));
            let evidence = Evidence { alike: list, ..Evidence::default() };
            let own = plate(numbers.first().unwrap());
            let admits = |method| is_admitted(evidence.outcome(method, &own));
            let chain = [Method::Exact, Method::Edits(1), Method::Edits(2)];
            for pair in chain.windows(2) {
                prop_assert!(!admits(pair[0]) || admits(pair[1]));
                let own_before = evidence.outcome(pair[0], &own) == Outcome::Own;
                prop_assert!(!own_before || evidence.outcome(pair[1], &own) == Outcome::Own);
            }
            prop_assert!(!admits(Method::Exact) || admits(Method::Folded));
            prop_assert_eq!(admits(Method::Exact), numbers.contains(&text));
        }

        #[test]
        fn a_greater_margin_never_admits_more(
            (registered, runner_up, stranger) in (-9000_i32..0, -9000_i32..0, -9000_i32..0),
            (margin, more) in (-2000_i32..9000, 0_i32..5000),
        ) {
            let evidence = Evidence {
                scores: Some(Scores {
                    registered: Some(Score(registered)),
                    runner_up: Some(Score(runner_up.min(registered))),
                    stranger: Some(Score(stranger)),
                }),
                best: Some(plate("苏E12345")),
                alike: Vec::new(),
            };
            let admits = |margin| {
                let margins = Margins {
                    over_stranger: Score(margin),
                    over_runner_up: Score(margin),
                    ..Margins::default()
                };
                is_admitted(evidence.outcome(Method::Margins(margins), &plate("苏E12345")))
            };
            prop_assert!(admits(margin) || !admits(margin + more));
        }
    }
}
