//! Who is inside the compound, as far as the gate saw.
//!
//! A vehicle is inside from the passage by which it entered to the passage by which it left.
//! [`Stays`] are the stays as the journal's passages make them; they lie in the store, written in
//! one batch with the passage entry, so that they cannot drift from the journal. [`Shared`] is
//! what the lanes decide with: the stays, how often passes were used, and the places (and entries of
//! passes) held for vehicles that were admitted
//! and have not passed yet, so that two lanes never give one space away twice.
//!
//! What the gate does not see (an exit that was missed, a vehicle without a readable plate) it
//! does not know; the rules forgive it ([`crate::policy::judge`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{
    Decision, Direction, Event, Monotonic, Outcome, PassId, PassNumber, PassageId, PlateNumber,
    Reason, Verdict,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pass::entries::{Count, Entries, Used};
use crate::pass::{Token, worth};
use crate::policy::{Clock, Occupancy, PolicyInput, judge, judge_shown};
use crate::registry::RegistryView;
use crate::store::record;
use crate::store::{Area, Batch, Store, StoreError, read_area};

/// How long a place is held for a vehicle that was admitted, if nothing more is heard of it.
const HELD_FOR: Duration = Duration::from_mins(10);

/// One vehicle's stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// When it had entered.
    pub since: Timestamp,
    /// By which passage.
    pub passage: PassageId,
}

/// Everybody who is inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stays(BTreeMap<PlateNumber, Stay>);

/// What one passage does to the stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    In(PlateNumber, Stay),
    Out(PlateNumber),
}

/// What an event says about who is inside; nothing, if it is no passage through the boom.
pub(crate) fn moved(event: &Event) -> Option<Move> {
    let Event::Passage(record) = event else {
        return None;
    };
    let through = record.outcome == Outcome::Passed
        && !record.shadow
        && record.decision == Some(Decision::Admit);
    let plate = record.plate.clone().filter(|_| through)?;
    Some(match record.direction {
        Direction::Entry => Move::In(
            plate,
            Stay {
                since: record.ended,
                passage: record.passage,
            },
        ),
        Direction::Exit => Move::Out(plate),
    })
}

fn key(plate: &PlateNumber) -> Vec<u8> {
    Area::Inside.key(plate.as_str().as_bytes())
}

/// Puts moves into a batch.
///
/// # Errors
/// If a stay cannot be written as JSON, which none that can be built here is.
pub(crate) fn put(moves: &[Move], batch: &mut Batch) -> Result<(), serde_json::Error> {
    for next in moves {
        match next {
            Move::In(plate, stay) => {
                let key = key(plate);
                let stored = record::seal(&key, &serde_json::to_vec(stay)?);
                batch.put(key, stored);
            }
            Move::Out(plate) => batch.remove(key(plate)),
        }
    }
    Ok(())
}

impl Stays {
    /// Reads the stays; how many records were damaged and are left out.
    ///
    /// # Errors
    /// If the store fails.
    pub fn read(store: &dyn Store) -> Result<(Self, usize), StoreError> {
        let plate = |key: &[u8]| std::str::from_utf8(key).ok()?.parse().ok();
        let (stays, damaged) = read_area(store, Area::Inside, plate)?;
        Ok((Self(stays), damaged))
    }

    /// Everybody inside, in order of the plates.
    pub fn iter(&self) -> impl Iterator<Item = (&PlateNumber, &Stay)> {
        self.0.iter()
    }

    /// A vehicle's stay.
    pub fn get(&self, plate: &PlateNumber) -> Option<&Stay> {
        self.0.get(plate)
    }

    /// How many are inside.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn apply(&mut self, next: Move) {
        match next {
            Move::In(plate, stay) => {
                self.0.insert(plate, stay);
            }
            Move::Out(plate) => {
                self.0.remove(&plate);
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    stays: Stays,
    held: BTreeMap<PlateNumber, Hold>,
    /// Held for vehicles without a readable plate, which a pass let in.
    unread: BTreeMap<PassageId, Hold>,
    entries: Entries,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    since: Timestamp,
    until: Monotonic,
    /// The pass of which it will use an entry.
    pass: Option<PassId>,
}

impl Hold {
    fn new(pass: Option<PassId>, clock: Clock, at: Monotonic) -> Self {
        let since = match clock {
            Clock::Trusted { now, .. } => now,
            Clock::Untrusted { .. } => Timestamp::UNIX_EPOCH,
        };
        Self {
            since,
            until: at + HELD_FOR,
            pass,
        }
    }
}

impl State {
    fn expire(&mut self, at: Monotonic) {
        self.held.retain(|_, hold| hold.until > at);
        self.unread.retain(|_, hold| hold.until > at);
    }
}

/// The stays and the places held, shared by all lanes.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<State>>);

/// The stays with the places that are held for others than one vehicle.
struct ForOne<'a> {
    state: &'a State,
    plate: Option<&'a PlateNumber>,
}

impl ForOne<'_> {
    fn held(&self, plate: &PlateNumber) -> Option<&Hold> {
        let own = self.plate == Some(plate);
        self.state.held.get(plate).filter(|_| !own)
    }
}

impl Occupancy for ForOne<'_> {
    fn inside(&self, plate: &PlateNumber) -> Option<Timestamp> {
        let stay = self.state.stays.get(plate).map(|stay| stay.since);
        stay.or_else(|| self.held(plate).map(|hold| hold.since))
    }

    fn count(&self) -> u32 {
        let held = self.state.held.keys();
        let more = held.filter(|p| self.plate != Some(*p) && self.state.stays.get(p).is_none());
        (self.state.stays.len() + more.count() + self.state.unread.len()) as u32
    }

    fn entries(&self, pass: PassId) -> u32 {
        let held = self.state.held.iter();
        let more = held.filter(|(p, hold)| self.plate != Some(*p) && hold.pass == Some(pass));
        let unread = self.state.unread.values();
        let unread = unread.filter(|hold| hold.pass == Some(pass));
        self.state
            .entries
            .of(pass)
            .saturating_add((more.count() + unread.count()) as u32)
    }
}

impl Shared {
    pub(crate) fn new(stays: Stays, entries: Entries) -> Self {
        Self(Arc::new(Mutex::new(State {
            stays,
            held: BTreeMap::new(),
            unread: BTreeMap::new(),
            entries,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody who is inside.
    pub fn stays(&self) -> Stays {
        self.state().stays.clone()
    }

    /// How often passes were used.
    pub fn entries(&self) -> Entries {
        self.state().entries.clone()
    }

    /// The counters that change when these entries are used, as they are afterwards.
    pub(crate) fn entries_after(&self, used: &[Used]) -> Vec<(PassNumber, Count)> {
        self.state().entries.after(used)
    }

    /// One edition's counter, if it was ever used.
    pub fn count_of(&self, pass: PassId) -> Option<Count> {
        self.state().entries.count(pass).copied()
    }

    /// How often one edition of a pass was used, or will be by vehicles on their way in.
    pub fn entries_of(&self, pass: PassId) -> u32 {
        let state = self.state();
        let all = ForOne {
            state: &state,
            plate: None,
        };
        all.entries(pass)
    }

    /// Decides with the rules ([`judge`]). A vehicle that may enter has its place held from then
    /// on, until its passage ends or `at` is ten minutes later; a lane that only watches
    /// (`shadow`) holds none.
    pub fn judge(
        &self,
        input: &PolicyInput<'_>,
        clock: Clock,
        shadow: bool,
        at: Monotonic,
    ) -> Option<Verdict> {
        let mut state = self.state();
        state.expire(at);
        // Whose place is held already is known only once the plate is.
        let first = judge(
            input,
            clock,
            &ForOne {
                state: &state,
                plate: None,
            },
        )?;
        let verdict = match &first.plate {
            Some(plate) if state.held.contains_key(plate) => {
                let own = ForOne {
                    state: &state,
                    plate: Some(plate),
                };
                judge(input, clock, &own)?
            }
            _ => first,
        };
        let enters = verdict.decision == Decision::Admit && input.direction == Direction::Entry;
        if let (Some(plate), true, false) = (&verdict.plate, enters, shadow) {
            let hold = Hold::new(verdict.evidence.pass, clock, at);
            state.held.insert(plate.clone(), hold);
        }
        Some(verdict)
    }

    /// Decides about a vehicle whose verdict so far is `so_far`, and of whom somebody holds up a
    /// genuine pass at an entry lane ([`judge_shown`]): the verdict that takes the place of the
    /// first, if the pass changes it. Its entry, and a place, are held as in [`Shared::judge`].
    pub fn judge_shown(
        &self,
        (passage, so_far): (PassageId, &Verdict),
        token: &Token,
        registry: &RegistryView,
        clock: Clock,
        shadow: bool,
        at: Monotonic,
    ) -> Option<Verdict> {
        let mut state = self.state();
        state.expire(at);
        let own = ForOne {
            state: &state,
            plate: so_far.plate.as_ref(),
        };
        let plate = so_far.plate.as_ref();
        let used = |pass| own.entries(pass);
        let shown = worth(token.clone(), Some(registry), clock, plate, &used);
        let pass = shown.pass.filter(|_| shown.reason == Reason::Pass)?;
        let verdict = judge_shown(so_far, &pass, registry, clock, &own)?;
        if verdict.decision == Decision::Admit && !shadow {
            let hold = Hold::new(verdict.evidence.pass, clock, at);
            match &verdict.plate {
                Some(plate) => state.held.insert(plate.clone(), hold),
                None => state.unread.insert(passage, hold),
            };
        }
        Some(verdict)
    }

    /// Takes note of events that are in the store.
    pub(crate) fn commit(
        &self,
        moves: Vec<Move>,
        ended: &[Ended],
        counts: Vec<(PassNumber, Count)>,
    ) {
        let mut state = self.state();
        for ended in ended {
            state.unread.remove(&ended.passage);
            if let Some(plate) = &ended.plate {
                state.held.remove(plate);
            }
        }
        for next in moves {
            state.stays.apply(next);
        }
        state.entries.apply(counts);
    }
}

/// A visit to an entry lane that has ended: its place is held no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    passage: PassageId,
    plate: Option<PlateNumber>,
}

/// The entries that end with these events.
pub(crate) fn ended<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<Ended> {
    events
        .filter_map(|event| match event {
            Event::Passage(record) if record.direction == Direction::Entry => Some(Ended {
                passage: record.passage,
                plate: record.plate.clone(),
            }),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use domain::verdict::Evidence;
    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::pass::{Bearer, Pass};
    use crate::registry::book::{Book, Record};

    /// The entry that a paper gives is held from the admission to the end of the visit, also for a
    /// vehicle whose plate nobody could read.
    #[test]
    fn the_last_entry_of_a_paper_is_given_once() {
        let pass = Pass {
            bearer: Bearer::Supplier,
            entries: Some(1),
            ..Pass::blank(
                PassNumber::new(700).unwrap(),
                date(2026, 1, 1),
                date(2026, 12, 31),
            )
        };
        let token = pass.token().unwrap();
        let book = Book::of([Record::Pass(Box::new(pass))]);
        let view = RegistryView::with_book(1, Vec::new(), book);
        let clock = Clock::Trusted {
            local: date(2026, 11, 25).at(10, 0, 0, 0),
            now: Timestamp::UNIX_EPOCH,
        };
        let visit = |n| PassageId(Uuid::from_u128(n));
        let plate: PlateNumber = "沪A99999".parse().unwrap();
        let verdicts = [
            Verdict::new(Reason::Unread, None, Evidence::default()),
            Verdict::new(Reason::NotRegistered, Some(plate), Evidence::default()),
        ];
        for so_far in &verdicts {
            let shared = Shared::default();
            let shown = |n, shadow, second: u64| {
                let at = Monotonic::from_millis(second * 1000);
                let so_far = (visit(n), so_far);
                let verdict = shared.judge_shown(so_far, &token, &view, clock, shadow, at);
                verdict.map(|v| v.reason)
            };
            // A lane that only watches takes nothing.
            assert_eq!(shown(1, true, 0), Some(Reason::PassShown));
            assert_eq!(shown(1, false, 1), Some(Reason::PassShown));
            let other = (visit(2), &verdicts[0]);
            let at = Monotonic::from_millis(2000);
            assert_eq!(
                shared.judge_shown(other, &token, &view, clock, false, at),
                None
            );
            let ended = Ended {
                passage: visit(1),
                plate: so_far.plate.clone(),
            };
            shared.commit(Vec::new(), &[ended], Vec::new());
            assert_eq!(shown(3, false, 3), Some(Reason::PassShown));
        }
    }
}
