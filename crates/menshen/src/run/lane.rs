//! A lane's thread: frames in, actions out.
//!
//! ```text
//! camera ─► recogniser ─► tracker ─► access::passage::Lane ─► barrier, records, pictures
//!                  messages (loop, answers, barrier's news) ──┘
//! ```
//!
//! The thread owns its recogniser and tracker and carries data between the pure parts. Nothing
//! in it waits for a disk or a network. If it panics it is started again alone, by
//! [`super::supervise::LaneKeeper`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use access::passage::{Action, Input, Lane, Now};
use access::policy::{Margins, PolicyInput};
use bridge::health::{Latencies, Stage};
use domain::reading::{Alphabet, Sighting};
use domain::verdict::Verdict;
use domain::{Event, Monotonic, PassageId, PlateNumber};
use tracing::{Span, debug, info, info_span, warn};
use uuid::Uuid;
use vision::Frame;
use vision::recognise::{Recogniser, Timings};
use vision::source::CameraHandle;
use vision::tracker::Tracker;

use super::barriers::{BarrierLink, FrameTimes, Opening};
use super::clock::{self, WallClock};
use super::papers::Papers;
use super::pictures::{Pictures, Shot};
use super::records::Records;

/// What other parts of the house tell a lane.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// The arrival loop was occupied or cleared.
    Loop(bool),
    /// A person answered.
    Answer {
        /// The passage, or the one that waits longest.
        passage: Option<PassageId>,
        /// Whether the vehicle may pass.
        admit: bool,
        /// Who answered.
        by: String,
    },
    /// The relay was energised for this passage.
    Opened(PassageId),
    /// The barrier did not open for this passage.
    NotOpened(PassageId),
    /// The guard's button opened the barrier.
    OpenedByButton,
    /// A vehicle passed the other lane of the boom.
    PassedOtherLane(PlateNumber),
    /// Write down what is open, and end.
    Stop,
}

/// What the outside may know of a lane while it runs.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// When the loop last came round, in nanoseconds of the monotonic clock.
    beat: AtomicU64,
    /// Frames recognised since the start.
    frames: AtomicU64,
    /// The passage that waits for an answer.
    asking: Mutex<Option<PassageId>>,
    /// Whether the models have been run once.
    warm: AtomicBool,
}

impl Pulse {
    pub(crate) fn since_beat(&self) -> Duration {
        let beat = Monotonic::from_nanos(self.beat.load(Ordering::Relaxed));
        clock::monotonic().since(beat)
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn asking(&self) -> Option<PassageId> {
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Acquire)
    }
}

/// Everything a lane's thread works with.
pub(crate) struct LaneThread {
    pub(crate) settings: access::passage::Settings,
    pub(crate) margins: Margins,
    pub(crate) recogniser: Recogniser,
    pub(crate) tracker: Tracker,
    pub(crate) camera: Arc<CameraHandle>,
    pub(crate) barrier: Arc<BarrierLink>,
    pub(crate) records: Records,
    pub(crate) pictures: Pictures,
    /// Reads passes that are held up; none on lanes that do not.
    pub(crate) papers: Option<Papers>,
    pub(crate) clock: WallClock,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) latencies: Arc<Mutex<Latencies>>,
}

/// The longest the thread sleeps before it looks at its messages and at the time.
const ROUND: Duration = Duration::from_millis(20);

impl LaneThread {
    /// Runs the models once on an empty frame, so that the first car does not wait for pages to
    /// be read and buffers to be made.
    pub(crate) fn warm_up(&mut self) {
        let now = clock::now();
        let grey = vec![90; 1280 * 720 * 3];
        if let Ok(frame) = Frame::new(grey, 1280, 720, now.monotonic, now.wall, 0)
            && let Err(e) = self.recogniser.recognise(&frame)
        {
            warn!(error = %e, "the models could not be run");
        }
        self.pulse
            .beat
            .store(clock::monotonic().as_nanos(), Ordering::Relaxed);
        self.pulse.warm.store(true, Ordering::Release);
    }

    /// Works until [`Message::Stop`] or until every sender is gone.
    pub(crate) fn work(&mut self, messages: &Receiver<Message>) {
        let mut lane = Lane::new(self.settings.clone());
        let alphabet = self.recogniser.models().alphabet().clone();
        let mut going_on: GoingOn = HashMap::new();
        let mut latest: Option<Frame> = None;
        loop {
            let frame = self.camera.next_frame(ROUND);
            self.pulse
                .beat
                .store(clock::monotonic().as_nanos(), Ordering::Relaxed);
            loop {
                let message = match messages.try_recv() {
                    Ok(Message::Stop) | Err(TryRecvError::Disconnected) => {
                        let actions =
                            self.step(&mut lane, &alphabet, clock::now(), Input::Interrupt);
                        self.act(actions, &mut going_on, latest.as_ref(), None);
                        return;
                    }
                    Ok(message) => message,
                    Err(TryRecvError::Empty) => break,
                };
                let actions = self.step(&mut lane, &alphabet, clock::now(), message.as_input());
                self.act(actions, &mut going_on, latest.as_ref(), None);
            }
            if let Some(frame) = frame {
                let waited = clock::monotonic().since(frame.at);
                let (vehicles, seeing) = self.look(&frame);
                let times = FrameTimes {
                    read_at: frame.at,
                    waited,
                    seeing,
                };
                latest = Some(frame);
                let deciding = Instant::now();
                let actions = self.step(
                    &mut lane,
                    &alphabet,
                    clock::now(),
                    Input::Vehicles(&vehicles),
                );
                self.took(Stage::Decide, deciding.elapsed());
                self.act(actions, &mut going_on, latest.as_ref(), Some(times));
            } else {
                let actions = self.step(&mut lane, &alphabet, clock::now(), Input::Tick);
                self.act(actions, &mut going_on, latest.as_ref(), None);
            }
            if let Some((id, verdict)) = self.shown(&lane, latest.as_ref()) {
                let shown = Input::PassShown(id, &verdict);
                let actions = self.step(&mut lane, &alphabet, clock::now(), shown);
                self.act(actions, &mut going_on, latest.as_ref(), None);
            }
            let asking = lane.asking();
            *self
                .pulse
                .asking
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = asking;
        }
    }

    fn look(&mut self, frame: &Frame) -> (Vec<domain::Vehicle>, Timings) {
        let (readings, timings) = match self.recogniser.recognise(frame) {
            Ok(seen) => {
                self.took(Stage::Detect, seen.timings.detect);
                self.took(Stage::Read, seen.timings.read);
                (seen.readings, seen.timings)
            }
            Err(e) => {
                warn!(lane = %self.settings.lane, error = %e, "a frame could not be recognised");
                (Vec::new(), Timings::default())
            }
        };
        self.pulse.frames.fetch_add(1, Ordering::Relaxed);
        (self.tracker.observe(frame.at, &readings), timings)
    }

    /// The verdict that a pass held up to the camera changes, if one does.
    fn shown(&mut self, lane: &Lane, latest: Option<&Frame>) -> Option<(PassageId, Verdict)> {
        let (papers, records) = (self.papers.as_mut()?, &self.records);
        let now = clock::now();
        if let Some(frame) = latest {
            papers.offer(frame, records);
        }
        papers.take(&self.settings.lane, now, records);
        papers.judge(lane, now, records)
    }

    fn step(
        &self,
        lane: &mut Lane,
        alphabet: &Alphabet,
        now: Now,
        input: Input<'_>,
    ) -> Vec<Action> {
        let registry = self.records.registry();
        let time = self.records.time();
        let decide = |sighting: Option<&Sighting>, last_look: bool| -> Option<Verdict> {
            let input = PolicyInput {
                sighting,
                registry: registry.as_ref(),
                alphabet,
                direction: self.settings.direction,
                // The rules ask the clock themselves.
                today: None,
                final_look: last_look,
                margins: &self.margins,
            };
            let (inside, shadow) = (self.records.inside(), self.settings.shadow);
            inside.judge(&input, time, shadow, now.monotonic)
        };
        lane.step(now, input, &decide, &mut || PassageId(Uuid::now_v7()))
    }

    fn took(&self, stage: Stage, time: Duration) {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(stage, time);
    }

    /// Carries out what the lane wants; `times` are those of the frame that led to it.
    fn act(
        &self,
        actions: Vec<Action>,
        going_on: &mut GoingOn,
        frame: Option<&Frame>,
        times: Option<FrameTimes>,
    ) {
        for action in actions {
            match action {
                Action::Open(id, origin) => {
                    let known = self.known(going_on, id);
                    let _entered = known.span.enter();
                    debug!(?origin, "asking the barrier to open");
                    let opening = Opening {
                        passage: id,
                        plate: known.plate.clone(),
                        times,
                    };
                    self.barrier.open(opening, origin);
                }
                Action::Record(event) => self.record(event, going_on),
                Action::Picture(id, quad) => {
                    if let Some(frame) = frame {
                        let (lane, day) = (self.settings.lane.clone(), self.clock.day());
                        let shot = Shot {
                            passage: id,
                            day,
                            lane,
                            frame: frame.clone(),
                            quad,
                        };
                        self.known(going_on, id).pictures = shot.paths();
                        self.pictures.keep(shot);
                    }
                }
                Action::Ask(id, true) => {
                    let _entered = self.known(going_on, id).span.enter();
                    info!("the guard is asked / 请门卫确认");
                }
                Action::Ask(_, false) => {}
            }
        }
    }

    fn record(&self, mut event: Event, going_on: &mut GoingOn) {
        match &mut event {
            Event::Verdict {
                passage, verdict, ..
            } => {
                let known = self.known(going_on, *passage);
                known.plate.clone_from(&verdict.plate);
                let _entered = known.span.enter();
                info!(
                    plate = verdict.plate.as_ref().map_or("-", PlateNumber::as_str),
                    decision = verdict.decision.english(),
                    reason = verdict.reason.code(),
                    readings = verdict.evidence.readings,
                    "{} / {}",
                    verdict.reason.english(),
                    verdict.reason.chinese(),
                );
            }
            Event::Passage(record) => {
                let known = self.known(going_on, record.passage);
                record.pictures = std::mem::take(&mut known.pictures);
                {
                    let _entered = known.span.enter();
                    info!(outcome = record.outcome.english(), "the passage ended");
                }
                going_on.remove(&record.passage);
            }
            _ => {}
        }
        self.records.record(event);
    }

    fn known<'a>(&self, going_on: &'a mut GoingOn, id: PassageId) -> &'a mut Known {
        going_on.entry(id).or_insert_with(|| Known {
            span: info_span!("passage", lane = %self.settings.lane, id = %id),
            plate: None,
            pictures: Vec::new(),
        })
    }
}

/// What the thread keeps of the passages that are going on, for logs and the barrier.
type GoingOn = HashMap<PassageId, Known>;

struct Known {
    span: Span,
    plate: Option<PlateNumber>,
    /// Paths within the picture archive.
    pictures: Vec<String>,
}

impl Message {
    fn as_input(&self) -> Input<'_> {
        match self {
            Self::Loop(occupied) => Input::Loop(*occupied),
            Self::Answer { passage, admit, by } => Input::Answer {
                passage: *passage,
                admit: *admit,
                by,
            },
            Self::Opened(id) => Input::Opened(*id),
            Self::NotOpened(id) => Input::NotOpened(*id),
            Self::OpenedByButton => Input::OpenedByButton,
            Self::PassedOtherLane(plate) => Input::PassedOtherLane(plate),
            Self::Stop => Input::Interrupt,
        }
    }
}
