//! Ed25519 signatures over JSON text, and the keys that make and check them.
//!
//! What is signed is the exact text of a JSON value, behind a line that says what the signature
//! is for, so that a signature given for one purpose is worth nothing for another:
//!
//! ```text
//! {"body": {...}, "key": "<public key>", "sig": "<signature>"}
//!           │                                  │
//!           └─ "menshen command 1\n" + text ───┘
//! ```
//!
//! Keys and signatures are lower-case hexadecimal and nothing else, so that one signed message
//! has one spelling.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A command to a gate.
    Command,
    /// The server's acknowledgement of entries.
    Acknowledgement,
    /// A device's word on an entry of its journal.
    Entry,
    /// A device's word on where its journal ends.
    Head,
    /// A device's answer to a request.
    Response,
    /// A numbered pass.
    Pass,
    /// A device's word on its register.
    Register,
}

impl Purpose {
    const fn line(self) -> &'static str {
        match self {
            Self::Command => "menshen command 1\n",
            Self::Acknowledgement => "menshen acknowledgement 1\n",
            Self::Entry => "menshen entry 1\n",
            Self::Head => "menshen head 1\n",
            Self::Response => "menshen response 1\n",
            Self::Pass => "menshen pass 1\n",
            Self::Register => "menshen register 1\n",
        }
    }

    fn text(self, body: &[u8]) -> Vec<u8> {
        [self.line().as_bytes(), body].concat()
    }
}

/// The text is no key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not as many lower-case hexadecimal digits as belong there.
    #[error("use {0} lower-case hexadecimal digits, as `menshen keys show` prints them")]
    Digits(usize),
    /// The digits are no point of the curve, or one that checks nothing.
    #[error(
        "these digits are no usable Ed25519 public key; copy it again from `menshen keys show`"
    )]
    Point,
}

/// Lower-case hexadecimal of so many bytes.
fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let wrong = KeyError::Digits(2 * N);
    if text.len() != 2 * N {
        return Err(wrong);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let (high, low) = (digit(pair[0]).ok_or(wrong)?, digit(pair[1]).ok_or(wrong)?);
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A key that checks signatures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key's 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether the owner of this key signed this text for this purpose.
    pub fn verifies(&self, purpose: Purpose, text: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0
            .verify_strict(&purpose.text(text), &signature)
            .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&from_hex(text)?).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Point);
        }
        Ok(Self(key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0.as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key that signs. It is never printed but by [`SecretKey::to_hex`].
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key made of 32 bytes, which must come from a good random source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The key as it stands in its file: 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Digits`] if the text is anything else.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Ok(Self::from_bytes(from_hex(text)?))
    }

    /// What [`SecretKey::from_hex`] reads: only for the key's own file.
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in self.0.to_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a text for a purpose.
    pub fn sign(&self, purpose: Purpose, text: &[u8]) -> Signature {
        Signature(self.0.sign(&purpose.text(text)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// A signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Its bytes, as they stand in a message that is no JSON.
    pub const fn to_bytes(self) -> [u8; 64] {
        self.0
    }

    /// The signature of these bytes; whether it fits anything is another question.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A JSON value with the signature over its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The value, as the exact text that was signed.
    pub body: Box<RawValue>,
    /// Who claims to have signed it.
    pub key: PublicKey,
    /// The signature.
    pub sig: Signature,
}

impl Signed {
    /// Signs a value.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn new<T: Serialize>(
        key: &SecretKey,
        purpose: Purpose,
        value: &T,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::value::to_raw_value(value)?;
        let sig = key.sign(purpose, body.get().as_bytes());
        Ok(Self {
            body,
            key: key.public(),
            sig,
        })
    }

    /// Whether its key really signed its body for this purpose. Whether that key may do what
    /// the body says is another question.
    pub fn is_genuine(&self, purpose: Purpose) -> bool {
        self.key
            .verifies(purpose, self.body.get().as_bytes(), &self.sig)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_bytes([seed; 32])
    }

    #[test]
    fn a_signature_is_good_for_its_text_its_key_and_its_purpose_alone() {
        let signature = key(1).sign(Purpose::Command, b"{}");
        assert!(
            key(1)
                .public()
                .verifies(Purpose::Command, b"{}", &signature)
        );
        assert!(
            !key(1)
                .public()
                .verifies(Purpose::Command, b"{ }", &signature)
        );
        assert!(
            !key(1)
                .public()
                .verifies(Purpose::Response, b"{}", &signature)
        );
        assert!(
            !key(2)
                .public()
                .verifies(Purpose::Command, b"{}", &signature)
        );
    }

    #[test]
    fn keys_have_one_spelling_and_weak_ones_are_refused() {
        let text = key(1).public().to_string();
        assert_eq!(text.parse::<PublicKey>().unwrap(), key(1).public());
        assert!(text.to_uppercase().parse::<PublicKey>().is_err());
        assert!(text[1..].parse::<PublicKey>().is_err());
        // The neutral element: everybody's signature would fit it.
        let weak = format!("01{}", "0".repeat(62));
        assert_eq!(weak.parse::<PublicKey>(), Err(KeyError::Point));
        let again = SecretKey::from_hex(&key(7).to_hex()).unwrap();
        assert_eq!(again.public(), key(7).public());
        assert!(!format!("{:?}", key(7)).contains(&key(7).to_hex()));
    }

    proptest! {
        #[test]
        fn no_flipped_bit_goes_unnoticed(seed: u8, at: prop::sample::Index, bit in 0_u8..8) {
            let signed = Signed::new(&key(seed), Purpose::Command, &[1, 2, 3]).unwrap();
            prop_assert!(signed.is_genuine(Purpose::Command));
            let mut bytes = serde_json::to_vec(&signed).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(read) = serde_json::from_slice::<Signed>(&bytes) {
                prop_assert!(!read.is_genuine(Purpose::Command));
            }
        }
    }
}
