//! How long each stage takes on a 1280 x 720 frame, on one thread.
//!
//! ```text
//! cargo bench -p vision --profile release
//! ```
//!
//! Prints median and 95th percentile of each stage; the frame is a fixture with one plate.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use vision::models::Models;
use vision::picture::{self, Region};
use vision::recognise::{Options, Recogniser};

const ROUNDS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let fixture = include_bytes!("../tests/fixtures/frame.png");
    let frame = enlarged(&picture::decode(fixture)?, 1280, 720).into_still()?;
    let jpeg = picture::encode_jpeg(&frame, Region::whole(&frame), 85)?;
    let start = Instant::now();
    let models = Models::embedded()?;
    println!(
        "{:34} {:9.2?}",
        "load and optimise the models",
        start.elapsed()
    );
    let mut full = Recogniser::new(&models, Options::default())?;
    let mut once = Recogniser::new(
        &models,
        Options {
            closer_looks: 0,
            ..Options::default()
        },
    )?;
    let found = full.detect(&frame)?;
    let &(_, quad) = found.first().ok_or("the fixture's plate was not found")?;

    measure("decode 1280 x 720 JPEG", || {
        black_box(picture::decode(&jpeg)?);
        Ok(())
    })?;
    measure("detect, first look", || {
        black_box(once.detect(&frame)?);
        Ok(())
    })?;
    measure("detect, with exact corners", || {
        black_box(full.detect(&frame)?);
        Ok(())
    })?;
    measure("rectify and read one plate", || {
        black_box(full.read_quad(&frame, quad, 1.0)?);
        Ok(())
    })?;
    measure("whole: frame to readings", || {
        black_box(full.recognise(&frame)?);
        Ok(())
    })?;
    measure("encode 1280 x 720 JPEG", || {
        black_box(picture::encode_jpeg(&frame, Region::whole(&frame), 85)?);
        Ok(())
    })
}

/// Each pixel repeated to the wanted size; good enough to measure time.
fn enlarged(small: &picture::Picture, width: u32, height: u32) -> picture::Picture {
    let place =
        |at: u32, side: u32, of: u32| (u64::from(at) * u64::from(of) / u64::from(side)) as usize;
    let rgb = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let row = place(y, height, small.height) * small.width as usize;
            let at = (row + place(x, width, small.width)) * 3;
            [small.rgb[at], small.rgb[at + 1], small.rgb[at + 2]]
        })
        .collect();
    picture::Picture { rgb, width, height }
}

fn measure(
    name: &str,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..5 {
        work()?;
    }
    let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!(
        "{name:34} median {:9.2?}   p95 {:9.2?}",
        times[ROUNDS / 2],
        times[ROUNDS * 95 / 100]
    );
    Ok(())
}
