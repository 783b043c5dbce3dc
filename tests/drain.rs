//! The bar on a long absence of the broker: the outbox holds a busy day, drains fast when the
//! broker returns, and the gate opens as quickly meanwhile as ever.
//!
//! The day is written into the journal with the times of the 24 hours before, by the code that the
//! gate writes with; then the gate runs on one core without a broker, the broker and the
//! committee's collector start, and vehicles come until the outbox is empty.
//!
//! `cargo bench -p house --bench drain` fills 43,200 passages, one every two seconds.
//! `MENSHEN_PASSAGES` says how many.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use access::journal::Stamp;
use access::ledger::Ledger;
use domain::event::Chain;
use domain::{Direction, Event};
use house::{
    Camera, Collecting, Committee, Counter, Failure, Gate, Mosquitto, Plan, Scene, Site, Spread,
    load, made_up_passage, wait_for,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// The bars.
const P99_MS: f64 = 60.0;
const A_SECOND: f64 = 500.0;
/// The time that is written down.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Vehicles that come before the broker does.
const BEFORE: usize = 30;
/// How many entries are written at once.
const AT_ONCE: usize = 500;

/// Writes a day of passages into the journal of a site; how many entries.
fn fill(site: &Site, passages: u64) -> Result<u64, Failure> {
    let began = Timestamp::now() - DAY;
    let stamp = |time| Stamp {
        id: Uuid::now_v7(),
        time,
        clock_trusted: true,
    };
    let mut ledger = Ledger::open(&site.path("store"), &mut || stamp(began))?.ledger;
    let mut batch = Vec::new();
    for number in 0..passages {
        let time = began + DAY * i32::try_from(number)? / i32::try_from(passages)?;
        let direction = if number % 2 == 0 {
            Direction::Entry
        } else {
            Direction::Exit
        };
        let made = made_up_passage(number / 2, direction, time)?;
        let opened = Event::Opened {
            barrier: "main".parse()?,
            cause: made.id.to_string(),
        };
        let [verdict, end] = made.events;
        batch.extend([verdict, opened, end].map(|event| (stamp(time), event)));
        if batch.len() >= AT_ONCE || number + 1 == passages {
            ledger.append_batch(std::mem::take(&mut batch))?;
            ledger.sync()?;
        }
    }
    Ok(ledger.journal().depth())
}

fn run() -> Result<bool, Failure> {
    let told = std::env::var("MENSHEN_PASSAGES").ok();
    let passages = told.map_or(Ok(43_200), |n| n.parse())?;
    let scene = Scene::new(1);
    let mut broker = Mosquitto::forgetful()?;
    let site = Site::new(&Plan {
        port: Some(broker.port),
        barrier: "relay = SIMULATED\npulse = \"200ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"500ms\"",
        camera: "",
    })?;
    let committee = Committee::enrolled(&site)?;
    site.register(scene.plate(0))?;
    let filling = Instant::now();
    let filled = fill(&site, passages)?;
    println!(
        "{passages} passages of 24 hours, {filled} entries in the outbox, written in {:.1} s",
        filling.elapsed().as_secs_f64()
    );

    let camera = Camera::start(&site.path("frames"), scene.pictures.clone())?;
    let gate = Gate::start_with(&site, &["taskset", "-c", "0"])?;
    let mut counter = Counter::of(&site);
    for _ in 0..BEFORE {
        gate.lets_in(&camera)?;
    }
    let before = gate.figures("took_us=");
    let waiting = counter.waiting().ok_or("the gate does not answer")?;
    if waiting < filled {
        return Err(format!("{waiting} of {filled} entries are left in the outbox").into());
    }

    broker.start()?;
    let collector = committee.collector(broker.port)?;
    let collecting = Collecting::start(collector.clone());
    let back = Instant::now();
    let drained = std::thread::scope(|scope| -> Result<Duration, Failure> {
        let watch = scope.spawn(|| {
            let mut counter = Counter::of(&site);
            // The last passage may have begun since: what is left then is no backlog.
            wait_for(Duration::from_mins(10), || {
                counter.waiting().is_some_and(|left| left < 10)
            })
            .then(|| back.elapsed())
        });
        while !watch.is_finished() {
            gate.lets_in(&camera)?;
        }
        let ended = watch.join().map_err(|_| "who watches has panicked")?;
        Ok(ended.ok_or("the outbox did not drain within ten minutes")?)
    })?;
    let all = gate.figures("took_us=");
    let meanwhile = all[before.len()..].to_vec();
    if !wait_for(Duration::from_secs(20), || counter.waiting() == Some(0)) {
        return Err("the last entries did not arrive".into());
    }
    gate.stop()?;
    // The end of the gate is an entry too, and it goes out before the gate does, or not at all.
    let repeated = collecting.end()?;

    let mut store = collector.open_store()?;
    let mut chain = Chain::EMPTY;
    for (seq, data) in store.entries(&"test/gate".parse()?, 1, usize::MAX >> 1)? {
        chain.check(&data.ok_or(format!("entry {seq} was given up"))?)?;
    }
    let whole = chain.seq >= waiting;

    let a_second = waiting as f64 / drained.as_secs_f64();
    println!(
        "BAR drain: {waiting} entries in {:.1} s, {a_second:.0} a second; {} stored, chain whole, {repeated} came twice and were known",
        drained.as_secs_f64(),
        chain.seq
    );
    let without = Spread::of(before).ok_or("no vehicle came before")?;
    println!("frame to relay without a broker, {without}");
    let spread = Spread::of(meanwhile).ok_or("no vehicle came meanwhile")?;
    println!("BAR frame to relay while it drains, {spread}");
    println!("load of the machine at the end: {}", load());
    print!("{}", spread.bars(5));
    Ok(whole && a_second >= A_SECOND && spread.at(0.99) <= P99_MS)
}

fn main() -> ExitCode {
    house::bench("drain", run)
}
