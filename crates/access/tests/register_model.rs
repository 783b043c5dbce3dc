//! The register, who is inside and the counters of passes against a simple model, under random operations, failing
//! writes and syncs, and crashes between any two writes.
//!
//! ```sh
//! MENSHEN_OPERATIONS=100000 cargo test --release -p access --test register_model -- --nocapture
//! ```
//!
//! without the variable the short form; `MENSHEN_SEED` chooses other operations.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use access::journal::Stamp;
use access::pass::{Bearer, Pass};
use access::policy::{Clock, Margins, PolicyInput};
use access::registry::book::{Edit, Household, Record, RecordKey, Rules, Space, Visit};
use access::registry::import::{ImportOptions, parse};
use access::registry::{Label, Vehicle};
use access::store::{Crash, MemoryStore, Store};
use access::{Ledger, LedgerError};
use domain::reading::{Alphabet, LogProb, Matrix, Quad, SLOTS, Sighting};
use domain::{
    Decision, Direction, Event, Monotonic, Name, Outcome, PassId, PassNumber, PassageId,
    PassageRecord, PlateNumber, Reason,
};
use jiff::Timestamp;
use jiff::civil::date;
use uuid::Uuid;

/// Operations on one store, before a new one begins.
const ROUND: usize = 500;
const SHORT: usize = 3000;

/// Numbers from a seed, the same on every machine (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

const PLATES: usize = 10;
const HOUSEHOLDS: usize = 3;
const SPACES: usize = 5;
const PASSES: usize = 12;

fn plate(n: usize) -> PlateNumber {
    format!("苏E{:05}", 11_111 * (n % 9) + n / 9)
        .parse()
        .unwrap()
}

fn label(kind: &str, n: usize) -> Label {
    Label::parse(&format!("{kind}{n}")).unwrap()
}

/// What the register should hold: records by their keys, and who is inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Model {
    records: BTreeMap<RecordKey, Record>,
    inside: BTreeSet<PlateNumber>,
    /// Entries used of each pass that was ever used, with the edition.
    entries: BTreeMap<PassNumber, (u16, u32)>,
}

impl Model {
    fn of(ledger: &Ledger) -> Self {
        let view = ledger.registry().unwrap();
        let vehicles = view.vehicles().iter();
        let vehicles = vehicles.map(|v| Record::Vehicle(Box::new(v.clone())));
        let records = vehicles.chain(view.book().records().cloned());
        Self {
            records: records.map(|r| (r.key(), r)).collect(),
            inside: ledger
                .inside()
                .stays()
                .iter()
                .map(|(p, _)| p.clone())
                .collect(),
            entries: ledger
                .inside()
                .entries()
                .iter()
                .map(|(number, count)| (number, (count.edition, count.entries)))
                .collect(),
        }
    }

    fn pass(&self, number: PassNumber) -> Option<&Pass> {
        match self.records.get(&RecordKey::Pass(number))? {
            Record::Pass(pass) => Some(pass),
            _ => None,
        }
    }

    fn used(&self, pass: PassId) -> u32 {
        let count = self.entries.get(&pass.number);
        count.map_or(
            0,
            |&(edition, n)| if edition == pass.edition { n } else { 0 },
        )
    }

    /// One more entry, unless a later edition was used already.
    fn use_entry(&mut self, pass: PassId) {
        let held = self.entries.entry(pass.number).or_insert((0, 0));
        match held.0.cmp(&pass.edition) {
            std::cmp::Ordering::Less => *held = (pass.edition, 1),
            std::cmp::Ordering::Equal => held.1 += 1,
            std::cmp::Ordering::Greater => {}
        }
    }

    fn vehicle(&self, plate: &PlateNumber) -> Option<&Vehicle> {
        match self.records.get(&RecordKey::Vehicle(plate.clone()))? {
            Record::Vehicle(vehicle) => Some(vehicle),
            _ => None,
        }
    }

    fn has_household(&self, id: &Label) -> bool {
        self.records.contains_key(&RecordKey::Household(id.clone()))
    }

    /// Whether everything that points points at something.
    fn is_whole(&self) -> bool {
        self.records.values().all(|record| match record {
            Record::Vehicle(v) => v.household.as_ref().is_none_or(|id| self.has_household(id)),
            Record::Space(s) => self.has_household(&s.household),
            Record::Visit(v) => self.has_household(&v.household),
            Record::Pass(p) => p.household.as_ref().is_none_or(|id| self.has_household(id)),
            _ => true,
        })
    }

    fn edited(&self, edits: &[Edit]) -> Option<Self> {
        let mut next = self.clone();
        for edit in edits {
            match edit {
                Edit::Put(record) => {
                    if let Record::Pass(new) = record
                        && next
                            .pass(new.number)
                            .is_some_and(|p| p.edition > new.edition)
                    {
                        return None;
                    }
                    next.records.insert(record.key(), record.clone());
                }
                Edit::Remove(RecordKey::Pass(_)) => return None,
                Edit::Remove(key) => {
                    next.records.remove(key)?;
                }
            }
        }
        next.is_whole().then_some(next)
    }

    fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.records.values().filter_map(|r| match r {
            Record::Space(space) => Some(space),
            _ => None,
        })
    }

    /// Whether a vehicle may stand on a space.
    fn fits(&self, plate: &PlateNumber, space: &Space) -> bool {
        if space.shared_by.is_empty() {
            let household = self.vehicle(plate).and_then(|v| v.household.as_ref());
            household == Some(&space.household)
        } else {
            space.shared_by.contains(plate)
        }
    }

    fn needs_space(&self, plate: &PlateNumber) -> bool {
        let household = self.vehicle(plate).and_then(|v| v.household.as_ref());
        self.spaces()
            .any(|s| Some(&s.household) == household || self.fits(plate, s))
    }

    /// Whether the vehicle and all inside that compete with it, however indirectly, can stand on
    /// spaces of theirs, by trying every way.
    fn has_room(&self, inside: &BTreeSet<PlateNumber>, plate: &PlateNumber) -> bool {
        let mut group = BTreeSet::from([plate.clone()]);
        loop {
            let more: Vec<PlateNumber> = inside
                .iter()
                .filter(|p| !group.contains(*p))
                .filter(|p| {
                    self.spaces()
                        .any(|s| self.fits(p, s) && group.iter().any(|g| self.fits(g, s)))
                })
                .cloned()
                .collect();
            if more.is_empty() {
                break;
            }
            group.extend(more);
        }
        let group: Vec<PlateNumber> = group.into_iter().collect();
        self.all_park(&group, &mut BTreeSet::new())
    }

    fn all_park(&self, left: &[PlateNumber], taken: &mut BTreeSet<Label>) -> bool {
        let Some((first, rest)) = left.split_first() else {
            return true;
        };
        let may: Vec<Label> = self
            .spaces()
            .filter(|s| self.fits(first, s) && !taken.contains(&s.id))
            .map(|s| s.id.clone())
            .collect();
        may.into_iter().any(|space| {
            taken.insert(space.clone());
            let done = self.all_park(rest, taken);
            taken.remove(&space);
            done
        })
    }
}

fn pass_number(n: usize) -> PassNumber {
    PassNumber::new(n as u32).unwrap()
}

/// Mostly of the day, mostly good for a few entries.
fn any_pass(dice: &mut Dice) -> Pass {
    let number = pass_number(1 + dice.roll(PASSES));
    let until = date(2026, 1, if dice.roll(4) == 0 { 4 } else { 20 });
    Pass {
        edition: 1 + dice.roll(2) as u16,
        bearer: match dice.roll(6) {
            0 => Bearer::Blank,
            1 => Bearer::Foot,
            _ => Bearer::Vehicle(plate(dice.roll(PLATES))),
        },
        household: (dice.roll(4) == 0).then(|| label("h", dice.roll(HOUSEHOLDS))),
        entries: (dice.roll(4) > 0).then(|| 1 + dice.roll(3) as u16),
        revoked: (dice.roll(8) == 0).then(|| "lost".to_owned()),
        ..Pass::blank(number, date(2026, 1, 1), until)
    }
}

fn any_edit(dice: &mut Dice) -> Edit {
    let household = label("h", dice.roll(HOUSEHOLDS));
    let number = plate(dice.roll(PLATES));
    match dice.roll(18) {
        0..=3 => {
            let mut vehicle = Vehicle::new(number);
            vehicle.owner = format!("owner {}", dice.roll(3));
            vehicle.household = (dice.roll(4) > 0).then_some(household);
            Edit::Put(Record::Vehicle(Box::new(vehicle)))
        }
        4 | 5 => Edit::Put(Record::Household(Household {
            id: household,
            contact: format!("contact {}", dice.roll(2)),
            phone: String::new(),
            fee_paid_until: None,
            restriction: None,
        })),
        6 | 7 => {
            let shared_by = match dice.roll(3) {
                0 => [plate(dice.roll(PLATES)), plate(dice.roll(PLATES))].into(),
                _ => BTreeSet::new(),
            };
            Edit::Put(Record::Space(Space {
                id: label("s", dice.roll(SPACES)),
                household,
                shared_by,
            }))
        }
        8 => Edit::Put(Record::Visit(Visit {
            plate: number,
            household,
            from: date(2026, 1, 1).at(0, 0, 0, 0),
            until: date(2026, 1, 1 + dice.roll(20) as i8).at(12, 0, 0, 0),
            note: String::new(),
        })),
        9 => Edit::Put(Record::Rules(Rules {
            anti_passback_hours: (dice.roll(3) == 0).then_some(1),
            ..Rules::default()
        })),
        10 => Edit::Remove(RecordKey::Vehicle(number)),
        11 => Edit::Remove(RecordKey::Household(household)),
        12..=14 => Edit::Put(Record::Pass(Box::new(any_pass(dice)))),
        15 if dice.roll(8) == 0 => Edit::Remove(RecordKey::Pass(pass_number(1))),
        16 => Edit::Remove(RecordKey::Space(label("s", dice.roll(SPACES)))),
        _ => Edit::Remove(RecordKey::Visit(number, date(2026, 1, 1).at(0, 0, 0, 0))),
    }
}

/// A vehicle that was admitted and stands before the boom.
struct Waiting {
    id: PassageId,
    plate: PlateNumber,
    since: i64,
    /// The pass by which it was admitted.
    pass: Option<PassId>,
}

/// A vehicle that has not passed after so many seconds has gone, and its place is given up.
const PATIENCE: i64 = 600;

struct Trial {
    dice: Dice,
    alphabet: Alphabet,
    store: Arc<MemoryStore>,
    ledger: Ledger,
    stamps: u128,
    /// What the store may hold after a crash: first what was acknowledged, then each later state.
    history: Vec<Model>,
    waiting: Vec<Waiting>,
    clock: i64,
    counts: BTreeMap<&'static str, usize>,
}

fn stamp(n: &mut u128, clock: i64) -> Stamp {
    *n += 1;
    Stamp {
        id: Uuid::from_u128(*n),
        time: Timestamp::from_second(1_795_000_000 + clock).unwrap(),
        clock_trusted: true,
    }
}

fn sighting(alphabet: &Alphabet, plate: &PlateNumber) -> Sighting {
    let shown: Vec<char> = plate.as_str().chars().collect();
    let mut values = Vec::new();
    for slot in 0..SLOTS {
        let class = match shown.get(slot) {
            Some(&c) => alphabet.class(c).unwrap(),
            None => alphabet.blank(),
        };
        for at in 0..alphabet.classes() {
            values.push(LogProb::from_nats(if at == class { -0.01 } else { -9.0 }));
        }
    }
    Sighting {
        matrix: Matrix::new(alphabet.classes(), values).unwrap(),
        kind: None,
        readings: 3,
        quad: Quad([(0.0, 0.0); 4]),
    }
}

impl Trial {
    fn new(seed: u64) -> Self {
        let store = Arc::new(MemoryStore::new());
        let mut stamps = 0;
        let opened = Ledger::on_store(store.clone(), &mut || stamp(&mut stamps, 0)).unwrap();
        Self {
            dice: Dice(seed),
            alphabet: Alphabet::new("苏ABCDEFGH0123456789").unwrap(),
            store,
            ledger: opened.ledger,
            stamps,
            history: vec![Model::default()],
            waiting: Vec::new(),
            clock: 0,
            counts: BTreeMap::new(),
        }
    }

    fn stamp(&mut self) -> Stamp {
        stamp(&mut self.stamps, self.clock)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn now(&self) -> &Model {
        self.history.last().unwrap()
    }

    /// After something that syncs as its last step: everything before it is acknowledged too.
    fn settled(&mut self, result: Result<(), LedgerError>, expected: Option<Model>) {
        match (result, expected) {
            (Ok(()), expected) => {
                self.history = vec![expected.expect("a change that is not allowed was made")];
                self.count("changes acknowledged");
            }
            (Err(error), expected) => {
                // Refused, or the disk failed before or after the write.
                let held = Model::of(&self.ledger);
                if held != *self.now() {
                    assert_eq!(Some(&held), expected.as_ref(), "{error}");
                    self.history.push(held);
                }
                self.count("changes refused");
            }
        }
    }

    fn transact(&mut self) {
        let count = 1 + self.dice.roll(3);
        let edits: Vec<Edit> = (0..count).map(|_| any_edit(&mut self.dice)).collect();
        let expected = self.now().edited(&edits);
        let stamp = self.stamp();
        let result = self.ledger.transact(&edits, "test", "because", stamp);
        self.settled(result.map(|_| ()), expected);
    }

    fn import(&mut self) {
        let mut list = "plate,owner,household\n".to_owned();
        let mut model = self.now().clone();
        model
            .records
            .retain(|key, _| !matches!(key, RecordKey::Vehicle(_)));
        for n in 0..PLATES {
            if self.dice.roll(3) == 0 {
                continue;
            }
            let household = label("h", self.dice.roll(HOUSEHOLDS));
            let owner = format!("imported {}", self.dice.roll(2));
            writeln!(list, "{},{owner},{household}", plate(n)).unwrap();
            let key = RecordKey::Household(household.clone());
            model.records.entry(key).or_insert_with(|| {
                Record::Household(Household {
                    id: household.clone(),
                    contact: owner.clone(),
                    phone: String::new(),
                    fee_paid_until: None,
                    restriction: None,
                })
            });
            let vehicle = Vehicle {
                owner,
                household: Some(household),
                ..Vehicle::new(plate(n))
            };
            let record = Record::Vehicle(Box::new(vehicle));
            model.records.insert(record.key(), record);
        }
        let imported = parse(list.as_bytes(), ImportOptions::default()).unwrap();
        let stamp = self.stamp();
        let result = self.ledger.import(imported, "test", stamp);
        self.settled(result.map(|_| ()), Some(model));
    }

    fn arrive(&mut self) {
        let number = plate(self.dice.roll(PLATES));
        let seen = sighting(&self.alphabet, &number);
        let margins = Margins::default();
        let view = self.ledger.registry().unwrap().clone();
        let now = Timestamp::from_second(1_795_000_000 + self.clock).unwrap();
        let clock = Clock::Trusted {
            local: date(2026, 1, 5).at(12, 0, 0, 0),
            now,
        };
        let input = PolicyInput {
            sighting: Some(&seen),
            registry: Some(&view),
            alphabet: &self.alphabet,
            direction: Direction::Entry,
            today: None,
            final_look: true,
            margins: &margins,
        };
        let at = Monotonic::from_nanos(1_000_000_000 * self.clock.unsigned_abs());
        let verdict = self
            .ledger
            .inside()
            .judge(&input, clock, false, at)
            .unwrap();
        let model = self.now();
        if verdict.decision != Decision::Admit {
            match verdict.reason {
                Reason::SpacesFull => self.count("space refused"),
                Reason::PassUsedUp => self.count("pass used up"),
                _ => {}
            }
            return;
        }
        let reason = verdict.reason;
        assert!(
            model.vehicle(&number).is_some() || matches!(reason, Reason::Visitor | Reason::Pass)
        );
        let pass = verdict.evidence.pass;
        assert_eq!(pass.is_some(), reason == Reason::Pass);
        if let Some(id) = pass {
            let held = model.pass(id.number).unwrap();
            assert_eq!((held.id(), held.bearer.plate()), (id, Some(&number)));
            assert!(held.revoked.is_none() && held.until >= date(2026, 1, 5));
            let others = self.waiting.iter();
            let others = others.filter(|w| w.pass == Some(id) && w.plate != number);
            let taken = model.used(id) + others.count() as u32;
            assert!(
                held.entries.is_none_or(|n| taken < u32::from(n)),
                "{held:?} {taken}"
            );
            self.count("pass accepted");
        }
        let model = self.now();
        if model.needs_space(&number) {
            let mut inside = model.inside.clone();
            inside.extend(self.waiting.iter().map(|w| w.plate.clone()));
            inside.remove(&number);
            assert!(
                model.has_room(&inside, &number),
                "{number} was let in beside {inside:?}"
            );
            self.count("space given");
        }
        self.stamps += 1;
        let id = PassageId(Uuid::from_u128(self.stamps));
        let since = self.clock;
        self.waiting.retain(|w| w.plate != number);
        self.waiting.push(Waiting {
            id,
            plate: number,
            since,
            pass,
        });
    }

    fn pass(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let at = self.dice.roll(self.waiting.len());
        let (id, number, pass) = {
            let next = &self.waiting[at];
            (next.id, next.plate.clone(), next.pass)
        };
        let outcome = match self.dice.roll(8) {
            0 => Outcome::TurnedAway,
            1 => Outcome::Interrupted,
            _ => Outcome::Passed,
        };
        if self.record(id, &number, pass, Direction::Entry, outcome) {
            // One plate waits once, however often it was looked at.
            self.waiting.retain(|w| w.plate != number);
            self.count("passages");
        }
    }

    fn leave(&mut self) {
        let inside: Vec<PlateNumber> = self.now().inside.iter().cloned().collect();
        if inside.is_empty() {
            return;
        }
        let number = inside[self.dice.roll(inside.len())].clone();
        self.stamps += 1;
        let id = PassageId(Uuid::from_u128(self.stamps));
        self.record(id, &number, None, Direction::Exit, Outcome::Passed);
    }

    /// Appends a passage without a sync; whether the store took it.
    fn record(
        &mut self,
        passage: PassageId,
        plate: &PlateNumber,
        pass: Option<PassId>,
        direction: Direction,
        outcome: Outcome,
    ) -> bool {
        let stamp = self.stamp();
        let record = PassageRecord {
            passage,
            lane: "entry".parse::<Name>().unwrap(),
            direction,
            began: stamp.time,
            ended: stamp.time,
            decision: Some(Decision::Admit),
            reason: Some(Reason::Registered),
            pass,
            plate: Some(plate.clone()),
            kind: None,
            outcome,
            readings: 3,
            shadow: false,
            pictures: Vec::new(),
        };
        let event = Event::Passage(Box::new(record));
        if self.ledger.append_batch(vec![(stamp, event)]).is_err() {
            return false;
        }
        let mut next = self.now().clone();
        match (direction, outcome) {
            (Direction::Entry, Outcome::Passed) => {
                next.inside.insert(plate.clone());
            }
            (Direction::Exit, _) => {
                next.inside.remove(plate);
            }
            _ => {}
        }
        if let (Some(pass), Outcome::Passed | Outcome::Interrupted) = (pass, outcome) {
            next.use_entry(pass);
        }
        self.history.push(next);
        true
    }

    /// A guard lets the bearer of a pass in by hand.
    fn use_pass(&mut self) {
        let number = pass_number(1 + self.dice.roll(PASSES));
        let edition = 1 + self.dice.roll(2) as u16;
        let id = PassId { number, edition };
        let held = self.now().pass(number).filter(|p| p.id() == id).cloned();
        let waiting = self.waiting.iter().filter(|w| w.pass == Some(id)).count();
        let taken = self.now().used(id) + waiting as u32;
        let left = held.is_some_and(|p| p.entries.is_none_or(|n| taken < u32::from(n)));
        let mut expected = self.now().clone();
        expected.use_entry(id);
        let stamp = self.stamp();
        let result = self.ledger.use_pass(id, None, "test", stamp);
        self.settled(result, left.then_some(expected));
    }

    /// Many passes at once, all or none.
    fn issue(&mut self) {
        let passes: Vec<Pass> = (0..self.dice.roll(4))
            .map(|_| any_pass(&mut self.dice))
            .collect();
        let mut next = self.now().clone();
        let mut numbers = BTreeSet::new();
        let mut allowed = true;
        for pass in &passes {
            let held = self.now().pass(pass.number).map(|p| p.edition);
            allowed &= numbers.insert(pass.number) && held.is_none_or(|n| n < pass.edition);
            let record = Record::Pass(Box::new(pass.clone()));
            next.records.insert(record.key(), record);
        }
        allowed &= next.is_whole();
        let stamp = self.stamp();
        let result = self.ledger.issue(&passes, "test", "", stamp);
        self.settled(result.map(|_| ()), allowed.then_some(next));
    }

    fn mark_outside(&mut self) {
        let number = plate(self.dice.roll(PLATES));
        let mut expected = self.now().clone();
        let known = expected.inside.remove(&number);
        let stamp = self.stamp();
        let result = self.ledger.mark_outside(&number, "test", "looked", stamp);
        if known {
            self.settled(result, Some(expected));
        } else {
            assert!(matches!(result, Err(LedgerError::NotInside { .. })));
        }
    }

    fn sync(&mut self) {
        if self.ledger.sync().is_ok() {
            let now = self.now().clone();
            self.history = vec![now];
        }
    }

    fn crash(&mut self) {
        let kept = self.dice.roll(6);
        self.store = Arc::new(self.store.crash(Crash { kept, torn: 0 }));
        let store: Arc<dyn Store> = self.store.clone();
        let (stamps, clock) = (&mut self.stamps, self.clock);
        let opened = Ledger::on_store(store, &mut || stamp(stamps, clock)).unwrap();
        assert!(opened.reports.is_empty(), "{:?}", opened.reports);
        self.ledger = opened.ledger;
        self.waiting.clear();
        let held = Model::of(&self.ledger);
        assert!(
            self.history.contains(&held),
            "after a crash the store holds {held:#?}, acknowledged was {:#?}",
            self.history[0]
        );
        self.history = vec![held];
        self.verify();
        self.count("crashes");
    }

    fn verify(&mut self) {
        assert_eq!(self.ledger.verify_registry().unwrap(), Vec::<String>::new());
        assert!(self.ledger.journal().verify().unwrap().is_ok());
    }

    fn step(&mut self) {
        self.clock += 1 + self.dice.roll(200) as i64;
        let clock = self.clock;
        self.waiting.retain(|w| clock < w.since + PATIENCE);
        match self.dice.roll(100) {
            0..=26 => self.transact(),
            27 | 28 => self.use_pass(),
            29 => self.issue(),
            30..=31 => self.import(),
            32..=56 => self.arrive(),
            57..=76 => self.pass(),
            77..=84 => self.leave(),
            85..=86 => self.mark_outside(),
            87..=91 => self.sync(),
            92..=93 => {
                let left = self.dice.roll(4) as u64;
                self.store.fail_writes_after(Some(left));
            }
            94..=95 => self.store.fail_writes_after(None),
            96 => {
                // After a failed sync nothing is acknowledged until the process starts anew.
                self.store.fail_syncs_after(Some(self.dice.roll(2) as u64));
                self.transact();
                self.crash();
            }
            _ => self.crash(),
        }
        assert_eq!(Model::of(&self.ledger), *self.now());
        if self.dice.roll(10) == 0 {
            self.verify();
        }
    }
}

#[test]
fn the_register_is_what_was_acknowledged_and_spaces_are_never_over_filled() {
    let number = |name: &str| std::env::var(name).ok().and_then(|t| t.parse().ok());
    let operations: usize = number("MENSHEN_OPERATIONS").unwrap_or(SHORT);
    let seed = number("MENSHEN_SEED").unwrap_or(1) as u64;
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for round in 0..operations.div_ceil(ROUND) {
        let mut trial = Trial::new(seed.wrapping_mul(1_000_003).wrapping_add(round as u64));
        for _ in 0..ROUND.min(operations - round * ROUND) {
            trial.step();
        }
        for (what, count) in trial.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("{operations} operations: {counts:?}");
    for (what, often) in [
        ("changes acknowledged", 200),
        ("changes refused", 200),
        ("space given", 200),
        ("space refused", 200),
        ("passages", 200),
        ("crashes", 200),
        ("pass accepted", 200),
        ("pass used up", 1500),
    ] {
        assert!(
            counts.get(what).is_some_and(|&n| n * often > operations),
            "{what}: {counts:?}"
        );
    }
}
