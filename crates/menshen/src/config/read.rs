//! From a table of the file to a typed value, with everything that is wrong on the way.
//!
//! serde stops at the first mistake. [`read`] notes it with its place, takes the offending key
//! out of the table and tries again, until what is left can be read or nothing more can be
//! learnt. So the types themselves say which keys exist; there is no second list to keep.

use domain::{Language, Words};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::document::{Document, Path, Step, remove, seek, value_at};
use super::problem::{Problem, Problems, Severity};

/// Nobody mends more than this in one go, and a hostile file must come to an end.
pub(super) const PROBLEMS_MAX: usize = 50;

/// What was found so far.
pub(super) struct Findings<'d, 't> {
    doc: &'d Document<'t>,
    list: Vec<Problem>,
    broken: Vec<Path>,
}

impl<'d, 't> Findings<'d, 't> {
    pub(super) fn new(doc: &'d Document<'t>) -> Self {
        Self {
            doc,
            list: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// Notes a problem, unless it only follows from one that was noted before.
    pub(super) fn add(&mut self, severity: Severity, path: &Path, wrong: Words, cure: Words) {
        if self.is_broken(path) || self.list.len() > PROBLEMS_MAX {
            return;
        }
        self.list.push(Problem {
            severity,
            place: self.doc.place(path),
            key: path.to_string(),
            wrong,
            cure,
        });
    }

    pub(super) fn error(&mut self, path: &Path, wrong: Words, cure: Words) {
        self.add(Severity::Error, path, wrong, cure);
    }

    pub(super) fn warning(&mut self, path: &Path, wrong: Words, cure: Words) {
        self.add(Severity::Warning, path, wrong, cure);
    }

    pub(super) fn note(&mut self, path: &Path, wrong: Words, cure: Words) {
        self.add(Severity::Note, path, wrong, cure);
    }

    /// From now on nothing is said about `path` and what lies below it.
    pub(super) fn mark_broken(&mut self, path: Path) {
        self.broken.push(path);
    }

    /// Whether something about `path` was refused, so that nothing can be concluded from it.
    pub(super) fn is_broken(&self, path: &Path) -> bool {
        self.broken.iter().any(|broken| path.is_within(broken))
    }

    pub(super) fn any_error(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// Everything noted, in the order of the file.
    pub(super) fn finish(mut self, file: &str, language: Language) -> Problems {
        // What has no place in the file comes last.
        self.list.sort_by_key(|p| (p.place.is_none(), p.place));
        Problems {
            file: file.to_owned(),
            language,
            list: self.list,
        }
    }
}

/// Reads `value`, which stands at `path`; `None` if it is too broken to go on with.
///
/// What is returned after a mistake lacks the keys that were refused, and
/// [`Findings::is_broken`] knows them.
pub(super) fn read<T: DeserializeOwned>(
    value: &Spanned<DeValue<'_>>,
    path: &Path,
    findings: &mut Findings<'_, '_>,
) -> Option<T> {
    let mut value = value.clone();
    for _ in 0..PROBLEMS_MAX {
        let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let at = error
            .span()
            .and_then(|span| seek(&value, &span, path))
            .unwrap_or_else(|| path.clone());
        if let Some(field) = missing_field(error.message()) {
            let missing = at.key(field);
            findings.error(
                &missing,
                Words::new(format!("缺少 {field}"), format!("{field} is missing")),
                example(field),
            );
            findings.mark_broken(missing);
        } else {
            let found = value_at(&value, at.below(path));
            let key = match at.below(path).last() {
                Some(Step::Key(key)) => key.as_str(),
                _ => "",
            };
            let (wrong, cure) = translate(error.message(), key, found);
            findings.error(&at, wrong, cure);
        }
        findings.mark_broken(at.clone());
        let steps = at.below(path).to_vec();
        if !remove(&mut value, &steps) {
            return None;
        }
    }
    None
}

/// The keys that a table of type `T` may have, as the type itself names them.
pub(super) fn known_keys<T: DeserializeOwned>() -> Vec<String> {
    /// A key that no table has.
    const NO_KEY: &str = "\u{0}";
    let mut table = DeTable::new();
    table.insert(
        Spanned::new(0..0, NO_KEY.into()),
        Spanned::new(0..0, DeValue::Boolean(true)),
    );
    let value = Spanned::new(0..0, DeValue::Table(table));
    match T::deserialize(ValueDeserializer::from(value)) {
        Ok(_) => Vec::new(),
        Err(error) => unknown(error.message(), "field")
            .map(|(_, known)| known)
            .unwrap_or_default(),
    }
}

fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The name that was refused and those that are known, out of serde's words. The name may
/// hold anything, the known ones are ours.
fn unknown<'m>(message: &'m str, what: &str) -> Option<(&'m str, Vec<String>)> {
    let rest = message.strip_prefix("unknown ")?.strip_prefix(what)?;
    let rest = rest.strip_prefix(" `")?;
    let (name, known) = match rest.rfind("`, expected ") {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest.split("`, ").next().unwrap_or(rest), ""),
    };
    let known = known.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((name, known.collect()))
}

/// The known name that `name` was most probably meant to be.
pub(super) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '.'], "_");
    let name = plain(name);
    known
        .iter()
        .map(|key| (strsim::jaro_winkler(&name, &plain(key)), key))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key.as_str())
}

/// What is said about a name that does not exist, given those that do.
pub(super) fn unknown_name(name: &str, known: &[String]) -> Words {
    let all = known.join(", ");
    match nearest(name, known) {
        Some(near) => Words::new(
            format!("是不是 {near}？这里可用: {all}"),
            format!("did you mean {near}? known here: {all}"),
        ),
        None => Words::new(
            format!("删去，或改用: {all}"),
            format!("remove it, or use one of: {all}"),
        ),
    }
}

/// Words that people call a password by.
fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["pass", "pwd", "secret", "token", "密码"]
        .iter()
        .any(|word| key.contains(word))
}

pub(super) fn secret_cure() -> Words {
    Words::new(
        "把密码单独写进只有本程序能读的文件（权限 0640），并写 password_file = \"/etc/menshen/camera.secret\"；或用 systemd 凭据: password_credential = \"名称\"",
        "put it alone into a file that only this program may read (mode 0640) and write password_file = \"/etc/menshen/camera.secret\", or use a systemd credential: password_credential = \"NAME\"",
    )
}

fn translate(message: &str, key: &str, found: Option<&DeValue<'_>>) -> (Words, Words) {
    if let Some((name, known)) = unknown(message, "field") {
        if is_secret(name) {
            return (
                Words::new(
                    format!("没有 {name} 这个键：密码不写在本文件里"),
                    format!("there is no key {name}: passwords do not stand in this file"),
                ),
                secret_cure(),
            );
        }
        return (
            Words::new(
                format!("没有 {name} 这个键"),
                format!("there is no key {name}"),
            ),
            misplaced(name, &known).unwrap_or_else(|| unknown_name(name, &known)),
        );
    }
    if let Some((name, known)) = unknown(message, "variant") {
        let quoted: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
        let all = quoted.join(", ");
        let near = nearest(name, &known);
        return (
            Words::new(
                format!("不能是 {name:?}"),
                format!("{name:?} is not possible here"),
            ),
            match near {
                Some(near) => Words::new(
                    format!("是不是 \"{near}\"？可用: {all}"),
                    format!("did you mean \"{near}\"? possible are {all}"),
                ),
                None => Words::new(format!("可用: {all}"), format!("use one of {all}")),
            },
        );
    }
    let expected = message
        .strip_prefix("invalid ")
        .and_then(|rest| Some(&rest[rest.rfind(", expected ")? + ", expected ".len()..]));
    let expected = match message {
        "wanted string or table" => Some("a string"),
        _ => expected,
    };
    let Some(expected) = expected else {
        // Our own types say what is wrong and, after a semicolon, what to do; others only the
        // former.
        let (wrong, cure) = message
            .split_once("; ")
            .unwrap_or(("the value is wrong", message));
        if message.contains("a-z, 0-9") {
            return (
                Words::new("这个名称不能用", wrong),
                Words::new(
                    "用 1 到 32 个小写字母、数字或连字符，例如 \"east-gate\"；名称会成为 MQTT 主题和文件名",
                    cure,
                ),
            );
        }
        return (Words::new("值不对", wrong), Words::as_it_is(cure));
    };
    let what = found.map_or_else(|| Words::new("这个值", "this value"), describe);
    (
        Words::new(
            format!("{}不合适", what.in_language(Language::Zh)),
            format!("{} does not fit here", what.in_language(Language::En)),
        ),
        wanted(expected, key),
    )
}

/// A value by its sort; texts are shown only where they cannot be secrets.
fn describe(value: &DeValue<'_>) -> Words {
    match value {
        DeValue::String(text) if text.chars().count() <= 16 => {
            Words::new(format!("文字 {text:?} "), format!("the text {text:?}"))
        }
        DeValue::String(_) => Words::new("这段文字", "this text"),
        DeValue::Integer(number) => {
            Words::new(format!("整数 {number} "), format!("the number {number}"))
        }
        DeValue::Float(number) => {
            Words::new(format!("小数 {number} "), format!("the number {number}"))
        }
        DeValue::Boolean(truth) => Words::new(format!("{truth} "), truth.to_string()),
        DeValue::Datetime(_) => Words::new("日期", "a date"),
        DeValue::Array(_) => Words::new("方括号列表", "a list"),
        DeValue::Table(_) => Words::new("表", "a table"),
    }
}

/// What must stand there, with an example.
fn wanted(expected: &str, key: &str) -> Words {
    let key = if key.is_empty() { "key" } else { key };
    match expected {
        "a duration" => Words::new(
            format!("写成带单位的时长，例如 {key} = \"3s\"（还可用 \"500ms\"、\"10m\"、\"30d\"）"),
            format!(
                "write a duration with its unit, for example {key} = \"3s\" (or \"500ms\", \"10m\", \"30d\")"
            ),
        ),
        "a size" => Words::new(
            format!("写成带单位的大小，例如 {key} = \"2GB\"（还可用 \"512MB\"）"),
            format!("write a size with its unit, for example {key} = \"2GB\" (or \"512MB\")"),
        ),
        "a boolean" => Words::new(
            format!("写 {key} = true 或 {key} = false，不加引号"),
            format!("write {key} = true or {key} = false, without quotes"),
        ),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => Words::new(
            format!("写不带引号的非负整数，例如 {key} = 17"),
            format!("write a whole number, 0 or more and without quotes, for example {key} = 17"),
        ),
        "f32" | "f64" => Words::new(
            format!("写不带引号的数，例如 {key} = 5.0"),
            format!("write a number without quotes, for example {key} = 5.0"),
        ),
        "a string" | "string" | "path string" => Words::new(
            format!("写成英文双引号里的文字，例如 {key} = \"...\""),
            format!("write a text in straight double quotes, for example {key} = \"...\""),
        ),
        _ if expected.starts_with("struct ") || expected == "a map" => Words::new(
            format!(
                "写成花括号里的表，{}",
                example(key).in_language(Language::Zh)
            ),
            format!(
                "write a table in braces, {}",
                example(key).in_language(Language::En)
            ),
        ),
        other => Words::new(format!("写 {other}"), format!("write {other}")),
    }
}

/// How a key is written that somebody forgot.
fn example(key: &str) -> Words {
    let line = match key {
        "relay" => "relay = { driver = \"gpiochip\", line = 17 }",
        "driver" => "driver = \"gpiochip\"",
        "kind" => "kind = \"rtsp\"",
        "host" => "host = \"127.0.0.1\"",
        "arrival_loop" | "safety_loop" | "light_beam" | "guard_button" | "fire" | "stop"
        | "opened_limit" | "closed_limit" => {
            return Words::new(
                format!("例如 {key} = {{ line = 23 }}"),
                format!("for example {key} = {{ line = 23 }}"),
            );
        }
        "camera" => "[lane.camera]",
        "site" => "[site]",
        "store" => "[store]",
        "mqtt" => "[mqtt]",
        _ => {
            return Words::new(
                format!("补上 {key} = ...（见 config/menshen.toml）"),
                format!("add {key} = ... (see config/menshen.toml)"),
            );
        }
    };
    Words::new(format!("例如 {line}"), format!("for example {line}"))
}

/// Where a key belongs that is right but stands in the wrong table, and what this table knows.
pub(super) fn misplaced(name: &str, known: &[String]) -> Option<Words> {
    let headers: Vec<_> = super::file::tables()
        .into_iter()
        .filter(|(_, keys)| keys.iter().any(|key| key == name))
        .map(|(header, _)| header)
        .collect();
    if headers.is_empty() {
        return None;
    }
    let there = Words::new(
        format!("{name} 写在 {} 里，移到那里", headers.join(" 或 ")),
        format!(
            "{name} belongs below {}; move it there",
            headers.join(" or ")
        ),
    );
    if known.is_empty() {
        return Some(there);
    }
    Some(Words::new(
        format!("{}；这里认得 {}", there.chinese, known.join("、")),
        format!("{}; here one can write {}", there.english, known.join(", ")),
    ))
}
