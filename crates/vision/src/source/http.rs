//! Cameras by HTTP: single snapshots, and endless MJPEG answers.
//!
//! Basic and digest authentication; the password is sent only when the camera asks for it.

use std::time::Duration;

use digest_auth::{AuthContext, WwwAuthenticateHeader};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};
use url::Url;

use super::config::{Login, Secret, show_url};
use super::jpeg;
use super::pi::split;
use super::session::{Inbox, Over, Pixels, Session, Source, Worker};

/// How long the camera may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A picture fetched again and again.
pub(super) struct Snapshot {
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    pub(super) period: Duration,
}

impl Source for Snapshot {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let mut client = Client::new(&self.url, self.login.as_ref(), Some(ANSWER * 2))?;
        let period = self.period;
        let worker = Worker::start("snapshot", inbox, move |inbox, stop| {
            loop {
                let begun = std::time::Instant::now();
                let answer = client.get()?;
                let bytes = answer
                    .into_body()
                    .into_with_config()
                    .limit(jpeg::MAX_BYTES as u64)
                    .read_to_vec()
                    .map_err(|error| client.broke_off(&error))?;
                inbox.picture(Pixels::Encoded { bytes, name: None });
                if stop.sleep(period.saturating_sub(begun.elapsed())) {
                    return Ok(Over::Stopped);
                }
                // Fetching faster than pictures are decoded would be work for nobody.
                while inbox.is_waiting() {
                    if stop.sleep(Duration::from_millis(5)) {
                        return Ok(Over::Stopped);
                    }
                }
            }
        })?;
        Ok(Box::new(worker))
    }
}

/// An endless answer of JPEG pictures.
pub(super) struct Mjpeg {
    pub(super) url: Url,
    pub(super) login: Option<Login>,
    pub(super) fps: Option<f64>,
}

impl Source for Mjpeg {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let mut client = Client::new(&self.url, self.login.as_ref(), None)?;
        let least = self.fps.map(|fps| Duration::from_secs_f64(0.9 / fps));
        let worker = Worker::start("mjpeg", inbox, move |inbox, stop| {
            let answer = client.get()?;
            let kind = answer
                .body()
                .mime_type()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if kind == "image/jpeg" {
                return Err(format!(
                    "{} answers with a single picture; use kind = \"snapshot\"",
                    client.shown
                ));
            }
            if kind.starts_with("text/") {
                return Err(format!(
                    "{} answers with a page ({kind}), not a stream of pictures; correct url",
                    client.shown
                ));
            }
            let body = answer
                .into_body()
                .into_with_config()
                .limit(u64::MAX)
                .reader();
            match split(body, inbox, stop, least)? {
                Over::Ended => Err(format!("{} ended its stream", client.shown)),
                Over::Stopped => Ok(Over::Stopped),
            }
        })?;
        Ok(Box::new(worker))
    }
}

struct Client {
    agent: Agent,
    url: Url,
    shown: String,
    login: Option<(String, Secret)>,
    /// What the camera wanted last time; asked again it would cost a round trip each.
    wanted: Option<Wanted>,
}

enum Wanted {
    Basic,
    Digest(Box<WwwAuthenticateHeader>),
}

impl Client {
    fn new(url: &Url, login: Option<&Login>, whole: Option<Duration>) -> Result<Self, String> {
        let login = match login {
            None => None,
            Some(Login { user, password }) => Some((user.clone(), password.read()?)),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Following a camera elsewhere could send its password elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(ANSWER))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER))
            .timeout_global(whole)
            .user_agent(concat!("menshen/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            url: url.clone(),
            shown: show_url(url),
            login,
            wanted: None,
        })
    }

    fn broke_off(&self, error: &ureq::Error) -> String {
        format!("{}: {error}", self.shown)
    }

    /// Asks for the picture or stream, with user and password if the camera wants them.
    fn get(&mut self) -> Result<Response<Body>, String> {
        let mut answer = self.ask()?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            if self.login.is_none() {
                return Err(format!(
                    "{} wants a user and a password; set user and password_file",
                    self.shown
                ));
            }
            self.wanted = Some(self.demanded(&answer)?);
            answer = self.ask()?;
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let cure = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; correct user and password",
            StatusCode::NOT_FOUND => "; correct the path in url as the camera's manual says",
            _ if status.is_redirection() => "; put the address it redirects to into url",
            _ => "",
        };
        Err(format!("{} answers {status}{cure}", self.shown))
    }

    fn ask(&mut self) -> Result<Response<Body>, String> {
        let mut request = self.agent.get(self.url.as_str());
        if let Some(authorization) = self.authorization()? {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.call().map_err(|error| self.broke_off(&error))
    }

    fn authorization(&mut self) -> Result<Option<String>, String> {
        let (Some((user, password)), Some(wanted)) = (&self.login, &mut self.wanted) else {
            return Ok(None);
        };
        match wanted {
            Wanted::Basic => Ok(Some(format!(
                "Basic {}",
                base64(format!("{user}:{}", password.0).as_bytes())
            ))),
            Wanted::Digest(prompt) => {
                let target = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
                let context = AuthContext::new(user.as_str(), password.0.as_str(), target);
                let answer = prompt.respond(&context).map_err(|error| {
                    format!("{}: digest authentication failed: {error}", self.shown)
                })?;
                Ok(Some(answer.to_string()))
            }
        }
    }

    /// The best of the ways to identify oneself that the camera takes.
    fn demanded(&self, answer: &Response<Body>) -> Result<Wanted, String> {
        let offers: Vec<&str> = answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|offer| offer.to_str().ok())
            .collect();
        let begins = |offer: &str, word: &str| {
            offer
                .trim_start()
                .get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        let digest = offers
            .iter()
            .filter(|offer| begins(offer, "digest"))
            .find_map(|offer| digest_auth::parse(offer).ok());
        if let Some(prompt) = digest {
            return Ok(Wanted::Digest(Box::new(prompt)));
        }
        if offers.iter().any(|offer| begins(offer, "basic")) {
            return Ok(Wanted::Basic);
        }
        Err(format!(
            "{} wants a way to identify oneself that is neither basic nor digest: {offers:?}",
            self.shown
        ))
    }
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_standard_has_it() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
