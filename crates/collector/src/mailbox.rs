//! The shell: the MQTT client on a thread of its own, the clerk and the store on the caller's.
//!
//! The session is persistent and messages are acknowledged to the broker by hand, after the
//! transaction: a collector that is killed in between gets them again. Between the two threads
//! lies a bounded channel; when the disk is slow the broker waits, and then the gates do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use domain::time::Monotonic;
use jiff::Timestamp;
use rumqttc::{
    Client, Connection, Event, MqttOptions, Packet, Publish, QoS, TlsConfiguration, Transport,
};
use tracing::{info, warn};

use crate::clerk::{Clerk, Delivered, Letter};
use crate::config::{CollectorConfig, ConfigError};
use crate::message::LARGEST;
use crate::store::{ReportKind, Store};

/// Messages that wait between the threads, and in one transaction, at most.
const BATCH: usize = 256;

/// How long an idle turn waits for a message.
const IDLE: Duration = Duration::from_millis(500);

/// The pause after the broker or the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the collector could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no thread.
    #[error("the collector's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the client's thread tells.
enum News {
    Connected,
    Letter(Box<Publish>),
}

/// Collects until `stop` is set. Everything durable is told to `told`.
///
/// # Errors
/// [`StartError`] if it could not be started; whatever fails later is tried again.
pub fn run(
    config: &CollectorConfig,
    store: &mut dyn Store,
    stop: &AtomicBool,
    told: &mut dyn FnMut(&Delivered),
) -> Result<(), StartError> {
    let began = Instant::now();
    let now = || Monotonic::default() + began.elapsed();
    let mut clerk = Clerk::new(config.enrolment(), config.key()?, now());
    let (client, connection) = connect(config)?;
    let (sender, news) = sync_channel(BATCH);
    std::thread::Builder::new()
        .name("mailbox".to_owned())
        .spawn({
            let tls = config.tls();
            move || listen(connection, tls.as_ref(), &sender)
        })?;
    while !stop.load(Ordering::SeqCst) {
        let Some((letters, connected)) = gather(&news) else {
            break;
        };
        if connected {
            subscribe(&client, config);
        }
        let read: Vec<Letter> = letters.iter().map(letter).collect();
        let delivered = loop {
            match clerk.take(store, &read, now(), Timestamp::now()) {
                Ok(delivered) => break delivered,
                Err(error) if stop.load(Ordering::SeqCst) => {
                    warn!("{error}");
                    return Ok(());
                }
                Err(error) => {
                    warn!("{error}; trying again");
                    std::thread::sleep(PAUSE);
                }
            }
        };
        for publish in &letters {
            // Towards a connection that has gone: the broker sends it again.
            let _ = client.try_ack(publish);
        }
        for (topic, payload) in &delivered.acknowledgements {
            let sent = client.try_publish(topic, QoS::AtLeastOnce, false, payload.clone());
            if sent.is_err() {
                warn!("an acknowledgement could not be sent; the gate sends its entries again");
            }
        }
        for report in &delivered.reports {
            let device = report.device.as_ref().map(ToString::to_string);
            let device = device.as_deref().unwrap_or("-");
            match report.kind {
                ReportKind::Back | ReportKind::HoleClosed | ReportKind::Conceded => {
                    info!(device, kind = report.kind.code(), "{}", report.message);
                }
                _ => warn!(device, kind = report.kind.code(), "{}", report.message),
            }
        }
        told(&delivered);
    }
    let _ = client.try_disconnect();
    Ok(())
}

fn connect(config: &CollectorConfig) -> Result<(Client, Connection), StartError> {
    let mut options = options(config, &config.client_id)?;
    options.set_clean_session(false).set_manual_acks(true);
    Ok(Client::new(options, 4 * BATCH))
}

/// What every client of the configuration's broker needs.
pub(crate) fn options(
    config: &CollectorConfig,
    client_id: &str,
) -> Result<MqttOptions, ConfigError> {
    let mut options = MqttOptions::new(client_id, &config.host, config.port());
    options
        .set_keep_alive(Duration::from_secs(15))
        .set_max_packet_size(LARGEST, LARGEST);
    if let Some(files) = config.tls() {
        encrypt(&mut options, files.client().map_err(ConfigError::Tls)?);
        for warning in files.warnings(Timestamp::now()) {
            warn!("{warning}");
        }
    }
    if let Some((user, password)) = config.login()? {
        options.set_credentials(user, password);
    }
    Ok(options)
}

fn encrypt(options: &mut MqttOptions, tls: Arc<tls::ClientConfig>) {
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
}

/// What gates send, below `menshen/SITE/DEVICE`.
const TOPICS: [&str; 3] = ["event", "lane/+/passage", "head"];

fn subscribe(client: &Client, config: &CollectorConfig) {
    let before = config
        .group
        .as_ref()
        .map(|group| format!("$share/{group}/"))
        .unwrap_or_default();
    for topic in TOPICS {
        let filter = format!("{before}menshen/+/+/{topic}");
        if client.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
            warn!("the subscription could not be sent; it is made at the next connection");
        }
    }
}

fn letter(publish: &Publish) -> Letter {
    Letter {
        topic: publish.topic.clone(),
        payload: publish.payload.to_vec(),
        retained: publish.retain,
    }
}

/// What has come, and whether there was a new connection; `None` if the client's thread ended.
fn gather(news: &Receiver<News>) -> Option<(Vec<Publish>, bool)> {
    let mut letters = Vec::new();
    let mut connected = false;
    let mut next = match news.recv_timeout(IDLE) {
        Ok(news) => Some(news),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    while let Some(one) = next.take() {
        match one {
            News::Connected => connected = true,
            News::Letter(publish) => letters.push(*publish),
        }
        if letters.len() < BATCH {
            next = news.try_recv().ok();
        }
    }
    Some((letters, connected))
}

/// Passes on what comes until nobody listens any more.
fn listen(mut connection: Connection, tls: Option<&tls::Files>, news: &SyncSender<News>) {
    let mut trouble = None;
    while let Ok(event) = connection.recv() {
        let sent = match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                info!("connected to the MQTT broker");
                trouble = None;
                news.send(News::Connected)
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                news.send(News::Letter(Box::new(publish)))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let why = tls::explain(&error).map_or_else(|| error.to_string(), |w| w.to_string());
                if trouble.as_ref() != Some(&why) {
                    warn!("the MQTT broker cannot be reached or was lost: {why}; trying again");
                    trouble = Some(why);
                }
                std::thread::sleep(PAUSE);
                // Read anew for every connection, so that a renewed certificate needs no restart.
                match tls.map(tls::Files::client) {
                    Some(Ok(tls)) => encrypt(&mut connection.eventloop.mqtt_options, tls),
                    Some(Err(error)) => warn!("{error}; the one before is used"),
                    None => {}
                }
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
