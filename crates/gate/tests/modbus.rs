//! Modbus boards as doubles that speak the bytes, on a pseudo-terminal and over TCP: boards
//! that work, that answer late, wrongly, by half or not at all, and that come back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gate::CauseId;
use gate::barrier::{BarrierEvent, Origin, PulseProfile};
use gate::driver::{BarrierConfig, BarrierThread, GuardProgram};
use gate::line::Line;
use gate::protocol::Relay;
use gate::relay::{self, PortError, RelayPort};
use gate::safe_off;
use gate::wiring::{Driver, InputsConfig, Level, LineConfig, RelayConfig, Wiring};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// What a port may take for one switching, with the slack of a loaded machine.
const BOUND: Duration = Duration::from_millis(200 + 250);
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a board babbles without a pause.
const BABBLE: Duration = Duration::from_millis(700);
const UNIT: u8 = 7;

/// How a board behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Late(u64),
    Damaged,
    Refuses(u8),
    NoReadBack,
    Half,
    Silent,
    Foreign,
    OtherUnit,
    /// Answers well and leaves its relays as they are.
    Stuck,
    /// Gives back what it hears, as an adapter does.
    Echoes,
    /// Another unit's answer again and again.
    Babbles,
    /// Ends a TCP connection instead of answering.
    HangsUp,
    /// Does so once, as a board does whose connection has stood idle.
    HangsUpOnce,
}

struct Board {
    coils: [bool; 64],
    inputs: [bool; 64],
    mood: Mood,
    releases_at: Option<Instant>,
    /// Every write: address and value.
    writes: Vec<(u16, u16)>,
    longest: Duration,
    on_since: Option<Instant>,
}

impl Board {
    fn keep_time(&mut self) {
        if self.releases_at.is_some_and(|at| Instant::now() >= at) {
            self.releases_at = None;
            self.switch(0, false);
        }
    }

    fn switch(&mut self, at: usize, on: bool) {
        if self.mood == Mood::Stuck {
            return;
        }
        if at == 0 && on {
            self.on_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.on_since.take().filter(|_| at == 0) {
            self.longest = self.longest.max(since.elapsed());
        }
        self.coils[at] = on;
    }

    fn answer(&mut self, request: [u8; 5]) -> Vec<u8> {
        self.keep_time();
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let (address, value) = (word(1), word(3));
        if let Mood::Refuses(code) = self.mood {
            return vec![request[0] | 0x80, code];
        }
        let bits = match request[0] {
            1 if self.mood == Mood::NoReadBack => return vec![0x81, 1],
            1 => self.coils,
            2 => self.inputs,
            5 => {
                self.writes.push((address, value));
                if address < 0x0200 {
                    self.switch(usize::from(address), value == 0xFF00);
                    self.releases_at = None;
                } else {
                    self.switch(usize::from(address - 0x0200), true);
                    let span = Duration::from_millis(u64::from(value) * 100);
                    self.releases_at = Some(Instant::now() + span);
                }
                return request.to_vec();
            }
            other => panic!("function {other}"),
        };
        assert_eq!((address, value % 8), (0, 0), "reads are whole bytes from 0");
        let mut answer = vec![request[0], (value / 8) as u8];
        answer.extend(bits[..usize::from(value)].chunks(8).map(|bits| {
            bits.iter()
                .enumerate()
                .fold(0, |byte, (at, on)| byte | u8::from(*on) << at)
        }));
        answer
    }
}

/// CRC-16 as the standard describes it, bit by bit, high to low.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut register = 0xFFFF_u16;
    for byte in bytes {
        for bit in 0..8 {
            let feedback = (register ^ u16::from(byte >> bit)) & 1;
            register = (register >> 1) ^ (feedback * 0xA001);
        }
    }
    register.to_le_bytes()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Rtu,
    Tcp,
}

struct Double {
    kind: Kind,
    host: Option<String>,
    tty: Option<PathBuf>,
    board: Arc<Mutex<Board>>,
    /// Keeps the pseudo-terminal open, so that the board's reads do not fail between two ports.
    peer: Option<File>,
    /// The board's end of it.
    line: Option<File>,
}

impl Double {
    fn new(kind: Kind) -> Self {
        let board = Arc::new(Mutex::new(Board {
            coils: [true; 64],
            inputs: [false; 64],
            mood: Mood::Well,
            releases_at: None,
            writes: Vec::new(),
            longest: Duration::ZERO,
            on_since: None,
        }));
        let mut double = Self {
            kind,
            host: None,
            tty: None,
            board: Arc::clone(&board),
            peer: None,
            line: None,
        };
        match kind {
            Kind::Rtu => {
                let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
                grantpt(&master).unwrap();
                unlockpt(&master).unwrap();
                let path = ptsname(&master, Vec::new()).unwrap();
                let path = PathBuf::from(path.into_string().unwrap());
                double.peer = Some(File::options().read(true).write(true).open(&path).unwrap());
                double.tty = Some(path);
                let line = File::from(master);
                double.line = Some(line.try_clone().unwrap());
                thread::spawn(move || rtu(&line, &board));
            }
            Kind::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                double.host = Some(listener.local_addr().unwrap().to_string());
                thread::spawn(move || {
                    for stream in listener.incoming() {
                        let board = Arc::clone(&board);
                        thread::spawn(move || tcp(&stream.unwrap(), &board));
                    }
                });
            }
        }
        double
    }

    fn wiring(&self, flash: bool, inputs: &InputsConfig) -> Wiring {
        let relay = RelayConfig {
            driver: Driver::Modbus,
            port: self.tty.clone(),
            // A pseudo-terminal has no speed; the gap between frames is then the shortest.
            baud: self.tty.as_ref().map(|_| 115_200),
            host: self.host.clone(),
            unit: Some(UNIT),
            flash: Some(flash),
            ..RelayConfig::default()
        };
        Wiring::new(&relay, inputs).unwrap()
    }

    fn open(&self) -> Result<Box<dyn RelayPort>, PortError> {
        relay::open(&self.wiring(false, &InputsConfig::default()))
    }

    fn mood(&self, mood: Mood) {
        self.board.lock().unwrap().mood = mood;
    }

    fn is_on(&self) -> bool {
        let mut board = self.board.lock().unwrap();
        board.keep_time();
        board.coils[0]
    }

    fn writes(&self) -> Vec<(u16, u16)> {
        self.board.lock().unwrap().writes.clone()
    }
}

/// Serves a serial line until it is closed.
fn rtu(mut line: &File, board: &Mutex<Board>) {
    let mut frame = [0_u8; 8];
    while line.read_exact(&mut frame).is_ok() {
        assert_eq!(frame[6..], crc(&frame[..6]));
        assert_eq!(frame[0], UNIT);
        let (mood, mut answer) = {
            let mut board = board.lock().unwrap();
            let request = frame[1..6].try_into().unwrap();
            let mut answer = vec![UNIT];
            let mood = board.mood;
            if mood != Mood::Echoes {
                answer.extend(board.answer(request));
            }
            (mood, answer)
        };
        if matches!(mood, Mood::OtherUnit | Mood::Babbles) {
            answer[0] += 1;
        }
        answer.extend(crc(&answer));
        match mood {
            Mood::Late(millis) => thread::sleep(Duration::from_millis(millis)),
            Mood::Damaged => answer[2] ^= 0x10,
            Mood::Half => answer.truncate(answer.len() / 2),
            Mood::Silent | Mood::HangsUp | Mood::HangsUpOnce => answer.clear(),
            Mood::Foreign => answer = b"login: ".to_vec(),
            Mood::Echoes => answer = frame.to_vec(),
            _ => {}
        }
        line.write_all(&answer).unwrap();
        let began = Instant::now();
        while mood == Mood::Babbles && began.elapsed() < BABBLE {
            line.write_all(&answer).unwrap();
        }
    }
}

/// Serves a connection until it is closed.
fn tcp(mut line: &TcpStream, board: &Mutex<Board>) {
    let mut frame = [0_u8; 12];
    while line.read_exact(&mut frame).is_ok() {
        assert_eq!(frame[2..7], [0, 0, 0, 6, UNIT]);
        let (mood, body) = {
            let mut board = board.lock().unwrap();
            let request = frame[7..12].try_into().unwrap();
            let mood = board.mood;
            let body = match mood {
                Mood::Echoes => Vec::new(),
                _ => board.answer(request),
            };
            (mood, body)
        };
        let mut answer = frame[..4].to_vec();
        answer.extend([0, body.len() as u8 + 1, UNIT]);
        answer.extend(body);
        match mood {
            Mood::HangsUp => return,
            Mood::HangsUpOnce => {
                board.lock().unwrap().mood = Mood::Well;
                return;
            }
            Mood::OtherUnit | Mood::Babbles => answer[6] += 1,
            Mood::Late(millis) => thread::sleep(Duration::from_millis(millis)),
            // TCP lets no damage through; a header of another protocol is what may come.
            Mood::Damaged => answer[2] ^= 0x10,
            Mood::Half => answer.truncate(answer.len() / 2),
            Mood::Silent => answer.clear(),
            Mood::Foreign => answer = b"login: ".to_vec(),
            Mood::Echoes => answer = frame.to_vec(),
            _ => {}
        }
        let began = Instant::now();
        loop {
            if line.write_all(&answer).is_err() {
                return;
            }
            if mood != Mood::Babbles || began.elapsed() > BABBLE {
                break;
            }
        }
    }
}

fn both(test: impl Fn(Double)) {
    for kind in [Kind::Rtu, Kind::Tcp] {
        println!("{kind:?}");
        test(Double::new(kind));
    }
}

/// The words of a switching that must fail within its bound.
fn fails(port: &mut dyn RelayPort, energised: bool) -> String {
    let began = Instant::now();
    let why = port.set(Relay::Open, energised).unwrap_err().to_string();
    assert!(began.elapsed() < BOUND, "{:?}: {why}", began.elapsed());
    why
}

#[test]
fn the_first_thing_an_opened_board_hears_is_the_release() {
    both(|double| {
        assert!(double.is_on());
        let mut port = double.open().unwrap();
        assert_eq!(double.writes(), [(0, 0)]);
        assert!(!double.is_on());
        port.set(Relay::Open, true).unwrap();
        assert!(double.is_on());
        port.release_all().unwrap();
        assert!(!double.is_on());
        assert_eq!(double.writes(), [(0, 0), (0, 0xFF00), (0, 0)]);
        assert_eq!(port.read_contacts().unwrap(), Vec::<bool>::new());
        drop(port);
        double.board.lock().unwrap().coils[0] = true;
        safe_off(&double.wiring(false, &InputsConfig::default())).unwrap();
        assert!(!double.is_on());
    });
}

#[test]
fn what_a_board_does_wrongly_is_an_error_in_bounded_time_and_passes() {
    both(|double| {
        let mut port = double.open().unwrap();
        let damaged = match double.kind {
            Kind::Rtu => "CRC is wrong",
            Kind::Tcp => "not Modbus",
        };
        for (mood, words) in [
            (Mood::Silent, "no answer in time"),
            (Mood::Late(400), "no answer in time"),
            (Mood::Half, "bytes of an answer came"),
            (Mood::Damaged, damaged),
            (Mood::Foreign, "not Modbus"),
            (Mood::OtherUnit, "unit 8 answers"),
            (Mood::Babbles, ""),
            (Mood::Refuses(2), "no such relay"),
            (Mood::Refuses(6), "it is busy"),
        ] {
            double.mood(mood);
            for energised in [true, false] {
                let why = fails(&mut *port, energised);
                assert!(why.contains(words), "{mood:?}: {why}");
                assert!(why.contains("unit 7 relay 1"), "{why}");
            }
            double.mood(Mood::Well);
            // A board that lags still answers what was asked before.
            let began = Instant::now();
            while port.release_all().is_err() {
                assert!(began.elapsed() < PATIENCE, "{mood:?} does not pass");
            }
            port.set(Relay::Open, true).unwrap();
            assert!(double.is_on(), "{mood:?}");
            port.release_all().unwrap();
            assert!(!double.is_on(), "{mood:?}");
        }
    });
}

#[test]
fn a_board_that_is_slow_but_in_time_works() {
    both(|double| {
        double.mood(Mood::Late(60));
        let mut port = double.open().unwrap();
        port.set(Relay::Open, true).unwrap();
        assert!(double.is_on());
    });
}

/// What a board said unasked, at its start for example, is no part of an answer.
#[test]
fn stale_bytes_are_thrown_away() {
    let double = Double::new(Kind::Rtu);
    let mut port = double.open().unwrap();
    let mut line = double.line.as_ref().unwrap();
    for stale in [&b"\x07"[..], b"ready\r\n", &[UNIT, 5, 0, 0, 0xFF]] {
        line.write_all(stale).unwrap();
        thread::sleep(Duration::from_millis(20));
        port.set(Relay::Open, true).unwrap();
        port.release_all().unwrap();
    }
}

#[test]
fn what_the_board_says_of_its_relay_is_believed_over_its_echo() {
    both(|double| {
        let mut port = double.open().unwrap();
        double.mood(Mood::Stuck);
        let why = fails(&mut *port, true);
        assert!(why.contains("says that the relay is not so"), "{why}");
        double.mood(Mood::Echoes);
        fails(&mut *port, true);
        double.mood(Mood::NoReadBack);
        port.set(Relay::Open, true).unwrap();
        assert!(double.is_on());
        port.release_all().unwrap();
        assert!(!double.is_on());
    });
    both(|double| {
        double.mood(Mood::Echoes);
        assert!(double.open().is_err(), "an adapter alone is no board");
    });
}

#[test]
fn a_board_that_flashes_releases_by_itself() {
    both(|double| {
        let mut port = relay::open(&double.wiring(true, &InputsConfig::default())).unwrap();
        port.set(Relay::Open, true).unwrap();
        assert_eq!(double.writes().last(), Some(&(0x0200, 10)));
        assert!(double.is_on());
        port.release_all().unwrap();
        assert!(!double.is_on());
        port.set(Relay::Open, true).unwrap();
        double.mood(Mood::Silent);
        let began = Instant::now();
        while double.is_on() {
            assert!(began.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(5));
        }
        assert!(began.elapsed() > Duration::from_millis(800));
    });
}

fn inputs() -> InputsConfig {
    let input = |line| LineConfig {
        line: Some(line),
        ..LineConfig::default()
    };
    InputsConfig {
        guard_button: Some(input(1)),
        fire: Some(LineConfig {
            closed_reads: Some(Level::Low),
            ..input(12)
        }),
        stop: Some(input(3)),
        ..InputsConfig::default()
    }
}

#[test]
fn inputs_are_read_and_one_lost_answer_breaks_nothing_off() {
    both(|double| {
        let mut port = relay::open(&double.wiring(false, &inputs())).unwrap();
        // The button, fire (which reads the other way round), STOP.
        assert_eq!(port.read_contacts().unwrap(), [false, true, false]);
        let input = |at: usize, on| double.board.lock().unwrap().inputs[at] = on;
        input(0, true);
        input(11, true);
        thread::sleep(Duration::from_millis(30));
        assert_eq!(port.read_contacts().unwrap(), [true, false, false]);
        double.mood(Mood::Damaged);
        thread::sleep(Duration::from_millis(30));
        input(2, true);
        assert_eq!(port.read_contacts().unwrap(), [true, false, false]);
        double.mood(Mood::Well);
        thread::sleep(Duration::from_millis(30));
        assert_eq!(port.read_contacts().unwrap(), [true, false, true]);
        double.mood(Mood::Silent);
        let began = Instant::now();
        let why = loop {
            match port.read_contacts() {
                Ok(_) if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(5)),
                Ok(_) => panic!("silence is taken for levels"),
                Err(why) => break why.to_string(),
            }
        };
        assert!(why.contains("reading the inputs"), "{why}");
        assert!(
            began.elapsed() < Duration::from_millis(500 + 250),
            "{:?}",
            began.elapsed()
        );
        assert!(port.read_contacts().is_err(), "old levels are no levels");
    });
}

#[test]
fn an_input_that_the_board_lacks_is_told_at_the_first_reading() {
    both(|double| {
        let mut port = relay::open(&double.wiring(false, &inputs())).unwrap();
        double.mood(Mood::Refuses(2));
        let why = port.read_contacts().unwrap_err().to_string();
        assert!(why.contains("no such relay or input"), "{why}");
    });
}

#[test]
fn a_connection_that_ended_is_made_again() {
    let double = Double::new(Kind::Tcp);
    let mut port = double.open().unwrap();
    // A new connection that is hung up on is not tried for ever.
    double.mood(Mood::HangsUp);
    let why = fails(&mut *port, true);
    assert!(why.contains("connection closed"), "{why}");
    double.mood(Mood::Well);
    for _ in 0..3 {
        port.set(Relay::Open, true).unwrap();
        double.mood(Mood::HangsUpOnce);
        port.release_all().unwrap();
        assert!(!double.is_on());
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let absent = Double {
        host: Some(gone.to_string()),
        ..double
    };
    let why = absent.open().err().unwrap().to_string();
    assert!(why.contains("connecting"), "{why}");
}

struct Barrier {
    handle: gate::driver::BarrierHandle,
    events: Receiver<BarrierEvent>,
}

impl Barrier {
    fn start(double: &Double, flash: bool) -> Self {
        let (sender, events) = channel();
        let handle = BarrierThread::start(
            BarrierConfig {
                name: "modbus".to_owned(),
                profile: PulseProfile::default(),
                wiring: double.wiring(flash, &inputs()),
                guard: GuardProgram {
                    exe: env!("CARGO_BIN_EXE_gate-alone").into(),
                    args: vec!["relay-guard".into()],
                },
            },
            sender,
        )
        .unwrap();
        let barrier = Self { handle, events };
        barrier.wait_for("ready", |event| *event == BarrierEvent::RelayGuardReady);
        barrier
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&BarrierEvent) -> bool) {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) if wanted(&event) => return,
                Ok(_) => {}
                Err(why) => panic!("waited in vain for {what}: {why}"),
            }
        }
    }
}

/// A board whose inputs are at rest: fire's contact reads 1, STOP's and the button's 0.
fn at_rest(kind: Kind) -> Double {
    let double = Double::new(kind);
    double.board.lock().unwrap().inputs[11] = true;
    double
}

#[test]
fn a_relay_guard_pulses_a_board_and_reads_its_inputs() {
    both(|double| {
        let double = at_rest(double.kind);
        let barrier = Barrier::start(&double, double.kind == Kind::Rtu);
        barrier.wait_for("STOP at rest", |event| {
            matches!(
                event,
                BarrierEvent::LineChanged {
                    line: Line::Stop,
                    active: false,
                    ..
                }
            )
        });
        let cause = CauseId::new("car").unwrap();
        barrier.handle.open(cause, Origin::Automatic).unwrap();
        barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }));
        barrier.wait_for("released", |e| matches!(e, BarrierEvent::Released { .. }));
        assert!(!double.is_on());
        let longest = double.board.lock().unwrap().longest;
        let slack = Duration::from_millis(400);
        assert!(longest >= Duration::from_millis(400), "{longest:?}");
        assert!(longest <= Duration::from_millis(500) + slack, "{longest:?}");
        double.board.lock().unwrap().inputs[0] = true;
        barrier.wait_for("the guard's opening", |event| {
            matches!(
                event,
                BarrierEvent::OpeningStarted {
                    origin: Origin::Guard,
                    ..
                }
            )
        });
        barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }));
        double.board.lock().unwrap().inputs[2] = true;
        barrier.wait_for("released", |e| matches!(e, BarrierEvent::Released { .. }));
        barrier.handle.shutdown();
        assert!(!double.is_on());
    });
}

/// The guard cannot reach the relay, says so, and its successor's first word is the release.
#[test]
fn a_board_that_falls_silent_in_a_pulse_is_told_of_and_released_when_it_is_back() {
    both(|double| {
        let double = at_rest(double.kind);
        let barrier = Barrier::start(&double, false);
        let cause = CauseId::new("car").unwrap();
        barrier.wait_for("STOP at rest", |event| {
            matches!(
                event,
                BarrierEvent::LineChanged {
                    line: Line::Stop,
                    active: false,
                    ..
                }
            )
        });
        barrier.handle.open(cause, Origin::Automatic).unwrap();
        barrier.wait_for("energised", |e| matches!(e, BarrierEvent::Energised { .. }));
        double.mood(Mood::Silent);
        barrier.wait_for("the loss", |event| {
            matches!(event, BarrierEvent::RelayGuardLost { .. })
        });
        double.board.lock().unwrap().coils[0] = true;
        double.mood(Mood::Well);
        barrier.wait_for("ready", |event| *event == BarrierEvent::RelayGuardReady);
        assert!(!double.is_on());
        barrier.handle.shutdown();
    });
}
