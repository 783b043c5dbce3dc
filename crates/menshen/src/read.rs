//! `menshen read`: plates in picture files, for people and for programs.
//!
//! ```text
//! files and folders ──► list ──► decode ──► recognise ──► table, JSON lines, drawn pictures
//! ```

mod draw;

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::reading::Matrix;
use domain::{Alphabet, PlateKind, Quad, Reading};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vision::models::{ModelError, Models};
use vision::picture;
use vision::recognise::{Options, PlateText, Recogniser, best_text};

use crate::outcome;

/// Arguments of `menshen read`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples / 例:
  menshen read car.jpg                     a table / 列表
  menshen read --json *.jpg > plates.jsonl one JSON object a picture and line / 每图一行 JSON
  menshen read --draw seen/ pictures/      pictures with quad, text and certainty / 标注图
  menshen read --cut plate.png             the picture is the plate itself / 已裁好的车牌

A certainty under 30 % is no plate and is not shown. Exit status: 0 done, 1 a picture could not
be read (the others still were), 2 wrong usage.")]
pub(crate) struct ReadArgs {
    /// One JSON object a picture and line: file, width, height, plates (text, kind, confidence,
    /// quad), ms / 每图一行 JSON
    #[arg(long)]
    json: bool,
    /// For each of the eight places the characters above 0.001 with their probabilities; ""
    /// means no character / 每位的候选字符
    #[arg(long)]
    posteriors: bool,
    /// Each picture is one cut-out plate, filled to its edges: only the reader runs / 图片即车牌
    #[arg(long)]
    cut: bool,
    /// Write the pictures there with quad, text and certainty drawn in / 输出标注图的目录
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
    /// Models of another folder instead of the built-in ones / 使用其他模型目录
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Pictures, or folders of them: JPEG, PNG, WebP, BMP, PNM / 图片或目录
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

/// Why nothing could be read at all.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Models(#[from] ModelError),
    #[error("cannot make the folder {} for drawn pictures: {source}; name one that can be written to", path.display())]
    DrawFolder { path: PathBuf, source: io::Error },
    #[error("cannot write the answer: {0}; is the disk full?")]
    Output(#[from] io::Error),
}

/// One picture's answer, as `--json` prints it.
#[derive(Debug, Serialize)]
struct PictureAnswer {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    plates: Vec<PlateAnswer>,
    ms: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One plate of a picture.
#[derive(Debug, Serialize)]
struct PlateAnswer {
    text: String,
    kind: Option<PlateKind>,
    confidence: f32,
    quad: Quad,
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<Vec<Vec<(String, f32)>>>,
}

/// What took how long.
#[derive(Debug, Default, Serialize)]
struct Milliseconds {
    decode: f64,
    detect: f64,
    read: f64,
}

/// Reads the plates and gives the exit status.
#[allow(clippy::needless_pass_by_value)] // every verb takes its arguments
pub(crate) fn run(args: ReadArgs) -> u8 {
    match read(&args) {
        Ok(0) => outcome::DONE,
        // Each failed picture's line has an error member; nothing needs adding.
        Ok(_) if args.json => outcome::FOUND_WRONG,
        Ok(failed) => outcome::fail(
            outcome::FOUND_WRONG,
            format_args!("{failed} of the pictures could not be read / {failed} 张图片无法读取"),
        ),
        // Whoever read our output has had enough, as `head` does.
        Err(ReadError::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => outcome::DONE,
        Err(error @ ReadError::Output(_)) => outcome::fail(outcome::FOUND_WRONG, error),
        Err(error) => outcome::fail(outcome::WRONG_USAGE, error),
    }
}

/// Reads everything; gives the number of pictures that failed.
fn read(args: &ReadArgs) -> Result<usize, ReadError> {
    let models = match &args.models {
        Some(folder) => Models::load(folder)?,
        None => Models::embedded()?,
    };
    let mut recogniser = Recogniser::new(&models, Options::default())?;
    if let Some(path) = &args.draw {
        std::fs::create_dir_all(path).map_err(|source| ReadError::DrawFolder {
            path: path.clone(),
            source,
        })?;
    }
    let files = list(&args.paths);
    let progress = progress(files.len());
    let mut out = io::stdout().lock();
    let mut names = HashSet::new();
    let mut failed = 0;
    if !args.json {
        writeln!(out, "{}", header())?;
    }
    for file in files {
        let answer = match file {
            Ok(path) => one(args, &mut recogniser, &path, &mut names)?,
            Err((path, error)) => PictureAnswer::failed(&path, error.to_string()),
        };
        failed += usize::from(answer.error.is_some());
        progress.suspend(|| {
            if args.json {
                serde_json::to_writer(&mut out, &answer).map_err(io::Error::from)?;
                writeln!(out)
            } else {
                table(&mut out, &answer)
            }
        })?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    out.flush()?;
    Ok(failed)
}

/// A bar on a terminal when there is much to do, else nothing.
pub(crate) fn progress(pictures: usize) -> ProgressBar {
    if pictures < 10 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(pictures as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Reads one picture, and draws it if asked to.
fn one(
    args: &ReadArgs,
    recogniser: &mut Recogniser,
    path: &Path,
    names: &mut HashSet<String>,
) -> Result<PictureAnswer, ReadError> {
    let start = Instant::now();
    let frame = match picture::read(path).and_then(picture::Picture::into_still) {
        Ok(frame) => frame,
        Err(error) => return Ok(PictureAnswer::failed(path, error.to_string())),
    };
    let decode = start.elapsed();
    let seen = if args.cut {
        recogniser.read_cut(&frame)?
    } else {
        recogniser.recognise(&frame)?
    };
    let alphabet = recogniser.models().alphabet();
    let plates: Vec<PlateAnswer> = seen
        .readings
        .iter()
        .filter_map(|reading| PlateAnswer::new(reading, alphabet, args.posteriors))
        .collect();
    let error = args.draw.as_deref().and_then(|folder| {
        let target = folder.join(free_name(path, names));
        draw::write(&frame, &plates, &target).err()
    });
    let ms = |d: Duration| (d.as_secs_f64() * 1e5).round() / 100.0;
    Ok(PictureAnswer {
        file: path.display().to_string(),
        width: Some(frame.width),
        height: Some(frame.height),
        plates,
        ms: Milliseconds {
            decode: ms(decode),
            detect: ms(seen.timings.detect),
            read: ms(seen.timings.read),
        },
        error,
    })
}

/// A name for the drawn picture that no other one of this call has.
fn free_name(path: &Path, names: &mut HashSet<String>) -> String {
    let stem = path
        .file_stem()
        .map_or_else(|| "picture".into(), |s| s.to_string_lossy().into_owned());
    let mut name = format!("{stem}.jpg");
    let mut count = 1;
    while !names.insert(name.clone()) {
        count += 1;
        name = format!("{stem}-{count}.jpg");
    }
    name
}

impl PictureAnswer {
    fn failed(path: &Path, error: String) -> Self {
        Self {
            file: path.display().to_string(),
            width: None,
            height: None,
            plates: Vec::new(),
            ms: Milliseconds::default(),
            error: Some(error),
        }
    }
}

/// Probabilities below this are not listed.
const LEAST_POSTERIOR: f32 = 0.001;

impl PlateAnswer {
    /// The plate, if the reading is sure enough to be one.
    fn new(reading: &Reading, alphabet: &Alphabet, posteriors: bool) -> Option<Self> {
        let best = best_text(reading, alphabet).filter(PlateText::is_plate)?;
        Some(Self {
            text: best.number.to_string(),
            kind: best.kind,
            confidence: best.confidence,
            quad: reading.quad,
            slots: posteriors.then(|| {
                (0..domain::reading::SLOTS)
                    .map(|slot| alternatives(&reading.matrix, alphabet, slot))
                    .collect()
            }),
        })
    }
}

/// One place's characters above [`LEAST_POSTERIOR`], likeliest first.
pub(crate) fn alternatives(
    matrix: &Matrix,
    alphabet: &Alphabet,
    slot: usize,
) -> Vec<(String, f32)> {
    let mut list: Vec<(String, f32)> = matrix
        .slot(slot)
        .iter()
        .enumerate()
        .map(|(class, p)| {
            let character = alphabet.character(class).map(String::from);
            (character.unwrap_or_default(), p.probability())
        })
        .filter(|(_, p)| *p > LEAST_POSTERIOR)
        .collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1));
    list
}

/// The files named, and the pictures in the folders named and below them, in order.
fn list(paths: &[PathBuf]) -> Vec<Result<PathBuf, (PathBuf, io::Error)>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            folder(path, &mut files);
        } else {
            files.push(Ok(path.clone()));
        }
    }
    files
}

fn folder(path: &Path, files: &mut Vec<Result<PathBuf, (PathBuf, io::Error)>>) {
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).and_then(Iterator::collect);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            files.push(Err((path.to_owned(), error)));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it might lead back up.
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            folder(&path, files);
        } else if is_picture_name(&path) {
            files.push(Ok(path));
        }
    }
}

fn is_picture_name(path: &Path) -> bool {
    const EXTENSIONS: [&str; 9] = [
        "jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm", "pnm", "pam",
    ];
    path.extension()
        .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

fn header() -> String {
    format!(
        "{} {} {}  Picture 图片",
        padded("Plate 车牌", 14),
        padded("Sure 把握", 10),
        padded("Kind 种类", 42)
    )
}

/// One line a plate; one line for a picture without any.
fn table(out: &mut impl Write, answer: &PictureAnswer) -> io::Result<()> {
    if let Some(error) = &answer.error {
        return writeln!(
            out,
            "{} {}  {}: {error}",
            padded("! 错误", 25),
            padded("", 42),
            answer.file
        );
    }
    if answer.plates.is_empty() {
        let none = padded("- no plate 无车牌", 25);
        return writeln!(out, "{none} {}  {}", padded("", 42), answer.file);
    }
    for plate in &answer.plates {
        let kind = plate
            .kind
            .map(|k| format!("{k} {}", k.chinese()))
            .unwrap_or_default();
        writeln!(
            out,
            "{} {} {}  {}",
            padded(&plate.text, 14),
            padded(&format!("{:.1} %", plate.confidence * 100.0), 10),
            padded(&kind, 42),
            answer.file
        )?;
        for (place, characters) in (1..).zip(plate.slots.iter().flatten()) {
            write!(out, "    {place}:")?;
            for (character, probability) in characters {
                let shown = if character.is_empty() { "-" } else { character };
                write!(out, "  {shown} {:.1} %", probability * 100.0)?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Columns of a terminal that a text takes: Chinese characters take two.
pub(crate) fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| if c >= '\u{1100}' { 2 } else { 1 })
        .sum()
}

/// The text with spaces up to `wide` columns of a terminal.
pub(crate) fn padded(text: &str, wide: usize) -> String {
    format!("{text}{}", " ".repeat(wide.saturating_sub(columns(text))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn folders_give_their_pictures_in_order_and_named_files_are_always_tried() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.JPG", "a.png", "b/d.ppm", "notes.txt"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let notes = folder.path().join("notes.txt");
        let found: Vec<PathBuf> = list(&[folder.path().to_owned(), notes.clone()])
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let expected = ["a.png", "b/d.ppm", "c.JPG"].map(|n| folder.path().join(n));
        assert_eq!(found[..3], expected);
        assert_eq!(found[3..], [notes]);
    }

    #[test]
    fn drawn_pictures_never_overwrite_each_other() {
        let mut names = HashSet::new();
        assert_eq!(free_name(Path::new("x/a.png"), &mut names), "a.jpg");
        assert_eq!(free_name(Path::new("y/a.jpg"), &mut names), "a-2.jpg");
    }

    #[test]
    fn a_broken_picture_is_reported_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broken.jpg"), b"no picture").unwrap();
        let grey = image::RgbImage::from_pixel(64, 48, image::Rgb([90, 90, 90]));
        grey.save(folder.path().join("grey.png")).unwrap();
        let args = ReadArgs {
            json: true,
            posteriors: true,
            cut: false,
            draw: Some(folder.path().join("drawn")),
            models: None,
            paths: vec![folder.path().to_owned()],
        };
        assert_eq!(read(&args).unwrap(), 1);
        assert!(folder.path().join("drawn/grey.jpg").exists());
        assert!(!folder.path().join("drawn/broken.jpg").exists());
    }

    #[test]
    fn columns_line_up_with_chinese_characters() {
        assert_eq!(padded("苏E1", 6), "苏E1  ");
        assert_eq!(padded("toolong", 3), "toolong");
    }
}
