//! `menshen eval`: how well the recogniser does on labelled pictures.
//!
//! ```text
//! label file ─► labels ─► look (threads) ─► judge ─► measure ─► report ─► table, JSON, HTML
//!                           │ pictures        └──────── pure ───────┘
//!                           └ vision
//! ```
//!
//! [`decision`] goes on from the same pictures to what the gate would have decided.

mod decision;
#[cfg(feature = "demo")]
mod exact;
pub(crate) mod html;
mod judge;
mod labels;
mod look;
mod measure;
mod overlap;
mod report;
mod statistics;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use access::registry::import::ImportError;
use indicatif::ProgressBar;
use serde::Serialize;
use vision::models::{ModelError, Models};
use vision::recognise::{Options, Recogniser};

use self::judge::Judged;
use self::labels::{Filter, LabelError, Labels, Row, RowFault};
use self::look::{Looked, look};
use self::report::{Misread, Model, Report, Unusable};
use crate::{outcome, read};

/// Bad rows and pictures that are listed on standard error; the reports list all.
const LISTED: usize = 50;

/// Arguments of `menshen eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples / 例:
  menshen eval models/samples                                  the pictures that come with Menshen / 自带样图
  menshen eval --labels labels.csv pictures/ --html eval.html  a report with the misread plates / 网页报告
  menshen eval --labels index.tsv --split test pictures/ --by repo --json eval.json

The label file is CSV in UTF-8, commas or tabs between the columns, named in the first line, in any
order / 标注文件为 UTF-8 的 CSV，首行为列名:
  path, 图片      the picture, relative to DIR
  plate, 车牌     the plates in it, with \";\" between; empty: no plate; an empty element: a plate
                  nobody can read (also: label)
  corners, 角点   for each plate x,y x,y x,y x,y in pixels: top left, top right, bottom right,
                  bottom left; \";\" between plates; may be empty
  kind, 种类      for each plate (or one for all) its name as in menshen read, in English or
                  Chinese (small, large, new-energy-small, 警用汽车, ...), or foreign; or for the
                  picture: scene, crop, background, foreign; may be empty
  light, 光线     any word: day, night, infrared, rain ...
  cut, 裁切       yes: the picture is one plate cut out, so only the reader runs
  colour, 颜色    blue or yellow tells small from large where kind does not
Any other column may be used with --where and --by.

A whole picture is read by finder and reader; a plate with corners is also read by these alone.
Exit status: 0 done, 1 rows or pictures could not be used (the others were measured), 2 wrong
usage, or nothing to measure.

menshen eval decision --help: not how well plates are read, but who would have been let in.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    pictures: LabelledPictures,
    /// Write everything as JSON; - for standard output, instead of the tables / 输出 JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report with the misread plates as one HTML file / 输出网页报告
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Strangers admitted against residents refused, beside what other gates do / 放行判定的取舍曲线
    Decision(Box<decision::DecisionArgs>),
    /// Very many rendered strangers in poor pictures, and how many are let in / 渲染的陌生车
    #[cfg(feature = "demo")]
    Strangers(Box<decision::StrangersArgs>),
}

pub(crate) use decision::CalibrateArgs;

/// Which pictures are measured, and with which networks.
#[derive(Debug, clap::Args)]
struct LabelledPictures {
    /// The label file; without it labels.csv in DIR / 标注文件
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Only the rows whose column `split` has this value / 只用该划分
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Only the rows with this value in a column, or without it (COLUMN!=VALUE); several for one
    /// column: any of them / 只用列值相符的行
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    filters: Vec<Filter>,
    /// Figures by this column, too / 另按此列统计
    #[arg(long, value_name = "COLUMN")]
    by: Vec<String>,
    /// Models of another folder instead of the built-in ones / 使用其他模型目录
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Pictures looked at at a time; without it as many as there are processors / 并行线程数
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// The folder of pictures; without it the label file's / 图片目录
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Why nothing could be measured, or the figures could not be written.
#[derive(Debug, thiserror::Error)]
enum EvalError {
    #[error(
        "name a label file or a folder with labels.csv; Menshen comes with one: menshen eval models/samples (--help says what stands in it) / 请指定标注文件或目录，例如自带样图: menshen eval models/samples"
    )]
    NothingNamed,
    #[error("cannot read the label file {}: {source}; name another one with --labels FILE", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the label file {} cannot be used: {source}", path.display())]
    Labels { path: PathBuf, source: LabelError },
    #[error("no picture of {} was measured: {why} / 没有可评测的图片", path.display())]
    Nothing { path: PathBuf, why: &'static str },
    #[error(transparent)]
    Models(#[from] ModelError),
    #[error("cannot write {}: {source}; name a file in a folder that exists and can be written to", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{}: line {line} is of the split \"test\", and pictures that measure must not fit; name another split, for example --split train / 评测用的图片不得用于拟合，请用 --split train", path.display()
    )]
    TestRows { path: PathBuf, line: u64 },
    #[error("the file of matrices {} cannot be used: {why}", path.display())]
    Matrices { path: PathBuf, why: String },
    #[cfg(feature = "demo")]
    #[error("the file of batches {} cannot be used: {why}", path.display())]
    Kept { path: PathBuf, why: String },
    #[cfg(feature = "demo")]
    #[error(
        "a plate could not be rendered: {0}; this is a mistake in the program, please report it"
    )]
    Render(String),
    #[error("{}: {source}", path.display())]
    Registry { path: PathBuf, source: ImportError },
    #[error("cannot write the answer: {0}; is the disk full?")]
    Output(#[from] io::Error),
    /// What went wrong was said already; this is the exit status.
    #[error("exit status {0}")]
    Said(u8),
}

impl EvalError {
    fn none_usable(file: PathBuf) -> Self {
        Self::Nothing {
            path: file,
            why: "no picture could be used; is the folder of pictures the right one?",
        }
    }
}

/// Measures and gives the exit status.
#[allow(clippy::needless_pass_by_value)] // every verb takes its arguments
pub(crate) fn run(args: EvalArgs) -> u8 {
    let measured = match &args.verb {
        None => eval(&args),
        Some(Verb::Decision(args)) => decision::eval(args),
        #[cfg(feature = "demo")]
        Some(Verb::Strangers(args)) => decision::eval_strangers(args).map(|()| 0),
    };
    status(measured)
}

/// Fits the decision's margins and gives the exit status.
pub(crate) fn calibrate(args: &CalibrateArgs) -> u8 {
    match decision::calibrate(args) {
        Ok((0, false)) => outcome::FOUND_WRONG,
        fitted => status(fitted.map(|(left_out, _)| left_out)),
    }
}

/// The exit status for the number of rows that could not be used, or what went wrong.
fn status(measured: Result<usize, EvalError>) -> u8 {
    match measured {
        Ok(0) => outcome::DONE,
        Ok(left_out) => outcome::fail(
            outcome::FOUND_WRONG,
            format_args!(
                "{left_out} rows could not be used, the others were measured / {left_out} 行无法使用，其余已评测"
            ),
        ),
        // Whoever read our output has had enough, as `head` does.
        Err(EvalError::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => outcome::DONE,
        Err(error @ (EvalError::Output(_) | EvalError::Write { .. })) => {
            outcome::fail(outcome::FOUND_WRONG, error)
        }
        Err(EvalError::Said(status)) => status,
        Err(error) => outcome::fail(outcome::WRONG_USAGE, error),
    }
}

/// Measures everything and writes it; gives the number of rows that could not be used.
fn eval(args: &EvalArgs) -> Result<usize, EvalError> {
    let pictures = &args.pictures;
    let (file, folder) = pictures.places()?;
    let labels = pictures.load(&file, &read_labels(&file)?)?;
    let models = pictures.models()?;
    let thumbnails = args.html.is_some();
    let looked = look_at_all(pictures, &models, &labels.rows, |recogniser, row| {
        look(recogniser, row, &folder, thumbnails)
    })?;
    let report = report(args, &models, labels, looked, (&file, &folder));
    let left_out = list_left_out(&report.faults, &report.unusable);
    if report.rows == 0 {
        return Err(EvalError::none_usable(file));
    }
    write(args, &report)?;
    Ok(left_out)
}

fn read_labels(file: &Path) -> Result<Vec<u8>, EvalError> {
    std::fs::read(file).map_err(|source| EvalError::File {
        path: file.to_owned(),
        source,
    })
}

impl LabelledPictures {
    /// The label file and the folder of pictures.
    fn places(&self) -> Result<(PathBuf, PathBuf), EvalError> {
        match (&self.labels, &self.folder) {
            (Some(file), Some(folder)) => Ok((file.clone(), folder.clone())),
            (Some(file), None) => {
                let folder = file.parent().unwrap_or(Path::new(""));
                Ok((file.clone(), folder.to_owned()))
            }
            (None, Some(folder)) => Ok((folder.join("labels.csv"), folder.clone())),
            (None, None) => Err(EvalError::NothingNamed),
        }
    }

    /// The rows of the label file that are wanted, of which there is at least one.
    fn load(&self, file: &Path, bytes: &[u8]) -> Result<Labels, EvalError> {
        let labels = labels::parse(bytes, &self.filters(), &self.by).map_err(|source| {
            EvalError::Labels {
                path: file.to_owned(),
                source,
            }
        })?;
        if labels.rows.is_empty() {
            list_faults(labels.faults.iter());
            return Err(EvalError::Nothing {
                path: file.to_owned(),
                why: if labels.faults.is_empty() {
                    "no row is left; check the file, --split and --where"
                } else {
                    "every row is bad; correct the rows listed above"
                },
            });
        }
        Ok(labels)
    }

    fn filters(&self) -> Vec<Filter> {
        let split = self.split.iter().map(|name| Filter {
            column: "split".to_owned(),
            equal: true,
            value: name.clone(),
        });
        split.chain(self.filters.iter().cloned()).collect()
    }

    fn models(&self) -> Result<Models, ModelError> {
        match &self.models {
            Some(folder) => Models::load(folder),
            None => Models::embedded(),
        }
    }
}

/// Lists on standard error which rows and pictures are left out; gives their number.
fn list_left_out(faults: &[RowFault], unusable: &[Unusable]) -> usize {
    list_faults(faults.iter());
    list_faults(
        unusable
            .iter()
            .map(|picture| format!("line {}: {}: {}", picture.line, picture.path, picture.error)),
    );
    faults.len() + unusable.len()
}

/// Lists what could not be used on standard error, up to [`LISTED`].
fn list_faults(faults: impl ExactSizeIterator<Item: std::fmt::Display>) {
    let more = faults.len().saturating_sub(LISTED);
    for fault in faults.take(LISTED) {
        eprintln!("{fault}");
    }
    if more > 0 {
        eprintln!("... and {more} more; --json and --html list all / 另有 {more} 条");
    }
}

/// Shows every row's picture to a recogniser, on several threads; what `see` made of them, in the
/// rows' order.
fn look_at_all<T: Send>(
    pictures: &LabelledPictures,
    models: &Models,
    rows: &[Row],
    see: impl Fn(&mut Recogniser, &Row) -> Result<T, ModelError> + Sync,
) -> Result<Vec<T>, ModelError> {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = pictures.threads.map_or_else(processors, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let progress = read::progress(rows.len());
    let work = || look_at_some(models, rows, &see, &next, &progress);
    let mut outcomes = Vec::with_capacity(rows.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(rows.len()))
            .map(|_| scope.spawn(work))
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(some) => outcomes.extend(some?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), ModelError>(())
    })?;
    progress.finish_and_clear();
    outcomes.sort_by_key(|(row, _)| *row);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

/// Takes one row after the other until none is left.
fn look_at_some<T>(
    models: &Models,
    rows: &[Row],
    see: &impl Fn(&mut Recogniser, &Row) -> Result<T, ModelError>,
    next: &AtomicUsize,
    progress: &ProgressBar,
) -> Result<Vec<(usize, T)>, ModelError> {
    let mut recogniser = Recogniser::new(models, Options::default())?;
    let mut some = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(row) = rows.get(at) else {
            return Ok(some);
        };
        some.push((at, see(&mut recogniser, row)?));
        progress.inc(1);
    }
}

/// What became of one row: judged, or a sentence about its picture.
type Outcome = Result<Looked, String>;

fn report(
    args: &EvalArgs,
    models: &Models,
    labels: Labels,
    looked: Vec<Outcome>,
    (file, folder): (&Path, &Path),
) -> Report {
    let mut judged: Vec<(&Row, Judged)> = Vec::new();
    let mut misread = Vec::new();
    let mut unusable = Vec::new();
    for (row, outcome) in labels.rows.iter().zip(looked) {
        match outcome {
            Ok(looked) => {
                let plates = looked.judged.plates.iter().zip(looked.thumbnails);
                misread.extend(plates.filter_map(|(plate, small)| Misread::new(row, plate, small)));
                judged.push((row, looked.judged));
            }
            Err(error) => unusable.push(Unusable::new(row, error)),
        }
    }
    let sure = |m: &Misread| m.confidence.unwrap_or_default();
    misread.sort_by(|a, b| sure(b).total_cmp(&sure(a)));
    let pairs: Vec<(&Row, &Judged)> = judged.iter().map(|(row, j)| (*row, j)).collect();
    Report {
        version: env!("CARGO_PKG_VERSION"),
        models: Model::all(models),
        labels: file.display().to_string(),
        folder: folder.display().to_string(),
        filters: args
            .pictures
            .filters()
            .iter()
            .map(ToString::to_string)
            .collect(),
        rows: judged.len(),
        without_number: labels.without_number,
        measured: measure::measure(&pairs, &args.pictures.by),
        faults: labels.faults,
        unusable,
        misread,
    }
}

fn to_file(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    std::fs::write(path, bytes).map_err(|source| EvalError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a report as JSON; whether that was the answer, on standard output.
fn write_json(
    out: &mut impl Write,
    path: Option<&Path>,
    report: &impl Serialize,
) -> Result<bool, EvalError> {
    let Some(path) = path else {
        return Ok(false);
    };
    let mut json = serde_json::to_vec_pretty(report).map_err(io::Error::from)?;
    json.push(b'\n');
    if path.as_os_str() == "-" {
        out.write_all(&json)?;
        out.flush()?;
        return Ok(true);
    }
    to_file(path, &json)?;
    Ok(false)
}

fn write(args: &EvalArgs, report: &Report) -> Result<(), EvalError> {
    if let Some(path) = &args.html {
        to_file(path, html::page(report).as_bytes())?;
    }
    let mut out = io::stdout().lock();
    if write_json(&mut out, args.json.as_deref(), report)? {
        return Ok(());
    }
    writeln!(
        out,
        "Rows measured: {}, misread plates: {}; in brackets Wilson's 95 % interval / 评测 {} 行，读错 {} 个车牌，括号内为 95 % 置信区间",
        report.rows,
        report.misread.len(),
        report.rows,
        report.misread.len()
    )?;
    for table in report::tables(report) {
        report::print(&mut out, &table)?;
    }
    out.flush()?;
    Ok(())
}
