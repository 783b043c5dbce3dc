//! A network that delays, stands still and breaks in the middle of a packet.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;

use crate::Failure;

/// The longest that a connection stands still before it breaks: the next connection must come in
/// time for something to get through.
const STILL: Duration = Duration::from_secs(8);

/// A fault comes after fewer bytes than this, some two hundred entries.
const MOST: u64 = 400_000;

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Every piece waits this long.
    Delayed(Duration),
    /// Breaks after so many bytes of both directions, wherever in a packet that is.
    BrokenAfter(u64),
    /// After so many bytes nothing goes through any more, and nobody is told.
    StillAfter(u64, Duration),
}

impl Fault {
    fn any() -> Self {
        let mut rng = rand::rng();
        match rng.random_range(0..10) {
            0..3 => Self::None,
            3..5 => Self::Delayed(Duration::from_millis(rng.random_range(5..200))),
            5..8 => Self::BrokenAfter(rng.random_range(1..MOST)),
            _ => {
                let still = Duration::from_millis(rng.random_range(500..STILL.as_millis() as u64));
                Self::StillAfter(rng.random_range(1..MOST), still)
            }
        }
    }
}

/// What it has done so far.
#[derive(Debug, Default)]
struct Done {
    connections: AtomicU64,
    delayed: AtomicU64,
    broken: AtomicU64,
    still: AtomicU64,
}

/// Stands between clients and a port of this machine. Ends with the process.
pub struct FaultyNetwork {
    /// Where clients connect to.
    pub port: u16,
    calm: Arc<AtomicBool>,
    done: Arc<Done>,
}

impl FaultyNetwork {
    /// Before this port.
    ///
    /// # Errors
    /// If no port is to be had.
    pub fn before(server: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (calm, done) = (Arc::new(AtomicBool::new(false)), Arc::new(Done::default()));
        let network = Self {
            port,
            calm: Arc::clone(&calm),
            done: Arc::clone(&done),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Nobody there is as a server that is down: the client's connection closes.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                let fault = if calm.load(Ordering::SeqCst) {
                    Fault::None
                } else {
                    Fault::any()
                };
                done.connections.fetch_add(1, Ordering::SeqCst);
                let pair = Pair {
                    fault,
                    passed: AtomicU64::new(0),
                    done: Arc::clone(&done),
                };
                pair.carry(client, server);
            }
        });
        Ok(network)
    }

    /// Does nothing to connections that are made from now on.
    pub fn calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }
}

impl fmt::Display for FaultyNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        write!(
            f,
            "{} connections, {} of them slow, {} broken in the middle of something, {} left standing still",
            of(&self.done.connections),
            of(&self.done.delayed),
            of(&self.done.broken),
            of(&self.done.still)
        )
    }
}

/// Both directions of one connection.
struct Pair {
    fault: Fault,
    /// Bytes of both directions.
    passed: AtomicU64,
    done: Arc<Done>,
}

impl Pair {
    fn carry(self, client: TcpStream, server: TcpStream) {
        let pair = Arc::new(self);
        if matches!(pair.fault, Fault::Delayed(_)) {
            pair.done.delayed.fetch_add(1, Ordering::SeqCst);
        }
        let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        for (from, to) in [(client, to_server), (server, to_client)] {
            let pair = Arc::clone(&pair);
            std::thread::spawn(move || {
                pair.one_way(&from, &to);
                // Already closed is as good.
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    fn one_way(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            let before = self.passed.fetch_add(length as u64, Ordering::SeqCst);
            let fits = |limit: u64| limit.saturating_sub(before).min(length as u64) as usize;
            let passes = match self.fault {
                Fault::None => length,
                Fault::Delayed(pause) => {
                    std::thread::sleep(pause);
                    length
                }
                Fault::BrokenAfter(limit) | Fault::StillAfter(limit, _) => fits(limit),
            };
            if to.write_all(&piece[..passes]).is_err() {
                return;
            }
            if passes == length {
                continue;
            }
            match self.fault {
                Fault::StillAfter(_, still) => {
                    self.done.still.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(still);
                }
                _ => {
                    self.done.broken.fetch_add(1, Ordering::SeqCst);
                }
            }
            return;
        }
    }
}
