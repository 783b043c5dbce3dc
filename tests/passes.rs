//! Numbered passes at a running gate: issued through its socket, used on the road, counted once.

use std::time::Duration;

use domain::{Outcome, Reason};
use house::{Camera, EMPTY, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, wait_for};

const A_WHILE: Duration = Duration::from_secs(15);

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A stranger gets a pass for one entry while the gate runs, comes in by it, and not a second
/// time, also after the gate was killed.
#[test]
fn a_pass_for_one_entry_lets_its_plate_in_once_over_a_kill() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(1);
    let mosquitto = Mosquitto::running().unwrap();
    let ear = mosquitto.listen().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\npulse = \"300ms\"\nrepeat_gap = \"300ms\"",
        lane: "trigger = \"both\"\narrival_loop = {}\nleave_after = \"1s\"",
        camera: "",
    })
    .unwrap();
    site.inputs("arrival_loop:entry 0\n").unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let mut gate = Gate::start(&site).unwrap();

    let verb = |args: &[&str]| {
        let output = site.verb(args).unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        said(&output)
    };
    let plate = scene.plate(1).as_str();
    verb(&[
        "pass",
        "issue",
        "--numbers",
        "637",
        "--plate",
        plate,
        "--entries",
        "1",
        "--from",
        "2026-01-01",
        "--until",
        "2099-12-31",
        "--by",
        "test",
    ]);
    let visit = |count: usize| {
        camera.show(2);
        std::thread::sleep(Duration::from_millis(600));
        site.inputs("arrival_loop:entry 1\n").unwrap();
        std::thread::sleep(Duration::from_millis(2600));
        camera.show(EMPTY);
        site.inputs("arrival_loop:entry 0\n").unwrap();
        assert!(wait_for(A_WHILE, || ear.passages().len() >= count));
        ear.passages().pop().unwrap()
    };
    let first = visit(1);
    assert_eq!(
        (first.reason, first.outcome),
        (Some(Reason::Pass), Outcome::Passed)
    );
    assert_eq!(first.pass.unwrap().number.get(), 637);
    let shown = verb(&["pass", "list", "--json"]);
    assert!(shown.contains("\"entries\":1,\"last\""), "{shown}");

    gate.kill().unwrap();
    gate = Gate::start(&site).unwrap();
    let second = visit(2);
    assert_eq!(
        (second.reason, second.outcome),
        (Some(Reason::PassUsedUp), Outcome::TurnedAway)
    );
    assert_eq!(second.pass, None);
    verb(&[
        "pass",
        "extend",
        "637",
        "--more-entries",
        "1",
        "--by",
        "test",
    ]);
    assert_eq!(visit(3).reason, Some(Reason::Pass));
    assert_eq!(site.pulses().unwrap().len(), 2);
    verb(&["registry", "verify"]);
    gate.stop().unwrap();
}
