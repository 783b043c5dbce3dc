//! Following a journal that may have holes: the one rule of what may be missing.
//!
//! [`Chain`] links one entry to the next. A device that ran out of room, or whose disk was
//! damaged, loses entries for good and declares them by an [`Event::Gap`] further on. A
//! [`Trail`] takes entries in any order, checks every link that can be checked, and says up to
//! where the journal is whole: every number there, or declared. The device uses it to verify
//! its own store, the committee's collector to know what it may acknowledge.
//!
//! ```text
//! numbers   1 2 3 . . 6 7 8 . 10
//!               │ └hole┘ │  │  └ second island
//!              end    first island; its gap entry may be 7 and declare 4 to 5:
//!                     then `end` moves to 8, and 9 stays a hole
//! ```

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::{Chain, ChainError, Digest, Event};

/// What of an entry matters for the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its sequence number.
    pub seq: u64,
    /// SHA-256 of its stored bytes.
    pub hash: Digest,
    /// SHA-256 of the bytes before it; `None` where the bytes themselves were withheld, so that
    /// only its hash is known.
    pub prev: Option<Digest>,
    /// The numbers it declares lost, if it is a gap entry.
    pub gap: Option<(u64, u64)>,
}

/// An entry as its receiver reads it: the frame is understood, the event is kept as text, so
/// that a journal with events of a newer program can still be followed.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its UUIDv7.
    pub id: Uuid,
    /// When, by the device's wall clock.
    pub time: Timestamp,
    /// Whether that clock was trusted.
    pub clock_trusted: bool,
    /// The event's type, for example `passage`.
    pub kind: String,
    /// The lane, if it is about one.
    pub lane: Option<String>,
    /// What matters for the chain.
    pub link: Link,
}

/// The frame as it stands in the bytes; keys that it does not know are none of its business.
#[derive(Deserialize)]
struct Read<'a> {
    seq: u64,
    id: Uuid,
    time: Timestamp,
    clock_trusted: bool,
    prev: Digest,
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    lane: Option<String>,
}

impl Frame {
    /// Reads stored bytes.
    ///
    /// # Errors
    /// If they are no entry.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let read: Read<'_> = serde_json::from_slice(bytes)?;
        let kind: Kind = serde_json::from_str(read.event.get())?;
        let gap = if kind.kind == "gap" {
            match serde_json::from_str(read.event.get())? {
                Event::Gap { from, to, .. } if from <= to && to < read.seq => Some((from, to)),
                _ => None,
            }
        } else {
            None
        };
        Ok(Self {
            id: read.id,
            time: read.time,
            clock_trusted: read.clock_trusted,
            kind: kind.kind,
            lane: kind.lane,
            link: Link {
                seq: read.seq,
                hash: Digest::of(bytes),
                prev: Some(read.prev),
                gap,
            },
        })
    }
}

/// Whether an entry was new to a [`Trail`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was.
    New,
    /// Its number is there already, or lies in a hole that was declared; whether the bytes are
    /// the same, only who kept them can tell.
    Known,
}

/// Entries without a hole among them.
#[derive(Debug, Clone, Copy)]
struct Island {
    from: u64,
    to: u64,
    /// What the entry before the first one must hash to.
    before: Option<Digest>,
    /// The last one's hash.
    head: Digest,
}

/// What is there of a journal.
#[derive(Debug, Clone)]
pub struct Trail {
    end: Chain,
    /// Behind `end`, rising, with a hole before each.
    islands: Vec<Island>,
    /// Declared numbers behind `end`, rising, not touching each other.
    gaps: Vec<(u64, u64)>,
}

impl Trail {
    /// A journal that is whole up to `end`.
    pub fn new(end: Chain) -> Self {
        Self {
            end,
            islands: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Up to here every number is there or declared lost, and every link fits. The entry with
    /// this number is one that was taken (or what the trail began with).
    pub fn end(&self) -> Chain {
        self.end
    }

    /// The greatest number that was taken.
    pub fn last(&self) -> u64 {
        self.islands.last().map_or(self.end.seq, |island| island.to)
    }

    /// The first number taken after the first hole; `None` if there is no hole.
    pub fn resumes(&self) -> Option<u64> {
        self.islands.first().map(|island| island.from)
    }

    /// How many stretches lie behind the first hole.
    pub fn islands(&self) -> usize {
        self.islands.len()
    }

    /// The numbers that are missing between those that were taken, and not declared.
    pub fn holes(&self) -> Vec<(u64, u64)> {
        let mut after = self.end.seq;
        let mut holes = Vec::new();
        for island in &self.islands {
            holes.extend(self.undeclared((after + 1, island.from - 1)));
            after = island.to;
        }
        holes
    }

    /// The parts of `hole` that no gap entry has declared.
    pub fn undeclared(&self, hole: (u64, u64)) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut from = hole.0;
        for &(a, b) in &self.gaps {
            if b < from || a > hole.1 {
                continue;
            }
            if a > from {
                parts.push((from, a - 1));
            }
            from = b.saturating_add(1);
        }
        if from <= hole.1 {
            parts.push((from, hole.1));
        }
        parts
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// [`ChainError::Broken`] if it does not fit an entry beside it; nothing changes then.
    pub fn take(&mut self, link: &Link) -> Result<Taken, ChainError> {
        let Some(at) = self.place(link.seq) else {
            return Ok(Taken::Known);
        };
        let (before, head) = self.neighbours(at, link.seq);
        if let (Some(head), Some(prev)) = (head, link.prev)
            && head != prev
        {
            return Err(ChainError::Broken { seq: link.seq });
        }
        if before.is_some_and(|before| before != link.hash) {
            return Err(ChainError::Broken { seq: link.seq + 1 });
        }
        self.insert(at, link);
        Ok(Taken::New)
    }

    /// Takes an entry although it does not fit the ones beside it, so that what follows can
    /// be looked at as well.
    pub fn take_broken(&mut self, link: &Link) {
        if let Some(at) = self.place(link.seq) {
            self.insert(at, link);
        }
    }

    /// Declares numbers lost on another authority than a gap entry's: a person has conceded
    /// that they will not come any more.
    pub fn concede(&mut self, from: u64, to: u64) {
        self.declare(from, to);
        self.advance();
    }

    /// Before which island a number belongs; `None` if it is known.
    fn place(&self, seq: u64) -> Option<usize> {
        if seq <= self.end.seq {
            return None;
        }
        let at = self.islands.partition_point(|island| island.to < seq);
        match self.islands.get(at) {
            Some(island) if island.from <= seq => None,
            _ => Some(at),
        }
    }

    /// What the entry after `seq` says about `seq`, and the hash of the entry before it.
    fn neighbours(&self, at: usize, seq: u64) -> (Option<Digest>, Option<Digest>) {
        let after = self.islands.get(at).filter(|island| island.from == seq + 1);
        let head = if seq == self.end.seq + 1 {
            Some(self.end.head)
        } else {
            at.checked_sub(1)
                .map(|at| &self.islands[at])
                .filter(|island| island.to + 1 == seq)
                .map(|island| island.head)
        };
        (after.and_then(|island| island.before), head)
    }

    fn insert(&mut self, at: usize, link: &Link) {
        let joins_before = at > 0 && self.islands[at - 1].to + 1 == link.seq;
        let joins_after = self
            .islands
            .get(at)
            .is_some_and(|island| island.from == link.seq + 1);
        match (joins_before, joins_after) {
            (true, true) => {
                let after = self.islands.remove(at);
                let island = &mut self.islands[at - 1];
                island.to = after.to;
                island.head = after.head;
            }
            (true, false) => {
                let island = &mut self.islands[at - 1];
                island.to = link.seq;
                island.head = link.hash;
            }
            (false, true) => {
                let island = &mut self.islands[at];
                island.from = link.seq;
                island.before = link.prev;
            }
            (false, false) => self.islands.insert(
                at,
                Island {
                    from: link.seq,
                    to: link.seq,
                    before: link.prev,
                    head: link.hash,
                },
            ),
        }
        if let Some((from, to)) = link.gap {
            self.declare(from, to);
        }
        self.advance();
    }

    fn declare(&mut self, from: u64, to: u64) {
        let from = from.max(self.end.seq + 1);
        if from > to {
            return;
        }
        let (mut from, mut to) = (from, to);
        self.gaps.retain(|&(a, b)| {
            let apart = b.saturating_add(1) < from || a > to.saturating_add(1);
            if !apart {
                from = from.min(a);
                to = to.max(b);
            }
            apart
        });
        let at = self.gaps.partition_point(|&(a, _)| a < from);
        self.gaps.insert(at, (from, to));
    }

    /// Moves the end over what has become whole.
    fn advance(&mut self) {
        while let Some(first) = self.islands.first()
            && self
                .undeclared((self.end.seq + 1, first.from - 1))
                .is_empty()
        {
            self.end = Chain {
                seq: first.to,
                head: first.head,
            };
            self.islands.remove(0);
        }
        let end = self.end.seq;
        self.gaps.retain(|&(_, to)| to > end);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A journal in which some entries declare others lost, and the numbers that are not there.
    fn journal(n: u64, gaps: &[(u64, u64, u64)]) -> Vec<Vec<u8>> {
        let mut chain = Chain::EMPTY;
        (1..=n)
            .map(|seq| {
                let event = gaps.iter().find(|gap| gap.0 == seq).map_or(
                    Event::Stopped,
                    |&(_, from, to)| Event::Gap {
                        from,
                        to,
                        why: "test".to_owned(),
                    },
                );
                let id = Uuid::from_u128(u128::from(seq));
                let (_, bytes, next) = chain.seal(id, Timestamp::UNIX_EPOCH, true, event).unwrap();
                chain = next;
                bytes
            })
            .collect()
    }

    fn links(journal: &[Vec<u8>]) -> Vec<Link> {
        journal
            .iter()
            .map(|bytes| Frame::read(bytes).unwrap().link)
            .collect()
    }

    #[test]
    fn a_hole_is_known_only_when_it_is_declared() {
        let links = links(&journal(10, &[(7, 4, 5)]));
        let mut trail = Trail::new(Chain::EMPTY);
        for link in links.iter().filter(|link| ![4, 5, 9].contains(&link.seq)) {
            assert_eq!(trail.take(link).unwrap(), Taken::New);
            let whole = match link.seq {
                1..=3 => link.seq,
                6 => 3,
                _ => link.seq.min(8),
            };
            assert_eq!(trail.end().seq, whole);
        }
        assert_eq!(trail.holes(), [(9, 9)]);
        assert_eq!((trail.last(), trail.resumes()), (10, Some(10)));
        assert_eq!(trail.take(&links[4]).unwrap(), Taken::Known);
        assert_eq!(trail.take(&links[8]).unwrap(), Taken::New);
        assert_eq!(trail.end().seq, 10);
        assert_eq!(trail.end().head, links[9].hash);
    }

    #[test]
    fn a_person_may_concede_what_will_not_come() {
        let links = links(&journal(5, &[]));
        let mut trail = Trail::new(Chain::EMPTY);
        trail.take(&links[4]).unwrap();
        trail.concede(1, 3);
        assert_eq!(trail.holes(), [(4, 4)]);
        trail.concede(4, 4);
        assert_eq!(trail.end().seq, 5);
    }

    #[test]
    fn a_gap_entry_cannot_declare_what_comes_after_it() {
        let mut chain = Chain::EMPTY;
        chain.seq = 4;
        let gap = Event::Gap {
            from: 5,
            to: 9,
            why: String::new(),
        };
        let (_, bytes, _) = chain
            .seal(Uuid::from_u128(1), Timestamp::UNIX_EPOCH, true, gap)
            .unwrap();
        assert_eq!(Frame::read(&bytes).unwrap().link.gap, None);
    }

    #[test]
    fn an_event_of_a_newer_program_can_be_followed() {
        let bytes = String::from_utf8(journal(1, &[]).remove(0))
            .unwrap()
            .replace("\"stopped\"", "\"of-tomorrow\",\"x\":[1]");
        let frame = Frame::read(bytes.as_bytes()).unwrap();
        assert_eq!(frame.kind, "of-tomorrow");
        Trail::new(Chain::EMPTY).take(&frame.link).unwrap();
    }

    proptest! {
        /// In whatever order entries come and whichever are missing: the end is the last number
        /// before the first one that is neither there nor declared, and a changed entry is
        /// never taken beside an honest one.
        #[test]
        fn the_end_is_right_in_every_order(
            order in Just((1_u64..=30).collect::<Vec<_>>()).prop_shuffle(),
            missing in prop::collection::btree_set(1_u64..=30, 0..8),
            gaps in prop::collection::vec((2_u64..=30, 1_u64..30, 0_u64..6), 0..4),
            forged in 1_u64..=30,
        ) {
            let gaps: Vec<_> = gaps
                .into_iter()
                .map(|(at, from, len)| (at, from.min(at - 1), (from + len).min(at - 1)))
                .collect();
            let journal = journal(30, &gaps);
            let links = links(&journal);
            let mut trail = Trail::new(Chain::EMPTY);
            let mut there = BTreeSet::new();
            for seq in order {
                if missing.contains(&seq) {
                    continue;
                }
                let link = links[seq as usize - 1];
                if trail.take(&link).unwrap() == Taken::New {
                    there.insert(seq);
                }
                let declared: BTreeSet<u64> = there
                    .iter()
                    .filter_map(|seq| links[*seq as usize - 1].gap)
                    .flat_map(|(from, to)| from..=to)
                    .collect();
                let known = |seq: &u64| there.contains(seq) || declared.contains(seq);
                let whole = (1..=30).take_while(known).last().unwrap_or(0);
                let end = (1..=whole).rev().find(|seq| there.contains(seq)).unwrap_or(0);
                prop_assert_eq!(trail.end().seq, end);
                if end > 0 {
                    prop_assert_eq!(trail.end().head, links[end as usize - 1].hash);
                }
                let beside = there.contains(&(forged - 1)) || forged == 1;
                if beside && !there.contains(&forged) && trail.end().seq < forged {
                    let mut link = links[forged as usize - 1];
                    link.prev = Some(Digest::of(b"forged"));
                    prop_assert!(trail.clone().take(&link).is_err());
                }
            }
        }
    }
}
