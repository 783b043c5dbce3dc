//! `menshen pass`: numbered passes, with or without a running gate.
//!
//! [`ask`] is what is asked of whoever holds the store; [`issue`] makes new passes, one or thousands;
//! [`change`] extends, revokes, binds; [`show`] lists and checks; [`print`] puts them on paper,
//! [`page`] makes the page with which a guard's phone checks them.

pub(crate) mod ask;
mod change;
mod issue;
mod numbers;
mod page;
mod print;
mod show;

use access::registry::book::Record;
use clap::Subcommand;
use domain::PassNumber;

use crate::outcome::{DONE, FOUND_WRONG, fail};
use crate::registry::{Change, Place};
use ask::{Ask, Line, Told};

/// `menshen pass …`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
From the list of cars to passes in windscreens / 从登记表到通行证:
  menshen pass issue --list cars.xlsx --numbers 1.. --until 2027-12-31   one for each car / 按登记表发证
  menshen pass print --out passes.pdf                                    A4, ten a sheet / A4 打印，每页十张

Single ones, and blanks that are bound later / 单张，先印后登记:
  menshen pass issue --numbers 638 --plate 沪A12345 --entries 3 --until 2026-12-31
  menshen pass issue --numbers 1001..2062 --until 2027-12-31             blanks / 空白证
  menshen pass bind 1001 --plate 苏E67890 --holder 王芳
  menshen pass extend 638 --until 2027-06-30                             the paper stays good / 原证继续有效
  menshen pass revoke 638 --reason 遗失

At the gate / 门岗:
  menshen pass check \"MS1:…\" --plate 沪A12345                            what is it worth? / 核验
  menshen pass check \"MS1:…\" --admit                                     and let in by hand, one entry / 放行并计一次

A car whose plate a pass binds is let in by its plate; nobody has to show the paper.
绑定车牌的通行证凭车牌放行，无需出示。")]
pub(crate) enum Verb {
    /// Issue passes: one, a range of numbers, or one for each row of a list / 发证
    Issue(Box<issue::IssueArgs>),
    /// Write down whose a pass is / 登记使用人
    Bind(Box<change::BindArgs>),
    /// Let a pass last longer, or give it more entries; its paper stays good / 延期
    Extend(change::ExtendArgs),
    /// Make a pass worth nothing, for good / 注销
    Revoke(change::RevokeArgs),
    /// Show passes / 查看通行证
    List(show::ListArgs),
    /// Show everything about one pass / 查看一张通行证
    Show(show::ShowArgs),
    /// Say what a pass that is shown is worth / 核验出示的通行证
    Check(show::CheckArgs),
    /// Put passes on paper: A4 sheets with cut marks, or single slips; PDF or SVG / 打印
    Print(print::PrintArgs),
    /// Make a page with which a phone checks passes, without a network / 手机核验页面
    Page(page::PageArgs),
}

/// Runs `menshen pass …`.
pub(crate) fn run(verb: Verb) -> u8 {
    let done = match verb {
        Verb::Issue(args) => issue::run(*args),
        Verb::Bind(args) => change::bind(*args),
        Verb::Extend(args) => change::extend(&args),
        Verb::Revoke(args) => change::revoke(args),
        Verb::List(args) => show::list(&args),
        Verb::Show(args) => show::show(&args),
        Verb::Check(args) => show::check(args),
        Verb::Print(args) => print::run(&args),
        Verb::Page(args) => page::run(&args),
    };
    match done {
        Ok(()) => DONE,
        Err(status) => status,
    }
}

fn perform(place: &Place, ask: Ask) -> Result<Told, u8> {
    let outcome = place.perform(Change::Pass { ask })?;
    outcome.pass.map(|told| *told).ok_or_else(|| {
        fail(
            FOUND_WRONG,
            "the gate gave no answer about passes; is an older version running? restart it / 门禁版本过旧，请重启",
        )
    })
}

fn all(place: &Place) -> Result<Vec<Line>, u8> {
    Ok(perform(place, Ask::List)?.passes)
}

fn one(place: &Place, number: PassNumber) -> Result<Line, u8> {
    let found = all(place)?.into_iter().find(|l| l.pass.number == number);
    found.ok_or_else(|| fail(FOUND_WRONG, ask::absent(number)))
}

fn record(pass: access::pass::Pass) -> Record {
    Record::Pass(Box::new(pass))
}
