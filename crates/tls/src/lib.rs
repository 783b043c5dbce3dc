//! TLS to a broker: whom a gate or a collector believes, and as whom it comes.
//!
//! Certificates and keys are PEM files. What is wrong with them is found before anything
//! connects, and why a handshake failed is said with its cure. The connection itself belongs to
//! the MQTT client.
//!
//! Invariant: nobody is believed but who is signed for by the authority that the site names; there
//! is no way to switch the check off, and none to take the system's list by accident.

mod validity;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Words;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, InconsistentKeys, RootCertStore};

pub use validity::{Standing, Validity};

/// What the MQTT client is given.
pub type ClientConfig = rustls::ClientConfig;

/// A certificate that ends within this is worth a word: whoever renews it must come by.
pub const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The port that brokers listen on where nothing else is said.
pub const fn usual_port(encrypted: bool) -> u16 {
    if encrypted { 8883 } else { 1883 }
}

/// The files of one end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificates of the authority that signs for the broker.
    pub ca: PathBuf,
    /// Our own certificate, those that lead up to the authority after it, and its key; for a
    /// broker that asks for one.
    pub client: Option<Identity>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The secret key's file.
    pub key: PathBuf,
}

/// What is wrong with a file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The configuration's key: `ca_file`, `client_certificate`, `client_key`.
    pub key: &'static str,
    /// What is wrong, with the file's name.
    pub wrong: Words,
    /// What to do about it.
    pub cure: Words,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}; {}",
            self.key, self.wrong.english, self.cure.english
        )
    }
}

impl Error for FileError {}

impl Files {
    /// Reads the files and makes of them what the client needs.
    ///
    /// # Errors
    /// [`FileError`] for the first that cannot be read, holds something else, or does not belong
    /// to the other.
    pub fn client(&self) -> Result<Arc<ClientConfig>, FileError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let believing = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable(&error))?
            .with_root_certificates(self.authority()?);
        let Some(identity) = &self.client else {
            return Ok(Arc::new(believing.with_no_client_auth()));
        };
        let chain = certificates("client_certificate", &identity.certificate)?;
        believing
            .with_client_auth_cert(chain, identity.secret()?)
            .map(Arc::new)
            .map_err(|error| identity.unfit(&error))
    }

    /// Until when what the files hold can be used: of several authorities the one that ends last
    /// counts, of our own certificate and those above it the one that ends first. What is no
    /// certificate is left out; [`client`](Self::client) says what is wrong with it.
    ///
    /// # Errors
    /// [`FileError`] for the first file that cannot be read.
    pub fn terms(&self) -> Result<Vec<Term>, FileError> {
        let term = |key, file: &PathBuf, certificates: Vec<CertificateDer<'_>>, last: bool| {
            let found = certificates.iter().filter_map(|der| Validity::of(der));
            let validity = if last {
                found.max_by_key(|validity| validity.until)
            } else {
                found.min_by_key(|validity| validity.until)
            };
            validity.map(|validity| Term {
                key,
                file: file.clone(),
                validity,
            })
        };
        let mut terms = Vec::new();
        let key = "ca_file";
        terms.extend(term(key, &self.ca, certificates(key, &self.ca)?, true));
        if let Some(Identity { certificate, .. }) = &self.client {
            let key = "client_certificate";
            terms.extend(term(
                key,
                certificate,
                certificates(key, certificate)?,
                false,
            ));
        }
        Ok(terms)
    }

    /// What is to be said `now` about how long they hold.
    pub fn warnings(&self, now: Timestamp) -> Vec<FileError> {
        let terms = self.terms().unwrap_or_default();
        terms.iter().filter_map(|term| term.warning(now)).collect()
    }

    fn authority(&self) -> Result<RootCertStore, FileError> {
        let mut authority = RootCertStore::empty();
        for certificate in certificates("ca_file", &self.ca)? {
            authority
                .add(certificate)
                .map_err(|error| self.unusable(&error))?;
        }
        Ok(authority)
    }

    fn unusable(&self, error: &rustls::Error) -> FileError {
        FileError {
            key: "ca_file",
            wrong: Words::new(
                format!("{} 里的证书不能用：{error}", self.ca.display()),
                format!(
                    "{} holds a certificate that cannot be used: {error}",
                    self.ca.display()
                ),
            ),
            cure: Words::new(
                "向管消息服务器的人要 CA 证书（X.509 第 3 版）",
                "ask whoever runs the broker for its CA certificate (X.509 version 3)",
            ),
        }
    }
}

/// Until when a file's certificate can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The configuration's key: `ca_file` or `client_certificate`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Of the certificate that counts.
    pub validity: Validity,
}

impl Term {
    /// What is wrong with it `now`, or will be within [`SOON`], and the cure.
    pub fn warning(&self, now: Timestamp) -> Option<FileError> {
        let file = self.file.display();
        let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
        let until = day(self.validity.until);
        let (wrong, cure) = match self.validity.standing(now, SOON) {
            Standing::Holds => return None,
            Standing::EndsSoon => (
                Words::new(
                    format!("{file} 里的证书 {until} 到期（UTC）"),
                    format!("the certificate in {file} ends on {until} (UTC)"),
                ),
                Words::new(
                    "到期前换成新签发的证书，写在同一个文件里；下次连接时自动生效",
                    "put a new one into the same file before that; it counts from the next connection on",
                ),
            ),
            Standing::Ended => (
                Words::new(
                    format!("{file} 里的证书 {until} 已过期（UTC），连不上服务器"),
                    format!(
                        "the certificate in {file} ended on {until} (UTC): no connection comes about"
                    ),
                ),
                Words::new(
                    "重新签发证书，写在同一个文件里，并核对本机时间",
                    "put a new one into the same file, and check this machine's clock",
                ),
            ),
            Standing::NotYet => {
                let from = day(self.validity.from);
                (
                    Words::new(
                        format!("{file} 里的证书 {from} 才生效（UTC）"),
                        format!("the certificate in {file} does not hold before {from} (UTC)"),
                    ),
                    Words::new("核对本机时间", "check this machine's clock"),
                )
            }
        };
        Some(FileError {
            key: self.key,
            wrong,
            cure,
        })
    }
}

impl Identity {
    fn secret(&self) -> Result<PrivateKeyDer<'static>, FileError> {
        let file = self.key.display();
        PrivateKeyDer::from_pem_slice(&read("client_key", &self.key)?).map_err(|_| FileError {
            key: "client_key",
            wrong: Words::new(
                format!("{file} 里没有可用的私钥"),
                format!("{file} holds no secret key that can be used"),
            ),
            cure: Words::new(
                "写不加密的 PEM 私钥文件：一行 \"BEGIN PRIVATE KEY\"",
                "name a PEM file without a passphrase: it has a line \"BEGIN PRIVATE KEY\"",
            ),
        })
    }

    fn unfit(&self, error: &rustls::Error) -> FileError {
        let (key, certificate) = (self.key.display(), self.certificate.display());
        if matches!(
            error,
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)
        ) {
            return FileError {
                key: "client_key",
                wrong: Words::new(
                    format!("{key} 不是 {certificate} 的私钥"),
                    format!("{key} is not the key of {certificate}"),
                ),
                cure: Words::new(
                    "换成申请这张证书时生成的私钥；证书文件里要把自己的证书放在最前",
                    "name the key that was made for this certificate, and put the own certificate first in its file",
                ),
            };
        }
        FileError {
            key: "client_certificate",
            wrong: Words::new(
                format!("{certificate} 和 {key} 不能用：{error}"),
                format!("{certificate} and {key} cannot be used: {error}"),
            ),
            cure: Words::new(
                "用 ECDSA（P-256、P-384）、Ed25519 或 2048 位以上的 RSA 重新签发",
                "have them issued anew with ECDSA (P-256, P-384), Ed25519 or RSA of 2048 bits or more",
            ),
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|error| FileError {
        key,
        wrong: Words::new(
            format!("读不了 {}：{error}", path.display()),
            format!("{} cannot be read: {error}", path.display()),
        ),
        cure: Words::new(
            "核对路径，并让程序的用户能读它",
            "check the path, and let the program's user read it",
        ),
    })
}

/// The certificates of a file, one at least.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(key, path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .unwrap_or_default();
    if found.is_empty() {
        let file = path.display();
        return Err(FileError {
            key,
            wrong: Words::new(
                format!("{file} 里没有证书"),
                format!("{file} holds no certificate"),
            ),
            cure: Words::new(
                "写 PEM 证书文件：一行 \"BEGIN CERTIFICATE\"",
                "name a PEM file: it has a line \"BEGIN CERTIFICATE\"",
            ),
        });
    }
    Ok(found)
}

/// Why a connection did not come about, with the cure, if TLS was the reason.
///
/// It looks for rustls's word anywhere below `error`.
pub fn explain(error: &(dyn Error + 'static)) -> Option<Words> {
    let mut next = Some(error);
    while let Some(error) = next {
        // What an I/O error carries is not among its sources.
        let carried = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(found) = carried.or_else(|| error.downcast_ref()) {
            return Some(words(found));
        }
        next = error.source();
    }
    None
}

fn words(error: &rustls::Error) -> Words {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        // A second authority of the same name is found by its name, and its signature does not fit.
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            Words::new(
                "服务器的证书不是 ca_file 里的机构签发的；换成给服务器签证书的 CA，否则就是有人在中间冒充",
                "its certificate is not signed by the authority in ca_file; name the CA that signed it, or somebody in between pretends to be the broker",
            )
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Words::new(
            "服务器的证书不是发给这个 host 的；host 要写证书里的名字（subjectAltName），或为这个名字重新签发证书",
            "its certificate is for another name than host; write the name that stands in the certificate (subjectAltName), or have it issued for this one",
        ),
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Words::new(
                "服务器的证书已过期；请续期，并核对本机时间",
                "its certificate has expired; renew it at the broker, and check this machine's clock",
            )
        }
        InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Words::new(
            "服务器的证书还没生效；核对本机时间",
            "its certificate is not valid yet; check this machine's clock",
        ),
        AlertReceived(AlertDescription::CertificateRequired) => Words::new(
            "服务器要客户端证书；写上 client_certificate 和 client_key",
            "it asks for a client certificate; set client_certificate and client_key",
        ),
        AlertReceived(AlertDescription::HandshakeFailure) => Words::new(
            "服务器中断了握手；它多半要客户端证书：写上 client_certificate 和 client_key",
            "it broke off the handshake; most likely it asks for a client certificate: set client_certificate and client_key",
        ),
        AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError),
        ) => Words::new(
            format!("服务器不认 client_certificate（{alert:?}）；请用它认的 CA 重新签发"),
            format!(
                "it does not accept client_certificate ({alert:?}); have it issued anew by the CA that the broker believes"
            ),
        ),
        InvalidMessage(_) => Words::new(
            "这个端口上不是 TLS；加密的端口一般是 8883",
            "it does not speak TLS on this port; brokers usually do on 8883",
        ),
        other => Words::new(
            format!("TLS 连接失败：{other}；看服务器的日志"),
            format!("TLS failed: {other}; see the broker's log"),
        ),
    }
}

#[cfg(test)]
mod tests;
