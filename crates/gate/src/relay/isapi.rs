//! A camera that holds the barrier's relay itself, over Hikvision's HTTP interface (ISAPI).
//!
//! Such a camera is told `open` and pulses its own relay for the time set in the camera. It
//! holds no level for us: energising sends one `open`, releasing sends nothing and cannot cut
//! the camera's pulse short, and opening the port speaks to nobody. So the length of the
//! pulse, and that it ends, are the camera's; `pulse` only says how long until the next may
//! follow. STOP keeps the next pulse back, but does not break one off.
//!
//! Digest authentication only: with it the password never crosses the network, and a recorded
//! request is worth nothing later. Everything together takes [`LIMIT`] at most. No answer in
//! that time is an error, which says that the camera may have opened; nothing is sent twice.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{PortError, RelayPort};
use crate::protocol::Relay;
use crate::time::Monotonic;

/// The longest time for both requests: below the 500 ms of silence after which a pulse is cut
/// off, and the 600 ms after which the daemon gives up a guard that does not answer.
const LIMIT: Duration = Duration::from_millis(450);
const OPEN: &str = "<BarrierGate><ctrlMode>open</ctrlMode></BarrierGate>";
/// An answer is a few lines; more is not read.
const ANSWER_MAX: u64 = 4096;
/// The most that is repeated of it.
const WORDS_MAX: usize = 120;
const PASSWORD_MAX: usize = 1024;

/// A camera's password, which does not show itself.
pub struct Password(String);

impl Password {
    /// Reads the password that stands alone in `file`; a line end after it is not part of it.
    ///
    /// # Errors
    /// [`PortError`] when the file cannot be read, is empty, or is no password.
    pub fn read(file: &Path) -> Result<Self, PortError> {
        let failed = |why: String| PortError {
            port: file.display().to_string(),
            what: "reading the camera's password",
            why,
            cure: "write the password and nothing else into the file, one line, and let the \
                   program's user read it",
        };
        let text = std::fs::read_to_string(file).map_err(|why| failed(why.to_string()))?;
        let text = text.trim_end_matches(['\r', '\n']);
        match text.len() {
            0 => Err(failed("the file is empty".to_owned())),
            1..=PASSWORD_MAX if !text.contains('\n') => Ok(Self(text.to_owned())),
            _ => Err(failed("that is no password".to_owned())),
        }
    }
}

pub(super) struct IsapiCamera {
    port: String,
    url: String,
    target: String,
    user: String,
    password: Password,
    agent: Agent,
    /// What the camera wanted last time; asked again it would cost a round trip.
    wanted: Option<WwwAuthenticateHeader>,
}

impl IsapiCamera {
    pub(super) fn open(
        address: SocketAddr,
        channel: u8,
        user: &str,
        password_file: &Path,
    ) -> Result<Self, PortError> {
        let target = format!("/ISAPI/Parking/channels/{channel}/barrierGate");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("menshen/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            port: format!("camera {address} barrier {channel}"),
            url: format!("http://{address}{target}"),
            target,
            user: user.to_owned(),
            password: Password::read(password_file)?,
            agent: Agent::new_with_config(config),
            wanted: None,
        })
    }

    fn failed(&self, why: String, cure: &'static str) -> PortError {
        PortError {
            port: self.port.clone(),
            what: "opening",
            why,
            cure,
        }
    }

    fn ask(&mut self, until: Monotonic) -> Result<Response<Body>, PortError> {
        let authorization = self.authorization()?;
        let left = until.since(Monotonic::read());
        let mut request = self
            .agent
            .put(&self.url)
            .config()
            // Zero would mean that there is no limit.
            .timeout_global(Some(left.max(Duration::from_millis(1))))
            .build()
            .header(header::CONTENT_TYPE, "application/xml");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.send(OPEN).map_err(|why| {
            let doubt = if never_reached(&why) {
                ""
            } else {
                " (the camera may have opened all the same)"
            };
            self.failed(
                format!("{why}{doubt}"),
                "check the camera's supply, its cable, and host",
            )
        })
    }

    fn authorization(&mut self) -> Result<Option<String>, PortError> {
        let Some(prompt) = &mut self.wanted else {
            return Ok(None);
        };
        let context = AuthContext::new_with_method(
            self.user.as_str(),
            self.password.0.as_str(),
            self.target.as_str(),
            Some(OPEN.as_bytes()),
            HttpMethod::PUT,
        );
        let answer = prompt.respond(&context).map(|answer| answer.to_string());
        answer.map(Some).map_err(|why| {
            self.wanted = None;
            self.failed(
                format!("digest authentication: {why}"),
                "set the camera's web authentication to digest with MD5 or SHA-256",
            )
        })
    }

    fn demanded(&self, answer: &Response<Body>) -> Result<WwwAuthenticateHeader, PortError> {
        answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|offer| offer.to_str().ok())
            .filter(|offer| {
                let word = offer.trim_start().get(..6);
                word.is_some_and(|word| word.eq_ignore_ascii_case("digest"))
            })
            .find_map(|offer| digest_auth::parse(offer).ok())
            .ok_or_else(|| {
                self.failed(
                    "the camera wants a password otherwise than by digest authentication".into(),
                    "set the camera's web authentication to digest",
                )
            })
    }

    fn tell_open(&mut self) -> Result<(), PortError> {
        let until = Monotonic::read() + LIMIT;
        let mut answer = self.ask(until)?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // Not carried out: the camera asks who it is, or the number it gave has run out.
            self.wanted = Some(self.demanded(&answer)?);
            answer = self.ask(until)?;
        }
        let status = answer.status();
        let mut body = Vec::new();
        // What is lost of the words changes nothing about the answer.
        let _ = answer
            .into_body()
            .into_reader()
            .take(ANSWER_MAX)
            .read_to_end(&mut body);
        let body = String::from_utf8_lossy(&body);
        if status == StatusCode::OK && !refuses(&body) {
            return Ok(());
        }
        let cure = match status {
            StatusCode::UNAUTHORIZED => {
                self.wanted = None;
                "correct user and password; a camera that was asked wrongly too often locks \
                 the user for a while"
            }
            StatusCode::FORBIDDEN => "give the user the right to control the barrier",
            StatusCode::NOT_FOUND => {
                "correct channel; only entrance cameras that drive a barrier know this request"
            }
            _ => "look into the camera's own pages for the state of its barrier",
        };
        let words = words(&body);
        Err(self.failed(format!("the camera answers {status}: {words}"), cure))
    }
}

/// Whether the request did not even leave.
fn never_reached(why: &ureq::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match why {
        ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(why) => matches!(
            why.kind(),
            ConnectionRefused | HostUnreachable | NetworkUnreachable
        ),
        _ => false,
    }
}

/// The text of the first element `name`.
fn element<'b>(body: &'b str, name: &str) -> Option<&'b str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(text.trim())
}

/// Whether an answer says no although its status is 200: 0 and 1 mean that it was done.
fn refuses(body: &str) -> bool {
    element(body, "statusCode").is_some_and(|code| !["0", "1"].contains(&code))
}

/// The camera's words: the reason in its answer, or how the answer begins.
fn words(body: &str) -> String {
    let reasons: Vec<&str> = ["statusString", "subStatusCode"]
        .iter()
        .filter_map(|name| element(body, name))
        .collect();
    let text = if reasons.is_empty() {
        body.trim().to_owned()
    } else {
        reasons.join(", ")
    };
    let printable = text.chars().filter(|c| !c.is_control());
    match printable.take(WORDS_MAX).collect::<String>() {
        text if text.is_empty() => "(no words)".to_owned(),
        text => text,
    }
}

impl RelayPort for IsapiCamera {
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError> {
        let Relay::Open = relay;
        if energised { self.tell_open() } else { Ok(()) }
    }

    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_cameras_words_are_found() {
        let body = "<ResponseStatus>\n<statusCode>4</statusCode>\n<statusString>Invalid \
                    Operation</statusString><subStatusCode>lowPrivilege</subStatusCode>";
        assert!(refuses(body));
        assert_eq!(words(body), "Invalid Operation, lowPrivilege");
        assert!(!refuses("<statusCode>1</statusCode>"));
        assert!(!refuses(""));
        assert_eq!(words("\r\n"), "(no words)");
        assert_eq!(words("no \u{7}barrier"), "no barrier");
    }

    #[test]
    fn a_password_stands_alone_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert!(Password::read(&file).is_err());
        for (text, fine) in [("open sesame\r\n", true), ("", false), ("a\nb", false)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Password::read(&file).is_ok(), fine, "{text:?}");
        }
        std::fs::write(&file, "open sesame\r\n").unwrap();
        assert_eq!(Password::read(&file).unwrap().0, "open sesame");
    }

    proptest! {
        #[test]
        fn any_answer_has_short_words(body in any::<String>()) {
            let _ = refuses(&body);
            let words = words(&body);
            prop_assert!(words.chars().count() <= WORDS_MAX);
            prop_assert!(!words.contains(char::is_control));
        }
    }
}
