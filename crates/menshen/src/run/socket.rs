//! The daemon's Unix socket: how the other verbs speak to a running gate.
//!
//! sled lets one process open the store, so while `menshen run` holds it, `registry`, `answer`
//! and `status` ask here. One JSON request a line, one JSON reply a line. Only the owner and
//! the group of the socket's file can reach it.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::{Name, PassageId};
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use crate::registry::{Change, Outcome};

/// What can be asked of a running gate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// A person's answer to "ask the guard".
    Answer {
        /// The lane; the only one that asks, if it is absent.
        lane: Option<Name>,
        /// The passage; the one that waits longest, if it is absent.
        passage: Option<PassageId>,
        /// Whether the vehicle may pass.
        admit: bool,
        /// Who answers.
        by: String,
    },
    /// Read or change the register.
    Registry {
        /// What.
        change: Change,
        /// Who does it.
        by: String,
    },
    /// How the gate is.
    Status,
}

/// The gate's reply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// Done, in words.
    Done {
        /// What was done.
        message: String,
    },
    /// What came of a registry request.
    Registry(Outcome),
    /// How the gate is.
    Status(Status),
    /// Not done.
    Refused {
        /// Why, and what to do.
        message: String,
    },
}

/// How a running gate is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    /// Seconds since it started.
    pub(crate) uptime_s: u64,
    /// Whether the wall clock is believed.
    pub(crate) clock_trusted: bool,
    /// Vehicles registered.
    pub(crate) vehicles: u64,
    /// Whether the broker is connected; absent without a bridge.
    pub(crate) broker: Option<bool>,
    /// Events that wait for the broker.
    pub(crate) outbox: u64,
    /// The lanes.
    pub(crate) lanes: Vec<LaneStatus>,
}

/// How a lane is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaneStatus {
    /// Its name.
    pub(crate) lane: Name,
    /// Frames looked at since the start.
    pub(crate) frames: u64,
    /// The passage that waits for the guard's answer.
    pub(crate) asking: Option<PassageId>,
}

/// The longest request, a register of 100,000 vehicles included.
const LONGEST: u64 = 64 * 1024 * 1024;
/// A peer that is silent for this long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket's place: beside the store, so that every verb finds it from the configuration.
pub(crate) fn path_for(store: &Path) -> PathBuf {
    store.join("menshen.sock")
}

/// Listens at `path` on a thread of its own until the process ends.
///
/// # Errors
/// If the socket cannot be made there.
pub(crate) fn listen(
    path: &Path,
    handler: Arc<dyn Fn(Request) -> Reply + Send + Sync>,
) -> std::io::Result<()> {
    // A socket that a killed daemon left behind; the store's lock says that none is running.
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    std::thread::Builder::new()
        .name("socket".into())
        .spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => {
                        let handler = Arc::clone(&handler);
                        let served = std::thread::Builder::new()
                            .name("socket-peer".into())
                            .spawn(move || serve(&stream, handler.as_ref()));
                        if let Err(e) = served {
                            warn!(error = %e, "a request could not be served");
                        }
                    }
                    Err(e) => warn!(error = %e, "a connection to the socket failed"),
                }
            }
        })?;
    Ok(())
}

fn serve(stream: &UnixStream, handler: &(dyn Fn(Request) -> Reply + Send + Sync)) {
    let limits = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    if limits.is_err() {
        return;
    }
    let mut reader = BufReader::new(stream.take(LONGEST));
    let mut line = String::new();
    while let Ok(1..) = reader.read_line(&mut line) {
        let Ok(mut text) = serde_json::to_vec(&answer(&line, handler)) else {
            return;
        };
        text.push(b'\n');
        let mut out = stream;
        if let Err(e) = out.write_all(&text) {
            debug!(error = %e, "the peer went away");
            return;
        }
        line.clear();
    }
}

/// The reply to one line, whatever it is.
fn answer(line: &str, handler: &dyn Fn(Request) -> Reply) -> Reply {
    match serde_json::from_str(line) {
        Ok(request) => handler(request),
        Err(e) => Reply::Refused {
            message: format!("the request cannot be read: {e}"),
        },
    }
}

/// Asks a running gate; `None` if none is running there.
///
/// # Errors
/// If it is running and cannot be spoken to.
pub(crate) fn ask(path: &Path, request: &Request) -> std::io::Result<Option<Reply>> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    Ok(Some(serde_json::from_str(&line)?))
}

#[cfg(test)]
mod tests {
    //! No line brings the daemon down, and what is taken for a request is one. Ten minutes of it:
    //! `PROPTEST_CASES=5000000 cargo test --release --workspace socket::tests`.
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const GOOD: [&str; 7] = [
        r#"{"do":"status"}"#,
        r#"{"do":"answer","lane":"entry","passage":"01a20d9f-9e2a-71a3-9c26-ec172b4045db","admit":true,"by":"王"}"#,
        r#"{"do":"answer","lane":null,"passage":null,"admit":false,"by":""}"#,
        r#"{"do":"registry","change":{"what":"list"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"remove","plate":"苏E12345"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"add","vehicle":{"plate":"苏E12345"}},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"import","vehicles":[{"plate":"苏ED12345"},{"plate":"WJ苏12345"}]},"by":"guard"}"#,
    ];

    /// What the handler was asked, as JSON, or what was refused.
    fn asked(line: &str) -> Result<String, String> {
        let heard = |request| Reply::Done {
            message: serde_json::to_string(&request).unwrap(),
        };
        match answer(line, &heard) {
            Reply::Done { message } => Ok(message),
            Reply::Refused { message } => Err(message),
            other => panic!("{other:?}"),
        }
    }

    fn check(line: &str) -> Result<(), TestCaseError> {
        match asked(line) {
            // What was understood means the same when it is said again.
            Ok(request) => prop_assert_eq!(asked(&request), Ok(request.clone())),
            Err(why) => {
                prop_assert!(why.starts_with("the request cannot be read: "), "{}", why);
                prop_assert!(why.len() < 400 + line.len() * 4, "{}", why);
            }
        }
        Ok(())
    }

    #[test]
    fn good_requests_are_understood() {
        for line in GOOD {
            asked(line).unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_line_is_answered(line in "(?s).{0,300}") {
            check(&line)?;
        }

        #[test]
        fn a_damaged_request_is_answered(
            line in prop::sample::select(&GOOD[..]),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~门苏\u{0}]{0,5}"), 1..5),
        ) {
            let mut text: Vec<char> = line.chars().collect();
            for (from, len, new) in cuts {
                let from = from.index(text.len() + 1);
                let to = (from + len.index(9)).min(text.len());
                text.splice(from..to, new.chars());
            }
            check(&text.into_iter().collect::<String>())?;
        }
    }
}
