//! Killing the gate for real, while an outside board records what its relay was told.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use domain::{Decision, Entry, Event, PassageId};
use house::{
    Board, Camera, EMPTY, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, wait_for,
};
use jiff::Timestamp;
use rand::RngExt as _;

/// What the reader of a pseudo-terminal may lag.
const LAG: Duration = Duration::from_millis(150);
/// The longest pulse there may be.
const BOUND: Duration = Duration::from_secs(1).saturating_add(LAG);

/// `MENSHEN_KILLS=200` for the long form.
fn kills() -> usize {
    std::env::var("MENSHEN_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6)
}

/// One run of the gate, as it looked from outside.
struct Life {
    /// When it was started.
    began: Timestamp,
    /// Before this there was nobody whom it could have let in.
    nobody_before: Timestamp,
    /// When it was gone after its kill, relay guard included; none if it still runs.
    killed: Option<Timestamp>,
    /// What it had said by then.
    log: Vec<String>,
}

/// When the relay was told to energise. Releasing it needs no cause.
fn openings(board: &Board) -> Vec<Timestamp> {
    let told = board.told();
    told.iter().filter(|t| t.on).map(|t| t.wall).collect()
}

/// Waits for a random moment of a visit, every third time for one about where the relay has been
/// written and the journal may not have it yet.
fn until_the_kill(round: usize, has_opened: impl Fn() -> bool) {
    let mut rng = rand::rng();
    if round % 3 != 2 {
        std::thread::sleep(Duration::from_millis(rng.random_range(0..1500)));
        return;
    }
    let until = Instant::now() + Duration::from_millis(1500);
    while !has_opened() && Instant::now() < until {
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(Duration::from_micros(rng.random_range(0..5_000)));
}

/// Where the causes of the board's edges were found.
#[derive(Debug, Default, PartialEq)]
struct Explained {
    /// In the journal.
    written: usize,
    /// In the log alone: the kill came before the journal had the opening.
    lost: usize,
}

/// When a passage began: its identity says so.
fn beginning(passage: PassageId) -> Result<Timestamp, String> {
    let (seconds, nanos) = passage
        .0
        .get_timestamp()
        .ok_or(format!("{passage} does not say when it began"))?
        .to_unix();
    Timestamp::new(seconds as i64, nanos as i32).map_err(|e| e.to_string())
}

/// The passages that a log says were admitted, in order.
fn admitted_in(log: &[String]) -> Vec<PassageId> {
    log.iter()
        .filter(|line| line.contains("decision=\"admit\""))
        .filter_map(|line| line.split_once("id=")?.1.get(..36)?.parse().ok())
        .collect()
}

/// Finds for every time the relay was told to energise one cause of its own: a passage that
/// began in the same run of the gate, when somebody was there to be let in, and that this run
/// had admitted. What a kill kept out of the journal must be the last thing that run did, and
/// its log must say for whom.
fn explain(lives: &[Life], edges: &[Timestamp], entries: &[Entry]) -> Result<Explained, String> {
    let mut explained = Explained::default();
    let mut used = HashSet::new();
    for (at, life) in lives.iter().enumerate() {
        let until = lives.get(at + 1).map(|next| next.began);
        let within = |time: Timestamp| time >= life.began && until.is_none_or(|end| time < end);
        let mut admitted = HashSet::new();
        let mut causes: Vec<PassageId> = Vec::new();
        for entry in entries.iter().filter(|entry| within(entry.time)) {
            match &entry.event {
                Event::Verdict {
                    passage, verdict, ..
                } if verdict.decision == Decision::Admit => {
                    admitted.insert(*passage);
                }
                Event::Opened { cause, .. } => {
                    let cause = cause
                        .parse()
                        .map_err(|e| format!("run {at}: {cause}: {e}"))?;
                    if !admitted.contains(&cause) {
                        return Err(format!("run {at}: {cause} opened without being admitted"));
                    }
                    causes.push(cause);
                }
                _ => {}
            }
        }
        let edges: Vec<_> = edges.iter().copied().filter(|e| within(*e)).collect();
        explained.written += causes.len();
        if edges.len() == causes.len() + 1 && life.killed.is_some() {
            let unwritten = |passage: &PassageId| !causes.contains(passage);
            let lost = admitted_in(&life.log).into_iter().rfind(unwritten);
            causes.push(lost.ok_or(format!("run {at}: {} has no cause", edges[causes.len()]))?);
            explained.lost += 1;
        }
        if edges.len() != causes.len() {
            return Err(format!(
                "run {at}: {} edges, {} causes: {edges:?} {causes:?}",
                edges.len(),
                causes.len()
            ));
        }
        for (edge, cause) in edges.into_iter().zip(causes) {
            let began = beginning(cause)?;
            // The identity counts whole milliseconds.
            if began.as_millisecond() < life.nobody_before.as_millisecond() || began > edge {
                return Err(format!(
                    "run {at}: the cause of {edge} began at {began}, and nobody was there from {} to {}",
                    life.began, life.nobody_before
                ));
            }
            if life.killed.is_some_and(|killed| edge > killed + LAG) {
                return Err(format!("run {at}: {edge} is after the kill"));
            }
            if !used.insert(cause) {
                return Err(format!("run {at}: {cause} moved the boom twice"));
            }
        }
    }
    if explained.written + explained.lost != edges.len() {
        return Err("an edge before the first start".to_owned());
    }
    Ok(explained)
}

#[test]
fn kill_9_at_random_moments_loses_nothing_and_moves_nothing() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(4);
    let board = Board::new().unwrap();
    let mosquitto = Mosquitto::running().unwrap();
    let ear = mosquitto.listen().unwrap();
    let barrier = format!(
        "relay = {{ driver = \"serial\", port = {:?} }}\nrepeat_gap = \"300ms\"",
        board.tty
    );
    let lane = "leave_after = \"500ms\"";
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: &barrier,
        lane,
        camera: "",
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let mut acknowledged = vec![scene.plate(0).to_string()];
    let mut lives: Vec<Life> = Vec::new();
    let mut slowest = Duration::ZERO;
    for round in 0..kills() {
        // Every other time the vehicle still stands there when the gate comes back: what may let
        // it in then is a new passage, and nothing that was going on before.
        let stays = round % 2 == 1;
        if !stays {
            camera.show(EMPTY);
        }
        camera.drain().unwrap();
        let openings_before = openings(&board).len();
        let began = Timestamp::now();
        let gate = Gate::start(&site).unwrap();
        slowest = slowest.max(gate.ready_after);
        std::thread::sleep(Duration::from_millis(300));
        let plate = format!("苏E{:05}", 10_000 + round);
        site.register(&plate.parse().unwrap()).unwrap();
        acknowledged.push(plate);
        let nobody_before = if stays { began } else { Timestamp::now() };
        camera.show(1);
        until_the_kill(round, || openings(&board).len() > openings_before);
        let log = gate.kill().unwrap();
        lives.push(Life {
            began,
            nobody_before,
            killed: Some(Timestamp::now()),
            log,
        });
    }
    camera.show(EMPTY);
    camera.drain().unwrap();
    lives.push(Life {
        began: Timestamp::now(),
        nobody_before: Timestamp::MAX,
        killed: None,
        log: Vec::new(),
    });
    let gate = Gate::start(&site).unwrap();
    let listed = site.verb(&["registry", "list", "--json"]).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for plate in &acknowledged {
        assert!(
            listed.contains(plate.as_str()),
            "{plate} was acknowledged and is gone"
        );
    }
    let status = |gate: &Gate| {
        let _ = gate.id();
        String::from_utf8(site.verb(&["status", "--json"]).unwrap().stdout).unwrap()
    };
    assert!(
        wait_for(Duration::from_secs(30), || status(&gate)
            .contains("\"outbox\":0")),
        "{}",
        status(&gate)
    );
    std::thread::sleep(Duration::from_millis(500));
    let chained = ear.verify().unwrap();
    for (since, length) in board.pulses() {
        assert!(length <= BOUND, "a pulse of {length:?} at {since:?}");
    }
    let edges = openings(&board);
    let entries: Vec<_> = ear.heard().into_iter().map(|heard| heard.entry).collect();
    let explained = explain(&lives, &edges, &entries).unwrap_or_else(|why| panic!("{why}"));
    println!(
        "BAR kill -9: {} kills, {} openings on the board, each with a fresh cause of its own: {} written down, {} lost to their kills; {chained} entries with a whole chain, {} register rows kept, ready after {slowest:.2?} at the latest",
        kills(),
        edges.len(),
        explained.written,
        explained.lost,
        acknowledged.len()
    );
    assert!(
        !edges.is_empty(),
        "no opening happened; the test showed nothing"
    );
}

/// The judgement above, on runs made up for it: one that is in order, and one fault each.
mod judgement {
    use std::str::FromStr as _;

    use domain::event::{Digest, ENTRY_VERSION};
    use domain::verdict::{Evidence, Reason, Verdict};

    use super::*;

    /// So many milliseconds after some moment.
    fn ms(at: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + at).unwrap()
    }

    /// The passage that began then.
    fn passage(at: i64) -> PassageId {
        let ms = ms(at).as_millisecond();
        let text = format!(
            "{:08x}-{:04x}-7000-8000-000000000000",
            ms >> 16,
            ms & 0xFFFF
        );
        PassageId::from_str(&text).unwrap()
    }

    fn entry(at: i64, event: Event) -> Entry {
        Entry {
            v: ENTRY_VERSION,
            seq: 0,
            id: passage(at).0,
            time: ms(at),
            clock_trusted: true,
            prev: Digest::START,
            event,
        }
    }

    fn admitted(at: i64, began: i64) -> Entry {
        let verdict = Box::new(Verdict::new(Reason::Registered, None, Evidence::default()));
        let lane = "entry".parse().unwrap();
        let event = Event::Verdict {
            passage: passage(began),
            lane,
            verdict,
            shadow: false,
        };
        entry(at, event)
    }

    fn opened(at: i64, began: i64) -> Entry {
        let barrier = "main".parse().unwrap();
        let cause = passage(began).to_string();
        entry(at, Event::Opened { barrier, cause })
    }

    fn said(began: i64) -> String {
        let id = passage(began);
        format!("INFO passage{{lane=entry id={id}}}: registered plate=\"x\" decision=\"admit\"")
    }

    /// Two killed runs from 0 and 10,000 with somebody there from 2,000 and from the start, and
    /// one from 20,000 with nobody.
    fn lives() -> Vec<Life> {
        let life = |began, nobody_before, killed, log| Life {
            began: ms(began),
            nobody_before,
            killed,
            log,
        };
        vec![
            life(0, ms(2_000), Some(ms(5_000)), vec![said(2_100)]),
            life(10_000, ms(10_000), Some(ms(15_000)), vec![said(11_000)]),
            life(20_000, Timestamp::MAX, None, Vec::new()),
        ]
    }

    fn judge(edges: &[i64], entries: &[Entry]) -> Result<Explained, String> {
        let edges: Vec<_> = edges.iter().map(|at| ms(*at)).collect();
        explain(&lives(), &edges, entries)
    }

    #[test]
    fn an_edge_is_explained_by_the_journal_or_by_the_log_of_a_killed_run() {
        let first = [admitted(2_300, 2_100), opened(2_400, 2_100)];
        let explained = |written, lost| Ok(Explained { written, lost });
        assert_eq!(judge(&[2_400, 11_300], &first), explained(1, 1));
        assert_eq!(judge(&[2_400], &first), explained(1, 0));
        assert_eq!(judge(&[], &[]), explained(0, 0));
    }

    #[test]
    fn an_edge_without_a_fresh_cause_is_found() {
        let first = || vec![admitted(2_300, 2_100), opened(2_400, 2_100)];
        let with = |more: Vec<Entry>| [first(), more].concat();
        for (what, edges, entries) in [
            ("before the first start", vec![-1], vec![]),
            ("before anybody came", vec![1_900], vec![]),
            ("while it was dead", vec![7_000], vec![]),
            (
                "while it was dead, after another",
                vec![2_400, 7_000],
                first(),
            ),
            ("in a restart", vec![2_400, 10_001], first()),
            ("twice for one passage", vec![2_400, 2_900], first()),
            (
                "twice for one passage, both written down",
                vec![2_400, 2_900],
                with(vec![opened(2_901, 2_100)]),
            ),
            ("two that nothing explains", vec![11_300, 11_900], vec![]),
            ("with nobody in front", vec![2_400, 20_500], first()),
            ("written down, not seen", vec![], first()),
            (
                "for a passage from before the kill",
                vec![2_400, 11_300],
                with(vec![admitted(11_200, 4_900), opened(11_301, 4_900)]),
            ),
            (
                "for one that was admitted before the kill",
                vec![2_400, 11_300],
                with(vec![admitted(4_900, 4_800), opened(11_301, 4_800)]),
            ),
            (
                "for one that is new and that nobody admitted",
                vec![2_400, 11_300],
                with(vec![opened(11_301, 11_000)]),
            ),
            (
                "with nobody in front, but written down",
                vec![2_400, 20_500],
                with(vec![admitted(20_400, 20_300), opened(20_501, 20_300)]),
            ),
        ] {
            assert!(judge(&edges, &entries).is_err(), "{what}");
        }
    }
}
