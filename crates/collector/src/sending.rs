//! A register's way to one gate: ask for a challenge, sign the manifest over it, send the pages
//! that the gate asks for, wait for what came of them.
//!
//! Pure. Whenever nothing is heard for a while, or the connection was lost, it begins again with a
//! new challenge: the gate goes on where it was, and says so. Only what the gate's own key has
//! signed is taken for its answer.

use std::collections::VecDeque;
use std::time::Duration;

use domain::command::{
    Answer, ChallengeRequest, Command, DeviceName, Order, Refusal, Response, Transaction,
};
use domain::signing::{Purpose, SecretKey, Signed};
use domain::sync::{Manifest, Page, Report};
use domain::time::Monotonic;

use crate::message::Enrolment;

/// How long nothing may be heard before it begins again.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// Pages that are sent in a [`SPAN`] at most: a gate looks at 500 in a second, and what lay in
/// the broker for a while arrives closer together than it was sent.
const PAGES_IN_SPAN: u32 = 80;

const SPAN: Duration = Duration::from_millis(250);

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Answers are listened to on this connection.
    Connected,
    /// The connection is gone.
    Lost,
    /// A message came.
    Heard {
        /// What stands below `menshen/SITE/DEVICE/`.
        topic: &'a str,
        /// What it says.
        payload: &'a [u8],
    },
    /// Time went by.
    Tick,
}

/// A message to the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Below `menshen/SITE/DEVICE/`.
    pub topic: &'static str,
    /// What it says.
    pub payload: Vec<u8>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The register is in force, in the gate's words.
    Done(String),
    /// It is not.
    Refused {
        /// Why, as a code.
        reason: Refusal,
        /// Why, in the gate's words.
        message: String,
    },
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Away,
    Asked,
    Ordered,
    Paging,
    Ended,
}

/// A register on its way to one gate.
pub struct Sending<'a> {
    device: &'a DeviceName,
    gates: &'a Enrolment,
    key: &'a SecretKey,
    manifest: Manifest,
    pages: Vec<Page>,
    /// Names its questions; the number of the question follows.
    name: String,
    asked: u64,
    stage: Stage,
    heard: Monotonic,
    letters: VecDeque<Letter>,
    /// Pages that the gate asked for and that are not sent.
    wanted: VecDeque<u32>,
    /// Since when pages are counted, and how many were sent since.
    span: (Monotonic, u32),
    end: Option<End>,
}

impl<'a> Sending<'a> {
    /// A register for one gate. `name` must be new: it names the questions.
    pub fn new(
        device: &'a DeviceName,
        gates: &'a Enrolment,
        key: &'a SecretKey,
        name: impl Into<String>,
        offer: (Manifest, Vec<Page>),
    ) -> Self {
        Self {
            device,
            gates,
            key,
            manifest: offer.0,
            pages: offer.1,
            name: name.into(),
            asked: 0,
            stage: Stage::Away,
            heard: Monotonic::default(),
            letters: VecDeque::new(),
            wanted: VecDeque::new(),
            span: (Monotonic::default(), 0),
            end: None,
        }
    }

    /// How it ended, if it did.
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Pages sent and acknowledged to be wanted no more, as far as is known, of how many.
    pub fn progress(&self) -> (usize, usize) {
        let sent = match self.stage {
            Stage::Away | Stage::Asked | Stage::Ordered => 0,
            Stage::Paging => self.pages.len() - self.wanted.len(),
            Stage::Ended => self.pages.len(),
        };
        (sent, self.pages.len())
    }

    /// The next message, if it is time for one; it is not taken out before [`Self::took`].
    pub fn next(&mut self, now: Monotonic) -> Option<&Letter> {
        if self.letters.is_empty() {
            if now - self.span.0 >= SPAN {
                self.span = (now, 0);
            }
            if self.span.1 == PAGES_IN_SPAN {
                return None;
            }
            let index = self.wanted.front().copied()?;
            let page = self.pages.get(index as usize)?;
            let payload = serde_json::to_vec(page).ok()?;
            self.letters.push_back(Letter {
                topic: "registry/page",
                payload,
            });
            self.wanted.pop_front();
            self.span.1 += 1;
        }
        self.letters.front()
    }

    /// The connection took the message that [`Self::next`] showed.
    pub fn took(&mut self, now: Monotonic) {
        self.letters.pop_front();
        if self.stage == Stage::Paging {
            self.heard = now;
        }
    }

    fn transaction(&self) -> Option<Transaction> {
        format!("{}-{}", self.name, self.asked).parse().ok()
    }

    /// Takes note of what happened.
    pub fn step(&mut self, now: Monotonic, input: Input<'_>) {
        if self.stage == Stage::Ended {
            return;
        }
        match input {
            Input::Connected => self.ask(now),
            Input::Lost => {
                self.stage = Stage::Away;
                self.letters.clear();
                self.wanted.clear();
            }
            Input::Heard { topic, payload } => self.hear(now, topic, payload),
            Input::Tick => {
                let waits = self.wanted.is_empty() && self.letters.is_empty();
                if self.stage != Stage::Away && waits && now - self.heard >= PATIENCE {
                    self.ask(now);
                }
            }
        }
    }

    /// Begins, or begins again.
    fn ask(&mut self, now: Monotonic) {
        self.asked += 1;
        self.heard = now;
        self.stage = Stage::Asked;
        self.wanted.clear();
        self.letters.clear();
        let Some(transaction) = self.transaction() else {
            return;
        };
        let request = ChallengeRequest {
            transaction,
            lane: None,
        };
        if let Ok(payload) = serde_json::to_vec(&request) {
            self.letters.push_back(Letter {
                topic: "request/challenge",
                payload,
            });
        }
    }

    fn hear(&mut self, now: Monotonic, topic: &str, payload: &[u8]) {
        let Some(name) = topic.strip_prefix("response/") else {
            return;
        };
        let Some(response) = self.answer(payload) else {
            return;
        };
        match (name, response.answer) {
            ("challenge", Answer::Challenge { challenge, .. }) if self.stage == Stage::Asked => {
                let order = Order {
                    device: self.device.clone(),
                    challenge,
                    transaction: response.transaction,
                    command: Command::RegistrySync {
                        manifest: Box::new(self.manifest.clone()),
                    },
                };
                let signed = Signed::new(self.key, Purpose::Command, &order)
                    .and_then(|signed| serde_json::to_vec(&signed));
                if let Ok(payload) = signed {
                    self.letters.push_back(Letter {
                        topic: "request/registry-sync",
                        payload,
                    });
                }
                self.stage = Stage::Ordered;
                self.heard = now;
            }
            ("registry-sync", Answer::Taking { missing }) => {
                let last = self.pages.len() as u32;
                let wanted = missing
                    .into_iter()
                    .flat_map(|(from, to)| from..to.saturating_add(1).min(last));
                self.wanted = wanted.take(self.pages.len()).collect();
                self.stage = Stage::Paging;
                self.heard = now;
            }
            ("registry-sync", Answer::Done { message }) => self.finish(End::Done(message)),
            ("registry-sync", Answer::Refused { reason, message }) => match reason {
                // The next challenge may be luckier.
                Refusal::Late | Refusal::UnknownChallenge | Refusal::Replayed | Refusal::Flood => {}
                _ => self.finish(End::Refused { reason, message }),
            },
            _ => {}
        }
    }

    fn finish(&mut self, end: End) {
        self.stage = Stage::Ended;
        self.letters.clear();
        self.wanted.clear();
        self.end = Some(end);
    }

    /// The gate's own answer to the last question.
    fn answer(&self, payload: &[u8]) -> Option<Response> {
        let signed: Signed = serde_json::from_slice(payload).ok()?;
        let response: Response = serde_json::from_str(signed.body.get()).ok()?;
        let ours = Some(&response.transaction) == self.transaction().as_ref()
            && response.device == *self.device
            && self.gates.knows(self.device, &signed.key)
            && signed.is_genuine(Purpose::Response);
        ours.then_some(response)
    }
}

/// What a gate says of its register, if its own key has signed it.
pub fn report(payload: &[u8], device: &DeviceName, gates: &Enrolment) -> Option<Report> {
    let signed: Signed = serde_json::from_slice(payload).ok()?;
    let report: Report = serde_json::from_str(signed.body.get()).ok()?;
    let genuine = report.device == *device
        && gates.knows(device, &signed.key)
        && signed.is_genuine(Purpose::Register);
    genuine.then_some(report)
}
