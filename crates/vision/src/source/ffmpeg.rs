//! Videos, USB cameras and network streams through an `ffmpeg` child.
//!
//! ```text
//! file, V4L2 device ──► ffmpeg ──► PPM pictures ──► inbox
//! Annex B units ──────►
//! ```
//!
//! Decoding happens in a process of its own, so a malformed stream can kill only that. The
//! output is PPM, in which each picture says its size. Picture rate and size are cut down in
//! the child, before three bytes a pixel go through the pipe.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use super::child::{Child, Started, find_ffmpeg, read_pictures};
use super::config::{AtMost, Capture};
use super::session::{Inbox, Over, Session, Source, Worker};

/// Access units that may wait for the decoder: about a second. Beyond it units are dropped up
/// to the next key frame, so that a decoder that is too slow shows fewer pictures, not old ones.
const WAITING_UNITS: usize = 24;

/// What the stream of a network camera is encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    H265,
}

impl Codec {
    fn format(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "hevc",
        }
    }

    /// Whether decoding can begin with this access unit (Annex B): an instantaneous refresh, or
    /// a recovery point of a stream that has none of those.
    pub(super) fn begins_with(self, unit: &[u8]) -> bool {
        let mut rest = unit;
        while let Some(start) = rest.windows(3).position(|bytes| bytes == [0, 0, 1]) {
            rest = &rest[start + 3..];
            let key = match (self, rest) {
                // IDR slice; SEI that holds a recovery point.
                (Self::H264, [head, ..]) if head & 0x1F == 5 => true,
                (Self::H264, [head, 6, ..]) if head & 0x1F == 6 => true,
                // BLA, IDR and CRA pictures.
                (Self::H265, [head, ..]) => (16..=21).contains(&(head >> 1 & 0x3F)),
                _ => false,
            };
            if key {
                return true;
            }
        }
        false
    }

    /// An access unit delimiter. ffmpeg knows that a picture is complete when the next one
    /// begins; with a delimiter behind each, it knows one picture earlier.
    fn delimiter(self) -> &'static [u8] {
        match self {
            Self::H264 => &[0, 0, 0, 1, 0x09, 0xF0],
            Self::H265 => &[0, 0, 0, 1, 0x46, 0x01, 0x50],
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = OsString> + '_ {
    text.split_ascii_whitespace().map(OsString::from)
}

/// Options that stand before everything: only warnings on standard error, no keyboard.
const QUIET: &str = "-hide_banner -nostats -loglevel warning -nostdin";

/// What goes to standard output. `passthrough` keeps the pictures as they come instead of
/// doubling and dropping them to a fixed rate.
fn output(at_most: AtMost) -> Vec<OsString> {
    let mut filters = Vec::new();
    if let Some(fps) = at_most.fps {
        // Unlike the filter fps, this one need not see the next picture to pass this one on.
        // A tenth less than the period forgives jitter.
        let least = 0.9 / fps;
        filters.push(format!(
            "select='isnan(prev_selected_t)+gte(t-prev_selected_t,{least:.4})'"
        ));
    }
    match (at_most.width, at_most.height) {
        (None, None) => {}
        (Some(width), None) => filters.push(format!("scale=w='min({width},iw)':h=-2:flags=area")),
        (None, Some(height)) => filters.push(format!("scale=w=-2:h='min({height},ih)':flags=area")),
        (Some(width), Some(height)) => filters.push(format!(
            "scale=w='min({width},iw)':h='min({height},ih)':force_original_aspect_ratio=decrease:flags=area"
        )),
    }
    let mut arguments: Vec<OsString> = words("-map 0:v:0 -an -sn -dn").collect();
    if !filters.is_empty() {
        arguments.extend(["-vf".into(), filters.join(",").into()]);
    }
    arguments.extend(words(
        "-fps_mode passthrough -pix_fmt rgb24 -c:v ppm -f image2pipe -flush_packets 1 pipe:1",
    ));
    arguments
}

fn stream_arguments(codec: Codec, at_most: AtMost) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = words(QUIET).collect();
    arguments.extend(words(
        // Not -fflags nobuffer: it throws away what was looked at to find out about the stream,
        // which is the key frame that everything up to the next one needs.
        "-flags low_delay -threads 1 -probesize 32 -analyzeduration 0 \
         -use_wallclock_as_timestamps 1 -f",
    ));
    arguments.extend([codec.format().into(), "-i".into(), "pipe:0".into()]);
    arguments.extend(output(at_most));
    arguments
}

fn device_arguments(device: &str, capture: Capture, compressed: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = words(QUIET).collect();
    arguments.extend(words("-flags low_delay -threads 1 -f v4l2"));
    if compressed {
        arguments.extend(words("-input_format mjpeg"));
    }
    arguments.extend([
        "-video_size".into(),
        format!("{}x{}", capture.width, capture.height).into(),
        "-framerate".into(),
        capture.fps.to_string().into(),
        "-i".into(),
        device.into(),
    ]);
    arguments.extend(output(AtMost::default()));
    arguments
}

fn file_arguments(path: &Path, again: bool, realtime: bool, at_most: AtMost) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = words(QUIET).collect();
    arguments.extend(words("-threads 1"));
    if realtime {
        arguments.push("-re".into());
    }
    if again {
        arguments.extend(words("-stream_loop -1"));
    }
    // Without a scheme in front, a name with a colon would be taken for a protocol.
    let mut input = OsString::from("file:");
    input.push(path);
    arguments.extend(["-i".into(), input]);
    arguments.extend(output(at_most));
    arguments
}

/// A child that reads a device or file and writes pictures.
struct Playing {
    child: Arc<Child>,
    _reader: Worker,
}

impl Session for Playing {}

impl Drop for Playing {
    fn drop(&mut self) {
        // First the child, so that the reader finds its pipe closed.
        self.child.kill();
    }
}

/// A USB camera.
pub(super) struct Usb {
    device: String,
    capture: Capture,
    program: Option<PathBuf>,
    compressed: bool,
    last: Option<Arc<Child>>,
}

impl Usb {
    /// Nearly every USB camera has the larger sizes at a useful rate as MJPEG only, but some
    /// have no MJPEG: after an attempt without a picture the other way is tried.
    pub(super) fn new(device: String, capture: Capture, program: Option<PathBuf>) -> Self {
        Self {
            device,
            capture,
            program,
            compressed: true,
            last: None,
        }
    }
}

impl Source for Usb {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let program = find_ffmpeg(self.program.as_deref())?;
        if self.last.take().is_some_and(|last| !last.has_pictured()) {
            self.compressed = !self.compressed;
        }
        let arguments = device_arguments(&self.device, self.capture, self.compressed);
        let Started { child, stdout, .. } = Child::start(&program, &arguments, Stdio::null())?;
        self.last = Some(Arc::clone(&child));
        let told = Arc::clone(&child);
        let reader = Worker::start("usb", inbox, move |inbox, stop| {
            match read_pictures(stdout, &told, inbox, stop)? {
                // A camera does not end.
                Over::Ended => Err(told.last_words()),
                Over::Stopped => Ok(Over::Stopped),
            }
        })?;
        Ok(Box::new(Playing {
            child,
            _reader: reader,
        }))
    }
}

/// A video file.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) again: bool,
    pub(super) realtime: bool,
    pub(super) at_most: AtMost,
    pub(super) program: Option<PathBuf>,
}

impl Source for File {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let program = find_ffmpeg(self.program.as_deref())?;
        if !self.path.is_file() {
            return Err(format!("there is no file {}", self.path.display()));
        }
        let arguments = file_arguments(&self.path, self.again, self.realtime, self.at_most);
        let Started { child, stdout, .. } = Child::start(&program, &arguments, Stdio::null())?;
        let (told, again) = (Arc::clone(&child), self.again);
        let reader = Worker::start("file", inbox, move |inbox, stop| {
            match read_pictures(stdout, &told, inbox, stop)? {
                Over::Ended if again || !told.succeeded() => Err(told.last_words()),
                over => Ok(over),
            }
        })?;
        Ok(Box::new(Playing {
            child,
            _reader: reader,
        }))
    }
}

/// What became of an access unit given to a [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// It is on its way.
    Taken,
    /// The decoder is behind; the unit was dropped.
    Behind,
    /// The decoder is gone.
    Gone,
}

/// An `ffmpeg` child that decodes a stream of Annex B units from its standard input.
pub(super) struct Decoder {
    child: Arc<Child>,
    codec: Codec,
    units: Option<SyncSender<Vec<u8>>>,
    _writer: Worker,
    _reader: Worker,
}

impl Decoder {
    /// Starts the decoder; its pictures and its end go to `inbox`.
    pub(super) fn start(
        program: &Path,
        codec: Codec,
        at_most: AtMost,
        inbox: &Inbox,
    ) -> Result<Self, String> {
        let arguments = stream_arguments(codec, at_most);
        let Started {
            child,
            stdin,
            stdout,
        } = Child::start(program, &arguments, Stdio::piped())?;
        let mut stdin = stdin.ok_or("ffmpeg has no input")?;
        let (units, waiting) = sync_channel::<Vec<u8>>(WAITING_UNITS);
        let writer = Worker::start("feeder", inbox, move |_, _| {
            while let Ok(unit) = waiting.recv() {
                // The reader tells why the decoder is gone.
                if stdin.write_all(&unit).is_err() {
                    break;
                }
            }
            Ok(Over::Stopped)
        })?;
        let told = Arc::clone(&child);
        let reader = Worker::start("decoder", inbox, move |inbox, stop| {
            match read_pictures(stdout, &told, inbox, stop)? {
                Over::Ended => Err(told.last_words()),
                Over::Stopped => Ok(Over::Stopped),
            }
        })?;
        Ok(Self {
            child,
            codec,
            units: Some(units),
            _writer: writer,
            _reader: reader,
        })
    }

    /// Gives the decoder one access unit; never waits.
    pub(super) fn feed(&self, mut unit: Vec<u8>) -> Fed {
        let Some(units) = &self.units else {
            return Fed::Gone;
        };
        unit.extend_from_slice(self.codec.delimiter());
        match units.try_send(unit) {
            Ok(()) => Fed::Taken,
            Err(TrySendError::Full(_)) => Fed::Behind,
            Err(TrySendError::Disconnected(_)) => Fed::Gone,
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.units = None;
        self.child.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(arguments: &[OsString]) -> String {
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }

    #[test]
    fn bounds_become_filters_that_never_enlarge() {
        let at_most = AtMost {
            width: Some(1280),
            height: None,
            fps: Some(5.0),
        };
        let line = text(&stream_arguments(Codec::H265, at_most));
        assert!(line.contains("-f hevc -i pipe:0"), "{line}");
        assert!(line.contains("gte(t-prev_selected_t,0.1800)"), "{line}");
        assert!(line.contains("min(1280,iw)"), "{line}");
        assert!(line.ends_with("pipe:1"), "{line}");
        assert!(!text(&stream_arguments(Codec::H264, AtMost::default())).contains("-vf"));
    }

    #[test]
    fn units_that_decoding_can_begin_with_are_known() {
        for (codec, unit, begins) in [
            (
                Codec::H264,
                &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 9][..],
                true,
            ),
            (Codec::H264, &[0, 0, 1, 0x06, 6, 1, 0, 0, 1, 0x41, 9], true),
            (Codec::H264, &[0, 0, 1, 0x06, 5, 1, 0, 0, 1, 0x41, 9], false),
            (Codec::H265, &[0, 0, 0, 1, 0x2A, 1, 9], true),
            (Codec::H265, &[0, 0, 0, 1, 0x28, 1, 9], true),
            (Codec::H265, &[0, 0, 0, 1, 0x02, 1, 9], false),
            (Codec::H265, &[0, 0, 1], false),
            (Codec::H264, &[], false),
        ] {
            assert_eq!(codec.begins_with(unit), begins, "{codec:?} {unit:?}");
        }
    }

    #[test]
    fn a_file_name_is_never_an_option_or_a_protocol() {
        let line = text(&file_arguments(
            Path::new("-y:x.mp4"),
            true,
            true,
            AtMost::default(),
        ));
        assert!(
            line.contains("-re -stream_loop -1 -i file:-y:x.mp4"),
            "{line}"
        );
    }
}
