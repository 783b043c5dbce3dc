//! `menshen registry proposals` as a person uses it, on a store with weeks of passages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::{Command, Output};

use access::Ledger;
use access::journal::Stamp;
use access::registry::Vehicle;
use domain::{Decision, Direction, Event, Outcome, PassageId, PassageRecord, PlateNumber, Reason};
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use uuid::Uuid;

struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let example = include_str!("../../../config/examples/minimal.toml");
        let text = format!(
            "{example}\n[store]\nfolder = \"{}\"\n[clock]\ntrusted = \"always\"\n",
            store.display()
        );
        std::fs::write(folder.path().join("menshen.toml"), text).unwrap();
        Self { folder }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn verb(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_menshen"))
            .arg("registry")
            .args(args)
            .arg("--config")
            .arg(self.folder.path().join("menshen.toml"))
            .args(["--by", "李伟"])
            .output()
            .unwrap()
    }

    /// What a verb that must succeed prints.
    fn done(&self, args: &[&str]) -> String {
        let output = self.verb(args);
        assert!(output.status.success(), "{args:?}: {}", both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn ids(&self, args: &[&str]) -> Vec<String> {
        let told = self.done(&[&["proposals", "--json"], args].concat());
        let id = |line: &str| {
            let one: Value = serde_json::from_str(line).unwrap();
            one["id"].as_str().unwrap().to_owned()
        };
        told.lines().map(id).collect()
    }

    fn plates(&self) -> Vec<String> {
        let told: Value = serde_json::from_str(&self.done(&["list", "--json"])).unwrap();
        let plate = |row: &Value| row["plate"].as_str().unwrap().to_owned();
        let mut plates: Vec<String> = told.as_array().unwrap().iter().map(plate).collect();
        plates.sort();
        plates
    }
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn plate(text: &str) -> PlateNumber {
    text.parse().unwrap()
}

fn ago(days: i64) -> Stamp {
    Stamp {
        id: Uuid::now_v7(),
        time: Timestamp::now() - (24 * days).hours(),
        clock_trusted: true,
    }
}

fn passage(number: &str, days: i64) -> (Stamp, Event) {
    let stamp = ago(days);
    let record = PassageRecord {
        passage: PassageId(stamp.id),
        lane: "entry".parse().unwrap(),
        direction: Direction::Entry,
        began: stamp.time,
        ended: stamp.time,
        decision: Some(Decision::Refuse),
        reason: Some(Reason::NotRegistered),
        plate: Some(plate(number)),
        pass: None,
        kind: None,
        outcome: Outcome::TurnedAway,
        readings: 5,
        shadow: false,
        pictures: Vec::new(),
    };
    (stamp, Event::Passage(Box::new(record)))
}

/// Three rows of old and one of yesterday. One vehicle comes, one never does, one comes with
/// another number than its row has; the newest has not had its time.
fn weeks(gate: &Gate) {
    let mut ledger = Ledger::open(&gate.store(), &mut || ago(30)).unwrap().ledger;
    for number in ["苏E11111", "苏E22222", "苏E33333"] {
        let mut row = Vehicle::new(plate(number));
        row.owner = format!("车主{number}");
        ledger.add(row, "test", ago(30)).unwrap();
    }
    let mut events = Vec::new();
    for day in (1..=12).rev() {
        events.push(passage("苏E11111", day));
        events.push(passage("苏E3333B", day));
        // A stranger that is like no row.
        events.push(passage("浙A98765", day));
    }
    ledger.append_batch(events).unwrap();
    ledger.sync().unwrap();
    let newest = Vehicle::new(plate("苏E44444"));
    ledger.add(newest, "test", ago(1)).unwrap();
}

#[test]
fn what_the_road_says_is_proposed_and_changes_nothing_until_it_is_accepted() {
    let gate = Gate::new();
    weeks(&gate);
    let before = gate.plates();
    let (slip, unseen) = ("苏E33333-is-苏E3333B", "unseen-苏E22222");
    assert_eq!(gate.ids(&[]), [slip, unseen]);
    // A slip takes more sightings than there were: then its row was not seen either.
    assert_eq!(
        gate.ids(&["--sightings", "13"]),
        [unseen, "unseen-苏E33333"]
    );
    let table = gate.done(&["proposals"]);
    for said in [slip, unseen, "车主苏E22222", "12", "12 times"] {
        assert!(table.contains(said), "{said}: {table}");
    }
    assert_eq!(gate.plates(), before, "to look changed something");

    let wrong = gate.verb(&[
        "proposals",
        "--accept",
        unseen,
        "--accept",
        "unseen-苏E11111",
    ]);
    assert_eq!(wrong.status.code(), Some(1), "{}", both(&wrong));
    assert!(both(&wrong).contains("unseen-苏E11111 is not proposed"));
    assert_eq!(gate.plates(), before, "half of what was named was accepted");

    let why = ["--why", "asked"];
    gate.done(
        &[
            &["proposals", "--accept", slip, "--accept", unseen],
            &why[..],
        ]
        .concat(),
    );
    assert_eq!(gate.plates(), ["苏E11111", "苏E3333B", "苏E44444"]);
    let row: Value = serde_json::from_str(&gate.done(&["show", "苏E3333B", "--json"])).unwrap();
    assert!(row.to_string().contains("车主苏E33333"), "{row}");
    assert!(gate.ids(&[]).is_empty());
    assert!(gate.done(&["verify"]).contains("sound"));

    let ledger = Ledger::open(&gate.store(), &mut || ago(0)).unwrap().ledger;
    let entries = ledger.journal().entries(1, 500).unwrap();
    let accepted = entries.iter().filter(|(_, text)| {
        let text = String::from_utf8_lossy(text);
        text.contains("asked") && text.contains("李伟")
    });
    assert_eq!(
        accepted.count(),
        2,
        "who accepted what is not in the journal"
    );
}

#[test]
fn a_young_journal_says_from_when_on_rows_are_proposed() {
    let gate = Gate::new();
    let mut ledger = Ledger::open(&gate.store(), &mut || ago(2)).unwrap().ledger;
    ledger
        .add(Vehicle::new(plate("苏E11111")), "test", ago(2))
        .unwrap();
    drop(ledger);
    let said = gate.done(&["proposals"]);
    assert!(said.contains("nothing is proposed"), "{said}");
    assert!(said.contains("the journal begins on"), "{said}");
}
