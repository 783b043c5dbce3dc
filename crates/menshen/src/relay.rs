//! `menshen relay-guard` and `menshen safe-off`: the two that touch relays.

use std::path::PathBuf;

use clap::Args;

use crate::config;
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};

/// `menshen safe-off`.
#[derive(Debug, Args)]
pub(crate) struct SafeOffArgs {
    /// The configuration / 配置文件
    #[arg(long, default_value = "/etc/menshen/menshen.toml", value_name = "FILE")]
    config: PathBuf,
}

/// Holds one barrier's lines for a daemon, speaking over standard input and output.
pub(crate) fn guard() -> u8 {
    match gate::relay_guard::run(std::io::stdin(), std::io::stdout()) {
        Ok(()) => DONE,
        Err(e) => fail(FOUND_WRONG, format_args!("relay guard: {e}")),
    }
}

/// Releases every relay that a configuration names, whoever left it energised.
pub(crate) fn safe_off(args: &SafeOffArgs) -> u8 {
    let house = match config::load(&args.config) {
        Ok(house) => house,
        Err(problems) => return fail(WRONG_USAGE, problems),
    };
    let mut status = DONE;
    for barrier in &house.barriers {
        match gate::safe_off(&barrier.wiring) {
            Ok(()) => println!("{}: off / 已断开", barrier.name),
            Err(e) => status = fail(FOUND_WRONG, format_args!("barrier {}: {e}", barrier.name)),
        }
    }
    status
}
