//! The bar on the guard's button: from the contact's edge, after its debounce, to the relay's
//! edge, while recognition takes all of the one core that the daemon has.
//!
//! `cargo bench -p house --bench edge` runs 60 trials; `MENSHEN_TRIALS=1000` the long form.

use std::process::ExitCode;
use std::time::Duration;

use house::{Camera, Failure, Gate, Plan, Scene, Site, Spread, load, trials, wait_for};
use rustix::time::{ClockId, clock_gettime};

/// The bar.
const P99_MS: f64 = 10.0;
/// The button's debounce.
const DEBOUNCE_MS: f64 = 30.0;
/// More pictures than one core can look at.
const PACE: Duration = Duration::from_millis(10);

/// Milliseconds of the clock by which the relay's trace is stamped.
fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

fn run() -> Result<bool, Failure> {
    let scene = Scene::new(1);
    let site = Site::new(&Plan {
        port: None,
        barrier: "relay = SIMULATED\npulse = \"200ms\"\nrepeat_gap = \"300ms\"\nguard_button = { debounce = \"30ms\" }",
        lane: "leave_after = \"500ms\"",
        camera: "",
    })?;
    site.inputs("guard_button 0\n")?;
    let camera = Camera::start_at(&site.path("frames"), scene.pictures.clone(), PACE)?;
    let gate = Gate::start_with(&site, &["taskset", "-c", "0"])?;
    // Nobody registered it: it stands there and is read again and again.
    camera.show(1);
    std::thread::sleep(Duration::from_secs(2));
    let before = gate.cpu_time()?;
    let began = now();
    let mut ms = Vec::new();
    for trial in 0..trials(60) {
        let pressed = now();
        site.inputs("guard_button 1\n")?;
        if !wait_for(Duration::from_secs(5), || {
            site.edges().is_ok_and(|e| e.len() > trial)
        }) {
            return Err(format!("press {trial} opened nothing:\n{}", gate.log().join("\n")).into());
        }
        let edges = site.edges()?;
        ms.push(edges[trial] - pressed - DEBOUNCE_MS);
        site.inputs("guard_button 0\n")?;
        // No beat that the daemon's own could fall in with.
        std::thread::sleep(Duration::from_millis(700 + trial as u64 * 37 % 100));
    }
    let share = gate.cpu_time()?.saturating_sub(before).as_secs_f64() * 1e3 / (now() - began);
    let spread = Spread::of(ms).ok_or("no trial")?;
    println!("BAR button to relay, {spread}");
    println!(
        "the daemon had {:.0} % of its core; load of the machine {}",
        share * 100.0,
        load()
    );
    print!("{}", spread.bars(1));
    Ok(spread.at(0.99) <= P99_MS)
}

fn main() -> ExitCode {
    house::bench("edge", run)
}
