//! Journal and register under `kill -9`, with a real process and a real sled.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use access::Ledger;
use access::journal::Stamp;
use domain::PlateNumber;
use jiff::Timestamp;
use uuid::Uuid;

const KILLS: u32 = 20;

/// The example beside this test's own folder; cargo builds examples with the tests.
fn writer() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/ledger_writer")
}

/// What the writers said, over all their lives.
#[derive(Default)]
struct Promised {
    journal: u64,
    rows: BTreeSet<PlateNumber>,
    /// A change whose word the kill may have cut off.
    rounds: u32,
}

impl Promised {
    fn hear(&mut self, said: &str) {
        // A kill may cut the last line in half; what was not said whole was not promised.
        for line in said.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let (word, rest) = line.trim_end().split_once(' ').unwrap();
            match word {
                "journal" => self.journal = rest.parse().unwrap(),
                "row" => {
                    self.rows.insert(rest.parse().unwrap());
                }
                "gone" => {
                    self.rows.remove(&rest.parse().unwrap());
                }
                "imported" => {
                    let number: u64 = rest.parse().unwrap();
                    self.rows = (0..50)
                        .map(|n| format!("浙A{:05}", (number * 50 + n) % 100_000))
                        .map(|t| t.parse().unwrap())
                        .collect();
                }
                other => panic!("the writer said {other}"),
            }
            self.rounds += 1;
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("store");
    let mut promised = Promised::default();
    let mut dice: u64 = 0x2545_f491_4f6c_dd1d;
    for round in 0..KILLS {
        let mut child = Command::new(writer())
            .arg(&store)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example ledger_writer is built with the tests");
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut said = String::new();
        let mut words = BufReader::new(child.stdout.take().unwrap());
        // On a loaded machine the store takes long to open. Most kills come after the first
        // word, so that there is something to keep; some come whenever they come.
        if round % 4 != 3 {
            words.read_line(&mut said).unwrap();
        }
        std::thread::sleep(Duration::from_millis((dice >> 33) % 500));
        child.kill().unwrap();
        words.read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        let mut errors = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        assert_eq!(status.code(), None, "the writer ended by itself: {errors}");
        promised.hear(&said);

        // A copy is looked at, so that this process never opens one folder twice, and the
        // next writer finds exactly what the kill left.
        let copy = home.path().join(format!("copy-{round}"));
        copy_folder(&store, &copy);
        check(&copy, &mut promised);
        std::fs::remove_dir_all(&copy).unwrap();
    }
    assert!(
        promised.rounds >= KILLS / 2,
        "only {} promises",
        promised.rounds
    );
}

fn check(folder: &Path, promised: &mut Promised) {
    let mut stamps = || Stamp {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        clock_trusted: true,
    };
    let opened = Ledger::open(folder, &mut stamps).unwrap();
    assert!(opened.reports.is_empty(), "{:?}", opened.reports);
    let ledger = opened.ledger;
    let verified = ledger.journal().verify().unwrap().unwrap();
    assert!(verified.gaps.is_empty());
    assert_eq!(verified.entries, verified.last);
    assert!(
        verified.last >= promised.journal,
        "{} of {} synced entries are there",
        verified.last,
        promised.journal
    );
    let rows: BTreeSet<PlateNumber> = ledger
        .registry()
        .unwrap()
        .vehicles()
        .iter()
        .map(|v| v.plate.clone())
        .collect();
    // The one change under way may or may not count, whole.
    let differ: Vec<_> = rows.symmetric_difference(&promised.rows).collect();
    let imported = rows.len() == 50 && rows.iter().all(|p| p.as_str().starts_with('浙'));
    assert!(differ.len() <= 1 || imported, "{differ:?}");
    promised.rows = rows;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
