//! Keeps a lane running: a panic in one lane ends that lane's round, not the house.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use access::Margins;
use access::passage::Settings;
use bridge::health::Latencies;
use domain::Event;
use tracing::error;
use vision::models::Models;
use vision::recognise::{Options, Recogniser};
use vision::source::CameraHandle;
use vision::tracker::{self, Tracker};

use super::barriers::BarrierLink;
use super::clock::WallClock;
use super::lane::{LaneThread, Message, Pulse};
use super::papers::Papers;
use super::pictures::Pictures;
use super::records::Records;

/// Between a lane's fall and its new start.
const PAUSE: Duration = Duration::from_millis(200);

/// What a lane's thread is made from, again and again.
pub(crate) struct LaneKeeper {
    pub(crate) settings: Settings,
    /// Whether passes that are held up to the camera are read.
    pub(crate) read_passes: bool,
    pub(crate) margins: Margins,
    pub(crate) models: Models,
    pub(crate) camera: Arc<CameraHandle>,
    pub(crate) barrier: Arc<BarrierLink>,
    pub(crate) records: Records,
    pub(crate) pictures: Pictures,
    pub(crate) clock: WallClock,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) latencies: Arc<Mutex<Latencies>>,
}

impl LaneKeeper {
    /// Starts the lane on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(self, inbox: Receiver<Message>) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name(format!("lane-{}", self.settings.lane))
            .spawn(move || self.keep(&inbox))
    }

    fn keep(&self, inbox: &Receiver<Message>) {
        loop {
            // The thread's state is made anew after a panic, so nothing broken is seen again.
            let ended = catch_unwind(AssertUnwindSafe(|| self.once(inbox)));
            let why = match ended {
                Ok(Ok(())) => return,
                Ok(Err(why)) => why,
                Err(panic) => panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("it panicked")
                    .to_owned(),
            };
            let lane = &self.settings.lane;
            error!(%lane, "the lane fell and is started again: {why}");
            let message = format!("lane {lane} fell and was started again: {why}");
            self.records.record(Event::Alarm {
                code: "lane-restarted".to_owned(),
                message,
            });
            std::thread::sleep(PAUSE);
        }
    }

    fn once(&self, inbox: &Receiver<Message>) -> Result<(), String> {
        let recogniser =
            Recogniser::new(&self.models, Options::for_a_lane()).map_err(|e| e.to_string())?;
        let tracker = Tracker::new(tracker::Settings::default(), self.models.alphabet().clone());
        let mut lane = LaneThread {
            settings: self.settings.clone(),
            margins: self.margins,
            recogniser,
            tracker,
            camera: Arc::clone(&self.camera),
            barrier: Arc::clone(&self.barrier),
            records: self.records.clone(),
            pictures: self.pictures.clone(),
            papers: self
                .read_passes
                .then(|| Papers::start(&self.settings.lane))
                .flatten(),
            clock: self.clock.clone(),
            pulse: Arc::clone(&self.pulse),
            latencies: Arc::clone(&self.latencies),
        };
        lane.warm_up();
        lane.work(inbox);
        Ok(())
    }
}
