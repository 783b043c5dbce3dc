//! What people type: against a running gate, against wrong files, and when nothing runs.

use std::process::{Command, Output};
use std::time::Duration;

use house::{Board, Camera, EMPTY, Gate, Plan, Scene, Site, alone, program, wait_for};
use serde_json::Value;

const SIMULATED: &str = "relay = SIMULATED\nrepeat_gap = \"300ms\"";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn registered(site: &Site) -> Vec<String> {
    let said = site.verb(&["registry", "list", "--json"]).unwrap();
    assert!(said.status.success(), "{}", text(&said));
    let rows: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap();
    rows.iter()
        .map(|row| row["plate"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_register_is_kept_while_the_gate_runs_and_a_wrong_list_changes_nothing() {
    let _alone = alone();
    let scene = Scene::new(7);
    let site = Site::new(&Plan {
        port: None,
        barrier: SIMULATED,
        lane: "leave_after = \"500ms\"",
        camera: "",
    })
    .unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    assert!(registered(&site).is_empty());
    let list = site.path("cars.csv");
    let import = |content: &str| {
        std::fs::write(&list, content).unwrap();
        site.verb(&["registry", "import", "--by", "test", list.to_str().unwrap()])
            .unwrap()
    };
    let done = import(&format!(
        "plate,owner\n{},王\n苏E·12345,李\n",
        scene.plate(0)
    ));
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    let mut expected = vec![scene.plate(0).to_string(), "苏E12345".to_owned()];
    expected.sort();
    let now = || {
        let mut plates = registered(&site);
        plates.sort();
        plates
    };
    assert_eq!(now(), expected);
    let refused = import("plate,owner\n沪A12345,张\n沪AO2345,陈\n沪A12345,杨\n");
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused);
    assert!(said.contains("line 3") && said.contains("line 4"), "{said}");
    assert_eq!(now(), expected, "a list with wrong rows changed something");

    // The list that was imported into the running gate decides at once...
    camera.show(1);
    assert!(
        wait_for(Duration::from_secs(5), || site.pulses().unwrap().len() == 1),
        "{}",
        gate.log().join("\n")
    );
    camera.show(EMPTY);
    // ... and so does a row that is taken out.
    let removed = site
        .verb(&[
            "registry",
            "remove",
            "--by",
            "test",
            scene.plate(0).as_str(),
        ])
        .unwrap();
    assert_eq!(removed.status.code(), Some(0), "{}", text(&removed));
    assert_eq!(now(), ["苏E12345"]);
    std::thread::sleep(Duration::from_secs(2));
    camera.show(1);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(site.pulses().unwrap().len(), 1, "{}", gate.log().join("\n"));

    let status = site.verb(&["status", "--json"]).unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["vehicles"], 1);
    assert_eq!(status["clock_trusted"], true);
    assert!(status["broker"].is_null(), "{status}");
    assert_eq!(status["lanes"][0]["lane"], "entry");
    assert!(status["lanes"][0]["frames"].as_u64().unwrap() > 0);
    let answer = site.verb(&["answer", "admit"]).unwrap();
    assert_eq!(answer.status.code(), Some(1), "nobody was asked");

    // Two gates on one store would be two truths.
    let second = site.verb(&["run"]).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("store"), "{}", text(&second));
    assert!(gate.stop().unwrap().1);
    assert_eq!(
        now(),
        ["苏E12345"],
        "without a gate the verbs open the store"
    );
}

#[test]
fn a_configuration_error_names_file_line_key_and_cure() {
    let cases: [(&str, &str, &str, &[&str]); 6] = [
        (
            "unknown key",
            "name = \"test\"",
            "nmae = \"test\"",
            &[":2:", "nmae", "name"],
        ),
        (
            "unknown section",
            "[[barrier]]",
            "[[barier]]",
            &["barier", "barrier"],
        ),
        (
            "duration",
            "repeat_gap = \"300ms\"",
            "repeat_gap = \"1ms\"",
            &["repeat_gap", "300ms"],
        ),
        (
            "type",
            "repeat_gap = \"300ms\"",
            "repeat_gap = 300",
            &[":9:", "repeat_gap", "\"500ms\""],
        ),
        (
            "trigger without a loop",
            "leave_after",
            "trigger = \"loop\"\nleave_after",
            &["trigger", "arrival_loop"],
        ),
        ("no TOML", "[[lane]]", "[[lane]", &["menshen.toml:"]),
    ];
    for (what, from, to, words) in cases {
        let site = Site::new(&Plan {
            port: None,
            barrier: SIMULATED,
            lane: "leave_after = \"500ms\"",
            camera: "",
        })
        .unwrap();
        let sound = site.verb(&["check", "--language", "en"]).unwrap();
        assert_eq!(sound.status.code(), Some(0), "{}", text(&sound));
        let path = site.path("menshen.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let broken = config.replace(from, to);
        assert_ne!(broken, config, "{what}");
        std::fs::write(&path, broken).unwrap();
        let said = site.verb(&["check", "--language", "en"]).unwrap();
        assert_eq!(said.status.code(), Some(2), "{what}: {}", text(&said));
        let said = text(&said);
        assert!(said.contains("menshen.toml:"), "{what}: no file in: {said}");
        for word in words {
            assert!(said.contains(word), "{what}: no {word} in: {said}");
        }
    }
}

#[test]
fn read_finds_the_plate_of_a_rendered_picture_and_goes_on_after_a_file_that_is_none() {
    let scene = Scene::new(8);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("0-broken.jpg"), b"no picture").unwrap();
    std::fs::write(at("1-car.ppm"), &scene.pictures[1]).unwrap();
    std::fs::write(at("2-empty.ppm"), &scene.pictures[EMPTY]).unwrap();
    let said = Command::new(program().unwrap())
        .args(["read", "--json", "--posteriors"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(1), "{}", text(&said));
    let lines: Vec<Value> = String::from_utf8(said.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["error"].is_string(), "{}", lines[0]);
    let plate = &lines[1]["plates"][0];
    assert_eq!(plate["text"], scene.plate(0).as_str());
    assert!(plate["confidence"].as_f64().unwrap() > 0.5, "{plate}");
    assert_eq!(plate["quad"].as_array().unwrap().len(), 4);
    let slots = plate["slots"].as_array().unwrap();
    let best: String = slots
        .iter()
        .map(|slot| slot[0][0].as_str().unwrap())
        .collect();
    assert!(best.starts_with(scene.plate(0).as_str()), "{best}");
    assert_eq!(
        (&lines[1]["width"], &lines[1]["height"]),
        (&1280.into(), &720.into())
    );
    assert_eq!(lines[2]["plates"].as_array().unwrap().len(), 0);
    let only = Command::new(program().unwrap())
        .args(["read", "--json"])
        .arg(at("1-car.ppm"))
        .output()
        .unwrap();
    assert_eq!(only.status.code(), Some(0));
}

#[test]
fn safe_off_releases_a_relay_that_nobody_holds() {
    let board = Board::new().unwrap();
    let site = Site::new(&Plan {
        port: None,
        barrier: &format!("relay = {{ driver = \"serial\", port = {:?} }}", board.tty),
        lane: "",
        camera: "",
    })
    .unwrap();
    // As a killed gate would have left it, had there been no relay guard.
    std::fs::write(&board.tty, [0xA0, 1, 1, 0xA2]).unwrap();
    assert!(wait_for(Duration::from_secs(2), || !board.is_off()));
    let said = site.verb(&["safe-off"]).unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", text(&said));
    assert!(wait_for(Duration::from_secs(2), || board.is_off()));
}

#[test]
fn the_guard_answers_from_a_terminal_and_a_refusal_stays_closed() {
    let _alone = alone();
    let scene = Scene::new(9);
    let site = Site::new(&Plan {
        port: None,
        barrier: SIMULATED,
        lane: "trigger = \"both\"\narrival_loop = {}\nleave_after = \"500ms\"",
        camera: "",
    })
    .unwrap();
    site.inputs("arrival_loop:entry 0\n").unwrap();
    let _camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    for (word, openings) in [("refuse", 0), ("admit", 1)] {
        site.inputs("arrival_loop:entry 1\n").unwrap();
        let asked = || {
            let said = site.verb(&["status", "--json"]).unwrap();
            let status: Value = serde_json::from_slice(&said.stdout).unwrap();
            status["lanes"][0]["asking"].is_string()
        };
        assert!(
            wait_for(Duration::from_secs(10), asked),
            "{}",
            gate.log().join("\n")
        );
        let said = site.verb(&["answer", word, "--by", "li"]).unwrap();
        assert_eq!(said.status.code(), Some(0), "{}", text(&said));
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(site.pulses().unwrap().len(), openings, "{word}");
        site.inputs("arrival_loop:entry 0\n").unwrap();
        std::thread::sleep(Duration::from_secs(2));
    }
}
