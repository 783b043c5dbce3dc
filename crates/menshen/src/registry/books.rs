//! The verbs for everything but vehicles: households, spaces, schedules, visitors, the
//! blocklist, closures, rules, who is inside.

use std::collections::BTreeSet;

use access::registry::Label;
use access::registry::book::{
    Block, Closure, Household, Record, RecordKey, Restriction, Rules, Schedule, Space, Visit,
};
use access::registry::import::{kind_named, kind_word, parse_date};
use access::registry::schedule::Window;
use clap::Subcommand;
use domain::{PlateKind, PlateNumber};
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, Time};

use super::place::{Act, Change, Place};
use super::table;
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};

pub(crate) fn date(text: &str) -> Result<Date, String> {
    parse_date(text).ok_or_else(|| "this is no date; write it as 2026-12-31".to_owned())
}

/// A moment at the site: a day, or a day and a time.
fn moment(text: &str) -> Result<DateTime, String> {
    let wrong = || "this is no moment; write it as 2026-12-31 or \"2026-12-31 18:00\"".to_owned();
    let text = text.trim();
    let (day, time) = match text.split_once([' ', 'T']) {
        None => (text, None),
        Some((day, time)) => (day, Some(time)),
    };
    let day = parse_date(day).ok_or_else(wrong)?;
    let Some(time) = time else {
        return Ok(day.to_datetime(Time::midnight()));
    };
    let (hour, minute) = time.trim().split_once(':').ok_or_else(wrong)?;
    let hour = hour.parse().map_err(|_| wrong())?;
    let minute = minute.parse().map_err(|_| wrong())?;
    let time = Time::new(hour, minute, 0, 0).map_err(|_| wrong())?;
    Ok(day.to_datetime(time))
}

fn kind(text: &str) -> Result<PlateKind, String> {
    kind_named(text).ok_or_else(|| {
        let all: Vec<String> = PlateKind::ALL.into_iter().map(kind_word).collect();
        format!("this is no plate kind; one of: {}", all.join(", "))
    })
}

/// A number, or "off".
fn limit(text: &str) -> Result<Limit, String> {
    if matches!(text, "off" | "无") {
        return Ok(Limit(None));
    }
    let number = text
        .parse()
        .map_err(|_| "write a whole number, or \"off\"".to_owned())?;
    Ok(Limit(Some(number)))
}

/// A number, or none on purpose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Option<u16>);

/// `menshen registry household …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HouseholdVerb {
    /// Write a household, or change what is given / 登记或修改住户
    Set {
        /// For example 3-2-501
        id: Label,
        /// Whom to speak to / 联系人
        #[arg(long)]
        contact: Option<String>,
        /// 电话
        #[arg(long)]
        phone: Option<String>,
        /// The last day for which the parking fee is paid / 停车费缴至
        #[arg(long, value_name = "DATE", value_parser = date)]
        fee_paid_until: Option<Date>,
        #[command(flatten)]
        act: Act,
    },
    /// Put the household's vehicles to the guard for some days / 设定限制期（由门卫确认）
    Restrict {
        /// The household
        id: Label,
        /// The first day / 起
        #[arg(long, value_name = "DATE", value_parser = date)]
        from: Date,
        /// The last day / 止
        #[arg(long, value_name = "DATE", value_parser = date)]
        until: Date,
        /// Why, as the guard reads it / 原因
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        act: Act,
    },
    /// End the restriction / 解除限制
    Lift {
        /// The household
        id: Label,
        #[command(flatten)]
        act: Act,
    },
    /// Take a household out / 删除住户
    Remove {
        /// The household
        id: Label,
        #[command(flatten)]
        act: Act,
    },
    /// Show households / 查看住户
    List(Listing),
}

/// How a list is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Listing {
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl HouseholdVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        let held = |id: &Label, act: &Act| -> Result<Option<Household>, u8> {
            let all = act.place.everything()?.records;
            Ok(all.into_iter().find_map(|r| match r {
                Record::Household(h) if h.id == *id => Some(h),
                _ => None,
            }))
        };
        let known = |id: &Label, act: &Act| {
            held(id, act)?.ok_or_else(|| {
                fail(
                    FOUND_WRONG,
                    format_args!("household {id} is not in the register / 没有住户 {id}"),
                )
            })
        };
        match self {
            Self::Set {
                id,
                contact,
                phone,
                fee_paid_until,
                act,
            } => {
                let mut household = held(&id, &act)?.unwrap_or(Household {
                    id,
                    contact: String::new(),
                    phone: String::new(),
                    fee_paid_until: None,
                    restriction: None,
                });
                if let Some(contact) = contact {
                    household.contact = contact;
                }
                if let Some(phone) = phone {
                    household.phone = phone;
                }
                household.fee_paid_until = fee_paid_until.or(household.fee_paid_until);
                act.put(Record::Household(household))
            }
            Self::Restrict {
                id,
                from,
                until,
                reason,
                act,
            } => {
                let mut household = known(&id, &act)?;
                household.restriction = Some(Restriction {
                    from,
                    until,
                    reason,
                });
                act.put(Record::Household(household))
            }
            Self::Lift { id, act } => {
                let mut household = known(&id, &act)?;
                household.restriction = None;
                act.put(Record::Household(household))
            }
            Self::Remove { id, act } => act.take(&RecordKey::Household(id)),
            Self::List(listing) => listing.show(|r| matches!(r, Record::Household(_))),
        }
    }
}

/// `menshen registry space …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SpaceVerb {
    /// Write a space / 登记车位
    ///
    /// Of a household's cars only as many as its spaces may be inside (一位多车); the next one goes
    /// to the guard. Without --shared-by all cars of the household share it.
    Set {
        /// For example B1-027
        id: Label,
        /// Whose it is / 户号
        #[arg(long)]
        household: Label,
        /// A vehicle that shares it; may be given several times / 共用车辆
        #[arg(long, value_name = "PLATE")]
        shared_by: Vec<PlateNumber>,
        #[command(flatten)]
        act: Act,
    },
    /// Take a space out / 删除车位
    Remove {
        /// The space
        id: Label,
        #[command(flatten)]
        act: Act,
    },
    /// Show spaces / 查看车位
    List(Listing),
}

impl SpaceVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::Set {
                id,
                household,
                shared_by,
                act,
            } => act.put(Record::Space(Space {
                id,
                household,
                shared_by: shared_by.into_iter().collect(),
            })),
            Self::Remove { id, act } => act.take(&RecordKey::Space(id)),
            Self::List(listing) => listing.show(|r| matches!(r, Record::Space(_))),
        }
    }
}

/// `menshen registry schedule …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleVerb {
    /// Write a weekly schedule / 登记时段
    ///
    /// For example: `menshen registry schedule set 菜车 "mon-sat 05:00-07:30"`, then
    /// `menshen registry add 苏E12345 --schedule 菜车`.
    Set {
        /// Its name
        id: Label,
        /// When vehicles of this schedule may enter, for example "周一至周六 05:00-07:30"
        #[arg(required = true)]
        windows: Vec<Window>,
        #[command(flatten)]
        act: Act,
    },
    /// Take a schedule out / 删除时段
    Remove {
        /// The schedule
        id: Label,
        #[command(flatten)]
        act: Act,
    },
    /// Show schedules / 查看时段
    List(Listing),
}

impl ScheduleVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::Set { id, windows, act } => act.put(Record::Schedule(Schedule { id, windows })),
            Self::Remove { id, act } => act.take(&RecordKey::Schedule(id)),
            Self::List(listing) => listing.show(|r| matches!(r, Record::Schedule(_))),
        }
    }
}

/// `menshen registry visitor …`.
#[derive(Debug, Subcommand)]
pub(crate) enum VisitorVerb {
    /// Book a visitor for a household / 预约访客
    ///
    /// With a day alone the visitor may enter on that whole day; leaving is never refused.
    Book {
        /// The visitor's plate
        plate: PlateNumber,
        /// The household that is visited / 户号
        #[arg(long)]
        household: Label,
        /// From when, for example 2026-12-31 or "2026-12-31 18:00" / 起
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        from: DateTime,
        /// Until when; the end of that day if absent / 止
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        until: Option<DateTime>,
        /// Who comes, why / 备注
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        act: Act,
    },
    /// Take a booking back; all of the plate's without --from / 取消预约
    Cancel {
        /// The visitor's plate
        plate: PlateNumber,
        /// The booking that begins then
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        from: Option<DateTime>,
        #[command(flatten)]
        act: Act,
    },
    /// Show bookings / 查看预约
    List(Listing),
}

impl VisitorVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::Book {
                plate,
                household,
                from,
                until,
                note,
                act,
            } => {
                let next = from.date().saturating_add(1.day());
                let until = until.unwrap_or_else(|| next.to_datetime(Time::midnight()));
                act.put(Record::Visit(Visit {
                    plate,
                    household,
                    from,
                    until,
                    note,
                }))
            }
            Self::Cancel { plate, from, act } => {
                let all = act.place.everything()?.records;
                let keys: Vec<RecordKey> = all
                    .iter()
                    .map(Record::key)
                    .filter(|key| match key {
                        RecordKey::Visit(of, begins) => {
                            *of == plate && from.is_none_or(|from| from == *begins)
                        }
                        _ => false,
                    })
                    .collect();
                if keys.is_empty() {
                    return Err(fail(
                        FOUND_WRONG,
                        format_args!("{plate} has no such booking / 没有预约"),
                    ));
                }
                keys.iter().try_for_each(|key| act.take(key))
            }
            Self::List(listing) => listing.show(|r| matches!(r, Record::Visit(_))),
        }
    }
}

/// `menshen registry block …`.
#[derive(Debug, Subcommand)]
pub(crate) enum BlockVerb {
    /// Refuse a plate at every entry / 加入黑名单
    Add {
        /// The plate
        plate: PlateNumber,
        /// Why, as the guard reads it / 原因
        #[arg(long)]
        reason: String,
        /// The last day; no end if absent / 止
        #[arg(long, value_name = "DATE", value_parser = date)]
        until: Option<Date>,
        #[command(flatten)]
        act: Act,
    },
    /// Take a plate off the list / 移出黑名单
    Remove {
        /// The plate
        plate: PlateNumber,
        #[command(flatten)]
        act: Act,
    },
    /// Show the list / 查看黑名单
    List(Listing),
}

impl BlockVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::Add {
                plate,
                reason,
                until,
                act,
            } => act.put(Record::Block(Block {
                plate,
                reason,
                until,
            })),
            Self::Remove { plate, act } => act.take(&RecordKey::Block(plate)),
            Self::List(listing) => listing.show(|r| matches!(r, Record::Block(_))),
        }
    }
}

/// `menshen registry closure …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClosureVerb {
    /// For a time nobody enters without the guard / 临时封闭
    Set {
        /// Its name, for example 路面施工
        id: Label,
        /// From when / 起
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        from: DateTime,
        /// Until when / 止
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        until: DateTime,
        /// Why, as the guard reads it / 原因
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        act: Act,
    },
    /// End or forget a closure / 解除封闭
    Remove {
        /// The closure
        id: Label,
        #[command(flatten)]
        act: Act,
    },
    /// Show closures / 查看封闭
    List(Listing),
}

impl ClosureVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        match self {
            Self::Set {
                id,
                from,
                until,
                reason,
                act,
            } => act.put(Record::Closure(Closure {
                id,
                from,
                until,
                reason,
            })),
            Self::Remove { id, act } => act.take(&RecordKey::Closure(id)),
            Self::List(listing) => listing.show(|r| matches!(r, Record::Closure(_))),
        }
    }
}

/// `menshen registry rules …`.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesVerb {
    /// Change what is given / 修改规则
    Set {
        /// Plate kinds that always pass, with commas between, or "off": for example
        /// emergency,police / 始终放行的号牌种类
        #[arg(long, value_delimiter = ',')]
        always_pass: Option<Vec<String>>,
        /// A vehicle that is inside and comes again goes to the guard, but after so many hours its
        /// exit was merely missed; or "off". Needs an exit lane / 防重复入场（小时）
        #[arg(long, value_name = "HOURS", value_parser = limit)]
        anti_passback: Option<Limit>,
        /// Vehicles that the compound holds, or "off" / 最大车辆数
        #[arg(long, value_name = "NUMBER", value_parser = limit)]
        capacity: Option<Limit>,
        /// While the clock is not trusted, passes that end within so many days go to the guard
        #[arg(long, value_name = "DAYS")]
        near_limit_days: Option<u16>,
        #[command(flatten)]
        act: Act,
    },
    /// Show them / 查看规则
    Show(Listing),
}

impl RulesVerb {
    pub(super) fn run(self) -> Result<(), u8> {
        let held = |place: &Place| -> Result<Rules, u8> {
            let all = place.everything()?.records;
            let rules = all.into_iter().find_map(|r| match r {
                Record::Rules(rules) => Some(rules),
                _ => None,
            });
            Ok(rules.unwrap_or_default())
        };
        match self {
            Self::Set {
                always_pass,
                anti_passback,
                capacity,
                near_limit_days,
                act,
            } => {
                let mut rules = held(&act.place)?;
                if let Some(words) = always_pass {
                    let off = matches!(words.as_slice(), [word] if word == "off" || word == "无");
                    let kinds = words.iter().filter(|_| !off).map(|word| kind(word));
                    rules.always_pass = kinds
                        .collect::<Result<BTreeSet<_>, _>>()
                        .map_err(|e| fail(WRONG_USAGE, e))?;
                }
                if let Some(Limit(hours)) = anti_passback {
                    rules.anti_passback_hours = hours;
                }
                if let Some(Limit(number)) = capacity {
                    rules.capacity = number.map(u32::from);
                }
                rules.near_limit_days = near_limit_days.unwrap_or(rules.near_limit_days);
                act.put(Record::Rules(rules))
            }
            Self::Show(listing) => {
                let rules = held(&listing.place)?;
                if listing.json {
                    return table::json(&rules);
                }
                println!("{}", in_a_line(&Record::Rules(rules)));
                Ok(())
            }
        }
    }
}

impl Listing {
    fn show(&self, keep: impl Fn(&Record) -> bool) -> Result<(), u8> {
        let mut records = self.place.everything()?.records;
        records.retain(|r| keep(r));
        if self.json {
            return table::json(&records);
        }
        let rows: Vec<Vec<String>> = records
            .iter()
            .map(|r| {
                let key = r.key();
                let id = match &key {
                    RecordKey::Visit(plate, _) => plate.dotted(),
                    other => other.text(),
                };
                vec![id, in_a_line(r)]
            })
            .collect();
        table::print(&["名称 / name", "内容 / content"], &rows);
        eprintln!("{} records / 共 {} 条", rows.len(), rows.len());
        Ok(())
    }

    /// `menshen registry inside`.
    pub(super) fn inside(&self) -> Result<(), u8> {
        let outcome = self.place.perform(Change::Inside)?;
        if self.json {
            return table::json(&outcome.inside);
        }
        let rows: Vec<Vec<String>> = outcome
            .inside
            .iter()
            .map(|i| vec![i.plate.dotted(), i.since.to_string()])
            .collect();
        table::print(&["车牌 / plate", "入场时间 / since"], &rows);
        eprintln!(
            "{} vehicles inside, as far as the gate saw / 在场 {} 辆（按过闸记录）",
            rows.len(),
            rows.len()
        );
        Ok(())
    }
}

/// A record in words for a table.
pub(super) fn in_a_line(record: &Record) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut say = |name: &str, value: &dyn std::fmt::Display| {
        let value = value.to_string();
        if !value.is_empty() {
            parts.push(format!("{name} {value}"));
        }
    };
    let plain = |moment: DateTime| {
        let (day, time) = (moment.date(), moment.time());
        format!("{day} {:02}:{:02}", time.hour(), time.minute())
    };
    match record {
        Record::Vehicle(v) => say("车主", &v.owner),
        Record::Household(h) => {
            say("户号", &h.id);
            say("联系人", &h.contact);
            say("电话", &h.phone);
            if let Some(paid) = h.fee_paid_until {
                say("停车费至", &paid);
            }
            if let Some(r) = &h.restriction {
                say("限制期", &format!("{} – {} {}", r.from, r.until, r.reason));
            }
        }
        Record::Space(s) => {
            say("车位", &s.id);
            say("户号", &s.household);
            let plates: Vec<String> = s.shared_by.iter().map(PlateNumber::dotted).collect();
            say("共用", &plates.join(" "));
        }
        Record::Schedule(s) => {
            let windows: Vec<String> = s.windows.iter().map(Window::to_string).collect();
            say("时段", &windows.join("; "));
        }
        Record::Visit(v) => {
            say("户号", &v.household);
            say("预约", &format!("{} – {}", plain(v.from), plain(v.until)));
            say("备注", &v.note);
        }
        Record::Block(b) => {
            say("原因", &b.reason);
            if let Some(until) = b.until {
                say("至", &until);
            }
        }
        Record::Closure(c) => {
            say("封闭", &format!("{} – {}", plain(c.from), plain(c.until)));
            say("原因", &c.reason);
        }
        Record::Pass(p) => {
            say(
                "车牌",
                &p.bearer
                    .plate()
                    .map_or_else(String::new, PlateNumber::dotted),
            );
            say("持证人", &p.holder);
            say("有效期", &format!("{} – {}", p.from, p.until));
            say("已注销", &p.revoked.as_deref().unwrap_or_default());
        }
        Record::Rules(rules) => {
            let kinds: Vec<&str> = rules.always_pass.iter().map(|k| k.chinese()).collect();
            let or_off = |value: Option<String>| value.unwrap_or_else(|| "off".to_owned());
            say(
                "始终放行 always pass",
                &or_off((!kinds.is_empty()).then(|| kinds.join("、"))),
            );
            say(
                "防重复入场（小时）anti-passback",
                &or_off(rules.anti_passback_hours.map(|h| h.to_string())),
            );
            say(
                "最大车辆数 capacity",
                &or_off(rules.capacity.map(|n| n.to_string())),
            );
            say("时钟未校准时的临期天数 near limit", &rules.near_limit_days);
        }
    }
    parts.join("  ")
}
