//! A passage that is going on.

use std::time::Duration;

use domain::verdict::Verdict;
use domain::{Event, Monotonic, Outcome, PassageId, PassageRecord, Quad, Vehicle};
use jiff::Timestamp;

use super::{Now, Settings};

/// What has become of the passage's own opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing yet.
    None,
    /// The barrier was asked, after so many refusals.
    Asked(u32),
    /// The barrier began to open.
    Done(Monotonic),
    /// The barrier said no, for the so-many-th time.
    Failed(Monotonic, u32),
}

/// A question to the guard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub(super) until: Monotonic,
}

/// A passage that is going on.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) id: PassageId,
    pub(super) began: Now,
    pub(super) vehicle: Option<Vehicle>,
    /// When the vehicle was last seen or felt.
    pub(super) last_present: Monotonic,
    pub(super) on_loop: bool,
    pub(super) left_loop: Option<Monotonic>,
    pub(super) verdict: Option<(Verdict, Monotonic)>,
    pub(super) asking: Option<Asking>,
    pub(super) opening: Opening,
    /// Whether the guard was asked about an admitted vehicle that still waits.
    pub(super) asked_again: bool,
}

impl Passage {
    pub(super) fn new(id: PassageId, now: Now) -> Self {
        Self {
            id,
            began: now,
            vehicle: None,
            last_present: now.monotonic,
            on_loop: false,
            left_loop: None,
            verdict: None,
            asking: None,
            opening: Opening::None,
            asked_again: false,
        }
    }

    pub(super) fn is_of(&self, vehicle: u64) -> bool {
        self.vehicle.as_ref().is_some_and(|v| v.id == vehicle)
    }

    pub(super) fn see(&mut self, vehicle: &Vehicle) {
        self.last_present = self.last_present.max(vehicle.last_seen);
        self.vehicle = Some(vehicle.clone());
    }

    pub(super) fn readings(&self) -> u32 {
        self.vehicle.as_ref().map_or(0, |v| v.sighting.readings)
    }

    /// Whether this is surely a vehicle, not one stray reading.
    pub(super) fn is_vehicle(&self) -> bool {
        self.readings() >= 2 || self.on_loop || self.verdict.is_some()
    }

    /// Whether the vehicle drove off the arrival loop through the open boom: whatever comes onto
    /// the loop now is another one, unless it is a moment's flicker.
    pub(super) fn has_passed(&self, now: Monotonic) -> bool {
        let flicker = Duration::from_secs(1);
        matches!(self.opening, Opening::Done(_))
            && self
                .left_loop
                .is_some_and(|left| now.since(left) >= flicker)
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.verdict
            .as_ref()
            .is_some_and(|(v, _)| v.decision == domain::Decision::Admit)
    }

    /// Width of the plate when it was last seen, in pixels; 0 without a plate.
    pub(super) fn width(&self) -> f32 {
        self.vehicle
            .as_ref()
            .map_or(0.0, |v| v.sighting.quad.width())
    }

    pub(super) fn quad(&self) -> Option<Quad> {
        self.vehicle.as_ref().map(|v| v.sighting.quad)
    }

    /// Since when it has stood in this passage: a vehicle that left and came back to the same
    /// place has not been standing there in between.
    pub(super) fn still_since(&self) -> Monotonic {
        let began = self.began.monotonic;
        self.vehicle
            .as_ref()
            .map_or(began, |v| v.still_since.max(began))
    }

    /// Whether the barrier should be asked to open, now that the vehicle may pass and is in
    /// front: once, and again at growing intervals if the barrier could not.
    pub(super) fn wants_opening(&self, now: Monotonic) -> bool {
        match self.opening {
            Opening::None => true,
            Opening::Asked(_) | Opening::Done(_) => false,
            Opening::Failed(at, times) => {
                now.since(at) >= Duration::from_secs(1 << times.saturating_sub(1).min(6))
            }
        }
    }

    /// Times the barrier has said no so far.
    pub(super) fn failures(&self) -> u32 {
        match self.opening {
            Opening::Asked(failures) | Opening::Failed(_, failures) => failures,
            Opening::None | Opening::Done(_) => 0,
        }
    }

    pub(super) fn record(self, settings: &Settings, outcome: Outcome, ended: Timestamp) -> Event {
        let readings = self.readings();
        let verdict = self.verdict.map(|(verdict, _)| verdict);
        Event::Passage(Box::new(PassageRecord {
            passage: self.id,
            lane: settings.lane.clone(),
            direction: settings.direction,
            began: self.began.wall,
            ended,
            decision: verdict.as_ref().map(|v| v.decision),
            reason: verdict.as_ref().map(|v| v.reason),
            pass: verdict.as_ref().and_then(|v| v.evidence.pass),
            plate: verdict.and_then(|v| v.plate),
            kind: self.vehicle.and_then(|v| v.sighting.kind),
            outcome,
            readings,
            shadow: settings.shadow,
            pictures: Vec::new(),
        }))
    }
}
