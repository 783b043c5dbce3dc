//! What the decision's margins cost and catch, measured on a reader's outputs.
//!
//! `margins MATRICES LABELS [ROUNDS]`: MATRICES holds one 8 x C matrix a plate, 16-bit little
//! endian in 1/1024 nat; LABELS the alphabet on its first line, then one label a line. Each
//! round registers 637 of the numbers at random and shows every plate to the gate. Strangers
//! meet two registers: that one, and the worst there can be, which holds the very number that
//! the reader takes most easily for theirs.

use std::collections::BTreeSet;
use std::error::Error;

use access::policy::{Margins, PolicyInput, decide};
use access::registry::{RegistryView, Vehicle};
use domain::reading::{Alphabet, Matrix, Quad, SLOTS, Score};
use domain::{Decision, Direction, PlateNumber, Reason, Sighting};

const REGISTERED: usize = 637;

/// A small generator (xorshift), so that a run repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

#[derive(Default)]
struct Count {
    residents: u32,
    readable: u32,
    admitted: u32,
    readable_admitted: u32,
    refused: u32,
    strangers: u32,
    stranger_admitted: u32,
    worst_admitted: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let matrices = std::fs::read(args.next().ok_or("MATRICES is missing")?)?;
    let labels = std::fs::read_to_string(args.next().ok_or("LABELS is missing")?)?;
    let rounds: u32 = args.next().map_or(Ok(3), |r| r.parse())?;
    let mut lines = labels.lines();
    let alphabet = Alphabet::new(lines.next().ok_or("LABELS is empty")?)?;
    let size = SLOTS * alphabet.classes() * 2;
    let plates: Vec<(PlateNumber, Sighting)> = lines
        .zip(matrices.chunks_exact(size))
        .filter_map(|(label, bytes)| {
            let sighting = Sighting {
                matrix: Matrix::from_bytes(alphabet.classes(), bytes).ok()?,
                kind: None,
                readings: 1,
                quad: Quad([(0.0, 0.0); 4]),
            };
            Some((PlateNumber::parse(label).ok()?, sighting))
        })
        .collect();
    let numbers: Vec<PlateNumber> = plates
        .iter()
        .map(|(n, _)| n.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    println!("{} pictures of {} numbers", plates.len(), numbers.len());
    println!(
        "margin least | residents admitted, of readable, refused | strangers admitted | at worst"
    );
    for margin in [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0] {
        for least in [-1.0, -2.0, -3.0, -4.0] {
            let margins = Margins {
                over_stranger: Score::from_nats(margin),
                over_runner_up: Score::from_nats(margin),
                over_registered: Score::from_nats(margin),
                least_score: Score::from_nats(least),
                ..Margins::default()
            };
            let mut count = Count::default();
            for round in 0..rounds {
                let mut dice = Dice(0x9e37_79b9 + u64::from(round));
                measure(
                    &plates, &numbers, &alphabet, &margins, &mut dice, &mut count,
                );
            }
            let share = |a: u32, b: u32| 100.0 * f64::from(a) / f64::from(b.max(1));
            println!(
                "{margin:6.1} {least:5.1} | {:6.2} % {:6.2} % {:5.2} % of {} | {} of {} | {}",
                share(count.admitted, count.residents),
                share(count.readable_admitted, count.readable),
                share(count.refused, count.residents),
                count.residents,
                count.stranger_admitted,
                count.strangers,
                count.worst_admitted,
            );
        }
    }
    Ok(())
}

fn measure(
    plates: &[(PlateNumber, Sighting)],
    numbers: &[PlateNumber],
    alphabet: &Alphabet,
    margins: &Margins,
    dice: &mut Dice,
    count: &mut Count,
) {
    let mut pool = numbers.to_vec();
    let mut registered = BTreeSet::new();
    while registered.len() < REGISTERED.min(numbers.len() / 2) {
        registered.insert(pool.swap_remove(dice.below(pool.len())));
    }
    let view = |list: &mut dyn Iterator<Item = PlateNumber>| {
        RegistryView::new(1, list.map(Vehicle::new).collect())
    };
    let register = view(&mut registered.iter().cloned());
    let ask = |register: &RegistryView, seen: &Sighting| {
        decide(&PolicyInput {
            sighting: Some(seen),
            registry: Some(register),
            alphabet,
            direction: Direction::Entry,
            today: None,
            final_look: true,
            margins,
        })
    };
    for (number, seen) in plates {
        let Some(verdict) = ask(&register, seen) else {
            continue;
        };
        let admitted = u32::from(verdict.decision == Decision::Admit);
        if registered.contains(number) {
            let first = seen.matrix.valid_numbers(alphabet).next();
            let readable = u32::from(first.is_some_and(|c| c.number == *number));
            // A resident must be admitted under the own number to count.
            let right = admitted * u32::from(verdict.plate.as_ref() == Some(number));
            count.residents += 1;
            count.readable += readable;
            count.admitted += right;
            count.readable_admitted += right * readable;
            count.refused += u32::from(verdict.reason == Reason::NotRegistered);
        } else {
            count.strangers += 1;
            count.stranger_admitted += admitted;
            let mistaken = seen.matrix.best_stranger(alphabet, |n| n == number);
            let near = view(&mut mistaken.map(|c| c.number).into_iter());
            if let Some(verdict) = ask(&near, seen) {
                count.worst_admitted += u32::from(verdict.decision == Decision::Admit);
            }
        }
    }
}
