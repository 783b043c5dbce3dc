//! The seam to the MQTT client.
//!
//! A [`Transport`] opens one [`Link`] after another; each is one connection to the broker, from
//! its first attempt to its end, and tells what happens on it through a channel of its own, so
//! that nothing of an old connection can be taken for news of the next. Messages carry a token
//! chosen by the sender; packet identifiers stay inside the transport.

use tokio::sync::mpsc;

/// Names a message on one link; the sender chooses it and never uses it twice on a link.
pub type Token = u64;

/// How surely a message must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Sent once and not acknowledged (`QoS` 0).
    AtMostOnce,
    /// Acknowledged by the broker (`QoS` 1).
    AtLeastOnce,
}

/// One message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// How surely it must arrive.
    pub quality: Quality,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// A message from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The topic.
    pub topic: String,
    /// The payload; never more than [`MAX_INBOUND`] bytes.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it for whoever subscribes.
    pub retained: bool,
}

/// The largest packet that is taken in. Everything that belongs here is below 8 KiB; what is
/// larger ends the connection before it is in memory.
pub const MAX_INBOUND: usize = 16 * 1024;

/// What happens on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The broker accepted the connection.
    Connected {
        /// Whether it remembers this client's session. For the log only: delivery never
        /// depends on it.
        session_present: bool,
    },
    /// The message was acknowledged by the broker or, at [`Quality::AtMostOnce`], was sent.
    Done(Token),
    /// The broker brought a message.
    Received(Inbound),
    /// The link has ended; nothing follows.
    Closed {
        /// Why.
        why: String,
        /// Whether it was a packet too large to be taken in. The broker may send it again at
        /// every subscription.
        oversized: bool,
    },
}

/// The link cannot take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MQTT client takes no further message")]
pub struct LinkFull;

/// One connection to the broker. Dropping it cuts the connection, so that the broker publishes
/// the last will.
pub trait Link {
    /// Hands a message over; it is sent after those handed over before.
    ///
    /// # Errors
    /// [`LinkFull`] if it takes no more; the link is then better cut.
    fn publish(&mut self, token: Token, message: Message) -> Result<(), LinkFull>;

    /// Asks the broker for messages of these topics; those at [`Quality::AtMostOnce`] are not
    /// kept for this client while it is away.
    ///
    /// # Errors
    /// [`LinkFull`] if it takes no more; the link is then better cut.
    fn subscribe(&mut self, topics: &[(String, Quality)]) -> Result<(), LinkFull>;

    /// Takes leave of the broker after everything handed over before: no last will.
    fn disconnect(&mut self);
}

/// What opens links.
pub trait Transport {
    /// The links it opens.
    type Link: Link;

    /// Begins to connect. Called within a tokio runtime; what becomes of it is told to `events`.
    fn open(&mut self, events: mpsc::Sender<LinkEvent>) -> Self::Link;
}
