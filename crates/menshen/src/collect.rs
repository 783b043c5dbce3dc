//! `menshen collect`: the committee server's end. The work is done in `collector`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use collector::{Archive, CollectorConfig};
use domain::command::DeviceName;
use jiff::Timestamp;

use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};

/// `menshen collect`.
#[derive(Debug, Args)]
#[command(
    after_help = "docs/collector.md says how to set it up, and how to write one's own.\n\
                  docs/collector.md 说明如何部署，以及如何自己编写。"
)]
pub(crate) struct CollectArgs {
    /// The collector's configuration / 配置文件
    #[arg(
        long,
        default_value = "/etc/menshen/collector.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Only say what is there: gates, holes, the last reports / 只显示情况
    #[arg(long, conflicts_with = "concede")]
    status: bool,
    /// Give up entries of a gate that will not come any more, as site/device:FROM-TO; it is
    /// written down / 放弃不会再来的记录
    #[arg(long, value_parser = hole, value_name = "SITE/DEVICE:FROM-TO")]
    concede: Option<Hole>,
}

/// Entries that are given up.
#[derive(Debug, Clone)]
struct Hole {
    device: DeviceName,
    from: u64,
    to: u64,
}

fn hole(text: &str) -> Result<Hole, String> {
    let form = || format!("{text:?}: write it as east-garden/gate:101-120");
    let (device, numbers) = text.split_once(':').ok_or_else(form)?;
    let (from, to) = numbers.split_once('-').ok_or_else(form)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| form());
    let hole = Hole {
        device: device.parse().map_err(|_| form())?,
        from: number(from)?,
        to: number(to)?,
    };
    if hole.from == 0 || hole.from > hole.to {
        return Err(form());
    }
    Ok(hole)
}

/// Collects until it is told to stop.
pub(crate) fn run(args: &CollectArgs) -> u8 {
    let config = match CollectorConfig::load(&args.config) {
        Ok(config) => config,
        Err(error) => return fail(WRONG_USAGE, error),
    };
    let mut store = match config.open_store() {
        Ok(store) => store,
        Err(error) => return fail(FOUND_WRONG, error),
    };
    if args.status {
        return status(store.as_mut());
    }
    if let Some(hole) = &args.concede {
        return concede(store.as_mut(), hole);
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = stop_at_signals(&stop) {
        return fail(FOUND_WRONG, error);
    }
    let collected = collector::mailbox::run(&config, store.as_mut(), &stop, &mut |delivered| {
        tracing::debug!(
            stored = delivered.stored,
            repeated = delivered.repeated,
            "a batch"
        );
    });
    match collected {
        Ok(()) => DONE,
        Err(error) => fail(WRONG_USAGE, error),
    }
}

fn stop_at_signals(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = Arc::clone(stop);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                if let (Ok(mut end), Ok(mut interrupt)) = (
                    signal(SignalKind::terminate()),
                    signal(SignalKind::interrupt()),
                ) {
                    tokio::select! {
                        _ = end.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                }
            });
            stop.store(true, Ordering::SeqCst);
        })?;
    Ok(())
}

fn status(store: &mut dyn Archive) -> u8 {
    let lines = match store.devices() {
        Ok(lines) => lines,
        Err(error) => return fail(FOUND_WRONG, error),
    };
    let mut whole = true;
    for line in &lines {
        let holes: Vec<_> = line
            .holes
            .iter()
            .map(|(from, to)| format!("{from}-{to}"))
            .collect();
        whole &= holes.is_empty();
        let missing = if holes.is_empty() {
            String::new()
        } else {
            format!(", missing / 缺失: {}", holes.join(", "))
        };
        println!(
            "{}\t{} entries / 条, whole up to / 完整至 {}{missing}, heard / 最近 {}",
            line.device, line.entries, line.upto, line.heard_at
        );
    }
    match store.reports(20) {
        Ok(reports) => {
            for report in reports {
                println!(
                    "{}\t{}\t{}\t{}",
                    report.at,
                    report.device.as_deref().unwrap_or("-"),
                    report.kind,
                    report.message
                );
            }
        }
        Err(error) => return fail(FOUND_WRONG, error),
    }
    if whole { DONE } else { FOUND_WRONG }
}

fn concede(store: &mut dyn Archive, hole: &Hole) -> u8 {
    let now = Timestamp::now();
    let conceded = store.batch(&mut |book| {
        book.concede(
            &hole.device,
            (hole.from, hole.to),
            "given up by a person",
            now,
        )?;
        let mut standing = book.standing(&hole.device)?;
        standing.concede(hole.from, hole.to);
        book.note(&hole.device, standing.end(), standing.head(), now)
    });
    match conceded {
        Ok(()) => {
            println!(
                "{}: entries {} to {} are given up / 已放弃",
                hole.device, hole.from, hole.to
            );
            DONE
        }
        Err(error) => fail(FOUND_WRONG, error),
    }
}
