//! Journal, outbox, broker and the committee's end of them.
//!
//! The real [`Ledger`] on a store that fails, loses and tears; the real [`Delivery`]; a broker
//! that goes away; and a committee that checks what arrives.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use access::journal::Stamp;
use access::ledger::{Ledger, Limits};
use access::registry::import::Imported;
use access::registry::{RegistryView, Vehicle};
use access::store::{Crash, MemoryStore};
use bridge::delivery::{Action, Confirmation, Delivery, Input, Start};
use domain::event::{Chain, Digest};
use domain::{Entry, Event, Monotonic, Outcome, PassageId, PassageRecord};
use jiff::Timestamp;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::report::{Guard, Report};
use super::watch::Violation;

/// The disk budget, in bytes, as it is and while it is used up.
const BUDGET: u64 = 96 * 1024;
const BUDGET_USED_UP: u64 = 12 * 1024;
/// How often the ledger is kept in order, in milliseconds.
const MAINTAIN_EVERY: u64 = 20_000;

/// What the committee knows.
#[derive(Debug)]
pub(super) struct Committee {
    chain: Chain,
    digests: BTreeMap<u64, Digest>,
    holes: Vec<(u64, u64)>,
    pub(super) passages: HashMap<PassageId, PassageRecord>,
    pub(super) count: u64,
}

/// Everything durable, and the way to the committee.
#[allow(clippy::struct_excessive_bools)] // independent facts of a simulated world, not a state
pub(super) struct Books {
    store: Arc<MemoryStore>,
    ledger: Option<Ledger>,
    backlog: Vec<(Stamp, Event)>,
    retry_at: u64,
    delivery: Option<Delivery>,
    fetched: BTreeMap<u64, Vec<u8>>,
    connected: bool,
    connect_at: Option<u64>,
    to_broker: VecDeque<(u64, u64, Vec<u8>)>,
    to_device: VecDeque<(u64, u64)>,
    arrived_upto: u64,
    maintain_at: u64,
    next_id: u128,
    pub(super) broker_away: bool,
    pub(super) budget_used_up: bool,
    /// Entries are missing: some may have been passages.
    pub(super) gap_seen: bool,
    pub(super) committee: Committee,
    pub(super) sabotage: Sabotage,
    /// Passages that have ended.
    ended: u64,
    pub(super) violation: Option<Violation>,
}

/// Mistakes of the surroundings that a test can build in, to show that they are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// What cannot be judged is admitted.
    AdmitsUnjudged,
    /// Every other passage's record is not written.
    LosesRecords,
    /// Every record is written twice.
    WritesTwice,
    /// Entries are acknowledged that nobody has received.
    AcknowledgesUnheard,
    /// An entry's bytes are changed on their way.
    ChangesBytes,
    /// An entry is left out of what is sent.
    SkipsEntries,
    /// What was not synced is sent.
    SendsUnsynced,
    /// Nothing is sent after the first reconnection.
    GivesUpSending,
    /// Verdicts never reach the barrier.
    Starves,
    /// The relay is left energised when the program ends.
    LeavesRelay,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AdmitsUnjudged,
        Self::LosesRecords,
        Self::WritesTwice,
        Self::AcknowledgesUnheard,
        Self::ChangesBytes,
        Self::SkipsEntries,
        Self::SendsUnsynced,
        Self::GivesUpSending,
        Self::Starves,
        Self::LeavesRelay,
    ];
}

fn stamp(next: &mut u128, wall: Timestamp) -> Stamp {
    *next += 1;
    Stamp {
        id: Uuid::from_u128(*next),
        time: wall,
        clock_trusted: true,
    }
}

impl Books {
    /// A new store with this register.
    pub(super) fn new(residents: Vec<Vehicle>, wall: Timestamp) -> Result<Self, Violation> {
        let mut books = Self {
            store: Arc::new(MemoryStore::new()),
            ledger: None,
            backlog: Vec::new(),
            retry_at: 0,
            delivery: None,
            fetched: BTreeMap::new(),
            connected: false,
            connect_at: None,
            to_broker: VecDeque::new(),
            to_device: VecDeque::new(),
            arrived_upto: 0,
            maintain_at: MAINTAIN_EVERY,
            next_id: 1 << 100,
            broker_away: false,
            budget_used_up: false,
            gap_seen: false,
            committee: Committee {
                chain: Chain::EMPTY,
                digests: BTreeMap::new(),
                holes: Vec::new(),
                passages: HashMap::new(),
                count: 0,
            },
            sabotage: Sabotage::None,
            ended: 0,
            violation: None,
        };
        books.open(0, wall, &mut Report::default());
        let stamp = stamp(&mut books.next_id, wall);
        let imported = Imported {
            vehicles: residents,
            skipped: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            columns: Vec::new(),
            encoding: "UTF-8",
        };
        if let Some(ledger) = &mut books.ledger
            && let Err(e) = ledger.import(imported, "simulation", stamp)
        {
            books.broken(14, &format!("the register could not be imported: {e}"));
        }
        match books.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(books),
        }
    }

    fn broken(&mut self, invariant: u8, what: &str) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                invariant,
                what: what.to_owned(),
                trail: Vec::new(),
            });
        }
    }

    pub(super) fn registry(&self) -> Option<&RegistryView> {
        self.ledger.as_ref().and_then(Ledger::registry)
    }

    /// Whether everything has arrived and the disk has nothing to catch up on.
    pub(super) fn is_quiet(&self) -> bool {
        let depth = self.ledger.as_ref().map_or(1, |l| l.journal().depth());
        self.backlog.is_empty() && depth == 0
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    pub(super) fn disk_full(&self, full: bool) {
        self.store.fail_writes_after(full.then_some(0));
    }

    pub(super) fn sync_fails(&self) {
        self.store.fail_syncs_after(Some(0));
    }

    /// Opens the ledger on the store, as a starting daemon does.
    pub(super) fn open(&mut self, now: u64, wall: Timestamp, report: &mut Report) {
        self.store.fail_writes_after(None);
        let next = &mut self.next_id;
        let store: Arc<MemoryStore> = Arc::clone(&self.store);
        match Ledger::on_store(store, &mut || stamp(next, wall)) {
            Ok(opened) => {
                if !opened.reports.is_empty() {
                    report.guard(Guard::EndCutOff);
                }
                let mut ledger = opened.ledger;
                let interrupted = interrupted(&ledger);
                if !interrupted.is_empty() {
                    report.guard(Guard::Interrupted);
                }
                let events = interrupted
                    .into_iter()
                    .map(|record| (stamp(next, wall), Event::Passage(Box::new(record))))
                    .collect();
                let written = ledger.append_batch(events).and_then(|_| ledger.sync());
                let journal = ledger.journal();
                let start = Start {
                    window: 16,
                    late_after: std::time::Duration::from_secs(10),
                    upto: journal.synced(),
                    acked: journal.acknowledged(),
                    seed: now,
                    confirmation: Confirmation::Broker,
                };
                self.delivery = Some(Delivery::new(start));
                self.connected = false;
                self.connect_at = Some(now + 50);
                self.ledger = Some(ledger);
                if let Err(e) = written {
                    self.broken(
                        14,
                        &format!("the journal did not take its first entries: {e}"),
                    );
                }
            }
            Err(e) => self.broken(14, &format!("the ledger does not open after a crash: {e}")),
        }
    }

    /// The daemon dies; what it has not synced may be lost or torn. Says what happened.
    pub(super) fn crash(&mut self, lose: bool, tear: bool, rng: &mut ChaCha8Rng) -> (bool, bool) {
        if (lose || tear)
            && let Some(ledger) = &mut self.ledger
        {
            // Killed between the write and its sync.
            let events = std::mem::take(&mut self.backlog);
            let _ = ledger.append_batch(events);
        }
        let unsynced = self.store.unsynced();
        let kept = if lose || tear {
            rng.random_range(0..=unsynced.saturating_sub(1))
        } else {
            unsynced
        };
        let torn = if tear { rng.random_range(1..4) } else { 0 };
        self.ledger = None;
        self.delivery = None;
        self.backlog.clear();
        self.fetched.clear();
        self.to_broker.clear();
        self.to_device.clear();
        self.store = Arc::new(self.store.crash(Crash { kept, torn }));
        (lose && kept < unsynced, tear && kept < unsynced)
    }

    pub(super) fn record(&mut self, event: Event, wall: Timestamp) {
        if let Event::Passage(_) = &event {
            self.ended += 1;
            if self.sabotage == Sabotage::LosesRecords && self.ended.is_multiple_of(2) {
                return;
            }
            if self.sabotage == Sabotage::WritesTwice {
                let stamp = stamp(&mut self.next_id, wall);
                self.backlog.push((stamp, event.clone()));
            }
        }
        let stamp = stamp(&mut self.next_id, wall);
        self.backlog.push((stamp, event));
    }

    /// Writes, sends and receives what is due.
    pub(super) fn step(
        &mut self,
        now: u64,
        wall: Timestamp,
        rng: &mut ChaCha8Rng,
        report: &mut Report,
    ) {
        self.write(now, report);
        self.maintain(now, wall, report);
        self.network(now, rng, report);
    }

    fn write(&mut self, now: u64, report: &mut Report) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        if self.backlog.is_empty() || now < self.retry_at {
            return;
        }
        if ledger.append_batch(self.backlog.clone()).is_err() {
            report.guard(Guard::Backlog);
            self.retry_at = now + 1000;
            return;
        }
        self.backlog.clear();
        let grown = if self.sabotage == Sabotage::SendsUnsynced {
            Some(ledger.journal().end().seq)
        } else {
            ledger.sync().ok()
        };
        if let Some(upto) = grown {
            self.deliver(now, Input::OutboxGrew { upto }, report);
        }
    }

    fn maintain(&mut self, now: u64, wall: Timestamp, report: &mut Report) {
        if now < self.maintain_at {
            return;
        }
        self.maintain_at = now + MAINTAIN_EVERY;
        let limits = Limits {
            event_days: 365,
            bytes: if self.budget_used_up {
                BUDGET_USED_UP
            } else {
                BUDGET
            },
        };
        let next = &mut self.next_id;
        if let Some(ledger) = &mut self.ledger
            && ledger
                .maintain(limits, None, &mut || stamp(next, wall))
                .is_ok()
        {
            let upto = ledger.journal().synced();
            self.deliver(now, Input::OutboxGrew { upto }, report);
        }
    }

    fn network(&mut self, now: u64, rng: &mut ChaCha8Rng, report: &mut Report) {
        if self.broker_away && self.connected {
            self.connected = false;
            self.to_broker.clear();
            self.to_device.clear();
            self.deliver(now, Input::Disconnected, report);
        }
        if self.connect_at.is_some_and(|at| now >= at) && self.delivery.is_some() {
            self.connect_at = None;
            self.connected = !self.broker_away;
            let input = if self.connected {
                Input::Connected
            } else {
                Input::Disconnected
            };
            self.deliver(now, input, report);
        }
        while self.to_broker.front().is_some_and(|(at, ..)| now >= *at) {
            if let Some((_, seq, bytes)) = self.to_broker.pop_front() {
                self.receive(seq, &bytes, report);
                self.to_device
                    .push_back((now + rng.random_range(5..60), seq));
            }
        }
        while self.to_device.front().is_some_and(|(at, _)| now >= *at) {
            if let Some((_, seq)) = self.to_device.pop_front() {
                self.deliver(now, Input::Acked(seq), report);
            }
        }
        self.deliver(now, Input::Tick, report);
    }

    fn deliver(&mut self, now: u64, input: Input, report: &mut Report) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(delivery) = &mut self.delivery else {
                return;
            };
            for action in delivery.step(Monotonic::from_millis(now), input) {
                inputs.extend(self.act(now, action, report));
            }
        }
    }

    fn act(&mut self, now: u64, action: Action, report: &mut Report) -> Option<Input> {
        let ledger = self.ledger.as_mut()?;
        match action {
            Action::Fetch { from, limit } => {
                let Ok(entries) = ledger.pending(from, limit) else {
                    return Some(Input::FetchFailed);
                };
                let mut found = Vec::with_capacity(entries.len());
                for (seq, bytes) in entries {
                    if self.sabotage == Sabotage::SkipsEntries && seq % 50 == 0 {
                        continue;
                    }
                    found.push(seq);
                    self.fetched.insert(seq, bytes);
                }
                Some(Input::Fetched { from, found })
            }
            Action::Publish { seq, attempt, .. } => {
                if seq > ledger.journal().synced() {
                    self.broken(14, "an entry was sent that was not synced");
                }
                if attempt > 1 {
                    report.guard(Guard::SentAgain);
                }
                let mut bytes = self.fetched.remove(&seq)?;
                if self.sabotage == Sabotage::ChangesBytes && seq % 50 == 0 {
                    bytes = String::from_utf8_lossy(&bytes)
                        .replace("\"clock_trusted\":true", "\"clock_trusted\":false")
                        .into_bytes();
                }
                let silent = self.sabotage == Sabotage::GivesUpSending && attempt > 1;
                if self.connected && !silent {
                    self.to_broker.push_back((now + 20, seq, bytes));
                }
                None
            }
            Action::Acknowledge { upto } => {
                let upto = if self.sabotage == Sabotage::AcknowledgesUnheard {
                    ledger.journal().synced()
                } else {
                    upto
                };
                let failed = ledger.acknowledge(upto).is_err();
                if upto > self.arrived_upto {
                    self.broken(13, "an entry was acknowledged that never arrived");
                }
                failed.then_some(Input::AcknowledgeFailed)
            }
            Action::Reconnect { after } => {
                self.connect_at = Some(now + after.as_millis() as u64);
                None
            }
        }
    }

    /// The committee takes an entry in, and checks it.
    fn receive(&mut self, seq: u64, bytes: &[u8], report: &mut Report) {
        let committee = &mut self.committee;
        let digest = Digest::of(bytes);
        if seq <= committee.chain.seq {
            if committee
                .digests
                .get(&seq)
                .is_some_and(|known| *known != digest)
            {
                self.broken(14, "one sequence number came with two contents");
                return;
            }
            report.guard(Guard::Doubled);
            return;
        }
        let expected = committee.chain.seq + 1;
        if seq > expected {
            committee.holes.push((expected, seq - 1));
            self.gap_seen = true;
            if let Ok(entry) = serde_json::from_slice::<Entry>(bytes) {
                committee.chain = Chain {
                    seq: seq - 1,
                    head: entry.prev,
                };
            }
        }
        let entry = match committee.chain.check(bytes) {
            Ok(entry) => entry,
            Err(e) => {
                self.broken(14, &format!("the chain does not verify: {e}"));
                return;
            }
        };
        self.arrived_upto = seq;
        report.entries += 1;
        committee.digests.insert(seq, digest);
        if committee.digests.len() > 2000 {
            committee.digests.pop_first();
        }
        match entry.event {
            Event::Gap { from, to, .. } => {
                report.guard(Guard::GapDeclared);
                // What is left of each hole on either side of what the gap declares.
                let left =
                    |&(a, b): &(u64, u64)| [(a, b.min(from.saturating_sub(1))), (a.max(to + 1), b)];
                let holes = committee.holes.iter().flat_map(left);
                committee.holes = holes.filter(|(a, b)| a <= b).collect();
            }
            Event::Passage(record) => {
                let id = record.passage;
                committee.count += 1;
                if committee.passages.insert(id, *record).is_some() {
                    self.broken(14, "one passage has two records");
                }
            }
            _ => {}
        }
    }

    /// At the end of a world: nothing may be missing.
    pub(super) fn settle(&mut self) {
        if let Some((from, to)) = self.committee.holes.first() {
            let what = format!("entries {from} to {to} never arrived, and nobody said so");
            self.broken(14, &what);
        }
        let verdict = self.ledger.as_ref().map(|ledger| ledger.journal().verify());
        match verdict {
            Some(Ok(Ok(_))) => {}
            Some(Ok(Err(broken))) => {
                self.broken(14, &format!("the journal does not verify: {broken}"));
            }
            Some(Err(e)) => self.broken(14, &format!("the journal cannot be read: {e}")),
            None => self.broken(14, "there is no journal"),
        }
    }
}

/// Passages whose verdict stands in the journal and whose end does not.
fn interrupted(ledger: &Ledger) -> Vec<PassageRecord> {
    let mut open: BTreeMap<PassageId, PassageRecord> = BTreeMap::new();
    for (_, bytes) in ledger.journal().entries(1, usize::MAX).unwrap_or_default() {
        let Ok(entry) = serde_json::from_slice::<Entry>(&bytes) else {
            continue;
        };
        match entry.event {
            Event::Verdict {
                passage,
                lane,
                verdict,
                shadow,
            } => {
                open.insert(
                    passage,
                    PassageRecord {
                        passage,
                        lane,
                        direction: domain::Direction::Entry,
                        began: entry.time,
                        ended: entry.time,
                        decision: Some(verdict.decision),
                        reason: Some(verdict.reason),
                        pass: verdict.evidence.pass,
                        plate: verdict.plate,
                        kind: verdict.evidence.kind,
                        outcome: Outcome::Interrupted,
                        readings: verdict.evidence.readings,
                        shadow,
                        pictures: Vec::new(),
                    },
                );
            }
            Event::Passage(record) => {
                open.remove(&record.passage);
            }
            _ => {}
        }
    }
    open.into_values().collect()
}
