//! The server's register and this gate's: what is taken over, what stays, who decides.
//!
//! A [`Roll`] is a register as a server has it. The gate's register in force is the roll that was
//! last taken over, but for its [`Departure`]s: records that were changed here since. Taking over
//! the next roll compares three values of every record, what the server had before, what it has
//! now and what is here:
//!
//! | changed here | changed by the server | in force afterwards |
//! |---|---|---|
//! | no | any | the server's |
//! | yes | no | what is here, as a departure |
//! | yes | yes, to the same | it |
//! | yes | yes, otherwise | contested: see below, until a person decides |
//!
//! Of a contested record the value that lets fewer in is in force meanwhile: a vehicle or a visit
//! that one side took out is out, a block or a closure that one side put in holds; of two that
//! differ otherwise the server's. Nothing is lost: a departure keeps both values.
//!
//! So the register in force without its departures is the roll, byte for byte, and the digests of
//! two gates that took over one roll are equal if neither has a departure.
//!
//! Pure: no store, no clock.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::Digest;
use domain::sync::{
    Base, Edition, Manifest, PackError, Page, RegisterVersion, Scope, digest_of, pack, root_of,
};
use serde::{Deserialize, Serialize};

use super::book::{Book, Edit, EditError, Household, Record, RecordKey};
use super::{RegistryView, Vehicle};

/// Whether a record of this key is synchronised within a scope.
pub fn covers(scope: Scope, key: &RecordKey) -> bool {
    match scope {
        Scope::Vehicles => matches!(key, RecordKey::Vehicle(_)),
        Scope::Register => !matches!(key, RecordKey::Pass(_)),
    }
}

/// The text by which a record counts in a digest.
///
/// # Errors
/// If it cannot be written as JSON, which every record can.
fn canonical(record: &Record) -> Result<String, serde_json::Error> {
    serde_json::to_string(record)
}

/// Why a roll cannot be read, sent or taken over.
#[derive(Debug, thiserror::Error)]
pub enum RollError {
    /// A change does not belong into it.
    #[error("{key}: {why}")]
    Edit {
        /// Of which record.
        key: Box<RecordKey>,
        /// What is wrong.
        why: &'static str,
    },
    /// A record breaks its own rules, or points at one that is not there.
    #[error(transparent)]
    Record(#[from] EditError),
    /// A page holds something else than changes of records.
    #[error(
        "page {page} holds something else than changes of records, from a newer program perhaps: {source} / 无法识别第 {page} 页"
    )]
    Page {
        /// Its place, from 0.
        page: u32,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A line holds something else than a record.
    #[error(
        "line {line} is no record of a register: {source}; use a file that `menshen registry digest --rows` wrote / 第 {line} 行不是登记记录"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The register that comes out is not the one that was announced.
    #[error(
        "what came out has the digest {found}, the manifest announces {announced}; nothing was changed, send the whole register / 结果与清单不符，未更改"
    )]
    Digest {
        /// What came out.
        found: Digest,
        /// What was announced.
        announced: Digest,
    },
    /// It cannot be put onto pages.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A record could not be written as JSON.
    #[error(
        "a record cannot be written as JSON: {0}; this is a mistake in the program, please report it"
    )]
    Unwritable(#[from] serde_json::Error),
}

/// A register as a server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roll {
    scope: Scope,
    records: BTreeMap<RecordKey, Record>,
}

impl Roll {
    /// A roll without records.
    pub const fn empty(scope: Scope) -> Self {
        Self {
            scope,
            records: BTreeMap::new(),
        }
    }

    /// The roll of these vehicles; of two with one plate the later counts.
    pub fn of_vehicles(vehicles: Vec<Vehicle>) -> Self {
        let records = vehicles.into_iter().map(|v| Record::Vehicle(Box::new(v)));
        Self {
            scope: Scope::Vehicles,
            records: records.map(|r| (r.key(), r)).collect(),
        }
    }

    /// What of a register in force belongs to a scope.
    pub fn in_force(view: &RegistryView, scope: Scope) -> Self {
        Self {
            scope,
            records: records_of(view)
                .filter(|record| covers(scope, &record.key()))
                .map(|record| (record.key(), record))
                .collect(),
        }
    }

    /// Reads a roll as [`Self::rows`] wrote it. What does not belong to the scope is left out.
    ///
    /// # Errors
    /// [`RollError`] names the line that is no record, or the record that breaks its rules.
    pub fn read(text: &str, scope: Scope) -> Result<Self, RollError> {
        let mut roll = Self::empty(scope);
        for (line, row) in (1..).zip(text.lines()) {
            let record: Record =
                serde_json::from_str(row).map_err(|source| RollError::Line { line, source })?;
            record.check()?;
            if covers(scope, &record.key()) {
                roll.records.insert(record.key(), record);
            }
        }
        Ok(roll)
    }

    /// Its scope.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Its records' texts, which its digest is over, in the order of their bytes.
    ///
    /// # Errors
    /// If one cannot be written as JSON, which every record can.
    pub fn rows(&self) -> Result<Vec<String>, serde_json::Error> {
        let rows: Result<Vec<_>, _> = self.records.values().map(canonical).collect();
        let mut rows = rows?;
        rows.sort_unstable();
        Ok(rows)
    }

    /// Its digest.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(digest_of(self.rows()?))
    }

    /// The manifest and the pages that carry it to a gate: all of it, or how it differs from what
    /// the gate took over before.
    ///
    /// # Errors
    /// [`RollError::Pack`] if it cannot be put onto pages.
    pub fn offer(
        &self,
        version: RegisterVersion,
        before: Option<(RegisterVersion, &Self)>,
        why: &str,
    ) -> Result<(Manifest, Vec<Page>), RollError> {
        let empty = BTreeMap::new();
        let held = before.map_or(&empty, |(_, roll)| &roll.records);
        let gone = held.keys().filter(|key| !self.records.contains_key(key));
        let gone = gone.map(|key| Edit::Remove(key.clone()));
        let new = self.records.iter();
        let new = new.filter(|(key, record)| held.get(key) != Some(record));
        let new = new.map(|(_, record)| Edit::Put(record.clone()));
        let edits: Result<Vec<String>, _> = gone
            .chain(new)
            .map(|edit| serde_json::to_string(&edit))
            .collect();
        let pages = pack(&edits?)?;
        let base = match before {
            Some((version, roll)) => Some(Base {
                version,
                digest: roll.digest()?,
            }),
            None => None,
        };
        let manifest = Manifest {
            version,
            scope: self.scope,
            base,
            pages: pages.len() as u32,
            root: root_of(&pages),
            digest: self.digest()?,
            why: why.to_owned(),
        };
        Ok((manifest, pages))
    }

    /// Makes one change of a transfer.
    fn change(&mut self, edit: Edit, whole: bool) -> Result<(), RollError> {
        let (key, record) = match edit {
            Edit::Put(record) => {
                record.check()?;
                (record.key(), Some(record))
            }
            Edit::Remove(key) => (key, None),
        };
        let wrong = |why| {
            let key = Box::new(key.clone());
            Err(RollError::Edit { key, why })
        };
        if !covers(self.scope, &key) {
            return wrong("is not part of what is synchronised / 不在同步范围内");
        }
        match record {
            Some(record) => {
                let before = self.records.insert(key.clone(), record);
                if whole && before.is_some() {
                    return wrong("stands there twice / 重复");
                }
            }
            None if whole => return wrong("a whole register takes nothing out / 整表不含删除"),
            None if self.records.remove(&key).is_none() => {
                return wrong("is to be taken out and is not there / 要删除的记录不存在");
            }
            None => {}
        }
        Ok(())
    }
}

fn records_of(view: &RegistryView) -> impl Iterator<Item = Record> {
    let vehicles = view.vehicles().iter();
    let vehicles = vehicles.map(|v| Record::Vehicle(Box::new(v.clone())));
    vehicles.chain(view.book().records().cloned())
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// From a change on this gate.
    Here,
    /// From the server.
    Server,
}

/// What is the matter with a departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// Changed here alone; in force.
    Here,
    /// Changed on both sides; a person must decide.
    Contested {
        /// Whose value is in force meanwhile.
        in_force: Side,
    },
    /// A person decided that what is here stays; in force.
    Kept,
}

impl Standing {
    /// Whose value is in force.
    pub const fn in_force(self) -> Side {
        match self {
            Self::Contested { in_force } => in_force,
            Self::Here | Self::Kept => Side::Here,
        }
    }

    /// Whether a person must decide.
    pub const fn is_contested(self) -> bool {
        matches!(self, Self::Contested { .. })
    }
}

/// A record that is otherwise here than in the roll that was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// Which.
    pub key: RecordKey,
    /// The server's; none if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Record>,
    /// This gate's; none if it was taken out here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<Record>,
    /// Which of them is in force, and whether somebody must decide.
    #[serde(flatten)]
    pub standing: Standing,
}

impl Departure {
    /// The value that is in force.
    pub const fn in_force(&self) -> Option<&Record> {
        match self.standing.in_force() {
            Side::Here => self.here.as_ref(),
            Side::Server => self.server.as_ref(),
        }
    }
}

/// All departures of a register, by their keys.
pub type Departures = BTreeMap<RecordKey, Departure>;

/// A record was changed here: keeps what the server's was.
pub(super) fn note_here(
    departures: &mut Departures,
    scope: Option<Scope>,
    key: &RecordKey,
    before: Option<&Record>,
    after: Option<&Record>,
) {
    if !scope.is_some_and(|scope| covers(scope, key)) {
        return;
    }
    let (server, standing) = match departures.remove(key) {
        // Whoever changes a contested record has decided.
        Some(known) if known.standing.is_contested() => (known.server, Standing::Kept),
        Some(known) => (known.server, known.standing),
        None => (before.cloned(), Standing::Here),
    };
    if server.as_ref() != after {
        let departure = Departure {
            key: key.clone(),
            server,
            here: after.cloned(),
            standing,
        };
        departures.insert(key.clone(), departure);
    }
}

/// Of a contested record, the side that lets fewer in.
fn careful(key: &RecordKey, here: Option<&Record>, server: Option<&Record>) -> Side {
    let keeps_out = matches!(key, RecordKey::Block(_) | RecordKey::Closure(_));
    let lets_in = matches!(key, RecordKey::Vehicle(_) | RecordKey::Visit(..));
    let here_is_careful = match (here, server) {
        (None, Some(_)) => lets_in,
        (Some(_), None) => keeps_out,
        _ => false,
    };
    if here_is_careful {
        Side::Here
    } else {
        Side::Server
    }
}

/// A register in which a roll has been taken over, before it is written.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) vehicles: Vec<Vehicle>,
    pub(super) book: Book,
    pub(super) departures: Departures,
}

/// The roll that a transfer ends at: `pages` in their order, over the roll that was taken over
/// before if the manifest is a difference.
///
/// # Errors
/// [`RollError`] if the pages are not sound or lead to another register than was announced.
pub(super) fn arrive(
    view: &RegistryView,
    departures: &Departures,
    manifest: &Manifest,
    pages: &[Page],
) -> Result<Roll, RollError> {
    let mut roll = match manifest.base {
        Some(_) => served(view, departures, manifest.scope),
        None => Roll::empty(manifest.scope),
    };
    for page in pages {
        let edits: Vec<Edit> =
            serde_json::from_str(page.edits.get()).map_err(|source| RollError::Page {
                page: page.index,
                source,
            })?;
        for edit in edits {
            roll.change(edit, manifest.base.is_none())?;
        }
    }
    let found = roll.digest()?;
    if found == manifest.digest {
        Ok(roll)
    } else {
        Err(RollError::Digest {
            found,
            announced: manifest.digest,
        })
    }
}

/// The roll that was taken over: what is in force, without the departures.
pub fn served(view: &RegistryView, departures: &Departures, scope: Scope) -> Roll {
    let mut roll = Roll::in_force(view, scope);
    for (key, departure) in departures.iter().filter(|(key, _)| covers(scope, key)) {
        match &departure.server {
            Some(record) => roll.records.insert(key.clone(), record.clone()),
            None => roll.records.remove(key),
        };
    }
    roll
}

/// Takes a roll over into the register in force.
///
/// # Errors
/// [`RollError::Record`] if a record would point at one that is not there.
pub(super) fn merge(
    view: &RegistryView,
    departures: &Departures,
    before: Option<Edition>,
    roll: &Roll,
) -> Result<Merged, RollError> {
    let held: BTreeMap<RecordKey, Record> = records_of(view).map(|r| (r.key(), r)).collect();
    let keys: BTreeSet<&RecordKey> = held
        .keys()
        .chain(roll.records.keys())
        .chain(departures.keys())
        .collect();
    let mut result: BTreeMap<RecordKey, Record> = BTreeMap::new();
    let mut differing = Departures::new();
    for key in keys {
        if !covers(roll.scope, key) {
            if let Some(record) = held.get(key) {
                result.insert(key.clone(), record.clone());
            }
            // What only the earlier roll spoke of is this gate's own from now on.
            continue;
        }
        let known = departures.get(key);
        let here = known.map_or(held.get(key), |d| d.here.as_ref());
        let spoken_of = before.is_some_and(|edition| covers(edition.scope, key));
        let base = match known {
            Some(departure) => departure.server.as_ref(),
            None if spoken_of => here,
            None => None,
        };
        let server = roll.records.get(key);
        let standing = if here == server || here == base {
            None
        } else if server == base {
            Some(known.map_or(Standing::Here, |d| d.standing))
        } else {
            let in_force = careful(key, here, server);
            Some(Standing::Contested { in_force })
        };
        let departure = standing.map(|standing| Departure {
            key: key.clone(),
            server: server.cloned(),
            here: here.cloned(),
            standing,
        });
        let value = departure.as_ref().map_or(server, Departure::in_force);
        if let Some(record) = value {
            result.insert(key.clone(), record.clone());
        }
        if let Some(departure) = departure {
            differing.insert(key.clone(), departure);
        }
    }
    if roll.scope == Scope::Vehicles {
        add_households(&mut result);
    }
    settle_pointers(result, differing)
}

/// A list of vehicles that names a household is how most of them become known.
fn add_households(records: &mut BTreeMap<RecordKey, Record>) {
    let named: Vec<Household> = records
        .values()
        .filter_map(|record| match record {
            Record::Vehicle(vehicle) => Household::named_by(vehicle),
            _ => None,
        })
        .collect();
    for household in named {
        let record = Record::Household(household);
        records.entry(record.key()).or_insert(record);
    }
}

/// Where a record that stays for a departure's sake would point at nothing, the other side's
/// value is in force instead.
fn settle_pointers(
    mut records: BTreeMap<RecordKey, Record>,
    mut departures: Departures,
) -> Result<Merged, RollError> {
    let mut turned: BTreeSet<RecordKey> = BTreeSet::new();
    loop {
        let (vehicles, book) = split(&records);
        let Err(error) = book.check_pointers(vehicles.iter()) else {
            return Ok(Merged {
                vehicles,
                book,
                departures,
            });
        };
        let EditError::Dangling { from, to } = &error else {
            return Err(error.into());
        };
        let turn = [from, to].into_iter().find(|key| {
            let known = departures.get(key);
            let side = known.map(|d| d.standing.in_force());
            let helps = match side {
                Some(Side::Here) => *key == from || known.is_some_and(|d| d.server.is_some()),
                Some(Side::Server) => known.is_some_and(|d| d.here.is_some()),
                None => false,
            };
            helps && !turned.contains(*key)
        });
        let Some(departure) = turn.and_then(|key| departures.get_mut(key)) else {
            return Err(error.into());
        };
        let in_force = match departure.standing.in_force() {
            Side::Here => Side::Server,
            Side::Server => Side::Here,
        };
        departure.standing = Standing::Contested { in_force };
        match departure.in_force() {
            Some(record) => records.insert(departure.key.clone(), record.clone()),
            None => records.remove(&departure.key),
        };
        turned.insert(departure.key.clone());
    }
}

fn split(records: &BTreeMap<RecordKey, Record>) -> (Vec<Vehicle>, Book) {
    let vehicles = records.values().filter_map(|record| match record {
        Record::Vehicle(vehicle) => Some(vehicle.as_ref().clone()),
        _ => None,
    });
    (vehicles.collect(), Book::of(records.values().cloned()))
}
