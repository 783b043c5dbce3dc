//! The door for whoever tries a gate's wiring before it serves anybody.
//!
//! [`Commissioning`] runs the barrier's own thread: the same state machine, the same relay
//! guard, the same bound on the pulse. Three things differ. Nothing opens but a request: the
//! guard's button and the fire alarm are watched, and the barrier does not hear of them. The
//! raw contacts and what the debouncers make of them are told too. And a release can be asked
//! for at any time, and is confirmed.

use std::sync::mpsc::Sender;

use super::{BarrierConfig, BarrierHandle, BarrierThread, DriverError, Message};
use crate::barrier::{BarrierEvent, Origin};
use crate::cause::CauseId;
use crate::line::{Line, LineNotice};
use crate::time::Monotonic;

/// What can be seen of a barrier that is being commissioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// What the barrier tells.
    Event(BarrierEvent),
    /// The contacts, when they were read first and whenever one changed.
    Contacts {
        /// When they were sampled.
        at: Monotonic,
        /// Whether each wired contact is closed, in the order of
        /// [`Wiring::inputs`](crate::wiring::Wiring::inputs).
        closed: Vec<bool>,
    },
    /// What the debouncer of an input noticed.
    Line {
        /// Which input.
        line: Line,
        /// What.
        notice: LineNotice,
        /// When.
        at: Monotonic,
    },
    /// The port has taken a write that releases every relay, whoever ordered it.
    Released {
        /// When.
        at: Monotonic,
    },
}

/// Who listens to a barrier's thread, and with it what its inputs may do.
#[derive(Debug)]
pub(super) enum Audience {
    /// The gate.
    Service(Sender<BarrierEvent>),
    /// Somebody who tries the wiring.
    Commissioning(Sender<Observation>),
}

impl Audience {
    /// Tells an event. A listener that has gone holds nothing up.
    pub(super) fn tell(&self, event: BarrierEvent) {
        match self {
            Self::Service(events) => drop(events.send(event)),
            Self::Commissioning(to) => drop(to.send(Observation::Event(event))),
        }
    }

    /// Tells what only commissioning wants to know.
    pub(super) fn observe(&self, what: impl FnOnce() -> Observation) {
        if let Self::Commissioning(to) = self {
            drop(to.send(what()));
        }
    }

    /// Whether the barrier hears of this input. What opens by itself it does not hear of while
    /// somebody tries that very contact.
    pub(super) fn hands_on(&self, line: &Line) -> bool {
        match self {
            Self::Service(_) => true,
            Self::Commissioning(_) => !matches!(line, Line::GuardButton | Line::Fire),
        }
    }
}

/// A barrier that somebody tries. Dropping it releases the relay and ends the thread.
#[derive(Debug)]
pub struct Commissioning {
    handle: BarrierHandle,
}

impl Commissioning {
    /// Starts the thread; its relay guard follows at once and opens the port inactive.
    ///
    /// # Errors
    /// [`DriverError`] as for [`BarrierThread::start`].
    pub fn start(
        config: BarrierConfig,
        observations: Sender<Observation>,
    ) -> Result<Self, DriverError> {
        let audience = Audience::Commissioning(observations);
        let handle = BarrierThread::start_for(config, audience)?;
        Ok(Self { handle })
    }

    /// Asks for one pulse, now, with the guard's rank. STOP, a latched fault and a lost relay
    /// guard refuse it as ever.
    ///
    /// # Errors
    /// [`DriverError::Ended`] after the thread has ended.
    pub fn open(&self, cause: CauseId) -> Result<(), DriverError> {
        self.handle.open(cause, Origin::Guard)
    }

    /// Orders the release of every relay. [`Observation::Released`] confirms it; without a
    /// relay guard there is nothing to release and nothing is told.
    ///
    /// # Errors
    /// [`DriverError::Ended`] after the thread has ended.
    pub fn release(&self) -> Result<(), DriverError> {
        self.handle.opener.send(Message::Release)
    }

    /// Releases the relay, waits for the guard's end, and ends the thread: within a second.
    pub fn shutdown(self) {
        self.handle.shutdown();
    }
}
