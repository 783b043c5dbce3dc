//! What installers may rely on: every mistake is named with its place and cure, the
//! documented file says what the types say, and no text brings the program down.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::file::{SECTIONS, tables};
use super::mutation::{attack, slipped, slips};
use super::read::{PROBLEMS_MAX, known_keys};
use super::*;
use crate::check::{CheckArgs, report};

const DOCUMENTED: &str = include_str!("../../../../config/menshen.toml");
const EXAMPLES: [(&str, &str); 4] = [
    (
        "minimal.toml",
        include_str!("../../../../config/examples/minimal.toml"),
    ),
    (
        "two-lanes.toml",
        include_str!("../../../../config/examples/two-lanes.toml"),
    ),
    (
        "usb-relay.toml",
        include_str!("../../../../config/examples/usb-relay.toml"),
    ),
    (
        "shadow.toml",
        include_str!("../../../../config/examples/shadow.toml"),
    ),
];
const MINIMAL: &str = EXAMPLES[0].1;

fn house(text: &str) -> House {
    parse(text, "gate.toml").unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn wrong(text: &str) -> Problems {
    match parse(text, "gate.toml") {
        Ok(_) => panic!("this was taken:\n{text}"),
        Err(problems) => problems,
    }
}

fn errors(problems: &Problems) -> Vec<&Problem> {
    let errors = |p: &&Problem| p.severity == Severity::Error;
    problems.list.iter().filter(errors).collect()
}

/// `line:column key` of every error.
fn places(text: &str) -> Vec<String> {
    let problems = wrong(text);
    errors(&problems)
        .into_iter()
        .map(|p| match p.place {
            Some(place) => format!("{}:{} {}", place.line, place.column, p.key),
            None => format!("- {}", p.key),
        })
        .collect()
}

fn warned(house: &House, key: &str) -> bool {
    house
        .notices
        .list
        .iter()
        .any(|p| p.severity == Severity::Warning && p.key == key)
}

#[test]
fn the_minimal_file_is_short_and_everything_else_is_defaulted() {
    let lines = MINIMAL
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    assert!(lines.count() <= 10);
    let house = house(MINIMAL);
    assert_eq!(house.site.device.as_str(), "gate");
    assert_eq!(house.site.language, Language::Zh);
    assert_eq!(house.barriers[0].name.as_str(), "main");
    let lane = &house.lanes[0];
    assert_eq!(house.barrier_of(lane).name.as_str(), "main");
    assert_eq!(lane.settings.lane.as_str(), "entry");
    assert_eq!(lane.settings.trigger, access::passage::Trigger::Picture);
    assert!(!lane.settings.shadow && !lane.arrival_loop);
    assert!(warned(&house, "lane[1].arrival_loop"));
    assert_eq!(house.store.pictures_budget.bytes(), 2_000_000_000);
    assert_eq!(house.clock, Trusted::Auto);
    assert!(house.mqtt.is_none());
}

#[test]
fn every_example_passes() {
    for (name, text) in EXAMPLES {
        let house = house(text);
        assert!(!house.notices.any_error(), "{name}");
    }
    let two = house(EXAMPLES[1].1);
    let names: Vec<_> = two.lanes.iter().map(|l| l.settings.lane.as_str()).collect();
    assert_eq!(names, ["entry", "exit"]);
    assert_eq!(two.barriers.len(), 1);
    assert!(two.lanes.iter().all(|l| l.arrival_loop));
    let loops = ["entry", "exit"].map(|l| gate::line::Line::ArrivalLoop(l.to_owned()));
    assert!(loops.iter().all(|line| two.barriers[0].wiring.has(line)));
    assert_eq!(two.lanes[1].settings.direction, domain::Direction::Exit);
    assert!(house(EXAMPLES[3].1).lanes[0].settings.shadow);
}

#[test]
fn all_mistakes_are_named_in_one_go_with_their_places() {
    let text = r#"name = "x"
[site]
nam = "east"
device = "East Gate"
time_zone = "Asia/Nowhere"
mode = "shadow"
[[barrier]]
name = "main"
relay = { driver = "gpio", line = 17 }
pulse = 500
[[barrier]]
name = "back"
relay = { driver = "rppal", line = 64 }
pulse = "5s"
fire = { lin = 4 }
stop = { line = 4, debounce = "3s" }
[[lane]]
barrier = "mian"
triger = "loop"
trigger = "loop"
leave_after = "3 lightyears"
[lane.camera]
kind = "rtsp"
[[lane]]
stay_limit = "1s"
[mqtt]
hots = "1.2.3.4"
[store]
pictures_budget = 3
events_budget = "2 elephants"
[stor]
folder = "x"
"#;
    assert_eq!(
        places(text),
        [
            "1:1 name",
            "2:2 site.name",
            "3:1 site.nam",
            "4:1 site.device",
            "5:1 site.time_zone",
            "6:1 site.mode",
            "9:11 barrier[1].relay.driver",
            "10:1 barrier[1].pulse",
            "13:29 barrier[2].relay.line",
            "14:1 barrier[2].pulse",
            "15:10 barrier[2].fire.lin",
            "16:20 barrier[2].stop.debounce",
            "18:1 lane[1].barrier",
            "19:1 lane[1].triger",
            "20:1 lane[1].trigger",
            "21:1 lane[1].leave_after",
            "22:7 lane[1].camera.url",
            "24:1 lane[2].camera",
            "24:1 lane[2].barrier",
            "25:1 lane[2].stay_limit",
            "26:2 mqtt.host",
            "27:1 mqtt.hots",
            "29:1 store.pictures_budget",
            "30:1 store.events_budget",
            "31:2 stor",
        ]
    );
    let shown = wrong(text).in_language(Language::En);
    for cure in [
        "did you mean name?",
        "belongs below [[lane]]; move it there",
        "did you mean \"gpiochip\"?",
        "did you mean \"main\"?",
        "did you mean trigger?",
        "for example pulse = \"3s\"",
        "did you mean host?",
        "for example pictures_budget = \"2GB\"",
        "did you mean store?",
    ] {
        assert!(shown.contains(cure), "{cure} is not in\n{shown}");
    }
}

/// Volunteers read Chinese; a cure that is English only is none to them.
#[test]
fn what_other_crates_say_is_said_in_chinese_too() {
    let lanes = [
        "kind = 'rtsp'",
        "kind = 'mjpeg'\nurl = 'https://h/'",
        "kind = 'rtsp'\nurl = 'not an address'\nuser = 'u'",
        "kind = 'usb'\nfps = 0\ndevice = 'video0'\npath = 'x'",
        "kind = 'pictures'\nperiod = '1ms'",
        "kind = 'pipe'\nfrozen_after = '2h'",
    ];
    let mqtt = "[mqtt]\nhost = 'a b'\nport = 0\nwindow = 0\npassword_file = 'p'\n\
                client_id = 'ä'\nkeep_alive = '1s'\nkeys_file = ''\n";
    let barriers = [
        "relay = { driver = 'gpiochip' }",
        "relay = { driver = 'rppal', line = 64 }",
        "relay = { driver = 'serial', port = '/dev/ttyUSB0', channel = 17 }",
        "relay = { driver = 'simulated', channel = 1 }",
        "relay = { driver = 'gpiochip', line = 17 }\nfire = { line = 17, debounce = '3s' }",
        "relay = { driver = 'gpiochip', line = 17 }\npulse = '1h'",
        "relay = { driver = 'modbus', baud = 300, unit = 0 }\nfire = { line = 65, pull = 'down' }",
        "relay = { driver = 'modbus', host = 'board', port = '/dev/ttyUSB0' }",
        "relay = { driver = 'isapi', host = '10.0.0.64' }\nstop = { line = 1 }",
    ];
    for (lane, barrier) in lanes.iter().cycle().zip(barriers) {
        let text = format!(
            "[site]\nname = 'x'\n{mqtt}[[barrier]]\n{barrier}\n[[lane]]\n[lane.camera]\n{lane}"
        );
        for problem in errors(&wrong(&text)) {
            for words in [&problem.wrong, &problem.cure] {
                assert!(
                    words.chinese.chars().any(|c| ('一'..='龥').contains(&c)),
                    "{}: {words:?}",
                    problem.key
                );
            }
        }
    }
}

#[test]
fn mistakes_of_toml_are_named_and_full_width_signs_explained() {
    let problems = wrong("[site]\nname = “east”\n[site]\n[[lane]\n");
    let lines: Vec<_> = problems
        .list
        .iter()
        .filter_map(|p| p.place)
        .map(|p| p.line)
        .collect();
    assert_eq!(lines, [2, 3, 4]);
    let shown = problems.in_language(Language::En);
    assert!(shown.contains("full-width sign “"), "{shown}");
    assert!(shown.contains("write a key or table once"), "{shown}");
}

#[test]
fn passwords_in_the_file_are_refused_and_never_repeated() {
    for (text, key) in [
        (
            MINIMAL.replace("//10.", "//admin:hunter2@10."),
            "lane[1].camera.url",
        ),
        (
            MINIMAL.replace("//10.", "//admin:hun/ter2@10."),
            "lane[1].camera.url",
        ),
        (
            format!("{MINIMAL}password = \"hunter2\"\n"),
            "lane[1].camera.password",
        ),
        (
            format!("{MINIMAL}passwd = 42\n[mqtt]\nhost = \"h\"\n"),
            "lane[1].camera.passwd",
        ),
        (
            format!("{MINIMAL}[mqtt]\nhost = \"me:hunter2@10.0.0.1\"\n"),
            "mqtt.host",
        ),
        (
            format!("{MINIMAL}[mqtt]\nhost = \"mqtt://me:hunter2@h\"\n"),
            "mqtt.host",
        ),
        (
            format!("{MINIMAL}[mqtt]\nhost = \"localhost\"\npassword = \"hunter2\"\n"),
            "mqtt.password",
        ),
    ] {
        let problems = wrong(&text);
        let found = errors(&problems).into_iter().find(|p| p.key == key);
        let found = found.unwrap_or_else(|| panic!("{key} is not in {problems}"));
        assert!(
            found
                .cure
                .in_language(Language::En)
                .contains("password_file")
        );
        for language in [Language::Zh, Language::En] {
            assert!(
                !problems.in_language(language).contains("hunter2"),
                "{problems}"
            );
        }
    }
    for fine in [
        "//[::1]:554/a@b",
        "//localhost:554/a@b",
        "//10.0.0.64:554/a@b",
    ] {
        house(&MINIMAL.replace("//10.0.0.64", fine));
    }
    let query = MINIMAL.replace("/102", "/102?user=a&Password=hunter2");
    let house = house(&query);
    assert!(warned(&house, "lane[1].camera.url"));
    assert!(!house.notices.to_string().contains("hunter2"));
}

const TWO_BARRIERS: &str = r#"
[site]
name = "x"
[[barrier]]
name = "front"
relay = { driver = "gpiochip", line = 17 }
[[barrier]]
name = "back"
relay = { driver = "rppal", line = 18 }
guard_button = { line = 19 }
[[lane]]
barrier = "front"
arrival_loop = { line = 20 }
[lane.camera]
kind = "usb"
"#;

#[test]
fn what_does_not_fit_together_is_refused() {
    assert!(warned(&house(TWO_BARRIERS), "barrier[2].name"));
    for (what, instead, key) in [
        ("line = 18", "line = 17", "barrier[2].relay.line"),
        ("line = 19", "line = 17", "barrier[2].guard_button.line"),
        ("line = 20", "line = 17", "lane[1].arrival_loop.line"),
        ("line = 20", "line = 18", "barrier[2].relay.line"),
        (
            "line = 20",
            "debounce = \"3s\"",
            "lane[1].arrival_loop.line",
        ),
        (
            "line = 20 }",
            "line = 20 }\ntrigger = \"lop\"",
            "lane[1].trigger",
        ),
        (
            "arrival_loop = { line = 20 }",
            "trigger = \"both\"",
            "lane[1].trigger",
        ),
        ("name = \"back\"", "name = \"front\"", "barrier[2].name"),
        ("barrier = \"front\"", "", "lane[1].barrier"),
        (
            "barrier = \"front\"",
            "barrier = \"left\"",
            "lane[1].barrier",
        ),
        (
            "[[lane]]",
            "[[lane]]\n[lane.camera]\nkind = \"usb\"\n[[lane]]",
            "lane[1].barrier",
        ),
        (
            "name = \"back\"",
            "name = \"back\"\npulse = \"199ms\"",
            "barrier[2].pulse",
        ),
    ] {
        let text = TWO_BARRIERS.replace(what, instead);
        assert_ne!(text, TWO_BARRIERS);
        let problems = wrong(&text);
        let keys: Vec<_> = errors(&problems).iter().map(|p| p.key.as_str()).collect();
        assert!(keys.contains(&key), "{key} is not in {problems}");
    }
}

/// A relay guard holds its tty alone; a board on the network may serve several barriers.
#[test]
fn boards_are_shared_only_where_they_can_be() {
    for (front, back, key) in [
        (
            "'serial', channel = 1",
            "'modbus'",
            Some("barrier[2].relay.port"),
        ),
        (
            "'modbus', unit = 1",
            "'modbus', unit = 2",
            Some("barrier[2].relay.port"),
        ),
        (
            "'modbus', host = '10.0.0.65'",
            "'modbus', host = '10.0.0.65', channel = 2",
            None,
        ),
        (
            "'modbus', host = '10.0.0.65'",
            "'modbus', host = '10.0.0.65:502', flash = true",
            Some("barrier[2].relay.channel"),
        ),
    ] {
        let text = format!(
            "[site]\nname = 'x'\n[[barrier]]\nname = 'front'\nrelay = {{ driver = {front} }}\n\
             [[barrier]]\nname = 'back'\nrelay = {{ driver = {back} }}\n\
             [[lane]]\nbarrier = 'front'\n[lane.camera]\nkind = 'usb'\n"
        );
        match key {
            None => drop(house(&text)),
            Some(key) => assert_eq!(errors(&wrong(&text))[0].key, key, "{text}"),
        }
    }
}

#[test]
fn what_works_but_should_be_known_is_warned_of() {
    let lane = "[[lane]]\nbarrier = \"front\"\nname = \"exit\"\n[lane.camera]\nkind = \"usb\"\n";
    let same = house(&format!("{TWO_BARRIERS}{lane}"));
    assert!(warned(&same, "lane[2].camera.device"));
    assert!(warned(&same, "lane[2].name"), "an exit without direction");
    for (what, instead, key) in [
        (
            "line = 20 }",
            "line = 20 }\ntrigger = \"picture\"",
            "lane[1].trigger",
        ),
        (
            "line = 19 }",
            "line = 19 }\nstop = { line = 21 }",
            "barrier[2].stop",
        ),
        (
            "kind = \"usb\"",
            "kind = \"usb\"\n[decision]\nover_stranger = 1",
            "decision.over_stranger",
        ),
        (
            "kind = \"usb\"",
            "kind = \"usb\"\n[mqtt]\nhost = \"10.0.0.9\"\ninsecure_plain = true",
            "mqtt.insecure_plain",
        ),
        (
            "driver = \"gpiochip\", line = 17",
            "driver = \"simulated\"",
            "barrier[1].relay.driver",
        ),
        (
            "kind = \"usb\"",
            "kind = \"usb\"\n[store]\nevents_for = \"2d\"",
            "store.pictures_for",
        ),
    ] {
        let text = TWO_BARRIERS.replace(what, instead);
        let house = house(&text);
        assert!(warned(&house, key), "{key} is not in {}", house.notices);
    }
    let plain = wrong(&format!("{TWO_BARRIERS}[mqtt]\nhost = \"10.0.0.9\"\n"));
    assert_eq!(errors(&plain)[0].key, "mqtt.host");
}

#[test]
fn a_broken_part_does_not_accuse_the_whole_ones() {
    let text = TWO_BARRIERS.replace("name = \"front\"", "name = \"Front\"");
    assert_eq!(places(&text), ["5:1 barrier[1].name"]);
    let text = TWO_BARRIERS.replace("line = 20 }", "line = 20, lin = 20 }\ntrigger = \"loop\"");
    assert_eq!(places(&text), ["13:29 lane[1].arrival_loop.lin"]);
}

#[test]
fn the_language_is_the_files_even_if_it_is_wrong() {
    let shown = wrong("[site]\nlanguage = \"en\"\n").to_string();
    assert!(shown.contains("error: site.name"), "{shown}");
    let shown = wrong("").to_string();
    assert!(shown.contains("错误: site.name"), "{shown}");
}

#[test]
fn durations_are_shown_as_they_are_typed() {
    for text in ["500ms", "3s", "90s", "10m", "36h", "365d", "0ms", "1500ms"] {
        let span = humantime_serde::re::humantime::parse_duration(text).unwrap();
        assert_eq!(short(span), text);
    }
    assert_eq!(short(Duration::from_nanos(7)), "7ns");
}

#[test]
fn a_file_that_is_absent_or_no_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.toml");
    assert!(load(&path).unwrap_err().to_string().contains("gate.toml"));
    std::fs::write(&path, b"[site]\nname = \"\xB6\xAB\"\n").unwrap();
    let problems = load(&path).unwrap_err();
    assert!(problems.in_language(Language::En).contains("line 2"));
    std::fs::write(&path, MINIMAL).unwrap();
    assert_eq!(load(&path).unwrap().lanes.len(), 1);
}

/// How a line of the documented file is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Prose,
    Heading,
    Needed,
    Default,
    Example,
    Instead,
}

/// The documented file's lines, uncommented, with their meaning.
fn documented() -> Vec<(Sort, String)> {
    DOCUMENTED
        .lines()
        .map(|line| {
            let typed = line.strip_prefix('#').unwrap_or(line);
            let is_typed = typed.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
            let sort = match typed {
                _ if !is_typed => Sort::Prose,
                _ if typed.starts_with('[') => Sort::Heading,
                _ if typed.contains("# instead") => Sort::Instead,
                _ if typed.contains("# example") => Sort::Example,
                _ if line.starts_with('#') => Sort::Default,
                _ => Sort::Needed,
            };
            (sort, typed.to_owned())
        })
        .collect()
}

/// The file with everything uncommented but prose and alternatives, without line `left_out`,
/// which `instead` replaces.
fn uncommented(lines: &[(Sort, String)], left_out: Option<usize>, instead: &str) -> String {
    let mut text = String::new();
    for (i, (sort, line)) in lines.iter().enumerate() {
        if Some(i) == left_out {
            text += instead;
        } else if !matches!(sort, Sort::Prose | Sort::Instead) {
            text += line;
        }
        text += "\n";
    }
    text
}

/// What the file means. Cameras keep what was typed, so they are compared by what they do.
fn meaning(house: &House) -> String {
    let lanes: Vec<_> = house
        .lanes
        .iter()
        .map(|l| format!("{:?} {} {}", l.settings, l.barrier, l.camera.describe()))
        .collect();
    format!(
        "{:?} {:?} {:?} {lanes:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        house.site,
        house.store,
        house.barriers,
        house.mqtt,
        house.models,
        house.log,
        house.margins,
        house.metrics,
        house.clock
    )
}

fn inner_keys(line: &str) -> Vec<String> {
    let table: toml::Table = line.parse().unwrap();
    let value = table.values().next().unwrap();
    value
        .as_table()
        .map(|t| t.keys().cloned().collect())
        .unwrap_or_default()
}

/// `line` without `key` of its inline table.
fn without(line: &str, key: &str) -> String {
    let mut table: toml::Table = line.parse().unwrap();
    let (name, value) = table.iter_mut().next().unwrap();
    value.as_table_mut().unwrap().remove(key);
    format!("{name} = {value}")
}

#[test]
fn the_documented_file_runs_as_it_is_and_with_everything_uncommented() {
    house(DOCUMENTED);
    let lines = documented();
    house(&uncommented(&lines, None, ""));
    let mut before = 0;
    for (i, (sort, line)) in lines.iter().enumerate() {
        match sort {
            Sort::Needed | Sort::Default | Sort::Example => before = i,
            // An alternative stands in the place of the line above it.
            Sort::Instead => drop(house(&uncommented_with(&lines, before, line))),
            Sort::Prose | Sort::Heading => {}
        }
    }
}

/// A serial board and a camera have no inputs, so they go when the relay is replaced.
fn uncommented_with(lines: &[(Sort, String)], at: usize, instead: &str) -> String {
    let text = uncommented(lines, Some(at), instead);
    if !["serial", "isapi"]
        .iter()
        .any(|driver| instead.contains(driver))
    {
        return text;
    }
    let inputs = [
        "safety_loop",
        "light_beam",
        "guard_button",
        "fire =",
        "stop =",
        "opened_",
        "closed_",
        "arrival_loop",
        "trigger",
    ];
    text.lines()
        .filter(|line| !inputs.iter().any(|input| line.starts_with(input)))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let lines = documented();
    let whole = house(&uncommented(&lines, None, ""));
    let (mut defaults, mut examples) = (0, 0);
    for (i, (sort, line)) in lines.iter().enumerate() {
        let rest = parse(&uncommented(&lines, Some(i), ""), "gate.toml");
        match sort {
            Sort::Default => {
                let rest = rest.unwrap_or_else(|p| panic!("{line} is needed: {p}"));
                assert_eq!(meaning(&rest), meaning(&whole), "{line} is no default");
                defaults += 1;
            }
            Sort::Example => {
                let same = rest.is_ok_and(|rest| {
                    meaning(&rest) == meaning(&whole)
                        && rest.lanes[0].camera == whole.lanes[0].camera
                });
                assert!(!same, "{line} is a default, not an example");
                examples += 1;
            }
            _ => {}
        }
    }
    assert!(defaults > 30 && examples > 10, "{defaults} {examples}");

    let (at, safety_loop) = lines
        .iter()
        .enumerate()
        .find(|(_, (_, line))| line.starts_with("safety_loop"))
        .map(|(i, (_, line))| (i, line.clone()))
        .unwrap();
    for key in inner_keys(&safety_loop).iter().filter(|key| *key != "line") {
        let rest = house(&uncommented(&lines, Some(at), &without(&safety_loop, key)));
        assert_eq!(
            meaning(&rest),
            meaning(&whole),
            "{key} of safety_loop is no default"
        );
    }
    let mut at = 0;
    for (i, (sort, line)) in lines.iter().enumerate() {
        if !line.starts_with("relay") || *sort == Sort::Prose {
            continue;
        }
        at = if *sort == Sort::Needed { i } else { at };
        let full = house(&uncommented_with(&lines, at, line));
        for key in inner_keys(line) {
            let needed = ["driver", "line", "host", "user", "password_file"];
            if needed.contains(&key.as_str()) || ["trace", "inputs"].contains(&key.as_str()) {
                continue;
            }
            let shorter = without(line, &key);
            let rest = house(&uncommented_with(
                &lines,
                at,
                &shorter.replace("\"serial\"", "'serial'"),
            ));
            assert_eq!(
                rest.barriers, full.barriers,
                "{key} in {line} is no default"
            );
        }
    }
}

#[test]
fn other_kinds_of_camera_are_documented_with_their_defaults() {
    let mut seen = 0;
    let lines = DOCUMENTED
        .lines()
        .skip_while(|line| !line.contains("Other kinds"));
    for line in lines.skip(1).take_while(|line| line.starts_with("#   ")) {
        let mut words = line[4..].splitn(2, ' ');
        let kind = words.next().unwrap();
        let keys: Vec<_> = words.next().unwrap().split(", ").map(str::trim).collect();
        let camera = |keys: &[&str]| -> vision::source::CameraConfig {
            let camera: vision::source::CameraConfig =
                toml::from_str(&format!("kind = \"{kind}\"\n{}", keys.join("\n"))).unwrap();
            camera
        };
        let address = (kind == "snapshot").then_some("url = \"http://10.0.0.64/snapshot.jpg\"");
        let all: Vec<_> = address.into_iter().chain(keys.iter().copied()).collect();
        let whole = camera(&all);
        assert!(whole.validate().is_empty(), "{line}");
        for key in keys.iter().filter(|key| !key.starts_with("path")) {
            let rest: Vec<_> = all.iter().copied().filter(|k| k != key).collect();
            assert_eq!(
                camera(&rest).describe(),
                whole.describe(),
                "{key} is no default of {kind}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 7);
}

#[test]
fn every_key_of_the_types_is_documented_and_no_other() {
    let mut here = String::new();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut inner: Vec<String> = Vec::new();
    for (sort, line) in documented() {
        let assigned = line.split_once(" = ").map(|(key, _)| key.to_owned());
        match (sort, assigned) {
            (Sort::Heading, _) => {
                line.split('#').next().unwrap().trim().clone_into(&mut here);
            }
            (Sort::Prose, _) => found.extend(
                // Lines about other kinds of camera.
                line.strip_prefix("   ")
                    .filter(|_| here == "[lane.camera]")
                    .into_iter()
                    .flat_map(|rest| rest.split([' ', ',']))
                    .filter(|word| {
                        known_keys::<vision::source::CameraConfig>()
                            .iter()
                            .any(|k| k == word)
                    })
                    .map(|word| (here.clone(), word.to_owned())),
            ),
            (_, Some(key)) => {
                if line.contains('{') {
                    inner.extend(inner_keys(&line));
                }
                found.push((here.clone(), key));
            }
            (_, None) => panic!("{line}"),
        }
    }
    for (header, keys) in tables() {
        assert!(!keys.is_empty(), "{header} is not strict");
        for key in keys {
            let it = (header.to_owned(), key);
            assert!(found.contains(&it), "{it:?} is not documented");
        }
    }
    for section in SECTIONS {
        let is_there = found
            .iter()
            .any(|(header, _)| header.trim_matches(['[', ']']) == section);
        assert!(is_there, "[{section}] is not documented");
    }
    let wires = [
        known_keys::<gate::wiring::RelayConfig>(),
        known_keys::<gate::wiring::LineConfig>(),
    ];
    for key in wires.concat() {
        assert!(inner.contains(&key), "{key} is not documented");
    }
}

#[test]
fn hostile_files_come_to_an_end() {
    let deep = format!("site = {}{}", "[".repeat(5000), "]".repeat(5000));
    let tables = format!("site.name = {}1{}", "{a=".repeat(5000), "}".repeat(5000));
    let dotted = format!("[site{}]\n", ".a".repeat(5000));
    let many: Vec<String> = (0..2000).map(|i| format!("key{i} = 1")).collect();
    for text in [
        deep,
        tables,
        dotted,
        format!("[site]\n{}", many.join("\n")),
        "[[lane]]\n".repeat(500),
    ] {
        let problems = wrong(&text);
        assert!(problems.list.len() <= 60, "{}", problems.list.len());
    }
}

fn good() -> impl Strategy<Value = &'static str> {
    let files: Vec<&str> = EXAMPLES
        .iter()
        .map(|(_, t)| *t)
        .chain([DOCUMENTED, TWO_BARRIERS])
        .collect();
    proptest::sample::select(files)
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        let _ = parse(&text, "gate.toml");
    }

    #[test]
    fn anything_like_toml_is_answered(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "[site]", "[[lane]]", "[lane.camera]", "[[barrier]]", "[mqtt]", "\n", "\n", "\n", " = ",
            " = ", "name", "relay", "line", "kind", "barrier", "lane", "camera", "host", "pulse",
            "{", "}", "[", "]", ",", ".", "\"", "\"a\"", "\"usb\"", "17", "-1", "1e400", "true",
            "1979-05-27", "\"3s\"", "0x", "'", "\"\"\"", "#", "门", "\r\n", "99999999999999999999",
            "nan", "[decision]", "over_stranger", "least_score", "arrival_loop", "\"18446744073709551615y\"",
        ]), 0..60),
    ) {
        let _ = parse(&words.concat(), "gate.toml");
    }

    /// A key that nobody knows is named with its line, wherever it stands.
    #[test]
    fn unknown_keys_are_always_named(
        text in good(),
        key in "[a-z][a-z_-]{0,14}",
        at in any::<prop::sample::Index>(),
    ) {
        let known = tables().into_iter().any(|(_, keys)| keys.contains(&key));
        prop_assume!(!known && key != "camera" && !SECTIONS.contains(&key.as_str()));
        let lines: Vec<&str> = text.lines().collect();
        let headings: Vec<usize> =
            (0..lines.len()).filter(|i| lines[*i].starts_with('[')).collect();
        let after = headings[at.index(headings.len())];
        let (before, rest) = lines.split_at(after + 1);
        let changed = format!("{}\n{key} = 1\n{}", before.join("\n"), rest.join("\n"));
        let problems = wrong(&changed);
        let errors = errors(&problems);
        prop_assert_eq!(errors.len(), 1, "{}", problems);
        let place = errors[0].place.unwrap();
        prop_assert_eq!((place.line, place.column), (after + 2, 1));
        let suffix = format!(".{key}");
        prop_assert!(errors[0].key.ends_with(&suffix));
        prop_assert!(errors[0].wrong.in_language(Language::Zh).contains(&key));
    }
}

/// An installer's hand on a good file, line by line.
#[derive(Debug, Clone)]
enum Edit {
    /// A line goes.
    Drop(Index),
    /// A line is said again elsewhere.
    Again(Index, Index),
    /// Two lines change places.
    Swap(Index, Index),
    /// A key gets another key's value.
    Lend(Index, Index),
    /// A key gets this value.
    Value(Index, &'static str),
    /// A line gets another line's key.
    Key(Index, Index),
}

/// Values that some key takes, and values that none should.
const VALUES: [&str; 41] = [
    "\"\"",
    "0",
    "1",
    "-1",
    "17",
    "0.5",
    "1e400",
    "nan",
    "inf",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "true",
    "false",
    "[]",
    "{}",
    "[[], 1]",
    "[{}]",
    "1979-05-27",
    "07:32:00",
    "{ line = 17 }",
    "{ driver = \"gpiochip\", line = 17 }",
    "{ driver = \"serial\", port = \"/dev/none\", channel = 1 }",
    "{ driver = \"simulated\" }",
    "\"entry\"",
    "\"main\"",
    "\"both\"",
    "\"loop\"",
    "\"usb\"",
    "\"pictures\"",
    "\"shadow\"",
    "\"en\"",
    "\"0s\"",
    "\"500ms\"",
    "\"3s\"",
    "\"18446744073709551615s\"",
    "\"1.5GiB\"",
    "\"1ns 1y\"",
    "\"rtsp://a:b@10.0.0.64/\"",
    "\"../x\"",
    "\"门\\u0000\"",
    "'''\n'''",
];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let place = any::<Index>;
    let edit = prop_oneof![
        place().prop_map(Edit::Drop),
        (place(), place()).prop_map(|(at, to)| Edit::Again(at, to)),
        (place(), place()).prop_map(|(at, to)| Edit::Swap(at, to)),
        (place(), place()).prop_map(|(at, from)| Edit::Lend(at, from)),
        (place(), prop::sample::select(&VALUES[..])).prop_map(|(at, value)| Edit::Value(at, value)),
        (place(), place()).prop_map(|(at, from)| Edit::Key(at, from)),
    ];
    prop::collection::vec(edit, 0..5)
}

fn is_key(line: &str) -> bool {
    !line.starts_with(['#', '[']) && line.contains(" = ")
}

/// The lines of `text` after `edits`; values and keys are those of lines that have some.
fn edited(text: &str, edits: &[Edit]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for edit in edits {
        let keys: Vec<usize> = (0..lines.len()).filter(|i| is_key(&lines[*i])).collect();
        if keys.is_empty() {
            break;
        }
        let line = |at: &Index| at.index(lines.len());
        let key = |at: &Index| keys[at.index(keys.len())];
        let parts = |at: &Index| lines[key(at)].split_once(" = ").unwrap();
        match edit {
            Edit::Drop(at) => drop(lines.remove(line(at))),
            Edit::Again(at, to) => lines.insert(line(to), lines[line(at)].clone()),
            Edit::Swap(at, to) => {
                let (at, to) = (line(at), line(to));
                lines.swap(at, to);
            }
            Edit::Lend(at, from) => {
                lines[key(at)] = format!("{} = {}", parts(at).0, parts(from).1);
            }
            Edit::Value(at, value) => lines[key(at)] = format!("{} = {value}", parts(at).0),
            Edit::Key(at, from) => {
                lines[key(at)] = format!("{} = {}", parts(from).0, parts(at).1);
            }
        }
    }
    lines.join("\n") + "\n"
}

/// Good files to damage: as they are, and the documented one with every key and alternative.
/// None names a device that a check could wait for.
fn to_damage() -> Vec<String> {
    let lines = documented();
    let mut before = 0;
    let mut files = vec![uncommented(&lines, None, "")];
    for (i, (sort, line)) in lines.iter().enumerate() {
        match sort {
            Sort::Needed | Sort::Default | Sort::Example => before = i,
            Sort::Instead => files.push(uncommented_with(&lines, before, line)),
            Sort::Prose | Sort::Heading => {}
        }
    }
    files.extend(EXAMPLES.map(|(_, text)| text.to_owned()));
    files.extend([DOCUMENTED, TWO_BARRIERS].map(str::to_owned));
    files
        .iter()
        .map(|text| text.replace("/dev/ttyUSB", "/dev/none"))
        .collect()
}

/// A file that many cases are written to, one after the other.
struct Desk {
    _folder: tempfile::TempDir,
    config: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gate.toml");
        Self {
            _folder: folder,
            config,
        }
    }

    fn check(&self, json: bool, language: Option<Language>) -> (String, u8) {
        let config = self.config.clone();
        report(CheckArgs {
            config,
            json,
            language,
        })
    }

    /// Whatever the bytes are, the gate takes them, and `menshen check` can say what will be
    /// wired to what; or everything said of them says in both languages what is wrong, where,
    /// and what to do. Neither goes on for ever.
    fn answers(&self, bytes: &[u8]) -> Result<Option<House>, TestCaseError> {
        std::fs::write(&self.config, bytes).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let house = load(&self.config);
        if let Err(problems) = &house {
            prop_assert!(problems.any_error());
            prop_assert!(problems.list.len() <= PROBLEMS_MAX + 10);
            for problem in &problems.list {
                for language in [Language::Zh, Language::En] {
                    prop_assert!(!problem.wrong.in_language(language).is_empty());
                    prop_assert!(!problem.cure.in_language(language).is_empty());
                }
                let placed = problem.place.is_some_and(|place| place.line <= lines);
                let says = problem.wrong.in_language(Language::En);
                prop_assert!(
                    placed || !problem.key.is_empty() || says.starts_with("line "),
                    "{problem:?}"
                );
            }
        }
        for language in [Language::Zh, Language::En] {
            let (said, status) = self.check(false, Some(language));
            prop_assert!(status == 2 || (status == 0 && house.is_ok()), "{}", said);
            prop_assert!(said.lines().count() >= 2, "{}", said);
            prop_assert!(said.len() < 60_000 + 20 * bytes.len(), "{}", said);
        }
        let (said, status) = self.check(true, None);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        prop_assert_eq!(said["ok"].as_bool(), Some(status == 0));
        prop_assert_eq!(said["house"].is_object(), house.is_ok());
        Ok(house.ok())
    }
}

/// Ten minutes of it: `MENSHEN_FUZZ_SECONDS=600 cargo test --release --workspace under_mutation`.
#[test]
fn files_under_mutation_are_answered() {
    let desk = Desk::new();
    let inputs = (prop::sample::select(to_damage()), edits(), slips(3));
    let (taken, refused) = (Cell::new(0_u64), Cell::new(0_u64));
    attack("config", 1_000, &inputs, |(text, edits, slips)| {
        let house = desk.answers(&slipped(&edited(&text, &edits), &slips))?;
        let count = if house.is_some() { &taken } else { &refused };
        count.set(count.get() + 1);
        Ok(())
    });
    let (taken, refused) = (taken.get(), refused.get());
    println!("{taken} files taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "only one kind of answer was seen");
}

/// What an editor may do to a file without changing its meaning.
#[derive(Debug, Clone)]
enum Retyped {
    /// A line of its own for a comment.
    Comment(Index),
    /// A comment behind a value.
    Remark(Index),
    /// A line of nothing but blanks.
    Blank(Index),
    /// More or fewer blanks around key and value.
    Spaces(Index, usize),
    /// Two keys that follow each other the other way round.
    Neighbours(Index),
    /// The other kind of quotes.
    Quotes(Index),
}

fn retyped(text: &str, changes: &[Retyped]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for change in changes {
        let keys: Vec<usize> = (0..lines.len()).filter(|i| is_key(&lines[*i])).collect();
        let key = |at: &Index| keys[at.index(keys.len())];
        match change {
            Retyped::Comment(at) => {
                lines.insert(at.index(lines.len()), "# 门 = \"[[lane]]".to_owned());
            }
            Retyped::Remark(at) => lines[key(at)] += "  # 门 = \"[[lane]]",
            Retyped::Blank(at) => lines.insert(at.index(lines.len()), " \t".to_owned()),
            Retyped::Spaces(at, count) => {
                let blanks = " ".repeat(*count);
                let (name, value) = lines[key(at)].split_once(" = ").unwrap();
                lines[key(at)] = format!("{blanks}{name} = \t{blanks}{value}{blanks}");
            }
            Retyped::Neighbours(at) => {
                if lines.get(key(at) + 1).is_some_and(|line| is_key(line)) {
                    lines.swap(key(at), key(at) + 1);
                }
            }
            Retyped::Quotes(at) => {
                let line = &mut lines[key(at)];
                if !line.contains(['#', '\\', '\'']) {
                    *line = line.replace('"', "'");
                }
            }
        }
    }
    lines.join("\r\n")
}

/// Another hand's way of writing the same thing is the same thing.
#[test]
fn files_typed_otherwise_under_mutation_mean_the_same() {
    let desk = Desk::new();
    let place = any::<Index>;
    let change = prop_oneof![
        place().prop_map(Retyped::Comment),
        place().prop_map(Retyped::Remark),
        place().prop_map(Retyped::Blank),
        (place(), 0_usize..4).prop_map(|(at, count)| Retyped::Spaces(at, count)),
        place().prop_map(Retyped::Neighbours),
        place().prop_map(Retyped::Quotes),
    ];
    let changes = prop::collection::vec(change, 1..20);
    let inputs = (prop::sample::select(to_damage()), changes);
    attack("config, same meaning", 500, &inputs, |(text, changes)| {
        let typed = retyped(&text, &changes);
        let Some(again) = desk.answers(typed.as_bytes())? else {
            return Err(TestCaseError::fail(typed));
        };
        prop_assert_eq!(meaning(&again), meaning(&house(&text)));
        Ok(())
    });
}
