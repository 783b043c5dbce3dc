//! Keys on disk: the device's own, and the list of those that are enrolled.
//!
//! The list is TOML, one `[[key]]` for each:
//!
//! ```toml
//! [[key]]
//! name = "committee-server"
//! public = "…64 hexadecimal digits…"
//! roles = ["server"]
//!
//! [[key]]
//! name = "guard-tablet"
//! public = "…"
//! roles = ["guard"]
//! lanes = ["in"]
//! ```

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use domain::command::{KeyRing, KeyRingError};
use domain::signing::{KeyError, SecretKey};

/// The largest file that is read.
const LARGEST: u64 = 256 * 1024;

/// What is wrong with a file of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It cannot be read or made.
    #[error("{}: {source}; let the program's user read it", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no list of keys.
    #[error("{} is no list of keys: {source}", path.display())]
    Typed {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// The keys contradict each other.
    #[error("{}: {source}", path.display())]
    Ring {
        /// The file.
        path: PathBuf,
        /// How.
        source: KeyRingError,
    },
    /// It holds no secret key.
    #[error("{} holds no secret key: {source}; make one with `menshen keys new`", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
}

fn read(path: &Path) -> Result<String, KeysError> {
    let fails = |source| KeysError::File {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(fails)?
        .take(LARGEST)
        .read_to_string(&mut text)
        .map_err(fails)?;
    Ok(text)
}

/// The list of enrolled keys in a file's text.
///
/// # Errors
/// [`KeysError`] with what is wrong; `path` is only for its words.
pub fn parse_ring(text: &str, path: &Path) -> Result<KeyRing, KeysError> {
    let ring: KeyRing = toml::from_str(text).map_err(|source| KeysError::Typed {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    ring.check().map_err(|source| KeysError::Ring {
        path: path.to_owned(),
        source,
    })?;
    Ok(ring)
}

/// Reads a list of enrolled keys.
///
/// # Errors
/// [`KeysError`] if it cannot be read, or is no such list.
pub fn read_ring(path: &Path) -> Result<KeyRing, KeysError> {
    parse_ring(&read(path)?, path)
}

/// Reads a secret key.
///
/// # Errors
/// [`KeysError`] if it cannot be read, or is none.
pub fn read_secret(path: &Path) -> Result<SecretKey, KeysError> {
    SecretKey::from_hex(read(path)?.trim()).map_err(|source| KeysError::Secret {
        path: path.to_owned(),
        source,
    })
}

/// Makes a new secret key in a file that must not be there yet, readable by its owner alone.
///
/// # Errors
/// [`KeysError`] if the file is there already or cannot be written.
pub fn make_secret(path: &Path) -> Result<SecretKey, KeysError> {
    let key = SecretKey::from_bytes(rand::random());
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{}", key.to_hex())?;
        file.sync_all()
    };
    write().map_err(|source| KeysError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(key)
}

/// The device's own key, which is made at the first start.
///
/// # Errors
/// [`KeysError`] if it can be neither read nor made.
pub fn own_secret(path: &Path) -> Result<SecretKey, KeysError> {
    if path.exists() {
        read_secret(path)
    } else {
        make_secret(path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use domain::command::Role;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.key");
        let key = own_secret(&path).unwrap();
        assert_eq!(own_secret(&path).unwrap().public(), key.public());
        assert!(make_secret(&path).is_err());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(own_secret(&path), Err(KeysError::Secret { .. })));
    }

    #[test]
    fn a_list_is_read_strictly() {
        let key = SecretKey::from_bytes([7; 32]).public();
        let path = Path::new("keys.toml");
        let good = format!("[[key]]\nname = 'server'\npublic = '{key}'\nroles = ['server']\n");
        let ring = parse_ring(&good, path).unwrap();
        assert!(ring.names_a_server());
        assert_eq!(ring.find(&key).unwrap().roles, [Role::Server]);
        for bad in [
            good.replace("roles = ['server']", "roles = []"),
            good.replace("server", "Server"),
            good.replace("roles", "role"),
            good.replace("['server']", "['close']"),
            format!("{good}{good}"),
        ] {
            assert!(parse_ring(&bad, path).is_err(), "{bad}");
        }
        assert!(parse_ring("", path).unwrap().keys().is_empty());
    }
}
