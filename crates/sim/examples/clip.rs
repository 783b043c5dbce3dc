//! Writes the street as PPM frames to standard output, 10 a second of its time, for a video
//! encoder: `cargo run -p sim --example clip -- [SEED] [SECONDS] | ffmpeg -f image2pipe -c:v ppm
//! -framerate 10 -i - clip.mp4`.
//!
//! The boom of the clip opens for every other vehicle. The plates, in order, go to standard
//! error.

use std::io::Write as _;
use std::time::Duration;

use sim::boom::{Boom, Timing};
use sim::street::{Painter, Script, Street};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let seed = args.next().map_or(Ok(1), |s| s.parse())?;
    let seconds: f32 = args.next().map_or(Ok(f32::INFINITY), |s| s.parse())?;
    let script = Script::generate(seed, jiff::civil::date(2026, 3, 1));
    let mut painter = Painter::new(&script);
    for vehicle in &script.vehicles {
        eprintln!("{}", vehicle.plate);
    }
    let mut street = Street::new(script);
    let mut boom = Boom::new(Timing::default());
    let frame_time = Duration::from_millis(100);
    let mut out = std::io::stdout().lock();
    while !street.finished() && street.now().as_secs_f32() < seconds {
        street.step(frame_time, boom.open_fraction());
        let view = street.view();
        boom.input(view.car.is_some_and(|c| c.vehicle % 2 == 0 && c.braking));
        boom.step(frame_time, street.safety_loop());
        out.write_all(&painter.paint(&view).to_ppm())?;
    }
    Ok(())
}
