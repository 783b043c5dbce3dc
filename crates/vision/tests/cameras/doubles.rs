//! USB and Pi cameras against doubles: shell scripts in the place of `ffmpeg` and
//! `rpicam-vid`. The cameras themselves cannot be tried without the hardware.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::parts::{command_lines, eventually, jpeg, missing, script, watch};
use vision::source::Change;

#[test]
fn a_usb_camera_is_asked_for_what_is_written_and_tried_again_when_it_is_pulled_out() {
    let folder = tempfile::tempdir().unwrap();
    // Three pictures, then the words ffmpeg has for a camera that is gone.
    let program = script(
        folder.path(),
        "double",
        "echo \"$@\" >> \"$(dirname \"$0\")/asked\"\n\
         for n in 1 2 3; do printf 'P6\\n2 1\\n255\\nabcde%s' $n; sleep 0.1; done\n\
         echo '/dev/video9: No such device' >&2\nexit 1",
    );
    let camera = watch(&format!(
        "kind = 'usb'\ndevice = '/dev/video9'\nwidth = 800\nheight = 600\nfps = 15\nprogram = '{}'",
        program.display()
    ));
    assert_eq!(&camera.frame().rgb[..5], b"abcde");
    let reason = camera.offline();
    assert!(
        reason.contains("status 1") && reason.contains("No such device"),
        "{reason}"
    );
    camera.event(|change| {
        matches!(
            change,
            Change::Online {
                width: 2,
                height: 1
            }
        )
        .then_some(())
    });
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    for part in [
        "-f v4l2",
        "-input_format mjpeg",
        "-video_size 800x600",
        "-framerate 15",
        "-i /dev/video9",
    ] {
        assert!(asked.contains(part), "{part} is not in {asked}");
    }
}

#[test]
fn a_usb_camera_without_mjpeg_is_asked_for_raw_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(
        folder.path(),
        "double",
        "case \"$*\" in *mjpeg*) echo 'Cannot find a proper format' >&2; exit 1;; esac\n\
         printf 'P6\\n1 1\\n255\\nabc'; exec sleep 60",
    );
    let camera = watch(&format!("kind = 'usb'\nprogram = '{}'", program.display()));
    assert!(camera.offline().contains("proper format"));
    assert_eq!(&camera.frame().rgb[..], b"abc");
}

#[test]
fn a_pi_camera_streams_jpegs_and_its_program_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.jpg"), jpeg(96, 64, 80)).unwrap();
    std::fs::write(folder.path().join("two.jpg"), jpeg(96, 64, 160)).unwrap();
    let program = script(
        folder.path(),
        "double",
        "cd \"$(dirname \"$0\")\"; echo \"$@\" > asked\n\
         while cat one.jpg && sleep 0.05 && cat two.jpg; do sleep 0.05; done",
    );
    let camera = watch(&format!(
        "kind = 'pi'\ndevice = '1'\nprogram = '{}'",
        program.display()
    ));
    let (first, second) = (camera.frame(), camera.frame());
    assert_eq!((first.width, first.height), (96, 64));
    assert!(second.at > first.at && second.number > first.number);
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    for part in ["--camera 1", "--codec mjpeg", "--timeout 0", "--output -"] {
        assert!(asked.contains(part), "{part} is not in {asked}");
    }
    let alive = || {
        let program = program.display().to_string();
        command_lines().iter().any(|line| line.contains(&program))
    };
    assert!(alive());
    drop(camera);
    eventually("the end of the camera's program", || !alive());
}

#[test]
fn a_decoder_that_writes_garbage_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(
        folder.path(),
        "double",
        "printf 'P6\\n30000 30000\\n255\\n'; exec sleep 60",
    );
    let camera = watch(&format!("kind = 'usb'\nprogram = '{}'", program.display()));
    let reason = camera.offline();
    assert!(
        reason.contains("30000 x 30000") && reason.contains("stopped"),
        "{reason}"
    );
}

#[test]
fn a_camera_that_says_nothing_is_offline() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(
        folder.path(),
        "double",
        "printf 'P6\\n1 1\\n255\\nabc'; exec sleep 60",
    );
    let camera = watch(&format!(
        "kind = 'usb'\nsilent_after = '1s'\nprogram = '{}'",
        program.display()
    ));
    camera.frame();
    assert!(camera.offline().contains("no picture for 1 s"));
}

#[test]
fn one_same_picture_is_reported_as_frozen_until_another_comes() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(
        folder.path(),
        "double",
        "n=0; while [ $n -lt 25 ]; do printf 'P6\\n1 1\\n255\\nabc'; sleep 0.1; n=$((n+1)); done\n\
         while printf 'P6\\n1 1\\n255\\nxyz'; do sleep 0.1; done",
    );
    let camera = watch(&format!(
        "kind = 'usb'\nfrozen_after = '1s'\nprogram = '{}'",
        program.display()
    ));
    camera.event(|change| matches!(change, Change::Frozen { .. }).then_some(()));
    camera.event(|change| matches!(change, Change::Unfrozen).then_some(()));
}

#[test]
fn a_missing_program_names_the_package_or_the_key() {
    let reason = watch("kind = 'usb'\nprogram = '/nowhere/ffmpeg'").offline();
    assert!(
        reason.contains("/nowhere/ffmpeg") && reason.contains("program"),
        "{reason}"
    );
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .any(|p| p.join("rpicam-vid").exists() || p.join("libcamera-vid").exists())
    });
    if !on_path {
        let reason = watch("kind = 'pi'").offline();
        assert!(reason.contains("rpicam-apps"), "{reason}");
    }
}

#[test]
fn dropping_a_camera_that_cannot_be_reached_is_quick() {
    // An address that swallows everything (TEST-NET-1).
    let camera = watch("kind = 'rtsp'\nurl = 'rtsp://192.0.2.1/live'");
    std::thread::sleep(Duration::from_millis(200));
    let begin = std::time::Instant::now();
    drop(camera);
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
}

/// Not a test of its own: the daemon of the test below, which kills it.
#[test]
#[ignore = "runs only as the other half of a test"]
fn a_daemon_with_a_camera() {
    let Ok(program) = std::env::var("CAMERA_PROGRAM") else {
        return;
    };
    let camera = watch(&format!("kind = 'usb'\nprogram = '{program}'"));
    camera.frame();
    println!("watching");
    std::thread::sleep(Duration::from_mins(2));
}

#[test]
fn a_child_that_neither_reads_nor_writes_dies_with_a_daemon_that_is_killed() {
    if !std::path::Path::new("/usr/bin/setpriv").exists() {
        missing("setpriv (Debian's util-linux)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = script(
        folder.path(),
        "double",
        "printf 'P6\\n1 1\\n255\\nabc'; while true; do sleep 1; done",
    );
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "doubles::a_daemon_with_a_camera",
        ])
        .env("CAMERA_PROGRAM", &program)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("watching")));
    let alive = || {
        let program = program.display().to_string();
        command_lines().iter().any(|line| line.contains(&program))
    };
    assert!(alive());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    eventually("the end of the child", || !alive());
}
