//! An MQTT broker inside the process, for the demo and for tests.
//!
//! It listens on the loopback address only, on a port the system chooses, keeps everything in
//! memory and takes no configuration. It cannot be stopped; it ends with the process. Its log
//! goes through `tracing` under the target `rumqttd`; put [`Broker::QUIET`] into the program's
//! filter to keep it out of the terminal.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

/// The largest MQTT packet it takes: a passage's picture (200 KiB) with room to spare.
const LARGEST_PACKET: usize = 1 << 20;
/// How often another port is tried when somebody else took the one the system gave us.
const TRIES: u32 = 5;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    watch: Option<Watch>,
}

/// A message that the broker received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Everything that the broker receives, from its start on.
#[derive(Debug)]
pub struct Watch {
    messages: Receiver<Received>,
}

impl Watch {
    /// Waits at most `timeout` for the next message.
    pub fn next(&self, timeout: Duration) -> Option<Received> {
        self.messages.recv_timeout(timeout).ok()
    }
}

/// Why no broker runs.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The system gave no port or no thread.
    #[error("the embedded broker cannot start: {0}; are loopback sockets allowed here?")]
    System(#[from] std::io::Error),
    /// The broker did not take a subscription from inside.
    #[error(
        "the embedded broker cannot be watched: {0}; this is a mistake in the program, please report it"
    )]
    Watch(Box<rumqttd::local::LinkError>),
    /// Nothing answered on any of the ports that were tried.
    #[error(
        "the embedded broker does not answer on 127.0.0.1 after {tries} tries; something on this machine takes its ports or blocks the loopback"
    )]
    Silent {
        /// How many ports were tried.
        tries: u32,
    },
}

impl Broker {
    /// The part of a log filter that silences the broker.
    pub const QUIET: &str = "rumqttd=off";

    /// Starts a broker and waits until it takes connections: milliseconds, some seconds at
    /// worst.
    ///
    /// # Errors
    /// [`BrokerError`] where the system gives no socket or thread, or the broker stays silent.
    pub fn start() -> Result<Self, BrokerError> {
        for _ in 0..TRIES {
            // The port is free again for a moment before the broker takes it: hence the tries.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let mut broker = rumqttd::Broker::new(config(address));
            let watch = watch(&broker)?;
            let server = thread::Builder::new()
                .name("broker".into())
                .spawn(move || {
                    // It returns only when it could not listen; the knocking below notices.
                    let _ = broker.start();
                })?;
            for _ in 0..100 {
                if server.is_finished() {
                    break;
                }
                if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                    return Ok(Self {
                        port,
                        watch: Some(watch),
                    });
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Err(BrokerError::Silent { tries: TRIES })
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the broker receives, its past included; there is one, for whoever asks first.
    pub fn watch(&mut self) -> Option<Watch> {
        self.watch.take()
    }
}

/// Subscribes to everything inside the broker, and collects it on a thread.
fn watch(broker: &rumqttd::Broker) -> Result<Watch, BrokerError> {
    let refused = |e| BrokerError::Watch(Box::new(e));
    let (mut sender, mut receiver) = broker.link("watch").map_err(refused)?;
    sender.subscribe("#").map_err(refused)?;
    let (passed_on, messages) = channel();
    thread::Builder::new()
        .name("broker-watch".into())
        .spawn(move || {
            // The link ends with the broker; the subscription lasts while the sender is held.
            let _sender = sender;
            while let Ok(notification) = receiver.recv() {
                let Some(rumqttd::Notification::Forward(forward)) = notification else {
                    continue;
                };
                let message = Received {
                    topic: String::from_utf8_lossy(&forward.publish.topic).into_owned(),
                    payload: forward.publish.payload.to_vec(),
                };
                if passed_on.send(message).is_err() {
                    return;
                }
            }
        })?;
    Ok(Watch { messages })
}

fn config(listen: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: LARGEST_PACKET,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "broker-v4".into(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    Config {
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            max_segment_size: 10 << 20,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("1".to_owned(), server)])),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::io::{Read as _, Write as _};

    /// A CONNECT packet of MQTT 3.1.1 with a clean session.
    fn connect(name: &str) -> Vec<u8> {
        let mut packet = vec![0x10, (12 + name.len()) as u8, 0, 4];
        packet.extend(b"MQTT\x04\x02\x00\x3c\x00");
        packet.push(name.len() as u8);
        packet.extend(name.as_bytes());
        packet
    }

    fn client(port: u16, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(&connect(name)).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0x20, 2, 0, 0], "CONNACK");
        stream
    }

    #[test]
    fn two_brokers_run_side_by_side_and_carry_messages() {
        let (one, two) = (Broker::start().unwrap(), Broker::start().unwrap());
        assert_ne!(one.port(), two.port());
        for port in [one.port(), two.port()] {
            let mut hears = client(port, "hears");
            hears.write_all(b"\x82\x08\x00\x01\x00\x03a/b\x01").unwrap();
            let mut answer = [0; 5];
            hears.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [0x90, 3, 0, 1, 1], "SUBACK");
            let mut says = client(port, "says");
            says.write_all(b"\x32\x09\x00\x03a/b\x00\x07hi").unwrap();
            let mut puback = [0; 4];
            says.read_exact(&mut puback).unwrap();
            assert_eq!(puback, [0x40, 2, 0, 7], "PUBACK");
            let mut got = [0; 11];
            hears.read_exact(&mut got).unwrap();
            assert_eq!(
                (got[0] & 0xf0, &got[2..7], &got[9..]),
                (0x30, &b"\x00\x03a/b"[..], &b"hi"[..])
            );
        }
    }
}
