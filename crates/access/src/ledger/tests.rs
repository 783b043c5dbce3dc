#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use jiff::civil::date;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::registry::Label;
use crate::registry::book::Household;
use crate::store::{Crash, MemoryStore};

fn counter() -> impl FnMut() -> Stamp {
    let mut n = 0;
    move || {
        n += 1;
        Stamp {
            id: Uuid::from_u128(n),
            time: Timestamp::from_second(1_800_000_000 + n as i64).unwrap(),
            clock_trusted: true,
        }
    }
}

fn vehicle(n: u8) -> Vehicle {
    Vehicle::new(PlateNumber::parse(&format!("苏E{n:05}")).unwrap())
}

fn plates(view: &RegistryView) -> Vec<PlateNumber> {
    view.vehicles().iter().map(|v| v.plate.clone()).collect()
}

#[test]
fn a_lost_store_is_restored_from_its_copy_and_no_number_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut stamps = counter();
    {
        let mut ledger = Ledger::open(folder.path(), &mut stamps).unwrap().ledger;
        let mut row = vehicle(1);
        row.owner = "=1".into();
        row.valid_until = Some(date(2026, 12, 31));
        row.household = Some(Label::parse("3-2-501").unwrap());
        let household = Household {
            id: Label::parse("3-2-501").unwrap(),
            contact: "王".into(),
            phone: String::new(),
            fee_paid_until: None,
            restriction: None,
        };
        let both = [
            Edit::Put(Record::Household(household)),
            Edit::Put(Record::Vehicle(Box::new(row))),
        ];
        ledger
            .transact(&both, "test", "moved in", stamps())
            .unwrap();
        ledger.add(vehicle(2), "test", stamps()).unwrap();
        ledger.remove(&vehicle(2).plate, "test", stamps()).unwrap();
        ledger.acknowledge(1).unwrap();
        assert_eq!(ledger.journal().end().seq, 3);
    }
    // The disk turns to nonsense. In place of a second opening in one process, which sled
    // does not allow, the files go to a new folder.
    let second = tempfile::tempdir().unwrap();
    for file in [EXPORT, RECORDS, RESERVE] {
        fs::copy(folder.path().join(file), second.path().join(file)).unwrap();
    }
    fs::create_dir(second.path().join("sled")).unwrap();
    fs::write(
        second.path().join("sled/conf"),
        b"sled never wrote this line",
    )
    .unwrap();
    fs::write(second.path().join("sled/db"), [7; 600]).unwrap();
    let Opened {
        mut ledger,
        reports,
    } = Ledger::open(second.path(), &mut stamps).unwrap();
    assert!(
        reports.iter().any(|r| r.contains("set aside")),
        "{reports:?}"
    );
    assert!(reports.iter().any(|r| r.contains("was restored")));
    let view = ledger.registry().unwrap();
    assert_eq!(view.len(), 1);
    assert_eq!(view.vehicles()[0].owner, "=1");
    assert_eq!(view.vehicles()[0].valid_until, Some(date(2026, 12, 31)));
    assert!(view.version() > 3);
    assert_eq!(view.book().len(), 1);
    assert_eq!(
        view.vehicles_of(&Label::parse("3-2-501").unwrap()).count(),
        1
    );
    assert_eq!(ledger.verify_registry().unwrap(), Vec::<String>::new());
    let pending = ledger.pending(0, 100).unwrap();
    assert!(pending[0].0 > 3 + RESERVED / 2, "{}", pending[0].0);
    let first: domain::Entry = serde_json::from_slice(&pending[0].1).unwrap();
    assert!(matches!(first.event, Event::Gap { to, .. } if to + 1 == pending[0].0));
    ledger.journal().verify().unwrap().unwrap();
}

#[test]
fn a_store_that_was_emptied_or_put_back_is_noticed() {
    let mut stamps = counter();
    let end = Reserve {
        upto: 5000,
        durable: 5000 - RESERVED,
        acked: 3000,
        head: Digest::START,
        registry_version: 0,
    };
    let emptied = tempfile::tempdir().unwrap();
    write_reserve(emptied.path(), end).unwrap();
    let opened = Ledger::open(emptied.path(), &mut stamps).unwrap();
    assert!(opened.reports[0].contains("empty"), "{:?}", opened.reports);
    assert!(opened.ledger.journal().end().seq > 5000);
    assert_eq!(opened.ledger.registry().unwrap().len(), 0);
    opened.ledger.journal().verify().unwrap().unwrap();

    let folder = tempfile::tempdir().unwrap();
    write_reserve(folder.path(), end).unwrap();
    let store = Arc::new(MemoryStore::new());
    let (mut journal, _) =
        Journal::open(Arc::clone(&store) as Arc<dyn Store>, Chain::EMPTY).unwrap();
    journal
        .append_batch(vec![(stamps(), Event::Stopped)])
        .unwrap();
    let opened = Ledger::assemble(store, Some(folder.path()), Vec::new(), &mut stamps).unwrap();
    assert!(
        opened.reports[0].contains("ends at 1,"),
        "{:?}",
        opened.reports
    );
    assert_eq!(opened.ledger.journal().end().seq, 5002);
    opened.ledger.journal().verify().unwrap().unwrap();
}

#[test]
fn without_a_copy_the_register_is_unavailable_until_an_import() {
    let store = Arc::new(MemoryStore::new());
    let mut stamps = counter();
    let shared = || Arc::clone(&store) as Arc<dyn Store>;
    let mut ledger = Ledger::on_store(shared(), &mut stamps).unwrap().ledger;
    ledger.add(vehicle(1), "test", stamps()).unwrap();
    drop(ledger);
    let (key, _) = store.last(b"v", b"w").unwrap().unwrap();
    assert!(store.damage(&key));
    let Opened {
        mut ledger,
        reports,
    } = Ledger::on_store(shared(), &mut stamps).unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(ledger.registry(), None);
    assert!(matches!(
        ledger.add(vehicle(2), "test", stamps()),
        Err(LedgerError::NoRegister)
    ));
    let list = import::parse("车牌\n苏E00007\n".as_bytes(), ImportOptions::default()).unwrap();
    ledger.import(list, "test", stamps()).unwrap();
    drop(ledger);
    let opened = Ledger::on_store(shared(), &mut stamps).unwrap();
    assert!(opened.reports.is_empty(), "{:?}", opened.reports);
    assert_eq!(
        plates(opened.ledger.registry().unwrap()),
        [vehicle(7).plate]
    );
}

#[test]
fn pictures_go_before_events() {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = Pictures::open(folder.path(), crate::pictures::Limits::default()).unwrap();
    for n in 0..10 {
        pictures
            .keep(
                date(2026, 1, 1),
                domain::PassageId(Uuid::from_u128(n)),
                crate::pictures::Shows::Frame,
                &[0; 1000],
            )
            .unwrap();
    }
    let mut stamps = counter();
    let store = Arc::new(MemoryStore::new());
    let mut ledger = Ledger::on_store(store, &mut stamps).unwrap().ledger;
    let events = (0..20).map(|_| (stamps(), Event::Stopped)).collect();
    ledger.append_batch(events).unwrap();
    ledger.sync().unwrap();
    let events = ledger.journal().bytes();
    let mut limits = Limits {
        event_days: 365,
        bytes: events + 3500,
    };
    let removed = ledger
        .maintain(limits, Some(&mut pictures), &mut stamps)
        .unwrap();
    assert_eq!(
        (removed.pictures, removed.delivered, removed.undelivered),
        (7, 0, 0)
    );
    limits.bytes = events / 2;
    let removed = ledger
        .maintain(limits, Some(&mut pictures), &mut stamps)
        .unwrap();
    assert_eq!(removed.pictures, 3);
    assert!(removed.undelivered > 0);
    ledger.journal().verify().unwrap().unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8),
    Remove(u8),
    Import(Vec<u8>),
    Append,
    Sync,
    Acknowledge,
    FailWrites(u64),
    Heal,
    Crash(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..20).prop_map(Step::Add),
        2 => (0_u8..20).prop_map(Step::Remove),
        1 => prop::collection::vec(0_u8..20, 0..6).prop_map(Step::Import),
        4 => Just(Step::Append),
        2 => Just(Step::Sync),
        1 => Just(Step::Acknowledge),
        1 => (0_u64..4).prop_map(Step::FailWrites),
        2 => Just(Step::Heal),
        3 => (0_usize..5).prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Registry rows that were acknowledged are there after any crash, exactly; every
    /// version has one journal entry; numbers and chain hold.
    #[test]
    fn register_and_journal_stand_or_fall_together(
        steps in prop::collection::vec(any_step(), 1..50),
    ) {
        let mut stamps = counter();
        let mut store = Arc::new(MemoryStore::new());
        let mut ledger = Ledger::on_store(Arc::clone(&store) as Arc<dyn Store>, &mut stamps)
            .unwrap()
            .ledger;
        let mut rows: BTreeSet<PlateNumber> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Add(n) => {
                    if ledger.add(vehicle(n), "test", stamps()).is_ok() {
                        rows.insert(vehicle(n).plate);
                    }
                }
                Step::Remove(n) => {
                    let plate = vehicle(n).plate;
                    let known = rows.contains(&plate);
                    match ledger.remove(&plate, "test", stamps()) {
                        Ok(_) => {
                            prop_assert!(known);
                            rows.remove(&plate);
                        }
                        Err(LedgerError::NotRegistered { .. }) => prop_assert!(!known),
                        Err(_) => {}
                    }
                }
                Step::Import(list) => {
                    let text = list.iter().fold("plate\n".to_owned(), |text, &n| {
                        text + vehicle(n).plate.as_str() + "\n"
                    });
                    let skip = ImportOptions { skip_bad: true };
                    let list = import::parse(text.as_bytes(), skip).unwrap();
                    let new = list.vehicles.iter().map(|v| v.plate.clone()).collect();
                    if ledger.import(list, "test", stamps()).is_ok() {
                        rows = new;
                    }
                }
                Step::Append => {
                    let _ = ledger.append_batch(vec![(stamps(), Event::Stopped)]);
                }
                Step::Sync => {
                    ledger.sync().unwrap();
                }
                Step::Acknowledge => {
                    let _ = ledger.acknowledge(ledger.journal().synced());
                }
                Step::FailWrites(left) => store.fail_writes_after(Some(left)),
                Step::Heal => store.fail_writes_after(None),
                Step::Crash(kept) => {
                    let synced = ledger.journal().synced();
                    store = Arc::new(store.crash(Crash { kept, torn: 0 }));
                    let opened =
                        Ledger::on_store(Arc::clone(&store) as Arc<dyn Store>, &mut stamps)
                            .unwrap();
                    prop_assert!(opened.reports.is_empty(), "{:?}", opened.reports);
                    ledger = opened.ledger;
                    prop_assert!(ledger.journal().end().seq >= synced);
                }
            }
            let view = ledger.registry().unwrap();
            prop_assert_eq!(plates(view), rows.iter().cloned().collect::<Vec<_>>());
            prop_assert!(ledger.journal().verify().unwrap().is_ok());
            let versions: Vec<u64> = ledger
                .journal()
                .entries(0, usize::MAX)
                .unwrap()
                .iter()
                .filter_map(|(_, bytes)| {
                    match serde_json::from_slice::<domain::Entry>(bytes).unwrap().event {
                        Event::Registry { version, .. } => Some(version),
                        _ => None,
                    }
                })
                .collect();
            prop_assert_eq!(versions, (1..=view.version()).collect::<Vec<_>>());
        }
    }
}
