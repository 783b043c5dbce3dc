//! What an installer writes about a camera (`[lane.camera]`), and what it means.
//!
//! [`CameraConfig`] is the table as typed: flat, every key optional but `kind`. Its check makes
//! a `Plan` of it, in which each kind of camera has exactly what it needs, or says of every
//! key that is missing, wrong or out of place what to do about it. Neither touches hardware;
//! [`CameraConfig::absent`] looks whether the programs and files named are there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::health::Limits;

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

/// Something wrong with a camera's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about, as written in the file.
    pub key: &'static str,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

fn problem(key: &'static str, message: impl Into<String>) -> Problem {
    Problem {
        key,
        message: message.into(),
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
    /// The file that holds the password.
    fn path(&self) -> Result<PathBuf, String> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
                .map(|folder| Path::new(&folder).join(name))
                .ok_or_else(|| {
                    format!(
                        "the credential {name:?} is not there: the program was not started by \
                         systemd with LoadCredential={name}:FILE"
                    )
                }),
        }
    }

    /// Reads the password; a line feed at its end does not belong to it.
    pub(super) fn read(&self) -> Result<Secret, String> {
        let path = self.path()?;
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "the password file {} cannot be read: {error}",
                path.display()
            )
        })?;
        let text = text.trim_end_matches(['\r', '\n']);
        match text.len() {
            0 => Err(format!("the password file {} is empty", path.display())),
            1..=1024 => Ok(Secret(text.to_owned())),
            _ => Err(format!(
                "the password file {} is over 1 KiB",
                path.display()
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

/// Upper bounds on the pictures of a video that `ffmpeg` decodes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct AtMost {
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) fps: Option<f64>,
}

/// What a USB or Pi camera is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fps: f64,
}

/// A checked camera: what each kind needs and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    Rtsp {
        url: Url,
        login: Option<Login>,
        at_most: AtMost,
        program: Option<PathBuf>,
    },
    Usb {
        device: String,
        capture: Capture,
        program: Option<PathBuf>,
    },
    Pi {
        number: u32,
        capture: Capture,
        program: Option<PathBuf>,
    },
    Snapshot {
        url: Url,
        login: Option<Login>,
        period: Duration,
    },
    Mjpeg {
        url: Url,
        login: Option<Login>,
        fps: Option<f64>,
    },
    File {
        path: PathBuf,
        again: bool,
        realtime: bool,
        at_most: AtMost,
        program: Option<PathBuf>,
    },
    Pictures {
        folder: PathBuf,
        again: bool,
        period: Duration,
    },
    Pipe {
        fifo: Option<PathBuf>,
    },
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

    /// Programs and files that this camera needs and that are not there now. The camera
    /// itself is not asked.
    pub fn absent(&self) -> Vec<Problem> {
        let Ok(plan) = self.plan() else {
            return Vec::new();
        };
        let mut absent = Vec::new();
        let program = match &plan {
            Plan::Rtsp { program, .. } | Plan::Usb { program, .. } | Plan::File { program, .. } => {
                super::child::find_ffmpeg(program.as_deref()).err()
            }
            Plan::Pi { program, .. } => super::child::find_rpicam(program.as_deref()).err(),
            _ => None,
        };
        absent.extend(program.map(|message| problem("program", message)));
        match &plan {
            Plan::Rtsp {
                login: Some(login), ..
            }
            | Plan::Snapshot {
                login: Some(login), ..
            }
            | Plan::Mjpeg {
                login: Some(login), ..
            } => {
                let key = match login.password {
                    PasswordAt::File(_) => "password_file",
                    PasswordAt::Credential(_) => "password_credential",
                };
                absent.extend(
                    login
                        .password
                        .read()
                        .err()
                        .map(|message| problem(key, message)),
                );
            }
            Plan::File { path, .. } if !path.is_file() => {
                absent.push(problem(
                    "path",
                    format!("there is no file {}", path.display()),
                ));
            }
            Plan::Pictures { folder, .. } if !folder.is_dir() => {
                absent.push(problem(
                    "path",
                    format!("there is no folder {}", folder.display()),
                ));
            }
            Plan::Pipe { fifo: Some(path) } if !path.exists() => {
                absent.push(problem(
                    "path",
                    format!("there is no FIFO {0}; make it: mkfifo {0}", path.display()),
                ));
            }
            Plan::Usb { device, .. } if !Path::new(device).exists() => {
                absent.push(problem(
                    "device",
                    format!("there is no {device}; is the camera plugged in? (ls /dev/v4l/by-id)"),
                ));
            }
            _ => {}
        }
        absent
    }

    /// One line that says what will be watched and how, without any secret.
    pub fn describe(&self) -> String {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(problems) => {
                return format!(
                    "{} camera with {} problem(s)",
                    self.kind.word(),
                    problems.len()
                );
            }
        };
        let mut text = match plan {
            Plan::Rtsp {
                url,
                login,
                at_most,
                ..
            } => format!(
                "network camera {} by RTSP over TCP{}, decoded by ffmpeg{}",
                show_url(&url),
                show_login(login.as_ref()),
                show_bounds(at_most)
            ),
            Plan::Usb {
                device, capture: c, ..
            } => format!(
                "USB camera {device} at {} x {}, {} pictures a second, through ffmpeg",
                c.width, c.height, c.fps
            ),
            Plan::Pi {
                number, capture: c, ..
            } => format!(
                "Raspberry Pi camera {number} at {} x {}, {} pictures a second",
                c.width, c.height, c.fps
            ),
            Plan::Snapshot { url, login, period } => format!(
                "snapshots of {}{}, one every {period:?}",
                show_url(&url),
                show_login(login.as_ref())
            ),
            Plan::Mjpeg { url, login, fps } => format!(
                "MJPEG camera {}{}{}",
                show_url(&url),
                show_login(login.as_ref()),
                show_bounds(AtMost {
                    fps,
                    ..AtMost::default()
                })
            ),
            Plan::File {
                path,
                again,
                realtime,
                at_most,
                ..
            } => format!(
                "video file {}{}{}, decoded by ffmpeg{}",
                path.display(),
                if realtime {
                    " at its own speed"
                } else {
                    " as fast as possible"
                },
                if again { " again and again" } else { "" },
                show_bounds(at_most)
            ),
            Plan::Pictures {
                folder,
                again,
                period,
            } => format!(
                "pictures in {}, one every {period:?}{}",
                folder.display(),
                if again { ", again and again" } else { "" }
            ),
            Plan::Pipe { fifo: Some(path) } => {
                format!("PPM or PAM pictures from {}", path.display())
            }
            Plan::Pipe { fifo: None } => "PPM or PAM pictures from standard input".to_owned(),
        };
        let limits = self.limits();
        if let Some(span) = limits.silent_after {
            text = format!("{text}; offline after {span:?} of silence");
        }
        if let Some(span) = limits.frozen_after {
            text = format!("{text}; frozen after {span:?} of one same picture");
        }
        text
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

    /// The checked form, or everything that is wrong.
    pub(super) fn plan(&self) -> Result<Plan, Vec<Problem>> {
        let mut wrong = self.out_of_place();
        self.check_numbers(&mut wrong);
        let at_most = AtMost {
            width: self.width,
            height: self.height,
            fps: self.fps,
        };
        let capture = Capture {
            width: self.width.unwrap_or(1280),
            height: self.height.unwrap_or(720),
            fps: self.fps.unwrap_or(10.0),
        };
        let again = self.r#loop.unwrap_or(false);
        let program = self.program.clone();
        let plan = match self.kind {
            Kind::Rtsp => {
                let login = self.login(&mut wrong);
                self.url("rtsp", &mut wrong).map(|url| Plan::Rtsp {
                    url,
                    login,
                    at_most,
                    program,
                })
            }
            Kind::Snapshot => {
                let login = self.login(&mut wrong);
                let period = self.period.unwrap_or(Duration::from_millis(500));
                self.url("http", &mut wrong)
                    .map(|url| Plan::Snapshot { url, login, period })
            }
            Kind::Mjpeg => {
                let login = self.login(&mut wrong);
                let fps = self.fps;
                self.url("http", &mut wrong)
                    .map(|url| Plan::Mjpeg { url, login, fps })
            }
            Kind::Usb => {
                let device = self
                    .device
                    .clone()
                    .unwrap_or_else(|| "/dev/video0".to_owned());
                if !device.starts_with("/dev/") {
                    wrong.push(problem(
                        "device",
                        format!("{device:?} is no device file; write for example \"/dev/video0\""),
                    ));
                }
                Some(Plan::Usb {
                    device,
                    capture,
                    program,
                })
            }
            Kind::Pi => {
                let number = self.device.as_deref().unwrap_or("0").parse();
                if number.is_err() {
                    wrong.push(problem(
                        "device",
                        "a Pi camera is named by its number; write device = \"0\" or \"1\"",
                    ));
                }
                number.ok().map(|number| Plan::Pi {
                    number,
                    capture,
                    program,
                })
            }
            Kind::File => self
                .path("the video file", &mut wrong)
                .map(|path| Plan::File {
                    path,
                    again,
                    realtime: self.realtime.unwrap_or(true),
                    at_most,
                    program,
                }),
            Kind::Pictures => self
                .path("the folder of pictures", &mut wrong)
                .map(|folder| Plan::Pictures {
                    folder,
                    again,
                    period: self.period.unwrap_or(Duration::from_secs(1)),
                }),
            Kind::Pipe => Some(Plan::Pipe {
                fifo: self.path.clone().filter(|path| path.as_os_str() != "-"),
            }),
        };
        match plan {
            Some(plan) if wrong.is_empty() => Ok(plan),
            _ => Err(wrong),
        }
    }

    /// Keys that are given but mean nothing for this kind.
    fn out_of_place(&self) -> Vec<Problem> {
        let given = [
            ("url", self.url.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("password_credential", self.password_credential.is_some()),
            ("device", self.device.is_some()),
            ("path", self.path.is_some()),
            ("width", self.width.is_some()),
            ("height", self.height.is_some()),
            ("fps", self.fps.is_some()),
            ("period", self.period.is_some()),
            ("loop", self.r#loop.is_some()),
            ("realtime", self.realtime.is_some()),
            ("program", self.program.is_some()),
        ];
        let known = self.kind.keys();
        given
            .into_iter()
            .filter(|(key, given)| *given && !known.contains(key))
            .map(|(key, _)| {
                problem(
                    key,
                    format!(
                        "does not belong to kind = \"{}\"; remove it (this kind takes {}, \
                         frozen_after, silent_after)",
                        self.kind.word(),
                        known.join(", ")
                    ),
                )
            })
            .collect()
    }

    fn check_numbers(&self, wrong: &mut Vec<Problem>) {
        for (key, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(16..=8192).contains(&side)) {
                wrong.push(problem(key, "give 16 to 8192 pixels"));
            }
        }
        if self.fps.is_some_and(|fps| !(0.1..=120.0).contains(&fps)) {
            wrong.push(problem("fps", "give 0.1 to 120 pictures a second"));
        }
        let spans = [
            ("period", self.period, Duration::from_millis(20), false),
            (
                "frozen_after",
                self.frozen_after,
                Duration::from_secs(1),
                true,
            ),
            (
                "silent_after",
                self.silent_after,
                Duration::from_secs(1),
                true,
            ),
        ];
        for (key, span, least, zero) in spans {
            let Some(span) = span else { continue };
            if span > Duration::from_hours(1) || (span < least && !(zero && span.is_zero())) {
                let never = if zero { ", or \"0s\" for never" } else { "" };
                wrong.push(problem(key, format!("give {least:?} to 1h{never}")));
            }
        }
    }

    fn url(&self, scheme: &'static str, wrong: &mut Vec<Problem>) -> Option<Url> {
        let Some(text) = &self.url else {
            wrong.push(problem(
                "url",
                format!(
                    "kind = \"{}\" needs it; write for example url = \"{scheme}://10.0.0.64/...\" \
                     as the camera's manual says",
                    self.kind.word()
                ),
            ));
            return None;
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            // The text is not repeated: it may hold a password.
            Err(error) => {
                wrong.push(problem("url", format!("this is no address: {error}")));
                return None;
            }
        };
        if url.password().is_some() || !url.username().is_empty() {
            wrong.push(problem(
                "url",
                "user and password do not belong in the address; take them out, write the user \
                 as user = \"...\", and put the password in a file named by password_file or in \
                 a systemd credential named by password_credential",
            ));
            return None;
        }
        if url.scheme() != scheme {
            let why = match url.scheme() {
                "https" | "rtsps" => "encrypted camera connections are not supported; ",
                _ => "",
            };
            wrong.push(problem(
                "url",
                format!(
                    "{why}kind = \"{}\" needs an address with {scheme}://",
                    self.kind.word()
                ),
            ));
            return None;
        }
        if url.host_str().is_none_or(str::is_empty) {
            wrong.push(problem("url", "the address names no host"));
            return None;
        }
        Some(url)
    }

    fn login(&self, wrong: &mut Vec<Problem>) -> Option<Login> {
        let password = match (&self.password_file, &self.password_credential) {
            (Some(_), Some(_)) => {
                wrong.push(problem(
                    "password_credential",
                    "give either password_file or password_credential, not both",
                ));
                return None;
            }
            (Some(file), None) => Some(PasswordAt::File(file.clone())),
            (None, Some(name)) if name.is_empty() || name.contains('/') => {
                wrong.push(problem(
                    "password_credential",
                    "this is no credential's name; for a path use password_file",
                ));
                return None;
            }
            (None, Some(name)) => Some(PasswordAt::Credential(name.clone())),
            (None, None) => None,
        };
        match (&self.user, password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some(Login {
                user: user.clone(),
                password,
            }),
            (Some(_), None) => {
                wrong.push(problem(
                    "user",
                    "a user needs a password; name its file by password_file or a systemd \
                     credential by password_credential",
                ));
                None
            }
            (None, Some(_)) => {
                wrong.push(problem("user", "missing; the password belongs to a user"));
                None
            }
        }
    }

    fn path(&self, what: &str, wrong: &mut Vec<Problem>) -> Option<PathBuf> {
        let path = self
            .path
            .clone()
            .filter(|path| !path.as_os_str().is_empty());
        if path.is_none() {
            wrong.push(problem(
                "path",
                format!("kind = \"{}\" needs it: {what}", self.kind.word()),
            ));
        }
        path
    }
}

/// No picture for this long means offline, unless the configuration says otherwise.
const SILENT: Duration = Duration::from_secs(5);
/// A camera may wait for its next key frame before it shows its first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(15);
const FROZEN: Duration = Duration::from_secs(30);
const REFUSAL_GAP: Duration = Duration::from_secs(10);

/// The address as far as it may be shown: some cameras take passwords in the query or path.
pub(super) fn show_url(url: &Url) -> String {
    let mut url = url.clone();
    if url.path().contains('=') {
        url.set_path("...");
    }
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.into()
}

fn show_login(login: Option<&Login>) -> String {
    match login {
        None => String::new(),
        Some(Login {
            user,
            password: PasswordAt::File(path),
        }) => {
            format!(" as {user} (password in {})", path.display())
        }
        Some(Login {
            user,
            password: PasswordAt::Credential(name),
        }) => {
            format!(" as {user} (password in the credential {name})")
        }
    }
}

fn show_bounds(at_most: AtMost) -> String {
    let size = match (at_most.width, at_most.height) {
        (Some(width), Some(height)) => format!(", at most {width} x {height}"),
        (Some(width), None) => format!(", at most {width} wide"),
        (None, Some(height)) => format!(", at most {height} high"),
        (None, None) => String::new(),
    };
    match at_most.fps {
        Some(fps) => format!("{size}, at most {fps} pictures a second"),
        None => size,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn keys(text: &str) -> Vec<&'static str> {
        let config: CameraConfig = toml::from_str(text).unwrap();
        config
            .validate()
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    }

    #[test]
    fn the_shortest_useful_tables_are_taken() {
        for text in [
            "kind = 'rtsp'\nurl = 'rtsp://10.0.0.64/live'",
            "kind = 'usb'",
            "kind = 'pi'",
            "kind = 'snapshot'\nurl = 'http://10.0.0.64/snap.jpg'\nperiod = '200ms'",
            "kind = 'mjpeg'\nurl = 'http://10.0.0.64/video'\nfps = 5",
            "kind = 'file'\npath = 'clip.mp4'\nloop = true\nrealtime = false",
            "kind = 'pictures'\npath = 'scenes'\nfrozen_after = '0s'",
            "kind = 'pipe'",
            "kind = 'rtsp'\nurl = 'rtsp://h/'\nuser = 'u'\npassword_credential = 'cam'\nwidth = 1280",
        ] {
            assert!(keys(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_wrong_or_out_of_place_is_named() {
        for (text, expected) in [
            ("kind = 'rtsp'", &["url"][..]),
            ("kind = 'rtsp'\nurl = 'http://h/'", &["url"]),
            ("kind = 'mjpeg'\nurl = 'https://h/'", &["url"]),
            ("kind = 'rtsp'\nurl = 'not an address'", &["url"]),
            ("kind = 'rtsp'\nurl = 'rtsp://h/'\nuser = 'u'", &["user"]),
            (
                "kind = 'rtsp'\nurl = 'rtsp://h/'\npassword_file = 'p'",
                &["user"],
            ),
            (
                "kind = 'rtsp'\nurl = 'rtsp://h/'\nuser='u'\npassword_file = 'p'\npassword_credential = 'c'",
                &["password_credential"],
            ),
            (
                "kind = 'rtsp'\nurl = 'rtsp://h/'\nuser='u'\npassword_credential = '../x'",
                &["password_credential"],
            ),
            (
                "kind = 'usb'\nurl = 'rtsp://h/'\ndevice = 'video0'",
                &["url", "device"],
            ),
            ("kind = 'pi'\ndevice = 'front'", &["device"]),
            ("kind = 'file'\nloop = true", &["path"]),
            (
                "kind = 'pictures'\nperiod = '1ms'\nwidth = 4",
                &["width", "width", "period", "path"],
            ),
            ("kind = 'usb'\nfps = 0\nheight = 9000", &["height", "fps"]),
            (
                "kind = 'pipe'\nfrozen_after = '2h'\nsilent_after = '1ms'",
                &["frozen_after", "silent_after"],
            ),
        ] {
            assert_eq!(keys(text), expected, "{text}");
        }
    }

    #[test]
    fn unknown_keys_and_inline_passwords_do_not_parse() {
        for text in [
            "kind = 'usb'\npassword = 'x'",
            "kind = 'laser'",
            "url = 'rtsp://h/'",
        ] {
            assert!(toml::from_str::<CameraConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_never_shown() {
        let mut config = CameraConfig::new(Kind::Rtsp);
        config.url = Some("rtsp://admin:hunter2@10.0.0.64/live".to_owned());
        let problems = config.validate();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("password_file"));
        assert!(!problems[0].to_string().contains("hunter2"));
        assert!(!config.describe().contains("hunter2"));
        for place in [
            "live?password=hunter2",
            "user=admin&password=hunter2&channel=1",
        ] {
            config.url = Some(format!("rtsp://10.0.0.64/{place}"));
            assert!(!config.describe().contains("hunter2"), "{place}");
        }
    }

    #[test]
    fn a_description_names_what_matters() {
        let config: CameraConfig = toml::from_str(
            "kind = 'rtsp'\nurl = 'rtsp://10.0.0.64/live'\nuser = 'gate'\n\
             password_file = 'cam.secret'\nwidth = 1280\nfps = 5",
        )
        .unwrap();
        let text = config.describe();
        for part in [
            "10.0.0.64",
            "gate",
            "cam.secret",
            "1280",
            "at most 5",
            "30s",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_password_is_read_without_its_line_feed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "p w\n").unwrap();
        let at = PasswordAt::File(path.clone());
        let secret = at.read().unwrap();
        assert_eq!(secret.0, "p w");
        assert!(!format!("{secret:?}").contains("p w"));
        std::fs::write(&path, "\n").unwrap();
        assert!(at.read().unwrap_err().contains("empty"));
    }

    #[test]
    fn a_slow_snapshot_is_not_called_silent() {
        let mut config = CameraConfig::new(Kind::Snapshot);
        config.period = Some(Duration::from_secs(10));
        assert_eq!(config.limits().silent_after, Some(Duration::from_secs(30)));
        config.kind = Kind::Pictures;
        assert_eq!(config.limits().silent_after, None);
        assert_eq!(config.limits().frozen_after, None);
    }
}
