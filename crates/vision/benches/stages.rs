//! How long each stage takes on a 1280 x 720 frame, on one thread.
//!
//! ```text
//! cargo bench -p vision --profile release
//! ```
//!
//! Prints median and 95th percentile of each stage; the frame is a fixture with one plate. Then how
//! large a pass's code must be in the picture to be read.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::Monotonic;
use jiff::Timestamp;
use vision::Frame;
use vision::codes;
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
            looks_aside: false,
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
    measure("rectify and read, one look", || {
        black_box(once.read_quad(&frame, quad, 1.0)?);
        Ok(())
    })?;
    measure("rectify and read, looks aside", || {
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
    })?;
    measure("codes, none in the picture", || {
        black_box(codes::texts(&frame));
        Ok(())
    })?;
    let code = held_up(4.0, 5.0, 1)?;
    measure("codes, a pass held up", || {
        black_box(codes::texts(&code));
        Ok(())
    })?;
    for module in [1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0] {
        let mut read = 0;
        for at in 0..PLACES {
            // From upright to 12 degrees either way.
            let turned = f64::from(at) * 24.0 / f64::from(PLACES - 1) - 12.0;
            let frame = held_up(module, turned, at)?;
            read += u32::from(codes::texts(&frame) == [PASS]);
        }
        println!("a code of {module:4} pixels a module: {read} of {PLACES} read");
    }
    Ok(())
}

/// How many placements of a code are tried for each size.
const PLACES: u32 = 40;
/// As long as the code of a supplier's pass.
const PASS: &str = "MS1:7Q3VZ2AAAAFLYAAAIHCQWJOCIAAAIB3SOXVKHTXRBQRQ2BSOGMKWAPN4Y7Q6MZTTLLHSTLDLGLAZPMC3JLOKL6TMVI34S6VQPUH3DCD4HKSXM6ZSOVY2PBIPNE74FBQLYVX4CE";

/// A grey frame, 1280 x 720, with a code on white paper in it: so many pixels a module, turned by
/// so many degrees, each pixel the mean of 4 x 4 points, with the noise of a cheap sensor.
fn held_up(module: f64, turned: f64, seed: u32) -> Result<Frame, Box<dyn Error>> {
    let code = qrcodegen::QrCode::encode_text(PASS, qrcodegen::QrCodeEcc::Medium)?;
    let half = f64::from(code.size()) / 2.0;
    let (sine, cosine) = turned.to_radians().sin_cos();
    // Where the pixels' corners fall on the modules must not matter.
    let shift = f64::from(seed % 7) / 7.0;
    let tone = |x: f64, y: f64| {
        let (x, y) = ((x - 640.0 - shift) / module, (y - 360.0 - shift) / module);
        let (x, y) = (cosine * x + sine * y, cosine * y - sine * x);
        if x.abs().max(y.abs()) > half + 4.0 {
            return 120.0;
        }
        let dark = code.get_module((x + half).floor() as i32, (y + half).floor() as i32);
        if dark { 50.0 } else { 210.0 }
    };
    let mut noise = seed.wrapping_mul(2_654_435_769) | 1;
    let mut rgb = Vec::with_capacity(1280 * 720 * 3);
    for y in 0..720 {
        for x in 0..1280 {
            let points = (0..16).map(|i| {
                let (dx, dy) = (f64::from(i % 4), f64::from(i / 4));
                tone(f64::from(x) + dx / 4.0, f64::from(y) + dy / 4.0)
            });
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let grain = f64::from(noise % 25) - 12.0;
            let value = (points.sum::<f64>() / 16.0 + grain) as u8;
            rgb.extend([value; 3]);
        }
    }
    let at = Monotonic::from_millis(1);
    let frame = Frame::new(rgb, 1280, 720, at, Timestamp::UNIX_EPOCH, 0);
    frame.map_err(|_| "the frame has too few pixels".into())
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
