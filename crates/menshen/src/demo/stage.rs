//! The stage: broker, gate and street, and what happens on it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use domain::{Decision, Entry, Event, PassageRecord, PlateNumber};
use gate::line::Line;
use gate::relay::simulated::write_inputs;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use sim::boom::{Boom, Timing};
use sim::broker::{Broker, Watch};
use sim::street::{Event as StreetEvent, Painter, Script, Street};

use super::DemoArgs;
use super::expect::Rule;
use super::view::View;

/// Anything that stops the demo.
type Failure = Box<dyn std::error::Error>;

/// The site, device and lane that the demo's configuration names.
const ROOT: &str = "menshen/demo/gate";
/// Frames a second.
const RATE: u32 = 10;
/// How long the gate may take to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long the last passage may take to reach the broker.
const LAST_WITHIN: Duration = Duration::from_secs(12);

/// One vehicle of the scene, what it should get and what it got.
pub(crate) struct Visit {
    /// What its plate says.
    pub(crate) plate: PlateNumber,
    /// What it is to the compound.
    pub(crate) role: &'static str,
    /// By rule from the registry file.
    pub(crate) expected: Decision,
    /// When it came, and when the next one did.
    pub(crate) window: (Timestamp, Timestamp),
    /// Whether the boom let it through.
    pub(crate) went_in: bool,
    /// Its passages as the broker received them.
    pub(crate) passages: Vec<PassageRecord>,
}

/// A played scene.
pub(crate) struct Played {
    /// Its seed.
    pub(crate) seed: u64,
    /// Its vehicles in order.
    pub(crate) visits: Vec<Visit>,
    /// Passages that belong to no vehicle.
    pub(crate) stray: Vec<PassageRecord>,
}

/// What the broker received of an entry; the rest of the envelope is for others.
#[derive(Deserialize)]
struct Envelope {
    late: bool,
    data: Entry,
}

/// Plays one scene to its end.
pub(crate) fn play(seed: u64, args: &DemoArgs) -> Result<Played, Failure> {
    let folder = tempfile::Builder::new().prefix("menshen-demo-").tempdir()?;
    let today = Timestamp::now()
        .to_zoned_datetime(TimeZone::get("Asia/Shanghai")?)
        .date();
    let script = Script::generate(seed, today);
    let csv = script.registry_csv(args.swap);
    let rule = Rule::new(&csv, today)?;
    let mut broker = Broker::start()?;
    let watch = broker
        .watch()
        .ok_or("the demo's broker is watched already")?;
    let files = Files::new(folder.path());
    files.prepare(broker.port(), &csv)?;
    let mut view = View::new(args.quiet, seed);
    view.starting();
    let mut gate = Gate::start(&files)?;
    let frames = OpenOptions::new().write(true).open(&files.frames)?;
    let mut world = World::new(script, &rule, &files, args.pictures.clone())?;
    gate.wait_until_ready(READY_WITHIN)?;
    world.play(&frames, &watch, &mut view)?;
    world.collect(&watch, &mut view);
    drop(frames);
    gate.stop();
    if args.keep {
        println!("kept: {}", folder.keep().display());
    }
    Ok(Played {
        seed,
        visits: world.visits,
        stray: world.stray,
    })
}

/// The files of the demo's gate.
struct Files {
    folder: PathBuf,
    config: PathBuf,
    registry: PathBuf,
    frames: PathBuf,
    trace: PathBuf,
    inputs: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        Self {
            folder: folder.to_owned(),
            config: at("menshen.toml"),
            registry: at("registry.csv"),
            frames: at("frames"),
            trace: at("relay.trace"),
            inputs: at("inputs"),
        }
    }

    /// Writes what the gate needs and fills its register with the real verb.
    fn prepare(&self, port: u16, csv: &str) -> Result<(), Failure> {
        std::fs::write(&self.registry, csv)?;
        File::create(&self.trace)?;
        std::fs::write(&self.inputs, "arrival_loop:entry 0\n")?;
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &self.frames,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )?;
        let quoted = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
        let text = format!(
            "[site]
name = \"demo\"
[clock]
trusted = \"always\"
[log]
level = \"error\"
[store]
folder = {store}
[mqtt]
host = \"127.0.0.1\"
port = {port}
[[barrier]]
relay = {{ driver = \"simulated\", trace = {trace}, inputs = {inputs} }}
[[lane]]
name = \"entry\"
trigger = \"both\"
arrival_loop = {{}}
[lane.camera]
kind = \"pipe\"
path = {frames}
",
            store = quoted(&self.folder.join("store")),
            trace = quoted(&self.trace),
            inputs = quoted(&self.inputs),
            frames = quoted(&self.frames),
        );
        std::fs::write(&self.config, text)?;
        let import = Command::new(std::env::current_exe()?)
            .args(["registry", "import", "--by", "demo", "--config"])
            .args([&self.config, &self.registry])
            .output()?;
        if !import.status.success() {
            return Err(String::from_utf8_lossy(&import.stderr).into_owned().into());
        }
        Ok(())
    }
}

/// The gate: this program as a child.
struct Gate {
    child: Child,
    /// What systemd would listen on.
    readiness: UnixDatagram,
}

impl Gate {
    fn start(files: &Files) -> Result<Self, Failure> {
        let notify = files.folder.join("notify");
        let readiness = UnixDatagram::bind(&notify)?;
        readiness.set_read_timeout(Some(Duration::from_millis(50)))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(&files.config)
            .env("NOTIFY_SOCKET", notify)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { child, readiness })
    }

    fn wait_until_ready(&mut self, within: Duration) -> Result<(), Failure> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the gate ended at its start ({status}); see above").into());
            }
            if Instant::now() > until {
                return Err("the gate was not ready in time".into());
            }
            let mut said = [0; 256];
            if let Ok(length) = self.readiness.recv(&mut said)
                && said[..length].starts_with(b"READY=1")
            {
                return Ok(());
            }
        }
    }

    fn stop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        if rustix::process::kill_process(id, rustix::process::Signal::TERM).is_ok() {
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if let Err(e) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("menshen: the demo's gate could not be ended: {e}");
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// The street with its boom, and what has come of each vehicle so far.
struct World {
    street: Street,
    boom: Boom,
    painter: Painter,
    relay: BufReader<File>,
    inputs: PathBuf,
    loop_occupied: bool,
    visits: Vec<Visit>,
    stray: Vec<PassageRecord>,
    pictures: Option<PathBuf>,
}

impl World {
    fn new(
        script: Script,
        rule: &Rule,
        files: &Files,
        pictures: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        if let Some(folder) = &pictures {
            std::fs::create_dir_all(folder)?;
        }
        let mut trace = File::open(&files.trace)?;
        trace.seek(SeekFrom::End(0))?;
        let visits = script
            .vehicles
            .iter()
            .map(|vehicle| Visit {
                plate: vehicle.plate.clone(),
                role: vehicle.role.english(),
                expected: rule.decision(&vehicle.plate),
                window: (Timestamp::MAX, Timestamp::MAX),
                went_in: false,
                passages: Vec::new(),
            })
            .collect();
        Ok(Self {
            painter: Painter::new(&script),
            street: Street::new(script),
            boom: Boom::new(Timing::default()),
            relay: BufReader::new(trace),
            inputs: files.inputs.clone(),
            loop_occupied: false,
            visits,
            stray: Vec::new(),
            pictures,
        })
    }

    /// Plays the script in real time until every vehicle has come and gone.
    fn play(&mut self, mut frames: &File, watch: &Watch, view: &mut View) -> Result<(), Failure> {
        let frame_time = Duration::from_secs(1) / RATE;
        let begin = Instant::now();
        let mut number = 0_u32;
        while !self.street.finished() {
            // The boom and the loops move five times between two frames.
            for _ in 0..5 {
                self.move_on(frame_time / 5, view)?;
                let due = begin + self.street.now();
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let picture = self.painter.paint(&self.street.view());
            frames.write_all(&picture.to_ppm())?;
            if let Some(folder) = &self.pictures
                && number.is_multiple_of(RATE)
            {
                picture.save(&folder.join(format!("{:04}.jpg", number / RATE)))?;
            }
            number += 1;
            self.take_events(watch, view);
        }
        Ok(())
    }

    fn move_on(&mut self, time: Duration, view: &mut View) -> Result<(), Failure> {
        let mut line = String::new();
        while self.relay.read_line(&mut line)? > 0 {
            let energised = line.trim_end().ends_with(" on");
            self.boom.input(energised);
            if energised {
                view.relay();
            }
            line.clear();
        }
        self.boom.step(time, self.street.safety_loop());
        view.boom(self.boom.open_fraction());
        for event in self.street.step(time, self.boom.open_fraction()) {
            match event {
                StreetEvent::Appeared(vehicle) => {
                    let now = Timestamp::now();
                    if let Some(before) = vehicle.checked_sub(1) {
                        self.visits[before].window.1 = now;
                    }
                    self.visits[vehicle].window.0 = now;
                    let appeared = &self.street.script().vehicles[vehicle];
                    view.appeared(vehicle, appeared);
                }
                StreetEvent::Passed(vehicle) => self.visits[vehicle].went_in = true,
                StreetEvent::ArrivalLoop(_)
                | StreetEvent::SafetyLoop(_)
                | StreetEvent::Waiting(_)
                | StreetEvent::TurnedAway(_)
                | StreetEvent::Left(_) => {}
            }
        }
        if self.street.arrival_loop() != self.loop_occupied {
            self.loop_occupied = self.street.arrival_loop();
            let line = Line::ArrivalLoop("entry".to_owned());
            write_inputs(&self.inputs, &[(line, self.loop_occupied)])?;
        }
        Ok(())
    }

    fn take_events(&mut self, watch: &Watch, view: &mut View) {
        while let Some(message) = watch.next(Duration::ZERO) {
            let entry = format!("{ROOT}/");
            let Some(topic) = message.topic.strip_prefix(&entry) else {
                continue;
            };
            let Ok(envelope) = serde_json::from_slice::<Envelope>(&message.payload) else {
                continue;
            };
            view.event(topic, envelope.late, &envelope.data);
            let Event::Passage(record) = envelope.data.event else {
                continue;
            };
            let of = self
                .visits
                .iter_mut()
                .find(|v| v.window.0 <= record.began && record.began < v.window.1);
            match of {
                Some(visit) => visit.passages.push(*record),
                None => self.stray.push(*record),
            }
        }
    }

    /// Waits for the passages that have not arrived yet, and a moment longer for any too many.
    fn collect(&mut self, watch: &Watch, view: &mut View) {
        let until = Instant::now() + LAST_WITHIN;
        while Instant::now() < until && self.visits.iter().any(|v| v.passages.is_empty()) {
            std::thread::sleep(Duration::from_millis(50));
            self.take_events(watch, view);
        }
        std::thread::sleep(Duration::from_millis(300));
        self.take_events(watch, view);
    }
}
