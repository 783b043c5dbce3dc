//! What the themes share: a watched camera, pictures, and the parts that may be missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use vision::Frame;
use vision::source::{Camera, CameraConfig, CameraEvent, CameraHandle, Change, SystemClock};

/// A started camera with its events.
pub(crate) struct Watched {
    pub(crate) handle: CameraHandle,
    pub(crate) events: Receiver<CameraEvent>,
}

/// Starts the camera that the TOML text describes.
pub(crate) fn watch(text: &str) -> Watched {
    let config: CameraConfig = toml::from_str(text).unwrap();
    let (sender, events) = channel();
    let handle = Camera::start(
        &config,
        "test".parse().unwrap(),
        sender,
        Arc::new(SystemClock),
    )
    .unwrap();
    Watched { handle, events }
}

impl Watched {
    /// The next frame within 20 s.
    pub(crate) fn frame(&self) -> Frame {
        self.handle
            .next_frame(Duration::from_secs(20))
            .unwrap_or_else(|| panic!("no frame; the camera is {:?}", self.handle.state()))
    }

    /// The first event within 20 s that `wanted` picks out.
    pub(crate) fn event<T>(&self, mut wanted: impl FnMut(&Change) -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| {
                panic!(
                    "the event did not come; the camera is {:?}",
                    self.handle.state()
                )
            });
            if let Some(found) = wanted(&event.change) {
                return found;
            }
        }
    }

    /// The reason given when the camera goes offline.
    pub(crate) fn offline(&self) -> String {
        self.event(|change| match change {
            Change::Offline { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    /// The reason given when a picture is refused.
    pub(crate) fn refused(&self) -> String {
        self.event(|change| match change {
            Change::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }
}

/// Says loudly that a part is missing; fails where it must not be.
pub(crate) fn missing(part: &str) -> bool {
    assert!(
        std::env::var_os("CI").is_none(),
        "{part} is missing, and CI is set"
    );
    eprintln!("\n*** NOT TESTED: {part} is missing; install it to run this test ***\n");
    true
}

fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether `ffmpeg` is missing.
pub(crate) fn no_ffmpeg() -> bool {
    !works("ffmpeg", &["-version"]) && missing("ffmpeg (apt install ffmpeg)")
}

/// Whether GStreamer's RTSP server is missing.
pub(crate) fn no_rtsp_server() -> bool {
    let import = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                  from gi.repository import Gst, GstRtspServer; Gst.init(None); \
                  assert Gst.ElementFactory.find('x264enc'); \
                  assert Gst.ElementFactory.find('x265enc')";
    !works("/usr/bin/python3", &["-c", import])
        && missing(
            "GStreamer's RTSP server (apt install gir1.2-gst-rtsp-server-1.0 python3-gi \
             gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
             gstreamer1.0-plugins-ugly)",
        )
}

/// A JPEG of one colour.
pub(crate) fn jpeg(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(width, height, image::Rgb([shade, shade / 2, 9]));
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode_image(&picture)
        .unwrap();
    bytes
}

/// A JPEG whose header claims 30,000 x 30,000 pixels.
pub(crate) fn vast_jpeg() -> Vec<u8> {
    let mut bytes = jpeg(64, 64, 1);
    let frame = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let side = 30_000_u16.to_be_bytes();
    bytes[frame + 5..frame + 7].copy_from_slice(&side);
    bytes[frame + 7..frame + 9].copy_from_slice(&side);
    bytes
}

/// An executable shell script in `folder`.
pub(crate) fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The command lines of all processes, to see what lives and what is written there.
pub(crate) fn command_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(line) = std::fs::read(entry.path().join("cmdline"))
            && !line.is_empty()
        {
            lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    lines
}

/// Waits at most 10 s until `done`.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < until, "{what} did not happen within 10 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
