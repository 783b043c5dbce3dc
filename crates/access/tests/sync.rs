//! The server's register taken over by a gate: three-way, all or nothing, whatever breaks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use access::journal::Stamp;
use access::ledger::{Arrival, TransferError};
use access::registry::book::{Block, Edit, Household, Record, RecordKey};
use access::registry::past::Past;
use access::registry::sync::{Roll, Side, Standing, served};
use access::registry::{Label, Vehicle};
use access::store::{Crash, MemoryStore, Store};
use access::{Ledger, LedgerError};
use domain::command::Refusal;
use domain::sync::{Fault, Manifest, Page, RegisterVersion, Scope};
use domain::{Entry, Event, PlateNumber};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

fn stamp() -> Stamp {
    Stamp {
        id: Uuid::from_u128(7),
        time: Timestamp::from_second(1_800_000_000).unwrap(),
        clock_trusted: true,
    }
}

fn open(store: &Arc<MemoryStore>) -> Ledger {
    let store = Arc::clone(store) as Arc<dyn Store>;
    Ledger::on_store(store, &mut stamp).unwrap().ledger
}

fn committee() -> domain::Name {
    "committee".parse().unwrap()
}

fn plate(n: u32) -> PlateNumber {
    format!("苏E{n:05}").parse().unwrap()
}

fn vehicle(n: u32, owner: &str) -> Vehicle {
    Vehicle {
        owner: owner.to_owned(),
        ..Vehicle::new(plate(n))
    }
}

fn put(vehicle: Vehicle) -> Edit {
    Edit::Put(Record::Vehicle(Box::new(vehicle)))
}

/// Sends a register as a whole or as a difference from `before`.
fn send(
    ledger: &mut Ledger,
    version: u64,
    roll: &Roll,
    before: Option<(u64, &Roll)>,
) -> Result<(), LedgerError> {
    let before = before.map(|(version, roll)| (RegisterVersion(version), roll));
    let (manifest, pages) = roll
        .offer(RegisterVersion(version), before, "spring")
        .unwrap();
    deliver(ledger, &manifest, &pages)
}

fn deliver(ledger: &mut Ledger, manifest: &Manifest, pages: &[Page]) -> Result<(), LedgerError> {
    let mut arrival = ledger.begin_transfer(manifest, &committee())?;
    for page in pages {
        arrival = ledger.take_page(page)?;
    }
    if arrival == Arrival::Whole {
        ledger.take_over(100, None, stamp())?;
    }
    Ok(())
}

/// That what was taken over is there byte for byte beneath the changes that were made here.
fn assert_holds(ledger: &Ledger, roll: &Roll) {
    let beneath = served(
        ledger.registry().unwrap(),
        ledger.departures().unwrap(),
        roll.scope(),
    );
    assert_eq!(beneath.digest().unwrap(), roll.digest().unwrap());
    assert_eq!(&beneath, roll);
    assert_eq!(ledger.verify_registry().unwrap(), [""; 0]);
}

fn owner(ledger: &Ledger, n: u32) -> Option<String> {
    let view = ledger.registry().unwrap();
    view.get(&plate(n)).map(|v| v.owner.clone())
}

fn standing(ledger: &Ledger, key: &RecordKey) -> Option<Standing> {
    ledger.departures().unwrap().get(key).map(|d| d.standing)
}

/// A register of a few vehicles.
type Owners = BTreeMap<u32, u8>;

fn owners() -> impl Strategy<Value = Owners> {
    prop::collection::btree_map(0_u32..12, 0_u8..4, 0..10)
}

fn roll(owners: &Owners) -> Roll {
    let vehicles = owners
        .iter()
        .map(|(n, owner)| vehicle(*n, &owner.to_string()));
    Roll::of_vehicles(vehicles.collect())
}

/// Changes made here: an owner, or none to take the vehicle out.
fn changes() -> impl Strategy<Value = Vec<(u32, Option<u8>)>> {
    prop::collection::vec((0_u32..12, prop::option::of(0_u8..4)), 0..6)
}

fn change_here(ledger: &mut Ledger, changes: &[(u32, Option<u8>)]) {
    for (n, owner) in changes {
        let edit = match owner {
            Some(owner) => put(vehicle(*n, &owner.to_string())),
            None => Edit::Remove(RecordKey::Vehicle(plate(*n))),
        };
        match ledger.transact(&[edit], "guard", "", stamp()) {
            Ok(_) | Err(LedgerError::NotRegistered { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

proptest! {
    /// Three versions of a register with changes here between them: the server's is beneath, a
    /// change that the server did not touch is in force, a contested one is listed with both
    /// values, and whoever takes the server's side of everything has the server's register.
    #[test]
    fn both_sides_changes_are_told_apart(
        own in changes(),
        first in owners(),
        between in changes(),
        second in owners(),
        whole: bool,
        keep: bool,
    ) {
        let mut ledger = open(&Arc::new(MemoryStore::new()));
        change_here(&mut ledger, &own);
        let (one, two) = (roll(&first), roll(&second));
        send(&mut ledger, 1, &one, None).unwrap();
        assert_holds(&ledger, &one);
        change_here(&mut ledger, &between);
        assert_holds(&ledger, &one);
        let before = ledger.registry().unwrap().clone();
        let known = ledger.departures().unwrap().clone();
        send(&mut ledger, 2, &two, (!whole).then_some((1, &one))).unwrap();
        assert_holds(&ledger, &two);
        let departures = ledger.departures().unwrap().clone();
        for n in 0..12 {
            let key = RecordKey::Vehicle(plate(n));
            let text = |owners: &Owners| owners.get(&n).map(ToString::to_string);
            let (base, server) = (text(&first), text(&second));
            let here = match known.get(&key) {
                Some(Departure { here, .. }) => here.as_ref().map(|r| match r {
                    Record::Vehicle(v) => v.owner.clone(),
                    _ => unreachable!(),
                }),
                None => before.get(&plate(n)).map(|v| v.owner.clone()),
            };
            let now = owner(&ledger, n);
            let departure = departures.get(&key);
            if here == server || here == base {
                prop_assert_eq!(now, server);
                prop_assert!(departure.is_none());
            } else if server == base {
                let standing = departure.unwrap().standing;
                prop_assert_eq!(Some(standing), known.get(&key).map(|d| d.standing));
                let expected = if standing.in_force() == Side::Here { here } else { server };
                prop_assert_eq!(now, expected);
            } else {
                prop_assert!(departure.unwrap().standing.is_contested());
                // What lets fewer in: out if either side took it out.
                let expected = if here.is_none() { None } else { server };
                prop_assert_eq!(now, expected);
            }
        }
        let keys: Vec<RecordKey> = departures.keys().cloned().collect();
        ledger.settle(&keys, keep, "wang", "", stamp()).unwrap();
        assert_holds(&ledger, &two);
        if keep {
            prop_assert_eq!(ledger.departures().unwrap().len(), keys.len());
            prop_assert_eq!(ledger.standing().unwrap().contested, 0);
        } else {
            prop_assert!(ledger.departures().unwrap().is_empty());
            prop_assert_eq!(ledger.standing().unwrap().vehicles, two.digest().unwrap());
        }
        // By what the journal says, the register of before comes back.
        let mut past = Past::new(ledger.registry().unwrap());
        for (_, text) in ledger.journal().entries(1, 500).unwrap().into_iter().rev() {
            let entry: Entry = serde_json::from_slice(&text).unwrap();
            if let Event::Registry { change, version, .. } = entry.event
                && version > before.version()
            {
                past.undo(&change, version).unwrap();
            }
        }
        let back = past.view();
        prop_assert_eq!(back.version(), before.version());
        prop_assert_eq!(back.vehicles(), before.vehicles());
        prop_assert_eq!(back.book(), before.book());
    }

    /// A crash between any two writes, failing writes, pages that are lost: the register is the
    /// old one or the new one, and the transfer goes on from what is left.
    #[test]
    fn a_crash_leaves_the_old_register_or_the_new_one(
        writes in 0_u64..14,
        kept in 0_usize..14,
        order in prop::collection::vec(any::<Index>(), 0..12),
        difference: bool,
    ) {
        let base = Arc::new(MemoryStore::new());
        let mut ledger = open(&base);
        let long = "王".repeat(150);
        let one = Roll::of_vehicles((0..60).map(|n| vehicle(n, &long)).collect());
        send(&mut ledger, 1, &one, None).unwrap();
        ledger.add(vehicle(99, "guard"), "guard", stamp()).unwrap();
        let two = Roll::of_vehicles((20..110).map(|n| vehicle(n, &format!("{long}2"))).collect());
        let before = difference.then_some((RegisterVersion(1), &one));
        let (manifest, pages) = two.offer(RegisterVersion(2), before, "").unwrap();
        prop_assert!(pages.len() > 3);

        base.fail_writes_after(Some(writes));
        let mut attempt = || -> Result<(), LedgerError> {
            ledger.begin_transfer(&manifest, &committee())?;
            for at in &order {
                ledger.take_page(&pages[at.index(pages.len())])?;
            }
            deliver(&mut ledger, &manifest, &pages)
        };
        let done = attempt().is_ok();
        base.fail_writes_after(None);
        let crashed = Arc::new(base.crash(Crash { kept, torn: 0 }));
        let mut after = open(&crashed);
        let synced = after.standing().unwrap().server.unwrap();
        if synced == manifest.edition() {
            assert_holds(&after, &two);
        } else {
            prop_assert!(!done, "it was durable and is gone");
            assert_holds(&after, &one);
            let kept = owner(&after, 99);
            prop_assert_eq!(kept.as_deref(), Some("guard"));
            // What had come is there, and the rest is asked for.
            let arrival = after.begin_transfer(&manifest, &committee()).unwrap();
            if arrival == Arrival::Whole {
                after.take_over(100, None, stamp()).unwrap();
            } else {
                let missing = after.transfer().unwrap().missing();
                for page in &pages {
                    if missing.iter().any(|(from, to)| (*from..=*to).contains(&page.index)) {
                        after.take_page(page).unwrap();
                    }
                }
                after.take_over(100, None, stamp()).unwrap();
            }
        }
        assert_holds(&after, &two);
        prop_assert_eq!(after.begin_transfer(&manifest, &committee()).unwrap(), Arrival::InForce);
        // Nothing of the transfer stays behind.
        prop_assert!(after.transfer().is_none());
        let rest = crashed.range(b"t", b"u", usize::MAX).unwrap();
        prop_assert!(rest.is_empty());
        // The journal says it, once.
        let entries = after.journal().entries(1, 1000).unwrap();
        let synced = entries.iter().filter(|(_, bytes)| {
            let entry: domain::Entry = serde_json::from_slice(bytes).unwrap();
            matches!(entry.event, Event::Registry { by, .. } if by == "key committee")
        });
        prop_assert_eq!(synced.count(), 2);
    }
}

use access::registry::sync::Departure;

#[test]
fn what_lets_fewer_in_is_in_force_while_a_block_is_contested() {
    let mut ledger = open(&Arc::new(MemoryStore::new()));
    let block = |n: u32, reason: &str| {
        Record::Block(Block {
            plate: plate(n),
            reason: reason.to_owned(),
            until: None,
        })
    };
    let of = |records: &[Record]| {
        let lines: Vec<String> = records
            .iter()
            .map(|r| serde_json::to_string(r).unwrap())
            .collect();
        Roll::read(&lines.join("\n"), Scope::Register).unwrap()
    };
    let one = of(&[block(1, "a"), block(2, "a"), block(3, "a")]);
    send(&mut ledger, 1, &one, None).unwrap();
    let key = |n| RecordKey::Block(plate(n));
    let edits = [
        Edit::Put(block(1, "here")),
        Edit::Remove(key(2)),
        Edit::Put(block(3, "here")),
    ];
    ledger.transact(&edits, "guard", "", stamp()).unwrap();
    let two = of(&[block(1, "server"), block(2, "server")]);
    send(&mut ledger, 2, &two, Some((1, &one))).unwrap();
    assert_holds(&ledger, &two);
    let reason = |ledger: &Ledger, n| {
        let book = ledger.registry().unwrap().book();
        book.block(&plate(n)).map(|b| b.reason.clone())
    };
    assert_eq!(reason(&ledger, 1).as_deref(), Some("server"));
    assert_eq!(reason(&ledger, 2).as_deref(), Some("server"));
    assert_eq!(reason(&ledger, 3).as_deref(), Some("here"));
    assert_eq!(ledger.standing().unwrap().contested, 3);
    // Whoever changes a contested record has decided.
    ledger
        .transact(&[Edit::Put(block(2, "mine"))], "wang", "", stamp())
        .unwrap();
    assert_eq!(standing(&ledger, &key(2)), Some(Standing::Kept));
    ledger
        .settle(&[key(3)], false, "wang", "", stamp())
        .unwrap();
    assert_eq!(reason(&ledger, 3), None);
    assert_eq!(ledger.standing().unwrap().contested, 1);
}

#[test]
fn a_change_here_never_leaves_a_record_that_points_at_nothing() {
    let mut ledger = open(&Arc::new(MemoryStore::new()));
    let label = Label::parse("3-2-501").unwrap();
    let household = Record::Household(Household {
        id: label.clone(),
        contact: "王".to_owned(),
        phone: String::new(),
        fee_paid_until: None,
        restriction: None,
    });
    let line = serde_json::to_string(&household).unwrap();
    let one = Roll::read(&line, Scope::Register).unwrap();
    send(&mut ledger, 1, &one, None).unwrap();
    let mut car = vehicle(1, "guard");
    car.household = Some(label);
    ledger.transact(&[put(car)], "guard", "", stamp()).unwrap();
    // The household goes, and with it the vehicle that was added here.
    let two = Roll::empty(Scope::Register);
    send(&mut ledger, 2, &two, Some((1, &one))).unwrap();
    assert_holds(&ledger, &two);
    assert_eq!(owner(&ledger, 1), None);
    let key = RecordKey::Vehicle(plate(1));
    let in_force = Side::Server;
    assert_eq!(
        standing(&ledger, &key),
        Some(Standing::Contested { in_force })
    );
    assert!(ledger.settle(&[key], true, "wang", "", stamp()).is_err());
}

#[test]
fn a_vehicles_list_brings_households_and_leaves_the_rest_alone() {
    let mut ledger = open(&Arc::new(MemoryStore::new()));
    let block = Record::Block(Block {
        plate: plate(5),
        reason: "damage".to_owned(),
        until: None,
    });
    ledger
        .transact(&[Edit::Put(block)], "guard", "", stamp())
        .unwrap();
    let mut car = vehicle(1, "王");
    car.household = Some(Label::parse("1-1-101").unwrap());
    let list = Roll::of_vehicles(vec![car]);
    send(&mut ledger, 1, &list, None).unwrap();
    assert_holds(&ledger, &list);
    let book = ledger.registry().unwrap().book();
    assert!(book.block(&plate(5)).is_some());
    let household = book.household(&Label::parse("1-1-101").unwrap()).unwrap();
    assert_eq!(household.contact, "王");
}

#[test]
fn what_is_not_what_was_signed_changes_nothing() {
    let mut ledger = open(&Arc::new(MemoryStore::new()));
    let one = Roll::of_vehicles((0..3).map(|n| vehicle(n, "a")).collect());
    send(&mut ledger, 5, &one, None).unwrap();
    let two = Roll::of_vehicles((0..4).map(|n| vehicle(n, "b")).collect());
    let fault = |result: Result<(), LedgerError>| match result {
        Err(LedgerError::Transfer(TransferError::Fault(fault))) => fault,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        fault(send(&mut ledger, 4, &two, None)),
        Fault::Older { .. }
    ));
    assert_eq!(
        fault(send(&mut ledger, 7, &two, Some((4, &one)))),
        Fault::OtherBase
    );
    // Another digest than what comes out: the committee's program has a mistake.
    let (mut manifest, pages) = two.offer(RegisterVersion(6), None, "").unwrap();
    manifest.digest = one.digest().unwrap();
    let error = deliver(&mut ledger, &manifest, &pages).unwrap_err();
    assert_eq!(error.refusal(), Refusal::NotPossible);
    assert!(ledger.transfer().is_none());
    assert_holds(&ledger, &one);
    // Records that break their own rules, kinds that are not synchronised.
    for edit in [
        r#"{"edit":"put","what":{"record":"block","plate":"苏E00001","reason":" "}}"#,
        r#"{"edit":"put","what":{"record":"rules"}}"#,
        r#"{"edit":"remove","what":{"record":"vehicle","key":"苏E00001"}}"#,
        r#"{"edit":"open"}"#,
    ] {
        let pages = domain::sync::pack(&[edit.to_owned()]).unwrap();
        let manifest = Manifest {
            version: RegisterVersion(6),
            scope: Scope::Vehicles,
            base: None,
            pages: 1,
            root: domain::sync::root_of(&pages),
            digest: one.digest().unwrap(),
            why: String::new(),
        };
        assert!(deliver(&mut ledger, &manifest, &pages).is_err(), "{edit}");
        assert_holds(&ledger, &one);
    }
}

#[test]
fn a_register_that_shrinks_too_much_waits_for_a_person() {
    let mut ledger = open(&Arc::new(MemoryStore::new()));
    let one = Roll::of_vehicles((0..30).map(|n| vehicle(n, "a")).collect());
    send(&mut ledger, 1, &one, None).unwrap();
    let two = Roll::of_vehicles((0..10).map(|n| vehicle(n, "a")).collect());
    let (manifest, pages) = two.offer(RegisterVersion(2), None, "").unwrap();
    ledger.begin_transfer(&manifest, &committee()).unwrap();
    for page in &pages {
        ledger.take_page(page).unwrap();
    }
    let waits = ledger.take_over(20, None, stamp()).unwrap_err();
    assert!(matches!(
        waits,
        LedgerError::Transfer(TransferError::Shrinks {
            removed: 20,
            of: 30,
            percent: 20
        })
    ));
    assert_holds(&ledger, &one);
    // Said again it still waits; a person's word takes it.
    let again = ledger.begin_transfer(&manifest, &committee()).unwrap();
    assert_eq!(again, Arrival::Whole);
    ledger.take_over(20, Some("wang"), stamp()).unwrap();
    assert_holds(&ledger, &two);
}

/// Two gates with other histories agree once they took the same over and nothing is left that
/// was changed on them.
#[test]
fn registers_are_equal_exactly_if_their_digests_are() {
    let gates = [0, 1].map(|n| {
        let mut ledger = open(&Arc::new(MemoryStore::new()));
        for m in 0..=n {
            ledger.add(vehicle(m, "x"), "guard", stamp()).unwrap();
        }
        ledger
    });
    let [mut one, mut other] = gates;
    let differ = |a: &Ledger, b: &Ledger| {
        let (a, b) = (a.standing().unwrap(), b.standing().unwrap());
        (a.vehicles != b.vehicles, a.register != b.register)
    };
    assert_eq!(differ(&one, &other), (true, true));
    let list = Roll::of_vehicles((0..9).map(|n| vehicle(n, "王")).collect());
    for ledger in [&mut one, &mut other] {
        send(ledger, 3, &list, None).unwrap();
        let keys: Vec<RecordKey> = ledger.departures().unwrap().keys().cloned().collect();
        ledger.settle(&keys, false, "wang", "", stamp()).unwrap();
    }
    assert_eq!(differ(&one, &other), (false, false));
    assert_ne!(
        one.standing().unwrap().version,
        other.standing().unwrap().version
    );
    // The digest of this list, so that a change of the rows' text does not go unnoticed.
    assert_eq!(
        list.rows().unwrap()[0],
        r#"{"record":"vehicle","plate":"苏E00000","owner":"王"}"#
    );
}
