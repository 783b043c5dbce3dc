#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn keys(text: &str) -> Vec<&'static str> {
    let config: CameraConfig = toml::from_str(text).unwrap();
    config
        .validate()
        .into_iter()
        .map(|problem| problem.key)
        .collect()
}

#[test]
fn the_shortest_useful_tables_are_taken() {
    for text in [
        "kind = 'rtsp'\nurl = 'rtsp://10.0.0.64/live'",
        "kind = 'usb'",
        "kind = 'pi'",
        "kind = 'snapshot'\nurl = 'http://10.0.0.64/snap.jpg'\nperiod = '200ms'",
        "kind = 'mjpeg'\nurl = 'http://10.0.0.64/video'\nfps = 5",
        "kind = 'file'\npath = 'clip.mp4'\nloop = true\nrealtime = false",
        "kind = 'pictures'\npath = 'scenes'\nfrozen_after = '0s'",
        "kind = 'pipe'",
        "kind = 'rtsp'\nurl = 'rtsp://h/'\nuser = 'u'\npassword_credential = 'cam'\nwidth = 1280",
    ] {
        assert!(keys(text).is_empty(), "{text}");
    }
}

#[test]
fn what_is_missing_wrong_or_out_of_place_is_named() {
    for (text, expected) in [
        ("kind = 'rtsp'", &["url"][..]),
        ("kind = 'rtsp'\nurl = 'http://h/'", &["url"]),
        ("kind = 'mjpeg'\nurl = 'https://h/'", &["url"]),
        ("kind = 'rtsp'\nurl = 'not an address'", &["url"]),
        ("kind = 'rtsp'\nurl = 'rtsp://h/'\nuser = 'u'", &["user"]),
        (
            "kind = 'rtsp'\nurl = 'rtsp://h/'\npassword_file = 'p'",
            &["user"],
        ),
        (
            "kind = 'rtsp'\nurl = 'rtsp://h/'\nuser='u'\npassword_file = 'p'\npassword_credential = 'c'",
            &["password_credential"],
        ),
        (
            "kind = 'rtsp'\nurl = 'rtsp://h/'\nuser='u'\npassword_credential = '../x'",
            &["password_credential"],
        ),
        (
            "kind = 'usb'\nurl = 'rtsp://h/'\ndevice = 'video0'",
            &["url", "device"],
        ),
        ("kind = 'pi'\ndevice = 'front'", &["device"]),
        ("kind = 'file'\nloop = true", &["path"]),
        (
            "kind = 'pictures'\nperiod = '1ms'\nwidth = 4",
            &["width", "width", "period", "path"],
        ),
        ("kind = 'usb'\nfps = 0\nheight = 9000", &["height", "fps"]),
        (
            "kind = 'pipe'\nfrozen_after = '2h'\nsilent_after = '1ms'",
            &["frozen_after", "silent_after"],
        ),
    ] {
        assert_eq!(keys(text), expected, "{text}");
    }
}

#[test]
fn unknown_keys_and_inline_passwords_do_not_parse() {
    for text in [
        "kind = 'usb'\npassword = 'x'",
        "kind = 'laser'",
        "url = 'rtsp://h/'",
    ] {
        assert!(toml::from_str::<CameraConfig>(text).is_err(), "{text}");
    }
}

#[test]
fn a_password_in_the_address_is_refused_and_never_shown() {
    let mut config = CameraConfig::new(Kind::Rtsp);
    config.url = Some("rtsp://admin:hunter2@10.0.0.64/live".to_owned());
    let problems = config.validate();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].cure.english.contains("password_file"));
    assert!(problems[0].cure.chinese.contains("password_file"));
    assert!(!format!("{:?}", problems[0]).contains("hunter2"));
    assert!(!config.describe().contains("hunter2"));
    for place in [
        "live?password=hunter2",
        "user=admin&password=hunter2&channel=1",
    ] {
        config.url = Some(format!("rtsp://10.0.0.64/{place}"));
        assert!(!config.describe().contains("hunter2"), "{place}");
    }
}

#[test]
fn a_description_names_what_matters() {
    let config: CameraConfig = toml::from_str(
        "kind = 'rtsp'\nurl = 'rtsp://10.0.0.64/live'\nuser = 'gate'\n\
         password_file = 'cam.secret'\nwidth = 1280\nfps = 5",
    )
    .unwrap();
    let text = config.describe();
    for part in [
        "10.0.0.64",
        "gate",
        "cam.secret",
        "1280",
        "at most 5",
        "30s",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_password_is_read_without_its_line_feed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "p w\n").unwrap();
    let at = PasswordAt::File(path.clone());
    let secret = at.read().unwrap();
    assert_eq!(secret.0, "p w");
    assert!(!format!("{secret:?}").contains("p w"));
    std::fs::write(&path, "\n").unwrap();
    assert!(at.read().unwrap_err().wrong.english.contains("empty"));
}

#[test]
fn a_slow_snapshot_is_not_called_silent() {
    let mut config = CameraConfig::new(Kind::Snapshot);
    config.period = Some(Duration::from_secs(10));
    assert_eq!(config.limits().silent_after, Some(Duration::from_secs(30)));
    config.kind = Kind::Pictures;
    assert_eq!(config.limits().silent_after, None);
    assert_eq!(config.limits().frozen_after, None);
}
