//! The courier: carries entries and states from this side to the link, and news back.
//!
//! A task on the bridge's own thread. It wakes when the link has news, a handle has written to
//! the board, or time has gone by; each time it tells [`Delivery`] what happened, does what
//! that answers, and hands what lies on the board to the link.

mod inbound;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::command::DeviceName;
use domain::signing::{Purpose, Signed};
use domain::time::Monotonic;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, info, warn};

use crate::connection::{Identity, Keys, Shared};
use crate::delivery::{Action, Confirmation, Delivery, Input, Start};
use crate::envelope::{Publication, Signer, envelope};
use crate::home_assistant;
use crate::orders::Orders;
use crate::outbox::Outbox;
use crate::reception::Reception;
use crate::topics::{State, Topics};
use crate::transport::{Link, LinkEvent, Message, Quality, Token, Transport};

/// Room on a link for everything but entries: `online`, `info`, and one message per state,
/// health report, alarm and picture.
pub(crate) const SIDE_MESSAGES: u16 = 64;

/// Room for the first and last messages of a connection on top of that.
pub(crate) const GREETINGS: u16 = 5;

/// How often time is told to delivery.
const TICK: Duration = Duration::from_millis(500);

/// How many events of a link wait to be taken.
const LINK_EVENTS: usize = 256;

/// How many of them are taken in one turn: a flood of messages must not keep the courier from
/// its other work.
const EVENTS_A_TURN: usize = 256;

const ONLINE: &str = "online";
pub(crate) const OFFLINE: &str = "offline";

/// What the courier needs of the configuration.
pub(crate) struct Settings {
    pub(crate) window: usize,
    pub(crate) late_after: Duration,
    pub(crate) upto: u64,
    pub(crate) keys: Keys,
    /// Under which prefix Home Assistant listens, if it is told of the gate.
    pub(crate) home_assistant: Option<String>,
}

/// What a message on the link is, by its token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Parcel {
    Entry(u64),
    State(State, u64),
    Info,
    Picture,
    Once,
    Offline,
}

/// A link and what is on its way on it.
struct Journey<L> {
    link: L,
    events: mpsc::Receiver<LinkEvent>,
    connected: bool,
    parcels: HashMap<Token, Parcel>,
    next_token: Token,
    /// Which version of each state the broker has, or has been sent.
    states: BTreeMap<State, u64>,
}

impl<L: Link> Journey<L> {
    fn carries(&self, wanted: &Parcel) -> bool {
        self.parcels.values().any(|parcel| parcel == wanted)
    }

    /// Messages on their way that are no entries.
    fn side_messages(&self) -> usize {
        self.parcels
            .values()
            .filter(|parcel| !matches!(parcel, Parcel::Entry(_)))
            .count()
    }

    fn has_room(&self) -> bool {
        self.side_messages() < usize::from(SIDE_MESSAGES)
    }

    /// Hands a message over; `false` if the link takes no more.
    fn send(&mut self, parcel: Parcel, message: Message) -> bool {
        let token = self.next_token;
        self.next_token += 1;
        let accepted = self.link.publish(token, message).is_ok();
        if accepted {
            self.parcels.insert(token, parcel);
        }
        accepted
    }
}

/// Why the courier's wait ended.
enum Woken {
    Link(Option<LinkEvent>),
    Board,
    Tick,
    Due,
}

pub(crate) struct Courier<T: Transport> {
    transport: T,
    journey: Option<Journey<T::Link>>,
    reconnect_at: Option<Instant>,
    delivery: Delivery,
    /// Entries of the last fetch, taken out as they are published.
    fetched: HashMap<u64, Arc<[u8]>>,
    outbox: Arc<dyn Outbox>,
    late_after: Duration,
    topics: Topics,
    info: Vec<u8>,
    /// Topic and payload for Home Assistant.
    discovery: Option<(String, Vec<u8>)>,
    signer: Signer,
    confirmation: Confirmation,
    reception: Reception,
    orders: Option<Arc<dyn Orders>>,
    ear: inbound::Ear,
    /// What the journal held when this started: an earlier run may have sent it.
    upto_at_start: u64,
    shared: Arc<Shared>,
    /// The beginning of this thread's monotonic time.
    epoch: Instant,
}

impl<T: Transport> Courier<T> {
    pub(crate) fn new(
        transport: T,
        settings: &Settings,
        identity: &Identity,
        outbox: Arc<dyn Outbox>,
        orders: Option<Arc<dyn Orders>>,
        shared: Arc<Shared>,
    ) -> Self {
        let acked = outbox.acknowledged().min(settings.upto);
        let confirmation = if settings.keys.ring.names_a_server() {
            Confirmation::Server
        } else {
            Confirmation::Broker
        };
        let signer = Signer {
            device: DeviceName {
                site: identity.site.clone(),
                device: identity.device.clone(),
            },
            key: settings.keys.device.clone(),
        };
        let reception = Reception::new(
            signer.device.clone(),
            identity.lanes.clone(),
            settings.keys.ring.clone(),
            rand::random(),
        );
        let delivery = Delivery::new(Start {
            window: settings.window,
            late_after: settings.late_after,
            upto: settings.upto,
            acked,
            seed: rand::random(),
            confirmation,
        });
        let topics = Topics::new(&identity.site, &identity.device);
        let info = serde_json::to_vec(identity).unwrap_or_default();
        let discovery = settings
            .home_assistant
            .as_ref()
            .map(|prefix| home_assistant::discovery(prefix, identity, &topics));
        Self {
            transport,
            journey: None,
            reconnect_at: None,
            delivery,
            fetched: HashMap::new(),
            outbox,
            late_after: settings.late_after,
            topics,
            info,
            discovery,
            signer,
            confirmation,
            reception,
            orders,
            ear: inbound::Ear::new(),
            upto_at_start: settings.upto,
            shared,
            epoch: Instant::now(),
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic::default() + self.epoch.elapsed()
    }

    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_at = None;
        self.open();
        loop {
            let due = stop_at.or(self.reconnect_at);
            let woken = {
                let events = self.journey.as_mut().map(|journey| &mut journey.events);
                tokio::select! {
                    event = next_event(events) => Woken::Link(event),
                    () = self.shared.wake.notified() => Woken::Board,
                    _ = ticks.tick() => Woken::Tick,
                    () = sleep_until(due) => Woken::Due,
                }
            };
            match woken {
                Woken::Link(event) => self.take_link_events(event),
                Woken::Board => {}
                Woken::Tick => {
                    self.step(Input::Tick);
                    self.pass_time();
                }
                Woken::Due => {
                    if self.reconnect_at.is_some_and(|at| Instant::now() >= at) {
                        self.open();
                    }
                }
            }
            self.read_board();
            self.report();
            let stop = self.shared.board().stop;
            if let Some(deadline) = stop {
                let half = *stop_at.get_or_insert_with(|| {
                    let now = Instant::now();
                    now + deadline.saturating_duration_since(now) / 2
                });
                if !self.is_connected() || self.delivery.depth() == 0 || Instant::now() >= half {
                    self.leave(deadline).await;
                    self.report();
                    return;
                }
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.journey.as_ref().is_some_and(|j| j.connected)
    }

    fn open(&mut self) {
        self.reconnect_at = None;
        let (sender, events) = mpsc::channel(LINK_EVENTS);
        self.journey = Some(Journey {
            link: self.transport.open(sender),
            events,
            connected: false,
            parcels: HashMap::new(),
            next_token: 0,
            states: BTreeMap::new(),
        });
    }

    /// Takes an event and all that came with it, so that one acknowledgement is recorded for
    /// many entries.
    fn take_link_events(&mut self, first: Option<LinkEvent>) {
        let mut inputs = Vec::new();
        let mut next = first.or(Some(LinkEvent::Closed {
            why: "the MQTT client ended".to_owned(),
            oversized: false,
        }));
        let mut count = 0;
        while let Some(event) = next {
            count += 1;
            match event {
                LinkEvent::Connected { session_present } => {
                    info!(session_present, "connected to the MQTT broker");
                    if let Some(journey) = &mut self.journey {
                        journey.connected = true;
                    }
                    {
                        let mut board = self.shared.board();
                        board.status.connected = true;
                        board.status.connections += 1;
                        board.status.trouble = None;
                    }
                    self.greet();
                    if self.is_connected() {
                        inputs.push(Input::Connected);
                    }
                }
                LinkEvent::Done(token) => {
                    let parcel = self
                        .journey
                        .as_mut()
                        .and_then(|journey| journey.parcels.remove(&token));
                    if let Some(Parcel::Entry(seq)) = parcel {
                        inputs.push(Input::Acked(seq));
                    }
                }
                LinkEvent::Received(inbound) => {
                    self.step_all(std::mem::take(&mut inputs));
                    self.receive(&inbound);
                }
                LinkEvent::Closed { why, oversized } => {
                    self.step_all(inputs);
                    self.close(&why, oversized);
                    return;
                }
            }
            next = self
                .journey
                .as_mut()
                .filter(|_| count < EVENTS_A_TURN)
                .and_then(|journey| journey.events.try_recv().ok());
        }
        self.step_all(inputs);
    }

    fn close(&mut self, why: &str, oversized: bool) {
        let was_connected = self.is_connected();
        let cut_short = self
            .journey
            .take()
            .is_some_and(|journey| journey.carries(&Parcel::Picture));
        self.fetched.clear();
        {
            let mut board = self.shared.board();
            board.status.pictures_dropped += board.pictures.len() as u64 + u64::from(cut_short);
            board.pictures.clear();
            board.status.connected = false;
            if board.status.trouble.as_deref() != Some(why) {
                warn!(
                    "{} the MQTT broker: {why}; events are kept and it is tried again",
                    if was_connected {
                        "lost"
                    } else {
                        "cannot reach"
                    }
                );
                board.status.trouble = Some(why.to_owned());
            }
        }
        if oversized {
            self.deafen();
        }
        self.step(Input::Disconnected);
    }

    /// The first messages of a connection.
    fn greet(&mut self) {
        let state = retained(self.topics.bridge_state(), ONLINE.into());
        let info = retained(self.topics.bridge_info(), self.info.clone());
        self.send(Parcel::Info, state);
        self.send(Parcel::Info, info);
        if let Some((topic, payload)) = self.discovery.clone() {
            self.send(Parcel::Info, retained(topic, payload));
        }
        self.listen();
        self.say_head();
    }

    fn send(&mut self, parcel: Parcel, message: Message) {
        let Some(journey) = &mut self.journey else {
            return;
        };
        if journey.connected && !journey.send(parcel, message) {
            self.close("the MQTT client stalled", false);
        }
    }

    fn step(&mut self, input: Input) {
        self.step_all(vec![input]);
    }

    fn step_all(&mut self, inputs: Vec<Input>) {
        let mut inputs = VecDeque::from(inputs);
        let mut acknowledged = None;
        while let Some(input) = inputs.pop_front() {
            for action in self.delivery.step(self.now(), input) {
                match action {
                    Action::Fetch { from, limit } => inputs.push_back(self.fetch(from, limit)),
                    Action::Publish { seq, attempt, late } => self.publish(seq, attempt, late),
                    Action::Acknowledge { upto } => acknowledged = Some(upto),
                    Action::Reconnect { after } => {
                        debug!(?after, "connecting again");
                        self.reconnect_at = Some(Instant::now() + after);
                    }
                }
            }
            if inputs.is_empty()
                && let Some(upto) = acknowledged.take()
                && let Err(error) = self.outbox.acknowledge(upto)
            {
                warn!("{error}; events up to {upto} arrived and may be sent again");
                inputs.push_back(Input::AcknowledgeFailed);
            }
        }
    }

    fn fetch(&mut self, from: u64, limit: usize) -> Input {
        match self.outbox.pending(from, limit) {
            Ok(entries) => {
                let found = entries.iter().map(|(seq, _)| *seq).collect();
                self.fetched = entries.into_iter().collect();
                Input::Fetched { from, found }
            }
            Err(error) => {
                warn!("{error}; asking again");
                Input::FetchFailed
            }
        }
    }

    fn publish(&mut self, seq: u64, attempt: u32, late: Option<bool>) {
        let Some(stored) = self.fetched.remove(&seq) else {
            return;
        };
        let publication = Publication {
            seq,
            attempt,
            late,
            now: Timestamp::now(),
            late_after: self.late_after,
        };
        match envelope(&self.topics, &self.signer, &stored, publication) {
            Ok((topic, payload)) => {
                {
                    let mut board = self.shared.board();
                    board.status.published += 1;
                    board.status.repeated += u64::from(attempt > 1);
                }
                self.send(
                    Parcel::Entry(seq),
                    Message {
                        topic,
                        payload,
                        quality: Quality::AtLeastOnce,
                        retain: false,
                    },
                );
            }
            Err(error) => self.close(
                &format!("entry {seq} cannot be put in an envelope: {error}"),
                false,
            ),
        }
    }

    /// Carries what handles have left to delivery and the link.
    fn read_board(&mut self) {
        let (upto, ring) = {
            let mut board = self.shared.board();
            (board.upto, board.ring.take())
        };
        if let Some(ring) = ring {
            info!(keys = ring.keys().len(), "other keys are enrolled");
            self.reception.enrol(ring);
        }
        self.step(Input::OutboxGrew { upto });
        while let Some((parcel, message)) = self.next_side_message() {
            self.send(parcel, message);
        }
    }

    fn next_side_message(&mut self) -> Option<(Parcel, Message)> {
        let journey = self.journey.as_mut().filter(|journey| journey.connected)?;
        if !journey.has_room() {
            return None;
        }
        if let Some((topic, payload)) = self.ear.responses.pop_front() {
            return Some((Parcel::Once, once(topic, payload)));
        }
        let mut board = self.shared.board();
        for (state, (version, payload)) in &board.states {
            let sent = journey.states.get(state).copied().unwrap_or(0);
            if sent == *version || journey.carries(&Parcel::State(state.clone(), sent)) {
                continue;
            }
            journey.states.insert(state.clone(), *version);
            let payload = match state {
                // A server compares it with other gates' and sends by it.
                State::Register => signed_report(&self.signer, payload),
                _ => payload.clone(),
            };
            return Some((
                Parcel::State(state.clone(), *version),
                retained(self.topics.state(state), payload),
            ));
        }
        if let Some(payload) = board.alarms.pop_front() {
            return Some((Parcel::Once, once(self.topics.alarm(), payload)));
        }
        if let Some(payload) = board.health.take() {
            return Some((Parcel::Once, once(self.topics.health(), payload)));
        }
        if !journey.carries(&Parcel::Picture)
            && let Some((lane, jpeg)) = board.pictures.pop_front()
        {
            let message = Message {
                topic: self.topics.picture(&lane),
                payload: jpeg,
                quality: Quality::AtMostOnce,
                retain: false,
            };
            return Some((Parcel::Picture, message));
        }
        None
    }

    /// Takes in an acknowledgement without publishing more.
    fn record_only(&mut self, seq: u64) {
        for action in self.delivery.step(self.now(), Input::Acked(seq)) {
            if let Action::Acknowledge { upto } = action
                && let Err(error) = self.outbox.acknowledge(upto)
            {
                warn!("{error}; events up to {upto} arrived and will be sent again");
            }
        }
    }

    fn report(&self) {
        let mut board = self.shared.board();
        board.status.acked = self.delivery.acked();
        board.status.outbox_depth = self.delivery.depth();
    }

    /// Says `offline` and disconnects in good order, if the broker is there, before `deadline`.
    async fn leave(&mut self, deadline: Instant) {
        let offline = retained(self.topics.bridge_state(), OFFLINE.into());
        self.send(Parcel::Offline, offline);
        let farewell = async {
            loop {
                let Some(journey) = self.journey.as_mut().filter(|journey| journey.connected)
                else {
                    return;
                };
                match journey.events.recv().await {
                    Some(LinkEvent::Done(token)) => match journey.parcels.remove(&token) {
                        Some(Parcel::Offline) => journey.link.disconnect(),
                        Some(Parcel::Entry(seq)) => self.record_only(seq),
                        _ => {}
                    },
                    Some(LinkEvent::Connected { .. } | LinkEvent::Received(_)) => {}
                    Some(LinkEvent::Closed { .. }) | None => return,
                }
            }
        };
        if tokio::time::timeout_at(deadline, farewell).await.is_err() {
            debug!("the broker did not let go in time");
        }
        self.journey = None;
    }
}

async fn next_event(events: Option<&mut mpsc::Receiver<LinkEvent>>) -> Option<LinkEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A report on the register under the device's signature; as it is if it is no JSON, which no
/// report is.
fn signed_report(signer: &Signer, report: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<Box<serde_json::value::RawValue>>(report)
        .and_then(|body| Signed::new(&signer.key, Purpose::Register, &body))
        .and_then(|signed| serde_json::to_vec(&signed))
        .unwrap_or_else(|_| report.to_vec())
}

fn retained(topic: String, payload: Vec<u8>) -> Message {
    Message {
        topic,
        payload,
        quality: Quality::AtLeastOnce,
        retain: true,
    }
}

fn once(topic: String, payload: Vec<u8>) -> Message {
    Message {
        topic,
        payload,
        quality: Quality::AtLeastOnce,
        retain: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::event::{Chain, Event};
    use uuid::Uuid;

    use crate::connection::spawn;
    use crate::outbox::{OutboxError, Pending};
    use crate::transport::LinkFull;

    use super::*;

    /// An outbox of which every second call fails.
    struct Moody {
        pending: Mutex<BTreeMap<u64, Arc<[u8]>>>,
        calls: AtomicUsize,
    }

    impl Moody {
        fn new(entries: u64) -> Arc<Self> {
            let mut chain = Chain::EMPTY;
            let seal = |_| {
                let id = Uuid::from_u128(1);
                let (entry, bytes, next) = chain
                    .seal(id, Timestamp::now(), true, Event::Stopped)
                    .unwrap();
                chain = next;
                (entry.seq, bytes.into())
            };
            Arc::new(Self {
                pending: Mutex::new((0..entries).map(seal).collect()),
                calls: AtomicUsize::new(0),
            })
        }

        fn mood(&self) -> Result<(), OutboxError> {
            if self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                return Err(OutboxError::new("not now"));
            }
            Ok(())
        }
    }

    impl Outbox for Moody {
        fn pending(&self, from: u64, limit: usize) -> Result<Pending, OutboxError> {
            self.mood()?;
            let pending = self.pending.lock().unwrap();
            let found = pending.range(from..).take(limit);
            Ok(found.map(|(seq, bytes)| (*seq, bytes.clone())).collect())
        }

        fn acknowledged(&self) -> u64 {
            0
        }

        fn acknowledge(&self, upto: u64) -> Result<(), OutboxError> {
            self.mood()?;
            let mut pending = self.pending.lock().unwrap();
            *pending = pending.split_off(&(upto + 1));
            Ok(())
        }
    }

    /// Connections that end without a word, or take no more messages; from the third on all
    /// is well and everything is acknowledged at once.
    struct Fragile {
        opened: usize,
        topics: Arc<Mutex<Vec<String>>>,
    }

    struct FragileLink {
        events: Option<mpsc::Sender<LinkEvent>>,
        room: usize,
        topics: Arc<Mutex<Vec<String>>>,
    }

    impl Transport for Fragile {
        type Link = FragileLink;

        fn open(&mut self, events: mpsc::Sender<LinkEvent>) -> FragileLink {
            self.opened += 1;
            let connected = LinkEvent::Connected {
                session_present: false,
            };
            events.try_send(connected).unwrap();
            FragileLink {
                events: (self.opened > 1).then_some(events),
                room: if self.opened == 2 { 3 } else { usize::MAX },
                topics: self.topics.clone(),
            }
        }
    }

    impl Link for FragileLink {
        fn subscribe(&mut self, _topics: &[(String, Quality)]) -> Result<(), LinkFull> {
            Ok(())
        }

        fn publish(&mut self, token: Token, message: Message) -> Result<(), LinkFull> {
            self.room = self.room.checked_sub(1).ok_or(LinkFull)?;
            self.topics.lock().unwrap().push(message.topic);
            if let Some(events) = &self.events {
                events.try_send(LinkEvent::Done(token)).unwrap();
            }
            Ok(())
        }

        fn disconnect(&mut self) {
            if let Some(events) = self.events.take() {
                let why = "bye".to_owned();
                let oversized = false;
                events
                    .try_send(LinkEvent::Closed { why, oversized })
                    .unwrap();
            }
        }
    }

    #[test]
    fn failing_outboxes_and_links_only_delay() {
        let outbox = Moody::new(50);
        let topics = Arc::default();
        let transport = Fragile {
            opened: 0,
            topics: Arc::clone(&topics),
        };
        let identity = Identity {
            site: "garden".parse().unwrap(),
            device: "east".parse().unwrap(),
            version: String::new(),
            lanes: Vec::new(),
            barriers: Vec::new(),
        };
        let settings = Settings {
            window: 40,
            late_after: Duration::from_secs(10),
            upto: 50,
            home_assistant: None,
            keys: Keys {
                device: domain::signing::SecretKey::from_bytes([1; 32]),
                ring: domain::command::KeyRing::default(),
            },
        };
        let handle = spawn(transport, settings, identity, outbox.clone(), None).unwrap();
        let began = Instant::now();
        while !outbox.pending.lock().unwrap().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(handle.shutdown(Duration::from_secs(1)));
        let status = handle.status();
        assert_eq!((status.acked, status.outbox_depth), (50, 0));
        assert_eq!(status.connections, 3);
        let topics = topics.lock().unwrap();
        assert_eq!(topics.last().unwrap(), "menshen/garden/east/bridge/state");
    }
}
