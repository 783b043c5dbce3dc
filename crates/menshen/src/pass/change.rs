//! `menshen pass bind`, `extend` and `revoke`: changes of passes that are out.

use access::pass::{Bearer, Pass};
use clap::Args;
use domain::PassNumber;
use jiff::civil::Date;

use super::issue::Whose;
use super::{one, record};
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};
use crate::registry::{Act, date};

/// A pass that is not revoked.
fn held(act: &Act, number: PassNumber) -> Result<Pass, u8> {
    let pass = one(&act.place, number)?.pass;
    if let Some(why) = &pass.revoked {
        return Err(fail(
            FOUND_WRONG,
            format_args!(
                "pass {number} is revoked ({why}), for good; issue it anew with `menshen pass issue --numbers {number} --replace` / 通行证 {number} 已注销，请补发新证"
            ),
        ));
    }
    Ok(pass)
}

/// `menshen pass bind`.
#[derive(Debug, Args)]
pub(crate) struct BindArgs {
    /// The pass / 号码
    number: PassNumber,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    act: Act,
}

/// A blank keeps its paper; what was printed for somebody else does not count any more.
pub(super) fn bind(args: BindArgs) -> Result<(), u8> {
    let BindArgs { number, whose, act } = args;
    let mut pass = held(&act, number)?;
    if let Some(bearer) = whose.bearer() {
        if pass.bearer != Bearer::Blank && pass.bearer != bearer {
            pass.edition = pass.edition.saturating_add(1);
            eprintln!(
                "its paper is void; print it anew / 旧证作废，请重新打印: menshen pass print --numbers {number}"
            );
        }
        pass.bearer = bearer;
    }
    whose.fill(&mut pass);
    act.put(record(pass))
}

/// `menshen pass extend`.
#[derive(Debug, Args)]
pub(crate) struct ExtendArgs {
    /// The pass / 号码
    number: PassNumber,
    /// The new last day / 有效期至
    #[arg(long, value_name = "DATE", value_parser = date)]
    until: Option<Date>,
    /// So many entries more than it was good for / 增加次数
    #[arg(long, value_name = "NUMBER")]
    more_entries: Option<u16>,
    #[command(flatten)]
    act: Act,
}

pub(super) fn extend(args: &ExtendArgs) -> Result<(), u8> {
    let mut pass = held(&args.act, args.number)?;
    match (args.until, args.more_entries) {
        (None, None) => {
            return Err(fail(
                WRONG_USAGE,
                "say by what: --until 2027-06-30, or --more-entries 3 / 请写明新的日期或次数",
            ));
        }
        (_, Some(_)) if pass.entries.is_none() => {
            return Err(fail(
                WRONG_USAGE,
                format_args!(
                    "the entries of pass {} are not counted / 此证不限次数",
                    args.number
                ),
            ));
        }
        (until, more) => {
            pass.until = until.unwrap_or(pass.until);
            let more = more.unwrap_or(0);
            pass.entries = pass.entries.map(|n| n.saturating_add(more));
        }
    }
    args.act.put(record(pass))
}

/// `menshen pass revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The pass / 号码
    number: PassNumber,
    /// Why, as the guard reads it: lost, moved away / 原因
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    act: Act,
}

pub(super) fn revoke(args: RevokeArgs) -> Result<(), u8> {
    let mut pass = one(&args.act.place, args.number)?.pass;
    pass.revoked = Some(args.reason);
    args.act.put(record(pass))
}
