//! The bar on latency: from a frame's last byte read to the relay's write, on a plate that is
//! clear at once, with the daemon on one core, the broker away and the disk busy.
//!
//! `cargo bench -p house --bench latency` runs 60 trials; `MENSHEN_TRIALS=1000` the long form.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use house::{Camera, EMPTY, Failure, Gate, Plan, Scene, Site, free_port, wait_for};

/// The bar.
const P99_MS: f64 = 60.0;

fn trials() -> usize {
    std::env::var("MENSHEN_TRIALS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60)
}

fn run() -> Result<bool, Failure> {
    let scene = Scene::new(1);
    let site = Site::new(&Plan {
        // Nobody listens there.
        port: Some(free_port()?),
        barrier: "relay = SIMULATED\npulse = \"200ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"500ms\"",
        camera: "",
    })?;
    site.register(scene.plate(0))?;
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone())?;
    let gate = Gate::start_with(&site, &["taskset", "-c", "0"])?;
    let busy = Arc::new(AtomicBool::new(true));
    let writer = {
        let (busy, path) = (Arc::clone(&busy), site.path("busy"));
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut file = std::fs::File::create(path)?;
            let block = vec![0x5a; 1 << 18];
            // Over and over the same 64 MiB: an hour of it must not fill the disk.
            let mut blocks = (0..256).cycle();
            while busy.load(Ordering::Relaxed) {
                if blocks.next() == Some(0) {
                    file.seek(SeekFrom::Start(0))?;
                }
                file.write_all(&block)?;
                file.sync_data()?;
            }
            Ok(())
        })
    };
    let mut opened = 0;
    for _ in 0..trials() {
        camera.show(1);
        if !wait_for(Duration::from_secs(5), || times(&gate).len() > opened) {
            let log = gate.log();
            let last = log[log.len().saturating_sub(40)..].join("\n");
            return Err(format!("no opening; the log ends:\n{last}").into());
        }
        opened = times(&gate).len();
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_secs(1));
    }
    busy.store(false, Ordering::Relaxed);
    if let Ok(Err(e)) = writer.join() {
        return Err(e.into());
    }
    let mut ms = times(&gate);
    ms.sort_by(f64::total_cmp);
    let at = |p: f64| ms[((ms.len() - 1) as f64 * p).round() as usize];
    println!(
        "BAR frame to relay, ms over {} trials: min {:.1}, p50 {:.1}, p90 {:.1}, p99 {:.1}, max {:.1}",
        ms.len(),
        at(0.0),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    for stage in ["waited_us=", "detect_us=", "read_us="] {
        let mut ms = figures(&gate, stage);
        ms.sort_by(f64::total_cmp);
        let at = |p: f64| ms[((ms.len() - 1) as f64 * p).round() as usize];
        println!(
            "  of which {stage:10} p50 {:.1}, p90 {:.1}, p99 {:.1} ms",
            at(0.5),
            at(0.9),
            at(0.99)
        );
    }
    // Others who use the machine lengthen every figure; this says whether there were any.
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load of the machine at the end: {}", load.trim());
    }
    let bucket = |t: f64| (t / 5.0) as usize * 5;
    for from in (bucket(at(0.0))..=bucket(at(1.0))).step_by(5) {
        let count = ms.iter().filter(|t| bucket(**t) == from).count();
        if count > 0 {
            println!(
                "{from:4} to {:4} ms {count:5} {}",
                from + 5,
                "#".repeat((count * 60).div_ceil(ms.len()))
            );
        }
    }
    Ok(at(0.99) <= P99_MS)
}

/// From frame to relay by the daemon's own measurement, in milliseconds.
fn times(gate: &Gate) -> Vec<f64> {
    figures(gate, "took_us=")
}

/// One figure of each opening, from the daemon's log, in milliseconds.
fn figures(gate: &Gate, name: &str) -> Vec<f64> {
    gate.log()
        .iter()
        .filter_map(|line| {
            line.split(name)
                .nth(1)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .map(|us: f64| us / 1000.0)
        .collect()
}

fn main() -> ExitCode {
    // `cargo test --benches` asks whether it runs at all.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("latency: {e}");
            ExitCode::FAILURE
        }
    }
}
