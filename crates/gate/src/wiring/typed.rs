//! What a person typed: the `relay` and `inputs` tables of a barrier, key by key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which kind of port drives the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// No hardware: edges go to a trace file, inputs come from a file.
    #[default]
    Simulated,
    /// A Raspberry Pi 4 or 5 header pin through rppal.
    Rppal,
    /// A line of a GPIO character device.
    Gpiochip,
    /// A USB or serial relay board of the LCUS-1 kind.
    Serial,
    /// A relay board that speaks Modbus: RTU on a tty, or Modbus TCP.
    Modbus,
    /// A camera that holds the barrier's relay itself (Hikvision's ISAPI over HTTP). It bounds
    /// its own pulse: it is told to open, and nothing can be taken back.
    Isapi,
}

/// The `relay` table of a barrier, as typed. The default is a simulated relay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// Which of the drivers; decides which of the other keys apply.
    pub driver: Driver,
    /// `gpiochip`: the chip's device file. Default `/dev/gpiochip0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<PathBuf>,
    /// `gpiochip`: line offset on the chip. `rppal`: BCM pin number. Required for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// `gpiochip`, `rppal`: the relay is energised by a low level. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_low: Option<bool>,
    /// `serial`, `modbus`: the board's tty. Default `/dev/ttyUSB0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PathBuf>,
    /// `modbus`: the tty's speed in bits a second, 4800 to 115200. Default 9600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// `modbus`: the IP address of a board on the network, instead of a tty, with `:PORT`
    /// unless that is 502. `isapi`: the camera's, unless its port is 80; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `modbus`: the board's unit address, 1 to 255. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u8>,
    /// `serial`, `modbus`: the relay on the board, counted from 1. `isapi`: the camera's
    /// barrier. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// `modbus`: energise by Waveshare's flash function, so that the board itself releases
    /// after a second at the latest. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash: Option<bool>,
    /// `isapi`: the camera's user. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `isapi`: a file that holds the user's password and nothing else. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// `simulated`: every edge is appended to this file. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// `simulated`: the input levels are read from this file. Default: all inputs at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<PathBuf>,
}

/// Bias of an input pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// Pulled up: the contact connects the pin to ground. The usual wiring.
    #[default]
    Up,
    /// Pulled down: the contact connects the pin to the supply.
    Down,
    /// No bias: an outside circuit sets the level.
    None,
}

/// A logic level of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Near ground.
    Low,
    /// Near the supply.
    High,
}

fn default_debounce() -> Duration {
    Duration::from_millis(30)
}

/// One input, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Line offset on the chip, BCM pin number, or (`modbus`) the input on the board, counted
    /// from 1. Not needed for the simulated driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The contact is closed at rest, so that a broken wire reads as active. Default false.
    #[serde(default)]
    pub normally_closed: bool,
    /// Bias of the pin. Default `up`. The inputs of a `modbus` board have none.
    #[serde(default)]
    pub pull: Pull,
    /// The level of the pin while the contact is closed. Default: `high` with `pull = "down"`,
    /// otherwise `low`. `modbus`: what the input reads then, `high` for 1; default `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_reads: Option<Level>,
    /// How long a change must last before it counts, up to 1 s. Default 30 ms.
    #[serde(default = "default_debounce", with = "humantime_serde")]
    pub debounce: Duration,
    /// Active for longer than this is reported as a stuck input. Default: arrival loop
    /// 30 min, safety loop and light beam 10 min, guard button 1 min, never for the others.
    #[serde(
        default,
        with = "humantime_serde::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub stuck_after: Option<Duration>,
}

impl Default for LineConfig {
    fn default() -> Self {
        Self {
            line: None,
            normally_closed: false,
            pull: Pull::default(),
            closed_reads: None,
            debounce: default_debounce(),
            stuck_after: None,
        }
    }
}

/// The `inputs` table of a barrier, as typed. All are optional.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputsConfig {
    /// The arrival loop of each lane, by the lane's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arrival_loop: BTreeMap<String, LineConfig>,
    /// The loop under the boom (only watched in the pulse profile).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_loop: Option<LineConfig>,
    /// The light beam under the boom (only watched in the pulse profile).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub light_beam: Option<LineConfig>,
    /// The guard's OPEN button.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard_button: Option<LineConfig>,
    /// The fire alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fire: Option<LineConfig>,
    /// The STOP button.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<LineConfig>,
    /// Boom fully up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_limit: Option<LineConfig>,
    /// Boom fully down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_limit: Option<LineConfig>,
}
