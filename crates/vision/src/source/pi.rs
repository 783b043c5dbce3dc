//! The Raspberry Pi's own camera.
//!
//! `rpicam-vid` (called `libcamera-vid` before 2024) is asked for MJPEG: its pictures say
//! themselves where they begin and end, whereas raw YUV has no framing that could be found
//! again and H.264 costs a second encoder and decoder in series. The JPEGs are decoded here,
//! by a memory-safe decoder, and only those that somebody waits for.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::{Child, Started, find_rpicam};
use super::config::Capture;
use super::jpeg::{Item, Splitter};
use super::session::{Inbox, Over, Pixels, Session, Source, Stop, Worker};

/// A camera on the Pi's ribbon cable.
pub(super) struct Pi {
    pub(super) number: u32,
    pub(super) capture: Capture,
    pub(super) program: Option<PathBuf>,
}

struct Watching {
    child: Arc<Child>,
    _reader: Worker,
}

impl Session for Watching {}

impl Drop for Watching {
    fn drop(&mut self) {
        self.child.kill();
    }
}

fn arguments(number: u32, capture: Capture) -> Vec<OsString> {
    let line = format!(
        "--camera {number} --width {} --height {} --framerate {} --timeout 0 --nopreview \
         --codec mjpeg --quality 90 --flush --output -",
        capture.width, capture.height, capture.fps
    );
    line.split_ascii_whitespace().map(OsString::from).collect()
}

impl Source for Pi {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let program = find_rpicam(self.program.as_deref())?;
        let arguments = arguments(self.number, self.capture);
        let Started { child, stdout, .. } = Child::start(&program, &arguments, Stdio::null())?;
        let told = Arc::clone(&child);
        let reader = Worker::start("pi", inbox, move |inbox, stop| {
            match split(stdout, inbox, stop, None)? {
                Over::Ended => Err(told.last_words()),
                Over::Stopped => Ok(Over::Stopped),
            }
        })?;
        Ok(Box::new(Watching {
            child,
            _reader: reader,
        }))
    }
}

/// Passes the JPEG pictures of a stream on until it ends, at most one every `least`.
pub(super) fn split(
    mut stream: impl Read,
    inbox: &Inbox,
    stop: &Stop,
    least: Option<Duration>,
) -> Result<Over, String> {
    let mut splitter = Splitter::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut taken: Option<Instant> = None;
    loop {
        let count = stream
            .read(&mut buffer)
            .map_err(|error| format!("the camera's stream broke off: {error}"))?;
        if stop.is_set() {
            return Ok(Over::Stopped);
        }
        if count == 0 {
            return Ok(Over::Ended);
        }
        splitter.push(&buffer[..count], |item| match item {
            Item::Picture(bytes) => {
                let early = |last: Instant| least.is_some_and(|least| last.elapsed() < least);
                if !taken.is_some_and(early) {
                    taken = Some(Instant::now());
                    inbox.picture(Pixels::Encoded { bytes, name: None });
                }
            }
            Item::Fault(fault) => inbox.refused(fault.to_string()),
        });
    }
}
