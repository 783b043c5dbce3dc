//! A camera with a barrier's relay, played by a listener: one that asks for a password, that
//! refuses, that talks nonsense, and that says nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod};
use gate::protocol::Relay;
use gate::relay::{self, RelayPort};
use gate::safe_off;
use gate::wiring::{Driver, InputsConfig, RelayConfig, Wiring};
use tempfile::TempDir;

/// What one opening may take, with the slack of a loaded machine.
const BOUND: Duration = Duration::from_millis(450 + 250);
const PATH: &str = "/ISAPI/Parking/channels/2/barrierGate";
const PASSWORD: &str = "open sesame";
const WORDS: &str = "<ResponseStatus><statusCode>4</statusCode><statusString>Invalid Operation\
                     </statusString></ResponseStatus>";

/// What the camera does with a request that carries a right password.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Opens,
    /// Takes every number once only.
    Forgets,
    Forbids,
    SaysNo,
    Garbage,
    Silent,
    /// Begins to say that it has opened, and stops.
    Drips,
    /// Knows only the old way, in which the password crosses the network.
    Basic,
    /// Sends elsewhere.
    Redirects,
}

struct Camera {
    folder: TempDir,
    host: String,
    heard: Receiver<String>,
}

fn answer(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}")
}

/// Reads one request; nothing when the caller has gone.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut some = [0_u8; 1024];
    loop {
        let read = stream.read(&mut some).ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&some[..read]);
        let so_far = String::from_utf8(text.clone()).unwrap();
        if so_far.ends_with("</BarrierGate>") {
            return Some(so_far);
        }
    }
}

fn is_right(request: &str, nonce: &str) -> bool {
    let Some(given) = request
        .lines()
        .find(|line| line.to_lowercase().starts_with("authorization: "))
    else {
        return false;
    };
    let Ok(mut given) = AuthorizationHeader::parse(&given[15..]) else {
        return false;
    };
    let said = given.response.clone();
    let body = request.split_once("\r\n\r\n").unwrap().1.as_bytes();
    given.digest(&AuthContext::new_with_method(
        "gate",
        PASSWORD,
        PATH,
        Some(body),
        HttpMethod::PUT,
    ));
    given.response == said && given.nonce == nonce
}

fn serve(listener: &TcpListener, mood: Mood, heard: &Sender<String>) {
    let mut nonce = 0;
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let Some(request) = request(&mut stream) else {
            continue;
        };
        assert!(
            request.starts_with(&format!("PUT {PATH} HTTP/1.1\r\n")),
            "{request}"
        );
        assert!(!request.contains(PASSWORD), "{request}");
        let right = is_right(&request, &nonce.to_string());
        let text = match mood {
            Mood::Silent | Mood::Drips if right => {
                heard.send("open".to_owned()).unwrap();
                if mood == Mood::Drips {
                    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n<Resp";
                    stream.write_all(begun).unwrap();
                }
                thread::sleep(Duration::from_secs(2));
                continue;
            }
            Mood::Basic => answer(
                "401 Unauthorized",
                "WWW-Authenticate: Basic realm=\"c\"\r\n",
                "",
            ),
            Mood::Redirects => answer("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
            _ if !right => {
                nonce += 1;
                let challenge = format!(
                    "WWW-Authenticate: Basic realm=\"c\"\r\nWWW-Authenticate: Digest \
                     realm=\"c\", qop=\"auth\", nonce=\"{nonce}\"\r\n"
                );
                heard.send("401".to_owned()).unwrap();
                answer("401 Unauthorized", &challenge, "<html>401</html>")
            }
            Mood::Forbids => answer("403 Forbidden", "", WORDS),
            Mood::SaysNo => answer("200 OK", "", WORDS),
            Mood::Garbage => "SSH-2.0-camera\r\n\u{0}\u{0}\r\n\r\n".to_owned(),
            _ => {
                let (_, body) = request.split_once("\r\n\r\n").unwrap();
                assert_eq!(body, "<BarrierGate><ctrlMode>open</ctrlMode></BarrierGate>");
                heard.send("open".to_owned()).unwrap();
                if mood == Mood::Forgets {
                    nonce += 1;
                }
                answer(
                    "200 OK",
                    "",
                    "<ResponseStatus><statusCode>1</statusCode></ResponseStatus>",
                )
            }
        };
        let _ = stream.write_all(text.as_bytes());
    }
}

impl Camera {
    fn new(mood: Mood) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), format!("{PASSWORD}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (words, heard) = channel();
        thread::spawn(move || serve(&listener, mood, &words));
        Self {
            folder,
            host,
            heard,
        }
    }

    fn wiring(&self) -> Wiring {
        let relay = RelayConfig {
            driver: Driver::Isapi,
            host: Some(self.host.clone()),
            channel: Some(2),
            user: Some("gate".to_owned()),
            password_file: Some(self.folder.path().join("secret")),
            ..RelayConfig::default()
        };
        Wiring::new(&relay, &InputsConfig::default()).unwrap()
    }

    fn open(&self) -> Box<dyn RelayPort> {
        relay::open(&self.wiring()).unwrap()
    }

    fn heard(&self) -> Vec<String> {
        self.heard.try_iter().collect()
    }
}

/// The words of an opening that must fail within its bound.
fn fails(mood: Mood) -> String {
    let camera = Camera::new(mood);
    let mut port = camera.open();
    let began = Instant::now();
    let why = port.set(Relay::Open, true).unwrap_err().to_string();
    assert!(began.elapsed() < BOUND, "{:?}: {why}", began.elapsed());
    assert!(!why.contains(PASSWORD), "{why}");
    let opens = camera.heard().iter().filter(|word| *word == "open").count();
    assert!(opens <= 1, "nothing is sent twice");
    port.release_all().unwrap();
    why
}

#[test]
fn an_energise_is_one_open_and_a_release_is_nothing() {
    let camera = Camera::new(Mood::Opens);
    let mut port = camera.open();
    safe_off(&camera.wiring()).unwrap();
    assert!(
        camera.heard().is_empty(),
        "opening the port speaks to nobody"
    );
    port.set(Relay::Open, true).unwrap();
    assert_eq!(camera.heard(), ["401", "open"]);
    port.release_all().unwrap();
    assert_eq!(port.read_contacts().unwrap(), Vec::<bool>::new());
    port.set(Relay::Open, true).unwrap();
    assert_eq!(
        camera.heard(),
        ["open"],
        "the number that the camera gave still holds"
    );
}

#[test]
fn a_number_that_has_run_out_is_asked_for_again() {
    let camera = Camera::new(Mood::Forgets);
    let mut port = camera.open();
    for _ in 0..3 {
        port.set(Relay::Open, true).unwrap();
        assert_eq!(camera.heard(), ["401", "open"]);
    }
}

#[test]
fn what_a_camera_does_not_do_is_an_error_in_its_words() {
    let why = fails(Mood::Forbids);
    assert!(
        why.contains("403") && why.contains("Invalid Operation"),
        "{why}"
    );
    let why = fails(Mood::SaysNo);
    assert!(
        why.contains("200") && why.contains("Invalid Operation"),
        "{why}"
    );
    let why = fails(Mood::Garbage);
    assert!(why.contains("may have opened"), "{why}");
    let why = fails(Mood::Silent);
    assert!(why.contains("may have opened"), "{why}");
    let why = fails(Mood::Basic);
    assert!(why.contains("to digest"), "{why}");
    let why = fails(Mood::Redirects);
    assert!(why.contains("302"), "{why}");
}

#[test]
fn an_answer_that_does_not_end_is_waited_for_no_longer() {
    let camera = Camera::new(Mood::Drips);
    let mut port = camera.open();
    let began = Instant::now();
    port.set(Relay::Open, true).unwrap();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
}

#[test]
fn a_wrong_password_is_tried_once_and_never_shown() {
    let camera = Camera::new(Mood::Opens);
    std::fs::write(camera.folder.path().join("secret"), "swordfish").unwrap();
    let mut port = camera.open();
    let why = port.set(Relay::Open, true).unwrap_err().to_string();
    assert!(
        why.contains("401") && why.contains("correct user and password"),
        "{why}"
    );
    assert!(!why.contains("swordfish"), "{why}");
    assert_eq!(camera.heard(), ["401", "401"]);
    let json = serde_json::to_string(&camera.wiring()).unwrap();
    assert!(!json.contains("swordfish"));
    std::fs::remove_file(camera.folder.path().join("secret")).unwrap();
    let why = relay::open(&camera.wiring()).err().unwrap().to_string();
    assert!(why.contains("password"), "{why}");
}

#[test]
fn a_camera_that_is_off_has_not_opened() {
    let camera = Camera::new(Mood::Opens);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let absent = Camera { host, ..camera };
    let why = absent
        .open()
        .set(Relay::Open, true)
        .unwrap_err()
        .to_string();
    assert!(!why.contains("may have opened"), "{why}");
}
