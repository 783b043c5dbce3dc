//! `menshen pass list`, `show` and `check`.

use access::pass::Pass;
use clap::Args;
use domain::{Decision, PassNumber, PlateNumber};
use jiff::civil::Date;

use super::ask::{Ask, Line};
use super::numbers::Numbers;
use super::{all, one, perform};
use crate::outcome::{FOUND_WRONG, fail};
use crate::registry::{Place, table};

/// `menshen pass list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only these numbers / 号码
    #[arg(long)]
    numbers: Option<Numbers>,
    /// Only passes with this in plate, holder or household / 查找
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Only passes that hold today / 当前有效的
    #[arg(long)]
    valid: bool,
    /// Only passes whose entries are counted / 计次的
    #[arg(long)]
    counted: bool,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl ListArgs {
    fn keeps(&self, line: &Line, today: Date) -> bool {
        let pass = &line.pass;
        let numbered = self.numbers.as_ref().is_none_or(|n| n.has(pass.number));
        let found = self.find.as_ref().is_none_or(|text| {
            let text = text.trim().to_uppercase().replace(['·', ' '], "");
            let plate = pass.bearer.plate().map_or("", PlateNumber::as_str);
            let household = pass.household.as_ref().map_or("", |h| h.as_str());
            [plate, &pass.holder, household]
                .iter()
                .any(|field| field.to_uppercase().contains(&text))
        });
        let valid = !self.valid || state(line, today).0 == "valid";
        numbered && found && valid && (!self.counted || pass.entries.is_some())
    }
}

/// How a pass stands, in both languages.
fn state(line: &Line, today: Date) -> (&'static str, &'static str) {
    let pass = &line.pass;
    let used = line.used.map_or(0, |count| count.entries);
    if pass.revoked.is_some() {
        ("revoked", "已注销")
    } else if today > pass.until {
        ("expired", "已过期")
    } else if pass.entries.is_some_and(|n| used >= u32::from(n)) {
        ("used up", "已用完")
    } else if today < pass.from {
        ("not yet", "未生效")
    } else if pass.bearer == access::pass::Bearer::Blank {
        ("blank", "空白")
    } else {
        ("valid", "有效")
    }
}

/// Whose a pass is, in a cell.
fn whose(pass: &Pass) -> String {
    let plate = pass.bearer.plate().map(PlateNumber::dotted);
    plate.unwrap_or_else(|| match pass.bearer {
        access::pass::Bearer::Blank => "空白 blank".to_owned(),
        access::pass::Bearer::Foot => "人员 on foot".to_owned(),
        _ => "供应商 supplier".to_owned(),
    })
}

fn entries(line: &Line) -> String {
    let used = line.used.map_or(0, |count| count.entries);
    match line.pass.entries {
        Some(n) => format!("{used}/{n}"),
        None => "不限".to_owned(),
    }
}

pub(super) fn list(args: &ListArgs) -> Result<(), u8> {
    let today = args.place.today()?;
    let lines = all(&args.place)?;
    let total = lines.len();
    let kept: Vec<Line> = lines.into_iter().filter(|l| args.keeps(l, today)).collect();
    if args.json {
        return table::json(&kept);
    }
    let rows: Vec<Vec<String>> = kept
        .iter()
        .map(|line| {
            let pass = &line.pass;
            let household = pass.household.as_ref();
            vec![
                pass.number.to_string(),
                whose(pass),
                pass.holder.clone(),
                household.map_or_else(String::new, ToString::to_string),
                pass.from.to_string(),
                pass.until.to_string(),
                entries(line),
                state(line, today).1.to_owned(),
            ]
        })
        .collect();
    let heads = [
        "号码",
        "使用人",
        "持证人",
        "户号",
        "生效",
        "有效期至",
        "次数",
        "状态",
    ];
    table::print(&heads, &rows);
    eprintln!(
        "{} of {total} passes / 共 {total} 张，显示 {} 张",
        rows.len(),
        rows.len()
    );
    Ok(())
}

/// `menshen pass show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The pass / 号码
    number: PassNumber,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn show(args: &ShowArgs) -> Result<(), u8> {
    let line = one(&args.place, args.number)?;
    if args.json {
        return table::json(&line);
    }
    let today = args.place.today()?;
    print_line(&line, today);
    Ok(())
}

fn print_line(line: &Line, today: Date) {
    let pass = &line.pass;
    let (english, chinese) = state(line, today);
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    row("号码 number", pass.number.to_string());
    row("版次 edition", pass.edition.to_string());
    row("使用人 bearer", whose(pass));
    row("持证人 holder", pass.holder.clone());
    let household = pass.household.as_ref();
    row(
        "户号 household",
        household.map_or_else(String::new, ToString::to_string),
    );
    row("发证人 issuer", pass.issuer.clone());
    row("生效 from", pass.from.to_string());
    row("有效期至 until", pass.until.to_string());
    row("次数 entries used", entries(line));
    let last = line.used.map(|count| count.last.to_string());
    row("最近使用 last used", last.unwrap_or_default());
    row("状态 state", format!("{chinese} {english}"));
    row("注销原因 revoked", pass.revoked.clone().unwrap_or_default());
    table::print(&["", ""], &rows);
}

/// `menshen pass check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The text of the code, as a scanner types it: MS1:… / 二维码内容
    text: String,
    /// The plate of the vehicle that it came with / 车牌
    #[arg(long)]
    plate: Option<PlateNumber>,
    /// Let its bearer in by hand if it is accepted: one entry of it is used / 放行并计一次
    ///
    /// This opens no boom: the guard's button does. Not for vehicles whose plate the camera reads:
    /// theirs are counted when they pass.
    #[arg(long)]
    admit: bool,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn check(args: CheckArgs) -> Result<(), u8> {
    let ask = Ask::Check {
        // A scanner that plays keyboard may have typed small letters and a line's end.
        text: args.text.trim().to_ascii_uppercase(),
        plate: args.plate,
        admit: args.admit,
    };
    let told = perform(&args.place, ask)?;
    let worth = told
        .shown
        .ok_or_else(|| fail(FOUND_WRONG, "the gate gave no answer"))?;
    let accepted = worth.reason.decision() == Decision::Admit;
    if args.json {
        table::json(&worth)?;
    } else {
        if let Some(line) = &worth.line {
            print_line(line, args.place.today()?);
        } else if let Some(pass) = worth.pass {
            println!("{}", pass.number);
        }
        println!(
            "{}: {} / {}：{}",
            worth.reason.decision(),
            worth.reason.english(),
            worth.reason.decision().chinese(),
            worth.reason.chinese()
        );
        if worth.admitted {
            println!("one entry was counted / 已计一次");
        }
    }
    if accepted { Ok(()) } else { Err(FOUND_WRONG) }
}
