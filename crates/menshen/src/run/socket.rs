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
    /// Writes events down as if a lane had handed them over, and answers when they are durable.
    #[cfg(feature = "injection")]
    Inject {
        /// What happened.
        events: Vec<domain::Event>,
    },
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
    Registry(Box<Outcome>),
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

/// Whether a gate is running there.
///
/// # Errors
/// If it is running and cannot be spoken to.
pub(crate) fn is_served(path: &Path) -> std::io::Result<bool> {
    connect(path).map(|stream| stream.is_some())
}

fn connect(path: &Path) -> std::io::Result<Option<UnixStream>> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Asks a running gate; `None` if none is running there.
///
/// # Errors
/// If it is running and cannot be spoken to.
pub(crate) fn ask(path: &Path, request: &Request) -> std::io::Result<Option<Reply>> {
    let Some(mut stream) = connect(path)? else {
        return Ok(None);
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
    //! `MENSHEN_FUZZ_SECONDS=600 cargo test --release --workspace under_mutation`.
    #![allow(clippy::unwrap_used)]
    use std::net::Shutdown;

    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use serde_json::Value;

    use super::*;
    use crate::config::mutation::{attack, slipped, slips};

    const GOOD: [&str; 17] = [
        r#"{"do":"status"}"#,
        r#"{"do":"answer","lane":"entry","passage":"01a20d9f-9e2a-71a3-9c26-ec172b4045db","admit":true,"by":"王"}"#,
        r#"{"do":"answer","lane":null,"passage":null,"admit":false,"by":""}"#,
        r#"{"do":"registry","change":{"what":"list"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"remove","plate":"苏E12345"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"add","vehicle":{"plate":"苏E12345"}},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"import","vehicles":[{"plate":"苏ED12345"},{"plate":"WJ苏12345"}]},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"add","vehicle":{"plate":"苏E12345","owner":"王","building":"3","unit":"2","phone":"1","valid_until":"2026-12-31"}},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"edit","edits":[{"edit":"put","what":{"record":"space","id":"B1","household":"3-2","shared_by":["苏E12345"]}},{"edit":"remove","what":{"record":"visit","key":["苏E12345","2026-11-25T08:00:00"]}}],"why":"moved"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"edit","edits":[{"edit":"put","what":{"record":"schedule","id":"菜车","windows":["mon-sat 05:00-07:30"]}},{"edit":"put","what":{"record":"rules","always_pass":["police"],"capacity":637}}]},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"mark-outside","plate":"苏E12345","why":"looked"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"verify"},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"journal","from":1,"limit":500},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"pass","ask":{"about":"list"}},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"pass","ask":{"about":"sign","numbers":[1,637]}},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"pass","ask":{"about":"check","text":"MS1:AAAA","plate":"苏E12345","admit":true}},"by":"guard"}"#,
        r#"{"do":"registry","change":{"what":"pass","ask":{"about":"issue","passes":[{"number":637,"edition":1,"bearer":{"is":"vehicle","plate":"苏E12345"},"from":"2026-01-01","until":"2026-12-31","entries":3},{"number":638,"edition":2,"bearer":{"is":"foot"},"from":"2026-01-01","until":"2026-12-31","revoked":"遗失"}],"why":"moved in"}},"by":"guard"}"#,
    ];

    /// What may stand anywhere in a request, and what may stand nowhere.
    const VALUES: [&str; 18] = [
        "null",
        "true",
        "0",
        "-1",
        "18446744073709551616",
        "1e308",
        r#""""#,
        r#""entry""#,
        r#""status""#,
        r#""list""#,
        r#""苏E12345""#,
        r#""苏E1234I""#,
        r#""2026-13-45""#,
        r#""01a20d9f-9e2a-71a3-9c26-ec172b4045db""#,
        r#""\u0000门""#,
        "[]",
        "{}",
        r#"[{"what":{"plate":[[]]}}]"#,
    ];

    const KEYS: [&str; 13] = [
        "do",
        "lane",
        "passage",
        "admit",
        "by",
        "change",
        "what",
        "vehicle",
        "vehicles",
        "plate",
        "valid_until",
        "门",
        "",
    ];

    /// A change of a request's tree, at one of its values.
    #[derive(Debug, Clone)]
    enum Graft {
        /// This in its place.
        Value(Index, &'static str),
        /// A key of its own with this value; with an index, in the place of that one.
        Key(Index, &'static str, &'static str, Option<Index>),
        /// One of its keys or elements goes.
        Drop(Index, Index),
        /// Itself again, within so many lists.
        Deep(Index, usize),
    }

    fn grafts() -> impl Strategy<Value = Vec<Graft>> {
        let place = any::<Index>;
        let value = || select(&VALUES[..]);
        let graft = prop_oneof![
            3 => (place(), value()).prop_map(|(at, value)| Graft::Value(at, value)),
            3 => (place(), select(&KEYS[..]), value(), any::<Option<Index>>())
                .prop_map(|(at, key, value, old)| Graft::Key(at, key, value, old)),
            3 => (place(), place()).prop_map(|(at, which)| Graft::Drop(at, which)),
            1 => (place(), 1_usize..200).prop_map(|(at, depth)| Graft::Deep(at, depth)),
        ];
        prop::collection::vec(graft, 0..4)
    }

    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(map) => map.values().map(count).sum(),
            _ => 0_usize,
        }
    }

    /// The `left`-th value of a tree, itself being the first.
    fn nth<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
        if *left == 0 {
            return Some(value);
        }
        *left -= 1;
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
            Value::Object(map) => map.values_mut().find_map(|item| nth(item, left)),
            _ => None,
        }
    }

    fn grafted(line: &str, grafts: &[Graft]) -> String {
        let parse = |text: &str| -> Value {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        };
        let mut tree = parse(line);
        for graft in grafts {
            let (Graft::Value(at, _)
            | Graft::Key(at, ..)
            | Graft::Drop(at, _)
            | Graft::Deep(at, _)) = graft;
            let mut left = at.index(count(&tree));
            let Some(here) = nth(&mut tree, &mut left) else {
                continue;
            };
            match (graft, here) {
                (Graft::Value(_, new), here) => *here = parse(new),
                (Graft::Key(_, key, value, old), Value::Object(map)) => {
                    let old = old.filter(|_| !map.is_empty()).and_then(|old| {
                        let name = map.keys().nth(old.index(map.len()))?.clone();
                        map.remove(&name)
                    });
                    map.insert((*key).to_owned(), old.unwrap_or_else(|| parse(value)));
                }
                (Graft::Drop(_, which), Value::Object(map)) if !map.is_empty() => {
                    let name = map.keys().nth(which.index(map.len())).cloned();
                    name.and_then(|name| map.remove(&name));
                }
                (Graft::Drop(_, which), Value::Array(items)) if !items.is_empty() => {
                    items.remove(which.index(items.len()));
                }
                (Graft::Deep(_, depth), here) => {
                    for _ in 0..*depth {
                        *here = Value::Array(vec![here.take()]);
                    }
                }
                (Graft::Key(..) | Graft::Drop(..), _) => {}
            }
        }
        tree.to_string()
    }

    /// Says back what was asked, as JSON.
    fn echo() -> impl Fn(Request) -> Reply + Send + Sync {
        |request| Reply::Done {
            message: serde_json::to_string(&request).unwrap(),
        }
    }

    /// What the handler was asked, as JSON, or what was refused.
    fn asked(line: &str) -> Result<String, String> {
        match answer(line, &echo()) {
            Reply::Done { message } => Ok(message),
            Reply::Refused { message } => Err(message),
            other => panic!("{other:?}"),
        }
    }

    /// One line is answered: what was understood means the same when it is said again, and what
    /// was not is refused in a sentence that says why. (It need not name the key: serde does not
    /// know it any more where a tag decides what the keys are.)
    fn answered(line: &str) -> Result<(), TestCaseError> {
        match asked(line) {
            Ok(request) => prop_assert_eq!(asked(&request), Ok(request.clone())),
            Err(why) => {
                let said = why.strip_prefix("the request cannot be read: ");
                let words = said.map_or(0, |said| said.split_whitespace().count());
                prop_assert!(words >= 2, "{}", why);
                prop_assert!(why.len() < 400 + line.len() * 4, "{}", why);
            }
        }
        Ok(())
    }

    /// A peer that says all this and hangs up gets one reply to each line that is text.
    fn served(said: &[u8]) -> Result<(), TestCaseError> {
        let (mut peer, daemon) = UnixStream::pair().unwrap();
        let replies = std::thread::scope(|scope| {
            scope.spawn(move || serve(&daemon, &echo()));
            peer.write_all(said).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            let mut replies = String::new();
            peer.read_to_string(&mut replies).map(|_| replies)
        });
        let replies = replies.unwrap();
        let texts = said
            .split_inclusive(|byte| *byte == b'\n')
            .take_while(|line| std::str::from_utf8(line).is_ok());
        prop_assert_eq!(replies.lines().count(), texts.count());
        for reply in replies.lines() {
            prop_assert!(serde_json::from_str::<Reply>(reply).is_ok(), "{}", reply);
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
            answered(&line)?;
        }
    }

    #[test]
    fn requests_under_mutation_are_answered() {
        let inputs = (select(&GOOD[..]), grafts(), slips(3));
        attack("requests", 10_000, &inputs, |(line, grafts, slips)| {
            let said = slipped(&grafted(line, &grafts), &slips);
            for line in String::from_utf8_lossy(&said).lines() {
                answered(line)?;
            }
            served(&said)
        });
    }
}
