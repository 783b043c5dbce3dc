//! Which of the papers that a lane's camera has seen may be used now.
//!
//! A pass is held up before the car has its verdict or while the guard is asked, so it counts for a
//! few seconds after it was last seen. Once it has let a vehicle in, it counts no more until it has
//! been out of sight for a while: a paper that lies behind the windscreen of the car in front must
//! not let in the car behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::signing::PublicKey;
use domain::{Monotonic, PassId};

use super::{Token, TokenError};

/// For how long a paper counts after it was last seen.
pub const COUNTS_FOR: Duration = Duration::from_secs(10);
/// After how long out of sight a paper that was used may be used anew, and is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// Genuine papers that are kept in mind; each has its own pass, so nobody can make more of them.
const PAPERS: usize = 64;

#[derive(Debug, Clone)]
struct Paper {
    token: Token,
    seen: Monotonic,
    used: bool,
}

/// The papers of one lane. Pure: the time comes in.
#[derive(Debug, Default)]
pub struct HeldUp(BTreeMap<PassId, Paper>);

impl HeldUp {
    /// A code was read. The token, if it is genuine; it is looked at anew each time, since a paper
    /// may be an older edition of the same pass.
    ///
    /// # Errors
    /// Why it is no genuine pass.
    pub fn see(
        &mut self,
        now: Monotonic,
        text: &str,
        keys: &[PublicKey],
    ) -> Result<Token, TokenError> {
        self.forget(now);
        let token = Token::verify(text, keys)?;
        if let Some(paper) = self.0.get_mut(&token.pass) {
            paper.seen = now;
            paper.token = token.clone();
        } else if self.0.len() < PAPERS {
            let paper = Paper {
                token: token.clone(),
                seen: now,
                used: false,
            };
            self.0.insert(token.pass, paper);
        }
        Ok(token)
    }

    /// The papers that count now.
    pub fn counting(&self, now: Monotonic) -> impl Iterator<Item = &Token> {
        let papers = self.0.values();
        papers
            .filter(move |p| !p.used && now.since(p.seen) < COUNTS_FOR)
            .map(|p| &p.token)
    }

    /// A paper has let a vehicle in.
    pub fn use_up(&mut self, pass: PassId) {
        if let Some(paper) = self.0.get_mut(&pass) {
            paper.used = true;
        }
    }

    fn forget(&mut self, now: Monotonic) {
        self.0
            .retain(|_, paper| now.since(paper.seen) < FORGOTTEN_AFTER);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use domain::PassNumber;
    use domain::signing::SecretKey;
    use jiff::civil::date;

    use super::*;
    use crate::pass::Pass;

    fn paper(number: u32) -> (String, PublicKey, PassId) {
        let key = SecretKey::from_bytes([7; 32]);
        let pass = Pass::blank(
            PassNumber::new(number).unwrap(),
            date(2026, 1, 1),
            date(2026, 12, 31),
        );
        let token = pass.token().unwrap();
        (token.sign(&key), key.public(), pass.id())
    }

    #[test]
    fn a_paper_counts_for_ten_seconds_and_once_until_it_was_away() {
        let at = Monotonic::from_millis;
        let (text, key, pass) = paper(637);
        let mut papers = HeldUp::default();
        papers.see(at(0), &text, &[key]).unwrap();
        assert_eq!(papers.counting(at(9999)).count(), 1);
        assert_eq!(papers.counting(at(10_000)).count(), 0);
        papers.see(at(20_000), &text, &[key]).unwrap();
        papers.use_up(pass);
        // In sight all the time: it stays used.
        for second in 21..90 {
            papers.see(at(second * 1000), &text, &[key]).unwrap();
            assert_eq!(papers.counting(at(second * 1000)).count(), 0);
        }
        papers.see(at(118_999), &text, &[key]).unwrap();
        assert_eq!(papers.counting(at(118_999)).count(), 0);
        papers.see(at(148_999), &text, &[key]).unwrap();
        assert_eq!(papers.counting(at(148_999)).count(), 1);
    }

    #[test]
    fn what_is_not_genuine_is_not_kept() {
        let (text, key, _) = paper(637);
        let other = SecretKey::from_bytes([8; 32]).public();
        let mut papers = HeldUp::default();
        let now = Monotonic::from_millis(1);
        assert_eq!(
            papers.see(now, &text, &[other]).unwrap_err(),
            TokenError::UnknownKey
        );
        assert_eq!(
            papers.see(now, "https://example.org", &[key]).unwrap_err(),
            TokenError::Foreign
        );
        assert_eq!(papers.counting(now).count(), 0);
    }
}
