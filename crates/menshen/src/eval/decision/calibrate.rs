//! `menshen calibrate`: margins from labelled pictures, for the configuration.
//!
//! The pictures are read as `eval decision` reads them, and its file of matrices serves both.
//! [`super::fit`] does the fitting; this is the shell around it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use access::Margins;
use domain::PlateNumber;

use super::fit::{self, ByRole, Fitted, Terms};
use super::register::{Dice, Register, draw};
use super::trial::{Outcomes, Role};
use super::{list_left_out, margins_of, read_labels, see_all, to_file};
use crate::eval::labels::Row;
use crate::eval::report::{Table, print};
use crate::eval::{EvalError, LabelledPictures};

/// Arguments of `menshen calibrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fits the least margins at which no stranger is let in and residents are asked about rather than
refused, on labelled pictures of your gate (a few hundred plates and more; what stands in a label file:
menshen eval --help). Shows who would have been let in before and after, and writes the piece that
goes into [decision] of the configuration; it changes nothing by itself.
用本门口的标注图片拟合判定界限，显示前后对比，并写出配置 [decision] 的内容，不会自动改动配置。

Pictures that measure must not fit: rows whose column split says test are refused. Pictures that the
reader was trained on flatter it; those of a site's own do not.
用于评测的图片（split 为 test）不得用于拟合。

Examples / 例:
  menshen calibrate --labels labels.csv pictures/ --out decision.toml
  menshen calibrate --labels index.tsv --split train pictures/ --matrices seen.jsonl
  menshen eval decision --config menshen.toml ...              what it led to / 查看效果

Exit status: 0 done, 1 rows or pictures could not be used (the others were), or no margin keeps the
terms, 2 wrong usage, or test pictures.")]
pub(crate) struct CalibrateArgs {
    #[command(flatten)]
    pictures: LabelledPictures,
    /// Keep what the reader saw in this file, or take it from there if it exists / 概率表缓存文件
    #[arg(long, value_name = "FILE")]
    matrices: Option<PathBuf>,
    /// How many registers are drawn from the plates of the pictures / 随机登记库个数
    #[arg(long, value_name = "N", default_value = "20")]
    registers: NonZeroUsize,
    /// Numbers in each / 每库号码数
    #[arg(long, value_name = "N", default_value = "637")]
    size: NonZeroUsize,
    /// What is drawn depends on this number alone / 随机种子
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// The share of strangers that may be let in where the very number is registered that the reader
    /// takes most easily for theirs, 0 to 1 / 最易混号码误放的上限
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    runner_ups: f64,
    /// The share of residents that may be refused instead of asked about, 0 to 1 / 住户直接拒绝的上限
    #[arg(long, value_name = "SHARE", default_value = "0.001", value_parser = share)]
    refused: f64,
    /// What is compared with, and what else of [decision] stays, is this configuration's instead of
    /// the defaults / 用此配置中的界限作对比
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the section for the configuration into this file; to standard output if absent / 输出文件
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("it must be a number from 0 to 1, for example 0.001".to_owned()),
    }
}

/// Fits and writes; gives the number of rows that could not be used, and whether the terms are kept.
pub(in crate::eval) fn calibrate(args: &CalibrateArgs) -> Result<(usize, bool), EvalError> {
    let pictures = &args.pictures;
    let (file, folder) = pictures.places()?;
    let before = margins_of(args.config.as_deref())?;
    let bytes = read_labels(&file)?;
    let labels = pictures.load(&file, &bytes)?;
    if let Some(line) = test_row(&labels.rows) {
        return Err(EvalError::TestRows { path: file, line });
    }
    let models = pictures.models()?;
    let matrices = args.matrices.as_deref();
    let seen = see_all(pictures, matrices, &models, &labels, &bytes, &folder)?;
    let left_out = list_left_out(&labels.faults, &seen.unusable);
    if seen.samples.is_empty() {
        return Err(EvalError::none_usable(file));
    }
    let samples = &seen.samples;
    let distinct: BTreeSet<&PlateNumber> = samples.iter().map(|s| &s.number).collect();
    let numbers: Vec<PlateNumber> = distinct.into_iter().cloned().collect();
    let registers: Vec<Register> = (0..args.registers.get() as u64)
        .map(|throw| draw(&numbers, args.size.get(), &mut Dice::new(args.seed, throw)))
        .collect();
    let terms = Terms {
        runner_ups: args.runner_ups,
        refused: args.refused,
    };
    let fitted = fit::margins(
        samples,
        models.alphabet(),
        &registers,
        terms,
        before,
        args.seed,
    );
    let source = format!(
        "{} plates of {} numbers in {}{}",
        samples.len(),
        numbers.len(),
        file.display(),
        super::filters(pictures)
            .iter()
            .fold(String::new(), |text, filter| text + ", " + filter)
    );
    let section = section(&source, &fitted);
    let mut out = io::stdout().lock();
    print(&mut out, &outcome_table(before, &fitted))?;
    match &args.out {
        Some(path) => {
            to_file(path, section.as_bytes())?;
            writeln!(out, "{}: written / 已写入", path.display())?;
        }
        None => write!(out, "{section}")?,
    }
    out.flush()?;
    Ok((left_out, fitted.kept))
}

/// The line of the first row that is there to measure.
fn test_row(rows: &[Row]) -> Option<u64> {
    let is_test = |row: &&Row| {
        row.fields.iter().any(|(heading, value)| {
            heading.eq_ignore_ascii_case("split") && value.eq_ignore_ascii_case("test")
        })
    };
    rows.iter().find(is_test).map(|row| row.line)
}

/// The section of the configuration.
fn section(source: &str, fitted: &Fitted) -> String {
    let Margins {
        over_stranger,
        over_runner_up,
        over_registered,
        ..
    } = fitted.margins;
    let mut text = format!(
        "# Fitted by menshen calibrate {} on {source}.\n",
        env!("CARGO_PKG_VERSION")
    );
    if !fitted.kept {
        text.push_str("# No margin that was tried keeps the terms: these are the widest.\n");
    }
    let mut line = |key: &str, value: f32| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value:?}");
    };
    line("[decision]\nover_stranger", over_stranger.nats());
    line("over_runner_up", over_runner_up.nats());
    line("over_registered", over_registered.nats());
    text
}

fn outcome_table(before: Margins, fitted: &Fitted) -> Table {
    let titles = [
        (Role::Resident, "Residents 住户"),
        (Role::Stranger, "Strangers 陌生车"),
        (Role::Neighbour, "One away 差一字"),
        (Role::RunnerUp, "Runner-up 最易混"),
    ];
    let rows = titles.map(|(role, title)| {
        let was_is = |count: fn(Outcomes) -> u64| {
            let of = |by_role: &ByRole| count(by_role[role as usize]);
            format!("{} / {}", of(&fitted.before), of(&fitted.outcomes))
        };
        vec![
            title.to_owned(),
            was_is(|o| o.own),
            was_is(|o| o.another),
            was_is(|o| o.asked),
            was_is(|o| o.refused),
        ]
    });
    let nats = |title: &str, margins: &Margins| {
        format!(
            "{title}: {:.2} over the stranger, {:.2} over the second, {:.2} for the stranger, in nats.",
            margins.over_stranger.nats(),
            margins.over_runner_up.nats(),
            margins.over_registered.nats()
        )
    };
    let mut notes = vec![
        nats("Before 此前", &before),
        nats("After 之后", &fitted.margins),
    ];
    if !fitted.kept {
        notes.push(
            "NO MARGIN KEEPS THE TERMS: more or better pictures are needed. 没有满足条件的界限，需要更多或更好的图片。"
                .to_owned(),
        );
    }
    notes.push(
        "Other pictures do worse: measure on them with menshen eval decision. 请用其他图片评测。"
            .to_owned(),
    );
    Table {
        title: "Who would have been let in on these very pictures, before / after 在这些图片上谁被放行，此前 / 之后".to_owned(),
        headings: vec![
            "",
            "As themselves 本人",
            "As another 认作他人",
            "Asked 请门卫",
            "Refused 不放行",
        ],
        rows: rows.to_vec(),
        notes,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use domain::reading::Score;

    use super::*;
    use crate::config;

    #[test]
    fn test_pictures_are_told() {
        let row = |line, split: Option<(&str, &str)>| Row {
            line,
            path: String::new(),
            plates: Vec::new(),
            cut: false,
            light: String::new(),
            fields: split
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect::<BTreeMap<_, _>>(),
        };
        let rows = [row(2, None), row(3, Some(("split", "train")))];
        assert_eq!(test_row(&rows), None);
        let rows = [
            row(2, Some(("repo", "test"))),
            row(5, Some(("Split", "TEST"))),
        ];
        assert_eq!(test_row(&rows), Some(5));
    }

    #[test]
    fn the_configuration_takes_what_is_written() {
        let fitted = Fitted {
            margins: Margins {
                over_stranger: Score::from_nats(2.75),
                over_runner_up: Score::from_nats(2.75),
                over_registered: Score::from_nats(5.25),
                ..Margins::default()
            },
            kept: false,
            outcomes: Default::default(),
            before: Default::default(),
        };
        let section = section("3 plates of a.csv", &fitted);
        assert!(section.contains("# No margin"));
        let minimal = include_str!("../../../../../config/examples/minimal.toml");
        let house = config::parse(&format!("{minimal}\n{section}"), "gate.toml").unwrap();
        assert_eq!(house.margins, fitted.margins);
    }
}
