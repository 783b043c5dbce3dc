//! Real relay guards and daemons on a pseudo-terminal that plays the relay board: what the
//! board sees when things are killed, stopped, or fed garbage.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gate::CauseId;
use gate::Monotonic;
use gate::barrier::{BarrierEvent, Origin, PulseProfile, Refusal};
use gate::driver::{
    BarrierConfig, BarrierHandle, BarrierThread, Commissioning, GuardProgram, Observation,
};
use gate::line::{Line, LineNotice};
use gate::relay::simulated::write_inputs;
use gate::safe_off;
use gate::wiring::{Driver, InputsConfig, LineConfig, RelayConfig, Wiring};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The scheduling slack a loaded machine is allowed in these tests.
const SLACK: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(10);

fn cause(text: &str) -> CauseId {
    CauseId::new(text).unwrap()
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A relay board at the master's end of a pseudo-terminal. Notes every frame with its time.
struct Board {
    path: PathBuf,
    writes: Arc<Mutex<Vec<(Monotonic, bool)>>>,
    _peer: File,
}

impl Board {
    fn new() -> Self {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        // Held open so that the master's reads do not fail between two guards.
        let peer = File::options().read(true).write(true).open(&path).unwrap();
        let writes = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let writes = Arc::clone(&writes);
            let mut master = File::from(master);
            move || {
                let mut frame = [0_u8; 4];
                while master.read_exact(&mut frame).is_ok() {
                    let now = Monotonic::read();
                    let sum = frame[0].wrapping_add(frame[1]).wrapping_add(frame[2]);
                    assert_eq!((frame[0], frame[1], frame[3]), (0xA0, 1, sum));
                    writes.lock().unwrap().push((now, frame[2] == 1));
                }
            }
        });
        Self {
            path,
            writes,
            _peer: peer,
        }
    }

    fn wiring(&self) -> Wiring {
        let relay = RelayConfig {
            driver: Driver::Serial,
            port: Some(self.path.clone()),
            ..RelayConfig::default()
        };
        Wiring::new(&relay, &InputsConfig::default()).unwrap()
    }

    fn writes(&self) -> Vec<(Monotonic, bool)> {
        self.writes.lock().unwrap().clone()
    }

    fn is_on(&self) -> bool {
        self.writes().last().is_some_and(|(_, on)| *on)
    }

    fn wait_on(&self) -> Monotonic {
        until("the relay to be energised", || {
            self.writes()
                .last()
                .filter(|(_, on)| *on)
                .map(|(at, _)| *at)
        })
    }

    fn wait_off(&self) -> Monotonic {
        until("the relay to be released", || {
            self.writes()
                .last()
                .filter(|(_, on)| !*on)
                .map(|(at, _)| *at)
        })
    }

    /// The lengths of `count` pulses, once the board has seen that many end. Its thread may
    /// lag behind the guard's reports.
    fn wait_pulses(&self, count: usize) -> Vec<Duration> {
        until("the board to see the pulses", || {
            let pulses = self.pulses();
            (pulses.len() >= count && !self.is_on()).then_some(pulses)
        })
    }

    /// How long each pulse lasted, the one that is running included.
    fn pulses(&self) -> Vec<Duration> {
        let mut pulses = Vec::new();
        let mut on_since = None;
        for (at, on) in self.writes() {
            match (on, on_since) {
                (true, None) => on_since = Some(at),
                (false, Some(since)) => {
                    pulses.push(at.since(since));
                    on_since = None;
                }
                _ => {}
            }
        }
        pulses.extend(on_since.map(|since| Monotonic::read().since(since)));
        pulses
    }
}

fn exe() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_gate-alone"))
}

fn profile(pulse_ms: u64) -> PulseProfile {
    PulseProfile {
        pulse: Duration::from_millis(pulse_ms),
        repeat_gap: Duration::from_millis(300),
        ..PulseProfile::default()
    }
}

/// A barrier thread in this process with its guard, found by a tag on its command line.
struct InProcess {
    handle: BarrierHandle,
    events: Receiver<BarrierEvent>,
    tag: String,
}

impl InProcess {
    fn start(tag: &str, wiring: Wiring, pulse_ms: u64) -> Self {
        let (sender, events) = channel();
        let tag = format!("{tag}-{}", std::process::id());
        let handle = BarrierThread::start(
            BarrierConfig {
                name: tag.clone(),
                profile: profile(pulse_ms),
                wiring,
                guard: GuardProgram {
                    exe: exe(),
                    args: vec!["relay-guard".into(), tag.clone().into()],
                },
            },
            sender,
        )
        .unwrap();
        let barrier = Self {
            handle,
            events,
            tag,
        };
        barrier.wait_for("ready", |event| *event == BarrierEvent::RelayGuardReady);
        barrier
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&BarrierEvent) -> bool) -> BarrierEvent {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) if wanted(&event) => return event,
                Ok(_) => {}
                Err(why) => panic!("waited in vain for {what}: {why}"),
            }
        }
    }

    fn signal_guard(&self, signal: Signal) {
        kill_process(tagged(&self.tag), signal).unwrap();
    }
}

/// The process that has `tag` as an argument.
fn tagged(tag: &str) -> Pid {
    until("the guard's process", || {
        std::fs::read_dir("/proc").unwrap().find_map(|entry| {
            let path = entry.ok()?.path();
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let found = line
                .split(|byte| *byte == 0)
                .any(|arg| arg == tag.as_bytes());
            found.then(|| Pid::from_raw(pid))?
        })
    })
}

/// A daemon of its own: the barrier thread in another process.
struct Daemon {
    child: Child,
    stdin: ChildStdin,
    events: Receiver<String>,
}

impl Daemon {
    fn start(wiring: &Wiring, pulse_ms: u64) -> Self {
        let mut child = Command::new(exe())
            .arg("barrier")
            .arg(serde_json::to_string(wiring).unwrap())
            .arg(pulse_ms.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            stdin,
            events,
        }
    }

    fn wait_for(&self, text: &str) {
        while !self
            .events
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("waited in vain for {text}"))
            .contains(text)
        {}
    }

    fn open(&mut self, cause: &str) {
        writeln!(self.stdin, "{cause}").unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

/// A guard without a daemon: the test speaks the protocol.
struct BareGuard {
    child: Child,
    stdin: Option<ChildStdin>,
    reports: Receiver<String>,
}

impl BareGuard {
    fn start(wiring: &Wiring) -> Self {
        let mut child = Command::new(exe())
            .arg("relay-guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, reports) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut guard = Self {
            child,
            stdin,
            reports,
        };
        let wiring = serde_json::to_string(wiring).unwrap();
        guard.say(&format!(r#"{{"hello":{{"version":1,"wiring":{wiring}}}}}"#));
        assert!(guard.hear().contains("ready"));
        guard
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&self) -> String {
        self.reports.recv_timeout(PATIENCE).unwrap()
    }
}

#[test]
fn an_opening_is_one_bounded_pulse_and_shutdown_is_quick() {
    let board = Board::new();
    let barrier = InProcess::start("pulse", board.wiring(), 500);
    board.wait_off();
    assert!(board.pulses().is_empty());
    barrier.handle.open(cause("a"), Origin::Automatic).unwrap();
    let on = board.wait_on();
    let BarrierEvent::Energised { cause: of, at } =
        barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }))
    else {
        unreachable!()
    };
    assert_eq!(of, cause("a"));
    assert!(at.since(on).max(on.since(at)) < SLACK, "stamps agree");
    barrier.wait_for("released", |e| matches!(e, BarrierEvent::Released { .. }));
    barrier.handle.open(cause("a"), Origin::Guard).unwrap();
    barrier.wait_for("the refusal", |event| {
        matches!(
            event,
            BarrierEvent::OpeningRefused {
                reason: Refusal::Duplicate,
                ..
            }
        )
    });
    let pulses = board.wait_pulses(1);
    assert_eq!(pulses.len(), 1);
    assert!(pulses[0] >= Duration::from_millis(500).saturating_sub(SLACK));
    assert!(pulses[0] <= Duration::from_millis(500) + SLACK);
    barrier.handle.open(cause("b"), Origin::Automatic).unwrap();
    board.wait_on();
    let began = Instant::now();
    barrier.handle.shutdown();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(board.wait_pulses(2).len(), 2);
    assert!(barrier.events.try_iter().any(|event| matches!(
        event,
        BarrierEvent::Released { cause: of, .. } if of == cause("b")
    )));
}

#[test]
fn the_way_from_request_to_relay_is_short() {
    let board = Board::new();
    let barrier = InProcess::start("latency", board.wiring(), 200);
    let mut delays = Vec::new();
    for n in 0..8 {
        thread::sleep(Duration::from_millis(350));
        let asked = Monotonic::read();
        let cause = cause(&n.to_string());
        barrier.handle.open(cause, Origin::Automatic).unwrap();
        let energised = barrier.wait_for("energised", |event| {
            matches!(event, BarrierEvent::Energised { .. })
        });
        if let BarrierEvent::Energised { at, .. } = energised {
            delays.push(at.since(asked));
        }
        barrier.wait_for("released", |e| matches!(e, BarrierEvent::Released { .. }));
    }
    delays.sort();
    println!("request to relay write, sorted: {delays:?}");
    assert!(delays[4] < Duration::from_millis(150), "{delays:?}");
}

#[test]
fn a_killed_daemon_does_not_stretch_its_pulse() {
    let board = Board::new();
    let mut daemon = Daemon::start(&board.wiring(), 1000);
    daemon.wait_for("relay_guard_ready");
    daemon.open("a");
    let on = board.wait_on();
    daemon.kill();
    let held = board.wait_off().since(on);
    assert!(held < Duration::from_millis(300) + SLACK, "{held:?}");
}

#[test]
fn a_daemon_that_stalls_loses_the_relay() {
    let board = Board::new();
    let mut daemon = Daemon::start(&board.wiring(), 1000);
    daemon.wait_for("relay_guard_ready");
    daemon.open("a");
    let on = board.wait_on();
    daemon.signal(Signal::STOP);
    let held = board.wait_off().since(on);
    assert!(held < Duration::from_millis(500) + SLACK, "{held:?}");
    daemon.open("b");
    thread::sleep(Duration::from_millis(700));
    daemon.signal(Signal::CONT);
    thread::sleep(Duration::from_millis(700));
    daemon.kill();
    // `b` lay in the daemon's own pipe: it was asked when the daemon read it. It may open
    // once, not more.
    assert!(board.pulses().len() <= 2);
}

#[test]
fn a_killed_guard_is_replaced_and_its_successor_releases() {
    let board = Board::new();
    let barrier = InProcess::start("killed", board.wiring(), 1000);
    barrier.handle.open(cause("a"), Origin::Automatic).unwrap();
    let on = board.wait_on();
    barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }));
    barrier.signal_guard(Signal::KILL);
    let held = board.wait_off().since(on);
    assert!(held < Duration::from_millis(500) + SLACK, "{held:?}");
    barrier.wait_for("the loss", |e| {
        matches!(e, BarrierEvent::RelayGuardLost { .. })
    });
    barrier.wait_for("the successor", |e| *e == BarrierEvent::RelayGuardReady);
    barrier.wait_for("the end of a", |e| {
        matches!(e, BarrierEvent::Released { .. })
    });
    thread::sleep(Duration::from_millis(350));
    assert_eq!(board.pulses().len(), 1, "nothing is repeated by itself");
    barrier.handle.open(cause("b"), Origin::Automatic).unwrap();
    board.wait_on();
}

/// A guard that dies again and again is started ever later, but not where it leaves its relay
/// energised.
#[test]
fn guards_that_keep_dying_in_their_pulses_are_replaced_at_once() {
    let board = Board::new();
    let barrier = InProcess::start("dying", board.wiring(), 500);
    for n in 0..6 {
        // Past the gap between two pulses.
        thread::sleep(Duration::from_millis(350));
        let cause = cause(&n.to_string());
        barrier.handle.open(cause, Origin::Automatic).unwrap();
        barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }));
        barrier.signal_guard(Signal::KILL);
        barrier.wait_for("the successor", |e| *e == BarrierEvent::RelayGuardReady);
    }
    for held in board.wait_pulses(6) {
        assert!(held < Duration::from_millis(500) + SLACK, "{held:?}");
    }
}

#[test]
fn a_hung_guard_is_replaced() {
    let board = Board::new();
    let barrier = InProcess::start("hung", board.wiring(), 1000);
    barrier.handle.open(cause("a"), Origin::Automatic).unwrap();
    let on = board.wait_on();
    barrier.signal_guard(Signal::STOP);
    let held = board.wait_off().since(on);
    assert!(held < Duration::from_secs(1) + SLACK, "{held:?}");
    barrier.wait_for("the successor", |e| *e == BarrierEvent::RelayGuardReady);
}

#[test]
fn a_guard_releases_when_its_pipe_closes_or_falls_silent_or_it_is_terminated() {
    let pulse = r#"{"pulse":{"cause":"a","ms":1000}}"#;
    for (how, why) in [
        ("close", "ending"),
        ("silence", "silence"),
        ("term", "ending"),
    ] {
        let board = Board::new();
        let mut guard = BareGuard::start(&board.wiring());
        guard.say(pulse);
        assert!(guard.hear().contains("energised"));
        match how {
            "close" => guard.stdin = None,
            "term" => kill_process(Pid::from_child(&guard.child), Signal::TERM).unwrap(),
            _ => {}
        }
        let report = guard.hear();
        assert!(
            report.contains("released") && report.contains(why),
            "{how}: {report}"
        );
        guard.stdin = None;
        assert!(guard.child.wait().unwrap().success());
        assert_eq!(board.wait_pulses(1).len(), 1);
    }
}

#[test]
fn a_guard_obeys_bounds_not_wishes_and_survives_garbage() {
    let board = Board::new();
    let mut guard = BareGuard::start(&board.wiring());
    for garbage in [
        "{",
        "\u{7f}",
        "null",
        r#"{"open":{}}"#,
        r#"{"pulse":{"ms":1}}"#,
    ] {
        guard.say(garbage);
        assert!(guard.hear().contains("error"), "{garbage}");
    }
    guard.say(r#"{"pulse":{"cause":"a","ms":86400000}}"#);
    assert!(guard.hear().contains("energised"));
    guard.say(r#"{"pulse":{"cause":"b","ms":500}}"#);
    assert!(guard.hear().contains("busy"));
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(50));
        guard.say(r#""beat""#);
    }
    assert!(board.wait_pulses(1)[0] < Duration::from_secs(1) + SLACK);
    while !guard.hear().contains("released") {}
    guard.say(r#"{"pulse":{"cause":"a","ms":500}}"#);
    while !guard.hear().contains("repeated") {}
    guard.say(r#""bye""#);
    assert!(guard.child.wait().unwrap().success());
    assert_eq!(board.pulses().len(), 1);
}

#[test]
fn two_guards_do_not_share_a_board() {
    let board = Board::new();
    let _first = BareGuard::start(&board.wiring());
    let wiring = serde_json::to_string(&board.wiring()).unwrap();
    let mut second = Command::new(exe())
        .arg("relay-guard")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(
        second.stdin.as_mut().unwrap(),
        r#"{{"hello":{{"version":1,"wiring":{wiring}}}}}"#
    )
    .unwrap();
    let output = second.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("locking")
    );
}

#[test]
fn safe_off_releases_what_kill_9_left_on() {
    let board = Board::new();
    let wiring = board.wiring();
    let mut guard = BareGuard::start(&wiring);
    guard.say(r#"{"pulse":{"cause":"a","ms":1000}}"#);
    board.wait_on();
    guard.child.kill().unwrap();
    guard.child.wait().unwrap();
    assert!(board.is_on(), "a killed guard leaves the board as it is");
    for _ in 0..2 {
        let began = Instant::now();
        safe_off(&wiring).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        board.wait_off();
    }
    let gone = Wiring::new(
        &RelayConfig {
            driver: Driver::Serial,
            port: Some("no-such-board".into()),
            ..RelayConfig::default()
        },
        &InputsConfig::default(),
    )
    .unwrap();
    let text = safe_off(&gone).unwrap_err().to_string();
    assert!(
        text.contains("no-such-board") && text.contains("plugged in"),
        "{text}"
    );
}

#[test]
fn without_a_guard_program_requests_are_refused_and_nothing_hangs() {
    let (sender, events) = channel();
    let board = Board::new();
    let handle = BarrierThread::start(
        BarrierConfig {
            name: "none".to_owned(),
            profile: profile(500),
            wiring: board.wiring(),
            guard: GuardProgram {
                exe: "no-such-program".into(),
                args: Vec::new(),
            },
        },
        sender,
    )
    .unwrap();
    let lost = events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(lost, BarrierEvent::RelayGuardLost { .. }));
    handle.open(cause("a"), Origin::Guard).unwrap();
    until("the refusal", || {
        events.try_iter().find(|event| {
            matches!(
                event,
                BarrierEvent::OpeningRefused {
                    reason: Refusal::RelayGuardLost,
                    ..
                }
            )
        })
    });
    let opener = handle.opener();
    handle.shutdown();
    assert!(opener.open(cause("b"), Origin::Guard).is_err());
    assert!(board.writes().is_empty());
}

fn simulated(folder: &Path) -> Wiring {
    let relay = RelayConfig {
        driver: Driver::Simulated,
        trace: Some(folder.join("edges")),
        inputs: Some(folder.join("inputs")),
        ..RelayConfig::default()
    };
    let mut inputs = InputsConfig {
        guard_button: Some(LineConfig::default()),
        fire: Some(LineConfig::default()),
        stop: Some(LineConfig {
            normally_closed: true,
            ..LineConfig::default()
        }),
        ..InputsConfig::default()
    };
    inputs
        .arrival_loop
        .insert("entry".to_owned(), LineConfig::default());
    Wiring::new(&relay, &inputs).unwrap()
}

#[test]
fn simulated_inputs_reach_the_barrier_and_edges_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let levels = folder.path().join("inputs");
    let barrier = InProcess::start("inputs", simulated(folder.path()), 500);
    let changed = |line: Line, active: bool| {
        barrier.wait_for(&line.to_string(), |event| {
            matches!(event, BarrierEvent::LineChanged { line: l, active: a, .. }
                if *l == line && *a == active)
        });
    };
    changed(Line::Stop, false);
    let arrival = Line::ArrivalLoop("entry".to_owned());
    write_inputs(&levels, &[(arrival.clone(), true)]).unwrap();
    changed(arrival, true);
    write_inputs(&levels, &[(Line::GuardButton, true)]).unwrap();
    changed(Line::GuardButton, true);
    barrier.wait_for("the opening", |event| {
        matches!(
            event,
            BarrierEvent::OpeningStarted {
                origin: Origin::Guard,
                ..
            }
        )
    });
    barrier.wait_for("released", |e| matches!(e, BarrierEvent::Released { .. }));
    write_inputs(&levels, &[(Line::Fire, true)]).unwrap();
    barrier.wait_for("the fire opening", |event| {
        matches!(
            event,
            BarrierEvent::OpeningStarted {
                origin: Origin::Fire,
                ..
            }
        )
    });
    barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }));
    std::fs::write(&levels, "fire 1\nstop cut\n").unwrap();
    changed(Line::Stop, true);
    barrier.wait_for("released", |e| matches!(e, BarrierEvent::Released { .. }));
    barrier
        .handle
        .open(cause("car"), Origin::Automatic)
        .unwrap();
    barrier.wait_for("the refusal", |event| {
        matches!(
            event,
            BarrierEvent::OpeningRefused {
                reason: Refusal::StopActive,
                ..
            }
        )
    });
    barrier.handle.shutdown();
    let trace = std::fs::read_to_string(folder.path().join("edges")).unwrap();
    let states: Vec<&str> = trace
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(states, ["off", "on", "off", "on", "off"]);
}

/// Whoever tries the wiring sees button and fire and moves nothing with them; only a request
/// pulses, once and within its bound, and STOP refuses it as ever.
#[test]
fn while_a_gate_is_commissioned_only_a_request_opens() {
    let folder = tempfile::tempdir().unwrap();
    let levels = folder.path().join("inputs");
    let (sender, seen) = channel();
    let commissioning = Commissioning::start(
        BarrierConfig {
            name: "commissioned".to_owned(),
            profile: profile(200),
            wiring: simulated(folder.path()),
            guard: GuardProgram {
                exe: exe(),
                args: vec!["relay-guard".into()],
            },
        },
        sender,
    )
    .unwrap();
    let wait_for = |what: &str, wanted: &dyn Fn(&Observation) -> bool| {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match seen.recv_timeout(left) {
                Ok(one) if wanted(&one) => return,
                Ok(_) => {}
                Err(why) => panic!("waited in vain for {what}: {why}"),
            }
        }
    };
    let level = |which: Line, active: bool| {
        wait_for(&which.to_string(), &|one| {
            matches!(one, Observation::Line { line, notice: LineNotice::Level(a), .. }
                if *line == which && *a == active)
        });
    };
    let event = |what: &str, wanted: &dyn Fn(&BarrierEvent) -> bool| {
        wait_for(
            what,
            &|one| matches!(one, Observation::Event(event) if wanted(event)),
        );
    };
    let edges = || std::fs::read_to_string(folder.path().join("edges")).unwrap();
    level(Line::Fire, false);
    for which in [Line::GuardButton, Line::Fire] {
        write_inputs(&levels, &[(which.clone(), true)]).unwrap();
        level(which.clone(), true);
        thread::sleep(Duration::from_millis(300));
        assert!(!edges().contains("on"), "{which} opened: {}", edges());
    }
    write_inputs(&levels, &[]).unwrap();
    level(Line::Fire, false);
    commissioning.release().unwrap();
    wait_for("the release", &|one| {
        matches!(one, Observation::Released { .. })
    });
    commissioning.open(cause("asked")).unwrap();
    event("the pulse", &|e| {
        matches!(e, BarrierEvent::Energised { .. })
    });
    event("its end", &|e| matches!(e, BarrierEvent::Released { .. }));
    commissioning.open(cause("asked")).unwrap();
    event("the refusal", &|e| {
        matches!(
            e,
            BarrierEvent::OpeningRefused {
                reason: Refusal::Duplicate,
                ..
            }
        )
    });
    std::fs::write(&levels, "stop cut\n").unwrap();
    level(Line::Stop, true);
    commissioning.open(cause("stopped")).unwrap();
    event("the refusal", &|e| {
        matches!(
            e,
            BarrierEvent::OpeningRefused {
                reason: Refusal::StopActive,
                ..
            }
        )
    });
    commissioning.shutdown();
    assert_eq!(edges().matches(" on").count(), 1, "{}", edges());
    assert!(edges().trim_end().ends_with("off"), "{}", edges());
}

/// `GATE_KILLS=200` is the long form.
#[test]
fn kill_9_at_any_moment_never_stretches_or_repeats_a_pulse() {
    let kills: u64 = std::env::var("GATE_KILLS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(12);
    let board = Board::new();
    let wiring = board.wiring();
    let mut asked = 0;
    let mut longest = Duration::ZERO;
    for round in 0..kills {
        let mut daemon = Daemon::start(&wiring, 500);
        daemon.wait_for("relay_guard_ready");
        thread::sleep(Duration::from_millis(30));
        let before = board.pulses().len();
        thread::sleep(Duration::from_millis(60));
        assert_eq!(board.pulses().len(), before, "a pulse without a cause");
        daemon.open(&format!("round-{round}"));
        asked += 1;
        // Spread over the whole way of an opening, from before the pulse to after it.
        thread::sleep(Duration::from_millis(round * 149 % 700));
        daemon.kill();
        thread::sleep(Duration::from_millis(20));
    }
    let pulses = board.wait_pulses(1);
    longest = pulses.iter().copied().fold(longest, Duration::max);
    println!(
        "{kills} kills, {} pulses, longest {longest:?}",
        pulses.len()
    );
    assert!(pulses.len() <= asked);
    assert!(pulses.len() > asked / 3, "the daemon hardly ever opened");
    assert!(longest <= Duration::from_millis(500) + SLACK, "{longest:?}");
}
