//! Barriers: relays, inputs and the lines they hang on.

use std::collections::BTreeMap;

use domain::{Name, Words};
use gate::barrier::PulseProfile;
use gate::wiring::{InputsConfig, LineConfig, ModbusBus, RelayConfig, RelayWiring, Wiring};

use super::super::document::Path;
use super::super::file::BarrierFile;
use super::super::house::Barrier;
use super::super::read::Findings;

/// A barrier on its way into the house.
pub(super) struct Boom {
    pub(super) path: Path,
    pub(super) name: Name,
    pub(super) typed: BarrierFile,
    pub(super) loops: BTreeMap<String, (Path, LineConfig)>,
    pub(super) used: bool,
    pub(super) enforced: bool,
}

pub(super) fn barrier(
    boom: &Boom,
    all_names_known: bool,
    findings: &mut Findings<'_, '_>,
) -> Option<Barrier> {
    let (path, typed) = (&boom.path, &boom.typed);
    let default = PulseProfile::default();
    let profile = PulseProfile {
        pulse: typed.pulse.unwrap_or(default.pulse),
        repeat_gap: typed.repeat_gap.unwrap_or(default.repeat_gap),
        fire_repeat: typed.fire_repeat.unwrap_or(default.fire_repeat),
        freshness: typed.freshness.unwrap_or(default.freshness),
        dead_time: typed.dead_time.unwrap_or(default.dead_time),
        release_margin: typed.release_margin.unwrap_or(default.release_margin),
        hold_cap: typed.hold_cap,
    };
    if let Err(error) = profile.check() {
        findings.error(&path.dotted(&error.key), error.wrong, error.cure);
    }
    if !boom.used && all_names_known && !findings.any_error() {
        findings.warning(
            &path.key("name"),
            Words::new(
                format!("没有车道使用道闸 {}", boom.name),
                format!("no lane opens the barrier {}", boom.name),
            ),
            Words::new(
                format!("在车道里写 barrier = \"{}\"，或删去这个道闸", boom.name),
                format!("write barrier = \"{}\" in a lane, or remove it", boom.name),
            ),
        );
    }
    let Some(relay) = &typed.relay else {
        findings.error(
            &path.key("relay"),
            Words::new("没写继电器接在哪里", "it does not say where the relay is"),
            Words::new(
                "写 relay = { driver = \"gpiochip\", line = 17 }，试用时写 relay = { driver = \"simulated\" }",
                "write relay = { driver = \"gpiochip\", line = 17 }, or for a trial relay = { driver = \"simulated\" }",
            ),
        );
        return None;
    };
    let wiring = wiring(boom, relay, findings)?;
    advise(boom, &wiring, findings);
    Some(Barrier {
        name: boom.name.clone(),
        wiring,
        profile,
    })
}

/// All inputs of a barrier in the shape that `gate` wants.
fn inputs(boom: &Boom) -> InputsConfig {
    let typed = &boom.typed;
    InputsConfig {
        arrival_loop: boom
            .loops
            .iter()
            .map(|(lane, (_, config))| (lane.clone(), config.clone()))
            .collect(),
        safety_loop: typed.safety_loop.clone(),
        light_beam: typed.light_beam.clone(),
        guard_button: typed.guard_button.clone(),
        fire: typed.fire.clone(),
        stop: typed.stop.clone(),
        opened_limit: typed.opened_limit.clone(),
        closed_limit: typed.closed_limit.clone(),
    }
}

/// `gate` stops at the first mistake, so each input is also tried by itself.
fn wiring(boom: &Boom, relay: &RelayConfig, findings: &mut Findings<'_, '_>) -> Option<Wiring> {
    let all = inputs(boom);
    let full = Wiring::new(relay, &all);
    let Err(first) = full else { return full.ok() };
    let mut errors = vec![first];
    let none = InputsConfig::default();
    let mut alone = Vec::new();
    alone.extend(all.arrival_loop.iter().map(|(lane, config)| InputsConfig {
        arrival_loop: BTreeMap::from([(lane.clone(), config.clone())]),
        ..none.clone()
    }));
    let single = |set: fn(&mut InputsConfig, LineConfig), config: &Option<LineConfig>| {
        config.clone().map(|config| {
            let mut one = InputsConfig::default();
            set(&mut one, config);
            one
        })
    };
    alone.extend(
        [
            single(|i, c| i.safety_loop = Some(c), &all.safety_loop),
            single(|i, c| i.light_beam = Some(c), &all.light_beam),
            single(|i, c| i.guard_button = Some(c), &all.guard_button),
            single(|i, c| i.fire = Some(c), &all.fire),
            single(|i, c| i.stop = Some(c), &all.stop),
            single(|i, c| i.opened_limit = Some(c), &all.opened_limit),
            single(|i, c| i.closed_limit = Some(c), &all.closed_limit),
        ]
        .into_iter()
        .flatten(),
    );
    // Under a relay that cannot be opened the inputs are still looked at, as far as they do
    // not depend on it.
    let simulated = RelayConfig::default();
    let relay = match Wiring::new(relay, &none) {
        Ok(_) => relay,
        Err(_) => &simulated,
    };
    for inputs in alone {
        if let Err(error) = Wiring::new(relay, &inputs)
            && !errors.contains(&error)
        {
            errors.push(error);
        }
    }
    for error in errors {
        let path = wire_path(boom, &error.key);
        findings.error(&path, error.wrong, error.cure);
    }
    None
}

/// Where the key of a wiring error stands in this file.
fn wire_path(boom: &Boom, key: &str) -> Path {
    if let Some(rest) = key.strip_prefix("inputs.arrival_loop.") {
        let (lane, key) = rest.split_once('.').unwrap_or((rest, "line"));
        if let Some((path, _)) = boom.loops.get(lane) {
            return path.dotted(key);
        }
    }
    boom.path.dotted(key.strip_prefix("inputs.").unwrap_or(key))
}

/// What an electrician should hear about a wiring that is right as such.
fn advise(boom: &Boom, wiring: &Wiring, findings: &mut Findings<'_, '_>) {
    let relay = boom.path.key("relay");
    match wiring.relay() {
        RelayWiring::Simulated { .. } if boom.enforced => findings.warning(
            &relay.key("driver"),
            Words::new(
                "继电器是模拟的：道闸不会动",
                "the relay is simulated: no boom will move",
            ),
            Words::new(
                "试用时在车道里写 mode = \"shadow\"；正式使用时写真实的 driver",
                "for a trial write mode = \"shadow\" in the lane; for real use name a real driver",
            ),
        ),
        RelayWiring::Rppal { .. } | RelayWiring::Gpiochip { .. } => findings.note(
            &relay,
            Words::new(
                "树莓派上，程序意外终止后引脚会保持原来的电平",
                "on a Raspberry Pi a pin keeps its level after a program has died",
            ),
            Words::new(
                "在 /boot/firmware/config.txt 里加 dtparam=strict_gpiod，并用随附的 systemd 单元启动",
                "add dtparam=strict_gpiod to /boot/firmware/config.txt and start menshen with its systemd unit",
            ),
        ),
        RelayWiring::Modbus { flash: false, .. } => findings.note(
            &relay,
            Words::new(
                "通信线在脉冲期间断开时，继电器会一直吸合",
                "if the line to the board breaks during a pulse, the relay stays energised",
            ),
            Words::new(
                "板子支持闪开功能（如微雪）时写 flash = true，由板子自己断开",
                "where the board has a flash function (Waveshare's have), write flash = true: it then releases by itself",
            ),
        ),
        RelayWiring::Isapi { .. } => findings.note(
            &relay,
            Words::new(
                "开闸脉冲由摄像机控制，急停不能中断已发出的脉冲",
                "the camera itself ends its pulse; STOP cannot break off one that has begun",
            ),
            Words::new(
                "在摄像机里把开闸时间设为 0.5 秒；急停另外直接接到道闸控制器",
                "set the camera's own pulse to half a second, and wire STOP to the barrier's controller as well",
            ),
        ),
        _ => {}
    }
    if boom.typed.guard_button.is_none() {
        findings.note(
            &boom.path.key("guard_button"),
            Words::new(
                "没有接门卫按钮：看不清的车只能用 menshen answer 答复",
                "no guard's button is wired: questions can only be answered with menshen answer",
            ),
            Words::new(
                "接上按钮并写 guard_button = { line = 24 }",
                "wire one and write guard_button = { line = 24 }",
            ),
        );
    }
    for (key, input) in [("stop", &boom.typed.stop), ("fire", &boom.typed.fire)] {
        if input.as_ref().is_some_and(|input| !input.normally_closed) {
            findings.warning(
                &boom.path.key(key),
                Words::new(
                    "常开触点：断线不会被发现",
                    "a normally-open contact: a broken wire goes unnoticed",
                ),
                Words::new(
                    "改接常闭触点并写 normally_closed = true",
                    "wire a normally-closed contact and write normally_closed = true",
                ),
            );
        }
    }
}

/// A line, relay or input that two barriers use, or a tty, which belongs to one relay guard
/// alone. Within one barrier `gate` has looked.
pub(super) fn shared_lines(booms: &[Boom], barriers: &[Barrier], findings: &mut Findings<'_, '_>) {
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    for barrier in barriers {
        let Some(boom) = booms.iter().find(|boom| boom.name == barrier.name) else {
            continue;
        };
        // What the relay uses, its key, and before what the number of an input stands.
        let (relay, key, inputs) = match barrier.wiring.relay() {
            RelayWiring::Simulated { .. } => continue,
            // The header's pins are the lines of the first chip, however they are reached.
            RelayWiring::Rppal { line, .. } => {
                let chip = "/dev/gpiochip0".to_owned();
                (format!("{chip} {line}"), "relay.line", chip)
            }
            RelayWiring::Gpiochip { chip, line, .. } => {
                let chip = chip.display().to_string();
                (format!("{chip} {line}"), "relay.line", chip)
            }
            RelayWiring::Serial { port, .. }
            | RelayWiring::Modbus {
                bus: ModbusBus::Rtu { port, .. },
                ..
            } => {
                let tty = port.display().to_string();
                (tty.clone(), "relay.port", tty)
            }
            RelayWiring::Modbus {
                bus: ModbusBus::Tcp { address },
                unit,
                channel,
                ..
            } => {
                let board = format!("{address} unit {unit}");
                (
                    format!("{board} relay {channel}"),
                    "relay.channel",
                    format!("{board} input"),
                )
            }
            RelayWiring::Isapi {
                address, channel, ..
            } => {
                let camera = address.to_string();
                (format!("{camera} {channel}"), "relay.channel", camera)
            }
        };
        let mut wires = vec![(relay, key.to_owned())];
        wires.extend(barrier.wiring.inputs().iter().map(|input| {
            let key = input.line.to_string().replace(':', ".");
            let place = format!("{inputs} {}", input.pin);
            (place, format!("inputs.{key}.line"))
        }));
        for (place, key) in wires {
            let path = wire_path(boom, &key);
            if let Some(other) = used.insert(place.clone(), path.to_string()) {
                findings.error(
                    &path,
                    Words::new(
                        format!("{place} 已被 {other} 占用"),
                        format!("{place} is already used by {other}"),
                    ),
                    Words::new(
                        "每个继电器和输入用自己的一路，每个串口只接一个道闸的继电器板",
                        "give each relay and input a line of its own, and each barrier's board its own tty",
                    ),
                );
            }
        }
    }
}
