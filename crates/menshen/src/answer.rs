//! `menshen answer` and `menshen status`: a person at the gate, from a terminal.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use domain::{Name, PassageId};

use crate::config;
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};
use crate::run::socket::{self, Reply, Request};

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    /// Let the vehicle pass / 放行
    Admit,
    /// Do not let it pass / 不放行
    Refuse,
}

/// `menshen answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// What the guard says / 门卫的决定
    word: Word,
    /// The lane, where several ask / 车道
    #[arg(long)]
    lane: Option<Name>,
    /// The passage; without it the one that waits longest / 通行编号
    #[arg(long)]
    passage: Option<PassageId>,
    /// Who answers, for the record / 答复人
    #[arg(long, default_value = "guard")]
    by: String,
    #[command(flatten)]
    place: Place,
}

/// `menshen status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Where the gate is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The gate's configuration / 配置文件
    #[arg(long, default_value = "/etc/menshen/menshen.toml", value_name = "FILE")]
    config: PathBuf,
}

impl Place {
    fn ask(&self, request: &Request) -> Result<Reply, u8> {
        let house = config::load(&self.config).map_err(|e| fail(WRONG_USAGE, e))?;
        let path = socket::path_for(&house.store.folder);
        match socket::ask(&path, request) {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(fail(
                FOUND_WRONG,
                format_args!(
                    "no gate is running here (nothing listens at {}); start it with `menshen run` / 门禁未运行",
                    path.display()
                ),
            )),
            Err(e) => Err(fail(
                FOUND_WRONG,
                format_args!("{}: {e}; are you in the group menshen?", path.display()),
            )),
        }
    }
}

/// Gives a person's answer to the running gate.
pub(crate) fn run(args: AnswerArgs) -> u8 {
    let AnswerArgs {
        word,
        lane,
        passage,
        by,
        place,
    } = args;
    let request = Request::Answer {
        lane,
        passage,
        admit: word == Word::Admit,
        by,
    };
    match place.ask(&request) {
        Ok(Reply::Done { message }) => {
            println!("{message}");
            DONE
        }
        Ok(Reply::Refused { message }) => fail(FOUND_WRONG, message),
        Ok(_) => fail(
            FOUND_WRONG,
            "the gate gave an answer that does not belong to the question",
        ),
        Err(status) => status,
    }
}

/// Says how the running gate is.
pub(crate) fn status(args: &StatusArgs) -> u8 {
    let status = match args.place.ask(&Request::Status) {
        Ok(Reply::Status(status)) => status,
        Ok(Reply::Refused { message }) => return fail(FOUND_WRONG, message),
        Ok(_) => {
            return fail(
                FOUND_WRONG,
                "the gate gave an answer that does not belong to the question",
            );
        }
        Err(status) => return status,
    };
    if args.json {
        match serde_json::to_string(&status) {
            Ok(text) => println!("{text}"),
            Err(e) => return fail(FOUND_WRONG, e),
        }
        return DONE;
    }
    println!("menshen {}, {} s", status.version, status.uptime_s);
    println!("vehicles / 登记车辆    {}", status.vehicles);
    println!(
        "clock / 时钟           {}",
        if status.clock_trusted {
            "trusted / 可信"
        } else {
            "not trusted / 未校准"
        }
    );
    let broker = match status.broker {
        None => "not configured / 未配置",
        Some(true) => "connected / 已连接",
        Some(false) => "away / 未连接",
    };
    println!(
        "broker / 消息服务      {broker}, {} waiting / 待送",
        status.outbox
    );
    for lane in &status.lanes {
        let asking = lane
            .asking
            .map_or_else(String::new, |id| format!(", asks / 请确认: {id}"));
        println!(
            "lane / 车道 {:10} {} frames{asking}",
            lane.lane.as_str(),
            lane.frames
        );
    }
    DONE
}
