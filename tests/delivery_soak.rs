//! The bar on delivery: everything between the gate and the committee's database is killed, cut
//! and held up, again and again, and no passage is lost.
//!
//! ```text
//! passages ─► menshen run ─► faulty network ─► mosquitto ─► faulty network ─► collector ─► SQLite
//!             kill -9                          kill -9
//! ```
//!
//! The passages are put into the running gate where a lane hands its own over, after the verdict,
//! by a request that only a program with the feature `injection` knows:
//!
//! ```sh
//! cargo test --release --workspace --features menshen/injection --no-run
//! target/release/delivery_soak 100000 1000 90     # PASSAGES KILLS MINUTES; a short form without
//! ```
//!
//! A passage counts as offered when it is sent to the gate, as taken when the gate says that it is
//! durable. Each taken one must be in the database once, in the order of its lane; one that was
//! offered and never answered, because the gate was killed, may be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use collector::CollectorConfig;
use domain::command::DeviceName;
use domain::event::Chain;
use domain::{Direction, Entry, Event, Name, PassageId};
use house::{
    Camera, Collecting, Committee, Counter, EMPTY, Failure, FaultyNetwork, Gate, Mosquitto, Plan,
    Scene, Site, load, made_up_passage, wait_for,
};
use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::json;

/// Passages that are offered at once, at most.
const AT_ONCE: u64 = 40;
/// How long the broker stays away after a kill, at most.
const AWAY: Duration = Duration::from_millis(800);
/// How long what has gathered may take to arrive once nothing is killed any more.
const DRAINED_WITHIN: Duration = Duration::from_mins(5);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Task {
    passages: u64,
    /// Of the gate, and as many of the broker.
    kills: u32,
    within: Duration,
}

impl Task {
    fn told() -> Result<Self, Failure> {
        let mut args = std::env::args().skip(1);
        let mut number = |unless_told: u64| -> Result<u64, Failure> {
            args.next().map_or(Ok(unless_told), |text| {
                text.parse()
                    .map_err(|_| format!("{text}: write PASSAGES KILLS MINUTES, as numbers").into())
            })
        };
        Ok(Self {
            passages: number(1500)?.max(1),
            kills: u32::try_from(number(10)?)?.max(1),
            within: Duration::from_mins(number(2)?.max(1)),
        })
    }

    /// The kills are spread over nine tenths of the time: the rest is for what has gathered.
    fn pace(&self) -> Duration {
        self.within * 9 / 10 / self.kills
    }
}

/// What was offered, in order.
#[derive(Default)]
struct Offered {
    /// Those that the gate said are durable, lane by lane.
    taken: BTreeMap<Name, Vec<PassageId>>,
    /// Those that were never answered.
    unanswered: HashSet<PassageId>,
}

impl Offered {
    fn count(&self) -> u64 {
        self.taken.values().map(|lane| lane.len() as u64).sum()
    }

    /// Offers some passages at once; whether they were taken.
    fn offer(&mut self, counter: &mut Counter, how_many: u64) -> Result<bool, Failure> {
        let (mut ids, mut events) = (Vec::new(), Vec::new());
        for number in 0..how_many {
            let direction = if rand::rng().random() {
                Direction::Entry
            } else {
                Direction::Exit
            };
            let made = made_up_passage(self.count() + number, direction, Timestamp::now())?;
            ids.push((made.id, made.lane));
            events.extend(made.events);
        }
        let answer = counter.ask(&json!({ "do": "inject", "events": events }));
        let taken = match &answer {
            Ok(answer) if answer["reply"] == "done" => true,
            Ok(answer) if answer.to_string().contains("unknown variant") => {
                return Err(
                    "this gate takes no passages from outside; build it with: cargo test \
                            --release --workspace --features menshen/injection --no-run"
                        .into(),
                );
            }
            _ => false,
        };
        for (id, lane) in ids {
            if taken {
                self.taken.entry(lane).or_default().push(id);
            } else {
                self.unanswered.insert(id);
            }
        }
        Ok(taken)
    }
}

/// Waits for the next kill: at its time, give or take, and not before something was alive.
fn until_kill(number: u32, began: Instant, pace: Duration) {
    let within = rand::rng().random_range(0.0..1.0);
    let due = began + pace * (number - 1) + pace.mul_f64(within);
    let alive = Duration::from_millis(rand::rng().random_range(20..400));
    std::thread::sleep(due.saturating_duration_since(Instant::now()).max(alive));
}

/// Everything that is killed, and what it all ran into.
struct Town {
    site: Site,
    networks: [FaultyNetwork; 2],
    collector: CollectorConfig,
    _camera: Camera,
}

impl Town {
    /// Built and ready, with a gate that runs.
    fn new(broker: &Mosquitto) -> Result<(Self, Gate), Failure> {
        let networks = [
            FaultyNetwork::before(broker.port)?,
            FaultyNetwork::before(broker.port)?,
        ];
        let scene = Scene::new(1);
        let site = Site::new(&Plan {
            port: Some(networks[0].port),
            barrier: "relay = SIMULATED",
            lane: "",
            camera: "",
        })?;
        let committee = Committee::enrolled(&site)?;
        let pictures = vec![scene.pictures[EMPTY].clone()];
        let camera = Camera::start_at(&site.path("frames"), pictures, Duration::from_millis(500))?;
        let gate = Gate::start(&site)?;
        let collector = committee.collector(networks[1].port)?;
        let town = Self {
            site,
            networks,
            collector,
            _camera: camera,
        };
        Ok((town, gate))
    }
}

/// Kills and starts the gate as often as it is told; the running one at the end.
fn kill_the_gate(site: &Site, mut gate: Gate, task: Task, began: Instant) -> Result<Gate, String> {
    for number in 1..=task.kills {
        until_kill(number, began, task.pace());
        let dies = |e: Failure| format!("kill {number} of the gate: {e}");
        gate.kill().map_err(dies)?;
        gate = Gate::start(site).map_err(dies)?;
    }
    Ok(gate)
}

/// The same with the broker.
fn kill_the_broker(broker: &mut Mosquitto, task: Task, began: Instant) -> Result<(), String> {
    for number in 1..=task.kills {
        until_kill(number, began, task.pace());
        let dies = |e: Failure| format!("kill {number} of the broker: {e}");
        broker.kill().map_err(dies)?;
        std::thread::sleep(AWAY.mul_f64(rand::rng().random_range(0.0..1.0)));
        broker.start().map_err(dies)?;
    }
    Ok(())
}

fn run() -> Result<bool, Failure> {
    let task = Task::told()?;
    let mut broker = Mosquitto::forgetful()?;
    broker.start()?;
    let (town, gate) = Town::new(&broker)?;
    let collecting = Collecting::start(town.collector.clone());
    let mut counter = Counter::of(&town.site);
    let mut offered = Offered::default();
    if !offered.offer(&mut counter, 1)? {
        return Err("the gate takes no passage".into());
    }

    let began = Instant::now();
    let gate = std::thread::scope(|scope| -> Result<Gate, Failure> {
        let site = &town.site;
        let gate = scope.spawn(move || kill_the_gate(site, gate, task, began));
        let broker = scope.spawn(|| kill_the_broker(&mut broker, task, began));
        let mut told = Instant::now();
        let a_second = task.passages as f64 / (task.within.as_secs_f64() * 0.85);
        while offered.count() < task.passages && began.elapsed() < task.within {
            let due = (began.elapsed().as_secs_f64() * a_second) as u64;
            let left = task.passages - offered.count();
            let some = due.saturating_sub(offered.count()).min(AT_ONCE).min(left);
            if some == 0 || !offered.offer(&mut counter, some)? {
                std::thread::sleep(Duration::from_millis(20));
            }
            if told.elapsed() > Duration::from_secs(30) {
                told = Instant::now();
                println!(
                    "{} s: {} of {} passages taken, load {}",
                    began.elapsed().as_secs(),
                    offered.count(),
                    task.passages,
                    load()
                );
            }
        }
        let ended = |what: &str| format!("{what} has panicked");
        broker.join().map_err(|_| ended("who kills the broker"))??;
        Ok(gate.join().map_err(|_| ended("who kills the gate"))??)
    })?;
    let (taken, fired) = (offered.count(), began.elapsed());

    for network in &town.networks {
        network.calm();
    }
    let calm = Instant::now();
    let mut waiting = None;
    let drained = wait_for(DRAINED_WITHIN, || {
        let outbox = counter.waiting();
        waiting = waiting.or(outbox);
        outbox == Some(0)
    });
    println!(
        "{} when the kills ended, drained in {:.1} s",
        waiting.map_or_else(|| "?".to_owned(), |n| format!("{n} entries waited")),
        calm.elapsed().as_secs_f64()
    );
    let (_, in_order) = gate.stop()?;
    let repeated = collecting.end()?;

    let found = look_through(&town.collector, &offered)?;
    for (network, what) in town
        .networks
        .iter()
        .zip(["gate and broker", "broker and collector"])
    {
        println!("between {what}: {network}");
    }
    let pulses = town.site.pulses()?.len();
    println!(
        "BAR delivery: {taken} of {} passages taken in {:.1} minutes, {} more offered and not answered ({} of them arrived); {} kills of the gate, {} of the broker; {} entries stored, whole chain, {} came again and were known; lost {}, twice {}, out of order {}, unknown {}; alarms of the collector {}; pulses of the relay {pulses}",
        task.passages,
        fired.as_secs_f64() / 60.0,
        offered.unanswered.len(),
        found.unanswered,
        task.kills,
        task.kills,
        found.entries,
        repeated,
        found.lost,
        found.twice,
        found.out_of_order,
        found.unknown,
        found.alarms.len(),
    );
    for alarm in found.alarms.iter().take(10) {
        println!("  {alarm}");
    }
    Ok(drained
        && in_order
        && taken >= task.passages
        && fired <= task.within
        && found.is_right()
        && pulses == 0)
}

/// What the committee's database says.
#[derive(Debug, Default)]
struct Found {
    entries: u64,
    lost: u64,
    twice: u64,
    out_of_order: u64,
    unknown: u64,
    unanswered: u64,
    alarms: Vec<String>,
}

impl Found {
    fn is_right(&self) -> bool {
        self.lost + self.twice + self.out_of_order + self.unknown == 0 && self.alarms.is_empty()
    }
}

/// Compares the database with what was offered.
fn look_through(collector: &CollectorConfig, offered: &Offered) -> Result<Found, Failure> {
    let device: DeviceName = "test/gate".parse()?;
    let mut store = collector.open_store()?;
    let mut found = Found::default();
    let (mut chain, mut ids) = (Chain::EMPTY, HashSet::new());
    let mut verdicts: HashMap<PassageId, u64> = HashMap::new();
    let mut ends: HashMap<PassageId, u64> = HashMap::new();
    let mut order: BTreeMap<Name, Vec<PassageId>> = BTreeMap::new();
    for (seq, data) in store.entries(&device, 1, usize::MAX >> 1)? {
        let data = data.ok_or(format!("entry {seq} was given up"))?;
        chain.check(&data)?;
        let entry: Entry = serde_json::from_slice(&data)?;
        found.twice += u64::from(!ids.insert(entry.id));
        found.entries += 1;
        match entry.event {
            Event::Verdict { passage, .. } => *verdicts.entry(passage).or_default() += 1,
            Event::Passage(record) => {
                *ends.entry(record.passage).or_default() += 1;
                order.entry(record.lane).or_default().push(record.passage);
            }
            _ => {}
        }
    }
    let taken: HashSet<PassageId> = offered.taken.values().flatten().copied().collect();
    for id in &taken {
        for counts in [&verdicts, &ends] {
            match counts.get(id).copied().unwrap_or_default() {
                0 => found.lost += 1,
                1 => {}
                _ => found.twice += 1,
            }
        }
    }
    for (id, times) in ends {
        if offered.unanswered.contains(&id) {
            found.unanswered += 1;
            found.twice += u64::from(times > 1);
        } else if !taken.contains(&id) {
            found.unknown += 1;
        }
    }
    for (lane, offered) in &offered.taken {
        let stored = order.remove(lane).unwrap_or_default();
        let stored = stored.iter().filter(|id| taken.contains(id));
        found.out_of_order += offered.iter().zip(stored).filter(|(a, b)| a != b).count() as u64;
    }
    for line in store.devices()? {
        for hole in line.holes {
            found.alarms.push(format!("a hole is open: {hole:?}"));
        }
    }
    let harmless = ["hole", "hole-closed", "silent", "back", "behind"];
    for report in store.reports(usize::MAX >> 1)? {
        if !harmless.contains(&report.kind.as_str()) {
            found
                .alarms
                .push(format!("{}: {}", report.kind, report.message));
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("delivery_soak: {e}");
            ExitCode::FAILURE
        }
    }
}
