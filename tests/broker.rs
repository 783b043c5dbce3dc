//! The broker away: the gate behaves the same, and everything arrives later.

use std::time::Duration;

use domain::Decision;
use house::{Camera, EMPTY, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, wait_for};

#[test]
fn a_run_without_broker_arrives_whole_late_and_in_order_once_it_returns() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(3);
    let mut mosquitto = Mosquitto::running().unwrap();
    mosquitto.stop().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\npulse = \"300ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"1s\"",
        camera: "",
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    for picture in [1, 2, 1] {
        camera.show(picture);
        std::thread::sleep(Duration::from_millis(1800));
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_millis(1800));
    }
    assert_eq!(site.pulses().unwrap().len(), 2, "{}", gate.log().join("\n"));
    mosquitto.start().unwrap();
    let ear = mosquitto.listen().unwrap();
    assert!(
        wait_for(Duration::from_secs(30), || ear.passages().len() == 3),
        "{}",
        gate.log().join("\n")
    );
    let decisions: Vec<_> = ear.passages().iter().map(|p| p.decision.unwrap()).collect();
    assert_eq!(
        decisions,
        [Decision::Admit, Decision::Refuse, Decision::Admit]
    );
    let heard = ear.heard();
    assert!(
        heard.iter().all(|h| h.late),
        "everything of this run is late"
    );
    let entries = ear.verify().unwrap();
    println!("BAR broker away: {entries} entries, all late, in order, chain whole");
}

#[test]
fn a_broker_that_is_killed_in_the_middle_costs_no_event() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(10);
    let mut mosquitto = Mosquitto::running().unwrap();
    // So that the listener's subscription is on the disk, whatever is killed later.
    mosquitto.stop().unwrap();
    mosquitto.start().unwrap();
    let ear = mosquitto.listen().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\npulse = \"300ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"500ms\"",
        camera: "",
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    let visits = [1, 2, 1, 2, 1, 2];
    for (at, picture) in visits.into_iter().enumerate() {
        camera.show(picture);
        std::thread::sleep(Duration::from_millis(900));
        // Away while a verdict is on its way, back while the next vehicle stands there.
        if at % 2 == 0 {
            mosquitto.kill().unwrap();
        } else {
            mosquitto.start().unwrap();
        }
        std::thread::sleep(Duration::from_millis(600));
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert!(
        wait_for(Duration::from_secs(30), || ear.passages().len()
            >= visits.len()),
        "{} passages; the gate says:\n{}",
        ear.passages().len(),
        gate.log().join("\n")
    );
    let decisions: Vec<_> = ear.passages().iter().map(|p| p.decision.unwrap()).collect();
    let expected = visits.map(|picture| match picture {
        1 => Decision::Admit,
        _ => Decision::Refuse,
    });
    assert_eq!(decisions, expected);
    assert_eq!(site.pulses().unwrap().len(), 3);
    assert_eq!(
        mosquitto.retained("bridge/state").unwrap().as_deref(),
        Some("online")
    );
    gate.kill().unwrap();
    assert!(
        wait_for(Duration::from_secs(30), || {
            mosquitto.retained("bridge/state").unwrap().as_deref() == Some("offline")
        }),
        "the last will did not come"
    );
    let entries = ear.verify().unwrap();
    println!("BAR broker killed 3 times: {entries} entries, chain whole, in order");
}
