//! Compares the networks' answers with onnxruntime's, and says how long each takes on one thread.
//!
//! ```text
//! python models/training/compare.py          # records onnxruntime's answers, then runs this
//! cargo run --release -p vision --example check_tensors -- runs/check.npz
//! ```
//!
//! The archive holds, as numpy writes them, pictures as bytes (N x rows x columns x 3, BGR) and
//! the answers to them: `frames` and `plates`, `views` and `corners` and `plate`, `crops` and
//! `characters` and `kind`. Prints the largest difference of each answer and the median time of
//! each network, and fails if a difference is above 1e-3.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::process::ExitCode;
use std::time::Instant;

use flate2::read::DeflateDecoder;
use vision::models::manifest::{CORNERS_INPUT, FINDER_INPUTS, READER_INPUT};
use vision::models::{Answer, ModelError, Models, Runners};

/// Largest difference that passes.
const TOLERANCE: f32 = 1e-3;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("check_tensors: a difference is above {TOLERANCE}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("check_tensors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> Result<usize, String> {
    let field = bytes
        .get(at..at + length)
        .ok_or("the archive is cut short")?;
    Ok(field.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b)))
}

/// The arrays' raw values by name, from the archive's central directory.
fn arrays(zip: &[u8]) -> Result<HashMap<String, Vec<u8>>, Box<dyn Error>> {
    let end = zip
        .windows(4)
        .rposition(|w| w == b"PK\x05\x06")
        .ok_or("this is no npz archive")?;
    let mut at = number(zip, end + 16, 4)?;
    let mut arrays = HashMap::new();
    for _ in 0..number(zip, end + 10, 2)? {
        let method = number(zip, at + 10, 2)?;
        let packed = number(zip, at + 20, 4)?;
        let name_length = number(zip, at + 28, 2)?;
        let local = number(zip, at + 42, 4)?;
        let name = zip
            .get(at + 46..at + 46 + name_length)
            .ok_or("the archive is cut short")?;
        let data = local + 30 + number(zip, local + 26, 2)? + number(zip, local + 28, 2)?;
        let packed = zip
            .get(data..data + packed)
            .ok_or("the archive is cut short")?;
        let mut array = Vec::new();
        match method {
            0 => array.extend_from_slice(packed),
            8 => {
                DeflateDecoder::new(packed).read_to_end(&mut array)?;
            }
            other => return Err(format!("compression {other} is not known").into()),
        }
        // An npy file: magic, version, length of its header, header, values.
        let header = number(&array, 8, 2)?;
        array.drain(..10 + header);
        let name = String::from_utf8_lossy(name);
        arrays.insert(name.trim_end_matches(".npy").to_owned(), array);
        at += 46 + name_length + number(zip, at + 30, 2)? + number(zip, at + 32, 2)?;
    }
    Ok(arrays)
}

fn worst(found: &[f32], expected: &[u8]) -> f32 {
    if found.len() * 4 != expected.len() {
        return f32::INFINITY;
    }
    expected
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .zip(found)
        .map(|(e, f)| (e - f).abs())
        .fold(0.0, |most, d| {
            if d.is_nan() {
                f32::INFINITY
            } else {
                most.max(d)
            }
        })
}

/// One network: its pictures' name and size, its answers' names, and how it is run.
type Network = (
    &'static str,
    (usize, usize),
    &'static [&'static str],
    fn(&mut Runners, &[u8]) -> Result<Answer, ModelError>,
);

const NETWORKS: [Network; 3] = [
    ("frames", FINDER_INPUTS[0], &["plates"], |runners, rgb| {
        runners.find(FINDER_INPUTS[0], rgb)
    }),
    (
        "views",
        CORNERS_INPUT,
        &["corners", "plate"],
        Runners::corners,
    ),
    (
        "crops",
        READER_INPUT,
        &["characters", "kind"],
        Runners::read,
    ),
];

fn run() -> Result<bool, Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or("runs/check.npz".into());
    let zip = std::fs::read(&path)
        .map_err(|e| format!("{path} cannot be read ({e}); models/training/compare.py makes it"))?;
    let arrays = arrays(&zip)?;
    let array = |name: &str| arrays.get(name).ok_or(format!("{path} has no {name:?}"));
    let mut runners = Models::embedded()?.runners()?;
    let mut close = true;
    for (pictures, (rows, columns), answers, look) in NETWORKS {
        let bgr = array(pictures)?.chunks_exact(rows * columns * 3);
        if bgr.len() == 0 {
            return Err(format!("{path} has no picture in {pictures:?}").into());
        }
        let mut times = Vec::with_capacity(bgr.len());
        let mut differences = vec![0.0_f32; answers.len()];
        for (index, picture) in bgr.enumerate() {
            let rgb: Vec<u8> = picture
                .chunks_exact(3)
                .flat_map(|p| [p[2], p[1], p[0]])
                .collect();
            let start = Instant::now();
            let answer = look(&mut runners, &rgb)?;
            times.push(start.elapsed());
            for (output, (name, most)) in answers.iter().zip(&mut differences).enumerate() {
                let found = answer.values(output);
                let expected = array(name)?.chunks_exact(found.len().max(1) * 4).nth(index);
                *most = most.max(worst(found, expected.unwrap_or(&[])));
            }
        }
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1e3;
        println!(
            "{pictures:8} {} pictures, median {median:.3} ms",
            times.len()
        );
        for (name, most) in answers.iter().zip(&differences) {
            println!("  {name:12} largest difference {most:.2e}");
            close &= *most <= TOLERANCE;
        }
    }
    Ok(close)
}
