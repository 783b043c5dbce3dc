//! What the register knows besides vehicles: households, spaces, schedules, visitors, the
//! blocklist, closures, numbered passes, and the compound's own rules.
//!
//! Every kind is a [`Record`] under a [`RecordKey`]; a change is an [`Edit`]. A [`Book`] holds
//! them all. Records that break their own rules are refused before they are written, and so is
//! a change that would leave a record pointing at one that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::{PassNumber, PlateKind, PlateNumber};
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::schedule::Window;
use super::{FIELD_CHARACTERS, Label, Vehicle};
use crate::pass::Pass;

/// A household (住户).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Household {
    /// Its name, for example `3-2-501`.
    pub id: Label,
    /// Whom to speak to; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
    /// Telephone; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// The last day for which the parking fee is paid; without one nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_paid_until: Option<Date>,
    /// While it lasts the guard decides about the household's vehicles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
}

impl Household {
    /// The household that a vehicle names, as far as the vehicle's row tells.
    pub(super) fn named_by(vehicle: &Vehicle) -> Option<Self> {
        Some(Self {
            id: vehicle.household.clone()?,
            contact: vehicle.owner.clone(),
            phone: vehicle.phone.clone(),
            fee_paid_until: None,
            restriction: None,
        })
    }
}

/// A restriction on a household, first and last day included: home isolation, for example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub until: Date,
    /// Why.
    pub reason: String,
}

/// A parking space (车位).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Its number, for example `B1-027`.
    pub id: Label,
    /// The household whose it is.
    pub household: Label,
    /// The vehicles that share it, also other households'; if none is named, all of the
    /// household's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shared_by: BTreeSet<PlateNumber>,
}

/// A weekly schedule, for example the vegetable truck's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub id: Label,
    /// When vehicles of this schedule may enter.
    pub windows: Vec<Window>,
}

/// A visitor whom a household has booked (预约访客).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The visitor's plate.
    pub plate: PlateNumber,
    /// The household that is visited.
    pub household: Label,
    /// From when, in the site's own time.
    pub from: DateTime,
    /// Until when it may enter; leaving is never refused.
    pub until: DateTime,
    /// Who comes, why; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A plate that must not enter (黑名单).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The plate.
    pub plate: PlateNumber,
    /// Why; never empty.
    pub reason: String,
    /// The last day; without one it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// A time in which nobody enters without the guard, for example for works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// Its name.
    pub id: Label,
    /// From when, in the site's own time.
    pub from: DateTime,
    /// Until when.
    pub until: DateTime,
    /// Why.
    pub reason: String,
}

/// The compound's own rules. Those of a register that never had any ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Plate kinds that always pass, registered or not: emergency, police on duty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub always_pass: BTreeSet<PlateKind>,
    /// A vehicle that is inside and comes again goes to the guard; after so many hours its exit
    /// was merely missed, and it passes. Without a number nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_passback_hours: Option<u16>,
    /// Vehicles that the compound holds; without a number nobody counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// While the clock is not trusted, a pass that ends within so many days of the last time
    /// that was known goes to the guard.
    #[serde(default = "near_limit_days")]
    pub near_limit_days: u16,
}

const fn near_limit_days() -> u16 {
    30
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            always_pass: BTreeSet::new(),
            anti_passback_hours: None,
            capacity: None,
            near_limit_days: near_limit_days(),
        }
    }
}

/// One record of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A vehicle.
    Vehicle(Box<Vehicle>),
    /// A household.
    Household(Household),
    /// A space.
    Space(Space),
    /// A weekly schedule.
    Schedule(Schedule),
    /// A visitor.
    Visit(Visit),
    /// A blocked plate.
    Block(Block),
    /// A closure.
    Closure(Closure),
    /// A numbered pass.
    Pass(Box<Pass>),
    /// The compound's rules.
    Rules(Rules),
}

/// What a record is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "record", content = "key", rename_all = "kebab-case")]
pub enum RecordKey {
    /// A vehicle's plate.
    Vehicle(PlateNumber),
    /// A household's name.
    Household(Label),
    /// A space's number.
    Space(Label),
    /// A schedule's name.
    Schedule(Label),
    /// A visitor's plate and the beginning of the visit.
    Visit(PlateNumber, DateTime),
    /// A blocked plate.
    Block(PlateNumber),
    /// A closure's name.
    Closure(Label),
    /// A pass's number.
    Pass(PassNumber),
    /// The one set of rules.
    Rules,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", content = "what", rename_all = "kebab-case")]
pub enum Edit {
    /// Puts a record in the place of any under its key.
    Put(Record),
    /// Takes a record away.
    Remove(RecordKey),
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is nothing under this key.
    #[error("{key} is not in the register / 登记库中没有{}", .key.chinese())]
    Absent {
        /// The key.
        key: RecordKey,
    },
    /// The record breaks its own rules.
    #[error("{key}: {why}")]
    Wrong {
        /// Its key.
        key: RecordKey,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A record would point at one that is not there.
    #[error(
        "{from} needs {to}, which is not in the register; add it first, or change {from} / {}需要{}，请先登记",
        .from.chinese(),
        .to.chinese()
    )]
    Dangling {
        /// The record that points.
        from: RecordKey,
        /// What it points at.
        to: RecordKey,
    },
    /// The record is not one of those that a person must decide about.
    #[error(
        "{key} is here as it is on the server; `menshen registry conflicts` lists what is not / {}与服务器一致",
        .key.chinese()
    )]
    Agreed {
        /// The key.
        key: RecordKey,
    },
    /// A pass would lose its history.
    #[error(
        "{key} was printed and handed out, so it is never taken out of the register and its edition never goes back; revoke it with `menshen pass revoke` / 通行证只能注销，不能删除"
    )]
    Printed {
        /// The pass.
        key: RecordKey,
    },
    /// A new pass has the number of one that is there.
    #[error(
        "{key} is there already; choose another number, or --replace it, which makes its old paper void / 号码已使用"
    )]
    Taken {
        /// The pass.
        key: RecordKey,
    },
    /// Too many changes at once.
    #[error("a transaction has at most {MOST_EDITS} changes, this one has {found}; split it")]
    TooMany {
        /// How many it has.
        found: usize,
    },
}

/// Changes that one transaction may have: its journal entry must stay small.
pub const MOST_EDITS: usize = 20;

impl Record {
    /// What it is found by.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Vehicle(v) => RecordKey::Vehicle(v.plate.clone()),
            Self::Household(h) => RecordKey::Household(h.id.clone()),
            Self::Space(s) => RecordKey::Space(s.id.clone()),
            Self::Schedule(s) => RecordKey::Schedule(s.id.clone()),
            Self::Visit(v) => RecordKey::Visit(v.plate.clone(), v.from),
            Self::Block(b) => RecordKey::Block(b.plate.clone()),
            Self::Closure(c) => RecordKey::Closure(c.id.clone()),
            Self::Pass(p) => RecordKey::Pass(p.number),
            Self::Rules(_) => RecordKey::Rules,
        }
    }

    /// What it points at.
    fn needs(&self) -> Vec<RecordKey> {
        let household = |id: &Label| RecordKey::Household(id.clone());
        match self {
            Self::Vehicle(v) => v
                .household
                .iter()
                .map(household)
                .chain(v.schedule.iter().map(|s| RecordKey::Schedule(s.clone())))
                .collect(),
            Self::Space(s) => vec![household(&s.household)],
            Self::Visit(v) => vec![household(&v.household)],
            Self::Pass(p) => p.household.iter().map(household).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it keeps its own rules.
    ///
    /// # Errors
    /// [`EditError::Wrong`] says what is wrong.
    pub fn check(&self) -> Result<(), EditError> {
        let wrong = |why: &str| {
            Err(EditError::Wrong {
                key: self.key(),
                why: why.to_owned(),
            })
        };
        let texts: Vec<&str> = match self {
            Self::Vehicle(v) => vec![
                &v.owner,
                &v.building,
                &v.unit,
                &v.phone,
                &v.colour,
                &v.make,
                &v.verified_by,
            ],
            Self::Household(h) => {
                let mut texts = vec![h.contact.as_str(), h.phone.as_str()];
                if let Some(restriction) = &h.restriction {
                    if restriction.from > restriction.until {
                        return wrong(
                            "the restriction ends before it begins / 结束日期早于开始日期",
                        );
                    }
                    texts.push(&restriction.reason);
                }
                texts
            }
            Self::Schedule(s) if s.windows.is_empty() => {
                return wrong(
                    "a schedule needs a window, for example \"mon-sat 05:00-07:30\" / 请写明时段",
                );
            }
            Self::Visit(v) if v.from >= v.until => {
                return wrong("the visit ends before it begins / 结束时间早于开始时间");
            }
            Self::Visit(v) => vec![&v.note],
            Self::Block(b) if b.reason.trim().is_empty() => {
                return wrong("say why the plate is blocked / 请写明原因");
            }
            Self::Block(b) => vec![&b.reason],
            Self::Closure(c) if c.from >= c.until => {
                return wrong("the closure ends before it begins / 结束时间早于开始时间");
            }
            Self::Closure(c) => vec![&c.reason],
            Self::Pass(p) => {
                if let Some(why) = p.wrong() {
                    return wrong(why);
                }
                let mut texts = vec![p.holder.as_str(), p.issuer.as_str()];
                texts.extend(p.revoked.as_deref());
                texts
            }
            Self::Space(_) | Self::Schedule(_) | Self::Rules(_) => Vec::new(),
        };
        if texts
            .iter()
            .any(|t| t.chars().count() > FIELD_CHARACTERS || t.chars().any(char::is_control))
        {
            return wrong(
                "a text is longer than 200 characters or has a line break / 内容过长或含换行",
            );
        }
        Ok(())
    }
}

impl RecordKey {
    /// The kind's letter in the store; vehicles have an area of their own.
    pub(super) const fn letter(&self) -> u8 {
        match self {
            Self::Vehicle(_) => b'v',
            Self::Household(_) => b'h',
            Self::Space(_) => b's',
            Self::Schedule(_) => b't',
            Self::Visit(..) => b'g',
            Self::Block(_) => b'b',
            Self::Closure(_) => b'c',
            Self::Pass(_) => b'p',
            Self::Rules => b'r',
        }
    }

    /// The kind in both languages.
    pub const fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Vehicle(_) => ("vehicle", "车辆"),
            Self::Household(_) => ("household", "住户"),
            Self::Space(_) => ("space", "车位"),
            Self::Schedule(_) => ("schedule", "时段"),
            Self::Visit(..) => ("visitor", "访客"),
            Self::Block(_) => ("blocked plate", "黑名单"),
            Self::Closure(_) => ("closure", "封闭"),
            Self::Pass(_) => ("pass", "通行证"),
            Self::Rules => ("rules", "规则"),
        }
    }

    /// The record in Chinese, for example `住户 3-2-501`.
    pub fn chinese(&self) -> String {
        let (_, kind) = self.kind();
        format!("{kind} {}", self.text()).trim_end().to_owned()
    }

    /// The key within its kind, as text.
    pub fn text(&self) -> String {
        match self {
            Self::Vehicle(plate) | Self::Block(plate) => plate.as_str().to_owned(),
            Self::Household(id) | Self::Space(id) | Self::Schedule(id) | Self::Closure(id) => {
                id.as_str().to_owned()
            }
            Self::Visit(plate, from) => format!("{plate}@{from}"),
            Self::Pass(number) => number.to_string(),
            Self::Rules => String::new(),
        }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, _) = self.kind();
        match self {
            Self::Rules => f.write_str(kind),
            _ => write!(f, "{kind} {}", self.text()),
        }
    }
}

/// Every record but the vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    records: BTreeMap<RecordKey, Record>,
}

impl Book {
    /// A book of these records; vehicles among them are left out.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        Self {
            records: records
                .into_iter()
                .filter(|r| !matches!(r, Record::Vehicle(_)))
                .map(|r| (r.key(), r))
                .collect(),
        }
    }

    /// Every record in order of its key.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record under a key.
    pub fn get(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key)
    }

    /// A household.
    pub fn household(&self, id: &Label) -> Option<&Household> {
        match self.records.get(&RecordKey::Household(id.clone())) {
            Some(Record::Household(household)) => Some(household),
            _ => None,
        }
    }

    /// A schedule.
    pub fn schedule(&self, id: &Label) -> Option<&Schedule> {
        match self.records.get(&RecordKey::Schedule(id.clone())) {
            Some(Record::Schedule(schedule)) => Some(schedule),
            _ => None,
        }
    }

    /// Whether a plate is blocked, and why.
    pub fn block(&self, plate: &PlateNumber) -> Option<&Block> {
        match self.records.get(&RecordKey::Block(plate.clone())) {
            Some(Record::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// The compound's rules.
    pub fn rules(&self) -> Rules {
        match self.records.get(&RecordKey::Rules) {
            Some(Record::Rules(rules)) => rules.clone(),
            _ => Rules::default(),
        }
    }

    /// All spaces.
    pub fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.records().filter_map(|r| match r {
            Record::Space(space) => Some(space),
            _ => None,
        })
    }

    /// All closures.
    pub fn closures(&self) -> impl Iterator<Item = &Closure> {
        self.records().filter_map(|r| match r {
            Record::Closure(closure) => Some(closure),
            _ => None,
        })
    }

    /// All visits, in order of their plates and beginnings.
    pub fn visits(&self) -> impl Iterator<Item = &Visit> {
        self.records().filter_map(|r| match r {
            Record::Visit(visit) => Some(visit),
            _ => None,
        })
    }

    /// A numbered pass.
    pub fn pass(&self, number: PassNumber) -> Option<&Pass> {
        match self.records.get(&RecordKey::Pass(number)) {
            Some(Record::Pass(pass)) => Some(pass),
            _ => None,
        }
    }

    /// All passes, in order of their numbers.
    pub fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.records().filter_map(|r| match r {
            Record::Pass(pass) => Some(pass.as_ref()),
            _ => None,
        })
    }

    /// Puts or takes away one record that is no vehicle; says what was there.
    pub(super) fn apply(&mut self, edit: &Edit) -> Option<Record> {
        match edit {
            Edit::Put(Record::Vehicle(_)) | Edit::Remove(RecordKey::Vehicle(_)) => None,
            Edit::Put(record) => self.records.insert(record.key(), record.clone()),
            Edit::Remove(key) => self.records.remove(key),
        }
    }

    /// The same without records that point at one that is not there: what can be kept of a
    /// damaged register.
    pub(super) fn without_dangling(mut self) -> Self {
        loop {
            let dangling: Vec<RecordKey> = self
                .records()
                .filter(|r| r.needs().iter().any(|to| !self.has(to)))
                .map(Record::key)
                .collect();
            if dangling.is_empty() {
                return self;
            }
            for key in dangling {
                self.records.remove(&key);
            }
        }
    }

    fn has(&self, key: &RecordKey) -> bool {
        self.records.contains_key(key)
    }

    /// Whether everything that points in the register points at something.
    ///
    /// # Errors
    /// The first [`EditError::Dangling`].
    pub(super) fn check_pointers<'a>(
        &self,
        vehicles: impl Iterator<Item = &'a Vehicle>,
    ) -> Result<(), EditError> {
        let check = |from: &dyn Fn() -> RecordKey, to: RecordKey| {
            if self.has(&to) {
                Ok(())
            } else {
                Err(EditError::Dangling { from: from(), to })
            }
        };
        for record in self.records.values() {
            for to in record.needs() {
                check(&|| record.key(), to)?;
            }
        }
        for vehicle in vehicles {
            let from = || RecordKey::Vehicle(vehicle.plate.clone());
            if let Some(id) = &vehicle.household {
                check(&from, RecordKey::Household(id.clone()))?;
            }
            if let Some(id) = &vehicle.schedule {
                check(&from, RecordKey::Schedule(id.clone()))?;
            }
        }
        Ok(())
    }
}
