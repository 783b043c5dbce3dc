//! Runs the simulated compound without the rest of the program:
//! `cargo run --release -p sim --example compound -- PASSAGES SEED FAULTS [THREADS [MISTAKE]]`,
//! where MISTAKE is one that the mutation check builds in, by its name there (`SendsUnsynced`).

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sim::compound::{Blows, Sabotage, Settings, run};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (passages, seed) = (number(10_000), number(1));
    let faults = args.next().unwrap_or_else(|| "all".to_owned());
    let threads = args.next().and_then(|a| a.parse().ok()).unwrap_or(2);
    let mistake = args.next();
    let named = |wanted: &Sabotage| mistake.as_deref() == Some(&format!("{wanted:?}"));
    let sabotage = Sabotage::ALL.into_iter().find(named);
    if sabotage.is_none() && mistake.is_some() {
        eprintln!("no such mistake; use one of {:?}", Sabotage::ALL);
        return ExitCode::from(2);
    }
    let blows: Blows = match faults.parse() {
        Ok(blows) => blows,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(2);
        }
    };
    let settings = Settings {
        passages,
        seed,
        blows,
        threads,
        sabotage: sabotage.unwrap_or_default(),
    };
    let began = Instant::now();
    let done = AtomicU64::new(0);
    let told = |more: u64| {
        let before = done.fetch_add(more, Ordering::Relaxed);
        if (before + more) / 50_000 != before / 50_000 {
            eprintln!("{} passages after {:?}", before + more, began.elapsed());
        }
    };
    match run(&settings, &told) {
        Ok(report) => {
            let json = serde_json::to_string_pretty(&report).unwrap_or_default();
            println!("{json}");
            let never = report.unexercised(&settings.blows);
            println!("never exercised: {never:?}; took {:?}", began.elapsed());
            ExitCode::from(u8::from(!never.is_empty()))
        }
        Err(failure) => {
            for line in &failure.violation.trail {
                eprintln!("  {line}");
            }
            eprintln!("{failure}");
            ExitCode::from(1)
        }
    }
}
