//! Killing the gate for real, its relay guard, and both, while an outside board records what its
//! relay was told. The test plays systemd: where the daemon is gone it runs the unit's own
//! `ExecStopPost`, and starts the gate again.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use domain::{Decision, Entry, Event, PassageId};
use house::{
    Board, Camera, EMPTY, Gate, Mosquitto, Need, Plan, Scene, Site, Told, alone, cannot_run,
    wait_for,
};
use jiff::Timestamp;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// What the reader of a pseudo-terminal may lag.
const LAG: Duration = Duration::from_millis(150);
/// The longest pulse there may be.
const BOUND: Duration = Duration::from_secs(1).saturating_add(LAG);
/// By when the relay must be told to release once daemon and relay guard are both dead.
const SAFE_OFF_WITHIN: Duration = Duration::from_secs(1);
/// How old an admission may be that moves the boom: twice the 500 ms that a barrier grants.
const FRESH: Duration = Duration::from_secs(1);
/// How long a picture may be on its way after the vehicle in it has left.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How long a vehicle that has left is away, so that its passage has ended.
const AWAY: Duration = Duration::from_millis(1500);

/// `MENSHEN_KILLS=1000` for the long form.
fn kills() -> usize {
    std::env::var("MENSHEN_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(9)
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Daemon,
    RelayGuard,
    Both,
}

/// A kill that is done.
#[derive(Debug, Clone, Copy)]
struct Kill {
    victim: Victim,
    at: Instant,
}

/// While somebody stood in front of the gate.
#[derive(Debug, Clone, Copy)]
struct Visit {
    came: Timestamp,
    /// None while they are there.
    left: Option<Timestamp>,
}

/// One run of the daemon, as it looked from outside.
struct Life {
    /// When it was started.
    began: Timestamp,
    /// Who it could have let in.
    visits: Vec<Visit>,
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

/// Waits for a random moment of a visit: any, one about where the relay has been written and the
/// journal may not have it yet, or one of the pulse.
fn until_the_kill(has_opened: impl Fn() -> bool) {
    let mut rng = rand::rng();
    let after = match rng.random_range(0..3) {
        0 => {
            std::thread::sleep(Duration::from_millis(rng.random_range(0..1500)));
            return;
        }
        1 => 5_000,
        _ => 600_000,
    };
    let until = Instant::now() + Duration::from_millis(1500);
    while !has_opened() && Instant::now() < until {
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(Duration::from_micros(rng.random_range(0..after)));
}

/// Where the causes of the board's edges were found.
#[derive(Debug, Default, PartialEq)]
struct Explained {
    /// In the journal, as an opening.
    written: usize,
    /// In the journal, as an opening whose relay guard was killed before it told of it.
    unconfirmed: usize,
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

/// Why the relay may have been told to energise.
struct Cause {
    passage: PassageId,
    /// When the journal has its admission; none where only the log does.
    admitted: Option<Timestamp>,
    /// When it was written down.
    told: Timestamp,
    /// Whether the relay guard told of it.
    confirmed: bool,
}

/// What the journal of one run names as causes, in order.
fn causes_in<'a>(entries: impl Iterator<Item = &'a Entry>) -> Result<Vec<Cause>, String> {
    let mut admitted = HashMap::new();
    let mut causes = Vec::new();
    for entry in entries {
        let (cause, confirmed) = match &entry.event {
            Event::Verdict {
                passage, verdict, ..
            } if verdict.decision == Decision::Admit => {
                admitted.insert(*passage, entry.time);
                continue;
            }
            Event::Opened { cause, .. } => (cause, true),
            Event::OpeningRefused { cause, why, .. } if why.contains("before it confirmed") => {
                (cause, false)
            }
            _ => continue,
        };
        let passage = cause.parse().map_err(|e| format!("{cause}: {e}"))?;
        let Some(at) = admitted.get(&passage) else {
            return Err(format!("{cause} opened without being admitted"));
        };
        causes.push(Cause {
            passage,
            admitted: Some(*at),
            told: entry.time,
            confirmed,
        });
    }
    Ok(causes)
}

impl Life {
    /// Whether this cause may have moved the boom at this moment.
    fn allows(&self, edge: Timestamp, cause: &Cause) -> Result<(), String> {
        let began = beginning(cause.passage)?;
        // The identity counts whole milliseconds.
        let there = |visit: &Visit| {
            began.as_millisecond() >= visit.came.as_millisecond()
                && visit.left.is_none_or(|left| began <= left + ON_ITS_WAY)
        };
        if began > edge || !self.visits.iter().any(there) {
            return Err(format!(
                "the cause of {edge} began at {began}, and nobody was there but {:?}",
                self.visits
            ));
        }
        if let Some(admitted) = cause.admitted
            && edge > admitted + FRESH
        {
            return Err(format!("{edge} is late for an admission of {admitted}"));
        }
        if self.killed.is_some_and(|killed| edge > killed + LAG) {
            return Err(format!("{edge} is after the kill"));
        }
        Ok(())
    }

    /// Finds a cause of its own for every edge of this run.
    fn explain(
        &self,
        edges: &[Timestamp],
        causes: Vec<Cause>,
        explained: &mut Explained,
    ) -> Result<Vec<PassageId>, String> {
        let mut edges = edges.iter().copied().peekable();
        let mut found = Vec::new();
        let written: HashSet<_> = causes.iter().map(|cause| cause.passage).collect();
        for cause in causes {
            let Some(edge) = edges.next_if(|edge| cause.confirmed || *edge <= cause.told + LAG)
            else {
                if cause.confirmed {
                    return Err(format!("{} was written down, not seen", cause.passage));
                }
                // Its order died with the relay guard.
                continue;
            };
            self.allows(edge, &cause)?;
            found.push(cause.passage);
            if cause.confirmed {
                explained.written += 1;
            } else {
                explained.unconfirmed += 1;
            }
        }
        if let Some(edge) = edges.next() {
            let admitted = admitted_in(&self.log).into_iter();
            let last = admitted.rev().find(|passage| !written.contains(passage));
            let passage = last.filter(|_| self.killed.is_some());
            let cause = Cause {
                passage: passage.ok_or(format!("{edge} has no cause"))?,
                admitted: None,
                told: edge,
                confirmed: false,
            };
            self.allows(edge, &cause)?;
            found.push(cause.passage);
            explained.lost += 1;
        }
        match edges.next() {
            Some(edge) => Err(format!("{edge} has no cause")),
            None => Ok(found),
        }
    }
}

/// Finds for every time the relay was told to energise one cause of its own: a passage that
/// began in the same run of the gate, when somebody was there to be let in, and that this run
/// had just admitted. What a kill kept out of the journal must be the last thing that run did,
/// and its log must say for whom.
fn explain(lives: &[Life], edges: &[Timestamp], entries: &[Entry]) -> Result<Explained, String> {
    let mut explained = Explained::default();
    let mut used = HashSet::new();
    let mut seen = 0;
    for (at, life) in lives.iter().enumerate() {
        let until = lives.get(at + 1).map(|next| next.began);
        let within = |time: Timestamp| time >= life.began && until.is_none_or(|end| time < end);
        let edges: Vec<_> = edges.iter().copied().filter(|e| within(*e)).collect();
        seen += edges.len();
        let found = causes_in(entries.iter().filter(|entry| within(entry.time)))
            .and_then(|causes| life.explain(&edges, causes, &mut explained))
            .map_err(|why| format!("run {at}: {why}"))?;
        for cause in found {
            if !used.insert(cause) {
                return Err(format!("run {at}: {cause} moved the boom twice"));
            }
        }
    }
    if seen != edges.len() {
        return Err("an edge before the first start".to_owned());
    }
    Ok(explained)
}

/// What the board shows of the kills.
#[derive(Debug, Default, PartialEq)]
struct Released {
    kills: usize,
    /// Kills that found the relay energised.
    energised: usize,
    /// The longest from such a kill to the release.
    slowest: Duration,
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kills, energised) = (self.kills, self.energised);
        let slowest = self.slowest.as_millis();
        write!(
            f,
            "{kills} ({energised} with the relay on, off {slowest} ms later at most)"
        )
    }
}

/// What became of the relay at each kill of one sort.
fn released(told: &[Told], kills: &[Kill], victim: Victim) -> Released {
    let mut released = Released::default();
    for kill in kills.iter().filter(|kill| kill.victim == victim) {
        released.kills += 1;
        let before = told.iter().rfind(|told| told.at <= kill.at);
        if before.is_some_and(|told| told.on) {
            let off = told.iter().find(|told| told.at > kill.at && !told.on);
            let off = off.map_or(Duration::MAX, |off| off.at.duration_since(kill.at));
            released.energised += 1;
            released.slowest = released.slowest.max(off);
        }
    }
    released
}

/// Checks that no pulse is longer than its bound, and that one which nobody was left to end was
/// ended from outside in time; the longest pulse.
fn bounded(pulses: &[(Instant, Duration)], kills: &[Kill]) -> Result<Duration, String> {
    let mut longest = Duration::ZERO;
    for (since, length) in pulses {
        longest = longest.max(*length);
        let orphaned = kills.iter().find(|kill| {
            kill.victim == Victim::Both && kill.at >= *since && kill.at < *since + *length
        });
        let bound = orphaned.map_or(BOUND, |kill| {
            BOUND.min(kill.at.duration_since(*since)) + SAFE_OFF_WITHIN
        });
        if *length > bound {
            return Err(format!(
                "a pulse of {length:?}, {bound:?} at most: {orphaned:?}"
            ));
        }
    }
    Ok(longest)
}

/// What systemd runs when the daemon has ended, without the program and the configuration.
fn exec_stop_post() -> Vec<&'static str> {
    let unit = include_str!("../systemd/menshen.service");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStopPost=/usr/bin/menshen "))
        .unwrap();
    let (verb, configuration) = line.split_once("--config").unwrap();
    assert_eq!(configuration.trim(), "/etc/menshen/menshen.toml");
    verb.split_whitespace().collect()
}

/// Kills daemon and relay guard a moment apart, in either order; when both were dead.
fn kill_both(gate: &Gate) -> Instant {
    let mut rng = rand::rng();
    let daemon = Pid::from_raw(gate.id().cast_signed()).unwrap();
    let mut victims = vec![daemon];
    victims.extend(gate.relay_guard().unwrap());
    victims.shuffle(&mut rng);
    let apart = Duration::from_micros(rng.random_range(0..1_000));
    for victim in victims {
        match kill_process(victim, Signal::KILL) {
            // A relay guard whose daemon has gone may have ended by itself.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(why) => panic!("{why}"),
        }
        std::thread::sleep(apart);
    }
    Instant::now()
}

/// The gate under fire, and everything around it.
struct Trial {
    site: Site,
    board: Board,
    camera: Camera,
    lives: Vec<Life>,
    kills: Vec<Kill>,
    /// Whether a vehicle stands there.
    occupied: bool,
    /// The longest until a started gate was ready, and until a relay guard had a successor.
    ready_after: Duration,
    replaced_after: Duration,
}

impl Trial {
    fn life(&mut self) -> &mut Life {
        self.lives.last_mut().unwrap()
    }

    /// Starts the gate in front of nobody, or of the vehicle that stood there when it died: what
    /// may let it in then is a new passage, and nothing that was going on before.
    fn start(&mut self, stays: bool) -> Gate {
        if !stays {
            self.camera.show(EMPTY);
            self.camera.drain().unwrap();
            self.occupied = false;
        }
        let began = Timestamp::now();
        let gate = Gate::start(&self.site).unwrap();
        self.ready_after = self.ready_after.max(gate.ready_after);
        let came = Visit {
            came: began,
            left: None,
        };
        self.lives.push(Life {
            began,
            visits: self.occupied.then_some(came).into_iter().collect(),
            killed: None,
            log: Vec::new(),
        });
        gate
    }

    fn come(&mut self) {
        if !self.occupied {
            self.occupied = true;
            let came = Timestamp::now();
            self.life().visits.push(Visit { came, left: None });
            self.camera.show(1);
        }
    }

    fn leave(&mut self) {
        self.camera.show(EMPTY);
        self.occupied = false;
        let left = Timestamp::now();
        if let Some(visit) = self.life().visits.last_mut() {
            visit.left = Some(left);
        }
    }

    /// Kills; what lives on after it.
    fn kill(&mut self, gate: Gate, victim: Victim) -> Option<Gate> {
        let mut at = Instant::now();
        match victim {
            Victim::RelayGuard => {
                self.kill_guard_alone(&gate);
                return Some(gate);
            }
            Victim::Both => at = kill_both(&gate),
            Victim::Daemon => {}
        }
        let log = gate.kill().unwrap();
        self.kills.push(Kill { victim, at });
        // As systemd does when all are gone.
        let gone = Timestamp::now();
        let done = self.site.verb(&exec_stop_post()).unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        let life = self.life();
        life.killed = Some(gone);
        life.log = log;
        None
    }

    /// The daemon goes on with a new one; the vehicle leaves.
    fn kill_guard_alone(&mut self, gate: &Gate) {
        let held = || {
            let log = gate.log();
            let held = |line: &&String| line.contains("the relay's port is held");
            log.iter().filter(held).count()
        };
        let before = held();
        let guard = gate.relay_guard().unwrap().unwrap();
        let (victim, at) = (Victim::RelayGuard, Instant::now());
        kill_process(guard, Signal::KILL).unwrap();
        self.kills.push(Kill { victim, at });
        let replaced = || {
            let successor = gate.relay_guard().unwrap();
            held() > before && successor.is_some_and(|id| id != guard)
        };
        assert!(
            wait_for(Duration::from_secs(5), replaced),
            "no successor:\n{}",
            gate.log().join("\n")
        );
        self.replaced_after = self.replaced_after.max(at.elapsed());
        self.leave();
        std::thread::sleep(AWAY);
    }
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
    let mut acknowledged = vec![scene.plate(0).to_string()];
    let mut trial = Trial {
        camera: Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap(),
        site,
        board,
        lives: Vec::new(),
        kills: Vec::new(),
        occupied: false,
        ready_after: Duration::ZERO,
        replaced_after: Duration::ZERO,
    };
    let mut rng = rand::rng();
    let mut next = Vec::new();
    let mut running = None;
    for round in 0..kills() {
        if next.is_empty() {
            next = vec![Victim::Daemon, Victim::RelayGuard, Victim::Both];
            next.shuffle(&mut rng);
        }
        let openings_before = openings(&trial.board).len();
        let gate = running
            .take()
            .unwrap_or_else(|| trial.start(rng.random_bool(0.5)));
        std::thread::sleep(Duration::from_millis(300));
        let plate = format!("苏E{:05}", 10_000 + round);
        trial.site.register(&plate.parse().unwrap()).unwrap();
        acknowledged.push(plate);
        trial.come();
        until_the_kill(|| openings(&trial.board).len() > openings_before);
        let victim = next.pop().unwrap();
        running = trial.kill(gate, victim);
    }
    let gate = running.unwrap_or_else(|| trial.start(false));
    let listed = trial.site.verb(&["registry", "list", "--json"]).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for plate in &acknowledged {
        assert!(
            listed.contains(plate.as_str()),
            "{plate} was acknowledged and is gone"
        );
    }
    let status = || {
        let status = trial.site.verb(&["status", "--json"]).unwrap();
        String::from_utf8(status.stdout).unwrap()
    };
    assert!(
        wait_for(Duration::from_secs(30), || status()
            .contains("\"outbox\":0")),
        "{}\n{}",
        status(),
        gate.log().join("\n")
    );
    std::thread::sleep(Duration::from_millis(500));
    let chained = ear.verify().unwrap();
    let entries: Vec<_> = ear.heard().into_iter().map(|heard| heard.entry).collect();
    trial.judge(&entries);
    println!(
        "BAR kill -9: {chained} entries with a whole chain, {} register rows kept",
        acknowledged.len()
    );
}

impl Trial {
    /// Judges all that the board saw, and prints it.
    fn judge(&self, entries: &[Entry]) {
        let edges = openings(&self.board);
        let told = self.board.told();
        let [daemon, guard, both] = [Victim::Daemon, Victim::RelayGuard, Victim::Both]
            .map(|victim| released(&told, &self.kills, victim));
        let explained = explain(&self.lives, &edges, entries).unwrap_or_else(|why| panic!("{why}"));
        let longest =
            bounded(&self.board.pulses(), &self.kills).unwrap_or_else(|why| panic!("{why}"));
        println!(
            "BAR kill -9: of the daemon {daemon}, of the relay guard {guard}, of both {both}; longest pulse {} ms; a successor's port held {} ms after its guard's death at most, a gate ready {:.2?} after its start at most",
            longest.as_millis(),
            self.replaced_after.as_millis(),
            self.ready_after
        );
        println!(
            "BAR kill -9: {} openings on the board, each with a fresh cause of its own: {} written down, {} written down as unconfirmed, {} lost to their kills",
            edges.len(),
            explained.written,
            explained.unconfirmed,
            explained.lost
        );
        assert!(both.slowest <= SAFE_OFF_WITHIN, "{:?}", both.slowest);
        assert!(
            !edges.is_empty(),
            "no opening happened; the test showed nothing"
        );
    }
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

    fn unconfirmed(at: i64, began: i64) -> Entry {
        let barrier = "main".parse().unwrap();
        let cause = passage(began).to_string();
        let why = "the relay guard was lost before it confirmed the pulse".to_owned();
        let event = Event::OpeningRefused {
            barrier,
            cause,
            why,
        };
        entry(at, event)
    }

    /// Two killed runs from 0 and 10,000 with somebody there from 2,000 to 4,000 and from the
    /// start, and one from 20,000 with nobody.
    fn lives() -> Vec<Life> {
        let life = |began, visits: &[(i64, Option<i64>)], killed, log| Life {
            began: ms(began),
            visits: visits
                .iter()
                .map(|(came, left)| Visit {
                    came: ms(*came),
                    left: left.map(ms),
                })
                .collect(),
            killed,
            log,
        };
        vec![
            life(
                0,
                &[(2_000, Some(4_000))],
                Some(ms(8_000)),
                vec![said(2_100)],
            ),
            life(
                10_000,
                &[(10_000, None)],
                Some(ms(15_000)),
                vec![said(11_000)],
            ),
            life(20_000, &[], None, Vec::new()),
        ]
    }

    fn judge(edges: &[i64], entries: &[Entry]) -> Result<Explained, String> {
        let edges: Vec<_> = edges.iter().map(|at| ms(*at)).collect();
        explain(&lives(), &edges, entries)
    }

    #[test]
    fn an_edge_is_explained_by_the_journal_or_by_the_log_of_a_killed_run() {
        let first = [admitted(2_300, 2_100), opened(2_400, 2_100)];
        let explained = |written, unconfirmed, lost| {
            Ok(Explained {
                written,
                unconfirmed,
                lost,
            })
        };
        assert_eq!(judge(&[2_400, 11_300], &first), explained(1, 0, 1));
        assert_eq!(judge(&[2_400], &first), explained(1, 0, 0));
        assert_eq!(judge(&[], &[]), explained(0, 0, 0));
        // The relay guard was killed before it told of its pulse, with its order and without.
        let second = [admitted(2_300, 2_100), unconfirmed(2_500, 2_100)];
        assert_eq!(judge(&[2_400], &second), explained(0, 1, 0));
        assert_eq!(judge(&[], &second), explained(0, 0, 0));
        let then = [
            second.to_vec(),
            vec![admitted(3_500, 3_400), opened(3_600, 3_400)],
        ];
        assert_eq!(judge(&[2_400, 3_600], &then.concat()), explained(1, 1, 0));
        assert_eq!(judge(&[3_600], &then.concat()), explained(1, 0, 0));
    }

    #[test]
    fn an_edge_without_a_fresh_cause_is_found() {
        let first = || vec![admitted(2_300, 2_100), opened(2_400, 2_100)];
        let with = |more: Vec<Entry>| [first(), more].concat();
        for (what, edges, entries) in [
            ("before the first start", vec![-1], vec![]),
            ("before anybody came", vec![1_900], vec![]),
            ("while it was dead", vec![9_000], vec![]),
            (
                "while it was dead, after another",
                vec![2_400, 9_000],
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
                "again after the relay guard had died in it",
                vec![2_400, 2_900],
                vec![admitted(2_300, 2_100), unconfirmed(2_500, 2_100)],
            ),
            (
                "after the relay guard's death, for nobody new",
                vec![2_900],
                vec![admitted(2_300, 2_100), unconfirmed(2_500, 2_100)],
            ),
            (
                "for an admission that has grown old",
                vec![3_900],
                vec![admitted(2_300, 2_100), opened(3_901, 2_100)],
            ),
            (
                "for one who came when all had left",
                vec![6_200],
                vec![admitted(6_100, 6_000), opened(6_201, 6_000)],
            ),
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

    #[test]
    fn a_pulse_is_bounded_by_itself_or_by_the_kill_that_left_nobody_to_end_it() {
        let start = Instant::now();
        let after = |ms| Duration::from_millis(ms);
        let kill = |victim, ms| Kill {
            victim,
            at: start + after(ms),
        };
        let lasts = |ms, kills: &[Kill]| bounded(&[(start, after(ms))], kills);
        let (guard, both) = (Victim::RelayGuard, Victim::Both);
        assert_eq!(lasts(1_100, &[]), Ok(after(1_100)));
        assert!(lasts(1_200, &[]).is_err());
        assert!(lasts(1_200, &[kill(guard, 500), kill(Victim::Daemon, 500)]).is_err());
        assert_eq!(lasts(1_450, &[kill(both, 500)]), Ok(after(1_450)));
        assert!(lasts(1_550, &[kill(both, 500)]).is_err());
        assert!(lasts(1_450, &[kill(both, 1_460)]).is_err());
        assert!(lasts(5_000, &[kill(both, 4_500)]).is_err());
        let told = |ms, on| Told {
            at: start + after(ms),
            wall: Timestamp::now(),
            on,
        };
        let told = [told(10, false), told(100, true), told(400, false)];
        let kills = [kill(both, 50), kill(both, 150), kill(guard, 150)];
        let seen = |kills, energised, slowest| Released {
            kills,
            energised,
            slowest: after(slowest),
        };
        assert_eq!(released(&told, &kills, both), seen(2, 1, 250));
        assert_eq!(released(&told[..2], &kills, both).slowest, Duration::MAX);
        assert_eq!(released(&told, &kills, Victim::Daemon), Released::default());
    }

    #[test]
    fn what_systemd_runs_when_the_daemon_has_ended_is_safe_off() {
        assert_eq!(exec_stop_post(), ["safe-off"]);
    }
}
