//! Writes sample frames of the street: `cargo run -p sim --example street -- OUTDIR [SEED] [N]`.
//!
//! Without `N` three frames of each vehicle: on its way, at the boom, on its way out. With it
//! every Nth frame (of 10 a second) that shows a vehicle. `frames.tsv` says what is true in
//! each: file, place in the script, plate, metres before the boom. The boom opens for every
//! other vehicle.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use sim::boom::{Boom, Timing};
use sim::street::{Event, Painter, Script, Street};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = PathBuf::from(args.next().ok_or("give the folder to write into")?);
    let seed = args.next().map_or(Ok(1), |s| s.parse())?;
    let every: Option<u32> = args.next().map(|s| s.parse()).transpose()?;
    std::fs::create_dir_all(&out)?;
    let script = Script::generate(seed, jiff::civil::date(2026, 3, 1));
    std::fs::write(out.join("registry.csv"), script.registry_csv(false))?;
    let mut painter = Painter::new(&script);
    let mut street = Street::new(script);
    let mut boom = Boom::new(Timing::default());
    let frame_time = Duration::from_millis(100);
    let mut table = String::new();
    let mut waited = Duration::ZERO;
    let mut spent = (0_u32, Duration::ZERO);
    for number in 0_u32.. {
        if street.finished() {
            break;
        }
        let mut save = false;
        for event in street.step(frame_time, boom.open_fraction()) {
            match event {
                Event::Waiting(_) => {
                    waited = street.now();
                    save = true;
                }
                Event::Appeared(_) | Event::Left(_) => {
                    println!("{:6.1} s {event:?}", street.now().as_secs_f32());
                }
                _ => {}
            }
        }
        let view = street.view();
        let inside = view
            .car
            .is_some_and(|c| c.vehicle % 2 == 0 && c.distance < 1.0);
        boom.input(inside && view.now >= waited + Duration::from_millis(400));
        boom.step(frame_time, street.safety_loop());
        let shown =
            |near: f32, far: f32| view.car.is_some_and(|c| (near..far).contains(&c.distance));
        save = match every {
            Some(n) => number % n.max(1) == 0 && shown(-0.4, 12.0),
            None => save || shown(6.0, 6.5) || shown(-1.5, -1.0),
        };
        if save {
            let began = std::time::Instant::now();
            let picture = painter.paint(&view);
            spent = (spent.0 + 1, spent.1 + began.elapsed());
            let name = format!(
                "{number:05}.{}",
                if every.is_some() { "jpg" } else { "png" }
            );
            picture.save(&out.join(&name))?;
            if let Some(car) = view.car {
                let plate = &street.script().vehicles[car.vehicle].plate;
                writeln!(
                    table,
                    "{name}\t{}\t{plate}\t{:.2}",
                    car.vehicle, car.distance
                )?;
            }
        }
    }
    std::fs::write(out.join("frames.tsv"), table)?;
    println!(
        "{} frames, {:.1} ms each to paint",
        spent.0,
        spent.1.as_secs_f64() * 1e3 / f64::from(spent.0.max(1))
    );
    Ok(())
}
