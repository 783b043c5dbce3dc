//! How long a list of many rows takes, from its bytes to the store, in every format.
//!
//! `cargo run --release -p access --example import_rows [ROWS]`

mod town;

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use access::Ledger;
use access::registry::export::{Header, to_csv, to_xlsx};
use access::registry::import::{ImportOptions, examine};
use access::registry::report;
use jiff::civil::date;

use town::{stamp, vehicles};

fn main() -> Result<(), Box<dyn Error>> {
    let rows = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 100_000,
    };
    let list = vehicles(rows)?;
    let csv = to_csv(&list, Header::Chinese);
    let text = String::from_utf8(csv.clone())?;
    let (gb18030, _, _) = encoding_rs::GB18030.encode(text.trim_start_matches('\u{feff}'));
    let began = Instant::now();
    let xlsx = to_xlsx(&list, Header::Chinese)?;
    println!("export to XLSX: {:.1?}", began.elapsed());
    for (name, bytes) in [
        ("CSV, UTF-8", csv),
        ("CSV, GB18030", gb18030.into_owned()),
        ("XLSX", xlsx),
    ] {
        let folder = tempfile::tempdir()?;
        let mut ledger = Ledger::open(folder.path(), &mut stamp)?.ledger;
        let began = Instant::now();
        let mut said = Duration::ZERO;
        let draft = examine(&bytes, Some(date(2026, 11, 25)), &mut |step| {
            if began.elapsed() >= said + Duration::from_millis(250) {
                said = began.elapsed();
                eprint!("\r{name}: {:?} {}   ", step.stage, step.done);
                // What cannot be shown is no reason to stop.
                let _ = std::io::stderr().flush();
            }
        })?;
        let looked = began.elapsed();
        let found = draft.findings.len();
        let page = report::html("list", &draft).len();
        let imported = draft.accept(ImportOptions::default())?;
        let changed = ledger.import(imported, "bench", stamp())?;
        let all = began.elapsed();
        println!(
            "\r{name}: {} rows, {} MB: read and checked in {looked:.2?} ({found} findings, page of {page} bytes), stored after {all:.2?}",
            changed.view.len(),
            bytes.len() / 1_000_000,
        );
        let began = Instant::now();
        ledger.add(changed.view.vehicles()[0].clone(), "bench", stamp())?;
        let one = began.elapsed();
        let began = Instant::now();
        let wrong = ledger.verify_registry()?;
        println!(
            "  one change, durable: {one:.2?}; verified in {:.2?}: {} things wrong",
            began.elapsed(),
            wrong.len()
        );
    }
    Ok(())
}
