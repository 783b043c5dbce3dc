//! A simulated compound under a virtual clock and one seed.
//!
//! The real pure cores (`gate`'s barriers, debouncers and relay guards; `access`'s lanes, policy,
//! journal and ledger; `bridge`'s delivery) run a compound of three gates. Around them everything
//! is simulated, and everything can fail:
//!
//! ```text
//! traffic ─► camera, contacts ─► daemon (lane, barrier) ─► relay guard ─► pins ─► boom
//!    ▲         faults: blow        │  killed, hung, restarted    │            │
//!    └─────────────────────────────┼──────────────────────── watch ◄──────────┘
//!                                  ▼                        (invariants)
//!                                books: store that loses and tears, broker that goes away,
//!                                       committee that checks the chain
//! ```
//!
//! - [`blow`]: what can befall the compound. `traffic`: vehicles and what the camera reads.
//!   `sensor`, `motor_boom`: contacts and boom with their faults.
//! - `daemon`, `site`: one gate; what `menshen run` does in threads happens here in turn.
//! - `books`: ledger, delivery, broker, committee. `watch`: the invariants of the outputs,
//!   checked on every write and after every step. `world`: the clock, storms and calms.
//! - [`report`]: how often each blow fell and each guard intervened.
//!
//! A run is a row of worlds of at most [`WORLD`] passages, each with a seed of its own: the
//! run's seed and those after it. So any failure is found again with that world's seed alone.
//!
//! Invariant: nothing here reads a clock or a random source; the same seed gives the same steps.

pub mod blow;
mod books;
mod daemon;
mod motor_boom;
pub mod report;
mod sensor;
mod site;
mod traffic;
mod unbidden;
mod watch;
mod world;

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use blow::{Blow, Blows};
pub use books::Sabotage;
pub use report::Report;
pub use watch::Violation;

use world::World;

/// Passages of one world at the most.
pub const WORLD: u64 = 500;

/// What is to be simulated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many passages.
    pub passages: u64,
    /// The first world's seed.
    pub seed: u64,
    /// What may befall the compound.
    pub blows: Blows,
    /// How many worlds are played at the same time.
    pub threads: usize,
    /// A mistake that is built in; none but in tests.
    pub sabotage: Sabotage,
}

/// A world in which an invariant did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The world's seed.
    pub seed: u64,
    /// How many passages that world was to have.
    pub passages: u64,
    /// The step in which it failed.
    pub step: u64,
    /// Which faults were allowed, as `--faults` takes them.
    pub faults: String,
    /// What did not hold.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            passages,
            step,
            faults,
            violation,
        } = self;
        write!(
            f,
            "invariant {} does not hold: {} (seed {seed}, step {step}); to see it again: \
             menshen sim --passages {passages} --seed {seed} --faults {faults}",
            violation.invariant, violation.what
        )
    }
}

/// Plays one world.
///
/// # Errors
/// [`Failure`] with the world's seed and step.
pub fn play(
    seed: u64,
    passages: u64,
    settings: &Settings,
    told: &dyn Fn(u64),
) -> Result<Report, Failure> {
    let failure = |step, violation| Failure {
        seed,
        passages,
        step,
        faults: settings.blows.to_string(),
        violation,
    };
    let mut world =
        World::new(seed, &settings.blows, settings.sabotage).map_err(|v| failure(0, v))?;
    match world.play(passages, told) {
        Ok(()) => Ok(world.report),
        Err(violation) => Err(failure(world.steps, violation)),
    }
}

/// Plays world after world until all passages are done; `told` hears of passages as they end.
///
/// # Errors
/// The [`Failure`] with the least seed; no further world is begun after one.
pub fn run(settings: &Settings, told: &(dyn Fn(u64) + Sync)) -> Result<Report, Failure> {
    let worlds = settings.passages.div_ceil(WORLD);
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let outcome: Mutex<(Report, Option<Failure>)> = Mutex::new((Report::default(), None));
    std::thread::scope(|scope| {
        for _ in 0..settings.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let world = next.fetch_add(1, Ordering::Relaxed);
                    if world >= worlds || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let passages = WORLD.min(settings.passages - world * WORLD);
                    let seed = settings.seed.wrapping_add(world);
                    let played = play(seed, passages, settings, told);
                    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                    match played {
                        Ok(report) => outcome.0.add(&report),
                        Err(failure) => {
                            failed.store(true, Ordering::Relaxed);
                            let first = outcome.1.as_ref().is_none_or(|f| failure.seed < f.seed);
                            if first {
                                outcome.1 = Some(failure);
                            }
                        }
                    }
                }
            });
        }
    });
    let (report, failure) = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(failure) => Err(failure),
        None => Ok(report),
    }
}
