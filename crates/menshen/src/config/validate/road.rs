//! Lanes and the barriers they open.

use std::collections::BTreeMap;

use access::passage::{Settings, Trigger};
use domain::{Direction, Name, Words};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vision::source::{CameraConfig, Kind};

use super::super::document::{Path, Step, remove};
use super::super::file::{BarrierFile, LaneFile, Mode, TriggerFile};
use super::super::house::{Barrier, Lane};
use super::super::read::{Findings, nearest, read};
use super::limits::{DAY, ms, s, span, within};
use super::wires::{Boom, barrier, shared_lines};

/// The tables of `[[name]]`, each with its path.
fn tables<'r, 't>(
    root: &'r DeTable<'t>,
    name: &str,
    findings: &mut Findings<'_, '_>,
) -> Vec<(Path, &'r Spanned<DeValue<'t>>)> {
    let path = Path::section(name);
    let brackets = Words::new(
        format!("写成双方括号 [[{name}]]，可以有多个"),
        format!("write it with double brackets, [[{name}]]; there may be several"),
    );
    match root.get(name).map(Spanned::get_ref) {
        None => {
            findings.error(
                &path,
                Words::new(
                    format!("一个 [[{name}]] 也没有"),
                    format!("there is no [[{name}]]"),
                ),
                match name {
                    "lane" => Words::new(
                        "加上 [[lane]] 和 [lane.camera]，在其中写 kind 和 url",
                        "add [[lane]] and [lane.camera] with kind and url",
                    ),
                    _ => Words::new(
                        "加上 [[barrier]] 和 relay = { driver = \"gpiochip\", line = 17 }",
                        "add [[barrier]] and relay = { driver = \"gpiochip\", line = 17 }",
                    ),
                },
            );
            findings.mark_broken(path);
            Vec::new()
        }
        Some(DeValue::Array(array)) if !array.is_empty() => array
            .iter()
            .enumerate()
            .map(|(i, value)| (path.index(i), value))
            .collect(),
        Some(_) => {
            findings.error(
                &path,
                Words::new(
                    format!("{name} 不是 [[{name}]] 列表"),
                    format!("{name} is no list of [[{name}]] tables"),
                ),
                brackets,
            );
            findings.mark_broken(path);
            Vec::new()
        }
    }
}

/// Barriers and lanes: they name each other.
pub(super) fn road(
    root: &DeTable<'_>,
    findings: &mut Findings<'_, '_>,
) -> (Vec<Barrier>, Vec<Lane>) {
    let mut booms: Vec<Boom> = Vec::new();
    let mut all_names_known = true;
    for (path, value) in tables(root, "barrier", findings) {
        let typed: BarrierFile = read(value, &path, findings).unwrap_or_default();
        all_names_known &= !findings.is_broken(&path.key("name"));
        let name = typed.name.clone().or_else(|| "main".parse().ok());
        let Some(name) = name else { continue };
        distinct(
            &path,
            &name,
            booms.iter().map(|b| (&b.path, &b.name)),
            findings,
        );
        booms.push(Boom {
            path,
            name,
            typed,
            loops: BTreeMap::new(),
            used: false,
            enforced: false,
        });
    }
    all_names_known &= !booms.is_empty();

    let mut lanes: Vec<(Path, Lane)> = Vec::new();
    for (path, value) in tables(root, "lane", findings) {
        let (typed, camera) = lane_tables(value, &path, findings);
        let Some(settings) = settings(&path, &typed, findings) else {
            continue;
        };
        distinct(
            &path,
            &settings.lane,
            lanes.iter().map(|(path, lane)| (path, &lane.settings.lane)),
            findings,
        );
        let barrier = barrier_of(
            &path,
            typed.barrier.as_ref(),
            &booms,
            all_names_known,
            findings,
        );
        if let Some(index) = barrier {
            let boom = &mut booms[index];
            boom.used = true;
            boom.enforced |= !settings.shadow;
            if let Some(config) = typed.arrival_loop.clone() {
                let entry = (path.key("arrival_loop"), config);
                boom.loops.insert(settings.lane.to_string(), entry);
            }
        }
        if let (Some(camera), Some(barrier)) = (camera, barrier) {
            same_camera(&path, &camera, &lanes, findings);
            let arrival_loop = typed.arrival_loop.is_some();
            let entry = settings.direction == Direction::Entry;
            if !entry && typed.read_passes == Some(true) {
                findings.warning(
                    &path.key("read_passes"),
                    Words::new(
                        format!("车道 {} 是出口，不看通行证：出口谁都放行", settings.lane),
                        format!(
                            "lane {} is an exit and reads no passes: everybody may leave",
                            settings.lane
                        ),
                    ),
                    Words::new("删去 read_passes", "take read_passes out"),
                );
            }
            let lane = Lane {
                settings,
                read_passes: entry && typed.read_passes.unwrap_or(true),
                barrier,
                arrival_loop,
                camera,
            };
            lanes.push((path, lane));
        }
    }
    let barriers: Vec<Barrier> = booms
        .iter()
        .filter_map(|boom| barrier(boom, all_names_known, findings))
        .collect();
    shared_lines(&booms, &barriers, findings);
    (barriers, lanes.into_iter().map(|(_, lane)| lane).collect())
}

fn distinct<'n>(
    path: &Path,
    name: &Name,
    mut others: impl Iterator<Item = (&'n Path, &'n Name)>,
    findings: &mut Findings<'_, '_>,
) {
    if let Some((other, _)) = others.find(|(_, other)| *other == name) {
        findings.error(
            &path.key("name"),
            Words::new(
                format!("{other} 已经叫 {name}"),
                format!("{other} is already called {name}"),
            ),
            Words::new(
                "给每个写上不同的 name",
                "give each a name of its own with name = \"...\"",
            ),
        );
    }
}

fn lane_tables(
    value: &Spanned<DeValue<'_>>,
    path: &Path,
    findings: &mut Findings<'_, '_>,
) -> (LaneFile, Option<CameraConfig>) {
    let mut rest = value.clone();
    remove(&mut rest, &[Step::Key("camera".to_owned())]);
    let typed = read(&rest, path, findings).unwrap_or_default();
    let camera_path = path.key("camera");
    let camera = value.get_ref().as_table().and_then(|t| t.get("camera"));
    let Some(camera) = camera else {
        findings.error(
            &camera_path,
            Words::new("这个车道没有摄像机", "this lane has no camera"),
            Words::new(
                "在它下面加上 [lane.camera]，写 kind = \"rtsp\" 和 url = \"rtsp://摄像机地址/...\"",
                "add [lane.camera] below it with kind = \"rtsp\" and url = \"rtsp://ADDRESS/...\"",
            ),
        );
        return (typed, None);
    };
    let camera: Option<CameraConfig> = read(camera, &camera_path, findings);
    if let Some(camera) = &camera {
        for problem in camera.validate() {
            findings.error(&camera_path.key(problem.key), problem.wrong, problem.cure);
        }
    }
    (typed, camera)
}

fn settings(path: &Path, typed: &LaneFile, findings: &mut Findings<'_, '_>) -> Option<Settings> {
    let direction = typed.direction.unwrap_or_default();
    let name = match (&typed.name, direction) {
        (Some(name), _) => name.clone(),
        (None, Direction::Entry) => "entry".parse().ok()?,
        (None, Direction::Exit) => "exit".parse().ok()?,
    };
    if typed.direction.is_none()
        && ["exit", "out"]
            .iter()
            .any(|word| name.as_str().contains(word))
    {
        findings.warning(
            &path.key("name"),
            Words::new(
                format!("车道 {name} 没写 direction，按入口处理：陌生车出不去"),
                format!("lane {name} says no direction and is taken for an entry: strangers cannot leave"),
            ),
            Words::new("出口写 direction = \"exit\"", "write direction = \"exit\" for an exit"),
        );
    }
    let mut settings = Settings::new(name);
    settings.direction = direction;
    settings.shadow = typed.mode == Some(Mode::Shadow);
    settings.trigger = trigger(path, typed, findings);
    for (key, value, bounds, set) in [
        (
            "decide_within",
            typed.decide_within,
            (ms(200), s(10)),
            &mut settings.decide_within,
        ),
        (
            "leave_after",
            typed.leave_after,
            (ms(500), s(60)),
            &mut settings.leave_after,
        ),
        (
            "ask_for",
            typed.ask_for,
            (s(5), s(600)),
            &mut settings.ask_for,
        ),
        (
            "stay_limit",
            typed.stay_limit,
            (s(30), DAY),
            &mut settings.stay_limit,
        ),
        (
            "hold_for",
            typed.hold_for,
            (s(5), s(600)),
            &mut settings.hold_for,
        ),
        (
            "wait_limit",
            typed.wait_limit,
            (s(5), s(600)),
            &mut settings.wait_limit,
        ),
    ] {
        if let Some(value) = value {
            *set = within(value, bounds, &path.key(key), span, findings);
        }
    }
    Some(settings)
}

fn trigger(path: &Path, typed: &LaneFile, findings: &mut Findings<'_, '_>) -> Trigger {
    let loop_path = path.key("arrival_loop");
    match (typed.trigger, typed.arrival_loop.is_some()) {
        (Some(TriggerFile::Loop), true) => Trigger::Loop,
        (Some(TriggerFile::Both) | None, true) => Trigger::Both,
        (Some(TriggerFile::Picture), true) => {
            findings.warning(
                &path.key("trigger"),
                Words::new(
                    "接了地感却只用画面触发：打印的车牌也能骗开",
                    "an arrival loop is wired but only the picture triggers: a printed plate can fool it",
                ),
                Words::new(
                    "写 trigger = \"both\" 或删去 trigger",
                    "write trigger = \"both\", or leave trigger out",
                ),
            );
            Trigger::Picture
        }
        (Some(TriggerFile::Loop | TriggerFile::Both), false) => {
            if !findings.is_broken(&loop_path) {
                findings.error(
                    &path.key("trigger"),
                    Words::new(
                        "要用地感触发，但没有接地感",
                        "it is triggered by a loop, but no arrival loop is wired",
                    ),
                    Words::new(
                        "写 arrival_loop = { line = 23 }，或写 trigger = \"picture\"",
                        "add arrival_loop = { line = 23 }, or write trigger = \"picture\"",
                    ),
                );
            }
            Trigger::Both
        }
        (Some(TriggerFile::Picture) | None, false) => {
            findings.warning(
                &loop_path,
                Words::new(
                    "只用画面触发：打印的车牌也能骗开",
                    "only the picture triggers: a printed plate can fool it",
                ),
                Words::new(
                    "加装地感并写 arrival_loop = { line = 23 }",
                    "add an arrival loop and write arrival_loop = { line = 23 }",
                ),
            );
            Trigger::Picture
        }
    }
}

fn barrier_of(
    path: &Path,
    named: Option<&Name>,
    booms: &[Boom],
    all_names_known: bool,
    findings: &mut Findings<'_, '_>,
) -> Option<usize> {
    let key = path.key("barrier");
    let known: Vec<String> = booms.iter().map(|boom| boom.name.to_string()).collect();
    match named {
        Some(name) => {
            let found = booms.iter().position(|boom| boom.name == *name);
            if found.is_none() && all_names_known {
                findings.error(
                    &key,
                    Words::new(
                        format!("没有叫 {name} 的道闸"),
                        format!("there is no barrier {name}"),
                    ),
                    match nearest(name.as_str(), &known) {
                        Some(near) => Words::new(
                            format!("是不是 \"{near}\"？现有: {}", known.join(", ")),
                            format!("did you mean \"{near}\"? there are {}", known.join(", ")),
                        ),
                        None => Words::new(
                            format!("现有道闸: {}", known.join(", ")),
                            format!("the barriers are {}", known.join(", ")),
                        ),
                    },
                );
            }
            found
        }
        None if booms.len() > 1 => {
            findings.error(
                &key,
                Words::new(
                    "有几个道闸，但没说这个车道开哪个",
                    "there are several barriers, and this lane does not say which it opens",
                ),
                Words::new(
                    format!(
                        "写 barrier = \"{}\"（现有: {}）",
                        known[0],
                        known.join(", ")
                    ),
                    format!(
                        "write barrier = \"{}\" (there are {})",
                        known[0],
                        known.join(", ")
                    ),
                ),
            );
            None
        }
        None => (!booms.is_empty()).then_some(0),
    }
}

fn same_camera(
    path: &Path,
    camera: &CameraConfig,
    lanes: &[(Path, Lane)],
    findings: &mut Findings<'_, '_>,
) {
    let source = |camera: &CameraConfig| match camera.kind {
        Kind::Rtsp | Kind::Snapshot | Kind::Mjpeg => camera.url.clone(),
        Kind::Usb => Some(
            camera
                .device
                .clone()
                .unwrap_or_else(|| "/dev/video0".to_owned()),
        ),
        Kind::Pi => Some(camera.device.clone().unwrap_or_else(|| "0".to_owned())),
        Kind::File | Kind::Pictures | Kind::Pipe => None,
    };
    let same = lanes.iter().find(|(_, other)| {
        other.camera.kind == camera.kind
            && source(camera).is_some_and(|this| Some(this) == source(&other.camera))
    });
    if let Some((other, _)) = same {
        let key = match camera.kind {
            Kind::Usb | Kind::Pi => "camera.device",
            _ => "camera.url",
        };
        findings.warning(
            &path.dotted(key),
            Words::new(
                format!("和 {other} 用的是同一台摄像机，两个车道会看到同样的车"),
                format!("{other} watches the same camera: both lanes will see the same vehicles"),
            ),
            Words::new(
                "给每个车道自己的摄像机；只有一台时只写一个车道",
                "give each lane a camera of its own; with one camera, write one lane",
            ),
        );
    }
}
