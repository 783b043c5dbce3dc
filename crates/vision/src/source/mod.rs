//! Cameras of every sort behind one trait; the latest frame wins.
//!
//! ```text
//! RTSP ─ retina ─ ffmpeg ┐            ┌─────────── supervisor thread ──────────┐
//! USB, file ───── ffmpeg ┤            │ decode JPEG, fingerprint, health       │
//! Pi ──────── rpicam-vid ┼─► inbox ──►│   │                 │                  ├─► slot ─► lane
//! HTTP, folder, pipe ────┘  (latest)  │ open, close      CameraEvent           │ (latest)
//!                                     └────────────────────────────────────────┘
//! ```
//!
//! [`Camera::start`] gives each camera a supervisor thread. It opens the camera's source (a
//! session on threads of its own, which always drain what the camera sends), takes the latest
//! picture from the session's inbox, tells [`health`] what happened, does what that says (open,
//! close, report), and puts the frame into a slot of depth one. Nothing ever waits for a slow
//! reader.
//!
//! - [`config`]: what an installer writes about a camera, and its check.
//! - [`health`]: pure: when to reconnect, what is offline, frozen, ended.
//! - [`netpbm`], [`jpeg`]: pure: byte streams to pictures.
//! - private: one module for each kind of source, children and their last words.
//!
//! Invariant: a password is in none of the arguments, events and log lines made here.
//! Invariant: video is decoded in a child process only.

mod child;
pub mod config;
mod ffmpeg;
pub mod health;
mod http;
pub mod jpeg;
pub mod netpbm;
mod pi;
mod pictures;
mod pipe;
mod rtsp;
mod session;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::{Monotonic, Name, Words};
use jiff::Timestamp;

pub use config::{CameraConfig, Kind, Problem};
pub use health::Change;

use crate::frame::Frame;
use crate::slot::Slot;
use config::Plan;
use health::{Action, Health, Input};
use session::{Arrival, Inbox, Pixels, Post, Session, Source};

/// How often the supervisor looks whether time alone changes something.
const TICK: Duration = Duration::from_millis(50);

/// Where frames get their times from.
pub trait Clock: Send + Sync {
    /// The machine's monotonic clock.
    fn now(&self) -> Monotonic;
    /// The wall clock, which may be wrong.
    fn wall(&self) -> Timestamp;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Monotonic {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Monotonic::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A change of a camera's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraEvent {
    /// The camera's name, as given to [`Camera::start`].
    pub camera: Name,
    /// When it was noticed.
    pub at: Monotonic,
    /// The wall clock at that moment.
    pub wall: Timestamp,
    /// What changed.
    pub change: Change,
}

/// What a camera is doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraState {
    /// It has not shown a picture yet since the start.
    Connecting,
    /// Pictures of this size arrive.
    Online {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// No pictures arrive; attempts to reconnect go on.
    Offline {
        /// What went wrong at the latest attempt.
        reason: String,
    },
    /// One same picture arrives.
    Frozen {
        /// Since when.
        since: Monotonic,
    },
    /// The file or folder was played to its end.
    Ended,
}

/// Counters since the start of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames that were offered to the reader.
    pub frames: u64,
    /// Frames among them that a later one replaced before anybody took them.
    pub replaced: u64,
    /// Pictures that could not be used.
    pub refused: u64,
    /// Attempts to open the camera.
    pub attempts: u64,
}

/// A camera that is not running; see [`Camera::start`].
#[derive(Debug)]
pub struct Camera;

struct Shared {
    slot: Slot<Frame>,
    state: Mutex<CameraState>,
    stop: AtomicBool,
    frames: AtomicU64,
    refused: AtomicU64,
    attempts: AtomicU64,
}

/// A running camera. Dropping it stops the camera and its children.
pub struct CameraHandle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// Starts watching a camera. Returns at once: whether the camera can be reached is reported
    /// to `events`, and attempts go on until the handle is dropped.
    ///
    /// # Errors
    /// The configuration's problems, or that no thread could be started.
    pub fn start(
        config: &CameraConfig,
        name: Name,
        events: Sender<CameraEvent>,
        clock: Arc<dyn Clock>,
    ) -> Result<CameraHandle, Vec<Problem>> {
        let source = source(config.plan()?);
        let shared = Arc::new(Shared {
            slot: Slot::new(),
            state: Mutex::new(CameraState::Connecting),
            stop: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
        });
        let mut supervisor = Supervisor {
            health: Health::new(config.limits(), clock.now()),
            source,
            session: None,
            name,
            events,
            clock,
            shared: Arc::clone(&shared),
            number: 0,
        };
        let thread = std::thread::Builder::new()
            .name(format!("camera-{}", supervisor.name))
            .spawn(move || {
                let _closing = Closing(Arc::clone(&supervisor.shared));
                let span = tracing::info_span!("camera", name = %supervisor.name);
                let _entered = span.enter();
                supervisor.run();
            })
            .map_err(|error| {
                vec![Problem::new(
                    "kind",
                    Words::new(
                        format!("不能为摄像机启动线程（{error}）"),
                        format!("no thread could be started: {error}"),
                    ),
                    Words::new(
                        "关掉别的程序，或放宽 systemd 的 TasksMax",
                        "stop other programs, or raise TasksMax in the unit",
                    ),
                )]
            })?;
        Ok(CameraHandle {
            shared,
            thread: Some(thread),
        })
    }
}

impl CameraHandle {
    /// Waits at most `timeout` for a frame that was not given yet: always the latest. Answers
    /// `None` at once when there will never be another.
    pub fn next_frame(&self, timeout: Duration) -> Option<Frame> {
        self.shared.slot.take(timeout)
    }

    /// Whether no frame will ever come again: a file or folder was played to its end.
    pub fn is_over(&self) -> bool {
        self.shared.slot.is_over()
    }

    /// What the camera is doing now.
    pub fn state(&self) -> CameraState {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counters since the start.
    pub fn counts(&self) -> Counts {
        Counts {
            frames: self.shared.frames.load(Ordering::Relaxed),
            replaced: self.shared.slot.replaced(),
            refused: self.shared.refused.load(Ordering::Relaxed),
            attempts: self.shared.attempts.load(Ordering::Relaxed),
        }
    }
}

impl Drop for CameraHandle {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The supervisor ends within a tick and its session within a second or two. A shutdown
        // must not hang on a camera beyond that.
        let until = Instant::now() + Duration::from_millis(2_500);
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() && thread.join().is_err() {
            tracing::error!("a camera's supervisor panicked");
        }
    }
}

/// Closes the slot however the supervisor ends, so that no reader waits for a dead camera.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.slot.close();
    }
}

fn source(plan: Plan) -> Box<dyn Source> {
    match plan {
        Plan::Rtsp {
            url,
            login,
            at_most,
            program,
        } => Box::new(rtsp::Camera {
            url,
            login,
            at_most,
            program,
        }),
        Plan::Usb {
            device,
            capture,
            program,
        } => Box::new(ffmpeg::Usb::new(device, capture, program)),
        Plan::Pi {
            number,
            capture,
            program,
        } => Box::new(pi::Pi {
            number,
            capture,
            program,
        }),
        Plan::Snapshot { url, login, period } => Box::new(http::Snapshot { url, login, period }),
        Plan::Mjpeg { url, login, fps } => Box::new(http::Mjpeg { url, login, fps }),
        Plan::File {
            path,
            again,
            realtime,
            at_most,
            program,
        } => Box::new(ffmpeg::File {
            path,
            again,
            realtime,
            at_most,
            program,
        }),
        Plan::Pictures {
            folder,
            again,
            period,
        } => Box::new(pictures::Folder {
            path: folder,
            again,
            period,
        }),
        Plan::Pipe { fifo } => Box::new(pipe::Pipe { fifo }),
    }
}

struct Supervisor {
    health: Health,
    source: Box<dyn Source>,
    session: Option<(Box<dyn Session>, Inbox)>,
    name: Name,
    events: Sender<CameraEvent>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    number: u64,
}

impl Supervisor {
    fn run(&mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let input = self.wait();
            let actions = self.health.step(self.clock.now(), input, rand::random());
            for action in actions {
                match action {
                    Action::Open => self.open(),
                    Action::Close => self.session = None,
                    Action::Report(change) => self.report(change),
                    Action::Finish => return,
                }
            }
        }
    }

    fn wait(&mut self) -> Input {
        let Some((_, inbox)) = &self.session else {
            let now = self.clock.now();
            let left = self
                .health
                .idle_until()
                .map_or(TICK, |until| until.since(now));
            std::thread::sleep(left.min(TICK));
            return Input::Tick;
        };
        match inbox.take(TICK) {
            Post::Nothing => Input::Tick,
            Post::Picture(arrival) => self.pass_on(arrival),
            Post::Refused(reason) => self.refused(&reason),
            Post::Failed(reason) => {
                self.failed(&reason);
                Input::Failed(reason)
            }
            Post::Ended => Input::Ended,
        }
    }

    fn open(&mut self) {
        self.shared.attempts.fetch_add(1, Ordering::Relaxed);
        let inbox = Inbox::new(Arc::clone(&self.clock));
        let session = match self.source.open(&inbox) {
            Ok(session) => session,
            Err(reason) => {
                inbox.failed(reason);
                Box::new(NeverOpened)
            }
        };
        self.session = Some((session, inbox));
    }

    /// Decodes a picture, offers it to the reader, and says what health needs to know.
    fn pass_on(&mut self, arrival: Arrival) -> Input {
        let Arrival { pixels, at, wall } = arrival;
        let (rgb, width, height) = match pixels {
            Pixels::Rgb { rgb, width, height } => (rgb, width, height),
            Pixels::Encoded { bytes, name } => match crate::picture::decode(&bytes) {
                Ok(picture) => (picture.rgb, picture.width, picture.height),
                Err(error) => {
                    return self.refused(&match name {
                        Some(name) => format!("{name}: {error}"),
                        None => error.to_string(),
                    });
                }
            },
        };
        let fingerprint = fingerprint(&rgb, width);
        match Frame::new(rgb, width, height, at, wall, self.number) {
            Ok(frame) => {
                self.number += 1;
                self.shared.slot.put(frame);
                self.shared.frames.fetch_add(1, Ordering::Relaxed);
                Input::Picture {
                    width,
                    height,
                    fingerprint,
                }
            }
            Err(_) => self.refused(&format!("the pixels do not fill {width} x {height}")),
        }
    }

    fn refused(&mut self, reason: &str) -> Input {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        // Decoders' messages may go over several lines.
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        tracing::debug!(reason, "a picture was refused");
        Input::Refused(reason)
    }

    /// Keeps the shown reason fresh: the first one was reported, later ones may say more.
    fn failed(&mut self, reason: &str) {
        tracing::debug!(reason, "the camera's stream failed");
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let CameraState::Offline { reason: shown } = &mut *state {
            reason.clone_into(shown);
        }
    }

    fn report(&self, change: Change) {
        let (at, wall) = (self.clock.now(), self.clock.wall());
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &change {
            Change::Online { width, height } => {
                tracing::info!(width, height, "online");
                *state = CameraState::Online {
                    width: *width,
                    height: *height,
                };
            }
            Change::Offline { reason } => {
                tracing::warn!(reason, "offline");
                *state = CameraState::Offline {
                    reason: reason.clone(),
                };
            }
            Change::Frozen { since } => {
                tracing::warn!("frozen: one same picture for {:?}", at.since(*since));
                *state = CameraState::Frozen { since: *since };
            }
            Change::Unfrozen => {
                tracing::info!("shows something new again");
                *state = self
                    .health
                    .size()
                    .map_or(CameraState::Connecting, |(width, height)| {
                        CameraState::Online { width, height }
                    });
            }
            Change::Refused { reason, count } => tracing::warn!(reason, count, "refused"),
            Change::Ended => {
                tracing::info!("played to the end");
                *state = CameraState::Ended;
            }
        }
        drop(state);
        let event = CameraEvent {
            camera: self.name.clone(),
            at,
            wall,
            change,
        };
        if self.events.send(event).is_err() {
            tracing::debug!("nobody listens to this camera's events");
        }
    }
}

/// Stands in for a session that could not be opened.
struct NeverOpened;

impl Session for NeverOpened {}

/// A number that is equal for equal pictures and almost surely differs for others. Every
/// eighth row is looked at in full, which takes about 0.1 ms at 1280 x 720; the noise of a
/// living camera's sensor shows in any row.
fn fingerprint(rgb: &[u8], width: u32) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let row = (width as usize * 3).max(1);
    let mut hash = ODD ^ rgb.len() as u64;
    for row in rgb.chunks(row).step_by(8) {
        for word in row.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            hash = (hash.rotate_left(5) ^ u64::from_le_bytes(bytes)).wrapping_mul(ODD);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_value_in_a_watched_row_changes_the_fingerprint() {
        let mut rgb = vec![90; 31 * 17 * 3];
        let before = fingerprint(&rgb, 31);
        assert_eq!(before, fingerprint(&rgb, 31));
        for place in [0, 31 * 3 - 1, 8 * 31 * 3 + 7] {
            rgb[place] ^= 1;
            assert_ne!(before, fingerprint(&rgb, 31), "value {place}");
            rgb[place] ^= 1;
        }
    }

    #[test]
    fn the_clock_goes_forward() {
        let clock = SystemClock;
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.now().since(first) >= Duration::from_millis(2));
    }
}
