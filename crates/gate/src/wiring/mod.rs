//! What is wired to what: the part of the site's configuration that this crate needs.
//!
//! [`RelayConfig`] and [`InputsConfig`] hold what a person typed, key by key.
//! [`Wiring::new`] turns them into a [`Wiring`], which only exists in a form that can be
//! opened: each driver has its own keys and no others, no pin is used twice. The relay guard
//! receives the `Wiring` as JSON; [`Wiring::describe`] says it in words.

mod typed;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
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
    /// See [`Driver::Modbus`].
    Modbus {
        /// The way to the board.
        bus: ModbusBus,
        /// The board's address there, 1 to 255.
        unit: u8,
        /// The relay on the board, from 1.
        channel: u8,
        /// Energised by the board's flash function, see [`RelayConfig::flash`].
        flash: bool,
    },
    /// See [`Driver::Isapi`].
    Isapi {
        /// Where the camera answers HTTP.
        address: SocketAddr,
        /// The camera's barrier, from 1.
        channel: u8,
        /// Who asks it.
        user: String,
        /// The file that holds that user's password.
        password_file: PathBuf,
    },
}

/// The way to a Modbus board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModbusBus {
    /// A tty, 8N1.
    Rtu {
        /// Its device file.
        port: PathBuf,
        /// Bits a second.
        baud: u32,
    },
    /// Modbus TCP.
    Tcp {
        /// Where the board listens.
        address: SocketAddr,
    },
}

/// The device file or the address.
impl fmt::Display for ModbusBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtu { port, .. } => write!(f, "{}", port.display()),
            Self::Tcp { address } => write!(f, "{address}"),
        }
    }
}

/// One input, as it will be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputWiring {
    /// What it means.
    pub line: Line,
    /// Line offset, BCM pin, or the input of a Modbus board from 1; of no meaning to the
    /// simulated driver.
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
/// The last relay and input of a Modbus board. The largest boards have 32, and the addresses
/// further up have other meanings.
const MODBUS_CHANNEL_MAX: u8 = 64;
/// The last barrier of a camera.
const ISAPI_CHANNEL_MAX: u8 = 8;
/// The last relay of a serial board.
const SERIAL_CHANNEL_MAX: u8 = 16;
/// Speeds of a Modbus line. At slower ones the answer does not come within its time.
const BAUDS: [u32; 6] = [4800, 9600, 19200, 38400, 57600, 115_200];
const MODBUS_TCP_PORT: u16 = 502;
const HTTP_PORT: u16 = 80;
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
            RelayWiring::Modbus {
                bus,
                unit,
                channel,
                flash,
            } => format!(
                "relay OPEN: Modbus board {bus} unit {unit} relay {channel}{}",
                if *flash {
                    ", released by the board after a second at the latest"
                } else {
                    ""
                }
            ),
            RelayWiring::Isapi {
                address, channel, ..
            } => format!(
                "relay OPEN: camera {address} barrier {channel}, which bounds its own pulse"
            ),
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
                RelayWiring::Modbus { bus, unit, .. } => {
                    format!("Modbus board {bus} unit {unit} input {}", input.pin)
                }
                RelayWiring::Serial { .. } | RelayWiring::Isapi { .. } => "nowhere".to_owned(),
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
        Driver::Modbus => (
            "modbus",
            &["port", "baud", "host", "unit", "channel", "flash"],
        ),
        Driver::Isapi => ("isapi", &["host", "channel", "user", "password_file"]),
    };
    let given = [
        ("chip", typed.chip.is_some()),
        ("line", typed.line.is_some()),
        ("active_low", typed.active_low.is_some()),
        ("port", typed.port.is_some()),
        ("baud", typed.baud.is_some()),
        ("host", typed.host.is_some()),
        ("unit", typed.unit.is_some()),
        ("channel", typed.channel.is_some()),
        ("flash", typed.flash.is_some()),
        ("user", typed.user.is_some()),
        ("password_file", typed.password_file.is_some()),
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
        Driver::Serial => RelayWiring::Serial {
            port: tty(typed),
            channel: channel(typed, SERIAL_CHANNEL_MAX)?,
        },
        Driver::Modbus => RelayWiring::Modbus {
            bus: modbus_bus(typed)?,
            unit: modbus_unit(typed)?,
            channel: channel(typed, MODBUS_CHANNEL_MAX)?,
            flash: typed.flash.unwrap_or(false),
        },
        Driver::Isapi => isapi(typed)?,
    })
}

fn tty(typed: &RelayConfig) -> PathBuf {
    typed
        .port
        .clone()
        .unwrap_or_else(|| PathBuf::from("/dev/ttyUSB0"))
}

fn channel(typed: &RelayConfig, last: u8) -> Result<u8, WiringError> {
    let channel = typed.channel.unwrap_or(1);
    if (1..=last).contains(&channel) {
        return Ok(channel);
    }
    Err(WiringError::new(
        "relay.channel",
        Words::new(
            format!("没有第 {channel} 路"),
            format!("there is no relay {channel}"),
        ),
        Words::new(
            format!("写 1 到 {last}"),
            format!("relays are counted from 1 to {last}"),
        ),
    ))
}

fn modbus_bus(typed: &RelayConfig) -> Result<ModbusBus, WiringError> {
    let Some(host) = &typed.host else {
        let baud = typed.baud.unwrap_or(9600);
        if !BAUDS.contains(&baud) {
            let known = BAUDS.map(|baud| baud.to_string());
            return Err(WiringError::new(
                "relay.baud",
                Words::new(
                    format!("{baud} 不是可用的波特率"),
                    format!("{baud} is no speed of a Modbus line here"),
                ),
                Words::new(
                    format!("改成继电器板上设置的值：{}", known.join("、")),
                    format!("use the one set in the board: {}", known.join(", ")),
                ),
            ));
        }
        return Ok(ModbusBus::Rtu {
            port: tty(typed),
            baud,
        });
    };
    for (key, given) in [
        ("port", typed.port.is_some()),
        ("baud", typed.baud.is_some()),
    ] {
        if given {
            return Err(WiringError::new(
                &format!("relay.{key}"),
                Words::new(
                    "和 host 不能同时写：一个是串口，一个是网络",
                    "cannot stand beside host: the one is a tty, the other a network",
                ),
                Words::new(
                    "只留一种：串口写 port 和 baud，网络写 host = \"地址:端口\"",
                    "keep one of them: port and baud for a tty, host = \"ADDRESS:PORT\" for a \
                     network",
                ),
            ));
        }
    }
    let address = address(host, MODBUS_TCP_PORT)?;
    Ok(ModbusBus::Tcp { address })
}

fn modbus_unit(typed: &RelayConfig) -> Result<u8, WiringError> {
    match typed.unit.unwrap_or(1) {
        0 => Err(WiringError::new(
            "relay.unit",
            Words::new(
                "0 是广播地址，板子不会应答",
                "0 speaks to all boards, and none answers",
            ),
            Words::new(
                "写板子上设置的地址，1 到 255",
                "use the address set in the board, 1 to 255",
            ),
        )),
        unit => Ok(unit),
    }
}

fn isapi(typed: &RelayConfig) -> Result<RelayWiring, WiringError> {
    let missing = |key: &str, example: &str| {
        WiringError::new(
            &format!("relay.{key}"),
            Words::new(
                "driver = \"isapi\" 必须写这个键",
                "driver \"isapi\" needs it",
            ),
            Words::new(format!("例如 {example}"), format!("for example {example}")),
        )
    };
    let host = typed.host.as_ref();
    let host = host.ok_or_else(|| missing("host", "host = \"10.0.0.64\""))?;
    let user = typed.user.clone().filter(|user| !user.is_empty());
    Ok(RelayWiring::Isapi {
        address: address(host, HTTP_PORT)?,
        channel: channel(typed, ISAPI_CHANNEL_MAX)?,
        user: user.ok_or_else(|| missing("user", "user = \"gate\""))?,
        password_file: typed.password_file.clone().ok_or_else(|| {
            let example = "password_file = \"/etc/menshen/camera.secret\"";
            missing("password_file", example)
        })?,
    })
}

/// An address with its port. Names are refused: whoever holds a relay does not wait for a
/// name service.
fn address(host: &str, port: u16) -> Result<SocketAddr, WiringError> {
    let alone = host.parse::<IpAddr>();
    alone
        .map(|ip| SocketAddr::new(ip, port))
        .or_else(|_| host.parse())
        .ok()
        .filter(|address| address.port() != 0 && !address.ip().is_unspecified())
        .ok_or_else(|| {
            WiringError::new(
                "relay.host",
                // What was typed may hold a password.
                Words::new("这不是 IP 地址", "that is no IP address"),
                Words::new(
                    format!(
                        "只写 IP 地址，端口不是 {port} 时加端口，例如 \"10.0.0.65:{port}\"；不写名称，不写 http://"
                    ),
                    format!(
                        "write the IP address alone, with its port unless that is {port}, for \
                         example \"10.0.0.65:{port}\"; no name, no http://"
                    ),
                ),
            )
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
    let none = match relay {
        RelayWiring::Serial { .. } => Some(Words::new(
            "串口继电器板没有输入",
            "a serial relay board has no inputs",
        )),
        RelayWiring::Isapi { .. } => Some(Words::new(
            "摄像机的输入在这里读不到",
            "the inputs of a camera cannot be read here",
        )),
        RelayWiring::Simulated { .. }
        | RelayWiring::Rppal { .. }
        | RelayWiring::Gpiochip { .. }
        | RelayWiring::Modbus { .. } => None,
    };
    if let Some(none) = none {
        return Err(WiringError::new(
            &key_of(&line, "line"),
            none,
            Words::new(
                "删去这个输入，或改用 driver = \"gpiochip\"、\"rppal\" 或 \"modbus\"",
                "remove the input, or use driver \"gpiochip\", \"rppal\" or \"modbus\"",
            ),
        ));
    }
    let on_board = matches!(relay, RelayWiring::Modbus { .. });
    if on_board && typed.pull != Pull::default() {
        return Err(WiringError::new(
            &key_of(&line, "pull"),
            Words::new(
                "Modbus 板的输入没有上拉、下拉可设",
                "the inputs of a Modbus board have no bias to set",
            ),
            Words::new(
                "删去它；输入读到的值反了就写 closed_reads = \"low\"",
                "remove it; if the input reads the wrong way round, write closed_reads = \"low\"",
            ),
        ));
    }
    let pin = match (relay, typed.line) {
        (RelayWiring::Simulated { .. }, pin) => pin.unwrap_or(0),
        (RelayWiring::Rppal { .. }, Some(pin)) => {
            u32::from(header_pin(&key_of(&line, "line"), pin)?)
        }
        (RelayWiring::Modbus { .. }, Some(pin))
            if !(1..=u32::from(MODBUS_CHANNEL_MAX)).contains(&pin) =>
        {
            return Err(WiringError::new(
                &key_of(&line, "line"),
                Words::new(
                    format!("板子上没有第 {pin} 路输入"),
                    format!("there is no input {pin} on a board"),
                ),
                Words::new(
                    format!("写 1 到 {MODBUS_CHANNEL_MAX}"),
                    format!("inputs are counted from 1 to {MODBUS_CHANNEL_MAX}"),
                ),
            ));
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
            _ if on_board => Level::High,
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
    fn boards_on_a_bus_and_cameras_become_wirings_and_survive_json() {
        for (text, said) in [
            (
                r#"relay = { driver = "modbus" }"#,
                "relay OPEN: Modbus board /dev/ttyUSB0 unit 1 relay 1",
            ),
            (
                r#"relay = { driver = "modbus", port = "/dev/ttyS1", baud = 19200, unit = 255, flash = true }"#,
                "relay OPEN: Modbus board /dev/ttyS1 unit 255 relay 1, released by the board \
                 after a second at the latest",
            ),
            (
                r#"relay = { driver = "modbus", host = "10.0.0.65", unit = 3, channel = 64 }"#,
                "relay OPEN: Modbus board 10.0.0.65:502 unit 3 relay 64",
            ),
            (
                r#"relay = { driver = "modbus", host = "[fe80::1]:1502" }"#,
                "relay OPEN: Modbus board [fe80::1]:1502 unit 1 relay 1",
            ),
            (
                r#"relay = { driver = "isapi", host = "10.0.0.64", user = "gate", password_file = "/x" }"#,
                "relay OPEN: camera 10.0.0.64:80 barrier 1, which bounds its own pulse",
            ),
        ] {
            let wiring = wiring(text).unwrap();
            assert_eq!(wiring.describe(), [said]);
            let json = serde_json::to_string(&wiring).unwrap();
            assert_eq!(serde_json::from_str::<Wiring>(&json).unwrap(), wiring);
        }
    }

    /// The board's relays and inputs have numbers of their own, and a 1 is a closed contact.
    #[test]
    fn the_inputs_of_a_modbus_board_count_for_themselves() {
        let wiring = wiring(
            r#"
            relay = { driver = "modbus", channel = 1 }
            [inputs]
            fire = { line = 1, normally_closed = true }
            stop = { line = 64, closed_reads = "low" }
            "#,
        )
        .unwrap();
        let read: Vec<_> = wiring.inputs().iter().map(|i| i.closed_reads).collect();
        assert_eq!(read, [Level::High, Level::Low]);
        assert!(
            wiring.describe()[1]
                .starts_with("input fire: Modbus board /dev/ttyUSB0 unit 1 input 1,")
        );
    }

    /// Each text is refused with this key, and the reason can be read in Chinese.
    fn refused(cases: &[(&str, &str)]) {
        for (text, key) in cases {
            let error = wiring(text).unwrap_err();
            assert_eq!(error.key, *key, "{text}");
            for words in [&error.wrong.chinese, &error.cure.chinese] {
                assert!(words.chars().any(|c| ('一'..='龥').contains(&c)), "{words}");
            }
        }
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_its_key() {
        refused(&[
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
        ]);
        assert!(toml::from_str::<Barrier>("relay = { driver = \"simulated\", lin = 1 }").is_err());
    }

    #[test]
    fn what_no_board_or_camera_has_is_refused_with_its_key() {
        refused(&[
            (r#"relay = { driver = "modbus", line = 1 }"#, "relay.line"),
            (
                r#"relay = { driver = "modbus", baud = 9601 }"#,
                "relay.baud",
            ),
            (r#"relay = { driver = "modbus", unit = 0 }"#, "relay.unit"),
            (
                r#"relay = { driver = "modbus", channel = 65 }"#,
                "relay.channel",
            ),
            (
                r#"relay = { driver = "modbus", host = "board.lan" }"#,
                "relay.host",
            ),
            (
                r#"relay = { driver = "modbus", host = "10.0.0.65:0" }"#,
                "relay.host",
            ),
            (
                r#"relay = { driver = "modbus", host = "10.0.0.65", baud = 9600 }"#,
                "relay.baud",
            ),
            (
                r#"relay = { driver = "modbus", host = "10.0.0.65", port = "/dev/ttyUSB0" }"#,
                "relay.port",
            ),
            (
                "relay = { driver = \"modbus\" }\n[inputs]\nfire = { line = 0 }",
                "inputs.fire.line",
            ),
            (
                "relay = { driver = \"modbus\" }\n[inputs]\nfire = { line = 65 }",
                "inputs.fire.line",
            ),
            (
                "relay = { driver = \"modbus\" }\n[inputs]\nfire = {}",
                "inputs.fire.line",
            ),
            (
                "relay = { driver = \"modbus\" }\n[inputs]\nfire = { line = 2 }\nstop = { line = 2 }",
                "inputs.stop.line",
            ),
            (
                "relay = { driver = \"modbus\" }\n[inputs]\nfire = { line = 1, pull = \"down\" }",
                "inputs.fire.pull",
            ),
            (
                r#"relay = { driver = "isapi", user = "gate", password_file = "/x" }"#,
                "relay.host",
            ),
            (
                r#"relay = { driver = "isapi", host = "http://10.0.0.64", user = "gate", password_file = "/x" }"#,
                "relay.host",
            ),
            (
                r#"relay = { driver = "isapi", host = "10.0.0.64", password_file = "/x" }"#,
                "relay.user",
            ),
            (
                r#"relay = { driver = "isapi", host = "10.0.0.64", user = "gate" }"#,
                "relay.password_file",
            ),
            (
                r#"relay = { driver = "isapi", host = "10.0.0.64", user = "gate", password_file = "/x", channel = 9 }"#,
                "relay.channel",
            ),
            (
                "relay = { driver = \"isapi\", host = \"10.0.0.64\", user = \"gate\", password_file = \"/x\" }\n[inputs]\nfire = { line = 1 }",
                "inputs.fire.line",
            ),
        ]);
    }
}
