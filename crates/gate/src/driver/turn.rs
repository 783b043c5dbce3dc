//! The loop of a barrier's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::child::GuardChild;
use super::commissioning::{Audience, Observation};
use super::{BarrierConfig, Message};
use crate::barrier::{Action, Barrier, Input, RelayReport, TICK};
use crate::line::{Debouncer, Line, LineNotice};
use crate::protocol::{Command, PROTOCOL_VERSION, PulseRefusal, Relay, Report};
use crate::time::Monotonic;

/// The first and the longest pause before a guard that keeps dying is started again.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A guard that held its port this long was a good one; its successor comes at once.
const PROVEN: Duration = Duration::from_secs(2);
/// How soon to look again whether a killed guard has ended.
const REAP: Duration = Duration::from_millis(2);
/// How long a guard may take to release and end at shutdown.
const FAREWELL: Duration = Duration::from_millis(400);

/// The state of one life of the loop; a panic ends it.
pub(super) struct Turn<'a> {
    config: &'a BarrierConfig,
    inbox: Sender<Message>,
    audience: &'a Audience,
    barrier: Barrier,
    lines: Vec<(Line, Debouncer)>,
    guard: Option<GuardChild>,
    /// A killed guard that has not been reaped: it may still hold the port.
    dying: Option<GuardChild>,
    /// Counts guards over all lives, so that no late report is taken for a new guard's.
    generation: &'a mut u64,
    spawn_at: Monotonic,
    pause: Duration,
    /// The guard's last complaint, told as the reason when it ends.
    complaint: Option<String>,
    /// Whether the outside was told that the guard is lost.
    told_lost: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        config: &'a BarrierConfig,
        inbox: Sender<Message>,
        audience: &'a Audience,
        generation: &'a mut u64,
    ) -> Self {
        let now = Monotonic::read();
        let inputs = config.wiring.inputs();
        Self {
            barrier: Barrier::new(
                config.profile,
                inputs
                    .iter()
                    .map(|input| input.line.clone())
                    .filter(|line| audience.hands_on(line)),
                now,
            ),
            lines: inputs
                .iter()
                .map(|input| (input.line.clone(), Debouncer::new(input.rule())))
                .collect(),
            config,
            inbox,
            audience,
            guard: None,
            dying: None,
            generation,
            spawn_at: now,
            pause: Duration::ZERO,
            complaint: None,
            told_lost: false,
        }
    }

    /// Turns until shutdown.
    pub(super) fn run(&mut self, messages: &Receiver<Message>, turned: &AtomicU64) {
        loop {
            let now = Monotonic::read();
            turned.store(now.nanos(), Ordering::Relaxed);
            self.replace_guard(now);
            match messages.recv_timeout(self.wait_at_most(now)) {
                Ok(message) => {
                    let mut next = Some(message);
                    while let Some(message) = next {
                        if matches!(message, Message::Shutdown) {
                            self.farewell(messages);
                            return;
                        }
                        self.take(message);
                        next = messages.try_recv().ok();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.farewell(messages);
                    return;
                }
            }
            let now = Monotonic::read();
            for at in 0..self.lines.len() {
                self.sample(now, now, at, None);
            }
            self.step(now, Input::Tick);
            if let Some(Err(why)) = self.guard.as_mut().map(|guard| guard.upkeep(now)) {
                self.lose_guard(now, why);
            }
        }
    }

    fn wait_at_most(&self, now: Monotonic) -> Duration {
        let tick = if self.dying.is_some() { REAP } else { TICK };
        self.lines
            .iter()
            .filter_map(|(_, line)| line.deadline())
            .chain(self.guard.is_none().then_some(self.spawn_at))
            .map(|at| at.since(now))
            .fold(tick, Duration::min)
            // Waiting for zero would turn without end while a spawn waits for a reaping.
            .max(Duration::from_micros(500))
    }

    fn take(&mut self, message: Message) {
        let now = Monotonic::read();
        match message {
            Message::Open {
                cause,
                origin,
                asked,
            } => self.step(
                now,
                Input::OpenRequest {
                    cause,
                    origin,
                    asked,
                },
            ),
            Message::Hold {
                cause,
                origin,
                asked,
            } => self.step(
                now,
                Input::Hold {
                    cause,
                    origin,
                    asked,
                },
            ),
            Message::EndHold => self.step(now, Input::EndHold),
            Message::Report { generation, report } if generation == *self.generation => {
                self.reported(now, report);
            }
            Message::Gone { generation } if generation == *self.generation => {
                self.lose_guard(now, "it ended".to_owned());
            }
            Message::Release => self.order(&Command::Release),
            // From a guard that was given up, or handled by the loop itself.
            Message::Report { .. } | Message::Gone { .. } | Message::Shutdown => {}
        }
    }

    fn reported(&mut self, now: Monotonic, report: Report) {
        let Some(guard) = self.guard.as_mut() else {
            return;
        };
        let report = match report {
            Report::Beat => return guard.answered_beat(),
            Report::Bye => return,
            Report::Error { text } => {
                tracing::warn!(
                    barrier = self.config.name,
                    text,
                    "the relay guard complains"
                );
                self.complaint = Some(text);
                return;
            }
            Report::Ready {
                version,
                at_ns,
                closed,
            } => return self.guard_ready(now, version, at_ns, &closed),
            Report::Inputs { at_ns, closed } => return self.contacts(now, at_ns, &closed),
            Report::Energised { cause, at_ns } => RelayReport::Energised { cause, at: at_ns },
            Report::Released { cause, at_ns, why } => {
                tracing::debug!(barrier = self.config.name, ?cause, ?why, "relay released");
                guard.released();
                self.audience
                    .observe(|| Observation::Released { at: at_ns });
                RelayReport::Released { cause, at: at_ns }
            }
            Report::Failed { cause, text } => RelayReport::Failed {
                cause,
                reason: text,
            },
            Report::Refused { cause, reason } => RelayReport::Refused {
                cause,
                reason: match reason {
                    PulseRefusal::Busy => "the relay guard is busy with a pulse".to_owned(),
                    PulseRefusal::Repeated => {
                        "the relay guard has pulsed this cause before".to_owned()
                    }
                },
            },
        };
        self.step(now, Input::Relay(report));
    }

    fn guard_ready(&mut self, now: Monotonic, version: u32, at: Monotonic, closed: &[bool]) {
        if version != PROTOCOL_VERSION {
            self.lose_guard(now, format!("it speaks protocol {version}"));
            return;
        }
        if let Some(guard) = &mut self.guard {
            guard.became_ready(now);
        }
        self.complaint = None;
        self.told_lost = false;
        for (_, line) in &mut self.lines {
            line.forget();
        }
        self.step(now, Input::RelayGuardReady);
        self.contacts(now, at, closed);
    }

    fn contacts(&mut self, now: Monotonic, at: Monotonic, closed: &[bool]) {
        self.audience.observe(|| Observation::Contacts {
            at,
            closed: closed.to_vec(),
        });
        for line in 0..self.lines.len() {
            self.sample(now, at, line, closed.get(line).copied());
        }
    }

    /// Gives a line its sample of time `at`, or only the time.
    fn sample(&mut self, now: Monotonic, at: Monotonic, which: usize, closed: Option<bool>) {
        let Some((line, debouncer)) = self.lines.get_mut(which) else {
            return;
        };
        let line = line.clone();
        for notice in debouncer.step(at, closed) {
            let line = line.clone();
            self.audience.observe(|| Observation::Line {
                line: line.clone(),
                notice,
                at,
            });
            if !self.audience.hands_on(&line) {
                continue;
            }
            let input = match notice {
                LineNotice::Level(active) => Input::LineChanged { line, active, at },
                LineNotice::Faulty(fault) => Input::LineHealth {
                    line,
                    fault,
                    faulty: true,
                },
                LineNotice::Healthy(fault) => Input::LineHealth {
                    line,
                    fault,
                    faulty: false,
                },
            };
            self.step(now, input);
        }
    }

    fn step(&mut self, now: Monotonic, input: Input) {
        for action in self.barrier.step(now, input) {
            let command = match action {
                Action::Report(event) => {
                    self.audience.tell(event);
                    continue;
                }
                Action::ReleaseAll => Command::Release,
                Action::Pulse { cause, duration } => Command::Pulse {
                    cause,
                    relay: Relay::Open,
                    ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
                },
            };
            self.order(&command);
        }
    }

    fn order(&mut self, command: &Command) {
        if let Some(guard) = self.guard.as_mut().filter(|guard| guard.is_ready())
            && let Err(why) = guard.send(command)
        {
            // Its end is noticed by the reading thread too, and told there.
            tracing::warn!(barrier = self.config.name, %why, "the relay guard's pipe broke");
        }
    }

    fn lose_guard(&mut self, now: Monotonic, why: String) {
        let Some(mut guard) = self.guard.take() else {
            return;
        };
        // What it left energised, its successor releases: that cannot wait.
        if guard.ready_for(now) >= PROVEN || guard.is_pulsing() {
            self.pause = Duration::ZERO;
        }
        guard.kill();
        self.dying = Some(guard);
        let why = match self.complaint.take() {
            Some(complaint) => format!("{why}: {complaint}"),
            None => why,
        };
        self.guard_lost(now, why);
    }

    /// Plans the next start, and tells the outside once for each loss.
    fn guard_lost(&mut self, now: Monotonic, reason: String) {
        self.spawn_at = now + self.pause;
        self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        if self.told_lost {
            return;
        }
        self.told_lost = true;
        for (_, line) in &mut self.lines {
            line.forget();
        }
        tracing::warn!(
            barrier = self.config.name,
            reason,
            "the relay guard is lost"
        );
        self.step(now, Input::RelayGuardLost { reason });
    }

    fn replace_guard(&mut self, now: Monotonic) {
        if self.dying.as_mut().is_some_and(GuardChild::reaped) {
            self.dying = None;
        }
        if self.guard.is_some() || self.dying.is_some() || now < self.spawn_at {
            return;
        }
        *self.generation += 1;
        let spawned = GuardChild::spawn(
            &self.config.guard,
            &self.config.wiring,
            *self.generation,
            self.inbox.clone(),
        );
        match spawned {
            Ok(guard) => self.guard = Some(guard),
            Err(why) => {
                let exe = self.config.guard.exe.display();
                self.guard_lost(now, format!("starting {exe} failed: {why}"));
            }
        }
    }

    /// Releases, lets the guard say its last words, and passes them on.
    fn farewell(&mut self, messages: &Receiver<Message>) {
        self.step(Monotonic::read(), Input::Shutdown);
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.send(&Command::Bye);
            guard.dismiss(FAREWELL);
            let generation = *self.generation;
            while let Ok(message) = messages.recv_timeout(Duration::from_millis(50)) {
                match message {
                    Message::Gone { generation: gone } if gone == generation => break,
                    Message::Report {
                        generation: said,
                        report: Report::Released { cause, at_ns, .. },
                    } if said == generation => {
                        self.audience
                            .observe(|| Observation::Released { at: at_ns });
                        let report = RelayReport::Released { cause, at: at_ns };
                        self.step(Monotonic::read(), Input::Relay(report));
                    }
                    message @ (Message::Open { .. } | Message::Hold { .. }) => self.take(message),
                    _ => {}
                }
            }
        }
    }
}
