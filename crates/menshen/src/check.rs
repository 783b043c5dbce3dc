//! `menshen check`: what a configuration will do, before it does it.
//!
//! The file is read and validated as `menshen run` does it; then the machine is looked at as
//! far as that is possible without opening a device: whether secrets, programs and folders are
//! there and who may read them. What is printed is a drawing of what will be wired to what,
//! and below it everything that should be known about it.
//!
//! Invariant: no camera, relay or broker is spoken to.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use access::passage::Trigger;
use bridge::MqttConfig;
use domain::reading::Score;
use domain::{Direction, Language, Words};
use gate::line::Line;
use gate::wiring::{InputWiring, RelayWiring};
use jiff::Timestamp;
use rustix::fs::{Access, access};
use serde_json::{Value, json};

use crate::config::{
    self, Barrier, House, Journald, Lane, Problem, Problems, Severity, Trusted, short,
};

/// Arguments of `menshen check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration file / 配置文件
    #[arg(long, value_name = "FILE", default_value = "/etc/menshen/menshen.toml")]
    pub(crate) config: PathBuf,
    /// Print one JSON object instead of text / 输出 JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// zh or en; what the file says if left out / 语言
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    pub(crate) language: Option<Language>,
}

pub(crate) fn language(word: &str) -> Result<Language, String> {
    match word {
        "zh" => Ok(Language::Zh),
        "en" => Ok(Language::En),
        _ => Err("use zh or en".to_owned()),
    }
}

/// Checks, prints, and gives the exit status: 0 if the file can be run (there may be
/// warnings), 2 if not.
pub(crate) fn run(args: CheckArgs) -> u8 {
    let (text, status) = report(args);
    // A closed pipe (`menshen check | head`) changes nothing about the answer.
    let _ = std::io::stdout().write_all(text.as_bytes());
    status
}

/// What is printed, and the exit status.
pub(crate) fn report(args: CheckArgs) -> (String, u8) {
    let CheckArgs {
        config,
        json,
        language,
    } = args;
    let (house, problems) = match examine(&config) {
        Ok((house, problems)) => (Some(house), problems),
        Err(problems) => (None, problems),
    };
    let asked = house
        .as_ref()
        .map_or(problems.language, |house| house.site.language);
    let language = language.unwrap_or(asked);
    let ok = !problems.any_error();
    let text = if json {
        let list: Vec<_> = problems.list.iter().map(|p| as_json(p, language)).collect();
        let object = json!({
            "file": problems.file,
            "ok": ok,
            "problems": list,
            "house": house.as_ref().map(summary),
        });
        format!("{object}\n")
    } else {
        let mut text = house.map_or_else(String::new, |house| drawing(&house, language) + "\n");
        text += &problems.in_language(language);
        text += &verdict(&problems, language);
        text
    };
    (text, if ok { 0 } else { 2 })
}

pub(crate) fn verdict(problems: &Problems, language: Language) -> String {
    let count = |severity| {
        problems
            .list
            .iter()
            .filter(|p| p.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match (language, errors) {
        (Language::Zh, 0) => format!("{}: 可以使用（{warnings} 个警告）\n", problems.file),
        (Language::En, 0) => format!("{}: usable ({warnings} warning(s))\n", problems.file),
        (Language::Zh, _) => {
            format!(
                "{}: 不能使用（{errors} 个错误，{warnings} 个警告）\n",
                problems.file
            )
        }
        (Language::En, _) => {
            format!(
                "{}: not usable ({errors} error(s), {warnings} warning(s))\n",
                problems.file
            )
        }
    }
}

/// The house with everything there is to say about it, or why there is none.
pub(crate) fn examine(path: &Path) -> Result<(House, Problems), Problems> {
    let text = config::text_of(path)?;
    let house = config::parse(&text, &path.display().to_string())?;
    let mut problems = house.notices.clone();
    for (severity, key, wrong, cure) in surroundings(&house) {
        problems.list.push(Problem {
            severity,
            place: config::place_of(&text, &key),
            key,
            wrong,
            cure,
        });
    }
    problems
        .list
        .sort_by_key(|p| (p.severity, p.place.is_none(), p.place));
    Ok((house, problems))
}

type Finding = (Severity, String, Words, Words);

/// What the machine lacks of what the file names.
fn surroundings(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let started_by_systemd = credentials.is_some();
    for (i, lane) in house.lanes.iter().enumerate() {
        let key = format!("lane[{}].camera", i + 1);
        let camera = &lane.camera;
        for absent in camera.absent() {
            let severity = match (absent.key, &camera.password_credential) {
                ("password_credential", Some(name)) if !started_by_systemd => {
                    findings.push(credential(format!("{key}.password_credential"), name));
                    continue;
                }
                ("password_file" | "password_credential", _) => Severity::Error,
                _ => Severity::Warning,
            };
            findings.push((
                severity,
                format!("{key}.{}", absent.key),
                absent.wrong,
                absent.cure,
            ));
        }
        if let Some(file) = &camera.password_file {
            findings.extend(readable_by_all(format!("{key}.password_file"), file));
        }
        for (name, path) in [
            ("path", &camera.path),
            ("password_file", &camera.password_file),
        ] {
            let here = camera.kind == vision::source::Kind::Pipe && name == "path";
            if let Some(path) = path.as_ref().filter(|_| !here) {
                findings.extend(relative(format!("{key}.{name}"), path));
            }
        }
    }
    for (i, barrier) in house.barriers.iter().enumerate() {
        let RelayWiring::Isapi { password_file, .. } = barrier.wiring.relay() else {
            continue;
        };
        let key = format!("barrier[{}].relay.password_file", i + 1);
        if let Err(error) = gate::relay::Password::read(password_file) {
            findings.push(unreadable(&key, "摄像机的密码读不到", &error));
        }
        findings.extend(readable_by_all(key.clone(), password_file));
        findings.extend(relative(key, password_file));
    }
    if let Some(mqtt) = &house.mqtt {
        match (
            mqtt.password(credentials.as_deref()),
            &mqtt.password_credential,
        ) {
            (Ok(_), _) => {}
            (Err(_), Some(name)) if !started_by_systemd => {
                findings.push(credential("mqtt.password_credential".to_owned(), name));
            }
            (Err(error), name) => {
                let key = match name {
                    Some(_) => "mqtt.password_credential",
                    None => "mqtt.password_file",
                };
                findings.push(unreadable(key, "消息服务器的密码读不到", &error));
            }
        }
        if let Some(file) = &mqtt.password_file {
            findings.extend(readable_by_all("mqtt.password_file".to_owned(), file));
            findings.extend(relative("mqtt.password_file".to_owned(), file));
        }
        findings.extend(certificates(mqtt, credentials.as_deref()));
        if let Some(file) = &mqtt.keys_file {
            findings.extend(relative("mqtt.keys_file".to_owned(), file));
            findings.extend(enrolled(file));
        }
    }
    findings.extend(relative("store.folder".to_owned(), &house.store.folder));
    findings.extend(writable(&house.store.folder));
    if let Some(folder) = &house.models.folder {
        for name in vision::models::MANIFESTS {
            if !folder.join(name).is_file() {
                findings.push((
                    Severity::Error,
                    "models.folder".to_owned(),
                    Words::new(
                        format!("{} 里没有 {name}", folder.display()),
                        format!("there is no {name} in {}", folder.display()),
                    ),
                    Words::new(
                        "写放有模型的文件夹，或删去这一行以使用内置模型",
                        "name the folder that holds the models, or leave it out to use the ones built in",
                    ),
                ));
            }
        }
    }
    findings
}

/// What could not be read, `chinese` in words and the reason as the system gives it.
fn unreadable(key: &str, chinese: &str, error: &dyn std::fmt::Display) -> Finding {
    let message = error.to_string();
    let (wrong, cure) = message
        .split_once("; ")
        .unwrap_or((&message, "put it in place, or correct this key"));
    (
        Severity::Error,
        key.to_owned(),
        Words::new(format!("{chinese}（{wrong}）"), wrong),
        Words::new("把它准备好，让程序能读，或改正这个键", cure),
    )
}

/// Credentials exist only where systemd starts the program.
fn credential(key: String, name: &str) -> Finding {
    (
        Severity::Note,
        key,
        Words::new(
            format!("凭据 {name} 只在 systemd 启动时才有，这里无法检查"),
            format!(
                "the credential {name} is there only when systemd starts menshen; it cannot be checked here"
            ),
        ),
        Words::new(
            format!("在单元里写 LoadCredential={name}:/文件"),
            format!("write LoadCredential={name}:/FILE in the unit"),
        ),
    )
}

/// What is wrong with the files of an encrypted connection.
fn certificates(mqtt: &MqttConfig, credentials: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, path) in [
        ("mqtt.ca_file", &mqtt.ca_file),
        ("mqtt.client_certificate", &mqtt.client_certificate),
        ("mqtt.client_key", &mqtt.client_key),
    ] {
        if let Some(path) = path {
            findings.extend(relative(name.to_owned(), path));
        }
    }
    if let Some(file) = &mqtt.client_key {
        findings.extend(readable_by_all("mqtt.client_key".to_owned(), file));
    }
    let files = match (mqtt.tls(credentials), &mqtt.client_key_credential) {
        (Ok(files), _) => files,
        (Err(_), Some(name)) => {
            findings.push(credential("mqtt.client_key_credential".to_owned(), name));
            // The rest can be looked at without it.
            mqtt.ca_file
                .clone()
                .map(|ca| tls::Files { ca, client: None })
        }
        (Err(error), None) => {
            findings.push(unreadable("mqtt.client_key", "私钥读不到", &error));
            None
        }
    };
    let Some(files) = files else {
        return findings;
    };
    match files.client() {
        Ok(_) => findings.extend(
            files
                .warnings(Timestamp::now())
                .into_iter()
                .map(|warning| certificate(Severity::Warning, warning, mqtt)),
        ),
        Err(error) => findings.push(certificate(Severity::Error, error, mqtt)),
    }
    findings
}

fn certificate(severity: Severity, found: tls::FileError, mqtt: &MqttConfig) -> Finding {
    let key = match (found.key, &mqtt.client_key_credential) {
        ("client_key", Some(_)) => "client_key_credential",
        (key, _) => key,
    };
    (severity, format!("mqtt.{key}"), found.wrong, found.cure)
}

/// What is to be said about the file of enrolled keys.
fn enrolled(file: &Path) -> Vec<Finding> {
    let key = || "mqtt.keys_file".to_owned();
    let ring = match bridge::keys::read_ring(file) {
        Ok(ring) => ring,
        Err(error) => return vec![unreadable(&key(), "登记的密钥不能用", &error)],
    };
    let mut findings = Vec::new();
    if !ring.names_a_server() {
        findings.push((
            Severity::Warning,
            key(),
            Words::new(
                "没有登记服务器的密钥：消息服务器收下（PUBACK）就算送达，它删除消息时记录会无声消失",
                "no server's key is enrolled: an event counts as delivered once the broker accepts it (PUBACK), and a broker that deletes messages makes events disappear unnoticed",
            ),
            Words::new(
                "运行 menshen collect，把它的公钥以 roles = [\"server\"] 登记进去",
                "run `menshen collect` and enrol its key with roles = [\"server\"]",
            ),
        ));
    }
    let mode = std::fs::metadata(file).map_or(0, |data| data.permissions().mode());
    if mode & 0o022 != 0 {
        findings.push((
            Severity::Error,
            key(),
            Words::new(
                format!("{} 不只文件主人能写：谁能写它，谁就能开闸", file.display()),
                format!(
                    "others than its owner can write {}: whoever can write it can open the gate",
                    file.display()
                ),
            ),
            Words::new(
                format!("chmod go-w {}", file.display()),
                format!("chmod go-w {}", file.display()),
            ),
        ));
    }
    findings
}

fn readable_by_all(key: String, file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    let file = file.display();
    (mode & 0o007 != 0).then(|| {
        (
            Severity::Warning,
            key,
            Words::new(
                format!("这台机器上的任何人都能读 {file}"),
                format!("everybody on this machine can read {file}"),
            ),
            Words::new(
                format!("chmod 0640 {file}，并让它属于本程序的用户组"),
                format!("chmod 0640 {file}, and give it to the program's group"),
            ),
        )
    })
}

fn relative(key: String, path: &Path) -> Option<Finding> {
    path.is_relative().then(|| {
        (
            Severity::Warning,
            key,
            Words::new(
                format!("{} 是相对路径，从哪里启动就从哪里找", path.display()),
                format!("{} depends on where the program is started", path.display()),
            ),
            Words::new(
                "写以 / 开头的完整路径",
                "write the whole path, beginning with /",
            ),
        )
    })
}

fn writable(folder: &Path) -> Option<Finding> {
    let here = folder.ancestors().find(|path| path.exists())?;
    let may = access(here, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    (!may).then(|| {
        let folder = folder.display();
        (
            Severity::Warning,
            "store.folder".to_owned(),
            Words::new(
                format!("当前用户不能写 {folder}"),
                format!("the user you are now cannot write to {folder}"),
            ),
            Words::new(
                "由 systemd 启动时会自动建好；手工运行时写一个自己能写的 folder",
                "systemd prepares it when it starts menshen; to run by hand, name a folder that you can write to",
            ),
        )
    })
}

fn as_json(problem: &Problem, language: Language) -> Value {
    json!({
        "severity": problem.severity,
        "line": problem.place.map(|place| place.line),
        "column": problem.place.map(|place| place.column),
        "key": problem.key,
        "wrong": problem.wrong.in_language(language),
        "cure": problem.cure.in_language(language),
    })
}

/// The house for programs: names, wires, times.
fn summary(house: &House) -> Value {
    let lanes: Vec<_> = house
        .lanes
        .iter()
        .map(|lane| {
            json!({
                "name": lane.settings.lane.as_str(),
                "direction": lane.settings.direction,
                "trigger": trigger_word(lane.settings.trigger),
                "mode": if lane.settings.shadow { "shadow" } else { "enforce" },
                "arrival_loop": lane.arrival_loop,
                "barrier": house.barrier_of(lane).name.as_str(),
                "camera": lane.camera.describe(),
            })
        })
        .collect();
    let barriers: Vec<_> = house
        .barriers
        .iter()
        .map(|barrier| {
            json!({
                "name": barrier.name.as_str(),
                "relay": barrier.wiring.relay(),
                "inputs": barrier.wiring.inputs(),
                "pulse": short(barrier.profile.pulse),
            })
        })
        .collect();
    json!({
        "site": house.site.name.as_str(),
        "device": house.site.device.as_str(),
        "time_zone": house.site.time_zone_name,
        "lanes": lanes,
        "barriers": barriers,
        "mqtt": house.mqtt.as_ref().map(|mqtt| format!("{}:{}", mqtt.host, mqtt.port())),
        "store": house.store.folder,
        "models": house.models.folder,
    })
}

fn trigger_word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Picture => "picture",
        Trigger::Loop => "loop",
        Trigger::Both => "both",
    }
}

/// A line of the drawing with what hangs on it.
struct Branch {
    text: String,
    below: Vec<Branch>,
}

impl Branch {
    fn leaf(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            below: Vec::new(),
        }
    }

    fn draw(&self, indent: &str, out: &mut String) {
        for (i, branch) in self.below.iter().enumerate() {
            let last = i + 1 == self.below.len();
            let (corner, rail) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let _ = writeln!(out, "{indent}{corner}{}", branch.text);
            branch.draw(&format!("{indent}{rail}"), out);
        }
    }
}

fn drawing(house: &House, language: Language) -> String {
    let say = |zh: &str, en: &str| Words::new(zh, en).in_language(language).to_owned();
    let site = &house.site;
    let mut out = format!(
        "{} {}, {} {}, {}\n",
        say("小区", "compound"),
        site.name,
        say("设备", "device"),
        site.device,
        site.time_zone_name
    );
    let lanes = house
        .lanes
        .iter()
        .map(|lane| lane_branch(house, lane, language));
    let barriers = house
        .barriers
        .iter()
        .map(|barrier| barrier_branch(barrier, language));
    let tree = Branch {
        text: String::new(),
        below: lanes
            .chain(barriers)
            .chain(indoors(house, language))
            .collect(),
    };
    tree.draw("", &mut out);
    out
}

/// What is not on the road: broker, store, models, decision, clock, log.
fn indoors(house: &House, language: Language) -> Vec<Branch> {
    let say = |zh: &str, en: &str| Words::new(zh, en).in_language(language).to_owned();
    let site = &house.site;
    let mqtt = match &house.mqtt {
        Some(mqtt) => {
            let user = mqtt
                .user
                .as_deref()
                .map_or_else(String::new, |user| format!(" ({user})"));
            Branch {
                text: format!("MQTT ──► {}:{}{user}", mqtt.host, mqtt.port()),
                below: vec![Branch::leaf(format!(
                    "menshen/{}/{}/…",
                    site.name, site.device
                ))],
            }
        }
        None => Branch::leaf(say(
            "MQTT: 无，记录只留在本机",
            "MQTT: none, events stay here",
        )),
    };
    let kept = |what: String, span, budget: config::ByteSize| {
        Branch::leaf(format!(
            "{what}: {} {}, {} {budget}",
            say("保存", "kept"),
            short(span),
            say("不超过", "at most")
        ))
    };
    let store = &house.store;
    let store = Branch {
        text: format!("{} {}", say("存储", "store"), store.folder.display()),
        below: vec![
            kept(say("记录", "events"), store.events_for, store.events_budget),
            kept(
                say("图片", "pictures"),
                store.pictures_for,
                store.pictures_budget,
            ),
        ],
    };
    let models = match &house.models.folder {
        Some(folder) => folder.display().to_string(),
        None => say("内置", "built in"),
    };
    let models = Branch::leaf(format!(
        "{} {models}, {} {}",
        say("模型", "models"),
        house.models.threads,
        say("线程", "thread(s)")
    ));
    let nats = |score: Score| f64::from(score.0) / 1024.0;
    let margins = &house.margins;
    let decision = Branch::leaf(format!(
        "{}: {} {}, {} {}, {} {} (nat)",
        say("放行条件", "admitted when"),
        say("领先陌生车牌", "ahead of any stranger by"),
        nats(margins.over_stranger),
        say("领先其他登记车牌", "of the next registered plate by"),
        nats(margins.over_runner_up),
        say("自身至少", "and its own score at least"),
        nats(margins.least_score),
    ));
    let trusted = match house.clock {
        Trusted::Auto => say("校准后才可信", "trusted once it is synchronised"),
        Trusted::Always => say("总是可信", "always trusted"),
    };
    let clock = Branch::leaf(format!("{}: {trusted}", say("时钟", "clock")));
    let journald = match house.log.journald {
        Journald::Auto => say("自动", "auto"),
        Journald::Always => say("总是", "always"),
        Journald::Never => say("从不", "never"),
    };
    let log = Branch::leaf(format!(
        "{}: {}, journald {journald}",
        say("日志", "log"),
        house.log.level.word()
    ));
    vec![mqtt, store, models, decision, clock, log]
}

fn lane_branch(house: &House, lane: &Lane, language: Language) -> Branch {
    let say = |zh: &str, en: &str| Words::new(zh, en).in_language(language).to_owned();
    let settings = &lane.settings;
    let barrier = house.barrier_of(lane);
    let direction = match settings.direction {
        Direction::Entry => say("进", "entry"),
        Direction::Exit => say("出", "exit"),
    };
    let trigger = match settings.trigger {
        Trigger::Picture => say("画面中的车牌", "a plate in the picture"),
        Trigger::Loop => say("地感", "the arrival loop"),
        Trigger::Both => say(
            "画面或地感；地感上有车才开闸",
            "picture or loop; opens only with a vehicle on the loop",
        ),
    };
    let mut below = vec![Branch::leaf(format!(
        "{} ◄── {}",
        say("摄像机", "camera"),
        lane.camera.describe()
    ))];
    if let Some(input) = arrival_loop(barrier, lane) {
        below.push(Branch::leaf(format!(
            "{} ◄── {}",
            say("地感", "arrival loop"),
            input_words(barrier, input, language)
        )));
    }
    below.push(Branch::leaf(format!(
        "{}: {trigger}",
        say("触发", "trigger")
    )));
    below.push(Branch::leaf(if settings.shadow {
        format!(
            "{} {}",
            say(
                "影子模式: 判断并记录，绝不开",
                "shadow: decides and records, never opens"
            ),
            barrier.name
        )
    } else {
        format!(
            "{} ──► {} {} ──► {} {}",
            say("放行", "admitted"),
            say("道闸", "barrier"),
            barrier.name,
            say("开闸脉冲", "OPEN pulse"),
            short(barrier.profile.pulse)
        )
    }));
    below.push(Branch::leaf(format!(
        "{} ──► {} {}",
        say("不确定", "unsure"),
        say("问门卫，最长等", "asks the guard for"),
        short(settings.ask_for)
    )));
    Branch {
        text: format!("{} {} ({direction})", say("车道", "lane"), settings.lane),
        below,
    }
}

fn arrival_loop<'b>(barrier: &'b Barrier, lane: &Lane) -> Option<&'b InputWiring> {
    let wanted = Line::ArrivalLoop(lane.settings.lane.to_string());
    barrier
        .wiring
        .inputs()
        .iter()
        .find(|input| input.line == wanted)
}

/// Where the relay of a barrier is.
pub(crate) fn relay_words(barrier: &Barrier, language: Language) -> String {
    let say = |zh: &str, en: &str| Words::new(zh, en).in_language(language).to_owned();
    let level = |active_low: bool| {
        if active_low {
            say("低电平吸合", "energised by a low level")
        } else {
            say("高电平吸合", "energised by a high level")
        }
    };
    match barrier.wiring.relay() {
        RelayWiring::Simulated { trace: None, .. } => say("模拟，不动", "simulated, nothing moves"),
        RelayWiring::Simulated {
            trace: Some(trace), ..
        } => format!(
            "{} {}",
            say("模拟，记录在", "simulated, written to"),
            trace.display()
        ),
        RelayWiring::Rppal { line, active_low } => {
            format!(
                "{} BCM {line}, {}",
                say("树莓派引脚", "Raspberry Pi pin"),
                level(*active_low)
            )
        }
        RelayWiring::Gpiochip {
            chip,
            line,
            active_low,
        } => format!(
            "{} {} {line}, {}",
            chip.display(),
            say("线", "line"),
            level(*active_low)
        ),
        RelayWiring::Serial { port, channel } => {
            format!("{} {} {channel}", port.display(), say("继电器", "relay"))
        }
        RelayWiring::Modbus {
            bus,
            unit,
            channel,
            flash,
        } => {
            let bounded = if *flash {
                say("，板子自己断开", ", released by the board itself")
            } else {
                String::new()
            };
            format!(
                "Modbus {bus} {} {unit} {} {channel}{bounded}",
                say("地址", "unit"),
                say("继电器", "relay")
            )
        }
        RelayWiring::Isapi {
            address, channel, ..
        } => format!(
            "{} {address} {} {channel}",
            say("摄像机", "camera"),
            say("道闸", "barrier")
        ),
    }
}

fn barrier_branch(barrier: &Barrier, language: Language) -> Branch {
    let say = |zh: &str, en: &str| Words::new(zh, en).in_language(language).to_owned();
    let relay = relay_words(barrier, language);
    let mut below = vec![Branch::leaf(format!(
        "OPEN ──► {} {} ──► {relay}",
        say("脉冲", "pulse"),
        short(barrier.profile.pulse)
    ))];
    for input in barrier.wiring.inputs() {
        if matches!(input.line, Line::ArrivalLoop(_)) {
            continue;
        }
        let mut name = input_name(&input.line).in_language(language).to_owned();
        if matches!(input.line, Line::SafetyLoop | Line::LightBeam) {
            name += &say("（只看不动）", " (only watched)");
        }
        let words = input_words(barrier, input, language);
        below.push(Branch::leaf(format!("{name} ◄── {words}")));
    }
    below.push(Branch::leaf(say(
        "落杆和防砸由道闸自己的控制器负责",
        "closing and its safety stay with the barrier's own controller",
    )));
    Branch {
        text: format!("{} {}", say("道闸", "barrier"), barrier.name),
        below,
    }
}

/// What an input is called.
pub(crate) fn input_name(input: &Line) -> Words {
    match input {
        Line::ArrivalLoop(lane) => Words::new(
            format!("车道 {lane} 的闸前地感"),
            format!("arrival loop of lane {lane}"),
        ),
        Line::SafetyLoop => Words::new("闸下地感", "safety loop"),
        Line::LightBeam => Words::new("光电对射", "light beam"),
        Line::GuardButton => Words::new("门卫开闸按钮", "guard's OPEN button"),
        Line::Fire => Words::new("消防", "fire alarm"),
        Line::Stop => Words::new("急停", "STOP"),
        Line::OpenedLimit => Words::new("开到位", "opened limit"),
        Line::ClosedLimit => Words::new("关到位", "closed limit"),
    }
}

/// Where an input is and how its contact rests.
pub(crate) fn input_words(barrier: &Barrier, input: &InputWiring, language: Language) -> String {
    let say = |zh: &str, en: &str| Words::new(zh, en).in_language(language).to_owned();
    let place = match barrier.wiring.relay() {
        RelayWiring::Simulated { .. } => say("模拟", "simulated"),
        RelayWiring::Rppal { .. } => {
            format!(
                "{} BCM {}",
                say("树莓派引脚", "Raspberry Pi pin"),
                input.pin
            )
        }
        RelayWiring::Gpiochip { chip, .. } => {
            format!("{} {} {}", chip.display(), say("线", "line"), input.pin)
        }
        RelayWiring::Serial { port, .. } => port.display().to_string(),
        RelayWiring::Modbus { bus, unit, .. } => format!(
            "Modbus {bus} {} {unit} {} {}",
            say("地址", "unit"),
            say("输入", "input"),
            input.pin
        ),
        RelayWiring::Isapi { address, .. } => address.to_string(),
    };
    let contact = if input.normally_closed {
        say(
            "常闭，断线即动作",
            "normally closed, a broken wire reads as active",
        )
    } else {
        say("常开", "normally open")
    };
    format!(
        "{place}, {contact}, {} {}",
        say("去抖", "debounce"),
        short(input.debounce)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, json: bool, language: Option<Language>) -> (String, u8) {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("menshen.toml");
        let text = text.replace("FOLDER", &folder.path().display().to_string());
        std::fs::write(&config, text).unwrap();
        report(CheckArgs {
            config,
            json,
            language,
        })
    }

    const GOOD: &str = r#"
[site]
name = "east-garden"
[store]
folder = "FOLDER"
[[barrier]]
relay = { driver = "gpiochip", line = 17 }
guard_button = { line = 24 }
[[lane]]
arrival_loop = { line = 23, normally_closed = true }
[lane.camera]
kind = "rtsp"
url = "rtsp://10.0.0.64/live"
user = "gate"
password_file = "FOLDER/camera.secret"
"#;

    #[test]
    fn the_drawing_names_every_wire_in_both_languages() {
        let text = GOOD.replace(
            "user = \"gate\"\npassword_file = \"FOLDER/camera.secret\"",
            "",
        );
        let wires = [
            "10.0.0.64",
            "/dev/gpiochip0",
            "17",
            "23",
            "24",
            "500ms",
            "menshen.toml",
        ];
        for (language, words) in [
            (
                Language::En,
                ["normally closed", "barrier main", "lane entry", "note"],
            ),
            (Language::Zh, ["常闭", "道闸 main", "车道 entry", "提示"]),
        ] {
            let (shown, status) = check(&text, false, Some(language));
            assert_eq!(status, 0, "{shown}");
            for word in wires.iter().chain(&words) {
                assert!(shown.contains(word), "{word} is not in\n{shown}");
            }
        }
    }

    #[test]
    fn a_missing_secret_is_an_error_with_its_line_and_one_for_all_to_read_a_warning() {
        let (shown, status) = check(GOOD, true, None);
        assert_eq!(status, 2);
        let object: Value = serde_json::from_str(&shown).unwrap();
        let errors: Vec<_> = object["problems"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|p| p["severity"] == "error")
            .collect();
        assert_eq!(errors.len(), 1, "{shown}");
        assert_eq!(errors[0]["key"], "lane[1].camera.password_file");
        assert_eq!(errors[0]["line"], 15);

        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("camera.secret");
        std::fs::write(&secret, "x\n").unwrap();
        for (mode, warned) in [(0o640, false), (0o644, true)] {
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
            let text = GOOD.replace("FOLDER/camera.secret", &secret.display().to_string());
            let (shown, status) = check(&text, false, Some(Language::En));
            assert_eq!(status, 0, "{shown}");
            assert_eq!(
                shown.contains("everybody on this machine"),
                warned,
                "{shown}"
            );
        }
    }

    #[test]
    fn a_wrong_file_gives_status_two_in_the_language_it_asks_for() {
        let (shown, status) = check("[site]\nlanguage = \"en\"\nnam = \"x\"\n", false, None);
        assert_eq!(status, 2);
        assert!(
            shown.contains("menshen.toml:3:1: error: site.nam: "),
            "{shown}"
        );
        assert!(shown.contains("did you mean name?"), "{shown}");
        let (shown, status) = report(CheckArgs {
            config: "/nowhere/menshen.toml".into(),
            json: false,
            language: Some(Language::En),
        });
        assert_eq!(status, 2);
        assert!(shown.contains("cannot be read"), "{shown}");
    }

    #[test]
    fn json_tells_the_house() {
        let text = GOOD.replace(
            "user = \"gate\"\npassword_file = \"FOLDER/camera.secret\"",
            "",
        );
        let (shown, status) = check(&text, true, None);
        assert_eq!(status, 0);
        let object: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(object["ok"], true);
        assert_eq!(object["house"]["lanes"][0]["barrier"], "main");
        assert_eq!(object["house"]["barriers"][0]["relay"]["line"], 17);
    }
}
