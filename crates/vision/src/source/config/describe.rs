//! A camera in one line.

use url::Url;

use super::plan::{AtMost, Plan};
use super::{CameraConfig, Login, PasswordAt};

impl CameraConfig {
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
}

/// The address as far as it may be shown: some cameras take passwords in the query or path.
pub(in crate::source) fn show_url(url: &Url) -> String {
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
