//! `menshen demo`: a minute at a gate, with everything real but the hardware.
//!
//! ```text
//! sim::Street ─ frames ─► FIFO ─► menshen run ─ MQTT ─► sim::Broker ─► this view
//!      ▲                              │ relay guard, simulated relay
//!      └──────── sim::Boom ◄── trace ─┘
//! ```
//!
//! The gate is this same program, started as a child with a configuration of its own in a
//! temporary folder: real models, real registry, real journal, real barrier with its relay
//! guard. Only the street, the boom and the broker are simulated. What each vehicle should
//! have got follows by rule from the registry file; what it got is what the broker received.

mod expect;
mod stage;
mod view;

use std::path::PathBuf;

use clap::Args;

use crate::outcome::{DONE, FOUND_WRONG, fail};

/// `menshen demo`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct DemoArgs {
    /// Another seed, another scene / 场景编号
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Strangers become residents and the other way round / 交换登记表
    #[arg(long)]
    swap: bool,
    /// Go on with the next seed until interrupted / 持续演示
    #[arg(long)]
    watch: bool,
    /// Print the summary only
    #[arg(long)]
    quiet: bool,
    /// Keep the folder with configuration, store and pictures, and say where it is
    #[arg(long)]
    keep: bool,
    /// Write the frames' pictures here too, one a second
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

/// Plays the demo, and says with the exit status whether every vehicle got what the registry
/// file says.
pub(crate) fn run(args: &DemoArgs) -> u8 {
    let mut seed = args.seed;
    loop {
        let good = match stage::play(seed, args) {
            Ok(played) => view::summary(&played),
            Err(e) => return fail(FOUND_WRONG, format_args!("demo: {e}")),
        };
        if !good {
            return FOUND_WRONG;
        }
        if !args.watch {
            return DONE;
        }
        seed += 1;
    }
}
