//! `menshen pass issue`: new passes, one, a range, or one for each row of a list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use access::pass::{Bearer, Pass};
use access::registry::import::{ImportOptions, parse};
use access::registry::{Label, Vehicle};
use clap::Args;
use domain::{PassNumber, PlateNumber};
use jiff::civil::Date;

use super::ask::Ask;
use super::numbers::Numbers;
use super::{all, perform};
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};
use crate::registry::{Act, date, read_list};

/// The most passes that are issued at once.
const MOST: usize = 100_000;

/// Whose a pass is.
#[derive(Debug, Args)]
pub(super) struct Whose {
    /// The plate of the vehicle that it is for / 车牌
    #[arg(long, conflicts_with_all = ["foot", "supplier"])]
    plate: Option<PlateNumber>,
    /// It is for a person on foot / 人员
    #[arg(long, conflicts_with = "supplier")]
    foot: bool,
    /// It is for a supplier, with whatever vehicle / 供应商
    #[arg(long)]
    supplier: bool,
    /// The person or the firm / 持证人
    #[arg(long)]
    holder: Option<String>,
    /// The household it belongs to / 户号
    #[arg(long)]
    household: Option<Label>,
}

impl Whose {
    pub(super) fn bearer(&self) -> Option<Bearer> {
        match (&self.plate, self.foot, self.supplier) {
            (Some(plate), ..) => Some(Bearer::Vehicle(plate.clone())),
            (None, true, _) => Some(Bearer::Foot),
            (None, false, true) => Some(Bearer::Supplier),
            (None, false, false) => None,
        }
    }

    pub(super) fn fill(self, pass: &mut Pass) {
        if let Some(holder) = self.holder {
            holder.trim().clone_into(&mut pass.holder);
        }
        pass.household = self.household.or_else(|| pass.household.take());
    }
}

/// `menshen pass issue`.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// The numbers: 638, 1..2062, 1,5,9..12, or 1.. for as many as the list has rows / 号码
    #[arg(long)]
    numbers: Numbers,
    /// One pass for each vehicle of this list (.xlsx or .csv, as for `registry import`): its plate,
    /// owner, household and last day; numbers are given in the order of the plates / 按登记表发证
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plate", "foot", "supplier", "holder", "household"])]
    list: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
    /// The first day; today if absent / 生效日期
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<Date>,
    /// The last day; with --list the day of each row that has one comes first / 有效期至
    #[arg(long, value_name = "DATE", value_parser = date)]
    until: Date,
    /// How many entries it is good for; not counted if absent / 可用次数
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    entries: Option<u16>,
    /// Who issues it; --by if absent / 发证人
    #[arg(long)]
    issuer: Option<String>,
    /// Issue numbers that are taken again, as a new edition: their old papers become void / 补发（旧证作废）
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    act: Act,
}

pub(super) fn run(args: IssueArgs) -> Result<(), u8> {
    let place = &args.act.place;
    let from = match args.from {
        Some(from) => from,
        None => place.today()?,
    };
    let issuer = args.issuer.as_deref().unwrap_or_else(|| place.by());
    let editions: BTreeMap<PassNumber, u16> = all(place)?
        .into_iter()
        .map(|l| (l.pass.number, l.pass.edition))
        .collect();
    let free = |number: &PassNumber| args.replace || !editions.contains_key(number);
    let template = |number: PassNumber| Pass {
        edition: editions.get(&number).map_or(1, |e| e.saturating_add(1)),
        entries: args.entries,
        issuer: issuer.trim().to_owned(),
        ..Pass::blank(number, from, args.until)
    };
    let passes: Vec<Pass> = if let Some(file) = &args.list {
        let vehicles = read(file)?;
        // An open range takes the next free numbers; one with an end is meant as it is written.
        let open = args.numbers.is_open();
        let numbers = args.numbers.iter().filter(|n| !open || free(n));
        let passes: Vec<Pass> = numbers
            .zip(&vehicles)
            .map(|(number, vehicle)| bound(template(number), vehicle))
            .collect();
        if passes.len() < vehicles.len() {
            return Err(fail(
                WRONG_USAGE,
                format_args!(
                    "the list has {} vehicles, but only {} numbers were given; write --numbers 1.. / 号码不够",
                    vehicles.len(),
                    passes.len()
                ),
            ));
        }
        passes
    } else {
        if args.numbers.is_open() || args.numbers.iter().nth(MOST).is_some() {
            return Err(fail(
                WRONG_USAGE,
                "write where the numbers end, for example 1..2062, at most 100,000 at once / 请写明号码范围",
            ));
        }
        let mut one = template(PassNumber::new(1).map_err(|e| fail(WRONG_USAGE, e))?);
        let bearer = args.whose.bearer();
        args.whose.fill(&mut one);
        let numbers = args.numbers.iter();
        numbers
            .map(|number| Pass {
                bearer: bearer.clone().unwrap_or(Bearer::Blank),
                holder: one.holder.clone(),
                household: one.household.clone(),
                ..template(number)
            })
            .collect()
    };
    if let Some(taken) = passes.iter().find(|p| !free(&p.number)) {
        return Err(fail(
            FOUND_WRONG,
            format_args!(
                "pass {} is there already; choose other numbers, or --replace it, which makes its old paper void; nothing was issued / 号码 {} 已使用，未发证",
                taken.number, taken.number
            ),
        ));
    }
    let (Some(first), Some(last)) = (passes.first(), passes.last()) else {
        return Err(fail(
            FOUND_WRONG,
            "the list has no vehicle / 登记表中没有车辆",
        ));
    };
    let said = format!(
        "{} passes issued, {} to {}; print them with `menshen pass print` / 已发证 {} 张，{} 至 {}",
        passes.len(),
        first.number,
        last.number,
        passes.len(),
        first.number,
        last.number
    );
    let why = args.act.why().to_owned();
    perform(place, Ask::Issue { passes, why })?;
    println!("{said}");
    Ok(())
}

fn bound(template: Pass, vehicle: &Vehicle) -> Pass {
    Pass {
        bearer: Bearer::Vehicle(vehicle.plate.clone()),
        holder: vehicle.owner.clone(),
        household: vehicle.household.clone(),
        until: vehicle.valid_until.unwrap_or(template.until),
        ..template
    }
}

fn read(file: &Path) -> Result<Vec<Vehicle>, u8> {
    let bytes = read_list(file)?;
    let imported = parse(&bytes, ImportOptions::default())
        .map_err(|e| fail(FOUND_WRONG, format_args!("{}: {e}", file.display())))?;
    let mut vehicles = imported.vehicles;
    vehicles.sort_by(|a, b| a.plate.cmp(&b.plate));
    Ok(vehicles)
}
