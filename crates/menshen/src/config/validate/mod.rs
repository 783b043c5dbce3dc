//! The rules: from what was typed to a [`House`].
//!
//! Every section is read by itself, so a mistake in one hides none in another. Rules about
//! keys that were already refused are silent.
//!
//! - `sections`: what stands once in the file.
//! - `road`: barriers and lanes, which name each other.
//! - `wires`: relays, inputs and the lines they hang on.
//! - `limits`: bounds of numbers and durations.

mod limits;
mod road;
mod sections;
mod wires;

use domain::{Language, Words};
use toml::de::{DeTable, DeValue};

use super::document::{Document, Path};
use super::file::{ClockFile, LogFile, SECTIONS};
use super::house::{House, Log};
use super::problem::Problems;
use super::read::{Findings, misplaced, read, secret_cure, unknown_name};

pub(crate) use limits::short;

/// Everything about `doc`: a house, or what is wrong.
pub(super) fn house(doc: &Document<'_>, file: &str, language: Language) -> Result<House, Problems> {
    let mut findings = Findings::new(doc);
    let root = doc.root.get_ref();
    headings(root, &mut findings);
    secrets(root, &Path::default(), &mut findings);
    let site = sections::site(root, &mut findings);
    let store = sections::store(root, &mut findings);
    let models = sections::models(root, &mut findings);
    let margins = sections::margins(root, &mut findings);
    let log: LogFile = section(root, "log", &mut findings);
    let clock: ClockFile = section(root, "clock", &mut findings);
    let mqtt = sections::mqtt(root, &mut findings);
    let metrics = sections::metrics(root, &mut findings);
    let (barriers, lanes) = road::road(root, &mut findings);
    let failed = findings.any_error();
    let notices = findings.finish(file, language);
    match (site, failed) {
        (Some(site), false) => Ok(House {
            site,
            store,
            barriers,
            lanes,
            mqtt,
            models,
            log: Log {
                level: log.level.unwrap_or_default(),
                journald: log.journald.unwrap_or_default(),
            },
            margins,
            clock: clock.trusted.unwrap_or_default(),
            metrics,
            notices,
        }),
        _ => Err(notices),
    }
}

/// Tables at the top of the file that nobody knows.
fn headings(root: &DeTable<'_>, findings: &mut Findings<'_, '_>) {
    let known: Vec<String> = SECTIONS.iter().map(|name| (*name).to_owned()).collect();
    for (key, value) in root {
        let name = key.get_ref().as_ref();
        if SECTIONS.contains(&name) {
            continue;
        }
        let cure = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => None,
            _ => misplaced(name, &[]),
        };
        let path = Path::section(name);
        let wrong = match &cure {
            Some(_) => Words::new(
                format!("{name} 不在任何一节里"),
                format!("{name} stands in no section"),
            ),
            None => Words::new(
                format!("没有 {name} 这一节"),
                format!("there is no section {name}"),
            ),
        };
        findings.error(
            &path,
            wrong,
            cure.unwrap_or_else(|| unknown_name(name, &known)),
        );
        findings.mark_broken(path);
    }
}

/// Passwords within addresses, wherever they stand.
fn secrets(table: &DeTable<'_>, at: &Path, findings: &mut Findings<'_, '_>) {
    for (key, value) in table {
        secrets_in(value.get_ref(), &at.key(key.get_ref()), findings);
    }
}

fn secrets_in(value: &DeValue<'_>, path: &Path, findings: &mut Findings<'_, '_>) {
    match value {
        DeValue::Table(table) => secrets(table, path, findings),
        DeValue::Array(array) => {
            for (i, value) in array.iter().enumerate() {
                secrets_in(value.get_ref(), &path.index(i), findings);
            }
        }
        DeValue::String(text) => {
            let Some((_, rest)) = text.split_once("://") else {
                return;
            };
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            let has_user = authority.contains('@') || hides_user(rest, authority);
            if has_user {
                findings.error(
                    path,
                    Words::new(
                        "地址里写了用户名或密码",
                        "a user name or password stands in the address",
                    ),
                    secret_cure(),
                );
                findings.mark_broken(path.clone());
                return;
            }
            let query = rest.split_once('?').map_or("", |(_, query)| query);
            let told = query.to_lowercase();
            if ["pass", "pwd", "token", "secret"]
                .iter()
                .any(|word| told.contains(word))
            {
                findings.warning(
                    path,
                    Words::new(
                        "地址的参数里好像有密码，能读本文件的人都能看到它",
                        "the address seems to carry a password; everybody who may read this file sees it",
                    ),
                    Words::new(
                        "摄像机支持的话改用 user 和 password_file；否则把本文件的权限设为 0640",
                        "use user and password_file if the camera can; otherwise give this file mode 0640",
                    ),
                );
            }
        }
        _ => {}
    }
}

/// A section all of whose keys are optional.
fn section<T: serde::de::DeserializeOwned + Default>(
    root: &DeTable<'_>,
    name: &str,
    findings: &mut Findings<'_, '_>,
) -> T {
    root.get(name)
        .and_then(|value| read(value, &Path::section(name), findings))
        .unwrap_or_default()
}

/// Whether the host of an address is really a user, because the password after it holds a
/// slash that nobody encoded: `rtsp://admin:a/b@10.0.0.64/`.
fn hides_user(rest: &str, authority: &str) -> bool {
    let before_query = rest.split(['?', '#']).next().unwrap_or(rest);
    let Some((host, port)) = authority.split_once(':') else {
        return false;
    };
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let is_host = host.contains('.') || host == "localhost";
    before_query.contains('@') && !host.starts_with('[') && !(is_port && is_host)
}
