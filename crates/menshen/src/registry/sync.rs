//! What a person sees and decides on the gate about the server's register.

use std::collections::BTreeMap;

use access::registry::RegistryView;
use access::registry::book::Book;
use access::registry::book::{Record, RecordKey};
use access::registry::sync::{Departure, Roll, Side, Standing};
use clap::{Args, Subcommand};
use domain::sync::Scope;
use serde_json::Value;

use super::{Act, Change, Place};
use crate::outcome::{FOUND_WRONG, fail};

/// `menshen registry digest`.
#[derive(Debug, Args)]
#[command(after_help = "\
The digests are SHA-256 over the rows that --rows prints, so that another program finds the same:
  menshen registry digest --rows | sha256sum
两台门禁的校验值相同，登记库就相同；不同时比较两边 --rows 的输出。")]
pub(crate) struct DigestArgs {
    /// Print JSON for machines
    #[arg(long, conflicts_with = "rows")]
    json: bool,
    /// Print the rows that the digest of the register is over / 逐行输出
    #[arg(long)]
    rows: bool,
    /// With --rows: the vehicles alone / 仅车辆
    #[arg(long, requires = "rows")]
    vehicles: bool,
    #[command(flatten)]
    place: Place,
}

impl DigestArgs {
    pub(super) fn run(&self) -> Result<(), u8> {
        if self.rows {
            return self.print_rows();
        }
        let outcome = self.place.perform(Change::Digest)?;
        let Some(standing) = outcome.standing else {
            return Err(fail(FOUND_WRONG, "the gate gave no digest"));
        };
        if self.json {
            let text = serde_json::to_string(&standing).map_err(|e| fail(FOUND_WRONG, e))?;
            println!("{text}");
            return Ok(());
        }
        println!("version / 版本           {}", standing.version);
        println!("vehicles / 车辆          {}", standing.vehicles);
        println!("register / 登记库        {}", standing.register);
        match standing.server {
            None => println!("server / 服务器          nothing taken over yet / 未同步"),
            Some(server) => {
                println!(
                    "server / 服务器          version {} ({}) {}",
                    server.version,
                    server.scope.word(),
                    server.digest
                );
                println!(
                    "changed here / 本地不同   {}, to be decided / 待处理 {}",
                    standing.differing, standing.contested
                );
            }
        }
        Ok(())
    }

    fn print_rows(&self) -> Result<(), u8> {
        let all = self.place.everything()?;
        let view = RegistryView::with_book(all.version, all.vehicles, Book::of(all.records));
        let scope = if self.vehicles {
            Scope::Vehicles
        } else {
            Scope::Register
        };
        let rows = Roll::in_force(&view, scope).rows();
        for row in rows.map_err(|e| fail(FOUND_WRONG, e))? {
            println!("{row}");
        }
        Ok(())
    }
}

/// `menshen registry conflicts …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsVerb {
    /// Show them, both values beside each other / 查看
    List {
        /// Print JSON for machines
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// What is here stays / 保留本地
    Keep(Choice),
    /// The server's value comes into force / 采用服务器
    Take(Choice),
}

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// As `list` shows them: 苏E12345, or "household 3-2-501" / 记录
    #[arg(required_unless_present = "all")]
    records: Vec<String>,
    /// All of them / 全部
    #[arg(long, conflicts_with = "records")]
    all: bool,
    #[command(flatten)]
    act: Act,
}

impl ConflictsVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::List { json, place } => list(json, &place),
            Self::Keep(choice) => choice.settle(true),
            Self::Take(choice) => choice.settle(false),
        }
    }
}

fn list(json: bool, place: &Place) -> Result<(), u8> {
    let departures = place.perform(Change::Conflicts)?.departures;
    if json {
        let text = serde_json::to_string(&departures).map_err(|e| fail(FOUND_WRONG, e))?;
        println!("{text}");
        return Ok(());
    }
    if departures.is_empty() {
        println!("nothing here is otherwise than on the server / 与服务器一致");
    }
    for departure in &departures {
        show(departure);
    }
    Ok(())
}

fn show(departure: &Departure) {
    let state = match departure.standing {
        Standing::Here => "changed here alone, in force / 仅本地修改，已生效",
        Standing::Kept => "kept by a person, in force / 已决定保留本地",
        Standing::Contested {
            in_force: Side::Here,
        } => "to be decided; what is here is in force / 待处理，暂用本地",
        Standing::Contested {
            in_force: Side::Server,
        } => "to be decided; the server's is in force / 待处理，暂用服务器",
    };
    println!("{}: {state}", departure.key);
    println!("  here / 本地       {}", said(departure.here.as_ref()));
    println!("  server / 服务器   {}", said(departure.server.as_ref()));
}

/// The fields of a record in one line.
fn said(record: Option<&Record>) -> String {
    let Some(record) = record else {
        return "not there / 没有".to_owned();
    };
    let Ok(Value::Object(fields)) = serde_json::to_value(record) else {
        return String::new();
    };
    let fields = fields.into_iter().filter(|(name, _)| name != "record");
    let fields = fields.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    fields.collect::<Vec<_>>().join(", ")
}

impl Choice {
    fn settle(&self, keep: bool) -> Result<(), u8> {
        let departures = self.act.place.perform(Change::Conflicts)?.departures;
        let keys = self.keys(&departures)?;
        let count = keys.len();
        self.act.place.perform(Change::Settle {
            keys,
            keep,
            why: self.act.why().to_owned(),
        })?;
        println!(
            "{count} {} / {}",
            if keep {
                "kept as they are here"
            } else {
                "as on the server from now on"
            },
            if keep {
                "已保留本地"
            } else {
                "已采用服务器"
            }
        );
        Ok(())
    }

    fn keys(&self, departures: &[Departure]) -> Result<Vec<RecordKey>, u8> {
        let all = departures.iter().map(|d| &d.key);
        if self.all {
            return Ok(all.cloned().collect());
        }
        let mut named: BTreeMap<String, Vec<&RecordKey>> = BTreeMap::new();
        for key in all {
            for text in [key.to_string(), key.text()] {
                let keys = named.entry(text).or_default();
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        let found = self.records.iter().map(|text| match named.get(text).map(Vec::as_slice) {
            Some([key]) => Ok((*key).clone()),
            Some(several) => Err(fail(
                FOUND_WRONG,
                format_args!(
                    "{text} is {}; write it out as one of them / 请写全",
                    several.iter().map(|k| format!("\"{k}\"")).collect::<Vec<_>>().join(" and ")
                ),
            )),
            None => Err(fail(
                FOUND_WRONG,
                format_args!(
                    "{text} is here as on the server; `menshen registry conflicts list` shows what is not / 没有这条"
                ),
            )),
        });
        found.collect()
    }
}

/// `menshen registry transfer …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TransferVerb {
    /// Show what is on its way, and whether it waits for a person / 查看
    Show(Place),
    /// Take it over, however many vehicles it takes out / 确认生效
    Accept(Place),
    /// Give it up; what is in force stays / 放弃
    Discard(Place),
}

impl TransferVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::Show(place) => {
                let Some(incoming) = place.perform(Change::Incoming)?.incoming else {
                    println!("no register is on its way / 没有正在接收的登记表");
                    return Ok(());
                };
                let manifest = &incoming.manifest;
                println!(
                    "version {} ({}) by key {}: {} of {} pages are missing{} / 缺 {} 页，共 {} 页",
                    manifest.version,
                    manifest.scope.word(),
                    incoming.by,
                    incoming.missing,
                    manifest.pages,
                    if incoming.missing == 0 {
                        "; it waits for a person: accept or discard"
                    } else {
                        ""
                    },
                    incoming.missing,
                    manifest.pages
                );
            }
            Self::Accept(place) => {
                let outcome = place.perform(Change::Accept)?;
                println!(
                    "taken over: {} vehicles (before: {}) / 已生效 {} 辆（原有 {} 辆）",
                    outcome.count, outcome.before, outcome.count, outcome.before
                );
            }
            Self::Discard(place) => {
                place.perform(Change::Discard)?;
                println!("given up; what was in force stays / 已放弃，登记库未更改");
            }
        }
        Ok(())
    }
}
