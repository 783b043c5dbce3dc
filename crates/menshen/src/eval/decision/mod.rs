//! `menshen eval decision`: who would have been let in.
//!
//! ```text
//! pictures ─► reader ─► matrices (kept in a file) ─┐
//! numbers ─► registers, drawn or a list ───────────┴─► trial ─► figures ─► tables, JSON, plot
//! ```
//!
//! [`matrices`], [`register`], [`method`], [`trial`], [`figures`] and [`plot`] are pure; this is
//! the shell around them.
//!
//! Invariant: what is compared as text here is compared to show what comes of it. Menshen's own
//! answers are those of `access::policy`.

mod calibrate;
mod figures;
mod fit;
mod matrices;
mod method;
mod plot;
mod register;
#[cfg(feature = "demo")]
mod strangers;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use access::Margins;
use access::registry::import::{self, ImportOptions};
use domain::event::Digest;
use domain::reading::{Fusion, Score};
use domain::{PlateKind, PlateNumber, Reading};
use vision::Frame;
use vision::models::{ModelError, Models};
use vision::picture::{self, Picture};
use vision::recognise::Recogniser;

pub(crate) use self::calibrate::CalibrateArgs;
pub(super) use self::calibrate::calibrate;
#[cfg(feature = "demo")]
pub(super) use self::strangers::{StrangersArgs, eval as eval_strangers};

use self::figures::{Group, LetIn, Plates, Registers, Report, Split};
use self::matrices::{Header, Sample, Seen};
use self::method::Method;
use self::register::{Dice, Register};
use self::trial::{Counts, Trial};
use super::judge::pairs;
use super::labels::{LabelledPlate, Labels, Row};
use super::look::{answer, read_alone};
use super::report::{Model, Unusable, print};
use super::{EvalError, LabelledPictures};
use super::{list_left_out, look_at_all, read_labels, to_file, write_json};
use crate::{config, outcome, read, registry};

/// Margins over the best stranger that the curve has, in quarters of a nat. Below 0 a resident is
/// admitted although a stranger explains the picture better: with prior odds for residents.
const QUARTERS: RangeInclusive<i8> = -48..=48;

/// Arguments of `menshen eval decision`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every labelled plate drives up to the gate: as a resident if its number is in the register, else as
a stranger. Strangers try three times: against the register as it is; with a number added to it that
differs from theirs in one random character; and with the number added that the reader takes most
easily for theirs. Beside Menshen's decision stands what other gates do with the text that was read.
标注的车牌逐一到门口：号码在登记库里的算住户，其余算陌生车；陌生车还要在库中加入随机差一字的号码、
以及识别最易混的号码后各试一次。

Examples / 例:
  menshen eval decision models/samples                      the pictures that come with Menshen / 自带样图
  menshen eval decision --labels index.tsv --split test pictures/ --matrices seen.jsonl --html decision.html
                                                            reads once, tries again in seconds / 图片只读一次
  menshen eval decision --registry cars.xlsx --config menshen.toml --labels labels.csv pictures/
                                                            your register, your margins / 用自己的登记表和界限

Only the picture counts here: validity, schedules and the other rules of a register do not, and each
picture is a single look, where a lane fuses several. What stands in a label file: menshen eval --help.
Exit status: 0 done, 1 rows or pictures could not be used (the others were measured), 2 wrong
usage, or nothing to measure.")]
pub(super) struct DecisionArgs {
    #[command(flatten)]
    pictures: LabelledPictures,
    /// Keep what the reader saw in this file, or take it from there if it exists / 概率表缓存文件
    #[arg(long, value_name = "FILE")]
    matrices: Option<PathBuf>,
    /// How many registers are drawn from the plates of the pictures / 随机登记库个数
    #[arg(long, value_name = "N", default_value = "20")]
    registers: NonZeroUsize,
    /// Numbers in each; at most half of the plates are drawn, the rest is made up / 每库号码数
    #[arg(long, value_name = "N", default_value = "637")]
    size: NonZeroUsize,
    /// What is drawn depends on this number alone / 随机种子
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// This list (.xlsx or .csv) as the register, instead of drawn ones / 用此登记表
    #[arg(long, value_name = "FILE", conflicts_with_all = ["registers", "size"])]
    registry: Option<PathBuf>,
    /// The margins of this configuration, instead of the defaults / 用此配置中的界限
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Pictures with a mean brightness (0 to 255) below this count as dark / 低于此亮度算暗
    #[arg(long, value_name = "BRIGHTNESS", default_value = "80")]
    dark_below: f32,
    /// Write everything as JSON; - for standard output, instead of the tables / 输出 JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plot and tables as one HTML file / 输出网页
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the plot as an SVG file / 输出曲线图
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Measures everything and writes it; gives the number of rows that could not be used.
pub(super) fn eval(args: &DecisionArgs) -> Result<usize, EvalError> {
    let pictures = &args.pictures;
    let (file, folder) = pictures.places()?;
    // What can be wrong is found before minutes are spent on pictures.
    let margins = margins_of(args.config.as_deref())?;
    let listed = args.registry.as_deref().map(list).transpose()?;
    let bytes = read_labels(&file)?;
    let labels = pictures.load(&file, &bytes)?;
    let models = pictures.models()?;
    let matrices = args.matrices.as_deref();
    let seen = see_all(pictures, matrices, &models, &labels, &bytes, &folder)?;
    let left_out = list_left_out(&labels.faults, &seen.unusable);
    if seen.samples.is_empty() {
        return Err(EvalError::none_usable(file));
    }
    let report = Report {
        labels: file.display().to_string(),
        folder: folder.display().to_string(),
        faults: labels.faults,
        ..measure(args, &models, seen, listed, margins)
    };
    write(args, &report)?;
    Ok(left_out)
}

/// The margins of a configuration, or the defaults.
fn margins_of(file: Option<&Path>) -> Result<Margins, EvalError> {
    let Some(file) = file else {
        return Ok(Margins::default());
    };
    match config::load(file) {
        Ok(house) => Ok(house.margins),
        Err(problems) => Err(EvalError::Said(outcome::fail(
            outcome::WRONG_USAGE,
            problems,
        ))),
    }
}

/// The numbers of a list.
fn list(file: &Path) -> Result<Register, EvalError> {
    let bytes = registry::read_list(file).map_err(EvalError::Said)?;
    let imported =
        import::parse(&bytes, ImportOptions::default()).map_err(|source| EvalError::Registry {
            path: file.to_owned(),
            source,
        })?;
    Ok(Register {
        numbers: imported.vehicles.into_iter().map(|v| v.plate).collect(),
        invented: 0,
    })
}

/// What the reader sees in every picture, from the file that keeps it if there is one.
fn see_all(
    pictures: &LabelledPictures,
    kept: Option<&Path>,
    models: &Models,
    labels: &Labels,
    bytes: &[u8],
    folder: &Path,
) -> Result<Seen, EvalError> {
    let header = Header::new(
        Model::all(models),
        models.alphabet(),
        Digest::of(bytes).to_string(),
        filters(pictures),
        pictures.by.clone(),
    );
    let unusable = |path: &Path, why: String| EvalError::Matrices {
        path: path.to_owned(),
        why,
    };
    if let Some(path) = kept {
        match std::fs::read_to_string(path) {
            Ok(text) => return matrices::read(&text, &header).map_err(|why| unusable(path, why)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let why =
                    format!("{error}; name a file that can be read, or that is not there yet");
                return Err(unusable(path, why));
            }
        }
    }
    let rows = &labels.rows;
    let looked = look_at_all(pictures, models, rows, |recogniser, row| {
        look(recogniser, row, folder, &pictures.by)
    })?;
    let mut seen = Seen {
        samples: Vec::new(),
        unusable: Vec::new(),
    };
    for (row, looked) in rows.iter().zip(looked) {
        match looked {
            Ok(samples) => seen.samples.extend(samples),
            Err(error) => seen.unusable.push(Unusable::new(row, error)),
        }
    }
    if let Some(path) = kept {
        let text = matrices::write(&header, &seen).map_err(io::Error::from)?;
        to_file(path, text.as_bytes())?;
    }
    Ok(seen)
}

fn filters(pictures: &LabelledPictures) -> Vec<String> {
    let filters = pictures.filters();
    filters.iter().map(ToString::to_string).collect()
}

/// Shows a row's picture to the recogniser, as the gate would see it: finder and reader, or the
/// reader alone on what was cut out. The inner error is a sentence about the picture.
fn look(
    recogniser: &mut Recogniser,
    row: &Row,
    folder: &Path,
    by: &[String],
) -> Result<Result<Vec<Sample>, String>, ModelError> {
    if row.plates.iter().all(|p| p.number().is_none()) {
        return Ok(Ok(Vec::new()));
    }
    let frame = match picture::read(&folder.join(&row.path)).and_then(Picture::into_still) {
        Ok(frame) => frame,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut readings = Vec::with_capacity(row.plates.len());
    if row.cut {
        for plate in &row.plates {
            readings.push(read_alone(recogniser, plate, true, &frame)?);
        }
    } else {
        let found = recogniser.recognise(&frame)?.readings;
        let answers: Vec<_> = found.iter().map(|r| answer(recogniser, r)).collect();
        let pairs = pairs(&row.plates, &answers);
        readings.extend(pairs.into_iter().map(|at| found.get(at?).cloned()));
    }
    let luminance = luminance(&frame);
    let kept = |name: &String| Some((name.clone(), row.fields.get(name)?.clone()));
    let sample = |(plate, reading): (&LabelledPlate, &Option<Reading>)| {
        let sighting = reading.as_ref().map(|r| Fusion::new(r).sighting());
        Some(Sample {
            line: row.line,
            path: row.path.clone(),
            number: plate.number()?.clone(),
            kind: plate.kind.or(sighting.as_ref().and_then(|s| s.kind)),
            luminance,
            fields: by.iter().filter_map(kept).collect(),
            matrix: sighting.map(|s| s.matrix.to_bytes()),
        })
    };
    Ok(Ok(row
        .plates
        .iter()
        .zip(&readings)
        .filter_map(sample)
        .collect()))
}

/// Mean brightness of a frame after Rec. 601, 0 to 255.
fn luminance(frame: &Frame) -> f32 {
    let bright = |p: &[u8]| 299 * u64::from(p[0]) + 587 * u64::from(p[1]) + 114 * u64::from(p[2]);
    let sum: u64 = frame.rgb.chunks_exact(3).map(bright).sum();
    let pixels = (frame.rgb.len() / 3).max(1);
    (sum as f64 / 1000.0 / pixels as f64) as f32
}

fn measure(
    args: &DecisionArgs,
    models: &Models,
    seen: Seen,
    listed: Option<Register>,
    margins: Margins,
) -> Report {
    let samples = &seen.samples;
    let distinct: BTreeSet<&PlateNumber> = samples.iter().map(|s| &s.number).collect();
    let numbers: Vec<PlateNumber> = distinct.iter().map(|&n| n.clone()).collect();
    let registers: Vec<Register> = match listed {
        Some(register) => vec![register],
        None => (0..args.registers.get() as u64)
            .map(|throw| {
                let mut dice = Dice::new(args.seed, throw);
                register::draw(&numbers, args.size.get(), &mut dice)
            })
            .collect(),
    };
    let quarters: Vec<f32> = QUARTERS.map(|q| f32::from(q) / 4.0).collect();
    let mut methods = vec![Method::Margins(margins)];
    methods.extend(Method::OTHERS);
    let shown = methods.len();
    methods.extend(quarters.iter().map(|&nats| {
        Method::Margins(Margins {
            over_stranger: Score::from_nats(nats),
            ..margins
        })
    }));
    let groups = Groups::of(samples, args);
    let progress = read::progress(registers.len());
    let tried = Trial {
        samples,
        groups: &groups.of,
        group_count: 1 + groups.named.len(),
        alphabet: models.alphabet(),
        registers: &registers,
        methods: &methods,
        seed: args.seed,
    }
    .run(|| progress.inc(1));
    progress.finish_and_clear();
    let none = Counts::default();
    let (all, parts) = tried.counts.split_first().unwrap_or((&none, &[]));
    Report {
        version: env!("CARGO_PKG_VERSION"),
        models: Model::all(models),
        labels: String::new(),
        folder: String::new(),
        filters: filters(&args.pictures),
        plates: Plates {
            shown: samples.len(),
            distinct: distinct.len(),
            not_found: samples.iter().filter(|s| s.matrix.is_none()).count(),
        },
        registers: Registers {
            file: args.registry.as_ref().map(|f| f.display().to_string()),
            count: registers.len(),
            size: registers.first().map_or(0, |r| r.numbers.len()),
            invented: registers.first().map_or(0, |r| r.invented),
            seed: args.seed,
        },
        margins,
        dark_below: args.dark_below,
        interval: "Wilson, 95 %, over distinct plates",
        folded: method::FOLDED,
        methods: figures::methods(all, &methods[..shown]),
        curve: figures::curve(all, &quarters, shown),
        splits: groups.splits(parts, &methods[..shown]),
        let_in: LetIn::all(&tried, samples),
        faults: Vec::new(),
        unusable: seen.unusable,
    }
}

/// A quality by which plates are grouped, for machines and for people, and the group's rank.
type Named = (usize, String, usize, String, String);

/// Which plates belong together.
struct Groups {
    /// For each plate its groups; the first is that of all plates.
    of: Vec<Vec<usize>>,
    /// The others: rank and name of the quality; rank, name and title of the group.
    named: Vec<Named>,
}

impl Groups {
    fn of(samples: &[Sample], args: &DecisionArgs) -> Self {
        let names = |sample: &Sample| -> Vec<Named> {
            let (rank, name, title) = kind(sample.kind);
            let mut names = vec![(
                0,
                "kind".to_owned(),
                rank,
                name.to_owned(),
                title.to_owned(),
            )];
            let (rank, name, title) = light(sample.luminance < args.dark_below);
            names.push((
                1,
                "light".to_owned(),
                rank,
                name.to_owned(),
                title.to_owned(),
            ));
            names.extend(args.pictures.by.iter().zip(2..).map(|(column, rank)| {
                let field = sample.fields.get(column).map_or("", String::as_str);
                let title = if field.is_empty() {
                    "not stated 未注明"
                } else {
                    field
                };
                (rank, column.clone(), 0, field.to_owned(), title.to_owned())
            }));
            names
        };
        let mut places: BTreeMap<Named, usize> = samples
            .iter()
            .flat_map(names)
            .map(|name| (name, 0))
            .collect();
        for (place, at) in places.values_mut().zip(1..) {
            *place = at;
        }
        let of = samples
            .iter()
            .map(|sample| {
                let own = names(sample);
                let own = own.iter().filter_map(|name| places.get(name).copied());
                std::iter::once(0).chain(own).collect()
            })
            .collect();
        Self {
            of,
            named: places.into_keys().collect(),
        }
    }

    /// The figures of all groups but the first.
    fn splits(&self, counts: &[Counts], methods: &[Method]) -> Vec<Split> {
        let mut splits: Vec<Split> = Vec::new();
        for ((rank, by, _, name, title), counts) in self.named.iter().zip(counts) {
            let group = Group {
                name: name.clone(),
                title: title.clone(),
                methods: figures::methods(counts, methods),
            };
            // Ranks begin at 0 and leave none out; a column may be called light as well.
            match splits.get_mut(*rank) {
                Some(split) => split.groups.push(group),
                None => splits.push(Split {
                    by: by.clone(),
                    title: match by.as_str() {
                        "kind" => "kind 种类".to_owned(),
                        "light" => "light 光线".to_owned(),
                        column => column.to_owned(),
                    },
                    groups: vec![group],
                }),
            }
        }
        splits
    }
}

fn kind(kind: Option<PlateKind>) -> (usize, &'static str, &'static str) {
    match kind {
        Some(PlateKind::Small) => (0, "blue", "blue 蓝牌"),
        Some(PlateKind::NewEnergySmall | PlateKind::NewEnergyLarge) => (1, "green", "green 绿牌"),
        _ => (2, "others", "others 其他"),
    }
}

fn light(is_dark: bool) -> (usize, &'static str, &'static str) {
    if is_dark {
        (1, "dark", "dark 暗")
    } else {
        (0, "bright", "bright 亮")
    }
}

/// What was shown to what, in sentences.
fn said(report: &Report) -> Vec<String> {
    let Plates {
        shown,
        distinct,
        not_found,
    } = report.plates;
    let Registers {
        file,
        count,
        size,
        invented,
        seed,
    } = &report.registers;
    let mut said = vec![format!(
        "{shown} plates in pictures, {distinct} different numbers, {not_found} not found in their pictures / 图片中 {shown} 个车牌，{distinct} 个不同号码，{not_found} 个未检出"
    )];
    said.push(match file {
        Some(file) => format!("the register of {file}: {size} numbers / 登记表 {size} 个号码"),
        None => format!(
            "{count} random registers of {size} numbers, seed {seed} / {count} 个随机登记库，每个 {size} 个号码"
        ),
    });
    if *invented > 0 {
        said.push(format!(
            "{invented} of the {size} are made up: the pictures have too few different numbers, and half of them stay strangers / 其中 {invented} 个为编造的号码，因图片中的号码不够"
        ));
    }
    said.push(format!(
        "blue, green, others: by the label, else by the look that the reader saw; dark: mean brightness of the picture below {} of 255 / 种类以标注为准，未标注的以识别的外观为准；平均亮度低于 {} 为暗",
        report.dark_below, report.dark_below
    ));
    said
}

fn write(args: &DecisionArgs, report: &Report) -> Result<(), EvalError> {
    if let Some(path) = &args.html {
        to_file(path, plot::page(report).as_bytes())?;
    }
    if let Some(path) = &args.svg {
        to_file(path, plot::svg(report).as_bytes())?;
    }
    let mut out = io::stdout().lock();
    if write_json(&mut out, args.json.as_deref(), report)? {
        return Ok(());
    }
    for line in said(report) {
        writeln!(out, "{line}")?;
    }
    for table in figures::tables(report) {
        print(&mut out, &table)?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use domain::Monotonic;

    use super::*;

    #[test]
    fn brightness_is_that_of_the_eye() {
        let frame = |pixels: Vec<u8>| {
            let (wide, wall) = (pixels.len() as u32 / 3, jiff::Timestamp::UNIX_EPOCH);
            Frame::new(pixels, wide, 1, Monotonic::default(), wall, 0).unwrap()
        };
        assert!((luminance(&frame(vec![255; 6])) - 255.0).abs() < 1e-3);
        assert!((luminance(&frame(vec![0, 255, 0, 0, 0, 0])) - 0.587 * 127.5).abs() < 1e-3);
        assert!(luminance(&frame(vec![0, 0, 255])) < luminance(&frame(vec![255, 0, 0])));
    }
}
