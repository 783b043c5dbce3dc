//! Network cameras: GStreamer's RTSP server as the camera.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vision::Frame;
use vision::source::{Clock, SystemClock};

use super::parts::{Watched, command_lines, eventually, no_ffmpeg, no_rtsp_server, watch};

/// A running RTSP server; killed when dropped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/rtsp_server.py");
        let mut process = Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("ready ")
            .expect("the server did not start")
            .to_owned();
        Self { process, url }
    }

    fn port(&self) -> String {
        self.url
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How old the frame is, after the clock in its top rows; `None` if that cannot be read.
fn age(frame: &Frame) -> Option<Duration> {
    let mut shown = 0_u32;
    for bit in 0..32 {
        let pixel = (8 * frame.width as usize + bit * 16 + 8) * 3;
        let bright = frame.rgb[pixel + 1];
        if (90..165).contains(&bright) {
            return None;
        }
        shown = shown << 1 | u32::from(bright >= 165);
    }
    let now = (frame.at.as_nanos() / 1_000_000) as u32;
    Some(Duration::from_millis(u64::from(now.wrapping_sub(shown))))
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn comes_and_returns(codec: &str) {
    if no_ffmpeg() || no_rtsp_server() {
        return;
    }
    let mut server = Server::start(&["--port", "0", "--codec", codec, "--fps", "5"]);
    let camera = watch(&format!("kind = 'rtsp'\nurl = '{}'", server.url));
    let first = camera.frame();
    assert_eq!((first.width, first.height), (640, 360));
    let mut ages: Vec<Duration> = (0..20).filter_map(|_| age(&camera.frame())).collect();
    assert!(
        ages.len() >= 18,
        "the clock in the picture could be read {} times",
        ages.len()
    );
    ages.sort();
    println!(
        "{codec}: from the encoder's input to the frame: median {:?}, p90 {:?}, most {:?}",
        quantile(&ages, 0.5),
        quantile(&ages, 0.9),
        quantile(&ages, 1.0)
    );
    // Some 10 ms is usual. A decoder that holds one picture back adds 200 ms to every age, a
    // busy machine only to some.
    assert!(
        ages[0] < Duration::from_millis(190),
        "the youngest was {:?}",
        ages[0]
    );

    server.kill();
    camera.offline();
    while camera
        .handle
        .next_frame(Duration::from_millis(300))
        .is_some()
    {}
    let server = Server::start(&["--port", &server.port(), "--codec", codec]);
    let back = Instant::now();
    camera.frame();
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?} after its return",
        back.elapsed()
    );
    println!(
        "{codec}: a frame {:?} after the camera's return",
        back.elapsed()
    );
    drop(camera);
    drop(server);
}

#[test]
fn an_h264_camera_comes_goes_and_returns() {
    comes_and_returns("h264");
}

#[test]
fn an_h265_camera_comes_goes_and_returns() {
    comes_and_returns("h265");
}

#[test]
fn a_camera_that_hangs_is_offline_and_comes_back() {
    if no_ffmpeg() || no_rtsp_server() {
        return;
    }
    let server = Server::start(&["--port", "0"]);
    let camera = watch(&format!(
        "kind = 'rtsp'\nurl = '{}'\nsilent_after = '1s'",
        server.url
    ));
    camera.frame();
    let process = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let reason = camera.offline();
    assert!(reason.contains("no picture for 1 s"), "{reason}");
    while camera
        .handle
        .next_frame(Duration::from_millis(300))
        .is_some()
    {}
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    camera.frame();
}

#[test]
fn clips_in_both_codecs_are_shown_beyond_their_end() {
    if no_ffmpeg() || no_rtsp_server() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i"])
        .arg("color=red:size=640x360:rate=10:duration=1.5")
        .args(["-pix_fmt", "yuv420p"])
        .arg(&clip)
        .status()
        .unwrap();
    assert!(made.success());
    for codec in ["h264", "h265"] {
        let clip = clip.to_str().unwrap();
        let server = Server::start(&["--port", "0", "--codec", codec, "--file", clip]);
        let camera = watch(&format!("kind = 'rtsp'\nurl = '{}'", server.url));
        for _ in 0..25 {
            let frame = camera.frame();
            let middle = (180 * 640 + 320) * 3;
            let [r, g, b] = [0, 1, 2].map(|channel| frame.rgb[middle + channel]);
            assert!(
                r > 180 && g < 70 && b < 70,
                "{codec}: {r} {g} {b} is not red"
            );
        }
        assert_eq!(camera.handle.counts().attempts, 1);
    }
}

#[test]
fn a_password_is_used_but_stands_nowhere() {
    if no_ffmpeg() || no_rtsp_server() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "ferry-otter-19\n").unwrap();
    // The server gets its password by its command line; it is started, and gone from the
    // search below, under another process.
    let server = Server::start(&[
        "--port",
        "0",
        "--user",
        "gate",
        "--password",
        "ferry-otter-19",
    ]);
    let server_id = server.process.id();
    let table = format!(
        "kind = 'rtsp'\nurl = '{}'\nuser = 'gate'\npassword_file = '{}'",
        server.url,
        secret.display()
    );
    let camera = watch(&table);
    camera.frame();
    let shown: Vec<String> = command_lines()
        .into_iter()
        .filter(|line| line.contains("ferry-otter-19"))
        .collect();
    assert_eq!(shown.len(), 1, "besides the server {server_id}: {shown:?}");
    assert!(!format!("{:?}", camera.events.try_iter().collect::<Vec<_>>()).contains("otter"));
    drop(camera);

    std::fs::write(&secret, "wrong\n").unwrap();
    let reason = watch(&table).offline();
    assert!(
        reason.contains("401") && reason.contains("password"),
        "{reason}"
    );
    let reason = watch(&format!("kind = 'rtsp'\nurl = '{}'", server.url)).offline();
    assert!(reason.contains("password_file"), "{reason}");
}

#[test]
fn size_and_rate_are_cut_down_before_the_pipe_and_children_end_with_the_camera() {
    if no_ffmpeg() || no_rtsp_server() {
        return;
    }
    let server = Server::start(&["--port", "0", "--fps", "20"]);
    // A width that no other test uses marks this camera's child.
    let camera = watch(&format!(
        "kind = 'rtsp'\nurl = '{}'\nwidth = 322\nfps = 5",
        server.url
    ));
    let frame = camera.frame();
    assert_eq!((frame.width, frame.height), (322, 182));
    let before = camera.handle.counts().frames;
    std::thread::sleep(Duration::from_secs(3));
    let passed = camera.handle.counts().frames - before;
    assert!((5..=21).contains(&passed), "{passed} frames in 3 s");
    let alive = || {
        command_lines()
            .iter()
            .any(|line| line.contains("min(322,iw)"))
    };
    assert!(alive());
    drop(camera);
    eventually("the end of ffmpeg", || !alive());
}

#[test]
fn a_camera_that_is_not_there_or_no_camera_is_explained() {
    if no_ffmpeg() {
        return;
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let camera = watch(&format!("kind = 'rtsp'\nurl = 'rtsp://{nobody}/live'"));
    assert!(camera.offline().contains(&nobody.to_string()));
    eventually("a second attempt", || camera.handle.counts().attempts >= 2);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/live", listener.local_addr().unwrap());
    let web = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 1024]).unwrap();
        assert!(read > 0);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .unwrap();
    });
    let reason = watch(&format!("kind = 'rtsp'\nurl = '{url}'")).offline();
    assert!(reason.contains(&url), "{reason}");
    web.join().unwrap();
}

/// Long forms: run with `cargo test -p vision --release --test cameras -- --ignored --nocapture`.
#[test]
#[ignore = "takes two minutes"]
fn memory_stays_flat_and_a_slow_reader_builds_no_queue() {
    if no_ffmpeg() || no_rtsp_server() {
        return;
    }
    let server = Server::start(&["--port", "0", "--width", "1280", "--height", "720"]);
    // A height that no other test uses marks this camera's child.
    let camera = watch(&format!(
        "kind = 'rtsp'\nurl = '{}'\nheight = 722",
        server.url
    ));
    camera.frame();
    let begin = Instant::now();
    let (mut at_20s, mut ages) = (None, Vec::new());
    while begin.elapsed() < Duration::from_mins(2) {
        // Reads two pictures a second out of ten.
        std::thread::sleep(Duration::from_millis(500));
        let frame = camera.frame();
        ages.extend(age(&frame));
        let waited = SystemClock.now().since(frame.at);
        assert!(
            waited < Duration::from_secs(1),
            "a frame had waited {waited:?}"
        );
        if at_20s.is_none() && begin.elapsed() > Duration::from_secs(20) {
            at_20s = Some((resident(&camera), descriptors()));
        }
    }
    let (memory, open) = at_20s.unwrap();
    let (memory_end, open_end) = (resident(&camera), descriptors());
    ages.sort();
    println!(
        "1280 x 720 at 10 frames a second: resident with child {} KiB after 20 s, {} KiB after \
         120 s; descriptors {open}, {open_end}; age median {:?}, p99 {:?}; {:?}",
        memory,
        memory_end,
        quantile(&ages, 0.5),
        quantile(&ages, 0.99),
        camera.handle.counts()
    );
    assert!(
        memory_end as f64 <= memory as f64 * 1.05,
        "{memory} KiB grew to {memory_end} KiB"
    );
    assert_eq!(open, open_end);
}

/// KiB resident of this process and of the `ffmpeg` of the test above.
fn resident(_camera: &Watched) -> u64 {
    let mut sum = of_process("/proc/self".as_ref());
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains("min(722,ih)") {
            sum += of_process(&entry.path());
        }
    }
    sum
}

fn of_process(folder: &std::path::Path) -> u64 {
    let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_ascii_whitespace()
        .nth(1)
        .map_or(0, |kib| kib.parse().unwrap())
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
