//! The `[mqtt]` section: where the broker is and how to speak to it.
//!
//! Without the section there is no bridge. Secrets are named by file or systemd credential and
//! never stand in the file itself.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Words;
use serde::{Deserialize, Serialize};

/// The `[mqtt]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// The broker's host name or address.
    pub host: String,
    /// Its port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The MQTT client id, stable and unique at the broker; `menshen-<site>-<device>` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user name, if the broker asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file that holds the password (trailing line end ignored).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The name of the systemd credential that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_credential: Option<String>,
    /// The file of enrolled keys: the committee's server, and who may send commands
    /// ([`crate::keys`]). Without it no command is taken, and delivered means acknowledged by
    /// the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<PathBuf>,
    /// How often a silent connection is probed: 5 s to 10 min. A dead one is noticed within two
    /// such spans.
    #[serde(default = "default_keep_alive", with = "humantime_serde")]
    pub keep_alive: Duration,
    /// Allows MQTT without encryption to a broker that is not on this machine: everybody on the
    /// network between can then read plates and passwords.
    #[serde(default)]
    pub insecure_plain: bool,
    /// An event that arrives longer than this after it happened is marked late.
    #[serde(default = "default_late_after", with = "humantime_serde")]
    pub late_after: Duration,
    /// How many events may be on their way at once: 1 to 256.
    #[serde(default = "default_window")]
    pub window: u16,
    /// How many vehicles in a hundred a server's register may take out without a person at the
    /// gate confirming it: 0 to 100.
    #[serde(default = "default_registry_shrink")]
    pub registry_shrink: u8,
}

const fn default_port() -> u16 {
    1883
}

const fn default_keep_alive() -> Duration {
    Duration::from_secs(15)
}

const fn default_late_after() -> Duration {
    Duration::from_secs(10)
}

const fn default_window() -> u16 {
    32
}

const fn default_registry_shrink() -> u8 {
    20
}

/// What is wrong with a key of `[mqtt]`, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mqtt.{key}: {}; {}", wrong.english, cure.english)]
pub struct Problem {
    /// The key below `[mqtt]`.
    pub key: &'static str,
    /// What is wrong.
    pub wrong: Words,
    /// What to do about it.
    pub cure: Words,
}

/// Why the password could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the MQTT password cannot be read from {}: {source}; create the file and let the program's user read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// systemd passed no credentials.
    #[error(
        "mqtt.password_credential is {name:?}, but no credentials were passed; start the program through its unit with LoadCredential={name}:FILE, or use password_file"
    )]
    NoCredentials {
        /// The credential's name.
        name: String,
    },
}

impl MqttConfig {
    /// The section with every default, for a broker at `host`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            client_id: None,
            user: None,
            password_file: None,
            password_credential: None,
            keys_file: None,
            keep_alive: default_keep_alive(),
            insecure_plain: false,
            late_after: default_late_after(),
            window: default_window(),
            registry_shrink: default_registry_shrink(),
        }
    }

    /// Everything that is wrong with it; empty if nothing is. Reads no file.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key, wrong, cure| problems.push(Problem { key, wrong, cure });
        self.check_broker(&mut wrong);
        self.check_login(&mut wrong);
        self.check_numbers(&mut wrong);
        problems
    }

    fn check_broker(&self, wrong: &mut impl FnMut(&'static str, Words, Words)) {
        if self.host.is_empty() || self.host.contains(|c: char| c.is_whitespace() || c == '/') {
            wrong(
                "host",
                Words::new(
                    "这不是服务器的名字或地址",
                    "this is no broker's name or address",
                ),
                Words::new(
                    "只写名字或地址，不带协议、端口和路径，例如 host = \"127.0.0.1\"",
                    "give the name or address alone, without scheme, port or path, for example host = \"127.0.0.1\"",
                ),
            );
        } else if !self.insecure_plain && !self.is_loopback() {
            wrong(
                "host",
                Words::new(
                    "消息服务器不在本机，而连接没有加密：途中的人都能看到",
                    "the broker is not on this machine and the connection is not encrypted: anybody on the way could read it",
                ),
                Words::new(
                    "在本机装消息服务器；如果网络只归你们自己用，写 insecure_plain = true",
                    "use a broker on this machine, or set insecure_plain = true if the network is yours alone",
                ),
            );
        }
        if self.port == 0 {
            wrong(
                "port",
                Words::new("0 不是端口", "0 is no port"),
                Words::new("消息服务器一般用 1883", "brokers usually listen on 1883"),
            );
        }
    }

    fn check_login(&self, wrong: &mut impl FnMut(&'static str, Words, Words)) {
        let empty = || Words::new("是空的", "is empty");
        if let Some(id) = &self.client_id
            && (id.is_empty()
                || id.len() > 64
                || !id
                    .chars()
                    .all(|c| c.is_ascii_graphic() && !"+#/".contains(c)))
        {
            wrong(
                "client_id",
                Words::new("不能用作客户端名", "cannot be a client's name"),
                Words::new(
                    "用 1 到 64 个字母、数字、'-'、'_' 或 '.'，或删去这一行",
                    "use 1 to 64 letters, digits, '-', '_' or '.', or leave it out",
                ),
            );
        }
        if self.user.as_deref() == Some("") {
            wrong(
                "user",
                empty(),
                Words::new(
                    "服务器不要用户名时删去这一行",
                    "leave it out if the broker asks for none",
                ),
            );
        }
        match (&self.password_file, &self.password_credential) {
            (Some(_), Some(_)) => wrong(
                "password_file",
                Words::new(
                    "password_file 和 password_credential 都写了",
                    "password_file and password_credential are both given",
                ),
                Words::new("只留一个", "keep one"),
            ),
            (None, None) => {}
            _ if self.user.is_none() => wrong(
                "user",
                Words::new("有密码却没有用户名", "a password is given without a user"),
                Words::new("写上 user = \"...\"", "add user = \"...\""),
            ),
            _ => {}
        }
        if let Some(name) = &self.password_credential
            && (name.is_empty() || name.contains('/') || name.starts_with('.'))
        {
            wrong(
                "password_credential",
                Words::new("这不是凭据的名字", "this is no credential's name"),
                Words::new(
                    "写 LoadCredential= 里的名字，不是路径",
                    "write the name from LoadCredential=, not a path",
                ),
            );
        }
        if self
            .keys_file
            .as_ref()
            .is_some_and(|file| file.as_os_str().is_empty())
        {
            wrong(
                "keys_file",
                empty(),
                Words::new(
                    "写文件的路径，或删去这一行",
                    "name the file, or leave it out",
                ),
            );
        }
    }

    fn check_numbers(&self, wrong: &mut impl FnMut(&'static str, Words, Words)) {
        let out_of_bounds = || Words::new("超出范围", "is out of bounds");
        if !(Duration::from_secs(5)..=Duration::from_mins(10)).contains(&self.keep_alive) {
            wrong(
                "keep_alive",
                out_of_bounds(),
                Words::new("写 \"5s\" 到 \"10m\"", "use \"5s\" to \"10m\""),
            );
        }
        if self.late_after.is_zero() || self.late_after > Duration::from_hours(24) {
            wrong(
                "late_after",
                out_of_bounds(),
                Words::new(
                    "要大于零，最多 \"1day\"",
                    "use more than nothing and at most \"1day\"",
                ),
            );
        }
        if !(1..=256).contains(&self.window) {
            wrong(
                "window",
                out_of_bounds(),
                Words::new("写 1 到 256", "use 1 to 256"),
            );
        }
        if self.registry_shrink > 100 {
            wrong(
                "registry_shrink",
                out_of_bounds(),
                Words::new("写 0 到 100（百分比）", "use 0 to 100 (per cent)"),
            );
        }
    }

    /// Whether the broker is on this machine, as far as its name says.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Reads the password, if one is named. `credentials` is systemd's
    /// `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// [`SecretError`] if the file or credential that is named cannot be read.
    pub fn password(&self, credentials: Option<&Path>) -> Result<Option<String>, SecretError> {
        let path = match (&self.password_file, &self.password_credential, credentials) {
            (Some(path), _, _) => path.clone(),
            (None, Some(name), Some(folder)) => folder.join(name),
            (None, Some(name), None) => {
                return Err(SecretError::NoCredentials { name: name.clone() });
            }
            (None, None, _) => return Ok(None),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(source) => Err(SecretError::Unreadable { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<MqttConfig, toml::de::Error> {
        toml::from_str(text)
    }

    fn keys(config: &MqttConfig) -> Vec<&'static str> {
        config.validate().iter().map(|p| p.key).collect()
    }

    #[test]
    fn one_line_is_enough_and_gives_the_defaults() {
        let config = parse("host = 'localhost'").unwrap();
        assert_eq!(config, MqttConfig::new("localhost", 1883));
        assert_eq!(keys(&config), [""; 0]);
    }

    #[test]
    fn unknown_keys_and_inline_passwords_are_refused() {
        assert!(parse("host = 'localhost'\nhots = 'x'").is_err());
        let error = parse("host = 'localhost'\npassword = 'x'").unwrap_err();
        assert!(error.to_string().contains("password_file"), "{error}");
    }

    #[test]
    fn plain_mqtt_leaves_the_machine_only_when_asked_to() {
        for local in ["localhost", "127.0.0.1", "127.3.2.1", "::1"] {
            assert!(keys(&MqttConfig::new(local, 1883)).is_empty(), "{local}");
        }
        for remote in ["192.168.1.2", "broker", "localhost.example", "0.0.0.0"] {
            let mut config = MqttConfig::new(remote, 1883);
            assert_eq!(keys(&config), ["host"], "{remote}");
            config.insecure_plain = true;
            assert!(keys(&config).is_empty(), "{remote}");
        }
    }

    #[test]
    fn every_wrong_value_is_named() {
        let wrong = MqttConfig {
            host: "mqtt://localhost".to_owned(),
            port: 0,
            client_id: Some("a b".to_owned()),
            user: None,
            password_file: Some("x".into()),
            password_credential: Some("a/b".to_owned()),
            keys_file: Some(PathBuf::new()),
            keep_alive: Duration::from_secs(1),
            insecure_plain: false,
            late_after: Duration::ZERO,
            window: 0,
        };
        assert_eq!(
            keys(&wrong),
            [
                "host",
                "port",
                "client_id",
                "password_file",
                "password_credential",
                "keys_file",
                "keep_alive",
                "late_after",
                "window"
            ]
        );
        let mut config = MqttConfig::new("localhost", 1883);
        config.password_file = Some("x".into());
        assert_eq!(keys(&config), ["user"]);
    }

    #[test]
    fn a_password_comes_from_a_file_or_a_credential() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broker"), "s3 cret\r\n").unwrap();
        let mut config = MqttConfig::new("localhost", 1883);
        assert_eq!(config.password(None).unwrap(), None);
        config.password_credential = Some("broker".to_owned());
        assert!(matches!(
            config.password(None),
            Err(SecretError::NoCredentials { .. })
        ));
        let found = config.password(Some(folder.path())).unwrap();
        assert_eq!(found.as_deref(), Some("s3 cret"));
        config.password_credential = None;
        config.password_file = Some(folder.path().join("absent"));
        assert!(matches!(
            config.password(None),
            Err(SecretError::Unreadable { .. })
        ));
    }
}
