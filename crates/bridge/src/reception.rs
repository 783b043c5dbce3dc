//! What the broker brings: challenges, commands and acknowledgements, judged.
//!
//! A pure state machine. Everything on the broker is taken to be written by an enemy until a
//! signature says otherwise.
//!
//! ```text
//! request/challenge ─► a challenge, bound to a lane, good for 30 s and once
//! request/<command> ─► signed order over a challenge ─► CarryOut, or refused
//! ack               ─► signed acknowledgement        ─► Confirm, or refused
//! registry/page     ─► a page of a commanded transfer ─► Page, or refused
//! ```
//!
//! A challenge carries its own time, lane and a keyed hash over them, so that giving out ten
//! thousand of them costs no memory and pushes none out; only used ones are remembered, and only
//! a genuine signature uses one. It is made from a secret that is new at every start, so nothing
//! that was signed for an earlier run is worth anything.
//!
//! An order is judged in this sequence, the cheap and anonymous tests first, so that a refusal
//! blames a key only after its signature was found genuine: retained, size, form, topic, gate,
//! challenge (given out here, for this lane, not too old, not used), key, signature, revocation,
//! role, lane. Then the challenge is used up, and only then is the order handed on: it acts at
//! most once, whatever happens afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::command::{
    Acknowledgement, Answer, Challenge, ChallengeRequest, Command, CommandKind, DeviceName,
    KeyRing, Order, Refusal, Response, Role,
};
use domain::event::{Digest, Event};
use domain::names::Name;
use domain::repeats::Repeats;
use domain::signing::{Purpose, Signed};
use domain::sync::Page;
use domain::time::Monotonic;

/// The largest message that is looked at: a command with a row of the register takes less than
/// 1 KiB.
pub const LARGEST: usize = 8 * 1024;

/// How long a challenge lives, by monotonic time: a wrong wall clock does not matter.
pub const CHALLENGE_FOR: Duration = Duration::from_secs(30);

/// Where pages of a register come, below the device's own topic.
const PAGE_TOPIC: &str = "registry/page";

/// Used challenges that are remembered at most; more than can be used honestly in their life.
const USED: usize = 4096;

/// Signatures that are checked in a second at most, for commands and for acknowledgements.
const COMMANDS_A_SECOND: u32 = 50;
const ACKS_A_SECOND: u32 = 200;

/// Pages of a register that are looked at in a second at most: each is hashed and written down.
/// Those beyond are asked for again.
const PAGES_A_SECOND: u32 = 500;

/// Challenges that are given out in a second at most: each answer is signed.
const CHALLENGES_A_SECOND: u32 = 100;

/// Refusals of one sort are written down once in this span.
const WRITE_EVERY: Duration = Duration::from_mins(1);

/// A message as it came, its topic below the device's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `ack`, `request/challenge`, `request/open` and so on.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answer on `response/<name>`.
    Respond {
        /// The last part of the topic.
        name: &'static str,
        /// What.
        response: Response,
    },
    /// Do what was ordered, and answer.
    CarryOut(Accepted),
    /// The server's key has signed this. Whether it fits what was sent, [`judge`] says.
    Confirm {
        /// What it says.
        word: Acknowledgement,
        /// Whose key.
        by: Name,
    },
    /// A page of a register. It is unsigned: whether it belongs to a transfer that was commanded,
    /// the house says.
    Page(Page),
    /// Write this down.
    Record(Event),
}

/// An order that was found sound. Its challenge is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What.
    pub command: Command,
    /// Names the answer.
    pub transaction: domain::command::Transaction,
    /// Whose key signed it.
    pub by: Name,
    /// The cause id of an opening that it leads to; never the same twice.
    pub cause: String,
}

/// So many a second, and as many at once.
#[derive(Debug)]
struct Allowance {
    a_second: u32,
    left: u32,
    since: Monotonic,
}

impl Allowance {
    const fn new(a_second: u32) -> Self {
        Self {
            a_second,
            left: a_second,
            since: Monotonic::from_nanos(0),
        }
    }

    fn take(&mut self, now: Monotonic) -> bool {
        if now - self.since >= Duration::from_secs(1) {
            self.since = now;
            self.left = self.a_second;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

/// Judges what the broker brings.
pub struct Reception {
    device: DeviceName,
    lanes: Vec<Name>,
    ring: KeyRing,
    /// New at every start.
    secret: [u8; 32],
    given: u64,
    /// Used challenges, by their number, with when they were given out.
    used: BTreeMap<u64, Monotonic>,
    commands: Allowance,
    acks: Allowance,
    challenges: Allowance,
    pages: Allowance,
    refusals: Repeats<(String, Refusal, Option<Name>)>,
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reception")
            .field("device", &self.device)
            .field("given", &self.given)
            .field("used", &self.used.len())
            .finish_non_exhaustive()
    }
}

/// A refusal, and whom a genuine signature blames.
type Refused = (Refusal, Option<Name>);

impl Reception {
    /// For one gate; `secret` must be random and never used before.
    pub fn new(device: DeviceName, lanes: Vec<Name>, ring: KeyRing, secret: [u8; 32]) -> Self {
        Self {
            device,
            lanes,
            ring,
            secret,
            given: 0,
            used: BTreeMap::new(),
            commands: Allowance::new(COMMANDS_A_SECOND),
            acks: Allowance::new(ACKS_A_SECOND),
            challenges: Allowance::new(CHALLENGES_A_SECOND),
            pages: Allowance::new(PAGES_A_SECOND),
            refusals: Repeats::new(WRITE_EVERY),
        }
    }

    /// Other keys are enrolled from now on.
    pub fn enrol(&mut self, ring: KeyRing) {
        self.ring = ring;
    }

    /// Time went by.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Action> {
        self.forget(now);
        self.refusals
            .due(now)
            .into_iter()
            .map(|((topic, reason, by), count)| {
                Action::Record(Event::MessageRefused {
                    topic,
                    reason,
                    count,
                    by,
                })
            })
            .collect()
    }

    /// Takes a message in.
    pub fn take(&mut self, now: Monotonic, message: Message<'_>) -> Vec<Action> {
        self.forget(now);
        match message.topic {
            "ack" => match self.acknowledgement(now, message) {
                Ok((word, by)) => vec![Action::Confirm { word, by }],
                Err(refused) => self.write_down(now, message.topic, refused),
            },
            "request/challenge" => match self.challenge(now, message) {
                Ok(response) => vec![Action::Respond {
                    name: "challenge",
                    response,
                }],
                Err(why) => self.write_down(now, message.topic, (why, None)),
            },
            PAGE_TOPIC => match self.page(now, message) {
                Ok(page) => vec![Action::Page(page)],
                Err(why) => self.write_down(now, PAGE_TOPIC, (why, None)),
            },
            topic => self.order(now, topic, message),
        }
    }

    /// An acknowledgement that was taken by [`Self::take`] did not fit what was sent.
    pub fn refuse_acknowledgement(
        &mut self,
        now: Monotonic,
        why: Refusal,
        by: Name,
    ) -> Vec<Action> {
        self.write_down(now, "ack", (why, Some(by)))
    }

    /// A page that was taken by [`Self::take`] does not belong to the open transfer.
    pub fn refuse_page(&mut self, now: Monotonic, why: Refusal) -> Vec<Action> {
        self.write_down(now, PAGE_TOPIC, (why, None))
    }

    fn page(&mut self, now: Monotonic, message: Message<'_>) -> Result<Page, Refusal> {
        if !self.pages.take(now) {
            return Err(Refusal::Flood);
        }
        read(message)
    }

    fn write_down(&mut self, now: Monotonic, topic: &str, (reason, by): Refused) -> Vec<Action> {
        // Topics are the device's own; a stranger chooses only among them.
        let known = topic == "ack"
            || topic == PAGE_TOPIC
            || topic == "request/challenge"
            || CommandKind::ALL
                .iter()
                .any(|kind| topic.strip_prefix("request/") == Some(kind.word()));
        let topic = if known { topic } else { "request" }.to_owned();
        let count = self.refusals.note(now, (topic.clone(), reason, by.clone()));
        count
            .map(|count| {
                Action::Record(Event::MessageRefused {
                    topic,
                    reason,
                    count,
                    by,
                })
            })
            .into_iter()
            .collect()
    }

    fn forget(&mut self, now: Monotonic) {
        while let Some(oldest) = self.used.first_entry()
            && now - *oldest.get() > CHALLENGE_FOR
        {
            oldest.remove();
        }
    }

    fn challenge(&mut self, now: Monotonic, message: Message<'_>) -> Result<Response, Refusal> {
        let request: ChallengeRequest = read(message)?;
        if let Some(lane) = &request.lane
            && !self.lanes.contains(lane)
        {
            return Err(Refusal::WrongLane);
        }
        if !self.challenges.take(now) {
            return Err(Refusal::Flood);
        }
        self.given += 1;
        let challenge = self.seal(now, self.given, request.lane.as_ref());
        Ok(Response {
            device: self.device.clone(),
            transaction: request.transaction,
            answer: Answer::Challenge {
                challenge,
                seconds: CHALLENGE_FOR.as_secs(),
            },
        })
    }

    /// Time and number in the clear, then a keyed hash over them and the lane.
    fn seal(&self, at: Monotonic, number: u64, lane: Option<&Name>) -> Challenge {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&at.as_nanos().to_be_bytes());
        bytes[8..16].copy_from_slice(&number.to_be_bytes());
        let lane = lane.map(Name::as_str).unwrap_or_default();
        let text = [&self.secret[..], &bytes[..16], lane.as_bytes()].concat();
        // Half of the digest: nobody can go on from it.
        bytes[16..].copy_from_slice(&Digest::of(&text).0[..16]);
        Challenge(Digest(bytes))
    }

    /// When and under which number this gate gave a challenge out, for this lane.
    fn unseal(
        &self,
        challenge: &Challenge,
        lane: Option<&Name>,
    ) -> Result<(Monotonic, u64), Refusal> {
        let bytes = &challenge.0.0;
        let word = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(eight)
        };
        let (at, number) = (Monotonic::from_nanos(word(0)), word(8));
        let is_for = |lane| same(&self.seal(at, number, lane).0.0, bytes);
        if is_for(lane) {
            Ok((at, number))
        } else if is_for(None) || self.lanes.iter().any(|lane| is_for(Some(lane))) {
            Err(Refusal::WrongLane)
        } else {
            Err(Refusal::UnknownChallenge)
        }
    }

    fn order(&mut self, now: Monotonic, topic: &str, message: Message<'_>) -> Vec<Action> {
        let mut asked = None;
        match self.accept(now, topic, message, &mut asked) {
            Ok(accepted) => vec![Action::CarryOut(accepted)],
            Err(refused) => {
                let mut actions = self.write_down(now, topic, refused.clone());
                if let Some(order) = asked {
                    actions.push(Action::Respond {
                        name: order.command.kind().word(),
                        response: self.refusal(order.transaction, refused.0, refused.0.words()),
                    });
                }
                actions
            }
        }
    }

    /// The answer to something that is not done.
    pub fn refusal(
        &self,
        transaction: domain::command::Transaction,
        reason: Refusal,
        message: impl Into<String>,
    ) -> Response {
        Response {
            device: self.device.clone(),
            transaction,
            answer: Answer::Refused {
                reason,
                message: message.into(),
            },
        }
    }

    /// The answer to something that was done.
    pub fn done(
        &self,
        transaction: domain::command::Transaction,
        message: impl Into<String>,
    ) -> Response {
        Response {
            device: self.device.clone(),
            transaction,
            answer: Answer::Done {
                message: message.into(),
            },
        }
    }

    fn accept(
        &mut self,
        now: Monotonic,
        topic: &str,
        message: Message<'_>,
        asked: &mut Option<Order>,
    ) -> Result<Accepted, Refused> {
        let nobody = |why| (why, None);
        let signed: Signed = read(message).map_err(nobody)?;
        let order: Order =
            serde_json::from_str(signed.body.get()).map_err(|_| nobody(Refusal::Unreadable))?;
        *asked = Some(order.clone());
        let command = &order.command;
        if topic.strip_prefix("request/") != Some(command.kind().word()) {
            return Err(nobody(Refusal::WrongTopic));
        }
        if order.device != self.device {
            return Err(nobody(Refusal::WrongDevice));
        }
        if let Some(lane) = command.lane()
            && !self.lanes.contains(lane)
        {
            return Err(nobody(Refusal::WrongLane));
        }
        let (at, number) = self
            .unseal(&order.challenge, command.lane())
            .map_err(nobody)?;
        if now - at > CHALLENGE_FOR {
            return Err(nobody(Refusal::Late));
        }
        if self.used.contains_key(&number) {
            return Err(nobody(Refusal::Replayed));
        }
        let Some(who) = self.ring.find(&signed.key).cloned() else {
            return Err(nobody(Refusal::UnknownKey));
        };
        if self.used.len() >= USED || !self.commands.take(now) {
            return Err(nobody(Refusal::Flood));
        }
        if !signed.is_genuine(Purpose::Command) {
            return Err(nobody(Refusal::Forged));
        }
        let by = |why| (why, Some(who.name.clone()));
        if who.revoked {
            return Err(by(Refusal::Revoked));
        }
        if !who.roles.contains(&command.kind().role()) {
            return Err(by(Refusal::WrongRole));
        }
        let everywhere = who.lanes.is_empty();
        let has_say = match command.lane() {
            Some(lane) => everywhere || who.lanes.contains(lane),
            None => everywhere,
        };
        if !has_say {
            return Err(by(Refusal::WrongLane));
        }
        self.used.insert(number, at);
        Ok(Accepted {
            command: order.command,
            transaction: order.transaction,
            by: who.name,
            cause: format!("command-{}", order.challenge),
        })
    }

    fn acknowledgement(
        &mut self,
        now: Monotonic,
        message: Message<'_>,
    ) -> Result<(Acknowledgement, Name), Refused> {
        let nobody = |why| (why, None);
        let signed: Signed = read(message).map_err(nobody)?;
        let word: Acknowledgement =
            serde_json::from_str(signed.body.get()).map_err(|_| nobody(Refusal::Unreadable))?;
        if word.device != self.device {
            return Err(nobody(Refusal::WrongDevice));
        }
        let Some(who) = self.ring.find(&signed.key).cloned() else {
            return Err(nobody(Refusal::UnknownKey));
        };
        if !self.acks.take(now) {
            return Err(nobody(Refusal::Flood));
        }
        if !signed.is_genuine(Purpose::Acknowledgement) {
            return Err(nobody(Refusal::Forged));
        }
        if who.revoked {
            return Err((Refusal::Revoked, Some(who.name)));
        }
        if !who.roles.contains(&Role::Server) {
            return Err((Refusal::WrongRole, Some(who.name)));
        }
        Ok((word, who.name))
    }
}

/// What has been sent, as far as an acknowledgement is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Everything up to here is acknowledged.
    pub acked: u64,
    /// The greatest number that was ever handed out.
    pub greatest: u64,
    /// Nothing up to here is in the outbox any more: it is acknowledged, or was dropped.
    pub gone: u64,
}

/// Whether a server's word fits what was sent; `stored` is the hash of the entry with its
/// number in the outbox, if that is still there.
///
/// # Errors
/// [`Refusal::OutOfRange`] if it speaks of what was never sent, [`Refusal::Stale`] if more was
/// acknowledged before, [`Refusal::WrongChain`] if it is about other bytes.
pub fn judge(word: &Acknowledgement, sent: Sent, stored: Option<Digest>) -> Result<(), Refusal> {
    let resumes = word.resumes.unwrap_or(word.upto + 1);
    let in_order = word.upto <= word.received
        && (word.resumes.is_none() || (resumes > word.upto + 1 && resumes <= word.received))
        && (word.resumes.is_some() || word.received == word.upto);
    if word.received > sent.greatest.max(sent.acked) || !in_order {
        return Err(Refusal::OutOfRange);
    }
    if word.upto < sent.acked {
        return Err(Refusal::Stale);
    }
    // What is gone cannot be compared, and cannot be acknowledged away either.
    if word.upto <= sent.gone.max(sent.acked) {
        return Ok(());
    }
    match stored {
        Some(hash) if hash == word.chain => Ok(()),
        Some(_) => Err(Refusal::WrongChain),
        None => Err(Refusal::Stale),
    }
}

/// Reads a message that is neither retained nor too large.
fn read<'m, T: serde::Deserialize<'m>>(message: Message<'m>) -> Result<T, Refusal> {
    if message.retained {
        return Err(Refusal::Retained);
    }
    if message.payload.len() > LARGEST {
        return Err(Refusal::TooLarge);
    }
    serde_json::from_slice(message.payload).map_err(|_| Refusal::Unreadable)
}

/// Compares without telling by its time where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}

#[cfg(test)]
mod tests;
