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
    /// What the journal was known to hold.
    upto: u64,
}

/// The state of delivery.
#[derive(Debug)]
pub struct Delivery {
    window: usize,
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
                self.rewind();
                actions.push(Action::Reconnect {
                    after: self.pause(),
                });
            }
            Input::Acked(seq) => self.acknowledge(seq, &mut actions),
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
        self.look |= found.len() >= asked.limit;
        self.look_again = now + LOOK_AGAIN;
        if self.slots.is_empty() {
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
            let tries = self.tried.entry(seq).or_default();
            *tries += 1;
            let attempt = *tries;
            actions.push(Action::Publish {
                seq,
                attempt,
                late: self.late(seq),
            });
        }
    }

    fn fetch(&mut self, now: Monotonic, actions: &mut Vec<Action>) {
        let limit = self.window - self.slots.len();
        let due = self.look || now >= self.look_again;
        if self.online.is_none() || self.fetching.is_some() || limit == 0 || !due {
            return;
        }
        self.look = false;
        self.fetching = Some(Fetching {
            from: self.next,
            limit,
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
}
