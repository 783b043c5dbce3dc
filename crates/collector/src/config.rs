//! The collector's configuration: one file.
//!
//! ```toml
//! host = "127.0.0.1"                      # the broker
//! key_file = "/etc/menshen/server.key"    # made by `menshen keys new`
//! database = "/var/lib/menshen-collector/events.sqlite"   # or a [postgres] section
//!
//! [[device]]
//! name = "east-garden/gate"
//! public = "…64 digits, from `menshen keys show` on the gate…"
//! ```

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use domain::Name;
use domain::command::DeviceName;
use domain::signing::{KeyError, PublicKey, SecretKey};
use serde::Deserialize;

use crate::message::Enrolment;
use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::store::{Archive, StoreError};

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorConfig {
    /// The broker's host name or address.
    pub host: String,
    /// Its port; if absent 8883 with `ca_file`, else 1883.
    #[serde(default)]
    pub port: Option<u16>,
    /// The MQTT client id: stable, and unique at the broker; `menshen-collector` if absent.
    #[serde(default = "default_client_id")]
    pub client_id: String,
    /// The user name, if the broker asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A file with the certificate of the authority that signs for the broker, in PEM. With it
    /// the connection is encrypted by TLS.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A file with the collector's own certificate, for a broker that asks for one.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// The file of its secret key.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// Allows MQTT without encryption to a broker that is not on this machine.
    #[serde(default)]
    pub insecure_plain: bool,
    /// The file of the server's key, with which entries are acknowledged.
    pub key_file: PathBuf,
    /// The file of the `SQLite` database, unless there is a `[postgres]` section.
    #[serde(default)]
    pub database: Option<PathBuf>,
    /// A `PostgreSQL` database, instead of the file.
    #[serde(default)]
    pub postgres: Option<PostgresConfig>,
    /// The group of a shared subscription: several collectors with one group and one database
    /// share the work. Alone if absent.
    #[serde(default)]
    pub group: Option<Name>,
    /// The gates.
    #[serde(default, rename = "device")]
    pub devices: Vec<Device>,
}

/// The `[postgres]` section: a database that a site has already.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// The server's name or address, or the folder of its Unix socket.
    pub host: String,
    /// Its port.
    #[serde(default = "default_postgres_port")]
    pub port: u16,
    /// The role that owns the tables.
    pub user: String,
    /// The database's name; the role's if absent, as `PostgreSQL`'s own tools take it.
    #[serde(default)]
    pub name: Option<String>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A file with the certificate of the authority that signs for the server, in PEM. With it the
    /// connection is encrypted by TLS.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Allows a connection without encryption to a server that is not on this machine.
    #[serde(default)]
    pub insecure_plain: bool,
}

const fn default_postgres_port() -> u16 {
    5432
}

impl PostgresConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if self.host.is_empty() || self.host.contains(|c: char| c.is_whitespace() || c == ',') {
            return wrong(
                "postgres.host",
                "give the server's name or address alone, or the folder of its socket, for example \"/var/run/postgresql\"",
            );
        }
        let near = self.is_socket() || is_local(&self.host);
        if !near && !self.insecure_plain && self.ca_file.is_none() {
            return wrong(
                "postgres.host",
                "the database is not on this machine and the connection is not encrypted; encrypt it with ca_file, or set insecure_plain = true if the network is yours alone",
            );
        }
        if self.ca_file.is_some() && (self.insecure_plain || self.is_socket()) {
            return wrong(
                "postgres.ca_file",
                "the connection is encrypted with it; leave insecure_plain and a socket's folder out, or leave it out",
            );
        }
        if self.user.is_empty() {
            return wrong("postgres.user", "name the role that owns the tables");
        }
        Ok(())
    }

    /// Whether the host is the folder of a Unix socket.
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The password, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] if its file cannot be read.
    pub fn password(&self) -> Result<Option<String>, ConfigError> {
        self.password_file.as_deref().map(password).transpose()
    }
}

/// Where everything is kept.
enum Place<'a> {
    File(&'a Path),
    Postgres(&'a PostgresConfig),
}

/// A gate that is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its site and name, `site/device`.
    pub name: DeviceName,
    /// Its key. While a key is changed the gate stands twice, with the old and the new one.
    pub public: PublicKey,
}

fn default_client_id() -> String {
    "menshen-collector".to_owned()
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {source}", path.display())]
    Typed {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// A value is wrong.
    #[error("{key}: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and the cure.
        message: String,
    },
    /// A certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::FileError),
    /// The key's file holds no key.
    #[error("{} holds no secret key: {source}; make one with `menshen keys new`", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The `SQLite` file cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: StoreError,
    },
    /// The `PostgreSQL` database cannot be used.
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] StoreError),
}

impl CollectorConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`] with what is wrong and the cure.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Typed {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.host.is_empty() || self.host.contains(|c: char| c.is_whitespace() || c == '/') {
            return wrong(
                "host",
                "give the broker's name or address alone, for example \"127.0.0.1\"",
            );
        }
        if !is_local(&self.host) && !self.insecure_plain && self.ca_file.is_none() {
            return wrong(
                "host",
                "the broker is not on this machine and the connection is not encrypted; encrypt it with ca_file, the CA that signs for the broker, run the collector beside the broker, or set insecure_plain = true if the network is yours alone",
            );
        }
        if self.port == Some(0) {
            return wrong(
                "port",
                "0 is no port; brokers usually listen on 1883, with TLS on 8883",
            );
        }
        if self.client_id.is_empty() || self.client_id.contains(['+', '#', '/', ' ']) {
            return wrong("client_id", "use letters, digits, '-', '_' or '.'");
        }
        if self.password_file.is_some() && self.user.is_none() {
            return wrong("user", "a password is given without a user; add it");
        }
        if self.client_certificate.is_some() != self.client_key.is_some() {
            return wrong(
                "client_certificate",
                "client_certificate and client_key go together; give both or neither",
            );
        }
        if self.ca_file.is_none() && self.client_certificate.is_some() {
            return wrong(
                "client_certificate",
                "it is of no use without ca_file, with which the connection is encrypted; add that",
            );
        }
        if self.ca_file.is_some() && self.insecure_plain {
            return wrong(
                "insecure_plain",
                "it contradicts ca_file, with which the connection is encrypted; keep one",
            );
        }
        if self.ca_file.is_some() && self.host.parse::<Ipv6Addr>().is_ok() {
            return wrong(
                "host",
                "it cannot be an IPv6 address where the connection is encrypted; write the name that stands in the broker's certificate",
            );
        }
        if let Place::Postgres(postgres) = self.place()? {
            postgres.check()?;
        }
        if self.devices.is_empty() {
            return wrong(
                "device",
                "no gate is enrolled: write [[device]] with name = \"site/device\" and public = the key that `menshen keys show` prints on the gate",
            );
        }
        Ok(())
    }

    /// The broker's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(tls::usual_port(self.ca_file.is_some()))
    }

    /// The files of an encrypted connection; none for a plain one.
    pub fn tls(&self) -> Option<tls::Files> {
        let ca = self.ca_file.clone()?;
        let client = self
            .client_certificate
            .clone()
            .zip(self.client_key.clone())
            .map(|(certificate, key)| tls::Identity { certificate, key });
        Some(tls::Files { ca, client })
    }

    /// Opens the database that it names.
    ///
    /// # Errors
    /// If it cannot be opened, or is of a newer layout.
    pub fn open_store(&self) -> Result<Box<dyn Archive + Send>, OpenError> {
        match self.place()? {
            Place::Postgres(postgres) => {
                let password = postgres.password()?;
                Ok(Box::new(PostgresStore::open(postgres, password)?))
            }
            Place::File(path) => match SqliteStore::open(path) {
                Ok(store) => Ok(Box::new(store)),
                Err(source) => Err(OpenError::File {
                    path: path.to_owned(),
                    source,
                }),
            },
        }
    }

    /// Where it says that everything is kept: at one place.
    fn place(&self) -> Result<Place<'_>, ConfigError> {
        match (&self.database, &self.postgres) {
            (Some(path), None) => Ok(Place::File(path)),
            (None, Some(postgres)) => Ok(Place::Postgres(postgres)),
            (None, None) => wrong(
                "database",
                "name the SQLite file, or write a [postgres] section",
            ),
            (Some(_), Some(_)) => wrong(
                "database",
                "it contradicts the [postgres] section; keep one",
            ),
        }
    }

    /// The gates with their keys.
    pub fn enrolment(&self) -> Enrolment {
        let mut enrolment = Enrolment::default();
        for device in &self.devices {
            enrolment.enrol(device.name.clone(), device.public);
        }
        enrolment
    }

    /// The server's key.
    ///
    /// # Errors
    /// [`ConfigError`] if its file cannot be read or holds no key.
    pub fn key(&self) -> Result<SecretKey, ConfigError> {
        let text = read(&self.key_file)?;
        SecretKey::from_hex(text.trim()).map_err(|source| ConfigError::Key {
            path: self.key_file.clone(),
            source,
        })
    }

    /// User and password, if the broker asks for them.
    ///
    /// # Errors
    /// [`ConfigError`] if the password cannot be read.
    pub fn login(&self) -> Result<Option<(String, String)>, ConfigError> {
        let Some(user) = &self.user else {
            return Ok(None);
        };
        let password = match &self.password_file {
            Some(path) => password(path)?,
            None => String::new(),
        };
        Ok(Some((user.clone(), password)))
    }
}

/// A file's one line.
fn password(path: &Path) -> Result<String, ConfigError> {
    Ok(read(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

fn wrong<T>(key: &'static str, message: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Value {
        key,
        message: message.to_owned(),
    })
}

fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
