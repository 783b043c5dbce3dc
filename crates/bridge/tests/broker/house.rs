//! A broker, a journal, and somebody who listens.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridge::outbox::{Outbox, OutboxError, Pending};
use bridge::{Bridge, BridgeHandle, Identity, Keys, MqttConfig};
use domain::command::KeyRing;
use domain::event::{Chain, Digest, Event};
use domain::signing::SecretKey;
use rumqttc::{Client, MqttOptions, Packet, QoS};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::gate::Gate;

/// Waits until something is so; panics with `what` after 30 s.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A real mosquitto on a random loopback port.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub(crate) fn new(persistence: bool) -> Self {
        Self::with(persistence, "allow_anonymous true\n")
    }

    /// One that lets nobody in.
    pub(crate) fn unwelcoming() -> Self {
        Self::with(false, "allow_anonymous false\n")
    }

    fn with(persistence: bool, more: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "listener {port} 127.0.0.1\n{more}set_tcp_nodelay true\n\
             max_inflight_messages 0\nmax_queued_messages 0\nuser root\n\
             persistence {persistence}\npersistence_location {}/\n",
            folder.path().display(),
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        Self {
            port,
            folder,
            child: None,
        }
    }

    pub(crate) fn start(&mut self) {
        let binary = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .unwrap_or_else(|| "mosquitto".into());
        let child = Command::new(binary)
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

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it in good order.
    pub(crate) fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        let sent = Command::new("kill").arg(child.id().to_string()).status();
        assert!(sent.unwrap().success());
        child.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// A journal in memory that notices an acknowledgement nobody on the wire has given.
pub(crate) struct Journal {
    inner: Mutex<Inner>,
    wire: Gate,
}

struct Inner {
    chain: Chain,
    pending: BTreeMap<u64, Arc<[u8]>>,
    unheard: Vec<u64>,
}

impl Journal {
    pub(crate) fn new(wire: &Gate) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                chain: Chain::EMPTY,
                pending: BTreeMap::new(),
                unheard: Vec::new(),
            }),
            wire: wire.clone(),
        })
    }

    /// Seals an event; its sequence number.
    pub(crate) fn append(&self, event: Event) -> u64 {
        let mut inner = self.inner.lock().unwrap();
        let id = Uuid::now_v7();
        let (entry, bytes, chain) = inner
            .chain
            .seal(id, jiff::Timestamp::now(), true, event)
            .unwrap();
        inner.chain = chain;
        inner.pending.insert(entry.seq, bytes.into());
        entry.seq
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner.lock().unwrap().pending.is_empty()
    }

    /// Entries that were taken as arrived although the broker had not acknowledged them.
    pub(crate) fn unheard(&self) -> Vec<u64> {
        self.inner.lock().unwrap().unheard.clone()
    }
}

impl Outbox for Journal {
    fn pending(&self, from: u64, limit: usize) -> Result<Pending, OutboxError> {
        let inner = self.inner.lock().unwrap();
        let found = inner.pending.range(from..).take(limit);
        Ok(found.map(|(seq, bytes)| (*seq, bytes.clone())).collect())
    }

    fn acknowledged(&self) -> u64 {
        0
    }

    fn acknowledge(&self, upto: u64) -> Result<(), OutboxError> {
        let heard = self.wire.acknowledged();
        let mut inner = self.inner.lock().unwrap();
        let rest = inner.pending.split_off(&(upto + 1));
        let done = std::mem::replace(&mut inner.pending, rest);
        inner
            .unheard
            .extend(done.keys().filter(|seq| !heard.contains(seq)));
        Ok(())
    }
}

/// The bridge of device `east` of site `garden`.
pub(crate) fn start(journal: &Arc<Journal>, port: u16, upto: u64) -> BridgeHandle {
    let mut config = MqttConfig::new("127.0.0.1", port);
    config.keep_alive = Duration::from_secs(5);
    config.home_assistant = Some("homeassistant".to_owned());
    let identity = Identity {
        site: "garden".parse().unwrap(),
        device: "east".parse().unwrap(),
        version: "0.0.0".to_owned(),
        lanes: vec!["in".parse().unwrap()],
        barriers: vec!["boom".parse().unwrap()],
    };
    let keys = Keys {
        device: SecretKey::from_bytes([5; 32]),
        ring: KeyRing::default(),
    };
    Bridge::start(&config, identity, keys, journal.clone(), None, upto).unwrap()
}

/// A message as a subscriber got it.
#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retained: bool,
    /// The broker itself sends it again, byte for byte.
    pub(crate) again: bool,
}

impl Heard {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.payload.clone()).unwrap()
    }
}

/// What a receiver needs of an envelope.
#[derive(Deserialize)]
pub(crate) struct Received<'a> {
    pub(crate) id: Uuid,
    pub(crate) seq: u64,
    pub(crate) hash: Digest,
    pub(crate) late: bool,
    pub(crate) attempt: u32,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
}

/// Somebody who subscribes to everything, again after every reconnection.
pub(crate) struct Listener {
    heard: Arc<Mutex<Vec<Heard>>>,
    listening: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Listener {
    /// Whether the broker keeps messages for it while it is away is up to `session`.
    pub(crate) fn new(port: u16, session: bool) -> Self {
        let mut options =
            MqttOptions::new(format!("listener-{}", Uuid::now_v7()), "127.0.0.1", port);
        options
            .set_clean_session(!session)
            .set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 10);
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let listening = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicBool::new(false));
        let (store, flag, end) = (heard.clone(), listening.clone(), ended.clone());
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))) => {
                        client.try_subscribe("#", QoS::AtLeastOnce).unwrap();
                    }
                    Ok(rumqttc::Event::Incoming(Packet::SubAck(_))) => {
                        flag.store(true, Ordering::SeqCst);
                    }
                    Ok(rumqttc::Event::Incoming(Packet::Publish(message))) => {
                        store.lock().unwrap().push(Heard {
                            topic: message.topic,
                            payload: message.payload.to_vec(),
                            retained: message.retain,
                            again: message.dup,
                        });
                    }
                    Ok(_) => {}
                    Err(_) => {
                        flag.store(false, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
                if end.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        Self {
            heard,
            listening,
            ended,
        }
    }

    /// Waits until the broker has its subscription.
    pub(crate) fn ready(self) -> Self {
        self.wait(true);
        self
    }

    /// Waits until it listens, or has noticed that it does not.
    pub(crate) fn wait(&self, listening: bool) {
        until("the listener", || {
            self.listening.load(Ordering::SeqCst) == listening
        });
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The latest message on a topic below the device's root.
    pub(crate) fn latest(&self, topic: &str) -> Option<Heard> {
        self.latest_at(&format!("menshen/garden/east/{topic}"))
    }

    /// The latest message on a whole topic.
    pub(crate) fn latest_at(&self, topic: &str) -> Option<Heard> {
        let heard = self.heard.lock().unwrap();
        heard.iter().rev().find(|m| m.topic == topic).cloned()
    }

    /// Checks everything that was heard of the journal as a receiver would: ids tell
    /// duplicates, first arrivals are in order and form an unbroken chain. The number of
    /// entries, of duplicates, and of late entries.
    pub(crate) fn check_journal(&self) -> Journaled {
        let mut chain = Chain::EMPTY;
        let mut ids: BTreeMap<Uuid, u64> = BTreeMap::new();
        let mut journaled = Journaled::default();
        for message in self.heard() {
            if !message.topic.ends_with("/event") && !message.topic.ends_with("/passage") {
                continue;
            }
            assert!(!message.retained, "an entry was retained");
            let envelope: Received<'_> = serde_json::from_slice(&message.payload).unwrap();
            let stored = envelope.data.get().as_bytes();
            assert_eq!(envelope.hash, Digest::of(stored));
            if let Some(seq) = ids.get(&envelope.id) {
                assert_eq!(*seq, envelope.seq);
                if !message.again {
                    assert!(envelope.late, "a repetition is late");
                    assert!(envelope.attempt > 1, "a repetition says so");
                    journaled.duplicates += 1;
                }
                continue;
            }
            let entry = chain.check(stored).unwrap();
            assert_eq!((entry.id, entry.seq), (envelope.id, envelope.seq));
            ids.insert(envelope.id, envelope.seq);
            journaled.entries += 1;
            journaled.late += u64::from(envelope.late);
        }
        journaled
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// What a listener heard of the journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Journaled {
    pub(crate) entries: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
}
