//! The transport over rumqttc, the one module that knows this client.
//!
//! rumqttc gives a publish its packet identifier (pkid) late, when it writes it, and reports
//! acknowledgements by pkid only. Which message a pkid belongs to follows from three facts of
//! its 0.25 source, and the tests against a real broker hold them down:
//!
//! 1. requests leave its channel in the order in which they entered it;
//! 2. each publish is reported exactly once, as `Outgoing::Publish(pkid)` (pkid 0 at `QoS` 0),
//!    in that order: a publish that has to wait because its pkid is still taken holds back all
//!    requests behind it until it is reported;
//! 3. that report precedes the report of its acknowledgement.
//!
//! So the tokens of handed-over messages wait in a queue, and each report takes the front one.
//! This would break if a client kept unsent publishes over a reconnection, as rumqttc does; so
//! every link is a new client with empty state. An event loop is also never cancelled in the
//! middle of a poll and then polled again (it could lose a packet that way): it has a task to
//! itself, which ends with the link.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    Outgoing, Packet, QoS, StateError, SubscribeFilter, TlsConfiguration,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::transport::{
    Inbound, Link, LinkEvent, LinkFull, MAX_INBOUND, Message, Quality, Token, Transport,
};

/// The largest packet that goes out: a picture of 200 KiB with room to spare.
const MAX_OUTBOUND: usize = 256 * 1024;

/// How long a connection may take to be accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long writing one message may take: 200 KiB over a poor mobile line.
const WRITE_TIMEOUT_S: u64 = 30;

/// Opens rumqttc clients.
pub(crate) struct Mqtt {
    options: MqttOptions,
    tls: Option<tls::Files>,
    capacity: usize,
}

/// What the transport must know of a device.
pub(crate) struct Account {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) client_id: String,
    pub(crate) login: Option<(String, String)>,
    pub(crate) keep_alive: Duration,
    /// The files of an encrypted connection and what is made of them now; none for a plain one.
    pub(crate) tls: Option<(tls::Files, Arc<tls::ClientConfig>)>,
    /// Topic and payload of the retained last will.
    pub(crate) will: (String, &'static str),
}

impl Mqtt {
    /// A transport that can have up to `capacity` messages unacknowledged.
    pub(crate) fn new(account: Account, capacity: u16) -> Self {
        let host = if account.host.parse::<Ipv6Addr>().is_ok() {
            // rumqttc joins host and port by a colon.
            format!("[{}]", account.host)
        } else {
            account.host
        };
        let mut options = MqttOptions::new(account.client_id, host, account.port);
        options
            .set_keep_alive(account.keep_alive)
            .set_clean_session(false)
            .set_inflight(capacity.max(1))
            .set_max_packet_size(MAX_INBOUND, MAX_OUTBOUND)
            .set_last_will(LastWill::new(
                account.will.0,
                account.will.1,
                QoS::AtLeastOnce,
                true,
            ));
        if let Some((user, password)) = account.login {
            options.set_credentials(user, password);
        }
        let tls = account.tls.map(|(files, now)| {
            encrypt(&mut options, now);
            files
        });
        Self {
            options,
            tls,
            capacity: usize::from(capacity),
        }
    }
}

fn encrypt(options: &mut MqttOptions, tls: Arc<tls::ClientConfig>) {
    let tls = TlsConfiguration::Rustls(tls);
    options.set_transport(rumqttc::Transport::tls_with_config(tls));
}

impl Transport for Mqtt {
    type Link = MqttLink;

    fn open(&mut self, events: mpsc::Sender<LinkEvent>) -> MqttLink {
        if let Some(files) = &self.tls {
            // Read anew for every connection, so that a renewed certificate needs no restart.
            match files.client() {
                Ok(tls) => encrypt(&mut self.options, tls),
                Err(error) => warn!("mqtt.{error}; the one before is used"),
            }
        }
        let (client, mut eventloop) = AsyncClient::new(self.options.clone(), self.capacity);
        eventloop.network_options.set_tcp_nodelay(true);
        eventloop
            .network_options
            .set_connection_timeout(WRITE_TIMEOUT_S);
        let tokens = Tokens::default();
        let task = tokio::spawn(run(eventloop, Arc::clone(&tokens), events));
        MqttLink {
            client,
            tokens,
            task,
        }
    }
}

/// Tokens of messages handed over and not yet reported as sent, in order.
type Tokens = Arc<Mutex<VecDeque<Token>>>;

/// One client of rumqttc.
pub(crate) struct MqttLink {
    client: AsyncClient,
    tokens: Tokens,
    task: JoinHandle<()>,
}

impl Link for MqttLink {
    fn publish(&mut self, token: Token, message: Message) -> Result<(), LinkFull> {
        let qos = qos(message.quality);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        self.client
            .try_publish(message.topic, qos, message.retain, message.payload)
            .map_err(|_| LinkFull)?;
        tokens.push_back(token);
        Ok(())
    }

    fn subscribe(&mut self, topics: &[(String, Quality)]) -> Result<(), LinkFull> {
        let filters = topics
            .iter()
            .map(|(topic, quality)| SubscribeFilter::new(topic.clone(), qos(*quality)));
        self.client
            .try_subscribe_many(filters)
            .map_err(|_| LinkFull)
    }

    fn disconnect(&mut self) {
        // A full channel means a connection that is not moving: nobody to take leave of.
        let _ = self.client.try_disconnect();
    }
}

const fn qos(quality: Quality) -> QoS {
    match quality {
        Quality::AtMostOnce => QoS::AtMostOnce,
        Quality::AtLeastOnce => QoS::AtLeastOnce,
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Polls one client until its connection ends.
async fn run(mut eventloop: EventLoop, tokens: Tokens, events: mpsc::Sender<LinkEvent>) {
    let mut on_their_way: HashMap<u16, Token> = HashMap::new();
    let mut connecting = true;
    loop {
        let polled = if connecting {
            match tokio::time::timeout(CONNECT_TIMEOUT, eventloop.poll()).await {
                Ok(polled) => polled,
                Err(_) => Err(ConnectionError::NetworkTimeout),
            }
        } else {
            eventloop.poll().await
        };
        let event = match polled {
            Ok(Event::Incoming(Packet::ConnAck(accepted))) => {
                connecting = false;
                LinkEvent::Connected {
                    session_present: accepted.session_present,
                }
            }
            Ok(Event::Outgoing(Outgoing::Publish(pkid))) => {
                let sent = tokens
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                match (sent, pkid) {
                    (Some(token), 0) => LinkEvent::Done(token),
                    (Some(token), _) => {
                        on_their_way.insert(pkid, token);
                        continue;
                    }
                    (None, _) => LinkEvent::Closed {
                        why: format!(
                            "the MQTT client sent a message (pkid {pkid}) that it was not given; connecting anew"
                        ),
                        oversized: false,
                    },
                }
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => match on_their_way.remove(&ack.pkid) {
                Some(token) => LinkEvent::Done(token),
                None => LinkEvent::Closed {
                    why: format!(
                        "the broker acknowledged a message (pkid {}) that it was not sent; connecting anew",
                        ack.pkid
                    ),
                    oversized: false,
                },
            },
            Ok(Event::Incoming(Packet::Publish(publish))) => LinkEvent::Received(Inbound {
                topic: publish.topic,
                payload: publish.payload.to_vec(),
                retained: publish.retain,
            }),
            Ok(_) => continue,
            Err(error) => LinkEvent::Closed {
                oversized: matches!(
                    error,
                    ConnectionError::MqttState(StateError::Deserialization(
                        PacketError::PayloadSizeLimitExceeded(_)
                    ))
                ),
                why: explain(&error, &eventloop.mqtt_options),
            },
        };
        let ended = matches!(event, LinkEvent::Closed { .. });
        // A dropped receiver means that the link itself is being dropped.
        if events.send(event).await.is_err() || ended {
            return;
        }
    }
}

/// What happened, where, and what to do about it.
fn explain(error: &ConnectionError, options: &MqttOptions) -> String {
    let (host, port) = options.broker_address();
    if let Some(why) = tls::explain(error) {
        return format!("{host}:{port}: {why}");
    }
    let what = match error {
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized),
        ) => format!("it refuses the login ({code:?}); check mqtt.user and its password"),
        ConnectionError::ConnectionRefused(code) => {
            format!("it refuses the connection ({code:?}); see the broker's log")
        }
        ConnectionError::NetworkTimeout => {
            "it does not answer; check mqtt.host, mqtt.port and the network".to_owned()
        }
        ConnectionError::Io(error) => {
            format!("{error}; check that the broker runs, mqtt.host and mqtt.port")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "it has stopped answering".to_owned()
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "it closed the connection; if this repeats, another device may use the same client id"
                .to_owned()
        }
        ConnectionError::MqttState(StateError::Deserialization(
            PacketError::PayloadSizeLimitExceeded(size),
        )) => format!(
            "it brought a packet of {size} bytes, and nothing above {MAX_INBOUND} belongs here; find out who publishes to this device's topics"
        ),
        other => other.to_string(),
    };
    format!("{host}:{port}: {what}")
}
