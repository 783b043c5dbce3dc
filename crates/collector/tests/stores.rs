//! The two databases keep the same: random transactions, some of which fail, are done to both,
//! and everything that can be asked of them is compared.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod postgres;

use collector::config::PostgresConfig;
use collector::message::Entry;
use collector::postgres::PostgresStore;
use collector::sqlite::SqliteStore;
use collector::{Archive, Report, ReportKind, Store as _, StoreError};
use domain::chain::Link;
use domain::command::DeviceName;
use domain::event::{Chain, Digest};
use jiff::Timestamp;
use postgres::Server;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Something within a transaction.
#[derive(Debug, Clone)]
enum Deed {
    Put {
        device: usize,
        seq: u64,
        gap: bool,
        withheld: bool,
    },
    Note {
        device: usize,
        seq: u64,
        beat: u64,
    },
    Concede {
        device: usize,
        from: u64,
        more: u64,
    },
    Report {
        device: Option<usize>,
        words: String,
    },
}

fn device(which: usize) -> DeviceName {
    ["garden/east", "garden/west", "hill/gate"][which]
        .parse()
        .unwrap()
}

fn wall(seq: u64) -> Timestamp {
    // Microseconds, the finest that both keep.
    Timestamp::from_microsecond(1_790_000_000_123_456 + seq as i64).unwrap()
}

fn digest(seq: u64) -> Digest {
    Digest::of(&seq.to_be_bytes())
}

fn entry(which: usize, seq: u64, gap: bool, withheld: bool) -> Entry {
    Entry {
        device: device(which),
        link: Link {
            seq,
            hash: digest(seq),
            prev: (!withheld).then(|| digest(seq - 1)),
            gap: (gap && !withheld && seq > 1).then_some((1, seq - 1)),
        },
        id: format!("id-{seq}"),
        time: wall(seq),
        kind: "passage".to_owned(),
        lane: seq.is_multiple_of(2).then(|| "in".to_owned()),
        late: seq.is_multiple_of(3),
        data: (!withheld).then(|| format!("{{\"plate\":\"苏E\",\"n\":{seq}}}").into_bytes()),
    }
}

/// Does the transaction; what was read in it, and whether it was kept. A number that is there is
/// not put again, as the clerk does not.
fn perform(store: &mut dyn Archive, deeds: &[Deed], fails: bool) -> (Vec<String>, bool) {
    let mut read = Vec::new();
    let done = store.batch(&mut |book| {
        read.clear();
        for deed in deeds {
            match deed {
                Deed::Put {
                    device: which,
                    seq,
                    gap,
                    withheld,
                } => {
                    let name = device(*which);
                    let there = book.hash(&name, *seq)?;
                    read.push(format!("{there:?}"));
                    if there.is_none() {
                        book.put(&entry(*which, *seq, *gap, *withheld), wall(*seq))?;
                    }
                }
                Deed::Note {
                    device: which,
                    seq,
                    beat,
                } => {
                    let name = device(*which);
                    let standing = book.standing(&name)?;
                    read.push(format!("{standing:?}"));
                    let end = Chain {
                        seq: *seq,
                        head: digest(*seq),
                    };
                    book.note(&name, end, (*seq, *beat), wall(*beat))?;
                }
                Deed::Concede {
                    device: which,
                    from,
                    more,
                } => {
                    book.concede(&device(*which), (*from, from + more), "why", wall(*from))?;
                }
                Deed::Report {
                    device: which,
                    words,
                } => {
                    let report = Report {
                        device: which.map(device),
                        kind: ReportKind::Hole,
                        message: words.clone(),
                    };
                    book.report(&report, wall(7))?;
                }
            }
        }
        if fails {
            return Err(StoreError::Database("it was told to fail".into()));
        }
        Ok(())
    });
    (read, done.is_ok())
}

/// Everything that can be asked.
fn all(store: &mut dyn Archive) -> String {
    let entries: Vec<_> = (0..3)
        .map(|which| store.entries(&device(which), 2, 1000).unwrap())
        .collect();
    format!(
        "{:?}\n{:?}\n{entries:?}",
        store.devices().unwrap(),
        store.reports(1000).unwrap()
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0..3_usize, 1..20_u64, any::<bool>(), any::<bool>())
            .prop_map(|(device, seq, gap, withheld)| Deed::Put { device, seq, gap, withheld }),
        2 => (0..3_usize, 0..20_u64, 0..9_u64)
            .prop_map(|(device, seq, beat)| Deed::Note { device, seq, beat }),
        1 => (0..3_usize, 1..20_u64, 0..5_u64)
            .prop_map(|(device, from, more)| Deed::Concede { device, from, more }),
        1 => (prop::option::of(0..3_usize), "[^\0]{0,12}")
            .prop_map(|(device, words)| Deed::Report { device, words }),
    ]
}

fn place(server: &Server) -> PostgresConfig {
    let section: toml::Table = server.section().parse().unwrap();
    section["postgres"].clone().try_into().unwrap()
}

#[test]
fn both_databases_keep_the_same() {
    let server = Server::new("");
    let transactions = prop::collection::vec(
        (
            prop::collection::vec(deed(), 0..12),
            prop::bool::weighted(0.2),
        ),
        1..12,
    );
    let mut runner = TestRunner::new(Config::with_cases(40));
    runner
        .run(&transactions, |transactions| {
            server.query("DROP TABLE IF EXISTS layout, device, entry, conceded, report");
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut one = SqliteStore::open(file.path()).unwrap();
            let mut other = PostgresStore::open(&place(&server), None).unwrap();
            for (deeds, fails) in &transactions {
                let (a, b) = (
                    perform(&mut one, deeds, *fails),
                    perform(&mut other, deeds, *fails),
                );
                prop_assert_eq!(a, b);
            }
            prop_assert_eq!(all(&mut one), all(&mut other));
            // What was written is there for the next program as well.
            let mut again = PostgresStore::open(&place(&server), None).unwrap();
            prop_assert_eq!(all(&mut one), all(&mut again));
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_collectors_that_wait_for_each_other_both_get_through() {
    let server = Server::new("deadlock_timeout = '50ms'");
    let both = std::sync::Barrier::new(2);
    let write = |first: usize, second: usize, seq: u64| {
        let mut store = PostgresStore::open(&place(&server), None).unwrap();
        let mut tries = 0;
        store
            .batch(&mut |book| {
                tries += 1;
                book.put(&entry(first, seq, false, false), wall(seq))?;
                if tries == 1 {
                    both.wait();
                }
                book.put(&entry(second, seq, false, false), wall(seq))
            })
            .unwrap();
        tries
    };
    let tries = std::thread::scope(|scope| {
        let other = scope.spawn(|| write(1, 0, 2));
        write(0, 1, 1) + other.join().unwrap()
    });
    assert!(tries > 2, "they did not meet");
    assert_eq!(
        server.query("SELECT count(*) FROM entry").as_deref(),
        Some("4")
    );
}

/// What the database itself would refuse for ever comes in an envelope that a stranger changed.
#[test]
fn whatever_an_envelope_says_is_kept() {
    let server = Server::new("");
    let mut store = PostgresStore::open(&place(&server), None).unwrap();
    let odd = Entry {
        id: "a\0b".to_owned(),
        kind: "\0".to_owned(),
        lane: Some("\0".to_owned()),
        time: Timestamp::MIN,
        ..entry(0, 1, false, true)
    };
    let late = Entry {
        time: Timestamp::MAX,
        ..entry(0, 2, false, true)
    };
    store
        .batch(&mut |book| {
            book.put(&odd, Timestamp::MIN)?;
            book.put(&late, Timestamp::MAX)
        })
        .unwrap();
    assert_eq!(
        server
            .query("SELECT id, time FROM entry WHERE seq = 1")
            .as_deref(),
        Some("a\u{fffd}b|0001-01-01 00:00:00+00")
    );
}

#[test]
fn a_server_that_is_away_is_said_and_found_again() {
    let mut server = Server::new("");
    let mut store = PostgresStore::open(&place(&server), None).unwrap();
    let mut put = |seq| store.batch(&mut |book| book.put(&entry(0, seq, false, false), wall(seq)));
    put(1).unwrap();
    server.crash();
    let away = put(2).unwrap_err().to_string();
    assert!(
        away.contains("not acknowledged until it works again"),
        "{away}"
    );
    put(2).unwrap_err();
    server.start();
    put(2).unwrap();
    assert_eq!(
        server.query("SELECT max(seq) FROM entry").as_deref(),
        Some("2")
    );
}

#[test]
fn a_server_that_cannot_be_relied_on_is_refused() {
    let careless = Server::new("fsync = off");
    let refused = PostgresStore::open(&place(&careless), None).unwrap_err();
    assert!(matches!(refused, StoreError::Careless), "{refused}");
    let server = Server::new("");
    PostgresStore::open(&place(&server), None).unwrap();
    server.query("UPDATE layout SET version = 2").unwrap();
    let newer = PostgresStore::open(&place(&server), None).unwrap_err();
    assert!(
        matches!(newer, StoreError::Newer { found: 2, known: 1 }),
        "{newer}"
    );
    server.query("UPDATE layout SET version = 1").unwrap();
    let mut nobody = place(&server);
    nobody.user = "nobody-here".to_owned();
    let unknown = PostgresStore::open(&nobody, None).unwrap_err().to_string();
    assert!(unknown.contains("nobody-here"), "{unknown}");
}
