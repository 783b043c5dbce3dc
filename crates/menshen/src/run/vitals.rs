//! Log, service manager and health: how the outside sees that the gate is well.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bridge::BridgeHandle;
use bridge::health::{HealthReport, Latencies};
use domain::Name;
use tracing::warn;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{House, Journald};

/// Sends log lines to journald where systemd started the program, else to standard error.
/// `RUST_LOG` overrides the configured level.
pub(crate) fn start_log(house: &House) {
    let level = house.log.level.word();
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},rumqttc=warn,sled=warn,tract=warn")));
    let wanted = match house.log.journald {
        Journald::Always => true,
        Journald::Never => false,
        Journald::Auto => std::env::var_os("JOURNAL_STREAM").is_some(),
    };
    let journald = wanted.then(tracing_journald::layer).and_then(Result::ok);
    let terminal = journald.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
    });
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(journald)
        .with(terminal)
        .try_init();
    if let Err(e) = started {
        eprintln!("menshen: no log: {e}");
    }
}

/// Tells the service manager, if there is one.
pub(crate) fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        warn!(error = %e, "the service manager could not be told");
    }
}

/// What the last health report said, for rates.
pub(crate) struct Vitals {
    frames: HashMap<Name, u64>,
    at: Instant,
}

impl Vitals {
    pub(crate) fn new() -> Self {
        Self {
            frames: HashMap::new(),
            at: Instant::now(),
        }
    }

    /// The health report since the last one.
    #[expect(
        clippy::too_many_arguments,
        reason = "one number from each part of the house"
    )]
    pub(crate) fn report(
        &mut self,
        uptime: Duration,
        clock_trusted: bool,
        lanes: impl Iterator<Item = (Name, u64)>,
        store_bytes: u64,
        outbox_depth: u64,
        bridge: Option<&BridgeHandle>,
        latencies: &Mutex<Latencies>,
    ) -> HealthReport {
        let span = self.at.elapsed().as_secs_f32().max(0.001);
        self.at = Instant::now();
        let frames_per_second = lanes
            .map(|(lane, frames)| {
                let before = self.frames.insert(lane.clone(), frames).unwrap_or(0);
                (lane, frames.saturating_sub(before) as f32 / span)
            })
            .collect();
        HealthReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: uptime.as_secs(),
            clock_trusted,
            cpu_temperature_c: temperature(),
            memory_bytes: memory(),
            store_bytes,
            outbox_depth,
            pictures_dropped: bridge.map_or(0, |b| b.status().pictures_dropped),
            frames_per_second,
            latency: latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        }
    }
}

/// The processor's temperature in °C, where the kernel tells.
fn temperature() -> Option<f32> {
    let text = std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").ok()?;
    text.trim()
        .parse::<f32>()
        .ok()
        .map(|millidegrees| millidegrees / 1000.0)
}

/// Resident memory in bytes of this process and its descendants.
fn memory() -> u64 {
    let mut parents: Vec<(u32, u32, u64)> = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let Some(id) = id else { continue };
        let Ok(status) = std::fs::read_to_string(process.path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        if let (Some(parent), Some(kilobytes)) = (field("PPid:"), field("VmRSS:")) {
            parents.push((id, parent as u32, kilobytes * 1024));
        }
    }
    let mut family = vec![std::process::id()];
    let mut at = 0;
    while at < family.len() {
        let of = family[at];
        family.extend(
            parents
                .iter()
                .filter(|(_, parent, _)| *parent == of)
                .map(|(id, _, _)| *id),
        );
        at += 1;
    }
    parents
        .iter()
        .filter(|(id, _, _)| family.contains(id))
        .map(|(_, _, bytes)| bytes)
        .sum()
}
