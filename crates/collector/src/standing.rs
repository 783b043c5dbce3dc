//! What is there of one gate's journal, and what a further entry means to it.

use domain::chain::{Link, Taken, Trail};
use domain::command::{Acknowledgement, DeviceName, Head};
use domain::event::{Chain, ChainError, Digest};

/// Stretches behind the first hole that are kept at most, more than a gate has entries on their
/// way; an entry that would begin another one is not taken, and the gate sends it again when the
/// first holes are closed.
pub const STRETCHES: usize = 1024;

/// What is there of one gate's journal.
#[derive(Debug, Clone)]
pub struct Standing {
    trail: Trail,
    /// The last head that the gate has signed, by its order.
    head: (u64, u64),
}

/// What became of an entry.
#[derive(Debug)]
pub enum Took {
    /// It is new: store it.
    New,
    /// It is stored already, byte for byte.
    Again,
    /// Another entry is stored under its number, and both are signed.
    Fork,
    /// It does not fit the entries beside it.
    Broken(ChainError),
    /// It lies behind too many holes to be kept.
    TooFar,
}

impl Standing {
    /// From what is stored: everything up to `end`, then `links` in the order of their numbers,
    /// `conceded` holes, and the last head.
    pub fn new(end: Chain, links: &[Link], conceded: &[(u64, u64)], head: (u64, u64)) -> Self {
        let mut trail = Trail::new(end);
        for link in links {
            if trail.take(link).is_err() {
                trail.take_broken(link);
            }
        }
        for &(from, to) in conceded {
            trail.concede(from, to);
        }
        Self { trail, head }
    }

    /// Up to where the journal is whole.
    pub fn end(&self) -> Chain {
        self.trail.end()
    }

    /// The greatest number that is stored.
    pub fn last(&self) -> u64 {
        self.trail.last()
    }

    /// Missing numbers that nobody has declared lost.
    pub fn holes(&self) -> Vec<(u64, u64)> {
        self.trail.holes()
    }

    /// The order of the last head: its number and its beat.
    pub fn head(&self) -> (u64, u64) {
        self.head
    }

    /// Takes an entry; `known` is the hash that is stored under its number.
    pub fn take(&mut self, link: &Link, known: Option<Digest>) -> Took {
        match known {
            Some(hash) if hash == link.hash => return Took::Again,
            Some(_) => return Took::Fork,
            None => {}
        }
        let begins_another = link.seq > self.trail.last() + 1;
        if begins_another && self.trail.islands() >= STRETCHES {
            return Took::TooFar;
        }
        match self.trail.take(link) {
            // Known and not stored: it was declared lost and comes all the same.
            Ok(Taken::New | Taken::Known) => Took::New,
            Err(broken) => Took::Broken(broken),
        }
    }

    /// Takes a head; whether it is later than every head before, and numbers that it says will
    /// not come any more.
    ///
    /// They are two sorts. What the gate dropped to make room: a gap entry declares it as well,
    /// but may have been dropped itself. And, when nothing is stored of a gate yet, what was
    /// acknowledged to it before by somebody else. What was acknowledged to it and is missing
    /// here although other entries are stored is no such sort: this store has lost it, and a
    /// person must know.
    pub fn take_head(&mut self, head: &Head) -> Option<Vec<(u64, u64)>> {
        if (head.seq, head.beat) <= self.head {
            return None;
        }
        self.head = (head.seq, head.beat);
        let end = self.trail.end().seq;
        let mut will_not_come = Vec::new();
        if end == 0 && self.trail.resumes().is_none_or(|first| first > head.acked) {
            will_not_come.push((1, head.acked));
        }
        will_not_come.push((end.max(head.acked) + 1, head.gone.min(head.seq)));
        let mut conceded = Vec::new();
        for (from, to) in will_not_come.into_iter().filter(|(from, to)| from <= to) {
            for hole in self.trail.undeclared((from, to)) {
                if self.is_missing(hole) {
                    conceded.push(hole);
                }
            }
        }
        for &(from, to) in &conceded {
            self.trail.concede(from, to);
        }
        Some(conceded)
    }

    /// Whether any of these numbers is not there.
    fn is_missing(&self, hole: (u64, u64)) -> bool {
        hole.1 > self.trail.last()
            || self
                .trail
                .holes()
                .iter()
                .any(|&(from, to)| from <= hole.1 && to >= hole.0)
    }

    /// Gives numbers up on a person's word.
    pub fn concede(&mut self, from: u64, to: u64) {
        self.trail.concede(from, to);
    }

    /// What can be said to the gate.
    pub fn acknowledgement(&self, device: &DeviceName) -> Acknowledgement {
        let end = self.trail.end();
        Acknowledgement {
            device: device.clone(),
            upto: end.seq,
            chain: end.head,
            received: self.trail.last(),
            resumes: self.trail.resumes(),
        }
    }
}
