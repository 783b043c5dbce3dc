//! Whether a store stays fast with very many passages and a large register.
//!
//! `cargo run --release -p access --example passages [PASSAGES [VEHICLES [FOLDER]]]`
//!
//! Passages are written as the gate writes them, in batches that are synced, and acknowledged as
//! the committee's server does; after each tenth of them is shown what the work of a day costs.

mod town;

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use access::Ledger;
use access::journal::Stamp;
use access::registry::export::{Header, to_csv};
use access::registry::import::{ImportOptions, parse};
use domain::{
    Decision, Direction, Event, Name, Outcome, PassageId, PassageRecord, PlateNumber, Reason,
};
use jiff::{Timestamp, ToSpan as _};

use town::{stamp, vehicles};

/// Passages of one batch.
const BATCH: u64 = 500;

/// The passage of a vehicle, five seconds after the one before it.
fn passage(n: u64, plates: &[PlateNumber], lanes: &[Name; 2]) -> (Stamp, Event) {
    let stamp = stamp();
    let began = Timestamp::UNIX_EPOCH + (5 * n as i64).seconds();
    let exits = n % 2 == 1;
    // Each comes in, and goes out some hundred passages later.
    let which = if exits { n.saturating_sub(801) } else { n } / 2;
    let record = PassageRecord {
        passage: PassageId(stamp.id),
        lane: lanes[usize::from(exits)].clone(),
        direction: if exits {
            Direction::Exit
        } else {
            Direction::Entry
        },
        began,
        ended: began + 9.seconds(),
        decision: Some(Decision::Admit),
        reason: Some(if exits {
            Reason::ExitOpen
        } else {
            Reason::Registered
        }),
        plate: plates.get(which as usize * 7919 % plates.len()).cloned(),
        pass: None,
        kind: None,
        outcome: Outcome::Passed,
        readings: 7,
        shadow: false,
        pictures: vec![
            format!("2026/11/27/{}-frame.jpg", stamp.id),
            format!("2026/11/27/{}-plate.jpg", stamp.id),
        ],
    };
    (stamp, Event::Passage(Box::new(record)))
}

/// Memory that this process holds, in MiB, where the system tells.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |at: usize| std::env::args().nth(at);
    let passages: u64 = argument(1).map_or(Ok(10_000_000), |text| text.parse())?;
    let count: u32 = argument(2).map_or(Ok(100_000), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let given = argument(3);
    let folder = given.as_ref().map_or(temporary.path(), Path::new);

    let list = vehicles(count)?;
    let plates: Vec<PlateNumber> = list.iter().map(|v| v.plate.clone()).collect();
    let lanes: [Name; 2] = ["entry".parse()?, "exit".parse()?];
    let mut ledger = Ledger::open(folder, &mut stamp)?.ledger;
    let imported = parse(&to_csv(&list, Header::English), ImportOptions::default())?;
    let (_, took) = timed(|| ledger.import(imported, "measure", stamp()));
    println!("{count} vehicles stored in {took:.2?}, {} MiB", memory());

    let mut slowest = Duration::ZERO;
    let mut began = Instant::now();
    let tenth = (passages / 10).max(BATCH);
    let mut written = 0;
    while written < passages {
        let batch = (written..passages.min(written + BATCH))
            .map(|n| passage(n, &plates, &lanes))
            .collect();
        let (synced, took) = timed(|| {
            ledger.append_batch(batch)?;
            ledger.sync()
        });
        slowest = slowest.max(took);
        ledger.acknowledge(synced?)?;
        let before = written / tenth;
        written = passages.min(written + BATCH);
        if written / tenth == before && written < passages {
            continue;
        }
        let rate = tenth as f64 / began.elapsed().as_secs_f64();
        print!(
            "{written} passages: {rate:.0} a second, slowest batch of {BATCH} {slowest:.2?}, {} MB, {} MiB memory; ",
            ledger.store_size()? / 1_000_000,
            memory()
        );
        let _ = std::io::stdout().flush();
        day(&mut ledger, &plates, &lanes, written)?;
        (began, slowest) = (Instant::now(), Duration::ZERO);
    }
    drop(ledger);
    let (opened, took) = timed(|| Ledger::open(folder, &mut stamp));
    let opened = opened?;
    println!(
        "opened again in {took:.2?}: {} reports, {} vehicles inside, {} MiB",
        opened.reports.len(),
        opened.ledger.inside().stays().len(),
        memory()
    );
    let (wrong, took) = timed(|| opened.ledger.verify_registry());
    println!(
        "register verified in {took:.2?}: {} things wrong",
        wrong?.len()
    );
    Ok(())
}

/// What the work of a day costs: one passage durable, one change of the register durable, an entry
/// from the journal's middle.
fn day(
    ledger: &mut Ledger,
    plates: &[PlateNumber],
    lanes: &[Name; 2],
    written: u64,
) -> Result<(), Box<dyn Error>> {
    let mut singles = Vec::new();
    for n in 0..21 {
        let one = vec![passage(written + n, plates, lanes)];
        let (done, took) = timed(|| {
            ledger.append_batch(one)?;
            ledger.sync()
        });
        ledger.acknowledge(done?)?;
        singles.push(took);
    }
    singles.sort_unstable();
    let row = ledger.registry().and_then(|view| view.vehicles().first());
    let row = row.cloned().ok_or("an empty register")?;
    let (changed, change) = timed(|| ledger.add(row, "measure", stamp()));
    changed?;
    let middle = ledger.journal().end().seq / 2;
    let (entries, look) = timed(|| ledger.journal().entries(middle, 500));
    println!(
        "one durable in {:.2?} (slowest of 21 {:.2?}), one change of the register in {change:.2?}, {} entries from the middle in {look:.2?}",
        singles[10],
        singles[20],
        entries?.len()
    );
    Ok(())
}
