//! The committee's end as a test sees it: its key is enrolled at the gate, its collector runs in a
//! thread, and the gate's own socket says how much still waits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use collector::CollectorConfig;
use domain::signing::SecretKey;
use domain::verdict::{Evidence, Verdict};
use domain::{
    Decision, Direction, Event, Name, Outcome, PassageId, PassageRecord, PlateNumber, Reason,
};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{Failure, Site};

/// A committee whose server's key the gate of a site knows.
pub struct Committee<'a> {
    site: &'a Site,
}

impl<'a> Committee<'a> {
    /// Makes the key and enrols it, before the gate is started.
    ///
    /// # Errors
    /// If a file cannot be written, or the site has no `[mqtt]`.
    pub fn enrolled(site: &'a Site) -> Result<Self, Failure> {
        let server = SecretKey::from_bytes(rand::random());
        std::fs::write(site.path("server.key"), server.to_hex())?;
        let keys = site.path("keys.toml");
        std::fs::write(
            &keys,
            format!(
                "[[key]]\nname = \"server\"\npublic = \"{}\"\nroles = [\"server\"]\n",
                server.public()
            ),
        )?;
        let named = format!("[mqtt]\nkeys_file = \"{}\"\n", keys.display());
        site.configure("[mqtt]\n", &named)?;
        Ok(Self { site })
    }

    /// The collector's configuration, for a broker at this port. The gate must have run once: it
    /// makes its own key then.
    ///
    /// # Errors
    /// If the gate has no key yet, or the file is not to be had.
    pub fn collector(&self, port: u16) -> Result<CollectorConfig, Failure> {
        let shown = self.site.verb(&["keys", "show"])?;
        let public = String::from_utf8(shown.stdout)?;
        let text = format!(
            "host = \"127.0.0.1\"\nport = {port}\nkey_file = \"{}\"\ndatabase = \"{}\"\n[[device]]\nname = \"test/gate\"\npublic = \"{}\"\n",
            self.site.path("server.key").display(),
            self.site.path("events.sqlite").display(),
            public.trim()
        );
        let path = self.site.path("collector.toml");
        std::fs::write(&path, text)?;
        Ok(CollectorConfig::load(&path)?)
    }
}

/// A collector in a thread, as `menshen collect` runs it.
pub struct Collecting {
    stop: Arc<AtomicBool>,
    repeated: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), String>>,
}

impl Collecting {
    /// Starts it.
    pub fn start(config: CollectorConfig) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let repeated = Arc::new(AtomicU64::new(0));
        let (halt, count) = (Arc::clone(&stop), Arc::clone(&repeated));
        let thread = std::thread::spawn(move || {
            let mut store = config.open_store().map_err(|e| e.to_string())?;
            collector::mailbox::run(&config, store.as_mut(), &halt, &mut |delivered| {
                count.fetch_add(delivered.repeated, Ordering::SeqCst);
            })
            .map_err(|e| e.to_string())
        });
        Self {
            stop,
            repeated,
            thread,
        }
    }

    /// Stops it; how many entries came again and were known.
    ///
    /// # Errors
    /// If it could not start or has panicked.
    pub fn end(self) -> Result<u64, Failure> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread
            .join()
            .map_err(|_| "the collector has panicked")??;
        Ok(self.repeated.load(Ordering::SeqCst))
    }
}

/// A running gate's socket, connected anew after every failure.
pub struct Counter {
    socket: PathBuf,
    line: Option<BufReader<UnixStream>>,
}

impl Counter {
    /// Of the gate of a site.
    pub fn of(site: &Site) -> Self {
        Self {
            socket: site.path("store").join("menshen.sock"),
            line: None,
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If no gate runs, or it ends before it has answered.
    pub fn ask(&mut self, request: &Value) -> Result<Value, Failure> {
        let answer = self.try_ask(request);
        if answer.is_err() {
            self.line = None;
        }
        answer
    }

    /// Entries that nobody has acknowledged; none if no gate answers.
    pub fn waiting(&mut self) -> Option<u64> {
        let status = self.ask(&serde_json::json!({ "do": "status" }));
        status.ok()?["outbox"].as_u64()
    }

    fn try_ask(&mut self, request: &Value) -> Result<Value, Failure> {
        if self.line.is_none() {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            self.line = Some(BufReader::new(stream));
        }
        let line = self.line.as_mut().ok_or("no connection")?;
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        line.get_mut().write_all(&text)?;
        let mut answer = String::new();
        line.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// A passage that never was.
pub struct MadeUp {
    /// Its identity.
    pub id: PassageId,
    /// `entry` or `exit`.
    pub lane: Name,
    /// Its verdict and its end, as a lane hands them over.
    pub events: [Event; 2],
}

/// A passage as a lane hands it over, of a resident with one of 100,000 numbers.
///
/// # Errors
/// Never, unless the grammar of plates changes.
pub fn made_up_passage(
    number: u64,
    direction: Direction,
    ended: Timestamp,
) -> Result<MadeUp, Failure> {
    let id = PassageId(Uuid::now_v7());
    let lane: Name = match direction {
        Direction::Entry => "entry",
        Direction::Exit => "exit",
    }
    .parse()?;
    let plate = PlateNumber::parse(&format!("苏E{:05}", number % 100_000))?;
    let evidence = Evidence {
        readings: 4,
        // About as long as a real one.
        matrix: "5a".repeat(600),
        ..Evidence::default()
    };
    let verdict = Verdict::new(Reason::Registered, Some(plate.clone()), evidence);
    let record = PassageRecord {
        passage: id,
        lane: lane.clone(),
        direction,
        began: ended,
        ended,
        decision: Some(Decision::Admit),
        reason: Some(Reason::Registered),
        plate: Some(plate),
        pass: None,
        kind: None,
        outcome: Outcome::Passed,
        readings: 4,
        shadow: false,
        pictures: Vec::new(),
    };
    let verdict = Event::Verdict {
        passage: id,
        lane: lane.clone(),
        verdict: Box::new(verdict),
        shadow: false,
    };
    Ok(MadeUp {
        id,
        lane,
        events: [verdict, Event::Passage(Box::new(record))],
    })
}
