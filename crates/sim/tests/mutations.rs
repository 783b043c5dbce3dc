//! A simulator that cannot fail is worth nothing: without any one guard it must find a violation
//! within 10,000 passages.
//!
//! `cargo test --release -p sim --features mutations --test mutations -- --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use gate::mutation::{Guard, without};
use sim::compound::{Blows, Failure, Sabotage, Settings, WORLD, play};

const PASSAGES: u64 = 10_000;

/// The first failure within the passages, on this thread alone.
fn first_failure(sabotage: Sabotage) -> Option<(u64, Failure)> {
    let settings = Settings {
        passages: PASSAGES,
        seed: 1,
        blows: Blows::all(),
        threads: 1,
        sabotage,
    };
    let worlds = PASSAGES / WORLD;
    (1..=worlds).find_map(|seed| {
        let failure = play(seed, WORLD, &settings, &|_| {}).err()?;
        Some((seed, failure))
    })
}

#[test]
fn without_any_one_guard_an_invariant_breaks() {
    let whole = first_failure(Sabotage::None);
    assert!(whole.is_none(), "with all guards: {whole:?}");
    let mut unnoticed = Vec::new();
    for guard in Guard::ALL {
        match without(Some(guard), || first_failure(Sabotage::None)) {
            Some((world, failure)) => println!("{guard:?}: world {world}, {failure}"),
            None => unnoticed.push(guard),
        }
    }
    assert!(
        unnoticed.is_empty(),
        "nobody notices the lack of {unnoticed:?}"
    );
}

#[test]
fn mistakes_around_the_guards_are_noticed_too() {
    let mut unnoticed = Vec::new();
    for sabotage in Sabotage::ALL {
        match first_failure(sabotage) {
            Some((world, failure)) => println!("{sabotage:?}: world {world}, {failure}"),
            None => unnoticed.push(sabotage),
        }
    }
    assert!(unnoticed.is_empty(), "nobody notices {unnoticed:?}");
}
