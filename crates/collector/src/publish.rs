//! The shell of [`crate::sending`]: one register to one gate over the collector's broker.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use domain::command::{DeviceName, Refusal};
use domain::signing::SecretKey;
use domain::sync::{Manifest, Page, Report};
use domain::time::Monotonic;
use rumqttc::{Client, Connection, Event, Packet, QoS, SubscribeFilter};
use uuid::Uuid;

use crate::config::{CollectorConfig, ConfigError};
use crate::mailbox::options;
use crate::sending::{End, Input, Sending, report};

/// How long a gate's retained report is waited for; a gate that never took a register over, or an
/// older program, has none.
const REPORT_WITHIN: Duration = Duration::from_secs(3);

/// How often time is told.
const TURN: Duration = Duration::from_millis(50);

/// Messages that wait in the client, and news that wait to be taken, at most.
const CAPACITY: usize = 64;

/// The pause before the broker is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a register did not get into force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no thread.
    #[error("the sender's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The gate's key is not known.
    #[error(
        "{0} is not in the collector's configuration; add it as [[device]] with the key that `menshen keys show` prints on it / 未登记的设备"
    )]
    Stranger(DeviceName),
    /// The register could not be made ready.
    #[error(transparent)]
    Offer(Box<dyn std::error::Error + Send + Sync>),
    /// The gate refused it.
    #[error("{device} refuses it ({reason}): {message}")]
    Refused {
        /// The gate.
        device: DeviceName,
        /// Why, as a code.
        reason: Refusal,
        /// Why, in its words.
        message: String,
    },
    /// Nothing came of it in time.
    #[error(
        "{device} has not answered in {seconds} s ({sent} of {of} pages were sent{trouble}); what has come there stays: send it again when it is back / 未在时限内完成，可重发续传"
    )]
    TimedOut {
        /// The gate.
        device: DeviceName,
        /// How long it was tried.
        seconds: u64,
        /// Pages that were sent.
        sent: usize,
        /// Pages in all.
        of: usize,
        /// What the connection says, if something.
        trouble: String,
    },
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// What the gate says of its register; none if it says nothing.
    Found(Option<Box<Report>>),
    /// The gate could not use the difference: the whole register goes.
    Whole,
    /// Pages sent, of how many.
    Pages(usize, usize),
}

/// What makes a register ready for a gate that reports this: a difference if it can be one.
pub type Offer<'a> = dyn FnMut(
        Option<&Report>,
    ) -> Result<(Manifest, Vec<Page>), Box<dyn std::error::Error + Send + Sync>>
    + 'a;

/// What the client's thread tells.
enum News {
    Connected,
    Listening,
    Lost(String),
    Heard { topic: String, payload: Vec<u8> },
}

/// Sends a register to a gate and waits until it is in force there.
///
/// `offer` is asked for the register when the gate's report is known, and once more, without a
/// report, if the gate cannot use the difference.
///
/// # Errors
/// [`PublishError`] says why it is not in force. What the gate has taken of it stays there, and a
/// later call goes on with it.
pub fn publish(
    config: &CollectorConfig,
    device: &DeviceName,
    key: &SecretKey,
    within: Duration,
    offer: &mut Offer<'_>,
    told: &mut dyn FnMut(Progress),
) -> Result<String, PublishError> {
    let gates = config.enrolment();
    if !gates.devices().any(|known| known == device) {
        return Err(PublishError::Stranger(device.clone()));
    }
    let began = Instant::now();
    let id = Uuid::now_v7().simple().to_string();
    let client_id = format!("menshen-publish-{}", &id[..12]);
    let (client, connection) = Client::new(options(config, &client_id)?, CAPACITY);
    let (sender, news) = sync_channel(CAPACITY);
    std::thread::Builder::new()
        .name("publish".to_owned())
        .spawn(move || listen(connection, &sender))?;
    let mut post = Post {
        client,
        news,
        root: format!("menshen/{device}/"),
        trouble: None,
        listening: false,
        began,
    };
    let found = post.report(device, &gates, within);
    told(Progress::Found(found.clone().map(Box::new)));
    let mut parcel = offer(found.as_ref()).map_err(PublishError::Offer)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let whole = parcel.0.base.is_none();
        let name = format!("{}-{tries}", &id[..12]);
        let sending = Sending::new(device, &gates, key, name, parcel);
        match post.send(sending, within, told) {
            Ok(End::Done(message)) => {
                let _ = post.client.try_disconnect();
                return Ok(message);
            }
            Ok(End::Refused {
                reason: Refusal::OtherBase,
                ..
            }) if !whole => {
                told(Progress::Whole);
                parcel = offer(None).map_err(PublishError::Offer)?;
            }
            Ok(End::Refused { reason, message }) => {
                return Err(PublishError::Refused {
                    device: device.clone(),
                    reason,
                    message,
                });
            }
            Err((sent, of)) => {
                let trouble = post.trouble.map(|t| format!("; {t}")).unwrap_or_default();
                return Err(PublishError::TimedOut {
                    device: device.clone(),
                    seconds: within.as_secs(),
                    sent,
                    of,
                    trouble,
                });
            }
        }
    }
}

/// The connection to the broker, as far as one gate is concerned.
struct Post {
    client: Client,
    news: Receiver<News>,
    /// `menshen/SITE/DEVICE/`.
    root: String,
    trouble: Option<String>,
    listening: bool,
    began: Instant,
}

impl Post {
    fn now(&self) -> Monotonic {
        Monotonic::default() + self.began.elapsed()
    }

    /// What came next, if anything did in a turn; a new connection is subscribed at once.
    fn next(&mut self) -> Option<News> {
        let news = match self.news.recv_timeout(TURN) {
            Ok(news) => news,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(TURN);
                return None;
            }
        };
        match &news {
            News::Connected => {
                let filter = |below: &str| {
                    SubscribeFilter::new(format!("{}{below}", self.root), QoS::AtLeastOnce)
                };
                // A full queue means a connection that does not move; the next one subscribes.
                let _ = self
                    .client
                    .try_subscribe_many([filter("response/+"), filter("registry")]);
            }
            News::Listening => {
                self.listening = true;
                self.trouble = None;
            }
            News::Lost(why) => {
                self.listening = false;
                self.trouble = Some(why.clone());
            }
            News::Heard { .. } => {}
        }
        Some(news)
    }

    /// The gate's retained report, if it comes soon.
    fn report(
        &mut self,
        device: &DeviceName,
        gates: &crate::message::Enrolment,
        within: Duration,
    ) -> Option<Report> {
        let mut since = None;
        while self.began.elapsed() < within {
            match self.next() {
                Some(News::Listening) => since = Some(Instant::now()),
                Some(News::Heard { topic, payload })
                    if topic.strip_prefix(&self.root) == Some("registry") =>
                {
                    return report(&payload, device, gates);
                }
                _ => {}
            }
            if since.is_some_and(|at: Instant| at.elapsed() >= REPORT_WITHIN) {
                break;
            }
        }
        None
    }

    /// Drives a sending to its end; pages sent and in all, if there is none in time.
    fn send(
        &mut self,
        mut sending: Sending<'_>,
        within: Duration,
        told: &mut dyn FnMut(Progress),
    ) -> Result<End, (usize, usize)> {
        let mut shown = None;
        if self.listening {
            sending.step(self.now(), Input::Connected);
        }
        loop {
            if let Some(end) = sending.end() {
                return Ok(end.clone());
            }
            let progress = sending.progress();
            if self.began.elapsed() >= within {
                return Err(progress);
            }
            if shown != Some(progress) {
                shown = Some(progress);
                told(Progress::Pages(progress.0, progress.1));
            }
            while self.listening
                && let Some(letter) = sending.next(self.now())
            {
                let topic = format!("{}{}", self.root, letter.topic);
                let payload = letter.payload.clone();
                if self
                    .client
                    .try_publish(topic, QoS::AtLeastOnce, false, payload)
                    .is_err()
                {
                    break;
                }
                let now = self.now();
                sending.took(now);
            }
            let news = self.next();
            let now = self.now();
            match &news {
                Some(News::Listening) => sending.step(now, Input::Connected),
                Some(News::Lost(_)) => sending.step(now, Input::Lost),
                Some(News::Heard { topic, payload }) => {
                    if let Some(topic) = topic.strip_prefix(&self.root) {
                        sending.step(now, Input::Heard { topic, payload });
                    }
                }
                Some(News::Connected) | None => sending.step(now, Input::Tick),
            }
        }
    }
}

/// Passes on what comes until nobody listens any more.
fn listen(mut connection: Connection, news: &SyncSender<News>) {
    for event in connection.iter() {
        let sent = match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => news.send(News::Connected),
            Ok(Event::Incoming(Packet::SubAck(_))) => news.send(News::Listening),
            Ok(Event::Incoming(Packet::Publish(publish))) => news.send(News::Heard {
                topic: publish.topic,
                payload: publish.payload.to_vec(),
            }),
            Ok(_) => Ok(()),
            Err(error) => {
                let lost = news.send(News::Lost(error.to_string()));
                std::thread::sleep(PAUSE);
                lost
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
