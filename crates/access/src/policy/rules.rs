//! Who may pass now: the compound's rules on top of what the picture shows.
//!
//! [`super::decide`] says which plate it is, and whether the picture is good enough to say so;
//! that is never weakened here. [`judge`] then asks whether that vehicle may pass at this time:
//!
//! ```text
//! decide ─► a known plate ─► blocked? ─► booked, valid, leased, in its hours, a pass? ─► restricted,
//!       │                    fee paid, closed? ─► inside already? ─► a space? ─► room? ─► admit
//!       ├─► a clear stranger ─► blocked? of a kind that always passes? ─► refuse
//!       └─► unclear ─► the guard
//! ```
//!
//! Every rule that says no has a reason code of its own ([`domain::Reason`] is their table). An
//! exit lane lets everybody out; a restricted household's exit is noted.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use domain::verdict::{Circumstances, Inside, PassEntries};
use domain::{Direction, PassId, PlateNumber, Reason, Sighting, Verdict};
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{PolicyInput, decide};
use crate::pass::{Bearer, Pass};
use crate::registry::book::Rules;
use crate::registry::{Label, RegistryView, Vehicle};

/// What is known of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock is believed.
    Trusted {
        /// The time at the site.
        local: DateTime,
        /// The same instant.
        now: Timestamp,
    },
    /// It is not, for example after a boot without a network.
    Untrusted {
        /// The day of the last time that was believed: earlier it cannot be.
        not_before: Option<Date>,
    },
}

impl Clock {
    /// Where a last day, itself included, stands: [`Standing::Behind`] if it is over. While the clock
    /// is not trusted, days within `near` days after the last one that was believed are unknown.
    pub(crate) fn last_day(self, last: Date, near: u16) -> Standing {
        self.stands(last, near, |today| last < today)
    }

    /// Where a first day stands: [`Standing::Behind`] if it has come.
    pub(crate) fn first_day(self, first: Date, near: u16) -> Standing {
        self.stands(first, near, |today| first <= today)
    }

    fn stands(self, day: Date, near: u16, is_behind: impl Fn(Date) -> bool) -> Standing {
        let (today, near) = match self {
            Self::Trusted { local, .. } => (local.date(), None),
            Self::Untrusted {
                not_before: Some(least),
            } => (least, Some(near)),
            Self::Untrusted { not_before: None } => return Standing::Unknown,
        };
        let may_have_come = |near: u16| day <= today.saturating_add(i32::from(near).days());
        if is_behind(today) {
            Standing::Behind
        } else if near.is_some_and(may_have_come) {
            Standing::Unknown
        } else {
            Standing::Ahead
        }
    }
}

/// Who is inside.
pub trait Occupancy {
    /// When the vehicle entered, if it is inside as far as the gate saw.
    fn inside(&self, plate: &PlateNumber) -> Option<Timestamp>;
    /// How many vehicles are inside.
    fn count(&self) -> u32;
    /// How many entries of this edition of a pass are used, or taken by vehicles on their way in.
    fn entries(&self, pass: PassId) -> u32;
}

/// Nobody is inside, or nobody knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Empty;

impl Occupancy for Empty {
    fn inside(&self, _: &PlateNumber) -> Option<Timestamp> {
        None
    }

    fn count(&self) -> u32 {
        0
    }

    fn entries(&self, _: PassId) -> u32 {
        0
    }
}

impl Occupancy for Circumstances {
    fn inside(&self, plate: &PlateNumber) -> Option<Timestamp> {
        let found = self.inside.iter().find(|i| i.plate == *plate);
        found.map(|i| i.since)
    }

    fn count(&self) -> u32 {
        self.vehicles_inside
    }

    fn entries(&self, pass: PassId) -> u32 {
        let found = self.passes.iter().find(|p| p.pass == pass);
        found.map_or(0, |p| p.entries)
    }
}

/// Decides with the rules, or says with `None` that another look may help. `input.today` is not
/// used: the clock says what is known of the time.
pub fn judge(input: &PolicyInput<'_>, clock: Clock, occupancy: &dyn Occupancy) -> Option<Verdict> {
    // As if it wanted in and no day were known: then the answer says which plate it is.
    let seen = decide(&PolicyInput {
        direction: Direction::Entry,
        today: None,
        ..*input
    })?;
    let asked = Asked {
        occupancy,
        answers: RefCell::default(),
        entries: RefCell::default(),
    };
    let mut pass = None;
    let reason = match (seen.reason, &seen.plate, input.registry) {
        (Reason::Registered | Reason::ClockUntrusted, Some(plate), Some(view)) => {
            let court = Court {
                view,
                rules: view.book().rules(),
                clock,
                inside: &asked,
            };
            match input.direction {
                Direction::Entry => court.entry(plate, &mut pass),
                Direction::Exit => court.exit(plate),
            }
        }
        (Reason::NotRegistered, Some(plate), Some(view)) => match input.direction {
            Direction::Entry => stranger(input, view, plate, clock),
            Direction::Exit => Reason::ExitOpen,
        },
        (reason, ..) => match input.direction {
            Direction::Entry => reason,
            Direction::Exit => Reason::ExitOpen,
        },
    };
    let (local_time, time, not_before) = match clock {
        Clock::Trusted { local, now } => (Some(local), Some(now), None),
        Clock::Untrusted { not_before } => (None, None, not_before),
    };
    let mut evidence = seen.evidence;
    evidence.pass = pass;
    let (inside, passes) = asked.into_answers();
    evidence.circumstances = Some(Box::new(Circumstances {
        direction: input.direction,
        final_look: input.final_look,
        margins: input.margins.by_name(),
        local_time,
        time,
        not_before,
        vehicles_inside: occupancy.count(),
        inside,
        passes,
    }));
    Some(Verdict::new(reason, seen.plate, evidence))
}

/// What a pass does for a vehicle that has its verdict `so_far` on an entry lane; nothing, if it
/// changes nothing. `pass` is one that holds now ([`crate::pass::worth`]), and was held up to the
/// lane's camera.
///
/// Only a supplier's pass speaks for whatever vehicle he comes with, and only where the picture left
/// it open who that is: what the rules found against a known plate stands, and a blocked plate stays
/// out whoever holds a paper. A pass that binds a plate does its work through the plate.
pub fn judge_shown(
    so_far: &Verdict,
    pass: &Pass,
    view: &RegistryView,
    clock: Clock,
    occupancy: &dyn Occupancy,
) -> Option<Verdict> {
    if pass.bearer != Bearer::Supplier {
        return None;
    }
    let reason = reason_shown(so_far, view, clock, occupancy)?;
    let mut evidence = so_far.evidence.clone();
    evidence.pass = (reason == Reason::PassShown).then(|| pass.id());
    Some(Verdict::new(reason, so_far.plate.clone(), evidence))
}

/// The reason that a supplier's pass leads to; none, if it changes nothing.
pub(super) fn reason_shown(
    so_far: &Verdict,
    view: &RegistryView,
    clock: Clock,
    occupancy: &dyn Occupancy,
) -> Option<Reason> {
    let open = matches!(
        so_far.reason,
        Reason::NotRegistered | Reason::Ambiguous | Reason::UnclearPicture | Reason::Unread
    );
    if !open {
        return None;
    }
    let asked = Asked {
        occupancy,
        answers: RefCell::default(),
        entries: RefCell::default(),
    };
    let court = Court {
        view,
        rules: view.book().rules(),
        clock,
        inside: &asked,
    };
    let evidence = &so_far.evidence;
    let scored = [&evidence.registered, &evidence.stranger];
    let likely = scored.into_iter().flatten().map(|scored| &scored.plate);
    if so_far
        .plate
        .iter()
        .chain(likely)
        .any(|p| court.is_blocked(p))
    {
        return None;
    }
    let full = match &so_far.plate {
        Some(plate) => court.is_full(plate),
        None => court.is_full_but_for(0),
    };
    let closed = court.closed();
    Some(closed.unwrap_or(if full {
        Reason::CompoundFull
    } else {
        Reason::PassShown
    }))
}

/// Writes down of whom the rules asked, so that they can be asked again.
struct Asked<'a> {
    occupancy: &'a dyn Occupancy,
    answers: RefCell<BTreeMap<PlateNumber, Timestamp>>,
    entries: RefCell<BTreeMap<PassId, u32>>,
}

impl Asked<'_> {
    fn inside(&self, plate: &PlateNumber) -> Option<Timestamp> {
        let since = self.occupancy.inside(plate)?;
        self.answers.borrow_mut().insert(plate.clone(), since);
        Some(since)
    }

    /// Of those that are not counted nobody asks.
    fn entries(&self, pass: &Pass) -> u32 {
        let id = pass.id();
        if pass.entries.is_none() {
            return 0;
        }
        let entries = self.occupancy.entries(id);
        self.entries.borrow_mut().insert(id, entries);
        entries
    }

    fn into_answers(self) -> (Vec<Inside>, Vec<PassEntries>) {
        let inside = self.answers.into_inner().into_iter();
        let passes = self.entries.into_inner().into_iter();
        (
            inside
                .map(|(plate, since)| Inside { plate, since })
                .collect(),
            passes
                .map(|(pass, entries)| PassEntries { pass, entries })
                .collect(),
        )
    }
}

/// Where a day or a moment stands towards now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Still to come, or going on.
    Ahead,
    /// Past.
    Behind,
    /// The clock is not trusted, and it may be either.
    Unknown,
}

/// By what right a vehicle may pass.
#[derive(Debug, Clone, Copy)]
struct Right<'a> {
    reason: Reason,
    /// Whose household answers for it.
    household: Option<&'a Label>,
    /// The numbered pass of which it uses an entry.
    pass: Option<PassId>,
}

/// One known vehicle before the rules.
struct Court<'a> {
    view: &'a RegistryView,
    rules: Rules,
    clock: Clock,
    inside: &'a Asked<'a>,
}

impl Court<'_> {
    /// Whether a last day, itself included, is past.
    fn last_day(&self, last: Date) -> Standing {
        self.clock.last_day(last, self.rules.near_limit_days)
    }

    /// Whether it is now between two moments: [`Standing::Ahead`] if so, [`Standing::Behind`] if
    /// it is not.
    fn between(&self, from: DateTime, until: DateTime) -> Standing {
        match self.clock {
            Clock::Trusted { local, .. } if from <= local && local < until => Standing::Ahead,
            Clock::Trusted { .. } => Standing::Behind,
            Clock::Untrusted { not_before } => {
                let over = not_before.is_some_and(|day| until.date() < day);
                let far = not_before.is_some_and(|day| {
                    let near = day.saturating_add(i32::from(self.rules.near_limit_days).days());
                    from.date() > near
                });
                if over || far {
                    Standing::Behind
                } else {
                    Standing::Unknown
                }
            }
        }
    }

    /// What becomes of a known plate that wants in; `pass` is told which numbered pass it uses.
    fn entry(&self, plate: &PlateNumber, pass: &mut Option<PassId>) -> Reason {
        if self.is_blocked(plate) {
            return Reason::Blocked;
        }
        let Right {
            reason,
            household,
            pass: used,
        } = match self.right(plate) {
            Ok(right) => right,
            Err(why) => return why,
        };
        if let Some(why) = household.and_then(|id| self.household(id)) {
            return why;
        }
        if let Some(why) = self.closed() {
            return why;
        }
        let missed = match self.inside(plate) {
            Ok(missed) => missed,
            Err(why) => return why,
        };
        if self.view.needs_space(plate) {
            if !self.has_space(plate) {
                return Reason::SpacesFull;
            }
        } else if self.is_full(plate) {
            return Reason::CompoundFull;
        }
        *pass = used;
        if missed && reason == Reason::Registered {
            Reason::MissedExit
        } else {
            reason
        }
    }

    /// By what right a known plate may pass now: its own row, a booking, or a numbered pass; the
    /// first that holds. If none does, why the first that there is does not.
    fn right(&self, plate: &PlateNumber) -> Result<Right<'_>, Reason> {
        let own = self.view.get(plate).map(|v| self.permission(v));
        if let Some(Ok(right)) = own {
            return Ok(right);
        }
        let booked = (!self.view.visits(plate).is_empty()).then(|| self.visit(plate));
        if let Some(Ok(right)) = booked {
            return Ok(right);
        }
        let passes = (!self.view.passes(plate).is_empty()).then(|| self.passes(plate));
        if let Some(Ok(right)) = passes {
            return Ok(right);
        }
        own.or(booked)
            .or(passes)
            .unwrap_or(Err(Reason::VisitNotNow))
    }

    /// Whether one of the passes that bind a plate holds now. If none does, the doubt of one whose
    /// day is not known, or else why the one issued last does not.
    fn passes(&self, plate: &PlateNumber) -> Result<Right<'_>, Reason> {
        let mut refusal = Reason::PassUnknown;
        for pass in self.view.passes(plate) {
            let near = self.rules.near_limit_days;
            match pass.standing(self.clock, near, self.inside.entries(pass)) {
                Ok(()) => {
                    return Ok(Right {
                        reason: Reason::Pass,
                        household: pass.household.as_ref(),
                        pass: Some(pass.id()),
                    });
                }
                Err(_) if refusal == Reason::ClockUntrusted => {}
                Err(why) => refusal = why,
            }
        }
        Err(refusal)
    }

    fn exit(&self, plate: &PlateNumber) -> Reason {
        let vehicle = self.view.get(plate);
        let household = vehicle
            .and_then(|v| v.household.as_ref())
            .or_else(|| self.view.visits(plate).first().map(|v| &v.household))
            .or_else(|| {
                let passes = self.view.passes(plate);
                passes.iter().find_map(|p| p.household.as_ref())
            });
        let restricted = household.and_then(|id| self.restricted(id));
        if restricted.is_some() {
            return Reason::RestrictedExit;
        }
        self.right(plate).map_or(Reason::ExitOpen, |r| r.reason)
    }

    fn is_blocked(&self, plate: &PlateNumber) -> bool {
        let block = self.view.book().block(plate);
        // In doubt it holds.
        block.is_some_and(|b| {
            b.until
                .is_none_or(|last| self.last_day(last) != Standing::Behind)
        })
    }

    /// Whether a registered vehicle's own permission holds now.
    fn permission<'v>(&self, vehicle: &'v Vehicle) -> Result<Right<'v>, Reason> {
        for (last, ended) in [
            (vehicle.valid_until, Reason::Expired),
            (vehicle.lease_until, Reason::LeaseEnded),
        ] {
            match last.map(|last| self.last_day(last)) {
                Some(Standing::Behind) => return Err(ended),
                Some(Standing::Unknown) => return Err(Reason::ClockUntrusted),
                Some(Standing::Ahead) | None => {}
            }
        }
        if let Some(id) = &vehicle.schedule {
            let Clock::Trusted { local, .. } = self.clock else {
                return Err(Reason::ClockUntrusted);
            };
            let schedule = self.view.book().schedule(id);
            if !schedule.is_some_and(|s| s.windows.iter().any(|w| w.is_open(local))) {
                return Err(Reason::OutsideHours);
            }
        }
        Ok(Right {
            reason: Reason::Registered,
            household: vehicle.household.as_ref(),
            pass: None,
        })
    }

    /// Whether a visitor's booking holds now.
    fn visit(&self, plate: &PlateNumber) -> Result<Right<'_>, Reason> {
        let mut unknown = false;
        for visit in self.view.visits(plate) {
            match self.between(visit.from, visit.until) {
                Standing::Ahead => {
                    return Ok(Right {
                        reason: Reason::Visitor,
                        household: Some(&visit.household),
                        pass: None,
                    });
                }
                Standing::Unknown => unknown = true,
                Standing::Behind => {}
            }
        }
        Err(if unknown {
            Reason::ClockUntrusted
        } else {
            Reason::VisitNotNow
        })
    }

    /// What speaks against a household's vehicles and visitors.
    fn household(&self, id: &Label) -> Option<Reason> {
        if let Some(why) = self.restricted(id) {
            return Some(why);
        }
        let paid = self.view.book().household(id)?.fee_paid_until?;
        match self.last_day(paid) {
            Standing::Ahead => None,
            Standing::Behind => Some(Reason::FeeUnpaid),
            Standing::Unknown => Some(Reason::ClockUntrusted),
        }
    }

    fn restricted(&self, id: &Label) -> Option<Reason> {
        let restriction = self.view.book().household(id)?.restriction.as_ref()?;
        let from = restriction.from.to_datetime(jiff::civil::Time::midnight());
        let after = restriction.until.saturating_add(1.day());
        match self.between(from, after.to_datetime(jiff::civil::Time::midnight())) {
            Standing::Ahead => Some(Reason::HouseholdRestricted),
            Standing::Behind => None,
            Standing::Unknown => Some(Reason::ClockUntrusted),
        }
    }

    fn closed(&self) -> Option<Reason> {
        let mut unknown = None;
        for closure in self.view.book().closures() {
            match self.between(closure.from, closure.until) {
                Standing::Ahead => return Some(Reason::Closed),
                Standing::Unknown => unknown = Some(Reason::ClockUntrusted),
                Standing::Behind => {}
            }
        }
        unknown
    }

    /// Whether it may come although it is inside: `true` if its exit was merely missed.
    fn inside(&self, plate: &PlateNumber) -> Result<bool, Reason> {
        let Some(hours) = self.rules.anti_passback_hours else {
            return Ok(false);
        };
        let Some(since) = self.inside.inside(plate) else {
            return Ok(false);
        };
        match self.clock {
            Clock::Trusted { now, .. }
                if now.duration_since(since) >= SignedDuration::from_hours(i64::from(hours)) =>
            {
                Ok(true)
            }
            _ => Err(Reason::AlreadyInside),
        }
    }

    /// Whether everybody inside who shares spaces with this vehicle, and it too, can have one.
    fn has_space(&self, plate: &PlateNumber) -> bool {
        let mut vehicles: Vec<PlateNumber> = vec![plate.clone()];
        let mut known: BTreeSet<PlateNumber> = vehicles.iter().cloned().collect();
        let mut spaces: BTreeMap<Label, Option<usize>> = BTreeMap::new();
        let mut choices: Vec<Vec<Label>> = Vec::new();
        // Everybody who shares a space with one who shares a space, and so on.
        while let Some(next) = vehicles.get(choices.len()) {
            let may: Vec<Label> = self.view.spaces_of(next).into_iter().cloned().collect();
            for space in &may {
                if spaces.insert(space.clone(), None).is_none() {
                    for other in self.view.vehicles_on(space) {
                        if !known.contains(other) && self.inside.inside(other).is_some() {
                            known.insert(other.clone());
                            vehicles.push(other.clone());
                        }
                    }
                }
            }
            choices.push(may);
        }
        (0..vehicles.len()).all(|at| park(at, &choices, &mut spaces, &mut BTreeSet::new()))
    }

    fn is_full(&self, plate: &PlateNumber) -> bool {
        // A vehicle whose exit was missed does not take room twice.
        self.is_full_but_for(u32::from(self.inside.inside(plate).is_some()))
    }

    fn is_full_but_for(&self, vehicles: u32) -> bool {
        let count = self.inside.occupancy.count().saturating_sub(vehicles);
        self.rules
            .capacity
            .is_some_and(|capacity| count >= capacity)
    }
}

/// Finds a space for one vehicle, moving others to their other spaces if need be.
fn park(
    vehicle: usize,
    choices: &[Vec<Label>],
    spaces: &mut BTreeMap<Label, Option<usize>>,
    tried: &mut BTreeSet<Label>,
) -> bool {
    for space in &choices[vehicle] {
        if !tried.insert(space.clone()) {
            continue;
        }
        let held = spaces.get(space).copied().flatten();
        if held.is_none_or(|other| park(other, choices, spaces, tried)) {
            spaces.insert(space.clone(), Some(vehicle));
            return true;
        }
    }
    false
}

/// A clear stranger at an entry.
fn stranger(
    input: &PolicyInput<'_>,
    view: &RegistryView,
    plate: &PlateNumber,
    clock: Clock,
) -> Reason {
    let rules = view.book().rules();
    let court = Court {
        view,
        rules,
        clock,
        inside: &Asked {
            occupancy: &Empty,
            answers: RefCell::default(),
            entries: RefCell::default(),
        },
    };
    if court.is_blocked(plate) {
        return Reason::Blocked;
    }
    let always = |number: &PlateNumber| {
        let kinds = number.kinds();
        !kinds.is_empty() && kinds.iter().all(|k| court.rules.always_pass.contains(k))
    };
    let Some(sighting) = input.sighting.filter(|_| always(plate)) else {
        return Reason::NotRegistered;
    };
    if !is_clearly(input, view, sighting, &always) {
        return Reason::Ambiguous;
    }
    match sighting.kind {
        Some(kind) if !plate.kinds().contains(&kind) => Reason::KindContradicts,
        _ => Reason::AlwaysPasses,
    }
}

/// Numbers that are compared before the picture counts as unclear.
const COMPARED: usize = 5000;

/// Whether numbers of kinds that always pass win against every other stranger by the margin by
/// which a registered plate has to.
fn is_clearly(
    input: &PolicyInput<'_>,
    view: &RegistryView,
    sighting: &Sighting,
    always: &dyn Fn(&PlateNumber) -> bool,
) -> bool {
    let mut numbers = sighting
        .matrix
        .valid_numbers(input.alphabet)
        .filter(|c| !view.contains(&c.number));
    let Some(best) = numbers.next().filter(|c| always(&c.number)) else {
        return false;
    };
    let least = best.score.0.saturating_sub(input.margins.over_stranger.0);
    for candidate in numbers.take(COMPARED) {
        if candidate.score.0 <= least {
            return true;
        }
        if !always(&candidate.number) {
            return false;
        }
    }
    false
}
