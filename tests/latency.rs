//! The bar on latency: from a frame's last byte read to the relay's write, on a plate that is
//! clear at once, with the daemon on one core, the broker away and the disk busy.
//!
//! `cargo bench -p house --bench latency` runs 60 trials; `MENSHEN_TRIALS=1000` the long form.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use house::{Camera, Failure, Gate, Plan, Scene, Site, Spread, free_port, load, trials};

/// The bar.
const P99_MS: f64 = 60.0;

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
    for _ in 0..trials(60) {
        gate.lets_in(&camera)?;
    }
    busy.store(false, Ordering::Relaxed);
    if let Ok(Err(e)) = writer.join() {
        return Err(e.into());
    }
    let spread = Spread::of(gate.figures("took_us=")).ok_or("no trial")?;
    println!("BAR frame to relay, {spread}");
    for stage in ["waited_us=", "detect_us=", "read_us="] {
        if let Some(part) = Spread::of(gate.figures(stage)) {
            println!("  of which {stage:10} {part}");
        }
    }
    println!("load of the machine at the end: {}", load());
    print!("{}", spread.bars(5));
    Ok(spread.at(0.99) <= P99_MS)
}

fn main() -> ExitCode {
    house::bench("latency", run)
}
