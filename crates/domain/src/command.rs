//! What a gate can be told from afar, who may tell it, and how that is written.
//!
//! A command is the body of a [`Signed`](crate::signing::Signed) message: an [`Order`] over a
//! challenge that the gate itself gave out a moment before. Who may sign what stands in the
//! gate's [`KeyRing`]. The rules of judging one (single use, fresh, its own lane) are the
//! bridge's; here is the vocabulary, shared with whoever signs.
//!
//! Invariant: there is no command that closes a boom. [`Command`] cannot express one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::Name;
use crate::passage::PassageId;
use crate::plate::PlateNumber;
use crate::signing::PublicKey;
use crate::sync::Manifest;

/// What a gate is told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Open a lane's boom once: for the vehicle that waits for an answer, if one does.
    Open {
        /// The lane.
        lane: Name,
    },
    /// Keep a lane's boom open until it is released.
    Hold {
        /// The lane.
        lane: Name,
    },
    /// End a hold. The barrier's own controller then does what it does after any opening.
    Release {
        /// The lane.
        lane: Name,
    },
    /// Refuse the vehicle that waits for an answer.
    Refuse {
        /// The lane.
        lane: Name,
        /// The passage; the one that waits, if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passage: Option<PassageId>,
    },
    /// Read again what can be read again while the gate runs.
    Reload,
    /// Change one row of the register.
    RegistryChange {
        /// What.
        change: RowChange,
    },
    /// Take over the server's register, or what has changed in it.
    RegistrySync {
        /// What is coming; the rows follow on pages.
        manifest: Box<Manifest>,
    },
}

impl Command {
    /// Its name, in topics and in the journal.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Open { .. } => CommandKind::Open,
            Self::Hold { .. } => CommandKind::Hold,
            Self::Release { .. } => CommandKind::Release,
            Self::Refuse { .. } => CommandKind::Refuse,
            Self::Reload => CommandKind::Reload,
            Self::RegistryChange { .. } => CommandKind::RegistryChange,
            Self::RegistrySync { .. } => CommandKind::RegistrySync,
        }
    }

    /// The lane it is for; `None` if it is for the whole gate.
    pub const fn lane(&self) -> Option<&Name> {
        match self {
            Self::Open { lane }
            | Self::Hold { lane }
            | Self::Release { lane }
            | Self::Refuse { lane, .. } => Some(lane),
            Self::Reload | Self::RegistryChange { .. } | Self::RegistrySync { .. } => None,
        }
    }
}

/// The names of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandKind {
    /// See [`Command::Open`].
    Open,
    /// See [`Command::Hold`].
    Hold,
    /// See [`Command::Release`].
    Release,
    /// See [`Command::Refuse`].
    Refuse,
    /// See [`Command::Reload`].
    Reload,
    /// See [`Command::RegistryChange`].
    RegistryChange,
    /// See [`Command::RegistrySync`].
    RegistrySync,
}

impl CommandKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Hold,
        Self::Release,
        Self::Refuse,
        Self::Reload,
        Self::RegistryChange,
        Self::RegistrySync,
    ];

    /// As in topics and in the journal.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Refuse => "refuse",
            Self::Reload => "reload",
            Self::RegistryChange => "registry-change",
            Self::RegistrySync => "registry-sync",
        }
    }

    /// Who may sign it.
    pub const fn role(self) -> Role {
        match self {
            Self::Open | Self::Hold | Self::Release | Self::Refuse => Role::Guard,
            Self::Reload => Role::Technician,
            Self::RegistryChange | Self::RegistrySync => Role::Registrar,
        }
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A change of one row of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RowChange {
    /// Put a row in, in the place of any with the same plate.
    Add {
        /// The row.
        row: Box<Row>,
    },
    /// Take a row out.
    Remove {
        /// Its plate.
        plate: PlateNumber,
    },
}

/// A row of the register as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The plate.
    pub plate: PlateNumber,
    /// Whose car it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// The building.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub building: String,
    /// The unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// The last day it may enter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<jiff::civil::Date>,
}

/// Names one question and its answer; chosen by who asks. 1 to 64 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Transaction(String);

/// A text is no [`Transaction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transaction is 1 to 64 printable ASCII characters without spaces, for example a UUID")]
pub struct TransactionError;

impl Transaction {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Transaction {
    type Err = TransactionError;

    fn from_str(text: &str) -> Result<Self, TransactionError> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if (1..=64).contains(&text.len()) && printable {
            Ok(Self(text.to_owned()))
        } else {
            Err(TransactionError)
        }
    }
}

impl TryFrom<String> for Transaction {
    type Error = TransactionError;

    fn try_from(text: String) -> Result<Self, TransactionError> {
        text.parse()
    }
}

impl From<Transaction> for String {
    fn from(transaction: Transaction) -> Self {
        transaction.0
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A site and a device of it, written `site/device`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName {
    /// The compound.
    pub site: Name,
    /// The device within it.
    pub device: Name,
}

/// A text is no [`DeviceName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceNameError {
    /// There is no slash, or more than one.
    #[error("{0:?} is no device; write site/device, for example \"east-garden/gate\"")]
    Form(String),
    /// One half is no name.
    #[error(transparent)]
    Name(#[from] crate::names::NameError),
}

impl FromStr for DeviceName {
    type Err = DeviceNameError;

    fn from_str(text: &str) -> Result<Self, DeviceNameError> {
        let (site, device) = text
            .split_once('/')
            .ok_or_else(|| DeviceNameError::Form(text.to_owned()))?;
        Ok(Self {
            site: site.parse()?,
            device: device.parse()?,
        })
    }
}

impl TryFrom<String> for DeviceName {
    type Error = DeviceNameError;

    fn try_from(text: String) -> Result<Self, DeviceNameError> {
        text.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.site, self.device)
    }
}

/// What a signer signs: one command, for one gate, over one challenge of that gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The gate.
    pub device: DeviceName,
    /// The challenge, as the gate gave it out.
    pub challenge: Challenge,
    /// Names the answer.
    pub transaction: Transaction,
    /// What to do.
    pub command: Command,
}

/// A challenge: opaque to everybody but the gate that gave it out. 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Challenge(pub crate::event::Digest);

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why something that came over the network was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The broker kept it for whoever subscribes: it may be any age.
    Retained,
    /// It is larger than anything that belongs here.
    TooLarge,
    /// It is not what belongs on this topic.
    Unreadable,
    /// It names another command than its topic.
    WrongTopic,
    /// It is for another gate.
    WrongDevice,
    /// No lane of that name is here, its challenge was given out for another one, or its
    /// signer has no say over it.
    WrongLane,
    /// The key is not enrolled here.
    UnknownKey,
    /// The key was revoked.
    Revoked,
    /// The key may not do this.
    WrongRole,
    /// The signature does not fit.
    Forged,
    /// This gate did not give out the challenge, or has been started again since.
    UnknownChallenge,
    /// The challenge has died of age.
    Late,
    /// The challenge was used already.
    Replayed,
    /// It says less than what is known.
    Stale,
    /// It speaks of entries that were never sent.
    OutOfRange,
    /// It speaks of an entry with other bytes than those that were sent.
    WrongChain,
    /// It is a difference from another register than the one here.
    OtherBase,
    /// There were too many to look at them all.
    Flood,
    /// The gate cannot do that yet.
    NotSupported,
    /// The gate could not do it now.
    NotPossible,
}

impl Refusal {
    /// As on the wire and in the journal.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::TooLarge => "too-large",
            Self::Unreadable => "unreadable",
            Self::WrongTopic => "wrong-topic",
            Self::WrongDevice => "wrong-device",
            Self::WrongLane => "wrong-lane",
            Self::UnknownKey => "unknown-key",
            Self::Revoked => "revoked",
            Self::WrongRole => "wrong-role",
            Self::Forged => "forged",
            Self::UnknownChallenge => "unknown-challenge",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Stale => "stale",
            Self::OutOfRange => "out-of-range",
            Self::WrongChain => "wrong-chain",
            Self::OtherBase => "other-base",
            Self::Flood => "flood",
            Self::NotSupported => "not-supported",
            Self::NotPossible => "not-possible",
        }
    }

    /// For people, in English and Chinese, with what to do.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Retained => {
                "it was retained by the broker; publish commands without the retain flag / 保留消息不执行"
            }
            Self::TooLarge => "it is too large / 消息过大",
            Self::Unreadable => {
                "it is not what belongs on this topic; compare docs/asyncapi.yaml / 无法识别"
            }
            Self::WrongTopic => "it names another command than its topic / 命令与主题不符",
            Self::WrongDevice => "it is for another gate / 不是发给本机的",
            Self::WrongLane => {
                "no such lane here, the challenge is for another lane, or the key has no say over it / 车道不符"
            }
            Self::UnknownKey => "the key is not enrolled on this gate / 密钥未登记",
            Self::Revoked => "the key was revoked / 密钥已吊销",
            Self::WrongRole => "the key may not do this / 密钥没有这个权限",
            Self::Forged => "the signature does not fit / 签名不符",
            Self::UnknownChallenge => {
                "this gate gave out no such challenge; ask for a new one / 没有发过这个挑战码"
            }
            Self::Late => "the challenge is older than 30 s; ask for a new one / 挑战码已过期",
            Self::Replayed => "the challenge was used already; ask for a new one / 挑战码已用过",
            Self::Stale => "it says less than what is known / 内容已过时",
            Self::OutOfRange => "it speaks of entries that were never sent / 超出范围",
            Self::WrongChain => "it speaks of other bytes than those that were sent / 与记录不符",
            Self::OtherBase => {
                "it is a difference from another register than the one here; send the whole register / 增量起点不符"
            }
            Self::Flood => "too many messages; try again / 消息过多",
            Self::NotSupported => "not supported yet / 暂不支持",
            Self::NotPossible => "not possible now / 现在无法执行",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Open, hold, release, refuse.
    Guard,
    /// Reload.
    Technician,
    /// Change the register.
    Registrar,
    /// Acknowledge entries: the committee's server.
    Server,
}

/// A key that is enrolled on a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Whose it is, for the record.
    pub name: Name,
    /// The key.
    pub public: PublicKey,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The lanes it has a say over; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<Name>,
    /// Whether it was revoked. A revoked key stays in the list, so that its use is told apart
    /// from a stranger's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

/// The keys that are enrolled on a gate. To rotate a key, enrol the new one under a name of its
/// own, and revoke the old one once the new one is in use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRing {
    #[serde(default, rename = "key")]
    keys: Vec<Enrolled>,
}

/// What is wrong with a list of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// Two keys have one name.
    #[error("two keys are called {0}; give each a name of its own, for example {0}-2")]
    Name(Name),
    /// One key stands twice.
    #[error("the key of {1} stands there as {0} as well; write each key once")]
    Key(Name, Name),
    /// A key that may do nothing.
    #[error("the key {0} has no role; give it roles, or remove it, or write revoked = true")]
    NoRole(Name),
}

impl KeyRing {
    /// Takes a list of keys.
    ///
    /// # Errors
    /// [`KeyRingError`] if names or keys repeat, or a key has no role.
    pub fn new(keys: Vec<Enrolled>) -> Result<Self, KeyRingError> {
        let ring = Self { keys };
        ring.check()?;
        Ok(ring)
    }

    /// Checks a list that was read from a file.
    ///
    /// # Errors
    /// [`KeyRingError`] if names or keys repeat, or a key has no role.
    pub fn check(&self) -> Result<(), KeyRingError> {
        for (i, key) in self.keys.iter().enumerate() {
            for other in &self.keys[..i] {
                if other.name == key.name {
                    return Err(KeyRingError::Name(key.name.clone()));
                }
                if other.public == key.public {
                    return Err(KeyRingError::Key(other.name.clone(), key.name.clone()));
                }
            }
            if key.roles.is_empty() && !key.revoked {
                return Err(KeyRingError::NoRole(key.name.clone()));
            }
        }
        Ok(())
    }

    /// The enrolment of a key.
    pub fn find(&self, key: &PublicKey) -> Option<&Enrolled> {
        self.keys.iter().find(|enrolled| enrolled.public == *key)
    }

    /// All of them, in their order.
    pub fn keys(&self) -> &[Enrolled] {
        &self.keys
    }

    /// Whether a server's key is named, revoked or not: then what the server has not
    /// acknowledged is not delivered.
    pub fn names_a_server(&self) -> bool {
        self.keys
            .iter()
            .any(|key| key.roles.contains(&Role::Server))
    }
}

/// The server's word that it holds entries: the body of a signed `ack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// Whose journal.
    pub device: DeviceName,
    /// Everything up to here is stored, or declared lost by a gap entry.
    pub upto: u64,
    /// SHA-256 of entry `upto`, so that this is about these very bytes.
    pub chain: crate::event::Digest,
    /// The greatest number that is stored.
    pub received: u64,
    /// Where the stored entries go on after the first hole; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<u64>,
}

/// Which bytes a device wrote under which number: what it signs of every entry that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryMark<'a> {
    /// Whose journal.
    pub device: &'a DeviceName,
    /// The number.
    pub seq: u64,
    /// SHA-256 of the bytes.
    pub hash: crate::event::Digest,
    /// Whether the device cannot send the bytes themselves. Only it may say so: otherwise
    /// somebody on the way could take an entry's content out and have the rest acknowledged.
    pub withheld: bool,
}

impl EntryMark<'_> {
    /// The text that is signed: `site/device seq hash`, and ` withheld` if it is.
    pub fn text(&self) -> String {
        let withheld = if self.withheld { " withheld" } else { "" };
        format!("{} {} {}{withheld}", self.device, self.seq, self.hash)
    }
}

/// A device's word on how far its journal goes: the body of a signed `head`. Of two, the later
/// one has the greater `(seq, beat)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whose journal.
    pub device: DeviceName,
    /// Its last number.
    pub seq: u64,
    /// Everything up to here was acknowledged to the device, and it does not send it again.
    pub acked: u64,
    /// Everything up to here is acknowledged or was dropped to make room: it will not come any
    /// more. Never less than `acked`.
    pub gone: u64,
    /// Counts the heads since the program started; a start is itself an entry.
    pub beat: u64,
}

/// The body of a signed response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Who answers.
    pub device: DeviceName,
    /// What was asked.
    pub transaction: Transaction,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What a gate answers to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// A challenge to sign.
    Challenge {
        /// The challenge.
        challenge: Challenge,
        /// How long it lives.
        seconds: u64,
    },
    /// A register is being taken over; a second answer says what came of it.
    Taking {
        /// Pages that are missing, first and last, or the first hundred ranges of them.
        missing: Vec<(u32, u32)>,
    },
    /// It was done.
    Done {
        /// What was done, in words.
        message: String,
    },
    /// It was not done.
    Refused {
        /// Why, as a code.
        reason: Refusal,
        /// Why, in words.
        message: String,
    },
}

/// A request for a challenge: the payload of `request/challenge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Names the answer.
    pub transaction: Transaction,
    /// The lane that the command will be for; absent for the whole gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Name>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::signing::SecretKey;

    fn enrolled(name: &str, seed: u8, roles: Vec<Role>) -> Enrolled {
        Enrolled {
            name: name.parse().unwrap(),
            public: SecretKey::from_bytes([seed; 32]).public(),
            roles,
            lanes: Vec::new(),
            revoked: false,
        }
    }

    #[test]
    fn a_ring_names_each_key_once() {
        let a = enrolled("a", 1, vec![Role::Guard]);
        assert!(KeyRing::new(vec![a.clone(), enrolled("b", 2, vec![Role::Server])]).is_ok());
        assert!(matches!(
            KeyRing::new(vec![a.clone(), enrolled("a", 2, vec![Role::Guard])]),
            Err(KeyRingError::Name(_))
        ));
        assert!(matches!(
            KeyRing::new(vec![a, enrolled("b", 1, vec![Role::Guard])]),
            Err(KeyRingError::Key(..))
        ));
        assert!(matches!(
            KeyRing::new(vec![enrolled("a", 1, Vec::new())]),
            Err(KeyRingError::NoRole(_))
        ));
    }

    #[test]
    fn commands_are_read_strictly_and_none_closes() {
        let read = |text: &str| serde_json::from_str::<Command>(text);
        assert!(read(r#"{"do":"open","lane":"in"}"#).is_ok());
        for bad in [
            r#"{"do":"close","lane":"in"}"#,
            r#"{"do":"open"}"#,
            r#"{"do":"open","lane":"in","lane":"out"}"#,
            r#"{"do":"open","lane":"in","force":true}"#,
            r#"{"do":"open","do":"hold","lane":"in"}"#,
            r#"{"lane":"in"}"#,
            r#""open""#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        for kind in CommandKind::ALL {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.word());
            assert_ne!(kind.word(), "close");
        }
    }

    #[test]
    fn a_device_is_a_site_and_a_name() {
        let name: DeviceName = "garden/east".parse().unwrap();
        assert_eq!(name.to_string(), "garden/east");
        for bad in ["garden", "garden/", "/east", "a/b/c", "a/B"] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad}");
        }
    }
}
