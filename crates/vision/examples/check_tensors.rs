//! Compares the finder's and the reader's outputs with recorded ones.
//!
//! ```text
//! cargo run --release -p vision --example check_tensors -- ../shared/lab/weights/check.npz
//! ```
//!
//! The archive holds `crops` (N x 48 x 160 x 3 bytes, BGR), `characters`, `kind`, `frames`
//! (N x 288 x 512 x 3 bytes, BGR) and `plates`, as numpy writes them. Prints the largest
//! difference of each output and fails above 1e-3.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::process::ExitCode;

use flate2::read::DeflateDecoder;
use vision::models::Models;

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

fn run() -> Result<bool, Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "../shared/lab/weights/check.npz".to_owned());
    let zip = std::fs::read(&path).map_err(|e| {
        format!("{path} cannot be read ({e}); the recorded tensors are not part of this repository")
    })?;
    let arrays = arrays(&zip)?;
    let array = |name: &str| arrays.get(name).ok_or(format!("{path} has no {name:?}"));
    let rgb = |bgr: &[u8]| -> Vec<u8> {
        bgr.chunks_exact(3)
            .flat_map(|p| [p[2], p[1], p[0]])
            .collect()
    };
    let models = Models::embedded()?;
    let mut runners = models.runners()?;
    let mut differences: HashMap<&str, f32> = HashMap::new();
    let mut note = |name, found: &[f32], all: &[u8], index: usize| {
        let bytes = found.len() * 4;
        let expected = all.get(index * bytes..(index + 1) * bytes).unwrap_or(&[]);
        let most = differences.entry(name).or_insert(0.0);
        *most = most.max(worst(found, expected));
    };
    let crops = array("crops")?.chunks_exact(48 * 160 * 3);
    let frames = array("frames")?.chunks_exact(288 * 512 * 3);
    println!("{} crops, {} frames", crops.len(), frames.len());
    if crops.len() == 0 || frames.len() == 0 {
        return Err("the archive has nothing to compare with".into());
    }
    for (index, crop) in crops.enumerate() {
        let answer = runners.read(&rgb(crop))?;
        note("characters", answer.values(0), array("characters")?, index);
        note("kind", answer.values(1), array("kind")?, index);
    }
    for (index, frame) in frames.enumerate() {
        let answer = runners.find(&rgb(frame))?;
        note("plates", answer.values(0), array("plates")?, index);
    }
    for (name, most) in &differences {
        println!("{name:12} largest difference {most:.2e}");
    }
    Ok(differences.values().all(|&d| d <= TOLERANCE))
}
