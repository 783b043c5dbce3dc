//! `menshen registry`: who may pass, with or without a running gate.
//!
//! A list is read and checked here, in the caller's process and with the caller's rights
//! ([`import`]); what goes to a running gate through its socket, or else into the store
//! ([`place`]), is rows and records. [`publish`] sends a register from the committee's server, [`sync`] is
//! what a person sees and decides of that on the gate, [`proposals`] what the journal says of it. [`vehicles`] and [`books`] are the verbs, [`table`] how they
//! show things.

mod books;
mod import;
mod place;
mod proposals;
#[cfg(feature = "collect")]
mod publish;
mod sync;
pub(crate) mod table;
mod vehicles;

use std::path::PathBuf;

use clap::Subcommand;
use domain::PlateNumber;

use crate::outcome::{DONE, FOUND_WRONG, fail};
pub(crate) use books::date;
pub(crate) use import::read_list;
pub(crate) use place::{Act, Change, Desk, Incoming, Outcome, Place};

/// `menshen registry …`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A compound's first hour / 第一次使用:
  menshen registry import cars.xlsx --dry-run --report found.html   look at the list / 检查登记表
  menshen registry import cars.xlsx                                 take it / 导入
  menshen registry household set 3-2-501 --contact 王芳 --phone 13812345678
  menshen registry change 苏E12345 --household 3-2-501 --verified-by 李伟
  menshen registry space set B1-027 --household 3-2-501             one space, several cars / 一位多车
  menshen registry visitor book 沪A12345 --household 3-2-501 --from 2026-12-31
  menshen registry rules set --always-pass emergency,police

Every change is written down with who made it (--by) and why (--why).
每次修改都会记录操作人和原因。")]
pub(crate) enum Verb {
    /// Put a list in the place of the vehicles, after looking at every row / 导入登记表（替换原有）
    Import(Box<import::ImportArgs>),
    /// Write the vehicles as .csv or .xlsx / 导出
    ///
    /// No cell can become a formula, whatever somebody wrote into the register; `import` reads
    /// the file back as it was.
    Export {
        /// Where to: .csv or .xlsx; standard output (CSV) if absent / 文件
        file: Option<PathBuf>,
        /// Chinese column names / 中文列名
        #[arg(long)]
        chinese: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show the vehicles / 查看车辆
    List {
        /// Print JSON for machines
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        filter: vehicles::Filter,
        #[command(flatten)]
        place: Place,
    },
    /// Show everything about one plate / 查看一辆车
    Show {
        /// For example 苏E12345
        plate: String,
        /// Print JSON for machines
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Register one vehicle, or replace its row / 登记一辆车
    Add {
        /// For example 苏E12345
        plate: String,
        #[command(flatten)]
        fields: Box<vehicles::Fields>,
        #[command(flatten)]
        act: Act,
    },
    /// Change what is given of a vehicle, and leave the rest / 修改一辆车
    Change {
        /// For example 苏E12345
        plate: String,
        #[command(flatten)]
        fields: Box<vehicles::Fields>,
        #[command(flatten)]
        act: Act,
    },
    /// Take one vehicle out / 删除一辆车
    Remove {
        /// For example 苏E12345
        plate: String,
        #[command(flatten)]
        act: Act,
    },
    /// Households: contact, fee, restrictions / 住户
    #[command(subcommand)]
    Household(books::HouseholdVerb),
    /// Parking spaces and who shares them / 车位
    #[command(subcommand)]
    Space(books::SpaceVerb),
    /// Weekly schedules, for suppliers / 时段
    #[command(subcommand)]
    Schedule(books::ScheduleVerb),
    /// Visitors whom households have booked / 访客
    #[command(subcommand)]
    Visitor(books::VisitorVerb),
    /// Plates that must not enter / 黑名单
    #[command(subcommand)]
    Block(books::BlockVerb),
    /// Times in which nobody enters without the guard / 临时封闭
    #[command(subcommand)]
    Closure(books::ClosureVerb),
    /// The compound's own rules / 小区规则
    #[command(subcommand)]
    Rules(books::RulesVerb),
    /// Who is inside, as far as the gate saw / 在场车辆
    Inside(books::Listing),
    /// A vehicle that the gate thinks inside is not there / 标记为已离场
    Left {
        /// Its plate
        plate: PlateNumber,
        #[command(flatten)]
        act: Act,
    },
    /// Read the whole register anew and compare: rows, records, indexes, who is inside / 核对登记库
    Verify(Place),
    /// What the road says: rows never seen, numbers one character away from a row / 按过车记录提出的建议
    Proposals(Box<proposals::ProposalsArgs>),
    /// Version and digests: equal on two gates that hold the same register / 版本与校验值
    Digest(sync::DigestArgs),
    /// Records that are otherwise here than on the server, and which of them stays / 与服务器不一致的记录
    #[command(subcommand)]
    Conflicts(sync::ConflictsVerb),
    /// A server's register that is on its way here / 正在接收的登记表
    #[command(subcommand)]
    Transfer(sync::TransferVerb),
    /// Send a register to gates, from the committee's server / 发送登记表到门禁
    #[cfg(feature = "collect")]
    Publish(Box<publish::PublishArgs>),
}

/// Runs `menshen registry …`.
pub(crate) fn run(verb: Verb) -> u8 {
    let done = match verb {
        Verb::Import(args) => import::run(&args),
        Verb::Export {
            file,
            chinese,
            place,
        } => vehicles::export(file.as_deref(), chinese, &place),
        Verb::List {
            json,
            filter,
            place,
        } => vehicles::list(json, &filter, &place),
        Verb::Show { plate, json, place } => vehicles::show(&plate, json, &place),
        Verb::Add { plate, fields, act } => vehicles::add(&plate, *fields, &act),
        Verb::Change { plate, fields, act } => vehicles::change(&plate, *fields, &act),
        Verb::Remove { plate, act } => vehicles::remove(&plate, &act),
        Verb::Household(verb) => verb.run(),
        Verb::Space(verb) => verb.run(),
        Verb::Schedule(verb) => verb.run(),
        Verb::Visitor(verb) => verb.run(),
        Verb::Block(verb) => verb.run(),
        Verb::Closure(verb) => verb.run(),
        Verb::Rules(verb) => verb.run(),
        Verb::Inside(listing) => listing.inside(),
        Verb::Left { plate, act } => left(&plate, &act),
        Verb::Verify(place) => verify(&place),
        Verb::Proposals(args) => args.run(),
        Verb::Digest(args) => args.run(),
        Verb::Conflicts(verb) => verb.run(),
        Verb::Transfer(verb) => verb.run(),
        #[cfg(feature = "collect")]
        Verb::Publish(args) => publish::run(&args),
    };
    match done {
        Ok(()) => DONE,
        Err(status) => status,
    }
}

fn left(plate: &PlateNumber, act: &Act) -> Result<(), u8> {
    act.mark_outside(plate.clone())?;
    println!("{}: not inside any more / 已标记为离场", plate.dotted());
    Ok(())
}

fn verify(place: &Place) -> Result<(), u8> {
    let outcome = place.perform(Change::Verify)?;
    for wrong in &outcome.wrong {
        println!("{wrong}");
    }
    if outcome.wrong.is_empty() {
        println!(
            "the register is sound: version {}, {} vehicles / 登记库完好：第 {} 版，{} 辆",
            outcome.version, outcome.count, outcome.version, outcome.count
        );
        return Ok(());
    }
    Err(fail(
        FOUND_WRONG,
        "the register is not sound; restart the gate, and if that does not help import the list again / 登记库有误，请重启门禁；仍有误请重新导入",
    ))
}
