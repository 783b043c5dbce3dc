//! `menshen sim`: a simulated compound, with every invariant checked after every step.
//!
//! The work is `sim::compound`; here are its switches, its progress bar and its report.

use std::io::{self, IsTerminal as _};

use ::sim::compound::report::{Guard, Habit};
use ::sim::compound::{Blow, Blows, Failure, Report, Sabotage, Settings, run as simulate};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::outcome::{DONE, FOUND_WRONG};

/// `menshen sim`.
#[derive(Debug, Args)]
#[command(
    long_about = "Plays a compound of three gates under a virtual clock: vehicles that stop, \
                  tailgate, turn back and stall, loops and relays that stick, a broker that \
                  vanishes, a store that loses writes, a daemon that is killed at any moment. The \
                  barrier, the decision, the journal and the delivery are the real ones. Every \
                  invariant is checked after every step; the first that does not hold ends the \
                  run with status 1, and its seed plays it again exactly.\n\n\
                  在虚拟时钟下模拟一个有三个道闸的小区：车辆、地感、继电器、网络、磁盘和程序本身都会\
                  出故障。每一步都检验全部安全规则；第一次违反即以状态 1 结束，用同一种子可以重现。"
)]
pub(crate) struct SimArgs {
    /// How many passages / 通行次数
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    passages: u64,
    /// The first world's seed / 随机种子
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// What may go wrong: all, none, or a list such as fire,kill-daemon / 故障种类
    #[arg(long, default_value = "all", value_name = "all|none|LIST")]
    faults: Blows,
    /// How many worlds at the same time; the machine's cores if not given / 并行数
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// One JSON object on standard output / 以 JSON 输出
    #[arg(long)]
    json: bool,
}

/// Simulates, reports, and says with the exit status whether every invariant held and nothing
/// that was asked for was left out.
pub(crate) fn run(args: &SimArgs) -> u8 {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let settings = Settings {
        passages: args.passages,
        seed: args.seed,
        blows: args.faults.clone(),
        threads: args.threads.unwrap_or_else(cores),
        sabotage: Sabotage::None,
    };
    let bar = progress(args.passages);
    let played = simulate(&settings, &|more| bar.inc(more));
    bar.finish_and_clear();
    match played {
        Ok(report) => held(args, &report),
        Err(failure) => broken(args, &failure),
    }
}

fn progress(passages: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(passages);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta}") {
        bar.set_style(style);
    }
    bar
}

fn held(args: &SimArgs, report: &Report) -> u8 {
    let never = report.unexercised(&args.faults);
    if args.json {
        let value = json!({
            "seed": args.seed,
            "faults_asked": args.faults.to_string(),
            "violations": 0,
            "never_exercised": never,
            "report": report,
        });
        println!("{value}");
    } else {
        print_report(report);
        println!();
        println!("0 invariant violations / 没有违反安全规则");
        if !never.is_empty() {
            println!(
                "never exercised, so not shown / 未触发，不能算验证: {}",
                never.join(", ")
            );
        }
    }
    if never.is_empty() { DONE } else { FOUND_WRONG }
}

fn print_report(report: &Report) {
    let hours = report.simulated_ms as f64 / 3_600_000.0;
    println!(
        "{} passages of {} vehicles, {} relay edges, {} journal entries, {} steps, {hours:.1} \
         simulated hours",
        report.passages, report.vehicles, report.edges, report.entries, report.steps
    );
    println!("\nfaults / 故障");
    for &blow in Blow::ALL {
        println!("  {:<18} {:>10}", blow.word(), report.fell(blow));
    }
    println!("\nguards that intervened, by invariant / 起作用的规则");
    for &guard in Guard::ALL {
        let (number, word) = (guard.invariant(), guard.word());
        println!("  {number:>2} {word:<18} {:>10}", report.intervened(guard));
    }
    println!("\nvehicles / 车辆");
    for habit in Habit::ALL {
        println!("  {:<18} {:>10}", habit.word(), report.came(habit));
    }
}

fn broken(args: &SimArgs, failure: &Failure) -> u8 {
    if args.json {
        let value = json!({
            "violations": 1,
            "invariant": failure.violation.invariant,
            "what": failure.violation.what,
            "trail": failure.violation.trail,
            "seed": failure.seed,
            "passages": failure.passages,
            "step": failure.step,
            "faults_asked": failure.faults,
        });
        println!("{value}");
    } else {
        for line in &failure.violation.trail {
            println!("  {line}");
        }
        println!("{failure}");
        println!(
            "违反第 {} 条安全规则；用上面的命令可以重现",
            failure.violation.invariant
        );
    }
    FOUND_WRONG
}
