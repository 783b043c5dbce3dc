//! `menshen registry import`: a list looked at, reported on, and taken whole or not at all.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use access::registry::export::write_in_place;
use access::registry::import::{
    Draft, FILE_BYTES, ImportError, ImportOptions, Progress, Stage, Topic, examine,
};
use access::registry::{Vehicle, report};
use clap::Args;
use domain::PlateNumber;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Change, Place};
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};

/// Findings that are printed one by one; all of them stand in the report.
const PRINTED: usize = 40;

/// `menshen registry import`.
#[derive(Debug, Args)]
#[command(after_help = "\
The usual way / 通常的步骤:
  menshen registry import cars.xlsx --dry-run --report found.html --report marked.xlsx
                              look at every row; store nothing / 先检查，不导入
  (correct the coloured cells of marked.xlsx / 改正标色的单元格)
  menshen registry import marked.xlsx
                              take the list, whole or not at all / 全部导入或完全不导入

Errors (an impossible plate, a plate twice, a bad date) must be corrected; warnings (plates one
character apart, odd telephone numbers, missing owners) are for a person to look at.
错误必须改正；提示请人工核对。")]
pub(crate) struct ImportArgs {
    /// The list: .xlsx, or .csv in UTF-8 or GB18030 / 表格文件
    ///
    /// Columns in any order, English or Chinese: plate 车牌, owner 车主, building 楼栋, unit 单元,
    /// phone 电话, `valid_until` 有效期至; and where needed household 户号, kind 号牌种类, colour 颜色,
    /// make 品牌, `lease_until` 租约至, schedule 时段, `verified_by` 核实人.
    file: PathBuf,
    /// Only look at the list, store nothing / 只检查，不导入
    #[arg(long)]
    dry_run: bool,
    /// Write what was found: a page (.html) or the list with its problem cells marked (.xlsx);
    /// may be given twice / 检查报告
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Leave wrong rows out and take the others / 跳过有误的行
    #[arg(long)]
    skip_bad: bool,
    /// Do not ask before storing / 不再询问
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs `menshen registry import`.
pub(super) fn run(args: &ImportArgs) -> Result<(), u8> {
    let file = &args.file;
    let bytes = read_list(file)?;
    let bar = bar();
    let today = Timestamp::now()
        .to_zoned_datetime(TimeZone::system())
        .date();
    let draft = examine(&bytes, Some(today), &mut |step| show(&bar, step));
    bar.finish_and_clear();
    let draft = draft.map_err(|e| fail(FOUND_WRONG, format_args!("{}: {e}", file.display())))?;
    drop(bytes);
    for path in &args.report {
        write_report(path, file, &draft)?;
    }
    print_findings(file, &draft);
    let options = ImportOptions {
        skip_bad: args.skip_bad,
    };
    let (rows, warnings) = (draft.table.rows.len(), draft.warnings().count());
    let mut imported = draft.accept(options).map_err(|e| match e {
        ImportError::BadRows(faults) => fail(
            FOUND_WRONG,
            format_args!(
                "{}: {} errors, {warnings} warnings in {rows} rows; nothing was stored / 共 {rows} 行，{} 处错误，{warnings} 处提示，未导入",
                file.display(),
                faults.len(),
                faults.len()
            ),
        ),
        other => fail(FOUND_WRONG, format_args!("{}: {other}", file.display())),
    })?;
    for fault in &imported.skipped {
        eprintln!("{}: left out / 已跳过: {fault}", file.display());
    }
    let count = imported.vehicles.len();
    if args.dry_run {
        println!(
            "{count} vehicles would be registered; nothing was stored / 检查通过 {count} 辆，未导入"
        );
        return Ok(());
    }
    let held = args.place.perform(Change::List)?;
    imported.keep(&held.vehicles);
    let differ = Difference::between(&held.vehicles, &imported.vehicles);
    println!(
        "new {}, changed {}, taken out {}, as before {} / 新增 {}，修改 {}，删除 {}，不变 {}",
        differ.new,
        differ.changed,
        differ.gone,
        differ.same,
        differ.new,
        differ.changed,
        differ.gone,
        differ.same
    );
    let odd = warnings > 0 || differ.gone * 10 > held.vehicles.len();
    if odd && !args.yes && !confirmed(warnings, differ.gone)? {
        println!("nothing was stored / 未导入");
        return Ok(());
    }
    let spinner = storing(count);
    let outcome = args.place.perform(Change::Import {
        vehicles: imported.vehicles,
    });
    spinner.finish_and_clear();
    let outcome = outcome?;
    println!(
        "registered: {} vehicles (before: {}) / 已登记 {} 辆（原有 {} 辆）",
        outcome.count, outcome.before, outcome.count, outcome.before
    );
    Ok(())
}

/// Reads a file that may be anything, and never more of it than a register can have.
pub(crate) fn read_list(file: &Path) -> Result<Vec<u8>, u8> {
    let unreadable = |e: io::Error| fail(WRONG_USAGE, format_args!("{}: {e}", file.display()));
    let too_large = |found: u64| {
        let error = ImportError::TooLarge { found };
        fail(FOUND_WRONG, format_args!("{}: {error}", file.display()))
    };
    let opened = File::open(file).map_err(unreadable)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    if length > FILE_BYTES as u64 {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    // A pipe has no length, and a file may grow while it is read.
    opened
        .take(FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > FILE_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn bar() -> ProgressBar {
    if io::stderr().is_terminal() {
        ProgressBar::no_length()
    } else {
        ProgressBar::hidden()
    }
}

fn show(bar: &ProgressBar, step: Progress) {
    let words = match step.stage {
        Stage::Reading => "reading / 读取",
        Stage::Checking => "checking / 检查",
    };
    let template = if step.of.is_some() {
        "{msg} {bar:30} {percent}%"
    } else {
        "{msg} {pos}"
    };
    if bar.message() != words
        && let Ok(style) = ProgressStyle::with_template(template)
    {
        bar.set_style(style);
        bar.set_message(words);
    }
    if let Some(of) = step.of {
        bar.set_length(of);
    }
    bar.set_position(step.done);
}

fn storing(count: usize) -> ProgressBar {
    let bar = bar();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(format!("storing {count} rows / 正在写入 {count} 行"));
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

fn write_report(path: &Path, list: &Path, draft: &Draft) -> Result<(), u8> {
    let failed =
        |e: &dyn std::fmt::Display| fail(FOUND_WRONG, format_args!("{}: {e}", path.display()));
    let name = list
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("html" | "htm") => report::html(&name, draft).into_bytes(),
        Some("xlsx") => report::xlsx(draft).map_err(|e| failed(&e))?,
        _ => {
            return Err(fail(
                WRONG_USAGE,
                format_args!(
                    "{}: a report ends in .html (a page) or .xlsx (the list, marked)",
                    path.display()
                ),
            ));
        }
    };
    write_in_place(path, &bytes).map_err(|e| failed(&e))?;
    eprintln!("{}: report / 检查报告", path.display());
    Ok(())
}

fn print_findings(file: &Path, draft: &Draft) {
    for finding in draft.findings.iter().take(PRINTED) {
        eprintln!("{}: {finding}", file.display());
    }
    if draft.findings.len() > PRINTED {
        let more = draft.findings.len() - PRINTED;
        eprintln!(
            "{}: and {more} more; write them all with --report found.html / 另有 {more} 处，用 --report found.html 查看全部",
            file.display()
        );
    }
    for topic in Topic::ALL {
        let count = draft.findings.iter().filter(|f| f.topic == *topic).count();
        if count > 0 {
            eprintln!("{count:6}  {} / {}", topic.english(), topic.chinese());
        }
    }
    for note in &draft.notes {
        eprintln!("{}: note / 提示: {note}", file.display());
    }
}

/// Asks the person at the terminal. Where nobody sits, whoever wrote the command has decided.
fn confirmed(warnings: usize, gone: usize) -> Result<bool, u8> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    print!(
        "{warnings} warnings, {gone} vehicles would be taken out. Store the list? [y/N] / 有 {warnings} 处提示，将删除 {gone} 辆。确定导入？[y/N] "
    );
    io::stdout().flush().map_err(|e| fail(FOUND_WRONG, e))?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|e| fail(FOUND_WRONG, e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "是"))
}

/// How a list differs from the register that holds.
struct Difference {
    new: usize,
    changed: usize,
    gone: usize,
    same: usize,
}

impl Difference {
    fn between(held: &[Vehicle], list: &[Vehicle]) -> Self {
        let mut held: HashMap<&PlateNumber, &Vehicle> =
            held.iter().map(|v| (&v.plate, v)).collect();
        let (mut new, mut changed, mut same) = (0, 0, 0);
        for vehicle in list {
            match held.remove(&vehicle.plate) {
                None => new += 1,
                Some(before) if before == vehicle => same += 1,
                Some(_) => changed += 1,
            }
        }
        Self {
            new,
            changed,
            gone: held.len(),
            same,
        }
    }
}
