//! Measures the recogniser on the real pictures of a data folder, as the models' makers did.
//!
//! ```text
//! cargo run --release -p vision --example evaluate -- --data ../shared/data [--split test] [--list] [--models FOLDER]
//! ```
//!
//! The folder holds `index.tsv` (path, kind, label, corners, split, repo, colour, ...) and the
//! pictures. A scene is exact if every labelled plate is among the texts read; a background or a
//! foreign plate is right if nothing is read. Plates with given corners are read alone, by group.
//! Every figure is printed with Wilson's 95 % interval, for the grammar's best number and for
//! the unconstrained best characters. `--list` names each scene that went wrong.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use domain::{Quad, Reading};
use vision::models::Models;
use vision::picture;
use vision::recognise::{LEAST_CONFIDENCE, Options, Recogniser, best_text, unconstrained_text};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evaluate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Right answers among tries, by group.
#[derive(Default)]
struct Tally(BTreeMap<String, [u32; 3]>);

impl Tally {
    /// Counts one try: with the grammar, without it.
    fn add(&mut self, group: &str, grammar: bool, plain: bool) {
        let counts = self.0.entry(group.to_owned()).or_default();
        counts[0] += u32::from(grammar);
        counts[1] += u32::from(plain);
        counts[2] += 1;
    }

    fn print(&self, title: &str) {
        for (group, [grammar, plain, of]) in &self.0 {
            println!(
                "{title:6} {group:38} {:38} no grammar {}",
                share(*grammar, *of),
                share(*plain, *of)
            );
        }
    }
}

/// A share with Wilson's 95 % interval.
fn share(hits: u32, of: u32) -> String {
    let (p, n, z) = (f64::from(hits) / f64::from(of), f64::from(of), 1.96);
    let d = 1.0 + z * z / n;
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    format!(
        "{:5.1} % ({hits}/{of}, {:.1} to {:.1})",
        100.0 * p,
        100.0 * ((centre - half) / d).max(0.0),
        100.0 * (centre + half) / d
    )
}

/// One picture's row of the index.
type Row = HashMap<String, String>;

fn rows(index: &Path, split: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let text = std::fs::read_to_string(index).map_err(|e| {
        format!(
            "{} cannot be read ({e}); the real pictures are not part of this repository: name their folder with --data",
            index.display()
        )
    })?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let rows = lines
        .map(|line| {
            names
                .iter()
                .zip(line.split('\t'))
                .map(|(n, v)| ((*n).to_owned(), v.to_owned()))
                .collect()
        })
        .filter(|row: &Row| row.get("split").is_some_and(|s| s == split))
        .collect();
    Ok(rows)
}

fn corners(text: &str) -> Vec<Quad> {
    text.split(';')
        .filter_map(|plate| {
            let points: Vec<(f32, f32)> = plate
                .split_whitespace()
                .filter_map(|p| {
                    let (x, y) = p.split_once(',')?;
                    Some((x.parse().ok()?, y.parse().ok()?))
                })
                .collect();
            points.try_into().ok().map(Quad)
        })
        .collect()
}

/// The texts of a reading: by grammar, and without; empty where too unsure.
fn texts(reading: &Reading, models: &Models, least: f32) -> (String, String) {
    let grammar = best_text(reading, models.alphabet())
        .filter(|t| t.confidence >= least)
        .map(|t| t.number.to_string())
        .unwrap_or_default();
    let (plain, sure) = unconstrained_text(reading, models.alphabet());
    (grammar, if sure >= least { plain } else { String::new() })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What was asked for: the data folder, the split, whether to list what went wrong, and where other
/// networks than the program's own are.
type Arguments = (PathBuf, String, bool, Option<PathBuf>);

fn arguments() -> Result<Arguments, String> {
    let (mut data, mut split, mut list, mut models) = (
        PathBuf::from("../shared/data"),
        "test".to_owned(),
        false,
        None,
    );
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--data" => data = args.next().ok_or("--data needs a folder")?.into(),
            "--split" => split = args.next().ok_or("--split needs a name")?,
            "--list" => list = true,
            "--models" => models = Some(args.next().ok_or("--models needs a folder")?.into()),
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    Ok((data, split, list, models))
}

fn run() -> Result<(), Box<dyn Error>> {
    let (data, split, list, models) = arguments()?;
    let rows = rows(&data.join("index.tsv"), &split)?;
    let models = models.map_or_else(Models::embedded, |folder| Models::load(&folder))?;
    let mut recogniser = Recogniser::new(&models, Options::default())?;
    let (mut whole, mut read) = (Tally::default(), Tally::default());
    let (mut decode_ms, mut detect_ms, mut read_ms) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let get = |key: &str| row.get(key).map_or("", String::as_str);
        let labels: Vec<&str> = get("label").split(';').collect();
        let path = data.join(get("path"));
        let start = std::time::Instant::now();
        let frame = match picture::read(&path) {
            Ok(picture) => picture.into_still()?,
            Err(e) => {
                println!("cannot use {}: {e}", path.display());
                continue;
            }
        };
        let decode = start.elapsed();
        let kind = get("kind");
        if matches!(kind, "scene" | "background" | "foreign") {
            let seen = recogniser.recognise(&frame)?;
            let (mut grammar, mut plain) = (Vec::new(), Vec::new());
            for reading in &seen.readings {
                let (g, p) = texts(reading, &models, LEAST_CONFIDENCE);
                grammar.push(g);
                plain.push(p);
            }
            let wanted: Vec<&str> = labels.iter().copied().filter(|l| !l.is_empty()).collect();
            let right = |found: &[String]| {
                if wanted.is_empty() {
                    found.iter().all(String::is_empty)
                } else {
                    wanted.iter().all(|w| found.iter().any(|f| f == w))
                }
            };
            if kind != "scene" || !wanted.is_empty() {
                whole.add(kind, right(&grammar), right(&plain));
                if list && !right(&grammar) {
                    println!("wrong  {} {wanted:?} {grammar:?}", get("path"));
                }
            }
            if kind == "scene" {
                decode_ms.push(decode);
                detect_ms.push(seen.timings.detect);
                read_ms.push(seen.timings.read);
            }
        }
        let quads = corners(get("corners"));
        let readings: Vec<Reading> = if kind == "crop" && quads.is_empty() && labels.len() == 1 {
            recogniser.read_cut(&frame)?.readings
        } else if matches!(kind, "crop" | "scene") && quads.len() == labels.len() {
            let mut list = Vec::new();
            for quad in quads {
                match recogniser.read_quad(&frame, quad, 1.0)? {
                    Some(reading) => list.push(reading),
                    None => println!("no plate has these corners: {quad:?} in {}", get("path")),
                }
            }
            list
        } else {
            continue;
        };
        for (reading, label) in readings.iter().zip(&labels) {
            let known = label.chars().all(|c| models.alphabet().class(c).is_some());
            if label.is_empty() || !known {
                continue;
            }
            let (grammar, plain) = texts(reading, &models, 0.0);
            let (g, p) = (grammar == *label, plain == *label);
            if list && !g {
                println!("misread {} {label} {grammar}", get("path"));
            }
            let colour = Some(get("colour")).filter(|colour| !colour.is_empty());
            let colour = colour.unwrap_or("not stated");
            for group in [
                "all".into(),
                kind.into(),
                get("repo").into(),
                format!("colour {colour}"),
            ] {
                read.add(group.as_str(), g, p);
            }
        }
    }
    if whole.0.is_empty() && read.0.is_empty() {
        return Err(format!("{} has no pictures of split {split:?}", data.display()).into());
    }
    read.0
        .retain(|group, counts| !group.contains('/') || counts[2] >= 100);
    whole.print("whole");
    read.print("read");
    println!(
        "median a scene, one thread: decode {:.1?}, detect {:.1?}, read {:.1?}",
        median(&mut decode_ms),
        median(&mut detect_ms),
        median(&mut read_ms)
    );
    Ok(())
}
