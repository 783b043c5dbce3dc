//! The relay guard's judgement, without a clock and without I/O: when to energise, when to
//! release, what to say.
//!
//! [`PulseTimer`] takes commands, the time and the port's answers, and returns [`Order`]s.
//! It owes nothing to the daemon's good behaviour: the pulse's bound, the silence limit and
//! the memory of causes are all here, in the process that holds the line.

use std::time::Duration;

use crate::barrier::{PULSE_MAX, PULSE_MIN};
use crate::cause::{CauseId, RecentCauses};
use crate::mutation::guard;
use crate::protocol::{Command, PulseRefusal, Relay, ReleaseReason, Report};
use crate::time::Monotonic;

/// A daemon that has said nothing for this long while a relay is energised has stalled.
pub const SILENCE_MAX: Duration = Duration::from_millis(500);
/// How often a release that the port did not take is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// When to give the port up, so that a new guard opens it afresh.
const GIVE_UP: Duration = Duration::from_secs(1);

/// What the shell must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Energise this relay, then call [`PulseTimer::energised`].
    Energise(Relay),
    /// Release every relay, then call [`PulseTimer::released`].
    ReleaseAll,
    /// Write this to the daemon.
    Say(Report),
    /// End the process.
    End,
}

#[derive(Debug)]
enum State {
    Idle,
    /// A pulse was ordered at `since` and must end at `until`.
    Pulsing {
        cause: CauseId,
        until: Monotonic,
    },
    /// A release is ordered or must be tried again at `next`.
    Releasing {
        cause: Option<CauseId>,
        why: ReleaseReason,
        since: Monotonic,
        next: Monotonic,
    },
}

/// Times pulses. See the [module](self).
#[derive(Debug)]
pub struct PulseTimer {
    state: State,
    heard: Monotonic,
    pulsed: RecentCauses,
    ending: bool,
}

impl PulseTimer {
    /// A timer with nothing energised.
    pub fn new(now: Monotonic) -> Self {
        Self {
            state: State::Idle,
            heard: now,
            pulsed: RecentCauses::default(),
            ending: false,
        }
    }

    /// Takes a command from the daemon.
    pub fn command(&mut self, now: Monotonic, command: Command) -> Vec<Order> {
        self.heard = now;
        match command {
            Command::Hello { .. } => vec![Order::Say(Report::Error {
                text: "hello comes once, as the first line".to_owned(),
            })],
            Command::Beat => vec![Order::Say(Report::Beat)],
            Command::Release => self.release(now, ReleaseReason::Ordered),
            Command::Bye => self.end(now),
            Command::Pulse { cause, relay, ms } => self.pulse(now, cause, relay, ms),
        }
    }

    fn pulse(&mut self, now: Monotonic, cause: CauseId, relay: Relay, ms: u64) -> Vec<Order> {
        let reason = if self.ending || !matches!(self.state, State::Idle) {
            Some(PulseRefusal::Busy)
        } else if !self.may_pulse(&cause) {
            Some(PulseRefusal::Repeated)
        } else {
            None
        };
        if let Some(reason) = reason {
            return vec![Order::Say(Report::Refused { cause, reason })];
        }
        let length = Duration::from_millis(ms).clamp(PULSE_MIN, PULSE_MAX);
        self.state = State::Pulsing {
            cause,
            until: now + length,
        };
        vec![Order::Energise(relay)]
    }

    fn may_pulse(&mut self, cause: &CauseId) -> bool {
        let fresh = self.pulsed.remember(cause);
        guard!(CauseOnce => fresh)
    }

    /// The port's answer to [`Order::Energise`].
    pub fn energised(&mut self, now: Monotonic, answer: Result<(), String>) -> Vec<Order> {
        let State::Pulsing { cause, .. } = &self.state else {
            return Vec::new();
        };
        let cause = cause.clone();
        match answer {
            Ok(()) => vec![Order::Say(Report::Energised { cause, at_ns: now })],
            Err(text) => {
                let mut orders = vec![Order::Say(Report::Failed { cause, text })];
                orders.extend(self.release(now, ReleaseReason::PortFailed));
                orders
            }
        }
    }

    /// The port's answer to [`Order::ReleaseAll`].
    pub fn released(&mut self, now: Monotonic, answer: Result<(), String>) -> Vec<Order> {
        let State::Releasing {
            cause,
            why,
            since,
            next,
        } = &mut self.state
        else {
            return Vec::new();
        };
        let mut orders = Vec::new();
        match answer {
            Ok(()) => {
                let (cause, why) = (cause.take(), *why);
                self.state = State::Idle;
                orders.push(Order::Say(Report::Released {
                    cause,
                    at_ns: now,
                    why,
                }));
                if self.ending {
                    orders.extend([Order::Say(Report::Bye), Order::End]);
                }
            }
            Err(text) => {
                *next = now + RETRY;
                let first = now.since(*since) < RETRY && *why != ReleaseReason::PortFailed;
                if let Some(cause) = cause.clone().filter(|_| first) {
                    orders.push(Order::Say(Report::Failed { cause, text }));
                }
                if now.since(*since) >= GIVE_UP {
                    let text = "the port does not take a release; giving it up".to_owned();
                    orders.extend([Order::Say(Report::Error { text }), Order::End]);
                }
            }
        }
        orders
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Order> {
        match &self.state {
            State::Pulsing { until, .. } if !guard!(PulseBound => now < *until) => {
                self.release(now, ReleaseReason::Done)
            }
            State::Pulsing { .. } if !guard!(Silence => now.since(self.heard) < SILENCE_MAX) => {
                self.release(now, ReleaseReason::Silence)
            }
            State::Releasing { next, .. } if now >= *next => vec![Order::ReleaseAll],
            State::Idle | State::Pulsing { .. } | State::Releasing { .. } => Vec::new(),
        }
    }

    /// The daemon's pipe closed, or somebody told the guard to end: release first.
    pub fn end(&mut self, now: Monotonic) -> Vec<Order> {
        self.ending = true;
        guard!(PipeEnd else { return Vec::new(); });
        self.release(now, ReleaseReason::Ending)
    }

    fn release(&mut self, now: Monotonic, why: ReleaseReason) -> Vec<Order> {
        let state = std::mem::replace(&mut self.state, State::Idle);
        self.state = match state {
            State::Idle => State::Releasing {
                cause: None,
                why,
                since: now,
                next: now,
            },
            State::Pulsing { cause, .. } => State::Releasing {
                cause: Some(cause),
                why,
                since: now,
                next: now,
            },
            releasing @ State::Releasing { .. } => releasing,
        };
        vec![Order::ReleaseAll]
    }

    /// When [`PulseTimer::tick`] must be called at the latest; `None` while nothing runs.
    pub fn deadline(&self) -> Option<Monotonic> {
        match &self.state {
            State::Idle => None,
            State::Pulsing { until, .. } => Some((*until).min(self.heard + SILENCE_MAX)),
            State::Releasing { next, .. } => Some(*next),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::wiring::{InputsConfig, RelayConfig, Wiring};
    use proptest::prelude::*;

    fn pulse(cause: u64, ms: u64) -> Command {
        Command::Pulse {
            cause: CauseId::new(cause.to_string()).unwrap(),
            relay: Relay::Open,
            ms,
        }
    }

    /// A port that carries out orders, measures every pulse, and may refuse writes.
    struct Port {
        timer: PulseTimer,
        now: u64,
        on_since: Option<u64>,
        longest: u64,
        broken: bool,
        said: Vec<Report>,
        causes: Vec<CauseId>,
        ended: bool,
    }

    impl Port {
        fn new() -> Self {
            Self {
                timer: PulseTimer::new(Monotonic::default()),
                now: 0,
                on_since: None,
                longest: 0,
                broken: false,
                said: Vec::new(),
                causes: Vec::new(),
                ended: false,
            }
        }

        fn obey(&mut self, orders: Vec<Order>) {
            let now = Monotonic::from_millis(self.now);
            for order in orders {
                assert!(!self.ended, "an order after the end");
                let answer = if self.broken {
                    Err("broken".to_owned())
                } else {
                    Ok(())
                };
                match order {
                    Order::Energise(Relay::Open) => {
                        assert_eq!(self.on_since, None, "energised twice");
                        if !self.broken {
                            self.on_since = Some(self.now);
                        }
                        let orders = self.timer.energised(now, answer);
                        self.obey(orders);
                    }
                    Order::ReleaseAll => {
                        if !self.broken
                            && let Some(since) = self.on_since.take()
                        {
                            self.longest = self.longest.max(self.now - since);
                        }
                        let orders = self.timer.released(now, answer);
                        self.obey(orders);
                    }
                    Order::Say(report) => {
                        if let Report::Energised { cause, .. } = &report {
                            assert!(!self.causes.contains(cause), "{cause} pulsed twice");
                            self.causes.push(cause.clone());
                        }
                        self.said.push(report);
                    }
                    Order::End => self.ended = true,
                }
            }
        }

        fn command(&mut self, command: Command) {
            let orders = self
                .timer
                .command(Monotonic::from_millis(self.now), command);
            self.obey(orders);
        }

        fn wait(&mut self, millis: u64) {
            for _ in 0..millis {
                self.now += 1;
                let now = Monotonic::from_millis(self.now);
                if !self.ended && self.timer.deadline().is_some_and(|at| now >= at) {
                    let orders = self.timer.tick(now);
                    self.obey(orders);
                }
            }
        }
    }

    #[test]
    fn lengths_are_held_within_their_bounds() {
        for (asked, given) in [(0, 200), (500, 500), (1_000, 1_000), (u64::MAX, 1_000)] {
            let mut port = Port::new();
            port.command(pulse(1, asked));
            for _ in 0..20 {
                port.wait(100);
                port.command(Command::Beat);
            }
            assert_eq!(port.longest, given);
        }
    }

    #[test]
    fn silence_releases() {
        let mut port = Port::new();
        port.command(pulse(1, 1000));
        port.wait(2000);
        assert_eq!(port.longest, 500);
        assert!(port.said.iter().any(|report| matches!(
            report,
            Report::Released {
                why: ReleaseReason::Silence,
                ..
            }
        )));
    }

    #[test]
    fn busy_and_repeated_pulses_are_refused() {
        let mut port = Port::new();
        port.command(pulse(1, 200));
        port.command(pulse(2, 200));
        port.wait(300);
        port.command(pulse(1, 200));
        let refusals: Vec<_> = port
            .said
            .iter()
            .filter_map(|report| match report {
                Report::Refused { reason, .. } => Some(*reason),
                _ => None,
            })
            .collect();
        assert_eq!(refusals, [PulseRefusal::Busy, PulseRefusal::Repeated]);
        port.command(pulse(2, 200));
        assert!(port.on_since.is_some(), "a refused cause was never pulsed");
    }

    #[test]
    fn a_release_that_fails_is_tried_until_the_port_is_given_up() {
        let mut port = Port::new();
        port.command(pulse(1, 200));
        port.broken = true;
        port.wait(600);
        port.broken = false;
        port.wait(60);
        assert_eq!(port.on_since, None);
        assert!(!port.ended);
        port.command(pulse(2, 200));
        port.broken = true;
        port.wait(2000);
        assert!(port.ended);
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    fn cause(n: u64) -> CauseId {
        CauseId::new(n.to_string()).unwrap()
    }

    #[test]
    fn a_pulse_is_told_from_its_first_write_to_its_last() {
        let mut port = Port::new();
        port.command(pulse(1, 300));
        port.wait(400);
        let (since, until) = (at(0), at(300));
        assert_eq!(
            port.said,
            [
                Report::Energised {
                    cause: cause(1),
                    at_ns: since
                },
                Report::Released {
                    cause: Some(cause(1)),
                    at_ns: until,
                    why: ReleaseReason::Done
                }
            ]
        );
    }

    #[test]
    fn the_first_line_is_not_taken_twice_and_a_beat_is_answered() {
        let mut timer = PulseTimer::new(at(0));
        let wiring = Wiring::new(&RelayConfig::default(), &InputsConfig::default()).unwrap();
        let hello = Command::Hello { version: 1, wiring };
        let orders = timer.command(at(0), hello);
        assert!(matches!(
            orders.as_slice(),
            [Order::Say(Report::Error { text })] if text.contains("hello")
        ));
        let orders = timer.command(at(0), Command::Beat);
        assert_eq!(orders, [Order::Say(Report::Beat)]);
    }

    #[test]
    fn goodbye_breaks_a_pulse_off_and_ends_and_nothing_starts_after_it() {
        let mut port = Port::new();
        port.command(pulse(1, 1000));
        port.wait(100);
        port.broken = true;
        port.command(Command::Bye);
        assert!(!port.ended, "not before the release is taken");
        port.command(pulse(2, 1000));
        let busy = Report::Refused {
            cause: cause(2),
            reason: PulseRefusal::Busy,
        };
        assert_eq!(port.said.last(), Some(&busy));
        port.broken = false;
        port.wait(50);
        assert_eq!(port.on_since, None);
        assert!(port.ended);
        let released = Report::Released {
            cause: Some(cause(1)),
            at_ns: at(150),
            why: ReleaseReason::Ending,
        };
        assert_eq!(port.said[port.said.len() - 2..], [released, Report::Bye]);
    }

    /// Without a release to wait for as well.
    #[test]
    fn after_the_end_nothing_is_energised() {
        let mut timer = PulseTimer::new(at(0));
        assert_eq!(timer.end(at(0)), [Order::ReleaseAll]);
        let orders = timer.released(at(0), Ok(()));
        assert_eq!(orders.last(), Some(&Order::End));
        let refused = Order::Say(Report::Refused {
            cause: cause(1),
            reason: PulseRefusal::Busy,
        });
        assert_eq!(timer.command(at(1), pulse(1, 500)), [refused]);
    }

    #[test]
    fn an_ordered_release_without_a_pulse_is_told_without_a_cause() {
        let mut port = Port::new();
        port.command(Command::Release);
        let released = Report::Released {
            cause: None,
            at_ns: at(0),
            why: ReleaseReason::Ordered,
        };
        assert_eq!(port.said, [released]);
        assert!(!port.ended);
    }

    #[test]
    fn an_answer_to_nothing_says_nothing() {
        let mut timer = PulseTimer::new(at(0));
        assert_eq!(timer.energised(at(0), Ok(())), []);
        assert_eq!(timer.released(at(0), Ok(())), []);
        timer.command(at(0), pulse(1, 500));
        assert_eq!(timer.released(at(10), Ok(())), []);
    }

    #[test]
    fn a_tick_before_its_time_does_nothing() {
        let mut timer = PulseTimer::new(at(0));
        assert_eq!((timer.tick(at(900)), timer.deadline()), (vec![], None));
        timer.command(at(1000), pulse(1, 300));
        assert_eq!(timer.deadline(), Some(at(1300)));
        assert_eq!(timer.tick(at(1299)), []);
        assert_eq!(timer.tick(at(1300)), [Order::ReleaseAll]);
        timer.released(at(1300), Err("broken".to_owned()));
        assert_eq!(timer.deadline(), Some(at(1350)));
        assert_eq!(timer.tick(at(1349)), []);
        assert_eq!(timer.tick(at(1350)), [Order::ReleaseAll]);
        timer.released(at(1350), Ok(()));
        timer.command(at(2000), pulse(2, 1000));
        assert_eq!(timer.deadline(), Some(at(2500)), "the silence comes first");
        timer.command(at(2400), Command::Beat);
        assert_eq!(timer.deadline(), Some(at(2900)));
        assert_eq!(timer.tick(at(2899)), []);
        assert_eq!(timer.tick(at(2900)), [Order::ReleaseAll]);
    }

    #[test]
    fn a_write_that_fails_is_told_once_and_the_port_is_given_up_after_a_second() {
        for broken_at_once in [true, false] {
            let mut port = Port::new();
            port.broken = broken_at_once;
            port.command(pulse(1, 200));
            port.broken = true;
            let began = if broken_at_once { 0 } else { 200 };
            port.wait(began + 999);
            assert!(!port.ended);
            let failed = |report: &&Report| matches!(report, Report::Failed { .. });
            assert_eq!(port.said.iter().filter(failed).count(), 1);
            port.wait(1);
            assert!(port.ended);
            let told = |report: &Report| matches!(report, Report::Error { text } if text.contains("giving it up"));
            assert!(port.said.last().is_some_and(told));
        }
    }

    #[test]
    fn a_failed_write_is_why_the_relay_is_released() {
        let mut port = Port::new();
        port.broken = true;
        port.command(pulse(1, 200));
        port.broken = false;
        port.wait(100);
        let released = Report::Released {
            cause: Some(cause(1)),
            at_ns: at(50),
            why: ReleaseReason::PortFailed,
        };
        assert_eq!(port.said.last(), Some(&released));
    }

    /// The reason of a release is the first one.
    #[test]
    fn a_release_that_is_ordered_again_stays_the_same_release() {
        let mut port = Port::new();
        port.command(pulse(1, 1000));
        port.broken = true;
        port.command(Command::Release);
        port.wait(20);
        port.broken = false;
        port.command(Command::Bye);
        let why = port.said.iter().find_map(|report| match report {
            Report::Released { why, .. } => Some(*why),
            _ => None,
        });
        assert_eq!(why, Some(ReleaseReason::Ordered));
        assert!(port.ended);
    }

    #[cfg(feature = "mutations")]
    #[test]
    fn without_its_guard_a_closed_pipe_releases_nothing() {
        use crate::mutation::{Guard, without};
        let end = || PulseTimer::new(at(0)).end(at(0));
        assert_eq!(end(), [Order::ReleaseAll]);
        assert_eq!(without(Some(Guard::PipeEnd), end), []);
    }

    #[derive(Debug, Clone)]
    enum Happening {
        Wait(u64),
        Command(Command),
        Broken(bool),
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            5 => (1u64..400).prop_map(Happening::Wait),
            5 => (0u64..12, 0u64..3000).prop_map(|(c, ms)| Happening::Command(pulse(c, ms))),
            3 => Just(Happening::Command(Command::Beat)),
            1 => Just(Happening::Command(Command::Release)),
            1 => any::<bool>().prop_map(Happening::Broken),
        ]
    }

    proptest! {
        /// With a working port no pulse is longer than its bound and none outlives 500 ms of
        /// silence; with any port no cause is energised twice, and the end leaves nothing on.
        #[test]
        fn pulses_are_bounded(
            happenings in prop::collection::vec(happening(), 1..100),
            breaks in any::<bool>(),
        ) {
            let mut port = Port::new();
            for happening in happenings {
                match happening {
                    Happening::Wait(millis) => port.wait(millis),
                    Happening::Command(command) if !port.ended => port.command(command),
                    Happening::Broken(broken) if breaks => port.broken = broken,
                    _ => {}
                }
                if !breaks {
                    let on = port.on_since.map_or(0, |since| port.now - since);
                    prop_assert!(port.longest.max(on) <= 1000);
                }
            }
            port.broken = false;
            if !port.ended {
                let orders = port.timer.end(Monotonic::from_millis(port.now));
                port.obey(orders);
                prop_assert_eq!(port.on_since, None);
                prop_assert_eq!(port.said.last(), Some(&Report::Bye));
            }
        }
    }
}
