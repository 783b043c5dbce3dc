//! A lane's camera, watched for as long as the person looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::Words;
use vision::Frame;
use vision::models::Models;
use vision::recognise::{Options, PlateText, Recogniser, best_text};
use vision::source::{Camera, CameraHandle, Change, SystemClock};

use super::session::Look;
use crate::config::House;

/// How often the session is told.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How long one wait for a picture is.
const WAIT: Duration = Duration::from_millis(100);
/// Plates that are listed.
const PLATES_MAX: usize = 5;

/// A camera that is being watched. Dropping it ends that.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Opens the camera of a lane and tells what it shows, twice a second, while `tell` wants
    /// to hear.
    pub(super) fn start(
        house: &House,
        lane: usize,
        tell: impl Fn(Look) -> bool + Send + 'static,
    ) -> Result<Self, Words> {
        let lane = &house.lanes[lane];
        let models = match &house.models.folder {
            Some(folder) => Models::load(folder),
            None => Models::embedded(),
        };
        let models = models.map_err(|e| Words::as_it_is(e.to_string()))?;
        let recogniser = Recogniser::new(&models, Options::for_a_lane())
            .map_err(|e| Words::as_it_is(e.to_string()))?;
        let (events, changes) = channel();
        let name = lane.settings.lane.clone();
        let camera = Camera::start(&lane.camera, name, events, Arc::new(SystemClock));
        let camera = camera.map_err(|problems| {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Words::as_it_is(all.join("; "))
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("look".to_owned())
            .spawn(move || {
                let mut look = Look::default();
                let mut viewer = Viewer {
                    camera,
                    recogniser,
                    began: Instant::now(),
                };
                let mut told = Instant::now();
                while !ended.load(Ordering::Relaxed) {
                    viewer.watch(&mut look);
                    for event in changes.try_iter() {
                        look.trouble = match event.change {
                            Change::Offline { reason } | Change::Refused { reason, .. } => {
                                Some(reason)
                            }
                            _ => None,
                        };
                    }
                    if told.elapsed() >= TELL_EVERY {
                        told = Instant::now();
                        if !tell(look.clone()) {
                            return;
                        }
                    }
                }
            })
            .map_err(|e| Words::as_it_is(e.to_string()))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been told on standard error and takes nothing with it.
            let _ = thread.join();
        }
    }
}

struct Viewer {
    camera: CameraHandle,
    recogniser: Recogniser,
    began: Instant,
}

impl Viewer {
    fn watch(&mut self, look: &mut Look) {
        let Some(frame) = self.camera.next_frame(WAIT) else {
            if self.camera.is_over() {
                std::thread::sleep(WAIT);
            }
            return;
        };
        if look.frames == 0 {
            // The time until a camera answers says nothing about its rate.
            self.began = Instant::now();
        }
        look.frames = self.camera.counts().frames;
        look.size = Some((frame.width, frame.height));
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        look.tenths_a_second = (look.frames.saturating_sub(1) * 10_000)
            .checked_div(ms)
            .unwrap_or(0);
        for plate in self.plates(&frame) {
            if !look.plates.contains(&plate) && look.plates.len() < PLATES_MAX {
                look.plates.push(plate);
            }
        }
    }

    fn plates(&mut self, frame: &Frame) -> Vec<String> {
        let Ok(seen) = self.recogniser.recognise(frame) else {
            return Vec::new();
        };
        let alphabet = self.recogniser.models().alphabet();
        let text = |reading| best_text(reading, alphabet).filter(PlateText::is_plate);
        let plates = seen.readings.iter().filter_map(text);
        plates.map(|plate| plate.number.to_string()).collect()
    }
}
