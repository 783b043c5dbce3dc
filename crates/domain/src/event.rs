//! What the journal holds.
//!
//! An [`Event`] says what happened. Sealed with its sequence number, its time and the SHA-256
//! of the entry before it, it becomes an [`Entry`], whose stored bytes are the record of truth:
//! nobody can change, drop or insert one without breaking the [`Chain`]. What delivery adds
//! (late, attempt) stands outside these bytes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::command::{CommandKind, Refusal, Transaction};
use crate::names::Name;
use crate::pass::PassId;
use crate::passage::{PassageId, PassageRecord};
use crate::plate::PlateNumber;
use crate::sync::{Edition, RegisterVersion};
use crate::verdict::{Reason, Verdict};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The program started.
    Started {
        /// Its version.
        version: String,
    },
    /// The program ended in good order.
    Stopped,
    /// A verdict was given; the passage is still going on.
    Verdict {
        /// The passage.
        passage: PassageId,
        /// The lane.
        lane: Name,
        /// The verdict with its evidence.
        verdict: Box<Verdict>,
        /// Whether the lane only watches.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shadow: bool,
    },
    /// A passage ended.
    Passage(Box<PassageRecord>),
    /// A person answered for a passage.
    GuardAnswered {
        /// The passage.
        passage: PassageId,
        /// The lane.
        lane: Name,
        /// Whether the vehicle may pass.
        admit: bool,
        /// Who or what answered: "button" or the name given with the command.
        by: String,
    },
    /// An opening of a barrier began: the relay was energised.
    Opened {
        /// The barrier.
        barrier: Name,
        /// The one cause: a passage's id, or "guard-…", "fire-…".
        cause: String,
    },
    /// An opening was asked for and not done.
    OpeningRefused {
        /// The barrier.
        barrier: Name,
        /// The cause that asked.
        cause: String,
        /// Why not.
        why: String,
    },
    /// A boom is held open from now on.
    HoldStarted {
        /// The barrier.
        barrier: Name,
        /// The one cause: "command-…" of the signed command.
        cause: String,
    },
    /// A boom is held open no longer.
    HoldEnded {
        /// The barrier.
        barrier: Name,
        /// Whether the longest time that is allowed was over; otherwise it was released, or STOP,
        /// a fault or the loss of the relay guard ended it.
        capped: bool,
    },
    /// A barrier changed its state.
    Barrier {
        /// The barrier.
        barrier: Name,
        /// Its state, a word of the glossary.
        state: String,
    },
    /// A camera came, went, froze or moved again.
    Camera {
        /// The lane.
        lane: Name,
        /// "online", "offline" or "frozen".
        state: String,
        /// What is known of the cause.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// The register of vehicles was changed.
    Registry {
        /// What was done.
        change: RegistryChange,
        /// Who did it.
        by: String,
        /// The registry's version afterwards.
        version: u64,
        /// Why, in the words of who did it; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// A person looked: a vehicle that the gate thought inside is not there.
    MarkedOutside {
        /// Its plate.
        plate: PlateNumber,
        /// The passage by which it had entered.
        entered_by: PassageId,
        /// Who looked.
        by: String,
        /// Why, in their words; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// A person looked at a numbered pass and let its bearer in: on foot, or by hand. An entry of
    /// it is used.
    PassUsed {
        /// The pass.
        pass: PassId,
        /// The plate of the vehicle, if it came with one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plate: Option<PlateNumber>,
        /// Who looked.
        by: String,
    },
    /// Somebody held a numbered pass up to the camera. What it is worth is written down when it is
    /// first shown, and again once a minute at most.
    PassShown {
        /// The lane.
        lane: Name,
        /// The pass; none if the paper is not genuine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pass: Option<PassId>,
        /// [`Reason::Pass`] if it holds, else why not.
        reason: Reason,
    },
    /// Something needs a person.
    Alarm {
        /// A short code.
        code: String,
        /// What happened and what to do.
        message: String,
    },
    /// A signed command was judged sound and handed to the gate.
    Command {
        /// Its transaction; the opening it led to has the cause `command-<challenge>`.
        transaction: Transaction,
        /// What was asked.
        command: CommandKind,
        /// The lane, if it is for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lane: Option<Name>,
        /// Whose key signed it.
        by: Name,
        /// Whether it was done.
        done: bool,
        /// What was done, or why not.
        message: String,
    },
    /// Something that came from the broker was refused. The first of its sort is written down
    /// at once, the same sort again once a minute at most, with its number.
    MessageRefused {
        /// The topic below the device's own: `request/open`, `ack`.
        topic: String,
        /// Why.
        reason: Refusal,
        /// How many since the last entry of this sort.
        count: u64,
        /// Whose key had signed it, where a genuine signature says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Name>,
    },
    /// Events were dropped because the disk budget was used up; nothing is dropped silently.
    Gap {
        /// The first sequence number that is gone.
        from: u64,
        /// The last one.
        to: u64,
        /// Why.
        why: String,
    },
}

/// A change of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum RegistryChange {
    /// One vehicle was added or its row replaced.
    Added {
        /// Its plate.
        plate: PlateNumber,
        /// Whether a row was there before.
        replaced: bool,
        /// What of the row was there before and is otherwise now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Value>,
        /// What of the row is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Value>,
    },
    /// One vehicle was removed.
    Removed {
        /// Its plate.
        plate: PlateNumber,
        /// Its row.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Value>,
    },
    /// Records of other kinds, or several at once, were changed in one transaction.
    Changed {
        /// Each of them.
        records: Vec<RecordChange>,
    },
    /// Many passes were issued at once.
    Issued {
        /// How many.
        passes: u64,
        /// SHA-256 of their records' text, in the order of their numbers, a line each: what the
        /// list was can be shown later, and the entry stays small.
        digest: Digest,
        /// The first of them.
        records: Vec<RecordChange>,
    },
    /// A whole list took the register's place.
    Imported {
        /// Vehicles afterwards.
        vehicles: u64,
        /// Vehicles before.
        before: u64,
        /// What came in, changed and went; absent in entries of older programs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<RowCounts>,
        /// The first of the rows that differ, and households that came in with them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<RecordChange>,
    },
    /// The server's register, or what had changed in it, was taken over.
    Synced {
        /// The server's register now.
        server: Edition,
        /// Its version that this was a difference from; none if all of it came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<RegisterVersion>,
        /// Vehicles afterwards.
        vehicles: u64,
        /// Vehicles before.
        before: u64,
        /// Records of all kinds in force that came, changed, went.
        rows: RowCounts,
        /// The first of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<RecordChange>,
        /// Records that were changed both here and by the server, and wait for a person.
        contested: u64,
    },
    /// A person decided about records that were changed both here and by the server.
    Settled {
        /// Whether what was changed here stays; else the server's is in force.
        kept: bool,
        /// How many were decided.
        count: u64,
        /// What became of the first of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<RecordChange>,
    },
}

/// How a list differed from the register that it replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows that are new.
    pub added: u64,
    /// Rows that are otherwise than before.
    pub changed: u64,
    /// Rows that are gone.
    pub removed: u64,
}

/// What became of one record of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChange {
    /// The kind: `vehicle`, `household`, `space`, `schedule`, `visit`, `block`, `closure`,
    /// `pass`, `rules`.
    pub record: String,
    /// What it is found by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What of it was there before and is otherwise now; none if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What of it is new; none if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Event {
    /// The event's type as in the journal and on MQTT.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopped => "stopped",
            Self::Verdict { .. } => "verdict",
            Self::Passage(_) => "passage",
            Self::GuardAnswered { .. } => "guard-answered",
            Self::Opened { .. } => "opened",
            Self::OpeningRefused { .. } => "opening-refused",
            Self::HoldStarted { .. } => "hold-started",
            Self::HoldEnded { .. } => "hold-ended",
            Self::Barrier { .. } => "barrier",
            Self::Camera { .. } => "camera",
            Self::Registry { .. } => "registry",
            Self::MarkedOutside { .. } => "marked-outside",
            Self::PassUsed { .. } => "pass-used",
            Self::PassShown { .. } => "pass-shown",
            Self::Alarm { .. } => "alarm",
            Self::Command { .. } => "command",
            Self::MessageRefused { .. } => "message-refused",
            Self::Gap { .. } => "gap",
        }
    }

    /// The lane it belongs to, if it belongs to one.
    pub fn lane(&self) -> Option<&Name> {
        match self {
            Self::Verdict { lane, .. }
            | Self::GuardAnswered { lane, .. }
            | Self::PassShown { lane, .. }
            | Self::Camera { lane, .. } => Some(lane),
            Self::Passage(record) => Some(&record.lane),
            Self::Command { lane, .. } => lane.as_ref(),
            _ => None,
        }
    }
}

/// A SHA-256 digest, hexadecimal in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What stands before the first entry.
    pub const START: Self = Self([0; 32]);

    /// The digest of stored bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let error = || serde::de::Error::custom("a digest is 64 lower-case hexadecimal digits");
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(digit) {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| error())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

/// One sealed line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this layout.
    pub v: u32,
    /// Contiguous for a device, from 1.
    pub seq: u64,
    /// UUIDv7; receivers recognise duplicates by it.
    pub id: Uuid,
    /// When, by the wall clock.
    pub time: Timestamp,
    /// Whether the wall clock was trusted then.
    pub clock_trusted: bool,
    /// SHA-256 of the previous entry's stored bytes; zeros before the first.
    pub prev: Digest,
    /// What happened.
    pub event: Event,
}

/// The layout that this program writes.
pub const ENTRY_VERSION: u32 = 1;

/// The end of a journal: what the next entry is chained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The last entry's sequence number; 0 before the first.
    pub seq: u64,
    /// SHA-256 of the last entry's stored bytes.
    pub head: Digest,
}

/// Where and how a chain is broken.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The bytes are no entry.
    #[error("the entry after sequence number {after} cannot be read: {source}")]
    Unreadable {
        /// The last good sequence number.
        after: u64,
        /// What the JSON parser says.
        source: serde_json::Error,
    },
    /// A number is missing or stands twice.
    #[error(
        "after sequence number {after} comes {found}: entries are missing, doubled or inserted"
    )]
    Sequence {
        /// The last good sequence number.
        after: u64,
        /// What came instead of its successor.
        found: u64,
    },
    /// The entry before was changed.
    #[error("entry {seq} does not continue entry {}: one of them was changed", seq - 1)]
    Broken {
        /// The entry whose `prev` does not fit.
        seq: u64,
    },
}

impl Chain {
    /// Before the first entry.
    pub const EMPTY: Self = Self {
        seq: 0,
        head: Digest::START,
    };

    /// Seals an event as the next entry: its stored bytes and the chain's new end.
    ///
    /// # Errors
    /// If the event cannot be written as JSON, which no event that can be built here is.
    pub fn seal(
        self,
        id: Uuid,
        time: Timestamp,
        clock_trusted: bool,
        event: Event,
    ) -> Result<(Entry, Vec<u8>, Self), serde_json::Error> {
        let entry = Entry {
            v: ENTRY_VERSION,
            seq: self.seq + 1,
            id,
            time,
            clock_trusted,
            prev: self.head,
            event,
        };
        let bytes = serde_json::to_vec(&entry)?;
        let next = Self {
            seq: entry.seq,
            head: Digest::of(&bytes),
        };
        Ok((entry, bytes, next))
    }

    /// Checks that stored bytes are the next entry, and moves on to it.
    ///
    /// # Errors
    /// [`ChainError`] says where and how the chain is broken.
    pub fn check(&mut self, bytes: &[u8]) -> Result<Entry, ChainError> {
        let entry: Entry =
            serde_json::from_slice(bytes).map_err(|source| ChainError::Unreadable {
                after: self.seq,
                source,
            })?;
        if entry.seq != self.seq + 1 {
            return Err(ChainError::Sequence {
                after: self.seq,
                found: entry.seq,
            });
        }
        if entry.prev != self.head {
            return Err(ChainError::Broken { seq: entry.seq });
        }
        *self = Self {
            seq: entry.seq,
            head: Digest::of(bytes),
        };
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn journal(n: u64) -> Vec<Vec<u8>> {
        let mut chain = Chain::EMPTY;
        (0..n)
            .map(|i| {
                let (_, bytes, next) = chain
                    .seal(
                        Uuid::from_u128(u128::from(i)),
                        Timestamp::UNIX_EPOCH,
                        true,
                        Event::Stopped,
                    )
                    .unwrap();
                chain = next;
                bytes
            })
            .collect()
    }

    fn verify(journal: &[Vec<u8>]) -> Result<(), ChainError> {
        let mut chain = Chain::EMPTY;
        journal
            .iter()
            .try_for_each(|bytes| chain.check(bytes).map(|_| ()))
    }

    /// Entries as the first version wrote them are read, and say the same when written again.
    #[test]
    fn entries_of_the_first_version_are_read_as_they_were() {
        for event in [
            r#"{"type":"registry","change":{"change":"added","plate":"苏E12345","replaced":false},"by":"王","version":1}"#,
            r#"{"type":"registry","change":{"change":"removed","plate":"苏E12345"},"by":"王","version":2}"#,
            r#"{"type":"registry","change":{"change":"imported","vehicles":637,"before":0},"by":"王","version":3}"#,
            r#"{"type":"verdict","passage":"01a20d9f-9e2a-71a3-9c26-ec172b4045db","lane":"entry","verdict":{"decision":"admit","reason":"registered","plate":"苏E12345","evidence":{"registered":{"plate":"苏E12345","score":-20},"readings":3,"matrix":"00ff","registry_version":3}}}"#,
        ] {
            let read: Event = serde_json::from_str(event).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), event);
        }
    }

    #[test]
    fn an_honest_chain_verifies_and_every_forgery_shows() {
        let good = journal(5);
        verify(&good).unwrap();
        let mut dropped = good.clone();
        dropped.remove(2);
        assert!(matches!(
            verify(&dropped),
            Err(ChainError::Sequence { after: 2, found: 4 })
        ));
        let mut swapped = good.clone();
        swapped.swap(1, 2);
        assert!(verify(&swapped).is_err());
        let mut changed = good.clone();
        let text = String::from_utf8(changed[2].clone())
            .unwrap()
            .replace("true", "false");
        changed[2] = text.into_bytes();
        assert!(matches!(
            verify(&changed),
            Err(ChainError::Broken { seq: 4 })
        ));
        let mut garbage = good;
        garbage[1].truncate(10);
        assert!(matches!(
            verify(&garbage),
            Err(ChainError::Unreadable { after: 1, .. })
        ));
    }
}
