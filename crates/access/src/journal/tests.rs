#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::store::{Crash, MemoryStore};

fn stamp(n: u64) -> Stamp {
    Stamp {
        id: Uuid::from_u128(u128::from(n)),
        time: Timestamp::from_second(n as i64).unwrap(),
        clock_trusted: true,
    }
}

fn note(n: u64) -> Event {
    Event::Alarm {
        code: "test".into(),
        message: format!("note {n}"),
    }
}

fn stamped(n: u64) -> (Stamp, Event) {
    (stamp(n), note(n))
}

fn open(store: &Arc<MemoryStore>) -> (Journal, Vec<String>) {
    Journal::open(Arc::clone(store) as Arc<dyn Store>, Chain::EMPTY).unwrap()
}

fn filled(n: u64) -> (Arc<MemoryStore>, Journal) {
    let store = Arc::new(MemoryStore::new());
    let (mut journal, _) = open(&store);
    for i in 1..=n {
        journal.append_batch(vec![stamped(i)]).unwrap();
    }
    journal.sync().unwrap();
    (store, journal)
}

fn seqs(entries: &[(u64, Vec<u8>)]) -> Vec<u64> {
    entries.iter().map(|(seq, _)| *seq).collect()
}

#[test]
fn only_what_was_synced_is_handed_out_and_only_that_can_be_acknowledged() {
    let store = Arc::new(MemoryStore::new());
    let (mut journal, reports) = open(&store);
    assert!(reports.is_empty());
    let range = journal
        .append_batch(vec![stamped(1), stamped(2), stamped(3)])
        .unwrap();
    assert_eq!(range, 1..=3);
    assert!(journal.pending(0, 10).unwrap().is_empty());
    assert!(matches!(
        journal.acknowledge(1),
        Err(JournalError::NeverSent { upto: 1, sent: 0 })
    ));
    assert_eq!(journal.sync().unwrap(), 3);
    assert_eq!(seqs(&journal.pending(0, 2).unwrap()), [1, 2]);
    assert_eq!(seqs(&journal.pending(2, 10).unwrap()), [2, 3]);
    journal.acknowledge(2).unwrap();
    journal.acknowledge(1).unwrap();
    assert_eq!((journal.acknowledged(), journal.depth()), (2, 1));
    assert_eq!(seqs(&journal.pending(0, 10).unwrap()), [3]);
}

#[test]
fn a_failed_write_changes_nothing_and_a_failed_sync_hands_out_nothing_more() {
    let (store, mut journal) = filled(2);
    store.fail_writes_after(Some(0));
    journal.append_batch(vec![stamped(3)]).unwrap_err();
    assert_eq!(journal.end().seq, 2);
    store.fail_writes_after(None);
    store.fail_syncs_after(Some(0));
    assert_eq!(journal.append_batch(vec![stamped(3)]).unwrap(), 3..=3);
    journal.sync().unwrap_err();
    assert!(matches!(
        journal.sync(),
        Err(JournalError::Store(StoreError::Distrusted))
    ));
    assert_eq!(seqs(&journal.pending(0, 10).unwrap()), [1, 2]);
}

#[test]
fn damage_is_declared_once_and_its_number_is_never_used_again() {
    for damaged in [1, 4, 10] {
        let (store, journal) = filled(10);
        drop(journal);
        assert!(store.damage(&entry_key(damaged)));
        let (mut journal, reports) = open(&store);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(journal.verify().unwrap().is_err());
        let mut next = 100;
        let mut stamps = || {
            next += 1;
            stamp(next)
        };
        assert_eq!(journal.declare(&mut stamps).unwrap(), 1);
        assert_eq!(journal.append_batch(vec![stamped(11)]).unwrap(), 12..=12);
        journal.sync().unwrap();
        let verified = journal.verify().unwrap().unwrap();
        assert_eq!(verified.gaps, [(damaged, damaged)]);
        assert_eq!((verified.entries, verified.last), (11, 12));
        let (mut again, reports) = open(&store);
        assert!(reports.is_empty(), "{reports:?}");
        assert_eq!(again.declare(&mut stamps).unwrap(), 0);
        assert_eq!(again.pending(0, 100).unwrap().len(), 11);
    }
}

#[test]
fn damage_found_while_delivering_is_declared_too() {
    let (store, mut journal) = filled(5);
    store.damage(&entry_key(3));
    assert_eq!(seqs(&journal.pending(0, 10).unwrap()), [1, 2, 4, 5]);
    assert_eq!(seqs(&journal.pending(0, 10).unwrap()), [1, 2, 4, 5]);
    assert_eq!(journal.declare(&mut || stamp(9)).unwrap(), 1);
    journal.sync().unwrap();
    assert_eq!(journal.verify().unwrap().unwrap().gaps, [(3, 3)]);
}

#[test]
fn a_lost_state_record_costs_a_second_delivery_and_nothing_else() {
    let (store, mut journal) = filled(5);
    journal.acknowledge(4).unwrap();
    let bytes = journal.bytes();
    store.damage(&state_key());
    let (mut journal, reports) = open(&store);
    assert_eq!(reports.len(), 1);
    assert_eq!(journal.bytes(), bytes);
    assert_eq!(seqs(&journal.pending(0, 10).unwrap()), [1, 2, 3, 4, 5]);
    assert_eq!(journal.append_batch(vec![stamped(6)]).unwrap(), 6..=6);
    journal.verify().unwrap().unwrap();
}

#[test]
fn a_changed_entry_is_found() {
    let (store, journal) = filled(6);
    let key = entry_key(3);
    let record = store.get(&key).unwrap().unwrap();
    let text = String::from_utf8(record::open(&key, &record).unwrap().to_vec()).unwrap();
    let forged = text.replace("note 3", "note X");
    let mut batch = Batch::default();
    batch.put(key.clone(), record::seal(&key, forged.as_bytes()));
    store.write(&batch).unwrap();
    let broken = journal.verify().unwrap().unwrap_err();
    assert_eq!((broken.changed, broken.holes), (vec![4], vec![]));
}

#[test]
fn room_is_made_from_the_oldest_and_only_the_undelivered_need_a_gap() {
    let (store, mut journal) = filled(600);
    journal.acknowledge(400).unwrap();
    let all = journal.bytes();
    let mut next = 1000;
    let mut stamps = || {
        next += 1;
        stamp(next)
    };
    let shrunk = journal.shrink(all / 2, &mut stamps).unwrap();
    assert!(
        shrunk.delivered > 200 && shrunk.undelivered == 0,
        "{shrunk:?}"
    );
    assert_eq!(journal.end().seq, 600);
    journal.verify().unwrap().unwrap();

    let shrunk = journal.shrink(all / 10, &mut stamps).unwrap();
    assert!(shrunk.undelivered > 0);
    assert!(journal.bytes() <= all / 10);
    journal.sync().unwrap();
    let first = journal.pending(0, 1).unwrap()[0].0;
    let declared: Vec<(u64, u64)> = journal
        .entries(601, 100)
        .unwrap()
        .iter()
        .filter_map(|(_, bytes)| {
            match serde_json::from_slice::<domain::Entry>(bytes)
                .unwrap()
                .event
            {
                Event::Gap { from, to, .. } => Some((from, to)),
                _ => None,
            }
        })
        .collect();
    // Every undelivered number that is gone stands in a gap event, and no other.
    let gone: Vec<u64> = declared.iter().flat_map(|&(a, b)| a..=b).collect();
    assert_eq!(gone, (401..first).collect::<Vec<_>>());
    journal.verify().unwrap().unwrap();
    let (reopened, reports) = open(&store);
    assert!(reports.is_empty());
    assert_eq!(reopened.bytes(), journal.bytes());
}

#[test]
fn delivered_entries_expire_by_age_and_others_do_not() {
    let (_, mut journal) = filled(50);
    journal.acknowledge(30).unwrap();
    let old = Timestamp::from_second(41).unwrap();
    assert_eq!(journal.expire(old, &mut || stamp(99)).unwrap(), 30);
    assert_eq!(journal.expire(old, &mut || stamp(99)).unwrap(), 0);
    assert_eq!(journal.pending(0, 1).unwrap()[0].0, 31);
    journal.verify().unwrap().unwrap();
}

#[test]
fn a_store_that_fell_back_skips_the_numbers_it_forgot() {
    let (store, mut journal) = filled(5);
    journal.skip_to(40);
    assert_eq!(journal.declare(&mut || stamp(9)).unwrap(), 1);
    assert_eq!(journal.append_batch(vec![stamped(6)]).unwrap(), 42..=42);
    journal.sync().unwrap();
    assert_eq!(journal.verify().unwrap().unwrap().gaps, [(6, 40)]);
    let (again, reports) = open(&store);
    assert!(reports.is_empty(), "{reports:?}");
    assert_eq!(again.end(), journal.end());
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Sync,
    Acknowledge(u8),
    Shrink(u16),
    Refuse,
    Crash(u8, u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u8..5).prop_map(Step::Append),
        3 => Just(Step::Sync),
        2 => any::<u8>().prop_map(Step::Acknowledge),
        1 => (500_u16..8000).prop_map(Step::Shrink),
        1 => Just(Step::Refuse),
        2 => (0_u8..6, 0_u8..5).prop_map(|(kept, torn)| Step::Crash(kept, torn)),
    ]
}

/// Runs steps against the journal and a model of what it promised.
fn run(steps: Vec<Step>, tear: bool) -> Result<(), TestCaseError> {
    let mut store = Arc::new(MemoryStore::new());
    let (mut journal, _) = open(&store);
    let mut next = 0;
    // What was handed out, with the bytes, and what was dropped from it for room.
    let mut seen: std::collections::BTreeMap<u64, Vec<u8>> = std::collections::BTreeMap::new();
    let mut acked = 0;
    for step in steps {
        let mut stamps = || {
            next += 1;
            stamp(next)
        };
        match step {
            Step::Append(n) => {
                let events = (0..n).map(|_| (stamps(), note(0))).collect();
                let end = journal.end().seq;
                let range = journal.append_batch(events).unwrap();
                prop_assert_eq!(range, end + 1..=end + u64::from(n));
            }
            Step::Sync => {
                journal.sync().unwrap();
            }
            Step::Acknowledge(part) => {
                let upto = journal.synced() * u64::from(part) / 255;
                journal.acknowledge(upto).unwrap();
                acked = acked.max(upto);
            }
            Step::Shrink(bytes) => {
                journal.shrink(u64::from(bytes), &mut stamps).unwrap();
            }
            Step::Refuse => {
                let before = journal.end();
                store.fail_writes_after(Some(0));
                prop_assert!(journal.append_batch(vec![(stamps(), note(0))]).is_err());
                store.fail_writes_after(None);
                prop_assert_eq!(journal.end(), before);
            }
            Step::Crash(kept, torn) => {
                let crash = Crash {
                    kept: usize::from(kept),
                    torn: if tear { usize::from(torn) } else { 0 },
                };
                let synced = journal.synced();
                store = Arc::new(store.crash(crash));
                let (reopened, reports) = open(&store);
                prop_assert!(tear || reports.is_empty(), "{:?}", reports);
                journal = reopened;
                prop_assert!(journal.end().seq >= synced, "a synced entry is lost");
                prop_assert!(tear || journal.acknowledged() <= acked);
                journal.declare(&mut stamps).unwrap();
            }
        }
        for (seq, bytes) in journal.pending(0, usize::MAX).unwrap() {
            // An entry that anybody holds is never replaced by another under its number.
            let first = seen.entry(seq).or_insert_with(|| bytes.clone());
            prop_assert_eq!(&*first, &bytes, "entry {} changed", seq);
        }
        let verified = journal.verify().unwrap();
        prop_assert!(verified.is_ok(), "{:?}", verified);
        if !tear {
            prop_assert!(verified.unwrap().gaps.is_empty());
        }
        let (twin, _) = Journal::open(
            Arc::new(store.crash(Crash {
                kept: usize::MAX,
                torn: 0,
            })),
            Chain::EMPTY,
        )
        .unwrap();
        prop_assert_eq!(twin.end(), journal.end());
        prop_assert_eq!(twin.bytes(), journal.bytes());
    }
    Ok(())
}

#[test]
fn a_number_stays_used_even_if_its_declaration_is_torn() {
    let (store, journal) = filled(5);
    drop(journal);
    store.damage(&entry_key(5));
    let (mut journal, _) = open(&store);
    journal.declare(&mut || stamp(9)).unwrap();
    for torn in 0..4 {
        let store = Arc::new(store.crash(Crash { kept: 0, torn }));
        let (journal, _) = open(&store);
        assert!(journal.end().seq >= 5, "torn after {torn} writes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_crash_loses_what_was_synced(steps in prop::collection::vec(any_step(), 1..60)) {
        run(steps, false)?;
    }

    #[test]
    fn torn_batches_leave_declared_holes_at_worst(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        run(steps, true)?;
    }
}

#[test]
fn a_declaration_that_makes_room_itself_is_made_again() {
    let (_, mut journal) = filled(200);
    let all = journal.bytes();
    let mut next = 1000;
    let mut stamps = || {
        next += 1;
        stamp(next)
    };
    journal.shrink(all / 2, &mut stamps).unwrap();
    journal
        .append_batch((201..=400).map(stamped).collect())
        .unwrap();
    journal.sync().unwrap();
    journal.shrink(all / 4, &mut stamps).unwrap();
    journal.sync().unwrap();
    let kept = journal.entries(1, 1000).unwrap();
    let mut missing: Vec<u64> = (1..=journal.end().seq).collect();
    for (seq, bytes) in &kept {
        missing.retain(|number| number != seq);
        let entry = serde_json::from_slice::<domain::Entry>(bytes).unwrap();
        if let Event::Gap { from, to, .. } = entry.event {
            missing.retain(|number| !(from..=to).contains(number));
        }
    }
    assert_eq!(missing, Vec::<u64>::new());
}
