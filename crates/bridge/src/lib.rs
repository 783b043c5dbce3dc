//! The journal to the committee, over MQTT.
//!
//! ```text
//! journal ─► Outbox ─► Delivery ─► envelope ─► Transport ─► broker
//!              ▲          │  ▲                     │
//!              └──────────┘  └──── acknowledged ◄──┘
//!              acknowledge
//! ```
//!
//! - [`outbox`]: what this crate needs of the journal; the program implements it.
//! - [`delivery`]: pure: which entry is published when, what is known to have arrived, when to
//!   try the broker again.
//! - [`envelope`] and [`topics`]: pure: how an entry looks on the wire and where it goes.
//! - [`transport`]: the seam to the MQTT client, and `mqtt`, the one module that knows rumqttc.
//! - [`reception`]: pure: what the broker brings, judged: challenges, signed commands, the
//!   server's acknowledgements. [`orders`]: what is needed of the house to carry commands out.
//!   [`keys`]: the files of keys.
//! - [`connection`]: the shell: handles for the other threads, and the thread on which the
//!   courier drives all of this.
//! - [`health`]: pure: what a device says about itself, with latencies in constant memory.
//! - [`config`]: the `[mqtt]` section.
//!
//! Invariant: an entry leaves the outbox only after it was acknowledged, and all before it: by
//! the committee's server where a server's key is enrolled, under its signature and over the
//! hash of these very bytes; otherwise by the broker, which promises nothing against a broker
//! that deletes. The MQTT client's own memory of what it sent is never relied on: after
//! every reconnection everything unacknowledged is read from the outbox and published again,
//! so entries may arrive twice (same id), and none is missing.
//!
//! Invariant: nothing waits for the broker. Every method of [`BridgeHandle`] but `shutdown`
//! stores its argument and returns; the memory this takes is bounded, because entries stay in
//! the outbox, states keep their latest value, and pictures are dropped (and counted).
//!
//! Invariant: whatever the broker brings is an enemy's until a signature says otherwise, and a
//! command acts at most once, within 30 s of the challenge that this device gave out for it.

pub mod config;
pub mod connection;
mod courier;
pub mod delivery;
pub mod envelope;
pub mod health;
pub mod home_assistant;
pub mod keys;
mod mqtt;
pub mod orders;
pub mod outbox;
pub mod reception;
pub mod topics;
pub mod transport;

pub use config::{MqttConfig, Problem};
pub use connection::{Bridge, BridgeHandle, BridgeStatus, Identity, Keys, StartError};
pub use health::{HealthReport, Latencies, Stage};
pub use orders::{Declined, Orders, PageTaken, SyncStep};
pub use outbox::{Outbox, OutboxError, Pending};
pub use topics::State;
