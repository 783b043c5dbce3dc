//! Good texts, damaged: for the tests of what reads a configuration or a request.
//!
//! What is tried is written down as edits of a good text, so that a failure shrinks to the few
//! edits that matter. It is not guided by coverage, as the targets of `fuzz/` are: this crate
//! links the models, and building those instrumented takes longer than the fuzzing.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};

/// Cases between two looks at the clock.
const ROUND: u32 = 250;

/// Checks `cases` inputs, or as many as fit into `MENSHEN_FUZZ_SECONDS`, and prints how many;
/// `PROPTEST_RNG_SEED` repeats a run.
///
/// # Panics
/// If one fails, with the smallest input found that does, and the seed.
pub(crate) fn attack<S: Strategy>(
    name: &str,
    cases: u32,
    inputs: &S,
    check: impl Fn(S::Value) -> TestCaseResult,
) {
    let seconds = std::env::var("MENSHEN_FUZZ_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    let defaults = ProptestConfig::default();
    let seed = match defaults.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => rand_seed(),
    };
    println!("fuzz {name}: PROPTEST_RNG_SEED={seed}");
    let begin = Instant::now();
    let mut rounds: u32 = 0;
    while match seconds {
        Some(seconds) => begin.elapsed() < seconds,
        None => rounds * ROUND < cases,
    } {
        let mut runner = TestRunner::new(ProptestConfig {
            cases: ROUND,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(seed.wrapping_add(u64::from(rounds))),
            ..defaults.clone()
        });
        if let Err(why) = runner.run(inputs, &check) {
            panic!("fuzz {name}, PROPTEST_RNG_SEED={seed}, round {rounds}: {why}");
        }
        rounds += 1;
    }
    println!(
        "BAR fuzz {name}: {} cases in {:.0?}, no failure",
        u64::from(rounds) * u64::from(ROUND),
        begin.elapsed()
    );
}

fn rand_seed() -> u64 {
    jiff::Timestamp::now().as_nanosecond() as u64
}

/// Damage that knows nothing of what it damages.
#[derive(Debug, Clone)]
pub(crate) enum Slip {
    /// Nothing after this place.
    Cut(Index),
    /// Up to fifteen bytes go.
    Lose(Index, usize),
    /// Something comes in.
    Put(Index, Vec<u8>),
    /// Up to thirty bytes are said again in another place.
    Repeat(Index, usize, Index),
}

/// Up to so many slips.
pub(crate) fn slips(most: usize) -> impl Strategy<Value = Vec<Slip>> {
    let place = any::<Index>;
    let put = prop_oneof![
        6 => "[ -~\n“门]{1,4}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    let slip = prop_oneof![
        1 => place().prop_map(Slip::Cut),
        4 => (place(), 1_usize..16).prop_map(|(at, count)| Slip::Lose(at, count)),
        6 => (place(), put).prop_map(|(at, bytes)| Slip::Put(at, bytes)),
        4 => (place(), 1_usize..31, place()).prop_map(|(at, count, to)| Slip::Repeat(at, count, to)),
    ];
    prop::collection::vec(slip, 0..=most)
}

/// `text` after `slips`.
pub(crate) fn slipped(text: &str, slips: &[Slip]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for slip in slips {
        let place = |at: &Index| at.index(bytes.len() + 1);
        let range = |at: &Index, count: &usize| place(at)..(place(at) + count).min(bytes.len());
        match slip {
            Slip::Cut(at) => bytes.truncate(place(at)),
            Slip::Lose(at, count) => drop(bytes.drain(range(at, count))),
            Slip::Put(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Slip::Repeat(at, count, to) => {
                let (again, to) = (bytes[range(at, count)].to_vec(), place(to));
                bytes.splice(to..to, again);
            }
        }
    }
    bytes
}
