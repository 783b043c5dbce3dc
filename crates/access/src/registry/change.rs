//! What the journal is told of a change: what was there before, what is there now.

use domain::event::RecordChange;
use serde_json::{Map, Value};

use super::book::{Record, RecordKey};

/// Characters of a text that the journal keeps; the register keeps all of them.
const KEPT: usize = 100;

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

fn word(key: &RecordKey) -> &'static str {
    match key {
        RecordKey::Vehicle(_) => "vehicle",
        RecordKey::Household(_) => "household",
        RecordKey::Space(_) => "space",
        RecordKey::Schedule(_) => "schedule",
        RecordKey::Visit(..) => "visit",
        RecordKey::Block(_) => "block",
        RecordKey::Closure(_) => "closure",
        RecordKey::Rules => "rules",
    }
}

fn fields(record: &Record) -> Map<String, Value> {
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
