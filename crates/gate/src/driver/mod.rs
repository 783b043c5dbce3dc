//! The shell around a [`Barrier`]: one thread a barrier, and its relay guard.
//!
//! [`BarrierThread::start`] runs the thread. It takes requests from a [`BarrierHandle`],
//! reports from the relay guard and the passing of time (at the latest every 50 ms), steps
//! the pure barrier and carries out its actions. From the same loop it sends the guard a beat
//! every 100 ms, so a loop that stalls loses the relay. A guard that dies, hangs or loses its
//! port is replaced: at once the first time and wherever its relay may be energised, else after
//! 100 ms to 2 s. A panic drops the pipe, on which the guard releases, and the thread begins
//! anew with nothing remembered.
//!
//! [`Commissioning`] is the same thread for whoever tries the wiring: no input opens the boom.

mod child;
mod commissioning;
mod turn;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use child::GuardProgram;
pub use commissioning::{Commissioning, Observation};

use crate::barrier::{BarrierEvent, Origin, PulseProfile};
use crate::cause::CauseId;
use crate::protocol::Report;
use crate::time::Monotonic;
use crate::wiring::{Wiring, WiringError};
use commissioning::Audience;
use turn::Turn;

#[cfg(doc)]
use crate::barrier::Barrier;

/// Everything a barrier's thread needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierConfig {
    /// The barrier's name, for threads and logs.
    pub name: String,
    /// Its times.
    pub profile: PulseProfile,
    /// Its relay and inputs.
    pub wiring: Wiring,
    /// The program that holds the relay.
    pub guard: GuardProgram,
}

/// A barrier's thread could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A time is out of bounds.
    #[error("barrier {name}: {why}")]
    Profile {
        /// Which barrier.
        name: String,
        /// Which time.
        why: Box<WiringError>,
    },
    /// The system gave no thread.
    #[error("barrier {name}: starting its thread failed: {why}; free memory or raise the limits")]
    Thread {
        /// Which barrier.
        name: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// The thread has ended.
    #[error("barrier {name}: its thread has ended; restart menshen")]
    Ended {
        /// Which barrier.
        name: String,
    },
}

/// What the thread's inbox takes.
#[derive(Debug)]
enum Message {
    Open {
        cause: CauseId,
        origin: Origin,
        asked: Monotonic,
    },
    Release,
    Hold {
        cause: CauseId,
        origin: Origin,
        asked: Monotonic,
    },
    EndHold,
    Shutdown,
    Report {
        generation: u64,
        report: Report,
    },
    Gone {
        generation: u64,
    },
}

/// A barrier's thread.
#[derive(Debug)]
pub struct BarrierThread;

impl BarrierThread {
    /// Starts the thread; its relay guard follows at once. Events go to `events` in the order
    /// in which they happen; a receiver that lags or has gone holds nothing up.
    ///
    /// # Errors
    /// [`DriverError`] when a time of the profile is out of bounds or no thread can be had.
    pub fn start(
        config: BarrierConfig,
        events: Sender<BarrierEvent>,
    ) -> Result<BarrierHandle, DriverError> {
        Self::start_for(config, Audience::Service(events))
    }

    fn start_for(config: BarrierConfig, audience: Audience) -> Result<BarrierHandle, DriverError> {
        let name = config.name.clone();
        if let Err(why) = config.profile.check() {
            let why = Box::new(why);
            return Err(DriverError::Profile { name, why });
        }
        let (inbox, messages) = channel();
        let turned = Arc::new(AtomicU64::new(Monotonic::read().nanos()));
        let thread = thread::Builder::new()
            .name(format!("barrier-{name}"))
            .spawn({
                let (inbox, turned) = (inbox.clone(), Arc::clone(&turned));
                move || supervise(&config, &inbox, &messages, &audience, &turned)
            })
            .map_err(|why| DriverError::Thread {
                name: name.clone(),
                why,
            })?;
        Ok(BarrierHandle {
            opener: Opener {
                name: name.into(),
                inbox,
            },
            turned,
            thread: Some(thread),
        })
    }
}

fn supervise(
    config: &BarrierConfig,
    inbox: &Sender<Message>,
    messages: &Receiver<Message>,
    audience: &Audience,
    turned: &AtomicU64,
) {
    let mut first_generation = 0;
    loop {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let mut turn = Turn::new(config, inbox.clone(), audience, &mut first_generation);
            turn.run(messages, turned);
        }));
        let Err(panic) = ended else { return };
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        tracing::error!(
            barrier = config.name,
            reason,
            "the barrier's thread panicked"
        );
        audience.tell(BarrierEvent::ThreadRestarted { reason });
        thread::sleep(Duration::from_millis(100));
    }
}

/// Asks a barrier's thread to open; clone one for each lane that shares the barrier.
#[derive(Debug, Clone)]
pub struct Opener {
    name: Arc<str>,
    inbox: Sender<Message>,
}

impl Opener {
    /// Asks for one opening, now. What becomes of it is told by the events with this cause.
    ///
    /// # Errors
    /// [`DriverError::Ended`] after the thread has been shut down.
    pub fn open(&self, cause: CauseId, origin: Origin) -> Result<(), DriverError> {
        let asked = Monotonic::read();
        self.send(Message::Open {
            cause,
            origin,
            asked,
        })
    }

    /// Asks that the boom be held open from now on, up to the profile's cap. What becomes of it
    /// is told by [`BarrierEvent::HoldStarted`] or [`BarrierEvent::OpeningRefused`] with this
    /// cause, and by [`BarrierEvent::HoldEnded`].
    ///
    /// # Errors
    /// [`DriverError::Ended`] after the thread has been shut down.
    pub fn hold(&self, cause: CauseId, origin: Origin) -> Result<(), DriverError> {
        let asked = Monotonic::read();
        self.send(Message::Hold {
            cause,
            origin,
            asked,
        })
    }

    /// Ends the hold, if there is one.
    ///
    /// # Errors
    /// [`DriverError::Ended`] after the thread has been shut down.
    pub fn end_hold(&self) -> Result<(), DriverError> {
        self.send(Message::EndHold)
    }

    fn send(&self, message: Message) -> Result<(), DriverError> {
        self.inbox.send(message).map_err(|_| DriverError::Ended {
            name: self.name.to_string(),
        })
    }
}

/// A running barrier. Dropping it shuts the thread down like [`BarrierHandle::shutdown`].
#[derive(Debug)]
pub struct BarrierHandle {
    opener: Opener,
    turned: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl BarrierHandle {
    /// See [`Opener::open`].
    ///
    /// # Errors
    /// [`DriverError::Ended`] after the thread has ended.
    pub fn open(&self, cause: CauseId, origin: Origin) -> Result<(), DriverError> {
        self.opener.open(cause, origin)
    }

    /// Something that can ask and be cloned.
    pub fn opener(&self) -> Opener {
        self.opener.clone()
    }

    /// When the thread's loop last turned; a healthy one is at most a tick behind.
    pub fn last_turn(&self) -> Monotonic {
        Monotonic::from_nanos(self.turned.load(Ordering::Relaxed))
    }

    /// Releases the relay, waits for the guard's end, and ends the thread: within a second.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.opener.inbox.send(Message::Shutdown);
            let _ = thread.join();
        }
    }
}

impl Drop for BarrierHandle {
    fn drop(&mut self) {
        self.end();
    }
}
