//! What an installer writes about a camera (`[lane.camera]`), and what it means.
//!
//! [`CameraConfig`] is the table as typed: flat, every key optional but `kind`. Its check makes
//! a `Plan` of it, in which each kind of camera has exactly what it needs, or says of every
//! key that is missing, wrong or out of place what to do about it. Neither touches hardware;
//! [`CameraConfig::absent`] looks whether the programs and files named are there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Words;
use serde::{Deserialize, Serialize};

use super::health::Limits;

mod absent;
mod describe;
mod plan;
#[cfg(test)]
mod tests;

pub(super) use describe::show_url;
pub(super) use plan::{AtMost, Capture, Plan};

/// The ways to get pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A network camera by RTSP over TCP, H.264 or H.265, decoded by `ffmpeg`.
    Rtsp,
    /// A USB camera (V4L2) through `ffmpeg`.
    Usb,
    /// A Raspberry Pi camera through `rpicam-vid` or `libcamera-vid`.
    Pi,
    /// A picture fetched by HTTP again and again.
    Snapshot,
    /// An endless MJPEG answer by HTTP.
    Mjpeg,
    /// A video file, decoded by `ffmpeg`.
    File,
    /// A folder of picture files in the order of their names.
    Pictures,
    /// PPM or PAM pictures from standard input or a FIFO.
    Pipe,
}

impl Kind {
    /// The word in the configuration file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Usb => "usb",
            Self::Pi => "pi",
            Self::Snapshot => "snapshot",
            Self::Mjpeg => "mjpeg",
            Self::File => "file",
            Self::Pictures => "pictures",
            Self::Pipe => "pipe",
        }
    }

    /// The keys that belong to this kind, besides `kind`, `frozen_after` and `silent_after`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Rtsp => &[
                "url",
                "user",
                "password_file",
                "password_credential",
                "width",
                "height",
                "fps",
                "program",
            ],
            Self::Usb | Self::Pi => &["device", "width", "height", "fps", "program"],
            Self::Snapshot => &[
                "url",
                "user",
                "password_file",
                "password_credential",
                "period",
            ],
            Self::Mjpeg => &["url", "user", "password_file", "password_credential", "fps"],
            Self::File => &[
                "path", "loop", "realtime", "width", "height", "fps", "program",
            ],
            Self::Pictures => &["path", "loop", "period"],
            Self::Pipe => &["path"],
        }
    }
}

/// A camera as written in the configuration file.
///
/// ```toml
/// [lane.camera]
/// kind = "rtsp"
/// url = "rtsp://10.0.0.64/Streaming/Channels/102"
/// user = "gate"
/// password_credential = "camera-east"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// How to get pictures; decides which of the other keys belong here.
    pub kind: Kind,
    /// Address of a network camera, without user and password: `rtsp://` or `http://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The camera's user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file that holds the password and nothing else; read anew at each connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The name of a systemd credential that holds the password (`LoadCredential=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_credential: Option<String>,
    /// USB: the device file, default `/dev/video0`. Pi: the camera's number, default `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A video file, a folder of pictures, or a FIFO (`-` or nothing: standard input).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Pixels. USB and Pi: ask the camera for this width (default 1280). RTSP and file: scale
    /// wider pictures down to it, keeping their shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels; as `width` (USB and Pi default 720).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pictures a second. USB and Pi: ask the camera for this rate (default 10). Others: pass
    /// at most so many on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Time between two snapshots (default 500 ms) or two pictures of a folder (default 1 s).
    #[serde(
        default,
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none"
    )]
    pub period: Option<Duration>,
    /// Begin a file or folder anew at its end (default no).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#loop: Option<bool>,
    /// Play a file at its own speed (default) instead of as fast as it can be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realtime: Option<bool>,
    /// Report the camera as frozen after showing one same picture this long; `0s` never does.
    /// Default 30 s, and never for folders of pictures.
    #[serde(
        default,
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none"
    )]
    pub frozen_after: Option<Duration>,
    /// Report the camera as offline and reconnect after this long without a picture; `0s`
    /// never does. Default 5 s, and never for folders and pipes.
    #[serde(
        default,
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none"
    )]
    pub silent_after: Option<Duration>,
    /// The decoder or camera program to start instead of the one found on `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
}

/// Something wrong with a camera's configuration, or missing on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about, as written in the file.
    pub key: &'static str,
    /// What is wrong.
    pub wrong: Words,
    /// What to do about it.
    pub cure: Words,
}

impl Problem {
    pub(super) fn new(key: &'static str, wrong: Words, cure: Words) -> Self {
        Self { key, wrong, cure }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; {}",
            self.key, self.wrong.english, self.cure.english
        )
    }
}

/// As a running source reports why it cannot begin.
impl From<Problem> for String {
    fn from(problem: Problem) -> Self {
        problem.to_string()
    }
}

/// Who asks a camera for pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: PasswordAt,
}

/// Where the password is kept; it is never kept in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PasswordAt {
    File(PathBuf),
    Credential(String),
}

impl PasswordAt {
    /// The key that names it.
    fn key(&self) -> &'static str {
        match self {
            Self::File(_) => "password_file",
            Self::Credential(_) => "password_credential",
        }
    }

    /// The file that holds the password.
    fn path(&self) -> Result<PathBuf, Problem> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
                .map(|folder| Path::new(&folder).join(name))
                .ok_or_else(|| {
                    Problem::new(
                        self.key(),
                        Words::new(
                            format!("没有凭据 {name:?}：程序不是由 systemd 带着它启动的"),
                            format!(
                                "the credential {name:?} is not there: systemd did not start the \
                                 program with it"
                            ),
                        ),
                        Words::new(
                            format!("在单元里写 LoadCredential={name}:/文件"),
                            format!("write LoadCredential={name}:/FILE in the unit"),
                        ),
                    )
                }),
        }
    }

    /// Reads the password; a line feed at its end does not belong to it.
    pub(super) fn read(&self) -> Result<Secret, Problem> {
        let path = self.path()?;
        let shown = path.display();
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Problem::new(
                self.key(),
                Words::new(
                    format!("密码文件 {shown} 读不了（{error}）"),
                    format!("the password file {shown} cannot be read: {error}"),
                ),
                Words::new(
                    "建好这个文件，并让运行程序的用户能读",
                    "create the file and let the program's user read it",
                ),
            )
        })?;
        let text = text.trim_end_matches(['\r', '\n']);
        let only_the_password = || {
            Words::new(
                "文件里只写密码，一行",
                "write the password and nothing else into it, one line",
            )
        };
        match text.len() {
            0 => Err(Problem::new(
                self.key(),
                Words::new(
                    format!("密码文件 {shown} 是空的"),
                    format!("the password file {shown} is empty"),
                ),
                only_the_password(),
            )),
            1..=1024 => Ok(Secret(text.to_owned())),
            _ => Err(Problem::new(
                self.key(),
                Words::new(
                    format!("密码文件 {shown} 超过 1 KiB"),
                    format!("the password file {shown} is over 1 KiB"),
                ),
                only_the_password(),
            )),
        }
    }
}

/// A password that does not show itself in logs.
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl CameraConfig {
    /// A camera of this kind with every other key left out.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            url: None,
            user: None,
            password_file: None,
            password_credential: None,
            device: None,
            path: None,
            width: None,
            height: None,
            fps: None,
            period: None,
            r#loop: None,
            realtime: None,
            frozen_after: None,
            silent_after: None,
            program: None,
        }
    }

    /// Everything that is wrong with this configuration, without touching hardware or files.
    pub fn validate(&self) -> Vec<Problem> {
        self.plan().err().unwrap_or_default()
    }

    /// How long things may take before they are reported.
    pub(super) fn limits(&self) -> Limits {
        let unless_zero = |span: Duration| Some(span).filter(|span| !span.is_zero());
        let paced = matches!(self.kind, Kind::Pictures | Kind::Pipe);
        let silent_after = match self.silent_after {
            Some(span) => unless_zero(span),
            None if paced => None,
            None => Some(self.period.map_or(SILENT, |period| SILENT.max(period * 3))),
        };
        Limits {
            first_picture: silent_after.map(|span| span.max(FIRST_PICTURE)),
            silent_after,
            frozen_after: match self.frozen_after {
                Some(span) => unless_zero(span),
                None if self.kind == Kind::Pictures => None,
                None => Some(FROZEN),
            },
            // A folder names each file it cannot use, once in its time; the causes of a broken
            // stream may all differ, and would flood the journal.
            refusal_gap: if self.kind == Kind::Pictures {
                Duration::ZERO
            } else {
                REFUSAL_GAP
            },
        }
    }
}

/// No picture for this long means offline, unless the configuration says otherwise.
const SILENT: Duration = Duration::from_secs(5);
/// A camera may wait for its next key frame before it shows its first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(15);
const FROZEN: Duration = Duration::from_secs(30);
const REFUSAL_GAP: Duration = Duration::from_secs(10);
