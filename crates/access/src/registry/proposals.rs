//! What the gate has seen of registered numbers, and what a person may change because of it.
//!
//! Two things in a register show only on the road: a row whose vehicle never comes, and a vehicle
//! that comes again and again with a number one character away from a row whose own vehicle never
//! does. Both are proposed to a person with what speaks for them; nothing is changed by itself.
//!
//! The journal is told to a [`History`] from its end backwards; [`History::propose`] is pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::RegistryChange;
use domain::{PlateNumber, Words};
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::Serialize;

use super::book::{Edit, Record, RecordKey, Space};
use super::import::is_one_edit;
use super::past::Past;
use super::{RegistryView, Vehicle};

/// When something is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// Days back that are looked at, today not counted; a row must be as old.
    pub days: u16,
    /// How often another number must have been seen in these days.
    pub sightings: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            days: 14,
            sightings: 9,
        }
    }
}

/// How often a number was seen, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Passages.
    pub times: u32,
    /// The day of the last one.
    pub last: Date,
}

/// Why a row is proposed to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Cause {
    /// Its vehicle was not seen on any of the days. Proposed: to take the row out.
    Unseen {
        /// The first of the days.
        since: Date,
    },
    /// Its vehicle was not seen, but one with another number that is one character away.
    /// Proposed: to give the row that number.
    OneAway {
        /// The number that was seen.
        seen: PlateNumber,
        /// How often.
        #[serde(flatten)]
        sightings: Seen,
    },
}

/// Something that a person may accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// What it is accepted by; the same as long as it is proposed.
    pub id: String,
    /// The row.
    pub vehicle: Vehicle,
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
}

impl Proposal {
    fn new(vehicle: &Vehicle, cause: Cause) -> Self {
        let id = match &cause {
            Cause::Unseen { .. } => format!("unseen-{}", vehicle.plate),
            Cause::OneAway { seen, .. } => format!("{}-is-{seen}", vehicle.plate),
        };
        Self {
            id,
            vehicle: vehicle.clone(),
            cause,
        }
    }

    /// What speaks for it, and what is proposed.
    pub fn words(&self) -> Words {
        let plate = self.vehicle.plate.dotted();
        match &self.cause {
            Cause::Unseen { since } => Words::new(
                format!("{plate} 自 {since} 以来从未出现：请先联系车主，确认后可删除"),
                format!(
                    "{plate} was not seen since {since}: ask its owner; to accept takes the row out"
                ),
            ),
            Cause::OneAway {
                seen,
                sightings: Seen { times, last },
            } => {
                let seen = seen.dotted();
                Words::new(
                    format!(
                        "{plate} 未出现，而只差一个字符的 {seen} 出现 {times} 次（最近 {last}）：可能登记有误，确认后改为 {seen}"
                    ),
                    format!(
                        "{plate} was not seen, but {seen}, one character away, {times} times, last on {last}: the row may hold a slip; to accept gives it that number"
                    ),
                )
            }
        }
    }

    /// The changes that it stands for, in the register as it is.
    pub fn edits(&self, view: &RegistryView) -> Vec<Edit> {
        let row = &self.vehicle.plate;
        let mut edits = vec![Edit::Remove(RecordKey::Vehicle(row.clone()))];
        let replaced = match &self.cause {
            Cause::Unseen { .. } => None,
            Cause::OneAway { seen, .. } => {
                let mut vehicle = self.vehicle.clone();
                vehicle.plate = seen.clone();
                edits.push(Edit::Put(Record::Vehicle(Box::new(vehicle))));
                Some(seen)
            }
        };
        let named = view.book().spaces().filter(|s| s.shared_by.contains(row));
        edits.extend(named.filter_map(|space| {
            let mut shared_by = space.shared_by.clone();
            shared_by.remove(row);
            shared_by.extend(replaced.cloned());
            // A space that names nobody is the whole household's: that is not what was accepted.
            let space = Space {
                shared_by,
                ..space.clone()
            };
            (!space.shared_by.is_empty()).then_some(Edit::Put(Record::Space(space)))
        }));
        edits
    }
}

/// What is proposed, and what could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposals {
    /// The likeliest slips first, then rows that were not seen, in order of their plates.
    pub list: Vec<Proposal>,
    /// Why something is not proposed yet.
    pub notes: Vec<Words>,
}

/// What the journal tells of the days that are looked at. It is told from the end backwards.
#[derive(Debug, Clone)]
pub struct History<'a> {
    view: &'a RegistryView,
    terms: Terms,
    today: Date,
    first: Date,
    seen: BTreeMap<PlateNumber, Seen>,
    /// The register on its way back to the first day; none once a change cannot be taken back.
    past: Option<Past>,
    /// The day of the change that could not be taken back.
    known_since: Option<Date>,
    /// The earliest day that anything was told of.
    told_since: Option<Date>,
}

impl<'a> History<'a> {
    /// Nothing is told yet.
    pub fn new(view: &'a RegistryView, today: Date, terms: Terms) -> Self {
        Self {
            view,
            terms,
            today,
            first: today.saturating_sub(i32::from(terms.days).days()),
            seen: BTreeMap::new(),
            past: Some(Past::new(view)),
            known_since: None,
            told_since: None,
        }
    }

    /// The first of the days that are looked at.
    pub fn first(&self) -> Date {
        self.first
    }

    /// There is an entry of that day, whatever it says. Only days that the clock was trusted on
    /// may be told.
    pub fn entry(&mut self, day: Date) {
        self.told_since = Some(self.told_since.map_or(day, |d| d.min(day)));
    }

    /// A vehicle with this number was there on that day; on an unknown one if the clock was not
    /// trusted, which then counts as one of these days.
    pub fn passage(&mut self, plate: &PlateNumber, day: Option<Date>) {
        let day = day.unwrap_or(self.first);
        if day < self.first {
            return;
        }
        let seen = self.seen.entry(plate.clone()).or_insert(Seen {
            times: 0,
            last: day,
        });
        seen.times += 1;
        seen.last = seen.last.max(day);
    }

    /// The register was changed; `version` is the one that the change led to. Changes of the first
    /// day and before are of no interest: a row that came on the first day is old enough.
    pub fn change(&mut self, change: &RegistryChange, version: u64, day: Option<Date>) {
        if day.is_some_and(|day| day <= self.first) {
            return;
        }
        let Some(past) = &mut self.past else {
            return;
        };
        // One that was written down after the register was asked for.
        if version > past.version() {
            return;
        }
        if past.undo(change, version).is_err() {
            self.past = None;
            self.known_since = Some(day.unwrap_or(self.today));
        }
    }

    /// What is proposed after all that.
    pub fn propose(&self) -> Proposals {
        let mut proposals = Proposals::default();
        let unseen = || {
            let rows = self.view.vehicles().iter();
            rows.filter(|row| !self.seen.contains_key(&row.plate))
        };
        let mut slips = Vec::new();
        for (number, &sightings) in &self.seen {
            if sightings.times < self.terms.sightings || self.view.contains(number) {
                continue;
            }
            let near = unseen().filter(|row| is_one_edit(row.plate.as_str(), number.as_str()));
            slips.extend(near.map(|row| {
                let seen = number.clone();
                Proposal::new(row, Cause::OneAway { seen, sightings })
            }));
        }
        let times = |p: &Proposal| match &p.cause {
            Cause::OneAway { sightings, .. } => sightings.times,
            Cause::Unseen { .. } => 0,
        };
        slips.sort_by(|a, b| times(b).cmp(&times(a)).then_with(|| a.id.cmp(&b.id)));
        let slipped: BTreeSet<PlateNumber> =
            slips.iter().map(|p| p.vehicle.plate.clone()).collect();
        proposals.list = slips;
        match self.old_rows() {
            Err(note) => proposals.notes.push(note),
            Ok(old) => {
                let since = self.first;
                let rows = unseen()
                    .filter(|row| old.contains(&row.plate) && !slipped.contains(&row.plate));
                let unseen = rows.map(|row| Proposal::new(row, Cause::Unseen { since }));
                proposals.list.extend(unseen);
            }
        }
        proposals
    }

    /// The numbers that were registered on the first day, or why that cannot be told.
    fn old_rows(&self) -> Result<BTreeSet<PlateNumber>, Words> {
        let since = match (self.told_since, self.known_since, &self.past) {
            (Some(told), None, Some(past)) if told <= self.first => {
                let view = past.clone().view();
                return Ok(view.vehicles().iter().map(|v| v.plate.clone()).collect());
            }
            (_, Some(changed), _) => changed,
            (told, ..) => told.unwrap_or(self.today),
        };
        let from = since.saturating_add(i32::from(self.terms.days).days());
        Err(if self.known_since.is_some() {
            Words::new(
                format!("登记表于 {since} 整表导入，“未出现”的建议自 {from} 起给出"),
                format!(
                    "the list was imported on {since}; rows that are not seen are proposed from {from} on"
                ),
            )
        } else {
            Words::new(
                format!("记录自 {since} 开始，“未出现”的建议自 {from} 起给出"),
                format!(
                    "the journal begins on {since}; rows that are not seen are proposed from {from} on"
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use domain::event::RowCounts;
    use jiff::civil::date;

    use super::super::Label;
    use super::super::book::Book;
    use super::*;

    const TODAY: Date = date(2026, 11, 26);

    fn plate(text: &str) -> PlateNumber {
        PlateNumber::parse(text).unwrap()
    }

    fn register(plates: &[&str]) -> RegistryView {
        RegistryView::new(7, plates.iter().map(|p| Vehicle::new(plate(p))).collect())
    }

    /// A history of a gate that has looked for long enough.
    fn history(view: &RegistryView) -> History<'_> {
        let mut history = History::new(view, TODAY, Terms::default());
        history.entry(TODAY);
        history.entry(date(2026, 11, 12));
        history
    }

    fn ids(history: &History<'_>) -> Vec<String> {
        let proposals = history.propose();
        proposals.list.into_iter().map(|p| p.id).collect()
    }

    #[test]
    fn a_row_is_unseen_from_the_fifteenth_day_on() {
        let view = register(&["苏E12345"]);
        for (day, proposed) in [(11, true), (12, false), (13, false), (26, false)] {
            let mut history = history(&view);
            history.passage(&plate("苏E12345"), Some(date(2026, 11, day)));
            assert_eq!(ids(&history) == ["unseen-苏E12345"], proposed, "{day}");
        }
        // When is not known, but it was there.
        let mut history = history(&view);
        history.passage(&plate("苏E12345"), None);
        assert!(ids(&history).is_empty());
    }

    #[test]
    fn a_row_must_have_been_there_for_fourteen_days() {
        let view = register(&["苏E12345"]);
        let added = RegistryChange::Added {
            plate: plate("苏E12345"),
            replaced: false,
            before: None,
            after: Some(serde_json::json!({"plate": "苏E12345"})),
        };
        for (day, proposed) in [(12, true), (13, false), (26, false)] {
            let mut history = history(&view);
            history.change(&added, 7, Some(date(2026, 11, day)));
            assert_eq!(!ids(&history).is_empty(), proposed, "{day}");
        }
        // A change of another field makes no row new.
        let changed = RegistryChange::Added {
            plate: plate("苏E12345"),
            replaced: true,
            before: Some(serde_json::json!({})),
            after: Some(serde_json::json!({})),
        };
        let mut history = history(&view);
        history.change(&changed, 7, Some(date(2026, 11, 20)));
        assert_eq!(ids(&history), ["unseen-苏E12345"]);
    }

    #[test]
    fn nothing_is_unseen_before_gate_and_list_are_old_enough() {
        let view = register(&["苏E12345"]);
        let mut young = History::new(&view, TODAY, Terms::default());
        young.entry(date(2026, 11, 13));
        let said = young.propose();
        assert!(said.list.is_empty());
        assert!(
            said.notes[0].english.contains("2026-11-27"),
            "{:?}",
            said.notes
        );
        young.entry(date(2026, 11, 12));
        assert_eq!(ids(&young).len(), 1);

        let import = RegistryChange::Imported {
            vehicles: 1,
            before: 600,
            rows: Some(RowCounts {
                added: 1,
                changed: 0,
                removed: 600,
            }),
            records: vec![
                domain::event::RecordChange {
                    record: "vehicle".into(),
                    key: "苏E12345".into(),
                    before: None,
                    after: None,
                };
                20
            ],
        };
        let mut imported = history(&view);
        imported.change(&import, 7, Some(date(2026, 11, 20)));
        let said = imported.propose();
        assert!(said.list.is_empty());
        assert!(said.notes[0].english.contains("imported on 2026-11-20"));
        assert!(said.notes[0].english.contains("2026-12-04"));
        let mut long_ago = history(&view);
        long_ago.change(&import, 7, Some(date(2026, 11, 12)));
        assert_eq!(ids(&long_ago), ["unseen-苏E12345"]);
    }

    #[test]
    fn nine_sightings_one_character_away_are_a_slip() {
        let view = register(&["苏E12345", "苏E99999"]);
        let seen = |number: &str, times: u32, day: i8| {
            let mut history = history(&view);
            history.passage(&plate("苏E99999"), Some(TODAY));
            for _ in 0..times {
                history.passage(&plate(number), Some(date(2026, 11, day)));
            }
            history
        };
        assert_eq!(ids(&seen("苏E12346", 9, 12)), ["苏E12345-is-苏E12346"]);
        assert_eq!(ids(&seen("苏E12346", 8, 12)), ["unseen-苏E12345"]);
        // Too long ago, two characters away, or registered itself.
        assert_eq!(ids(&seen("苏E12346", 9, 11)), ["unseen-苏E12345"]);
        assert_eq!(ids(&seen("苏E12366", 9, 12)), ["unseen-苏E12345"]);
        assert_eq!(ids(&seen("苏E99999", 9, 12)), ["unseen-苏E12345"]);
        // One left out counts as one character.
        assert_eq!(ids(&seen("苏ED12345", 9, 12)), ["苏E12345-is-苏ED12345"]);
        // Both exist.
        let mut both = seen("苏E12346", 9, 12);
        both.passage(&plate("苏E12345"), Some(date(2026, 11, 12)));
        assert!(ids(&both).is_empty());
        let proposal = &seen("苏E12346", 11, 20).propose().list[0];
        let Cause::OneAway { sightings, .. } = &proposal.cause else {
            panic!("{proposal:?}");
        };
        assert_eq!((sightings.times, sightings.last), (11, date(2026, 11, 20)));
        assert!(proposal.words().english.contains("11 times"));
    }

    #[test]
    fn to_accept_gives_the_row_its_number_and_keeps_its_space() {
        let household = Label::parse("3-2-501").unwrap();
        let space = Space {
            id: Label::parse("B1-027").unwrap(),
            household: household.clone(),
            shared_by: [plate("苏E12345"), plate("苏E99999")].into(),
        };
        let mut row = Vehicle::new(plate("苏E12345"));
        row.owner = "王芳".into();
        row.household = Some(household);
        let book = Book::of([Record::Space(space.clone())]);
        let view = RegistryView::with_book(7, vec![row.clone()], book);
        let seen = Seen {
            times: 9,
            last: TODAY,
        };
        let slip = Proposal::new(
            &row,
            Cause::OneAway {
                seen: plate("苏E12346"),
                sightings: seen,
            },
        );
        let mut put = row.clone();
        put.plate = plate("苏E12346");
        let mut shared = space;
        shared.shared_by = [plate("苏E12346"), plate("苏E99999")].into();
        assert_eq!(
            slip.edits(&view),
            [
                Edit::Remove(RecordKey::Vehicle(plate("苏E12345"))),
                Edit::Put(Record::Vehicle(Box::new(put))),
                Edit::Put(Record::Space(shared)),
            ]
        );
        let gone = Proposal::new(&row, Cause::Unseen { since: TODAY });
        assert_eq!(gone.edits(&view).len(), 2);
    }
}
