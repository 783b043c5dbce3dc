//! Network cameras by RTSP over TCP.
//!
//! retina speaks RTSP and takes the stream apart, so the password stays in this process and
//! never stands on a command line; `ffmpeg` gets the bare H.264 or H.265 units on its standard
//! input and does the decoding, where a malformed stream can do no harm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use retina::client::{
    Credentials, Demuxed, Described, InitialTimestampPolicy, PlayOptions, Session as Rtsp,
    SessionOptions, SetupOptions, TcpTransportOptions, Transport,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef};
use tokio::sync::oneshot;
use url::Url;

use super::child::find_ffmpeg;
use super::config::{AtMost, Login, show_url};
use super::ffmpeg::{Codec, Decoder, Fed};
use super::session::{Inbox, Over, Session, Source, Worker};

/// How long the camera may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A network camera.
pub(super) struct Camera {
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    pub(super) at_most: AtMost,
    pub(super) program: Option<PathBuf>,
}

/// Dropping the sender wakes the session's thread, which then ends by itself.
struct Watching {
    stop: Option<oneshot::Sender<()>>,
    _worker: Worker,
}

impl Session for Watching {}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop = None;
    }
}

impl Source for Camera {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        // Missing on this machine or unreadable: said before the camera is bothered.
        let program = find_ffmpeg(self.program.as_deref())?;
        let creds = match &self.login {
            None => None,
            Some(Login { user, password }) => Some(Credentials {
                username: user.clone(),
                password: password.read()?.0,
            }),
        };
        let (url, at_most) = (self.url.clone(), self.at_most);
        let (stop, stopped) = oneshot::channel();
        let worker = Worker::start("rtsp", inbox, move |inbox, _| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| format!("no runtime for the camera's connection: {error}"))?;
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => Ok(Over::Stopped),
                    reason = watch(url, creds, at_most, &program, inbox) => Err(reason),
                }
            })
        })?;
        Ok(Box::new(Watching {
            stop: Some(stop),
            _worker: worker,
        }))
    }
}

/// Watches the camera until something goes wrong, and tells what.
async fn watch(
    url: Url,
    creds: Option<Credentials>,
    at_most: AtMost,
    program: &Path,
    inbox: &Inbox,
) -> String {
    let shown = show_url(&url);
    match connect(url, creds).await {
        Ok((stream, codec, demuxed)) => {
            match relay(demuxed, stream, codec, at_most, program, inbox).await {
                Ok(()) => format!("{shown} ended its stream"),
                Err(reason) => format!("{shown}: {reason}"),
            }
        }
        Err(reason) => format!("{shown}: {reason}"),
    }
}

async fn connect(url: Url, creds: Option<Credentials>) -> Result<(usize, Codec, Demuxed), String> {
    let had_login = creds.is_some();
    let options = SessionOptions::default()
        .creds(creds)
        .user_agent(concat!("menshen/", env!("CARGO_PKG_VERSION")).to_owned());
    let explain = |error: retina::Error| explain(&error, had_login);
    let mut session: Rtsp<Described> = answer("describe its streams", Rtsp::describe(url, options))
        .await?
        .map_err(explain)?;
    let (stream, codec) = session
        .streams()
        .iter()
        .enumerate()
        .find_map(|(number, stream)| {
            let codec = match stream.encoding_name() {
                "h264" => Codec::H264,
                "h265" => Codec::H265,
                _ => return None,
            };
            (stream.media() == "video").then_some((number, codec))
        })
        .ok_or_else(|| {
            let offered: Vec<&str> = session
                .streams()
                .iter()
                .map(retina::client::Stream::encoding_name)
                .collect();
            format!(
                "the camera offers neither H.264 nor H.265 video here but [{}]; set one of the \
                 two in the camera's settings",
                offered.join(", ")
            )
        })?;
    let setup = SetupOptions::default()
        .transport(Transport::Tcp(TcpTransportOptions::default()))
        .frame_format(FrameFormat::SIMPLE);
    answer("set up its stream", session.setup(stream, setup))
        .await?
        .map_err(explain)?;
    // Cheap cameras leave the first timestamp out; nothing here needs it.
    let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let playing = answer("play its stream", session.play(play))
        .await?
        .map_err(explain)?;
    Ok((stream, codec, playing.demuxed().map_err(explain)?))
}

async fn answer<T>(what: &str, asked: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(ANSWER, asked)
        .await
        .map_err(|_| format!("the camera did not {what} within {} s", ANSWER.as_secs()))
}

/// Feeds the decoder from the first key frame on.
async fn relay(
    mut demuxed: Demuxed,
    stream: usize,
    codec: Codec,
    at_most: AtMost,
    program: &Path,
    inbox: &Inbox,
) -> Result<(), String> {
    let mut decoder: Option<Decoder> = None;
    let mut size = None;
    // Units before the first key frame, or after a dropped one, cannot be decoded.
    let mut wait_for_key = true;
    while let Some(item) = demuxed.next().await {
        let item = item.map_err(|error| explain(&error, true))?;
        let CodecItem::VideoFrame(unit) = item else {
            continue;
        };
        if unit.stream_id() != stream {
            continue;
        }
        if let Some(ParametersRef::Video(parameters)) = demuxed.streams()[stream].parameters() {
            let now = parameters.pixel_dimensions();
            // ffmpeg would go on in the first size and distort the pictures.
            if let Some(before) = size.replace(now)
                && before != now
            {
                return Err(format!(
                    "the camera changed its picture from {} x {} to {} x {}; starting anew",
                    before.0, before.1, now.0, now.1
                ));
            }
        }
        wait_for_key = wait_for_key && !codec.begins_with(unit.data());
        if wait_for_key {
            continue;
        }
        let complete = unit.is_random_access_point();
        let mut unit = unit.into_data();
        if decoder.is_none()
            && !complete
            && let Some(ParametersRef::Video(parameters)) = demuxed.streams()[stream].parameters()
        {
            // retina puts the parameter sets before IDR pictures only.
            unit.splice(0..0, parameters.extra_data().iter().copied());
        }
        let decoder = match &decoder {
            Some(decoder) => decoder,
            None => decoder.insert(Decoder::start(program, codec, at_most, inbox)?),
        };
        match decoder.feed(unit) {
            Fed::Taken => {}
            Fed::Behind => {
                tracing::warn!(
                    "the decoder cannot keep up with the camera: pictures are dropped up to the \
                     next key frame; use the camera's sub stream or lower its size or rate"
                );
                wait_for_key = true;
            }
            Fed::Gone => {
                // The decoder's reader has told, or is about to tell, what happened to it.
                tokio::time::sleep(Duration::from_secs(2)).await;
                return Err("the decoder is gone".to_owned());
            }
        }
    }
    Ok(())
}

/// One line of retina's message, which goes on about connections and packets over several.
fn explain(error: &retina::Error, had_login: bool) -> String {
    let text = error.to_string();
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().take(300).collect();
    let cure = match error.status_code() {
        Some(401) if had_login => "; correct user and password",
        Some(401) => "; the camera wants a user and a password: set user and password_file",
        Some(404) => "; correct the path in url as the camera's manual says",
        _ => "",
    };
    format!("{text}{cure}")
}
