//! The gate's real cores against the collector's, with an enemy for a broker.
//!
//! The enemy reads everything and may drop, hold back, reorder, repeat, retain and forge any
//! message in either direction, acknowledgements included. He has no key.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bridge::delivery::{Action, Confirmation, Delivery, Input, Start};
use bridge::envelope::{Publication, Signer, envelope};
use bridge::reception::{self, Message, Reception, Sent, judge};
use bridge::topics::Topics;
use collector::memory::MemoryStore;
use collector::message::Enrolment;
use collector::{Clerk, Letter, ReportKind};
use domain::command::{Acknowledgement, Command, DeviceName, Enrolled, Head, KeyRing, Order, Role};
use domain::event::{Chain, Digest, Event};
use domain::signing::{Purpose, SecretKey, Signed};
use domain::time::Monotonic;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

const GATE: u8 = 1;
const SERVER: u8 = 2;
const GUARD: u8 = 3;
const ENEMY: u8 = 66;

fn device() -> DeviceName {
    "garden/east".parse().unwrap()
}

/// A gate: journal, outbox, delivery, reception.
struct Gate {
    delivery: Delivery,
    reception: Reception,
    topics: Topics,
    signer: Signer,
    chain: Chain,
    outbox: BTreeMap<u64, Vec<u8>>,
    /// Everything that ever stood in the journal.
    journal: BTreeMap<u64, Vec<u8>>,
    refused: u64,
    orders: Vec<Command>,
    beat: u64,
}

impl Gate {
    fn new() -> Self {
        let enrol = |name: &str, seed, role| Enrolled {
            name: name.parse().unwrap(),
            public: key(seed).public(),
            roles: vec![role],
            lanes: Vec::new(),
            revoked: false,
        };
        let ring = KeyRing::new(vec![
            enrol("server", SERVER, Role::Server),
            enrol("guard", GUARD, Role::Guard),
        ])
        .unwrap();
        Self {
            delivery: Delivery::new(Start {
                window: 8,
                late_after: Duration::from_secs(10),
                upto: 0,
                acked: 0,
                seed: 1,
                confirmation: Confirmation::Server,
            }),
            reception: Reception::new(device(), vec!["in".parse().unwrap()], ring, [9; 32]),
            topics: Topics::new(&device().site, &device().device),
            signer: Signer {
                device: device(),
                key: key(GATE),
            },
            chain: Chain::EMPTY,
            outbox: BTreeMap::new(),
            journal: BTreeMap::new(),
            refused: 0,
            orders: Vec::new(),
            beat: 0,
        }
    }

    fn append(&mut self, event: Event) {
        let id = Uuid::from_u128(u128::from(self.chain.seq) + 1);
        let (entry, bytes, next) = self
            .chain
            .seal(id, Timestamp::UNIX_EPOCH, true, event)
            .unwrap();
        self.chain = next;
        self.outbox.insert(entry.seq, bytes.clone());
        self.journal.insert(entry.seq, bytes);
    }

    /// The disk budget is used up: the oldest undelivered entries go, and a gap entry says so.
    fn shrink(&mut self, count: u64) {
        let Some((&first, _)) = self.outbox.first_key_value() else {
            return;
        };
        let last = (first + count).min(self.chain.seq);
        self.outbox = self.outbox.split_off(&(last + 1));
        self.append(Event::Gap {
            from: first,
            to: last,
            why: "the disk budget is used up".to_owned(),
        });
    }

    fn step(&mut self, now: Monotonic, input: Input, wire: &mut Wire) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.delivery.step(now, input) {
                match action {
                    Action::Fetch { from, limit } => {
                        let found = self.outbox.range(from..).take(limit);
                        let found = found.map(|(seq, _)| *seq).collect();
                        inputs.push_back(Input::Fetched { from, found });
                    }
                    Action::Publish { seq, attempt, late } => {
                        let publication = Publication {
                            seq,
                            attempt,
                            late,
                            now: Timestamp::UNIX_EPOCH,
                            late_after: Duration::from_secs(10),
                        };
                        let Some(stored) = self.outbox.get(&seq) else {
                            continue;
                        };
                        let (topic, payload) =
                            envelope(&self.topics, &self.signer, stored, publication).unwrap();
                        wire.to_server.push_back(letter(topic, payload));
                        // The enemy acknowledges every publication: that must be worth nothing.
                        inputs.push_back(Input::Acked(seq));
                    }
                    Action::Acknowledge { upto } => {
                        self.outbox = self.outbox.split_off(&(upto + 1));
                    }
                    Action::Reconnect { .. } => {}
                }
            }
        }
    }

    fn hear(&mut self, now: Monotonic, heard: &Letter, wire: &mut Wire) {
        let Some(topic) = self.topics.below(&heard.topic).map(str::to_owned) else {
            return;
        };
        let message = Message {
            topic: &topic,
            payload: &heard.payload,
            retained: heard.retained,
        };
        for action in self.reception.take(now, message) {
            match action {
                reception::Action::Confirm { word, by } => {
                    let sent = Sent {
                        acked: self.delivery.acked(),
                        greatest: self.delivery.greatest(),
                        gone: self.gone(),
                    };
                    let stored = self.outbox.get(&word.upto).map(|bytes| Digest::of(bytes));
                    match judge(&word, sent, stored) {
                        Ok(()) => self.step(
                            now,
                            Input::Confirmed {
                                upto: word.upto,
                                received: word.received,
                                resumes: word.resumes,
                            },
                            wire,
                        ),
                        Err(why) => {
                            self.reception.refuse_acknowledgement(now, why, by);
                            self.refused += 1;
                        }
                    }
                }
                reception::Action::CarryOut(accepted) => self.orders.push(accepted.command),
                // No register is on its way here: a page belongs to nothing.
                reception::Action::Page(_) | reception::Action::Record(_) => self.refused += 1,
                reception::Action::Respond { name, response } => {
                    let signed = Signed::new(&self.signer.key, Purpose::Response, &response);
                    let payload = serde_json::to_vec(&signed.unwrap()).unwrap();
                    wire.seen.push(letter(self.topics.response(name), payload));
                }
            }
        }
    }

    /// Up to where nothing is in the outbox any more.
    fn gone(&self) -> u64 {
        let acked = self.delivery.acked();
        let first = self.outbox.keys().next();
        first.map_or(acked, |first| acked.max(first - 1))
    }

    fn head(&mut self, wire: &mut Wire) {
        self.beat += 1;
        let head = Head {
            device: device(),
            seq: self.chain.seq,
            acked: self.delivery.acked(),
            gone: self.gone(),
            beat: self.beat,
        };
        let signed = Signed::new(&self.signer.key, Purpose::Head, &head).unwrap();
        let payload = serde_json::to_vec(&signed).unwrap();
        wire.to_server
            .push_back(letter(self.topics.head(), payload));
    }
}

fn letter(topic: String, payload: Vec<u8>) -> Letter {
    Letter {
        topic,
        payload,
        retained: false,
    }
}

/// The broker, and all that the enemy has ever seen on it.
#[derive(Default)]
struct Wire {
    to_server: VecDeque<Letter>,
    to_gate: VecDeque<Letter>,
    seen: Vec<Letter>,
}

struct World {
    gate: Gate,
    wire: Wire,
    clerk: Clerk,
    store: MemoryStore,
    now: Monotonic,
    told: Vec<(ReportKind, Monotonic)>,
}

#[derive(Debug, Clone)]
enum Blow {
    /// Something happens at the gate.
    Happen(u8),
    /// The gate's disk is full.
    Shrink(u8),
    /// The enemy lets this many messages through, in each direction.
    Pass(u8),
    /// He drops the message at this place of the way to the server.
    DropEntry(prop::sample::Index),
    /// He drops the message at this place of the way to the gate.
    DropAck(prop::sample::Index),
    /// He swaps two on the way to the server.
    Swap(prop::sample::Index, prop::sample::Index),
    /// He repeats something that he has seen, to whichever end it belongs, perhaps retained.
    Replay(prop::sample::Index, bool),
    /// He changes a bit of something that he has seen.
    Flip(prop::sample::Index, prop::sample::Index, u8),
    /// He acknowledges entries himself.
    ForgeAck(u64),
    /// He takes the content out of an entry and lets its number, hash and signature through.
    Withhold(prop::sample::Index),
    /// He sends an entry of his own that continues the chain.
    ForgeEntry,
    /// He sends a command, signed by himself, over an honest challenge.
    ForgeCommand,
    /// The server's disk fails during a batch.
    DiskFails,
    /// Time goes by.
    Wait(u16),
}

fn blow() -> impl Strategy<Value = Blow> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        6 => (1_u8..6).prop_map(Blow::Happen),
        1 => (0_u8..5).prop_map(Blow::Shrink),
        8 => (1_u8..10).prop_map(Blow::Pass),
        3 => at().prop_map(Blow::DropEntry),
        2 => at().prop_map(Blow::DropAck),
        2 => (at(), at()).prop_map(|(a, b)| Blow::Swap(a, b)),
        3 => (at(), any::<bool>()).prop_map(|(a, r)| Blow::Replay(a, r)),
        2 => (at(), at(), 0_u8..8).prop_map(|(a, b, bit)| Blow::Flip(a, b, bit)),
        2 => (0_u64..50).prop_map(Blow::ForgeAck),
        2 => at().prop_map(Blow::Withhold),
        1 => Just(Blow::ForgeEntry),
        1 => Just(Blow::ForgeCommand),
        1 => Just(Blow::DiskFails),
        2 => (1_u16..20_000).prop_map(Blow::Wait),
    ]
}

impl World {
    fn new() -> Self {
        let mut enrolment = Enrolment::default();
        enrolment.enrol(device(), key(GATE).public());
        let now = Monotonic::from_millis(1);
        let mut world = Self {
            gate: Gate::new(),
            wire: Wire::default(),
            clerk: Clerk::new(enrolment, key(SERVER), now),
            store: MemoryStore::default(),
            now,
            told: Vec::new(),
        };
        world.gate.step(now, Input::Connected, &mut world.wire);
        world
    }

    fn reach_server(&mut self, letters: &[Letter]) {
        self.wire.seen.extend_from_slice(letters);
        let taken = self
            .clerk
            .take(&mut self.store, letters, self.now, Timestamp::UNIX_EPOCH);
        let Ok(delivered) = taken else { return };
        for report in &delivered.reports {
            self.told.push((report.kind, self.now));
        }
        for (topic, payload) in delivered.acknowledgements {
            self.wire.to_gate.push_back(letter(topic, payload));
        }
    }

    fn reach_gate(&mut self, heard: &Letter) {
        self.wire.seen.push(heard.clone());
        self.gate.hear(self.now, heard, &mut self.wire);
    }

    /// To whichever end a topic belongs.
    fn send(&mut self, sent: Letter) {
        if sent.topic.ends_with("/ack") || sent.topic.contains("/request/") {
            self.reach_gate(&sent);
        } else {
            self.reach_server(&[sent]);
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.gate.step(self.now, Input::Tick, &mut self.wire);
        self.gate.reception.tick(self.now);
        self.reach_server(&[]);
    }

    fn grew(&mut self) {
        let upto = self.gate.chain.seq;
        let grew = Input::OutboxGrew { upto };
        self.gate.step(self.now, grew, &mut self.wire);
    }

    fn suffer(&mut self, blow: &Blow) {
        match blow {
            Blow::Happen(count) => {
                for _ in 0..*count {
                    self.gate.append(Event::Stopped);
                }
                self.grew();
            }
            Blow::Shrink(count) => {
                self.gate.shrink(u64::from(*count));
                self.grew();
            }
            Blow::Pass(count) => {
                let count = usize::from(*count);
                let some = count.min(self.wire.to_server.len());
                let letters: Vec<_> = self.wire.to_server.drain(..some).collect();
                self.reach_server(&letters);
                for _ in 0..count {
                    if let Some(heard) = self.wire.to_gate.pop_front() {
                        self.reach_gate(&heard);
                    }
                }
            }
            Blow::DropEntry(at) if !self.wire.to_server.is_empty() => {
                let at = at.index(self.wire.to_server.len());
                let lost = self.wire.to_server.remove(at);
                self.wire.seen.extend(lost);
            }
            Blow::DropAck(at) if !self.wire.to_gate.is_empty() => {
                let at = at.index(self.wire.to_gate.len());
                let lost = self.wire.to_gate.remove(at);
                self.wire.seen.extend(lost);
            }
            Blow::Swap(a, b) if !self.wire.to_server.is_empty() => {
                let len = self.wire.to_server.len();
                self.wire.to_server.swap(a.index(len), b.index(len));
            }
            Blow::Replay(at, retained) if !self.wire.seen.is_empty() => {
                let mut again = self.wire.seen[at.index(self.wire.seen.len())].clone();
                again.retained = *retained;
                self.send(again);
            }
            Blow::Flip(at, place, bit) if !self.wire.seen.is_empty() => {
                let mut changed = self.wire.seen[at.index(self.wire.seen.len())].clone();
                if !changed.payload.is_empty() {
                    let place = place.index(changed.payload.len());
                    changed.payload[place] ^= 1 << bit;
                    self.send(changed);
                }
            }
            Blow::ForgeAck(upto) => self.forge_ack(*upto),
            Blow::Withhold(at) if !self.wire.to_server.is_empty() => {
                let at = at.index(self.wire.to_server.len());
                let Some(mut sent) = self.wire.to_server.remove(at) else {
                    return;
                };
                let mut envelope: serde_json::Value =
                    serde_json::from_slice(&sent.payload).unwrap();
                if envelope.get("data").is_some() {
                    envelope["type"] = "menshen.withheld".into();
                    envelope["data"] = serde_json::json!({ "size": 1, "why": "he says so" });
                    sent.payload = envelope.to_string().into_bytes();
                }
                self.reach_server(&[sent]);
            }
            Blow::ForgeEntry => self.forge_entry(),
            Blow::ForgeCommand => self.forge_command(),
            Blow::DiskFails => {
                self.store.fails = true;
                self.suffer(&Blow::Pass(3));
                self.store.fails = false;
            }
            Blow::Wait(millis) => self.wait(u64::from(*millis)),
            Blow::DropEntry(_)
            | Blow::DropAck(_)
            | Blow::Swap(..)
            | Blow::Withhold(_)
            | Blow::Replay(..)
            | Blow::Flip(..) => {}
        }
    }

    /// He knows everything but the keys: number, hash, the form.
    fn forge_ack(&mut self, upto: u64) {
        let stored = self.gate.journal.get(&upto);
        let word = Acknowledgement {
            device: device(),
            upto,
            chain: stored.map_or(Digest::START, |bytes| Digest::of(bytes)),
            received: upto,
            resumes: None,
        };
        let mut signed = Signed::new(&key(ENEMY), Purpose::Acknowledgement, &word).unwrap();
        let topic = format!("menshen/{}/ack", device());
        let payload = serde_json::to_vec(&signed).unwrap();
        self.reach_gate(&letter(topic.clone(), payload));
        // And with the server's name on it.
        signed.key = key(SERVER).public();
        let payload = serde_json::to_vec(&signed).unwrap();
        self.reach_gate(&letter(topic, payload));
    }

    fn forge_entry(&mut self) {
        let (entry, bytes, _) = self
            .gate
            .chain
            .seal(
                Uuid::from_u128(666),
                Timestamp::UNIX_EPOCH,
                true,
                Event::Stopped,
            )
            .unwrap();
        let signer = Signer {
            device: device(),
            key: key(ENEMY),
        };
        let publication = Publication {
            seq: entry.seq,
            attempt: 1,
            late: Some(false),
            now: Timestamp::UNIX_EPOCH,
            late_after: Duration::from_secs(10),
        };
        let (topic, payload) = envelope(&self.gate.topics, &signer, &bytes, publication).unwrap();
        self.reach_server(&[letter(topic.clone(), payload.clone())]);
        let gate = key(GATE).public().to_string();
        let enemy = key(ENEMY).public().to_string();
        let text = String::from_utf8(payload).unwrap().replace(&enemy, &gate);
        self.reach_server(&[letter(topic, text.into_bytes())]);
    }

    fn forge_command(&mut self) {
        let ask = letter(
            self.gate.topics.root().to_owned() + "/request/challenge",
            br#"{"transaction":"evil","lane":"in"}"#.to_vec(),
        );
        self.reach_gate(&ask);
        let answer = self
            .wire
            .seen
            .iter()
            .rev()
            .find(|seen| seen.topic.ends_with("response/challenge"))
            .unwrap();
        let signed: Signed = serde_json::from_slice(&answer.payload).unwrap();
        let body: serde_json::Value = serde_json::from_str(signed.body.get()).unwrap();
        let order = Order {
            device: device(),
            challenge: serde_json::from_value(body["challenge"].clone()).unwrap(),
            transaction: "evil".parse().unwrap(),
            command: Command::Open {
                lane: "in".parse().unwrap(),
            },
        };
        let mut signed = Signed::new(&key(ENEMY), Purpose::Command, &order).unwrap();
        let topic = self.gate.topics.root().to_owned() + "/request/open";
        for claimed in [ENEMY, GUARD, SERVER, GATE] {
            signed.key = key(claimed).public();
            let payload = serde_json::to_vec(&signed).unwrap();
            self.reach_gate(&letter(topic.clone(), payload));
        }
    }

    /// What must hold after every blow.
    fn check(&self) {
        assert_eq!(self.gate.orders, [], "a stranger made the gate act");
        let stored = self.store.entries(&device());
        for entry in &stored {
            let honest = self.gate.journal.get(&entry.link.seq);
            assert_eq!(
                entry.data.as_ref(),
                honest,
                "a stranger wrote into the store"
            );
        }
        // Whatever has left the outbox is stored, or a gap entry says that it is lost.
        let there: Vec<u64> = stored.iter().map(|entry| entry.link.seq).collect();
        let declared: Vec<(u64, u64)> = self
            .gate
            .journal
            .values()
            .filter_map(|bytes| domain::chain::Frame::read(bytes).unwrap().link.gap)
            .collect();
        for seq in self.gate.journal.keys() {
            let safe = self.gate.outbox.contains_key(seq)
                || there.binary_search(seq).is_ok()
                || declared.iter().any(|(from, to)| (from..=to).contains(&seq));
            assert!(safe, "entry {seq} has disappeared");
        }
    }

    /// The enemy has gone: everything must arrive.
    fn heal(&mut self) {
        for _ in 0..600 {
            self.suffer(&Blow::Pass(200));
            self.gate.head(&mut self.wire);
            self.wait(30_000);
            if self.gate.outbox.is_empty() {
                return;
            }
        }
        let entries = self.store.entries(&device());
        let stored: Vec<_> = entries.iter().map(|entry| entry.link.seq).collect();
        panic!(
            "{:?} never arrived; stored: {stored:?}, {:?}",
            self.gate.outbox.keys(),
            self.gate.delivery
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("MENSHEN_ATTACKS").ok().and_then(|n| n.parse().ok()).unwrap_or(100),
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The bar: a stranger with full access to the broker opens nothing, adds nothing, and
    /// cannot make an event disappear. `MENSHEN_ATTACKS=20000` is the long form.
    #[test]
    fn a_stranger_on_the_broker_opens_nothing_and_hides_nothing(
        blows in prop::collection::vec(blow(), 1..120)
    ) {
        let mut world = World::new();
        for blow in &blows {
            world.suffer(blow);
            world.check();
        }
        world.heal();
        world.check();
        let whole = world.gate.chain.seq;
        prop_assert_eq!(world.gate.delivery.acked(), whole);
    }
}

#[test]
fn a_stranger_who_holds_everything_back_is_noticed() {
    let mut world = World::new();
    world.suffer(&Blow::Happen(5));
    world.gate.head(&mut world.wire);
    world.suffer(&Blow::Pass(10));
    world.suffer(&Blow::Happen(5));
    // He drops all, and replays what is old and genuine to feign life.
    for _ in 0..8 {
        world.wire.to_server.clear();
        world.gate.head(&mut world.wire);
        world.wire.to_server.clear();
        for at in 0..world.wire.seen.len() {
            let again = world.wire.seen[at].clone();
            if !again.topic.ends_with("/ack") {
                world.reach_server(&[again]);
            }
        }
        world.wire.to_gate.clear();
        world.wait(30_000);
    }
    let silent = world
        .told
        .iter()
        .filter(|told| told.0 == ReportKind::Silent);
    assert_eq!(silent.count(), 1, "{:?}", world.told);
    assert_eq!(world.gate.outbox.len(), 5, "what was held back is kept");
    world.heal();
    assert!(world.told.iter().any(|told| told.0 == ReportKind::Back));
}

#[test]
fn a_stranger_who_holds_entries_back_and_lets_heads_through_is_noticed() {
    let mut world = World::new();
    world.suffer(&Blow::Happen(5));
    for _ in 0..8 {
        world.wire.to_server.clear();
        world.gate.head(&mut world.wire);
        world.suffer(&Blow::Pass(10));
        world.wait(30_000);
    }
    let behind = world
        .told
        .iter()
        .filter(|told| told.0 == ReportKind::Behind);
    assert_eq!(behind.count(), 1, "{:?}", world.told);
}

#[test]
fn an_entry_that_is_held_back_for_ever_is_reported_as_a_hole() {
    let mut world = World::new();
    world.suffer(&Blow::Happen(6));
    for _ in 0..40 {
        let held = world.gate.journal[&3].clone();
        let seq3 = Digest::of(&held).to_string();
        world.wire.to_server.retain(|sent| {
            !String::from_utf8_lossy(&sent.payload).contains(&format!("\"hash\":\"{seq3}\""))
        });
        world.suffer(&Blow::Pass(100));
        world.wait(10_000);
    }
    assert!(
        world.told.iter().any(|told| told.0 == ReportKind::Hole),
        "{:?}",
        world.told
    );
    assert_eq!(world.gate.delivery.acked(), 2);
    assert!(world.gate.outbox.contains_key(&3));
}

#[test]
fn a_gate_that_delivered_elsewhere_before_begins_here_where_it_is() {
    let mut world = World::new();
    world.suffer(&Blow::Happen(20));
    // The broker's word was enough until now.
    world.wire.to_server.clear();
    world.gate.outbox = world.gate.outbox.split_off(&13);
    world.gate.delivery = Delivery::new(Start {
        window: 8,
        late_after: Duration::from_secs(10),
        upto: 20,
        acked: 12,
        seed: 1,
        confirmation: Confirmation::Server,
    });
    let now = world.now;
    world.gate.step(now, Input::Connected, &mut world.wire);
    world.suffer(&Blow::Pass(100));
    assert_eq!(world.gate.delivery.acked(), 12);
    world.gate.head(&mut world.wire);
    world.suffer(&Blow::Pass(100));
    assert_eq!(world.gate.delivery.acked(), 20);
    assert!(world.told.iter().any(|told| told.0 == ReportKind::Conceded));
}
