//! The valid plate numbers that best explain a matrix, best first.
//!
//! For every pattern of the grammar the places are independent, so the best number of a pattern
//! is the best allowed character of each place, and the next ones follow by exchanging one
//! character for its successor (Lawler's scheme). One heap over all patterns then yields all
//! valid numbers in order of their score.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use super::{Alphabet, Matrix, SLOTS, Score};
use crate::plate::PlateNumber;
use crate::plate::grammar::{Pattern, TABLE};

/// A plate number with its score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The number.
    pub number: PlateNumber,
    /// How well it explains the matrix.
    pub score: Score,
}

/// One node of the search: for each place the rank of its character among the allowed ones.
#[derive(PartialEq, Eq)]
struct Node {
    score: i32,
    pattern: usize,
    ranks: [u8; SLOTS],
    /// Places before this one are fixed, so that each combination is reached once.
    from: usize,
}

impl Ord for Node {
    fn cmp(&self, other: &Self) -> Ordering {
        // Ties break by pattern and ranks, so that the order is the same everywhere.
        self.score
            .cmp(&other.score)
            .then_with(|| other.pattern.cmp(&self.pattern))
            .then_with(|| other.ranks.cmp(&self.ranks))
    }
}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A pattern's allowed characters, place by place, likeliest first.
struct Choices {
    rest: i32,
    places: Vec<Vec<(char, i32)>>,
}

/// Iterator over valid plate numbers, best first; see [`Matrix::valid_numbers`].
pub struct ValidNumbers {
    choices: Vec<Choices>,
    heap: BinaryHeap<Node>,
    seen: HashSet<String>,
}

impl Matrix {
    /// All valid plate numbers in the order in which they explain this matrix, computed lazily.
    pub fn valid_numbers(&self, alphabet: &Alphabet) -> ValidNumbers {
        let choices: Vec<Choices> = TABLE
            .iter()
            .filter_map(|(pattern, _)| self.choices(pattern, alphabet))
            .collect();
        let heap = choices
            .iter()
            .enumerate()
            .map(|(pattern, c)| Node {
                score: c.rest + c.places.iter().map(|p| p[0].1).sum::<i32>(),
                pattern,
                ranks: [0; SLOTS],
                from: 0,
            })
            .collect();
        ValidNumbers {
            choices,
            heap,
            seen: HashSet::new(),
        }
    }

    /// The best valid number for which `registered` says no: the best stranger.
    ///
    /// The search looks at as many numbers as it must: at most one more than are registered.
    pub fn best_stranger(
        &self,
        alphabet: &Alphabet,
        registered: impl Fn(&PlateNumber) -> bool,
    ) -> Option<Candidate> {
        self.valid_numbers(alphabet)
            .find(|c| !registered(&c.number))
    }

    fn choices(&self, pattern: Pattern, alphabet: &Alphabet) -> Option<Choices> {
        let places: Vec<Vec<(char, i32)>> = pattern
            .iter()
            .enumerate()
            .map(|(slot, place)| {
                let row = self.slot(slot);
                let mut allowed: Vec<(char, i32)> = alphabet
                    .characters()
                    .iter()
                    .enumerate()
                    .filter(|(_, c)| place.allows(**c))
                    .map(|(class, c)| (*c, i32::from(row[class].steps())))
                    .collect();
                allowed.sort_by_key(|&(c, score)| (std::cmp::Reverse(score), c));
                allowed
            })
            .collect();
        if places.iter().any(Vec::is_empty) {
            return None;
        }
        let rest = (pattern.len()..SLOTS)
            .map(|slot| i32::from(self.slot(slot)[alphabet.blank()].steps()))
            .sum();
        Some(Choices { rest, places })
    }
}

impl Iterator for ValidNumbers {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        while let Some(node) = self.heap.pop() {
            let choices = &self.choices[node.pattern];
            for place in node.from..choices.places.len() {
                let rank = usize::from(node.ranks[place]);
                let row = &choices.places[place];
                if let Some(next) = row.get(rank + 1) {
                    let mut ranks = node.ranks;
                    ranks[place] += 1;
                    self.heap.push(Node {
                        score: node.score - row[rank].1 + next.1,
                        pattern: node.pattern,
                        ranks,
                        from: place,
                    });
                }
            }
            let text: String = choices
                .places
                .iter()
                .zip(node.ranks)
                .map(|(row, rank)| row[usize::from(rank)].0)
                .collect();
            if self.seen.insert(text.clone())
                && let Ok(number) = PlateNumber::parse(&text)
            {
                return Some(Candidate {
                    number,
                    score: Score(node.score),
                });
            }
        }
        None
    }
}
