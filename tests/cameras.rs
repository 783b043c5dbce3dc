//! Cameras through the whole gate: network cameras that come and go, pictures that are none.
//!
//! The long forms are `python3 tests/soak.py memory` and `python3 tests/soak.py camera`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use domain::{Decision, Event};
use house::{
    EMPTY, Gate, Mosquitto, Need, PYTHON, Plan, Scene, Site, alone, cannot_run, free_port, wait_for,
};
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb};

/// A decision comes within this time of the camera's return.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// A clip of five seconds: the empty lane, the first vehicle, the empty lane.
fn clip(scene: &Scene, folder: &Path) -> PathBuf {
    let path = folder.join("clip.mp4");
    let mut encoder = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "image2pipe", "-c:v", "ppm"])
        .args(["-framerate", "10", "-i", "-", "-c:v", "libx264"])
        .args(["-preset", "ultrafast", "-qp", "18", "-pix_fmt", "yuv420p"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut frames = encoder.stdin.take().unwrap();
    for (picture, count) in [(EMPTY, 8), (1, 22), (EMPTY, 20)] {
        for _ in 0..count {
            frames.write_all(&scene.pictures[picture]).unwrap();
        }
    }
    drop(frames);
    assert!(encoder.wait().unwrap().success());
    path
}

/// A network camera that shows the clip again and again.
struct NetworkCamera {
    server: Child,
}

impl NetworkCamera {
    fn turn_on(clip: &Path, codec: &str, port: u16) -> Self {
        let mut server = Command::new(PYTHON)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/rtsp_server.py"))
            .args(["--codec", codec, "--port", &port.to_string()])
            .args(["--width", "960", "--height", "540", "--fps", "10", "--file"])
            .arg(clip)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert!(said.starts_with("ready rtsp://"), "{said:?}");
        Self { server }
    }

    /// kill -9.
    fn cut(mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for NetworkCamera {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Frames that the lane has decided on since the gate's start.
fn frames(site: &Site) -> u64 {
    let said = site.verb(&["status", "--json"]).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    status["lanes"][0]["frames"].as_u64().unwrap()
}

fn resident_comes_by_network(codec: &str, cuts: usize) {
    if cannot_run(&[Need::Mosquitto, Need::Ffmpeg, Need::RtspServer]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(5);
    let mosquitto = Mosquitto::running().unwrap();
    let ear = mosquitto.listen().unwrap();
    let port = free_port().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"1s\"",
        camera: &format!("kind = \"rtsp\"\nurl = \"rtsp://127.0.0.1:{port}/live\""),
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();
    let clip = clip(&scene, site.folder.path());
    let mut camera = NetworkCamera::turn_on(&clip, codec, port);
    let gate = Gate::start(&site).unwrap();
    let admitted = || {
        ear.passages()
            .iter()
            .filter(|p| {
                p.decision == Some(Decision::Admit) && p.plate.as_ref() == Some(scene.plate(0))
            })
            .count()
    };
    let comes_in_again = || {
        let before = admitted();
        assert!(
            wait_for(Duration::from_secs(30), || admitted() > before),
            "{codec}: the resident did not come in; the gate says:\n{}",
            gate.log().join("\n")
        );
    };
    comes_in_again();
    let state = mosquitto.retained("lane/entry/camera").unwrap().unwrap();
    assert!(state.contains("\"online\""), "{state}");
    let mut took = Vec::new();
    for _ in 0..cuts {
        camera.cut();
        assert!(
            wait_for(Duration::from_secs(15), || {
                let state = mosquitto.retained("lane/entry/camera").unwrap();
                state.is_some_and(|s| s.contains("\"offline\""))
            }),
            "nobody was told that the camera is away"
        );
        let before = frames(&site);
        camera = NetworkCamera::turn_on(&clip, codec, port);
        let back = Instant::now();
        assert!(
            wait_for(Duration::from_secs(20), || frames(&site) > before),
            "no picture after the camera's return"
        );
        took.push(back.elapsed());
    }
    if let Some(slowest) = took.iter().max() {
        println!("BAR camera back: {codec}, {cuts} cuts, a frame decided after {took:.2?}");
        assert!(*slowest <= BACK_WITHIN, "{took:?}");
        comes_in_again();
    }
    for p in ear.passages() {
        assert_ne!(p.decision, Some(Decision::Refuse), "{p:?}");
    }
    ear.verify().unwrap();
}

#[test]
fn a_resident_comes_in_by_h264_and_again_after_the_camera_was_cut_off() {
    resident_comes_by_network("h264", 2);
}

#[test]
fn a_resident_comes_in_by_h265_and_again_after_the_camera_was_cut_off() {
    resident_comes_by_network("h265", 1);
}

/// A JPEG whose header claims 30,000 x 30,000 pixels.
fn vast(jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    for at in [frame + 5, frame + 7] {
        bytes[at..at + 2].copy_from_slice(&30_000_u16.to_be_bytes());
    }
    bytes
}

#[test]
fn pictures_that_are_none_are_named_and_the_resident_among_them_comes_in() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(6);
    let mosquitto = Mosquitto::running().unwrap();
    let ear = mosquitto.listen().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"1s\"",
        camera: &format!(
            "kind = \"pictures\"\npath = {:?}\nperiod = \"150ms\"\nloop = true",
            folder.path()
        ),
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();

    let resident = image::load_from_memory(&scene.pictures[1]).unwrap();
    let mut jpeg = Vec::new();
    resident
        .write_to(&mut std::io::Cursor::new(&mut jpeg), ImageFormat::Jpeg)
        .unwrap();
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = resident.to_rgb16();
    let bad: [(&str, Vec<u8>); 4] = [
        (
            "garbage.jpg",
            (0..4000_u32).map(|i| (i * i) as u8).collect(),
        ),
        ("nothing.jpg", Vec::new()),
        ("short.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("vast.jpg", vast(&jpeg)),
    ];
    let cmyk: &[u8] = include_bytes!("../crates/vision/tests/fixtures/cmyk.jpg");
    let put = |order: usize, name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(format!("{order:02}-{name}")), bytes).unwrap();
    };
    // Every odd one is odd, and between them stands the resident; then the lane is empty.
    for at in (0..14).step_by(2) {
        put(at, "resident.jpg", &jpeg);
    }
    for (at, (name, bytes)) in bad.iter().enumerate() {
        put(1 + 2 * at, name, bytes);
    }
    put(9, "cmyk.jpg", cmyk);
    let at = |name: &str| folder.path().join(name);
    DynamicImage::ImageRgb16(deep)
        .save(at("11-deep.png"))
        .unwrap();
    DynamicImage::new_rgb8(1, 1).save(at("13-dot.png")).unwrap();
    for order in 14..28 {
        put(order, "empty.ppm", &scene.pictures[EMPTY]);
    }

    let gate = Gate::start(&site).unwrap();
    let alarms = || -> Vec<String> {
        ear.heard()
            .into_iter()
            .filter_map(|h| match h.entry.event {
                Event::Alarm { code, message } if code == "camera-picture" => Some(message),
                _ => None,
            })
            .collect()
    };
    assert!(
        wait_for(Duration::from_secs(40), || {
            let said = alarms();
            let named = bad
                .iter()
                .filter(|(name, _)| said.iter().any(|alarm| alarm.contains(name)));
            ear.passages().len() >= 3 && named.count() == bad.len()
        }),
        "{} passages, alarms {:?}; the gate says:\n{}",
        ear.passages().len(),
        alarms(),
        gate.log().join("\n")
    );
    // Though the folder was shown more than once.
    let said = alarms();
    assert_eq!(said.len(), bad.len(), "one alarm for each: {said:?}");
    for alarm in said {
        assert!(
            bad.iter().any(|(name, _)| alarm.contains(name)),
            "this picture is one: {alarm}"
        );
    }
    for p in ear.passages() {
        assert_eq!(
            (p.decision, p.plate.as_ref()),
            (Some(Decision::Admit), Some(scene.plate(0))),
            "{p:?}"
        );
    }
    println!(
        "BAR bad pictures: each of {} named in an alarm, {} passages of the resident among them",
        bad.len(),
        ear.passages().len()
    );
    let (_, good) = gate.stop().unwrap();
    assert!(good);
    ear.verify().unwrap();
}
