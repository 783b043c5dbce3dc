//! The frame around every stored value: layout version, checksum, payload.
//!
//! One byte of layout version, four bytes of checksum (the first of SHA-256 over key, version
//! and payload, so that a record under a wrong key is noticed too), then the payload.

use sha2::{Digest as _, Sha256};

/// The layout that this program writes and the newest it reads.
pub const LAYOUT: u8 = 1;
/// Bytes that the frame adds to a payload.
pub const OVERHEAD: usize = 5;

/// Why a record's payload cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its checksum does not fit: torn or flipped bits.
    Damaged,
    /// A newer program wrote it.
    Newer(u8),
}

fn checksum(key: &[u8], layout: u8, payload: &[u8]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update([layout]);
    hash.update(payload);
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The record for a payload under `key`.
pub fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(OVERHEAD + payload.len());
    record.push(LAYOUT);
    record.extend_from_slice(&checksum(key, LAYOUT, payload));
    record.extend_from_slice(payload);
    record
}

/// The payload of a record that was read from `key`.
///
/// # Errors
/// [`Fault`], if the record is damaged or too new.
pub fn open<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], Fault> {
    let [layout, a, b, c, d, payload @ ..] = record else {
        return Err(Fault::Damaged);
    };
    if checksum(key, *layout, payload) != [*a, *b, *c, *d] {
        return Err(Fault::Damaged);
    }
    if *layout > LAYOUT {
        return Err(Fault::Newer(*layout));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_any_change_shows(
            key in prop::collection::vec(any::<u8>(), 1..9),
            payload in prop::collection::vec(any::<u8>(), 0..40),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
            cut in any::<prop::sample::Index>(),
        ) {
            let record = seal(&key, &payload);
            prop_assert_eq!(open(&key, &record), Ok(&payload[..]));
            let mut changed = record.clone();
            changed[at.index(record.len())] ^= flip;
            prop_assert_eq!(open(&key, &changed), Err(Fault::Damaged));
            prop_assert_eq!(open(&key, &record[..cut.index(record.len())]), Err(Fault::Damaged));
            let mut other = key.clone();
            other[0] ^= flip;
            prop_assert_eq!(open(&other, &record), Err(Fault::Damaged));
        }
    }

    #[test]
    fn a_newer_layout_is_not_taken_for_damage() {
        let mut record = seal(b"k", b"payload");
        record[0] = LAYOUT + 1;
        let sum = checksum(b"k", LAYOUT + 1, b"payload");
        record[1..5].copy_from_slice(&sum);
        assert_eq!(open(b"k", &record), Err(Fault::Newer(LAYOUT + 1)));
    }
}
