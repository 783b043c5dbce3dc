//! What stands in the QR code of a pass.
//!
//! ```text
//! MS1:ABCD…                                     upper-case letters and digits: the QR code's own
//!  │   └─ base32 (RFC 4648, no padding) of       alphanumeric mode, and safe to type
//!  │      ┌──────┬────────┬─────────┬──────┬───────┬─────────┬────────┬───────┬───────────┐
//!  │      │ key  │ number │ edition │ from │ until │ entries │ bearer │ plate │ signature │
//!  │      │ 4    │ 4      │ 2       │ 2    │ 2     │ 2       │ 1      │ 0-24  │ 64 bytes  │
//!  │      └──────┴────────┴─────────┴──────┴───────┴─────────┴────────┴───────┴───────────┘
//!  └─ the layout's version
//! ```
//!
//! Numbers are big-endian, days count from 2020-01-01, no entries means not counted, and the plate is
//! UTF-8 and ends where the signature begins. `key` are the first bytes of the public key: they only
//! say which key to try. One token has one spelling: whatever is not written exactly so is refused
//! before a signature is looked at. Ed25519 is applied to the prefix and all bytes before the
//! signature, behind the purpose's own line ([`Purpose::Pass`]).
//!
//! A vehicle's pass has 90 or 91 bytes, 148 or 150 characters: a QR code of version 6 at level M.

use data_encoding::BASE32_NOPAD;
use jiff::civil::{Date, date};
use jiff::{ToSpan as _, Unit};

use super::{Bearer, PassId, PassNumber};
use crate::plate::PlateNumber;
use crate::signing::{PublicKey, Purpose, SecretKey, Signature};
use crate::verdict::Reason;

/// What every token of this layout begins with.
pub const PREFIX: &str = "MS1:";
/// The longest text that is looked at.
pub const LONGEST: usize = 200;
/// Bytes before the plate.
const HEAD: usize = 17;
const SIGNATURE: usize = 64;
/// The longest plate, in bytes.
const PLATE: usize = 24;
const FIRST_DAY: Date = date(2020, 1, 1);

/// A day as a token writes it, if it can.
pub fn day(date: Date) -> Option<u16> {
    let days = FIRST_DAY.until((Unit::Day, date)).ok()?.get_days();
    u16::try_from(days).ok()
}

fn date_of(day: u16) -> Option<Date> {
    FIRST_DAY.checked_add(i32::from(day).days()).ok()
}

/// The facts of a pass that its paper carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Which pass, and which edition of it.
    pub pass: PassId,
    /// The first day, when it was printed.
    pub from: Date,
    /// The last day, when it was printed.
    pub until: Date,
    /// Entries it was good for in all, when it was printed; none if they were not counted.
    pub entries: Option<u16>,
    /// Whose it was, when it was printed.
    pub bearer: Bearer,
}

/// Why a text is no genuine token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as one: another QR code.
    #[error("this is no pass of this program: its code begins with {PREFIX} / 不是本系统的通行证")]
    Foreign,
    /// It is not written as a token is.
    #[error(
        "the code is damaged, altered or read wrongly; read it again / 二维码损坏、被改动或未读清"
    )]
    Malformed,
    /// It names a key that is not enrolled.
    #[error("the pass was signed by a key that is not enrolled here / 签名密钥未登记")]
    UnknownKey,
    /// The signature does not fit what it says.
    #[error("the pass was altered: its signature does not fit / 通行证被改动，签名不符")]
    Altered,
}

impl TokenError {
    /// The reason code.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Foreign | Self::UnknownKey => Reason::PassForged,
            Self::Malformed | Self::Altered => Reason::PassAltered,
        }
    }
}

impl Token {
    fn payload(&self, key: &PublicKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + PLATE + SIGNATURE);
        bytes.extend_from_slice(&key.to_bytes()[..4]);
        bytes.extend_from_slice(&self.pass.number.get().to_be_bytes());
        bytes.extend_from_slice(&self.pass.edition.to_be_bytes());
        for date in [self.from, self.until] {
            bytes.extend_from_slice(&day(date).unwrap_or(0).to_be_bytes());
        }
        bytes.extend_from_slice(&self.entries.unwrap_or(0).to_be_bytes());
        let (bearer, plate) = match &self.bearer {
            Bearer::Blank => (0, ""),
            Bearer::Vehicle(plate) => (1, plate.as_str()),
            Bearer::Foot => (2, ""),
            Bearer::Supplier => (3, ""),
        };
        bytes.push(bearer);
        bytes.extend_from_slice(plate.as_bytes());
        bytes
    }

    /// The text of the QR code.
    pub fn sign(&self, key: &SecretKey) -> String {
        let mut bytes = self.payload(&key.public());
        let signature = key.sign(Purpose::Pass, &signed_text(&bytes));
        bytes.extend_from_slice(&signature.to_bytes());
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes))
    }

    /// What the text says, if one of these keys has signed exactly that.
    ///
    /// # Errors
    /// [`TokenError`] says why it is not genuine.
    pub fn verify(text: &str, keys: &[PublicKey]) -> Result<Self, TokenError> {
        let digits = text.strip_prefix(PREFIX).ok_or(TokenError::Foreign)?;
        if text.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        // It refuses small letters and bits left over: one token, one spelling.
        let bytes = BASE32_NOPAD
            .decode(digits.as_bytes())
            .map_err(|_| TokenError::Malformed)?;
        let split = bytes.len().checked_sub(SIGNATURE);
        let (payload, signature) = bytes.split_at(split.ok_or(TokenError::Malformed)?);
        let token = Self::parse(payload).ok_or(TokenError::Malformed)?;
        let signature: [u8; SIGNATURE] = signature.try_into().map_err(|_| TokenError::Malformed)?;
        let signature = Signature::from_bytes(signature);
        let mut named = keys
            .iter()
            .filter(|key| payload.starts_with(&key.to_bytes()[..4]))
            .peekable();
        if named.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let text = signed_text(payload);
        if named.any(|key| key.verifies(Purpose::Pass, &text, &signature)) {
            Ok(token)
        } else {
            Err(TokenError::Altered)
        }
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = payload.first_chunk()?;
        let two = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let number = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let pass = PassId {
            number: PassNumber::new(number).ok()?,
            edition: two(8),
        };
        let plate = payload.get(HEAD..).filter(|p| p.len() <= PLATE)?;
        let bearer = match (head[16], plate) {
            (0, []) => Bearer::Blank,
            (1, plate) => Bearer::Vehicle(std::str::from_utf8(plate).ok()?.parse().ok()?),
            (2, []) => Bearer::Foot,
            (3, []) => Bearer::Supplier,
            _ => return None,
        };
        let canonical = bearer.plate().map_or("", PlateNumber::as_str);
        let token = Self {
            pass,
            from: date_of(two(10))?,
            until: date_of(two(12))?,
            entries: Some(two(14)).filter(|&n| n > 0),
            bearer: bearer.clone(),
        };
        let whole = pass.edition > 0 && token.from <= token.until && canonical.as_bytes() == plate;
        whole.then_some(token)
    }
}

/// The prefix is signed too, so that no other layout can ever be taken for this one.
fn signed_text(payload: &[u8]) -> Vec<u8> {
    [PREFIX.as_bytes(), payload].concat()
}
