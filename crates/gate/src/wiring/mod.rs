//! What is wired to what: the part of the site's configuration that this crate needs.
//!
//! [`RelayConfig`] and [`InputsConfig`] hold what a person typed, key by key.
//! [`Wiring::new`] turns them into a [`Wiring`], which only exists in a form that can be
//! opened: each driver has its own keys and no others, no pin is used twice. The relay guard
//! receives the `Wiring` as JSON; [`Wiring::describe`] says it in words.

mod typed;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use domain::Words;
use serde::{Deserialize, Serialize};

pub use typed::{Driver, InputsConfig, Level, LineConfig, Pull, RelayConfig};

use crate::line::{DebounceRule, Line};

/// The relay, as it will be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "snake_case", deny_unknown_fields)]
pub enum RelayWiring {
    /// See [`Driver::Simulated`].
    Simulated {
        /// Where edges are appended.
        trace: Option<PathBuf>,
        /// Where input levels are read.
        inputs: Option<PathBuf>,
    },
    /// See [`Driver::Rppal`].
    Rppal {
        /// BCM pin number.
        line: u8,
        /// Energised by a low level.
        active_low: bool,
    },
    /// See [`Driver::Gpiochip`].
    Gpiochip {
        /// The chip's device file.
        chip: PathBuf,
        /// Line offset.
        line: u32,
        /// Energised by a low level.
        active_low: bool,
    },
    /// See [`Driver::Serial`].
    Serial {
        /// The board's tty.
        port: PathBuf,
        /// The relay on the board, from 1.
        channel: u8,
    },
}

/// One input, as it will be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputWiring {
    /// What it means.
    pub line: Line,
    /// Line offset or BCM pin; of no meaning to the simulated driver.
    pub pin: u32,
    /// Closed at rest.
    pub normally_closed: bool,
    /// Bias.
    pub pull: Pull,
    /// The pin's level while the contact is closed.
    pub closed_reads: Level,
    /// How long a change must last.
    #[serde(with = "humantime_serde")]
    pub debounce: Duration,
    /// When activity becomes a fault.
    #[serde(with = "humantime_serde::option")]
    pub stuck_after: Option<Duration>,
}

impl InputWiring {
    /// How the daemon debounces this input.
    pub fn rule(&self) -> DebounceRule {
        DebounceRule {
            normally_closed: self.normally_closed,
            debounce: self.debounce,
            stuck_after: self.stuck_after,
            // The relay guard reports contacts only when they change; its beats say that it
            // still reads them.
            missing_after: None,
        }
    }
}

/// A barrier's relay and inputs in a form that can be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wiring {
    relay: RelayWiring,
    inputs: Vec<InputWiring>,
}

/// A wiring that cannot be opened: which key, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {wrong}; {cure}")]
pub struct WiringError {
    /// The key within the barrier's table, for example `inputs.fire.line`.
    pub key: String,
    /// What is wrong with it.
    pub wrong: Words,
    /// What to do about it.
    pub cure: Words,
}

impl WiringError {
    pub(crate) fn new(key: &str, wrong: Words, cure: Words) -> Self {
        Self {
            key: key.to_owned(),
            wrong,
            cure,
        }
    }
}

/// Checks that times lie within their bounds: key, value, least, most.
pub(crate) fn within_bounds(
    times: impl IntoIterator<Item = (&'static str, Duration, Duration, Duration)>,
) -> Result<(), WiringError> {
    for (key, value, least, most) in times {
        if value < least || value > most {
            return Err(WiringError::new(
                key,
                Words::new(
                    format!("{value:?} 超出范围"),
                    format!("{value:?} is out of bounds"),
                ),
                Words::new(
                    format!("写 {least:?} 到 {most:?}"),
                    format!("use between {least:?} and {most:?}"),
                ),
            ));
        }
    }
    Ok(())
}

/// The highest BCM pin on a Raspberry Pi's header.
const HEADER_PIN_MAX: u32 = 27;
/// The longest debounce that still feels like a button.
const DEBOUNCE_MAX: Duration = Duration::from_secs(1);

impl Wiring {
    /// Checks what was typed and joins it. Touches no hardware.
    ///
    /// # Errors
    /// [`WiringError`] for a key that does not belong to the driver, a missing or impossible
    /// pin, a pin used twice, an impossible debounce, or inputs on a board that has none.
    pub fn new(relay: &RelayConfig, inputs: &InputsConfig) -> Result<Self, WiringError> {
        let relay_wiring = relay_wiring(relay)?;
        let mut wired = Vec::new();
        for (line, config) in listed(inputs) {
            wired.push(input_wiring(&relay_wiring, line, config)?);
        }
        let mut used = BTreeSet::new();
        if let RelayWiring::Rppal { line, .. } = relay_wiring {
            used.insert(u32::from(line));
        }
        if let RelayWiring::Gpiochip { line, .. } = relay_wiring {
            used.insert(line);
        }
        if !matches!(relay_wiring, RelayWiring::Simulated { .. }) {
            for input in &wired {
                if !used.insert(input.pin) {
                    return Err(WiringError::new(
                        &key_of(&input.line, "line"),
                        Words::new(
                            format!("{} 号线在这个道闸里已经用过", input.pin),
                            format!("line {} is already used by this barrier", input.pin),
                        ),
                        Words::new(
                            "每个继电器和每个输入各用一条线",
                            "give each relay and input a line of its own",
                        ),
                    ));
                }
            }
        }
        Ok(Self {
            relay: relay_wiring,
            inputs: wired,
        })
    }

    /// The relay that opens the boom.
    pub fn relay(&self) -> &RelayWiring {
        &self.relay
    }

    /// The wired inputs, in the order in which the relay guard reports their levels.
    pub fn inputs(&self) -> &[InputWiring] {
        &self.inputs
    }

    /// The same relay without any input, for those who only release it.
    #[must_use]
    pub fn relay_only(&self) -> Self {
        Self {
            relay: self.relay.clone(),
            inputs: Vec::new(),
        }
    }

    /// Whether `line` is wired.
    pub fn has(&self, line: &Line) -> bool {
        self.inputs.iter().any(|input| input.line == *line)
    }

    /// What is wired to what, a sentence for each wire.
    pub fn describe(&self) -> Vec<String> {
        let level = |active_low: bool| if active_low { "low" } else { "high" };
        let mut sentences = vec![match &self.relay {
            RelayWiring::Simulated { trace, .. } => match trace {
                Some(path) => format!("relay OPEN: simulated, edges in {}", path.display()),
                None => "relay OPEN: simulated".to_owned(),
            },
            RelayWiring::Rppal { line, active_low } => format!(
                "relay OPEN: Raspberry Pi pin BCM {line}, energised by a {} level",
                level(*active_low)
            ),
            RelayWiring::Gpiochip {
                chip,
                line,
                active_low,
            } => format!(
                "relay OPEN: {} line {line}, energised by a {} level",
                chip.display(),
                level(*active_low)
            ),
            RelayWiring::Serial { port, channel } => {
                format!(
                    "relay OPEN: serial board {} relay {channel}",
                    port.display()
                )
            }
        }];
        for input in &self.inputs {
            let place = match &self.relay {
                RelayWiring::Simulated { inputs, .. } => match inputs {
                    Some(path) => format!("simulated, level in {}", path.display()),
                    None => "simulated, always at rest".to_owned(),
                },
                RelayWiring::Rppal { .. } => format!("Raspberry Pi pin BCM {}", input.pin),
                RelayWiring::Gpiochip { chip, .. } => {
                    format!("{} line {}", chip.display(), input.pin)
                }
                RelayWiring::Serial { .. } => "nowhere".to_owned(),
            };
            let contact = if input.normally_closed {
                "normally closed (a broken wire reads as active)"
            } else {
                "normally open"
            };
            sentences.push(format!(
                "input {}: {place}, {contact}, debounce {}",
                input.line,
                humantime_serde::re::humantime::format_duration(input.debounce)
            ));
        }
        sentences
    }
}

fn key_of(line: &Line, key: &str) -> String {
    let line = line.to_string().replace(':', ".");
    format!("inputs.{line}.{key}")
}

fn listed(inputs: &InputsConfig) -> impl Iterator<Item = (Line, &LineConfig)> {
    let loops = inputs
        .arrival_loop
        .iter()
        .map(|(lane, config)| (Line::ArrivalLoop(lane.clone()), config));
    let others = [
        (Line::SafetyLoop, &inputs.safety_loop),
        (Line::LightBeam, &inputs.light_beam),
        (Line::GuardButton, &inputs.guard_button),
        (Line::Fire, &inputs.fire),
        (Line::Stop, &inputs.stop),
        (Line::OpenedLimit, &inputs.opened_limit),
        (Line::ClosedLimit, &inputs.closed_limit),
    ];
    loops.chain(
        others
            .into_iter()
            .filter_map(|(line, config)| Some((line, config.as_ref()?))),
    )
}

fn relay_wiring(typed: &RelayConfig) -> Result<RelayWiring, WiringError> {
    let (name, allowed): (_, &[&str]) = match typed.driver {
        Driver::Simulated => ("simulated", &["trace", "inputs"]),
        Driver::Rppal => ("rppal", &["line", "active_low"]),
        Driver::Gpiochip => ("gpiochip", &["chip", "line", "active_low"]),
        Driver::Serial => ("serial", &["port", "channel"]),
    };
    let given = [
        ("chip", typed.chip.is_some()),
        ("line", typed.line.is_some()),
        ("active_low", typed.active_low.is_some()),
        ("port", typed.port.is_some()),
        ("channel", typed.channel.is_some()),
        ("trace", typed.trace.is_some()),
        ("inputs", typed.inputs.is_some()),
    ];
    for (key, is_given) in given {
        if is_given && !allowed.contains(&key) {
            return Err(WiringError::new(
                &format!("relay.{key}"),
                Words::new(
                    format!("driver = \"{name}\" 用不到这个键"),
                    format!("does not belong to driver \"{name}\""),
                ),
                Words::new(
                    format!("删去它；这种驱动认得 {}", allowed.join("、")),
                    format!("remove it; this driver knows {}", allowed.join(", ")),
                ),
            ));
        }
    }
    let line = || {
        typed.line.ok_or_else(|| {
            WiringError::new(
                "relay.line",
                Words::new(
                    format!("driver = \"{name}\" 必须写这个键"),
                    format!("driver \"{name}\" needs it"),
                ),
                Words::new(
                    "写继电器接的线号，例如 line = 17",
                    "set it to the line the relay is wired to, for example line = 17",
                ),
            )
        })
    };
    let active_low = typed.active_low.unwrap_or(false);
    Ok(match typed.driver {
        Driver::Simulated => RelayWiring::Simulated {
            trace: typed.trace.clone(),
            inputs: typed.inputs.clone(),
        },
        Driver::Rppal => RelayWiring::Rppal {
            line: header_pin("relay.line", line()?)?,
            active_low,
        },
        Driver::Gpiochip => RelayWiring::Gpiochip {
            chip: typed
                .chip
                .clone()
                .unwrap_or_else(|| PathBuf::from("/dev/gpiochip0")),
            line: line()?,
            active_low,
        },
        Driver::Serial => {
            let channel = typed.channel.unwrap_or(1);
            if channel == 0 || channel > 16 {
                return Err(WiringError::new(
                    "relay.channel",
                    Words::new(
                        format!("继电器板上没有第 {channel} 路"),
                        format!("{channel} is no relay of a board"),
                    ),
                    Words::new("写 1 到 16", "relays are counted from 1 to 16"),
                ));
            }
            RelayWiring::Serial {
                port: typed
                    .port
                    .clone()
                    .unwrap_or_else(|| PathBuf::from("/dev/ttyUSB0")),
                channel,
            }
        }
    })
}

fn header_pin(key: &str, pin: u32) -> Result<u8, WiringError> {
    u8::try_from(pin)
        .ok()
        .filter(|_| pin <= HEADER_PIN_MAX)
        .ok_or_else(|| {
            WiringError::new(
                key,
                Words::new(
                    format!("排针上没有 {pin} 号引脚"),
                    format!("{pin} is no pin of the header"),
                ),
                Words::new(
                    format!("写 0 到 {HEADER_PIN_MAX} 的 BCM 编号"),
                    format!("use a BCM number from 0 to {HEADER_PIN_MAX}"),
                ),
            )
        })
}

fn input_wiring(
    relay: &RelayWiring,
    line: Line,
    typed: &LineConfig,
) -> Result<InputWiring, WiringError> {
    if matches!(relay, RelayWiring::Serial { .. }) {
        return Err(WiringError::new(
            &key_of(&line, "line"),
            Words::new("串口继电器板没有输入", "a serial relay board has no inputs"),
            Words::new(
                "删去这个输入，或改用 driver = \"gpiochip\" 或 \"rppal\"",
                "remove the input, or use driver \"gpiochip\" or \"rppal\"",
            ),
        ));
    }
    let pin = match (relay, typed.line) {
        (RelayWiring::Simulated { .. }, pin) => pin.unwrap_or(0),
        (RelayWiring::Rppal { .. }, Some(pin)) => {
            u32::from(header_pin(&key_of(&line, "line"), pin)?)
        }
        (_, Some(pin)) => pin,
        (_, None) => {
            return Err(WiringError::new(
                &key_of(&line, "line"),
                Words::new("没有写", "is missing"),
                Words::new(
                    "写触点接的线号，例如 line = 23",
                    "set it to the line the contact is wired to, for example line = 23",
                ),
            ));
        }
    };
    if typed.debounce > DEBOUNCE_MAX {
        return Err(WiringError::new(
            &key_of(&line, "debounce"),
            Words::new("超过一秒", "is longer than a second"),
            Words::new("写 \"10ms\" 到 \"100ms\"", "use between 10ms and 100ms"),
        ));
    }
    let stuck_after = typed.stuck_after.or(match line {
        Line::ArrivalLoop(_) => Some(Duration::from_mins(30)),
        Line::SafetyLoop | Line::LightBeam => Some(Duration::from_mins(10)),
        Line::GuardButton => Some(Duration::from_mins(1)),
        Line::Fire | Line::Stop | Line::OpenedLimit | Line::ClosedLimit => None,
    });
    Ok(InputWiring {
        line,
        pin,
        normally_closed: typed.normally_closed,
        pull: typed.pull,
        closed_reads: typed.closed_reads.unwrap_or(match typed.pull {
            Pull::Down => Level::High,
            Pull::Up | Pull::None => Level::Low,
        }),
        debounce: typed.debounce,
        stuck_after,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Barrier {
        relay: RelayConfig,
        #[serde(default)]
        inputs: InputsConfig,
    }

    fn wiring(text: &str) -> Result<Wiring, WiringError> {
        let barrier: Barrier = toml::from_str(text).unwrap();
        Wiring::new(&barrier.relay, &barrier.inputs)
    }

    #[test]
    fn a_full_table_becomes_a_wiring_and_survives_json() {
        let wiring = wiring(
            r#"
            relay = { driver = "gpiochip", line = 17, active_low = true }
            [inputs]
            arrival_loop.entry = { line = 23 }
            guard_button = { line = 24, debounce = "50ms" }
            stop = { line = 25, normally_closed = true, pull = "down" }
            "#,
        )
        .unwrap();
        assert_eq!(wiring.inputs().len(), 3);
        assert_eq!(wiring.inputs()[0].line, Line::ArrivalLoop("entry".into()));
        assert_eq!(wiring.inputs()[1].debounce, Duration::from_millis(50));
        assert_eq!(wiring.inputs()[2].closed_reads, Level::High);
        let json = serde_json::to_string(&wiring).unwrap();
        assert!(!json.contains('\n'));
        assert_eq!(serde_json::from_str::<Wiring>(&json).unwrap(), wiring);
        assert_eq!(
            wiring.describe()[0],
            "relay OPEN: /dev/gpiochip0 line 17, energised by a low level"
        );
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_its_key() {
        for (text, key) in [
            (r#"relay = { driver = "gpiochip" }"#, "relay.line"),
            (r#"relay = { driver = "rppal", line = 64 }"#, "relay.line"),
            (r#"relay = { driver = "serial", line = 1 }"#, "relay.line"),
            (
                r#"relay = { driver = "serial", channel = 0 }"#,
                "relay.channel",
            ),
            (
                "relay = { driver = \"serial\" }\n[inputs]\nfire = { line = 1 }",
                "inputs.fire.line",
            ),
            (
                "relay = { driver = \"rppal\", line = 17 }\n[inputs]\nfire = { line = 17 }",
                "inputs.fire.line",
            ),
            (
                "relay = { driver = \"rppal\", line = 17 }\n[inputs]\narrival_loop.out = {}",
                "inputs.arrival_loop.out.line",
            ),
            (
                "relay = { driver = \"simulated\" }\n[inputs]\nstop = { debounce = \"2s\" }",
                "inputs.stop.debounce",
            ),
        ] {
            assert_eq!(wiring(text).unwrap_err().key, key, "{text}");
        }
        assert!(toml::from_str::<Barrier>("relay = { driver = \"simulated\", lin = 1 }").is_err());
    }
}
