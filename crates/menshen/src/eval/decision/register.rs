//! Registers drawn at random, and numbers that are one character away from others. Pure.

use std::collections::BTreeSet;

use domain::PlateNumber;
use domain::plate::grammar::{LETTERS, PROVINCES};

/// Numbers from a seed, the same on every machine (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The `throw`th sequence of a seed.
    pub(super) fn new(seed: u64, throw: u64) -> Self {
        let mut dice = Self(seed);
        Self(dice.next() ^ throw.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is above 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        list.get(self.below(list.len())).copied()
    }
}

/// A register's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Register {
    /// All of them.
    pub(super) numbers: BTreeSet<PlateNumber>,
    /// How many were made up.
    pub(super) invented: usize,
}

/// A register of `size` numbers out of `plates`, which are distinct. At most half of the plates
/// are taken, so that there are strangers as well; the rest is made up after their fashion.
pub(super) fn draw(plates: &[PlateNumber], size: usize, dice: &mut Dice) -> Register {
    /// Tries for each number; among few plates of one office the numbers run out.
    const TRIES: usize = 100;
    let mut pool: Vec<&PlateNumber> = plates.iter().collect();
    let mut numbers = BTreeSet::new();
    while numbers.len() < size.min(plates.len() / 2) {
        numbers.insert(pool.swap_remove(dice.below(pool.len())).clone());
    }
    let drawn = numbers.len();
    let known: BTreeSet<&PlateNumber> = plates.iter().collect();
    for _ in 0..TRIES * (size - drawn.min(size)) {
        if numbers.len() == size {
            break;
        }
        if let Some(number) = invent(plates, dice).filter(|n| !known.contains(n)) {
            numbers.insert(number);
        }
    }
    Register {
        invented: numbers.len() - drawn,
        numbers,
    }
}

/// A valid number with the head of one of `plates`, and digits and letters where it has them.
pub(super) fn invent(plates: &[PlateNumber], dice: &mut Dice) -> Option<PlateNumber> {
    let model = plates.get(dice.below(plates.len()))?;
    let letters: Vec<char> = LETTERS.chars().collect();
    let mut text = String::new();
    for (at, c) in model.as_str().chars().enumerate() {
        text.push(match c {
            '0'..='9' if at > 1 => char::from(b'0' + dice.below(10) as u8),
            'A'..='Z' if at > 1 => dice.one_of(&letters)?,
            other => other,
        });
    }
    PlateNumber::parse(&text).ok()
}

/// One of all valid numbers that differ from this one in one character, each as likely.
pub(super) fn neighbour(number: &PlateNumber, dice: &mut Dice) -> Option<PlateNumber> {
    /// Every number has more than a hundred neighbours among at most 600 exchanges.
    const TRIES: usize = 1000;
    let characters: Vec<char> = PROVINCES
        .chars()
        .chain(LETTERS.chars())
        .chain('0'..='9')
        .chain("O学挂警应急使领港澳".chars())
        .collect();
    let text: Vec<char> = number.as_str().chars().collect();
    (0..TRIES).find_map(|_| {
        let mut other = text.clone();
        *other.get_mut(dice.below(text.len()))? = dice.one_of(&characters)?;
        let other = PlateNumber::parse(&other.iter().collect::<String>()).ok()?;
        (other != *number).then_some(other)
    })
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    pub(in crate::eval::decision) fn plates(count: usize) -> Vec<PlateNumber> {
        (0..count)
            .map(|n| PlateNumber::parse(&format!("苏E{:05}", n * 7)).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn a_register_has_its_size_and_leaves_strangers(
            count in 1_usize..60, size in 1_usize..80, seed: u64
        ) {
            let plates = plates(count);
            let register = draw(&plates, size, &mut Dice::new(seed, 0));
            prop_assert_eq!(register.numbers.len(), size);
            let residents = plates.iter().filter(|p| register.numbers.contains(p)).count();
            prop_assert_eq!(residents, size.min(count / 2));
            prop_assert_eq!(residents + register.invented, size);
            prop_assert_eq!(&register, &draw(&plates, size, &mut Dice::new(seed, 0)));
        }

        #[test]
        fn a_neighbour_is_one_character_away(seed: u64, at in 0_usize..5) {
            let number = ["苏E12345", "浙AD12345", "粤Z1234港", "WJ苏12345", "使123456"][at];
            let number = PlateNumber::parse(number).unwrap();
            let other = neighbour(&number, &mut Dice::new(seed, 0)).unwrap();
            prop_assert_eq!(strsim::hamming(number.as_str(), other.as_str()), Ok(1));
        }
    }

    #[test]
    fn every_place_is_exchanged() {
        let number = PlateNumber::parse("苏E12345").unwrap();
        let mut dice = Dice::new(1, 0);
        let places: BTreeSet<usize> = (0..400)
            .map(|_| neighbour(&number, &mut dice).unwrap())
            .map(|other| {
                let pairs = number.as_str().chars().zip(other.as_str().chars());
                pairs.take_while(|(a, b)| a == b).count()
            })
            .collect();
        assert_eq!(places.len(), 7);
    }

    #[test]
    fn registers_differ_from_throw_to_throw_and_seed_to_seed() {
        let plates = plates(40);
        let drawn = |seed, throw| draw(&plates, 10, &mut Dice::new(seed, throw));
        assert_ne!(drawn(1, 0), drawn(1, 1));
        assert_ne!(drawn(1, 0), drawn(2, 0));
    }
}
