//! The checked form of a camera's configuration.

use std::path::PathBuf;
use std::time::Duration;

use domain::Words;
use url::Url;

use super::{CameraConfig, Kind, Login, PasswordAt, Problem};

/// Upper bounds on the pictures of a video that `ffmpeg` decodes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::source) struct AtMost {
    pub(in crate::source) width: Option<u32>,
    pub(in crate::source) height: Option<u32>,
    pub(in crate::source) fps: Option<f64>,
}

/// What a USB or Pi camera is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::source) struct Capture {
    pub(in crate::source) width: u32,
    pub(in crate::source) height: u32,
    pub(in crate::source) fps: f64,
}

/// A checked camera: what each kind needs and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) enum Plan {
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
    /// The checked form, or everything that is wrong.
    pub(in crate::source) fn plan(&self) -> Result<Plan, Vec<Problem>> {
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
                    wrong.push(Problem::new(
                        "device",
                        Words::new(
                            format!("{device:?} 不是设备文件"),
                            format!("{device:?} is no device file"),
                        ),
                        Words::new(
                            "例如写 device = \"/dev/video0\"",
                            "write for example device = \"/dev/video0\"",
                        ),
                    ));
                }
                Some(Plan::Usb {
                    device,
                    capture,
                    program,
                })
            }
            Kind::Pi => self.pi_camera(&mut wrong).map(|number| Plan::Pi {
                number,
                capture,
                program,
            }),
            Kind::File => self
                .path(("视频文件", "the video file"), &mut wrong)
                .map(|path| Plan::File {
                    path,
                    again,
                    realtime: self.realtime.unwrap_or(true),
                    at_most,
                    program,
                }),
            Kind::Pictures => self
                .path(("放图片的文件夹", "the folder of pictures"), &mut wrong)
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

    /// The number of a Raspberry Pi's camera.
    fn pi_camera(&self, wrong: &mut Vec<Problem>) -> Option<u32> {
        let number = self.device.as_deref().unwrap_or("0").parse().ok();
        if number.is_none() {
            wrong.push(Problem::new(
                "device",
                Words::new("树莓派摄像机按编号写", "a Pi camera is named by its number"),
                Words::new(
                    "写 device = \"0\" 或 \"1\"",
                    "write device = \"0\" or \"1\"",
                ),
            ));
        }
        number
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
                let kind = self.kind.word();
                Problem::new(
                    key,
                    Words::new(
                        format!("kind = \"{kind}\" 用不到这个键"),
                        format!("does not belong to kind = \"{kind}\""),
                    ),
                    Words::new(
                        format!(
                            "删去它（这种摄像机认得 {}、frozen_after、silent_after）",
                            known.join("、")
                        ),
                        format!(
                            "remove it (this kind takes {}, frozen_after, silent_after)",
                            known.join(", ")
                        ),
                    ),
                )
            })
            .collect()
    }

    fn check_numbers(&self, wrong: &mut Vec<Problem>) {
        for (key, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(16..=8192).contains(&side)) {
                wrong.push(out_of_bounds(
                    key,
                    Words::new("写 16 到 8192（像素）", "give 16 to 8192 pixels"),
                ));
            }
        }
        if self.fps.is_some_and(|fps| !(0.1..=120.0).contains(&fps)) {
            wrong.push(out_of_bounds(
                "fps",
                Words::new(
                    "写 0.1 到 120（每秒张数）",
                    "give 0.1 to 120 pictures a second",
                ),
            ));
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
                let (never_chinese, never) = if zero {
                    ("，或写 \"0s\" 表示从不", ", or \"0s\" for never")
                } else {
                    ("", "")
                };
                wrong.push(out_of_bounds(
                    key,
                    Words::new(
                        format!("写 \"{least:?}\" 到 \"1h\"{never_chinese}"),
                        format!("give \"{least:?}\" to \"1h\"{never}"),
                    ),
                ));
            }
        }
    }

    fn url(&self, scheme: &'static str, wrong: &mut Vec<Problem>) -> Option<Url> {
        let Some(text) = &self.url else {
            wrong.push(Problem::new(
                "url",
                self.needs_it("摄像机的网址", "the camera's address"),
                Words::new(
                    format!("照摄像机说明书写，例如 url = \"{scheme}://10.0.0.64/...\""),
                    format!(
                        "write it as the camera's manual says, for example \
                         url = \"{scheme}://10.0.0.64/...\""
                    ),
                ),
            ));
            return None;
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            // The text is not repeated: it may hold a password.
            Err(error) => {
                wrong.push(Problem::new(
                    "url",
                    Words::new(
                        format!("这不是网址（{error}）"),
                        format!("this is no address: {error}"),
                    ),
                    Words::new(
                        format!("照摄像机说明书写，以 {scheme}:// 开头"),
                        format!("write it as the camera's manual says, beginning with {scheme}://"),
                    ),
                ));
                return None;
            }
        };
        if url.password().is_some() || !url.username().is_empty() {
            wrong.push(Problem::new(
                "url",
                Words::new(
                    "网址里不写用户名和密码",
                    "user and password do not belong in the address",
                ),
                Words::new(
                    "从网址里删去；用户名写 user = \"...\"，密码放进文件，写 password_file，\
                     或用 systemd 凭据，写 password_credential",
                    "take them out, write the user as user = \"...\", and put the password in a \
                     file named by password_file or in a systemd credential named by \
                     password_credential",
                ),
            ));
            return None;
        }
        if url.scheme() != scheme {
            let kind = self.kind.word();
            let wrong_scheme = match url.scheme() {
                "https" | "rtsps" => Words::new(
                    "还不支持加密的摄像机连接",
                    "encrypted camera connections are not supported",
                ),
                other => Words::new(
                    format!("kind = \"{kind}\" 不能用 {other}://"),
                    format!("kind = \"{kind}\" cannot use {other}://"),
                ),
            };
            wrong.push(Problem::new(
                "url",
                wrong_scheme,
                Words::new(
                    format!("写 {scheme}:// 开头的网址"),
                    format!("give an address with {scheme}://"),
                ),
            ));
            return None;
        }
        if url.host_str().is_none_or(str::is_empty) {
            wrong.push(Problem::new(
                "url",
                Words::new("网址里没有主机", "the address names no host"),
                Words::new(
                    format!("写上摄像机的地址，例如 {scheme}://10.0.0.64/..."),
                    format!("name the camera, for example {scheme}://10.0.0.64/..."),
                ),
            ));
            return None;
        }
        Some(url)
    }

    fn login(&self, wrong: &mut Vec<Problem>) -> Option<Login> {
        let password = match (&self.password_file, &self.password_credential) {
            (Some(_), Some(_)) => {
                wrong.push(Problem::new(
                    "password_credential",
                    Words::new(
                        "password_file 和 password_credential 都写了",
                        "password_file and password_credential are both given",
                    ),
                    Words::new("只留一个", "keep one"),
                ));
                return None;
            }
            (Some(file), None) => Some(PasswordAt::File(file.clone())),
            (None, Some(name)) if name.is_empty() || name.contains('/') => {
                wrong.push(Problem::new(
                    "password_credential",
                    Words::new("这不是凭据的名字", "this is no credential's name"),
                    Words::new(
                        "写 LoadCredential= 里的名字；要写路径请用 password_file",
                        "write the name from LoadCredential=; for a path use password_file",
                    ),
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
                wrong.push(Problem::new(
                    "user",
                    Words::new("有用户名却没有密码", "a user needs a password"),
                    Words::new(
                        "密码放进文件，写 password_file，或用 systemd 凭据，写 password_credential",
                        "name its file by password_file or a systemd credential by \
                         password_credential",
                    ),
                ));
                None
            }
            (None, Some(_)) => {
                wrong.push(Problem::new(
                    "user",
                    Words::new("有密码却没有用户名", "a password needs a user"),
                    Words::new(
                        "写上摄像机的用户名 user = \"...\"",
                        "write the camera's user as user = \"...\"",
                    ),
                ));
                None
            }
        }
    }

    fn needs_it(&self, chinese: &str, english: &str) -> Words {
        let kind = self.kind.word();
        Words::new(
            format!("kind = \"{kind}\" 必须写{chinese}"),
            format!("kind = \"{kind}\" needs {english}"),
        )
    }

    fn path(&self, (chinese, english): (&str, &str), wrong: &mut Vec<Problem>) -> Option<PathBuf> {
        let path = self
            .path
            .clone()
            .filter(|path| !path.as_os_str().is_empty());
        if path.is_none() {
            wrong.push(Problem::new(
                "path",
                self.needs_it(chinese, english),
                Words::new(
                    format!("写 path = \"/{chinese}\""),
                    "write path = \"/PATH\"",
                ),
            ));
        }
        path
    }
}

fn out_of_bounds(key: &'static str, cure: Words) -> Problem {
    Problem::new(key, Words::new("超出范围", "out of bounds"), cure)
}
