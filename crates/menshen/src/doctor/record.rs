//! The commissioning record: a page to print and sign, and the same for machines.
//!
//! It is written after every item, each time in one step, so that what was found is there even
//! if the power goes in the middle.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use domain::event::Digest;
use domain::{Language, Words};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;

use super::finding::Outcome;
use super::session::{Ending, Session};
use crate::config::{self, House};
use crate::eval::html::Escaped;

/// The version of the JSON.
const FORMAT: u32 = 1;

/// A sentence in both languages, as JSON has it.
#[derive(Debug, Serialize)]
struct Both {
    zh: String,
    en: String,
}

impl From<&Words> for Both {
    fn from(words: &Words) -> Self {
        Self {
            zh: words.chinese.clone(),
            en: words.english.clone(),
        }
    }
}

/// One item of the JSON.
#[derive(Debug, Serialize)]
struct Row {
    item: Both,
    outcome: Outcome,
    seen: Both,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<Both>,
}

/// How many items went how.
#[derive(Debug, Default, Serialize)]
struct Summary {
    good: usize,
    wrong: usize,
    skipped: usize,
    not_reached: usize,
}

/// The JSON.
#[derive(Debug, Serialize)]
struct Sheet<'a> {
    format: u32,
    site: &'a str,
    device: &'a str,
    version: &'a str,
    configuration: &'a str,
    configuration_sha256: &'a str,
    by: &'a str,
    began: String,
    written: String,
    /// `finished`, `interrupted`, or `unfinished` while it goes on.
    ended: &'static str,
    /// Whether the port confirmed at the end that every relay is released; absent before.
    released: Option<bool>,
    all_good: bool,
    summary: Summary,
    items: Vec<Row>,
}

/// Where the record goes and what stands at its head.
#[derive(Debug)]
pub(super) struct Record {
    page: PathBuf,
    json: PathBuf,
    site: String,
    device: String,
    configuration: String,
    digest: String,
    time_zone: TimeZone,
    began: ZonedDateTime,
}

impl Record {
    /// Finds the record's place and writes an empty page there, so that a folder that cannot be
    /// written to is known before anything is tried.
    pub(super) fn begin(house: &House, file: &Path, to: Option<&Path>) -> Result<Self, Words> {
        let text = config::text_of(file).map_err(|problems| {
            Words::new(
                problems.in_language(Language::Zh),
                problems.in_language(Language::En),
            )
        })?;
        let time_zone = house.site.time_zone.clone();
        let began = Timestamp::now().to_zoned_datetime(time_zone.clone());
        let page = to.map_or_else(
            || {
                let stamp = began.strftime("%Y%m%d-%H%M%S");
                PathBuf::from(format!("commissioning-{}-{stamp}.html", house.site.name))
            },
            Path::to_owned,
        );
        let json = page.with_extension("json");
        if json == page {
            return Err(Words::new(
                format!("{}：记录写成网页，文件名用 .html 结尾", page.display()),
                format!(
                    "{}: the record is a page; give a name in .html",
                    page.display()
                ),
            ));
        }
        let record = Self {
            page,
            json,
            site: house.site.name.to_string(),
            device: house.site.device.to_string(),
            configuration: file.display().to_string(),
            digest: Digest::of(text.as_bytes()).to_string(),
            time_zone,
            began,
        };
        replace(&record.page, "")?;
        Ok(record)
    }

    /// Writes page and JSON; `released` says at the end whether every release was confirmed.
    pub(super) fn write(&self, session: &Session, released: Option<bool>) -> Result<(), Words> {
        let sheet = self.sheet(session, released);
        let json =
            serde_json::to_string_pretty(&sheet).map_err(|e| Words::as_it_is(e.to_string()))?;
        replace(&self.json, &(json + "\n"))?;
        replace(&self.page, &page(&sheet))
    }

    fn sheet<'a>(&'a self, session: &'a Session, released: Option<bool>) -> Sheet<'a> {
        let plan = session.plan();
        let items = plan.items.iter().zip(session.findings());
        let rows = items.map(|(item, finding)| Row {
            item: Both::from(&plan.name(item)),
            outcome: finding.outcome,
            seen: Both::from(&finding.seen),
            cure: finding.cure.as_ref().map(Both::from),
        });
        let written = Timestamp::now().to_zoned_datetime(self.time_zone.clone());
        let shown = |time: &ZonedDateTime| time.strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
        Sheet {
            format: FORMAT,
            site: &self.site,
            device: &self.device,
            version: env!("CARGO_PKG_VERSION"),
            configuration: &self.configuration,
            configuration_sha256: &self.digest,
            by: session.who(),
            began: shown(&self.began),
            written: shown(&written),
            ended: match session.ending() {
                Some(Ending::Finished) => "finished",
                Some(Ending::Interrupted) => "interrupted",
                None => "unfinished",
            },
            released,
            all_good: session.all_good() && released == Some(true),
            summary: summary(session),
            items: rows.collect(),
        }
    }

    /// The last words: how many items went how, and where the record is.
    pub(super) fn summary(&self, session: &Session) -> Words {
        let Summary {
            good,
            wrong,
            skipped,
            not_reached,
        } = summary(session);
        let page = self.page.display();
        Words::new(
            format!(
                "正常 {good} 项，有问题 {wrong} 项，跳过 {skipped} 项，未做 {not_reached} 项。记录：{page}"
            ),
            format!(
                "good {good}, wrong {wrong}, skipped {skipped}, not reached {not_reached}. Record: {page}"
            ),
        )
    }
}

fn summary(session: &Session) -> Summary {
    let mut summary = Summary::default();
    for finding in session.findings() {
        match finding.outcome {
            Outcome::Good => summary.good += 1,
            Outcome::Wrong => summary.wrong += 1,
            Outcome::Skipped => summary.skipped += 1,
            Outcome::NotReached => summary.not_reached += 1,
        }
    }
    summary
}

/// Puts a file in its place in one step.
fn replace(path: &Path, text: &str) -> Result<(), Words> {
    let part = path.with_extension("part");
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|why| {
            Words::new(
                format!(
                    "调试记录写不进 {}（{why}）。用 --record 写一个能写的文件，例如 /tmp/gate.html",
                    path.display()
                ),
                format!(
                    "the record cannot be written to {}: {why}; name a file that can be with --record, \
                     for example /tmp/gate.html",
                    path.display()
                ),
            )
        })
}

const STYLE: &str = "\
body{font:14px/1.5 system-ui,'Noto Sans CJK SC','WenQuanYi Micro Hei',sans-serif;margin:2em auto;\
max-width:60em;padding:0 1em;color:#1b1f24}\
h1{font-size:1.4em}table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #9aa4b0;padding:.3em .6em;text-align:left;vertical-align:top}\
th{background:#f3f5f8}td.wrong{font-weight:600;color:#b3261e}td.good{color:#1b6e2d}\
.en{color:#5b6572}.digest{font-family:ui-monospace,monospace;word-break:break-all}\
.sign{margin-top:3em;display:flex;gap:3em}.sign div{flex:1;border-top:1px solid #1b1f24}\
@media print{body{margin:0}}";

fn page(sheet: &Sheet<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut out, sheet);
    out
}

fn write_page(out: &mut String, sheet: &Sheet<'_>) -> std::fmt::Result {
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"zh\"><head><meta charset=\"utf-8\">\
         <title>调试记录 {site}</title><style>{STYLE}</style></head><body>\n\
         <h1>门禁调试记录 <span class=\"en\">Commissioning record</span></h1>\n<table>",
        site = Escaped(sheet.site)
    )?;
    let ended = match sheet.ended {
        "finished" => "做完 finished",
        "interrupted" => "中途结束 interrupted",
        _ => "没有做完 unfinished",
    };
    let released = match sheet.released {
        Some(true) => "已全部断开，已确认 all released, confirmed",
        Some(false) => "没有确认 not confirmed",
        None => "未到结束 not at its end",
    };
    let summary = &sheet.summary;
    let counts = format!(
        "正常 good {} · 有问题 wrong {} · 跳过 skipped {} · 未做 not reached {}",
        summary.good, summary.wrong, summary.skipped, summary.not_reached
    );
    let verdict = if sheet.all_good {
        "全部正常 all good"
    } else {
        "不能交付：见下 not ready: see below"
    };
    for (what, value) in [
        ("小区 site", sheet.site),
        ("设备 device", sheet.device),
        ("程序 program", sheet.version),
        ("配置 configuration", sheet.configuration),
        ("配置摘要 SHA-256", sheet.configuration_sha256),
        ("调试人 by", sheet.by),
        ("开始 began", &sheet.began),
        ("写于 written", &sheet.written),
        ("过程 session", ended),
        ("继电器 relays", released),
        ("小结 summary", &counts),
        ("结论 result", verdict),
    ] {
        let class = if what.ends_with("SHA-256") {
            " class=\"digest\""
        } else {
            ""
        };
        writeln!(
            out,
            "<tr><th>{what}</th><td{class}>{}</td></tr>",
            Escaped(value)
        )?;
    }
    out.push_str(
        "</table>\n<h2>逐项 <span class=\"en\">Items</span></h2>\n<table><tr><th>#</th>\
         <th>项目 item</th><th>结果 result</th><th>看到的 seen · 怎么办 cure</th></tr>\n",
    );
    for (at, row) in sheet.items.iter().enumerate() {
        let words = row.outcome.words();
        let class = match row.outcome {
            Outcome::Good => "good",
            Outcome::Wrong => "wrong",
            Outcome::Skipped | Outcome::NotReached => "open",
        };
        write!(
            out,
            "<tr><td>{}</td><td>{}<br><span class=\"en\">{}</span></td>\
             <td class=\"{class}\">{} {}</td><td>{}<br><span class=\"en\">{}</span>",
            at + 1,
            Escaped(&row.item.zh),
            Escaped(&row.item.en),
            words.chinese,
            words.english,
            Escaped(&row.seen.zh),
            Escaped(&row.seen.en),
        )?;
        if let Some(cure) = &row.cure {
            write!(
                out,
                "<br>→ {}<br><span class=\"en\">→ {}</span>",
                Escaped(&cure.zh),
                Escaped(&cure.en)
            )?;
        }
        out.push_str("</td></tr>\n");
    }
    out.push_str(
        "</table>\n<p>本记录不代替防砸检查：道闸自己的防砸要另外试。<span class=\"en\">This record is no \
         test of the barrier's own protection (防砸), which is tried by itself.</span></p>\n\
         <div class=\"sign\"><div>调试人签字 signature</div><div>居委会签字 for the committee</div>\
         <div>日期 date</div></div>\n</body></html>\n",
    );
    Ok(())
}
