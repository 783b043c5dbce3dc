//! The courier's other direction: what the broker brings, and what the device says about itself
//! under its signature.

use std::time::Duration;

use domain::command::{
    Acknowledgement, Answer, Command, CommandKind, Head, Refusal, Response, Transaction,
};
use domain::event::{Digest, Event};
use domain::names::Name;
use domain::signing::{Purpose, Signed};
use domain::sync::{Manifest, Page};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Courier, Parcel, once};
use crate::delivery::{Confirmation, Input};
use crate::orders::{Declined, PageTaken, SyncStep};
use crate::outbox::OutboxError;
use crate::reception::{Accepted, Action, Message, Sent, judge};
use crate::transport::{Inbound, Link as _, Quality, Transport};

/// How often the device says how far its journal goes.
const HEAD_EVERY: Duration = Duration::from_secs(30);

/// A server that has confirmed nothing for this long although the broker is there is reported.
const SERVER_SILENT: Duration = Duration::from_mins(10);

/// How long a topic that brought too large a packet is not listened to, at first and at most.
const FIRST_DEAFNESS: Duration = Duration::from_mins(1);
const LONGEST_DEAFNESS: Duration = Duration::from_hours(1);

/// Answers that wait to be sent at most; further ones are dropped.
const RESPONSES: usize = 32;

/// What is listened to. A packet that is too large ends the connection, and a retained one
/// would end every connection at its subscription: so then less is listened to for a while, and
/// events go out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hearing {
    Nothing,
    Acknowledgements,
    All,
}

/// The state of this direction.
#[derive(Debug)]
pub(super) struct Ear {
    hearing: Hearing,
    deaf_until: Option<Instant>,
    deaf_for: Duration,
    pub(super) responses: std::collections::VecDeque<(String, Vec<u8>)>,
    beat: u64,
    head_at: Option<Instant>,
    server_silent: bool,
    /// Who sends a register, and the transaction that waits for what comes of it.
    sync: Option<(Transaction, Name)>,
}

impl Ear {
    pub(super) fn new() -> Self {
        Self {
            hearing: Hearing::All,
            deaf_until: None,
            deaf_for: FIRST_DEAFNESS,
            responses: std::collections::VecDeque::new(),
            beat: 0,
            head_at: None,
            server_silent: false,
            sync: None,
        }
    }
}

impl<T: Transport> Courier<T> {
    /// Asks for everything that may be heard now.
    pub(super) fn listen(&mut self) {
        let mut topics = Vec::new();
        if self.confirmation == Confirmation::Server
            && self.ear.hearing >= Hearing::Acknowledgements
        {
            topics.push((self.topics.ack(), Quality::AtLeastOnce));
        }
        if self.orders.is_some() && self.ear.hearing == Hearing::All {
            topics.push((self.topics.requests(), Quality::AtMostOnce));
            topics.push((self.topics.registry_page(), Quality::AtLeastOnce));
        }
        let Some(journey) = self.journey.as_mut().filter(|journey| journey.connected) else {
            return;
        };
        if !topics.is_empty() && journey.link.subscribe(&topics).is_err() {
            self.close("the MQTT client stalled", false);
        }
    }

    /// A packet was too large: the next connection listens to less.
    pub(super) fn deafen(&mut self) {
        self.ear.hearing = match self.ear.hearing {
            Hearing::All => Hearing::Acknowledgements,
            Hearing::Acknowledgements | Hearing::Nothing => Hearing::Nothing,
        };
        let now = Instant::now();
        self.ear.deaf_until = Some(now + self.ear.deaf_for);
        warn!(
            "somebody sends this device packets that are too large; {} for {} s",
            if self.ear.hearing == Hearing::Nothing {
                "it listens to nothing"
            } else {
                "it takes no commands"
            },
            self.ear.deaf_for.as_secs()
        );
        self.ear.deaf_for = (self.ear.deaf_for * 2).min(LONGEST_DEAFNESS);
        self.record(Event::MessageRefused {
            topic: "request".to_owned(),
            reason: Refusal::TooLarge,
            count: 1,
            by: None,
        });
    }

    fn record(&self, event: Event) {
        if let Some(orders) = &self.orders {
            orders.record(event);
        }
    }

    /// Takes a message in.
    pub(super) fn receive(&mut self, inbound: &Inbound) {
        let Some(topic) = self.topics.below(&inbound.topic) else {
            return;
        };
        let message = Message {
            topic,
            payload: &inbound.payload,
            retained: inbound.retained,
        };
        let actions = self.reception.take(self.now(), message);
        self.heed(actions);
    }

    fn heed(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Respond { name, response } => self.respond(name, &response),
                Action::Record(event) => {
                    if let Event::MessageRefused {
                        topic,
                        reason,
                        count,
                        ..
                    } = &event
                    {
                        warn!(topic, count, "refused: {}", reason.words());
                    }
                    self.record(event);
                }
                Action::CarryOut(accepted) => self.carry_out(accepted),
                Action::Confirm { word, by } => self.confirm(&word, by),
                Action::Page(page) => self.take_page(&page),
            }
        }
    }

    fn carry_out(&mut self, accepted: Accepted) {
        let Accepted {
            command,
            transaction,
            by,
            cause,
        } = accepted;
        if let Command::RegistrySync { manifest } = &command {
            self.begin_sync(manifest, transaction, by);
            return;
        }
        let done = match &self.orders {
            Some(orders) => orders.carry_out(&command, &by, &cause),
            None => Err(Declined::not_supported("this gate takes no commands")),
        };
        self.conclude(
            command.kind(),
            command.lane().cloned(),
            transaction,
            by,
            &done,
        );
    }

    /// Writes down what came of a command, and answers.
    fn conclude(
        &mut self,
        kind: CommandKind,
        lane: Option<Name>,
        transaction: Transaction,
        by: Name,
        done: &Result<String, Declined>,
    ) {
        let (said, response) = match done {
            Ok(message) => (message, self.reception.done(transaction.clone(), message)),
            Err(declined) => (
                &declined.message,
                self.reception
                    .refusal(transaction.clone(), declined.reason, &declined.message),
            ),
        };
        info!(command = kind.word(), by = %by, done = done.is_ok(), "{said}");
        self.record(Event::Command {
            transaction,
            command: kind,
            lane,
            by,
            done: done.is_ok(),
            message: said.clone(),
        });
        self.respond(kind.word(), &response);
    }

    /// A register is coming: which pages are missing is answered now, what came of it later.
    fn begin_sync(&mut self, manifest: &Manifest, transaction: Transaction, by: Name) {
        let begun = match &self.orders {
            Some(orders) => orders.begin_sync(manifest, &by),
            None => Err(Declined::not_supported("this gate takes no commands")),
        };
        let kind = CommandKind::RegistrySync;
        match begun {
            Ok(SyncStep::Taking(missing)) => {
                info!(by = %by, version = %manifest.version, "a register is coming");
                let response = Response {
                    device: self.signer.device.clone(),
                    transaction: transaction.clone(),
                    answer: Answer::Taking { missing },
                };
                self.ear.sync = Some((transaction, by));
                self.respond(kind.word(), &response);
            }
            Ok(SyncStep::Done(message)) => self.conclude(kind, None, transaction, by, &Ok(message)),
            Err(declined) => self.conclude(kind, None, transaction, by, &Err(declined)),
        }
    }

    fn take_page(&mut self, page: &Page) {
        let Some(orders) = &self.orders else {
            return;
        };
        match orders.take_page(page) {
            Ok(PageTaken::Going) => {}
            Ok(PageTaken::Ended(done)) => {
                if let Some((transaction, by)) = self.ear.sync.take() {
                    self.conclude(CommandKind::RegistrySync, None, transaction, by, &done);
                } else {
                    // It was commanded before a restart; whoever sends it asks again.
                    info!(done = done.is_ok(), "a register has come");
                }
            }
            Err(why) => {
                let actions = self.reception.refuse_page(self.now(), why);
                self.heed(actions);
            }
        }
    }

    fn respond(&mut self, name: &str, response: &Response) {
        if self.ear.responses.len() >= RESPONSES {
            return;
        }
        let signed = Signed::new(&self.signer.key, Purpose::Response, response)
            .and_then(|signed| serde_json::to_vec(&signed));
        if let Ok(payload) = signed {
            self.ear
                .responses
                .push_back((self.topics.response(name), payload));
        }
    }

    /// The server says that it holds entries: whether they are the ones that were sent, the
    /// outbox knows.
    fn confirm(&mut self, word: &Acknowledgement, by: Name) {
        let acked = self.delivery.acked();
        let first = self.first_pending();
        let at = self.outbox.pending(word.upto, 1);
        let (Ok(first), Ok(at)) = (first, at) else {
            warn!("the outbox failed; the server's acknowledgement could not be compared");
            return;
        };
        let sent = Sent {
            acked,
            greatest: self.delivery.greatest().max(self.upto_at_start),
            gone: gone(acked, first),
        };
        let stored = at
            .first()
            .filter(|(seq, _)| *seq == word.upto)
            .map(|(_, bytes)| Digest::of(bytes));
        match judge(word, sent, stored) {
            Ok(()) => self.step(Input::Confirmed {
                upto: word.upto,
                received: word.received,
                resumes: word.resumes,
            }),
            Err(why) => {
                let actions = self.reception.refuse_acknowledgement(self.now(), why, by);
                self.heed(actions);
            }
        }
    }

    /// The first entry that the outbox still holds.
    fn first_pending(&self) -> Result<Option<u64>, OutboxError> {
        let pending = self.outbox.pending(self.delivery.acked() + 1, 1)?;
        Ok(pending.first().map(|(seq, _)| *seq))
    }

    /// What time brings: the head, what was refused again and again, hearing again.
    pub(super) fn pass_time(&mut self) {
        let now = self.now();
        let actions = self.reception.tick(now);
        self.heed(actions);
        let instant = Instant::now();
        if self.ear.deaf_until.is_some_and(|until| instant >= until) {
            self.ear.deaf_until = None;
            self.ear.hearing = Hearing::All;
            self.listen();
        }
        let due = self.ear.head_at.is_none_or(|at| instant - at >= HEAD_EVERY);
        if due && self.is_connected() {
            self.say_head();
        }
        let silent = self.delivery.unconfirmed_for(now) >= SERVER_SILENT;
        if silent && !self.ear.server_silent {
            let message = format!(
                "the committee's server has acknowledged nothing for {} minutes although the broker is there: it is off, its key has changed, or somebody holds messages back; {} events are kept here",
                SERVER_SILENT.as_secs() / 60,
                self.delivery.depth()
            );
            warn!("{message}");
            self.record(Event::Alarm {
                code: "server-silent".to_owned(),
                message,
            });
        }
        self.ear.server_silent = silent;
    }

    /// Says how far the journal goes, under the device's signature.
    pub(super) fn say_head(&mut self) {
        self.ear.head_at = Some(Instant::now());
        let acked = self.delivery.acked();
        let first = match self.first_pending() {
            Ok(first) => first,
            Err(error) => {
                warn!("{error}; the head is said at the next turn");
                return;
            }
        };
        self.ear.beat += 1;
        let head = Head {
            device: self.signer.device.clone(),
            seq: self.shared.board().upto,
            acked,
            gone: gone(acked, first),
            beat: self.ear.beat,
        };
        let signed = Signed::new(&self.signer.key, Purpose::Head, &head)
            .and_then(|signed| serde_json::to_vec(&signed));
        if let Ok(payload) = signed {
            self.send(Parcel::Once, once(self.topics.head(), payload));
        }
    }
}

/// Up to where nothing is in the outbox any more.
fn gone(acked: u64, first: Option<u64>) -> u64 {
    first.map_or(acked, |first| acked.max(first.saturating_sub(1)))
}
