//! Numbered passes (通行证): permissions with a number, a last day and, where somebody wants it, a
//! number of entries.
//!
//! - A [`Pass`] is a record of the register like any other; it binds a plate, or is a person's on
//!   foot, a supplier's, or a blank that is bound later.
//! - [`token`], of `domain`, is what stands in its QR code: the same facts in few bytes, signed by the
//!   gate.
//! - [`check`] says what a token that was shown is worth: signature, register, day, entries, plate.
//! - [`held_up`] says which of the papers that a lane's camera has seen may still be used.
//! - [`entries`] counts how often a pass was used, in one batch with the passage that used it.
//!
//! ```text
//! paper ─► text ─► token ─► is it genuine? ─► the register's pass ─► does it hold now? ─► accepted
//!                                             plate (camera) ──────┘                      or a reason
//! ```
//!
//! The register decides, the paper only says which pass it is: a pass that is extended needs no new
//! paper, and one that is revoked is worth nothing whoever holds it. A new edition makes every older
//! paper void.

pub mod check;
pub mod entries;
pub mod held_up;
#[cfg(test)]
mod tests;

use domain::{PassId, PassNumber};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::policy::Clock;
use crate::registry::Label;

pub use check::{Shown, check, worth};
pub use domain::pass::{Bearer, Token, TokenError, token};
pub use held_up::HeldUp;

/// One numbered pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Its number.
    pub number: PassNumber,
    /// Its edition, from 1; papers of earlier ones do not count.
    pub edition: u16,
    /// Whose it is.
    pub bearer: Bearer,
    /// The person, or the firm; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub holder: String,
    /// The household it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household: Option<Label>,
    /// Who issued it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The first day.
    pub from: Date,
    /// The last day.
    pub until: Date,
    /// How many entries it is good for; without a number it is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u16>,
    /// Why it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

impl Pass {
    /// A blank pass of these days, its first edition, not counted.
    pub const fn blank(number: PassNumber, from: Date, until: Date) -> Self {
        Self {
            number,
            edition: 1,
            bearer: Bearer::Blank,
            holder: String::new(),
            household: None,
            issuer: String::new(),
            from,
            until,
            entries: None,
            revoked: None,
        }
    }

    /// This edition of it.
    pub const fn id(&self) -> PassId {
        PassId {
            number: self.number,
            edition: self.edition,
        }
    }

    /// What its paper carries; `None` if a date of it cannot be written, which no pass in the register
    /// has.
    pub fn token(&self) -> Option<Token> {
        token::day(self.from).and(token::day(self.until))?;
        Some(Token {
            pass: self.id(),
            from: self.from,
            until: self.until,
            entries: self.entries,
            bearer: self.bearer.clone(),
        })
    }

    /// What of it breaks its own rules, and what to do.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        if self.edition == 0 {
            Some("editions count from 1 / 版次从 1 开始")
        } else if self.from > self.until {
            Some("the pass ends before it begins / 结束日期早于开始日期")
        } else if token::day(self.from).is_none() || token::day(self.until).is_none() {
            Some("a pass lasts within the years 2020 to 2199 / 日期须在 2020 至 2199 年间")
        } else if self.entries == Some(0) {
            Some("a pass is good for at least one entry, or is not counted / 次数至少为 1")
        } else if self
            .revoked
            .as_ref()
            .is_some_and(|why| why.trim().is_empty())
        {
            Some("say why the pass is revoked / 请写明注销原因")
        } else {
            None
        }
    }

    /// Whether it holds now, with so many entries used; else why not. Whose it is plays no part.
    ///
    /// # Errors
    /// The reason for which it does not hold.
    pub fn standing(
        &self,
        clock: Clock,
        near_limit_days: u16,
        used: u32,
    ) -> Result<(), domain::Reason> {
        use domain::Reason;

        use crate::policy::Standing;

        if self.revoked.is_some() {
            return Err(Reason::PassRevoked);
        }
        match clock.last_day(self.until, near_limit_days) {
            Standing::Behind => return Err(Reason::PassExpired),
            Standing::Unknown => return Err(Reason::ClockUntrusted),
            Standing::Ahead => {}
        }
        match clock.first_day(self.from, near_limit_days) {
            Standing::Ahead => return Err(Reason::PassNotYetValid),
            Standing::Unknown => return Err(Reason::ClockUntrusted),
            Standing::Behind => {}
        }
        if self.entries.is_some_and(|n| used >= u32::from(n)) {
            return Err(Reason::PassUsedUp);
        }
        Ok(())
    }
}
