//! `menshen pass print`: passes on paper.
//!
//! ```text
//! register ─► passes with signed texts ─► QR codes ─► slip ─► page ─┬─► pdf: one file
//!             (whoever holds the key)       font ────────┘          └─► svg: one file a page
//! ```
//!
//! [`slip`] knows what stands where, [`pdf`] and [`svg`] how it is written, [`font`] where Chinese
//! characters come from.

mod font;
mod pdf;
mod slip;
mod svg;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use access::registry::export::write_in_place;
use clap::{Args, ValueEnum};
use domain::PassNumber;
use indicatif::{ProgressBar, ProgressStyle};
use qrcodegen::QrCode;

use super::ask::{Ask, Line};
use super::numbers::Numbers;
use super::{all, perform};
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};
use crate::registry::Place;
use font::FontFile;
use slip::{Sheet, Style};

/// How many slips an A4 sheet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PerSheet {
    /// Large, for windscreens.
    #[value(name = "2")]
    Two,
    /// With room around each.
    #[value(name = "8")]
    Eight,
    /// The most.
    #[value(name = "10")]
    Ten,
}

/// `menshen pass print`.
#[derive(Debug, Args)]
#[command(after_help = "\
Print at 100 %, without \"fit to page\", and cut at the marks / 按实际大小打印，沿标记裁切:
  menshen pass print --out passes.pdf                          all that hold / 全部有效通行证
  menshen pass print --numbers 1..50 --per-sheet 2 --out big.pdf
  menshen pass print --numbers 638 --single --out 0638.svg

Of several SVG pages each is a file of its own: passes-001.svg, passes-002.svg, …
Revoked passes are left out. Whoever has the paper of a pass has the pass: print as many as you give out.
已注销的不打印。")]
pub(crate) struct PrintArgs {
    /// The file to write: .pdf, or .svg / 输出文件
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only these numbers / 号码
    #[arg(long)]
    numbers: Option<Numbers>,
    /// Slips on an A4 sheet / 每页张数
    #[arg(long, value_enum, default_value = "10")]
    per_sheet: PerSheet,
    /// Each slip on a page of its own size, without marks / 单张
    #[arg(long, conflicts_with = "per_sheet")]
    single: bool,
    /// The compound's name at the top; the site's name if absent / 小区名称
    #[arg(long)]
    title: Option<String>,
    /// A line of rules, in the place of the usual ones; may be given several times / 使用规则
    #[arg(long, value_name = "TEXT")]
    rule: Vec<String>,
    /// A font file with Chinese characters; the system's best if absent / 中文字体文件
    #[arg(long, value_name = "FILE")]
    font: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Pdf,
    Svg,
}

fn format(out: &Path) -> Result<Format, u8> {
    let kind = out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match kind.to_ascii_lowercase().as_str() {
        "pdf" => Ok(Format::Pdf),
        "svg" => Ok(Format::Svg),
        _ => Err(fail(
            WRONG_USAGE,
            format_args!(
                "{}: write a file that ends in .pdf or .svg / 输出文件须以 .pdf 或 .svg 结尾",
                out.display()
            ),
        )),
    }
}

pub(super) fn run(args: &PrintArgs) -> Result<(), u8> {
    let format = format(&args.out)?;
    let file = match &args.font {
        Some(path) => FontFile::read(path),
        None => FontFile::find(),
    };
    let file = file.map_err(|e| fail(FOUND_WRONG, e))?;
    let font = file.face().map_err(|e| fail(FOUND_WRONG, e))?;
    let (lines, codes) = signed(args)?;
    let sheet = match (args.single, args.per_sheet) {
        (true, _) => Sheet::Single,
        (false, PerSheet::Two) => Sheet::Grid {
            columns: 1,
            rows: 2,
        },
        (false, PerSheet::Eight) => Sheet::Grid {
            columns: 2,
            rows: 4,
        },
        (false, PerSheet::Ten) => Sheet::Grid {
            columns: 2,
            rows: 5,
        },
    };
    let title = match &args.title {
        Some(title) => title.clone(),
        None => args.place.house()?.site.name.to_string(),
    };
    let style = Style {
        title,
        rules: args.rule.clone(),
    };
    let bar = bar(lines.len());
    let (pages, mut missing) = (lines.len().div_ceil(sheet.holds()), BTreeSet::new());
    let mut document = pdf::Document::new(&font);
    let passes: Vec<(&Line, &String)> = lines.iter().zip(&codes).collect();
    for (chunk, number) in passes.chunks(sheet.holds()).zip(1_usize..) {
        let codes: Vec<QrCode> = chunk
            .iter()
            .map(|(_, text)| slip::code(text))
            .collect::<Result<_, _>>()
            .map_err(|e| fail(FOUND_WRONG, e))?;
        let drawn: Vec<_> = chunk
            .iter()
            .map(|(line, _)| &line.pass)
            .zip(&codes)
            .collect();
        let page = slip::page(&drawn, sheet, &style, &font);
        missing.extend(slip::characters(&page).filter(|&c| font.glyph(c) == 0));
        match format {
            Format::Pdf => document.add(&page),
            Format::Svg => {
                let path = page_path(&args.out, number, pages);
                write(&path, svg::write(&page, &font).as_bytes())?;
            }
        }
        bar.inc(chunk.len() as u64);
    }
    if format == Format::Pdf {
        let bytes = document.finish(&file, &style.title);
        write(&args.out, &bytes.map_err(|e| fail(FOUND_WRONG, e))?)?;
    }
    bar.finish_and_clear();
    if !missing.is_empty() {
        let missing: String = missing.into_iter().collect();
        eprintln!(
            "menshen: {} cannot write {missing}; there is an empty box instead, choose another with --font / 字体缺字：{missing}",
            file.path.display()
        );
    }
    println!(
        "{}: {} passes on {pages} pages, font {} / 共 {} 张，{pages} 页",
        args.out.display(),
        lines.len(),
        file.path.display(),
        lines.len()
    );
    Ok(())
}

/// The passes to print, with the signed texts of their codes.
fn signed(args: &PrintArgs) -> Result<(Vec<Line>, Vec<String>), u8> {
    let wanted = |number: PassNumber| args.numbers.as_ref().is_none_or(|n| n.has(number));
    let numbers: Vec<PassNumber> = all(&args.place)?
        .into_iter()
        .filter(|line| line.pass.revoked.is_none() && wanted(line.pass.number))
        .map(|line| line.pass.number)
        .collect();
    if numbers.is_empty() {
        return Err(fail(
            FOUND_WRONG,
            "there is no such pass; issue some with `menshen pass issue` / 没有可打印的通行证",
        ));
    }
    let told = perform(&args.place, Ask::Sign { numbers })?;
    Ok((told.passes, told.codes))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), u8> {
    write_in_place(path, bytes)
        .map_err(|e| fail(FOUND_WRONG, format_args!("{}: {e}", path.display())))
}

/// The file of one of several pages: `passes-001.svg`.
fn page_path(out: &Path, number: usize, pages: usize) -> PathBuf {
    if pages == 1 {
        return out.to_owned();
    }
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}-{number:03}.svg"))
}

fn bar(passes: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(passes as u64);
    let style = "{wide_bar} {pos}/{len} passes / 张  {eta}";
    ProgressStyle::with_template(style).map_or_else(|_| bar.clone(), |s| bar.clone().with_style(s))
}
