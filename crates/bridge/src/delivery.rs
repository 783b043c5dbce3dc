//! Which entry is published when, what is known to have arrived, when to try the broker again.
//!
//! A pure state machine: the shell tells it what happened and when, and does what it answers.
//! It holds sequence numbers only, at most a window of them; the entries themselves stay in the
//! outbox and are read again for every publication.
//!
//! ```text
//! OutboxGrew ─► Fetch ─► (shell reads outbox) ─► Fetched ─► Publish… ─► Acked ─► Acknowledge
//! Disconnected ─► Reconnect{after}, and from the next Connected on all again from the first
//!                 unacknowledged entry
//! ```
//!
//! What the broker says about a remembered session has no influence: it may have lost accepted
//! messages all the same.
//!
//! Delivered means, by [`Confirmation`], acknowledged by the broker or by the committee's
//! server. With a server two more things happen. At most [`AHEAD`] entries are on their way
//! between here and the server, so that a server that is away fills the outbox and not the
//! broker. And what the server is missing is sent again: the numbers of a hole that it names,
//! and, when it falls silent, one entry from the first unacknowledged on, at pauses that grow;
//! once it answers, all that follow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::time::Monotonic;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// The first pause before connecting again.
pub const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause before connecting again.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The pause before the outbox is asked again after it failed.
const OUTBOX_PAUSE: Duration = Duration::from_secs(1);

/// How often the outbox is looked into although nobody said that it grew.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How many instants of growth are kept at most to judge lateness.
const MARKS: u32 = 64;

/// Entries that the broker has and the server has not acknowledged, at most. Below what brokers
/// keep for an absent subscriber by default (mosquitto: 1,000).
pub const AHEAD: usize = 512;

/// How long the server may be silent before the first unacknowledged entry is sent again.
pub const FIRST_SILENCE: Duration = Duration::from_secs(10);

/// How long a hole that the server names may stay before its entries are sent again.
pub const FIRST_HOLE: Duration = Duration::from_secs(2);

/// The longest pause before either is tried again.
pub const LONGEST_SILENCE: Duration = Duration::from_mins(5);

/// Whose acknowledgement makes an entry delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The broker's. Against a broker that loses or deletes messages this promises nothing.
    Broker,
    /// The committee's server's.
    Server,
}

/// What a [`Delivery`] starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// How many entries may be on their way at once.
    pub window: usize,
    /// An entry that is delivered longer than this after it was journaled is late.
    pub late_after: Duration,
    /// The journal's last sequence number now.
    pub upto: u64,
    /// The last one believed to be acknowledged; only for what is told of the depth.
    pub acked: u64,
    /// The seed of the pauses' jitter.
    pub seed: u64,
    /// Whose acknowledgement counts.
    pub confirmation: Confirmation,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The broker accepted the connection.
    Connected,
    /// The connection was lost or could not be made.
    Disconnected,
    /// The broker acknowledged an entry that was published on this connection.
    Acked(u64),
    /// The server's acknowledgement, which was found genuine and about the bytes that were sent.
    Confirmed {
        /// Everything up to here is stored or was declared lost.
        upto: u64,
        /// The greatest number stored.
        received: u64,
        /// Where the stored numbers go on after the first hole, if there is one.
        resumes: Option<u64>,
    },
    /// The journal durably holds entries up to here.
    OutboxGrew {
        /// Its last sequence number.
        upto: u64,
    },
    /// The answer to [`Action::Fetch`].
    Fetched {
        /// What was asked.
        from: u64,
        /// The sequence numbers read, rising.
        found: Vec<u64>,
    },
    /// [`Action::Fetch`] failed.
    FetchFailed,
    /// [`Action::Acknowledge`] failed.
    AcknowledgeFailed,
    /// Time went by.
    Tick,
}

/// What to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read the outbox and answer with [`Input::Fetched`] or [`Input::FetchFailed`].
    Fetch {
        /// The first sequence number wanted.
        from: u64,
        /// How many entries at most.
        limit: usize,
    },
    /// Publish an entry of the last fetch.
    Publish {
        /// Its sequence number.
        seq: u64,
        /// How often it has been published now, from 1.
        attempt: u32,
        /// Whether it is late; `None` if it was journaled before this machine started, so that
        /// only its wall time can tell.
        late: Option<bool>,
    },
    /// Tell the outbox that everything up to here has arrived.
    Acknowledge {
        /// The last sequence number before the first unacknowledged one.
        upto: u64,
    },
    /// Connect again.
    Reconnect {
        /// After this pause.
        after: Duration,
    },
}

/// An entry on its way.
#[derive(Debug, Clone, Copy)]
struct Slot {
    seq: u64,
    acked: bool,
}

/// A read of the outbox that is not answered yet.
#[derive(Debug, Clone, Copy)]
struct Fetching {
    from: u64,
    limit: usize,
    /// The last number of the hole, if this is to close one.
    hole: Option<u64>,
    /// What the journal was known to hold.
    upto: u64,
}

/// Something that is tried again after pauses that double.
#[derive(Debug, Clone, Copy)]
struct Retry {
    first: Duration,
    pause: Duration,
    at: Option<Monotonic>,
    /// It was tried since the last reset.
    tried: bool,
}

impl Retry {
    const fn new(first: Duration) -> Self {
        Self {
            first,
            pause: first,
            at: None,
            tried: false,
        }
    }

    /// Begins to wait, if it does not wait already.
    fn wait(&mut self, now: Monotonic) {
        self.at.get_or_insert(now + self.pause);
    }

    /// Whether it is time; the next pause is twice as long.
    fn is_due(&mut self, now: Monotonic) -> bool {
        if self.at.is_none_or(|at| now < at) {
            return false;
        }
        self.pause = (self.pause * 2).min(LONGEST_SILENCE);
        self.at = Some(now + self.pause);
        self.tried = true;
        true
    }

    fn reset(&mut self) {
        *self = Self::new(self.first);
    }
}

/// The state of delivery.
#[derive(Debug)]
pub struct Delivery {
    window: usize,
    confirmation: Confirmation,
    /// The greatest number that the server is known to store.
    received: u64,
    /// The greatest number that was ever published.
    greatest: u64,
    /// The last number of the first hole that the server has named.
    hole: Option<u64>,
    hole_retry: Retry,
    silence: Retry,
    /// The server has fallen silent: one entry at a time.
    probing: bool,
    /// Since when nothing has been confirmed although something is on its way.
    unconfirmed_since: Option<Monotonic>,
    late_after: Duration,
    /// Since when the connection stands.
    online: Option<Monotonic>,
    /// The connection is known to be away: entries that come now fail at first.
    down: bool,
    failures: u32,
    rng: SmallRng,

    /// Entries on their way, rising; the first is never an acknowledged one.
    slots: VecDeque<Slot>,
    /// Where the next fetch begins.
    next: u64,
    upto: u64,
    acked: u64,
    /// The outbox holds nothing up to here any more; for the depth only.
    gone: u64,
    /// There may be something to fetch.
    look: bool,
    look_again: Monotonic,
    fetching: Option<Fetching>,
    /// The outbox has not recorded `acked`: say it again then.
    unrecorded: Option<Monotonic>,

    /// How often unacknowledged entries were published; at most a window of them.
    tried: BTreeMap<u64, u32>,
    /// Everything up to here was journaled before the start.
    base: u64,
    /// Everything up to here waited while the broker was away.
    missed: u64,
    /// Everything up to here (and after `base`) was journaled longer ago than `late_after`.
    old: u64,
    /// What the journal held when, rising in both.
    marks: VecDeque<(u64, Monotonic)>,
}

impl Delivery {
    /// Nothing published yet, no connection; the shell begins by connecting.
    pub fn new(start: Start) -> Self {
        Self {
            window: start.window.max(1),
            confirmation: start.confirmation,
            received: 0,
            greatest: 0,
            hole: None,
            hole_retry: Retry::new(FIRST_HOLE),
            silence: Retry::new(FIRST_SILENCE),
            probing: false,
            unconfirmed_since: None,
            late_after: start.late_after,
            online: None,
            down: false,
            failures: 0,
            rng: SmallRng::seed_from_u64(start.seed),
            slots: VecDeque::new(),
            // The outbox knows better than anybody what is still to be sent.
            next: 1,
            upto: start.upto,
            acked: start.acked,
            gone: start.acked,
            look: true,
            look_again: Monotonic::default(),
            fetching: None,
            unrecorded: None,
            tried: BTreeMap::new(),
            base: start.upto,
            missed: 0,
            old: 0,
            marks: VecDeque::new(),
        }
    }

    /// The last sequence number up to which everything is acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// The greatest number that was ever published; nobody can acknowledge more.
    pub fn greatest(&self) -> u64 {
        self.greatest
    }

    /// How long entries have been on their way to a server that confirms nothing.
    pub fn unconfirmed_for(&self, now: Monotonic) -> Duration {
        self.unconfirmed_since
            .map_or(Duration::ZERO, |since| now - since)
    }

    /// How many entries wait to be acknowledged.
    pub fn depth(&self) -> u64 {
        self.upto.saturating_sub(self.acked.max(self.gone))
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now: Monotonic, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Connected => {
                self.online = Some(now);
                self.down = false;
                self.silence.reset();
                self.hole_retry.reset();
                self.probing = false;
                self.unconfirmed_since = None;
                self.rewind();
            }
            Input::Disconnected => {
                if self
                    .online
                    .take()
                    .is_some_and(|since| now - since >= LONGEST_PAUSE)
                {
                    self.failures = 0;
                }
                self.down = true;
                self.missed = self.upto;
                self.unconfirmed_since = None;
                self.rewind();
                actions.push(Action::Reconnect {
                    after: self.pause(),
                });
            }
            Input::Acked(seq) => self.acknowledge(seq, &mut actions),
            Input::Confirmed {
                upto,
                received,
                resumes,
            } => self.confirm(now, upto, received, resumes, &mut actions),
            Input::OutboxGrew { upto } => self.grow(now, upto),
            Input::Fetched { from, found } => self.publish(now, from, &found, &mut actions),
            Input::FetchFailed => {
                if self.fetching.take().is_some() {
                    self.look_again = now + OUTBOX_PAUSE;
                }
            }
            Input::AcknowledgeFailed => self.unrecorded = Some(now + OUTBOX_PAUSE),
            Input::Tick => {
                if self.unrecorded.is_some_and(|at| now >= at) {
                    self.unrecorded = None;
                    actions.push(Action::Acknowledge { upto: self.acked });
                }
            }
        }
        self.look_after_server(now, &mut actions);
        self.fetch(now, &mut actions);
        actions
    }

    /// Everything unacknowledged is to be published again.
    fn rewind(&mut self) {
        if let Some(first) = self.slots.front() {
            self.next = first.seq;
        }
        self.slots.clear();
        self.fetching = None;
        self.look = true;
    }

    /// Exponential from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`], each shortened by up to a half so
    /// that the devices of a site do not come back in step.
    fn pause(&mut self) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let most = doubled.min(LONGEST_PAUSE);
        most.mul_f64(self.rng.random_range(0.5..=1.0))
    }

    fn acknowledge(&mut self, seq: u64, actions: &mut Vec<Action>) {
        let Ok(place) = self.slots.binary_search_by_key(&seq, |slot| slot.seq) else {
            return;
        };
        self.slots[place].acked = true;
        self.failures = 0;
        if self.confirmation == Confirmation::Server {
            return;
        }
        let mut moved = false;
        while let Some(first) = self.slots.front().filter(|slot| slot.acked) {
            self.acked = first.seq;
            self.slots.pop_front();
            moved = true;
        }
        if moved {
            self.tried = self.tried.split_off(&(self.acked + 1));
            self.unrecorded = None;
            actions.push(Action::Acknowledge { upto: self.acked });
        }
    }

    fn confirm(
        &mut self,
        now: Monotonic,
        upto: u64,
        received: u64,
        resumes: Option<u64>,
        actions: &mut Vec<Action>,
    ) {
        // What the server has only grows, so an older word of it, repeated by whoever holds the
        // broker, says less than what is known: it must not cover up a hole that was named since.
        let older = upto < self.acked || (upto == self.acked && received < self.received);
        if self.confirmation == Confirmation::Broker || older {
            return;
        }
        let hole = resumes
            .filter(|resumes| *resumes > upto + 1)
            .map(|resumes| resumes - 1);
        if upto > self.acked || hole.is_none() {
            // Where one hole had to be closed by sending again, the next one is not waited for.
            let mending = self.hole_retry.tried && hole.is_some();
            self.hole_retry.reset();
            if mending {
                self.hole_retry.at = Some(now);
                self.hole_retry.tried = true;
            }
        }
        self.hole = hole;
        if upto > self.acked || received > self.received {
            self.silence.reset();
            self.probing = false;
            self.unconfirmed_since = None;
            self.look = true;
        }
        self.received = self.received.max(received);
        if upto > self.acked {
            self.acked = upto;
            self.unrecorded = None;
            actions.push(Action::Acknowledge { upto });
        }
        let there = self.acked.max(self.received);
        while self.slots.front().is_some_and(|slot| slot.seq <= there) {
            self.slots.pop_front();
        }
        self.tried = self.tried.split_off(&(there + 1));
        self.next = self.next.max(there + 1);
        if !self.slots.is_empty() {
            self.unconfirmed_since = Some(now);
        }
    }

    /// What the server is missing is sent again.
    fn look_after_server(&mut self, now: Monotonic, actions: &mut Vec<Action>) {
        if self.confirmation == Confirmation::Broker || self.online.is_none() {
            return;
        }
        if !self.slots.is_empty() {
            self.silence.wait(now);
            if self.silence.is_due(now) {
                self.rewind();
                self.probing = true;
            }
        }
        let Some(last) = self.hole else { return };
        self.hole_retry.wait(now);
        if self.fetching.is_none() && self.hole_retry.is_due(now) {
            let from = self.acked + 1;
            let missing = usize::try_from(last.saturating_sub(self.acked)).unwrap_or(usize::MAX);
            let limit = missing.min(self.window);
            self.fetching = Some(Fetching {
                from,
                limit,
                hole: Some(last),
                upto: self.upto,
            });
            actions.push(Action::Fetch { from, limit });
        }
    }

    fn grow(&mut self, now: Monotonic, upto: u64) {
        if upto <= self.upto {
            return;
        }
        self.upto = upto;
        self.look = true;
        if self.down {
            self.missed = upto;
        }
        self.forget_marks(now);
        match self.marks.back_mut() {
            Some((last, at)) if now - *at < self.late_after / MARKS => *last = upto,
            _ => self.marks.push_back((upto, now)),
        }
    }

    fn forget_marks(&mut self, now: Monotonic) {
        while let Some(&(upto, at)) = self.marks.front()
            && now - at > self.late_after
        {
            self.old = upto;
            self.marks.pop_front();
        }
    }

    fn late(&self, seq: u64) -> Option<bool> {
        if seq <= self.missed || self.tried.get(&seq).is_some_and(|&tries| tries > 1) {
            Some(true)
        } else if seq <= self.base {
            None
        } else {
            Some(seq <= self.old)
        }
    }

    fn publish(&mut self, now: Monotonic, from: u64, found: &[u64], actions: &mut Vec<Action>) {
        let Some(asked) = self.fetching.take_if(|asked| asked.from == from) else {
            return;
        };
        if let Some(last) = asked.hole {
            for &seq in found.iter().take(asked.limit).filter(|seq| **seq <= last) {
                actions.push(Action::Publish {
                    seq,
                    attempt: self.attempt(seq),
                    late: Some(true),
                });
            }
            return;
        }
        self.look |= found.len() >= asked.limit;
        self.look_again = now + LOOK_AGAIN;
        if self.slots.is_empty() && asked.from <= self.acked + 1 {
            let gone = found
                .first()
                .map_or(asked.upto, |first| first.saturating_sub(1));
            self.gone = self.gone.max(gone);
        }
        self.forget_marks(now);
        for &seq in found.iter().take(asked.limit) {
            if seq < self.next {
                continue;
            }
            self.next = seq + 1;
            self.upto = self.upto.max(seq);
            self.slots.push_back(Slot { seq, acked: false });
            let attempt = self.attempt(seq);
            if self.confirmation == Confirmation::Server {
                self.unconfirmed_since.get_or_insert(now);
            }
            actions.push(Action::Publish {
                seq,
                attempt,
                late: self.late(seq),
            });
        }
    }

    /// Counts a publication; how often it is now.
    fn attempt(&mut self, seq: u64) -> u32 {
        // What the server has stored is not counted any more: a repetition is a second one.
        let before = u32::from(seq <= self.greatest);
        self.greatest = self.greatest.max(seq);
        if seq <= self.received {
            return before + 1;
        }
        let tries = self.tried.entry(seq).or_insert(0);
        *tries = (*tries).max(before) + 1;
        *tries
    }

    /// How many more entries may be on their way.
    fn room(&self) -> usize {
        match self.confirmation {
            Confirmation::Broker => self.window - self.slots.len(),
            Confirmation::Server if self.probing => 1_usize.saturating_sub(self.slots.len()),
            Confirmation::Server => {
                let unsent = self.slots.iter().filter(|slot| !slot.acked).count();
                let window = self.window.saturating_sub(unsent);
                window.min(AHEAD.saturating_sub(self.slots.len()))
            }
        }
    }

    fn fetch(&mut self, now: Monotonic, actions: &mut Vec<Action>) {
        let limit = self.room();
        let due = self.look || now >= self.look_again;
        if self.online.is_none() || self.fetching.is_some() || limit == 0 || !due {
            return;
        }
        self.look = false;
        self.fetching = Some(Fetching {
            from: self.next,
            limit,
            hole: None,
            upto: self.upto,
        });
        actions.push(Action::Fetch {
            from: self.next,
            limit,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const WINDOW: usize = 5;
    const LATE_AFTER: Duration = Duration::from_secs(10);

    fn start(upto: u64, acked: u64) -> Start {
        Start {
            window: WINDOW,
            late_after: LATE_AFTER,
            upto,
            acked,
            seed: 1,
            confirmation: Confirmation::Broker,
        }
    }

    /// What befalls the world between two steps.
    #[derive(Debug, Clone)]
    enum Blow {
        /// The journal grows, perhaps with a hole where entries were given up.
        Grow { by: u64, hole: bool },
        /// The broker takes in this many packets and answers them.
        Carry(usize),
        /// The device receives the acknowledgement at this place of the line.
        Answer(usize),
        /// The connection breaks; what is on the way in either direction is lost. Whether the
        /// broker also forgot the session, the machine is not even told.
        Cut,
        /// An attempt to connect ends.
        Connect(bool),
        /// The outbox fails from now on, or works again.
        Outbox(bool),
        /// Time goes by.
        Wait(u64),
    }

    fn blow() -> impl Strategy<Value = Blow> {
        prop_oneof![
            3 => (1..6_u64, prop::bool::weighted(0.1)).prop_map(|(by, hole)| Blow::Grow { by, hole }),
            6 => (0..8_usize).prop_map(Blow::Carry),
            8 => (0..3_usize).prop_map(Blow::Answer),
            1 => Just(Blow::Cut),
            2 => prop::bool::weighted(0.8).prop_map(Blow::Connect),
            1 => any::<bool>().prop_map(Blow::Outbox),
            2 => (1..8_000_u64).prop_map(Blow::Wait),
        ]
    }

    /// Outbox, network and broker around a machine.
    struct World {
        delivery: Delivery,
        now: Monotonic,
        pending: BTreeSet<u64>,
        last: u64,
        outbox_works: bool,
        connected: bool,
        to_broker: VecDeque<u64>,
        to_device: VecDeque<u64>,
        /// First arrivals at the broker, in their order.
        arrived: Vec<u64>,
        duplicates: usize,
        answered: BTreeSet<u64>,
        attempts: BTreeMap<u64, u32>,
        reconnecting: bool,
    }

    impl World {
        fn new() -> Self {
            Self {
                delivery: Delivery::new(start(0, 0)),
                now: Monotonic::from_millis(1),
                pending: BTreeSet::new(),
                last: 0,
                outbox_works: true,
                connected: false,
                to_broker: VecDeque::new(),
                to_device: VecDeque::new(),
                arrived: Vec::new(),
                duplicates: 0,
                answered: BTreeSet::new(),
                attempts: BTreeMap::new(),
                reconnecting: true,
            }
        }

        fn step(&mut self, input: Input) {
            let mut inputs = VecDeque::from([input]);
            while let Some(input) = inputs.pop_front() {
                for action in self.delivery.step(self.now, input) {
                    inputs.extend(self.act(action));
                }
            }
        }

        fn act(&mut self, action: Action) -> Option<Input> {
            match action {
                Action::Fetch { from, limit } => {
                    assert!(self.connected && limit > 0);
                    Some(if self.outbox_works {
                        let found = self.pending.range(from..).take(limit).copied().collect();
                        Input::Fetched { from, found }
                    } else {
                        Input::FetchFailed
                    })
                }
                Action::Publish { seq, attempt, late } => {
                    assert!(self.connected, "published without a connection");
                    let tries = self.attempts.entry(seq).or_default();
                    *tries += 1;
                    assert_eq!(
                        attempt, *tries,
                        "a repetition of {seq} would not be recognised"
                    );
                    assert!(attempt == 1 || late == Some(true));
                    self.to_broker.push_back(seq);
                    let on_their_way = self.to_broker.len() + self.to_device.len();
                    assert!(on_their_way <= WINDOW, "{on_their_way} on their way");
                    None
                }
                Action::Acknowledge { upto } => {
                    for seq in self.pending.range(..=upto) {
                        assert!(
                            self.answered.contains(seq),
                            "{seq} was acknowledged unheard"
                        );
                    }
                    if !self.outbox_works {
                        return Some(Input::AcknowledgeFailed);
                    }
                    self.pending = self.pending.split_off(&(upto + 1));
                    None
                }
                Action::Reconnect { after } => {
                    assert!(after >= FIRST_PAUSE / 2 && after <= LONGEST_PAUSE);
                    self.reconnecting = true;
                    None
                }
            }
        }

        fn cut(&mut self) {
            self.connected = false;
            self.to_broker.clear();
            self.to_device.clear();
            self.step(Input::Disconnected);
        }

        fn carry(&mut self, packets: usize) {
            for seq in self.to_broker.drain(..packets.min(self.to_broker.len())) {
                if self.arrived.contains(&seq) {
                    self.duplicates += 1;
                } else {
                    self.arrived.push(seq);
                }
                self.answered.insert(seq);
                self.to_device.push_back(seq);
            }
        }

        fn suffer(&mut self, blow: &Blow) {
            match *blow {
                Blow::Grow { by, hole } => {
                    if !hole {
                        self.pending.extend(self.last + 1..=self.last + by);
                    }
                    self.last += by;
                    self.step(Input::OutboxGrew { upto: self.last });
                }
                Blow::Carry(packets) => self.carry(packets),
                Blow::Answer(place) => {
                    if let Some(seq) = self.to_device.remove(place) {
                        self.step(Input::Acked(seq));
                    }
                }
                Blow::Cut if self.connected => self.cut(),
                Blow::Connect(works) if self.reconnecting => {
                    self.reconnecting = false;
                    if works {
                        self.connected = true;
                        self.step(Input::Connected);
                    } else {
                        self.step(Input::Disconnected);
                    }
                }
                Blow::Outbox(works) => self.outbox_works = works,
                Blow::Wait(millis) => {
                    self.now = self.now + Duration::from_millis(millis);
                    self.step(Input::Tick);
                }
                Blow::Cut | Blow::Connect(_) => {}
            }
        }

        fn heal(&mut self) {
            self.outbox_works = true;
            for _ in 0..2_000 {
                if self.pending.is_empty() && self.delivery.depth() == 0 {
                    return;
                }
                self.suffer(&Blow::Connect(true));
                self.suffer(&Blow::Carry(usize::MAX));
                self.suffer(&Blow::Answer(0));
                self.suffer(&Blow::Wait(600));
            }
            panic!("{:?} never arrived: {:?}", self.pending, self.delivery);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        /// Whatever network, broker and outbox do: nothing is acknowledged unheard, the window
        /// holds, first arrivals are in order, and once all is well everything has arrived.
        #[test]
        fn everything_arrives_in_order_once_the_network_heals(
            blows in prop::collection::vec(blow(), 0..200)
        ) {
            let mut world = World::new();
            for blow in &blows {
                world.suffer(blow);
            }
            world.heal();
            prop_assert!(world.arrived.is_sorted(), "{:?}", world.arrived);
            let published: Vec<u64> = world.attempts.keys().copied().collect();
            prop_assert_eq!(&world.arrived, &published);
            prop_assert!(world.delivery.tried.is_empty());
        }

        /// An entry on time is never called late, and one that waited is.
        #[test]
        fn lateness_is_known_to_a_64th(
            gaps in prop::collection::vec(0..3_000_u64, 1..80),
            wait in 0..20_000_u64,
        ) {
            let mut delivery = Delivery::new(start(0, 0));
            let mut now = Monotonic::from_millis(1);
            delivery.step(now, Input::Connected);
            let mut journaled = Vec::new();
            for (i, gap) in gaps.iter().enumerate() {
                now = now + Duration::from_millis(*gap);
                journaled.push(now);
                delivery.step(now, Input::OutboxGrew { upto: i as u64 + 1 });
                prop_assert!(delivery.marks.len() <= MARKS as usize + 2);
            }
            now = now + Duration::from_millis(wait);
            delivery.forget_marks(now);
            for (i, at) in journaled.iter().enumerate() {
                let late = delivery.late(i as u64 + 1).unwrap();
                if now - *at > LATE_AFTER {
                    prop_assert!(late);
                }
                if late {
                    prop_assert!(now - *at + LATE_AFTER / MARKS >= LATE_AFTER);
                }
            }
        }
    }

    fn published(actions: &[Action]) -> Vec<(u64, u32, Option<bool>)> {
        actions
            .iter()
            .filter_map(|action| match *action {
                Action::Publish { seq, attempt, late } => Some((seq, attempt, late)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_waited_for_the_broker_is_late_and_what_came_after_is_not() {
        let mut delivery = Delivery::new(start(2, 0));
        let now = Monotonic::from_millis(5);
        delivery.step(now, Input::OutboxGrew { upto: 3 });
        delivery.step(now, Input::Connected);
        let found = vec![1, 2, 3];
        let actions = delivery.step(now, Input::Fetched { from: 1, found });
        let expected = [(1, 1, None), (2, 1, None), (3, 1, Some(false))];
        assert_eq!(published(&actions), expected);
        delivery.step(now, Input::Acked(1));
        delivery.step(now, Input::Disconnected);
        delivery.step(now, Input::OutboxGrew { upto: 4 });
        delivery.step(now, Input::Connected);
        delivery.step(now, Input::OutboxGrew { upto: 5 });
        let found = vec![2, 3, 4, 5];
        let actions = delivery.step(now, Input::Fetched { from: 2, found });
        let late = Some(true);
        let expected = [
            (2, 2, late),
            (3, 2, late),
            (4, 1, late),
            (5, 1, Some(false)),
        ];
        assert_eq!(published(&actions), expected);
    }

    #[test]
    fn pauses_grow_to_ten_seconds_and_shrink_after_a_delivery() {
        let mut delivery = Delivery::new(start(1, 0));
        let now = Monotonic::from_millis(5);
        let pause = |delivery: &mut Delivery| {
            let actions = delivery.step(now, Input::Disconnected);
            let [Action::Reconnect { after }] = actions[..] else {
                panic!("{actions:?}");
            };
            after
        };
        let pauses: Vec<_> = (0..50).map(|_| pause(&mut delivery)).collect();
        for (i, after) in pauses.iter().enumerate() {
            let most = LONGEST_PAUSE.min(FIRST_PAUSE * (1 << i.min(10)));
            assert!(*after <= most && *after >= most / 2, "{after:?} at {i}");
        }
        let distinct: BTreeSet<_> = pauses[10..].iter().collect();
        assert!(distinct.len() > 30, "no jitter: {pauses:?}");
        // A broker that accepts and drops at once is not hammered.
        delivery.step(now, Input::Connected);
        assert!(pause(&mut delivery) >= LONGEST_PAUSE / 2);
        delivery.step(now, Input::Connected);
        let found = vec![1];
        delivery.step(now, Input::Fetched { from: 1, found });
        delivery.step(now, Input::Acked(1));
        assert!(pause(&mut delivery) <= FIRST_PAUSE);
    }

    #[test]
    fn an_entry_is_sent_whatever_the_start_believed() {
        let mut delivery = Delivery::new(start(9, 9));
        let now = Monotonic::from_millis(5);
        assert_eq!(delivery.depth(), 0);
        delivery.step(now, Input::Connected);
        let found = vec![8, 9];
        let actions = delivery.step(now, Input::Fetched { from: 1, found });
        assert_eq!(published(&actions), [(8, 1, None), (9, 1, None)]);
        let actions = delivery.step(now, Input::Acked(8));
        assert!(actions.contains(&Action::Acknowledge { upto: 8 }));
    }

    #[test]
    fn nobody_needs_to_say_that_the_outbox_grew() {
        let mut delivery = Delivery::new(start(0, 0));
        let mut now = Monotonic::from_millis(5);
        delivery.step(now, Input::Connected);
        let found = Vec::new();
        assert!(
            delivery
                .step(now, Input::Fetched { from: 1, found })
                .is_empty()
        );
        now = now + LOOK_AGAIN;
        let fetch = Action::Fetch {
            from: 1,
            limit: WINDOW,
        };
        assert_eq!(delivery.step(now, Input::Tick), [fetch]);
    }

    /// What befalls the way to a server, and the server.
    #[derive(Debug, Clone)]
    enum Mishap {
        Grow(u64),
        /// The broker takes in this many packets; it may lose the first of them.
        Carry(usize, bool),
        /// The server takes the message at this place, or the broker deletes it.
        Hear(usize, bool),
        /// An acknowledgement of the server arrives, perhaps an old one.
        Confirm(prop::sample::Index),
        Cut,
        Wait(u64),
    }

    fn mishap() -> impl Strategy<Value = Mishap> {
        prop_oneof![
            3 => (1..6_u64).prop_map(Mishap::Grow),
            6 => (0..8_usize, prop::bool::weighted(0.2)).prop_map(|(n, lost)| Mishap::Carry(n, lost)),
            8 => (0..4_usize, prop::bool::weighted(0.2)).prop_map(|(n, lost)| Mishap::Hear(n, lost)),
            6 => any::<prop::sample::Index>().prop_map(Mishap::Confirm),
            1 => Just(Mishap::Cut),
            2 => (1..20_000_u64).prop_map(Mishap::Wait),
        ]
    }

    /// A device, a broker that loses and reorders, and a server.
    struct FarWorld {
        delivery: Delivery,
        now: Monotonic,
        pending: BTreeSet<u64>,
        last: u64,
        to_broker: VecDeque<u64>,
        to_server: VecDeque<u64>,
        stored: BTreeSet<u64>,
        words: Vec<(u64, u64, Option<u64>)>,
        sent: usize,
    }

    impl FarWorld {
        fn new() -> Self {
            let mut world = Self {
                delivery: Delivery::new(Start {
                    confirmation: Confirmation::Server,
                    ..start(0, 0)
                }),
                now: Monotonic::from_millis(1),
                pending: BTreeSet::new(),
                last: 0,
                to_broker: VecDeque::new(),
                to_server: VecDeque::new(),
                stored: BTreeSet::new(),
                words: Vec::new(),
                sent: 0,
            };
            world.step(Input::Connected);
            world
        }

        fn step(&mut self, input: Input) {
            let mut inputs = VecDeque::from([input]);
            while let Some(input) = inputs.pop_front() {
                for action in self.delivery.step(self.now, input) {
                    match action {
                        Action::Fetch { from, limit } => {
                            let found = self.pending.range(from..).take(limit).copied().collect();
                            inputs.push_back(Input::Fetched { from, found });
                        }
                        Action::Publish { seq, .. } => {
                            self.sent += 1;
                            self.to_broker.push_back(seq);
                            assert!(self.delivery.slots.len() <= AHEAD);
                        }
                        Action::Acknowledge { upto } => {
                            let lost = self
                                .pending
                                .range(..=upto)
                                .find(|s| !self.stored.contains(s));
                            assert_eq!(lost, None, "acknowledged and not stored");
                            self.pending = self.pending.split_off(&(upto + 1));
                        }
                        Action::Reconnect { .. } => {}
                    }
                }
            }
        }

        /// What the server would say.
        fn word(&self) -> (u64, u64, Option<u64>) {
            let upto = (1..=self.last)
                .take_while(|seq| self.stored.contains(seq))
                .last()
                .unwrap_or(0);
            let received = self.stored.last().copied().unwrap_or(0);
            let resumes = self.stored.range(upto + 1..).next().copied();
            (upto, received, resumes)
        }

        fn suffer(&mut self, mishap: &Mishap) {
            match mishap {
                Mishap::Grow(by) => {
                    self.pending.extend(self.last + 1..=self.last + by);
                    self.last += by;
                    self.step(Input::OutboxGrew { upto: self.last });
                }
                Mishap::Carry(packets, lost) => {
                    for i in 0..*packets {
                        let Some(seq) = self.to_broker.pop_front() else {
                            break;
                        };
                        if !(*lost && i == 0) {
                            self.to_server.push_back(seq);
                        }
                        self.step(Input::Acked(seq));
                    }
                }
                Mishap::Hear(place, lost) => {
                    if let Some(seq) = self.to_server.remove(*place)
                        && !lost
                    {
                        self.stored.insert(seq);
                        self.words.push(self.word());
                    }
                }
                Mishap::Confirm(which) => {
                    if !self.words.is_empty() {
                        let (upto, received, resumes) = self.words[which.index(self.words.len())];
                        self.step(Input::Confirmed {
                            upto,
                            received,
                            resumes,
                        });
                    }
                }
                Mishap::Cut => {
                    self.to_broker.clear();
                    self.step(Input::Disconnected);
                    self.step(Input::Connected);
                }
                Mishap::Wait(millis) => {
                    self.now = self.now + Duration::from_millis(*millis);
                    self.step(Input::Tick);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever the broker loses, reorders and repeats (old acknowledgements included):
        /// nothing leaves the outbox that the server does not store, and once the network
        /// heals all of it arrives, without being sent over and over.
        #[test]
        fn with_a_server_nothing_is_lost_behind_the_broker(
            mishaps in prop::collection::vec(mishap(), 0..200)
        ) {
            let mut world = FarWorld::new();
            for mishap in &mishaps {
                world.suffer(mishap);
            }
            let before = world.sent;
            for _ in 0..2_000 {
                if world.pending.is_empty() {
                    break;
                }
                world.suffer(&Mishap::Carry(usize::MAX, false));
                while !world.to_server.is_empty() {
                    world.suffer(&Mishap::Hear(0, false));
                }
                let (upto, received, resumes) = world.word();
                world.step(Input::Confirmed { upto, received, resumes });
                world.suffer(&Mishap::Wait(5_000));
            }
            prop_assert!(world.pending.is_empty(), "{:?}", world.delivery);
            let again = world.sent - before;
            prop_assert!(again as u64 <= 3 * world.last + 10, "{} sent for {}", again, world.last);
            prop_assert!(world.delivery.tried.len() <= AHEAD);
        }
    }

    /// A genuine old word, repeated by whoever holds the broker, once made the gate forget a hole
    /// for good, because nothing else was on its way any more.
    #[test]
    fn an_old_word_of_the_server_does_not_cover_up_a_hole() {
        let mut world = FarWorld::new();
        world.suffer(&Mishap::Grow(15));
        for _ in 0..5 {
            world.suffer(&Mishap::Carry(usize::MAX, false));
        }
        for seq in 1..=15 {
            world.suffer(&Mishap::Hear(0, (3..=6).contains(&seq)));
        }
        let old = (2, 2, None);
        let new = (2, 15, Some(7));
        assert!(world.words.contains(&old) && world.word() == new);
        for (upto, received, resumes) in [old, new, old] {
            world.step(Input::Confirmed {
                upto,
                received,
                resumes,
            });
        }
        world.suffer(&Mishap::Wait(5_000));
        assert_eq!(world.to_broker, [3, 4, 5, 6]);
    }

    #[test]
    fn a_server_that_is_away_fills_the_outbox_and_not_the_broker() {
        let mut world = FarWorld::new();
        world.suffer(&Mishap::Grow(5_000));
        for _ in 0..200 {
            world.suffer(&Mishap::Carry(usize::MAX, false));
            world.suffer(&Mishap::Wait(100));
        }
        // In this hour it is asked now and then, not flooded.
        let first = world.sent;
        assert!((AHEAD..AHEAD + 4).contains(&first), "{first}");
        for _ in 0..3_600 {
            world.suffer(&Mishap::Carry(usize::MAX, false));
            world.suffer(&Mishap::Wait(1_000));
        }
        assert!(world.sent - first < 25, "{}", world.sent - first);
        assert!(world.delivery.unconfirmed_for(world.now) > Duration::from_mins(59));
    }
}
