//! The real drivers of relays and inputs against the pins of an emulated machine.
//!
//! `tests/pi/run` boots this in QEMU and judges what it prints: a line `ok` or `not ok` for each
//! check, and the plan at the end (the Test Anything Protocol). What a driver did is read from the
//! registers of the pin controller, by another program (busybox's `devmem`), not from the driver.
//!
//! It moves pins without asking, so it runs only where the kernel was started with the word
//! `menshen.pins=emulated`.

use std::error::Error;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gate::barrier::{BarrierEvent, Origin, PulseProfile};
use gate::driver::{BarrierConfig, BarrierThread, GuardProgram};
use gate::protocol::{
    Command as Order, Lines, PROTOCOL_VERSION, Relay, ReleaseReason, Report, line_of,
};
use gate::relay;
use gate::wiring::{Driver, InputsConfig, LineConfig, Pull, RelayConfig, Wiring};
use gate::{CauseId, Monotonic, safe_off};
use rustix::process::{Pid, Signal, kill_process};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long anything is waited for: an emulated processor beside other work is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints a line for each check.
#[derive(Default)]
struct Checks {
    made: u32,
    failed: u32,
}

impl Checks {
    fn that(&mut self, held: bool, what: &str) {
        self.made += 1;
        let said = if held { "ok" } else { "not ok" };
        self.failed += u32::from(!held);
        println!("{said} {} - {what}", self.made);
    }

    /// A group of checks; one that cannot go on is a failed check.
    fn group(&mut self, name: &str, checks: impl FnOnce(&mut Self) -> Outcome) {
        if let Err(why) = checks(self) {
            self.that(false, &format!("{name}: broken off: {why}"));
        }
    }
}

/// The pin controller as its registers show it.
#[derive(Clone, Copy)]
enum Controller {
    /// The Raspberry Pi's, up to the 3.
    Bcm2837,
    /// Arm's PL061 of QEMU's `virt` machine: eight lines.
    Pl061,
}

impl Controller {
    fn level(self, pin: u32) -> Outcome<bool> {
        Ok(match self {
            Self::Bcm2837 => register(0x3f20_0034, None)? >> pin & 1 == 1,
            Self::Pl061 => register(0x0903_0000 + (4 << pin), None)? != 0,
        })
    }

    fn is_output(self, pin: u32) -> Outcome<bool> {
        Ok(match self {
            Self::Bcm2837 => {
                register(0x3f20_0000 + 4 * (pin / 10), None)? >> (3 * (pin % 10)) & 7 == 1
            }
            Self::Pl061 => register(0x0903_0400, None)? >> pin & 1 == 1,
        })
    }

    /// Plays the outside of an input pin. The emulated Pi takes a level written for an input as
    /// the one that its wire has; a real one would not.
    fn drive(pin: u32, high: bool) -> Outcome {
        let set_or_clear = if high { 0x3f20_001c } else { 0x3f20_0028 };
        register(set_or_clear, Some(1 << pin))?;
        Ok(())
    }

    fn becomes(self, pin: u32, high: bool) -> Outcome<bool> {
        let began = Instant::now();
        while self.level(pin)? != high {
            if began.elapsed() > PATIENCE {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn drives(self, pin: u32, high: bool) -> Outcome<bool> {
        Ok(self.is_output(pin)? && self.level(pin)? == high)
    }
}

/// Reads or writes 32 bits of the machine.
fn register(address: u32, value: Option<u32>) -> Outcome<u32> {
    let mut devmem = Command::new("/bin/busybox");
    devmem.args(["devmem", &format!("{address:#x}"), "32"]);
    if let Some(value) = value {
        devmem.arg(format!("{value:#x}"));
    }
    let output = devmem.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("devmem {address:#x}: {}", output.status).into());
    }
    if value.is_some() {
        return Ok(0);
    }
    let text = String::from_utf8(output.stdout)?;
    let digits = text.trim().trim_start_matches("0x");
    Ok(u32::from_str_radix(digits, 16)?)
}

/// A relay guard as its own process, with its daemon played by this one.
struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
    reports: Receiver<Report>,
}

impl Guard {
    /// Starts one and waits until it is ready, or says why it is not.
    fn start(wiring: &Wiring) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("relay-guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take().ok_or("no pipe from the guard")?;
        let (said, reports) = channel();
        std::thread::spawn(move || {
            let mut lines = Lines::default();
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = std::io::Read::read(&mut stdout, &mut bytes) {
                for report in lines.feed(&bytes[..read]).into_iter().flatten() {
                    let _ = said.send(report);
                }
            }
        });
        let mut guard = Self {
            child,
            stdin,
            reports,
        };
        guard.say(&Order::Hello {
            version: PROTOCOL_VERSION,
            wiring: wiring.clone(),
        })?;
        match guard.reports.recv_timeout(PATIENCE)? {
            Report::Ready { .. } => Ok(guard),
            report => {
                guard.child.wait()?;
                Err(format!("{report:?}").into())
            }
        }
    }

    fn say(&mut self, order: &Order) -> Outcome {
        let stdin = self.stdin.as_mut().ok_or("the pipe is closed")?;
        Ok(stdin.write_all(&line_of(order)?)?)
    }

    /// Orders a pulse and waits until the relay is energised; when it was ordered.
    fn pulse(&mut self, cause: &str, ms: u64) -> Outcome<Monotonic> {
        let ordered = Monotonic::read();
        self.say(&Order::Pulse {
            cause: CauseId::new(cause)?,
            relay: Relay::Open,
            ms,
        })?;
        self.until(false, |report| {
            matches!(report, Report::Energised { .. }).then_some(())
        })?;
        Ok(ordered)
    }

    /// Waits for a release: when, and why.
    fn released(&mut self, beating: bool) -> Outcome<(Monotonic, ReleaseReason)> {
        self.until(beating, |report| match report {
            Report::Released { at_ns, why, .. } => Some((*at_ns, *why)),
            _ => None,
        })
    }

    /// Waits for a report, as a daemon that beats or as one that has stalled.
    fn until<T>(
        &mut self,
        beating: bool,
        mut found: impl FnMut(&Report) -> Option<T>,
    ) -> Outcome<T> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if beating {
                self.say(&Order::Beat)?;
            }
            if let Ok(report) = self.reports.recv_timeout(Duration::from_millis(100))
                && let Some(found) = found(&report)
            {
                return Ok(found);
            }
        }
        Err("the guard did not say what was waited for".into())
    }

    fn signal(&self, signal: Signal) -> Outcome {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    fn wait(&mut self) -> Outcome {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One driver on one machine.
#[derive(Clone, Copy)]
struct Bench {
    name: &'static str,
    driver: Driver,
    controller: Controller,
    /// What becomes of the line when its holder has gone.
    afterwards: Afterwards,
}

/// What becomes of a line when nobody holds it any more.
#[derive(Clone, Copy, PartialEq)]
enum Afterwards {
    /// It stays an output at its last level.
    Stays,
    /// The kernel makes it an input.
    Input,
}

impl Bench {
    fn wiring(self, pin: u32, active_low: bool) -> Outcome<Wiring> {
        self.with_inputs(pin, active_low, &InputsConfig::default())
    }

    fn with_inputs(self, pin: u32, active_low: bool, inputs: &InputsConfig) -> Outcome<Wiring> {
        let relay = RelayConfig {
            driver: self.driver,
            line: Some(pin),
            active_low: Some(active_low),
            ..RelayConfig::default()
        };
        Ok(Wiring::new(&relay, inputs)?)
    }

    /// Energised, released, and let go, with either polarity.
    fn levels(self, checks: &mut Checks, pin: u32, active_low: bool) -> Outcome {
        let Self {
            name, controller, ..
        } = self;
        let kind = if active_low {
            "active-low"
        } else {
            "active-high"
        };
        let wiring = self.wiring(pin, active_low)?;
        checks.that(
            !controller.is_output(pin)?,
            &format!("{name}: pin {pin} is an input until a port is opened"),
        );
        let mut port = relay::open(&wiring)?;
        checks.that(
            controller.drives(pin, active_low)?,
            &format!("{name}: an opened {kind} relay is driven, and inactive"),
        );
        let mut followed = true;
        for energised in [true, false, true, true, false] {
            port.set(Relay::Open, energised)?;
            followed &= controller.drives(pin, energised != active_low)?;
        }
        checks.that(
            followed,
            &format!("{name}: the pin of an {kind} relay follows"),
        );
        port.set(Relay::Open, true)?;
        port.release_all()?;
        checks.that(
            controller.drives(pin, active_low)?,
            &format!("{name}: releasing everything makes an {kind} relay inactive"),
        );
        let second = relay::open(&wiring).err().map(|why| why.to_string());
        checks.that(
            second.is_some_and(|why| why.contains(&pin.to_string())),
            &format!("{name}: a held line is refused to a second port, by its number"),
        );
        checks.that(
            controller.drives(pin, active_low)?,
            &format!("{name}: the refused port moved nothing"),
        );
        drop(port);
        let (left, how) = match self.afterwards {
            Afterwards::Stays => (
                controller.drives(pin, active_low)?,
                "stays an inactive output",
            ),
            Afterwards::Input => (!controller.is_output(pin)?, "becomes an input again"),
        };
        checks.that(left, &format!("{name}: the pin of a closed port {how}"));
        let reopened = relay::open(&wiring);
        checks.that(
            reopened.is_ok() && controller.drives(pin, active_low)?,
            &format!("{name}: a closed port's line can be opened again, inactive"),
        );
        Ok(())
    }

    /// Two relays of two barriers do not move each other.
    fn two_lines(self, checks: &mut Checks, first: u32, second: u32) -> Outcome {
        let mut ports = [
            relay::open(&self.wiring(first, false)?)?,
            relay::open(&self.wiring(second, true)?)?,
        ];
        let mut independent = true;
        for (moved, energised) in [
            (0, true),
            (1, true),
            (0, false),
            (0, true),
            (1, false),
            (0, false),
        ] {
            let other = self.controller.level([second, first][moved])?;
            ports[moved].set(Relay::Open, energised)?;
            let level = energised != (moved == 1);
            independent &= self.controller.drives([first, second][moved], level)?;
            independent &= self.controller.level([second, first][moved])? == other;
        }
        checks.that(
            independent,
            &format!("{}: lines {first} and {second} move alone", self.name),
        );
        Ok(())
    }

    /// The relay guard as a process: bounds, silence, and every way in which it can end.
    fn guard(self, checks: &mut Checks, pin: u32, active_low: bool) -> Outcome {
        let Self {
            name, controller, ..
        } = self;
        let wiring = self.wiring(pin, active_low)?;
        let on = !active_low;
        let mut guard = Guard::start(&wiring)?;
        checks.that(
            controller.drives(pin, !on)?,
            &format!("{name}: a relay guard that is ready holds the relay inactive"),
        );

        for (cause, asked, least, most) in
            [("long", 30_000, 1_000, 6_000), ("short", 1, 200, 6_000)]
        {
            let ordered = guard.pulse(cause, asked)?;
            let seen = asked < 1_000 || controller.becomes(pin, on)?;
            let (released, why) = guard.released(true)?;
            let lasted = released.since(ordered);
            checks.that(
                seen && why == ReleaseReason::Done
                    && lasted >= Duration::from_millis(least)
                    && lasted < Duration::from_millis(most)
                    && controller.drives(pin, !on)?,
                &format!("{name}: a pulse of {asked} ms lasts {least} ms"),
            );
            println!(
                "# {name}: asked for {asked} ms, released after {} ms",
                lasted.as_millis()
            );
        }

        let ordered = guard.pulse("silent", 1_000)?;
        let (released, why) = guard.released(false)?;
        checks.that(
            why == ReleaseReason::Silence
                && released.since(ordered) >= Duration::from_millis(500)
                && controller.drives(pin, !on)?,
            &format!("{name}: a silent daemon's pulse is released"),
        );

        guard.pulse("closed", 1_000)?;
        guard.stdin = None;
        let (_, why) = guard.released(false)?;
        guard.wait()?;
        checks.that(
            why == ReleaseReason::Ending && self.let_go(pin, !on)?,
            &format!("{name}: a closed pipe releases the relay and ends the guard"),
        );

        for (signal, word) in [(Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP")] {
            let mut guard = Guard::start(&wiring)?;
            guard.pulse(word, 1_000)?;
            guard.signal(signal)?;
            let (_, why) = guard.released(false)?;
            guard.wait()?;
            checks.that(
                why == ReleaseReason::Ending && self.let_go(pin, !on)?,
                &format!("{name}: {word} releases the relay and ends the guard"),
            );
        }

        let mut guard = Guard::start(&wiring)?;
        guard.pulse("killed", 1_000)?;
        guard.signal(Signal::KILL)?;
        guard.wait()?;
        let (left, how) = match self.afterwards {
            Afterwards::Stays => (controller.drives(pin, on)?, "leaves its pulse on the pin"),
            Afterwards::Input => (
                !controller.is_output(pin)?,
                "leaves the pin to the kernel, which makes it an input",
            ),
        };
        checks.that(left, &format!("{name}: a guard that is killed {how}"));
        safe_off(&wiring)?;
        if self.afterwards == Afterwards::Stays {
            checks.that(
                controller.drives(pin, !on)?,
                &format!("{name}: safe-off releases what a killed guard left"),
            );
        }

        let mut guard = Guard::start(&wiring)?;
        guard.pulse("before", 1_000)?;
        guard.signal(Signal::KILL)?;
        guard.wait()?;
        let _successor = Guard::start(&wiring)?;
        checks.that(
            controller.drives(pin, !on)?,
            &format!("{name}: the successor of a killed guard releases first"),
        );
        Ok(())
    }

    /// The pin after an orderly end.
    fn let_go(self, pin: u32, inactive: bool) -> Outcome<bool> {
        match self.afterwards {
            Afterwards::Stays => self.controller.drives(pin, inactive),
            Afterwards::Input => Ok(!self.controller.is_output(pin)?),
        }
    }

    /// A line that one process holds is not given to another.
    fn claimed_by_another_process(self, checks: &mut Checks, pin: u32) -> Outcome {
        let wiring = self.wiring(pin, false)?;
        let holder = Guard::start(&wiring)?;
        let refused = Guard::start(&wiring).is_err();
        let safe_off_refused = safe_off(&wiring).is_err();
        drop(holder);
        let (as_known, what) = match self.driver {
            // A limit of the driver that docs/wiring tells of; should it end, that must change.
            Driver::Rppal => (
                !refused && !safe_off_refused,
                "is not refused to another process",
            ),
            _ => (
                refused && safe_off_refused,
                "is refused to another process, and to safe-off",
            ),
        };
        checks.that(as_known, &format!("{}: a held line {what}", self.name));
        Ok(())
    }

    /// Contacts between pin and ground, and between pin and supply.
    fn inputs(self, checks: &mut Checks, relay: u32, up: u32, down: u32) -> Outcome {
        let inputs = InputsConfig {
            guard_button: Some(LineConfig {
                line: Some(up),
                ..LineConfig::default()
            }),
            fire: Some(LineConfig {
                line: Some(down),
                pull: Pull::Down,
                ..LineConfig::default()
            }),
            ..InputsConfig::default()
        };
        let mut port = relay::open(&self.with_inputs(relay, false, &inputs)?)?;
        let mut read = Vec::new();
        for (first, second) in [(true, false), (false, false), (false, true), (true, true)] {
            Controller::drive(up, first)?;
            Controller::drive(down, second)?;
            read.push(port.read_contacts()?);
        }
        checks.that(
            read == [[false, false], [true, false], [true, true], [false, true]],
            &format!(
                "{}: contacts to ground and to the supply are read",
                self.name
            ),
        );
        checks.that(
            !self.controller.is_output(up)? && !self.controller.is_output(down)?,
            &format!("{}: the pins of contacts are inputs", self.name),
        );
        Ok(())
    }

    /// A whole barrier: the guard's button is pressed, a pulse comes; an opening that was asked
    /// for comes too.
    fn barrier(self, checks: &mut Checks, relay: u32, button: u32) -> Outcome {
        let inputs = InputsConfig {
            guard_button: Some(LineConfig {
                line: Some(button),
                ..LineConfig::default()
            }),
            ..InputsConfig::default()
        };
        Controller::drive(button, true)?;
        let (events, told) = channel();
        let handle = BarrierThread::start(
            BarrierConfig {
                name: "pins".to_owned(),
                profile: PulseProfile::default(),
                wiring: self.with_inputs(relay, false, &inputs)?,
                guard: GuardProgram {
                    exe: std::env::current_exe()?,
                    args: vec!["relay-guard".into()],
                },
            },
            events,
        )?;
        let wait = |wanted: &str, found: fn(&BarrierEvent) -> bool| -> Outcome {
            let began = Instant::now();
            while began.elapsed() < PATIENCE {
                if told.recv_timeout(PATIENCE).is_ok_and(|event| found(&event)) {
                    return Ok(());
                }
            }
            Err(format!("the barrier did not tell of {wanted}").into())
        };
        let level = |event: &BarrierEvent| matches!(event, BarrierEvent::LineChanged { .. });
        wait("the button's level", level)?;
        handle.open(CauseId::new("asked")?, Origin::Automatic)?;
        let rose = self.controller.becomes(relay, true)?;
        let fell = self.controller.becomes(relay, false)?;
        checks.that(
            rose && fell,
            &format!(
                "{}: a whole barrier gives one pulse when it is asked",
                self.name
            ),
        );
        sleep(PulseProfile::default().repeat_gap);
        Controller::drive(button, false)?;
        let rose = self.controller.becomes(relay, true)?;
        Controller::drive(button, true)?;
        let fell = self.controller.becomes(relay, false)?;
        checks.that(
            rose && fell,
            &format!("{}: and one when its button is pressed", self.name),
        );
        handle.shutdown();
        Ok(())
    }
}

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().collect();
    let machine = args.get(1).map_or("", String::as_str);
    if machine == "relay-guard" {
        return Ok(gate::relay_guard::run(std::io::stdin(), std::io::stdout())?);
    }
    if !std::fs::read_to_string("/proc/cmdline")?.contains("menshen.pins=emulated") {
        return Err("this drives pins; it runs only in the machine that tests/pi/run boots".into());
    }
    let mut checks = Checks::default();
    // The kernel may be in the middle of a line of its own.
    println!();
    match machine {
        "raspi3b" => raspi3b(&mut checks),
        "virt" => virt(&mut checks),
        _ => return Err("usage: pi-pins raspi3b | virt".into()),
    }
    println!("1..{}", checks.made);
    if checks.failed > 0 {
        return Err(format!("{} checks failed", checks.failed).into());
    }
    Ok(())
}

fn raspi3b(checks: &mut Checks) {
    let chip = Bench {
        name: "gpiochip",
        driver: Driver::Gpiochip,
        controller: Controller::Bcm2837,
        afterwards: Afterwards::Input,
    };
    let header = Bench {
        name: "rppal",
        driver: Driver::Rppal,
        afterwards: Afterwards::Stays,
        ..chip
    };
    for (bench, high, low) in [(chip, 17, 5), (header, 27, 6)] {
        checks.group("levels", |checks| bench.levels(checks, high, false));
        checks.group("levels", |checks| bench.levels(checks, low, true));
        checks.group("two lines", |checks| bench.two_lines(checks, high, low));
        checks.group("guard", |checks| bench.guard(checks, high, false));
        checks.group("guard", |checks| bench.guard(checks, low, true));
        checks.group("claims", |checks| {
            bench.claimed_by_another_process(checks, high)
        });
        checks.group("inputs", |checks| bench.inputs(checks, high, 22, 23));
        checks.group("barrier", |checks| bench.barrier(checks, high, 24));
    }
}

/// No Pi, but another controller behind the same kernel interface.
fn virt(checks: &mut Checks) {
    let bench = Bench {
        name: "PL061",
        driver: Driver::Gpiochip,
        controller: Controller::Pl061,
        afterwards: Afterwards::Stays,
    };
    checks.group("levels", |checks| bench.levels(checks, 0, false));
    checks.group("levels", |checks| bench.levels(checks, 1, true));
    checks.group("two lines", |checks| bench.two_lines(checks, 0, 1));
    checks.group("guard", |checks| bench.guard(checks, 0, false));
    checks.group("claims", |checks| {
        bench.claimed_by_another_process(checks, 0)
    });
}
