//! `menshen run`: the house put together, watched over and brought down in order.
//!
//! ```text
//! camera ─► lane thread ─► barrier thread ─► relay guard (child) ─► relay
//!              │  ▲              │
//!              │  └── newsroom ◄─┘
//!              ▼         │
//!           records ◄────┘──► ledger thread ─► store ─► bridge thread ─► broker
//!              └────────────► pictures thread ─► archive
//! ```
//!
//! One thread for each lane, barrier, camera and newsroom, one for the ledger, the pictures and
//! the bridge each. They share nothing but channels, the register's latest view and counters.
//! The main thread waits for signals, feeds the watchdog while the decision loops come round,
//! and publishes the health message.

mod barriers;
pub(crate) mod clock;
mod guardroom;
mod lane;
mod metrics;
mod orders;
mod papers;
mod pictures;
pub(crate) mod records;
pub(crate) mod socket;
mod supervise;
mod vitals;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use access::ledger::Limits;
use access::pictures as archive;
use bridge::health::Latencies;
use bridge::keys::own_secret;
use bridge::{Bridge, BridgeHandle, Identity, Keys, State};
use clap::Args;
use domain::command::KeyRing;
use domain::{Event, Name};
use gate::barrier::BarrierEvent;
use gate::driver::{BarrierConfig, BarrierHandle, BarrierThread, GuardProgram};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use vision::models::Models;
use vision::source::{Camera, CameraEvent, Change as CameraChange, SystemClock};

use crate::config::{self, House};
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};
use barriers::{BarrierLink, Newsroom};
use clock::WallClock;
use guardroom::{Door, Guardroom};
use lane::{Message, Pulse};
use orders::{KeysFile, OrderDesk};
use pictures::Pictures;
use records::{Books, Records};
use socket::{LaneStatus, Reply, Request, Status};
use supervise::LaneKeeper;
use vitals::Vitals;

/// `menshen run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration / 配置文件
    #[arg(long, default_value = "/etc/menshen/menshen.toml", value_name = "FILE")]
    config: PathBuf,
}

/// How often the watchdog is fed and the lanes are looked at.
const WATCH: Duration = Duration::from_secs(1);
/// A decision loop that has not come round for this long does not feed the watchdog.
const BEAT_WITHIN: Duration = Duration::from_secs(5);
/// How often the health message is published.
const HEALTH_EVERY: Duration = Duration::from_secs(30);
/// What each part may take at the end; together under three seconds.
const LANES_WITHIN: Duration = Duration::from_millis(800);
const FLUSH_WITHIN: Duration = Duration::from_millis(700);
const BRIDGE_WITHIN: Duration = Duration::from_millis(800);
/// How long the first run of the models may take on a slow machine.
const WARM_WITHIN: Duration = Duration::from_secs(50);

/// Runs the gate until it is told to stop.
pub(crate) fn run(args: &RunArgs) -> u8 {
    let house = match config::load(&args.config) {
        Ok(house) => house,
        Err(problems) => return fail(WRONG_USAGE, problems),
    };
    vitals::start_log(&house);
    if !house.notices.list.is_empty() {
        warn!("{}", house.notices);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => return fail(FOUND_WRONG, e),
    };
    let assembled = Assembly::new(house);
    let assembly = match assembled {
        Ok(assembly) => assembly,
        Err(why) => {
            error!("{why}");
            return fail(FOUND_WRONG, why);
        }
    };
    let ended = runtime.block_on(assembly.watch());
    assembly.end();
    match ended {
        Ok(()) => DONE,
        Err(why) => fail(FOUND_WRONG, why),
    }
}

/// A failure in words, with what it belongs to.
fn at<E: Display>(what: &str) -> impl FnOnce(E) -> String {
    let what = what.to_owned();
    move |e| format!("{what}: {e}")
}

struct RunningLane {
    name: Name,
    messages: Sender<Message>,
    pulse: Arc<Pulse>,
    barrier: Arc<BarrierLink>,
    shadow: bool,
    thread: JoinHandle<()>,
}

impl RunningLane {
    fn door(&self) -> Door {
        Door {
            name: self.name.clone(),
            messages: self.messages.clone(),
            pulse: Arc::clone(&self.pulse),
            barrier: Arc::clone(&self.barrier),
            shadow: self.shadow,
        }
    }
}

/// Everything that runs.
struct Assembly {
    house: House,
    started: Instant,
    clock: WallClock,
    books: Books,
    records: Records,
    bridge: Option<BridgeHandle>,
    barriers: Vec<BarrierHandle>,
    lanes: Vec<RunningLane>,
    latencies: Arc<Mutex<Latencies>>,
}

impl Assembly {
    fn new(house: House) -> Result<Self, String> {
        let started = Instant::now();
        let clock = WallClock::of(&house);
        let folder = &house.store.folder;
        let books = Books::open(folder, clock.clone(), &house)
            .map_err(at(&format!("the store {}", folder.display())))?;
        let models = match &house.models.folder {
            Some(folder) => Models::load(folder),
            None => Models::embedded(),
        }
        .map_err(at("the models"))?;
        if let Some(view) = books.registry() {
            view.warm(models.alphabet());
            info!(vehicles = view.len(), "the register is read");
        }
        let order_desk = Arc::new(OrderDesk::default());
        let bridge = start_bridge(&house, &books, &order_desk)?;
        let kept = Arc::new(Mutex::new(open_archive(&house)?));
        let limits = Limits {
            event_days: days(house.store.events_for),
            bytes: house.store.events_budget.bytes() + house.store.pictures_budget.bytes(),
        };
        let (records, _ledger) = books
            .start(limits, Arc::clone(&kept), bridge.clone())
            .map_err(at("the ledger's thread"))?;
        records.record(Event::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let pictures = Pictures::start(kept, bridge.clone()).map_err(at("the pictures' thread"))?;
        let (camera_events, camera_news) = channel();
        let common = Common {
            models,
            records,
            pictures,
            bridge,
            clock,
            latencies: Arc::new(Mutex::new(Latencies::new())),
            camera_events,
        };
        let mut lanes = Vec::new();
        let mut barriers = Vec::new();
        for at_barrier in 0..house.barriers.len() {
            barriers.push(common.raise(&house, at_barrier, &mut lanes)?);
        }
        let Common {
            records,
            bridge,
            clock,
            latencies,
            camera_events,
            ..
        } = common;
        drop(camera_events);
        watch_cameras(camera_news, records.clone(), bridge.clone())
            .map_err(at("the cameras' thread"))?;
        let assembly = Self {
            house,
            started,
            clock,
            books,
            records,
            bridge,
            barriers,
            lanes,
            latencies,
        };
        assembly.listen()?;
        if let Some(address) = assembly.house.metrics
            && let Err(error) = assembly.records.metrics().serve(address)
        {
            // A gate opens without being watched.
            warn!(%address, %error, "no metrics: nothing can listen there / 无法提供运行数据");
        }
        assembly.take_orders(&order_desk);
        Ok(assembly)
    }

    fn guardroom(&self) -> Guardroom {
        Guardroom {
            doors: self.lanes.iter().map(RunningLane::door).collect(),
        }
    }

    /// Carries out what comes signed over the bridge.
    fn take_orders(&self, desk: &OrderDesk) {
        if let Some(bridge) = &self.bridge {
            desk.open(orders::House {
                guardroom: self.guardroom(),
                books: self.books.clone(),
                records: self.records.clone(),
                bridge: bridge.clone(),
                keys: self.keys_file(),
                shrink: self.house.mqtt.as_ref().map_or(0, |m| m.registry_shrink),
            });
            self.books.report(bridge);
        }
    }

    fn keys_file(&self) -> Option<KeysFile> {
        let mqtt = self.house.mqtt.as_ref()?;
        mqtt.keys_file.clone().map(KeysFile::new)
    }

    /// Answers the other verbs.
    fn listen(&self) -> Result<(), String> {
        let path = socket::path_for(&self.house.store.folder);
        let desk = Desk {
            started: self.started,
            clock: self.clock.clone(),
            books: self.books.clone(),
            bridge: self.bridge.clone(),
            guardroom: self.guardroom(),
            #[cfg(feature = "injection")]
            records: self.records.clone(),
        };
        let desk = Mutex::new(desk);
        let handler = move |request| {
            desk.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .handle(request)
        };
        socket::listen(&path, Arc::new(handler))
            .map_err(at(&format!("the socket {}", path.display())))
    }

    /// Waits for the end: signals, or a lane that is gone for good.
    async fn watch(&self) -> Result<(), String> {
        let mut terminate = signal(SignalKind::terminate()).map_err(at("signals"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(at("signals"))?;
        let mut watch = tokio::time::interval(WATCH);
        let mut vitals = Vitals::new();
        let mut health_at = Instant::now();
        let mut ready = false;
        let keys = self.keys_file();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = watch.tick() => {}
            }
            if !ready && self.lanes.iter().all(|lane| lane.pulse.is_warm()) {
                ready = true;
                info!(
                    after_ms = self.started.elapsed().as_millis() as u64,
                    "the gate is ready / 门禁已就绪"
                );
                vitals::notify(&[sd_notify::NotifyState::Ready]);
            }
            if !ready && self.started.elapsed() > WARM_WITHIN {
                return Err("the models could not be run in time".to_owned());
            }
            if ready {
                self.feed_watchdog();
            }
            if let (Some(keys), Some(bridge)) = (&keys, &self.bridge) {
                keys.follow(bridge, &self.records);
            }
            if ready && health_at.elapsed() >= HEALTH_EVERY {
                health_at = Instant::now();
                let lanes = self
                    .lanes
                    .iter()
                    .map(|l| (l.name.clone(), l.pulse.frames()));
                let report = vitals.report(
                    self.started.elapsed(),
                    self.clock.trusted(),
                    lanes,
                    self.books.size(),
                    self.books.depth(),
                    self.bridge.as_ref(),
                    &self.latencies,
                );
                info!(
                    memory_mb = report.memory_bytes / 1_000_000,
                    outbox = report.outbox_depth,
                    "health"
                );
                let connected = self.bridge.as_ref().map(|b| b.status().connected);
                self.records.metrics().set_health(&report, connected);
                if let (Some(bridge), Ok(json)) = (&self.bridge, report.to_json()) {
                    bridge.publish_health(&json);
                }
            }
        }
        info!("stopping / 正在停止");
        vitals::notify(&[sd_notify::NotifyState::Stopping]);
        Ok(())
    }

    /// The watchdog is fed by the decision loops: a lane or barrier that no longer comes round
    /// lets it starve, and systemd restarts the gate.
    fn feed_watchdog(&self) {
        let now = clock::monotonic();
        let lanes = self
            .lanes
            .iter()
            .all(|lane| lane.pulse.since_beat() < BEAT_WITHIN);
        let barriers = self.barriers.iter().all(|barrier| {
            let turned = domain::Monotonic::from_nanos(barrier.last_turn().nanos());
            now.since(turned) < BEAT_WITHIN
        });
        if lanes && barriers {
            vitals::notify(&[sd_notify::NotifyState::Watchdog]);
        } else {
            error!(lanes, barriers, "a decision loop no longer comes round");
        }
    }

    /// Finishes passages, releases relays, flushes, says goodbye: in under three seconds.
    fn end(self) {
        for lane in &self.lanes {
            if lane.messages.send(Message::Stop).is_err() {
                warn!(lane = %lane.name, "the lane had ended already");
            }
        }
        for barrier in self.barriers {
            barrier.shutdown();
        }
        let until = Instant::now() + LANES_WITHIN;
        for lane in &self.lanes {
            while !lane.thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.records.record(Event::Stopped);
        self.records.flush(FLUSH_WITHIN);
        if let Some(bridge) = &self.bridge {
            bridge.shutdown(BRIDGE_WITHIN);
        }
        info!("stopped / 已停止");
    }
}

/// What every lane and barrier shares.
struct Common {
    models: Models,
    records: Records,
    pictures: Pictures,
    bridge: Option<BridgeHandle>,
    clock: WallClock,
    latencies: Arc<Mutex<Latencies>>,
    camera_events: Sender<CameraEvent>,
}

impl Common {
    /// Starts one barrier with its newsroom and the lanes that open it.
    fn raise(
        &self,
        house: &House,
        at_barrier: usize,
        lanes: &mut Vec<RunningLane>,
    ) -> Result<BarrierHandle, String> {
        let barrier = &house.barriers[at_barrier];
        let (events, news) = channel::<BarrierEvent>();
        let handle = start_barrier(barrier, events)?;
        let causes = barriers::no_causes();
        let mut posts = Vec::new();
        for lane in house.lanes.iter().filter(|lane| lane.barrier == at_barrier) {
            let name = lane.settings.lane.clone();
            let link = BarrierLink::new(
                name.clone(),
                handle.opener(),
                &causes,
                barrier.profile.hold_cap,
            );
            let running = self.start_lane(lane, link, house.margins)?;
            posts.push((name, running.messages.clone()));
            lanes.push(running);
        }
        let newsroom = Newsroom {
            barrier: barrier.name.clone(),
            causes,
            lanes: posts,
            records: self.records.clone(),
            bridge: self.bridge.clone(),
            latencies: Arc::clone(&self.latencies),
            faults: RefCell::default(),
        };
        std::thread::Builder::new()
            .name(format!("news-{}", barrier.name))
            .spawn(move || newsroom.work(&news))
            .map_err(at("a newsroom's thread"))?;
        Ok(handle)
    }

    fn start_lane(
        &self,
        lane: &config::Lane,
        link: BarrierLink,
        margins: access::Margins,
    ) -> Result<RunningLane, String> {
        let name = lane.settings.lane.clone();
        let events = self.camera_events.clone();
        let camera = Camera::start(&lane.camera, name.clone(), events, Arc::new(SystemClock))
            .map_err(|problems| {
                problems
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            })
            .map_err(at(&format!("the camera of lane {name}")))?;
        let (messages, inbox) = channel();
        let pulse = Arc::new(Pulse::default());
        let link = Arc::new(link);
        let keeper = LaneKeeper {
            settings: lane.settings.clone(),
            read_passes: lane.read_passes,
            margins,
            models: self.models.clone(),
            camera: Arc::new(camera),
            barrier: Arc::clone(&link),
            records: self.records.clone(),
            pictures: self.pictures.clone(),
            clock: self.clock.clone(),
            pulse: Arc::clone(&pulse),
            latencies: Arc::clone(&self.latencies),
        };
        let thread = keeper
            .start(inbox)
            .map_err(at(&format!("the lane {name}")))?;
        Ok(RunningLane {
            name,
            messages,
            pulse,
            barrier: link,
            shadow: lane.settings.shadow,
            thread,
        })
    }
}

fn start_bridge(
    house: &House,
    books: &Books,
    orders: &Arc<OrderDesk>,
) -> Result<Option<BridgeHandle>, String> {
    let Some(mqtt) = &house.mqtt else {
        return Ok(None);
    };
    let identity = Identity {
        site: house.site.name.clone(),
        device: house.site.device.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lanes: house
            .lanes
            .iter()
            .map(|l| l.settings.lane.clone())
            .collect(),
        barriers: house.barriers.iter().map(|b| b.name.clone()).collect(),
    };
    let ring = match &mqtt.keys_file {
        Some(file) => KeysFile::new(file.clone())
            .read()
            .map_err(at("mqtt.keys_file"))?,
        None => KeyRing::default(),
    };
    let key = own_secret(&own_key(&house.store.folder)).map_err(at("the device's own key"))?;
    info!(public = %key.public(), enrolled = ring.keys().len(), "the device's own key");
    let keys = Keys { device: key, ring };
    let orders: Arc<dyn bridge::Orders> = Arc::clone(orders) as _;
    Bridge::start(
        mqtt,
        identity,
        keys,
        Arc::new(books.clone()),
        Some(orders),
        books.synced(),
    )
    .map(Some)
    .map_err(at("the bridge"))
}

fn start_barrier(
    barrier: &config::Barrier,
    events: Sender<BarrierEvent>,
) -> Result<BarrierHandle, String> {
    let exe = std::env::current_exe().map_err(at("this program's own path"))?;
    let guard = GuardProgram {
        exe,
        args: vec![OsString::from("relay-guard")],
    };
    let config = BarrierConfig {
        name: barrier.name.to_string(),
        profile: barrier.profile,
        wiring: barrier.wiring.clone(),
        guard,
    };
    BarrierThread::start(config, events).map_err(|e| e.to_string())
}

fn open_archive(house: &House) -> Result<archive::Pictures, String> {
    let limits = archive::Limits {
        days: days(house.store.pictures_for),
        bytes: house.store.pictures_budget.bytes(),
    };
    archive::Pictures::open(&house.store.folder.join("pictures"), limits)
        .map_err(at("the picture archive"))
}

/// The file of the device's own key, which is made at the first start.
pub(crate) fn own_key(store: &Path) -> PathBuf {
    store.join("device.key")
}

/// Whole days, at least one.
fn days(span: Duration) -> u16 {
    u16::try_from(span.as_secs() / 86_400)
        .unwrap_or(u16::MAX)
        .max(1)
}

/// Passes the cameras' news on, as events and retained states.
fn watch_cameras(
    news: Receiver<CameraEvent>,
    records: Records,
    bridge: Option<BridgeHandle>,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("cameras".into())
        .spawn(move || {
            for event in news {
                let lane = event.camera;
                let (state, detail) = match event.change {
                    CameraChange::Online { width, height } => {
                        ("online", format!("{width} x {height}"))
                    }
                    CameraChange::Unfrozen => ("online", String::new()),
                    CameraChange::Offline { reason } => ("offline", reason),
                    CameraChange::Frozen { .. } => ("frozen", String::new()),
                    CameraChange::Ended => ("offline", "played to its end".to_owned()),
                    CameraChange::Refused { reason, count } => {
                        warn!(lane = %lane, count, "pictures were refused: {reason}");
                        let message =
                            format!("lane {lane}: {count} pictures were refused: {reason}");
                        records.record(Event::Alarm {
                            code: "camera-picture".to_owned(),
                            message,
                        });
                        continue;
                    }
                };
                info!(lane = %lane, state, detail, "camera");
                if let Some(bridge) = &bridge {
                    let value = json!({ "lane": lane, "state": state, "detail": detail });
                    bridge.set_state(State::Camera { lane: lane.clone() }, &value);
                }
                records.record(Event::Camera {
                    lane,
                    state: state.to_owned(),
                    detail,
                });
            }
        })?;
    Ok(())
}

/// What the socket's requests are answered from.
struct Desk {
    started: Instant,
    clock: WallClock,
    books: Books,
    bridge: Option<BridgeHandle>,
    guardroom: Guardroom,
    #[cfg(feature = "injection")]
    records: Records,
}

impl Desk {
    fn handle(&self, request: Request) -> Reply {
        match request {
            Request::Status => Reply::Status(self.status()),
            Request::Registry { change, by } => {
                match self.books.change(change, &by, self.bridge.as_ref()) {
                    Ok(outcome) => Reply::Registry(Box::new(outcome)),
                    Err(message) => Reply::Refused { message },
                }
            }
            Request::Answer {
                lane,
                passage,
                admit,
                by,
            } => match self.guardroom.answer(lane.as_ref(), passage, admit, by) {
                Ok(message) => Reply::Done { message },
                Err(message) => Reply::Refused { message },
            },
            #[cfg(feature = "injection")]
            Request::Inject { events } => self.inject(events),
        }
    }

    #[cfg(feature = "injection")]
    fn inject(&self, events: Vec<Event>) -> Reply {
        const DURABLE_WITHIN: Duration = Duration::from_secs(8);
        for event in events {
            self.records.record(event);
        }
        let durable = self.records.flush(DURABLE_WITHIN);
        let message = format!("durable up to entry {}", self.books.synced());
        if durable {
            Reply::Done { message }
        } else {
            Reply::Refused { message }
        }
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            clock_trusted: self.clock.trusted(),
            vehicles: self.books.registry().map_or(0, |view| view.len() as u64),
            broker: self.bridge.as_ref().map(|bridge| bridge.status().connected),
            outbox: self.books.depth(),
            lanes: self
                .guardroom
                .doors
                .iter()
                .map(|door| LaneStatus {
                    lane: door.name.clone(),
                    frames: door.pulse.frames(),
                    asking: door.pulse.asking(),
                })
                .collect(),
        }
    }
}
