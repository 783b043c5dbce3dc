//! What a camera needs and this machine does not have.

use std::path::Path;

use domain::Words;

use super::plan::Plan;
use super::{CameraConfig, Problem};
use crate::source::child::{find_ffmpeg, find_rpicam};

impl CameraConfig {
    /// Programs and files that this camera needs and that are not there now. The camera
    /// itself is not asked.
    pub fn absent(&self) -> Vec<Problem> {
        let Ok(plan) = self.plan() else {
            return Vec::new();
        };
        let mut absent = Vec::new();
        let program = match &plan {
            Plan::Rtsp { program, .. } | Plan::Usb { program, .. } | Plan::File { program, .. } => {
                find_ffmpeg(program.as_deref()).err()
            }
            Plan::Pi { program, .. } => find_rpicam(program.as_deref()).err(),
            _ => None,
        };
        absent.extend(program);
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
                absent.extend(login.password.read().err());
            }
            Plan::File { path, .. } if !path.is_file() => {
                absent.push(not_there("path", "文件", "file", path));
            }
            Plan::Pictures { folder, .. } if !folder.is_dir() => {
                absent.push(not_there("path", "文件夹", "folder", folder));
            }
            Plan::Pipe { fifo: Some(path) } if !path.exists() => {
                let mut absence = not_there("path", "命名管道", "FIFO", path);
                let make = format!("mkfifo {}", path.display());
                absence.cure = Words::new(format!("建一个：{make}"), format!("make it: {make}"));
                absent.push(absence);
            }
            Plan::Usb { device, .. } if !Path::new(device).exists() => {
                let mut absence = not_there("device", "设备", "device", Path::new(device));
                absence.cure = Words::new(
                    "把摄像机插上；用 ls /dev/v4l/by-id 看有哪些",
                    "plug the camera in; ls /dev/v4l/by-id shows those there are",
                );
                absent.push(absence);
            }
            _ => {}
        }
        absent
    }
}

fn not_there(key: &'static str, chinese: &str, english: &str, path: &Path) -> Problem {
    let path = path.display();
    Problem::new(
        key,
        Words::new(
            format!("没有{chinese} {path}"),
            format!("there is no {english} {path}"),
        ),
        Words::new("放到那里，或改正路径", "put it there, or correct the path"),
    )
}
