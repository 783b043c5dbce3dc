//! Writes to a ledger until it is killed, and says on standard output what it may promise:
//! `tests/kill.rs` kills it and checks.
//!
//! `ledger_writer FOLDER`: lines `journal N` (synced up to N), `acked N`, `row PLATE` and
//! `gone PLATE` (durable changes of the register), `imported N` (the register now holds the
//! numbers of round N alone).

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use access::Ledger;
use access::journal::Stamp;
use access::registry::Vehicle;
use access::registry::import::{ImportOptions, parse};
use domain::{Event, PlateNumber};
use jiff::Timestamp;
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("FOLDER is missing")?;
    let mut stamps = || Stamp {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        clock_trusted: true,
    };
    let opened = Ledger::open(Path::new(&folder), &mut stamps)?;
    if !opened.reports.is_empty() {
        return Err(opened.reports.join("; ").into());
    }
    let mut ledger = opened.ledger;
    let mut out = std::io::stdout();
    let mut say = |line: String| -> std::io::Result<()> {
        writeln!(out, "{line}")?;
        out.flush()
    };
    let start = ledger.journal().end().seq;
    for round in 0_u64.. {
        let batch = (0..3)
            .map(|n| {
                let event = Event::Alarm {
                    code: "writer".into(),
                    message: format!("round {round}, event {n}"),
                };
                (stamps(), event)
            })
            .collect();
        ledger.append_batch(batch)?;
        say(format!("journal {}", ledger.sync()?))?;
        let number = (start + round) % 100_000;
        let plate = PlateNumber::parse(&format!("苏E{number:05}"))?;
        ledger.add(Vehicle::new(plate.clone()), "writer", stamps())?;
        say(format!("row {plate}"))?;
        if round % 3 == 2 {
            ledger.remove(&plate, "writer", stamps())?;
            say(format!("gone {plate}"))?;
        }
        if round % 20 == 19 {
            let rows = (0..50).map(|n| format!("浙A{:05}", (number * 50 + n) % 100_000));
            let text: Vec<String> = std::iter::once("plate".to_owned()).chain(rows).collect();
            let text = text.join("\n");
            let list = parse(text.as_bytes(), ImportOptions::default())?;
            ledger.import(list, "writer", stamps())?;
            say(format!("imported {number}"))?;
        }
        if let Some((last, _)) = ledger.pending(0, 5)?.last() {
            ledger.acknowledge(*last)?;
        }
    }
    Ok(())
}
