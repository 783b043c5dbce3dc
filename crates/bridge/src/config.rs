//! The `[mqtt]` section: where the broker is and how to speak to it.
//!
//! Without the section there is no bridge. Secrets are named by file or systemd credential and
//! never stand in the file itself.

use std::net::{IpAddr, Ipv6Addr};
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
    /// Its port; if absent 8883 with `ca_file`, else 1883.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
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
    /// A file with the certificate of the authority that signs for the broker, in PEM. With it
    /// the connection is encrypted by TLS, and no broker is believed that it does not sign for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file with this device's own certificate, for a broker that asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// The file of its secret key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// The name of the systemd credential that holds its secret key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_credential: Option<String>,
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
    /// The prefix under which Home Assistant listens, usually `homeassistant`: with it the gate says
    /// there how its topics are read ([`crate::home_assistant`]). Absent, nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_assistant: Option<String>,
    /// How many vehicles in a hundred a server's register may take out without a person at the
    /// gate confirming it: 0 to 100.
    #[serde(default = "default_registry_shrink")]
    pub registry_shrink: u8,
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

/// Whether something can be published below it: levels of any characters but wildcards, spaces and
/// controls, none empty, and not below the broker's own `$`, or where gates speak.
fn is_topic(prefix: &str) -> bool {
    prefix.len() <= 128
        && !prefix.starts_with('$')
        && prefix.split('/').next() != Some("menshen")
        && prefix.split('/').all(|level| {
            !level.is_empty()
                && !level
                    .chars()
                    .any(|c| c == '+' || c == '#' || c.is_whitespace() || c.is_control())
        })
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

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The password's file cannot be read.
    #[error("the MQTT password cannot be read from {}: {source}; create the file and let the program's user read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// systemd passed no credentials.
    #[error(
        "mqtt.{key}_credential is {name:?}, but no credentials were passed; start the program through its unit with LoadCredential={name}:FILE, or name its file"
    )]
    NoCredentials {
        /// `password` or `client_key`.
        key: &'static str,
        /// The credential's name.
        name: String,
    },
}

impl MqttConfig {
    /// The section with every default, for a broker at `host`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port: Some(port),
            client_id: None,
            user: None,
            password_file: None,
            password_credential: None,
            ca_file: None,
            client_certificate: None,
            client_key: None,
            client_key_credential: None,
            keys_file: None,
            keep_alive: default_keep_alive(),
            insecure_plain: false,
            late_after: default_late_after(),
            window: default_window(),
            home_assistant: None,
            registry_shrink: default_registry_shrink(),
        }
    }

    /// Everything that is wrong with it; empty if nothing is. Reads no file.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key, wrong, cure| problems.push(Problem { key, wrong, cure });
        self.check_broker(&mut wrong);
        self.check_login(&mut wrong);
        self.check_tls(&mut wrong);
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
        } else if self.ca_file.is_none() && !self.insecure_plain && !self.is_loopback() {
            wrong(
                "host",
                Words::new(
                    "消息服务器不在本机，而连接没有加密：途中的人都能看到",
                    "the broker is not on this machine and the connection is not encrypted: anybody on the way could read it",
                ),
                Words::new(
                    "用 TLS：写 ca_file = \"/etc/menshen/ca.pem\"（给服务器签证书的 CA）；或在本机装消息服务器；如果网络只归你们自己用，写 insecure_plain = true",
                    "encrypt it: ca_file = \"/etc/menshen/ca.pem\", the CA that signs for the broker; or use a broker on this machine, or set insecure_plain = true if the network is yours alone",
                ),
            );
        }
        if self.port == Some(0) {
            wrong(
                "port",
                Words::new("0 不是端口", "0 is no port"),
                Words::new(
                    "消息服务器一般用 1883，加密时用 8883",
                    "brokers usually listen on 1883, with TLS on 8883",
                ),
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

    fn check_tls(&self, wrong: &mut impl FnMut(&'static str, Words, Words)) {
        let client = [
            ("client_certificate", self.client_certificate.is_some()),
            ("client_key", self.client_key.is_some()),
            (
                "client_key_credential",
                self.client_key_credential.is_some(),
            ),
        ];
        if self.ca_file.is_none() {
            if let Some((key, _)) = client.into_iter().find(|(_, given)| *given) {
                wrong(
                    key,
                    Words::new(
                        "没有 ca_file，连接不加密，用不上它",
                        "is of no use: without ca_file the connection is not encrypted",
                    ),
                    Words::new(
                        "写上 ca_file，或删去这一行",
                        "add ca_file, or leave this out",
                    ),
                );
            }
            return;
        }
        if self.insecure_plain {
            wrong(
                "insecure_plain",
                Words::new(
                    "写了 ca_file 就是加密的",
                    "contradicts ca_file, with which the connection is encrypted",
                ),
                Words::new("只留一个", "keep one"),
            );
        }
        if self.host.parse::<Ipv6Addr>().is_ok() {
            wrong(
                "host",
                Words::new(
                    "加密时不能写 IPv6 地址",
                    "cannot be an IPv6 address where the connection is encrypted",
                ),
                Words::new(
                    "写证书里的名字",
                    "write the name that stands in the broker's certificate",
                ),
            );
        }
        let keys = [
            self.client_key.is_some(),
            self.client_key_credential.is_some(),
        ];
        let keys = keys.into_iter().filter(|given| *given).count();
        match (self.client_certificate.is_some(), keys) {
            (false, 0) | (true, 1) => {}
            (true, 0) => wrong(
                "client_certificate",
                Words::new("没有它的私钥", "is there without its key"),
                Words::new(
                    "写上 client_key 或 client_key_credential",
                    "add client_key or client_key_credential",
                ),
            ),
            (false, _) => wrong(
                "client_certificate",
                Words::new("有私钥却没有证书", "is missing although its key is given"),
                Words::new("写上证书文件", "name the certificate's file"),
            ),
            (true, _) => wrong(
                "client_key",
                Words::new(
                    "client_key 和 client_key_credential 都写了",
                    "client_key and client_key_credential are both given",
                ),
                Words::new("只留一个", "keep one"),
            ),
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
        if let Some(prefix) = &self.home_assistant
            && !is_topic(prefix)
        {
            wrong(
                "home_assistant",
                Words::new("不是主题前缀", "is no prefix of topics"),
                Words::new(
                    "写 Home Assistant 里设置的前缀，一般是 \"homeassistant\"",
                    "write the prefix that Home Assistant is set to, usually \"homeassistant\"",
                ),
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

    /// The broker's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(tls::usual_port(self.ca_file.is_some()))
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
                return Err(SecretError::NoCredentials {
                    key: "password",
                    name: name.clone(),
                });
            }
            (None, None, _) => return Ok(None),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(source) => Err(SecretError::Unreadable { path, source }),
        }
    }

    /// The files of an encrypted connection; none for a plain one. `credentials` is systemd's
    /// `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// [`SecretError::NoCredentials`] if the key is a credential and none were passed.
    pub fn tls(&self, credentials: Option<&Path>) -> Result<Option<tls::Files>, SecretError> {
        let Some(ca) = self.ca_file.clone() else {
            return Ok(None);
        };
        let key = match (&self.client_key, &self.client_key_credential, credentials) {
            (Some(path), _, _) => Some(path.clone()),
            (None, Some(name), Some(folder)) => Some(folder.join(name)),
            (None, Some(name), None) => {
                return Err(SecretError::NoCredentials {
                    key: "client_key",
                    name: name.clone(),
                });
            }
            (None, None, _) => None,
        };
        let client = self
            .client_certificate
            .clone()
            .zip(key)
            .map(|(certificate, key)| tls::Identity { certificate, key });
        Ok(Some(tls::Files { ca, client }))
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
        let port = None;
        assert_eq!(
            config,
            MqttConfig {
                port,
                ..MqttConfig::new("localhost", 1883)
            }
        );
        assert_eq!(keys(&config), [""; 0]);
        assert_eq!(config.port(), 1883);
        let encrypted = parse("host = 'broker.example'\nca_file = 'ca.pem'").unwrap();
        assert_eq!(encrypted.port(), 8883);
        let told = parse("host = 'broker.example'\nca_file = 'ca.pem'\nport = 1884").unwrap();
        assert_eq!(told.port(), 1884);
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
            port: Some(0),
            client_id: Some("a b".to_owned()),
            user: None,
            password_file: Some("x".into()),
            password_credential: Some("a/b".to_owned()),
            ca_file: None,
            client_certificate: Some("x".into()),
            client_key: None,
            client_key_credential: None,
            keys_file: Some(PathBuf::new()),
            keep_alive: Duration::from_secs(1),
            insecure_plain: false,
            late_after: Duration::ZERO,
            window: 0,
            home_assistant: Some("home/#".to_owned()),
            registry_shrink: 101,
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
                "client_certificate",
                "keep_alive",
                "late_after",
                "window",
                "home_assistant",
                "registry_shrink"
            ]
        );
        for prefix in [
            "",
            "/a",
            "a//b",
            "a b",
            "$SYS",
            "menshen",
            "menshen/x",
            "a/+",
        ] {
            let mut config = MqttConfig::new("localhost", 1883);
            config.home_assistant = Some(prefix.to_owned());
            assert_eq!(keys(&config), ["home_assistant"], "{prefix:?}");
        }
        for prefix in ["homeassistant", "a/b", "家"] {
            let mut config = MqttConfig::new("localhost", 1883);
            config.home_assistant = Some(prefix.to_owned());
            assert_eq!(keys(&config), [""; 0], "{prefix:?}");
        }
        let mut config = MqttConfig::new("localhost", 1883);
        config.password_file = Some("x".into());
        assert_eq!(keys(&config), ["user"]);
    }

    #[test]
    fn a_connection_is_encrypted_as_a_whole_or_not_at_all() {
        let sound = MqttConfig {
            ca_file: Some("ca.pem".into()),
            ..MqttConfig::new("broker.example", 8883)
        };
        assert_eq!(keys(&sound), [""; 0]);
        let plain = tls::Files {
            ca: "ca.pem".into(),
            client: None,
        };
        assert_eq!(sound.tls(None).unwrap(), Some(plain));
        let known = MqttConfig {
            client_certificate: Some("gate.pem".into()),
            client_key_credential: Some("gate-key".to_owned()),
            ..sound.clone()
        };
        assert_eq!(keys(&known), [""; 0]);
        assert!(matches!(
            known.tls(None),
            Err(SecretError::NoCredentials {
                key: "client_key",
                ..
            })
        ));
        let files = known.tls(Some(Path::new("/run/c"))).unwrap().unwrap();
        let identity = files.client.unwrap();
        assert_eq!(identity.key, Path::new("/run/c/gate-key"));
        assert_eq!(identity.certificate, Path::new("gate.pem"));

        let wrong = |change: &dyn Fn(&mut MqttConfig)| {
            let mut config = known.clone();
            change(&mut config);
            keys(&config)
        };
        assert_eq!(
            wrong(&|c| c.client_certificate = None),
            ["client_certificate"]
        );
        assert_eq!(
            wrong(&|c| c.client_key_credential = None),
            ["client_certificate"]
        );
        assert_eq!(wrong(&|c| c.client_key = Some("k".into())), ["client_key"]);
        assert_eq!(wrong(&|c| c.insecure_plain = true), ["insecure_plain"]);
        assert_eq!(wrong(&|c| c.host = "fd00::1".to_owned()), ["host"]);
        assert_eq!(wrong(&|c| c.ca_file = None), ["host", "client_certificate"]);
        let file = MqttConfig {
            client_key: Some("gate.key".into()),
            client_key_credential: None,
            ..known.clone()
        };
        let identity = file.tls(None).unwrap().unwrap().client.unwrap();
        assert_eq!(identity.key, Path::new("gate.key"));
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
