//! Between lanes and barriers: openings go one way, news the other.
//!
//! Each barrier has a thread in `gate` and a thread here that passes its news on: to the lanes
//! that share it, to the journal, and as a retained state to the bridge.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::passage::Origin;
use bridge::health::{Latencies, Stage};
use bridge::{BridgeHandle, State};
use domain::{Event, Monotonic, Name, PassageId, PlateNumber};
use gate::barrier::{BarrierEvent, Fault};
use gate::cause::CauseId;
use gate::driver::Opener;
use gate::line::Line;
use serde_json::json;
use tracing::{info, warn};
use vision::recognise::Timings;

use super::lane::Message;
use super::records::Records;

/// Where the time of a frame went before the barrier was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameTimes {
    /// When its last byte was read.
    pub(crate) read_at: Monotonic,
    /// How long it waited for the lane.
    pub(crate) waited: Duration,
    /// What seeing took.
    pub(crate) seeing: Timings,
}

/// What a lane asks of its barrier.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// For which passage.
    pub(crate) passage: PassageId,
    /// Its vehicle's plate, if one was read.
    pub(crate) plate: Option<PlateNumber>,
    /// The times of the frame that led to it, if a frame did.
    pub(crate) times: Option<FrameTimes>,
}

/// Openings that have not ended, by their cause.
type Causes = Arc<Mutex<HashMap<String, (Name, Opening)>>>;

/// A lane's end of its barrier.
#[derive(Debug)]
pub(crate) struct BarrierLink {
    lane: Name,
    opener: Opener,
    causes: Causes,
    answers: AtomicU32,
    /// How long the boom may be held open; none if it cannot be held.
    hold_cap: Option<Duration>,
}

impl BarrierLink {
    pub(crate) fn new(
        lane: Name,
        opener: Opener,
        causes: &Causes,
        hold_cap: Option<Duration>,
    ) -> Self {
        Self {
            lane,
            opener,
            causes: Arc::clone(causes),
            answers: AtomicU32::new(0),
            hold_cap,
        }
    }

    /// Asks for an opening. A verdict's cause is the passage itself, so that it opens once at
    /// most; every answer of a person is a cause of its own.
    pub(crate) fn open(&self, opening: Opening, origin: Origin) {
        let (text, origin) = match origin {
            Origin::Verdict => (
                opening.passage.to_string(),
                gate::barrier::Origin::Automatic,
            ),
            Origin::Guard => {
                let count = self.answers.fetch_add(1, Ordering::Relaxed);
                (
                    format!("answer-{}-{count}", opening.passage),
                    gate::barrier::Origin::Guard,
                )
            }
        };
        let cause = match CauseId::new(text) {
            Ok(cause) => cause,
            Err(e) => {
                warn!(error = %e, "an opening has no usable cause");
                return;
            }
        };
        self.causes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(cause.as_str().to_owned(), (self.lane.clone(), opening));
        if let Err(e) = self.opener.open(cause, origin) {
            warn!(error = %e, "the barrier cannot be reached");
        }
    }
}

impl BarrierLink {
    /// Asks for an opening on a signed command, for no passage. `cause` is never the same
    /// twice.
    pub(crate) fn command(&self, cause: &str) -> Result<(), String> {
        let cause = CauseId::new(cause).map_err(|e| e.to_string())?;
        self.opener
            .open(cause, gate::barrier::Origin::Command)
            .map_err(|e| e.to_string())
    }

    /// How long the boom may be held open; none if it cannot be held.
    pub(crate) fn hold_cap(&self) -> Option<Duration> {
        self.hold_cap
    }

    /// Asks on a signed command that the boom be held open. `cause` is never the same twice.
    pub(crate) fn hold(&self, cause: &str) -> Result<(), String> {
        let cause = CauseId::new(cause).map_err(|e| e.to_string())?;
        self.opener
            .hold(cause, gate::barrier::Origin::Command)
            .map_err(|e| e.to_string())
    }

    /// Ends the hold, if there is one.
    pub(crate) fn end_hold(&self) -> Result<(), String> {
        self.opener.end_hold().map_err(|e| e.to_string())
    }
}

/// Openings of one barrier that have not ended.
pub(crate) fn no_causes() -> Causes {
    Causes::default()
}

/// Passes the news of one barrier on.
pub(crate) struct Newsroom {
    pub(crate) barrier: Name,
    pub(crate) causes: Causes,
    pub(crate) lanes: Vec<(Name, Sender<Message>)>,
    pub(crate) records: Records,
    pub(crate) bridge: Option<BridgeHandle>,
    pub(crate) latencies: Arc<Mutex<Latencies>>,
    /// What is latched.
    pub(crate) faults: RefCell<Vec<Fault>>,
}

impl Newsroom {
    /// Works until the barrier's thread has ended.
    pub(crate) fn work(&self, news: &Receiver<BarrierEvent>) {
        for event in news {
            self.pass_on(event);
        }
    }

    fn pass_on(&self, event: BarrierEvent) {
        let barrier = self.barrier.clone();
        match event {
            BarrierEvent::OpeningStarted { cause, origin } => {
                if self.opening_of(&cause).is_none() && origin == gate::barrier::Origin::Guard {
                    self.tell_all(&Message::OpenedByButton);
                }
            }
            BarrierEvent::Energised { cause, at } => self.energised(&cause, at),
            BarrierEvent::Released { cause, .. } => {
                self.take_opening(&cause);
            }
            BarrierEvent::OpeningRefused { cause, reason, .. } => {
                self.not_opened(&cause, reason.to_string());
            }
            BarrierEvent::OpeningFailed { cause, reason } => self.not_opened(&cause, reason),
            BarrierEvent::OpeningWaits { cause, waiting } => {
                info!(barrier = %self.barrier, cause = cause.as_str(), waiting, "an opening waits");
            }
            BarrierEvent::PositionChanged { to, .. } => self.state(&word(to)),
            BarrierEvent::LineChanged {
                line: Line::ArrivalLoop(lane),
                active,
                ..
            } => {
                if let Some((_, sender)) = self.lanes.iter().find(|(name, _)| name.as_str() == lane)
                    && sender.send(Message::Loop(active)).is_err()
                {
                    warn!(lane, "the lane has ended");
                }
            }
            BarrierEvent::LineChanged { line, active, .. } => {
                info!(barrier = %self.barrier, line = %line, active, "an input changed");
                if active && matches!(line, Line::Fire | Line::Stop) {
                    let message = format!("barrier {}: {line} is active", self.barrier);
                    self.alarm(&line.to_string(), message);
                }
            }
            BarrierEvent::FaultLatched { fault } => {
                self.faults.borrow_mut().push(fault.clone());
                self.alarm(
                    "fault",
                    format!("barrier {}: {fault:?}: {}", self.barrier, fault.cure()),
                );
            }
            BarrierEvent::FaultCleared { fault } => {
                self.faults.borrow_mut().retain(|latched| *latched != fault);
                self.alarm(
                    "fault-cleared",
                    format!("barrier {}: {fault:?}", self.barrier),
                );
            }
            BarrierEvent::RelayGuardLost { reason } => {
                let cure = "openings are refused until it is back; check the relay's port";
                let message = format!(
                    "barrier {}: the relay guard is lost: {reason}; {cure}",
                    self.barrier
                );
                self.alarm("relay-guard-lost", message);
                self.state("unavailable");
            }
            BarrierEvent::RelayGuardReady => {
                info!(barrier = %self.barrier, "the relay's port is held, everything is inactive");
                // A fault outlives the guard that it came up under.
                self.state(if self.faults.borrow().is_empty() {
                    "ready"
                } else {
                    "fault"
                });
            }
            BarrierEvent::HoldStarted { cause, .. } => {
                let cause = cause.as_str().to_owned();
                info!(barrier = %self.barrier, cause, "the boom is held open");
                self.records.record(Event::HoldStarted { barrier, cause });
            }
            BarrierEvent::HoldEnded { capped } => {
                info!(barrier = %self.barrier, capped, "the boom is held open no longer");
                self.records.record(Event::HoldEnded { barrier, capped });
            }
            // News of the managed profile, which no thread drives yet.
            BarrierEvent::Tailgated { .. } => {
                info!(barrier = %self.barrier, event = ?event, "news of the barrier");
            }
            BarrierEvent::ThreadRestarted { reason } => {
                let message = format!("barrier {}: its thread began anew: {reason}", self.barrier);
                self.alarm("barrier-restarted", message);
            }
        }
    }

    /// The relay is on: the lanes are told, and it is written down.
    fn energised(&self, cause: &CauseId, at: gate::Monotonic) {
        let at = Monotonic::from_nanos(at.nanos());
        if let Some((lane, opening)) = self.opening_of(cause) {
            if let Some(times) = opening.times {
                let took = at.since(times.read_at);
                info!(
                    took_us = took.as_micros() as u64,
                    waited_us = times.waited.as_micros() as u64,
                    detect_us = times.seeing.detect.as_micros() as u64,
                    read_us = times.seeing.read.as_micros() as u64,
                    "from frame to relay"
                );
                self.latencies
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .record(Stage::Relay, took);
            }
            self.tell(&lane, Message::Opened(opening.passage));
            if let Some(plate) = opening.plate {
                for (other, sender) in self.lanes.iter().filter(|(name, _)| *name != lane) {
                    let message = Message::PassedOtherLane(plate.clone());
                    if sender.send(message).is_err() {
                        warn!(lane = %other, "the lane has ended");
                    }
                }
            }
        }
        let cause = cause.as_str().to_owned();
        self.records.record(Event::Opened {
            barrier: self.barrier.clone(),
            cause,
        });
    }

    fn opening_of(&self, cause: &CauseId) -> Option<(Name, Opening)> {
        self.causes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(cause.as_str())
            .cloned()
    }

    fn take_opening(&self, cause: &CauseId) -> Option<(Name, Opening)> {
        self.causes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(cause.as_str())
    }

    fn not_opened(&self, cause: &CauseId, why: String) {
        warn!(barrier = %self.barrier, cause = cause.as_str(), why, "not opened");
        if let Some((lane, opening)) = self.take_opening(cause) {
            self.tell(&lane, Message::NotOpened(opening.passage));
        }
        let (barrier, cause) = (self.barrier.clone(), cause.as_str().to_owned());
        self.records.record(Event::OpeningRefused {
            barrier,
            cause,
            why,
        });
    }

    fn tell(&self, lane: &Name, message: Message) {
        if let Some((_, sender)) = self.lanes.iter().find(|(name, _)| name == lane)
            && sender.send(message).is_err()
        {
            warn!(lane = %lane, "the lane has ended");
        }
    }

    fn tell_all(&self, message: &Message) {
        for (lane, _) in &self.lanes {
            self.tell(lane, message.clone());
        }
    }

    fn state(&self, state: &str) {
        let barrier = self.barrier.clone();
        if let Some(bridge) = &self.bridge {
            let value = json!({ "barrier": barrier, "state": state });
            bridge.set_state(
                State::Barrier {
                    barrier: barrier.clone(),
                },
                &value,
            );
        }
        self.records.record(Event::Barrier {
            barrier,
            state: state.to_owned(),
        });
    }

    fn alarm(&self, code: &str, message: String) {
        warn!(code, "{message}");
        if let Some(bridge) = &self.bridge {
            bridge.publish_alarm(&json!({ "code": code, "message": message }));
        }
        self.records.record(Event::Alarm {
            code: code.to_owned(),
            message,
        });
    }
}

/// The glossary's word for a position.
fn word(position: gate::barrier::Position) -> String {
    serde_json::to_value(position)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
