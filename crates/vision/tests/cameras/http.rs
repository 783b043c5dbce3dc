//! Snapshots and MJPEG against web servers of a few lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::parts::{jpeg, vast_jpeg, watch};

/// Serves each connection with `answer(request head, number of the request)`; keeps serving
/// until the test ends. Gives the address.
fn serve(
    mut answer: impl FnMut(&str, usize, &mut TcpStream) -> std::io::Result<()> + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let mut stream = stream;
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
            // The camera may hang up at any time; the next request is what counts.
            drop(answer(&head, number, &mut stream));
        }
    });
    format!("http://{address}")
}

fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    stream.write_all(body)
}

#[test]
fn bad_snapshots_are_refused_and_good_ones_still_come() {
    let mut cmyk_like = jpeg(64, 64, 3);
    let frame = cmyk_like
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    cmyk_like[frame + 9] = 200;
    let good = jpeg(320, 240, 200);
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        (
            "garbage",
            (0..5000_u32).map(|i| ((i * 7919) >> 3) as u8).collect(),
        ),
        ("truncated in its header", good[..40].to_vec()),
        ("30,000 x 30,000", vast_jpeg()),
        ("200 channels", cmyk_like),
        ("a web page", b"<html>please log in</html>".to_vec()),
    ];
    for (what, body) in bad {
        let good = good.clone();
        let url = serve(move |_, number, stream| {
            let body = if number == 0 { &body } else { &good };
            send(stream, "200 OK", "Content-Type: image/jpeg\r\n", body)
        });
        let camera = watch(&format!(
            "kind = 'snapshot'\nurl = '{url}/snap'\nperiod = '50ms'"
        ));
        let reason = camera.refused();
        assert!(!reason.is_empty());
        println!("{what}: {reason}");
        let frame = camera.frame();
        assert_eq!((frame.width, frame.height), (320, 240), "{what}");
        assert!(camera.handle.counts().refused >= 1);
    }
}

#[test]
fn a_camera_that_hangs_up_without_a_word_after_each_picture_stays_online() {
    let url = serve(|_, _, stream| {
        let body = jpeg(24, 24, 7);
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)
    });
    let camera = watch(&format!(
        "kind = 'snapshot'\nurl = '{url}'\nperiod = '50ms'"
    ));
    for _ in 0..10 {
        assert_eq!(camera.frame().width, 24);
    }
    assert_eq!(camera.handle.counts().attempts, 1);
}

#[test]
fn a_tiny_picture_is_a_picture() {
    let url = serve(|_, _, stream| send(stream, "200 OK", "", &jpeg(1, 1, 9)));
    let camera = watch(&format!(
        "kind = 'snapshot'\nurl = '{url}'\nperiod = '50ms'"
    ));
    let frame = camera.frame();
    assert_eq!((frame.width, frame.height, frame.rgb.len()), (1, 1, 3));
}

#[test]
fn answers_that_are_no_picture_name_the_cure() {
    for (status, headers, part) in [
        ("404 Not Found", "", "path in url"),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"cam\"\r\n",
            "password_file",
        ),
        ("302 Found", "Location: /elsewhere\r\n", "redirects"),
        ("500 Oops", "", "500"),
    ] {
        let url = serve(move |_, _, stream| send(stream, status, headers, b""));
        let reason = watch(&format!("kind = 'snapshot'\nurl = '{url}/snap'")).offline();
        assert!(reason.contains(part), "{status}: {reason}");
    }
    let url = serve(|_, _, stream| send(stream, "200 OK", "Content-Type: text/html\r\n", b"hi"));
    let reason = watch(&format!("kind = 'mjpeg'\nurl = '{url}'")).offline();
    assert!(reason.contains("page"), "{reason}");
    let url = serve(|_, _, stream| {
        send(
            stream,
            "200 OK",
            "Content-Type: image/jpeg\r\n",
            &jpeg(8, 8, 1),
        )
    });
    let reason = watch(&format!("kind = 'mjpeg'\nurl = '{url}'")).offline();
    assert!(reason.contains("snapshot"), "{reason}");
}

#[test]
fn basic_and_digest_logins_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "open sesame").unwrap();
    for (demand, wanted) in [
        ("Basic realm=\"cam\"", "Basic Z2F0ZTpvcGVuIHNlc2FtZQ=="),
        (
            "Digest realm=\"cam\", nonce=\"abc\", qop=\"auth\", algorithm=MD5",
            "Digest ",
        ),
    ] {
        let url = serve(move |head, _, stream| {
            let line = head.lines().find_map(|line| {
                line.split_once(": ")
                    .filter(|(key, _)| key.eq_ignore_ascii_case("authorization"))
            });
            match line {
                Some((_, value)) if authorised(value, wanted) => {
                    send(stream, "200 OK", "", &jpeg(16, 16, 5))
                }
                _ => send(
                    stream,
                    "401 Unauthorized",
                    &format!("WWW-Authenticate: {demand}\r\n"),
                    b"",
                ),
            }
        });
        let camera = watch(&format!(
            "kind = 'snapshot'\nurl = '{url}/snap?channel=1'\nuser = 'gate'\n\
             password_file = '{}'\nperiod = '50ms'",
            secret.display()
        ));
        for _ in 0..3 {
            assert_eq!(camera.frame().width, 16, "{demand}");
        }
    }
}

/// Checks a digest the way a camera does: by computing it from the answer's own fields.
fn authorised(value: &str, wanted: &str) -> bool {
    if wanted.starts_with("Basic") {
        return value == wanted;
    }
    let Ok(mut header) = digest_auth::AuthorizationHeader::parse(value) else {
        return false;
    };
    let given = header.response.clone();
    let context = digest_auth::AuthContext::new("gate", "open sesame", "/snap?channel=1");
    header.digest(&context);
    given == header.response && value.contains("uri=\"/snap?channel=1\"")
}

#[test]
fn an_mjpeg_stream_goes_on_through_garbage_and_returns_after_a_cut() {
    let url = serve(|_, _, stream| {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )?;
        let whole = jpeg(160, 120, 100);
        for number in 0..12_u8 {
            write!(stream, "--frame\r\nContent-Type: image/jpeg\r\n\r\n")?;
            match number {
                3 => stream.write_all(&whole[..whole.len() / 2])?,
                5 => stream.write_all(&vec![0x55; 70_000])?,
                7 => stream.write_all(&vast_jpeg())?,
                _ => stream.write_all(&jpeg(160, 120, number * 20))?,
            }
            stream.flush()?;
            std::thread::sleep(Duration::from_millis(40));
        }
        Ok(())
    });
    let camera = watch(&format!("kind = 'mjpeg'\nurl = '{url}/video'"));
    for _ in 0..6 {
        assert_eq!(camera.frame().width, 160);
    }
    camera.refused();
    assert!(camera.offline().contains("ended"));
    for _ in 0..4 {
        assert_eq!(camera.frame().width, 160);
    }
    assert!(camera.handle.counts().attempts >= 2);
}
