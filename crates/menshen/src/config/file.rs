//! The file as typed: every key optional, nothing resolved, no rules.
//!
//! Tables of other crates are read with their own types (`gate::wiring`,
//! `vision::source::CameraConfig`, `bridge::MqttConfig`), so a key that they gain is a key of
//! the file at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bridge::MqttConfig;
use domain::{Direction, Language, Name};
use gate::wiring::{LineConfig, RelayConfig};
use serde::{Deserialize, Serialize};
use vision::source::CameraConfig;

use super::read::known_keys;
use super::size::ByteSize;

/// `[site]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SiteFile {
    pub(super) name: Option<Name>,
    pub(super) device: Option<Name>,
    pub(super) time_zone: Option<String>,
    pub(super) language: Option<Language>,
}

/// `[store]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreFile {
    pub(super) folder: Option<PathBuf>,
    #[serde(with = "humantime_serde")]
    pub(super) pictures_for: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) events_for: Option<Duration>,
    pub(super) pictures_budget: Option<ByteSize>,
    pub(super) events_budget: Option<ByteSize>,
}

/// One `[[barrier]]`. The times are those of `gate::barrier::PulseProfile`, the inputs those
/// of `gate::wiring::InputsConfig` but the arrival loops, which stand with their lanes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BarrierFile {
    pub(super) name: Option<Name>,
    pub(super) relay: Option<RelayConfig>,
    #[serde(with = "humantime_serde")]
    pub(super) pulse: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) repeat_gap: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) fire_repeat: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) freshness: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) dead_time: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) release_margin: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) hold_cap: Option<Duration>,
    pub(super) safety_loop: Option<LineConfig>,
    pub(super) light_beam: Option<LineConfig>,
    pub(super) guard_button: Option<LineConfig>,
    pub(super) fire: Option<LineConfig>,
    pub(super) stop: Option<LineConfig>,
    pub(super) opened_limit: Option<LineConfig>,
    pub(super) closed_limit: Option<LineConfig>,
}

/// `trigger` of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TriggerFile {
    Picture,
    Loop,
    Both,
}

/// `mode` of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Enforce,
    Shadow,
}

/// One `[[lane]]` without its `[lane.camera]`, which is read by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LaneFile {
    pub(super) name: Option<Name>,
    pub(super) direction: Option<Direction>,
    pub(super) barrier: Option<Name>,
    pub(super) trigger: Option<TriggerFile>,
    pub(super) mode: Option<Mode>,
    pub(super) arrival_loop: Option<LineConfig>,
    pub(super) read_passes: Option<bool>,
    #[serde(with = "humantime_serde")]
    pub(super) decide_within: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) leave_after: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) ask_for: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) stay_limit: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) hold_for: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub(super) wait_limit: Option<Duration>,
}

/// `[models]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ModelsFile {
    pub(super) folder: Option<PathBuf>,
    pub(super) threads: Option<usize>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// What went wrong.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And each step.
    Trace,
}

impl Level {
    /// The word, as a filter directive.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Whether the log goes to journald.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Journald {
    /// When systemd started the program.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// To the terminal in any case.
    Never,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogFile {
    pub(super) level: Option<Level>,
    pub(super) journald: Option<Journald>,
}

/// `[decision]`; scores in nats.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecisionFile {
    pub(super) over_stranger: Option<f64>,
    pub(super) over_runner_up: Option<f64>,
    pub(super) over_registered: Option<f64>,
    pub(super) least_score: Option<f64>,
    pub(super) refuse_after: Option<u32>,
}

/// When the wall clock is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trusted {
    /// Once the kernel says it is synchronised (by NTP), or from the start where the machine
    /// has a battery-backed clock that agrees with it.
    #[default]
    Auto,
    /// From the start, whatever the machine says about it.
    Always,
}

/// `[clock]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClockFile {
    pub(super) trusted: Option<Trusted>,
}

/// `[metrics]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricsFile {
    pub(super) listen: Option<SocketAddr>,
    pub(super) open_to_network: Option<bool>,
}

/// The tables at the top of the file.
pub(super) const SECTIONS: [&str; 10] = [
    "site", "barrier", "lane", "store", "mqtt", "models", "decision", "clock", "log", "metrics",
];

/// Every table of the file by its heading, with the keys its type knows.
pub(super) fn tables() -> Vec<(&'static str, Vec<String>)> {
    vec![
        ("[site]", known_keys::<SiteFile>()),
        ("[[barrier]]", known_keys::<BarrierFile>()),
        ("[[lane]]", known_keys::<LaneFile>()),
        ("[lane.camera]", known_keys::<CameraConfig>()),
        ("[store]", known_keys::<StoreFile>()),
        ("[mqtt]", known_keys::<MqttConfig>()),
        ("[models]", known_keys::<ModelsFile>()),
        ("[decision]", known_keys::<DecisionFile>()),
        ("[clock]", known_keys::<ClockFile>()),
        ("[log]", known_keys::<LogFile>()),
        ("[metrics]", known_keys::<MetricsFile>()),
    ]
}
