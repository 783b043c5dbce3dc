//! `menshen replay`: a recorded verdict reached again, and compared with the record.
//!
//! ```text
//! number, id or file ─► entries ─┐
//! register, changes since then ──┴► register of then ─► policy ─► compared byte for byte
//! ```

use std::io::Read as _;
use std::path::{Path, PathBuf};

use access::policy::{
    Margins, PolicyInput, Scores, explain, replay_picture, replay_verdict, seen as seen_again,
};
use access::registry::RegistryView;
use access::registry::book::Book;
use access::registry::past::Past;
use domain::reading::SLOTS;
use domain::verdict::{Evidence, Scored};
use domain::{Alphabet, Direction, Entry, Event, Verdict};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;
use vision::models::Models;

use crate::journal::{Reader, Stored};
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};
use crate::read::alternatives;
use crate::registry::{Change, Desk, Place};

/// Arguments of `menshen replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples / 例:
  menshen replay 1284                                    the journal's entry 1284 / 第 1284 条记录
  menshen replay 01a20d9f-9e2a-71a3-9c26-ec172b4045db    an entry or a passage by its id / 按编号
  menshen replay event.json                              an entry, or an event as it came by MQTT
  menshen replay --picture - < event.json                without the register / 不用登记库

The register is wound back, by what the journal says of its changes, to the version that the verdict
was reached against. Where that is not possible (a whole list was imported since), --picture decides
again on the picture alone: which plates explain it how well, but not what the register's rules said.
登记库会按记录退回到当时的版本；退不回去时（例如之后导入过整张表），用 --picture 只核对图片部分。
Exit status: 0 the same, 1 different or not found, 2 wrong usage, or it cannot be decided again.")]
pub(crate) struct ReplayArgs {
    /// Number or id of an entry, id of a passage, a file, or - for standard input / 编号或文件
    event: String,
    /// Only what the picture showed; the register's rules are not asked / 只核对图片部分
    #[arg(long)]
    picture: bool,
    /// Models of another folder instead of the configuration's / 使用其他模型目录
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Where events are looked for.
enum Named {
    Number(u64),
    Id(Uuid),
    File(PathBuf),
}

/// Decides again and gives the exit status.
pub(crate) fn run(args: &ReplayArgs) -> u8 {
    match replay_all(args) {
        Ok(true) => DONE,
        Ok(false) => FOUND_WRONG,
        Err(status) => status,
    }
}

fn named(text: &str) -> Named {
    let number = text.parse().map(Named::Number);
    let id = || text.parse().map(Named::Id);
    number
        .or_else(|_| id())
        .unwrap_or_else(|_| Named::File(text.into()))
}

/// Whether every verdict that was found came out the same.
fn replay_all(args: &ReplayArgs) -> Result<bool, u8> {
    let named = named(&args.event);
    let given = match &named {
        Named::File(path) => Some(from_file(path)?),
        Named::Number(_) | Named::Id(_) => None,
    };
    // A picture of somebody else's gate needs no gate here.
    let mut desk = match (&given, args.picture) {
        (Some(_), true) => None,
        _ => Some(args.place.desk()?),
    };
    let models = match (&args.models, &desk) {
        (Some(folder), _) => Models::load(folder),
        (None, Some(_)) => match &args.place.house()?.models.folder {
            Some(folder) => Models::load(folder),
            None => Models::embedded(),
        },
        (None, None) => Models::embedded(),
    }
    .map_err(|e| fail(WRONG_USAGE, e))?;
    let events = match (given, &mut desk) {
        (Some(stored), _) => vec![stored],
        (None, Some(desk)) => find(&named, desk, args)?,
        (None, None) => Vec::new(),
    };
    let mut same = true;
    for (at, stored) in events.iter().enumerate() {
        if at > 0 {
            println!();
        }
        same &= one(stored, desk.as_mut(), args, models.alphabet())?;
    }
    Ok(same)
}

/// What a file may hold: an entry, or the envelope in which one was sent.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

fn from_file(path: &Path) -> Result<Stored, u8> {
    let shown = path.display();
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|t| text = t)
    };
    read.map_err(|e| {
        fail(
            WRONG_USAGE,
            format_args!("{shown}: {e}; give a number, an id, a file, or - / 请给出编号或文件"),
        )
    })?;
    let text = match serde_json::from_str::<Envelope<'_>>(&text) {
        Ok(envelope) => envelope.data.get().to_owned(),
        Err(_) => text.trim().to_owned(),
    };
    match serde_json::from_str::<Entry>(&text) {
        Ok(entry) if matches!(entry.event, Event::Verdict { .. }) => Ok(Stored { entry, text }),
        Ok(entry) => Err(fail(
            WRONG_USAGE,
            format_args!(
                "{shown}: the event is a {}, only a verdict can be reached again / 不是放行判断",
                entry.event.kind()
            ),
        )),
        Err(e) => Err(fail(
            WRONG_USAGE,
            format_args!(
                "{shown}: neither an entry of the journal nor an event as sent by MQTT: {e} / 不是一条记录"
            ),
        )),
    }
}

/// The verdicts of that number, id or passage, in order; at least one.
fn find(named: &Named, desk: &mut Desk, args: &ReplayArgs) -> Result<Vec<Stored>, u8> {
    let by = args.place.by();
    let mut reader = Reader { desk, by };
    let mut found = Vec::new();
    match named {
        Named::Number(seq) => found.extend(reader.numbered(*seq)?),
        Named::Id(id) => {
            let text = id.to_string();
            reader.backwards(
                |entry| entry.contains(&text),
                |piece, oldest| {
                    let older = found.split_off(0);
                    found = piece;
                    found.extend(older);
                    // Ids grow with time, and a passage's own is older than its entries.
                    !found.is_empty() && oldest.id < *id
                },
            )?;
        }
        Named::File(_) => {}
    }
    let is_one = !found.is_empty();
    found.retain(|stored| {
        let Event::Verdict { passage, .. } = &stored.entry.event else {
            return false;
        };
        match named {
            Named::Id(id) => stored.entry.id == *id || passage.0 == *id,
            Named::Number(_) | Named::File(_) => true,
        }
    });
    if found.is_empty() {
        return Err(fail(
            FOUND_WRONG,
            if is_one {
                format!(
                    "{}: there is no verdict in it; replay takes the number or the id of a verdict, or the id of a passage that got one / 该记录不含放行判断",
                    args.event
                )
            } else {
                format!(
                    "{}: the journal does not have it, or not any more / 记录中没有该编号，或已清除",
                    args.event
                )
            },
        ));
    }
    Ok(found)
}

/// Shows one verdict, decides again and compares; whether both are the same.
fn one(
    stored: &Stored,
    desk: Option<&mut Desk>,
    args: &ReplayArgs,
    alphabet: &Alphabet,
) -> Result<bool, u8> {
    let Event::Verdict {
        passage,
        lane,
        verdict,
        ..
    } = &stored.entry.event
    else {
        return Ok(true);
    };
    let entry = &stored.entry;
    println!(
        "entry {}, {}, lane {lane}, passage {passage} / 第 {} 条记录",
        entry.seq, entry.time, entry.seq
    );
    show(verdict, alphabet)?;
    if verdict.reason.follows_another() {
        println!(
            "a person, a pass that was held up, or time decided; only the evidence of the verdict before is reached again / 由人、所出示的通行证或超时决定，只核对此前的依据"
        );
    }
    let again = if args.picture {
        picture_again(verdict, alphabet)?
    } else {
        let Some(desk) = desk else {
            return Ok(false);
        };
        whole_again(stored, verdict, desk, args, alphabet)?
    };
    compare(&stored.text, verdict, &again)
}

/// What was seen, which plates explain it, by how much, and what came of it.
fn show(verdict: &Verdict, alphabet: &Alphabet) -> Result<(), u8> {
    let evidence = &verdict.evidence;
    let sighting = seen_again(evidence, alphabet).map_err(|e| fail(WRONG_USAGE, e))?;
    match &sighting {
        None => println!("no plate was found / 未见车牌"),
        Some(sighting) => {
            let kind = sighting.kind.map_or(String::new(), |k| format!(", {k}"));
            println!(
                "characters, from {} readings{kind} / 各位字符（{} 次识别）:",
                sighting.readings, sighting.readings
            );
            for slot in 0..SLOTS {
                let list = alternatives(&sighting.matrix, alphabet, slot);
                let list = list.iter().map(|(character, p)| {
                    let character = if character.is_empty() { "-" } else { character };
                    format!("{character} {p:.3}")
                });
                println!("  {}  {}", slot + 1, list.collect::<Vec<_>>().join("  "));
            }
        }
    }
    let candidate = |title: &str, scored: &Option<Scored>| {
        if let Some(scored) = scored {
            let nats = scored.score.nats();
            println!("  {title}  {}  {nats:.2}", scored.plate.dotted());
        }
    };
    println!("how well plates explain it, in nats / 各候选号码的对数似然:");
    candidate("best registered 最佳登记号码", &evidence.registered);
    candidate("second registered 次佳登记号码", &evidence.runner_up);
    candidate("best stranger 最佳未登记号码", &evidence.stranger);
    if let Some(margins) = evidence
        .circumstances
        .as_ref()
        .and_then(|then| Margins::from_names(&then.margins))
    {
        show_margins(evidence, margins);
    }
    println!("{}", explain(verdict));
    Ok(())
}

fn show_margins(evidence: &Evidence, margins: Margins) {
    let score = |scored: &Option<Scored>| scored.as_ref().map(|s| s.score);
    let scores = Scores {
        registered: score(&evidence.registered),
        runner_up: score(&evidence.runner_up),
        stranger: score(&evidence.stranger),
    };
    println!("margins: reached, needed / 界限：实际、要求:");
    let lead = |title: &str, a: Option<_>, b: Option<_>, needed: domain::reading::Score| {
        let (Some(a), Some(b)): (
            Option<domain::reading::Score>,
            Option<domain::reading::Score>,
        ) = (a, b) else {
            return;
        };
        println!(
            "  {title}  {:.2}  {:.2}",
            a.nats() - b.nats(),
            needed.nats()
        );
    };
    let Scores {
        registered,
        runner_up,
        stranger,
    } = scores;
    let over = margins.over_stranger;
    lead("over the stranger 领先陌生号码", registered, stranger, over);
    let over = margins.over_runner_up;
    lead("over the second 领先次佳", registered, runner_up, over);
    let over = margins.over_registered;
    lead(
        "stranger over registered 陌生领先",
        stranger,
        registered,
        over,
    );
    if let Some(best) = registered {
        let (best, least) = (best.nats(), margins.least_score.nats());
        println!("  by itself 自身  {best:.2}  {least:.2}");
    }
}

fn picture_again(verdict: &Verdict, alphabet: &Alphabet) -> Result<Verdict, u8> {
    let evidence = replay_picture(&verdict.evidence, alphabet).map_err(|e| fail(WRONG_USAGE, e))?;
    Ok(Verdict {
        evidence,
        ..verdict.clone()
    })
}

fn whole_again(
    stored: &Stored,
    verdict: &Verdict,
    desk: &mut Desk,
    args: &ReplayArgs,
    alphabet: &Alphabet,
) -> Result<Verdict, u8> {
    let evidence = &verdict.evidence;
    let view = register_of(evidence.registry_version, stored.entry.seq, desk, args)?;
    let margins = Margins::default();
    let input = PolicyInput {
        sighting: None,
        registry: view.as_ref(),
        alphabet,
        // Circumstances say these; verdicts without any were all of entry lanes.
        direction: Direction::Entry,
        today: None,
        final_look: true,
        margins: &margins,
    };
    let again = replay_verdict(verdict, &input).map_err(|e| {
        fail(
            WRONG_USAGE,
            format_args!("{e}; --picture needs no register / 可用 --picture 只核对图片部分"),
        )
    })?;
    again.ok_or_else(|| {
        fail(
            FOUND_WRONG,
            "DIFFERENT: this time the picture asks for another look / 不同：重算时需要再看一眼",
        )
    })
}

/// The register at a version: that of now, with everything taken back that changed since.
fn register_of(
    version: u64,
    decided_at: u64,
    desk: &mut Desk,
    args: &ReplayArgs,
) -> Result<Option<RegistryView>, u8> {
    if version == 0 {
        return Ok(None);
    }
    let by = args.place.by();
    let now = desk.perform(Change::Everything, by)?;
    let view = RegistryView::with_book(now.version, now.vehicles, Book::of(now.records));
    if view.version() == version {
        return Ok(Some(view));
    }
    let mut changes = Vec::new();
    let mut reader = Reader { desk, by };
    // A verdict may be written down a little after a change that it did not know yet.
    let after = decided_at.saturating_sub(1000);
    reader.forwards(
        after,
        |text| text.contains(r#""type":"registry""#),
        |stored| {
            if let Event::Registry {
                change,
                version: led_to,
                ..
            } = stored.entry.event
                && led_to > version
                && led_to <= view.version()
            {
                changes.push((change, led_to));
            }
        },
    )?;
    let mut past = Past::new(&view);
    for (change, led_to) in changes.iter().rev() {
        past.undo(change, *led_to).map_err(|e| {
            fail(
                WRONG_USAGE,
                format_args!(
                    "the verdict was reached with version {version} of the register, which does not come back: {e}; --picture needs no register / 登记库无法退回第 {version} 版，可用 --picture 只核对图片部分"
                ),
            )
        })?;
    }
    println!(
        "the register was wound back from version {} to {} / 登记库由第 {} 版退回第 {} 版",
        view.version(),
        past.version(),
        view.version(),
        past.version()
    );
    Ok(Some(past.view()))
}

/// The verdict's own text within an entry's.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    event: WrittenEvent<'a>,
}

#[derive(Deserialize)]
struct WrittenEvent<'a> {
    #[serde(borrow)]
    verdict: &'a RawValue,
}

fn compare(text: &str, recorded: &Verdict, again: &Verdict) -> Result<bool, u8> {
    let written: Result<Written<'_>, _> = serde_json::from_str(text);
    let (Ok(written), Ok(new)) = (written, serde_json::to_string(again)) else {
        return Err(fail(FOUND_WRONG, "the verdict cannot be written as JSON"));
    };
    let old = written.event.verdict.get();
    if old == new {
        println!(
            "the same, byte for byte ({} bytes) / 与记录逐字节相同",
            new.len()
        );
        return Ok(true);
    }
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut different = Vec::new();
    differences("", Some(&value(old)), Some(&value(&new)), &mut different);
    if different.is_empty() && recorded == again {
        println!(
            "the same, but the file is laid out otherwise than the record / 内容相同，排版不同"
        );
        return Ok(true);
    }
    println!("DIFFERENT (recorded, this time) / 与记录不同（记录、重算）:");
    for line in different {
        println!("  {line}");
    }
    Ok(false)
}

/// Where two values differ, a line each.
fn differences(path: &str, a: Option<&Value>, b: Option<&Value>, lines: &mut Vec<String>) {
    if a == b {
        return;
    }
    if let (Some(Value::Object(a)), Some(Value::Object(b))) = (a, b) {
        let both = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
        for key in both {
            let path = format!("{path}/{key}");
            differences(&path, a.get(key), b.get(key), lines);
        }
        return;
    }
    let shown = |value: Option<&Value>| {
        let text = value.map_or("-".to_owned(), ToString::to_string);
        match text.char_indices().nth(60) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    };
    lines.push(format!("{path}: {}, {}", shown(a), shown(b)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_event_is_named_by_number_id_or_file() {
        assert!(matches!(named("1284"), Named::Number(1284)));
        assert!(matches!(
            named("01a20d9f-9e2a-71a3-9c26-ec172b4045db"),
            Named::Id(_)
        ));
        assert!(matches!(named("1284.json"), Named::File(_)));
        assert!(matches!(named("-"), Named::File(_)));
    }

    #[test]
    fn differences_are_named_by_their_place() {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let (a, b) = (
            value(r#"{"a":{"b":1,"c":2},"d":"x"}"#),
            value(r#"{"a":{"b":1,"c":3},"e":[1]}"#),
        );
        let mut lines = Vec::new();
        differences("", Some(&a), Some(&b), &mut lines);
        assert_eq!(lines, ["/a/c: 2, 3", r#"/d: "x", -"#, "/e: -, [1]"]);
    }
}
