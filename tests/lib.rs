//! The real parts that the end-to-end tests, the latency bench and the real-input command play
//! with: the gate itself as a child process, a mosquitto, a listener, a camera that shows what
//! a test wants, a relay board on a pseudo-terminal.
//!
//! Nothing here is a mock of the house: what a test sees is what a committee's server, an
//! installer and a relay would see.

mod authority;
mod committee;
mod faulty_network;
mod lane;
mod spread;

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::event::Chain;
use domain::{Entry, Event, PassageRecord, PlateNumber};
use jiff::Timestamp;
use rustix::process::Pid;
use serde::Deserialize;
use serde_json::value::RawValue;
use sim::street::{Light, Painter, Script, View, VisibleCar};

pub use authority::Authority;
pub use committee::{Collecting, Committee, Counter, MadeUp, made_up_passage};
pub use faulty_network::FaultyNetwork;
pub use lane::Lane;
pub use spread::Spread;

/// Whatever stops a part.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only one test at a time drives a gate: they share two cores with its recognition.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    lock(&ONE)
}

/// The program under test, beside this test's own executable; built if it is not there.
///
/// # Errors
/// If it is not there and cannot be built.
pub fn program() -> Result<PathBuf, Failure> {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = PROGRAM.get() {
        return Ok(path.clone());
    }
    let own = std::env::current_exe()?;
    let profile = own
        .ancestors()
        .find(|folder| folder.join(".fingerprint").exists() || folder.join("deps").exists())
        .ok_or("this test does not lie in a target folder")?;
    let path = profile.join("menshen");
    if !path.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "-p", "menshen"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        if !built.success() {
            return Err("menshen could not be built".into());
        }
    }
    Ok(PROGRAM.get_or_init(|| path).clone())
}

/// Whether something that Debian packages bring is missing here, so that a test cannot run. It
/// says so loudly.
///
/// # Panics
/// If something is missing where `CI` is set: there nothing may be left out.
pub fn cannot_run(needs: &[Need]) -> bool {
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        return false;
    }
    let packages: Vec<_> = missing.iter().map(|need| need.packages()).collect();
    let packages = packages.join(" ");
    assert!(
        std::env::var_os("CI").is_none(),
        "parts are missing, and CI is set; apt-get install {packages}"
    );
    eprintln!("\n*** NOT TESTED: parts are missing; apt-get install {packages} ***\n");
    true
}

/// A real part that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The broker and its clients.
    Mosquitto,
    /// The decoder and encoder of video.
    Ffmpeg,
    /// GStreamer's RTSP server with both encoders.
    RtspServer,
    /// What draws a printed pass: a Chinese font, and librsvg.
    Paper,
}

impl Need {
    fn packages(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto mosquitto-clients",
            Self::Ffmpeg => "ffmpeg",
            Self::RtspServer => {
                "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base \
                 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
            }
            Self::Paper => "librsvg2-bin fonts-wqy-microhei",
        }
    }

    fn is_there(self) -> bool {
        let starts = |program: &str, args: &[&str]| {
            Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
        };
        match self {
            // Its exit status says nothing when it only prints its help.
            Self::Mosquitto => {
                Path::new(MOSQUITTO).exists() && starts("mosquitto_sub", &["--help"]).is_ok()
            }
            Self::Ffmpeg => starts("ffmpeg", &["-version"]).is_ok_and(|s| s.success()),
            Self::RtspServer => {
                let import = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                              from gi.repository import Gst, GstRtspServer; Gst.init(None); \
                              assert Gst.ElementFactory.find('x264enc'); \
                              assert Gst.ElementFactory.find('x265enc')";
                starts(PYTHON, &["-c", import]).is_ok_and(|s| s.success())
            }
            Self::Paper => {
                let fonts = ["truetype/wqy", "opentype/noto", "truetype/noto"];
                let fonts = fonts.map(|kind| Path::new("/usr/share/fonts").join(kind));
                starts("rsvg-convert", &["--version"]).is_ok_and(|s| s.success())
                    && fonts.iter().any(|folder| folder.is_dir())
            }
        }
    }
}

/// Debian's own interpreter, because its GStreamer packages belong to it.
pub const PYTHON: &str = "/usr/bin/python3";
/// Where Debian puts the broker; not on everybody's PATH.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// A loopback port that is free now.
///
/// # Errors
/// If the system gives none.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until `done` says yes; false if it does not within `within`.
pub fn wait_for(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    while Instant::now() < until {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    done()
}

/// Pictures of a gate lane: empty, and with each vehicle of a script standing at the boom.
pub struct Scene {
    /// Who comes.
    pub script: Script,
    /// Binary PPM: the empty lane first, then vehicle by vehicle.
    pub pictures: Vec<Vec<u8>>,
}

impl Scene {
    /// The lane of one seed in daylight.
    pub fn new(seed: u64) -> Self {
        let script = Script::generate(seed, jiff::civil::date(2026, 11, 23));
        let mut painter = Painter::new(&script);
        let mut paint = |car: Option<VisibleCar>| {
            let view = View {
                now: Duration::ZERO,
                boom_open: 0.0,
                car,
                light: Light::Day,
                fading: None,
            };
            painter.paint(&view).to_ppm()
        };
        let mut pictures = vec![paint(None)];
        for vehicle in 0..script.vehicles.len() {
            let car = VisibleCar {
                vehicle,
                distance: 0.9,
                speed: 0.0,
                braking: true,
            };
            pictures.push(paint(Some(car)));
        }
        Self { script, pictures }
    }

    /// The plate of a vehicle.
    pub fn plate(&self, vehicle: usize) -> &PlateNumber {
        &self.script.vehicles[vehicle].plate
    }
}

/// What shows nothing.
pub const EMPTY: usize = 0;

/// A camera that shows one of several pictures through a FIFO. It outlives the
/// gate: a killed one leaves it in the middle of a picture.
pub struct Camera {
    showing: Arc<AtomicUsize>,
    pictures: Arc<Mutex<Vec<Arc<[u8]>>>>,
    fifo: PathBuf,
}

impl Camera {
    /// Makes the FIFO and starts to feed it.
    ///
    /// # Errors
    /// If the FIFO cannot be made.
    pub fn start(fifo: &Path, pictures: Vec<Vec<u8>>) -> Result<Self, Failure> {
        Self::start_at(fifo, pictures, Duration::from_millis(100))
    }

    /// The same with a picture every `pace`, or as fast as the gate takes them.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(fifo: &Path, pictures: Vec<Vec<u8>>, pace: Duration) -> Result<Self, Failure> {
        use rustix::fs::{CWD, Mode, mkfifoat};
        mkfifoat(CWD, fifo, Mode::RUSR | Mode::WUSR)?;
        // Open for reading too, so that writing goes on when no gate is there.
        let mut out = OpenOptions::new().read(true).write(true).open(fifo)?;
        let showing = Arc::new(AtomicUsize::new(EMPTY));
        let shown = Arc::clone(&showing);
        let pictures: Vec<Arc<[u8]>> = pictures.into_iter().map(Arc::from).collect();
        let pictures = Arc::new(Mutex::new(pictures));
        let album = Arc::clone(&pictures);
        std::thread::spawn(move || {
            loop {
                let next = Instant::now() + pace;
                let at = shown.load(Ordering::Relaxed);
                let picture = lock(&album).get(at).map(Arc::clone);
                if picture.is_none_or(|p| out.write_all(&p).is_err()) {
                    return;
                }
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self {
            showing,
            pictures,
            fifo: fifo.to_owned(),
        })
    }

    /// Throws away, for half a second, what a killed gate left unread: a whole picture may wait
    /// there, and would be a fresh one to the next gate.
    ///
    /// # Errors
    /// If the FIFO cannot be read.
    pub fn drain(&self) -> Result<(), Failure> {
        let mut unread = File::open(&self.fifo)?;
        let until = Instant::now() + Duration::from_millis(500);
        let mut bytes = vec![0; 1 << 20];
        while Instant::now() < until {
            unread.read_exact(&mut bytes)?;
        }
        Ok(())
    }

    /// One more picture to show, and its number.
    pub fn add(&self, picture: Vec<u8>) -> usize {
        let mut pictures = lock(&self.pictures);
        pictures.push(picture.into());
        pictures.len() - 1
    }

    /// Shows a picture from the next frame on.
    pub fn show(&self, picture: usize) {
        self.showing.store(picture, Ordering::Relaxed);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.show(usize::MAX);
    }
}

/// A folder with everything that one gate keeps, and its configuration.
pub struct Site {
    /// The folder; removed at the end.
    pub folder: tempfile::TempDir,
}

/// What a site's configuration is made from.
pub struct Plan<'a> {
    /// The broker's port; none without a bridge.
    pub port: Option<u16>,
    /// Keys of `[[barrier]]`, `relay` among them.
    pub barrier: &'a str,
    /// Keys of `[[lane]]`.
    pub lane: &'a str,
    /// Keys of `[lane.camera]`; the FIFO `frames` if empty.
    pub camera: &'a str,
}

impl Site {
    /// Writes the configuration.
    ///
    /// # Errors
    /// If the folder or file cannot be written.
    pub fn new(plan: &Plan<'_>) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("menshen-test-").tempdir()?;
        let site = Self { folder };
        let at = |name: &str| format!("\"{}\"", site.path(name).display());
        let mqtt = plan
            .port
            .map(|port| format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n"))
            .unwrap_or_default();
        let relay = format!(
            "{{ driver = \"simulated\", trace = {}, inputs = {} }}",
            at("trace"),
            at("inputs")
        );
        let barrier = plan.barrier.replace("SIMULATED", &relay);
        let camera = if plan.camera.is_empty() {
            format!("kind = \"pipe\"\npath = {}", at("frames"))
        } else {
            plan.camera.to_owned()
        };
        let text = format!(
            "[site]\nname = \"test\"\n[clock]\ntrusted = \"always\"\n[store]\nfolder = {}\n{mqtt}[[barrier]]\n{barrier}\n[[lane]]\nname = \"entry\"\n{}\n[lane.camera]\n{camera}\n",
            at("store"),
            plan.lane,
        );
        std::fs::write(site.path("menshen.toml"), text)?;
        std::fs::write(site.path("trace"), "")?;
        Ok(site)
    }

    /// Changes the configuration: what stands there as `from` becomes `to`.
    ///
    /// # Errors
    /// If it does not stand there, or the file cannot be read or written.
    pub fn configure(&self, from: &str, to: &str) -> Result<(), Failure> {
        let path = self.path("menshen.toml");
        let text = std::fs::read_to_string(&path)?;
        if !text.contains(from) {
            return Err(format!("{from:?} does not stand in the configuration").into());
        }
        std::fs::write(path, text.replacen(from, to, 1))?;
        Ok(())
    }

    /// A path within the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a verb of the program on this site.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn verb(&self, args: &[&str]) -> Result<Output, Failure> {
        let mut command = Command::new(program()?);
        command
            .args(args)
            .arg("--config")
            .arg(self.path("menshen.toml"));
        Ok(command.output()?)
    }

    /// Registers a plate with the program's own verb.
    ///
    /// # Errors
    /// If it does not say that it did.
    pub fn register(&self, plate: &PlateNumber) -> Result<(), Failure> {
        let done = self.verb(&["registry", "add", "--by", "test", plate.as_str()])?;
        if done.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&done.stderr).into_owned().into())
    }

    /// Sets the simulated inputs, for example `arrival_loop:entry 1`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn inputs(&self, lines: &str) -> Result<(), Failure> {
        let part = self.path("inputs.part");
        std::fs::write(&part, lines)?;
        std::fs::rename(part, self.path("inputs"))?;
        Ok(())
    }

    /// When the simulated relay was energised, in milliseconds of the monotonic clock.
    ///
    /// # Errors
    /// If the trace cannot be read.
    pub fn edges(&self) -> Result<Vec<f64>, Failure> {
        let text = std::fs::read_to_string(self.path("trace"))?;
        let on = text
            .lines()
            .filter_map(|line| line.strip_suffix(" open on"));
        on.map(|at| Ok(at.parse::<u64>()? as f64 / 1e6)).collect()
    }

    /// The pulses in the simulated relay's trace, in milliseconds; one that is still on counts
    /// to now.
    ///
    /// # Errors
    /// If the trace cannot be read.
    pub fn pulses(&self) -> Result<Vec<f64>, Failure> {
        let text = std::fs::read_to_string(self.path("trace"))?;
        let mut pulses = Vec::new();
        let mut on: Option<u64> = None;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let at: u64 = words.next().ok_or("an empty line in the trace")?.parse()?;
            match (line.ends_with(" on"), on) {
                (true, None) => on = Some(at),
                (false, Some(since)) => {
                    pulses.push((at - since) as f64 / 1e6);
                    on = None;
                }
                _ => {}
            }
        }
        Ok(pulses)
    }
}

/// A running gate. Dropping it ends it.
pub struct Gate {
    child: Child,
    /// How long it took to be ready.
    pub ready_after: Duration,
    log: Arc<Mutex<Vec<String>>>,
    /// Fills the log.
    reader: Option<JoinHandle<()>>,
}

impl Gate {
    /// Starts `menshen run` on a site and waits until it says that it is ready.
    ///
    /// # Errors
    /// If it ends or is not ready within a minute; its log is in the error.
    pub fn start(site: &Site) -> Result<Self, Failure> {
        Self::start_with(site, &[])
    }

    /// The same behind another command, for example `taskset -c 0`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(site: &Site, before: &[&str]) -> Result<Self, Failure> {
        let notify = site.path("notify");
        if notify.exists() {
            std::fs::remove_file(&notify)?;
        }
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let begin = Instant::now();
        let mut words: Vec<std::ffi::OsString> = before.iter().map(Into::into).collect();
        words.push(program()?.into());
        words.extend([
            "run".into(),
            "--config".into(),
            site.path("menshen.toml").into(),
        ]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env("NOTIFY_SOCKET", &notify)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stderr.take().map(|stderr| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    lock(&log).push(line);
                }
            })
        });
        let mut gate = Self {
            child,
            ready_after: Duration::ZERO,
            log,
            reader,
        };
        loop {
            let mut said = [0; 256];
            if let Ok(length) = socket.recv(&mut said)
                && said[..length].starts_with(b"READY=1")
            {
                gate.ready_after = begin.elapsed();
                return Ok(gate);
            }
            if gate.child.try_wait()?.is_some() || begin.elapsed() > Duration::from_mins(1) {
                std::thread::sleep(Duration::from_millis(100));
                return Err(format!("the gate did not start:\n{}", gate.log().join("\n")).into());
            }
        }
    }

    /// Its log lines so far.
    pub fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    /// A figure of each opening, by its name in the log, in milliseconds: `took_us=` is from a
    /// frame's last byte to the relay's write, by the daemon's own measurement.
    pub fn figures(&self, name: &str) -> Vec<f64> {
        let log = self.log();
        let named = log.iter().filter_map(|line| line.split(name).nth(1));
        named
            .filter_map(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
            .map(|us| us / 1000.0)
            .collect()
    }

    /// Shows the scene's first vehicle, which is registered, until it is let in, and then the
    /// empty lane until it has left.
    ///
    /// # Errors
    /// If it is not let in, with what the gate said last.
    pub fn lets_in(&self, camera: &Camera) -> Result<(), Failure> {
        let opened = || self.figures("took_us=").len();
        let before = opened();
        camera.show(1);
        if !wait_for(Duration::from_secs(5), || opened() > before) {
            let log = self.log();
            let last = log[log.len().saturating_sub(40)..].join("\n");
            return Err(format!("no opening; the log ends:\n{last}").into());
        }
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processor time that its threads have had, the relay guard's not counted.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn cpu_time(&self) -> Result<Duration, Failure> {
        let mut nanos = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let on_cpu = text.split_whitespace().next();
            nanos += on_cpu.ok_or("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The relay guard of its only barrier, if it has one now.
    ///
    /// # Errors
    /// If the system does not list its processes.
    pub fn relay_guard(&self) -> Result<Option<Pid>, Failure> {
        let own = self.child.id().to_string();
        for process in std::fs::read_dir("/proc")? {
            let path = process?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(id) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that has just ended has none of these any more.
            let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
            let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1));
            let mut words = words.split(|byte| *byte == 0);
            if parent == Some(&own) && words.any(|word| word == b"relay-guard") {
                return Ok(Pid::from_raw(id));
            }
        }
        Ok(None)
    }

    /// kill -9, and waits for its end; what it had said until then.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(mut self) -> Result<Vec<String>, Failure> {
        self.child.kill()?;
        self.child.wait()?;
        // The reader ends with the last of the gate's children that has the same standard error.
        if let Some(reader) = self.reader.take()
            && !wait_for(Duration::from_secs(10), || reader.is_finished())
        {
            return Err("a child of the gate lives on after a kill".into());
        }
        Ok(self.log())
    }

    /// SIGTERM; how long it took to end, and whether in good order.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn stop(mut self) -> Result<(Duration, bool), Failure> {
        let begin = Instant::now();
        let id = Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        Ok((begin.elapsed(), status.success()))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Already gone is as good.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A mosquitto with persistence, on a port that stays its own over restarts.
pub struct Mosquitto {
    folder: tempfile::TempDir,
    /// Its port on the loopback.
    pub port: u16,
    child: Option<Child>,
    /// How its clients speak to it, as arguments of mosquitto's own.
    greeting: Vec<String>,
}

impl Mosquitto {
    /// Makes one that is not running yet.
    ///
    /// # Errors
    /// If no port or folder is to be had.
    pub fn new() -> Result<Self, Failure> {
        Self::made("", true, &["-h", "127.0.0.1"])
    }

    /// Makes one that speaks TLS alone, under a certificate of this authority for `localhost`,
    /// and lets only those in whom the same authority has signed for; its own clients are the
    /// `listener`. Not running yet.
    ///
    /// # Errors
    /// As [`Self::new`], or if nothing can be signed.
    pub fn secured(authority: &Authority) -> Result<Self, Failure> {
        for name in ["localhost", "listener"] {
            authority.sign(name, 2020..4000)?;
        }
        let at = |name: &str| authority.path(name).display().to_string();
        let (ca, certificate, key) = (at("ca.pem"), at("localhost.pem"), at("localhost.key"));
        let tls = format!(
            "cafile {ca}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true\n"
        );
        let (certificate, key) = (at("listener.pem"), at("listener.key"));
        let greeting = ["-h", "localhost", "--cafile", &ca, "--cert", &certificate];
        Self::made(&tls, true, &[&greeting[..], &["--key", &key]].concat())
    }

    /// Makes one that keeps nothing on its disk, as most do between two saves: what it has accepted
    /// is gone when it is killed. Not running yet.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn forgetful() -> Result<Self, Failure> {
        Self::made("", false, &["-h", "127.0.0.1"])
    }

    fn made(listener: &str, keeps: bool, greeting: &[&str]) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("mosquitto-").tempdir()?;
        let port = free_port()?;
        let storage = if keeps {
            format!(
                "persistence true\npersistence_location {}/\nautosave_interval 1\nautosave_on_changes true\n",
                folder.path().display()
            )
        } else {
            "persistence false\n".to_owned()
        };
        let text = format!(
            "listener {port} 127.0.0.1\n{listener}allow_anonymous true\n{storage}max_queued_messages 0\nuser root\n"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), text)?;
        Ok(Self {
            folder,
            port,
            child: None,
            greeting: greeting.iter().map(|word| (*word).to_owned()).collect(),
        })
    }

    /// One that runs, with the listener enrolled.
    ///
    /// # Errors
    /// If a part is not installed or does not start.
    pub fn running() -> Result<Self, Failure> {
        let mut mosquitto = Self::new()?;
        mosquitto.start()?;
        mosquitto.enrol()?;
        Ok(mosquitto)
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// If mosquitto is not installed or does not listen.
    pub fn start(&mut self) -> Result<(), Failure> {
        let child = Command::new(MOSQUITTO)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("mosquitto: {e}; install the Debian package mosquitto"))?;
        self.child = Some(child);
        let up = wait_for(Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        if up {
            Ok(())
        } else {
            Err("mosquitto does not listen".into())
        }
    }

    /// SIGTERM: it saves its sessions.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn stop(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            let id = Pid::from_child(&child);
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
            child.wait()?;
        }
        Ok(())
    }

    /// kill -9: whatever it had not written down is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The retained payload of a topic below `menshen/test/gate`; none if there is none within
    /// two seconds.
    ///
    /// # Errors
    /// If `mosquitto_sub` cannot be started.
    pub fn retained(&self, topic: &str) -> Result<Option<String>, Failure> {
        let out = self
            .client("mosquitto_sub")
            .args(["-C", "1", "-W", "2", "--retained-only", "-t"])
            .arg(format!("menshen/test/gate/{topic}"))
            .output()?;
        let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        Ok((!text.is_empty()).then_some(text))
    }

    /// Asks the gate something; the body of its signed answer.
    ///
    /// # Errors
    /// If the client cannot be started, or nothing is answered within ten seconds.
    pub fn ask(&self, name: &str, payload: &str) -> Result<serde_json::Value, Failure> {
        let out = self
            .client("mosquitto_rr")
            .args(["-q", "1", "-W", "10", "-m", payload])
            .args(["-t", &format!("menshen/test/gate/request/{name}")])
            .args(["-e", &format!("menshen/test/gate/response/{name}")])
            .output()?;
        if out.status.success() {
            let mut signed: serde_json::Value = serde_json::from_slice(&out.stdout)?;
            return Ok(signed["body"].take());
        }
        Err(format!(
            "{name}: no answer: {}",
            String::from_utf8_lossy(&out.stderr)
        )
        .into())
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(&self.greeting)
            .args(["-p", &self.port.to_string()]);
        command
    }

    /// Subscribes a listener with a session that outlives it, without listening yet.
    ///
    /// # Errors
    /// If `mosquitto_sub` is not installed or fails.
    pub fn enrol(&self) -> Result<(), Failure> {
        let done = self
            .client("mosquitto_sub")
            .args(["-c", "-i", "listener", "-q", "1", "-E"])
            .args(TOPICS)
            .status()
            .map_err(|e| format!("mosquitto_sub: {e}; install mosquitto-clients"))?;
        if done.success() {
            Ok(())
        } else {
            Err("the listener could not be enrolled".into())
        }
    }

    /// Listens with the enrolled session.
    ///
    /// # Errors
    /// If `mosquitto_sub` cannot be started.
    pub fn listen(&self) -> Result<Listener, Failure> {
        let mut child = self
            .client("mosquitto_sub")
            .args(["-c", "-i", "listener", "-q", "1", "-F", "%t %p"])
            .args(TOPICS)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no output")?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(heard) = Heard::parse(&line) {
                    lock(&list).push(heard);
                }
            }
        });
        Ok(Listener { child, heard })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Journal entries; pictures and states are not lines of text.
const TOPICS: [&str; 4] = [
    "-t",
    "menshen/+/+/event",
    "-t",
    "menshen/+/+/lane/+/passage",
];

/// An entry as the broker delivered it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// Whether it was marked late.
    pub late: bool,
    /// The entry's stored bytes, as they were hashed.
    pub bytes: Vec<u8>,
    /// The entry.
    pub entry: Entry,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    late: bool,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Heard {
    fn parse(line: &str) -> Option<Self> {
        let (topic, payload) = line.split_once(' ')?;
        let envelope: Envelope<'_> = serde_json::from_str(payload).ok()?;
        let text = envelope.data.get();
        Some(Self {
            topic: topic.to_owned(),
            late: envelope.late,
            bytes: text.as_bytes().to_vec(),
            entry: serde_json::from_str(text).ok()?,
        })
    }
}

/// The committee's ear at the broker.
pub struct Listener {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    /// Everything heard so far, duplicates left out, in the order of first arrival.
    pub fn heard(&self) -> Vec<Heard> {
        let mut seen = std::collections::HashSet::new();
        lock(&self.heard)
            .iter()
            .filter(|h| seen.insert(h.entry.id))
            .cloned()
            .collect()
    }

    /// The passages heard so far.
    pub fn passages(&self) -> Vec<PassageRecord> {
        self.heard()
            .into_iter()
            .filter_map(|h| match h.entry.event {
                Event::Passage(record) => Some(*record),
                _ => None,
            })
            .collect()
    }

    /// Checks order and chain of everything heard.
    ///
    /// # Errors
    /// Where it is broken.
    pub fn verify(&self) -> Result<u64, Failure> {
        let mut chain = Chain::EMPTY;
        for heard in self.heard() {
            chain.check(&heard.bytes)?;
        }
        Ok(chain.seq)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Something that the board was told.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// When, by the wall clock: what the gate writes down about it goes by that.
    pub wall: Timestamp,
    /// Whether to energise the relay; otherwise to release it.
    pub on: bool,
}

/// A serial relay board on a pseudo-terminal, and when it was told what.
pub struct Board {
    _master: Arc<OwnedFd>,
    /// The tty that the gate opens.
    pub tty: PathBuf,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Board {
    /// Makes the pseudo-terminal and records what is written to it: `A0 channel 01|00 sum`.
    ///
    /// # Errors
    /// If the system gives no pseudo-terminal.
    pub fn new() -> Result<Self, Failure> {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let tty = PathBuf::from(ptsname(&master, Vec::new())?.into_string()?);
        // Held open, so that the line stays up while no gate is there. Not as this session's
        // terminal, which it would become where there is none yet: then the kernel would stop the
        // gate's relay guard for setting it from the background.
        let held = File::from(rustix::fs::open(
            &tty,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        )?);
        let mut raw = rustix::termios::tcgetattr(&held)?;
        raw.make_raw();
        rustix::termios::tcsetattr(&held, rustix::termios::OptionalActions::Now, &raw)?;
        let master = Arc::new(master);
        let mut reader = File::from(master.try_clone()?);
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        std::thread::spawn(move || {
            let _held = held;
            let mut frame: Vec<u8> = Vec::new();
            let mut byte = [0];
            while reader.read_exact(&mut byte).is_ok() {
                frame.push(byte[0]);
                if frame[0] != 0xA0 {
                    frame.clear();
                }
                if frame.len() == 4 {
                    lock(&list).push(Told {
                        at: Instant::now(),
                        wall: Timestamp::now(),
                        on: frame[2] == 1,
                    });
                    frame.clear();
                }
            }
        });
        Ok(Self {
            _master: master,
            tty,
            told,
        })
    }

    /// Whether the last thing that the board was told is to release.
    pub fn is_off(&self) -> bool {
        lock(&self.told).last().is_none_or(|told| !told.on)
    }

    /// Everything it was told so far, in order.
    pub fn told(&self) -> Vec<Told> {
        lock(&self.told).clone()
    }

    /// When the relay was energised and for how long; one that still is counts to now.
    pub fn pulses(&self) -> Vec<(Instant, Duration)> {
        let mut pulses = Vec::new();
        let mut on: Option<Instant> = None;
        for told in lock(&self.told).iter() {
            match (told.on, on) {
                (true, None) => on = Some(told.at),
                (false, Some(since)) => {
                    pulses.push((since, told.at.duration_since(since)));
                    on = None;
                }
                _ => {}
            }
        }
        pulses.extend(on.map(|since| (since, since.elapsed())));
        pulses
    }
}

/// How many trials a bench makes: `MENSHEN_TRIALS`, or as many as here.
pub fn trials(unless_told: usize) -> usize {
    let told = std::env::var("MENSHEN_TRIALS").ok();
    told.and_then(|n| n.parse().ok()).unwrap_or(unless_told)
}

/// The load of the machine: others who use it lengthen every figure.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").map_or_else(|e| e.to_string(), |l| l.trim().to_owned())
}

/// Runs a bench that says whether its bar is met.
pub fn bench(name: &str, run: impl FnOnce() -> Result<bool, Failure>) -> ExitCode {
    // `cargo test --benches` asks whether it runs at all.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{name}: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Hits of trials in percent, with Wilson's 95 % interval.
pub fn share(hits: usize, trials: usize) -> String {
    if trials == 0 {
        return "-".to_owned();
    }
    let (part, count, z) = (hits as f64 / trials as f64, trials as f64, 1.96_f64);
    let scale = 100.0 / (1.0 + z * z / count);
    let middle = part + z * z / (2.0 * count);
    let half = z * (part * (1.0 - part) / count + z * z / (4.0 * count * count)).sqrt();
    let (from, to) = ((scale * (middle - half)).max(0.0), scale * (middle + half));
    format!(
        "{:.1} % ({hits}/{trials}, {from:.1} to {to:.1})",
        100.0 * part
    )
}
