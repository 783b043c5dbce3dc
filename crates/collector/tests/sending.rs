//! A register's way over a wire on which everything may happen: the sender of [`collector`], the
//! reception of [`bridge`], the receiver of [`domain`], and a broker in a stranger's hands between
//! them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bridge::reception::{Action, Message, Reception};
use collector::message::Enrolment;
use collector::sending::{End, Input, PATIENCE, Sending, report};
use domain::command::{Answer, Command, DeviceName, Enrolled, KeyRing, Refusal, Response, Role};
use domain::event::{Digest, Event};
use domain::names::Name;
use domain::signing::{Purpose, SecretKey, Signed};
use domain::sync::{
    Begun, Manifest, Page, Receiver, RegisterVersion, Report, Scope, Took, Transfer, digest_of,
    pack, root_of,
};
use domain::time::Monotonic;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

const GATE: u8 = 1;
const REGISTRAR: u8 = 2;
const STRANGER: u8 = 3;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn device() -> DeviceName {
    "east-garden/gate".parse().unwrap()
}

fn gates() -> Enrolment {
    let mut gates = Enrolment::default();
    gates.enrol(device(), key(GATE).public());
    gates
}

fn register(version: u64, rows: usize) -> (Manifest, Vec<Page>) {
    let edits: Vec<String> = (0..rows)
        .map(|row| format!("\"{version} {row} {}\"", "x".repeat(2_000)))
        .collect();
    let pages = pack(&edits).unwrap();
    let manifest = Manifest {
        version: RegisterVersion(version),
        scope: Scope::Vehicles,
        base: None,
        pages: pages.len() as u32,
        root: root_of(&pages),
        digest: digest_of(edits),
        why: String::new(),
    };
    (manifest, pages)
}

/// A message on the wire, its topic below the device's own.
#[derive(Debug, Clone)]
struct Post {
    topic: String,
    payload: Vec<u8>,
    retained: bool,
}

impl Post {
    fn new(topic: impl Into<String>, payload: Vec<u8>) -> Self {
        Self {
            topic: topic.into(),
            payload,
            retained: false,
        }
    }
}

/// The gate: what it keeps on its disk, and what a restart takes from it.
struct Gate {
    reception: Reception,
    receiver: Receiver,
    open: Option<(Manifest, Name)>,
    kept: BTreeMap<u32, Page>,
    waits: Option<domain::command::Transaction>,
    applied: Vec<(Manifest, Vec<Page>)>,
    refused: Vec<Refusal>,
    starts: u8,
}

impl Gate {
    fn new() -> Self {
        Self {
            reception: Self::reception(0),
            receiver: Receiver::new(None),
            open: None,
            kept: BTreeMap::new(),
            waits: None,
            applied: Vec::new(),
            refused: Vec::new(),
            starts: 0,
        }
    }

    fn reception(start: u8) -> Reception {
        let committee = Enrolled {
            name: "committee".parse().unwrap(),
            public: key(REGISTRAR).public(),
            roles: vec![Role::Registrar],
            lanes: Vec::new(),
            revoked: false,
        };
        let ring = KeyRing::new(vec![committee]).unwrap();
        Reception::new(device(), vec!["in".parse().unwrap()], ring, [start; 32])
    }

    fn restart(&mut self) {
        self.starts += 1;
        self.reception = Self::reception(self.starts);
        let mut receiver = Receiver::new(self.receiver.in_force());
        if let Some((manifest, by)) = self.open.clone() {
            let kept: Vec<Page> = self.kept.values().cloned().collect();
            assert!(receiver.resume(manifest, by, &kept).is_empty());
        }
        self.receiver = receiver;
        self.waits = None;
    }

    fn hear(&mut self, now: Monotonic, post: &Post) -> Vec<Post> {
        let message = Message {
            topic: &post.topic,
            payload: &post.payload,
            retained: post.retained,
        };
        let mut said = Vec::new();
        let mut actions = VecDeque::from(self.reception.take(now, message));
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Respond { name, response } => said.push(answer(name, &response)),
                Action::CarryOut(accepted) => {
                    let Command::RegistrySync { manifest } = accepted.command else {
                        panic!("nobody ordered that");
                    };
                    self.waits = Some(accepted.transaction);
                    match self.receiver.begin(&manifest, &accepted.by) {
                        Ok(begun) => {
                            if begun == Begun::Anew {
                                self.kept.clear();
                            }
                            if begun != Begun::InForce {
                                self.open = Some((*manifest, accepted.by));
                            }
                            said.extend(self.go_on(true));
                        }
                        Err(fault) => said.extend(self.end(Answer::Refused {
                            reason: fault.refusal(),
                            message: fault.to_string(),
                        })),
                    }
                }
                Action::Page(page) => match self.receiver.page(&page) {
                    Ok(Took::New) => {
                        self.kept.insert(page.index, page);
                        said.extend(self.go_on(false));
                    }
                    Ok(Took::Again) => {}
                    Err(fault) => {
                        actions.extend(self.reception.refuse_page(now, fault.refusal()));
                    }
                },
                Action::Record(Event::MessageRefused { reason, .. }) => self.refused.push(reason),
                Action::Record(_) | Action::Confirm { .. } => panic!("nobody said that"),
            }
        }
        said
    }

    /// Applies what is whole; else says what is missing, if that is asked.
    fn go_on(&mut self, asked: bool) -> Option<Post> {
        let done = Answer::Done {
            message: "in force".to_owned(),
        };
        match self.receiver.open().map(Transfer::is_whole) {
            None => self.end(done),
            Some(true) => {
                let (manifest, _) = self.open.take().unwrap();
                let pages = std::mem::take(&mut self.kept).into_values().collect();
                self.applied.push((manifest, pages));
                self.receiver.applied();
                self.end(done)
            }
            Some(false) if asked => {
                let missing = self.receiver.open().map(Transfer::missing)?;
                let response = Response {
                    device: device(),
                    transaction: self.waits.clone()?,
                    answer: Answer::Taking { missing },
                };
                Some(self::answer("registry-sync", &response))
            }
            Some(false) => None,
        }
    }

    fn end(&mut self, how: Answer) -> Option<Post> {
        let response = Response {
            device: device(),
            transaction: self.waits.take()?,
            answer: how,
        };
        Some(answer("registry-sync", &response))
    }
}

fn answer(name: &str, response: &Response) -> Post {
    let signed = Signed::new(&key(GATE), Purpose::Response, response).unwrap();
    Post::new(
        format!("response/{name}"),
        serde_json::to_vec(&signed).unwrap(),
    )
}

/// What the broker does while it is in a stranger's hands.
struct Broker {
    rng: SmallRng,
    hostile: bool,
    on_the_way: Vec<Post>,
    /// Everything that ever passed here.
    seen: Vec<Post>,
}

impl Broker {
    fn take(&mut self, post: Post) {
        self.seen.push(post.clone());
        self.on_the_way.push(post);
    }

    /// What arrives now, in this order.
    fn give(&mut self) -> Vec<Post> {
        let mut all = std::mem::take(&mut self.on_the_way);
        if !self.hostile {
            return all;
        }
        let mut now = Vec::new();
        for post in all.drain(..) {
            match self.rng.random_range(0..10) {
                0 | 1 => {}
                2 => now.extend([post.clone(), post]),
                3 => self.on_the_way.push(post),
                _ => now.push(post),
            }
        }
        for _ in 0..self.rng.random_range(0..3) {
            if let Some(forged) = self.forge() {
                let at = self.rng.random_range(0..=now.len());
                now.insert(at, forged);
            }
        }
        if self.rng.random_bool(0.3) {
            now.reverse();
        }
        now
    }

    /// Something that passed here before, once more: as it was, retained, bent or signed anew
    /// under the stranger's own key.
    fn forge(&mut self) -> Option<Post> {
        let any = self.rng.random_range(0..self.seen.len().max(1));
        let mut post = self.seen.get(any)?.clone();
        match self.rng.random_range(0..4) {
            0 => {}
            1 => post.retained = true,
            2 => {
                let at = self.rng.random_range(0..post.payload.len());
                post.payload[at] ^= 1 << self.rng.random_range(0..8);
            }
            _ => {
                let purpose = if post.topic.starts_with("response") {
                    Purpose::Response
                } else {
                    Purpose::Command
                };
                let signed: Signed = serde_json::from_slice(&post.payload).ok()?;
                let signed = Signed::new(&key(STRANGER), purpose, &signed.body).unwrap();
                post.payload = serde_json::to_vec(&signed).unwrap();
            }
        }
        Some(post)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), ..ProptestConfig::default() })]

    /// Whatever a stranger does on the broker and however often the gate starts: what it takes
    /// over is what the committee sent, once, and with the first quiet it is in force.
    #[test]
    fn what_is_sent_arrives_as_it_is_over_a_broker_in_a_strangers_hands(
        seed: u64,
        rows in 0_usize..40,
        trouble in 0_usize..400,
    ) {
        let device = device();
        let gates = gates();
        let registrar = key(REGISTRAR);
        let offer = register(2, rows);
        let mut sending = Sending::new(&device, &gates, &registrar, "t", offer.clone());
        let mut gate = Gate::new();
        let mut broker = Broker {
            rng: SmallRng::seed_from_u64(seed),
            hostile: true,
            on_the_way: Vec::new(),
            seen: Vec::new(),
        };
        let mut now = Monotonic::default();
        sending.step(now, Input::Connected);
        for turn in 0..trouble + 400 {
            now = now + Duration::from_millis(100);
            broker.hostile = turn < trouble;
            if broker.hostile && broker.rng.random_bool(0.02) {
                gate.restart();
            }
            if broker.hostile && broker.rng.random_bool(0.02) {
                sending.step(now, Input::Lost);
                sending.step(now, Input::Connected);
            }
            if let Some(End::Refused { .. }) = sending.end() {
                // He can have the gate refuse something else under the same transaction, and the
                // committee tries again.
                sending = Sending::new(
                    &device,
                    &gates,
                    &registrar,
                    format!("t{turn}"),
                    offer.clone(),
                );
                sending.step(now, Input::Connected);
            }
            sending.step(now, Input::Tick);
            while let Some(letter) = sending.next(now) {
                let post = Post::new(letter.topic, letter.payload.clone());
                broker.take(post);
                sending.took(now);
            }
            for post in broker.give() {
                if post.topic.starts_with("response/") {
                    let (topic, payload) = (&post.topic, &post.payload);
                    sending.step(now, Input::Heard { topic, payload });
                } else {
                    for said in gate.hear(now, &post) {
                        broker.take(said);
                    }
                }
            }
            let applied = gate.receiver.in_force();
            prop_assert!(applied.is_none_or(|edition| edition == offer.0.edition()));
            if !broker.hostile && matches!(sending.end(), Some(End::Done(_))) {
                break;
            }
        }
        prop_assert_eq!(sending.end(), Some(&End::Done("in force".to_owned())));
        prop_assert_eq!(&gate.applied, &[offer]);
    }
}

fn histories() -> u32 {
    let wanted = std::env::var("MENSHEN_HISTORIES").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(100)
}

/// A gate that goes on where it was is sent only what is missing.
#[test]
fn a_sending_that_is_begun_anew_sends_what_is_missing() {
    let (device, gates, registrar) = (device(), gates(), key(REGISTRAR));
    let mut gate = Gate::new();
    let mut now = Monotonic::default();
    let mut sent = Vec::new();
    for version in [2, 3] {
        let (mut manifest, pages) = register(9, 60);
        manifest.version = RegisterVersion(version);
        let total = pages.len();
        let mut sending = Sending::new(&device, &gates, &registrar, "t", (manifest, pages));
        sending.step(now, Input::Connected);
        let mut so_far = 0;
        while sending.end().is_none() {
            now = now + Duration::from_millis(1);
            sending.step(now, Input::Tick);
            let Some(letter) = sending.next(now) else {
                continue;
            };
            let post = Post::new(letter.topic, letter.payload.clone());
            sending.took(now);
            so_far += usize::from(post.topic == "registry/page");
            for said in gate.hear(now, &post) {
                let (topic, payload) = (&said.topic, &said.payload);
                sending.step(now, Input::Heard { topic, payload });
            }
            if version == 2 && so_far == total / 2 {
                break;
            }
        }
        sent.push(so_far);
        gate.restart();
        assert_eq!(sent.iter().sum::<usize>() < total, version == 2);
        if version == 3 {
            assert_eq!(sent.iter().sum::<usize>(), total);
        }
    }
    assert_eq!(gate.applied.len(), 1);
    assert_eq!(gate.applied[0].0.version, RegisterVersion(3));
}

/// A gate looks at 500 pages a second; none of a large register is refused for that.
#[test]
fn a_large_register_is_no_flood() {
    let (device, gates, registrar) = (device(), gates(), key(REGISTRAR));
    let mut gate = Gate::new();
    let offer = register(1, 4_000);
    assert!(offer.1.len() > 1_000);
    let mut sending = Sending::new(&device, &gates, &registrar, "t", offer);
    let mut now = Monotonic::default();
    sending.step(now, Input::Connected);
    while sending.end().is_none() {
        now = now + Duration::from_millis(50);
        assert!(now - Monotonic::default() < Duration::from_secs(30));
        sending.step(now, Input::Tick);
        while let Some(letter) = sending.next(now) {
            let post = Post::new(letter.topic, letter.payload.clone());
            sending.took(now);
            for said in gate.hear(now, &post) {
                let (topic, payload) = (&said.topic, &said.payload);
                sending.step(now, Input::Heard { topic, payload });
            }
        }
    }
    assert_eq!(gate.refused, []);
    assert_eq!(gate.applied.len(), 1);
}

/// What was not signed by the gate's own key, or is an answer to another question, is no answer.
#[test]
fn only_the_gates_own_answer_counts() {
    let (device, gates, registrar) = (device(), gates(), key(REGISTRAR));
    let mut sending = Sending::new(&device, &gates, &registrar, "t", register(1, 3));
    let now = Monotonic::default();
    sending.step(now, Input::Connected);
    let request = sending.next(now).unwrap().clone();
    sending.took(now);
    assert_eq!(request.topic, "request/challenge");
    let response = |device: &DeviceName, transaction: &str| Response {
        device: device.clone(),
        transaction: transaction.parse().unwrap(),
        answer: Answer::Done {
            message: "in force".to_owned(),
        },
    };
    let other = "east-garden/back".parse().unwrap();
    let forged = [
        (STRANGER, Purpose::Response, response(&device, "t-1")),
        (GATE, Purpose::Head, response(&device, "t-1")),
        (GATE, Purpose::Response, response(&other, "t-1")),
        (GATE, Purpose::Response, response(&device, "t-0")),
    ];
    for (seed, purpose, response) in forged {
        let signed = Signed::new(&key(seed), purpose, &response).unwrap();
        let payload = &serde_json::to_vec(&signed).unwrap();
        let topic = "response/registry-sync";
        sending.step(now, Input::Heard { topic, payload });
        assert_eq!(sending.end(), None);
    }
    // Nothing came of the question: it asks again.
    sending.step(now + PATIENCE, Input::Tick);
    assert_eq!(sending.next(now).unwrap().topic, "request/challenge");
    let genuine = answer("registry-sync", &response(&device, "t-2"));
    let (topic, payload) = (&genuine.topic, &genuine.payload);
    sending.step(now, Input::Heard { topic, payload });
    assert!(matches!(sending.end(), Some(End::Done(_))));
}

#[test]
fn only_the_gates_own_report_counts() {
    let said = Report {
        device: device(),
        version: 3,
        vehicles: Digest::START,
        register: Digest::START,
        server: None,
        differing: 0,
        contested: 0,
    };
    let signed = |seed: u8, purpose, report: &Report| {
        serde_json::to_vec(&Signed::new(&key(seed), purpose, report).unwrap()).unwrap()
    };
    let other = Report {
        device: "east-garden/back".parse().unwrap(),
        ..said.clone()
    };
    let read = |payload: &[u8]| report(payload, &device(), &gates());
    assert_eq!(
        read(&signed(GATE, Purpose::Register, &said)),
        Some(said.clone())
    );
    assert_eq!(read(&signed(STRANGER, Purpose::Register, &said)), None);
    assert_eq!(read(&signed(GATE, Purpose::Response, &said)), None);
    assert_eq!(read(&signed(GATE, Purpose::Register, &other)), None);
    assert_eq!(read(b"{}"), None);
}
