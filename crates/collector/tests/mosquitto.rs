//! The bridge, a real mosquitto and the collector with its database, with an enemy who has every
//! right on the broker.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod postgres;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command as Program, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bridge::outbox::{Outbox, OutboxError, Pending};
use bridge::{
    Bridge, BridgeHandle, Declined, Identity, Keys, MqttConfig, Orders, PageTaken, SyncStep,
};
use collector::CollectorConfig;
use domain::chain::Frame;
use domain::command::{
    Acknowledgement, Answer, Command, DeviceName, Enrolled, KeyRing, Order, Refusal, Response, Role,
};
use domain::event::{Chain, Event};
use domain::names::Name;
use domain::signing::{Purpose, SecretKey, Signed};
use domain::sync::{Manifest, Page};
use postgres::Server;
use rumqttc::{Client, MqttOptions, Packet, QoS};
use uuid::Uuid;

const GATE: u8 = 1;
const SERVER: u8 = 2;
const GUARD: u8 = 3;
const ENEMY: u8 = 66;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn device() -> DeviceName {
    "garden/east".parse().unwrap()
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Mosquitto {
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = tempfile::tempdir().unwrap();
        // Its defaults: what it keeps for an absent subscriber is bounded. And it forgets all
        // when it is killed.
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\nuser root\n"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self {
            port,
            folder,
            child: None,
        };
        broker.start();
        broker
    }

    fn start(&mut self) {
        let binary = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .unwrap_or_else(|| "mosquitto".into());
        let child = Program::new(binary)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need the broker mosquitto: install the package mosquitto");
        self.child = Some(child);
        let port = self.port;
        until("mosquitto does not listen", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A journal in memory, and a house that notes what it is told to do.
#[derive(Default)]
struct House {
    inner: Mutex<Inner>,
}

struct Inner {
    chain: Chain,
    pending: BTreeMap<u64, Arc<[u8]>>,
    acked: u64,
    orders: Vec<Command>,
    refused: Vec<Refusal>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            chain: Chain::EMPTY,
            pending: BTreeMap::new(),
            acked: 0,
            orders: Vec::new(),
            refused: Vec::new(),
        }
    }
}

impl House {
    fn append(&self, event: Event) -> u64 {
        let mut inner = self.inner.lock().unwrap();
        let now = jiff::Timestamp::now();
        let (entry, bytes, next) = inner.chain.seal(Uuid::now_v7(), now, true, event).unwrap();
        inner.chain = next;
        inner.pending.insert(entry.seq, bytes.into());
        entry.seq
    }

    fn acked(&self) -> u64 {
        self.inner.lock().unwrap().acked
    }
}

impl Outbox for House {
    fn pending(&self, from: u64, limit: usize) -> Result<Pending, OutboxError> {
        let inner = self.inner.lock().unwrap();
        let found = inner.pending.range(from..).take(limit);
        Ok(found.map(|(seq, bytes)| (*seq, bytes.clone())).collect())
    }

    fn acknowledged(&self) -> u64 {
        self.acked()
    }

    fn acknowledge(&self, upto: u64) -> Result<(), OutboxError> {
        let mut inner = self.inner.lock().unwrap();
        inner.pending = inner.pending.split_off(&(upto + 1));
        inner.acked = upto;
        Ok(())
    }
}

impl Orders for House {
    fn carry_out(&self, command: &Command, by: &Name, _cause: &str) -> Result<String, Declined> {
        self.inner.lock().unwrap().orders.push(command.clone());
        match command {
            Command::Hold { .. } => Err(Declined::not_supported("not yet")),
            _ => Ok(format!("done for {by}")),
        }
    }

    fn begin_sync(&self, _: &Manifest, _: &Name) -> Result<SyncStep, Declined> {
        Err(Declined::not_supported("not here"))
    }

    fn take_page(&self, _: &Page) -> Result<PageTaken, Refusal> {
        Err(Refusal::NotSupported)
    }

    fn record(&self, event: Event) {
        if let Event::MessageRefused { reason, .. } = event {
            self.inner.lock().unwrap().refused.push(reason);
        }
    }
}

fn start(house: &Arc<House>, port: u16) -> BridgeHandle {
    let config = MqttConfig::new("127.0.0.1", port);
    let identity = Identity {
        site: device().site,
        device: device().device,
        version: "0.0.0".to_owned(),
        lanes: vec!["in".parse().unwrap(), "out".parse().unwrap()],
        barriers: vec!["boom".parse().unwrap()],
    };
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
    let keys = Keys {
        device: key(GATE),
        ring,
    };
    Bridge::start(
        &config,
        identity,
        keys,
        house.clone(),
        Some(house.clone()),
        0,
    )
    .unwrap()
}

/// A collector on a thread; stopped when dropped.
struct Collecting {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    stored: Arc<Mutex<u64>>,
}

impl Collecting {
    fn start(folder: &std::path::Path, port: u16, who: &str, group: Option<&str>) -> Self {
        let file = format!("database = \"{}/events.sqlite\"\n", folder.display());
        Self::keeping(folder, port, who, group, (&file, ""))
    }

    /// In the database that these keys and this section name.
    fn keeping(
        folder: &std::path::Path,
        port: u16,
        who: &str,
        group: Option<&str>,
        (key_line, section): (&str, &str),
    ) -> Self {
        let secret = folder.join("server.key");
        if !secret.exists() {
            std::fs::write(secret, key(SERVER).to_hex()).unwrap();
        }
        let group = group.map_or_else(String::new, |group| format!("group = \"{group}\"\n"));
        let text = format!(
            "host = \"127.0.0.1\"\nport = {port}\nclient_id = \"{who}\"\nkey_file = \"{0}/server.key\"\n{key_line}{group}{section}[[device]]\nname = \"{1}\"\npublic = \"{2}\"\n",
            folder.display(),
            device(),
            key(GATE).public()
        );
        let path = folder.join(format!("{who}.toml"));
        std::fs::write(&path, text).unwrap();
        let config = CollectorConfig::load(&path).unwrap();
        let mut store = config.open_store().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stored = Arc::new(Mutex::new(0));
        let (halt, count) = (Arc::clone(&stop), Arc::clone(&stored));
        let thread = std::thread::spawn(move || {
            collector::mailbox::run(&config, store.as_mut(), &halt, &mut |delivered| {
                *count.lock().unwrap() += delivered.stored;
            })
            .unwrap();
        });
        Self {
            stop,
            thread: Some(thread),
            stored,
        }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Topics and payloads.
type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Everything on the broker goes past him.
struct Somebody {
    client: Client,
    heard: Heard,
}

impl Somebody {
    fn at(port: u16) -> Self {
        let mut options =
            MqttOptions::new(format!("somebody-{}", Uuid::now_v7()), "127.0.0.1", port);
        options.set_max_packet_size(1 << 24, 1 << 24);
        let (client, mut connection) = Client::new(options, 10_000);
        client.subscribe("menshen/#", QoS::AtLeastOnce).unwrap();
        let heard = Heard::default();
        let (list, ready) = (Arc::clone(&heard), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&ready);
        std::thread::spawn(move || {
            for event in connection.iter().flatten() {
                match event {
                    rumqttc::Event::Incoming(Packet::Publish(publish)) => list
                        .lock()
                        .unwrap()
                        .push((publish.topic, publish.payload.to_vec())),
                    rumqttc::Event::Incoming(Packet::SubAck(_)) => {
                        flag.store(true, Ordering::SeqCst);
                    }
                    _ => {}
                }
            }
        });
        until("no subscription", || ready.load(Ordering::SeqCst));
        Self { client, heard }
    }

    fn say(&self, rest: &str, payload: Vec<u8>, retain: bool) {
        let topic = format!("menshen/{}/{rest}", device());
        self.client
            .publish(topic, QoS::AtLeastOnce, retain, payload)
            .unwrap();
    }

    /// The gate's answers to a transaction.
    fn answers(&self, transaction: &str) -> Vec<Answer> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|(topic, _)| topic.contains("/response/"))
            .filter_map(|(_, payload)| {
                let signed: Signed = serde_json::from_slice(payload).ok()?;
                assert_eq!(signed.key, key(GATE).public());
                assert!(signed.is_genuine(Purpose::Response));
                let response: Response = serde_json::from_str(signed.body.get()).ok()?;
                (response.transaction.as_str() == transaction).then_some(response.answer)
            })
            .collect()
    }

    fn answer(&self, transaction: &str) -> Answer {
        until(transaction, || !self.answers(transaction).is_empty());
        self.answers(transaction).remove(0)
    }

    fn order(&self, seed: u8, transaction: &str, command: Command) -> (String, Vec<u8>) {
        let asked = format!("ask-{transaction}");
        let lane = command.lane().map(|lane| format!(",\"lane\":\"{lane}\""));
        let request = format!(
            "{{\"transaction\":\"{asked}\"{}}}",
            lane.unwrap_or_default()
        );
        self.say("request/challenge", request.into_bytes(), false);
        let Answer::Challenge { challenge, .. } = self.answer(&asked) else {
            panic!("no challenge");
        };
        let topic = format!("request/{}", command.kind());
        let order = Order {
            device: device(),
            challenge,
            transaction: transaction.parse().unwrap(),
            command,
        };
        let signed = Signed::new(&key(seed), Purpose::Command, &order).unwrap();
        (topic, serde_json::to_vec(&signed).unwrap())
    }
}

fn open() -> Command {
    Command::Open {
        lane: "in".parse().unwrap(),
    }
}

/// Every entry of the journal, once, in the database, and the chain verifies.
fn verify(folder: &std::path::Path, entries: u64) {
    let config = CollectorConfig::load(&folder.join("one.toml")).unwrap();
    let mut store = config.open_store().unwrap();
    let rows = store.entries(&device(), 1, usize::MAX >> 1).unwrap();
    assert_eq!(rows.len() as u64, entries);
    let mut chain = Chain::EMPTY;
    let mut ids = std::collections::BTreeSet::new();
    for (_, data) in rows {
        let data = data.unwrap();
        chain.check(&data).unwrap();
        assert!(ids.insert(Frame::read(&data).unwrap().id));
    }
}

#[test]
fn an_enemy_with_every_right_on_the_broker_opens_nothing_and_hides_nothing() {
    let broker = Mosquitto::new();
    let folder = tempfile::tempdir().unwrap();
    let house = Arc::new(House::default());
    let bridge = start(&house, broker.port);
    let enemy = Somebody::at(broker.port);
    until("no connection", || bridge.status().connected);

    // The broker acknowledges, the enemy acknowledges: neither lets an entry go.
    for _ in 0..20 {
        bridge.outbox_grew(house.append(Event::Stopped));
    }
    until("not all published", || bridge.status().published >= 20);
    let head = house.inner.lock().unwrap().chain.head;
    let word = Acknowledgement {
        device: device(),
        upto: 20,
        chain: head,
        received: 20,
        resumes: None,
    };
    let mut forged = Signed::new(&key(ENEMY), Purpose::Acknowledgement, &word).unwrap();
    enemy.say("ack", serde_json::to_vec(&forged).unwrap(), false);
    forged.key = key(SERVER).public();
    enemy.say("ack", serde_json::to_vec(&forged).unwrap(), false);
    enemy.say("ack", serde_json::to_vec(&forged).unwrap(), true);
    let refused = |wanted: Refusal| {
        let inner = house.inner.lock().unwrap();
        inner.refused.contains(&wanted)
    };
    until("not recorded", || {
        refused(Refusal::UnknownKey) && refused(Refusal::Forged)
    });
    assert_eq!(house.acked(), 0);

    // Commands: his own, replayed, retained, on the wrong topic.
    let (topic, payload) = enemy.order(ENEMY, "evil-1", open());
    enemy.say(&topic, payload, false);
    assert!(matches!(
        enemy.answer("evil-1"),
        Answer::Refused {
            reason: Refusal::UnknownKey,
            ..
        }
    ));
    let guard = Somebody::at(broker.port);
    let (topic, payload) = guard.order(GUARD, "good-1", open());
    guard.say(&topic, payload.clone(), false);
    assert!(matches!(guard.answer("good-1"), Answer::Done { .. }));
    for retain in [false, true] {
        enemy.say("request/hold", payload.clone(), retain);
        enemy.say(&topic, payload.clone(), retain);
    }
    enemy.say(&topic, b"OPEN".to_vec(), false);
    enemy.say("request/close", b"{}".to_vec(), false);
    until("not recorded", || {
        refused(Refusal::Replayed) && refused(Refusal::WrongTopic) && refused(Refusal::Unreadable)
    });
    assert_eq!(house.inner.lock().unwrap().orders, [open()]);
    let (topic, payload) = guard.order(
        GUARD,
        "hold-1",
        Command::Hold {
            lane: "in".parse().unwrap(),
        },
    );
    guard.say(&topic, payload, false);
    assert!(matches!(
        guard.answer("hold-1"),
        Answer::Refused {
            reason: Refusal::NotSupported,
            ..
        }
    ));

    // What is far too large ends the connection; then the gate listens to less and works on.
    enemy.say("request/open", vec![b'x'; 100_000], true);
    until("too large a packet is not noticed", || {
        refused(Refusal::TooLarge)
    });
    until("no connection", || bridge.status().connected);
    let connections = bridge.status().connections;

    // The server comes: everything arrives.
    let collecting = Collecting::start(folder.path(), broker.port, "one", None);
    until("not all acknowledged", || house.acked() == 20);
    assert_eq!(
        bridge.status().connections,
        connections,
        "the large packet came again"
    );
    drop(collecting);
    verify(folder.path(), 20);
}

/// Writes entries on a thread, ten at a time with a pause after them.
fn write(
    house: &Arc<House>,
    bridge: &BridgeHandle,
    entries: u64,
    pause: Duration,
) -> JoinHandle<()> {
    let (house, bridge) = (Arc::clone(house), bridge.clone());
    std::thread::spawn(move || {
        for i in 0..entries {
            bridge.outbox_grew(house.append(Event::Stopped));
            if i % 10 == 0 {
                std::thread::sleep(pause);
            }
        }
    })
}

/// A broker that is killed forgets what it accepted. With a server nothing is lost: the server
/// says what it has.
#[test]
fn a_broker_that_forgets_accepted_messages_loses_nothing() {
    const EVENTS: u64 = 1_500;
    let mut broker = Mosquitto::new();
    let folder = tempfile::tempdir().unwrap();
    let house = Arc::new(House::default());
    let bridge = start(&house, broker.port);
    let mut collecting = Some(Collecting::start(folder.path(), broker.port, "one", None));
    let writing = write(&house, &bridge, EVENTS, Duration::from_millis(20));
    for kill in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        if kill % 2 == 0 {
            // The server is away while the broker accepts, and then forgets.
            collecting = None;
            std::thread::sleep(Duration::from_millis(300));
        }
        broker.kill();
        broker.start();
        if collecting.is_none() {
            collecting = Some(Collecting::start(folder.path(), broker.port, "one", None));
        }
    }
    writing.join().unwrap();
    until("not all acknowledged", || house.acked() == EVENTS);
    drop(collecting);
    verify(folder.path(), EVENTS);
}

/// A `PostgreSQL` server that crashes again and again while entries come.
#[test]
fn a_database_that_crashes_loses_nothing_that_was_acknowledged() {
    const EVENTS: u64 = 1500;
    let (broker, mut server) = (Mosquitto::new(), Server::new(""));
    let folder = tempfile::tempdir().unwrap();
    let house = Arc::new(House::default());
    let bridge = start(&house, broker.port);
    let place = server.section();
    let collecting = Collecting::keeping(folder.path(), broker.port, "one", None, ("", &place));
    let writing = write(&house, &bridge, EVENTS, Duration::from_millis(30));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(600));
        server.crash();
        let acked = house.acked();
        server.start();
        // Acknowledged is what the crashed server still has.
        let kept = server.query("SELECT count(*) FROM entry");
        assert!(kept.unwrap().parse::<u64>().unwrap() >= acked);
    }
    writing.join().unwrap();
    until("not all acknowledged", || house.acked() == EVENTS);
    drop(collecting);
    verify(folder.path(), EVENTS);
}

/// Three collectors share one subscription and one database: each entry goes to one of them.
#[test]
fn three_collectors_share_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("database = \"{}/events.sqlite\"\n", folder.path().display());
    three_collectors(&folder, (&file, ""));
}

#[test]
fn three_collectors_share_the_work_and_a_postgresql() {
    let server = Server::new("");
    let folder = tempfile::tempdir().unwrap();
    three_collectors(&folder, ("", &server.section()));
    assert_eq!(
        server.query("SELECT count(*) FROM entry").as_deref(),
        Some("600")
    );
}

fn three_collectors(folder: &tempfile::TempDir, place: (&str, &str)) {
    const EVENTS: u64 = 600;
    let broker = Mosquitto::new();
    let house = Arc::new(House::default());
    let collecting: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|who| Collecting::keeping(folder.path(), broker.port, who, Some("committee"), place))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let bridge = start(&house, broker.port);
    until("no connection", || bridge.status().connected);
    for _ in 0..EVENTS {
        bridge.outbox_grew(house.append(Event::Stopped));
    }
    let stored = || -> Vec<u64> {
        collecting
            .iter()
            .map(|collecting| *collecting.stored.lock().unwrap())
            .collect()
    };
    let began = Instant::now();
    while house.acked() < EVENTS {
        let waited = began.elapsed();
        assert!(
            waited < Duration::from_mins(1),
            "{:?}, {} acknowledged, {:?}",
            stored(),
            house.acked(),
            bridge.status()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let stored = stored();
    println!("BAR three collectors: {stored:?} of {EVENTS}");
    assert!(stored.iter().all(|count| *count > 0), "{stored:?}");
    drop(collecting);
    verify(folder.path(), EVENTS);
}

/// Resident memory of this process, in MiB.
fn memory() -> f64 {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    pages * 4096.0 / 1_048_576.0
}

/// A flood on every topic that the gate listens to costs no memory, and events go out through
/// it. `MENSHEN_FLOOD=600000` is a longer one.
#[test]
fn a_flood_takes_no_memory_and_stops_no_event() {
    let flood = std::env::var("MENSHEN_FLOOD")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let broker = Mosquitto::new();
    let folder = tempfile::tempdir().unwrap();
    let house = Arc::new(House::default());
    let bridge = start(&house, broker.port);
    let collecting = Collecting::start(folder.path(), broker.port, "one", None);
    until("no connection", || bridge.status().connected);
    let before = memory();
    let began = Instant::now();
    let floods: Vec<_> = ["ack", "request/challenge", "request/open"]
        .into_iter()
        .map(|rest| {
            let mut child = Program::new("mosquitto_pub")
                .args(["-p", &broker.port.to_string(), "-l", "-t"])
                .arg(format!("menshen/{}/{rest}", device()))
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("these tests need the package mosquitto-clients");
            let mut stdin = child.stdin.take().unwrap();
            let line = format!("{{\"transaction\":\"x\",\"lane\":\"{}\"}}\n", "in");
            std::thread::spawn(move || {
                use std::io::Write as _;
                for _ in 0..flood / 3 {
                    if stdin.write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
            child
        })
        .collect();
    let mut most = memory();
    let mut sent = 0;
    for mut child in floods {
        while child.try_wait().unwrap().is_none() {
            bridge.outbox_grew(house.append(Event::Stopped));
            sent += 1;
            most = most.max(memory());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let took = began.elapsed();
    until("not all acknowledged", || house.acked() == sent);
    most = most.max(memory());
    println!(
        "BAR flood: {flood} messages in {took:.1?}, {:.1} MiB above idle at most, {sent} events through it",
        most - before
    );
    assert!(most - before < 50.0, "{before} MiB, then {most}");
    drop(collecting);
    verify(folder.path(), sent);
}

/// What has gathered while the broker was away drains once it is back.
/// `MENSHEN_BACKLOG=20000` is a longer one.
#[test]
fn a_backlog_drains() {
    let backlog = std::env::var("MENSHEN_BACKLOG")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000);
    let broker = Mosquitto::new();
    let folder = tempfile::tempdir().unwrap();
    let house = Arc::new(House::default());
    for _ in 0..backlog {
        house.append(Event::Alarm {
            code: "test".to_owned(),
            message: "京".repeat(300),
        });
    }
    let collecting = Collecting::start(folder.path(), broker.port, "one", None);
    let bridge = start(&house, broker.port);
    until("no connection", || bridge.status().connected);
    let began = Instant::now();
    bridge.outbox_grew(backlog);
    until("not all acknowledged", || house.acked() == backlog);
    let took = began.elapsed();
    println!(
        "BAR drain: {backlog} events in {took:.1?}, {:.0} a second",
        backlog as f64 / took.as_secs_f64()
    );
    drop(collecting);
    verify(folder.path(), backlog);
}
