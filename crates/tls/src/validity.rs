//! Until when a certificate holds, from its own bytes.
//!
//! Of X.509 (RFC 5280) only the way to the two times is walked; everything else of a certificate
//! is rustls's to judge. Certificates come from this machine's own files, yet no bytes make this
//! panic: what is not as expected has no validity.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// From when until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: Timestamp,
    /// The last second.
    pub until: Timestamp,
}

/// Where a certificate stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds, and for longer than was asked.
    Holds,
    /// It holds, and ends within what was asked.
    EndsSoon,
    /// It has ended.
    Ended,
    /// It has not begun.
    NotYet,
}

impl Validity {
    /// Of a certificate in DER; `None` if it is none.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (whole, _) = element(certificate, SEQUENCE)?;
        let (mut signed, _) = element(whole, SEQUENCE)?;
        if let Some((_, rest)) = element(signed, VERSION) {
            signed = rest;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            // Serial number, algorithm of the signature, issuer.
            (_, signed) = element(signed, tag)?;
        }
        let (times, _) = element(signed, SEQUENCE)?;
        let (from, rest) = time(times)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }

    /// Where it stands `now`; `soon` is how much time makes its end worth saying.
    pub fn standing(&self, now: Timestamp, soon: jiff::SignedDuration) -> Standing {
        if now > self.until {
            Standing::Ended
        } else if now < self.from {
            Standing::NotYet
        } else if self.until.duration_since(now) < soon {
            Standing::EndsSoon
        } else {
            Standing::Holds
        }
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, `[0]` around an integer; version 1 leaves it out.
const VERSION: u8 = 0xA0;

/// The content of the element that `bytes` begin with, and what follows it; `None` if it has
/// another tag or is cut short.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // No certificate needs more than four bytes for a length.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = digits
                .iter()
                .fold(0_u64, |length, digit| length << 8 | u64::from(*digit));
            (usize::try_from(length).ok()?, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The time that `bytes` begin with, and what follows it.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, century, rest) = if let Some((text, rest)) = element(bytes, UTC_TIME) {
        (text, None, rest)
    } else {
        let (text, rest) = element(bytes, GENERALIZED_TIME)?;
        let (century, text) = text.split_at_checked(2)?;
        (text, Some(two_digits(century)?), rest)
    };
    // In certificates seconds are never left out, and the zone is always UTC.
    let [digits @ .., b'Z'] = text else {
        return None;
    };
    if digits.len() != 12 {
        return None;
    }
    let mut numbers = digits.chunks(2).map(two_digits);
    let mut next = || numbers.next()?;
    let year = next()?;
    // Two digits mean 1950 to 2049.
    let century = century.unwrap_or(if year < 50 { 20 } else { 19 });
    let (month, day) = (next()? as i8, next()? as i8);
    let (hour, minute, second) = (next()? as i8, next()? as i8, next()? as i8);
    let local = DateTime::new(century * 100 + year, month, day, hour, minute, second, 0).ok()?;
    Some((TimeZone::UTC.to_timestamp(local).ok()?, rest))
}

fn two_digits(text: &[u8]) -> Option<i16> {
    let &[tens, ones] = text else {
        return None;
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i16::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}
