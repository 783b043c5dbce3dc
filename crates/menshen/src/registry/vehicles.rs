//! The verbs for vehicles: list, show, add, change, remove, export.

use std::io::Write as _;
use std::path::Path;

use access::registry::book::{Edit, Record};
use access::registry::export::{Header, to_csv, to_xlsx, write_in_place};
use access::registry::import::{kind_named, kind_word, parse_date};
use access::registry::{Label, Vehicle};
use clap::Args;
use domain::{PlateKind, PlateNumber};
use jiff::civil::Date;

use super::place::{Act, Change, Place};
use super::table;
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};

/// What can be said of a vehicle.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// 车主
    #[arg(long)]
    owner: Option<String>,
    /// 楼栋
    #[arg(long)]
    building: Option<String>,
    /// 单元
    #[arg(long)]
    unit: Option<String>,
    /// 电话
    #[arg(long)]
    phone: Option<String>,
    /// The last day it may enter, for example 2026-12-31, or "none" / 有效期至
    #[arg(long, value_name = "DATE", value_parser = maybe_date)]
    valid_until: Option<Maybe<Date>>,
    /// The household it belongs to, or "none" / 户号
    #[arg(long, value_parser = maybe_label)]
    household: Option<Maybe<Label>>,
    /// The plate's kind, for example 小型新能源汽车 or new-energy-small, or "none" / 号牌种类
    #[arg(long, value_parser = maybe_kind)]
    kind: Option<Maybe<PlateKind>>,
    /// 颜色
    #[arg(long)]
    colour: Option<String>,
    /// Make and model / 品牌
    #[arg(long)]
    make: Option<String>,
    /// A tenant's last day, or "none" / 租约至
    #[arg(long, value_name = "DATE", value_parser = maybe_date)]
    lease_until: Option<Maybe<Date>>,
    /// The weekly schedule in whose hours alone it may enter, or "none" / 时段
    #[arg(long, value_parser = maybe_label)]
    schedule: Option<Maybe<Label>>,
    /// Who compared it with the vehicle's licence / 核实人
    #[arg(long)]
    verified_by: Option<String>,
}

/// A value, or on purpose none.
#[derive(Debug, Clone)]
pub(crate) struct Maybe<T>(Option<T>);

fn maybe<T, E: std::fmt::Display>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Maybe<T>, String> {
    if matches!(text, "none" | "无" | "") {
        return Ok(Maybe(None));
    }
    parse(text)
        .map(|v| Maybe(Some(v)))
        .map_err(|e| e.to_string())
}

fn maybe_date(text: &str) -> Result<Maybe<Date>, String> {
    maybe(text, |t| {
        parse_date(t).ok_or("this is no date; write it as 2026-12-31, or \"none\"")
    })
}

fn maybe_label(text: &str) -> Result<Maybe<Label>, String> {
    maybe(text, Label::parse)
}

fn maybe_kind(text: &str) -> Result<Maybe<PlateKind>, String> {
    maybe(text, |t| {
        kind_named(t).ok_or("this is no plate kind; write it like 小型汽车 or small, or \"none\"")
    })
}

impl Fields {
    fn fill(self, vehicle: &mut Vehicle) {
        let texts = [
            (self.owner, &mut vehicle.owner),
            (self.building, &mut vehicle.building),
            (self.unit, &mut vehicle.unit),
            (self.phone, &mut vehicle.phone),
            (self.colour, &mut vehicle.colour),
            (self.make, &mut vehicle.make),
            (self.verified_by, &mut vehicle.verified_by),
        ];
        for (new, place) in texts {
            if let Some(text) = new {
                text.trim().clone_into(place);
            }
        }
        if let Some(Maybe(date)) = self.valid_until {
            vehicle.valid_until = date;
        }
        if let Some(Maybe(date)) = self.lease_until {
            vehicle.lease_until = date;
        }
        if let Some(Maybe(household)) = self.household {
            vehicle.household = household;
        }
        if let Some(Maybe(schedule)) = self.schedule {
            vehicle.schedule = schedule;
        }
        if let Some(Maybe(kind)) = self.kind {
            vehicle.kind = kind;
        }
    }
}

/// A plate that a person typed.
pub(super) fn plate(text: &str) -> Result<PlateNumber, u8> {
    PlateNumber::parse(text).map_err(|e| fail(WRONG_USAGE, e))
}

pub(super) fn add(text: &str, fields: Fields, act: &Act) -> Result<(), u8> {
    let mut vehicle = Vehicle::new(plate(text)?);
    fields.fill(&mut vehicle);
    let number = vehicle.plate.clone();
    let outcome = act.edit(vec![Edit::Put(Record::Vehicle(Box::new(vehicle)))])?;
    let done = if outcome.count == outcome.before {
        "replaced / 已更新"
    } else {
        "registered / 已登记"
    };
    println!(
        "{}: {done}, {} vehicles / 共 {} 辆",
        number.dotted(),
        outcome.count,
        outcome.count
    );
    Ok(())
}

pub(super) fn change(text: &str, fields: Fields, act: &Act) -> Result<(), u8> {
    let number = plate(text)?;
    let held = act.place.perform(Change::List)?;
    let Some(mut vehicle) = held.vehicles.into_iter().find(|v| v.plate == number) else {
        return Err(unknown(&number));
    };
    fields.fill(&mut vehicle);
    act.put(Record::Vehicle(Box::new(vehicle)))
}

fn unknown(number: &PlateNumber) -> u8 {
    fail(
        FOUND_WRONG,
        format_args!("{} is not registered / 未登记", number.dotted()),
    )
}

pub(super) fn remove(text: &str, act: &Act) -> Result<(), u8> {
    let number = plate(text)?;
    let key = access::registry::book::RecordKey::Vehicle(number.clone());
    let outcome = act.edit(vec![Edit::Remove(key)])?;
    println!(
        "{}: removed / 已删除, {} vehicles / 共 {} 辆",
        number.dotted(),
        outcome.count,
        outcome.count
    );
    Ok(())
}

/// Which rows are shown.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only rows with this in plate, owner, phone, building, unit or household / 查找
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Only rows that nobody has compared with the vehicle's licence / 未核实的
    #[arg(long)]
    unverified: bool,
}

impl Filter {
    fn keeps(&self, vehicle: &Vehicle) -> bool {
        let found = self.find.as_ref().is_none_or(|text| {
            let text = text.trim().to_uppercase().replace(['·', ' '], "");
            let household = vehicle.household.as_ref().map_or("", Label::as_str);
            [
                vehicle.plate.as_str(),
                &vehicle.owner,
                &vehicle.phone,
                &vehicle.building,
                &vehicle.unit,
                household,
            ]
            .iter()
            .any(|field| field.to_uppercase().contains(&text))
        });
        found && (!self.unverified || vehicle.verified_by.is_empty())
    }
}

pub(super) fn list(json: bool, filter: &Filter, place: &Place) -> Result<(), u8> {
    let mut outcome = place.perform(Change::List)?;
    outcome.vehicles.retain(|v| filter.keeps(v));
    if json {
        return table::json(&outcome.vehicles);
    }
    let date = |date: Option<Date>| date.map_or_else(String::new, |d| d.to_string());
    let label = |label: &Option<Label>| label.as_ref().map_or_else(String::new, Label::to_string);
    let rows: Vec<Vec<String>> = outcome
        .vehicles
        .iter()
        .map(|v| {
            vec![
                v.plate.dotted(),
                v.owner.clone(),
                v.building.clone(),
                v.unit.clone(),
                v.phone.clone(),
                label(&v.household),
                date(v.valid_until),
                date(v.lease_until),
                label(&v.schedule),
                v.verified_by.clone(),
            ]
        })
        .collect();
    let heads = [
        "车牌",
        "车主",
        "楼栋",
        "单元",
        "电话",
        "户号",
        "有效期至",
        "租约至",
        "时段",
        "核实人",
    ];
    table::print(&heads, &rows);
    eprintln!(
        "{} of {} vehicles / 共 {} 辆，显示 {} 辆",
        rows.len(),
        outcome.count,
        outcome.count,
        rows.len()
    );
    Ok(())
}

/// Everything that concerns one plate.
pub(super) fn show(text: &str, json: bool, place: &Place) -> Result<(), u8> {
    let number = plate(text)?;
    let outcome = place.everything()?;
    let vehicle = outcome.vehicles.iter().find(|v| v.plate == number);
    let household = vehicle.and_then(|v| v.household.as_ref());
    let concerns = |record: &&Record| match record {
        Record::Household(h) => Some(&h.id) == household,
        Record::Space(s) => Some(&s.household) == household || s.shared_by.contains(&number),
        Record::Schedule(s) => vehicle.and_then(|v| v.schedule.as_ref()) == Some(&s.id),
        Record::Visit(v) => v.plate == number,
        Record::Block(b) => b.plate == number,
        Record::Pass(p) => p.bearer.plate() == Some(&number),
        _ => false,
    };
    let records: Vec<&Record> = outcome.records.iter().filter(concerns).collect();
    if vehicle.is_none() && records.is_empty() {
        return Err(unknown(&number));
    }
    let inside = place.perform(Change::Inside)?.inside;
    let inside = inside.iter().find(|i| i.plate == number);
    if json {
        let all = serde_json::json!({
            "vehicle": vehicle, "records": records, "inside_since": inside.map(|i| i.since),
        });
        return table::json(&all);
    }
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    row("车牌 plate", number.dotted());
    if let Some(v) = vehicle {
        let date = |date: Option<Date>| date.map_or_else(String::new, |d| d.to_string());
        row("车主 owner", v.owner.clone());
        row("楼栋 building", v.building.clone());
        row("单元 unit", v.unit.clone());
        row("电话 phone", v.phone.clone());
        row(
            "号牌种类 kind",
            v.kind
                .map_or_else(String::new, |k| format!("{} {}", k.chinese(), kind_word(k))),
        );
        row("颜色 colour", v.colour.clone());
        row("品牌 make", v.make.clone());
        row("有效期至 valid until", date(v.valid_until));
        row("租约至 lease until", date(v.lease_until));
        row("核实人 verified by", v.verified_by.clone());
    }
    for record in records {
        let (_, kind) = record.key().kind();
        row(kind, super::books::in_a_line(record));
    }
    if let Some(inside) = inside {
        row("在场 inside since", inside.since.to_string());
    }
    table::print(&["", ""], &rows);
    Ok(())
}

pub(super) fn export(file: Option<&Path>, chinese: bool, place: &Place) -> Result<(), u8> {
    let outcome = place.perform(Change::List)?;
    let header = if chinese {
        Header::Chinese
    } else {
        Header::English
    };
    let Some(file) = file else {
        let csv = to_csv(&outcome.vehicles, header);
        return std::io::stdout()
            .write_all(&csv)
            .map_err(|e| fail(FOUND_WRONG, e));
    };
    let failed =
        |e: &dyn std::fmt::Display| fail(FOUND_WRONG, format_args!("{}: {e}", file.display()));
    let bytes = match file.extension().and_then(|e| e.to_str()) {
        Some("xlsx") => to_xlsx(&outcome.vehicles, header).map_err(|e| failed(&e))?,
        _ => to_csv(&outcome.vehicles, header),
    };
    write_in_place(file, &bytes).map_err(|e| failed(&e))
}
