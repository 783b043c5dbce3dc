//! What the daemon and its relay guard say to each other: JSON, one line a message.
//!
//! The daemon writes [`Command`]s to the guard's standard input, the guard writes [`Report`]s
//! to its standard output. The first command is `hello` with the protocol's version and the
//! wiring; the guard answers `ready`, or an `error` and its end. [`Lines`] cuts a byte stream
//! into lines without ever holding more than [`LINE_MAX`] bytes of one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cause::CauseId;
use crate::time::Monotonic;
use crate::wiring::Wiring;

/// The version both ends must speak.
pub const PROTOCOL_VERSION: u32 = 1;
/// The longest line, in bytes, without its newline.
pub const LINE_MAX: usize = 64 * 1024;

/// A relay of the wiring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relay {
    /// The one that opens the boom.
    #[default]
    Open,
}

/// From the daemon to the relay guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// The first line: who speaks and what to open.
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// What to open.
        wiring: Wiring,
    },
    /// Energise a relay for a time.
    Pulse {
        /// Why. The guard pulses no cause twice.
        cause: CauseId,
        /// Which relay.
        #[serde(default)]
        relay: Relay,
        /// For how long; held within 200 to 1000.
        ms: u64,
    },
    /// The daemon's loop still turns.
    Beat,
    /// Release every relay now.
    Release,
    /// Release every relay and end.
    Bye,
}

/// Why the relay was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// The pulse was over.
    Done,
    /// The daemon ordered it.
    Ordered,
    /// The daemon fell silent.
    Silence,
    /// The daemon's pipe closed, or the guard was told to end.
    Ending,
    /// The port did not take a write.
    PortFailed,
}

/// Why the guard did not take a pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PulseRefusal {
    /// A pulse is running, or its release is not yet confirmed.
    Busy,
    /// This cause has been pulsed before.
    Repeated,
}

/// From the relay guard to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// The port is open, everything is inactive.
    Ready {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// When.
        at_ns: Monotonic,
        /// Whether each wired contact is closed, in the wiring's order.
        closed: Vec<bool>,
    },
    /// The port has taken the write that energises the relay.
    Energised {
        /// Why.
        cause: CauseId,
        /// When.
        at_ns: Monotonic,
    },
    /// The port has taken the write that releases every relay.
    Released {
        /// The pulse this ends; none after a release with no pulse running.
        cause: Option<CauseId>,
        /// When.
        at_ns: Monotonic,
        /// Why.
        why: ReleaseReason,
    },
    /// The pulse was not taken.
    Refused {
        /// Which.
        cause: CauseId,
        /// Why.
        reason: PulseRefusal,
    },
    /// The port did not take a write during this pulse.
    Failed {
        /// Which pulse.
        cause: CauseId,
        /// The port's words.
        text: String,
    },
    /// A contact changed.
    Inputs {
        /// When it was sampled.
        at_ns: Monotonic,
        /// Whether each wired contact is closed, in the wiring's order.
        closed: Vec<bool>,
    },
    /// The answer to `beat`.
    Beat,
    /// A line could not be used, or the guard cannot go on.
    Error {
        /// What and why.
        text: String,
    },
    /// Everything is released and the guard ends.
    Bye,
}

/// A line that is no message.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Longer than [`LINE_MAX`].
    #[error("a line is longer than {LINE_MAX} bytes and was dropped")]
    TooLong,
    /// Not a message of this protocol.
    #[error("not a message of relay guard protocol {PROTOCOL_VERSION}: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    dropping: bool,
}

impl Lines {
    /// Takes `bytes` and returns the messages whose newline has come. Empty lines are no
    /// messages and are passed over.
    pub fn feed<M: DeserializeOwned>(&mut self, bytes: &[u8]) -> Vec<Result<M, LineError>> {
        let mut messages = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            if !self.dropping && self.held.len() + text.len() > LINE_MAX {
                self.dropping = true;
                self.held.clear();
                messages.push(Err(LineError::TooLong));
            }
            if !self.dropping {
                self.held.extend_from_slice(text);
            }
            if ended {
                if !self.dropping && !self.held.trim_ascii().is_empty() {
                    messages.push(serde_json::from_slice(&self.held).map_err(LineError::from));
                }
                self.held.clear();
                self.dropping = false;
            }
        }
        messages
    }
}

/// A message as its line, newline included.
///
/// # Errors
/// When the message cannot be written as JSON, which no value of these types causes.
pub fn line_of<M: Serialize>(message: &M) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn command() -> impl Strategy<Value = Command> {
        prop_oneof![
            Just(Command::Beat),
            Just(Command::Release),
            Just(Command::Bye),
            ("[^\\p{Cc}]{1,30}", any::<u64>()).prop_map(|(cause, ms)| Command::Pulse {
                cause: CauseId::new(cause).unwrap(),
                relay: Relay::Open,
                ms,
            }),
        ]
    }

    #[test]
    fn the_wire_looks_as_documented() {
        let mut lines = Lines::default();
        let read: Vec<Command> = lines
            .feed(b"{\"pulse\":{\"cause\":\"a\",\"ms\":500}}\n\"beat\"\r\n\n\"bye\"\n")
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read.len(), 3);
        assert_eq!(line_of(&Command::Beat).unwrap(), b"\"beat\"\n");
        assert_eq!(read[1], Command::Beat);
    }

    #[test]
    fn a_line_without_end_is_dropped_and_said_once() {
        let mut lines = Lines::default();
        let mut errors = 0;
        for _ in 0..100 {
            errors += lines.feed::<Command>(&[b'x'; 4096]).len();
            assert!(lines.held.len() <= LINE_MAX);
        }
        assert_eq!(errors, 1);
        let after = lines.feed::<Command>(b"xx\n\"beat\"\n");
        assert_eq!(after.len(), 1);
        assert!(after[0].is_ok());
    }

    proptest! {
        /// Any messages survive any cutting of the stream, with garbage lines between them.
        #[test]
        fn messages_survive_any_cut(
            commands in prop::collection::vec(command(), 0..20),
            garbage in "[^\n\"]{1,40}",
            cut in 1usize..50,
        ) {
            let mut stream = Vec::new();
            for command in &commands {
                stream.extend(line_of(command).unwrap());
                stream.extend(format!("x{garbage}\n").bytes());
            }
            let mut lines = Lines::default();
            let mut read = Vec::new();
            let mut errors = 0;
            for part in stream.chunks(cut) {
                for message in lines.feed::<Command>(part) {
                    match message {
                        Ok(command) => read.push(command),
                        Err(_) => errors += 1,
                    }
                }
            }
            prop_assert_eq!(errors, commands.len());
            prop_assert_eq!(read, commands);
        }

        /// No bytes make the reader panic.
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut lines = Lines::default();
            let newlines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(lines.feed::<Command>(&bytes).len() <= newlines);
        }
    }
}
