//! Between the barrier and its relays: the relay guard, and what it reports.

use super::{
    Action, Guard, GuardReport, Input, Output, RelayGuard, Site, Surroundings, at, motor_timer,
    pulse_timer,
};
use std::collections::VecDeque;

use gate::barrier::{self, RelayReport};
use gate::protocol::{Command, PulseRefusal, Relay, ReleaseReason};

use crate::compound::report::Report;

impl Site {
    /// What the relay guard's own clock does since the last step, at its exact times.
    pub(super) fn guard_timers(&mut self, now: u64, around: &mut Surroundings<'_>) {
        while let Some(RelayGuard::Pulse(timer)) = &mut self.guard {
            let Some(deadline) = timer.deadline().filter(|due| *due <= at(now)) else {
                break;
            };
            let orders = timer.tick(deadline);
            if orders.is_empty() {
                break;
            }
            let time = deadline.nanos() / 1_000_000;
            let reports = self.obey_pulse(time, orders, around.report);
            self.take_reports(now, reports, around);
        }
        if let Some(RelayGuard::Motor(timer)) = &mut self.guard {
            let orders = timer.tick(at(now));
            if orders.contains(&motor_timer::Order::ReleasedByItself) {
                around.report.guard(Guard::Silence);
            }
            self.obey_motor(now, orders, around.report);
            if std::mem::take(&mut self.port_lost) {
                self.lose_guard(now, around);
            }
        }
    }

    pub(super) fn beat(&mut self, now: u64) {
        match &mut self.guard {
            Some(RelayGuard::Pulse(timer)) => {
                timer.command(at(now), Command::Beat);
            }
            Some(RelayGuard::Motor(timer)) => timer.beat(at(now)),
            None => {}
        }
    }

    /// Gives the barrier an input and does what it wants, and what follows from that.
    pub(in crate::compound) fn feed(
        &mut self,
        now: u64,
        input: Input,
        around: &mut Surroundings<'_>,
    ) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(daemon) = &mut self.daemon else {
                return;
            };
            for action in daemon.machine.step(now, input) {
                match action {
                    Action::Report(event) => self.news(now, &event, around),
                    Action::Pulse(order) => {
                        let Some(RelayGuard::Pulse(timer)) = &mut self.guard else {
                            continue;
                        };
                        let command = match order {
                            barrier::Action::Pulse { cause, duration } => Command::Pulse {
                                cause,
                                relay: Relay::Open,
                                ms: duration.as_millis() as u64,
                            },
                            _ => Command::Release,
                        };
                        let orders = timer.command(at(now), command);
                        let reports = self.obey_pulse(now, orders, around.report);
                        inputs.extend(reports.into_iter().filter_map(input_of));
                    }
                    Action::Set { output, energised } => {
                        if let Some(RelayGuard::Motor(timer)) = &mut self.guard {
                            let orders = timer.set(at(now), output, energised);
                            self.obey_motor(now, orders, around.report);
                        }
                    }
                }
            }
        }
        if std::mem::take(&mut self.port_lost) {
            self.lose_guard(now, around);
        }
    }

    pub(super) fn take_reports(
        &mut self,
        now: u64,
        reports: Vec<GuardReport>,
        around: &mut Surroundings<'_>,
    ) {
        if around.hung {
            // They wait in the pipe until the daemon wakes.
            self.unread.extend(reports);
            return;
        }
        for input in reports.into_iter().filter_map(input_of) {
            self.feed(now, input, around);
        }
        if std::mem::take(&mut self.port_lost) {
            self.lose_guard(now, around);
        }
    }

    /// Does what the pulse timer orders; what it says to the daemon comes back.
    pub(super) fn obey_pulse(
        &mut self,
        now: u64,
        orders: Vec<pulse_timer::Order>,
        report: &mut Report,
    ) -> Vec<GuardReport> {
        let mut orders = VecDeque::from(orders);
        let mut said = Vec::new();
        let Some(RelayGuard::Pulse(mut timer)) = self.guard.take() else {
            return said;
        };
        while let Some(order) = orders.pop_front() {
            let further = match order {
                pulse_timer::Order::Energise(_) => {
                    self.pin(now, Output::Open, true, report);
                    timer.energised(at(now), Ok(()))
                }
                pulse_timer::Order::ReleaseAll if self.port_sticks => {
                    self.watch.release_refused();
                    timer.released(at(now), Err("the board does not answer".to_owned()))
                }
                pulse_timer::Order::ReleaseAll => {
                    self.pin(now, Output::Open, false, report);
                    timer.released(at(now), Ok(()))
                }
                pulse_timer::Order::Say(words) => {
                    if let GuardReport::Released {
                        cause: Some(_),
                        why,
                        ..
                    } = &words
                    {
                        match why {
                            ReleaseReason::Done => report.guard(Guard::PulseBound),
                            ReleaseReason::Silence => report.guard(Guard::Silence),
                            ReleaseReason::Ending => report.guard(Guard::PipeEnd),
                            ReleaseReason::Ordered | ReleaseReason::PortFailed => {}
                        }
                    }
                    said.push(words);
                    Vec::new()
                }
                pulse_timer::Order::End => {
                    self.port_lost = true;
                    Vec::new()
                }
            };
            for order in further.into_iter().rev() {
                orders.push_front(order);
            }
        }
        self.guard = Some(RelayGuard::Pulse(timer));
        said
    }

    /// Does what the motor timer orders. A refusal means that the barrier ordered what it must
    /// never order.
    pub(super) fn obey_motor(
        &mut self,
        now: u64,
        orders: Vec<motor_timer::Order>,
        report: &mut Report,
    ) {
        for order in orders {
            match order {
                motor_timer::Order::Write { output, energised } => {
                    self.pin(now, output, energised, report);
                }
                motor_timer::Order::Refuse { output, why } => self.watch.refused(now, output, why),
                // It ends, and its successor begins anew.
                motor_timer::Order::ReleasedByItself => self.port_lost = true,
            }
        }
    }
}

/// What the daemon makes of its relay guard's words.
fn input_of(report: GuardReport) -> Option<Input> {
    let report = match report {
        GuardReport::Energised { cause, at_ns } => RelayReport::Energised { cause, at: at_ns },
        GuardReport::Released { cause, at_ns, .. } => RelayReport::Released { cause, at: at_ns },
        GuardReport::Failed { cause, text } => RelayReport::Failed {
            cause,
            reason: text,
        },
        GuardReport::Refused { cause, reason } => RelayReport::Refused {
            cause,
            reason: match reason {
                PulseRefusal::Busy => "busy".to_owned(),
                PulseRefusal::Repeated => "pulsed before".to_owned(),
            },
        },
        _ => return None,
    };
    Some(Input::Relay(report))
}
