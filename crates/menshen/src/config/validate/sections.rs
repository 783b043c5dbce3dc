//! The sections that stand once: site, store, models, decision, MQTT, metrics.

use std::net::SocketAddr;
use std::time::Duration;

use access::Margins;
use bridge::MqttConfig;
use domain::Words;
use domain::reading::Score;
use jiff::tz::{Offset, TimeZone};
use toml::de::DeTable;

use super::super::document::Path;
use super::super::file::{DecisionFile, MetricsFile, ModelsFile, SiteFile, StoreFile};
use super::super::house::{Models, Site, Store};
use super::super::read::{Findings, read, secret_cure};
use super::super::size::ByteSize;
use super::limits::{DAY, s, span, within};
use super::section;

pub(super) fn site(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) -> Option<Site> {
    let path = Path::section("site");
    let typed: SiteFile = section(root, "site", findings);
    if typed.name.is_none() {
        findings.error(
            &path.key("name"),
            Words::new("缺少小区名", "the compound has no name"),
            Words::new(
                "写上 [site] 和 name = \"east-garden\"（小写字母、数字、连字符；会出现在 MQTT 主题里）",
                "write [site] and name = \"east-garden\" (a-z, 0-9 and '-'; it becomes part of MQTT topics)",
            ),
        );
    }
    let zone = typed
        .time_zone
        .unwrap_or_else(|| "Asia/Shanghai".to_owned());
    let time_zone = match zone.as_str() {
        // China has kept one offset since 1991, so no list of time zones is needed for it.
        "Asia/Shanghai" => TimeZone::fixed(Offset::constant(8)),
        other => TimeZone::get(other).unwrap_or_else(|_| {
            findings.error(
                &path.key("time_zone"),
                Words::new(
                    format!("系统里没有时区 {other:?}"),
                    format!("the system knows no time zone {other:?}"),
                ),
                Words::new(
                    "写成 \"Asia/Shanghai\" 这样的名称，或安装 tzdata",
                    "write a name like \"Asia/Shanghai\", or install tzdata",
                ),
            );
            TimeZone::UTC
        }),
    };
    Some(Site {
        name: typed.name?,
        device: typed.device.or_else(|| "gate".parse().ok())?,
        time_zone_name: zone,
        time_zone,
        language: typed.language.unwrap_or_default(),
    })
}

pub(super) fn store(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) -> Store {
    let path = Path::section("store");
    let typed: StoreFile = section(root, "store", findings);
    let kept = |key: &str, value: Option<Duration>, default, findings: &mut Findings<'_, '_>| {
        let bounds = (s(3600), DAY * 3660);
        within(
            value.unwrap_or(default),
            bounds,
            &path.key(key),
            span,
            findings,
        )
    };
    let budget = |key: &str, value: Option<ByteSize>, default, findings: &mut Findings<'_, '_>| {
        let bounds = (
            ByteSize::new(16_000_000),
            ByteSize::new(100_000_000_000_000),
        );
        let show = |size: &ByteSize| format!("\"{size}\"");
        let value = value.unwrap_or(ByteSize::new(default));
        within(value, bounds, &path.key(key), show, findings)
    };
    let store = Store {
        folder: typed.folder.unwrap_or_else(|| "/var/lib/menshen".into()),
        pictures_for: kept("pictures_for", typed.pictures_for, DAY * 30, findings),
        events_for: kept("events_for", typed.events_for, DAY * 365, findings),
        pictures_budget: budget(
            "pictures_budget",
            typed.pictures_budget,
            2_000_000_000,
            findings,
        ),
        events_budget: budget("events_budget", typed.events_budget, 512_000_000, findings),
    };
    if store.folder.as_os_str().is_empty() {
        findings.error(
            &path.key("folder"),
            Words::new("文件夹名是空的", "the folder's name is empty"),
            Words::new(
                "删去这一行，或写绝对路径",
                "leave the line out, or write an absolute path",
            ),
        );
    }
    if store.pictures_for > store.events_for {
        findings.warning(
            &path.key("pictures_for"),
            Words::new(
                "图片比所属的记录保存得更久",
                "pictures are kept longer than the events they belong to",
            ),
            Words::new(
                "pictures_for 不要超过 events_for",
                "let pictures_for be at most events_for",
            ),
        );
    }
    store
}

pub(super) fn models(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) -> Models {
    let typed: ModelsFile = section(root, "models", findings);
    let path = Path::section("models").key("threads");
    Models {
        folder: typed.folder,
        threads: within(
            typed.threads.unwrap_or(1),
            (1, 16),
            &path,
            usize::to_string,
            findings,
        ),
    }
}

/// Nats to the fixed point that decisions are made in.
fn score(nats: f64) -> Score {
    Score((nats * 1024.0).round() as i32)
}

pub(super) fn margins(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) -> Margins {
    let path = Path::section("decision");
    let typed: DecisionFile = section(root, "decision", findings);
    let default = Margins::default();
    let nats = |key: &str, value: Option<f64>, bounds, default, findings: &mut Findings<'_, '_>| {
        value.map_or(default, |value| {
            score(within(
                value,
                bounds,
                &path.key(key),
                f64::to_string,
                findings,
            ))
        })
    };
    let lead = (0.1, 50.0);
    let over_stranger = nats(
        "over_stranger",
        typed.over_stranger,
        lead,
        default.over_stranger,
        findings,
    );
    let over_runner_up = nats(
        "over_runner_up",
        typed.over_runner_up,
        lead,
        default.over_runner_up,
        findings,
    );
    let over_registered = nats(
        "over_registered",
        typed.over_registered,
        lead,
        default.over_registered,
        findings,
    );
    let least_score = nats(
        "least_score",
        typed.least_score,
        (-50.0, 0.0),
        default.least_score,
        findings,
    );
    let refuse_after = within(
        typed.refuse_after.unwrap_or(default.refuse_after),
        (1, 100),
        &path.key("refuse_after"),
        u32::to_string,
        findings,
    );
    for (key, set, default) in [
        ("over_stranger", over_stranger, default.over_stranger),
        ("over_runner_up", over_runner_up, default.over_runner_up),
        ("least_score", least_score, default.least_score),
    ] {
        if set < default {
            findings.warning(
                &path.key(key),
                Words::new(
                    "比默认值宽松：陌生车更容易被放行",
                    "laxer than the default: more strangers will be let in",
                ),
                Words::new(
                    "没有用自己的图片核对过就用默认值",
                    "keep the default unless you have measured this on pictures of your own",
                ),
            );
        }
    }
    Margins {
        over_stranger,
        over_runner_up,
        over_registered,
        least_score,
        refuse_after,
    }
}

pub(super) fn mqtt(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) -> Option<MqttConfig> {
    let path = Path::section("mqtt");
    let Some(value) = root.get("mqtt") else {
        findings.note(
            &path,
            Words::new(
                "没有 [mqtt]：记录只保存在本机，不会送到居委会",
                "there is no [mqtt]: events stay on this machine and reach no committee",
            ),
            Words::new(
                "需要上报时写 [mqtt] 和 host = \"127.0.0.1\"",
                "to deliver them write [mqtt] and host = \"127.0.0.1\"",
            ),
        );
        return None;
    };
    let mqtt: MqttConfig = read(value, &path, findings)?;
    if mqtt.host.contains('@') {
        let host = path.key("host");
        findings.error(
            &host,
            Words::new(
                "地址里写了用户名或密码",
                "a user name or password stands in the address",
            ),
            secret_cure(),
        );
        findings.mark_broken(host);
    }
    for problem in mqtt.validate() {
        findings.error(&path.key(problem.key), problem.wrong, problem.cure);
    }
    if mqtt.insecure_plain && !mqtt.is_loopback() {
        findings.warning(
            &path.key("insecure_plain"),
            Words::new(
                "到服务器的连接没有加密：途中的人能看到车牌和密码",
                "the connection to the broker is not encrypted: anybody on the way can read plates and passwords",
            ),
            Words::new(
                "只在完全自有的网络里这样做；更好的办法是写 ca_file，用 TLS 加密",
                "do so only in a network that is yours alone; better encrypt it with TLS by ca_file",
            ),
        );
    }
    if mqtt.keys_file.is_none() {
        findings.note(
            &path,
            Words::new(
                "服务器收下（PUBACK）就算送达：丢失或删除消息的服务器会让记录无声消失",
                "an event counts as delivered once the broker accepts it (PUBACK): a broker that loses or deletes messages makes events disappear unnoticed",
            ),
            Words::new(
                "运行 menshen collect，并在 keys_file 里登记它的公钥",
                "run `menshen collect` and enrol its key in keys_file",
            ),
        );
    }
    Some(mqtt)
}

pub(super) fn metrics(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) -> Option<SocketAddr> {
    let path = Path::section("metrics");
    let typed: MetricsFile = section(root, "metrics", findings);
    let listen = typed.listen?;
    if !listen.ip().is_loopback() && typed.open_to_network != Some(true) {
        findings.error(
            &path.key("listen"),
            Words::new(
                format!("{listen} 不是本机地址，网络上谁都能看到这些数据"),
                format!("{listen} is no address of this machine alone; everybody on the network could read the figures"),
            ),
            Words::new(
                "写成 127.0.0.1:9469，或明确写上 open_to_network = true",
                "write 127.0.0.1:9469, or say so with open_to_network = true",
            ),
        );
    }
    Some(listen)
}
