//! Follows the vehicles of the demo's scenes as a lane does, without the rest of the house, and
//! says where the tracker makes more or less than one vehicle of each.
//!
//! ```text
//! cargo run --release -p vision --example follow -- [--every 100] 1 2 17
//! ```
//!
//! Each scene is painted about every so many milliseconds, from half to twice as many by chance,
//! three times with other frames, and every frame is searched and read with a lane's options. What a lane then makes of a vehicle is
//! not played: the boom opens for residents and visitors who wait before it.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use domain::Monotonic;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sim::boom::{Boom, Timing};
use sim::street::{Event, Painter, Role, Script, Street};
use vision::frame::Frame;
use vision::models::Models;
use vision::recognise::{Options, Recogniser};
use vision::tracker::{Settings, Tracker};

/// Between two moves of the street.
const MOVE: Duration = Duration::from_millis(20);
/// How often each scene is followed.
const ROUNDS: u64 = 3;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("follow: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let number = |arg: String| arg.parse::<u64>().map_err(|e| format!("{arg:?}: {e}"));
    let mut args = std::env::args().skip(1).peekable();
    let every = match args.next_if_eq("--every") {
        Some(_) => number(args.next().ok_or("--every needs milliseconds")?)?,
        None => 100,
    };
    let every = Duration::from_millis(every);
    let seeds: Vec<u64> = args.map(number).collect::<Result<_, _>>()?;
    if seeds.is_empty() {
        return Err("name the demo's scenes to follow, for example 1 2 17".into());
    }
    let models = Models::embedded()?;
    let mut recogniser = Recogniser::new(&models, Options::for_a_lane())?;
    let (mut right, mut of) = (0, 0);
    for seed in seeds {
        for round in 1..=ROUNDS {
            let mut chance = StdRng::seed_from_u64(seed << 8 | round);
            let pause = || every.mul_f32(chance.random_range(0.5..2.0));
            let visits = follow(&mut recogniser, seed, pause)?;
            for (vehicle, seen) in visits.into_iter().enumerate() {
                of += 1;
                if seen.len() == 1 {
                    right += 1;
                } else {
                    println!(
                        "scene {seed}, round {round}, vehicle {}: {seen:?}",
                        vehicle + 1
                    );
                }
            }
        }
        println!("up to scene {seed}: one vehicle of each {right} of {of}");
    }
    Ok(right == of)
}

/// For each vehicle of the script what the tracker began while it was there: when, as what.
fn follow(
    recogniser: &mut Recogniser,
    seed: u64,
    mut pause: impl FnMut() -> Duration,
) -> Result<Vec<Vec<String>>, Box<dyn Error>> {
    let script = Script::generate(seed, jiff::civil::date(2026, 11, 23));
    let mut painter = Painter::new(&script);
    let mut street = Street::new(script.clone());
    let mut boom = Boom::new(Timing::default());
    let alphabet = recogniser.models().alphabet().clone();
    let mut tracker = Tracker::new(Settings::default(), alphabet.clone());
    let mut begun = vec![Vec::new(); script.vehicles.len()];
    let mut known = BTreeSet::new();
    let mut there = 0;
    let mut due = pause();
    while !street.finished() {
        boom.step(MOVE, street.safety_loop());
        for event in street.step(MOVE, boom.open_fraction()) {
            match event {
                Event::Appeared(vehicle) => there = vehicle,
                Event::Waiting(vehicle) => {
                    let role = script.vehicles[vehicle].role;
                    boom.input(matches!(role, Role::Resident | Role::Visitor));
                }
                Event::Passed(_) => boom.input(false),
                _ => {}
            }
        }
        if street.now() < due {
            continue;
        }
        due += pause();
        let picture = painter.paint(&street.view());
        let (width, height) = (picture.width(), picture.height());
        let now = Monotonic::from_millis(street.now().as_millis() as u64);
        let wall = jiff::Timestamp::UNIX_EPOCH;
        let frame = Frame::new(picture.into_rgb(), width, height, now, wall, 0)
            .map_err(|_| "the painter gave no whole picture")?;
        let readings = recogniser.recognise(&frame)?.readings;
        for vehicle in tracker.observe(now, &readings) {
            if !known.insert(vehicle.id) {
                continue;
            }
            let mut numbers = vehicle.sighting.matrix.valid_numbers(&alphabet);
            let text = numbers
                .next()
                .map(|best| format!("{} {:.2}", best.number, best.score.probability()));
            let at = street.now().as_secs_f32();
            begun[there].push(format!("{at:.1} s {}", text.unwrap_or_default()));
        }
    }
    Ok(begun)
}
