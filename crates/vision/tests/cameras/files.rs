//! Video files, folders of pictures, FIFOs.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::parts::{jpeg, no_ffmpeg, vast_jpeg, watch};
use vision::source::{CameraState, Change};

fn ended(change: &Change) -> Option<()> {
    matches!(change, Change::Ended).then_some(())
}

#[test]
fn a_video_file_is_played_to_its_end_or_again_and_again() {
    if no_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=320x180:rate=10:duration=1",
        ])
        .args(["-pix_fmt", "yuv420p"])
        .arg(&clip)
        .status()
        .unwrap();
    assert!(made.success());
    let once = watch(&format!("kind = 'file'\npath = '{}'", clip.display()));
    let frame = once.frame();
    assert_eq!((frame.width, frame.height), (320, 180));
    once.event(ended);
    assert_eq!(once.handle.state(), CameraState::Ended);
    assert!(
        once.handle.counts().frames >= 9,
        "{:?}",
        once.handle.counts()
    );
    while once.handle.next_frame(Duration::from_secs(1)).is_some() {}
    super::parts::eventually("the end", || once.handle.is_over());

    let again = watch(&format!(
        "kind = 'file'\npath = '{}'\nloop = true\nrealtime = false",
        clip.display()
    ));
    super::parts::eventually("three rounds", || again.handle.counts().frames > 30);

    std::fs::write(&clip, b"this is no video").unwrap();
    let reason = watch(&format!("kind = 'file'\npath = '{}'", clip.display())).offline();
    assert!(reason.contains("Invalid data"), "{reason}");
}

#[test]
fn a_folder_is_shown_in_order_and_names_what_it_cannot_show() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    file("1.jpg", &jpeg(10, 10, 1));
    file("2-empty.jpg", b"");
    file("3-vast.jpg", &vast_jpeg());
    file("4.ppm", b"P6\n2 2\n255\nabcdefghijkl");
    let camera = watch(&format!(
        "kind = 'pictures'\npath = '{}'\nperiod = '300ms'",
        folder.path().display()
    ));
    assert_eq!(camera.frame().width, 10);
    assert_eq!(&camera.frame().rgb[..], b"abcdefghijkl");
    assert!(camera.refused().contains("2-empty.jpg"));
    assert!(camera.refused().contains("3-vast.jpg"));
    camera.event(ended);
    super::parts::eventually("the end", || camera.handle.is_over());
}

#[test]
fn a_fifo_outlives_its_writers_and_finds_the_next_picture_after_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("frames");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let camera = watch(&format!("kind = 'pipe'\npath = '{}'", fifo.display()));
    let write = |bytes: &[u8]| {
        std::fs::OpenOptions::new()
            .write(true)
            .open(&fifo)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    write(b"P6\n2 1\n255\nabcdef");
    assert_eq!(&camera.frame().rgb[..], b"abcdef");
    write(b"no picture at all");
    assert!(camera.refused().contains("P6"));
    write(b"P7\nWIDTH 1\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\nghijkl");
    let frame = camera.frame();
    assert_eq!(
        (frame.width, frame.height, &frame.rgb[..]),
        (1, 2, &b"ghijkl"[..])
    );
    // A large frame right behind a small one.
    let mut stream = b"P6\n1 1\n255\nabcP6\n640 480\n255\n".to_vec();
    stream.resize(stream.len() + 640 * 480 * 3, 7);
    write(&stream);
    while camera.frame().width != 640 {}
}

#[test]
fn a_slow_reader_gets_the_latest_and_builds_no_queue() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("frames");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let camera = watch(&format!("kind = 'pipe'\npath = '{}'", fifo.display()));
    let mut writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    for number in 0..200_u8 {
        writer.write_all(b"P6\n64 64\n255\n").unwrap();
        writer.write_all(&vec![number; 64 * 64 * 3]).unwrap();
    }
    super::parts::eventually("the last frame", || {
        camera
            .handle
            .next_frame(Duration::from_secs(5))
            .is_some_and(|frame| frame.rgb[0] == 199)
    });
    assert!(
        camera
            .handle
            .next_frame(Duration::from_millis(100))
            .is_none()
    );
}

/// Not a test of its own: the daemon of the test below, whose standard input is the camera.
#[test]
#[ignore = "runs only as the other half of a test"]
fn a_daemon_that_reads_standard_input() {
    if std::env::var_os("CAMERA_ON_STDIN").is_none() {
        return;
    }
    let camera = watch("kind = 'pipe'");
    println!("saw {:?}", camera.frame().rgb);
    camera.event(ended);
    println!("ended");
}

#[test]
fn standard_input_is_a_camera_until_it_ends() {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "files::a_daemon_that_reads_standard_input",
        ])
        .env("CAMERA_ON_STDIN", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    daemon
        .stdin
        .take()
        .unwrap()
        .write_all(b"P6\n1 1\n255\n\x01\x02\x03")
        .unwrap();
    let output = daemon.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("saw [1, 2, 3]") && text.contains("ended"),
        "{text}"
    );
}
