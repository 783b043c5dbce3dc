//! What the journal is told of a change: what was there before, what is there now.

use std::cmp::Ordering;

use domain::event::{RecordChange, RowCounts};
use serde_json::{Map, Value};

use super::Vehicle;
use super::book::{Book, Record, RecordKey};

/// Characters of a text that the journal keeps; the register keeps all of them.
const KEPT: usize = 100;
/// Differing rows that an import's journal entry names.
pub(super) const NAMED: usize = 20;

/// The note on one record: of a change only the fields that differ.
pub(crate) fn note(
    key: &RecordKey,
    before: Option<&Record>,
    after: Option<&Record>,
) -> RecordChange {
    let (before, after) = difference(before, after);
    RecordChange {
        record: word(key).to_owned(),
        key: key.text(),
        before,
        after,
    }
}

/// Before and after as the journal keeps them.
pub(crate) fn difference(
    before: Option<&Record>,
    after: Option<&Record>,
) -> (Option<Value>, Option<Value>) {
    let (before, after) = (before.map(fields), after.map(fields));
    let kept = |one: &Map<String, Value>, other: Option<&Map<String, Value>>| {
        let differs =
            |name: &String, value: &Value| other.is_none_or(|o| o.get(name) != Some(value));
        let fields = one.iter().filter(|(name, value)| differs(name, value));
        let fields = fields.map(|(name, value)| (name.clone(), shortened(value)));
        Value::Object(fields.collect())
    };
    (
        before.as_ref().map(|b| kept(b, after.as_ref())),
        after.as_ref().map(|a| kept(a, before.as_ref())),
    )
}

pub(super) fn word(key: &RecordKey) -> &'static str {
    match key {
        RecordKey::Vehicle(_) => "vehicle",
        RecordKey::Household(_) => "household",
        RecordKey::Space(_) => "space",
        RecordKey::Schedule(_) => "schedule",
        RecordKey::Visit(..) => "visit",
        RecordKey::Block(_) => "block",
        RecordKey::Closure(_) => "closure",
        RecordKey::Pass(_) => "pass",
        RecordKey::Rules => "rules",
    }
}

pub(super) fn fields(record: &Record) -> Map<String, Value> {
    let mut fields = match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        // Records are structures, which JSON writes as objects.
        _ => Map::new(),
    };
    fields.remove("record");
    fields
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > KEPT => {
            Value::String(text.chars().take(KEPT).chain(['…']).collect())
        }
        other => other.clone(),
    }
}

/// How a list differs from the register that it replaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Rows that came, changed, went.
    pub rows: RowCounts,
    /// The first of them, and households that came in with the list.
    pub records: Vec<RecordChange>,
}

impl Difference {
    pub(super) fn name(
        &mut self,
        key: &RecordKey,
        before: Option<&Record>,
        after: Option<&Record>,
    ) {
        if self.records.len() < NAMED {
            self.records.push(note(key, before, after));
        }
    }

    /// Counts and names the records of other kinds that differ.
    pub(super) fn compare_books(&mut self, old: &Book, new: &Book) {
        for record in old.records() {
            let key = record.key();
            if new.get(&key).is_none() {
                self.rows.removed += 1;
                self.name(&key, Some(record), None);
            }
        }
        for record in new.records() {
            let key = record.key();
            match old.get(&key) {
                Some(before) if before == record => {}
                Some(before) => {
                    self.rows.changed += 1;
                    self.name(&key, Some(before), Some(record));
                }
                None => {
                    self.rows.added += 1;
                    self.name(&key, None, Some(record));
                }
            }
        }
    }

    /// Counts and names what differs; both lists are in order of their plates.
    pub(super) fn compare(&mut self, old: &[Vehicle], new: &[Vehicle]) {
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let (before, after) = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => (old.next(), None),
                (None, Some(_)) => (None, new.next()),
                (Some(a), Some(b)) => match a.plate.cmp(&b.plate) {
                    Ordering::Less => (old.next(), None),
                    Ordering::Equal => (old.next(), new.next()),
                    Ordering::Greater => (None, new.next()),
                },
            };
            match (before, after) {
                (Some(a), Some(b)) if a == b => continue,
                (Some(_), Some(_)) => self.rows.changed += 1,
                (Some(_), None) => self.rows.removed += 1,
                (None, _) => self.rows.added += 1,
            }
            if self.records.len() < NAMED {
                let record = |v: &Vehicle| Record::Vehicle(Box::new(v.clone()));
                let (before, after) = (before.map(record), after.map(record));
                if let Some(one) = before.as_ref().or(after.as_ref()) {
                    self.name(&one.key(), before.as_ref(), after.as_ref());
                }
            }
        }
    }
}
