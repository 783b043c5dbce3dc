//! The shell: one thread that owns the connection to the broker.
//!
//! ```text
//! lanes, barriers, journal ─► BridgeHandle ─► Board ─► Courier ─► Link ─► broker
//!                                                        │  ▲
//!                                              Outbox ◄──┘  └── LinkEvent
//! ```
//!
//! Handles write to a board of bounded size and return at once. The courier, a task on this
//! thread's own single-threaded runtime, reads the board, drives the delivery and talks to the
//! link. The outbox may block on the disk here without stopping anything else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::command::KeyRing;
use domain::names::Name;
use domain::signing::SecretKey;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

use crate::config::{MqttConfig, Problem, SecretError};
use crate::courier::{Courier, GREETINGS, OFFLINE, SIDE_MESSAGES, Settings};
use crate::mqtt::{Account, Mqtt};
use crate::orders::Orders;
use crate::outbox::Outbox;
use crate::topics::{State, Topics};
use crate::transport::Transport;

/// The largest picture that is sent, in bytes.
pub const MAX_PICTURE: usize = 200 * 1024;

/// Pictures that wait at most; each further one is dropped.
const PICTURES: usize = 4;

/// Alarms that wait at most; the oldest is dropped, and stays in the journal.
const ALARMS: usize = 16;

/// The longest time to take leave in.
const LONGEST_FAREWELL: Duration = Duration::from_mins(1);

/// Who the device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The site's name.
    pub site: Name,
    /// The device's name, unique on the site.
    pub device: Name,
    /// The program's version.
    pub version: String,
    /// Its lanes.
    pub lanes: Vec<Name>,
    /// Its barriers.
    pub barriers: Vec<Name>,
}

/// The device's own key, and those that are enrolled on it.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs what the device sends.
    pub device: SecretKey,
    /// Whose signatures it heeds. If a server is among them when the bridge starts, delivered
    /// means acknowledged by the server, else by the broker.
    pub ring: KeyRing,
}

/// Why the bridge could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problem),
    /// The password cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate or its key cannot be used.
    #[error("mqtt.{0}")]
    Tls(#[from] tls::FileError),
    /// The system gave no thread or no event queue.
    #[error("the bridge's thread could not be started: {0}; the machine is out of resources")]
    Thread(#[from] std::io::Error),
}

/// How the bridge is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BridgeStatus {
    /// Whether the broker is connected.
    pub connected: bool,
    /// Entries that are not acknowledged.
    pub outbox_depth: u64,
    /// Everything up to this sequence number is acknowledged.
    pub acked: u64,
    /// Entries published since the start, repetitions included.
    pub published: u64,
    /// Entries published more than once among them.
    pub repeated: u64,
    /// Pictures dropped because the broker was away, slow, or the picture too large.
    pub pictures_dropped: u64,
    /// Connections that were accepted since the start.
    pub connections: u64,
    /// Why there is no connection, if there is none and a reason is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Starts the bridge.
#[derive(Debug)]
pub struct Bridge;

impl Bridge {
    /// Starts the thread that connects, publishes and acknowledges. The broker may be away.
    ///
    /// `upto` is the journal's last sequence number now; what comes later is announced by
    /// [`BridgeHandle::outbox_grew`]. Without `orders` no command is listened to, and what the
    /// broker brings is refused without being written down.
    ///
    /// # Errors
    /// [`StartError`] if the configuration is wrong, the password or a certificate cannot be read, or
    /// the system gives no thread.
    pub fn start(
        config: &MqttConfig,
        identity: Identity,
        keys: Keys,
        outbox: Arc<dyn Outbox>,
        orders: Option<Arc<dyn Orders>>,
        upto: u64,
    ) -> Result<BridgeHandle, StartError> {
        if let Some(problem) = config.validate().into_iter().next() {
            return Err(problem.into());
        }
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
        let password = config.password(credentials.as_deref())?;
        let tls = match config.tls(credentials.as_deref())? {
            Some(files) => {
                let now = files.client()?;
                for warning in files.warnings(Timestamp::now()) {
                    warn!("mqtt.{warning}");
                }
                Some((files, now))
            }
            None => None,
        };
        let topics = Topics::new(&identity.site, &identity.device);
        let account = Account {
            host: config.host.clone(),
            port: config.port(),
            client_id: config
                .client_id
                .clone()
                .unwrap_or_else(|| format!("menshen-{}-{}", identity.site, identity.device)),
            login: config
                .user
                .clone()
                .map(|user| (user, password.unwrap_or_default())),
            keep_alive: config.keep_alive,
            tls,
            will: (topics.bridge_state(), OFFLINE),
        };
        // Twice the window: what a server is missing may be sent again beside what is new.
        let transport = Mqtt::new(account, 2 * config.window + SIDE_MESSAGES + GREETINGS);
        let settings = Settings {
            window: usize::from(config.window),
            late_after: config.late_after,
            upto,
            keys,
            home_assistant: config.home_assistant.clone(),
        };
        spawn(transport, settings, identity, outbox, orders)
    }
}

pub(crate) fn spawn<T: Transport + Send + 'static>(
    transport: T,
    settings: Settings,
    identity: Identity,
    outbox: Arc<dyn Outbox>,
    orders: Option<Arc<dyn Orders>>,
) -> Result<BridgeHandle, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shared = Arc::new(Shared {
        board: Mutex::new(Board {
            upto: settings.upto,
            ..Board::default()
        }),
        wake: Notify::new(),
        ended: Condvar::new(),
    });
    let for_thread = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("bridge".to_owned())
        .spawn(move || {
            let end = EndOnDrop(for_thread);
            let courier = Courier::new(
                transport,
                &settings,
                &identity,
                outbox,
                orders,
                Arc::clone(&end.0),
            );
            runtime.block_on(courier.run());
            // Not waiting for a name that is still being looked up.
            runtime.shutdown_background();
        })?;
    Ok(BridgeHandle {
        owner: Arc::new(Owner(shared)),
    })
}

/// What handles have left for the courier. Everything on it is bounded: states by the number
/// of lanes and barriers, the rest by constants.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) upto: u64,
    /// Each state's version, counted from 1, and its JSON.
    pub(crate) states: BTreeMap<State, (u64, Vec<u8>)>,
    pub(crate) health: Option<Vec<u8>>,
    pub(crate) alarms: VecDeque<Vec<u8>>,
    pub(crate) pictures: VecDeque<(Name, Vec<u8>)>,
    /// Keys that are enrolled from now on.
    pub(crate) ring: Option<KeyRing>,
    /// Finish before this instant.
    pub(crate) stop: Option<Instant>,
    pub(crate) ended: bool,
    pub(crate) status: BridgeStatus,
}

#[derive(Debug)]
pub(crate) struct Shared {
    board: Mutex<Board>,
    pub(crate) wake: Notify,
    ended: Condvar,
}

impl Shared {
    /// The board. A panic elsewhere cannot leave it half written: every change is one
    /// assignment or push.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the courier to end a little before `within` is over.
    fn stop(&self, within: Duration) {
        let deadline = Instant::now() + within.min(LONGEST_FAREWELL) * 9 / 10;
        self.board().stop.get_or_insert(deadline);
        self.wake.notify_one();
    }
}

/// Says that the thread has ended, also by panic.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let mut board = self.0.board();
        board.ended = true;
        board.status.connected = false;
        self.0.ended.notify_all();
    }
}

/// Ends the thread when the last handle goes.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop(Duration::ZERO);
    }
}

/// The way to the bridge from any thread; clones lead to the same one. When the last is
/// dropped without [`shutdown`](Self::shutdown), the connection is cut.
#[derive(Debug, Clone)]
pub struct BridgeHandle {
    owner: Arc<Owner>,
}

impl BridgeHandle {
    fn shared(&self) -> &Shared {
        &self.owner.0
    }

    fn write(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.shared().board());
        self.shared().wake.notify_one();
    }

    /// The journal durably holds entries up to `upto`.
    pub fn outbox_grew(&self, upto: u64) {
        self.write(|board| board.upto = board.upto.max(upto));
    }

    /// Enrols other keys from now on, in the place of all before. Whether a server's
    /// acknowledgement is needed stays as it was at the start.
    pub fn enrol(&self, ring: KeyRing) {
        self.write(|board| board.ring = Some(ring));
    }

    /// Sets a retained state; the broker gets the latest value, also after every reconnection.
    pub fn set_state(&self, state: State, value: &Value) {
        let payload = value.to_string().into_bytes();
        self.write(|board| {
            let entry = board.states.entry(state).or_default();
            if entry.0 == 0 || entry.1 != payload {
                *entry = (entry.0 + 1, payload);
            }
        });
    }

    /// Publishes a health report; while the broker is away only the latest is kept.
    pub fn publish_health(&self, report: &Value) {
        let payload = report.to_string().into_bytes();
        self.write(|board| board.health = Some(payload));
    }

    /// Publishes that something needs a person now. The journal holds it anyway, so that of
    /// alarms while the broker is away only the latest few are repeated here.
    pub fn publish_alarm(&self, alarm: &Value) {
        let payload = alarm.to_string().into_bytes();
        self.write(|board| {
            if board.alarms.len() >= ALARMS {
                board.alarms.pop_front();
            }
            board.alarms.push_back(payload);
        });
    }

    /// Publishes a picture of a lane, a JPEG of at most [`MAX_PICTURE`] bytes. It is dropped,
    /// counted, and `false` returned if it is too large, the broker is away, or others wait.
    pub fn publish_picture(&self, lane: &Name, jpeg: Vec<u8>) -> bool {
        let mut taken = false;
        self.write(|board| {
            taken = jpeg.len() <= MAX_PICTURE
                && board.status.connected
                && board.pictures.len() < PICTURES;
            if taken {
                board.pictures.push_back((lane.clone(), jpeg));
            } else {
                board.status.pictures_dropped += 1;
            }
        });
        taken
    }

    /// How the bridge is.
    pub fn status(&self) -> BridgeStatus {
        self.shared().board().status.clone()
    }

    /// Delivers what can still be delivered in half of `within` (at most a minute), says `offline`, disconnects
    /// and ends the thread. Whether it ended in time; what it did not deliver stays in the
    /// outbox.
    pub fn shutdown(&self, within: Duration) -> bool {
        let shared = self.shared();
        shared.stop(within);
        let board = shared.board();
        let (board, _) = shared
            .ended
            .wait_timeout_while(board, within, |board| !board.ended)
            .unwrap_or_else(PoisonError::into_inner);
        board.ended
    }
}
