//! `menshen doctor` with a person who answers: the real program, its real relay guard, a
//! simulated relay or a board on a pseudo-terminal.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use house::{Board, Camera, Gate, Plan, Scene, Site, alone, program, wait_for};
use serde_json::Value;

/// The doctor with somebody at its keyboard who reads what it says.
struct Doctor {
    child: Child,
    keyboard: Option<ChildStdin>,
    heard: Arc<Mutex<String>>,
    read: usize,
}

impl Doctor {
    fn start(site: &Site, more: &[&str]) -> Self {
        let mut child = Command::new(program().unwrap())
            .args(["doctor", "--language", "zh", "--config"])
            .arg(site.path("menshen.toml"))
            .arg("--record")
            .arg(site.path("record.html"))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = child.stdin.take();
        let mut out = child.stdout.take().unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let ear = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut rest = Vec::new();
            while let Ok(read) = out.read(&mut bytes) {
                if read == 0 {
                    return;
                }
                rest.extend_from_slice(&bytes[..read]);
                let good = match std::str::from_utf8(&rest) {
                    Ok(text) => text.len(),
                    Err(e) => e.valid_up_to(),
                };
                let text: Vec<u8> = rest.drain(..good).collect();
                ear.lock()
                    .unwrap()
                    .push_str(std::str::from_utf8(&text).unwrap());
            }
        });
        Self {
            child,
            keyboard,
            heard,
            read: 0,
        }
    }

    /// Waits until it says this, beyond what was waited for before.
    fn hears(&mut self, words: &str) {
        let mut at = None;
        wait_for(Duration::from_secs(20), || {
            let heard = self.heard.lock().unwrap();
            at = heard[self.read..]
                .find(words)
                .map(|at| self.read + at + words.len());
            at.is_some()
        });
        match at {
            Some(at) => self.read = at,
            None => panic!("{words} was not said in:\n{}", self.heard.lock().unwrap()),
        }
    }

    /// Types a line once its question could be read.
    fn types(&mut self, line: &str) {
        std::thread::sleep(Duration::from_millis(400));
        let keyboard = self.keyboard.as_mut().unwrap();
        writeln!(keyboard, "{line}").unwrap();
        keyboard.flush().unwrap();
    }

    fn answers(&mut self, question: &str, line: &str) {
        self.hears(question);
        self.types(line);
    }

    fn begins(&mut self) {
        self.answers("请输入您的姓名", "王芳");
        self.answers("可以开始吗", "y");
    }

    /// Makes a simulated input active and lets it rest, when asked to.
    fn works(&mut self, site: &Site, line: &str, asked: [&str; 2]) {
        self.answers("是这样吗", "y");
        self.hears(asked[0]);
        site.inputs(&format!("{line} 1\n")).unwrap();
        self.hears(asked[1]);
        site.inputs("").unwrap();
        self.hears("正常");
    }

    fn opens(&mut self) {
        self.answers("没有自己动吗", "y");
        self.answers("现在动吗", "y");
        self.answers("闸杆抬起了吗", "y");
        self.hears("正常");
    }

    fn ends(mut self) -> i32 {
        drop(self.keyboard.take());
        let ended = wait_for(Duration::from_secs(15), || {
            matches!(self.child.try_wait(), Ok(Some(_)))
        });
        let said = self.heard.lock().unwrap().clone();
        assert!(ended, "it goes on:\n{said}");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Doctor {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn record(site: &Site) -> Value {
    serde_json::from_slice(&std::fs::read(site.path("record.json")).unwrap()).unwrap()
}

fn outcomes(record: &Value) -> Vec<&str> {
    let items = record["items"].as_array().unwrap();
    let outcome = |item: &'_ Value| item["outcome"].as_str().map(str::len);
    assert!(items.iter().all(|item| outcome(item).is_some()));
    items
        .iter()
        .map(|item| item["outcome"].as_str().unwrap())
        .collect()
}

const WIRED: &str = "relay = SIMULATED\nlight_beam = { normally_closed = true }\nguard_button = {}\nfire = { normally_closed = true }";

fn site(barrier: &str, lane: &str) -> Site {
    let site = Site::new(&Plan {
        port: None,
        barrier,
        lane,
        camera: "",
    })
    .unwrap();
    site.inputs("").unwrap();
    site
}

#[test]
fn a_gate_is_gone_through_with_a_person_and_the_record_says_so() {
    let _alone = alone();
    let scene = Scene::new(7);
    let site = site(WIRED, "arrival_loop = {}");
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    camera.show(1);
    let mut doctor = Doctor::start(&site, &[]);
    doctor.hears("会动的闸杆：道闸 main");
    doctor.begins();
    doctor.works(&site, "light_beam", ["挡住光电对射", "拿开"]);
    doctor.works(&site, "arrival_loop:entry", ["车道 entry", "移开"]);
    doctor.works(&site, "guard_button", ["按住门卫的开闸按钮", "松开"]);
    doctor.works(&site, "fire", ["消防触点动作", "恢复"]);
    assert!(site.pulses().unwrap().is_empty(), "an input moved the boom");
    doctor.opens();
    doctor.hears("每秒");
    doctor.hears(scene.plate(0).as_str());
    doctor.types("y");
    doctor.hears("继电器已全部断开，已确认");
    assert_eq!(doctor.ends(), 0);
    let pulses = site.pulses().unwrap();
    assert_eq!(pulses.len(), 1);
    assert!((450.0..1000.0).contains(&pulses[0]), "{pulses:?}");
    let record = record(&site);
    assert_eq!(outcomes(&record), ["good"; 6]);
    assert_eq!(record["all_good"], true);
    assert_eq!(record["by"], "王芳");
    assert_eq!(record["site"], "test");
    assert_eq!(record["ended"], "finished");
    assert_eq!(record["configuration_sha256"].as_str().unwrap().len(), 64);
    let page = std::fs::read_to_string(site.path("record.html")).unwrap();
    for word in [
        "王芳",
        "全部正常 all good",
        "道闸 main · 光电对射",
        "signature",
    ] {
        assert!(page.contains(word), "{word} is missing in:\n{page}");
    }
}

#[test]
fn a_board_on_a_tty_is_pulsed_once_for_each_yes_and_never_for_a_no() {
    let _alone = alone();
    let board = Board::new().unwrap();
    let barrier = format!("relay = {{ driver = \"serial\", port = {:?} }}", board.tty);
    let site = site(&barrier, "");
    let mut doctor = Doctor::start(&site, &["--skip-camera"]);
    doctor.begins();
    doctor.answers("没有自己动吗", "y");
    doctor.hears("现在动吗");
    assert!(board.pulses().is_empty());
    doctor.types("y");
    doctor.answers("闸杆抬起了吗", "n");
    doctor.hears("COM 和 NO");
    doctor.answers("再试一次", "r");
    doctor.answers("没有自己动吗", "y");
    doctor.answers("现在动吗", "n");
    doctor.hears("跳过 1 项");
    assert_eq!(doctor.ends(), 1, "what was left out is not good");
    let pulses = board.pulses();
    assert_eq!(pulses.len(), 1);
    assert!(pulses[0].1 <= Duration::from_millis(1200), "{pulses:?}");
    assert!(board.is_off());
    assert_eq!(outcomes(&record(&site)), ["skipped"]);
}

#[test]
fn wrong_polarity_and_a_dead_wire_are_found_and_answers_in_advance_move_nothing() {
    let _alone = alone();
    let site = site(
        "relay = SIMULATED\nsafety_loop = { normally_closed = true }\nlight_beam = {}",
        "",
    );
    // Wired the other way round than configured: "at rest" is what the file calls active.
    site.inputs("safety_loop 1\n").unwrap();
    let mut doctor = Doctor::start(&site, &["--skip-camera"]);
    doctor.begins();
    doctor.answers("是这样吗", "y");
    doctor.hears("地感上");
    site.inputs("").unwrap();
    doctor.hears("移开");
    site.inputs("safety_loop 1\n").unwrap();
    doctor.hears("极性反了");
    doctor.hears("normally_closed = false");
    doctor.answers("按回车继续", "");
    doctor.answers("是这样吗", "y");
    doctor.answers("挡住光电对射", "y");
    doctor.hears("一次也没有变化");
    doctor.answers("按回车继续", "");
    doctor.hears("没有自己动吗");
    doctor.types("y\ny\ny\ny\ny");
    doctor.hears("不算");
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        site.pulses().unwrap().is_empty(),
        "a yes in advance moved the boom"
    );
    assert_eq!(doctor.ends(), 1);
    let record = record(&site);
    assert_eq!(outcomes(&record), ["wrong", "wrong", "not_reached"]);
    assert_eq!(record["ended"], "interrupted");
    assert!(site.pulses().unwrap().is_empty());
}

#[test]
fn ctrl_c_in_the_middle_of_a_pulse_releases() {
    use rustix::process::{Pid, Signal, kill_process};
    let _alone = alone();
    let board = Board::new().unwrap();
    let barrier = format!(
        "relay = {{ driver = \"serial\", port = {:?} }}\npulse = \"1s\"",
        board.tty
    );
    let site = site(&barrier, "");
    let mut doctor = Doctor::start(&site, &["--skip-camera"]);
    doctor.begins();
    doctor.answers("没有自己动吗", "y");
    doctor.answers("现在动吗", "y");
    assert!(wait_for(Duration::from_secs(5), || !board.is_off()));
    kill_process(Pid::from_child(&doctor.child), Signal::INT).unwrap();
    doctor.hears("继电器已全部断开，已确认");
    assert_eq!(doctor.ends(), 1);
    assert!(board.is_off());
    let pulses = board.pulses();
    assert_eq!(pulses.len(), 1);
    assert!(pulses[0].1 < Duration::from_millis(900), "{pulses:?}");
    assert_eq!(record(&site)["ended"], "interrupted");
}

#[test]
fn it_does_not_run_beside_a_gate_and_no_gate_starts_beside_it() {
    let _alone = alone();
    let scene = Scene::new(7);
    let site = site("relay = SIMULATED", "");
    let _camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    let refused = site.verb(&["doctor"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("systemctl stop menshen") && said.contains("正在运行"),
        "{said}"
    );
    assert!(gate.stop().unwrap().1);

    let mut doctor = Doctor::start(&site, &["--skip-camera"]);
    doctor.begins();
    let second = site.verb(&["run"]).unwrap();
    assert_eq!(second.status.code(), Some(1));
    doctor.answers("没有自己动吗", "q");
    assert_eq!(doctor.ends(), 1);
    let gate = Gate::start(&site).unwrap();
    assert!(
        gate.stop().unwrap().1,
        "what the doctor held it has given back"
    );
}

#[test]
fn a_wrong_configuration_and_a_record_that_cannot_be_written_are_told_before_anything() {
    let site = site("relay = SIMULATED", "");
    let nowhere = site.verb(&[
        "doctor",
        "--skip-camera",
        "--record",
        "/nowhere/record.html",
    ]);
    let nowhere = nowhere.unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--record"));
    let text = std::fs::read_to_string(site.path("menshen.toml")).unwrap();
    let wrong = text.replace("[[barrier]]", "[[barier]]");
    std::fs::write(site.path("menshen.toml"), wrong).unwrap();
    assert_eq!(site.verb(&["doctor"]).unwrap().status.code(), Some(2));
    assert!(site.pulses().unwrap().is_empty());
    assert!(!Path::new("/nowhere").exists());
}
