//! A wire between bridge and broker that can be cut, and that reads along.
//!
//! It notes which entries the broker has acknowledged, from the packets themselves, so that a
//! bridge which mistakes one acknowledgement for another is found out; and it can hand the
//! acknowledgements on in a disorder that mosquitto alone never shows.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The wire's two ends and what passed.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    broker: u16,
    open: AtomicBool,
    shuffle: AtomicBool,
    mute: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    acknowledged: Mutex<BTreeSet<u64>>,
}

impl Gate {
    /// A closed wire to the broker at a loopback port.
    pub(crate) fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            broker,
            open: AtomicBool::new(false),
            shuffle: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            streams: Mutex::default(),
            acknowledged: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        std::thread::spawn(move || {
            for device in listener.incoming().flatten() {
                accepting.join(device);
            }
        });
        Self { port, inner }
    }

    pub(crate) fn open(&self) {
        self.inner.mute.store(false, Ordering::SeqCst);
        self.inner.open.store(true, Ordering::SeqCst);
    }

    /// Cuts every connection and lets no new one through.
    pub(crate) fn close(&self) {
        self.inner.open.store(false, Ordering::SeqCst);
        for stream in self.inner.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on acknowledgements overtake each other.
    pub(crate) fn shuffle(&self) {
        self.inner.shuffle.store(true, Ordering::SeqCst);
    }

    /// What the broker says is lost from now on, until the wire is opened again.
    pub(crate) fn mute(&self) {
        self.inner.mute.store(true, Ordering::SeqCst);
    }

    /// Entries whose acknowledgement passed.
    pub(crate) fn acknowledged(&self) -> BTreeSet<u64> {
        self.inner.acknowledged.lock().unwrap().clone()
    }
}

impl Inner {
    fn join(self: &Arc<Self>, device: TcpStream) {
        if !self.open.load(Ordering::SeqCst) {
            return;
        }
        let Ok(broker) = TcpStream::connect(("127.0.0.1", self.broker)) else {
            return;
        };
        for stream in [&device, &broker] {
            stream.set_nodelay(true).unwrap();
            self.streams
                .lock()
                .unwrap()
                .push(stream.try_clone().unwrap());
        }
        let on_their_way: Arc<Mutex<HashMap<u16, u64>>> = Arc::default();
        let map = Arc::clone(&on_their_way);
        let (from, to) = (device.try_clone().unwrap(), broker.try_clone().unwrap());
        std::thread::spawn(move || Self::outward(from, to, &map));
        let inner = Arc::clone(self);
        std::thread::spawn(move || inner.homeward(broker, device, &on_their_way));
    }

    fn outward(mut from: TcpStream, mut to: TcpStream, map: &Mutex<HashMap<u16, u64>>) {
        let mut packets = Packets::default();
        while let Some(bytes) = Packets::read(&mut from) {
            for packet in packets.whole(bytes) {
                if let Some((pkid, seq)) = packet.entry() {
                    map.lock().unwrap().insert(pkid, seq);
                }
                if to.write_all(&packet.0).is_err() {
                    break;
                }
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn homeward(&self, mut from: TcpStream, mut to: TcpStream, map: &Mutex<HashMap<u16, u64>>) {
        let mut packets = Packets::default();
        let mut held: Vec<Packet> = Vec::new();
        from.set_read_timeout(Some(Duration::from_millis(30)))
            .unwrap();
        while let Some(bytes) = Packets::read(&mut from) {
            let idle = bytes.is_empty();
            for packet in packets.whole(bytes) {
                held.push(packet);
            }
            let keep = if self.shuffle.load(Ordering::SeqCst) && !idle {
                5
            } else {
                0
            };
            if self.mute.load(Ordering::SeqCst) {
                held.clear();
            }
            while held.len() > keep {
                // The last come first: as much disorder as the number held back allows.
                let packet = if keep == 0 {
                    held.remove(0)
                } else {
                    held.pop().unwrap()
                };
                if let Some(pkid) = packet.puback()
                    && let Some(seq) = map.lock().unwrap().remove(&pkid)
                {
                    self.acknowledged.lock().unwrap().insert(seq);
                }
                if to.write_all(&packet.0).is_err() {
                    return;
                }
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Cuts a stream of bytes into MQTT packets.
#[derive(Default)]
struct Packets {
    rest: Vec<u8>,
}

impl Packets {
    /// What the next read gives: nothing after a time-out, `None` at the end.
    fn read(from: &mut TcpStream) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        match from.read(&mut buffer) {
            Ok(0) => None,
            Ok(n) => {
                buffer.truncate(n);
                Some(buffer)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some(Vec::new())
            }
            Err(_) => None,
        }
    }

    fn whole(&mut self, bytes: Vec<u8>) -> Vec<Packet> {
        self.rest.extend(bytes);
        let mut packets = Vec::new();
        while let Some(length) = packet_length(&self.rest) {
            let tail = self.rest.split_off(length);
            packets.push(Packet(std::mem::replace(&mut self.rest, tail)));
        }
        packets
    }
}

/// The remaining length and where it ends, if the header is whole.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((length, i + 2));
        }
    }
    None
}

fn packet_length(bytes: &[u8]) -> Option<usize> {
    let (length, start) = header(bytes)?;
    (bytes.len() >= start + length).then_some(start + length)
}

struct Packet(Vec<u8>);

impl Packet {
    /// Packet identifier and sequence number, if it publishes an entry at `QoS` 1.
    fn entry(&self) -> Option<(u16, u64)> {
        if self.0[0] & 0xf6 != 0x32 {
            return None;
        }
        let (_, start) = header(&self.0)?;
        let body = &self.0[start..];
        let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let pkid = u16::from_be_bytes([body[2 + topic], body[3 + topic]]);
        let json: serde_json::Value = serde_json::from_slice(&body[4 + topic..]).ok()?;
        Some((pkid, json.get("hash").and(json.get("seq"))?.as_u64()?))
    }

    fn puback(&self) -> Option<u16> {
        (self.0[0] == 0x40).then(|| u16::from_be_bytes([self.0[2], self.0[3]]))
    }
}
